/* definitions.c - see definitions.h. */
#include "common/compat.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pgsql/words.h"
#include "workers/reader/pgsql/definitions.h"
#include "workers/reader/pgsql/note.h"

/* ---- the server's statements ---- */

/* clang-format off */
#define USERS_SCHEMA(n) n ".nspname <> 'information_schema' AND " n ".nspname !~ '^pg_'"

#define NOT_OF_EXTENSION(class, id) \
	"NOT EXISTS (SELECT FROM pg_depend x WHERE x.deptype = 'e' AND x.classid = '" class \
	"'::regclass AND x.objid = " id ")"

/* " COLLATE a.b" of a type's own collation or another one. */
#define COLLATE(collation, type) \
	"CASE WHEN " collation " <> 0 AND " collation " <> " type ".typcollation THEN " \
	"(SELECT ' COLLATE ' || " NAME("ln.nspname", "l.collname") " " \
	"FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace " \
	"WHERE l.oid = " collation ") ELSE '' END"

static const char type_query[] =
	"SELECT 'pg_type'::regclass::oid, t.oid, n.nspname, t.typname, CASE "
	"t.typtype WHEN 'e' THEN 'CREATE TYPE ' || " NAME("n.nspname", "t.typname") " || "
	"' AS ENUM (' || coalesce((SELECT string_agg(quote_literal(m.enumlabel), ', ' ORDER BY "
	"m.enumsortorder) FROM pg_enum m WHERE m.enumtypid = t.oid), '') || ')' "
	"WHEN 'c' THEN 'CREATE TYPE ' || " NAME("n.nspname", "t.typname") " || ' AS (' || "
	"coalesce((SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, "
	"a.atttypmod) || " COLLATE("a.attcollation", "at") ", ', ' ORDER BY a.attnum) "
	"FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid WHERE a.attrelid = "
	"t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')' "
	"WHEN 'd' THEN 'CREATE DOMAIN ' || " NAME("n.nspname", "t.typname") " || ' AS ' || "
	"format_type(t.typbasetype, t.typtypmod) || " COLLATE("t.typcollation", "b") " || "
	"coalesce(' DEFAULT ' || t.typdefault, '') || CASE WHEN t.typnotnull THEN ' NOT NULL' "
	"ELSE '' END || coalesce((SELECT string_agg(' CONSTRAINT ' || quote_ident(k.conname) "
	"|| ' ' || pg_get_constraintdef(k.oid), '' ORDER BY k.conname) "
	"FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' AND k.convalidated), '') "
	"ELSE 'CREATE TYPE ' || " NAME("n.nspname", "t.typname") " || ' AS RANGE (SUBTYPE = ' "
	"|| format_type(g.rngsubtype, NULL) || coalesce((SELECT ', SUBTYPE_OPCLASS = ' || "
	NAME("cn.nspname", "c.opcname") " FROM pg_opclass c JOIN pg_namespace cn ON cn.oid = "
	"c.opcnamespace WHERE c.oid = g.rngsubopc AND NOT c.opcdefault), '') || "
	"coalesce((SELECT ', COLLATION = ' || " NAME("ln.nspname", "l.collname")
	" FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace "
	"WHERE l.oid = g.rngcollation), '') || CASE WHEN g.rngsubdiff = 0 THEN '' "
	"ELSE ', SUBTYPE_DIFF = ' || (SELECT " NAME("pn.nspname", "p.proname")
	" FROM pg_proc p JOIN pg_namespace pn ON pn.oid = p.pronamespace "
	"WHERE p.oid = g.rngsubdiff) END || %s || ')' END || '; ' || " COMMENT("CASE t.typtype WHEN 'd' "
	"THEN 'DOMAIN ' ELSE 'TYPE ' END || " NAME("n.nspname", "t.typname"),
	"obj_description(t.oid, 'pg_type')") " || " COLUMN_COMMENTS("t.typrelid", NAME("n.nspname", "t.typname"))
	" || coalesce((SELECT string_agg(" COMMENT("'CONSTRAINT ' || quote_ident(k.conname) || ' ON DOMAIN ' || "
	NAME("n.nspname", "t.typname"), "obj_description(k.oid, 'pg_constraint')") ", '' ORDER BY k.conname) "
	"FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c' AND k.convalidated), '') "
	"FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_type b ON "
	"b.oid = t.typbasetype LEFT JOIN pg_range g ON g.rngtypid = t.oid LEFT JOIN pg_class "
	"tc ON tc.oid = t.typrelid WHERE t.typtype IN ('e', 'c', 'd', 'r') AND (t.typrelid = 0 "
	"OR tc.relkind = 'c') AND " USERS_SCHEMA("n") " AND "
	NOT_OF_EXTENSION("pg_type", "t.oid");

