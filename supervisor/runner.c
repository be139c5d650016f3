/* runner.c - see runner.h. */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/runner.h"

static void pursue(struct runner *r);

static const struct pair_ops pair_ops;

/* ---- the record ---- */

static enum rc
persist(void *arg, const struct channel_record *record, enum channel_event event,
	enum channel_state from, struct err *e)
{
	struct runner *r = arg;

	return store_save_channel(r->gateway->store, r->id, record, channel_event_name(event),
		channel_state_name(from), e);
}

/* A field beside the state has changed. */
static void
touch(struct runner *r)
{
	struct err e;

	if (store_touch_channel(r->gateway->store, r->id, &r->channel.record, &e) != RC_OK)
		log_err(LOG_LVL_WARN, &e);
}

/* For events of ours: the matrix allows them where they are raised. */
static void
happen(struct runner *r, enum channel_event event, const struct err *cause)
{
	struct err e;

	if (channel_happen(&r->channel, event, cause, &e) != RC_OK)
		log_err(LOG_LVL_ERROR, &e);
}

/* ---- towards the goal ---- */

static void
forget_retry(struct runner *r)
{
	timer_clear(r->retry);
	r->retry_at_us = 0;
}

static void
end_pair(struct runner *r, bool now)
{
	r->ending = true;
	if (now)
		pair_stop(r->pair);
	else
		pair_drain(r->pair);
}

static void
set_goal(struct runner *r, enum goal goal)
{
	if (goal != r->goal || r->renew) {
		forget_retry(r);
		policy_reset(&r->policy);
	}
	r->goal = goal;
	pursue(r);
}

static const enum pair_kind kinds[] = {[GOAL_CHECK] = PAIR_CHECK,
	[GOAL_RUN] = PAIR_RUN,
	[GOAL_TELL] = PAIR_TELL,
	[GOAL_CLEAR] = PAIR_CLEAR};

static enum log_level
worker_level(const struct runner *r)
{
	const char *name = conf_str(r->conf, "log_level");
	enum log_level level = LOG_LVL_INFO;

	if (name == NULL)
		name = conf_str(r->gateway->conf, "log_level");
	(void)log_parse_level(name, &level);
	return level;
}

/* Stopped for good, or reset: nothing will go on from what the source keeps. */
static bool
leaves(const struct runner *r)
{
	return r->goal == GOAL_CLEAR ||
	       (r->goal == GOAL_TELL && r->channel.record.wish == WISH_COMPLETED);
}

static void on_failure(struct runner *r, const struct pair_result *result);

static void
start_pair(struct runner *r)
{
	const struct gateway *g = r->gateway;
	struct pair_result failed = {.kind = kinds[r->goal]};
	struct pair_spec spec = {.loop = g->loop,
		.kind = kinds[r->goal],
		.channel = r->id,
		.generation = ++r->mirror.generation,
		.conf = r->conf,
		.libexec = g->libexec,
		.log = g->worker_log,
		.level = worker_level(r),
		.start_ms = conf_ms(g->conf, "start_timeout"),
		.heartbeat_ms = conf_ms(g->conf, "heartbeat_timeout"),
		.drain_ms = conf_ms(g->conf, "drain_timeout"),
		.wish = wish_name(r->channel.record.wish),
		.leaves = leaves(r),
		.ops = &pair_ops,
		.arg = r};

	tables_opening(&r->tables);
	r->mirror_dirty = true;
	r->renew = r->ending = r->telling = r->tell_run = r->drained = false;
	if (pair_start(&spec, &r->pair, &failed.err) == RC_OK)
		return;
	r->pair = NULL;
	failed.status = rc_exit(failed.err.rc);
	on_failure(r, &failed);
}

static void
pursue(struct runner *r)
{
	if (r->goal == GOAL_TELL && r->channel.record.told && r->pair == NULL)
		r->goal = GOAL_REST;
	if (r->pair != NULL) {
		if (r->goal == GOAL_REST || pair_kind(r->pair) != kinds[r->goal] || r->renew)
			end_pair(r, r->goal == GOAL_CLEAR);
		return;
	}
	if (r->goal == GOAL_REST)
		gateway_rested(r->gateway, r);
	else if (r->retry_at_us == 0)
		start_pair(r);
}

