/*
 * event.h - what flows from a reader to a writer.
 *
 * The stream ring carries transactions in the order of the source's log:
 *
 *     SCHEMA*  (BEGIN (INSERT|UPDATE|DELETE)* COMMIT
 *             | BEGIN DDL COMMIT
 *             | OBJECT | TABLE | CHUNK | START | HEARTBEAT)*
 *
 * and each load ring carries chunks: (CHUNK_ROWS INSERT* CHUNK_END)*; their table
 * numbers are those of the stream ring.
 *
 * Everything an event points to is borrowed: from the sender until emit
 * returns, from the ring until the frame is released.
 */
#ifndef COMMON_EVENT_H
#define COMMON_EVENT_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/schema.h"
#include "common/value.h"

/*	symbol	name	what it says */
#define EVENT_LIST(X)                                                                        \
	X(SCHEMA, "schema", "table number N looks like this from here on")                   \
	X(BEGIN, "begin", "a transaction starts")                                            \
	X(INSERT, "insert", "a row appeared: after")                                         \
	X(UPDATE, "update", "a row changed: before, after")                                  \
	X(DELETE, "delete", "a row went: before")                                            \
	X(DDL, "ddl", "a statement changed schema; alone in its transaction")                \
	X(COMMIT, "commit", "the transaction is whole; its positions")                       \
	X(START, "start", "a new channel: its first position; nothing is in the target yet") \
	X(OBJECT, "object", "initial schema: create this object")                            \
	X(TABLE, "table", "a table's state changes here")                                    \
	X(CHUNK, "chunk", "the place of a chunk: its rows come through a load ring")         \
	X(CHUNK_ROWS, "chunk_rows", "load ring: the rows of a chunk follow")                 \
	X(CHUNK_END, "chunk_end", "load ring: they were this many")                          \
	X(HEARTBEAT, "heartbeat", "nothing happened up to this position")

enum event_kind {
#define X(symbol, name, text) EVENT_##symbol,
	EVENT_LIST(X)
#undef X
		EVENT_COUNT
};

const char *event_name(enum event_kind kind);

/* A place in a source's log that can be compared: MySQL file number and offset, PostgreSQL 0 and
 * LSN. */
struct logpos {
	uint64_t file;
	uint64_t offset;
};

int logpos_cmp(struct logpos a, struct logpos b);

struct event_schema {
	uint32_t number; /* rises; a changed table gets a new one; never reused within a run */
	const unsigned char *table; /* table_encode's bytes */
	uint32_t len;
};

struct event_row {
	uint32_t table;	   /* number of a SCHEMA sent before on the same ring */
	struct row before; /* of UPDATE and DELETE; else ncols 0 */
	struct row after;  /* of INSERT and UPDATE */
	bool fk_off; /* neither checks nor cascades of foreign keys: so it was done at the source,
			or what they did is in the log */
};

/* A transaction that is older than this when it passes: its channel is behind, and gathers some
 * before it goes on, since a delay of milliseconds is none then. */
#define BEHIND_US 1000000u

/*
 * What of a transaction outlives the process. Positions are the source's own
 * printable text, opaque to all others; resume <= applied, it stays at the
 * oldest prepared XA or two-phase transaction.
 */
struct event_commit {
	struct logpos at;     /* end of the transaction */
	uint64_t order;	      /* 52 bits: file number in 20, offset of its first event in 32 */
	uint32_t incarnation; /* 11 bits; raised when the source is another one */
	uint64_t time_us;     /* commit time at the source, microseconds since 1970 UTC; of whole
				 seconds: the latest it can have been */
	uint64_t read_us;     /* when the reader had it, our clock */
	const char *txid;     /* GTID or the like; "" if it has none */
	const char *origin;   /* who wrote it first (two-way); "" */
	const char *applied;
	const char *resume;
};

/*	symbol	name */
#define DDL_EFFECT_LIST(X)        \
	X(CREATED, "created")     \
	X(CHANGED, "changed")     \
	X(TRUNCATED, "truncated") \
	X(DROPPED, "dropped")     \
	X(RENAMED, "renamed")

enum ddl_effect {
#define X(symbol, name) DDL_##symbol,
	DDL_EFFECT_LIST(X)
#undef X
		DDL_EFFECT_COUNT
};

/* A column that the columns before and after do not explain by their names. */
struct column_change {
	const char *from; /* its name before; "" : the column is new */
	const char *to;	  /* its name afterwards */
	const char *fill; /* of a new one: what older rows have, as text; NULL: NULL */
	bool computed;	  /* each of them has a value of its own, which is nowhere in the log */
};

