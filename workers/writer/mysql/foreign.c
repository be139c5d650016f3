/*
 * foreign.c - tables and changes of a source that speaks another language, as statements of
 * MySQL's; see sink.h of the room.
 *
 * The statements name what the source names: the ordinary way of a statement
 * (ddl.c) maps names, leaves columns out and keeps its note.
 *
 * Exact: text is utf8mb4 and compared by its bytes, a moment in time is a
 * DATETIME in UTC, JSON is text (the server would write its numbers anew).
 * What cannot be held - infinity, a text too long for an index - is refused by value.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

#define MAX_DIGITS 65u
#define MAX_SCALE 30u
#define MAX_BITS 64u
#define VARCHAR_MAX 16000u
/* A column of an index must have a length; of this one four fit into a key. */
#define INDEXED_LENGTH 190u
/* By bytes, blanks at the end among them; session.c knows what it is called here. */
#define BINARY_TEXT " CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"

static bool
is_native(const struct column *c, const char *name)
{
	return c->native != NULL && strcmp(c->native, name) == 0;
}

static bool
is_indexed(const struct table *t, uint32_t column)
{
	for (uint32_t i = 0; i < t->nindexes; i++)
		for (uint32_t p = 0; p < t->indexes[i].nparts; p++)
			if (t->indexes[i].parts[p].column == column)
				return true;
	return false;
}

static void
add_text_type(struct buf *b, const struct column *c, bool indexed)
{
	if (is_native(c, "uuid"))
		buf_puts(b, "CHAR(36)");
	else if (c->length != 0 && c->length <= VARCHAR_MAX)
		buf_printf(b, "VARCHAR(%u)", c->length);
	else if (indexed)
		buf_printf(b, "VARCHAR(%u)", INDEXED_LENGTH);
	else
		buf_puts(b, "LONGTEXT");
	buf_puts(b, BINARY_TEXT);
}

static void
add_integer_type(struct buf *b, const struct column *c)
{
	if (is_native(c, "boolean"))
		buf_puts(b, "TINYINT(1)");
	else if (is_native(c, "smallint"))
		buf_puts(b, "SMALLINT");
	else
		buf_puts(b, is_native(c, "integer") ? "INT" : "BIGINT");
}

/* Of more digits than a DECIMAL has, or of as many as each value has. */
static bool
is_numeric(const struct column *c)
{
	return c->native != NULL && strncmp(c->native, "numeric", 7) == 0 &&
	       strchr(c->native, '[') == NULL &&
	       (c->type == TYPE_TEXT || c->precision > MAX_DIGITS || c->scale > MAX_SCALE);
}

static void
add_type(const struct losses *l, struct buf *b, const struct column *c, bool indexed)
{
	if (l->accepted[LOSS_DIGITS] && is_numeric(c)) {
		buf_printf(b, "DECIMAL(%u,%u)", MAX_DIGITS, MAX_SCALE);
		return;
	}
	switch (c->type) {
	case TYPE_INTEGER:
	case TYPE_YEAR:
		add_integer_type(b, c);
		break;
	case TYPE_FLOAT:
		buf_puts(b, "FLOAT");
		break;
	case TYPE_DOUBLE:
		buf_puts(b, "DOUBLE");
		break;
	case TYPE_DECIMAL:
		if (c->precision <= MAX_DIGITS && c->scale <= MAX_SCALE)
			buf_printf(b, "DECIMAL(%u,%u)", c->precision, c->scale);
		else
			add_text_type(b, c, indexed);
		break;
	case TYPE_DATE:
		buf_puts(b, "DATE");
		break;
	case TYPE_TIME:
		buf_printf(b, "TIME(%u)", c->scale);
		break;
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		buf_printf(b, "DATETIME(%u)", c->scale);
		break;
	case TYPE_BIT:
		if (c->length <= MAX_BITS)
			buf_printf(b, "BIT(%u)", c->length);
		else
			buf_puts(b, "LONGBLOB");
		break;
	case TYPE_BINARY:
	case TYPE_GEOMETRY:
		if (indexed)
			buf_printf(b, "VARBINARY(%u)", INDEXED_LENGTH * 4);
		else
			buf_puts(b, "LONGBLOB");
		break;
	case TYPE_JSON:
		buf_puts(b, l->accepted[LOSS_JSON] ? "JSON" : "LONGTEXT" BINARY_TEXT);
		break;
	case TYPE_TEXT:
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_COUNT:
	default:
		add_text_type(b, c, indexed);
		break;
	}
}

