/*
 * ddl_parser.h - what the parts of the DDL parser share; included by ddl*.c only.
 *
 * One token is looked at, never more than a handful read ahead: memory and time
 * are linear in the names and clauses found, not in the tokens of the text.
 */
#ifndef COMMON_MYSQL_DDL_PARSER_H
#define COMMON_MYSQL_DDL_PARSER_H

#include "common/compat.h"

#include "common/mysql/ddl.h"
#include "common/mysql/token.h"

struct parser {
	struct tokens t;
	struct tok tok;	 /* the current one */
	size_t last_end; /* of the one before it */
	unsigned turns, last_turns;
	struct ddl *d;
	const char *db; /* default, may be NULL */
};

void parser_advance(struct parser *p);
bool parser_is(const struct parser *p, const char *word);
bool parser_accept(struct parser *p, const char *word);
/* Both or none. */
bool parser_accept2(struct parser *p, const char *a, const char *b);
/* Whether the token after the current one is this. */
bool parser_next_is(const struct parser *p, const char *word);
bool parser_at_name(const struct parser *p); /* WORD, NAME or NUMBER */
bool parser_end(const struct parser *p);
/* IF [NOT] EXISTS; false if it is not here. */
bool parser_if_exists(struct parser *p, bool *negated);
/* At "(": to behind the partner of it. */
void parser_skip_parens(struct parser *p);

/* [db.]name, NULL if there is no name here. Valid until the next one. */
struct ddl_name *parser_name(struct parser *p, enum ddl_role role, enum ddl_kind kind);

struct ddl_name *parser_add_name(struct ddl *d, const struct ddl_name *name);
/* At a name: a, t.a or db.t.a; how many parts (the last three, if more). Behind it afterwards. */
unsigned parser_chain(struct parser *p, struct tok parts[3]);
/* A table that qualifies a column; db NULL: it stands alone. */
void parser_qualifier(struct parser *p, const struct tok *db, const struct tok *table);

/* ddl_clause.c */
void parse_definition(struct parser *p); /* CREATE TABLE, behind the name */
void parse_actions(struct parser *p);	 /* ALTER TABLE, behind the name */
void parse_index(struct parser *p);	 /* CREATE INDEX, at INDEX or what stands before it */
void parse_drop_index(struct parser *p); /* DROP INDEX, behind INDEX */

/* ddl_query.c: the tables that a query names, up to the end of the text. */
void parse_query(struct parser *p);

#endif