/* (of PostgreSQL 14 and later) */
#define MULTIRANGE_NAME \
	"coalesce((SELECT ', MULTIRANGE_TYPE_NAME = ' || " NAME("mn.nspname", "mt.typname") \
	" FROM pg_type mt JOIN pg_namespace mn ON mn.oid = mt.typnamespace " \
	"WHERE mt.oid = g.rngmultitypid), '')"

static const char extension_query[] =
	"SELECT 'pg_extension'::regclass::oid, x.oid, n.nspname, x.extname, "
	"'CREATE EXTENSION IF NOT EXISTS ' || quote_ident(x.extname) || ' WITH SCHEMA ' || "
	"quote_ident(n.nspname) FROM pg_extension x JOIN pg_namespace n ON n.oid = "
	"x.extnamespace";

/* But for those that tables own, or those of identities alone. */
static const char sequence_query[] =
	"SELECT 'pg_class'::regclass::oid, r.oid, rn.nspname, r.relname, "
	CREATE_SEQUENCE " || coalesce('COMMENT ON SEQUENCE ' || "
	NAME("rn.nspname", "r.relname") " || ' IS ' || quote_literal(obj_description(r.oid, "
	"'pg_class')), '') FROM " FROM_SEQUENCES "WHERE NOT EXISTS (SELECT "
	"FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = r.oid AND "
	"o.refclassid = 'pg_class'::regclass AND o.deptype IN (%s)) AND "
	USERS_SCHEMA("rn") " AND " NOT_OF_EXTENSION("pg_class", "r.oid");

static const char routine_query[] =
	"SELECT 'pg_proc'::regclass::oid, p.oid, n.nspname, p.proname, 'CREATE ' || "
	"substr(" CREATE_ROUTINE("'%s'") ", 18 + 1) FROM pg_proc p JOIN pg_namespace n ON n.oid = "
	"p.pronamespace WHERE %s AND " USERS_SCHEMA("n") " AND " NOT_OF_EXTENSION("pg_proc", "p.oid");

#define COLUMN \
	"quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || " \
	COLLATE("a.attcollation", "at") " || CASE WHEN %s <> '' THEN ' GENERATED ALWAYS " \
	"AS (' || pg_get_expr(d.adbin, d.adrelid) || CASE WHEN %s = 's' THEN ') STORED' " \
	"ELSE ') VIRTUAL' END WHEN a.attidentity <> '' THEN ' GENERATED BY DEFAULT AS " \
	"IDENTITY (' || (SELECT 'SEQUENCE NAME ' || " NAME("rn.nspname", "r.relname") " || " \
	IDENTITY_OPTIONS " FROM " FROM_SEQUENCES OWNED_BY("i", "c.oid") "AND o.refobjsubid " \
	"= a.attnum) || ')' WHEN d.oid IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, " \
	"d.adrelid) ELSE '' END || CASE WHEN a.attnotnull THEN ' NOT NULL' " \
	"ELSE '' END"

/* A column that is none of the table's own, with another default than its parent's. */
#define INHERITS_OTHERWISE \
	"NOT EXISTS (SELECT FROM pg_inherits h JOIN pg_attribute pa ON pa.attrelid = h.inhparent " \
	"AND pa.attname = a.attname LEFT JOIN pg_attrdef pd ON pd.adrelid = pa.attrelid AND " \
	"pd.adnum = pa.attnum WHERE h.inhrelid = c.oid AND pg_get_expr(pd.adbin, pd.adrelid) IS NOT " \
	"DISTINCT FROM pg_get_expr(d.adbin, d.adrelid))"

