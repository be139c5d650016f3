/*
 * object.c - initial objects at a PostgreSQL target; see sink.h of the room.
 *
 * Each is made in a transaction of its own. Tables of a source of another kind
 * are made from their canonical columns. Foreign keys are added once both of
 * their tables are there.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/pgsql/words.h"
#include "workers/writer/pgsql/sink.h"

#define DUPLICATE_TABLE "42P07"
#define DUPLICATE_OBJECT "42710"
#define DUPLICATE_FUNCTION "42723"
#define DUPLICATE_COLUMN "42701"

static enum rc
create_indexes(struct pgsql_lane *l, const struct table *t, const char *schema, const char *name,
	struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < t->nindexes && rc == RC_OK; i++) {
		const struct index *ix = &t->indexes[i];
		struct buf b;

		if (pgsink_is_primary(ix))
			continue;
		if (!pgsink_can_be_indexed(l->sink, t, ix)) {
			log_warn("index %s of %s.%s has no like at a PostgreSQL target and is left "
				 "out",
				ix->name, t->db, t->name);
			continue;
		}
		buf_init(&b);
		pgsink_create_index(l, &b, t, ix, schema, name);
		rc = pgsink_exec(l, buf_text(&b), e);
		buf_release(&b);
	}
	return rc;
}

/* ---- foreign keys ---- */

static bool
is_same(const struct table *a, const struct table *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->db, b->db) == 0;
}

static bool
is_made(const struct pgsql_sink *s, const char *db, const char *name)
{
	for (size_t i = 0; i < s->nmade; i++)
		if (strcmp(s->made[i]->name, name) == 0 && strcmp(s->made[i]->db, db) == 0)
			return true;
	return false;
}

void
pgsink_add_made(struct pgsql_sink *s, struct table *t)
{
	for (size_t i = 0; i < s->nmade; i++)
		if (is_same(s->made[i], t)) {
			table_free(s->made[i]);
			s->made[i] = t;
			return;
		}
	grow(&s->made, &s->made_cap, s->nmade + 1, sizeof(struct table *));
	s->made[s->nmade++] = t;
}

void
pgsink_forget_made(struct pgsql_sink *s, const char *db, const char *name)
{
	for (size_t i = 0; i < s->nmade; i++)
		if (strcmp(s->made[i]->name, name) == 0 && strcmp(s->made[i]->db, db) == 0) {
			table_free(s->made[i]);
			s->made[i] = s->made[--s->nmade];
			return;
		}
}

static bool
refers_to(const struct foreign_key *fk, const struct table *t)
{
	return strcmp(fk->ref_table, t->name) == 0 && strcmp(fk->ref_db, t->db) == 0;
}

/* Made before us, where existing tables are kept: a refusal would end the transaction. */
static enum rc
has_fk(struct pgsql_lane *l, const struct table *t, const struct foreign_key *fk, bool *has,
	struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_literal(l, &b, t->db, t->name);
	buf_puts(&b, "::regclass AND conname = ");
	pgsql_quote_text(&b, fk->name);
	rc = pgsql_exists(
		&l->c, has, e, "SELECT 1 FROM pg_constraint WHERE conrelid = %s", buf_text(&b));
	buf_release(&b);
	return rc;
}

/* Foreign keys of partitioned tables cannot be left unlooked at before PostgreSQL 18. */
static enum rc
must_be_valid(struct pgsql_lane *l, const struct table *t, bool *must, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_add_literal(l, &b, t->db, t->name);
	rc = pgsql_exists(&l->c, must, e,
		"SELECT 1 FROM pg_class WHERE relkind = 'p' AND oid = %s::regclass", buf_text(&b));
	*must = *must && l->c.version < 180000;
	buf_release(&b);
	return rc;
}

/* One that leads to a table which loads again waits with that one's indexes. */
static enum rc
waits_for_parent(struct pgsql_lane *l, const struct foreign_key *fk, const char *sql, bool *waits,
	struct err *e)
{
	char *state = NULL;
	struct buf key, b;
	enum rc rc;

