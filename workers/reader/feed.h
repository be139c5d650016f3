/*
 * feed.h - where a source's log enters the house.
 *
 * The engine's log thread tells the feed what it reads, in the log's order:
 *
 *     feed_begin  (feed_row | feed_skip)*  feed_commit
 *     feed_begin   feed_ddl                feed_commit
 *     feed_idle          nothing more to read right now
 *
 * The feed does what is the same for every engine: drops what belongs to
 * tables that are not loaded yet, collects the windows of chunks in flight
 * (seam.h), leaves out deselected columns, numbers schemas, puts frames into
 * the stream ring, and places chunks at transaction boundaries.
 *
 * It blocks while the ring is full (that is the back-pressure: the engine
 * stops reading) and returns RC_AGAIN once the reader is asked to stop. It
 * holds a lock from begin to commit; lanes come in between transactions.
 */
#ifndef WORKERS_READER_FEED_H
#define WORKERS_READER_FEED_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/err.h"
#include "common/event.h"
#include "common/route.h"
#include "common/schema.h"
#include "ipc/worker.h"

struct feed;
struct feed_table;

/* A transaction starts; everything that was committed before `at` has been read, and it was not.
 * Takes the lock. */
enum rc feed_begin(struct feed *f, struct logpos at, struct err *e) MUSTCHECK;

/*
 * The table as the log has it from here on, all columns. The handle is valid
 * until the next feed_table or feed_ddl for this table. NULL: rows of this
 * table need not be decoded (not selected, or waiting for its load).
 * Call it once per schema version, not per row; but ask feed_wants per
 * TABLE_MAP or the like, for a waiting table starts to flow one day.
 */
struct feed_table *feed_table(struct feed *f, const struct table *t);
/* Whether rows of this table are wanted right now. Within a transaction. */
bool feed_wants(struct feed *f, struct feed_table *t);

/* Whether a table that the feed has not heard of joins (else the initial schema is still to come,
 * and will have it). */
bool feed_follows_new(const struct feed *f);

/* Whether a table of that name has joined, and not gone. Within a transaction. */
bool feed_has(struct feed *f, const char *db, const char *name);

/* A change; images have a value for each column of the table given to feed_table. row->table is the
 * feed's to say. */
enum rc feed_row(struct feed *f, struct feed_table *t, enum event_kind op,
	const struct event_row *row, struct err *e) MUSTCHECK;

/*
 * What the log says of this table cannot be understood: its rows end here, the
 * target keeps what it has, all else goes on. Within a transaction. `why` with
 * what to do, for status.
 */
void feed_quarantine(struct feed *f, struct feed_table *t, const char *why);

/* The log does not tell all rows of this table: it loads again. Within a transaction, before
 * anything is put into it. */
enum rc feed_load_again(struct feed *f, const char *db, const char *name) MUSTCHECK;

/* What a DDL statement does to one table. */
struct ddl_change {
	enum ddl_effect effect;
	const char *db;
	const char *name;
	const char *to_db; /* of RENAMED */
	const char *to_name;
	const struct table *table; /* as it is afterwards; of CREATED, CHANGED; NULL: not known */
	const struct column_change *columns; /* of CHANGED */
	uint32_t ncolumns;
};

/* A statement that is carried, and what it does to tables; ddl's own changes are the feed's to fill
 * in. */
enum rc feed_ddl(struct feed *f, const struct event_ddl *ddl, const struct ddl_change *changes,
	uint32_t nchanges) MUSTCHECK;

/* Of a source whose statements make each table before it loads: those that load again follow
 * statements, too, which other objects may stand on. */
void feed_keep_reloading(struct feed *f);

/*
 * A table takes this name from outside of the selection (a rename, CREATE ..
 * LIKE): the target has nothing of it. It comes in whole, by loading; until
 * then the target keeps what it has under the name. `table` as it is now,
 * NULL: gone again. Within a transaction that has nothing, or nothing but a
 * statement.
 */
enum rc feed_join(
	struct feed *f, const char *db, const char *name, const struct table *table) MUSTCHECK;

/* The transaction is whole. Gives the lock back. An empty one moves the checkpoint at most once a
 * second. */
enum rc feed_commit(struct feed *f, const struct event_commit *c, struct err *e) MUSTCHECK;
/*
 * The transaction is not to be carried: it was applied before, or rolled back
 * at the source, and none of its rows went out. With c NULL: reading failed
 * half-way; the ring ends in a transaction without a COMMIT, which nobody applies.
 */
void feed_abandon(struct feed *f, const struct event_commit *c);
/* The log has been read up to here, between transactions; lets chunks be placed and the checkpoint
 * move. */
enum rc feed_idle(struct feed *f, const struct event_commit *c, struct err *e) MUSTCHECK;

/*
 * Of a source that is held, between transactions, before the log is read beyond its
 * first position: *ended once all that loads has its place. Then the source need not be held.
 */
enum rc feed_end_hold(struct feed *f, bool *ended) MUSTCHECK;

/*
 * How far the target has committed for good: the newest boundary whose
 * position is behind the stream ring's released end. What a source may be told
 * that it need not keep. Any thread, but not within a transaction of its own.
 */
struct logpos feed_durable(struct feed *f);

#endif
