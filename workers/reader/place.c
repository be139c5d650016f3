/* place.c - the loader's side of the feed: initial schema, chunks, their places; see place.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/reader/feed_private.h"

/* A window that grows past this lets its chunk go: the log is too far behind. */
#define WINDOW_MAX ((size_t)8 << 20)

static void
lock_lane(struct feed *f)
{
	atomic_fetch_add(&f->lanes_waiting, 1);
	pthread_mutex_lock(&f->lock);
	atomic_fetch_sub(&f->lanes_waiting, 1);
}

/* Before a lane lets go of the lock, by unlock or by wait: the last one wakes the log thread. */
static void
let_log_in(struct feed *f)
{
	if (f->lanes_waiting == 0 && f->armed == 0)
		pthread_cond_broadcast(&f->lanes_gone);
}

static void
unlock_lane(struct feed *f)
{
	let_log_in(f);
	pthread_mutex_unlock(&f->lock);
}

/* For `changed`; a lane waits in no other way, else the log thread may sleep on. */
static void
wait_lane(struct feed *f)
{
	let_log_in(f);
	pthread_cond_wait(&f->changed, &f->lock);
}

/* ---- initial schema ---- */

void
feed_set_initial(struct feed *f, struct catalog *c, struct logpos high)
{
	lock_lane(f);
	f->initial = *c;
	catalog_init(c);
	f->initial_high = high;
	f->initial_pending = true;
	for (uint32_t i = 0; i < f->initial.count; i++) {
		const struct catalog_object *o = &f->initial.objects[i];
		struct feed_table *t;

		if (o->kind != OBJECT_TABLE)
			continue;
		t = feed_find(f, o->db, o->name);
		if (t != NULL && t->state == TABLE_WAITING)
			feed_set_schema(f, t, o->table);
		else if (t == NULL && f->initial_whole)
			feed_report(f, feed_add(f, o->table, TABLE_WAITING));
	}
	unlock_lane(f);
}

static enum rc
emit_object(struct feed *f, const struct catalog_object *o, uint32_t number)
{
	struct event ev = {.kind = EVENT_OBJECT};

	ev.object = (struct event_object){
		.kind = o->kind,
		.table = number,
		.db = o->db,
		.name = o->name,
		.ddl = {.db = o->db,
			.sql = o->sql != NULL ? o->sql : "",
			.session = o->session != NULL ? o->session : "",
			.session_charset = "utf8mb4"},
	};
	FAILPOINT(READER_OBJECT);
	return feed_emit(f, &ev);
}

static enum rc
emit_table_object(struct feed *f, const struct catalog_object *o)
{
	struct feed_table *t = feed_find(f, o->db, o->name);
	bool again;
	enum rc rc;

	if (t == NULL || (t->state != TABLE_WAITING && t->state != TABLE_RELOAD))
		return RC_OK;
	again = t->state == TABLE_RELOAD;
	feed_set_schema(f, t, o->table);
	if (t->state == TABLE_QUARANTINED)
		return RC_OK;
	if ((rc = feed_emit_schema(f, t)) != RC_OK)
		return rc;
	if ((f->initial_schema || again) && (rc = emit_object(f, o, t->number)) != RC_OK)
		return rc;
	return feed_emit_state(f, t, f->initial_data || again ? TABLE_SCHEMA : TABLE_STREAMING);
}

/* The state row without a name says that the initial schema is complete. */
static enum rc
emit_mark(struct feed *f)
{
	struct table *none = table_new(INITIAL_MARK, INITIAL_MARK);
	struct event ev = {.kind = EVENT_SCHEMA};
	struct buf b;
	enum rc rc;

	buf_init(&b);
	table_encode(none, &b);
	ev.schema = (struct event_schema){
		.number = f->next_number++, .table = b.data, .len = (uint32_t)b.len};
	rc = feed_emit(f, &ev);
	if (rc == RC_OK) {
		ev = (struct event){.kind = EVENT_TABLE,
			.table = {.table = f->next_number - 1, .state = TABLE_STREAMING}};
		rc = feed_emit(f, &ev);
	}
	buf_release(&b);
	table_free(none);
	return rc;
}

