/*
 * ddl.c - changes of tables at a PostgreSQL target; see sink.h of the room.
 *
 * DDL is transactional here: statement and checkpoint commit together, and a
 * crash leaves both or neither.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/writer/pgsql/sink.h"

#define STANDS_IN_THE_WAY "2BP01" /* other objects depend on it */
#define IS_REFERRED_TO "0A000"	  /* TRUNCATE, where foreign keys of other tables lead to it */

static enum rc
follow_create(struct pgsql_lane *l, const struct table *t, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	const char *schema = routes_table_db(r, t->db, t->name),
		   *name = routes_target_table(r, t->db, t->name);
	bool there = false;
	enum rc rc = pgsink_make_schema(l, schema, e);

	if (rc == RC_OK)
		rc = pgsink_is_there(l, schema, name, &there, e);
	if (rc == RC_OK && !there)
		rc = pgsink_create_from_columns(l, t, schema, name, e);
	/* What refers to it comes later. */
	for (uint32_t k = 0; k < t->nfks && rc == RC_OK; k++)
		rc = pgsink_make_fk(l, t, &t->fks[k], e);
	if (rc == RC_OK)
		pgsink_add_made(l->sink, table_copy(t));
	return rc;
}

static enum rc
rename_table(struct pgsql_lane *l, const struct table_change *ch, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	const char *from = routes_table_db(r, ch->db, ch->name),
		   *to = routes_table_db(r, ch->to_db, ch->to_name),
		   *name = routes_target_table(r, ch->db, ch->name),
		   *new = routes_target_table(r, ch->to_db, ch->to_name);
	struct buf b;
	enum rc rc = pgsink_make_schema(l, to, e);

	if (rc == RC_OK && strcmp(from, to) != 0) {
		buf_init(&b);
		buf_puts(&b, "ALTER TABLE ");
		pgsql_quote_table(&b, from, name);
		buf_puts(&b, " SET SCHEMA ");
		pgsql_quote_name(&b, to);
		rc = pgsink_exec(l, buf_text(&b), e);
		buf_release(&b);
	}
	if (rc == RC_OK && strcmp(name, new) != 0) {
		buf_init(&b);
		buf_puts(&b, "ALTER TABLE ");
		pgsql_quote_table(&b, to, name);
		buf_puts(&b, " RENAME TO ");
		pgsql_quote_name(&b, new);
		rc = pgsink_exec(l, buf_text(&b), e);
		buf_release(&b);
	}
	return rc;
}

/* One that has become a partition of another table stays. */
static enum rc
stays(struct pgsql_lane *l, const struct table_change *ch, bool *out, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_literal(l, &b, ch->db, ch->name);
	rc = pgsql_exists(&l->c, out, e,
		"SELECT 1 FROM pg_inherits JOIN pg_class p ON p.oid = inhparent WHERE p.relkind = "
		"'p' AND inhrelid = to_regclass(%s)",
		buf_text(&b));
	buf_release(&b);
	return rc;
}

