/* lane.c - chunks of MySQL tables: bounds, snapshots, rows; see source.h of the room. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "workers/reader/mysql/source.h"

#define GTID_WAIT_S 1
#define LOCK_WAIT_S 2
#define UNKNOWN_VARIABLE 1193
#define TABLE_DEF_CHANGED 1412

struct mysql_lane {
	struct source_lane base; /* first */
	struct client c;	 /* the snapshot */
	struct client lock;	 /* LOCK TABLES for a moment; opened when first needed */
	bool open;		 /* a snapshot is */
	struct value *values;
	size_t values_cap;
	struct buf scratch; /* rendered values of one row */
};

static struct mysql_source *
source_of(const struct source_lane *l)
{
	return (struct mysql_source *)l->source;
}

enum rc
mysql_lane_open(struct source *s, struct source_lane **out, struct err *e)
{
	struct mysql_lane *l = xcalloc(1, sizeof *l);
	enum rc rc;

	l->base.source = s;
	rc = client_open(&l->c, ((struct mysql_source *)s)->env.conf, "source", SOURCE_SQL_MODE, e);
	if (rc == RC_OK)
		rc = client_run(
			&l->c, e, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	*out = &l->base;
	if (rc != RC_OK) {
		mysql_lane_close(&l->base);
		*out = NULL;
	}
	return rc;
}

void
mysql_lane_close(struct source_lane *base)
{
	struct mysql_lane *l = (struct mysql_lane *)base;

	client_close(&l->c);
	client_close(&l->lock);
	buf_release(&l->scratch);
	free(l->values);
	free(l);
}

/* ---- keys as SQL ---- */

/* How a column is selected, so that what comes is its canonical value or a number to render. */
static void
expression(struct buf *b, const struct column *c)
{
	uint32_t bytes = mysql_shown_bytes(c);
	bool number = c->type == TYPE_ENUM || c->type == TYPE_SET || c->type == TYPE_BIT;

	if (bytes != 0 || number)
		buf_puts(b, "CAST(");
	mysql_quote_name(b, c->name);
	if (bytes != 0)
		buf_printf(b, " AS BINARY(%u))", bytes);
	else if (number)
		buf_puts(b, " AS UNSIGNED)");
	else if (c->type == TYPE_FLOAT)
		buf_puts(b, "+0e0"); /* as a double, in which a float prints exactly */
}

static void
key_literal(struct buf *b, const struct column *c, const char *value, size_t n)
{
	switch (c->type) {
	case TYPE_TEXT:
		buf_printf(b, "_%s ", c->charset);
		mysql_quote_hex(b, value, n);
		break;
	case TYPE_BINARY:
		mysql_quote_hex(b, value, n);
		break;
	case TYPE_INTEGER:
	case TYPE_DECIMAL:
	case TYPE_YEAR:
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_BIT:
		buf_add(b, value, n);
		break;
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		buf_printf(b, "'%.*s'", (int)n, value);
		break;
	}
}

/* A bound is the literals of the key's columns, each behind its length. */
static bool
next_literal(struct cursor *c, const char **p, size_t *n)
{
	*p = (const char *)cursor_bytes(c, n);
	return *p != NULL;
}

/*
 * Servers find ranges of an ENUM in an index only where they are lists of its
 * numbers: compared with one number it would be a scan of the table for every
 * chunk.
 */
static void
compare_enum(struct buf *b, const struct column *c, const char *op, const char *literal)
{
	unsigned long bound = strtoul(literal, NULL, 10);
	unsigned long from = *op == '>' ? bound + 1 : 0;
	unsigned long to = *op == '>'		   ? c->nlabels + 1ul
			   : strcmp(op, "<=") == 0 ? bound + 1
						   : bound;

	if (from >= to) {
		buf_puts(b, "FALSE");
		return;
	}
	mysql_quote_name(b, c->name);
	for (unsigned long i = from; i < to; i++)
		buf_printf(b, "%s%lu", i == from ? " IN (" : ", ", i);
	buf_putc(b, ')');
}

static void
compare_column(struct buf *b, const struct column *c, const char *op, const char *literal, size_t n)
{
	if (c->type == TYPE_ENUM) {
		compare_enum(b, c, op, literal);
		return;
	}
	mysql_quote_name(b, c->name);
	buf_printf(b, " %s %.*s", op, (int)n, literal);
}

/*
 * (k1, k2, k3) op bound, written out, since servers use no index for row
 * comparisons: k1 > a OR (k1 = a AND (k2 > b OR (k2 = b AND k3 > c))). The
 * last column takes `last_op`.
 */
static void
compare(struct buf *b, const struct table *t, const struct index *key, const struct buf *bound,
	const char *op, const char *last_op)
{
	struct cursor c;

	cursor_init(&c, bound->data, bound->len);
	for (uint32_t i = 0; i < key->nparts; i++) {
		const char *literal;
		size_t n;
		bool last = i + 1 == key->nparts;

		if (!next_literal(&c, &literal, &n))
			return;
		buf_putc(b, '(');
		compare_column(
			b, &t->columns[key->parts[i].column], last ? last_op : op, literal, n);
		if (last)
			break;
		buf_puts(b, " OR (");
		mysql_quote_name(b, t->columns[key->parts[i].column].name);
		buf_printf(b, " = %.*s AND ", (int)n, literal);
	}
	for (uint32_t i = 0; i + 1 < key->nparts; i++)
		buf_puts(b, "))");
	buf_putc(b, ')');
}

/*
 * A floating-point key cannot be written as a literal that is certain to
 * compare equal, and a SET is compared as a signed number but ordered as an
 * unsigned one: such tables are one chunk.
 */
static bool
has_no_bounds(const struct table *t, const struct index *key)
{
	for (uint32_t i = 0; i < key->nparts; i++) {
		enum type type = t->columns[key->parts[i].column].type;

		if (type == TYPE_FLOAT || type == TYPE_DOUBLE || type == TYPE_SET)
			return true;
	}
	return false;
}

static void
bound_query(struct buf *b, const struct table *t, const struct index *key, const struct buf *lo,
	uint64_t rows)
{
	buf_puts(b, "SELECT ");
	for (uint32_t i = 0; i < key->nparts; i++) {
		if (i != 0)
			buf_puts(b, ", ");
		expression(b, &t->columns[key->parts[i].column]);
	}
	buf_puts(b, " FROM ");
	mysql_quote_table(b, t->db, t->name);
	buf_puts(b, " FORCE INDEX (");
	mysql_quote_name(b, key->name);
	buf_puts(b, ")");
	if (lo->len != 0) {
		buf_puts(b, " WHERE ");
		compare(b, t, key, lo, ">", ">");
	}
	buf_puts(b, " ORDER BY ");
	for (uint32_t i = 0; i < key->nparts; i++) {
		if (i != 0)
			buf_puts(b, ", ");
		mysql_quote_name(b, t->columns[key->parts[i].column].name);
	}
	buf_printf(b, " LIMIT 1 OFFSET %" PRIu64, rows - 1);
}

enum rc
mysql_lane_bound(struct source_lane *base, const struct table *t, const struct buf *lo,
	uint64_t rows, struct buf *hi, bool *last, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	const struct index *key = table_key(t);
	struct buf b, literal;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc;

	*last = true;
	if (has_no_bounds(t, key))
		return RC_OK;
	buf_init(&b);
	buf_init(&literal);
	bound_query(&b, t, key, lo, rows);
	rc = client_query(&l->c, &res, e, "%s", buf_text(&b));
	if (rc == RC_OK) {
		row = mysql_fetch_row(res);
		for (uint32_t i = 0; row != NULL && i < key->nparts; i++) {
			buf_clear(&literal);
			key_literal(&literal, &t->columns[key->parts[i].column], row[i],
				mysql_fetch_lengths(res)[i]);
			buf_bytes(hi, literal.data, literal.len);
			*last = false;
		}
		mysql_free_result(res);
	}
	buf_release(&b);
	buf_release(&literal);
	return rc;
}

/* ---- snapshots ---- */

static enum rc
begin_snapshot(struct mysql_lane *l, struct err *e)
{
	l->open = true;
	return client_run(&l->c, e, "START TRANSACTION WITH CONSISTENT SNAPSHOT");
}

static enum rc
touch(struct mysql_lane *l, const struct table *t, struct err *e)
{
	enum rc rc = mysql_touch(&l->c, t, e);

	return rc != RC_OK && e->code == TABLE_DEF_CHANGED ? RC_AGAIN : rc;
}

/* MariaDB: the snapshot's own place in the log. */
static enum rc
snapshot_sees(struct mysql_lane *l, struct logpos seen, struct err *e)
{
	char file[512] = "";
	uint64_t offset = 0;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&l->c, &res, e, "SHOW STATUS LIKE 'binlog_snapshot_%%'");

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		if (strcasecmp(row[0], "binlog_snapshot_file") == 0)
			snprintf(file, sizeof file, "%s", row[1]);
		else if (strcasecmp(row[0], "binlog_snapshot_position") == 0)
			offset = strtoull(row[1], NULL, 10);
	}
	mysql_free_result(res);
	return logpos_cmp(position_at(file, offset), seen) >= 0 ? RC_OK : RC_AGAIN;
}

