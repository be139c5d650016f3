/* rows.c - batches, single rows and loads at a PostgreSQL target; see sink.h of the room. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pgsql/describe.h"
#include "workers/writer/pgsql/sink.h"

#define DUPLICATE "23505"
#define EXCLUDED "23P01"
#define PARENT "23503"
/* A pipeline of fewer rows costs less than the beginning and end of a COPY. */
#define COPY_ROWS 8
#define COPY_BYTES ((size_t)256 << 10)

/* ---- COPY ---- */

static void
put_escaped(struct buf *b, const unsigned char *p, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		char c;

		switch (p[i]) {
		case '\\':
			c = '\\';
			break;
		case '\n':
			c = 'n';
			break;
		case '\r':
			c = 'r';
			break;
		case '\t':
			c = 't';
			break;
		default:
			continue;
		}
		buf_add(b, p + from, i - from);
		buf_putc(b, '\\');
		buf_putc(b, c);
		from = i + 1;
	}
	buf_add(b, p + from, n - from);
}

static enum rc
copy_row(struct pgsql_lane *l, const struct copied *columns, uint32_t n, const struct change *c,
	struct err *e)
{
	const struct target *t = c->target;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = columns[k].column;
		const struct value *v = columns[k].before ? &c->before.col[i] : &c->after.col[i];
		enum rc rc;

		if (k != 0)
			buf_putc(&l->text, '\t');
		if (v->kind != VALUE_BYTES) {
			buf_puts(&l->text, "\\N");
			continue;
		}
		buf_clear(&l->scratch);
		rc = pgsink_render(l->transcoder, &t->source->columns[i],
			&t->table->columns[t->map[i]], v, &l->scratch, e);
		if (rc != RC_OK)
			return rc;
		put_escaped(&l->text, l->scratch.data, l->scratch.len);
	}
	buf_putc(&l->text, '\n');
	return RC_OK;
}

static enum rc
flush(struct pgsql_lane *l, struct err *e)
{
	if (!pgsql_copy_put(&l->c, &l->text))
		return pgsink_error(l, NULL, e, "does not take rows");
	buf_clear(&l->text);
	return RC_OK;
}

static enum rc
begin_copy(struct pgsql_lane *l, const char *into, bool binary, struct err *e)
{
	char *sql = xasprintf("COPY %s FROM STDIN%s", into, binary ? " WITH (FORMAT binary)" : "");
	PGresult *res = pgsql_ask(&l->c, sql);
	enum rc rc = RC_OK;

	if (PQresultStatus(res) != PGRES_COPY_IN)
		rc = pgsink_error(l, res, e, "cannot copy rows");
	PQclear(res);
	free(sql);
	return rc;
}

enum rc
pgsink_copy(struct pgsql_lane *l, const char *into, struct copied *columns, uint32_t ncolumns,
	const struct change *const *rows, uint32_t n, uint64_t *found, struct err *e)
{
	struct err failure = {0};
	bool binary = pgsink_is_binary(l, rows[0]->target, columns, ncolumns);
	enum rc rc = pgsink_settle(l, e), end = RC_OK;
	PGresult *res;

	if (rc == RC_OK)
		rc = begin_copy(l, into, binary, e);
	if (rc != RC_OK)
		return rc;
	buf_clear(&l->text);
	if (binary)
		pgsink_binary_begin(l);
	for (uint32_t i = 0; i < n && rc == RC_OK; i++) {
		rc = binary ? pgsink_binary_row(l, columns, ncolumns, rows[i], e)
			    : copy_row(l, columns, ncolumns, rows[i], e);
		if (rc == RC_OK && l->text.len > COPY_BYTES)
			rc = flush(l, e);
	}
	if (rc == RC_OK && binary)
		pgsink_binary_end(l);
	if (rc == RC_OK && l->text.len != 0)
		rc = flush(l, e);
	if (PQputCopyEnd(l->c.conn, rc == RC_OK ? NULL : "a row cannot be written") != 1 &&
		rc == RC_OK)
		rc = pgsink_error(l, NULL, e, "does not take rows");
	while ((res = pgsql_result(&l->c)) != NULL) {
		if (PQresultStatus(res) == PGRES_COMMAND_OK)
			*found += strtoull(PQcmdTuples(res), NULL, 10);
		else if (end == RC_OK)
			end = pgsink_error(l, res, &failure, "refused rows");
		PQclear(res);
	}
	if (rc == RC_OK && end != RC_OK) {
		*e = failure;
		rc = end;
	}
	return rc;
}

