/* check.c - the precheck of a MySQL source (spec S8.1): each item with its cause and remedy. */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "common/mysql/rights.h"
#include "workers/reader/mysql/source.h"

#define NAMES "Column names in the log of the source database"
#define PERMISSIONS "Source database permissions"
#define ENGINE "Storage engine"
#define PARENTS "Integrity of FOREIGN KEY constraint"

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

/* False: there is no log. */
static bool
check_log(struct client *c, struct checks *out)
{
	char *id = variable(c, "server_id"), *log = variable(c, "log_bin"),
	     *format = variable(c, "binlog_format");
	bool on = is(log, "1", "ON");

	if (id == NULL || strtoul(id, NULL, 10) < 2)
		checks_add(out, CHECK_FAIL, "Value of server_id in the source database",
			"at the source: SET GLOBAL server_id = N, a number of at least 2 that no "
			"other server of its replication has; and server_id = N in its "
			"configuration",
			"server_id is %s at the %s", id != NULL ? id : "unknown", c->name);
	else
		checks_pass(out, "Value of server_id in the source database");
	if (!on)
		checks_add(out, CHECK_FAIL,
			"Whether binary logging is enabled for the source database",
			"put log_bin, binlog_format = ROW and a server_id into the [mysqld] part "
			"of "
			"the source's configuration and restart it",
			"log_bin is off at the %s", c->name);
	else
		checks_pass(out, "Whether binary logging is enabled for the source database");
	if (!is(format, "ROW", NULL))
		checks_add(out, CHECK_FAIL, "Binary log format of the source database",
			"at the source: SET GLOBAL binlog_format = 'ROW'; and binlog_format = ROW "
			"in its configuration; sessions that are connected keep theirs until they "
			"connect again",
			"binlog_format is %s at the %s", format != NULL ? format : "unknown",
			c->name);
	else
		checks_pass(out, "Binary log format of the source database");
	free(id);
	free(log);
	free(format);
	return on;
}

/* A filter asks both images of a row. */
static bool
serves_filters(const char *image)
{
	return is(image, "FULL", "FULL_NODUP");
}

static void
check_images(struct client *c, bool filters, struct checks *out)
{
	char *image = variable(c, "binlog_row_image"),
	     *options = variable(c, "binlog_row_value_options");
	char *metadata = variable(c, "binlog_row_metadata");

	if (filters && image != NULL && !serves_filters(image))
		checks_add(out, CHECK_FAIL, "Row images of the source database",
			"SET GLOBAL binlog_row_image='FULL'; and let all sessions connect again, "
			"or "
			"take `where` out of `objects`",
			"binlog_row_image is %s: the log leaves out columns that `where` asks for",
			image);
	else if (image != NULL && !is(image, "FULL", NULL))
		checks_add(out, CHECK_WARN, "Row images of the source database",
			"at the source: SET GLOBAL binlog_row_image = 'FULL'; then conflicts can "
			"be "
			"overwritten, and rows found by all of their columns",
			"binlog_row_image is %s at the %s", image, c->name);
	if (options != NULL && *options != '\0' && !is(image, "FULL", NULL))
		checks_add(out, CHECK_FAIL, "Partial JSON of the source database",
			"at the source: SET GLOBAL binlog_row_image = 'FULL', or SET GLOBAL "
			"binlog_row_value_options = ''; sessions that are connected keep theirs "
			"until "
			"they connect again",
			"binlog_row_value_options is %s and binlog_row_image %s at the %s: the log "
			"has "
			"parts of values, and not what they are parts of",
			options, image != NULL ? image : "unknown", c->name);
	if (metadata == NULL)
		checks_add(out, CHECK_WARN, NAMES,
			"nothing need be set: should log and schema ever disagree, load the table "
			"again by `syncline resync`; MySQL 8.0 and MariaDB 10.5 name columns",
			"%s does not name columns in its log", c->server.text);
	else if (!is(metadata, "FULL", NULL))
		checks_add(out, CHECK_WARN, NAMES,
			"at the source: SET GLOBAL binlog_row_metadata = 'FULL'; then several "
			"ALTER TABLE in quick succession can be followed",
			"binlog_row_metadata is %s at the %s", metadata, c->name);
	free(image);
	free(options);
	free(metadata);
}

static void
lacks_right(const struct mysql_source *s, struct checks *out, const char *what, const struct err *e)
{
	char *remedy = xasprintf(
		"let an administrator run what `syncline check --sql %s` prints", s->env.channel);

	checks_add(out, CHECK_FAIL, PERMISSIONS, remedy, "%s: %s", what, e->text);
	free(remedy);
}

