/*
 * value.h - row images of a binary log as canonical values.
 *
 * Strings and blobs point into the image; what has to be rendered (numbers,
 * decimals, dates) comes from the arena. Source of the formats: MySQL
 * internals, "Rows_event" and my_decimal / my_time packing.
 */
#ifndef WORKERS_READER_MYSQL_VALUE_H
#define WORKERS_READER_MYSQL_VALUE_H

#include "common/compat.h"

#include "common/err.h"
#include "common/mem.h"
#include "common/schema.h"
#include "common/value.h"
#include "workers/reader/mysql/event.h"

/*
 * One image: the columns in `present` (bitmap over the log's columns), a value
 * for each column of the schema, `missing` where it is not present
 * (binlog_row_image): UNCHANGED after an UPDATE, else ABSENT. The schema has as
 * many columns as the log's table.
 */
enum rc binlog_row(const struct binlog_table *bt, const struct table *t,
	const unsigned char *present, enum value_kind missing, struct cursor *c, struct arena *a,
	struct row *out, struct err *e) MUSTCHECK;

/*
 * The after image of an update that may have JSON values in part
 * (binlog_row_value_options=PARTIAL_JSON): made whole by the image before it.
 */
enum rc binlog_row_partial(const struct binlog_table *bt, const struct table *t,
	const unsigned char *present, const struct row *before, struct cursor *c, struct arena *a,
	struct row *out, struct err *e) MUSTCHECK;

/* Whether the schema's column can be what the log has: told by type. */
bool binlog_fits(const struct binlog_column *bc, const struct column *col);

/* The type that the log alone tells: strings are bytes. */
enum type binlog_plain_type(const struct binlog_column *bc);

/* MySQL's binary JSON as the text that the server prints. False: damaged. */
bool mysql_json_text(const unsigned char *p, size_t n, struct buf *out);
/* The diffs of a partial update applied to such a text. False: damaged, or not of that text. */
bool mysql_json_apply(const unsigned char *before, size_t n, const unsigned char *diffs, size_t len,
	struct buf *out);
/* A packed decimal of `precision` digits, `scale` of them behind the point; bytes it takes, 0:
 * damaged. */
size_t mysql_decimal_text(
	const unsigned char *p, size_t n, unsigned precision, unsigned scale, struct buf *out);

#endif
