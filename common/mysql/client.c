/* client.c - see client.h. */
#include "common/compat.h"

#include <errmsg.h>
#include <limits.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "common/mysql/client.h"
#include "common/net.h"

#define MAX_PACKET (1024UL << 20)

/* Numbers that one library's headers know and the other's do not. */
#define LOCK_DEADLOCK 1213u
#define LOCK_WAIT_TIMEOUT 1205u
#define RECORD_CHANGED 1020u
#define XA_DEADLOCK 1614u

static const unsigned lost[] = {2002, 2003, 2005, 2006, 2013, 2026, 2027, 2055, 1053, 1077, 1079,
	1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031};
static const unsigned busy[] = {1040, 1129, 1203, 1226, 3032, 1836, 1290, 1792};
/* No room: of disk, of a tablespace, of memory, of descriptors, here or there; what an engine says
 * in its own numbers is mostly that. Never a fact about a row. */
static const unsigned full[] = {
	1021, 1026, 1030, 1037, 1038, 1041, 1114, 1135, 1180, 1206, 2001, 2004, 2008};
static const unsigned config[] = {1044, 1045, 1049, 1130, 1142, 1143, 1146, 1227, 1236, 1251, 1370,
	1372, 1524, 1698, 1820, 2059, 2061, 1410, 1133};

static bool
listed(const unsigned *list, size_t n, unsigned number)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == number)
			return true;
	return false;
}

bool
client_is_deadlock(unsigned number)
{
	return number == LOCK_DEADLOCK || number == LOCK_WAIT_TIMEOUT || number == RECORD_CHANGED ||
	       number == XA_DEADLOCK;
}

/* The connection itself is gone. */
static bool
is_lost(unsigned number)
{
	return listed(lost, COUNT_OF(lost), number);
}

enum rc
client_class(unsigned number)
{
	if (is_lost(number) || client_is_deadlock(number) || listed(busy, COUNT_OF(busy), number) ||
		listed(full, COUNT_OF(full), number))
		return RC_RETRY;
	if (listed(config, COUNT_OF(config), number))
		return RC_CONFIG;
	return RC_DATA;
}

static enum rc
fill(struct client *c, struct err *e, const char *what, unsigned number, const char *text)
{
	enum rc rc = client_class(number);

	if (e == NULL)
		return rc;
	err_set(e, rc, "%s %s: %s (error %u)", c->name, what, text, number);
	/* A lost connection carries code 0: the one thing that callers ask for. */
	e->code = is_lost(number) ? 0 : (int)number;
	if (listed(full, COUNT_OF(full), number))
		return err_remedy(e,
			"make room at the %s (disk, tablespace, memory); it is tried again and "
			"again by itself",
			c->name);
	return rc;
}

enum rc
client_error(struct client *c, struct err *e, const char *what)
{
	return fill(c, e, what, mysql_errno(c->my), mysql_error(c->my));
}

enum rc
client_stmt_error(struct client *c, MYSQL_STMT *st, struct err *e, const char *what)
{
	return fill(c, e, what, mysql_stmt_errno(st), mysql_stmt_error(st));
}

static const char *
setting(const struct client *c, const char *name)
{
	return conf_strf(c->conf, "%s.%s", c->end, name);
}

