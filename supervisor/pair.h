/*
 * pair.h - reader and writer of one channel, as one failure unit.
 *
 * A pair is started for one purpose and lives once: its rings, sockets and
 * generation number are its own. The life of a RUN is the one in ipc/proto.h;
 * CHECK runs both ends in check mode; TELL opens the target, to leave the
 * operator's wish there; CLEAR has the writer remove what the target keeps. Of
 * a channel that `leaves` the reader then removes what the source keeps.
 *
 * If either end dies, hangs or says something that cannot be, both end and the
 * owner hears `ended` once, with what went wrong first. `ended` is the last
 * call: the pair has freed itself by then. None is made after pair_free.
 */
#ifndef SUPERVISOR_PAIR_H
#define SUPERVISOR_PAIR_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/log.h"
#include "common/loop.h"
#include "ipc/report.h"
#include "supervisor/end.h"

enum pair_kind { PAIR_RUN, PAIR_CHECK, PAIR_TELL, PAIR_CLEAR };

/*	symbol	what `status` says */
#define PAIR_PHASE_LIST(X)                       \
	X(STARTING, "starting")                  \
	X(OPENING_TARGET, "opening target")      \
	X(OPENING_SOURCE, "opening source")      \
	X(FLOWING, "flowing")                    \
	X(DRAINING_SOURCE, "draining source")    \
	X(DRAINING_TARGET, "draining target")    \
	X(WORKING, "working") /* check, clear */ \
	X(ENDING, "ending")

enum pair_phase {
#define X(symbol, name) PHASE_##symbol,
	PAIR_PHASE_LIST(X)
#undef X
		PHASE_COUNT
};

struct pair_result {
	enum pair_kind kind;
	struct err err; /* rc OK: nothing went wrong */
	int status;	/* of the end that failed first; see policy.h */
	int signal;
	bool ready;    /* both ends had said READY */
	bool killed;   /* an end that was asked to end had to be killed */
	bool drained;  /* the drain went to its end */
	bool answered; /* the check, clear or wish was carried out */
	uint64_t flowed_ms;
	struct checks checks; /* of a CHECK, merged; valid during the call */
};

struct pair_ops {
	/* The target is open. False: the pair is to end here. */
	bool (*opened)(void *arg, struct resume *r);
	void (*flowing)(void *arg);
	void (*reported)(void *arg, enum end_role role, const uint64_t *stats);
	void (*table)(void *arg, const struct report_table *t);
	void (*conflict)(void *arg, const struct report_conflict *c);
	void (*position)(void *arg, const char *applied, uint64_t time_us);
	void (*ended)(void *arg, const struct pair_result *r);
};

struct pair_spec {
	struct loop *loop;
	enum pair_kind kind;
	const char *channel;
	uint32_t generation;
	const struct conf *conf; /* of the channel; read at the start only */
	const char *libexec;
	int log; /* descriptor for the workers' log */
	enum log_level level;
	uint64_t start_ms, heartbeat_ms, drain_ms;
	const char *wish; /* TELL */
	bool leaves;	  /* TELL, CLEAR: the source shall keep nothing for the channel, too */
	bool want_sql;	  /* CHECK */
	const struct pair_ops *ops;
	void *arg;
};

struct pair;

enum rc pair_start(const struct pair_spec *spec, struct pair **out, struct err *e) MUSTCHECK;
/* Source stops, rings empty, last commit, end; after drain_ms it ends at the last commit. A pair
 * that does not flow ends at once. */
void pair_drain(struct pair *p);
/* Ends at the last commit. */
void pair_stop(struct pair *p);
/* Leaves the operator's wish in the target, when the pair flows; else false. */
bool pair_tell(struct pair *p, const char *wish);
void pair_relevel(struct pair *p, enum log_level level);
enum pair_kind pair_kind(const struct pair *p);
enum pair_phase pair_phase(const struct pair *p);
const char *pair_phase_name(enum pair_phase phase);
/* 0: that end does not run. */
pid_t pair_pid(const struct pair *p, enum end_role role);
/* Kills without a word. NULL is fine. */
void pair_free(struct pair *p);

#endif
