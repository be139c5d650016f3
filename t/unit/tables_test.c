/* tables_test.c - a channel's tables, as one reader after the other tells of them. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/tables.h"

static void
put(struct tables *t, const char *name, enum table_state state)
{
	char db[] = "shop";
	struct report_table r = {.db = db, .name = (char *)name, .state = state};

	tables_put(t, &r, true);
}

static enum table_state
state_of(struct tables *t, const char *name)
{
	return tables_find(t, name)->report.state;
}

/* The reader that saw them go was killed before it could say so. */
static void
what_a_new_reader_does_not_know_is_gone(void **state)
{
	struct tables t = {0};

	(void)state;
	put(&t, "a", TABLE_LOADING);
	put(&t, "b", TABLE_STREAMING);
	put(&t, "c", TABLE_LOADING);
	put(&t, "d", TABLE_WAITING);
	tables_opening(&t);
	put(&t, "c", TABLE_LOADING); /* nothing new, but it is known */
	tables_opened(&t);
	assert_int_equal(state_of(&t, "shop.a"), TABLE_REMOVED);
	assert_int_equal(state_of(&t, "shop.b"), TABLE_REMOVED);
	assert_int_equal(state_of(&t, "shop.c"), TABLE_LOADING);
	assert_int_equal(state_of(&t, "shop.d"), TABLE_WAITING); /* the initial schema will tell */
	put(&t, "b", TABLE_LOADING);				 /* made again */
	assert_int_equal(state_of(&t, "shop.b"), TABLE_LOADING);
	assert_int_equal(tables_sum(&t).loading, 2);
	tables_clear(&t);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_new_reader_does_not_know_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