/* Every table of the tree below c.oid, as p(oid, level), itself first. */
#define TREE \
	"(WITH RECURSIVE p (oid, level) AS (SELECT c.oid, 0 UNION ALL " \
	"SELECT h.inhrelid, p.level + 1 FROM p JOIN pg_inherits h ON h.inhparent = p.oid) " \
	"SELECT p.oid, p.level FROM p JOIN pg_class pc ON pc.oid = p.oid " \
	"WHERE p.level = 0 OR pc.relispartition) p "

#define PARTITIONED(id) "coalesce(' PARTITION BY ' || pg_get_partkeydef(" id "), '')"

/* What the partition ch (in cn) has otherwise than its parent h.inhparent: not null, defaults,
 * constraints, options. */
#define OWN_OF_PARTITION \
	"coalesce((SELECT string_agg(CASE WHEN a.attnotnull AND NOT pa.attnotnull THEN 'ALTER TABLE ' || " \
	NAME("cn.nspname", "ch.relname") " || ' ALTER COLUMN ' || quote_ident(a.attname) || ' SET NOT NULL; ' " \
	"ELSE '' END || CASE WHEN %s <> '' OR a.attidentity <> '' OR x.text IS NOT DISTINCT FROM y.text THEN '' " \
	"ELSE 'ALTER TABLE ' || " NAME("cn.nspname", "ch.relname") " || ' ALTER COLUMN ' || " \
	"quote_ident(a.attname) || coalesce(' SET DEFAULT ' || x.text, ' DROP DEFAULT') || '; ' END, '' ORDER " \
	"BY a.attnum) FROM pg_attribute a JOIN pg_attribute pa ON pa.attrelid = h.inhparent AND pa.attname = " \
	"a.attname LEFT JOIN LATERAL (SELECT pg_get_expr(d.adbin, d.adrelid) AS text FROM pg_attrdef d WHERE " \
	"d.adrelid = a.attrelid AND d.adnum = a.attnum) x ON true LEFT JOIN LATERAL (SELECT " \
	"pg_get_expr(d.adbin, d.adrelid) AS text FROM pg_attrdef d WHERE d.adrelid = pa.attrelid AND d.adnum " \
	"= pa.attnum) y ON true WHERE a.attrelid = ch.oid AND a.attnum > 0 AND NOT a.attisdropped), '') || " \
	"coalesce((SELECT string_agg('ALTER TABLE ' || " NAME("cn.nspname", "ch.relname") " || ' ADD CONSTRAINT " \
	"' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) || '; ', '' ORDER BY k.contype, " \
	"k.conname) FROM pg_constraint k WHERE k.conrelid = ch.oid AND k.contype IN ('p', 'u', 'x', 'c') AND " \
	"k.conislocal AND k.coninhcount = 0 AND k.convalidated), '') || coalesce('ALTER TABLE ' || " \
	NAME("cn.nspname", "ch.relname") " || ' SET (' || array_to_string(ch.reloptions, ', ') || '); ', '') || " \
	"CASE ch.relreplident WHEN 'f' THEN 'ALTER TABLE ' || " NAME("cn.nspname", "ch.relname") " || ' REPLICA " \
	"IDENTITY FULL; ' ELSE '' END"

