/*
 * ddl.h - what a statement in a MySQL log is, which objects it names, and the
 * same statement with other names.
 *
 * Parsed just enough to route: class, objects with the byte ranges of their
 * names. Rewriting replaces those ranges and leaves every other byte alone, so
 * clauses that we do not know pass untouched.
 */
#ifndef COMMON_MYSQL_DDL_H
#define COMMON_MYSQL_DDL_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/*	symbol	name	carried to the target */
#define DDL_LIST(X)                                  \
	X(CREATE_TABLE, "create table", 1)           \
	X(CREATE_TABLE_LIKE, "create table like", 1) \
	X(ALTER_TABLE, "alter table", 1)             \
	X(DROP_TABLE, "drop table", 1)               \
	X(RENAME_TABLE, "rename table", 1)           \
	X(TRUNCATE_TABLE, "truncate table", 1)       \
	X(CREATE_INDEX, "create index", 1)           \
	X(DROP_INDEX, "drop index", 1)               \
	X(CREATE_VIEW, "create view", 1)             \
	X(ALTER_VIEW, "alter view", 1)               \
	X(DROP_VIEW, "drop view", 1)                 \
	X(CREATE_FUNCTION, "create function", 1)     \
	X(DROP_FUNCTION, "drop function", 1)         \
	X(CREATE_PROCEDURE, "create procedure", 1)   \
	X(DROP_PROCEDURE, "drop procedure", 1)       \
	X(CREATE_DATABASE, "create database", 1)     \
	X(DROP_DATABASE, "drop database", 0)         \
	X(ALTER_DATABASE, "alter database", 0)       \
	X(TRIGGER, "create or drop trigger", 0)      \
	X(BEGIN, "begin", 0)                         \
	X(COMMIT, "commit", 0)                       \
	X(ROLLBACK, "rollback", 0)                   \
	X(SAVEPOINT, "savepoint", 0)                 \
	X(XA, "xa", 0)                               \
	X(DML, "row change as a statement", 0)       \
	X(OTHER, "other", 0)

enum ddl_class {
#define X(symbol, name, carried) DDL_CLASS_##symbol,
	DDL_LIST(X)
#undef X
		DDL_CLASS_COUNT
};

const char *ddl_class_name(enum ddl_class c);
bool ddl_class_carried(enum ddl_class c);

enum ddl_role {
	DDL_TARGET,    /* what the statement makes, changes or drops */
	DDL_RENAME_TO, /* new name of the DDL_TARGET before it */
	DDL_REFERENCE  /* LIKE t, REFERENCES t */
};

struct ddl_name {
	enum ddl_role role;
	char *db;     /* the default database where the statement names none; may be NULL */
	char *name;   /* NULL for a database itself */
	size_t start; /* of [db.]name in the text */
	size_t end;
};

struct ddl {
	enum ddl_class class;
	bool if_exists;
	bool if_not_exists;
	bool or_replace;
	bool temporary;
	struct ddl_name *names;
	uint32_t nnames;
	const char *sql; /* borrowed */
	size_t len;
};

/* default_db may be NULL or empty. Never fails: what is not understood is OTHER. */
void ddl_parse(struct ddl *d, const char *sql, size_t len, bool ansi_quotes, bool no_backslash,
	const char *default_db);
void ddl_release(struct ddl *d);

/* Where db and name (NULL: the database itself) lead. The results are borrowed. */
struct ddl_mapper {
	void *arg;
	const char *(*map_db)(void *arg, const char *db, const char *name);
	const char *(*map_name)(void *arg, const char *db, const char *name);
};

void ddl_rewrite(const struct ddl *d, const struct ddl_mapper *m, struct buf *out);

#endif
