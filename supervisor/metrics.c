/* metrics.c - see metrics.h. */
#include "common/compat.h"

#include <string.h>

#include "ipc/msg.h"
#include "supervisor/metrics.h"

/* Workers report once a second. */
#define FRESH_US 2500000u

static const char *const reporters[STAT_COUNT] = {
#define X(symbol, name, who, kind) [STAT_##symbol] = (who),
	STAT_LIST(X)
#undef X
};

static enum end_role
reporter(enum statistic s)
{
	return reporters[s][0] == 'R' ? END_READER : END_WRITER;
}

void
metrics_report(struct metrics *m, enum end_role role, const uint64_t *stats, uint64_t now_us)
{
	for (enum statistic s = 0; s < STAT_COUNT; s++)
		if (reporter(s) == role)
			m->now[s] = stats[s];
	m->reported[role] = true;
	m->reported_us[role] = now_us;
}

void
metrics_pair_ended(struct metrics *m)
{
	for (enum statistic s = 0; s < STAT_COUNT; s++)
		if (!stat_is_gauge(s))
			m->base[s] += m->now[s];
	memset(m->now, 0, sizeof m->now);
	memset(m->reported, 0, sizeof m->reported);
}

void
metrics_clear(struct metrics *m)
{
	memset(m, 0, sizeof *m);
}

uint64_t
metrics_get(const struct metrics *m, enum statistic s)
{
	return m->base[s] + m->now[s];
}

void
metrics_tick(struct metrics *m, uint64_t now_us)
{
	if (m->npoints == METRICS_WINDOW) {
		memmove(m->points, m->points + 1, (METRICS_WINDOW - 1) * sizeof *m->points);
		m->npoints--;
	}
	m->points[m->npoints++] = (struct metrics_point){
		.at_us = now_us,
		.ring_bytes = metrics_get(m, STAT_RING_BYTES),
		.transactions = metrics_get(m, STAT_APPLIED_TXNS),
		.loaded_rows = metrics_get(m, STAT_LOADED_ROWS),
	};
}

bool
metrics_caught_up(const struct metrics *m)
{
	return m->reported[END_READER] && m->reported[END_WRITER] && m->now[STAT_CAUGHT_UP] != 0 &&
	       m->now[STAT_RING_FILL] == 0 && m->now[STAT_IN_FLIGHT] == 0;
}

bool
metrics_loaded(const struct metrics *m)
{
	return m->reported[END_READER] && m->reported[END_WRITER] &&
	       m->now[STAT_TABLES_STREAMING] >= m->now[STAT_TABLES_TOTAL] &&
	       m->now[STAT_TABLES_AT_TARGET] >= m->now[STAT_TABLES_TOTAL];
}

static int64_t
delay_ms(const struct metrics *m, uint64_t now_us, uint64_t position_us, bool flowing)
{
	uint64_t applied = m->now[STAT_APPLIED_TIME] != 0 ? m->now[STAT_APPLIED_TIME] : position_us;
	uint64_t said = m->reported_us[END_WRITER];
	int64_t source_now;

	if (flowing && metrics_caught_up(m))
		return 0;
	/* A report is as old as it is: its age is no delay, while reports come. */
	if (flowing && said != 0 && now_us - said < FRESH_US)
		now_us = said;
	source_now = (int64_t)now_us + (int64_t)m->now[STAT_CLOCK_OFFSET];
	if (applied == 0)
		return -1;
	return source_now > (int64_t)applied ? (source_now - (int64_t)applied) / 1000 : 0;
}

static double
rate(uint64_t from, uint64_t to, double seconds)
{
	return seconds > 0 && to > from ? (double)(to - from) / seconds : 0;
}

struct metrics_rates
metrics_rates(const struct metrics *m, uint64_t now_us, uint64_t position_us, bool flowing)
{
	struct metrics_rates r = {.delay_ms = delay_ms(m, now_us, position_us, flowing)};
	const struct metrics_point *first, *last;
	double seconds;

	if (m->npoints < 2)
		return r;
	first = &m->points[0];
	last = &m->points[m->npoints - 1];
	seconds = (double)(last->at_us - first->at_us) / 1e6;
	r.bandwidth = rate(first->ring_bytes, last->ring_bytes, seconds) / 1e6;
	r.tps = rate(first->transactions, last->transactions, seconds);
	r.load_rows = rate(first->loaded_rows, last->loaded_rows, seconds);
	return r;
}
