/* follow.c - statements of the log: which are carried, and what becomes of their tables. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "workers/reader/mysql/stream.h"

#define MODE_ANSI_QUOTES 0x4u
#define MODE_NO_BACKSLASH 0x100000u

static bool
is_selected(const struct stream *st, const struct ddl_name *n, enum ddl_class class)
{
	if (n->db == NULL)
		return false;
	if (class == DDL_CLASS_TRIGGER) /* DROP says no table */
		return routes_touches(st->s->env.routes, n->db);
	if (n->name == NULL || class == DDL_CLASS_CREATE_VIEW || class == DDL_CLASS_ALTER_VIEW ||
		class == DDL_CLASS_DROP_VIEW || class == DDL_CLASS_CREATE_FUNCTION ||
		class == DDL_CLASS_DROP_FUNCTION || class == DDL_CLASS_CREATE_PROCEDURE ||
		class == DDL_CLASS_DROP_PROCEDURE)
		return routes_database(st->s->env.routes, n->db);
	return routes_table(st->s->env.routes, n->db, n->name);
}

/* Of a selected table; DROP may be of one that is not at the target, which is no harm there. */
static bool
is_copied_trigger(const struct stream *st, const struct ddl *d)
{
	const struct ddl_name *on = d->nnames > 1 ? &d->names[1] : NULL;

	if (d->class != DDL_CLASS_TRIGGER || !source_copies_triggers(st->s))
		return false;
	return d->verb == DDL_VERB_DROP_TRIGGER ||
	       (on != NULL && on->db != NULL && routes_table(st->s->env.routes, on->db, on->name));
}

/* Whether the body of a trigger or routine has the target's names, too. */
static bool
has_body_for_target(const struct stream *st, const struct ddl *d)
{
	char *renamed = ddl_names_renamed(st->s, d);

	if (renamed != NULL)
		log_warn("%s %s.%s is not carried: it names \"%s\", which the channel renames or "
			 "drops; create it at the target by hand",
			ddl_verb_name(d->verb), d->names[0].db, d->names[0].name, renamed);
	free(renamed);
	return renamed == NULL;
}

static bool
is_carried(struct stream *st, const struct ddl *d)
{
	bool selected = false;

	for (uint32_t i = 0; i < d->nnames; i++)
		if (d->names[i].role == DDL_TARGET && is_selected(st, &d->names[i], d->class))
			selected = true;
	if (!selected)
		return false;
	if (!ddl_class_carried(d->class) && !is_copied_trigger(st, d)) {
		log_warn("a statement at the source is not carried: %s; position=%s:%" PRIu64
			 " total=%" PRIu64,
			ddl_class_name(d->class), st->at.file, st->position, ++st->skipped_ddl);
		return false;
	}
	return !d->temporary && has_body_for_target(st, d);
}

#define WITH_ROWS " START TRANSACTION"

/* CREATE .. SELECT: rows follow in the same transaction (MySQL says so since 8.0.21). */
static bool
has_rows(const struct stream *st, const struct binlog_query *q, const struct ddl *d)
{
	size_t n = strlen(WITH_ROWS);

	if (d->verb != DDL_VERB_CREATE_TABLE)
		return false;
	return st->framing == IN_TRANSACTION ||
	       (q->len > n && memcmp(q->sql + q->len - n, WITH_ROWS, n) == 0);
}

/*
 * The statement alone. Its table is made in a step of its own, whose position
 * is still that of before: after a crash between it and the rows it comes once
 * more, and finds its work done.
 */
static void
without_rows(const struct binlog_query *q, const struct ddl *d, struct buf *sql)
{
	size_t name = d->nnames != 0 ? d->names[0].start : 0, n = strlen(WITH_ROWS), end = q->len;

	if (end > n && memcmp(q->sql + end - n, WITH_ROWS, n) == 0)
		end -= n;
	buf_add(sql, q->sql, name);
	if (!d->if_not_exists && !d->or_replace)
		buf_puts(sql, "IF NOT EXISTS ");
	buf_add(sql, q->sql + name, end - name);
}

