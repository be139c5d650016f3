/*
 * seam.h - the window of a chunk: what changed while its snapshot was taken.
 *
 * Pure: no I/O, no clock, no lock. The feed notes changes, a lane looks rows up.
 *
 * A chunk's window is open from its registration at log position R0 until its
 * place. For each key of the table that changed in between it keeps what
 * became of it last. The snapshot sees all changes up to R0 and none after
 * `high`; the place is at or behind `high`. So with the window applied the
 * chunk's rows are exactly the table's rows at the place that the stream has
 * not brought itself:
 *
 *     not in the window     the snapshot's row is right          KEEP
 *     updated               the newest image is right            PATCH
 *     deleted               it is gone at the place              DROP
 *     inserted (or moved    the stream's own INSERT (or key      DROP
 *       to this key)        change) has put it into the target
 *
 * A key is the canonical bytes of its columns, each behind its u32 length.
 */
#ifndef WORKERS_READER_SEAM_H
#define WORKERS_READER_SEAM_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/event.h"
#include "common/schema.h"

struct window;

/* key: columns of the key in the rows that will be noted and looked up; ncols: columns of a row. */
struct window *window_new(const struct index *key, uint32_t ncols);
void window_free(struct window *w);

/* A change in the stream. Copies what it needs. */
void window_note(
	struct window *w, enum event_kind op, const struct row *before, const struct row *after);

enum verdict { VERDICT_KEEP, VERDICT_PATCH, VERDICT_DROP };

/*
 * What to do with a row of the snapshot. For PATCH, *patched (ncols values,
 * the caller's) is the row to send: the newest image over the snapshot's row,
 * its columns borrowed from the window or from `row`.
 */
enum verdict window_row(struct window *w, const struct row *row, struct row *patched);

size_t window_bytes(const struct window *w); /* memory, for the budget */
size_t window_count(const struct window *w);

/* Appends the key's bytes of a row; false if a part is NULL or absent (no such row is in the
 * window). */
bool key_bytes(const struct index *key, const struct row *row, struct buf *out);

#endif
