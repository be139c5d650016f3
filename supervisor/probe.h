/*
 * probe.h - a precheck beside whatever runs: reader and writer in check mode,
 * for `syncline check`. Changes nothing, in no state machine.
 */
#ifndef SUPERVISOR_PROBE_H
#define SUPERVISOR_PROBE_H

#include "common/compat.h"

#include <stdbool.h>

#include "supervisor/pair.h"

struct probe;

/* err rc OK: checks has the items; else why there are none. The probe is freed before the call. */
typedef void (*probe_cb)(void *arg, const struct checks *checks, const struct err *e);

struct probe_spec {
	struct loop *loop;
	const char *channel;
	const struct conf *conf;   /* of the channel */
	const struct conf *daemon; /* time limits */
	const char *libexec;
	int log;
	bool want_sql;
	probe_cb cb;
	void *arg;
};

enum rc probe_start(const struct probe_spec *spec, struct probe **out, struct err *e) MUSTCHECK;
/* Kills without a word. NULL is fine. */
void probe_free(struct probe *p);

#endif
