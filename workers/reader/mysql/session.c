/* session.c - the sessions that statements ran in, for event_ddl.session; see source.h of the room.
 */
#include "common/compat.h"

#include <inttypes.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/charset.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/source.h"

#define NO_FOREIGN_KEY_CHECKS 0x4000000u
#define RELAXED_UNIQUE_CHECKS 0x8000000u

static const struct {
	uint64_t bit;
	const char *name;
} modes[] = {
	{0x1, "REAL_AS_FLOAT"},
	{0x2, "PIPES_AS_CONCAT"},
	{0x4, "ANSI_QUOTES"},
	{0x8, "IGNORE_SPACE"},
	{0x40, "NO_UNSIGNED_SUBTRACTION"},
	{0x80, "NO_DIR_IN_CREATE"},
	{0x80000, "NO_AUTO_VALUE_ON_ZERO"},
	{0x100000, "NO_BACKSLASH_ESCAPES"},
	{0x200000, "STRICT_TRANS_TABLES"},
	{0x400000, "STRICT_ALL_TABLES"},
	{0x800000, "NO_ZERO_IN_DATE"},
	{0x1000000, "NO_ZERO_DATE"},
	{0x2000000, "ALLOW_INVALID_DATES"},
	{0x4000000, "ERROR_FOR_DIVISION_BY_ZERO"},
	{0x20000000, "HIGH_NOT_PRECEDENCE"},
	{0x40000000, "NO_ENGINE_SUBSTITUTION"},
};

/* Whether a word of sql_mode means the same at any target. */
static bool
mode_travels(const char *word, size_t len)
{
	for (size_t i = 0; i < COUNT_OF(modes); i++)
		if (strlen(modes[i].name) == len && strncasecmp(modes[i].name, word, len) == 0)
			return true;
	return false;
}

/* A collation by its name, since numbers mean others elsewhere: MariaDB 10.10 has some that only
 * the server can tell. The caller's to free; NULL: unknown. */
static char *
collation_of(struct mysql_source *s, uint32_t id)
{
	const char *name = collation_name(id, s->main.server.mariadb);
	struct err ignored;
	char *asked = NULL;

	if (name != NULL)
		return xstrdup(name);
	if (client_value(&s->main, &asked, &ignored,
		    "SELECT FULL_COLLATION_NAME FROM "
		    "information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ID = %u",
		    id) != RC_OK)
		return NULL;
	return asked;
}

/* What a character set without a collation means is the session's, too. */
static void
print_default_collation(struct mysql_source *s, const struct binlog_query *q, struct buf *b)
{
	char *name = q->utf8mb4_collation != 0 ? collation_of(s, q->utf8mb4_collation) : NULL;

	buf_printf(b, ", default_collation_for_utf8mb4=%s", name != NULL ? name : s->utf8mb4);
	free(name);
}

static void
print_collations(struct mysql_source *s, const struct binlog_query *q, struct buf *b)
{
	char *client = collation_of(s, q->client_collation),
	     *connection = collation_of(s, q->connection_collation),
	     *server = collation_of(s, q->server_collation);

	if (client != NULL)
		buf_printf(b, ", character_set_client=%.*s", (int)strcspn(client, "_"), client);
	if (connection != NULL)
		buf_printf(b, ", collation_connection=%s", connection);
	if (server != NULL)
		buf_printf(b, ", collation_server=%s", server);
	free(client);
	free(connection);
	free(server);
}

void
session_print(struct mysql_source *s, const struct binlog_query *q, struct buf *b)
{
	const char *comma = "";

	buf_puts(b, "sql_mode='");
	for (size_t i = 0; i < COUNT_OF(modes); i++)
		if (q->sql_mode & modes[i].bit) {
			buf_printf(b, "%s%s", comma, modes[i].name);
			comma = ",";
		}
	buf_puts(b, "'");
	buf_printf(b, ", foreign_key_checks=%d, unique_checks=%d",
		(q->flags2 & NO_FOREIGN_KEY_CHECKS) == 0, (q->flags2 & RELAXED_UNIQUE_CHECKS) == 0);
	if (q->client_collation != 0)
		print_collations(s, q, b);
	print_default_collation(s, q, b);
	if (*q->time_zone != '\0' && strpbrk(q->time_zone, "'\\") == NULL &&
		strcmp(q->time_zone, "SYSTEM") != 0)
		buf_printf(b, ", time_zone='%s'", q->time_zone);
	/* What a new column's default makes of the rows that are there. */
	if (q->time != 0)
		buf_printf(b, ", timestamp=%" PRIu32, q->time);
	if (q->time != 0 && q->microseconds != 0)
		buf_printf(b, ".%06" PRIu32, q->microseconds);
}

void
session_add_collation(struct buf *session, const char *variable, const char *name)
{
	buf_printf(session, "%s%s=%s", session->len != 0 ? ", " : "", variable, name);
}

void
session_add_modes(struct buf *session, const char *list)
{
	const char *comma = "";

	buf_puts(session, session->len != 0 ? ", sql_mode='" : "sql_mode='");
	for (size_t n; *list != '\0'; list += n + (list[n] != '\0')) {
		n = strcspn(list, ",");
		if (!mode_travels(list, n))
			continue;
		buf_printf(session, "%s%.*s", comma, (int)n, list);
		comma = ",";
	}
	buf_puts(session, "'");
}
