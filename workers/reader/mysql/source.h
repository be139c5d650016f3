/*
 * source.h - the MySQL source: what its files share.
 *
 * source.c   the engine's table, identity, first position
 * catalog.c  the selected objects with their definitions
 * stream.c   the log thread: events into the feed
 * session.c  the sessions that statements ran in
 * xa.c       prepared transactions and where they are
 * tables.c   the tables as of a place in the log
 * gap.c      a log that does not have what the channel needs
 * lane.c     chunk bounds, snapshots, reading
 * filter.c   filters in the server's words
 * body.c     which triggers and routines can be copied
 * check.c    the precheck
 */
#ifndef WORKERS_READER_MYSQL_SOURCE_H
#define WORKERS_READER_MYSQL_SOURCE_H

#include "common/compat.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/mysql/client.h"
#include "common/mysql/ddl.h"
#include "common/mysql/gtid.h"
#include "workers/reader/source.h"

struct mysql_source {
	struct source base; /* first */
	struct source_env env;
	struct client main; /* catalog, positions: the opening thread's, then the log thread's */
	struct client log;  /* the dump */
	pthread_mutex_t log_lock; /* of log's life, for wake */
	bool use_gtid;		  /* the log is asked for by GTIDs */
	bool gtid_snapshots;	  /* what has a GTID that is executed is visible */
	char *utf8mb4;		  /* the server's default collation of that set */
	atomic_bool woken;
};

/*
 * A place in a server's log: "mariadb-bin.000003:12345 begun=1764100000
 * gtid=0-1-22". The GTIDs rule where the server has them; file and offset order
 * places within one server, as long as the file is the one that was begun then.
 */
struct mysql_position {
	char file[512];
	uint64_t offset;
	uint32_t begun; /* the time in the file's first event; 0: not known */
	struct gtid_set gtids;
	bool has_gtids;
};

void position_init(struct mysql_position *p, bool mariadb);
void position_release(struct mysql_position *p);
enum rc position_parse(
	struct mysql_position *p, bool mariadb, const char *text, struct err *e) MUSTCHECK;
void position_print(const struct mysql_position *p, struct buf *b);
struct logpos position_at(const char *file, uint64_t offset);
/* The end of the server's log. */
enum rc position_of_log_end(struct client *c, struct mysql_position *p, struct err *e) MUSTCHECK;

/* Connects, and asks what every session needs to know. */
enum rc mysql_open(struct mysql_source *s, struct err *e) MUSTCHECK;
/* The GTIDs that the server has executed, as text; the caller's to free. */
enum rc mysql_executed(struct mysql_source *s, char **text, struct err *e) MUSTCHECK;

/* When the file of a place was begun; 0: the server has no such file, or it ends before. */
enum rc mysql_log_begun(struct mysql_source *s, const struct mysql_position *at, uint32_t *begun,
	struct err *e) MUSTCHECK;
/* That the server's log is the one that `at` is a place of: another one may have such a place, too.
 * CONFIG: it was begun anew. */
enum rc mysql_log_is_same(
	struct mysql_source *s, const struct mysql_position *at, struct err *e) MUSTCHECK;
/* What the server says with number 1236 is in *e: where the channel stands, what is there, what to
 * do; CONFIG. */
enum rc mysql_log_refused(struct mysql_source *s, const struct mysql_position *at, struct err *e);
/* The same where we have seen it ourselves: the log ends before `at`. */
enum rc mysql_log_begun_anew(
	struct mysql_source *s, const struct mysql_position *at, struct err *e);

/* As event_ddl.session: of a statement in the log; or bit by bit, of an object that SHOW CREATE
 * tells of. Words that mean nothing elsewhere are left out. */
struct binlog_query;
void session_print(struct mysql_source *s, const struct binlog_query *q, struct buf *b);
void session_add_modes(struct buf *b, const char *list);
void session_add_collation(struct buf *b, const char *variable, const char *name);

enum rc mysql_stream(
	struct source *s, const char *resume, const char *applied, struct err *e) MUSTCHECK;
void mysql_wake(struct source *s);
/* What a connection says before it asks for the log. */
enum rc mysql_prepare_dump(struct client *c, struct err *e) MUSTCHECK;

enum rc mysql_lane_open(struct source *s, struct source_lane **out, struct err *e) MUSTCHECK;
void mysql_lane_close(struct source_lane *l);
enum rc mysql_lane_bound(struct source_lane *l, const struct table *t, const struct buf *lo,
	uint64_t rows, struct buf *hi, bool *last, struct err *e) MUSTCHECK;
enum rc mysql_lane_snapshot(struct source_lane *l, const struct snapshot_request *req,
	struct logpos *high, struct err *e) MUSTCHECK;
enum rc mysql_lane_read(struct source_lane *l, const struct read_request *req, row_cb cb, void *arg,
	struct err *e) MUSTCHECK;
void mysql_lane_end(struct source_lane *l);

enum rc mysql_verify(struct source *s, const struct filter *f, struct err *e) MUSTCHECK;
enum rc mysql_compare(struct source *s, const struct column *c, const struct value *v,
	const char *literal, int *order, struct err *e) MUSTCHECK;

/* Whether the table (NULL: the database as a whole) is selected, and no database of a server's or
 * of ours. */
bool mysql_selects(const struct mysql_source *s, const char *db, const char *table);
/* The rows of a query that are selected, by a database in their first column or with a table in the
 * second, up to the first for which `cb` is not OK. */
enum selection { BY_DATABASE, BY_TABLE };
typedef enum rc (*selected_cb)(struct mysql_source *s, MYSQL_ROW row, void *arg, struct err *e);
enum rc mysql_each_selected(struct mysql_source *s, enum selection by, const char *query,
	selected_cb cb, void *arg, struct err *e) MUSTCHECK;
/* Within a transaction: from here to its end DDL of the table waits. */
enum rc mysql_touch(struct client *c, const struct table *t, struct err *e) MUSTCHECK;
/* Fills in its statement and session; the connection's names are utf8mb4 for that. */
enum rc mysql_define(struct mysql_source *s, struct catalog_object *o, struct err *e) MUSTCHECK;
/* left_out.c: what the target does not get. */
enum rc mysql_check_left_out(struct mysql_source *s, struct checks *out, struct err *e) MUSTCHECK;
enum rc mysql_catalog(
	struct source *s, struct catalog *out, struct logpos *high, struct err *e) MUSTCHECK;
enum rc mysql_newcomers(struct source *s, struct table_list *out, struct err *e) MUSTCHECK;

/* `triggers`; and the first word of a definition that is called otherwise at the target, or not
 * there: the body cannot follow that. The caller's, NULL: there is none. */
bool source_copies_triggers(const struct mysql_source *s);
char *ddl_names_renamed(const struct mysql_source *s, const struct ddl *d);
char *object_names_renamed(const struct mysql_source *s, const struct catalog_object *o);
#define TRIGGER_REMEDY \
	"set triggers = \"none\" and create it at the target by hand, or keep that name"
#define ROUTINE_REMEDY                                                                             \
	"keep that name; or select the tables alone, { database = \"...\"; table = \"*\"; }, and " \
	"create views and routines at the target by hand"
/* The condition, in brackets. */
void mysql_add_filter(struct buf *b, const struct filter *f);

enum rc mysql_check_source(
	struct source *s, bool want_sql, struct checks *out, struct err *e) MUSTCHECK;

/* What the reader's connections run under: no value of a table is refused, as a bound either. */
#define SOURCE_SQL_MODE "ALLOW_INVALID_DATES"

#endif
