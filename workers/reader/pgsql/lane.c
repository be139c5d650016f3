/* lane.c - chunks of PostgreSQL tables: bounds, snapshots, rows; see source.h of the room. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/pgsql/source.h"
#include "workers/reader/pgsql/value.h"

#define LOCK_WAIT_MS 2000
/* Servers from here on read a range of places without looking at the others. */
#define CTID_RANGES 140000
/* Of a table that has never been analyzed. */
#define ROWS_OF_A_PAGE 50

struct pgsql_lane {
	struct source_lane base; /* first */
	struct pgsql c;		 /* the snapshot */
	struct pgsql lock;	 /* LOCK TABLE for a moment, nudges; opened when first needed */
	bool open;		 /* a snapshot is */
	bool held;		 /* and it is the one that the source holds */
	struct value *values;
	size_t values_cap;
	struct arena arena; /* values of one row */
	struct buf text;    /* one row's text, unescaped */
};

static struct pgsql_source *
source_of(const struct source_lane *l)
{
	return (struct pgsql_source *)l->source;
}

static enum rc
connect_to(struct pgsql_lane *l, struct pgsql *c, struct err *e)
{
	enum rc rc = pgsql_open(c, source_of(&l->base)->env.conf, "source", false, e);

	if (rc == RC_OK)
		rc = pgsql_run(c, e, "SET lock_timeout = %d", LOCK_WAIT_MS);
	return rc;
}

enum rc
pgsource_lane_open(struct source *s, struct source_lane **out, struct err *e)
{
	struct pgsql_lane *l = xcalloc(1, sizeof *l);
	enum rc rc;

	l->base.source = s;
	arena_init(&l->arena);
	l->held = l->open = s->held && pgsource_take_held(source_of(&l->base), &l->c);
	if (l->held)
		rc = RC_OK;
	else if (s->held)
		rc = err_set(e, RC_RETRY, "more lanes than the source holds snapshots for");
	else
		rc = connect_to(l, &l->c, e);
	*out = &l->base;
	if (rc != RC_OK) {
		pgsource_lane_close(&l->base);
		*out = NULL;
	}
	return rc;
}

void
pgsource_lane_close(struct source_lane *base)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	pgsql_close(&l->c);
	pgsql_close(&l->lock);
	arena_release(&l->arena);
	buf_release(&l->text);
	free(l->values);
	free(l);
}

/* ---- keys as SQL ---- */

static void
key_columns(struct buf *b, const struct table *t, const struct index *key, const char *cast)
{
	for (uint32_t i = 0; i < key->nparts; i++) {
		buf_puts(b, i != 0 ? ", " : "");
		pgsql_quote_name(b, t->columns[key->parts[i].column].name);
		buf_puts(b, cast);
	}
}

/* With the table's name: a bare one would be that of the output, which is text. */
static void
order(struct buf *b, const struct table *t, const struct index *key)
{
	for (uint32_t i = 0; i < key->nparts; i++) {
		buf_puts(b, i != 0 ? ", " : "");
		pgsql_quote_table(b, t->db, t->name);
		buf_putc(b, '.');
		pgsql_quote_name(b, t->columns[key->parts[i].column].name);
	}
}

/* Whether all of a key's types are the server's own: then rows of them are compared as such, which
 * an index helps with. */
static bool
is_plain(const struct table *t, const struct index *key)
{
	for (uint32_t i = 0; i < key->nparts; i++)
		if (strchr(t->columns[key->parts[i].column].native, '.') != NULL)
			return false;
	return true;
}

/* a op 'x'::type, of part i; its literal is at the cursor. False: there is none. */
static bool
compare_part(struct pgsql *c, struct buf *b, const struct column *col, const char *op,
	struct cursor literals)
{
	size_t n;
	const char *literal = (const char *)cursor_bytes(&literals, &n);

	if (literal == NULL)
		return false;
	pgsql_quote_name(b, col->name);
	pgsql_operator(c, b, op, col);
	buf_add(b, literal, n);
	buf_printf(b, "::%s", col->native);
	return true;
}

