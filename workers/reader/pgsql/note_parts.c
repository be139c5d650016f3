/*
 * note_parts.c - what the event trigger at the source knows of objects, so that it can tell what a
 * statement has made of them; see note.h.
 *
 * An object is its parts: itself, its columns, labels, constraints, defaults,
 * comments. A part has a key, which stays when its name does not; a state; and
 * the statements that make it, change it to what it is now, rename it, take it
 * away. What the statements before have left is kept beside that (`parts`):
 * what is new is made, what has another name is renamed, what has another state
 * is changed, what is gone is taken away. A new object that is no table is made
 * whole, in the words of definitions.h. So it does not matter what the statement was.
 *
 * In these statements %1$s is the object, %2$ the part's name before, %3$ its name now.
 */
#include "common/compat.h"

#include <stdlib.h>

#include "common/pgsql/words.h"
#include "workers/reader/pgsql/definitions.h"
#include "workers/reader/pgsql/note.h"

/* $S: the schema, quoted; $T: it as a literal. */

/* clang-format off */
static const char kept[] =
	"DROP TABLE IF EXISTS $S.objects;\n"
	"CREATE TABLE $S.objects (class oid NOT NULL, id oid NOT NULL, kind text NOT NULL, db name NOT "
	"NULL, name name NOT NULL, root oid NOT NULL, parent oid, PRIMARY KEY (class, id));\n"
	"CREATE INDEX ON $S.objects (root);\n"
	"CREATE TABLE IF NOT EXISTS $S.parts (class oid NOT NULL, id oid NOT NULL, key text NOT NULL, "
	"name text NOT NULL, state text NOT NULL, unmake text, PRIMARY KEY (class, id, key));\n"
	"CREATE INDEX IF NOT EXISTS parts_key ON $S.parts (key);\n";

#define USERS "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $T)"
#define OWN(class, id) \
	"NOT EXISTS (SELECT FROM pg_depend x WHERE x.deptype = 'e' AND x.classid = '" class \
	"'::regclass AND x.objid = " id ")"

/* Whatever has parts; a partition is of the table at its root. */
static const char named_tables[] =
	"CREATE OR REPLACE VIEW $S.named AS SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, "
	"CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN "
	"'SEQUENCE' ELSE 'TABLE' END AS kind, n.nspname AS db, c.relname AS name, ''::text AS args, $R AS root "
	"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ($K) AND "
	"c.relpersistence <> 't' AND " USERS " AND " OWN("pg_class", "c.oid");

static const char named_others[] =
	" UNION ALL SELECT 'pg_type'::regclass, t.oid, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE "
	"'TYPE' END, n.nspname, t.typname, '', t.oid FROM pg_type t JOIN pg_namespace n ON n.oid = "
	"t.typnamespace LEFT JOIN pg_class tc ON tc.oid = t.typrelid WHERE t.typtype IN ('e', 'c', "
	"'d', 'r') AND (t.typrelid = 0 OR tc.relkind = 'c') AND " USERS " AND "
	OWN("pg_type", "t.oid") " UNION ALL SELECT 'pg_proc'::regclass, p.oid, $F, n.nspname, "
	"p.proname, '(' || pg_get_function_identity_arguments(p.oid) || ')', p.oid FROM pg_proc p JOIN "
	"pg_namespace n ON n.oid = p.pronamespace WHERE NOT $A AND " USERS " AND "
	OWN("pg_proc", "p.oid");

/* The SELECTs of a part: at, key, name, state, make, change, rename, unmake; o is the object. */
static const char parts_head[] =
	"CREATE OR REPLACE FUNCTION $S.parts_of(oid, oid) RETURNS TABLE (at int, key text, name text, "
	"state text, make text, change text, renames text, unmake text) LANGUAGE sql STABLE AS $f$ "
	"WITH o AS (SELECT *, format('%I.%I%s', db, name, args) AS this FROM $S.named WHERE class = "
	"$1 AND id = $2) ";

