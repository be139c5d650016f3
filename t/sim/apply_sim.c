/*
 * apply_sim.c - token.c, sched.c and batch.c against a serial oracle, by seeds.
 *
 *     apply_sim --seeds N --from S [--break RULE]
 *
 * A model source makes random transactions; lanes run groups of them through
 * the real scheduler, tokens and batches into a model target with row locks,
 * one row operation a step, in an order that the seed decides; half of the seeds
 * merge changes of one row before (apply = "fastest"). The process is
 * killed at any step and goes on from the checkpoint. After each commit the
 * target must be the source's prefix at the checkpoint. --break switches one
 * rule off, in here: then some seed must fail.
 */
#include "common/compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "t/sim/database.h"
#include "workers/writer/sched.h"
#include "workers/writer/sink.h"

#define UNITS 40
#define OPS 12
#define LANES 4
#define RINGS 2
#define PATIENCE 6000 /* steps without a commit */

static const char *const rule_names[] = {"no-unique-token", "no-fk-token", "no-cascade-token",
	"no-keyless-token", "no-chunk-token", "no-ring-token", "no-alone", "no-gate",
	"batch-ignores-conflicts", "late-is-early", "late-forgets-followers", "stale-checkpoint",
	"merge-passes-conflicts", "merge-forgets-tokens", "merge-keyless", "merge-relatives"};
enum rule {
	NO_UNIQUE_TOKEN,
	NO_FK_TOKEN,
	NO_CASCADE_TOKEN,
	NO_KEYLESS_TOKEN,
	NO_CHUNK_TOKEN,
	NO_RING_TOKEN,
	NO_ALONE,
	NO_GATE,
	BATCH_IGNORES_CONFLICTS,
	LATE_IS_EARLY,
	LATE_FORGETS_FOLLOWERS,
	STALE_CHECKPOINT,
	MERGE_PASSES_CONFLICTS,
	MERGE_FORGETS_TOKENS,
	MERGE_KEYLESS,
	MERGE_RELATIVES,
	NO_RULE
};

static uint64_t seed_now, rng;
static enum rule broken = NO_RULE;

static _Noreturn void PRINTF(1, 2) fail(const char *fmt, ...)
{
	va_list ap;

	printf("seed %llu: ", (unsigned long long)seed_now);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	exit(1);
}

static uint32_t
chance(uint32_t n)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) % n);
}

/* ---- descriptions for the tokens ---- */

static struct token_plan *filtered[TABLES];
static struct target targets[TABLES];
static uint32_t map[3] = {0, 1, 2};

static void
add_parent(struct table *t, enum fk_action action)
{
	struct foreign_key *fk = table_add_fk(t, "fk");

	fk->columns = xcalloc(1, sizeof *fk->columns);
	fk->columns[0] = 1;
	fk->ref_db = xstrdup("d");
	fk->ref_table = xstrdup("parent");
	fk->ref_columns = xcalloc(1, sizeof *fk->ref_columns);
	fk->ref_columns[0] = xstrdup("k");
	fk->ncolumns = 1;
	fk->on_delete = fk->on_update = action;
}

static struct table *
describe(int n, enum rule rule)
{
	static const char *const names[] = {"users", "plain", "parent", "child", "keyless"};
	struct table *t = table_new("d", names[n]);

	table_add_column(t, "k", TYPE_INTEGER)->nullable = n == KEYLESS;
	table_add_column(t, "a", TYPE_INTEGER)->nullable = true;
	table_add_column(t, "b", TYPE_INTEGER)->nullable = true;
	if (n != KEYLESS)
		index_add_part(table_add_index(t, "PRIMARY", true, true), 0, 0);
	if (n == USERS && rule != NO_UNIQUE_TOKEN)
		index_add_part(table_add_index(t, "u", false, true), 1, 0);
	if (n == CHILD && rule != NO_FK_TOKEN)
		add_parent(t, rule == NO_CASCADE_TOKEN ? FK_NONE : FK_CASCADE);
	return t;
}

