/*
 * check.c - `syncline check`: a precheck that changes nothing. A name of a
 * file (it has a slash, or exists) is checked without a daemon, by workers of
 * our own; else it is a channel of the daemon.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "supervisor/cli/cli.h"
#include "supervisor/conf_file.h"
#include "supervisor/gateway.h"
#include "supervisor/probe.h"
#include "supervisor/view.h"

struct check {
	struct loop *loop;
	json_t *items;
	char *sql;
	bool failed;
	struct err err;
};

static int
show(const struct cli *c, json_t *items, const char *sql, bool failed)
{
	if (c->value[OPT_JSON] != NULL) {
		json_t *j = json_object();

		json_object_set_new(j, "version", json_integer(VIEW_VERSION));
		json_object_set_new(j, "passed", json_boolean(!failed));
		json_object_set(j, "items", items);
		json_object_set_new(j, "sql", sql != NULL ? json_string(sql) : json_null());
		show_json(j);
	} else if (c->value[OPT_SQL] != NULL) {
		fputs(sql != NULL ? sql : "-- nothing is to be run beforehand\n", stdout);
	} else {
		show_checks(items, c);
	}
	return failed ? rc_exit(RC_CONFIG) : CLI_OK;
}

/* ---- without a daemon ---- */

static void
on_checked(void *arg, const struct checks *checks, const struct err *e)
{
	struct check *k = arg;

	k->err = *e;
	k->failed = checks_failed(checks);
	k->items = view_checks(checks);
	k->sql = checks->sql != NULL ? xstrdup(checks->sql) : NULL;
	loop_stop(k->loop);
}

static int
check_conf(const struct cli *c, const char *id, const struct conf *conf)
{
	struct check k = {.loop = loop_new()};
	struct conf *daemon = conf_new(daemon_options());
	char *libexec = worker_directory(c->value[OPT_LIBEXEC]);
	struct probe *probe;
	int status;

	if (probe_start(&(struct probe_spec){.loop = k.loop,
				.channel = id,
				.conf = conf,
				.daemon = daemon,
				.libexec = libexec,
				.log = STDERR_FILENO,
				.want_sql = c->value[OPT_SQL] != NULL,
				.cb = on_checked,
				.arg = &k},
		    &probe, &k.err) == RC_OK)
		loop_run(k.loop);
	status = k.err.rc != RC_OK ? show_err(&k.err) : show(c, k.items, k.sql, k.failed);
	json_decref(k.items);
	free(k.sql);
	free(libexec);
	conf_free(daemon);
	loop_free(k.loop);
	return status;
}

static int
check_file(const struct cli *c, const char *file)
{
	struct conf_notes notes = {0};
	struct conf *conf = NULL;
	char *id = NULL;
	struct buf text;
	int status = rc_exit(RC_CONFIG);

	buf_init(&text);
	conf_file_channel(file, &conf, &id, &notes);
	conf_notes_print(&notes, &text);
	fputs(buf_text(&text), stderr);
	buf_release(&text);
	conf_notes_release(&notes);
	log_init("syncline", NULL);
	log_set_level(LOG_LVL_ERROR);
	if (conf != NULL)
		status = check_conf(c, id, conf);
	conf_free(conf);
	free(id);
	return status;
}

/* ---- by the daemon ---- */

static int
check_channel(const struct cli *c)
{
	json_t *what = json_object(), *reply = NULL;
	int status;
	struct client *cl = client_open(c, &status);

	json_object_set_new(what, "verb", json_string("check"));
	json_object_set_new(what, "channel", json_string(c->arguments[0]));
	json_object_set_new(what, "sql", json_boolean(c->value[OPT_SQL] != NULL));
	if (cl == NULL) {
		fprintf(stderr, "  (there is no file \"%s\" here, so it is taken for a channel)\n",
			c->arguments[0]);
		json_decref(what);
		return status;
	}
	status = client_ask(cl, what, &reply);
	if (status == CLI_OK)
		status = show(c, json_object_get(reply, "items"),
			json_string_value(json_object_get(reply, "sql")),
			json_number(reply, "exit") != 0);
	json_decref(reply);
	client_close(cl);
	return status;
}

int
cli_check(const struct cli *c)
{
	const char *name = c->arguments[0];

	if (strchr(name, '/') != NULL || access(name, F_OK) == 0)
		return check_file(c, name);
	return check_channel(c);
}
