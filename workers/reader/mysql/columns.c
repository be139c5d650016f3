/*
 * columns.c - what a statement does to columns beyond their names: who was who, and what the
 * rows that are there get in a new one; see tables.h.
 */
#include "common/compat.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "workers/reader/mysql/tables.h"

/* Length of "-12.5" at p, 0 if no number stands alone there. */
static size_t
number_length(const char *p, size_t n)
{
	size_t i = n != 0 && (*p == '-' || *p == '+'), digits = i;

	while (i < n && isdigit((unsigned char)p[i]))
		i++;
	if (i == digits)
		return 0;
	if (i < n && p[i] == '.')
		for (i++; i < n && isdigit((unsigned char)p[i]);)
			i++;
	return i == n || isspace((unsigned char)p[i]) || p[i] == ',' || p[i] == ')' || p[i] == ';'
		       ? i
		       : 0;
}

static bool
is_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80 || *s == '\\')
			return false;
	return true;
}

/* The literal behind DEFAULT. */
static void
take_literal(struct tokens *t, struct tok k, struct column_change *c)
{
	size_t n = number_length(t->sql + k.start, t->len - k.start);
	char *text = NULL;

	if (k.kind == TOK_STRING)
		text = tok_name(t, &k);
	else if (n != 0)
		text = xstrndup(t->sql + k.start, n);
	else if (tok_is(t, &k, "TRUE") || tok_is(t, &k, "FALSE"))
		text = xstrdup(tok_is(t, &k, "TRUE") ? "1" : "0");
	else if (tok_is(t, &k, "NULL"))
		return;
	c->computed = text == NULL || !is_plain(text);
	if (c->computed)
		free(text);
	else
		c->fill = text;
}

/* Without DEFAULT: what the server takes for a column that cannot be NULL. */
static void
take_implicit(const struct column *col, struct column_change *c)
{
	const char *fill = NULL;

	if (col->nullable)
		return;
	switch (col->type) {
	case TYPE_INTEGER:
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
	case TYPE_DECIMAL:
	case TYPE_YEAR:
		fill = col->auto_increment ? NULL : "0";
		break;
	case TYPE_TEXT:
	case TYPE_SET:
		fill = "";
		break;
	case TYPE_ENUM:
		fill = col->nlabels != 0 ? col->labels[0] : NULL;
		break;
	case TYPE_TIME:
		fill = "00:00:00";
		break;
	case TYPE_DATE:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
	case TYPE_BINARY:
	case TYPE_BIT:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		break;
	}
	c->computed = fill == NULL;
	c->fill = fill != NULL ? xstrdup(fill) : NULL;
}

/* A definition's own words decide; in a column of moments or bytes a literal stands for something
 * else than its text. */
static void
take_fill(const struct ddl *d, const struct ddl_clause *clause, const struct column *col,
	struct column_change *c)
{
	struct tokens t = d->text;
	struct tok k;

	t.at = clause->start;
	t.len = clause->end;
	while ((k = tokens_next(&t)).kind != TOK_END)
		if (tok_is(&t, &k, "DEFAULT")) {
			take_literal(&t, tokens_next(&t), c);
			if (c->fill != NULL &&
				(col->type == TYPE_TIMESTAMP || col->type == TYPE_BIT ||
					col->type == TYPE_BINARY)) {
				free((char *)c->fill);
				c->fill = NULL;
				c->computed = true;
			}
			return;
		}
	take_implicit(col, c);
}

static const char *
name_in(const struct ddl *d, const struct ddl_clause *clause, enum ddl_column_role role)
{
	for (uint32_t i = 0; i < clause->ncolumns; i++)
		if (d->columns[clause->column + i].role == role)
			return d->columns[clause->column + i].name;
	return NULL;
}

struct column_change *
ddl_column_changes(const struct ddl *d, const struct table *now, uint32_t *n)
{
	struct column_change *changes = xcalloc(d->nclauses, sizeof *changes);

	*n = 0;
	for (uint32_t i = 0; i < d->nclauses && now != NULL; i++) {
		const struct ddl_clause *clause = &d->clauses[i];
		const char *from = name_in(d, clause, COLUMN_OLD),
			   *to = name_in(d, clause, COLUMN_DEFINED);
		uint32_t column = to != NULL ? table_column(now, to) : UINT32_MAX;

		if (column == UINT32_MAX || now->columns[column].generated)
			continue;
		if ((clause->kind == CLAUSE_CHANGE || clause->kind == CLAUSE_RENAME_COLUMN) &&
			from != NULL && strcmp(from, to) != 0) {
			changes[(*n)++] = (struct column_change){
				.from = xstrdup(from), .to = now->columns[column].name};
		} else if (clause->kind == CLAUSE_COLUMN) {
			changes[*n] = (struct column_change){
				.from = xstrdup(""), .to = now->columns[column].name};
			take_fill(d, clause, &now->columns[column], &changes[(*n)++]);
		}
	}
	return changes;
}