/* Owned sequences; the table; sequences to their columns, values; partitions; indexes; comments. */
static const char table_query[] =
	"SELECT 'pg_class'::regclass::oid, c.oid, n.nspname, c.relname, "
	"coalesce((SELECT string_agg(" CREATE_SEQUENCE ", '' ORDER BY r.oid) "
	"FROM " FROM_SEQUENCES OWNED_BY("a", "c.oid") "), '') || 'CREATE TABLE ' || "
	NAME("n.nspname", "c.relname") " || CASE WHEN c.relispartition THEN (SELECT ' PARTITION OF ' || "
	NAME("fn.nspname", "f.relname") " || ' ' || pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits h JOIN "
	"pg_class f ON f.oid = h.inhparent JOIN pg_namespace fn ON fn.oid = f.relnamespace WHERE h.inhrelid = "
	"c.oid) ELSE ' (' || concat_ws(', ', (SELECT string_agg(" COLUMN
	", ', ' ORDER BY a.attnum) FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid "
	"LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
	"WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attislocal OR " INHERITS_OTHERWISE ")), "
	"(SELECT string_agg('CONSTRAINT ' || quote_ident(k.conname) || ' ' || "
	"pg_get_constraintdef(k.oid), ', ' ORDER BY k.contype, k.conname) "
	"FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x', 'c') AND "
	"k.conislocal AND k.convalidated)) "
	"|| ')' || coalesce((SELECT ' INHERITS (' || string_agg("
	NAME("hn.nspname", "hc.relname") ", ', ' ORDER BY h.inhseqno) || ')' "
	"FROM pg_inherits h JOIN pg_class hc ON hc.oid = h.inhparent JOIN pg_namespace hn ON "
	"hn.oid = hc.relnamespace WHERE h.inhrelid = c.oid), '') END || " PARTITIONED("c.oid") " "
	"|| coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') || '; ' || "
	"CASE c.relreplident WHEN 'f' THEN 'ALTER TABLE ' || " NAME("n.nspname", "c.relname")
	" || ' REPLICA IDENTITY FULL; ' ELSE '' END || coalesce((SELECT string_agg('ALTER "
	"SEQUENCE ' || " NAME("rn.nspname", "r.relname") " || ' OWNED BY ' || "
	NAME("n.nspname", "c.relname") " || '.' || quote_ident(a.attname) || '; ', '' ORDER BY "
	"r.oid) FROM " FROM_SEQUENCES OWNED_BY("a", "c.oid") "JOIN pg_attribute a ON "
	"a.attrelid = c.oid AND a.attnum = o.refobjsubid), '') || coalesce((SELECT string_agg("
	SEQUENCE_VALUE ", '' ORDER BY r.oid) FROM " FROM_SEQUENCES OWNED_BY("i", "c.oid") "), "
	"'') || coalesce((SELECT string_agg(CASE WHEN cn.oid <> n.oid THEN 'CREATE SCHEMA IF "
	"NOT EXISTS ' || quote_ident(cn.nspname) || '; ' ELSE '' END || 'CREATE TABLE ' || "
	NAME("cn.nspname", "ch.relname") " || ' PARTITION OF ' || "
	NAME("fn.nspname", "f.relname") " || ' ' || pg_get_expr(ch.relpartbound, ch.oid) || "
	PARTITIONED("ch.oid") " || '; ', '' ORDER BY p.level, ch.oid) "
	"FROM " TREE "JOIN pg_class ch ON ch.oid = p.oid AND p.level > 0 JOIN pg_namespace cn "
	"ON cn.oid = ch.relnamespace JOIN pg_inherits h ON h.inhrelid = ch.oid JOIN pg_class f "
	"ON f.oid = h.inhparent JOIN pg_namespace fn ON fn.oid = f.relnamespace), '') || "
	"coalesce((SELECT string_agg(regexp_replace(pg_get_indexdef(x.indexrelid), ' ON ONLY "
	"', ' ON ') || '; ', '' ORDER BY p.level, x.indexrelid) FROM " TREE "JOIN pg_index x "
	"ON x.indrelid = p.oid AND x.indisvalid WHERE NOT EXISTS (SELECT "
	"FROM pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', "
	"'x')) AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = x.indexrelid)), "
	"'') || coalesce((SELECT string_agg(" OWN_OF_PARTITION ", '' ORDER BY p.level, ch.oid) FROM " TREE "JOIN "
	"pg_class ch ON ch.oid = p.oid AND ch.relispartition JOIN pg_namespace cn ON cn.oid = ch.relnamespace "
	"JOIN pg_inherits h ON h.inhrelid = ch.oid), '') || coalesce((SELECT string_agg("
	COMMENT("'TABLE ' || " NAME("cn.nspname", "ch.relname"), "obj_description(ch.oid, 'pg_class')")
	" || " COLUMN_COMMENTS("ch.oid", NAME("cn.nspname", "ch.relname")) " || coalesce((SELECT string_agg("
	COMMENT("'CONSTRAINT ' || quote_ident(k.conname) || ' ON ' || " NAME("cn.nspname", "ch.relname"),
	"obj_description(k.oid, 'pg_constraint')") ", '' ORDER BY k.conname) FROM pg_constraint k WHERE "
	"k.conrelid = ch.oid AND k.contype <> 'f' AND k.convalidated AND (k.conislocal OR k.contype = "
	"'c')), '') || " INDEX_COMMENTS("ch.oid") ", '' ORDER BY p.level, ch.oid) FROM " TREE "JOIN pg_class "
	"ch ON ch.oid = p.oid JOIN pg_namespace cn ON cn.oid = ch.relnamespace), '') || coalesce((SELECT "
	"string_agg(" COMMENT("'SEQUENCE ' || " NAME("rn.nspname", "r.relname"), "obj_description(r.oid, "
	"'pg_class')") ", '' ORDER BY r.oid) FROM pg_depend o JOIN pg_class r ON r.oid = o.objid AND "
	"r.relkind = 'S' JOIN pg_namespace rn ON rn.oid = r.relnamespace WHERE o.classid = "
	"'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.refobjid = c.oid AND o.deptype "
	"IN ('a', 'i')), '') FROM pg_class c JOIN pg_namespace n ON n.oid = "
	"c.relnamespace WHERE c.relkind IN ('r', 'p') AND %s AND "
	USERS_SCHEMA("n") " AND " NOT_OF_EXTENSION("pg_class", "c.oid");

