/* sched_test.c - groups, conflicts, the gate, who gives way. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "workers/writer/sched.h"

struct fixture {
	struct unit units[12];
	struct token tokens[12];
};

static void
push(struct sched *s, struct fixture *f, int i, uint64_t hash, enum token_mode mode)
{
	f->tokens[i] = (struct token){hash, mode};
	f->units[i].tokens = &f->tokens[i];
	f->units[i].ntokens = 1;
	f->units[i].rows = 1;
	f->units[i].bytes = 10;
	sched_push(s, &f->units[i]);
}

static void
commit(struct sched *s, struct group *g)
{
	assert_true(sched_executed(s, g));
	assert_non_null(sched_committed(s, g));
}

static void
what_does_not_conflict_gathers(void **state)
{
	struct sched *s = sched_new(2, 3, 1000, 2);
	struct fixture f = {0};
	struct group *g;

	(void)state;
	for (int i = 0; i < 4; i++)
		push(s, &f, i, 7, TOKEN_W); /* within a group a conflict does not matter */
	g = sched_take(s, false);
	assert_int_equal(g->units, 3);
	assert_int_equal(g->bytes, 30);
	assert_null(sched_take(s, false)); /* the fourth waits for them */
	assert_int_equal(sched_queued(s), 1);
	commit(s, g);
	commit(s, sched_take(s, false));
	assert_true(sched_idle(s));
	sched_free(s);
}

static void
modes_that_conflict(void **state)
{
	static const bool conflict[3][3] = {
		{false, true, true}, {true, true, true}, {true, true, false}};

	(void)state;
	for (int a = TOKEN_R; a <= TOKEN_C; a++)
		for (int b = TOKEN_R; b <= TOKEN_C; b++) {
			struct sched *s = sched_new(2, 1, 1000, 2);
			struct fixture f = {0};

			push(s, &f, 0, 1, (enum token_mode)a);
			push(s, &f, 1, 1, (enum token_mode)b);
			assert_non_null(sched_take(s, false));
			assert_int_equal(sched_take(s, false) == NULL, conflict[a][b]);
			sched_free(s);
		}
}

static void
a_patient_lane_waits_for_more(void **state)
{
	struct sched *s = sched_new(3, 12, 1000, 2);
	struct fixture f = {0};
	struct group *a;

	(void)state;
	push(s, &f, 0, 1, TOKEN_W);
	a = sched_take(s, true); /* nothing is in flight */
	assert_non_null(a);
	push(s, &f, 1, 2, TOKEN_W);
	push(s, &f, 2, 3, TOKEN_W);
	assert_null(sched_take(s, true));
	push(s, &f, 3, 4, TOKEN_W); /* a quarter of a group */
	assert_int_equal(sched_take(s, true)->units, 3);
	push(s, &f, 4, 5, TOKEN_W);
	assert_null(sched_take(s, true));
	assert_int_equal(sched_take(s, false)->units, 1);
	sched_free(s);
}

static void
commits_keep_the_order(void **state)
{
	struct sched *s = sched_new(2, 1, 1000, 2);
	struct fixture f = {0};
	struct group *a, *b;

	(void)state;
	sched_start_turn(s, 41);
	push(s, &f, 0, 1, TOKEN_W);
	push(s, &f, 1, 2, TOKEN_W);
	a = sched_take(s, false);
	b = sched_take(s, false);
	assert_int_equal(a->turn, 41);
	assert_false(sched_executed(s, b));
	assert_int_equal(b->state, GROUP_AT_GATE);
	assert_ptr_equal(sched_oldest(s), a);
	commit(s, a);
	assert_true(sched_my_turn(s, b));
	assert_int_equal(b->state, GROUP_COMMITTING);
	assert_ptr_equal(sched_committed(s, b), &f.units[1]);
	sched_free(s);
}

static void
alone_has_no_company(void **state)
{
	struct sched *s = sched_new(3, 9, 1000, 2);
	struct fixture f = {0};
	struct group *a;

	(void)state;
	f.units[1].alone = true;
	for (int i = 0; i < 3; i++)
		push(s, &f, i, (uint64_t)i, TOKEN_W);
	a = sched_take(s, false);
	assert_int_equal(a->units, 1);
	assert_null(sched_take(s, false));
	commit(s, a);
	a = sched_take(s, false);
	assert_ptr_equal(a->first, &f.units[1]);
	assert_null(sched_take(s, false));
	commit(s, a);
	assert_non_null(sched_take(s, false));
	sched_free(s);
}