/* What columns get that nothing is said of; with another type, once more. */
static const char parts_of_tables[] =
	"SELECT 30 AS at, 'default ' || a.attnum AS key, ''::text AS name, coalesce(format_type(a.atttypid, a.atttypmod) || ' ' || d.text, '') AS state, "
	"'ALTER TABLE ' || o.this || format(' ALTER COLUMN %I SET DEFAULT ', a.attname) || d.text AS "
	"make, 'ALTER TABLE ' || o.this || format(' ALTER COLUMN %I ', a.attname) || coalesce('SET "
	"DEFAULT ' || d.text, 'DROP DEFAULT') AS change, NULL::text AS renames, NULL::text AS unmake "
	"FROM o JOIN pg_attribute a ON a.attrelid = o.id AND a.attnum > 0 AND NOT a.attisdropped LEFT "
	"JOIN LATERAL (SELECT pg_get_expr(e.adbin, e.adrelid) AS text FROM pg_attrdef e WHERE "
	"e.adrelid = a.attrelid AND e.adnum = a.attnum) d ON true WHERE o.kind IN ('TABLE', 'VIEW') "
	"AND NOT ($C) $G "
	/* What no column tells of a table, and a partition has for itself. */
	"UNION ALL SELECT 24, 'constraint ' || k.oid, k.conname, pg_get_constraintdef(k.oid), format('ALTER TABLE %s ADD "
	"CONSTRAINT %I ', o.this, k.conname) || pg_get_constraintdef(k.oid), NULL, 'ALTER TABLE %1$s "
	"RENAME CONSTRAINT %2$I TO %3$I', 'ALTER TABLE %1$s DROP CONSTRAINT IF EXISTS %2$I' || CASE WHEN "
	"k.contype IN ('p', 'u') THEN '; DROP INDEX IF EXISTS ' || replace(quote_ident(o.db), '%', '%%') || "
	"'.%2$I' ELSE '' END FROM o JOIN pg_constraint k ON k.conrelid = o.id AND k.conislocal AND "
	"k.coninhcount = 0 AND k.convalidated AND k.contype IN ('c', 'x', 'p', 'u') WHERE o.kind = 'TABLE' "
	/* What its columns have that nothing else tells: another type takes the collation away. */
	"UNION ALL SELECT 4, 'collation ' || a.attnum, '', CASE WHEN y.text <> '' THEN y.type || y.text ELSE '' "
	"END, CASE WHEN y.text <> '' THEN z.text END, z.text, NULL, NULL FROM o JOIN pg_attribute a ON "
	"a.attrelid = o.id AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid AND "
	"t.typcollation <> 0 CROSS JOIN LATERAL (SELECT format_type(a.atttypid, a.atttypmod) AS type, "
	"coalesce((SELECT format(' COLLATE %I.%I', l.nspname, w.collname) FROM pg_collation w JOIN "
	"pg_namespace l ON l.oid = w.collnamespace WHERE w.oid = a.attcollation AND w.oid <> "
	"t.typcollation), '') AS text) y CROSS JOIN LATERAL (SELECT format('ALTER TABLE %s ALTER COLUMN %I "
	"TYPE %s%s', o.this, a.attname, y.type, y.text) AS text) z WHERE o.kind = 'TABLE' AND o.root = o.id "
	"AND $N "
	"UNION ALL SELECT 5, 'generated ' || a.attnum, a.attname, coalesce(y.type || y.text || a.attnotnull, ''), CASE WHEN y.type IS NOT NULL THEN format('ALTER "
	"TABLE %s ADD COLUMN %I %s GENERATED ALWAYS AS (%s) STORED%s', o.this, a.attname, y.type, y.text, CASE "
	"WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END) END, format('ALTER TABLE %s ALTER COLUMN %I ', o.this, "
	"a.attname) || coalesce('TYPE ' || y.type || format(', ALTER COLUMN %I ', a.attname) || CASE WHEN a.attnotnull THEN 'SET' ELSE 'DROP' END || ' NOT NULL', 'DROP EXPRESSION IF EXISTS'), NULL, CASE WHEN y.type IS NOT NULL THEN 'ALTER "
	"TABLE %1$s DROP COLUMN IF EXISTS %2$I' END FROM o JOIN pg_attribute a ON a.attrelid = o.id AND "
	"a.attnum > 0 AND NOT a.attisdropped LEFT JOIN LATERAL (SELECT format_type(a.atttypid, a.atttypmod) AS "
	"type, pg_get_expr(d.adbin, d.adrelid) AS text FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND "
	"d.adnum = a.attnum AND NOT ($N)) y ON true WHERE o.kind = 'TABLE' AND o.root = o.id AND a.attislocal "
	"UNION ALL SELECT 6, 'identity', '', coalesce(y.text, ''), NULL, format('ALTER TABLE %s REPLICA IDENTITY "
	"', o.this) || y.text, NULL, NULL FROM o JOIN pg_class r ON r.oid = o.id CROSS JOIN LATERAL (SELECT CASE "
	"r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'DEFAULT' END AS text) y WHERE "
	"o.kind = 'TABLE' "
	/* Plain ones of a table are among what is told of the table itself, but for its generated
	 * columns. */
	"UNION ALL SELECT 23, 'index ' || x.indexrelid, r.relname, pg_get_indexdef(x.indexrelid), "
	"regexp_replace(pg_get_indexdef(x.indexrelid), ' ON ONLY ', ' ON '), NULL, CASE WHEN NOT "
	"y.plain THEN 'ALTER INDEX ' || y.schema || '.%2$I RENAME TO %3$I' END, CASE WHEN NOT y.plain "
	"THEN 'DROP INDEX IF EXISTS ' || y.schema || '.%2$I' END FROM o JOIN pg_index x ON x.indrelid "
	"= o.id AND x.indisvalid JOIN pg_class r ON r.oid = x.indexrelid CROSS JOIN LATERAL (SELECT "
	"replace(quote_ident(o.db), '%', '%%') AS schema, o.kind = 'TABLE' AND o.root = o.id AND "
	"x.indpred IS NULL AND x.indexprs IS NULL $Q AS plain) y WHERE o.kind IN ('TABLE', 'MATERIALIZED "
	"VIEW') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND "
	"d.objid = x.indexrelid AND d.refclassid = 'pg_constraint'::regclass AND d.deptype = 'i') AND "
	"NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = "
	"x.indexrelid) "
	"UNION ALL SELECT 31, 'not null ' || a.attnum, '', a.attnotnull::text, NULL, format('ALTER "
	"TABLE %s ALTER COLUMN %I ', o.this, a.attname) || CASE WHEN a.attnotnull THEN 'SET' ELSE "
	"'DROP' END || ' NOT NULL', NULL, NULL FROM o JOIN pg_attribute a ON a.attrelid = o.id AND "
	"a.attnum > 0 AND NOT a.attisdropped WHERE o.kind = 'TABLE' AND o.root <> o.id "
	"UNION ALL SELECT 50, 'trigger ' || g.oid, g.tgname, y.text, y.text, format('DROP TRIGGER IF "
	"EXISTS %I ON %s; ', g.tgname, o.this) || y.text, 'ALTER TRIGGER %2$I ON %1$s RENAME TO %3$I', "
	"'DROP TRIGGER IF EXISTS %2$I ON %1$s' FROM o JOIN pg_class c ON c.oid = o.id JOIN pg_namespace "
	"n ON n.oid = c.relnamespace JOIN pg_trigger g ON g.tgrelid = c.oid AND $X CROSS JOIN LATERAL "
	"(SELECT " CREATE_TRIGGER " AS text) y WHERE o.kind IN ('TABLE', 'VIEW') "
	/* Of the object, its columns, indexes and constraints. */
	"UNION ALL SELECT 40, concat_ws(' ', 'comment', c.class, c.id, c.sub), '', coalesce(c.text, "
	"''), 'COMMENT ON ' || c.what || ' IS ' || quote_literal(c.text), 'COMMENT ON ' || c.what || "
	"' IS ' || coalesce(quote_literal(c.text), 'NULL'), NULL, NULL FROM (SELECT o.class, o.id, 0 "
	"AS sub, o.kind || ' ' || o.this AS what, obj_description(o.id, CASE o.class WHEN "
	"'pg_class'::regclass THEN 'pg_class' WHEN 'pg_type'::regclass THEN 'pg_type' ELSE 'pg_proc' "
	"END) AS text FROM o UNION ALL SELECT 'pg_class'::regclass, a.attrelid, a.attnum, format('COLUMN %s.%I', "
	"o.this, a.attname), col_description(a.attrelid, a.attnum) FROM o JOIN pg_attribute a ON a.attrelid = CASE o.kind "
	"WHEN 'TYPE' THEN (SELECT t.typrelid FROM pg_type t WHERE t.oid = o.id) ELSE o.id END AND "
	"a.attnum > 0 AND NOT a.attisdropped WHERE o.kind = 'TYPE' OR o.kind LIKE '%VIEW' OR o.kind = "
	"'TABLE' UNION ALL SELECT 'pg_class'::regclass, x.indexrelid, 0, "
	"format('INDEX %I.%I', o.db, r.relname), obj_description(x.indexrelid, 'pg_class') FROM o JOIN "
	"pg_index x ON x.indrelid = o.id JOIN pg_class r ON r.oid = x.indexrelid WHERE o.class = "
	"'pg_class'::regclass UNION ALL SELECT 'pg_constraint'::regclass, k.oid, 0, format('CONSTRAINT %I ON %s%s', "
	"k.conname, CASE o.kind WHEN 'DOMAIN' THEN 'DOMAIN ' ELSE '' END, o.this), "
	"obj_description(k.oid, 'pg_constraint') FROM o JOIN pg_constraint k ON k.conrelid = "
	"o.id AND o.kind = 'TABLE' OR k.contypid = o.id AND o.kind = 'DOMAIN') c ";

