/*
 * ring_tsan.c - both ends of one ring as two threads, for the thread sanitizer.
 *
 *     make B=build-tsan SAN=-fsanitize=thread build-tsan/t/tools/ring_tsan
 *     build-tsan/t/tools/ring_tsan [FRAMES]
 *
 * The sanitizer knows addresses, not memory: in two mappings of one page it
 * sees neither a race nor what orders it. So the ring's source is part of this
 * program, and the ends are made to share their mappings; its functions get
 * names of their own, for the room's object is linked as well.
 */
#include "common/compat.h"

#define ring_arm shared_ring_arm
#define ring_bytes shared_ring_bytes
#define ring_close shared_ring_close
#define ring_commit shared_ring_commit
#define ring_create shared_ring_create
#define ring_data_bell shared_ring_data_bell
#define ring_disarm shared_ring_disarm
#define ring_fds_close shared_ring_fds_close
#define ring_fill shared_ring_fill
#define ring_max_frame shared_ring_max_frame
#define ring_next shared_ring_next
#define ring_open shared_ring_open
#define ring_publish shared_ring_publish
#define ring_release shared_ring_release
#define ring_released shared_ring_released
#define ring_reserve shared_ring_reserve
#define ring_size shared_ring_size
#define ring_wait_data shared_ring_wait_data
#define ring_wake shared_ring_wake
#define ring_wait_space shared_ring_wait_space

#include "ipc/ring.c"

#include <pthread.h>
#include <stdio.h>

#define FRAMES 300000u
#define SIZE ((size_t)64 * 1024)

struct job {
	struct ring *ring;
	uint32_t frames;
};

static size_t
length_of(uint32_t number)
{
	return number % 997 == 0 ? SIZE / 4 : number * 7 % 311;
}

static void *
produce(void *arg)
{
	const struct job *j = arg;

	for (uint32_t i = 0; i < j->frames; i++) {
		size_t n = length_of(i);
		unsigned char *to;

		while (ring_reserve(j->ring, n, &to) != RC_OK)
			ring_wait_space(j->ring, n, 1000);
		memset(to, (int)(i & 0xff), n);
		ring_commit(j->ring, n);
		if (i % 5 == 0)
			ring_publish(j->ring);
	}
	ring_publish(j->ring);
	return NULL;
}

static bool
is_good(const struct ring_frame *f, uint32_t number)
{
	if (f->len != length_of(number))
		return false;
	for (uint32_t i = 0; i < f->len; i++)
		if (f->data[i] != (number & 0xff))
			return false;
	return true;
}

/* Waits as a thread does, and every eighth time as an event loop does. */
static void
wait_data(struct ring *r, uint32_t turn)
{
	struct pollfd p = {.fd = ring_data_bell(r), .events = POLLIN};

	if (turn % 8 != 0) {
		ring_wait_data(r, 1000);
		return;
	}
	if (ring_arm(r)) {
		(void)poll(&p, 1, 1000);
		ring_disarm(r);
	}
}

static uint32_t
consume(const struct job *j)
{
	struct ring_frame f;
	struct err e = {0};
	uint32_t turn = 0;
	enum rc rc;

	for (uint32_t i = 0; i < j->frames; i++) {
		while ((rc = ring_next(j->ring, &f, &e)) == RC_AGAIN)
			wait_data(j->ring, turn++);
		if (rc != RC_OK || !is_good(&f, i)) {
			fprintf(stderr, "frame %u is damaged: %s\n", i, e.text);
			return i;
		}
		ring_release(j->ring, f.end);
	}
	return j->frames;
}

/* The mappings that are no longer used stay until the end of the program. */
static void
share(struct ring *producer, struct ring *consumer)
{
	consumer->data = producer->data;
	consumer->theirs = producer->mine;
	producer->theirs = consumer->mine;
}

int
main(int argc, char **argv)
{
	uint32_t frames = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : FRAMES, got;
	struct job in = {.frames = frames}, out = {.frames = frames};
	struct ring_fds fds;
	struct err e;
	pthread_t thread;

	if (ring_create(&fds, SIZE, &e) != RC_OK ||
		ring_open(&in.ring, &fds, RING_PRODUCER, &e) != RC_OK ||
		ring_open(&out.ring, &fds, RING_CONSUMER, &e) != RC_OK) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	share(in.ring, out.ring);
	if (pthread_create(&thread, NULL, produce, &in) != 0)
		return 1;
	got = consume(&out);
	if (got == frames)
		pthread_join(thread, NULL);
	printf("ring_tsan frames=%u %s\n", got, got == frames ? "ok" : "damaged");
	return got == frames ? 0 : 1;
}
