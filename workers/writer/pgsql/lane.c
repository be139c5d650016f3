/* lane.c - a lane's session at a PostgreSQL target: transactions and the checkpoint; see sink.h of
 * the room. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "workers/writer/pgsql/sink.h"

#define LOCK_WAIT_MS 5000
#define TAKE_OVER_MS 10000

enum rc
pgsink_error(struct pgsql_lane *l, const PGresult *res, struct err *e, const char *what)
{
	enum rc rc = pgsql_error(&l->c, res, e, what);

	if (pgsql_is_deadlock(&l->c))
		e->code = SINK_DEADLOCK;
	return rc;
}

enum rc
pgsink_exec(struct pgsql_lane *l, const char *sql, struct err *e)
{
	enum rc rc = pgsql_exec(&l->c, sql, e);

	if (rc != RC_OK && pgsql_is_deadlock(&l->c))
		e->code = SINK_DEADLOCK;
	return rc;
}

/* ---- life ---- */

/* Held for as long as the session lives: by it a new gateway finds the sessions of an old one. */
static enum rc
take_lock(struct pgsql_lane *l, struct err *e)
{
	struct err failure;
	enum rc rc = pgsql_run(&l->c, e, "SET lock_timeout = %d", TAKE_OVER_MS);

	if (rc == RC_OK)
		rc = pgsql_run(&l->c, &failure, "SELECT pg_advisory_lock(%" PRId32 ", %u)",
			(int32_t)l->sink->lock, l->base.number);
	if (rc != RC_OK && pgsql_is(&l->c, "55P03"))
		return err_set(e, RC_RETRY,
			"another writer of this channel still holds lane %u at the target",
			l->base.number);
	if (rc != RC_OK)
		return *e = failure, rc;
	return pgsql_run(&l->c, e, "SET lock_timeout = %d", LOCK_WAIT_MS);
}

static enum rc
connect_lane(struct pgsql_lane *l, struct err *e)
{
	struct err ignored;
	enum rc rc = pgsql_open(&l->c, l->sink->env.conf, "target", false, e);

	if (rc != RC_OK)
		return rc;
	l->may_skip_checks = pgsql_exec(&l->c,
				     "SET session_replication_role = replica; "
				     "SET session_replication_role = origin",
				     &ignored) == RC_OK;
	/* What is committed here is told to the source as durable. */
	rc = pgsql_exec(&l->c,
		"SELECT set_config('synchronous_commit', 'on', false) WHERE "
		"current_setting('synchronous_commit') = 'off'",
		e);
	return rc == RC_OK ? take_lock(l, e) : rc;
}

enum rc
pgsink_lane_open(struct sink *s, unsigned number, struct sink_lane **out, struct err *e)
{
	struct pgsql_lane *l = xcalloc(1, sizeof *l);
	enum rc rc;

	l->base = (struct sink_lane){.sink = s, .number = number};
	l->sink = (struct pgsql_sink *)s;
	l->transcoder = transcoder_new();
	rc = connect_lane(l, e);
	if (rc != RC_OK) {
		pgsink_lane_close(&l->base);
		return rc;
	}
	*out = &l->base;
	return RC_OK;
}

void
pgsink_lane_close(struct sink_lane *base)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	pgsink_drop_statements(l);
	pgsql_close(&l->c);
	transcoder_free(l->transcoder);
	buf_release(&l->garbage);
	buf_release(&l->scratch);
	buf_release(&l->text);
	free(l->at);
	free(l->params);
	free(l->sent);
	free(l);
}

/* ---- transactions ---- */

enum rc
pgsink_begin(struct sink_lane *base, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	enum rc rc;

	l->in_txn = true;
	l->fk_off_before = l->fk_off;
	buf_puts(&l->garbage, l->sink->defers ? "BEGIN; SET CONSTRAINTS ALL DEFERRED" : "BEGIN");
	rc = pgsink_exec(l, buf_text(&l->garbage), e);
	buf_clear(&l->garbage);
	return rc;
}

enum rc
pgsink_savepoint(struct sink_lane *base, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	l->fk_off_savepoint = l->fk_off;
	return pgsink_exec(l, "SAVEPOINT syncline", e);
}

enum rc
pgsink_rollback_to_savepoint(struct sink_lane *base, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	l->fk_off = l->fk_off_savepoint;
	return pgsink_exec(l, "ROLLBACK TO SAVEPOINT syncline", e);
}

