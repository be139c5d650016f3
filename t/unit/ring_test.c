/* ring_test.c - the ring: order, wrap, full, hostile neighbours, bells, two processes. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/ring.h"

#define SIZE ((size_t)64 * 1024)
#define FRAMES 1000000u
#define LARGEST 700u
#define HELD 16

/* Where a page of ring.c keeps its words: a hostile neighbour knows. */
#define AT_VERSION 4
#define AT_SIZE 8
#define AT_CURSOR 64

struct pair {
	struct ring_fds fds;
	struct ring *in;  /* producer's end */
	struct ring *out; /* consumer's end */
};

static struct pair
pair_open(void)
{
	struct err e = {0};
	struct pair p;

	assert_int_equal(ring_create(&p.fds, SIZE, &e), RC_OK);
	assert_int_equal(ring_open(&p.in, &p.fds, RING_PRODUCER, &e), RC_OK);
	assert_int_equal(ring_open(&p.out, &p.fds, RING_CONSUMER, &e), RC_OK);
	return p;
}

static void
pair_close(struct pair *p)
{
	ring_close(p->in);
	ring_close(p->out);
	ring_fds_close(&p->fds);
}

static uint32_t
next_random(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

/* Content that follows from the frame's number. */
static void
fill(unsigned char *to, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)(number * 31 + i * 7);
}

static bool
is_filled(const unsigned char *p, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != (unsigned char)(number * 31 + i * 7))
			return false;
	return true;
}

static bool
put(struct ring *r, size_t n, uint32_t number)
{
	unsigned char *to;
	enum rc rc = ring_reserve(r, n, &to);

	if (rc == RC_AGAIN)
		return false;
	assert_int_equal(rc, RC_OK);
	fill(to, n, number);
	ring_commit(r, n);
	return true;
}

static void
take(struct ring *r, size_t n, uint32_t number, struct ring_frame *f)
{
	struct err e = {0};

	assert_int_equal(ring_next(r, f, &e), RC_OK);
	assert_int_equal(f->len, n);
	assert_true(is_filled(f->data, n, number));
}

static void
expect_none(struct ring *r)
{
	struct ring_frame f;
	struct err e;

	assert_int_equal(ring_next(r, &f, &e), RC_AGAIN);
}

/* ---- making and opening ---- */

static void
sizes_are_checked(void **state)
{
	static const size_t bad[] = {0, 4096, SIZE - 1, SIZE + 1, SIZE * 3, (size_t)2 << 30};
	struct ring_fds fds;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_int_equal(ring_create(&fds, bad[i], &e), RC_CONFIG);
		for (int k = 0; k < RING_FD_COUNT; k++)
			assert_int_equal(fds.fd[k], -1);
		ring_fds_close(&fds);
	}
}

