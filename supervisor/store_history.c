/* store_history.c - moves, conflicts and samples in the store. */
#include "common/compat.h"

#include "common/loop.h"
#include "supervisor/store.h"
#include "supervisor/store_private.h"

#define MAX_CONFLICTS 1000

/* ---- history ---- */

void
store_add_note(struct store *s, const char *id, const char *kind, const char *what)
{
	if (!store_run(s, SQL_ADD_MOVE, "sissss", id, (int64_t)now_us(), kind, NULL, NULL, what))
		store_complain(s, "write to");
}

void
store_moves(struct store *s, const char *id, unsigned limit,
	void (*cb)(void *arg, const struct store_move *m), void *arg)
{
	sqlite3_stmt *q = store_query(s, SQL_LOAD_MOVES, "si", id, (int64_t)limit);

	while (store_next_row(q)) {
		struct store_move m = {.at_us = store_integer(q, 0),
			.kind = store_text(q, 1),
			.from = store_text(q, 2),
			.to = store_text(q, 3),
			.text = store_text(q, 4)};

		cb(arg, &m);
	}
}

void
store_add_conflict(struct store *s, const char *id, const struct report_conflict *c)
{
	if (!store_run(s, SQL_ADD_CONFLICT, "sissssssssss", id, (int64_t)c->time_us, c->db,
		    c->table, c->operation, c->kind, c->key, c->before, c->after, c->target,
		    c->action, c->position))
		store_complain(s, "write to");
}

void
store_conflicts(struct store *s, const char *id, unsigned limit,
	void (*cb)(void *arg, const struct report_conflict *c), void *arg)
{
	sqlite3_stmt *q = store_query(s, SQL_LOAD_CONFLICTS, "si", id, (int64_t)limit);

	while (store_next_row(q)) {
		struct report_conflict c = {.time_us = store_integer(q, 0),
			.db = store_text(q, 1),
			.table = store_text(q, 2),
			.operation = store_text(q, 3),
			.kind = store_text(q, 4),
			.key = store_text(q, 5),
			.before = store_text(q, 6),
			.after = store_text(q, 7),
			.target = store_text(q, 8),
			.action = store_text(q, 9),
			.position = store_text(q, 10)};

		cb(arg, &c);
	}
}

void
store_add_sample(struct store *s, const char *id, const struct store_sample *x)
{
	if (!store_run(s, SQL_ADD_SAMPLE, "siddi", id, (int64_t)x->at_us, x->bandwidth, x->tps,
		    x->delay_ms))
		store_complain(s, "write to");
}

void
store_samples(struct store *s, const char *id, uint64_t since_us, uint64_t bucket_us,
	void (*cb)(void *arg, const struct store_sample *sample), void *arg)
{
	sqlite3_stmt *q = store_query(s, SQL_LOAD_SAMPLES, "sii", id, (int64_t)since_us,
		(int64_t)(bucket_us != 0 ? bucket_us : 1));

	while (store_next_row(q)) {
		struct store_sample x = {.at_us = store_integer(q, 0),
			.bandwidth = sqlite3_column_double(q, 1),
			.tps = sqlite3_column_double(q, 2),
			.delay_ms = sqlite3_column_int64(q, 3)};

		cb(arg, &x);
	}
}

void
store_prune(struct store *s, uint64_t before_us)
{
	if (!store_run(s, SQL_PRUNE_MOVES, "i", (int64_t)before_us) ||
		!store_run(s, SQL_PRUNE_SAMPLES, "i", (int64_t)before_us) ||
		!store_run(s, SQL_PRUNE_CONFLICTS, "i", (int64_t)MAX_CONFLICTS))
		store_complain(s, "prune");
}