/* MySQL: the ids up to R0 are executed (visible) before the snapshot is opened. */
static enum rc
wait_executed(struct mysql_lane *l, const char *seen, struct err *e)
{
	const char *gtids = strstr(seen, " gtid=");
	char *result = NULL;
	enum rc rc;

	if (gtids == NULL || gtids[6] == '\0')
		return RC_OK;
	rc = client_value(&l->c, &result, e, "SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', %d)",
		gtids + 6, GTID_WAIT_S);
	if (rc == RC_OK && (result == NULL || strcmp(result, "0") != 0))
		rc = RC_AGAIN;
	free(result);
	return rc;
}

/*
 * Old servers give the lock beside transactions that have written and not ended. InnoDB's
 * own lock of the table, which comes with it where autocommit is off, waits for them. Later
 * ones wait by themselves, and must not do so for XA transactions that are prepared.
 */
static bool
is_beside_writers(const struct server *v)
{
	return v->mariadb ? v->version < 100500 : v->version < 50700;
}

static enum rc
open_lock(struct mysql_lane *l, struct err *e)
{
	struct mysql_source *s = source_of(&l->base);
	enum rc rc;

	if (l->lock.my != NULL)
		return RC_OK;
	rc = client_open(&l->lock, s->env.conf, "source", SOURCE_SQL_MODE, e);
	if (rc == RC_OK)
		rc = client_run(&l->lock, e, "SET SESSION lock_wait_timeout = %d", LOCK_WAIT_S);
	if (rc == RC_OK && is_beside_writers(&l->lock.server))
		rc = client_run(&l->lock, e,
			"SET SESSION autocommit = 0, innodb_lock_wait_timeout = %d, "
			"innodb_table_locks = 1",
			LOCK_WAIT_S);
	/* A server without InnoDB has neither. */
	return rc != RC_OK && e->code == UNKNOWN_VARIABLE ? RC_OK : rc;
}

