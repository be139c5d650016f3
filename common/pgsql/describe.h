/*
 * describe.h - a server's tables as struct table, from the system catalogs.
 *
 * A schema of the database is what `db` says. Types without a canonical one
 * are TEXT, as the server prints and reads them: arrays, ranges, intervals,
 * enums, composites, numeric without a precision, and whatever an extension
 * brings. Deterministic collations are called "binary": equality is that of
 * bytes; others, and types whose equality is not that of their text, have none.
 */
#ifndef COMMON_PGSQL_DESCRIBE_H
#define COMMON_PGSQL_DESCRIBE_H

#include "common/compat.h"

#include "common/pgsql/client.h"
#include "common/schema.h"

/*
 * Tables and roots of partitioned tables (not the partitions): one (schema and
 * name), all of a schema (name NULL), or all but the system's (both NULL).
 */
enum rc pgsql_describe(struct pgsql *c, const char *schema, const char *name,
	struct table_list *out, struct err *e) MUSTCHECK;

/*
 * What hangs from tables, as queries on n(amespace) and c(lass) whose rows any
 * hand may bring: ours, or the server's own where it notes a change.
 */
enum pgsql_part { PGSQL_COLUMNS, PGSQL_INDEXES, PGSQL_FKS, PGSQL_PARTS };

/* The query for tables that meet the filter; the rows of each table are together. */
void pgsql_part_query(enum pgsql_part part, int version, const char *filter, struct buf *b);
int pgsql_part_fields(enum pgsql_part part);
/* Adds what the rows say to the tables that are listed. */
void pgsql_part_take(enum pgsql_part part, const PGresult *res, struct table_list *out);

/* What a column of this type carries: typname without domains, modifier (-1: none). */
void pgsql_column_type(struct column *c, const char *typname, int32_t typmod);

/*
 * " = ", or another operator of the column's order and equality: that of an
 * extension's type is not on our search path, and is named with its schema.
 */
void pgsql_operator(struct pgsql *c, struct buf *b, const char *op, const struct column *col);

#endif
