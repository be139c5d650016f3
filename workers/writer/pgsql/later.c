/*
 * later.c - indexes and keys of a PostgreSQL target that wait for their table's rows; see sink.h of
 * the room.
 *
 * To keep an index up row by row costs several times what it costs to make it
 * of all rows. So those that only readers need go when the load of a table that
 * we have made begins, and are made in the transaction that lets it stream; our
 * row of the table keeps what makes them again: a crash in between loses none.
 *
 * The keys of a large table go with them. A chunk is written in one transaction
 * with its record, and nothing but chunks writes the table until its first
 * change: before that the keys are made (`keys`), for by them changes find their
 * rows and later chunks see which exist. What foreign keys refer to stays, and
 * what their checks look through.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "ipc/proto.h"
#include "workers/writer/pgsql/sink.h"

void
pgsink_busy(struct pgsql_lane *l, bool on)
{
	atomic_store(&l->sink->env.stats[STAT_BUSY_US], on ? now_us() : 0);
}

/* Fewer rows are not worth the statements. */
#ifdef SYNCLINE_FAILPOINTS
static const uint64_t many_rows = 0;
#else
static const uint64_t many_rows = 50000;
#endif

/* What makes a key again begins so, and no other index does. */
#define UNIQUE "CREATE UNIQUE "

/*
 * Indexes of the table %s that can wait: what takes each away, and what makes
 * it again. Of the unique ones only such as leave nothing else behind.
 */
/* clang-format off */
static const char waiting[] =
	"SELECT CASE WHEN o.oid IS NULL THEN 'DROP INDEX ' || x.indexrelid::regclass ELSE 'ALTER TABLE ' || "
	"x.indrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(o.conname) END, "
	"regexp_replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON ') || CASE WHEN o.oid IS NULL THEN '' ELSE "
	"'; ALTER TABLE ' || x.indrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(o.conname) || CASE o.contype "
	"WHEN 'p' THEN ' PRIMARY KEY' ELSE ' UNIQUE' END || ' USING INDEX ' || quote_ident(i.relname) END || "
	"coalesce('; COMMENT ON INDEX ' || x.indexrelid::regclass || ' IS ' || "
	"quote_literal(obj_description(x.indexrelid, 'pg_class')), '') "
	"FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid "
	"LEFT JOIN pg_constraint o ON o.conindid = x.indexrelid AND o.contype IN ('p', 'u') "
	"WHERE x.indrelid = %s::regclass AND NOT x.indisexclusion AND NOT EXISTS (SELECT FROM pg_attribute a "
	"WHERE a.attrelid = x.indrelid AND a.attnum = x.indkey[0] AND a.attname IN (%s)) AND (NOT x.indisunique OR "
	"(%s AND x.indimmediate AND NOT x.indisreplident AND NOT x.indisclustered AND c.relkind = 'r' AND NOT EXISTS "
	"(SELECT FROM pg_inherits h WHERE x.indrelid IN (h.inhrelid, h.inhparent)) AND i.reltablespace = 0 AND "
	"obj_description(o.oid, 'pg_constraint') IS NULL AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'n' "
	"AND (d.refclassid, d.refobjid) IN (('pg_class'::regclass, x.indexrelid), ('pg_constraint'::regclass, o.oid))))) "
	"ORDER BY x.indisunique DESC, x.indexrelid";
/* clang-format on */

/* Columns that foreign keys begin with, as a list of literals. */
static void
add_referring(const struct pgsql_lane *l, struct buf *b, const struct table *t)
{
	buf_puts(b, "''");
	for (uint32_t k = 0; k < t->nfks; k++)
		if (t->fks[k].ncolumns != 0 && pgsink_carries_fk(l, t, &t->fks[k])) {
			buf_puts(b, ", ");
			pgsql_quote_text(b, pgsink_column(l, t, t->fks[k].columns[0]));
		}
}

/* Values that become NULL where they are not of the key can only be told by a key. */
static bool
keys_can_wait(const struct pgsql_lane *l, const struct table *t)
{
	if (t->rows < many_rows || l->sink->dialect->distributed)
		return false;
	for (uint32_t i = 0; i < LOSS_COUNT; i++)
		if (l->sink->env.losses.accepted[i])
			return false;
	return true;
}

static enum rc
put_off_one(struct pgsql_lane *l, const struct buf *key, const char *drop, const char *sql,
	struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b, "%s; UPDATE %s.table_state SET later = later || ", drop, l->sink->state);
	pgsql_quote_text(&b, sql);
	buf_printf(&b, "::text WHERE (channel, db, name) = (%s)", buf_text(key));
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

static enum rc
put_off(struct pgsql_lane *l, const struct target *t, const struct buf *key, bool *unkeyed,
	struct err *e)
{
	struct buf literal, referring;
	PGresult *res = NULL;
	enum rc rc;

	buf_init(&literal);
	buf_init(&referring);
	add_referring(l, &referring, t->source);
	pgsql_quote_regclass(&literal, t->db, t->name);
	rc = pgsql_query(&l->c, &res, e, waiting, buf_text(&literal), buf_text(&referring),
		keys_can_wait(l, t->source) ? "true" : "false");
	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++) {
		const char *sql = PQgetvalue(res, i, 1);

		rc = put_off_one(l, key, PQgetvalue(res, i, 0), sql, e);
		*unkeyed = *unkeyed || strncmp(sql, UNIQUE, sizeof UNIQUE - 1) == 0;
	}
	PQclear(res);
	buf_release(&literal);
	buf_release(&referring);
	return rc;
}

