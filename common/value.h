/*
 * value.h - canonical types and values: what every source says and every sink understands.
 *
 * A value is bytes of a canonical type, exact in range and precision, and the
 * bytes of a type always look the same whoever made them (log or snapshot):
 * two values of one column are equal in the source's sense of identity if
 * their bytes are. Values borrow their bytes; whoever hands one out says until
 * when they are valid.
 */
#ifndef COMMON_VALUE_H
#define COMMON_VALUE_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How the bytes are laid out:
 *   I64    8 bytes little-endian, two's complement (or unsigned, by the column)
 *   F32    4 bytes little-endian IEEE 754
 *   F64    8 bytes little-endian IEEE 754
 *   TEXT   characters in the column's own character set, not terminated
 *   BYTES  bytes
 */
enum value_layout { LAYOUT_I64, LAYOUT_F32, LAYOUT_F64, LAYOUT_TEXT, LAYOUT_BYTES };

/*
 *	symbol	name	layout
 * DECIMAL is "-123.45" with exactly `scale` digits behind the point and no
 * leading zeros but one before it; DATE "2020-08-01"; TIME "-838:59:59.999999"
 * (hours at least two digits, exactly `scale` fraction digits); DATETIME and
 * TIMESTAMP "2020-08-01 12:34:56.123" likewise (TIMESTAMP is in UTC). Zero and
 * invalid dates are carried as they are. These and JSON are ASCII or UTF-8.
 * YEAR is 0 or the year. ENUM is the 1-based index of the label (0: the empty
 * error value), SET the mask, both I64. BIT is big-endian, (length + 7) / 8
 * bytes. GEOMETRY is SRID (u32 little-endian), then WKB.
 */
#define TYPE_LIST(X)                           \
	X(INTEGER, "integer", LAYOUT_I64)      \
	X(FLOAT, "float", LAYOUT_F32)          \
	X(DOUBLE, "double", LAYOUT_F64)        \
	X(DECIMAL, "decimal", LAYOUT_TEXT)     \
	X(DATE, "date", LAYOUT_TEXT)           \
	X(TIME, "time", LAYOUT_TEXT)           \
	X(DATETIME, "datetime", LAYOUT_TEXT)   \
	X(TIMESTAMP, "timestamp", LAYOUT_TEXT) \
	X(YEAR, "year", LAYOUT_I64)            \
	X(TEXT, "text", LAYOUT_TEXT)           \
	X(BINARY, "binary", LAYOUT_BYTES)      \
	X(BIT, "bit", LAYOUT_BYTES)            \
	X(ENUM, "enum", LAYOUT_I64)            \
	X(SET, "set", LAYOUT_I64)              \
	X(JSON, "json", LAYOUT_TEXT)           \
	X(GEOMETRY, "geometry", LAYOUT_BYTES)

enum type {
#define X(symbol, name, layout) TYPE_##symbol,
	TYPE_LIST(X)
#undef X
		TYPE_COUNT
};

const char *type_name(enum type t);
enum value_layout type_layout(enum type t);

/*
 * ABSENT: the image does not have this column (minimal row images).
 * UNCHANGED: the column has not changed and the log did not carry it.
 */
enum value_kind { VALUE_ABSENT, VALUE_NULL, VALUE_UNCHANGED, VALUE_BYTES };

struct value {
	enum value_kind kind;
	uint32_t len; /* of data, for VALUE_BYTES */
	const unsigned char *data;
};

/* One image of one row: a value for each column of the table's schema, in its order. */
struct row {
	struct value *col;
	uint32_t ncols;
};

bool value_equal(const struct value *a, const struct value *b);
/* The I64 of a value of that layout. */
int64_t value_i64(const struct value *v);

#endif