/* A trigger of a table that has been made anew. */
static bool
is_of_reloaded(struct feed *f, const struct catalog_object *o)
{
	const struct feed_table *t = o->on != NULL ? feed_find(f, o->db, o->on) : NULL;

	return t != NULL && t->state == TABLE_SCHEMA;
}

/* All begins again, and the source has dropped some meanwhile. */
static enum rc
leave_behind(struct feed *f)
{
	enum rc rc = RC_OK;

	for (struct feed_table *t = f->tables; t != NULL && rc == RC_OK; t = t->next) {
		if (t->state != TABLE_RELOAD)
			continue;
		log_warn("table %s.%s is at the source no more: what the target has of it stays",
			t->full->db, t->full->name);
		rc = feed_emit_state(f, t, TABLE_REMOVED);
	}
	return rc;
}

/* Those that were to come in, and have gone before. */
static void
forget_gone(struct feed *f)
{
	for (struct feed_table *t = f->tables; t != NULL; t = t->next)
		if (t->state == TABLE_WAITING) {
			t->state = TABLE_REMOVED;
			feed_report(f, t);
		}
}

/* Tables first, as the catalog lists them; then what stands on them. */
static enum rc
emit_initial(struct feed *f)
{
	enum rc rc = feed_say_position(f);

	for (uint32_t i = 0; i < f->initial.count && rc == RC_OK; i++) {
		const struct catalog_object *o = &f->initial.objects[i];

		if (o->kind == OBJECT_TABLE)
			rc = emit_table_object(f, o);
		else if (f->initial_schema && (f->initial_whole || is_of_reloaded(f, o)))
			rc = emit_object(f, o, 0);
	}
	if (rc == RC_OK && f->initial_whole)
		rc = leave_behind(f);
	else if (rc == RC_OK)
		forget_gone(f);
	FAILPOINT(READER_MARK);
	if (rc == RC_OK && f->initial_whole && !f->held)
		rc = emit_mark(f);
	catalog_release(&f->initial);
	f->initial_pending = f->initial_whole = false;
	feed_count(f);
	pthread_cond_broadcast(&f->changed);
	return rc;
}

/* ---- what may load ---- */

static bool
is_loaded(const struct feed_table *t)
{
	return t->state == TABLE_STREAMING || t->state == TABLE_REMOVED ||
	       t->state == TABLE_QUARANTINED;
}

/* Whether a foreign key of t leads to `to`, at once or through other tables. */
static bool
depends_on(struct feed *f, const struct feed_table *t, const struct feed_table *to, unsigned depth)
{
	for (uint32_t i = 0; i < t->full->nfks && depth < 16; i++) {
		const struct feed_table *p =
			feed_find(f, t->full->fks[i].ref_db, t->full->fks[i].ref_table);

		if (p == to || (p != NULL && p != t && depends_on(f, p, to, depth + 1)))
			return true;
	}
	return false;
}

/*
 * Parents first, so that their children's rows in the stream find them and
 * cascades meet what they must take along. Circles do not wait for each other.
 */
static bool
waits_for_parent(struct feed *f, const struct feed_table *t)
{
	for (uint32_t i = 0; i < t->full->nfks; i++) {
		const struct foreign_key *fk = &t->full->fks[i];
		const struct feed_table *p = feed_find(f, fk->ref_db, fk->ref_table);

		if (p != NULL && p != t && !is_loaded(p) && !depends_on(f, p, t, 0))
			return true;
	}
	return false;
}

