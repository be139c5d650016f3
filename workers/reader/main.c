/*
 * main.c - syncline-reader: one source, read into rings.
 *
 * Threads: the main one speaks with the supervisor; the log thread opens the
 * source and streams its log into the feed; lanes load tables (load.h).
 */
#include "common/compat.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "ipc/frame.h"
#include "ipc/proto.h"
#include "workers/reader/load.h"
#include "workers/reader/place.h"
#include "workers/reader/source.h"

struct reader {
	struct worker *worker;
	struct routes *routes;
	struct feed *feed;
	struct source *source;
	struct load *load;
	struct resume resume;
	pthread_t log_thread;
	pthread_t drain_thread;
	bool streaming;
};

static enum rc
create_source(struct worker *w, struct reader *r, struct err *e)
{
	const char *kind = conf_str(w->conf, "source.kind");
	const struct source_ops *ops = source_find(kind);
	struct source_env env = {.conf = w->conf,
		.feed = r->feed,
		.stop = &w->stopping,
		.stats = w->stats,
		.channel = w->channel,
		.resume = r->feed != NULL ? &r->resume : NULL};
	enum rc rc;

	if (ops == NULL)
		return err_set(e, RC_CONFIG, "source.kind \"%s\" is not known", kind);
	if (r->routes == NULL && (rc = routes_new(w->conf, &r->routes, e)) != RC_OK)
		return rc;
	env.routes = r->routes;
	return ops->create(&env, &r->source, e);
}

/* A text that is replaced. */
static void
set(char **to, char *text)
{
	free(*to);
	*to = text;
}

/* A channel's first position, or its first at another server, goes to the target before anything
 * else. */
static enum rc
say_start(struct reader *r, const char *id, struct logpos at, struct err *e)
{
	struct event ev = {.kind = EVENT_START};

	ev.commit = (struct event_commit){
		.at = at,
		.time_us = now_us(),
		.read_us = now_us(),
		.txid = "",
		.origin = id,
		.applied = r->resume.applied,
		.resume = r->resume.resume,
	};
	if (frame_put(r->worker->rings[0], &ev, &r->worker->stopping) != RC_OK)
		return err_set(e, RC_BUG, "cannot put the first position into an empty ring");
	ring_publish(r->worker->rings[0]);
	FAILPOINT(READER_FIRST);
	return RC_OK;
}

static enum rc
begin_channel(struct reader *r, const char *id, struct err *e)
{
	struct logpos at;
	char *position;
	enum rc rc = r->source->ops->tip(r->source, &position, &at, e);

	if (rc != RC_OK)
		return rc;
	FAILPOINT(READER_TIP);
	set(&r->resume.applied, position);
	set(&r->resume.resume, xstrdup(position));
	if ((rc = say_start(r, id, at, e)) != RC_OK)
		return rc;
	feed_set_position(r->feed, at, position);
	log_info("%s at %s", r->resume.fresh ? "a new channel starts" : "the load begins again",
		position);
	return RC_OK;
}

/* snapshot = "held": it went with the reader that had it. */
static bool
begins_again(const struct reader *r)
{
	return !r->resume.fresh && conf_is(r->worker->conf, "snapshot", "held") &&
	       conf_has_word(r->worker->conf, "initial", "data") &&
	       resume_find(&r->resume, INITIAL_MARK, INITIAL_MARK) == NULL;
}

static enum rc
take_over(struct reader *r, const char *id, struct err *e)
{
	char *applied = NULL, *resume = NULL;
	enum rc rc = r->source->ops->take_over(r->source, r->resume.applied, &applied, e);

	if (rc == RC_OK)
		rc = r->source->ops->take_over(r->source, r->resume.resume, &resume, e);
	if (rc != RC_OK) {
		free(applied);
		err_context(e,
			"the source is another server: its identity is %s, the channel "
			"\"%s\" was begun with %s",
			id, r->worker->channel, r->resume.source_id);
		return rc;
	}
	log_info("the source is another server: %s goes on from %s at %s", id, r->resume.source_id,
		r->resume.applied);
	set(&r->resume.applied, applied);
	set(&r->resume.resume, resume);
	return say_start(r, id, (struct logpos){0}, e);
}

static enum rc
check_identity(struct reader *r, const char *id, struct err *e)
{
	if (r->resume.source_id == NULL || *r->resume.source_id == '\0' ||
		strcmp(r->resume.source_id, id) == 0)
		return RC_OK;
	return take_over(r, id, e);
}

