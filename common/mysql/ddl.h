/*
 * ddl.h - what a statement in a MySQL log is, which objects, columns and
 * clauses it names, and the same statement with other names.
 *
 * Parsed just enough to route: class, verb, objects with the byte ranges of
 * their names, clauses of table definitions with their columns. Rewriting
 * replaces ranges and leaves every other byte alone, so clauses that we do
 * not know pass untouched. Pure code, any thread.
 *
 * Names are in the character set of the text: convert a gbk text to UTF-8 first
 * where its names are to be compared with a catalog's.
 */
#ifndef COMMON_MYSQL_DDL_H
#define COMMON_MYSQL_DDL_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/mysql/token.h"

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
	X(ALTER_DATABASE, "alter database", 1)       \
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

/* The statement exactly; its class follows from it.	symbol	class	name */
#define DDL_VERB_LIST(X)                                             \
	X(OTHER, OTHER, "other")                                     \
	X(CREATE_TABLE, CREATE_TABLE, "create table")                \
	X(CREATE_TABLE_SELECT, CREATE_TABLE, "create table select")  \
	X(CREATE_TABLE_LIKE, CREATE_TABLE_LIKE, "create table like") \
	X(ALTER_TABLE, ALTER_TABLE, "alter table")                   \
	X(DROP_TABLE, DROP_TABLE, "drop table")                      \
	X(RENAME_TABLE, RENAME_TABLE, "rename table")                \
	X(TRUNCATE_TABLE, TRUNCATE_TABLE, "truncate table")          \
	X(CREATE_INDEX, CREATE_INDEX, "create index")                \
	X(DROP_INDEX, DROP_INDEX, "drop index")                      \
	X(CREATE_VIEW, CREATE_VIEW, "create view")                   \
	X(ALTER_VIEW, ALTER_VIEW, "alter view")                      \
	X(DROP_VIEW, DROP_VIEW, "drop view")                         \
	X(CREATE_FUNCTION, CREATE_FUNCTION, "create function")       \
	X(ALTER_FUNCTION, OTHER, "alter function")                   \
	X(DROP_FUNCTION, DROP_FUNCTION, "drop function")             \
	X(CREATE_PROCEDURE, CREATE_PROCEDURE, "create procedure")    \
	X(ALTER_PROCEDURE, OTHER, "alter procedure")                 \
	X(DROP_PROCEDURE, DROP_PROCEDURE, "drop procedure")          \
	X(CREATE_TRIGGER, TRIGGER, "create trigger")                 \
	X(DROP_TRIGGER, TRIGGER, "drop trigger")                     \
	X(CREATE_EVENT, OTHER, "create event")                       \
	X(ALTER_EVENT, OTHER, "alter event")                         \
	X(DROP_EVENT, OTHER, "drop event")                           \
	X(CREATE_SEQUENCE, OTHER, "create sequence")                 \
	X(ALTER_SEQUENCE, OTHER, "alter sequence")                   \
	X(DROP_SEQUENCE, OTHER, "drop sequence")                     \
	X(CREATE_PACKAGE, OTHER, "create package")                   \
	X(DROP_PACKAGE, OTHER, "drop package")                       \
	X(CREATE_DATABASE, CREATE_DATABASE, "create database")       \
	X(ALTER_DATABASE, ALTER_DATABASE, "alter database")          \
	X(DROP_DATABASE, DROP_DATABASE, "drop database")             \
	X(SERVER, OTHER, "create, alter or drop server")             \
	X(TABLESPACE, OTHER, "create, alter or drop tablespace")     \
	X(USER, OTHER, "create, alter, rename or drop user or role") \
	X(GRANT, OTHER, "grant")                                     \
	X(REVOKE, OTHER, "revoke")                                   \
	X(BEGIN, BEGIN, "begin")                                     \
	X(COMMIT, COMMIT, "commit")                                  \
	X(ROLLBACK, ROLLBACK, "rollback")                            \
	X(SAVEPOINT, SAVEPOINT, "savepoint")                         \
	X(ROLLBACK_TO, SAVEPOINT, "rollback to savepoint")           \
	X(RELEASE_SAVEPOINT, SAVEPOINT, "release savepoint")         \
	X(XA_START, XA, "xa start")                                  \
	X(XA_END, XA, "xa end")                                      \
	X(XA_PREPARE, XA, "xa prepare")                              \
	X(XA_COMMIT, XA, "xa commit")                                \
	X(XA_ROLLBACK, XA, "xa rollback")                            \
	X(XA_RECOVER, XA, "xa recover")                              \
	X(SET, OTHER, "set")                                         \
	X(ANALYZE, OTHER, "analyze table")                           \
	X(OPTIMIZE, OTHER, "optimize table")                         \
	X(REPAIR, OTHER, "repair table")                             \
	X(CHECK, OTHER, "check table")                               \
	X(FLUSH, OTHER, "flush")                                     \
	X(INSERT, DML, "insert")                                     \
	X(UPDATE, DML, "update")                                     \
	X(DELETE, DML, "delete")                                     \
	X(REPLACE, DML, "replace")                                   \
	X(LOAD, DML, "load data")

