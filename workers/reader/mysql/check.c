/* check.c - the precheck of a MySQL source (spec S8.1): each item with its cause and remedy. */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/describe.h"
#include "workers/reader/mysql/source.h"

static char *
variable(struct client *c, const char *name)
{
	struct err ignored;
	char *value = NULL;

	if (client_value(c, &value, &ignored, "SELECT @@GLOBAL.%s", name) != RC_OK)
		return NULL;
	return value;
}

static bool
is(const char *value, const char *a, const char *b)
{
	return value != NULL &&
	       (strcasecmp(value, a) == 0 || (b != NULL && strcasecmp(value, b) == 0));
}

static void
check_log(struct client *c, struct checks *out)
{
	char *id = variable(c, "server_id"), *log = variable(c, "log_bin"),
	     *format = variable(c, "binlog_format");

	if (id == NULL || strtoul(id, NULL, 10) < 2)
		checks_add(out, CHECK_FAIL, "Value of server_id in the source database",
			"set server_id to a number of at least 2 that no other server has, at the "
			"source",
			"server_id is %s", id != NULL ? id : "unknown");
	else
		checks_pass(out, "Value of server_id in the source database");
	if (!is(log, "1", "ON"))
		checks_add(out, CHECK_FAIL,
			"Whether binary logging is enabled for the source database",
			"set log_bin in the source's configuration and restart it",
			"log_bin is off");
	else
		checks_pass(out, "Whether binary logging is enabled for the source database");
	if (!is(format, "ROW", NULL))
		checks_add(out, CHECK_FAIL, "Binary log format of the source database",
			"SET GLOBAL binlog_format='ROW'; and let all sessions connect again",
			"binlog_format is %s", format != NULL ? format : "unknown");
	else
		checks_pass(out, "Binary log format of the source database");
	free(id);
	free(log);
	free(format);
}

static void
check_images(struct client *c, struct checks *out)
{
	char *image = variable(c, "binlog_row_image"),
	     *options = variable(c, "binlog_row_value_options");
	char *metadata = variable(c, "binlog_row_metadata");

	if (image != NULL && !is(image, "FULL", NULL))
		checks_add(out, CHECK_FAIL, "Row images of the source database",
			"SET GLOBAL binlog_row_image='FULL';", "binlog_row_image is %s", image);
	if (options != NULL && *options != '\0')
		checks_add(out, CHECK_FAIL, "Partial JSON of the source database",
			"SET GLOBAL binlog_row_value_options='';", "binlog_row_value_options is %s",
			options);
	if (!is(metadata, "FULL", NULL))
		checks_add(out, CHECK_WARN, "Column names in the log of the source database",
			"SET GLOBAL binlog_row_metadata='FULL'; then several ALTER TABLE in quick "
			"succession can be followed",
			"binlog_row_metadata is %s",
			metadata != NULL ? metadata : "not known to this version");
	free(image);
	free(options);
	free(metadata);
}

static void
check_table(struct mysql_source *s, const struct table *t, struct checks *out)
{
	static const char *const engines[] = {"FEDERATED", "MRG_MyISAM", "MRG_MYISAM", "TokuDB"};

	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (t->engine != NULL && strcasecmp(t->engine, engines[i]) == 0)
			checks_add(out, CHECK_FAIL, "Storage engine",
				"change the table to InnoDB: ALTER TABLE ... ENGINE=InnoDB",
				"%s.%s has engine %s", t->db, t->name, t->engine);
	for (uint32_t i = 0; i < t->nfks; i++)
		if (!routes_table(s->env.routes, t->fks[i].ref_db, t->fks[i].ref_table))
			checks_add(out, CHECK_FAIL, "Integrity of FOREIGN KEY constraint",
				"drop the foreign key, add the parent table to the objects, or "
				"remove the child",
				"%s.%s refers to %s.%s, which is not selected", t->db, t->name,
				t->fks[i].ref_db, t->fks[i].ref_table);
	if (table_key(t) == NULL)
		checks_add(out, CHECK_WARN, "Primary or unique key",
			"add a PRIMARY KEY: without one each change is matched by all columns, and "
			"the table loads as one piece",
			"%s.%s has no primary key and no unique key without NULLs", t->db, t->name);
}

static enum rc
check_tables(struct mysql_source *s, struct checks *out, struct err *e)
{
	struct table_list list = {0};
	size_t selected = 0;
	enum rc rc = mysql_describe(&s->main, NULL, NULL, &list, e);

	for (size_t i = 0; i < list.count && rc == RC_OK; i++)
		if (routes_table(s->env.routes, list.tables[i]->db, list.tables[i]->name)) {
			selected++;
			check_table(s, list.tables[i], out);
		}
	if (rc == RC_OK && selected == 0)
		checks_add(out, CHECK_WARN, "Objects",
			"check database and table names in `objects`, and the account's SELECT "
			"right",
			"no existing table is selected");
	else if (rc == RC_OK)
		checks_pass(out, "Objects");
	table_list_release(&list);
	return rc;
}

/* The rights are tried, not parsed: roles and patterns of grants are the server's business. */
static void
check_rights(struct mysql_source *s, struct checks *out)
{
	struct mysql_position end;
	struct err e;

	position_init(&end, s->main.server.mariadb);
	if (position_of_log_end(&s->main, &end, &e) != RC_OK)
		checks_add(out, CHECK_FAIL, "Source database permissions",
			"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the account "
			"(MariaDB 10.5 and later: also BINLOG MONITOR)",
			"%s", e.text);
	else
		checks_pass(out, "Source database permissions");
	position_release(&end);
}

enum rc
mysql_check_source(struct source *base, bool want_sql, struct checks *out, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct err failure;

	(void)want_sql;
	if (client_open(&s->main, s->env.conf, "source", SOURCE_SQL_MODE, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL, "Source database connectivity",
			"check host, port, user and password, the account's allowed addresses, and "
			"firewalls in between",
			"%s", failure.text);
		return RC_OK;
	}
	checks_pass(out, "Source database connectivity");
	if (s->main.server.version < 50500)
		checks_add(out, CHECK_FAIL, "Source database version",
			"upgrade the source to MySQL 5.5 or later", "it is %s",
			s->main.server.text);
	else
		checks_pass(out, "Source database version");
	check_log(&s->main, out);
	check_images(&s->main, out);
	check_rights(s, out);
	return check_tables(s, out, e);
}
