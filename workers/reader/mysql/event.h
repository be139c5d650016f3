/*
 * event.h - events of a MySQL or MariaDB binary log, from bytes.
 *
 * Pure; every length is checked. Sources: MySQL internals (log_event.h,
 * binlog_event.h of libbinlogevents), MariaDB knowledge base "binary log
 * event types". What points into an event is valid as long as its bytes.
 */
#ifndef WORKERS_READER_MYSQL_EVENT_H
#define WORKERS_READER_MYSQL_EVENT_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

/* Type codes, as the server's headers name them. */
enum binlog_type {
	QUERY_EVENT = 2,
	STOP_EVENT = 3,
	ROTATE_EVENT = 4,
	FORMAT_DESCRIPTION_EVENT = 15,
	XID_EVENT = 16,
	TABLE_MAP_EVENT = 19,
	WRITE_ROWS_EVENT_V1 = 23,
	UPDATE_ROWS_EVENT_V1 = 24,
	DELETE_ROWS_EVENT_V1 = 25,
	INCIDENT_EVENT = 26,
	HEARTBEAT_EVENT = 27,
	IGNORABLE_EVENT = 28,
	ROWS_QUERY_EVENT = 29,
	WRITE_ROWS_EVENT = 30,
	UPDATE_ROWS_EVENT = 31,
	DELETE_ROWS_EVENT = 32,
	GTID_EVENT = 33,
	ANONYMOUS_GTID_EVENT = 34,
	PREVIOUS_GTIDS_EVENT = 35,
	TRANSACTION_CONTEXT_EVENT = 36,
	VIEW_CHANGE_EVENT = 37,
	XA_PREPARE_EVENT = 38,
	PARTIAL_UPDATE_ROWS_EVENT = 39,
	TRANSACTION_PAYLOAD_EVENT = 40,
	HEARTBEAT_EVENT_V2 = 41,
	GTID_TAGGED_EVENT = 42,
	MARIADB_ANNOTATE_ROWS_EVENT = 160,
	MARIADB_CHECKPOINT_EVENT = 161,
	MARIADB_GTID_EVENT = 162,
	MARIADB_GTID_LIST_EVENT = 163,
	MARIADB_START_ENCRYPTION_EVENT = 164,
	MARIADB_QUERY_COMPRESSED_EVENT = 165,
	MARIADB_WRITE_ROWS_COMPRESSED_V1 = 166,
	MARIADB_UPDATE_ROWS_COMPRESSED_V1 = 167,
	MARIADB_DELETE_ROWS_COMPRESSED_V1 = 168,
	MARIADB_WRITE_ROWS_COMPRESSED = 169,
	MARIADB_UPDATE_ROWS_COMPRESSED = 170,
	MARIADB_DELETE_ROWS_COMPRESSED = 171
};

#define BINLOG_HEADER 19u
#define BINLOG_ARTIFICIAL 0x20u
#define BINLOG_IGNORABLE 0x80u

struct binlog_event {
	uint32_t time;
	uint8_t type;
	uint32_t server_id;
	uint32_t len;
	uint32_t next_pos;
	uint16_t flags;
	const unsigned char *body; /* without header and checksum */
	size_t body_len;
};

/* What the format description says about the events behind it. */
struct binlog_format {
	bool known;
	bool checksum;
	uint8_t header_len;
	uint8_t post_len[256];
	unsigned ntypes;
	char server[51];
};

/* Splits one event; checks its CRC32 where the format has one. */
enum rc binlog_split(const struct binlog_format *f, const unsigned char *p, size_t n,
	struct binlog_event *ev, struct err *e) MUSTCHECK;
enum rc binlog_format(
	const struct binlog_event *ev, struct binlog_format *f, struct err *e) MUSTCHECK;
/* ROTATE: where the log goes on. The name is copied, at most 511 bytes. */
enum rc binlog_rotate(
	const struct binlog_event *ev, uint64_t *pos, char name[512], struct err *e) MUSTCHECK;

