/* token_test.c - which changes conflict, and which do not. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/collation.h"
#include "workers/writer/token.h"

/* t: k key, u text unique; keyless: the same without indexes; child: u refers to t. */
struct fixture {
	struct fk_world *world;
	struct token_plan *t, *keyless, *child;
};

static const uint32_t map[2] = {0, 1};

static struct table *
table(const char *name, bool keyed, const char *collation)
{
	struct table *t = table_new("d", name);
	struct column *c;

	table_add_column(t, "k", TYPE_BINARY);
	c = table_add_column(t, "u", TYPE_TEXT);
	c->collation = xstrdup(collation);
	c->nullable = true;
	if (keyed) {
		index_add_part(table_add_index(t, "PRIMARY", true, true), 0, 0);
		index_add_part(table_add_index(t, "u", false, true), 1, 0);
	}
	return t;
}

static void
refer(struct table *t, enum fk_action action)
{
	struct foreign_key *fk = table_add_fk(t, "fk");

	fk->columns = xcalloc(1, sizeof *fk->columns);
	fk->columns[0] = 1;
	fk->ref_db = xstrdup("d");
	fk->ref_table = xstrdup("t");
	fk->ref_columns = xcalloc(1, sizeof *fk->ref_columns);
	fk->ref_columns[0] = xstrdup("u");
	fk->ncolumns = 1;
	fk->on_delete = action;
}

static void
open_world(struct fixture *f, const char *collation, enum fk_action action)
{
	struct table *t = table("t", true, collation), *n = table("n", false, collation),
		     *c = table("c", true, collation);

	refer(c, action);
	c->indexes[1].unique = false;
	f->world = fk_world_new();
	(void)fk_world_set(f->world, t);
	assert_true(fk_world_set(f->world, c));
	assert_false(fk_world_set(f->world, n));
	f->t = token_plan_new(t, t, map, f->world);
	f->keyless = token_plan_new(n, n, map, f->world);
	f->child = token_plan_new(c, c, map, f->world);
	table_free(t);
	table_free(n);
	table_free(c);
}

static void
close_world(struct fixture *f)
{
	token_plan_free(f->t);
	token_plan_free(f->keyless);
	token_plan_free(f->child);
	fk_world_free(f->world);
}

/* "key|unique value"; no bar: NULL. */
static struct row
fill(struct value v[2], const char *text)
{
	const char *bar = text != NULL ? strchr(text, '|') : NULL;

	if (text == NULL)
		return (struct row){0};
	v[0] = (struct value){.kind = VALUE_BYTES,
		.len = (uint32_t)(bar != NULL ? (size_t)(bar - text) : strlen(text)),
		.data = (const unsigned char *)text};
	v[1] = (struct value){.kind = VALUE_NULL};
	if (bar != NULL)
		v[1] = (struct value){.kind = VALUE_BYTES,
			.len = (uint32_t)strlen(bar + 1),
			.data = (const unsigned char *)bar + 1};
	return (struct row){v, 2};
}

/* NULL before: INSERT; NULL after: DELETE. */
static struct token_list
tokens(const struct token_plan *p, const char *before, const char *after)
{
	struct value bv[2], av[2];
	struct row b = fill(bv, before), a = fill(av, after);
	struct token_list l = {0};

	token_row(p,
		before == NULL	? EVENT_INSERT
		: after == NULL ? EVENT_DELETE
				: EVENT_UPDATE,
		&b, &a, &l);
	token_list_pack(&l);
	return l;
}

static bool
meet(struct token_list a, struct token_list b)
{
	bool conflict = false;

	for (size_t i = 0; i < a.count; i++)
		for (size_t k = 0; k < b.count; k++)
			conflict = conflict ||
				   (a.tokens[i].hash == b.tokens[k].hash &&
					   token_conflict(a.tokens[i].mode, b.tokens[k].mode));
	token_list_release(&a);
	token_list_release(&b);
	return conflict;
}

static void
keys_and_unique_values(void **state)
{
	static const struct {
		const char *before1, *after1, *before2, *after2;
		bool conflict;
	} cases[] = {
		{NULL, "1|a", NULL, "2|b", false},
		{NULL, "1|a", NULL, "1|b", true},
		{NULL, "1|a", NULL, "2|a", true},
		{NULL, "1", NULL, "2", false},
		{"1|a", "1|b", NULL, "2|a", true},
		{"1|a", "1|b", NULL, "2|b", true},
		{"1|a", "1|a", "2|b", "2|b", false},
		{"1|a", NULL, NULL, "2|a", true},
		{"1|a", "3|a", "2|b", "2|c", false},
		{"1|a", "3|a", NULL, "3|z", true},
		{"1|a", "1|b", "2|b", "2|c", true},
		/* folded, and without trailing spaces */
		{NULL, "1|Abc", NULL, "2|aBC  ", true},
		/* beyond printable ASCII: whoever names a value of the index */
		{NULL, "1|\xc3\xa4", NULL, "2|b", true},
		{NULL, "1|\xc3\xa4", NULL, "2", false},
	};
	struct fixture f;

	(void)state;
	open_world(&f, "utf8mb4_general_ci", FK_NONE);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (meet(tokens(f.t, cases[i].before1, cases[i].after1),
			    tokens(f.t, cases[i].before2, cases[i].after2)) != cases[i].conflict)
			fail_msg("case %zu", i);
	close_world(&f);
}