/* No change of the table can commit between lock and unlock; none is half-way. */
static enum rc
lock_table(struct mysql_lane *l, const struct table *t, struct err *e)
{
	struct buf b;
	enum rc rc = open_lock(l, e);

	if (rc != RC_OK)
		return rc;
	buf_init(&b);
	buf_puts(&b, "LOCK TABLES ");
	mysql_quote_table(&b, t->db, t->name);
	buf_puts(&b, " READ");
	rc = client_run(&l->lock, e, "%s", buf_text(&b));
	buf_release(&b);
	return rc == RC_RETRY && client_is_deadlock((unsigned)e->code) ? RC_AGAIN : rc;
}

static enum rc
snapshot_under_lock(struct mysql_lane *l, const struct snapshot_request *req, struct logpos *high,
	struct err *e)
{
	struct mysql_position end;
	struct err ignored;
	enum rc rc = lock_table(l, req->table, e);

	if (rc != RC_OK)
		return rc;
	if (req->mode == SNAPSHOT_EXACT)
		req->armed(req->arg);
	rc = begin_snapshot(l, e);
	if (rc == RC_OK)
		rc = touch(l, req->table, e);
	position_init(&end, l->c.server.mariadb);
	if (rc == RC_OK)
		rc = position_of_log_end(&l->lock, &end, e);
	*high = position_at(end.file, end.offset);
	position_release(&end);
	if (client_run(&l->lock, &ignored, "UNLOCK TABLES") != RC_OK && rc == RC_OK)
		rc = err_set(e, RC_RETRY, "the connection that locks %s.%s was lost",
			req->table->db, req->table->name);
	return rc;
}

