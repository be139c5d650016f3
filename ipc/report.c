/* report.c - see report.h. */
#include "common/compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "ipc/report.h"

#define MAX_COUNT (1u << 24)

static enum rc
finish(const struct cursor *c, const char *what, struct err *e)
{
	return cursor_done(c) ? RC_OK : err_set(e, RC_BUG, "a %s message is damaged", what);
}

/* A count of things of at least `size` bytes each. */
static uint32_t
r_count(struct cursor *c, size_t size)
{
	uint32_t n = cursor_u32(c);

	if (n > MAX_COUNT || n > cursor_left(c) / size) {
		c->bad = true;
		return 0;
	}
	return n;
}

static void
r_buf(struct cursor *c, struct buf *b)
{
	size_t n;
	const unsigned char *p = cursor_bytes(c, &n);

	if (p != NULL && n != 0)
		buf_add(b, p, n);
}

static bool
r_bool(struct cursor *c)
{
	uint8_t v = cursor_u8(c);

	if (v > 1)
		c->bad = true;
	return v == 1;
}

static enum table_state
r_state(struct cursor *c)
{
	uint8_t s = cursor_u8(c);

	if (s >= TABLE_STATE_COUNT) {
		c->bad = true;
		return TABLE_WAITING;
	}
	return (enum table_state)s;
}

/* ---- checks ---- */

void
checks_init(struct checks *c)
{
	*c = (struct checks){0};
}

void
checks_release(struct checks *c)
{
	for (uint32_t i = 0; i < c->count; i++) {
		free(c->items[i].item);
		free(c->items[i].cause);
		free(c->items[i].remedy);
	}
	free(c->items);
	free(c->sql);
	found_release(&c->found);
	*c = (struct checks){0};
}

/* What a found table tells beside itself, in the order in which it travels. */
#define FOUND_TEXTS(X) \
	X(charsets)    \
	X(sql)         \
	X(session)

void
found_add(struct found *f, const struct table *t, const char *charsets, const char *sql,
	const char *session)
{
	struct table *own = table_copy_whole(t);

	if (own == NULL)
		return;
	f->tables = xreallocarray(f->tables, f->count + 1, sizeof *f->tables);
	f->tables[f->count++] = (struct found_table){.table = own,
		.db = own->db,
		.name = own->name,
#define X(text) .text = xstrdup(text),
		FOUND_TEXTS(X)
#undef X
	};
}

void
found_release(struct found *f)
{
	for (uint32_t i = 0; i < f->count; i++) {
#define X(text) free(f->tables[i].text);
		FOUND_TEXTS(X)
#undef X
		table_free(f->tables[i].table);
	}
	free(f->tables);
	*f = (struct found){0};
}

void
found_encode(const struct found *f, struct buf *b)
{
	buf_u32(b, f->count);
	for (uint32_t i = 0; i < f->count; i++) {
		table_encode(f->tables[i].table, b);
#define X(text) buf_str(b, f->tables[i].text);
		FOUND_TEXTS(X)
#undef X
	}
}

void
found_decode(struct cursor *c, struct found *out)
{
	uint32_t n = r_count(c, 20);

	*out = (struct found){0};
	for (uint32_t i = 0; i < n && cursor_ok(c); i++) {
		struct found_table t = {0};

		c->bad = table_decode(c, &t.table, NULL) != RC_OK;
#define X(text) c->bad = (t.text = cursor_strdup(c)) == NULL || c->bad;
		FOUND_TEXTS(X)
#undef X
		if (cursor_ok(c))
			found_add(out, t.table, t.charsets, t.sql, t.session);
#define X(text) free(t.text);
		FOUND_TEXTS(X)
#undef X
		table_free(t.table);
	}
}

static struct check_item *
add_item(struct checks *c)
{
	c->items = xreallocarray(c->items, c->count + 1, sizeof *c->items);
	c->items[c->count] = (struct check_item){0};
	return &c->items[c->count++];
}

void
checks_pass(struct checks *c, const char *item)
{
	struct check_item *i = add_item(c);

	i->item = xstrdup(item);
	i->result = CHECK_PASS;
}

void
checks_pass_rest(struct checks *c, const char *item)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (c->items[i].result == CHECK_FAIL && strcmp(c->items[i].item, item) == 0)
			return;
	checks_pass(c, item);
}

