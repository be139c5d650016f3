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
	const char *gtid = strstr(text, " gtid="), *begun = strstr(text, " begun=");
	size_t n = begun != NULL  ? (size_t)(begun - text)
		   : gtid != NULL ? (size_t)(gtid - text)
				  : strlen(text);
	const char *colon = memrchr(text, ':', n);

	position_init(p, mariadb);
	if (colon == NULL || (size_t)(colon - text) >= sizeof p->file ||
		sscanf(colon + 1, "%" SCNu64, &p->offset) != 1)
		return err_set(e, RC_CONFIG, "\"%s\" is not a position in a MySQL log", text);
	memcpy(p->file, text, (size_t)(colon - text));
	if (begun != NULL)
		p->begun = (uint32_t)strtoul(begun + strlen(" begun="), NULL, 10);
	if (gtid == NULL)
		return RC_OK;
	p->has_gtids = true;
	return gtid_parse(&p->gtids, mariadb, gtid + 6, e);
}

void
position_print(const struct mysql_position *p, struct buf *b)
{
	buf_printf(b, "%s:%" PRIu64, p->file, p->offset);
	if (p->begun != 0)
		buf_printf(b, " begun=%" PRIu32, p->begun);
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

enum rc
mysql_open(struct mysql_source *s, struct err *e)
{
	enum rc rc = client_open(&s->main, s->env.conf, "source", SOURCE_SQL_MODE, e);

	return rc == RC_OK ? client_value(&s->main, &s->utf8mb4, e,
				     "SELECT COLLATION(CONVERT('' USING utf8mb4))")
			   : rc;
}

static enum rc
mysql_identify(struct source *base, char **id, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct err ignored;
	char *mode = NULL;
	enum rc rc = mysql_open(s, e);

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
		p.begun = 0;
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
	if (rc == RC_OK)
		rc = mysql_log_begun(s, &p, &p.begun, e);
	if (rc == RC_OK) {
		buf_init(&b);
		position_print(&p, &b);
		*position = (char *)b.data;
		*at = position_at(p.file, p.offset);
	}
	position_release(&p);
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
	.newcomers = mysql_newcomers,
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
