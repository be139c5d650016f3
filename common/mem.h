/*
 * mem.h - memory that never fails, and memory that lives one batch.
 *
 * The x functions return memory or end the process (exit 70): a gateway that
 * cannot allocate cannot decide anything sensible either. Sizes that come from
 * outside are checked against a limit before they get here.
 *
 * An arena hands out memory that is never freed singly; arena_reset gives all
 * of it back at once and keeps the blocks for the next batch. Pointers are
 * valid until the next arena_reset or arena_release. One thread at a time.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include "common/compat.h"

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
/* Checks count * size for overflow. */
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* Grows *array of `size`-byte members so that index `need - 1` is valid; *cap is updated. */
void grow(void *array_pointer, size_t *cap, size_t need, size_t size);

struct arena_block;

struct arena {
	struct arena_block *first;   /* all blocks, kept over a reset */
	struct arena_block *current; /* the one that is being filled */
	size_t used;		     /* bytes handed out since the last reset */
};

void arena_init(struct arena *a);
void *arena_alloc(struct arena *a, size_t size); /* aligned for any type, not cleared */
void *arena_calloc(struct arena *a, size_t count, size_t size);
void *arena_dup(struct arena *a, const void *p, size_t n);
char *arena_strndup(struct arena *a, const char *s, size_t n); /* terminated */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

#endif
