/* source.c - the MySQL source engine: identity, positions, catalog; see source.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "workers/reader/mysql/source.h"

/* ---- positions ---- */

void
position_init(struct mysql_position *p, bool mariadb)
{
	*p = (struct mysql_position){0};
	gtid_init(&p->gtids, mariadb);
}

void
position_release(struct mysql_position *p)
{
	gtid_release(&p->gtids);
}

enum rc
position_parse(struct mysql_position *p, bool mariadb, const char *text, struct err *e)
{
	const char *gtid = strstr(text, " gtid=");
	size_t n = gtid != NULL ? (size_t)(gtid - text) : strlen(text);
	const char *colon = memrchr(text, ':', n);

	position_init(p, mariadb);
	if (colon == NULL || (size_t)(colon - text) >= sizeof p->file ||
		sscanf(colon + 1, "%" SCNu64, &p->offset) != 1)
		return err_set(e, RC_CONFIG, "\"%s\" is not a position in a MySQL log", text);
	memcpy(p->file, text, (size_t)(colon - text));
	if (gtid == NULL)
		return RC_OK;
	p->has_gtids = true;
	return gtid_parse(&p->gtids, mariadb, gtid + 6, e);
}

void
position_print(const struct mysql_position *p, struct buf *b)
{
	buf_printf(b, "%s:%" PRIu64, p->file, p->offset);
	if (p->has_gtids) {
		buf_puts(b, " gtid=");
		gtid_print(&p->gtids, b);
	}
}

struct logpos
position_at(const char *file, uint64_t offset)
{
	const char *dot = strrchr(file, '.');

	return (struct logpos){
		.file = dot != NULL ? strtoull(dot + 1, NULL, 10) : 0, .offset = offset};
}

static const char *
status_statement(const struct client *c)
{
	return !c->server.mariadb && c->server.version >= 80200 ? "SHOW BINARY LOG STATUS"
								: "SHOW MASTER STATUS";
}

enum rc
position_of_log_end(struct client *c, struct mysql_position *p, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(c, &res, e, "%s", status_statement(c));

	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	if (row == NULL) {
		rc = err_set(e, RC_CONFIG, "the source writes no binary log");
		err_remedy(e, "set log_bin and server_id at the source and restart it");
	} else {
		snprintf(p->file, sizeof p->file, "%s", row[0]);
		p->offset = strtoull(row[1], NULL, 10);
	}
	mysql_free_result(res);
	return rc;
}

/* ---- life ---- */

static enum rc
mysql_create(const struct source_env *env, struct source **out, struct err *e)
{
	struct mysql_source *s = xcalloc(1, sizeof *s);

	(void)e;
	s->base.ops = source_find("mysql");
	s->env = *env;
	pthread_mutex_init(&s->log_lock, NULL);
	*out = &s->base;
	return RC_OK;
}

static void
mysql_free(struct source *base)
{
	struct mysql_source *s = (struct mysql_source *)base;

	client_close(&s->main);
	client_close(&s->log);
	free(s->utf8mb4);
	pthread_mutex_destroy(&s->log_lock);
	free(s);
}

static enum rc
mysql_identify(struct source *base, char **id, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct err ignored;
	char *mode = NULL;
	enum rc rc = client_open(&s->main, s->env.conf, "source", SOURCE_SQL_MODE, e);

	if (rc == RC_OK)
		rc = client_value(
			&s->main, &s->utf8mb4, e, "SELECT COLLATION(CONVERT('' USING utf8mb4))");
	if (rc != RC_OK)
		return rc;
	/* What stays with the data: a uuid; before there were such, host, data directory and id. */
	if (s->main.server.mariadb || s->main.server.version < 50600) {
		s->use_gtid = s->gtid_snapshots = s->main.server.mariadb;
		return client_value(&s->main, id, e,
			"SELECT CONCAT(@@hostname, ':', @@datadir, ':', @@server_id)");
	}
	/* GTIDs came with 5.6.5; such an early server is as one without. */
	if (client_value(&s->main, &mode, &ignored, "SELECT @@gtid_mode") == RC_OK && mode != NULL)
		s->use_gtid = strcmp(mode, "ON") == 0;
	/* 5.6 calls a transaction executed once it is in the log, before the engine's commit. */
	s->gtid_snapshots = s->use_gtid && s->main.server.version >= 50705;
	free(mode);
	return client_value(&s->main, id, e, "SELECT @@server_uuid");
}