enum rc
pgsink_may_wait(struct pgsql_lane *l, const struct event_object *o, struct err *e)
{
	struct buf key;
	enum rc rc;

	buf_init(&key);
	pgsink_add_key(l, &key, o->db, o->name);
	rc = pgsql_run(&l->c, e,
		"UPDATE %s.table_state SET later = ARRAY(SELECT sql FROM unnest(later) sql WHERE "
		"sql LIKE 'ALTER TABLE %%') WHERE (channel, db, name) = (%s)",
		l->sink->state, buf_text(&key));
	buf_release(&key);
	return rc;
}

enum rc
pgsink_loading(struct sink_lane *base, const struct target *t, bool *unkeyed, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	bool ours = false;
	struct buf key;
	enum rc rc;

	*unkeyed = false;
	buf_init(&key);
	pgsink_add_key(l, &key, t->source_db, t->source_name);
	rc = pgsql_exists(&l->c, &ours, e,
		"SELECT 1 FROM %s.table_state WHERE (channel, db, name) = (%s) AND later IS NOT "
		"NULL",
		l->sink->state, buf_text(&key));
	if (rc == RC_OK && ours)
		rc = put_off(l, t, &key, unkeyed, e);
	buf_release(&key);
	return rc;
}

/* A statement at the source may have changed the table meanwhile, or brought the index itself. */
static enum rc
make_one(struct pgsql_lane *l, const char *sql, struct err *e)
{
	enum rc rc = pgsink_exec(l, "SAVEPOINT later", e);

	if (rc == RC_OK)
		rc = pgsink_exec(l, sql, e);
	if (rc == RC_OK)
		return pgsink_exec(l, "RELEASE SAVEPOINT later", e);
	if (rc == RC_RETRY)
		return rc;
	if (!pgsink_is_there_already(l))
		log_warn("an index that waited until its table was loaded is left out: %s: %s",
			e->text, sql);
	return pgsink_exec(l, "ROLLBACK TO SAVEPOINT later", e);
}

/* What waits of the table, keys or all else. */
static enum rc
read_waiting(struct pgsql_lane *l, const struct buf *key, bool keys, PGresult **out, struct err *e)
{
	return pgsql_query(&l->c, out, e,
		"SELECT sql FROM (SELECT unnest(later) AS sql FROM %s.table_state WHERE (channel, "
		"db, name) = (%s)) w WHERE sql %s '" UNIQUE "%%'",
		l->sink->state, buf_text(key), keys ? "LIKE" : "NOT LIKE");
}

/* Nothing waits any more, or no key. */
static enum rc
forget_waiting(struct pgsql_lane *l, const struct buf *key, bool keys, struct err *e)
{
	return pgsql_run(&l->c, e,
		"UPDATE %s.table_state SET later = %s WHERE (channel, db, name) = (%s)",
		l->sink->state,
		keys ? "ARRAY(SELECT sql FROM unnest(later) sql WHERE sql NOT LIKE '" UNIQUE "%')"
		     : "NULL",
		buf_text(key));
}

/* No row may go without: what cannot be made is a reason to stop. */
static enum rc
make_keys(struct pgsql_lane *l, const struct buf *key, const char *db, const char *name,
	struct err *e)
{
	PGresult *res = NULL;
	enum rc rc = read_waiting(l, key, true, &res, e);
	int n = rc == RC_OK ? PQntuples(res) : 0;

	for (int i = 0; rc == RC_OK && i < n; i++) {
		rc = pgsink_exec(l, PQgetvalue(res, i, 0), e);
		if (rc == RC_OK || rc == RC_RETRY)
			continue;
		err_context(e,
			"making the keys of source table %s.%s, which have waited for its rows", db,
			name);
		err_remedy(e,
			"end what else writes to the table at the target, then `syncline "
			"resync %s %s.%s`",
			l->sink->env.channel, db, name);
	}
	if (rc == RC_OK && n != 0)
		rc = forget_waiting(l, key, true, e);
	PQclear(res);
	return rc;
}

enum rc
pgsink_keys(struct sink_lane *base, const char *source_db, const char *source_name, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	struct buf key;
	enum rc rc;

	buf_init(&key);
	pgsink_add_key(l, &key, source_db, source_name);
	pgsink_busy(l, true);
	rc = make_keys(l, &key, source_db, source_name, e);
	pgsink_busy(l, false);
	buf_release(&key);
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_KEYS, e) : rc;
}

enum rc
pgsink_loaded(struct sink_lane *base, const struct target *t, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	PGresult *res = NULL;
	struct buf key;
	enum rc rc;

	buf_init(&key);
	pgsink_add_key(l, &key, t->source_db, t->source_name);
	pgsink_busy(l, true);
	rc = make_keys(l, &key, t->source_db, t->source_name, e);
	if (rc == RC_OK)
		rc = read_waiting(l, &key, false, &res, e);
	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++)
		rc = make_one(l, PQgetvalue(res, i, 0), e);
	pgsink_busy(l, false);
	if (rc == RC_OK)
		rc = forget_waiting(l, &key, false, e);
	PQclear(res);
	buf_release(&key);
	return rc;
}
