/*
 * event.h - the messages of pgoutput, protocol version 1, decoded; and the lines of
 * test_decoding, for servers that have no pgoutput (9.4 to 9.6).
 *
 * Pure: bytes in, structs out, every length checked (RC_DATA). Texts and values
 * are borrowed from the message's bytes; columns of a relation and of a tuple
 * come from the caller's arena.
 */
#ifndef WORKERS_READER_PGSQL_EVENT_H
#define WORKERS_READER_PGSQL_EVENT_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

enum pgout_kind {
	PGOUT_BEGIN,
	PGOUT_COMMIT,
	PGOUT_RELATION,
	PGOUT_INSERT,
	PGOUT_UPDATE,
	PGOUT_DELETE,
	PGOUT_TRUNCATE,
	PGOUT_OTHER /* origins, types, logical messages */
};

struct pgout_column {
	bool key; /* of the replica identity */
	const char *name;
	uint32_t type; /* 0: by its name alone */
	int32_t modifier;
	const char *native; /* the type's name, without modifiers; NULL: by its number */
};

struct pgout_relation {
	uint32_t oid;
	const char *schema;
	const char *name;
	char identity; /* d, n, f, i */
	struct pgout_column *columns;
	uint32_t ncolumns;
};

/* ABSENT: a line does not tell NULL from what it leaves out. */
enum pgout_value_kind { PGOUT_NULL, PGOUT_UNCHANGED, PGOUT_TEXT, PGOUT_ABSENT };

struct pgout_value {
	enum pgout_value_kind kind;
	const char *text; /* not terminated */
	uint32_t len;
};

struct pgout_tuple {
	struct pgout_value *values;
	uint32_t n;
};

/* What an UPDATE or DELETE has of the row before. */
enum pgout_old { PGOUT_OLD_NONE, PGOUT_OLD_KEY, PGOUT_OLD_ROW };

struct pgout_event {
	enum pgout_kind kind;
	uint64_t lsn; /* BEGIN: of the commit record (of a line: of the first change); COMMIT:
			 behind it */
	int64_t time; /* BEGIN, COMMIT: microseconds since 2000 */
	uint32_t xid; /* BEGIN */
	uint32_t oid; /* rows */
	enum pgout_old old;
	struct pgout_tuple before, after;
	struct pgout_relation relation;
	uint32_t *oids; /* TRUNCATE */
	uint32_t noids;
};

enum rc pgout_decode(const unsigned char *p, size_t n, struct arena *a, struct pgout_event *out,
	struct err *e) MUSTCHECK;

/*
 * The same for a line of test_decoding that came with this LSN. Rows have no
 * oid: their relation is in the event, with the columns that the line has.
 */
enum rc pgtext_decode(const char *p, size_t n, uint64_t lsn, struct arena *a,
	struct pgout_event *out, struct err *e) MUSTCHECK;

#endif
