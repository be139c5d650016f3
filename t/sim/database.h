/*
 * database.h - a model of a database for apply_sim; the same code is the oracle and the target.
 *
 * Tables with a key `k` and two columns: one with a unique value, one plain,
 * a parent and a child that goes with it, and one without a key, whose rows
 * are counted.
 */
#ifndef T_SIM_DATABASE_H
#define T_SIM_DATABASE_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/writer/batch.h"

#define KEYS 6
#define VALUES 3
#define NONE (-1)

enum { USERS, PLAIN, PARENT, CHILD, KEYLESS, TABLES };

struct cell {
	int64_t used, a, b; /* USERS: a is unique; CHILD: a is the parent */
};

struct db {
	struct cell cell[KEYLESS][KEYS];
	int64_t count[VALUES][VALUES];
};

struct op {
	enum event_kind kind;
	int table;
	int64_t before[3], after[3];
	bool no_fk; /* a chunk's row */
	unsigned char bytes[6][8];
	struct value values[6];
	struct change change;
};

struct undo {
	bool is_count;
	int table, key; /* or the two values */
	int64_t delta;
	struct cell old;
};

struct undo_log {
	struct undo *entries;
	size_t count, cap;
};

/* One row operation; what is wrong with it, or NULL. What it did is noted in `log`, if there is
 * one. */
const char *database_run(struct db *d, const struct op *o, struct undo_log *log);
void database_take_back(struct db *d, const struct undo_log *log);

#endif
