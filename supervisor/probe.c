/* probe.c - see probe.h. */
#include "common/compat.h"

#include <stdlib.h>

#include "common/mem.h"
#include "supervisor/probe.h"

struct probe {
	struct pair *pair;
	probe_cb cb;
	void *arg;
};

/* A pair in check mode opens nothing and says little. */
static bool
on_opened(void *arg, struct resume *r)
{
	(void)arg;
	(void)r;
	return false;
}

static void
on_flowing(void *arg)
{
	(void)arg;
}

static void
on_reported(void *arg, enum end_role role, const uint64_t *stats)
{
	(void)arg;
	(void)role;
	(void)stats;
}

static void
on_table(void *arg, const struct report_table *t)
{
	(void)arg;
	(void)t;
}

static void
on_conflict(void *arg, const struct report_conflict *c)
{
	(void)arg;
	(void)c;
}

static void
on_position(void *arg, const char *applied, uint64_t time_us)
{
	(void)arg;
	(void)applied;
	(void)time_us;
}

static void
on_ended(void *arg, const struct pair_result *r)
{
	struct probe *p = arg;
	probe_cb cb = p->cb;
	void *cb_arg = p->arg;
	struct err e = r->err;

	if (e.rc == RC_OK && !r->answered)
		err_set(&e, RC_BUG, "the precheck ended without an answer");
	free(p);
	cb(cb_arg, &r->checks, &e);
}

static const struct pair_ops ops = {.opened = on_opened,
	.flowing = on_flowing,
	.reported = on_reported,
	.table = on_table,
	.conflict = on_conflict,
	.position = on_position,
	.ended = on_ended};

enum rc
probe_start(const struct probe_spec *s, struct probe **out, struct err *e)
{
	struct probe *p = xcalloc(1, sizeof *p);
	struct pair_spec spec = {.loop = s->loop,
		.kind = PAIR_CHECK,
		.channel = s->channel,
		.conf = s->conf,
		.libexec = s->libexec,
		.log = s->log,
		.level = LOG_LVL_WARN,
		.start_ms = conf_ms(s->daemon, "start_timeout"),
		.heartbeat_ms = conf_ms(s->daemon, "heartbeat_timeout"),
		.want_sql = s->want_sql,
		.ops = &ops,
		.arg = p};
	enum rc rc;

	p->cb = s->cb;
	p->arg = s->arg;
	rc = pair_start(&spec, &p->pair, e);
	if (rc != RC_OK) {
		free(p);
		return rc;
	}
	*out = p;
	return RC_OK;
}

void
probe_free(struct probe *p)
{
	if (p == NULL)
		return;
	pair_free(p->pair);
	free(p);
}