static enum rc
drop_table(struct pgsql_lane *l, const struct table_change *ch, struct err *e)
{
	bool part = false;
	struct buf b;
	enum rc rc = stays(l, ch, &part, e);

	if (rc != RC_OK || part)
		return rc;
	buf_init(&b);
	buf_puts(&b, "DROP TABLE IF EXISTS ");
	pgsink_add_target(l, &b, ch->db, ch->name);
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

/* They may lead to one that is dropped before. */
static enum rc
drop_fks_of_dropped(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	struct err *e)
{
	bool part = false;
	enum rc rc = stays(l, ch, &part, e);

	for (uint32_t k = 0; !part && k < before->nfks && rc == RC_OK; k++) {
		struct buf b;

		buf_init(&b);
		buf_puts(&b, "ALTER TABLE IF EXISTS ");
		pgsink_add_target(l, &b, ch->db, ch->name);
		buf_puts(&b, " DROP CONSTRAINT IF EXISTS ");
		pgsql_quote_name(&b, before->fks[k].name);
		rc = pgsink_exec(l, buf_text(&b), e);
		buf_release(&b);
	}
	return rc;
}

/* Tables that load again: what refers to them stays. */
static enum rc
empty_tables(struct pgsql_lane *l, const struct event_ddl *d, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	enum rc rc = pgsink_exec(l, "ROLLBACK TO SAVEPOINT whole", e);

	for (uint32_t i = 0; i < d->nchanges && rc == RC_OK; i++) {
		const struct table_change *ch = &d->changes[i];

		if (ch->effect == DDL_TRUNCATED)
			rc = pgsink_empty(l, routes_table_db(r, ch->db, ch->name),
				routes_target_table(r, ch->db, ch->name), e);
	}
	return rc;
}

/* All of them in one statement: foreign keys may join them. */
static enum rc
truncate_tables(struct pgsql_lane *l, const struct event_ddl *d, struct err *e)
{
	const char *comma = "TRUNCATE TABLE ";
	enum rc rc = RC_OK;
	struct buf b;

	buf_init(&b);
	for (uint32_t i = 0; i < d->nchanges; i++)
		if (d->changes[i].effect == DDL_TRUNCATED) {
			const struct table_change *ch = &d->changes[i];
			const struct routes *r = l->sink->env.routes;

			buf_puts(&b, comma);
			pgsink_quote_rows(l, &b, routes_table_db(r, ch->db, ch->name),
				routes_target_table(r, ch->db, ch->name));
			comma = ", ";
		}
	if (b.len != 0) {
		/* What the source's triggers did is in its log. */
		rc = pgsink_fk(l, l->sink->native, e);
		if (rc == RC_OK)
			rc = pgsink_exec(l, "SAVEPOINT whole", e);
		if (rc == RC_OK)
			rc = pgsink_exec(l, buf_text(&b), e);
		if (rc != RC_OK && rc != RC_RETRY && pgsql_is(&l->c, IS_REFERRED_TO))
			rc = empty_tables(l, d, e);
		if (rc == RC_OK)
			rc = pgsink_fk(l, false, e);
	}
	buf_release(&b);
	return rc;
}

static enum rc
decode(const unsigned char *p, uint32_t n, struct table **out, struct err *e)
{
	struct cursor c;

	*out = NULL;
	cursor_init(&c, p, n);
	return n != 0 ? table_decode(&c, out, e) : RC_OK;
}

/* Foreign keys join the tables of a statement: those that go are first, those that come last. */
enum phase { FKS_THAT_GO, CHANGES, FKS_THAT_COME, PHASES };

static enum rc
make_phase(struct pgsql_lane *l, const struct table_change *ch, const struct table *before,
	const struct table *after, enum phase phase, struct err *e)
{
	bool changed = ch->effect == DDL_CHANGED && before != NULL && after != NULL;

	if (phase == FKS_THAT_GO && ch->effect == DDL_DROPPED && before != NULL)
		return drop_fks_of_dropped(l, ch, before, e);
	if (phase == FKS_THAT_GO)
		return changed ? pgsink_lose_fks(l, before, after, e) : RC_OK;
	if (phase == FKS_THAT_COME)
		return changed ? pgsink_gain_fks(l, before, after, e) : RC_OK;
	switch (ch->effect) {
	case DDL_CREATED:
		return after != NULL ? follow_create(l, after, e) : RC_OK;
	case DDL_CHANGED:
		return changed ? pgsink_alter_table(l, ch, before, after, e) : RC_OK;
	case DDL_DROPPED:
		return drop_table(l, ch, e);
	case DDL_RENAMED:
		return rename_table(l, ch, e);
	case DDL_TRUNCATED:
	case DDL_EFFECT_COUNT:
	default:
		return RC_OK;
	}
}

/* Which foreign keys the tables have that others may wait for. */
static void
remember(struct pgsql_sink *s, const struct table_change *ch, const struct table *after)
{
	if (ch->effect == DDL_CHANGED && after != NULL)
		pgsink_add_made(s, table_copy(after));
	else if (ch->effect == DDL_DROPPED || ch->effect == DDL_RENAMED)
		pgsink_forget_made(s, ch->db, ch->name);
}

static enum rc
make_change(struct pgsql_lane *l, const struct table_change *ch, enum phase phase, struct err *e)
{
	struct table *before = NULL, *after = NULL;
	enum rc rc = decode(ch->before, ch->before_len, &before, e);

	if (rc == RC_OK)
		rc = decode(ch->after, ch->after_len, &after, e);
	if (rc == RC_OK)
		rc = make_phase(l, ch, before, after, phase, e);
	if (rc == RC_OK && phase == FKS_THAT_COME)
		remember(l->sink, ch, after);
	table_free(before);
	table_free(after);
	return rc;
}

static enum rc
make_changes(
	struct pgsql_lane *l, const struct event_ddl *d, const struct checkpoint *c, struct err *e)
{
	enum rc rc = truncate_tables(l, d, e);

	for (unsigned phase = 0; phase < PHASES && rc == RC_OK; phase++)
		for (uint32_t i = 0; i < d->nchanges && rc == RC_OK; i++)
			rc = make_change(l, &d->changes[i], phase, e);
	if (rc == RC_OK)
		return RC_OK;
	err_context(e, "cannot follow a change of the source's tables (%s%.200ssource position %s)",
		d->sql, *d->sql != '\0' ? "; " : "", c->applied);
	if (rc != RC_RETRY && *e->remedy == '\0')
		err_remedy(e, "make the target's table what the source's was before the statement, "
			      "then `syncline start`");
	return rc;
}

/*
 * What a source of our own kind has mostly about no table: a view, a routine, a
 * sequence and where it stands. Rows do not need it: what the target cannot have
 * stays away, what it has already stays. *later: it cannot be said before the
 * tables have changed.
 */
static enum rc
say(struct pgsql_lane *l, const struct ddl_said *said, bool *later, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	struct buf b;
	enum rc rc = pgsink_exec(l, "SAVEPOINT beside", e);

	if (rc != RC_OK)
		return rc;
	buf_init(&b);
	pgsink_map_names(r, said->sql, &b);
	if (*said->db != '\0')
		rc = pgsink_make_schema(l, routes_target_db(r, said->db), e);
	if (rc == RC_OK)
		rc = pgsink_exec(l, buf_text(&b), e);
	if (rc != RC_OK && rc != RC_RETRY) {
		*later = *later && pgsql_is(&l->c, STANDS_IN_THE_WAY);
		if (!*later && !pgsink_is_there_already(l))
			log_warn("what the source's statement has made is left out at the target: "
				 "%s: %.200s",
				e->text, buf_text(&b));
		rc = pgsink_exec(l, "ROLLBACK TO SAVEPOINT beside", e);
	} else {
		*later = false;
	}
	buf_release(&b);
	return rc;
}

/* What is dropped goes before its tables, or behind them where they stand on it. */
static enum rc
make_and_say(
	struct pgsql_lane *l, const struct event_ddl *d, const struct checkpoint *c, struct err *e)
{
	bool *later = xcalloc(d->nsaid, sizeof *later), again = false;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < d->nsaid && rc == RC_OK; i++) {
		later[i] = true;
		if (d->said[i].ahead)
			rc = say(l, &d->said[i], &later[i], e);
	}
	if (rc == RC_OK)
		rc = make_changes(l, d, c, e);
	for (uint32_t i = 0; i < d->nsaid && rc == RC_OK; i++)
		if (later[i])
			rc = say(l, &d->said[i], &again, e);
	free(later);
	return rc;
}

enum rc
pgsink_ddl(struct sink_lane *base, const struct event_ddl *d, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	enum rc rc;

	*skipped = NULL;
	FAILPOINT(WRITER_DDL);
	pgsink_drop_statements(l);
	rc = pgsink_begin(base, e);
	if (rc == RC_OK && d->nchanges == 0 && d->nsaid == 0)
		*skipped = xasprintf("`%.200s` changes no table that is carried", d->sql);
	pgsink_busy(l, true);
	if (rc == RC_OK)
		rc = make_and_say(l, d, c, e);
	pgsink_busy(l, false);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_DDL_RUN, e);
	for (uint32_t i = 0; i < nrecords && rc == RC_OK; i++)
		rc = base->sink->ops->table_state(base, records[i].source_db,
			records[i].source_name, records[i].state, records[i].inserted,
			&records[i].schema, e);
	if (rc == RC_OK)
		rc = pgsink_commit(base, c, e);
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_DDL_DONE, e) : rc;
}
