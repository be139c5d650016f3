/* check.c - the precheck of a PostgreSQL source (spec S8.1): each item with its cause and remedy.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/left_out.h"
#include "workers/reader/pgsql/source.h"

#define CONNECTIVITY "Source database connectivity"
#define PERMISSIONS "Source database permissions"

static char *
ask(struct pgsql *c, const char *sql)
{
	struct err ignored;
	char *value = NULL;

	return pgsql_value(c, &value, &ignored, "%s", sql) == RC_OK ? value : NULL;
}

static bool
check_item(enum rc rc, const char *item, const struct err *e, struct checks *out)
{
	if (rc == RC_OK)
		checks_pass(out, item);
	else
		checks_add(out, CHECK_FAIL, item, e->remedy, "%s", e->text);
	return rc == RC_OK;
}

/* What is of another kind or age would be asked in vain for what follows. */
static bool
check_server(struct pgsql_source *s, struct checks *out)
{
	struct err e;

	if (!check_item(pgsource_check_server(s, &e), "Version of the source database", &e, out))
		return false;
	return check_item(pgsource_check_role(s, &e), "Role of the source database", &e, out);
}

#define TRUNCATES "TRUNCATE in the source database"

/* The log has a partition's rows as its table's, and of its TRUNCATE nothing. */
static void
check_partitions(struct pgsql_source *s, bool noted, struct checks *out)
{
	struct left_out tables;
	struct err ignored;
	PGresult *res;

	if (pgsql_query(&s->main, &res, &ignored,
		    "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = "
		    "c.relnamespace WHERE c.relkind = 'p' AND NOT c.relispartition ORDER BY 1, "
		    "2") != RC_OK)
		return;
	left_out_init(&tables);
	for (int i = 0; i < PQntuples(res); i++)
		if (routes_table(s->env.routes, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1)))
			left_out_add(&tables, PQgetvalue(res, i, 0), "", PQgetvalue(res, i, 1));
	PQclear(res);
	if (noted && tables.count != 0) {
		checks_pass(out, TRUNCATES);
		tables.count = 0;
	}
	left_out_tell(&tables, TRUNCATES,
		"TRUNCATE of a single partition is not in the log, the target keeps its rows",
		"set source.truncate_triggers (with a superuser's account); or DROP or DETACH "
		"partitions, or run `syncline resync` for a table that had one truncated",
		out);
}

/* Where triggers are asked for, and the account may have the source note statements. */
static void
check_truncate(struct pgsql_source *s, struct checks *out)
{
	int version = s->main.version;
	char *super =
		ask(&s->main, "SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper");
	bool noted = conf_bool(s->env.conf, "source.truncate_triggers") && super != NULL &&
		     version >= 90500;

	free(super);
	if (version >= 110000)
		check_partitions(s, noted, out);
	else if (noted)
		checks_pass(out, TRUNCATES);
	else
		checks_add(out, CHECK_WARN, TRUNCATES,
			"set source.truncate_triggers (9.5 and later, with a superuser's account); "
			"or empty tables by DELETE, or run `syncline resync` for a table that was "
			"truncated",
			"PostgreSQL %d.%d does not log TRUNCATE: the target keeps the rows",
			version / 10000, version / 100 % 100);
}

static void
check_wal_level(struct pgsql *c, struct checks *out)
{
	static const char item[] = "Value of wal_level in the source database";
	char *level = ask(c, "SHOW wal_level");

	if (level == NULL || strcmp(level, "logical") != 0)
		checks_add(out, CHECK_FAIL, item,
			"set wal_level = logical at the source and restart it", "wal_level is %s",
			level != NULL ? level : "unknown");
	else
		checks_pass(out, item);
	free(level);
}

