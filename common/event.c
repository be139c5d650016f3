/* event.c - the names of event.h's lists. */
#include "common/compat.h"

#include <string.h>

#include "common/event.h"

static const char *const event_names[EVENT_COUNT] = {
#define X(symbol, name, text) [EVENT_##symbol] = (name),
	EVENT_LIST(X)
#undef X
};

static const char *const object_names[OBJECT_COUNT] = {
#define X(symbol, name) [OBJECT_##symbol] = (name),
	OBJECT_LIST(X)
#undef X
};

static const char *const table_states[TABLE_STATE_COUNT] = {
#define X(symbol, name) [TABLE_##symbol] = (name),
	TABLE_STATE_LIST(X)
#undef X
};

const char *
event_name(enum event_kind kind)
{
	return kind < EVENT_COUNT ? event_names[kind] : "unknown";
}

const char *
object_name(enum object_kind kind)
{
	return kind < OBJECT_COUNT ? object_names[kind] : "unknown";
}

const char *
table_state_name(enum table_state s)
{
	return s < TABLE_STATE_COUNT ? table_states[s] : "unknown";
}

enum table_state
table_state_by_name(const char *name)
{
	enum table_state s = 0;

	while (s < TABLE_STATE_COUNT && strcmp(table_states[s], name) != 0)
		s++;
	return s;
}

bool
table_state_has_chunks(enum table_state s)
{
	return s != TABLE_STREAMING && s != TABLE_RELOAD && s != TABLE_REMOVED;
}

int
logpos_cmp(struct logpos a, struct logpos b)
{
	if (a.file != b.file)
		return a.file < b.file ? -1 : 1;
	if (a.offset != b.offset)
		return a.offset < b.offset ? -1 : 1;
	return 0;
}

const struct column_change *
column_change_to(const struct table_change *ch, const char *column)
{
	for (uint32_t k = 0; k < ch->ncolumns; k++)
		if (strcmp(ch->columns[k].to, column) == 0)
			return &ch->columns[k];
	return NULL;
}

uint32_t
column_was(const struct table_change *ch, const struct table *before, const char *column)
{
	const struct column_change *c = column_change_to(ch, column);

	if (c != NULL)
		return *c->from != '\0' ? table_column(before, c->from) : UINT32_MAX;
	return table_column(before, column);
}
