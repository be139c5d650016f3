/* mysql_event_test.c - events and row images of the binary log. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "common/mysql/gtid.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/value.h"
#include "workers/reader/mysql/xa.h"

/* As a MariaDB 10.11 writes them (FULL metadata, CRC32): each type once. */
static const char table_map[] = "12e6026b134d000000ae0000008405000000001200000000000100016400017400"
				"15030108f6040510fefefe0f0ffc1211130a0dfcfffe180a"
				"0204080201f701f801fe05b0040a00020306020404ee90feff1f0101a20307082d"
				"3f082e3f2d070101042b02696401610162016301660167016801"
				"69016a016b016c016d016e016f01700171017201730175017601770a0108050703"
				"016101620163060a030178027979037a7a7a080100877309fa";
static const char write_rows[] = "12e6026b174d0000009f000000230600000000120000000000010015ffff1f000"
				 "0e001000000feffffffffffffffff7fffff84d20000c03f0000000000000240"
				 "02010205026869060068c3a96c6c6f0200ff030074787499a702c8b81ed25f256"
				 "17001e2407f3747b201c90f78070000007b2261223a317d19000000000000"
				 "000101000000000000000000f03f000000000000004004007769646574ad20fd";

/* Found by fuzz_binlog: a BLOB's length of more bytes, more digits of a second than there are. */
static const char metadata[] = "020306020404ee90"; /* of BLOB, DATETIME2, TIMESTAMP2, TIME2 */

static struct buf
unhex(const char *hex)
{
	struct buf b;
	unsigned byte;

	buf_init(&b);
	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		buf_u8(&b, (uint8_t)byte);
	return b;
}

static const struct {
	const char *name;
	enum type type;
	bool is_unsigned;
	const char *text; /* of the row; NULL: looked at by hand */
} columns[] = {
	{"id", TYPE_INTEGER, true, NULL},
	{"a", TYPE_INTEGER, false, NULL},
	{"b", TYPE_INTEGER, true, NULL},
	{"c", TYPE_DECIMAL, false, "-123.45"},
	{"f", TYPE_FLOAT, false, NULL},
	{"g", TYPE_DOUBLE, false, NULL},
	{"h", TYPE_BIT, false, NULL},
	{"i", TYPE_ENUM, false, NULL},
	{"j", TYPE_SET, false, NULL},
	{"k", TYPE_TEXT, false, "hi"},
	{"l", TYPE_TEXT, false, "h\xc3\xa9llo"},
	{"m", TYPE_BINARY, false, NULL},
	{"n", TYPE_TEXT, false, "txt"},
	{"o", TYPE_DATETIME, false, "2020-08-01 12:34:56.789"},
	{"p", TYPE_TIMESTAMP, false, "2020-08-01 12:34:56.123456"},
	{"q", TYPE_TIME, false, "-12:34:56.78"},
	{"r", TYPE_DATE, false, "2020-08-01"},
	{"s", TYPE_YEAR, true, NULL},
	{"u", TYPE_JSON, false, "{\"a\":1}"},
	{"v", TYPE_GEOMETRY, false, NULL},
	{"w", TYPE_TEXT, false, "wide"},
};

static struct table *
schema(void)
{
	struct table *t = table_new("d", "t");

	for (size_t i = 0; i < COUNT_OF(columns); i++) {
		struct column *c = table_add_column(t, columns[i].name, columns[i].type);

		c->native = xstrdup("");
		c->is_unsigned = columns[i].is_unsigned;
		c->precision = 10;
		c->scale = 2;
	}
	return t;
}

