/*
 * channel.h - a channel's state machine.
 *
 * The lists are in channel_states.def. channel_happen is the only function
 * that writes a state: it finds the cell, has the new record persisted, logs
 * cause and move, and only then has the cell's action done. It knows nothing
 * of processes or files; both are behind two hooks.
 *
 * A record is what outlives the supervisor. The store keeps it; the target
 * keeps its wish, so that a lost store starts nothing that was stopped.
 */
#ifndef SUPERVISOR_CHANNEL_H
#define SUPERVISOR_CHANNEL_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum channel_state {
#define CHANNEL_STATE(symbol, name) CHANNEL_##symbol,
#include "supervisor/channel_states.def"
	CHANNEL_STATE_COUNT
};

enum channel_event {
#define CHANNEL_EVENT(symbol, name, whose) EVENT_OF_CHANNEL_##symbol,
#include "supervisor/channel_states.def"
	CHANNEL_EVENT_COUNT
};

enum channel_action {
#define CHANNEL_ACTION(symbol, name) ACTION_##symbol,
#include "supervisor/channel_states.def"
	CHANNEL_ACTION_COUNT
};

/* What the operator wants. UNKNOWN: nobody has said here; ask the target. */
#define WISH_LIST(X)              \
	X(UNKNOWN, "unknown")     \
	X(RUNNING, "running")     \
	X(PAUSED, "paused")       \
	X(COMPLETED, "completed") \
	X(RESET, "reset") /* asked for, and not done to its end yet */

enum wish {
#define X(symbol, name) WISH_##symbol,
	WISH_LIST(X)
#undef X
		WISH_COUNT
};

struct channel_record {
	enum channel_state state;
	enum wish wish;
	bool told;	   /* the target knows the wish */
	bool loaded;	   /* the initial part was done once */
	bool unchecked;	   /* objects have changed since the last precheck */
	uint64_t since_us; /* when the state was entered */
	struct err cause;  /* of the state; rc OK: none */
};

struct channel;

struct channel_hooks {
	/* Makes the record durable, with the move as history. */
	enum rc (*persist)(void *arg, const struct channel_record *r, enum channel_event event,
		enum channel_state from, struct err *e);
	void (*act)(void *arg, enum channel_action action);
};

struct channel {
	const char *id; /* borrowed */
	struct channel_record record;
	const struct channel_hooks *hooks;
	void *arg;
};

/*
 * cause: why, NULL for none; it stays visible until the next move. An
 * operator's event that is illegal or cannot be persisted is refused and
 * changes nothing; one of our own goes on without the store (a warning), since
 * the target holds what correctness needs.
 */
enum rc channel_happen(struct channel *c, enum channel_event event, const struct err *cause,
	struct err *e) MUSTCHECK;
bool channel_allows(enum channel_state state, enum channel_event event);
/* The cell, for the tests and the dump. False: illegal. */
bool channel_cell(enum channel_state state, enum channel_event event, enum channel_state *next,
	enum channel_action *action);
/* START, START_LOADED or START_UNCHECKED: what "start" means for this record. */
enum channel_event channel_start_event(const struct channel_record *r);
/* Whether a channel in this state has, or should have, a pair that flows. */
bool channel_runs(enum channel_state state);

const char *channel_state_name(enum channel_state s);
const char *channel_event_name(enum channel_event e);
/* CHANNEL_STATE_COUNT, WISH_UNKNOWN for names that the lists do not have. */
enum channel_state channel_state_by_name(const char *name);
const char *wish_name(enum wish w);
enum wish wish_by_name(const char *name);

/* The matrix as the table that README holds. */
void channel_dump(FILE *to);

#endif