static void
descriptors_are_sealed_and_private(void **state)
{
	struct pair p = pair_open();

	(void)state;
	for (int i = 0; i < RING_FD_COUNT; i++)
		assert_true(fcntl(p.fds.fd[i], F_GETFD) & FD_CLOEXEC);
	for (int i = RING_FD_DATA; i <= RING_FD_CONSUMER; i++) {
		assert_int_equal(
			fcntl(p.fds.fd[i], F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		assert_int_equal(ftruncate(p.fds.fd[i], 1), -1);
	}
	assert_int_equal(ring_size(p.in), SIZE);
	assert_int_equal(ring_size(p.out), SIZE);
	assert_true(ring_max_frame(p.in) < SIZE / 2);
	pair_close(&p);
	for (int i = 0; i < RING_FD_COUNT; i++)
		assert_int_equal(p.fds.fd[i], -1);
}

static void
expect_refused(const struct ring_fds *fds, enum rc rc)
{
	struct ring *r;
	struct err e = {0};

	assert_int_equal(ring_open(&r, fds, RING_CONSUMER, &e), rc);
	assert_null(r);
	assert_int_not_equal(e.text[0], '\0');
}

static void
what_is_no_ring_is_not_opened(void **state)
{
	struct pair p = pair_open();
	struct ring_fds fds = p.fds;
	int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	assert_int_equal(ftruncate(loose, (off_t)SIZE), 0);
	fds.fd[RING_FD_DATA] = loose; /* not sealed */
	expect_refused(&fds, RC_BUG);
	fds.fd[RING_FD_DATA] = p.fds.fd[RING_FD_DATA_BELL]; /* not a memfd */
	expect_refused(&fds, RC_BUG);
	fds.fd[RING_FD_DATA] = p.fds.fd[RING_FD_PRODUCER]; /* too small */
	expect_refused(&fds, RC_BUG);
	fds = p.fds;
	fds.fd[RING_FD_PRODUCER] = p.fds.fd[RING_FD_DATA]; /* too large */
	expect_refused(&fds, RC_BUG);
	fds = p.fds;
	fds.fd[RING_FD_CONSUMER] = -1;
	expect_refused(&fds, RC_BUG);
	close(loose);
	pair_close(&p);
}

static void
damaged_pages_are_not_opened(void **state)
{
	static const struct {
		off_t at;
		uint32_t value;
	} damage[] = {{0, 0}, {AT_VERSION, 99}, {AT_SIZE, (uint32_t)SIZE * 2}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(damage); i++) {
		struct pair p = pair_open();

		assert_int_equal(pwrite(p.fds.fd[RING_FD_PRODUCER], &damage[i].value,
					 sizeof damage[i].value, damage[i].at),
			sizeof damage[i].value);
		expect_refused(&p.fds, RC_CONFIG);
		pair_close(&p);
	}
}

static void
the_consumer_cannot_write_the_data(void **state)
{
	struct pair p = pair_open();
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct ring_frame f;

	(void)state;
	assert_true(put(p.in, 100, 1));
	ring_publish(p.in);
	take(p.out, 100, 1, &f);
	/* The kernel says EFAULT where we would get a signal. */
	assert_int_equal(read(zero, (void *)(uintptr_t)f.data, 1), -1);
	assert_int_equal(errno, EFAULT);
	close(zero);
	pair_close(&p);
}

/* ---- frames ---- */

static void
frames_appear_when_published(void **state)
{
	struct pair p = pair_open();
	struct ring_frame f;

	(void)state;
	expect_none(p.out);
	assert_true(put(p.in, 10, 1));
	assert_true(put(p.in, 0, 2));
	expect_none(p.out);
	ring_publish(p.in);
	take(p.out, 10, 1, &f);
	assert_int_equal((uintptr_t)f.data % 8, 0);
	take(p.out, 0, 2, &f);
	expect_none(p.out);
	assert_int_equal(ring_fill(p.out), f.end);
	assert_int_equal(ring_fill(p.in), f.end);
	assert_int_equal(ring_bytes(p.in), f.end);
	assert_int_equal(ring_bytes(p.out), f.end);
	assert_int_equal(ring_released(p.out), 0);
	ring_release(p.out, f.end);
	assert_int_equal(ring_released(p.out), f.end);
	assert_int_equal(ring_fill(p.in), 0);
	ring_release(p.out, 0); /* goes back: does nothing */
	assert_int_equal(ring_released(p.out), f.end);
	pair_close(&p);
}

static void
a_commit_may_be_smaller_than_its_reservation(void **state)
{
	struct pair p = pair_open();
	struct ring_frame f;
	unsigned char *to;

	(void)state;
	assert_int_equal(ring_reserve(p.in, 1000, &to), RC_OK);
	fill(to, 3, 1);
	ring_commit(p.in, 3);
	assert_true(put(p.in, 5, 2));
	ring_publish(p.in);
	take(p.out, 3, 1, &f);
	take(p.out, 5, 2, &f);
	assert_int_equal(f.end, 32);
	pair_close(&p);
}

static void
frames_wrap_around(void **state)
{
	struct pair p = pair_open();
	uint32_t seed = 7;
	struct ring_frame f;

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		size_t n = next_random(&seed) % (ring_max_frame(p.in) / 4);

		assert_true(put(p.in, n, i));
		ring_publish(p.in);
		take(p.out, n, i, &f);
		ring_release(p.out, f.end);
	}
	assert_true(ring_bytes(p.out) > 100 * SIZE);
	pair_close(&p);
}

static void
a_full_ring_says_again(void **state)
{
	struct pair p = pair_open();
	struct ring_frame f;
	uint32_t in = 0;

	(void)state;
	while (put(p.in, 1000, in))
		in++;
	assert_int_equal(in, SIZE / 1008);
	ring_publish(p.in);
	for (uint32_t i = 0; i < in; i++)
		take(p.out, 1000, i, &f);
	assert_false(put(p.in, 1000, in)); /* scanned is not released */
	ring_release(p.out, f.end);
	assert_true(put(p.in, 1000, in));
	pair_close(&p);
}

static void
limits_of_a_frame(void **state)
{
	struct pair p = pair_open();
	size_t max = ring_max_frame(p.in);
	struct ring_frame f;
	unsigned char *to;

	(void)state;
	assert_int_equal(ring_reserve(p.in, max + 1, &to), RC_BUG);
	assert_int_equal(ring_reserve(p.in, SIZE_MAX, &to), RC_BUG);
	assert_int_equal(ring_reserve(p.in, SIZE_MAX - 8, &to), RC_BUG);
	assert_true(put(p.in, max, 1));
	assert_true(put(p.in, max, 2)); /* two halves fill the ring to the byte */
	assert_false(put(p.in, 0, 3));
	ring_publish(p.in);
	take(p.out, max, 1, &f);
	take(p.out, max, 2, &f);
	assert_int_equal(f.end, SIZE);
	pair_close(&p);
}

static void
frames_are_kept_until_released(void **state)
{
	struct pair p = pair_open();
	struct ring_frame kept[HELD];
	uint32_t number = 0, seen = 0;

	(void)state;
	for (int round = 0; round < 500; round++) {
		for (int i = 0; i < HELD; i++)
			assert_true(put(p.in, 2000, number++));
		ring_publish(p.in);
		for (int i = 0; i < HELD; i++)
			take(p.out, 2000, seen++, &kept[i]);
		/* The producer goes on as far as it can; what we hold stays. */
		while (put(p.in, 500, 0xffff))
			;
		for (int i = 0; i < HELD; i++) {
			assert_true(is_filled(kept[i].data, 2000, seen - HELD + (uint32_t)i));
			ring_release(p.out, kept[i].end);
		}
		ring_publish(p.in);
		while (ring_fill(p.out) != 0) {
			take(p.out, 500, 0xffff, &kept[0]);
			ring_release(p.out, kept[0].end);
		}
	}
	pair_close(&p);
}

/* ---- hostile neighbours ---- */

static void
set_cursor(const struct pair *p, enum ring_fd page, uint64_t value)
{
	assert_int_equal(pwrite(p->fds.fd[page], &value, sizeof value, AT_CURSOR), sizeof value);
}

static void
impossible_cursors_of_the_producer(void **state)
{
	static const int64_t ahead[] = {4, 7, (int64_t)SIZE + 8, (int64_t)SIZE * 2, -8,
		-(int64_t)SIZE, INT64_MAX, INT64_MIN, (int64_t)SIZE}; /* the last: 16 are held */
	struct ring_frame f;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ahead); i++) {
		struct pair p = pair_open();

		assert_true(put(p.in, 8, 1));
		ring_publish(p.in);
		take(p.out, 8, 1, &f);
		set_cursor(&p, RING_FD_PRODUCER, f.end + (uint64_t)ahead[i]);
		assert_int_equal(ring_next(p.out, &f, &e), RC_BUG);
		assert_int_equal(ring_next(p.out, &f, &e), RC_BUG); /* and stays so */
		assert_true(ring_fill(p.out) <= SIZE);
		pair_close(&p);
	}
}

