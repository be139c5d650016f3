/* scan.c - frames of the stream ring become work for the scheduler. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/writer/apply_private.h"

#define WAIT_MS 50
/* With nothing to do: whoever ends this wakes the ring. */
#define IDLE_MS 1000
/* The queue holds this many groups' worth for each lane: enough to gather, not more. */
#define QUEUE_GROUPS 2

/*
 * What one work holds at most, of the ring and of our own memory: a row of few
 * bytes takes many times as much when it lies there with its values, tokens
 * and bindings.
 */
#define LARGE_ROWS 8192

static bool
is_full(const struct apply *a, const struct work *w)
{
	return w->unit.bytes >= a->large_bytes || w->nchanges >= LARGE_ROWS;
}

/* ---- works for the scheduler ---- */

/* Hands a work to the scheduler; waits while the queue is full. */
static enum rc
push(struct apply *a, struct work *w)
{
	/* Keys are made ahead of what has been read. */
	w->ring_end = w->kind != WORK_KEYS ? a->scan_end : 0;
	w->loading = a->loading != 0;
	token_list_pack(&w->tokens);
	w->unit.tokens = w->tokens.tokens;
	w->unit.ntokens = w->tokens.count;
	pthread_mutex_lock(&a->lock);
	while (!apply_ending(a) && sched_queued(a->sched) != 0 &&
		(a->queued_bytes > a->group_bytes * a->nlanes * QUEUE_GROUPS ||
			sched_queued(a->sched) > (size_t)a->group_rows * a->nlanes * QUEUE_GROUPS))
		pthread_cond_wait(&a->room_cond, &a->lock);
	a->queued_bytes += w->unit.bytes;
	sched_push(a->sched, &w->unit);
	pthread_cond_signal(&a->work_cond);
	pthread_mutex_unlock(&a->lock);
	return apply_ending(a) ? RC_AGAIN : RC_OK;
}

/* What follows a barrier is looked at only when the barrier has been executed. */
static enum rc
push_barrier(struct apply *a, struct work *w)
{
	enum rc rc;

	w->unit.alone = true;
	rc = push(a, w);
	if (rc == RC_OK && !apply_wait_idle(a))
		rc = RC_AGAIN;
	return rc;
}

/* ---- keys that wait ---- */

/* What is known of the table was read without them. */
static enum rc
make_keys(struct apply *a, struct table_entry *en)
{
	struct work *w = work_new(a, WORK_KEYS);
	enum rc rc;

	w->entry = en;
	rc = push_barrier(a, w);
	if (rc != RC_OK)
		return rc;
	en->unkeyed = false;
	targets_forget_table(a, en);
	return RC_OK;
}

/* Before what may concern any table, or is read on while it runs. */
static enum rc
make_all_keys(struct apply *a)
{
	enum rc rc = RC_OK;

	for (struct table_entry *en = a->entries; en != NULL && rc == RC_OK; en = en->next)
		if (en->unkeyed)
			rc = make_keys(a, en);
	return rc;
}

/* ---- changes ---- */

/* Whether an UPDATE moves the row to another key of the target. */
static bool
key_moves(const struct target *t, const struct row *before, const struct row *after)
{
	if (t->key == NULL)
		return false;
	for (uint32_t i = 0; i < t->source->ncolumns; i++)
		for (uint32_t p = 0; p < t->key->nparts; p++)
			if (t->map[i] == t->key->parts[p].column &&
				after->col[i].kind != VALUE_ABSENT &&
				after->col[i].kind != VALUE_UNCHANGED &&
				!value_equal(&before->col[i], &after->col[i]))
				return true;
	return false;
}

static uint64_t
shape_of(const struct change *c, const struct target_slot *s)
{
	uint64_t shape = batch_shape(c);

	if (s->entry->state == TABLE_LOADING)
		shape |= SHAPE_LENIENT;
	if (c->op == EVENT_UPDATE && key_moves(&s->target, &c->before, &c->after))
		shape |= SHAPE_KEY_MOVES;
	return shape;
}

