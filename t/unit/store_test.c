/* store_test.c - what is kept, and stores that are newer, older, damaged or taken. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "supervisor/store.h"
#include "supervisor/store_schema.h"

struct scene {
	char dir[64];
	char path[96];
	struct store *store;
};

static int
open_scene(void **state)
{
	struct scene *s = xcalloc(1, sizeof *s);

	snprintf(s->dir, sizeof s->dir, "/tmp/store-test-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof s->path, "%s/%s", s->dir, STORE_FILE);
	*state = s;
	return 0;
}

static int
close_scene(void **state)
{
	struct scene *s = *state;
	DIR *d = opendir(s->dir);
	struct dirent *e;

	store_close(s->store);
	while ((e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(s->dir);
	free(s);
	return 0;
}

static void
reopen(struct scene *s)
{
	struct err e = {0};

	store_close(s->store);
	s->store = NULL;
	if (store_open(s->dir, &s->store, &e) != RC_OK)
		fail_msg("%s", e.text);
}

static void
sql(struct scene *s, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
save_one(struct scene *s)
{
	struct channel_record r = {.state = CHANNEL_PAUSED,
		.wish = WISH_PAUSED,
		.told = true,
		.loaded = true,
		.since_us = 12345};
	struct err e;

	err_set(&r.cause, RC_CONFLICT, "row id=5 exists");
	err_remedy(&r.cause, "look at it");
	assert_int_equal(
		store_save_channel(s->store, "orders", &r, "pause", "Synchronizing", &e), RC_OK);
}

static void
assert_one(struct scene *s)
{
	struct channel_record r;
	struct store_mirror m;

	assert_true(store_load_channel(s->store, "orders", &r, &m));
	assert_int_equal(r.state, CHANNEL_PAUSED);
	assert_int_equal(r.wish, WISH_PAUSED);
	assert_true(r.told && r.loaded && !r.unchecked);
	assert_int_equal(r.since_us, 12345);
	assert_int_equal(r.cause.rc, RC_CONFLICT);
	assert_string_equal(r.cause.text, "row id=5 exists");
	assert_string_equal(r.cause.remedy, "look at it");
	free(m.position);
}

static void
records_and_mirrors_outlive_the_process(void **state)
{
	struct scene *s = *state;
	struct store_mirror m = {
		.position = "gtid=1-2-3", .position_us = 99, .generation = 7, .restarts = 3};
	struct channel_record r;

	reopen(s);
	assert_true(store_is_new(s->store));
	assert_false(store_load_channel(s->store, "orders", &r, &m));
	assert_int_equal(r.state, CHANNEL_NOT_CONFIGURED);
	assert_int_equal(r.wish, WISH_UNKNOWN);
	save_one(s);
	m = (struct store_mirror){
		.position = "gtid=1-2-3", .position_us = 99, .generation = 7, .restarts = 3};
	store_begin(s->store);
	store_save_mirror(s->store, "orders", &m);
	store_commit(s->store);
	reopen(s);
	assert_false(store_is_new(s->store));
	assert_one(s);
	assert_true(store_load_channel(s->store, "orders", &r, &m));
	assert_string_equal(m.position, "gtid=1-2-3");
	assert_int_equal(m.position_us, 99);
	assert_int_equal(m.generation, 7);
	assert_int_equal(m.restarts, 3);
	free(m.position);
	assert_true(store_writable(s->store));
}

static void
a_state_is_durable_inside_a_mirror_transaction(void **state)
{
	struct scene *s = *state;

	reopen(s);
	store_begin(s->store);
	save_one(s);
	store_commit(s->store);
	reopen(s);
	assert_one(s);
}

static unsigned seen;

static void
see_table(void *arg, const struct report_table *t)
{
	(void)arg;
	assert_string_equal(t->db, "shop");
	assert_string_equal(t->name, seen == 0 ? "a" : "b");
	assert_int_equal(t->rows_done, seen == 0 ? 5 : 70);
	assert_int_equal(t->state, TABLE_LOADING);
	seen++;
}

static void
see_conflict(void *arg, const struct report_conflict *c)
{
	(void)arg;
	assert_string_equal(c->key, seen == 0 ? "id=2" : "id=1");
	assert_null(c->before);
	assert_string_equal(c->target, "id=1, n='x'");
	seen++;
}

static void
see_move(void *arg, const struct store_move *m)
{
	(void)arg;
	if (seen++ == 0) {
		assert_string_equal(m->kind, "error");
		assert_string_equal(m->text, "lost");
		return;
	}
	assert_string_equal(m->kind, "pause");
	assert_string_equal(m->from, "Synchronizing");
	assert_string_equal(m->to, "Paused");
}

static void
history_is_kept_newest_first(void **state)
{
	struct scene *s = *state;
	struct report_table a = {.db = "shop", .name = "a", .state = TABLE_LOADING, .rows_done = 5};
	struct report_table b = {.db = "shop", .name = "b", .state = TABLE_LOADING, .rows_done = 6};
	struct report_conflict c = {
		.db = "shop", .table = "a", .key = "id=1", .target = "id=1, n='x'"};

	reopen(s);
	store_save_table(s->store, "orders", &b);
	store_save_table(s->store, "orders", &a);
	b.rows_done = 70;
	store_save_table(s->store, "orders", &b);
	seen = 0;
	store_load_tables(s->store, "orders", see_table, NULL);
	assert_int_equal(seen, 2);
	store_add_conflict(s->store, "orders", &c);
	c.key = "id=2";
	store_add_conflict(s->store, "orders", &c);
	seen = 0;
	store_conflicts(s->store, "orders", 10, see_conflict, NULL);
	assert_int_equal(seen, 2);
	save_one(s);
	store_add_note(s->store, "orders", "error", "lost");
	seen = 0;
	store_moves(s->store, "orders", 10, see_move, NULL);
	assert_int_equal(seen, 2);
	store_forget_channel(s->store, "orders");
	seen = 0;
	store_conflicts(s->store, "orders", 10, see_conflict, NULL);
	store_load_tables(s->store, "orders", see_table, NULL);
	assert_int_equal(seen, 0);
}

static double tps_seen[8];

static void
see_sample(void *arg, const struct store_sample *x)
{
	(void)arg;
	tps_seen[seen++] = x->tps;
	assert_int_equal(x->delay_ms, seen == 1 ? 30 : 50);
}

static void
samples_come_in_buckets_and_are_pruned(void **state)
{
	struct scene *s = *state;

	reopen(s);
	for (int i = 0; i < 5; i++)
		store_add_sample(s->store, "orders",
			&(struct store_sample){.at_us = (uint64_t)i * 1000000,
				.tps = 10 * (i + 1),
				.delay_ms = 10 * (i + 1)});
	seen = 0;
	store_samples(s->store, "orders", 0, 3000000, see_sample, NULL);
	assert_int_equal(seen, 2);
	assert_float_equal(tps_seen[0], 20, 0.001);
	assert_float_equal(tps_seen[1], 45, 0.001);
	store_prune(s->store, 4000000);
	seen = 1;
	store_samples(s->store, "orders", 0, 3000000, see_sample, NULL);
	assert_int_equal(seen, 2);
}

static void
conflicts_are_bounded(void **state)
{
	struct scene *s = *state;
	struct report_conflict c = {.key = "k"};
	sqlite3 *db;
	sqlite3_stmt *q;

	reopen(s);
	store_begin(s->store);
	for (int i = 0; i < 1100; i++)
		store_add_conflict(s->store, "orders", &c);
	store_add_conflict(s->store, "other", &c);
	store_commit(s->store);
	store_prune(s->store, 0);
	assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT count(*) FROM conflicts", -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(q, 0), 1001);
	sqlite3_finalize(q);
	sqlite3_close(db);
}

static void
a_newer_store_is_refused_and_left_alone(void **state)
{
	struct scene *s = *state;
	struct err e;

	reopen(s);
	save_one(s);
	store_close(s->store);
	s->store = NULL;
	sql(s, "PRAGMA user_version = 99");
	assert_int_equal(store_open(s->dir, &s->store, &e), RC_CONFIG);
	assert_non_null(strstr(e.text, "version 99"));
	assert_true(e.remedy[0] != '\0');
	sql(s, "PRAGMA user_version = 2");
	reopen(s);
	assert_one(s);
}

/* Each older version, from its own schema. */
static void
older_stores_are_migrated(void **state)
{
	struct scene *s = *state;

	for (int version = 1; version < STORE_VERSION; version++) {
		char text[64];

		unlink(s->path);
		for (int v = 0; v < version; v++)
			sql(s, store_step(v));
		sql(s, "INSERT INTO channels (id, state, wish, told, loaded, unchecked, since_us,"
		       " cause_class, cause, remedy) VALUES ('orders', 'Paused', 'paused', 1, 1,"
		       " 0, 12345, 'conflict', 'row id=5 exists', 'look at it')");
		snprintf(text, sizeof text, "PRAGMA user_version = %d", version);
		sql(s, text);
		reopen(s);
		assert_one(s);
		store_add_sample(s->store, "orders", &(struct store_sample){.at_us = 1});
		store_close(s->store);
		s->store = NULL;
	}
	assert_null(store_step(STORE_VERSION));
}

