/*
 * later.c - indexes of a PostgreSQL target that wait until their table is loaded; see sink.h of the
 * room.
 *
 * To keep an index up row by row costs several times what it costs to make it
 * of all rows. Unique indexes are there from the start, for they say which
 * changes meet, and so are those that a foreign key's checks look through. The
 * others are made in the transaction that lets the table stream, by what our
 * row of the table has kept of them: a crash in between loses none.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "ipc/proto.h"
#include "workers/writer/pgsql/sink.h"

void
pgsink_busy(struct pgsql_lane *l, bool on)
{
	atomic_store(&l->sink->env.stats[STAT_BUSY_US], on ? now_us() : 0);
}

/* Indexes of the table %s that wait: name, and what makes it again. */
static const char waiting[] =
	"SELECT x.indexrelid::regclass, regexp_replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', "
	"' ON ') || coalesce('; COMMENT ON INDEX ' || x.indexrelid::regclass || ' IS ' || "
	"quote_literal(obj_description(x.indexrelid, 'pg_class')), '') FROM pg_index x "
	"WHERE x.indrelid = %s::regclass AND NOT x.indisunique AND NOT x.indisexclusion AND NOT "
	"EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attnum = "
	"x.indkey[0] "
	"AND a.attname IN (%s)) ORDER BY x.indexrelid";

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

static enum rc
put_off_one(struct pgsql_lane *l, const struct buf *key, const char *index, const char *sql,
	struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b, "DROP INDEX %s; UPDATE %s.table_state SET later = array_append(later, ",
		index, l->sink->state);
	pgsql_quote_text(&b, sql);
	buf_printf(&b, ") WHERE (channel, db, name) = (%s)", buf_text(key));
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

enum rc
pgsink_put_off(struct pgsql_lane *l, const struct event_object *o, const struct table *t,
	const char *schema, const char *name, struct err *e)
{
	struct buf literal, key, referring;
	PGresult *res = NULL;
	enum rc rc;

	buf_init(&literal);
	buf_init(&key);
	buf_init(&referring);
	add_referring(l, &referring, t);
	pgsql_quote_regclass(&literal, schema, name);
	pgsink_add_key(l, &key, o->db, o->name);
	rc = pgsql_run(&l->c, e,
		"UPDATE %s.table_state SET later = NULL WHERE (channel, db, name) = (%s)",
		l->sink->state, buf_text(&key));
	if (rc == RC_OK)
		rc = pgsql_query(&l->c, &res, e, waiting, buf_text(&literal), buf_text(&referring));
	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++)
		rc = put_off_one(l, &key, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), e);
	PQclear(res);
	buf_release(&literal);
	buf_release(&key);
	buf_release(&referring);
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
	log_warn("an index that waited until its table was loaded is left out: %s: %s", e->text,
		sql);
	return pgsink_exec(l, "ROLLBACK TO SAVEPOINT later", e);
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
	rc = pgsql_query(&l->c, &res, e,
		"SELECT unnest(later) FROM %s.table_state WHERE (channel, db, name) = (%s)",
		l->sink->state, buf_text(&key));
	pgsink_busy(l, true);
	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++)
		rc = make_one(l, PQgetvalue(res, i, 0), e);
	pgsink_busy(l, false);
	if (rc == RC_OK && PQntuples(res) != 0)
		rc = pgsql_run(&l->c, e,
			"UPDATE %s.table_state SET later = NULL WHERE (channel, db, name) = (%s)",
			l->sink->state, buf_text(&key));
	PQclear(res);
	buf_release(&key);
	return rc;
}