static void
make_plans(struct token_plan **out, enum rule rule)
{
	struct fk_world *w = fk_world_new();
	struct table *t[TABLES];

	for (int i = 0; i < TABLES; i++) {
		t[i] = describe(i, rule);
		(void)fk_world_set(w, t[i]);
	}
	for (int i = 0; i < TABLES; i++) {
		out[i] = token_plan_new(t[i], t[i], map, w);
		targets[i] = (struct target){.number = (uint32_t)i,
			.source = t[i],
			.table = t[i],
			.map = map,
			.key = table_key(t[i])};
	}
	if (rule == MERGE_KEYLESS)
		targets[KEYLESS].key = targets[PLAIN].key;
	fk_world_free(w);
}

/* ---- the source ---- */

struct txn {
	struct unit unit; /* first */
	int number;
	struct op ops[OPS];
	int nops;
	bool is_chunk;
	bool must_be_alone;
	int ring;
	struct token_list tokens;
	struct token_list own[OPS];
};

static struct txn txns[UNITS + 1]; /* from 1 */
static struct db states[UNITS + 1];
static int ops_until[UNITS + 1];
static int ntxns;

static bool
add_op(struct txn *x, struct db *d, const struct op *o)
{
	if (x->nops == OPS || database_run(d, o, NULL) != NULL)
		return false;
	x->ops[x->nops++] = *o;
	return true;
}

static void
load_cell(const struct db *d, int t, int64_t k, int64_t row[3])
{
	row[0] = k;
	row[1] = d->cell[t][k].a;
	row[2] = d->cell[t][k].b;
}

static bool
change_column(struct txn *x, struct db *d, int t, int64_t k, int column, int64_t to)
{
	struct op o = {.kind = EVENT_UPDATE, .table = t};

	if (!d->cell[t][k].used)
		return false;
	load_cell(d, t, k, o.before);
	memcpy(o.after, o.before, sizeof o.after);
	if (o.after[column] == to)
		return false;
	o.after[column] = to;
	return add_op(x, d, &o);
}

/* Two rows change their unique values: over NULL, as nothing else is valid row by row. */
static void
swap(struct txn *x, struct db *d)
{
	int64_t i = chance(KEYS), k = chance(KEYS), a, b;

	if (i == k || !d->cell[USERS][i].used || !d->cell[USERS][k].used || x->nops + 3 > OPS)
		return;
	a = d->cell[USERS][i].a;
	b = d->cell[USERS][k].a;
	(void)change_column(x, d, USERS, i, 1, NONE);
	(void)change_column(x, d, USERS, k, 1, a);
	(void)change_column(x, d, USERS, i, 1, b);
}

static int64_t
some_a(int t)
{
	if (t == CHILD)
		return chance(KEYS);
	return chance(4) == 0 ? NONE : (int64_t)chance(KEYS);
}

static void
insert_row(struct txn *x, struct db *d, int t, bool no_fk)
{
	struct op o = {.kind = EVENT_INSERT, .table = t, .no_fk = no_fk};

	o.after[0] = chance(KEYS);
	o.after[1] = some_a(t);
	o.after[2] = chance(100);
	if (no_fk && t == CHILD && !d->cell[PARENT][o.after[1]].used)
		return;
	(void)add_op(x, d, &o);
}

static void
delete_row(struct txn *x, struct db *d, int t, bool again)
{
	struct op o = {.kind = EVENT_DELETE, .table = t};
	int64_t k = chance(KEYS);

	load_cell(d, t, k, o.before);
	if (!add_op(x, d, &o) || !again)
		return;
	memcpy(o.after, o.before, sizeof o.after);
	o.after[2] = chance(100);
	o.kind = EVENT_INSERT;
	(void)add_op(x, d, &o);
}

static void
keyless_op(struct txn *x, struct db *d)
{
	struct op o = {.kind = EVENT_INSERT, .table = KEYLESS};

	o.kind = chance(2) == 0 ? EVENT_INSERT : chance(2) == 0 ? EVENT_UPDATE : EVENT_DELETE;
	for (int i = 0; i < 2; i++) {
		o.before[i] = chance(VALUES);
		o.after[i] = chance(VALUES);
	}
	(void)add_op(x, d, &o);
}

