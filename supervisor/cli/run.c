/* run.c - `syncline run`: one channel in the foreground, with a supervisor of its own. */
#include "common/compat.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "supervisor/cli/cli.h"
#include "supervisor/conf_file.h"
#include "supervisor/gateway.h"
#include "supervisor/logpipe.h"
#include "supervisor/runner.h"
#include "supervisor/view.h"

#define POLL_MS 20

enum until { UNTIL_STOPPED, UNTIL_LOADED, UNTIL_CAUGHT_UP };

struct run {
	const struct cli *cli;
	enum until until;
	struct loop *loop;
	struct gateway *gateway;
	struct runner *runner;
	struct progress progress;
	struct timer *poll;
	bool reached; /* what --until waits for */
	bool ending;
	unsigned signals;
	int status;
};

/* ---- the end ---- */

static void
end(struct run *r, int status)
{
	if (r->ending)
		return;
	r->ending = true;
	r->status = status;
	gateway_stop(r->gateway, false);
}

static void
on_signal(void *arg, int number)
{
	struct run *r = arg;

	r->signals++;
	if (r->ending || number == SIGQUIT) {
		if (!r->ending)
			r->status = CLI_FAILED;
		r->ending = true;
		gateway_stop(r->gateway, true);
	} else {
		end(r, r->until == UNTIL_STOPPED ? CLI_OK : CLI_FAILED);
	}
}

static void
on_idle(void *arg)
{
	struct run *r = arg;

	loop_stop(r->loop);
}

/* ---- what goes on ---- */

/* A state that nothing but a person leaves. */
static void
judge_rest(struct run *r)
{
	const struct channel_record *record = &r->runner->channel.record;

	progress_clear(&r->progress);
	if (record->state == CHANNEL_PRECHECK_FAILED && r->runner->checks.count != 0) {
		json_t *items = view_checks(&r->runner->checks);

		show_checks(items, r->cli);
		json_decref(items);
		show_error("the precheck failed, nothing was begun",
			"mend what fails, then run it again");
		end(r, rc_exit(record->cause.rc));
		return;
	}
	if (record->cause.rc != RC_OK) {
		end(r, show_err(&record->cause));
		return;
	}
	fprintf(stderr, "syncline: channel \"%s\" is %s at its target\n", r->runner->id,
		channel_state_name(record->state));
	if (record->state == CHANNEL_PAUSED)
		fprintf(stderr, "  what to do: add --start to go on\n");
	end(r, CLI_FAILED);
}

static bool
until_reached(const struct run *r)
{
	const struct runner *x = r->runner;

	if (r->until == UNTIL_STOPPED || x->channel.record.state != CHANNEL_SYNCHRONIZING ||
		!x->flowing)
		return false;
	if (r->until == UNTIL_LOADED)
		return metrics_loaded(&x->metrics);
	return x->metrics.now[STAT_CAUGHT_UP] != 0 && metrics_loaded(&x->metrics);
}

static void
on_poll(void *arg)
{
	struct run *r = arg;

	if (r->ending)
		return;
	if (!channel_runs(r->runner->channel.record.state) &&
		r->runner->channel.record.state != CHANNEL_PRECHECKING) {
		judge_rest(r);
	} else if (until_reached(r)) {
		r->reached = true;
		end(r, CLI_OK);
	}
}

static void
on_second(void *arg)
{
	struct run *r = arg;
	enum channel_state state = r->runner->channel.record.state;
	json_t *view;

	if (!channel_runs(state) && state != CHANNEL_PRECHECKING)
		return; /* what it came to is said by judge_rest */
	view = view_channel(r->runner, false);
	progress_show(&r->progress, view);
	json_decref(view);
}

static void
make_room(void *arg)
{
	struct run *r = arg;

	progress_clear(&r->progress);
}

/* ---- the start ---- */

static bool
parse_until(const struct cli *c, enum until *until)
{
	const char *u = c->value[OPT_UNTIL];

	*until = u == NULL		    ? UNTIL_STOPPED
		 : strcmp(u, "loaded") == 0 ? UNTIL_LOADED
					    : UNTIL_CAUGHT_UP;
	if (u == NULL || strcmp(u, "loaded") == 0 || strcmp(u, "caught-up") == 0)
		return true;
	show_error("--until wants \"loaded\" or \"caught-up\"", NULL);
	return false;
}

static int
read_file(const char *file, struct conf **conf, char **id)
{
	struct conf_notes notes = {0};
	struct buf text;

	buf_init(&text);
	conf_file_channel(file, conf, id, &notes);
	conf_notes_print(&notes, &text);
	fputs(buf_text(&text), stderr);
	buf_release(&text);
	conf_notes_release(&notes);
	return *conf != NULL ? CLI_OK : rc_exit(RC_CONFIG);
}

static struct conf *
own_settings(const char *state, const struct cli *c)
{
	struct conf *conf = conf_new(daemon_options());
	struct err e = {0};
	enum rc rc = conf_set(conf, "state_dir", state, "command line", &e);

	if (rc == RC_OK)
		rc = conf_set(conf, "log_level", c->value[OPT_VERBOSE] != NULL ? "info" : "error",
			"command line", &e);
	/* Its goal is that all that was read is applied; a signal ends the wait. */
	if (rc == RC_OK && c->value[OPT_UNTIL] != NULL)
		rc = conf_set(conf, "drain_timeout", "1h", "command line", &e);
	if (rc != RC_OK)
		bug("a setting of `run` is refused: %s", e.text);
	return conf;
}

