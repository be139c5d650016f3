/*
 * main.c - syncline-writer: rings, applied to one target.
 *
 * Threads: the main one speaks with the supervisor; an opening thread takes
 * the channel over at the target; then apply.h's.
 */
#include "common/compat.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "workers/writer/apply.h"
#include "workers/writer/sink.h"

struct writer {
	struct worker *worker;
	struct routes *routes;
	struct sink *sink;
	struct resume resume;
	struct apply *_Atomic apply; /* set by the opening thread */
	pthread_t opening;
	bool opened;
};

static enum rc
create_sink(struct worker *w, struct writer *wr, struct err *e)
{
	const char *kind = conf_str(w->conf, "target.kind");
	const struct sink_ops *ops = sink_find(kind);
	struct sink_env env = {.conf = w->conf,
		.channel = w->channel,
		.nlanes = w->nlanes,
		.stop = &w->stopping,
		.stats = w->stats,
		.found = &w->found};
	enum rc rc;

	if (ops == NULL)
		return err_set(e, RC_CONFIG, "target.kind \"%s\" is not known", kind);
	if ((rc = routes_new(w->conf, &wr->routes, e)) != RC_OK)
		return rc;
	env.routes = wr->routes;
	losses_init(&env.losses, w->conf);
	return ops->create(&env, &wr->sink, e);
}

static void *
open_target(void *arg)
{
	struct writer *wr = arg;
	struct worker *w = wr->worker;
	struct err e = {0};
	uint64_t turn = 0;
	enum rc rc;

	resume_init(&wr->resume);
	rc = create_sink(w, wr, &e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_OPEN, &e);
	if (rc == RC_OK)
		rc = wr->sink->ops->open(wr->sink, &wr->resume, &turn, &e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_RESUME, &e);
	if (rc != RC_OK) {
		worker_fail(w, &e);
		return NULL;
	}
	atomic_store(&wr->apply, apply_start(w, wr->sink, wr->routes, &wr->resume, turn));
	worker_opened(w, &wr->resume);
	return NULL;
}

static enum rc
start(struct worker *w, const struct resume *r, struct err *e)
{
	struct writer *wr = xcalloc(1, sizeof *wr);

	(void)r;
	w->state = wr;
	wr->worker = w;
	wr->opened = true;
	if (pthread_create(&wr->opening, NULL, open_target, wr) != 0)
		return err_errno(e, RC_RETRY, "cannot start a thread");
	return RC_OK;
}

static void
drain(struct worker *w)
{
	struct writer *wr = w->state;

	if (wr != NULL && wr->apply != NULL)
		apply_drain(wr->apply);
	else
		worker_drained(w);
}

static void
stop(struct worker *w)
{
	struct writer *wr = w->state;

	if (wr == NULL || !wr->opened)
		return;
	wr->opened = false;
	pthread_join(wr->opening, NULL);
	apply_stop(wr->apply);
	if (wr->sink != NULL)
		wr->sink->ops->free(wr->sink);
	routes_free(wr->routes);
	resume_release(&wr->resume);
}

static void
tick(struct worker *w)
{
	struct writer *wr = w->state;

	if (wr != NULL && wr->apply != NULL)
		apply_tick(wr->apply);
}

static enum rc
check(struct worker *w, bool want_sql, struct checks *out, struct err *e)
{
	struct writer wr = {.worker = w};
	enum rc rc = create_sink(w, &wr, e);

	if (rc == RC_OK)
		rc = wr.sink->ops->check(wr.sink, want_sql, out, e);
	if (wr.sink != NULL)
		wr.sink->ops->free(wr.sink);
	routes_free(wr.routes);
	return rc;
}

static enum rc
wish(struct worker *w, const char *text, struct err *e)
{
	struct writer *wr = w->state;
	enum rc rc;

	if (wr == NULL || wr->apply == NULL)
		return RC_OK;
	apply_lock_sink(wr->apply);
	FAILPOINT(WRITER_WISH);
	rc = wr->sink->ops->wish(wr->sink, text, e);
	FAILPOINT(WRITER_WISHED);
	apply_unlock_sink(wr->apply);
	return rc;
}

/* A reader whose log was taken from it learns that and no more. */
static enum rc
confirm(struct worker *w, struct err *e)
{
	struct writer *wr = w->state;
	struct err why;

	if (wr == NULL || wr->apply == NULL || wr->sink->ops->confirm(wr->sink, &why) != RC_FENCED)
		return RC_OK;
	*e = why;
	return RC_FENCED;
}

/* Reset: the supervisor sends it to a writer that was never started. */
static enum rc
clear(struct worker *w, struct err *e)
{
	struct writer wr = {.worker = w};
	enum rc rc = create_sink(w, &wr, e);

	if (rc == RC_OK)
		rc = wr.sink->ops->clear(wr.sink, e);
	if (wr.sink != NULL)
		wr.sink->ops->free(wr.sink);
	routes_free(wr.routes);
	return rc;
}

static const struct worker_ops ops = {
	.role = "writer",
	.side = RING_CONSUMER,
	.start = start,
	.drain = drain,
	.stop = stop,
	.check = check,
	.wish = wish,
	.confirm = confirm,
	.clear = clear,
	.tick = tick,
};

int
main(int argc, char **argv)
{
	return worker_main(argc, argv, &ops);
}
