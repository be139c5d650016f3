/*
 * proto.h - the contract between the supervisor and its workers.
 *
 * A worker is forked and executed as
 *     syncline-reader CHANNEL GENERATION     (or syncline-writer)
 * with these descriptors and no others:
 *     0 /dev/null, 1 and 2 the supervisor's log, 3 the control socket
 *     (SOCK_SEQPACKET is too small for resume data, so SOCK_STREAM with
 *     length-prefixed messages), 4.. the rings: RING_FD_COUNT descriptors
 *     each, the stream ring first, then one load ring per lane.
 *
 * Life of a pair:
 *     supervisor -> both    CONFIG   (own end's credentials only), then
 *     worker     -> sup.    READY    it lives; a death before is a failed start
 *     supervisor -> writer  START    (empty resume data)
 *     writer     -> sup.    OPENED   resume data: what the target holds
 *     supervisor -> reader  START    the same bytes
 *     reader     -> sup.    OPENED   (empty) the stream flows
 *     ... REPORT each second, TABLE, CONFLICT, EVENT as they come ...
 *     supervisor -> reader  DRAIN    stop reading, let rings empty
 *     reader     -> sup.    DRAINED  all that was read is in the rings; exits 0 when told STOP
 *     supervisor -> writer  DRAIN    apply what is in the rings, commit, then DRAINED
 *     supervisor -> both    STOP     end at once, at the last commit: exit 0
 *     supervisor -> writer  WHOSE    before STOP, where the reader has failed
 * In check mode: CONFIG, READY, CHECK, then CHECKED, exit 0.
 * For a reset: CONFIG, READY, CLEAR, then CLEARED, exit 0; the writer first.
 * A worker that fails sends FAILED, then exits with the class's status.
 * A worker ends when its control socket closes.
 *
 * A message is u32 length (of what follows), u8 type, u32 generation, payload.
 * The parent believes nothing that it has not checked: length, type, direction
 * and generation; left-over bytes are an error.
 */
#ifndef IPC_PROTO_H
#define IPC_PROTO_H

#include "common/compat.h"

#define PROTO_VERSION 2
#define PROTO_CONTROL_FD 3
#define PROTO_RING_FD 4
#define PROTO_MAX_LANES 32
#define PROTO_MAX_MESSAGE (256u << 20)

/*	symbol	name	sent by */
#define MSG_LIST(X)                                                                               \
	X(CONFIG, "config", FROM_SUPERVISOR)   /* conf_encode */                                  \
	X(START, "start", FROM_SUPERVISOR)     /* resume_encode, or empty */                      \
	X(DRAIN, "drain", FROM_SUPERVISOR)     /* - */                                            \
	X(STOP, "stop", FROM_SUPERVISOR)       /* - */                                            \
	X(CHECK, "check", FROM_SUPERVISOR)     /* u8 flags: CHECK_SQL; found_encode */            \
	X(RELEVEL, "relevel", FROM_SUPERVISOR) /* u8 log level, u8 1: as JSON */                  \
	X(WISH, "wish", FROM_SUPERVISOR)     /* str: operator's wish, to be kept in the target */ \
	X(CLEAR, "clear", FROM_SUPERVISOR)   /* remove all that this end keeps for the channel */ \
	X(WHOSE, "whose", FROM_SUPERVISOR)   /* fail if another gateway has the channel now */    \
	X(READY, "ready", FROM_WORKER)	     /* u32 PROTO_VERSION */                              \
	X(OPENED, "opened", FROM_WORKER)     /* writer: resume_encode; reader: empty */           \
	X(REPORT, "report", FROM_WORKER)     /* u32 count, u64 values by STAT_LIST */             \
	X(TABLE, "table", FROM_WORKER)	     /* struct report_table */                            \
	X(CONFLICT, "conflict", FROM_WORKER) /* struct report_conflict */                         \
	X(POSITION, "position", FROM_WORKER) /* writer: str applied, u64 time_us: the mirror */   \
	X(DRAINED, "drained", FROM_WORKER)   /* - */                                              \
	X(CHECKED, "checked", FROM_WORKER)   /* check_encode */                                   \
	X(CLEARED, "cleared", FROM_WORKER)   /* - */                                              \
	X(FAILED, "failed", FROM_WORKER)     /* u8 rc, u32 code, str text, str remedy */

