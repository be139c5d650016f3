/* model.c - see model.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/fake/model.h"

/* splitmix64: a number of its own for each (seed, transaction, draw). */
static uint64_t
draw(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void
model_text(uint64_t number, char text[24])
{
	snprintf(text, 24, "v%" PRIu64, number);
}

static void
add_row(struct fake_table *t, struct fake_row r)
{
	grow(&t->rows, &t->cap, (size_t)t->count + 1, sizeof *t->rows);
	t->rows[t->count++] = r;
}

struct model *
model_new(const struct conf *c)
{
	struct model *m = xcalloc(1, sizeof *m);
	uint32_t rows = (uint32_t)conf_int(c, "source.rows");

	m->seed = (uint64_t)conf_int(c, "source.seed");
	m->ntables = (uint32_t)conf_int(c, "source.tables") + 1;
	m->tables = xcalloc(m->ntables, sizeof *m->tables);
	for (uint32_t i = 0; i < m->ntables; i++) {
		struct fake_table *t = &m->tables[i];

		t->keyed = i + 1 < m->ntables;
		snprintf(t->name, sizeof t->name, t->keyed ? "t%u" : "nokey", i);
		for (uint32_t r = 0; r < rows; r++)
			add_row(t, (struct fake_row){.id = (int64_t)r * 7 + 1, .text = r});
	}
	return m;
}

struct model *
model_copy(const struct model *m)
{
	struct model *n = xmemdup(m, sizeof *m);

	n->tables = xmemdup(m->tables, m->ntables * sizeof *m->tables);
	for (uint32_t i = 0; i < m->ntables; i++) {
		n->tables[i].rows =
			xmemdup(m->tables[i].rows, m->tables[i].count * sizeof(struct fake_row));
		n->tables[i].cap = m->tables[i].count;
	}
	return n;
}

void
model_free(struct model *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i < m->ntables; i++)
		free(m->tables[i].rows);
	free(m->tables);
	free(m);
}

static bool
has_key(const struct fake_table *t, int64_t id)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->rows[i].id == id)
			return true;
	return false;
}

static void
do_insert(struct fake_table *t, struct fake_op *op, uint64_t *s)
{
	struct fake_row r = {.id = (int64_t)(draw(s) % 20000), .text = draw(s) % 1000};

	while (t->keyed && has_key(t, r.id))
		r.id = (int64_t)(draw(s) % 1000000);
	add_row(t, r);
	op->op = EVENT_INSERT;
	op->after = r;
}

static void
do_update(struct fake_table *t, struct fake_op *op, uint64_t *s)
{
	struct fake_row *r = &t->rows[draw(s) % t->count];

	op->op = EVENT_UPDATE;
	op->before = *r;
	r->text = draw(s) % 1000;
	if (draw(s) % 8 == 0) {
		int64_t id = (int64_t)(draw(s) % 1000000);

		if (!t->keyed || !has_key(t, id))
			r->id = id;
	}
	op->after = *r;
}

static void
do_delete(struct fake_table *t, struct fake_op *op, uint64_t *s)
{
	struct fake_row *r = &t->rows[draw(s) % t->count];

	op->op = EVENT_DELETE;
	op->before = *r;
	*r = t->rows[--t->count];
}

void
model_step(struct model *m)
{
	uint64_t s = m->seed * 0x100000001b3u + ++m->at;
	uint32_t n = 1 + (uint32_t)(draw(&s) % FAKE_OPS);

	m->nops = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct fake_op *op = &m->ops[m->nops++];
		uint64_t kind = draw(&s) % 10;
		struct fake_table *t;

		*op = (struct fake_op){.table = (uint32_t)(draw(&s) % m->ntables)};
		t = &m->tables[op->table];
		if (t->count == 0 || kind < 3)
			do_insert(t, op, &s);
		else if (kind < 7)
			do_update(t, op, &s);
		else
			do_delete(t, op, &s);
	}
}

struct table *
model_schema(const struct model *m, uint32_t table)
{
	const struct fake_table *f = &m->tables[table];
	struct table *t = table_new(FAKE_DB, f->name);
	struct column *c = table_add_column(t, "id", TYPE_INTEGER);

	c->native = xstrdup("bigint");
	c = table_add_column(t, "val", TYPE_TEXT);
	c->native = xstrdup("varchar(24)");
	c->charset = xstrdup("utf8mb4");
	c->collation = xstrdup("utf8mb4_bin");
	c->length = 24;
	if (f->keyed)
		index_add_part(table_add_index(t, "PRIMARY", true, true), 0, 0);
	t->rows = f->count;
	t->bytes = (uint64_t)f->count * 32;
	return t;
}

uint32_t
model_find(const struct model *m, const char *name)
{
	for (uint32_t i = 0; i < m->ntables; i++)
		if (strcmp(m->tables[i].name, name) == 0)
			return i;
	return UINT32_MAX;
}
