/* filter.c - filters as a MySQL server reads them: for chunks, and to ask it about text. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mysql/quote.h"
#include "workers/reader/mysql/source.h"

/* A UTF-8 literal in the column's set and under its collation. */
static void
text_literal(struct buf *b, const struct column *c, const char *literal)
{
	buf_puts(b, "CONVERT(_utf8mb4 ");
	mysql_quote_hex(b, literal, strlen(literal));
	buf_printf(b, " USING %s) COLLATE %s", c->charset, c->collation);
}

static void
compare(struct buf *b, const struct column *c, const struct filter_node *n)
{
	mysql_quote_name(b, c->name);
	buf_printf(b, " %s ", filter_op_text(n->op));
	if (c->type == TYPE_TEXT)
		text_literal(b, c, n->literal);
	else if (c->type == TYPE_ENUM || !n->quoted)
		buf_puts(b, n->literal);
	else
		buf_printf(b, "'%s'", n->literal); /* digits and signs of a time */
}

static void
add_node(struct buf *b, const struct table *t, const struct filter_node *n)
{
	buf_puts(b, n->kind == FILTER_NOT ? "(NOT " : "(");
	for (uint32_t i = 0; i < n->nchildren; i++) {
		if (i != 0)
			buf_puts(b, n->kind == FILTER_AND ? " AND " : " OR ");
		add_node(b, t, n->child[i]);
	}
	if (n->kind == FILTER_COMPARE)
		compare(b, &t->columns[n->column], n);
	if (n->kind == FILTER_IS_NULL) {
		mysql_quote_name(b, t->columns[n->column].name);
		buf_puts(b, " IS NULL");
	}
	buf_putc(b, ')');
}

void
mysql_add_filter(struct buf *b, const struct filter *f)
{
	add_node(b, filter_table(f), filter_root(f));
}

/* Whether the column's set has the literal's characters: the server would put ? for others. */
static enum rc
verify_text(
	struct mysql_source *s, const struct filter *f, const struct filter_node *n, struct err *e)
{
	const struct table *t = filter_table(f);
	const struct column *c = &t->columns[n->column];
	char *same = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_puts(&b, "SELECT CONVERT(CONVERT(");
	text_literal(&b, c, n->literal);
	buf_puts(&b, " USING utf8mb4) USING binary) = ");
	mysql_quote_hex(&b, n->literal, strlen(n->literal));
	rc = client_value(&s->main, &same, e, "%s", buf_text(&b));
	buf_release(&b);
	if (rc == RC_OK && (same == NULL || strcmp(same, "1") != 0)) {
		rc = err_set(e, RC_CONFIG,
			"where of %s.%s: '%s' has characters that column \"%s\" (%s) cannot hold",
			t->db, t->name, n->literal, c->name, c->charset);
		err_remedy(e, "leave it out of the condition: no row has it");
	} else if (rc != RC_OK && rc != RC_RETRY) {
		err_context(e, "where of %s.%s", t->db, t->name);
	}
	free(same);
	return rc;
}

static enum rc
verify_node(
	struct mysql_source *s, const struct filter *f, const struct filter_node *n, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < n->nchildren && rc == RC_OK; i++)
		rc = verify_node(s, f, n->child[i], e);
	if (rc == RC_OK && n->kind == FILTER_COMPARE &&
		filter_table(f)->columns[n->column].type == TYPE_TEXT)
		rc = verify_text(s, f, n, e);
	return rc;
}

enum rc
mysql_verify(struct source *s, const struct filter *f, struct err *e)
{
	return verify_node((struct mysql_source *)s, f, filter_root(f), e);
}

enum rc
mysql_compare(struct source *base, const struct column *c, const struct value *v,
	const char *literal, int *order, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	char *answer = NULL;
	struct buf b, value;
	enum rc rc;

	buf_init(&value);
	buf_printf(&value, "_%s ", c->charset);
	mysql_quote_hex(&value, v->data, v->len);
	buf_init(&b);
	buf_printf(&b, "SELECT (%s > ", buf_text(&value));
	text_literal(&b, c, literal);
	buf_printf(&b, ") - (%s < ", buf_text(&value));
	text_literal(&b, c, literal);
	buf_putc(&b, ')');
	rc = client_value(&s->main, &answer, e, "%s", buf_text(&b));
	if (rc == RC_OK && answer == NULL)
		rc = err_set(e, RC_BUG, "the server compares a text to NULL");
	if (rc == RC_OK)
		*order = *answer == '-' ? -1 : *answer != '0';
	free(answer);
	buf_release(&b);
	buf_release(&value);
	return rc;
}
