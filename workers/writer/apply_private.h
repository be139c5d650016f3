/*
 * apply_private.h - what the files of the generic writer share: apply.c
 * (threads, scheduler, gate), scan.c (frames into work), execute.c (work into
 * the sink), targets.c (tables at the target).
 */
#ifndef WORKERS_WRITER_APPLY_PRIVATE_H
#define WORKERS_WRITER_APPLY_PRIVATE_H

#include "common/compat.h"

#include <pthread.h>

#include "common/mem.h"
#include "ipc/frame.h"
#include "ipc/proto.h"
#include "workers/writer/apply.h"
#include "workers/writer/sched.h"

/* A table by its name at the source; shared by all of its schema numbers. */
struct table_entry {
	char *db;
	char *name;
	enum table_state state; /* as of the scan's place in the stream */
	bool inserted;		/* likewise */
	bool unkeyed;		/* likewise: its keys may wait for its first change, see sink.h */
	struct table_entry *next;
};

struct target_slot {
	struct target target;
	struct table_entry *entry;
	bool resolved;
	uint64_t plan_version; /* of the foreign-key world that its plan was made from */
	struct target_slot *next_garbage;
};

/* What a unit is. */
enum work_kind {
	WORK_ROWS,  /* a transaction, or a position without rows */
	WORK_LARGE, /* a transaction larger than the window: read on while it runs */
	WORK_CHUNK,
	WORK_DDL,
	WORK_OBJECT,
	WORK_TABLE,
	WORK_KEYS, /* of `entry` are made */
	WORK_START
};

struct owned {
	struct owned *next;
	unsigned char *data; /* a joined frame that changes point into */
};

struct work {
	struct unit unit; /* first: the scheduler's view */
	enum work_kind kind;
	struct arena arena;
	struct arena *rows; /* where its changes are: `arena`, or the lane's `rows`, which gives
			       them back part by part */
	struct change **changes; /* the array itself is malloc'ed */
	uint32_t nchanges;
	size_t changes_cap;
	struct token_list tokens;
	struct event event; /* DDL, OBJECT, TABLE, CHUNK, in the arena */
	bool has_position;
	struct event_commit commit; /* texts in the arena */
	struct target_slot *slot;   /* of TABLE and CHUNK */
	bool keep;		    /* CHUNK: the stream has inserted before it */
	struct table_entry *entry;  /* of TABLE and KEYS */
	bool inserted;		    /* TABLE: the entry's flag */
	bool begins;		    /* TABLE: its load does */
	bool loading;		    /* some table was loading: parents may be missing */
	struct target_slot *
		*marks; /* entries that this work is the first to insert into, while loading */
	uint32_t nmarks;
	struct table_record *records; /* TABLE events in the transaction; in the arena */
	uint32_t nrecords;
	uint64_t ring_end; /* stream ring: released once committed */
	struct owned *owned;
	size_t owned_bytes;
	bool complete;	   /* LARGE: the COMMIT is here; CHUNK: so is its end */
	bool no_retry;	   /* frames were released before the commit */
	bool refused;	   /* the server has rolled its group back: somebody holds a lock; lock */
	uint64_t load_end; /* load ring: released once committed */
	uint64_t rows_loaded, rows_kept;
	struct work *next; /* free list */
};

struct apply_lane {
	struct apply *apply;
	unsigned number;
	pthread_t thread;
	struct sink_lane *sink;
	struct arena arena;		    /* plans of batches */
	struct arena rows;		    /* of a work that is run part by part */
	_Atomic uint64_t heard_us;	    /* the server owes no answer, or owes it since then */
	uint64_t inserts, updates, deletes; /* of the group that is being run */
	uint64_t unmatched;		    /* likewise: nothing to be done for them */
	uint64_t merged;		    /* likewise: part of another change */
};

/* A statement has been answered, or nothing is asked: no lock of another group holds this up. */
void lane_heard(struct apply_lane *l);

struct apply {
	struct worker *worker;
	struct sink *sink;
	const struct routes *routes;
	struct losses losses;
	pthread_mutex_t lock;
	pthread_cond_t work_cond; /* something to take */
	pthread_cond_t gate_cond; /* the gate moved */
	pthread_cond_t room_cond; /* the queue shrank, or all is idle */
	pthread_mutex_t sink_lock;
	struct sched *sched;
	struct ring *ring;
	struct frame_reader reader;
	struct frame_reader *load_readers; /* one for each load ring */
	pthread_t scan_thread;
	struct apply_lane *lanes;
	uint32_t nlanes;
	bool draining;
	bool failed;

