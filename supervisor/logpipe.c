/* logpipe.c - see logpipe.h. */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "supervisor/logpipe.h"

#define PIECE 8192

struct logpipe {
	int read_end, write_end;
	struct watch *watch;
	void (*before)(void *arg);
	void *arg;
};

/* A log that cannot be written has nowhere to complain. */
static void
write_all(const char *p, ssize_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, p, (size_t)n);

		if (done < 0 && errno != EINTR)
			return;
		if (done > 0) {
			p += done;
			n -= done;
		}
	}
}

static void
relay(void *arg, int what)
{
	struct logpipe *p = arg;
	char piece[PIECE];
	ssize_t n;

	(void)what;
	while ((n = read(p->read_end, piece, sizeof piece)) > 0) {
		if (p->before != NULL)
			p->before(p->arg);
		write_all(piece, n);
		if (n < PIECE)
			break;
	}
}

enum rc
logpipe_new(
	struct loop *l, void (*before)(void *arg), void *arg, struct logpipe **out, struct err *e)
{
	struct logpipe *p;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_errno(e, RC_RETRY, "cannot make a pipe for the workers' log");
	/* Only our end: a worker waits for room rather than lose a line. */
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
		return err_errno(e, RC_RETRY, "cannot set up the pipe for the workers' log");
	p = xcalloc(1, sizeof *p);
	*p = (struct logpipe){
		.read_end = fds[0], .write_end = fds[1], .before = before, .arg = arg};
	p->watch = watch_new(l, p->read_end, LOOP_READ, relay, p);
	*out = p;
	return RC_OK;
}

int
logpipe_fd(const struct logpipe *p)
{
	return p->write_end;
}

enum rc
logpipe_to_file(const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

	if (fd < 0)
		return err_errno(e, RC_CONFIG, "cannot open the log file %s", path);
	if (dup2(fd, STDERR_FILENO) < 0) {
		err_errno(e, RC_CONFIG, "cannot use the log file %s", path);
		close(fd);
		return e->rc;
	}
	close(fd);
	return RC_OK;
}

void
logpipe_free(struct logpipe *p)
{
	if (p == NULL)
		return;
	relay(p, LOOP_READ);
	watch_free(p->watch);
	close(p->read_end);
	close(p->write_end);
	free(p);
}
