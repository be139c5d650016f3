/* batch.c - see batch.h. */
#include "common/compat.h"

#include <string.h>

#include <xxhash.h>

#include "workers/writer/batch.h"
#include "workers/writer/sink.h"

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

/* ---- shapes ---- */

static void
presence(const struct row *r, uint64_t *shape)
{
	for (uint32_t i = 0; i < r->ncols; i++)
		if (r->col[i].kind == VALUE_ABSENT || r->col[i].kind == VALUE_UNCHANGED)
			*shape = (*shape ^ (i + 1)) * 0x100000001b3u;
}

uint64_t
batch_shape(const struct change *c)
{
	uint64_t shape = 0xcbf29ce484222325u;

	shape = (shape ^ c->target->number) * 0x100000001b3u;
	shape = (shape ^ (uint64_t)c->op) * 0x100000001b3u;
	shape = (shape ^ (uint64_t)c->fk_off) * 0x100000001b3u;
	presence(&c->before, &shape);
	shape *= 31;
	presence(&c->after, &shape);
	return shape & ~(uint64_t)(SHAPE_LENIENT | SHAPE_KEY_MOVES);
}

/* ---- changes of one row made one ---- */

/* A change that touches more than this is not merged any further. */
#define MERGED_TOKENS 64

/* The newest change of a row. */
struct newest {
	const struct target *target;
	const struct row *row; /* an image with its key */
	uint32_t at;	       /* in the list; nothing there: an INSERT met its DELETE */
	bool used;
	bool is_merged; /* a copy */
};

static const struct row *
key_image(const struct change *c)
{
	return c->op == EVENT_INSERT ? &c->after : &c->before;
}

/* Column i of the rows: whether it is of the target's key. */
static bool
is_of_key(const struct target *t, uint32_t i)
{
	for (uint32_t p = 0; p < t->key->nparts; p++)
		if (t->map[i] == t->key->parts[p].column)
			return true;
	return false;
}

static bool
may_merge(const struct change *c)
{
	const struct row *r = key_image(c);

	if (c->target->key == NULL || c->component != 0 || c->ntokens > MERGED_TOKENS ||
		(c->shape & (SHAPE_LENIENT | SHAPE_KEY_MOVES)) != 0)
		return false;
	for (uint32_t i = 0; i < r->ncols; i++)
		if (r->col[i].kind != VALUE_BYTES && is_of_key(c->target, i))
			return false;
	return true;
}

/* Bytes, not the server's equality: what differs here is only not merged. */
static bool
same_row(const struct newest *n, const struct change *c)
{
	const struct row *r = key_image(c);

	if (n->target != c->target)
		return false;
	for (uint32_t i = 0; i < r->ncols; i++)
		if (is_of_key(c->target, i) && !value_equal(&n->row->col[i], &r->col[i]))
			return false;
	return true;
}

/* The row's own place, or the free one that it gets. */
static struct newest *
newest_of(struct newest *rows, size_t n, const struct change *c)
{
	const struct row *r = key_image(c);
	uint64_t h = c->target->number;
	size_t i;

	for (uint32_t k = 0; k < r->ncols; k++)
		if (is_of_key(c->target, k))
			h = XXH3_64bits_withSeed(r->col[k].data, r->col[k].len, h);
	for (i = (size_t)(h >> 16) & (n - 1); rows[i].used; i = (i + 1) & (n - 1))
		if (same_row(&rows[i], c))
			break;
	return &rows[i];
}

/* A row that comes back is written as an UPDATE if that leaves nothing of the old one. */
static bool
is_whole(const struct change *c)
{
	const struct target *t = c->target;
	uint32_t mapped = 0;

	for (uint32_t i = 0; i < c->after.ncols; i++) {
		if (c->after.col[i].kind == VALUE_ABSENT || c->after.col[i].kind == VALUE_UNCHANGED)
			return false;
		mapped += t->map[i] != UINT32_MAX;
	}
	return mapped == t->table->ncolumns;
}

/* Whether both are one change, and which: an UPDATE keeps what the row was before, INSERT or
 * UPDATE; an INSERT with its DELETE is a DELETE that finds nothing. */
