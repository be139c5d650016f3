/*
 * note_install.c - the event trigger at the source that notes what statements do
 * to tables; see note.h.
 *
 * In the schema `state_schema` of the source's database:
 *
 *   ddl        the notes; published, and always empty
 *   known      the tables as the last note left them: what a statement has
 *              renamed, changed or dropped is what differs now
 *   selected   which tables the channels take: a new one is published at once
 *   tables     a view: what there is to carry
 *   objects, parts   what there is beside tables, and of what all consists (note_parts.c)
 *
 * A failure in here is a warning to the session, never the end of its statement.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/pgsql/definitions.h"
#include "workers/reader/pgsql/note.h"

/* $S: the schema, quoted; $T: it as a literal. */
/* clang-format off */
static const char objects[] =
	"CREATE SCHEMA IF NOT EXISTS $S;\n"
	"GRANT USAGE ON SCHEMA $S TO PUBLIC;\n"
	"DROP EVENT TRIGGER IF EXISTS syncline_end;\n"
	"DROP EVENT TRIGGER IF EXISTS syncline_drop;\n"
	"DROP EVENT TRIGGER IF EXISTS syncline_rewrite;\n"
	"CREATE TABLE IF NOT EXISTS $S.ddl (n bigserial PRIMARY KEY, tag text NOT NULL, query text "
	"NOT NULL, path text NOT NULL, changes text NOT NULL);\n"
	"CREATE TABLE IF NOT EXISTS $S.selected (channel text NOT NULL, exclude boolean NOT NULL, "
	"db text NOT NULL, tab text NOT NULL);\n"
	"DROP TABLE IF EXISTS $S.known;\n"
	"CREATE TABLE $S.known (oid oid PRIMARY KEY, db name NOT NULL, name name NOT "
	"NULL, last int NOT NULL, description text NOT NULL, rewritten boolean NOT NULL DEFAULT false);\n"
	"DROP FUNCTION IF EXISTS $S.capture(text, text);\n"
	"DROP FUNCTION IF EXISTS $S.tell(oid, oid, boolean);\n"
	/* Those without an identity could not be changed any more once they are published. */
	"CREATE OR REPLACE VIEW $S.tables AS SELECT c.oid, n.nspname AS db, c.relname AS name, "
	"(SELECT max(a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid)::int AS "
	"last, $H AS keyed FROM pg_class c JOIN pg_namespace n ON "
	"n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND $P c.relpersistence = 'p' AND "
	"n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $T);\n"
	"CREATE OR REPLACE FUNCTION $S.line(kind text, fields text[]) RETURNS text LANGUAGE sql "
	"IMMUTABLE AS $f$ SELECT $1 || string_agg(E'\\t' || coalesce(replace(replace(replace(f, "
	"E'\\\\', E'\\\\\\\\'), E'\\t', E'\\\\t'), E'\\n', E'\\\\n'), E'\\\\N'), '' ORDER BY n) || "
	"E'\\n' FROM unnest($2) WITH ORDINALITY x (f, n)$f$;\n";

