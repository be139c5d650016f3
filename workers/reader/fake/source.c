/*
 * source.c - the fake source: a server that exists only as a model.
 *
 * For the tests of processes, rings, load and kills, without a database. Its
 * "server" runs ahead of the log thread by a few transactions, so that
 * snapshots see more than the log has said, as real ones do.
 */
#include "common/compat.h"

#include <errno.h>
#include <stdatomic.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "ipc/proto.h"
#include "workers/reader/fake/model.h"
#include "workers/reader/feed.h"
#include "workers/reader/source.h"

#define AHEAD 5
#define IDLE_MS 5

struct fake_source {
	struct source base;
	struct source_env env;
	struct model *model; /* as of the log thread's position */
	struct feed_table **tables;
	pthread_mutex_t lock;  /* of model and frozen */
	uint64_t transactions; /* how many there will be */
	uint64_t rate;	       /* per second, 0: as fast as they go */
	atomic_bool woken;
};

struct fake_lane {
	struct source_lane base;
	struct model *snapshot;
};

static enum rc
fake_create(const struct source_env *env, struct source **out, struct err *e)
{
	struct fake_source *s = xcalloc(1, sizeof *s);

	(void)e;
	s->base.ops = source_find("fake");
	s->env = *env;
	s->model = model_new(env->conf);
	s->tables = xcalloc(s->model->ntables, sizeof *s->tables);
	s->transactions = (uint64_t)conf_int(env->conf, "source.transactions");
	s->rate = (uint64_t)conf_int(env->conf, "source.rate");
	pthread_mutex_init(&s->lock, NULL);
	*out = &s->base;
	return RC_OK;
}

