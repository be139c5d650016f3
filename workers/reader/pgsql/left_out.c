/*
 * left_out.c - what selected schemas and tables have that is not carried, named in the
 * precheck; see source.h of the room.
 *
 * Each row asks for one kind of object: its schema, the table that it belongs
 * to ('': none, it belongs to the schema) and its name. What belongs to an
 * extension comes with that.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/left_out.h"
#include "workers/reader/pgsql/note.h"

#define TRIGGERS "Triggers"
#define MAKE_FIRST \
	"make them at the target by hand, before the channel starts, where tables need them"

#define GRANT_THERE "grant them at the target by hand, if they are wanted there"

#define COPIED                                                                                  \
	"have the tables that they write among the objects: their rows come from the source's " \
	"log, the copies do nothing for rows of ours"

/* To whom it is told: all; who gets tables alone - from a server before 10, or another engine;
 * other engines; who does not copy triggers; who does, of those that it does not; and of those that
 * it does. */
enum targets { ALL_TARGETS, TABLES_ALONE, OTHER_ENGINES, WITHOUT_TRIGGERS, WITH_TRIGGERS, COPIES };

/* clang-format off */
#define OF_TABLE(catalog, relation) \
	"FROM " catalog " o JOIN pg_class c ON c.oid = o." relation " JOIN pg_namespace n ON " \
	"n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v') AND "
#define OF_SCHEMA(catalog, name, schema) \
	"SELECT n.nspname, '', o." name " FROM " catalog " o JOIN pg_namespace n ON n.oid = o." \
	schema " WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.deptype = 'e' AND x.classid " \
	"= '" catalog "'::regclass AND x.objid = o.oid) AND "

#define TRIGGERS_WHERE \
	"SELECT n.nspname, c.relname, o.tgname " OF_TABLE("pg_trigger", "tgrelid") \
	"NOT o.tgisinternal AND o.tgname <> '" TRUNCATE_TRIGGER "' AND "

#define WITH_DEFAULT \
	"SELECT n.nspname, c.relname, o.attname FROM pg_attribute o JOIN pg_class c ON c.oid = " \
	"o.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') " \
	"AND o.attnum > 0 AND NOT o.attisdropped AND "

#define STORED_OTHERWISE \
	"SELECT n.nspname, c.relname, o.attname FROM pg_attribute o JOIN pg_type t ON t.oid = o.atttypid " \
	"JOIN pg_class c ON c.oid = o.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " \
	"c.relkind IN ('r', 'p') AND o.attnum > 0 AND NOT o.attisdropped AND (o.attstorage <> " \
	"t.typstorage OR coalesce(o.attstattarget, -1) <> -1 OR o.attoptions IS NOT NULL OR "

#define OF_INDEX \
	"SELECT n.nspname, c.relname, i.relname FROM pg_index o JOIN pg_class i ON i.oid = o.indexrelid " \
	"JOIN pg_class c ON c.oid = o.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " \
	"c.relkind IN ('r', 'p') AND "

/* A range has functions of its own. */
#define NOT_MADE_WITH \
	"NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = " \
	"o.oid AND d.deptype = 'i')"

