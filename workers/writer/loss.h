/*
 * loss.h - what a value of the source can lose in a column of the target; pure.
 *
 * A conversion is exact if the source's value can be told from what the target
 * holds. The tables that we make have only such columns (what no type holds is
 * text), so losses come from tables that were made by hand, and from single
 * values for which the target has none. Neither is ever silent: a column that
 * can lose is refused by name, before the start and whenever a table is
 * resolved; a value that cannot be had stops the channel at its row. The
 * channel's `lossy` says which losses are accepted.
 *
 * Between two servers of one kind a column of the same type loses nothing.
 */
#ifndef WORKERS_WRITER_LOSS_H
#define WORKERS_WRITER_LOSS_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/schema.h"

/*
 *	symbol	word of `lossy`	what is lost
 * The first four are a column's; of NAN and DATES single values, which become NULL.
 */
#define LOSS_LIST(X)                                                                            \
	X(DIGITS, "digits", "digits, of a number or of a second")                               \
	X(TIME, "time", "the time of day, the date or the zone")                                \
	X(PADDING, "padding", "blanks or zero bytes at the end")                                \
	X(JSON, "json", "how the JSON was written: its numbers, the order of its keys, blanks") \
	X(NAN, "nan", "that a number is none or infinite")                                      \
	X(DATES, "dates", "which of the dates that the target has not it was")

enum loss {
#define X(symbol, word, what) LOSS_##symbol,
	LOSS_LIST(X)
#undef X
		LOSS_COUNT
};

struct losses {
	bool foreign;  /* the ends are of different kinds */
	bool to_mysql; /* what the target is; neither: nothing is known of it */
	bool to_pgsql;
	bool accepted[LOSS_COUNT];
};

void losses_init(struct losses *l, const struct conf *c);
/* What can be lost in `to`, and is not accepted; LOSS_COUNT: nothing. */
enum loss loss_column(const struct losses *l, const struct column *from, const struct column *to);
/* The error for it (CONFIG), with its remedy. */
enum rc loss_refuse(enum loss l, const struct table *source, const struct column *from,
	const struct column *to, struct err *e);
/* Whether values of the column may become NULL here: loss_value is to be asked. */
bool loss_by_value(const struct losses *l, const struct column *from, const struct column *to);
bool loss_value(const struct losses *l, const struct column *from, const struct value *v);
/* Whether the target's column, made by us, must take NULL for that. */
bool loss_nullable(const struct losses *l, const struct column *from);

#endif
