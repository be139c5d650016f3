/* control_verbs.c - what the control socket's requests do; see control.h. */
#include "common/compat.h"

#include <string.h>

#include "common/log.h"
#include "supervisor/control.h"
#include "supervisor/reload.h"
#include "supervisor/runner.h"
#include "supervisor/view.h"

#define MAX_LIMIT 1000
#define POINTS 60
#define DEFAULT_SINCE_MS 3600000

json_t *
control_ok(void)
{
	json_t *j = json_object();

	json_object_set_new(j, "ok", json_true());
	json_object_set_new(j, "exit", json_integer(0));
	json_object_set_new(j, "version", json_integer(VIEW_VERSION));
	return j;
}

json_t *
control_view(const struct gateway *g, const char *channel)
{
	json_t *j = control_ok(), *all = json_array();

	for (size_t i = 0; i < g->count; i++)
		if (channel == NULL || strcmp(g->runners[i]->id, channel) == 0)
			json_array_append_new(all, view_channel(g->runners[i], false));
	json_object_set_new(j, "channels", all);
	return j;
}

static const char *
asked_channel(json_t *request)
{
	return json_string_value(json_object_get(request, "channel"));
}

/* NULL, and refused, if there is none. */
static struct runner *
find(struct session *s, json_t *request)
{
	const char *id = asked_channel(request);
	struct runner *r = id != NULL ? gateway_find(session_gateway(s), id) : NULL;
	struct err e;

	if (r == NULL) {
		err_set(&e, RC_CONFIG, "there is no channel \"%s\"", id != NULL ? id : "");
		err_remedy(&e, "`syncline list` names the channels that there are");
		session_refuse(s, &e);
	}
	return r;
}

static uint64_t
asked_number(json_t *request, const char *key, uint64_t preset)
{
	json_t *n = json_object_get(request, key);

	return json_is_integer(n) && json_integer_value(n) > 0 ? (uint64_t)json_integer_value(n)
							       : preset;
}

/* ---- looking ---- */

static void
do_list(struct session *s, json_t *request)
{
	(void)request;
	session_reply(s, control_view(session_gateway(s), NULL));
}

static void
do_status(struct session *s, json_t *request)
{
	struct gateway *g = session_gateway(s);
	json_t *reply, *all;

	if (asked_channel(request) != NULL && find(s, request) == NULL)
		return;
	reply = control_ok();
	all = json_array();
	for (size_t i = 0; i < g->count; i++)
		if (asked_channel(request) == NULL ||
			strcmp(g->runners[i]->id, asked_channel(request)) == 0)
			json_array_append_new(all, view_channel(g->runners[i], true));
	json_object_set_new(reply, "channels", all);
	session_reply(s, reply);
}

static void
do_watch(struct session *s, json_t *request)
{
	if (asked_channel(request) != NULL && find(s, request) == NULL)
		return;
	session_watch(s, asked_channel(request), asked_number(request, "interval_ms", 1000));
}

static bool
is_error(json_t *move)
{
	return json_is_string(json_object_get(move, "text"));
}

static json_t *
errors_of(const struct runner *r, unsigned limit)
{
	json_t *j = json_object(), *moves = view_moves(r->gateway->store, r->id, MAX_LIMIT);
	json_t *errors = json_array(), *m;
	size_t i;

	json_object_set_new(j, "channel", json_string(r->id));
	json_object_set_new(j, "state", json_string(channel_state_name(r->channel.record.state)));
	json_object_set_new(j, "cause", view_err(&r->channel.record.cause));
	json_object_set_new(j, "conflicts", view_conflicts(r->gateway->store, r->id, limit));
	json_array_foreach(moves, i, m)
	{
		if (is_error(m) && json_array_size(errors) < limit)
			json_array_append(errors, m);
	}
	json_decref(moves);
	json_object_set_new(j, "errors", errors);
	return j;
}

static void
do_errors(struct session *s, json_t *request)
{
	struct gateway *g = session_gateway(s);
	uint64_t limit = asked_number(request, "limit", 20);
	json_t *reply, *all;

	if (asked_channel(request) != NULL && find(s, request) == NULL)
		return;
	reply = control_ok();
	all = json_array();
	for (size_t i = 0; i < g->count; i++)
		if (asked_channel(request) == NULL ||
			strcmp(g->runners[i]->id, asked_channel(request)) == 0)
			json_array_append_new(
				all, errors_of(g->runners[i],
					     (unsigned)(limit < MAX_LIMIT ? limit : MAX_LIMIT)));
	json_object_set_new(reply, "channels", all);
	session_reply(s, reply);
}

static void
do_metrics(struct session *s, json_t *request)
{
	struct runner *r = find(s, request);
	uint64_t since_us = asked_number(request, "since_ms", DEFAULT_SINCE_MS) * 1000;
	uint64_t now = now_us();
	json_t *reply, *view;

	if (r == NULL)
		return;
	reply = control_ok();
	view = view_channel(r, false);
	json_object_set_new(reply, "channel", json_string(r->id));
	json_object_set(reply, "now", json_object_get(view, "metrics"));
	json_decref(view);
	json_object_set_new(reply, "samples",
		view_metrics(session_gateway(s)->store, r->id, since_us < now ? now - since_us : 0,
			POINTS));
	session_reply(s, reply);
}

/* ---- doing ---- */

