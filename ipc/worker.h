/*
 * worker.h - the skeleton of a worker process: everything that reader and
 * writer have in common.
 *
 * worker_main reads CHANNEL and GENERATION from argv, checks its descriptors,
 * waits for CONFIG, says READY, opens the rings at START (a check has none),
 * and meanwhile runs the main thread's loop: control messages in, a REPORT each
 * second and with OPENED and DRAINED, the end when the control socket closes
 * or a check is answered. SIGINT/SIGTERM are ignored (the supervisor decides),
 * PR_SET_PDEATHSIG is SIGKILL, the process is not dumpable (no cores with
 * secrets). The ops run on the main thread and must not block for longer than
 * a connect; the work itself belongs to the worker's own threads. An end that
 * takes longer than two seconds is cut short; the exit status stays.
 */
#ifndef IPC_WORKER_H
#define IPC_WORKER_H

#include "common/compat.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/loop.h"
#include "ipc/proto.h"
#include "ipc/report.h"
#include "ipc/ring.h"

struct worker;

struct worker_ops {
	const char *role; /* "reader", "writer" */
	enum ring_side side;
	/* MSG_START: resume is what came (r->fresh for an empty body). Starts the threads; may
	 * answer with worker_opened later. */
	enum rc (*start)(struct worker *w, const struct resume *r, struct err *e);
	/* MSG_DRAIN: answer with worker_drained, later and from any thread. */
	void (*drain)(struct worker *w);
	/* Control closed or STOP: end all threads within a second; then the process exits 0. */
	void (*stop)(struct worker *w);
	enum rc (*check)(struct worker *w, bool want_sql, struct checks *out, struct err *e);
	/* MSG_WISH; NULL for the reader. */
	enum rc (*wish)(struct worker *w, const char *wish, struct err *e);
	/* MSG_WHOSE: FENCED if the channel is another gateway's now. NULL for the reader. */
	enum rc (*confirm)(struct worker *w, struct err *e);
	/* MSG_CLEAR: sent to a worker that was not started. NULL: this end keeps nothing. */
	enum rc (*clear)(struct worker *w, struct err *e);
	/* A tick of the main thread (20 ms while running): house-keeping, time-outs. May be NULL.
	 */
	void (*tick)(struct worker *w);
};

struct worker {
	const struct worker_ops *ops;
	const char *channel;
	uint32_t generation;
	struct conf *conf;
	struct ring *rings[1 + PROTO_MAX_LANES]; /* stream ring, then load rings */
	uint32_t nlanes;			 /* load rings */
	atomic_bool stopping;			 /* set once, by the main thread */
	_Atomic uint64_t stats[STAT_COUNT];	 /* by enum statistic; any thread */
	struct found found;			 /* of a check: what the source selects */
	void *state;				 /* the program's own */
	struct worker_private *p;
};

/* Does not return before the worker ends; the result is the process's exit status. */
int worker_main(int argc, char **argv, const struct worker_ops *ops);

/* All of these may be called from any thread. */

/* The pair is open; the writer hands over what its target holds. */
void worker_opened(struct worker *w, const struct resume *r);
void worker_drained(struct worker *w);
void worker_report_table(struct worker *w, const struct report_table *t);
void worker_report_conflict(struct worker *w, const struct report_conflict *c);
/* STAT_TABLES_STREAMING or STAT_TABLES_AT_TARGET has moved: it is reported at once. */
void worker_report_streaming(struct worker *w);
void worker_report_position(struct worker *w, const char *applied, uint64_t time_us);
/* Ends the process: FAILED is sent, then exit with the class's status. Only the first call counts.
 */
void worker_fail(struct worker *w, const struct err *e);

#endif
