/* batch_test.c - what gathers into one statement, and what must not. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/schema.h"
#include "workers/writer/batch.h"
#include "workers/writer/sink.h"

#define CHANGES 6

struct given {
	uint64_t shape, hash, component;
	enum token_mode mode;
};

struct fixture {
	struct arena arena;
	struct token tokens[CHANGES];
	struct change changes[CHANGES];
	struct batch_list list;
};

static void
plan(struct fixture *f, const struct given *g, uint32_t n, uint32_t max_rows)
{
	struct change *all[CHANGES];

	arena_init(&f->arena);
	for (uint32_t i = 0; i < n; i++) {
		f->tokens[i] = (struct token){g[i].hash, g[i].mode};
		f->changes[i] = (struct change){.tokens = &f->tokens[i],
			.ntokens = 1,
			.shape = g[i].shape,
			.component = g[i].component};
		all[i] = &f->changes[i];
	}
	batch_plan(&f->arena, all, n, max_rows, &f->list);
}

static uint32_t
batch_of(const struct fixture *f, uint32_t change)
{
	for (uint32_t b = 0; b < f->list.count; b++)
		for (uint32_t i = 0; i < f->list.batches[b].count; i++)
			if (f->list.batches[b].changes[i] == &f->changes[change])
				return b;
	fail();
	return 0;
}

static void
one_shape_gathers_past_others(void **state)
{
	static const struct given g[] = {
		{1, 10, 0, TOKEN_W}, {2, 11, 0, TOKEN_W}, {1, 12, 0, TOKEN_W}, {2, 13, 0, TOKEN_W}};
	struct fixture f;

	(void)state;
	plan(&f, g, 4, 100);
	assert_int_equal(f.list.count, 2);
	assert_int_equal(batch_of(&f, 2), 0);
	assert_int_equal(batch_of(&f, 3), 1);
	arena_release(&f.arena);
}

static void
one_key_is_never_twice_in_a_batch(void **state)
{
	static const struct given g[] = {
		{1, 10, 0, TOKEN_W}, {1, 10, 0, TOKEN_W}, {1, 11, 0, TOKEN_W}, {1, 10, 0, TOKEN_W}};
	struct fixture f;

	(void)state;
	plan(&f, g, 4, 100);
	assert_int_equal(f.list.count, 3);
	assert_int_equal(batch_of(&f, 1), 1);
	assert_int_equal(batch_of(&f, 2), 0);
	assert_int_equal(batch_of(&f, 3), 2);
	arena_release(&f.arena);
}

static void
readers_of_a_value_stay_behind_its_writer(void **state)
{
	static const struct given g[] = {
		{1, 10, 0, TOKEN_R}, {2, 10, 0, TOKEN_W}, {1, 10, 0, TOKEN_R}, {1, 10, 0, TOKEN_R}};
	struct fixture f;

	(void)state;
	plan(&f, g, 4, 100);
	assert_int_equal(f.list.count, 3);
	assert_int_equal(batch_of(&f, 2), 2);
	assert_int_equal(batch_of(&f, 3), 2);
	arena_release(&f.arena);
}

static void
relatives_keep_their_order(void **state)
{
	static const struct given g[] = {
		{1, 10, 5, TOKEN_W}, {2, 11, 5, TOKEN_W}, {1, 12, 5, TOKEN_W}, {1, 13, 0, TOKEN_W}};
	struct fixture f;

	(void)state;
	plan(&f, g, 4, 100);
	assert_int_equal(batch_of(&f, 1), 1);
	assert_int_equal(batch_of(&f, 2), 2);
	assert_int_equal(batch_of(&f, 3), 0);
	arena_release(&f.arena);
}

/* Change 1 meets what is in flight; 2 and 4 follow on it, 3 is a relative of 2; 0 has nothing
 * to do with them. */
