/*
 * definitions.h - the statements that make a PostgreSQL source's objects.
 *
 * Composed by the server itself (pg_get_viewdef and its kin), all names with
 * their schema, in an order in which they can be run: what an object stands on
 * comes first, by pg_depend. What selected objects need of other schemas comes
 * along (a type of a column, an extension); a view or routine that stands on a
 * table which is not selected is left out, with a word in the log.
 *
 * A table's statement has its own sequences with the values that they have
 * reached, partitions, constraints but foreign keys, indexes and comments.
 * Before PostgreSQL 10 there are tables alone, without statements.
 */
#ifndef WORKERS_READER_PGSQL_DEFINITIONS_H
#define WORKERS_READER_PGSQL_DEFINITIONS_H

#include "common/compat.h"

#include "workers/reader/pgsql/source.h"

/* Adds all selected objects to the catalog, as `c` sees them; tables are taken out of `list` as
 * they are found. */
enum rc definitions_read(struct pgsql_source *s, struct pgsql *c, struct table_list *list,
	struct catalog *out, struct err *e) MUSTCHECK;

/* All objects of a kind but databases, as a query of a server from 10 on: class and number of the
 * catalog, schema, name, statement, of a trigger its table; parts of tables (single
 * partitions, sequences of columns) too, or not. The caller's to free. */
char *definitions_query(enum object_kind kind, int version, bool parts);
/* Columns that are left out or renamed are nowhere in the statement: without one, the target makes
 * the table from its columns. */
bool definitions_are_whole(const struct pgsql_source *s, const struct table *t);

#endif
