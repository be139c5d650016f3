/*
 * json.c - MySQL's binary JSON as text (MySQL internals: json_binary.h).
 *
 * Values nest at most 100 deep in the server; offsets come from hostile bytes,
 * so depth and the bytes written are bounded here.
 */
#include "common/compat.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/mysql/value.h"

#define MAX_DEPTH 101
/* Text is at most this much longer than its binary form: \u00xx for a byte, a number of 25
 * characters for 2. */
#define EXPANSION 16

/* Offsets may point anywhere, also back: what bounds the work is the text that may still come out.
 */
static _Thread_local size_t text_limit;

enum json_type {
	J_SMALL_OBJECT = 0,
	J_LARGE_OBJECT = 1,
	J_SMALL_ARRAY = 2,
	J_LARGE_ARRAY = 3,
	J_LITERAL = 4,
	J_INT16 = 5,
	J_UINT16 = 6,
	J_INT32 = 7,
	J_UINT32 = 8,
	J_INT64 = 9,
	J_UINT64 = 10,
	J_DOUBLE = 11,
	J_STRING = 12,
	J_OPAQUE = 15
};

static bool value(uint8_t type, const unsigned char *p, size_t n, unsigned depth, struct buf *out);

static void
add_string(struct buf *b, const unsigned char *p, size_t n)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < n; i++) {
		static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
		const char *s = NULL;

		for (size_t k = 0; k + 1 < sizeof short_forms; k += 2)
			if ((unsigned char)short_forms[k] == p[i])
				s = &short_forms[k + 1];
		if (s != NULL)
			buf_printf(b, "\\%c", *s);
		else if (p[i] < 0x20)
			buf_printf(b, "\\u%04x", p[i]);
		else
			buf_add(b, &p[i], 1);
	}
	buf_putc(b, '"');
}

/* Digits in front of the point, or zeros behind it, that the server writes out. */
#define WRITTEN_OUT 15

/* The fewest digits that read back as the same double, "-d.ddde[+-]x". */
static void
shortest(double d, char text[40])
{
	/* Denormal numbers have less than 15 digits that count. */
	for (int digits = fabs(d) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
		snprintf(text, 40, "%.*e", digits - 1, d);
		if (strtod(text, NULL) == d)
			return;
	}
}

/* As the server writes a double in JSON: 0.001, 1.0, 1e15, 1.5e-20. */
static void
add_double(struct buf *b, double d)
{
	char text[40], digits[20] = "0";
	int n = 0, point;
	const char *p = text;

	if (!isfinite(d)) {
		buf_puts(b, "0");
		return;
	}
	shortest(d, text);
	if (*p == '-')
		buf_putc(b, *p++);
	for (; *p != 'e'; p++)
		if (*p != '.')
			digits[n++] = *p;
	point = (int)strtol(p + 1, NULL, 10) + 1;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (point > WRITTEN_OUT || point <= -WRITTEN_OUT) {
		buf_printf(b, "%c%s%.*se%d", digits[0], n > 1 ? "." : "", n - 1, digits + 1,
			point - 1);
	} else if (point <= 0) {
		buf_puts(b, "0.");
		for (int i = point; i < 0; i++)
			buf_putc(b, '0');
		buf_add(b, digits, (size_t)n);
	} else {
		buf_printf(b, "%.*s", n < point ? n : point, digits);
		for (int i = n; i < point; i++)
			buf_putc(b, '0');
		buf_printf(b, ".%.*s", n > point ? n - point : 1, n > point ? digits + point : "0");
	}
}

static bool
var_length(const unsigned char **p, size_t *n, size_t *len)
{
	*len = 0;
	for (unsigned shift = 0; shift < 35 && *n != 0; shift += 7) {
		unsigned char c = *(*p)++;

		--*n;
		*len |= (size_t)(c & 0x7f) << shift;
		if ((c & 0x80) == 0)
			return *len <= *n;
	}
	return false;
}

static bool
opaque(const unsigned char *p, size_t n, struct buf *out)
{
	uint8_t field;
	size_t len;

	if (n < 1)
		return false;
	field = *p++;
	n--;
	if (!var_length(&p, &n, &len))
		return false;
	if (field == 246)
		return len > 2 && mysql_decimal_text(p + 2, len - 2, p[0], p[1], out) != 0;
	if ((field == 7 || field == 10 || field == 11 || field == 12) && len == 8) {
		int64_t packed = (int64_t)get_u64(p);
		uint64_t u = (uint64_t)(packed < 0 ? -packed : packed), v = u >> 24;
		unsigned micros = (unsigned)(u & 0xffffff), ym = (unsigned)(v >> 22);

		if (field == 11)
			buf_printf(out, "\"%s%02u:%02u:%02u.%06u\"", packed < 0 ? "-" : "",
				(unsigned)(v >> 12 & 1023), (unsigned)(v >> 6 & 63),
				(unsigned)(v & 63), micros);
		else if (field == 10)
			buf_printf(out, "\"%04u-%02u-%02u\"", ym / 13, ym % 13,
				(unsigned)(v >> 17 & 31));
		else
			buf_printf(out, "\"%04u-%02u-%02u %02u:%02u:%02u.%06u\"", ym / 13, ym % 13,
				(unsigned)(v >> 17 & 31), (unsigned)(v >> 12 & 31),
				(unsigned)(v >> 6 & 63), (unsigned)(v & 63), micros);
		return true;
	}
	buf_printf(out, "\"base64:type%u:", field);
	buf_reserve(out, len / 3 * 4 + 8);
	out->len += (size_t)EVP_EncodeBlock(out->data + out->len, p, (int)len);
	buf_putc(out, '"');
	return true;
}

