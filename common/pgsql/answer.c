/* answer.c - statements, and waiting for what the server says of them; see client.h. */
#include "common/compat.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pgsql/client.h"

/* How long to look away: bytes may lie decrypted in the library, where no poll sees them. */
#define GRACE_MS 200
#define SLICE_MS 100

/* ---- silence ---- */

/*
 * What a session does, and whether it works. A client that it waits for is us;
 * 9.6 and older do not say that, but know who reads the log.
 */
static const char doing[] =
	"SELECT concat_ws(', ', state, nullif(concat_ws(': ', wait_event_type, wait_event), '')), "
	"state NOT LIKE 'idle%%' AND coalesce(wait_event_type, '') NOT IN ('Client', 'Activity') "
	"FROM pg_stat_activity WHERE pid = %d",
		  doing_of_old[] =
			  "SELECT state, state NOT LIKE 'idle%%' AND NOT EXISTS (SELECT FROM "
			  "pg_stat_replication r WHERE r.pid = a.pid AND r.state IN ('catchup', "
			  "'streaming')) FROM pg_stat_activity a WHERE pid = %d";

/* Whether it works; what it does is put into `text`. */
static bool
works(struct pgsql *other, int pid, struct buf *text)
{
	struct err failure;
	PGresult *res;
	bool does = false;
	enum rc rc = pgsql_query(
		other, &res, &failure, other->version >= 100000 ? doing : doing_of_old, pid);

	if (rc != RC_OK) {
		buf_puts(text, failure.text);
		return *other->state != '\0';
	}
	if (PQntuples(res) == 0) {
		buf_puts(text, "its session there has ended");
	} else {
		does = strcmp(PQgetvalue(res, 0, 1), "t") == 0;
		buf_printf(text, "its session %s (%s)", does ? "works" : "waits for us",
			PQgetvalue(res, 0, 0));
	}
	PQclear(res);
	return does;
}

/* Who refuses us answers, too. */
static bool
is_alive(const struct pgsql *c, struct buf *text)
{
	struct pgsql other;
	struct err failure;
	bool alive;

	if (c->asks) {
		buf_puts(text, "nor does it answer another connection");
		return false;
	}
	if (pgsql_open_second(c, &other, &failure) != RC_OK) {
		buf_printf(text, "another connection: %s", failure.text);
		return *other.state != '\0';
	}
	alive = works(&other, PQbackendPID(c->conn), text);
	pgsql_close(&other);
	return alive;
}

static enum rc
give_up(struct pgsql *c, unsigned long long seconds, const struct buf *why, struct err *e)
{
	c->silence = xasprintf("nothing has come from it for %llu s (%s.read_timeout); %s", seconds,
		c->end, buf_text(why));
	shutdown(PQsocket(c->conn), SHUT_RDWR);
	(void)PQconsumeInput(c->conn); /* so that the library knows */
	return pgsql_error(c, NULL, e, "");
}

/* The time is up. */
static enum rc
judge(struct pgsql *c, short events, struct err *e)
{
	struct pollfd p = {.fd = PQsocket(c->conn), .events = events};
	unsigned long long seconds = c->waited_ms / 1000;
	enum rc rc = RC_AGAIN;
	struct buf text;
	bool alive;

	buf_init(&text);
	c->waited_ms = 0;
	alive = is_alive(c, &text);
	/* It has come while we asked; a server says that it waits for us before it sends. */
	if (poll(&p, 1, alive ? 0 : GRACE_MS) > 0)
		rc = RC_OK;
	else if (alive)
		log_info(
			"the %s has not answered for %llu s: %s", c->end, seconds, buf_text(&text));
	else
		rc = give_up(c, seconds, &text, e);
	buf_release(&text);
	return rc;
}

enum rc
pgsql_wait(struct pgsql *c, short events, int ms, struct err *e)
{
	struct pollfd p = {.fd = PQsocket(c->conn), .events = events};
	int n = poll(&p, 1, ms);

	if (n < 0 && errno != EINTR)
		return err_errno(e, RC_RETRY, "cannot wait for the %s", c->end);
	if (n > 0)
		c->waited_ms = 0;
	if (n != 0)
		return RC_OK;
	c->waited_ms += (unsigned)ms;
	if (c->waited_ms < pgsql_timeout_ms(c, c->asks ? "connect_timeout" : "read_timeout"))
		return RC_AGAIN;
	return judge(c, events, e);
}

/* ---- what libpq sends and gets ---- */

