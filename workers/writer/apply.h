/*
 * apply.h - the generic writer: from rings to target transactions.
 *
 * Threads: the scan thread reads the stream ring, turns frames into work
 * (decoded changes, tokens) and pushes it to the scheduler; each lane takes
 * groups, executes them on a connection of its own, waits at the gate and
 * commits. Frames stay in the ring until their group has committed: a group
 * that must run again finds everything where it was.
 *
 * One lock guards scheduler, gate and ring release. Nobody talks to a server
 * while holding it.
 */
#ifndef WORKERS_WRITER_APPLY_H
#define WORKERS_WRITER_APPLY_H

#include "common/compat.h"

#include "common/err.h"
#include "ipc/worker.h"
#include "workers/writer/sink.h"

struct apply;

/* Starts scan thread and lanes. resume, turn: what the sink's open said. All arguments outlive the
 * apply. */
struct apply *apply_start(struct worker *w, struct sink *s, const struct routes *routes,
	const struct resume *resume, uint64_t turn);
/* What is in the rings is applied, then worker_drained is called. */
void apply_drain(struct apply *a);
/* House-keeping of the main thread: a gate that does not move. */
void apply_tick(struct apply *a);
/* worker->stopping is set: ends all threads and frees everything. */
void apply_stop(struct apply *a);
/* Guards calls of the sink's main connection (describe, wish). */
void apply_lock_sink(struct apply *a);
void apply_unlock_sink(struct apply *a);

#endif
