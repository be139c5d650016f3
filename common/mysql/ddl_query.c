/*
 * ddl_query.c - the tables that a query names.
 *
 * A table stands behind FROM and JOIN and, at the same depth, behind the commas
 * that follow. Elsewhere db.t.column and db.t.* name one, and t.column does
 * where t is a table of the query that has no other name in it. Names of common
 * table expressions are no tables; they count for the whole text.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "common/mysql/ddl_parser.h"

/* Deeper queries than these are not looked into: names stay as they are. */
#define MAX_DEPTH 256u
/* Of each kind of name that is remembered; a join of MySQL has 61 tables. */
#define MAX_NAMES 1000u

struct list {
	char **names;
	size_t count, cap;
};

/* One level of parentheses. */
struct level {
	bool in_from;	/* commas separate tables */
	bool is_table;	/* it stands where a table may stand */
	bool is_select; /* FROM names tables: not that of EXTRACT(x FROM y) */
};

struct query {
	struct parser *p;
	struct list ctes;
	struct list aliases;
	uint32_t *plain; /* tables known by their own name, in names */
	size_t nplain, plain_cap;
	bool expected; /* a table comes next */
	size_t depth;
	struct level levels[MAX_DEPTH];
};

static void
list_add(struct list *l, char *name)
{
	if (l->count == MAX_NAMES) {
		free(name);
		return;
	}
	grow(&l->names, &l->cap, l->count + 1, sizeof *l->names);
	l->names[l->count++] = name;
}

static bool
list_has(const struct list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcasecmp(l->names[i], name) == 0)
			return true;
	return false;
}

static void
list_release(struct list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->names[i]);
	free(l->names);
}

static bool
at_word_of(const struct parser *p, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (parser_is(p, words[i]))
			return true;
	return false;
}

/* ---- common table expressions ---- */

static void
skip_column_list(struct parser *p)
{
	if (!parser_accept(p, "("))
		return;
	while (parser_at_name(p) || parser_is(p, ","))
		parser_advance(p);
	parser_accept(p, ")");
}

/* name [(columns)] AS ( SELECT ..., behind WITH, RECURSIVE or a comma. */
static void
find_ctes(struct query *q)
{
	struct parser p = *q->p;
	bool with = false, may = false;

	for (; !parser_end(&p); parser_advance(&p)) {
		if (may && parser_at_name(&p) && !parser_is(&p, "RECURSIVE")) {
			struct parser name = p, saved;

			parser_advance(&p);
			saved = p;
			skip_column_list(&p);
			if (parser_is(&p, "AS") && parser_next_is(&p, "("))
				list_add(&q->ctes, tok_name(&name.t, &name.tok));
			p = saved;
		}
		with = with || parser_is(&p, "WITH");
		may = with &&
		      (parser_is(&p, "WITH") || parser_is(&p, "RECURSIVE") || parser_is(&p, ","));
	}
}

/* ---- tables ---- */

/* What may stand behind a table but is not its other name. */
static bool
at_clause_word(const struct parser *p)
{
	static const char *const words[] = {"WHERE", "JOIN", "INNER", "CROSS", "LEFT", "RIGHT",
		"NATURAL", "STRAIGHT_JOIN", "FULL", "ON", "USING", "GROUP", "HAVING", "ORDER",
		"LIMIT", "UNION", "EXCEPT", "INTERSECT", "MINUS", "WINDOW", "USE", "FORCE",
		"IGNORE", "PARTITION", "FOR", "LOCK", "PROCEDURE", "INTO", "WITH", "TABLESAMPLE",
		"OUTER", "SELECT", "OFFSET", "FETCH"};

	return p->tok.kind != TOK_NAME && at_word_of(p, words, COUNT_OF(words));
}

/* [AS] x behind names[table], or behind a derived table (UINT32_MAX). */
static void
alias(struct query *q, uint32_t table)
{
	struct parser *p = q->p;

	if (parser_is(p, "PARTITION") && parser_next_is(p, "(")) {
		parser_advance(p);
		parser_skip_parens(p);
	}
	if (parser_accept(p, "AS") || (parser_at_name(p) && !at_clause_word(p))) {
		list_add(&q->aliases, tok_name(&p->t, &p->tok));
		parser_advance(p);
	} else if (table != UINT32_MAX && q->nplain < MAX_NAMES) {
		grow(&q->plain, &q->plain_cap, q->nplain + 1, sizeof *q->plain);
		q->plain[q->nplain++] = table;
	}
}

static void
table(struct query *q)
{
	struct parser *p = q->p, saved = *p;
	struct ddl *d = p->d;
	char *first = tok_name(&p->t, &p->tok);
	struct ddl_name *n;
	bool cte = list_has(&q->ctes, first) && !parser_next_is(p, ".");

	free(first);
	if (cte || parser_is(p, "LATERAL") || parser_is(p, "DUAL") || parser_next_is(p, "(")) {
		parser_advance(p);
		return;
	}
	n = parser_name(p, DDL_REFERENCE, DDL_TABLE);
	if (n == NULL) {
		*p = saved;
		parser_advance(p);
		return;
	}
	n->body = true;
	alias(q, d->nnames - 1);
}