static void
add_column(const struct losses *l, struct buf *b, const struct table *t, uint32_t i)
{
	mysql_quote_name(b, t->columns[i].name);
	buf_putc(b, ' ');
	add_type(l, b, &t->columns[i], is_indexed(t, i));
	buf_puts(
		b, t->columns[i].nullable || (loss_nullable(l, &t->columns[i]) && !is_indexed(t, i))
			   ? " NULL"
			   : " NOT NULL");
}

/* What an index over some of the rows or over an expression keeps unique cannot be said here. */
static bool
has_like(const struct index *ix)
{
	for (uint32_t p = 0; p < ix->nparts; p++)
		if (ix->parts[p].column == UINT32_MAX)
			return false;
	return ix->nparts != 0 && !ix->nulls_equal;
}

/* What the source checks at the end of a transaction would be refused here amid it. */
static bool
is_unique(const struct index *ix)
{
	return ix->unique && ix->deferral == DEFERRAL_NONE;
}

static bool
is_primary(const struct index *ix)
{
	return is_unique(ix) && ix->primary;
}

static void
add_index(struct buf *b, const struct table *t, const struct index *ix)
{
	buf_puts(b, is_primary(ix) ? "PRIMARY KEY (" : is_unique(ix) ? "UNIQUE KEY " : "KEY ");
	if (!is_primary(ix)) {
		mysql_quote_name(b, ix->name);
		buf_puts(b, " (");
	}
	for (uint32_t p = 0; p < ix->nparts; p++) {
		buf_puts(b, p != 0 ? ", " : "");
		mysql_quote_name(b, t->columns[ix->parts[p].column].name);
	}
	buf_putc(b, ')');
}

void
foreign_create(const struct losses *l, const struct table *t, struct buf *b)
{
	buf_puts(b, "CREATE TABLE ");
	mysql_quote_table(b, t->db, t->name);
	buf_puts(b, " (");
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		buf_puts(b, i != 0 ? ", " : "");
		add_column(l, b, t, i);
	}
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (has_like(&t->indexes[i])) {
			buf_puts(b, ", ");
			add_index(b, t, &t->indexes[i]);
		}
	buf_puts(b, ") ENGINE=InnoDB" BINARY_TEXT);
}

/* ---- changes ---- */

static bool
same_definition(const struct losses *l, const struct table *a, uint32_t i, const struct table *b,
	uint32_t k)
{
	struct buf x, y;
	bool same;

	buf_init(&x);
	buf_init(&y);
	add_column(l, &x, a, i);
	add_column(l, &y, b, k);
	same = strcmp(buf_text(&x), buf_text(&y)) == 0;
	buf_release(&x);
	buf_release(&y);
	return same;
}

/* Whether a constant as the source prints it is one here, too. */
static bool
is_literal(const struct column_change *c, const struct column *col)
{
	return c->fill == NULL || col->type == TYPE_DECIMAL || col->type == TYPE_TEXT ||
	       col->type == TYPE_DATE || col->type == TYPE_DATETIME || col->type == TYPE_TIME ||
	       col->type == TYPE_FLOAT || col->type == TYPE_DOUBLE ||
	       (col->type == TYPE_INTEGER && !is_native(col, "boolean"));
}

static enum rc
change_column(struct mysql_lane *lane, struct buf *b, const struct table_change *ch,
	const struct table *before, const struct table *after, uint32_t i, const char **comma,
	struct err *e)
{
	const struct losses *l = &lane->sink->env.losses;
	const struct column_change *c = column_change_to(ch, after->columns[i].name);
	uint32_t from = column_was(ch, before, after->columns[i].name);