/* NULL: none may load now; *left: one will. */
static struct feed_table *
find_load(struct feed *f, bool *left)
{
	*left = f->initial_pending;
	for (struct feed_table *t = f->tables; t != NULL; t = t->next) {
		if (is_loaded(t))
			continue;
		*left = true;
		if ((t->state == TABLE_SCHEMA || t->state == TABLE_LOADING) && !t->loading_taken &&
			!waits_for_parent(f, t))
			return t;
	}
	return NULL;
}

struct feed_table *
feed_next_load(struct feed *f, bool *done)
{
	struct feed_table *found;
	bool left;

	lock_lane(f);
	found = find_load(f, &left);
	if (found != NULL)
		found->loading_taken = true;
	*done = !left;
	unlock_lane(f);
	return found;
}

void
feed_await_load(struct feed *f)
{
	bool left;

	lock_lane(f);
	while (!f->stopped && !f->draining && (find_load(f, &left), !left))
		wait_lane(f);
	unlock_lane(f);
}

uint32_t
feed_round(struct feed *f, struct feed_table *t)
{
	uint32_t round;

	lock_lane(f);
	round = t->round;
	unlock_lane(f);
	return round;
}

struct table *
feed_carried(struct feed *f, struct feed_table *t)
{
	struct table *copy;

	lock_lane(f);
	copy = table_copy(t->carried);
	unlock_lane(f);
	return copy;
}

enum table_state
feed_state(struct feed *f, struct feed_table *t)
{
	enum table_state s;

	lock_lane(f);
	s = t->state;
	unlock_lane(f);
	return s;
}

void
feed_report_rows(struct feed *f, struct feed_table *t, struct report_table *r)
{
	lock_lane(f);
	r->state = t->state;
	worker_report_table(f->worker, r);
	unlock_lane(f);
}

/* ---- loading again ---- */

static enum rc
start_over(struct feed *f, struct feed_table *t)
{
	feed_cancel_chunks(f, t);
	t->round++;
	t->loading_taken = t->planned = false;
	f->reload_due = true;
	pthread_cond_broadcast(&f->changed);
	return feed_emit_state(f, t, TABLE_RELOAD);
}

enum rc
feed_start_over(struct feed *f, struct feed_table *t)
{
	enum rc rc = RC_OK;

	for (struct feed_table *x = f->tables; x != NULL && rc == RC_OK; x = x->next)
		if ((x->state == TABLE_LOADING || x->state == TABLE_STREAMING) && x != t &&
			depends_on(f, x, t, 0))
			rc = start_over(f, x);
	return rc == RC_OK ? start_over(f, t) : rc;
}

enum rc
feed_load_again(struct feed *f, const char *db, const char *name)
{
	struct feed_table *t = feed_find(f, db, name);

	return t != NULL && feed_wants(f, t) ? feed_start_over(f, t) : RC_OK;
}

/* Tables registered as RELOAD. Lock held. */
static enum rc
start_over_all(struct feed *f)
{
	enum rc rc = RC_OK;

	for (struct feed_table *t = f->tables; t != NULL && rc == RC_OK; t = t->next)
		if (t->state == TABLE_RELOAD)
			rc = feed_start_over(f, t);
	ring_publish(f->ring);
	return rc;
}

/* Tables registered as left. Lock held. */
static enum rc
say_left(struct feed *f)
{
	enum rc rc = RC_OK;

	for (struct feed_table *t = f->tables; t != NULL && rc == RC_OK; t = t->next) {
		if (!t->left)
			continue;
		log_info("%s.%s is not selected any more: the target keeps what it has of it",
			t->full->db, t->full->name);
		t->left = false;
		rc = feed_emit_state(f, t, TABLE_REMOVED);
	}
	return rc;
}

enum rc
feed_begin_again(struct feed *f)
{
	enum rc rc;

	lock_lane(f);
	rc = start_over_all(f);
	f->reload_due = false; /* feed_set_initial follows */
	unlock_lane(f);
	return rc;
}

