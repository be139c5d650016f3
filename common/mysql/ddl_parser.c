/* ddl_parser.c - see ddl_parser.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl_parser.h"

void
parser_advance(struct parser *p)
{
	p->last_end = p->tok.end;
	p->last_turns = p->turns;
	p->tok = tokens_next(&p->t);
	p->turns = p->t.turns;
}

bool
parser_is(const struct parser *p, const char *word)
{
	return tok_is(&p->t, &p->tok, word);
}

bool
parser_accept(struct parser *p, const char *word)
{
	if (!parser_is(p, word))
		return false;
	parser_advance(p);
	return true;
}

bool
parser_accept2(struct parser *p, const char *a, const char *b)
{
	struct parser saved = *p;

	if (parser_accept(p, a) && parser_accept(p, b))
		return true;
	*p = saved;
	return false;
}

bool
parser_next_is(const struct parser *p, const char *word)
{
	struct tokens t = p->t;
	struct tok k = tokens_next(&t);

	return tok_is(&t, &k, word);
}

bool
parser_at_name(const struct parser *p)
{
	return p->tok.kind == TOK_WORD || p->tok.kind == TOK_NAME || p->tok.kind == TOK_NUMBER;
}

bool
parser_end(const struct parser *p)
{
	return p->tok.kind == TOK_END;
}

bool
parser_if_exists(struct parser *p, bool *negated)
{
	struct parser saved = *p;

	*negated = false;
	if (parser_accept(p, "IF")) {
		*negated = parser_accept(p, "NOT");
		if (parser_accept(p, "EXISTS"))
			return true;
	}
	*p = saved;
	return false;
}

void
parser_skip_parens(struct parser *p)
{
	size_t depth = 0;

	do {
		if (parser_is(p, "("))
			depth++;
		else if (parser_is(p, ")"))
			depth--;
		parser_advance(p);
	} while (depth != 0 && !parser_end(p));
}

struct ddl_name *
parser_add_name(struct ddl *d, const struct ddl_name *name)
{
	grow(&d->names, &d->names_cap, (size_t)d->nnames + 1, sizeof *d->names);
	d->names[d->nnames] = *name;
	return &d->names[d->nnames++];
}

struct ddl_name *
parser_name(struct parser *p, enum ddl_role role, enum ddl_kind kind)
{
	struct ddl_name n = {.role = role, .kind = kind};

	if (!parser_at_name(p))
		return NULL;
	n.start = n.name_start = p->tok.start;
	n.end = p->tok.end;
	n.name = tok_name(&p->t, &p->tok);
	parser_advance(p);
	if (parser_accept(p, ".")) {
		n.db = n.name;
		if (!parser_at_name(p)) {
			free(n.db);
			return NULL;
		}
		n.name_start = p->tok.start;
		n.end = p->tok.end;
		n.name = tok_name(&p->t, &p->tok);
		parser_advance(p);
	} else if (p->db != NULL && *p->db != '\0') {
		n.db = xstrdup(p->db);
	}
	return parser_add_name(p->d, &n);
}

unsigned
parser_chain(struct parser *p, struct tok parts[3])
{
	unsigned n = 1;

	parts[0] = p->tok;
	parser_advance(p);
	while (parser_is(p, ".")) {
		struct parser dot = *p;

		parser_advance(p);
		if (!parser_at_name(p)) {
			*p = dot;
			break;
		}
		if (n == 3)
			memmove(parts, parts + 1, 2 * sizeof *parts);
		else
			n++;
		parts[n - 1] = p->tok;
		parser_advance(p);
	}
	return n;
}

void
parser_qualifier(struct parser *p, const struct tok *db, const struct tok *table)
{
	struct ddl_name n = {.role = DDL_REFERENCE,
		.kind = DDL_TABLE,
		.name = tok_name(&p->t, table),
		.start = db != NULL ? db->start : table->start,
		.end = table->end,
		.name_start = table->start,
		.alone = db == NULL};

	if (db != NULL)
		n.db = tok_name(&p->t, db);
	else if (p->db != NULL && *p->db != '\0')
		n.db = xstrdup(p->db);
	parser_add_name(p->d, &n);
}
