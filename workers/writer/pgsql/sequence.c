/*
 * sequence.c - sequences of columns at a PostgreSQL target; see sink.h of the room.
 *
 * Rows come with their numbers, and no sequence moves. A writer that ends in
 * peace, as before a switch of the application to the target, moves those that
 * columns count by up to the highest number there is: the next row made here
 * gets a new one. A sequence that is further already stays.
 */
#include "common/compat.h"

#include "common/log.h"
#include "workers/writer/pgsql/sink.h"

/* Before 10 a sequence tells its own bounds. */
static const char counted_before_10[] =
	"SELECT format('SELECT setval(%%L, m) FROM (SELECT max(%%I)::bigint AS m FROM %%s) x, %%s "
	"q WHERE q.increment_by > 0 AND m BETWEEN q.last_value AND q.max_value', r.oid::regclass, "
	"a.attname, c.oid::regclass, r.oid::regclass) FROM pg_class c JOIN pg_depend o ON "
	"o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid "
	"= c.oid AND o.deptype = 'a' JOIN pg_class r ON r.oid = o.objid AND r.relkind = 'S' JOIN "
	"pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.refobjsubid WHERE c.oid IN (SELECT "
	"to_regclass(t::cstring) FROM unnest(ARRAY[%s]) t) AND EXISTS (SELECT FROM pg_index i "
	"WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred IS NULL)";

/* Rising sequences of the tables %s whose columns indexes begin with: how to move each. */
static const char counted[] =
	"SELECT format('SELECT setval(%%L, m) FROM (SELECT max(%%I)::bigint AS m FROM %%s) x WHERE "
	"m "
	"BETWEEN greatest(%%s, %%s) AND %%s', r.oid::regclass, a.attname, c.oid::regclass, "
	"q.seqmin, "
	"coalesce(pg_sequence_last_value(r.oid), q.seqmin), q.seqmax) FROM pg_class c JOIN "
	"pg_depend "
	"o ON o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND "
	"o.refobjid "
	"= c.oid AND o.deptype IN ('a', 'i') JOIN pg_class r ON r.oid = o.objid AND r.relkind = "
	"'S' "
	"JOIN pg_sequence q ON q.seqrelid = r.oid AND q.seqincrement > 0 JOIN pg_attribute a ON "
	"a.attrelid = c.oid AND a.attnum = o.refobjsubid WHERE c.oid IN (SELECT to_regclass(t) "
	"FROM unnest(ARRAY[%s]) t) AND EXISTS "
	"(SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND i.indpred "
	"IS "
	"NULL)";

static void
add_tables(const struct pgsql_sink *s, struct buf *b)
{
	struct buf table;

	buf_init(&table);
	for (size_t i = 0; i < s->nmade; i++) {
		const struct table *t = s->made[i];

		buf_clear(&table);
		pgsql_quote_table(&table, routes_table_db(s->env.routes, t->db, t->name),
			routes_target_table(s->env.routes, t->db, t->name));
		buf_puts(b, i != 0 ? ", " : "");
		pgsql_quote_text(b, buf_text(&table));
	}
	buf_release(&table);
}

void
pgsink_move_sequences(struct pgsql_sink *s)
{
	PGresult *res = NULL;
	struct buf tables;
	struct err e;
	enum rc rc;

	if (s->nmade == 0)
		return;
	buf_init(&tables);
	add_tables(s, &tables);
	rc = s->main.version >= 100000
		     ? pgsql_query(&s->main, &res, &e, counted, buf_text(&tables))
		     : pgsql_query(&s->main, &res, &e, counted_before_10, buf_text(&tables));
	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++)
		rc = pgsql_exec(&s->main, PQgetvalue(res, i, 0), &e);
	if (rc != RC_OK)
		log_debug("cannot move sequences at the target: %s", e.text);
	PQclear(res);
	buf_release(&tables);
}
