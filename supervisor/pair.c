/* pair.c - see pair.h. */
#include "common/compat.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "ipc/ring.h"
#include "supervisor/pair.h"

#define TICK_MS 100
/* A worker ends within two seconds of STOP by itself (ipc/worker.h). */
#define STOP_BOUND_US 4000000u
/* A check or a clear blocks its worker, so only this bounds it: so many times start_ms. */
#define WORK_FACTOR 5
/* A supervisor that was stopped itself blames nobody. */
#define OVERSLEPT_US 1500000u

static const char *const phase_names[PHASE_COUNT] = {
#define X(symbol, name) [PHASE_##symbol] = (name),
	PAIR_PHASE_LIST(X)
#undef X
};

struct pair {
	struct pair_spec spec; /* pointers in it are not followed after pair_start, but the loop's,
				  ops and arg; wish is a copy */
	char *wish;
	enum pair_phase phase;
	struct worker_end ends[END_COUNT];
	bool uses[END_COUNT]; /* this kind of pair has that end */
	struct timer *tick;
	uint64_t deadline_us; /* monotonic; of the phase; 0: none */
	uint64_t ticked_us;
	uint64_t flowing_us; /* since when the stream is open */
	struct pair_result result;
	struct checks checks[END_COUNT];
};

static bool on_message(void *arg, struct worker_end *w, struct msg *m);
static void on_reported(void *arg, struct worker_end *w);
static void on_gone(void *arg, struct worker_end *w);

static const struct end_ops end_ops = {
	.message = on_message, .reported = on_reported, .gone = on_gone};

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

static void
enter(struct pair *p, enum pair_phase phase, uint64_t bound_us)
{
	log_debug("channel \"%s\": generation %u is %s", p->spec.channel, p->spec.generation,
		phase_names[phase]);
	p->phase = phase;
	p->deadline_us = bound_us != 0 ? mono_us() + bound_us : 0;
}

/* ---- the end ---- */

