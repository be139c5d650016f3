/*
 * conf_show.h - the effective configuration, for -T.
 *
 * One line a setting, in the order of the option rows:
 *     source.host = "db1"                      # /etc/syncline/conf.d/a.conf:3
 *     lanes = 4                                # default
 * Secrets are masked, so the output may be shown to others. Rows that the
 * end's kind does not know, and rows without value and default, are left out.
 */
#ifndef SUPERVISOR_CONF_SHOW_H
#define SUPERVISOR_CONF_SHOW_H

#include "common/compat.h"

#include "common/buf.h"
#include "common/conf.h"

/* `rows` are those that c was made with. Adds to out. */
void conf_print_effective(const struct conf *c, const struct option *rows, struct buf *out);

#endif