	buf_init(&key);
	buf_init(&b);
	pgsink_add_key(l, &key, fk->ref_db, fk->ref_table);
	pgsql_quote_text(&b, sql);
	rc = pgsql_value(&l->c, &state, e,
		"UPDATE %s.table_state SET later = coalesce(later, '{}') || %s::text WHERE "
		"(channel, db, name) = (%s) AND state = 'reload' RETURNING state",
		l->sink->state, buf_text(&b), buf_text(&key));
	*waits = state != NULL;
	free(state);
	buf_release(&key);
	buf_release(&b);
	return rc;
}

enum rc
pgsink_make_fk(
	struct pgsql_lane *l, const struct table *t, const struct foreign_key *fk, struct err *e)
{
	bool has = false, valid = false, waits = false;
	struct buf b;
	enum rc rc;

	if (!pgsink_carries_fk(l, t, fk))
		return RC_OK;
	if (!routes_table(l->sink->env.routes, fk->ref_db, fk->ref_table)) {
		log_warn("foreign key %s of %s.%s is left out: %s.%s is not selected", fk->name,
			t->db, t->name, fk->ref_db, fk->ref_table);
		return RC_OK;
	}
	if (!l->sink->dialect->foreign_keys) {
		log_info("foreign key %s of %s.%s is left out: no %s keeps it", fk->name, t->db,
			t->name, l->sink->dialect->product);
		return RC_OK;
	}
	rc = has_fk(l, t, fk, &has, e);
	if (rc != RC_OK || has)
		return rc;
	rc = must_be_valid(l, t, &valid, e);
	if (rc != RC_OK)
		return rc;
	buf_init(&b);
	pgsink_add_fk(l, &b, t, fk);
	if (!valid)
		buf_puts(&b, " NOT VALID");
	rc = waits_for_parent(l, fk, buf_text(&b), &waits, e);
	if (rc == RC_OK && !waits)
		rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	if (rc != RC_OK)
		err_context(e, "cannot make foreign key %s of %s.%s at the target", fk->name, t->db,
			t->name);
	return rc;
}

/* Those of the new table whose parents are there, and those of others that have waited for it. */
enum rc
pgsink_make_fks(struct pgsql_lane *l, const struct table *t, struct err *e)
{
	struct pgsql_sink *s = l->sink;
	enum rc rc = RC_OK;

	for (uint32_t k = 0; k < t->nfks && rc == RC_OK; k++)
		if (refers_to(&t->fks[k], t) || is_made(s, t->fks[k].ref_db, t->fks[k].ref_table))
			rc = pgsink_make_fk(l, t, &t->fks[k], e);
	for (size_t i = 0; i < s->nmade && rc == RC_OK; i++)
		for (uint32_t k = 0; k < s->made[i]->nfks && rc == RC_OK; k++)
			if (!is_same(s->made[i], t) && refers_to(&s->made[i]->fks[k], t))
				rc = pgsink_make_fk(l, s->made[i], &s->made[i]->fks[k], e);
	if (rc == RC_OK)
		pgsink_add_made(s, table_copy(t));
	return rc;
}

/* ---- initial objects ---- */

enum rc
pgsink_make_schema(struct pgsql_lane *l, const char *schema, struct err *e)
{
	char *there = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_text(&b, schema);
	rc = pgsql_value(
		&l->c, &there, e, "SELECT 1 FROM pg_namespace WHERE nspname = %s", buf_text(&b));
	if (rc == RC_OK && there == NULL) {
		buf_clear(&b);
		buf_puts(&b, "CREATE SCHEMA IF NOT EXISTS ");
		pgsql_quote_name(&b, schema);
		rc = pgsink_exec(l, buf_text(&b), e);
	}
	free(there);
	buf_release(&b);
	if (rc != RC_OK && rc != RC_RETRY)
		err_remedy(e,
			"create the schema \"%s\" at the target by hand, or grant CREATE on the "
			"database",
			schema);
	return rc;
}

