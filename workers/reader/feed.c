/* feed.c - the log's side of the feed; see feed.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/reader/feed_private.h"

/* Positions of transactions that carry nothing move the checkpoint this often at most. */
#define QUIET_CHECKPOINT_US 1000000u
/* A log that stands still needs none; but a gateway that was fenced is to notice. */
#define IDLE_CHECKPOINT_US 10000000u
#define RING_WAIT_MS 50

struct feed *
feed_new(struct worker *w, const struct routes *routes, feed_catalog_cb read_catalog,
	filter_compare_cb compare, void *arg)
{
	struct feed *f = xcalloc(1, sizeof *f);

	f->worker = w;
	f->ring = w->rings[0];
	f->routes = routes;
	f->next_number = 1;
	f->initial_whole = true;
	f->initial_schema = conf_has_word(w->conf, "initial", "schema");
	f->initial_data = conf_has_word(w->conf, "initial", "data");
	f->held = f->initial_data && conf_is(w->conf, "snapshot", "held");
	f->read_catalog = read_catalog;
	f->compare = compare;
	f->arg = arg;
	f->carries[EVENT_INSERT] = conf_has_word(w->conf, "dml", "insert");
	f->carries[EVENT_UPDATE] = conf_has_word(w->conf, "dml", "update");
	f->carries[EVENT_DELETE] = conf_has_word(w->conf, "dml", "delete");
	/* Else its rows at the target may be others'. */
	f->reloads = f->initial_data && !conf_is(w->conf, "existing", "ignore");
	f->excludes_ddl = conf_is(w->conf, "ddl", "exclude");
	f->marks = xcalloc(MARKS, sizeof *f->marks);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	pthread_cond_init(&f->lanes_gone, NULL);
	return f;
}

void
feed_stop(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->stopped = true;
	pthread_cond_broadcast(&f->changed);
	pthread_cond_broadcast(&f->lanes_gone);
	pthread_mutex_unlock(&f->lock);
}

void
feed_drain(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	f->draining = true;
	pthread_cond_broadcast(&f->changed);
	pthread_cond_broadcast(&f->lanes_gone);
	pthread_mutex_unlock(&f->lock);
}

bool
feed_draining(struct feed *f)
{
	bool draining;

	pthread_mutex_lock(&f->lock);
	draining = f->draining;
	pthread_mutex_unlock(&f->lock);
	return draining;
}

/* ---- tables ---- */

/* Fills what follows from the full schema: the carried one, its key, its filter, how to pick. */
void
feed_set_schema(struct feed *f, struct feed_table *t, const struct table *full)
{
	free(t->misfit);
	filter_free(t->where);
	t->misfit = NULL;
	t->where = feed_filter(f, full, &t->misfit);
	table_free(t->full);
	table_free(t->carried);
	free(t->pick);
	t->full = table_copy(full);
	t->pick = xcalloc(full->ncolumns, sizeof *t->pick);
	t->carried = routes_pick(f->routes, full, t->pick);
	t->whole = t->carried->ncolumns == full->ncolumns;
	t->key = table_key(t->carried);
	t->number = 0;
	feed_quarantine_misfit(f, t);
}

struct feed_table *
feed_find(struct feed *f, const char *db, const char *name)
{
	for (struct feed_table *t = f->tables; t != NULL; t = t->next)
		if (t->state != TABLE_REMOVED && strcmp(t->full->name, name) == 0 &&
			strcmp(t->full->db, db) == 0)
			return t;
	return NULL;
}

struct feed_table *
feed_add(struct feed *f, const struct table *table, enum table_state state)
{
	struct feed_table *t = xcalloc(1, sizeof *t);

	t->state = state;
	feed_set_schema(f, t, table);
	t->next = f->tables;
	f->tables = t;
	return t;
}

static bool
same_schema(const struct table *a, const struct table *b)
{
	struct buf x, y;
	bool same;

	buf_init(&x);
	buf_init(&y);
	table_encode(a, &x);
	table_encode(b, &y);
	same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	buf_release(&x);
	buf_release(&y);
	return same;
}

bool
feed_is_initial(const struct feed *f)
{
	return f->initial_pending && f->initial_whole;
}

