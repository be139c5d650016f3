/*
 * ddl_apply_key.h - clauses about indexes and foreign keys, applied;
 * included by ddl_apply*.c only. Each returns NULL, or what it is unsure of.
 */
#ifndef COMMON_MYSQL_DDL_APPLY_KEY_H
#define COMMON_MYSQL_DDL_APPLY_KEY_H

#include "common/compat.h"

#include "common/mysql/ddl_type.h"

const char *ddl_add_key(struct table *t, const struct ddl *d, const struct ddl_clause *c);
/* UNIQUE and PRIMARY KEY of a column's definition. */
const char *ddl_add_inline_key(struct table *t, uint32_t column, bool primary);
const char *ddl_add_fk(
	struct table *t, const struct ddl *d, const struct ddl_clause *c, bool mariadb);
/* REFERENCES of a column's definition. */
const char *ddl_add_inline_fk(
	struct table *t, const struct ddl *d, const struct ddl_clause *c, const char *column);
/* What foreign keys from number `first` on need beside the indexes that are there. */
void ddl_add_child_indexes(struct table *t, uint32_t first);
/* DROP KEY, DROP FOREIGN KEY, DROP CONSTRAINT, DROP PRIMARY KEY, RENAME KEY, DROP INDEX. */
const char *ddl_drop_key(struct table *t, const struct ddl *d, const struct ddl_clause *c);
void ddl_drop_index(struct table *t, uint32_t i);
/* The order of the catalog; columns of the primary key are NOT NULL. */
void ddl_settle_keys(struct table *t);

#endif