enum rc
pgsink_is_there(
	struct pgsql_lane *l, const char *schema, const char *name, bool *there, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_text(&b, schema);
	buf_puts(&b, " AND c.relname = ");
	pgsql_quote_text(&b, name);
	rc = pgsql_exists(&l->c, there, e,
		"SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
		"n.nspname = %s",
		buf_text(&b));
	buf_release(&b);
	return rc;
}

/* The state that our own row says this table has; it is ours then. TABLE_STATE_COUNT: it is not. */
static enum rc
our_state(struct pgsql_lane *l, const struct event_object *o, enum table_state *out, struct err *e)
{
	char *state = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_text(&b, l->sink->env.channel);
	buf_puts(&b, " AND db = ");
	pgsql_quote_text(&b, o->db);
	buf_puts(&b, " AND name = ");
	pgsql_quote_text(&b, o->name);
	rc = pgsql_value(&l->c, &state, e, "SELECT state FROM %s.table_state WHERE channel = %s",
		l->sink->state, buf_text(&b));
	*out = state != NULL ? table_state_by_name(state) : TABLE_STATE_COUNT;
	free(state);
	buf_release(&b);
	return rc;
}

enum rc
pgsink_create_from_columns(struct pgsql_lane *l, const struct table *t, const char *schema,
	const char *name, struct err *e)
{
	struct pgsql_shape s;
	struct buf b;
	enum rc rc = pgsink_shape(l->sink, t, &s, e);

	buf_init(&b);
	if (rc == RC_OK) {
		pgsink_create_table(l, &b, &s, schema, name);
		rc = pgsink_exec(l, buf_text(&b), e);
	}
	if (rc == RC_OK)
		rc = create_indexes(l, s.table, schema, name, e);
	pgsink_shape_release(&s);
	buf_release(&b);
	return rc;
}

/* A server older than the source may not have what the statement says. */
static bool
is_not_understood(const struct pgsql_lane *l)
{
	return pgsql_is(&l->c, "0A000") || pgsql_is(&l->c, "42601");
}

/* In the source's own words, where it speaks ours and has some. */
static enum rc
create_table(struct pgsql_lane *l, const struct event_object *o, const struct table *t,
	const char *schema, const char *name, struct err *e)
{
	struct buf b;
	enum rc rc;

	if (!l->sink->native || *o->ddl.sql == '\0')
		return pgsink_create_from_columns(l, t, schema, name, e);
	buf_init(&b);
	pgsink_map_names(l->sink->env.routes, o->ddl.sql, &b);
	rc = pgsink_exec(l, "SAVEPOINT own_words", e);
	if (rc == RC_OK)
		rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	if (rc == RC_OK || rc == RC_RETRY || !is_not_understood(l))
		return rc;
	log_warn("table %s.%s is made of its columns, keys and indexes alone: this server does not "
		 "have what it is at the source: %s",
		schema, name, e->text);
	rc = pgsink_exec(l, "ROLLBACK TO SAVEPOINT own_words", e);
	return rc == RC_OK ? pgsink_create_from_columns(l, t, schema, name, e) : rc;
}

/* ---- loading again ---- */

/*
 * What stands on the table %s (the fourth %s leaves out what partitions only inherit), in the order
 * in which it can be made again: foreign keys of other tables, defaults by sequences of its own,
 * views and routines, by way of its row type or its partitions too, triggers.
 */
