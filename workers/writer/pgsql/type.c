/*
 * type.c - canonical types at a PostgreSQL target: what column each one gets, and how its
 * values are written; see sink.h of the room.
 *
 * Exact: MySQL's TIME reaches over 838 hours and becomes an interval, BIGINT
 * UNSIGNED a numeric(20), CHAR a varchar (PostgreSQL's char pads), ENUM and
 * SET the text of their labels, a geometry its SRID and WKB. What PostgreSQL
 * cannot hold at all - a zero byte in text, the date 0000-00-00 - is refused
 * by value.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "workers/writer/pgsql/sink.h"

/* ---- columns ---- */

static bool
begins(const char *s, const char *with)
{
	return s != NULL && strncasecmp(s, with, strlen(with)) == 0;
}

static void
integer_type(struct buf *b, const struct column *c)
{
	const char *n = c->native;

	if (begins(n, "tinyint") || (begins(n, "smallint") && !c->is_unsigned))
		buf_puts(b, "smallint");
	else if (begins(n, "smallint") || begins(n, "mediumint") ||
		 (begins(n, "int") && !c->is_unsigned))
		buf_puts(b, "integer");
	else if (begins(n, "int") || !c->is_unsigned)
		buf_puts(b, "bigint");
	else
		buf_puts(b, "numeric(20)");
}

static void
text_type(struct buf *b, const struct column *c)
{
	if ((begins(c->native, "char") || begins(c->native, "varchar")) && c->length != 0)
		buf_printf(b, "varchar(%u)", c->length);
	else
		buf_puts(b, "text");
}

void
pgsink_type(struct buf *b, const struct column *c)
{
	switch (c->type) {
	case TYPE_INTEGER:
		integer_type(b, c);
		break;
	case TYPE_FLOAT:
		buf_puts(b, "real");
		break;
	case TYPE_DOUBLE:
		buf_puts(b, "double precision");
		break;
	case TYPE_DECIMAL:
		buf_printf(b, "numeric(%u,%u)", c->precision, c->scale);
		break;
	case TYPE_DATE:
		buf_puts(b, "date");
		break;
	case TYPE_TIME:
		buf_printf(b, "interval(%u)", c->scale);
		break;
	case TYPE_DATETIME:
		buf_printf(b, "timestamp(%u)", c->scale);
		break;
	case TYPE_TIMESTAMP:
		buf_printf(b, "timestamptz(%u)", c->scale);
		break;
	case TYPE_YEAR:
		buf_puts(b, "smallint");
		break;
	case TYPE_BINARY:
	case TYPE_GEOMETRY:
		buf_puts(b, "bytea");
		break;
	case TYPE_BIT:
		buf_printf(b, "bit(%u)", c->length);
		break;
	case TYPE_JSON:
		buf_puts(b, "json");
		break;
	case TYPE_TEXT:
		text_type(b, c);
		break;
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_COUNT:
	default:
		buf_puts(b, "text");
		break;
	}
}

/* ---- values ---- */

static void
put_hex(struct buf *out, const struct value *v)
{
	buf_puts(out, "\\x");
	pgsql_hex(out, v->data, v->len);
}

static void
put_float(struct buf *out, double d, int digits)
{
	if (isnan(d))
		buf_puts(out, "NaN");
	else if (isinf(d))
		buf_puts(out, d > 0 ? "Infinity" : "-Infinity");
	else
		buf_printf(out, "%.*g", digits, d);
}

static void
put_integer(struct buf *out, const struct column *s, const struct column *t, const struct value *v)
{
	if (t->native != NULL && strcmp(t->native, "boolean") == 0)
		buf_putc(out, value_i64(v) != 0 ? 't' : 'f');
	else if (s->is_unsigned)
		buf_printf(out, "%" PRIu64, (uint64_t)value_i64(v));
	else
		buf_printf(out, "%" PRId64, value_i64(v));
}

/* The low bits of a big-endian number, as '0' and '1'. */
static void
put_bits(struct buf *out, const struct column *s, const struct value *v)
{
	uint32_t n = s->length <= v->len * 8 ? s->length : v->len * 8;

	while (n-- > 0)
		buf_putc(out, (v->data[v->len - 1 - n / 8] >> (n % 8) & 1) != 0 ? '1' : '0');
}

static void
put_labels(struct buf *out, const struct column *s, const struct value *v)
{
	uint64_t bits = (uint64_t)value_i64(v);
	bool first = true;

	if (s->type == TYPE_ENUM) {
		if (bits != 0 && bits <= s->nlabels)
			buf_puts(out, s->labels[bits - 1]);
		return;
	}
	for (uint32_t i = 0; i < s->nlabels && i < 64; i++)
		if ((bits >> i & 1) != 0) {
			buf_printf(out, "%s%s", first ? "" : ",", s->labels[i]);
			first = false;
		}
}

static enum rc
put_text(struct transcoder *tr, const struct column *s, const struct value *v, struct buf *out,
	struct err *e)
{
	size_t from = out->len;
	enum rc rc = transcoder_utf8(
		tr, s->charset != NULL ? s->charset : "utf8mb4", v->data, v->len, out, e);

	if (rc != RC_OK)
		return err_context(e, "column \"%s\"", s->name);
	if (out->len != from && memchr(out->data + from, 0, out->len - from) != NULL) {
		err_set(e, RC_DATA,
			"column \"%s\": text with a zero byte, which PostgreSQL cannot hold",
			s->name);
		return err_remedy(e, "take the zero byte out at the source and reset the channel, "
				     "or make the target's column bytea");
	}
	return RC_OK;
}

enum rc
pgsink_render(struct transcoder *tr, const struct column *s, const struct column *t,
	const struct value *v, struct buf *out, struct err *e)
{
	float f;
	double d;

	switch (type_layout(s->type)) {
	case LAYOUT_I64:
		if (s->type == TYPE_ENUM || s->type == TYPE_SET)
			put_labels(out, s, v);
		else
			put_integer(out, s, t, v);
		return RC_OK;
	case LAYOUT_F32:
		memcpy(&f, v->data, sizeof f);
		put_float(out, (double)f, 9);
		return RC_OK;
	case LAYOUT_F64:
		memcpy(&d, v->data, sizeof d);
		put_float(out, d, 17);
		return RC_OK;
	case LAYOUT_TEXT:
		if (t->type == TYPE_BINARY)
			put_hex(out, v);
		else
			return put_text(tr, s, v, out, e);
		return RC_OK;
	case LAYOUT_BYTES:
	default:
		if (s->type == TYPE_BIT && t->type != TYPE_BINARY)
			put_bits(out, s, v);
		else if (t->type == TYPE_BINARY)
			put_hex(out, v);
		else
			return put_text(tr, s, v, out, e);
		return RC_OK;
	}
}
