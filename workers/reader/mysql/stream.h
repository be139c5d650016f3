/*
 * stream.h - the log thread's state, shared by stream.c (events, rows,
 * transactions, XA, the connection) and follow.c (statements).
 */
#ifndef WORKERS_READER_MYSQL_STREAM_H
#define WORKERS_READER_MYSQL_STREAM_H

#include "common/compat.h"

#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "workers/reader/feed.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/source.h"
#include "workers/reader/mysql/tables.h"
#include "workers/reader/mysql/xa.h"

/* Where in a transaction the log stands. PREPARING: its rows wait for XA COMMIT. */
enum framing { OUTSIDE, IN_TRANSACTION, SKIPPING, PREPARING };

struct stream {
	struct mysql_source *s;
	struct feed *feed;
	struct binlog_format format;
	struct mysql_position at; /* after the last transaction */
	struct gtid_set applied;  /* what is skipped */
	uint64_t position;	  /* end of the event in hand */
	enum framing framing;
	bool feeding;		 /* feed_begin was called */
	struct binlog_gtid gtid; /* of the transaction in hand */
	bool has_gtid;
	struct logpos begin; /* of its first event */
	struct logpos end;   /* of the log, when reading began */
	struct logpos seen;  /* the same, when it was last looked at: a log does not shrink */
	uint32_t time;
	struct log_tables tables;
	struct xa_log xa;
	struct arena arena; /* one rows event */
	struct buf text;    /* the position, printed */
	char txid[128];
	uint64_t skipped_ddl;
	uint64_t events;
	uint64_t measured_at; /* mono_us; 0: never */
};

/* stream.c: opens the feed's transaction where it is not open. */
enum rc mysql_stream_begin(struct stream *st, struct err *e) MUSTCHECK;
/* The transaction in hand is over: what the feed has of it is committed, the position moves. */
enum rc mysql_stream_end(struct stream *st, struct err *e) MUSTCHECK;
/* A step of its own amid a transaction: after a crash all of that is read once more. */
enum rc mysql_stream_commit_here(struct stream *st, struct err *e) MUSTCHECK;
enum rc mysql_stream_xa(struct stream *st, const struct binlog_query *q, const struct ddl *d,
	struct err *e) MUSTCHECK;

/* follow.c: QUERY_EVENT. */
enum rc mysql_stream_query(
	struct stream *st, const struct binlog_event *ev, struct err *e) MUSTCHECK;

#endif
