/* apply.c - threads, scheduler and gate of the generic writer; see apply.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/writer/apply_private.h"

/* The oldest group waits this long for one statement while others are at the gate with their locks.
 */
#define STALL_US 500000u

/* Where changes are merged a group is so many times as long: the more it has, the more of them
 * meet.
 */
#define MERGE_GROUPS 4

bool
apply_ending(struct apply *a)
{
	return a->worker->stopping || a->failed;
}

void
apply_fail(struct apply *a, const struct err *failure)
{
	struct err why = {0};
	const struct err *e = failure;

	/* What was lost may have been taken: then we must not come back. */
	if (failure->rc == RC_RETRY && failure->code == 0 && !apply_ending(a) &&
		a->sink->ops->confirm(a->sink, &why) == RC_FENCED)
		e = &why;
	pthread_mutex_lock(&a->lock);
	a->failed = true;
	pthread_cond_broadcast(&a->work_cond);
	pthread_cond_broadcast(&a->gate_cond);
	pthread_cond_broadcast(&a->room_cond);
	pthread_mutex_unlock(&a->lock);
	ring_wake(a->ring);
	worker_fail(a->worker, e);
}

bool
apply_wait_idle(struct apply *a)
{
	pthread_mutex_lock(&a->lock);
	while (!apply_ending(a) && !sched_idle(a->sched))
		pthread_cond_wait(&a->room_cond, &a->lock);
	pthread_mutex_unlock(&a->lock);
	return !apply_ending(a);
}

void
apply_lock_sink(struct apply *a)
{
	pthread_mutex_lock(&a->sink_lock);
}

void
apply_unlock_sink(struct apply *a)
{
	pthread_mutex_unlock(&a->sink_lock);
}

/* ---- works ---- */

struct work *
work_new(struct apply *a, enum work_kind kind)
{
	struct work *w;

	pthread_mutex_lock(&a->lock);
	w = a->free_list;
	if (w != NULL)
		a->free_list = w->next;
	pthread_mutex_unlock(&a->lock);
	if (w == NULL) {
		w = xcalloc(1, sizeof *w);
		arena_init(&w->arena);
	}
	w->rows = &w->arena;
	w->kind = kind;
	return w;
}

static void
work_free(struct work *w)
{
	arena_release(&w->arena);
	token_list_release(&w->tokens);
	free(w->changes);
	free(w);
}

/* Back to the free list, with its memory for the next one. The caller holds the lock. */
void
work_done(struct apply *a, struct work *w)
{
	struct work clean = {.arena = w->arena,
		.changes = w->changes,
		.changes_cap = w->changes_cap,
		.tokens = w->tokens};

	while (w->owned != NULL) {
		struct owned *o = w->owned;

		w->owned = o->next;
		free(o->data);
		free(o);
	}
	*w = clean;
	w->tokens.count = 0;
	arena_reset(&w->arena);
	w->next = a->free_list;
	a->free_list = w;
}

void
work_own(struct work *w, struct frame_raw *raw)
{
	struct owned *o;

	if (!raw->owned)
		return;
	o = xmalloc(sizeof *o);
	o->data = (unsigned char *)raw->data;
	o->next = w->owned;
	w->owned = o;
	w->owned_bytes += raw->len;
	raw->owned = false;
}

/* ---- commit ---- */

static void
set_text(char **to, const char *s)
{
	char *copy = xstrdup(s);

	free(*to);
	*to = copy;
}

/* The newest position of the group; a chunk or a table's state keeps the one before. Lock held. */
static void
group_position(struct apply *a, const struct group *g)
{
	for (const struct unit *u = g->first; u != NULL; u = u->next) {
		const struct work *w = (const struct work *)u;

		if (!w->has_position)
			continue;
		set_text(&a->applied, w->commit.applied);
		set_text(&a->resume, w->commit.resume);
		a->order = w->commit.order;
		a->incarnation = w->commit.incarnation;
		a->time_us = w->commit.time_us;
	}
}