/* clang-format off */
static const char standing_on[] =
	"WITH RECURSIVE v (class, id, level) AS (SELECT 'pg_class'::regclass::oid, "
	"%s::regclass::oid, 0 UNION ALL SELECT CASE WHEN w.oid IS NULL THEN d.classid ELSE "
	"'pg_class'::regclass END, coalesce(w.ev_class, d.objid), v.level + CASE WHEN p.oid IS NULL THEN 1 ELSE 0 END "
	"FROM v JOIN pg_depend d ON d.refclassid = v.class AND d.refobjid = v.id LEFT JOIN "
	"pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid LEFT JOIN pg_class p ON d.classid = "
	"'pg_class'::regclass AND d.deptype = 'a' AND p.oid = d.objid AND p.relkind IN ('r', 'p') "
	"WHERE w.ev_class <> v.id OR p.oid <> v.id OR d.classid IN ('pg_proc'::regclass, "
	"'pg_type'::regclass)), o (class, id, level) AS (SELECT class, id, max(level) "
	"FROM v WHERE level > 0 GROUP BY 1, 2) SELECT " CREATE_VIEW ", c.oid::regclass::text, level "
	"FROM o JOIN pg_class c ON class = 'pg_class'::regclass AND c.oid = id AND c.relkind IN ('v', "
	"'m') JOIN pg_namespace n ON n.oid = c.relnamespace UNION ALL SELECT " CREATE_ROUTINE("'FUNCTION'")
	", id::regprocedure::text, level FROM o JOIN pg_proc p ON class = 'pg_proc'::regclass AND p.oid = "
	"id JOIN pg_namespace n ON n.oid = p.pronamespace UNION ALL SELECT " CREATE_TRIGGER
	", c.oid::regclass || ' ' || g.tgname, 1000000 FROM pg_trigger g JOIN pg_class c ON c.oid = "
	"g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE (c.oid = %s::regclass OR EXISTS "
	"(SELECT FROM o WHERE class = 'pg_class'::regclass AND id = c.oid)) AND NOT g.tgisinternal "
	"UNION ALL SELECT format('ALTER TABLE %%s ALTER COLUMN %%I SET DEFAULT %%s', d.adrelid::regclass, "
	"a.attname, pg_get_expr(d.adbin, d.adrelid)), d.adrelid::regclass::text, 0 FROM pg_depend s JOIN pg_depend "
	"u ON u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass AND u.refobjid = s.objid "
	"JOIN pg_attrdef d ON d.oid = u.objid JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum "
	"WHERE s.classid = 'pg_class'::regclass AND s.deptype = 'a' AND s.refclassid = 'pg_class'::regclass AND "
	"s.refobjid = %s::regclass AND d.adrelid <> s.refobjid UNION ALL SELECT 'ALTER TABLE ' || "
	"conrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(conname) || ' ' || "
	"pg_get_constraintdef(oid) || CASE WHEN convalidated THEN ' NOT VALID' ELSE '' END, "
	"conrelid::regclass::text, 0 FROM pg_constraint WHERE contype = 'f' AND %s AND "
	"confrelid = %s::regclass AND conrelid <> confrelid ORDER BY level";
/* clang-format on */

/* Columns of other tables that are of the table's row type would go with it, and their values. */
static enum rc
check_columns(struct pgsql_lane *l, const char *literal, struct err *e)
{
	char *column = NULL;
	enum rc rc = pgsql_value(&l->c, &column, e,
		"SELECT d.objid::regclass || '.' || a.attname FROM pg_type t JOIN pg_depend d ON "
		"d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND "
		"d.classid = 'pg_class'::regclass AND d.objsubid > 0 JOIN pg_attribute a ON "
		"a.attrelid "
		"= d.objid AND a.attnum = d.objsubid JOIN pg_class c ON c.oid = d.objid AND "
		"c.relkind "
		"IN ('r', 'p') WHERE t.typrelid = %s::regclass",
		literal);

	if (rc == RC_OK && column != NULL) {
		err_set(e, RC_CONFIG,
			"it loads again, and column %s at the target is of its row type", column);
		rc = err_remedy(e, "drop that column or change its type, then `syncline start`");
	}
	free(column);
	return rc;
}

/* One that cannot be made on the new table (a column that it names is gone) stays away. */
static enum rc
make_again(struct pgsql_lane *l, const char *sql, const char *name, struct err *e)
{
	enum rc rc = pgsink_exec(l, "SAVEPOINT again", e);

	if (rc == RC_OK)
		rc = pgsink_exec(l, sql, e);
	if (rc == RC_OK || rc == RC_RETRY)
		return rc;
	log_warn("what stands on %s cannot be made again at the target, its table has changed: %s; "
		 "it was: %s",
		name, e->text, sql);
	return pgsink_exec(l, "ROLLBACK TO SAVEPOINT again", e);
}