void
pair_stop(struct pair *p)
{
	if (p->phase == PHASE_ENDING)
		return;
	enter(p, PHASE_ENDING, STOP_BOUND_US);
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
		return; /* asked to end, and too slow: its last commit stands */
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

/* ---- messages ---- */

static bool
all_ready(const struct pair *p)
{
	for (int i = 0; i < END_COUNT; i++)
		if (p->uses[i] && !p->ends[i].ready)
			return false;
	return true;
}

static void
send_check(struct pair *p)
{
	struct buf b;

	buf_init(&b);
	buf_u8(&b, p->spec.want_sql ? CHECK_SQL : 0);
	for (int i = 0; i < END_COUNT; i++)
		end_send(&p->ends[i], MSG_CHECK, &b);
	buf_release(&b);
}

static bool
take_ready(struct pair *p, struct worker_end *w, struct msg *m)
{
	uint32_t version = cursor_u32(&m->body);

	if (w->ready || !cursor_done(&m->body) || version != PROTO_VERSION)
		return false;
	w->ready = true;
	pair_relevel(p, p->spec.level);
	if (!all_ready(p) || p->phase != PHASE_STARTING)
		return true;
	if (p->spec.kind == PAIR_RUN || p->spec.kind == PAIR_TELL) {
		p->phase = PHASE_OPENING_TARGET; /* the deadline is that of the whole opening */
		end_send(&p->ends[END_WRITER], MSG_START, NULL);
		return true;
	}
	enter(p, PHASE_WORKING, p->spec.start_ms * 1000 * WORK_FACTOR);
	if (p->spec.kind == PAIR_CHECK)
		send_check(p);
	else
		end_send(&p->ends[END_WRITER], MSG_CLEAR, NULL);
	return true;
}

static void
send_wish(struct pair *p, const char *wish)
{
	struct buf b;

	buf_init(&b);
	buf_str(&b, wish);
	end_send(&p->ends[END_WRITER], MSG_WISH, &b);
	buf_release(&b);
}

static void
target_opened(struct pair *p, const struct resume *r, const struct buf *bytes)
{
	if (p->spec.kind == PAIR_TELL) {
		send_wish(p, p->wish);
		p->result.answered = true; /* unless it fails: messages are taken in order */
		pair_stop(p);
	} else if (p->spec.ops->opened(p->spec.arg, r)) {
		p->phase = PHASE_OPENING_SOURCE;
		end_send(&p->ends[END_READER], MSG_START, bytes);
	} else {
		pair_stop(p);
	}
}

static bool
take_opened_writer(struct pair *p, struct msg *m)
{
	struct resume r;
	struct err e;
	struct buf bytes;

	if (p->phase != PHASE_OPENING_TARGET)
		return p->phase == PHASE_ENDING;
	buf_init(&bytes);
	buf_add(&bytes, m->body.p, cursor_left(&m->body));
	if (resume_decode(&m->body, &r, &e) != RC_OK) {
		buf_release(&bytes);
		return false;
	}
	target_opened(p, &r, &bytes);
	resume_release(&r);
	buf_release(&bytes);
	return true;
}

static bool
take_opened(struct pair *p, struct worker_end *w, struct msg *m)
{
	if (w->opened)
		return false;
	w->opened = true;
	if (w->role == END_WRITER)
		return take_opened_writer(p, m);
	if (p->phase == PHASE_OPENING_SOURCE) {
		p->flowing_us = mono_us();
		enter(p, PHASE_FLOWING, 0);
		p->spec.ops->flowing(p->spec.arg);
	}
	return true;
}

static bool
take_drained(struct pair *p, struct worker_end *w)
{
	if (w->role == END_READER && p->phase == PHASE_DRAINING_SOURCE) {
		p->phase = PHASE_DRAINING_TARGET;
		end_send(&p->ends[END_WRITER], MSG_DRAIN, NULL);
	} else if (w->role == END_WRITER && p->phase == PHASE_DRAINING_TARGET) {
		p->result.drained = true;
		pair_stop(p);
	}
	return true;
}

static bool
take_checked(struct pair *p, struct worker_end *w, struct msg *m)
{
	struct err e;

	if (p->spec.kind != PAIR_CHECK || w->answered ||
		checks_decode(&m->body, &p->checks[w->role], &e) != RC_OK)
		return false;
	w->answered = true;
	p->result.answered = p->ends[END_READER].answered && p->ends[END_WRITER].answered;
	return true;
}

static bool
take_cleared(struct pair *p, struct worker_end *w)
{
	if (p->spec.kind != PAIR_CLEAR)
		return false;
	w->answered = true;
	p->result.answered = true;
	pair_stop(p);
	return true;
}

static bool
take_table(struct pair *p, struct msg *m)
{
	struct report_table t;
	struct err e;

	if (report_table_decode(&m->body, &t, &e) != RC_OK)
		return false;
	p->spec.ops->table(p->spec.arg, &t);
	report_table_release(&t);
	return true;
}

static bool
take_conflict(struct pair *p, struct msg *m)
{
	struct report_conflict c;
	struct err e;

	if (report_conflict_decode(&m->body, &c, &e) != RC_OK)
		return false;
	p->spec.ops->conflict(p->spec.arg, &c);
	report_conflict_release(&c);
	return true;
}

static bool
take_position(struct pair *p, struct msg *m)
{
	char *applied = cursor_strdup(&m->body);
	uint64_t time_us = cursor_u64(&m->body);
	bool ok = cursor_done(&m->body) && applied != NULL;

	if (ok)
		p->spec.ops->position(p->spec.arg, applied, time_us);
	free(applied);
	return ok;
}

static bool
on_message(void *arg, struct worker_end *w, struct msg *m)
{
	struct pair *p = arg;

	switch (m->type) {
	case MSG_READY:
		return take_ready(p, w, m);
	case MSG_OPENED:
		return take_opened(p, w, m);
	case MSG_DRAINED:
		return take_drained(p, w);
	case MSG_CHECKED:
		return take_checked(p, w, m);
	case MSG_CLEARED:
		return take_cleared(p, w);
	case MSG_TABLE:
		return take_table(p, m);
	case MSG_CONFLICT:
		return take_conflict(p, m);
	case MSG_POSITION:
		return take_position(p, m);
	case MSG_CONFIG:
	case MSG_START:
	case MSG_DRAIN:
	case MSG_STOP:
	case MSG_CHECK:
	case MSG_RELEVEL:
	case MSG_WISH:
	case MSG_CLEAR:
	case MSG_REPORT:
	case MSG_FAILED:
	case MSG_COUNT:
	default:
		return false;
	}
}

static void
on_reported(void *arg, struct worker_end *w)
{
	struct pair *p = arg;

	p->spec.ops->reported(p->spec.arg, w->role, w->stats);
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
			(unsigned long long)p->spec.start_ms *
				(p->phase == PHASE_WORKING ? WORK_FACTOR : 1));
		break;
	case PHASE_FLOWING:
	case PHASE_COUNT:
	default:
		break;
	}
}

static void
on_tick(void *arg)
{
	struct pair *p = arg;
	uint64_t now = mono_us();
	bool overslept = p->ticked_us != 0 && now - p->ticked_us > OVERSLEPT_US;

	p->ticked_us = now;
	for (int i = 0; i < END_COUNT; i++) {
		struct worker_end *w = &p->ends[i];

		if (overslept)
			w->heard_us = now;
		else if (is_hung(p, w, now))
			fail_hung(p, w, "has reported nothing for %llu ms and was killed",
				(unsigned long long)p->spec.heartbeat_ms);
	}
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
	p->uses[END_READER] = spec->kind == PAIR_RUN || spec->kind == PAIR_CHECK;
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
	enter(p, PHASE_STARTING, spec->start_ms * 1000);
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
	enter(p, PHASE_DRAINING_SOURCE, p->spec.drain_ms * 1000);
	end_send(&p->ends[END_READER], MSG_DRAIN, NULL);
}

bool
pair_tell(struct pair *p, const char *wish)
{
	if (p->spec.kind != PAIR_RUN || p->phase != PHASE_FLOWING)
		return false;
	send_wish(p, wish);
	return true;
}

void
pair_relevel(struct pair *p, enum log_level level)
{
	struct buf b;

	p->spec.level = level;
	buf_init(&b);
	buf_u8(&b, (uint8_t)level);
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
