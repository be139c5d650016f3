/*
 * seam_sim.c - loading beside a running log: the real windows against a model source, by seeds.
 *
 *     seam_sim --seeds N --from S [--break RULE]
 *
 * A source whose transactions are in the log before they are visible (in any
 * order), a log thread that reads what is flushed, lanes that load chunks
 * (or one EXACT chunk of a keyless table), a writer that commits item by item
 * by the house's rules, crashes at any step. At each commit of the target all
 * it has loaded must be as the source was at the checkpoint's position.
 */
#include "common/compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "workers/reader/seam.h"

#define KEYS 16
#define CHUNKS 4
#define LANES 3
#define TXNS 60
#define OPS 4
#define ITEMS (TXNS + 4 * CHUNKS + 8)
#define STEPS_MAX 100000

static const char *const rule_names[] = {"no-window", "no-wait-for-r0", "high-too-early",
	"high-flushed", "no-keep-existing", "flag-not-stored", "no-upsert", "strict-while-loading",
	"no-position-at-place", "loaded-is-schema"};
enum rule {
	NO_WINDOW,
	NO_WAIT_FOR_R0,
	HIGH_TOO_EARLY,
	HIGH_FLUSHED,
	NO_KEEP_EXISTING,
	FLAG_NOT_STORED,
	NO_UPSERT,
	STRICT_WHILE_LOADING,
	NO_POSITION_AT_PLACE,
	LOADED_IS_SCHEMA,
	NO_RULE
};

struct cell {
	int64_t used, a, b;
};
struct db {
	struct cell cell[KEYS];
};

struct op {
	enum event_kind kind;
	int64_t key, to; /* to: the new key of an UPDATE */
	struct cell before, after;
	bool sparse; /* the log left out what did not change */
};

struct txn {
	struct op ops[OPS];
	int nops;
	bool visible;
};

static struct txn txns[TXNS + 1]; /* by position, from 1 */
static struct db states[TXNS + 1];
static struct db engine; /* what a snapshot sees */
static int log_end, flushed, ntxns;
static uint64_t seed_now, rng;
static enum rule broken = NO_RULE;
static unsigned long commits, crashes, kept, upserts, cancelled, patched, dropped;

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

/* ---- the source ---- */

static void
play(struct db *d, const struct op *o)
{
	if (o->kind != EVENT_INSERT)
		d->cell[o->key] = (struct cell){0};
	if (o->kind != EVENT_DELETE)
		d->cell[o->kind == EVENT_UPDATE ? o->to : o->key] = o->after;
}

/* Whoever is not visible yet holds its row locks. */
static bool
is_locked(int64_t key)
{
	for (int i = 1; i <= log_end; i++)
		for (int k = 0; !txns[i].visible && k < txns[i].nops; k++)
			if (txns[i].ops[k].key == key ||
				(txns[i].ops[k].kind == EVENT_UPDATE && txns[i].ops[k].to == key))
				return true;
	return false;
}

static bool
make_op(const struct db *d, struct op *o)
{
	int64_t k = chance(KEYS), to = chance(4) == 0 ? (int64_t)chance(KEYS) : k;

	*o = (struct op){.key = k, .to = to, .before = d->cell[k], .sparse = chance(2) == 0};
	o->after = (struct cell){1, chance(50), chance(50)};
	if (is_locked(k) || is_locked(to))
		return false;
	if (!d->cell[k].used) {
		o->kind = EVENT_INSERT;
		return true;
	}
	o->kind = chance(3) == 0 ? EVENT_DELETE : EVENT_UPDATE;
	if (o->kind == EVENT_UPDATE && chance(2) == 0)
		o->after.a = o->before.a;
	return o->kind == EVENT_DELETE || to == k || !d->cell[to].used;
}

static void
source_commits(void)
{
	struct txn *x = &txns[log_end + 1];
	struct db d = states[log_end];
	int want = (int)chance(OPS) + 1;

	if (log_end == ntxns)
		return;
	x->nops = 0;
	x->visible = false;
	for (int i = 0; i < want; i++)
		if (make_op(&d, &x->ops[x->nops]))
			play(&d, &x->ops[x->nops++]);
	states[++log_end] = d;
}

static void
source_shows(void)
{
	int at = (int)chance((uint32_t)log_end + 1);

	for (; at >= 1 && txns[at].visible; at--)
		;
	if (at < 1)
		return;
	txns[at].visible = true;
	for (int k = 0; k < txns[at].nops; k++)
		play(&engine, &txns[at].ops[k]);
}

