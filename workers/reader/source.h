/*
 * source.h - the contract of a source engine.
 *
 * An engine is a static const table of functions, listed in sources.def. It
 * knows its server and the middle (common/, feed.h), never another engine and
 * never the ring: all that it reads goes into the feed.
 *
 * Threads: `create` (which waits for nothing) runs before all others, `free` after
 * them; `check`, `identify`, `tip` and `catalog` on one thread, then `stream` on it,
 * lanes each on a thread of their own at the same time; `wake` comes from any
 * thread at any time, also while the source is being opened. An engine keeps a connection per
 * thread.
 *
 * Failures: RETRY for what may heal (connection lost, server starting, lock
 * timeout), CONFIG for what a person must change (log purged, rights, format),
 * DATA for a log that contradicts the schema. RC_AGAIN is "asked to stop", or
 * where it says so "try again".
 */
#ifndef WORKERS_READER_SOURCE_H
#define WORKERS_READER_SOURCE_H

#include "common/compat.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/event.h"
#include "common/filter.h"
#include "common/route.h"
#include "common/schema.h"
#include "ipc/report.h"

struct feed;

/* What an engine is given; all of it outlives the engine. */
struct source_env {
	const struct conf *conf;     /* source.* and the channel's own settings */
	const struct routes *routes; /* which objects are selected */
	struct feed *feed;	     /* NULL in check mode */
	const atomic_bool *stop;     /* turns true once: end soon */
	_Atomic uint64_t *stats;     /* by enum statistic */
	const char *channel;
	const struct resume
		*resume; /* what the target holds; schemas as of the position; NULL in check mode */
};

/*
 * The base of every engine's struct; `ops` first. held: of snapshot = "held", from
 * `tip` until all that loads has its place: every snapshot is the one of the first
 * position, at which the log stands still, and lane_bound serves keyless tables, too.
 */
struct source {
	const struct source_ops *ops;
	atomic_bool held;
};

struct source_lane {
	struct source *source;
};

/* A selected object with its CREATE statement, in an order in which they can be created. */
struct catalog_object {
	enum object_kind kind;
	char *db;
	char *name;
	char *sql;
	char *session;	     /* as event_ddl.session */
	struct table *table; /* of OBJECT_TABLE */
	char *on;	     /* of OBJECT_TRIGGER: the table */
};

struct catalog {
	struct catalog_object *objects;
	uint32_t count;
};

void catalog_init(struct catalog *c);
void catalog_release(struct catalog *c);
struct catalog_object *catalog_add(
	struct catalog *c, enum object_kind kind, const char *db, const char *name);
void catalog_remove_last(struct catalog *c);

/*
 * How a snapshot relates to the log (house: the seam, steps 1-3).
 *   SEES    it sees every change of the table that was in the log at `seen`;
 *           `high` is the log's end, read after it was opened.
 *   EXACT   changes of the table are held up for a moment: armed() is called
 *           while none can commit, then the snapshot is opened, then `high` is
 *           read: it has exactly the table's changes up to `high`.
 */
enum snapshot_mode { SNAPSHOT_SEES, SNAPSHOT_EXACT };

struct snapshot_request {
	const struct table *table;
	enum snapshot_mode mode;
	const char *seen; /* printable position, of SEES */
	struct logpos seen_at;
	void (*armed)(void *arg); /* of EXACT */
	void *arg;
};

/* The rows of (lo, hi], an empty bound is open, for which the filter (NULL: none) is true. */
struct read_request {
	const struct table *table;
	const struct buf *lo, *hi;
	const struct filter *where;
};

/* One row of a chunk: a value for each column of the table's schema; valid during the call. */
typedef enum rc (*row_cb)(void *arg, const struct row *row, struct err *e);

struct source_ops {
	const char *kind; /* as in `source.kind` */

	enum rc (*create)(const struct source_env *env, struct source **out, struct err *e);
	void (*free)(struct source *s);

