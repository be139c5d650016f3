/* client.c - see client.h. */
#include "common/compat.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/loop.h"
#include "common/mem.h"
#include "common/net.h"
#include "common/pgsql/client.h"

/* ---- errors ---- */

/* Prefixes of SQLSTATEs, the longer ones first. */
static const struct {
	const char *prefix;
	enum rc rc;
	bool lost;
} classes[] = {
	{"57P01", RC_RETRY, true}, /* admin_shutdown, crash_shutdown, cannot_connect_now */
	{"57P02", RC_RETRY, true}, {"57P03", RC_RETRY, true},
	{"57014", RC_RETRY, false}, /* query_canceled */
	{"55006", RC_RETRY, false}, /* object_in_use: a slot that another connection still has */
	{"55P03", RC_RETRY, false}, /* lock_not_available */
	{"08", RC_RETRY, true}, {"40", RC_RETRY, false}, {"53", RC_RETRY, false},
	{"25006", RC_CONFIG, false}, /* read_only_sql_transaction */
	{"0A", RC_CONFIG, false}, {"28", RC_CONFIG, false}, {"3D", RC_CONFIG, false},
	{"3F", RC_CONFIG, false}, {"42501", RC_CONFIG, false}, {"42704", RC_CONFIG, false},
	{"42883", RC_CONFIG, false}, {"42P01", RC_CONFIG, false}, {"55", RC_CONFIG, false},
	{"58P01", RC_CONFIG, false}, /* undefined_file: log that is gone */
};

static enum rc
classify(struct pgsql *c, const char *state, const char *text, struct err *e)
{
	enum rc rc = RC_DATA;
	bool lost = *state == '\0';

	if (lost)
		rc = RC_RETRY;
	for (size_t i = 0; i < COUNT_OF(classes) && !lost; i++)
		if (strncmp(classes[i].prefix, state, strlen(classes[i].prefix)) == 0) {
			rc = classes[i].rc;
			lost = classes[i].lost;
			break;
		}
	snprintf(c->state, sizeof c->state, "%s", lost ? "" : state);
	if (e == NULL)
		return rc;
	err_set(e, rc, "%.*s%s%s%s", (int)strcspn(text, "\n"), text,
		*state != '\0' ? " (SQLSTATE " : "", state, *state != '\0' ? ")" : "");
	e->code = lost ? 0 : (int)strtol(state, NULL, 36);
	return rc;
}

/* Whatever was being done. */
static enum rc
given_up(struct pgsql *c, struct err *e)
{
	*c->state = '\0';
	if (e == NULL)
		return RC_RETRY;
	err_set(e, RC_RETRY, "the %s is silent: %s", c->end, c->silence);
	return err_remedy(e,
		"see that the server is not stopped and its disk not stuck, and that nothing in "
		"between forgets connections (firewall, proxy); it is tried again and again by "
		"itself");
}

#define NO_RIGHT "42501"

enum rc
pgsql_error(struct pgsql *c, const PGresult *res, struct err *e, const char *what)
{
	const char *state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL,
		   *text = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL,
		   *detail = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL) : NULL;
	char *whole;
	enum rc rc;

	if (c->silence != NULL)
		return given_up(c, e);
	if (text == NULL)
		text = PQerrorMessage(c->conn);
	whole = detail != NULL ? xasprintf("%s: %s", text, detail) : xstrdup(text);
	rc = classify(c, state != NULL ? state : "", whole, e);
	err_context(e, "%s %s", c->end, what);
	if (e != NULL && pgsql_is(c, NO_RIGHT))
		err_remedy(e, "let an administrator run what `syncline check --sql` prints, or "
			      "grant the account what it lacks");
	free(whole);
	return rc;
}

bool
pgsql_is(const struct pgsql *c, const char *state)
{
	return strcmp(c->state, state) == 0;
}

bool
pgsql_is_deadlock(const struct pgsql *c)
{
	return strncmp(c->state, "40", 2) == 0 || pgsql_is(c, "55P03");
}

/* ---- connecting ---- */

static const char *
setting(const struct pgsql *c, const char *name)
{
	return conf_strf(c->conf, "%s.%s", c->end, name);
}

uint64_t
pgsql_timeout_ms(const struct pgsql *c, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "%s.%s", c->end, name);
	return conf_ms(c->conf, path);
}

