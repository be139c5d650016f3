/* frame_test.c - events as bytes: round trips, damage, fragments. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "ipc/frame.h"
#include "t/lib/samples.h"

#define SIZE ((size_t)64 * 1024)

/* The frame of a sample in memory of exactly its size, so that a sanitizer sees every step over. */
static unsigned char *
encode(const struct event *ev, size_t *n)
{
	unsigned char *p;

	*n = frame_size(ev);
	p = malloc(*n);
	assert_non_null(p);
	frame_encode(ev, p);
	return p;
}

static enum rc
decode_copy(const unsigned char *p, size_t n)
{
	unsigned char *exact = malloc(n != 0 ? n : 1);
	struct err e = {0};
	struct arena a;
	struct event ev;
	enum rc rc;

	assert_non_null(exact);
	memcpy(exact, p, n);
	arena_init(&a);
	rc = frame_decode(exact, n, &a, &ev, &e);
	if (rc != RC_OK)
		assert_int_not_equal(e.text[0], '\0');
	arena_release(&a);
	free(exact);
	return rc;
}

static void
each_kind_round_trip(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	for (int k = 0; k < EVENT_COUNT; k++) {
		struct event ev = sample_event((enum event_kind)k, &a), back;
		size_t n, m;
		unsigned char *p = encode(&ev, &n), *q;
		struct err e = {0};

		assert_int_equal(frame_decode(p, n, &a, &back, &e), RC_OK);
		assert_int_equal(back.kind, k);
		q = encode(&back, &m);
		assert_int_equal(n, m);
		assert_memory_equal(p, q, n);
		free(q);
		free(p);
	}
	arena_release(&a);
}

/* Encoder and decoder could be wrong in the same way: fields by name. */
static void
fields_are_where_they_belong(void **state)
{
	struct arena a;
	struct event ev, back;
	unsigned char *p, *q;
	struct err e;
	size_t n;

	(void)state;
	arena_init(&a);
	ev = sample_event(EVENT_COMMIT, &a);
	p = encode(&ev, &n);
	assert_int_equal(frame_decode(p, n, &a, &back, &e), RC_OK);
	assert_int_equal(back.commit.at.file, 3);
	assert_int_equal(back.commit.at.offset, 4711);
	assert_int_equal(back.commit.order, ev.commit.order);
	assert_int_equal(back.commit.incarnation, 2);
	assert_int_equal(back.commit.time_us + 1, back.commit.read_us);
	assert_string_equal(back.commit.txid, ev.commit.txid);
	assert_string_equal(back.commit.origin, "");
	assert_string_equal(back.commit.applied, ev.commit.applied);
	assert_string_equal(back.commit.resume, ev.commit.resume);
	ev = sample_event(EVENT_UPDATE, &a);
	q = encode(&ev, &n);
	assert_int_equal(frame_decode(q, n, &a, &back, &e), RC_OK);
	assert_int_equal(back.row.table, 9);
	assert_int_equal(back.row.before.ncols, ev.row.before.ncols);
	for (uint32_t i = 0; i < back.row.after.ncols; i++)
		assert_true(value_equal(&back.row.after.col[i], &ev.row.after.col[i]));
	/* Borrowed from the frame, not copied. */
	assert_in_range((uintptr_t)back.row.after.col[0].data, (uintptr_t)q, (uintptr_t)q + n);
	free(q);
	free(p);
	arena_release(&a);
}

static void
each_truncation_is_an_error(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	for (int k = 0; k < EVENT_COUNT; k++) {
		struct event ev = sample_event((enum event_kind)k, &a);
		size_t n;
		unsigned char *p = encode(&ev, &n), *longer;

		for (size_t i = 0; i < n; i++)
			assert_int_equal(decode_copy(p, i), RC_BUG);
		longer = calloc(1, n + 1);
		assert_non_null(longer);
		memcpy(longer, p, n);
		assert_int_equal(decode_copy(longer, n + 1), RC_BUG);
		free(longer);
		free(p);
	}
	arena_release(&a);
}