enum rc
pgsink_rollback(struct sink_lane *base, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	if (!l->in_txn)
		return RC_OK;
	pgsink_abandon(l);
	l->in_txn = false;
	l->fk_off = l->fk_off_before;
	return pgsink_exec(l, "ROLLBACK", e);
}

enum rc
pgsink_fk(struct pgsql_lane *l, bool off, struct err *e)
{
	enum rc rc;

	if (!l->may_skip_checks || l->fk_off == off)
		return RC_OK;
	if ((rc = pgsink_settle(l, e)) != RC_OK)
		return rc;
	rc = pgsink_exec(l,
		off ? "SET session_replication_role = replica"
		    : "SET session_replication_role = origin",
		e);
	if (rc == RC_OK)
		l->fk_off = off;
	return rc;
}

/* ---- the checkpoint ---- */

static enum rc
prepare_checkpoint(struct pgsql_lane *l, struct err *e)
{
	enum rc rc;

	if (l->checkpoint)
		return RC_OK;
	rc = pgsql_run(&l->c, e,
		"PREPARE checkpoint (text, text, bigint, integer, bigint, text, text, bigint, "
		"bigint) AS UPDATE %s.checkpoint SET turn = turn + 1, applied = $1, "
		"resume_at = $2, order_no = $3, incarnation = $4, commit_time_us = $5, "
		"source_id = coalesce($6, source_id) WHERE channel = $7 AND epoch = $8 AND "
		"turn = $9",
		l->sink->state);
	l->checkpoint = rc == RC_OK;
	return rc;
}

/* The row's lock is held until the end of the transaction: whoever raises the epoch waits for it,
 * and whoever comes with an older epoch finds no row. */
static enum rc
move_checkpoint(struct pgsql_lane *l, const struct checkpoint *c, struct err *e)
{
	char order[24], incarnation[24], time[24], epoch[24], turn[24];
	const char *values[] = {c->applied, c->resume, order, incarnation, time, c->source_id,
		l->sink->env.channel, epoch, turn};
	enum rc rc = prepare_checkpoint(l, e);
	uint64_t found = 0;
	PGresult *res;

	if (rc != RC_OK)
		return rc;
	snprintf(order, sizeof order, "%" PRIu64, c->order);
	snprintf(incarnation, sizeof incarnation, "%" PRIu32, c->incarnation);
	snprintf(time, sizeof time, "%" PRIu64, c->time_us);
	snprintf(epoch, sizeof epoch, "%" PRIu64, l->sink->epoch);
	snprintf(turn, sizeof turn, "%" PRIu64, c->turn - 1);
	res = pgsql_answer(&l->c, PQsendQueryPrepared(l->c.conn, "checkpoint", COUNT_OF(values),
					  values, NULL, NULL, 0));
	if (PQresultStatus(res) == PGRES_COMMAND_OK)
		found = strtoull(PQcmdTuples(res), NULL, 10);
	else
		rc = pgsink_error(l, res, e, "refused the checkpoint");
	PQclear(res);
	if (rc != RC_OK || found == 1)
		return rc;
	return sink_fenced(&l->sink->env, l->sink->epoch, e);
}

/* A COMMIT of a failed transaction is answered with ROLLBACK, and no error. */
static enum rc
commit_now(struct pgsql_lane *l, struct err *e)
{
	PGresult *res = pgsql_ask(&l->c, "COMMIT");
	enum rc rc = RC_OK;

	if (PQresultStatus(res) != PGRES_COMMAND_OK)
		rc = pgsink_error(l, res, e, "refused a COMMIT");
	else if (strcmp(PQcmdStatus(res), "COMMIT") != 0)
		rc = err_set(e, RC_BUG, "the target rolled a transaction back at its COMMIT");
	PQclear(res);
	return rc;
}

enum rc
pgsink_commit(struct sink_lane *base, const struct checkpoint *c, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	enum rc rc = RC_OK;

	if (!l->in_txn)
		rc = pgsink_begin(base, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_CHECKPOINT_BEFORE, e);
	if (rc == RC_OK)
		rc = move_checkpoint(l, c, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_CHECKPOINT, e);
	if (rc == RC_OK)
		rc = commit_now(l, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_COMMIT, e);
	if (rc == RC_OK)
		l->in_txn = false;
	return rc;
}