/*
 * The table's definition is ours, and statements since may be missing in it: it
 * goes, and is made anew. With it goes what stands on it, which comes back as
 * it was.
 */
static enum rc
make_anew(struct pgsql_lane *l, const struct event_object *o, const struct table *t,
	const char *schema, const char *name, struct err *e)
{
	struct buf table, literal;
	PGresult *on = NULL;
	enum rc rc;

	buf_init(&table);
	buf_init(&literal);
	pgsql_quote_table(&table, schema, name);
	pgsql_quote_regclass(&literal, schema, name);
	rc = check_columns(l, buf_text(&literal), e);
	if (rc == RC_OK)
		rc = pgsql_query(&l->c, &on, e, standing_on, buf_text(&literal), buf_text(&literal),
			buf_text(&literal), l->c.version >= 110000 ? "conparentid = 0" : "true",
			buf_text(&literal));
	if (rc == RC_OK)
		rc = pgsql_run(&l->c, e, "DROP TABLE %s CASCADE", buf_text(&table));
	if (rc == RC_OK)
		rc = create_table(l, o, t, schema, name, e);
	for (int i = 0; rc == RC_OK && i < PQntuples(on); i++)
		rc = make_again(l, PQgetvalue(on, i, 0), PQgetvalue(on, i, 1), e);
	PQclear(on);
	buf_release(&table);
	buf_release(&literal);
	return rc;
}

enum rc
pgsink_empty(struct pgsql_lane *l, const char *schema, const char *name, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	rc = pgsink_fk(l, true, e);
	/* What nothing can refer to goes at once. */
	buf_puts(&b, l->sink->dialect->foreign_keys ? "DELETE FROM " : "TRUNCATE TABLE ");
	pgsink_quote_rows(l, &b, schema, name);
	if (rc == RC_OK)
		rc = pgsink_exec(l, buf_text(&b), e);
	if (rc == RC_OK)
		rc = pgsink_fk(l, false, e);
	buf_release(&b);
	return rc;
}

static bool
makes_schemas(const struct pgsql_lane *l)
{
	return conf_has_word(l->sink->env.conf, "initial", "schema");
}

/* Tables that inherit from it would go with it. */
static enum rc
has_heirs(struct pgsql_lane *l, const char *schema, const char *name, bool *has, struct err *e)
{
	struct buf literal;
	enum rc rc;

	buf_init(&literal);
	pgsql_quote_regclass(&literal, schema, name);
	rc = pgsql_exists(&l->c, has, e,
		"SELECT 1 FROM pg_inherits JOIN pg_class p ON p.oid = inhparent WHERE p.oid = "
		"to_regclass(%s) AND p.relkind = 'r' LIMIT 1",
		buf_text(&literal));
	buf_release(&literal);
	return rc;
}

