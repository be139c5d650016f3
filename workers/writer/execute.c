/* execute.c - a group's works, said to the sink. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/writer/apply_private.h"

#define BATCH_ROWS 1000
#define WAIT_MS 50

static const struct sink_ops *
ops_of(const struct apply_lane *l)
{
	return l->apply->sink->ops;
}

static void
count(struct apply_lane *l, enum event_kind op, uint32_t n)
{
	if (op == EVENT_INSERT)
		l->inserts += n;
	else if (op == EVENT_UPDATE)
		l->updates += n;
	else
		l->deletes += n;
}

/* ---- rows ---- */

/*
 * While a table loads, an UPDATE or DELETE that finds nothing is right; one
 * that moves a row to another key must then insert it, which takes a closer look.
 */
static bool
as_expected(const struct apply_lane *l, const struct batch *b)
{
	uint64_t shape = b->changes[0]->shape;

	if (b->matched >= b->count)
		return b->matched == b->count;
	return conflict_may_miss(l->apply, b->op) ||
	       ((shape & SHAPE_LENIENT) != 0 && (shape & SHAPE_KEY_MOVES) == 0 &&
		       b->op != EVENT_INSERT);
}

/* Errors of a batch that a closer look may explain; all others end the attempt. */
static bool
worth_a_look(enum rc rc)
{
	return rc == RC_DATA || rc == RC_CONFLICT;
}

static void
count_batch(struct apply_lane *l, const struct batch *b)
{
	count(l, b->op, b->count);
	if (conflict_may_miss(l->apply, b->op))
		l->unmatched += b->count - b->matched;
}

/* apply = "fastest": how many changes are left. */
static uint32_t
merge(struct apply_lane *l, struct change **changes, uint32_t n)
{
	uint32_t left = n;

	if (l->apply->merges)
		left = batch_merge(&l->arena, changes, n, l->apply->mends);
	l->merged += n - left;
	return left;
}

static enum rc
run_batch(struct apply_lane *l, struct batch *b, struct err *e)
{
	enum rc rc = FAILPOINT_LOST(WRITER_BATCH_BEFORE, e);

	if (rc == RC_OK)
		rc = ops_of(l)->batch(l->sink, b, e);
	lane_heard(l);
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_BATCH, e) : rc;
}

static enum rc
run_batches(struct apply_lane *l, struct change *const *changes, uint32_t n, bool *mismatch,
	struct err *e)
{
	bool ahead = ops_of(l)->answers != NULL;
	struct batch_list list;
	enum rc rc = RC_OK;

	if (n == 0)
		return RC_OK;
	batch_plan(&l->arena, changes, n, BATCH_ROWS, &list);
	for (uint32_t i = 0; i < list.count && rc == RC_OK && !*mismatch; i++) {
		rc = run_batch(l, &list.batches[i], e);
		*mismatch = rc == RC_OK && !ahead && !as_expected(l, &list.batches[i]);
	}
	if (rc == RC_OK && ahead)
		rc = ops_of(l)->answers(l->sink, e);
	lane_heard(l);
	for (uint32_t i = 0; i < list.count && rc == RC_OK && !*mismatch; i++)
		*mismatch = !as_expected(l, &list.batches[i]);
	if (*mismatch || worth_a_look(rc)) {
		*mismatch = true;
		return RC_OK;
	}
	for (uint32_t i = 0; i < list.count && rc == RC_OK; i++)
		count_batch(l, &list.batches[i]);
	return rc;
}

static enum rc
run_carefully(struct apply_lane *l, const struct work *w, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < w->nchanges && rc == RC_OK; i++) {
		rc = conflict_row(l, w, w->changes[i], e);
		lane_heard(l);
		count(l, w->changes[i]->op, 1);
	}
	return rc;
}

static enum rc
mark(struct apply_lane *l, const struct work *w, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < w->nmarks && rc == RC_OK; i++) {
		const struct target *t = &w->marks[i]->target;

		rc = ops_of(l)->table_state(
			l->sink, t->source_db, t->source_name, TABLE_LOADING, true, NULL, e);
		if (rc == RC_OK)
			rc = FAILPOINT_LOST(WRITER_MARK, e);
	}
	for (uint32_t i = 0; i < w->nrecords && rc == RC_OK; i++)
		rc = ops_of(l)->table_state(l->sink, w->records[i].source_db,
			w->records[i].source_name, w->records[i].state, w->records[i].inserted,
			&w->records[i].schema, e);
	return rc;
}

