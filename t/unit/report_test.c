/* report_test.c - the larger things of the control socket: round trips and damage. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ipc/report.h"

/* ---- what is tested, as one shape: encode a sample, decode bytes and encode what came ---- */

static void
sample_checks(struct buf *b)
{
	struct table *t = table_new("shop", "a");
	struct checks c;

	checks_init(&c);
	table_add_column(t, "id", TYPE_INTEGER);
	found_add(&c.found, t, "utf8mb4,latin1", "CREATE TABLE a (id INT)", "utf8mb4");
	table_free(t);
	checks_pass(&c, "Source database connectivity");
	checks_add(&c, CHECK_WARN, "Binary log retention", "raise it", "it is %d days", 1);
	checks_add(&c, CHECK_FAIL, "Permissions", NULL, "no grant");
	c.sql = strdup("GRANT SELECT");
	checks_encode(&c, b);
	checks_release(&c);
}

static enum rc
again_checks(struct cursor *c, struct buf *b, struct err *e)
{
	struct checks out;
	enum rc rc = checks_decode(c, &out, e);

	if (rc == RC_OK)
		checks_encode(&out, b);
	checks_release(&out);
	return rc;
}

static void
fill_resume(struct resume *r)
{
	struct resume_table *t;
	struct resume_chunk *k;

	resume_init(r);
	r->fresh = false;
	r->applied = strdup("binlog.000003:4711");
	r->resume = strdup("binlog.000003:4");
	r->incarnation = 3;
	r->source_id = strdup("3E11FA47");
	r->wish = strdup("running");
	t = resume_add_table(r, "shop", "orders", TABLE_LOADING);
	t->inserted = true;
	buf_add(&t->schema, "s\0s", 3);
	for (uint32_t i = 0; i < 3; i++) {
		k = resume_add_chunk(t, i);
		k->rows = i * 1000;
		k->last = i == 2;
		buf_add(&k->lo, "lo", i);
		buf_add(&k->hi, "hi", 2 - i);
	}
	resume_add_table(r, "shop", "items", TABLE_STREAMING);
}

static void
sample_resume(struct buf *b)
{
	struct resume r;

	fill_resume(&r);
	resume_encode(&r, b);
	resume_release(&r);
}

static void
sample_fresh(struct buf *b)
{
	struct resume r;

	resume_init(&r);
	resume_encode(&r, b);
	resume_release(&r);
}

static enum rc
again_resume(struct cursor *c, struct buf *b, struct err *e)
{
	struct resume out;
	enum rc rc = resume_decode(c, &out, e);

	if (rc == RC_OK)
		resume_encode(&out, b);
	resume_release(&out);
	return rc;
}

static void
sample_table(struct buf *b)
{
	char db[] = "shop", name[] = "orders", reason[] = "no key";
	struct report_table t = {.db = db,
		.name = name,
		.state = TABLE_QUARANTINED,
		.chunks_done = 4,
		.rows_done = 5,
		.rows_expected = 6,
		.bytes_done = 7,
		.reason = reason};

	report_table_encode(&t, b);
}

static enum rc
again_table(struct cursor *c, struct buf *b, struct err *e)
{
	struct report_table out;
	enum rc rc = report_table_decode(c, &out, e);

	if (rc == RC_OK)
		report_table_encode(&out, b);
	report_table_release(&out);
	return rc;
}

static void
sample_conflict(struct buf *b)
{
	char text[] = "text", key[] = "id=5";
	struct report_conflict c = {.db = text,
		.table = text,
		.operation = text,
		.kind = text,
		.key = key,
		.after = text,
		.action = text,
		.position = text,
		.time_us = 99};

	report_conflict_encode(&c, b);
}

static enum rc
again_conflict(struct cursor *c, struct buf *b, struct err *e)
{
	struct report_conflict out;
	enum rc rc = report_conflict_decode(c, &out, e);

	if (rc == RC_OK)
		report_conflict_encode(&out, b);
	report_conflict_release(&out);
	return rc;
}

static const struct {
	void (*sample)(struct buf *b);
	enum rc (*again)(struct cursor *c, struct buf *b, struct err *e);
} shapes[] = {
	{sample_checks, again_checks},
	{sample_resume, again_resume},
	{sample_fresh, again_resume},
	{sample_table, again_table},
	{sample_conflict, again_conflict},
};

static enum rc
run(size_t shape, const unsigned char *p, size_t n, struct buf *back)
{
	unsigned char *exact = malloc(n != 0 ? n : 1);
	struct err e = {0};
	struct cursor c;
	enum rc rc;

	assert_non_null(exact);
	memcpy(exact, p, n);
	cursor_init(&c, exact, n);
	rc = shapes[shape].again(&c, back, &e);
	assert_true(rc == RC_OK || (rc == RC_BUG && e.text[0] != '\0'));
	free(exact);
	return rc;
}

static void
all_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct buf b = {0}, back = {0};

		shapes[i].sample(&b);
		assert_int_equal(run(i, b.data, b.len, &back), RC_OK);
		assert_int_equal(b.len, back.len);
		assert_memory_equal(b.data, back.data, b.len);
		buf_release(&b);
		buf_release(&back);
	}
}