static const char parts_of_others[] =
	"UNION ALL SELECT 0, 'column ' || a.attnum, a.attname, '', NULL, NULL, 'ALTER TABLE %1$s RENAME "
	"COLUMN %2$I TO %3$I', NULL FROM o JOIN pg_attribute a ON a.attrelid = o.id AND a.attnum > 0 "
	"WHERE o.kind LIKE '%VIEW' "
	"UNION ALL SELECT 0, 'column ' || a.attnum, a.attname, y.text, format('ALTER TYPE %s ADD "
	"ATTRIBUTE %I ', o.this, a.attname) || y.text || ' CASCADE', format('ALTER TYPE %s ALTER "
	"ATTRIBUTE %I TYPE ', o.this, a.attname) || y.text || ' CASCADE', 'ALTER TYPE %1$s RENAME "
	"ATTRIBUTE %2$I TO %3$I CASCADE', 'ALTER TYPE %1$s DROP ATTRIBUTE IF EXISTS %2$I CASCADE' FROM "
	"o JOIN pg_type z ON z.oid = o.id JOIN pg_class r ON r.oid = z.typrelid AND r.relkind = 'c' JOIN pg_attribute a ON a.attrelid = "
	"r.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid CROSS JOIN "
	"LATERAL (SELECT format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attcollation <> 0 AND "
	"a.attcollation <> t.typcollation THEN (SELECT format(' COLLATE %I.%I', l.nspname, w.collname) "
	"FROM pg_collation w JOIN pg_namespace l ON l.oid = w.collnamespace WHERE w.oid = "
	"a.attcollation) ELSE '' END AS text) y WHERE o.class = 'pg_type'::regclass "
	"UNION ALL SELECT (10 + row_number() OVER (ORDER BY m.enumsortorder))::int, 'label ' || m.oid, "
	"m.enumlabel, '', format('ALTER TYPE %s ADD VALUE IF NOT EXISTS %L%s', o.this, m.enumlabel, "
	"coalesce(' AFTER ' || "
	"quote_literal(lag(m.enumlabel) OVER (ORDER BY m.enumsortorder)), ' BEFORE ' || "
	"quote_literal(lead(m.enumlabel) OVER (ORDER BY m.enumsortorder)), '')), NULL, 'ALTER TYPE %1$s "
	"RENAME VALUE %2$L TO %3$L', NULL FROM o JOIN pg_enum m ON m.enumtypid = o.id WHERE o.class = "
	"'pg_type'::regclass "
	"UNION ALL SELECT 1, 'constraint ' || k.oid, k.conname, '', format('ALTER DOMAIN %s ADD "
	"CONSTRAINT %I ', o.this, k.conname) || pg_get_constraintdef(k.oid), NULL, 'ALTER DOMAIN %1$s "
	"RENAME CONSTRAINT %2$I TO %3$I', 'ALTER DOMAIN %1$s DROP CONSTRAINT IF EXISTS %2$I' FROM o "
	"JOIN pg_constraint k ON k.contypid = o.id AND k.contype = 'c' AND k.convalidated WHERE o.kind "
	"= 'DOMAIN' "
	"UNION ALL SELECT 2, x.key, '', x.text, NULL, 'ALTER DOMAIN ' || o.this || x.text, NULL, NULL "
	"FROM o JOIN pg_type t ON t.oid = o.id CROSS JOIN LATERAL (VALUES ('default', coalesce(' SET "
	"DEFAULT ' || t.typdefault, ' DROP DEFAULT')), ('not null', CASE WHEN t.typnotnull THEN ' SET' "
	"ELSE ' DROP' END || ' NOT NULL')) x (key, text) WHERE o.kind = 'DOMAIN' "
	"UNION ALL SELECT 20, '', '', coalesce(y.text, ''), CASE o.kind WHEN 'SEQUENCE' THEN "
	/* (that of a column that is not there comes with its table) */
	"(SELECT $S.define(o.class, o.id) || coalesce(string_agg(format('ALTER SEQUENCE %s OWNED BY %s.%I', "
	"o.this, d.refobjid::regclass, a.attname), ''), '') FROM pg_depend d JOIN pg_attribute a ON a.attrelid = "
	"d.refobjid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = o.id AND "
	"d.deptype = 'a' HAVING bool_and(d.refobjid IN (SELECT k.oid FROM $S.known k)) IS NOT FALSE) ELSE coalesce(y.text, $S.define(o.class, o.id)) END, y.text, NULL, "
	"NULL FROM o LEFT JOIN pg_sequence q ON o.class = 'pg_class'::regclass AND q.seqrelid = o.id "
	"CROSS JOIN LATERAL (SELECT CASE WHEN o.kind IN ('VIEW', 'FUNCTION', 'PROCEDURE') THEN "
	"regexp_replace($S.define(o.class, o.id), '^CREATE', 'CREATE OR REPLACE') WHEN o.kind = "
	"'SEQUENCE' THEN concat_ws(' ', 'ALTER SEQUENCE', o.this, 'AS', format_type(q.seqtypid, NULL), "
	"'INCREMENT BY', q.seqincrement, 'MINVALUE', q.seqmin, 'MAXVALUE', q.seqmax, 'START WITH', "
	"q.seqstart, 'CACHE', q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) END "
	"AS text) y WHERE o.kind <> 'TABLE' "
	"UNION ALL SELECT 21, 'owner', '', x.text, NULL, 'ALTER SEQUENCE ' || o.this || ' OWNED BY ' || "
	"x.text, NULL, NULL FROM o CROSS JOIN LATERAL (SELECT coalesce((SELECT format('%s.%I', "
	"d.refobjid::regclass, a.attname) FROM pg_depend d JOIN pg_attribute a ON a.attrelid = "
	"d.refobjid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = "
	"o.id AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'), 'NONE') AS text) x WHERE "
	"o.kind = 'SEQUENCE' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = "
	"'pg_class'::regclass AND d.objid = o.id AND d.deptype = 'i') "
	"UNION ALL SELECT 28, 'option ' || x.id || ' ' || split_part(x.text, '=', 1), '', x.text, x.alter || ' SET "
	"(' || x.text || ')', x.alter || ' SET (' || x.text || ')', NULL, replace(x.alter, '%', '%%') || ' RESET "
	"(' || split_part(x.text, '=', 1) || ')' FROM (SELECT r.oid AS id, unnest(r.reloptions) AS text, "
	"format('ALTER %s IF EXISTS %I.%I', CASE r.relkind WHEN 'r' THEN 'TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' "
	"ELSE 'INDEX' END, o.db, r.relname) AS alter FROM o JOIN pg_class r ON r.oid = o.id OR r.oid IN (SELECT "
	"x.indexrelid FROM pg_index x WHERE x.indrelid = o.id) AND r.relkind = 'i' WHERE o.kind IN ('TABLE', 'MATERIALIZED VIEW')) x "
	"UNION ALL SELECT 29, 'counts ' || a.attnum, '', coalesce(y.text, ''), z.text || y.text || '; ' || y.stands, "
	"z.alter || ' DROP IDENTITY IF EXISTS' || coalesce('; ' || z.text || y.text || '; ' || y.stands, ''), NULL, "
	"NULL FROM o JOIN pg_attribute a ON a.attrelid = o.id AND a.attnum > 0 AND NOT a.attisdropped CROSS JOIN "
	"LATERAL (SELECT q.alter, q.alter || ' ADD GENERATED BY DEFAULT AS IDENTITY' AS text FROM (SELECT "
	"format('ALTER TABLE %s ALTER COLUMN %I', o.this, a.attname) AS alter) q) z LEFT JOIN LATERAL (SELECT ' "
	"(SEQUENCE NAME ' || " NAME("rn.nspname", "r.relname") " || " IDENTITY_OPTIONS " || ')' AS text, "
	SEQUENCE_VALUE " AS stands FROM " FROM_SEQUENCES OWNED_BY("i", "a.attrelid") " AND o.refobjsubid = "
	"a.attnum) y ON true WHERE o.kind = 'TABLE' AND o.root = o.id ";

