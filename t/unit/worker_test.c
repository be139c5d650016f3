/*
 * worker_test.c - the skeleton of a worker: a forked one with ops of our own
 * goes through its life. What the ops do is said by the channel's name.
 */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/log.h"
#include "common/mem.h"
#include "ipc/frame.h"
#include "ipc/msg.h"
#include "ipc/worker.h"

#define LANES 2
#define RING_SIZE ((size_t)64 * 1024)
#define GENERATION 5u
#define DEADLINE_MS 5000
/* Fake ops tell here, one letter each, what has been called. */
#define DIARY_FD 60

/* ---- the fake worker ---- */

static void
note(char c)
{
	if (write(DIARY_FD, &c, 1) != 1)
		_exit(99);
}

static bool
is(const struct worker *w, const char *channel)
{
	return strcmp(w->channel, channel) == 0;
}

/* The work of a reader: an event, and a word about everything. */
static void *
work(void *arg)
{
	struct worker *w = arg;
	struct resume r;
	struct event ev = {.kind = EVENT_BEGIN};
	char db[] = "shop", name[] = "orders", kind[] = "missing";
	struct report_table t = {.db = db, .name = name, .state = TABLE_LOADING, .rows_done = 7};
	struct report_conflict c = {.db = db, .table = name, .operation = kind, .kind = kind};

	resume_init(&r);
	r.incarnation = 11;
	worker_opened(w, is(w, "no-resume") ? NULL : &r);
	resume_release(&r);
	for (uint32_t i = 0; i <= w->nlanes; i++) {
		if (frame_put(w->rings[i], &ev, &w->stopping) != RC_OK)
			_exit(98);
		ring_publish(w->rings[i]);
	}
	atomic_fetch_add(&w->stats[STAT_READ_TXNS], 42);
	worker_report_table(w, &t);
	worker_report_conflict(w, &c);
	return NULL;
}

static void *
fail_later(void *arg)
{
	struct worker *w = arg;
	struct err e = {0};

	err_set(&e, RC_RETRY, "cannot reach the source: gone");
	err_remedy(&e, "start it");
	e.code = 2003;
	worker_fail(w, &e);
	err_set(&e, RC_DATA, "a second failure does not count");
	worker_fail(w, &e);
	return NULL;
}

static void
run_thread(struct worker *w, void *(*run)(void *))
{
	pthread_t *t = xmalloc(sizeof *t);

	w->state = t;
	if (pthread_create(t, NULL, run, w) != 0)
		_exit(97);
}

static enum rc
fake_start(struct worker *w, const struct resume *r, struct err *e)
{
	note(r->fresh ? 'f' : 's');
	if (is(w, "fail-start"))
		return err_set(e, RC_CONFIG, "cannot log in: no right");
	if (is(w, "fail-again"))
		return RC_AGAIN; /* says nothing: a defect of the ops */
	run_thread(w, is(w, "fail-later") ? fail_later : work);
	return RC_OK;
}

static void
fake_drain(struct worker *w)
{
	note('d');
	worker_report_position(w, "old", 1);
	worker_report_position(w, "new", 2);
	worker_drained(w);
}

static void
fake_stop(struct worker *w)
{
	note('x');
	if (is(w, "hang"))
		pause();
	if (w->state != NULL)
		pthread_join(*(pthread_t *)w->state, NULL);
}

static enum rc
fake_check(struct worker *w, bool want_sql, struct checks *out, struct err *e)
{
	note('c');
	if (is(w, "fail-check"))
		return err_set(e, RC_RETRY, "cannot reach the source");
	checks_pass(out, "Source database connectivity");
	out->sql = want_sql ? xstrdup("GRANT SELECT") : NULL;
	return RC_OK;
}

static enum rc
fake_wish(struct worker *w, const char *wish, struct err *e)
{
	(void)e;
	note(wish[0]);
	if (strcmp(wish, "loaded") == 0) {
		atomic_store(&w->stats[STAT_TABLES_AT_TARGET], 1);
		worker_report_streaming(w);
	}
	return RC_OK;
}

static enum rc
fake_clear(struct worker *w, struct err *e)
{
	(void)w;
	(void)e;
	note('C');
	return RC_OK;
}

