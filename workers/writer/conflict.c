/*
 * conflict.c - a row that is not as the source's change expects, and what the channel's policy says
 * about it.
 *
 * A mismatch is a conflict (spec S0, S5): an INSERT whose key exists, an UPDATE
 * or DELETE of a row that is not there. TaskFailed stops the channel, Ignore
 * skips the change, Overwrite makes the target's row as the source's. Not
 * conflicts: what a loading table does not have yet, what a selection of
 * changes (`dml`) leaves missing or in the way, and under existing = "ignore"
 * everything that can be mended by writing the row.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "workers/writer/apply_private.h"

#define TEXT_MAX 1024

static void
add_bytes(struct buf *b, const struct value *v, bool text)
{
	uint32_t n = v->len < TEXT_MAX ? v->len : TEXT_MAX;

	if (text) {
		buf_putc(b, '\'');
		buf_add(b, v->data, n);
		buf_putc(b, '\'');
		return;
	}
	buf_puts(b, "x'");
	for (uint32_t i = 0; i < n; i++)
		buf_printf(b, "%02x", v->data[i]);
	buf_putc(b, '\'');
}

static void
add_value(struct buf *b, const struct column *c, const struct value *v)
{
	float f;
	double d;

	if (v->kind != VALUE_BYTES) {
		buf_puts(b, v->kind == VALUE_NULL ? "NULL" : "?");
		return;
	}
	switch (type_layout(c->type)) {
	case LAYOUT_I64:
		buf_printf(b, c->is_unsigned ? "%" PRIu64 : "%" PRId64, (uint64_t)value_i64(v));
		break;
	case LAYOUT_F32:
		memcpy(&f, v->data, v->len == sizeof f ? sizeof f : 0);
		buf_printf(b, "%.9g", v->len == sizeof f ? (double)f : 0.0);
		break;
	case LAYOUT_F64:
		memcpy(&d, v->data, v->len == sizeof d ? sizeof d : 0);
		buf_printf(b, "%.17g", v->len == sizeof d ? d : 0.0);
		break;
	case LAYOUT_TEXT:
		add_bytes(b, v, true);
		break;
	case LAYOUT_BYTES:
	default:
		add_bytes(b, v, false);
		break;
	}
}

static bool
in_key(const struct target *t, uint32_t column)
{
	for (uint32_t p = 0; t->key != NULL && p < t->key->nparts; p++)
		if (t->key->parts[p].column == t->map[column])
			return true;
	return false;
}

/* "a=1, b='x'"; key_only leaves the other columns out. NULL for no row. */
static char *
row_text(const struct target *t, const struct row *r, bool key_only)
{
	struct buf b;

	if (r->ncols == 0)
		return NULL;
	buf_init(&b);
	for (uint32_t i = 0; i < r->ncols && b.len < TEXT_MAX; i++) {
		if (key_only && t->key != NULL && !in_key(t, i))
			continue;
		buf_printf(&b, "%s%s=", b.len != 0 ? ", " : "", t->source->columns[i].name);
		add_value(&b, &t->source->columns[i], &r->col[i]);
	}
	buf_puts(&b, "");
	if (b.len > TEXT_MAX)
		b.data[TEXT_MAX] = '\0';
	return (char *)b.data;
}

static const char *
kind_name(const struct outcome *o)
{
	switch (o->kind) {
	case OUTCOME_DUPLICATE:
		return "duplicate";
	case OUTCOME_MISSING:
		return "missing";
	case OUTCOME_PARENT_MISSING:
		return "parent missing";
	case OUTCOME_DONE:
	case OUTCOME_OTHER:
	default:
		return "refused";
	}
}

