/*
 * place.h - the feed as the loader sees it: tables and their states, and the
 * life of a chunk from its registration to its place in the log.
 *
 * A lane's dance (house: the seam):
 *
 *     chunk_register   at a transaction boundary R0; the window opens
 *     (engine opens a snapshot that sees all up to R0, reads `high`)
 *     chunk_ready      from now on the chunk may be placed
 *     chunk_await      the log has passed `high`: CHUNK is in the stream ring,
 *                      the window is closed and the lane's alone
 *     (rows are read, looked up in the window, put into the load ring)
 *
 * All functions lock the feed and come in between transactions.
 */
#ifndef WORKERS_READER_PLACE_H
#define WORKERS_READER_PLACE_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/filter.h"
#include "workers/reader/feed.h"
#include "workers/reader/seam.h"
#include "workers/reader/source.h"

/* Reads the catalog again and calls feed_set_initial. The log thread calls it, without the lock. */
typedef enum rc (*feed_catalog_cb)(void *arg, struct err *e);

/* compare: what filters ask, on the log thread; both get arg. */
struct feed *feed_new(struct worker *w, const struct routes *routes, feed_catalog_cb read_catalog,
	filter_compare_cb compare, void *arg);
/* Wakes everybody who waits in here; they return RC_AGAIN. */
void feed_stop(struct feed *f);
/* No further transaction begins (feed_begin says AGAIN) and no further chunk gets a place; what has
 * begun goes on. */
void feed_drain(struct feed *f);
bool feed_draining(struct feed *f);

/* Where the log stands: set before streaming starts, moved by every commit. */
void feed_set_position(struct feed *f, struct logpos at, const char *text);
/*
 * Initial schema: once the log has passed `high`, the objects are put into the
 * stream and their tables may load. Takes the catalog's content over.
 * Without this call the initial schema counts as done. The first call is for
 * all objects, later ones for the tables in states WAITING and RELOAD.
 */
void feed_set_initial(struct feed *f, struct catalog *c, struct logpos high);
/*
 * The initial schema is in the target. Tables registered as RELOAD, and those
 * whose foreign keys lead to them, load again (what cascades took along at the
 * source would stay); the target learns it first.
 */
enum rc feed_initial_done(struct feed *f) MUSTCHECK;
/* snapshot = "held", and it could not be used to the end: before feed_set_initial, tables
 * registered as RELOAD say so to the target. */
enum rc feed_begin_again(struct feed *f) MUSTCHECK;
/* The mark that ends the initial schema, and with snapshot = "held" the initial load: the state row
 * of a table without a name. */
#define INITIAL_MARK ""

/* Before the log is read: CONFIG if a filter does not fit its table. cb is called for each that
 * does. */
enum rc feed_check_filters(struct feed *f,
	enum rc (*cb)(void *arg, const struct filter *where, struct err *e), void *arg,
	struct err *e) MUSTCHECK;

/* A table that the target already knows, in that state; WAITING: one that comes in with the next
 * feed_set_initial, where its name is enough. */
struct feed_table *feed_register(struct feed *f, const struct table *t, enum table_state state);
/* One that the target knows, and that is not selected any more: feed_initial_done says so. The
 * target keeps the table, and forgets that it is ours. */
void feed_register_left(struct feed *f, const struct table *t);

/* The next table that may load (state schema or loading, no parent before it), NULL: none now.
 * *done: never again. */
struct feed_table *feed_next_load(struct feed *f, bool *done);
/* Lanes that have nothing to do: until a table may load again, or the feed ends. */
void feed_await_load(struct feed *f);
/* Which load of the table this is; a plan of another round is void. */
uint32_t feed_round(struct feed *f, struct feed_table *t);
/* What of the table is carried, as of now: a copy. */
struct table *feed_carried(struct feed *f, struct feed_table *t);
enum table_state feed_state(struct feed *f, struct feed_table *t);
/* To the supervisor, with the state it has: none of before comes behind what the log said since. */
void feed_report_rows(struct feed *f, struct feed_table *t, struct report_table *r);

enum chunk_state { CHUNK_OPEN, CHUNK_READY, CHUNK_PLACED, CHUNK_CANCELLED };

struct chunk {
	struct feed_table *table;
	uint32_t round;
	struct table *schema; /* what is carried as of the place: owned */
	struct filter *where; /* likewise; NULL: every row */
	uint32_t number;
	uint32_t ring;
	bool last;  /* reaches to the end of the keys */
	bool exact; /* one snapshot of the whole table, no window */
	struct buf lo, hi;
	struct window *window;
	enum chunk_state state; /* the feed's */
	struct logpos high;
	uint32_t schema_number; /* SCHEMA event that its rows are of */
	struct chunk *next;	/* in the feed's list while registered */
};

/* R0: copies of the position. Not for exact chunks. AGAIN: asked to stop, or the table is gone. */
enum rc chunk_register(
	struct feed *f, struct chunk *c, char **seen, struct logpos *seen_at) MUSTCHECK;
/* The callback of an exact snapshot: from here on the log waits until chunk_ready or chunk_cancel.
 */
void chunk_armed(void *chunk_and_feed);
struct chunk_arm {
	struct feed *feed;
	struct chunk *chunk;
	bool armed;
};
enum rc chunk_ready(struct feed *f, struct chunk *c, struct logpos high, struct chunk_arm *arm,
	struct err *e) MUSTCHECK;
void chunk_cancel(struct feed *f, struct chunk *c, struct chunk_arm *arm);
/* Whether it still waits for its snapshot: nobody has let it go. */
bool chunk_is_open(struct feed *f, const struct chunk *c);
/* OK: placed; AGAIN: cancelled (DDL on the table, or the window grew too large) or asked to stop.
 */
enum rc chunk_await(struct feed *f, struct chunk *c) MUSTCHECK;
/* No further chunk of this round will be registered: the table streams once all have places. */
enum rc chunk_plan_complete(struct feed *f, struct feed_table *t, uint32_t round) MUSTCHECK;
void chunk_release(struct chunk *c);

#endif