static void
what_waits_takes_its_followers_along(void **state)
{
	static const struct given g[] = {{1, 9, 0, TOKEN_W}, {1, 10, 0, TOKEN_W},
		{2, 10, 5, TOKEN_W}, {1, 12, 5, TOKEN_W}, {1, 10, 0, TOKEN_R}};
	struct token met = {10, TOKEN_R};
	const struct token_list meets = {&met, 1, 1};
	struct change *all[CHANGES];
	struct fixture f;

	(void)state;
	plan(&f, g, 5, 100);
	for (int i = 0; i < 5; i++)
		all[i] = &f.changes[i];
	assert_int_equal(batch_late(&f.arena, all, 1, &meets), 1);
	assert_int_equal(batch_late(&f.arena, all, 5, &meets), 1);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(all[i], &f.changes[i]);
	all[0] = &f.changes[4]; /* it reads, as those in flight do */
	all[4] = &f.changes[0];
	assert_int_equal(batch_late(&f.arena, all, 5, &meets), 2);
	assert_ptr_equal(all[0], &f.changes[4]);
	assert_ptr_equal(all[1], &f.changes[0]);
	assert_ptr_equal(all[2], &f.changes[1]);
	arena_release(&f.arena);
}

static void
a_batch_has_a_limit(void **state)
{
	static const struct given g[] = {{1, 10, 0, TOKEN_W}, {1, 11, 0, TOKEN_W},
		{1, 12, 0, TOKEN_W}, {1, 13, 0, TOKEN_W}, {1, 14, 0, TOKEN_W}};
	struct fixture f;

	(void)state;
	plan(&f, g, 5, 2);
	assert_int_equal(f.list.count, 3);
	assert_int_equal(f.list.batches[2].count, 1);
	arena_release(&f.arena);
}

/* ---- changes of one row made one ---- */

/* Columns k (the key), a, b; a letter is a value, '-' UNCHANGED, 0 no row. */
struct row_change {
	enum event_kind op;
	const char *before, *after;
};

struct merging {
	struct arena arena;
	struct table *table;
	uint32_t map[3];
	struct target target;
	struct value values[CHANGES][2][3];
	struct token tokens[CHANGES];
	struct change changes[CHANGES];
	struct change *all[CHANGES];
	uint32_t left;
};

static void
set_row(struct row *r, struct value *v, const char *text)
{
	if (text == NULL)
		return;
	for (uint32_t i = 0; i < 3; i++)
		v[i] = text[i] == '-' ? (struct value){.kind = VALUE_UNCHANGED}
				      : (struct value){.kind = VALUE_BYTES,
						.len = 1,
						.data = (const unsigned char *)text + i};
	*r = (struct row){.col = v, .ncols = 3};
}

static void
merge(struct merging *m, const struct row_change *given, uint32_t n, bool mends)
{
	static const char *const names[] = {"k", "a", "b"};

	*m = (struct merging){.map = {0, 1, 2}};
	arena_init(&m->arena);
	m->table = table_new("d", "t");
	for (int i = 0; i < 3; i++)
		table_add_column(m->table, names[i], TYPE_TEXT);
	index_add_part(table_add_index(m->table, "PRIMARY", true, true), 0, 0);
	m->target = (struct target){
		.source = m->table, .table = m->table, .map = m->map, .key = table_key(m->table)};
	assert_non_null(m->target.key);
	for (uint32_t i = 0; i < n; i++) {
		struct change *c = &m->changes[i];

		*c = (struct change){.op = given[i].op, .target = &m->target, .ntokens = 1};
		set_row(&c->before, m->values[i][0], given[i].before);
		set_row(&c->after, m->values[i][1], given[i].after);
		m->tokens[i] = (struct token){
			(uint64_t)(given[i].before != NULL ? given[i].before : given[i].after)[0],
			TOKEN_W};
		c->tokens = &m->tokens[i];
		c->shape = batch_shape(c);
		m->all[i] = c;
	}
	m->left = batch_merge(&m->arena, m->all, n, mends);
}

static void
end_merging(struct merging *m)
{
	arena_release(&m->arena);
	table_free(m->table);
}

