/*
 * foreign_change.c - what a statement has made of a table of a source that speaks another
 * language, as a statement of MySQL's; see sink.h of the room.
 */
#include "common/compat.h"

#include <string.h>

#include "common/mysql/quote.h"
#include "workers/writer/mysql/foreign.h"

static bool
same_definition(const struct losses *l, const struct table *a, uint32_t i, const struct table *b,
	uint32_t k)
{
	struct buf x, y;
	bool same;

	buf_init(&x);
	buf_init(&y);
	foreign_add_column(l, &x, a, i);
	foreign_add_column(l, &y, b, k);
	same = strcmp(buf_text(&x), buf_text(&y)) == 0;
	buf_release(&x);
	buf_release(&y);
	return same;
}

/* A constant as the source prints it, in UTC, as one of ours. */
static void
add_literal(struct mysql_lane *lane, struct buf *b, const struct column *col, const char *text)
{
	size_t n = strlen(text);

	if (foreign_is(col, "boolean"))
		buf_puts(b, *text == 't' ? "1" : "0");
	else if (col->type == TYPE_BIT && strspn(text, "01") == n)
		buf_printf(b, "b'%s'", text);
	else if (col->type == TYPE_BINARY && n >= 2 &&
		 strspn(text + 2, "0123456789abcdef") == n - 2)
		buf_printf(b, "X'%s'", text + 2);
	else if (col->type == TYPE_TIMESTAMP && n > 3 && strcmp(text + n - 3, "+00") == 0)
		client_quote(&lane->c, b, text, n - 3);
	else
		client_quote(&lane->c, b, text, n);
}

/* Types whose defaults are expressions, where a server knows such. */
static bool
is_large(const struct losses *l, const struct table *t, uint32_t i)
{
	struct buf type;
	bool is;

	buf_init(&type);
	foreign_add_type(l, &type, &t->columns[i], foreign_is_indexed(t, i));
	is = strncmp(buf_text(&type), "LONG", 4) == 0 || strcmp(buf_text(&type), "JSON") == 0;
	buf_release(&type);
	return is;
}

static bool
knows_expressions(const struct server *s)
{
	return s->version >= (s->mariadb ? 100201u : 80013u);
}

/* What a table was and is. */
struct change_of {
	const struct table_change *ch;
	const struct table *before, *after;
};

static void
quote_target(const struct mysql_lane *l, struct buf *b, const struct table_change *ch)
{
	const struct routes *routes = l->sink->env.routes;

	mysql_quote_table(b, routes_table_db(routes, ch->db, ch->name),
		routes_target_table(routes, ch->db, ch->name));
}

/*
 * A server that knows no default for the column's type: it comes without, gets what its rows
 * have, and then is what it should be. All of it may be done twice.
 */
static enum rc
fill(struct mysql_lane *l, const struct change_of *t, uint32_t i, const char *text, struct err *e)
{
	const struct column *col = &t->after->columns[i];
	const char *name = routes_column(l->sink->env.routes, t->ch->db, t->ch->name, col->name),
		   *collation;
	struct buf b, type;
	bool has;
	enum rc rc;

	if (name == NULL)
		return RC_OK;
	buf_init(&b);
	buf_init(&type);
	foreign_add_type(&l->sink->env.losses, &type, col, foreign_is_indexed(t->after, i));
	collation = strstr(buf_text(&type), " COLLATE");
	rc = lane_has(l, HAS_COLUMN, t->ch->db, t->ch->name, name, &has, e);
	if (rc == RC_OK && !has) {
		buf_puts(&b, "ALTER TABLE ");
		quote_target(l, &b, t->ch);
		buf_puts(&b, " ADD COLUMN ");
		mysql_quote_name(&b, name);
		rc = client_run(&l->c, e, "%s %.*s NULL", buf_text(&b),
			collation != NULL ? (int)(collation - buf_text(&type)) : (int)type.len,
			buf_text(&type));
	}
	if (rc == RC_OK) {
		buf_clear(&b);
		buf_puts(&b, "UPDATE ");
		quote_target(l, &b, t->ch);
		buf_puts(&b, " SET ");
		mysql_quote_name(&b, name);
		buf_puts(&b, " = ");
		add_literal(l, &b, col, text);
		rc = lane_exec(l, &b, e);
	}
	buf_release(&b);
	buf_release(&type);
	return rc;
}