static bool
fits(const struct row *r, const struct target *t, bool wanted)
{
	return wanted ? r->ncols == t->source->ncolumns : r->ncols == 0;
}

static enum rc
check_row(const struct event *ev, const struct target *t, struct err *e)
{
	if (fits(&ev->row.before, t, ev->kind != EVENT_INSERT) &&
		fits(&ev->row.after, t, ev->kind != EVENT_DELETE))
		return RC_OK;
	return err_set(e, RC_BUG, "a row of %s.%s has not the columns of its table", t->source_db,
		t->source_name);
}

/* What finds the row at the target must be in the image: its key, or without one every column. */
static enum rc
check_identity(const struct row *r, const struct target *t, struct err *e)
{
	for (uint32_t i = 0; i < r->ncols; i++) {
		bool needed = t->key == NULL;

		if (r->col[i].kind != VALUE_ABSENT || t->map[i] == UINT32_MAX ||
			t->table->columns[t->map[i]].generated)
			continue;
		for (uint32_t p = 0; t->key != NULL && p < t->key->nparts; p++)
			needed = needed || t->key->parts[p].column == t->map[i];
		if (!needed)
			continue;
		err_set(e, RC_DATA,
			"the log has no value of column \"%s\" of %s.%s, which finds the row at "
			"the "
			"target",
			t->source->columns[i].name, t->source_db, t->source_name);
		return err_remedy(e, "set binlog_row_image=FULL at the source for all sessions, or "
				     "give the target's table the source's primary key; then reset "
				     "the channel");
	}
	return RC_OK;
}

/* What the target has no value for, where the channel accepts that. */
static void
set_nulls(const struct apply *a, const struct target *t, struct row *r)
{
	for (uint32_t i = 0; t->nulls != NULL && i < r->ncols; i++)
		if (t->nulls[i] && loss_value(&a->losses, &t->source->columns[i], &r->col[i]))
			r->col[i] = (struct value){.kind = VALUE_NULL};
}

static struct change *
add_change(const struct apply *a, struct work *w, const struct event *ev, struct target_slot *s)
{
	struct change *c = arena_calloc(w->rows, 1, sizeof *c);

	c->op = ev->kind;
	c->target = &s->target;
	c->before = ev->row.before;
	c->after = ev->row.after;
	set_nulls(a, c->target, &c->before);
	set_nulls(a, c->target, &c->after);
	c->fk_off = ev->row.fk_off;
	grow(&w->changes, &w->changes_cap, (size_t)w->nchanges + 1, sizeof *w->changes);
	w->changes[w->nchanges++] = c;
	return c;
}

/* The first insert into a loading table is marked in the target, in its own transaction: later
 * chunks keep what exists. */
static void
mark_inserted(struct work *w, struct target_slot *s, const struct change *c)
{
	struct target_slot **marks;

	if (s->entry->state != TABLE_LOADING || s->entry->inserted)
		return;
	if (c->op != EVENT_INSERT && (c->shape & SHAPE_KEY_MOVES) == 0)
		return;
	s->entry->inserted = true;
	marks = arena_alloc(w->rows, (w->nmarks + 1) * sizeof(struct target_slot *));
	if (w->nmarks != 0)
		memcpy(marks, w->marks, w->nmarks * sizeof(struct target_slot *));
	marks[w->nmarks++] = s;
	w->marks = marks;
}

static void
add_tokens(struct work *w, struct change *c)
{
	const struct token_plan *plan = c->target->plan;
	size_t first = w->tokens.count;

	c->component = token_component(plan);
	token_row(plan, c->op, &c->before, &c->after, &w->tokens);
	c->ntokens = (uint32_t)(w->tokens.count - first);
	c->tokens = arena_dup(w->rows, w->tokens.tokens + first, c->ntokens * sizeof(struct token));
}

/* Foreign keys became known in the midst of a transaction: what it has so far speaks of the old
 * relations. */
