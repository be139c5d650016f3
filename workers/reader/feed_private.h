/*
 * feed_private.h - what feed.c and feed_ddl.c (the log's side) and place.c (the loader's side)
 * share.
 *
 * One lock. The log thread holds it from begin to commit; lanes come in
 * between, and go first when they wait, so that a busy log cannot starve them.
 */
#ifndef WORKERS_READER_FEED_PRIVATE_H
#define WORKERS_READER_FEED_PRIVATE_H

#include "common/compat.h"

#include <pthread.h>

#include "common/filter.h"
#include "common/mem.h"
#include "ipc/frame.h"
#include "ipc/proto.h"
#include "workers/reader/place.h"

struct feed_table {
	struct table *full;	 /* as the log has it */
	struct table *carried;	 /* without deselected and generated columns */
	uint32_t *pick;		 /* carried column -> full column */
	bool whole;		 /* pick is the identity */
	const struct index *key; /* of carried */
	struct filter *where;	 /* NULL: every row, or misfit */
	char *misfit;		 /* why its filter does not fit it */
	uint32_t number;	 /* SCHEMA of carried; 0: not in the stream yet */
	enum table_state state;
	uint32_t round;	      /* of its load: raised when it is to load again */
	bool loading_taken;   /* a lane team works on it, or has */
	uint32_t chunks_open; /* registered and not placed */
	bool planned;	      /* no further chunk will be registered */
	char *reason;	      /* of a quarantine */
	bool expected; /* WAITING by feed_register: where the log tells of it first, by that */
	bool left;     /* not selected any more, and the target does not know it yet */
	bool unsaid;   /* quarantined within a transaction: the target learns it behind that */
	struct feed_table *next;
};

/* A position that went into the stream ring, and where the ring's content ended with it. */
struct mark {
	uint64_t end;
	struct logpos at;
};

#define MARKS 4096u

struct feed {
	struct worker *worker;
	struct ring *ring;
	const struct routes *routes;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* states, chunks, stop */
	pthread_cond_t lanes_gone;
	_Atomic unsigned lanes_waiting;
	unsigned armed; /* exact snapshots in the making: the log waits */
	bool stopped;
	bool draining;

	struct feed_table *tables;
	struct chunk *chunks; /* registered, not placed */
	uint32_t next_number;

	struct catalog initial; /* to be put into the stream at initial_high */
	bool initial_pending;
	bool initial_whole; /* all of the catalog; else tables that load again */
	bool initial_schema, initial_data;
	bool held; /* the mark waits for the whole load */
	struct logpos initial_high;

	bool reload_due; /* a table is to load again: the catalog must be read */
	bool news;	 /* a table is unsaid */
	feed_catalog_cb read_catalog;
	filter_compare_cb compare;
	void *arg; /* of both */

	bool in_txn;
	bool emitted;	  /* BEGIN is in the ring */
	struct logpos at; /* the last boundary */
	char *position;
	struct event_commit last; /* its texts point into position */
	struct logpos said;	  /* the boundary whose position went into the ring last */
	uint64_t checkpoint_us;	  /* when a position last went into the ring */
	struct mark *marks; /* positions in the ring that the target has not committed, a queue */
	size_t marks_first, marks_count;
	struct logpos durable;
	struct value *scratch; /* picked columns of two images */
	size_t scratch_cap;
	struct value *merged; /* an image and what its predecessor says of it */
	size_t merged_cap;
	bool carries[EVENT_COUNT + 1]; /* `dml`; never EVENT_COUNT */
	bool excludes_ddl;
	bool keeps_reloading; /* feed_keep_reloading */
	bool reloads;	      /* a table loads again for another filter */
	bool streaming;	      /* filters have been checked */
};

/* The initial schema is still to come, with all that there is. */
bool feed_is_initial(const struct feed *f);
/* Puts an event into the stream ring; waits for room. AGAIN: asked to stop. Lock held. */
enum rc feed_emit(struct feed *f, const struct event *ev);
/* BEGIN, once for a transaction. Lock held. */
enum rc feed_emit_begin(struct feed *f);
/* Makes sure that the stream knows the table's columns. Lock held. */
enum rc feed_emit_schema(struct feed *f, struct feed_table *t);
enum rc feed_emit_state(struct feed *f, struct feed_table *t, enum table_state state);
/* At a boundary: the ring knows its position. Lock held. */
enum rc feed_say_position(struct feed *f);
struct feed_table *feed_find(struct feed *f, const char *db, const char *name);
struct feed_table *feed_add(struct feed *f, const struct table *t, enum table_state state);
void feed_set_schema(struct feed *f, struct feed_table *t, const struct table *full);
/* The table, and what refers to it, loads again: state RELOAD goes into the stream. Not within a
 * transaction that has put something there. Lock held. */
enum rc feed_start_over(struct feed *f, struct feed_table *t);
/* Between transactions, all before `at` read: puts in what is due by then: initial objects, chunks.
 * Lock held. */
enum rc feed_boundary(struct feed *f, struct logpos at, struct err *e);
/* Its lane takes it again from the start. */
void feed_cancel_chunk(struct feed *f, struct chunk *c);
void feed_cancel_chunks(struct feed *f, struct feed_table *t);
/* Tables by their states, for whoever waits for the load's end. */
void feed_count(struct feed *f);
/* Says the state to the supervisor. */
void feed_report(struct feed *f, const struct feed_table *t);

/* ---- feed_filter.c ---- */

/* The table's filter, the caller's; NULL: it has none, or (*misfit, the caller's, says why) none
 * that fits. */
struct filter *feed_filter(const struct feed *f, const struct table *full, char **misfit);
/* A filter that a statement has made unfit ends the table's rows. */
void feed_quarantine_misfit(struct feed *f, struct feed_table *t);
/*
 * The change as one of the table that is carried: a row that moves in is inserted,
 * one that moves out deleted - without the foreign keys' checks and cascades,
 * which the source did not do either. *op EVENT_COUNT: nothing happened to it.
 * What an image lacks ends the table's rows: it cannot be guessed. Valid until
 * the next call.
 */
enum rc feed_filter_row(struct feed *f, struct feed_table *t, enum event_kind *op,
	struct event_row *row, struct err *e) MUSTCHECK;
/* Whether the table is to load again, since the statement changes for which rows its filter is
 * true, or the name to which it belongs. Where it must not, it goes into quarantine. */
bool feed_refilters(struct feed *f, struct feed_table *t, const struct ddl_change *ch);
/* What the target has of the table, as stored with its state, came through another filter. */
bool feed_has_other_rows(const struct feed *f, const struct table *t, enum table_state state);

#endif