static unsigned
count_damaged(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, ".damaged-") != NULL;
	closedir(d);
	return n;
}

static void
a_damaged_store_is_moved_aside(void **state)
{
	struct scene *s = *state;
	struct channel_record r;
	struct store_mirror m;
	FILE *f = fopen(s->path, "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", f);
	fclose(f);
	reopen(s);
	assert_true(store_is_new(s->store));
	assert_int_equal(count_damaged(s->dir), 1);
	assert_false(store_load_channel(s->store, "orders", &r, &m));
	save_one(s);
	assert_one(s);
}

/* The head is good, a page in the middle is not. */
static void
damage_inside_is_found(void **state)
{
	struct scene *s = *state;
	FILE *f;

	reopen(s);
	store_begin(s->store);
	for (int i = 0; i < 500; i++)
		store_add_note(s->store, "orders", "error", "a text that fills some pages, really");
	store_commit(s->store);
	store_close(s->store);
	s->store = NULL;
	f = fopen(s->path, "r+");
	fseek(f, 5 * 4096, SEEK_SET);
	for (int i = 0; i < 8 * 4096; i++)
		fputc(0xa5, f);
	fclose(f);
	reopen(s);
	assert_int_equal(count_damaged(s->dir), 1);
}

static void
one_supervisor_at_a_time(void **state)
{
	struct scene *s = *state;
	struct store *second = NULL;
	struct err e;

	reopen(s);
	assert_int_equal(store_open(s->dir, &second, &e), RC_CONFIG);
	assert_non_null(strstr(e.text, "another supervisor"));
}

static void
a_directory_that_cannot_be_is_said(void **state)
{
	struct store *none = NULL;
	struct err e;

	(void)state;
	assert_int_equal(store_open("/proc/no/such", &none, &e), RC_CONFIG);
	assert_non_null(strstr(e.text, "/proc/no/such"));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_scene, close_scene)
	static const struct CMUnitTest tests[] = {
		T(records_and_mirrors_outlive_the_process),
		T(a_state_is_durable_inside_a_mirror_transaction),
		T(history_is_kept_newest_first),
		T(samples_come_in_buckets_and_are_pruned),
		T(conflicts_are_bounded),
		T(a_newer_store_is_refused_and_left_alone),
		T(older_stores_are_migrated),
		T(a_damaged_store_is_moved_aside),
		T(damage_inside_is_found),
		T(one_supervisor_at_a_time),
		T(a_directory_that_cannot_be_is_said),
	};
#undef T

	log_set_level(LOG_LVL_COUNT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