static const char capture_head[] =
	"CREATE OR REPLACE FUNCTION $S.capture(event text, tag text, path text) RETURNS void "
	"LANGUAGE plpgsql SECURITY DEFINER $V SET search_path = pg_catalog, pg_temp AS $f$\n"
	"DECLARE\n"
	"  drops boolean := event = 'sql_drop';\n"
	"  wide boolean := drops OR tag = 'ALTER SCHEMA';\n"
	"  said text := coalesce(current_query(), '');\n"
	"  roots oid[]; moved oid[] := '{}'; filled oid[] := '{}'; gone oid[] := '{}';\n"
	"  ids oid[]; classes oid[]; t record; a record; lines text := ''; again boolean; v text; "
	"m bigint; w record;\n"
	"  others text := ''; preset text[]; ahead boolean;\n"
	"BEGIN\n"
	"  IF drops THEN\n"
	"    SELECT array_agg(format('%I.%I', d.address_names[1], d.address_names[2])) INTO preset "
	"FROM pg_event_trigger_dropped_objects() d WHERE d.classid = 'pg_attrdef'::regclass;\n"
	"  ELSE\n"
	"    SELECT array_agg(x.class ORDER BY x.at), array_agg(x.id ORDER BY x.at) INTO classes, ids FROM\n"
	"      (SELECT CASE WHEN r.oid IS NOT NULL OR k.contypid <> 0 THEN 'pg_type'::regclass WHEN "
	"k.oid IS NOT NULL OR g.oid IS NOT NULL THEN 'pg_class'::regclass ELSE c.classid END AS class, "
	"coalesce(r.reltype, nullif(k.contypid, 0), k.conrelid, i.indrelid, g.tgrelid, c.objid) AS id, "
	"min(c.ordinality) AS at\n"
	"      FROM pg_event_trigger_ddl_commands() WITH ORDINALITY c LEFT JOIN pg_class r ON "
	"c.classid = 'pg_class'::regclass AND r.oid = c.objid AND r.relkind = 'c' LEFT JOIN "
	"pg_constraint k ON c.classid = 'pg_constraint'::regclass AND k.oid = c.objid LEFT JOIN "
	"pg_index i ON c.classid = 'pg_class'::regclass AND i.indexrelid = c.objid LEFT JOIN "
	"pg_trigger g ON c.classid = 'pg_trigger'::regclass AND g.oid = c.objid WHERE "
	"c.schema_name IS DISTINCT FROM 'pg_temp' GROUP BY 1, 2) x;\n"
	"    IF ids IS NULL AND NOT wide AND tag <> 'ALTER PUBLICATION' THEN RETURN; END IF;\n"
	"  END IF;\n"
	/* What becomes of a table does of those that inherit from it. */
	"  WITH RECURSIVE h (id) AS (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = ANY (ids) UNION "
	"SELECT i.inhrelid FROM h JOIN pg_inherits i ON i.inhparent = h.id)\n"
	"    SELECT ids || array_agg(k.oid) INTO ids FROM h JOIN $S.known k ON k.oid = h.id AND k.oid <> ALL (ids);\n";

static const char capture_tables[] =
	"  IF drops AND tag NOT LIKE 'DROP %' THEN\n"
	/* (with a key, foreign keys of other tables; with a sequence, their defaults) */
	"    SELECT array_agg(k.oid) INTO ids FROM pg_event_trigger_dropped_objects() d JOIN $S.known k ON k.db = "
	"d.address_names[1] AND k.name = d.address_names[2] WHERE d.classid IN ('pg_constraint'::regclass, "
	"'pg_attrdef'::regclass);\n"
	"    wide := false;\n"
	"  END IF;\n"
	/* (what has become a partition is told at the statement's end) */
	"  FOR t IN DELETE FROM $S.known k WHERE NOT EXISTS (SELECT FROM $S.tables x WHERE x.oid = "
	"k.oid) AND NOT (drops AND EXISTS (SELECT FROM pg_class c WHERE c.oid = k.oid)) RETURNING k.db, k.name LOOP\n"
	"    lines := lines || $S.line('D', ARRAY[t.db, t.name]);\n"
	"  END LOOP;\n"
	"  FOR t IN SELECT x.oid, x.db, x.name, x.last, x.keyed, k.oid IS NULL AS new, k.last AS had,\n"
	"      k.db AS from_db, k.name AS from_name, k.rewritten, k.description AS was, $S.describe(x.oid) AS now\n"
	"      FROM $S.tables x LEFT JOIN $S.known k ON k.oid = x.oid\n"
	"      WHERE wide AND k.oid IS NOT NULL OR x.oid = ANY (ids || moved || filled || gone) ORDER BY x.oid LOOP\n"
	"    IF t.new AND NOT t.keyed THEN\n"
	"      lines := lines || $S.line('K', ARRAY[t.db, t.name]);\n"
	"      CONTINUE;\n"
	"    END IF;\n"
	/* With columns that are what they were, its parts can be said first, and are more than the
	 * table's changes tell; else the table has made what it can of them. */
	"    ahead := ARRAY(SELECT regexp_matches(t.was, E'^c\\t[^\\t]*\\t[^\\t]*\\t([^\\t]*\\t[^\\t]*)\\t', "
	"'gn')) = ARRAY(SELECT regexp_matches(t.now, E'^c\\t[^\\t]*\\t[^\\t]*\\t([^\\t]*\\t[^\\t]*)\\t', 'gn')) AND "
	"(t.from_db, t.from_name) = (t.db, t.name);\n"
	"    IF t.new OR t.oid = ANY (ids) OR format('%I.%I', t.db, t.name) = ANY (preset) THEN\n"
	"      FOR w IN SELECT * FROM $S.tell('pg_class'::regclass, t.oid, t.new AND $W, ahead IS FALSE) LOOP\n"
	"        others := others || $S.line(w.letter, ARRAY[t.db::text, t.name, t.db, (w.gone OR "
	"coalesce(ahead, false))::text, w.said]);\n"
	"      END LOOP;\n"
	"    END IF;\n"
	"    IF t.oid = ANY (gone) THEN\n"
	"      lines := lines || $S.line('G', ARRAY[t.db, t.name]) || t.now;\n"
	"    END IF;\n"
	"    CONTINUE WHEN t.was = t.now AND t.from_db = t.db AND t.from_name = t.name AND t.oid <> ALL (filled) AND NOT t.rewritten;\n"
	"    again := false;\n"
	"    IF t.new THEN\n"
	"      INSERT INTO $S.known VALUES (t.oid, t.db, t.name, t.last, t.now, false);\n"
	"      EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', t.db, t.name) INTO again;\n"
	"      lines := lines || $S.line('C', ARRAY[t.db, t.name, again::text]);\n"
	"    ELSE\n"
	"      UPDATE $S.known SET db = t.db, name = t.name, last = t.last, description = t.now, "
	"rewritten = false WHERE oid = t.oid;\n"
	"      IF t.from_db <> t.db OR t.from_name <> t.name THEN\n"
	"        EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', t.db, t.name) INTO again;\n"
	"        lines := lines || $S.line('R', ARRAY[t.from_db, t.from_name, t.db, t.name, again::text]);\n"
	"      ELSE\n"
	/* Rows that an expression has rewritten, or that came with a partition, are not in the
	 * log. */
	"        again := t.oid = ANY (filled) OR t.rewritten AND (said !~* '^\\s*alter\\s+table\\s' OR said ~* '\\musing\\M');\n"
	"        lines := lines || $S.line('A', ARRAY[t.db, t.name, again::text]);\n"
	"      END IF;\n"
	"    END IF;\n"
	"    lines := lines || t.now;\n";

