/* rows.c - batches, single rows and loads at a MySQL target; see sink.h of the room. */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

#define DUPLICATE 1062
#define DUPLICATE_WITH_KEY 1586
#define PARENT_MISSING 1452
#define NO_PARENT 1216
/* One execution with array binding takes this much at most: the server keeps a packet in memory. */
#define BULK_ROWS 2000u

static enum form
form_of(enum event_kind op)
{
	return op == EVENT_INSERT ? FORM_INSERT : op == EVENT_UPDATE ? FORM_UPDATE : FORM_DELETE;
}

/* Array binding: not for LIMIT 1 by all columns, where each row needs its own look at what the ones
 * before have left, and not where the text has many rows itself. */
static bool
takes_arrays(const struct mysql_lane *l, const struct statement *s)
{
	return l->bulk && s->form != FORM_DELETE &&
	       (s->target->key != NULL || s->form != FORM_UPDATE);
}

/*
 * An ENUM's error value, 0, is what a source without strict mode made of a
 * wrong label. It can only be written without strict mode, with a warning each.
 */
static uint32_t
error_values(const struct change *c, enum form form)
{
	const struct table *source = c->target->source;
	uint32_t n = 0;

	if (form == FORM_DELETE)
		return 0;
	for (uint32_t i = 0; i < source->ncolumns; i++) {
		const struct value *v = &c->after.col[i];
		uint32_t to = c->target->map[i];

		if (source->columns[i].type == TYPE_ENUM && v->kind == VALUE_BYTES &&
			to != UINT32_MAX && c->target->table->columns[to].type == TYPE_ENUM)
			n += value_i64(v) == 0;
	}
	return n;
}

static enum rc
be_lenient(struct mysql_lane *l, bool lenient, struct err *e)
{
	enum rc rc = RC_OK;

	if (l->lenient != lenient)
		rc = client_run(&l->c, e, "SET SESSION sql_mode = '%s'",
			lenient ? SINK_LENIENT_MODE : SINK_SQL_MODE);
	if (rc == RC_OK)
		l->lenient = lenient;
	return rc;
}

/* How many of the waiting changes may go before one that goes alone; that one by itself. */
static uint32_t
together(const struct change *const *changes, uint32_t count)
{
	uint32_t n = 0;

	while (n < count && !statement_alone(changes[n]))
		n++;
	return n == 0 ? 1 : n;
}

static enum rc
run_all(struct mysql_lane *l, enum form form, const struct change *const *changes, uint32_t count,
	uint64_t *found, uint64_t *warnings, struct err *e)
{
	uint32_t at = 0;

	while (at < count) {
		uint32_t left = together(changes + at, count - at), n, expected = 0, warned;
		struct statement *s;
		enum rc rc = statement_get(l, form, changes[at], left, &s, e);

		if (rc != RC_OK)
			return rc;
		n = s->rows;
		if (takes_arrays(l, s))
			n = left < BULK_ROWS ? left : BULK_ROWS;
		for (uint32_t i = 0; i < n; i++)
			expected += error_values(changes[at + i], form);
		if ((rc = be_lenient(l, expected != 0, e)) != RC_OK ||
			(rc = statement_run(l, s, changes + at, n, found, e)) != RC_OK)
			return rc;
		warned = mysql_warning_count(l->c.my);
		*warnings += warned > expected ? warned - expected : 0;
		at += n;
	}
	return RC_OK;
}

enum rc
sink_batch(struct sink_lane *base, struct batch *b, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	uint64_t warnings = 0;
	enum rc rc;

	b->matched = 0;
	if ((rc = lane_fk(l, b->changes[0]->fk_off, e)) != RC_OK)
		return rc;
	rc = run_all(l, form_of(b->op), b->changes, b->count, &b->matched, &warnings, e);
	if (rc == RC_OK && warnings != 0)
		return err_set(e, RC_DATA, "target warns of row changes in %s.%s", b->target->db,
			b->target->name);
	return rc == RC_CONFIG && e->code == DUPLICATE ? RC_CONFLICT : rc;
}

/* ---- looking ---- */

static void
add_literal(struct buf *b, const struct column *s, const struct value *v)
{
	float f;
	double d;

	if (v->kind != VALUE_BYTES) {
		buf_puts(b, "NULL");
		return;
	}
	switch (type_layout(s->type)) {
	case LAYOUT_I64:
		buf_printf(b, s->is_unsigned ? "%llu" : "%lld", (unsigned long long)value_i64(v));
		break;
	case LAYOUT_F32:
		memcpy(&f, v->data, sizeof f);
		buf_printf(b, "%.9g", (double)f);
		break;
	case LAYOUT_F64:
		memcpy(&d, v->data, sizeof d);
		buf_printf(b, "%.17g", d);
		break;
	case LAYOUT_TEXT:
		if (s->type == TYPE_TEXT) {
			buf_printf(b, "_%s ", s->charset);
			mysql_quote_hex(b, v->data, v->len);
		} else {
			buf_printf(b, "'%.*s'", (int)v->len, v->data);
		}
		break;
	case LAYOUT_BYTES:
	default:
		mysql_quote_hex(b, v->data, v->len);
		break;
	}
}

