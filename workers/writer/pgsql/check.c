/* check.c - the precheck of a PostgreSQL target (spec S8.1): each item with its cause and remedy.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "workers/writer/pgsql/sink.h"

#define PERMISSIONS "Destination database permissions"
#define CONNECTIVITY "Destination database connectivity"

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
		checks_add(out, CHECK_WARN, PERMISSIONS,
			"let an administrator run what `syncline check --sql` prints",
			"the account may not set session_replication_role: foreign keys act "
			"on rows that are loaded, and on what the source's cascades have done");
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

/* Names under intercept: only those that can be known without the source. */
static void
check_names(struct pgsql_sink *s, struct checks *out)
{
	static const char item[] = "Schema name conflict";
	bool failed = false;

	if (!conf_is(s->env.conf, "existing", "intercept") ||
		conf_count(s->env.conf, "initial") == 0)
		return;
	for (size_t i = 0; i < conf_count(s->env.conf, "objects") && !is_begun(s); i++) {
		const char *db = conf_strf(s->env.conf, "objects[%zu].database", i),
			   *table = conf_strf(s->env.conf, "objects[%zu].table", i);
		char *found = NULL;
		struct err ignored;
		struct buf b;

		if (db == NULL || table == NULL || strpbrk(db, "*?") != NULL ||
			strpbrk(table, "*?") != NULL)
			continue;
		buf_init(&b);
		pgsql_quote_text(&b, routes_table_db(s->env.routes, db, table));
		buf_puts(&b, " AND tablename = ");
		pgsql_quote_text(&b, routes_target_table(s->env.routes, db, table));
		if (pgsql_value(&s->main, &found, &ignored,
			    "SELECT tablename FROM pg_tables WHERE schemaname = %s",
			    buf_text(&b)) == RC_OK &&
			found != NULL) {
			failed = true;
			checks_add(out, CHECK_FAIL, item, SINK_INTERCEPT_REMEDY,
				"target table %s.%s exists",
				routes_table_db(s->env.routes, db, table), found);
		}
		free(found);
		buf_release(&b);
	}
	if (!failed)
		checks_pass(out, item);
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
		checks_add(out, CHECK_FAIL, CONNECTIVITY,
			"check host, port, database, user and password, pg_hba.conf, and firewalls "
			"in between",
			"%s", failure.text);
		return RC_OK;
	}
	checks_pass(out, CONNECTIVITY);
	check_rights(s, out);
	check_names(s, out);
	return RC_OK;
}
