/*
 * dialect.h - the same statement in the words of the other family, or of an older server.
 *
 * MySQL and MariaDB write some parts of a table differently. A statement that a
 * server cannot read is said once more: `DEFAULT uuid()` as `DEFAULT (uuid())`,
 * PERSISTENT as STORED, IGNORED as INVISIBLE and back, INET6 and UUID as the
 * BINARY that they are, CREATE OR REPLACE TABLE as CREATE TABLE. What the server has nothing like
 * is left out where a table does without: an attribute (SRID, page compression), an index over an
 * expression or over vectors; *lost has it then, "SRID 4326, KEY `k` ((`a` + 1))".
 */
#ifndef COMMON_MYSQL_DIALECT_H
#define COMMON_MYSQL_DIALECT_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/buf.h"
#include "common/mysql/client.h"

struct dialect {
	const struct server *server;
	bool ansi_quotes, no_backslash; /* how the text is read */
};

/* Appends the statement without versioned comments that the server would pass over in silence. */
void dialect_comments(
	const struct dialect *to, const struct buf *sql, struct buf *out, struct buf *lost);
/* Whether there is something to say otherwise; then *out has it. */
bool dialect_rewrite(
	const struct dialect *to, const struct buf *sql, struct buf *out, struct buf *lost);

/* Errors of a server that does not know a statement's words. */
bool dialect_error(int code);

#endif