/* What has come is taken while we wait to send: the server may not read before. */
static bool
wait_and_take(struct pgsql *c, short events)
{
	enum rc rc = pgsql_wait(c, events, SLICE_MS, NULL);

	return (rc == RC_OK || rc == RC_AGAIN) && PQconsumeInput(c->conn) != 0;
}

bool
pgsql_flush(struct pgsql *c)
{
	int left;

	while ((left = PQflush(c->conn)) > 0)
		if (!wait_and_take(c, POLLIN | POLLOUT))
			return false;
	return left == 0;
}

PGresult *
pgsql_result(struct pgsql *c)
{
	/* What is lost is said by the result. */
	if (pgsql_flush(c))
		while (PQisBusy(c->conn) != 0 && wait_and_take(c, POLLIN))
			;
	return PQgetResult(c->conn);
}

static bool
is_last(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);

	return s == PGRES_COPY_IN || s == PGRES_COPY_OUT || s == PGRES_COPY_BOTH;
}

PGresult *
pgsql_answer(struct pgsql *c, int sent)
{
	PGresult *last = NULL, *res;

	while (sent != 0 && !is_last(last) && (res = pgsql_result(c)) != NULL) {
		PQclear(last);
		last = res;
	}
	return last;
}

PGresult *
pgsql_ask(struct pgsql *c, const char *sql)
{
	return pgsql_answer(c, PQsendQuery(c->conn, sql));
}

int
pgsql_copy_line(struct pgsql *c, char **line)
{
	int n;

	while ((n = PQgetCopyData(c->conn, line, 1)) == 0)
		if (!wait_and_take(c, POLLIN))
			return -2;
	return n;
}

bool
pgsql_copy_put(struct pgsql *c, const struct buf *b)
{
	return PQputCopyData(c->conn, (char *)b->data, (int)b->len) == 1 && pgsql_flush(c);
}

/* ---- statements ---- */

static bool
is_good(const PGresult *res)
{
	ExecStatusType s = PQresultStatus(res);

	return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_EMPTY_QUERY;
}

static enum rc
take(struct pgsql *c, PGresult *res, PGresult **out, struct err *e)
{
	enum rc rc = RC_OK;

	if (!is_good(res))
		rc = pgsql_error(c, res, e, "refused a statement");
	if (rc == RC_OK && out != NULL)
		*out = res;
	else
		PQclear(res);
	return rc;
}

enum rc
pgsql_exec(struct pgsql *c, const char *sql, struct err *e)
{
	return take(c, pgsql_ask(c, sql), NULL, e);
}

static enum rc
run(struct pgsql *c, PGresult **out, struct err *e, const char *fmt, va_list ap)
{
	char *sql;
	enum rc rc;

	if (vasprintf(&sql, fmt, ap) < 0)
		return err_set(e, RC_BUG, "cannot format a statement");
	rc = take(c, pgsql_ask(c, sql), out, e);
	free(sql);
	return rc;
}

enum rc
pgsql_run(struct pgsql *c, struct err *e, const char *fmt, ...)
{
	va_list ap;
	enum rc rc;

	va_start(ap, fmt);
	rc = run(c, NULL, e, fmt, ap);
	va_end(ap);
	return rc;
}

enum rc
pgsql_query(struct pgsql *c, PGresult **res, struct err *e, const char *fmt, ...)
{
	va_list ap;
	enum rc rc;

	va_start(ap, fmt);
	rc = run(c, res, e, fmt, ap);
	va_end(ap);
	return rc;
}

enum rc
pgsql_value(struct pgsql *c, char **value, struct err *e, const char *fmt, ...)
{
	PGresult *res = NULL;
	va_list ap;
	enum rc rc;

	*value = NULL;
	va_start(ap, fmt);
	rc = run(c, &res, e, fmt, ap);
	va_end(ap);
	if (rc != RC_OK)
		return rc;
	if (PQntuples(res) != 0 && PQnfields(res) != 0 && !PQgetisnull(res, 0, 0))
		*value = xstrdup(PQgetvalue(res, 0, 0));
	PQclear(res);
	return RC_OK;
}

enum rc
pgsql_exists(struct pgsql *c, bool *is, struct err *e, const char *fmt, ...)
{
	PGresult *res = NULL;
	va_list ap;
	enum rc rc;

	va_start(ap, fmt);
	rc = run(c, &res, e, fmt, ap);
	va_end(ap);
	*is = rc == RC_OK && PQntuples(res) != 0;
	PQclear(res);
	return rc;
}
