/*
 * gateway.h - the set of channels that one supervisor runs, with what they
 * share: loop, store, settings, the workers' log.
 *
 * synclined has one for all files; `syncline run` has one with one channel.
 */
#ifndef SUPERVISOR_GATEWAY_H
#define SUPERVISOR_GATEWAY_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/loop.h"
#include "supervisor/store.h"

struct runner;

struct gateway {
	struct loop *loop;
	struct store *store;
	struct conf *conf; /* the daemon's rows */
	char *libexec;
	int worker_log;
	struct runner **runners;
	size_t count;
	struct timer *second;
	uint64_t ticks;
	uint64_t started_us;
	bool stopping;
	void (*on_second)(void *arg); /* may be NULL */
	void (*on_idle)(void *arg);   /* after gateway_stop, when nothing runs any more */
	void *arg;
};

/* Opens the store; takes conf over if OK. libexec: NULL lets worker_directory decide. */
enum rc gateway_new(struct loop *l, struct conf *conf, const char *libexec, int worker_log,
	struct gateway **out, struct err *e) MUSTCHECK;
/* Kills what runs. */
void gateway_free(struct gateway *g);
/* Takes conf over; the channel waits for runner_begin. */
struct runner *gateway_add(struct gateway *g, const char *id, const char *file, struct conf *conf);
struct runner *gateway_find(const struct gateway *g, const char *id);
/* All channels rest, states stay. now: at the last commit. May be called again with now. */
void gateway_stop(struct gateway *g, bool now);
/* A runner says that it rests. */
void gateway_rested(struct gateway *g, struct runner *r);

/*
 * Where the worker programs are: $SYNCLINE_LIBEXEC, else beside this program,
 * else where they were installed. The caller frees it.
 */
char *worker_directory(const char *wanted);

#endif