static enum rc
snapshot_that_sees(struct mysql_lane *l, const struct snapshot_request *req, struct logpos *high,
	struct err *e)
{
	struct mysql_position end;
	enum rc rc = RC_OK;

	if (!l->c.server.mariadb)
		rc = wait_executed(l, req->seen, e);
	if (rc == RC_OK)
		rc = begin_snapshot(l, e);
	if (rc == RC_OK && l->c.server.mariadb)
		rc = snapshot_sees(l, req->seen_at, e);
	if (rc == RC_OK)
		rc = touch(l, req->table, e);
	if (rc != RC_OK)
		return rc;
	position_init(&end, l->c.server.mariadb);
	rc = position_of_log_end(&l->c, &end, e);
	*high = position_at(end.file, end.offset);
	position_release(&end);
	return rc;
}

enum rc
mysql_lane_snapshot(struct source_lane *base, const struct snapshot_request *req,
	struct logpos *high, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;

	*high = (struct logpos){0};
	if (req->mode == SNAPSHOT_EXACT || !source_of(base)->gtid_snapshots)
		return snapshot_under_lock(l, req, high, e);
	return snapshot_that_sees(l, req, high, e);
}

void
mysql_lane_end(struct source_lane *base)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	struct err ignored;

	if (l->open && client_run(&l->c, &ignored, "COMMIT") != RC_OK)
		client_kick(&l->c);
	l->open = false;
}

/* ---- rows ---- */

static void
select_columns(struct buf *b, const struct table *t)
{
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		if (i != 0)
			buf_puts(b, ", ");
		expression(b, &t->columns[i]);
	}
}

static void
read_query(struct buf *b, const struct read_request *req)
{
	const struct table *t = req->table;
	const struct index *key = table_key(t);
	const struct buf *lo = req->lo, *hi = req->hi;
	bool bounded = key != NULL && (lo->len != 0 || hi->len != 0);

	buf_puts(b, "SELECT ");
	select_columns(b, t);
	buf_puts(b, " FROM ");
	mysql_quote_table(b, t->db, t->name);
	if (bounded) {
		buf_puts(b, " FORCE INDEX (");
		mysql_quote_name(b, key->name);
		buf_puts(b, ")");
	}
	if (bounded || req->where != NULL)
		buf_puts(b, " WHERE ");
	if (bounded && lo->len != 0)
		compare(b, t, key, lo, ">", ">");
	if (bounded && lo->len != 0 && hi->len != 0)
		buf_puts(b, " AND ");
	if (bounded && hi->len != 0)
		compare(b, t, key, hi, "<", "<=");
	if (bounded && req->where != NULL)
		buf_puts(b, " AND ");
	if (req->where != NULL)
		mysql_add_filter(b, req->where);
}

static void
put_i64(struct buf *b, const struct column *c, const char *s)
{
	buf_u64(b, c->is_unsigned || c->type == TYPE_SET || c->type == TYPE_BIT
			   ? strtoull(s, NULL, 10)
			   : (uint64_t)strtoll(s, NULL, 10));
}

