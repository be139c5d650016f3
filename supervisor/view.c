/* view.c - see view.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "ipc/msg.h"
#include "supervisor/view.h"

#define MOVES_SHOWN 10

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* What a server says need not be UTF-8; a view must be. */
static json_t *
text(const char *s)
{
	json_t *j;

	if (s == NULL)
		return json_null();
	if ((j = json_string(s)) == NULL) {
		char *clean = xstrdup(s);

		for (char *p = clean; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
		j = json_string(clean);
		free(clean);
	}
	return j;
}

static json_t *
time_or_null(uint64_t us)
{
	return us != 0 ? json_real((double)us / 1e6) : json_null();
}

json_t *
view_err(const struct err *e)
{
	json_t *j;

	if (e->rc == RC_OK)
		return json_null();
	j = json_object();
	json_object_set_new(j, "class", text(rc_name(e->rc)));
	json_object_set_new(j, "exit", json_integer(rc_exit(e->rc)));
	json_object_set_new(j, "text", text(e->text));
	json_object_set_new(j, "remedy", text(e->remedy));
	if (e->code != 0)
		json_object_set_new(j, "code", json_integer(e->code));
	return j;
}

json_t *
view_checks(const struct checks *c)
{
	static const char *const results[] = {
		[CHECK_PASS] = "pass", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail"};
	json_t *all = json_array();

	for (uint32_t i = 0; i < c->count; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "item", text(c->items[i].item));
		json_object_set_new(j, "result", text(results[c->items[i].result]));
		json_object_set_new(j, "cause", text(c->items[i].cause));
		json_object_set_new(j, "remedy", text(c->items[i].remedy));
		json_array_append_new(all, j);
	}
	return all;
}

/* ---- parts of a channel ---- */

/* Where an end is, as far as the settings say: "db1:3306", "db1", a socket's path. */
static json_t *
view_address(const struct conf *c, const char *end)
{
	const char *host = conf_strf(c, "%s.host", end), *socket = conf_strf(c, "%s.socket", end);
	char *path = xasprintf("%s.port", end), *both = NULL;
	json_t *j;

	if (socket == NULL && host != NULL && conf_has(c, path))
		both = xasprintf("%s:%lld", host, (long long)conf_int(c, path));
	j = text(socket != NULL ? socket : both != NULL ? both : host);
	free(both);
	free(path);
	return j;
}

static json_t *
view_progress(const struct runner *r, const struct metrics_rates *rates)
{
	struct tables_sum s = tables_sum(&r->tables);
	json_t *j = json_object();
	uint64_t left = s.rows_expected > s.rows_done ? s.rows_expected - s.rows_done : 0;

	json_object_set_new(j, "tables", number(s.total));
	json_object_set_new(j, "tables_streaming", number(s.streaming));
	json_object_set_new(j, "tables_loading", number(s.loading));
	json_object_set_new(j, "tables_quarantined", number(s.quarantined));
	json_object_set_new(j, "tables_reload", number(s.reload));
	json_object_set_new(j, "rows", number(s.rows_done));
	json_object_set_new(j, "rows_expected", number(s.rows_expected));
	json_object_set_new(j, "bytes", number(s.bytes_done));
	json_object_set_new(j, "rows_per_second", json_real(rates->load_rows));
	/* Below one percent a guess is worth nothing. */
	json_object_set_new(j, "eta_seconds",
		rates->load_rows > 0 && s.rows_done > s.rows_expected / 100
			? json_real((double)left / rates->load_rows)
			: json_null());
	return j;
}

static json_t *
view_rates(const struct runner *r, const struct metrics_rates *rates)
{
	uint64_t size = r->metrics.now[STAT_RING_SIZE];
	uint64_t backlog = r->metrics.now[STAT_READ_LAG];
	json_t *j = json_object();

	json_object_set_new(j, "bandwidth_mb_per_second", json_real(rates->bandwidth));
	json_object_set_new(j, "transactions_per_second", json_real(rates->tps));
	json_object_set_new(
		j, "delay_ms", rates->delay_ms >= 0 ? json_integer(rates->delay_ms) : json_null());
	json_object_set_new(j, "ring_fill",
		size != 0 ? json_real((double)r->metrics.now[STAT_RING_FILL] / (double)size)
			  : json_real(0));
	json_object_set_new(
		j, "source_backlog_bytes", backlog != UINT64_MAX ? number(backlog) : json_null());
	json_object_set_new(j, "source_clock_offset_us",
		json_integer((json_int_t)r->metrics.now[STAT_CLOCK_OFFSET]));
	json_object_set_new(
		j, "caught_up", json_boolean(r->flowing && metrics_caught_up(&r->metrics)));
	return j;
}

static json_t *
view_counters(const struct runner *r)
{
	json_t *j = json_object();

	for (enum statistic s = 0; s < STAT_COUNT; s++)
		if (!stat_is_gauge(s))
			json_object_set_new(j, stat_name(s), number(metrics_get(&r->metrics, s)));
	return j;
}

static json_t *
view_tables(const struct tables *t)
{
	json_t *all = json_array();

	for (size_t i = 0; i < t->count; i++) {
		const struct report_table *r = &t->rows[i].report;
		json_t *j = json_object();

		json_object_set_new(j, "database", text(r->db));
		json_object_set_new(j, "table", text(r->name));
		json_object_set_new(j, "state", text(table_state_name(r->state)));
		json_object_set_new(j, "chunks", number(r->chunks_done));
		json_object_set_new(j, "rows", number(r->rows_done));
		json_object_set_new(j, "rows_expected", number(r->rows_expected));
		json_object_set_new(j, "bytes", number(r->bytes_done));
		json_object_set_new(j, "reason", text(r->reason));
		json_array_append_new(all, j);
	}
	return all;
}

static json_t *
view_restarts(const struct runner *r)
{
	json_t *j = json_object();

	json_object_set_new(j, "count", number(r->mirror.restarts));
	json_object_set_new(j, "failures_in_a_row", number(r->policy.failures));
	json_object_set_new(j, "next", time_or_null(r->retry_at_us));
	json_object_set_new(j, "last_failure", view_err(&r->last_failure));
	json_object_set_new(j, "last_failure_time", time_or_null(r->last_failure_us));
	return j;
}

static const char *
activity(const struct runner *r)
{
	if (r->pair == NULL)
		return r->retry_at_us != 0 ? "waiting to start again" : "resting";
	return pair_phase_name(pair_phase(r->pair));
}

static void
add_details(json_t *j, const struct runner *r)
{
	json_object_set_new(j, "file", text(r->file));
	json_object_set_new(j, "table_list", view_tables(&r->tables));
	json_object_set_new(j, "precheck", view_checks(&r->checks));
	json_object_set_new(j, "precheck_time", time_or_null(r->checked_us));
	json_object_set_new(j, "counters", view_counters(r));
	json_object_set_new(j, "history", view_moves(r->gateway->store, r->id, MOVES_SHOWN));
}

json_t *
view_channel(const struct runner *r, bool details)
{
	const struct channel_record *record = &r->channel.record;
	struct metrics_rates rates = runner_rates(r);
	json_t *j = json_object();

	json_object_set_new(j, "channel", text(r->id));
	json_object_set_new(j, "name", text(conf_str(r->conf, "name")));
	json_object_set_new(j, "source", text(conf_str(r->conf, "source.kind")));
	json_object_set_new(j, "target", text(conf_str(r->conf, "target.kind")));
	json_object_set_new(j, "source_address", view_address(r->conf, "source"));
	json_object_set_new(j, "target_address", view_address(r->conf, "target"));
	json_object_set_new(j, "state", text(channel_state_name(record->state)));
	json_object_set_new(j, "since", time_or_null(record->since_us));
	json_object_set_new(j, "wish", text(wish_name(record->wish)));
	json_object_set_new(j, "wish_in_target", json_boolean(record->told));
	json_object_set_new(j, "cause", view_err(&record->cause));
	json_object_set_new(j, "activity", text(activity(r)));
	json_object_set_new(j, "idle", json_boolean(runner_idle(r)));
	json_object_set_new(j, "flowing", json_boolean(r->flowing));
	json_object_set_new(j, "generation", number(r->mirror.generation));
	json_object_set_new(j, "reader_pid",
		number(r->pair != NULL ? (uint64_t)pair_pid(r->pair, END_READER) : 0));
	json_object_set_new(j, "writer_pid",
		number(r->pair != NULL ? (uint64_t)pair_pid(r->pair, END_WRITER) : 0));
	json_object_set_new(j, "guarantee", text(runner_guarantee(r)));
	json_object_set_new(j, "restarts", view_restarts(r));
	json_object_set_new(j, "position", text(r->mirror.position));
	json_object_set_new(j, "position_time", time_or_null(r->mirror.position_us));
	json_object_set_new(j, "progress", view_progress(r, &rates));
	json_object_set_new(j, "metrics", view_rates(r, &rates));
	if (details)
		add_details(j, r);
	return j;
}

/* ---- from the store ---- */

static void
add_conflict(void *arg, const struct report_conflict *c)
{
	json_t *j = json_object();

	json_object_set_new(j, "time", time_or_null(c->time_us));
	json_object_set_new(j, "database", text(c->db));
	json_object_set_new(j, "table", text(c->table));
	json_object_set_new(j, "operation", text(c->operation));
	json_object_set_new(j, "kind", text(c->kind));
	json_object_set_new(j, "key", text(c->key));
	json_object_set_new(j, "before", text(c->before));
	json_object_set_new(j, "after", text(c->after));
	json_object_set_new(j, "target", text(c->target));
	json_object_set_new(j, "action", text(c->action));
	json_object_set_new(j, "position", text(c->position));
	json_array_append_new(arg, j);
}

json_t *
view_conflicts(struct store *s, const char *id, unsigned limit)
{
	json_t *all = json_array();

	store_conflicts(s, id, limit, add_conflict, all);
	return all;
}

static void
add_move(void *arg, const struct store_move *m)
{
	json_t *j = json_object();

	json_object_set_new(j, "time", time_or_null(m->at_us));
	json_object_set_new(j, "what", text(m->kind));
	json_object_set_new(j, "from", text(m->from));
	json_object_set_new(j, "to", text(m->to));
	json_object_set_new(j, "text", text(m->text));
	json_array_append_new(arg, j);
}

json_t *
view_moves(struct store *s, const char *id, unsigned limit)
{
	json_t *all = json_array();

	store_moves(s, id, limit, add_move, all);
	return all;
}

static void
add_sample(void *arg, const struct store_sample *x)
{
	json_t *j = json_object();

	json_object_set_new(j, "time", time_or_null(x->at_us));
	json_object_set_new(j, "bandwidth_mb_per_second", json_real(x->bandwidth));
	json_object_set_new(j, "transactions_per_second", json_real(x->tps));
	json_object_set_new(
		j, "delay_ms", x->delay_ms >= 0 ? json_integer(x->delay_ms) : json_null());
	json_array_append_new(arg, j);
}

json_t *
view_metrics(struct store *s, const char *id, uint64_t since_us, unsigned points)
{
	uint64_t now = now_us(), bucket = now > since_us ? (now - since_us) / points : 1;
	json_t *all = json_array();

	if (bucket < 10000000)
		bucket = 10000000; /* one sample is taken in ten seconds */
	store_samples(s, id, since_us, bucket, add_sample, all);
	return all;
}
