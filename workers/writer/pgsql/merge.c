/*
 * merge.c - a batch of changes in one statement: copied into a temporary table,
 * and from there merged; see sink.h of the room.
 *
 * For servers to which a statement costs much more than a row does, and for
 * those that know no ON CONFLICT. The temporary table has a column for each
 * parameter of the statement that would run the changes one by one - a0, a1 ..
 * what is written, b0, b1 .. what finds the row - and stays with the session,
 * empty between transactions, for as long as that statement would.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/pgsql/describe.h"
#include "workers/writer/pgsql/sink.h"

static const struct column *
column_of(const struct statement *s, uint32_t i)
{
	return &s->target->table->columns[s->target->map[i]];
}

/* sep "a0" sep "a1" .. with the columns' types where they are wanted. */
static void
add_columns(struct buf *b, const struct statement *s, bool types)
{
	for (uint32_t k = 0; k < s->nafter + s->nbefore; k++) {
		bool before = k >= s->nafter;
		uint32_t n = before ? k - s->nafter : k;

		buf_printf(b, "%s%c%u", k != 0 ? ", " : "", before ? 'b' : 'a', n);
		if (types)
			buf_printf(b, " %s",
				column_of(s, before ? s->before[n] : s->after[n])->native);
	}
}

/* Rows that meet lie on one segment. */
static void
add_distribution(const struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	if (!l->sink->dialect->distributed)
		return;
	for (uint32_t k = 0; k < s->nbefore; k++)
		buf_printf(b, "%sb%u", k == 0 ? " DISTRIBUTED BY (" : ", ", k);
	buf_puts(b, s->nbefore != 0 ? ")" : " DISTRIBUTED RANDOMLY");
}

/* A transaction that was rolled back has taken it along. */
static enum rc
make_stage(struct pgsql_lane *l, const struct statement *s, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b, "CREATE TEMPORARY TABLE IF NOT EXISTS %s (", s->name);
	add_columns(&b, s, true);
	buf_puts(&b, ") ON COMMIT DELETE ROWS");
	add_distribution(l, &b, s);
	buf_printf(&b, "; DELETE FROM pg_temp.%s", s->name);
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

static enum rc
fill_stage(struct pgsql_lane *l, const struct statement *s, const struct change *const *changes,
	uint32_t n, struct err *e)
{
	struct copied *columns = xcalloc((size_t)s->nafter + s->nbefore, sizeof *columns);
	uint64_t copied = 0;
	struct buf into;
	enum rc rc;

	buf_init(&into);
	buf_printf(&into, "pg_temp.%s (", s->name);
	add_columns(&into, s, false);
	buf_putc(&into, ')');
	for (uint32_t k = 0; k < s->nafter; k++)
		columns[k].column = s->after[k];
	for (uint32_t k = 0; k < s->nbefore; k++)
		columns[s->nafter + k] = (struct copied){.column = s->before[k], .before = true};
	rc = pgsink_copy(
		l, buf_text(&into), columns, s->nafter + s->nbefore, changes, n, &copied, e);
	buf_release(&into);
	free(columns);
	return rc;
}

/* t."key" = s.b0 AND .. */
static void
add_join(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	for (uint32_t k = 0; k < s->nbefore; k++) {
		const struct column *c = column_of(s, s->before[k]);

		buf_puts(b, k == 0 ? " WHERE t." : " AND t.");
		pgsql_quote_name(b, c->name);
		pgsql_operator(&l->c, b, "=", c);
		buf_printf(b, "s.b%u", k);
	}
}

static void
update_text(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	buf_puts(b, "UPDATE ");
	pgsql_quote_table(b, s->target->db, s->target->name);
	buf_puts(b, " AS t SET ");
	for (uint32_t k = 0; k < s->nafter; k++) {
		buf_puts(b, k != 0 ? ", " : "");
		pgsql_quote_name(b, column_of(s, s->after[k])->name);
		buf_printf(b, " = s.a%u", k);
	}
	buf_printf(b, " FROM pg_temp.%s AS s", s->name);
	add_join(l, b, s);
}

/* The place in the row of the index's p-th column; UINT32_MAX: the row lacks it. */
static uint32_t
parameter(const struct statement *s, const struct index *ix, uint32_t p)
{
	for (uint32_t k = 0; k < s->nafter; k++)
		if (s->target->map[s->after[k]] == ix->parts[p].column)
			return k;
	return UINT32_MAX;
}

/* AND NOT EXISTS a row with its values of the index; nothing, where they are not all known. */
static void
add_absence(struct pgsql_lane *l, struct buf *b, const struct statement *s, const struct index *ix)
{
	const char *and = " WHERE t.";

	for (uint32_t p = 0; p < ix->nparts; p++)
		if (parameter(s, ix, p) == UINT32_MAX)
			return;
	buf_puts(b, " AND NOT EXISTS (SELECT 1 FROM ");
	pgsql_quote_table(b, s->target->db, s->target->name);
	buf_puts(b, " AS t");
	for (uint32_t p = 0; p < ix->nparts; p++) {
		const struct column *c = &s->target->table->columns[ix->parts[p].column];

		buf_puts(b, and);
		pgsql_quote_name(b, c->name);
		pgsql_operator(&l->c, b, "=", c);
		buf_printf(b, "s.a%u", parameter(s, ix, p));
		and = " AND t.";
	}
	buf_putc(b, ')');
}

static void
keep_text(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	const struct table *t = s->target->table;

	buf_puts(b, "INSERT INTO ");
	pgsql_quote_table(b, s->target->db, s->target->name);
	for (uint32_t k = 0; k < s->nafter; k++) {
		buf_puts(b, k == 0 ? " (" : ", ");
		pgsql_quote_name(b, column_of(s, s->after[k])->name);
	}
	buf_puts(b, ") SELECT ");
	add_columns(b, s, false);
	buf_printf(b, " FROM pg_temp.%s AS s WHERE true", s->name);
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (t->indexes[i].unique)
			add_absence(l, b, s, &t->indexes[i]);
}

static enum rc
run_merge(struct pgsql_lane *l, const struct statement *s, uint64_t *found, struct err *e)
{
	PGresult *res;
	struct buf b;
	enum rc rc = RC_OK;

	buf_init(&b);
	if (s->form == FORM_STAGED_UPDATE) {
		update_text(l, &b, s);
	} else if (s->form == FORM_STAGED_KEEP) {
		keep_text(l, &b, s);
	} else {
		buf_puts(&b, "DELETE FROM ");
		pgsql_quote_table(&b, s->target->db, s->target->name);
		buf_printf(&b, " AS t USING pg_temp.%s AS s", s->name);
		add_join(l, &b, s);
	}
	res = pgsql_ask(&l->c, buf_text(&b));
	if (PQresultStatus(res) == PGRES_COMMAND_OK)
		*found += strtoull(PQcmdTuples(res), NULL, 10);
	else
		rc = pgsink_error(l, res, e, "refused row changes");
	PQclear(res);
	buf_release(&b);
	return rc;
}

enum rc
pgsink_merge(struct pgsql_lane *l, enum form form, const struct change *const *changes, uint32_t n,
	uint64_t *found, struct err *e)
{
	struct statement *s;
	enum rc rc = pgsink_settle(l, e);

	if (rc == RC_OK)
		rc = pgsink_statement(l, form, changes[0], &s, e);
	if (rc == RC_OK)
		rc = make_stage(l, s, e);
	if (rc == RC_OK)
		rc = fill_stage(l, s, changes, n, e);
	return rc == RC_OK ? run_merge(l, s, found, e) : rc;
}