/* Not each damage can be seen; none may crash. */
static void
damaged_bytes_do_no_harm(void **state)
{
	static const unsigned char damage[] = {0x00, 0x01, 0x7f, 0x80, 0xfd, 0xfe, 0xff};
	struct arena a;

	(void)state;
	arena_init(&a);
	for (int k = 0; k < EVENT_COUNT; k++) {
		struct event ev = sample_event((enum event_kind)k, &a);
		size_t n;
		unsigned char *p = encode(&ev, &n);

		for (size_t i = 0; i < n; i++) {
			unsigned char was = p[i];

			for (size_t d = 0; d < COUNT_OF(damage); d++) {
				enum rc rc;

				p[i] = damage[d];
				rc = decode_copy(p, n);
				assert_true(rc == RC_OK || rc == RC_BUG || rc == RC_CONFIG);
			}
			p[i] = was;
		}
		free(p);
	}
	arena_release(&a);
}

static void
heads_are_checked(void **state)
{
	static const struct {
		unsigned char head[4];
		enum rc rc;
	} cases[] = {
		{{FRAME_VERSION, EVENT_BEGIN, 0, 0}, RC_OK},
		{{FRAME_VERSION + 1, EVENT_BEGIN, 0, 0}, RC_CONFIG},
		{{0, EVENT_BEGIN, 0, 0}, RC_CONFIG},
		{{FRAME_VERSION, EVENT_COUNT, 0, 0}, RC_CONFIG},
		{{FRAME_VERSION, 255, 0, 0}, RC_CONFIG},
		{{FRAME_VERSION, EVENT_BEGIN, 4, 0}, RC_BUG},
		{{FRAME_VERSION, EVENT_BEGIN, FRAME_MORE, 0}, RC_BUG},
		{{FRAME_VERSION, EVENT_BEGIN, FRAME_CONT, 0}, RC_BUG},
		{{FRAME_VERSION, EVENT_BEGIN, 0, 1}, RC_BUG},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(decode_copy(cases[i].head, 4), cases[i].rc);
}

/* A field of a sample is set to what it may not be. */
static void
values_out_of_range_are_damage(void **state)
{
	static const struct {
		enum event_kind kind;
		size_t at;
		unsigned char value;
	} cases[] = {
		{EVENT_OBJECT, 4, OBJECT_COUNT}, {EVENT_TABLE, 8, TABLE_STATE_COUNT},
		{EVENT_CHUNK, 16, 2}, {EVENT_DDL, 9, '\0'},	    /* inside of "shop" */
		{EVENT_SCHEMA, 11, 0xff}, {EVENT_INSERT, 11, 0x7f}, /* columns */
	};
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct event ev = sample_event(cases[i].kind, &a);
		size_t n;
		unsigned char *p = encode(&ev, &n);

		p[cases[i].at] = cases[i].value;
		assert_int_equal(decode_copy(p, n), RC_BUG);
		free(p);
	}
	arena_release(&a);
}

/* ---- through a ring ---- */

struct pair {
	struct ring_fds fds;
	struct ring *in;
	struct ring *out;
	struct frame_reader reader;
};

static void
pair_open(struct pair *p)
{
	struct err e;

	assert_int_equal(ring_create(&p->fds, SIZE, &e), RC_OK);
	assert_int_equal(ring_open(&p->in, &p->fds, RING_PRODUCER, &e), RC_OK);
	assert_int_equal(ring_open(&p->out, &p->fds, RING_CONSUMER, &e), RC_OK);
	frame_reader_init(&p->reader, p->out);
}

static void
pair_close(struct pair *p)
{
	frame_reader_release(&p->reader);
	ring_close(p->in);
	ring_close(p->out);
	ring_fds_close(&p->fds);
}