static const char view_query[] =
	"SELECT 'pg_class'::regclass::oid, c.oid, n.nspname, c.relname, " CREATE_VIEW
	" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND "
	USERS_SCHEMA("n") " AND " NOT_OF_EXTENSION("pg_class", "c.oid");

/* Behind the rest: its table. */
static const char trigger_query[] =
	"SELECT 'pg_trigger'::regclass::oid, g.oid, n.nspname, g.tgname, " CREATE_TRIGGER
	", c.relname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON "
	"n.oid = c.relnamespace WHERE %s AND c.relkind IN ('r', 'p', 'v') AND " USERS_SCHEMA("n");

/* Who stands on whom: parts (defaults, rules, indexes, arrays, row types) stand for wholes. */
static const char edge_query[] =
	"WITH part (class, id, of_class, of_id) AS (SELECT 'pg_class'::regclass::oid, "
	"x.indexrelid, 'pg_class'::regclass::oid, x.indrelid FROM pg_index x "
	"UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, 'pg_class'::regclass, d.adrelid "
	"FROM pg_attrdef d UNION ALL SELECT 'pg_rewrite'::regclass, w.oid, "
	"'pg_class'::regclass, w.ev_class FROM pg_rewrite w UNION ALL "
	"SELECT 'pg_constraint'::regclass, k.oid, CASE WHEN k.contypid <> 0 THEN "
	"'pg_type'::regclass ELSE 'pg_class'::regclass END, CASE WHEN k.contypid <> 0 THEN "
	"k.contypid ELSE k.conrelid END FROM pg_constraint k WHERE k.contype NOT IN ('f', 't') "
	"UNION ALL SELECT 'pg_type'::regclass, t.oid, 'pg_class'::regclass, t.typrelid "
	"FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind <> 'c' "
	"UNION ALL SELECT 'pg_class'::regclass, c.oid, 'pg_type'::regclass, c.reltype "
	"FROM pg_class c WHERE c.relkind = 'c' UNION ALL SELECT x.classid, x.objid, "
	"x.refclassid, x.refobjid FROM pg_depend x WHERE x.deptype = 'e' "
	"UNION ALL SELECT 'pg_class'::regclass, x.objid, 'pg_class'::regclass, x.refobjid "
	"FROM pg_depend x JOIN pg_class s ON s.oid = x.objid AND s.relkind = 'S' "
	"WHERE x.classid = 'pg_class'::regclass AND x.refclassid = 'pg_class'::regclass AND "
	"x.deptype IN ('a', 'i')) SELECT DISTINCT coalesce(a.of_class, d.classid)::bigint, "
	"coalesce(a.of_id, d.objid)::bigint, coalesce(b.of_class, d.refclassid)::bigint, "
	"coalesce(b.of_id, e.oid, d.refobjid)::bigint FROM pg_depend d LEFT JOIN pg_type e ON "
	"d.refclassid = 'pg_type'::regclass AND e.typarray = d.refobjid LEFT JOIN part a ON "
	"a.class = d.classid AND a.id = d.objid LEFT JOIN part b ON b.class = d.refclassid AND "
	"b.id = coalesce(e.oid, d.refobjid) WHERE d.deptype <> 'e' AND d.objid >= 16384 AND "
	"d.refobjid >= 12000 ORDER BY 1, 2, 3, 4";
