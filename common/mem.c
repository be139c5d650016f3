/* mem.c - see mem.h. */
#include "common/compat.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"

/* Blocks double from the first size to the last: most arenas hold one small batch. */
#define BLOCK_FIRST ((size_t)1024)
#define BLOCK_LAST ((size_t)64 * 1024)
#define ALIGN ((size_t)16)

struct arena_block {
	struct arena_block *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(16) unsigned char data[];
};

static NORETURN void
out_of_memory(size_t size)
{
	fprintf(stderr, "fatal: cannot allocate %zu bytes\n", size);
	_Exit(rc_exit(RC_BUG));
}

void *
xmalloc(size_t size)
{
	void *p = malloc(size != 0 ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(count != 0 ? count : 1, size != 0 ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *
xrealloc(void *p, size_t size)
{
	void *q = realloc(p, size != 0 ? size : 1);

	if (q == NULL)
		out_of_memory(size);
	return q;
}

void *
xreallocarray(void *p, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		out_of_memory(SIZE_MAX);
	return xrealloc(p, count * size);
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
	char *p = xmalloc(n + 1);

	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

void *
xmemdup(const void *p, size_t n)
{
	void *q = xmalloc(n);

	if (n != 0)
		memcpy(q, p, n);
	return q;
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		out_of_memory(0);
	va_end(ap);
	return s;
}

void
grow(void *array_pointer, size_t *cap, size_t need, size_t size)
{
	void *old;
	size_t n = *cap;

	if (need <= n)
		return;
	while (n < need)
		n = n < 8 ? 8 : n * 2;
	memcpy(&old, array_pointer, sizeof old);
	old = xreallocarray(old, n, size);
	memcpy(array_pointer, &old, sizeof old);
	*cap = n;
}

void
arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

static struct arena_block *
new_block(size_t size)
{
	struct arena_block *b = xmalloc(sizeof *b + size);

	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

/* Moves to the next kept block that is large enough, or puts a new one behind the current. */
static struct arena_block *
next_block(struct arena *a, size_t size)
{
	struct arena_block *b = a->current != NULL ? a->current->next : a->first;

	if (b == NULL || b->size < size) {
		size_t normal = a->current == NULL ? BLOCK_FIRST : a->current->size * 2;
		struct arena_block *fresh;

		if (normal > BLOCK_LAST)
			normal = BLOCK_LAST;
		fresh = new_block(size > normal ? size : normal);

		fresh->next = b;
		if (a->current != NULL)
			a->current->next = fresh;
		else
			a->first = fresh;
		b = fresh;
	}
	b->used = 0;
	a->current = b;
	return b;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->current;
	void *p;

	if (size > SIZE_MAX - ALIGN - sizeof(struct arena_block))
		out_of_memory(size);
	size = (size + ALIGN - 1) & ~(ALIGN - 1);
	if (b == NULL || b->size - b->used < size)
		b = next_block(a, size);
	p = b->data + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *
arena_calloc(struct arena *a, size_t count, size_t size)
{
	void *p;

	if (size != 0 && count > SIZE_MAX / size)
		out_of_memory(SIZE_MAX);
	p = arena_alloc(a, count * size);
	memset(p, 0, count * size);
	return p;
}

void *
arena_dup(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);

	if (n != 0)
		memcpy(q, p, n);
	return q;
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

void
arena_reset(struct arena *a)
{
	if (a->first != NULL)
		a->first->used = 0;
	a->current = a->first;
	a->used = 0;
}

void
arena_release(struct arena *a)
{
	struct arena_block *b = a->first;

	while (b != NULL) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
	*a = (struct arena){0};
}
