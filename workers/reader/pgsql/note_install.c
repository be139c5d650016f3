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
	"NULL, last int NOT NULL, description text NOT NULL, rewritten boolean NOT NULL DEFAULT "
	"false, presets text NOT NULL DEFAULT '');\n"
	/* Those without an identity could not be changed any more once they are published. */
	"CREATE OR REPLACE VIEW $S.tables AS SELECT c.oid, n.nspname AS db, c.relname AS name, "
	"(SELECT max(a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid)::int AS "
	"last, " HAS_IDENTITY " AS keyed FROM pg_class c JOIN pg_namespace n ON "
	"n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND $P c.relpersistence = 'p' AND "
	"n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', $T);\n"
	"CREATE OR REPLACE FUNCTION $S.line(kind text, fields text[]) RETURNS text LANGUAGE sql "
	"IMMUTABLE AS $f$ SELECT $1 || string_agg(E'\\t' || coalesce(replace(replace(replace(f, "
	"E'\\\\', E'\\\\\\\\'), E'\\t', E'\\\\t'), E'\\n', E'\\\\n'), E'\\\\N'), '' ORDER BY n) || "
	"E'\\n' FROM unnest($2) WITH ORDINALITY x (f, n)$f$;\n";

static const char capture_head[] =
	"CREATE OR REPLACE FUNCTION $S.capture(tag text, path text) RETURNS void LANGUAGE plpgsql "
	"SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$\n"
	"DECLARE\n"
	"  wide boolean := tag ~ '^(DROP|ALTER SCHEMA)';\n"
	"  said text := coalesce(current_query(), '');\n"
	"  parts boolean := tag = 'ALTER TABLE' AND said ~* '\\mpartition\\M';\n"
	"  ids oid[]; t record; a record; lines text := ''; again boolean; v text; m bigint;\n"
	"  others text := '';\n"
	"BEGIN\n"
	"$W"
	"  IF NOT wide THEN\n"
	"    SELECT array_agg(DISTINCT coalesce(i.indrelid, c.objid)) INTO ids\n"
	"      FROM pg_event_trigger_ddl_commands() c LEFT JOIN pg_index i ON i.indexrelid = "
	"c.objid\n"
	"      WHERE c.classid = 'pg_class'::regclass AND c.schema_name IS DISTINCT FROM "
	"'pg_temp';\n"
	"    IF ids IS NULL AND others = '' THEN RETURN; END IF;\n"
	"  END IF;\n"
	"  FOR t IN DELETE FROM $S.known k WHERE NOT EXISTS (SELECT FROM $S.tables x WHERE x.oid = "
	"k.oid) RETURNING k.db, k.name LOOP\n"
	"    lines := lines || $S.line('D', ARRAY[t.db, t.name]);\n"
	"  END LOOP;\n"
	"  FOR t IN SELECT x.oid, x.db, x.name, x.last, x.keyed, k.oid IS NULL AS new, k.last AS "
	"had,\n"
	"      k.db AS from_db, k.name AS from_name, k.rewritten, k.description AS was, "
	"$S.describe(x.oid) AS "
	"now, $S.presets(x.oid) AS presets, k.presets AS had_presets\n"
	"      FROM $S.tables x LEFT JOIN $S.known k ON k.oid = x.oid\n"
	"      WHERE wide AND k.oid IS NOT NULL OR parts AND k.oid IS NULL OR x.oid = ANY (ids) "
	"LOOP\n"
	"    IF t.new AND NOT t.keyed THEN\n"
	"      lines := lines || $S.line('K', ARRAY[t.db, t.name]);\n"
	"      CONTINUE;\n"
	"    END IF;\n"
	"    SELECT string_agg(p, '; ') INTO v FROM unnest(string_to_array(t.presets, chr(1))) p\n"
	"      WHERE p <> ALL (string_to_array(coalesce(t.had_presets, ''), chr(1))) AND NOT "
	"(t.new "
	"AND p LIKE '% DROP DEFAULT');\n"
	"    IF v IS NOT NULL THEN\n"
	"      others := others || $S.line('S', ARRAY[t.db::text, t.name, 't', v]);\n"
	"      UPDATE $S.known SET presets = t.presets WHERE oid = t.oid;\n"
	"    END IF;\n"
	"    CONTINUE WHEN t.was = t.now AND t.from_db = t.db AND t.from_name = t.name AND NOT "
	"parts;\n"
	"    again := false;\n"
	"    IF t.new THEN\n"
	"      INSERT INTO $S.known VALUES (t.oid, t.db, t.name, t.last, t.now, false, "
	"t.presets);\n"
	"      EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', t.db, t.name) INTO again;\n"
	"      lines := lines || $S.line('C', ARRAY[t.db, t.name, again::text]);\n"
	"    ELSE\n"
	"      UPDATE $S.known SET db = t.db, name = t.name, last = t.last, description = t.now, "
	"rewritten = false WHERE oid = t.oid;\n"
	"      IF t.from_db <> t.db OR t.from_name <> t.name THEN\n"
	"        EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', t.db, t.name) INTO again;\n"
	"        lines := lines || $S.line('R', ARRAY[t.from_db, t.from_name, t.db, t.name, "
	"again::text]);\n"
	"      ELSE\n"
	/* Rows that an expression has rewritten, or that came with a partition, are not in the
	 * log. */
	"        again := parts OR t.rewritten AND (said !~* '^\\s*alter\\s+table\\s' OR said ~* "
	"'\\musing\\M');\n"
	"        lines := lines || $S.line('A', ARRAY[t.db, t.name, again::text]);\n"
	"      END IF;\n"
	"    END IF;\n"
	"    lines := lines || t.now;\n";