static void
random_op(struct txn *x, struct db *d)
{
	int t = (int)chance(TABLES);

	if (t == KEYLESS) {
		keyless_op(x, d);
		return;
	}
	switch (chance(8)) {
	case 0:
	case 1:
	case 2:
		insert_row(x, d, t, false);
		break;
	case 3:
		delete_row(x, d, t, chance(2) == 0);
		break;
	case 4:
		(void)change_column(x, d, t, chance(KEYS), 0, chance(KEYS));
		break;
	case 5:
		(void)change_column(x, d, t, chance(KEYS), 1, some_a(t));
		break;
	case 6:
		if (t == USERS)
			swap(x, d);
		break;
	default:
		(void)change_column(x, d, t, chance(KEYS), 2, chance(100));
		break;
	}
}

static void
fill_row(struct op *o, int from, const int64_t *row, struct row *r)
{
	for (int i = 0; i < 3; i++) {
		put_u64(o->bytes[from + i], (uint64_t)row[i]);
		o->values[from + i] =
			(struct value){.kind = row[i] == NONE ? VALUE_NULL : VALUE_BYTES,
				.len = row[i] == NONE ? 0 : 8,
				.data = o->bytes[from + i]};
	}
	*r = (struct row){.col = o->values + from, .ncols = 3};
}

/* The change as scan.c makes it, its tokens by the plans that are in force. */
static void
make_change(struct op *o, struct token_list *own)
{
	struct change *c = &o->change;
	bool moves = o->kind == EVENT_UPDATE && o->before[0] != o->after[0];
	const struct token_plan *p = filtered[o->table];

	*c = (struct change){.op = o->kind, .target = &targets[o->table], .fk_off = o->no_fk};
	if (o->kind != EVENT_INSERT)
		fill_row(o, 0, o->before, &c->before);
	if (o->kind != EVENT_DELETE)
		fill_row(o, 3, o->after, &c->after);
	for (int i = 1; o->kind == EVENT_UPDATE && o->table != KEYLESS && i < 3; i++)
		if (o->after[i] == o->before[i] && chance(2) == 0)
			o->values[3 + i] = (struct value){.kind = VALUE_UNCHANGED};
	own->count = 0;
	token_row(p, o->kind, &c->before, &c->after, own);
	if (broken == NO_KEYLESS_TOKEN && o->table == KEYLESS)
		own->count = 0;
	c->tokens = own->tokens;
	c->ntokens = (uint32_t)own->count;
	c->component = token_component(p);
	c->shape = batch_shape(c) | (moves ? SHAPE_KEY_MOVES : 0);
	if (broken == BATCH_IGNORES_CONFLICTS) {
		c->ntokens = 0;
		c->component = 0;
	}
}

static void
make_tokens(struct txn *x)
{
	x->tokens.count = 0;
	for (int i = 0; i < x->nops; i++) {
		make_change(&x->ops[i], &x->own[i]);
		for (size_t k = 0; !x->is_chunk && k < x->own[i].count; k++)
			token_add(&x->tokens, x->own[i].tokens[k].hash, x->own[i].tokens[k].mode);
	}
	if (x->is_chunk && broken != NO_CHUNK_TOKEN)
		token_chunk(filtered[x->ops[0].table], &x->tokens);
	if (x->is_chunk && broken != NO_RING_TOKEN)
		token_ring((uint32_t)x->ring, &x->tokens);
	token_list_pack(&x->tokens);
}

static void
make_txn(int n, struct db *d)
{
	struct txn *x = &txns[n];
	int want = (int)chance(6) + 1, t = (int)chance(KEYLESS);

	x->number = n;
	x->nops = 0;
	x->is_chunk = chance(8) == 0;
	x->ring = (int)chance(RINGS);
	for (int i = 0; i < want * 2 && x->nops < want; i++)
		if (x->is_chunk)
			insert_row(x, d, t, true);
		else
			random_op(x, d);
	if (x->nops == 0)
		x->is_chunk = false;
	x->must_be_alone = !x->is_chunk && chance(15) == 0;
	make_tokens(x);
	x->unit = (struct unit){.tokens = x->tokens.tokens,
		.ntokens = x->tokens.count,
		.rows = (uint32_t)x->nops,
		.bytes = (size_t)x->nops * 10,
		.solo = x->is_chunk,
		.alone = x->must_be_alone && broken != NO_ALONE};
	states[n] = *d;
	ops_until[n] = ops_until[n - 1] + x->nops;
}

/* ---- the target ---- */

