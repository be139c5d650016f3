/* buf.c - see buf.h. */
#include "common/compat.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"

#define NULL_LENGTH UINT32_MAX

void
buf_init(struct buf *b)
{
	*b = (struct buf){0};
}

void
buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

unsigned char *
buf_reserve(struct buf *b, size_t n)
{
	if (b->cap - b->len <= n || b->data == NULL) {
		size_t cap = b->cap != 0 ? b->cap : 64;

		while (cap - b->len <= n)
			cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
		b->data = xrealloc(b->data, cap);
		b->cap = cap;
	}
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	unsigned char *to = buf_reserve(b, n);

	if (n != 0)
		memcpy(to, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void
buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_putc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	buf_reserve(b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void
buf_u16(struct buf *b, uint16_t v)
{
	v = htole16(v);
	buf_add(b, &v, sizeof v);
}

void
buf_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, &v, sizeof v);
}

void
buf_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, &v, sizeof v);
}

void
buf_bytes(struct buf *b, const void *p, size_t n)
{
	buf_u32(b, (uint32_t)n);
	buf_add(b, p, n);
}

void
buf_str(struct buf *b, const char *s)
{
	if (s == NULL)
		buf_u32(b, NULL_LENGTH);
	else
		buf_bytes(b, s, strlen(s));
}

const char *
buf_text(const struct buf *b)
{
	return b->data != NULL ? (const char *)b->data : "";
}

void
cursor_init(struct cursor *c, const void *p, size_t n)
{
	c->p = p;
	c->end = c->p + n;
	c->bad = false;
}

size_t
cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

const unsigned char *
cursor_take(struct cursor *c, size_t n)
{
	const unsigned char *p = c->p;

	if (c->bad || n > cursor_left(c)) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

uint8_t
cursor_u8(struct cursor *c)
{
	const unsigned char *p = cursor_take(c, 1);

	return p != NULL ? *p : 0;
}

uint16_t
cursor_u16(struct cursor *c)
{
	const unsigned char *p = cursor_take(c, 2);

	return p != NULL ? get_u16(p) : 0;
}

uint32_t
cursor_u24(struct cursor *c)
{
	const unsigned char *p = cursor_take(c, 3);

	return p != NULL ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 : 0;
}

uint32_t
cursor_u32(struct cursor *c)
{
	const unsigned char *p = cursor_take(c, 4);

	return p != NULL ? get_u32(p) : 0;
}

uint64_t
cursor_u48(struct cursor *c)
{
	uint64_t low = cursor_u32(c);

	return low | (uint64_t)cursor_u16(c) << 32;
}

uint64_t
cursor_u64(struct cursor *c)
{
	const unsigned char *p = cursor_take(c, 8);

	return p != NULL ? get_u64(p) : 0;
}

const unsigned char *
cursor_bytes(struct cursor *c, size_t *n)
{
	*n = cursor_u32(c);
	if (*n == NULL_LENGTH)
		*n = 0;
	if (c->bad || *n > cursor_left(c)) {
		c->bad = true;
		*n = 0;
		return NULL;
	}
	return cursor_take(c, *n);
}

char *
cursor_strdup(struct cursor *c)
{
	const unsigned char *p;
	size_t n;

	if (cursor_left(c) >= 4 && get_u32(c->p) == NULL_LENGTH) {
		cursor_take(c, 4);
		return NULL;
	}
	p = cursor_bytes(c, &n);
	return p != NULL ? xstrndup((const char *)p, n) : NULL;
}

bool
cursor_ok(const struct cursor *c)
{
	return !c->bad;
}

bool
cursor_done(const struct cursor *c)
{
	return !c->bad && c->p == c->end;
}

uint16_t
get_u16(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

uint32_t
get_u32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

uint64_t
get_u64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

void
put_u32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

void
put_u64(unsigned char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}
