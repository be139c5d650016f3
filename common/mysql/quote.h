/*
 * quote.h - MySQL identifiers and literals as text.
 */
#ifndef COMMON_MYSQL_QUOTE_H
#define COMMON_MYSQL_QUOTE_H

#include "common/compat.h"

#include "common/buf.h"

/* `name`, inner backticks doubled: right under every sql_mode. */
void mysql_quote_name(struct buf *b, const char *name);
/* `db`.`name` */
void mysql_quote_table(struct buf *b, const char *db, const char *name);
/* x'...': safe whatever the bytes and the session's character set are. */
void mysql_quote_hex(struct buf *b, const void *p, size_t n);

#endif
