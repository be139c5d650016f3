/* pgsql_event_test.c - messages of pgoutput, and the texts of values. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/pgsql/describe.h"
#include "workers/reader/pgsql/event.h"
#include "workers/reader/pgsql/note.h"
#include "workers/reader/pgsql/value.h"

#define MESSAGE(s)                                        \
	{                                                 \
		(const unsigned char *)(s), sizeof(s) - 1 \
	}

struct message {
	const unsigned char *p;
	size_t n;
};

static const struct message begin = MESSAGE("B\0\0\0\1\0\0\0\x10\0\0\0\0\0\0\0\5\0\0\2\xf1"),
			    commit = MESSAGE(
				    "C\0\0\0\0\1\0\0\0\x10\0\0\0\1\0\0\0\x40\0\0\0\0\0\0\0\6"),
			    relation = MESSAGE(
				    "R\0\0\x40\1shop\0t\0d\0\2\1id\0\0\0\0\x17\xff\xff\xff\xff"
				    "\0v\0\0\0\0\x19\xff\xff\xff\xff"),
			    insert = MESSAGE("I\0\0\x40\1N\0\2t\0\0\0\1"
					     "7n"),
			    update = MESSAGE("U\0\0\x40\1K\0\2t\0\0\0\1"
					     "7nN\0\2t\0\0\0\1"
					     "8u"),
			    plain = MESSAGE("U\0\0\x40\1N\0\2t\0\0\0\1"
					    "7t\0\0\0\0"),
			    delete = MESSAGE("D\0\0\x40\1O\0\2t\0\0\0\1"
					     "7t\0\0\0\2ab"),
			    truncated = MESSAGE("T\0\0\0\2\0\0\0\x40\1\0\0\x40\2");

static enum rc
decode(const struct message *m, size_t n, struct arena *a, struct pgout_event *ev)
{
	struct err e;
	unsigned char *copy = malloc(n + 1); /* at its end a sanitizer stands guard */
	enum rc rc;

	memcpy(copy, m->p, n);
	rc = pgout_decode(arena_dup(a, copy, n), n, a, ev, &e);
	free(copy);
	return rc;
}

static void
messages_are_read(void **state)
{
	struct pgout_event ev;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(decode(&begin, begin.n, &a, &ev), RC_OK);
	assert_int_equal(ev.kind, PGOUT_BEGIN);
	assert_int_equal(ev.lsn, 0x100000010);
	assert_int_equal(ev.time, 5);
	assert_int_equal(ev.xid, 753);
	assert_int_equal(decode(&commit, commit.n, &a, &ev), RC_OK);
	assert_int_equal(ev.kind, PGOUT_COMMIT);
	assert_int_equal(ev.lsn, 0x100000040);
	assert_int_equal(decode(&relation, relation.n, &a, &ev), RC_OK);
	assert_string_equal(ev.relation.schema, "shop");
	assert_string_equal(ev.relation.name, "t");
	assert_int_equal(ev.relation.identity, 'd');
	assert_int_equal(ev.relation.ncolumns, 2);
	assert_true(ev.relation.columns[0].key);
	assert_false(ev.relation.columns[1].key);
	assert_string_equal(ev.relation.columns[1].name, "v");
	assert_int_equal(ev.relation.columns[1].type, 25);
	assert_int_equal(ev.relation.columns[1].modifier, -1);
	assert_int_equal(decode(&insert, insert.n, &a, &ev), RC_OK);
	assert_int_equal(ev.oid, 0x4001);
	assert_int_equal(ev.after.n, 2);
	assert_int_equal(ev.after.values[0].kind, PGOUT_TEXT);
	assert_memory_equal(ev.after.values[0].text, "7", 1);
	assert_int_equal(ev.after.values[1].kind, PGOUT_NULL);
	assert_int_equal(decode(&update, update.n, &a, &ev), RC_OK);
	assert_int_equal(ev.old, PGOUT_OLD_KEY);
	assert_int_equal(ev.after.values[1].kind, PGOUT_UNCHANGED);
	assert_int_equal(decode(&plain, plain.n, &a, &ev), RC_OK);
	assert_int_equal(ev.old, PGOUT_OLD_NONE);
	assert_int_equal(ev.after.values[1].len, 0);
	assert_int_equal(decode(&delete, delete.n, &a, &ev), RC_OK);
	assert_int_equal(ev.old, PGOUT_OLD_ROW);
	assert_int_equal(decode(&truncated, truncated.n, &a, &ev), RC_OK);
	assert_int_equal(ev.noids, 2);
	assert_int_equal(ev.oids[1], 0x4002);
	arena_release(&a);
}

/* No prefix of a message is a message, and none is read beyond its end. */
static void
prefixes_are_refused(void **state)
{
	const struct message *const all[] = {
		&begin, &commit, &relation, &insert, &update, &plain, &delete, &truncated};
	struct pgout_event ev;
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		for (size_t n = 0; n < all[i]->n; n++)
			assert_int_equal(decode(all[i], n, &a, &ev), RC_DATA);
	arena_release(&a);
}