static void
order(struct session *s, struct runner *r, enum channel_event event)
{
	json_t *reply;
	struct err e;

	if (session_gateway(s)->stopping || r->leaving) {
		err_set(&e, RC_RETRY, "%s ends just now",
			r->leaving ? "the channel" : "the supervisor");
		session_refuse(s, &e);
		return;
	}
	if (runner_order(r, event, &e) != RC_OK) {
		session_refuse(s, &e);
		return;
	}
	reply = control_ok();
	json_object_set_new(reply, "channel", view_channel(r, false));
	session_reply(s, reply);
}

static void
do_start(struct session *s, json_t *request)
{
	struct runner *r = find(s, request);

	if (r != NULL)
		order(s, r, channel_start_event(&r->channel.record));
}

static void
do_pause(struct session *s, json_t *request)
{
	struct runner *r = find(s, request);

	if (r != NULL)
		order(s, r, EVENT_OF_CHANNEL_PAUSE);
}

static void
do_stop(struct session *s, json_t *request)
{
	struct runner *r = find(s, request);

	if (r != NULL)
		order(s, r, EVENT_OF_CHANNEL_STOP);
}

static void
do_reset(struct session *s, json_t *request)
{
	struct runner *r = find(s, request);

	if (r != NULL)
		order(s, r, EVENT_OF_CHANNEL_RESET);
}

static void
do_resync(struct session *s, json_t *request)
{
	const char *table = json_string_value(json_object_get(request, "table"));
	struct runner *r = find(s, request);
	json_t *reply;
	struct err e;

	if (r == NULL)
		return;
	if (runner_resync(r, table != NULL ? table : "", &e) != RC_OK) {
		session_refuse(s, &e);
		return;
	}
	reply = control_ok();
	json_object_set_new(reply, "channel", view_channel(r, false));
	session_reply(s, reply);
}

static void
on_checked(void *arg, const struct checks *checks, const struct err *e)
{
	struct session *s = arg;
	json_t *reply;

	session_set_probe(s, NULL);
	if (e->rc != RC_OK) {
		session_refuse(s, e);
		return;
	}
	reply = control_ok();
	json_object_set_new(
		reply, "exit", json_integer(checks_failed(checks) ? rc_exit(RC_CONFIG) : 0));
	json_object_set_new(reply, "items", view_checks(checks));
	json_object_set_new(
		reply, "sql", checks->sql != NULL ? json_string(checks->sql) : json_null());
	session_reply(s, reply);
}

static void
do_check(struct session *s, json_t *request)
{
	struct gateway *g = session_gateway(s);
	struct runner *r = find(s, request);
	struct probe *p;
	struct err e;

	if (r == NULL)
		return;
	if (session_has_probe(s)) {
		err_set(&e, RC_CONFIG, "a check is under way on this connection");
		session_refuse(s, &e);
		return;
	}
	if (probe_start(&(struct probe_spec){.loop = g->loop,
				.channel = r->id,
				.conf = r->conf,
				.daemon = g->conf,
				.libexec = g->libexec,
				.log = g->worker_log,
				.want_sql = json_is_true(json_object_get(request, "sql")),
				.cb = on_checked,
				.arg = s},
		    &p, &e) != RC_OK)
		session_refuse(s, &e);
	else
		session_set_probe(s, p);
}

static json_t *
lines(const struct buf *b)
{
	json_t *all = json_array();
	const char *p = buf_text(b), *end;

	while ((end = strchr(p, '\n')) != NULL) {
		json_array_append_new(all, json_stringn(p, (size_t)(end - p)));
		p = end + 1;
	}
	return all;
}

static void
do_reload(struct session *s, json_t *request)
{
	const struct control_spec *spec = session_spec(s);
	bool dry_run = json_is_true(json_object_get(request, "dry_run"));
	struct buf plan, problems;
	json_t *reply;
	struct err e = {0};
	enum rc rc;

	buf_init(&plan);
	buf_init(&problems);
	rc = gateway_reload(
		spec->gateway, spec->conf_file, spec->conf_required, dry_run, &plan, &problems, &e);
	if (!dry_run)
		log_line(rc == RC_OK ? LOG_LVL_INFO : LOG_LVL_ERROR, "reload: %s",
			rc == RC_OK ? "done" : e.text);
	reply = control_ok();
	json_object_set_new(reply, "ok", json_boolean(rc == RC_OK));
	json_object_set_new(reply, "exit", json_integer(rc_exit(rc)));
	if (rc != RC_OK) {
		json_object_set_new(reply, "error", json_string(e.text));
		json_object_set_new(reply, "remedy", json_string(e.remedy));
	}
	json_object_set_new(reply, "plan", lines(&plan));
	json_object_set_new(reply, "problems", lines(&problems));
	session_reply(s, reply);
	buf_release(&plan);
	buf_release(&problems);
}

static const struct {
	const char *name;
	void (*carry_out)(struct session *s, json_t *request);
} verbs[] = {
	{"list", do_list},
	{"status", do_status},
	{"watch", do_watch},
	{"errors", do_errors},
	{"metrics", do_metrics},
	{"start", do_start},
	{"pause", do_pause},
	{"stop", do_stop},
	{"reset", do_reset},
	{"resync", do_resync},
	{"check", do_check},
	{"reload", do_reload},
};

void
control_request(struct session *s, json_t *request)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));
	struct err e;

	for (size_t i = 0; verb != NULL && i < COUNT_OF(verbs); i++)
		if (strcmp(verbs[i].name, verb) == 0) {
			verbs[i].carry_out(s, request);
			return;
		}
	err_set(&e, RC_CONFIG, "the verb \"%s\" is not known here", verb != NULL ? verb : "");
	err_remedy(&e, "are syncline and synclined of the same version?");
	session_refuse(s, &e);
}