/* "FATAL:  28P01: password authentication failed": a refused connection has no result to ask. */
static void
state_of_refusal(const char *text, char *state, size_t size)
{
	const char *p = strstr(text, ":  ");

	*state = '\0';
	if (p != NULL && strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && p[8] == ':')
		snprintf(state, size, "%.5s", p + 3);
}

static enum rc
wait_connected(struct pgsql *c, struct err *e)
{
	uint64_t deadline = mono_us() + pgsql_timeout_ms(c, "connect_timeout") * 1000;
	PostgresPollingStatusType s = PGRES_POLLING_WRITING;

	while (s != PGRES_POLLING_OK && s != PGRES_POLLING_FAILED) {
		struct pollfd p = {.fd = PQsocket(c->conn),
			.events = s == PGRES_POLLING_READING ? POLLIN : POLLOUT};
		uint64_t now = mono_us();
		int n = now < deadline ? poll(&p, 1, (int)((deadline - now) / 1000) + 1) : 0;

		if (n == 0)
			return classify(c, "", "nobody answered in time", e);
		if (n < 0 && errno != EINTR)
			return err_errno(e, RC_RETRY, "cannot wait for the %s", c->end);
		if (n > 0)
			s = PQconnectPoll(c->conn);
	}
	if (s == PGRES_POLLING_FAILED) {
		const char *text = PQerrorMessage(c->conn), *colon;
		char state[6];

		state_of_refusal(text, state, sizeof state);
		colon = *state != '\0' ? strstr(text, ":  ") + 10 : text;
		return classify(c, state, colon, e);
	}
	return RC_OK;
}

static const char *
ssl_mode(const struct pgsql *c)
{
	const char *mode = setting(c, "tls");

	if (mode == NULL || strcmp(mode, "prefer") == 0)
		return "prefer";
	if (strcmp(mode, "off") == 0)
		return "disable";
	return strcmp(mode, "require") == 0 ? "require" : "verify-full";
}

#define WRONG_PASSWORD "28P01"
#define NOT_ALLOWED "28000"
#define NO_DATABASE "3D000"
#define NO_ROOM "53300"

static enum rc
remedy(const struct pgsql *c, struct err *e)
{
	const char *user = setting(c, "user"), *database = setting(c, "database"), *end = c->end;

	if (pgsql_is(c, WRONG_PASSWORD))
		return err_remedy(e,
			"see that %s.user and its password (%s.password_file) are right; or let an "
			"administrator of the server set it: ALTER ROLE \"%s\" PASSWORD '...'",
			end, end, user);
	if (pgsql_is(c, NOT_ALLOWED))
		return err_remedy(e,
			"let an administrator of the server see that the role exists and may log "
			"in, and that pg_hba.conf has a line for it, the database and our address, "
			"such as: host \"%s\" \"%s\" OUR-ADDRESS/32 scram-sha-256; then: SELECT "
			"pg_reload_conf()",
			database, user);
	if (pgsql_is(c, NO_DATABASE))
		return err_remedy(e, "see that %s.database is right, or create it there", end);
	if (pgsql_is(c, NO_ROOM))
		return err_remedy(e, "end sessions at the server, or raise max_connections there");
	if (*c->state != '\0')
		return err_remedy(e, "let an administrator of the server give the account what it "
				     "lacks: CONNECT on the database, REPLICATION for a source");
	if (e->rc == RC_CONFIG)
		return err_remedy(e,
			"let %s.tls_ca name the certificate that signs the server's, and %s.host "
			"be a name in the server's; or set %s.tls = \"require\", which encrypts "
			"and does not verify",
			end, end, end);
	return err_remedy(e,
		"see that the server runs, that it listens at this address (%s.host, %s.port), and "
		"that no firewall stands in between",
		end, end);
}

/* "connection to server at "db1" (10.0.0.1), port 5432 failed: ", which we say ourselves. */
static void
cut_preamble(struct err *e)
{
	static const char word[] = " failed: ";
	char *end = strstr(e->text, word);

	if (end != NULL && strncmp(e->text, "connection to server ", 21) == 0)
		memmove(e->text, end + sizeof word - 1, strlen(end + sizeof word - 1) + 1);
}

/* A certificate that does not verify will not get better by trying again. */
static enum rc
cannot_connect(struct pgsql *c, const char *host, const char *port, struct err *e)
{
	if (e == NULL)
		return RC_RETRY;
	cut_preamble(e);
	if (*c->state == '\0' && strstr(e->text, "certificate") != NULL)
		e->rc = RC_CONFIG;
	err_context(e, "cannot connect to the %s %s:%s as \"%s\"", c->end, host, port,
		setting(c, "user"));
	return remedy(c, e);
}

