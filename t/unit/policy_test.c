/* policy_test.c - who is started again, and when. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/err.h"
#include "supervisor/policy.h"

static const struct policy_limits limits = {
	.delay_min_ms = 100, .delay_max_ms = 30000, .stable_ms = 30000};

/* random 0: the whole delay. */
static struct policy_decision
judge(struct policy *p, int status, int signal, bool ready, uint64_t flowed_ms, uint32_t random)
{
	struct policy_death d = {
		.status = status, .signal = signal, .ready = ready, .flowed_ms = flowed_ms};

	return policy_judge(p, &limits, &d, random);
}

static void
the_exit_table_decides(void **state)
{
	static const struct {
		int status, signal;
		bool restart;
	} cases[] = {
		{65, 0, false}, /* data */
		{66, 0, false}, /* conflict */
		{67, 0, false}, /* fenced: two gateways would fence each other for ever */
		{78, 0, false}, /* config */
		{75, 0, true},	/* retry */
		{70, 0, true},	/* bug */
		{0, 0, true},	/* nobody asked it to end */
		{0, 9, true},	/* killed */
		{0, 11, true},	/* crashed */
		{75, 9, true},	/* hung, killed by us */
		{1, 0, true},	/* not of the table: a defect */
		{127, 0, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct policy p = {0};

		assert_int_equal(judge(&p, cases[i].status, cases[i].signal, true, 0, 0).restart,
			cases[i].restart);
	}
}

static void
delays_double_up_to_the_longest(void **state)
{
	static const uint64_t delays[] = {
		100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
	struct policy p = {0};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(delays); i++)
		assert_int_equal(judge(&p, 75, 0, true, 1000, 0).delay_ms, delays[i]);
	assert_int_equal(p.failures, COUNT_OF(delays));
}

static void
a_failed_start_counts_twice(void **state)
{
	struct policy p = {0};

	(void)state;
	assert_int_equal(judge(&p, 75, 0, false, 0, 0).delay_ms, 200);
	assert_int_equal(judge(&p, 75, 0, false, 0, 0).delay_ms, 800);
}

static void
jitter_takes_up_to_half(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (uint32_t random = 0; random < 5000; random += 7) {
		struct policy p = {.failures = 3};
		uint64_t delay = judge(&p, 75, 0, true, 0, random).delay_ms;

		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
	}
	assert_int_equal(least, 400);
	assert_int_equal(most, 800);
}

static void
a_stable_time_earns_a_fresh_count(void **state)
{
	struct policy p = {.failures = 9};

	(void)state;
	assert_int_equal(judge(&p, 75, 0, true, limits.stable_ms - 1, 0).delay_ms, 30000);
	assert_int_equal(judge(&p, 75, 0, true, limits.stable_ms, 0).delay_ms, 100);
	policy_reset(&p);
	assert_int_equal(p.failures, 0);
}

static void
no_count_runs_over(void **state)
{
	struct policy p = {.failures = UINT32_MAX - 1};
	struct policy_limits none = {.delay_min_ms = 1, .delay_max_ms = 1, .stable_ms = 1000};
	struct policy_death d = {.status = 75, .ready = true};

	(void)state;
	assert_int_equal(policy_judge(&p, &none, &d, 12345).delay_ms, 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_table_decides),
		cmocka_unit_test(delays_double_up_to_the_longest),
		cmocka_unit_test(a_failed_start_counts_twice),
		cmocka_unit_test(jitter_takes_up_to_half),
		cmocka_unit_test(a_stable_time_earns_a_fresh_count),
		cmocka_unit_test(no_count_runs_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
