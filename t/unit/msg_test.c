/* msg_test.c - control messages: both ways, in pieces, and what is refused. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "ipc/msg.h"

#define GENERATION 7u

struct pair {
	int fd[2];
	struct msg_end supervisor;
	struct msg_end worker;
};

static void
pair_open(struct pair *p)
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd), 0);
	msg_end_init(&p->supervisor, p->fd[0], FROM_SUPERVISOR, GENERATION);
	msg_end_init(&p->worker, p->fd[1], FROM_WORKER, GENERATION);
}

static void
pair_close(struct pair *p)
{
	msg_end_release(&p->supervisor);
	msg_end_release(&p->worker);
	close(p->fd[0]);
	close(p->fd[1]);
}

static void
names_are_one_list(void **state)
{
	(void)state;
	assert_string_equal(msg_name(MSG_CONFIG), "config");
	assert_string_equal(msg_name(MSG_FAILED), "failed");
	assert_string_equal(msg_name(MSG_COUNT), "unknown");
	for (int i = 0; i < MSG_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(
				msg_name((enum msg_type)i), msg_name((enum msg_type)k));
	for (int i = 0; i < STAT_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(
				stat_name((enum statistic)i), stat_name((enum statistic)k));
	assert_string_equal(stat_name(STAT_COUNT), "unknown");
	assert_true(stat_is_gauge(STAT_RING_FILL));
	assert_false(stat_is_gauge(STAT_INSERTS));
	assert_false(stat_is_gauge(STAT_COUNT));
}

static void
each_message_arrives(void **state)
{
	struct pair p;
	struct buf body = {0};
	struct msg m;
	struct err e;

	(void)state;
	pair_open(&p);
	buf_str(&body, "body");
	/* What stands before READY is the supervisor's, see MSG_LIST. */
	for (int i = 0; i < MSG_COUNT; i++) {
		bool down = i < MSG_READY;

		msg_send(down ? &p.supervisor : &p.worker, (enum msg_type)i, i % 2 ? &body : NULL);
		assert_int_equal(msg_receive(down ? &p.worker : &p.supervisor, &m, &e), RC_OK);
		assert_int_equal(m.type, i);
		assert_int_equal(cursor_left(&m.body), i % 2 ? body.len : 0);
		assert_int_equal(msg_receive(down ? &p.worker : &p.supervisor, &m, &e), RC_AGAIN);
	}
	buf_release(&body);
	pair_close(&p);
}

static void
several_messages_come_in_order(void **state)
{
	struct pair p;
	struct msg m;
	struct err e;

	(void)state;
	pair_open(&p);
	for (uint32_t i = 0; i < 1000; i++) {
		struct buf b = {0};

		buf_u32(&b, i);
		msg_send(&p.supervisor, MSG_WISH, &b);
		buf_release(&b);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(msg_receive(&p.worker, &m, &e), RC_OK);
		assert_int_equal(cursor_u32(&m.body), i);
		assert_true(cursor_done(&m.body));
		(void)!msg_flush(&p.supervisor, &e);
	}
	assert_int_equal(msg_flush(&p.supervisor, &e), RC_OK);
	assert_int_equal(p.supervisor.out.len, 0);
	pair_close(&p);
}

/* Far more than a socket takes at once: sender and receiver take turns. */
static void
a_large_message_goes_in_pieces(void **state)
{
	size_t n = (size_t)24 << 20;
	struct buf body = {0};
	unsigned again = 0;
	struct pair p;
	struct msg m;
	struct err e;
	enum rc rc;

	(void)state;
	pair_open(&p);
	memset(buf_reserve(&body, n), 'x', n);
	body.len = n;
	msg_send(&p.worker, MSG_OPENED, &body);
	msg_send(&p.worker, MSG_DRAINED, NULL);
	assert_int_not_equal(p.worker.out.len, 0);
	while ((rc = msg_receive(&p.supervisor, &m, &e)) == RC_AGAIN) {
		again++;
		(void)!msg_flush(&p.worker, &e);
	}
	assert_int_equal(rc, RC_OK);
	assert_true(again > 10);
	assert_int_equal(m.type, MSG_OPENED);
	assert_int_equal(cursor_left(&m.body), n);
	assert_memory_equal(m.body.p, body.data, n);
	(void)!msg_flush(&p.worker, &e);
	assert_int_equal(msg_receive(&p.supervisor, &m, &e), RC_OK);
	assert_int_equal(m.type, MSG_DRAINED);
	buf_release(&body);
	pair_close(&p);
}