static void
fake_tick(struct worker *w)
{
	atomic_fetch_add(&w->stats[STAT_CAUGHT_UP], 1);
}

static const struct worker_ops fake_ops = {
	.role = "reader",
	.side = RING_PRODUCER,
	.start = fake_start,
	.drain = fake_drain,
	.stop = fake_stop,
	.check = fake_check,
	.wish = fake_wish,
	.clear = fake_clear,
	.tick = fake_tick,
};

/* ---- the supervisor's end ---- */

struct child {
	pid_t pid;
	struct msg_end end;
	struct ring_fds fds[1 + LANES];
	int diary;
};

/* Puts the descriptors where proto.h wants them; out of the way first, so that none is lost. */
static void
become_worker(struct child *c, int control, int diary, bool rings, char **argv)
{
	int from[1 + (1 + LANES) * RING_FD_COUNT], n = 0;

	from[n++] = control;
	for (int i = 0; rings && i <= LANES; i++)
		for (int k = 0; k < RING_FD_COUNT; k++)
			from[n++] = c->fds[i].fd[k];
	for (int i = 0; i < n; i++)
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 100);
	diary = fcntl(diary, F_DUPFD_CLOEXEC, 100);
	for (int fd = 3; fd < 100; fd++)
		close(fd);
	for (int i = 0; i < n; i++)
		dup2(from[i], PROTO_CONTROL_FD + i);
	dup2(diary, DIARY_FD);
	for (int fd = 100; fd < 200; fd++)
		close(fd);
	/* What it logs is not ours to show. */
	dup2(open("/dev/null", O_WRONLY), 2);
	_exit(worker_main(3, argv, &fake_ops));
}

static void
child_start(struct child *c, const char *channel, bool rings)
{
	char name[64], generation[] = "5", program[] = "syncline-fake";
	char *argv[] = {program, name, generation, NULL};
	int control[2], diary[2];
	struct err e;

	snprintf(name, sizeof name, "%s", channel);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
	assert_int_equal(pipe2(diary, O_CLOEXEC), 0);
	for (int i = 0; i <= LANES; i++)
		assert_int_equal(ring_create(&c->fds[i], RING_SIZE, &e), RC_OK);
	fflush(NULL);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0)
		become_worker(c, control[1], diary[1], rings, argv);
	close(control[1]);
	close(diary[1]);
	fcntl(control[0], F_SETFL, O_NONBLOCK);
	c->diary = diary[0];
	msg_end_init(&c->end, control[0], FROM_SUPERVISOR, GENERATION);
}

static void
hang_up(struct child *c)
{
	if (c->end.fd >= 0)
		close(c->end.fd);
	c->end.fd = -1;
}

/* Waits for the end: its status and diary must be these. */
static void
expect_end(struct child *c, int status, const char *diary)
{
	uint64_t deadline = mono_us() + (uint64_t)DEADLINE_MS * 1000;
	char text[64] = "";
	int got = -1;
	pid_t pid;
	ssize_t n;

	while ((pid = waitpid(c->pid, &got, WNOHANG)) == 0 && mono_us() < deadline)
		usleep(2000);
	if (pid == 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, &got, 0);
	}
	n = read(c->diary, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	hang_up(c);
	close(c->diary);
	msg_end_release(&c->end);
	for (int i = 0; i <= LANES; i++)
		ring_fds_close(&c->fds[i]);
	assert_true(WIFEXITED(got));
	assert_int_equal(WEXITSTATUS(got), status);
	assert_string_equal(text, diary);
}

/* The next message of this type; REPORT and others that come in between are passed over. */
static void
expect(struct child *c, enum msg_type type, struct msg *m)
{
	uint64_t deadline = mono_us() + (uint64_t)DEADLINE_MS * 1000;
	struct pollfd p = {.fd = c->end.fd, .events = POLLIN};
	struct err e = {0};
	enum rc rc;

	do {
		while ((rc = msg_receive(&c->end, m, &e)) == RC_AGAIN && mono_us() < deadline)
			poll(&p, 1, 100);
		if (rc != RC_OK)
			fail_msg("no \"%s\" came: %s %s", msg_name(type), rc_name(rc), e.text);
	} while (m->type != type && m->type != MSG_FAILED);
	if (m->type != type) {
		cursor_u8(&m->body);
		cursor_u32(&m->body);
		fail_msg("no \"%s\" came, but %s", msg_name(type), cursor_strdup(&m->body));
	}
}