/* A new column's constant is kept by the server from 11 on; before, it is computed here. */
static const char fills_by_catalog[] =
	"    FOR a IN SELECT attname, atthasdef, attidentity <> '' AS identity, CASE WHEN "
	"atthasmissing\n"
	"        THEN (attmissingval::text::text[])[1] END AS fill FROM pg_attribute WHERE "
	"attrelid "
	"= t.oid\n"
	"        AND attnum > coalesce(t.had, 32767) AND NOT attisdropped $G LOOP\n"
	"      lines := lines || $S.line('n', ARRAY[a.attname, a.fill, (a.fill IS NULL AND "
	"(a.atthasdef OR a.identity))::text]);\n"
	"    END LOOP;\n";

static const char fills_by_value[] =
	"    FOR a IN SELECT c.attname, pg_get_expr(d.adbin, d.adrelid) AS expression, $I AS "
	"identity FROM\n"
	"        pg_attribute c LEFT JOIN pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = "
	"c.attnum\n"
	"        WHERE c.attrelid = t.oid AND c.attnum > coalesce(t.had, 32767) AND NOT "
	"c.attisdropped LOOP\n"
	"      v := NULL;\n"
	"      IF a.expression = 'now()' OR replace(a.expression, '''', '') !~ '[(]|^CURRENT' "
	"THEN\n"
	"        EXECUTE 'SELECT (' || a.expression || ')::text' INTO v;\n"
	"      END IF;\n"
	"      lines := lines || $S.line('n', ARRAY[a.attname, v, (v IS NULL AND (a.expression IS "
	"NOT NULL OR a.identity))::text]);\n"
	"    END LOOP;\n";

static const char publish[] =
	"    FOR a IN SELECT DISTINCT s.channel FROM $S.selected s JOIN pg_publication p ON "
	"p.pubname = s.channel\n"
	"        WHERE t.keyed AND NOT s.exclude AND t.db LIKE s.db AND t.name LIKE s.tab AND NOT "
	"EXISTS (SELECT FROM\n"
	"        $S.selected x WHERE x.channel = s.channel AND x.exclude AND t.db LIKE x.db AND "
	"t.name LIKE x.tab)\n"
	"        AND NOT EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND "
	"r.prrelid = t.oid) LOOP\n"
	"      EXECUTE format('ALTER PUBLICATION %I ADD TABLE %I.%I', a.channel, t.db, t.name);\n"
	"    END LOOP;\n";