enum rc
mysql_executed(struct mysql_source *s, char **text, struct err *e)
{
	return client_value(&s->main, text, e,
		s->main.server.mariadb ? "SELECT @@GLOBAL.gtid_binlog_pos"
				       : "SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')");
}

/*
 * GTIDs are the same on a replica, files and offsets are not. The log is asked
 * for by the set; the name is no file, so that every place of this server's
 * lies behind it.
 */
static enum rc
mysql_take_over(struct source *base, const char *position, char **here, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct gtid_set executed;
	struct mysql_position p;
	char *text = NULL;
	struct buf b;
	enum rc rc;

	gtid_init(&executed, s->main.server.mariadb);
	rc = position_parse(&p, s->main.server.mariadb, position, e);
	if (rc == RC_OK && (!s->use_gtid || !p.has_gtids)) {
		err_set(e, RC_CONFIG, "without GTIDs there is no telling where %s is in its log",
			position);
		rc = err_remedy(e, "point the channel at the server it was begun with, give the "
				   "file another id, or reset the channel");
	}
	if (rc == RC_OK)
		rc = mysql_executed(s, &text, e);
	if (rc == RC_OK)
		rc = gtid_parse(&executed, s->main.server.mariadb, text != NULL ? text : "", e);
	if (rc == RC_OK && !gtid_within(&p.gtids, &executed)) {
		err_set(e, RC_RETRY,
			"it does not have every transaction that the target has: it has %s, the "
			"target %s",
			text != NULL && *text != '\0' ? text : "none", position);
		rc = err_remedy(e, "if it is a replica that is late, wait; else it is not the "
				   "source's successor: give the file another id, or reset the "
				   "channel");
	}
	if (rc == RC_OK) {
		snprintf(p.file, sizeof p.file, "taken-over");
		p.offset = 0;
		buf_init(&b);
		position_print(&p, &b);
		*here = (char *)b.data;
	}
	free(text);
	gtid_release(&executed);
	position_release(&p);
	return rc;
}

/* MariaDB: the position of a consistent snapshot has only visible predecessors. */
static enum rc
mariadb_tip(struct mysql_source *s, struct mysql_position *p, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	char *gtids = NULL;
	enum rc rc = client_run(&s->main, e, "START TRANSACTION WITH CONSISTENT SNAPSHOT");

	if (rc == RC_OK)
		rc = client_query(&s->main, &res, e, "SHOW STATUS LIKE 'binlog_snapshot_%%'");
	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		if (strcasecmp(row[0], "binlog_snapshot_file") == 0)
			snprintf(p->file, sizeof p->file, "%s", row[1]);
		else if (strcasecmp(row[0], "binlog_snapshot_position") == 0)
			p->offset = strtoull(row[1], NULL, 10);
	}
	mysql_free_result(res);
	rc = client_value(&s->main, &gtids, e, "SELECT BINLOG_GTID_POS('%s', %" PRIu64 ")", p->file,
		p->offset);
	if (rc == RC_OK && gtids != NULL && *gtids != '\0') {
		rc = gtid_parse(&p->gtids, true, gtids, e);
		p->has_gtids = true;
	}
	free(gtids);
	return rc == RC_OK ? client_run(&s->main, e, "COMMIT") : rc;
}

/* MySQL: gtid_executed is moved after the engine's commit; file and offset are only where to look.
 */
