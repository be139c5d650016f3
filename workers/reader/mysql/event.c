/* event.c - see event.h. */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "common/mem.h"
#include "common/mysql/gtid.h"
#include "workers/reader/mysql/event.h"

#define CRC_LEN 4u
#define MAX_INFLATED ((size_t)1 << 30)
#define MAX_COLUMNS 4096u

static enum rc
damaged(const struct binlog_event *ev, struct err *e)
{
	return err_set(e, RC_DATA, "a binary log event of type %u and %u bytes is damaged",
		ev->type, ev->len);
}

uint64_t
cursor_lenenc(struct cursor *c)
{
	uint8_t first = cursor_u8(c);

	switch (first) {
	case 0xfc:
		return cursor_u16(c);
	case 0xfd:
		return cursor_u24(c);
	case 0xfe:
		return cursor_u64(c);
	default:
		if (first > 0xfa)
			c->bad = true;
		return first;
	}
}

enum rc
binlog_split(const struct binlog_format *f, const unsigned char *p, size_t n,
	struct binlog_event *ev, struct err *e)
{
	struct cursor c;
	bool right;

	*ev = (struct binlog_event){0};
	cursor_init(&c, p, n);
	ev->time = cursor_u32(&c);
	ev->type = cursor_u8(&c);
	ev->server_id = cursor_u32(&c);
	ev->len = cursor_u32(&c);
	ev->next_pos = cursor_u32(&c);
	ev->flags = cursor_u16(&c);
	if (!cursor_ok(&c) || ev->len != n)
		return err_set(e, RC_DATA, "a binary log event of %zu bytes claims %u", n, ev->len);
	ev->body = p + BINLOG_HEADER;
	ev->body_len = n - BINLOG_HEADER;
	if (!f->checksum || ev->type == FORMAT_DESCRIPTION_EVENT)
		return RC_OK;
	right = ev->body_len >= CRC_LEN &&
		crc32(crc32(0, NULL, 0), p, (uInt)(n - CRC_LEN)) == get_u32(p + n - CRC_LEN);
	/* The ROTATE that the server makes up has none where the session asked for none, but from
	 * MySQL 5.6 and 5.7 if it leads on from a file that has them. */
	if (!right && ev->type == ROTATE_EVENT && (ev->flags & BINLOG_ARTIFICIAL) != 0)
		return RC_OK;
	if (!right)
		return err_set(
			e, RC_DATA, "a binary log event of type %u has a wrong checksum", ev->type);
	ev->body_len -= CRC_LEN;
	return RC_OK;
}

/* MySQL 5.6.1 and MariaDB 5.3 and later say which checksum they use. */
static bool
says_checksum(const char *server)
{
	unsigned a = 0, b = 0, p = 0;

	sscanf(server, "%u.%u.%u", &a, &b, &p);
	if (strstr(server, "MariaDB") != NULL || strstr(server, "mariadb") != NULL)
		return a * 100 + b >= 503;
	return a * 10000 + b * 100 + p >= 50601;
}

enum rc
binlog_format(const struct binlog_event *ev, struct binlog_format *f, struct err *e)
{
	const unsigned char *server, *lengths;
	struct cursor c;
	size_t tail;

	*f = (struct binlog_format){0};
	cursor_init(&c, ev->body, ev->body_len);
	if (cursor_u16(&c) != 4)
		return err_set(
			e, RC_CONFIG, "the binary log has a format that is older than MySQL 5.0");
	server = cursor_take(&c, 50);
	cursor_u32(&c);
	f->header_len = cursor_u8(&c);
	if (!cursor_ok(&c) || f->header_len < BINLOG_HEADER)
		return damaged(ev, e);
	memcpy(f->server, server, 50);
	tail = says_checksum(f->server) ? 1 + CRC_LEN : 0;
	if (cursor_left(&c) < tail)
		return damaged(ev, e);
	f->ntypes = (unsigned)(cursor_left(&c) - tail);
	if (f->ntypes > sizeof f->post_len)
		return damaged(ev, e);
	lengths = cursor_take(&c, f->ntypes);
	memcpy(f->post_len, lengths, f->ntypes);
	f->checksum = tail != 0 && cursor_u8(&c) == 1;
	f->known = true;
	return RC_OK;
}