static void
too_short_and_too_long_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct buf b = {0}, back = {0};

		shapes[i].sample(&b);
		for (size_t n = 0; n < b.len; n++)
			assert_int_equal(run(i, b.data, n, &back), RC_BUG);
		buf_u8(&b, 0);
		assert_int_equal(run(i, b.data, b.len, &back), RC_BUG);
		buf_release(&b);
		buf_release(&back);
	}
}

static void
damaged_bytes_do_no_harm(void **state)
{
	static const unsigned char damage[] = {0x00, 0x01, 0x03, 0x7f, 0x80, 0xff};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct buf b = {0}, back = {0};

		shapes[i].sample(&b);
		for (size_t n = 0; n < b.len; n++) {
			unsigned char was = b.data[n];

			for (size_t d = 0; d < COUNT_OF(damage); d++) {
				b.data[n] = damage[d];
				(void)run(i, b.data, b.len, &back);
			}
			b.data[n] = was;
		}
		buf_release(&b);
		buf_release(&back);
	}
}

/* ---- fields ---- */

static void
resume_keeps_all_that_it_was_told(void **state)
{
	struct buf b = {0};
	struct resume r;
	struct resume_table *t;
	struct cursor c;
	struct err e;

	(void)state;
	sample_resume(&b);
	cursor_init(&c, b.data, b.len);
	assert_int_equal(resume_decode(&c, &r, &e), RC_OK);
	assert_false(r.fresh);
	assert_string_equal(r.applied, "binlog.000003:4711");
	assert_string_equal(r.resume, "binlog.000003:4");
	assert_int_equal(r.incarnation, 3);
	assert_string_equal(r.source_id, "3E11FA47");
	assert_string_equal(r.wish, "running");
	assert_int_equal(r.ntables, 2);
	t = resume_find(&r, "shop", "orders");
	assert_non_null(t);
	assert_int_equal(t->state, TABLE_LOADING);
	assert_true(t->inserted);
	assert_int_equal(t->schema.len, 3);
	assert_int_equal(t->nchunks, 3);
	assert_int_equal(t->chunks[1].number, 1);
	assert_int_equal(t->chunks[1].rows, 1000);
	assert_string_equal(buf_text(&t->chunks[1].lo), "l");
	assert_string_equal(buf_text(&t->chunks[1].hi), "h");
	assert_false(t->chunks[1].last);
	assert_true(t->chunks[2].last);
	assert_int_equal(resume_find(&r, "shop", "items")->state, TABLE_STREAMING);
	assert_null(resume_find(&r, "shop", "Orders"));
	assert_null(resume_find(&r, "other", "orders"));
	resume_release(&r);
	buf_release(&b);
}

static void
a_fresh_resume_is_empty(void **state)
{
	struct resume r;

	(void)state;
	resume_init(&r);
	assert_true(r.fresh);
	assert_null(r.applied);
	assert_int_equal(r.ntables, 0);
	assert_null(resume_find(&r, "a", "b"));
	resume_release(&r);
}

static void
checks_tell_whether_one_failed(void **state)
{
	struct checks c;

	(void)state;
	checks_init(&c);
	assert_false(checks_failed(&c));
	checks_pass(&c, "one");
	checks_add(&c, CHECK_WARN, "two", "do %this", "because of %s", "that");
	assert_false(checks_failed(&c));
	assert_string_equal(c.items[1].cause, "because of that");
	assert_string_equal(c.items[1].remedy, "do %this");
	checks_add(&c, CHECK_FAIL, "three", NULL, "no");
	assert_true(checks_failed(&c));
	assert_int_equal(c.count, 3);
	checks_release(&c);
	assert_int_equal(c.count, 0);
}

static void
texts_that_may_be_missing_stay_so(void **state)
{
	struct buf b = {0};
	struct report_conflict out;
	struct cursor c;
	struct err e;

	(void)state;
	sample_conflict(&b);
	cursor_init(&c, b.data, b.len);
	assert_int_equal(report_conflict_decode(&c, &out, &e), RC_OK);
	assert_null(out.before);
	assert_null(out.target);
	assert_string_equal(out.key, "id=5");
	assert_int_equal(out.time_us, 99);
	report_conflict_release(&out);
	assert_null(out.key);
	buf_release(&b);
}

/* A name that must be there. */
static void
a_conflict_of_nothing_is_refused(void **state)
{
	struct report_conflict empty = {0}, out;
	struct buf b = {0};
	struct cursor c;
	struct err e;

	(void)state;
	report_conflict_encode(&empty, &b);
	cursor_init(&c, b.data, b.len);
	assert_int_equal(report_conflict_decode(&c, &out, &e), RC_BUG);
	assert_null(out.db);
	buf_release(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_round_trip),
		cmocka_unit_test(too_short_and_too_long_are_refused),
		cmocka_unit_test(damaged_bytes_do_no_harm),
		cmocka_unit_test(resume_keeps_all_that_it_was_told),
		cmocka_unit_test(a_fresh_resume_is_empty),
		cmocka_unit_test(checks_tell_whether_one_failed),
		cmocka_unit_test(texts_that_may_be_missing_stay_so),
		cmocka_unit_test(a_conflict_of_nothing_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