static const char parts_tail[] = "ORDER BY 1, 2$f$;\n";

/* What is to be said of what has become of an object's parts, which are then as it is kept. */
static const char tell[] =
	"CREATE OR REPLACE FUNCTION $S.tell(cls oid, obj oid, whole boolean, anew boolean) RETURNS TABLE (letter text, "
	"said text, gone boolean) LANGUAGE plpgsql AS $f$\n"
	"DECLARE p record; this text;\n"
	"BEGIN\n"
	"  SELECT format('%I.%I%s', n.db, n.name, n.args) INTO this FROM $S.named n WHERE n.class = cls "
	"AND n.id = obj;\n"
	/* Made again as it was, for a column's new type: so it is at the target. */
	"  UPDATE $S.parts x SET key = n.key FROM $S.parts_of(cls, obj) n WHERE x.class = cls AND x.id = obj AND "
	"x.name = n.name AND x.state = n.state AND x.key <> n.key AND substring(x.key from "
	"'^(?:constraint|index) ') = substring(n.key from '^(?:constraint|index) ') AND NOT EXISTS (SELECT "
	"FROM $S.parts y WHERE y.class = cls AND y.id = obj AND y.key = n.key);\n"
	/* (an index that is a constraint now stands in its way) */
	"  FOR p IN SELECT n.*, o.key AS known, o.name AS was, o.state AS had, o.unmake AS undo, n.key LIKE "
	"'constraint %' AND EXISTS (SELECT FROM $S.parts x WHERE x.class = cls AND x.id = obj AND x.name = "
	"n.name AND x.key LIKE 'index %') AS stands FROM "
	"$S.parts_of(cls, obj) n FULL JOIN (SELECT * FROM $S.parts x WHERE x.class = cls AND x.id = "
	"obj) o ON o.key = n.key ORDER BY n.at NULLS FIRST, n.key LOOP\n"
	"    letter := CASE WHEN coalesce(p.key, p.known) LIKE 'trigger %' THEN 'T' ELSE 'S' END;\n"
	"    gone := p.key IS NULL;\n"
	"    IF gone THEN\n"
	"      DELETE FROM $S.parts x WHERE x.class = cls AND x.id = obj AND x.key = p.known;\n"
	"      said := format(p.undo, this, p.was);\n"
	"    ELSE\n"
	"      INSERT INTO $S.parts AS x VALUES (cls, obj, p.key, p.name, p.state, p.unmake) ON CONFLICT "
	"(class, id, key) DO UPDATE SET name = excluded.name, state = excluded.state, unmake = "
	"excluded.unmake;\n"
	"      IF p.name <> p.was AND p.renames IS NOT NULL THEN\n"
	"        said := format(p.renames, this, p.was, p.name);\n"
	"        RETURN NEXT;\n"
	"      END IF;\n"
	"      said := CASE WHEN p.known IS NOT NULL AND p.state <> p.had THEN p.change WHEN p.known IS "
	"NULL AND (NOT whole OR p.key = '') THEN CASE WHEN (anew OR p.stands) AND p.unmake IS NOT NULL THEN "
	"format(p.unmake, this, p.name) || '; ' ELSE '' END || p.make END;\n"
	"    END IF;\n"
	"    IF said IS NOT NULL THEN RETURN NEXT; END IF;\n"
	"  END LOOP;\n"
	"END $f$;\n";

