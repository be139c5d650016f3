/* check.c - the precheck of a PostgreSQL target (spec S8.1): each item with its cause and remedy.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "workers/writer/pgsql/sink.h"

#define PERMISSIONS "Destination database permissions"
#define CONNECTIVITY "Destination database connectivity"
#define CONFLICT "Schema name conflict"
#define TYPES "Column types"
#define KEYS "Keys of the destination tables"

/* The target's schema of an entry of `objects`; NULL: a pattern. */
static const char *
target_schema(const struct pgsql_sink *s, size_t i)
{
	const char *db = conf_strf(s->env.conf, "objects[%zu].database", i),
		   *table = conf_strf(s->env.conf, "objects[%zu].table", i);

	if (db == NULL || strpbrk(db, "*?") != NULL)
		return NULL;
	return table != NULL && strpbrk(table, "*?") == NULL
		       ? routes_table_db(s->env.routes, db, table)
		       : routes_target_db(s->env.routes, db);
}

/* The statements that an administrator runs where the account may not. */
static void
print_sql(const struct pgsql_sink *s, struct checks *out)
{
	struct buf b, account, database;

	buf_init(&b);
	buf_init(&account);
	buf_init(&database);
	pgsql_quote_name(&account, conf_str(s->env.conf, "target.user"));
	pgsql_quote_name(&database, conf_str(s->env.conf, "target.database"));
	buf_printf(&b,
		"-- at the target, connected to %s\nGRANT CREATE, TEMPORARY ON DATABASE %s TO %s;\n"
		"CREATE SCHEMA IF NOT EXISTS %s AUTHORIZATION %s;\n",
		buf_text(&database), buf_text(&database), buf_text(&account), s->state,
		buf_text(&account));
	for (size_t i = 0; i < pgsink_state_count(); i++) {
		pgsink_state_sql(s, i, &b);
		buf_puts(&b, ";\n");
	}
	buf_printf(&b, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s;\n",
		s->state, buf_text(&account));
	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++) {
		const char *schema = target_schema(s, i);

		if (schema == NULL ||
			strcmp(conf_strf(s->env.conf, "objects[%zu].exclude", i) != NULL
					? conf_strf(s->env.conf, "objects[%zu].exclude", i)
					: "false",
				"true") == 0)
			continue;
		buf_puts(&b, "CREATE SCHEMA IF NOT EXISTS ");
		pgsql_quote_name(&b, schema);
		buf_printf(&b, " AUTHORIZATION %s;\n", buf_text(&account));
	}
	buf_printf(&b,
		"-- foreign keys while tables load (PostgreSQL 15 and later; before: a superuser)\n"
		"GRANT SET ON PARAMETER session_replication_role TO %s;\n",
		buf_text(&account));
	buf_release(&account);
	buf_release(&database);
	out->sql = (char *)b.data;
}

/* True: the query's answer is 't', or nothing was to be asked. */
static bool
holds(struct pgsql_sink *s, const char *sql)
{
	struct err ignored;
	char *answer = NULL;
	bool yes = pgsql_value(&s->main, &answer, &ignored, "%s", sql) == RC_OK &&
		   (answer == NULL || *answer == 't');

	free(answer);
	return yes;
}

static bool
check_state(struct pgsql_sink *s, struct checks *out)
{
	struct err e;

	if (pgsql_run(&s->main, &e, "SELECT 1 FROM %s.checkpoint LIMIT 1", s->state) == RC_OK ||
		holds(s, "SELECT has_database_privilege(current_database(), 'CREATE')"))
		return true;
	checks_add(out, CHECK_FAIL, PERMISSIONS,
		"let an administrator run what `syncline check --sql` prints",
		"the account may not make the schema %s, where our own tables live", s->state);
	return false;
}

static bool
check_schema(struct pgsql_sink *s, const char *schema, struct checks *out)
{
	struct buf b;
	bool good;

	buf_init(&b);
	buf_puts(&b, "SELECT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM "
		     "pg_namespace WHERE nspname = ");
	pgsql_quote_text(&b, schema);
	buf_puts(&b, "), has_database_privilege(current_database(), 'CREATE'))");
	good = holds(s, buf_text(&b));
	buf_release(&b);
	if (!good)
		checks_add(out, CHECK_FAIL, PERMISSIONS,
			"let an administrator run what `syncline check --sql` prints",
			"the account lacks CREATE on schema %s", schema);
	return good;
}

static void
check_rights(struct pgsql_sink *s, struct checks *out)
{
	bool good = check_state(s, out);
	struct err ignored;

	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++)
		if (target_schema(s, i) != NULL)
			good = check_schema(s, target_schema(s, i), out) && good;
	if (pgsql_exec(&s->main, "SET session_replication_role = replica", &ignored) != RC_OK) {
		bool copies = conf_is(s->env.conf, "triggers", "copy");

		checks_add(out, copies ? CHECK_FAIL : CHECK_WARN, PERMISSIONS,
			"let an administrator run what `syncline check --sql` prints",
			"the account may not set session_replication_role: %s",
			copies ? "the copies of triggers would do once more what rows of ours "
				 "bring"
			       : "foreign keys act on rows that are loaded, and on what the "
				 "source's cascades have done");
		return;
	}
	if (good)
		checks_pass(out, PERMISSIONS);
}

