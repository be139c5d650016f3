/*
 * collation.h - what we know of collations without asking the server.
 *
 * A test asks real servers about all pairs of characters (t/500_collations.t).
 */
#ifndef COMMON_COLLATION_H
#define COMMON_COLLATION_H

#include "common/compat.h"

#include <stdbool.h>

/* Whether equality under this collation, for values of printable ASCII (0x20-0x7E), is equality
 * after folding A-Z, trailing spaces cut. */
enum fold { FOLD_NONE, FOLD_CASE, FOLD_UNKNOWN };
enum fold collation_fold(const char *collation);
/* Whether trailing spaces count; they do not under most. Of those that collation_fold knows. */
bool collation_counts_spaces(const char *collation);

#endif
