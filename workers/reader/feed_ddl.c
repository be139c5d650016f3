/*
 * feed_ddl.c - statements that change tables, on their way into the ring.
 *
 * What they void of a load goes before them; what they make of states and
 * columns goes with them, in one transaction.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/reader/feed_private.h"

/* A table that will be made anew from the catalog has no use for statements before that, unless
 * others have, to stand on; one in quarantine follows its name. */
static bool
follows_ddl(const struct feed *f, const struct feed_table *t, enum ddl_effect effect)
{
	if (t->expected)
		return effect == DDL_CREATED;
	if (effect == DDL_DROPPED || effect == DDL_RENAMED)
		return t->state != TABLE_WAITING;
	return t->state != TABLE_WAITING && t->state != TABLE_QUARANTINED &&
	       (t->state != TABLE_RELOAD || !f->initial_schema || f->keeps_reloading);
}

static bool
has_name(const struct ddl_change *renamed, const struct ddl_change *ch)
{
	return renamed->effect == DDL_RENAMED && strcmp(renamed->to_db, ch->db) == 0 &&
	       strcmp(renamed->to_name, ch->name) == 0;
}

/* Those of tables that the target has; of all others the initial schema will tell. How many. */
static uint32_t
pick_carried(struct feed *f, const struct ddl_change *changes, uint32_t n, struct ddl_change *out)
{
	uint32_t ncarried = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct feed_table *t = feed_find(f, changes[i].db, changes[i].name);
		bool carried =
			t != NULL ? follows_ddl(f, t, changes[i].effect) : !feed_is_initial(f);

		for (uint32_t k = 0; k < ncarried; k++) /* a TO tmp, b TO a, tmp TO b */
			carried = carried || has_name(&out[k], &changes[i]);
		if (carried)
			out[ncarried++] = changes[i];
	}
	return ncarried;
}

static bool
same_key(const struct feed_table *t, const struct table *now)
{
	const struct index *a = table_key(t->full), *b = table_key(now);

	if (a == NULL || b == NULL)
		return a == b;
	if (a->nparts != b->nparts)
		return false;
	for (uint32_t i = 0; i < a->nparts; i++)
		if (strcmp(t->full->columns[a->parts[i].column].name,
			    now->columns[b->parts[i].column].name) != 0)
			return false;
	return true;
}

static struct feed_table *
add_renamed(struct feed *f, const struct feed_table *t, const struct ddl_change *ch)
{
	struct table *moved = table_copy(t->full);
	struct feed_table *to;

	free(moved->db);
	free(moved->name);
	moved->db = xstrdup(ch->to_db);
	moved->name = xstrdup(ch->to_name);
	to = feed_find(f, ch->to_db, ch->to_name);
	if (to == NULL) {
		to = feed_add(f, moved, t->state);
	} else { /* a restart found it, as what it was to become */
		feed_cancel_chunks(f, to);
		feed_set_schema(f, to, moved);
		to->state = t->state;
	}
	table_free(moved);
	return to;
}

enum rc
feed_join(struct feed *f, const char *db, const char *name, const struct table *table)
{
	struct feed_table *t = feed_find(f, db, name);

	if (t == NULL && (table == NULL || feed_is_initial(f)))
		return RC_OK; /* it is gone; or the initial schema will have it */
	if (t != NULL && t->state == TABLE_WAITING && !t->expected)
		return RC_OK;
	if (f->excludes_ddl) {
		log_info("ddl = \"exclude\": %s.%s is another table from here on, the target's "
			 "stays",
			db, name);
		return RC_OK;
	}
	log_info("%s.%s is another table from here on, from outside of the selection: it loads "
		 "again",
		db, name);
	if (t == NULL)
		t = feed_add(f, table, TABLE_RELOAD);
	return feed_start_over(f, t);
}

/*
 * Before the statement. What a load was about to do under this name or along
 * this key is void: the target must know that first, for behind the statement a
 * restart would find a load that cannot go on.
 */
static enum rc
change_table(struct feed *f, const struct ddl_change *ch)
{
	struct feed_table *t = feed_find(f, ch->db, ch->name);
	enum rc rc = RC_OK;
	bool begun, refilters;

	if (t == NULL)
		return RC_OK;
	refilters = feed_refilters(f, t, ch);
	begun = t->state == TABLE_SCHEMA || t->state == TABLE_LOADING || t->state == TABLE_RELOAD ||
		(t->state == TABLE_STREAMING && refilters);
	feed_cancel_chunks(f, t);
	if (ch->effect == DDL_CREATED) {
		t->round++; /* another table in its place: what was planned for that is void */
		if (t->expected && ch->table != NULL) /* it was found as it is to become */
			feed_set_schema(f, t, ch->table);
	}
	if (begun && ch->effect == DDL_RENAMED && routes_table(f->routes, ch->to_db, ch->to_name))
		rc = feed_start_over(f, add_renamed(f, t, ch));
	if (rc == RC_OK && begun && (ch->effect == DDL_RENAMED || ch->effect == DDL_DROPPED))
		rc = feed_emit_state(f, t, TABLE_REMOVED);
	if (rc == RC_OK && ch->effect == DDL_CHANGED && ch->table != NULL) {
		bool again = (t->state == TABLE_LOADING && !same_key(t, ch->table)) || refilters;

		feed_set_schema(f, t, ch->table);
		if (again && (t->state == TABLE_LOADING || t->state == TABLE_STREAMING))
			rc = feed_start_over(f, t);
	}
	return rc;
}

