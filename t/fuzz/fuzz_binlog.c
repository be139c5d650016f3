/*
 * fuzz_binlog.c - any bytes as a binary log event: errors, never a crash.
 *
 * The first byte is the type of the event; a TABLE_MAP is kept for the rows
 * that follow it in the same input (pieces are split at 0xfe 0xed).
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/value.h"
#include "workers/reader/mysql/xa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct table *
schema_of(const struct binlog_table *m)
{
	struct table *t = table_new(m->db, m->name);

	for (uint32_t i = 0; i < m->ncolumns; i++) {
		struct column *c = table_add_column(t, "c", binlog_plain_type(&m->columns[i]));

		c->native = xstrdup(i % 2 != 0 ? "binary(8)" : "");
		c->length = 8;
	}
	return t;
}

static void
rows(const struct binlog_event *ev, const struct binlog_format *f, const struct binlog_table *m)
{
	struct binlog_rows r;
	struct arena a;
	struct cursor c;
	struct table *t;
	struct row row;
	unsigned n = 0; /* a small block may inflate to millions of rows */
	struct err e;

	if (binlog_rows(f, ev, &r, &e) == RC_OK && m != NULL && r.ncolumns == m->ncolumns) {
		t = schema_of(m);
		arena_init(&a);
		cursor_init(&c, r.data, r.len);
		while (cursor_left(&c) != 0 && n++ < 1000 &&
			binlog_row(m, t, r.before, VALUE_ABSENT, &c, &a, &row, &e) == RC_OK) {
			if (r.partial &&
				binlog_row_partial(m, t, r.after, &row, &c, &a, &row, &e) != RC_OK)
				break;
			arena_reset(&a);
		}
		arena_release(&a);
		table_free(t);
	}
	free(r.inflated);
}

static void
statement(const struct binlog_event *ev)
{
	struct binlog_query q;
	struct xid id;
	struct err e;

	if (binlog_query(ev, &q, &e) != RC_OK)
		return;
	if (xid_of_statement(q.sql, q.len, &id, &e) != RC_OK)
		id.format = 0;
	free(q.inflated);
}

static enum rc
inner(void *arg, const struct binlog_event *ev, struct err *e)
{
	struct binlog_query q;

	(void)arg;
	if (ev->type == QUERY_EVENT && binlog_query(ev, &q, e) == RC_OK)
		free(q.inflated);
	return RC_OK;
}

static void
one(const uint8_t *p, size_t n, struct binlog_format *f, struct binlog_table **m)
{
	struct binlog_event ev = {
		.type = p[0], .len = (uint32_t)n, .body = p + 1, .body_len = n - 1};
	bool one_phase;
	struct xid id;
	struct binlog_gtid g;
	struct binlog_table *t;
	char name[512];
	uint64_t pos;
	struct err e;

	switch (ev.type) {
	case TABLE_MAP_EVENT:
		if (binlog_table_map(f, &ev, &t, &e) == RC_OK) {
			binlog_table_free(*m);
			*m = t;
		}
		break;
	case QUERY_EVENT:
	case MARIADB_QUERY_COMPRESSED_EVENT:
		statement(&ev);
		break;
	case XA_PREPARE_EVENT:
		if (xid_of_event(&ev, &id, &one_phase, &e) != RC_OK)
			id.format = 0;
		break;
	case GTID_EVENT:
	case GTID_TAGGED_EVENT:
	case MARIADB_GTID_EVENT:
		if (binlog_gtid(&ev, &g, &e) != RC_OK)
			g.number = 0;
		break;
	case ROTATE_EVENT:
		if (binlog_rotate(&ev, &pos, name, &e) != RC_OK)
			pos = 0;
		break;
	case FORMAT_DESCRIPTION_EVENT:
		if (binlog_format(&ev, f, &e) != RC_OK)
			*f = (struct binlog_format){0};
		break;
	case TRANSACTION_PAYLOAD_EVENT:
		if (binlog_payload(&ev, inner, NULL, &e) != RC_OK)
			pos = 0;
		break;
	default:
		if (binlog_is_rows(ev.type))
			rows(&ev, f, *m);
		else if (binlog_split(f, p, n, &ev, &e) != RC_OK)
			pos = 0;
		break;
	}
}

/* Any bytes as a document and its diffs: as the server's text, and as any text. */
static void
diffs(const uint8_t *data, size_t size, const struct buf *text)
{
	const uint8_t *cut = size != 0 ? memchr(data, 0xfd, size) : NULL;
	struct buf out;

	if (cut == NULL)
		return;
	buf_init(&out);
	if (mysql_json_apply(text->data, text->len, cut + 1, (size_t)(data + size - cut - 1), &out))
		buf_clear(&out);
	if (mysql_json_apply(
		    data, (size_t)(cut - data), cut + 1, (size_t)(data + size - cut - 1), &out))
		buf_clear(&out);
	buf_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binlog_format f = {0};
	struct binlog_table *m = NULL;
	struct buf json;

	buf_init(&json);
	if (size != 0 && !mysql_json_text(data, size, &json))
		buf_clear(&json);
	diffs(data, size, &json);
	buf_release(&json);
	while (size != 0) {
		const uint8_t *cut = memmem(data, size, "\xfe\xed", 2);
		size_t n = cut != NULL ? (size_t)(cut - data) : size;

		if (n != 0)
			one(data, n, &f, &m);
		n += cut != NULL ? 2 : 0;
		data += n;
		size -= n;
	}
	binlog_table_free(m);
	return 0;
}