/* (a > 'x' OR (a = 'x' AND (b > 'y'))), which is what a row's comparison means. */
static void
compare_parts(struct pgsql *c, struct buf *b, const struct table *t, const struct index *key,
	const char *op, struct cursor literals)
{
	const char strict[2] = {*op, '\0'};

	for (uint32_t i = 0; i < key->nparts; i++) {
		const struct column *col = &t->columns[key->parts[i].column];
		bool last = i + 1 == key->nparts;
		size_t n;

		buf_putc(b, '(');
		if (!compare_part(c, b, col, last ? op : strict, literals) || last)
			break;
		buf_puts(b, " OR (");
		compare_part(c, b, col, "=", literals);
		buf_puts(b, " AND ");
		cursor_bytes(&literals, &n);
	}
	buf_putc(b, ')');
	for (uint32_t i = 1; i < key->nparts; i++)
		buf_puts(b, "))");
}

/* (a, b) op ('1', 'x'): a bound is the literals of the key's columns, each behind its length. */
static void
compare(struct pgsql *sql, struct buf *b, const struct table *t, const struct index *key,
	const char *op, const struct buf *bound)
{
	struct cursor c;

	cursor_init(&c, bound->data, bound->len);
	if (!is_plain(t, key)) {
		compare_parts(sql, b, t, key, op, c);
		return;
	}
	buf_putc(b, '(');
	key_columns(b, t, key, "");
	buf_printf(b, ") %s (", op);
	for (uint32_t i = 0; i < key->nparts; i++) {
		size_t n;
		const char *literal = (const char *)cursor_bytes(&c, &n);

		if (literal == NULL)
			break;
		buf_puts(b, i != 0 ? ", " : "");
		buf_add(b, literal, n);
		buf_printf(b, "::%s", t->columns[key->parts[i].column].native);
	}
	buf_putc(b, ')');
}

/*
 * A table's own rows: those of tables that inherit from it are theirs. A partitioned one has none
 * but its partitions'. *lie: where they lie says which they are, for as long as the snapshot is
 * held.
 */
static enum rc
from_table(struct pgsql_lane *l, struct buf *b, const struct table *t, bool *lie, struct err *e)
{
	struct buf name, text;
	char *kind = NULL;
	enum rc rc;

	buf_init(&name);
	buf_init(&text);
	pgsql_quote_table(&name, t->db, t->name);
	pgsql_quote_text(&text, buf_text(&name));
	rc = pgsql_value(&l->c, &kind, e, "SELECT relkind FROM pg_class WHERE oid = %s::regclass",
		buf_text(&text));
	buf_printf(b, " FROM %s%s", kind != NULL && *kind == 'p' ? "" : "ONLY ", buf_text(&name));
	*lie = l->held && l->c.version >= CTID_RANGES && kind != NULL && *kind == 'r';
	free(kind);
	buf_release(&name);
	buf_release(&text);
	return rc;
}

/* A bound is a place between two pages, "(128,0)", where no row is. */
static enum rc
bound_by_place(struct pgsql_lane *l, const struct table *t, const struct buf *lo, uint64_t rows,
	struct buf *hi, bool *last, struct err *e)
{
	uint64_t from = 0, pages, next;
	struct buf text;
	PGresult *res;
	enum rc rc;

	if (lo->len != 0)
		(void)sscanf(buf_text(lo), "(%" SCNu64, &from);
	buf_init(&text);
	pgsql_quote_regclass(&text, t->db, t->name);
	rc = pgsql_query(&l->c, &res, e,
		"SELECT pg_relation_size(oid) / current_setting('block_size')::int, ceil(%" PRIu64
		" / CASE WHEN reltuples > 0 THEN reltuples / greatest(relpages, 1) ELSE %d "
		"END)::bigint FROM pg_class WHERE oid = %s::regclass",
		rows, ROWS_OF_A_PAGE, buf_text(&text));
	buf_release(&text);
	if (rc != RC_OK)
		return rc;
	pages = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	next = from + strtoull(PQgetvalue(res, 0, 1), NULL, 10);
	PQclear(res);
	*last = next >= pages;
	if (!*last)
		buf_printf(hi, "(%" PRIu64 ",0)", next);
	return RC_OK;
}