static bool
sees(int position)
{
	for (int i = 1; i <= position; i++)
		if (!txns[i].visible)
			return false;
	return true;
}

/* ---- the stream and the target ---- */

enum item_kind { ITEM_TXN, ITEM_POSITION, ITEM_CHUNK, ITEM_LOADING, ITEM_STREAMING };

struct item {
	enum item_kind kind;
	int at;
	bool rows; /* TXN: with its rows */
	int chunk;
	int lane;
};

enum state { SCHEMA, LOADING, STREAMING };

struct target {
	struct db db;
	int checkpoint;
	enum state state;
	bool inserted;
	bool done[CHUNKS];
};

enum phase { FREE, OPEN, SNAPPED, READY, PLACED, READ };

struct lane {
	enum phase phase;
	int chunk, r0, high, at;
	struct window *window;
	struct db snapshot;
	struct db rows; /* its load ring */
	int next;
};

static struct target target;
static struct item items[ITEMS];
static int nitems, applied;
static struct lane lanes[LANES];
static int nlanes, log_at, said;
static enum state feed_state, scan_state;
static bool scan_inserted, planned, exact, armed;
static bool taken[CHUNKS];

static void
emit(enum item_kind kind, bool rows, int chunk, int lane)
{
	if (nitems == ITEMS)
		fail("the stream is too long");
	items[nitems++] = (struct item){
		.kind = kind, .at = log_at, .rows = rows, .chunk = chunk, .lane = lane};
}

static int
nchunks(void)
{
	return exact ? 1 : CHUNKS;
}

static int
span(void)
{
	return KEYS / nchunks();
}

static void
say_position(void)
{
	if (said == log_at || broken == NO_POSITION_AT_PLACE)
		return;
	said = log_at;
	emit(ITEM_POSITION, false, 0, 0);
}

static void
check_target(void)
{
	const struct db *s = &states[target.checkpoint];

	for (int k = 0; k < KEYS; k++) {
		const struct cell *t = &target.db.cell[k];
		bool must = target.done[k / span()];

		if ((t->used || must) && memcmp(t, &s->cell[k], sizeof *t) != 0)
			fail("key %d is not as at position %d", k, target.checkpoint);
	}
	commits++;
}

static void
missing(const struct op *o)
{
	bool lenient = scan_state == LOADING && broken != STRICT_WHILE_LOADING;

	if (!lenient)
		fail("key %d is missing", (int)o->key);
	if (o->kind == EVENT_UPDATE && o->key != o->to && broken != NO_UPSERT) {
		if (target.db.cell[o->to].used)
			fail("key %d exists where a row moves to it", (int)o->to);
		target.db.cell[o->to] = o->after;
		upserts++;
	}
}

static void
apply_op(const struct op *o)
{
	struct cell *c = &target.db.cell[o->key];

	if (o->kind == EVENT_INSERT ? c->used : !c->used) {
		if (o->kind == EVENT_INSERT)
			fail("key %d exists", (int)o->key);
		missing(o);
		return;
	}
	if (o->kind == EVENT_UPDATE && o->key != o->to && target.db.cell[o->to].used)
		fail("key %d exists where a row moves to it", (int)o->to);
	play(&target.db, o);
}

static void
apply_txn(const struct item *it)
{
	const struct txn *x = &txns[it->at];

	for (int i = 0; it->rows && i < x->nops; i++) {
		const struct op *o = &x->ops[i];

		apply_op(o);
		if (scan_state == LOADING &&
			(o->kind == EVENT_INSERT || (o->kind == EVENT_UPDATE && o->key != o->to)))
			scan_inserted = true;
	}
	if (broken != FLAG_NOT_STORED)
		target.inserted = scan_inserted;
	target.checkpoint = it->at;
}

/* False: its rows are not all there yet. */
static bool
apply_chunk(const struct item *it)
{
	struct lane *l = &lanes[it->lane];
	bool keep = scan_inserted && broken != NO_KEEP_EXISTING;

	if (l->phase != READ)
		return false;
	for (int k = 0; k < KEYS; k++) {
		if (!l->rows.cell[k].used)
			continue;
		if (!target.db.cell[k].used)
			target.db.cell[k] = l->rows.cell[k];
		else if (keep)
			kept++;
		else
			fail("the chunk's key %d exists", k);
	}
	target.done[it->chunk] = true;
	l->phase = FREE;
	return true;
}

