/*
 * statement.c - prepared statements of row changes; see sink.h of the room.
 *
 * A statement is executed once for each change, or once for many (array.c).
 * Values travel as text, their types are the columns' own.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/pgsql/describe.h"
#include "workers/writer/pgsql/sink.h"

/* ---- text ---- */

static const struct column *
target_column(const struct target *t, uint32_t i)
{
	return &t->table->columns[t->map[i]];
}

bool
pgsink_is_carried(const struct target *t, const struct row *r, uint32_t i)
{
	return t->map[i] != UINT32_MAX && !target_column(t, i)->generated &&
	       r->col[i].kind != VALUE_ABSENT && r->col[i].kind != VALUE_UNCHANGED;
}

static bool
in_key(const struct target *t, uint32_t i)
{
	for (uint32_t p = 0; t->key != NULL && p < t->key->nparts; p++)
		if (t->key->parts[p].column == t->map[i])
			return true;
	return false;
}

static bool
updates(enum form f)
{
	return f == FORM_UPDATE || f == FORM_STAGED_UPDATE || f == FORM_ARRAY_UPDATE;
}

static bool
deletes(enum form f)
{
	return f == FORM_DELETE || f == FORM_STAGED_DELETE || f == FORM_ARRAY_DELETE;
}

static bool
takes_arrays(enum form f)
{
	return f == FORM_ARRAY_UPDATE || f == FORM_ARRAY_DELETE;
}

/* A key that does not move is left out: it may be an identity that takes no value. */
static void
list_after(struct statement *s, const struct change *c)
{
	const struct target *t = c->target;
	bool moves = (c->shape & SHAPE_KEY_MOVES) != 0 || !updates(s->form);

	s->after = xcalloc(t->source->ncolumns, sizeof *s->after);
	for (uint32_t i = 0; i < t->source->ncolumns; i++)
		if (pgsink_is_carried(t, &c->after, i) && (moves || !in_key(t, i)))
			s->after[s->nafter++] = i;
	/* A table that is all key: a change of nothing, which still finds its row. */
	for (uint32_t i = 0; s->nafter == 0 && i < t->source->ncolumns; i++)
		if (pgsink_is_carried(t, &c->after, i))
			s->after[s->nafter++] = i;
}

/* The key's columns, or for a keyless table every column that the image has. */
static void
list_before(struct statement *s, const struct change *c)
{
	const struct target *t = c->target;

	s->before = xcalloc(t->source->ncolumns, sizeof *s->before);
	for (uint32_t i = 0; i < t->source->ncolumns; i++)
		if (t->key != NULL ? in_key(t, i) : pgsink_is_carried(t, &c->before, i))
			s->before[s->nbefore++] = i;
}

/* Byte-exact, for rows without a key: as the server prints them. */
static void
add_exact(struct buf *b, const struct column *t, uint32_t parameter)
{
	buf_putc(b, '(');
	pgsql_quote_name(b, t->name);
	buf_printf(b, "::text COLLATE \"C\") IS NOT DISTINCT FROM ($%u::%s::text COLLATE \"C\")",
		parameter, t->native);
}

void
pgsink_quote_rows(struct pgsql_lane *l, struct buf *b, const char *schema, const char *name)
{
	struct err ignored;
	char *alone = NULL;
	struct buf literal;

	buf_init(&literal);
	pgsql_quote_regclass(&literal, schema, name);
	/* Greenplum 6 has partitions that inherit. */
	if (!l->sink->dialect->distributed &&
		pgsql_value(&l->c, &alone, &ignored,
			"SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'r'",
			buf_text(&literal)) == RC_OK &&
		alone != NULL)
		buf_puts(b, "ONLY ");
	pgsql_quote_table(b, schema, name);
	free(alone);
	buf_release(&literal);
}

/* One row of those that look the same: partitions have row numbers of their own. */
static void
add_where(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	const struct target *t = s->target;

	buf_puts(b, " WHERE ");
	if (t->key == NULL) {
		buf_puts(b, "(tableoid, ctid) = (SELECT tableoid, ctid FROM ");
		pgsink_quote_rows(l, b, t->db, t->name);
		buf_puts(b, s->nbefore != 0 ? " WHERE " : "");
	}
	for (uint32_t k = 0; k < s->nbefore; k++) {
		const struct column *col = target_column(t, s->before[k]);

		if (k != 0)
			buf_puts(b, " AND ");
		if (t->key == NULL) {
			add_exact(b, col, s->nafter + k + 1);
			continue;
		}
		pgsql_quote_name(b, col->name);
		pgsql_operator(&l->c, b, "=", col);
		buf_printf(b, "$%u", s->nafter + k + 1);
	}
	if (t->key == NULL)
		buf_puts(b, " LIMIT 1)");
}

