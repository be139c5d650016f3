/*
 * dialect.h - the same statement in the words of the other family.
 *
 * MySQL and MariaDB write some parts of a table differently. A statement that a
 * server cannot read is said once more: `DEFAULT uuid()` as `DEFAULT (uuid())`,
 * PERSISTENT as STORED, IGNORED as INVISIBLE and back; an attribute that the
 * server has no word for (SRID, page compression, NOWAIT) is left out.
 */
#ifndef COMMON_MYSQL_DIALECT_H
#define COMMON_MYSQL_DIALECT_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/buf.h"

/* Whether there is something to say otherwise to that server; then *out has it. */
bool dialect_rewrite(const struct buf *sql, bool to_mariadb, bool ansi_quotes, bool no_backslash,
	struct buf *out);

/* Errors of a server that does not know a statement's words. */
bool dialect_error(int code);

#endif
