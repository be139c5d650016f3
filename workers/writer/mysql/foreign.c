/*
 * foreign.c - tables of a source that speaks another language, in MySQL's; see foreign.h.
 *
 * Exact: text is utf8mb4 and compared by its bytes, a moment in time is a
 * DATETIME in UTC, JSON is text (the server would write its numbers anew).
 * What cannot be held - infinity, a text too long for an index - is refused by value.
 */
#include "common/compat.h"

#include <string.h>

#include "common/mysql/quote.h"
#include "workers/writer/mysql/foreign.h"

#define MAX_DIGITS 65u
#define MAX_SCALE 30u
#define MAX_BITS 64u
#define VARCHAR_MAX 16000u
/* A column of an index must have a length; of this one four fit into a key. */
#define INDEXED_LENGTH 190u
/* By bytes, blanks at the end among them; session.c knows what it is called here. */
#define BINARY_TEXT " CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"

bool
foreign_is(const struct column *c, const char *name)
{
	return c->native != NULL && strcmp(c->native, name) == 0;
}

bool
foreign_is_indexed(const struct table *t, uint32_t column)
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
	if (foreign_is(c, "uuid"))
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
	if (foreign_is(c, "boolean"))
		buf_puts(b, "TINYINT(1)");
	else if (foreign_is(c, "smallint"))
		buf_puts(b, "SMALLINT");
	else
		buf_puts(b, foreign_is(c, "integer") ? "INT" : "BIGINT");
}

/* Of more digits than a DECIMAL has, or of as many as each value has. */
static bool
is_numeric(const struct column *c)
{
	return c->native != NULL && strncmp(c->native, "numeric", 7) == 0 &&
	       strchr(c->native, '[') == NULL &&
	       (c->type == TYPE_TEXT || c->precision > MAX_DIGITS || c->scale > MAX_SCALE);
}

void
foreign_add_type(const struct losses *l, struct buf *b, const struct column *c, bool indexed)
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

void
foreign_add_column(const struct losses *l, struct buf *b, const struct table *t, uint32_t i)
{
	mysql_quote_name(b, t->columns[i].name);
	buf_putc(b, ' ');
	foreign_add_type(l, b, &t->columns[i], foreign_is_indexed(t, i));
	buf_puts(b, t->columns[i].nullable ||
				    (loss_nullable(l, &t->columns[i]) && !foreign_is_indexed(t, i))
			    ? " NULL"
			    : " NOT NULL");
}

/* What an index over some of the rows or over an expression keeps unique cannot be said here. */
bool
foreign_has_like(const struct index *ix)
{
	for (uint32_t p = 0; p < ix->nparts; p++)
		if (ix->parts[p].column == UINT32_MAX)
			return false;
	return ix->nparts != 0 && !ix->nulls_equal;
}

/* What the source checks at the end of a transaction would be refused here amid it. */
bool
foreign_is_unique(const struct index *ix)
{
	return ix->unique && ix->deferral == DEFERRAL_NONE;
}

bool
foreign_is_primary(const struct index *ix)
{
	return foreign_is_unique(ix) && ix->primary;
}

/* A column that an index has twice says nothing the second time, and is refused here. */
static bool
is_again(const struct index *ix, uint32_t part)
{
	for (uint32_t p = 0; p < part; p++)
		if (ix->parts[p].column == ix->parts[part].column)
			return true;
	return false;
}

void
foreign_add_index(struct buf *b, const struct table *t, const struct index *ix)
{
	buf_puts(b, foreign_is_primary(ix)  ? "PRIMARY KEY ("
		    : foreign_is_unique(ix) ? "UNIQUE KEY "
					    : "KEY ");
	if (!foreign_is_primary(ix)) {
		mysql_quote_name(b, ix->name);
		buf_puts(b, " (");
	}
	for (uint32_t p = 0; p < ix->nparts; p++) {
		if (is_again(ix, p))
			continue;
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
		foreign_add_column(l, b, t, i);
	}
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (foreign_has_like(&t->indexes[i])) {
			buf_puts(b, ", ");
			foreign_add_index(b, t, &t->indexes[i]);
		}
	buf_puts(b, ") ENGINE=InnoDB" BINARY_TEXT);
}
