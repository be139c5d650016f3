/*
 * tables.h - the source's tables as of a place in its log.
 *
 * The log describes a relation - names, types, identity - before the first of
 * its rows, and again when it has changed. A table is what the target has kept
 * for the position we start from, or the catalog's at the beginning; where a
 * relation says otherwise, a statement at the source has changed it: that is
 * the change which goes into the feed, at the first row that follows. What a
 * relation does not tell (keys, other indexes) the catalog does, which is later
 * than the log.
 *
 * The log thread's alone; calls that reach the feed are made between feed_begin
 * and feed_commit.
 */
#ifndef WORKERS_READER_PGSQL_TABLES_H
#define WORKERS_READER_PGSQL_TABLES_H

#include "common/compat.h"

#include "workers/reader/feed.h"
#include "workers/reader/pgsql/event.h"
#include "workers/reader/pgsql/note.h"
#include "workers/reader/pgsql/source.h"

struct relation {
	uint32_t oid;
	char *schema;
	char *name;
	char identity;
	struct pgout_column *columns; /* with names of their own */
	uint32_t ncolumns;
	bool selected;
	bool notes;   /* it is the table of note.h */
	bool checked; /* against the table: the three below are right */
	const struct table *table;
	struct feed_table *feed;
	uint32_t *map; /* column of the relation -> column of the table */
	struct relation *next;
};

struct log_relations {
	struct pgsql_source *s;
	struct feed *feed;
	struct relation *relations;
	struct table_list tables; /* as of the place */
	struct native_type *types;
	uint32_t lines; /* relations that have no number but this one of ours */
};

/* s and feed are set by the caller. */
enum rc log_relations_restore(struct log_relations *lr, struct err *e) MUSTCHECK;
void log_relations_release(struct log_relations *lr);

void log_relations_take(struct log_relations *lr, const struct pgout_relation *r);
/*
 * For rows of lines (event.h): takes their relation where it is not known so,
 * gives ev its number, and brings its tuples into the relation's shape.
 */
enum rc log_relations_line(
	struct log_relations *lr, struct pgout_event *ev, struct arena *a, struct err *e) MUSTCHECK;
bool log_relations_knows(const struct log_relations *lr, const char *db, const char *name);
/* NULL: the log has not described it. */
struct relation *log_relations_find(const struct log_relations *lr, uint32_t oid);

/* Whether anything has told of the table before; else *now is what it is, the caller's to free. */
enum rc log_relations_meet(struct log_relations *lr, const struct relation *r, bool *known,
	struct table **now, struct err *e) MUSTCHECK;
/*
 * Makes r->table, feed and map right. *changed: the relation is not the table
 * that was known; *now (the caller's to free) is what the table has become, and
 * nothing else has been done: feed the change, then log_relations_follow, then
 * ask again.
 */
enum rc log_relations_check(struct log_relations *lr, struct relation *r, bool *changed,
	struct table **now, struct err *e) MUSTCHECK;
/*
 * What names alone do not tell of the way from the known table to this one.
 * noted: what the source has noted of it; NULL: the catalog is asked for what
 * older rows have. column_changes_free in any case.
 */
enum rc log_relations_columns(struct log_relations *lr, const struct table *now,
	const struct noted *noted, struct column_change **out, uint32_t *n,
	struct err *e) MUSTCHECK;
void column_changes_free(struct column_change *changes, uint32_t n);
void log_relations_follow(struct log_relations *lr, const struct table *now);
void log_relations_forget(struct log_relations *lr, const char *schema, const char *name);

#endif