#define LOCKS (TABLES * KEYS + KEYS + TABLES)
#define LOCK_CELL(t, k) ((t)*KEYS + (int)(k))
#define LOCK_VALUE(u) (TABLES * KEYS + (int)(u))
#define LOCK_GAP(t) (TABLES * KEYS + KEYS + (t))

enum phase { IDLE, RUNNING, AT_GATE, COMMITTING, ROLLED_BACK };

struct lane {
	enum phase phase;
	struct group *group;
	struct arena arena;
	struct op *order; /* all row operations, as they will be run */
	uint32_t norder, at;
	uint32_t early; /* so many do not wait for the turn */
	struct undo_log undo;
	int waits_for; /* lane, or NONE */
	unsigned asleep_until;
	bool committed; /* under no-gate */
};

struct lock {
	int owner; /* lane + 1; 0: nobody exclusively */
	uint32_t sharers;
};

static struct db target;
static struct lock locks[LOCKS];
static struct lane lanes[LANES];
static int nlanes, checkpoint, pushed;
static uint64_t turn;
static bool merging;
static struct sched *sched;
static unsigned step, committed_at;
static uint8_t audit[UNITS + 1][OPS];
static unsigned long retries, kills, stalls, lost, commits, multi, late, merged;

static void
let_locks_go(int lane)
{
	for (int i = 0; i < LOCKS; i++) {
		if (locks[i].owner == lane + 1)
			locks[i].owner = 0;
		locks[i].sharers &= ~(1u << lane);
	}
}

/* NONE: it is ours; else who holds it. */
static int
lock_one(int lane, int l, bool exclusive)
{
	uint32_t others = locks[l].sharers & ~(1u << lane);

	if (locks[l].owner != 0 && locks[l].owner != lane + 1)
		return locks[l].owner - 1;
	if (exclusive && others != 0)
		return __builtin_ctz(others);
	if (exclusive)
		locks[l].owner = lane + 1;
	else
		locks[l].sharers |= 1u << lane;
	return NONE;
}

static int
lock_op(int lane, const struct op *o)
{
	const int64_t *rows[2] = {o->kind != EVENT_INSERT ? o->before : NULL,
		o->kind != EVENT_DELETE ? o->after : NULL};
	int who = NONE;

	if (o->table == KEYLESS)
		return NONE;
	for (int i = 0; i < 2 && who == NONE; i++) {
		if (rows[i] == NULL)
			continue;
		who = lock_one(lane, LOCK_CELL(o->table, rows[i][0]), true);
		if (who == NONE && o->table == USERS && rows[i][1] != NONE)
			who = lock_one(lane, LOCK_VALUE(rows[i][1]), true);
	}
	if (who == NONE && rows[1] != NULL && o->table == CHILD && !o->no_fk && rows[1][1] != NONE)
		who = lock_one(lane, LOCK_CELL(PARENT, rows[1][1]), false);
	for (int k = 0; k < KEYS && who == NONE && o->table == PARENT && rows[0] != NULL; k++)
		if (target.cell[CHILD][k].used && target.cell[CHILD][k].a == rows[0][0])
			who = lock_one(lane, LOCK_CELL(CHILD, k), true);
	/* Gap locks know nothing of tokens. */
	if (who == NONE && chance(12) == 0)
		who = lock_one(lane, LOCK_GAP(o->table), chance(2) == 0);
	return who;
}

static bool
is_deadlock(int lane)
{
	int at = lanes[lane].waits_for;

	for (int i = 0; i < LANES && at != NONE; i++, at = lanes[at].waits_for)
		if (at == lane)
			return true;
	return false;
}

static void
roll_back(int n)
{
	database_take_back(&target, &lanes[n].undo);
	lanes[n].undo.count = 0;
	lanes[n].waits_for = NONE;
	let_locks_go(n);
}

/* Everything that runs or waits is gone; what is committed is not. */
static void
restart(void)
{
	for (int i = 0; i < LANES; i++) {
		roll_back(i);
		lanes[i].phase = IDLE;
		lanes[i].group = NULL;
		lanes[i].committed = false;
	}
	if (broken == STALE_CHECKPOINT && checkpoint > 0)
		checkpoint--;
	sched_free(sched);
	sched = sched_new(
		(unsigned)nlanes, chance(30) + 1, (chance(30) + 1) * 10, chance(2) == 0 ? 2 : 8);
	sched_start_turn(sched, turn + 1);
	pushed = checkpoint;
}