enum ddl_verb {
#define X(symbol, class, name) DDL_VERB_##symbol,
	DDL_VERB_LIST(X)
#undef X
		DDL_VERB_COUNT
};

const char *ddl_verb_name(enum ddl_verb v);

enum ddl_role {
	DDL_TARGET,    /* what the statement makes, changes or drops */
	DDL_RENAME_TO, /* new name of the DDL_TARGET before it in `names` */
	DDL_REFERENCE  /* LIKE t, REFERENCES t, UNION=(t), a trigger's ON t, tables of a query */
};

enum ddl_kind {
	DDL_TABLE, /* in a query: a table or view */
	DDL_VIEW,
	DDL_FUNCTION,
	DDL_PROCEDURE,
	DDL_TRIGGER,
	DDL_EVENT,
	DDL_SEQUENCE,
	DDL_PACKAGE,
	DDL_DATABASE
};

struct ddl_name {
	enum ddl_role role;
	char *db;     /* the default database where the statement names none; may be NULL */
	char *name;   /* NULL for a database itself */
	size_t start; /* of [db.]name in the text */
	size_t end;
	enum ddl_kind kind;
	size_t name_start; /* of the name alone; == start where no database stands before it */
	bool body;	   /* within the query of a view or of CREATE TABLE .. SELECT */
	bool alone;	   /* qualifies a column without a database: stays so */
};

/*
 * Clauses of CREATE TABLE, ALTER TABLE, CREATE INDEX, DROP INDEX, in the order
 * of the text. What ADD (..) lists are clauses of their own with its number.
 */
enum ddl_clause_kind {
	CLAUSE_COLUMN, /* a definition: in CREATE TABLE or ADD */
	CLAUSE_MODIFY,
	CLAUSE_CHANGE,
	CLAUSE_DROP_COLUMN,
	CLAUSE_RENAME_COLUMN,
	CLAUSE_ALTER_COLUMN, /* SET DEFAULT and the like */
	CLAUSE_KEY,	     /* index, unique or primary key */
	CLAUSE_FOREIGN_KEY,
	CLAUSE_CHECK,
	CLAUSE_PERIOD,
	CLAUSE_DROP_KEY,
	CLAUSE_DROP_PRIMARY,
	CLAUSE_DROP_FOREIGN_KEY,
	CLAUSE_DROP_CONSTRAINT,
	CLAUSE_RENAME_KEY,
	CLAUSE_RENAME_TABLE,
	CLAUSE_CONVERT, /* CONVERT TO CHARACTER SET */
	CLAUSE_OPTIONS, /* table options */
	CLAUSE_PARTITION,
	CLAUSE_ADD_LIST, /* ADD ( .. ): those with list == its number + 1 */
	CLAUSE_MINOR, /* ALGORITHM, LOCK, FORCE, ENABLE KEYS, ORDER BY, ..: no effect on columns */
	CLAUSE_OTHER
};

