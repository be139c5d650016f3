/* database.c - see database.h. */
#include "common/compat.h"

#include "common/mem.h"
#include "t/sim/database.h"

static void
set_cell(struct db *d, struct undo_log *log, int t, int64_t k, struct cell c)
{
	if (log != NULL) {
		grow(&log->entries, &log->cap, log->count + 1, sizeof *log->entries);
		log->entries[log->count++] =
			(struct undo){.table = t, .key = (int)k, .old = d->cell[t][k]};
	}
	d->cell[t][k] = c;
}

static void
add_count(struct db *d, struct undo_log *log, int64_t a, int64_t b, int64_t delta)
{
	if (log != NULL) {
		grow(&log->entries, &log->cap, log->count + 1, sizeof *log->entries);
		log->entries[log->count++] = (struct undo){
			.is_count = true, .table = (int)a, .key = (int)b, .delta = delta};
	}
	d->count[a][b] += delta;
}

void
database_take_back(struct db *d, const struct undo_log *log)
{
	for (size_t i = log->count; i-- > 0;) {
		const struct undo *u = &log->entries[i];

		if (u->is_count)
			d->count[u->table][u->key] -= u->delta;
		else
			d->cell[u->table][u->key] = u->old;
	}
}

static const char *
check_new(const struct db *d, const struct op *o, bool moved)
{
	const int64_t *n = o->after;

	if (moved && d->cell[o->table][n[0]].used)
		return "duplicate key";
	for (int k = 0; o->table == USERS && n[1] != NONE && k < KEYS; k++)
		if (d->cell[USERS][k].used && d->cell[USERS][k].a == n[1] &&
			!(o->kind == EVENT_UPDATE && k == o->before[0]))
			return "duplicate unique value";
	if (o->table == CHILD && !o->no_fk && n[1] != NONE && !d->cell[PARENT][n[1]].used)
		return "parent missing";
	return NULL;
}

static void
cascade(struct db *d, struct undo_log *log, const struct op *o)
{
	for (int k = 0; k < KEYS; k++) {
		struct cell c = d->cell[CHILD][k];

		if (!c.used || c.a != o->before[0])
			continue;
		if (o->kind == EVENT_DELETE)
			c = (struct cell){0};
		else
			c.a = o->after[0];
		set_cell(d, log, CHILD, k, c);
	}
}

static const char *
run_keyless(struct db *d, const struct op *o, struct undo_log *log)
{
	if (o->kind != EVENT_INSERT) {
		if (d->count[o->before[0]][o->before[1]] == 0)
			return "no such row without a key";
		add_count(d, log, o->before[0], o->before[1], -1);
	}
	if (o->kind != EVENT_DELETE)
		add_count(d, log, o->after[0], o->after[1], 1);
	return NULL;
}

const char *
database_run(struct db *d, const struct op *o, struct undo_log *log)
{
	const int64_t *b = o->before, *a = o->after;
	bool moved = o->kind == EVENT_INSERT || a[0] != b[0];
	const char *wrong;

	if (o->table == KEYLESS)
		return run_keyless(d, o, log);
	if (o->kind != EVENT_INSERT) {
		const struct cell *c = &d->cell[o->table][b[0]];

		if (!c->used || c->a != b[1] || c->b != b[2])
			return "the row is not as before";
	}
	if (o->kind != EVENT_DELETE && (wrong = check_new(d, o, moved)) != NULL)
		return wrong;
	if (o->kind != EVENT_INSERT && (moved || o->kind == EVENT_DELETE))
		set_cell(d, log, o->table, b[0], (struct cell){0});
	if (o->kind != EVENT_DELETE)
		set_cell(d, log, o->table, a[0], (struct cell){1, a[1], a[2]});
	if (o->table == PARENT && o->kind != EVENT_INSERT && (o->kind == EVENT_DELETE || moved))
		cascade(d, log, o);
	return NULL;
}
