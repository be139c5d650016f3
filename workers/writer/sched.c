/* sched.c - see sched.h. */
#include "common/compat.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "workers/writer/sched.h"

/*
 * The tokens of the groups in flight, in one open-addressing table: for each
 * hash how many groups hold it in each mode. A unit's own tokens are packed,
 * so it adds each hash once.
 */
struct slot {
	uint64_t hash;
	uint32_t held[3]; /* by token_mode */
	bool used;
};

struct flight {
	struct group group;	  /* first */
	struct token_list tokens; /* of all its units, packed */
	size_t late;		  /* tokens of its units that conflict */
	bool must_yield;
	struct flight *next; /* younger */
};

struct sched {
	unsigned lanes;
	uint32_t max_rows;
	size_t max_bytes;
	uint32_t late_share;
	struct unit *head, *tail;
	size_t queued, queued_rows, queued_bytes;
	struct flight *oldest, *youngest;
	unsigned in_flight;
	uint64_t next_turn;
	uint64_t gate; /* the turn that may commit */
	struct slot *slots;
	size_t nslots; /* a power of two */
	size_t used;
};

#define FIRST_SLOTS 4096
/* Patience ends at this part of a full group. */
#define GATHER_SHARE 4

struct sched *
sched_new(unsigned lanes, uint32_t max_rows, size_t max_bytes, uint32_t late_share)
{
	struct sched *s = xcalloc(1, sizeof *s);

	s->lanes = lanes;
	s->max_rows = max_rows;
	s->max_bytes = max_bytes;
	s->late_share = late_share;
	s->next_turn = s->gate = 1;
	s->nslots = FIRST_SLOTS;
	s->slots = xcalloc(s->nslots, sizeof *s->slots);
	return s;
}

static void
flight_free(struct flight *f)
{
	token_list_release(&f->tokens);
	token_list_release(&f->group.meets);
	free(f);
}

void
sched_free(struct sched *s)
{
	if (s == NULL)
		return;
	while (s->oldest != NULL) {
		struct flight *f = s->oldest;

		s->oldest = f->next;
		flight_free(f);
	}
	free(s->slots);
	free(s);
}

void
sched_start_turn(struct sched *s, uint64_t turn)
{
	s->next_turn = s->gate = turn;
}

/* ---- the table of held tokens ---- */

static struct slot *
slot_of(struct slot *slots, size_t n, uint64_t hash)
{
	size_t i = (size_t)(hash * 0x9e3779b97f4a7c15u >> 20) & (n - 1);

	while (slots[i].used && slots[i].hash != hash)
		i = (i + 1) & (n - 1);
	return &slots[i];
}

/* Doubles the table; hashes that nobody holds any more are left behind. */
static void
rehash(struct sched *s)
{
	size_t held = 0, n = FIRST_SLOTS;
	struct slot *slots;

	for (size_t i = 0; i < s->nslots; i++)
		held += s->slots[i].used &&
			(s->slots[i].held[0] | s->slots[i].held[1] | s->slots[i].held[2]) != 0;
	while (n < held * 4)
		n *= 2;
	slots = xcalloc(n, sizeof *slots);
	for (size_t i = 0; i < s->nslots; i++)
		if (s->slots[i].used &&
			(s->slots[i].held[0] | s->slots[i].held[1] | s->slots[i].held[2]) != 0)
			*slot_of(slots, n, s->slots[i].hash) = s->slots[i];
	free(s->slots);
	s->slots = slots;
	s->nslots = n;
	s->used = held;
}

static void
hold(struct sched *s, const struct token *t)
{
	struct slot *slot;

	if (s->used * 2 >= s->nslots)
		rehash(s);
	slot = slot_of(s->slots, s->nslots, t->hash);
	if (!slot->used) {
		*slot = (struct slot){.hash = t->hash, .used = true};
		s->used++;
	}
	slot->held[t->mode]++;
}

static void
let_go(struct sched *s, const struct token *t)
{
	slot_of(s->slots, s->nslots, t->hash)->held[t->mode]--;
}

/* How many of the unit's tokens conflict; what they meet is added to the list, if there is one. */
static size_t
conflicts(const struct sched *s, const struct unit *u, struct token_list *meets)
{
	size_t n = 0;

	for (size_t i = 0; i < u->ntokens; i++) {
		const struct slot *slot = slot_of(s->slots, s->nslots, u->tokens[i].hash);
		bool one = false;

		for (enum token_mode m = TOKEN_R; slot->used && m <= TOKEN_C; m++) {
			if (slot->held[m] == 0 || !token_conflict(m, u->tokens[i].mode))
				continue;
			one = true;
			if (meets != NULL)
				token_add(meets, slot->hash, m);
		}
		n += one;
	}
	return n;
}

/* ---- queue ---- */

void
sched_push(struct sched *s, struct unit *u)
{
	u->next = NULL;
	if (s->tail != NULL)
		s->tail->next = u;
	else
		s->head = u;
	s->tail = u;
	s->queued++;
	s->queued_rows += u->rows;
	s->queued_bytes += u->bytes;
}

const struct unit *
sched_head(const struct sched *s)
{
	return s->head;
}

size_t
sched_queued(const struct sched *s)
{
	return s->queued_rows > s->queued ? s->queued_rows : s->queued;
}

unsigned
sched_in_flight(const struct sched *s)
{
	return s->in_flight;
}

bool
sched_idle(const struct sched *s)
{
	return s->head == NULL && s->in_flight == 0;
}

