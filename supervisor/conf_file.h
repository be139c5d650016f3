/*
 * conf_file.h - configuration files: the only door to libconfig.
 *
 * A file is read whole, every mistake in it is collected with its place, and
 * what is right becomes a struct conf. The order of the checks: the text
 * (conf_scan.h), libconfig's syntax, each setting against its row (unknown,
 * wrong type, out of bounds, not a word, not supported), what is missing, what
 * settings mean together (conf_check.h), and over several files ids and target
 * tables. Only a syntax error hides what comes after it. A setting with an
 * error is left out, so one mistake is told once.
 *
 *     struct conf_notes notes = {0};
 *     conf_file_channel(file, &conf, &id, &notes);
 *     conf_notes_print(&notes, &text);            (errors and warnings)
 *     conf_notes_release(&notes);
 *     if (conf == NULL) ... the file is refused
 *
 * Supervisor and control tool only; one thread; blocks on nothing but disks.
 * Nothing is kept: files are the only truth, and reading them again is a
 * reload.
 */
#ifndef SUPERVISOR_CONF_FILE_H
#define SUPERVISOR_CONF_FILE_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/conf.h"
#include "supervisor/conf_check.h"
#include "supervisor/conf_note.h"

struct channel_confs {
	struct channel_conf *channels;
	size_t count;
};

/*
 * One channel's file. Passwords of password_file and credential are read and
 * stand in source.password and target.password. *id is the file's own or its
 * base name without what follows the last dot. With errors (notes->errors
 * grew) *out and *id are NULL. The caller owns both.
 */
void conf_file_channel(const char *file, struct conf **out, char **id, struct conf_notes *notes);

/*
 * All files that the "channels" pattern of the daemon's file matches, in byte
 * order of their names. Files with errors are not among the channels; two files
 * with one id, or with one target table, are errors noted at the second. A
 * pattern that matches nothing is no error, a directory that cannot be read is:
 * noted where `file` sets the pattern. Use `out` only if notes->errors did not
 * grow: all or nothing.
 */
void conf_file_channels(const struct conf *daemon, const char *file, struct channel_confs *out,
	struct conf_notes *notes);
/* Frees what is left: a caller may take a channel's conf and leave NULL. */
void channel_confs_release(struct channel_confs *c);

/*
 * The daemon's own file. A missing one is an error only if `required`; else
 * all settings have their defaults. *out is NULL with errors.
 */
void conf_file_daemon(const char *file, bool required, struct conf **out, struct conf_notes *notes);

#endif