/* ---- lines of test_decoding ---- */

static enum rc
decode_line(const char *text, struct arena *a, struct pgout_event *ev)
{
	struct err e;

	return pgtext_decode(text, strlen(text), 77, a, ev, &e);
}

static void
is_text(const struct pgout_value *v, const char *text)
{
	assert_int_equal(v->kind, PGOUT_TEXT);
	assert_int_equal(v->len, strlen(text));
	assert_memory_equal(v->text, text, v->len);
}

static void
lines_are_read(void **state)
{
	struct pgout_event ev;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(decode_line("BEGIN 693", &a, &ev), RC_OK);
	assert_int_equal(ev.kind, PGOUT_BEGIN);
	assert_int_equal(ev.xid, 693);
	assert_int_equal(decode_line("COMMIT 693 (at 2000-01-02 00:00:01.5+00)", &a, &ev), RC_OK);
	assert_int_equal(ev.kind, PGOUT_COMMIT);
	assert_int_equal(ev.lsn, 77);
	assert_int_equal(ev.time, 86401500000);
	assert_int_equal(
		decode_line("table \"a.b\".\"c\"\"d: \": INSERT: id[integer]:-1 "
			    "\"x [\"[integer[]]:'{1,2}' t[\"my]:type\"]:'it''s: b[text]:1' "
			    "n[numeric]:null b[boolean]:true v[bit varying]:B'01'",
			&a, &ev),
		RC_OK);
	assert_int_equal(ev.kind, PGOUT_INSERT);
	assert_string_equal(ev.relation.schema, "a.b");
	assert_string_equal(ev.relation.name, "c\"d: ");
	assert_int_equal(ev.relation.ncolumns, 6);
	assert_string_equal(ev.relation.columns[1].name, "x [");
	assert_string_equal(ev.relation.columns[1].native, "integer[]");
	assert_string_equal(ev.relation.columns[2].native, "\"my]:type\"");
	is_text(&ev.after.values[0], "-1");
	is_text(&ev.after.values[1], "{1,2}");
	is_text(&ev.after.values[2], "it's: b[text]:1");
	assert_int_equal(ev.after.values[3].kind, PGOUT_NULL);
	is_text(&ev.after.values[4], "t");
	is_text(&ev.after.values[5], "01");
	assert_int_equal(
		decode_line("table s.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 "
			    "v[text]:unchanged-toast-datum",
			&a, &ev),
		RC_OK);
	assert_int_equal(ev.old, PGOUT_OLD_ROW);
	is_text(&ev.before.values[0], "1");
	assert_int_equal(ev.before.values[1].kind, PGOUT_ABSENT);
	is_text(&ev.after.values[0], "2");
	assert_int_equal(ev.after.values[1].kind, PGOUT_UNCHANGED);
	assert_int_equal(decode_line("table s.t: DELETE: (no-tuple-data)", &a, &ev), RC_OK);
	assert_int_equal(ev.before.n, 0);
	assert_int_equal(decode_line("table s.t: INSERT: v[text]:'a", &a, &ev), RC_DATA);
	assert_int_equal(decode_line("table s.t: UPSERT: v[text]:'a'", &a, &ev), RC_DATA);
	assert_int_equal(decode_line("table s.t: INSERT: v[text:'a'", &a, &ev), RC_DATA);
	assert_int_equal(decode_line("BEGIN x", &a, &ev), RC_DATA);
	arena_release(&a);
}

/* ---- notes ---- */

static const char noted[] =
	"D\tshop\told\n"
	"C\tshop\tnew\\ttab\ttrue\n"
	"c\tshop\tnew\\ttab\tid\tinteger\tint4\t-1\ttrue\t\t\ttrue\tfalse\t1\n"
	"c\tshop\tnew\\ttab\tv\tcharacter varying(9)\tvarchar\t13\tfalse\t\t\ttrue\tfalse\t3\n"
	"i\tshop\tnew\\ttab\tk\ttrue\ttrue\tfalse\t1\tid\t\\N\n"
	"i\tshop\tnew\\ttab\tu\tfalse\ttrue\tfalse\t1\tv\ttrue\n"
	"f\tshop\tnew\\ttab\tto_p\tid\tshop\tp\tid\t1\tc\ta\t ON DELETE CASCADE\n"
	"n\tv\t\\N\ttrue\n";

static const char said[] = "S\tshop\t\tcrm\ttrue\tDROP VIEW a\\nb\n"
			   "T\tshop\ta\tshop\tf\tDROP TRIGGER t ON shop.a\n"
			   "P\tshop\ta\tsyncline_x\n"
			   "G\tshop\ta\n"
			   "C\tshop\tb\tf\nw\tCREATE TABLE shop.b ()\n";

