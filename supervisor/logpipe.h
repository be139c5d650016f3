/*
 * logpipe.h - workers' log lines, relayed by the supervisor to its own log.
 *
 * Workers write to one pipe; the supervisor copies what comes to its standard
 * error, or to its log file. So a log file that is reopened needs no word to
 * workers, and a progress line on a terminal can make room first.
 */
#ifndef SUPERVISOR_LOGPIPE_H
#define SUPERVISOR_LOGPIPE_H

#include "common/compat.h"

#include "common/err.h"
#include "common/loop.h"

struct logpipe;

/* before: called ahead of each piece that is written; may be NULL. */
enum rc logpipe_new(struct loop *l, void (*before)(void *arg), void *arg, struct logpipe **out,
	struct err *e) MUSTCHECK;
/* What workers get as their log. */
int logpipe_fd(const struct logpipe *p);
/* Standard error goes to this file from now on, ours and the workers'; again after logrotate. */
enum rc logpipe_to_file(const char *path, struct err *e) MUSTCHECK;
/* Relays what is left. */
void logpipe_free(struct logpipe *p);

#endif