/* Every column of it: rights may be given column by column. */
static bool
may_read(struct mysql_source *s, const struct table *t, struct err *e)
{
	struct buf name;
	enum rc rc;

	buf_init(&name);
	mysql_quote_name(&name, t->db);
	buf_putc(&name, '.');
	mysql_quote_name(&name, t->name);
	rc = client_run(&s->main, e, "SELECT * FROM %s WHERE 1 = 0", buf_text(&name));
	buf_release(&name);
	return rc == RC_OK;
}

#define FILTER "Data filter"

/* That it can be told of each row, and that the server takes its literals (R74-R76). */
static void
check_filter(struct mysql_source *s, const struct table *t, struct checks *out)
{
	const char *text = routes_where(s->env.routes, t->db, t->name);
	struct filter *f = NULL;
	struct err e = {0};

	if (text == NULL)
		return;
	if (filter_new(text, t, &f, &e) != RC_OK || mysql_verify(&s->base, f, &e) != RC_OK)
		checks_add(out, CHECK_FAIL, FILTER, e.remedy, "%s", e.text);
	filter_free(f);
}

/* A child whose parent the filter leaves out: it cannot be told here. */
static void
check_filtered_parents(struct mysql_source *s, const struct table *t, struct checks *out)
{
	for (uint32_t i = 0; i < t->nfks; i++)
		if (routes_where(s->env.routes, t->fks[i].ref_db, t->fks[i].ref_table) != NULL)
			checks_add(out, CHECK_WARN, FILTER,
				"give both tables a `where` that keeps children only where it "
				"keeps "
				"their parents, or drop the foreign key",
				"%s.%s refers to %s.%s, of which a filter leaves rows out", t->db,
				t->name, t->fks[i].ref_db, t->fks[i].ref_table);
}

static void
check_engine(const struct table *t, struct checks *out)
{
	static const char *const engines[] = {"FEDERATED", "MRG_MyISAM", "TokuDB"};

	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (t->engine != NULL && strcasecmp(t->engine, engines[i]) == 0) {
			char *remedy =
				xasprintf("at the source: ALTER TABLE %s.%s ENGINE=InnoDB; or "
					  "leave it out: { "
					  "database = \"%s\"; table = \"%s\"; exclude = true; }",
					t->db, t->name, t->db, t->name);

			checks_add(out, CHECK_FAIL, ENGINE, remedy,
				"source table %s.%s has engine %s", t->db, t->name, t->engine);
			free(remedy);
		}
}

static void
list_charsets(const struct table *t, struct buf *sets)
{
	for (uint32_t i = 0; i < t->ncolumns; i++) {
		const char *set = t->columns[i].charset;
		bool new = set != NULL;

		for (uint32_t k = 0; k < i && new; k++)
			new = t->columns[k].charset == NULL ||
			      strcmp(t->columns[k].charset, set) != 0;
		if (new)
			buf_printf(sets, "%s%s", sets->len != 0 ? "," : "", set);
	}
}

/* For the target's check. What of it may not be read is told of elsewhere. */
static void
tell_found(struct mysql_source *s, const struct table *t, struct checks *out)
{
	struct catalog c;
	struct catalog_object *o;
	struct err ignored;
	struct buf sets;
	bool defined;

	buf_init(&sets);
	catalog_init(&c);
	list_charsets(t, &sets);
	o = catalog_add(&c, OBJECT_TABLE, t->db, t->name);
	defined = conf_has_word(s->env.conf, "initial", "schema") &&
		  mysql_define(s, o, &ignored) == RC_OK;
	found_add(
		&out->found, t, buf_text(&sets), defined ? o->sql : "", defined ? o->session : "");
	catalog_release(&c);
	buf_release(&sets);
}

static void
check_table(struct mysql_source *s, const struct table *t, struct checks *out)
{
	struct err e;

	tell_found(s, t, out);
	check_engine(t, out);
	for (uint32_t i = 0; i < t->nfks; i++)
		if (!routes_table(s->env.routes, t->fks[i].ref_db, t->fks[i].ref_table))
			checks_add(out, CHECK_FAIL, PARENTS,
				"drop the foreign key, add the parent table to the objects, or "
				"remove the child",
				"source table %s.%s refers to %s.%s, which is not selected", t->db,
				t->name, t->fks[i].ref_db, t->fks[i].ref_table);
	check_filter(s, t, out);
	check_filtered_parents(s, t, out);
	if (!may_read(s, t, &e))
		lacks_right(s, out, "the account may not read a table", &e);
	if (table_key(t) == NULL)
		checks_add(out, CHECK_WARN, "Primary or unique key",
			"add a PRIMARY KEY: without one each change is matched by all columns, and "
			"the table loads as one piece",
			"source table %s.%s has no primary key and no unique key without NULLs",
			t->db, t->name);
}