/* ---- works that give back what they have done while they run ---- */

static void
next_part(struct apply_lane *l, struct work *w)
{
	while (w->owned != NULL) {
		struct owned *o = w->owned;

		w->owned = o->next;
		free(o->data);
		free(o);
	}
	w->owned_bytes = 0;
	w->nchanges = 0;
	w->nmarks = w->nrecords = 0;
	w->tokens.count = 0;
	w->unit.bytes = 0;
	w->rows = &l->rows;
	arena_reset(w->rows);
}

/* ---- a transaction larger than the window ---- */

static enum rc
run_gathered_part(struct apply_lane *l, const struct work *w, bool *mismatch, struct err *e)
{
	struct change **all;

	arena_reset(&l->arena);
	all = arena_dup(&l->arena, w->changes, w->nchanges * sizeof(struct change *));
	return run_batches(l, all, merge(l, all, w->nchanges), mismatch, e);
}

/* A part that does not go as a batch is run row by row behind a savepoint: it cannot be read again.
 */
static enum rc
run_part(struct apply_lane *l, struct work *w, struct err *e)
{
	uint64_t i = l->inserts, u = l->updates, d = l->deletes, unmatched = l->unmatched,
		 merged = l->merged;
	bool mismatch = false;
	enum rc rc = ops_of(l)->savepoint(l->sink, e);

	if (rc == RC_OK)
		rc = mark(l, w, e);
	if (rc == RC_OK)
		rc = run_gathered_part(l, w, &mismatch, e);
	if (rc != RC_OK || !mismatch)
		return rc;
	l->inserts = i;
	l->updates = u;
	l->deletes = d;
	l->unmatched = unmatched;
	l->merged = merged;
	rc = ops_of(l)->rollback_to_savepoint(l->sink, e);
	if (rc == RC_OK)
		rc = mark(l, w, e);
	return rc == RC_OK ? run_carefully(l, w, e) : rc;
}

static enum rc
run_large(struct apply_lane *l, struct work *w, struct err *e)
{
	struct apply *a = l->apply;
	enum rc rc;

	for (;;) {
		rc = run_part(l, w, e);
		if (rc == RC_OK)
			rc = FAILPOINT_LOST(WRITER_LARGE, e);
		if (rc != RC_OK || w->complete)
			return rc;
		pthread_mutex_lock(&a->lock);
		ring_release(a->ring, w->ring_end);
		pthread_mutex_unlock(&a->lock);
		next_part(l, w);
		if ((rc = scan_more(a, w, e)) != RC_OK)
			return rc;
	}
}

/* ---- chunks ---- */

static enum rc
next_load_frame(struct apply_lane *l, struct work *w, struct frame_raw *raw, struct err *e)
{
	struct apply *a = l->apply;
	uint32_t ring = w->event.chunk.ring;
	enum rc rc;

	for (;;) {
		rc = frame_next(&a->load_readers[ring], raw, e);
		if (rc != RC_AGAIN)
			return rc;
		if (a->worker->stopping || a->failed || frame_stalled(&a->load_readers[ring]))
			return RC_AGAIN;
		ring_wait_data(a->worker->rings[1 + ring], WAIT_MS);
		lane_heard(l);
	}
}

static enum rc
load_rows(struct apply_lane *l, struct work *w, uint32_t from, struct err *e)
{
	uint64_t kept = 0;
	enum rc rc;

	if (from == w->nchanges)
		return RC_OK;
	rc = ops_of(l)->load(l->sink, &w->slot->target, w->changes + from, w->nchanges - from,
		w->keep, &kept, e);
	lane_heard(l);
	if (rc == RC_DATA)
		return conflict_load(l, w->changes + from, w->nchanges - from, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_CHUNK_ROWS, e);
	w->rows_loaded += w->nchanges - from;
	w->rows_kept += kept;
	return rc;
}

/* A chunk that outgrows its ring gives frames back while it runs, and so cannot run again. */
static void
give_back(struct apply_lane *l, struct work *w, uint32_t *done)
{
	next_part(l, w);
	*done = 0;
	w->no_retry = true;
	ring_release(l->apply->worker->rings[1 + w->event.chunk.ring], w->load_end);
}

/* Half of the ring is ours: the reader may need the other half for a single frame. Rows larger than
 * that lie in memory of our own, which is no larger. */