/* What a person says by naming the file once more: a failed channel tries again. */
static int
begin(struct run *r)
{
	const struct channel_record *record = &r->runner->channel.record;
	uint64_t started_us = now_us();
	struct err e;

	runner_begin(r->runner);
	if (channel_runs(record->state) || record->state == CHANNEL_PRECHECKING ||
		record->since_us >= started_us)
		return CLI_OK;
	if (record->state == CHANNEL_COMPLETED ||
		(record->state == CHANNEL_PAUSED && r->cli->value[OPT_START] == NULL))
		return CLI_OK; /* judge_rest says so */
	if (runner_order(r->runner, channel_start_event(record), &e) != RC_OK)
		return show_err(&e);
	return CLI_OK;
}

/* --start: a channel that its target remembers as paused has a wish of ours, and so it goes on. */
static void
insist(struct run *r)
{
	if (r->cli->value[OPT_START] != NULL && r->runner->channel.record.wish == WISH_UNKNOWN)
		r->runner->channel.record.wish = WISH_RUNNING;
}

/* They are not whole at the target: whoever waits for that must hear of it. */
static bool
show_quarantined(const struct tables *t)
{
	bool any = false;

	for (size_t i = 0; i < t->count; i++) {
		const struct report_table *r = &t->rows[i].report;
		char *text;

		if (r->state != TABLE_QUARANTINED)
			continue;
		text = xasprintf("table %s.%s is in quarantine: %s", r->db, r->name,
			r->reason != NULL ? r->reason : "no reason was given");
		show_error(text, NULL);
		free(text);
		any = true;
	}
	return any;
}

static int
run_loop(struct run *r)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGQUIT};
	int status = begin(r);

	if (status != CLI_OK)
		return status;
	insist(r);
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		loop_signal(r->loop, numbers[i], on_signal, r);
	r->poll = timer_new(r->loop, on_poll, r);
	timer_every(r->poll, POLL_MS);
	loop_run(r->loop);
	timer_free(r->poll);
	progress_clear(&r->progress);
	if (r->status == CLI_OK && r->reached && !r->runner->drained) {
		show_error("what had been read could not be applied to its end",
			"run it again: it goes on from the last commit");
		return rc_exit(RC_RETRY);
	}
	if (r->status == CLI_OK && r->reached && show_quarantined(&r->runner->tables))
		return rc_exit(RC_DATA);
	if (r->status == CLI_OK)
		fprintf(stderr, "%s: done%s\n", r->runner->id,
			r->until == UNTIL_CAUGHT_UP ? ", caught up"
			: r->until == UNTIL_LOADED  ? ", loaded"
						    : "");
	return r->status;
}

static int
run_in(struct run *r, const char *state, struct conf *conf, const char *id, const char *file)
{
	struct conf *own = own_settings(state, r->cli);
	struct logpipe *log = NULL;
	struct err e;
	int status;

	progress_init(&r->progress, stderr);
	if (logpipe_new(r->loop, make_room, r, &log, &e) != RC_OK ||
		gateway_new(r->loop, own, r->cli->value[OPT_LIBEXEC], logpipe_fd(log), &r->gateway,
			&e) != RC_OK) {
		conf_free(own);
		conf_free(conf);
		logpipe_free(log);
		return show_err(&e);
	}
	r->gateway->arg = r;
	r->gateway->on_second = on_second;
	r->gateway->on_idle = on_idle;
	r->runner = gateway_add(r->gateway, id, file, conf);
	status = run_loop(r);
	gateway_free(r->gateway);
	logpipe_free(log);
	return status;
}

/* Of a temporary state directory: the few files that we made there. */
static void
remove_state(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (entry->d_type == DT_REG)
			unlinkat(dirfd(d), entry->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

static char *
temporary_state(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/syncline-run-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");

	if (mkdtemp(dir) != NULL)
		return dir;
	free(dir);
	return NULL;
}

int
cli_run(const struct cli *c)
{
	struct run r = {.cli = c};
	char *id = NULL, *temporary = NULL;
	struct conf *conf = NULL;
	int status;

	if (!parse_until(c, &r.until))
		return CLI_USAGE;
	if ((status = read_file(c->arguments[0], &conf, &id)) != CLI_OK) {
		free(id);
		return status;
	}
	if (c->value[OPT_STATE] == NULL && (temporary = temporary_state()) == NULL) {
		show_error("cannot make a temporary state directory", "name one with --state DIR");
		conf_free(conf);
		free(id);
		return CLI_FAILED;
	}
	prctl(PR_SET_DUMPABLE, 0); /* credentials pass through our memory */
	log_init("syncline", NULL);
	/* What stops the channel is said once, at the end, and what it waits for as progress. */
	log_set_level(c->value[OPT_VERBOSE] != NULL ? LOG_LVL_INFO : LOG_LVL_COUNT);
	r.loop = loop_new();
	status = run_in(
		&r, temporary != NULL ? temporary : c->value[OPT_STATE], conf, id, c->arguments[0]);
	loop_free(r.loop);
	if (temporary != NULL)
		remove_state(temporary);
	free(temporary);
	free(id);
	return status;
}
