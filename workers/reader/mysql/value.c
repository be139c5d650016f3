/* value.c - see value.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "common/mysql/describe.h"
#include "workers/reader/mysql/value.h"

static void
set_i64(struct arena *a, struct value *v, int64_t n)
{
	unsigned char *p = arena_alloc(a, 8);

	put_u64(p, (uint64_t)n);
	*v = (struct value){.kind = VALUE_BYTES, .len = 8, .data = p};
}

static void
set_bytes(struct value *v, const unsigned char *p, size_t n)
{
	*v = (struct value){.kind = VALUE_BYTES, .len = (uint32_t)n, .data = p};
}

static void
set_text(struct arena *a, struct value *v, const char *s, int n)
{
	set_bytes(v, arena_dup(a, s, (size_t)n), (size_t)n);
}

/* ---- numbers ---- */

static int64_t
sign_extend(uint64_t v, unsigned bytes, bool is_unsigned)
{
	unsigned shift = 64 - bytes * 8;

	return is_unsigned || shift == 0 ? (int64_t)v : (int64_t)(v << shift) >> shift;
}

static uint64_t
take_le(struct cursor *c, unsigned bytes)
{
	const unsigned char *p = cursor_take(c, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; p != NULL && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static uint64_t
take_be(struct cursor *c, unsigned bytes)
{
	const unsigned char *p = cursor_take(c, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; p != NULL && i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

static const unsigned digit_bytes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};

/* `digits` digits from bytes whose sign has been taken off. */
static void
add_group(
	struct buf *b, const unsigned char *p, unsigned bytes, unsigned digits, unsigned char flip)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | (unsigned char)(p[i] ^ flip);
	buf_printf(b, "%0*" PRIu32, (int)digits, v);
}

size_t
mysql_decimal_text(
	const unsigned char *p, size_t n, unsigned precision, unsigned scale, struct buf *out)
{
	unsigned whole = precision - scale, lead = whole % 9, tail = scale % 9;
	size_t size, at = 0, start;
	unsigned char first[4];
	unsigned char flip;

	if (precision == 0 || precision > 65 || scale > precision)
		return 0;
	size = whole / 9 * 4 + digit_bytes[lead] + scale / 9 * 4 + digit_bytes[tail];
	if (n < size || size == 0)
		return 0;
	flip = p[0] & 0x80 ? 0 : 0xff;
	if (flip)
		buf_putc(out, '-');
	start = out->len;
	for (unsigned g = 0; g < (lead != 0) + whole / 9 + scale / 9 + (tail != 0); g++) {
		unsigned digits = g == 0 && lead != 0			     ? lead
				  : g == (lead != 0) + whole / 9 + scale / 9 ? tail
									     : 9;
		unsigned bytes = digit_bytes[digits];

		if (g == (unsigned)(lead != 0) + whole / 9) {
			if (out->len == start)
				buf_putc(out, '0');
			buf_putc(out, '.');
		}
		memcpy(first, p + at, bytes);
		if (at == 0)
			first[0] ^= 0x80; /* the very first bit is kept inverted */
		add_group(out, first, bytes, digits, flip);
		at += bytes;
	}
	/* No leading zeros but the one before the point. */
	{
		size_t zeros = 0;

		while (start + zeros + 1 < out->len && out->data[start + zeros] == '0' &&
			out->data[start + zeros + 1] != '.')
			zeros++;
		memmove(out->data + start, out->data + start + zeros, out->len - start - zeros + 1);
		out->len -= zeros;
	}
	return size;
}

static void
take_decimal(struct cursor *c, const struct binlog_column *bc, struct arena *a, struct value *v)
{
	struct buf b;
	size_t n;

	buf_init(&b);
	n = c->bad ? 0
		   : mysql_decimal_text(c->p, cursor_left(c), bc->meta >> 8, bc->meta & 0xff, &b);
	if (n == 0)
		c->bad = true;
	else
		set_text(a, v, buf_text(&b), (int)b.len);
	cursor_take(c, n);
	buf_release(&b);
}

/* ---- dates and times ---- */

/* ".123456" cut to `digits`. */
static int
add_fraction(char *to, uint32_t micros, unsigned digits)
{
	static const uint32_t powers[] = {1000000, 100000, 10000, 1000, 100, 10, 1};

	if (digits == 0 || digits > 6)
		return 0;
	return snprintf(to, 16, ".%0*u", (int)digits, micros / powers[digits]);
}

static uint32_t
take_fraction(struct cursor *c, unsigned digits)
{
	switch ((digits + 1) / 2) {
	case 1:
		return (uint32_t)take_be(c, 1) * 10000;
	case 2:
		return (uint32_t)take_be(c, 2) * 100;
	case 3:
		return (uint32_t)take_be(c, 3);
	default:
		return 0;
	}
}

static void
set_datetime(struct arena *a, struct value *v, unsigned y, unsigned mo, unsigned d, unsigned h,
	unsigned mi, unsigned s, uint32_t micros, unsigned digits)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%04u-%02u-%02u %02u:%02u:%02u", y, mo, d, h, mi, s);

	n += add_fraction(text + n, micros, digits);
	set_text(a, v, text, n);
}

static void
set_timestamp(struct arena *a, struct value *v, uint32_t seconds, uint32_t micros, unsigned digits)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds == 0 && micros == 0) {
		set_datetime(a, v, 0, 0, 0, 0, 0, 0, 0, digits);
		return;
	}
	gmtime_r(&t, &tm);
	set_datetime(a, v, (unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
		(unsigned)tm.tm_mday, (unsigned)tm.tm_hour, (unsigned)tm.tm_min,
		(unsigned)tm.tm_sec, micros, digits);
}

