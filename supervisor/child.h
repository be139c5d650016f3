/*
 * child.h - the mechanism of worker processes: fork, exec, wait. No policy.
 *
 * A child gets the descriptors that ipc/proto.h names and no others, a clean
 * environment, and dies when the supervisor does. Its end is told through the
 * loop, once, with the wait status taken apart; what it means is policy.h's.
 */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/loop.h"

struct child;

struct child_spec {
	const char *program; /* path */
	const char *channel;
	uint32_t generation;
	int control;	  /* becomes PROTO_CONTROL_FD */
	const int *rings; /* become PROTO_RING_FD and up */
	size_t nrings;
	int log; /* becomes 1 and 2 */
};

/* How a process ended. */
struct child_end {
	int status; /* exit status; 0 when a signal ended it */
	int signal; /* 0: it exited */
	bool core;
};

/* Last thing that happens to a child: it is freed before the call. */
typedef void (*child_cb)(void *arg, const struct child_end *end);

/* All descriptors of spec stay the caller's. */
enum rc child_start(struct loop *l, const struct child_spec *spec, child_cb cb, void *arg,
	struct child **out, struct err *e) MUSTCHECK;
pid_t child_pid(const struct child *c);
/* SIGKILL; the end is told as usual. */
void child_kill(struct child *c);
/* Kills and reaps without telling anybody. NULL is fine. */
void child_free(struct child *c);

/* "exited with status 75 (retry)", "was killed by signal 9 (Killed)". */
void child_describe(const struct child_end *end, char *out, size_t size);

#endif
