/* batch_test.c - what gathers into one statement, and what must not. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "workers/writer/batch.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