/* clang-format on */

const char *
pgsource_copied_triggers(int version)
{
	return version >= 130000 ? "NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgenabled <> 'R' "
				   "AND g.tgname <> '" TRUNCATE_TRIGGER "'"
				 : "NOT g.tgisinternal AND g.tgenabled <> 'R' AND g.tgname <> "
				   "'" TRUNCATE_TRIGGER "'";
}

bool
pgsource_copies_triggers(const struct pgsql_source *s)
{
	return conf_is(s->env.conf, "triggers", "copy");
}

char *
definitions_query(enum object_kind kind, int version, bool parts)
{
	const char *generated = version >= 120000 ? "a.attgenerated" : "''";

	switch (kind) {
	case OBJECT_EXTENSION:
		return xstrdup(extension_query);
	case OBJECT_TYPE:
		return xasprintf(type_query, version >= 140000 ? MULTIRANGE_NAME : "''");
	case OBJECT_SEQUENCE:
		return xasprintf(sequence_query, parts ? "'i'" : "'a', 'i'");
	case OBJECT_FUNCTION:
		return xasprintf(routine_query, "FUNCTION",
			version >= 110000 ? "p.prokind IN ('f', 'w')" : "NOT p.proisagg");
	case OBJECT_PROCEDURE:
		return xasprintf(routine_query, "PROCEDURE",
			version >= 110000 ? "p.prokind = 'p'" : "false");
	case OBJECT_TABLE:
		return xasprintf(table_query, generated, generated, generated,
			parts ? "true" : "NOT c.relispartition");
	case OBJECT_VIEW:
		return xstrdup(view_query);
	case OBJECT_TRIGGER:
		return xasprintf(trigger_query, pgsource_copied_triggers(version));
	case OBJECT_DATABASE:
	case OBJECT_COUNT:
	default:
		return NULL;
	}
}

/* ---- what stands on what ---- */

enum visit { VISIT_NONE, VISIT_OPEN, VISIT_DONE };

struct definition {
	uint64_t key; /* first, for by_key */
	size_t rank;  /* where it comes if nothing says otherwise */
	enum object_kind kind;
	const char *db, *name, *sql; /* of the result */
	const char *on;		     /* likewise, the table of a trigger; else NULL */
	size_t edge;		     /* its first one that has not been followed yet */
	enum visit visit;
	bool wanted;
	const char *lacks; /* stands on this table, which is not selected */
};

struct edge {
	uint64_t from, to;
};

struct definitions {
	PGresult *results[8];
	size_t nresults;
	struct definition *all; /* by key */
	size_t count, cap;
	size_t *order; /* of `all`, by rank */
	struct edge *edges;
	size_t nedges;
	size_t *stack;
};