/* Text of a database without an encoding is bytes, which may be no characters. */
static void
check_encoding(struct pgsql *c, struct checks *out)
{
	static const char item[] = "Encoding of the source database";
	char *encoding = ask(c, "SHOW server_encoding");

	if (encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0)
		checks_add(out, CHECK_WARN, item,
			"restore a dump of it into a database that is made with ENCODING 'UTF8', "
			"which shows what is wrong",
			"the encoding is SQL_ASCII: text that is not UTF-8 stops the channel at "
			"its row");
	else
		checks_pass(out, item);
	free(encoding);
}

/* A slot and a sender of our own, unless we have them already. */
static void
check_slots(struct pgsql_source *s, struct checks *out)
{
	static const char item[] = "Replication slots of the source database";
	char *sql = xasprintf(
		"SELECT CASE WHEN EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '%s') "
		"THEN '' WHEN (SELECT count(*) FROM pg_replication_slots) >= "
		"current_setting('max_replication_slots')::int THEN 'max_replication_slots' WHEN "
		"(SELECT count(*) FROM pg_stat_replication) >= "
		"current_setting('max_wal_senders')::int THEN 'max_wal_senders' ELSE '' END",
		s->name);
	char *full = ask(&s->main, sql);

	if (full != NULL && *full != '\0')
		checks_add(out, CHECK_FAIL, item,
			"raise it at the source and restart it, or drop what nobody uses any more",
			"all of %s are taken", full);
	else
		checks_pass(out, item);
	free(full);
	free(sql);
}

static void
check_role(struct pgsql *c, struct checks *out)
{
	char *may = ask(
		c, "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user");

	if (may == NULL || *may != 't')
		checks_add(out, CHECK_FAIL, PERMISSIONS,
			"let an administrator run what `syncline check --sql` prints",
			"the account may not replicate: it lacks the attribute REPLICATION");
	else
		checks_pass(out, PERMISSIONS);
	free(may);
}

struct table_rights {
	bool logged;
	bool identity; /* there is one, and changes of the key are seen by it */
	bool full;     /* it is the whole row */
	bool select;
	bool owner;
};

static bool
ask_table(struct pgsql *c, const struct table *t, struct table_rights *out)
{
	struct err ignored;
	PGresult *res;
	struct buf b;
	bool good;

	buf_init(&b);
	pgsql_quote_text(&b, t->db);
	buf_puts(&b, " AND c.relname = ");
	pgsql_quote_text(&b, t->name);
	good = pgsql_query(c, &res, &ignored,
		       "SELECT %s, "
		       "has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, "
		       "'SELECT'), pg_has_role(relowner, 'USAGE'), "
		       "relpersistence = 'p', relreplident = 'f' FROM "
		       "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname "
		       "= %s",
		       pgsource_has_identity(c->version), buf_text(&b)) == RC_OK;
	buf_release(&b);
	if (!good)
		return false;
	if (PQntuples(res) != 1) { /* dropped meanwhile */
		PQclear(res);
		return false;
	}
	*out = (struct table_rights){.identity = *PQgetvalue(res, 0, 0) == 't',
		.select = *PQgetvalue(res, 0, 1) == 't',
		.owner = *PQgetvalue(res, 0, 2) == 't',
		.logged = *PQgetvalue(res, 0, 3) == 't',
		.full = *PQgetvalue(res, 0, 4) == 't'};
	PQclear(res);
	return true;
}

/* What their parents' changes do to children is in the log, as rows: they go on without the key. */
static void
check_parents(struct pgsql_source *s, const struct table *t, struct checks *out)
{
	for (uint32_t i = 0; i < t->nfks; i++)
		if (!routes_table(s->env.routes, t->fks[i].ref_db, t->fks[i].ref_table))
			checks_add(out, CHECK_WARN, "Integrity of FOREIGN KEY constraint",
				"add the parent table to the objects, if the foreign key is wanted "
				"at the target",
				"foreign key %s of %s.%s is left out: its parent %s.%s is not "
				"selected",
				t->fks[i].name, t->db, t->name, t->fks[i].ref_db,
				t->fks[i].ref_table);
}

