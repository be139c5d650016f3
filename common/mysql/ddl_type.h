/*
 * ddl_type.h - a column definition in a statement becomes a struct column;
 * included by ddl_apply*.c, ddl_column.c and ddl_type.c only.
 */
#ifndef COMMON_MYSQL_DDL_TYPE_H
#define COMMON_MYSQL_DDL_TYPE_H

#include "common/compat.h"

#include "common/mysql/ddl_apply.h"
#include "common/mysql/ddl_parser.h"

enum ddl_family {
	FAMILY_INTEGER,
	FAMILY_DECIMAL,
	FAMILY_FLOAT,
	FAMILY_DOUBLE,
	FAMILY_BIT,
	FAMILY_CHAR, /* with or without characters: BINARY as well */
	FAMILY_VARCHAR,
	FAMILY_TEXT,
	FAMILY_ENUM,
	FAMILY_SET,
	FAMILY_TIME, /* TIME, DATETIME, TIMESTAMP */
	FAMILY_YEAR,
	FAMILY_JSON,
	FAMILY_PLAIN /* the word is the whole type */
};

/* What stands at the head of a definition: word, numbers, labels. */
struct ddl_type {
	enum ddl_family family;
	enum type type;
	const char *native;
	uint32_t precision; /* of integers */
	uint32_t width;	    /* digits shown, where servers show them; of TEXT: its class, 0-3 */
	uint32_t numbers[2];
	uint32_t count; /* of numbers given */
	bool binary;	/* BLOB, BINARY, VARBINARY */
	bool national;	/* utf8mb3 whatever the defaults are */
	bool serial;
	char **labels;
	uint32_t nlabels;
};

/* False: no type that we know. labels are the caller's to free (or to hand on). */
bool ddl_take_type(struct parser *p, const struct ddl *d, struct ddl_type *t);
/*
 * With attributes known: type, native, length, precision, scale, labels of
 * `c`. c->charset, collation, is_unsigned are set before. NULL or why not.
 */
const char *ddl_finish_type(
	struct ddl_type *t, bool zerofill, const struct ddl_env *env, struct column *c);

struct ddl_definition {
	struct column column;
	bool primary;
	bool unique;
	bool references;
	bool first;
	char *after;
	const char *why; /* not NULL: it is not certain what the server made of it */
};

/* Reads a definition from its column's name at `start` on. */
void ddl_define(struct ddl_definition *out, const struct ddl *d, size_t start, size_t end,
	const struct ddl_env *env);
void ddl_definition_release(struct ddl_definition *def);
void ddl_column_release(struct column *c);

/* A parser for a part of the text. */
void ddl_reparse(struct parser *p, const struct ddl *d, size_t start, size_t end);
/* The name at the parser, and on; NULL if there is none. The caller's to free. */
char *ddl_take_name(struct parser *p);
/* "(" number ")": the number, 0 if it is not here. */
uint32_t ddl_take_length(struct parser *p);

/* As the server calls it; NULL: not certain. Static or of the environment. */
const char *ddl_default_collation(const char *charset, const struct ddl_env *env);
const char *ddl_collation(const char *name, const struct ddl_env *env);
const char *ddl_charset(const char *collation, const struct ddl_env *env);
/*
 * At [DEFAULT] CHARACTER SET x, CHARSET x, COLLATE x: true, and *collation is what
 * the column or table has now (NULL: not certain).
 */
bool ddl_take_collation(struct parser *p, const struct ddl_env *env, const char **collation);

#endif
