/* ddl_test.c - statements of the log: what they are, and the same with other names (R66-R68, R83).
 */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/mysql/charset.h"
#include "common/mysql/ddl.h"
#include "common/mysql/ddl_apply.h"

static const struct {
	const char *sql;
	enum ddl_verb verb;
	enum ddl_rewritten result;
	const char *out;
	uint64_t sql_mode;
	const char *charset;
} cases[] = {
#include "t/unit/ddl_cases.def"
};

/* Database d becomes d2, table t becomes t_x, column old becomes new, column note is dropped. */
static const char *
suffixed(const char *name, const char *suffix)
{
	static char ring[4][200];
	static unsigned next;
	char *to = ring[next++ & 3];

	snprintf(to, sizeof ring[0], "%s%s", name, suffix);
	return to;
}

static const char *
map_db(void *arg, const char *db, const char *name)
{
	(void)arg;
	(void)name;
	return suffixed(db, "2");
}

static const char *
map_name(void *arg, const char *db, const char *name)
{
	(void)arg;
	(void)db;
	return suffixed(name, "_x");
}

static const char *
map_column(void *arg, const char *db, const char *table, const char *column)
{
	(void)arg;
	(void)db;
	(void)table;
	if (strcmp(column, "note") == 0)
		return NULL;
	return strcmp(column, "old") == 0 ? "new" : column;
}

static const struct ddl_mapper mapper = {
	.map_db = map_db, .map_name = map_name, .map_column = map_column};

static void
statements_are_understood_and_mapped(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct ddl_text text = {.sql = cases[i].sql,
			.len = strlen(cases[i].sql),
			.charset = cases[i].charset,
			.sql_mode = cases[i].sql_mode,
			.default_db = "d"};
		struct ddl d;
		struct buf out;
		const char *wanted = cases[i].out != NULL ? cases[i].out : "";
		enum ddl_rewritten result;

		buf_init(&out);
		ddl_parse_text(&d, &text);
		result = ddl_rewrite(&d, &mapper, &out);
		if (d.verb != cases[i].verb || result != cases[i].result ||
			strcmp(buf_text(&out), wanted) != 0)
			print_message("case %zu: %s\n  %s: %s\n", i, cases[i].sql,
				ddl_verb_name(d.verb), buf_text(&out));
		assert_int_equal(d.verb, cases[i].verb);
		assert_int_equal(result, cases[i].result);
		assert_string_equal(buf_text(&out), wanted);
		ddl_release(&d);
		buf_release(&out);
	}
}

/* No text, however broken, is read beyond its end: the sanitizers look on. */
static void
halves_of_statements_do_no_harm(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t len = 0; len < strlen(cases[i].sql); len++) {
			char *half = test_malloc(len + 1);
			struct ddl_text text = {.sql = half,
				.len = len,
				.charset = cases[i].charset,
				.sql_mode = cases[i].sql_mode};
			struct ddl_env env = {.mariadb = true, .version = 101100};
			struct table *t = table_new("d", "t");
			const char *why;
			struct ddl d;
			struct buf out;

			memcpy(half, cases[i].sql, len);
			buf_init(&out);
			ddl_parse_text(&d, &text);
			(void)ddl_rewrite(&d, &mapper, &out);
			(void)ddl_apply(t, &d, &env, &why);
			table_free(t);
			ddl_release(&d);
			buf_release(&out);
			test_free(half);
		}
}

static void
charsets_are_found_by_name_and_number(void **state)
{
	(void)state;
	assert_string_equal(collation_name(45, false), "utf8mb4_general_ci");
	assert_string_equal(collation_name(255, false), "utf8mb4_0900_ai_ci");
	assert_string_equal(charset_of_id(63)->name, "binary");
	assert_int_equal(charset_find("UTF8")->max_bytes, 3);
	assert_string_equal(charset_of_collation("latin1_bin")->name, "latin1");
	assert_null(charset_find("nope"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statements_are_understood_and_mapped),
		cmocka_unit_test(halves_of_statements_do_no_harm),
		cmocka_unit_test(charsets_are_found_by_name_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