void
checks_add(struct checks *c, enum check_result r, const char *item, const char *remedy,
	const char *cause_fmt, ...)
{
	struct check_item *i = add_item(c);
	va_list ap;

	i->item = xstrdup(item);
	i->result = r;
	i->remedy = xstrdup(remedy != NULL ? remedy : "");
	va_start(ap, cause_fmt);
	if (vasprintf(&i->cause, cause_fmt, ap) < 0)
		i->cause = xstrdup("");
	va_end(ap);
}

bool
checks_failed(const struct checks *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (c->items[i].result == CHECK_FAIL)
			return true;
	return false;
}

void
checks_encode(const struct checks *t, struct buf *b)
{
	buf_u32(b, t->count);
	for (uint32_t i = 0; i < t->count; i++) {
		buf_str(b, t->items[i].item);
		buf_u8(b, (uint8_t)t->items[i].result);
		buf_str(b, t->items[i].cause);
		buf_str(b, t->items[i].remedy);
	}
	buf_str(b, t->sql);
	found_encode(&t->found, b);
}

enum rc
checks_decode(struct cursor *c, struct checks *out, struct err *e)
{
	uint32_t n = r_count(c, 13);
	enum rc rc;

	checks_init(out);
	for (uint32_t i = 0; i < n && cursor_ok(c); i++) {
		struct check_item *item = add_item(out);
		uint8_t result;

		item->item = cursor_strdup(c);
		result = cursor_u8(c);
		if (result > CHECK_FAIL || item->item == NULL)
			c->bad = true;
		item->result = result > CHECK_FAIL ? CHECK_FAIL : (enum check_result)result;
		item->cause = cursor_strdup(c);
		item->remedy = cursor_strdup(c);
	}
	out->sql = cursor_strdup(c);
	found_decode(c, &out->found);
	if ((rc = finish(c, "checked", e)) != RC_OK)
		checks_release(out);
	return rc;
}

/* ---- resume ---- */

void
resume_init(struct resume *r)
{
	*r = (struct resume){.fresh = true};
}

void
resume_release(struct resume *r)
{
	for (uint32_t i = 0; i < r->ntables; i++) {
		struct resume_table *t = &r->tables[i];

		for (uint32_t k = 0; k < t->nchunks; k++) {
			buf_release(&t->chunks[k].lo);
			buf_release(&t->chunks[k].hi);
		}
		free(t->chunks);
		free(t->db);
		free(t->name);
		buf_release(&t->schema);
	}
	free(r->tables);
	free(r->applied);
	free(r->resume);
	free(r->source_id);
	free(r->wish);
	*r = (struct resume){0};
}

struct resume_table *
resume_add_table(struct resume *r, const char *db, const char *name, enum table_state state)
{
	struct resume_table *t;

	r->tables = xreallocarray(r->tables, r->ntables + 1, sizeof *r->tables);
	t = &r->tables[r->ntables++];
	*t = (struct resume_table){.db = xstrdup(db), .name = xstrdup(name), .state = state};
	return t;
}

struct resume_chunk *
resume_add_chunk(struct resume_table *t, uint32_t number)
{
	t->chunks = xreallocarray(t->chunks, t->nchunks + 1, sizeof *t->chunks);
	t->chunks[t->nchunks] = (struct resume_chunk){.number = number};
	return &t->chunks[t->nchunks++];
}

struct resume_table *
resume_find(const struct resume *r, const char *db, const char *name)
{
	for (uint32_t i = 0; i < r->ntables; i++)
		if (strcmp(r->tables[i].name, name) == 0 && strcmp(r->tables[i].db, db) == 0)
			return &r->tables[i];
	return NULL;
}

static void
encode_resume_table(const struct resume_table *t, struct buf *b)
{
	buf_str(b, t->db);
	buf_str(b, t->name);
	buf_u8(b, (uint8_t)t->state);
	buf_u8(b, t->inserted);
	buf_bytes(b, t->schema.data, t->schema.len);
	buf_u32(b, t->nchunks);
	for (uint32_t i = 0; i < t->nchunks; i++) {
		const struct resume_chunk *k = &t->chunks[i];

		buf_u32(b, k->number);
		buf_u8(b, k->last);
		buf_u64(b, k->rows);
		buf_bytes(b, k->lo.data, k->lo.len);
		buf_bytes(b, k->hi.data, k->hi.len);
	}
}