/* Rows of one shape, straight into their table. */
static enum rc
copy(struct pgsql_lane *l, const struct change *const *rows, uint32_t n, uint64_t *found,
	struct err *e)
{
	const struct target *t = rows[0]->target;
	struct copied *columns = xcalloc(t->source->ncolumns, sizeof *columns);
	uint32_t ncolumns = 0;
	struct buf into;
	enum rc rc;

	buf_init(&into);
	pgsql_quote_table(&into, t->db, t->name);
	for (uint32_t i = 0; i < t->source->ncolumns; i++) {
		if (!pgsink_is_carried(t, &rows[0]->after, i))
			continue;
		buf_puts(&into, ncolumns == 0 ? " (" : ", ");
		pgsql_quote_name(&into, t->table->columns[t->map[i]].name);
		columns[ncolumns++].column = i;
	}
	buf_putc(&into, ')');
	rc = pgsink_copy(l, buf_text(&into), columns, ncolumns, rows, n, found, e);
	buf_release(&into);
	free(columns);
	return rc;
}

/* A table all of whose columns the server computes takes no list of columns. */
static bool
copies(const struct change *c)
{
	for (uint32_t i = 0; i < c->target->source->ncolumns; i++)
		if (pgsink_is_carried(c->target, &c->after, i))
			return true;
	return false;
}

/* ---- batches ---- */

static enum form
form_of(enum event_kind op)
{
	return op == EVENT_INSERT ? FORM_INSERT : op == EVENT_UPDATE ? FORM_UPDATE : FORM_DELETE;
}

/* A row without a key is one of those that look the same. */
static bool
merges(const struct pgsql_lane *l, const struct batch *b)
{
	return l->sink->dialect->staged && b->count >= COPY_ROWS &&
	       b->changes[0]->target->key != NULL;
}

static enum rc
run_batch(struct pgsql_lane *l, struct batch *b, struct err *e)
{
	enum rc rc = pgsink_fk(l, b->changes[0]->fk_off, e);

	if (rc != RC_OK)
		return rc;
	if (b->op == EVENT_INSERT && b->count >= COPY_ROWS && copies(b->changes[0]))
		return copy(l, b->changes, b->count, &b->matched, e);
	if (b->op == EVENT_INSERT)
		return pgsink_each(l, FORM_INSERT, b->changes, b->count, &b->matched, e);
	if (merges(l, b))
		return pgsink_merge(l,
			b->op == EVENT_UPDATE ? FORM_STAGED_UPDATE : FORM_STAGED_DELETE, b->changes,
			b->count, &b->matched, e);
	return pgsink_arrays(l, form_of(b->op), b->changes, b->count, &b->matched, e);
}

static enum rc
as_conflict(const struct pgsql_lane *l, enum rc rc)
{
	return rc == RC_CONFIG && pgsql_is(&l->c, DUPLICATE) ? RC_CONFLICT : rc;
}

enum rc
pgsink_batch(struct sink_lane *base, struct batch *b, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	enum rc rc;

	b->matched = 0;
	rc = run_batch(l, b, e);
	if (rc == RC_OK)
		return RC_OK;
	pgsink_abandon(l);
	return as_conflict(l, rc);
}

enum rc
pgsink_answers(struct sink_lane *base, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	return as_conflict(l, pgsink_settle(l, e));
}

/* ---- looking ---- */

static uint32_t
row_column(const struct target *t, uint32_t target_column)
{
	for (uint32_t i = 0; i < t->source->ncolumns; i++)
		if (t->map[i] == target_column)
			return i;
	return UINT32_MAX;
}

/* " WHERE a = '1' AND b = '2'" for an index; false if the image does not have all of its values,
 * or one is NULL. */