static const struct kind {
	const char *what;
	int since, until; /* versions of the server that have it; until: 0: all later */
	enum targets targets;
	const char *remedy;
	const char *query;
} kinds[] = {
	{"triggers", 130000, 0, WITHOUT_TRIGGERS, LEFT_OUT_EFFECTS, TRIGGERS_WHERE "o.tgparentid = 0"},
	{"triggers", 0, 129999, WITHOUT_TRIGGERS, LEFT_OUT_EFFECTS, TRIGGERS_WHERE "true"},
	{"triggers that are copied", 130000, 0, COPIES, COPIED,
		TRIGGERS_WHERE "o.tgparentid = 0 AND o.tgenabled <> 'R'"},
	{"triggers that are copied", 0, 129999, COPIES, COPIED,
		TRIGGERS_WHERE "o.tgenabled <> 'R'"},
	{"triggers that fire for replicated rows alone, and are not copied", 0, 0, WITH_TRIGGERS,
		LEFT_OUT_EFFECTS, TRIGGERS_WHERE "o.tgenabled = 'R'"},
	{"rules", 0, 0, ALL_TARGETS, LEFT_OUT_EFFECTS,
		"SELECT n.nspname, c.relname, o.rulename " OF_TABLE("pg_rewrite", "ev_class")
		"o.rulename <> '_RETURN'"},
	{"row security policies", 0, 0, ALL_TARGETS, LEFT_OUT_MAKE,
		"SELECT n.nspname, c.relname, o.polname " OF_TABLE("pg_policy", "polrelid") "true"},
	{"rights of others (GRANT)", 0, 0, ALL_TARGETS, GRANT_THERE,
		"SELECT DISTINCT n.nspname, c.relname, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE "
		"pg_get_userbyid(a.grantee)::text END FROM pg_class c "
		"JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL "
		"aclexplode(c.relacl) a WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND a.grantee <> "
		"c.relowner AND pg_get_userbyid(a.grantee) <> current_user"},
	{"rights to columns (GRANT)", 0, 0, ALL_TARGETS, GRANT_THERE,
		"SELECT n.nspname, c.relname, o.attname " OF_TABLE("pg_attribute", "attrelid")
		"o.attacl IS NOT NULL"},
	{"rights to functions (GRANT, REVOKE)", 0, 0, ALL_TARGETS, GRANT_THERE,
		OF_SCHEMA("pg_proc", "proname", "pronamespace") "o.proacl IS NOT NULL"},
	{"rights to types (GRANT, REVOKE)", 0, 0, ALL_TARGETS, GRANT_THERE,
		OF_SCHEMA("pg_type", "typname", "typnamespace") "o.typacl IS NOT NULL"},
	{"rights to schemas (GRANT)", 0, 0, ALL_TARGETS, GRANT_THERE,
		"SELECT DISTINCT n.nspname, '', ' to ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE "
		"pg_get_userbyid(a.grantee)::text END FROM pg_namespace n CROSS JOIN LATERAL "
		"aclexplode(n.nspacl) a WHERE a.grantee <> n.nspowner AND "
		"pg_get_userbyid(a.grantee) <> current_user"},
	{"constraints that are NOT VALID", 0, 0, ALL_TARGETS,
		"ALTER TABLE .. VALIDATE CONSTRAINT at the source, if its rows are as it says; at the "
		"target rows that are not would stop the load",
		"SELECT n.nspname, c.relname, o.conname " OF_TABLE("pg_constraint", "conrelid")
		"o.contype = 'c' AND NOT o.convalidated"},
	{"foreign keys of single partitions", 100000, 0, ALL_TARGETS, LEFT_OUT_MAKE,
		"SELECT n.nspname, r.relname, c.relname || ' ' || o.conname FROM pg_constraint o JOIN "
		"pg_class c ON c.oid = o.conrelid AND c.relispartition JOIN pg_namespace n ON n.oid = "
		"c.relnamespace JOIN pg_class r ON r.oid = (WITH RECURSIVE p (oid) AS (SELECT c.oid "
		"UNION ALL SELECT h.inhparent FROM p JOIN pg_inherits h ON h.inhrelid = p.oid) SELECT "
		"p.oid FROM p WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = p.oid)) "
		"WHERE o.contype = 'f' AND o.coninhcount = 0"},
	{"comments of foreign keys", 0, 0, ALL_TARGETS, LEFT_OUT_MAKE,
		"SELECT n.nspname, c.relname, o.conname " OF_TABLE("pg_constraint", "conrelid")
		"o.contype = 'f' AND obj_description(o.oid, 'pg_constraint') IS NOT NULL"},
	{"how columns are stored (STORAGE, COMPRESSION, STATISTICS, options)", 140000, 0, ALL_TARGETS,
		LEFT_OUT_MAKE, STORED_OTHERWISE "o.attcompression <> '')"},
	{"how columns are stored (STORAGE, STATISTICS, options)", 0, 139999, ALL_TARGETS, LEFT_OUT_MAKE,
		STORED_OTHERWISE "false)"},
	{"what tables are clustered by", 0, 0, ALL_TARGETS, LEFT_OUT_MAKE, OF_INDEX "o.indisclustered"},
	{"replica identities that are an index", 0, 0, ALL_TARGETS, LEFT_OUT_MAKE,
		OF_INDEX "o.indisreplident"},
	{"extended statistics", 100000, 0, ALL_TARGETS, LEFT_OUT_MAKE,
		"SELECT n.nspname, c.relname, o.stxname " OF_TABLE("pg_statistic_ext", "stxrelid")
		"true"},
	{"foreign tables", 0, 0, ALL_TARGETS,
		"nothing need be done: their rows are another server's; or exclude them",
		"SELECT n.nspname, '', o.relname FROM pg_class o JOIN pg_namespace n ON n.oid = "
		"o.relnamespace WHERE o.relkind = 'f'"},
	{"aggregates", 110000, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_proc", "proname", "pronamespace") "o.prokind = 'a'"},
	{"aggregates", 0, 109999, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_proc", "proname", "pronamespace") "o.proisagg"},
	{"operators", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_operator", "oprname", "oprnamespace") "true"},
	{"operator classes", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_opclass", "opcname", "opcnamespace") "true"},
	{"operator families", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_opfamily", "opfname", "opfnamespace") "NOT EXISTS (SELECT FROM "
		"pg_opclass k WHERE k.opcfamily = o.oid)"},
	{"collations", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_collation", "collname", "collnamespace") "true"},
	{"conversions", 0, 0, ALL_TARGETS, LEFT_OUT_MAKE,
		OF_SCHEMA("pg_conversion", "conname", "connamespace") "true"},
	{"base types", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_type", "typname", "typnamespace") "o.typtype = 'b' AND "
		"o.typcategory <> 'A'"},
	{"text search configurations", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_ts_config", "cfgname", "cfgnamespace") "true"},
	{"text search dictionaries", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_ts_dict", "dictname", "dictnamespace") "true"},
	{"text search parsers", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_ts_parser", "prsname", "prsnamespace") "true"},
	{"text search templates", 0, 0, ALL_TARGETS, MAKE_FIRST,
		OF_SCHEMA("pg_ts_template", "tmplname", "tmplnamespace") "true"},
	{"views", 0, 0, TABLES_ALONE, LEFT_OUT_MAKE,
		OF_SCHEMA("pg_class", "relname", "relnamespace") "o.relkind IN ('v', 'm')"},
	{"sequences that no column counts by", 0, 0, TABLES_ALONE, LEFT_OUT_MAKE,
		OF_SCHEMA("pg_class", "relname", "relnamespace") "o.relkind = 'S' AND NOT EXISTS "
		"(SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = "
		"o.oid AND d.deptype IN ('a', 'i'))"},
	{"functions and procedures", 110000, 0, TABLES_ALONE, LEFT_OUT_MAKE,
		OF_SCHEMA("pg_proc", "proname", "pronamespace") "o.prokind <> 'a' AND " NOT_MADE_WITH},
	{"functions and procedures", 0, 109999, TABLES_ALONE, LEFT_OUT_MAKE,
		OF_SCHEMA("pg_proc", "proname", "pronamespace") "NOT o.proisagg AND "
		NOT_MADE_WITH},
	{"defaults and identities", 120000, 0, TABLES_ALONE, LEFT_OUT_ROWS_HAVE,
		WITH_DEFAULT "o.attgenerated = '' AND (o.atthasdef OR o.attidentity <> '')"},
	{"defaults", 0, 119999, TABLES_ALONE, LEFT_OUT_ROWS_HAVE, WITH_DEFAULT "o.atthasdef"},
	{"constraints (CHECK, EXCLUDE)", 0, 0, TABLES_ALONE, LEFT_OUT_ROWS_HAVE,
		"SELECT n.nspname, c.relname, o.conname " OF_TABLE("pg_constraint", "conrelid")
		"o.contype IN ('c', 'x')"},
	{"constraints that can be deferred (plain indexes there)", 0, 0, OTHER_ENGINES,
		LEFT_OUT_ROWS_HAVE,
		"SELECT n.nspname, c.relname, o.conname " OF_TABLE("pg_constraint", "conrelid")
		"o.contype IN ('p', 'u') AND o.condeferrable"},
	{"foreign keys", 0, 0, OTHER_ENGINES, LEFT_OUT_ROWS_HAVE,
		"SELECT n.nspname, c.relname, o.conname " OF_TABLE("pg_constraint", "conrelid")
		"o.contype = 'f'"},
};
/* clang-format on */

static bool
is_selected(const struct pgsql_source *s, const PGresult *res, int i)
{
	const char *schema = PQgetvalue(res, i, 0), *table = PQgetvalue(res, i, 1);

	return strcmp(schema, conf_str(s->env.conf, "state_schema")) != 0 &&
	       (*table != '\0' ? routes_table(s->env.routes, schema, table)
			       : routes_database(s->env.routes, schema));
}

static enum rc
check_kind(
	struct pgsql_source *s, const struct kind *k, bool *any, struct checks *out, struct err *e)
{
	struct left_out names;
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"%s AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1, 2, 3",
		k->query);

	if (rc != RC_OK)
		return rc;
	left_out_init(&names);
	for (int i = 0; i < PQntuples(res); i++)
		if (is_selected(s, res, i))
			left_out_add(&names, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
				PQgetvalue(res, i, 2));
	PQclear(res);
	if (left_out_tell(
		    &names, k->targets == COPIES ? TRIGGERS : LEFT_OUT, k->what, k->remedy, out))
		*any = true;
	return RC_OK;
}

void
pgsource_check_left_out(struct pgsql_source *s, struct checks *out)
{
	int version = s->main.version;
	bool other = !conf_is(s->env.conf, "target.kind", "postgresql"),
	     alone = other || version < 100000, copies = pgsource_copies_triggers(s) && !alone;
	bool any = false;
	struct err e;

	if (!conf_has_word(s->env.conf, "initial", "schema"))
		return;
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (version < k->since || (k->until != 0 && version > k->until) ||
			(k->targets == TABLES_ALONE && !alone) ||
			(k->targets == OTHER_ENGINES && !other) ||
			(k->targets == WITHOUT_TRIGGERS && copies) ||
			((k->targets == WITH_TRIGGERS || k->targets == COPIES) && !copies))
			continue;
		if (check_kind(s, k, &any, out, &e) != RC_OK) {
			checks_add(out, CHECK_WARN, LEFT_OUT, "look for them yourself",
				"%s cannot be listed: %s", k->what, e.text);
			return;
		}
	}
	if (!any)
		checks_pass(out, LEFT_OUT);
}