const struct group *
sched_oldest(const struct sched *s)
{
	return s->oldest != NULL ? &s->oldest->group : NULL;
}

static bool
alone_in_flight(const struct sched *s)
{
	return s->oldest != NULL && s->oldest->group.first->alone;
}

static void
move_unit(struct sched *s, struct flight *f, size_t late)
{
	struct unit *u = s->head;

	if (late != 0)
		f->late += conflicts(s, u, &f->group.meets);
	s->head = u->next;
	if (s->head == NULL)
		s->tail = NULL;
	s->queued--;
	s->queued_rows -= u->rows;
	s->queued_bytes -= u->bytes;
	u->next = NULL;
	if (f->group.last != NULL)
		f->group.last->next = u;
	else
		f->group.first = u;
	f->group.last = u;
	f->group.units++;
	f->group.rows += u->rows;
	f->group.bytes += u->bytes;
	for (size_t i = 0; i < u->ntokens; i++)
		token_add(&f->tokens, u->tokens[i].hash, u->tokens[i].mode);
}

static bool
are_few(const struct sched *s, size_t late, size_t rows)
{
	return late * s->late_share <= rows;
}

/* Whether the head of the queue may join a group that has something already. */
static bool
may_join(const struct sched *s, const struct flight *f, size_t *late)
{
	const struct unit *u = s->head;

	if (u == NULL || u->alone || u->solo || f->group.rows + u->rows > s->max_rows ||
		f->group.bytes + u->bytes > s->max_bytes || f->group.units >= s->max_rows)
		return false;
	*late = conflicts(s, u, NULL);
	return *late == 0 || are_few(s, f->late + *late, (size_t)f->group.rows + u->rows);
}

/* Whether so little is queued that it had better gather while others are in flight. */
static bool
gathers(const struct sched *s)
{
	return s->in_flight != 0 && !s->head->solo && s->queued_rows * GATHER_SHARE < s->max_rows &&
	       s->queued_bytes * GATHER_SHARE < s->max_bytes;
}

/* Whether the head of the queue may be the first of a group. */
static bool
may_start(const struct sched *s, bool patient, size_t *late)
{
	const struct unit *u = s->head;

	if (u == NULL || s->in_flight >= s->lanes || alone_in_flight(s) ||
		(u->alone && s->in_flight != 0) || (patient && gathers(s)))
		return false;
	*late = conflicts(s, u, NULL);
	return *late == 0 || (!u->solo && are_few(s, *late, u->rows));
}

struct group *
sched_take(struct sched *s, bool patient)
{
	const struct unit *u = s->head;
	struct flight *f;
	size_t late = 0;

	if (!may_start(s, patient, &late))
		return NULL;
	f = xcalloc(1, sizeof *f);
	move_unit(s, f, late);
	if (!u->alone && !u->solo)
		while (may_join(s, f, &late))
			move_unit(s, f, late);
	token_list_pack(&f->tokens);
	for (size_t i = 0; i < f->tokens.count; i++)
		hold(s, &f->tokens.tokens[i]);
	f->group.turn = s->next_turn++;
	f->group.attempts = 1;
	f->group.state = GROUP_RUNNING;
	if (s->youngest != NULL)
		s->youngest->next = f;
	else
		s->oldest = f;
	s->youngest = f;
	s->in_flight++;
	return &f->group;
}

/* ---- gate ---- */

bool
sched_executed(struct sched *s, struct group *g)
{
	g->state = GROUP_AT_GATE;
	return sched_my_turn(s, g);
}

bool
sched_my_turn(struct sched *s, struct group *g)
{
	if (g->turn != s->gate || g->state != GROUP_AT_GATE)
		return false;
	g->state = GROUP_COMMITTING;
	((struct flight *)g)->must_yield = false;
	return true;
}

void
sched_run_late(struct group *g)
{
	if (g->state != GROUP_COMMITTING)
		bug("late changes run out of turn");
	g->state = GROUP_RUNNING;
}

struct unit *
sched_committed(struct sched *s, struct group *g)
{
	struct flight *f = (struct flight *)g;
	struct unit *units = g->first;

	if (s->oldest != f || g->state != GROUP_COMMITTING)
		bug("a group commits out of turn");
	for (size_t i = 0; i < f->tokens.count; i++)
		let_go(s, &f->tokens.tokens[i]);
	s->oldest = f->next;
	if (s->oldest == NULL)
		s->youngest = NULL;
	s->in_flight--;
	s->gate++;
	flight_free(f);
	return units;
}

void
sched_rolled_back(struct sched *s, struct group *g)
{
	struct flight *f = (struct flight *)g;

	(void)s;
	g->state = GROUP_ROLLED_BACK;
	f->must_yield = false;
	if (++g->attempts >= 3)
		g->wait_oldest = true;
}

bool
sched_may_run(struct sched *s, struct group *g)
{
	if (g->wait_oldest && s->oldest != (struct flight *)g)
		return false;
	g->state = GROUP_RUNNING;
	return true;
}

/* The third attempt runs alone: who is at the gate behind it has to let its locks go, too. */
unsigned
sched_stalled(struct sched *s)
{
	unsigned n = 0;

	for (struct flight *f = s->oldest != NULL ? s->oldest->next : NULL; f != NULL; f = f->next)
		if (f->group.state == GROUP_AT_GATE && !f->must_yield) {
			f->must_yield = true;
			f->group.wait_oldest = true;
			n++;
		}
	return n;
}

bool
sched_must_yield(const struct sched *s, const struct group *g)
{
	(void)s;
	return ((const struct flight *)g)->must_yield;
}