/* Made as it is now: what has not been there, and what moves into the selection. */
static const char own_words[] =
	"    IF t.new OR t.from_db <> t.db OR t.from_name <> t.name THEN\n"
	"      lines := lines || $S.line('w', ARRAY[$S.define_table(t.oid)]);\n"
	"    END IF;\n";

/* A new column's constant is kept by the server from 11 on; before, it is computed here. */
static const char fills_by_catalog[] =
	"    FOR a IN SELECT attname, atthasdef, attidentity <> '' AS identity, CASE WHEN atthasmissing\n"
	"        THEN (attmissingval::text::text[])[1] END AS fill FROM pg_attribute WHERE attrelid = t.oid\n"
	"        AND attnum > coalesce(t.had, 32767) AND NOT attisdropped $G LOOP\n"
	"      lines := lines || $S.line('n', ARRAY[a.attname, a.fill, (a.fill IS NULL AND "
	"(a.atthasdef OR a.identity))::text]);\n"
	"    END LOOP;\n";

static const char fills_by_value[] =
	"    FOR a IN SELECT c.attname, pg_get_expr(d.adbin, d.adrelid) AS expression, $I AS identity FROM\n"
	"        pg_attribute c LEFT JOIN pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = c.attnum\n"
	"        WHERE c.attrelid = t.oid AND c.attnum > coalesce(t.had, 32767) AND NOT c.attisdropped LOOP\n"
	"      v := NULL;\n"
	"      IF a.expression = 'now()' OR replace(a.expression, '''', '') !~ '[(]|^CURRENT' THEN\n"
	"        EXECUTE 'SELECT (' || a.expression || ')::text' INTO v;\n"
	"      END IF;\n"
	"      lines := lines || $S.line('n', ARRAY[a.attname, v, (v IS NULL AND (a.expression IS "
	"NOT NULL OR a.identity))::text]);\n"
	"    END LOOP;\n";

static const char publish[] =
	"    FOR a IN SELECT DISTINCT s.channel FROM $S.selected s JOIN pg_publication p ON p.pubname = s.channel\n"
	"        WHERE t.keyed AND " SELECTS("t.db", "t.name") "\n"
	"        AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND "
	"r.prrelid = t.oid) LOOP\n"
	"      EXECUTE format('ALTER PUBLICATION %I ADD TABLE %I.%I', a.channel, t.db, t.name);\n"
	"    END LOOP;\n";