static enum rc
read_catalog(void *arg, struct err *e)
{
	struct reader *r = arg;
	struct catalog c;
	struct logpos high;
	enum rc rc;

	catalog_init(&c);
	rc = r->source->ops->catalog(r->source, &c, &high, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_CATALOG, e);
	if (rc == RC_OK)
		feed_set_initial(r->feed, &c, high);
	catalog_release(&c);
	return rc;
}

/* What the target knows of tables is of a log that is not read any more. */
static void
forget_tables(struct resume *r)
{
	struct resume gone = {.tables = r->tables, .ntables = r->ntables};

	r->tables = NULL;
	r->ntables = 0;
	resume_release(&gone);
}

/* Tables that have come into the selection while nobody looked: `objects` has grown, or their
 * statements were not in the log. */
static enum rc
let_join(struct reader *r, struct err *e)
{
	struct table_list list = {0};
	enum rc rc = RC_OK;

	if (r->source->ops->newcomers != NULL)
		rc = r->source->ops->newcomers(r->source, &list, e);
	for (size_t i = 0; i < list.count && rc == RC_OK; i++) {
		const struct table *t = list.tables[i];

		log_info("%s.%s is selected and new to the channel: it comes in from here on",
			t->db, t->name);
		feed_register(r->feed, t, TABLE_WAITING);
	}
	if (rc == RC_OK && list.count != 0)
		rc = read_catalog(r, e);
	table_list_release(&list);
	return rc;
}

/* The catalog is read when the target does not have all of the initial schema yet. */
static enum rc
open_catalog(struct reader *r, bool again, struct err *e)
{
	enum rc rc;

	if (again) {
		if ((rc = feed_begin_again(r->feed)) != RC_OK)
			return rc;
		forget_tables(&r->resume);
	}
	if (resume_find(&r->resume, INITIAL_MARK, INITIAL_MARK) == NULL)
		return read_catalog(r, e);
	rc = feed_initial_done(r->feed);
	return rc == RC_OK ? let_join(r, e) : rc;
}

static enum rc
register_tables(struct reader *r, bool again, struct err *e)
{
	for (uint32_t i = 0; i < r->resume.ntables; i++) {
		const struct resume_table *t = &r->resume.tables[i];
		struct table *table;
		struct cursor c;
		enum rc rc;

		if (t->schema.len == 0 || *t->name == '\0')
			continue;
		cursor_init(&c, t->schema.data, t->schema.len);
		if ((rc = table_decode(&c, &table, e)) != RC_OK)
			return rc;
		if (!routes_table(r->routes, t->db, t->name))
			feed_register_left(r->feed, table);
		else
			/* A committed chunk says that the load has begun, whatever its state row
			 * had time to say. */
			feed_register(r->feed, table,
				again					      ? TABLE_RELOAD
				: t->state == TABLE_SCHEMA && t->nchunks != 0 ? TABLE_LOADING
									      : t->state);
		table_free(table);
	}
	return RC_OK;
}

static enum rc
compare(void *arg, const struct column *c, const struct value *v, const char *literal, int *order,
	struct err *e)
{
	struct reader *r = arg;

	return r->source->ops->compare(r->source, c, v, literal, order, e);
}

static enum rc
verify(void *arg, const struct filter *where, struct err *e)
{
	struct reader *r = arg;

	return r->source->ops->verify(r->source, where, e);
}

static enum rc
open_source(struct reader *r, struct err *e)
{
	bool again = begins_again(r);
	char *id = NULL;
	enum rc rc = FAILPOINT_LOST(READER_OPEN, e);

	if (rc == RC_OK)
		rc = r->source->ops->identify(r->source, &id, e);
	if (rc == RC_OK)
		rc = r->resume.fresh || again ? begin_channel(r, id, e) : check_identity(r, id, e);
	if (rc == RC_OK && !r->resume.fresh && !again)
		feed_set_position(r->feed, (struct logpos){0}, r->resume.applied);
	if (rc == RC_OK)
		rc = register_tables(r, again, e);
	if (rc == RC_OK)
		rc = open_catalog(r, again, e);
	if (rc == RC_OK)
		rc = feed_check_filters(r->feed, verify, r, e);
	free(id);
	return rc;
}

