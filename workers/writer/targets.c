/* targets.c - the tables that the writer knows, by number and by name. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "workers/writer/apply_private.h"

#define MAX_NUMBER (1u << 24)

/* And not INITIAL_MARK. */
static bool
is_table(const struct table_entry *en)
{
	return *en->name != '\0';
}

struct table_entry *
targets_entry(struct apply *a, const char *db, const char *name)
{
	struct table_entry *en;

	for (en = a->entries; en != NULL; en = en->next)
		if (strcmp(en->name, name) == 0 && strcmp(en->db, db) == 0)
			return en;
	en = xcalloc(1, sizeof *en);
	en->db = xstrdup(db);
	en->name = xstrdup(name);
	en->state = TABLE_STREAMING;
	a->streaming += is_table(en);
	en->next = a->entries;
	a->entries = en;
	return en;
}

/* Rows may be missing that others refer to. */
static bool
is_partial(enum table_state state)
{
	return state == TABLE_LOADING || state == TABLE_QUARANTINED || state == TABLE_RELOAD;
}

void
targets_set_state(struct apply *a, struct table_entry *en, enum table_state state)
{
	a->loading -= is_partial(en->state);
	a->loading += is_partial(state);
	if (is_table(en)) {
		a->streaming -= en->state == TABLE_STREAMING;
		a->streaming += state == TABLE_STREAMING;
	}
	en->state = state;
	if (state != TABLE_LOADING)
		en->inserted = en->unkeyed = false;
}

enum rc
targets_schema(struct apply *a, const struct event_schema *ev, struct err *e)
{
	struct target_slot *s;
	struct table *t;
	struct cursor c;
	enum rc rc;

	if (ev->number == 0 || ev->number > MAX_NUMBER ||
		(ev->number < a->slots_cap && a->slots[ev->number] != NULL))
		return err_set(
			e, RC_BUG, "the stream numbers a schema %u, which cannot be", ev->number);
	cursor_init(&c, ev->table, ev->len);
	if ((rc = table_decode(&c, &t, e)) != RC_OK)
		return rc;
	if (ev->number >= a->slots_cap) {
		size_t old = a->slots_cap;

		grow(&a->slots, &a->slots_cap, (size_t)ev->number + 1, sizeof *a->slots);
		memset(a->slots + old, 0, (a->slots_cap - old) * sizeof *a->slots);
	}
	s = xcalloc(1, sizeof *s);
	s->entry = targets_entry(a, t->db, t->name);
	s->target.number = ev->number;
	s->target.source = t;
	s->target.source_db = xstrdup(t->db);
	s->target.source_name = xstrdup(t->name);
	s->target.db = xstrdup(routes_table_db(a->routes, t->db, t->name));
	s->target.name = xstrdup(routes_target_table(a->routes, t->db, t->name));
	a->slots[ev->number] = s;
	return RC_OK;
}

enum rc
targets_get(struct apply *a, uint32_t number, struct target_slot **out, struct err *e)
{
	*out = number < a->slots_cap ? a->slots[number] : NULL;
	if (*out == NULL)
		return err_set(e, RC_BUG,
			"the stream speaks of table number %u, which it has not described", number);
	return RC_OK;
}

static void
forget_slot(struct apply *a, struct target_slot *s)
{
	if (!s->resolved)
		return;
	a->sink->ops->target_release(a->sink, &s->target);
	table_free(s->target.table);
	token_plan_free(s->target.plan);
	free(s->target.map);
	free(s->target.nulls);
	s->target.nulls = NULL;
	s->target.table = NULL;
	s->target.plan = NULL;
	s->target.map = NULL;
	s->target.key = NULL;
	s->resolved = false;
}

void
targets_forget(struct apply *a)
{
	a->knows_parents = false;
	for (size_t i = 0; i < a->slots_cap; i++)
		if (a->slots[i] != NULL)
			forget_slot(a, a->slots[i]);
}

void
targets_forget_table(struct apply *a, const struct table_entry *en)
{
	for (size_t i = 0; i < a->slots_cap; i++)
		if (a->slots[i] != NULL && a->slots[i]->entry == en)
			forget_slot(a, a->slots[i]);
}

void
targets_free(struct apply *a)
{
	for (size_t i = 0; i < a->slots_cap; i++) {
		struct target_slot *s = a->slots[i];

		if (s == NULL)
			continue;
		forget_slot(a, s);
		table_free(s->target.source);
		free(s->target.source_db);
		free(s->target.source_name);
		free(s->target.db);
		free(s->target.name);
		free(s);
	}
	free(a->slots);
	while (a->entries != NULL) {
		struct table_entry *en = a->entries;

		a->entries = en->next;
		free(en->db);
		free(en->name);
		free(en);
	}
	fk_world_free(a->world);
}

/* What is not at the target: made by us once and taken away, or expected from its owner. */
static enum rc
missing_remedy(const struct apply *a, const struct target *t, const char *otherwise, struct err *e)
{
	const char *channel = a->worker->channel;

	if (!conf_has_word(a->worker->conf, "initial", "schema") ||
		conf_is(a->worker->conf, "ddl", "exclude"))
		return err_remedy(e, "%s", otherwise);
	return err_remedy(e,
		"put it back as it was, rows and all, or let `syncline resync %s %s.%s` make and "
		"load the table anew; then `syncline start %s`",
		channel, t->source_db, t->source_name, channel);
}

