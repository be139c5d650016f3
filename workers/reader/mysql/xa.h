/*
 * xa.h - XA transactions of the log: prepared at one place, committed at a later one.
 *
 * Their rows become true where the log has XA COMMIT, and that is where they
 * are fed. Until then the log itself keeps them: what is held here is where a
 * branch begins, and of small ones their events, so that those need not be
 * read twice. A branch that was prepared before this run began is looked for
 * backwards, file by file, each file once: no state outlives the reader, and
 * the position need not wait for a branch that stays open for hours. The
 * server must keep its log for as long.
 *
 * The log thread's alone.
 */
#ifndef WORKERS_READER_MYSQL_XA_H
#define WORKERS_READER_MYSQL_XA_H

#include "common/compat.h"

#include "common/buf.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/source.h"

/* Of the server's; gtrid and bqual have 64 bytes at most. */
struct xid {
	uint32_t format;
	uint8_t gtrid_len, bqual_len;
	unsigned char data[128];
};

/* A transaction that is, or will be, prepared. */
struct xa_branch {
	struct xid id;
	char *file; /* where its first event begins */
	uint64_t offset;
	struct buf events; /* its tables and rows */
	bool whole;	   /* `events` has all of them */
	struct xa_branch *next;
};

struct xa_log {
	struct mysql_source *s;
	struct xa_branch *prepared;
	struct xa_branch *open; /* being read */
	char *file;		/* every branch prepared from here on is listed; NULL: none is */
	uint64_t offset;
	size_t kept; /* bytes of events */
};

void xa_init(struct xa_log *x, struct mysql_source *s);
void xa_release(struct xa_log *x);

/* A transaction begins at this place. With `skipped` nothing of what is listed holds any more. */
void xa_at(struct xa_log *x, const char *file, uint64_t offset, bool skipped);
/* It is a branch; then its tables and rows; then its end. */
void xa_open(struct xa_log *x, const char *file, uint64_t offset);
void xa_keep(struct xa_log *x, const struct binlog_event *ev);
struct xa_branch *xa_prepared(struct xa_log *x, const struct xid *id);
/* The branch of that id, from the log's past if need be. DATA: no log has it any more. */
enum rc xa_find(
	struct xa_log *x, const struct xid *id, struct xa_branch **out, struct err *e) MUSTCHECK;
/* Its tables and rows once more. */
enum rc xa_replay(struct xa_log *x, const struct xa_branch *b, binlog_event_cb cb, void *arg,
	struct err *e) MUSTCHECK;
/* Committed or rolled back. */
void xa_forget(struct xa_log *x, const struct xid *id);

/* Of XA_PREPARE; *one_phase: it is the commit as well. */
enum rc xid_of_event(
	const struct binlog_event *ev, struct xid *id, bool *one_phase, struct err *e) MUSTCHECK;
/* Of a statement as the server writes it: XA COMMIT X'6162',X'',1. */
enum rc xid_of_statement(const char *sql, size_t len, struct xid *id, struct err *e) MUSTCHECK;
void xid_print(const struct xid *id, struct buf *b);

#endif
