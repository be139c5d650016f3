/* reload.c - see reload.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "supervisor/reload.h"
#include "supervisor/runner.h"

static const char *const kinds_of_change[] = {[RELOAD_LIVE] = "live",
	[RELOAD_CHANNEL] = "restart channel",
	[RELOAD_DAEMON] = "restart daemon",
	[RELOAD_NEVER] = "refused: needs a reset or a new id"};

/* ---- what differs between two sets ---- */

struct setting {
	char *path;
	char *value;
};

struct settings {
	struct setting *all;
	size_t count;
};

struct difference {
	const struct option *rows;
	const char *who;
	struct buf *plan;
	bool any, objects, beyond_live, never;
};

static void
collect(void *arg, const char *path, const char *value, const char *where)
{
	struct settings *s = arg;

	(void)where;
	s->all = xreallocarray(s->all, s->count + 1, sizeof *s->all);
	s->all[s->count++] = (struct setting){
		.path = xstrdup(path), .value = xstrdup(value != NULL ? value : "")};
}

static void
settings_release(struct settings *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->all[i].path);
		free(s->all[i].value);
	}
	free(s->all);
}

/* A list's entries come one by one under one path: they are compared as a whole, in order. */
static char *
value_of(const struct settings *s, const char *path)
{
	struct buf b;
	bool found = false;
	char *value;

	buf_init(&b);
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->all[i].path, path) == 0) {
			buf_printf(&b, "%s%s", found ? ", " : "", s->all[i].value);
			found = true;
		}
	value = found ? xstrdup(buf_text(&b)) : NULL;
	buf_release(&b);
	return value;
}

static void
note_change(struct difference *d, const char *path, const char *from, const char *to)
{
	const struct option *o = option_find(d->rows, path);
	enum option_reload reload = o != NULL ? o->reload : RELOAD_CHANNEL;

	d->any = true;
	d->never |= reload == RELOAD_NEVER;
	d->beyond_live |= reload != RELOAD_LIVE;
	d->objects |= strncmp(path, "objects", 7) == 0;
	buf_printf(d->plan, "%s: %s: %s -> %s (%s)\n", d->who, path, from != NULL ? from : "unset",
		to != NULL ? to : "unset", kinds_of_change[reload]);
}

static bool
seen_before(const struct settings *s, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(s->all[k].path, s->all[i].path) == 0)
			return true;
	return false;
}

static void
compare_one(struct difference *d, const struct settings *old, const struct settings *new,
	const char *path)
{
	char *from = value_of(old, path), *to = value_of(new, path);

	if (from == NULL || to == NULL || strcmp(from, to) != 0)
		note_change(d, path, from, to);
	free(from);
	free(to);
}

/* Secrets are masked in what conf_each shows; the coded form has them. */
static bool
same_code(const struct conf *a, const struct conf *b)
{
	struct buf x, y;
	bool same;

	buf_init(&x);
	buf_init(&y);
	conf_encode(a, NULL, &x);
	conf_encode(b, NULL, &y);
	same = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	memset(x.data, 0, x.len);
	memset(y.data, 0, y.len);
	buf_release(&x);
	buf_release(&y);
	return same;
}

static bool
same_secret(const struct conf *a, const struct conf *b, const char *path)
{
	const char *x = conf_str(a, path), *y = conf_str(b, path);

	return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

static void
compare_secrets(struct difference *d, const struct conf *old, const struct conf *new)
{
	if (d->any || same_code(old, new))
		return;
	for (const struct option *o = d->rows; o->path != NULL; o++)
		if (o->type == OPTION_SECRET && !same_secret(old, new, o->path))
			note_change(d, o->path, "(secret)", "(another)");
}

static void
compare(struct difference *d, const struct conf *old, const struct conf *new)
{
	struct settings a = {0}, b = {0};

	conf_each(old, collect, &a);
	conf_each(new, collect, &b);
	for (size_t i = 0; i < b.count; i++)
		if (!seen_before(&b, i))
			compare_one(d, &a, &b, b.all[i].path);
	for (size_t i = 0; i < a.count; i++) {
		char *there = value_of(&b, a.all[i].path);

		if (there == NULL && !seen_before(&a, i))
			compare_one(d, &a, &b, a.all[i].path);
		free(there);
	}
	compare_secrets(d, old, new);
	settings_release(&a);
	settings_release(&b);
}

/* ---- the plan ---- */

static struct channel_conf *
find_conf(struct channel_confs *c, const char *id)
{
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->channels[i].id, id) == 0)
			return &c->channels[i];
	return NULL;
}