static void
is_change(const struct merging *m, uint32_t i, enum event_kind op, const char *after)
{
	const struct change *c = m->all[i];

	assert_true(i < m->left);
	assert_int_equal(c->op, op);
	assert_int_equal(c->after.ncols, after != NULL ? 3 : 0);
	assert_int_equal(c->shape, batch_shape(c));
	for (uint32_t k = 0; k < c->after.ncols; k++)
		if (after[k] == '-')
			assert_int_equal(c->after.col[k].kind, VALUE_UNCHANGED);
		else
			assert_memory_equal(c->after.col[k].data, after + k, 1);
}

static void
changes_of_a_row_become_one(void **state)
{
	static const struct row_change given[] = {{EVENT_INSERT, NULL, "1xy"},
		{EVENT_UPDATE, "2aa", "2b-"}, {EVENT_UPDATE, "1xy", "1-z"},
		{EVENT_UPDATE, "2ba", "2cd"}, {EVENT_DELETE, "3aa", NULL},
		{EVENT_INSERT, NULL, "3bb"}};
	struct merging m;

	(void)state;
	merge(&m, given, 6, false);
	assert_int_equal(m.left, 3);
	is_change(&m, 0, EVENT_INSERT, "1xz");
	is_change(&m, 1, EVENT_UPDATE, "2cd");
	assert_memory_equal(m.all[1]->before.col[1].data, "a", 1);
	is_change(&m, 2, EVENT_UPDATE, "3bb");
	/* What was given stays: a batch that does not match is run change by change. */
	assert_int_equal(m.changes[4].op, EVENT_DELETE);
	assert_int_equal(m.changes[1].after.col[2].kind, VALUE_UNCHANGED);
	end_merging(&m);
}

static void
what_no_change_carried_stays_unchanged(void **state)
{
	static const struct row_change given[] = {{EVENT_UPDATE, "2aa", "-b-"},
		{EVENT_UPDATE, "2ba", "-c-"}, {EVENT_DELETE, "3aa", NULL},
		{EVENT_INSERT, NULL, "3b-"}};
	struct merging m;

	(void)state;
	merge(&m, given, 4, false);
	assert_int_equal(m.left, 3);
	is_change(&m, 0, EVENT_UPDATE, "-c-");
	/* An UPDATE would leave what the old row had. */
	is_change(&m, 1, EVENT_DELETE, NULL);
	is_change(&m, 2, EVENT_INSERT, "3b-");
	end_merging(&m);
}

static void
a_row_that_comes_and_goes_is_nothing(void **state)
{
	static const struct row_change given[] = {{EVENT_INSERT, NULL, "1xy"},
		{EVENT_UPDATE, "1xy", "1xz"}, {EVENT_DELETE, "1xz", NULL},
		{EVENT_INSERT, NULL, "1aa"}, {EVENT_UPDATE, "2aa", "2bb"},
		{EVENT_DELETE, "2bb", NULL}};
	struct merging m;

	(void)state;
	merge(&m, given, 6, false);
	assert_int_equal(m.left, 2);
	is_change(&m, 0, EVENT_INSERT, "1aa");
	is_change(&m, 1, EVENT_DELETE, NULL);
	end_merging(&m);
	/* It could have met a row of others, which would be mended. */
	merge(&m, given, 3, true);
	assert_int_equal(m.left, 2);
	is_change(&m, 0, EVENT_INSERT, "1xz");
	is_change(&m, 1, EVENT_DELETE, NULL);
	end_merging(&m);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shape_gathers_past_others),
		cmocka_unit_test(one_key_is_never_twice_in_a_batch),
		cmocka_unit_test(readers_of_a_value_stay_behind_its_writer),
		cmocka_unit_test(relatives_keep_their_order),
		cmocka_unit_test(what_waits_takes_its_followers_along),
		cmocka_unit_test(a_batch_has_a_limit),
		cmocka_unit_test(changes_of_a_row_become_one),
		cmocka_unit_test(what_no_change_carried_stays_unchanged),
		cmocka_unit_test(a_row_that_comes_and_goes_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
