/*
 * view.h - what others may know of a channel, as JSON: the same object for
 * `syncline status --json`, for its plain form, and for `syncline run`.
 */
#ifndef SUPERVISOR_VIEW_H
#define SUPERVISOR_VIEW_H

#include "common/compat.h"

#include <jansson.h>
#include <stdbool.h>

#include "ipc/report.h"
#include "supervisor/runner.h"

/* Raised when a field changes its meaning or goes away; new ones may come at any time. */
#define VIEW_VERSION 1

/* details: also each table, the last precheck and the latest moves. A new reference. */
json_t *view_channel(const struct runner *r, bool details);
json_t *view_checks(const struct checks *c);
json_t *view_conflicts(struct store *s, const char *id, unsigned limit);
json_t *view_moves(struct store *s, const char *id, unsigned limit);
/* The trend of the three metrics since then, in about `points` buckets. */
json_t *view_metrics(struct store *s, const char *id, uint64_t since_us, unsigned points);
json_t *view_err(const struct err *e);

#endif
