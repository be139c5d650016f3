/*
 * ddl.c - initial objects and DDL at a MySQL target; see sink.h of the room.
 *
 * DDL commits by itself here, so the position cannot move in the same
 * transaction. A note bridges the gap: (1) the note - position, statement,
 * a hash of what the touched objects look like before - is committed; (2) the
 * statement runs; (3) one transaction moves the position, writes what our
 * tables say of the objects now, and clears the note.
 *
 * Found again after a crash, with the note of this very position:
 *
 *     objects look       statement                      then
 *     otherwise          -                              it has run: (3)
 *     as before          CREATE, DROP, RENAME, ...      it has not run: (2), (3)
 *     as before          has no visible effect (ALTER   run again: it is
 *                        to what is there, TRUNCATE)    harmless: (2), (3)
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mysql/ddl.h"
#include "common/mysql/quote.h"
#include "ipc/proto.h"
#include "workers/writer/mysql/sink.h"

#define NO_SUCH_TABLE 1146
#define BAD_TABLE 1051
#define TABLE_EXISTS 1050

/* ---- names ---- */

static const char *
map_db(void *routes, const char *db, const char *name)
{
	return name != NULL ? routes_table_db(routes, db, name) : routes_target_db(routes, db);
}

static const char *
map_name(void *routes, const char *db, const char *name)
{
	return routes_target_table(routes, db, name);
}

static const char *
map_column(void *routes, const char *db, const char *table, const char *column)
{
	return routes_column(routes, db, table, column);
}

static enum ddl_rewritten
rewrite(struct mysql_lane *l, const struct ddl *d, bool drop_definer, struct buf *out)
{
	struct ddl_mapper m = {.arg = (void *)l->sink->env.routes,
		.map_db = map_db,
		.map_name = map_name,
		.map_column = map_column,
		.drop_definer = drop_definer};

	return ddl_rewrite(d, &m, out);
}

static enum rc
cannot_rewrite(const struct ddl *d, struct err *e)
{
	err_set(e, RC_CONFIG, "`%.*s` needs a column that the channel drops",
		d->len < 200 ? (int)d->len : 200, d->sql);
	return err_remedy(e, "take the column out of drop_columns and reset the channel, or undo "
			     "the change at the source and reset the channel");
}

static bool
has_mode(const char *session, const char *mode)
{
	return strstr(session, mode) != NULL;
}

static void
parse(struct ddl *d, const struct event_ddl *ev)
{
	ddl_parse(d, ev->sql, strlen(ev->sql), has_mode(ev->session, "ANSI_QUOTES"),
		has_mode(ev->session, "NO_BACKSLASH_ESCAPES"), ev->db);
}

/* ---- sessions ---- */

/* A word that only the source has is left out rather than the statement lost. */
static enum rc
set_each(struct mysql_lane *l, const char *settings, struct err *e)
{
	for (size_t n; *settings != '\0'; settings += n + (settings[n] != '\0' ? 2 : 0)) {
		const char *end = strstr(settings, ", ");

		n = end != NULL ? (size_t)(end - settings) : strlen(settings);
		if (client_run(&l->c, e, "SET %.*s", (int)n, settings) == RC_OK)
			continue;
		if (e->rc == RC_RETRY)
			return RC_RETRY;
		log_warn("the source's session cannot be set at the target: %s", e->text);
	}
	return RC_OK;
}

/* The source's own session, as far as this target knows its words. */
static enum rc
enter_session(struct mysql_lane *l, const struct event_ddl *ev, struct err *e)
{
	struct buf session;
	enum rc rc = RC_OK;

	buf_init(&session);
	sink_translate(&l->c.server, ev->session, strlen(ev->session), NULL, &session);
	if (*ev->session_charset != '\0')
		rc = client_run(&l->c, e, "SET NAMES %s", ev->session_charset);
	if (rc == RC_OK && session.len != 0 &&
		(rc = client_run(&l->c, e, "SET %s", buf_text(&session))) != RC_OK &&
		rc != RC_RETRY)
		rc = set_each(l, buf_text(&session), e);
	buf_release(&session);
	/* Foreign keys between tables that do not exist yet, or not any more in this order, are the
	 * source's business. */
	return rc == RC_OK ? client_run(&l->c, e, "SET SESSION foreign_key_checks = 0") : rc;
}