static uint64_t
key_of(const PGresult *res, int row, int field)
{
	return strtoull(PQgetvalue(res, row, field), NULL, 10) << 32 |
	       strtoull(PQgetvalue(res, row, field + 1), NULL, 10);
}

static enum rc
take(struct definitions *d, struct pgsql *c, enum object_kind kind, const char *sql, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(c, &res, e, "%s", sql);

	if (rc != RC_OK)
		return rc;
	d->results[d->nresults++] = res;
	grow(&d->all, &d->cap, d->count + (size_t)PQntuples(res) + 1, sizeof *d->all);
	for (int i = 0; i < PQntuples(res); i++, d->count++)
		d->all[d->count] = (struct definition){.key = key_of(res, i, 0),
			.rank = d->count,
			.kind = kind,
			.db = PQgetvalue(res, i, 2),
			.name = PQgetvalue(res, i, 3),
			.sql = PQgetvalue(res, i, 4),
			.on = PQnfields(res) > 5 ? PQgetvalue(res, i, 5) : NULL};
	return RC_OK;
}

static int
by_key(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b; /* first in both structs */

	return (*x > *y) - (*x < *y);
}

static enum rc
read_edges(struct definitions *d, struct pgsql *c, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(c, &res, e, "%s", edge_query);

	if (rc != RC_OK)
		return rc;
	d->edges = xcalloc((size_t)PQntuples(res) + 1, sizeof *d->edges);
	for (int i = 0; i < PQntuples(res); i++)
		d->edges[d->nedges++] =
			(struct edge){.from = key_of(res, i, 0), .to = key_of(res, i, 2)};
	PQclear(res);
	return RC_OK;
}

static enum rc
read_all(struct definitions *d, struct pgsql *c, bool triggers, struct err *e)
{
	static const enum object_kind kinds[] = {OBJECT_EXTENSION, OBJECT_TYPE, OBJECT_SEQUENCE,
		OBJECT_FUNCTION, OBJECT_PROCEDURE, OBJECT_TABLE, OBJECT_VIEW, OBJECT_TRIGGER};
	size_t n = COUNT_OF(kinds) - (triggers ? 0 : 1);
	enum rc rc = RC_OK;

	static_assert(COUNT_OF(kinds) <= COUNT_OF(d->results), "a result each");
	for (size_t i = 0; i < n && rc == RC_OK; i++) {
		char *sql = definitions_query(kinds[i], c->version, false);

		rc = take(d, c, kinds[i], sql, e);
		free(sql);
	}
	return rc == RC_OK ? read_edges(d, c, e) : rc;
}

static void
sort(struct definitions *d)
{
	size_t edge = 0;

	qsort(d->all, d->count, sizeof *d->all, by_key);
	d->order = xcalloc(d->count + 1, sizeof *d->order);
	d->stack = xcalloc(d->count + 1, sizeof *d->stack);
	for (size_t i = 0; i < d->count; i++) {
		d->order[d->all[i].rank] = i;
		while (edge < d->nedges && d->edges[edge].from < d->all[i].key)
			edge++;
		d->all[i].edge = edge;
	}
}

/* The next one that `o` stands on and that has not been followed yet; NULL: none is left. */
static struct definition *
next_below(struct definitions *d, struct definition *o)
{
	while (o->edge < d->nedges && d->edges[o->edge].from == o->key) {
		struct definition *below =
			bsearch(&d->edges[o->edge++].to, d->all, d->count, sizeof *d->all, by_key);

		if (below != NULL && below != o)
			return below;
	}
	return NULL;
}

static bool
is_selected(const struct pgsql_source *s, const struct definition *o)
{
	if (strcmp(o->db, conf_str(s->env.conf, "state_schema")) == 0)
		return false;
	if (o->kind == OBJECT_TABLE)
		return routes_table(s->env.routes, o->db, o->name);
	if (o->kind == OBJECT_TRIGGER)
		return routes_table(s->env.routes, o->db, o->on);
	return o->kind != OBJECT_EXTENSION && routes_database(s->env.routes, o->db);
}