static void
notes_are_read(void **state)
{
	struct note n;
	struct err e;

	(void)state;
	assert_int_equal(note_parse(noted, sizeof noted - 1, &n, &e), RC_OK);
	assert_int_equal(n.n, 2);
	assert_int_equal(n.changes[0].kind, NOTE_DROPPED);
	assert_null(n.changes[0].table);
	assert_int_equal(n.changes[1].kind, NOTE_CREATED);
	assert_true(n.changes[1].again);
	assert_string_equal(n.changes[1].table->name, "new\ttab");
	assert_int_equal(n.changes[1].table->ncolumns, 2);
	assert_int_equal(n.changes[1].table->columns[1].length, 9);
	assert_int_equal(n.changes[1].table->columns[1].number, 3);
	assert_non_null(table_key(n.changes[1].table));
	assert_int_equal(n.changes[1].table->nindexes, 2);
	assert_int_equal(n.changes[1].table->indexes[1].deferral, DEFERRAL_BEGINS);
	assert_int_equal(n.changes[1].table->nfks, 1);
	assert_int_equal(n.changes[1].table->fks[0].on_delete, FK_CASCADE);
	assert_string_equal(n.changes[1].table->fks[0].clause, " ON DELETE CASCADE");
	assert_int_equal(n.changes[1].nfills, 1);
	assert_true(n.changes[1].fills[0].computed);
	assert_null(n.changes[1].fills[0].fill);
	note_release(&n);
	/* Whole lines or nothing; an unknown one, one with too few fields. */
	for (size_t len = 1; len < sizeof noted - 1; len++)
		if (noted[len - 1] != '\n') {
			assert_int_equal(note_parse(noted, len, &n, &e), RC_DATA);
			note_release(&n);
		}
	assert_int_equal(note_parse(said, sizeof said - 1, &n, &e), RC_OK);
	assert_int_equal(n.n, 5);
	assert_int_equal(n.changes[0].kind, NOTE_SAID);
	assert_string_equal(n.changes[0].to_db, "crm");
	assert_true(n.changes[0].ahead);
	assert_string_equal(n.changes[0].sql, "DROP VIEW a\nb");
	assert_int_equal(n.changes[1].kind, NOTE_TRIGGER);
	assert_string_equal(n.changes[1].name, "a");
	assert_false(n.changes[1].ahead);
	assert_int_equal(n.changes[2].kind, NOTE_UNPUBLISHED);
	assert_string_equal(n.changes[2].publication, "syncline_x");
	assert_int_equal(n.changes[3].kind, NOTE_GONE);
	assert_string_equal(n.changes[3].table->name, "a");
	assert_string_equal(n.changes[4].sql, "CREATE TABLE shop.b ()");
	note_release(&n);
	assert_int_equal(note_parse("X\ta\tb\n", 6, &n, &e), RC_DATA);
	note_release(&n);
	assert_int_equal(note_parse("c\ta\tb\n", 6, &n, &e), RC_DATA);
	note_release(&n);
}

static const struct {
	const char *type;
	int32_t modifier;
	const char *text;
	const char *bytes;
	uint32_t n;
} values[] = {
	{"int4", -1, "-2", "\xfe\xff\xff\xff\xff\xff\xff\xff", 8},
	{"oid", -1, "4294967295", "\xff\xff\xff\xff\0\0\0\0", 8},
	{"bool", -1, "t", "\1\0\0\0\0\0\0\0", 8},
	{"float4", -1, "0.5", "\0\0\0\x3f", 4},
	{"float8", -1, "-Infinity", "\0\0\0\0\0\0\xf0\xff", 8},
	{"numeric", 4 + (10 << 16) + 2, "1.50", "1.50", 4},
	{"numeric", -1, "1E+3", "1E+3", 4},
	{"timestamp", 3, "2020-01-01 00:00:00.5", "2020-01-01 00:00:00.500", 23},
	{"timestamp", 0, "2020-01-01 00:00:00", "2020-01-01 00:00:00", 19},
	{"timestamptz", -1, "0044-03-15 10:00:00+00 BC", "0044-03-15 10:00:00.000000 BC", 29},
	{"timestamptz", -1, "infinity", "infinity", 8},
	{"time", -1, "23:59:59.25", "23:59:59.250000", 15},
	{"bytea", -1, "\\x00ff", "\0\xff", 2},
	{"bytea", -1, "\\x", "", 0},
	{"bit", 11, "10000000001", "\4\1", 2},
	{"text", -1, "", "", 0},
};

static void
values_are_canonical(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		struct table *t = table_new("d", "t");
		struct column *c = table_add_column(t, "c", TYPE_TEXT);
		struct value v;

		pgsql_column_type(c, values[i].type, values[i].modifier);
		pgsource_value(c, values[i].text, (uint32_t)strlen(values[i].text), &a, &v);
		assert_int_equal(v.kind, VALUE_BYTES);
		assert_int_equal(v.len, values[i].n);
		assert_memory_equal(v.data, values[i].bytes, values[i].n);
		table_free(t);
	}
	arena_release(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_read),
		cmocka_unit_test(prefixes_are_refused),
		cmocka_unit_test(lines_are_read),
		cmocka_unit_test(notes_are_read),
		cmocka_unit_test(values_are_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
