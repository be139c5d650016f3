/*
 * pulse.c - what the PostgreSQL log thread does every so often: see stream.h.
 *
 * Sequences are not in the log. Where the target is PostgreSQL, too, those that
 * have moved are looked up, and what they stand at goes into the stream as a
 * statement between two transactions, as soon as all has been read that was in the
 * log by then: their own making is. A target that must take over is at most
 * a pulse behind, and ahead of every row that it has from before.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "workers/reader/pgsql/stream.h"

#define PULSE_US 10000000u

/* ---- heartbeat ---- */

static enum rc
cannot_beat(const struct pgsql *c, struct err *e)
{
	if (*c->state == '\0')
		return RC_RETRY;
	err_context(e, "cannot write source.heartbeat_table");
	e->rc = RC_CONFIG;
	return err_remedy(e, "grant the account CREATE on the database and on the schema "
			     "state_schema, or take heartbeat_table out");
}

static void
beat_table(const struct pgsql_source *s, struct buf *b)
{
	pgsql_quote_table(b, conf_str(s->env.conf, "state_schema"),
		conf_str(s->env.conf, "source.heartbeat_table"));
}

/* Made with the first one. */
static enum rc
beat(struct pgsql_source *s, bool first, struct err *e)
{
	struct buf schema, table;
	enum rc rc = RC_OK;

	buf_init(&schema);
	buf_init(&table);
	pgsql_quote_name(&schema, conf_str(s->env.conf, "state_schema"));
	beat_table(s, &table);
	if (first)
		rc = pgsql_run(&s->main, e,
			"CREATE SCHEMA IF NOT EXISTS %s; CREATE TABLE IF NOT EXISTS %s (channel "
			"text PRIMARY KEY, beat timestamptz NOT NULL)",
			buf_text(&schema), buf_text(&table));
	if (rc == RC_OK)
		rc = pgsql_run(&s->main, e,
			"INSERT INTO %s AS t VALUES ('%s', now()) ON CONFLICT (channel) DO UPDATE "
			"SET beat = excluded.beat",
			buf_text(&table), s->name);
	buf_release(&schema);
	buf_release(&table);
	return rc == RC_OK ? RC_OK : cannot_beat(&s->main, e);
}

enum rc
pgsource_end_beat(struct pgsql_source *s, struct err *e)
{
	struct buf table, literal;
	char *there = NULL;
	enum rc rc;

	if (!conf_has(s->env.conf, "source.heartbeat_table"))
		return RC_OK;
	buf_init(&table);
	buf_init(&literal);
	beat_table(s, &table);
	pgsql_quote_text(&literal, buf_text(&table));
	rc = pgsql_value(&s->main, &there, e, "SELECT to_regclass(%s)", buf_text(&literal));
	if (rc == RC_OK && there != NULL)
		rc = pgsql_run(&s->main, e, "DROP TABLE %s", buf_text(&table));
	free(there);
	buf_release(&table);
	buf_release(&literal);
	return rc;
}

/* ---- sequences ---- */

static bool
carries_sequences(const struct pgsql_source *s)
{
	return !SPEAKS_LINES(&s->main) && conf_is(s->env.conf, "target.kind", "postgresql") &&
	       conf_is(s->env.conf, "ddl", "carry");
}

/* With the tables that own them, by number. */
static const char sequences[] =
	"SELECT r.oid, rn.nspname, r.relname, n.nspname, c.relname, CASE WHEN "
	"has_sequence_privilege(r.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(r.oid) END, "
	"pg_current_wal_insert_lsn() "
	"FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace LEFT JOIN pg_depend o ON "
	"o.classid = 'pg_class'::regclass AND o.objid = r.oid AND o.refclassid = "
	"'pg_class'::regclass AND o.deptype IN ('a', 'i') LEFT JOIN pg_class c ON c.oid = "
	"o.refobjid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.relkind = 'S' AND "
	"rn.nspname !~ '^pg_' ORDER BY r.oid";

enum sequence_field {
	SEQUENCE_OID,
	SEQUENCE_DB,
	SEQUENCE_NAME,
	OWNER_DB,
	OWNER_NAME,
	VALUE,
	LOG_END
};

