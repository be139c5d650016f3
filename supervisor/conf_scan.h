/*
 * conf_scan.h - a configuration file before libconfig sees it.
 *
 * libconfig's versions read some texts differently, or swallow them without a
 * word (reference: 1.5 reads 9999999999 as 1410065407 and 077 as 77, 1.7 as
 * 63; a NUL ends a text). The scan finds these, so that a file that passes
 * means the same to every version; and it says what libconfig would only call
 * "syntax error" where a person's mistake is plain.
 */
#ifndef SUPERVISOR_CONF_SCAN_H
#define SUPERVISOR_CONF_SCAN_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "supervisor/conf_note.h"

/*
 * The content of a regular file of at most 1 MiB, terminated; the caller frees
 * it. NULL: e says why, with the file's name. Never waits for a FIFO.
 */
char *conf_slurp(const char *file, size_t *len, struct err *e);

/*
 * Notes what some version misreads. False: do not give the text to libconfig
 * at all (a NUL, a byte order mark, not UTF-8, an include). True with new errors: the
 * rest can be looked at all the same, but a syntax error is a consequence.
 */
bool conf_scan(const char *text, size_t len, const char *file, struct conf_notes *notes);

#endif
