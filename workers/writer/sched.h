/*
 * sched.h - which transactions run now, together, and in which order they commit.
 *
 * Pure: no I/O, no clock, no lock (the caller's). The caller pushes units in
 * the source's order; an idle lane takes a group: consecutive whole units from
 * the head of the queue, up to a bound. At most `lanes` groups are in flight;
 * their token sets are the whole dependency state.
 *
 * What a group has that conflicts with a group in flight waits for the gate:
 * the lane runs all else at once, and these *late* changes when its turn has
 * come, when everything older is committed. `meets` says which tokens they
 * wait for. Late rows hold up the gate, and the locks of those before them: where they
 * would be more than the engine can bear, the group is cut; if it is the very first
 * unit, or one that is solo, nothing starts.
 *
 * The gate: groups commit in the order of their turns, 1, 2, 3, ...
 *
 *   RUNNING      a lane executes it
 *   AT_GATE      executed, holds its locks, waits for its turn
 *   COMMITTING   its turn: the lane commits
 *   ROLLED_BACK  gave its locks back; runs again when `sched_may_run` says so
 *
 * A unit that is `alone` (DDL, initial schema, a transaction larger than the
 * window) forms a group by itself, starts when nothing is in flight, and
 * nothing starts before it is done.
 */
#ifndef WORKERS_WRITER_SCHED_H
#define WORKERS_WRITER_SCHED_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/writer/token.h"

/* What is scheduled: the caller embeds this first in its own struct. */
struct unit {
	struct unit *next;	    /* the scheduler's, while queued or in a group */
	const struct token *tokens; /* packed; the caller's until done */
	size_t ntokens;
	uint32_t rows;
	size_t bytes;
	bool alone;
	bool solo; /* its own group, but others may run beside it: a chunk */
};

enum group_state { GROUP_RUNNING, GROUP_AT_GATE, GROUP_COMMITTING, GROUP_ROLLED_BACK };

struct group {
	struct unit *first; /* in the source's order */
	struct unit *last;
	uint32_t units;
	uint32_t rows;
	size_t bytes;
	uint64_t turn; /* its place at the gate, from 1 */
	enum group_state state;
	uint32_t attempts;	 /* runs so far, this one included */
	bool wait_oldest;	 /* runs again only as the oldest group in flight */
	struct token_list meets; /* tokens of older groups, as they hold them; see batch_late */
	void *arg;		 /* the caller's */
};

struct sched;

/* late_share: one in so many rows of a group may be late. */
struct sched *sched_new(unsigned lanes, uint32_t max_rows, size_t max_bytes, uint32_t late_share);
void sched_free(struct sched *s);
/* The turn of the first group; call before the first push. */
void sched_start_turn(struct sched *s, uint64_t turn);

void sched_push(struct sched *s, struct unit *u);
const struct unit *sched_head(const struct sched *s); /* of the queue; NULL: it is empty */
/* Rows; a unit without any counts as one. */
size_t sched_queued(const struct sched *s);
unsigned sched_in_flight(const struct sched *s);
bool sched_idle(const struct sched *s); /* nothing queued, nothing in flight */

/*
 * A group for an idle lane, state RUNNING, attempts 1; NULL: none may start now.
 * patient: while others are in flight, none that is far from full: many small
 * groups cost more than one.
 */
struct group *sched_take(struct sched *s, bool patient);

/* The lane has executed the group. True: it is its turn, state COMMITTING; false: AT_GATE. */
bool sched_executed(struct sched *s, struct group *g);
/* A lane at the gate asks again. True: COMMITTING. */
bool sched_my_turn(struct sched *s, struct group *g);
/* It was COMMITTING, and runs its late changes first: RUNNING, until it is executed again. */
void sched_run_late(struct group *g);
/* It has been committed (it was COMMITTING): out of flight. The group is freed; its units are the
 * caller's again. */
struct unit *sched_committed(struct sched *s, struct group *g);
/* It was rolled back (deadlock, time-out, stall). From the third attempt on it waits until it is
 * the oldest. */
void sched_rolled_back(struct sched *s, struct group *g);
/* Whether a rolled-back group may run again now; true moves it to RUNNING. */
bool sched_may_run(struct sched *s, struct group *g);
/*
 * The oldest group has not moved for too long: marks every group that is
 * AT_GATE as to be rolled back and to wait until the oldest (now) has
 * committed. Returns how many. Their lanes see it by sched_must_yield.
 */
unsigned sched_stalled(struct sched *s);
bool sched_must_yield(const struct sched *s, const struct group *g);
const struct group *sched_oldest(const struct sched *s);

#endif