static enum rc
make_table(struct pgsql_lane *l, const struct event_object *o, const struct table *t,
	const char *schema, const char *name, enum existing existing, struct err *e)
{
	enum table_state state = TABLE_STATE_COUNT;
	bool there = false, heirs = false, ours, made;
	enum rc rc = pgsink_is_there(l, schema, name, &there, e);

	if (rc == RC_OK)
		rc = our_state(l, o, &state, e);
	ours = state != TABLE_STATE_COUNT;
	if (rc == RC_OK && state == TABLE_RELOAD)
		rc = has_heirs(l, schema, name, &heirs, e);
	made = !there || (state == TABLE_RELOAD && makes_schemas(l) && !heirs);
	if (rc == RC_OK && there && !ours && existing == EXISTING_INTERCEPT)
		return sink_intercept(o, schema, name, e);
	if (rc == RC_OK && there && state == TABLE_RELOAD && existing == EXISTING_IGNORE)
		return sink_shared(o, schema, name, e);
	if (rc == RC_OK && !there)
		rc = create_table(l, o, t, schema, name, e);
	else if (rc == RC_OK && made)
		rc = make_anew(l, o, t, schema, name, e);
	else if (rc == RC_OK && state == TABLE_RELOAD)
		rc = pgsink_empty(l, schema, name, e);
	if (rc == RC_OK && made)
		rc = pgsink_make_fks(l, t, e);
	else if (rc == RC_OK) /* an earlier writer made it, with its foreign keys */
		pgsink_add_made(l->sink, table_copy(t));
	if (rc == RC_OK && !ours)
		rc = l->sink->base.ops->table_state(
			&l->base, o->db, o->name, TABLE_WAITING, false, NULL, e);
	if (rc == RC_OK && made &&
		(state == TABLE_RELOAD || conf_has_word(l->sink->env.conf, "initial", "data")))
		rc = pgsink_may_wait(l, o, e);
	if (rc == RC_OK)
		return rc;
	err_context(e, "cannot create table %s.%s at the target", schema, name);
	if (rc == RC_RETRY || *e->remedy != '\0')
		return rc;
	return err_remedy(e, "make there by hand what it needs (`syncline check` names what is not "
			     "carried), or leave the table out; then `syncline start`");
}

bool
pgsink_is_there_already(const struct pgsql_lane *l)
{
	static const char *const states[] = {
		DUPLICATE_TABLE, DUPLICATE_OBJECT, DUPLICATE_FUNCTION, DUPLICATE_COLUMN};

	for (size_t i = 0; i < COUNT_OF(states); i++)
		if (pgsql_is(&l->c, states[i]))
			return true;
	return false;
}

/* Anything but a table, in the source's own words. */
static enum rc
make_other(struct pgsql_lane *l, const struct event_object *o, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsink_map_names(l->sink->env.routes, o->ddl.sql, &b);
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	if (rc == RC_OK || rc == RC_RETRY)
		return rc;
	if (pgsink_is_there_already(l))
		return pgsink_exec(l, "ROLLBACK; BEGIN", e);
	err_context(
		e, "cannot create %s %s.%s at the target", object_name(o->kind), o->db, o->name);
	if (o->kind == OBJECT_EXTENSION)
		return err_remedy(e,
			"let an administrator install the extension %s at the target's host and "
			"run CREATE EXTENSION %s, then `syncline start`",
			o->name, o->name);
	return err_remedy(e, "make it at the target by hand as this server can have it, then "
			     "`syncline start`");
}

static enum rc
make_object(struct pgsql_lane *l, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e)
{
	const struct routes *r = l->sink->env.routes;
	const char *schema =
		table != NULL ? routes_table_db(r, o->db, o->name) : routes_target_db(r, o->db);
	enum rc rc = pgsink_make_schema(l, schema, e);

	if (rc == RC_OK && table != NULL)
		return make_table(
			l, o, table, schema, routes_target_table(r, o->db, o->name), existing, e);
	return rc == RC_OK && o->kind != OBJECT_DATABASE ? make_other(l, o, e) : rc;
}

enum rc
pgsink_object(struct sink_lane *base, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	struct err ignored;
	enum rc rc;

	if (o->kind != OBJECT_TABLE && o->kind != OBJECT_DATABASE && !l->sink->native) {
		log_warn("%s %s.%s is left out: it is written in the source's own language",
			object_name(o->kind), o->db, o->name);
		return RC_OK;
	}
	if ((rc = FAILPOINT_LOST(WRITER_OBJECT, e)) != RC_OK)
		return rc;
	rc = pgsink_begin(base, e);
	if (rc == RC_OK)
		rc = make_object(l, o, table, existing, e);
	if (rc == RC_OK)
		rc = pgsink_exec(l, "COMMIT", e);
	else if (e->code != 0 && pgsink_rollback(base, &ignored) != RC_OK)
		log_debug("cannot roll back: %s", ignored.text);
	l->in_txn = false;
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_OBJECT_MADE, e) : rc;
}