static enum rc
bound_by_key(struct pgsql_lane *l, const struct table *t, const struct buf *from,
	const struct buf *lo, uint64_t rows, struct buf *hi, bool *last, struct err *e)
{
	const struct index *key = table_key(t);
	struct buf b, literal;
	PGresult *res;
	enum rc rc;

	*last = true;
	if (key == NULL)
		return RC_OK;
	buf_init(&b);
	buf_init(&literal);
	buf_puts(&b, "SELECT ");
	key_columns(&b, t, key, "::text");
	buf_puts(&b, buf_text(from));
	if (lo->len != 0) {
		buf_puts(&b, " WHERE ");
		compare(&l->c, &b, t, key, ">", lo);
	}
	buf_puts(&b, " ORDER BY ");
	order(&b, t, key);
	buf_printf(&b, " LIMIT 1 OFFSET %" PRIu64, rows - 1);
	rc = pgsql_query(&l->c, &res, e, "%s", buf_text(&b));
	if (rc == RC_OK) {
		for (int i = 0; i < PQnfields(res) && PQntuples(res) != 0; i++) {
			buf_clear(&literal);
			pgsql_quote_text(&literal, PQgetvalue(res, 0, i));
			buf_bytes(hi, literal.data, literal.len);
			*last = false;
		}
		PQclear(res);
	}
	buf_release(&b);
	buf_release(&literal);
	return rc;
}

enum rc
pgsource_lane_bound(struct source_lane *base, const struct table *t, const struct buf *lo,
	uint64_t rows, struct buf *hi, bool *last, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	struct buf from;
	bool lie;
	enum rc rc;

	buf_init(&from);
	rc = from_table(l, &from, t, &lie, e);
	if (rc == RC_OK)
		rc = lie ? bound_by_place(l, t, lo, rows, hi, last, e)
			 : bound_by_key(l, t, &from, lo, rows, hi, last, e);
	buf_release(&from);
	return rc;
}

/* ---- snapshots ---- */

static enum rc
lock_table(struct pgsql *c, const struct table *t, const char *mode, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_table(&b, t->db, t->name);
	rc = pgsql_run(c, e, "LOCK TABLE %s IN %s MODE", buf_text(&b), mode);
	buf_release(&b);
	return rc != RC_OK && pgsql_is_deadlock(c) ? RC_AGAIN : rc;
}