static bool
holds_half(const struct apply_lane *l, const struct work *w)
{
	const struct ring *ring = l->apply->worker->rings[1 + w->event.chunk.ring];

	return w->load_end - ring_released(ring) + w->owned_bytes > ring_size(ring) / 2;
}

static enum rc
take_load_frame(struct apply_lane *l, struct work *w, struct frame_raw *raw, struct err *e)
{
	struct event ev;
	enum rc rc;

	if (raw->kind == EVENT_INSERT) {
		rc = scan_load_row(l->apply, w, raw, e);
		work_own(w, raw);
		return rc;
	}
	rc = frame_decode(raw->data, raw->len, &w->arena, &ev, e);
	if (rc == RC_OK && (ev.kind != EVENT_CHUNK_ROWS && ev.kind != EVENT_CHUNK_END))
		rc = err_set(e, RC_BUG, "a load ring carries a %s", event_name(ev.kind));
	if (rc == RC_OK && (ev.chunk.number != w->event.chunk.number ||
				   ev.chunk.table != w->event.chunk.table))
		rc = err_set(
			e, RC_BUG, "a load ring carries another chunk than the stream announced");
	if (rc == RC_OK && ev.kind == EVENT_CHUNK_END) {
		w->complete = true;
		w->event.chunk.rows = ev.chunk.rows;
	}
	work_own(w, raw);
	return rc;
}

static enum rc
run_chunk(struct apply_lane *l, struct work *w, struct err *e)
{
	uint32_t done = 0;
	struct frame_raw raw;
	bool stalled;
	enum rc rc = RC_OK;

	w->rows_loaded = w->rows_kept = 0;
	if (w->nchanges == 0)
		next_part(l, w);
	while (rc == RC_OK && !w->complete) {
		rc = next_load_frame(l, w, &raw, e);
		if (rc == RC_AGAIN && apply_ending(l->apply))
			return RC_AGAIN;
		if (rc == RC_OK) {
			if ((rc = take_load_frame(l, w, &raw, e)) != RC_OK)
				return rc;
			w->load_end = raw.end;
			if (w->nchanges - done < ops_of(l)->load_rows && !holds_half(l, w))
				continue;
		}
		/* Enough for a statement, or the ring is stuck behind what we hold. */
		stalled = rc == RC_AGAIN;
		if (stalled || rc == RC_OK)
			rc = load_rows(l, w, done, e);
		done = w->nchanges;
		if (rc == RC_OK && (stalled || holds_half(l, w)))
			give_back(l, w, &done);
	}
	/* On a second run all of the rows are here already. */
	if (rc == RC_OK)
		rc = load_rows(l, w, done, e);
	if (rc == RC_OK)
		rc = ops_of(l)->chunk_done(l->sink, &w->slot->target, &w->event.chunk, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_CHUNK_RECORD, e);
	return rc;
}

/* Rows that are there already would be taken for the source's (spec S0). */
static enum rc
expect_empty(struct apply_lane *l, const struct target *t, struct err *e)
{
	bool has = false;
	enum rc rc = ops_of(l)->has_rows(l->sink, t, &has, e);

	if (rc != RC_OK || !has)
		return rc;
	err_set(e, RC_CONFIG, "target table %s.%s has rows (source table %s.%s)", t->db, t->name,
		t->source_db, t->source_name);
	return err_remedy(e,
		"empty it, then `syncline start %s`; or set existing = \"ignore\", which keeps "
		"them, or \"clear\", which does not",
		l->apply->worker->channel);
}

static enum rc
run_table(struct apply_lane *l, const struct work *w, struct err *e)
{
	const struct event_table *t = &w->event.table;
	struct buf schema = {.data = (unsigned char *)t->schema, .len = t->schema_len};
	enum rc rc = RC_OK;

	if (w->begins && ops_of(l)->loading != NULL)
		rc = ops_of(l)->loading(l->sink, &w->slot->target, &w->entry->unkeyed, e);
	else if (t->state == TABLE_SCHEMA && l->apply->wants_empty)
		rc = expect_empty(l, &w->slot->target, e);
	else if (t->state == TABLE_SCHEMA && l->apply->existing == EXISTING_CLEAR)
		rc = ops_of(l)->empty(l->sink, &w->slot->target, e);
	else if (t->state == TABLE_STREAMING)
		rc = ops_of(l)->loaded(l->sink, &w->slot->target, e);
	lane_heard(l);
	if (rc != RC_OK)
		return rc;
	rc = ops_of(l)->table_state(l->sink, w->slot->target.source_db, w->slot->target.source_name,
		t->state, w->inserted, &schema, e);
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_STATE, e) : rc;
}