/* So that what is changed first has something to be compared with. */
static const char begin[] =
	/* Compiling costs more than it takes. */
	"SELECT set_config('jit', 'off', true) FROM pg_settings WHERE name = 'jit';\n"
	"TRUNCATE $S.objects, $S.parts;\n"
	"INSERT INTO $S.objects SELECT class, id, kind, db, name, root, (SELECT inhparent FROM pg_inherits "
	"WHERE root <> id AND inhrelid = id) FROM $S.named WHERE kind <> 'TABLE' OR root <> id;\n"
	"INSERT INTO $S.parts SELECT n.class, n.id, p.key, p.name, p.state, p.unmake FROM $S.named n "
	"CROSS JOIN LATERAL $S.parts_of(n.class, n.id) p;\n";
/* clang-format on */

/* The statements that make what has this class and number in the catalog, and a table or partition.
 */
static void
put_define(struct buf *b, int version, const char *schema)
{
	static const enum object_kind kinds[] = {
		OBJECT_TYPE, OBJECT_SEQUENCE, OBJECT_FUNCTION, OBJECT_PROCEDURE, OBJECT_VIEW};
	char *tables;

	buf_printf(b,
		"CREATE OR REPLACE FUNCTION %s.define(oid, oid) RETURNS text LANGUAGE sql STABLE "
		"AS $d$ SELECT q.sql FROM (",
		schema);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		char *sql = definitions_query(kinds[i], version, true);

		buf_printf(b, "%s%s", i != 0 ? " UNION ALL " : "", sql);
		free(sql);
	}
	buf_puts(b, ") q (class, id, db, name, sql) WHERE q.class = $1 AND q.id = $2$d$;\n");
	tables = definitions_query(OBJECT_TABLE, version, true);
	buf_printf(b,
		"CREATE OR REPLACE FUNCTION %s.define_table(oid) RETURNS text LANGUAGE sql STABLE "
		"AS $d$ SELECT q.sql FROM (%s) q (class, id, db, name, sql) WHERE q.id = $1$d$;\n",
		schema, tables);
	free(tables);
}

