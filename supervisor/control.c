/* control.c - see control.h. */
#include "common/compat.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/control.h"
#include "supervisor/view.h"

#define MAX_SESSIONS 64
#define MAX_REQUEST (64u * 1024)
#define MAX_WAITING (32u * 1024 * 1024) /* bytes of replies that a client has not read */
#define MAX_GROUPS 256
#define MIN_INTERVAL_MS 100
/* Without a descriptor for a connection none is taken for so long: it would be offered without end.
 */
#define REST_MS 1000

struct session {
	struct control *control;
	struct session *next;
	int fd;
	struct watch *watch;
	struct buf in, out;
	size_t out_done;
	struct timer *timer; /* of a watch */
	char *channel;
	struct probe *probe;
	bool closing; /* when all is written */
	bool closed;  /* freed by a deferred call */
};

struct control {
	struct control_spec spec;
	char *path;
	int fd;
	struct watch *watch;
	struct timer *rest;
	struct session *sessions;
	unsigned count;
	gid_t group;
	bool has_group;
};

/* ---- sessions ---- */

static void
session_free(struct session *s)
{
	struct session **at = &s->control->sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->control->count--;
	probe_free(s->probe);
	timer_free(s->timer);
	watch_free(s->watch);
	close(s->fd);
	buf_release(&s->in);
	buf_release(&s->out);
	free(s->channel);
	free(s);
}

static void
free_cb(void *arg)
{
	session_free(arg);
}

/* Not at once: a function further up may still use it. */
static void
session_close(struct session *s)
{
	if (s->closed)
		return;
	s->closed = true;
	watch_set(s->watch, 0);
	loop_defer(s->control->spec.gateway->loop, free_cb, s);
}

static void
flush(struct session *s)
{
	while (s->out_done < s->out.len) {
		ssize_t n = send(s->fd, s->out.data + s->out_done, s->out.len - s->out_done,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			watch_set(s->watch, LOOP_READ | LOOP_WRITE);
			return;
		}
		if (n < 0) {
			session_close(s);
			return;
		}
		s->out_done += (size_t)n;
	}
	buf_clear(&s->out);
	s->out_done = 0;
	watch_set(s->watch, LOOP_READ);
	if (s->closing)
		session_close(s);
}

void
session_reply(struct session *s, json_t *reply)
{
	char *line = json_dumps(reply, JSON_COMPACT);

	json_decref(reply);
	if (line == NULL || s->closed || s->out.len - s->out_done > MAX_WAITING) {
		free(line);
		session_close(s);
		return;
	}
	buf_puts(&s->out, line);
	buf_putc(&s->out, '\n');
	free(line);
	flush(s);
}

void
session_refuse(struct session *s, const struct err *e)
{
	json_t *j = json_object();

	json_object_set_new(j, "ok", json_false());
	/* What was asked for is not possible: no class of a channel's failure. */
	json_object_set_new(j, "exit", json_integer(e->rc == RC_CONFIG ? 1 : rc_exit(e->rc)));
	json_object_set_new(j, "error", json_string(e->text));
	json_object_set_new(j, "remedy", json_string(e->remedy));
	session_reply(s, j);
}

struct gateway *
session_gateway(const struct session *s)
{
	return s->control->spec.gateway;
}

const struct control_spec *
session_spec(const struct session *s)
{
	return &s->control->spec;
}

void
session_set_probe(struct session *s, struct probe *p)
{
	s->probe = p;
}

bool
session_has_probe(const struct session *s)
{
	return s->probe != NULL;
}

static void
on_watch_timer(void *arg)
{
	struct session *s = arg;

	/* A slow reader misses looks; it does not gather them. */
	if (s->out.len == 0 && !s->closed)
		session_reply(s, control_view(session_gateway(s), s->channel));
}

void
session_watch(struct session *s, const char *channel, uint64_t interval_ms)
{
	free(s->channel);
	s->channel = channel != NULL ? xstrdup(channel) : NULL;
	if (s->timer == NULL)
		s->timer = timer_new(session_gateway(s)->loop, on_watch_timer, s);
	timer_every(s->timer, interval_ms > MIN_INTERVAL_MS ? interval_ms : MIN_INTERVAL_MS);
	on_watch_timer(s);
}

static void
take_line(struct session *s, const char *line, size_t n)
{
	json_error_t where;
	json_t *request = json_loadb(line, n, 0, &where);
	struct err e;

	if (!json_is_object(request)) {
		err_set(&e, RC_CONFIG, "a request that is no line of JSON with an object: %s",
			where.text);
		session_refuse(s, &e);
	} else {
		control_request(s, request);
	}
	json_decref(request);
}

static void
take_lines(struct session *s)
{
	size_t from = 0;
	unsigned char *end;

	while (!s->closed && s->in.len > from &&
		(end = memchr(s->in.data + from, '\n', s->in.len - from)) != NULL) {
		size_t n = (size_t)(end - (s->in.data + from));

		take_line(s, (char *)s->in.data + from, n);
		from += n + 1;
	}
	memmove(s->in.data, s->in.data + from, s->in.len - from);
	s->in.len -= from;
	if (s->in.len > MAX_REQUEST)
		session_close(s);
}

static void
on_session(void *arg, int what)
{
	struct session *s = arg;
	ssize_t n;

	if (s->closed)
		return;
	if (what & LOOP_WRITE)
		flush(s);
	if (!(what & LOOP_READ) || s->closed)
		return;
	n = recv(s->fd, buf_reserve(&s->in, 4096), 4096, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		session_close(s);
		return;
	}
	s->in.len += (size_t)n;
	take_lines(s);
}

/* ---- who may ---- */

