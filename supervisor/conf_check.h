/*
 * conf_check.h - what must hold over a whole file, and over several.
 *
 * A row of options.c can say what one setting may be; what settings mean
 * together is looked at here. All functions add notes and change nothing else
 * (conf_check_secrets sets the passwords it reads, conf_settle defaults).
 */
#ifndef SUPERVISOR_CONF_CHECK_H
#define SUPERVISOR_CONF_CHECK_H

#include "common/compat.h"

#include "common/conf.h"
#include "common/route.h"
#include "supervisor/conf_note.h"

/* One channel as its file describes it. */
struct channel_conf {
	char *id;
	char *file;
	struct conf *conf;
};

/* The line that set a path, by conf_where; 1 if no line of this file did. */
unsigned conf_line(const struct conf *c, const char *file, const char *path);

/* Settings of a channel against each other, its own ends and this version. */
void conf_check_channel(const struct conf *c, const char *file, struct conf_notes *notes);
/* Sets what this pair of ends does not have and the file does not ask for to what it has; once the
 * file is checked. */
void conf_settle(struct conf *c);
/* Reads password_file or credential of both ends into password; warns of readable secrets. */
void conf_check_secrets(struct conf *c, const char *file, struct conf_notes *notes);
/* The id's letters: it becomes a lock's name, a label, a part of a path. */
void conf_check_id(
	const char *id, const struct conf *c, const char *file, struct conf_notes *notes);
/* Objects: routes that contradict each other, our own tables, a table onto itself. */
void conf_check_objects(const struct conf *c, const char *file, struct conf_notes *notes);
/* One id twice, one target table twice: noted at b. As far as settings tell. */
void conf_check_pair(
	const struct channel_conf *a, const struct channel_conf *b, struct conf_notes *notes);

void conf_check_daemon(const struct conf *c, const char *file, struct conf_notes *notes);

#endif