static void
send_config(struct child *c)
{
	struct conf *conf = conf_new(channel_options());
	struct buf b = {0};
	struct err e;

	assert_int_equal(conf_set(conf, "lanes", "2", "test", &e), RC_OK);
	assert_int_equal(conf_set(conf, "log_level", "error", "test", &e), RC_OK);
	conf_encode(conf, NULL, &b);
	msg_send(&c->end, MSG_CONFIG, &b);
	buf_release(&b);
	conf_free(conf);
}

static void
child_ready(struct child *c, const char *channel, bool rings)
{
	struct msg m;

	child_start(c, channel, rings);
	send_config(c);
	expect(c, MSG_READY, &m);
	assert_int_equal(cursor_u32(&m.body), PROTO_VERSION);
	assert_true(cursor_done(&m.body));
}

static void
expect_failed(struct child *c, enum rc rc, const char *text)
{
	struct msg m;
	char *got;

	expect(c, MSG_FAILED, &m);
	assert_int_equal(cursor_u8(&m.body), rc);
	(void)cursor_u32(&m.body);
	got = cursor_strdup(&m.body);
	assert_non_null(got);
	if (strstr(got, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", got, text);
	free(got);
	free(cursor_strdup(&m.body));
	assert_true(cursor_done(&m.body));
}

/* ---- life ---- */

static void
expect_report(struct child *c, uint64_t transactions)
{
	uint64_t values[STAT_COUNT];
	struct msg m;

	do {
		expect(c, MSG_REPORT, &m);
		assert_int_equal(cursor_u32(&m.body), STAT_COUNT);
		for (int i = 0; i < STAT_COUNT; i++)
			values[i] = cursor_u64(&m.body);
		assert_true(cursor_done(&m.body));
	} while (values[STAT_READ_TXNS] != transactions);
	if (transactions != 0)
		assert_true(values[STAT_CAUGHT_UP] > 0); /* ticks */
}

static void
expect_opened(struct child *c, uint32_t incarnation)
{
	struct resume r;
	struct msg m;
	struct err e;

	expect(c, MSG_OPENED, &m);
	assert_int_equal(resume_decode(&m.body, &r, &e), RC_OK);
	assert_int_equal(r.incarnation, incarnation);
	resume_release(&r);
}

static void
expect_words(struct child *c)
{
	struct report_conflict conflict;
	struct report_table t;
	struct msg m;
	struct err e;

	expect(c, MSG_TABLE, &m);
	assert_int_equal(report_table_decode(&m.body, &t, &e), RC_OK);
	assert_string_equal(t.name, "orders");
	assert_int_equal(t.rows_done, 7);
	report_table_release(&t);
	expect(c, MSG_CONFLICT, &m);
	assert_int_equal(report_conflict_decode(&m.body, &conflict, &e), RC_OK);
	assert_string_equal(conflict.kind, "missing");
	report_conflict_release(&conflict);
}

/* Of several only the newest goes, ahead of DRAINED. */
static void
expect_position(struct child *c)
{
	struct msg m;
	char *applied;

	expect(c, MSG_POSITION, &m);
	applied = cursor_strdup(&m.body);
	assert_string_equal(applied, "new"); /* only the newest */
	assert_int_equal(cursor_u64(&m.body), 2);
	assert_true(cursor_done(&m.body));
	free(applied);
}

static void
expect_event(struct child *c, int ring)
{
	struct frame_reader fr;
	struct frame_raw raw;
	struct ring *r;
	struct err e;
	enum rc rc;

	assert_int_equal(ring_open(&r, &c->fds[ring], RING_CONSUMER, &e), RC_OK);
	frame_reader_init(&fr, r);
	while ((rc = frame_next(&fr, &raw, &e)) == RC_AGAIN)
		ring_wait_data(r, DEADLINE_MS);
	assert_int_equal(rc, RC_OK);
	assert_int_equal(raw.kind, EVENT_BEGIN);
	frame_reader_release(&fr);
	ring_close(r);
}

static void
a_whole_life(void **state)
{
	struct child c;
	struct msg m;

	(void)state;
	child_ready(&c, "orders", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_opened(&c, 11);
	for (int i = 0; i <= LANES; i++)
		expect_event(&c, i);
	expect_words(&c);
	expect_report(&c, 42);
	msg_send(&c.end, MSG_DRAIN, NULL);
	expect_position(&c);
	expect(&c, MSG_DRAINED, &m);
	msg_send(&c.end, MSG_STOP, NULL);
	expect_end(&c, 0, "fdx");
}

static void
figures_come_with_opened_and_each_second(void **state)
{
	uint64_t start;
	struct child c;
	struct msg m;

	(void)state;
	child_ready(&c, "no-resume", true);
	msg_send(&c.end, MSG_START, NULL);
	expect(&c, MSG_REPORT, &m); /* before OPENED */
	expect(&c, MSG_OPENED, &m);
	assert_int_equal(cursor_left(&m.body), 0);
	expect(&c, MSG_REPORT, &m);
	start = mono_us();
	expect(&c, MSG_REPORT, &m);
	assert_in_range(mono_us() - start, 800000, 2000000);
	hang_up(&c);
	expect_end(&c, 0, "fx");
}

static void
read_report(struct child *c, uint64_t *ticks, uint64_t *tables)
{
	struct msg m;

	expect(c, MSG_REPORT, &m);
	assert_int_equal(cursor_u32(&m.body), STAT_COUNT);
	for (int i = 0; i < STAT_COUNT; i++) {
		uint64_t value = cursor_u64(&m.body);

		if (i == STAT_CAUGHT_UP)
			*ticks = value;
		if (i == STAT_TABLES_AT_TARGET)
			*tables = value;
	}
}

/* Reports of the clock come with every second tick. */
static void
a_load_that_ends_waits_for_no_tick(void **state)
{
	uint64_t ticks = 0, tables = 0, last;
	struct buf wish = {0};
	struct child c;
	struct msg m;

	(void)state;
	child_ready(&c, "no-resume", true);
	msg_send(&c.end, MSG_START, NULL);
	expect(&c, MSG_OPENED, &m);
	read_report(&c, &ticks, &tables);
	buf_str(&wish, "loaded");
	msg_send(&c.end, MSG_WISH, &wish);
	do {
		last = ticks;
		read_report(&c, &ticks, &tables);
	} while (tables == 0);
	assert_true(ticks == last || ticks % 2 == 1);
	hang_up(&c);
	expect_end(&c, 0, "flx");
	buf_release(&wish);
}

static void
a_start_carries_what_the_target_holds(void **state)
{
	struct buf b = {0};
	struct resume r;
	struct child c;

	(void)state;
	child_ready(&c, "orders", true);
	resume_init(&r);
	r.fresh = false;
	resume_encode(&r, &b);
	msg_send(&c.end, MSG_START, &b);
	expect_opened(&c, 11);
	msg_send(&c.end, MSG_STOP, NULL);
	expect_end(&c, 0, "sx");
	resume_release(&r);
	buf_release(&b);
}

static void
run_check(bool want_sql)
{
	struct buf flags = {0};
	struct checks checks;
	struct child c;
	struct msg m;
	struct err e;

	child_ready(&c, "orders", false); /* without rings */
	buf_u8(&flags, want_sql ? CHECK_SQL : 0);
	found_encode(&(struct found){0}, &flags);
	msg_send(&c.end, MSG_CHECK, &flags);
	expect(&c, MSG_CHECKED, &m);
	assert_int_equal(checks_decode(&m.body, &checks, &e), RC_OK);
	assert_int_equal(checks.count, 1);
	assert_int_equal(checks.sql != NULL, want_sql);
	checks_release(&checks);
	buf_release(&flags);
	expect_end(&c, 0, "c"); /* by itself, and stop is not called */
}

static void
a_check_ends_the_worker(void **state)
{
	(void)state;
	run_check(false);
	run_check(true);
}

static void
wish_and_clear_reach_the_ops(void **state)
{
	struct buf wish = {0}, level = {0};
	struct child c;
	struct msg m;

	(void)state;
	child_ready(&c, "orders", false);
	buf_str(&wish, "paused");
	msg_send(&c.end, MSG_WISH, &wish);
	buf_u8(&level, LOG_LVL_ERROR);
	buf_u8(&level, false);
	msg_send(&c.end, MSG_RELEVEL, &level);
	msg_send(&c.end, MSG_CLEAR, NULL);
	expect(&c, MSG_CLEARED, &m);
	msg_send(&c.end, MSG_STOP, NULL);
	expect_end(&c, 0, "pC");
	buf_release(&wish);
	buf_release(&level);
}

/* ---- ends ---- */

static void
a_closed_socket_ends_it(void **state)
{
	struct child c;

	(void)state;
	child_start(&c, "orders", true);
	hang_up(&c);
	expect_end(&c, 0, "");
	child_ready(&c, "orders", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_opened(&c, 11);
	hang_up(&c);
	expect_end(&c, 0, "fx");
}

static void
a_stop_that_hangs_is_cut_short(void **state)
{
	uint64_t start;
	struct child c;

	(void)state;
	child_ready(&c, "hang", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_opened(&c, 11);
	start = mono_us();
	msg_send(&c.end, MSG_STOP, NULL);
	expect_end(&c, 0, "fx");
	assert_in_range(mono_us() - start, 1000000, 4000000);
}

static void
failures_are_told_and_decide_the_status(void **state)
{
	struct child c;

	(void)state;
	child_ready(&c, "fail-start", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_failed(&c, RC_CONFIG, "cannot log in: no right");
	expect_end(&c, rc_exit(RC_CONFIG), "fx");
	child_ready(&c, "fail-later", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_failed(&c, RC_RETRY, "cannot reach the source: gone");
	expect_end(&c, rc_exit(RC_RETRY), "fx");
	child_ready(&c, "fail-again", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_failed(&c, RC_BUG, "");
	expect_end(&c, rc_exit(RC_BUG), "fx");
}

static void
a_failed_check_is_a_failure(void **state)
{
	struct buf flags = {0};
	struct child c;

	(void)state;
	child_ready(&c, "fail-check", false);
	buf_u8(&flags, 0);
	found_encode(&(struct found){0}, &flags);
	msg_send(&c.end, MSG_CHECK, &flags);
	expect_failed(&c, RC_RETRY, "cannot reach the source");
	expect_end(&c, rc_exit(RC_RETRY), "c");
	buf_release(&flags);
}

static void
signals_of_a_terminal_do_nothing(void **state)
{
	struct child c;
	struct msg m;

	(void)state;
	child_ready(&c, "orders", true);
	kill(c.pid, SIGTERM);
	kill(c.pid, SIGINT);
	kill(c.pid, SIGHUP);
	msg_send(&c.end, MSG_START, NULL);
	expect(&c, MSG_OPENED, &m);
	msg_send(&c.end, MSG_STOP, NULL);
	expect_end(&c, 0, "fx");
}

/* ---- a supervisor of another mind ---- */

static void
messages_out_of_turn_are_refused(void **state)
{
	static const struct {
		bool ready; /* CONFIG was sent and READY has come */
		enum msg_type type;
		const char *body;
		uint8_t len;
		const char *text;
	} cases[] = {
		{false, MSG_START, "", 0, "before the configuration"},
		{false, MSG_CHECK, "\0", 1, "before the configuration"},
		{false, MSG_CONFIG, "?", 1, ""},
		{true, MSG_CONFIG, "", 0, "twice"},
		{true, MSG_DRAIN, "", 0, "before"},
		{true, MSG_STOP, "x", 1, "damaged"},
		{true, MSG_CHECK, "", 0, "damaged"},
		{true, MSG_CHECK, "\0\0", 2, "damaged"},
		{true, MSG_RELEVEL, "\x09\0", 2, "level"},
		{true, MSG_WISH, "\1\0\0\0", 4, "damaged"},
		{true, MSG_CLEAR, "x", 1, "damaged"},
		{true, MSG_START, "x", 1, "damaged"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = {0};
		struct child c;

		if (cases[i].ready)
			child_ready(&c, "orders", true);
		else
			child_start(&c, "orders", true);
		buf_add(&b, cases[i].body, cases[i].len);
		msg_send(&c.end, cases[i].type, &b);
		expect_failed(&c, RC_BUG, cases[i].text);
		expect_end(&c, rc_exit(RC_BUG), "");
		buf_release(&b);
	}
}

static void
a_second_start_is_refused(void **state)
{
	struct child c;

	(void)state;
	child_ready(&c, "orders", true);
	msg_send(&c.end, MSG_START, NULL);
	expect_opened(&c, 11);
	msg_send(&c.end, MSG_START, NULL);
	expect_failed(&c, RC_BUG, "twice");
	expect_end(&c, rc_exit(RC_BUG), "fx");
}

static void
missing_rings_are_a_bug(void **state)
{
	struct child c;

	(void)state;
	child_ready(&c, "orders", false);
	msg_send(&c.end, MSG_START, NULL);
	expect_failed(&c, RC_BUG, "ring");
	expect_end(&c, rc_exit(RC_BUG), "");
}

static void
another_generation_is_refused(void **state)
{
	struct child c;

	(void)state;
	child_ready(&c, "orders", true);
	c.end.generation++;
	msg_send(&c.end, MSG_STOP, NULL);
	c.end.generation--;
	expect_failed(&c, RC_BUG, "generation");
	expect_end(&c, rc_exit(RC_BUG), "");
}

static int
exit_of(int argc, char **argv, bool control)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int pair[2];

		for (int fd = 3; fd < 100; fd++)
			close(fd);
		if (control && (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
				       dup2(pair[0], PROTO_CONTROL_FD) < 0))
			_exit(96);
		dup2(open("/dev/null", O_WRONLY), 2);
		_exit(worker_main(argc, argv, &fake_ops));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
started_by_hand_it_says_so(void **state)
{
	static const struct {
		int argc;
		const char *argv[4];
		bool control;
	} cases[] = {
		{1, {"w"}, true},
		{2, {"w", "orders"}, true},
		{4, {"w", "orders", "1", "2"}, true},
		{3, {"w", "", "1"}, true},
		{3, {"w", "orders", ""}, true},
		{3, {"w", "orders", "x"}, true},
		{3, {"w", "orders", "1x"}, true},
		{3, {"w", "orders", "-1"}, true},
		{3, {"w", "orders", " 1"}, true},
		{3, {"w", "orders", "4294967296"}, true},
		{3, {"w", "orders", "1"}, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char *argv[5] = {0};

		for (int k = 0; k < cases[i].argc; k++)
			argv[k] = xstrdup(cases[i].argv[k]);
		assert_int_equal(
			exit_of(cases[i].argc, argv, cases[i].control), rc_exit(RC_CONFIG));
		for (int k = 0; k < cases[i].argc; k++)
			free(argv[k]);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_life),
		cmocka_unit_test(figures_come_with_opened_and_each_second),
		cmocka_unit_test(a_load_that_ends_waits_for_no_tick),
		cmocka_unit_test(a_start_carries_what_the_target_holds),
		cmocka_unit_test(a_check_ends_the_worker),
		cmocka_unit_test(wish_and_clear_reach_the_ops),
		cmocka_unit_test(a_closed_socket_ends_it),
		cmocka_unit_test(a_stop_that_hangs_is_cut_short),
		cmocka_unit_test(failures_are_told_and_decide_the_status),
		cmocka_unit_test(a_failed_check_is_a_failure),
		cmocka_unit_test(signals_of_a_terminal_do_nothing),
		cmocka_unit_test(messages_out_of_turn_are_refused),
		cmocka_unit_test(a_second_start_is_refused),
		cmocka_unit_test(missing_rings_are_a_bug),
		cmocka_unit_test(another_generation_is_refused),
		cmocka_unit_test(started_by_hand_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
