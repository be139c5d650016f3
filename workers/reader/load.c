/* load.c - see load.h. */
#include "common/compat.h"

#include <errno.h>
#include <stdatomic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "ipc/frame.h"
#include "ipc/proto.h"
#include "workers/reader/load.h"

#define RETRY_MS 20
#define RING_WAIT_MS 50
#define PUBLISH_ROWS 64
/* An exact snapshot or one that must see R0 is tried again this often before the reader gives up.
 */
#define SNAPSHOT_TRIES 500
/* A try may have kept the table's writers waiting (LOCK TABLES): they get as long as it took. */
#define PAUSE_MAX_MS 2000

/* A range of keys that the target does not have yet; hi empty: to the end. */
struct range {
	struct buf lo, hi;
	uint32_t number;
	bool last;
};

/* The plan of one table, shared by the lanes that work on it. */
struct plan {
	struct feed_table *table;
	uint32_t round;
	pthread_mutex_t lock;
	struct range *gaps; /* left behind by a crash: first */
	uint32_t ngaps;
	struct buf at; /* everything up to here is planned */
	uint32_t next_number;
	atomic_bool exhausted; /* the last range has been handed out */
	unsigned lanes;	       /* that work on it */
	uint32_t chunks_done;
	uint64_t rows_done, bytes_done;
	struct plan *next;
};

struct lane {
	struct load *load;
	pthread_t thread;
	uint32_t number;
	struct ring *ring;
	struct source_lane *source;
	struct chunk chunk;
	struct value *patched;
	size_t patched_cap;
	uint64_t rows, bytes;
	uint32_t unpublished;
};

struct load {
	struct worker *worker;
	struct source *source;
	struct feed *feed;
	const struct resume *resume;
	pthread_mutex_t lock; /* of plans */
	struct plan *plans;
	struct lane *lanes;
	uint32_t nlanes;
	uint64_t chunk_rows, chunk_bytes;
};

/* No new chunk is begun; one that has its place is finished unless the worker stops at once. */
static bool
ending(const struct load *l)
{
	return l->worker->stopping || feed_draining(l->feed);
}

static void
pause_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* ---- plans ---- */

static bool
same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void
add_gap(struct plan *p, const struct buf *lo, const struct buf *hi, uint32_t number)
{
	struct range *r;

	p->gaps = xreallocarray(p->gaps, p->ngaps + 1, sizeof *p->gaps);
	r = &p->gaps[p->ngaps++];
	*r = (struct range){.number = number};
	buf_add(&r->lo, lo->data, lo->len);
	buf_add(&r->hi, hi->data, hi->len);
}

/* Chunks are numbered along the key, so a gap is where one's end is not the next one's beginning.
 */
static void
resume_plan(struct plan *p, const struct resume_table *t)
{
	struct buf at = {0};
	uint32_t next = 0;

	for (uint32_t i = 0; i < t->nchunks; i++) {
		const struct resume_chunk *c = &t->chunks[i];

		if (!same(&at, &c->lo))
			add_gap(p, &at, &c->lo, next);
		buf_clear(&at);
		buf_add(&at, c->hi.data, c->hi.len);
		next = c->number + 1;
		p->chunks_done++;
		p->rows_done += c->rows;
		if (c->last)
			p->exhausted = true;
	}
	p->at = at;
	p->next_number = next;
}

static struct plan *
plan_new(struct load *l, struct feed_table *t)
{
	struct plan *p = xcalloc(1, sizeof *p);
	struct table *carried = feed_carried(l->feed, t);
	const struct resume_table *r = resume_find(l->resume, carried->db, carried->name);

	p->table = t;
	p->round = feed_round(l->feed, t);
	pthread_mutex_init(&p->lock, NULL);
	if (r != NULL && p->round == 0) /* what was loaded before this reader began */
		resume_plan(p, r);
	table_free(carried);
	return p;
}

