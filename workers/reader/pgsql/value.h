/*
 * value.h - the text that a PostgreSQL server prints, as canonical values.
 *
 * Log and snapshot print alike (client.h fixes the session), so both come
 * through here and look the same.
 */
#ifndef WORKERS_READER_PGSQL_VALUE_H
#define WORKERS_READER_PGSQL_VALUE_H

#include "common/compat.h"

#include "common/mem.h"
#include "common/schema.h"

/* text need not be terminated. The value borrows from text or from the arena. */
void pgsource_value(
	const struct column *c, const char *text, uint32_t n, struct arena *a, struct value *out);

#endif
