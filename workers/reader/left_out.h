/*
 * left_out.h - what a source has that its target does not get, named in the precheck.
 *
 * An engine asks its server kind by kind; each kind that there is becomes one
 * warning, with its first names.
 */
#ifndef WORKERS_READER_LEFT_OUT_H
#define WORKERS_READER_LEFT_OUT_H

#include "common/compat.h"

#include "common/buf.h"
#include "ipc/report.h"

#define LEFT_OUT "Objects that are not carried"

/* What to do about them. */
#define LEFT_OUT_MAKE "make them at the target by hand, if they are wanted there"
#define LEFT_OUT_EFFECTS                                                                        \
	"nothing need be done, row changes carry what they did; for the day when applications " \
	"write to the target make them there"
#define LEFT_OUT_ROWS_HAVE                                                                    \
	"nothing need be done, rows come with what they made; for the day when applications " \
	"write to the target make them there"

/* Those of one kind. */
struct left_out {
	struct buf names;
	uint32_t count;
};

void left_out_init(struct left_out *l);
/* table: that it belongs to; "": none, it is the database's. What is of a database as such begins
 * with a blank. */
void left_out_add(struct left_out *l, const char *db, const char *table, const char *name);
/* The warning under that item, if there are any, which is returned. Frees what `l` has. */
bool left_out_tell(struct left_out *l, const char *item, const char *what, const char *remedy,
	struct checks *out);

#endif