struct binlog_query {
	const char *db; /* terminated */
	const char *sql;
	size_t len;
	uint32_t thread;
	uint32_t time;	 /* when it ran, with the microseconds below */
	uint32_t flags2; /* 0x4000000 NO_FOREIGN_KEY_CHECKS, 0x8000000 RELAXED_UNIQUE_CHECKS */
	uint64_t sql_mode;
	uint16_t client_collation, connection_collation, server_collation;
	uint16_t utf8mb4_collation; /* the session's default of that set; 0: the server's */
	char time_zone[64];
	uint32_t microseconds;
	unsigned char *inflated; /* of a compressed one: the caller's to free */
};
enum rc binlog_query(
	const struct binlog_event *ev, struct binlog_query *q, struct err *e) MUSTCHECK;

struct binlog_gtid {
	bool mariadb;
	bool anonymous;
	char sid[80]; /* MySQL */
	uint64_t number;
	uint32_t domain; /* MariaDB */
	uint32_t server;
	bool standalone; /* MariaDB: no COMMIT follows */
	bool xa_prepared, xa_completed;
	uint64_t commit_us; /* MySQL 8: original commit time; else 0 */
};
enum rc binlog_gtid(const struct binlog_event *ev, struct binlog_gtid *g, struct err *e) MUSTCHECK;

typedef enum rc (*binlog_event_cb)(void *arg, const struct binlog_event *ev, struct err *e);

/* MySQL's TRANSACTION_PAYLOAD: calls back for each event inside; their next_pos is 0. */
enum rc binlog_payload(
	const struct binlog_event *ev, binlog_event_cb cb, void *arg, struct err *e) MUSTCHECK;

/* MySQL internals: enum_field_types, as a TABLE_MAP has them. */
enum field_type {
	T_DECIMAL = 0,
	T_TINY = 1,
	T_SHORT = 2,
	T_LONG = 3,
	T_FLOAT = 4,
	T_DOUBLE = 5,
	T_NULL = 6,
	T_TIMESTAMP = 7,
	T_LONGLONG = 8,
	T_INT24 = 9,
	T_DATE = 10,
	T_TIME = 11,
	T_DATETIME = 12,
	T_YEAR = 13,
	T_NEWDATE = 14,
	T_VARCHAR = 15,
	T_BIT = 16,
	T_TIMESTAMP2 = 17,
	T_DATETIME2 = 18,
	T_TIME2 = 19,
	T_COMPRESSED_BLOB = 140,
	T_COMPRESSED_VARCHAR = 141,
	T_VECTOR = 242,
	T_JSON = 245,
	T_NEWDECIMAL = 246,
	T_ENUM = 247,
	T_SET = 248,
	T_BLOB = 252,
	T_VAR_STRING = 253,
	T_STRING = 254,
	T_GEOMETRY = 255
};

/* A column as TABLE_MAP has it; ENUM, SET and CHAR told apart. */
struct binlog_column {
	uint8_t type; /* enum field_type */
	uint16_t meta;
};

struct binlog_table {
	uint64_t id;
	char *db;
	char *name;
	uint32_t ncolumns;
	struct binlog_column *columns;
	char **names;		    /* with FULL metadata; else NULL */
	unsigned char *is_unsigned; /* 1 byte a column; NULL: not said */
};

enum rc binlog_table_map(const struct binlog_format *f, const struct binlog_event *ev,
	struct binlog_table **out, struct err *e) MUSTCHECK;
void binlog_table_free(struct binlog_table *t);

/* Flags of rows: the session had foreign_key_checks off; cascades are done above the engine, and so
 * in the log (MySQL 9.6). */
#define ROWS_NO_FOREIGN_KEY_CHECKS 0x2u
#define ROWS_SQL_FOREIGN_KEY 0x10u

struct binlog_rows {
	uint64_t table_id;
	uint16_t flags;
	uint32_t ncolumns;
	const unsigned char
		*before; /* bitmap of columns in the before image (the only one but for UPDATE) */
	const unsigned char *after;
	const unsigned char *data;
	size_t len;
	unsigned char *inflated; /* the caller's to free */
	enum { ROWS_WRITE, ROWS_UPDATE, ROWS_DELETE } kind;
	bool partial; /* after images may have parts of JSON values */
};
enum rc binlog_rows(const struct binlog_format *f, const struct binlog_event *ev,
	struct binlog_rows *r, struct err *e) MUSTCHECK;
bool binlog_is_rows(uint8_t type);

/* A length-encoded integer of the protocol. */
uint64_t cursor_lenenc(struct cursor *c);

#endif