static void
impossible_cursors_of_the_consumer(void **state)
{
	static const int64_t ahead[] = {
		1, 8, (int64_t)SIZE, INT64_MAX, INT64_MIN, -(int64_t)SIZE * 2};
	unsigned char *to;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ahead); i++) {
		struct pair p = pair_open();

		while (put(p.in, 1000, 1))
			;
		ring_publish(p.in);
		set_cursor(&p, RING_FD_CONSUMER, ring_bytes(p.in) + (uint64_t)ahead[i]);
		assert_int_equal(ring_reserve(p.in, 1000, &to), RC_AGAIN);
		assert_int_equal(ring_reserve(p.in, 0, &to), RC_AGAIN);
		assert_true(ring_fill(p.in) <= SIZE);
		ring_wait_space(p.in, 1000, 1);
		pair_close(&p);
	}
}

static void
impossible_lengths(void **state)
{
	static const struct {
		uint32_t length;
		enum rc rc;
	} heads[] = {{24, RC_OK}, {17, RC_OK}, {0, RC_OK}, {25, RC_BUG}, {32, RC_BUG},
		{(uint32_t)SIZE, RC_BUG}, {UINT32_MAX, RC_BUG}, {UINT32_MAX - 7, RC_BUG},
		{1u << 31, RC_BUG}};
	struct ring_frame f;
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		struct pair p = pair_open();

		assert_true(put(p.in, 24, 1));
		ring_publish(p.in);
		assert_int_equal(pwrite(p.fds.fd[RING_FD_DATA], &heads[i].length, 4, 0), 4);
		assert_int_equal(ring_next(p.out, &f, &e), heads[i].rc);
		pair_close(&p);
	}
}

/* ---- bells ---- */