static void
check_table(struct pgsql_source *s, const struct table *t, bool *identities, struct checks *out)
{
	struct table_rights r;

	check_parents(s, t, out);
	if (!ask_table(&s->main, t, &r))
		return;
	if (!r.identity) {
		*identities = false;
		checks_add(out, CHECK_FAIL, "Replica identity",
			"give it a primary key, or run ALTER TABLE .. REPLICA IDENTITY FULL",
			"%s.%s has " NO_IDENTITY, t->db, t->name);
	}
	if (r.identity && !r.full && conf_is(s->env.conf, "target.kind", "postgresql") &&
		conf_is(s->env.conf, "target.dialect", "greenplum"))
		checks_add(out, CHECK_WARN, "Replica identity",
			"run ALTER TABLE .. REPLICA IDENTITY FULL at the source",
			"%s.%s is not REPLICA IDENTITY FULL: where the target's key has other "
			"columns, its rows are not found",
			t->db, t->name);
	if (!r.logged)
		checks_add(out, CHECK_FAIL, "Logged tables",
			"run ALTER TABLE .. SET LOGGED at the source, or leave it out: exclude = "
			"true",
			"%s.%s is unlogged: its changes are nowhere in the log", t->db, t->name);
	if (!r.select || !r.owner)
		checks_add(out, CHECK_FAIL, PERMISSIONS,
			"let an administrator run what `syncline check --sql` prints",
			"the account %s %s.%s", r.select ? "does not own" : "may not read", t->db,
			t->name);
}

/* Types of the server's own statistics and stored trees: they are printed and not read again. */
static void
check_types(struct pgsql_source *s, struct checks *out)
{
	static const char item[] = "Column types";
	bool good = true;
	struct err e;
	PGresult *res;

	if (pgsql_query(&s->main, &res, &e,
		    "SELECT n.nspname, c.relname, a.attname, t.typname FROM pg_attribute a JOIN "
		    "pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = "
		    "c.relnamespace "
		    "JOIN pg_type t ON t.oid = a.atttypid WHERE c.relkind IN ('r', 'p') AND "
		    "a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_' AND "
		    "t.typinput::text IN ('pg_node_tree_in', 'pg_ndistinct_in', "
		    "'pg_dependencies_in', 'pg_mcv_list_in', 'brin_bloom_summary_in', "
		    "'brin_minmax_multi_summary_in', 'gtsvectorin') ORDER BY 1, 2, a.attnum") !=
		RC_OK)
		return; /* what refuses the catalog is said by check_tables */
	for (int i = 0; i < PQntuples(res); i++) {
		const char *schema = PQgetvalue(res, i, 0), *table = PQgetvalue(res, i, 1),
			   *column = PQgetvalue(res, i, 2);

		if (!routes_table(s->env.routes, schema, table) ||
			routes_column(s->env.routes, schema, table, column) == NULL)
			continue;
		good = false;
		checks_add(out, CHECK_FAIL, item,
			"leave the column out: drop_columns = (\"its name\") in the table's entry "
			"of "
			"objects",
			"column \"%s\" of %s.%s is of the type %s, of which a server takes no "
			"values",
			column, schema, table, PQgetvalue(res, i, 3));
	}
	PQclear(res);
	if (good)
		checks_pass(out, item);
}