	if (from == UINT32_MAX && c != NULL &&
		(c->computed || !is_literal(c, &after->columns[i]))) {
		err_set(e, RC_CONFIG,
			"column \"%s\" was added to source table %s.%s with a value computed for "
			"each row: the log does not tell what its rows have",
			after->columns[i].name, after->db, after->name);
		return err_remedy(e, "run `syncline reset` for this channel, which loads "
				     "everything again");
	}
	if (from != UINT32_MAX && same_definition(l, before, from, after, i))
		return RC_OK;
	buf_puts(b, *comma);
	*comma = ", ";
	if (from == UINT32_MAX) {
		buf_puts(b, "ADD COLUMN ");
	} else {
		buf_puts(b, "CHANGE COLUMN ");
		mysql_quote_name(b, before->columns[from].name);
		buf_putc(b, ' ');
	}
	add_column(l, b, after, i);
	if (from == UINT32_MAX && c != NULL && c->fill != NULL) {
		buf_puts(b, " DEFAULT ");
		client_quote(&lane->c, b, c->fill, strlen(c->fill));
	}
	return RC_OK;
}

static void
drop_column(struct buf *b, const struct table_change *ch, const struct table *before, uint32_t i,
	const struct table *after, const char **comma)
{
	for (uint32_t k = 0; k < after->ncolumns; k++)
		if (column_was(ch, before, after->columns[k].name) == i)
			return;
	buf_printf(b, "%sDROP COLUMN ", *comma);
	mysql_quote_name(b, before->columns[i].name);
	*comma = ", ";
}

/* What a table was and is. */
struct change_of {
	const struct table_change *ch;
	const struct table *before, *after;
};

/* The same index, of columns that may have other names now. */
static bool
same_index(const struct change_of *t, const struct index *was, const struct index *is)
{
	if (!has_like(was) || !has_like(is) || was->nparts != is->nparts ||
		is_unique(was) != is_unique(is) || is_primary(was) != is_primary(is) ||
		(!is_primary(is) && strcmp(was->name, is->name) != 0))
		return false;
	for (uint32_t p = 0; p < is->nparts; p++)
		if (column_was(t->ch, t->before, t->after->columns[is->parts[p].column].name) !=
			was->parts[p].column)
			return false;
	return true;
}

/* Whether the target's table has an index of that name: not all that it could have were made. */
static enum rc
has_index(struct mysql_lane *l, const struct table_change *ch, const struct index *ix, bool *has,
	struct err *e)
{
	const struct routes *routes = l->sink->env.routes;
	const char *const values[] = {routes_table_db(routes, ch->db, ch->name),
		routes_target_table(routes, ch->db, ch->name),
		is_primary(ix) ? "PRIMARY" : ix->name};
	char *one = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		buf_puts(&b, i != 0 ? ", " : "");
		client_quote(&l->c, &b, values[i], strlen(values[i]));
	}
	rc = client_value(&l->c, &one, e,
		"SELECT 1 FROM information_schema.STATISTICS WHERE (TABLE_SCHEMA, TABLE_NAME, "
		"INDEX_NAME) = (%s) LIMIT 1",
		buf_text(&b));
	*has = one != NULL;
	free(one);
	buf_release(&b);
	return rc;
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
	if (has_like(ix))
		rc = has_index(l, t->ch, ix, &has, e);
	if (!has)
		return rc;
	buf_printf(b, "%sDROP %sKEY ", *comma, is_primary(ix) ? "PRIMARY " : "");
	if (!is_primary(ix))
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
	if (!has_like(ix))
		return;
	buf_printf(b, "%sADD ", *comma);
	add_index(b, t->after, ix);
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
		drop_column(b, t->ch, t->before, i, t->after, &comma);
	for (uint32_t i = 0; i < t->after->ncolumns && rc == RC_OK; i++)
		rc = change_column(l, b, t->ch, t->before, t->after, i, &comma, e);
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