static const char capture_tail[] =
	"  END LOOP;\n"
	"  lines := lines || others;\n"
	"  IF lines <> '' THEN\n"
	"    INSERT INTO $S.ddl (tag, query, path, changes) VALUES (tag, said, path, lines) "
	"RETURNING n INTO m;\n"
	"    DELETE FROM $S.ddl WHERE n = m;\n"
	"  END IF;\n"
	"END $f$;\n"
	"CREATE OR REPLACE FUNCTION $S.note() RETURNS event_trigger LANGUAGE plpgsql AS $f$\n"
	"BEGIN\n"
	"  IF tg_event = 'sql_drop' THEN\n"
	"    IF tg_tag NOT LIKE 'DROP %' OR NOT EXISTS (SELECT FROM "
	"pg_event_trigger_dropped_objects() WHERE NOT is_temporary) THEN RETURN; END IF;\n"
	"  ELSIF tg_tag LIKE 'DROP %' THEN\n"
	"    RETURN;\n"
	"  END IF;\n"
	"  PERFORM $S.capture(tg_tag, current_setting('search_path'));\n"
	"EXCEPTION WHEN OTHERS THEN\n"
	"  RAISE WARNING 'syncline could not note what this statement changes: %', SQLERRM;\n"
	"END $f$;\n"
	"CREATE OR REPLACE FUNCTION $S.note_rewrite() RETURNS event_trigger LANGUAGE plpgsql "
	"SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$\n"
	"BEGIN\n"
	"  UPDATE $S.known SET rewritten = true WHERE oid = $O AND "
	"pg_event_trigger_table_rewrite_reason() & 4 <> 0;\n"
	"END $f$;\n"
	"CREATE EVENT TRIGGER syncline_end ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE "
	"TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE INDEX', 'ALTER INDEX', 'CREATE SCHEMA', "
	"'ALTER SCHEMA'$E) EXECUTE PROCEDURE $S.note();\n"
	"CREATE EVENT TRIGGER syncline_drop ON sql_drop EXECUTE PROCEDURE $S.note();\n"
	"ALTER EVENT TRIGGER syncline_end ENABLE ALWAYS;\n"
	"ALTER EVENT TRIGGER syncline_drop ENABLE ALWAYS;\n"
	"CREATE EVENT TRIGGER syncline_rewrite ON table_rewrite EXECUTE PROCEDURE "
	"$S.note_rewrite();\n"
	"ALTER EVENT TRIGGER syncline_rewrite ENABLE ALWAYS;\n"
	"INSERT INTO $S.known SELECT oid, db, name, last, $S.describe(oid), false, $S.presets(oid) "
	"FROM $S.tables WHERE keyed;\n";

/* What stands beside tables, in the words in which it is made; what it was goes with it. */
static const char others[] =
	"  IF tag ~ '^DROP' THEN\n"
	"    FOR a IN SELECT * FROM pg_event_trigger_dropped_objects() d WHERE d.original AND NOT "
	"d.is_temporary AND d.object_type IN ('view', 'materialized view', 'function', "
	"'procedure', 'sequence', 'type', 'domain') LOOP\n"
	"      others := others || $S.line('S', ARRAY[a.schema_name, a.object_identity, 'o', "
	"format('DROP %s IF EXISTS %s', a.object_type, a.object_identity)]);\n"
	"    END LOOP;\n"
	"  ELSE\n"
	"    FOR a IN SELECT c.schema_name, c.object_identity, CASE tag WHEN 'ALTER TYPE' THEN "
	"(SELECT string_agg(format('ALTER TYPE %s ADD VALUE IF NOT EXISTS %L', "
	"c.object_identity, m.enumlabel) || CASE WHEN m.before IS NULL THEN '' ELSE format(' AFTER "
	"%L', m.before) END, '; ' "
	"ORDER BY m.enumsortorder) FROM (SELECT enumlabel, enumsortorder, lag(enumlabel) OVER "
	"(ORDER BY enumsortorder) AS before FROM pg_enum WHERE enumtypid = c.objid) m) ELSE "
	"regexp_replace(regexp_replace($S.define(c.classid, c.objid), '^CREATE "
	"(VIEW|FUNCTION|PROCEDURE) ', 'CREATE OR REPLACE \\1 '), '^CREATE (SEQUENCE) ', CASE "
	"tag WHEN 'ALTER SEQUENCE' THEN 'ALTER \\1 ' ELSE 'CREATE \\1 IF NOT EXISTS ' END) END "
	"AS sql FROM pg_event_trigger_ddl_commands() c WHERE c.object_type IN ('view', "
	"'materialized view', 'function', 'procedure', 'sequence', 'type') AND NOT "
	"c.in_extension AND c.schema_name NOT IN ('pg_temp', $T) LOOP\n"
	"      CONTINUE WHEN a.sql IS NULL;\n"
	"      others := others || $S.line('S', ARRAY[a.schema_name, a.object_identity, 'o', "
	"a.sql]);\n"
	"    END LOOP;\n"
	"  END IF;\n";

static const char other_tags[] =
	", 'CREATE VIEW', 'CREATE MATERIALIZED VIEW', 'CREATE FUNCTION', 'CREATE SEQUENCE', 'ALTER "
	"SEQUENCE', 'CREATE TYPE', 'ALTER TYPE', 'CREATE DOMAIN'";

