/*
 * reload.h - new files against what runs: first the whole plan, then all of
 * it or nothing.
 */
#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H

#include "common/compat.h"

#include "common/buf.h"
#include "common/err.h"
#include "supervisor/conf_file.h"
#include "supervisor/gateway.h"

/*
 * Reads the daemon's file and all channel files, and finds what changes for
 * whom: `plan` gets a line for each change, `problems` a line for each mistake
 * ("file:line: error: ..."). With problems the answer is CONFIG and nothing is
 * changed; with dry_run nothing is either.
 */
enum rc gateway_reload(struct gateway *g, const char *file, bool required, bool dry_run,
	struct buf *plan, struct buf *problems, struct err *e) MUSTCHECK;

#endif
