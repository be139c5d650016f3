/* route_test.c - which objects a channel carries, and their names at the target. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/route.h"

/* One entry of objects; columns and drops as "a b c". */
struct entry {
	const char *db, *table, *to_db, *to_table;
	bool exclude;
	const char *columns; /* name, new name, name, new name, ... */
	const char *drops;
};

static void
set(struct conf *c, size_t i, const char *name, const char *value)
{
	struct err e = {0};
	char path[64];

	snprintf(path, sizeof path, "objects[%zu].%s", i, name);
	if (value != NULL && conf_set(c, path, value, "test", &e) != RC_OK)
		fail_msg("%s", e.text);
}

/* The next text between blanks; false at the end. */
static bool
next_text(const char **texts, char out[32])
{
	int n = 0;

	if (*texts == NULL || sscanf(*texts, "%31s%n", out, &n) != 1)
		return false;
	*texts += n;
	return true;
}

static void
append_drops(struct conf *c, size_t i, const char *texts)
{
	char path[64], a[32];
	struct err e = {0};

	snprintf(path, sizeof path, "objects[%zu].drop_columns", i);
	while (next_text(&texts, a))
		assert_int_equal(conf_append(c, path, a, NULL, "test", &e), RC_OK);
}

static void
append_columns(struct conf *c, size_t i, const char *texts)
{
	char path[64], a[32], b[32];
	struct err e = {0};

	snprintf(path, sizeof path, "objects[%zu].columns", i);
	while (next_text(&texts, a) && next_text(&texts, b))
		assert_int_equal(conf_append(c, path, a, b, "test", &e), RC_OK);
}

static enum rc
build(const struct entry *entries, size_t n, struct routes **r, struct err *e)
{
	struct conf *c = conf_new(channel_options());
	enum rc rc;

	for (size_t i = 0; i < n; i++) {
		set(c, i, "database", entries[i].db);
		set(c, i, "table", entries[i].table);
		set(c, i, "to_database", entries[i].to_db);
		set(c, i, "to_table", entries[i].to_table);
		set(c, i, "exclude", entries[i].exclude ? "true" : NULL);
		append_columns(c, i, entries[i].columns);
		append_drops(c, i, entries[i].drops);
	}
	rc = routes_new(c, r, e);
	conf_free(c);
	return rc;
}

static struct routes *
routes(const struct entry *entries, size_t n)
{
	struct routes *r = NULL;
	struct err e = {0};

	if (build(entries, n, &r, &e) != RC_OK)
		fail_msg("%s", e.text);
	return r;
}

static void
test_glob(void **unused)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "A", false},
		{"*", "", true},
		{"*", "anything", true},
		{"?", "", false},
		{"?", "a", true},
		{"?", "ab", false},
		{"?", "\xc3\xa9", true},
		{"??", "\xc3\xa9", false},
		{"?x", "\xe2\x82\xacx", true},
		{"*?", "\xc3\xa9", true},
		{"*??x", "\xc3\xa9x", false},
		{"a*", "a", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXbYd", false},
		{"*ab", "aab", true},
		{"*a?b", "aaXb", true},
		{"log_*", "log_2024", true},
		{"log_*", "logs", false},
		{"a**b", "ab", true},
		{"a*", "b", false},
		{"*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			false},
	};

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].match)
			fail_msg("\"%s\" against \"%s\"", cases[i].pattern, cases[i].text);
}

static const struct entry shop[] = {
	{.db = "shop", .to_db = "market", .drops = "secret"},
	{.db = "shop", .table = "tmp_*", .exclude = true},
	{.db = "shop", .table = "order*", .to_db = "sales"},
	{.db = "shop", .table = "orders", .to_table = "all_orders", .columns = "a b b a"},
	{.db = "crm",
		.table = "customer",
		.to_table = "client",
		.columns = "name full_name",
		.drops = "note phone"},
	{.db = "log_*"},
	{.db = "log_old", .exclude = true},
	{.db = "*", .table = "audit"},
};

