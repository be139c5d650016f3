/* catalog.c - the selected objects of a MySQL source with their definitions; see source.h of the
 * room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "workers/reader/mysql/source.h"

static bool
is_systems(const struct mysql_source *s, const char *db)
{
	return strcmp(db, "sys") == 0 || strcmp(db, conf_str(s->env.conf, "state_schema")) == 0;
}

bool
mysql_selects(const struct mysql_source *s, const char *db, const char *table)
{
	return !is_systems(s, db) && (table != NULL ? routes_table(s->env.routes, db, table)
						    : routes_database(s->env.routes, db));
}

enum rc
mysql_each_selected(struct mysql_source *s, enum selection by, const char *query, selected_cb cb,
	void *arg, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e, "%s", query);

	if (rc != RC_OK)
		return rc;
	while (rc == RC_OK && (row = mysql_fetch_row(res)) != NULL)
		if (mysql_selects(s, row[0], by == BY_TABLE ? row[1] : NULL))
			rc = cb(s, row, arg, e);
	mysql_free_result(res);
	return rc;
}

enum rc
mysql_touch(struct client *c, const struct table *t, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_puts(&b, "SELECT 1 FROM ");
	mysql_quote_table(&b, t->db, t->name);
	buf_puts(&b, " LIMIT 1");
	rc = client_run(c, e, "%s", buf_text(&b));
	buf_release(&b);
	return rc;
}

static bool
no_such_table(const struct err *e)
{
	return e->code == 1146 || e->code == 1049;
}

static enum rc
pin(struct mysql_source *s, const struct table *t, bool *gone, struct err *e)
{
	enum rc rc = mysql_touch(&s->main, t, e);

	*gone = rc != RC_OK && no_such_table(e);
	return *gone ? RC_OK : rc;
}

/* The statement, and of the session that once ran it what SHOW CREATE tells. */
static enum rc
show_create(struct mysql_source *s, const char *what, const char *field, struct catalog_object *o,
	struct buf *session, struct err *e)
{
	struct buf b;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc;

	buf_init(&b);
	mysql_quote_table(&b, o->db, o->name);
	rc = client_query(&s->main, &res, e, "SHOW CREATE %s %s", what, buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	for (unsigned i = 0; row != NULL && i < mysql_num_fields(res); i++) {
		const char *name = mysql_fetch_field_direct(res, i)->name;

		if (row[i] == NULL)
			continue;
		if (strcasecmp(name, field) == 0)
			o->sql = xstrdup(row[i]);
		else if (strcasecmp(name, "sql_mode") == 0)
			session_add_modes(session, row[i]);
		else if (strcasecmp(name, "collation_connection") == 0)
			session_add_collation(session, name, row[i]);
	}
	mysql_free_result(res);
	return o->sql != NULL
		       ? RC_OK
		       : err_set(e, RC_CONFIG,
				 "cannot read the definition of %s %s.%s: no right to see it", what,
				 o->db, o->name);
}

/* How SHOW CREATE tells of each kind: the word, and the field of its row. */
static const struct {
	const char *what, *field;
} shows[] = {
	[OBJECT_TABLE] = {"TABLE", "Create Table"},
	[OBJECT_VIEW] = {"VIEW", "Create View"},
	[OBJECT_FUNCTION] = {"FUNCTION", "Create Function"},
	[OBJECT_PROCEDURE] = {"PROCEDURE", "Create Procedure"},
	[OBJECT_TRIGGER] = {"TRIGGER", "SQL Original Statement"},
};

/* The database's default goes with it, for it may have to be made. */
enum rc
mysql_define(struct mysql_source *s, struct catalog_object *o, struct err *e)
{
	struct buf session, name;
	char *collation = NULL;
	enum rc rc;

	buf_init(&session);
	buf_init(&name);
	client_quote(&s->main, &name, o->db, strlen(o->db));
	rc = client_value(&s->main, &collation, e,
		"SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME "
		"= %s",
		buf_text(&name));
	session_add_collation(&session, "default_collation_for_utf8mb4", s->utf8mb4);
	if (collation != NULL)
		session_add_collation(&session, "collation_server", collation);
	if (rc == RC_OK)
		rc = show_create(s, shows[o->kind].what, shows[o->kind].field, o, &session, e);
	o->session = xstrdup(buf_text(&session));
	free(collation);
	buf_release(&name);
	buf_release(&session);
	return rc;
}

static enum rc
add_database(struct mysql_source *s, MYSQL_ROW row, void *catalog, struct err *e)
{
	struct catalog_object *o = catalog_add(catalog, OBJECT_DATABASE, row[0], "");
	struct buf b;

	(void)e;
	buf_init(&b);
	buf_puts(&b, "CREATE DATABASE ");
	mysql_quote_name(&b, row[0]);
	buf_printf(&b, " DEFAULT CHARACTER SET %s COLLATE %s", row[1], row[2]);
	o->sql = (char *)b.data;
	o->session = xasprintf("default_collation_for_utf8mb4=%s", s->utf8mb4);
	return RC_OK;
}

static enum rc
add_tables(struct mysql_source *s, struct table_list *tables, struct catalog *out, struct err *e)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < tables->count && rc == RC_OK; i++) {
		struct table *t = tables->tables[i];
		struct catalog_object *o;

		if (!mysql_selects(s, t->db, t->name))
			continue;
		o = catalog_add(out, OBJECT_TABLE, t->db, t->name);
		o->table = t;
		tables->tables[i] = NULL;
		rc = mysql_define(s, o, e);
		if (rc != RC_OK &&
			no_such_table(e)) { /* made since the others were pinned, and dropped */
			catalog_remove_last(out);
			rc = RC_OK;
		}
	}
	return rc;
}