/* What a statement did to one table. Tables are table_encode's bytes of the carried columns. */
struct table_change {
	enum ddl_effect effect;
	const char *db;
	const char *name;
	const char *to_db; /* of RENAMED; else "" */
	const char *to_name;
	const unsigned char *before; /* empty: not known */
	uint32_t before_len;
	const unsigned char *after; /* of CREATED and CHANGED; empty: not known */
	uint32_t after_len;
	const struct column_change *columns;
	uint32_t ncolumns;
};

/* What the statement did to the column of that name after it; NULL: nothing. */
const struct column_change *column_change_to(const struct table_change *ch, const char *column);
/* The column of `before` that it was; UINT32_MAX: it is new. */
uint32_t column_was(const struct table_change *ch, const struct table *before, const char *column);

/* What a target of the source's own kind says beside the changes, with them: mostly of what is no
 * table. */
struct ddl_said {
	const char *db; /* to which it belongs afterwards */
	const char *sql;
	bool ahead; /* of the changes, as far as they do not stand in its way; else behind them */
};

/*
 * A statement to run at the target as it ran at the source (mapped by the
 * writer), where both speak one language; for all others what it did to the
 * tables that are carried.
 */
struct event_ddl {
	const char *db;	     /* default database, "" if none */
	const char *sql;     /* "" : there is no text, only changes */
	const char *session; /* assignments for SET SESSION, as the source had them; may be "" */
	const char *session_charset; /* the character set that sql is written in */
	const struct table_change *changes;
	uint32_t nchanges;
	const struct ddl_said *said;
	uint32_t nsaid;
};

/*	symbol	name */
#define OBJECT_LIST(X)            \
	X(DATABASE, "database")   \
	X(TABLE, "table")         \
	X(VIEW, "view")           \
	X(FUNCTION, "function")   \
	X(PROCEDURE, "procedure") \
	X(TRIGGER, "trigger")     \
	X(EXTENSION, "extension") \
	X(TYPE, "type")           \
	X(SEQUENCE, "sequence")

enum object_kind {
#define X(symbol, name) OBJECT_##symbol,
	OBJECT_LIST(X)
#undef X
		OBJECT_COUNT
};

const char *object_name(enum object_kind kind);

struct event_object {
	enum object_kind kind;
	uint32_t table; /* SCHEMA number, for OBJECT_TABLE */
	const char *db;
	const char *name;
	struct event_ddl ddl; /* the source's own CREATE statement */
};

/*
 * A table's own state within its channel; kept in the target beside its chunks.
 * QUARANTINED: its log cannot be followed, the target keeps what it has.
 * RELOAD: what the target has goes, it is made anew and loads from the start.
 */
#define TABLE_STATE_LIST(X)           \
	X(WAITING, "waiting")         \
	X(SCHEMA, "schema")           \
	X(LOADING, "loading")         \
	X(STREAMING, "streaming")     \
	X(QUARANTINED, "quarantined") \
	X(RELOAD, "reload")           \
	X(REMOVED, "removed")

enum table_state {
#define X(symbol, name) TABLE_##symbol,
	TABLE_STATE_LIST(X)
#undef X
		TABLE_STATE_COUNT
};

const char *table_state_name(enum table_state s);
/* TABLE_STATE_COUNT for an unknown name. */
enum table_state table_state_by_name(const char *name);
/* Whether what was loaded of the table is kept with this state; else its chunks go with it. */
bool table_state_has_chunks(enum table_state s);

/* schema: table_encode's bytes of all the source's columns, for the target to keep and hand back.
 */
struct event_table {
	uint32_t table;
	enum table_state state;
	const unsigned char *schema;
	uint32_t schema_len;
};

/*
 * A chunk is a transaction of inserts at this place. Its bounds are key values
 * (lo exclusive, hi inclusive) as the source encodes them, opaque to the
 * writer, kept in the chunk record so that a resumed load knows what is done.
 */
struct event_chunk {
	uint32_t table;
	uint32_t number;	 /* within the table, from 0 */
	uint32_t ring;		 /* load ring that carries the rows */
	bool last;		 /* no key lies above it */
	const unsigned char *lo; /* empty: from the beginning */
	uint32_t lo_len;
	const unsigned char *hi; /* empty: to the end */
	uint32_t hi_len;
	uint64_t rows; /* CHUNK_END: how many came; CHUNK: an estimate */
};

struct event {
	enum event_kind kind;
	union {
		struct event_schema schema;
		struct event_row row;
		struct event_commit commit; /* COMMIT, START, HEARTBEAT */
		struct event_ddl ddl;
		struct event_object object;
		struct event_table table;
		struct event_chunk chunk; /* CHUNK, CHUNK_ROWS, CHUNK_END */
	};
};

#endif
