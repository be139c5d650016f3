/* charset_test.c - text of MySQL's character sets as UTF-8. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/charset.h"

static const struct {
	const char *charset;
	const char *from;
	size_t n;
	const char *utf8;
} good[] = {
	{"utf8mb4", "a\xf0\x9f\x98\x80", 5, "a\xf0\x9f\x98\x80"},
	{"latin1", "caf\xe9 \x80", 6, "caf\xc3\xa9 \xe2\x82\xac"},
	{"latin1", "\x81\x9d", 2, "\xc2\x81\xc2\x9d"}, /* cp1252's holes */
	{"latin2", "\xb1", 1, "\xc4\x85"},
	{"utf16", "\x00\x41\xd8\x3d\xde\x00", 6, "A\xf0\x9f\x98\x80"},
	{"utf16le", "\x41\x00", 2, "A"},
	{"ucs2", "\x20\xac", 2, "\xe2\x82\xac"},
	{"gbk", "\xc4\xe3", 2, "\xe4\xbd\xa0"},
	{"cp1251", "\xc6", 1, "\xd0\x96"},
	{"sjis", "\x82\xa0", 2, "\xe3\x81\x82"},
	{"koi8r", "", 0, ""},
};

static void
converts(void **state)
{
	struct transcoder *t = transcoder_new();
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		buf_clear(&b);
		buf_puts(&b, "<");
		assert_int_equal(
			transcoder_utf8(t, good[i].charset, good[i].from, good[i].n, &b, &e),
			RC_OK);
		assert_string_equal(buf_text(&b) + 1, good[i].utf8);
	}
	buf_release(&b);
	transcoder_free(t);
}

static void
refuses(void **state)
{
	struct transcoder *t = transcoder_new();
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(transcoder_utf8(t, "gbk", "ab\xff", 3, &b, &e), RC_DATA);
	assert_non_null(strstr(e.text, "character set gbk (at byte 2)"));
	assert_int_equal(transcoder_utf8(t, "utf16", "\xd8", 1, &b, &e), RC_DATA);
	assert_int_equal(transcoder_utf8(t, "klingon", "a", 1, &b, &e), RC_CONFIG);
	buf_release(&b);
	transcoder_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(converts),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