static enum rc
add_view(struct mysql_source *s, MYSQL_ROW row, void *catalog, struct err *e)
{
	return mysql_define(s, catalog_add(catalog, OBJECT_VIEW, row[0], row[1]), e);
}

/* What cannot be copied has been told of by the precheck; here it must not go on. */
static enum rc
refuse_renamed(const struct catalog_object *o, char *word, const char *remedy, struct err *e)
{
	err_set(e, RC_CONFIG,
		"%s %s.%s cannot be copied: it names \"%s\", which the channel renames or drops",
		object_name(o->kind), o->db, o->name, word);
	free(word);
	return err_remedy(e, "%s", remedy);
}

static enum rc
add_routine(struct mysql_source *s, MYSQL_ROW row, void *catalog, struct err *e)
{
	enum object_kind kind =
		strcmp(row[2], "FUNCTION") == 0 ? OBJECT_FUNCTION : OBJECT_PROCEDURE;
	struct catalog_object *o = catalog_add(catalog, kind, row[0], row[1]);
	enum rc rc = mysql_define(s, o, e);
	char *renamed = rc == RC_OK ? object_names_renamed(s, o) : NULL;

	return renamed != NULL ? refuse_renamed(o, renamed, ROUTINE_REMEDY, e) : rc;
}

static enum rc
add_trigger(struct mysql_source *s, MYSQL_ROW row, void *catalog, struct err *e)
{
	struct catalog_object *o = catalog_add(catalog, OBJECT_TRIGGER, row[0], row[2]);
	enum rc rc = mysql_define(s, o, e);
	char *renamed;

	o->on = xstrdup(row[1]);
	renamed = rc == RC_OK ? object_names_renamed(s, o) : NULL;
	return renamed != NULL ? refuse_renamed(o, renamed, TRIGGER_REMEDY, e) : rc;
}

/* Those selected as a whole: tables that join later take their defaults. */
#define DATABASES                                                                             \
	"SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM "        \
	"information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql','information_schema'," \
	"'performance_schema') ORDER BY 1"

/* Of databases that are selected as a whole routines and views; triggers of selected tables, in the
 * order in which they fire. */