	/* the scan thread's */
	struct target_slot **slots; /* by number */
	size_t slots_cap;
	struct table_entry *entries;
	struct fk_world *world;
	uint64_t world_version;
	bool knows_parents;   /* the world does, as of the last DDL */
	struct work *current; /* between BEGIN and COMMIT */
	size_t queued_bytes;  /* lock */
	unsigned loading;     /* tables in that state */
	unsigned streaming;   /* tables in that state, as of the scan\'s place */
	uint64_t scan_end;
	bool large_running; /* a large transaction reads on by itself: nothing else is in flight */

	/* positions as of the last commit; lock */
	uint64_t turn;
	char *applied;
	char *resume;
	uint64_t order;
	uint32_t incarnation;
	uint64_t time_us;
	struct work *free_list;

	/* settings */
	enum { CONFLICT_FAIL, CONFLICT_IGNORE, CONFLICT_OVERWRITE } conflict;
	enum existing existing;
	bool wants_empty;	 /* tables that the channel does not make have no rows yet */
	bool lacks[EVENT_COUNT]; /* kinds of changes that `dml` leaves out */
	bool merges;		 /* apply = "fastest" */
	bool mends; /* rows of the target that are not as expected, rather than stop at them */
	uint32_t group_rows;
	size_t group_bytes;
	size_t large_bytes;
};

bool apply_ending(struct apply *a);
/* The first failure ends the worker. */
void apply_fail(struct apply *a, const struct err *e);
/* Waits until nothing is queued or in flight; false: ending. */
bool apply_wait_idle(struct apply *a);

/* Before a group's late changes: everything older is committed. AGAIN: ending; RETRY: the group is
 * to be rolled back. */
enum rc apply_await_turn(struct apply_lane *l, struct group *g, struct err *e);

/* ---- work ---- */
struct work *work_new(struct apply *a, enum work_kind kind);
void work_done(struct apply *a, struct work *w);
void work_own(struct work *w, struct frame_raw *raw);

/* ---- scan.c ---- */
void *apply_scan(void *apply);
/* Reads on for a LARGE work: up to max_bytes more, or to its end. Used by the lane that runs it. */
enum rc scan_more(struct apply *a, struct work *w, struct err *e);
/* Decodes one load-ring INSERT into a change of `w`. */
enum rc scan_load_row(struct apply *a, struct work *w, const struct frame_raw *raw, struct err *e);

/* ---- execute.c ---- */
/* Runs all of a group inside the sink's open transaction (or, for DDL and objects, does nothing
 * yet). */
enum rc execute_group(
	struct apply_lane *l, struct group *g, bool careful, bool *mismatch, struct err *e);
/* Whether the group commits by itself: DDL and objects. */
bool execute_is_self_committing(const struct group *g);
enum rc execute_self_committing(
	struct apply_lane *l, struct group *g, const struct checkpoint *c, struct err *e);

/* ---- conflict.c ---- */
/* Whether a change of this kind may find no row, since what would have brought it is left out. */
bool conflict_may_miss(const struct apply *a, enum event_kind op);
/* The rows of a load that failed, each alone in a transaction anew, until the culprit is named in
 * *e. */
enum rc conflict_load(
	struct apply_lane *l, struct change *const *rows, uint32_t n, struct err *e) MUSTCHECK;
/* One change by itself, by the channel's policy. */
enum rc conflict_row(
	struct apply_lane *l, const struct work *w, const struct change *c, struct err *e);

/* ---- targets.c ---- */
enum rc targets_schema(struct apply *a, const struct event_schema *ev, struct err *e);
/* The slot of a number; NULL and an error if there is none. */
enum rc targets_get(struct apply *a, uint32_t number, struct target_slot **out, struct err *e);
/* Makes sure that the target's own table is known and its plan is current. May wait for idle. */
enum rc targets_resolve(struct apply *a, struct target_slot *s, struct err *e);
/* After a DDL: everything is looked up again at its next use. The scheduler is idle. */
void targets_forget(struct apply *a);
/* The same of one table. */
void targets_forget_table(struct apply *a, const struct table_entry *en);
void targets_free(struct apply *a);
struct table_entry *targets_entry(struct apply *a, const char *db, const char *name);
void targets_set_state(struct apply *a, struct table_entry *en, enum table_state state);

#endif