/* A table that other lanes are cutting already (they share it), or the next one to begin. */
static struct plan *
join_plan(struct load *l, bool *done)
{
	struct plan *p, *best = NULL;
	struct feed_table *t;

	*done = false;
	pthread_mutex_lock(&l->lock);
	t = feed_next_load(l->feed, done);
	if (t != NULL) {
		best = plan_new(l, t);
		best->next = l->plans;
		l->plans = best;
	}
	for (p = l->plans; p != NULL && best == NULL; p = p->next)
		if (!p->exhausted)
			best = p;
	if (best != NULL)
		best->lanes++;
	pthread_mutex_unlock(&l->lock);
	return best;
}

static uint64_t
rows_per_chunk(const struct load *l, const struct table *t)
{
	uint64_t width = t->rows != 0 ? t->bytes / t->rows : 0, rows = l->chunk_rows;

	if (width != 0 && l->chunk_bytes / width < rows)
		rows = l->chunk_bytes / width;
	return rows < 16 ? 16 : rows;
}

/* The next range of the plan into the lane's chunk; false: none is left. */
static enum rc
next_range(struct lane *ln, struct plan *p, const struct table *t, bool *got, struct err *e)
{
	struct chunk *c = &ln->chunk;
	enum rc rc = RC_OK;

	*got = true;
	pthread_mutex_lock(&p->lock);
	if (p->ngaps != 0) {
		struct range *r = &p->gaps[--p->ngaps];

		c->lo = r->lo;
		c->hi = r->hi;
		c->number = r->number;
	} else if (p->exhausted) {
		*got = false;
	} else {
		c->number = p->next_number;
		buf_add(&c->lo, p->at.data, p->at.len);
		rc = ln->source->source->ops->lane_bound(
			ln->source, t, &c->lo, rows_per_chunk(ln->load, t), &c->hi, &c->last, e);
		if (c->last)
			buf_clear(&c->hi);
		if (rc == RC_OK)
			rc = FAILPOINT_LOST(READER_BOUND, e);
		if (rc == RC_OK) {
			buf_clear(&p->at);
			buf_add(&p->at, c->hi.data, c->hi.len);
			p->exhausted = c->last;
			p->next_number++;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

/* ---- one chunk ---- */

static enum rc
emit(struct lane *ln, const struct event *ev)
{
	enum rc rc;

	while ((rc = frame_put(ln->ring, ev, &ln->load->worker->stopping)) == RC_AGAIN) {
		if (ln->load->worker->stopping)
			return RC_AGAIN;
		ring_wait_space(ln->ring, frame_size(ev), RING_WAIT_MS);
	}
	return rc;
}

static uint64_t
row_bytes(const struct row *row)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < row->ncols; i++)
		n += row->col[i].len;
	return n;
}

static enum rc
send_row(void *arg, const struct row *row, struct err *e)
{
	struct lane *ln = arg;
	struct chunk *c = &ln->chunk;
	struct event ev = {.kind = EVENT_INSERT};
	struct row patched = {.col = ln->patched, .ncols = row->ncols};
	enum rc rc;

	if (row->ncols != c->schema->ncolumns)
		return err_set(e, RC_BUG, "a row of %s.%s has not the columns of its chunk",
			c->schema->db, c->schema->name);
	ev.row = (struct event_row){.table = c->schema_number, .after = *row};
	if (c->window != NULL) {
		switch (window_row(c->window, row, &patched)) {
		case VERDICT_DROP:
			return RC_OK;
		case VERDICT_PATCH:
			ev.row.after = patched;
			break;
		case VERDICT_KEEP:
			break;
		}
	}
	if ((rc = emit(ln, &ev)) != RC_OK)
		return rc;
	FAILPOINT(READER_CHUNK_ROW);
	ln->rows++;
	ln->bytes += row_bytes(&ev.row.after);
	if (++ln->unpublished >= PUBLISH_ROWS) {
		ring_publish(ln->ring);
		ln->unpublished = 0;
	}
	return RC_OK;
}

static enum rc
send_rows(struct lane *ln, struct err *e)
{
	struct chunk *c = &ln->chunk;
	struct event ev = {.kind = EVENT_CHUNK_ROWS,
		.chunk = {.table = c->schema_number, .number = c->number}};
	struct read_request req = {
		.table = c->schema, .lo = &c->lo, .hi = &c->hi, .where = c->where};
	enum rc rc;

	ln->rows = ln->bytes = 0;
	ln->unpublished = 0;
	grow(&ln->patched, &ln->patched_cap, c->schema->ncolumns + 1, sizeof *ln->patched);
	if ((rc = emit(ln, &ev)) != RC_OK)
		return rc;
	rc = ln->source->source->ops->lane_read(ln->source, &req, send_row, ln, e);
	if (rc != RC_OK)
		return rc;
	ev.kind = EVENT_CHUNK_END;
	ev.chunk.rows = ln->rows;
	if ((rc = FAILPOINT_LOST(READER_CHUNK_END, e)) != RC_OK)
		return rc;
	if ((rc = emit(ln, &ev)) == RC_OK)
		ring_publish(ln->ring);
	FAILPOINT(READER_CHUNK_ENDED);
	return rc;
}

/*
 * The log may be ahead of what is visible, by as long as a replica withholds
 * its acknowledgement: R0 stays until a snapshot sees it. Another R0 for each
 * try would never be seen where commits are always under way.
 */
static enum rc
open_snapshot(
	struct lane *ln, const struct snapshot_request *req, struct logpos *high, struct err *e)
{
	const struct source_ops *ops = ln->source->source->ops;
	enum rc rc = ops->lane_snapshot(ln->source, req, high, e);

	for (unsigned tries = 0;
		rc == RC_AGAIN && req->mode == SNAPSHOT_SEES && tries < SNAPSHOT_TRIES &&
		chunk_is_open(ln->load->feed, &ln->chunk);
		tries++) {
		ops->lane_end(ln->source);
		pause_ms(tries < RETRY_MS ? 1 + tries : RETRY_MS);
		rc = ops->lane_snapshot(ln->source, req, high, e);
	}
	return rc;
}

/* Registered, snapshot open, placed: OK. AGAIN: it was let go, try again (or the reader stops). */
static enum rc
get_place(struct lane *ln, const struct table *t, struct err *e)
{
	const struct source_ops *ops = ln->source->source->ops;
	struct feed *f = ln->load->feed;
	struct chunk *c = &ln->chunk;
	struct chunk_arm arm = {.feed = f, .chunk = c};
	struct snapshot_request req = {
		.table = t, .mode = c->exact ? SNAPSHOT_EXACT : SNAPSHOT_SEES};
	struct logpos high;
	char *seen = NULL;
	enum rc rc = RC_OK;

	if (c->exact) {
		req.armed = chunk_armed;
		req.arg = &arm;
	} else {
		rc = chunk_register(f, c, &seen, &req.seen_at);
		req.seen = seen;
	}
	if (rc == RC_OK)
		rc = open_snapshot(ln, &req, &high, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_SNAPSHOT, e);
	if (rc == RC_OK)
		rc = chunk_ready(f, c, high, &arm, e);
	if (rc == RC_OK)
		rc = chunk_await(f, c);
	if (rc != RC_OK) {
		chunk_cancel(f, c, &arm);
		ops->lane_end(ln->source);
	}
	free(seen);
	return rc;
}

static void
report(struct lane *ln, struct plan *p)
{
	struct worker *w = ln->load->worker;
	struct report_table r = {.db = ln->chunk.schema->db,
		.name = ln->chunk.schema->name,
		.rows_expected = ln->chunk.schema->rows};

	atomic_fetch_add(&w->stats[STAT_LOAD_ROWS], ln->rows);
	atomic_fetch_add(&w->stats[STAT_LOAD_BYTES], ln->bytes);
	pthread_mutex_lock(&p->lock);
	r.chunks_done = ++p->chunks_done;
	r.rows_done = p->rows_done += ln->rows;
	r.bytes_done = p->bytes_done += ln->bytes;
	pthread_mutex_unlock(&p->lock);
	feed_report_rows(ln->load->feed, p->table, &r);
}

/* The table is gone, or loads again from the start. */
static bool
is_void(struct lane *ln, struct plan *p)
{
	return feed_state(ln->load->feed, p->table) == TABLE_REMOVED ||
	       feed_round(ln->load->feed, p->table) != p->round;
}

/* Before another try, after one that took so many ms. */
static void
let_others(const struct load *l, unsigned tries, uint64_t took)
{
	uint64_t least = tries < 5 ? tries : RETRY_MS, left = took < least ? least : took;

	if (left > PAUSE_MAX_MS)
		left = PAUSE_MAX_MS;
	while (left != 0 && !ending(l)) {
		unsigned ms = left < RETRY_MS ? (unsigned)left : RETRY_MS;

		pause_ms(ms);
		left -= ms;
	}
}

static enum rc
load_chunk(struct lane *ln, struct plan *p, struct err *e)
{
	const struct source_ops *ops = ln->source->source->ops;
	uint64_t began = 0;
	enum rc rc = RC_AGAIN;

	for (unsigned tries = 0; rc == RC_AGAIN || rc == RC_CONFIG; tries++) {
		struct table *t;

		if (ending(ln->load) || is_void(ln, p))
			return RC_AGAIN;
		if (tries > SNAPSHOT_TRIES)
			return rc == RC_CONFIG
				       ? rc
				       : err_set(e, RC_RETRY,
						 "cannot take a snapshot that the log agrees with");
		if (tries != 0)
			let_others(ln->load, tries, (mono_us() - began) / 1000);
		began = mono_us();
		t = feed_carried(ln->load->feed, p->table);
		rc = get_place(ln, t, e);
		table_free(t);
		if (rc == RC_CONFIG && is_void(ln, p)) /* the log has said so meanwhile */
			return RC_AGAIN;
	}
	if (rc != RC_OK)
		return rc;
	rc = send_rows(ln, e);
	ops->lane_end(ln->source);
	if (rc == RC_OK)
		report(ln, p);
	return rc;
}

/* ---- lanes ---- */

/* The server need not keep a connection for one that has nothing to do. */
static void
rest(struct lane *ln)
{
	if (ln->source != NULL)
		ln->load->source->ops->lane_close(ln->source);
	ln->source = NULL;
	feed_await_load(ln->load->feed);
}

static enum rc
load_exact(struct lane *ln, struct plan *p, struct err *e)
{
	enum rc rc = RC_OK;

	pthread_mutex_lock(&p->lock);
	if (!p->exhausted) {
		p->exhausted = true;
		ln->chunk = (struct chunk){.table = p->table,
			.round = p->round,
			.ring = ln->number,
			.last = true,
			.exact = true};
		pthread_mutex_unlock(&p->lock);
		rc = load_chunk(ln, p, e);
		chunk_release(&ln->chunk);
		return rc;
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

/* The log may be about to say that the table is gone, or another: until then CONFIG is a question.
 */
static enum rc
find_range(struct lane *ln, struct plan *p, const struct table *t, bool *got, struct err *e)
{
	enum rc rc = RC_CONFIG;

	for (unsigned tries = 0; rc == RC_CONFIG && tries <= SNAPSHOT_TRIES; tries++) {
		if (tries != 0)
			pause_ms(RETRY_MS);
		if (ending(ln->load) || is_void(ln, p))
			return RC_AGAIN;
		chunk_release(&ln->chunk);
		ln->chunk =
			(struct chunk){.table = p->table, .round = p->round, .ring = ln->number};
		rc = next_range(ln, p, t, got, e);
	}
	return rc;
}

static enum rc
load_keyed(struct lane *ln, struct plan *p, const struct table *t, struct err *e)
{
	bool got = true;
	enum rc rc = RC_OK;

	while (rc == RC_OK && got && !ending(ln->load)) {
		rc = find_range(ln, p, t, &got, e);
		if (rc == RC_OK && got)
			rc = load_chunk(ln, p, e);
		chunk_release(&ln->chunk);
	}
	return rc;
}

/* Leaves the table; the last one out says that its plan is complete. */
static enum rc
leave_plan(struct lane *ln, struct plan *p)
{
	struct load *l = ln->load;
	bool last;

	pthread_mutex_lock(&l->lock);
	last = --p->lanes == 0 && p->exhausted && p->ngaps == 0;
	pthread_mutex_unlock(&l->lock);
	return last ? chunk_plan_complete(l->feed, p->table, p->round) : RC_OK;
}

static enum rc
load_table(struct lane *ln, struct plan *p, struct err *e)
{
	struct table *t = feed_carried(ln->load->feed, p->table);
	enum rc rc;

	rc = table_key(t) != NULL || ln->load->source->held ? load_keyed(ln, p, t, e)
							    : load_exact(ln, p, e);
	if (rc == RC_AGAIN) { /* the table is gone, or we are */
		pthread_mutex_lock(&p->lock);
		p->exhausted = true;
		pthread_mutex_unlock(&p->lock);
		rc = RC_OK;
	}
	if (rc == RC_OK && !ending(ln->load))
		rc = leave_plan(ln, p);
	if (rc != RC_OK)
		err_context(e, "loading %s.%s", t->db, t->name);
	table_free(t);
	return rc;
}

static void *
run_lane(void *arg)
{
	struct lane *ln = arg;
	struct load *l = ln->load;
	struct err e = {0};
	bool done = false;
	enum rc rc = RC_OK;

	while (rc == RC_OK && !ending(l)) {
		struct plan *p = join_plan(l, &done);

		if (p == NULL) {
			if (done)
				rest(ln);
			else
				pause_ms(RETRY_MS);
			continue;
		}
		if (ln->source == NULL)
			rc = l->source->ops->lane_open(l->source, &ln->source, &e);
		if (rc == RC_OK)
			rc = load_table(ln, p, &e);
	}
	if (ln->source != NULL)
		l->source->ops->lane_close(ln->source);
	if (rc != RC_OK && rc != RC_AGAIN && !ending(l))
		worker_fail(l->worker, &e);
	return NULL;
}

struct load *
load_start(struct worker *w, struct source *s, struct feed *f, const struct resume *resume)
{
	struct load *l = xcalloc(1, sizeof *l);

	l->worker = w;
	l->source = s;
	l->feed = f;
	l->resume = resume;
	l->nlanes = w->nlanes;
	l->chunk_rows = (uint64_t)conf_int(w->conf, "chunk_rows");
	l->chunk_bytes = conf_size(w->conf, "chunk_bytes");
	pthread_mutex_init(&l->lock, NULL);
	l->lanes = xcalloc(l->nlanes, sizeof *l->lanes);
	for (uint32_t i = 0; i < l->nlanes; i++) {
		l->lanes[i] = (struct lane){.load = l, .number = i, .ring = w->rings[1 + i]};
		if (pthread_create(&l->lanes[i].thread, NULL, run_lane, &l->lanes[i]) != 0)
			bug("cannot start a lane");
	}
	return l;
}

static void
plan_free(struct plan *p)
{
	for (uint32_t i = 0; i < p->ngaps; i++) {
		buf_release(&p->gaps[i].lo);
		buf_release(&p->gaps[i].hi);
	}
	free(p->gaps);
	buf_release(&p->at);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
load_stop(struct load *l)
{
	if (l == NULL)
		return;
	for (uint32_t i = 0; i < l->nlanes; i++) {
		pthread_join(l->lanes[i].thread, NULL);
		free(l->lanes[i].patched);
	}
	while (l->plans != NULL) {
		struct plan *p = l->plans;

		l->plans = p->next;
		plan_free(p);
	}
	pthread_mutex_destroy(&l->lock);
	free(l->lanes);
	free(l);
}