/* The table is locked before the snapshot is taken: DDL is either in it or waits. */
static enum rc
begin_snapshot(struct pgsql_lane *l, const struct table *t, struct err *e)
{
	enum rc rc;

	l->open = true;
	rc = pgsql_exec(&l->c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
	return rc == RC_OK ? lock_table(&l->c, t, "ACCESS SHARE", e) : rc;
}

/* What the snapshot sees, and the end of the log, read behind it; flushed or not. */
static enum rc
look(struct pgsql_lane *l, char **snapshot, struct logpos *high, bool *flushed, struct err *e)
{
	struct pgsql_position p = {0};
	PGresult *res;
	enum rc rc =
		pgsql_query(&l->c, &res, e, "SELECT %s, lsn, lsn <= %s FROM (SELECT %s AS lsn) l",
			SNAPSHOT_FUNCTION(&l->c), FLUSH_LSN(&l->c), INSERT_LSN(&l->c));

	if (rc != RC_OK)
		return rc;
	*snapshot = xstrdup(PQgetvalue(res, 0, 0));
	rc = pgsource_parse_position(PQgetvalue(res, 0, 1), &p, e);
	*high = (struct logpos){.offset = p.lsn};
	*flushed = *PQgetvalue(res, 0, 2) == 't';
	PQclear(res);
	return rc;
}

static enum rc
open_lock(struct pgsql_lane *l, struct err *e)
{
	return l->lock.conn != NULL ? RC_OK : connect_to(l, &l->lock, e);
}

static enum rc
nudge(struct pgsql_lane *l, struct err *e)
{
	enum rc rc = open_lock(l, e);

	return rc == RC_OK ? pgsource_nudge(&l->lock, e) : rc;
}

/* No change of the table is half-way, and none can begin, between lock and COMMIT. */
static enum rc
snapshot_under_lock(struct pgsql_lane *l, const struct snapshot_request *req, struct logpos *high,
	bool *flushed, struct err *e)
{
	char *snapshot = NULL;
	struct err ignored;
	enum rc rc = open_lock(l, e);

	if (rc == RC_OK)
		rc = pgsql_exec(&l->lock, "BEGIN", e);
	if (rc == RC_OK)
		rc = lock_table(&l->lock, req->table, "SHARE", e);
	if (rc == RC_OK) {
		req->armed(req->arg);
		rc = begin_snapshot(l, req->table, e);
	}
	if (rc == RC_OK)
		rc = look(l, &snapshot, high, flushed, e);
	/* Lines do not tell where a transaction will have been committed: one of our own, right
	 * behind `high`, comes before any that changes the table. */
	if (rc == RC_OK && SPEAKS_LINES(&l->lock))
		rc = pgsource_nudge(&l->lock, e);
	if (pgsql_exec(&l->lock, rc == RC_OK ? "COMMIT" : "ROLLBACK", &ignored) != RC_OK &&
		rc == RC_OK)
		rc = err_set(e, RC_RETRY, "the connection that locks %s.%s was lost",
			req->table->db, req->table->name);
	free(snapshot);
	return rc;
}

static enum rc
snapshot_that_sees(struct pgsql_lane *l, const struct snapshot_request *req, struct logpos *high,
	bool *flushed, struct err *e)
{
	char *snapshot = NULL;
	enum rc rc = begin_snapshot(l, req->table, e);

	if (rc == RC_OK)
		rc = look(l, &snapshot, high, flushed, e);
	if (rc == RC_OK && !pgsource_sees(source_of(&l->base), snapshot, req->seen_at.offset))
		rc = RC_AGAIN;
	free(snapshot);
	return rc;
}

enum rc
pgsource_lane_snapshot(struct source_lane *base, const struct snapshot_request *req,
	struct logpos *high, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	bool flushed = true;
	enum rc rc;

	if (base->source->held) {
		*high = source_of(base)->held_at;
		return RC_OK;
	}
	pgsource_lane_end(base); /* of a snapshot that was held until now */
	*high = (struct logpos){0};
	rc = req->mode == SNAPSHOT_EXACT ? snapshot_under_lock(l, req, high, &flushed, e)
					 : snapshot_that_sees(l, req, high, &flushed, e);
	return rc == RC_OK && !flushed ? nudge(l, e) : rc;
}

void
pgsource_lane_end(struct source_lane *base)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	struct err ignored;

	if (base->source->held)
		return;
	if (l->open && pgsql_exec(&l->c, "ROLLBACK", &ignored) != RC_OK)
		*l->c.state = '\0';
	l->open = l->held = false;
}

/* ---- rows ---- */

static void
beyond(struct pgsql *c, struct buf *b, const struct table *t, const char *op,
	const struct buf *bound, bool lie)
{
	if (lie)
		buf_printf(b, "ctid %s '%s'", op, buf_text(bound));
	else
		compare(c, b, t, table_key(t), op, bound);
}

