/*
 * sink.h - the contract of a sink engine with transactions.
 *
 * An engine is a static const table of functions, listed in sinks.def. The
 * generic writer (apply.c) reads rings, schedules, retries and decides about
 * conflicts; the engine knows how to say things to its server.
 *
 * Threads: `create`, `check`, `open`, `describe`, `wish`, `clear`, `free` run on
 * the main thread; each lane has a thread, a connection and at most one open
 * transaction. describe may run while lanes run.
 *
 * Failures of lane functions:
 *   RETRY     with e->code 0: the connection is lost, and with it whether a COMMIT
 *             took place: the worker ends, the next one reads it from the target.
 *             With SINK_DEADLOCK: rolled back by deadlock, lock timeout or
 *             serialization failure: run the group again.
 *   CONFLICT  a row was not as expected (duplicate, missing, fk); see outcome.
 *   FENCED    the checkpoint row has another epoch.
 *   CONFIG, DATA as everywhere.
 */
#ifndef WORKERS_WRITER_SINK_H
#define WORKERS_WRITER_SINK_H

#include "common/compat.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/event.h"
#include "common/route.h"
#include "common/schema.h"
#include "ipc/report.h"
#include "workers/writer/batch.h"
#include "workers/writer/loss.h"
#include "workers/writer/token.h"

#define SINK_DEADLOCK 1213

struct sink_env {
	const struct conf *conf;
	const struct routes *routes;
	struct losses losses;
	const char *channel; /* the channel's id */
	uint32_t nlanes;
	const atomic_bool *stop;
	_Atomic uint64_t *stats;
	const struct found *found; /* of a check: what the source selects; none: it cannot tell */
};

struct sink {
	const struct sink_ops *ops;
};

struct sink_lane {
	struct sink *sink;
	unsigned number;
};

/* A table as the writer knows it. Immutable between barriers but for `state` and `inserted` (the
 * scheduler's thread). */
struct target {
	uint32_t number; /* of the SCHEMA event */
	char *source_db; /* names at the source: keys of the table's state */
	char *source_name;
	char *db; /* names at the target */
	char *name;
	struct table *source; /* columns as the rows carry them */
	struct table *table;  /* the target's own */
	uint32_t *map; /* column of the rows -> column of the target; UINT32_MAX: not there */
	bool *nulls;   /* columns of the rows of which some values become NULL, see loss.h; NULL:
			  none */
	const struct index *key; /* of table: what identifies a row; NULL: keyless, or its columns
				    are not all carried */
	struct token_plan *plan;
	enum table_state state;
	bool inserted; /* the stream has inserted into it since its load began */
	void *engine;  /* the engine's own, see target_release */
};

/* What the checkpoint row is moved to, in the transaction that is committed. */
struct checkpoint {
	uint64_t turn; /* the row must be at turn - 1 */
	const char *applied;
	const char *resume;
	uint64_t order;
	uint32_t incarnation;
	uint64_t time_us;
	const char *source_id; /* set with START */
};

/* A table's row of ours, as table_state writes it. */
struct table_record {
	const char *source_db, *source_name;
	enum table_state state;
	bool inserted;
	struct buf schema;
};

/* What single-row execution found. */
enum outcome_kind {
	OUTCOME_DONE,
	OUTCOME_DUPLICATE,
	OUTCOME_MISSING,
	OUTCOME_PARENT_MISSING,
	OUTCOME_OTHER
};

struct outcome {
	enum outcome_kind kind;
	char detail[512]; /* the server's words */
};

/* How a row change is to be executed. */
enum row_mode {
	ROW_STRICT,    /* INSERT, UPDATE and DELETE of exactly one row each */
	ROW_OVERWRITE, /* conflict policy: make the target's row as the source's; removes rows in
			  the way */
	ROW_UPSERT     /* UPDATE of a missing row inserts the new image (while loading) */
};

/* What becomes of tables that exist at the target, and of their rows. */
enum existing { EXISTING_INTERCEPT, EXISTING_IGNORE, EXISTING_CLEAR };

struct sink_ops {
	const char *kind;
	uint32_t load_rows; /* that `load` is given at once, where the ring has room for them */
	/* Of a group's rows one in so many may wait for the gate, while the locks of the others are
	 * held: few where these are also of gaps between rows. */
	uint32_t late_share;

	enum rc (*create)(const struct sink_env *env, struct sink **out, struct err *e);
	void (*free)(struct sink *s);
	enum rc (*check)(struct sink *s, bool want_sql, struct checks *out, struct err *e);

	/*
	 * Takes the channel over: makes our tables where they are missing, raises
	 * the epoch, ends sessions of an older gateway, reads what is stored.
	 * *turn: the checkpoint's; the next group commits turn + 1.
	 */
	enum rc (*open)(struct sink *s, struct resume *out, uint64_t *turn, struct err *e);
	enum rc (*wish)(struct sink *s, const char *wish, struct err *e);
	/*
	 * After a connection was lost, from any thread: whether the channel is
	 * still ours. FENCED: another gateway has it, and has ended our sessions.
	 * Anything else says nothing against it.
	 */
	enum rc (*confirm)(struct sink *s, struct err *e);
	/* Removes everything that is kept of this channel (reset). */
	enum rc (*clear)(struct sink *s, struct err *e);

	/* The target's own table, *out NULL if it does not exist. */
	enum rc (*describe)(struct sink *s, const char *db, const char *name, struct table **out,
		struct err *e);
	/* Tells the world of every table that a foreign key refers to, whoever writes it. */
	enum rc (*parents)(struct sink *s, struct fk_world *world, struct err *e);
	/* Frees t->engine; lanes are idle. */
	void (*target_release)(struct sink *s, struct target *t);