/* Those that columns of selected tables are of, or that index them. */
static void
check_extensions(struct pgsql_source *s, struct checks *out)
{
	struct buf names;
	struct err e;
	PGresult *res;

	if (!conf_is(s->env.conf, "target.kind", "postgresql") ||
		pgsql_query(&s->main, &res, &e,
			"SELECT DISTINCT x.extname, n.nspname, c.relname FROM pg_depend m JOIN "
			"pg_extension x ON x.oid = m.refobjid AND m.deptype = 'e' JOIN pg_depend d "
			"ON "
			"d.refclassid = m.classid AND d.refobjid = m.objid LEFT JOIN pg_index i ON "
			"i.indexrelid = d.objid JOIN pg_class c ON c.oid = coalesce(i.indrelid, "
			"d.objid) AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = "
			"c.relnamespace WHERE d.classid = 'pg_class'::regclass ORDER BY 1") !=
			RC_OK)
		return;
	buf_init(&names);
	for (int i = 0; i < PQntuples(res); i++) {
		const char *name = PQgetvalue(res, i, 0);

		if (routes_table(s->env.routes, PQgetvalue(res, i, 1), PQgetvalue(res, i, 2)) &&
			strstr(buf_text(&names), name) == NULL)
			buf_printf(&names, "%s%s", names.len != 0 ? ", " : "", name);
	}
	PQclear(res);
	if (names.len != 0)
		checks_add(out, CHECK_WARN, "Extensions",
			"see that they are installed at the target's host; the account may need an "
			"administrator to run CREATE EXTENSION",
			"the selected tables use %s: the target must have them, too",
			buf_text(&names));
	buf_release(&names);
}

static void
check_tables(struct pgsql_source *s, struct checks *out)
{
	struct table_list list = {0};
	bool identities = true;
	size_t selected = 0;
	struct err e;

	if (pgsql_describe(&s->main, NULL, NULL, &list, &e) != RC_OK) {
		checks_add(out, CHECK_FAIL, PERMISSIONS, "grant the account what it lacks", "%s",
			e.text);
		return;
	}
	for (size_t i = 0; i < list.count; i++)
		if (pgsource_selects(s, list.tables[i])) {
			selected++;
			found_add(&out->found, list.tables[i], "utf8mb4", "", "");
			check_table(s, list.tables[i], &identities, out);
		}
	if (selected == 0)
		checks_add(out, CHECK_WARN, "Objects", "compare the names with those at the source",
			"no existing table is selected");
	else if (identities)
		checks_pass(out, "Replica identity");
	table_list_release(&list);
}

/* The statements that an administrator runs where the account may not. */
static void
print_sql(struct pgsql_source *s, bool connected, struct checks *out)
{
	struct table_list list = {0};
	struct buf b, account;
	struct err ignored;

	buf_init(&b);
	buf_init(&account);
	pgsql_quote_name(&account, conf_str(s->env.conf, "source.user"));
	buf_printf(&b, "-- at the source\nALTER ROLE %s REPLICATION;\n", buf_text(&account));
	if (connected && pgsql_describe(&s->main, NULL, NULL, &list, &ignored) == RC_OK)
		for (size_t i = 0; i < list.count; i++) {
			const struct table *t = list.tables[i];

			if (!pgsource_selects(s, t))
				continue;
			buf_puts(&b, "GRANT USAGE ON SCHEMA ");
			pgsql_quote_name(&b, t->db);
			buf_printf(&b, " TO %s;\n-- or: GRANT (its owner) TO %s\nALTER TABLE ",
				buf_text(&account), buf_text(&account));
			pgsql_quote_table(&b, t->db, t->name);
			buf_printf(&b, " OWNER TO %s;\n", buf_text(&account));
		}
	table_list_release(&list);
	buf_release(&account);
	out->sql = (char *)b.data;
}

enum rc
pgsource_check(struct source *base, bool want_sql, struct checks *out, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	struct err failure;

	(void)e;
	if (pgsql_open(&s->main, s->env.conf, "source", false, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL, CONNECTIVITY, failure.remedy, "%s", failure.text);
		if (want_sql)
			print_sql(s, false, out);
		return RC_OK;
	}
	if (want_sql)
		print_sql(s, true, out);
	checks_pass(out, CONNECTIVITY);
	if (!check_server(s, out))
		return RC_OK;
	check_truncate(s, out);
	check_wal_level(&s->main, out);
	check_encoding(&s->main, out);
	check_slots(s, out);
	check_role(&s->main, out);
	check_tables(s, out);
	check_types(s, out);
	check_extensions(s, out);
	pgsource_check_left_out(s, out);
	return RC_OK;
}