enum rc
feed_initial_done(struct feed *f)
{
	enum rc rc;

	lock_lane(f);
	f->initial_whole = false;
	rc = say_left(f);
	if (rc == RC_OK)
		rc = start_over_all(f);
	unlock_lane(f);
	return rc;
}

enum rc
feed_end_hold(struct feed *f, bool *ended)
{
	bool left;
	enum rc rc = RC_OK;

	lock_lane(f);
	(void)find_load(f, &left);
	*ended = !left;
	if (!left) {
		f->held = false;
		rc = emit_mark(f);
		ring_publish(f->ring);
	}
	unlock_lane(f);
	return rc;
}

/* ---- chunks ---- */

static void
unlist(struct feed *f, struct chunk *c)
{
	for (struct chunk **p = &f->chunks; *p != NULL; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			c->next = NULL;
			c->table->chunks_open--;
			return;
		}
}

void
feed_cancel_chunk(struct feed *f, struct chunk *c)
{
	unlist(f, c);
	c->state = CHUNK_CANCELLED;
	window_free(c->window);
	c->window = NULL;
	pthread_cond_broadcast(&f->changed);
}

void
feed_cancel_chunks(struct feed *f, struct feed_table *t)
{
	struct chunk *c = f->chunks;

	while (c != NULL) {
		struct chunk *next = c->next;

		if (c->table == t)
			feed_cancel_chunk(f, c);
		c = next;
	}
}

static void
enlist(struct feed *f, struct chunk *c)
{
	c->state = CHUNK_OPEN;
	c->next = f->chunks;
	f->chunks = c;
	c->table->chunks_open++;
}

enum rc
chunk_register(struct feed *f, struct chunk *c, char **seen, struct logpos *seen_at)
{
	enum rc rc = RC_OK;

	lock_lane(f);
	if (f->stopped || f->draining || c->table->state == TABLE_REMOVED ||
		c->table->round != c->round)
		rc = RC_AGAIN;
	else if (c->table->state == TABLE_SCHEMA)
		rc = feed_emit_state(f, c->table, TABLE_LOADING);
	if (rc == RC_OK) {
		if (c->table->key != NULL)
			c->window = window_new(c->table->key, c->table->carried->ncolumns);
		enlist(f, c);
		*seen = xstrdup(f->position);
		*seen_at = f->at;
		FAILPOINT(READER_WINDOW);
	}
	unlock_lane(f);
	return rc;
}

void
chunk_armed(void *arg)
{
	struct chunk_arm *arm = arg;

	lock_lane(arm->feed);
	arm->feed->armed++;
	arm->armed = true;
	enlist(arm->feed, arm->chunk);
	if (arm->chunk->round != arm->chunk->table->round)
		feed_cancel_chunk(arm->feed, arm->chunk);
	unlock_lane(arm->feed);
}

bool
chunk_is_open(struct feed *f, const struct chunk *c)
{
	bool open;

	lock_lane(f);
	open = !f->stopped && !f->draining && c->state == CHUNK_OPEN;
	unlock_lane(f);
	return open;
}

static void
disarm(struct feed *f, struct chunk_arm *arm)
{
	if (arm == NULL || !arm->armed)
		return;
	arm->armed = false;
	f->armed--;
}

static enum rc
place(struct feed *f, struct chunk *c)
{
	struct event ev = {.kind = EVENT_CHUNK};
	enum rc rc;

	unlist(f, c);
	if (c->exact) /* the whole table: its changes flow from the very next transaction on */
		c->table->planned = true;
	if ((rc = feed_say_position(f)) != RC_OK || (rc = feed_emit_schema(f, c->table)) != RC_OK)
		return rc;
	ev.chunk = (struct event_chunk){
		.table = c->table->number,
		.number = c->number,
		.ring = c->ring,
		.last = c->last,
		.lo = c->lo.data,
		.lo_len = (uint32_t)c->lo.len,
		.hi = c->hi.data,
		.hi_len = (uint32_t)c->hi.len,
	};
	FAILPOINT(READER_PLACE);
	if ((rc = feed_emit(f, &ev)) != RC_OK)
		return rc;
	FAILPOINT(READER_PLACED);
	c->schema = table_copy(c->table->carried);
	c->where = feed_filter(f, c->table->full, NULL);
	c->schema_number = c->table->number;
	c->state = CHUNK_PLACED;
	pthread_cond_broadcast(&f->changed);
	return RC_OK;
}