static void
writer_step(void)
{
	const struct item *it = &items[applied];

	if (applied == nitems)
		return;
	switch (it->kind) {
	case ITEM_TXN:
		apply_txn(it);
		break;
	case ITEM_POSITION:
		target.checkpoint = it->at;
		break;
	case ITEM_CHUNK:
		if (!apply_chunk(it))
			return;
		break;
	case ITEM_LOADING:
		target.state = scan_state = LOADING;
		break;
	case ITEM_STREAMING:
	default:
		target.state = scan_state = STREAMING;
		break;
	}
	applied++;
	check_target();
}

/* ---- the reader ---- */

static struct index *key_index;

static void
fill(unsigned char bytes[3][8], struct value v[3], int64_t key, const struct cell *c)
{
	const int64_t n[3] = {key, c->a, c->b};

	for (int i = 0; i < 3; i++) {
		put_u64(bytes[i], (uint64_t)n[i]);
		v[i] = (struct value){.kind = VALUE_BYTES, .len = 8, .data = bytes[i]};
	}
}

static void
note(const struct op *o)
{
	unsigned char b[3][8], a[3][8];
	struct value bv[3], av[3];
	struct row before = {bv, 3}, after = {av, 3};

	fill(b, bv, o->key, &o->before);
	fill(a, av, o->kind == EVENT_UPDATE ? o->to : o->key, &o->after);
	if (o->kind == EVENT_UPDATE && o->sparse)
		for (int i = 0; i < 3; i++)
			if (value_equal(&bv[i], &av[i]))
				av[i].kind = VALUE_UNCHANGED;
	for (int i = 0; i < nlanes; i++)
		if (lanes[i].window != NULL && lanes[i].phase < PLACED)
			window_note(lanes[i].window, o->kind, &before, &after);
}

static bool
is_any_unplaced(void)
{
	for (int i = 0; i < nlanes; i++)
		if (lanes[i].phase >= OPEN && lanes[i].phase < PLACED)
			return true;
	return false;
}

static void
settle(void)
{
	if (!planned || is_any_unplaced() || feed_state == STREAMING)
		return;
	say_position();
	feed_state = STREAMING;
	emit(ITEM_STREAMING, false, 0, 0);
}

static void
place_due(void)
{
	for (int i = 0; i < nlanes; i++) {
		struct lane *l = &lanes[i];

		if (l->phase != READY || log_at < l->high)
			continue;
		if (exact && log_at != l->high)
			fail("the log has passed an exact snapshot");
		if (exact)
			planned = true;
		say_position();
		emit(ITEM_CHUNK, false, l->chunk, i);
		l->phase = PLACED;
		settle();
	}
}

static void
log_step(void)
{
	const struct txn *x = &txns[log_at + 1];
	bool rows = feed_state != SCHEMA;

	if (armed || log_at == flushed)
		return;
	log_at++;
	for (int i = 0; rows && i < x->nops; i++)
		note(&x->ops[i]);
	if (rows || chance(4) == 0) {
		said = log_at;
		emit(ITEM_TXN, rows, 0, 0);
	}
	place_due();
}

static void
take_chunk(struct lane *l)
{
	int c = 0;

	while (c < nchunks() && (taken[c] || target.done[c]))
		c++;
	if (c == nchunks()) { /* a chunk that is not placed may be let go and taken again */
		planned = !is_any_unplaced();
		settle();
		return;
	}
	taken[c] = true;
	*l = (struct lane){.phase = OPEN, .chunk = c, .r0 = log_at, .next = c * span()};
	if (exact) {
		armed = true;
		return;
	}
	if (feed_state == SCHEMA) {
		say_position();
		feed_state = LOADING;
		emit(ITEM_LOADING, false, 0, 0);
	}
	l->high = broken == HIGH_TOO_EARLY ? log_at : 0;
	l->window = window_new(key_index, 3);
}

static void
let_go(struct lane *l)
{
	taken[l->chunk] = false;
	window_free(l->window);
	*l = (struct lane){0};
	cancelled++;
}

/* EXACT: what is visible is the log up to one position, which the log thread has not passed. */
static bool
is_prefix(int *position)
{
	int n = 0;

	while (n < log_end && txns[n + 1].visible)
		n++;
	*position = n;
	for (int i = n + 1; i <= log_end; i++)
		if (txns[i].visible)
			return false;
	return n >= log_at;
}

static void
open_snapshot(struct lane *l)
{
	if (exact ? !is_prefix(&l->high) : broken != NO_WAIT_FOR_R0 && !sees(l->r0))
		return;
	l->snapshot = engine;
	l->phase = SNAPPED;
}

