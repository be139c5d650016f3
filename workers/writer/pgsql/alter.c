/*
 * alter.c - what a statement has made of a table at a PostgreSQL target: its columns, indexes and
 * foreign keys, from their descriptions before and after; see sink.h of the room.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/pgsql/describe.h"
#include "workers/writer/pgsql/sink.h"

void
pgsink_add_target(const struct pgsql_lane *l, struct buf *b, const char *db, const char *name)
{
	const struct routes *r = l->sink->env.routes;

	pgsql_quote_table(b, routes_table_db(r, db, name), routes_target_table(r, db, name));
}

void
pgsink_add_literal(const struct pgsql_lane *l, struct buf *b, const char *db, const char *name)
{
	const struct routes *r = l->sink->env.routes;

	pgsql_quote_regclass(b, routes_table_db(r, db, name), routes_target_table(r, db, name));
}

static enum rc
alter(struct pgsql_lane *l, const struct table *t, const struct buf *what, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_puts(&b, "ALTER TABLE ");
	pgsink_add_target(l, &b, t->db, t->name);
	buf_printf(&b, " %s", buf_text(what));
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

static enum rc
drop_columns(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	const struct table *after, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < before->ncolumns && rc == RC_OK; i++) {
		bool stays = false;
		struct buf b;

		for (uint32_t k = 0; k < after->ncolumns; k++)
			stays = stays || column_was(ch, before, after->columns[k].name) == i;
		if (stays || pgsink_column(l, before, i) == NULL)
			continue;
		buf_init(&b);
		buf_puts(&b, "DROP COLUMN IF EXISTS ");
		pgsql_quote_name(&b, pgsink_column(l, before, i));
		rc = alter(l, after, &b, e);
		buf_release(&b);
	}
	return rc;
}

static enum rc
unknown_rows(const struct table *t, const char *column, struct err *e)
{
	err_set(e, RC_CONFIG,
		"column \"%s\" was added to source table %s.%s with a value computed for each row: "
		"the log does not tell what its rows have",
		column, t->db, t->name);
	return err_remedy(e, "run `syncline reset` for this channel, which loads everything again");
}

/* Whether the target has the column, of that type (NULL: of any) already. */
static enum rc
has_column(struct pgsql_lane *l, const struct table *t, const char *column, const char *type,
	bool *has, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_literal(l, &b, t->db, t->name);
	buf_puts(&b, "::regclass AND NOT attisdropped AND attname = ");
	pgsql_quote_text(&b, column);
	if (type != NULL) {
		buf_puts(&b, " AND (format_type(atttypid, atttypmod) = ");
		pgsql_quote_text(&b, type);
		if (strchr(type, '(') == NULL) { /* it may have another name */
			buf_puts(&b, " OR atttypmod = -1 AND atttypid = to_regtype(");
			pgsql_quote_text(&b, type);
			buf_putc(&b, ')');
		}
		buf_putc(&b, ')');
	}
	rc = pgsql_exists(
		&l->c, has, e, "SELECT 1 FROM pg_attribute WHERE attrelid = %s", buf_text(&b));
	buf_release(&b);
	return rc;
}

static enum rc
rename_columns(struct pgsql_lane *l, const struct table_change *ch, const struct table *after,
	struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	enum rc rc = RC_OK;

	for (uint32_t k = 0; k < ch->ncolumns && rc == RC_OK; k++) {
		const struct column_change *c = &ch->columns[k];
		const char *from = routes_column(r, ch->db, ch->name, c->from),
			   *to = routes_column(r, ch->db, ch->name, c->to);
		bool has = false;
		struct buf b;

		if (*c->from == '\0' || from == NULL || to == NULL || strcmp(from, to) == 0)
			continue;
		/* That of a table from which it inherits may have taken it along. */
		rc = has_column(l, after, from, NULL, &has, e);
		if (rc != RC_OK || !has)
			continue;
		buf_init(&b);
		buf_puts(&b, "RENAME COLUMN ");
		pgsql_quote_name(&b, from);
		buf_puts(&b, " TO ");
		pgsql_quote_name(&b, to);
		rc = alter(l, after, &b, e);
		buf_release(&b);
	}
	return rc;
}

