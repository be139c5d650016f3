/* metrics_test.c - rates, delay, and totals that go on over restarts (R27-R31). */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/metrics.h"

#define S ((uint64_t)1000000)

static void
report(struct metrics *m, uint64_t at, uint64_t ring_bytes, uint64_t txns)
{
	uint64_t r[STAT_COUNT] = {[STAT_RING_BYTES] = ring_bytes, [STAT_INSERTS] = 999};
	uint64_t w[STAT_COUNT] = {[STAT_APPLIED_TXNS] = txns, [STAT_READ_TXNS] = 999};

	metrics_report(m, END_READER, r, at);
	metrics_report(m, END_WRITER, w, at);
	metrics_tick(m, at);
}

static void
rates_are_over_the_last_seconds(void **state)
{
	struct metrics m = {0};
	struct metrics_rates r;

	(void)state;
	r = metrics_rates(&m, 100 * S, 0, true);
	assert_float_equal(r.tps, 0, 0);
	for (uint64_t i = 0; i <= 20; i++)
		report(&m, (100 + i) * S, i < 10 ? 0 : (i - 10) * 2000000, i * 50);
	r = metrics_rates(&m, 120 * S, 0, true);
	assert_float_equal(r.tps, 50, 0.001);
	assert_float_equal(r.bandwidth, 2.0, 0.001); /* MB/s */
	/* Each end is believed only about what it knows. */
	assert_int_equal(metrics_get(&m, STAT_INSERTS), 0);
	assert_int_equal(metrics_get(&m, STAT_READ_TXNS), 0);
}

static void
totals_go_on_over_restarts(void **state)
{
	struct metrics m = {0};
	uint64_t w[STAT_COUNT] = {[STAT_APPLIED_TXNS] = 70, [STAT_IN_FLIGHT] = 3};

	(void)state;
	metrics_report(&m, END_WRITER, w, S);
	metrics_pair_ended(&m);
	assert_int_equal(metrics_get(&m, STAT_APPLIED_TXNS), 70);
	assert_int_equal(metrics_get(&m, STAT_IN_FLIGHT), 0);
	w[STAT_APPLIED_TXNS] = 5;
	metrics_report(&m, END_WRITER, w, 2 * S);
	assert_int_equal(metrics_get(&m, STAT_APPLIED_TXNS), 75);
	metrics_clear(&m);
	assert_int_equal(metrics_get(&m, STAT_APPLIED_TXNS), 0);
}

static void
delay_is_by_the_sources_clock(void **state)
{
	struct metrics m = {0};
	uint64_t r[STAT_COUNT] = {[STAT_CLOCK_OFFSET] = (uint64_t) - (int64_t)(2 * S)};
	uint64_t w[STAT_COUNT] = {[STAT_APPLIED_TIME] = 90 * S};

	(void)state;
	assert_int_equal(metrics_rates(&m, 100 * S, 0, true).delay_ms, -1);
	assert_int_equal(metrics_rates(&m, 100 * S, 60 * S, false).delay_ms, 40000);
	metrics_report(&m, END_READER, r, 100 * S);
	metrics_report(&m, END_WRITER, w, 100 * S);
	/* It is 98 there. */
	assert_int_equal(metrics_rates(&m, 100 * S, 60 * S, true).delay_ms, 8000);
	/* A report that is a second old says what was true then... */
	assert_int_equal(metrics_rates(&m, 101 * S, 60 * S, true).delay_ms, 8000);
	/* ...one that does not come is no excuse. */
	assert_int_equal(metrics_rates(&m, 110 * S, 60 * S, true).delay_ms, 18000);
	/* A clock that runs ahead makes no negative delay. */
	w[STAT_APPLIED_TIME] = 200 * S;
	metrics_report(&m, END_WRITER, w, 100 * S);
	assert_int_equal(metrics_rates(&m, 100 * S, 0, true).delay_ms, 0);
}

static void
nothing_is_late_when_caught_up(void **state)
{
	struct metrics m = {0};
	uint64_t r[STAT_COUNT] = {[STAT_CAUGHT_UP] = 1};
	uint64_t w[STAT_COUNT] = {[STAT_APPLIED_TIME] = 10 * S};

	(void)state;
	metrics_report(&m, END_READER, r, 100 * S);
	assert_false(metrics_caught_up(&m)); /* the writer has not spoken */
	metrics_report(&m, END_WRITER, w, 100 * S);
	assert_true(metrics_caught_up(&m));
	assert_int_equal(metrics_rates(&m, 100 * S, 0, true).delay_ms, 0);
	assert_int_equal(metrics_rates(&m, 100 * S, 0, false).delay_ms, 90000);
	w[STAT_RING_FILL] = 100;
	metrics_report(&m, END_WRITER, w, 100 * S);
	assert_false(metrics_caught_up(&m));
	w[STAT_RING_FILL] = 0;
	w[STAT_IN_FLIGHT] = 1;
	metrics_report(&m, END_WRITER, w, 100 * S);
	assert_false(metrics_caught_up(&m));
	assert_int_equal(metrics_rates(&m, 100 * S, 0, true).delay_ms, 90000);
}

static void
loaded_is_what_the_target_has(void **state)
{
	struct metrics m = {0};
	uint64_t r[STAT_COUNT] = {[STAT_TABLES_TOTAL] = 3, [STAT_TABLES_STREAMING] = 2};
	uint64_t w[STAT_COUNT] = {0};

	(void)state;
	assert_false(metrics_loaded(&m));
	metrics_report(&m, END_READER, r, S);
	assert_false(metrics_loaded(&m));
	r[STAT_TABLES_STREAMING] = 3;
	metrics_report(&m, END_READER, r, S);
	assert_false(metrics_loaded(&m));
	w[STAT_TABLES_AT_TARGET] = 2;
	metrics_report(&m, END_WRITER, w, S);
	assert_false(metrics_loaded(&m));
	w[STAT_TABLES_AT_TARGET] = 3;
	metrics_report(&m, END_WRITER, w, S);
	assert_true(metrics_loaded(&m));
	metrics_pair_ended(&m);
	assert_false(metrics_loaded(&m));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_over_the_last_seconds),
		cmocka_unit_test(totals_go_on_over_restarts),
		cmocka_unit_test(delay_is_by_the_sources_clock),
		cmocka_unit_test(nothing_is_late_when_caught_up),
		cmocka_unit_test(loaded_is_what_the_target_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
