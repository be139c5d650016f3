/* value.c - see value.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "workers/reader/pgsql/value.h"

#define MICROSECONDS 6u

static void
set(struct value *out, const void *p, uint32_t n)
{
	*out = (struct value){.kind = VALUE_BYTES, .len = n, .data = p};
}

static void
set_u64(struct value *out, uint64_t v, struct arena *a)
{
	unsigned char *p = arena_alloc(a, 8);

	put_u64(p, v);
	set(out, p, 8);
}

static void
set_f32(struct value *out, float f, struct arena *a)
{
	unsigned char *p = arena_alloc(a, 4);
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	put_u32(p, bits);
	set(out, p, 4);
}

static void
set_f64(struct value *out, double d, struct arena *a)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof bits);
	set_u64(out, bits, a);
}

/* A boolean is one of two letters. */
static uint64_t
integer(const struct column *c, const char *s)
{
	if (*s == 't' || *s == 'f')
		return *s == 't';
	return c->is_unsigned ? strtoull(s, NULL, 10) : (uint64_t)strtoll(s, NULL, 10);
}

/*
 * "12:00:00.5+00 BC" with three digits: "12:00:00.500 BC". The server leaves
 * trailing zeros out; infinity has no digits at all.
 */
static void
set_time(struct value *out, const struct column *c, const char *s, uint32_t n, struct arena *a)
{
	uint32_t digits = c->scale < MICROSECONDS ? c->scale : MICROSECONDS, at, used = 0;
	const char *colon = memrchr(s, ':', n);
	char *p;

	if (colon == NULL) {
		set(out, s, n);
		return;
	}
	p = arena_alloc(a, n + MICROSECONDS + 1);
	at = (uint32_t)(colon - s) + 3;
	if (at > n)
		at = n;
	memcpy(p, s, at);
	s += at;
	n -= at;
	if (digits != 0)
		p[at++] = '.';
	if (n != 0 && *s == '.')
		for (s++, n--; n != 0 && *s >= '0' && *s <= '9'; s++, n--, used++)
			if (used < digits)
				p[at++] = *s;
	for (; used < digits; used++)
		p[at++] = '0';
	if (n >= 3 && *s == '+') {
		s += 3;
		n -= 3;
	}
	memcpy(p + at, s, n);
	set(out, p, at + n);
}

static int
nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

static void
set_bytes(struct value *out, const char *s, uint32_t n, struct arena *a)
{
	uint32_t bytes = n >= 2 ? (n - 2) / 2 : 0;
	unsigned char *p = arena_alloc(a, bytes + 1);

	for (uint32_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)(nibble(s[2 + 2 * i]) << 4 | nibble(s[3 + 2 * i]));
	set(out, p, bytes);
}

/* "0101" as a big-endian number. */
static void
set_bits(struct value *out, const char *s, uint32_t n, struct arena *a)
{
	uint32_t bytes = (n + 7) / 8;
	unsigned char *p = arena_calloc(a, bytes + 1, 1);

	for (uint32_t i = 0; i < n; i++)
		if (s[n - 1 - i] == '1')
			p[bytes - 1 - i / 8] |= (unsigned char)(1u << (i % 8));
	set(out, p, bytes);
}

void
pgsource_value(
	const struct column *c, const char *s, uint32_t n, struct arena *a, struct value *out)
{
	switch (c->type) {
	case TYPE_INTEGER:
		set_u64(out, integer(c, arena_strndup(a, s, n)), a);
		break;
	case TYPE_FLOAT:
		set_f32(out, strtof(arena_strndup(a, s, n), NULL), a);
		break;
	case TYPE_DOUBLE:
		set_f64(out, strtod(arena_strndup(a, s, n), NULL), a);
		break;
	case TYPE_TIME:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		set_time(out, c, s, n, a);
		break;
	case TYPE_BINARY:
		set_bytes(out, s, n, a);
		break;
	case TYPE_BIT:
		set_bits(out, s, n, a);
		break;
	case TYPE_DECIMAL:
	case TYPE_DATE:
	case TYPE_TEXT:
	case TYPE_JSON:
	case TYPE_YEAR:
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		set(out, s, n);
		break;
	}
}