static void
collations(void **state)
{
	static const struct {
		const char *name;
		bool other_case, other_value;
	} cases[] = {
		{"utf8mb4_bin", false, false},
		{"utf8mb4_general_ci", true, false},
		{"latin1_swedish_ci", true, false},
		{"utf8mb4_roman_ci", true, true},
		{"some_unknown_ci", true, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fixture f;

		open_world(&f, cases[i].name, FK_NONE);
		assert_int_equal(meet(tokens(f.t, NULL, "1|a"), tokens(f.t, NULL, "2|A")),
			cases[i].other_case);
		assert_int_equal(meet(tokens(f.t, NULL, "1|a"), tokens(f.t, NULL, "2|b")),
			cases[i].other_value);
		close_world(&f);
	}
	assert_int_equal(collation_fold(NULL), FOLD_UNKNOWN);
}

static void
tables_without_a_key(void **state)
{
	struct fixture f;

	(void)state;
	open_world(&f, "utf8mb4_bin", FK_NONE);
	assert_false(meet(tokens(f.keyless, NULL, "1|a"), tokens(f.keyless, NULL, "1|a")));
	assert_true(meet(tokens(f.keyless, NULL, "1|a"), tokens(f.keyless, "2|b", NULL)));
	assert_true(meet(tokens(f.keyless, "1|a", NULL), tokens(f.keyless, "2|b", "2|c")));
	assert_false(meet(tokens(f.keyless, "1|a", NULL), tokens(f.t, "1|a", NULL)));
	close_world(&f);
}

static void
parents_and_children(void **state)
{
	struct fixture f;

	(void)state;
	open_world(&f, "utf8mb4_bin", FK_NONE);
	assert_true(meet(tokens(f.t, NULL, "1|a"), tokens(f.child, NULL, "9|a")));
	assert_true(meet(tokens(f.t, "1|a", NULL), tokens(f.child, "9|a", NULL)));
	assert_false(meet(tokens(f.t, NULL, "1|a"), tokens(f.child, NULL, "9|b")));
	assert_false(meet(tokens(f.child, NULL, "8|a"), tokens(f.child, NULL, "9|a")));
	assert_int_equal(token_component(f.t), token_component(f.child));
	assert_int_equal(token_component(f.keyless), 0);
	close_world(&f);
	open_world(&f, "utf8mb4_bin", FK_CASCADE);
	assert_true(meet(tokens(f.t, "1|a", NULL), tokens(f.child, "9|b", "9|c")));
	assert_true(meet(tokens(f.t, "1|a", "1|x"), tokens(f.child, "9|b", "9|c")));
	assert_false(meet(tokens(f.t, "1|a", "1|a"), tokens(f.child, "9|b", "9|c")));
	close_world(&f);
}

static struct token_list
chunk(const struct token_plan *p, uint32_t ring)
{
	struct token_list l = {0};

	token_chunk(p, &l);
	token_ring(ring, &l);
	return l;
}

static void
chunks(void **state)
{
	struct fixture f;

	(void)state;
	open_world(&f, "utf8mb4_bin", FK_CASCADE);
	assert_false(meet(chunk(f.t, 0), chunk(f.t, 1)));
	assert_true(meet(chunk(f.t, 0), chunk(f.keyless, 0)));
	assert_true(meet(chunk(f.t, 0), tokens(f.t, NULL, "1|a")));
	assert_true(
		meet(chunk(f.t, 0), tokens(f.child, NULL, "9|b"))); /* its parent may be in it */
	assert_true(meet(chunk(f.child, 0), tokens(f.t, "1|a", NULL)));
	assert_false(meet(chunk(f.t, 0), tokens(f.keyless, NULL, "1|a")));
	close_world(&f);
}

static void
packing_keeps_the_strongest(void **state)
{
	struct token_list l = {0};

	(void)state;
	token_add(&l, 7, TOKEN_R);
	token_add(&l, 3, TOKEN_R);
	token_add(&l, 7, TOKEN_C);
	token_add(&l, 3, TOKEN_R);
	token_add(&l, 1, TOKEN_W);
	token_add(&l, 1, TOKEN_R);
	token_list_pack(&l);
	assert_int_equal(l.count, 3);
	assert_int_equal(l.tokens[0].mode, TOKEN_W);
	assert_int_equal(l.tokens[1].mode, TOKEN_R);
	assert_int_equal(l.tokens[2].mode, TOKEN_W);
	token_list_release(&l);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_and_unique_values),
		cmocka_unit_test(collations),
		cmocka_unit_test(tables_without_a_key),
		cmocka_unit_test(parents_and_children),
		cmocka_unit_test(chunks),
		cmocka_unit_test(packing_keeps_the_strongest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