static void
test_selection(void **unused)
{
	static const struct {
		const char *db, *table;
		bool carried;
	} cases[] = {
		{"shop", "item", true},
		{"shop", "tmp_1", false},
		{"shop", "orders", true},
		{"crm", "customer", true},
		{"crm", "customers", false},
		{"crm", "audit", true},
		{"log_new", "x", true},
		{"log_old", "x", false},
		{"log_old", "audit", false},
		{"other", "x", false},
		{"SHOP", "item", false},
	};
	struct routes *r = routes(shop, COUNT_OF(shop));

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (routes_table(r, cases[i].db, cases[i].table) != cases[i].carried)
			fail_msg("%s.%s", cases[i].db, cases[i].table);
	assert_true(routes_database(r, "shop"));
	assert_true(routes_database(r, "log_new"));
	assert_false(routes_database(r, "log_old"));
	assert_false(routes_database(r, "crm"));
	assert_true(routes_touches(r, "crm"));
	assert_true(routes_touches(r, "any"));
	assert_false(routes_touches(r, "log_old"));
	assert_true(routes_rename(r));
	routes_free(r);
}

static void
test_names(void **unused)
{
	static const struct {
		const char *db, *table, *to_db, *to_table;
	} cases[] = {
		{"shop", "item", "market", "item"},
		{"shop", "order_line", "sales", "order_line"},
		{"shop", "orders", "market", "all_orders"},
		{"shop", "audit", "market", "audit"},
		{"crm", "customer", "crm", "client"},
		{"log_new", "x", "log_new", "x"},
	};
	struct routes *r = routes(shop, COUNT_OF(shop));

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_string_equal(
			routes_table_db(r, cases[i].db, cases[i].table), cases[i].to_db);
		assert_string_equal(
			routes_target_table(r, cases[i].db, cases[i].table), cases[i].to_table);
	}
	assert_string_equal(routes_target_db(r, "shop"), "market");
	assert_string_equal(routes_target_db(r, "crm"), "crm");
	routes_free(r);
}

static void
test_columns(void **unused)
{
	static const struct {
		const char *db, *table, *column, *to;
	} cases[] = {
		{"crm", "customer", "id", "id"},
		{"crm", "customer", "name", "full_name"},
		{"crm", "customer", "note", NULL},
		{"crm", "customer", "phone", NULL},
		{"shop", "orders", "a", "b"},
		{"shop", "orders", "b", "a"},
		{"shop", "orders", "secret", "secret"}, /* the more specific entry alone counts */
		{"shop", "item", "secret", NULL},
		{"other", "x", "y", "y"},
	};
	struct routes *r = routes(shop, COUNT_OF(shop));

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *to = routes_column(r, cases[i].db, cases[i].table, cases[i].column);

		if (cases[i].to == NULL)
			assert_null(to);
		else
			assert_string_equal(to, cases[i].to);
	}
	routes_free(r);
}

static void
test_no_rename(void **unused)
{
	static const struct entry plain[] = {{.db = "a"}, {.db = "b", .table = "x*"},
		{.db = "a", .table = "y", .exclude = true}};
	struct routes *r = routes(plain, COUNT_OF(plain));

	(void)unused;
	assert_false(routes_rename(r));
	assert_false(routes_touches(r, "c"));
	routes_free(r);
	routes_free(NULL);
}