static enum rc
renew_tokens(struct apply *a, struct work *w, struct err *e)
{
	w->tokens.count = 0;
	for (uint32_t i = 0; i < w->nchanges; i++) {
		struct target_slot *s;
		enum rc rc = targets_get(a, w->changes[i]->target->number, &s, e);

		if (rc == RC_OK)
			rc = targets_resolve(a, s, e);
		if (rc != RC_OK)
			return rc;
		add_tokens(w, w->changes[i]);
	}
	return RC_OK;
}

static enum rc
take_row(struct apply *a, struct work *w, const struct frame_raw *raw, struct err *e)
{
	uint64_t world = a->world_version;
	struct target_slot *s;
	struct change *c;
	struct event ev;
	enum rc rc;

	if ((rc = frame_decode(raw->data, raw->len, w->rows, &ev, e)) != RC_OK ||
		(rc = targets_get(a, ev.row.table, &s, e)) != RC_OK ||
		(s->entry->unkeyed && (rc = make_keys(a, s->entry)) != RC_OK) ||
		(rc = targets_resolve(a, s, e)) != RC_OK ||
		(rc = check_row(&ev, &s->target, e)) != RC_OK ||
		(rc = check_identity(&ev.row.before, &s->target, e)) != RC_OK)
		return rc;
	if (world != a->world_version && (rc = renew_tokens(a, w, e)) != RC_OK)
		return rc;
	c = add_change(a, w, &ev, s);
	c->shape = shape_of(c, s);
	add_tokens(w, c);
	mark_inserted(w, s, c);
	w->unit.rows++;
	w->unit.bytes += raw->len;
	return RC_OK;
}

enum rc
scan_load_row(struct apply *a, struct work *w, const struct frame_raw *raw, struct err *e)
{
	struct event ev;
	enum rc rc = frame_decode(raw->data, raw->len, w->rows, &ev, e);

	if (rc != RC_OK)
		return rc;
	if (ev.kind != EVENT_INSERT || ev.row.table != w->slot->target.number)
		return err_set(
			e, RC_BUG, "a load ring carries rows of another table than its chunk");
	if ((rc = check_row(&ev, &w->slot->target, e)) != RC_OK)
		return rc;
	add_change(a, w, &ev, w->slot);
	return RC_OK;
}

/* ---- events into works ---- */

static const char *
keep_text(struct work *w, const char *s)
{
	return arena_strndup(&w->arena, s, strlen(s));
}

static void
keep_commit(struct work *w, const struct event_commit *c)
{
	w->commit = *c;
	w->commit.txid = keep_text(w, c->txid);
	w->commit.origin = keep_text(w, c->origin);
	w->commit.applied = keep_text(w, c->applied);
	w->commit.resume = keep_text(w, c->resume);
	w->has_position = true;
}

static void
keep_changes(struct work *w, struct event_ddl *d)
{
	struct table_change *all = arena_calloc(&w->arena, d->nchanges, sizeof *all);

	for (uint32_t i = 0; i < d->nchanges; i++) {
		const struct table_change *t = &d->changes[i];
		struct column_change *columns =
			arena_calloc(&w->arena, t->ncolumns, sizeof *columns);

		for (uint32_t k = 0; k < t->ncolumns; k++)
			columns[k] =
				(struct column_change){.from = keep_text(w, t->columns[k].from),
					.to = keep_text(w, t->columns[k].to),
					.fill = t->columns[k].fill != NULL
							? keep_text(w, t->columns[k].fill)
							: NULL,
					.computed = t->columns[k].computed};
		all[i] = *t;
		all[i].db = keep_text(w, t->db);
		all[i].name = keep_text(w, t->name);
		all[i].to_db = keep_text(w, t->to_db);
		all[i].to_name = keep_text(w, t->to_name);
		all[i].before = arena_dup(&w->arena, t->before, t->before_len);
		all[i].after = arena_dup(&w->arena, t->after, t->after_len);
		all[i].columns = columns;
	}
	d->changes = all;
}