static void
read_row(struct lane *l)
{
	int k = l->next++;
	unsigned char bytes[3][8];
	struct value v[3], pv[3];
	struct row row = {v, 3}, patch = {pv, 3};
	struct cell c = l->snapshot.cell[k];

	if (c.used) {
		enum verdict verdict = VERDICT_KEEP;

		fill(bytes, v, k, &c);
		if (l->window != NULL && broken != NO_WINDOW)
			verdict = window_row(l->window, &row, &patch);
		if (verdict == VERDICT_PATCH) {
			c.a = value_i64(&pv[1]);
			c.b = value_i64(&pv[2]);
			patched++;
		}
		if (verdict == VERDICT_DROP) {
			c.used = 0;
			dropped++;
		}
		if (c.used)
			l->rows.cell[k] = c;
	}
	if (l->next < (l->chunk + 1) * span())
		return;
	window_free(l->window);
	l->window = NULL;
	l->phase = READ;
}

static void
lane_step(struct lane *l)
{
	switch (l->phase) {
	case FREE:
		if (feed_state != STREAMING && !planned)
			take_chunk(l);
		break;
	case OPEN:
		open_snapshot(l);
		break;
	case SNAPPED:
		if (!exact && broken != HIGH_TOO_EARLY)
			l->high = broken == HIGH_FLUSHED ? flushed : log_end;
		l->phase = READY;
		armed = false;
		place_due();
		break;
	case READY:
		if (chance(60) == 0 && !exact)
			let_go(l);
		break;
	case PLACED:
		read_row(l);
		break;
	case READ:
	default:
		break;
	}
}

/* Reader and writer are gone; the target says where they go on. */
static void
crash(void)
{
	for (int i = 0; i < LANES; i++) {
		window_free(lanes[i].window);
		lanes[i] = (struct lane){0};
	}
	memset(taken, 0, sizeof taken);
	nitems = applied = 0;
	log_at = said = target.checkpoint;
	feed_state = scan_state = target.state;
	/* The only chunk is in, that the table streams is not said yet: its changes flow. */
	if (exact && feed_state == SCHEMA && target.done[0] && broken != LOADED_IS_SCHEMA)
		feed_state = LOADING;
	scan_inserted = target.inserted;
	planned = armed = false;
	nlanes = exact ? 1 : (int)chance(LANES) + 1;
}

static bool
is_over(void)
{
	return log_end == ntxns && target.checkpoint == ntxns && target.state == STREAMING &&
	       applied == nitems;
}

static void
step(void)
{
	switch (chance(8)) {
	case 0:
		source_commits();
		break;
	case 1:
		source_shows();
		break;
	case 2:
		flushed += flushed < log_end ? 1 : 0;
		break;
	case 3:
		log_step();
		break;
	case 4:
		writer_step();
		break;
	default:
		lane_step(&lanes[chance((uint32_t)nlanes)]);
		break;
	}
}

static void
run_seed(void)
{
	uint32_t crash_each;

	rng = seed_now * 0x2545f4914f6cdd1du + 11;
	ntxns = (int)chance(TXNS - 10) + 10;
	exact = chance(6) == 0;
	crash_each = chance(3) == 0 ? 60 : 400;
	log_end = flushed = 0;
	memset(&engine, 0, sizeof engine);
	memset(&target, 0, sizeof target);
	memset(states, 0, sizeof states[0]);
	for (int k = 0; k < KEYS; k++)
		if (chance(3) != 0)
			engine.cell[k] = (struct cell){1, chance(50), chance(50)};
	states[0] = engine;
	crash();
	for (unsigned n = 0; !is_over(); n++) {
		if (n > STEPS_MAX)
			fail("no end: checkpoint %d of %d", target.checkpoint, ntxns);
		if (n < STEPS_MAX / 4 && chance(crash_each) == 0) {
			crashes++;
			crash();
		}
		step();
	}
	if (memcmp(&target.db, &states[ntxns], sizeof target.db) != 0)
		fail("the ends differ");
	crash();
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
	struct table *t = table_new("d", "t");
	uint64_t n = 1000, from = 1;

	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--seeds") == 0)
			n = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--from") == 0)
			from = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--break") == 0)
			broken = rule_by_name(argv[i + 1]);
	key_index = table_add_index(t, "PRIMARY", true, true);
	index_add_part(key_index, 0, 0);
	for (seed_now = from; seed_now < from + n; seed_now++)
		run_seed();
	printf("%llu seeds: commits=%lu crashes=%lu kept=%lu upserts=%lu patched=%lu dropped=%lu "
	       "cancelled=%lu\n",
		(unsigned long long)n, commits, crashes, kept, upserts, patched, dropped,
		cancelled);
	table_free(t);
	return 0;
}
