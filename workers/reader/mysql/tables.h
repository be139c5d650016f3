/*
 * tables.h - the source's tables as of a place in its log.
 *
 * A table's schema follows the log: what the target has kept for the position
 * we start from, then each statement of the log in its turn. The catalog, which
 * is always later than the log, is asked only for tables and clauses that the
 * log does not explain. The log thread's alone; calls that reach the feed are
 * made between feed_begin and feed_commit.
 */
#ifndef WORKERS_READER_MYSQL_TABLES_H
#define WORKERS_READER_MYSQL_TABLES_H

#include "common/compat.h"

#include "common/mysql/ddl.h"
#include "common/mysql/ddl_apply.h"
#include "workers/reader/feed.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/source.h"

struct log_table;

/* What a TABLE_MAP's number stands for, until the log rotates. */
struct log_map {
	struct binlog_table *map;
	struct log_table *table; /* NULL: not wanted */
};

struct log_tables {
	struct mysql_source *s;
	struct feed *feed;
	const struct mysql_position *at; /* for messages: the place that is being read */
	const uint64_t *position;
	struct log_table *tables;
	struct log_map *maps;
	size_t nmaps, maps_cap;
	struct ddl_env env;
	bool logs_cascades;
	char *engine;
};

/* s, feed, at and position are set by the caller. */
enum rc log_tables_open(struct log_tables *lt, struct err *e) MUSTCHECK;
/* The tables as of the position, from the target's keeping. */
enum rc log_tables_restore(struct log_tables *lt, struct err *e) MUSTCHECK;
void log_tables_release(struct log_tables *lt);

/* Takes m over, also where it fails. A table whose columns cannot be told is quarantined. */
enum rc log_tables_map(struct log_tables *lt, struct binlog_table *m, struct err *e) MUSTCHECK;
/* One table's trouble is not the others': RC_DATA in e becomes its quarantine, and OK. */
enum rc log_tables_quarantine(
	const struct log_tables *lt, struct log_table *t, struct err *e) MUSTCHECK;
/* NULL: no TABLE_MAP had this number. */
const struct log_map *log_tables_find(const struct log_tables *lt, uint64_t id);
void log_tables_forget_maps(struct log_tables *lt);

/*
 * The changes that the statement makes to tables, for the feed; room for
 * d->nnames. log_changes_free when done.
 */
enum rc log_tables_changes(struct log_tables *lt, const struct ddl *d, struct ddl_change *changes,
	uint32_t *n, struct err *e) MUSTCHECK;
/* CREATE TABLE IF NOT EXISTS, and it does: whatever state the table is in, it stays in that. */
bool log_tables_idle(const struct log_tables *lt, const struct ddl *d);
/*
 * Tables that the statement brings into the selection: RENAME and CREATE TABLE
 * .. LIKE of what is not selected. The target cannot do the same: what it can
 * do of such a statement is log_tables_rest; behind that they join.
 */
bool log_tables_joins(const struct log_tables *lt, const struct ddl *d);
void log_tables_rest(const struct log_tables *lt, const struct ddl *d, struct buf *sql);
enum rc log_tables_join(struct log_tables *lt, const struct ddl *d, struct err *e) MUSTCHECK;
void log_changes_free(struct ddl_change *changes, uint32_t n);
/* What names alone do not tell of the way to this table: renames, new columns and what the rows
 * that are there get. The caller's to free, with the texts `from` and `fill`. */
struct column_change *ddl_column_changes(const struct ddl *d, const struct table *now, uint32_t *n);
/* What is known of tables here follows such a change. */
void log_tables_follow(struct log_tables *lt, const struct ddl_change *c);

const struct table *log_table_schema(const struct log_table *t);
struct feed_table *log_table_feed(const struct log_table *t);

#endif