enum rc
binlog_rotate(const struct binlog_event *ev, uint64_t *pos, char name[512], struct err *e)
{
	struct cursor c;
	size_t n;

	cursor_init(&c, ev->body, ev->body_len);
	*pos = cursor_u64(&c);
	n = cursor_left(&c);
	if (!cursor_ok(&c) || n == 0 || n > 511)
		return damaged(ev, e);
	memcpy(name, c.p, n);
	name[n] = '\0';
	return RC_OK;
}

/* MariaDB's compressed blocks: 0x80 | algorithm << 4 | n, n bytes of size (big-endian), zlib data.
 */
static enum rc
inflate_block(const struct binlog_event *ev, const unsigned char *p, size_t n, unsigned char **out,
	size_t *out_len, struct err *e)
{
	unsigned bytes;
	uLongf size = 0;

	if (n < 2 || (p[0] & 0xf0) != 0x80)
		return damaged(ev, e);
	bytes = p[0] & 7;
	if (bytes == 0 || bytes > 4 || n < 1 + bytes)
		return damaged(ev, e);
	for (unsigned i = 0; i < bytes; i++)
		size = size << 8 | p[1 + i];
	if (size > MAX_INFLATED)
		return damaged(ev, e);
	*out = xmalloc(size + 1);
	if (uncompress(*out, &size, p + 1 + bytes, (uLong)(n - 1 - bytes)) != Z_OK) {
		free(*out);
		*out = NULL;
		return damaged(ev, e);
	}
	(*out)[size] = '\0';
	*out_len = size;
	return RC_OK;
}

#define UTF8MB4_GENERAL_CI 45

static void
take_terminated(struct cursor *c)
{
	while (!c->bad && cursor_u8(c) != '\0')
		;
}

static void
read_status(struct cursor *c, struct binlog_query *q)
{
	const unsigned char *p;
	uint8_t n;

	while (cursor_left(c) != 0 && !c->bad) {
		switch (cursor_u8(c)) {
		case 0:
			q->flags2 = cursor_u32(c);
			break;
		case 1:
			q->sql_mode = cursor_u64(c);
			break;
		case 2:
			n = cursor_u8(c);
			cursor_take(c, (size_t)n + 1);
			break;
		case 3:
			cursor_take(c, 4);
			break;
		case 4:
			q->client_collation = cursor_u16(c);
			q->connection_collation = cursor_u16(c);
			q->server_collation = cursor_u16(c);
			break;
		case 5:
			n = cursor_u8(c);
			p = cursor_take(c, n);
			if (p != NULL && n < sizeof q->time_zone)
				memcpy(q->time_zone, p, n);
			break;
		case 6:
			n = cursor_u8(c);
			cursor_take(c, n);
			break;
		case 7:
		case 8:
			cursor_take(c, 2);
			break;
		case 9:
			cursor_take(c, 8);
			break;
		case 10:
			cursor_take(c, 4);
			break;
		case 11:
			n = cursor_u8(c);
			cursor_take(c, n);
			n = cursor_u8(c);
			cursor_take(c, n);
			break;
		case 12: /* databases; 254: too many to be named */
			n = cursor_u8(c);
			while (n != 254 && n-- != 0 && !c->bad)
				take_terminated(c);
			break;
		case 13:
		case 128:
			q->microseconds = cursor_u24(c);
			break;
		case 16:
		case 19:
		case 20:
			cursor_u8(c);
			break;
		case 17:
		case 129:
			cursor_u64(c);
			break;
		case 18:
			q->utf8mb4_collation = cursor_u16(c);
			break;
		case 131: /* what stands for character sets' defaults */
			for (n = cursor_u8(c); n-- != 0 && !c->bad;) {
				uint16_t of = cursor_u16(c), now = cursor_u16(c);

				if (of == UTF8MB4_GENERAL_CI)
					q->utf8mb4_collation = now;
			}
			break;
		default:
			return; /* the rest is not needed, and its lengths are not known */
		}
	}
}