static void
on_retry(void *arg)
{
	struct runner *r = arg;

	r->retry_at_us = 0;
	pursue(r);
}

static void
act(void *arg, enum channel_action action)
{
	struct runner *r = arg;

	switch (action) {
	case ACTION_CHECK:
		r->renew = r->pair != NULL;
		set_goal(r, GOAL_CHECK);
		break;
	case ACTION_RESTART:
		r->renew = true;
		set_goal(r, GOAL_RUN);
		break;
	case ACTION_RUN:
		r->telling = false; /* what a pair that still drains was told holds no more */
		set_goal(r, GOAL_RUN);
		break;
	case ACTION_REST:
		set_goal(r, GOAL_REST);
		break;
	case ACTION_TELL:
		/* A stop is told when nothing reads the source any more. */
		r->telling = r->pair != NULL && !r->ending &&
			     r->channel.record.wish != WISH_COMPLETED &&
			     pair_tell(r->pair, wish_name(r->channel.record.wish));
		set_goal(r, GOAL_TELL);
		break;
	case ACTION_CLEAR:
		set_goal(r, GOAL_CLEAR);
		break;
	case ACTION_NONE:
	case CHANNEL_ACTION_COUNT:
	default:
		break;
	}
}

static const struct channel_hooks hooks = {.persist = persist, .act = act};

/* ---- what the pair says ---- */

/* The wish in the target counts only for a channel that our store knows nothing of. */
/* The reader finds the tables that are to load again as if the target said so; then it does. */
static void
mark_reloads(const struct runner *r, struct resume *resume)
{
	for (size_t i = 0; i < r->tables.count; i++) {
		const struct report_table *t = &r->tables.rows[i].report;
		struct resume_table *known =
			t->state == TABLE_RELOAD ? resume_find(resume, t->db, t->name) : NULL;

		if (known != NULL)
			known->state = TABLE_RELOAD;
	}
}

static bool
on_opened(void *arg, struct resume *resume)
{
	struct runner *r = arg;
	enum wish found = resume->wish != NULL ? wish_by_name(resume->wish) : WISH_UNKNOWN;

	r->tell_run = found != WISH_RUNNING && found != WISH_UNKNOWN;
	if (r->channel.record.wish == WISH_UNKNOWN) {
		if (found == WISH_PAUSED || found == WISH_COMPLETED) {
			happen(r,
				found == WISH_PAUSED ? EVENT_OF_CHANNEL_FOUND_PAUSED
						     : EVENT_OF_CHANNEL_FOUND_COMPLETED,
				NULL);
			return false;
		}
		r->channel.record.wish = WISH_RUNNING;
		touch(r);
	}
	mark_reloads(r, resume);
	return r->goal == GOAL_RUN;
}

static void
on_flowing(void *arg)
{
	struct runner *r = arg;

	r->flowing = true;
	tables_opened(&r->tables);
	r->last_failure = (struct err){0};
	if (r->tell_run)
		(void)pair_tell(r->pair, wish_name(WISH_RUNNING));
	if (!r->channel.record.told) {
		r->channel.record.told = true;
		touch(r);
	}
	log_info("channel \"%s\" flows, generation %u", r->id, r->mirror.generation);
}

static void
on_reported(void *arg, enum end_role role, const uint64_t *stats)
{
	struct runner *r = arg;

	metrics_report(&r->metrics, role, stats, now_us());
	if (r->flowing && !r->ending && r->channel.record.state == CHANNEL_INITIAL &&
		metrics_loaded(&r->metrics))
		happen(r, EVENT_OF_CHANNEL_INITIAL_DONE, NULL);
}

static void
on_table(void *arg, const struct report_table *t)
{
	struct runner *r = arg;

	if (t->state == TABLE_QUARANTINED)
		log_warn("channel \"%s\": table %s.%s is quarantined: %s", r->id, t->db, t->name,
			t->reason != NULL ? t->reason : "no reason given");
	tables_put(&r->tables, t, true);
}

