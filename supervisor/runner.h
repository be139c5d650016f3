/*
 * runner.h - one channel and what runs for it.
 *
 * The state machine (channel.h) decides a goal; the runner moves towards it:
 * it ends the pair that does not serve the goal, starts the one that does, and
 * asks policy.h about every death that nobody asked for. A goal may be set at
 * any moment; it is pursued when what runs has ended.
 *
 * Others read the fields (view.c); only runner.c writes them.
 */
#ifndef SUPERVISOR_RUNNER_H
#define SUPERVISOR_RUNNER_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "supervisor/channel.h"
#include "supervisor/gateway.h"
#include "supervisor/metrics.h"
#include "supervisor/pair.h"
#include "supervisor/policy.h"
#include "supervisor/store.h"
#include "supervisor/tables.h"

enum goal { GOAL_REST, GOAL_CHECK, GOAL_RUN, GOAL_TELL, GOAL_CLEAR };

struct runner {
	struct gateway *gateway;
	char *id;
	char *file;
	struct conf *conf;
	struct channel channel;
	enum goal goal;
	bool renew;    /* what runs must end even if it serves the goal: its settings are old */
	bool ending;   /* we asked the pair to end */
	bool telling;  /* the pair that ends was told the wish */
	bool tell_run; /* the target remembers another wish than "running" */
	bool leaving;  /* its file is gone: freed as soon as it rests */
	bool flowing;  /* the stream is open */
	struct pair *pair;
	struct timer *retry;
	uint64_t retry_at_us; /* wall clock; 0: no restart is waiting */
	struct policy policy;
	struct err last_failure; /* of the pair that was or will be restarted */
	uint64_t last_failure_us;
	struct store_mirror mirror;
	bool mirror_dirty;
	struct metrics metrics;
	struct tables tables;
	struct checks checks; /* of the last precheck */
	uint64_t checked_us;
	bool drained; /* the last pair had applied all it had read when it ended */
};

/* Takes conf over. Nothing is started yet. */
struct runner *runner_new(struct gateway *g, const char *id, const char *file, struct conf *conf);
/* Kills what runs. */
void runner_free(struct runner *r);
/* Goes on where the record says: a new channel is prechecked, one that ran runs. */
void runner_begin(struct runner *r);

/* The operator's verbs. */
enum rc runner_order(struct runner *r, enum channel_event event, struct err *e) MUSTCHECK;
/* Loads a table ("db.table" as at the source) again, and those whose foreign keys lead to it: now,
 * or at the next start of a channel that rests. */
enum rc runner_resync(struct runner *r, const char *table, struct err *e) MUSTCHECK;
/* New settings of the same channel; takes conf over. objects: the selection has changed. */
void runner_reconfigure(struct runner *r, struct conf *conf, bool objects, bool live_only);
/* To rest, without a change of state: the supervisor ends, or the file is gone. now: at the last
 * commit instead of a drain. */
void runner_rest(struct runner *r, bool now);
bool runner_idle(const struct runner *r);
/* Once a second, between store_begin and store_commit. */
void runner_tick(struct runner *r, uint64_t now_us, bool sample);
/* What the target can rely on, by `apply`. */
const char *runner_guarantee(const struct runner *r);
struct metrics_rates runner_rates(const struct runner *r);

#endif