static void
report(struct apply_lane *l, const struct work *w, const struct change *c, const struct outcome *o,
	const char *action)
{
	const struct target *t = c->target;
	struct report_conflict r = {.db = t->db,
		.table = t->name,
		.operation = (char *)event_name(c->op),
		.kind = (char *)kind_name(o),
		.action = (char *)action,
		.position = (char *)(w->has_position ? w->commit.applied : ""),
		.time_us = now_us()};
	struct err ignored;

	r.key = row_text(t, c->before.ncols != 0 ? &c->before : &c->after, true);
	r.before = row_text(t, &c->before, false);
	r.after = row_text(t, &c->after, false);
	if (l->apply->sink->ops->fetch(l->sink, c, &r.target, &ignored) != RC_OK)
		r.target = NULL;
	worker_report_conflict(l->apply->worker, &r);
	atomic_fetch_add(&l->apply->worker->stats[STAT_CONFLICTS], 1);
	log_warn(
		"conflict: %s of %s.%s: %s; action=%s", r.operation, r.db, r.table, r.kind, action);
	free(r.key);
	free(r.before);
	free(r.after);
	free(r.target);
}

static enum rc
fail(const struct apply_lane *l, const struct work *w, const struct change *c,
	const struct outcome *o, struct err *e)
{
	const struct target *t = c->target;
	char *key = row_text(t, c->before.ncols != 0 ? &c->before : &c->after, true);

	err_set(e, RC_CONFLICT, "cannot apply %s of %s.%s where %s at source position %s: %s%s%s",
		event_name(c->op), t->db, t->name, key != NULL ? key : "?",
		w->has_position ? w->commit.applied : "?", kind_name(o),
		*o->detail != '\0' ? ": " : "", o->detail);
	err_remedy(e,
		"look at the row with `syncline errors`; make the target's row as the source "
		"expects "
		"it, or let `syncline resync %s %s.%s` load the table again, then `syncline "
		"start`; or "
		"set conflict = \"Ignore\" or \"Overwrite\"",
		l->apply->worker->channel, t->source_db, t->source_name);
	free(key);
	return RC_CONFLICT;
}

static enum rc
run(struct apply_lane *l, const struct change *c, enum row_mode mode, bool fk, struct outcome *o,
	struct err *e)
{
	*o = (struct outcome){0};
	return l->apply->sink->ops->row(l->sink, c, mode, fk, o, e);
}

/* An UPDATE of which the log has the changed columns only: it cannot make a row. */
static bool
is_partial(const struct change *c)
{
	for (uint32_t i = 0; c->op == EVENT_UPDATE && i < c->after.ncols; i++)
		if (c->after.col[i].kind == VALUE_UNCHANGED)
			return true;
	return false;
}

static enum rc
by_policy(struct apply_lane *l, const struct work *w, const struct change *c, struct outcome *o,
	struct err *e)
{
	struct outcome again;
	enum rc rc;

	switch (l->apply->conflict) {
	case CONFLICT_IGNORE:
		report(l, w, c, o, "skipped");
		return RC_OK;
	case CONFLICT_OVERWRITE:
		if ((o->kind != OUTCOME_DUPLICATE && o->kind != OUTCOME_MISSING) || is_partial(c))
			break;
		report(l, w, c, o, "overwritten");
		rc = run(l, c, ROW_OVERWRITE, true, &again, e);
		if (rc != RC_OK || again.kind == OUTCOME_DONE)
			return rc;
		*o = again;
		break;
	case CONFLICT_FAIL:
	default:
		break;
	}
	report(l, w, c, o, "failed");
	return fail(l, w, c, o, e);
}

/* While a table loads. *settled: nothing more is to be done. */
static enum rc
while_loading(struct apply_lane *l, const struct change *c, struct outcome *o, bool *settled,
	struct err *e)
{
	*settled = false;
	if ((c->shape & SHAPE_LENIENT) == 0 || o->kind != OUTCOME_MISSING)
		return RC_OK;
	*settled = true;
	/* What cannot be made makes the table load again. */
	if ((c->shape & SHAPE_KEY_MOVES) == 0 || is_partial(c))
		return RC_OK;
	*settled = false;
	return run(l, c, ROW_UPSERT, true, o, e);
}