static void
fake_free(struct source *base)
{
	struct fake_source *s = (struct fake_source *)base;

	model_free(s->model);
	free(s->tables);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static enum rc
fake_check(struct source *s, bool want_sql, struct checks *out, struct err *e)
{
	(void)s;
	(void)want_sql;
	(void)e;
	checks_pass(out, "Source database connectivity");
	return RC_OK;
}

static void
model_forward(struct fake_source *s, uint64_t to)
{
	pthread_mutex_lock(&s->lock);
	while (s->model->at < to)
		model_step(s->model);
	pthread_mutex_unlock(&s->lock);
}

/*
 * Where a transaction's commit ends in the log. Others' records lie behind it:
 * the log ends, and the next one begins, where no transaction ended.
 */
static struct logpos
commit_end(uint64_t transaction)
{
	return (struct logpos){.offset = 2 * transaction};
}

static struct logpos
log_end(uint64_t transaction)
{
	return (struct logpos){.offset = 2 * transaction + 1};
}

static enum rc
fake_identify(struct source *base, char **id, struct err *e)
{
	struct fake_source *s = (struct fake_source *)base;
	uint64_t from;

	(void)e;
	*id = xasprintf("fake-%" PRIu64, s->model->seed);
	/* A server never is behind what was read from it. */
	if (s->env.resume != NULL && s->env.resume->applied != NULL &&
		sscanf(s->env.resume->applied, "txn=%" SCNu64, &from) == 1)
		model_forward(s, from);
	return RC_OK;
}

static enum rc
fake_take_over(struct source *base, const char *position, char **here, struct err *e)
{
	(void)base;
	(void)here;
	err_set(e, RC_CONFIG, "it has another seed, and so no history up to %s", position);
	return err_remedy(e, "give the file another id, or reset the channel");
}

static enum rc
fake_tip(struct source *s, char **position, struct logpos *at, struct err *e)
{
	(void)s;
	(void)e;
	*position = xstrdup("txn=0");
	*at = (struct logpos){0};
	return RC_OK;
}

static enum rc
fake_catalog(struct source *base, struct catalog *out, struct logpos *high, struct err *e)
{
	struct fake_source *s = (struct fake_source *)base;

	(void)e;
	for (uint32_t i = 0; i < s->model->ntables; i++) {
		struct table *t = model_schema(s->model, i);
		struct catalog_object *o;

		if (!routes_table(s->env.routes, t->db, t->name)) {
			table_free(t);
			continue;
		}
		o = catalog_add(out, OBJECT_TABLE, t->db, t->name);
		o->table = t;
		o->sql = xasprintf("CREATE TABLE %s", t->name);
	}
	*high = log_end(s->model->at);
	return RC_OK;
}

/* ---- the log ---- */

static void
commit_of(const struct fake_source *s, struct event_commit *c, char text[40])
{
	snprintf(text, 40, "txn=%" PRIu64, s->model->at);
	*c = (struct event_commit){
		.at = commit_end(s->model->at),
		.order = s->model->at,
		.time_us = now_us(),
		.txid = text,
		.origin = "",
		.applied = text,
		.resume = text,
	};
}

static void
row_of(const struct fake_row *r, unsigned char id[8], char text[24], struct value v[2],
	struct row *out)
{
	put_u64(id, (uint64_t)r->id);
	model_text(r->text, text);
	v[0] = (struct value){.kind = VALUE_BYTES, .len = 8, .data = id};
	v[1] = (struct value){
		.kind = VALUE_BYTES, .len = (uint32_t)strlen(text), .data = (unsigned char *)text};
	*out = (struct row){.col = v, .ncols = 2};
}

static enum rc
feed_op(struct fake_source *s, const struct fake_op *op, struct err *e)
{
	unsigned char id[2][8];
	char text[2][24];
	struct value v[2][2];
	struct event_row row = {0};

	if (op->op != EVENT_INSERT)
		row_of(&op->before, id[0], text[0], v[0], &row.before);
	if (op->op != EVENT_DELETE)
		row_of(&op->after, id[1], text[1], v[1], &row.after);
	if (s->tables[op->table] == NULL) {
		struct table *t = model_schema(s->model, op->table);

		s->tables[op->table] = feed_table(s->env.feed, t);
		table_free(t);
	}
	if (!feed_wants(s->env.feed, s->tables[op->table]))
		return RC_OK;
	return feed_row(s->env.feed, s->tables[op->table], op->op, &row, e);
}

static enum rc
stream_one(struct fake_source *s, struct err *e)
{
	struct event_commit c;
	char text[40];
	enum rc rc = feed_begin(s->env.feed, log_end(s->model->at), e);

	if (rc != RC_OK)
		return rc;
	pthread_mutex_lock(&s->lock);
	model_step(s->model);
	pthread_mutex_unlock(&s->lock);
	for (uint32_t i = 0; i < s->model->nops && rc == RC_OK; i++)
		rc = feed_op(s, &s->model->ops[i], e);
	if (rc != RC_OK) {
		feed_abandon(s->env.feed, NULL);
		return rc;
	}
	commit_of(s, &c, text);
	return feed_commit(s->env.feed, &c, e);
}

static void
nap(uint64_t us)
{
	struct timespec t = {
		.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static enum rc
idle(struct fake_source *s, struct err *e)
{
	struct event_commit c;
	char text[40];

	atomic_store(&s->env.stats[STAT_CAUGHT_UP], s->model->at >= s->transactions);
	commit_of(s, &c, text);
	c.at = log_end(s->model->at);
	return feed_idle(s->env.feed, &c, e);
}

static enum rc
fake_stream(struct source *base, const char *resume, const char *applied, struct err *e)
{
	struct fake_source *s = (struct fake_source *)base;
	uint64_t from = 0;
	enum rc rc;

	(void)resume;
	if (sscanf(applied, "txn=%" SCNu64, &from) != 1)
		return err_set(
			e, RC_CONFIG, "the position \"%s\" is not one of a fake source", applied);
	model_forward(s, from);
	rc = idle(s, e);
	while (rc == RC_OK && !s->woken) {
		if (s->model->at < s->transactions) {
			rc = stream_one(s, e);
			if (s->rate != 0)
				nap(1000000 / s->rate);
		} else {
			rc = idle(s, e);
			nap(IDLE_MS * 1000);
		}
	}
	return rc == RC_OK ? RC_AGAIN : rc;
}

static void
fake_wake(struct source *base)
{
	((struct fake_source *)base)->woken = true;
}

/* ---- lanes ---- */

static enum rc
fake_lane_open(struct source *s, struct source_lane **out, struct err *e)
{
	struct fake_lane *l = xcalloc(1, sizeof *l);

	(void)e;
	l->base.source = s;
	*out = &l->base;
	return RC_OK;
}

static void
fake_lane_end(struct source_lane *base)
{
	struct fake_lane *l = (struct fake_lane *)base;

	model_free(l->snapshot);
	l->snapshot = NULL;
}

static void
fake_lane_close(struct source_lane *base)
{
	fake_lane_end(base);
	free(base);
}

static int
by_id(const void *a, const void *b)
{
	const struct fake_row *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int64_t
bound(const struct buf *b, int64_t open)
{
	return b->len == 8 ? (int64_t)get_u64(b->data) : open;
}

static enum rc
fake_lane_bound(struct source_lane *base, const struct table *t, const struct buf *lo,
	uint64_t rows, struct buf *hi, bool *last, struct err *e)
{
	struct fake_source *s = (struct fake_source *)base->source;
	struct fake_table *f;
	struct model *m;
	uint64_t n = 0;

	(void)e;
	pthread_mutex_lock(&s->lock);
	m = model_copy(s->model);
	pthread_mutex_unlock(&s->lock);
	f = &m->tables[model_find(m, t->name)];
	qsort(f->rows, f->count, sizeof *f->rows, by_id);
	*last = true;
	for (uint32_t i = 0; i < f->count; i++)
		if (f->rows[i].id > bound(lo, INT64_MIN) && ++n == rows) {
			buf_u64(hi, (uint64_t)f->rows[i].id);
			*last = i + 1 == f->count;
			break;
		}
	model_free(m);
	return RC_OK;
}

static enum rc
fake_lane_snapshot(struct source_lane *base, const struct snapshot_request *req,
	struct logpos *high, struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;
	struct fake_source *s = (struct fake_source *)base->source;

	(void)e;
	if (req->mode == SNAPSHOT_EXACT)
		req->armed(req->arg);
	pthread_mutex_lock(&s->lock);
	l->snapshot = model_copy(s->model);
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < AHEAD && l->snapshot->at < s->transactions; i++)
		model_step(l->snapshot);
	*high = log_end(l->snapshot->at);
	return RC_OK;
}

static enum rc
fake_lane_read(struct source_lane *base, const struct read_request *req, row_cb cb, void *arg,
	struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;
	const struct fake_table *f =
		&l->snapshot->tables[model_find(l->snapshot, req->table->name)];
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < f->count && rc == RC_OK; i++) {
		unsigned char id[8];
		char text[24];
		struct value v[2];
		struct row row;

		if (f->keyed && (f->rows[i].id <= bound(req->lo, INT64_MIN) ||
					f->rows[i].id > bound(req->hi, INT64_MAX)))
			continue;
		row_of(&f->rows[i], id, text, v, &row);
		rc = cb(arg, &row, e);
	}
	return rc;
}

const struct source_ops fake_source_ops = {
	.kind = "fake",
	.create = fake_create,
	.free = fake_free,
	.check = fake_check,
	.identify = fake_identify,
	.take_over = fake_take_over,
	.tip = fake_tip,
	.catalog = fake_catalog,
	.stream = fake_stream,
	.wake = fake_wake,
	.verify = source_without_filters,
	.compare = source_compares_nothing,
	.lane_open = fake_lane_open,
	.lane_close = fake_lane_close,
	.lane_bound = fake_lane_bound,
	.lane_snapshot = fake_lane_snapshot,
	.lane_read = fake_lane_read,
	.lane_end = fake_lane_end,
};