static const struct {
	enum selection by;
	selected_cb add;
	const char *query;
} others[] = {
	{BY_DATABASE, add_routine,
		"SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM "
		"information_schema.ROUTINES WHERE ROUTINE_TYPE IN ('FUNCTION', 'PROCEDURE') "
		"ORDER BY 3, 1, 2"},
	{BY_DATABASE, add_view,
		"SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS ORDER BY 1, 2"},
	{BY_TABLE, add_trigger,
		"SELECT TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME FROM "
		"information_schema.TRIGGERS ORDER BY TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, "
		"ACTION_ORDER"},
};

static enum rc
add_others(struct mysql_source *s, struct catalog *out, struct err *e)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < COUNT_OF(others) && rc == RC_OK; i++)
		if (others[i].by != BY_TABLE || source_copies_triggers(s))
			rc = mysql_each_selected(
				s, others[i].by, others[i].query, others[i].add, out, e);
	return rc;
}

/* A view stands behind the views that its text names: as often over the list as it takes. */
static void
order_views(struct catalog *c)
{
	for (uint32_t pass = 0; pass < c->count; pass++) {
		bool moved = false;

		for (uint32_t i = 0; i < c->count; i++) {
			struct buf name;

			if (c->objects[i].kind != OBJECT_VIEW)
				continue;
			for (uint32_t k = i + 1; k < c->count; k++) {
				struct catalog_object swap = c->objects[k];

				if (swap.kind != OBJECT_VIEW)
					continue;
				buf_init(&name);
				mysql_quote_table(&name, swap.db, swap.name);
				if (strstr(c->objects[i].sql, buf_text(&name)) != NULL) {
					memmove(&c->objects[i + 1], &c->objects[i],
						(k - i) * sizeof swap);
					c->objects[i] = swap;
					moved = true;
				}
				buf_release(&name);
			}
		}
		if (!moved)
			return;
	}
}

static enum rc
add_newcomer(struct mysql_source *s, MYSQL_ROW row, void *arg, struct err *e)
{
	struct table_list *out = arg;

	(void)e;
	if (source_is_new(&s->env, row[0], row[1]))
		table_list_add(out, table_new(row[0], row[1]));
	return RC_OK;
}

enum rc
mysql_newcomers(struct source *base, struct table_list *out, struct err *e)
{
	return mysql_each_selected((struct mysql_source *)base, BY_TABLE,
		"SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = "
		"'BASE TABLE'",
		add_newcomer, out, e);
}

static enum rc
pin_all(struct mysql_source *s, struct err *e)
{
	struct table_list list = {0};
	enum rc rc = mysql_describe(&s->main, NULL, NULL, &list, e);

	if (rc == RC_OK)
		rc = client_run(&s->main, e, "START TRANSACTION");
	for (size_t i = 0; i < list.count && rc == RC_OK; i++) {
		bool gone;

		if (mysql_selects(s, list.tables[i]->db, list.tables[i]->name))
			rc = pin(s, list.tables[i], &gone, e);
	}
	table_list_release(&list);
	return rc;
}

enum rc
mysql_catalog(struct source *base, struct catalog *out, struct logpos *high, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct table_list tables = {0};
	struct mysql_position end;
	struct err ignored;
	enum rc rc = pin_all(s, e);

	position_init(&end, s->main.server.mariadb);
	if (rc == RC_OK)
		rc = mysql_describe(&s->main, NULL, NULL, &tables, e);
	if (rc == RC_OK)
		rc = client_run(&s->main, e, "SET NAMES utf8mb4");
	if (rc == RC_OK)
		rc = mysql_each_selected(s, BY_DATABASE, DATABASES, add_database, out, e);
	if (rc == RC_OK)
		rc = add_tables(s, &tables, out, e);
	if (rc == RC_OK)
		rc = add_others(s, out, e);
	if (rc == RC_OK)
		rc = position_of_log_end(&s->main, &end, e);
	if (rc == RC_OK) {
		*high = position_at(end.file, end.offset);
		order_views(out);
	}
	if (client_run(&s->main, &ignored, "SET NAMES binary") == RC_OK)
		rc = client_run(&s->main, rc == RC_OK ? e : &ignored, "COMMIT") == RC_OK ? rc
											 : RC_RETRY;
	table_list_release(&tables);
	position_release(&end);
	return rc;
}