static uint32_t
row_column(const struct target *t, uint32_t target_column)
{
	for (uint32_t i = 0; i < t->source->ncolumns; i++)
		if (t->map[i] == target_column)
			return i;
	return UINT32_MAX;
}

/* " WHERE a = 1 AND b = 2" for an index; false if the image does not have all of its values, or one
 * is NULL. */
static bool
where_index(struct buf *b, const struct target *t, const struct index *ix, const struct row *r)
{
	for (uint32_t p = 0; p < ix->nparts; p++) {
		uint32_t i = ix->parts[p].column != UINT32_MAX ? row_column(t, ix->parts[p].column)
							       : UINT32_MAX;

		if (i == UINT32_MAX || r->ncols == 0 || r->col[i].kind != VALUE_BYTES ||
			ix->parts[p].prefix != 0)
			return false;
		buf_puts(b, p == 0 ? " WHERE " : " AND ");
		mysql_quote_name(b, t->table->columns[ix->parts[p].column].name);
		buf_puts(b, " = ");
		add_literal(b, &t->source->columns[i], &r->col[i]);
	}
	return ix->nparts != 0;
}

/* Deletes what stands in the way of the new image, index by index. */
static enum rc
remove_clashes(struct mysql_lane *l, const struct change *c, struct err *e)
{
	const struct target *t = c->target;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < t->table->nindexes && rc == RC_OK; i++) {
		struct buf b;

		if (!t->table->indexes[i].unique)
			continue;
		buf_init(&b);
		buf_puts(&b, "DELETE FROM ");
		mysql_quote_table(&b, t->db, t->name);
		if (where_index(&b, t, &t->table->indexes[i], &c->after))
			rc = lane_exec(l, &b, e);
		buf_release(&b);
	}
	return rc;
}

static char *
row_text(MYSQL_RES *res)
{
	MYSQL_ROW row = mysql_fetch_row(res);
	struct buf b;

	if (row == NULL)
		return NULL;
	buf_init(&b);
	for (unsigned i = 0; i < mysql_num_fields(res) && b.len < 1024; i++) {
		const char *name = mysql_fetch_field_direct(res, i)->name;

		buf_printf(&b, "%s%s=%.200s", i != 0 ? ", " : "", name,
			row[i] != NULL ? row[i] : "NULL");
	}
	return (char *)b.data;
}

enum rc
sink_fetch(struct sink_lane *base, const struct change *c, char **text, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	const struct target *t = c->target;
	const struct row *r = c->op == EVENT_INSERT ? &c->after : &c->before;
	enum rc rc = RC_OK;

	*text = NULL;
	for (uint32_t i = 0; i < t->table->nindexes && rc == RC_OK && *text == NULL; i++) {
		MYSQL_RES *res;
		struct buf b;

		if (!t->table->indexes[i].unique)
			continue;
		buf_init(&b);
		buf_puts(&b, "SELECT * FROM ");
		mysql_quote_table(&b, t->db, t->name);
		if (where_index(&b, t, &t->table->indexes[i], r) &&
			(rc = client_query(&l->c, &res, e, "%s LIMIT 1", buf_text(&b))) == RC_OK) {
			*text = row_text(res);
			mysql_free_result(res);
		}
		buf_release(&b);
	}
	return rc;
}

/* ---- single rows ---- */

static void
set_outcome(struct outcome *out, enum outcome_kind kind, const char *detail)
{
	out->kind = kind;
	snprintf(out->detail, sizeof out->detail, "%.*s", (int)sizeof out->detail - 1, detail);
}

/* The server's refusal as what it means for the row; true: it is about the row. */
static bool
explain(struct mysql_lane *l, const struct err *e, struct outcome *out)
{
	const char *words = e->text;

	(void)l;
	switch (e->code) {
	case DUPLICATE:
	case DUPLICATE_WITH_KEY:
		set_outcome(out, OUTCOME_DUPLICATE, words);
		return true;
	case PARENT_MISSING:
	case NO_PARENT:
		set_outcome(out, OUTCOME_PARENT_MISSING, words);
		return true;
	default:
		set_outcome(out, OUTCOME_OTHER, words);
		return e->rc == RC_DATA;
	}
}

