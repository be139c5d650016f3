/*
 * source.h - the PostgreSQL source: what its files share.
 *
 * source.c   the engine's table, new slot and publication, first position
 * identity.c which server and which timeline it is
 * catalog.c  the selected tables at the beginning, pinned; definitions.c  what makes them
 * held.c     snapshot = "held": slot, first position and the snapshots of all lanes
 * slot.c     the slot of a channel that goes on, and of one that is given up
 * stream.c   the log thread: messages into the feed; follow.c  statements;
 *            pulse.c  the heartbeat's table, sequences; published.c  whether all tables are
 * tables.c   the tables as of a place in the log
 * note.c, note_install.c, note_parts.c, note_truncate.c   what the source itself notes of
 * statements lane.c     chunk bounds, snapshots, reading event.c, value.c   decoding check.c    the
 * precheck, left_out.c  what is not carried
 *
 * A position is "0/16B3748", the end of a transaction's commit record, or
 * "0/16B3748+5": behind it and the first five changes of the transaction that
 * follows. The latter stands where a statement that changes a table cuts a
 * transaction into parts; the server decodes a transaction alike each time.
 */
#ifndef WORKERS_READER_PGSQL_SOURCE_H
#define WORKERS_READER_PGSQL_SOURCE_H

#include "common/compat.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/pgsql/client.h"
#include "common/pgsql/describe.h"
#include "workers/reader/source.h"

/* A transaction that went into the stream and that a snapshot may not see yet. */
struct emitted {
	uint32_t xid;
	uint64_t lsn; /* it is part of what a position from here on stands for */
};

struct pgsql_source {
	struct source base; /* first */
	struct source_env env;
	struct pgsql main; /* catalog, measures: the opening thread's, then the log thread's */
	struct pgsql log;  /* the stream */
	char name[64];	   /* of slot and publication */
	uint64_t cluster;  /* of the server that we are connected to: its number */
	uint32_t timeline; /* and its timeline */
	bool notes;	   /* the source notes what statements do to tables; see note.h */
	atomic_bool woken;
	struct pgsql *held; /* transactions in one snapshot; `taken` of `nheld` are lanes' */
	unsigned nheld;
	atomic_uint taken;
	struct logpos held_at;
	struct table_list begun; /* as the catalog had them when the initial schema was read */
	pthread_mutex_t emitted_lock;
	struct emitted *emitted;
	size_t nemitted, emitted_cap;
};

struct pgsql_position {
	uint64_t lsn;
	uint64_t changes; /* of the transaction that follows */
};

/* `main`, to a server that can be a source; RETRY for one that is a standby. */
enum rc pgsource_open(struct pgsql_source *s, struct err *e) MUSTCHECK;
/* CONFIG: nothing can be read from a server of this kind or age. */
enum rc pgsource_check_server(struct pgsql_source *s, struct err *e) MUSTCHECK;
/* RETRY: it is a standby. */
enum rc pgsource_check_role(struct pgsql_source *s, struct err *e) MUSTCHECK;
enum rc pgsource_identify(struct source *base, char **id, struct err *e) MUSTCHECK;
enum rc pgsource_take_over(
	struct source *base, const char *position, char **here, struct err *e) MUSTCHECK;

enum rc pgsource_parse_position(
	const char *text, struct pgsql_position *out, struct err *e) MUSTCHECK;
void pgsource_print_position(struct pgsql_position p, struct buf *b);
/* A replication command that answers with one row. */
enum rc pgsource_command(struct pgsql_source *s, PGresult **out, struct err *e, const char *text,
	int fields) MUSTCHECK;
/* SELECT what: an LSN. */
enum rc pgsource_lsn(struct pgsql *c, const char *what, uint64_t *lsn, struct err *e) MUSTCHECK;
/* A commit of no consequence: so that the log goes past what has been written and not flushed. */
enum rc pgsource_nudge(struct pgsql *c, struct err *e) MUSTCHECK;
bool pgsource_selects(const struct pgsql_source *s, const struct table *t);

/* Whether all that was emitted up to the LSN is visible in a snapshot ("10:20:12,15"); what all
 * snapshots see from now on is forgotten. */
bool pgsource_sees(struct pgsql_source *s, const char *snapshot, uint64_t lsn);
void pgsource_note_emitted(struct pgsql_source *s, uint32_t xid, uint64_t lsn);

/* Source notes as this program wants them, and published. */
enum rc pgsource_ready_notes(struct pgsql_source *s, struct err *e) MUSTCHECK;

enum rc pgsource_catalog(
	struct source *s, struct catalog *out, struct logpos *high, struct err *e) MUSTCHECK;
/* published.c */
enum rc pgsource_newcomers(struct source *s, struct table_list *out, struct err *e) MUSTCHECK;

