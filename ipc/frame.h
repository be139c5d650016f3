/*
 * frame.h - events as bytes.
 *
 * A frame is: version u8, kind u8, flags u8, zero u8, then the fields of the
 * event in the order of event.h, little-endian, without pointers; strings and
 * byte ranges are u32 length + bytes. A row is u32 column count, then per
 * column a u32 head - the length, or HEAD_NULL, HEAD_ABSENT, HEAD_UNCHANGED -
 * followed by the bytes. The same bytes may one day lie in Kafka.
 *
 * An event larger than ring_max_frame travels as fragments (FRAME_MORE on all
 * but the last), which the reader of the ring joins in memory of its own.
 *
 * The pieces of an event that may be larger than the ring are given back while
 * it is joined, but a ring is released in order: the caller must give back all
 * before it, and call frame_next again after it has (see frame_stalled).
 *
 * An unknown version or kind is RC_CONFIG (two programs of different age),
 * anything else that does not fit is RC_BUG: never a guess.
 */
#ifndef IPC_FRAME_H
#define IPC_FRAME_H

#include "common/compat.h"

#include <stdatomic.h>

#include "common/event.h"
#include "common/mem.h"
#include "ipc/ring.h"

#define FRAME_VERSION 4
#define FRAME_MORE 0x01 /* flags: the event goes on in the next frame */
#define FRAME_CONT 0x02 /* flags: this frame continues an event */

#define HEAD_NULL UINT32_MAX
#define HEAD_ABSENT (UINT32_MAX - 1)
#define HEAD_UNCHANGED (UINT32_MAX - 2)

/* Bytes of the event as one frame. */
size_t frame_size(const struct event *ev);
/* Writes frame_size bytes. */
void frame_encode(const struct event *ev, unsigned char *to);
/*
 * Decodes one whole frame; arrays of values and strings (which get their NUL)
 * come from the arena, all else is borrowed from the bytes. Every length is
 * checked; a string with a NUL inside is damage.
 */
enum rc frame_decode(const unsigned char *p, size_t n, struct arena *a, struct event *ev,
	struct err *e) MUSTCHECK;

/*
 * Puts an event into a ring, in fragments if it must. AGAIN: nothing was put.
 * Once the first fragment of a large event is in, waits for room for the rest
 * (at most until `*stop` turns true: then RC_AGAIN and the ring is not to be used again).
 */
enum rc frame_put(struct ring *r, const struct event *ev, const atomic_bool *stop) MUSTCHECK;

/* Reads events off a ring; joins fragments. */
struct frame_reader {
	struct ring *ring;
	uint64_t scanned;      /* end of the newest frame seen */
	uint64_t joined_from;  /* where the first piece of the event that is being joined begins */
	unsigned char *joined; /* its bytes so far */
	size_t joined_len;
	size_t joined_cap;
	bool joining;
};

void frame_reader_init(struct frame_reader *fr, struct ring *ring);
void frame_reader_release(struct frame_reader *fr);
/*
 * AGAIN when no whole event is there. *raw are the event's bytes: in the ring
 * (valid until released) or, for a joined one, memory that the caller now
 * owns (*owned true; free()). *end is what ring_release wants.
 */
struct frame_raw {
	const unsigned char *data;
	size_t len;
	bool owned;
	uint64_t end;
	enum event_kind kind;
};
enum rc frame_next(struct frame_reader *fr, struct frame_raw *raw, struct err *e) MUSTCHECK;
/*
 * After AGAIN: a large event is coming, the ring is full, and it is full of
 * frames before that event which the caller holds. Nothing moves until the
 * caller gives them back: whoever holds frames must ask.
 */
bool frame_stalled(const struct frame_reader *fr);

#endif
