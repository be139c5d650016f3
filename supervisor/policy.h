/*
 * policy.h - whether and when a failed pair is started again. No mechanism:
 * no clock, no process, no randomness of its own; all comes as arguments.
 *
 * The exit status decides alone (the table is RC_LIST in common/err.h); a
 * death by signal counts as one that is started again. Delays double from
 * delay_min to delay_max and are jittered to half, so that many channels of
 * one lost server do not come back as one. A death before READY is a failed
 * start and counts twice. A pair that flowed for stable_ms has earned a fresh
 * count.
 */
#ifndef SUPERVISOR_POLICY_H
#define SUPERVISOR_POLICY_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

struct policy {
	uint32_t failures; /* in a row; only policy_judge and policy_reset write it */
};

struct policy_limits {
	uint64_t delay_min_ms;
	uint64_t delay_max_ms;
	uint64_t stable_ms;
};

/* How a pair ended that nobody asked to end. */
struct policy_death {
	int status; /* exit status of the worker that failed first */
	int signal; /* not 0: a signal ended it, or we did because it hung */
	bool ready;
	uint64_t flowed_ms; /* how long the stream was open */
};

struct policy_decision {
	bool restart;
	uint64_t delay_ms;
};

void policy_reset(struct policy *p);
struct policy_decision policy_judge(struct policy *p, const struct policy_limits *limits,
	const struct policy_death *death, uint32_t random);

#endif
