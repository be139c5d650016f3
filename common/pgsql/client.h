/*
 * client.h - the PostgreSQL client library, as both ends use it.
 *
 * The one header of ours that includes <libpq-fe.h>; the folders of this engine
 * include it and may use the library's plain calls. Names begin with pgsql_,
 * since libpq itself has pg_ and PQ.
 *
 * No call waits without end. PQexec and its like would: who waits for the server
 * calls pgsql_* below. A server from which nothing has come for read_timeout, not a byte, is
 * asked, by another connection, what our session does there:
 *
 *   it works, or waits for a lock, a disk, a standby     alive: waited for again
 *   it waits for us, or has ended: what was said is lost  RETRY
 *   nobody answers within connect_timeout                 RETRY
 *   we are refused, or there is no room                   alive, as far as can be known
 *
 * So a statement may take as long as it takes - an index, a rewrite of a table -
 * and a lock is waited for as long as lock_timeout of the session allows, which
 * is the server's to say, as at a MySQL server. The connection that is given up is
 * shut down; whatever call comes next fails as on any lost connection, and
 * pgsql_error tells what came to pass.
 *
 * A connection belongs to one thread. Failures are told apart here, once, by
 * SQLSTATE: RC_RETRY (connection lost, server starting, full or going away;
 * deadlock, serialization failure, lock timeout), RC_CONFIG (rights, accounts,
 * objects that are not there) or RC_DATA. e->code is 0 for a lost connection,
 * else the SQLSTATE as a number to base 36; `state` has it as text.
 */
#ifndef COMMON_PGSQL_CLIENT_H
#define COMMON_PGSQL_CLIENT_H

#include "common/compat.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/err.h"

#define PGSQL_GREENPLUM "Greenplum" /* what its version() says beside PostgreSQL */

struct pgsql {
	PGconn *conn;
	int version;	 /* 150018 */
	const char *end; /* "source" or "target": for error texts and settings */
	const struct conf *conf;
	char state[6];	    /* SQLSTATE of the last failure; "" : the connection is lost */
	uint64_t waited_ms; /* in vain, since something has come */
	bool asks;	    /* about another connection: its own silence is final */
	char *silence;	    /* why the connection was given up; NULL: it was not */
};

/*
 * Connects by the settings of `end`. Session: UTF-8, time zone UTC, ISO dates,
 * floats and bytea in full, no search path but the system's, no statement
 * timeout. replication: a connection that takes replication commands.
 */
enum rc pgsql_open(struct pgsql *c, const struct conf *conf, const char *end, bool replication,
	struct err *e) MUSTCHECK;
/* Another connection like it, to ask what has become of the first: nothing there takes longer than
 * connect_timeout. */
enum rc pgsql_open_second(const struct pgsql *first, struct pgsql *c, struct err *e) MUSTCHECK;
void pgsql_close(struct pgsql *c);
/* For CREATE FUNCTION: values look to it as they do in our sessions, whoever calls it. */
void pgsql_put_looks(struct buf *b);

/* Runs statements without results (simple protocol; several may stand in one text). */
enum rc
pgsql_run(struct pgsql *c, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(3, 4);
enum rc pgsql_exec(struct pgsql *c, const char *sql, struct err *e) MUSTCHECK;
/* Runs a query; *res is the whole result, PQclear is the caller's. */
enum rc
pgsql_query(struct pgsql *c, PGresult **res, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(4, 5);
/* The first column of the first row, NULL if there is none or it is NULL; the caller's to free. */
enum rc
pgsql_value(struct pgsql *c, char **value, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(4, 5);

/* Whether the query has a row. */
enum rc
pgsql_exists(struct pgsql *c, bool *is, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(4, 5);

/* ---- what libpq sends and gets, waited for ---- */

/* What PQexec returns, of what PQsend... has begun: `sent` is its result. The caller's; NULL: lost.
 */
PGresult *pgsql_answer(struct pgsql *c, int sent) MUSTCHECK;
/* The same for a statement. */
PGresult *pgsql_ask(struct pgsql *c, const char *sql) MUSTCHECK;
/* PQgetResult, PQgetCopyData: whose results and ends they have. */
PGresult *pgsql_result(struct pgsql *c) MUSTCHECK;
int pgsql_copy_line(struct pgsql *c, char **line) MUSTCHECK;
/* PQputCopyData, until the network has taken it; false: lost. */
bool pgsql_copy_put(struct pgsql *c, const struct buf *b) MUSTCHECK;
/* Everything that waits to be sent has been; false: lost. */
bool pgsql_flush(struct pgsql *c) MUSTCHECK;
/* Waits for bytes (POLLIN) or room for them (POLLOUT) on the socket; AGAIN: not within `ms`. */
enum rc pgsql_wait(struct pgsql *c, short events, int ms, struct err *e) MUSTCHECK;
/* A timeout of the endpoint's settings. */
uint64_t pgsql_timeout_ms(const struct pgsql *c, const char *name);

/* From a failed result (NULL: from the connection); `what` is "cannot X Y". */
enum rc pgsql_error(struct pgsql *c, const PGresult *res, struct err *e, const char *what);
/* Whether the last failure had this SQLSTATE. */
bool pgsql_is(const struct pgsql *c, const char *state);
/* Deadlock, serialization failure, lock timeout: the same transaction may pass when run again. */
bool pgsql_is_deadlock(const struct pgsql *c);

/* ---- SQL text ---- */

void pgsql_quote_name(struct buf *b, const char *name);
void pgsql_quote_table(struct buf *b, const char *schema, const char *name);
/* The same as a literal, which becomes a regclass. */
void pgsql_quote_regclass(struct buf *b, const char *schema, const char *name);
/* 'text'; it must have no zero byte. */
void pgsql_quote_text(struct buf *b, const char *s);
/* '\x00ff' */
void pgsql_quote_bytes(struct buf *b, const void *p, size_t n);
void pgsql_hex(struct buf *b, const void *p, size_t n);

#endif
