/*
 * fake_worker.c - a worker that does what files tell it, for the tests of the
 * supervisor. Installed as syncline-reader and syncline-writer (its own name
 * says which it is); speaks the protocol by ipc/worker.h.
 *
 * In $SYNCLINE_FAKE_DIR, ROLE being reader or writer:
 *	ROLE.fail	"RC text" ("conflict row id=5"): fails so, once ("RC+ text": always),
 *			when it runs
 *	ROLE.start	the same, when it is started
 *	ROLE.check	"pass", "warn text" or "fail text": an item of the precheck
 *	ROLE.checking	as ROLE.fail, when it is asked for the precheck
 *	ROLE.slow	present: never says that it is drained
 *	reader.tables	"TOTAL STREAMING" of its reports (1 1)
 *	reader.behind	present: its log is not read to the end
 *	writer.busy	present: in one long statement
 *	wish		what the "target" holds: written by MSG_WISH, removed by MSG_CLEAR
 * and it appends "ROLE GENERATION word" lines to `log`.
 */
#include "common/compat.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "ipc/worker.h"

static const char *
path(const char *role, const char *what)
{
	static char out[512];
	const char *dir = getenv("SYNCLINE_FAKE_DIR");

	snprintf(out, sizeof out, "%s/%s%s%s", dir != NULL ? dir : "/nowhere", role,
		*role != '\0' ? "." : "", what);
	return out;
}

/* The first line of a file; false if there is none. */
static bool
read_line(const char *role, const char *what, char *line, size_t size)
{
	FILE *f = fopen(path(role, what), "re");
	bool found = f != NULL && fgets(line, (int)size, f) != NULL;

	if (f != NULL)
		fclose(f);
	if (found)
		line[strcspn(line, "\n")] = '\0';
	return found;
}

static void
say(const struct worker *w, const char *word)
{
	int fd = open(path("", "log"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	char line[256];
	int n = snprintf(line, sizeof line, "%s %u %s\n", w->ops->role, w->generation, word);

	if (fd >= 0) {
		(void)!write(fd, line, (size_t)n);
		close(fd);
	}
}

/* Takes an order to fail out of its file, unless it is to stay. */
static bool
told_to_fail(const struct worker *w, const char *what, struct err *e)
{
	char line[256], *text;

	if (!read_line(w->ops->role, what, line, sizeof line) || *line == '\0')
		return false;
	text = strchr(line, ' ');
	if (text != NULL)
		*text++ = '\0';
	if (line[strlen(line) - 1] == '+')
		line[strlen(line) - 1] = '\0';
	else
		unlink(path(w->ops->role, what));
	for (enum rc rc = 0; rc < RC_COUNT; rc++)
		if (strcmp(rc_name(rc), line) == 0) {
			err_set(e, rc, "%s", text != NULL ? text : "as told");
			err_remedy(e, "tell it otherwise");
		}
	return true;
}

static enum rc
start(struct worker *w, const struct resume *resume, struct err *e)
{
	struct resume r;
	char wish[64];

	say(w, "start");
	if (told_to_fail(w, "start", e))
		return e->rc;
	if (w->ops->side == RING_PRODUCER) {
		worker_opened(w, NULL);
		return RC_OK;
	}
	(void)resume;
	resume_init(&r);
	if (read_line("", "wish", wish, sizeof wish)) {
		r.fresh = false;
		r.wish = xstrdup(wish);
	}
	worker_opened(w, &r);
	resume_release(&r);
	return RC_OK;
}

static void
drain(struct worker *w)
{
	say(w, "drain");
	if (access(path(w->ops->role, "slow"), F_OK) != 0)
		worker_drained(w);
}

static void
stop(struct worker *w)
{
	say(w, "stop");
}

static enum rc
check(struct worker *w, bool want_sql, struct checks *out, struct err *e)
{
	char line[256] = "pass";
	const char *item = w->ops->side == RING_PRODUCER ? "Source database connectivity"
							 : "Destination database connectivity";

	say(w, "check");
	if (told_to_fail(w, "checking", e))
		return e->rc;
	(void)read_line(w->ops->role, "check", line, sizeof line);
	if (strncmp(line, "pass", 4) == 0)
		checks_pass(out, item);
	else
		checks_add(out, strncmp(line, "warn", 4) == 0 ? CHECK_WARN : CHECK_FAIL, item,
			"mend it", "%s", line + 5);
	if (want_sql)
		out->sql = xasprintf("-- the %s wants this\n", w->ops->role);
	return RC_OK;
}

static enum rc
wish(struct worker *w, const char *text, struct err *e)
{
	FILE *f;

	say(w, text);
	if (told_to_fail(w, "wish", e))
		return e->rc;
	f = fopen(path("", "wish"), "we");
	if (f == NULL)
		return err_errno(e, RC_RETRY, "cannot keep the wish");
	fprintf(f, "%s\n", text);
	fclose(f);
	return RC_OK;
}

static enum rc
clear(struct worker *w, struct err *e)
{
	say(w, "clear");
	if (told_to_fail(w, "clear", e))
		return e->rc;
	if (w->ops->side == RING_CONSUMER)
		unlink(path("", "wish"));
	return RC_OK;
}

static void
set_gauges(struct worker *w)
{
	unsigned long total = 1, streaming = 1;
	char line[64];

	if (read_line("reader", "tables", line, sizeof line))
		(void)sscanf(line, "%lu %lu", &total, &streaming);
	if (w->ops->side == RING_PRODUCER) {
		atomic_store(&w->stats[STAT_TABLES_TOTAL], total);
		atomic_store(&w->stats[STAT_TABLES_STREAMING], streaming);
		atomic_store(
			&w->stats[STAT_CAUGHT_UP], access(path("reader", "behind"), F_OK) != 0);
	} else {
		atomic_store(&w->stats[STAT_TABLES_AT_TARGET], total);
		atomic_store(&w->stats[STAT_BUSY_US],
			access(path("writer", "busy"), F_OK) == 0 ? now_us() : 0);
		atomic_fetch_add(&w->stats[STAT_APPLIED_TXNS], 1);
	}
}

static void
tick(struct worker *w)
{
	struct err e = {0};

	set_gauges(w);
	if (!w->stopping && told_to_fail(w, "fail", &e))
		worker_fail(w, &e);
}

static const struct worker_ops reader_ops = {.role = "reader",
	.side = RING_PRODUCER,
	.start = start,
	.drain = drain,
	.stop = stop,
	.check = check,
	.clear = clear,
	.tick = tick};
static const struct worker_ops writer_ops = {.role = "writer",
	.side = RING_CONSUMER,
	.start = start,
	.drain = drain,
	.stop = stop,
	.check = check,
	.wish = wish,
	.clear = clear,
	.tick = tick};

int
main(int argc, char **argv)
{
	return worker_main(
		argc, argv, strstr(argv[0], "reader") != NULL ? &reader_ops : &writer_ops);
}