static enum rc
leave_session(struct mysql_lane *l, struct err *e)
{
	enum rc rc = client_run(&l->c, e,
		"SET time_zone = '+00:00', sql_mode = '%s', foreign_key_checks = 1, unique_checks "
		"= 1, NAMES binary",
		SINK_SQL_MODE);

	l->fk_off = false;
	l->lenient = false;
	statements_drop(l);
	return rc;
}

static enum rc
use_db(struct mysql_lane *l, const char *db, struct err *e)
{
	struct buf b;
	enum rc rc;

	if (*db == '\0')
		return RC_OK;
	buf_init(&b);
	buf_puts(&b, "USE ");
	mysql_quote_name(&b, routes_target_db(l->sink->env.routes, db));
	rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	/* The database may be one that only the statement's names do without. */
	return rc == RC_CONFIG && e->code == 1049 ? RC_OK : rc;
}

static void
busy(struct mysql_lane *l, bool on)
{
	atomic_store(&l->sink->env.stats[STAT_BUSY_US], on ? now_us() : 0);
}

#define NEEDS_SUPER 1227

/* A view or routine of another account: ours may not be allowed to make it so. */
static enum rc
run_as_ours(struct mysql_lane *l, const struct ddl *d, struct err *e)
{
	struct buf sql;
	enum rc rc;

	buf_init(&sql);
	(void)rewrite(l, d, true, &sql); /* it went well before */
	log_warn("%s %s.%s becomes our account's, since that may not give it to another definer: "
		 "grant SET USER (MariaDB), SET_ANY_DEFINER or SET_USER_ID (MySQL) to keep it",
		ddl_class_name(d->class),
		d->nnames != 0 && d->names[0].db != NULL ? d->names[0].db : "",
		d->nnames != 0 && d->names[0].name != NULL ? d->names[0].name : "");
	rc = client_exec(&l->c, buf_text(&sql), sql.len, e);
	buf_release(&sql);
	return rc;
}

static enum rc
run_statement(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e)
{
	struct err failure = {0};
	struct buf ours;
	enum rc rc = use_db(l, ev->db, e), back;

	if (rc == RC_OK)
		rc = enter_session(l, ev, e);
	if (rc == RC_OK) {
		busy(l, true);
		buf_init(&ours);
		sink_translate(&l->c.server, buf_text(sql), sql->len, d, &ours);
		rc = client_exec(&l->c, buf_text(&ours), ours.len, e);
		buf_release(&ours);
		if (rc != RC_OK && e->code == NEEDS_SUPER && d->definer_end != 0)
			rc = run_as_ours(l, d, e);
		busy(l, false);
	}
	if (rc == RC_RETRY && e->code == 0)
		return rc;
	back = leave_session(l, &failure);
	if (rc == RC_OK && back != RC_OK)
		*e = failure;
	return rc != RC_OK ? rc : back;
}

/* ---- what objects look like ---- */