static enum rc
mysql_gtid_tip(struct mysql_source *s, struct mysql_position *p, struct err *e)
{
	char *gtids = NULL;
	enum rc rc = position_of_log_end(&s->main, p, e);

	if (rc != RC_OK || !s->use_gtid)
		return rc;
	rc = mysql_executed(s, &gtids, e);
	if (rc == RC_OK && gtids != NULL)
		rc = gtid_parse(&p->gtids, false, gtids, e);
	p->has_gtids = true;
	free(gtids);
	return rc;
}

static enum rc
mysql_tip(struct source *base, char **position, struct logpos *at, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct mysql_position p;
	struct buf b;
	enum rc rc;

	position_init(&p, s->main.server.mariadb);
	rc = s->main.server.mariadb ? mariadb_tip(s, &p, e) : mysql_gtid_tip(s, &p, e);
	if (rc == RC_OK && *p.file == '\0')
		rc = err_set(e, RC_CONFIG, "the source writes no binary log");
	if (rc == RC_OK) {
		buf_init(&b);
		position_print(&p, &b);
		*position = (char *)b.data;
		*at = position_at(p.file, p.offset);
	}
	position_release(&p);
	return rc;
}

/* ---- catalog ---- */

static bool
selected(const struct mysql_source *s, const struct table *t)
{
	return strcmp(t->db, conf_str(s->env.conf, "state_schema")) != 0 &&
	       routes_table(s->env.routes, t->db, t->name);
}

static bool
no_such_table(const struct err *e)
{
	return e->code == 1146 || e->code == 1049;
}

static enum rc
pin(struct mysql_source *s, const struct table *t, bool *gone, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_puts(&b, "SELECT 1 FROM ");
	mysql_quote_table(&b, t->db, t->name);
	buf_puts(&b, " LIMIT 1");
	rc = client_run(&s->main, e, "%s", buf_text(&b));
	buf_release(&b);
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

/* An object with its statement and session; the database's default goes with it, for it may have
 * to be made. */
static enum rc
add_definition(struct mysql_source *s, const char *what, const char *field,
	struct catalog_object *o, struct err *e)
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
		rc = show_create(s, what, field, o, &session, e);
	o->session = xstrdup(buf_text(&session));
	free(collation);
	buf_release(&name);
	buf_release(&session);
	return rc;
}

static bool
is_systems(struct mysql_source *s, const char *db)
{
	return strcmp(db, "sys") == 0 || strcmp(db, conf_str(s->env.conf, "state_schema")) == 0;
}

/* Databases that are selected as a whole: tables that join later take their defaults. */
static enum rc
add_databases(struct mysql_source *s, struct catalog *out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e,
		"SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM "
		"information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN "
		"('mysql','information_schema','performance_schema') ORDER BY 1");

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		struct catalog_object *o;
		struct buf b;

		if (is_systems(s, row[0]) || !routes_database(s->env.routes, row[0]))
			continue;
		buf_init(&b);
		buf_puts(&b, "CREATE DATABASE ");
		mysql_quote_name(&b, row[0]);
		buf_printf(&b, " DEFAULT CHARACTER SET %s COLLATE %s", row[1], row[2]);
		o = catalog_add(out, OBJECT_DATABASE, row[0], "");
		o->sql = (char *)b.data;
		o->session = xasprintf("default_collation_for_utf8mb4=%s", s->utf8mb4);
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
add_tables(struct mysql_source *s, struct table_list *tables, struct catalog *out, struct err *e)
{
	enum rc rc = RC_OK;

	for (size_t i = 0; i < tables->count && rc == RC_OK; i++) {
		struct table *t = tables->tables[i];
		struct catalog_object *o;

		if (!selected(s, t))
			continue;
		o = catalog_add(out, OBJECT_TABLE, t->db, t->name);
		o->table = t;
		tables->tables[i] = NULL;
		rc = add_definition(s, "TABLE", "Create Table", o, e);
	}
	return rc;
}