static void
keep_ddl(struct work *w, struct event_ddl *d)
{
	struct ddl_said *said;

	d->db = keep_text(w, d->db);
	d->sql = keep_text(w, d->sql);
	d->session = keep_text(w, d->session);
	d->session_charset = keep_text(w, d->session_charset);
	keep_changes(w, d);
	said = arena_calloc(&w->arena, d->nsaid, sizeof *said);
	for (uint32_t i = 0; i < d->nsaid; i++)
		said[i] = (struct ddl_said){.db = keep_text(w, d->said[i].db),
			.sql = keep_text(w, d->said[i].sql),
			.ahead = d->said[i].ahead};
	d->said = said;
}

static enum rc
take_commit(struct apply *a, const struct event *ev)
{
	struct work *w = a->current;
	enum rc rc;

	a->current = NULL;
	keep_commit(w, &ev->commit);
	if (w->kind != WORK_DDL)
		return push(a, w);
	rc = make_all_keys(a);
	if (rc == RC_OK)
		rc = push_barrier(a, w);
	if (rc == RC_OK)
		targets_forget(a);
	return rc;
}

/* A TABLE event of a transaction: it is that one's doing, and takes effect with it. */
static void
add_record(struct work *w, const struct target_slot *s, const struct event_table *t)
{
	struct table_record *all =
		arena_alloc(&w->arena, (w->nrecords + 1) * sizeof(struct table_record));

	if (w->nrecords != 0)
		memcpy(all, w->records, w->nrecords * sizeof(struct table_record));
	all[w->nrecords++] = (struct table_record){
		.source_db = keep_text(w, s->target.source_db),
		.source_name = keep_text(w, s->target.source_name),
		.state = t->state,
		.inserted = s->entry->inserted,
		.schema = {.data = arena_dup(&w->arena, t->schema, t->schema_len),
			.len = t->schema_len},
	};
	w->records = all;
}

static enum rc
take_table(struct apply *a, const struct event *ev, struct err *e)
{
	struct target_slot *slot;
	struct table_entry *en;
	struct work *w;
	bool begins, unkeyed;
	enum rc rc = targets_get(a, ev->table.table, &slot, e);

	if (rc != RC_OK)
		return rc;
	en = slot->entry;
	unkeyed = en->unkeyed;
	begins = ev->table.state == TABLE_LOADING && en->state != TABLE_LOADING;
	targets_set_state(a, en, ev->table.state);
	if (a->current != NULL) {
		add_record(a->current, slot, &ev->table);
		return RC_OK;
	}
	w = work_new(a, WORK_TABLE);
	w->slot = slot;
	w->entry = en;
	w->begins = begins;
	w->event = *ev;
	w->event.table.schema = arena_dup(&w->arena, ev->table.schema, ev->table.schema_len);
	w->inserted = en->inserted;
	rc = push_barrier(a, w);
	if (rc == RC_OK && unkeyed != en->unkeyed)
		targets_forget_table(a, en);
	return rc;
}

static enum rc
take_chunk(struct apply *a, const struct event *ev, struct err *e)
{
	struct work *w = work_new(a, WORK_CHUNK);
	enum rc rc = targets_get(a, ev->chunk.table, &w->slot, e);

	if (rc == RC_OK)
		rc = targets_resolve(a, w->slot, e);
	if (rc == RC_OK && ev->chunk.ring >= a->worker->nlanes)
		rc = err_set(e, RC_BUG, "a chunk comes through load ring %u, which does not exist",
			ev->chunk.ring);
	if (rc != RC_OK)
		return rc;
	w->event = *ev;
	w->event.chunk.lo = arena_dup(&w->arena, ev->chunk.lo, ev->chunk.lo_len);
	w->event.chunk.hi = arena_dup(&w->arena, ev->chunk.hi, ev->chunk.hi_len);
	w->keep = w->slot->entry->inserted || a->existing == EXISTING_IGNORE;
	w->unit.solo = true;
	token_chunk(w->slot->target.plan, &w->tokens);
	token_ring(ev->chunk.ring, &w->tokens);
	return push(a, w);
}

