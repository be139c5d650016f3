/*
 * conf_note.h - what is wrong with configuration files: a list, not the first.
 *
 * A note is an error, and the file is refused, or a warning. The list owns its
 * texts. The form for people, one line each, is what compilers print, so that
 * editors find the place: "FILE:LINE: error: TEXT".
 */
#ifndef SUPERVISOR_CONF_NOTE_H
#define SUPERVISOR_CONF_NOTE_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct conf_note {
	char *file;
	unsigned line; /* 1 for what is missing, or wrong with the file as a whole */
	bool warning;
	char *text;
};

/* All zero is an empty list. */
struct conf_notes {
	struct conf_note *notes;
	size_t count;
	size_t errors; /* of them */
};

void conf_notes_release(struct conf_notes *n);
/* Adds "file:line: error: text\n" for each, in the order in which they were found. */
void conf_notes_print(const struct conf_notes *n, struct buf *out);
void conf_note_add(struct conf_notes *n, const char *file, unsigned line, bool warning,
	const char *fmt, ...) PRINTF(5, 6);

#endif
