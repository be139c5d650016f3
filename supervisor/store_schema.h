/* store_schema.h - versions of the store's schema, as steps from each to the next. */
#ifndef SUPERVISOR_STORE_SCHEMA_H
#define SUPERVISOR_STORE_SCHEMA_H

#include "common/compat.h"

#define STORE_VERSION 2

/* store_step(n) leads from version n to n + 1. */
const char *store_step(int from);

#endif
