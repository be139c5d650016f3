/* statement_text.c - what prepared statements of row changes say; see sink.h of the room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mysql/charset.h"
#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

static bool
same_charset(const struct column *s, const struct column *t)
{
	/* utf8 is utf8mb3 elsewhere. */
	return s->charset != NULL && t->charset != NULL &&
	       (strcmp(s->charset, t->charset) == 0 ||
		       (charset_find(s->charset) != NULL &&
			       charset_find(s->charset) == charset_find(t->charset)));
}

/* A parameter for a new value: bytes go in as they are where the column holds the same character
 * set. */
static void
add_value(struct buf *b, const struct column *s, const struct column *t)
{
	if (s->type == TYPE_JSON || (s->type == TYPE_TEXT && t->type == TYPE_JSON))
		buf_puts(b, "CONVERT(? USING utf8mb4)");
	else if (s->type == TYPE_TEXT && !same_charset(s, t) && t->charset != NULL)
		buf_printf(b, "CONVERT(? USING %s)", s->charset);
	else
		buf_puts(b, "?");
}

/* Not a bare parameter: MySQL would take CAST(? AS TIME) of '100:00:00' as 0. */
#define DIGITS "CONVERT(? USING latin1)"

/* A cast of seconds with their fraction; servers before 5.6 know no fraction. */
static void
add_cast(struct buf *b, const char *type, uint32_t fraction)
{
	if (fraction == 0)
		buf_printf(b, "CAST(" DIGITS " AS %s)", type);
	else
		buf_printf(b, "CAST(" DIGITS " AS %s(%u))", type, fraction);
}

/* Servers compare a SET as a signed number, its 64th member and all. */
bool
statement_unsigned(const struct column *c)
{
	return c->is_unsigned && c->type != TYPE_SET;
}

/* A parameter that is compared with a key column, so that the index can be used and equality is the
 * column's own. */
static void
add_key_value(struct buf *b, const struct column *s, const struct column *t)
{
	switch (s->type) {
	case TYPE_TEXT:
		buf_printf(b, "CONVERT(? USING %s)", s->charset);
		if (t->collation != NULL && same_charset(s, t))
			buf_printf(b, " COLLATE %s", t->collation);
		break;
	case TYPE_DECIMAL:
		buf_printf(b, "CAST(? AS DECIMAL(%u,%u))", t->precision, t->scale);
		break;
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		add_cast(b, "DATETIME", t->scale);
		break;
	case TYPE_TIME:
		add_cast(b, "TIME", t->scale);
		break;
	case TYPE_DATE:
		buf_puts(b, "CAST(" DIGITS " AS DATE)");
		break;
	case TYPE_BIT: /* is a number when compared, where bytes would be digits */
		buf_puts(b, "CAST(CONV(HEX(?), 16, 10) AS UNSIGNED)");
		break;
	case TYPE_INTEGER:
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
	case TYPE_YEAR:
	case TYPE_BINARY:
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		buf_puts(b, "?");
		break;
	}
}

/* Byte-exact, for rows without a key: equality under a collation would find too many. */
static void
add_exact(struct buf *b, const struct column *t)
{
	switch (t->type) {
	case TYPE_INTEGER:
	case TYPE_YEAR:
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
		mysql_quote_name(b, t->name);
		buf_puts(b, " <=> ?");
		break;
	case TYPE_ENUM:
	case TYPE_SET:
		mysql_quote_name(b, t->name);
		buf_puts(b, "+0 <=> ?");
		break;
	case TYPE_JSON: /* as this server reads and writes it, which may not be to the last digit */
		buf_puts(b, "CAST(CAST(");
		mysql_quote_name(b, t->name);
		buf_puts(b, " AS CHAR) AS BINARY) <=> CAST(CAST(CAST(CONVERT(? USING utf8mb4) AS "
			    "JSON) AS CHAR) AS BINARY)");
		break;
	case TYPE_DECIMAL: /* not as text: ZEROFILL shows other digits */
		mysql_quote_name(b, t->name);
		buf_printf(b, " <=> CAST(? AS DECIMAL(%u,%u))", t->precision, t->scale);
		break;
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
	case TYPE_TEXT:
	case TYPE_BINARY:
	case TYPE_BIT:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		buf_puts(b, "CAST(");
		mysql_quote_name(b, t->name);
		buf_puts(b, " AS BINARY) <=> ?");
		break;
	}
}

