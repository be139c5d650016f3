/*
 * end.h - one end of a pair: a worker process and the control socket to it.
 *
 * It starts the process, sends, hands out what comes, keeps the last report
 * and the worker's own last words. What a message means for the pair is
 * pair.h's.
 */
#ifndef SUPERVISOR_END_H
#define SUPERVISOR_END_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "ipc/msg.h"
#include "supervisor/child.h"

enum end_role { END_READER, END_WRITER, END_COUNT };

struct worker_end;

struct end_ops {
	/* Everything but REPORT and FAILED, which the end keeps itself. False: the body is damaged
	 * or the message is out of place. */
	bool (*message)(void *arg, struct worker_end *w, struct msg *m);
	void (*reported)(void *arg, struct worker_end *w);
	/* The process is gone and all it said was read. Nothing of the end is touched afterwards.
	 */
	void (*gone)(void *arg, struct worker_end *w);
};

struct worker_end {
	enum end_role role;
	bool live;  /* the process runs */
	bool ready; /* the pair sets these as it sees the messages */
	bool opened;
	bool answered;	    /* CHECKED, CLEARED */
	bool failed;	    /* `failure` says why */
	struct err failure; /* the worker's FAILED, or what we found wrong with it */
	struct child_end end;
	uint64_t heard_us; /* monotonic: the last word of it */
	uint64_t stats[STAT_COUNT];
	/* the end's own */
	struct loop *loop;
	struct child *child;
	struct msg_end msg;
	struct watch *watch;
	int control;
	const struct end_ops *ops;
	void *arg;
};

struct end_spec {
	const char *libexec; /* directory of the worker programs */
	const char *channel;
	uint32_t generation;
	const int *rings;
	size_t nrings;
	int log;
};

const char *end_role_name(enum end_role role);
enum rc end_start(struct worker_end *w, enum end_role role, struct loop *l,
	const struct end_spec *spec, const struct end_ops *ops, void *arg, struct err *e) MUSTCHECK;
void end_send(struct worker_end *w, enum msg_type type, const struct buf *body);
/* Remembers the first failure only. */
void end_blame(struct worker_end *w, const struct err *e);
void end_kill(struct worker_end *w);
/* Kills what runs. */
void end_release(struct worker_end *w);

#endif