/* The rows that are there get what they got at the source, later ones come with their values. */
static enum rc
new_column(struct pgsql_lane *l, const struct table_change *ch, const struct table *after,
	uint32_t i, struct err *e)
{
	const struct column_change *c = column_change_to(ch, after->columns[i].name);
	const char *name = pgsink_column(l, after, i), *fill = c != NULL ? c->fill : NULL;
	struct column column = after->columns[i];
	struct buf b;
	bool there;
	enum rc rc;

	if (c != NULL && c->computed)
		return unknown_rows(after, after->columns[i].name, e);
	/* Made by hand, where existing tables are kept. */
	rc = has_column(l, after, name, NULL, &there, e);
	if (rc != RC_OK || there)
		return rc;
	buf_init(&b);
	buf_puts(&b, "ADD COLUMN ");
	/* A source of our own kind says itself by what it counts. */
	column.auto_increment = column.auto_increment && !l->sink->native;
	pgsink_define_column(l->sink, &b, &column, name);
	if (fill != NULL) {
		buf_puts(&b, " DEFAULT ");
		pgsql_quote_text(&b, fill);
	}
	rc = alter(l, after, &b, e);
	if (rc == RC_OK && fill != NULL) {
		buf_clear(&b);
		buf_puts(&b, "ALTER COLUMN ");
		pgsql_quote_name(&b, name);
		buf_puts(&b, " DROP DEFAULT");
		rc = alter(l, after, &b, e);
	}
	buf_release(&b);
	return rc;
}

/* An identity counts by none. */
static enum rc
has_default(
	struct pgsql_lane *l, const struct table *t, const char *column, bool *has, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_literal(l, &b, t->db, t->name);
	buf_puts(&b, "::regclass AND a.attname = ");
	pgsql_quote_text(&b, column);
	rc = pgsql_exists(&l->c, has, e,
		"SELECT 1 FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND "
		"a.attnum = d.adnum WHERE d.adrelid = %s",
		buf_text(&b));
	buf_release(&b);
	return rc;
}

/* Where rows come anew, any type can become any other: the source has computed the values. */
static enum rc
is_empty(struct pgsql_lane *l, const struct table *t, bool *empty, struct err *e)
{
	bool has = false;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_target(l, &b, t->db, t->name);
	rc = pgsql_exists(&l->c, &has, e, "SELECT 1 FROM %s LIMIT 1", buf_text(&b));
	*empty = !has;
	buf_release(&b);
	return rc;
}

static enum rc
change_column(struct pgsql_lane *l, const struct column *from, const struct table *after,
	uint32_t i, struct err *e)
{
	const struct column *to = &after->columns[i];
	struct buf b, old, new, name;
	bool has = true, empty = false, preset = false;
	enum rc rc = RC_OK;

	buf_init(&b);
	buf_init(&old);
	buf_init(&new);
	buf_init(&name);
	pgsink_column_type(l->sink, &old, from);
	pgsink_column_type(l->sink, &new, to);
	pgsql_quote_name(&name, pgsink_column(l, after, i));
	if (strcmp(buf_text(&old), buf_text(&new)) != 0)
		/* The type may have another name only. */
		rc = has_column(l, after, pgsink_column(l, after, i), buf_text(&new), &has, e);
	if (rc == RC_OK && !has)
		rc = is_empty(l, after, &empty, e);
	if (rc == RC_OK && empty)
		rc = has_default(l, after, pgsink_column(l, after, i), &preset, e);
	if (rc == RC_OK && !has) {
		if (preset)
			buf_printf(&b, "ALTER COLUMN %s DROP DEFAULT, ", buf_text(&name));
		buf_printf(&b, "ALTER COLUMN %s TYPE %s USING %s::%s", buf_text(&name),
			buf_text(&new), empty ? "NULL" : buf_text(&name), buf_text(&new));
		rc = alter(l, after, &b, e);
	}
	if (rc == RC_OK && from->nullable != to->nullable) {
		buf_clear(&b);
		buf_printf(&b, "ALTER COLUMN %s %s NOT NULL", buf_text(&name),
			to->nullable ? "DROP" : "SET");
		rc = alter(l, after, &b, e);
	}
	buf_release(&b);
	buf_release(&old);
	buf_release(&new);
	buf_release(&name);
	return rc;
}

static enum rc
change_columns(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	const struct table *after, struct err *e)
{
	enum rc rc = rename_columns(l, ch, after, e);

	if (rc == RC_OK)
		rc = drop_columns(l, ch, before, after, e);
	for (uint32_t i = 0; i < after->ncolumns && rc == RC_OK; i++) {
		uint32_t from = column_was(ch, before, after->columns[i].name);

		if (pgsink_column(l, after, i) == NULL)
			continue;
		rc = from == UINT32_MAX ? new_column(l, ch, after, i, e)
					: change_column(l, &before->columns[from], after, i, e);
	}
	return rc;
}

/* But for the name: same columns by their names after the change, same uniqueness. */
static bool
like_index(const struct table_change *ch, const struct table *before, const struct index *a,
	const struct table *after, const struct index *b)
{
	if (a->primary != b->primary || a->unique != b->unique || a->deferral != b->deferral ||
		a->nparts != b->nparts)
		return false;
	for (uint32_t p = 0; p < a->nparts; p++) {
		uint32_t c = b->parts[p].column;

		if (a->parts[p].prefix != b->parts[p].prefix ||
			(c == UINT32_MAX ? a->parts[p].column != UINT32_MAX
					 : column_was(ch, before, after->columns[c].name) !=
						   a->parts[p].column))
			return false;
	}
	return true;
}