static void
on_conflict(void *arg, const struct report_conflict *c)
{
	struct runner *r = arg;

	log_warn("channel \"%s\": conflict in %s.%s: %s, %s, action=%s", r->id, c->db, c->table,
		c->operation, c->kind, c->action);
	store_add_conflict(r->gateway->store, r->id, c);
}

static void
on_position(void *arg, const char *applied, uint64_t time_us)
{
	struct runner *r = arg;

	free(r->mirror.position);
	r->mirror.position = xstrdup(applied);
	r->mirror.position_us = time_us;
	r->mirror_dirty = true;
}

/* ---- the end of a pair ---- */

static void
wait_for_retry(struct runner *r, uint64_t delay_ms)
{
	r->mirror.restarts++;
	r->retry_at_us = now_us() + delay_ms * 1000;
	timer_once(r->retry, delay_ms);
	log_warn("channel \"%s\": %s; started again in %llu ms, failures=%u", r->id,
		r->last_failure.text, (unsigned long long)delay_ms, r->policy.failures);
}

/* A wish or a reset that cannot be carried out: the state stands, a person sees why. */
static void
give_up_errand(struct runner *r, const struct err *e)
{
	log_err(LOG_LVL_ERROR, e);
	r->channel.record.cause = *e;
	err_context(&r->channel.record.cause,
		r->goal == GOAL_CLEAR ? "the reset is not done"
		: leaves(r)	      ? "the stop is not done"
				      : "the target has not been told \"%s\"",
		wish_name(r->channel.record.wish));
	touch(r);
	set_goal(r, GOAL_REST);
}

static void
on_failure(struct runner *r, const struct pair_result *result)
{
	const struct conf *c = r->gateway->conf;
	struct policy_limits limits = {.delay_min_ms = conf_ms(c, "restart_delay_min"),
		.delay_max_ms = conf_ms(c, "restart_delay_max"),
		.stable_ms = conf_ms(c, "restart_delay_max")};
	struct policy_death death = {.status = result->status,
		.signal = result->signal,
		.ready = result->ready,
		.flowed_ms = result->flowed_ms};
	struct policy_decision d;
	uint32_t random = 0;

	r->last_failure = result->err;
	r->last_failure_us = now_us();
	store_add_note(r->gateway->store, r->id, "error", result->err.text);
	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	d = policy_judge(&r->policy, &limits, &death, random);
	if (d.restart)
		wait_for_retry(r, d.delay_ms);
	else if (r->goal == GOAL_RUN || r->goal == GOAL_CHECK)
		happen(r, EVENT_OF_CHANNEL_FAILED, &result->err);
	else
		give_up_errand(r, &result->err);
}

static void
summarize(const struct checks *c, struct err *e)
{
	const struct check_item *first = NULL;
	unsigned failed = 0;

	for (uint32_t i = 0; i < c->count; i++)
		if (c->items[i].result == CHECK_FAIL) {
			failed++;
			if (first == NULL)
				first = &c->items[i];
		}
	if (first == NULL)
		return;
	err_set(e, RC_CONFIG, "%u of %u precheck items failed: %s: %s", failed, c->count,
		first->item, first->cause != NULL ? first->cause : "no cause given");
	err_remedy(e, "%s", first->remedy != NULL ? first->remedy : "");
}

static void
on_checked(struct runner *r, const struct pair_result *result)
{
	struct err e = {0};

	checks_release(&r->checks);
	r->checks = result->checks;
	((struct pair_result *)(uintptr_t)result)->checks = (struct checks){0}; /* taken over */
	r->checked_us = now_us();
	r->goal = GOAL_REST;
	summarize(&r->checks, &e);
	if (e.rc != RC_OK)
		happen(r, EVENT_OF_CHANNEL_PRECHECK_REFUSED, &e);
	else
		happen(r,
			r->channel.record.loaded ? EVENT_OF_CHANNEL_PRECHECK_PASSED_LOADED
						 : EVENT_OF_CHANNEL_PRECHECK_PASSED,
			NULL);
}

static void
on_told(struct runner *r)
{
	FAILPOINT(SUPERVISOR_TOLD);
	r->channel.record.told = true;
	touch(r);
	log_info("channel \"%s\": the target knows it as %s", r->id,
		wish_name(r->channel.record.wish));
}