struct feed_table *
feed_table(struct feed *f, const struct table *table)
{
	struct feed_table *t;

	if (!routes_table(f->routes, table->db, table->name))
		return NULL;
	t = feed_find(f, table->db, table->name);
	if (t == NULL)
		return feed_add(f, table, feed_is_initial(f) ? TABLE_WAITING : TABLE_STREAMING);
	if (!same_schema(t->full, table)) {
		feed_set_schema(f, t, table);
		feed_cancel_chunks(f, t);
	}
	return t;
}

bool
feed_wants(struct feed *f, struct feed_table *t)
{
	(void)f;
	return t != NULL && (t->state == TABLE_LOADING || t->state == TABLE_STREAMING);
}

bool
feed_follows_new(const struct feed *f)
{
	return !feed_is_initial(f);
}

bool
feed_has(struct feed *f, const char *db, const char *name)
{
	const struct feed_table *t = feed_find(f, db, name);

	return t != NULL && !t->expected;
}

void
feed_count(struct feed *f)
{
	uint64_t total = 0, streaming = 0, rows = 0;

	for (const struct feed_table *t = f->tables; t != NULL; t = t->next) {
		if (t->state == TABLE_REMOVED || t->state == TABLE_QUARANTINED)
			continue;
		total++;
		streaming += t->state == TABLE_STREAMING;
		rows += t->full->rows;
	}
	atomic_store(&f->worker->stats[STAT_TABLES_TOTAL], total);
	atomic_store(&f->worker->stats[STAT_TABLES_STREAMING], feed_is_initial(f) ? 0 : streaming);
	atomic_store(&f->worker->stats[STAT_LOAD_ROWS_EXPECTED], rows);
}

void
feed_report(struct feed *f, const struct feed_table *t)
{
	struct report_table r = {.db = t->full->db,
		.name = t->full->name,
		.state = t->state,
		.rows_expected = t->full->rows,
		.reason = t->reason};

	feed_count(f);
	worker_report_table(f->worker, &r);
}

/* ---- into the ring ---- */

enum rc
feed_emit(struct feed *f, const struct event *ev)
{
	enum rc rc;

	while ((rc = frame_put(f->ring, ev, &f->worker->stopping)) == RC_AGAIN) {
		if (f->stopped || f->worker->stopping)
			return RC_AGAIN;
		ring_wait_space(f->ring, frame_size(ev), RING_WAIT_MS);
	}
	return rc;
}

enum rc
feed_emit_schema(struct feed *f, struct feed_table *t)
{
	struct event ev = {.kind = EVENT_SCHEMA};
	struct buf b;
	enum rc rc;

	if (t->number != 0)
		return RC_OK;
	t->number = f->next_number++;
	buf_init(&b);
	table_encode(t->carried, &b);
	ev.schema =
		(struct event_schema){.number = t->number, .table = b.data, .len = (uint32_t)b.len};
	rc = feed_emit(f, &ev);
	FAILPOINT(READER_SCHEMA);
	buf_release(&b);
	return rc;
}

enum rc
feed_emit_state(struct feed *f, struct feed_table *t, enum table_state state)
{
	struct event ev = {.kind = EVENT_TABLE};
	struct table kept = *t->full;
	struct buf b;
	enum rc rc = feed_say_position(f);

	if (rc == RC_OK)
		rc = feed_emit_schema(f, t);
	if (rc != RC_OK)
		return rc;
	t->state = state;
	t->expected = false;
	if (state != TABLE_QUARANTINED) {
		free(t->reason);
		t->reason = NULL;
	}
	buf_init(&b);
	kept.where = (char *)routes_where(f->routes, kept.db, kept.name);
	table_encode(&kept, &b);
	ev.table = (struct event_table){.table = t->number,
		.state = state,
		.schema = b.data,
		.schema_len = (uint32_t)b.len};
	feed_report(f, t);
	rc = feed_emit(f, &ev);
	FAILPOINT(READER_STATE);
	buf_release(&b);
	return rc;
}

/* ---- transactions ---- */

static enum rc
enter(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->stopped && !f->draining && (f->armed != 0 || f->lanes_waiting != 0))
		pthread_cond_wait(&f->lanes_gone, &f->lock);
	if (f->stopped || f->draining) {
		pthread_mutex_unlock(&f->lock);
		return RC_AGAIN;
	}
	f->in_txn = true;
	f->emitted = false;
	return RC_OK;
}