static void
judge_change(const struct runner *r, const struct difference *d, struct buf *problems)
{
	enum channel_state state = r->channel.record.state;

	if (d->never && state != CHANNEL_NOT_CONFIGURED)
		buf_printf(problems,
			"%s: error: channel \"%s\": a setting has changed that belongs to what the "
			"target holds; reset the channel first, or give the file another id\n",
			r->file, r->id);
	else if (d->objects && !channel_allows(state, EVENT_OF_CHANNEL_OBJECTS_CHANGED))
		buf_printf(problems,
			"%s: error: channel \"%s\" is %s: objects can be changed in Synchronizing, "
			"Paused and Synchronization Failed only\n",
			r->file, r->id, channel_state_name(state));
}

static void
plan_channels(struct gateway *g, struct channel_confs *new, struct buf *plan, struct buf *problems)
{
	for (size_t i = 0; i < g->count; i++) {
		const struct runner *r = g->runners[i];
		struct channel_conf *c = find_conf(new, r->id);
		struct difference d = {.rows = channel_options(), .who = r->id, .plan = plan};

		if (c == NULL) {
			buf_printf(plan,
				"%s: stops, its file is gone; source and target keep "
				"what it needs to go on, such as log for a replication slot, until "
				"a reset\n",
				r->id);
			continue;
		}
		compare(&d, r->conf, c->conf);
		if (d.any)
			judge_change(r, &d, problems);
	}
	for (size_t i = 0; i < new->count; i++)
		if (gateway_find(g, new->channels[i].id) == NULL)
			buf_printf(
				plan, "%s: new, starts after its precheck\n", new->channels[i].id);
}

static void
apply_channel(struct gateway *g, struct channel_conf *c)
{
	struct runner *r = gateway_find(g, c->id);
	struct buf unused;
	struct difference d = {.rows = channel_options(), .who = c->id, .plan = &unused};

	if (r == NULL) {
		runner_begin(gateway_add(g, c->id, c->file, c->conf));
		c->conf = NULL;
		return;
	}
	buf_init(&unused);
	compare(&d, r->conf, c->conf);
	buf_release(&unused);
	if (!d.any && !r->leaving)
		return;
	runner_reconfigure(r, c->conf, d.objects, !d.beyond_live);
	c->conf = NULL;
}

static void
apply(struct gateway *g, struct conf *daemon, struct channel_confs *new)
{
	enum log_level level;

	conf_free(g->conf);
	g->conf = daemon;
	if (log_parse_level(conf_str(daemon, "log_level"), &level))
		log_set_level(level);
	log_set_json(conf_is(daemon, "log_format", "json"));
	for (size_t i = g->count; i-- > 0;)
		if (find_conf(new, g->runners[i]->id) == NULL) {
			g->runners[i]->leaving = true;
			runner_rest(g->runners[i], false);
		}
	for (size_t i = 0; i < new->count; i++)
		apply_channel(g, &new->channels[i]);
}

static void
refuse_leaving(const struct gateway *g, struct buf *problems)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->runners[i]->leaving)
			buf_printf(problems,
				"%s: error: channel \"%s\" is still ending after its file was "
				"removed; reload again in a moment\n",
				g->runners[i]->file, g->runners[i]->id);
}

enum rc
gateway_reload(struct gateway *g, const char *file, bool required, bool dry_run, struct buf *plan,
	struct buf *problems, struct err *e)
{
	struct channel_confs channels = {0};
	struct conf_notes notes = {0};
	struct conf *daemon = NULL;
	struct difference d = {.rows = daemon_options(), .who = "synclined", .plan = plan};

	conf_file_daemon(file, required, &daemon, &notes);
	if (daemon != NULL) {
		conf_file_channels(daemon, file, &channels, &notes);
		compare(&d, g->conf, daemon);
	}
	refuse_leaving(g, problems);
	if (notes.errors == 0)
		plan_channels(g, &channels, plan, problems);
	conf_notes_print(&notes, problems);
	if (notes.errors != 0 || daemon == NULL || strstr(buf_text(problems), ": error: ")) {
		err_set(e, RC_CONFIG, "the new configuration has errors; the old one stays");
		err_remedy(e, "`synclined -t` lists them all");
	} else {
		e->rc = RC_OK;
		if (!dry_run) {
			apply(g, daemon, &channels);
			daemon = NULL;
		}
	}
	conf_free(daemon);
	channel_confs_release(&channels);
	conf_notes_release(&notes);
	return e->rc;
}
