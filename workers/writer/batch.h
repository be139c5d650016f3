/*
 * batch.h - a group's row changes gathered into statements.
 *
 * Inside a group a change may pass changes with which it shares no token, so
 * changes of one table and one operation (and one set of present columns)
 * gather. Never two changes with a conflicting token in one batch: each batch
 * is one statement, and its rows may be applied in any order. Changes of
 * tables that foreign keys or triggers join keep their order among each other.
 * By the same right a change that meets a group in flight is run later than
 * the others.
 *
 * Under apply = "fastest" changes of one row are merged before: the later one
 * moves up to the earlier one, past all with which it shares no token. The
 * group is still one transaction of the target, so what it leaves behind is
 * what the source had after the group's last transaction.
 *
 * Pure. Everything comes from the caller's arena.
 */
#ifndef WORKERS_WRITER_BATCH_H
#define WORKERS_WRITER_BATCH_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/event.h"
#include "common/mem.h"
#include "workers/writer/token.h"

struct target; /* sink.h */

/* Low bits of change->shape that say more than that shapes differ. */
#define SHAPE_LENIENT 1u   /* the table is loading: a row that is not there is right */
#define SHAPE_KEY_MOVES 2u /* an UPDATE of key columns */

/* One row change as decoded from the ring. */
struct change {
	enum event_kind op;
	struct target *target;
	struct row before;
	struct row after;
	bool fk_off;		    /* as in struct event_row */
	const struct token *tokens; /* of this change alone, not packed */
	uint32_t ntokens;
	uint64_t component; /* token_component; 0: none */
	uint64_t shape;	    /* equal for changes that fit one statement: batch_shape and SHAPE_* */
};

struct batch {
	struct target *target;
	enum event_kind op;
	const struct change **changes;
	uint32_t count;
	uint64_t matched; /* rows that the target says it found or wrote */
};

struct batch_list {
	struct batch *batches; /* run them in this order */
	uint32_t count;
};

/* What tells apart changes that cannot share a statement: table, op, columns present, fk_off. The
 * low bits are left to SHAPE_*. */
uint64_t batch_shape(const struct change *c);

/*
 * Merges changes of one row, in place; returns how many are left. The changes
 * given stay as they are; merged ones are the arena's. Not merged: rows without
 * a key, of tables that foreign keys join, of tables that load, and changes that
 * move a row to another key. An INSERT and its DELETE leave nothing, but where
 * a row of the target that is not the source's would be mended (`mends`).
 */
uint32_t batch_merge(struct arena *a, struct change **changes, uint32_t count, bool mends);
/*
 * A group that met others in flight: what has to wait for them (`meets`: their
 * tokens), and what follows on that, moves behind all else; both keep their
 * order. Returns how many do not wait.
 */
uint32_t batch_late(
	struct arena *a, struct change **changes, uint32_t count, const struct token_list *meets);
/* max_rows: at most so many changes in one batch. */
void batch_plan(struct arena *a, struct change *const *changes, uint32_t count, uint32_t max_rows,
	struct batch_list *out);

#endif