static const char capture_tail[] =
	"  END LOOP;\n"
	"  lines := lines || others;\n"
	"  IF lines <> '' THEN\n"
	"    INSERT INTO $S.ddl (tag, query, path, changes) VALUES (tag, said, path, lines) RETURNING n INTO m;\n"
	"    DELETE FROM $S.ddl WHERE n = m;\n"
	"  END IF;\n"
	"END $f$;\n"
	"CREATE OR REPLACE FUNCTION $S.note() RETURNS event_trigger LANGUAGE plpgsql AS $f$\n"
	"BEGIN\n"
	"  IF tg_event = 'sql_drop' THEN\n"
	"    IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary) "
	"THEN RETURN; END IF;\n"
	"  ELSIF tg_tag LIKE 'DROP %' THEN\n"
	"    RETURN;\n"
	"  END IF;\n"
	"  PERFORM $S.capture(tg_event, tg_tag, current_setting('search_path'));\n"
	"EXCEPTION WHEN OTHERS THEN\n"
	"  RAISE WARNING 'syncline could not note what this statement changes: %', SQLERRM;\n"
	"END $f$;\n"
	"CREATE OR REPLACE FUNCTION $S.note_rewrite() RETURNS event_trigger LANGUAGE plpgsql "
	"SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$\n"
	"BEGIN\n"
	"  UPDATE $S.known SET rewritten = true WHERE oid = $O AND pg_event_trigger_table_rewrite_reason() & 4 <> 0;\n"
	"END $f$;\n"
	"CREATE EVENT TRIGGER syncline_end ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE "
	"TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE INDEX', 'ALTER INDEX', 'CREATE SCHEMA', "
	"'ALTER SCHEMA', 'COMMENT'$E$R) EXECUTE PROCEDURE $S.note();\n"
	"CREATE EVENT TRIGGER syncline_drop ON sql_drop EXECUTE PROCEDURE $S.note();\n"
	"ALTER EVENT TRIGGER syncline_end ENABLE ALWAYS;\n"
	"ALTER EVENT TRIGGER syncline_drop ENABLE ALWAYS;\n"
	"CREATE EVENT TRIGGER syncline_rewrite ON table_rewrite EXECUTE PROCEDURE $S.note_rewrite();\n"
	"ALTER EVENT TRIGGER syncline_rewrite ENABLE ALWAYS;\n"
	"INSERT INTO $S.known SELECT oid, db, name, last, $S.describe(oid), false FROM $S.tables WHERE keyed;\n";

/* What stands beside tables: what is dropped, those that need it first; else what has become of it.
 */
static const char others[] =
	"  IF drops THEN\n"
	"    FOR a IN SELECT k.*, d.object_identity AS this, d.original, r.db AS of_db, r.name AS of_name, "
	"EXISTS (SELECT FROM pg_class c WHERE c.oid = r.oid) AS stays FROM "
	"pg_event_trigger_dropped_objects() WITH ORDINALITY d JOIN $S.objects k ON k.class = "
	"d.classid AND k.id = d.objid LEFT JOIN $S.known r ON r.oid = k.root AND k.root <> k.id WHERE "
	"d.objsubid = 0 ORDER BY d.ordinality DESC LOOP\n"
	"      DELETE FROM $S.objects k WHERE k.class = a.class AND k.id = a.id;\n"
	"      DELETE FROM $S.parts k WHERE k.class = a.class AND k.id = a.id;\n"
	/* Those of columns go with them. */
	"      CONTINUE WHEN a.kind = 'SEQUENCE' AND NOT a.original OR a.kind = 'TABLE' AND NOT a.stays;\n"
	"      others := others || $S.line('S', ARRAY[coalesce(a.of_db, a.db)::text, coalesce(a.of_name, ''), "
	"a.db, 't', format('DROP %s IF EXISTS %s', a.kind, a.this)]);\n"
	"      IF a.kind = 'TABLE' THEN gone := gone || a.root; END IF;\n"
	"    END LOOP;\n"
	"    SELECT array_agg(p.class), array_agg(p.id) INTO classes, ids FROM $S.parts p JOIN "
	"pg_event_trigger_dropped_objects() d ON p.key IN ('index ' || d.objid, 'trigger ' || d.objid);\n"
	"  END IF;\n"
	"  IF tag = 'ALTER PUBLICATION' THEN\n"
	"    FOR a IN SELECT DISTINCT p.pubname, k.db, k.name FROM $S.selected s JOIN pg_publication p "
	"ON p.pubname = s.channel JOIN $S.known k ON " SELECTS("k.db", "k.name")
	" JOIN $S.tables x ON x.oid = k.oid AND x.db = k.db AND x.name = k.name AND x.keyed JOIN "
	"pg_class c ON c.oid = k.oid WHERE NOT ($L) LOOP\n"
	"      lines := lines || $S.line('P', ARRAY[a.db::text, a.name, a.pubname]);\n"
	"    END LOOP;\n"
	"  END IF;\n";

