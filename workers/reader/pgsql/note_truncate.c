/*
 * note_truncate.c - TRUNCATE where the log does not have it: of tables at servers before 11, of
 * single partitions at all of them. By `truncate_triggers` a trigger on each that is selected notes
 * it; see note.h.
 *
 * In the schema of the notes:
 *
 *   watching   the channels that ask for it
 *   unwatched  a view: tables that should have the trigger, or should not, and it is otherwise
 *   watch      makes one table as it should be
 *
 * A new table gets its trigger in its own transaction (note_install.c); at the
 * beginning each in one of its own: no lock waits while another one is held.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "workers/reader/pgsql/note.h"

/* clang-format off */
#define SQL(said, candidates) \
	"CREATE TABLE IF NOT EXISTS $S.watching (channel text NOT NULL);\n" \
	"CREATE OR REPLACE FUNCTION $S.note_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY " \
	"DEFINER SET search_path = pg_catalog, pg_temp AS $f$\n" \
	"DECLARE\n" \
	"  m bigint; said text;\n" \
	"BEGIN\n" said ";\n" \
	"  IF said IS NOT NULL THEN\n" \
	"    INSERT INTO $S.ddl (tag, query, path, changes) VALUES ('TRUNCATE TABLE', " \
	"coalesce(current_query(), ''), '', said) RETURNING n INTO m;\n" \
	"    DELETE FROM $S.ddl WHERE n = m;\n" \
	"  END IF;\n" \
	"  RETURN NULL;\n" \
	"EXCEPTION WHEN OTHERS THEN\n" \
	"  RAISE WARNING 'syncline could not note what this statement changes: %', SQLERRM;\n" \
	"  RETURN NULL;\n" \
	"END $f$;\n" \
	"CREATE OR REPLACE VIEW $S.unwatched AS SELECT oid, db, name, wanted FROM (SELECT c.oid, n.nspname AS " \
	"db, c.relname AS name, x.keyed IS TRUE AND EXISTS (SELECT FROM $S.selected s JOIN $S.watching w ON " \
	"w.channel = s.channel WHERE " SELECTS("x.db", "x.name") ") AS wanted, EXISTS (SELECT FROM pg_trigger g " \
	"JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace WHERE g.tgrelid = " \
	"c.oid AND f.nspname = $T AND p.proname = 'note_truncate') AS has FROM pg_class c JOIN pg_namespace n ON " \
	"n.oid = c.relnamespace LEFT JOIN $S.tables x ON " candidates ") t WHERE wanted <> has;\n" \
	"CREATE OR REPLACE FUNCTION $S.watch(oid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER " \
	"SET search_path = pg_catalog, pg_temp AS $f$\n" \
	"DECLARE\n" \
	"  t record;\n" \
	"BEGIN\n" \
	"  FOR t IN SELECT * FROM $S.unwatched u WHERE u.oid = $1 LOOP\n" \
	"    IF t.wanted THEN\n" \
	"      EXECUTE format('CREATE TRIGGER " TRUNCATE_TRIGGER " AFTER TRUNCATE ON %I.%I EXECUTE " \
	"PROCEDURE %I.note_truncate()', t.db, t.name, $T);\n" \
	"      EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER " TRUNCATE_TRIGGER \
	"', t.db, t.name);\n" \
	"    ELSE\n" \
	"      EXECUTE format('DROP TRIGGER " TRUNCATE_TRIGGER " ON %I.%I', t.db, t.name);\n" \
	"    END IF;\n" \
	"  END LOOP;\n" \
	"END $f$;\n"

/* All that refer to a table are truncated with it: at the target, too, in one statement. */
static const char of_tables[] = SQL(
	"  WITH RECURSIVE r (id) AS (SELECT TG_RELID UNION SELECT o.conrelid FROM pg_constraint o "
	"JOIN r ON o.confrelid = r.id WHERE o.contype = 'f')\n"
	"    SELECT string_agg($S.line('E', ARRAY[n.nspname::text, c.relname]), '') INTO said "
	"FROM r JOIN pg_class c ON c.oid = r.id JOIN pg_namespace n ON n.oid = c.relnamespace",
	"x.oid = c.oid");

