/* batch.c - see batch.h. */
#include "common/compat.h"

#include <string.h>

#include "workers/writer/batch.h"

/*
 * Each change goes into the earliest batch of its shape that lies behind every
 * batch with a change it must not pass. For each token we remember the last
 * batch that holds it in each mode; for each component the last batch.
 */
struct mark {
	uint64_t hash;
	uint32_t last[3]; /* batch number + 1 by mode; 0: none */
	bool used;
};

struct open_batch {
	uint64_t shape;
	uint32_t last; /* newest batch of that shape, + 1 */
};

struct planner {
	struct mark *marks;
	size_t nmarks;
	struct mark *components;
	size_t ncomponents;
	struct open_batch *shapes;
	size_t nshapes;
	struct building *built;
	uint32_t nbuilt;
};

struct building {
	uint64_t shape;
	uint32_t count;
	uint32_t previous; /* older batch of the same shape, + 1 */
	const struct change **changes;
	uint32_t filled;
};

static size_t
power_of_two(size_t n)
{
	size_t p = 16;

	while (p < n)
		p *= 2;
	return p;
}

static struct mark *
mark_of(struct mark *marks, size_t n, uint64_t hash)
{
	size_t i = (size_t)(hash * 0x9e3779b97f4a7c15u >> 16) & (n - 1);

	while (marks[i].used && marks[i].hash != hash)
		i = (i + 1) & (n - 1);
	marks[i].used = true;
	marks[i].hash = hash;
	return &marks[i];
}

static struct open_batch *
shape_of(struct planner *p, uint64_t shape)
{
	size_t i = (size_t)(shape * 0x9e3779b97f4a7c15u >> 16) & (p->nshapes - 1);

	while (p->shapes[i].last != 0 && p->shapes[i].shape != shape)
		i = (i + 1) & (p->nshapes - 1);
	p->shapes[i].shape = shape;
	return &p->shapes[i];
}

/* The last batch that has the token in a mode that conflicts, + 1; 0: none. */
static uint32_t
last_conflict(const struct mark *m, enum token_mode with)
{
	uint32_t at = 0;

	for (enum token_mode mode = TOKEN_R; mode <= TOKEN_C; mode++)
		if (m->last[mode] > at && token_conflict(mode, with))
			at = m->last[mode];
	return at;
}

/* The first batch that the change may go into: behind all that it conflicts with. */
static uint32_t
earliest(struct planner *p, const struct change *c)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < c->ntokens; i++) {
		uint32_t last = last_conflict(
			mark_of(p->marks, p->nmarks, c->tokens[i].hash), c->tokens[i].mode);

		at = last > at ? last : at;
	}
	if (c->component != 0) {
		const struct mark *m = mark_of(p->components, p->ncomponents, c->component);

		/* Not before the last of its relatives, but with it if they share a statement. */
		if (m->last[0] != 0 && m->last[0] - 1 > at)
			at = m->last[0] - 1;
		else if (m->last[0] != 0 && m->last[0] - 1 == at && p->built[at].shape != c->shape)
			at = m->last[0];
	}
	return at;
}

static void
remember(struct planner *p, const struct change *c, uint32_t batch)
{
	for (uint32_t i = 0; i < c->ntokens; i++) {
		struct mark *m = mark_of(p->marks, p->nmarks, c->tokens[i].hash);

		if (batch + 1 > m->last[c->tokens[i].mode])
			m->last[c->tokens[i].mode] = batch + 1;
	}
	if (c->component != 0)
		mark_of(p->components, p->ncomponents, c->component)->last[0] = batch + 1;
}

/* The oldest batch of the shape from `at` on that has room; a new one at the end if there is none.
 */
static uint32_t
choose(struct planner *p, const struct change *c, uint32_t at, uint32_t max_rows)
{
	struct open_batch *o = shape_of(p, c->shape);
	uint32_t found = UINT32_MAX;

	for (uint32_t b = o->last; b != 0 && b - 1 >= at; b = p->built[b - 1].previous)
		if (p->built[b - 1].count < max_rows)
			found = b - 1;
	if (found != UINT32_MAX)
		return found;
	p->built[p->nbuilt] = (struct building){.shape = c->shape, .previous = o->last};
	o->last = p->nbuilt + 1;
	return p->nbuilt++;
}

static size_t
count_tokens(struct change *const *changes, uint32_t count)
{
	size_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		n += changes[i]->ntokens;
	return n;
}

/* ---- what waits for the gate ---- */

static bool
is_late(struct planner *p, const struct change *c)
{
	for (uint32_t i = 0; i < c->ntokens; i++)
		if (last_conflict(mark_of(p->marks, p->nmarks, c->tokens[i].hash),
			    c->tokens[i].mode) != 0)
			return true;
	return c->component != 0 &&
	       mark_of(p->components, p->ncomponents, c->component)->last[0] != 0;
}

uint32_t
batch_late(struct arena *a, struct change **changes, uint32_t count, const struct token_list *meets)
{
	struct planner p = {
		.nmarks = power_of_two((count_tokens(changes, count) + meets->count) * 2),
		.ncomponents = power_of_two((size_t)count * 2)};
	struct change **late = arena_alloc(a, count * sizeof(struct change *));
	uint32_t nlate = 0, n = 0;

	p.marks = arena_calloc(a, p.nmarks, sizeof *p.marks);
	p.components = arena_calloc(a, p.ncomponents, sizeof *p.components);
	for (size_t i = 0; i < meets->count; i++)
		mark_of(p.marks, p.nmarks, meets->tokens[i].hash)->last[meets->tokens[i].mode] = 1;
	for (uint32_t i = 0; i < count; i++) {
		if (!is_late(&p, changes[i])) {
			changes[n++] = changes[i];
			continue;
		}
		remember(&p, changes[i], 0);
		late[nlate++] = changes[i];
	}
	memcpy(changes + n, late, nlate * sizeof(struct change *));
	return n;
}

/* ---- statements ---- */

void
batch_plan(struct arena *a, struct change *const *changes, uint32_t count, uint32_t max_rows,
	struct batch_list *out)
{
	struct planner p = {.nmarks = power_of_two(count_tokens(changes, count) * 2),
		.ncomponents = power_of_two((size_t)count * 2),
		.nshapes = power_of_two((size_t)count * 2)};
	uint32_t *where = arena_alloc(a, count * sizeof *where);

	p.marks = arena_calloc(a, p.nmarks, sizeof *p.marks);
	p.components = arena_calloc(a, p.ncomponents, sizeof *p.components);
	p.shapes = arena_calloc(a, p.nshapes, sizeof *p.shapes);
	p.built = arena_alloc(a, count * sizeof *p.built);
	for (uint32_t i = 0; i < count; i++) {
		where[i] = choose(&p, changes[i], earliest(&p, changes[i]), max_rows);
		p.built[where[i]].count++;
		remember(&p, changes[i], where[i]);
	}
	out->count = p.nbuilt;
	out->batches = arena_alloc(a, p.nbuilt * sizeof *out->batches);
	for (uint32_t b = 0; b < p.nbuilt; b++)
		p.built[b].changes = arena_alloc(a, p.built[b].count * sizeof(struct change *));
	for (uint32_t i = 0; i < count; i++) {
		struct building *b = &p.built[where[i]];

		b->changes[b->filled++] = changes[i];
	}
	for (uint32_t b = 0; b < p.nbuilt; b++)
		out->batches[b] = (struct batch){.target = p.built[b].changes[0]->target,
			.op = p.built[b].changes[0]->op,
			.changes = p.built[b].changes,
			.count = p.built[b].count};
}