static void
check_prefix(void)
{
	struct db now = target;
	int total = 0;

	for (int i = 0; i < nlanes; i++)
		database_take_back(&now, &lanes[i].undo);
	if (memcmp(&now, &states[checkpoint], sizeof now) != 0)
		fail("the target is not the source's prefix of %d transactions", checkpoint);
	for (int i = 1; i <= ntxns; i++)
		for (int k = 0; k < txns[i].nops; k++) {
			if (audit[i][k] > 1)
				fail("operation %d of transaction %d ran twice", k, i);
			total += audit[i][k];
		}
	if (total != ops_until[checkpoint])
		fail("%d operations ran, the prefix has %d", total, ops_until[checkpoint]);
}

/* At the target: rows, audit and checkpoint are one. */
static void
commit_at_target(int n)
{
	struct lane *l = &lanes[n];
	const struct group *g = l->group;
	int first = ((const struct txn *)g->first)->number;

	if (g->turn != turn + 1 && broken != NO_GATE)
		fail("turn %llu commits after %llu", (unsigned long long)g->turn,
			(unsigned long long)turn);
	if (first != checkpoint + 1)
		fail("transaction %d commits behind %d", first, checkpoint);
	l->undo.count = 0;
	let_locks_go(n);
	for (const struct unit *u = g->first; u != NULL; u = u->next) {
		const struct txn *x = (const struct txn *)u;

		for (int k = 0; k < x->nops; k++)
			audit[x->number][k]++;
		checkpoint = x->number;
	}
	turn++;
	commits++;
	multi += g->units > 1;
	committed_at = step;
	check_prefix();
}

/* ---- lanes ---- */

static void
read_row(const struct row *r, const int64_t *instead, int64_t *row)
{
	for (uint32_t i = 0; i < r->ncols; i++)
		if (r->col[i].kind == VALUE_UNCHANGED)
			row[i] = instead[i];
		else
			row[i] = r->col[i].kind == VALUE_NULL ? NONE : value_i64(&r->col[i]);
}

/* What a statement says of a row. */
static struct op
spell(const struct change *c)
{
	struct op o = {.kind = c->op, .table = (int)c->target->number, .no_fk = c->fk_off};

	read_row(&c->before, NULL, o.before);
	read_row(&c->after, o.before, o.after);
	return o;
}

/* Rows of one statement come in any order. */
static void
order_batches(struct lane *l, struct change **changes, uint32_t count)
{
	struct batch_list list = {0};
	uint32_t first = l->norder;

	if (count != 0)
		batch_plan(&l->arena, changes, count, chance(6) + 1, &list);
	for (uint32_t b = 0; b < list.count; b++) {
		uint32_t from = l->norder;

		for (uint32_t i = 0; i < list.batches[b].count; i++) {
			uint32_t at = from + chance(i + 1);

			l->order[l->norder] = l->order[at];
			l->order[at] = spell(list.batches[b].changes[i]);
			l->norder++;
		}
	}
	if (l->norder - first != count)
		fail("batches have %u of %u changes", l->norder - first, count);
}

/* What meets a group in flight, and nothing else. */
static uint32_t
late_alone(struct lane *l, struct change **all, uint32_t n)
{
	struct change **kept = arena_alloc(&l->arena, (n + 1) * sizeof(struct change *));
	uint32_t early = 0, nlate = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct change *c = all[i], *one[1] = {c};

		if (batch_late(&l->arena, one, 1, &l->group->meets) == 0)
			kept[nlate++] = c;
		else
			all[early++] = c;
	}
	memcpy(all + early, kept, nlate * sizeof(struct change *));
	return early;
}

static uint32_t
split(struct lane *l, struct change **all, uint32_t n)
{
	if (l->group->meets.count == 0 || broken == LATE_IS_EARLY)
		return n;
	if (broken == LATE_FORGETS_FOLLOWERS)
		return late_alone(l, all, n);
	return batch_late(&l->arena, all, n, &l->group->meets);
}

static void
set_tokens(struct lane *l, struct change *c, const struct row *before, const struct row *after)
{
	struct token_list own = {0};

	token_row(filtered[c->target->number], c->op, before, after, &own);
	c->tokens = arena_dup(&l->arena, own.tokens, own.count * sizeof *own.tokens);
	c->ntokens = (uint32_t)own.count;
	token_list_release(&own);
}

