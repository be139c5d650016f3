/* worker.c - see worker.h. */
#include "common/compat.h"

#include <errno.h>
#include <malloc.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "ipc/msg.h"
#include "ipc/worker.h"

/* Hundreds of idle workers tick on one host. */
#define TICK_MS 500
#define LARGE_BLOCK (1 << 20)
#define REPORT_TICKS (1000 / TICK_MS)
/* A worker that is asked to stop and does not is gone after this long. */
#define STOP_BOUND_S 2
/* A supervisor that does not read gets no last words. */
#define FLUSH_BOUND_US 500000u
#define FLUSH_WAIT_MS 20

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
	uint64_t said_streaming; /* as reported last */
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
worker_report_streaming(struct worker *w)
{
	ring_doorbell(w->p);
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

/* What a producer has put into its rings, all lanes: the bandwidth between the ends. */
static void
count_rings(struct worker *w)
{
	uint64_t bytes = 0;

	if (w->ops->side != RING_PRODUCER)
		return;
	for (uint32_t i = 0; i <= w->nlanes; i++)
		if (w->rings[i] != NULL)
			bytes += ring_bytes(w->rings[i]);
	atomic_store(&w->stats[STAT_RING_BYTES], bytes);
}

/* Tables that stream, as this end has it. */
static uint64_t
streaming(const struct worker *w)
{
	return w->stats[STAT_TABLES_STREAMING] + w->stats[STAT_TABLES_AT_TARGET];
}

static void
send_report(struct worker *w)
{
	struct buf b, position;

	count_rings(w);
	buf_init(&b);
	buf_u32(&b, STAT_COUNT);
	w->p->said_streaming = streaming(w);
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

/* The end of a load is said at once and not with the next report: somebody may be waiting for it.
 */
static bool
is_news(const struct worker *w)
{
	return streaming(w) != w->p->said_streaming;
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
		if (o->type == MSG_OPENED || o->type == MSG_DRAINED || is_news(w))
			send_report(w);
		msg_send(&p->end, o->type, &o->body);
		buf_release(&o->body);
		free(o);
		o = next;
	}
	if (is_news(w))
		send_report(w);
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
	/* A failure that does not say what it is must not look like a success. */
	enum rc rc = e->rc != RC_OK && e->rc < RC_COUNT ? e->rc : RC_BUG;
	struct buf b;

	send_queue(w);
	send_report(w);
	log_err(LOG_LVL_INFO, e); /* the supervisor says it as loud as it is */
	buf_init(&b);
	buf_u8(&b, (uint8_t)rc);
	buf_u32(&b, (uint32_t)e->code);
	buf_str(&b, e->text);
	buf_str(&b, e->remedy);
	msg_send(&w->p->end, MSG_FAILED, &b);
	buf_release(&b);
	end(w, rc_exit(rc));
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

/* Of a message whose body has been read: nothing is missing, nothing is left over. */
static enum rc
whole(const struct msg *m, struct err *e)
{
	return cursor_done(&m->body) ? RC_OK
				     : err_set(e, RC_BUG, "a control message \"%s\" is damaged",
					       msg_name(m->type));
}

static enum rc
take_config(struct worker *w, struct msg *m, struct err *e)
{
	enum log_level level;
	struct buf b;
	enum rc rc;

	if (w->conf != NULL)
		return err_set(e, RC_BUG, "the supervisor sent the configuration twice");
	if ((rc = conf_decode(channel_options(), &m->body, &w->conf, e)) != RC_OK ||
		(rc = whole(m, e)) != RC_OK)
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
take_start(struct worker *w, struct msg *m, struct err *e)
{
	struct resume r;
	enum rc rc;

	if (w->p->started)
		return err_set(e, RC_BUG, "the supervisor sent \"start\" twice");
	if ((rc = open_rings(w, e)) != RC_OK)
		return rc;
	resume_init(&r);
	if (cursor_left(&m->body) != 0 && (rc = resume_decode(&m->body, &r, e)) != RC_OK)
		return rc;
	w->p->started = true;
	rc = w->ops->start(w, &r, e);
	resume_release(&r);
	return rc;
}

static enum rc
take_check(struct worker *w, struct msg *m, struct err *e)
{
	uint8_t flags = cursor_u8(&m->body);
	struct checks out;
	struct buf b;
	enum rc rc;

	found_release(&w->found);
	found_decode(&m->body, &w->found);
	if ((rc = whole(m, e)) != RC_OK)
		return rc;
	checks_init(&out);
	rc = w->ops->check(w, (flags & CHECK_SQL) != 0, &out, e);
	if (rc == RC_OK) {
		buf_init(&b);
		checks_encode(&out, &b);
		msg_send(&w->p->end, MSG_CHECKED, &b);
		buf_release(&b);
		end(w, 0);
	}
	checks_release(&out);
	return rc;
}

static enum rc
take_wish(struct worker *w, struct msg *m, struct err *e)
{
	char *wish = cursor_strdup(&m->body);
	enum rc rc = whole(m, e);

	if (rc == RC_OK && w->ops->wish != NULL && wish != NULL)
		rc = w->ops->wish(w, wish, e);
	free(wish);
	return rc;
}

static enum rc
take_whose(struct worker *w, struct msg *m, struct err *e)
{
	enum rc rc = whole(m, e);

	return rc == RC_OK && w->ops->confirm != NULL ? w->ops->confirm(w, e) : rc;
}

static enum rc
take_clear(struct worker *w, struct msg *m, struct err *e)
{
	enum rc rc = whole(m, e);

	if (rc == RC_OK && w->ops->clear != NULL)
		rc = w->ops->clear(w, e);
	if (rc == RC_OK)
		msg_send(&w->p->end, MSG_CLEARED, NULL);
	return rc;
}

static enum rc
take_drain(struct worker *w, struct msg *m, struct err *e)
{
	enum rc rc = whole(m, e);

	if (rc == RC_OK && !w->p->started)
		rc = err_set(e, RC_BUG, "the supervisor sent \"drain\" before \"start\"");
	if (rc == RC_OK)
		w->ops->drain(w);
	return rc;
}

static enum rc
take_stop(struct worker *w, struct msg *m, struct err *e)
{
	enum rc rc = whole(m, e);

	if (rc == RC_OK)
		end(w, 0);
	return rc;
}

static enum rc
take_relevel(struct msg *m, struct err *e)
{
	uint8_t level = cursor_u8(&m->body), json = cursor_u8(&m->body);
	enum rc rc = whole(m, e);

	if (rc == RC_OK && level >= LOG_LVL_COUNT)
		rc = err_set(e, RC_BUG, "the supervisor sent log level %u", level);
	if (rc == RC_OK) {
		log_set_level((enum log_level)level);
		log_set_json(json != 0);
	}
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
		return take_config(w, m, e);
	case MSG_START:
		return take_start(w, m, e);
	case MSG_DRAIN:
		return take_drain(w, m, e);
	case MSG_STOP:
		return take_stop(w, m, e);
	case MSG_CHECK:
		return take_check(w, m, e);
	case MSG_RELEVEL:
		return take_relevel(m, e);
	case MSG_WISH:
		return take_wish(w, m, e);
	case MSG_WHOSE:
		return take_whose(w, m, e);
	case MSG_CLEAR:
		return take_clear(w, m, e);
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

	if ((what & LOOP_WRITE) && msg_flush(&w->p->end, &e) == RC_RETRY) {
		end(w, 0);
		return;
	}
	while (!w->stopping && (rc = msg_receive(&w->p->end, &m, &e)) == RC_OK) {
		if (take(w, &m, &e) != RC_OK) {
			end_failed(w, &e);
			return;
		}
	}
	if (rc == RC_RETRY)
		end(w, 0); /* the supervisor is gone */
	else if (rc != RC_OK && rc != RC_AGAIN)
		end_failed(w, &e);
	else
		set_interest(w->p);
}

/* The last words must go out even though the loop has ended. */
static void
flush_out(struct worker_private *p)
{
	struct err ignored;
	struct pollfd writable = {.fd = p->end.fd, .events = POLLOUT};
	uint64_t deadline = mono_us() + FLUSH_BOUND_US;

	while (msg_flush(&p->end, &ignored) == RC_AGAIN && mono_us() < deadline)
		(void)poll(&writable, 1, FLUSH_WAIT_MS);
}

/* Descriptor 3 is a stream socket of ours alone: programs that a worker starts do not get it. */
static bool
take_control_fd(void)
{
	int type = 0, flags = fcntl(PROTO_CONTROL_FD, F_GETFL);
	socklen_t n = sizeof type;

	return flags >= 0 && getsockopt(PROTO_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
	       type == SOCK_STREAM && fcntl(PROTO_CONTROL_FD, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(PROTO_CONTROL_FD, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool
parse_arguments(int argc, char **argv, struct worker *w)
{
	char *rest;
	unsigned long generation;

	/* strtoul would take a sign or blanks. */
	if (argc != 3 || argv[1][0] == '\0' || argv[2][0] < '0' || argv[2][0] > '9')
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
	if (!parse_arguments(argc, argv, &w) || !take_control_fd()) {
		fprintf(stderr,
			"%s is started by synclined, with CHANNEL and GENERATION and its "
			"descriptors\n",
			argc > 0 ? argv[0] : ops->role);
		return rc_exit(RC_CONFIG);
	}
	be_a_child();
	log_init(ops->role, w.channel);
	/* What one large value took goes back to the system with it: the library would keep it for
	 * the next, as a block of some thread's heap. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
	if ((p.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		bug("cannot make an eventfd: %s", strerror(errno));
	p.loop = loop_new();
	msg_end_init(&p.end, PROTO_CONTROL_FD, FROM_WORKER, w.generation);
	p.control = watch_new(p.loop, PROTO_CONTROL_FD, LOOP_READ, on_control, &w);
	p.doorbell_watch = watch_new(p.loop, p.doorbell, LOOP_READ, on_doorbell, &w);
	p.tick = timer_new(p.loop, on_tick, &w);
	timer_every(p.tick, TICK_MS);
	loop_run(p.loop);

	last_status = p.exit_status;
	alarm(STOP_BOUND_S);
	flush_out(&p);
	if (p.started)
		ops->stop(&w);
	_exit(p.exit_status);
}