struct container {
	const unsigned char *p;
	size_t n;
	bool large;
	bool object;
	uint32_t count;
};

static size_t
width(const struct container *c)
{
	return c->large ? 4 : 2;
}

static uint32_t
get(const struct container *c, size_t at)
{
	return c->large ? get_u32(c->p + at) : get_u16(c->p + at);
}

static bool
is_inline(uint8_t type, bool large)
{
	return type == J_LITERAL || type == J_INT16 || type == J_UINT16 ||
	       (large && (type == J_INT32 || type == J_UINT32));
}

static bool
member(const struct container *c, uint32_t i, unsigned depth, struct buf *out)
{
	size_t w = width(c), keys = w * 2, entries = keys + (c->object ? c->count * (w + 2) : 0);
	size_t at = entries + i * (1 + w);
	uint8_t type = c->p[at];

	if (c->object) {
		size_t key = get(c, keys + i * (w + 2)),
		       len = get_u16(c->p + keys + i * (w + 2) + w);

		if (key > c->n || len > c->n - key)
			return false;
		add_string(out, c->p + key, len);
		buf_puts(out, ": ");
	}
	if (is_inline(type, c->large))
		return value(type, c->p + at + 1, w, depth + 1, out);
	at = get(c, at + 1);
	return at < c->n && value(type, c->p + at, c->n - at, depth + 1, out);
}

static bool
container(
	const unsigned char *p, size_t n, bool large, bool object, unsigned depth, struct buf *out)
{
	struct container c = {.p = p, .n = n, .large = large, .object = object};
	size_t w = width(&c), need;
	uint32_t size;

	if (n < w * 2 || depth > MAX_DEPTH)
		return false;
	c.count = get(&c, 0);
	size = get(&c, w);
	need = w * 2 + (size_t)c.count * ((object ? w + 2 : 0) + 1 + w);
	if (size > n || need > size)
		return false;
	c.n = size;
	buf_putc(out, object ? '{' : '[');
	for (uint32_t i = 0; i < c.count; i++) {
		if (i != 0)
			buf_puts(out, ", ");
		if (out->len > text_limit || !member(&c, i, depth, out))
			return false;
	}
	buf_putc(out, object ? '}' : ']');
	return true;
}

static bool
scalar(uint8_t type, const unsigned char *p, size_t n, struct buf *out)
{
	static const char *const literals[] = {"null", "true", "false"};
	uint64_t bits;
	double d;
	size_t len;

	switch (type) {
	case J_LITERAL:
		if (n < 1 || p[0] > 2)
			return false;
		buf_puts(out, literals[p[0]]);
		return true;
	case J_INT16:
		if (n < 2)
			return false;
		buf_printf(out, "%d", (int16_t)get_u16(p));
		return true;
	case J_UINT16:
		if (n < 2)
			return false;
		buf_printf(out, "%u", get_u16(p));
		return true;
	case J_INT32:
		if (n < 4)
			return false;
		buf_printf(out, "%" PRId32, (int32_t)get_u32(p));
		return true;
	case J_UINT32:
		if (n < 4)
			return false;
		buf_printf(out, "%" PRIu32, get_u32(p));
		return true;
	case J_INT64:
		if (n < 8)
			return false;
		buf_printf(out, "%" PRId64, (int64_t)get_u64(p));
		return true;
	case J_UINT64:
		if (n < 8)
			return false;
		buf_printf(out, "%" PRIu64, get_u64(p));
		return true;
	case J_DOUBLE:
		if (n < 8)
			return false;
		bits = get_u64(p);
		memcpy(&d, &bits, sizeof d);
		add_double(out, d);
		return true;
	case J_STRING:
		if (!var_length(&p, &n, &len))
			return false;
		add_string(out, p, len);
		return true;
	case J_OPAQUE:
		return opaque(p, n, out);
	default:
		return false;
	}
}

static bool
value(uint8_t type, const unsigned char *p, size_t n, unsigned depth, struct buf *out)
{
	if (type <= J_LARGE_ARRAY)
		return container(p, n, type == J_LARGE_OBJECT || type == J_LARGE_ARRAY,
			type <= J_LARGE_OBJECT, depth, out);
	return scalar(type, p, n, out);
}

bool
mysql_json_text(const unsigned char *p, size_t n, struct buf *out)
{
	text_limit = out->len + n * EXPANSION + 64;
	return n != 0 && value(p[0], p + 1, n - 1, 0, out);
}