static unsigned char *
large_bytes(size_t n)
{
	unsigned char *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 11 + i / 251);
	return p;
}

static struct event
large_event(const unsigned char *bytes, size_t n)
{
	return (struct event){
		.kind = EVENT_SCHEMA, .schema = {.number = 5, .table = bytes, .len = (uint32_t)n}};
}

static void
expect_large(const struct frame_raw *raw, const unsigned char *bytes, size_t n)
{
	struct arena a;
	struct event ev;
	struct err e = {0};

	arena_init(&a);
	assert_int_equal(raw->kind, EVENT_SCHEMA);
	assert_true(raw->owned);
	assert_int_equal(frame_decode(raw->data, raw->len, &a, &ev, &e), RC_OK);
	assert_int_equal(ev.schema.number, 5);
	assert_int_equal(ev.schema.len, n);
	assert_memory_equal(ev.schema.table, bytes, n);
	arena_release(&a);
}

static void
events_go_through_a_ring(void **state)
{
	atomic_bool stop = false;
	struct frame_raw raw;
	struct pair p;
	struct arena a;
	struct err e;

	(void)state;
	pair_open(&p);
	arena_init(&a);
	for (int k = 0; k < EVENT_COUNT; k++) {
		struct event ev = sample_event((enum event_kind)k, &a);

		assert_int_equal(frame_put(p.in, &ev, &stop), RC_OK);
	}
	assert_int_equal(frame_next(&p.reader, &raw, &e), RC_AGAIN);
	ring_publish(p.in);
	for (int k = 0; k < EVENT_COUNT; k++) {
		assert_int_equal(frame_next(&p.reader, &raw, &e), RC_OK);
		assert_int_equal(raw.kind, k);
		assert_false(raw.owned);
		assert_int_equal(decode_copy(raw.data, raw.len), RC_OK);
		ring_release(p.out, raw.end);
	}
	assert_int_equal(frame_next(&p.reader, &raw, &e), RC_AGAIN);
	assert_int_equal(ring_fill(p.out), 0);
	arena_release(&a);
	pair_close(&p);
}

static void
again_means_that_nothing_was_put(void **state)
{
	atomic_bool stop = false;
	unsigned char *bytes = large_bytes(SIZE);
	struct event small = large_event(bytes, 1000), large = large_event(bytes, SIZE);
	struct pair p;
	uint64_t before;

	(void)state;
	pair_open(&p);
	while (frame_put(p.in, &small, &stop) == RC_OK)
		;
	ring_publish(p.in);
	before = ring_bytes(p.in);
	assert_int_equal(frame_put(p.in, &small, &stop), RC_AGAIN);
	assert_int_equal(frame_put(p.in, &large, &stop), RC_AGAIN);
	ring_publish(p.in);
	assert_int_equal(ring_bytes(p.in), before);
	free(bytes);
	pair_close(&p);
}

/* Larger than a frame may be, but not than the ring: no waiting. */
static void
fragments_are_joined(void **state)
{
	atomic_bool stop = false;
	size_t n = SIZE / 2 + 1000;
	unsigned char *bytes = large_bytes(n);
	struct event large = large_event(bytes, n), small = {.kind = EVENT_BEGIN};
	struct frame_raw raw, after;
	struct pair p;
	struct err e;

	(void)state;
	pair_open(&p);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(frame_put(p.in, &large, &stop), RC_OK);
		assert_int_equal(frame_put(p.in, &small, &stop), RC_OK);
		ring_publish(p.in);
		assert_int_equal(frame_next(&p.reader, &raw, &e), RC_OK);
		assert_int_equal(frame_next(&p.reader, &after, &e), RC_OK);
		assert_int_equal(after.kind, EVENT_BEGIN);
		expect_large(&raw, bytes, n); /* ours, whatever was read since */
		free((void *)(uintptr_t)raw.data);
		ring_release(p.out, after.end);
		assert_int_equal(ring_fill(p.in), 0);
	}
	free(bytes);
	pair_close(&p);
}