static void
open_level(struct query *q)
{
	q->levels[++q->depth] = (struct level){.in_from = q->expected, .is_table = q->expected};
	parser_advance(q->p);
}

static void
close_level(struct query *q)
{
	bool is_table = q->levels[q->depth].is_table;

	parser_advance(q->p);
	q->expected = false;
	if (q->depth == 0)
		return;
	q->depth--;
	if (is_table)
		alias(q, UINT32_MAX);
}

static void
keyword(struct query *q)
{
	static const char *const ends[] = {"WHERE", "GROUP", "ORDER", "HAVING", "UNION", "WINDOW",
		"LIMIT", "EXCEPT", "INTERSECT"};
	struct parser *p = q->p;
	struct level *l = &q->levels[q->depth];

	q->expected = false;
	if (parser_is(p, "SELECT")) {
		l->is_select = true;
		l->in_from = false;
	} else if (parser_is(p, "FROM") && l->is_select) {
		l->in_from = q->expected = true;
	} else if (parser_is(p, "JOIN") || parser_is(p, "STRAIGHT_JOIN") || parser_is(p, ",")) {
		q->expected = l->in_from;
	} else if (parser_is(p, "TABLE")) {
		q->expected = true;
	} else if (at_word_of(p, ends, COUNT_OF(ends))) {
		l->in_from = false;
	}
	parser_advance(p);
}

static void
find_tables(struct query *q)
{
	struct parser *p = q->p;

	while (!parser_end(p) && q->depth < MAX_DEPTH - 1) {
		if (q->expected && parser_at_name(p) && !parser_is(p, "SELECT")) {
			q->expected = false;
			table(q);
		} else if (parser_is(p, "(")) {
			open_level(q);
		} else if (parser_is(p, ")")) {
			close_level(q);
		} else {
			keyword(q);
		}
	}
}

/* ---- what qualifies columns and functions ---- */

static const struct ddl_name *
plain_table(const struct query *q, const char *name)
{
	const struct ddl *d = q->p->d;

	if (list_has(&q->aliases, name))
		return NULL;
	for (size_t i = 0; i < q->nplain; i++)
		if (strcmp(d->names[q->plain[i]].name, name) == 0)
			return &d->names[q->plain[i]];
	return NULL;
}

/* t.column, t.*: of which database t is, the query's FROM says. */
static void
short_qualifier(struct query *q, const struct tok *part)
{
	struct parser *p = q->p;
	char *name = tok_name(&p->t, part);
	const struct ddl_name *n = plain_table(q, name);
	const char *db = p->db;

	free(name);
	if (n == NULL)
		return;
	p->db = n->db;
	parser_qualifier(p, NULL, part);
	p->db = db;
}

static void
function(struct query *q, const struct tok *parts)
{
	struct ddl *d = q->p->d;

	parser_qualifier(q->p, &parts[0], &parts[1]);
	d->names[d->nnames - 1].kind = DDL_FUNCTION;
}

static void
qualified(struct query *q)
{
	struct tok parts[3];
	struct parser *p = q->p;
	uint32_t before = p->d->nnames;
	unsigned n = parser_chain(p, parts);

	if (parser_is(p, ".")) /* what follows is a star */
		n++;
	if (n == 3)
		parser_qualifier(p, &parts[0], &parts[1]);
	else if (n == 2 && parser_is(p, "("))
		function(q, parts);
	else if (n == 2)
		short_qualifier(q, &parts[0]);
	for (; before < p->d->nnames; before++)
		p->d->names[before].body = true;
}

/* Over the same text again; the tables found already are passed over. */
static void
find_qualifiers(struct query *q, uint32_t first)
{
	struct parser *p = q->p;
	uint32_t next = first, end = p->d->nnames;

	while (!parser_end(p)) {
		if (next < end && p->tok.start == p->d->names[next].start) {
			size_t behind = p->d->names[next++].end;

			while (!parser_end(p) && p->tok.start < behind)
				parser_advance(p);
		} else if (parser_at_name(p)) {
			qualified(q);
		} else {
			parser_advance(p);
		}
	}
}

void
parse_query(struct parser *p)
{
	struct query *q = xcalloc(1, sizeof *q);
	struct parser start = *p;
	uint32_t first = p->d->nnames;

	q->p = p;
	find_ctes(q);
	find_tables(q);
	*p = start;
	find_qualifiers(q, first);
	list_release(&q->ctes);
	list_release(&q->aliases);
	free(q->plain);
	free(q);
}