static void
take_datetime2(struct cursor *c, unsigned digits, struct arena *a, struct value *v)
{
	uint64_t n = take_be(c, 5) - 0x8000000000u;
	uint64_t ym = n >> 22 & 0x1ffff;
	uint32_t micros = take_fraction(c, digits);

	set_datetime(a, v, (unsigned)(ym / 13), (unsigned)(ym % 13), (unsigned)(n >> 17 & 31),
		(unsigned)(n >> 12 & 31), (unsigned)(n >> 6 & 63), (unsigned)(n & 63), micros,
		digits);
}

static void
set_time(struct arena *a, struct value *v, bool negative, unsigned h, unsigned m, unsigned s,
	uint32_t micros, unsigned digits)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%s%02u:%02u:%02u", negative ? "-" : "", h, m, s);

	n += add_fraction(text + n, micros, digits);
	set_text(a, v, text, n);
}

/* Integer part and fraction are one big-endian number with a bias; negative ones are its
 * complement. */
static void
take_time2(struct cursor *c, unsigned digits, struct arena *a, struct value *v)
{
	unsigned frac_bytes = (digits + 1) / 2;
	uint64_t one = (uint64_t)1 << (8 * frac_bytes), bias = 0x800000 * one;
	int64_t n = (int64_t)take_be(c, 3 + frac_bytes) - (int64_t)bias;
	uint64_t u = (uint64_t)(n < 0 ? -n : n), hms = u / one;
	uint32_t frac = (uint32_t)(u % one);

	frac *= frac_bytes == 1 ? 10000 : frac_bytes == 2 ? 100 : 1;
	set_time(a, v, n < 0, (unsigned)(hms >> 12 & 1023), (unsigned)(hms >> 6 & 63),
		(unsigned)(hms & 63), frac, digits);
}

static void
take_date(struct cursor *c, struct arena *a, struct value *v)
{
	uint32_t n = (uint32_t)take_le(c, 3);
	char text[32];

	set_text(a, v, text,
		snprintf(text, sizeof text, "%04u-%02u-%02u", n >> 9, n >> 5 & 15, n & 31));
}

static void
take_old_time(struct cursor *c, struct arena *a, struct value *v)
{
	int64_t n = sign_extend(take_le(c, 3), 3, false);
	uint64_t u = (uint64_t)(n < 0 ? -n : n);

	set_time(a, v, n < 0, (unsigned)(u / 10000), (unsigned)(u / 100 % 100), (unsigned)(u % 100),
		0, 0);
}

static void
take_old_datetime(struct cursor *c, struct arena *a, struct value *v)
{
	uint64_t n = take_le(c, 8), date = n / 1000000, time = n % 1000000;

	set_datetime(a, v, (unsigned)(date / 10000), (unsigned)(date / 100 % 100),
		(unsigned)(date % 100), (unsigned)(time / 10000), (unsigned)(time / 100 % 100),
		(unsigned)(time % 100), 0, 0);
}