void
resume_encode(const struct resume *r, struct buf *b)
{
	buf_u8(b, r->fresh);
	buf_str(b, r->applied);
	buf_str(b, r->resume);
	buf_u32(b, r->incarnation);
	buf_str(b, r->source_id);
	buf_str(b, r->wish);
	buf_u32(b, r->ntables);
	for (uint32_t i = 0; i < r->ntables; i++)
		encode_resume_table(&r->tables[i], b);
}

static void
decode_resume_table(struct cursor *c, struct resume *out)
{
	char *db = cursor_strdup(c), *name = cursor_strdup(c);
	struct resume_table *t = resume_add_table(
		out, db != NULL ? db : "", name != NULL ? name : "", TABLE_WAITING);
	uint32_t n;

	if (db == NULL || name == NULL)
		c->bad = true;
	free(db);
	free(name);
	t->state = r_state(c);
	t->inserted = r_bool(c);
	r_buf(c, &t->schema);
	n = r_count(c, 21);
	for (uint32_t i = 0; i < n && cursor_ok(c); i++) {
		struct resume_chunk *k = resume_add_chunk(t, cursor_u32(c));

		k->last = r_bool(c);
		k->rows = cursor_u64(c);
		r_buf(c, &k->lo);
		r_buf(c, &k->hi);
	}
}

enum rc
resume_decode(struct cursor *c, struct resume *out, struct err *e)
{
	uint32_t n;
	enum rc rc;

	resume_init(out);
	out->fresh = r_bool(c);
	out->applied = cursor_strdup(c);
	out->resume = cursor_strdup(c);
	out->incarnation = cursor_u32(c);
	out->source_id = cursor_strdup(c);
	out->wish = cursor_strdup(c);
	n = r_count(c, 18);
	for (uint32_t i = 0; i < n && cursor_ok(c); i++)
		decode_resume_table(c, out);
	if ((rc = finish(c, "resume", e)) != RC_OK)
		resume_release(out);
	return rc;
}

/* ---- reports ---- */

void
report_table_encode(const struct report_table *t, struct buf *b)
{
	buf_str(b, t->db);
	buf_str(b, t->name);
	buf_u8(b, (uint8_t)t->state);
	buf_u32(b, t->chunks_done);
	buf_u64(b, t->rows_done);
	buf_u64(b, t->rows_expected);
	buf_u64(b, t->bytes_done);
	buf_str(b, t->reason);
}

enum rc
report_table_decode(struct cursor *c, struct report_table *out, struct err *e)
{
	enum rc rc;

	*out = (struct report_table){0};
	out->db = cursor_strdup(c);
	out->name = cursor_strdup(c);
	out->state = r_state(c);
	out->chunks_done = cursor_u32(c);
	out->rows_done = cursor_u64(c);
	out->rows_expected = cursor_u64(c);
	out->bytes_done = cursor_u64(c);
	out->reason = cursor_strdup(c);
	if (out->db == NULL || out->name == NULL)
		c->bad = true;
	if ((rc = finish(c, "table", e)) != RC_OK)
		report_table_release(out);
	return rc;
}

void
report_table_release(struct report_table *t)
{
	free(t->db);
	free(t->name);
	free(t->reason);
	*t = (struct report_table){0};
}

/* The texts of a conflict, in the order in which they travel. */
#define CONFLICT_TEXTS(X, r) \
	X((r)->db)           \
	X((r)->table)        \
	X((r)->operation)    \
	X((r)->kind)         \
	X((r)->key)          \
	X((r)->before)       \
	X((r)->after)        \
	X((r)->target)       \
	X((r)->action)       \
	X((r)->position)

void
report_conflict_encode(const struct report_conflict *t, struct buf *b)
{
#define X(text) buf_str(b, text);
	CONFLICT_TEXTS(X, t)
#undef X
	buf_u64(b, t->time_us);
}

enum rc
report_conflict_decode(struct cursor *c, struct report_conflict *out, struct err *e)
{
	enum rc rc;

	*out = (struct report_conflict){0};
#define X(text) text = cursor_strdup(c);
	CONFLICT_TEXTS(X, out)
#undef X
	out->time_us = cursor_u64(c);
	if (out->db == NULL || out->table == NULL || out->operation == NULL || out->kind == NULL)
		c->bad = true;
	if ((rc = finish(c, "conflict", e)) != RC_OK)
		report_conflict_release(out);
	return rc;
}

void
report_conflict_release(struct report_conflict *t)
{
#define X(text) free(text);
	CONFLICT_TEXTS(X, t)
#undef X
	*t = (struct report_conflict){0};
}