/* The log has the table at the root alone. What foreign keys lead to cannot be truncated by itself. */
static const char of_partitions[] = SQL(
	"  SELECT $S.line('G', ARRAY[k.db::text, k.name]) || $S.describe(k.oid) || $S.line('S', ARRAY[k.db::text, "
	"k.name, k.db, 'f', CASE WHEN EXISTS (SELECT FROM pg_constraint o WHERE o.confrelid IN (TG_RELID, k.oid)) "
	"THEN 'DELETE FROM ' ELSE 'TRUNCATE ' END || format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)]) INTO said "
	"FROM $S.known k WHERE k.oid = pg_partition_root(TG_RELID) AND k.oid <> TG_RELID",
	"c.relispartition AND x.oid = pg_partition_root(c.oid) WHERE c.relkind = 'r'");
/* clang-format on */

/* Between the two there are no partitions that are carried, and TRUNCATE is in the log. */
static bool
is_needed(const struct pgsql_source *s)
{
	return s->main.version < 110000 || s->main.version >= 130000;
}

const char *
note_truncate_sql(const struct pgsql_source *s)
{
	return !is_needed(s) ? "" : s->main.version < 110000 ? of_tables : of_partitions;
}

const char *
note_truncate_new(const struct pgsql_source *s)
{
	return s->main.version < 110000 ? "    PERFORM $S.watch(t.oid);\n" : "";
}

const char *
note_truncate_partition(const struct pgsql_source *s)
{
	return s->main.version >= 130000 ? "    PERFORM $S.watch(a.id);\n" : "";
}

/* Whether this channel asks for it. */
static enum rc
put_wish(struct pgsql_source *s, const char *schema, bool wanted, struct err *e)
{
	enum rc rc = pgsql_run(
		&s->main, e, "DELETE FROM %s.watching WHERE channel = '%s'", schema, s->name);

	if (rc == RC_OK && wanted)
		rc = pgsql_run(
			&s->main, e, "INSERT INTO %s.watching VALUES ('%s')", schema, s->name);
	return rc;
}

#define LOCK_WAIT_MS 2000

/* A trigger takes a moment without writers. */
static enum rc
watch_all(struct pgsql_source *s, const char *schema, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT oid, quote_ident(db) || '.' || quote_ident(name) FROM %s.unwatched ORDER "
		"BY "
		"2",
		schema);

	if (rc != RC_OK)
		return rc;
	rc = pgsql_run(&s->main, e, "SET lock_timeout = %d", LOCK_WAIT_MS);
	for (int i = 0; i < PQntuples(res) && rc == RC_OK; i++) {
		rc = pgsql_run(&s->main, e, "SELECT %s.watch(%s)", schema, PQgetvalue(res, i, 0));
		if (rc != RC_OK)
			err_context(e,
				"cannot make or drop the trigger of source.truncate_triggers on %s",
				PQgetvalue(res, i, 1));
	}
	PQclear(res);
	return rc == RC_OK ? pgsql_exec(&s->main, "SET lock_timeout = 0", e) : rc;
}

enum rc
note_truncates(struct pgsql_source *s, bool given_up, struct err *e)
{
	bool wanted = !given_up && conf_bool(s->env.conf, "source.truncate_triggers");
	struct buf schema;
	enum rc rc;

	if (!is_needed(s))
		return RC_OK;
	buf_init(&schema);
	pgsql_quote_name(&schema, conf_str(s->env.conf, "state_schema"));
	rc = put_wish(s, buf_text(&schema), wanted, e);
	if (rc == RC_OK)
		rc = watch_all(s, buf_text(&schema), e);
	buf_release(&schema);
	return rc;
}