struct sending {
	struct ring *ring;
	const struct event *events;
	size_t count;
	atomic_bool stop;
	enum rc rc;
};

static void *
send_events(void *arg)
{
	struct sending *s = arg;

	for (size_t i = 0; i < s->count; i++) {
		while ((s->rc = frame_put(s->ring, &s->events[i], &s->stop)) == RC_AGAIN &&
			!s->stop)
			ring_wait_space(s->ring, frame_size(&s->events[i]), 50);
		if (s->rc != RC_OK)
			break;
	}
	ring_publish(s->ring);
	return NULL;
}

static void
next_waiting(struct pair *p, struct frame_raw *raw)
{
	struct err e = {0};
	enum rc rc;

	while ((rc = frame_next(&p->reader, raw, &e)) == RC_AGAIN)
		ring_wait_data(p->out, 1000);
	assert_int_equal(rc, RC_OK);
}

static void
an_event_may_be_larger_than_the_ring(void **state)
{
	size_t n = SIZE * 5 + 17;
	unsigned char *bytes = large_bytes(n);
	struct event events[] = {{.kind = EVENT_BEGIN}, large_event(bytes, n),
		large_event(bytes, n), {.kind = EVENT_BEGIN}};
	struct sending s = {.events = events, .count = COUNT_OF(events)};
	struct frame_raw raw;
	pthread_t thread;
	struct pair p;

	(void)state;
	pair_open(&p);
	s.ring = p.in;
	assert_int_equal(pthread_create(&thread, NULL, send_events, &s), 0);
	for (size_t i = 0; i < COUNT_OF(events); i++) {
		next_waiting(&p, &raw);
		assert_int_equal(raw.kind, events[i].kind);
		ring_release(p.out, raw.end);
		if (raw.owned) {
			expect_large(&raw, bytes, n);
			free((void *)(uintptr_t)raw.data);
		}
	}
	pthread_join(thread, NULL);
	assert_int_equal(s.rc, RC_OK);
	free(bytes);
	pair_close(&p);
}

/* A frame before the large event is held: it says so, and goes on when that is given back. */
static void
a_stall_is_told(void **state)
{
	size_t n = SIZE * 2;
	unsigned char *bytes = large_bytes(n);
	struct event events[] = {{.kind = EVENT_BEGIN}, large_event(bytes, n)};
	struct sending s = {.events = events, .count = COUNT_OF(events)};
	struct frame_raw first, raw;
	pthread_t thread;
	struct pair p;
	struct err e;

	(void)state;
	pair_open(&p);
	s.ring = p.in;
	assert_int_equal(pthread_create(&thread, NULL, send_events, &s), 0);
	next_waiting(&p, &first);
	assert_false(frame_stalled(&p.reader));
	while (!frame_stalled(&p.reader)) {
		assert_int_equal(frame_next(&p.reader, &raw, &e), RC_AGAIN);
		ring_wait_data(p.out, 10);
	}
	assert_int_equal(first.data[1], EVENT_BEGIN); /* what is held stays */
	ring_release(p.out, first.end);
	assert_false(frame_stalled(&p.reader));
	next_waiting(&p, &raw);
	expect_large(&raw, bytes, n);
	free((void *)(uintptr_t)raw.data);
	pthread_join(thread, NULL);
	free(bytes);
	pair_close(&p);
}

static void
stop_ends_the_wait_for_room(void **state)
{
	size_t n = SIZE * 2;
	unsigned char *bytes = large_bytes(n);
	struct event large = large_event(bytes, n);
	struct sending s = {.events = &large, .count = 1};
	pthread_t thread;
	struct pair p;

	(void)state;
	pair_open(&p);
	s.ring = p.in;
	assert_int_equal(pthread_create(&thread, NULL, send_events, &s), 0);
	while (ring_fill(p.out) < SIZE / 2)
		ring_wait_data(p.out, 10);
	s.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(s.rc, RC_AGAIN);
	free(bytes);
	pair_close(&p);
}

