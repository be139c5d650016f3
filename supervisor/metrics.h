/*
 * metrics.h - what a channel does per second, from what its workers report.
 *
 * Workers report totals since their own start, once a second. Totals here go
 * on over restarts: what an ended pair had is kept as a base. Rates are taken
 * over the last few seconds. Pure: the clock comes as an argument.
 *
 * Delay (R29): the source's clock now, less the commit time of the newest
 * transaction applied. While the source's log is read to its end and nothing
 * is under way, there is nothing that could be late: the delay is 0.
 */
#ifndef SUPERVISOR_METRICS_H
#define SUPERVISOR_METRICS_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "ipc/proto.h"
#include "supervisor/end.h"

#define METRICS_WINDOW 6 /* snapshots, one a second: rates are over five seconds */

struct metrics_point {
	uint64_t at_us;
	uint64_t ring_bytes;
	uint64_t transactions;
	uint64_t loaded_rows;
};

struct metrics {
	uint64_t base[STAT_COUNT]; /* counters of pairs that have ended */
	uint64_t now[STAT_COUNT];  /* of the pair that runs, both ends merged */
	bool reported[END_COUNT];  /* the pair that runs has */
	uint64_t reported_us[END_COUNT];
	struct metrics_point points[METRICS_WINDOW];
	unsigned npoints;
};

struct metrics_rates {
	double bandwidth; /* MB/s, 10^6 bytes */
	double tps;
	double load_rows; /* rows a second */
	int64_t delay_ms; /* -1: not known */
};

void metrics_report(struct metrics *m, enum end_role role, const uint64_t *stats, uint64_t now_us);
/* The pair has ended: counters move into the base, gauges are no more. */
void metrics_pair_ended(struct metrics *m);
/* Once a second. */
void metrics_tick(struct metrics *m, uint64_t now_us);
void metrics_clear(struct metrics *m);
/* Counters over all pairs; gauges as reported last. */
uint64_t metrics_get(const struct metrics *m, enum statistic s);
/* position_us: commit time of the newest applied, if the running writer has applied nothing yet;
 * 0: not known. */
struct metrics_rates metrics_rates(
	const struct metrics *m, uint64_t now_us, uint64_t position_us, bool flowing);
/* All that was read is applied, and the log's end has been read. */
bool metrics_caught_up(const struct metrics *m);
/* All tables stream: the reader says so, and the target has it. */
bool metrics_loaded(const struct metrics *m);

#endif
