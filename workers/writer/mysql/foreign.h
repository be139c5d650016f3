/*
 * foreign.h - tables of a source that speaks another language, in MySQL's: what
 * foreign.c (CREATE TABLE) and foreign_change.c (ALTER TABLE) share.
 *
 * Statements name what the source names: the ordinary way of a statement
 * (ddl.c) maps names, leaves columns out and keeps its note.
 */
#ifndef WORKERS_WRITER_MYSQL_FOREIGN_H
#define WORKERS_WRITER_MYSQL_FOREIGN_H

#include "common/compat.h"

#include "workers/writer/mysql/sink.h"

/* Whether it is of the source's type of that name. */
bool foreign_is(const struct column *c, const char *native);
/* Whether an index has the column: then its type must have a length. */
bool foreign_is_indexed(const struct table *t, uint32_t column);
void foreign_add_type(const struct losses *l, struct buf *b, const struct column *c, bool indexed);
/* `name` type NULL */
void foreign_add_column(const struct losses *l, struct buf *b, const struct table *t, uint32_t i);
/* Whether the index can be made here, and as what. */
bool foreign_has_like(const struct index *ix);
bool foreign_is_unique(const struct index *ix);
bool foreign_is_primary(const struct index *ix);
/* UNIQUE KEY `name` (`a`, `b`) */
void foreign_add_index(struct buf *b, const struct table *t, const struct index *ix);

#endif
