/*
 * failpoint.h - places where a crash could hurt, so that a test can make one
 * happen exactly there.
 *
 *     FAILPOINT(WRITER_BATCH);                    the process may be killed or held up here
 *     rc = FAILPOINT_LOST(WRITER_COMMIT, e);      or also: the server seems lost, RC_RETRY
 *
 * failpoints.def is the list: symbol, name, process, phases. Compiled in by
 * `make FAILPOINTS=1` only; in any other build both are nothing.
 *
 * A test and all processes of a gateway share one file, named by
 * SYNCLINE_FAILPOINTS: a slot for each row of the list, in its order. The test
 * writes action, argument and then `left`; whoever counts `left` down to zero
 * acts. Every process counts what it passes in `hits`. Without the variable
 * nothing happens. t/lib/Syncline/Failpoint.pm is the other side.
 */
#ifndef COMMON_FAILPOINT_H
#define COMMON_FAILPOINT_H

#include "common/compat.h"

#include "common/err.h"

#ifdef SYNCLINE_FAILPOINTS

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum failpoint {
#define X(symbol, name, process, phases) FAILPOINT_##symbol,
#include "common/failpoints.def"
#undef X
	FAILPOINT_COUNT
};

enum failpoint_action { FAILPOINT_KILL = 1, FAILPOINT_DELAY, FAILPOINT_LOSE };

/* 64 bytes, at 64 times the failpoint's place in the list. */
struct failpoint_slot {
	_Atomic uint64_t hits;
	_Atomic int64_t left; /* the test arms it last: 1 is the next hit; 0 is not armed */
	_Atomic uint32_t action;
	_Atomic uint32_t delay_ms;
	_Atomic uint64_t fired_us; /* now_us() of the last time it acted */
	_Atomic uint64_t fired;
	uint64_t spare[3];
};

/* Counts, and acts if it is armed; true: behave as if the server was lost. */
bool failpoint_reach(enum failpoint f);
/* RC_OK, or RC_RETRY as a lost connection gives it. */
enum rc failpoint_lost(enum failpoint f, struct err *e);

#define FAILPOINT(symbol) ((void)failpoint_reach(FAILPOINT_##symbol))
#define FAILPOINT_LOST(symbol, e) failpoint_lost(FAILPOINT_##symbol, (e))

#else

#define FAILPOINT(symbol) ((void)0)
#define FAILPOINT_LOST(symbol, e) RC_OK

#endif

#endif