struct ddl_clause {
	enum ddl_clause_kind kind;
	uint32_t list; /* 0: of the statement itself */
	size_t start;
	size_t end;
	unsigned turns; /* tokens.turns at its start and its end: odd within a versioned comment */
	unsigned end_turns;
	uint32_t column; /* its first in `columns`, and how many */
	uint32_t ncolumns;
	bool primary; /* of KEY */
	bool unique;
};

enum ddl_column_role {
	COLUMN_DEFINED, /* ADD, CREATE; new name of CHANGE and RENAME COLUMN */
	COLUMN_OLD,	/* DROP, MODIFY, ALTER; old name of CHANGE and RENAME COLUMN */
	COLUMN_KEY,	/* part of an index */
	COLUMN_CHILD,	/* FOREIGN KEY (this) */
	COLUMN_PARENT,	/* REFERENCES t (this): a column of names[table] */
	COLUMN_AFTER,
	COLUMN_MENTIONED /* maybe: a word in an expression */
};

struct ddl_column {
	enum ddl_column_role role;
	char *name;
	size_t start; /* of the name */
	size_t end;
	size_t from; /* of all that belongs to it: `a`(10) DESC, AFTER a */
	size_t to;
	uint32_t table; /* in `names` */
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
	enum ddl_verb verb;
	bool conditional; /* has a versioned comment that some servers run and others do not */
	bool real_as_float;
	size_t definer; /* of DEFINER = x in the text; definer_end 0: there is none */
	size_t definer_end;
	struct ddl_clause *clauses;
	uint32_t nclauses;
	struct ddl_column *columns;
	uint32_t ncolumns;
	size_t names_cap, clauses_cap, columns_cap;
	struct tokens text; /* how the text is read */
};

/* Bits of sql_mode as QUERY events carry it. */
#define DDL_MODE_REAL_AS_FLOAT 0x1u
#define DDL_MODE_ANSI_QUOTES 0x4u
#define DDL_MODE_NO_BACKSLASH 0x100000u

struct ddl_text {
	const char *sql; /* borrowed until ddl_release */
	size_t len;
	const char *charset; /* the client's, MySQL's name; NULL: ASCII-safe */
	uint64_t sql_mode;
	const char *default_db; /* may be NULL or empty */
};

/* Never fails: what is not understood is OTHER. */
void ddl_parse_text(struct ddl *d, const struct ddl_text *text);
/* The same for texts in UTF-8 and the like. default_db may be NULL or empty. */
void ddl_parse(struct ddl *d, const char *sql, size_t len, bool ansi_quotes, bool no_backslash,
	const char *default_db);
void ddl_release(struct ddl *d);

/*
 * Where db and name (NULL: the database itself, or that of a routine, event or
 * trigger, which keep their names) lead. map_column may be NULL: columns stay;
 * its result NULL: the column is dropped. Results are borrowed.
 */
struct ddl_mapper {
	void *arg;
	const char *(*map_db)(void *arg, const char *db, const char *name);
	const char *(*map_name)(void *arg, const char *db, const char *name);
	const char *(*map_column)(void *arg, const char *db, const char *table, const char *column);
	bool drop_definer; /* the object becomes that of the account which runs the statement */
};

enum ddl_rewritten {
	DDL_REWRITTEN,
	DDL_NOTHING, /* it was about dropped columns only: do not run it */
	DDL_CANNOT   /* a dropped column is needed (expression, primary key, partitions, rename) */
};

/* Appends the statement with mapped names, all qualified where a database is known. After
 * DDL_NOTHING and DDL_CANNOT out has grown by nothing. */
enum ddl_rewritten ddl_rewrite(const struct ddl *d, const struct ddl_mapper *m, struct buf *out);

#endif
