/*
 * charset.h - text of any character set as UTF-8.
 *
 * The sets have MySQL's names, as columns carry them. Bytes that are no
 * character of the set are RC_DATA, a set that nothing here knows is RC_CONFIG.
 * One thread at a time.
 */
#ifndef COMMON_CHARSET_H
#define COMMON_CHARSET_H

#include "common/compat.h"

#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

struct transcoder;

struct transcoder *transcoder_new(void);
void transcoder_free(struct transcoder *t);
/* Appends. */
enum rc transcoder_utf8(struct transcoder *t, const char *charset, const void *p, size_t n,
	struct buf *out, struct err *e) MUSTCHECK;

#endif
