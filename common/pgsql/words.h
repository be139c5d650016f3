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