static void
set_tls(struct client *c)
{
	const char *mode = setting(c, "tls");

	if (mode == NULL || strcmp(mode, "off") == 0) {
#ifdef MARIADB_BASE_VERSION
		my_bool no = 0;

		mysql_optionsv(c->my, MYSQL_OPT_SSL_ENFORCE, &no);
#else
		unsigned disabled = SSL_MODE_PREFERRED;

		mysql_options(c->my, MYSQL_OPT_SSL_MODE, &disabled);
#endif
		return;
	}
	mysql_ssl_set(c->my, setting(c, "tls_key"), setting(c, "tls_cert"), setting(c, "tls_ca"),
		NULL, NULL);
#ifdef MARIADB_BASE_VERSION
	my_bool enforce = strcmp(mode, "prefer") != 0, verify = strcmp(mode, "verify") == 0;

	mysql_optionsv(c->my, MYSQL_OPT_SSL_ENFORCE, &enforce);
	mysql_optionsv(c->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
#else
	unsigned ssl = strcmp(mode, "verify") == 0 ? SSL_MODE_VERIFY_IDENTITY
		       : strcmp(mode, "require") == 0 ? SSL_MODE_REQUIRED
						      : SSL_MODE_PREFERRED;

	mysql_options(c->my, MYSQL_OPT_SSL_MODE, &ssl);
#endif
}

int
client_timeout_ms(const struct client *c, const char *name)
{
	char path[64];
	uint64_t ms;

	snprintf(path, sizeof path, "%s.%s", c->end, name);
	ms = conf_ms(c->conf, path);
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void
set_options(struct client *c)
{
	unsigned connect_s = (unsigned)(client_timeout_ms(c, "connect_timeout") + 999) / 1000;
	unsigned read_s = (unsigned)(client_timeout_ms(c, "read_timeout") + 999) / 1000;
	unsigned long packet = MAX_PACKET;
	unsigned local = 0;

	mysql_options(c->my, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	mysql_options(c->my, MYSQL_OPT_READ_TIMEOUT, &read_s);
	mysql_options(c->my, MYSQL_OPT_WRITE_TIMEOUT, &read_s);
	mysql_options(c->my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	mysql_options(c->my, MYSQL_OPT_LOCAL_INFILE, &local);
	mysql_options(c->my, MYSQL_SET_CHARSET_NAME, "binary");
	mysql_options4(c->my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "syncline");
#ifndef MARIADB_BASE_VERSION
	bool public_key = true;

	mysql_options(c->my, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &public_key);
#endif
	set_tls(c);
}

int
client_socket(const struct client *c)
{
#ifdef MARIADB_BASE_VERSION
	return (int)mysql_get_socket(c->my);
#else
	return c->my->net.fd;
#endif
}

/* Statements are read whole before they run. */
#define UNTAKEN_MS 8000

#define TLS_ERROR 2026

/* Numbers of a refusal, from servers and libraries of both kinds. */
enum refusal {
	HOST_BLOCKED = 1129,
	HOST_REFUSED = 1130,
	TOO_MANY = 1040,
	TOO_MANY_OF_USER = 1203,
	LIMIT_OF_USER = 1226,
	ACCESS_DENIED = 1045,
	ACCESS_DENIED_PLUGIN = 1698,
	PASSWORD_EXPIRED = 1820,
	OLD_CLIENT = 1251,
	OLD_PASSWORD_SERVER = 1275,
	OLD_PASSWORD_CLIENT = 2049,
	NO_PLUGIN = 2059,
};

bool
client_is_old_password(int number)
{
	return number == OLD_CLIENT || number == OLD_PASSWORD_SERVER ||
	       number == OLD_PASSWORD_CLIENT;
}

static enum rc
tls_remedy(struct client *c, struct err *e)
{
	if (e->rc == RC_CONFIG)
		return err_remedy(e,
			"let %s.tls_ca name the certificate that signs the server's, and %s.host "
			"be a name in the server's; or set %s.tls = \"require\", which encrypts "
			"and does not verify",
			c->end, c->end, c->end);
	return err_remedy(e, "enable TLS at the server, or set %s.tls = \"prefer\"", c->end);
}

static enum rc
remedy(struct client *c, unsigned number, struct err *e)
{
	switch (number) {
	case ACCESS_DENIED:
	case ACCESS_DENIED_PLUGIN:
		return err_remedy(e,
			"see that %s.user and its password (%s.password_file) are right; or let an "
			"administrator of the server set it for that account: ALTER USER ... "
			"IDENTIFIED BY '...'",
			c->end, c->end);
	case HOST_REFUSED:
		return err_remedy(e,
			"let an administrator of the server create the account for the address "
			"that the text names: CREATE USER '%s'@'...' IDENTIFIED BY '...'",
			setting(c, "user"));
	case HOST_BLOCKED:
		return err_remedy(e, "let an administrator of the server run FLUSH HOSTS, and see "
				     "why connections broke");
	case TOO_MANY:
	case TOO_MANY_OF_USER:
	case LIMIT_OF_USER:
		return err_remedy(
			e, "end sessions at the server, or raise the limit that it names");
	case PASSWORD_EXPIRED:
		return err_remedy(e,
			"let an administrator of the server renew the account's password: ALTER "
			"USER '%s'@'...' IDENTIFIED BY '...'",
			setting(c, "user"));
	case OLD_CLIENT:
	case OLD_PASSWORD_SERVER:
	case OLD_PASSWORD_CLIENT:
		return err_remedy(e,
			"let an administrator of the server give the account's password the format "
			"of MySQL 4.1 and later: SET old_passwords = 0; SET PASSWORD FOR "
			"'%s'@'...' "
			"= PASSWORD('...')",
			setting(c, "user"));
	case NO_PLUGIN:
		return err_remedy(e,
			"let an administrator of the server identify '%s'@'...' with "
			"mysql_native_password, caching_sha2_password, sha256_password or ed25519",
			setting(c, "user"));
	case TLS_ERROR:
		return tls_remedy(c, e);
	default:
		return err_remedy(e,
			"see that the server runs, that it listens at this address (%s.host, "
			"%s.port), and that no firewall stands in between",
			c->end, c->end);
	}
}

/*
 * Nobody answers, or we are refused. A certificate that does not verify is not
 * a lost connection, which is all that the library's number says: it will not
 * get better by trying again.
 */
static enum rc
cannot_connect(struct client *c, struct err *e)
{
	unsigned number = mysql_errno(c->my);
	const char *text = mysql_error(c->my);
	bool unverified = number == TLS_ERROR && strcasestr(text, "certificate") != NULL;

	if (e == NULL)
		return client_class(number);
	err_set(e, unverified ? RC_CONFIG : client_class(number),
		"cannot connect to the %s as \"%s\": %s (error %u)", c->name, setting(c, "user"),
		text, number);
	e->code = is_lost(number) ? 0 : (int)number;
	return remedy(c, number, e);
}

static void
identify(struct client *c)
{
	const char *text = mysql_get_server_info(c->my);
	unsigned a = 0, b = 0, p = 0;

	snprintf(c->server.text, sizeof c->server.text, "%s", text);
	c->server.mariadb = strstr(text, "MariaDB") != NULL || strstr(text, "mariadb") != NULL;
	if (strncmp(text, "5.5.5-", 6) == 0)
		text += 6;
	if (sscanf(text, "%u.%u.%u", &a, &b, &p) >= 2)
		c->server.version = a * 10000 + b * 100 + p;
}

static enum rc
open_session(struct client *c, const char *sql_mode, struct err *e)
{
	const struct conf *conf = c->conf;
	const char *host, *socket, *user, *end = c->end;
	char path[32];
	unsigned port;
	enum rc rc;

	c->my = mysql_init(NULL);
	if (c->my == NULL)
		return err_set(e, RC_RETRY, "cannot start a %s connection: no memory", end);
	set_options(c);
	host = setting(c, "host");
	socket = setting(c, "socket");
	user = setting(c, "user");
	snprintf(path, sizeof path, "%s.port", end);
	port = conf_has(conf, path) ? (unsigned)conf_int(conf, path) : MYSQL_PORT;
	if (socket != NULL)
		snprintf(c->name, sizeof c->name, "%s %s", end, socket);
	else
		snprintf(c->name, sizeof c->name, "%s %s:%u", end, host, port);
	if (mysql_real_connect(c->my, socket != NULL ? NULL : host, user, setting(c, "password"),
		    NULL, socket != NULL ? 0 : port, socket,
		    CLIENT_FOUND_ROWS | CLIENT_MULTI_RESULTS) == NULL) {
		rc = cannot_connect(c, e);
		client_close(c);
		return rc;
	}
	net_watch(client_socket(c), UNTAKEN_MS);
	identify(c);
	rc = client_run(c, e,
		"SET time_zone = '+00:00', sql_mode = '%s', autocommit = 1, NAMES binary",
		sql_mode);
	if (rc == RC_OK)
		rc = client_run(c, e, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
	if (rc != RC_OK)
		client_close(c);
	return rc;
}

enum rc
client_open(struct client *c, const struct conf *conf, const char *end, const char *sql_mode,
	struct err *e)
{
	*c = (struct client){.end = end, .conf = conf};
	return open_session(c, sql_mode, e);
}

enum rc
client_open_second(const struct client *first, struct client *c, struct err *e)
{
	*c = (struct client){.end = first->end, .conf = first->conf, .asks = true};
	return open_session(c, "", e);
}

void
client_close(struct client *c)
{
	if (c->my != NULL)
		mysql_close(c->my);
	c->my = NULL;
}

enum rc
client_exec(struct client *c, const char *sql, size_t len, struct err *e)
{
	int more;

	if (!client_ask(c, sql, len))
		return client_error(c, e, "refused a statement");
	do {
		MYSQL_RES *res = mysql_store_result(c->my);

		if (res != NULL)
			mysql_free_result(res);
		more = mysql_next_result(c->my);
	} while (more == 0);
	return more > 0 ? client_error(c, e, "refused a statement") : RC_OK;
}

static enum rc
run(struct client *c, struct err *e, const char *fmt, va_list ap, bool drop)
{
	char *sql;
	int n = vasprintf(&sql, fmt, ap);
	enum rc rc;

	if (n < 0)
		return err_set(e, RC_BUG, "cannot format a statement");
	if (drop)
		rc = client_exec(c, sql, (size_t)n, e);
	else
		rc = client_ask(c, sql, (size_t)n) ? RC_OK : client_error(c, e, "refused a query");
	free(sql);
	return rc;
}

enum rc
client_run(struct client *c, struct err *e, const char *fmt, ...)
{
	va_list ap;
	enum rc rc;

	va_start(ap, fmt);
	rc = run(c, e, fmt, ap, true);
	va_end(ap);
	return rc;
}

enum rc
client_query(struct client *c, MYSQL_RES **res, struct err *e, const char *fmt, ...)
{
	va_list ap;
	enum rc rc;

	*res = NULL;
	va_start(ap, fmt);
	rc = run(c, e, fmt, ap, false);
	va_end(ap);
	if (rc != RC_OK)
		return rc;
	*res = mysql_store_result(c->my);
	return *res != NULL ? RC_OK : client_error(c, e, "gave no result");
}

enum rc
client_value(struct client *c, char **value, struct err *e, const char *fmt, ...)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	va_list ap;
	enum rc rc;

	*value = NULL;
	va_start(ap, fmt);
	rc = run(c, e, fmt, ap, false);
	va_end(ap);
	if (rc != RC_OK)
		return rc;
	res = mysql_store_result(c->my);
	if (res == NULL)
		return client_error(c, e, "gave no result");
	row = mysql_fetch_row(res);
	if (row != NULL && row[0] != NULL)
		*value = xstrndup(row[0], mysql_fetch_lengths(res)[0]);
	mysql_free_result(res);
	return RC_OK;
}

void
client_quote(struct client *c, struct buf *b, const char *text, size_t len)
{
	unsigned long n;

	buf_putc(b, '\'');
	n = mysql_real_escape_string(
		c->my, (char *)buf_reserve(b, len * 2 + 1), text, (unsigned long)len);
	b->len += n;
	buf_putc(b, '\'');
}

/*
 * Connector/C: the command goes out by its public method table, packets come in
 * by its exported reader; the library's own binlog calls know too few events.
 */
#ifdef MARIADB_BASE_VERSION

#define COM_DUMP 0x12
#define COM_DUMP_GTID 0x1e

unsigned long STDCALL mysql_net_read_packet(MYSQL *mysql);

enum rc
client_dump(struct client *c, uint32_t server_id, const char *file, uint32_t pos,
	const struct buf *gtid_set, struct err *e)
{
	struct buf b;
	int failed;

	buf_init(&b);
	if (gtid_set == NULL) {
		buf_u32(&b, pos);
		buf_u16(&b, 0);
		buf_u32(&b, server_id);
		buf_puts(&b, file);
	} else {
		buf_u16(&b, 4); /* BINLOG_THROUGH_GTID */
		buf_u32(&b, server_id);
		buf_bytes(&b, file, strlen(file));
		buf_u64(&b, pos);
		buf_bytes(&b, gtid_set->data, gtid_set->len);
	}
	failed = c->my->methods->db_command(c->my,
		(enum enum_server_command)(gtid_set != NULL ? COM_DUMP_GTID : COM_DUMP),
		(const char *)b.data, b.len, 1, NULL);
	buf_release(&b);
	return failed ? client_error(c, e, "refused to send its log") : RC_OK;
}

enum rc
client_dump_next(struct client *c, const unsigned char **event, size_t *len, struct err *e)
{
	unsigned long n = mysql_net_read_packet(c->my);
	const unsigned char *p = c->my->net.read_pos;

	if (n == packet_error)
		return client_error(c, e, "stopped sending its log");
	if (n == 0)
		return err_set(e, RC_RETRY, "%s sent an empty packet in its log", c->name);
	if (p[0] == 0xfe && n < 9)
		return RC_AGAIN;
	if (p[0] != 0)
		return err_set(e, RC_DATA, "%s sent a packet of kind %u in its log", c->name, p[0]);
	*event = p + 1;
	*len = n - 1;
	return RC_OK;
}

#else /* Oracle's libmysqlclient */

struct dump {
	MYSQL_RPL rpl;
	unsigned char *gtid_set;
};

static void
copy_gtid_set(MYSQL_RPL *rpl, unsigned char *to)
{
	memcpy(to, rpl->gtid_set_arg, rpl->gtid_set_encoded_size);
}

enum rc
client_dump(struct client *c, uint32_t server_id, const char *file, uint32_t pos,
	const struct buf *gtid_set, struct err *e)
{
	struct dump *d = xcalloc(1, sizeof *d);

	c->dump = d;
	d->rpl.file_name = file;
	d->rpl.file_name_length = strlen(file);
	d->rpl.start_position = pos;
	d->rpl.server_id = server_id;
	if (gtid_set != NULL) {
		d->gtid_set = xmemdup(gtid_set->data, gtid_set->len);
		d->rpl.flags = MYSQL_RPL_GTID;
		d->rpl.gtid_set_encoded_size = gtid_set->len;
		d->rpl.gtid_set_arg = d->gtid_set;
		d->rpl.fix_gtid_set = copy_gtid_set;
	}
	return mysql_binlog_open(c->my, &d->rpl) == 0
		       ? RC_OK
		       : client_error(c, e, "refused to send its log");
}

enum rc
client_dump_next(struct client *c, const unsigned char **event, size_t *len, struct err *e)
{
	struct dump *d = c->dump;

	if (mysql_binlog_fetch(c->my, &d->rpl) != 0)
		return client_error(c, e, "stopped sending its log");
	if (d->rpl.size == 0)
		return RC_AGAIN;
	*event = d->rpl.buffer + 1;
	*len = d->rpl.size - 1;
	return RC_OK;
}

#endif

void
client_kick(struct client *c)
{
	if (c->my != NULL && client_socket(c) >= 0)
		shutdown(client_socket(c), SHUT_RDWR);
}