#define TRIGGERS "Triggers"
#define ROUTINES "Routines"

/* Without it the server shows no triggers, as if there were none. */
static void
check_trigger_right(struct mysql_source *s, const char *db, struct checks *out)
{
	struct buf missing;
	bool certain;
	struct err e;

	buf_init(&missing);
	if (rights_missing(&s->main, strpbrk(db, "*?") == NULL ? db : NULL, "TRIGGER", &missing,
		    &certain, &e) == RC_OK &&
		missing.len != 0)
		checks_add(out, certain ? CHECK_FAIL : CHECK_WARN, PERMISSIONS,
			"let an administrator run what `syncline check --sql` prints",
			"the account lacks TRIGGER on %s: it does not see what triggers there "
			"are%s",
			db, certain ? "" : ", unless by a role");
	buf_release(&missing);
}

/* Told of whatever names another object than its copy would (R92); else NULL. */
static bool
check_body(struct mysql_source *s, const char *item, const struct catalog_object *o,
	const char *remedy, struct checks *out)
{
	char *renamed = o->sql != NULL ? object_names_renamed(s, o) : NULL;
	bool good = renamed == NULL;

	if (!good)
		checks_add(out, CHECK_FAIL, item, remedy,
			"%s %s.%s names \"%s\", which the channel renames or drops",
			object_name(o->kind), o->db, o->name, renamed);
	free(renamed);
	return good;
}

/* R92: each that is copied, what that means, and what it cannot be. */
static enum rc
check_trigger(struct mysql_source *s, MYSQL_ROW row, void *out, struct err *e)
{
	struct catalog c;
	struct catalog_object *o;
	enum rc rc;

	catalog_init(&c);
	o = catalog_add(&c, OBJECT_TRIGGER, row[0], row[2]);
	rc = mysql_define(s, o, e);
	if (rc == RC_OK && check_body(s, TRIGGERS, o, TRIGGER_REMEDY, out))
		checks_add(out, CHECK_WARN, TRIGGERS,
			"have the tables that it writes among the objects: their rows come "
			"from the source's log, the copy does nothing for rows of ours",
			"%s.%s on %s is copied", row[0], row[2], row[1]);
	catalog_release(&c);
	return rc == RC_RETRY ? rc : RC_OK;
}

/* Its definition is read for the initial schema: the account may not see that of another's. */
static enum rc
check_routine(struct mysql_source *s, MYSQL_ROW row, void *out, struct err *e)
{
	struct catalog c;
	struct catalog_object *o;
	enum rc rc;

	catalog_init(&c);
	o = catalog_add(&c, strcmp(row[2], "FUNCTION") == 0 ? OBJECT_FUNCTION : OBJECT_PROCEDURE,
		row[0], row[1]);
	rc = mysql_define(s, o, e);
	if (rc == RC_OK)
		(void)check_body(s, ROUTINES, o, ROUTINE_REMEDY, out);
	else if (rc != RC_RETRY)
		lacks_right(s, out, "the account may not read a routine's definition", e);
	catalog_release(&c);
	return rc == RC_RETRY ? rc : RC_OK;
}

/* What MariaDB keeps as tables without being base tables: its rows are in the log all the same. */
static enum rc
check_kind(struct mysql_source *s, MYSQL_ROW row, void *out, struct err *e)
{
	bool sequence = strcmp(row[2], "sequence") == 0;
	char *remedy = xasprintf(
		"leave it out: { database = \"%s\"; table = \"%s\"; exclude = true; "
		"}%s",
		row[0], row[1],
		sequence ? "" : ", or at the source: ALTER TABLE ... DROP SYSTEM VERSIONING");

	(void)s;
	(void)e;
	checks_add(out, CHECK_FAIL, "Kinds of tables", remedy,
		"source table %s.%s is of the kind \"%s\", which this version does not carry",
		row[0], row[1], row[2]);
	free(remedy);
	return RC_OK;
}

/* Servers keep labels and defaults whole, but show them in three bytes a character, by whatever way
 * they are asked: what lies beyond is a question mark, as is a real one. */
