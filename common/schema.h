/*
 * schema.h - what a table looks like: columns, indexes, foreign keys.
 *
 * A struct table owns all that hangs from it. The same struct serves a
 * source's table (as of a place in the log), what crosses the ring in a SCHEMA
 * frame, what is stored in the target to find the columns at a position again,
 * and a target's own table as the sink's describe reports it.
 */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "common/value.h"

struct column {
	char *name; /* UTF-8 */
	enum type type;
	uint32_t number; /* the engine's own, which stays when the column is renamed; 0: none */
	char *native;	 /* the engine's full type text, "int(10) unsigned", as DDL writes it */
	bool is_unsigned;
	bool nullable;
	bool generated; /* computed by the server: never written by us, not among row values */
	bool auto_increment;
	uint32_t length; /* characters of TEXT, bytes of BINARY, bits of BIT, 0 where it has none */
	uint32_t precision; /* of DECIMAL */
	uint32_t scale;	    /* digits behind the point of DECIMAL, TIME, DATETIME, TIMESTAMP */
	char *charset;	    /* of TEXT, ENUM, SET; else NULL */
	char *collation;    /* likewise */
	char **labels;	    /* of ENUM and SET, UTF-8 */
	uint32_t nlabels;
	char *preset; /* what a row gets that says nothing: the text of a constant; NULL: NULL, or
			 nothing that another server can be told */
	bool preset_now; /* it gets the moment of its making */
	char *comment; /* NULL: none; as of the catalog, like the two above: not followed in the log
			*/
};

struct index_part {
	uint32_t column; /* position in table->columns; UINT32_MAX: an expression */
	uint32_t prefix; /* characters (TEXT) or bytes (BINARY); 0: the whole value */
};

/* When rows must not be alike (PostgreSQL). An index that can wait for the end of a transaction is
 * never a key. */
enum deferral { DEFERRAL_NONE, DEFERRAL_MAY, DEFERRAL_BEGINS };

struct index {
	char *name;
	bool primary;
	bool unique;
	bool nulls_equal; /* NULLs are not distinct (PostgreSQL 15) */
	enum deferral deferral;
	struct index_part *parts;
	uint32_t nparts;
};

/* What happens to children; NONE is RESTRICT and NO ACTION. */
enum fk_action { FK_NONE, FK_CASCADE, FK_SET_NULL, FK_SET_DEFAULT };

struct foreign_key {
	char *name;
	uint32_t *columns; /* of this table */
	char *ref_db;
	char *ref_table;
	char **ref_columns;
	uint32_t ncolumns;
	enum fk_action on_delete;
	enum fk_action on_update;
	bool in_log;  /* the source logs what these do to rows as changes of rows */
	char *clause; /* what stands behind its columns, in the engine's words; NULL: the actions
			 are all */
};

struct table {
	char *db;
	char *name;
	char *engine;	 /* storage engine, NULL where there is no such thing */
	char *comment;	 /* NULL: none */
	char *collation; /* that new columns get, NULL: not known or no such thing */
	char *where;	 /* as kept with a table's state: the filter its rows came through */
	struct column *columns;
	uint32_t ncolumns;
	struct index *indexes;
	uint32_t nindexes;
	struct foreign_key *fks;
	uint32_t nfks;
	uint64_t rows; /* estimates of the catalog, for progress only */
	uint64_t bytes;
};

/* Owns its tables. All zero: empty. */
struct table_list {
	struct table **tables;
	size_t count;
	size_t cap;
};

void table_list_add(struct table_list *l, struct table *t);
/* *hint is where the last one was found: lists and those who ask are in one order. NULL: none. */
struct table *table_list_find(
	const struct table_list *l, size_t *hint, const char *db, const char *name);
void table_list_release(struct table_list *l);

struct table *table_new(const char *db, const char *name);
void table_free(struct table *t);
struct table *table_copy(const struct table *t);
/* NULL: it is not whole, as where an account may not see all of it. */
struct table *table_copy_whole(const struct table *t);
/* The table of its columns pick[0], ...: indexes and foreign keys stay if all of their columns do.
 */
struct table *table_pick(const struct table *t, const uint32_t *pick, uint32_t n);
struct column *table_add_column(struct table *t, const char *name, enum type type);
void table_copy_column(struct table *t, const struct column *c);
struct index *table_add_index(struct table *t, const char *name, bool primary, bool unique);
void index_add_part(struct index *ix, uint32_t column, uint32_t prefix);
struct foreign_key *table_add_fk(struct table *t, const char *name);
/* UINT32_MAX if there is none. The very name; else one that differs in case alone, for MySQL knows
 * no other names of columns. */
uint32_t table_column(const struct table *t, const char *name);

/*
 * The index that identifies a row: the primary key, else the first unique
 * index all of whose columns are NOT NULL and whole (no prefix, no
 * expression). NULL for a keyless table.
 */
const struct index *table_key(const struct table *t);

/* Two-way coding, versioned. decode checks every bound; *out is NULL unless RC_OK. */
void table_encode(const struct table *t, struct buf *b);
enum rc table_decode(struct cursor *c, struct table **out, struct err *e) MUSTCHECK;

#endif