static void
insert_text(struct buf *b, const struct statement *s, int version)
{
	buf_puts(b, "INSERT INTO ");
	pgsql_quote_table(b, s->target->db, s->target->name);
	for (uint32_t k = 0; k < s->nafter; k++) {
		buf_puts(b, k != 0 ? ", " : " (");
		pgsql_quote_name(b, target_column(s->target, s->after[k])->name);
	}
	if (s->nafter == 0) /* of no columns, or of such as the server computes */
		buf_puts(b, " DEFAULT VALUES");
	else
		buf_puts(b, version >= 100000 ? ") OVERRIDING SYSTEM VALUE VALUES" : ") VALUES");
	for (uint32_t k = 0; k < s->nafter; k++)
		buf_printf(b, "%s$%u", k != 0 ? ", " : " (", k + 1);
	if (s->nafter != 0)
		buf_putc(b, ')');
	if (s->form == FORM_INSERT_KEEP)
		buf_puts(b, " ON CONFLICT DO NOTHING");
}

static void
update_text(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	buf_puts(b, "UPDATE ");
	pgsink_quote_rows(l, b, s->target->db, s->target->name);
	buf_puts(b, " SET ");
	for (uint32_t k = 0; k < s->nafter; k++) {
		if (k != 0)
			buf_puts(b, ", ");
		pgsql_quote_name(b, target_column(s->target, s->after[k])->name);
		buf_printf(b, " = $%u", k + 1);
	}
	add_where(l, b, s);
}

/* The arrays as rows, whose columns have the parameters' numbers. */
static void
add_arrays(struct buf *b, const struct statement *s)
{
	uint32_t n = s->nafter + s->nbefore;

	buf_puts(b, " unnest(");
	for (uint32_t k = 1; k <= n; k++)
		buf_printf(b, "%s$%u", k != 1 ? ", " : "", k);
	buf_puts(b, ") AS v (");
	for (uint32_t k = 1; k <= n; k++)
		buf_printf(b, "%sp%u", k != 1 ? ", " : "", k);
	buf_puts(b, ") WHERE ");
}

static void
array_text(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	buf_puts(b, updates(s->form) ? "UPDATE " : "DELETE FROM ");
	pgsink_quote_rows(l, b, s->target->db, s->target->name);
	buf_puts(b, updates(s->form) ? " AS t SET " : " AS t USING");
	for (uint32_t k = 0; k < s->nafter; k++) {
		buf_puts(b, k != 0 ? ", " : "");
		pgsql_quote_name(b, target_column(s->target, s->after[k])->name);
		buf_printf(b, " = v.p%u", k + 1);
	}
	if (updates(s->form))
		buf_puts(b, " FROM");
	add_arrays(b, s);
	for (uint32_t k = 0; k < s->nbefore; k++) {
		const struct column *col = target_column(s->target, s->before[k]);

		buf_puts(b, k != 0 ? " AND t." : "t.");
		pgsql_quote_name(b, col->name);
		pgsql_operator(&l->c, b, "=", col);
		buf_printf(b, "v.p%u", s->nafter + k + 1);
	}
}

static void
statement_text(struct pgsql_lane *l, struct buf *b, const struct statement *s)
{
	if (takes_arrays(s->form)) {
		array_text(l, b, s);
	} else if (s->form == FORM_UPDATE) {
		update_text(l, b, s);
	} else if (s->form == FORM_DELETE) {
		buf_puts(b, "DELETE FROM ");
		pgsink_quote_rows(l, b, s->target->db, s->target->name);
		add_where(l, b, s);
	} else {
		insert_text(b, s, l->c.version);
	}
}

/* ---- cache ---- */

/* A plan that was made for a small table is none for what it has grown to. */
#define PLAN_US 60000000u

static bool
is_staged(enum form f)
{
	return f == FORM_STAGED_KEEP || f == FORM_STAGED_UPDATE || f == FORM_STAGED_DELETE;
}

/* The server's half goes with the next BEGIN: now the transaction may be a failed one. */
static void
drop(struct pgsql_lane *l, struct statement *s)
{
	if (*s->name != '\0' && is_staged(s->form))
		buf_printf(&l->garbage, "DROP TABLE IF EXISTS pg_temp.%s; ", s->name);
	else if (*s->name != '\0' && !s->lacking)
		buf_printf(&l->garbage, "DEALLOCATE %s; ", s->name);
	free(s->after);
	free(s->before);
	*s = (struct statement){0};
}