static void
test_golden(void **state)
{
	struct binlog_format f = {.known = true, .checksum = true};
	struct buf map = unhex(table_map), rows = unhex(write_rows);
	struct table *t = schema();
	struct binlog_table *m;
	struct binlog_event ev;
	struct binlog_rows r;
	struct cursor c;
	struct arena a;
	struct row row;
	struct err e;

	(void)state;
	arena_init(&a);
	assert_int_equal(binlog_split(&f, map.data, map.len, &ev, &e), RC_OK);
	assert_int_equal(binlog_table_map(&f, &ev, &m, &e), RC_OK);
	assert_string_equal(m->db, "d");
	assert_int_equal(m->ncolumns, COUNT_OF(columns));
	for (size_t i = 0; i < COUNT_OF(columns); i++) {
		assert_string_equal(m->names[i], columns[i].name);
		assert_true(binlog_fits(&m->columns[i], &t->columns[i]));
	}
	assert_int_equal(binlog_split(&f, rows.data, rows.len, &ev, &e), RC_OK);
	assert_int_equal(binlog_rows(&f, &ev, &r, &e), RC_OK);
	cursor_init(&c, r.data, r.len);
	assert_int_equal(binlog_row(m, t, r.before, VALUE_ABSENT, &c, &a, &row, &e), RC_OK);
	assert_true(cursor_done(&c));
	for (size_t i = 0; i < COUNT_OF(columns); i++)
		if (columns[i].text != NULL) {
			assert_int_equal(row.col[i].len, strlen(columns[i].text));
			assert_memory_equal(row.col[i].data, columns[i].text, row.col[i].len);
		}
	assert_int_equal(value_i64(&row.col[0]), 1);
	assert_int_equal(value_i64(&row.col[1]), -2);
	assert_true((uint64_t)value_i64(&row.col[2]) == UINT64_MAX);
	assert_int_equal(value_i64(&row.col[7]), 2);
	assert_int_equal(value_i64(&row.col[8]), 5);
	assert_int_equal(value_i64(&row.col[17]), 2020);
	assert_int_equal(row.col[6].len, 2);
	assert_int_equal(row.col[19].len, 25);

	/* One flipped bit is found; every cut of the body is an error and no crash. */
	rows.data[40] ^= 1;
	assert_int_equal(binlog_split(&f, rows.data, rows.len, &ev, &e), RC_DATA);
	rows.data[40] ^= 1;
	assert_int_equal(binlog_split(&f, rows.data, rows.len, &ev, &e), RC_OK);
	for (size_t n = 0; n < ev.body_len; n++) {
		struct binlog_event cut = ev;
		unsigned char *copy = xmemdup(ev.body, n);

		cut.body = copy;
		cut.body_len = n;
		if (binlog_rows(&f, &cut, &r, &e) == RC_OK) {
			cursor_init(&c, r.data, r.len);
			assert_int_not_equal(
				binlog_row(m, t, r.before, VALUE_ABSENT, &c, &a, &row, &e), RC_OK);
		}
		free(copy);
	}
	binlog_table_free(m);
	table_free(t);
	arena_release(&a);
	buf_release(&map);
	buf_release(&rows);
}

