/*
 * exposition.h - the state of all channels in Prometheus' text form.
 *
 * Base units, a HELP and a TYPE per name, one label "channel" (and one bounded
 * one where a name has parts). The names are a contract with dashboards.
 */
#ifndef SUPERVISOR_EXPOSITION_H
#define SUPERVISOR_EXPOSITION_H

#include "common/compat.h"

#include "common/buf.h"
#include "supervisor/gateway.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

void exposition_write(const struct gateway *g, struct buf *out);

#endif