/* Before 10 nothing is told of what is no table. */
void
note_parts(struct buf *b, int version, const char *schema, const char *literal)
{
	bool others = version >= 100000;
	const struct note_word words[] = {
		{"$S", schema},
		{"$T", literal},
		{"$K", others ? "'r', 'p', 'v', 'm', 'S'" : "'r'"},
		{"$F", version >= 110000
				? "CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END"
				: "'FUNCTION'"},
		{"$A", version >= 110000 ? "p.prokind = 'a'" : "p.proisagg"},
		{"$R", version >= 120000
				? "CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid "
				  "ELSE c.oid END"
			: others ? "CASE WHEN c.relispartition THEN 0 ELSE c.oid END"
				 : "c.oid"},
		{"$X", pgsource_copied_triggers(version)},
		{"$C", others ? "a.attidentity <> ''" : "false"},
		{"$G", version >= 120000 ? "AND a.attgenerated = ''" : ""},
		{"$N", version >= 120000 ? "a.attgenerated = ''" : "true"},
		{"$Q", version >= 120000 ? "AND NOT EXISTS (SELECT FROM pg_attribute a WHERE "
					   "a.attrelid = o.id AND "
					   "a.attgenerated <> '' AND a.attnum = ANY "
					   "(x.indkey[0:x.indnkeyatts - 1]))"
					 : ""},
	};

	if (others)
		put_define(b, version, schema);
	note_put(b, kept, words, COUNT_OF(words));
	note_put(b, named_tables, words, COUNT_OF(words));
	if (others)
		note_put(b, named_others, words, COUNT_OF(words));
	buf_puts(b, ";\n");
	note_put(b, parts_head, words, COUNT_OF(words));
	note_put(b, parts_of_tables, words, COUNT_OF(words));
	if (others)
		note_put(b, parts_of_others, words, COUNT_OF(words));
	note_put(b, parts_tail, words, COUNT_OF(words));
	note_put(b, tell, words, COUNT_OF(words));
	note_put(b, begin, words, COUNT_OF(words));
}