static enum rc
map_columns(struct apply *a, struct target *t, struct err *e)
{
	t->map = xcalloc(t->source->ncolumns, sizeof *t->map);
	for (uint32_t i = 0; i < t->source->ncolumns; i++) {
		const char *source = t->source->columns[i].name;
		const char *name = routes_column(a->routes, t->source_db, t->source_name, source);

		t->map[i] = name != NULL ? table_column(t->table, name) : UINT32_MAX;
		if (t->map[i] == UINT32_MAX && a->existing != EXISTING_IGNORE) {
			err_set(e, RC_CONFIG,
				"target table %s.%s has no column \"%s\" (source column %s.%s.%s)",
				t->db, t->name, name != NULL ? name : source, t->source_db,
				t->source_name, source);
			return missing_remedy(a, t,
				"add the column at the target, or put it into drop_columns of the "
				"object",
				e);
		}
	}
	return RC_OK;
}

/* No column loses what it must not. */
static enum rc
check_losses(const struct apply *a, const struct target *t, struct err *e)
{
	for (uint32_t i = 0; i < t->source->ncolumns; i++) {
		const struct column *from = &t->source->columns[i], *to;
		enum loss l;

		if (t->map[i] == UINT32_MAX || from->generated)
			continue;
		to = &t->table->columns[t->map[i]];
		if ((l = loss_column(&a->losses, from, to)) != LOSS_COUNT)
			return loss_refuse(l, t->source, from, to, e);
	}
	return RC_OK;
}

static bool
is_of(const struct index *key, uint32_t column)
{
	for (uint32_t p = 0; key != NULL && p < key->nparts; p++)
		if (key->parts[p].column == column)
			return true;
	return false;
}

/* NULL would not find a row by its key. */
static void
find_nulls(const struct apply *a, struct target *t)
{
	for (uint32_t i = 0; i < t->source->ncolumns; i++) {
		if (t->map[i] == UINT32_MAX || is_of(t->key, t->map[i]) ||
			!loss_by_value(
				&a->losses, &t->source->columns[i], &t->table->columns[t->map[i]]))
			continue;
		if (t->nulls == NULL)
			t->nulls = xcalloc(t->source->ncolumns, sizeof *t->nulls);
		t->nulls[i] = true;
	}
}

static bool
is_carried(const struct target *t, const struct index *ix)
{
	for (uint32_t p = 0; p < ix->nparts; p++) {
		bool found = false;

		for (uint32_t i = 0; i < t->source->ncolumns; i++)
			if (t->map[i] == ix->parts[p].column && !t->source->columns[i].generated &&
				!t->table->columns[t->map[i]].generated)
				found = true;
		if (!found)
			return false;
	}
	return true;
}

/* Where relations change, what is in flight was computed with the old ones: it must be gone before
 * the new ones count. */
static bool
tell_world(struct apply *a, const struct table *t)
{
	if (!fk_world_set(a->world, t))
		return true;
	a->world_version++;
	return a->large_running || apply_wait_idle(a);
}

static enum rc
describe(struct apply *a, struct target *t, struct err *e)
{
	enum rc rc;

	apply_lock_sink(a);
	rc = a->sink->ops->describe(a->sink, t->db, t->name, &t->table, e);
	apply_unlock_sink(a);
	if (rc == RC_OK && t->table == NULL) {
		err_set(e, RC_CONFIG, "target table %s.%s does not exist (source table %s.%s)",
			t->db, t->name, t->source_db, t->source_name);
		rc = missing_remedy(a, t, sink_create_remedy(a->worker->conf), e);
	}
	return rc;
}

/* A DELETE and an INSERT of one row are no UPDATE to what hangs on it: before changes are merged it
 * must be known which tables others refer to, also those that have not come yet. */
static enum rc
learn_parents(struct apply *a, struct err *e)
{
	enum rc rc;

	if (!a->merges || a->knows_parents)
		return RC_OK;
	apply_lock_sink(a);
	rc = a->sink->ops->parents(a->sink, a->world, e);
	apply_unlock_sink(a);
	a->knows_parents = rc == RC_OK;
	return rc;
}

enum rc
targets_resolve(struct apply *a, struct target_slot *s, struct err *e)
{
	struct target *t = &s->target;
	enum rc rc;

	if (s->resolved && s->plan_version == a->world_version)
		return RC_OK;
	if (!s->resolved) {
		if ((rc = learn_parents(a, e)) != RC_OK)
			return rc;
		if ((rc = describe(a, t, e)) != RC_OK)
			return rc;
		if ((rc = map_columns(a, t, e)) != RC_OK || (rc = check_losses(a, t, e)) != RC_OK) {
			table_free(t->table);
			free(t->map);
			t->table = NULL;
			t->map = NULL;
			return rc;
		}
		t->key = table_key(t->table);
		if (t->key != NULL && !is_carried(t, t->key))
			t->key = NULL;
		find_nulls(a, t);
		s->resolved = true;
		if (!tell_world(a, t->table))
			return RC_AGAIN;
	}
	token_plan_free(t->plan);
	t->plan = token_plan_new(t->table, t->source, t->map, a->world);
	s->plan_version = a->world_version;
	return RC_OK;
}