/*
 * What a session of ours is set to, whatever the account, its database and the server are set to;
 * those that the server's version has. Before 10 a connection that reads the log takes replication
 * commands alone: it is set by options.
 */
static const struct {
	const char *name, *value;
	enum { SESSION, LOG_TOO, LOOKS } of; /* each holds the ones before; what values look like */
} settings[] = {
	{"TimeZone", "UTC", LOOKS},
	{"DateStyle", "ISO,YMD", LOOKS},
	{"IntervalStyle", "postgres", LOOKS},
	{"extra_float_digits", "3", LOOKS},
	{"bytea_output", "hex", LOOKS},
	{"lc_monetary", "C", LOOKS},
	{"quote_all_identifiers", "off", LOOKS},
	{"search_path", "pg_catalog", LOG_TOO},
	{"statement_timeout", "0", LOG_TOO},
	{"transaction_timeout", "0", SESSION},
	{"lock_timeout", "0", SESSION},
	{"idle_in_transaction_session_timeout", "0", SESSION},
	{"idle_session_timeout", "0", SESSION},
	{"default_transaction_isolation", "read committed", SESSION},
	{"row_security", "off", SESSION}, /* rather an error than rows that are not seen */
	{"xmloption", "content", SESSION},
	{"array_nulls", "on", SESSION},
	{"standard_conforming_strings", "on", SESSION},
	{"check_function_bodies", "off", SESSION},
};

void
pgsql_put_looks(struct buf *b)
{
	for (size_t i = 0; i < COUNT_OF(settings); i++)
		if (settings[i].of == LOOKS)
			buf_printf(b, "SET %s TO '%s' ", settings[i].name, settings[i].value);
}

static char *
log_options(void)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < COUNT_OF(settings); i++)
		if (settings[i].of != SESSION)
			buf_printf(&b, "-c %s=%s ", settings[i].name, settings[i].value);
	return (char *)b.data;
}