static void
leave(struct feed *f)
{
	f->in_txn = false;
	pthread_mutex_unlock(&f->lock);
}

/* What is due where a log ends may come due between two transactions: a log has other records, too.
 */
enum rc
feed_begin(struct feed *f, struct logpos at, struct err *e)
{
	enum rc rc = enter(f);

	if (rc == RC_OK && (rc = feed_boundary(f, at, e)) != RC_OK)
		leave(f);
	return rc;
}

enum rc
feed_emit_begin(struct feed *f)
{
	struct event ev = {.kind = EVENT_BEGIN};
	enum rc rc;

	if (f->emitted)
		return RC_OK;
	f->emitted = true;
	rc = feed_emit(f, &ev);
	FAILPOINT(READER_BEGIN);
	return rc;
}

/* The carried columns of an image, in the feed's scratch from `from` on. */
static struct row
pick_row(struct feed *f, const struct feed_table *t, const struct row *row, size_t from)
{
	struct row out = {.col = f->scratch + from, .ncols = t->carried->ncolumns};

	if (row->ncols == 0)
		return (struct row){0};
	if (t->whole)
		return *row;
	for (uint32_t i = 0; i < out.ncols; i++)
		out.col[i] = row->col[t->pick[i]];
	return out;
}

static void
note_windows(struct feed *f, struct feed_table *t, enum event_kind op, const struct row *before,
	const struct row *after)
{
	for (struct chunk *c = f->chunks; c != NULL; c = c->next)
		if (c->table == t && c->window != NULL)
			window_note(c->window, op, before, after);
}

/* Whether a change of a row of `parent` changes rows of `child` behind the log's back, at once or
 * through tables between. */
static bool
cascades_to(struct feed *f, const struct table *parent, const struct table *child, unsigned depth)
{
	for (uint32_t i = 0; i < child->nfks && depth < 16; i++) {
		const struct foreign_key *fk = &child->fks[i];
		const struct feed_table *above;

		if (fk->on_delete == FK_NONE && fk->on_update == FK_NONE)
			continue;
		if (strcmp(fk->ref_table, parent->name) == 0 && strcmp(fk->ref_db, parent->db) == 0)
			return true;
		above = feed_find(f, fk->ref_db, fk->ref_table);
		if (above != NULL && above->full != child &&
			cascades_to(f, parent, above->full, depth + 1))
			return true;
	}
	return false;
}

static bool
changes_a_key(const struct table *t, const struct row *before, const struct row *after)
{
	for (uint32_t i = 0; i < t->nindexes; i++)
		for (uint32_t p = 0; t->indexes[i].unique && p < t->indexes[i].nparts; p++) {
			uint32_t c = t->indexes[i].parts[p].column;

			if (c != UINT32_MAX && after->col[c].kind != VALUE_UNCHANGED &&
				!value_equal(&before->col[c], &after->col[c]))
				return true;
		}
	return false;
}

/*
 * Cascades of foreign keys that are not in the log: a chunk of the children whose
 * snapshot may or may not have seen one is let go, and taken again behind it.
 */
static void
cancel_cascaded(struct feed *f, const struct feed_table *t, enum event_kind op,
	const struct row *before, const struct row *after)
{
	struct chunk *c = f->chunks;

	if (op == EVENT_INSERT || (op == EVENT_UPDATE && !changes_a_key(t->full, before, after)))
		return;
	while (c != NULL) {
		struct chunk *next = c->next;

		if (!c->exact && cascades_to(f, t->full, c->table->full, 0))
			feed_cancel_chunk(f, c);
		c = next;
	}
}

static bool
is_whole(const struct row *r)
{
	for (uint32_t i = 0; i < r->ncols; i++)
		if (r->col[i].kind == VALUE_UNCHANGED)
			return false;
	return true;
}

/*
 * A row that is not in the target yet has moved to another key, perhaps into a
 * chunk that is there: it is missing at the target, and the image alone cannot
 * make it.
 */
static bool
cannot_be_made(const struct feed_table *t, enum event_kind op, const struct event_row *row)
{
	return op == EVENT_UPDATE && t->state == TABLE_LOADING && !is_whole(&row->after) &&
	       changes_a_key(t->full, &row->before, &row->after);
}