/* Partitions, of the table at the root: those that came, with rows or without, and those that went
 * and stand for themselves now. One that is made of a table brings those below it. */
static const char partitions[] =
	"  SELECT coalesce(array_agg(DISTINCT r.root), '{}') INTO roots FROM (SELECT pg_partition_root(i) "
	"AS root FROM unnest(ids) i) r JOIN pg_class c ON c.oid = r.root AND c.relkind = 'p';\n"
	"  FOR a IN SELECT k.*, r.db AS of_db, r.name AS of_name, n.root AS now, k.parent::regclass AS was FROM "
	"$S.objects k JOIN $S.named n ON n.class = k.class AND n.id = k.id LEFT JOIN $S.known r ON r.oid = k.root WHERE k.kind = "
	"'TABLE' AND k.root = ANY (roots) AND n.root <> k.root ORDER BY k.id LOOP\n"
	"    UPDATE $S.objects SET root = a.now WHERE class = a.class AND id = a.id;\n"
	"    CONTINUE WHEN a.now <> a.id;\n"
	"    DELETE FROM $S.objects WHERE class = a.class AND id = a.id;\n"
	"    DELETE FROM $S.parts WHERE class = a.class AND id = a.id;\n"
	"    moved := moved || a.id;\n"
	"    CONTINUE WHEN a.of_db IS NULL;\n"
	"    gone := gone || a.root;\n"
	"    others := others || $S.line('S', ARRAY[a.of_db::text, a.of_name, a.of_db, 't', format('ALTER TABLE "
	"%s DETACH PARTITION %I.%I', a.was, a.db, a.name)]);\n"
	"  END LOOP;\n"
	"  FOR a IN SELECT n.*, r.db AS of_db, r.name AS of_name, k.id IS NULL AS new, k.db AS from_db, k.name "
	"AS from_name, p.parentrelid = n.root OR EXISTS (SELECT FROM $S.objects x WHERE x.class = n.class AND "
	"x.id = p.parentrelid) AS first, p.parentrelid AS parent FROM unnest(roots) q (root) CROSS JOIN LATERAL "
	"pg_partition_tree(q.root) p JOIN $S.named n ON n.class = 'pg_class'::regclass AND n.id = p.relid LEFT "
	"JOIN $S.known r ON r.oid = q.root LEFT JOIN $S.objects k ON k.class = n.class AND k.id = n.id WHERE "
	"p.level > 0 AND (k.id IS NULL OR n.id = ANY (ids)) ORDER BY p.level, n.id LOOP\n"
	"    INSERT INTO $S.objects VALUES (a.class, a.id, a.kind, a.db, a.name, a.root, a.parent) ON CONFLICT (class, "
	"id) DO UPDATE SET db = excluded.db, name = excluded.name;\n"
	"    IF a.new THEN\n"
	"      DELETE FROM $S.parts WHERE class = a.class AND id = a.id;\n"
	"      v := CASE WHEN a.first THEN $S.define_table(a.id) END;\n"
	/* Foreign keys that the whole has, too, come with it. */
	"      IF v <> '' AND a.of_db IS NOT NULL AND EXISTS (SELECT FROM $S.known k WHERE k.oid = a.id) THEN\n"
	"        others := others || $S.line('S', ARRAY[a.of_db::text, a.of_name, a.of_db, 't', (SELECT "
	"coalesce((SELECT string_agg(format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I; ', a.db, a.name, "
	"k.conname), '') FROM pg_constraint k WHERE k.conrelid = a.id AND k.contype = 'f' AND k.conparentid <> 0), '') || "
	"format('ALTER TABLE %s ATTACH PARTITION %I.%I %s', a.parent::regclass, a.db, a.name, "
	"pg_get_expr(c.relpartbound, c.oid)) FROM pg_class c WHERE c.oid = a.id)]);\n"
	"      END IF;\n"
	"      EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', a.db, a.name) INTO again;\n"
	"      IF again THEN filled := filled || a.root; END IF;\n"
	"    ELSE\n"
	"      v := concat_ws('; ', CASE WHEN a.db <> a.from_db THEN format('ALTER TABLE %I.%I SET SCHEMA %I', "
	"a.from_db, a.from_name, a.db) END, CASE WHEN a.name <> a.from_name THEN format('ALTER TABLE %I.%I "
	"RENAME TO %I', a.db, a.from_name, a.name) END);\n"
	"    END IF;\n"
	"    IF v <> '' AND a.of_db IS NOT NULL THEN\n"
	"      others := others || $S.line('S', ARRAY[a.of_db::text, a.of_name, a.of_db, 'f', v]);\n"
	"    END IF;\n"
	"    FOR w IN SELECT * FROM $S.tell(a.class, a.id, a.new, false) LOOP\n"
	"      CONTINUE WHEN a.of_db IS NULL;\n"
	"      others := others || $S.line(w.letter, ARRAY[a.of_db::text, a.of_name, a.of_db, w.gone::text, w.said]);\n"
	"    END LOOP;\n";

