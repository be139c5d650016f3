/*
 * buf.h - a growing byte buffer, and a reader that cannot run past the end.
 *
 * struct buf: data[0..len) is content, always followed by a NUL that does not
 * count, so that text in it can be printed. Memory is the caller's through
 * buf_release. All integers are little-endian, as in every format of ours.
 *
 * struct cursor: reads a borrowed range. A read past the end sets `bad`, stays
 * bad, and returns zeros or an empty range: decode a whole record, then ask
 * cursor_ok (or cursor_done, which also wants nothing left over) once.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	unsigned char *data;
	size_t len;
	size_t cap;
};

void buf_init(struct buf *b);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
/* Room for n more bytes; returns where they go. buf_add* keep len. */
unsigned char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
/* u32 length, then the bytes. A string NULL is written as length 0xffffffff. */
void buf_bytes(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
/* The text so far; valid until the next change. Never NULL. */
const char *buf_text(const struct buf *b);

struct cursor {
	const unsigned char *p;
	const unsigned char *end;
	bool bad;
};

void cursor_init(struct cursor *c, const void *p, size_t n);
size_t cursor_left(const struct cursor *c);
const unsigned char *cursor_take(struct cursor *c, size_t n); /* NULL when bad */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u24(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u48(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* The partners of buf_bytes and buf_str. The range is borrowed; str copies (NULL for NULL). */
const unsigned char *cursor_bytes(struct cursor *c, size_t *n);
char *cursor_strdup(struct cursor *c);
bool cursor_ok(const struct cursor *c);
bool cursor_done(const struct cursor *c); /* ok, and nothing left over */

/* Little-endian loads and stores at any alignment. */
uint16_t get_u16(const unsigned char *p);
uint32_t get_u32(const unsigned char *p);
uint64_t get_u64(const unsigned char *p);
void put_u32(unsigned char *p, uint32_t v);
void put_u64(unsigned char *p, uint64_t v);

#endif
