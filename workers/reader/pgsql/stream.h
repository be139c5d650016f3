/*
 * stream.h - the log thread's state, shared by stream.c (messages, rows,
 * transactions, the connection), follow.c (statements) and pulse.c (what is done
 * every so often).
 */
#ifndef WORKERS_READER_PGSQL_STREAM_H
#define WORKERS_READER_PGSQL_STREAM_H

#include "common/compat.h"

#include "common/mem.h"
#include "workers/reader/feed.h"
#include "workers/reader/pgsql/event.h"
#include "workers/reader/pgsql/source.h"
#include "workers/reader/pgsql/tables.h"

/* Where in a transaction the log stands. */
enum framing { OUTSIDE, IN_TRANSACTION, SKIPPING };

struct stream {
	struct pgsql_source *s;
	struct feed *feed;
	struct log_relations relations;
	struct pgsql_position at; /* behind this all is in the feed */
	uint64_t applied;	  /* transactions up to here are skipped */
	uint64_t skip;		  /* then so many changes of the next one */
	uint64_t seen;		  /* changes of the transaction in hand */
	uint64_t received;
	uint64_t durable;
	enum framing framing;
	bool feeding;  /* feed_begin was called */
	bool rows;     /* and rows went in */
	bool selected; /* the transaction in hand changes a table that is carried, now or later */
	uint64_t commit_lsn;
	uint64_t time_us; /* when it was committed */
	uint64_t sent_us; /* when the last message left the source, by the same clock */
	uint32_t xid;
	struct arena message; /* what is decoded of one message */
	struct buf text;
	char txid[16];
	uint64_t status_at, clock_at, pulse_at; /* mono_us; 0: never */
	PGresult *sequences;			/* where they stood when last looked at */
	struct buf values; /* a statement that says so, once the log has been read up to there */
	uint64_t values_at;
	uint64_t end;	   /* of the source's log, when last asked */
	uint64_t begun_at; /* lines: where it ended when the stream began */
};

/* stream.c: opens the feed's transaction where it is not open. */
enum rc stream_begin(struct stream *st, struct err *e) MUSTCHECK;
/* A boundary within the source's transaction: so many of its changes are in the feed. */
enum rc stream_cut(struct stream *st, uint64_t changes, struct err *e) MUSTCHECK;

/* What is in the feed's transaction is whole, at the place where the log stands. */
enum rc stream_commit(struct stream *st, struct err *e) MUSTCHECK;

/* published.c: tables that the publication has lost are put back and load again. */
enum rc stream_check_published(struct stream *st, struct err *e) MUSTCHECK;
/* pulse.c: the heartbeat's row; sequences that have moved. */
enum rc stream_pulse(struct stream *st, struct err *e) MUSTCHECK;

/* follow.c: a relation that is not as its table was: the feed hears of it before the row. */
enum rc stream_check_relation(struct stream *st, struct relation *r, struct err *e) MUSTCHECK;
enum rc stream_truncate(struct stream *st, const struct pgout_event *ev, struct err *e) MUSTCHECK;
/* The change in hand is a row of the source's notes. */
enum rc stream_note(struct stream *st, const struct relation *r, const struct pgout_event *ev,
	struct err *e) MUSTCHECK;
/*
 * Rows of a table that nothing has told of: someone has published it by hand, or
 * the server sends the rows of all. It loads. Where the source takes notes, one
 * will tell when it can be carried.
 */
enum rc stream_meet(
	struct stream *st, const struct relation *r, bool *joins, struct err *e) MUSTCHECK;

#endif
