/*
 * store.h - what the supervisor keeps: the only door to SQLite.
 *
 * States, wishes and history are written through (WAL, synchronous FULL) when
 * they happen. Mirrors - positions, tables, totals - are gathered into one
 * transaction a second by the owner (store_begin, store_commit). Nothing in
 * here is needed for correctness: the targets hold that. So a store that is
 * damaged is moved aside, said so, and made anew; one that is newer than this
 * program is refused; an older one is migrated.
 *
 * One process, one thread; a lock file keeps a second supervisor out.
 */
#ifndef SUPERVISOR_STORE_H
#define SUPERVISOR_STORE_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "ipc/report.h"
#include "supervisor/channel.h"

#define STORE_FILE "syncline.db"

struct store;

/* What a channel's row has beside the record. */
struct store_mirror {
	char *position;	      /* the newest applied; NULL: none known */
	uint64_t position_us; /* source commit time of it */
	uint32_t generation;
	uint64_t restarts;
};

struct store_move {
	uint64_t at_us;
	char *kind; /* an event's name, "error", "restart" */
	char *from;
	char *to;
	char *text;
};

struct store_sample {
	uint64_t at_us;
	double bandwidth; /* MB/s */
	double tps;
	int64_t delay_ms; /* -1: not known */
};

/* dir is made if it is missing. CONFIG: not usable, newer, or in use by another supervisor. */
enum rc store_open(const char *dir, struct store **out, struct err *e) MUSTCHECK;
void store_close(struct store *s);
/* Whether the store was made by this store_open, and if a damaged one was moved away for it. */
bool store_is_new(const struct store *s);
/* A trial write, for /readyz. */
bool store_writable(struct store *s);

/* ---- channels ---- */

/* False: not known; *r is then the record of a new channel. mirror->position is the caller's. */
bool store_load_channel(
	struct store *s, const char *id, struct channel_record *r, struct store_mirror *mirror);
/* Record and history of the move in one transaction. */
enum rc store_save_channel(struct store *s, const char *id, const struct channel_record *r,
	const char *event, const char *from, struct err *e) MUSTCHECK;
/* The record alone: a field beside the state has changed. */
enum rc store_touch_channel(
	struct store *s, const char *id, const struct channel_record *r, struct err *e) MUSTCHECK;
/* Everything of the channel but its moves. */
void store_forget_channel(struct store *s, const char *id);

/* ---- mirrors; inside store_begin and store_commit ---- */

void store_begin(struct store *s);
void store_commit(struct store *s);
void store_save_mirror(struct store *s, const char *id, const struct store_mirror *m);
void store_save_table(struct store *s, const char *id, const struct report_table *t);
void store_load_tables(struct store *s, const char *id,
	void (*cb)(void *arg, const struct report_table *t), void *arg);

/* ---- history ---- */

void store_add_note(struct store *s, const char *id, const char *kind, const char *text);
/* The newest `limit`, newest first. */
void store_moves(struct store *s, const char *id, unsigned limit,
	void (*cb)(void *arg, const struct store_move *m), void *arg);
void store_add_conflict(struct store *s, const char *id, const struct report_conflict *c);
void store_conflicts(struct store *s, const char *id, unsigned limit,
	void (*cb)(void *arg, const struct report_conflict *c), void *arg);
void store_add_sample(struct store *s, const char *id, const struct store_sample *sample);
/* Means over buckets of bucket_us, oldest first; a bucket's delay is its worst. */
void store_samples(struct store *s, const char *id, uint64_t since_us, uint64_t bucket_us,
	void (*cb)(void *arg, const struct store_sample *sample), void *arg);
/* Drops history older than this, and conflicts beyond the newest thousand of each channel. */
void store_prune(struct store *s, uint64_t before_us);

#endif
