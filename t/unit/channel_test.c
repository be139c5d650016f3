/* channel_test.c - every cell of the matrix of channel states. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/channel.h"

/* What the hooks saw, in order. */
struct scene {
	char calls[64];
	struct channel_record kept;
	enum channel_event event;
	enum channel_state from;
	enum channel_action action;
	bool broken; /* the store */
};

static enum rc
persist(void *arg, const struct channel_record *r, enum channel_event event,
	enum channel_state from, struct err *e)
{
	struct scene *s = arg;

	strcat(s->calls, "persist ");
	s->kept = *r;
	s->event = event;
	s->from = from;
	return s->broken ? err_set(e, RC_RETRY, "the disk is full") : RC_OK;
}

static void
act(void *arg, enum channel_action action)
{
	struct scene *s = arg;

	strcat(s->calls, "act ");
	s->action = action;
}

static const struct channel_hooks hooks = {.persist = persist, .act = act};

static struct channel
channel_in(struct scene *s, enum channel_state state)
{
	*s = (struct scene){.action = CHANNEL_ACTION_COUNT};
	return (struct channel){
		.id = "orders", .record = {.state = state}, .hooks = &hooks, .arg = s};
}

static void
every_cell_does_what_it_says(void **state)
{
	unsigned legal = 0;

	(void)state;
	for (enum channel_state from = 0; from < CHANNEL_STATE_COUNT; from++)
		for (enum channel_event v = 0; v < CHANNEL_EVENT_COUNT; v++) {
			struct scene s;
			struct channel c = channel_in(&s, from);
			enum channel_state next;
			enum channel_action action;
			bool allowed = channel_cell(from, v, &next, &action);
			struct err e;
			enum rc rc = channel_happen(&c, v, NULL, &e);

			assert_int_equal(allowed, channel_allows(from, v));
			if (!allowed) {
				assert_int_not_equal(rc, RC_OK);
				assert_int_equal(c.record.state, from);
				assert_string_equal(s.calls, "");
				assert_non_null(strstr(e.text, channel_state_name(from)));
				continue;
			}
			legal++;
			assert_int_equal(rc, RC_OK);
			assert_string_equal(s.calls, "persist act ");
			assert_int_equal(s.kept.state, next);
			assert_int_equal(s.event, v);
			assert_int_equal(s.from, from);
			assert_int_equal(s.action, action);
			assert_int_equal(c.record.state, next);
		}
	assert_true(legal > 40);
}

/* Spec S7.1 and R22, R24, R32: the operator's events, state by state. */
static void
legal_actions_are_those_of_the_spec(void **state)
{
	static const struct {
		enum channel_state state;
		bool start, pause, stop, reset, objects;
	} rows[] = {
		{CHANNEL_NOT_CONFIGURED, true, false, false, false, true},
		{CHANNEL_PRECHECKING, false, true, false, true, true},
		{CHANNEL_PRECHECK_FAILED, true, false, false, true, true},
		{CHANNEL_INITIAL, false, true, true, true, false},
		{CHANNEL_INITIAL_FAILED, true, false, true, true, false},
		{CHANNEL_SYNCHRONIZING, false, true, true, true, true},
		{CHANNEL_PAUSED, true, false, true, true, true},
		{CHANNEL_SYNC_FAILED, true, false, true, true, true},
		{CHANNEL_COMPLETED, false, false, false, true, false},
	};

	(void)state;
	static_assert(COUNT_OF(rows) == CHANNEL_STATE_COUNT, "a row for each state");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		enum channel_state s = rows[i].state;
		struct channel_record r = {.state = s,
			.loaded = s == CHANNEL_SYNCHRONIZING || s == CHANNEL_SYNC_FAILED};

		assert_int_equal(channel_allows(s, channel_start_event(&r)), rows[i].start);
		assert_int_equal(channel_allows(s, EVENT_OF_CHANNEL_PAUSE), rows[i].pause);
		assert_int_equal(channel_allows(s, EVENT_OF_CHANNEL_STOP), rows[i].stop);
		assert_int_equal(channel_allows(s, EVENT_OF_CHANNEL_RESET), rows[i].reset);
		assert_int_equal(
			channel_allows(s, EVENT_OF_CHANNEL_OBJECTS_CHANGED), rows[i].objects);
	}
}

static void
start_means_what_the_record_says(void **state)
{
	struct channel_record paused = {.state = CHANNEL_PAUSED};

	(void)state;
	assert_int_equal(channel_start_event(&paused), EVENT_OF_CHANNEL_START);
	paused.loaded = true;
	assert_int_equal(channel_start_event(&paused), EVENT_OF_CHANNEL_START_LOADED);
	paused.unchecked = true;
	assert_int_equal(channel_start_event(&paused), EVENT_OF_CHANNEL_START_UNCHECKED);
	paused.state = CHANNEL_PRECHECK_FAILED;
	assert_int_equal(channel_start_event(&paused), EVENT_OF_CHANNEL_START);
}

static void
happen(struct channel *c, enum channel_event v)
{
	struct err e;

	assert_int_equal(channel_happen(c, v, NULL, &e), RC_OK);
}