static enum rc
emit_row(struct feed *f, struct feed_table *t, enum event_kind op, const struct event_row *row)
{
	const struct row *before = &row->before, *after = &row->after;
	struct event ev = {.kind = op};
	enum rc rc;

	grow(&f->scratch, &f->scratch_cap, (size_t)t->carried->ncolumns * 2 + 1,
		sizeof *f->scratch);
	ev.row.before = pick_row(f, t, before, 0);
	ev.row.after = pick_row(f, t, after, t->carried->ncolumns);
	if (t->chunks_open != 0)
		note_windows(f, t, op, &ev.row.before, &ev.row.after);
	if ((rc = feed_emit_begin(f)) != RC_OK || (rc = feed_emit_schema(f, t)) != RC_OK)
		return rc;
	ev.row.table = t->number;
	ev.row.fk_off = row->fk_off;
	rc = feed_emit(f, &ev);
	FAILPOINT(READER_ROW);
	return rc == RC_OK && cannot_be_made(t, op, row) ? feed_start_over(f, t) : rc;
}

enum rc
feed_row(struct feed *f, struct feed_table *t, enum event_kind op, const struct event_row *row,
	struct err *e)
{
	const struct row *before = &row->before, *after = &row->after;
	struct event_row seen = *row;
	enum rc rc = RC_OK;

	if (!feed_wants(f, t))
		return RC_OK;
	if ((before->ncols != 0 && before->ncols != t->full->ncolumns) ||
		(after->ncols != 0 && after->ncols != t->full->ncolumns))
		return err_set(e, RC_BUG, "a row of %s.%s has not the columns of its table",
			t->full->db, t->full->name);
	if (f->chunks != NULL && !row->fk_off)
		cancel_cascaded(f, t, op, before, after);
	if (t->where != NULL)
		rc = feed_filter_row(f, t, &op, &seen, e);
	return rc == RC_OK && f->carries[op] ? emit_row(f, t, op, &seen) : rc;
}

static void
remember(struct feed *f, const struct event_commit *c)
{
	char *text = xstrdup(c->applied);

	free(f->position);
	f->position = text;
	f->at = c->at;
	f->last = *c;
	f->last.txid = f->last.origin = "";
	f->last.applied = f->last.resume = f->position;
}

/* Frames are given back in their order, one with a position only when it is committed. */
static void
mark_position(struct feed *f, struct logpos at)
{
	/* With the queue full the newest mark moves on: what it stood for is known a bit later. */
	if (f->marks_count < MARKS)
		f->marks_count++;
	f->marks[(f->marks_first + f->marks_count - 1) % MARKS] =
		(struct mark){.end = ring_bytes(f->ring), .at = at};
}

struct logpos
feed_durable(struct feed *f)
{
	struct logpos at;
	uint64_t released;

	pthread_mutex_lock(&f->lock);
	released = ring_bytes(f->ring) - ring_fill(f->ring);
	while (f->marks_count != 0 && f->marks[f->marks_first].end <= released) {
		f->durable = f->marks[f->marks_first].at;
		f->marks_first = (f->marks_first + 1) % MARKS;
		f->marks_count--;
	}
	at = f->durable;
	pthread_mutex_unlock(&f->lock);
	return at;
}

static enum rc
emit_position(struct feed *f, const struct event_commit *c, enum event_kind kind)
{
	struct event ev = {.kind = kind, .commit = *c};
	enum rc rc;

	ev.commit.read_us = now_us();
	f->checkpoint_us = ev.commit.read_us;
	f->said = c->at;
	rc = feed_emit(f, &ev);
	if (rc != RC_OK)
		return rc;
	ring_publish(f->ring);
	mark_position(f, c->at);
	if (kind == EVENT_HEARTBEAT)
		FAILPOINT(READER_QUIET);
	return RC_OK;
}

/*
 * What is placed here is true at this position: the target's checkpoint must
 * not lie before it, or a restart would bring earlier changes once more.
 */
enum rc
feed_say_position(struct feed *f)
{
	if (f->emitted || f->position == NULL || logpos_cmp(f->said, f->at) == 0)
		return RC_OK;
	return emit_position(f, &f->last, EVENT_HEARTBEAT);
}