/*
 * Fractions as MariaDB stores them under mysql56_temporal_format=OFF: the log
 * has the types of before, and how many digits only the column tells.
 */
static const uint64_t tenths[] = {1000000, 100000, 10000, 1000, 100, 10, 1};

static void
take_fraction_timestamp(struct cursor *c, unsigned digits, struct arena *a, struct value *v)
{
	uint32_t seconds = (uint32_t)take_be(c, 4);
	uint64_t fraction = take_be(c, (digits + 1) / 2);

	set_timestamp(a, v, seconds, (uint32_t)(fraction * tenths[digits]), digits);
}

static void
take_fraction_datetime(struct cursor *c, unsigned digits, struct arena *a, struct value *v)
{
	static const unsigned bytes[] = {5, 6, 6, 7, 7, 7, 8};
	uint64_t n = take_be(c, bytes[digits]) * tenths[digits], s = n / 1000000;
	uint64_t days = s / 86400, months = days / 32;

	set_datetime(a, v, (unsigned)(months / 13), (unsigned)(months % 13), (unsigned)(days % 32),
		(unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60), (unsigned)(s % 60),
		(uint32_t)(n % 1000000), digits);
}

/* Counted from the least time there is. */
static void
take_fraction_time(struct cursor *c, unsigned digits, struct arena *a, struct value *v)
{
	static const unsigned bytes[] = {3, 4, 4, 5, 5, 5, 6};
	const uint64_t zero = (838 * 3600 + 59 * 60 + 60) * 1000000ULL;
	uint64_t n = take_be(c, bytes[digits]) * tenths[digits], u = n < zero ? zero - n : n - zero;
	uint64_t s = u / 1000000;

	set_time(a, v, n < zero, (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60),
		(uint32_t)(u % 1000000), digits);
}

/* The digits of such a column; 0: it has none, and is stored as ever. */
static unsigned
old_digits(const struct column *col)
{
	return col->scale <= 6 ? col->scale : 0;
}

/* ---- strings ---- */

/*
 * A UUID of MariaDB lies in a record with its parts from the last to the first,
 * so that those of one node and of rising time stand together; but as it is
 * where it has no time (nil, versions from 6 on, other variants). Columns older
 * than that exception are all reversed.
 */
static void
unswap_uuid(const unsigned char *from, bool old, unsigned char to[16])
{
	if (!old && !(from[8] > 0 && from[8] < 0x60 && (from[6] & 0x80))) {
		memcpy(to, from, 16);
		return;
	}
	memcpy(to, from + 12, 4);
	memcpy(to + 4, from + 10, 2);
	memcpy(to + 6, from + 8, 2);
	memcpy(to + 8, from + 6, 2);
	memcpy(to + 10, from, 6);
}

/* What is as long in the table but travels without its last bytes, zeros. */
static uint32_t
fixed_bytes(const struct column *col)
{
	if (col->type == TYPE_BINARY && strncmp(col->native, "binary", 6) == 0)
		return col->length;
	return mysql_shown_bytes(col);
}

static void
take_string(
	struct cursor *c, size_t max, const struct column *col, struct arena *a, struct value *v)
{
	size_t n = max < 256 ? cursor_u8(c) : cursor_u16(c), whole = fixed_bytes(col);
	const unsigned char *p = cursor_take(c, n);
	unsigned char *padded;

	if (p == NULL)
		return;
	if (n >= whole && strncmp(col->native, "uuid", 4) != 0) {
		set_bytes(v, p, n);
		return;
	}
	padded = arena_calloc(a, 1, whole);
	memcpy(padded, p, n < whole ? n : whole);
	if (strncmp(col->native, "uuid", 4) == 0) {
		unsigned char *straight = arena_alloc(a, whole);

		unswap_uuid(padded, strcmp(col->native, "uuid") != 0, straight);
		padded = straight;
	}
	set_bytes(v, padded, whole);
}

/*
 * A value of a COMPRESSED column of MariaDB: nothing, or a byte that says how
 * the others are kept. 0: as they are; 0x80: zlib, its low three bits the number
 * of bytes of the size that follows (big-endian), 8 for a stream without head.
 */
