/*
 * words.h - SQL texts that have a server compose the statements which make its objects, for both
 * ends: the source's initial schema, and what a target makes again with its table.
 */
#ifndef COMMON_PGSQL_WORDS_H
#define COMMON_PGSQL_WORDS_H

/* clang-format off */
#define NAME(schema, name) "quote_ident(" schema ") || '.' || quote_ident(" name ")"

/* "COMMENT ON what IS 'text'; ", or nothing. */
#define COMMENT(what, text) "coalesce('COMMENT ON ' || " what " || ' IS ' || quote_literal(" text ") || '; ', '')"

/* Of the columns of a relation of that name. */
#define COLUMN_COMMENTS(relation, name) \
	"coalesce((SELECT string_agg(" COMMENT("'COLUMN ' || " name " || '.' || quote_ident(a.attname)", \
	"col_description(a.attrelid, a.attnum)") ", '' ORDER BY a.attnum) FROM pg_attribute a " \
	"WHERE a.attrelid = " relation " AND a.attnum > 0 AND NOT a.attisdropped), '')"

/* Of the indexes of a relation, but for those that are parts of another one. */
#define INDEX_COMMENTS(relation) \
	"coalesce((SELECT string_agg(" COMMENT("'INDEX ' || " NAME("xn.nspname", "xc.relname"), \
	"obj_description(xc.oid, 'pg_class')") ", '' ORDER BY xc.oid) FROM pg_index x JOIN pg_class xc " \
	"ON xc.oid = x.indexrelid JOIN pg_namespace xn ON xn.oid = xc.relnamespace WHERE x.indrelid = " \
	relation " AND x.indisvalid AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = xc.oid)), '')"

#define SEQUENCE_OPTIONS \
	"' INCREMENT BY ' || q.seqincrement || ' MINVALUE ' || q.seqmin || ' MAXVALUE ' || " \
	"q.seqmax || ' START WITH ' || q.seqstart || ' CACHE ' || q.seqcache || CASE " \
	"WHEN q.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END"

/* A column's type says how far it goes, mostly. */
#define IDENTITY_OPTIONS \
	"regexp_replace(" SEQUENCE_OPTIONS ", 'MAXVALUE (32767|2147483647|9223372036854775807) ', 'NO MAXVALUE ')"

/* Where the sequence r in rn stands now; nothing if it has not been asked yet. */
#define SEQUENCE_VALUE \
	"coalesce('SELECT pg_catalog.setval(' || quote_literal(" \
	NAME("rn.nspname", "r.relname") ") || '::regclass, ' || " \
	"pg_sequence_last_value(r.oid) || ', true); ', '')"

#define CREATE_SEQUENCE \
	"'CREATE SEQUENCE ' || " NAME("rn.nspname", "r.relname") " || ' AS ' || " \
	"format_type(q.seqtypid, NULL) || " SEQUENCE_OPTIONS " || '; ' || " SEQUENCE_VALUE

#define FROM_SEQUENCES \
	"pg_sequence q JOIN pg_class r ON r.oid = q.seqrelid JOIN pg_namespace rn ON rn.oid " \
	"= r.relnamespace "

#define OWNED_BY(deptype, table) \
	"JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = r.oid AND " \
	"o.refclassid = 'pg_class'::regclass AND o.deptype = '" deptype "' AND o.refobjid = " \
	table " "

/* The view or materialized view c in n, without rows, with what belongs to it; statements that end
 * with "; ". */
#define CREATE_VIEW \
	"CASE c.relkind WHEN 'v' THEN 'CREATE VIEW ' ELSE 'CREATE MATERIALIZED VIEW ' END || " \
	NAME("n.nspname", "c.relname") " || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') " \
	"|| ')', '') || ' AS ' || rtrim(pg_get_viewdef(c.oid), ';') || CASE c.relkind WHEN 'm' THEN " \
	"' WITH NO DATA' ELSE '' END || '; ' || coalesce((SELECT string_agg(" \
	"pg_get_indexdef(x.indexrelid) || '; ', '' ORDER BY x.indexrelid) FROM pg_index x WHERE " \
	"x.indrelid = c.oid), '') || " \
	COMMENT("CASE c.relkind WHEN 'v' THEN 'VIEW ' ELSE 'MATERIALIZED VIEW ' END || " \
	NAME("n.nspname", "c.relname"), "obj_description(c.oid, 'pg_class')") " || " \
	COLUMN_COMMENTS("c.oid", NAME("n.nspname", "c.relname")) " || " INDEX_COMMENTS("c.oid") \
	" || coalesce((SELECT string_agg('ALTER TABLE ' || " NAME("n.nspname", "c.relname") \
	" || ' ALTER COLUMN ' || quote_ident(a.attname) || ' SET DEFAULT ' || pg_get_expr(d.adbin, " \
	"d.adrelid) || '; ', '' ORDER BY a.attnum) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid " \
	"= d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = c.oid), '')"

/* The trigger g on c in n; whatever a server's own rows fire, it does not. */
#define CREATE_TRIGGER \
	"pg_get_triggerdef(g.oid) || '; ' || CASE g.tgenabled WHEN 'D' THEN 'ALTER TABLE ' || " \
	NAME("n.nspname", "c.relname") " || ' DISABLE TRIGGER ' || quote_ident(g.tgname) || '; ' ELSE '' END || " \
	COMMENT("'TRIGGER ' || quote_ident(g.tgname) || ' ON ' || " NAME("n.nspname", "c.relname"), \
	"obj_description(g.oid, 'pg_trigger')")

/* The function or procedure p in n, which its kind says in capitals. */
#define CREATE_ROUTINE(kind) \
	"pg_get_functiondef(p.oid) || '; ' || " COMMENT(kind " || ' ' || " NAME("n.nspname", "p.proname") \
	" || '(' || pg_get_function_identity_arguments(p.oid) || ')'", "obj_description(p.oid, 'pg_proc')")
/* clang-format on */

#endif
