/* lane.c - a lane's session at a MySQL target: transactions and the checkpoint; see sink.h of the
 * room. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/writer/mysql/sink.h"

#define LOCK_WAIT_S 5

/* What not every server knows is tried; the session works without it. */
static const char *const wishes[] = {
	"SET SESSION binlog_annotate_row_events = 0",
	"SET SESSION check_constraint_checks = 0",
	"SET SESSION explicit_defaults_for_timestamp = 1",
	"SET SESSION system_versioning_insert_history = 1",
};

static enum rc
take_lock(struct mysql_lane *l, struct err *e)
{
	char *got = NULL;
	enum rc rc = client_value(
		&l->c, &got, e, "SELECT GET_LOCK('%s:%u', 10)", l->sink->lock, l->base.number);

	if (rc == RC_OK && (got == NULL || strcmp(got, "1") != 0))
		rc = err_set(e, RC_RETRY,
			"another writer of this channel still holds lane %u at the target",
			l->base.number);
	free(got);
	return rc;
}

static enum rc
connect_lane(struct mysql_lane *l, struct err *e)
{
	const bool *accepted = l->sink->env.losses.accepted;
	struct err ignored;
	enum rc rc = client_open(&l->c, l->sink->env.conf, "target", SINK_SQL_MODE, e);

	if (rc != RC_OK)
		return rc;
	rc = client_run(&l->c, e, "SET SESSION innodb_lock_wait_timeout = %d", LOCK_WAIT_S);
	for (size_t i = 0; i < COUNT_OF(wishes) && rc == RC_OK; i++)
		if (client_run(&l->c, &ignored, "%s", wishes[i]) != RC_OK)
			log_debug("the target does not take: %s", wishes[i]);
	/* A value that was rounded is a note, and what is accepted is none. */
	if (rc == RC_OK && (accepted[LOSS_DIGITS] || accepted[LOSS_TIME]))
		rc = client_run(&l->c, e, "SET SESSION sql_notes = 0");
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "SET @" TRIGGER_VARIABLE " = 1");
#ifdef MARIADB_BASE_VERSION
	l->bulk = l->c.server.mariadb && l->c.server.version >= 100200;
#endif
	return rc;
}

enum rc
lane_open(struct mysql_sink *s, struct mysql_lane **out, struct err *e)
{
	struct mysql_lane *l = xcalloc(1, sizeof *l);
	enum rc rc;

	l->base.sink = &s->base;
	l->sink = s;
	arena_init(&l->arena);
	rc = connect_lane(l, e);
	if (rc != RC_OK)
		sink_lane_close(&l->base);
	else
		*out = l;
	return rc;
}

enum rc
sink_lane_open(struct sink *s, unsigned number, struct sink_lane **out, struct err *e)
{
	struct mysql_lane *l;
	enum rc rc = lane_open((struct mysql_sink *)s, &l, e);

	if (rc != RC_OK)
		return rc;
	l->base.number = number;
	rc = take_lock(l, e);
	if (rc != RC_OK)
		sink_lane_close(&l->base);
	else
		*out = &l->base;
	return rc;
}

static void
disconnect(struct mysql_lane *l)
{
	statements_drop(l);
	if (l->checkpoint != NULL)
		mysql_stmt_close(l->checkpoint);
	l->checkpoint = NULL;
	client_close(&l->c);
}

void
sink_lane_close(struct sink_lane *base)
{
	struct mysql_lane *l = (struct mysql_lane *)base;

	disconnect(l);
	session_forget(l);
	arena_release(&l->arena);
	free(l);
}

enum rc
lane_failed(struct mysql_lane *l, MYSQL_STMT *st, struct err *e, const char *what)
{
	unsigned number = st != NULL ? mysql_stmt_errno(st) : mysql_errno(l->c.my);
	enum rc rc =
		st != NULL ? client_stmt_error(&l->c, st, e, what) : client_error(&l->c, e, what);

	if (client_is_deadlock(number))
		e->code = SINK_DEADLOCK;
	return rc;
}

enum rc
lane_exec(struct mysql_lane *l, const struct buf *sql, struct err *e)
{
	if (!client_ask(&l->c, buf_text(sql), sql->len))
		return lane_failed(l, NULL, e, "refused a statement");
	return RC_OK;
}

enum rc
lane_has(struct mysql_lane *l, const char *what, const char *db, const char *table,
	const char *part, bool *has, struct err *e)
{
	const struct routes *routes = l->sink->env.routes;
	const char *const values[] = {
		routes_table_db(routes, db, table), routes_target_table(routes, db, table), part};
	char *one = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		buf_puts(&b, i != 0 ? ", " : "");
		client_quote(&l->c, &b, values[i], strlen(values[i]));
	}
	rc = client_value(&l->c, &one, e, "SELECT 1 FROM information_schema.%s = (%s) LIMIT 1",
		what, buf_text(&b));
	*has = one != NULL;
	free(one);
	buf_release(&b);
	return rc;
}