static const struct column *
target_column(const struct target *t, uint32_t i)
{
	return &t->table->columns[t->map[i]];
}

static bool
is_carried(const struct target *t, const struct row *r, uint32_t i)
{
	return t->map[i] != UINT32_MAX && !target_column(t, i)->generated &&
	       r->col[i].kind != VALUE_ABSENT && r->col[i].kind != VALUE_UNCHANGED;
}

static bool
is_of_key(const struct target *t, uint32_t i)
{
	for (uint32_t p = 0; t->key != NULL && p < t->key->nparts; p++)
		if (t->map[i] == t->key->parts[p].column)
			return true;
	return false;
}

/* A server that is told to set the columns it searches by first collects all rows and then changes
 * them: a key that stays is not set, unless there is nothing else. */
static void
list_after(struct statement *s, const struct change *c)
{
	const struct target *t = c->target;
	bool keep_key = s->form == FORM_UPDATE && (c->shape & SHAPE_KEY_MOVES) == 0;

	s->after = xcalloc(t->source->ncolumns, sizeof *s->after);
	for (uint32_t i = 0; i < t->source->ncolumns; i++)
		if (is_carried(t, &c->after, i) && !(keep_key && is_of_key(t, i)))
			s->after[s->nafter++] = i;
	for (uint32_t i = 0; s->nafter == 0 && i < t->source->ncolumns; i++)
		if (is_carried(t, &c->after, i))
			s->after[s->nafter++] = i;
}

/* The key's columns, or for a keyless table every column that the image has. */
static void
list_before(struct statement *s, const struct change *c)
{
	const struct target *t = c->target;

	s->before = xcalloc(t->source->ncolumns, sizeof *s->before);
	for (uint32_t p = 0; t->key != NULL && p < t->key->nparts; p++)
		for (uint32_t i = 0; i < t->source->ncolumns; i++)
			if (t->map[i] == t->key->parts[p].column)
				s->before[s->nbefore++] = i;
	for (uint32_t i = 0; t->key == NULL && i < t->source->ncolumns; i++)
		if (is_carried(t, &c->before, i))
			s->before[s->nbefore++] = i;
}

/* One row, by its key, or by all of its columns. */
static void
add_match(struct buf *b, const struct statement *s)
{
	const struct target *t = s->target;

	for (uint32_t k = 0; k < s->nbefore; k++) {
		const struct column *source = &t->source->columns[s->before[k]],
				    *target = target_column(t, s->before[k]);

		if (k != 0)
			buf_puts(b, " AND ");
		if (t->key == NULL) {
			add_exact(b, target);
			continue;
		}
		mysql_quote_name(b, target->name);
		buf_puts(b, " = ");
		add_key_value(b, source, target);
	}
	if (t->key == NULL)
		buf_puts(b, " LIMIT 1");
}

/* k IN (?, ?), or (k1 = ? AND k2 = ?) OR (k1 = ? AND k2 = ?). */
static void
add_matches(struct buf *b, const struct statement *s)
{
	const struct target *t = s->target;

	if (s->nbefore == 1) {
		mysql_quote_name(b, target_column(t, s->before[0])->name);
		buf_puts(b, " IN (");
	}
	for (uint32_t r = 0; r < s->rows; r++) {
		if (s->nbefore == 1) {
			buf_puts(b, r != 0 ? ", " : "");
			add_key_value(b, &t->source->columns[s->before[0]],
				target_column(t, s->before[0]));
		} else {
			buf_puts(b, r != 0 ? " OR (" : "(");
			add_match(b, s);
			buf_putc(b, ')');
		}
	}
	if (s->nbefore == 1)
		buf_putc(b, ')');
}

/*
 * Many keys, each looked up: the index is forced, which only this form of
 * DELETE takes, since a scan would wait for rows that other lanes have locked.
 */
static void
delete_text(struct buf *b, const struct statement *s)
{
	const struct target *t = s->target;

	buf_puts(b, "DELETE FROM ");
	mysql_quote_table(b, t->db, t->name);
	if (s->rows == 1) {
		buf_puts(b, " WHERE ");
		add_match(b, s);
		return;
	}
	buf_puts(b, " USING ");
	mysql_quote_table(b, t->db, t->name);
	buf_puts(b, " FORCE INDEX (");
	mysql_quote_name(b, t->key->name);
	buf_puts(b, ") WHERE ");
	add_matches(b, s);
}

