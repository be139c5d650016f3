/*
 * pipeline.c - executions of prepared statements, sent ahead of their answers; see
 * sink.h of the room.
 *
 * A group has as many statements as it has hot rows' changes, one behind the
 * other: waiting for each answer would cost more than the work. The server runs
 * what has come; a failure makes it skip all that follows.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "workers/writer/pgsql/sink.h"

/* What the library keeps before the network must take it. */
#define SEND_BYTES 65536u
/* Executions whose answers nobody has heard. */
#define AHEAD 1000u

static enum rc
add_parameter(struct pgsql_lane *l, const struct target *t, const struct row *r, uint32_t i,
	size_t k, struct err *e)
{
	const struct value *v = &r->col[i];
	enum rc rc = RC_OK;

	l->at[k] = SIZE_MAX;
	if (v->kind != VALUE_BYTES)
		return RC_OK;
	l->at[k] = l->text.len;
	rc = pgsink_render(l->transcoder, &t->source->columns[i], &t->table->columns[t->map[i]], v,
		&l->text, e);
	buf_putc(&l->text, '\0');
	return rc;
}

static enum rc
set_parameters(
	struct pgsql_lane *l, const struct statement *s, const struct change *c, struct err *e)
{
	uint32_t n = s->nafter + s->nbefore;
	enum rc rc = RC_OK;

	grow(&l->at, &l->at_cap, (size_t)n + 1, sizeof *l->at);
	grow(&l->params, &l->params_cap, (size_t)n + 1, sizeof *l->params);
	buf_clear(&l->text);
	for (uint32_t k = 0; k < s->nafter && rc == RC_OK; k++)
		rc = add_parameter(l, s->target, &c->after, s->after[k], k, e);
	for (uint32_t k = 0; k < s->nbefore && rc == RC_OK; k++)
		rc = add_parameter(l, s->target, &c->before, s->before[k], s->nafter + k, e);
	if (rc != RC_OK)
		return err_context(e, "%s.%s", s->target->db, s->target->name);
	for (uint32_t k = 0; k < n; k++)
		l->params[k] = l->at[k] != SIZE_MAX ? (char *)l->text.data + l->at[k] : NULL;
	return RC_OK;
}

/* The first failure counts. */
static enum rc
take_answers(struct pgsql_lane *l, struct err *e)
{
	enum rc rc = RC_OK;
	uint32_t at = 0;

	for (unsigned nothing = 0; nothing < 2;) {
		PGresult *res = pgsql_result(&l->c);
		ExecStatusType s = PQresultStatus(res);

		if (res == NULL) {
			nothing++;
			continue;
		}
		nothing = 0;
		if (s == PGRES_COMMAND_OK && at < l->nsent)
			*l->sent[at++] += strtoull(PQcmdTuples(res), NULL, 10);
		else if (s != PGRES_PIPELINE_SYNC && s != PGRES_PIPELINE_ABORTED && rc == RC_OK)
			rc = pgsink_error(l, res, e, "refused a row change");
		PQclear(res);
		if (s == PGRES_PIPELINE_SYNC)
			return rc;
	}
	return rc != RC_OK ? rc : pgsink_error(l, NULL, e, "broke off a row change");
}

static enum rc
settle(struct pgsql_lane *l, struct err *e)
{
	enum rc rc;

	if (PQpipelineStatus(l->c.conn) == PQ_PIPELINE_OFF)
		return RC_OK;
	if (PQpipelineSync(l->c.conn) != 0)
		rc = take_answers(l, e);
	else
		rc = pgsink_error(l, NULL, e, "does not take row changes");
	l->nsent = 0;
	l->unsent = 0;
	PQexitPipelineMode(l->c.conn);
	return rc;
}

enum rc
pgsink_settle(struct pgsql_lane *l, struct err *e)
{
	return settle(l, e);
}

void
pgsink_abandon(struct pgsql_lane *l)
{
	struct err ignored;

	(void)settle(l, &ignored);
}

enum rc
pgsink_ahead(struct pgsql_lane *l, const struct statement *s, uint64_t *found, struct err *e)
{
	if (PQenterPipelineMode(l->c.conn) == 0)
		return err_set(e, RC_BUG, "cannot begin a pipeline: %s", PQerrorMessage(l->c.conn));
	if (PQsendQueryPrepared(l->c.conn, s->name, (int)(s->nafter + s->nbefore), l->params, NULL,
		    NULL, 0) == 0)
		return pgsink_error(l, NULL, e, "does not take a row change");
	grow(&l->sent, &l->sent_cap, (size_t)l->nsent + 1, sizeof *l->sent);
	l->sent[l->nsent++] = found;
	l->unsent += l->text.len;
	if (l->nsent >= AHEAD)
		return pgsink_settle(l, e);
	if (l->unsent < SEND_BYTES)
		return RC_OK;
	l->unsent = 0;
	return pgsql_flush(&l->c) ? RC_OK : pgsink_error(l, NULL, e, "does not take row changes");
}

enum rc
pgsink_each(struct pgsql_lane *l, enum form form, const struct change *const *changes, uint32_t n,
	uint64_t *found, struct err *e)
{
	struct statement *s;
	enum rc rc = pgsink_statement(l, form, changes[0], &s, e);

	for (uint32_t i = 0; i < n && rc == RC_OK; i++) {
		rc = set_parameters(l, s, changes[i], e);
		if (rc == RC_OK)
			rc = pgsink_ahead(l, s, found, e);
	}
	return rc;
}
