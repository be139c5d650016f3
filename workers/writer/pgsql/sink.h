/*
 * sink.h - the PostgreSQL sink: what its files share.
 *
 * sink.c       the engine's table, our own tables at the target, taking over
 * lane.c       a lane's session, transactions, the checkpoint
 * dialect.c    relatives of PostgreSQL: Greenplum
 * type.c       canonical types: their columns and their values here
 * statement.c  prepared statements of row changes, their cache
 * pipeline.c   their executions, sent ahead of the answers
 * array.c      many changes as one execution
 * merge.c      changes that come by a temporary table
 * rows.c       batches, single rows, loads
 * names.c      the source's own statements with the target's names
 * define.c     the statements that make tables, indexes, foreign keys
 * object.c     initial objects, tables made anew
 * later.c      indexes and keys that wait for a table's rows
 * sequence.c   sequences of columns, moved up to their rows
 * ddl.c        DDL in its transaction
 * alter.c      what a statement has made of a table
 * check.c      the precheck
 */
#ifndef WORKERS_WRITER_PGSQL_SINK_H
#define WORKERS_WRITER_PGSQL_SINK_H

#include "common/compat.h"

#include "common/charset.h"
#include "common/mem.h"
#include "common/pgsql/client.h"
#include "workers/writer/sink.h"

/* A relative of PostgreSQL; target.dialect. */
struct pgsql_dialect {
	const char *name;
	const char *product; /* what version() says; NULL: anything else */
	bool distributed;  /* tables say by which columns of their key; unique indexes have these */
	bool staged;	   /* a batch of changes is merged from a temporary table */
	bool foreign_keys; /* are kept */
};

/* What a table of the source is made into. */
struct pgsql_shape {
	struct table *table;
	uint32_t *by; /* columns by which it is distributed */
	uint32_t nby;
};

struct pgsql_sink {
	struct sink base; /* first */
	struct sink_env env;
	struct pgsql main;
	uint64_t epoch;
	char *state;   /* quoted name of the state schema */
	uint32_t lock; /* first half of our advisory locks' keys; the second is the lane */
	const struct pgsql_dialect *dialect;
	bool native; /* the source is PostgreSQL, too: its definitions are taken as they are */
	bool defers; /* constraints that can be deferred are, as the source's transactions may have
		      */
	struct table **made; /* the tables that are here: parents of later ones, and children that
				wait for theirs; also those of earlier writers */
	size_t nmade, made_cap;
};

/* What a statement does; with the shape of its changes it is the key of the cache. */
enum form {
	FORM_INSERT,
	FORM_INSERT_KEEP,
	FORM_UPDATE,
	FORM_DELETE,
	/* of rows by their key, each parameter an array */
	FORM_ARRAY_UPDATE,
	FORM_ARRAY_DELETE,
	/* the same by way of a temporary table, which has the statement's name */
	FORM_STAGED_KEEP,
	FORM_STAGED_UPDATE,
	FORM_STAGED_DELETE
};

struct statement {
	char name[16]; /* "" : free */
	const struct target *target;
	enum form form;
	uint64_t shape;
	bool lacking;	 /* a type has no arrays: nothing is prepared */
	uint64_t since;	 /* mono_us */
	uint64_t used;	 /* for the LRU */
	uint32_t *after; /* columns of the rows, in the order of the parameters: new values */
	uint32_t nafter;
	uint32_t *before; /* then: values that find the row */
	uint32_t nbefore;
};

#define STATEMENTS 64

struct pgsql_lane {
	struct sink_lane base; /* first */
	struct pgsql_sink *sink;
	struct pgsql c;
	struct statement cache[STATEMENTS];
	uint64_t clock;
	struct buf garbage; /* DEALLOCATEs for the next BEGIN */
	struct transcoder *transcoder;
	struct buf scratch;  /* one value */
	struct buf text;     /* the values of one row, or rows for COPY */
	size_t *at;	     /* of each parameter in text; SIZE_MAX: NULL */
	const char **params; /* the same as pointers */
	size_t params_cap, at_cap;
	uint64_t **sent; /* what counts the rows of each execution that is not answered */
	size_t nsent, sent_cap;
	size_t unsent;	      /* bytes that the library may still keep */
	bool checkpoint;      /* its statement is prepared */
	bool may_skip_checks; /* the account may set session_replication_role */
	bool in_txn;
	bool fk_off; /* foreign keys and triggers are, now; and if it is rolled back, to where */
	bool fk_off_before, fk_off_savepoint;
};

