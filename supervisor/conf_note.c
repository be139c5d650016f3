/* conf_note.c - see conf_note.h. */
#include "common/compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "supervisor/conf_note.h"

void
conf_notes_release(struct conf_notes *n)
{
	for (size_t i = 0; i < n->count; i++) {
		free(n->notes[i].file);
		free(n->notes[i].text);
	}
	free(n->notes);
	*n = (struct conf_notes){0};
}

void
conf_notes_print(const struct conf_notes *n, struct buf *out)
{
	for (size_t i = 0; i < n->count; i++)
		buf_printf(out, "%s:%u: %s: %s\n", n->notes[i].file, n->notes[i].line,
			n->notes[i].warning ? "warning" : "error", n->notes[i].text);
}

void
conf_note_add(
	struct conf_notes *n, const char *file, unsigned line, bool warning, const char *fmt, ...)
{
	struct conf_note note = {.file = xstrdup(file), .line = line, .warning = warning};
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&note.text, fmt, ap) < 0)
		note.text = xstrdup("");
	va_end(ap);
	n->notes = xreallocarray(n->notes, n->count + 1, sizeof *n->notes);
	n->notes[n->count++] = note;
	n->errors += !warning;
}