/* After the statement's own commit: states and columns as they are now, for the target to keep. */
static enum rc
follow_up(struct feed *f, const struct ddl_change *ch)
{
	struct feed_table *t = feed_find(f, ch->db, ch->name);

	switch (ch->effect) {
	case DDL_CREATED:
		if (t == NULL && ch->table != NULL && routes_table(f->routes, ch->db, ch->name))
			t = feed_add(f, ch->table, TABLE_STREAMING);
		if (t == NULL)
			return RC_OK;
		return feed_emit_state(
			f, t, t->state == TABLE_QUARANTINED ? t->state : TABLE_STREAMING);
	case DDL_CHANGED:
		return t != NULL ? feed_emit_state(f, t, t->state) : RC_OK;
	case DDL_DROPPED:
		return t != NULL ? feed_emit_state(f, t, TABLE_REMOVED) : RC_OK;
	case DDL_RENAMED:
		if (t == NULL)
			return RC_OK;
		if (routes_table(f->routes, ch->to_db, ch->to_name)) {
			enum rc rc = feed_emit_state(f, add_renamed(f, t, ch), t->state);

			if (rc != RC_OK)
				return rc;
		}
		return feed_emit_state(f, t, TABLE_REMOVED);
	case DDL_TRUNCATED:
	case DDL_EFFECT_COUNT:
	default:
		return RC_OK;
	}
}

static void
encode_carried(struct feed *f, const struct table *t, struct buf *b)
{
	uint32_t *pick = xcalloc(t->ncolumns, sizeof *pick);
	struct table *carried = routes_pick(f->routes, t, pick);

	table_encode(carried, b);
	table_free(carried);
	free(pick);
}

/* The changes as the writer gets them: the tables before them are still known here. */
static void
describe_changes(struct feed *f, const struct ddl_change *changes, uint32_t n,
	struct table_change *out, struct buf *tables)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ddl_change *ch = &changes[i];
		const struct feed_table *t = feed_find(f, ch->db, ch->name);
		struct buf *before = &tables[2 * i], *after = &tables[2 * i + 1];

		if (t != NULL && !t->expected)
			table_encode(t->carried, before);
		if (ch->table != NULL)
			encode_carried(f, ch->table, after);
		out[i] = (struct table_change){
			.effect = ch->effect,
			.db = ch->db,
			.name = ch->name,
			.to_db = ch->to_db != NULL ? ch->to_db : "",
			.to_name = ch->to_name != NULL ? ch->to_name : "",
			.before = before->data,
			.before_len = (uint32_t)before->len,
			.after = after->data,
			.after_len = (uint32_t)after->len,
			.columns = ch->columns,
			.ncolumns = ch->ncolumns,
		};
	}
}

static enum rc
emit_ddl(struct feed *f, const struct event *ev, const struct ddl_change *changes,
	uint32_t nchanges, const struct ddl_change *carried, uint32_t ncarried)
{
	bool goes = nchanges == 0 ? !feed_is_initial(f) : ncarried != 0;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < nchanges && rc == RC_OK; i++)
		rc = change_table(f, &changes[i]);
	if (rc != RC_OK || !goes)
		return rc;
	FAILPOINT(READER_DDL);
	/* A log that does not tell where a transaction lies has the statement's place counted from
	 * the position before: the target must have that one, or a statement that has run is met
	 * again at another place. */
	if ((rc = feed_say_position(f)) != RC_OK || (rc = feed_emit_begin(f)) != RC_OK)
		return rc;
	if (f->excludes_ddl)
		log_info("ddl = \"exclude\": not carried: %.200s", ev->ddl.sql);
	else if ((rc = feed_emit(f, ev)) != RC_OK)
		return rc;
	FAILPOINT(READER_DDL_PUT);
	/* TABLE events in a DDL's transaction take effect behind it. */
	for (uint32_t i = 0; i < ncarried && rc == RC_OK; i++)
		rc = follow_up(f, &carried[i]);
	return rc;
}

void
feed_keep_reloading(struct feed *f)
{
	f->keeps_reloading = true;
}

enum rc
feed_ddl(struct feed *f, const struct event_ddl *ddl, const struct ddl_change *changes,
	uint32_t nchanges)
{
	struct ddl_change *carried = xcalloc(nchanges, sizeof *carried);
	uint32_t ncarried = pick_carried(f, changes, nchanges, carried);
	struct table_change *described = xcalloc(ncarried, sizeof *described);
	struct buf *tables = xcalloc((size_t)ncarried * 2, sizeof *tables);
	struct event ev = {.kind = EVENT_DDL, .ddl = *ddl};
	enum rc rc;

	describe_changes(f, carried, ncarried, described, tables);
	ev.ddl.changes = described;
	ev.ddl.nchanges = ncarried;
	rc = emit_ddl(f, &ev, changes, nchanges, carried, ncarried);
	for (size_t i = 0; i < (size_t)ncarried * 2; i++)
		buf_release(&tables[i]);
	free(tables);
	free(described);
	free(carried);
	return rc;
}