static void *
run_log(void *arg)
{
	struct reader *r = arg;
	struct worker *w = r->worker;
	struct err e = {0};
	enum rc rc = open_source(r, &e);

	if (rc == RC_OK) {
		worker_opened(w, NULL);
		r->load = load_start(w, r->source, r->feed, &r->resume);
		rc = r->source->ops->stream(r->source, r->resume.resume, r->resume.applied, &e);
	}
	if (w->stopping || feed_draining(r->feed))
		return NULL;
	if (rc == RC_OK || rc == RC_AGAIN)
		err_set(&e, RC_RETRY, "the source's log ended unexpectedly");
	worker_fail(w, &e);
	return NULL;
}

static enum rc
start(struct worker *w, const struct resume *resume, struct err *e)
{
	struct reader *r = xcalloc(1, sizeof *r);
	struct cursor c;
	struct buf b;
	enum rc rc;

	w->state = r;
	r->worker = w;
	buf_init(&b);
	resume_encode(resume, &b);
	cursor_init(&c, b.data, b.len);
	rc = resume_decode(
		&c, &r->resume, e); /* a copy of our own, for as long as the reader lives */
	buf_release(&b);
	if (rc == RC_OK)
		rc = routes_new(w->conf, &r->routes, e);
	if (rc != RC_OK)
		return rc;
	r->feed = feed_new(w, r->routes, read_catalog, compare, r);
	/* Here and not in its thread: whoever ends us wakes it, also while it is being opened. */
	if ((rc = create_source(w, r, e)) != RC_OK)
		return rc;
	r->streaming = true;
	if (pthread_create(&r->log_thread, NULL, run_log, r) != 0)
		return err_errno(e, RC_RETRY, "cannot start the log thread");
	return RC_OK;
}

static void
join(struct reader *r)
{
	if (!r->streaming)
		return;
	r->streaming = false;
	if (r->source != NULL)
		r->source->ops->wake(r->source);
	pthread_join(r->log_thread, NULL);
	load_stop(r->load);
	r->load = NULL;
	if (r->source != NULL)
		r->source->ops->free(r->source);
	r->source = NULL;
}

static void *
run_drain(void *arg)
{
	struct reader *r = arg;

	join(r);
	FAILPOINT(READER_DRAIN);
	ring_publish(r->worker->rings[0]);
	worker_drained(r->worker);
	return NULL;
}

/* Chunks that have their places are read to their ends: that takes a moment, so it gets a thread.
 */
static void
drain(struct worker *w)
{
	struct reader *r = w->state;

	if (r == NULL || r->feed == NULL) {
		worker_drained(w);
		return;
	}
	feed_drain(r->feed);
	if (pthread_create(&r->drain_thread, NULL, run_drain, r) != 0)
		bug("cannot start a thread");
	pthread_detach(r->drain_thread);
}

static void
stop(struct worker *w)
{
	struct reader *r = w->state;

	if (r == NULL || r->feed == NULL)
		return;
	feed_stop(r->feed);
	join(r);
}

static enum rc
check(struct worker *w, bool want_sql, struct checks *out, struct err *e)
{
	struct reader r = {.worker = w};
	enum rc rc = create_source(w, &r, e);

	if (rc == RC_OK)
		rc = r.source->ops->check(r.source, want_sql, out, e);
	if (rc == RC_OK && r.source->ops->verify == source_without_filters &&
		routes_where_any(r.routes))
		checks_add(out, CHECK_FAIL, "Data filter", "take `where` out of `objects`",
			"a source of kind \"%s\" carries no filters", r.source->ops->kind);
	if (r.source != NULL)
		r.source->ops->free(r.source);
	routes_free(r.routes);
	return rc;
}

/* Reset, and a stop for good: the supervisor sends it to a reader that was never started. */
static enum rc
clear(struct worker *w, struct err *e)
{
	struct reader r = {.worker = w};
	enum rc rc = create_source(w, &r, e);

	if (rc == RC_OK && r.source->ops->clear != NULL)
		rc = r.source->ops->clear(r.source, e);
	if (r.source != NULL)
		r.source->ops->free(r.source);
	routes_free(r.routes);
	return rc;
}

static const struct worker_ops ops = {
	.role = "reader",
	.side = RING_PRODUCER,
	.start = start,
	.drain = drain,
	.stop = stop,
	.check = check,
	.clear = clear,
};

int
main(int argc, char **argv)
{
	return worker_main(argc, argv, &ops);
}
