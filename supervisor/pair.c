/* pair.c - see pair.h. */
#include "common/compat.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/mem.h"
#include "ipc/ring.h"
#include "supervisor/pair.h"
#include "supervisor/pair_private.h"

#define TICK_MS 100
/* A worker ends within two seconds of STOP by itself (ipc/worker.h). */
#define STOP_BOUND_US 4000000u
/* A tick later than this was missed. */
#define OVERSLEPT_US (3 * TICK_MS * 1000u)

static const char *const phase_names[PHASE_COUNT] = {
#define X(symbol, name) [PHASE_##symbol] = (name),
	PAIR_PHASE_LIST(X)
#undef X
};

static void on_gone(void *arg, struct worker_end *w);

static const struct end_ops end_ops = {
	.message = pair_on_message, .reported = pair_on_reported, .gone = on_gone};

const char *
pair_phase_name(enum pair_phase phase)
{
	return phase < PHASE_COUNT ? phase_names[phase] : "unknown";
}

enum pair_kind
pair_kind(const struct pair *p)
{
	return p->spec.kind;
}

enum pair_phase
pair_phase(const struct pair *p)
{
	return p->phase;
}

pid_t
pair_pid(const struct pair *p, enum end_role role)
{
	return p->ends[role].live ? child_pid(p->ends[role].child) : 0;
}

void
pair_enter(struct pair *p, enum pair_phase phase, uint64_t bound_us)
{
	log_debug("channel \"%s\": generation %u is %s", p->spec.channel, p->spec.generation,
		phase_names[phase]);
	p->phase = phase;
	p->bound_us = bound_us;
	p->deadline_us = bound_us != 0 ? mono_us() + bound_us : 0;
}

/* ---- the end ---- */

void
pair_stop(struct pair *p)
{
	if (p->phase == PHASE_ENDING)
		return;
	pair_enter(p, PHASE_ENDING, STOP_BOUND_US);
	for (int i = 0; i < END_COUNT; i++)
		end_send(&p->ends[i], MSG_STOP, NULL);
}

/* The gravest failure is the pair's: one that no restart heals beats one that a restart does. */
static void
fail(struct pair *p, const struct err *e, int status, int signal)
{
	struct pair_result *r = &p->result;
	bool first = r->err.rc == RC_OK;
	bool graver = !first && (r->signal != 0 || exit_restarts(r->status)) && signal == 0 &&
		      !exit_restarts(status) && status != 0;

	if (first || graver) {
		r->err = *e;
		r->status = status;
		r->signal = signal;
	}
	/* What ended the reader may be who has taken the channel: then we must not come back. */
	if (first && p->spec.kind == PAIR_RUN)
		end_send(&p->ends[END_WRITER], MSG_WHOSE, NULL);
	pair_stop(p);
}

static void fail_hung(struct pair *p, struct worker_end *w, const char *fmt, ...) PRINTF(3, 4);

static void
fail_hung(struct pair *p, struct worker_end *w, const char *fmt, ...)
{
	char text[256];
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_set(&e, RC_RETRY, "the %s %s", end_role_name(w->role), text);
	end_blame(w, &e);
	fail(p, &e, rc_exit(RC_RETRY), SIGKILL);
	end_kill(w);
}

/* The status decides the class; the worker's own words give the reason. */
static void
judge_death(struct pair *p, struct worker_end *w)
{
	char how[128];
	struct err e;

	if (w->end.signal == 0 && w->end.status == 0 && !w->failed &&
		(p->phase == PHASE_ENDING || w->answered))
		return;
	child_describe(&w->end, how, sizeof how);
	if (w->failed) {
		e = w->failure;
		if (w->end.signal == 0 && w->end.status != 0)
			e.rc = exit_rc(w->end.status);
	} else if (p->phase == PHASE_ENDING && w->end.signal != 0) {
		p->result.killed = true; /* asked to end, and too slow: its last commit stands */
		return;
	} else {
		err_set(&e, w->end.signal != 0 ? RC_RETRY : exit_rc(w->end.status), "the %s %s%s",
			end_role_name(w->role), how, w->ready ? "" : " before it was ready");
		if (e.rc == RC_OK)
			e.rc = RC_BUG;
		err_remedy(&e, "its last lines in the log say more");
	}
	fail(p, &e, w->end.status, w->end.signal);
}

static void
merge_checks(struct pair *p, struct checks *all)
{
	struct buf sql;

	checks_init(all);
	buf_init(&sql);
	for (int i = 0; i < END_COUNT; i++) {
		struct checks *c = &p->checks[i];

		all->items =
			xreallocarray(all->items, all->count + c->count + 1, sizeof *all->items);
		if (c->count != 0)
			memcpy(all->items + all->count, c->items, c->count * sizeof *c->items);
		all->count += c->count;
		c->count = 0; /* the items have moved */
		if (c->sql != NULL)
			buf_puts(&sql, c->sql);
		checks_release(c);
	}
	if (sql.len != 0)
		all->sql = xstrdup(buf_text(&sql));
	buf_release(&sql);
}