static void
solo_is_its_own_group(void **state)
{
	struct sched *s = sched_new(3, 9, 1000, 2);
	struct fixture f = {0};

	(void)state;
	f.units[1].solo = true;
	for (int i = 0; i < 3; i++)
		push(s, &f, i, (uint64_t)i, TOKEN_W);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sched_take(s, false)->units, 1);
	assert_int_equal(sched_in_flight(s), 3);
	sched_free(s);
}

static void
half_may_be_late(void **state)
{
	struct sched *s = sched_new(2, 100, 1000, 2);
	struct fixture f = {0};
	struct group *a, *b;

	(void)state;
	push(s, &f, 0, 7, TOKEN_R);
	a = sched_take(s, false);
	for (int i = 1; i < 4; i++)
		push(s, &f, i, 100 + (uint64_t)i, TOKEN_W);
	for (int i = 4; i < 8; i++)
		push(s, &f, i, 7, TOKEN_W); /* four of seven would be too many */
	b = sched_take(s, false);
	assert_int_equal(b->units, 6);
	assert_int_equal(b->meets.count, 3); /* one for each of them */
	assert_int_equal(b->meets.tokens[0].hash, 7);
	assert_int_equal(b->meets.tokens[0].mode, TOKEN_R);
	commit(s, a);
	assert_true(sched_executed(s, b));
	sched_run_late(b);
	assert_int_equal(b->state, GROUP_RUNNING);
	assert_true(sched_executed(s, b));
	assert_non_null(sched_committed(s, b));
	b = sched_take(s, false);
	assert_int_equal(b->units, 1);
	assert_int_equal(b->meets.count, 0);
	sched_free(s);
}

static void
a_large_transaction_may_start_with_few_that_are_late(void **state)
{
	struct sched *s = sched_new(3, 100, 1000, 2);
	struct fixture f = {0};

	(void)state;
	push(s, &f, 0, 7, TOKEN_W);
	assert_non_null(sched_take(s, false));
	f.units[1].solo = true;
	push(s, &f, 1, 7, TOKEN_W);
	f.units[1].rows = 8;
	assert_null(sched_take(s, false));
	f.units[1].solo = false;
	assert_non_null(sched_take(s, false));
	sched_free(s);
}

static void
who_waits_at_the_gate_gives_way(void **state)
{
	struct sched *s = sched_new(2, 1, 1000, 2);
	struct fixture f = {0};
	struct group *a, *b;

	(void)state;
	push(s, &f, 0, 1, TOKEN_W);
	push(s, &f, 1, 2, TOKEN_W);
	a = sched_take(s, false);
	b = sched_take(s, false);
	assert_int_equal(sched_stalled(s), 0);
	assert_false(sched_executed(s, b));
	assert_int_equal(sched_stalled(s), 1);
	assert_int_equal(sched_stalled(s), 0);
	assert_true(sched_must_yield(s, b));
	sched_rolled_back(s, b);
	assert_false(sched_must_yield(s, b));
	assert_false(sched_may_run(s, b));
	commit(s, a);
	assert_true(sched_may_run(s, b));
	commit(s, b);
	sched_free(s);
}

static void
the_third_attempt_waits_to_be_oldest(void **state)
{
	struct sched *s = sched_new(2, 1, 1000, 2);
	struct fixture f = {0};
	struct group *a, *b;

	(void)state;
	push(s, &f, 0, 1, TOKEN_W);
	push(s, &f, 1, 2, TOKEN_W);
	a = sched_take(s, false);
	b = sched_take(s, false);
	sched_rolled_back(s, b);
	assert_true(sched_may_run(s, b));
	sched_rolled_back(s, b);
	assert_int_equal(b->attempts, 3);
	assert_false(sched_may_run(s, b));
	sched_rolled_back(s, a);
	sched_rolled_back(s, a);
	assert_true(sched_may_run(s, a));
	commit(s, a);
	assert_true(sched_may_run(s, b));
	sched_free(s);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_conflict_gathers),
		cmocka_unit_test(modes_that_conflict),
		cmocka_unit_test(a_patient_lane_waits_for_more),
		cmocka_unit_test(commits_keep_the_order),
		cmocka_unit_test(alone_has_no_company),
		cmocka_unit_test(solo_is_its_own_group),
		cmocka_unit_test(half_may_be_late),
		cmocka_unit_test(a_large_transaction_may_start_with_few_that_are_late),
		cmocka_unit_test(who_waits_at_the_gate_gives_way),
		cmocka_unit_test(the_third_attempt_waits_to_be_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