static void
expand(struct cursor *c, const unsigned char *p, size_t n, struct arena *a, struct value *v)
{
	uint64_t size = 0;
	unsigned bytes;
	z_stream z = {0};
	unsigned char *to;

	if (n == 0 || p[0] == 0) {
		set_bytes(v, n == 0 ? p : p + 1, n == 0 ? 0 : n - 1);
		return;
	}
	bytes = p[0] & 7;
	c->bad = (p[0] & 0xf0) != 0x80 || bytes == 0 || bytes > 4 || n < 1 + bytes;
	for (unsigned i = 0; !c->bad && i < bytes; i++)
		size = size << 8 | p[1 + i];
	/* zlib makes at most 1032 bytes of one. */
	if (c->bad || size > n * 1032 + 64 || inflateInit2(&z, p[0] & 8 ? -15 : 15) != Z_OK) {
		c->bad = true;
		return;
	}
	to = arena_alloc(a, size + 1);
	z.next_in = (unsigned char *)p + 1 + bytes;
	z.avail_in = (uInt)(n - 1 - bytes);
	z.next_out = to;
	z.avail_out = (uInt)size + 1;
	c->bad = inflate(&z, Z_FINISH) != Z_STREAM_END || z.total_out != size;
	inflateEnd(&z);
	set_bytes(v, to, size);
}

static void
take_compressed(struct cursor *c, size_t n, struct arena *a, struct value *v)
{
	const unsigned char *p = cursor_take(c, n);

	if (p != NULL)
		expand(c, p, n, a, v);
}

static void
take_json(struct cursor *c, unsigned meta, struct arena *a, struct value *v)
{
	size_t n = take_le(c, meta);
	const unsigned char *p = cursor_take(c, n);
	struct buf b;

	if (p == NULL)
		return;
	buf_init(&b);
	if (n == 0)
		buf_puts(&b, "null");
	else if (!mysql_json_text(p, n, &b))
		c->bad = true;
	set_bytes(v, arena_dup(a, b.data, b.len), b.len);
	buf_release(&b);
}

static void
take_blob(struct cursor *c, unsigned meta, struct value *v)
{
	size_t n = take_le(c, meta);
	const unsigned char *p = cursor_take(c, n);

	if (p != NULL)
		set_bytes(v, p, n);
}

static void
take_bit(struct cursor *c, unsigned meta, struct value *v)
{
	size_t n = (meta >> 8) + ((meta & 0xff) != 0);
	const unsigned char *p = cursor_take(c, n);

	if (p != NULL)
		set_bytes(v, p, n);
}

static void
take_integer(struct cursor *c, unsigned bytes, const struct column *col, struct arena *a,
	struct value *v)
{
	set_i64(a, v, sign_extend(take_le(c, bytes), bytes, col->is_unsigned));
}

static enum rc
take_value(struct cursor *c, const struct binlog_column *bc, const struct column *col,
	struct arena *a, struct value *v, struct err *e)
{
	uint8_t year;

