/*
 * feed_filter.c - which rows of a table are carried: `where`, as the log's side of the feed sees
 * it.
 *
 * The table as it is carried has the rows for which the filter is true; what goes
 * on is the log of that table. So windows of chunks, of which the snapshots are
 * filtered by the server, need know nothing of it.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "workers/reader/feed_private.h"

struct filter *
feed_filter(const struct feed *f, const struct table *full, char **misfit)
{
	const char *text = routes_where(f->routes, full->db, full->name);
	struct filter *where = NULL;
	struct err e;

	if (text == NULL || filter_new(text, full, &where, &e) == RC_OK)
		return where;
	if (misfit != NULL)
		*misfit = xstrdup(e.text);
	return NULL;
}

/* For a reason in its filter: its rows end here. */
static void
quarantine_filtered(struct feed *f, struct feed_table *t, const char *text, const char *remedy)
{
	char *why = xasprintf("%s; %s, then `syncline resync %s %s.%s` loads it again", text,
		remedy, f->worker->channel, t->full->db, t->full->name);

	feed_quarantine(f, t, why);
	free(why);
}

void
feed_quarantine_misfit(struct feed *f, struct feed_table *t)
{
	if (t->misfit != NULL && t->state != TABLE_QUARANTINED && t->state != TABLE_WAITING &&
		f->streaming)
		quarantine_filtered(f, t, t->misfit, FILTER_REMEDY);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
keeps_labels(const struct column *was, const struct column *is)
{
	for (uint32_t i = 0; i < was->nlabels; i++)
		if (i >= is->nlabels || strcmp(was->labels[i], is->labels[i]) != 0)
			return false;
	return true;
}

/* Whether what stood in the column still does, and compares as it did. */
static bool
keeps_values(const struct column *was, const struct column *is)
{
	return was->type == is->type && was->is_unsigned == is->is_unsigned &&
	       was->scale == is->scale && was->length <= is->length &&
	       was->precision <= is->precision && same_text(was->charset, is->charset) &&
	       same_text(was->collation, is->collation) && keeps_labels(was, is) &&
	       (was->type != TYPE_INTEGER || same_text(was->native, is->native));
}

/* The statement changes a column of the filter: the log does not say for which rows it is true now.
 */
static bool
moves_rows(const struct feed_table *t, const struct ddl_change *ch)
{
	for (uint32_t i = 0; t->where != NULL && i < t->full->ncolumns; i++) {
		const struct column *was = &t->full->columns[i];
		uint32_t now;

		if (!filter_uses(t->where, i))
			continue;
		now = table_column(ch->table, was->name);
		if (now == UINT32_MAX || !keeps_values(was, &ch->table->columns[now]))
			return true;
		for (uint32_t k = 0; k < ch->ncolumns; k++)
			if (strcmp(ch->columns[k].to, was->name) == 0)
				return true;
	}
	return false;
}

bool
feed_refilters(struct feed *f, struct feed_table *t, const struct ddl_change *ch)
{
	if (t->state != TABLE_LOADING && t->state != TABLE_STREAMING)
		return false;
	if (!(ch->effect == DDL_CHANGED && ch->table != NULL && moves_rows(t, ch)) &&
		!(ch->effect == DDL_RENAMED &&
			!same_text(routes_where(f->routes, ch->db, ch->name),
				routes_where(f->routes, ch->to_db, ch->to_name))))
		return false;
	if (f->reloads)
		return true;
	quarantine_filtered(f, t,
		"a statement has changed for which rows `where` is true, and what the target has "
		"of them may be others' (existing = \"ignore\")",
		"take this channel's rows out of it");
	return false;
}

bool
feed_has_other_rows(const struct feed *f, const struct table *t, enum table_state state)
{
	const char *now = routes_where(f->routes, t->db, t->name);
	bool same =
		(t->where == NULL || now == NULL) ? t->where == now : strcmp(t->where, now) == 0;

	return !same && (state == TABLE_LOADING || state == TABLE_STREAMING);
}

/* The row after a change: what its image leaves out is as before. */
static struct row
merge_row(struct feed *f, const struct row *before, const struct row *after)
{
	struct row out = {.ncols = after->ncols};

	grow(&f->merged, &f->merged_cap, (size_t)after->ncols + 1, sizeof *f->merged);
	out.col = f->merged;
	for (uint32_t i = 0; i < after->ncols; i++)
		out.col[i] = after->col[i].kind == VALUE_UNCHANGED ? before->col[i] : after->col[i];
	return out;
}

/* Whether each of the two images is in the table as it is carried. */
static enum rc
ask_filter(struct feed *f, struct feed_table *t, const struct row *before, const struct row *after,
	bool *was, bool *is, struct err *e)
{
	enum rc rc = RC_OK;

	*was = *is = false;
	if (before->ncols != 0)
		rc = filter_holds(t->where, before, f->compare, f->arg, was, e);
	if (rc == RC_OK && after->ncols != 0)
		rc = filter_holds(t->where, after, f->compare, f->arg, is, e);
	return rc;
}

static bool
lacks_columns(const struct feed_table *t, const struct row *r)
{
	for (uint32_t i = 0; i < t->carried->ncolumns; i++)
		if (r->col[t->pick[i]].kind != VALUE_BYTES && r->col[t->pick[i]].kind != VALUE_NULL)
			return true;
	return false;
}

enum rc
feed_filter_row(struct feed *f, struct feed_table *t, enum event_kind *op, struct event_row *row,
	struct err *e)
{
	struct row after =
		*op == EVENT_UPDATE ? merge_row(f, &row->before, &row->after) : row->after;
	bool was, is;
	enum rc rc = ask_filter(f, t, &row->before, &after, &was, &is, e);

	if (rc == RC_OK && *op == EVENT_UPDATE && is && !was && lacks_columns(t, &after)) {
		rc = err_set(e, RC_DATA,
			"a row of %s.%s has moved into its `where`, and the log "
			"has only what has changed of it",
			t->full->db, t->full->name);
		err_remedy(e, "set binlog_row_image=FULL at the source");
	}
	if (rc == RC_DATA)
		quarantine_filtered(f, t, e->text, e->remedy);
	if (rc != RC_OK || (!was && !is)) {
		*op = EVENT_COUNT;
		return rc == RC_DATA ? RC_OK : rc;
	}
	if (*op == EVENT_UPDATE && was != is) {
		*op = is ? EVENT_INSERT : EVENT_DELETE;
		row->before = is ? (struct row){0} : row->before;
		row->after = is ? after : (struct row){0};
		row->fk_off = true;
	}
	return RC_OK;
}

enum rc
feed_check_filters(struct feed *f,
	enum rc (*cb)(void *arg, const struct filter *where, struct err *e), void *arg,
	struct err *e)
{
	enum rc rc = RC_OK;

	for (struct feed_table *t = f->tables; t != NULL && rc == RC_OK; t = t->next) {
		if (t->state == TABLE_QUARANTINED || t->state == TABLE_REMOVED)
			continue;
		if (t->misfit != NULL) {
			err_set(e, RC_CONFIG, "%s", t->misfit);
			return err_remedy(e, FILTER_REMEDY);
		}
		if (t->where != NULL)
			rc = cb(arg, t->where, e);
	}
	f->streaming = rc == RC_OK;
	return rc;
}