static void
add_tuple(struct buf *b, const struct statement *s)
{
	buf_putc(b, '(');
	for (uint32_t k = 0; k < s->nafter; k++) {
		if (k != 0)
			buf_puts(b, ", ");
		add_value(b, &s->target->source->columns[s->after[k]],
			target_column(s->target, s->after[k]));
	}
	buf_putc(b, ')');
}

static void
insert_text(struct buf *b, const struct statement *s)
{
	buf_puts(b, s->form == FORM_INSERT_IGNORE ? "INSERT IGNORE INTO " : "INSERT INTO ");
	mysql_quote_table(b, s->target->db, s->target->name);
	buf_puts(b, " (");
	for (uint32_t k = 0; k < s->nafter; k++) {
		if (k != 0)
			buf_puts(b, ", ");
		mysql_quote_name(b, target_column(s->target, s->after[k])->name);
	}
	buf_puts(b, ") VALUES ");
	for (uint32_t r = 0; r < s->rows; r++) {
		if (r != 0)
			buf_puts(b, ", ");
		add_tuple(b, s);
	}
}

static void
update_text(struct buf *b, const struct statement *s)
{
	buf_puts(b, "UPDATE ");
	mysql_quote_table(b, s->target->db, s->target->name);
	buf_puts(b, " SET ");
	for (uint32_t k = 0; k < s->nafter; k++) {
		if (k != 0)
			buf_puts(b, ", ");
		mysql_quote_name(b, target_column(s->target, s->after[k])->name);
		buf_puts(b, " = ");
		add_value(b, &s->target->source->columns[s->after[k]],
			target_column(s->target, s->after[k]));
	}
	buf_puts(b, " WHERE ");
	add_match(b, s);
}

/* Which of the changes a row is for, from 1 on. */
static void
add_which(struct buf *b, const struct statement *s)
{
	buf_puts(b, "@syncline_row := CASE");
	for (uint32_t r = 1; r <= s->rows; r++) {
		buf_puts(b, " WHEN ");
		add_match(b, s);
		buf_printf(b, " THEN %u", r);
	}
	buf_puts(b, " END");
}

/*
 * SET a = ELT(@row := CASE WHEN k = ? THEN 1 WHEN k = ? THEN 2 END, ?, ?), b = ELT(@row, ?, ?)
 * WHERE k IN (?, ?): assignments are done from left to right. ELT gives text,
 * which would be a label, or a year of two digits, where a number was meant.
 */
static void
update_many_text(struct buf *b, const struct statement *s)
{
	const struct target *t = s->target;

	buf_puts(b, "UPDATE ");
	mysql_quote_table(b, t->db, t->name);
	buf_puts(b, " FORCE INDEX (");
	mysql_quote_name(b, t->key->name);
	buf_puts(b, ") SET ");
	for (uint32_t k = 0; k < s->nafter; k++) {
		const struct column *source = &t->source->columns[s->after[k]],
				    *target = target_column(t, s->after[k]);
		bool number = type_layout(source->type) == LAYOUT_I64;

		if (k != 0)
			buf_puts(b, ", ");
		mysql_quote_name(b, target->name);
		buf_puts(b, number ? " = CAST(ELT(" : " = ELT(");
		if (k == 0)
			add_which(b, s);
		else
			buf_puts(b, "@syncline_row");
		for (uint32_t r = 0; r < s->rows; r++) {
			buf_puts(b, ", ");
			add_value(b, source, target);
		}
		if (number)
			buf_printf(
				b, ") AS %s", statement_unsigned(source) ? "UNSIGNED" : "SIGNED");
		buf_putc(b, ')');
	}
	buf_puts(b, " WHERE ");
	add_matches(b, s);
}

void
statement_write(struct statement *s, const struct change *c, struct buf *b)
{
	if (s->form != FORM_DELETE)
		list_after(s, c);
	if (s->form == FORM_UPDATE || s->form == FORM_DELETE)
		list_before(s, c);
	if (s->form == FORM_UPDATE && s->rows > 1)
		update_many_text(b, s);
	else if (s->form == FORM_UPDATE)
		update_text(b, s);
	else if (s->form == FORM_DELETE)
		delete_text(b, s);
	else
		insert_text(b, s);
}
