/*
 * ring_bench.c - what the ring costs beside a bare one.
 *
 *     ring_bench [MEGABYTES]
 *
 * A producer process copies records in, a consumer process copies them out,
 * publishing and releasing every 64 records or each. The peer is the same loop
 * over two cursors and memcpy: no heads, no checks, no bells; it yields where
 * ours sleeps. The rings fit into a cache, so that memory hides nothing. Ours
 * and peer take turns; the median of the rounds counts.
 */
#include "common/compat.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop.h"
#include "ipc/ring.h"

#define RING_SIZE ((size_t)1 << 20)
#define ROUNDS 5
#define MEGABYTES 256
#define GOAL 0.8
#define LARGEST 1024

struct load {
	const char *name;
	size_t record;
	uint64_t every; /* records between two publications */
	uint64_t count;
};

/* The bare ring: whole records, so none lies across the end. */
struct bare {
	_Alignas(64) _Atomic uint64_t published; /* in records */
	_Alignas(64) _Atomic uint64_t released;
	_Alignas(64) unsigned char data[RING_SIZE];
};

struct rings {
	struct ring_fds fds;
	struct bare *bare;
};

static unsigned char record[LARGEST], sink[LARGEST];

static void
must(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

/* ---- ours ---- */

static void
produce(const struct rings *rs, const struct load *l)
{
	struct ring *r;
	struct err e;
	unsigned char *to;

	must(ring_open(&r, &rs->fds, RING_PRODUCER, &e) == RC_OK, "ring_open");
	for (uint64_t i = 0; i < l->count; i++) {
		while (ring_reserve(r, l->record, &to) != RC_OK)
			ring_wait_space(r, l->record, 1000);
		memcpy(to, record, l->record);
		ring_commit(r, l->record);
		if ((i + 1) % l->every == 0)
			ring_publish(r);
	}
	ring_publish(r);
}

static void
consume(const struct rings *rs, const struct load *l)
{
	struct ring_frame f;
	struct ring *r;
	struct err e;
	enum rc rc;

	must(ring_open(&r, &rs->fds, RING_CONSUMER, &e) == RC_OK, "ring_open");
	for (uint64_t i = 0; i < l->count; i++) {
		while ((rc = ring_next(r, &f, &e)) == RC_AGAIN)
			ring_wait_data(r, 1000);
		must(rc == RC_OK && f.len == l->record, "ring_next");
		memcpy(sink, f.data, f.len);
		if ((i + 1) % l->every == 0)
			ring_release(r, f.end);
	}
	ring_close(r);
}

/* ---- the peer ---- */

static void
bare_produce(const struct rings *rs, const struct load *l)
{
	struct bare *b = rs->bare;
	uint64_t slots = RING_SIZE / l->record, seen = 0, slot = 0;

	for (uint64_t i = 0; i < l->count; i++) {
		while (i - seen == slots) {
			atomic_store_explicit(&b->published, i, memory_order_release);
			seen = atomic_load_explicit(&b->released, memory_order_acquire);
			if (i - seen == slots)
				sched_yield();
		}
		memcpy(b->data + slot * l->record, record, l->record);
		slot = slot + 1 == slots ? 0 : slot + 1;
		if ((i + 1) % l->every == 0)
			atomic_store_explicit(&b->published, i + 1, memory_order_release);
	}
	atomic_store_explicit(&b->published, l->count, memory_order_release);
}

static void
bare_consume(const struct rings *rs, const struct load *l)
{
	struct bare *b = rs->bare;
	uint64_t slots = RING_SIZE / l->record, seen = 0, slot = 0;

	for (uint64_t i = 0; i < l->count; i++) {
		while (seen == i) {
			seen = atomic_load_explicit(&b->published, memory_order_acquire);
			if (seen == i)
				sched_yield();
		}
		memcpy(sink, b->data + slot * l->record, l->record);
		slot = slot + 1 == slots ? 0 : slot + 1;
		if ((i + 1) % l->every == 0)
			atomic_store_explicit(&b->released, i + 1, memory_order_release);
	}
}

/* ---- rounds ---- */

typedef void (*side_fn)(const struct rings *rs, const struct load *l);

/* Megabytes of records a second. */
static double
run(side_fn producer, side_fn consumer, const struct load *l)
{
	struct rings rs;
	struct err e;
	uint64_t start;
	int status;
	pid_t pid;

	must(ring_create(&rs.fds, RING_SIZE, &e) == RC_OK, "ring_create");
	rs.bare = mmap(
		NULL, sizeof *rs.bare, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(rs.bare != MAP_FAILED, "mmap");
	start = mono_us();
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		producer(&rs, l);
		_exit(0);
	}
	consumer(&rs, l);
	start = mono_us() - start;
	must(waitpid(pid, &status, 0) == pid && status == 0, "producer");
	munmap(rs.bare, sizeof *rs.bare);
	ring_fds_close(&rs.fds);
	return (double)(l->count * l->record) / (double)start;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
bench(const struct load *l)
{
	double ours[ROUNDS], peer[ROUNDS], ratio;

	for (int i = 0; i < ROUNDS; i++) {
		ours[i] = run(produce, consume, l);
		peer[i] = run(bare_produce, bare_consume, l);
	}
	qsort(ours, ROUNDS, sizeof ours[0], by_value);
	qsort(peer, ROUNDS, sizeof peer[0], by_value);
	ratio = ours[ROUNDS / 2] / peer[ROUNDS / 2];
	printf("bench %s ours=%.0f peer=%.0f unit=MB/s ratio=%.2f goal=%.1f %s\n", l->name,
		ours[ROUNDS / 2], peer[ROUNDS / 2], ratio, GOAL, ratio >= GOAL ? "ok" : "short");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct load loads[] = {
		{.name = "ring-100B", .record = 100, .every = 64},
		{.name = "ring-1KiB", .record = 1024, .every = 64},
		{.name = "ring-100B-each", .record = 100, .every = 1},
		{.name = "ring-1KiB-each", .record = 1024, .every = 1},
	};
	uint64_t mb = argc > 1 ? strtoull(argv[1], NULL, 10) : MEGABYTES;

	memset(record, 'r', sizeof record);
	for (size_t i = 0; i < COUNT_OF(loads); i++) {
		loads[i].count = mb * 1000000 / loads[i].record;
		bench(&loads[i]);
	}
	return 0;
}