	*v = (struct value){.kind = VALUE_BYTES};
	switch (bc->type) {
	case T_TINY:
		take_integer(c, 1, col, a, v);
		break;
	case T_SHORT:
		take_integer(c, 2, col, a, v);
		break;
	case T_INT24:
		take_integer(c, 3, col, a, v);
		break;
	case T_LONG:
		take_integer(c, 4, col, a, v);
		break;
	case T_LONGLONG:
		take_integer(c, 8, col, a, v);
		break;
	case T_FLOAT:
		set_bytes(v, cursor_take(c, 4), 4);
		break;
	case T_DOUBLE:
		set_bytes(v, cursor_take(c, 8), 8);
		break;
	case T_NEWDECIMAL:
		take_decimal(c, bc, a, v);
		break;
	case T_YEAR:
		year = cursor_u8(c);
		set_i64(a, v, year == 0 ? 0 : 1900 + year);
		break;
	case T_DATE:
	case T_NEWDATE:
		take_date(c, a, v);
		break;
	case T_TIME:
		if (old_digits(col) != 0)
			take_fraction_time(c, old_digits(col), a, v);
		else
			take_old_time(c, a, v);
		break;
	case T_DATETIME:
		if (old_digits(col) != 0)
			take_fraction_datetime(c, old_digits(col), a, v);
		else
			take_old_datetime(c, a, v);
		break;
	case T_TIMESTAMP:
		if (old_digits(col) != 0)
			take_fraction_timestamp(c, old_digits(col), a, v);
		else
			set_timestamp(a, v, (uint32_t)take_le(c, 4), 0, 0);
		break;
	case T_TIMESTAMP2: {
		uint32_t seconds = (uint32_t)take_be(c, 4);

		set_timestamp(a, v, seconds, take_fraction(c, bc->meta), bc->meta);
		break;
	}
	case T_DATETIME2:
		take_datetime2(c, bc->meta, a, v);
		break;
	case T_TIME2:
		take_time2(c, bc->meta, a, v);
		break;
	case T_ENUM:
	case T_SET:
		set_i64(a, v, (int64_t)take_le(c, bc->meta));
		break;
	case T_BIT:
		take_bit(c, bc->meta, v);
		break;
	case T_VARCHAR:
	case T_VAR_STRING:
	case T_STRING:
		take_string(c, bc->meta, col, a, v);
		break;
	case T_COMPRESSED_VARCHAR:
		take_compressed(c, bc->meta < 256 ? cursor_u8(c) : cursor_u16(c), a, v);
		break;
	case T_COMPRESSED_BLOB:
		take_compressed(c, take_le(c, bc->meta), a, v);
		break;
	case T_JSON:
		take_json(c, bc->meta, a, v);
		break;
	case T_BLOB:
	case T_GEOMETRY:
	case T_VECTOR:
		take_blob(c, bc->meta, v);
		break;
	default:
		return err_set(e, RC_DATA,
			"column \"%s\" has type %u in the binary log, which is not supported",
			col->name, bc->type);
	}
	return RC_OK;
}

