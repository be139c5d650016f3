/*
 * ring.h - the shared-memory ring: one producer process, one consumer process.
 *
 * A ring is two sealed memfds: the data (a power of two of bytes, mapped twice
 * back to back, so that every frame is contiguous) and one page of cursors
 * per side. The data and the producer's page are writable by the producer
 * alone, the consumer's page by the consumer alone. Cursors are byte offsets
 * that only grow (u64); position in the ring is offset & (size - 1).
 *
 *     released <= scanned <= published <= reserved <= released + size
 *
 *   published  producer writes (release), consumer reads (acquire)
 *   released   consumer writes (release), producer reads (acquire)
 *   scanned    the consumer's own, not shared: frames behind it have been
 *              seen and are still in use (the ring is the retry buffer)
 *
 * What the other side writes is input: lengths are copied, then checked. A
 * frame that cannot be is an error (RC_BUG), never a crash.
 *
 * Waiting: each side has a bell (eventfd) that the other rings, and a sleeper
 * flag that says whether ringing is needed; the order "set flag, look again,
 * sleep" against "move cursor, read flag, ring" loses no wake-up (all four
 * accesses are sequentially consistent).
 *
 * Within a process one thread at a time uses one end (a lock of the caller's).
 */
#ifndef IPC_RING_H
#define IPC_RING_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct ring; /* one end of a ring, in one process */

/* The descriptors of a ring, in the order in which they are handed to a worker. */
#define RING_FD_LIST(X)                              \
	X(DATA, "data")                              \
	X(PRODUCER, "producer's page")               \
	X(CONSUMER, "consumer's page")               \
	X(DATA_BELL, "rung when data was published") \
	X(SPACE_BELL, "rung when space was released")

enum ring_fd {
#define X(symbol, text) RING_FD_##symbol,
	RING_FD_LIST(X)
#undef X
		RING_FD_COUNT
};

struct ring_fds {
	int fd[RING_FD_COUNT];
};

enum ring_side { RING_PRODUCER, RING_CONSUMER };

/* Supervisor: makes the memfds (sealed against resizing) and bells, all CLOEXEC. size: 64 KiB to 1
 * GiB, a power of two. */
enum rc ring_create(struct ring_fds *fds, size_t size, struct err *e) MUSTCHECK;
void ring_fds_close(struct ring_fds *fds);

/* Worker: maps its end; checks magic, version, seals and sizes. The descriptors stay the caller's.
 */
enum rc ring_open(struct ring **out, const struct ring_fds *fds, enum ring_side side,
	struct err *e) MUSTCHECK;
void ring_close(struct ring *r);
size_t ring_size(const struct ring *r);
/* Largest payload of one frame: half the ring less the header. */
size_t ring_max_frame(const struct ring *r);
uint64_t ring_bytes(const struct ring *r); /* published so far (for metrics) */
size_t ring_fill(const struct ring *r);	   /* published and not yet released, bytes */

/* ---- producer ---- */

/* Room for a frame of up to n bytes; AGAIN when the ring is full, BUG above ring_max_frame. At most
 * one reservation at a time. */
enum rc ring_reserve(struct ring *r, size_t n, unsigned char **to) MUSTCHECK;
/* The reserved frame has n bytes (<= reserved). Visible only after ring_publish. */
void ring_commit(struct ring *r, size_t n);
/* Makes all committed frames visible and rings if the consumer sleeps. */
void ring_publish(struct ring *r);
/* Blocks until n bytes may be free or timeout_ms has gone; publishes first. */
void ring_wait_space(struct ring *r, size_t n, int timeout_ms);

/* ---- consumer ---- */

struct ring_frame {
	const unsigned char *data; /* valid until released */
	uint32_t len;
	uint64_t end; /* pass to ring_release to give back this frame and all before it */
};

/* The next frame that was not scanned yet; AGAIN if there is none; BUG if the bytes cannot be a
 * frame. */
enum rc ring_next(struct ring *r, struct ring_frame *f, struct err *e) MUSTCHECK;
/* Gives back everything before `end` (of a scanned frame) and rings if the producer sleeps. */
void ring_release(struct ring *r, uint64_t end);
uint64_t ring_released(const struct ring *r); /* up to where that has happened */
/* Blocks until there is a frame to scan or timeout_ms has gone. */
void ring_wait_data(struct ring *r, int timeout_ms);
/* Ends the consumer's wait, or its next one; from any thread of its process. */
void ring_wake(struct ring *r);
/*
 * For an event loop: a descriptor that turns readable when data comes after
 * ring_arm returned true. ring_arm says false when there is data already.
 * ring_disarm clears the flag and drains the bell.
 */
int ring_data_bell(const struct ring *r);
bool ring_arm(struct ring *r);
void ring_disarm(struct ring *r);

#endif