static enum rc
take_object(struct apply *a, const struct event *ev, struct err *e)
{
	struct work *w = work_new(a, WORK_OBJECT);
	enum rc rc = RC_OK;

	w->event = *ev;
	keep_ddl(w, &w->event.object.ddl);
	w->event.object.db = keep_text(w, ev->object.db);
	w->event.object.name = keep_text(w, ev->object.name);
	if (ev->object.kind == OBJECT_TABLE)
		rc = targets_get(a, ev->object.table, &w->slot, e);
	if (rc == RC_OK)
		rc = make_all_keys(a); /* a foreign key of its may refer to them */
	return rc == RC_OK ? push_barrier(a, w) : rc;
}

static enum rc
take_position(struct apply *a, const struct event *ev)
{
	struct work *w = work_new(a, ev->kind == EVENT_START ? WORK_START : WORK_ROWS);

	keep_commit(w, &ev->commit);
	return ev->kind == EVENT_START ? push_barrier(a, w) : push(a, w);
}

static enum rc
take_ddl(struct apply *a, const struct event *ev, struct err *e)
{
	struct work *w = a->current;

	if (w->nchanges != 0 || w->kind != WORK_ROWS)
		return err_set(
			e, RC_BUG, "a transaction carries a DDL statement beside other things");
	w->kind = WORK_DDL;
	w->event = *ev;
	keep_ddl(w, &w->event.ddl);
	return RC_OK;
}

static bool
in_transaction_only(enum event_kind k)
{
	return k == EVENT_INSERT || k == EVENT_UPDATE || k == EVENT_DELETE || k == EVENT_COMMIT ||
	       k == EVENT_DDL;
}

static enum rc
take_event(struct apply *a, const struct event *ev, struct err *e)
{
	if (in_transaction_only(ev->kind) && a->current == NULL)
		return err_set(e, RC_BUG, "the stream carries %s outside of a transaction",
			event_name(ev->kind));
	switch (ev->kind) {
	case EVENT_SCHEMA:
		return targets_schema(a, &ev->schema, e);
	case EVENT_BEGIN:
		if (a->current != NULL)
			return err_set(
				e, RC_BUG, "the stream begins a transaction within a transaction");
		a->current = work_new(a, WORK_ROWS);
		return RC_OK;
	case EVENT_DDL:
		return take_ddl(a, ev, e);
	case EVENT_COMMIT:
		return take_commit(a, ev);
	case EVENT_START:
	case EVENT_HEARTBEAT:
		return take_position(a, ev);
	case EVENT_OBJECT:
		return take_object(a, ev, e);
	case EVENT_TABLE:
		return take_table(a, ev, e);
	case EVENT_CHUNK:
		return take_chunk(a, ev, e);
	case EVENT_INSERT:
	case EVENT_UPDATE:
	case EVENT_DELETE:
	case EVENT_CHUNK_ROWS:
	case EVENT_CHUNK_END:
	case EVENT_COUNT:
	default:
		return err_set(e, RC_BUG, "the stream carries a %s, which has no place there",
			event_name(ev->kind));
	}
}

static bool
is_row(enum event_kind k)
{
	return k == EVENT_INSERT || k == EVENT_UPDATE || k == EVENT_DELETE;
}

static enum rc
next_frame(struct apply *a, struct frame_raw *raw, struct err *e)
{
	enum rc rc;

	pthread_mutex_lock(&a->lock);
	rc = frame_next(&a->reader, raw, e);
	pthread_mutex_unlock(&a->lock);
	if (rc == RC_OK)
		a->scan_end = raw->end;
	if (rc == RC_OK)
		FAILPOINT(WRITER_FRAME);
	return rc;
}

/* The transaction outgrows the window: it runs alone, while it is still being read. */
static enum rc
run_large(struct apply *a)
{
	struct work *w = a->current;
	enum rc rc;

	a->current = NULL;
	if (!apply_wait_idle(a) || make_all_keys(a) != RC_OK)
		return RC_AGAIN;
	w->kind = WORK_LARGE;
	w->no_retry = true;
	w->tokens.count = 0;
	a->large_running = true;
	rc = push_barrier(a, w);
	a->large_running = false;
	return rc;
}