static void
fragments_out_of_order_are_refused(void **state)
{
	static const struct {
		unsigned char heads[3][4]; /* version 0 ends */
		int good;		   /* so many are taken with AGAIN */
	} cases[] = {
		{{{FRAME_VERSION, EVENT_DDL, FRAME_CONT, 0}}, 0},
		{{{FRAME_VERSION, EVENT_DDL, FRAME_CONT | FRAME_MORE, 0}}, 0},
		{{{FRAME_VERSION, EVENT_DDL, FRAME_MORE, 0}, {FRAME_VERSION, EVENT_DDL, 0, 0}}, 1},
		{{{FRAME_VERSION, EVENT_DDL, FRAME_MORE, 0},
			 {FRAME_VERSION, EVENT_DDL, FRAME_MORE, 0}},
			1},
		{{{FRAME_VERSION, EVENT_DDL, FRAME_MORE, 0},
			 {FRAME_VERSION, EVENT_TABLE, FRAME_CONT, 0}},
			1},
		{{{FRAME_VERSION, EVENT_DDL, FRAME_MORE, 0},
			 {FRAME_VERSION, EVENT_DDL, FRAME_CONT | FRAME_MORE, 0},
			 {FRAME_VERSION, EVENT_DDL, 8, 0}},
			2},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct frame_raw raw;
		unsigned char *to;
		struct pair p;
		struct err e;

		pair_open(&p);
		for (int k = 0; k <= cases[i].good; k++) {
			assert_int_equal(ring_reserve(p.in, 6, &to), RC_OK);
			memcpy(to, cases[i].heads[k], 4);
			memcpy(to + 4, "xy", 2);
			ring_commit(p.in, 6);
			ring_publish(p.in);
			assert_int_equal(frame_next(&p.reader, &raw, &e),
				k < cases[i].good ? RC_AGAIN : RC_BUG);
		}
		pair_close(&p);
	}
}

static void
short_and_foreign_frames_are_refused(void **state)
{
	static const struct {
		unsigned char bytes[4];
		size_t n;
		enum rc rc;
	} cases[] = {{{0}, 0, RC_BUG}, {{FRAME_VERSION, 1, 0}, 3, RC_BUG},
		{{FRAME_VERSION + 1, 1, 0, 0}, 4, RC_CONFIG},
		{{FRAME_VERSION, EVENT_COUNT, 0, 0}, 4, RC_CONFIG},
		{{FRAME_VERSION, 1, 0, 9}, 4, RC_BUG}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct frame_raw raw;
		unsigned char *to;
		struct pair p;
		struct err e;

		pair_open(&p);
		assert_int_equal(ring_reserve(p.in, cases[i].n, &to), RC_OK);
		memcpy(to, cases[i].bytes, cases[i].n);
		ring_commit(p.in, cases[i].n);
		ring_publish(p.in);
		assert_int_equal(frame_next(&p.reader, &raw, &e), cases[i].rc);
		pair_close(&p);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_round_trip),
		cmocka_unit_test(fields_are_where_they_belong),
		cmocka_unit_test(each_truncation_is_an_error),
		cmocka_unit_test(damaged_bytes_do_no_harm),
		cmocka_unit_test(heads_are_checked),
		cmocka_unit_test(values_out_of_range_are_damage),
		cmocka_unit_test(events_go_through_a_ring),
		cmocka_unit_test(again_means_that_nothing_was_put),
		cmocka_unit_test(fragments_are_joined),
		cmocka_unit_test(an_event_may_be_larger_than_the_ring),
		cmocka_unit_test(a_stall_is_told),
		cmocka_unit_test(stop_ends_the_wait_for_room),
		cmocka_unit_test(fragments_out_of_order_are_refused),
		cmocka_unit_test(short_and_foreign_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
