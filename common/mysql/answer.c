/* answer.c - statements that take their time; see client.h. */
#include "common/compat.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mysql/client.h"

/* Columns of SHOW PROCESSLIST, on every server. */
enum { PROCESS_ID, PROCESS_COMMAND = 4, PROCESS_STATE = 6 };

/* What a session says that waits for us to read: what it has sent is lost. */
static bool
waits_for_us(const char *command, const char *state)
{
	return strcmp(command, "Sleep") == 0 || strncmp(state, "Writing to net", 14) == 0 ||
	       strncmp(state, "Sending to client", 17) == 0;
}

static bool
works(struct client *other, unsigned long id)
{
	struct err ignored;
	MYSQL_RES *res;
	MYSQL_ROW row;
	bool does = false;

	if (client_query(other, &res, &ignored, "SHOW PROCESSLIST") != RC_OK)
		return ignored.code != 0;
	while ((row = mysql_fetch_row(res)) != NULL)
		if (strtoul(row[PROCESS_ID], NULL, 10) == id)
			does = !waits_for_us(row[PROCESS_COMMAND],
				row[PROCESS_STATE] != NULL ? row[PROCESS_STATE] : "");
	mysql_free_result(res);
	return does;
}

/* Who refuses us answers, too. */
static bool
is_alive(const struct client *c)
{
	struct client other;
	struct err failure;
	bool alive;

	if (c->asks)
		return false;
	if (client_open_second(c, &other, &failure) != RC_OK)
		return failure.code != 0;
	alive = works(&other, mysql_thread_id(c->my));
	client_close(&other);
	return alive;
}

/* Until the answer begins. A server that says nothing and does nothing is cut off: the library then
 * finds the connection lost. */
static void
wait_answer(struct client *c)
{
	struct pollfd p = {.fd = client_socket(c), .events = POLLIN};
	int limit = client_timeout_ms(c, c->asks ? "connect_timeout" : "read_timeout"), n;
	uint64_t began = mono_us();

	do {
		n = poll(&p, 1, limit);
		if (n == 0 && !is_alive(c) && poll(&p, 1, 0) == 0) {
			client_kick(c);
			return;
		}
		if (n == 0)
			log_info("%s works on a statement since %llu s", c->name,
				(unsigned long long)((mono_us() - began) / 1000000));
	} while (n == 0 || (n < 0 && errno == EINTR));
}

bool
client_ask(struct client *c, const char *sql, size_t len)
{
	if (mysql_send_query(c->my, sql, (unsigned long)len) != 0)
		return false;
	wait_answer(c);
	return mysql_read_query_result(c->my) == 0;
}