/* What is neither. */
static const char others_rest[] =
	"  FOR a IN SELECT n.*, k.id IS NULL AS new, k.db AS from_db, k.name AS from_name, "
	"u.at FROM unnest(classes, ids) WITH ORDINALITY u (class, id, at) JOIN $S.named n ON n.class = u.class "
	"AND n.id = u.id LEFT JOIN $S.objects k ON k.class = n.class AND k.id = n.id WHERE n.kind <> "
	"'TABLE' UNION ALL SELECT n.*, false, k.db, k.name, 0 FROM $S.objects k JOIN $S.named n ON "
	"n.class = k.class AND n.id = k.id WHERE tag = 'ALTER SCHEMA' AND n.db <> k.db ORDER BY at LOOP\n"
	"    INSERT INTO $S.objects VALUES (a.class, a.id, a.kind, a.db, a.name, a.root) ON CONFLICT (class, "
	"id) DO UPDATE SET db = excluded.db, name = excluded.name;\n"
	/* Columns of tables have the type's new name, which is to be there before they are asked.
	 */
	"    v := a.class = 'pg_type'::regclass;\n"
	"    wide := wide OR v::boolean AND (a.db, a.name) <> (a.from_db, a.from_name);\n"
	"    IF a.db <> a.from_db THEN\n"
	"      others := others || $S.line('S', ARRAY[a.from_db::text, '', a.db, v, format('ALTER %s "
	"%I.%I%s SET SCHEMA %I', a.kind, a.from_db, a.from_name, a.args, a.db)]);\n"
	"    END IF;\n"
	"    IF a.name <> a.from_name THEN\n"
	"      others := others || $S.line('S', ARRAY[a.db::text, '', a.db, v, format('ALTER %s "
	"%I.%I%s RENAME TO %I', a.kind, a.db, a.from_name, a.args, a.name)]);\n"
	"    END IF;\n"
	"    v := $S.define(a.class, a.id);\n"
	"    IF a.db <> a.from_db AND v IS NOT NULL THEN\n"
	"      others := others || $S.line('S', ARRAY[a.db::text, '', a.db, 'f', v]);\n"
	"    END IF;\n"
	"    FOR w IN SELECT * FROM $S.tell(a.class, a.id, a.new, false) LOOP\n"
	"      others := others || $S.line(w.letter, ARRAY[a.db::text, '', a.db, 'f', w.said]);\n"
	"    END LOOP;\n"
	/* Nobody else has asked it for a number since. */
	"    IF tag = 'ALTER SEQUENCE' THEN\n"
	"      EXECUTE format('SELECT format(''SELECT pg_catalog.setval(%%L::regclass, %%s, %%L)'', "
	"%L, last_value, is_called) FROM %1$s', format('%I.%I', a.db, a.name)) INTO v;\n"
	"      others := others || $S.line('S', ARRAY[a.db::text, '', a.db, 'f', v]);\n"
	"    END IF;\n"
	"  END LOOP;\n";

static const char other_tags[] =
	", 'CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW', "
	"'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE SEQUENCE', 'ALTER SEQUENCE', 'CREATE TYPE', "
	"'ALTER TYPE', 'CREATE DOMAIN', 'ALTER DOMAIN', 'ALTER PUBLICATION', 'CREATE TRIGGER', 'ALTER TRIGGER'";
/* clang-format on */

/* ---- the statements ---- */

void
note_put(struct buf *b, const char *text, const struct note_word *words, size_t n)
{
	while (*text != '\0') {
		size_t i = 0;

		while (i < n && strncmp(text, words[i].name, 2) != 0)
			i++;
		if (i < n) {
			buf_puts(b, words[i].text);
			text += 2;
		} else {
			buf_putc(b, *text++);
		}
	}
}