enum rc
binlog_query(const struct binlog_event *ev, struct binlog_query *q, struct err *e)
{
	const unsigned char *status;
	struct cursor c, s;
	uint8_t db_len;
	uint16_t status_len;
	const unsigned char *db;

	*q = (struct binlog_query){.time = ev->time};
	cursor_init(&c, ev->body, ev->body_len);
	q->thread = cursor_u32(&c);
	cursor_u32(&c);
	db_len = cursor_u8(&c);
	cursor_u16(&c);
	status_len = cursor_u16(&c);
	status = cursor_take(&c, status_len);
	db = cursor_take(&c, (size_t)db_len + 1);
	if (!cursor_ok(&c) || db[db_len] != '\0')
		return damaged(ev, e);
	cursor_init(&s, status, status_len);
	read_status(&s, q);
	q->db = (const char *)db;
	if (ev->type == MARIADB_QUERY_COMPRESSED_EVENT) {
		enum rc rc = inflate_block(ev, c.p, cursor_left(&c), &q->inflated, &q->len, e);

		q->sql = (const char *)q->inflated;
		return rc;
	}
	q->sql = (const char *)c.p;
	q->len = cursor_left(&c);
	return RC_OK;
}

static enum rc
mariadb_gtid(const struct binlog_event *ev, struct binlog_gtid *g, struct err *e)
{
	struct cursor c;
	uint8_t flags;

	cursor_init(&c, ev->body, ev->body_len);
	g->mariadb = true;
	g->number = cursor_u64(&c);
	g->domain = cursor_u32(&c);
	flags = cursor_u8(&c);
	g->server = ev->server_id;
	g->standalone = flags & 1;
	g->xa_prepared = flags & 0x40;
	g->xa_completed = flags & 0x80;
	return cursor_ok(&c) ? RC_OK : damaged(ev, e);
}

/* mysql::serialization: as many trailing ones in the first byte as bytes follow. */
static uint64_t
varint(struct cursor *c)
{
	uint8_t first = cursor_u8(c), extra = 0;
	uint64_t v = 0;

	while (extra < 8 && (first >> extra & 1))
		extra++;
	for (unsigned i = 0; i < extra; i++)
		v |= (uint64_t)cursor_u8(c) << (8 * i);
	if (extra == 8)
		return v;
	return v << (7 - extra) | (uint64_t)(first >> (extra + 1));
}