static bool
is_rung(const struct ring *r)
{
	struct pollfd p = {.fd = ring_data_bell(r), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void
the_bell_rings_for_a_sleeper_only(void **state)
{
	struct pair p = pair_open();
	struct ring_frame f;

	(void)state;
	assert_true(put(p.in, 8, 1));
	ring_publish(p.in);
	assert_false(is_rung(p.out));  /* nobody asked */
	assert_false(ring_arm(p.out)); /* there is data already */
	take(p.out, 8, 1, &f);
	assert_true(ring_arm(p.out));
	assert_false(is_rung(p.out));
	assert_true(put(p.in, 8, 2));
	assert_false(is_rung(p.out));
	ring_publish(p.in);
	assert_true(is_rung(p.out));
	ring_disarm(p.out);
	assert_false(is_rung(p.out));
	ring_publish(p.in); /* nothing new */
	assert_false(is_rung(p.out));
	pair_close(&p);
}

static void
waits_end_in_time(void **state)
{
	struct pair p = pair_open();

	(void)state;
	ring_wait_data(p.out, 1);     /* nothing comes */
	ring_wait_space(p.in, 8, -1); /* there is room */
	while (put(p.in, 1000, 1))
		;
	ring_wait_space(p.in, 1000, 1); /* full; publishes */
	ring_wait_data(p.out, -1);	/* there is data */
	pair_close(&p);
}

/* One frame each way at a time, and no time-out: a lost wake-up hangs. */
static void *
ping(void *arg)
{
	struct ring *r = arg;

	for (uint32_t i = 0; i < 20000; i++) {
		while (!put(r, ring_max_frame(r), i))
			ring_wait_space(r, ring_max_frame(r), -1);
		ring_publish(r);
	}
	return NULL;
}

static void
no_wake_up_is_lost(void **state)
{
	struct pair p = pair_open();
	struct ring_frame f;
	pthread_t thread;
	struct err e;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, ping, p.in), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		while (ring_next(p.out, &f, &e) == RC_AGAIN)
			ring_wait_data(p.out, -1);
		assert_int_equal(f.len, ring_max_frame(p.out));
		assert_int_equal(f.data[0], (unsigned char)(i * 31));
		ring_release(p.out, f.end);
	}
	pthread_join(thread, NULL);
	pair_close(&p);
}

/* ---- two processes ---- */

static size_t
random_length(uint32_t *seed)
{
	uint32_t x = next_random(seed);

	return x % 1000 == 0 ? x / 1000 % (SIZE / 2 - 8) : x % LARGEST;
}

static void
produce(const struct ring_fds *fds)
{
	struct ring *r;
	struct err e;
	uint32_t seed = 12345;

	if (ring_open(&r, fds, RING_PRODUCER, &e) != RC_OK)
		_exit(1);
	for (uint32_t i = 0; i < FRAMES; i++) {
		size_t n = random_length(&seed);
		unsigned char *to;

		while (ring_reserve(r, n, &to) == RC_AGAIN)
			ring_wait_space(r, n, -1);
		fill(to, n, i);
		ring_commit(r, n);
		if (i % 7 == 0)
			ring_publish(r);
	}
	ring_publish(r);
	_exit(0);
}

/* Holds HELD frames back; gives them back when the ring is half full, too: else both would wait. */
static uint32_t
consume(struct ring *r)
{
	struct ring_frame held[HELD] = {0};
	uint32_t seed = 12345;

	for (uint32_t i = 0; i < FRAMES; i++) {
		struct ring_frame *f = &held[i % HELD];
		size_t n = random_length(&seed);
		struct err e;
		enum rc rc;

		if (f->end != 0)
			ring_release(r, f->end);
		while ((rc = ring_next(r, f, &e)) == RC_AGAIN) {
			if (i != 0)
				ring_release(r, held[(i - 1) % HELD].end);
			ring_wait_data(r, -1);
		}
		if (rc != RC_OK || f->len != n || !is_filled(f->data, n, i))
			return i;
	}
	return FRAMES;
}

static void
a_million_frames_between_processes(void **state)
{
	struct ring_fds fds;
	struct ring *r;
	struct err e;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(ring_create(&fds, SIZE, &e), RC_OK);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		produce(&fds);
	assert_int_equal(ring_open(&r, &fds, RING_CONSUMER, &e), RC_OK);
	assert_int_equal(consume(r), FRAMES);
	expect_none(r);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ring_close(r);
	ring_fds_close(&fds);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_checked),
		cmocka_unit_test(descriptors_are_sealed_and_private),
		cmocka_unit_test(what_is_no_ring_is_not_opened),
		cmocka_unit_test(damaged_pages_are_not_opened),
		cmocka_unit_test(the_consumer_cannot_write_the_data),
		cmocka_unit_test(frames_appear_when_published),
		cmocka_unit_test(a_commit_may_be_smaller_than_its_reservation),
		cmocka_unit_test(frames_wrap_around),
		cmocka_unit_test(a_full_ring_says_again),
		cmocka_unit_test(limits_of_a_frame),
		cmocka_unit_test(frames_are_kept_until_released),
		cmocka_unit_test(impossible_cursors_of_the_producer),
		cmocka_unit_test(impossible_cursors_of_the_consumer),
		cmocka_unit_test(impossible_lengths),
		cmocka_unit_test(the_bell_rings_for_a_sleeper_only),
		cmocka_unit_test(waits_end_in_time),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(a_million_frames_between_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