	/* Precheck: every item, never stopping at the first that fails. */
	enum rc (*check)(struct source *s, bool want_sql, struct checks *out, struct err *e);
	/* Connects and removes all that the source keeps for the channel: done as well if nothing
	 * is there. NULL: sources of this kind keep nothing. */
	enum rc (*clear)(struct source *s, struct err *e);
	/* Connects; the identity of the server's data (server_uuid, systemid), the caller's to
	 * free. */
	enum rc (*identify)(struct source *s, char **id, struct err *e);
	/*
	 * This is another server than the channel was begun with. Whether it has
	 * the same history up to `position` at least, a replica that became the
	 * source: then *here is that place in its own words, the caller's to free.
	 * CONFIG: it has not; RETRY: not yet.
	 */
	enum rc (*take_over)(struct source *s, const char *position, char **here, struct err *e);
	/* A position all of whose predecessors any later snapshot sees (house: step 0). */
	enum rc (*tip)(struct source *s, char **position, struct logpos *at, struct err *e);
	/*
	 * The selected objects. Their tables are pinned against DDL while they are
	 * read (a transaction that has touched them), and *high is the log's end
	 * before the pins are let go: the definitions are exactly those of the log
	 * at *high. A table that goes away meanwhile is left out.
	 */
	enum rc (*catalog)(
		struct source *s, struct catalog *out, struct logpos *high, struct err *e);
	/*
	 * Of a channel whose initial schema is complete: names of selected tables that
	 * are there and that env.resume does not know. From now on the log has their
	 * changes. NULL: none ever joins.
	 */
	enum rc (*newcomers)(struct source *s, struct table_list *out, struct err *e);

	/*
	 * Reads the log from `resume` and feeds it, leaving out what is not after
	 * `applied`, until *stop, wake or a failure. Reconnects by itself at most
	 * for a dropped connection that comes back at once; all else is RETRY.
	 */
	enum rc (*stream)(struct source *s, const char *resume, const char *applied, struct err *e);
	/*
	 * For filters, on the thread of `stream`. verify: whether the server takes the
	 * literals; CONFIG: no. compare: see filter_compare_cb.
	 */
	enum rc (*verify)(struct source *s, const struct filter *f, struct err *e);
	enum rc (*compare)(struct source *s, const struct column *c, const struct value *v,
		const char *literal, int *order, struct err *e);
	/* Makes stream return RC_AGAIN soon. Safe from any thread. */
	void (*wake)(struct source *s);

	enum rc (*lane_open)(struct source *s, struct source_lane **out, struct err *e);
	void (*lane_close)(struct source_lane *l);
	/*
	 * The key value `rows` rows above lo (exclusive; empty: the beginning), in
	 * the engine's own coding, computed by the server. *last: none lies that
	 * far. Not called for keyless tables, unless the source is held.
	 */
	enum rc (*lane_bound)(struct source_lane *l, const struct table *t, const struct buf *lo,
		uint64_t rows, struct buf *hi, bool *last, struct err *e);
	/* Opens a snapshot and pins the table in it against DDL. AGAIN: not possible right now.
	 * CONFIG with code of "no such table": it is gone. */
	enum rc (*lane_snapshot)(struct source_lane *l, const struct snapshot_request *req,
		struct logpos *high, struct err *e);
	/* The rows in any order. Within lane_snapshot and lane_end. */
	enum rc (*lane_read)(struct source_lane *l, const struct read_request *req, row_cb cb,
		void *arg, struct err *e);
	/* Lets the snapshot go. */
	void (*lane_end)(struct source_lane *l);
};

/* Whether the target has nothing of this table, or nothing but what its making has left. */
bool source_is_new(const struct source_env *env, const char *db, const char *name);
/* Of engines that carry no filters (yet): CONFIG says so. */
enum rc source_without_filters(struct source *s, const struct filter *f, struct err *e);
enum rc source_compares_nothing(struct source *s, const struct column *c, const struct value *v,
	const char *literal, int *order, struct err *e);

/* The engine of that kind; NULL if there is none. */
const struct source_ops *source_find(const char *kind);

#endif
