/*
 * ddl_apply.h - what a statement does to a table's schema, without asking a server.
 *
 * The columns, indexes and foreign keys become what information_schema would
 * show afterwards, as describe.h reads it. Where that is not certain - settings
 * of the server that the text does not tell, clauses that we do not know - the
 * answer is UNSURE, the table stays as it was, and the caller asks the catalog.
 *
 * Names in text and table are compared in one character set: UTF-8.
 */
#ifndef COMMON_MYSQL_DDL_APPLY_H
#define COMMON_MYSQL_DDL_APPLY_H

#include "common/compat.h"

#include "common/mysql/ddl.h"
#include "common/schema.h"

enum ddl_apply_result {
	DDL_APPLIED,
	DDL_NO_EFFECT, /* nothing that a struct table holds has changed */
	DDL_UNSURE     /* the table is untouched: read the catalog again */
};

enum ddl_answer { DDL_UNKNOWN, DDL_NO, DDL_YES };

/* What the text does not tell. */
struct ddl_env {
	bool mariadb;
	unsigned version; /* as struct server has it: 101119, 80031 */
	/*
	 * The default of the database (CREATE TABLE) or of the table (all else), as the
	 * server names it; NULL: not known, and UNSURE where it is needed.
	 */
	const char *collation;
	const char *engine; /* default_storage_engine, for CREATE TABLE; NULL: left NULL */
	enum ddl_answer explicit_timestamp; /* explicit_defaults_for_timestamp */
};

/*
 * CREATE TABLE wants t new, without columns (else: NO_EFFECT with IF NOT EXISTS).
 * RENAME TABLE changes t's names if it renames t. The statement must be one
 * that the server ran without an error. *why says what UNSURE is unsure of.
 */
enum ddl_apply_result ddl_apply(
	struct table *t, const struct ddl *d, const struct ddl_env *env, const char **why);

/*
 * The table's default collation after a CREATE or ALTER TABLE, by its options and
 * `env`; NULL if it is not known. To be kept for the next ALTER. Static or env's.
 */
const char *ddl_table_collation(const struct ddl *d, const struct ddl_env *env);

#endif