static enum rc
feed_statement(struct stream *st, const struct binlog_query *q, const struct ddl *d, struct err *e)
{
	struct ddl_change *changes = xcalloc(d->nnames, sizeof *changes);
	bool rows = has_rows(st, q, d), joins;
	struct buf session, sql;
	uint32_t n = 0;
	enum rc rc;

	buf_init(&sql);
	buf_init(&session);
	session_print(st->s, q, &session);
	rc = mysql_stream_begin(st, e);
	joins = rc == RC_OK && log_tables_joins(&st->tables, d);
	if (joins)
		log_tables_rest(&st->tables, d, &sql);
	else if (rows)
		without_rows(q, d, &sql);
	else
		buf_add(&sql, q->sql, q->len);
	if (rc == RC_OK)
		rc = log_tables_changes(&st->tables, d, changes, &n, e);
	if (rc == RC_OK && sql.len != 0 && !log_tables_idle(&st->tables, d)) {
		struct event_ddl ev = {.db = q->db,
			.sql = buf_text(&sql),
			.session = buf_text(&session),
			.session_charset = ""};

		rc = feed_ddl(st->feed, &ev, changes, n);
	}
	for (uint32_t i = 0; i < n && rc == RC_OK; i++)
		log_tables_follow(&st->tables, &changes[i]);
	if (rc == RC_OK && joins)
		rc = log_tables_join(&st->tables, d, e);
	if (rc == RC_OK && rows) {
		st->framing = IN_TRANSACTION;
		rc = mysql_stream_commit_here(st, e);
	}
	log_changes_free(changes, n);
	buf_release(&sql);
	buf_release(&session);
	return rc;
}

static bool
touches_selection(const struct stream *st, const char *db)
{
	return *db != '\0' && routes_touches(st->s->env.routes, db);
}

static enum rc
take_statement(struct stream *st, const struct binlog_query *q, const struct ddl *d, struct err *e)
{
	enum rc rc = RC_OK;

	switch ((int)d->class) {
	case DDL_CLASS_BEGIN:
		if (st->framing == OUTSIDE)
			st->framing = IN_TRANSACTION;
		return RC_OK;
	case DDL_CLASS_COMMIT:
	case DDL_CLASS_ROLLBACK: /* what a rolled-back transaction has in the log took effect:
				    tables without transactions */
		return mysql_stream_end(st, e);
	case DDL_CLASS_SAVEPOINT:
		return RC_OK;
	case DDL_CLASS_XA:
		return mysql_stream_xa(st, q, d, e);
	case DDL_CLASS_DML:
		if (st->framing == SKIPPING || !touches_selection(st, q->db))
			return RC_OK;
		err_set(e, RC_DATA,
			"the log has a row change of database %s as a statement at %s:%" PRIu64,
			q->db, st->at.file, st->position);
		return err_remedy(e, "set binlog_format=ROW at the source for all sessions, then "
				     "reset the channel");
	default:
		break;
	}
	if (st->framing == SKIPPING)
		return st->has_gtid && st->gtid.mariadb && !st->gtid.standalone
			       ? RC_OK
			       : mysql_stream_end(st, e);
	if (is_carried(st, d) || log_tables_joins(&st->tables, d))
		rc = feed_statement(st, q, d, e);
	/* The end of what goes on with rows is a COMMIT like any other. */
	if (rc == RC_OK && st->framing == IN_TRANSACTION)
		return RC_OK;
	return rc == RC_OK ? mysql_stream_end(st, e) : rc;
}

enum rc
mysql_stream_query(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	struct binlog_query q;
	struct ddl d;
	enum rc rc = binlog_query(ev, &q, e);

	if (rc != RC_OK)
		return rc;
	st->time = ev->time;
	ddl_parse(&d, q.sql, q.len, q.sql_mode & MODE_ANSI_QUOTES, q.sql_mode & MODE_NO_BACKSLASH,
		q.db);
	rc = take_statement(st, &q, &d, e);
	ddl_release(&d);
	free(q.inflated);
	return rc;
}
