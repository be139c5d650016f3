/* tables.h - the tables of a channel as its reader reports them, in order of their names. */
#ifndef SUPERVISOR_TABLES_H
#define SUPERVISOR_TABLES_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>

#include "ipc/report.h"

struct table_row {
	struct report_table report; /* owned */
	bool dirty;		    /* not mirrored in the store yet */
	bool told;		    /* of by the reader that runs now */
};

struct tables {
	struct table_row *rows;
	size_t count;
	size_t cap;
};

struct tables_sum {
	size_t total, streaming, loading, quarantined, reload;
	uint64_t rows_done, rows_expected, bytes_done;
};

/* Copies; dirty unless it says nothing new. A table that is to load again (RELOAD) is so until that
 * begins: what a reader that does not know yet says of it is left out. */
void tables_put(struct tables *t, const struct report_table *r, bool dirty);
/* Around the opening of a reader, which tells of each table that it knows: one that was loading or
 * streaming and is not among them is gone. Its removal was told by nobody: that reader died. */
void tables_opening(struct tables *t);
void tables_opened(struct tables *t);
void tables_clear(struct tables *t);
/* The row of "db.table"; NULL if there is none. */
struct table_row *tables_find(struct tables *t, const char *name);
/* Tables that were removed are not counted. */
struct tables_sum tables_sum(const struct tables *t);

#endif