static int64_t
zigzag(struct cursor *c)
{
	uint64_t v = varint(c);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static enum rc
tagged_gtid(const struct binlog_event *ev, struct binlog_gtid *g, struct err *e)
{
	unsigned char uuid[16] = {0};
	const unsigned char *tag;
	struct cursor c;
	uint64_t n;

	cursor_init(&c, ev->body, ev->body_len);
	varint(&c);
	varint(&c);
	varint(&c);
	while (cursor_left(&c) != 0 && !c.bad) {
		uint64_t field = varint(&c);

		if (field == 1) {
			for (int i = 0; i < 16; i++)
				uuid[i] = (unsigned char)varint(&c);
		} else if (field == 2) {
			g->number = (uint64_t)zigzag(&c);
		} else if (field == 3) {
			n = varint(&c);
			tag = cursor_take(&c, n);
			gtid_uuid_text(uuid, g->sid);
			if (tag != NULL && n != 0 && n <= 32)
				snprintf(g->sid + 36, sizeof g->sid - 36, ":%.*s", (int)n,
					(const char *)tag);
			return cursor_ok(&c) ? RC_OK : damaged(ev, e);
		} else {
			varint(&c);
		}
	}
	return damaged(ev, e);
}

enum rc
binlog_gtid(const struct binlog_event *ev, struct binlog_gtid *g, struct err *e)
{
	const unsigned char *uuid;
	struct cursor c;
	uint64_t stamp;

	*g = (struct binlog_gtid){.anonymous = ev->type == ANONYMOUS_GTID_EVENT};
	if (ev->type == MARIADB_GTID_EVENT)
		return mariadb_gtid(ev, g, e);
	if (ev->type == GTID_TAGGED_EVENT)
		return tagged_gtid(ev, g, e);
	cursor_init(&c, ev->body, ev->body_len);
	cursor_u8(&c);
	uuid = cursor_take(&c, 16);
	g->number = cursor_u64(&c);
	if (!cursor_ok(&c))
		return damaged(ev, e);
	gtid_uuid_text(uuid, g->sid);
	if (cursor_left(&c) >= 17 + 7 && cursor_u8(&c) == 2) {
		cursor_take(&c, 16);
		stamp = cursor_u48(&c);
		stamp |= (uint64_t)cursor_u8(&c) << 48;
		if (stamp >> 55 & 1) {
			stamp = cursor_u48(&c);
			stamp |= (uint64_t)cursor_u8(&c) << 48;
		}
		g->commit_us = cursor_ok(&c) ? stamp & (((uint64_t)1 << 55) - 1) : 0;
	}
	return RC_OK;
}

/* ---- transaction payload ---- */

static enum rc
walk_events(const unsigned char *p, size_t n, binlog_event_cb cb, void *arg, struct err *e)
{
	static const struct binlog_format plain;

	while (n != 0) {
		struct binlog_event inner;
		uint32_t len = n >= BINLOG_HEADER ? get_u32(p + 9) : 0;
		enum rc rc;

		if (len < BINLOG_HEADER || len > n)
			return err_set(e, RC_DATA,
				"an event inside of a compressed transaction is damaged");
		if ((rc = binlog_split(&plain, p, len, &inner, e)) != RC_OK ||
			(rc = cb(arg, &inner, e)) != RC_OK)
			return rc;
		p += len;
		n -= len;
	}
	return RC_OK;
}

/* XXX whole in memory: a compressed transaction is at most as large as the server's own cache of
 * it, which we bound by 1 GiB. */
static enum rc
unzstd(const struct binlog_event *ev, const unsigned char *p, size_t n, uint64_t size,
	struct buf *out, struct err *e)
{
	size_t got;

	if (size > MAX_INFLATED)
		return err_set(e, RC_DATA,
			"a compressed transaction has %llu bytes; more than 1 GiB is not supported",
			(unsigned long long)size);
	buf_reserve(out, size);
	got = ZSTD_decompress(out->data, size, p, n);
	if (ZSTD_isError(got) || got != size)
		return damaged(ev, e);
	out->len = size;
	return RC_OK;
}

enum rc
binlog_payload(const struct binlog_event *ev, binlog_event_cb cb, void *arg, struct err *e)
{
	uint64_t size = 0, algorithm = 255, plain = 0;
	struct cursor c, field;
	struct buf out;
	enum rc rc;

	cursor_init(&c, ev->body, ev->body_len);
	for (;;) {
		uint64_t type = cursor_lenenc(&c), len;
		const unsigned char *p;

		if (type == 0 || c.bad)
			break;
		len = cursor_lenenc(&c);
		p = cursor_take(&c, len);
		if (p == NULL)
			break;
		cursor_init(&field, p, len);
		if (type == 1)
			size = cursor_lenenc(&field);
		else if (type == 2)
			algorithm = cursor_lenenc(&field);
		else if (type == 3)
			plain = cursor_lenenc(&field);
	}
	if (c.bad || size > cursor_left(&c))
		return damaged(ev, e);
	if (algorithm == 255)
		return walk_events(c.p, size, cb, arg, e);
	if (algorithm != 0)
		return err_set(e, RC_DATA,
			"a transaction is compressed by algorithm %llu, which is not known",
			(unsigned long long)algorithm);
	buf_init(&out);
	rc = unzstd(ev, c.p, size, plain, &out, e);
	if (rc == RC_OK)
		rc = walk_events(out.data, out.len, cb, arg, e);
	buf_release(&out);
	return rc;
}

/* ---- tables and rows ---- */

static uint64_t
table_id(const struct binlog_format *f, uint8_t type, struct cursor *c)
{
	return f->known && type <= f->ntypes && f->post_len[type - 1] == 6 ? cursor_u32(c)
									   : cursor_u48(c);
}

static char *
read_name(struct cursor *c)
{
	uint8_t n = cursor_u8(c);
	const unsigned char *p = cursor_take(c, (size_t)n + 1);

	return p != NULL ? xstrndup((const char *)p, n) : NULL;
}

/* What there can be: digits of a second, bytes of a BLOB's length, of an ENUM or SET. */
#define FRACTION_DIGITS 6
#define LENGTH_BYTES 4
#define SET_BYTES 8

static void
read_meta(struct cursor *c, struct binlog_column *col)
{
	uint8_t b0, b1;

	switch (col->type) {
	case T_FLOAT:
	case T_DOUBLE:
		col->meta = cursor_u8(c);
		break;
	case T_VECTOR:
	case T_JSON:
	case T_BLOB:
	case T_GEOMETRY:
	case T_COMPRESSED_BLOB:
		col->meta = cursor_u8(c);
		if (col->meta > LENGTH_BYTES)
			c->bad = true;
		break;
	case T_TIMESTAMP2:
	case T_DATETIME2:
	case T_TIME2:
		col->meta = cursor_u8(c);
		if (col->meta > FRACTION_DIGITS)
			c->bad = true;
		break;
	case T_VARCHAR:
	case T_BIT:
	case T_COMPRESSED_VARCHAR:
		col->meta = cursor_u16(c);
		break;
	case T_NEWDECIMAL: /* precision, scale */
		b0 = cursor_u8(c);
		col->meta = (uint16_t)(b0 << 8 | cursor_u8(c));
		break;
	case T_STRING: /* CHAR, ENUM or SET; long CHARs hide bits of their length in the type */
		b0 = cursor_u8(c);
		b1 = cursor_u8(c);
		if ((b0 & 0x30) != 0x30) {
			col->type = (uint8_t)(b0 | 0x30);
			col->meta = (uint16_t)(b1 | (((b0 & 0x30) ^ 0x30) << 4));
		} else {
			col->type = b0;
			col->meta = b1;
		}
		if (col->type != T_STRING &&
			((col->type != T_ENUM && col->type != T_SET) || col->meta > SET_BYTES))
			c->bad = true;
		break;
	default:
		break;
	}
}

static bool
is_numeric(uint8_t type)
{
	return (type >= T_TINY && type <= T_DOUBLE) || type == T_LONGLONG || type == T_INT24 ||
	       type == T_YEAR || type == T_NEWDECIMAL;
}

static void
read_signs(struct cursor c, struct binlog_table *t)
{
	uint32_t bit = 0;
	uint8_t byte = 0;

	t->is_unsigned = xcalloc(t->ncolumns, 1);
	for (uint32_t i = 0; i < t->ncolumns && !c.bad; i++) {
		if (!is_numeric(t->columns[i].type))
			continue;
		if (bit % 8 == 0)
			byte = cursor_u8(&c);
		t->is_unsigned[i] = byte >> (7 - bit++ % 8) & 1;
	}
}

static void
read_column_names(struct cursor c, struct binlog_table *t)
{
	t->names = xcalloc(t->ncolumns, sizeof *t->names);
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		uint64_t n = cursor_lenenc(&c);
		const unsigned char *p = cursor_take(&c, n);

		t->names[i] = p != NULL ? xstrndup((const char *)p, n) : xstrdup("");
	}
}

