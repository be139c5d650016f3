/*
 * client.h - the MySQL client library, as both ends use it.
 *
 * The shim that hides which library it is: MariaDB Connector/C (Debian's
 * default) or Oracle's libmysqlclient (MYSQL_CLIENT=mysqlclient at build
 * time). The one header of ours that includes <mysql.h>; the folders of this
 * engine include it and may use the library's plain calls.
 *
 * A statement may take as long as it takes: an index, a rewrite of a table. When
 * nothing has come for read_timeout, another connection asks what our session
 * does: as long as it works, or waits for a lock, it is waited for; if it waits for
 * us, has ended, or nobody answers within connect_timeout, the connection is lost
 * (RETRY). Who refuses us counts as alive. Rows of a result, and prepared statements, have
 * read_timeout alone.
 *
 * A connection belongs to one thread. Failures are told apart here, once:
 * client_error turns the library's last error into RC_RETRY (connection,
 * server going away or starting; with code DEADLOCK's number kept), RC_CONFIG
 * (access, unknown database, rights) or RC_DATA.
 */
#ifndef COMMON_MYSQL_CLIENT_H
#define COMMON_MYSQL_CLIENT_H

#include "common/compat.h"

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/err.h"

/* What differs between servers. */
struct server {
	bool mariadb;
	unsigned version; /* 101119, 80031 */
	char text[64];	  /* "10.11.19-MariaDB" */
};

struct client {
	MYSQL *my;
	struct server server;
	const char *end; /* "source" or "target": for settings */
	char name[300];	 /* "source db1:3306": for error texts */
	const struct conf *conf;
	bool asks;  /* about another connection: its own silence is final */
	void *dump; /* the open log, where the library wants one */
};

/*
 * Connects by the settings of `end`: host, port or socket, user, password, tls, timeouts.
 * Session: time zone +00:00, sql_mode as given ("" is none), names binary,
 * isolation READ COMMITTED, autocommit on, CLIENT_FOUND_ROWS. RETRY when nobody
 * answers, CONFIG when we are refused; with what to do about it.
 */
enum rc client_open(struct client *c, const struct conf *conf, const char *end,
	const char *sql_mode, struct err *e) MUSTCHECK;
/* Another connection like it, to ask what has become of the first: nothing there takes longer than
 * connect_timeout. */
enum rc client_open_second(const struct client *first, struct client *c, struct err *e) MUSTCHECK;
void client_close(struct client *c);

/* answer.c: what mysql_real_query does, which would not wait for a long statement. False: see
 * client_error. */
bool client_ask(struct client *c, const char *sql, size_t len) MUSTCHECK;
int client_socket(const struct client *c);
/* A timeout of the endpoint's settings. */
int client_timeout_ms(const struct client *c, const char *name);

/* Runs a statement without a result (results are read and dropped). */
enum rc
client_run(struct client *c, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(3, 4);
enum rc client_exec(struct client *c, const char *sql, size_t len, struct err *e) MUSTCHECK;
/* Runs a query; *res is the whole result, mysql_free_result is the caller's. */
enum rc
client_query(struct client *c, MYSQL_RES **res, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(4, 5);
/* The first column of the first row, NULL if there is none or it is NULL; the caller's to free. */
enum rc
client_value(struct client *c, char **value, struct err *e, const char *fmt, ...) MUSTCHECK
PRINTF(4, 5);
/* Appends 'text' with quotes, escaped for this connection's sql_mode. */
void client_quote(struct client *c, struct buf *b, const char *text, size_t len);

/* From the connection's (or statement's) last error; `what` is "cannot X Y". */
enum rc client_error(struct client *c, struct err *e, const char *what);
enum rc client_stmt_error(struct client *c, MYSQL_STMT *st, struct err *e, const char *what);
/* The account's password is of the format from before 4.1, or the library knows none like it. */
bool client_is_old_password(int number);
/* How an error number is classed; lost connections, deadlocks and lock timeouts are RETRY. */
enum rc client_class(unsigned number);
/* Deadlock, lock wait timeout: the same transaction may pass when run again. */
bool client_is_deadlock(unsigned number);

/* ---- the log, undecoded ---- */

/* Sends COM_BINLOG_DUMP (gtid_set NULL) or COM_BINLOG_DUMP_GTID (MySQL). gtid_set is the encoded
 * set. */
enum rc client_dump(struct client *c, uint32_t server_id, const char *file, uint32_t pos,
	const struct buf *gtid_set, struct err *e) MUSTCHECK;
/* The next event, without the leading OK byte; valid until the next call. AGAIN: end of a
 * non-blocking dump. */
enum rc client_dump_next(
	struct client *c, const unsigned char **event, size_t *len, struct err *e) MUSTCHECK;
/* Unblocks a thread that is in client_dump_next or any other call: shuts the socket down. Any
 * thread. */
void client_kick(struct client *c);

#endif