static void
put_float(struct buf *b, const char *s)
{
	float f = (float)strtod(s, NULL);
	uint32_t bits;

	memcpy(&bits, &f, sizeof bits);
	buf_u32(b, bits);
}

static void
put_double(struct buf *b, const char *s)
{
	double d = strtod(s, NULL);
	uint64_t bits;

	memcpy(&bits, &d, sizeof bits);
	buf_u64(b, bits);
}

static void
put_bits(struct buf *b, const struct column *c, const char *s)
{
	uint64_t v = strtoull(s, NULL, 10);

	for (unsigned n = (c->length + 7) / 8; n-- > 0;)
		buf_u8(b, (uint8_t)(v >> (8 * n)));
}

/* Whether the text of the server is not the canonical form already: then it is rendered into
 * scratch. */
static bool
render(struct buf *b, const struct column *c, const char *s)
{
	switch (c->type) {
	case TYPE_INTEGER:
	case TYPE_YEAR:
	case TYPE_ENUM:
	case TYPE_SET:
		put_i64(b, c, s);
		return true;
	case TYPE_FLOAT:
		put_float(b, s);
		return true;
	case TYPE_DOUBLE:
		put_double(b, s);
		return true;
	case TYPE_BIT:
		put_bits(b, c, s);
		return true;
	case TYPE_DECIMAL:
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
	case TYPE_TEXT:
	case TYPE_BINARY:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		return false;
	}
}

static struct value
as_shown(const struct column *c, const char *s, unsigned long n)
{
	/* ZEROFILL is only for the eye. */
	while (c->type == TYPE_DECIMAL && n > 1 && s[0] == '0' && s[1] != '.') {
		s++;
		n--;
	}
	return (struct value){
		.kind = VALUE_BYTES, .len = (uint32_t)n, .data = (const unsigned char *)s};
}

static enum rc
deliver(struct mysql_lane *l, const struct table *t, MYSQL_ROW row, const unsigned long *lengths,
	row_cb cb, void *arg, struct err *e)
{
	struct row out = {.col = l->values, .ncols = t->ncolumns};

	buf_clear(&l->scratch);
	buf_reserve(&l->scratch,
		t->ncolumns * 8); /* rendered values are at most 8 bytes: nothing moves */
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		struct value *v = &l->values[i];
		size_t at = l->scratch.len;

		if (row[i] == NULL)
			*v = (struct value){.kind = VALUE_NULL};
		else if (render(&l->scratch, &t->columns[i], row[i]))
			*v = (struct value){.kind = VALUE_BYTES,
				.len = (uint32_t)(l->scratch.len - at),
				.data = l->scratch.data + at};
		else
			*v = as_shown(&t->columns[i], row[i], lengths[i]);
	}
	return cb(arg, &out, e);
}

enum rc
mysql_lane_read(struct source_lane *base, const struct read_request *req, row_cb cb, void *arg,
	struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	MYSQL_RES *res;
	MYSQL_ROW row;
	struct buf b;
	enum rc rc = RC_OK;

	grow(&l->values, &l->values_cap, (size_t)req->table->ncolumns + 1, sizeof *l->values);
	buf_init(&b);
	read_query(&b, req);
	if (!client_ask(&l->c, buf_text(&b), b.len) || (res = mysql_use_result(l->c.my)) == NULL) {
		rc = client_error(&l->c, e, "cannot read rows");
		buf_release(&b);
		return rc;
	}
	while (rc == RC_OK && (row = mysql_fetch_row(res)) != NULL)
		rc = deliver(l, req->table, row, mysql_fetch_lengths(res), cb, arg, e);
	if (rc == RC_OK && mysql_errno(l->c.my) != 0)
		rc = client_error(&l->c, e, "broke off while rows were read");
	mysql_free_result(res);
	buf_release(&b);
	return rc;
}