static bool
where_index(struct pgsql_lane *l, struct buf *b, const struct target *t, const struct index *ix,
	const struct row *r)
{
	struct err ignored;

	for (uint32_t p = 0; p < ix->nparts; p++) {
		uint32_t i = ix->parts[p].column != UINT32_MAX ? row_column(t, ix->parts[p].column)
							       : UINT32_MAX;

		if (i == UINT32_MAX || r->ncols == 0 || r->col[i].kind != VALUE_BYTES)
			return false;
		buf_puts(b, p == 0 ? " WHERE " : " AND ");
		pgsql_quote_name(b, t->table->columns[ix->parts[p].column].name);
		pgsql_operator(&l->c, b, "=", &t->table->columns[ix->parts[p].column]);
		buf_clear(&l->scratch);
		if (pgsink_render(l->transcoder, &t->source->columns[i],
			    &t->table->columns[ix->parts[p].column], &r->col[i], &l->scratch,
			    &ignored) != RC_OK)
			return false;
		pgsql_quote_text(b, buf_text(&l->scratch));
	}
	return ix->nparts != 0;
}

/* Deletes what stands in the way of the new image, index by index. */
static enum rc
remove_clashes(struct pgsql_lane *l, const struct change *c, struct err *e)
{
	const struct target *t = c->target;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < t->table->nindexes && rc == RC_OK; i++) {
		struct buf b;

		if (!t->table->indexes[i].unique)
			continue;
		buf_init(&b);
		buf_puts(&b, "DELETE FROM ");
		pgsink_quote_rows(l, &b, t->db, t->name);
		if (where_index(l, &b, t, &t->table->indexes[i], &c->after))
			rc = pgsink_exec(l, buf_text(&b), e);
		buf_release(&b);
	}
	return rc;
}

static char *
row_text(const PGresult *res)
{
	struct buf b;

	if (PQntuples(res) == 0)
		return NULL;
	buf_init(&b);
	for (int i = 0; i < PQnfields(res) && b.len < 1024; i++)
		buf_printf(&b, "%s%s=%.200s", i != 0 ? ", " : "", PQfname(res, i),
			PQgetisnull(res, 0, i) ? "NULL" : PQgetvalue(res, 0, i));
	return (char *)b.data;
}

enum rc
pgsink_fetch(struct sink_lane *base, const struct change *c, char **text, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	const struct target *t = c->target;
	const struct row *r = c->op == EVENT_INSERT ? &c->after : &c->before;
	enum rc rc = RC_OK;

	*text = NULL;
	for (uint32_t i = 0; i < t->table->nindexes && rc == RC_OK && *text == NULL; i++) {
		PGresult *res;
		struct buf b;

		if (!t->table->indexes[i].unique)
			continue;
		buf_init(&b);
		buf_puts(&b, "SELECT * FROM ");
		pgsql_quote_table(&b, t->db, t->name);
		if (where_index(l, &b, t, &t->table->indexes[i], r) &&
			(rc = pgsql_query(&l->c, &res, e, "%s LIMIT 1", buf_text(&b))) == RC_OK) {
			*text = row_text(res);
			PQclear(res);
		}
		buf_release(&b);
	}
	return rc;
}

/* ---- single rows ---- */

static void
set_outcome(struct outcome *out, enum outcome_kind kind, const char *detail)
{
	out->kind = kind;
	snprintf(out->detail, sizeof out->detail, "%.*s", (int)sizeof out->detail - 1, detail);
}

/* The server's refusal as what it means for the row; true: it is about the row. */
static bool
explain(struct pgsql_lane *l, const struct err *e, struct outcome *out)
{
	if (pgsql_is(&l->c, DUPLICATE) || pgsql_is(&l->c, EXCLUDED))
		set_outcome(out, OUTCOME_DUPLICATE, e->text);
	else if (pgsql_is(&l->c, PARENT))
		set_outcome(out, OUTCOME_PARENT_MISSING, e->text);
	else
		set_outcome(out, OUTCOME_OTHER, e->text);
	return e->rc == RC_DATA || out->kind != OUTCOME_OTHER;
}

/* Behind a savepoint: a refusal would end the transaction. */
static enum rc
run_one(struct pgsql_lane *l, enum form form, const struct change *c, struct outcome *out,
	struct err *e)
{
	uint64_t found = 0;
	struct err again;
	enum rc rc = pgsink_exec(l, "SAVEPOINT one", e);