enum rc pgsource_stream(
	struct source *s, const char *resume, const char *applied, struct err *e) MUSTCHECK;

/* Nobody else streams from it any more. */
enum rc pgsource_free_slot(struct pgsql_source *s, struct err *e) MUSTCHECK;
/* It is there with its publication, and has all that is after this position. */
enum rc pgsource_check_slot(
	struct pgsql_source *s, struct pgsql_position from, struct err *e) MUSTCHECK;

/* SQL: whether the publication p tells all of the table c. */
void pgsource_put_published(struct buf *b, int version);
/* A table that the publication has lost: it has it again, from here on. CONFIG: it may not. */
enum rc pgsource_publish(
	struct pgsql_source *s, const char *db, const char *name, struct err *e) MUSTCHECK;
/* CONFIG, and what to do about it. */
enum rc pgsource_publication_gone(const struct pgsql_source *s, struct err *e);
/*
 * SQL: whether the table c can be carried: old rows tell their key, by which rows
 * are found at the target. An index that is the replica identity must be the only
 * one that could be that key: changes of another would go unseen. What the server
 * computes is in no row of the log.
 */
const char *pgsource_has_identity(int version);
#define NO_IDENTITY                                                                             \
	"no replica identity (or an index that is not its only key, or one with a column that " \
	"the server computes): once it is published its rows could not be updated or deleted"
/* SQL: whether the publication of that name is there. */
#define PUBLISHED "EXISTS (SELECT FROM pg_publication WHERE pubname = slot_name)"
/* The remedy that begins with `first`, and ends with how everything loads again. */
enum rc pgsource_start_over(const struct pgsql_source *s, struct err *e, const char *first);
bool pgsource_wants_held(const struct pgsql_source *s);
bool pgsource_copies_triggers(const struct pgsql_source *s);
/* SQL: whether the trigger g can be copied: it is none of a constraint's or of a partition's table,
 * and its own server fires it. */
const char *pgsource_copied_triggers(int version);
/* Makes the slot; the source is held from here on. RETRY: tables are changed again and again. */
enum rc pgsource_hold(struct pgsql_source *s, struct logpos *at, struct err *e) MUSTCHECK;
/* A connection whose transaction is in the snapshot, the caller's; false: all are taken. */
bool pgsource_take_held(struct pgsql_source *s, struct pgsql *out);
void pgsource_let_go(struct pgsql_source *s);
/* The selected ones, in this connection's transaction, against DDL. */
enum rc pgsource_pin(struct pgsql_source *s, struct pgsql *c, const struct table_list *list,
	struct err *e) MUSTCHECK;

/* The heartbeat's table goes, where there is one. */
enum rc pgsource_end_beat(struct pgsql_source *s, struct err *e) MUSTCHECK;
/* The slot goes, where it is. */
enum rc pgsource_drop_slot(struct pgsql_source *s, struct err *e) MUSTCHECK;
/* Slot and publication go, where they are. */
enum rc pgsource_drop(struct pgsql_source *s, struct err *e) MUSTCHECK;
enum rc pgsource_clear(struct source *base, struct err *e) MUSTCHECK;

enum rc pgsource_lane_open(struct source *s, struct source_lane **out, struct err *e) MUSTCHECK;
void pgsource_lane_close(struct source_lane *l);
enum rc pgsource_lane_bound(struct source_lane *l, const struct table *t, const struct buf *lo,
	uint64_t rows, struct buf *hi, bool *last, struct err *e) MUSTCHECK;
enum rc pgsource_lane_snapshot(struct source_lane *l, const struct snapshot_request *req,
	struct logpos *high, struct err *e) MUSTCHECK;
enum rc pgsource_lane_read(struct source_lane *l, const struct read_request *req, row_cb cb,
	void *arg, struct err *e) MUSTCHECK;
void pgsource_lane_end(struct source_lane *l);

enum rc pgsource_check(
	struct source *s, bool want_sql, struct checks *out, struct err *e) MUSTCHECK;
void pgsource_check_left_out(struct pgsql_source *s, struct checks *out);

/* Servers before 10 have no pgoutput, no publications, and other names for the log. */
#define SPEAKS_LINES(c) ((c)->version < 100000)
#define INSERT_LSN(c) \
	(SPEAKS_LINES(c) ? "pg_current_xlog_insert_location()" : "pg_current_wal_insert_lsn()")
#define FLUSH_LSN(c)                                                         \
	((c)->version >= 100000		? "pg_current_wal_flush_lsn()"       \
		: (c)->version >= 90600 ? "pg_current_xlog_flush_location()" \
					: "pg_current_xlog_location()")
#define SNAPSHOT_FUNCTION(c) \
	((c)->version >= 130000 ? "pg_current_snapshot()" : "txid_current_snapshot()")

#endif