/* Spec S4.3: by native type, with and without a schema; only at a Greenplum target. */
static void
test_types(void **unused)
{
	static const struct {
		const char *native;
		enum type type;
		bool lacks;
	} cases[] = {
		{"bit(1)", TYPE_BIT, true},
		{"bit varying(5)", TYPE_TEXT, true},
		{"point", TYPE_GEOMETRY, true},
		{"public.geometry(Point,4326)", TYPE_TEXT, true},
		{"integer[]", TYPE_TEXT, true},
		{"uuid", TYPE_TEXT, true},
		{"tsquery", TYPE_TEXT, true},
		{"tsvector", TYPE_TEXT, true},
		{"txid_snapshot", TYPE_TEXT, true},
		{"numeric(10,2)", TYPE_DECIMAL, false},
		{"shop.mood", TYPE_TEXT, false},
		{"jsonb", TYPE_JSON, false},
		{NULL, TYPE_TEXT, false},
	};
	struct conf *c = conf_new(channel_options());
	struct routes *plain, *greenplum;

	(void)unused;
	set(c, 0, "database", "shop");
	assert_int_equal(conf_set(c, "target.kind", "postgresql", "test", NULL), RC_OK);
	assert_int_equal(routes_new(c, &plain, NULL), RC_OK);
	assert_int_equal(conf_set(c, "target.dialect", "greenplum", "test", NULL), RC_OK);
	assert_int_equal(routes_new(c, &greenplum, NULL), RC_OK);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct table *t = table_new("shop", "a");
		struct column *col = table_add_column(t, "c", cases[i].type);

		col->native = cases[i].native != NULL ? xstrdup(cases[i].native) : NULL;
		for (int k = 0; k < 2; k++) {
			uint32_t pick;
			struct table *carried = routes_pick(k == 0 ? plain : greenplum, t, &pick);

			assert_int_equal(carried->ncolumns, k == 0 || !cases[i].lacks);
			table_free(carried);
		}
		table_free(t);
	}
	routes_free(plain);
	routes_free(greenplum);
	conf_free(c);
}

/* Among equals the first in the file; an exact database before a pattern. */
static void
test_ranks(void **unused)
{
	static const struct entry entries[] = {
		{.db = "a", .table = "x*", .drops = "first"},
		{.db = "a", .table = "*x", .drops = "second"},
		{.db = "*", .table = "xx", .drops = "exact"},
		{.db = "*", .table = "??", .drops = "loose"},
		{.db = "*", .drops = "all"},
		{.db = "b", .drops = "b"},
	};
	struct routes *r = routes(entries, COUNT_OF(entries));

	(void)unused;
	assert_null(routes_column(r, "a", "xyx", "first"));
	assert_string_equal(routes_column(r, "a", "xyx", "second"), "second");
	assert_null(routes_column(r, "a", "xx", "exact"));
	assert_null(routes_column(r, "c", "zz", "loose"));
	assert_null(routes_column(r, "c", "zzz", "all"));
	assert_null(routes_column(r, "b", "zzz", "b"));
	routes_free(r);
}

static void
test_refused(void **unused)
{
	static const struct {
		struct entry entries[2];
		size_t n;
		const char *why;
	} cases[] = {
		{{{0}}, 0, "objects is empty"},
		{{{.table = "t"}}, 1, "objects[0] names no database"},
		{{{.db = "a"}, {.db = ""}}, 2, "objects[1] names no database"},
		{{{.db = "a", .table = ""}}, 1, "a name is empty"},
		{{{.db = "a", .to_db = ""}}, 1, "a name is empty"},
		{{{.db = "a", .exclude = true}}, 1, "only excludes"},
		{{{.db = "a"}, {.db = "a"}}, 2, "objects[0] and objects[1] name the same: a.*"},
		{{{.db = "a", .table = "t"}, {.db = "a", .table = "t", .exclude = true}}, 2,
			"name the same: a.t"},
		{{{.db = "a", .to_table = "t"}}, 1, "to_table wants one table"},
		{{{.db = "a", .table = "t?", .to_table = "t"}}, 1, "to_table wants one table"},
		{{{.db = "a*", .to_db = "b"}}, 1, "to_database wants one database"},
		{{{.db = "a"}, {.db = "a", .table = "t", .exclude = true, .to_db = "x"}}, 2,
			"excluded"},
		{{{.db = "a", .table = "t", .columns = "x z y z"}}, 1, "two columns"},
		{{{.db = "a", .table = "t", .columns = "x y x z"}}, 1, "renamed twice"},
		{{{.db = "a", .table = "t", .columns = "x y", .drops = "x"}}, 1,
			"renamed and dropped"},
	};

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct routes *r = NULL;
		struct err e = {0};

		assert_int_equal(build(cases[i].entries, cases[i].n, &r, &e), RC_CONFIG);
		assert_null(r);
		if (strstr(e.text, cases[i].why) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", e.text, cases[i].why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_selection),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_no_rename),
		cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