/* Merges without a rule: with copies of the changes, so that it is their merging that is broken. */
static uint32_t
merge_broken(struct lane *l, struct change **all, uint32_t n)
{
	struct change **given = arena_dup(&l->arena, all, n * sizeof(struct change *));
	struct change *copy = arena_alloc(&l->arena, (n + 1) * sizeof *copy);
	uint32_t left;

	for (uint32_t i = 0; i < n; i++) {
		copy[i] = *all[i];
		if (broken == MERGE_PASSES_CONFLICTS)
			copy[i].ntokens = 0;
		if (broken == MERGE_RELATIVES)
			copy[i].component = 0;
		all[i] = &copy[i];
	}
	left = batch_merge(&l->arena, all, n, false);
	for (uint32_t i = 0; i < left; i++) {
		struct change *c = all[i];

		if (c >= copy && c < copy + n)
			all[i] = given[c - copy];
		else if (broken == MERGE_PASSES_CONFLICTS)
			set_tokens(l, c, &c->before, &c->after);
		else if (broken == MERGE_FORGETS_TOKENS && c->op == EVENT_UPDATE)
			set_tokens(l, c, &c->before, &c->before);
	}
	return left;
}

static uint32_t
merge(struct lane *l, struct change **all, uint32_t n)
{
	uint32_t left;

	if (broken == MERGE_PASSES_CONFLICTS || broken == MERGE_FORGETS_TOKENS ||
		broken == MERGE_RELATIVES)
		left = merge_broken(l, all, n);
	else
		left = batch_merge(&l->arena, all, n, chance(2) == 0);
	merged += n - left;
	return left;
}

static void
begin(struct lane *l)
{
	struct change **all;
	uint32_t n = 0, total = l->group->rows;
	bool carefully = chance(8) == 0;

	arena_reset(&l->arena);
	all = arena_alloc(&l->arena, (total + 1) * sizeof(struct change *));
	l->order = arena_alloc(&l->arena, (total + 1) * sizeof *l->order);
	for (struct unit *u = l->group->first; u != NULL; u = u->next)
		for (int i = 0; i < ((struct txn *)u)->nops; i++)
			all[n++] = &((struct txn *)u)->ops[i].change;
	l->phase = RUNNING;
	l->at = 0;
	l->norder = 0;
	if (carefully) {
		for (; l->norder < n; l->norder++)
			l->order[l->norder] = spell(all[l->norder]);
		l->early = l->group->meets.count != 0 ? 0 : n;
		return;
	}
	if (merging)
		n = merge(l, all, n);
	l->early = split(l, all, n);
	order_batches(l, all, l->early);
	order_batches(l, all + l->early, n - l->early);
	late += n - l->early;
}

static void
check_taken(int n, const struct group *g)
{
	const struct txn *x = (const struct txn *)g->first;

	for (int i = 0; i < nlanes; i++) {
		const struct txn *y;

		if (i == n || lanes[i].group == NULL)
			continue;
		y = (const struct txn *)lanes[i].group->first;
		if (x->is_chunk && y->is_chunk && x->ring == y->ring)
			fail("two chunks of one ring run at once");
		if (x->must_be_alone || y->must_be_alone)
			fail("what is alone has company");
	}
}

static void
give_way(int n)
{
	roll_back(n);
	sched_rolled_back(sched, lanes[n].group);
	lanes[n].phase = ROLLED_BACK;
	retries++;
}

/* Its turn: late changes first. */
static void
my_turn(struct lane *l)
{
	l->phase = COMMITTING;
	if (l->at == l->norder)
		return;
	sched_run_late(l->group);
	l->early = l->norder;
	l->phase = RUNNING;
}

static void
executed(int n)
{
	struct lane *l = &lanes[n];
	bool mine = sched_executed(sched, l->group);

	if (broken == NO_GATE && l->at == l->norder && !l->committed) {
		l->committed = true;
		commit_at_target(n);
	}
	l->phase = AT_GATE;
	if (mine)
		my_turn(l);
}