/* The group is COMMITTING: nobody else commits, so the apply's position is this lane's to move. */
static void
make_checkpoint(struct apply *a, const struct group *g, struct checkpoint *c)
{
	const struct work *w = (const struct work *)g->first;

	pthread_mutex_lock(&a->lock);
	group_position(a, g);
	*c = (struct checkpoint){
		.turn = a->turn + 1,
		.applied = a->applied,
		.resume = a->resume,
		.order = a->order,
		.incarnation = a->incarnation,
		.time_us = a->time_us,
		.source_id = w->kind == WORK_START ? w->commit.origin : NULL,
	};
	pthread_mutex_unlock(&a->lock);
}

static void
add_stat(struct apply *a, enum statistic s, uint64_t n)
{
	atomic_fetch_add(&a->worker->stats[s], n);
}

static void
set_stat(struct apply *a, enum statistic s, uint64_t n)
{
	atomic_store(&a->worker->stats[s], n);
}

static void
count_group(struct apply_lane *l, const struct group *g)
{
	struct apply *a = l->apply;
	uint64_t now = now_us(), read = 0;

	for (const struct unit *u = g->first; u != NULL; u = u->next) {
		const struct work *w = (const struct work *)u;

		if (w->nchanges != 0 && w->has_position)
			add_stat(a, STAT_APPLIED_TXNS, 1);
		if (w->has_position)
			read = w->commit.read_us;
		add_stat(a, STAT_LOADED_ROWS, w->rows_loaded - w->rows_kept);
		add_stat(a, STAT_IGNORED_ROWS, w->rows_kept);
	}
	add_stat(a, STAT_INSERTS, l->inserts);
	add_stat(a, STAT_UPDATES, l->updates);
	add_stat(a, STAT_UNMATCHED, l->unmatched);
	add_stat(a, STAT_MERGED, l->merged);
	add_stat(a, STAT_DELETES, l->deletes);
	add_stat(a, STAT_COMMITS, 1);
	set_stat(a, STAT_APPLIED_TIME, a->time_us);
	set_stat(a, STAT_APPLIED_AT, now);
	if (read != 0 && now > read)
		set_stat(a, STAT_READ_TO_APPLIED, now - read);
	set_stat(a, STAT_RING_FILL, ring_fill(a->ring));
	set_stat(a, STAT_RING_SIZE, ring_size(a->ring));
}

/* Everything that the group held goes back: frames, works, its place in flight. */
static void
finish_group(struct apply_lane *l, struct group *g, bool moved_turn)
{
	struct apply *a = l->apply;
	bool tables = false;
	struct unit *u;

	pthread_mutex_lock(&a->lock);
	if (moved_turn)
		a->turn++;
	count_group(l, g);
	u = sched_committed(a->sched, g);
	while (u != NULL) {
		struct work *w = (struct work *)u;

		u = u->next;
		/* Barriers: the scan waits, what it knows of tables is what is committed. */
		if (w->kind == WORK_TABLE || w->kind == WORK_DDL) {
			set_stat(a, STAT_TABLES_AT_TARGET, a->streaming);
			tables = true;
		}
		a->queued_bytes -=
			w->unit.bytes < a->queued_bytes ? w->unit.bytes : a->queued_bytes;
		if (w->ring_end != 0)
			ring_release(a->ring, w->ring_end);
		if (w->kind == WORK_CHUNK)
			ring_release(a->worker->rings[1 + w->event.chunk.ring], w->load_end);
		work_done(a, w);
	}
	set_stat(a, STAT_IN_FLIGHT, sched_in_flight(a->sched));
	if (a->draining && sched_idle(a->sched))
		ring_wake(a->ring);
	pthread_cond_broadcast(&a->work_cond);
	pthread_cond_broadcast(&a->gate_cond);
	pthread_cond_broadcast(&a->room_cond);
	pthread_mutex_unlock(&a->lock);
	if (tables)
		worker_report_streaming(a->worker);
}

static enum rc
commit_group(struct apply_lane *l, struct group *g, struct err *e)
{
	struct apply *a = l->apply;
	bool own = execute_is_self_committing(g);
	bool object = own && ((struct work *)g->first)->kind == WORK_OBJECT;
	struct checkpoint c;
	enum rc rc;

	make_checkpoint(a, g, &c);
	rc = own ? execute_self_committing(l, g, &c, e) : a->sink->ops->commit(l->sink, &c, e);
	if (rc != RC_OK)
		return rc;
	worker_report_position(a->worker, c.applied != NULL ? c.applied : "", c.time_us);
	finish_group(l, g, !object);
	FAILPOINT(WRITER_RELEASED);
	return RC_OK;
}