enum msg_direction { FROM_SUPERVISOR, FROM_WORKER };

enum msg_type {
#define X(symbol, name, direction) MSG_##symbol,
	MSG_LIST(X)
#undef X
		MSG_COUNT
};

#define CHECK_SQL 0x01 /* flags of CHECK: also say what an administrator must run */

/*
 * What workers report, as running totals since the worker's start (gauges are
 * marked). The reader fills those of R, the writer those of W.
 *	symbol	name	who	kind
 */
#define STAT_LIST(X)                                                                               \
	X(READ_BYTES, "read_bytes", "R", COUNTER) /* log bytes from the source */                  \
	X(READ_TXNS, "read_transactions", "R", COUNTER)                                            \
	X(RING_BYTES, "ring_bytes", "R", COUNTER) /* put into rings, all lanes */                  \
	X(LOAD_ROWS, "load_rows", "R", COUNTER)	  /* rows read for load */                         \
	X(LOAD_BYTES, "load_bytes", "R", COUNTER)                                                  \
	X(LOAD_ROWS_EXPECTED, "load_rows_expected", "R", GAUGE)                                    \
	X(TABLES_TOTAL, "tables", "R", GAUGE)                                                      \
	X(TABLES_STREAMING, "tables_streaming", "R", GAUGE)                                        \
	X(SOURCE_TIME, "source_commit_time_us", "R", GAUGE) /* commit time of the newest read */   \
	X(READ_LAG, "source_backlog_bytes", "R", GAUGE) /* log not read yet; UINT64_MAX unknown */ \
	X(CLOCK_OFFSET, "source_clock_offset_us", "R", GAUGE) /* int64: source clock minus ours */ \
	X(CAUGHT_UP, "caught_up", "R", GAUGE)		      /* 1: the log's end has been read */ \
	X(TABLES_AT_TARGET, "tables_at_target", "W", GAUGE)   /* committed as streaming */         \
	X(INSERTS, "inserts", "W", COUNTER)                                                        \
	X(UPDATES, "updates", "W", COUNTER)                                                        \
	X(DELETES, "deletes", "W", COUNTER)                                                        \
	X(DDLS, "ddls", "W", COUNTER)                                                              \
	X(LOADED_ROWS, "loaded_rows", "W", COUNTER)   /* rows of committed chunks */               \
	X(IGNORED_ROWS, "ignored_rows", "W", COUNTER) /* kept-existing rows of loads */            \
	X(APPLIED_TXNS, "transactions", "W", COUNTER) /* source transactions committed */          \
	X(COMMITS, "commits", "W", COUNTER)	      /* target transactions */                    \
	X(RETRIES, "retries", "W", COUNTER)	      /* groups run again */                       \
	X(CONFLICTS, "conflicts", "W", COUNTER)                                                    \
	X(UNMATCHED, "unmatched_rows", "W", COUNTER) /* their rows never came: see `dml` */        \
	X(MERGED, "merged_changes", "W", COUNTER) /* part of another change: apply = "fastest" */  \
	X(APPLIED_TIME, "applied_commit_time_us", "W",                                             \
		GAUGE)				   /* source commit time of the newest applied */  \
	X(APPLIED_AT, "applied_at_us", "W", GAUGE) /* when that was committed, our clock */        \
	X(READ_TO_APPLIED, "read_to_applied_us", "W",                                              \
		GAUGE) /* newest group: from read to committed */                                  \
	X(RING_FILL, "ring_fill_bytes", "W", GAUGE)                                                \
	X(RING_SIZE, "ring_size_bytes", "W", GAUGE)                                                \
	X(IN_FLIGHT, "groups_in_flight", "W", GAUGE)                                               \
	X(BUSY_US, "busy_since_us", "W", GAUGE) /* in one DDL since (our clock), 0: no */

enum statistic {
#define X(symbol, name, who, kind) STAT_##symbol,
	STAT_LIST(X)
#undef X
		STAT_COUNT
};

#endif