static void
on_cleared(struct runner *r)
{
	store_forget_channel(r->gateway->store, r->id);
	tables_clear(&r->tables);
	metrics_clear(&r->metrics);
	free(r->mirror.position);
	r->mirror = (struct store_mirror){.generation = r->mirror.generation};
	r->last_failure = (struct err){0};
	r->channel.record.wish = WISH_UNKNOWN;
	r->channel.record.cause = (struct err){0};
	touch(r);
	store_add_note(r->gateway->store, r->id, "reset done", NULL);
	log_info("channel \"%s\" is reset: source, target and store hold nothing of it", r->id);
}

/* A pair that served the goal and has an answer. */
static void
on_answer(struct runner *r, const struct pair_result *result)
{
	switch (result->kind) {
	case PAIR_CHECK:
		on_checked(r, result);
		return;
	case PAIR_TELL:
		on_told(r);
		break;
	case PAIR_CLEAR:
		on_cleared(r);
		break;
	case PAIR_RUN:
	default:
		break;
	}
	r->goal = GOAL_REST;
	pursue(r);
}

static void
on_ended(void *arg, const struct pair_result *result)
{
	struct runner *r = arg;
	bool good = result->err.rc == RC_OK;

	FAILPOINT(SUPERVISOR_ENDED);
	r->pair = NULL;
	r->flowing = false;
	r->drained = good && result->drained;
	metrics_pair_ended(&r->metrics);
	if (r->ending || r->goal == GOAL_REST) {
		r->ending = false;
		if (!good) {
			log_err(LOG_LVL_WARN, &result->err);
			store_add_note(r->gateway->store, r->id, "error", result->err.text);
		}
		if (r->telling && good && !result->killed)
			on_told(r);
		r->renew = r->telling = false;
		pursue(r);
	} else if (good && result->answered) {
		on_answer(r, result);
	} else {
		on_failure(r, result);
	}
}

static const struct pair_ops pair_ops = {.opened = on_opened,
	.flowing = on_flowing,
	.reported = on_reported,
	.table = on_table,
	.conflict = on_conflict,
	.position = on_position,
	.ended = on_ended};

/* ---- life of a runner ---- */

static void
load_table(void *arg, const struct report_table *t)
{
	tables_put(arg, t, false);
}

struct runner *
runner_new(struct gateway *g, const char *id, const char *file, struct conf *conf)
{
	struct runner *r = xcalloc(1, sizeof *r);

	r->gateway = g;
	r->id = xstrdup(id);
	r->file = xstrdup(file);
	r->conf = conf;
	r->channel = (struct channel){.id = r->id, .hooks = &hooks, .arg = r};
	r->retry = timer_new(g->loop, on_retry, r);
	return r;
}

void
runner_free(struct runner *r)
{
	if (r == NULL)
		return;
	pair_free(r->pair);
	timer_free(r->retry);
	conf_free(r->conf);
	tables_clear(&r->tables);
	checks_release(&r->checks);
	free(r->mirror.position);
	free(r->file);
	free(r->id);
	free(r);
}

void
runner_begin(struct runner *r)
{
	struct channel_record *record = &r->channel.record;
	bool known = store_load_channel(r->gateway->store, r->id, record, &r->mirror);

	store_load_tables(r->gateway->store, r->id, load_table, &r->tables);
	if (!known)
		happen(r, EVENT_OF_CHANNEL_CONFIGURED, NULL);
	else if (record->wish == WISH_RESET)
		set_goal(r, GOAL_CLEAR);
	else if (channel_runs(record->state))
		set_goal(r, GOAL_RUN);
	else if (record->state == CHANNEL_PRECHECKING)
		set_goal(r, GOAL_CHECK);
	else if (!record->told &&
		 (record->state == CHANNEL_PAUSED || record->state == CHANNEL_COMPLETED))
		set_goal(r, GOAL_TELL);
	log_info("channel \"%s\" is %s", r->id, channel_state_name(record->state));
}