static enum rc
set_session(struct pgsql *c, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_puts(&b, "SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES ");
	for (size_t i = 0; i < COUNT_OF(settings); i++)
		buf_printf(&b, "%s('%s', '%s')", i != 0 ? ", " : "", settings[i].name,
			settings[i].value);
	buf_puts(&b, ") v (name, value) JOIN pg_catalog.pg_settings s ON s.name = v.name");
	rc = pgsql_exec(c, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

static enum rc
connect_to(struct pgsql *c, bool replication, struct err *e)
{
	const char *socket = setting(c, "socket"),
		   *host = socket != NULL ? socket : setting(c, "host"), *port = setting(c, "port"),
		   *ca = setting(c, "tls_ca");
	char *dir = NULL, *options = replication ? log_options() : NULL;
	const char *words[20], *values[20];
	size_t n = 0;
	enum rc rc;

	/* A socket's path is the directory's, and the port in its name. */
	if (socket != NULL && strstr(socket, "/.s.PGSQL.") != NULL) {
		const char *name = strstr(socket, "/.s.PGSQL.");

		dir = xstrndup(socket, (size_t)(name - socket));
		host = dir;
		port = name + strlen("/.s.PGSQL.");
	}
	if (port == NULL)
		port = "5432";
#define PUT(word, value)                       \
	do {                                   \
		if ((value) != NULL) {         \
			words[n] = (word);     \
			values[n++] = (value); \
		}                              \
	} while (0)
	PUT("host", host);
	PUT("port", port);
	PUT("user", setting(c, "user"));
	PUT("password", setting(c, "password"));
	PUT("dbname", setting(c, "database"));
	PUT("sslmode", ssl_mode(c));
	PUT("sslrootcert", ca);
	PUT("sslcert", setting(c, "tls_cert"));
	PUT("sslkey", setting(c, "tls_key"));
	PUT("client_encoding", "UTF8");
	PUT("application_name", "syncline");
	PUT("passfile", "/dev/null");
	PUT("replication", replication ? "database" : NULL);
	PUT("options", options);
#undef PUT
	words[n] = NULL;
	values[n] = NULL;
	c->conn = PQconnectStartParams(words, values, 0);
	free(options);
	if (c->conn == NULL) {
		free(dir);
		return err_set(e, RC_RETRY, "cannot start a %s connection: no memory", c->end);
	}
	PQsetErrorVerbosity(c->conn, PQERRORS_VERBOSE);
	rc = PQstatus(c->conn) == CONNECTION_BAD ? classify(c, "", PQerrorMessage(c->conn), e)
						 : wait_connected(c, e);
	PQsetErrorVerbosity(c->conn, PQERRORS_DEFAULT);
	if (rc != RC_OK)
		rc = cannot_connect(c, host, port, e);
	free(dir);
	return rc;
}

static void
quiet(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res; /* notices are not for our standard error */
}

/*
 * A password that is refused is said once more, and again: a handshake of which the
 * server has got a half is answered as if it were wrong. Not so by MySQL servers,
 * which call it a handshake error. What is refused three times is wrong.
 */
static enum rc
connect_patiently(struct pgsql *c, bool replication, struct err *e)
{
	static const long pauses_ms[] = {250, 750};
	enum rc rc = connect_to(c, replication, e);

	for (size_t i = 0; i < COUNT_OF(pauses_ms) && pgsql_is(c, WRONG_PASSWORD); i++) {
		struct timespec pause = {.tv_nsec = pauses_ms[i] * 1000000};

		pgsql_close(c);
		nanosleep(&pause, NULL);
		*c->state = '\0';
		rc = connect_to(c, replication, e);
	}
	return rc;
}

static enum rc
open_session(struct pgsql *c, bool replication, struct err *e)
{
	enum rc rc = connect_patiently(c, replication, e);

	if (rc == RC_OK && PQsetnonblocking(c->conn, 1) != 0)
		rc = pgsql_error(c, NULL, e, "cannot be talked to");
	if (rc != RC_OK) {
		pgsql_close(c);
		return rc;
	}
	net_watch(PQsocket(c->conn), 0);
	PQsetNoticeReceiver(c->conn, quiet, NULL);
	c->version = PQserverVersion(c->conn);
	if (replication && c->version < 100000)
		return RC_OK;
	rc = set_session(c, e);
	if (rc != RC_OK)
		pgsql_close(c);
	return rc;
}

enum rc
pgsql_open(
	struct pgsql *c, const struct conf *conf, const char *end, bool replication, struct err *e)
{
	*c = (struct pgsql){.end = end, .conf = conf};
	return open_session(c, replication, e);
}

enum rc
pgsql_open_second(const struct pgsql *first, struct pgsql *c, struct err *e)
{
	*c = (struct pgsql){.end = first->end, .conf = first->conf, .asks = true};
	return open_session(c, false, e);
}

void
pgsql_close(struct pgsql *c)
{
	if (c->conn != NULL)
		PQfinish(c->conn);
	c->conn = NULL;
	free(c->silence);
	c->silence = NULL;
}

/* ---- SQL text ---- */

static void
put_doubled(struct buf *b, const char *s, char quote)
{
	buf_putc(b, quote);
	for (; *s != '\0'; s++) {
		if (*s == quote)
			buf_putc(b, quote);
		buf_putc(b, *s);
	}
	buf_putc(b, quote);
}

void
pgsql_quote_name(struct buf *b, const char *name)
{
	put_doubled(b, name, '"');
}

void
pgsql_quote_table(struct buf *b, const char *schema, const char *name)
{
	pgsql_quote_name(b, schema);
	buf_putc(b, '.');
	pgsql_quote_name(b, name);
}

void
pgsql_quote_text(struct buf *b, const char *s)
{
	put_doubled(b, s, '\'');
}

void
pgsql_quote_regclass(struct buf *b, const char *schema, const char *name)
{
	struct buf table;

	buf_init(&table);
	pgsql_quote_table(&table, schema, name);
	pgsql_quote_text(b, buf_text(&table));
	buf_release(&table);
}

void
pgsql_hex(struct buf *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = p;
	unsigned char *to = buf_reserve(b, 2 * n);

	for (size_t i = 0; i < n; i++) {
		to[2 * i] = (unsigned char)digits[from[i] >> 4];
		to[2 * i + 1] = (unsigned char)digits[from[i] & 15];
	}
	b->len += 2 * n;
	b->data[b->len] = '\0';
}

void
pgsql_quote_bytes(struct buf *b, const void *p, size_t n)
{
	buf_puts(b, "'\\x");
	pgsql_hex(b, p, n);
	buf_putc(b, '\'');
}