static void
read_optional(struct cursor *c, struct binlog_table *t)
{
	while (cursor_left(c) != 0 && !c->bad) {
		uint8_t type = cursor_u8(c);
		uint64_t len = cursor_lenenc(c);
		const unsigned char *p = cursor_take(c, len);
		struct cursor field;

		if (p == NULL)
			return;
		cursor_init(&field, p, len);
		if (type == 1 && t->is_unsigned == NULL)
			read_signs(field, t);
		else if (type == 4 && t->names == NULL)
			read_column_names(field, t);
	}
}

enum rc
binlog_table_map(const struct binlog_format *f, const struct binlog_event *ev,
	struct binlog_table **out, struct err *e)
{
	struct binlog_table *t = xcalloc(1, sizeof *t);
	const unsigned char *types, *meta;
	struct cursor c, m;
	uint64_t n;

	*out = NULL;
	cursor_init(&c, ev->body, ev->body_len);
	t->id = table_id(f, ev->type, &c);
	cursor_u16(&c);
	t->db = read_name(&c);
	t->name = read_name(&c);
	n = cursor_lenenc(&c);
	types = n <= MAX_COLUMNS ? cursor_take(&c, n) : NULL;
	if (types == NULL || t->db == NULL || t->name == NULL) {
		binlog_table_free(t);
		return damaged(ev, e);
	}
	t->ncolumns = (uint32_t)n;
	t->columns = xcalloc(n, sizeof *t->columns);
	n = cursor_lenenc(&c);
	meta = cursor_take(&c, n);
	cursor_init(&m, meta != NULL ? meta : ev->body, meta != NULL ? n : 0);
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		t->columns[i].type = types[i];
		read_meta(&m, &t->columns[i]);
	}
	cursor_take(&c, (t->ncolumns + 7) / 8);
	if (!cursor_ok(&c) || !cursor_done(&m)) {
		binlog_table_free(t);
		return damaged(ev, e);
	}
	read_optional(&c, t);
	*out = t;
	return RC_OK;
}