static enum rc
first_warning(struct mysql_lane *l, struct outcome *out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&l->c, &res, e, "SHOW WARNINGS");

	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	set_outcome(out, OUTCOME_OTHER, row != NULL ? row[2] : "an unknown warning");
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
run_one(struct mysql_lane *l, enum form form, const struct change *c, struct outcome *out,
	struct err *e)
{
	uint64_t found = 0, warnings = 0;
	enum rc rc = run_all(l, form, &c, 1, &found, &warnings, e);

	*out = (struct outcome){.kind = OUTCOME_DONE};
	if (rc != RC_OK)
		return explain(l, e, out) ? RC_OK : rc;
	if (warnings != 0)
		return first_warning(l, out, e);
	if (found == 0)
		set_outcome(out, OUTCOME_MISSING, "no such row at the target");
	return RC_OK;
}

/* The rows that clash with the new image in any unique index go; then it is written. */
static enum rc
overwrite(struct mysql_lane *l, const struct change *c, struct outcome *out, struct err *e)
{
	const struct target *t = c->target;
	struct change insert = *c, gone = *c;
	enum rc rc = RC_OK;

	insert.op = EVENT_INSERT;
	insert.shape ^= 0x5bd1e995u; /* its own statement: the images are not an INSERT's */
	if (c->op == EVENT_UPDATE && t->key != NULL) {
		gone.op = EVENT_DELETE;
		gone.shape ^= 0x9747b28cu;
		rc = run_one(l, FORM_DELETE, &gone, out, e);
	}
	for (uint32_t tries = 0; rc == RC_OK && tries <= t->table->nindexes; tries++) {
		rc = run_one(l, FORM_INSERT, &insert, out, e);
		if (rc != RC_OK || out->kind != OUTCOME_DUPLICATE)
			return rc;
		rc = remove_clashes(l, c, e);
	}
	return rc;
}

enum rc
sink_row(struct sink_lane *base, const struct change *c, enum row_mode mode, bool fk_checks,
	struct outcome *out, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	struct change insert;
	enum rc rc = lane_fk(l, !fk_checks || c->fk_off, e);

	if (rc != RC_OK)
		return rc;
	switch (mode) {
	case ROW_STRICT:
		return run_one(l, form_of(c->op), c, out, e);
	case ROW_OVERWRITE:
		if (c->op == EVENT_DELETE)
			rc = run_one(l, FORM_DELETE, c, out, e);
		else
			rc = overwrite(l, c, out, e);
		if (rc == RC_OK && out->kind == OUTCOME_MISSING)
			out->kind = OUTCOME_DONE;
		return rc;
	case ROW_UPSERT:
	default:
		insert = *c;
		insert.op = EVENT_INSERT;
		insert.shape ^= 0x5bd1e995u;
		return run_one(l, FORM_INSERT, &insert, out, e);
	}
}

/* ---- loads ---- */

/* Values that the target would change. */
static enum rc
warned(struct mysql_lane *l, const struct target *t, struct err *e)
{
	struct err ignored;
	MYSQL_RES *res;
	MYSQL_ROW row;

	err_set(e, RC_DATA, "loading %s.%s: the target does not take the rows as they are", t->db,
		t->name);
	if (client_query(&l->c, &res, &ignored, "SHOW WARNINGS") != RC_OK)
		return RC_DATA;
	while ((row = mysql_fetch_row(res)) != NULL)
		if (strcmp(row[1], "1062") != 0) { /* a row that is kept */
			err_set(e, RC_DATA, "loading %s.%s: %s (warning %s of the target)", t->db,
				t->name, row[2], row[1]);
			break;
		}
	mysql_free_result(res);
	return err_remedy(e, "give the target's table columns that hold what the source's do, or a "
			     "default where the source has no such column, then `syncline start`");
}

enum rc
sink_load(struct sink_lane *base, struct target *t, struct change *const *rows, uint32_t count,
	bool keep, uint64_t *kept, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	uint64_t found = 0, warnings = 0;
	enum rc rc = lane_fk(l, true, e);

	if (rc == RC_OK)
		rc = run_all(l, keep ? FORM_INSERT_IGNORE : FORM_INSERT,
			(const struct change *const *)rows, count, &found, &warnings, e);
	if (rc != RC_OK)
		return err_context(e, "loading %s.%s", t->db, t->name), rc;
	*kept = count - found;
	if (found != count && !keep)
		return err_set(e, RC_BUG, "a load of %u rows into %s.%s wrote %llu", count, t->db,
			t->name, (unsigned long long)found);
	return warnings > *kept ? warned(l, t, e) : RC_OK;
}