static bool
bit(const unsigned char *bits, uint32_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

/* Which JSON columns have only their diffs in an image, and what these are of. */
struct partial {
	const unsigned char *bits; /* one for each JSON column of the table; NULL: none */
	const struct row *before;
};

#define PARTIAL_JSON 1u

static const unsigned char *
take_partial_bits(const struct binlog_table *bt, struct cursor *c)
{
	uint32_t n = 0;

	if ((cursor_lenenc(c) & PARTIAL_JSON) == 0)
		return NULL;
	for (uint32_t i = 0; i < bt->ncolumns; i++)
		n += bt->columns[i].type == T_JSON;
	return cursor_take(c, (n + 7) / 8);
}

static enum rc
take_diffs(struct cursor *c, const struct table *t, const struct column *col,
	const struct value *before, struct arena *a, struct value *v, struct err *e)
{
	size_t n = cursor_u32(c);
	const unsigned char *p = cursor_take(c, n);
	struct buf b;
	bool ok;

	if (p == NULL)
		return RC_OK; /* c->bad says it */
	if (before->kind != VALUE_BYTES)
		return err_set(e, RC_DATA,
			"the log has a part of column \"%s\" of %s.%s, and not the value before "
			"it; "
			"set binlog_row_image=FULL or binlog_row_value_options='' at the source",
			col->name, t->db, t->name);
	buf_init(&b);
	ok = mysql_json_apply(before->data, before->len, p, n, &b);
	if (ok)
		*v = (struct value){.kind = VALUE_BYTES,
			.data = arena_dup(a, b.data, b.len),
			.len = (uint32_t)b.len};
	buf_release(&b);
	return ok ? RC_OK
		  : err_set(e, RC_DATA,
			    "the log has a part of column \"%s\" of %s.%s that does not fit the "
			    "value before it",
			    col->name, t->db, t->name);
}

static enum rc
take_image(const struct binlog_table *bt, const struct table *t, const unsigned char *present,
	enum value_kind missing, const struct partial *partial, struct cursor *c, struct arena *a,
	struct row *out, struct err *e)
{
	const unsigned char *nulls;
	uint32_t count = 0, k = 0, json = 0;

	for (uint32_t i = 0; i < bt->ncolumns; i++)
		count += bit(present, i);
	nulls = cursor_take(c, (count + 7) / 8);
	out->ncols = bt->ncolumns;
	out->col = arena_alloc(a, bt->ncolumns * sizeof *out->col);
	for (uint32_t i = 0; i < bt->ncolumns && !c->bad; i++) {
		bool diffs = bt->columns[i].type == T_JSON && partial->bits != NULL &&
			     bit(partial->bits, json++);
		enum rc rc;

		out->col[i] = (struct value){.kind = missing};
		if (!bit(present, i))
			continue;
		if (nulls != NULL && bit(nulls, k++)) {
			out->col[i].kind = VALUE_NULL;
			continue;
		}
		rc = diffs ? take_diffs(c, t, &t->columns[i], &partial->before->col[i], a,
				     &out->col[i], e)
			   : take_value(c, &bt->columns[i], &t->columns[i], a, &out->col[i], e);
		if (rc != RC_OK)
			return rc;
	}
	if (c->bad)
		return err_set(e, RC_DATA,
			"a row of %s.%s in the binary log is damaged, or its columns are not what "
			"we know",
			bt->db, bt->name);
	return RC_OK;
}

enum rc
binlog_row(const struct binlog_table *bt, const struct table *t, const unsigned char *present,
	enum value_kind missing, struct cursor *c, struct arena *a, struct row *out, struct err *e)
{
	static const struct partial none;

	return take_image(bt, t, present, missing, &none, c, a, out, e);
}

enum rc
binlog_row_partial(const struct binlog_table *bt, const struct table *t,
	const unsigned char *present, const struct row *before, struct cursor *c, struct arena *a,
	struct row *out, struct err *e)
{
	struct partial partial = {.bits = take_partial_bits(bt, c), .before = before};

	return take_image(bt, t, present, VALUE_UNCHANGED, &partial, c, a, out, e);
}

bool
binlog_fits(const struct binlog_column *bc, const struct column *col)
{
	switch (bc->type) {
	case T_TINY:
	case T_SHORT:
	case T_INT24:
	case T_LONG:
	case T_LONGLONG:
		return col->type == TYPE_INTEGER;
	case T_FLOAT:
		return col->type == TYPE_FLOAT;
	case T_DOUBLE:
		return col->type == TYPE_DOUBLE;
	case T_NEWDECIMAL:
		return col->type == TYPE_DECIMAL && col->precision == (bc->meta >> 8) &&
		       col->scale == (bc->meta & 0xffu);
	case T_YEAR:
		return col->type == TYPE_YEAR;
	case T_DATE:
	case T_NEWDATE:
		return col->type == TYPE_DATE;
	case T_TIME:
	case T_TIME2:
		return col->type == TYPE_TIME;
	case T_DATETIME:
	case T_DATETIME2:
		return col->type == TYPE_DATETIME;
	case T_TIMESTAMP:
	case T_TIMESTAMP2:
		return col->type == TYPE_TIMESTAMP;
	case T_ENUM:
		return col->type == TYPE_ENUM;
	case T_SET:
		return col->type == TYPE_SET;
	case T_BIT:
		return col->type == TYPE_BIT;
	case T_JSON:
		return col->type == TYPE_JSON;
	case T_GEOMETRY:
		return col->type == TYPE_GEOMETRY;
	case T_VARCHAR:
	case T_VAR_STRING:
	case T_STRING:
	case T_BLOB:
	case T_VECTOR:
	case T_COMPRESSED_BLOB:
	case T_COMPRESSED_VARCHAR:
		return col->type == TYPE_TEXT || col->type == TYPE_BINARY || col->type == TYPE_JSON;
	default:
		return false;
	}
}

enum type
binlog_plain_type(const struct binlog_column *bc)
{
	static const enum type candidates[] = {TYPE_INTEGER, TYPE_FLOAT, TYPE_DOUBLE, TYPE_YEAR,
		TYPE_DATE, TYPE_TIME, TYPE_DATETIME, TYPE_TIMESTAMP, TYPE_ENUM, TYPE_SET, TYPE_BIT,
		TYPE_GEOMETRY, TYPE_BINARY, TYPE_JSON};

	if (bc->type == T_NEWDECIMAL)
		return TYPE_DECIMAL;
	for (size_t i = 0; i < COUNT_OF(candidates); i++) {
		struct column c = {.type = candidates[i]};

		if (binlog_fits(bc, &c))
			return candidates[i];
	}
	return TYPE_BINARY;
}