/* ---- the gate ---- */

/* Rolled back: waits until it may run again. False: ending. */
static bool
wait_to_run_again(struct apply *a, struct group *g)
{
	bool may;

	add_stat(a, STAT_RETRIES, 1);
	pthread_mutex_lock(&a->lock);
	((struct work *)g->first)->refused |= !sched_must_yield(a->sched, g);
	sched_rolled_back(a->sched, g);
	while (!(may = sched_may_run(a->sched, g)) && !apply_ending(a))
		pthread_cond_wait(&a->gate_cond, &a->lock);
	pthread_mutex_unlock(&a->lock);
	return may;
}

/*
 * Who cannot run again would end the worker: it gives way only when the oldest
 * has been refused a lock before, so that somebody at the gate must hold it.
 */
static bool
must_yield(const struct apply *a, const struct group *g)
{
	const struct work *oldest = (const struct work *)sched_oldest(a->sched)->first;

	if (((const struct work *)g->first)->no_retry && !oldest->refused)
		return false;
	return sched_must_yield(a->sched, g);
}

/* OK: COMMITTING. AGAIN: ending. RETRY: to be rolled back. */
static enum rc
wait_at_gate(struct apply *a, struct group *g, struct err *e)
{
	enum rc rc = RC_AGAIN;
	bool mine;

	pthread_mutex_lock(&a->lock);
	mine = sched_executed(a->sched, g);
	while (!mine && !apply_ending(a) && !must_yield(a, g)) {
		pthread_cond_wait(&a->gate_cond, &a->lock);
		mine = !must_yield(a, g) && sched_my_turn(a->sched, g);
	}
	if (mine) {
		rc = RC_OK;
	} else if (!apply_ending(a)) {
		rc = err_set(e, RC_RETRY, "gave way to an older group");
		e->code = SINK_DEADLOCK;
	}
	pthread_mutex_unlock(&a->lock);
	return rc;
}

enum rc
apply_await_turn(struct apply_lane *l, struct group *g, struct err *e)
{
	struct apply *a = l->apply;
	enum rc rc = wait_at_gate(a, g, e);

	if (rc != RC_OK)
		return rc;
	pthread_mutex_lock(&a->lock);
	sched_run_late(g);
	lane_heard(l);
	pthread_mutex_unlock(&a->lock);
	return RC_OK;
}

/* ---- lanes ---- */

void
lane_heard(struct apply_lane *l)
{
	atomic_store_explicit(&l->heard_us, mono_us(), memory_order_relaxed);
}

static enum rc
rollback(struct apply_lane *l, struct err *e)
{
	return l->apply->sink->ops->rollback(l->sink, e);
}

static enum rc
execute(struct apply_lane *l, struct group *g, bool *careful, struct err *e)
{
	const struct sink_ops *ops = l->apply->sink->ops;
	bool mismatch = false;
	enum rc rc = RC_OK;

	lane_heard(l);
	if (execute_is_self_committing(g))
		return RC_OK;
	rc = ops->begin(l->sink, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_BEGIN, e);
	if (rc == RC_OK)
		rc = execute_group(l, g, *careful, &mismatch, e);
	if (rc == RC_OK && mismatch) {
		*careful = true;
		rc = rollback(l, e);
		if (rc == RC_OK)
			rc = ops->begin(l->sink, e);
		if (rc == RC_OK)
			rc = execute_group(l, g, true, &mismatch, e);
	}
	return rc;
}

static bool
may_retry(const struct group *g, enum rc rc, const struct err *e)
{
	return rc == RC_RETRY && e->code == SINK_DEADLOCK &&
	       !((const struct work *)g->first)->no_retry;
}

/* Until the group has committed. A lost connection ends the worker: its successor asks the target
 * what happened. */
