/*
 * binary.c - rows in COPY's binary format, where every column's type has a row below; see sink.h
 * of the room. PostgreSQL documentation: COPY, Binary Format; the types' own receive functions.
 *
 * The server need not look for ends and escapes, bytes are half as long, and so are numbers. What
 * has no row - intervals, arrays, enums - goes as text, and all of its table with it.
 */
#include "common/compat.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workers/writer/pgsql/sink.h"

static void
put_be16(struct buf *b, uint16_t v)
{
	v = htobe16(v);
	buf_add(b, &v, sizeof v);
}

static void
put_be32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_add(b, &v, sizeof v);
}

static void
put_be64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_add(b, &v, sizeof v);
}

static enum rc
out_of_range(const struct column *s, const struct column *t, const struct value *v, struct err *e)
{
	if (type_layout(s->type) == LAYOUT_I64)
		err_set(e, RC_DATA, "column \"%s\": %lld is out of range for %s", s->name,
			(long long)value_i64(v), t->native);
	else
		err_set(e, RC_DATA, "column \"%s\": %s does not hold \"%.*s\"", s->name, t->native,
			(int)(v->len < 64 ? v->len : 64), (const char *)v->data);
	return err_remedy(e,
		"change the target's column to a type that holds it, or the row at the "
		"source, and reset the channel");
}

/* ---- numbers ---- */

/* Of so many bytes. */
static enum rc
put_integer(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, unsigned size, struct err *e)
{
	unsigned spare = 64 - 8 * size;
	int64_t n = value_i64(v), most = INT64_MAX >> spare;
	uint64_t bytes = htobe64((uint64_t)n << spare);

	if ((s->is_unsigned && n < 0) || n > most || n < -most - 1)
		return out_of_range(s, t, v, e);
	put_be32(&l->text, size);
	buf_add(&l->text, &bytes, size);
	return RC_OK;
}

static enum rc
put_int2(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	return put_integer(l, s, t, v, 2, e);
}

static enum rc
put_int4(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	return put_integer(l, s, t, v, 4, e);
}

static enum rc
put_int8(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	return put_integer(l, s, t, v, 8, e);
}

static enum rc
put_bool(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	(void)s;
	(void)t;
	(void)e;
	put_be32(&l->text, 1);
	buf_u8(&l->text, value_i64(v) != 0);
	return RC_OK;
}

static enum rc
put_float4(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	uint32_t bits;

	(void)s;
	(void)t;
	(void)e;
	memcpy(&bits, v->data, sizeof bits);
	put_be32(&l->text, 4);
	put_be32(&l->text, bits);
	return RC_OK;
}

static enum rc
put_float8(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	uint64_t bits;

	(void)s;
	(void)t;
	(void)e;
	memcpy(&bits, v->data, sizeof bits);
	put_be32(&l->text, 8);
	put_be64(&l->text, bits);
	return RC_OK;
}

#define NUMERIC_POSITIVE 0x0000u
#define NUMERIC_NEGATIVE 0x4000u
#define NUMERIC_DIGITS 4u /* of ours in one of the server's */

/* "NaN" and the infinite ones are signs; 0: it has digits. */
static uint16_t
sign_alone(const struct value *v)
{
	static const struct {
		const char *text;
		uint16_t sign;
	} signs[] = {{"NaN", 0xc000}, {"Infinity", 0xd000}, {"-Infinity", 0xf000}};

	for (size_t i = 0; i < COUNT_OF(signs); i++)
		if (v->len == strlen(signs[i].text) && memcmp(v->data, signs[i].text, v->len) == 0)
			return signs[i].sign;
	return 0;
}

static void
put_numeric_head(struct buf *b, uint32_t groups, uint32_t weight, uint16_t sign, uint32_t behind)
{
	put_be32(b, 8 + 2 * groups);
	put_be16(b, (uint16_t)groups);
	put_be16(b, (uint16_t)weight);
	put_be16(b, sign);
	put_be16(b, (uint16_t)behind);
}

/* "-1234567.89": [123, 4567, 8900], the first one of weight 1. */
static enum rc
put_numeric(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	const char *p = (const char *)v->data, *end = p + v->len, *point;
	uint32_t whole, behind, groups, gap;
	bool negative = p != end && *p == '-';

	if (sign_alone(v) != 0) {
		put_numeric_head(&l->text, 0, 0, sign_alone(v), 0);
		return RC_OK;
	}
	p += negative;
	point = memchr(p, '.', (size_t)(end - p));
	whole = (uint32_t)((point != NULL ? point : end) - p);
	behind = point != NULL ? (uint32_t)(end - point - 1) : 0;
	for (const char *c = p; c != end; c++)
		if (c != point && (*c < '0' || *c > '9'))
			return out_of_range(s, t, v, e);
	groups = (whole + NUMERIC_DIGITS - 1) / NUMERIC_DIGITS +
		 (behind + NUMERIC_DIGITS - 1) / NUMERIC_DIGITS;
	if (whole == 0 || groups > INT16_MAX)
		return out_of_range(s, t, v, e);
	gap = (NUMERIC_DIGITS - whole % NUMERIC_DIGITS) % NUMERIC_DIGITS;
	put_numeric_head(&l->text, groups, (whole - 1) / NUMERIC_DIGITS,
		negative ? NUMERIC_NEGATIVE : NUMERIC_POSITIVE, behind);
	for (uint32_t at = 0, g = 0; at < groups; at++, g = 0) {
		for (uint32_t d = 0; d < NUMERIC_DIGITS; d++) {
			bool have = gap == 0 && p != end;

			g = g * 10 + (have ? (uint32_t)(*p - '0') : 0);
			p += have;
			p += p == point;
			gap -= gap != 0;
		}
		put_be16(&l->text, (uint16_t)g);
	}
	return RC_OK;
}