static enum rc
hash_one(struct mysql_lane *l, const struct ddl_name *n, uint64_t *hash, struct err *e)
{
	const struct routes *routes = l->sink->env.routes;
	struct buf b;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc;

	if (n->db == NULL || n->name == NULL)
		return RC_OK;
	buf_init(&b);
	mysql_quote_table(&b, routes_table_db(routes, n->db, n->name),
		routes_target_table(routes, n->db, n->name));
	rc = client_query(&l->c, &res, e, "SHOW CREATE TABLE %s", buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK && rc != RC_RETRY) { /* it is not there, or is no table */
		*hash = XXH3_64bits_withSeed("", 0, *hash);
		return RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	if (row != NULL && row[1] != NULL)
		*hash = XXH3_64bits_withSeed(row[1], mysql_fetch_lengths(res)[1], *hash);
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
hash_objects(struct mysql_lane *l, const struct ddl *d, uint64_t *hash, struct err *e)
{
	enum rc rc = RC_OK;

	*hash = 1;
	for (uint32_t i = 0; i < d->nnames && rc == RC_OK; i++)
		if (d->names[i].role != DDL_REFERENCE)
			rc = hash_one(l, &d->names[i], hash, e);
	return rc;
}

/* ---- the note ---- */

/* A statement and what is written with it. */
struct step {
	const struct event_ddl *ev;
	const struct ddl *d;
	const struct buf *sql; /* as it runs at the target */
	const struct table_record *records;
	uint32_t nrecords;
	const struct checkpoint *at;
};

struct note {
	bool found;
	uint64_t before;
};

static void
add_text(struct mysql_lane *l, struct buf *b, const char *s)
{
	client_quote(&l->c, b, s, strlen(s));
}

static enum rc
read_note(struct mysql_lane *l, const struct checkpoint *c, struct note *n, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	struct buf b;
	enum rc rc;

	*n = (struct note){0};
	buf_init(&b);
	add_text(l, &b, l->sink->env.channel);
	rc = client_query(&l->c, &res, e,
		"SELECT applied, before_hash FROM %s.ddl_note WHERE channel = %s", l->sink->state,
		buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	if (row != NULL && strcmp(row[0], c->applied) == 0) {
		n->found = true;
		n->before = strtoull(row[1], NULL, 10);
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
write_note(struct mysql_lane *l, const struct event_ddl *ev, const struct checkpoint *c,
	uint64_t before, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b,
		"REPLACE INTO %s.ddl_note (channel, applied, statement, before_hash) VALUES (",
		l->sink->state);
	add_text(l, &b, l->sink->env.channel);
	buf_puts(&b, ", ");
	add_text(l, &b, c->applied);
	buf_puts(&b, ", ");
	add_text(l, &b, ev->sql);
	buf_printf(&b, ", %" PRIu64 ")", before);
	rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	return rc;
}

static enum rc
finish(struct mysql_lane *l, const struct step *s, struct err *e)
{
	struct buf b;
	enum rc rc = client_run(&l->c, e, "START TRANSACTION");

	buf_init(&b);
	buf_printf(&b, "DELETE FROM %s.ddl_note WHERE channel = ", l->sink->state);
	add_text(l, &b, l->sink->env.channel);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	for (uint32_t i = 0; i < s->nrecords && rc == RC_OK; i++)
		rc = l->sink->base.ops->table_state(&l->base, s->records[i].source_db,
			s->records[i].source_name, s->records[i].state, s->records[i].inserted,
			&s->records[i].schema, e);
	if (rc == RC_OK)
		rc = lane_move_checkpoint(l, s->at, e);
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "COMMIT");
	buf_release(&b);
	return rc;
}

/* A DROP of what is not there, by the target's own state: nothing is lost by going on. */
static bool
is_harmless(const struct ddl *d, const struct err *e)
{
	return (d->class == DDL_CLASS_DROP_TABLE || d->class == DDL_CLASS_DROP_VIEW) &&
	       (e->code == BAD_TABLE || e->code == NO_SUCH_TABLE);
}

static enum rc
run_noted(struct mysql_lane *l, const struct step *s, char **skipped, struct err *e)
{
	struct note note;
	uint64_t now;
	enum rc rc = read_note(l, s->at, &note, e);

	if (rc == RC_OK)
		rc = hash_objects(l, s->d, &now, e);
	if (rc != RC_OK)
		return rc;
	if (note.found && note.before != now) {
		log_info("a DDL statement had run before the crash; position=%s", s->at->applied);
		return finish(l, s, e);
	}
	if (!note.found && (rc = write_note(l, s->ev, s->at, now, e)) != RC_OK)
		return rc;
	rc = run_statement(l, s->ev, s->d, s->sql, e);
	if (rc == RC_DATA && is_harmless(s->d, e)) {
		*skipped = xasprintf("%s", e->text);
		rc = RC_OK;
	}
	if (rc != RC_OK) {
		err_context(e, "cannot run `%.200s` at the target (source position %s)",
			buf_text(s->sql), s->at->applied);
		if (rc != RC_RETRY)
			err_remedy(e, "make the target's object what the source's was before the "
				      "statement, then `syncline start`");
		return rc;
	}
	return finish(l, s, e);
}

enum rc
sink_ddl(struct sink_lane *base, const struct event_ddl *ev, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	struct ddl d;
	struct buf sql;
	struct step step = {ev, &d, &sql, records, nrecords, c};
	enum rc rc;

	*skipped = NULL;
	parse(&d, ev);
	if (!ddl_class_carried(d.class)) {
		*skipped = xasprintf("%s is not carried", ddl_class_name(d.class));
		ddl_release(&d);
		return finish(l, &step, e);
	}
	buf_init(&sql);
	switch (rewrite(l, &d, false, &sql)) {
	case DDL_NOTHING:
		*skipped = xstrdup("it concerns columns that the channel drops, and nothing else");
		rc = finish(l, &step, e);
		break;
	case DDL_CANNOT:
		rc = cannot_rewrite(&d, e);
		break;
	case DDL_REWRITTEN:
	default:
		rc = run_noted(l, &step, skipped, e);
	}
	buf_release(&sql);
	ddl_release(&d);
	return rc;
}

/* ---- initial objects ---- */

static enum rc
create_database(struct mysql_lane *l, const struct event_ddl *ev, const char *db, struct err *e)
{
	struct err failure;
	struct buf b;
	enum rc rc = enter_session(l, ev, e), back;

	buf_init(&b);
	buf_puts(&b, "CREATE DATABASE IF NOT EXISTS ");
	mysql_quote_name(&b, db);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	if (rc == RC_RETRY)
		return rc;
	if (rc != RC_OK)
		err_remedy(e,
			"create the database \"%s\" at the target by hand, or grant CREATE on it",
			db);
	back = leave_session(l, &failure);
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

	return rc == RC_OK ? client_run(&l->c, e, "COMMIT") : rc;
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

static bool
makes_schema(const struct conf *c)
{
	for (size_t i = 0; i < conf_count(c, "initial"); i++)
		if (strcmp(conf_list(c, "initial", i), "schema") == 0)
			return true;
	return false;
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
	busy(l, true);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 1");
	busy(l, false);
	*make = anew;
	buf_release(&b);
	return rc;
}

static enum rc
make_table(struct mysql_lane *l, const struct event_object *o, const char *db, const char *name,
	bool intercept, bool *make, struct err *e)
{
	enum table_state state = TABLE_STATE_COUNT;
	bool there = false, ours;
	enum rc rc = exists(l, db, name, &there, e);

	*make = !there;
	if (rc == RC_OK)
		rc = our_state(l, o, &state, e);
	ours = state != TABLE_STATE_COUNT;
	if (rc == RC_OK && there && state == TABLE_RELOAD)
		return clear_table(l, db, name, makes_schema(l->sink->env.conf), make, e);
	if (rc == RC_OK && there && !ours && intercept) {
		err_set(e, RC_CONFIG, "target table %s.%s exists already (source table %s.%s)", db,
			name, o->db, o->name);
		return err_remedy(e, "rename or drop it, map the table to another name (to_table), "
				     "or set existing = \"ignore\"");
	}
	return rc == RC_OK && !ours ? note_table(l, o, e) : rc;
}

static enum rc
create_object(struct mysql_lane *l, const struct event_object *o, const char *db, struct err *e)
{
	struct event_ddl ev = o->ddl;
	struct buf sql;
	struct ddl d;
	enum rc rc;

	parse(&d, &ev);
	buf_init(&sql);
	rc = rewrite(l, &d, false, &sql) == DDL_REWRITTEN ? RC_OK : cannot_rewrite(&d, e);
	(void)db;
	if (rc == RC_OK)
		rc = run_statement(l, &ev, &d, &sql, e);
	ddl_release(&d);
	if (rc == RC_DATA &&
		(e->code == TABLE_EXISTS ||
			e->code == 1304)) /* made before a crash, or kept by existing = "ignore" */
		rc = RC_OK;
	if (rc != RC_OK)
		err_context(e, "cannot create %s %s.%s at the target", object_name(o->kind), o->db,
			o->name);
	buf_release(&sql);
	return rc;
}

enum rc
sink_object(struct sink_lane *base, const struct event_object *o, const struct table *table,
	bool intercept, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	const struct routes *routes = l->sink->env.routes;
	const char *db = o->kind == OBJECT_TABLE ? routes_table_db(routes, o->db, o->name)
						 : routes_target_db(routes, o->db);
	bool make = true;
	enum rc rc = make_database(l, &o->ddl, db, e);

	(void)table;
	if (rc == RC_OK && o->kind == OBJECT_TABLE)
		rc = make_table(
			l, o, db, routes_target_table(routes, o->db, o->name), intercept, &make, e);
	return rc == RC_OK && make ? create_object(l, o, db, e) : rc;
}