static enum rc
run_keys(struct apply_lane *l, const struct work *w, struct err *e)
{
	enum rc rc = ops_of(l)->keys(l->sink, w->entry->db, w->entry->name, e);

	lane_heard(l);
	return rc;
}

/* ---- groups ---- */

static struct work *
first_work(const struct group *g)
{
	return (struct work *)g->first;
}

/* All row changes of the group's transactions, in the source's order. */
static struct change **
gather(const struct group *g, uint32_t *n)
{
	struct change **all;
	uint32_t total = 0, at = 0;

	for (struct unit *u = g->first; u != NULL; u = u->next)
		total += ((struct work *)u)->nchanges;
	all = xcalloc(total, sizeof(struct change *));
	for (struct unit *u = g->first; u != NULL; u = u->next) {
		const struct work *w = (struct work *)u;

		if (w->nchanges != 0)
			memcpy(all + at, w->changes, w->nchanges * sizeof(struct change *));
		at += w->nchanges;
	}
	*n = total;
	return all;
}

/* Late changes when all else has been run, and their turn has come. */
static enum rc
run_gathered(struct apply_lane *l, struct group *g, bool *mismatch, struct err *e)
{
	uint32_t n, early;
	struct change **all = gather(g, &n);
	enum rc rc;

	arena_reset(&l->arena);
	n = merge(l, all, n);
	early = g->meets.count != 0 ? batch_late(&l->arena, all, n, &g->meets) : n;
	rc = run_batches(l, all, early, mismatch, e);
	if (rc == RC_OK && !*mismatch && early != n) {
		rc = apply_await_turn(l, g, e);
		if (rc == RC_OK)
			rc = run_batches(l, all + early, n - early, mismatch, e);
	}
	free(all);
	return rc;
}

static enum rc
run_rows(struct apply_lane *l, struct group *g, bool careful, bool *mismatch, struct err *e)
{
	enum rc rc = RC_OK;

	for (struct unit *u = g->first; u != NULL && rc == RC_OK; u = u->next)
		rc = mark(l, (struct work *)u, e);
	if (rc != RC_OK)
		return rc;
	if (!careful)
		return run_gathered(l, g, mismatch, e);
	if (g->meets.count != 0)
		rc = apply_await_turn(l, g, e);
	for (struct unit *u = g->first; u != NULL && rc == RC_OK; u = u->next)
		rc = run_carefully(l, (struct work *)u, e);
	return rc;
}

enum rc
execute_group(struct apply_lane *l, struct group *g, bool careful, bool *mismatch, struct err *e)
{
	struct work *w = first_work(g);

	*mismatch = false;
	l->inserts = l->updates = l->deletes = l->unmatched = l->merged = 0;
	switch (w->kind) {
	case WORK_ROWS:
		return run_rows(l, g, careful, mismatch, e);
	case WORK_LARGE:
		return run_large(l, w, e);
	case WORK_CHUNK:
		return run_chunk(l, w, e);
	case WORK_TABLE:
		return run_table(l, w, e);
	case WORK_KEYS:
		return run_keys(l, w, e);
	case WORK_START:
	case WORK_DDL:
	case WORK_OBJECT:
	default:
		return RC_OK;
	}
}

bool
execute_is_self_committing(const struct group *g)
{
	enum work_kind k = first_work(g)->kind;

	return k == WORK_DDL || k == WORK_OBJECT;
}

enum rc
execute_self_committing(
	struct apply_lane *l, struct group *g, const struct checkpoint *c, struct err *e)
{
	struct work *w = first_work(g);
	char *skipped = NULL;
	enum rc rc;

	if (w->kind == WORK_OBJECT)
		return ops_of(l)->object(l->sink, &w->event.object,
			w->slot != NULL ? w->slot->target.source : NULL, l->apply->existing, e);
	rc = ops_of(l)->ddl(l->sink, &w->event.ddl, w->records, w->nrecords, c, &skipped, e);
	if (rc == RC_OK && skipped != NULL)
		log_warn("a DDL statement was skipped: %s; position=%s", skipped, c->applied);
	if (rc == RC_OK)
		atomic_fetch_add(&l->apply->worker->stats[STAT_DDLS], 1);
	free(skipped);
	return rc;
}