static enum rc
check_characters(struct mysql_source *s, MYSQL_ROW row, void *out, struct err *e)
{
	(void)s;
	(void)e;
	checks_add(out, CHECK_WARN, "Characters beyond U+FFFF",
		"if there is such a character, create the table at the target yourself and set "
		"existing = \"ignore\"",
		"source column %s.%s.%s has a \"?\" in its labels or its default: the source "
		"shows so, too, what lies beyond U+FFFF, and the target would get the question "
		"mark",
		row[0], row[1], row[2]);
	return RC_OK;
}

/* Its definition is read for the initial schema: that takes SHOW VIEW. */
static enum rc
check_view(struct mysql_source *s, MYSQL_ROW row, void *out, struct err *e)
{
	struct catalog c;
	enum rc rc;

	catalog_init(&c);
	rc = mysql_define(s, catalog_add(&c, OBJECT_VIEW, row[0], row[1]), e);
	if (rc != RC_OK && rc != RC_RETRY)
		lacks_right(s, out, "the account may not read a view's definition", e);
	catalog_release(&c);
	return rc == RC_RETRY ? rc : RC_OK;
}

enum wanted { ALWAYS, FOR_SCHEMA, FOR_TRIGGERS };

static const struct {
	enum wanted when;
	enum selection by;
	selected_cb check;
	const char *query;
} looks[] = {
	{FOR_SCHEMA, BY_DATABASE, check_view,
		"SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS ORDER BY 1, 2"},
	{FOR_SCHEMA, BY_DATABASE, check_routine,
		"SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM "
		"information_schema.ROUTINES WHERE ROUTINE_TYPE IN ('FUNCTION', 'PROCEDURE') "
		"ORDER BY 1, 2"},
	{FOR_SCHEMA, BY_TABLE, check_characters,
		"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS "
		"WHERE CHARACTER_SET_NAME IN ('utf8mb4', 'utf16', 'utf16le', 'utf32', 'gb18030') "
		"AND ((DATA_TYPE IN ('enum', 'set') AND COLUMN_TYPE LIKE '%?%') OR "
		"COLUMN_DEFAULT LIKE '%?%') ORDER BY 1, 2, 3"},
	{ALWAYS, BY_TABLE, check_kind,
		"SELECT TABLE_SCHEMA, TABLE_NAME, LOWER(TABLE_TYPE) FROM information_schema.TABLES "
		"WHERE TABLE_TYPE IN ('SYSTEM VERSIONED', 'SEQUENCE') ORDER BY 1, 2"},
	{FOR_TRIGGERS, BY_TABLE, check_trigger,
		"SELECT TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME FROM "
		"information_schema.TRIGGERS ORDER BY 1, 3"},
};

static bool
is_wanted(const struct mysql_source *s, enum wanted when)
{
	return when == ALWAYS ||
	       (when == FOR_SCHEMA ? conf_has_word(s->env.conf, "initial", "schema")
				   : source_copies_triggers(s));
}

/* All that is no table, row by row of what the catalog has of it. */
static enum rc
check_objects(struct mysql_source *s, struct checks *out, struct err *e)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; source_copies_triggers(s) && i < conf_count(s->env.conf, "objects"); i++)
		check_trigger_right(s, conf_strf(s->env.conf, "objects[%zu].database", i), out);
	for (size_t i = 0; i < COUNT_OF(looks) && rc == RC_OK; i++)
		if (is_wanted(s, looks[i].when))
			rc = mysql_each_selected(
				s, looks[i].by, looks[i].query, looks[i].check, out, e);
	return rc;
}

static enum rc
check_tables(struct mysql_source *s, struct checks *out, struct err *e)
{
	struct table_list list = {0};
	size_t selected = 0;
	enum rc rc = mysql_describe(&s->main, NULL, NULL, &list, e);

	for (size_t i = 0; i < list.count && rc == RC_OK; i++)
		if (mysql_selects(s, list.tables[i]->db, list.tables[i]->name)) {
			selected++;
			check_table(s, list.tables[i], out);
		}
	if (rc == RC_OK && selected == 0)
		checks_add(out, CHECK_WARN, "Objects",
			"check database and table names in `objects`, and the account's SELECT "
			"right",
			"no table of the %s is selected", s->main.name);
	else if (rc == RC_OK)
		checks_pass(out, "Objects");
	table_list_release(&list);
	return rc;
}

