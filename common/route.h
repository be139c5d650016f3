/*
 * route.h - which objects a channel carries, and what they are called at the target.
 *
 * Built from the `objects` of a channel's file: groups with `database`,
 * optional `table` (both with * and ?), `exclude`, `to_database`, `to_table`,
 * `columns` (pairs), `drop_columns`, `where` (filter.h). The most specific entry wins
 * (exact table over pattern, table over database, exact database over pattern;
 * among equals the first in the file), exclude beats include. Names are UTF-8
 * and compared byte by byte; ? is one character, * any number.
 *
 * What contradicts itself is RC_CONFIG: nothing selected, the same objects
 * named twice, to_table with a pattern or a whole database, to_database with a
 * pattern, an excluded entry with names or a filter, a filter that cannot be read, two columns
 * renamed to one name, a column renamed twice or also dropped, empty names.
 *
 * Immutable once built; any thread.
 */
#ifndef COMMON_ROUTE_H
#define COMMON_ROUTE_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/conf.h"
#include "common/schema.h"

struct routes;

enum rc routes_new(const struct conf *c, struct routes **out, struct err *e) MUSTCHECK;
void routes_free(struct routes *r);
/* Calls back with each mistake, not the first alone; each text begins with "objects". */
void routes_check(const struct conf *c, void (*cb)(void *arg, const char *text), void *arg);

/* Whether rows of this table are carried. */
bool routes_table(const struct routes *r, const char *db, const char *table);
/* Whether the database as a whole is selected: new tables join, views and routines come along. */
bool routes_database(const struct routes *r, const char *db);
/* Whether any table of the database can be selected: worth listing. */
bool routes_touches(const struct routes *r, const char *db);
/* Target names; borrowed from r or from the arguments. A table may go to another database than its
 * own does. */
const char *routes_target_db(const struct routes *r, const char *db);
const char *routes_table_db(const struct routes *r, const char *db, const char *table);
const char *routes_target_table(const struct routes *r, const char *db, const char *table);
/* NULL: the column is dropped. */
const char *routes_column(
	const struct routes *r, const char *db, const char *table, const char *column);
/* Whether the target's dialect takes no columns of its type (Greenplum: those of spec S4.3). */
bool routes_lacks_type(const struct routes *r, const struct column *c);
/* The table of the columns that are carried - neither dropped nor computed by the server nor of
 * such a type - and which of the whole table's (room for all of them) these are. */
struct table *routes_pick(const struct routes *r, const struct table *t, uint32_t *pick);
/* Columns that the entry lists for the target's table, by their names at the source. */
enum route_list { ROUTE_PRIMARY_KEY, ROUTE_DISTRIBUTED_BY, ROUTE_LISTS };
uint32_t routes_list(const struct routes *r, const char *db, const char *table,
	enum route_list which, const char *const **names);
/* The condition that its rows must meet, NULL: none. */
const char *routes_where(const struct routes *r, const char *db, const char *table);
/* Whether any entry has one. */
bool routes_where_any(const struct routes *r);
/* Whether any name changes anywhere (DDL must be rewritten). */
bool routes_rename(const struct routes *r);

bool glob_match(const char *pattern, const char *s);

#endif