enum rc
lane_fk(struct mysql_lane *l, bool off, struct err *e)
{
	enum rc rc;

	if (l->fk_off == off)
		return RC_OK;
	rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = %d", !off);
	if (rc == RC_OK)
		l->fk_off = off;
	return rc;
}

static enum rc
simple(struct mysql_lane *l, const char *sql, struct err *e)
{
	if (!client_ask(&l->c, sql, strlen(sql)))
		return lane_failed(l, NULL, e, "refused a statement");
	return RC_OK;
}

enum rc
sink_begin(struct sink_lane *base, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;

	l->in_txn = true;
	return simple(l, "START TRANSACTION", e);
}

enum rc
sink_savepoint(struct sink_lane *base, struct err *e)
{
	return simple((struct mysql_lane *)base, "SAVEPOINT syncline", e);
}

enum rc
sink_rollback_to_savepoint(struct sink_lane *base, struct err *e)
{
	return simple((struct mysql_lane *)base, "ROLLBACK TO SAVEPOINT syncline", e);
}

enum rc
sink_rollback(struct sink_lane *base, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;

	if (!l->in_txn)
		return RC_OK;
	l->in_txn = false;
	return simple(l, "ROLLBACK", e);
}

/* ---- the checkpoint ---- */

static enum rc
prepare_checkpoint(struct mysql_lane *l, struct err *e)
{
	struct buf b;
	enum rc rc = RC_OK;

	if (l->checkpoint != NULL)
		return RC_OK;
	buf_init(&b);
	buf_printf(&b,
		"UPDATE %s.checkpoint SET turn = turn + 1, applied = ?, resume_at = ?, order_no = "
		"?, incarnation = ?, "
		"commit_time_us = ?, source_id = COALESCE(?, source_id) WHERE channel = ? AND "
		"epoch = ? AND turn = ?",
		l->sink->state);
	l->checkpoint = mysql_stmt_init(l->c.my);
	if (l->checkpoint == NULL || mysql_stmt_prepare(l->checkpoint, buf_text(&b), b.len) != 0)
		rc = lane_failed(l, l->checkpoint, e, "refused the checkpoint");
	buf_release(&b);
	return rc;
}

static void
bind_text(MYSQL_BIND *b, const char *s, unsigned long *len)
{
	*len = s != NULL ? strlen(s) : 0;
	b->buffer_type = s != NULL ? MYSQL_TYPE_BLOB : MYSQL_TYPE_NULL;
	b->buffer = (void *)s;
	b->buffer_length = *len;
	b->length = len;
}

static void
bind_number(MYSQL_BIND *b, uint64_t *n)
{
	b->buffer_type = MYSQL_TYPE_LONGLONG;
	b->is_unsigned = 1;
	b->buffer = n;
}

static enum rc
run_checkpoint(struct mysql_lane *l, const struct checkpoint *c, uint64_t *found, struct err *e)
{
	uint64_t order = c->order, incarnation = c->incarnation, time_us = c->time_us,
		 epoch = l->sink->epoch, old = c->turn - 1;
	unsigned long lengths[4];
	MYSQL_BIND b[9];

	memset(b, 0, sizeof b);
	bind_text(&b[0], c->applied, &lengths[0]);
	bind_text(&b[1], c->resume, &lengths[1]);
	bind_number(&b[2], &order);
	bind_number(&b[3], &incarnation);
	bind_number(&b[4], &time_us);
	bind_text(&b[5], c->source_id, &lengths[2]);
	bind_text(&b[6], l->sink->env.channel, &lengths[3]);
	bind_number(&b[7], &epoch);
	bind_number(&b[8], &old);
	if (mysql_stmt_bind_param(l->checkpoint, b) != 0 || mysql_stmt_execute(l->checkpoint) != 0)
		return lane_failed(l, l->checkpoint, e, "refused the checkpoint");
	*found = mysql_stmt_affected_rows(l->checkpoint);
	return RC_OK;
}

enum rc
lane_move_checkpoint(struct mysql_lane *l, const struct checkpoint *c, struct err *e)
{
	uint64_t found = 0;
	enum rc rc = prepare_checkpoint(l, e);

	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_CHECKPOINT_BEFORE, e);
	if (rc == RC_OK)
		rc = run_checkpoint(l, c, &found, e);
	if (rc == RC_OK && found == 1)
		rc = FAILPOINT_LOST(WRITER_CHECKPOINT, e);
	if (rc != RC_OK || found == 1)
		return rc;
	return sink_fenced(&l->sink->env, l->sink->epoch, e);
}

enum rc
sink_commit(struct sink_lane *base, const struct checkpoint *c, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	enum rc rc = RC_OK;

	if (!l->in_txn)
		rc = sink_begin(base, e);
	if (rc == RC_OK)
		rc = lane_move_checkpoint(l, c, e);
	if (rc == RC_OK && simple(l, "COMMIT", e) != RC_OK)
		rc = e->rc;
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_COMMIT, e);
	if (rc == RC_OK)
		l->in_txn = false;
	return rc;
}