static bool
selects(const struct pgsql_source *s, const PGresult *res, int i)
{
	const char *db = PQgetvalue(res, i, SEQUENCE_DB);

	if (!PQgetisnull(res, i, OWNER_NAME))
		return routes_table(s->env.routes, PQgetvalue(res, i, OWNER_DB),
			PQgetvalue(res, i, OWNER_NAME));
	return strcmp(db, conf_str(s->env.conf, "state_schema")) != 0 &&
	       routes_database(s->env.routes, db);
}

/* Row *was of the last look is that of the same sequence, if it is there: both are in order. */
static bool
has_moved(const PGresult *last, int *was, const PGresult *now, int i)
{
	unsigned long oid = strtoul(PQgetvalue(now, i, SEQUENCE_OID), NULL, 10);

	if (PQgetisnull(now, i, VALUE))
		return false;
	while (last != NULL && *was < PQntuples(last) &&
		strtoul(PQgetvalue(last, *was, SEQUENCE_OID), NULL, 10) < oid)
		(*was)++;
	return last == NULL || *was == PQntuples(last) ||
	       strtoul(PQgetvalue(last, *was, SEQUENCE_OID), NULL, 10) != oid ||
	       strcmp(PQgetvalue(last, *was, VALUE), PQgetvalue(now, i, VALUE)) != 0;
}

/* One that the target does not have (an identity of another name) is passed over. */
static void
add_value(struct buf *b, const PGresult *res, int i)
{
	struct buf name;

	buf_init(&name);
	pgsql_quote_table(
		&name, PQgetvalue(res, i, SEQUENCE_DB), PQgetvalue(res, i, SEQUENCE_NAME));
	buf_puts(b, b->len == 0 ? "SELECT pg_catalog.setval(s, v) FROM (VALUES " : ", ");
	buf_puts(b, "(to_regclass(");
	pgsql_quote_text(b, buf_text(&name));
	buf_printf(b, "), %s)", PQgetvalue(res, i, VALUE));
	buf_release(&name);
}

static enum rc
feed_values(struct stream *st, struct err *e)
{
	const struct ddl_said said = {.db = "", .sql = buf_text(&st->values)};
	struct event_ddl ev = {.db = "",
		.sql = "",
		.session = "",
		.session_charset = "utf8mb4",
		.said = &said,
		.nsaid = 1};
	enum rc rc = stream_begin(st, e);

	if (rc == RC_OK)
		rc = feed_ddl(st->feed, &ev, NULL, 0);
	buf_clear(&st->values);
	return rc == RC_OK ? stream_commit(st, e) : rc;
}

/* What cannot be looked up now (a sequence was dropped under us) is looked up next time. */
static enum rc
look_at_sequences(struct stream *st, struct err *e)
{
	struct pgsql_source *s = st->s;
	struct pgsql_position end = {0};
	PGresult *now;
	enum rc rc = pgsql_query(&s->main, &now, e, "%s", sequences);
	int was = 0;

	if (rc != RC_OK)
		return *s->main.state == '\0' ? rc : RC_OK;
	for (int i = 0; i < PQntuples(now); i++)
		if (has_moved(st->sequences, &was, now, i) && selects(s, now, i))
			add_value(&st->values, now, i);
	if (st->values.len != 0) {
		buf_puts(&st->values, ") x (s, v) WHERE s IS NOT NULL");
		rc = pgsource_parse_position(PQgetvalue(now, 0, LOG_END), &end, e);
		if (rc == RC_OK)
			rc = pgsource_nudge(&s->main, e);
	}
	st->values_at = end.lsn;
	PQclear(st->sequences);
	st->sequences = now;
	return rc;
}

enum rc
stream_pulse(struct stream *st, struct err *e)
{
	struct pgsql_source *s = st->s;
	bool first = st->pulse_at == 0;
	enum rc rc = RC_OK;

	if (st->framing != OUTSIDE || st->at.changes != 0)
		return RC_OK;
	if (st->values.len != 0)
		return st->at.lsn >= st->values_at ? feed_values(st, e) : RC_OK;
	if (mono_us() < st->pulse_at + PULSE_US)
		return RC_OK;
	st->pulse_at = mono_us();
	if (conf_has(s->env.conf, "source.heartbeat_table"))
		rc = beat(s, first, e);
	if (rc == RC_OK && !SPEAKS_LINES(&s->main) && feed_follows_new(st->feed))
		rc = stream_check_published(st, e);
	if (rc == RC_OK && carries_sequences(s) && feed_follows_new(st->feed))
		rc = look_at_sequences(st, e);
	return rc;
}