static bool
same_index(const struct table_change *ch, const struct table *before, const struct index *a,
	const struct table *after, const struct index *b)
{
	return strcmp(a->name, b->name) == 0 && like_index(ch, before, a, after, b);
}

static bool
has_index(const struct table_change *ch, const struct table *before, const struct index *a,
	const struct table *after)
{
	for (uint32_t i = 0; i < after->nindexes; i++)
		if (same_index(ch, before, a, after, &after->indexes[i]))
			return true;
	return false;
}

static bool
had_index(const struct table_change *ch, const struct table *before, const struct table *after,
	const struct index *b)
{
	for (uint32_t i = 0; i < before->nindexes; i++)
		if (same_index(ch, before, &before->indexes[i], after, b))
			return true;
	return false;
}

/* By the name that the target gave it. */
static enum rc
drop_primary(struct pgsql_lane *l, const struct table *t, struct err *e)
{
	struct table_list list = {0};
	const struct routes *r = l->sink->env.routes;
	struct buf b;
	enum rc rc = pgsql_describe(&l->c, routes_table_db(r, t->db, t->name),
		routes_target_table(r, t->db, t->name), &list, e);

	buf_init(&b);
	for (uint32_t i = 0; rc == RC_OK && list.count == 1 && i < list.tables[0]->nindexes; i++)
		if (list.tables[0]->indexes[i].primary) {
			buf_puts(&b, "DROP CONSTRAINT ");
			pgsql_quote_name(&b, list.tables[0]->indexes[i].name);
			rc = alter(l, t, &b, e);
			break;
		}
	buf_release(&b);
	table_list_release(&list);
	return rc;
}

static void
add_index_name(
	const struct pgsql_lane *l, struct buf *b, const struct table *t, const struct index *ix)
{
	const struct routes *r = l->sink->env.routes;

	pgsql_quote_name(b, routes_table_db(r, t->db, t->name));
	buf_putc(b, '.');
	pgsink_index_name(l->sink, b, routes_target_table(r, t->db, t->name), ix);
}

/* A constraint's own goes with it. */
static enum rc
drop_index(struct pgsql_lane *l, const struct table *t, const struct index *ix, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	struct buf b;
	enum rc rc = RC_OK;

	buf_init(&b);
	if (ix->unique) {
		buf_puts(&b, "DROP CONSTRAINT IF EXISTS ");
		pgsink_index_name(l->sink, &b, routes_target_table(r, t->db, t->name), ix);
		rc = alter(l, t, &b, e);
		buf_clear(&b);
	}
	buf_puts(&b, "DROP INDEX IF EXISTS ");
	add_index_name(l, &b, t, ix);
	if (rc == RC_OK)
		rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

/* It may have been made in the source's words. */
static enum rc
has_primary(struct pgsql_lane *l, const struct table *t, bool *has, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_literal(l, &b, t->db, t->name);
	rc = pgsql_exists(&l->c, has, e,
		"SELECT 1 FROM pg_index WHERE indisprimary AND indrelid = %s::regclass",
		buf_text(&b));
	buf_release(&b);
	return rc;
}

static enum rc
new_index(struct pgsql_lane *l, const struct table *t, const struct index *ix, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	bool there = false;
	struct buf b;
	enum rc rc = RC_OK;

	if (!pgsink_can_be_indexed(l->sink, t, ix))
		return RC_OK;
	if (ix->primary)
		rc = has_primary(l, t, &there, e);
	if (rc != RC_OK || there)
		return rc;
	buf_init(&b);
	if (pgsink_is_primary(ix)) {
		pgsink_primary_key(l, &b, t, ix);
		rc = alter(l, t, &b, e);
	} else {
		pgsink_create_index(l, &b, t, ix, routes_table_db(r, t->db, t->name),
			routes_target_table(r, t->db, t->name));
		rc = pgsink_exec(l, buf_text(&b), e);
	}
	buf_release(&b);
	return rc;
}

/* One of that name may be there: a constraint that the source has made of the index. */
static enum rc
rename_index(struct pgsql_lane *l, const struct table *t, const struct index *from,
	const struct index *to, struct err *e)
{
	struct buf name, literal, b;
	bool there = false;
	enum rc rc;

	buf_init(&name);
	buf_init(&literal);
	buf_init(&b);
	add_index_name(l, &name, t, to);
	pgsql_quote_text(&literal, buf_text(&name));
	rc = pgsql_exists(&l->c, &there, e, "SELECT 1 FROM pg_class WHERE oid = to_regclass(%s)",
		buf_text(&literal));
	if (rc == RC_OK && there) {
		rc = drop_index(l, t, from, e);
	} else if (rc == RC_OK) {
		buf_puts(&b, "ALTER INDEX IF EXISTS ");
		add_index_name(l, &b, t, from);
		buf_puts(&b, " RENAME TO ");
		pgsink_index_name(
			l->sink, &b, routes_target_table(l->sink->env.routes, t->db, t->name), to);
		rc = pgsink_exec(l, buf_text(&b), e);
	}
	buf_release(&name);
	buf_release(&literal);
	buf_release(&b);
	return rc;
}

/* Those that have another name and are what they were, in both tables from here on. */
static enum rc
rename_indexes(struct pgsql_lane *l, const struct table_change *ch, struct table *before,
	const struct table *after, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < before->nindexes && rc == RC_OK; i++) {
		struct index *ix = &before->indexes[i];

		if (has_index(ch, before, ix, after))
			continue;
		for (uint32_t k = 0; k < after->nindexes && rc == RC_OK; k++) {
			const struct index *to = &after->indexes[k];

			if (had_index(ch, before, after, to) ||
				!like_index(ch, before, ix, after, to))
				continue;
			rc = rename_index(l, after, ix, to, e);
			free(ix->name);
			ix->name = xstrdup(to->name);
			break;
		}
	}
	return rc;
}