/* Names of functions begin with pgsink_: all engines are linked into one program. */

enum rc pgsink_lane_open(
	struct sink *s, unsigned number, struct sink_lane **out, struct err *e) MUSTCHECK;
void pgsink_lane_close(struct sink_lane *l);
enum rc pgsink_begin(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc pgsink_savepoint(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc pgsink_rollback_to_savepoint(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc pgsink_commit(struct sink_lane *l, const struct checkpoint *c, struct err *e) MUSTCHECK;
enum rc pgsink_rollback(struct sink_lane *l, struct err *e) MUSTCHECK;
/* Runs a statement of the lane's; deadlocks are marked as SINK_DEADLOCK. */
enum rc pgsink_exec(struct pgsql_lane *l, const char *sql, struct err *e) MUSTCHECK;
/* pgsql_error with deadlocks marked. */
enum rc pgsink_error(struct pgsql_lane *l, const PGresult *res, struct err *e, const char *what);
/* Foreign keys and triggers off or on, in a transaction, as far as the account may. */
enum rc pgsink_fk(struct pgsql_lane *l, bool off, struct err *e) MUSTCHECK;

const struct pgsql_dialect *pgsink_dialect(const struct conf *c);
/* The server is what target.dialect says, and not too old. */
enum rc pgsink_check_dialect(struct pgsql_sink *s, struct err *e) MUSTCHECK;
/* CONFIG: it cannot be made here. Releases are the caller's in any case. */
enum rc pgsink_shape(const struct pgsql_sink *s, const struct table *t, struct pgsql_shape *out,
	struct err *e) MUSTCHECK;
enum rc pgsink_check_cascades(
	const struct pgsql_sink *s, const struct table *t, struct err *e) MUSTCHECK;
void pgsink_shape_release(struct pgsql_shape *s);

/* The type that a column of the source gets here. */
void pgsink_type(struct buf *b, const struct column *c);
/* Appends the server's text of a value of the source's column `s` for the target's column `t`. */
enum rc pgsink_render(struct transcoder *tr, const struct column *s, const struct column *t,
	const struct value *v, struct buf *out, struct err *e) MUSTCHECK;

/* The table's name where its rows are meant: "ONLY a.b", for those of tables that inherit from it
 * are theirs; not of a partitioned one, which has none but its partitions'. */
void pgsink_quote_rows(struct pgsql_lane *l, struct buf *b, const char *schema, const char *name);

/*
 * Sends an execution of the statement with l->params, whose text is l->text; to *found is added,
 * at the latest by pgsink_settle, how many rows it found or wrote. What has failed may be said
 * by any later one. No other statement may be run before pgsink_settle.
 */
enum rc pgsink_ahead(
	struct pgsql_lane *l, const struct statement *s, uint64_t *found, struct err *e) MUSTCHECK;
/* Every execution that was sent is answered; the first failure is the one. */
enum rc pgsink_settle(struct pgsql_lane *l, struct err *e) MUSTCHECK;
/* The same where it does not matter any more. */
void pgsink_abandon(struct pgsql_lane *l);
/* Sends changes of one shape, an execution each. */
enum rc pgsink_each(struct pgsql_lane *l, enum form form, const struct change *const *changes,
	uint32_t n, uint64_t *found, struct err *e) MUSTCHECK;
/* The same for UPDATE and DELETE, as few executions. */
enum rc pgsink_arrays(struct pgsql_lane *l, enum form form, const struct change *const *changes,
	uint32_t n, uint64_t *found, struct err *e) MUSTCHECK;
/* The statement of changes like this one; a staged one has its lists and its name alone. */
enum rc pgsink_statement(struct pgsql_lane *l, enum form form, const struct change *c,
	struct statement **out, struct err *e) MUSTCHECK;
void pgsink_drop_statements(struct pgsql_lane *l);
/* Whether column i of the rows stands in the image and has a column at the target. */
bool pgsink_is_carried(const struct target *t, const struct row *r, uint32_t i);

/* Appends a value in COPY's binary format, its length before it, to l->text. */
typedef enum rc pgsink_put(struct pgsql_lane *l, const struct column *source,
	const struct column *target, const struct value *v, struct err *e);

/* A column of a COPY: the rows' i-th, of the image before or after. */
struct copied {
	uint32_t column;
	bool before;
	pgsink_put *put; /* see pgsink_is_binary */
};

/* binary.c: whether all of the columns can go so; sets their `put`. */
bool pgsink_is_binary(
	const struct pgsql_lane *l, const struct target *t, struct copied *columns, uint32_t n);
void pgsink_binary_begin(struct pgsql_lane *l);
enum rc pgsink_binary_row(struct pgsql_lane *l, const struct copied *columns, uint32_t n,
	const struct change *c, struct err *e) MUSTCHECK;
void pgsink_binary_end(struct pgsql_lane *l);

/* into: "table (a, b)". All rows are written, or it is an error. */
enum rc pgsink_copy(struct pgsql_lane *l, const char *into, struct copied *columns,
	uint32_t ncolumns, const struct change *const *rows, uint32_t n, uint64_t *found,
	struct err *e) MUSTCHECK;
/* Runs changes of one shape as one statement, by way of a temporary table. */
enum rc pgsink_merge(struct pgsql_lane *l, enum form form, const struct change *const *changes,
	uint32_t n, uint64_t *found, struct err *e) MUSTCHECK;

enum rc pgsink_batch(struct sink_lane *l, struct batch *b, struct err *e) MUSTCHECK;
enum rc pgsink_answers(struct sink_lane *l, struct err *e) MUSTCHECK;
enum rc pgsink_row(struct sink_lane *l, const struct change *c, enum row_mode mode, bool fk_checks,
	struct outcome *out, struct err *e) MUSTCHECK;
enum rc pgsink_fetch(
	struct sink_lane *l, const struct change *c, char **text, struct err *e) MUSTCHECK;
enum rc pgsink_load(struct sink_lane *l, struct target *t, struct change *const *rows,
	uint32_t count, bool keep, uint64_t *kept, struct err *e) MUSTCHECK;

/* A statement of a source of our own kind, by the target's names. */
void pgsink_map_names(const struct routes *r, const char *sql, struct buf *out);
/* The column's name here; NULL: it is not carried. */
const char *pgsink_column(const struct pgsql_lane *l, const struct table *t, uint32_t i);
void pgsink_column_type(const struct pgsql_sink *s, struct buf *b, const struct column *c);
/* name, type, what else belongs to it */
void pgsink_define_column(
	const struct pgsql_sink *s, struct buf *b, const struct column *c, const char *name);
void pgsink_create_table(const struct pgsql_lane *l, struct buf *b, const struct pgsql_shape *s,
	const char *schema, const char *name);
/* Whether an index like this can be made here. */
bool pgsink_can_be_indexed(
	const struct pgsql_sink *s, const struct table *t, const struct index *ix);
void pgsink_index_name(
	const struct pgsql_sink *s, struct buf *b, const char *table, const struct index *ix);
void pgsink_create_index(const struct pgsql_lane *l, struct buf *b, const struct table *t,
	const struct index *ix, const char *schema, const char *name);
/* A primary key here, too: not one over the first characters of a column, which is a unique index.
 */
bool pgsink_is_primary(const struct index *ix);
/* ADD PRIMARY KEY (..), of ALTER TABLE. */
void pgsink_primary_key(
	const struct pgsql_lane *l, struct buf *b, const struct table *t, const struct index *ix);
bool pgsink_carries_fk(
	const struct pgsql_lane *l, const struct table *t, const struct foreign_key *fk);
void pgsink_add_fk(const struct pgsql_lane *l, struct buf *b, const struct table *t,
	const struct foreign_key *fk);

/* The table is here from now on; takes t over. */
void pgsink_add_made(struct pgsql_sink *s, struct table *t);
void pgsink_forget_made(struct pgsql_sink *s, const char *db, const char *name);
/* 'channel', 'db', 'name': the key of a table's row of ours. */
void pgsink_add_key(const struct pgsql_lane *l, struct buf *b, const char *db, const char *name);
/* The new table is ours, and loads: its indexes may go when that begins. */
enum rc pgsink_may_wait(
	struct pgsql_lane *l, const struct event_object *o, struct err *e) MUSTCHECK;
enum rc pgsink_loading(
	struct sink_lane *l, const struct target *t, bool *unkeyed, struct err *e) MUSTCHECK;
enum rc pgsink_keys(struct sink_lane *l, const char *source_db, const char *source_name,
	struct err *e) MUSTCHECK;
enum rc pgsink_loaded(struct sink_lane *l, const struct target *t, struct err *e) MUSTCHECK;
/* Moves the sequences of our tables' columns up to what their rows have. */
void pgsink_move_sequences(struct pgsql_sink *s);
/* A long statement runs, or has ended: for whoever watches. */
void pgsink_busy(struct pgsql_lane *l, bool on);
enum rc pgsink_make_schema(struct pgsql_lane *l, const char *schema, struct err *e) MUSTCHECK;
enum rc pgsink_is_there(struct pgsql_lane *l, const char *schema, const char *name, bool *there,
	struct err *e) MUSTCHECK;
/* What the last statement was to make is there: made before a crash, or by somebody else. */
bool pgsink_is_there_already(const struct pgsql_lane *l);
/* The table with its indexes, from its description. */
enum rc pgsink_create_from_columns(struct pgsql_lane *l, const struct table *t, const char *schema,
	const char *name, struct err *e) MUSTCHECK;
enum rc pgsink_make_fk(struct pgsql_lane *l, const struct table *t, const struct foreign_key *fk,
	struct err *e) MUSTCHECK;
/* Its rows go, and nothing else. */
enum rc pgsink_empty(
	struct pgsql_lane *l, const char *schema, const char *name, struct err *e) MUSTCHECK;
/* Those of the new table whose parents are there, and those of others that have waited for it. */
enum rc pgsink_make_fks(struct pgsql_lane *l, const struct table *t, struct err *e) MUSTCHECK;
/* The target's name of a table. */
void pgsink_add_target(const struct pgsql_lane *l, struct buf *b, const char *db, const char *name);
/* The same as a literal, for regclass. */
void pgsink_add_literal(
	const struct pgsql_lane *l, struct buf *b, const char *db, const char *name);
/* Columns and indexes as they are after a statement. */
enum rc pgsink_alter_table(struct pgsql_lane *l, const struct table_change *ch,
	const struct table *before, const struct table *after, struct err *e) MUSTCHECK;
/* Foreign keys that the statement has taken from the table, and those that it has given to it. */
enum rc pgsink_lose_fks(struct pgsql_lane *l, const struct table *before, const struct table *after,
	struct err *e) MUSTCHECK;
enum rc pgsink_gain_fks(struct pgsql_lane *l, const struct table *before, const struct table *after,
	struct err *e) MUSTCHECK;
enum rc pgsink_ddl(struct sink_lane *l, const struct event_ddl *d,
	const struct table_record *records, uint32_t nrecords, const struct checkpoint *c,
	char **skipped, struct err *e) MUSTCHECK;
enum rc pgsink_object(struct sink_lane *l, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e) MUSTCHECK;

enum rc pgsink_check(struct sink *s, bool want_sql, struct checks *out, struct err *e) MUSTCHECK;
/* The statements that make our tables. */
void pgsink_state_sql(const struct pgsql_sink *s, size_t i, struct buf *out);
size_t pgsink_state_count(void);

#endif