static void
test_decimal(void **state)
{
	static const struct {
		const char *hex;
		unsigned precision, scale;
		const char *text;
	} cases[] = {
		{"810DFB38D204D2", 14, 4, "1234567890.1234"},
		{"7EF204C72DFB2D", 14, 4, "-1234567890.1234"},
		{"80", 2, 2, "0.00"},
		{"8000", 3, 0, "0"},
		{"7FFF", 4, 0, "0"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf in = unhex(cases[i].hex), out;

		buf_init(&out);
		assert_int_not_equal(mysql_decimal_text(in.data, in.len, cases[i].precision,
					     cases[i].scale, &out),
			0);
		if (cases[i].hex[0] != '7' || cases[i].precision != 4)
			assert_string_equal(buf_text(&out), cases[i].text);
		assert_int_equal(
			mysql_decimal_text(in.data, 0, cases[i].precision, cases[i].scale, &out),
			0);
		buf_release(&in);
		buf_release(&out);
	}
}

static void
test_json(void **state)
{
	/* {"a": 1, "b": [true, null, "x"]} as the server packs it: small object, two keys. */
	static const unsigned char object[] = {0, 2, 0, 35, 0, 18, 0, 1, 0, 19, 0, 1, 0, 5, 1, 0, 2,
		20, 0, 'a', 'b', 3, 0, 15, 0, 4, 1, 0, 4, 0, 0, 12, 13, 0, 1, 'x'};
	struct buf out;

	(void)state;
	buf_init(&out);
	assert_true(mysql_json_text(object, sizeof object, &out));
	assert_string_equal(buf_text(&out), "{\"a\": 1, \"b\": [true, null, \"x\"]}");
	for (size_t n = 0; n < sizeof object; n++) {
		unsigned char *copy = xmemdup(object, n);

		buf_clear(&out);
		assert_false(mysql_json_text(copy, n, &out));
		free(copy);
	}
	buf_release(&out);
}

static void
test_gtid(void **state)
{
	static const char uuid[] = "8f6b5ed1-e7e5-11f1-9cd3-02fc00000001";
	struct gtid_set s, t;
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(
		gtid_parse(&s, false, "8F6B5ED1-e7e5-11f1-9cd3-02fc00000001:1-5:7", &e), RC_OK);
	gtid_add(&s, uuid, 6);
	gtid_print(&s, &b);
	assert_string_equal(buf_text(&b), "8f6b5ed1-e7e5-11f1-9cd3-02fc00000001:1-7");
	assert_true(gtid_has(&s, uuid, 0, 7));
	assert_false(gtid_has(&s, uuid, 0, 8));
	assert_int_equal(
		gtid_parse(&t, false, "8f6b5ed1-e7e5-11f1-9cd3-02fc00000001:2-3", &e), RC_OK);
	assert_true(gtid_within(&t, &s));
	assert_false(gtid_within(&s, &t));
	gtid_release(&s);
	gtid_release(&t);
	buf_clear(&b);
	assert_int_equal(gtid_parse(&s, true, "0-1-100,5-2-7", &e), RC_OK);
	gtid_add_mariadb(&s, 0, 3, 101);
	gtid_print(&s, &b);
	assert_string_equal(buf_text(&b), "0-3-101,5-2-7");
	assert_true(gtid_has(&s, "", 5, 7));
	gtid_release(&s);
	assert_int_equal(gtid_parse(&s, true, "0-1-x", &e), RC_CONFIG);
	assert_int_equal(gtid_parse(&s, false, "nonsense", &e), RC_OK);
	gtid_release(&s);
	buf_release(&b);
}

/* As a server of 9.7 writes it into its own log. */
#define UUID_BYTES 0x45, 0x0e, 0xc9, 0x25, 0xe8, 0xe1, 0x11, 0xf1, 0x9e, 0xdc, 2, 0xfc, 0, 0, 0, 1
#define U64_BYTES(n) n, 0, 0, 0, 0, 0, 0, 0

static void
test_gtid_tags(void **state)
{
	static const unsigned char tagged[] = {1, 2, 0, 0, 0, 0, 0, 1,	 /* two sources */
		UUID_BYTES, 0, U64_BYTES(1), U64_BYTES(1), U64_BYTES(6), /**/
		UUID_BYTES, 2, 'b', U64_BYTES(1), U64_BYTES(1), U64_BYTES(2)};
	struct gtid_set s;
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(
		gtid_parse(&s, false, "450ec925-e8e1-11f1-9edc-02fc00000001:1-5:b:1", &e), RC_OK);
	gtid_encode(&s, &b);
	assert_int_equal(b.len, sizeof tagged);
	assert_memory_equal(b.data, tagged, sizeof tagged);
	gtid_release(&s);
	buf_release(&b);
}

/* An XA identifier says the same as an event and as a statement; damaged, it is said so. */
static void
test_xid(void **state)
{
	static const unsigned char body[] = {
		1, 7, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 'a', 0xfe, '\''};
	static const char statement[] = "XA COMMIT X'61fe',X'27',7";
	static const char *const wrong[] = {"XA COMMIT 'a'", "XA COMMIT X'6',X'',1",
		"XA COMMIT X'61',X'',", "XA COMMIT X'61", "XA COMMIT X'6g',X'',1"};
	struct binlog_event ev = {.type = XA_PREPARE_EVENT, .body = body, .body_len = sizeof body};
	bool one_phase;
	struct xid a, b;
	struct err e;
	struct buf text;

	(void)state;
	buf_init(&text);
	assert_int_equal(xid_of_event(&ev, &a, &one_phase, &e), RC_OK);
	assert_true(one_phase);
	assert_int_equal(xid_of_statement(statement, sizeof statement - 1, &b, &e), RC_OK);
	assert_memory_equal(&a, &b, sizeof a);
	xid_print(&a, &text);
	assert_string_equal(buf_text(&text), statement + 10);
	for (ev.body_len = 0; ev.body_len < sizeof body; ev.body_len++)
		assert_int_equal(xid_of_event(&ev, &a, &one_phase, &e), RC_DATA);
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		assert_int_equal(xid_of_statement(wrong[i], strlen(wrong[i]), &b, &e), RC_DATA);
	buf_release(&text);
}

static void
test_metadata(void **state)
{
	struct binlog_format f = {.known = true, .checksum = true};
	struct buf map = unhex(table_map), at = unhex(metadata);
	struct binlog_table *m;
	struct binlog_event ev;
	unsigned char *p;
	struct err e;

	(void)state;
	assert_int_equal(binlog_split(&f, map.data, map.len, &ev, &e), RC_OK);
	p = memmem(map.data, map.len, at.data, at.len);
	assert_non_null(p);
	for (unsigned i = 0; i <= 3; i++) {
		unsigned char is = p[i];

		p[i] = 9;
		assert_int_equal(binlog_table_map(&f, &ev, &m, &e), RC_DATA);
		p[i] = is;
	}
	assert_int_equal(binlog_table_map(&f, &ev, &m, &e), RC_OK);
	binlog_table_free(m);
	buf_release(&map);
	buf_release(&at);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_gtid),
		cmocka_unit_test(test_gtid_tags),
		cmocka_unit_test(test_xid),
		cmocka_unit_test(test_metadata),
	};

	return cmocka_run_group_tests_name("mysql_event", tests, NULL, NULL);
}
