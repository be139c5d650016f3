/* client.c - the tool's end of the daemon's control socket. */
#include "common/compat.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/loop.h"
#include "common/mem.h"
#include "supervisor/cli/cli.h"
#include "supervisor/control.h"

#define MAX_REPLY (64u << 20)
/* A daemon that lives answers in no time; a check takes what the servers take. */
#define PATIENCE_MS 600000

struct client {
	int fd;
	struct buf in;
};

static char *
socket_path(const struct cli *c)
{
	const char *env = getenv("SYNCLINE_SOCKET");

	if (c->value[OPT_SOCKET] != NULL)
		return xstrdup(c->value[OPT_SOCKET]);
	if (env != NULL && *env != '\0')
		return xstrdup(env);
	return xasprintf("%s/%s", option_find(daemon_options(), "run_dir")->preset, CONTROL_SOCKET);
}

static int
open_socket(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof a.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

struct client *
client_open(const struct cli *c, int *status)
{
	char *path = socket_path(c), *text;
	int fd = open_socket(path);
	struct client *cl;

	if (fd < 0) {
		bool away = errno == ENOENT || errno == ECONNREFUSED;

		*status = away ? CLI_NOT_RUNNING : CLI_FAILED;
		text = xasprintf("cannot reach synclined on %s: %s", path, strerror(errno));
		show_error(text, away ? "start synclined, or name its socket with --socket or "
					"SYNCLINE_SOCKET"
				      : "run as root, as the daemon's user, or as a member of "
					"socket_group");
		free(text);
		free(path);
		return NULL;
	}
	free(path);
	cl = xcalloc(1, sizeof *cl);
	cl->fd = fd;
	return cl;
}

void
client_close(struct client *cl)
{
	if (cl == NULL)
		return;
	close(cl->fd);
	buf_release(&cl->in);
	free(cl);
}

bool
client_send(struct client *cl, json_t *request)
{
	char *line = json_dumps(request, JSON_COMPACT);
	struct buf b;
	size_t done = 0;

	json_decref(request);
	buf_init(&b);
	buf_puts(&b, line != NULL ? line : "{}");
	buf_putc(&b, '\n');
	free(line);
	while (done < b.len) {
		ssize_t n = send(cl->fd, b.data + done, b.len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	if (done < b.len) {
		buf_release(&b);
		return false;
	}
	buf_release(&b);
	return true;
}

/* A whole line out of what has come, or NULL. */
static json_t *
take_line(struct client *cl)
{
	unsigned char *end = cl->in.len != 0 ? memchr(cl->in.data, '\n', cl->in.len) : NULL;
	size_t n;
	json_t *j;

	if (end == NULL)
		return NULL;
	n = (size_t)(end - cl->in.data);
	j = json_loadb((char *)cl->in.data, n, 0, NULL);
	memmove(cl->in.data, end + 1, cl->in.len - n - 1);
	cl->in.len -= n + 1;
	return j;
}

json_t *
client_receive(struct client *cl, int timeout_ms, bool *timed_out)
{
	uint64_t deadline = mono_us() + (uint64_t)timeout_ms * 1000;
	json_t *j;

	*timed_out = false;
	while ((j = take_line(cl)) == NULL) {
		struct pollfd p = {.fd = cl->fd, .events = POLLIN};
		uint64_t now = mono_us();
		ssize_t n;

		if (now >= deadline || cl->in.len > MAX_REPLY) {
			*timed_out = true;
			return NULL;
		}
		if (poll(&p, 1, (int)((deadline - now) / 1000 + 1)) <= 0)
			continue;
		n = recv(cl->fd, buf_reserve(&cl->in, 65536), 65536, 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			return NULL;
		if (n > 0)
			cl->in.len += (size_t)n;
	}
	return j;
}

int
client_refused(json_t *reply)
{
	int status = (int)json_number(reply, "exit");
	size_t i;
	json_t *line;

	json_array_foreach(json_object_get(reply, "problems"), i, line)
		fprintf(stderr, "%s\n", json_string_value(line));
	show_error(json_text(reply, "error"), json_text(reply, "remedy"));
	json_decref(reply);
	return status != 0 ? status : CLI_FAILED;
}

int
client_ask(struct client *cl, json_t *request, json_t **reply)
{
	bool timed_out = false;
	json_t *j = client_send(cl, request) ? client_receive(cl, PATIENCE_MS, &timed_out) : NULL;

	*reply = NULL;
	if (!json_is_object(j)) {
		json_decref(j);
		show_error(timed_out ? "synclined does not answer" : "synclined went away",
			"see its log");
		return timed_out ? CLI_TIMED_OUT : CLI_NOT_RUNNING;
	}
	if (!json_is_true(json_object_get(j, "ok")))
		return client_refused(j);
	*reply = j;
	return CLI_OK;
}