/* A table's parts, each row a line; its number is $1. */
static void
put_describe(struct buf *b, int version, const char *schema)
{
	static const char letters[] = {
		[PGSQL_COLUMNS] = 'c', [PGSQL_INDEXES] = 'i', [PGSQL_FKS] = 'f'};

	buf_printf(b,
		"CREATE OR REPLACE FUNCTION %s.describe(oid) RETURNS text LANGUAGE sql STABLE AS "
		"$f$ SELECT ''",
		schema);
	for (unsigned part = 0; part < PGSQL_PARTS; part++) {
		buf_printf(b,
			" || coalesce((SELECT string_agg(%s.line('%c', ARRAY(SELECT value FROM "
			"json_each_text(row_to_json(q)))), '') FROM (",
			schema, letters[part]);
		pgsql_part_query(part, version, "c.oid = $1", b);
		buf_puts(b, ") q), '')");
	}
	buf_puts(b, "$f$;\n");
}

static void
make_sql(struct pgsql_source *s, struct buf *b)
{
	int version = s->main.version;
	bool beside = version >= 100000;
	struct buf schema, literal, published, looks;

	buf_init(&looks);
	pgsql_put_looks(&looks);
	buf_init(&schema);
	buf_init(&literal);
	buf_init(&published);
	pgsource_put_published(&published, version);
	pgsql_quote_name(&schema, conf_str(s->env.conf, "state_schema"));
	pgsql_quote_text(&literal, conf_str(s->env.conf, "state_schema"));
	const struct note_word words[] = {
		{"$S", buf_text(&schema)},
		{"$T", buf_text(&literal)},
		{"$L", buf_text(&published)},
		{"$V", buf_text(&looks)},
		{"$H", pgsource_has_identity(version)},
		{"$P", beside ? "NOT c.relispartition AND" : ""},
		{"$O", version >= 120000 ? "coalesce(pg_partition_root(pg_event_trigger_table_"
					   "rewrite_oid()), "
					   "pg_event_trigger_table_rewrite_oid())"
					 : "pg_event_trigger_table_rewrite_oid()"},
		{"$G", version >= 120000 ? "AND attgenerated = ''" : ""},
		{"$I", beside ? "c.attidentity <> ''" : "false"},
		{"$E", beside ? other_tags : ""},
		{"$W", beside ? "true" : "false"},
		{"$R", version >= 110000
				? ", 'CREATE PROCEDURE', 'ALTER PROCEDURE', 'ALTER ROUTINE'"
				: ""},
	};

	note_put(b, objects, words, COUNT_OF(words));
	put_describe(b, version, buf_text(&schema));
	note_parts(b, version, buf_text(&schema), buf_text(&literal));
	note_put(b, note_truncate_sql(s), words, COUNT_OF(words));
	note_put(b, capture_head, words, COUNT_OF(words));
	if (beside)
		note_put(b, others, words, COUNT_OF(words));
	if (version >= 120000) {
		note_put(b, partitions, words, COUNT_OF(words));
		note_put(b, note_truncate_partition(s), words, COUNT_OF(words));
		buf_puts(b, "  END LOOP;\n");
	}
	if (beside)
		note_put(b, others_rest, words, COUNT_OF(words));
	note_put(b, capture_tables, words, COUNT_OF(words));
	note_put(b, version >= 110000 ? fills_by_catalog : fills_by_value, words, COUNT_OF(words));
	if (beside) {
		note_put(b, own_words, words, COUNT_OF(words));
		note_put(b, publish, words, COUNT_OF(words));
	}
	note_put(b, note_truncate_new(s), words, COUNT_OF(words));
	note_put(b, capture_tail, words, COUNT_OF(words));
	buf_release(&schema);
	buf_release(&literal);
	buf_release(&published);
	buf_release(&looks);
}

/* ---- at the source ---- */

static enum rc
is_installed(struct pgsql_source *s, const char *stamp, bool *there, struct err *e)
{
	char *found = NULL;
	struct buf schema;
	enum rc rc;

	buf_init(&schema);
	pgsql_quote_text(&schema, conf_str(s->env.conf, "state_schema"));
	rc = pgsql_value(&s->main, &found, e,
		"SELECT obj_description(p.oid, 'pg_proc') FROM pg_proc p JOIN pg_namespace n ON "
		"n.oid = p.pronamespace WHERE p.proname = 'capture' AND n.nspname = %s AND (SELECT "
		"count(*) FROM pg_event_trigger WHERE evtname LIKE 'syncline\\_%%' AND evtenabled "
		"<> 'D') = 3",
		buf_text(&schema));
	*there = found != NULL && strcmp(found, stamp) == 0;
	free(found);
	buf_release(&schema);
	return rc;
}

