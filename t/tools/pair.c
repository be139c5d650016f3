/*
 * pair.c - runs one channel's reader and writer without a supervisor: what the
 * tests of the workers themselves need, and no more.
 *
 *     pair FILE.conf [loaded|caught-up]
 *
 * Starts the pair again after a death that may be retried. Ends with 0 once
 * all tables stream (loaded), or also the log's end has been read (caught-up),
 * or at SIGTERM, always drained; with the exit status of a worker that is not
 * to be started again. A line for each start, end, conflict and
 * table in quarantine on stdout.
 */
#include "common/compat.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "ipc/msg.h"
#include "supervisor/conf_file.h"
#include "supervisor/pair.h"

#define RETRY_MS 100

enum until { UNTIL_TERM, UNTIL_LOADED, UNTIL_CAUGHT_UP };

static struct {
	struct loop *loop;
	struct pair *pair;
	struct conf *conf;
	char *id;
	uint32_t generation;
	enum until until;
	bool draining;
	int status;
} state;

static void start(void *arg);

static void
end(int status)
{
	state.status = status;
	loop_stop(state.loop);
}

static bool
on_opened(void *arg, struct resume *r)
{
	(void)arg;
	printf("opened fresh=%d position=%s tables=%u\n", r->fresh,
		r->applied != NULL ? r->applied : "-", r->ntables);
	return true;
}

static void
on_flowing(void *arg)
{
	(void)arg;
	puts("flowing");
	if (state.draining)
		pair_drain(state.pair);
}

static void
on_reported(void *arg, enum end_role role, const uint64_t *stats)
{
	bool loaded = stats[STAT_TABLES_TOTAL] != 0 &&
		      stats[STAT_TABLES_TOTAL] == stats[STAT_TABLES_STREAMING];

	(void)arg;
	if (role != END_READER || state.draining || state.until == UNTIL_TERM || !loaded ||
		pair_phase(state.pair) != PHASE_FLOWING)
		return;
	if (state.until == UNTIL_CAUGHT_UP && stats[STAT_CAUGHT_UP] == 0)
		return;
	state.draining = true;
	pair_drain(state.pair);
}

static void
on_table(void *arg, const struct report_table *t)
{
	(void)arg;
	if (t->reason != NULL && *t->reason != '\0')
		printf("%s %s.%s: %s\n", table_state_name(t->state), t->db, t->name, t->reason);
}

static void
on_conflict(void *arg, const struct report_conflict *c)
{
	(void)arg;
	printf("conflict %s %s.%s %s key=%s action=%s\n", c->operation, c->db, c->table, c->kind,
		c->key != NULL ? c->key : "", c->action);
}

static void
on_position(void *arg, const char *applied, uint64_t time_us)
{
	(void)arg;
	(void)applied;
	(void)time_us;
}

static void
on_ended(void *arg, const struct pair_result *r)
{
	(void)arg;
	state.pair = NULL;
	printf("ended class=%s status=%d signal=%d drained=%d %s\n", rc_name(r->err.rc), r->status,
		r->signal, r->drained, r->err.text);
	if (r->drained)
		end(0);
	else if (r->signal != 0 || exit_restarts(r->status))
		timer_once(timer_new(state.loop, start, NULL), RETRY_MS);
	else
		end(r->status != 0 ? r->status : 1);
}

static const struct pair_ops ops = {
	.opened = on_opened,
	.flowing = on_flowing,
	.reported = on_reported,
	.table = on_table,
	.conflict = on_conflict,
	.position = on_position,
	.ended = on_ended,
};

static void
start(void *arg)
{
	struct pair_spec spec = {
		.loop = state.loop,
		.kind = PAIR_RUN,
		.channel = state.id,
		.generation = ++state.generation,
		.conf = state.conf,
		.libexec = getenv("SYNCLINE_LIBEXEC"),
		.log = 2,
		.level = LOG_LVL_INFO,
		.start_ms = 60000,
		.heartbeat_ms = 10000,
		.drain_ms = 30000,
		.ops = &ops,
	};
	struct err e;

	(void)arg;
	if (pair_start(&spec, &state.pair, &e) == RC_OK)
		return;
	printf("cannot start: %s\n", e.text);
	end(rc_exit(e.rc));
}

static void
on_signal(void *arg, int number)
{
	(void)arg;
	(void)number;
	if (state.draining || state.pair == NULL)
		end(1);
	state.draining = true;
	if (state.pair != NULL && pair_phase(state.pair) == PHASE_FLOWING)
		pair_drain(state.pair);
}

int
main(int argc, char **argv)
{
	struct conf_notes notes = {0};
	struct buf b;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	buf_init(&b);
	conf_file_channel(argv[1], &state.conf, &state.id, &notes);
	conf_notes_print(&notes, &b);
	fputs(buf_text(&b), stderr);
	if (state.conf == NULL)
		return rc_exit(RC_CONFIG);
	if (argc > 2)
		state.until = strcmp(argv[2], "loaded") == 0 ? UNTIL_LOADED : UNTIL_CAUGHT_UP;
	state.loop = loop_new();
	loop_signal(state.loop, SIGTERM, on_signal, NULL);
	loop_signal(state.loop, SIGINT, on_signal, NULL);
	start(NULL);
	loop_run(state.loop);
	pair_free(state.pair);
	return state.status;
}