/* Whether the channel's first position is stored: then its tables are its own. */
static bool
is_begun(struct pgsql_sink *s)
{
	struct err ignored;
	char *known = NULL;
	struct buf b;
	bool begun;

	buf_init(&b);
	pgsql_quote_text(&b, s->env.channel);
	begun = pgsql_value(&s->main, &known, &ignored,
			"SELECT 1 FROM %s.checkpoint WHERE applied IS NOT NULL AND channel = %s",
			s->state, buf_text(&b)) == RC_OK &&
		known != NULL;
	free(known);
	buf_release(&b);
	return begun;
}

static bool
is_there(struct pgsql_sink *s, const struct buf *literal)
{
	struct err ignored;
	char *found = NULL;
	bool there = pgsql_value(&s->main, &found, &ignored, "SELECT to_regclass(%s)",
			     buf_text(literal)) == RC_OK &&
		     found != NULL;

	free(found);
	return there;
}

static bool
has_rows(struct pgsql_sink *s, const struct buf *table)
{
	struct err ignored;
	char *one = NULL;
	bool has = pgsql_value(&s->main, &one, &ignored, "SELECT 1 FROM %s LIMIT 1",
			   buf_text(table)) == RC_OK &&
		   one != NULL;

	free(one);
	return has;
}

/* Under which a table may exist, or must. */
static bool
check_existing(struct pgsql_sink *s, const struct found_table *t, const struct buf *table,
	bool there, struct checks *out)
{
	bool makes = conf_has_word(s->env.conf, "initial", "schema"),
	     intercepts = sink_existing(s->env.conf) == EXISTING_INTERCEPT;

	if (makes && intercepts && there)
		checks_add(out, CHECK_FAIL, CONFLICT, SINK_INTERCEPT_REMEDY,
			"target table %s exists already (source table %s.%s)", buf_text(table),
			t->db, t->name);
	else if (!makes && !there)
		checks_add(out, CHECK_FAIL, CONFLICT, sink_create_remedy(s->env.conf),
			"target table %s does not exist (source table %s.%s)", buf_text(table),
			t->db, t->name);
	else if (!makes && intercepts && conf_has_word(s->env.conf, "initial", "data") &&
		 has_rows(s, table))
		checks_add(out, CHECK_FAIL, CONFLICT,
			"empty it, or set existing = \"ignore\", which keeps them, or \"clear\", "
			"which does not",
			"target table %s has rows (source table %s.%s)", buf_text(table), t->db,
			t->name);
	else
		return true;
	return false;
}

/* What is done to a table that is there already (spec S2.3, A-PG7). */
static bool
check_table_rights(struct pgsql_sink *s, const struct buf *table, const struct buf *literal,
	struct checks *out)
{
	char *lacks = NULL;
	struct err ignored;

	if (pgsql_value(&s->main, &lacks, &ignored,
		    "SELECT nullif(concat_ws(', ', CASE WHEN NOT has_table_privilege(c.oid, "
		    "'SELECT') THEN 'SELECT' END, CASE WHEN NOT has_table_privilege(c.oid, "
		    "'INSERT') THEN 'INSERT' END, CASE WHEN NOT has_table_privilege(c.oid, "
		    "'UPDATE') THEN 'UPDATE' END, CASE WHEN NOT has_table_privilege(c.oid, "
		    "'DELETE') THEN 'DELETE' END, CASE WHEN NOT has_table_privilege(c.oid, "
		    "'TRUNCATE') THEN 'TRUNCATE' END, CASE WHEN NOT pg_has_role(c.relowner, "
		    "'USAGE') AND %s THEN 'ALTER TABLE (it is not its owner)' END), '') FROM "
		    "pg_class c WHERE c.oid = %s::regclass",
		    conf_is(s->env.conf, "ddl", "carry") ? "true" : "false",
		    buf_text(literal)) != RC_OK ||
		lacks == NULL)
		return true;
	checks_add(out, CHECK_FAIL, PERMISSIONS,
		"let the table's owner GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON it TO the "
		"account, and make the account a member of its role",
		"the account lacks %s on target table %s", lacks, buf_text(table));
	free(lacks);
	return false;
}

/* Columns that stay behind, and keys that the target wants. */
static bool
check_shape(struct pgsql_sink *s, const struct found_table *t, bool there, struct checks *out)
{
	uint32_t *pick = xcalloc(t->table->ncolumns, sizeof *pick);
	struct table *carried = routes_pick(s->env.routes, t->table, pick);
	struct pgsql_shape shape = {0};
	bool good = true;
	struct err e;

	for (uint32_t i = 0; i < t->table->ncolumns; i++)
		if (routes_lacks_type(s->env.routes, &t->table->columns[i]) &&
			routes_column(s->env.routes, t->db, t->name, t->table->columns[i].name) !=
				NULL)
			checks_add(out, CHECK_WARN, TYPES,
				"change its type at the source, if its values are wanted there",
				"column \"%s\" of %s.%s is of the type %s and is left out",
				t->table->columns[i].name, t->db, t->name,
				t->table->columns[i].native);
	if ((there ? pgsink_check_cascades(s, carried, &e)
		   : pgsink_shape(s, carried, &shape, &e)) != RC_OK) {
		checks_add(out, CHECK_FAIL, KEYS, e.remedy, "%s", e.text);
		good = false;
	}
	pgsink_shape_release(&shape);
	table_free(carried);
	free(pick);
	return good;
}