bool
definitions_are_whole(const struct pgsql_source *s, const struct table *t)
{
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		const char *name = routes_column(s->env.routes, t->db, t->name, t->columns[i].name);

		if (name == NULL || strcmp(name, t->columns[i].name) != 0)
			return false;
	}
	return true;
}

static void
add(const struct pgsql_source *s, struct definition *o, struct table_list *list,
	struct catalog *out)
{
	struct catalog_object *c;
	size_t i = 0;

	if (o->lacks != NULL && o->kind != OBJECT_TABLE) {
		log_warn("%s %s.%s is left out: it stands on table %s, which is not selected",
			object_name(o->kind), o->db, o->name, o->lacks);
		return;
	}
	if (o->kind == OBJECT_TABLE) {
		while (i < list->count &&
			(list->tables[i] == NULL || strcmp(list->tables[i]->name, o->name) != 0 ||
				strcmp(list->tables[i]->db, o->db) != 0))
			i++;
		if (i == list->count) /* made since: the log brings it */
			return;
	}
	c = catalog_add(out, o->kind, o->db, o->name);
	c->on = o->on != NULL ? xstrdup(o->on) : NULL;
	if (o->kind == OBJECT_TABLE) {
		c->table = list->tables[i];
		list->tables[i] = NULL;
	}
	if (o->kind != OBJECT_TABLE || definitions_are_whole(s, c->table))
		c->sql = xstrdup(o->sql);
}

/* What the wanted one stands on, then itself; those of a circle in the order in which they are met.
 */
static void
visit(const struct pgsql_source *s, struct definitions *d, struct definition *first,
	struct table_list *list, struct catalog *out)
{
	size_t depth = 0;

	d->stack[depth++] = (size_t)(first - d->all);
	first->visit = VISIT_OPEN;
	while (depth != 0) {
		struct definition *o = &d->all[d->stack[depth - 1]], *below = next_below(d, o);

		if (below == NULL) {
			o->visit = VISIT_DONE;
			add(s, o, list, out);
			depth--;
			if (depth != 0 && o->lacks != NULL && o->kind != OBJECT_TABLE)
				d->all[d->stack[depth - 1]].lacks = o->lacks;
		} else if (below->kind == OBJECT_TABLE && !below->wanted) {
			o->lacks = below->name;
		} else if (below->visit == VISIT_DONE && below->kind != OBJECT_TABLE) {
			o->lacks = o->lacks != NULL ? o->lacks : below->lacks;
		} else if (below->visit == VISIT_NONE) {
			below->visit = VISIT_OPEN;
			d->stack[depth++] = (size_t)(below - d->all);
		}
	}
}

/* Of a server that has none of the above: the target makes them of their columns. */
static void
add_tables_alone(const struct pgsql_source *s, struct table_list *list, struct catalog *out)
{
	for (size_t i = 0; i < list->count; i++) {
		struct table *t = list->tables[i];

		if (!pgsource_selects(s, t))
			continue;
		catalog_add(out, OBJECT_TABLE, t->db, t->name)->table = t;
		list->tables[i] = NULL;
	}
}

enum rc
definitions_read(struct pgsql_source *s, struct pgsql *c, struct table_list *list,
	struct catalog *out, struct err *e)
{
	struct definitions d = {0};
	enum rc rc;

	if (s->main.version < 100000) {
		add_tables_alone(s, list, out);
		return RC_OK;
	}
	rc = read_all(&d, c, pgsource_copies_triggers(s), e);
	if (rc == RC_OK)
		sort(&d);
	for (size_t i = 0; rc == RC_OK && i < d.count; i++)
		d.all[i].wanted = is_selected(s, &d.all[i]);
	for (size_t i = 0; rc == RC_OK && i < d.count; i++) {
		struct definition *o = &d.all[d.order[i]];

		if (o->wanted && o->visit == VISIT_NONE)
			visit(s, &d, o, list, out);
	}
	for (size_t i = 0; i < d.nresults; i++)
		PQclear(d.results[i]);
	free(d.all);
	free(d.order);
	free(d.edges);
	free(d.stack);
	return rc;
}
