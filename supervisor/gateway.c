/* gateway.c - see gateway.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "supervisor/gateway.h"
#include "supervisor/runner.h"

#define SECONDS_PER_SAMPLE 10
#define SECONDS_PER_PRUNE 600

static bool
has_workers(const char *dir)
{
	char *reader = xasprintf("%s/syncline-reader", dir);
	bool found = access(reader, X_OK) == 0;

	free(reader);
	return found;
}

char *
worker_directory(const char *wanted)
{
	char self[4096];
	ssize_t n;
	char *slash;

	if (wanted == NULL)
		wanted = getenv("SYNCLINE_LIBEXEC");
	if (wanted != NULL && *wanted != '\0')
		return xstrdup(wanted);
	n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash != NULL)
			*slash = '\0';
		if (has_workers(self))
			return xstrdup(self);
	}
	return xstrdup(SYNCLINE_LIBEXEC);
}

static void
remove_runner(struct gateway *g, struct runner *r)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->runners[i] == r) {
			memmove(g->runners + i, g->runners + i + 1,
				(g->count - i - 1) * sizeof *g->runners);
			g->count--;
			return;
		}
}

static bool
all_idle(const struct gateway *g)
{
	for (size_t i = 0; i < g->count; i++)
		if (!runner_idle(g->runners[i]))
			return false;
	return true;
}

static void
free_runner_cb(void *arg)
{
	runner_free(arg);
}

void
gateway_rested(struct gateway *g, struct runner *r)
{
	if (r->leaving) {
		log_info(
			"channel \"%s\" has left, its file is gone: source and target keep what it "
			"needs to go on, such as log for a replication slot, until it comes back "
			"and is reset",
			r->id);
		remove_runner(g, r);
		loop_defer(g->loop, free_runner_cb, r);
	}
	if (g->stopping && all_idle(g) && g->on_idle != NULL)
		g->on_idle(g->arg);
}

static void
on_second(void *arg)
{
	struct gateway *g = arg;
	uint64_t now = now_us();
	bool sample = ++g->ticks % SECONDS_PER_SAMPLE == 0;

	store_begin(g->store);
	for (size_t i = 0; i < g->count; i++)
		runner_tick(g->runners[i], now, sample);
	if (g->ticks % SECONDS_PER_PRUNE == 1)
		store_prune(g->store, now - conf_ms(g->conf, "history") * 1000);
	store_commit(g->store);
	if (g->on_second != NULL)
		g->on_second(g->arg);
}

enum rc
gateway_new(struct loop *l, struct conf *conf, const char *libexec, int worker_log,
	struct gateway **out, struct err *e)
{
	struct store *store;
	struct gateway *g;
	enum rc rc = store_open(conf_str(conf, "state_dir"), &store, e);

	if (rc != RC_OK)
		return rc;
	g = xcalloc(1, sizeof *g);
	g->loop = l;
	g->store = store;
	g->conf = conf;
	g->libexec = worker_directory(libexec != NULL ? libexec : conf_str(conf, "libexec_dir"));
	g->worker_log = worker_log;
	g->started_us = now_us();
	g->second = timer_new(l, on_second, g);
	timer_every(g->second, 1000);
	*out = g;
	return RC_OK;
}

void
gateway_free(struct gateway *g)
{
	if (g == NULL)
		return;
	timer_free(g->second);
	store_begin(g->store);
	for (size_t i = 0; i < g->count; i++) {
		runner_tick(g->runners[i], now_us(), false);
		runner_free(g->runners[i]);
	}
	store_commit(g->store);
	store_close(g->store);
	conf_free(g->conf);
	free(g->libexec);
	free(g->runners);
	free(g);
}

/* In order of their names, as people list them. */
struct runner *
gateway_add(struct gateway *g, const char *id, const char *file, struct conf *conf)
{
	struct runner *r = runner_new(g, id, file, conf);
	size_t i = 0;

	g->runners = xreallocarray(g->runners, g->count + 1, sizeof *g->runners);
	while (i < g->count && strcmp(g->runners[i]->id, id) < 0)
		i++;
	memmove(g->runners + i + 1, g->runners + i, (g->count - i) * sizeof *g->runners);
	g->runners[i] = r;
	g->count++;
	return r;
}

struct runner *
gateway_find(const struct gateway *g, const char *id)
{
	for (size_t i = 0; i < g->count; i++)
		if (strcmp(g->runners[i]->id, id) == 0)
			return g->runners[i];
	return NULL;
}

void
gateway_stop(struct gateway *g, bool now)
{
	g->stopping = true;
	for (size_t i = g->count; i-- > 0;)
		runner_rest(g->runners[i], now);
	if (all_idle(g) && g->on_idle != NULL)
		g->on_idle(g->arg);
}