static enum rc
run_group(struct apply_lane *l, struct group *g, struct err *e)
{
	struct apply *a = l->apply;
	bool careful = false;

	for (;;) {
		enum rc rc = execute(l, g, &careful, e);

		if (rc == RC_OK) {
			FAILPOINT(WRITER_GATE);
			rc = wait_at_gate(a, g, e);
		}
		if (rc == RC_OK)
			rc = commit_group(l, g, e);
		if (rc == RC_OK)
			return RC_OK;
		if (!may_retry(g, rc, e)) {
			if (rc == RC_RETRY && e->code == SINK_DEADLOCK)
				e->code = 0;
			return rc;
		}
		if ((rc = rollback(l, e)) != RC_OK)
			return rc;
		if (!wait_to_run_again(a, g))
			return RC_AGAIN;
	}
}

/* A channel that is behind gains more by whole groups than by haste. */
static bool
is_behind(const struct apply *a)
{
	const struct work *w = (const struct work *)sched_head(a->sched);

	return w != NULL && w->commit.time_us != 0 && now_us() > w->commit.time_us + BEHIND_US;
}

static struct group *
take_group(struct apply_lane *l)
{
	struct apply *a = l->apply;
	struct group *g = NULL;

	pthread_mutex_lock(&a->lock);
	while (!apply_ending(a) && (g = sched_take(a->sched, is_behind(a))) == NULL)
		pthread_cond_wait(&a->work_cond, &a->lock);
	if (g != NULL) {
		lane_heard(l);
		g->arg = l;
		pthread_cond_broadcast(&a->room_cond);
	}
	pthread_mutex_unlock(&a->lock);
	return g;
}

static void *
run_lane(void *arg)
{
	struct apply_lane *l = arg;
	struct apply *a = l->apply;
	struct err e = {0};
	struct group *g;
	enum rc rc = a->sink->ops->lane_open(a->sink, l->number, &l->sink, &e);

	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_LANE, &e);
	while (rc == RC_OK && (g = take_group(l)) != NULL) {
		FAILPOINT(WRITER_TAKE);
		rc = run_group(l, g, &e);
	}
	if (rc != RC_OK && rc != RC_AGAIN)
		apply_fail(a, &e);
	if (l->sink != NULL)
		a->sink->ops->lane_close(l->sink);
	return NULL;
}

/* ---- life ---- */

static void
read_settings(struct apply *a, const struct conf *c)
{
	a->merges = conf_is(c, "apply", "fastest");
	a->group_rows = (uint32_t)conf_int(c, "group_rows") * (a->merges ? MERGE_GROUPS : 1);
	a->group_bytes = conf_size(c, "group_bytes") * (a->merges ? MERGE_GROUPS : 1);
	a->large_bytes = ring_size(a->ring) / 4;
	if (a->group_bytes > a->large_bytes)
		a->group_bytes = a->large_bytes;
	a->existing = sink_existing(c);
	a->wants_empty =
		a->existing == EXISTING_INTERCEPT && !conf_has_word(c, "initial", "schema");
	a->lacks[EVENT_INSERT] = !conf_has_word(c, "dml", "insert");
	a->lacks[EVENT_UPDATE] = !conf_has_word(c, "dml", "update");
	a->lacks[EVENT_DELETE] = !conf_has_word(c, "dml", "delete");
	if (conf_is(c, "conflict", "Ignore"))
		a->conflict = CONFLICT_IGNORE;
	else if (conf_is(c, "conflict", "Overwrite"))
		a->conflict = CONFLICT_OVERWRITE;
	a->mends = a->conflict != CONFLICT_FAIL || a->existing == EXISTING_IGNORE ||
		   a->lacks[EVENT_INSERT] || a->lacks[EVENT_UPDATE] || a->lacks[EVENT_DELETE];
}

static void
read_resume(struct apply *a, const struct resume *r)
{
	for (uint32_t i = 0; i < r->ntables; i++) {
		struct table_entry *en = targets_entry(a, r->tables[i].db, r->tables[i].name);

		targets_set_state(a, en, r->tables[i].state);
		en->inserted = r->tables[i].inserted;
		en->unkeyed = a->sink->ops->keys != NULL && en->state == TABLE_LOADING;
	}
	a->applied = r->applied != NULL ? xstrdup(r->applied) : NULL;
	a->resume = r->resume != NULL ? xstrdup(r->resume) : NULL;
	a->incarnation = r->incarnation;
	set_stat(a, STAT_TABLES_AT_TARGET, a->streaming);
}

