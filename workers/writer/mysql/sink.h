/*
 * sink.h - the MySQL sink: what its files share.
 *
 * sink.c       the engine's table, our own tables at the target, taking over
 * lane.c       a lane's session, transactions, the checkpoint
 * statement.c  prepared statements of row changes, their cache
 * rows.c       batches, single rows, loads
 * run.c        a statement of the source's in the target's names and this server's words
 * ddl.c        DDL with its note
 * later.c      indexes that wait until a table is loaded
 * object.c     initial objects, whether this server can have them
 * session.c    a statement's session: the source's settings and collations in this server's words
 * engine.c     tables of engines without transactions become InnoDB
 * foreign.c    tables of sources that speak another language
 * foreign_change.c  their changes
 * check.c      the precheck
 */
#ifndef WORKERS_WRITER_MYSQL_SINK_H
#define WORKERS_WRITER_MYSQL_SINK_H

#include "common/compat.h"

#include "common/mem.h"
#include "common/mysql/client.h"
#include "common/mysql/ddl.h"
#include "workers/writer/sink.h"

struct mysql_sink {
	struct sink base; /* first */
	struct sink_env env;
	struct client main;
	uint64_t epoch;
	char *state;   /* quoted name of the state schema */
	bool foreign;  /* the source speaks another language */
	char lock[48]; /* prefix of the names of our locks */
};

/* What a statement does; with the shape of its changes it is the key of the cache. */
enum form { FORM_INSERT, FORM_INSERT_IGNORE, FORM_UPDATE, FORM_DELETE, FORM_COUNT };

struct statement {
	MYSQL_STMT *st;
	const struct target *target;
	enum form form;
	uint64_t shape;
	uint32_t rows;	 /* rows that one execution takes by its text; 1 with array binding */
	uint64_t used;	 /* for the LRU */
	uint32_t *after; /* columns of the rows, in the order of the parameters: new values */
	uint32_t nafter;
	uint32_t *before; /* then: values that find the row */
	uint32_t nbefore;
};

/* A collation that this target does not know, and what stands for it; found once a lane, and warned
 * of once. */
struct stand_in {
	struct stand_in *next;
	char *name;
	char *instead;
};

/* Whether it is more than another name of the same. */
bool stand_in_differs(const struct stand_in *s);

#define STATEMENTS 64

struct mysql_lane {
	struct sink_lane base; /* first */
	struct mysql_sink *sink;
	struct client c;
	struct statement cache[STATEMENTS];
	uint64_t clock;
	MYSQL_STMT *checkpoint;
	struct arena arena; /* bindings of one execution */
	bool bulk;	    /* the server takes array bindings */
	bool in_txn;
	bool fk_off;		    /* the session's foreign_key_checks are */
	bool lenient;		    /* the session is in SINK_LENIENT_MODE */
	struct stand_in *stand_ins; /* session.c: for collations that this target does not know */
};

/* Names are binary bytes at the target, whatever its default character set. */
#define SINK_LENIENT_MODE "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION"
/*
 * Puts a CREATE TRIGGER's body under the condition that the variable is not set,
 * as it is in our sessions. d: the statement that `sql` says.
 */
#define TRIGGER_VARIABLE "syncline_applies"
void trigger_guard(const struct ddl *d, struct buf *sql);

#define SINK_SQL_MODE "STRICT_ALL_TABLES," SINK_LENIENT_MODE

/* A session as lanes have it that belongs to no lane; sink_lane_close ends it. */
enum rc lane_open(struct mysql_sink *s, struct mysql_lane **out, struct err *e) MUSTCHECK;
enum rc sink_lane_open(
	struct sink *s, unsigned number, struct sink_lane **out, struct err *e) MUSTCHECK;