	enum rc (*lane_open)(
		struct sink *s, unsigned number, struct sink_lane **out, struct err *e);
	void (*lane_close)(struct sink_lane *l);

	enum rc (*begin)(struct sink_lane *l, struct err *e);
	/*
	 * One batch as one statement (or a few). b->matched: anything but b->count,
	 * any error and any warning makes apply.c go back to the savepoint and run
	 * the changes row by row. Where there is `answers`, both may come with it or
	 * with a later batch.
	 */
	enum rc (*batch)(struct sink_lane *l, struct batch *b, struct err *e);
	/* Every batch given is answered. NULL: each is when it returns. */
	enum rc (*answers)(struct sink_lane *l, struct err *e);
	enum rc (*savepoint)(struct sink_lane *l, struct err *e);
	enum rc (*rollback_to_savepoint)(struct sink_lane *l, struct err *e);
	/* One change. OK with out->kind; RETRY; CONFIG. fk_checks false: with the server's foreign
	 * key checks off. */
	enum rc (*row)(struct sink_lane *l, const struct change *c, enum row_mode mode,
		bool fk_checks, struct outcome *out, struct err *e);
	/* The target's row in the way of (or missing for) a change, as text for a person; NULL if
	 * there is none. */
	enum rc (*fetch)(struct sink_lane *l, const struct change *c, char **text, struct err *e);

	/* Whether the target's table has any row; false where it does not exist. */
	enum rc (*has_rows)(struct sink_lane *l, const struct target *t, bool *has, struct err *e);
	/* Takes all of its rows away, in the transaction. */
	enum rc (*empty)(struct sink_lane *l, const struct target *t, struct err *e);
	/* Rows of a chunk. keep: rows whose key exists stay as they are, counted in *kept. */
	enum rc (*load)(struct sink_lane *l, struct target *t, struct change *const *rows,
		uint32_t count, bool keep, uint64_t *kept, struct err *e);
	enum rc (*chunk_done)(struct sink_lane *l, const struct target *t,
		const struct event_chunk *c, struct err *e);
	/*
	 * The table's load begins, and nothing has been written in the open transaction:
	 * what the target makes faster of all rows than row by row may go. *unkeyed: its
	 * keys have, too, and no change comes before `keys`. NULL: nothing goes then.
	 */
	enum rc (*loading)(
		struct sink_lane *l, const struct target *t, bool *unkeyed, struct err *e);
	/* The keys that have gone with `loading` are made, by the table's name at the source;
	 * without any it does nothing. NULL where `loading` is. */
	enum rc (*keys)(
		struct sink_lane *l, const char *source_db, const char *source_name, struct err *e);
	/*
	 * All chunks of the table are in: what has waited for that, indexes, is made.
	 * Nothing has been written in the open transaction; there is one afterwards.
	 */
	enum rc (*loaded)(struct sink_lane *l, const struct target *t, struct err *e);
	/* The table's row of ours: state, inserted, and (not NULL) its schema as of now; see
	 * table_state_has_chunks. */
	enum rc (*table_state)(struct sink_lane *l, const char *source_db, const char *source_name,
		enum table_state state, bool inserted, const struct buf *schema, struct err *e);

	/* Moves the checkpoint row and commits. RETRY with e->code 0: the outcome is unknown. */
	enum rc (*commit)(struct sink_lane *l, const struct checkpoint *c, struct err *e);
	enum rc (*rollback)(struct sink_lane *l, struct err *e);

	/*
	 * A DDL statement (already mapped names are the engine's work, by routes),
	 * by the note protocol: note committed, statement run; then in one
	 * transaction position moved, note cleared, and `records` written: what the
	 * statement makes of our tables' rows. Also finishes a DDL whose note a crash
	 * left behind: the same call again decides by the note. *skipped says why it
	 * was not run, else NULL.
	 */
	enum rc (*ddl)(struct sink_lane *l, const struct event_ddl *d,
		const struct table_record *records, uint32_t nrecords, const struct checkpoint *c,
		char **skipped, struct err *e);
	/*
	 * Initial schema. EXISTING_INTERCEPT: an existing table is CONFIG, unless
	 * the table's state row says that we made it. Records state `schema` for
	 * tables; in no transaction of the caller's. A table in state `reload` is
	 * emptied, or made anew where the channel makes schemas (EXISTING_IGNORE:
	 * CONFIG, its rows may be others').
	 */
	enum rc (*object)(struct sink_lane *l, const struct event_object *o,
		const struct table *table, enum existing existing, struct err *e);
};

const struct sink_ops *sink_find(const char *kind);
/* Of a check: what columns of a selected table, here already or to be made, lose; *named: how many
 * have been named, no more than a few. */
#define SINK_TYPES "Destination column types"
void sink_check_columns(struct sink *s, const struct sink_env *env, const struct found_table *t,
	bool there, uint32_t *named, struct checks *out);
enum existing sink_existing(const struct conf *c);

/* What every engine says alike: FENCED, and CONFIG of a table that was there before us. */
enum rc sink_fenced(const struct sink_env *env, uint64_t epoch, struct err *e);
enum rc sink_intercept(
	const struct event_object *o, const char *db, const char *name, struct err *e);
/* CONFIG of a table that is to load again where its rows may be others'. */
enum rc sink_shared(const struct event_object *o, const char *db, const char *name, struct err *e);
#define SINK_INTERCEPT_REMEDY                                                             \
	"rename or drop it, map the table to another name (to_table), or set existing = " \
	"\"ignore\" (keeps its rows) or \"clear\" (takes them away)"
const char *sink_create_remedy(const struct conf *c);

#endif