static const struct {
	enum object_kind kind;
	const char *what;
	const char *list;  /* schema, name */
	const char *field; /* of SHOW CREATE's row */
} others[] = {
	{OBJECT_FUNCTION, "FUNCTION",
		"SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES WHERE "
		"ROUTINE_TYPE = 'FUNCTION' ORDER BY 1, 2",
		"Create Function"},
	{OBJECT_PROCEDURE, "PROCEDURE",
		"SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES WHERE "
		"ROUTINE_TYPE = 'PROCEDURE' ORDER BY 1, 2",
		"Create Procedure"},
	{OBJECT_VIEW, "VIEW",
		"SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS ORDER BY 1, 2",
		"Create View"},
};

/* Views, functions and procedures of databases that are selected as a whole. */
static enum rc
add_others(struct mysql_source *s, struct catalog *out, struct err *e)
{
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		MYSQL_RES *res;
		MYSQL_ROW row;
		enum rc rc = client_query(&s->main, &res, e, "%s", others[i].list);

		if (rc != RC_OK)
			return rc;
		while (rc == RC_OK && (row = mysql_fetch_row(res)) != NULL) {
			struct catalog_object *o;

			if (is_systems(s, row[0]) || !routes_database(s->env.routes, row[0]))
				continue;
			o = catalog_add(out, others[i].kind, row[0], row[1]);
			rc = add_definition(s, others[i].what, others[i].field, o, e);
		}
		mysql_free_result(res);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

/* Those of selected tables, in the order in which they fire. */
static enum rc
add_triggers(struct mysql_source *s, struct catalog *out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e,
		"SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE FROM "
		"information_schema.TRIGGERS ORDER BY TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, "
		"ACTION_ORDER");

	if (rc != RC_OK)
		return rc;
	while (rc == RC_OK && (row = mysql_fetch_row(res)) != NULL) {
		struct catalog_object *o;
		char *renamed;

		if (!routes_table(s->env.routes, row[0], row[2]))
			continue;
		o = catalog_add(out, OBJECT_TRIGGER, row[0], row[1]);
		o->on = xstrdup(row[2]);
		rc = add_definition(s, "TRIGGER", "SQL Original Statement", o, e);
		renamed = rc == RC_OK ? trigger_names_renamed(s, row[0], row[2], o->sql) : NULL;
		if (renamed != NULL) {
			rc = err_set(e, RC_CONFIG,
				"trigger %s.%s cannot be copied: it names \"%s\", which the "
				"channel renames or drops",
				row[0], row[1], renamed);
			err_remedy(e, "set triggers = \"none\" and create it at the target by "
				      "hand, or keep that name");
		}
		free(renamed);
	}
	mysql_free_result(res);
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
pin_all(struct mysql_source *s, struct err *e)
{
	struct table_list list = {0};
	enum rc rc = mysql_describe(&s->main, NULL, NULL, &list, e);

	if (rc == RC_OK)
		rc = client_run(&s->main, e, "START TRANSACTION");
	for (size_t i = 0; i < list.count && rc == RC_OK; i++) {
		bool gone;

		if (selected(s, list.tables[i]))
			rc = pin(s, list.tables[i], &gone, e);
	}
	table_list_release(&list);
	return rc;
}

static enum rc
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
		rc = add_databases(s, out, e);
	if (rc == RC_OK)
		rc = add_tables(s, &tables, out, e);
	if (rc == RC_OK)
		rc = add_others(s, out, e);
	if (rc == RC_OK && source_copies_triggers(s))
		rc = add_triggers(s, out, e);
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

const struct source_ops mysql_source_ops = {
	.kind = "mysql",
	.create = mysql_create,
	.free = mysql_free,
	.check = mysql_check_source,
	.identify = mysql_identify,
	.take_over = mysql_take_over,
	.tip = mysql_tip,
	.catalog = mysql_catalog,
	.stream = mysql_stream,
	.verify = mysql_verify,
	.compare = mysql_compare,
	.wake = mysql_wake,
	.lane_open = mysql_lane_open,
	.lane_close = mysql_lane_close,
	.lane_bound = mysql_lane_bound,
	.lane_snapshot = mysql_lane_snapshot,
	.lane_read = mysql_lane_read,
	.lane_end = mysql_lane_end,
};
