/*
 * fuzz_pgsql.c - hostile bytes as what a PostgreSQL source sends: messages of
 * pgoutput, lines of test_decoding, notes of statements.
 *
 * The first byte of an input says which.
 */
#include "common/compat.h"

#include <stdint.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/pgsql/event.h"
#include "workers/reader/pgsql/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each value is where it says it is. */
static unsigned
touch(const struct pgout_tuple *t)
{
	unsigned sum = 0;

	for (uint32_t i = 0; i < t->n; i++)
		for (uint32_t k = 0; t->values[i].kind == PGOUT_TEXT && k < t->values[i].len; k++)
			sum += (unsigned char)t->values[i].text[k];
	return sum;
}

static volatile unsigned sink;

static void
one_event(const uint8_t *data, size_t size, bool line)
{
	struct pgout_event ev;
	struct arena a;
	struct err e;

	arena_init(&a);
	if ((line ? pgtext_decode((const char *)data, size, 1, &a, &ev, &e)
		  : pgout_decode(data, size, &a, &ev, &e)) == RC_OK)
		sink = touch(&ev.before) + touch(&ev.after);
	arena_release(&a);
}

static void
one_note(const uint8_t *data, size_t size)
{
	struct note n;
	struct err e;
	struct buf b;

	buf_init(&b);
	if (note_parse((const char *)data, size, &n, &e) == RC_OK)
		for (uint32_t i = 0; i < n.n; i++)
			if (n.changes[i].table != NULL)
				table_encode(n.changes[i].table, &b);
	note_release(&n);
	buf_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (*data % 3 == 2)
		one_note(data + 1, size - 1);
	else
		one_event(data + 1, size - 1, *data % 3 == 1);
	return 0;
}