void sink_lane_close(struct sink_lane *l);
enum rc sink_begin(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc sink_savepoint(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc sink_rollback_to_savepoint(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc sink_commit(struct sink_lane *l, const struct checkpoint *c, struct err *e) MUSTCHECK;
enum rc sink_rollback(struct sink_lane *l, struct err *e) MUSTCHECK;
/* Moves the checkpoint row without committing. */
enum rc lane_move_checkpoint(
	struct mysql_lane *l, const struct checkpoint *c, struct err *e) MUSTCHECK;
/* As client_run, with deadlocks marked as SINK_DEADLOCK. */
enum rc lane_failed(struct mysql_lane *l, MYSQL_STMT *st, struct err *e, const char *what);
/* Foreign keys' checks and cascades as a change wants them. */
enum rc lane_fk(struct mysql_lane *l, bool off, struct err *e) MUSTCHECK;
enum rc lane_exec(struct mysql_lane *l, const struct buf *sql, struct err *e) MUSTCHECK;
/* Whether the target's table (of the source's names) has a part of that name there. */
#define HAS_COLUMN "COLUMNS WHERE (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)"
#define HAS_INDEX "STATISTICS WHERE (TABLE_SCHEMA, TABLE_NAME, INDEX_NAME)"
/* an index that begins with the column */
#define HAS_INDEX_ON "STATISTICS WHERE SEQ_IN_INDEX = 1 AND (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)"
enum rc lane_has(struct mysql_lane *l, const char *what, const char *db, const char *table,
	const char *part, bool *has, struct err *e) MUSTCHECK;

/* The prepared statement for changes of one shape; rows: how many are waiting. */
enum rc statement_get(struct mysql_lane *l, enum form form, const struct change *c, uint32_t rows,
	struct statement **out, struct err *e) MUSTCHECK;
/* statement_text.c: which columns a statement of s->form for s->rows rows like this one names, and
 * its text. */
void statement_write(struct statement *s, const struct change *c, struct buf *b);
/* Whether a parameter of this column is. */
bool statement_unsigned(const struct column *c);
/* Binds and executes for changes[0..n): n is st->rows, or any number with array binding. *found:
 * rows found or written. */
enum rc statement_run(struct mysql_lane *l, struct statement *st,
	const struct change *const *changes, uint32_t n, uint64_t *found, struct err *e) MUSTCHECK;
/* A change with a value that is sent in pieces: no other shares its execution. */
bool statement_alone(const struct change *c);
void statements_drop(struct mysql_lane *l);

enum rc sink_batch(struct sink_lane *l, struct batch *b, struct err *e) MUSTCHECK;
enum rc sink_row(struct sink_lane *l, const struct change *c, enum row_mode mode, bool fk_checks,
	struct outcome *out, struct err *e) MUSTCHECK;
enum rc sink_fetch(
	struct sink_lane *l, const struct change *c, char **text, struct err *e) MUSTCHECK;
enum rc sink_load(struct sink_lane *l, struct target *t, struct change *const *rows, uint32_t count,
	bool keep, uint64_t *kept, struct err *e) MUSTCHECK;

/* CREATE TABLE, and a change, of a source that speaks another language; an empty text: nothing is
 * to be done. */
void foreign_create(const struct losses *l, const struct table *t, struct buf *b);
enum rc foreign_change(struct mysql_lane *l, const struct table_change *ch, struct buf *b,
	struct err *e) MUSTCHECK;

/* A statement of the source's: parsed, with the target's names, and run in its own session. */
void run_parse(struct ddl *d, const struct event_ddl *ev);
enum ddl_rewritten run_rewrite(
	struct mysql_lane *l, const struct ddl *d, bool drop_definer, struct buf *out);
enum rc run_cannot_rewrite(const struct ddl *d, struct err *e);
/* *lost: what of it this server has no words for, and was left out. */
enum rc run_statement(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct buf *lost, struct err *e) MUSTCHECK;
/* The same, with a warning of what is lost. */
enum rc run_warned(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e) MUSTCHECK;
/* What a person can do about a statement that the target refused. */
void run_remedy(struct err *e, const char *otherwise);
/* The lane is busy with a statement that may take long. */
void run_busy(struct mysql_lane *l, bool on);

enum rc sink_ddl(struct sink_lane *l, const struct event_ddl *d, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e) MUSTCHECK;
enum rc sink_object(struct sink_lane *l, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e) MUSTCHECK;

/* The table, just made and empty: which of its indexes are to wait. */
enum rc later_put_off(struct mysql_lane *l, const struct event_object *o, const struct table *t,
	struct err *e) MUSTCHECK;
/* What waits of a table (by its names at the source) is made, in no transaction of the caller's:
 * there is none afterwards if *made. */
enum rc later_make(struct mysql_lane *l, const char *db, const char *name, bool *made,
	struct err *e) MUSTCHECK;
/* The same for parents that the table's foreign keys cannot refer to without. */
enum rc later_make_parents(struct mysql_lane *l, const struct table *t, struct err *e) MUSTCHECK;
/* The table is gone, or begins anew. */
enum rc later_forget(
	struct mysql_lane *l, const char *db, const char *name, struct err *e) MUSTCHECK;
enum rc sink_loaded(struct sink_lane *l, const struct target *t, struct err *e) MUSTCHECK;

/* Whether this server can have the table: made among our own, and dropped. *sql: what was said. */
enum rc sink_try_table(struct mysql_lane *l, const struct found_table *t, struct buf *sql,
	struct buf *lost, struct err *e) MUSTCHECK;

bool session_has_mode(const struct event_ddl *ev, const char *mode);
/* The source's session for a statement, as far as this target has it; and back to ours. */
enum rc session_enter(struct mysql_lane *l, const struct event_ddl *ev, struct err *e) MUSTCHECK;
void session_forget(struct mysql_lane *l);
enum rc session_leave(struct mysql_lane *l, struct err *e) MUSTCHECK;
/* The statement with the target's names for collations. */
enum rc session_collations(struct mysql_lane *l, const struct event_ddl *ev, const struct buf *sql,
	struct buf *out, struct err *e) MUSTCHECK;
/* Appends the statement (of d, its text may be another by now) with options of tables that are for
 * InnoDB: engines without transactions cannot be carried whole. */
void sink_engines(const struct ddl *d, const struct buf *sql, struct buf *out);

enum rc sink_check(struct sink *s, bool want_sql, struct checks *out, struct err *e) MUSTCHECK;
/* The statements that make our tables, one after the other in the buffer. */
void sink_state_sql(const struct mysql_sink *s, size_t i, struct buf *out);
size_t sink_state_count(void);

#endif
