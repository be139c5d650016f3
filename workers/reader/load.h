/*
 * load.h - the generic load: tables cut into chunks, carried by lanes.
 *
 * A team of lanes (one thread, one source connection, one load ring each)
 * takes the tables in an order in which parents come before children, cuts
 * each into ranges of its key and brings chunk by chunk through the dance of
 * place.h. A keyless table is one exact chunk. What the target says it has
 * (resume) is not loaded again.
 */
#ifndef WORKERS_READER_LOAD_H
#define WORKERS_READER_LOAD_H

#include "common/compat.h"

#include "common/err.h"
#include "workers/reader/place.h"
#include "workers/reader/source.h"

struct load;

/* Starts the lanes; they end by themselves when nothing is left to load. resume outlives the load.
 */
struct load *load_start(
	struct worker *w, struct source *s, struct feed *f, const struct resume *resume);
/* Asks the lanes to end and waits for them. feed_stop comes first. */
void load_stop(struct load *l);

#endif
