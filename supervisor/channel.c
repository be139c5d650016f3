/* channel.c - see channel.h. */
#include "common/compat.h"

#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "supervisor/channel.h"

enum whose { OPERATOR, PROGRAM };

static const char *const state_names[CHANNEL_STATE_COUNT] = {
#define CHANNEL_STATE(symbol, name) [CHANNEL_##symbol] = (name),
#include "supervisor/channel_states.def"
};

static const struct {
	const char *name;
	enum whose whose;
} events[CHANNEL_EVENT_COUNT] = {
#define CHANNEL_EVENT(symbol, name, whose) [EVENT_OF_CHANNEL_##symbol] = {name, whose},
#include "supervisor/channel_states.def"
};

static const char *const action_names[CHANNEL_ACTION_COUNT] = {
#define CHANNEL_ACTION(symbol, name) [ACTION_##symbol] = (name),
#include "supervisor/channel_states.def"
};

static const char *const wish_names[WISH_COUNT] = {
#define X(symbol, name) [WISH_##symbol] = (name),
	WISH_LIST(X)
#undef X
};

struct cell {
	bool legal;
	enum channel_state next;
	enum channel_action action;
};

static const struct cell matrix[CHANNEL_STATE_COUNT][CHANNEL_EVENT_COUNT] = {
#define CHANNEL_MOVE(state, event, next, action) \
	[CHANNEL_##state][EVENT_OF_CHANNEL_##event] = {true, CHANNEL_##next, ACTION_##action},
#include "supervisor/channel_states.def"
};

const char *
channel_state_name(enum channel_state s)
{
	return s < CHANNEL_STATE_COUNT ? state_names[s] : "unknown";
}

const char *
channel_event_name(enum channel_event e)
{
	return e < CHANNEL_EVENT_COUNT ? events[e].name : "unknown";
}

enum channel_state
channel_state_by_name(const char *name)
{
	for (enum channel_state s = 0; s < CHANNEL_STATE_COUNT; s++)
		if (strcmp(state_names[s], name) == 0)
			return s;
	return CHANNEL_STATE_COUNT;
}

const char *
wish_name(enum wish w)
{
	return w < WISH_COUNT ? wish_names[w] : "unknown";
}

enum wish
wish_by_name(const char *name)
{
	for (enum wish w = 0; w < WISH_COUNT; w++)
		if (strcmp(wish_names[w], name) == 0)
			return w;
	return WISH_UNKNOWN;
}

bool
channel_cell(enum channel_state state, enum channel_event event, enum channel_state *next,
	enum channel_action *action)
{
	const struct cell *c;

	if (state >= CHANNEL_STATE_COUNT || event >= CHANNEL_EVENT_COUNT)
		return false;
	c = &matrix[state][event];
	*next = c->next;
	*action = c->action;
	return c->legal;
}

bool
channel_allows(enum channel_state state, enum channel_event event)
{
	return state < CHANNEL_STATE_COUNT && event < CHANNEL_EVENT_COUNT &&
	       matrix[state][event].legal;
}

enum channel_event
channel_start_event(const struct channel_record *r)
{
	if (r->state == CHANNEL_NOT_CONFIGURED || r->state == CHANNEL_PRECHECK_FAILED)
		return EVENT_OF_CHANNEL_START;
	if (r->unchecked)
		return EVENT_OF_CHANNEL_START_UNCHECKED;
	return r->loaded ? EVENT_OF_CHANNEL_START_LOADED : EVENT_OF_CHANNEL_START;
}

bool
channel_runs(enum channel_state state)
{
	return state == CHANNEL_INITIAL || state == CHANNEL_SYNCHRONIZING;
}

/* What an event says about the fields beside the state. */
static void
apply_event(struct channel_record *r, enum channel_event event)
{
	switch (event) {
	case EVENT_OF_CHANNEL_START:
	case EVENT_OF_CHANNEL_START_LOADED:
	case EVENT_OF_CHANNEL_START_UNCHECKED:
		r->wish = WISH_RUNNING;
		r->told = false;
		break;
	case EVENT_OF_CHANNEL_PAUSE:
		r->wish = WISH_PAUSED;
		r->told = false;
		break;
	case EVENT_OF_CHANNEL_STOP:
		r->wish = WISH_COMPLETED;
		r->told = false;
		break;
	case EVENT_OF_CHANNEL_RESET:
		*r = (struct channel_record){.state = r->state, .wish = WISH_RESET};
		break;
	case EVENT_OF_CHANNEL_FOUND_PAUSED:
		r->wish = WISH_PAUSED;
		r->told = true;
		break;
	case EVENT_OF_CHANNEL_FOUND_COMPLETED:
		r->wish = WISH_COMPLETED;
		r->told = true;
		break;
	case EVENT_OF_CHANNEL_INITIAL_DONE:
		r->loaded = true;
		break;
	case EVENT_OF_CHANNEL_OBJECTS_CHANGED:
		r->unchecked = true;
		break;
	case EVENT_OF_CHANNEL_PRECHECK_PASSED:
	case EVENT_OF_CHANNEL_PRECHECK_PASSED_LOADED:
		r->unchecked = false;
		break;
	case EVENT_OF_CHANNEL_CONFIGURED:
	case EVENT_OF_CHANNEL_PRECHECK_REFUSED:
	case EVENT_OF_CHANNEL_FAILED:
	case EVENT_OF_CHANNEL_CHANGED:
	case CHANNEL_EVENT_COUNT:
	default:
		break;
	}
}

static enum rc
refuse(const struct channel *c, enum channel_event event, struct err *e)
{
	err_set(e, events[event].whose == OPERATOR ? RC_CONFIG : RC_BUG,
		"channel \"%s\" is %s: \"%.*s\" is not possible in this state", c->id,
		state_names[c->record.state], (int)strcspn(events[event].name, ","),
		events[event].name);
	return err_remedy(e, "syncline(1) lists what is possible in which state");
}

/* A state that stays keeps its cause and its date, unless there is a new cause. */
static void
enter(struct channel_record *r, const struct channel_record *old, const struct cell *cell,
	const struct err *cause)
{
	r->state = cell->next;
	if (cell->next == CHANNEL_PRECHECKING)
		r->unchecked = true; /* until it has passed: also if it is paused before */
	if (cell->next != old->state || cell->action == ACTION_CHECK || cell->action == ACTION_RUN)
		r->cause = (struct err){0};
	if (cell->next != old->state)
		r->since_us = now_us();
	if (cause != NULL)
		r->cause = *cause;
}

enum rc
channel_happen(struct channel *c, enum channel_event event, const struct err *cause, struct err *e)
{
	const struct cell *cell;
	struct channel_record new = c->record;
	enum channel_state from = c->record.state;
	struct err lost;

	if (!channel_allows(from, event))
		return refuse(c, event, e);
	cell = &matrix[from][event];
	apply_event(&new, event);
	enter(&new, &c->record, cell, cause);
	if (c->hooks->persist(c->arg, &new, event, from, &lost) != RC_OK) {
		if (events[event].whose == OPERATOR) {
			*e = lost;
			return err_context(e, "channel \"%s\" stays as it is", c->id);
		}
		log_err(LOG_LVL_WARN, &lost);
	}
	c->record = new;
	log_line(cause != NULL ? LOG_LVL_ERROR : LOG_LVL_INFO,
		"channel \"%s\": %s, %s -> %s%s%s%s%s", c->id, events[event].name,
		state_names[from], state_names[new.state], cause != NULL ? ": " : "",
		cause != NULL ? cause->text : "",
		cause != NULL && cause->remedy[0] != '\0' ? "; " : "",
		cause != NULL ? cause->remedy : "");
	c->hooks->act(c->arg, cell->action);
	return RC_OK;
}

void
channel_dump(FILE *to)
{
	fprintf(to, "| State | Event | Next state | Action |\n|---|---|---|---|\n");
	for (enum channel_state s = 0; s < CHANNEL_STATE_COUNT; s++)
		for (enum channel_event v = 0; v < CHANNEL_EVENT_COUNT; v++)
			if (matrix[s][v].legal)
				fprintf(to, "| %s | %s | %s | %s |\n", state_names[s],
					events[v].name, state_names[matrix[s][v].next],
					action_names[matrix[s][v].action]);
}
