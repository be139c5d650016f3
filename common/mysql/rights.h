/*
 * rights.h - what the connected account may do, for prechecks.
 *
 * Global and database-wide grants are compared, as information_schema lists
 * them. Rights that come by a role or table by table are not seen there: then
 * the answer is "not certain", which is a warning and no failure.
 */
#ifndef COMMON_MYSQL_RIGHTS_H
#define COMMON_MYSQL_RIGHTS_H

#include "common/compat.h"

#include "common/mysql/client.h"

/*
 * Appends those of the comma-separated `rights` that the account has neither on
 * *.* nor on db (NULL: on *.* alone), comma-separated; nothing if it has them all.
 * *certain: no role is in force that may give more.
 */
enum rc rights_missing(struct client *c, const char *db, const char *rights, struct buf *missing,
	bool *certain, struct err *e) MUSTCHECK;
/* 'user'@'host' of the account in force, as GRANT wants it. */
enum rc rights_account(struct client *c, struct buf *out, struct err *e) MUSTCHECK;

#endif
