/*
 * model.h - a made-up database whose whole history follows from a seed.
 *
 * The fake source streams it, the checker of the process tests knows from it
 * what any position must look like. Tables "t0" .. "tN-1" have a key and a
 * text; the last, "nokey", has no key and the same two columns. Transaction
 * number i (from 1) is a pure function of the seed, i and the state before.
 */
#ifndef WORKERS_READER_FAKE_MODEL_H
#define WORKERS_READER_FAKE_MODEL_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/event.h"

#define FAKE_DB "fake"
#define FAKE_OPS 6

struct fake_row {
	int64_t id;
	uint64_t text; /* rendered as "v<number>" */
};

struct fake_table {
	struct fake_row *rows; /* in no order */
	uint32_t count;
	size_t cap;
	bool keyed;
	char name[16];
};

struct fake_op {
	enum event_kind op;
	uint32_t table;
	struct fake_row before, after;
};

struct model {
	uint64_t seed;
	uint64_t at;	  /* the last transaction */
	uint32_t ntables; /* keyless one included */
	struct fake_table *tables;
	struct fake_op ops[FAKE_OPS]; /* of the last transaction */
	uint32_t nops;
};

/* State before transaction 1. Sizes by source.tables, source.rows, source.seed. */
struct model *model_new(const struct conf *c);
struct model *model_copy(const struct model *m);
void model_free(struct model *m);
/* Runs transaction at + 1; its operations are in ops. */
void model_step(struct model *m);
struct table *model_schema(const struct model *m, uint32_t table);
/* UINT32_MAX: there is none of that name. */
uint32_t model_find(const struct model *m, const char *name);
void model_text(uint64_t number, char text[24]);

#endif