bool
conflict_may_miss(const struct apply *a, enum event_kind op)
{
	return (op == EVENT_UPDATE && a->lacks[EVENT_INSERT]) ||
	       (op == EVENT_DELETE && (a->lacks[EVENT_INSERT] || a->lacks[EVENT_UPDATE]));
}

/* `dml` without all: a row that never came, or refers to one, is let be; one that never went is
 * overwritten. */
static enum rc
under_selection(struct apply_lane *l, const struct change *c, struct outcome *o, bool *settled,
	struct err *e)
{
	const bool *lacks = l->apply->lacks;

	*settled =
		(o->kind == OUTCOME_MISSING && conflict_may_miss(l->apply, c->op)) ||
		(o->kind == OUTCOME_PARENT_MISSING && (lacks[EVENT_INSERT] || lacks[EVENT_UPDATE]));
	l->unmatched += *settled;
	if (o->kind == OUTCOME_DUPLICATE && (lacks[EVENT_DELETE] || lacks[EVENT_UPDATE]) &&
		!is_partial(c))
		return run(l, c, ROW_OVERWRITE, true, o, e);
	return RC_OK;
}

/* existing = "ignore": what can be mended by writing the row is not a conflict. */
static enum rc
where_rows_existed(struct apply_lane *l, const struct change *c, struct outcome *o, struct err *e)
{
	if (l->apply->existing != EXISTING_IGNORE)
		return RC_OK;
	if (o->kind == OUTCOME_MISSING && c->op == EVENT_DELETE)
		o->kind = OUTCOME_DONE;
	else if ((o->kind == OUTCOME_MISSING || o->kind == OUTCOME_DUPLICATE) && !is_partial(c))
		return run(l, c, ROW_OVERWRITE, true, o, e);
	return RC_OK;
}

enum rc
conflict_load(struct apply_lane *l, struct change *const *rows, uint32_t n, struct err *e)
{
	const struct sink_ops *ops = l->apply->sink->ops;
	struct err why;

	if (ops->rollback(l->sink, &why) != RC_OK || ops->begin(l->sink, &why) != RC_OK)
		return e->rc;
	for (uint32_t i = 0; i < n; i++) {
		const struct target *t = rows[i]->target;
		struct outcome o;
		char *key;

		if (run(l, rows[i], ROW_STRICT, false, &o, &why) != RC_OK)
			return e->rc;
		if (o.kind == OUTCOME_DONE || o.kind == OUTCOME_DUPLICATE)
			continue;
		key = row_text(t, &rows[i]->after, true);
		why = *e;
		err_set(e, RC_DATA, "cannot load the row of %s.%s where %s: %s", t->db, t->name,
			key, o.detail);
		free(key);
		return err_remedy(e, "%s",
			*why.remedy != '\0' ? why.remedy
					    : "change the row at the source, or see what `lossy` "
					      "accepts (TYPES "
					      "in syncline.conf(5)); then `syncline start`");
	}
	return e->rc;
}

enum rc
conflict_row(struct apply_lane *l, const struct work *w, const struct change *c, struct err *e)
{
	struct outcome o;
	bool settled = false;
	enum rc rc = run(l, c, ROW_STRICT, true, &o, e);

	if (rc == RC_OK && o.kind == OUTCOME_PARENT_MISSING &&
		w->loading) /* the parent's chunk is still to come */
		rc = run(l, c, ROW_STRICT, false, &o, e);
	if (rc == RC_OK && o.kind != OUTCOME_DONE)
		rc = while_loading(l, c, &o, &settled, e);
	if (rc == RC_OK && !settled && o.kind != OUTCOME_DONE)
		rc = under_selection(l, c, &o, &settled, e);
	if (rc == RC_OK && !settled && o.kind != OUTCOME_DONE)
		rc = where_rows_existed(l, c, &o, e);
	if (rc != RC_OK || settled || o.kind == OUTCOME_DONE)
		return rc;
	return by_policy(l, w, c, &o, e);
}
