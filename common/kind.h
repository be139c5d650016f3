/*
 * kind.h - what is true of a kind of endpoint and must be known at the other end.
 */
#ifndef COMMON_KIND_H
#define COMMON_KIND_H

#include "common/compat.h"

#include <stdbool.h>

/*
 * Whether a source's log has the rows that foreign keys change on their own. If
 * so the target's must stay still, or they would change them once more; else
 * they must act there as they did at the source.
 */
bool kind_logs_cascades(const char *kind);

#endif