static void
run_step(int n)
{
	struct lane *l = &lanes[n];
	const struct op *o;
	const char *wrong;

	if (l->at == l->early) {
		executed(n);
		return;
	}
	o = &l->order[l->at];
	l->waits_for = lock_op(n, o);
	if ((l->waits_for != NONE && is_deadlock(n)) || chance(150) == 0) {
		give_way(n);
		return;
	}
	if (l->waits_for != NONE)
		return;
	if ((wrong = database_run(&target, o, &l->undo)) != NULL)
		fail("%s of table %d: %s", event_name(o->kind), o->table, wrong);
	l->at++;
}

static void
commit_step(int n)
{
	struct lane *l = &lanes[n];
	uint32_t luck = chance(60);

	if (luck == 0 && !l->committed) {
		give_way(n);
		return;
	}
	if (luck == 1) { /* no reply: it was committed, or not */
		lost++;
		if (!l->committed && chance(2) == 0)
			commit_at_target(n);
		restart();
		return;
	}
	if (!l->committed)
		commit_at_target(n);
	(void)sched_committed(sched, l->group);
	l->group = NULL;
	l->committed = false;
	l->phase = IDLE;
}

static void
lane_step(int n)
{
	struct lane *l = &lanes[n];

	if (l->asleep_until > step)
		return;
	if (chance(200) == 0)
		l->asleep_until = step + chance(200);
	switch (l->phase) {
	case IDLE:
		if ((l->group = sched_take(sched, chance(4) == 0)) != NULL) {
			check_taken(n, l->group);
			begin(l);
		}
		break;
	case RUNNING:
		run_step(n);
		break;
	case AT_GATE:
		if (sched_must_yield(sched, l->group) && !l->committed)
			give_way(n);
		else if (sched_my_turn(sched, l->group))
			my_turn(l);
		break;
	case COMMITTING:
		commit_step(n);
		break;
	case ROLLED_BACK:
	default:
		if (sched_may_run(sched, l->group))
			begin(l);
		break;
	}
}

static void
stall_tick(void)
{
	const struct group *oldest = sched_oldest(sched);

	if (oldest != NULL && oldest->state == GROUP_RUNNING &&
		(step - committed_at > 300 || chance(20) == 0))
		stalls += sched_stalled(sched) != 0;
}

static void
push_one(void)
{
	struct txn *x = &txns[pushed + 1];

	if (pushed == ntxns || sched_queued(sched) > 40)
		return;
	sched_push(sched, &x->unit);
	pushed++;
}

static void
run_seed(void)
{
	struct db d = {0};

	rng = seed_now * 0x2545f4914f6cdd1du + 7;
	ntxns = (int)chance(UNITS - 8) + 8;
	nlanes = (int)chance(LANES) + 1;
	merging = chance(2) == 0;
	memset(&target, 0, sizeof target);
	memset(locks, 0, sizeof locks);
	memset(audit, 0, sizeof audit);
	for (int i = 1; i <= ntxns; i++)
		make_txn(i, &d);
	checkpoint = 0;
	turn = 0;
	step = committed_at = 0;
	restart();
	for (; checkpoint < ntxns; step++) {
		if (step - committed_at > PATIENCE)
			fail("no progress behind transaction %d", checkpoint);
		if (chance(3) == 0)
			push_one();
		if (chance(1500) == 0) {
			kills++;
			restart();
		}
		if (chance(25) == 0)
			stall_tick();
		lane_step((int)chance((uint32_t)nlanes));
	}
	for (int i = 0; i < LANES; i++)
		lanes[i].asleep_until = 0;
	check_prefix();
}

static enum rule
rule_by_name(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(rule_names); i++)
		if (strcmp(rule_names[i], name) == 0)
			return (enum rule)i;
	fprintf(stderr, "no such rule: %s\n", name);
	exit(2);
}

int
main(int argc, char **argv)
{
	uint64_t n = 1000, from = 1;

	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--seeds") == 0)
			n = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--from") == 0)
			from = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--break") == 0)
			broken = rule_by_name(argv[i + 1]);
	make_plans(filtered, broken);
	for (seed_now = from; seed_now < from + n; seed_now++)
		run_seed();
	printf("%llu seeds: commits=%lu groups=%lu late=%lu merged=%lu retries=%lu stalls=%lu "
	       "kills=%lu "
	       "lost=%lu\n",
		(unsigned long long)n, commits, multi, late, merged, retries, stalls, kills, lost);
	return 0;
}
