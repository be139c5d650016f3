/* loss_test.c - what columns and values can lose; the words of `lossy`. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "workers/writer/loss.h"

static void
test_words(void **state)
{
	const struct option *o = option_find(channel_options(), "lossy");
	static const char words[] = ""
#define X(symbol, word, what) " " word
		LOSS_LIST(X)
#undef X
		;

	(void)state;
	assert_string_equal(o->words, words + 1);
}

static struct losses
ends(const char *source, const char *target, const char *word)
{
	struct conf *c = conf_new(channel_options());
	struct losses l;
	struct err e;

	assert_int_equal(conf_set(c, "source.kind", source, "test", &e), RC_OK);
	assert_int_equal(conf_set(c, "target.kind", target, "test", &e), RC_OK);
	if (word != NULL)
		assert_int_equal(conf_append(c, "lossy", word, NULL, "test", &e), RC_OK);
	losses_init(&l, c);
	conf_free(c);
	return l;
}

static enum loss
padding(const char *from, const char *to)
{
	struct losses l = ends("mysql", "mysql", NULL);
	struct column a = {.name = "a", .type = TYPE_BINARY, .native = (char *)from},
		      b = {.name = "a", .type = TYPE_BINARY, .native = (char *)to};

	return loss_column(&l, &a, &b);
}

static void
test_columns(void **state)
{
	struct losses there = ends("mysql", "postgresql", NULL),
		      accepted = ends("mysql", "postgresql", "digits"),
		      same = ends("postgresql", "postgresql", NULL),
		      fake = ends("fake", "postgresql", NULL);
	struct column wide = {.name = "a",
			      .type = TYPE_DECIMAL,
			      .native = "decimal(9,4)",
			      .precision = 9,
			      .scale = 4},
		      narrow = {.name = "a",
			      .type = TYPE_DECIMAL,
			      .native = "numeric(9,2)",
			      .precision = 9,
			      .scale = 2};

	(void)state;
	assert_int_equal(loss_column(&there, &wide, &narrow), LOSS_DIGITS);
	assert_int_equal(loss_column(&there, &narrow, &wide), LOSS_COUNT);
	assert_int_equal(loss_column(&accepted, &wide, &narrow), LOSS_COUNT);
	assert_int_equal(loss_column(&fake, &wide, &narrow), LOSS_COUNT);
	assert_int_equal(loss_column(&same, &wide, &narrow), LOSS_DIGITS);
	assert_int_equal(padding("varbinary(16)", "binary(16)"), LOSS_PADDING);
	assert_int_equal(padding("longblob", "binary(16)"), LOSS_PADDING);
	assert_int_equal(padding("uuid", "binary(16)"), LOSS_COUNT);
	assert_int_equal(padding("binary(4)", "binary(16)"), LOSS_COUNT);
	narrow.native = wide.native; /* one type, however we understand it */
	assert_int_equal(loss_column(&same, &wide, &narrow), LOSS_COUNT);
}

static bool
is_lost(const struct losses *l, enum type type, const char *text)
{
	struct column c = {.name = "a", .type = type, .native = (char *)type_name(type)};
	struct value v = {.kind = VALUE_BYTES,
		.len = (uint32_t)strlen(text),
		.data = (const unsigned char *)text};

	return loss_by_value(l, &c, &c) && loss_value(l, &c, &v);
}

static void
test_values(void **state)
{
	static const struct {
		enum type type;
		const char *text;
		bool mysql, pgsql; /* has none such */
	} rows[] = {
		{TYPE_DATE, "0000-00-00", false, true},
		{TYPE_DATE, "2020-00-10", false, true},
		{TYPE_DATE, "2020-13-10", false, true},
		{TYPE_DATE, "2020-01-00", false, true},
		{TYPE_DATE, "2020-04-31", false, true},
		{TYPE_DATE, "2100-02-29", false, true},
		{TYPE_DATE, "2000-02-29", false, false},
		{TYPE_DATETIME, "0000-00-00 00:00:00", false, true},
		{TYPE_DATETIME, "2020-01-01 00:00:00", false, false},
		{TYPE_TIMESTAMP, "infinity", true, true},
		{TYPE_DATE, "-infinity", true, true},
		{TYPE_DATE, "0044-03-15 BC", true, false},
		{TYPE_DATE, "10000-01-01", true, true},
		{TYPE_DECIMAL, "NaN", true, false},
		{TYPE_DECIMAL, "-Infinity", true, false},
		{TYPE_DECIMAL, "-1.50", false, false},
		{TYPE_TEXT, "NaN", false, false},
	};
	struct losses mysql = ends("postgresql", "mysql", "dates"),
		      pgsql = ends("mysql", "postgresql", "dates"),
		      refused = ends("postgresql", "mysql", NULL);
	double d = NAN;
	struct value v = {.kind = VALUE_BYTES, .len = 8, .data = (const unsigned char *)&d};
	struct column c = {.name = "a", .type = TYPE_DOUBLE, .native = "double precision"};

	(void)state;
	mysql.accepted[LOSS_NAN] = pgsql.accepted[LOSS_NAN] = true;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(is_lost(&mysql, rows[i].type, rows[i].text), rows[i].mysql);
		assert_int_equal(is_lost(&pgsql, rows[i].type, rows[i].text), rows[i].pgsql);
		assert_false(is_lost(&refused, rows[i].type, rows[i].text));
	}
	assert_true(loss_value(&mysql, &c, &v));
	d = 1;
	assert_false(loss_value(&mysql, &c, &v));
	v.kind = VALUE_NULL;
	assert_false(loss_value(&mysql, &c, &v));
	assert_true(loss_nullable(&mysql, &c));
	assert_false(loss_nullable(&pgsql, &c));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