void
binlog_table_free(struct binlog_table *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; t->names != NULL && i < t->ncolumns; i++)
		free(t->names[i]);
	free(t->names);
	free(t->is_unsigned);
	free(t->columns);
	free(t->db);
	free(t->name);
	free(t);
}

enum rows_version { ROWS_V1, ROWS_V2 };

/* Type -> kind, version, compressed; kind -1: no rows. */
static bool
rows_type(uint8_t type, struct binlog_rows *r, enum rows_version *version, bool *compressed)
{
	static const struct {
		uint8_t first;
		enum rows_version version;
		bool compressed;
	} families[] = {
		{WRITE_ROWS_EVENT_V1, ROWS_V1, false},
		{WRITE_ROWS_EVENT, ROWS_V2, false},
		{MARIADB_WRITE_ROWS_COMPRESSED_V1, ROWS_V1, true},
		{MARIADB_WRITE_ROWS_COMPRESSED, ROWS_V2, true},
	};

	for (size_t i = 0; i < COUNT_OF(families); i++)
		if (type >= families[i].first && type <= families[i].first + 2) {
			r->kind = type - families[i].first;
			*version = families[i].version;
			*compressed = families[i].compressed;
			return true;
		}
	r->kind = ROWS_UPDATE;
	*version = ROWS_V2;
	*compressed = false;
	return r->partial = type == PARTIAL_UPDATE_ROWS_EVENT;
}

bool
binlog_is_rows(uint8_t type)
{
	struct binlog_rows r;
	enum rows_version v;
	bool compressed;

	return rows_type(type, &r, &v, &compressed);
}

enum rc
binlog_rows(const struct binlog_format *f, const struct binlog_event *ev, struct binlog_rows *r,
	struct err *e)
{
	enum rows_version version;
	bool compressed;
	struct cursor c;
	uint64_t n;

	*r = (struct binlog_rows){0};
	if (!rows_type(ev->type, r, &version, &compressed))
		return damaged(ev, e);
	cursor_init(&c, ev->body, ev->body_len);
	r->table_id = table_id(f, ev->type, &c);
	r->flags = cursor_u16(&c);
	if (version == ROWS_V2) {
		uint16_t extra = cursor_u16(&c);

		if (extra < 2)
			return damaged(ev, e);
		cursor_take(&c, extra - 2u);
	}
	n = cursor_lenenc(&c);
	if (n > MAX_COLUMNS)
		return damaged(ev, e);
	r->ncolumns = (uint32_t)n;
	r->before = cursor_take(&c, (n + 7) / 8);
	r->after = r->kind == ROWS_UPDATE ? cursor_take(&c, (n + 7) / 8) : r->before;
	if (!cursor_ok(&c))
		return damaged(ev, e);
	r->data = c.p;
	r->len = cursor_left(&c);
	if (!compressed)
		return RC_OK;
	n = r->len;
	return inflate_block(ev, c.p, n, &r->inflated, &r->len, e) != RC_OK
		       ? e->rc
		       : (r->data = r->inflated, RC_OK);
}