static bool
go_together(
	const struct change *first, const struct change *second, bool mends, enum event_kind *op)
{
	if (first->fk_off != second->fk_off || first->ntokens + second->ntokens > MERGED_TOKENS)
		return false;
	if (second->op == EVENT_INSERT) {
		*op = EVENT_UPDATE;
		return first->op == EVENT_DELETE && is_whole(second);
	}
	*op = second->op == EVENT_UPDATE ? first->op : EVENT_DELETE;
	return first->op == EVENT_UPDATE ||
	       (first->op == EVENT_INSERT && (second->op == EVENT_UPDATE || !mends));
}

/* The later image, with what it does not carry from the earlier one. */
static void
write_over(struct row *r, const struct row *late)
{
	for (uint32_t i = 0; i < r->ncols; i++)
		if (late->col[i].kind != VALUE_ABSENT && late->col[i].kind != VALUE_UNCHANGED)
			r->col[i] = late->col[i];
}

static bool
has_token(const struct change *c, const struct token *t)
{
	for (uint32_t k = 0; k < c->ntokens; k++)
		if (c->tokens[k].hash == t->hash && c->tokens[k].mode == t->mode)
			return true;
	return false;
}

/* What must not pass one of the two must not pass both. */
static void
join_tokens(struct arena *a, struct change *c, const struct change *second)
{
	struct token *all = NULL;

	for (uint32_t i = 0; i < second->ntokens; i++) {
		if (has_token(c, &second->tokens[i]))
			continue;
		if (all == NULL) {
			all = arena_alloc(a, (c->ntokens + second->ntokens) * sizeof *all);
			memcpy(all, c->tokens, c->ntokens * sizeof *all);
			c->tokens = all;
		}
		all[c->ntokens++] = second->tokens[i];
	}
}

/* The second becomes part of the first, which is the row's newest; a copy, the first time. */
static void
join(struct arena *a, struct newest *row, struct change **first, const struct change *second,
	enum event_kind op)
{
	struct change *c = row->is_merged ? *first : arena_dup(a, *first, sizeof *c);
	const struct row *image = c->after.ncols != 0 ? &c->after : &second->after;

	if (!row->is_merged || c->after.ncols == 0)
		c->after.col = arena_dup(a, image->col, image->ncols * sizeof *image->col);
	c->after.ncols = image->ncols;
	row->is_merged = true;
	if (op == EVENT_DELETE)
		c->after = (struct row){0};
	else
		write_over(&c->after, &second->after);
	c->op = op;
	c->shape = batch_shape(c);
	join_tokens(a, c, second);
	*first = c;
}

/* Whether the change is part of an older one now. */
static bool
merge(struct arena *a, struct planner *p, struct newest *row, struct change **changes,
	const struct change *c, bool mends)
{
	enum event_kind op;

	/* Nothing behind the older one is in the way. */
	if (!row->used || changes[row->at] == NULL || earliest(p, c) > row->at + 1 ||
		!go_together(changes[row->at], c, mends, &op))
		return false;
	remember(p, c, row->at);
	if (op == EVENT_DELETE && changes[row->at]->op == EVENT_INSERT)
		changes[row->at] = NULL;
	else
		join(a, row, &changes[row->at], c, op);
	return true;
}

uint32_t
batch_merge(struct arena *a, struct change **changes, uint32_t count, bool mends)
{
	size_t nrows = power_of_two((size_t)count * 2);
	struct planner p = {.nmarks = power_of_two(count_tokens(changes, count) * 2)};
	struct newest *rows = arena_calloc(a, nrows, sizeof *rows);
	uint32_t n = 0, left = 0;

	p.marks = arena_calloc(a, p.nmarks, sizeof *p.marks);
	p.ncomponents = power_of_two((size_t)count * 2);
	p.components = arena_calloc(a, p.ncomponents, sizeof *p.components);
	for (uint32_t i = 0; i < count; i++) {
		struct change *c = changes[i];
		struct newest *row = may_merge(c) ? newest_of(rows, nrows, c) : NULL;

		if (row != NULL && merge(a, &p, row, changes, c, mends))
			continue;
		if (row != NULL)
			*row = (struct newest){
				.target = c->target, .row = key_image(c), .at = n, .used = true};
		remember(&p, c, n);
		changes[n++] = c;
	}
	for (uint32_t i = 0; i < n; i++)
		if (changes[i] != NULL)
			changes[left++] = changes[i];
	return left;
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