/* An index goes with its columns; what is not there any more needs no dropping. */
static enum rc
drop_indexes(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	const struct table *after, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < before->nindexes && rc == RC_OK; i++) {
		const struct index *ix = &before->indexes[i];

		if (has_index(ch, before, ix, after))
			continue;
		rc = pgsink_is_primary(ix) ? drop_primary(l, before, e)
					   : drop_index(l, before, ix, e);
	}
	return rc;
}

static enum rc
new_indexes(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	const struct table *after, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < after->nindexes && rc == RC_OK; i++)
		if (!had_index(ch, before, after, &after->indexes[i]))
			rc = new_index(l, after, &after->indexes[i], e);
	return rc;
}

static bool
same_fk(const struct table *t, const struct foreign_key *x, const struct table *u,
	const struct foreign_key *y)
{
	if (strcmp(x->name, y->name) != 0 || strcmp(x->ref_db, y->ref_db) != 0 ||
		strcmp(x->ref_table, y->ref_table) != 0 || x->ncolumns != y->ncolumns ||
		x->on_delete != y->on_delete || x->on_update != y->on_update ||
		strcmp(x->clause != NULL ? x->clause : "", y->clause != NULL ? y->clause : "") != 0)
		return false;
	for (uint32_t i = 0; i < x->ncolumns; i++)
		if (strcmp(x->ref_columns[i], y->ref_columns[i]) != 0 ||
			strcmp(t->columns[x->columns[i]].name, u->columns[y->columns[i]].name) != 0)
			return false;
	return true;
}

static bool
has_fk(const struct table *t, const struct table *of, const struct foreign_key *fk)
{
	for (uint32_t k = 0; k < t->nfks; k++)
		if (same_fk(t, &t->fks[k], of, fk))
			return true;
	return false;
}

enum rc
pgsink_lose_fks(
	struct pgsql_lane *l, const struct table *before, const struct table *after, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t k = 0; k < before->nfks && rc == RC_OK; k++) {
		struct buf b;

		if (has_fk(after, before, &before->fks[k]))
			continue;
		buf_init(&b);
		buf_puts(&b, "DROP CONSTRAINT IF EXISTS ");
		pgsql_quote_name(&b, before->fks[k].name);
		rc = alter(l, after, &b, e);
		buf_release(&b);
	}
	return rc;
}

enum rc
pgsink_gain_fks(
	struct pgsql_lane *l, const struct table *before, const struct table *after, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t k = 0; k < after->nfks && rc == RC_OK; k++)
		if (!has_fk(before, after, &after->fks[k]))
			rc = pgsink_make_fk(l, after, &after->fks[k], e);
	return rc;
}

static enum rc
change_parts(struct pgsql_lane *l, const struct table_change *ch, struct table *before,
	const struct table *after, struct err *e)
{
	enum rc rc = rename_indexes(l, ch, before, after, e);

	if (rc == RC_OK)
		rc = drop_indexes(l, ch, before, after, e);
	if (rc == RC_OK)
		rc = change_columns(l, ch, before, after, e);
	return rc == RC_OK ? new_indexes(l, ch, before, after, e) : rc;
}

enum rc
pgsink_alter_table(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	const struct table *after, struct err *e)
{
	struct pgsql_shape from = {0}, to = {0};
	enum rc rc = pgsink_shape(l->sink, before, &from, e);

	if (rc == RC_OK)
		rc = pgsink_shape(l->sink, after, &to, e);
	if (rc == RC_OK)
		rc = change_parts(l, ch, from.table, to.table, e);
	pgsink_shape_release(&from);
	pgsink_shape_release(&to);
	return rc;
}