static const char *
log_rights(const struct client *c)
{
	return c->server.mariadb && c->server.version >= 100502
		       ? "REPLICATION SLAVE, BINLOG MONITOR"
		       : "REPLICATION SLAVE, REPLICATION CLIENT";
}

/* The rights are tried, not parsed: roles and patterns of grants are the server's business. */
static bool
may_see_log_end(struct mysql_source *s, struct mysql_position *end, struct checks *out)
{
	struct err e;

	if (position_of_log_end(&s->main, end, &e) == RC_OK)
		return true;
	lacks_right(s, out, "the account may not ask for the log's end", &e);
	return false;
}

/* One event, under a number that no running channel has: its log is not disturbed. */
static void
may_read_log(struct mysql_source *s, const struct mysql_position *end, struct checks *out)
{
	const unsigned char *event;
	struct client c;
	struct err e;
	size_t n;
	enum rc rc = client_open(&c, s->env.conf, "source", SOURCE_SQL_MODE, &e);

	if (rc == RC_OK) {
		rc = client_run(&c, &e,
			"SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'");
		if (rc == RC_OK)
			rc = client_dump(&c, 0xf0000000u | ((uint32_t)getpid() & 0xfffffffu),
				end->file, (uint32_t)end->offset, NULL, &e);
		if (rc == RC_OK)
			rc = client_dump_next(&c, &event, &n, &e);
		client_close(&c);
	}
	if (rc != RC_OK)
		lacks_right(s, out, "the account may not read the log", &e);
}

static void
check_rights(struct mysql_source *s, struct checks *out)
{
	struct mysql_position end;

	position_init(&end, s->main.server.mariadb);
	if (may_see_log_end(s, &end, out) && end.offset <= UINT32_MAX)
		may_read_log(s, &end, out);
	position_release(&end);
}

/* The statements that an administrator runs where the account may not; `user` of the settings
 * where we cannot connect to ask. */
static void
print_sql(struct mysql_source *s, bool connected, struct checks *out)
{
	struct buf b, account;
	struct err ignored;

	buf_init(&b);
	buf_init(&account);
	if (!connected || rights_account(&s->main, &account, &ignored) != RC_OK) {
		buf_clear(&account);
		buf_printf(&account, "'%s'@'%%'", conf_str(s->env.conf, "source.user"));
	}
	buf_printf(&b, "-- at the source\nGRANT %s ON *.* TO %s;\n", log_rights(&s->main),
		buf_text(&account));
	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++) {
		const char *db = conf_strf(s->env.conf, "objects[%zu].database", i);

		buf_printf(&b, "GRANT SELECT, SHOW VIEW, LOCK TABLES%s ON ",
			source_copies_triggers(s) ? ", TRIGGER" : "");
		if (db != NULL && strpbrk(db, "*?") == NULL)
			mysql_quote_name(&b, db);
		else
			buf_putc(&b, '*');
		buf_printf(&b, ".* TO %s;\n", buf_text(&account));
	}
	buf_release(&account);
	out->sql = (char *)b.data;
}

enum rc
mysql_check_source(struct source *base, bool want_sql, struct checks *out, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct err failure;
	enum rc rc;

	if (mysql_open(s, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL,
			client_is_old_password(failure.code) ? "Format of MySQL database password"
							     : "Source database connectivity",
			failure.remedy, "%s", failure.text);
		if (want_sql)
			print_sql(s, false, out);
		return RC_OK;
	}
	if (want_sql)
		print_sql(s, true, out);
	checks_pass(out, "Source database connectivity");
	if (s->main.server.version < 50500) {
		checks_add(out, CHECK_FAIL, "Source database version",
			"upgrade it to MySQL 5.5 or later, or MariaDB 10.1 or later",
			"the %s is of version %s", s->main.name, s->main.server.text);
		return RC_OK;
	}
	checks_pass(out, "Source database version");
	if (check_log(&s->main, out))
		check_rights(s, out);
	check_images(&s->main, routes_where_any(s->env.routes), out);
	if ((rc = client_run(&s->main, e, "SET NAMES utf8mb4")) != RC_OK ||
		(rc = check_tables(s, out, e)) != RC_OK ||
		(rc = check_objects(s, out, e)) != RC_OK ||
		(rc = mysql_check_left_out(s, out, e)) != RC_OK)
		return rc;
	checks_pass_rest(out, PERMISSIONS);
	checks_pass_rest(out, ENGINE);
	checks_pass_rest(out, PARENTS);
	return RC_OK;
}