static void
begin_clause(struct buf *b, const char *what, const char *column, const char **comma)
{
	buf_printf(b, "%s%s COLUMN ", *comma, what);
	*comma = ", ";
	if (column != NULL) {
		mysql_quote_name(b, column);
		buf_putc(b, ' ');
	}
}

static enum rc
new_column(struct mysql_lane *l, struct buf *b, const struct change_of *t, uint32_t i,
	const struct column_change *c, const char **comma, struct err *e)
{
	const struct column *col = &t->after->columns[i];
	bool filled = c != NULL && c->fill != NULL,
	     large = filled && is_large(&l->sink->env.losses, t->after, i);
	enum rc rc = RC_OK;

	if (c != NULL && c->computed) {
		err_set(e, RC_CONFIG,
			"column \"%s\" was added to source table %s.%s with a value computed for "
			"each row: the log does not tell what its rows have",
			col->name, t->after->db, t->after->name);
		return err_remedy(e, "run `syncline reset` for this channel, which loads "
				     "everything again");
	}
	if (large && !knows_expressions(&l->c.server)) {
		rc = fill(l, t, i, c->fill, e);
		begin_clause(b, "CHANGE", col->name, comma);
		foreign_add_column(&l->sink->env.losses, b, t->after, i);
		return rc;
	}
	begin_clause(b, "ADD", NULL, comma);
	foreign_add_column(&l->sink->env.losses, b, t->after, i);
	if (filled) {
		buf_puts(b, large ? " DEFAULT (" : " DEFAULT ");
		add_literal(l, b, col, c->fill);
		buf_puts(b, large ? ")" : "");
	}
	return rc;
}

static enum rc
change_column(struct mysql_lane *l, struct buf *b, const struct change_of *t, uint32_t i,
	const char **comma, struct err *e)
{
	const struct losses *losses = &l->sink->env.losses;
	const struct column_change *c = column_change_to(t->ch, t->after->columns[i].name);
	uint32_t from = column_was(t->ch, t->before, t->after->columns[i].name);

	if (from == UINT32_MAX)
		return new_column(l, b, t, i, c, comma, e);
	if (same_definition(losses, t->before, from, t->after, i))
		return RC_OK;
	begin_clause(b, "CHANGE", t->before->columns[from].name, comma);
	foreign_add_column(losses, b, t->after, i);
	return RC_OK;
}

static void
drop_column(struct buf *b, const struct change_of *t, uint32_t i, const char **comma)
{
	for (uint32_t k = 0; k < t->after->ncolumns; k++)
		if (column_was(t->ch, t->before, t->after->columns[k].name) == i)
			return;
	begin_clause(b, "DROP", t->before->columns[i].name, comma);
}

/* The same index, of columns that may have other names now. */
static bool
same_index(const struct change_of *t, const struct index *was, const struct index *is)
{
	if (!foreign_has_like(was) || !foreign_has_like(is) || was->nparts != is->nparts ||
		foreign_is_unique(was) != foreign_is_unique(is) ||
		foreign_is_primary(was) != foreign_is_primary(is) ||
		(!foreign_is_primary(is) && strcmp(was->name, is->name) != 0))
		return false;
	for (uint32_t p = 0; p < is->nparts; p++)
		if (column_was(t->ch, t->before, t->after->columns[is->parts[p].column].name) !=
			was->parts[p].column)
			return false;
	return true;
}