void
pgsink_drop_statements(struct pgsql_lane *l)
{
	for (size_t i = 0; i < STATEMENTS; i++)
		drop(l, &l->cache[i]);
}

static struct statement *
find_or_evict(struct pgsql_lane *l, const struct statement *want)
{
	struct statement *oldest = &l->cache[0];

	for (size_t i = 0; i < STATEMENTS; i++) {
		struct statement *s = &l->cache[i];

		if (*s->name != '\0' && s->target == want->target && s->form == want->form &&
			s->shape == want->shape)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	drop(l, oldest);
	return oldest;
}

static Oid
type_of(const PGresult *columns, const char *name)
{
	for (int i = 0; i < PQntuples(columns); i++)
		if (strcmp(PQgetvalue(columns, i, 0), name) == 0)
			return (Oid)strtoul(PQgetvalue(columns, i, 1), NULL, 10);
	return 0;
}

/* The columns' own, or arrays of them (0: there are none that are written like others): left alone,
 * the server would read the other side of "regclass = $1" as an oid, and of "varchar = $1" as a
 * text. */
static enum rc
parameter_types(struct pgsql_lane *l, const struct statement *s, Oid **types, struct err *e)
{
	const struct target *t = s->target;
	struct buf literal;
	PGresult *res;
	enum rc rc;

	buf_init(&literal);
	pgsql_quote_regclass(&literal, t->db, t->name);
	rc = pgsql_query(&l->c, &res, e,
		"SELECT attname, %s FROM pg_attribute JOIN pg_type t ON t.oid = atttypid WHERE "
		"attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
		takes_arrays(s->form) ? "CASE typdelim WHEN ',' THEN typarray ELSE 0 END"
				      : "atttypid",
		buf_text(&literal));
	buf_release(&literal);
	if (rc != RC_OK)
		return rc;
	*types = xcalloc((size_t)s->nafter + s->nbefore + 1, sizeof **types);
	for (uint32_t k = 0; k < s->nafter; k++)
		(*types)[k] = type_of(res, target_column(t, s->after[k])->name);
	for (uint32_t k = 0; k < s->nbefore; k++)
		(*types)[s->nafter + k] = type_of(res, target_column(t, s->before[k])->name);
	PQclear(res);
	return RC_OK;
}

static bool
has_zero(const Oid *types, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		if (types[k] == 0)
			return true;
	return false;
}

static enum rc
prepare(struct pgsql_lane *l, struct statement *s, struct err *e)
{
	Oid *types = NULL;
	enum rc rc = parameter_types(l, s, &types, e);
	PGresult *res;
	struct buf b;

	if (rc != RC_OK)
		return rc;
	if (takes_arrays(s->form) && has_zero(types, s->nafter + s->nbefore)) {
		s->lacking = true;
		free(types);
		return RC_OK;
	}
	buf_init(&b);
	statement_text(l, &b, s);
	res = pgsql_answer(&l->c, PQsendPrepare(l->c.conn, s->name, buf_text(&b),
					  (int)(s->nafter + s->nbefore), types));
	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = pgsink_error(l, res, e, "cannot prepare a row change");
	PQclear(res);
	buf_release(&b);
	free(types);
	return rc;
}

enum rc
pgsink_statement(struct pgsql_lane *l, enum form form, const struct change *c,
	struct statement **out, struct err *e)
{
	struct statement want = {.target = c->target, .form = form, .shape = c->shape};
	struct statement *s = find_or_evict(l, &want);
	enum rc rc = RC_OK;

	if (*s->name != '\0' && mono_us() - s->since > PLAN_US)
		drop(l, s);
	s->used = ++l->clock;
	*out = s;
	if (*s->name != '\0')
		return RC_OK;
	*s = want;
	s->used = l->clock;
	s->since = mono_us();
	if (!deletes(form))
		list_after(s, c);
	if (deletes(form) || updates(form))
		list_before(s, c);
	snprintf(s->name, sizeof s->name, "s%" PRIu64, l->clock);
	if (!is_staged(form))
		rc = pgsink_settle(l, e);
	if (!is_staged(form) && rc == RC_OK)
		rc = prepare(l, s, e);
	if (rc != RC_OK) {
		err_context(e, "%s.%s", c->target->db, c->target->name);
		*s->name = '\0';
		drop(l, s);
	}
	return rc;
}
