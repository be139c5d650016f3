/*
 * samples.h - one event of each kind with every field set, for tests, fuzz
 * seeds and figures. Rows lie in the arena, all else is static.
 */
#ifndef T_LIB_SAMPLES_H
#define T_LIB_SAMPLES_H

#include "common/compat.h"

#include "common/event.h"
#include "common/mem.h"

/* A row with each kind of value, among them an empty one. */
static inline struct row
sample_row(struct arena *a)
{
	static const struct value values[] = {
		{.kind = VALUE_BYTES, .len = 8, .data = (const unsigned char *)"\1\0\0\0\0\0\0\0"},
		{.kind = VALUE_NULL},
		{.kind = VALUE_ABSENT},
		{.kind = VALUE_UNCHANGED},
		{.kind = VALUE_BYTES, .len = 0, .data = (const unsigned char *)""},
		{.kind = VALUE_BYTES, .len = 5, .data = (const unsigned char *)"a\0b\377c"},
	};

	return (struct row){.col = arena_dup(a, values, sizeof values), .ncols = COUNT_OF(values)};
}

static inline struct event_ddl
sample_ddl(void)
{
	static const struct column_change columns[] = {
		{.from = "a", .to = "b"},
		{.from = "", .to = "c", .fill = "0"},
		{.from = "", .to = "d", .fill = NULL, .computed = true},
	};

	static const struct table_change changes[] = {
		{.effect = DDL_CHANGED,
			.db = "shop",
			.name = "t",
			.to_db = "",
			.to_name = "",
			.before = (const unsigned char *)"be\0fore",
			.before_len = 7,
			.after = (const unsigned char *)"",
			.columns = columns,
			.ncolumns = COUNT_OF(columns)},
		{.effect = DDL_RENAMED,
			.db = "shop",
			.name = "u",
			.to_db = "shop",
			.to_name = "v",
			.before = (const unsigned char *)"",
			.after = (const unsigned char *)"after",
			.after_len = 5},
	};

	static const struct ddl_said said[] = {
		{.db = "", .sql = "DROP VIEW v", .ahead = true},
		{.db = "shop", .sql = "CREATE VIEW v AS SELECT 1"},
	};

	return (struct event_ddl){.db = "shop",
		.sql = "ALTER TABLE t ADD c INT",
		.session = "sql_mode=''",
		.session_charset = "utf8mb4",
		.changes = changes,
		.nchanges = COUNT_OF(changes),
		.said = said,
		.nsaid = COUNT_OF(said)};
}

static inline struct event_commit
sample_commit(void)
{
	return (struct event_commit){.at = {.file = 3, .offset = 4711},
		.order = 0x000fedcba9876543,
		.incarnation = 2,
		.time_us = 1600000000000001,
		.read_us = 1600000000000002,
		.txid = "3E11FA47-71CA-11E1-9E33-C80AA9429562:23",
		.origin = "",
		.applied = "binlog.000003:4711",
		.resume = "binlog.000003:4"};
}

static inline struct event_chunk
sample_chunk(void)
{
	return (struct event_chunk){.table = 9,
		.number = 2,
		.ring = 1,
		.last = true,
		.lo = (const unsigned char *)"\0lo",
		.lo_len = 3,
		.hi = (const unsigned char *)"",
		.hi_len = 0,
		.rows = 20000};
}

static inline struct event
sample_event(enum event_kind kind, struct arena *a)
{
	struct event ev = {.kind = kind};

	switch (kind) {
	case EVENT_SCHEMA:
		ev.schema = (struct event_schema){
			.number = 9, .table = (const unsigned char *)"table\0bytes", .len = 11};
		break;
	case EVENT_INSERT:
		ev.row = (struct event_row){.table = 9, .after = sample_row(a)};
		break;
	case EVENT_UPDATE:
		ev.row = (struct event_row){
			.table = 9, .before = sample_row(a), .after = sample_row(a)};
		break;
	case EVENT_DELETE:
		ev.row = (struct event_row){.table = 9, .before = sample_row(a)};
		break;
	case EVENT_DDL:
		ev.ddl = sample_ddl();
		break;
	case EVENT_COMMIT:
	case EVENT_START:
	case EVENT_HEARTBEAT:
		ev.commit = sample_commit();
		break;
	case EVENT_OBJECT:
		ev.object = (struct event_object){.kind = OBJECT_VIEW,
			.table = 0,
			.db = "shop",
			.name = "v",
			.ddl = sample_ddl()};
		break;
	case EVENT_TABLE:
		ev.table = (struct event_table){.table = 9,
			.state = TABLE_LOADING,
			.schema = (const unsigned char *)"whole\0schema",
			.schema_len = 12};
		break;
	case EVENT_CHUNK:
	case EVENT_CHUNK_ROWS:
	case EVENT_CHUNK_END:
		ev.chunk = sample_chunk();
		break;
	case EVENT_BEGIN:
	case EVENT_COUNT:
	default:
		break;
	}
	return ev;
}

#endif