/* ---- time ---- */

#define DAY_US INT64_C(86400000000)

static bool
take_number(const char **p, const char *end, unsigned digits, int64_t *out)
{
	unsigned n = 0;

	for (*out = 0; *p != end && **p >= '0' && **p <= '9' && n < digits; (*p)++, n++)
		*out = *out * 10 + (**p - '0');
	return n != 0;
}

static bool
take_char(const char **p, const char *end, char c)
{
	bool is = *p != end && **p == c;

	*p += is;
	return is;
}

/* Days from 2000-01-01, which follow from years that begin with March. */
static bool
take_date(const char **p, const char *end, int64_t *days)
{
	static const int64_t last[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t y, m, d;
	bool leap;

	if (!take_number(p, end, 7, &y) || !take_char(p, end, '-') || !take_number(p, end, 2, &m) ||
		!take_char(p, end, '-') || !take_number(p, end, 2, &d))
		return false;
	if (end - *p >= 3 && memcmp(end - 3, " BC", 3) == 0)
		y = 1 - y;
	leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
	if (y == 0 && (end - *p < 3 || end[-1] != 'C'))
		return false;
	if (m < 1 || m > 12 || d < 1 || d > last[m - 1] || (m == 2 && d == 29 && !leap))
		return false;
	y += 8000 - (m <= 2); /* 20 times 400 years: nothing is negative */
	m = (m + 9) % 12;
	*days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + d - 1 - 3652365;
	return true;
}

static bool
take_time(const char **p, const char *end, int64_t *us)
{
	int64_t h, m, s, fraction = 0;
	unsigned digits = 0;

	if (!take_number(p, end, 2, &h) || !take_char(p, end, ':') || !take_number(p, end, 2, &m) ||
		!take_char(p, end, ':') || !take_number(p, end, 2, &s))
		return false;
	if (take_char(p, end, '.'))
		for (; *p != end && **p >= '0' && **p <= '9' && digits < 6; (*p)++, digits++)
			fraction = fraction * 10 + (**p - '0');
	for (; digits < 6; digits++)
		fraction *= 10;
	*us = ((h * 60 + m) * 60 + s) * 1000000 + fraction;
	return h < 24 && m < 60 && s < 60;
}

/* "infinity", "-infinity": 1, -1. */
static int
infinite(const struct value *v)
{
	if (v->len == 8 && memcmp(v->data, "infinity", 8) == 0)
		return 1;
	return v->len == 9 && memcmp(v->data, "-infinity", 9) == 0 ? -1 : 0;
}

static bool
ends(const char *p, const char *end)
{
	return p == end || (end - p == 3 && memcmp(p, " BC", 3) == 0);
}

static enum rc
put_date(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	const char *p = (const char *)v->data, *end = p + v->len;
	int64_t days = infinite(v) > 0 ? INT32_MAX : INT32_MIN;

	if (infinite(v) == 0 && (!take_date(&p, end, &days) || !ends(p, end)))
		return out_of_range(s, t, v, e);
	put_be32(&l->text, 4);
	put_be32(&l->text, (uint32_t)days);
	return RC_OK;
}

static enum rc
put_timestamp(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	const char *p = (const char *)v->data, *end = p + v->len;
	int64_t us = infinite(v) > 0 ? INT64_MAX : INT64_MIN, days;

	if (infinite(v) == 0) {
		if (!take_date(&p, end, &days) || !take_char(&p, end, ' ') ||
			!take_time(&p, end, &us) || !ends(p, end))
			return out_of_range(s, t, v, e);
		us += days * DAY_US;
	}
	put_be32(&l->text, 8);
	put_be64(&l->text, (uint64_t)us);
	return RC_OK;
}

/* ---- bytes ---- */

/* What the server's text is, behind what is in l->scratch already. */
static enum rc
put_scratch(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	enum rc rc = pgsink_render(l->transcoder, s, t, v, &l->scratch, e);

	put_be32(&l->text, (uint32_t)l->scratch.len);
	buf_add(&l->text, l->scratch.data, l->scratch.len);
	return rc;
}

static enum rc
put_rendered(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	buf_clear(&l->scratch);
	return put_scratch(l, s, t, v, e);
}

static enum rc
put_bytes(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	(void)s;
	(void)t;
	(void)e;
	put_be32(&l->text, (uint32_t)v->len);
	buf_add(&l->text, v->data, v->len);
	return RC_OK;
}

#define JSONB_VERSION 1

static enum rc
put_jsonb(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	buf_clear(&l->scratch);
	buf_u8(&l->scratch, JSONB_VERSION);
	return put_scratch(l, s, t, v, e);
}

static int
nibble(unsigned char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As PostgreSQL prints it. */
static enum rc
put_uuid(struct pgsql_lane *l, const struct column *s, const struct column *t,
	const struct value *v, struct err *e)
{
	unsigned char bytes[16] = {0};
	size_t n = 0;

	for (size_t i = 0; i < v->len; i++) {
		if (v->data[i] == '-')
			continue;
		if (nibble(v->data[i]) < 0 || n == 2 * sizeof bytes)
			return out_of_range(s, t, v, e);
		bytes[n / 2] = (unsigned char)(bytes[n / 2] << 4 | nibble(v->data[i]));
		n++;
	}
	if (n != 2 * sizeof bytes)
		return out_of_range(s, t, v, e);
	put_be32(&l->text, sizeof bytes);
	buf_add(&l->text, bytes, sizeof bytes);
	return RC_OK;
}

/* ---- types ---- */

static bool
is_integer(const struct column *s)
{
	return s->type == TYPE_INTEGER || s->type == TYPE_YEAR;
}

static bool
is_float(const struct column *s)
{
	return s->type == TYPE_FLOAT;
}

static bool
is_double(const struct column *s)
{
	return s->type == TYPE_DOUBLE;
}

static bool
is_decimal(const struct column *s)
{
	return s->type == TYPE_DECIMAL;
}

static bool
is_date(const struct column *s)
{
	return s->type == TYPE_DATE;
}

static bool
is_moment(const struct column *s)
{
	return s->type == TYPE_DATETIME || s->type == TYPE_TIMESTAMP;
}

static bool
is_uuid(const struct column *s)
{
	return s->type == TYPE_TEXT && strcmp(s->native, "uuid") == 0;
}

static bool
is_anything(const struct column *s)
{
	(void)s;
	return true;
}

static bool
is_bytes(const struct column *s)
{
	enum value_layout layout = type_layout(s->type);

	return layout == LAYOUT_TEXT || layout == LAYOUT_BYTES;
}

static const struct {
	const char *native; /* of the target */
	bool (*takes)(const struct column *s);
	pgsink_put *put;
} types[] = {
	{"smallint", is_integer, put_int2},
	{"integer", is_integer, put_int4},
	{"bigint", is_integer, put_int8},
	{"boolean", is_integer, put_bool},
	{"real", is_float, put_float4},
	{"double precision", is_double, put_float8},
	{"numeric", is_decimal, put_numeric},
	{"date", is_date, put_date},
	{"timestamp", is_moment, put_timestamp},
	{"text", is_anything, put_rendered},
	{"character", is_anything, put_rendered},
	{"json", is_anything, put_rendered},
	{"jsonb", is_anything, put_jsonb},
	{"uuid", is_uuid, put_uuid},
	{"bytea", is_bytes, put_bytes},
};

/* "numeric(10,2)" is numeric, "integer[]" no integer. */
static bool
is_native(const char *native, const char *type)
{
	size_t n = strlen(type);

	return strncmp(native, type, n) == 0 && strchr(native, '[') == NULL &&
	       (native[n] == '\0' || native[n] == '(' || native[n] == ' ');
}

static pgsink_put *
find_put(const struct column *s, const struct column *t)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (is_native(t->native, types[i].native) && types[i].takes(s))
			return types[i].put;
	return NULL;
}

bool
pgsink_is_binary(
	const struct pgsql_lane *l, const struct target *t, struct copied *columns, uint32_t n)
{
	/* Older servers may count time in floating-point numbers. */
	if (l->c.version < 100000 || l->sink->dialect->distributed)
		return false;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = columns[k].column;

		columns[k].put = find_put(&t->source->columns[i], &t->table->columns[t->map[i]]);
		if (columns[k].put == NULL)
			return false;
	}
	return true;
}

void
pgsink_binary_begin(struct pgsql_lane *l)
{
	static const char signature[] = "PGCOPY\n\377\r\n";

	buf_add(&l->text, signature, sizeof signature);
	put_be32(&l->text, 0);
	put_be32(&l->text, 0);
}

enum rc
pgsink_binary_row(struct pgsql_lane *l, const struct copied *columns, uint32_t n,
	const struct change *c, struct err *e)
{
	const struct target *t = c->target;
	enum rc rc = RC_OK;

	put_be16(&l->text, (uint16_t)n);
	for (uint32_t k = 0; k < n && rc == RC_OK; k++) {
		uint32_t i = columns[k].column;
		const struct value *v = columns[k].before ? &c->before.col[i] : &c->after.col[i];
		const struct column *from = &t->source->columns[i],
				    *to = &t->table->columns[t->map[i]];

		if (v->kind != VALUE_BYTES)
			put_be32(&l->text, UINT32_MAX);
		else
			rc = columns[k].put(l, from, to, v, e);
	}
	return rc;
}

void
pgsink_binary_end(struct pgsql_lane *l)
{
	put_be16(&l->text, UINT16_MAX);
}