static void
start_thread(pthread_t *t, void *(*run)(void *), void *arg)
{
	if (pthread_create(t, NULL, run, arg) != 0)
		bug("cannot start a thread");
}

struct apply *
apply_start(struct worker *w, struct sink *s, const struct routes *routes,
	const struct resume *resume, uint64_t turn)
{
	struct apply *a = xcalloc(1, sizeof *a);

	a->worker = w;
	a->sink = s;
	a->routes = routes;
	losses_init(&a->losses, w->conf);
	a->ring = w->rings[0];
	a->turn = turn;
	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->sink_lock, NULL);
	pthread_cond_init(&a->work_cond, NULL);
	pthread_cond_init(&a->gate_cond, NULL);
	pthread_cond_init(&a->room_cond, NULL);
	read_settings(a, w->conf);
	read_resume(a, resume);
	a->world = fk_world_new();
	a->world_version = 1;
	a->nlanes = w->nlanes;
	a->sched = sched_new(a->nlanes, a->group_rows, a->group_bytes, a->sink->ops->late_share);
	frame_reader_init(&a->reader, a->ring);
	a->load_readers = xcalloc(w->nlanes, sizeof *a->load_readers);
	for (uint32_t i = 0; i < w->nlanes; i++)
		frame_reader_init(&a->load_readers[i], w->rings[1 + i]);
	a->lanes = xcalloc(a->nlanes, sizeof *a->lanes);
	for (uint32_t i = 0; i < a->nlanes; i++) {
		a->lanes[i] = (struct apply_lane){.apply = a, .number = i};
		start_thread(&a->lanes[i].thread, run_lane, &a->lanes[i]);
	}
	start_thread(&a->scan_thread, apply_scan, a);
	return a;
}

void
apply_drain(struct apply *a)
{
	pthread_mutex_lock(&a->lock);
	a->draining = true;
	pthread_mutex_unlock(&a->lock);
	ring_wake(a->ring);
}

static bool
is_stalled(const struct group *g)
{
	const struct apply_lane *l = g->arg;

	return g->state == GROUP_RUNNING && mono_us() - l->heard_us > STALL_US;
}

void
apply_tick(struct apply *a)
{
	const struct group *oldest;

	pthread_mutex_lock(&a->lock);
	oldest = sched_oldest(a->sched);
	if (oldest != NULL && is_stalled(oldest)) {
		sched_stalled(a->sched);
		pthread_cond_broadcast(&a->gate_cond);
	}
	set_stat(a, STAT_RING_FILL, ring_fill(a->ring));
	pthread_mutex_unlock(&a->lock);
}

static void
join_all(struct apply *a)
{
	pthread_mutex_lock(&a->lock);
	pthread_cond_broadcast(&a->work_cond);
	pthread_cond_broadcast(&a->gate_cond);
	pthread_cond_broadcast(&a->room_cond);
	pthread_mutex_unlock(&a->lock);
	ring_wake(a->ring);
	pthread_join(a->scan_thread, NULL);
	for (uint32_t i = 0; i < a->nlanes; i++) {
		pthread_join(a->lanes[i].thread, NULL);
		arena_release(&a->lanes[i].arena);
		arena_release(&a->lanes[i].rows);
	}
}

void
apply_stop(struct apply *a)
{
	if (a == NULL)
		return;
	join_all(a);
	targets_free(a);
	sched_free(a->sched);
	frame_reader_release(&a->reader);
	for (uint32_t i = 0; i < a->nlanes; i++)
		frame_reader_release(&a->load_readers[i]);
	while (a->free_list != NULL) {
		struct work *w = a->free_list;

		a->free_list = w->next;
		work_free(w);
	}
	free(a->load_readers);
	free(a->lanes);
	free(a->applied);
	free(a->resume);
	free(a);
}