static void
bytes_may_come_one_by_one(void **state)
{
	struct pair p;
	struct buf raw = {0};
	struct msg m;
	struct err e;

	(void)state;
	pair_open(&p);
	buf_u32(&raw, 5 + 3);
	buf_u8(&raw, MSG_START);
	buf_u32(&raw, GENERATION);
	buf_add(&raw, "abc", 3);
	for (size_t i = 0; i < raw.len; i++) {
		assert_int_equal(msg_receive(&p.worker, &m, &e), RC_AGAIN);
		assert_int_equal(write(p.fd[0], raw.data + i, 1), 1);
	}
	assert_int_equal(msg_receive(&p.worker, &m, &e), RC_OK);
	assert_int_equal(m.type, MSG_START);
	assert_int_equal(cursor_left(&m.body), 3);
	buf_release(&raw);
	pair_close(&p);
}

static void
what_cannot_be_is_refused(void **state)
{
	static const struct {
		uint32_t length;
		uint8_t type;
		uint32_t generation;
		enum rc rc;
	} cases[] = {
		{5, MSG_STOP, GENERATION, RC_OK},
		{6, MSG_STOP, GENERATION, RC_AGAIN}, /* a byte is still to come */
		{4, MSG_STOP, GENERATION, RC_BUG},
		{0, MSG_STOP, GENERATION, RC_BUG},
		{PROTO_MAX_MESSAGE + 1, MSG_STOP, GENERATION, RC_BUG},
		{UINT32_MAX, MSG_STOP, GENERATION, RC_BUG},
		{5, MSG_COUNT, GENERATION, RC_BUG},
		{5, 255, GENERATION, RC_BUG},
		{5, MSG_READY, GENERATION, RC_BUG}, /* a worker's own word */
		{5, MSG_STOP, GENERATION - 1, RC_BUG},
		{5, MSG_STOP, GENERATION + 1, RC_BUG},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf raw = {0};
		struct pair p;
		struct msg m;
		struct err e;

		pair_open(&p);
		buf_u32(&raw, cases[i].length);
		buf_u8(&raw, cases[i].type);
		buf_u32(&raw, cases[i].generation);
		assert_int_equal(write(p.fd[0], raw.data, raw.len), raw.len);
		assert_int_equal(msg_receive(&p.worker, &m, &e), cases[i].rc);
		buf_release(&raw);
		pair_close(&p);
	}
}

static void
a_closed_socket_is_seen_after_the_last_message(void **state)
{
	struct buf half = {0};
	struct pair p;
	struct msg m;
	struct err e;

	(void)state;
	pair_open(&p);
	msg_send(&p.supervisor, MSG_DRAIN, NULL);
	buf_u32(&half, 100);
	assert_int_equal(write(p.fd[0], half.data, half.len), half.len);
	shutdown(p.fd[0], SHUT_RDWR);
	assert_int_equal(msg_receive(&p.worker, &m, &e), RC_OK);
	assert_int_equal(m.type, MSG_DRAIN);
	assert_int_equal(msg_receive(&p.worker, &m, &e), RC_RETRY);
	assert_int_equal(msg_receive(&p.worker, &m, &e), RC_RETRY);
	msg_send(&p.worker, MSG_DRAINED, NULL); /* no SIGPIPE */
	assert_int_equal(msg_flush(&p.worker, &e), RC_RETRY);
	buf_release(&half);
	pair_close(&p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_one_list),
		cmocka_unit_test(each_message_arrives),
		cmocka_unit_test(several_messages_come_in_order),
		cmocka_unit_test(a_large_message_goes_in_pieces),
		cmocka_unit_test(bytes_may_come_one_by_one),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(a_closed_socket_is_seen_after_the_last_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