static bool
is_position_due(const struct feed *f, const struct event_commit *c)
{
	bool moved = logpos_cmp(c->at, f->said) != 0;

	return now_us() - f->checkpoint_us >= (moved ? QUIET_CHECKPOINT_US : IDLE_CHECKPOINT_US);
}

static enum rc
say_quarantined(struct feed *f)
{
	enum rc rc = RC_OK;

	f->news = false;
	for (struct feed_table *t = f->tables; t != NULL && rc == RC_OK; t = t->next)
		if (t->unsaid) {
			t->unsaid = false;
			rc = feed_emit_state(f, t, TABLE_QUARANTINED);
		}
	return rc;
}

void
feed_quarantine(struct feed *f, struct feed_table *t, const char *why)
{
	feed_cancel_chunks(f, t);
	t->round++;
	t->state = TABLE_QUARANTINED;
	t->unsaid = f->news = true;
	free(t->reason);
	t->reason = xstrdup(why);
}

static enum rc
finish(struct feed *f, const struct event_commit *c, struct err *e)
{
	enum rc rc = RC_OK;

	remember(f, c);
	atomic_store(&f->worker->stats[STAT_SOURCE_TIME], c->time_us);
	if (f->emitted) {
		FAILPOINT(READER_COMMIT);
		rc = emit_position(f, c, EVENT_COMMIT);
		FAILPOINT(READER_COMMITTED);
	} else if (f->initial_pending || f->chunks != NULL || is_position_due(f, c)) {
		rc = emit_position(f, c, EVENT_HEARTBEAT);
	}
	f->emitted = false;
	f->in_txn = false;
	if (rc == RC_OK && f->news)
		rc = say_quarantined(f);
	if (rc == RC_OK)
		rc = feed_boundary(f, f->at, e);
	return rc;
}

/* Behind a transaction, the lock given back: tables that load again need the catalog. */
static enum rc
leave_whole(struct feed *f, struct err *e)
{
	bool due = f->reload_due && !f->initial_pending;

	f->reload_due &= !due;
	leave(f);
	return due ? f->read_catalog(f->arg, e) : RC_OK;
}

enum rc
feed_commit(struct feed *f, const struct event_commit *c, struct err *e)
{
	enum rc rc;

	atomic_fetch_add(&f->worker->stats[STAT_READ_TXNS], 1);
	rc = finish(f, c, e);
	if (rc != RC_OK) {
		leave(f);
		return rc;
	}
	return leave_whole(f, e);
}

void
feed_abandon(struct feed *f, const struct event_commit *c)
{
	if (c != NULL && f->emitted)
		bug("a transaction was abandoned after its rows went out");
	if (c != NULL)
		remember(f, c);
	leave(f);
}

enum rc
feed_idle(struct feed *f, const struct event_commit *c, struct err *e)
{
	enum rc rc = enter(f);

	if (rc != RC_OK)
		return rc;
	rc = finish(f, c, e);
	if (rc != RC_OK) {
		leave(f);
		return rc;
	}
	return leave_whole(f, e);
}

/* ---- positions ---- */

void
feed_set_position(struct feed *f, struct logpos at, const char *text)
{
	pthread_mutex_lock(&f->lock);
	free(f->position);
	f->position = xstrdup(text);
	f->at = f->said = f->durable = at;
	pthread_mutex_unlock(&f->lock);
}

struct feed_table *
feed_register(struct feed *f, const struct table *t, enum table_state state)
{
	struct feed_table *ft;

	pthread_mutex_lock(&f->lock);
	if (feed_has_other_rows(f, t, state)) {
		log_info("%s.%s has another `where` than its rows came through%s", t->db, t->name,
			f->reloads ? ": it loads again" : "");
		state = f->reloads ? TABLE_RELOAD : state;
	}
	ft = feed_add(f, t, state);
	ft->expected = state == TABLE_WAITING;
	feed_report(f, ft);
	pthread_mutex_unlock(&f->lock);
	return ft;
}

void
feed_register_left(struct feed *f, const struct table *t)
{
	pthread_mutex_lock(&f->lock);
	feed_add(f, t, TABLE_REMOVED)->left = true;
	pthread_mutex_unlock(&f->lock);
}