/* What columns get that nothing is said of; one that counts has it from how its column was made. */
static const char presets[] =
	"CREATE OR REPLACE FUNCTION $S.presets(oid) RETURNS text LANGUAGE sql STABLE AS $f$ SELECT "
	"coalesce(string_agg(format('ALTER TABLE %s ALTER COLUMN %I %s', $1::regclass, c.attname, "
	"coalesce('SET DEFAULT ' || x.text, 'DROP DEFAULT')), chr(1) ORDER BY c.attnum), '') FROM "
	"pg_attribute c LEFT JOIN pg_attrdef d ON d.adrelid = c.attrelid AND d.adnum = c.attnum "
	"CROSS JOIN LATERAL (SELECT pg_get_expr(d.adbin, d.adrelid) AS text) x WHERE c.attrelid = "
	"$1 AND c.attnum > 0 AND NOT c.attisdropped AND NOT ($I) $G AND coalesce(x.text, '') NOT "
	"LIKE 'nextval(%'$f$;\n";

/* ---- the statements ---- */

struct word {
	const char *name;
	const char *text;
};

static void
put(struct buf *b, const char *text, const struct word *words, size_t n)
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

/* The statement that makes what has this class and number in the catalog, and is no table. */
static void
put_define(struct buf *b, int version, const char *schema)
{
	static const enum object_kind kinds[] = {
		OBJECT_TYPE, OBJECT_SEQUENCE, OBJECT_FUNCTION, OBJECT_PROCEDURE, OBJECT_VIEW};

	buf_printf(b,
		"CREATE OR REPLACE FUNCTION %s.define(oid, oid) RETURNS text LANGUAGE sql STABLE "
		"AS $d$ SELECT q.sql FROM (",
		schema);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		char *sql = definitions_query(kinds[i], version);

		buf_printf(b, "%s%s", i != 0 ? " UNION ALL " : "", sql);
		free(sql);
	}
	buf_puts(b, ") q (class, id, db, name, sql) WHERE q.class = $1::bigint AND q.id = "
		    "$2::bigint$d$;\n");
}

/* Before 10 nothing is told of what is no table. */
static void
put_others(
	int version, const char *schema, const char *literal, struct buf *beside, struct buf *tags)
{
	const struct word words[] = {{"$S", schema}, {"$T", literal}};

	if (version < 100000)
		return;
	put(beside, others, words, COUNT_OF(words));
	buf_puts(tags, other_tags);
	if (version >= 110000)
		buf_puts(tags, ", 'CREATE PROCEDURE'");
}

static void
make_sql(struct pgsql_source *s, struct buf *b)
{
	int version = s->main.version;
	struct buf schema, literal, tags, beside;

	buf_init(&schema);
	buf_init(&literal);
	buf_init(&tags);
	buf_init(&beside);
	pgsql_quote_name(&schema, conf_str(s->env.conf, "state_schema"));
	pgsql_quote_text(&literal, conf_str(s->env.conf, "state_schema"));
	put_others(version, buf_text(&schema), buf_text(&literal), &beside, &tags);
	const struct word words[] = {
		{"$S", buf_text(&schema)},
		{"$T", buf_text(&literal)},
		{"$P", version >= 100000 ? "NOT c.relispartition AND" : ""},
		{"$O", version >= 120000 ? "coalesce(pg_partition_root(pg_event_trigger_table_"
					   "rewrite_oid()), "
					   "pg_event_trigger_table_rewrite_oid())"
					 : "pg_event_trigger_table_rewrite_oid()"},
		{"$G", version >= 120000 ? "AND attgenerated = ''" : ""},
		{"$I", version >= 100000 ? "c.attidentity <> ''" : "false"},
		{"$W", version >= 100000 ? buf_text(&beside) : ""},
		{"$E", buf_text(&tags)},
	};

	put(b, objects, words, COUNT_OF(words));
	put_describe(b, version, buf_text(&schema));
	if (version >= 100000)
		put_define(b, version, buf_text(&schema));
	put(b, presets, words, COUNT_OF(words));
	put(b, note_truncate_sql(s), words, COUNT_OF(words));
	put(b, capture_head, words, COUNT_OF(words));
	put(b, version >= 110000 ? fills_by_catalog : fills_by_value, words, COUNT_OF(words));
	if (version >= 100000)
		put(b, publish, words, COUNT_OF(words));
	put(b, note_truncate_new(s), words, COUNT_OF(words));
	put(b, capture_tail, words, COUNT_OF(words));
	buf_release(&schema);
	buf_release(&literal);
	buf_release(&tags);
	buf_release(&beside);
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
	buf_printf(&b, "(text, text) IS '%s'", stamp);
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
