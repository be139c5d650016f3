/* object.c - initial objects at a MySQL target, and whether it can have them; see sink.h of the
 * room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

#define TABLE_EXISTS 1050
#define DATABASE_EXISTS 1007
#define ROUTINE_EXISTS 1304
#define TRIGGER_EXISTS 1359

static void
add_text(struct mysql_lane *l, struct buf *b, const char *s)
{
	client_quote(&l->c, b, s, strlen(s));
}

static enum rc
create_database(struct mysql_lane *l, const struct event_ddl *ev, const char *db, struct err *e)
{
	struct err failure;
	struct buf b;
	enum rc rc = session_enter(l, ev, e), back;

	if (rc != RC_OK)
		return rc;
	buf_init(&b);
	buf_puts(&b, "CREATE DATABASE IF NOT EXISTS ");
	mysql_quote_name(&b, db);
	rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	if (rc == RC_RETRY)
		return rc;
	if (rc != RC_OK)
		err_remedy(e,
			"create the database \"%s\" at the target by hand, or grant CREATE on it",
			db);
	back = session_leave(l, &failure);
	if (rc == RC_OK && back != RC_OK)
		*e = failure;
	return rc != RC_OK ? rc : back;
}

/* SHOW CREATE names an object without its database: the session's is the mapped one. What its
 * tables get where they say nothing is as at the source. */
static enum rc
make_database(struct mysql_lane *l, const struct event_ddl *ev, const char *db, struct err *e)
{
	char *there = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	add_text(l, &b, db);
	rc = client_value(&l->c, &there, e,
		"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", buf_text(&b));
	buf_release(&b);
	if (rc == RC_OK && there == NULL)
		rc = create_database(l, ev, db, e);
	free(there);
	return rc;
}

/* The state that our own row says this table has; it is ours then. TABLE_STATE_COUNT: it is not. */
static enum rc
our_state(struct mysql_lane *l, const struct event_object *o, enum table_state *out, struct err *e)
{
	char *state = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	add_text(l, &b, l->sink->env.channel);
	buf_puts(&b, " AND db = ");
	add_text(l, &b, o->db);
	buf_puts(&b, " AND name = ");
	add_text(l, &b, o->name);
	rc = client_value(&l->c, &state, e, "SELECT state FROM %s.table_state WHERE channel = %s",
		l->sink->state, buf_text(&b));
	*out = state != NULL ? table_state_by_name(state) : TABLE_STATE_COUNT;
	free(state);
	buf_release(&b);
	return rc;
}

/* Noted before it is made: a crash in between leaves a note, and then whatever has that name is
 * ours. */
static enum rc
note_table(struct mysql_lane *l, const struct event_object *o, struct err *e)
{
	enum rc rc = l->sink->base.ops->table_state(
		&l->base, o->db, o->name, TABLE_WAITING, false, NULL, e);

	if (rc == RC_OK)
		rc = client_run(&l->c, e, "COMMIT");
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_OBJECT_NOTED, e) : rc;
}

static enum rc
exists(struct mysql_lane *l, const char *db, const char *name, bool *there, struct err *e)
{
	char *n = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	add_text(l, &b, db);
	buf_puts(&b, " AND TABLE_NAME = ");
	add_text(l, &b, name);
	rc = client_value(&l->c, &n, e,
		"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
		buf_text(&b));
	*there = n != NULL && strcmp(n, "0") != 0;
	free(n);
	buf_release(&b);
	return rc;
}

/*
 * A table that loads again: what it has goes. Where definitions are ours it is
 * made anew, for the statements since may be missing in it; else it is emptied.
 */
static enum rc
clear_table(struct mysql_lane *l, const char *db, const char *name, bool anew, bool *make,
	struct err *e)
{
	struct buf b;
	enum rc rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 0");

	buf_init(&b);
	buf_puts(&b, anew ? "DROP TABLE " : "TRUNCATE TABLE ");
	mysql_quote_table(&b, db, name);
	run_busy(l, true);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 1");
	run_busy(l, false);
	*make = anew;
	buf_release(&b);
	return rc;
}

static enum rc
make_table(struct mysql_lane *l, const struct event_object *o, const char *db, const char *name,
	enum existing existing, bool *make, struct err *e)
{
	enum table_state state = TABLE_STATE_COUNT;
	bool there = false, ours;
	enum rc rc = exists(l, db, name, &there, e);

	*make = !there;
	if (rc == RC_OK)
		rc = our_state(l, o, &state, e);
	ours = state != TABLE_STATE_COUNT;
	if (rc == RC_OK && there && state == TABLE_RELOAD && existing == EXISTING_IGNORE)
		return sink_shared(o, db, name, e);
	if (rc == RC_OK && there && state == TABLE_RELOAD)
		return clear_table(l, db, name,
			conf_has_word(l->sink->env.conf, "initial", "schema"), make, e);
	if (rc == RC_OK && there && !ours && existing == EXISTING_INTERCEPT)
		return sink_intercept(o, db, name, e);
	return rc == RC_OK && !ours ? note_table(l, o, e) : rc;
}

