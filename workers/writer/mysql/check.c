/* check.c - the precheck of a MySQL target (spec S8.1): each item with its cause and remedy. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/quote.h"
#include "common/mysql/rights.h"
#include "workers/writer/mysql/sink.h"

#define PERMISSIONS "Destination database permissions"
#define ROW_RIGHTS "SELECT,INSERT,UPDATE,DELETE"
#define DDL_RIGHTS \
	"CREATE,DROP,ALTER,INDEX,REFERENCES,CREATE VIEW,SHOW VIEW,CREATE ROUTINE,ALTER ROUTINE"

/* The target's database of an entry of `objects`; NULL: a pattern. */
static const char *
target_db(const struct mysql_sink *s, size_t i)
{
	const char *db = conf_strf(s->env.conf, "objects[%zu].database", i),
		   *table = conf_strf(s->env.conf, "objects[%zu].table", i);

	if (db == NULL || strpbrk(db, "*?") != NULL)
		return NULL;
	return table != NULL && strpbrk(table, "*?") == NULL
		       ? routes_table_db(s->env.routes, db, table)
		       : routes_target_db(s->env.routes, db);
}

static const char *
rights_wanted(const struct mysql_sink *s)
{
	return conf_is(s->env.conf, "triggers", "copy") ? ROW_RIGHTS "," DDL_RIGHTS ",TRIGGER"
							: ROW_RIGHTS "," DDL_RIGHTS;
}

/* The statements that an administrator runs where the account may not. */
static void
print_sql(struct mysql_sink *s, bool connected, struct checks *out)
{
	struct buf b, account;
	struct err ignored;

	buf_init(&b);
	buf_init(&account);
	if (!connected || rights_account(&s->main, &account, &ignored) != RC_OK) {
		buf_clear(&account);
		buf_printf(&account, "'%s'@'%%'", conf_str(s->env.conf, "target.user"));
	}
	buf_printf(&b, "-- at the target\nCREATE DATABASE IF NOT EXISTS %s;\n", s->state);
	for (size_t i = 0; i < sink_state_count(); i++) {
		sink_state_sql(s, i, &b);
		buf_puts(&b, ";\n");
	}
	buf_printf(&b, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s.* TO %s;\n", s->state,
		buf_text(&account));
	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++) {
		const char *db = target_db(s, i);

		buf_printf(&b, "GRANT %s ON ", rights_wanted(s));
		if (db != NULL)
			mysql_quote_name(&b, db);
		else
			buf_putc(&b, '*');
		buf_printf(&b, ".* TO %s;\n", buf_text(&account));
	}
	buf_release(&account);
	out->sql = (char *)b.data;
}

static void
lacks_right(
	const struct mysql_sink *s, struct checks *out, enum check_result result, const char *what)
{
	char *remedy = xasprintf(
		"let an administrator run what `syncline check --sql %s` prints", s->env.channel);

	checks_add(out, result, PERMISSIONS, remedy, "%s", what);
	free(remedy);
}

static bool
check_state(struct mysql_sink *s, struct checks *out)
{
	struct err e;

	if (client_run(&s->main, &e, "SELECT 1 FROM %s.checkpoint LIMIT 1", s->state) == RC_OK ||
		client_run(&s->main, &e, "CREATE DATABASE IF NOT EXISTS %s", s->state) == RC_OK)
		return true;
	err_context(&e, "the account may not make our own tables in %s", s->state);
	lacks_right(s, out, CHECK_FAIL, e.text);
	return false;
}

static bool
check_database(struct mysql_sink *s, const char *db, struct checks *out)
{
	struct buf missing;
	bool certain, good;
	struct err e;

	buf_init(&missing);
	if (rights_missing(&s->main, db, rights_wanted(s), &missing, &certain, &e) != RC_OK) {
		checks_add(out, CHECK_WARN, PERMISSIONS, "look at SHOW GRANTS yourself",
			"the account's rights cannot be told: %s", e.text);
		buf_release(&missing);
		return false;
	}
	good = missing.len == 0;
	if (!good) {
		char *what = xasprintf("the account lacks %s on %s at the %s%s", buf_text(&missing),
			db != NULL ? db : "*.*", s->main.name, certain ? "" : ", unless by a role");

		lacks_right(s, out, certain ? CHECK_FAIL : CHECK_WARN, what);
		free(what);
	}
	buf_release(&missing);
	return good;
}

static void
check_rights(struct mysql_sink *s, struct checks *out)
{
	bool good = check_state(s, out);

	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++)
		good = check_database(s, target_db(s, i), out) && good;
	if (good)
		checks_pass(out, PERMISSIONS);
}

/* Names under intercept: only what has no checkpoint yet, and only names that can be known without
 * the source. */
static void
check_names(struct mysql_sink *s, struct checks *out)
{
	static const char item[] = "Schema name conflict";
	bool failed = false;
	struct err e;

	if (!conf_is(s->env.conf, "existing", "intercept") ||
		conf_count(s->env.conf, "initial") == 0)
		return;
	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++) {
		const char *db = conf_strf(s->env.conf, "objects[%zu].database", i),
			   *table = conf_strf(s->env.conf, "objects[%zu].table", i);
		char *found = NULL, *known = NULL;
		struct buf b;

		if (db == NULL || table == NULL || strpbrk(db, "*?") != NULL ||
			strpbrk(table, "*?") != NULL)
			continue;
		buf_init(&b);
		client_quote(&s->main, &b, s->env.channel, strlen(s->env.channel));
		if (client_value(&s->main, &known, &e,
			    "SELECT 1 FROM %s.checkpoint WHERE applied IS NOT NULL AND channel = "
			    "%s",
			    s->state, buf_text(&b)) != RC_OK)
			known = NULL;
		buf_clear(&b);
		client_quote(&s->main, &b, routes_table_db(s->env.routes, db, table),
			strlen(routes_table_db(s->env.routes, db, table)));
		buf_puts(&b, " AND TABLE_NAME = ");
		client_quote(&s->main, &b, routes_target_table(s->env.routes, db, table),
			strlen(routes_target_table(s->env.routes, db, table)));
		if (known == NULL &&
			client_value(&s->main, &found, &e,
				"SELECT TABLE_NAME FROM information_schema.TABLES WHERE "
				"TABLE_SCHEMA = %s",
				buf_text(&b)) == RC_OK &&
			found != NULL) {
			failed = true;
			checks_add(out, CHECK_FAIL, item, SINK_INTERCEPT_REMEDY,
				"target table %s.%s exists",
				routes_table_db(s->env.routes, db, table), found);
		}
		free(found);
		free(known);
		buf_release(&b);
	}
	if (!failed)
		checks_pass(out, item);
}

enum rc
sink_check(struct sink *base, bool want_sql, struct checks *out, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	struct err failure;

	(void)e;
	if (client_open(&s->main, s->env.conf, "target", SINK_SQL_MODE, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL,
			client_is_old_password(failure.code) ? "Format of MySQL database password"
							     : "Destination database connectivity",
			failure.remedy, "%s", failure.text);
		if (want_sql)
			print_sql(s, false, out);
		return RC_OK;
	}
	if (want_sql)
		print_sql(s, true, out);
	checks_pass(out, "Destination database connectivity");
	check_rights(s, out);
	check_names(s, out);
	return RC_OK;
}