enum rc
runner_order(struct runner *r, enum channel_event event, struct err *e)
{
	if (r->channel.record.wish == WISH_RESET) {
		if (event == EVENT_OF_CHANNEL_RESET) { /* once more: the errand had failed */
			set_goal(r, GOAL_CLEAR);
			return RC_OK;
		}
		err_set(e, RC_CONFIG, "the reset of channel \"%s\" is not done yet%s%s", r->id,
			r->last_failure.text[0] != '\0' ? ": " : "", r->last_failure.text);
		return err_remedy(e, "wait for it, or mend the target and say reset again");
	}
	return channel_happen(&r->channel, event, NULL, e);
}

enum rc
runner_resync(struct runner *r, const char *table, struct err *e)
{
	struct table_row *row = tables_find(&r->tables, table);

	if (row == NULL || row->report.state == TABLE_REMOVED) {
		err_set(e, RC_CONFIG, "channel \"%s\" has no table \"%s\"", r->id, table);
		return err_remedy(e,
			"name it as DATABASE.TABLE, as at the source; `syncline status %s` lists "
			"them",
			r->id);
	}
	if (row->report.state != TABLE_STREAMING && row->report.state != TABLE_QUARANTINED) {
		err_set(e, RC_CONFIG, "table %s is on its way already: %s", table,
			table_state_name(row->report.state));
		return err_remedy(e, "see `syncline status %s`", r->id);
	}
	if (conf_is(r->conf, "existing", "ignore")) {
		err_set(e, RC_CONFIG,
			"rows of table %s at the target may be others': channel \"%s\" has "
			"existing = "
			"\"ignore\"",
			table, r->id);
		return err_remedy(e, "if all of them may go, set existing = \"intercept\" in the "
				     "channel's file and `syncline reload`; it can be set back "
				     "when the table is loaded");
	}
	row->report.state = TABLE_RELOAD;
	row->report.chunks_done = 0;
	row->report.rows_done = row->report.bytes_done = 0;
	row->dirty = true;
	store_add_note(r->gateway->store, r->id, "resync", table);
	log_info("channel \"%s\": table %s is to load again", r->id, table);
	if (r->goal == GOAL_RUN)
		happen(r, EVENT_OF_CHANNEL_CHANGED, NULL);
	return RC_OK;
}

void
runner_reconfigure(struct runner *r, struct conf *conf, bool objects, bool live_only)
{
	conf_free(r->conf);
	r->conf = conf;
	if (r->pair != NULL)
		pair_relevel(r->pair, worker_level(r));
	if (!live_only)
		happen(r, objects ? EVENT_OF_CHANNEL_OBJECTS_CHANGED : EVENT_OF_CHANNEL_CHANGED,
			NULL);
}

void
runner_rest(struct runner *r, bool now)
{
	forget_retry(r);
	r->goal = GOAL_REST;
	if (r->pair != NULL)
		end_pair(r, now || pair_kind(r->pair) != PAIR_RUN);
	else
		pursue(r);
}

bool
runner_idle(const struct runner *r)
{
	return r->pair == NULL && r->goal == GOAL_REST;
}

struct metrics_rates
runner_rates(const struct runner *r)
{
	return metrics_rates(&r->metrics, now_us(), r->mirror.position_us, r->flowing);
}

void
runner_tick(struct runner *r, uint64_t now, bool sample)
{
	struct store *s = r->gateway->store;

	metrics_tick(&r->metrics, now);
	if (r->mirror_dirty)
		store_save_mirror(s, r->id, &r->mirror);
	r->mirror_dirty = false;
	for (size_t i = 0; i < r->tables.count; i++)
		if (r->tables.rows[i].dirty) {
			store_save_table(s, r->id, &r->tables.rows[i].report);
			r->tables.rows[i].dirty = false;
		}
	if (sample && r->flowing) {
		struct metrics_rates m = runner_rates(r);

		store_add_sample(s, r->id,
			&(struct store_sample){.at_us = now,
				.bandwidth = m.bandwidth,
				.tps = m.tps,
				.delay_ms = m.delay_ms});
	}
}

const char *
runner_guarantee(const struct runner *r)
{
	return conf_is(r->conf, "apply", "atomic")
		       ? "atomic: an exact prefix of the source, each change exactly once"
		       : "fastest: groups of whole transactions, changes of one row merged";
}