static void
finish(struct pair *p)
{
	struct pair_result r = p->result;
	const struct pair_ops *ops = p->spec.ops;
	void *arg = p->spec.arg;

	r.kind = p->spec.kind;
	if (p->flowing_us != 0)
		r.flowed_ms = (mono_us() - p->flowing_us) / 1000;
	r.ready = true;
	for (int i = 0; i < END_COUNT; i++)
		if (p->uses[i] && !p->ends[i].ready)
			r.ready = false;
	if (r.kind == PAIR_TELL && r.killed && r.err.rc == RC_OK) {
		err_set(&r.err, RC_RETRY,
			"the writer had to be killed; whether the target knows the wish is not "
			"known");
		r.signal = SIGKILL;
		r.answered = false;
	}
	merge_checks(p, &r.checks);
	pair_free(p);
	ops->ended(arg, &r);
	checks_release(&r.checks);
}

static void
on_gone(void *arg, struct worker_end *w)
{
	struct pair *p = arg;

	judge_death(p, w);
	for (int i = 0; i < END_COUNT; i++)
		if (p->ends[i].live)
			return;
	finish(p);
}

/* ---- time ---- */

static bool
is_hung(const struct pair *p, const struct worker_end *w, uint64_t now)
{
	bool busy = w->role == END_WRITER && w->stats[STAT_BUSY_US] != 0;

	return w->live && w->ready && !busy && p->phase != PHASE_WORKING &&
	       p->phase != PHASE_ENDING && now - w->heard_us > p->spec.heartbeat_ms * 1000;
}

/* Whose turn it is in this phase. */
static struct worker_end *
awaited(struct pair *p)
{
	if (p->phase == PHASE_OPENING_TARGET || p->phase == PHASE_DRAINING_TARGET)
		return &p->ends[END_WRITER];
	if (p->phase == PHASE_OPENING_SOURCE || p->phase == PHASE_DRAINING_SOURCE)
		return &p->ends[END_READER];
	for (int i = 0; i < END_COUNT; i++)
		if (p->uses[i] &&
			(p->phase == PHASE_STARTING ? !p->ends[i].ready : !p->ends[i].answered))
			return &p->ends[i];
	return &p->ends[END_WRITER];
}

static void
on_deadline(struct pair *p)
{
	switch (p->phase) {
	case PHASE_DRAINING_SOURCE:
	case PHASE_DRAINING_TARGET:
		log_warn("channel \"%s\": the drain took longer than drain_timeout (%llu ms): it "
			 "ends at the last commit",
			p->spec.channel, (unsigned long long)p->spec.drain_ms);
		pair_stop(p);
		break;
	case PHASE_ENDING:
		p->deadline_us = 0;
		for (int i = 0; i < END_COUNT; i++)
			end_kill(&p->ends[i]);
		break;
	case PHASE_STARTING:
	case PHASE_OPENING_TARGET:
	case PHASE_OPENING_SOURCE:
	case PHASE_WORKING:
		fail_hung(p, awaited(p), "was still %s after %llu ms", phase_names[p->phase],
			(unsigned long long)(p->bound_us / 1000));
		break;
	case PHASE_FLOWING:
	case PHASE_COUNT:
	default:
		break;
	}
}

/* While we do not run ourselves - frozen, or on a host that has no time for us - nobody is late. */
static uint64_t
not_run_us(const struct pair *p, uint64_t now)
{
	uint64_t since = p->ticked_us != 0 ? now - p->ticked_us : 0;

	return since > OVERSLEPT_US ? since - TICK_MS * 1000 : 0;
}

static void
on_tick(void *arg)
{
	struct pair *p = arg;
	uint64_t now = mono_us(), lost = not_run_us(p, now);

	p->ticked_us = now;
	for (int i = 0; i < END_COUNT; i++) {
		struct worker_end *w = &p->ends[i];

		w->heard_us = now - w->heard_us > lost ? w->heard_us + lost : now;
		if (is_hung(p, w, now))
			fail_hung(p, w, "has reported nothing for %llu ms and was killed",
				(unsigned long long)p->spec.heartbeat_ms);
	}
	if (p->deadline_us != 0)
		p->deadline_us += lost;
	if (p->deadline_us != 0 && now > p->deadline_us)
		on_deadline(p);
}

/* ---- the start ---- */