static enum rc
read_query(struct pgsql_lane *l, struct buf *b, const struct table *t, const struct buf *lo,
	const struct buf *hi, struct err *e)
{
	struct pgsql *c = &l->c;
	bool lie;
	enum rc rc;

	buf_puts(b, "COPY (SELECT ");
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		buf_puts(b, i != 0 ? ", " : "");
		pgsql_quote_name(b, t->columns[i].name);
	}
	rc = from_table(l, b, t, &lie, e);
	if (lo->len != 0) {
		buf_puts(b, " WHERE ");
		beyond(c, b, t, ">", lo, lie);
	}
	if (hi->len != 0) {
		buf_puts(b, lo->len != 0 ? " AND " : " WHERE ");
		beyond(c, b, t, "<=", hi, lie);
	}
	buf_puts(b, ") TO STDOUT");
	return rc;
}

static char
unescaped(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'v':
		return '\v';
	default:
		return c;
	}
}

/* One field of a COPY line, unescaped where it lies; *line moves behind it. */
static bool
next_field(char **line, char *end, char **field, uint32_t *n, bool *null)
{
	char *from = *line, *stop, *to;

	if (from > end)
		return false;
	*field = from;
	*null = end - from >= 2 && from[0] == '\\' && from[1] == 'N';
	stop = memchr(from, '\t', (size_t)(end - from));
	if (stop == NULL)
		stop = end;
	*line = stop + 1;
	to = memchr(from, '\\', (size_t)(stop - from));
	if (to == NULL)
		to = stop;
	for (from = to; from < stop; from++)
		*to++ = *from == '\\' && from + 1 < stop ? unescaped(*++from) : *from;
	*n = (uint32_t)(to - *field);
	return true;
}

static enum rc
deliver(struct pgsql_lane *l, const struct table *t, char *line, int n, row_cb cb, void *arg,
	struct err *e)
{
	struct row out = {.col = l->values, .ncols = t->ncolumns};
	char *end = line + n;

	if (n > 0 && end[-1] == '\n')
		end--;
	arena_reset(&l->arena);
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		uint32_t len;
		char *field;
		bool null;

		if (!next_field(&line, end, &field, &len, &null))
			return err_set(e, RC_DATA,
				"the source sends a row of %s.%s with %u of %u "
				"columns",
				t->db, t->name, i, t->ncolumns);
		if (null)
			l->values[i] = (struct value){.kind = VALUE_NULL};
		else
			pgsource_value(&t->columns[i], field, len, &l->arena, &l->values[i]);
	}
	return cb(arg, &out, e);
}

static enum rc
finish_copy(struct pgsql_lane *l, struct err *e)
{
	enum rc rc = RC_OK;
	PGresult *res;

	while ((res = pgsql_result(&l->c)) != NULL) {
		if (PQresultStatus(res) != PGRES_COMMAND_OK && rc == RC_OK)
			rc = pgsql_error(&l->c, res, e, "broke off while rows were read");
		PQclear(res);
	}
	return rc;
}

enum rc
pgsource_lane_read(struct source_lane *base, const struct read_request *req, row_cb cb, void *arg,
	struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	PGresult *res;
	char *line;
	struct buf b;
	enum rc rc;
	int n;

	grow(&l->values, &l->values_cap, (size_t)req->table->ncolumns + 1, sizeof *l->values);
	buf_init(&b);
	rc = read_query(l, &b, req->table, req->lo, req->hi, e);
	if (rc != RC_OK) {
		buf_release(&b);
		return rc;
	}
	res = pgsql_ask(&l->c, buf_text(&b));
	buf_release(&b);
	if (PQresultStatus(res) != PGRES_COPY_OUT)
		rc = pgsql_error(&l->c, res, e, "cannot read rows");
	PQclear(res);
	if (rc != RC_OK)
		return rc;
	while (rc == RC_OK && (n = pgsql_copy_line(&l->c, &line)) > 0) {
		rc = deliver(l, req->table, line, n, cb, arg, e);
		PQfreemem(line);
	}
	/* Not to the end: the connection is of no use any more, and the reader on its way out. */
	return rc == RC_OK ? finish_copy(l, e) : rc;
}