static bool
in_group(int fd, const struct ucred *peer, gid_t group)
{
	gid_t groups[MAX_GROUPS];
	socklen_t n = sizeof groups;

	if (peer->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) != 0)
		return false;
	for (size_t i = 0; i < n / sizeof *groups; i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool
is_welcome(const struct control *c, int fd, struct ucred *peer)
{
	socklen_t n = sizeof *peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &n) != 0)
		return false;
	return peer->uid == 0 || peer->uid == geteuid() ||
	       (c->has_group && in_group(fd, peer, c->group));
}

static void
rest(struct control *c)
{
	log_warn("control: cannot take a connection on %s: %s", c->path, strerror(errno));
	watch_set(c->watch, 0);
	timer_once(c->rest, REST_MS);
}

static void
on_rested(void *arg)
{
	struct control *c = arg;

	watch_set(c->watch, LOOP_READ);
}

static void
on_connection(void *arg, int what)
{
	struct control *c = arg;
	struct ucred peer = {0};
	struct session *s;
	struct err e;
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			rest(c);
		return;
	}
	if (c->count >= MAX_SESSIONS) {
		close(fd);
		return;
	}
	s = xcalloc(1, sizeof *s);
	s->control = c;
	s->fd = fd;
	s->next = c->sessions;
	c->sessions = s;
	c->count++;
	s->watch = watch_new(c->spec.gateway->loop, fd, LOOP_READ, on_session, s);
	if (is_welcome(c, fd, &peer))
		return;
	log_warn("control: user %d (process %d) is not allowed to use %s", (int)peer.uid,
		(int)peer.pid, c->path);
	err_set(&e, RC_CONFIG, "you are not allowed to use %s", c->path);
	err_remedy(&e, "use it as root, as the daemon's user, or as a member of socket_group");
	s->closing = true;
	session_refuse(s, &e);
}

/* ---- the socket ---- */

static enum rc
find_group(struct control *c, const struct conf *conf, struct err *e)
{
	const char *name = conf_str(conf, "socket_group");
	struct group *g;

	if (name == NULL)
		return RC_OK;
	g = getgrnam(name);
	if (g == NULL)
		return err_set(
			e, RC_CONFIG, "socket_group \"%s\" is not a group of this system", name);
	c->group = g->gr_gid;
	c->has_group = true;
	return RC_OK;
}

/* What is left of a dead daemon goes; a living one keeps it. */
static enum rc
clear_path(const char *path, const struct sockaddr_un *a, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool living;

	if (fd < 0)
		return err_errno(e, RC_CONFIG, "cannot make a socket for %s", path);
	living = connect(fd, (const struct sockaddr *)a, sizeof *a) == 0;
	close(fd);
	if (living) {
		err_set(e, RC_CONFIG, "another synclined answers on %s", path);
		return err_remedy(e, "stop it, or give this one another run_dir");
	}
	if (unlink(path) != 0 && errno != ENOENT)
		return err_errno(e, RC_CONFIG, "cannot remove the old %s", path);
	return RC_OK;
}

static enum rc
bind_socket(struct control *c, const struct conf *conf, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	mode_t mode = (mode_t)strtoul(conf_str(conf, "socket_mode"), NULL, 8), old;
	enum rc rc;
	bool bound;

	if (strlen(c->path) >= sizeof a.sun_path)
		return err_set(e, RC_CONFIG, "the path %s is too long for a socket", c->path);
	memcpy(a.sun_path, c->path, strlen(c->path) + 1);
	if ((rc = clear_path(c->path, &a, e)) != RC_OK)
		return rc;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177);
	bound = c->fd >= 0 && bind(c->fd, (struct sockaddr *)&a, sizeof a) == 0;
	umask(old);
	if (!bound || (c->has_group && chown(c->path, (uid_t)-1, c->group) != 0) ||
		chmod(c->path, mode & 0777) != 0 || listen(c->fd, MAX_SESSIONS) != 0)
		return err_errno(e, RC_CONFIG, "cannot listen on %s", c->path);
	return RC_OK;
}

/* Members of socket_group must get through; the socket itself says who may more. */
static enum rc
make_directory(const char *dir, struct err *e)
{
	if (mkdir(dir, 0755) == 0 ? chmod(dir, 0755) == 0 : errno == EEXIST)
		return RC_OK;
	return err_errno(e, RC_CONFIG, "cannot make the directory %s", dir);
}

enum rc
control_new(const struct control_spec *spec, struct control **out, struct err *e)
{
	const struct conf *conf = spec->gateway->conf;
	struct control *c = xcalloc(1, sizeof *c);
	enum rc rc;

	c->spec = *spec;
	c->fd = -1;
	c->path = xasprintf("%s/%s", conf_str(conf, "run_dir"), CONTROL_SOCKET);
	rc = find_group(c, conf, e);
	if (rc == RC_OK)
		rc = make_directory(conf_str(conf, "run_dir"), e);
	if (rc == RC_OK)
		rc = bind_socket(c, conf, e);
	if (rc != RC_OK) {
		if (c->fd >= 0)
			close(c->fd);
		free(c->path);
		free(c);
		return rc;
	}
	c->watch = watch_new(spec->gateway->loop, c->fd, LOOP_READ, on_connection, c);
	c->rest = timer_new(spec->gateway->loop, on_rested, c);
	*out = c;
	return RC_OK;
}

void
control_free(struct control *c)
{
	if (c == NULL)
		return;
	for (struct session *s = c->sessions, *next; s != NULL; s = next) {
		next = s->next;
		session_free(s);
	}
	timer_free(c->rest);
	watch_free(c->watch);
	close(c->fd);
	unlink(c->path);
	free(c->path);
	free(c);
}