/* One that was made by hand must have a key, too. */
static bool
check_key(struct pgsql_sink *s, const struct buf *table, const struct buf *literal,
	struct checks *out)
{
	struct buf b;
	bool has;

	buf_init(&b);
	buf_printf(&b,
		"SELECT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = %s::regclass AND "
		"indisprimary)",
		buf_text(literal));
	has = holds(s, buf_text(&b));
	buf_release(&b);
	if (!has)
		checks_add(out, CHECK_FAIL, KEYS, "add one: ALTER TABLE .. ADD PRIMARY KEY",
			"target table %s has no primary key", buf_text(table));
	return has;
}

static void
check_table(struct pgsql_sink *s, const struct found_table *t, bool begun, uint32_t *losing,
	struct checks *out)
{
	struct buf table, literal;
	bool there, good = true;

	buf_init(&table);
	buf_init(&literal);
	pgsql_quote_table(&table, routes_table_db(s->env.routes, t->db, t->name),
		routes_target_table(s->env.routes, t->db, t->name));
	pgsql_quote_text(&literal, buf_text(&table));
	there = is_there(s, &literal);
	if (s->dialect->distributed) {
		good = check_shape(s, t, there, out);
		if (there)
			good = check_key(s, &table, &literal, out) && good;
		if (good)
			checks_pass_rest(out, KEYS);
	}
	if (!begun) {
		check_existing(s, t, &table, there, out);
		sink_check_columns(&s->base, &s->env, t, there, losing, out);
	}
	if (there)
		check_table_rights(s, &table, &literal, out);
	buf_release(&table);
	buf_release(&literal);
}

static void
check_tables(struct pgsql_sink *s, struct checks *out)
{
	bool begun = is_begun(s);
	uint32_t losing = 0;

	for (uint32_t i = 0; i < s->env.found->count; i++)
		check_table(s, &s->env.found->tables[i], begun, &losing, out);
	if (s->env.found->count == 0)
		return;
	checks_pass_rest(out, CONFLICT);
	checks_pass_rest(out, SINK_TYPES);
}

/* Where UPDATE and DELETE lock whole tables, lanes wait for each other. */
static void
check_lanes(struct pgsql_sink *s, struct checks *out)
{
	struct err ignored;
	char *detects = NULL;

	if (s->dialect->distributed && conf_int(s->env.conf, "lanes") > 1 &&
		pgsql_value(&s->main, &detects, &ignored,
			"SELECT current_setting('gp_enable_global_deadlock_detector')") == RC_OK &&
		detects != NULL && strcmp(detects, "off") == 0)
		checks_add(out, CHECK_WARN, "Locks of the destination database",
			"set gp_enable_global_deadlock_detector = on there and restart it, or "
			"lanes = 1 here",
			"UPDATE and DELETE lock whole tables: lanes wait for each other");
	free(detects);
}

/* All text comes as UTF-8 and is stored as what the database is in. */
static void
check_encoding(struct pgsql_sink *s, struct checks *out)
{
	static const char item[] = "Encoding of the destination database";
	struct err ignored;
	char *encoding = NULL;

	if (pgsql_value(&s->main, &encoding, &ignored, "SHOW server_encoding") == RC_OK &&
		encoding != NULL && strcmp(encoding, "UTF8") != 0)
		checks_add(out, CHECK_WARN, item,
			"make the database with ENCODING 'UTF8' (and TEMPLATE template0)",
			"the encoding is %s: text with a character that it lacks stops the channel "
			"at its row",
			encoding);
	else
		checks_pass(out, item);
	free(encoding);
}

static bool
check_dialect(struct pgsql_sink *s, struct checks *out)
{
	static const char item[] = "Version of the destination database";
	struct err e;

	if (pgsink_check_dialect(s, &e) == RC_OK) {
		checks_pass(out, item);
		return true;
	}
	checks_add(out, CHECK_FAIL, item, e.remedy, "%s", e.text);
	return false;
}

enum rc
pgsink_check(struct sink *base, bool want_sql, struct checks *out, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	struct err failure;

	(void)e;
	if (want_sql)
		print_sql(s, out);
	if (pgsql_open(&s->main, s->env.conf, "target", false, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL, CONNECTIVITY, failure.remedy, "%s", failure.text);
		return RC_OK;
	}
	checks_pass(out, CONNECTIVITY);
	if (!check_dialect(s, out))
		return RC_OK;
	check_encoding(s, out);
	check_rights(s, out);
	check_lanes(s, out);
	check_tables(s, out);
	return RC_OK;
}
