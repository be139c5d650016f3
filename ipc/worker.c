/* worker.c - see worker.h. */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "ipc/msg.h"
#include "ipc/worker.h"

#define TICK_MS 20
#define REPORT_TICKS 25
/* A worker that is asked to stop and does not is gone after this long. */
#define STOP_BOUND_S 2

/* A message that another thread wants sent. */
struct outgoing {
	struct outgoing *next;
	enum msg_type type;
	struct buf body;
};

struct worker_private {
	struct loop *loop;
	struct msg_end end;
	struct watch *control;
	struct watch *doorbell_watch;
	struct timer *tick;
	int doorbell; /* eventfd: the queue has something */
	pthread_mutex_t lock;
	struct outgoing *queue, **queue_end;
	struct err failure;
	bool failed;
	struct buf position; /* the newest, to go with the next report */
	bool started;
	uint32_t ticks;
	int exit_status;
};

/* ---- from any thread ---- */

static void
ring_doorbell(struct worker_private *p)
{
	uint64_t one = 1;

	while (write(p->doorbell, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void
enqueue(struct worker *w, enum msg_type type, struct buf *body)
{
	struct outgoing *o = xcalloc(1, sizeof *o);
	struct worker_private *p = w->p;

	o->type = type;
	if (body != NULL)
		o->body = *body;
	pthread_mutex_lock(&p->lock);
	*p->queue_end = o;
	p->queue_end = &o->next;
	pthread_mutex_unlock(&p->lock);
	ring_doorbell(p);
}

void
worker_opened(struct worker *w, const struct resume *r)
{
	struct buf b;

	buf_init(&b);
	if (r != NULL)
		resume_encode(r, &b);
	enqueue(w, MSG_OPENED, &b);
}

void
worker_drained(struct worker *w)
{
	enqueue(w, MSG_DRAINED, NULL);
}

void
worker_report_table(struct worker *w, const struct report_table *t)
{
	struct buf b;

	buf_init(&b);
	report_table_encode(t, &b);
	enqueue(w, MSG_TABLE, &b);
}

void
worker_report_conflict(struct worker *w, const struct report_conflict *c)
{
	struct buf b;

	buf_init(&b);
	report_conflict_encode(c, &b);
	enqueue(w, MSG_CONFLICT, &b);
}

/* Positions come with each commit; only the newest waits to be sent, with the next report. */
void
worker_report_position(struct worker *w, const char *applied, uint64_t time_us)
{
	struct worker_private *p = w->p;

	pthread_mutex_lock(&p->lock);
	buf_clear(&p->position);
	buf_str(&p->position, applied);
	buf_u64(&p->position, time_us);
	pthread_mutex_unlock(&p->lock);
}

void
worker_fail(struct worker *w, const struct err *e)
{
	struct worker_private *p = w->p;

	pthread_mutex_lock(&p->lock);
	if (!p->failed) {
		p->failed = true;
		p->failure = *e;
	}
	pthread_mutex_unlock(&p->lock);
	ring_doorbell(p);
}

/* ---- the main thread ---- */

static void
set_interest(struct worker_private *p)
{
	watch_set(p->control, LOOP_READ | (p->end.out.len != 0 ? LOOP_WRITE : 0));
}

static void
send_report(struct worker *w)
{
	struct buf b, position;

	buf_init(&b);
	buf_u32(&b, STAT_COUNT);
	for (int i = 0; i < STAT_COUNT; i++)
		buf_u64(&b, atomic_load_explicit(&w->stats[i], memory_order_relaxed));
	msg_send(&w->p->end, MSG_REPORT, &b);
	pthread_mutex_lock(&w->p->lock);
	position = w->p->position;
	w->p->position = (struct buf){0};
	pthread_mutex_unlock(&w->p->lock);
	if (position.len != 0)
		msg_send(&w->p->end, MSG_POSITION, &position);
	buf_release(&position);
	buf_release(&b);
	set_interest(w->p);
}

static void
send_queue(struct worker *w)
{
	struct worker_private *p = w->p;
	struct outgoing *o;

	pthread_mutex_lock(&p->lock);
	o = p->queue;
	p->queue = NULL;
	p->queue_end = &p->queue;
	pthread_mutex_unlock(&p->lock);
	while (o != NULL) {
		struct outgoing *next = o->next;

		/* What a person waits for comes with the figures that belong to it. */
		if (o->type == MSG_OPENED || o->type == MSG_DRAINED)
			send_report(w);
		msg_send(&p->end, o->type, &o->body);
		buf_release(&o->body);
		free(o);
		o = next;
	}
	set_interest(p);
}

static void
end(struct worker *w, int status)
{
	w->p->exit_status = status;
	w->stopping = true;
	loop_stop(w->p->loop);
}

static void
end_failed(struct worker *w, const struct err *e)
{
	struct buf b;

	send_queue(w);
	send_report(w);
	log_err(LOG_LVL_ERROR, e);
	buf_init(&b);
	buf_u8(&b, (uint8_t)e->rc);
	buf_u32(&b, (uint32_t)e->code);
	buf_str(&b, e->text);
	buf_str(&b, e->remedy);
	msg_send(&w->p->end, MSG_FAILED, &b);
	buf_release(&b);
	end(w, rc_exit(e->rc));
}

static void
on_doorbell(void *arg, int what)
{
	struct worker *w = arg;
	struct worker_private *p = w->p;
	uint64_t n;
	bool failed;

	(void)what;
	while (read(p->doorbell, &n, sizeof n) < 0 && errno == EINTR)
		;
	send_queue(w);
	pthread_mutex_lock(&p->lock);
	failed = p->failed;
	pthread_mutex_unlock(&p->lock);
	if (failed && !w->stopping)
		end_failed(w, &p->failure);
}

static void
on_tick(void *arg)
{
	struct worker *w = arg;

	if (w->ops->tick != NULL && w->p->started)
		w->ops->tick(w);
	if (++w->p->ticks % REPORT_TICKS == 0)
		send_report(w);
}

static enum rc
open_rings(struct worker *w, struct err *e)
{
	w->nlanes = (uint32_t)conf_int(w->conf, "lanes");
	if (w->nlanes == 0 || w->nlanes > PROTO_MAX_LANES)
		return err_set(e, RC_CONFIG, "lanes = %u is not possible", w->nlanes);
	for (uint32_t i = 0; i <= w->nlanes; i++) {
		struct ring_fds fds;
		enum rc rc;

		for (int k = 0; k < RING_FD_COUNT; k++) {
			fds.fd[k] = PROTO_RING_FD + (int)i * RING_FD_COUNT + k;
			if (fcntl(fds.fd[k], F_SETFD, FD_CLOEXEC) != 0)
				return err_errno(
					e, RC_BUG, "descriptor %d of a ring is missing", fds.fd[k]);
		}
		if ((rc = ring_open(&w->rings[i], &fds, w->ops->side, e)) != RC_OK)
			return rc;
	}
	return RC_OK;
}

static enum rc
take_config(struct worker *w, struct cursor *c, struct err *e)
{
	enum log_level level;
	struct buf b;
	enum rc rc = conf_decode(channel_options(), c, &w->conf, e);

	if (rc != RC_OK)
		return rc;
	if (conf_str(w->conf, "log_level") != NULL &&
		log_parse_level(conf_str(w->conf, "log_level"), &level))
		log_set_level(level);
	buf_init(&b);
	buf_u32(&b, PROTO_VERSION);
	msg_send(&w->p->end, MSG_READY, &b);
	buf_release(&b);
	return RC_OK;
}

static enum rc
take_start(struct worker *w, struct cursor *c, struct err *e)
{
	struct resume r;
	enum rc rc = open_rings(w, e);

	if (rc != RC_OK)
		return rc;
	resume_init(&r);
	if (cursor_left(c) != 0 && (rc = resume_decode(c, &r, e)) != RC_OK)
		return rc;
	w->p->started = true;
	rc = w->ops->start(w, &r, e);
	resume_release(&r);
	return rc;
}

static enum rc
take_check(struct worker *w, struct cursor *c, struct err *e)
{
	struct checks out;
	struct buf b;
	enum rc rc;

	checks_init(&out);
	rc = w->ops->check(w, cursor_u8(c) != 0, &out, e);
	if (rc == RC_OK) {
		buf_init(&b);
		checks_encode(&out, &b);
		msg_send(&w->p->end, MSG_CHECKED, &b);
		buf_release(&b);
	}
	checks_release(&out);
	return rc;
}

static enum rc
take_wish(struct worker *w, struct cursor *c, struct err *e)
{
	char *wish = cursor_strdup(c);
	enum rc rc = RC_OK;

	if (w->ops->wish != NULL && wish != NULL)
		rc = w->ops->wish(w, wish, e);
	free(wish);
	return rc;
}

static enum rc
take_clear(struct worker *w, struct err *e)
{
	enum rc rc = w->ops->clear != NULL ? w->ops->clear(w, e) : RC_OK;

	if (rc == RC_OK)
		msg_send(&w->p->end, MSG_CLEARED, NULL);
	return rc;
}

static enum rc
take(struct worker *w, struct msg *m, struct err *e)
{
	if (w->conf == NULL && m->type != MSG_CONFIG && m->type != MSG_STOP)
		return err_set(e, RC_BUG, "the supervisor sent \"%s\" before the configuration",
			msg_name(m->type));
	switch (m->type) {
	case MSG_CONFIG:
		return take_config(w, &m->body, e);
	case MSG_START:
		return take_start(w, &m->body, e);
	case MSG_DRAIN:
		w->ops->drain(w);
		return RC_OK;
	case MSG_STOP:
		end(w, 0);
		return RC_OK;
	case MSG_CHECK:
		return take_check(w, &m->body, e);
	case MSG_RELEVEL:
		log_set_level((enum log_level)cursor_u8(&m->body));
		return RC_OK;
	case MSG_WISH:
		return take_wish(w, &m->body, e);
	case MSG_CLEAR:
		return take_clear(w, e);
	case MSG_READY:
	case MSG_OPENED:
	case MSG_REPORT:
	case MSG_TABLE:
	case MSG_CONFLICT:
	case MSG_POSITION:
	case MSG_DRAINED:
	case MSG_CHECKED:
	case MSG_CLEARED:
	case MSG_FAILED:
	case MSG_COUNT:
	default:
		return err_set(e, RC_BUG, "the supervisor sent \"%s\"", msg_name(m->type));
	}
}

static void
on_control(void *arg, int what)
{
	struct worker *w = arg;
	struct err e = {0};
	struct msg m;
	enum rc rc = RC_OK;

	if (what & LOOP_WRITE) {
		if (msg_flush(&w->p->end, &e) == RC_RETRY) {
			end(w, 0);
			return;
		}
		set_interest(w->p);
	}
	while (!w->stopping && (rc = msg_receive(&w->p->end, &m, &e)) == RC_OK)
		if ((rc = take(w, &m, &e)) != RC_OK)
			break;
	if (w->stopping || rc == RC_OK || rc == RC_AGAIN) {
		set_interest(w->p);
		return;
	}
	if (rc == RC_RETRY && w->p->end.in.len == 0 && strstr(e.text, "control socket") != NULL)
		end(w, 0); /* the supervisor is gone */
	else
		end_failed(w, &e);
}

/* The last words must go out even though the loop has ended. */
static void
flush_out(struct worker_private *p)
{
	struct err ignored;
	int flags = fcntl(p->end.fd, F_GETFL);

	if (flags >= 0)
		fcntl(p->end.fd, F_SETFL, flags & ~O_NONBLOCK);
	for (int i = 0; i < 100 && msg_flush(&p->end, &ignored) == RC_AGAIN; i++)
		usleep(1000);
}

static bool
parse_arguments(int argc, char **argv, struct worker *w)
{
	char *rest;
	unsigned long generation;

	if (argc != 3)
		return false;
	errno = 0;
	generation = strtoul(argv[2], &rest, 10);
	if (errno != 0 || *rest != '\0' || generation > UINT32_MAX)
		return false;
	w->channel = argv[1];
	w->generation = (uint32_t)generation;
	return true;
}

/* Read by the handler that ends a worker which cannot stop. */
static volatile sig_atomic_t last_status;

static void
give_up(int number)
{
	(void)number;
	_exit(last_status);
}

static void
be_a_child(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, bound = {.sa_handler = give_up};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGTERM, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGALRM, &bound, NULL);
}

int
worker_main(int argc, char **argv, const struct worker_ops *ops)
{
	struct worker_private p = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct worker w = {.ops = ops, .p = &p};

	p.queue_end = &p.queue;
	if (!parse_arguments(argc, argv, &w) || fcntl(PROTO_CONTROL_FD, F_SETFD, FD_CLOEXEC) != 0) {
		fprintf(stderr,
			"%s is started by synclined, with CHANNEL and GENERATION and its "
			"descriptors\n",
			argv[0]);
		return rc_exit(RC_CONFIG);
	}
	be_a_child();
	log_init(ops->role, w.channel);
	fcntl(PROTO_CONTROL_FD, F_SETFL, fcntl(PROTO_CONTROL_FD, F_GETFL) | O_NONBLOCK);
	p.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p.loop = loop_new();
	msg_end_init(&p.end, PROTO_CONTROL_FD, FROM_WORKER, w.generation);
	p.control = watch_new(p.loop, PROTO_CONTROL_FD, LOOP_READ, on_control, &w);
	p.doorbell_watch = watch_new(p.loop, p.doorbell, LOOP_READ, on_doorbell, &w);
	p.tick = timer_new(p.loop, on_tick, &w);
	timer_every(p.tick, TICK_MS);
	loop_run(p.loop);

	flush_out(&p);
	last_status = p.exit_status;
	alarm(STOP_BOUND_S);
	if (p.started)
		ops->stop(&w);
	_exit(p.exit_status);
}