static enum rc
take_frame(struct apply *a, struct frame_raw *raw, struct err *e)
{
	struct arena scratch;
	struct event ev;
	enum rc rc;

	if (is_row(raw->kind)) {
		if (a->current == NULL)
			return err_set(
				e, RC_BUG, "the stream carries a row outside of a transaction");
		rc = take_row(a, a->current, raw, e);
		work_own(a->current, raw);
		if (rc == RC_OK && is_full(a, a->current))
			rc = run_large(a);
		return rc;
	}
	arena_init(&scratch);
	rc = frame_decode(raw->data, raw->len, &scratch, &ev, e);
	if (rc == RC_OK)
		rc = take_event(a, &ev, e);
	arena_release(&scratch);
	if (raw->owned)
		free((void *)raw->data);
	return rc;
}

/* Gives back what has been scanned and belongs to nobody: heads of transactions, schemas. */
static void
release_scanned(struct apply *a)
{
	pthread_mutex_lock(&a->lock);
	ring_release(a->ring, a->scan_end);
	pthread_mutex_unlock(&a->lock);
}

/*
 * A row that is larger than what the ring has left waits for frames that this
 * thread holds: the transaction runs as a large one, or all before it commits.
 */
static enum rc
unstall(struct apply *a)
{
	bool idle;

	if (a->current != NULL && a->current->nchanges != 0)
		return run_large(a);
	pthread_mutex_lock(&a->lock);
	idle = sched_idle(a->sched);
	pthread_mutex_unlock(&a->lock);
	if (idle)
		release_scanned(a);
	return RC_OK;
}

enum rc
scan_more(struct apply *a, struct work *w, struct err *e)
{
	struct frame_raw raw;
	struct event ev;
	enum rc rc;

	while (!is_full(a, w) && !w->complete) {
		rc = next_frame(a, &raw, e);
		if (rc == RC_AGAIN) {
			if (apply_ending(a))
				return RC_AGAIN;
			if (frame_stalled(
				    &a->reader)) { /* a row larger than what is left of the ring */
				if (w->nchanges != 0)
					return RC_OK;
				release_scanned(a);
			}
			ring_wait_data(a->ring, WAIT_MS);
			continue;
		}
		if (rc != RC_OK)
			return rc;
		if (is_row(raw.kind)) {
			rc = take_row(a, w, &raw, e);
			work_own(w, &raw);
		} else if ((rc = frame_decode(raw.data, raw.len, &w->arena, &ev, e)) == RC_OK) {
			if (ev.kind == EVENT_SCHEMA) {
				rc = targets_schema(a, &ev.schema, e);
			} else if (ev.kind == EVENT_COMMIT) {
				keep_commit(w, &ev.commit);
				w->complete = true;
			} else {
				rc = err_set(e, RC_BUG, "a large transaction carries a %s",
					event_name(ev.kind));
			}
			work_own(w, &raw);
		}
		if (rc != RC_OK)
			return rc;
		w->ring_end = raw.end;
	}
	return RC_OK;
}

/* Drained: everything that was whole has been applied; a transaction without its COMMIT is left
 * out. */
static bool
drained(struct apply *a)
{
	bool now;

	pthread_mutex_lock(&a->lock);
	now = a->draining && sched_idle(a->sched);
	pthread_mutex_unlock(&a->lock);
	return now;
}

void *
apply_scan(void *arg)
{
	struct apply *a = arg;
	struct err e = {0};
	struct frame_raw raw;
	enum rc rc = RC_OK;

	while (rc == RC_OK && !apply_ending(a)) {
		rc = next_frame(a, &raw, &e);
		if (rc == RC_OK) {
			rc = take_frame(a, &raw, &e);
		} else if (rc == RC_AGAIN) {
			rc = RC_OK;
			if (drained(a)) {
				FAILPOINT(WRITER_DRAINED);
				worker_drained(a->worker);
				break;
			}
			if (frame_stalled(&a->reader))
				rc = unstall(a);
			if (rc == RC_OK)
				ring_wait_data(a->ring, a->current == NULL ? IDLE_MS : WAIT_MS);
		}
	}
	if (rc != RC_OK && rc != RC_AGAIN)
		apply_fail(a, &e);
	return NULL;
}