/* The table streams once every chunk of its plan has its place. */
static enum rc
settle_table(struct feed *f, struct feed_table *t)
{
	enum rc rc;

	if (!t->planned || t->chunks_open != 0 || is_loaded(t))
		return RC_OK;
	rc = feed_emit_state(f, t, TABLE_STREAMING);
	pthread_cond_broadcast(&f->changed);
	return rc;
}

static enum rc
place_due(struct feed *f, struct logpos at)
{
	struct chunk *c = f->chunks;
	bool placed = false;
	enum rc rc = RC_OK;

	while (c != NULL && rc == RC_OK) {
		struct chunk *next = c->next;

		if (c->state == CHUNK_READY && logpos_cmp(at, c->high) >= 0) {
			struct feed_table *t = c->table;

			rc = place(f, c);
			if (rc == RC_OK)
				rc = settle_table(f, t);
			placed = true;
		} else if (c->window != NULL && window_bytes(c->window) > WINDOW_MAX) {
			feed_cancel_chunk(f, c);
		}
		c = next;
	}
	if (placed)
		ring_publish(f->ring);
	return rc;
}

enum rc
feed_boundary(struct feed *f, struct logpos at, struct err *e)
{
	enum rc rc = RC_OK;

	(void)e;
	if (f->initial_pending && logpos_cmp(at, f->initial_high) >= 0) {
		rc = emit_initial(f);
		ring_publish(f->ring);
	}
	if (rc == RC_OK && f->chunks != NULL)
		rc = place_due(f, at);
	return rc;
}

enum rc
chunk_ready(
	struct feed *f, struct chunk *c, struct logpos high, struct chunk_arm *arm, struct err *e)
{
	enum rc rc = RC_OK;

	lock_lane(f);
	disarm(f, arm);
	if (c->state == CHUNK_OPEN) {
		c->state = CHUNK_READY;
		c->high = high;
		rc = feed_boundary(f, f->at, e);
	}
	unlock_lane(f);
	return rc;
}

void
chunk_cancel(struct feed *f, struct chunk *c, struct chunk_arm *arm)
{
	lock_lane(f);
	disarm(f, arm);
	if (c->state == CHUNK_OPEN || c->state == CHUNK_READY)
		feed_cancel_chunk(f, c);
	unlock_lane(f);
}

enum rc
chunk_await(struct feed *f, struct chunk *c)
{
	enum rc rc;

	lock_lane(f);
	while (!f->stopped && !f->draining && (c->state == CHUNK_OPEN || c->state == CHUNK_READY))
		wait_lane(f);
	rc = c->state == CHUNK_PLACED ? RC_OK : RC_AGAIN;
	unlock_lane(f);
	return rc;
}

enum rc
chunk_plan_complete(struct feed *f, struct feed_table *t, uint32_t round)
{
	enum rc rc = RC_OK;

	lock_lane(f);
	FAILPOINT(READER_PLANNED);
	if (t->round == round) {
		t->planned = true;
		rc = settle_table(f, t);
	}
	ring_publish(f->ring);
	unlock_lane(f);
	return rc;
}

void
chunk_release(struct chunk *c)
{
	table_free(c->schema);
	filter_free(c->where);
	window_free(c->window);
	buf_release(&c->lo);
	buf_release(&c->hi);
	*c = (struct chunk){0};
}
