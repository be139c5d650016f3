/* seam_test.c - the window: fates of keys, sparse images, patched rows. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "workers/reader/seam.h"

/* Rows of three letters: the key and two columns; '-' is NULL, '=' unchanged, '?' absent. */
struct letters {
	struct value v[3];
	struct row row;
};

static struct row *
row(struct letters *l, const char *text)
{
	for (int i = 0; i < 3; i++) {
		l->v[i] = (struct value){
			.kind = VALUE_BYTES, .len = 1, .data = (const unsigned char *)text + i};
		if (text[i] == '-')
			l->v[i].kind = VALUE_NULL;
		if (text[i] == '=')
			l->v[i].kind = VALUE_UNCHANGED;
		if (text[i] == '?')
			l->v[i].kind = VALUE_ABSENT;
	}
	l->row = (struct row){l->v, 3};
	return &l->row;
}

static struct window *
new_window(void)
{
	struct index_part part = {.column = 0};
	struct index key = {.parts = &part, .nparts = 1};

	return window_new(&key, 3);
}

static void
note(struct window *w, enum event_kind op, const char *before, const char *after)
{
	struct letters b, a;

	window_note(w, op, before != NULL ? row(&b, before) : NULL,
		after != NULL ? row(&a, after) : NULL);
}

static enum verdict
ask(struct window *w, const char *snapshot, char *out)
{
	struct value values[3];
	struct row patched = {values, 3};
	struct letters l;
	enum verdict v = window_row(w, row(&l, snapshot), &patched);

	for (int i = 0; v == VERDICT_PATCH && i < 3; i++)
		out[i] = values[i].kind == VALUE_NULL ? '-' : (char)values[i].data[0];
	out[3] = '\0';
	return v;
}

static void
an_empty_window_keeps(void **state)
{
	struct window *w = new_window();
	char out[4];

	(void)state;
	assert_int_equal(ask(w, "kab", out), VERDICT_KEEP);
	note(w, EVENT_DELETE, "xab", NULL);
	assert_int_equal(ask(w, "kab", out), VERDICT_KEEP);
	window_free(w);
}

static void
fates(void **state)
{
	struct window *w = new_window();
	char out[4];

	(void)state;
	note(w, EVENT_INSERT, NULL, "iab");
	note(w, EVENT_UPDATE, "iab", "icd");
	assert_int_equal(ask(w, "icd", out), VERDICT_DROP);
	note(w, EVENT_DELETE, "dab", NULL);
	assert_int_equal(ask(w, "dab", out), VERDICT_DROP);
	note(w, EVENT_UPDATE, "mab", "nab");
	assert_int_equal(ask(w, "mab", out), VERDICT_DROP);
	assert_int_equal(ask(w, "nab", out), VERDICT_DROP);
	note(w, EVENT_UPDATE, "uab", "ucd");
	note(w, EVENT_DELETE, "ucd", NULL);
	note(w, EVENT_INSERT, NULL, "uef");
	assert_int_equal(ask(w, "uab", out), VERDICT_DROP);
	assert_int_equal(window_count(w), 5);
	window_free(w);
}

static void
sparse_images_add_up(void **state)
{
	struct window *w = new_window();
	char out[4];

	(void)state;
	note(w, EVENT_UPDATE, "kab", "=c=");
	assert_int_equal(ask(w, "kab", out), VERDICT_PATCH);
	assert_string_equal(out, "kcb");
	note(w, EVENT_UPDATE, "kcb", "k?-");
	assert_int_equal(ask(w, "kab", out), VERDICT_PATCH);
	assert_string_equal(out, "kc-");
	assert_int_equal(window_count(w), 1);
	assert_true(window_bytes(w) > 0);
	window_free(w);
}

static void
a_key_of_two_columns_moves_by_one(void **state)
{
	struct index_part parts[2] = {{.column = 0}, {.column = 1}};
	struct index key = {.parts = parts, .nparts = 2};
	struct window *w = window_new(&key, 3);
	char out[4];

	(void)state;
	note(w, EVENT_UPDATE, "kab", "m??");
	assert_int_equal(ask(w, "kab", out), VERDICT_DROP);
	assert_int_equal(ask(w, "mab", out), VERDICT_DROP);
	window_free(w);
}

static void
many_keys(void **state)
{
	struct window *w = new_window();
	char text[4] = "kab", out[4];

	(void)state;
	for (int i = 1; i < 128; i++) {
		text[0] = (char)i;
		if (strchr("-=?", i) == NULL)
			note(w, EVENT_UPDATE, text, text);
	}
	assert_int_equal(window_count(w), 124);
	for (int i = 1; i < 128; i++) {
		text[0] = (char)i;
		if (strchr("-=?", i) == NULL)
			assert_int_equal(ask(w, text, out), VERDICT_PATCH);
	}
	window_free(w);
}

static void
keys_without_a_value_have_no_bytes(void **state)
{
	struct index_part part = {.column = 0};
	struct index key = {.parts = &part, .nparts = 1};
	struct letters l;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_false(key_bytes(&key, row(&l, "-ab"), &b));
	assert_false(key_bytes(&key, row(&l, "?ab"), &b));
	assert_true(key_bytes(&key, row(&l, "kab"), &b));
	assert_int_equal(b.len, 5);
	buf_release(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_window_keeps),
		cmocka_unit_test(fates),
		cmocka_unit_test(sparse_images_add_up),
		cmocka_unit_test(a_key_of_two_columns_moves_by_one),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(keys_without_a_value_have_no_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
