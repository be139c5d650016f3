/* pair_private.h - the inside of a pair, for pair.c and pair_message.c only. */
#ifndef SUPERVISOR_PAIR_PRIVATE_H
#define SUPERVISOR_PAIR_PRIVATE_H

#include "common/compat.h"

#include "supervisor/pair.h"

/* A check or a clear blocks its worker, so only this bounds it: so many times start_ms. A source
 * that opens reads the schemas of all its tables: ten thousand take a while. */
#define PAIR_WORK_FACTOR 5

struct pair {
	struct pair_spec spec; /* pointers in it are not followed after pair_start, but the loop's,
				  ops and arg; wish is a copy */
	char *wish;
	enum pair_phase phase;
	struct worker_end ends[END_COUNT];
	bool uses[END_COUNT]; /* this kind of pair has that end */
	struct timer *tick;
	uint64_t bound_us;    /* of the phase; 0: none */
	uint64_t deadline_us; /* the same, monotonic */
	uint64_t ticked_us;
	uint64_t flowing_us; /* since when the stream is open */
	struct pair_result result;
	struct checks checks[END_COUNT];
};

void pair_enter(struct pair *p, enum pair_phase phase, uint64_t bound_us);
/* As end.h's ops want them. */
bool pair_on_message(void *arg, struct worker_end *w, struct msg *m);
void pair_send_wish(struct pair *p, const char *wish);
void pair_on_reported(void *arg, struct worker_end *w);

#endif
