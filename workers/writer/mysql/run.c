/*
 * run.c - a statement of the source's, run at a MySQL target: with the target's
 * names, in its session, in this server's words; see sink.h of the room.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mysql/dialect.h"
#include "common/mysql/quote.h"
#include "ipc/proto.h"
#include "workers/writer/mysql/sink.h"

#define DUPLICATE_COLUMN 1060
#define DUPLICATE_INDEX 1061
#define CANNOT_DROP 1091

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

enum ddl_rewritten
run_rewrite(struct mysql_lane *l, const struct ddl *d, bool drop_definer, struct buf *out)
{
	struct ddl_mapper m = {.arg = (void *)l->sink->env.routes,
		.map_db = map_db,
		.map_name = map_name,
		.map_column = map_column,
		.drop_definer = drop_definer};

	enum ddl_rewritten result = ddl_rewrite(d, &m, out);

	if (result == DDL_REWRITTEN && d->verb == DDL_VERB_CREATE_TRIGGER)
		trigger_guard(d, out);
	return result;
}

enum rc
run_cannot_rewrite(const struct ddl *d, struct err *e)
{
	err_set(e, RC_CONFIG, "`%.*s` needs a column that the channel drops",
		d->len < 200 ? (int)d->len : 200, d->sql);
	return err_remedy(e, "take the column out of drop_columns and reset the channel, or undo "
			     "the change at the source and reset the channel");
}

void
run_parse(struct ddl *d, const struct event_ddl *ev)
{
	ddl_parse(d, ev->sql, strlen(ev->sql), session_has_mode(ev, "ANSI_QUOTES"),
		session_has_mode(ev, "NO_BACKSLASH_ESCAPES"), ev->db);
}

/* ---- sessions ---- */

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

void
run_busy(struct mysql_lane *l, bool on)
{
	atomic_store(&l->sink->env.stats[STAT_BUSY_US], on ? now_us() : 0);
}

#define NEEDS_SUPER 1227

/* The statement in this server's words. */
static enum rc
execute(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e)
{
	struct buf engines, said;
	enum rc rc;

	buf_init(&engines);
	buf_init(&said);
	sink_engines(d, sql, &engines);
	rc = session_collations(l, ev, &engines, &said, e);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&said), said.len, e);
	buf_release(&engines);
	buf_release(&said);
	return rc;
}

/* A view or routine of another account: ours may not be allowed to make it so. */
static enum rc
run_as_ours(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d, struct err *e)
{
	struct buf sql;
	enum rc rc;

	buf_init(&sql);
	(void)run_rewrite(l, d, true, &sql); /* it went well before */
	log_warn("%s %s.%s becomes our account's, since that may not give it to another definer: "
		 "grant SET USER (MariaDB), SET_ANY_DEFINER or SET_USER_ID (MySQL) to keep it",
		ddl_class_name(d->class),
		d->nnames != 0 && d->names[0].db != NULL ? d->names[0].db : "",
		d->nnames != 0 && d->names[0].name != NULL ? d->names[0].name : "");
	rc = execute(l, ev, d, &sql, e);
	buf_release(&sql);
	return rc;
}

/* A statement that this server cannot read, in its own words. What an IF of a clause said stays the
 * first error: whether the statement may be left out is told by that. */
static enum rc
run_in_own_words(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct dialect *to, const struct buf *sql, struct buf *lost, struct err *e)
{
	struct err second;
	struct buf own;
	enum rc rc = e->rc;

	buf_init(&own);
	if (dialect_rewrite(to, sql, &own, lost)) {
		rc = execute(l, ev, d, &own, &second);
		if (rc == RC_OK)
			log_info("in this server's words: %.200s", buf_text(&own));
		else if (second.code != DUPLICATE_COLUMN && second.code != DUPLICATE_INDEX &&
			 second.code != CANNOT_DROP)
			*e = second;
	}
	buf_release(&own);
	return rc;
}

static bool
is_of_table(const struct ddl *d)
{
	return d->class == DDL_CLASS_CREATE_TABLE || d->class == DDL_CLASS_ALTER_TABLE ||
	       d->class == DDL_CLASS_CREATE_INDEX;
}

/* In its session: at first as it is, but for what the server would pass over. */
static enum rc
run_said(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct buf *lost, struct err *e)
{
	struct dialect to = {.server = &l->c.server,
		.ansi_quotes = session_has_mode(ev, "ANSI_QUOTES"),
		.no_backslash = session_has_mode(ev, "NO_BACKSLASH_ESCAPES")};
	struct buf said;
	enum rc rc;

	buf_init(&said);
	if (is_of_table(d))
		dialect_comments(&to, sql, &said, lost);
	else
		buf_add(&said, sql->data, sql->len);
	rc = execute(l, ev, d, &said, e);
	if (rc != RC_OK && e->code == NEEDS_SUPER && d->definer_end != 0)
		rc = run_as_ours(l, ev, d, e);
	if (rc == RC_DATA && dialect_error(e->code))
		rc = run_in_own_words(l, ev, d, &to, &said, lost, e);
	buf_release(&said);
	return rc;
}

enum rc
run_statement(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct buf *lost, struct err *e)
{
	struct err failure = {0};
	enum rc rc = use_db(l, ev->db, e), back;

	if (rc == RC_OK)
		rc = session_enter(l, ev, e);
	if (rc == RC_OK) {
		run_busy(l, true);
		rc = run_said(l, ev, d, sql, lost, e);
		run_busy(l, false);
	}
	if (rc == RC_RETRY && e->code == 0)
		return rc;
	back = session_leave(l, &failure);
	if (rc == RC_OK && back != RC_OK)
		*e = failure;
	return rc != RC_OK ? rc : back;
}

enum rc
run_warned(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e)
{
	struct buf lost;
	enum rc rc;

	buf_init(&lost);
	rc = run_statement(l, ev, d, sql, &lost, e);
	if (rc == RC_OK && lost.len != 0)
		log_warn("the target has nothing like it, and goes without: %s; in: %.200s",
			buf_text(&lost), buf_text(sql));
	buf_release(&lost);
	return rc;
}

#define UNKNOWN_CHARSET 1115
#define UNKNOWN_COLLATION 1273

/* What a person can do about a statement that the target refused. */
void
run_remedy(struct err *e, const char *otherwise)
{
	if (e->code == UNKNOWN_CHARSET || e->code == UNKNOWN_COLLATION)
		err_remedy(e, "this target has nothing like it: use a character set and collation "
			      "at the source that both servers have, then reset the channel");
	else
		err_remedy(e, "%s", otherwise);
}
