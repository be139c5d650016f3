/*
 * token.h - what a change touches, as 64-bit hashes.
 *
 * Two transactions may run at the same time, in any order, if none of their
 * tokens conflict. Tokens are computed from the *target's* unique indexes and
 * foreign keys. They are always coarser than the index, never finer: a
 * collision costs a wait, a missing token would cost the order.
 *
 * Modes: R/R and C/C do not conflict, all other pairs do. R is "depends on",
 * W is "changes", C is "a chunk is loaded into this table" (chunks of one
 * table do not disturb each other; they disturb every row change of it).
 *
 * Pure; a plan is immutable and may be used by any thread.
 */
#ifndef WORKERS_WRITER_TOKEN_H
#define WORKERS_WRITER_TOKEN_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/event.h"
#include "common/schema.h"

enum token_mode { TOKEN_R, TOKEN_W, TOKEN_C };

struct token {
	uint64_t hash;
	enum token_mode mode;
};

static inline bool
token_conflict(enum token_mode a, enum token_mode b)
{
	return a != b || a == TOKEN_W;
}

struct token_list {
	struct token *tokens;
	size_t count;
	size_t cap;
};

void token_list_release(struct token_list *l);
void token_add(struct token_list *l, uint64_t hash, enum token_mode mode);
/* Sorts, and keeps of equal hashes one token of the strongest mode (R and C of one hash make W). */
void token_list_pack(struct token_list *l);

/*
 * The foreign keys between the target's tables, as far as this channel writes
 * them. Tables joined by CASCADE or SET NULL / SET DEFAULT are one component.
 * Built from every described target table; a table may be added again when it changed.
 */
struct fk_world;
struct fk_world *fk_world_new(void);
void fk_world_free(struct fk_world *w);
/* True: relations may have changed; token plans must be made anew. */
bool fk_world_set(struct fk_world *w, const struct table *target);
/* A table to which some foreign key refers, described or not: before plans are made. */
void fk_world_refer(struct fk_world *w, const char *db, const char *name);

struct token_plan;

/*
 * target: the target's own description. map[i] is the target column of column
 * i of the rows (source's order), UINT32_MAX if it has none. The plan keeps no
 * pointer into its arguments.
 */
struct token_plan *token_plan_new(const struct table *target, const struct table *source,
	const uint32_t *map, const struct fk_world *world);
void token_plan_free(struct token_plan *p);

/* Appends the tokens of one change. */
void token_row(const struct token_plan *p, enum event_kind op, const struct row *before,
	const struct row *after, struct token_list *out);
/* Appends the tokens of a chunk into this table. */
void token_chunk(const struct token_plan *p, struct token_list *out);
/* Chunks come through a load ring one behind the other: two of one ring do not run at once. */
void token_ring(uint32_t ring, struct token_list *out);
/* Tables that are in one component through foreign keys of any kind share this number; rows of such
 * tables keep their order. */
uint64_t token_component(const struct token_plan *p);

#endif
