/*
 * describe.h - a server's tables as struct table, from information_schema.
 */
#ifndef COMMON_MYSQL_DESCRIBE_H
#define COMMON_MYSQL_DESCRIBE_H

#include "common/compat.h"

#include "common/mysql/client.h"
#include "common/schema.h"

/*
 * Base tables: one (db and name), all of a database (name NULL), or all but the
 * system's (both NULL). A fixed number of queries however many there are.
 */
enum rc mysql_describe(struct client *c, const char *db, const char *name, struct table_list *out,
	struct err *e) MUSTCHECK;

/* A default is told as an expression, whatever it is: MariaDB 10.2.7 and later. */
bool mysql_tells_expressions(const struct server *s);

/* Whether this server logs what cascades of foreign keys do to rows. */
bool mysql_logs_cascades(struct client *c);

/*
 * Bytes of a column that is shown as text but is bytes to us, as it is in the
 * log: INET4, INET6, UUID. 0 for all others. The server's own order of bytes is
 * that of CAST(column AS BINARY).
 */
uint32_t mysql_shown_bytes(const struct column *c);

#endif