static void
wishes_and_marks_follow_the_events(void **state)
{
	struct scene s;
	struct channel c = channel_in(&s, CHANNEL_INITIAL);

	(void)state;
	happen(&c, EVENT_OF_CHANNEL_INITIAL_DONE);
	assert_true(c.record.loaded);
	c.record.told = true;
	happen(&c, EVENT_OF_CHANNEL_PAUSE);
	assert_int_equal(c.record.wish, WISH_PAUSED);
	assert_false(c.record.told);
	happen(&c, EVENT_OF_CHANNEL_OBJECTS_CHANGED);
	assert_true(c.record.unchecked);
	happen(&c, channel_start_event(&c.record));
	assert_int_equal(c.record.state, CHANNEL_PRECHECKING);
	assert_int_equal(c.record.wish, WISH_RUNNING);
	happen(&c, EVENT_OF_CHANNEL_PRECHECK_PASSED_LOADED);
	assert_false(c.record.unchecked);
	assert_int_equal(c.record.state, CHANNEL_SYNCHRONIZING);
	c.record.state = CHANNEL_NOT_CONFIGURED;
	happen(&c, EVENT_OF_CHANNEL_CONFIGURED);
	happen(&c, EVENT_OF_CHANNEL_PAUSE);
	assert_int_equal(
		channel_start_event(&c.record), EVENT_OF_CHANNEL_START_UNCHECKED); /* R18 */
	c.record.state = CHANNEL_SYNCHRONIZING;
	happen(&c, EVENT_OF_CHANNEL_STOP);
	assert_int_equal(c.record.wish, WISH_COMPLETED);
	happen(&c, EVENT_OF_CHANNEL_RESET);
	assert_int_equal(c.record.wish, WISH_RESET);
	assert_false(c.record.loaded);
	assert_int_equal(s.action, ACTION_CLEAR);
}

static void
a_cause_stays_until_the_next_move(void **state)
{
	struct scene s;
	struct channel c = channel_in(&s, CHANNEL_SYNCHRONIZING);
	struct err why, e;

	(void)state;
	err_set(&why, RC_CONFLICT, "row id=5 exists");
	c.record.loaded = true;
	assert_int_equal(channel_happen(&c, EVENT_OF_CHANNEL_FAILED, &why, &e), RC_OK);
	assert_int_equal(c.record.state, CHANNEL_SYNC_FAILED);
	assert_string_equal(c.record.cause.text, "row id=5 exists");
	assert_true(c.record.since_us != 0);
	happen(&c, EVENT_OF_CHANNEL_CHANGED);
	assert_string_equal(c.record.cause.text, "row id=5 exists");
	happen(&c, EVENT_OF_CHANNEL_START_LOADED);
	assert_int_equal(c.record.cause.rc, RC_OK);
}

/* An operator hears of it; what has happened anyway goes on. */
static void
a_broken_store_refuses_operators_only(void **state)
{
	struct scene s;
	struct channel c = channel_in(&s, CHANNEL_SYNCHRONIZING);
	struct err e;

	(void)state;
	s.broken = true;
	assert_int_equal(channel_happen(&c, EVENT_OF_CHANNEL_PAUSE, NULL, &e), RC_RETRY);
	assert_non_null(strstr(e.text, "the disk is full"));
	assert_int_equal(c.record.state, CHANNEL_SYNCHRONIZING);
	assert_string_equal(s.calls, "persist ");
	assert_int_equal(channel_happen(&c, EVENT_OF_CHANNEL_FAILED, NULL, &e), RC_OK);
	assert_int_equal(c.record.state, CHANNEL_SYNC_FAILED);
}

static void
names_go_both_ways(void **state)
{
	(void)state;
	for (enum channel_state s = 0; s < CHANNEL_STATE_COUNT; s++)
		assert_int_equal(channel_state_by_name(channel_state_name(s)), s);
	for (enum wish w = 0; w < WISH_COUNT; w++)
		assert_int_equal(wish_by_name(wish_name(w)), w);
	assert_int_equal(channel_state_by_name("Sleeping"), CHANNEL_STATE_COUNT);
	assert_int_equal(wish_by_name("sleep"), WISH_UNKNOWN);
	assert_string_equal(channel_state_name(CHANNEL_STATE_COUNT), "unknown");
	assert_true(channel_runs(CHANNEL_INITIAL) && channel_runs(CHANNEL_SYNCHRONIZING));
	assert_false(channel_runs(CHANNEL_PAUSED) || channel_runs(CHANNEL_COMPLETED));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_does_what_it_says),
		cmocka_unit_test(legal_actions_are_those_of_the_spec),
		cmocka_unit_test(start_means_what_the_record_says),
		cmocka_unit_test(wishes_and_marks_follow_the_events),
		cmocka_unit_test(a_cause_stays_until_the_next_move),
		cmocka_unit_test(a_broken_store_refuses_operators_only),
		cmocka_unit_test(names_go_both_ways),
	};

	log_set_level(LOG_LVL_COUNT); /* moves are logged; not here */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