	*out = (struct outcome){.kind = OUTCOME_DONE};
	*l->c.state = '\0';
	if (rc == RC_OK)
		rc = pgsink_each(l, form, &c, 1, &found, e);
	if (rc == RC_OK)
		rc = pgsink_settle(l, e);
	if (rc != RC_OK) {
		pgsink_abandon(l);
		if (!explain(l, e, out))
			return rc;
		rc = pgsink_exec(l, "ROLLBACK TO SAVEPOINT one", &again);
		if (rc != RC_OK)
			*e = again;
		return rc;
	}
	if (found == 0)
		set_outcome(out, OUTCOME_MISSING, "no such row at the target");
	return pgsink_exec(l, "RELEASE SAVEPOINT one", e);
}

/* The rows that clash with the new image in any unique index go; then it is written. */
static enum rc
overwrite(struct pgsql_lane *l, const struct change *c, struct outcome *out, struct err *e)
{
	const struct target *t = c->target;
	struct change insert = *c, gone = *c;
	enum rc rc = RC_OK;

	insert.op = EVENT_INSERT;
	insert.shape ^= 0x5bd1e995u; /* its own statement: the images are not an INSERT's */
	if (c->op == EVENT_UPDATE && t->key != NULL) {
		gone.op = EVENT_DELETE;
		gone.shape ^= 0x9747b28cu;
		rc = run_one(l, FORM_DELETE, &gone, out, e);
	}
	for (uint32_t tries = 0; rc == RC_OK && tries <= t->table->nindexes; tries++) {
		rc = run_one(l, FORM_INSERT, &insert, out, e);
		if (rc != RC_OK || out->kind != OUTCOME_DUPLICATE)
			return rc;
		rc = remove_clashes(l, c, e);
	}
	return rc;
}

static enum rc
by_mode(struct pgsql_lane *l, const struct change *c, enum row_mode mode, struct outcome *out,
	struct err *e)
{
	struct change insert = *c;
	enum rc rc;

	switch (mode) {
	case ROW_STRICT:
		return run_one(l, form_of(c->op), c, out, e);
	case ROW_OVERWRITE:
		rc = c->op == EVENT_DELETE ? run_one(l, FORM_DELETE, c, out, e)
					   : overwrite(l, c, out, e);
		if (rc == RC_OK && out->kind == OUTCOME_MISSING)
			out->kind = OUTCOME_DONE;
		return rc;
	case ROW_UPSERT:
	default:
		insert.op = EVENT_INSERT;
		insert.shape ^= 0x5bd1e995u;
		return run_one(l, FORM_INSERT, &insert, out, e);
	}
}

enum rc
pgsink_row(struct sink_lane *base, const struct change *c, enum row_mode mode, bool fk_checks,
	struct outcome *out, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	enum rc rc = pgsink_fk(l, !fk_checks || c->fk_off, e);

	return rc == RC_OK ? by_mode(l, c, mode, out, e) : rc;
}

/* ---- loads ---- */

/* Servers before 9.5 know no ON CONFLICT, and none knows it where a constraint can be deferred. */
static bool
knows_on_conflict(const struct pgsql_lane *l, const struct table *t)
{
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (t->indexes[i].deferral != DEFERRAL_NONE)
			return false;
	return l->c.version >= 90500;
}

static enum rc
load(struct pgsql_lane *l, const struct change *const *rows, uint32_t n, bool keep, uint64_t *found,
	struct err *e)
{
	bool copied = copies(rows[0]);

	if (copied && !keep)
		return copy(l, rows, n, found, e);
	if (keep && knows_on_conflict(l, rows[0]->target->table))
		return pgsink_each(l, FORM_INSERT_KEEP, rows, n, found, e);
	if (copied)
		return pgsink_merge(l, FORM_STAGED_KEEP, rows, n, found, e);
	return pgsink_each(l, FORM_INSERT, rows, n, found, e);
}

enum rc
pgsink_load(struct sink_lane *base, struct target *t, struct change *const *rows, uint32_t count,
	bool keep, uint64_t *kept, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	uint64_t found = 0;
	enum rc rc = pgsink_fk(l, true, e);

	if (rc == RC_OK)
		rc = load(l, (const struct change *const *)rows, count, keep, &found, e);
	if (rc == RC_OK)
		rc = pgsink_settle(l, e);
	if (rc != RC_OK) {
		pgsink_abandon(l);
		return err_context(e, "loading %s.%s", t->db, t->name), rc;
	}
	*kept = count - found;
	if (found != count && !keep)
		return err_set(e, RC_BUG, "a load of %u rows into %s.%s wrote %" PRIu64, count,
			t->db, t->name, found);
	return RC_OK;
}