static enum rc
drop_index(struct mysql_lane *l, struct buf *b, const struct change_of *t, const struct index *ix,
	const char **comma, struct err *e)
{
	bool has = false;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < t->after->nindexes; i++)
		if (same_index(t, ix, &t->after->indexes[i]))
			return RC_OK;
	/* Not all that it could have were made. */
	if (foreign_has_like(ix))
		rc = lane_has(l, HAS_INDEX, t->ch->db, t->ch->name,
			foreign_is_primary(ix) ? "PRIMARY" : ix->name, &has, e);
	if (!has)
		return rc;
	buf_printf(b, "%sDROP %sKEY ", *comma, foreign_is_primary(ix) ? "PRIMARY " : "");
	if (!foreign_is_primary(ix))
		mysql_quote_name(b, ix->name);
	*comma = ", ";
	return RC_OK;
}

static void
make_index(struct buf *b, const struct change_of *t, const struct index *ix, const char **comma)
{
	for (uint32_t i = 0; i < t->before->nindexes; i++)
		if (same_index(t, &t->before->indexes[i], ix))
			return;
	if (!foreign_has_like(ix))
		return;
	buf_printf(b, "%sADD ", *comma);
	foreign_add_index(b, t->after, ix);
	*comma = ", ";
}

/* An index that waits for its table's rows is made first, or it would outlive its end. */
static enum rc
change_table(struct mysql_lane *l, struct buf *b, const struct change_of *t, struct err *e)
{
	const char *comma = " ";
	size_t start = b->len;
	bool made;
	enum rc rc = later_make(l, t->ch->db, t->ch->name, &made, e);

	buf_puts(b, "ALTER TABLE ");
	mysql_quote_table(b, t->ch->db, t->ch->name);
	for (uint32_t i = 0; i < t->before->nindexes && rc == RC_OK; i++)
		rc = drop_index(l, b, t, &t->before->indexes[i], &comma, e);
	for (uint32_t i = 0; i < t->before->ncolumns; i++)
		drop_column(b, t, i, &comma);
	for (uint32_t i = 0; i < t->after->ncolumns && rc == RC_OK; i++)
		rc = change_column(l, b, t, i, &comma, e);
	for (uint32_t i = 0; i < t->after->nindexes; i++)
		make_index(b, t, &t->after->indexes[i], &comma);
	if (*comma == ' ') {
		b->len = start;
		buf_puts(b, "");
	}
	return rc;
}

enum rc
foreign_change(struct mysql_lane *lane, const struct table_change *ch, struct buf *b, struct err *e)
{
	struct table *before = NULL, *after = NULL;
	struct cursor c;
	enum rc rc = RC_OK;

	cursor_init(&c, ch->before, ch->before_len);
	if (ch->before_len != 0)
		rc = table_decode(&c, &before, e);
	cursor_init(&c, ch->after, ch->after_len);
	if (rc == RC_OK && ch->after_len != 0)
		rc = table_decode(&c, &after, e);
	if (rc == RC_OK && ch->effect == DDL_CHANGED && before != NULL && after != NULL)
		rc = change_table(lane, b, &(struct change_of){ch, before, after}, e);
	if (rc == RC_OK && ch->effect == DDL_CREATED && after != NULL)
		foreign_create(&lane->sink->env.losses, after, b);
	if (ch->effect == DDL_TRUNCATED || ch->effect == DDL_DROPPED) {
		buf_puts(b, ch->effect == DDL_DROPPED ? "DROP TABLE " : "TRUNCATE TABLE ");
		mysql_quote_table(b, ch->db, ch->name);
	}
	if (ch->effect == DDL_RENAMED) {
		buf_puts(b, "RENAME TABLE ");
		mysql_quote_table(b, ch->db, ch->name);
		buf_puts(b, " TO ");
		mysql_quote_table(b, ch->to_db, ch->to_name);
	}
	table_free(before);
	table_free(after);
	return rc;
}