static enum rc
make_rings(struct ring_fds *rings, uint32_t n, const struct conf *c, struct err *e)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t size = conf_size(c, i == 0 ? "ring_size" : "load_ring_size");
		enum rc rc = ring_create(&rings[i], (size_t)size, e);

		if (rc != RC_OK) {
			while (i-- > 0)
				ring_fds_close(&rings[i]);
			return rc;
		}
	}
	return RC_OK;
}

static void
send_config(struct worker_end *w, const struct conf *c)
{
	struct buf b;

	buf_init(&b);
	conf_encode(c, w->role == END_READER ? "target" : "source", &b);
	end_send(w, MSG_CONFIG, &b);
	/* Credentials leave no copy behind; the socket's buffer is the other side's. */
	memset(b.data, 0, b.len);
	buf_release(&b);
	FAILPOINT(SUPERVISOR_CONFIG);
}

static enum rc
start_ends(struct pair *p, const struct ring_fds *rings, uint32_t nrings, struct err *e)
{
	int fds[(1 + PROTO_MAX_LANES) * RING_FD_COUNT];
	struct end_spec spec = {.libexec = p->spec.libexec,
		.channel = p->spec.channel,
		.generation = p->spec.generation,
		.rings = fds,
		.nrings = (size_t)nrings * RING_FD_COUNT,
		.log = p->spec.log};

	for (uint32_t i = 0; i < nrings; i++)
		memcpy(fds + (size_t)i * RING_FD_COUNT, rings[i].fd, sizeof rings[i].fd);
	for (enum end_role i = 0; i < END_COUNT; i++) {
		enum rc rc;

		if (!p->uses[i])
			continue;
		rc = end_start(&p->ends[i], i, p->spec.loop, &spec, &end_ops, p, e);
		if (rc != RC_OK)
			return rc;
		send_config(&p->ends[i], p->spec.conf);
	}
	return RC_OK;
}

static uint32_t
count_rings(const struct pair_spec *s)
{
	int64_t lanes = conf_int(s->conf, "lanes");

	if (s->kind != PAIR_RUN && s->kind != PAIR_TELL)
		return 0;
	return 1 + (uint32_t)(lanes > PROTO_MAX_LANES ? PROTO_MAX_LANES : lanes);
}

enum rc
pair_start(const struct pair_spec *spec, struct pair **out, struct err *e)
{
	struct ring_fds rings[1 + PROTO_MAX_LANES];
	uint32_t nrings = count_rings(spec);
	struct pair *p;
	enum rc rc = make_rings(rings, nrings, spec->conf, e);

	if (rc != RC_OK)
		return rc;
	p = xcalloc(1, sizeof *p);
	p->spec = *spec;
	p->wish = spec->wish != NULL ? xstrdup(spec->wish) : NULL;
	for (int i = 0; i < END_COUNT; i++)
		p->ends[i].control = -1;
	p->uses[END_WRITER] = true;
	p->uses[END_READER] = spec->kind == PAIR_RUN || spec->kind == PAIR_CHECK || spec->leaves;
	rc = start_ends(p, rings, nrings, e);
	for (uint32_t i = 0; i < nrings; i++)
		ring_fds_close(&rings[i]);
	p->spec.conf = NULL;
	if (rc != RC_OK) {
		pair_free(p);
		return rc;
	}
	p->tick = timer_new(spec->loop, on_tick, p);
	timer_every(p->tick, TICK_MS);
	pair_enter(p, PHASE_STARTING, spec->start_ms * 1000);
	*out = p;
	return RC_OK;
}

void
pair_drain(struct pair *p)
{
	if (p->phase == PHASE_DRAINING_SOURCE || p->phase == PHASE_DRAINING_TARGET)
		return;
	if (p->phase != PHASE_FLOWING || p->spec.drain_ms == 0) {
		pair_stop(p);
		return;
	}
	pair_enter(p, PHASE_DRAINING_SOURCE, p->spec.drain_ms * 1000);
	FAILPOINT(SUPERVISOR_DRAIN);
	end_send(&p->ends[END_READER], MSG_DRAIN, NULL);
}

bool
pair_tell(struct pair *p, const char *wish)
{
	if (p->spec.kind != PAIR_RUN || p->phase != PHASE_FLOWING)
		return false;
	pair_send_wish(p, wish);
	return true;
}

void
pair_relevel(struct pair *p, enum log_level level)
{
	struct buf b;

	p->spec.level = level;
	buf_init(&b);
	buf_u8(&b, (uint8_t)level);
	buf_u8(&b, log_is_json());
	for (int i = 0; i < END_COUNT; i++)
		if (p->ends[i].ready)
			end_send(&p->ends[i], MSG_RELEVEL, &b);
	buf_release(&b);
}

void
pair_free(struct pair *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < END_COUNT; i++) {
		if (p->uses[i])
			end_release(&p->ends[i]);
		checks_release(&p->checks[i]);
	}
	timer_free(p->tick);
	free(p->wish);
	free(p);
}