static enum rc
install(struct pgsql_source *s, const char *sql, const char *stamp, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	/* One transaction, one of us at a time. */
	buf_printf(&b,
		"SELECT pg_advisory_xact_lock(hashtext('syncline'));\n%sCOMMENT ON FUNCTION ", sql);
	pgsql_quote_table(&b, conf_str(s->env.conf, "state_schema"), "capture");
	buf_printf(&b, "(text, text, text) IS '%s'", stamp);
	rc = pgsql_exec(&s->main, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

static void
say_unnoted(const char *why)
{
	log_info("%s: statements that change tables are seen by the rows that follow, new and "
		 "dropped tables are not",
		why);
}

#define NO_RIGHT "42501"

enum rc
note_install(struct pgsql_source *s, bool *there, struct err *e)
{
	char stamp[24];
	struct buf sql;
	enum rc rc;

	*there = false;
	if (s->main.version < 90500) {
		say_unnoted("before PostgreSQL 9.5 an event trigger is not told what was done");
		return RC_OK;
	}
	buf_init(&sql);
	make_sql(s, &sql);
	snprintf(stamp, sizeof stamp, "%016" PRIx64, (uint64_t)XXH3_64bits(sql.data, sql.len));
	rc = is_installed(s, stamp, there, e);
	if (rc == RC_OK && !*there) {
		rc = install(s, buf_text(&sql), stamp, e);
		*there = rc == RC_OK;
		if (rc == RC_CONFIG && pgsql_is(&s->main, NO_RIGHT)) {
			say_unnoted("the source account may not make an event trigger");
			rc = RC_OK;
		}
	}
	buf_release(&sql);
	return rc;
}

/* * and ? as LIKE has them. */
static void
put_pattern(struct buf *b, const char *glob)
{
	struct buf like;

	buf_init(&like);
	for (const char *p = glob != NULL ? glob : "*"; *p != '\0'; p++) {
		if (strchr("%_\\", *p) != NULL)
			buf_putc(&like, '\\');
		buf_putc(&like, *p == '*' ? '%' : *p == '?' ? '_' : *p);
	}
	pgsql_quote_text(b, buf_text(&like));
	buf_release(&like);
}

static void
put_deselect(struct pgsql_source *s, struct buf *b)
{
	buf_puts(b, "DELETE FROM ");
	pgsql_quote_table(b, conf_str(s->env.conf, "state_schema"), "selected");
	buf_printf(b, " WHERE channel = '%s';", s->name);
}

enum rc
note_deselect(struct pgsql_source *s, struct err *e)
{
	char *there = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_text(&b, conf_str(s->env.conf, "state_schema"));
	rc = pgsql_value(&s->main, &there, e,
		"SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = '%s'", buf_text(&b),
		s->main.version >= 110000 ? "selected" : "watching");
	buf_clear(&b);
	put_deselect(s, &b);
	if (rc == RC_OK && there != NULL)
		rc = pgsql_exec(&s->main, buf_text(&b), e);
	if (rc == RC_OK && there != NULL)
		rc = note_truncates(s, true, e);
	free(there);
	buf_release(&b);
	return rc;
}

enum rc
note_selection(struct pgsql_source *s, struct err *e)
{
	const char *schema = conf_str(s->env.conf, "state_schema");
	size_t n = conf_count(s->env.conf, "objects");
	struct buf b;
	enum rc rc;

	buf_init(&b);
	put_deselect(s, &b);
	for (size_t i = 0; i < n; i++) {
		const char *exclude = conf_strf(s->env.conf, "objects[%zu].exclude", i);

		buf_puts(&b, "INSERT INTO ");
		pgsql_quote_table(&b, schema, "selected");
		buf_printf(&b, " VALUES ('%s', %s, ", s->name,
			exclude != NULL && strcmp(exclude, "true") == 0 ? "true" : "false");
		put_pattern(&b, conf_strf(s->env.conf, "objects[%zu].database", i));
		buf_puts(&b, ", ");
		put_pattern(&b, conf_strf(s->env.conf, "objects[%zu].table", i));
		buf_puts(&b, ");");
	}
	rc = pgsql_exec(&s->main, buf_text(&b), e);
	if (rc == RC_OK)
		rc = note_truncates(s, false, e);
	buf_release(&b);
	return rc;
}
