/* schema_test.c - tables as bytes: what comes back, and what does not. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/schema.h"

static void
encoded(struct buf *b)
{
	struct table *t = table_new("shop", "orders");
	struct column *c = table_add_column(t, "id", TYPE_INTEGER);

	c->native = xstrdup("int");
	index_add_part(table_add_index(t, "PRIMARY", true, true), 0, 0);
	buf_init(b);
	table_encode(t, b);
	table_free(t);
}

static enum rc
decode(const struct buf *b, size_t len, struct err *e)
{
	struct table *t = NULL;
	struct cursor c;
	enum rc rc;

	cursor_init(&c, b->data, len);
	rc = table_decode(&c, &t, e);
	assert_true((rc == RC_OK) == (t != NULL));
	table_free(t);
	return rc;
}

static void
a_table_comes_back(void **state)
{
	struct table *t;
	struct cursor c;
	struct err e;
	struct buf b;

	(void)state;
	encoded(&b);
	cursor_init(&c, b.data, b.len);
	assert_int_equal(table_decode(&c, &t, &e), RC_OK);
	assert_string_equal(t->name, "orders");
	assert_non_null(table_key(t));
	table_free(t);
	buf_release(&b);
}

/* Tables are kept at targets: those of another version are a person's to decide on. */
static void
another_version_is_named(void **state)
{
	struct err e = {0};
	struct buf b;

	(void)state;
	encoded(&b);
	b.data[0]--;
	assert_int_equal(decode(&b, b.len, &e), RC_CONFIG);
	assert_non_null(strstr(e.text, "another version of syncline"));
	assert_non_null(strstr(e.remedy, "syncline reset"));
	buf_release(&b);
}

static void
cut_bytes_are_refused(void **state)
{
	struct err e;
	struct buf b;

	(void)state;
	encoded(&b);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(decode(&b, n, &e), RC_BUG);
	buf_release(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_comes_back),
		cmocka_unit_test(another_version_is_named),
		cmocka_unit_test(cut_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