static enum rc
create_object(struct mysql_lane *l, const struct event_object *o, const struct table *table,
	struct err *e)
{
	struct event_ddl ev = o->ddl;
	struct buf sql, own;
	struct ddl d;
	enum rc rc;

	buf_init(&own);
	if (l->sink->foreign) {
		foreign_create(&l->sink->env.losses, table, &own);
		ev.sql = buf_text(&own);
	}
	run_parse(&d, &ev);
	buf_init(&sql);
	rc = run_rewrite(l, &d, false, &sql) == DDL_REWRITTEN ? RC_OK : run_cannot_rewrite(&d, e);
	if (rc == RC_OK)
		rc = run_warned(l, &ev, &d, &sql, e);
	ddl_release(&d);
	/* Made before a crash, or kept by existing = "ignore". */
	if (rc == RC_DATA && (e->code == TABLE_EXISTS || e->code == ROUTINE_EXISTS ||
				     e->code == DATABASE_EXISTS || e->code == TRIGGER_EXISTS))
		rc = RC_OK;
	if (rc != RC_OK)
		err_context(e, "cannot create %s %s%s%s at the target", object_name(o->kind), o->db,
			*o->name != '\0' ? "." : "", o->name);
	if (rc == RC_DATA)
		run_remedy(e, "make the object at the target by hand as this server can have it, "
			      "set existing = \"ignore\", then `syncline start`");
	buf_release(&sql);
	buf_release(&own);
	return rc;
}

enum rc
sink_object(struct sink_lane *base, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	const struct routes *routes = l->sink->env.routes;
	const char *db = o->kind == OBJECT_TABLE ? routes_table_db(routes, o->db, o->name)
						 : routes_target_db(routes, o->db);
	bool make = true;
	enum rc rc = FAILPOINT_LOST(WRITER_OBJECT, e);

	if (l->sink->foreign && table == NULL) {
		log_warn("%s %s.%s is left out: it is written in the source's own language",
			object_name(o->kind), o->db, o->name);
		return rc;
	}
	if (rc == RC_OK && o->kind != OBJECT_DATABASE)
		rc = make_database(l, &o->ddl, db, e);
	if (rc == RC_OK && o->kind == OBJECT_TABLE)
		rc = make_table(
			l, o, db, routes_target_table(routes, o->db, o->name), existing, &make, e);
	if (rc == RC_OK && make)
		rc = later_make_parents(l, table, e);
	if (rc == RC_OK && make)
		rc = create_object(l, o, table, e);
	if (rc == RC_OK && make)
		rc = later_put_off(l, o, table, e);
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_OBJECT_MADE, e) : rc;
}

/* ---- whether this server can have a table ---- */

#define TRIAL "trial"

struct trial {
	const struct mysql_sink *sink;
	const struct found_table *table;
};

static const char *
trial_db(void *arg, const char *db, const char *name)
{
	const struct trial *t = arg;

	(void)db;
	(void)name;
	return conf_str(t->sink->env.conf, "state_schema");
}

/* Parents of foreign keys are none that are there: those are the load's business. */
static const char *
trial_name(void *arg, const char *db, const char *name)
{
	const struct trial *t = arg;

	return strcmp(db, t->table->db) == 0 && strcmp(name, t->table->name) == 0 ? TRIAL
										  : TRIAL "_parent";
}

static const char *
trial_column(void *arg, const char *db, const char *table, const char *column)
{
	const struct trial *t = arg;

	return routes_column(t->sink->env.routes, db, table, column);
}

static enum rc
drop_trial(struct mysql_lane *l, struct err *e)
{
	return client_run(&l->c, e, "DROP TABLE IF EXISTS %s." TRIAL, l->sink->state);
}

enum rc
sink_try_table(struct mysql_lane *l, const struct found_table *t, struct buf *sql, struct buf *lost,
	struct err *e)
{
	struct trial trial = {l->sink, t};
	struct ddl_mapper m = {.arg = &trial,
		.map_db = trial_db,
		.map_name = trial_name,
		.map_column = trial_column};
	struct event_ddl ev = {
		.db = t->db, .sql = t->sql, .session = t->session, .session_charset = "utf8mb4"};
	struct err ignored;
	struct ddl d;
	enum rc rc;

	run_parse(&d, &ev);
	rc = ddl_rewrite(&d, &m, sql) == DDL_REWRITTEN ? drop_trial(l, e)
						       : run_cannot_rewrite(&d, e);
	ev.db = "";
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "USE %s", l->sink->state);
	if (rc == RC_OK)
		rc = run_statement(l, &ev, &d, sql, lost, e);
	if (rc == RC_OK)
		rc = drop_trial(l, e);
	else
		(void)!drop_trial(l, &ignored);
	ddl_release(&d);
	return rc;
}
