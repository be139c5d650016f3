/*
 * fuzz_frame.c - hostile bytes as a frame, and as the content of a ring.
 *
 *     clang ... -fsanitize=fuzzer,address,undefined; SEED_DIR=dir writes one
 *     file for each kind of event there before the run.
 *
 * What decodes must encode to the same bytes again: no frame has two readings.
 */
#include "common/compat.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/frame.h"
#include "t/lib/samples.h"

#define RING_SIZE ((size_t)64 * 1024)
#define MOST ((size_t)30000) /* bytes of an input that are used: below a frame's limit */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
write_seed(const char *dir, const struct event *ev)
{
	size_t n = frame_size(ev);
	unsigned char *p = xmalloc(n);
	char *path = xasprintf("%s/%s", dir, event_name(ev->kind));
	FILE *f = fopen(path, "wb");

	frame_encode(ev, p);
	if (f == NULL || fwrite(p, 1, n, f) != n)
		perror(path);
	if (f != NULL)
		fclose(f);
	free(path);
	free(p);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("SEED_DIR");
	struct arena a;

	(void)argc;
	(void)argv;
	if (dir == NULL)
		return 0;
	arena_init(&a);
	for (int k = 0; k < EVENT_COUNT; k++) {
		struct event ev = sample_event((enum event_kind)k, &a);

		write_seed(dir, &ev);
	}
	arena_release(&a);
	return 0;
}

static void
decode(const unsigned char *p, size_t n)
{
	struct arena a;
	struct event ev;
	struct err e;

	arena_init(&a);
	if (frame_decode(p, n, &a, &ev, &e) == RC_OK) {
		unsigned char *back = xmalloc(n);

		if (frame_size(&ev) != n)
			abort();
		frame_encode(&ev, back);
		if (memcmp(back, p, n) != 0)
			abort();
		free(back);
	}
	arena_release(&a);
}

/* Cut into frames by its own bytes, the input goes through a ring. */
static void
feed(struct ring *in, struct frame_reader *fr, const unsigned char *p, size_t n)
{
	struct frame_raw raw;
	struct err e;
	unsigned char *to;

	while (n != 0) {
		size_t len = p[0] % 64 < n - 1 ? p[0] % 64 : n - 1;

		if (ring_reserve(in, len, &to) != RC_OK)
			abort();
		memcpy(to, p + 1, len);
		ring_commit(in, len);
		ring_publish(in);
		p += 1 + len;
		n -= 1 + len;
		if (frame_next(fr, &raw, &e) != RC_OK)
			continue;
		decode(raw.data, raw.len);
		ring_release(fr->ring, raw.end);
		if (raw.owned)
			free((void *)(uintptr_t)raw.data);
	}
}

static void
through_a_ring(const unsigned char *p, size_t n)
{
	struct frame_reader fr;
	struct ring *in, *out;
	struct ring_fds fds;
	struct err e;

	if (ring_create(&fds, RING_SIZE, &e) != RC_OK ||
		ring_open(&in, &fds, RING_PRODUCER, &e) != RC_OK ||
		ring_open(&out, &fds, RING_CONSUMER, &e) != RC_OK)
		abort();
	frame_reader_init(&fr, out);
	feed(in, &fr, p, n < MOST / 16 ? n : MOST / 16);
	frame_reader_release(&fr);
	ring_close(in);
	ring_close(out);
	ring_fds_close(&fds);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > MOST)
		return -1;
	decode(data, size);
	through_a_ring(data, size);
	return 0;
}
