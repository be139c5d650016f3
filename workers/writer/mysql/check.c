/* check.c - the precheck of a MySQL target (spec S8.1): each item with its cause and remedy. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

/* The statements that an administrator runs where the account may not. */
static void
print_sql(struct mysql_sink *s, struct checks *out)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "CREATE DATABASE IF NOT EXISTS %s;\n", s->state);
	for (size_t i = 0; i < sink_state_count(); i++) {
		sink_state_sql(s, i, &b);
		buf_puts(&b, ";\n");
	}
	buf_printf(&b, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s.* TO '%s'@'%%';\n", s->state,
		conf_str(s->env.conf, "target.user"));
	out->sql = (char *)b.data;
}

static void
check_state(struct mysql_sink *s, struct checks *out)
{
	static const char item[] = "Destination database permissions";
	struct err e;

	if (client_run(&s->main, &e, "SELECT 1 FROM %s.checkpoint LIMIT 1", s->state) == RC_OK) {
		checks_pass(out, item);
		return;
	}
	if (client_run(&s->main, &e, "CREATE DATABASE IF NOT EXISTS %s", s->state) != RC_OK)
		checks_add(out, CHECK_FAIL, item,
			"let an administrator run what `syncline check --sql` prints", "%s",
			e.text);
	else
		checks_pass(out, item);
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
			checks_add(out, CHECK_FAIL, item,
				"rename or drop it, map the table to another name (to_table), or "
				"set existing = \"ignore\"",
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
	if (want_sql)
		print_sql(s, out);
	if (client_open(&s->main, s->env.conf, "target", SINK_SQL_MODE, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL, "Destination database connectivity",
			"check host, port, user and password, the account's allowed addresses, and "
			"firewalls in between",
			"%s", failure.text);
		return RC_OK;
	}
	checks_pass(out, "Destination database connectivity");
	check_state(s, out);
	check_names(s, out);
	return RC_OK;
}
