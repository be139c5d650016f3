/*
 * conf_file.h - configuration files: the only door to libconfig.
 *
 * A file is read whole, every mistake in it is collected with its place
 * ("FILE:LINE: error: ..."), and what is right becomes a struct conf. Before
 * libconfig sees a file it is looked through for what its versions read
 * differently or swallow: whole numbers beyond 32 bits, octal-looking ones,
 * NUL bytes, a byte order mark, more than 1 MiB.
 */
#ifndef SUPERVISOR_CONF_FILE_H
#define SUPERVISOR_CONF_FILE_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/conf.h"

struct conf_note {
	char *file;
	unsigned line;
	bool warning;
	char *text;
};

struct conf_notes {
	struct conf_note *notes;
	size_t count;
	size_t errors; /* of them */
};

void conf_notes_release(struct conf_notes *n);
void conf_notes_print(
	const struct conf_notes *n, struct buf *out); /* "file:line: error: text\n" each */
void conf_note_add(struct conf_notes *n, const char *file, unsigned line, bool warning,
	const char *fmt, ...) PRINTF(5, 6);

struct channel_conf {
	char *id;
	char *file;
	struct conf *conf;
};

struct channel_confs {
	struct channel_conf *channels;
	size_t count;
};

/* One channel's file; secrets are read. *out is NULL if there are errors. id: the file's own or its
 * base name. */
void conf_file_channel(const char *file, struct conf **out, char **id, struct conf_notes *notes);
/* All files of a pattern in byte order; duplicates of id and of target tables over the files are
 * errors. */
void conf_file_channels(const char *pattern, struct channel_confs *out, struct conf_notes *notes);
void channel_confs_release(struct channel_confs *c);
/* The daemon's own file; a missing one is an error only if `required`. */
void conf_file_daemon(const char *file, bool required, struct conf **out, struct conf_notes *notes);

#endif
