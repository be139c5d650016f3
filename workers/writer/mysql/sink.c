/* sink.c - the MySQL sink engine: our own tables at the target, taking a channel over; see sink.h.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "ipc/proto.h"
#include "workers/writer/mysql/sink.h"

/*
 * Everything that correctness needs is in these. Keys and positions are bytes;
 * InnoDB, since they are written in the transactions they belong to.
 */
static const struct {
	const char *name;
	const char *columns;
} state_tables[] = {
	{"checkpoint", "channel VARBINARY(190) NOT NULL PRIMARY KEY, epoch BIGINT UNSIGNED NOT "
		       "NULL, turn BIGINT "
		       "UNSIGNED NOT NULL, "
		       "incarnation INT UNSIGNED NOT NULL DEFAULT 0, order_no BIGINT UNSIGNED NOT "
		       "NULL DEFAULT 0, "
		       "applied LONGBLOB, "
		       "resume_at LONGBLOB, commit_time_us BIGINT UNSIGNED NOT NULL DEFAULT 0, "
		       "source_id BLOB, "
		       "wish VARBINARY(32) NOT NULL DEFAULT 'running'"},
	{"table_state", "channel VARBINARY(190) NOT NULL, db VARBINARY(190) NOT NULL, name "
			"VARBINARY(190) NOT "
			"NULL, "
			"state VARBINARY(16) NOT NULL, inserted TINYINT NOT NULL DEFAULT 0, "
			"definition LONGBLOB, "
			"PRIMARY KEY (channel, db, name)"},
	{"chunk",
		"channel VARBINARY(190) NOT NULL, db VARBINARY(190) NOT NULL, name VARBINARY(190) "
		"NOT "
		"NULL, "
		"number INT UNSIGNED NOT NULL, lo LONGBLOB, hi LONGBLOB, is_last TINYINT NOT NULL, "
		"rows_loaded BIGINT UNSIGNED NOT NULL, "
		"PRIMARY KEY (channel, db, name, number)"},
	{"later_index", "channel VARBINARY(190) NOT NULL, db VARBINARY(190) NOT NULL, name "
			"VARBINARY(190) NOT NULL, definitions LONGBLOB NOT NULL, PRIMARY KEY "
			"(channel, db, name)"},
	{"ddl_note",
		"channel VARBINARY(190) NOT NULL PRIMARY KEY, applied LONGBLOB NOT NULL, statement "
		"LONGBLOB NOT NULL, "
		"before_hash BIGINT UNSIGNED NOT NULL"},
};

size_t
sink_state_count(void)
{
	return COUNT_OF(state_tables);
}

void
sink_state_sql(const struct mysql_sink *s, size_t i, struct buf *out)
{
	buf_printf(out, "CREATE TABLE IF NOT EXISTS %s.%s (%s) ENGINE=InnoDB", s->state,
		state_tables[i].name, state_tables[i].columns);
}

static enum rc
mysql_create(const struct sink_env *env, struct sink **out, struct err *e)
{
	struct mysql_sink *s = xcalloc(1, sizeof *s);
	struct buf b;

	(void)e;
	s->base.ops = sink_find("mysql");
	s->env = *env;
	s->foreign = !conf_is(env->conf, "source.kind", "mysql");
	buf_init(&b);
	mysql_quote_name(&b, conf_str(env->conf, "state_schema"));
	s->state = (char *)b.data;
	snprintf(s->lock, sizeof s->lock, "syncline:%016" PRIx64,
		(uint64_t)XXH3_64bits(env->channel, strlen(env->channel)));
	*out = &s->base;
	return RC_OK;
}

static void
mysql_free(struct sink *base)
{
	struct mysql_sink *s = (struct mysql_sink *)base;

	client_close(&s->main);
	free(s->state);
	free(s);
}

/* 'channel' as a literal, for the statements of this file. */
static char *
channel_literal(struct mysql_sink *s)
{
	struct buf b;

	buf_init(&b);
	client_quote(&s->main, &b, s->env.channel, strlen(s->env.channel));
	return (char *)b.data;
}

static enum rc
make_tables(struct mysql_sink *s, struct err *e)
{
	struct buf b, names;
	char *there = NULL;
	enum rc rc;

	buf_init(&b);
	buf_init(&names);
	client_quote(&s->main, &b, conf_str(s->env.conf, "state_schema"),
		strlen(conf_str(s->env.conf, "state_schema")));
	for (size_t i = 0; i < COUNT_OF(state_tables); i++)
		buf_printf(&names, "%s'%s'", i == 0 ? "" : ", ", state_tables[i].name);
	rc = client_value(&s->main, &there, e,
		"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND "
		"TABLE_NAME IN (%s)",
		buf_text(&b), buf_text(&names));
	buf_release(&names);
	if (rc == RC_OK && there != NULL && strtoul(there, NULL, 10) == sink_state_count()) {
		free(there);
		buf_release(&b);
		return RC_OK;
	}
	free(there);
	if (rc == RC_OK)
		rc = client_run(&s->main, e, "CREATE DATABASE IF NOT EXISTS %s", s->state);
	for (size_t i = 0; i < sink_state_count() && rc == RC_OK; i++) {
		buf_clear(&b);
		sink_state_sql(s, i, &b);
		rc = client_exec(&s->main, buf_text(&b), b.len, e);
	}
	buf_release(&b);
	if (rc == RC_CONFIG) {
		err_context(e, "cannot make our own tables in %s", s->state);
		err_remedy(e, "let an administrator run what `syncline check --sql %s` prints",
			s->env.channel);
	}
	return rc;
}

/*
 * The newest gateway has the channel. The row's epoch is what fences an older
 * one: its next checkpoint matches no row. Its sessions are found by the locks
 * they hold and ended, so that their transactions do not linger: once it is
 * fenced, so that it finds that out and does not come back; before that only
 * if they stand in the way, as those of a frozen gateway may for hours.
 */
static enum rc
end_old_sessions(struct mysql_sink *s, struct err *e)
{
	struct err ignored;

	for (unsigned i = 0; i < PROTO_MAX_LANES; i++) {
		char *id = NULL;
		enum rc rc =
			client_value(&s->main, &id, e, "SELECT IS_USED_LOCK('%s:%u')", s->lock, i);

		if (rc != RC_OK)
			return rc;
		if (id != NULL) {
			log_warn("ending session %s of an older writer of this channel at the "
				 "target",
				id);
			if (client_run(&s->main, &ignored, "KILL %s", id) != RC_OK)
				log_debug("it was gone already: %s", ignored.text);
		}
		free(id);
	}
	return RC_OK;
}

#define RAISE_WAIT_S 1
#define RAISE_TRIES 30
#define LOCK_WAIT_S 5

static enum rc
try_to_raise(struct mysql_sink *s, const char *channel, struct err *e)
{
	char *epoch = NULL;
	enum rc rc = client_run(&s->main, e,
		"INSERT IGNORE INTO %s.checkpoint (channel, epoch, turn) VALUES (%s, 0, 0)",
		s->state, channel);

	if (rc == RC_OK)
		rc = client_run(&s->main, e,
			"UPDATE %s.checkpoint SET epoch = LAST_INSERT_ID(epoch + 1) WHERE channel "
			"= %s",
			s->state, channel);
	if (rc == RC_OK)
		rc = client_value(&s->main, &epoch, e, "SELECT LAST_INSERT_ID()");
	if (rc == RC_OK && epoch != NULL)
		s->epoch = strtoull(epoch, NULL, 10);
	free(epoch);
	return rc;
}

static enum rc
set_lock_wait(struct mysql_sink *s, int seconds, struct err *e)
{
	return client_run(&s->main, e, "SET SESSION innodb_lock_wait_timeout = %d", seconds);
}

static enum rc
raise_epoch(struct mysql_sink *s, const char *channel, struct err *e)
{
	enum rc rc = set_lock_wait(s, RAISE_WAIT_S, e);

	for (unsigned i = 0; i < RAISE_TRIES && rc == RC_OK; i++) {
		rc = try_to_raise(s, channel, e);
		if (rc != RC_RETRY || !client_is_deadlock((unsigned)e->code) || *s->env.stop)
			break;
		if (i + 1 < RAISE_TRIES)
			rc = end_old_sessions(s, e);
	}
	FAILPOINT(WRITER_EPOCH);
	return rc == RC_OK ? set_lock_wait(s, LOCK_WAIT_S, e) : rc;
}

/* A new connection asks: ours may be what the other gateway has ended. */
static enum rc
mysql_confirm(struct sink *base, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	struct client c;
	char *epoch = NULL, *channel;
	enum rc rc = client_open(&c, s->env.conf, "target", SINK_SQL_MODE, e);

	if (rc != RC_OK)
		return rc;
	channel = channel_literal(s);
	rc = client_value(&c, &epoch, e, "SELECT epoch FROM %s.checkpoint WHERE channel = %s",
		s->state, channel);
	if (rc == RC_OK && epoch != NULL && strtoull(epoch, NULL, 10) > s->epoch)
		rc = sink_fenced(&s->env, s->epoch, e);
	free(epoch);
	free(channel);
	client_close(&c);
	return rc;
}

static char *
dup_field(MYSQL_ROW row, const unsigned long *len, unsigned i)
{
	return row[i] != NULL ? xstrndup(row[i], len[i]) : NULL;
}

static enum rc
read_checkpoint(struct mysql_sink *s, const char *channel, struct resume *out, uint64_t *turn,
	struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e,
		"SELECT turn, incarnation, applied, resume_at, source_id, wish FROM %s.checkpoint "
		"WHERE channel = %s",
		s->state, channel);

	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	if (row != NULL) {
		const unsigned long *len = mysql_fetch_lengths(res);

		*turn = strtoull(row[0], NULL, 10);
		out->incarnation = (uint32_t)strtoul(row[1], NULL, 10);
		out->applied = dup_field(row, len, 2);
		out->resume = dup_field(row, len, 3);
		out->source_id = dup_field(row, len, 4);
		out->wish = dup_field(row, len, 5);
		out->fresh = out->applied == NULL;
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
read_tables(struct mysql_sink *s, const char *channel, struct resume *out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e,
		"SELECT db, name, state, inserted, definition FROM %s.table_state WHERE channel = "
		"%s ORDER BY db, name",
		s->state, channel);

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL && rc == RC_OK) {
		const unsigned long *len = mysql_fetch_lengths(res);
		enum table_state state = table_state_by_name(row[2]);
		struct resume_table *t;

		if (state == TABLE_STATE_COUNT) {
			rc = err_set(e, RC_CONFIG,
				"%s.table_state has the state \"%s\", which this program does not "
				"know",
				s->state, row[2]);
			break;
		}
		t = resume_add_table(out, row[0], row[1], state);
		t->inserted = strcmp(row[3], "0") != 0;
		if (row[4] != NULL)
			buf_add(&t->schema, row[4], len[4]);
	}
	mysql_free_result(res);
	return rc;
}

static enum rc
read_chunks(struct mysql_sink *s, const char *channel, struct resume *out, struct err *e)
{
	struct resume_table *t = NULL;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e,
		"SELECT db, name, number, lo, hi, is_last, rows_loaded FROM %s.chunk WHERE channel "
		"= %s ORDER BY db, name, number",
		s->state, channel);

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL) {
		const unsigned long *len = mysql_fetch_lengths(res);
		struct resume_chunk *k;

		if (t == NULL || strcmp(t->name, row[1]) != 0 || strcmp(t->db, row[0]) != 0)
			t = resume_find(out, row[0], row[1]);
		if (t == NULL)
			continue;
		k = resume_add_chunk(t, (uint32_t)strtoul(row[2], NULL, 10));
		if (row[3] != NULL)
			buf_add(&k->lo, row[3], len[3]);
		if (row[4] != NULL)
			buf_add(&k->hi, row[4], len[4]);
		k->last = strcmp(row[5], "0") != 0;
		k->rows = strtoull(row[6], NULL, 10);
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
mysql_open(struct sink *base, struct resume *out, uint64_t *turn, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	char *channel;
	enum rc rc = client_open(&s->main, s->env.conf, "target", SINK_SQL_MODE, e);

	if (rc != RC_OK)
		return rc;
	channel = channel_literal(s);
	rc = make_tables(s, e);
	if (rc == RC_OK)
		rc = raise_epoch(s, channel, e);
	if (rc == RC_OK)
		rc = end_old_sessions(s, e);
	if (rc == RC_OK)
		rc = read_checkpoint(s, channel, out, turn, e);
	if (rc == RC_OK)
		rc = read_tables(s, channel, out, e);
	if (rc == RC_OK)
		rc = read_chunks(s, channel, out, e);
	free(channel);
	return rc;
}

static enum rc
mysql_wish(struct sink *base, const char *wish, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	char *channel = channel_literal(s);
	enum rc rc = client_run(&s->main, e,
		"UPDATE %s.checkpoint SET wish = '%s' WHERE channel = %s AND epoch = %" PRIu64,
		s->state, wish, channel, s->epoch);

	free(channel);
	return rc;
}

static enum rc
mysql_clear(struct sink *base, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	char *channel;
	enum rc rc = client_open(&s->main, s->env.conf, "target", SINK_SQL_MODE, e);

	if (rc != RC_OK)
		return rc;
	channel = channel_literal(s);
	rc = make_tables(s, e);
	if (rc == RC_OK)
		rc = end_old_sessions(s, e);
	if (rc == RC_OK)
		rc = client_run(&s->main, e, "START TRANSACTION");
	for (size_t i = 0; i < COUNT_OF(state_tables) && rc == RC_OK; i++)
		rc = client_run(&s->main, e, "DELETE FROM %s.%s WHERE channel = %s", s->state,
			state_tables[i].name, channel);
	if (rc == RC_OK)
		rc = client_run(&s->main, e, "COMMIT");
	free(channel);
	return rc;
}

static enum rc
mysql_describe_target(
	struct sink *base, const char *db, const char *name, struct table **out, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	struct table_list list = {0};
	enum rc rc = mysql_describe(&s->main, db, name, &list, e);

	*out = NULL;
	if (rc == RC_OK && list.count == 1) {
		*out = list.tables[0];
		list.tables[0] = NULL;
	}
	table_list_release(&list);
	return rc;
}

static enum rc
mysql_parents(struct sink *base, struct fk_world *world, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e,
		"SELECT DISTINCT UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME "
		"FROM information_schema.REFERENTIAL_CONSTRAINTS");

	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL)
		if (row[0] != NULL && row[1] != NULL)
			fk_world_refer(world, row[0], row[1]);
	mysql_free_result(res);
	return RC_OK;
}

static void
mysql_target_release(struct sink *s, struct target *t)
{
	(void)s;
	(void)t; /* statements are the lanes', dropped at each DDL and found by target and shape */
}

/* ---- rows of our own, in a lane's transaction ---- */

static void
add_key(struct mysql_lane *l, struct buf *b, const char *db, const char *name)
{
	client_quote(&l->c, b, l->sink->env.channel, strlen(l->sink->env.channel));
	buf_puts(b, ", ");
	client_quote(&l->c, b, db, strlen(db));
	buf_puts(b, ", ");
	client_quote(&l->c, b, name, strlen(name));
}

static enum rc
mysql_chunk_done(
	struct sink_lane *base, const struct target *t, const struct event_chunk *c, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b,
		"INSERT INTO %s.chunk (channel, db, name, number, lo, hi, is_last, rows_loaded) "
		"VALUES (",
		l->sink->state);
	add_key(l, &b, t->source_db, t->source_name);
	buf_printf(&b, ", %u, ", c->number);
	mysql_quote_hex(&b, c->lo, c->lo_len);
	buf_puts(&b, ", ");
	mysql_quote_hex(&b, c->hi, c->hi_len);
	buf_printf(&b, ", %d, %" PRIu64 ")", c->last, c->rows);
	rc = lane_exec(l, &b, e);
	buf_release(&b);
	return rc;
}

#define NO_SUCH_TABLE 1146

static enum rc
mysql_has_rows(struct sink_lane *base, const struct target *t, bool *has, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	char *one = NULL;
	struct buf name;
	enum rc rc;

	buf_init(&name);
	mysql_quote_table(&name, t->db, t->name);
	rc = client_value(&l->c, &one, e, "SELECT 1 FROM %s LIMIT 1", buf_text(&name));
	*has = one != NULL;
	free(one);
	buf_release(&name);
	return rc != RC_OK && e->code == NO_SUCH_TABLE ? RC_OK : rc;
}

static enum rc
mysql_empty(struct sink_lane *base, const struct target *t, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	enum rc rc = lane_fk(l, true, e);
	struct buf b;

	buf_init(&b);
	buf_puts(&b, "DELETE FROM ");
	mysql_quote_table(&b, t->db, t->name);
	if (rc == RC_OK)
		rc = lane_exec(l, &b, e);
	buf_release(&b);
	return rc;
}

static enum rc
mysql_table_state(struct sink_lane *base, const char *db, const char *name, enum table_state state,
	bool inserted, const struct buf *schema, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	struct buf b;
	enum rc rc = RC_OK;

	buf_init(&b);
	if (state == TABLE_REMOVED) {
		buf_printf(&b, "DELETE FROM %s.table_state WHERE (channel, db, name) = (",
			l->sink->state);
		add_key(l, &b, db, name);
		buf_puts(&b, ")");
	} else {
		buf_printf(&b,
			"INSERT INTO %s.table_state (channel, db, name, state, inserted, "
			"definition) VALUES (",
			l->sink->state);
		add_key(l, &b, db, name);
		buf_printf(&b, ", '%s', %d, ", table_state_name(state), inserted);
		if (schema != NULL)
			mysql_quote_hex(&b, schema->data, schema->len);
		else
			buf_puts(&b, "NULL");
		buf_puts(&b, ") ON DUPLICATE KEY UPDATE state = VALUES(state), inserted = "
			     "VALUES(inserted)");
		if (schema != NULL)
			buf_puts(&b, ", definition = VALUES(definition)");
	}
	rc = lane_exec(l, &b, e);
	if (rc == RC_OK && state == TABLE_REMOVED)
		rc = later_forget(l, db, name, e);
	if (rc == RC_OK && !table_state_has_chunks(state)) {
		buf_clear(&b);
		buf_printf(
			&b, "DELETE FROM %s.chunk WHERE (channel, db, name) = (", l->sink->state);
		add_key(l, &b, db, name);
		buf_puts(&b, ")");
		rc = lane_exec(l, &b, e);
	}
	buf_release(&b);
	return rc;
}

const struct sink_ops mysql_sink_ops = {
	.kind = "mysql",
	.late_share = 8,
	.load_rows = 1000,
	.create = mysql_create,
	.free = mysql_free,
	.check = sink_check,
	.open = mysql_open,
	.wish = mysql_wish,
	.confirm = mysql_confirm,
	.clear = mysql_clear,
	.describe = mysql_describe_target,
	.parents = mysql_parents,
	.target_release = mysql_target_release,
	.lane_open = sink_lane_open,
	.lane_close = sink_lane_close,
	.begin = sink_begin,
	.batch = sink_batch,
	.savepoint = sink_savepoint,
	.rollback_to_savepoint = sink_rollback_to_savepoint,
	.row = sink_row,
	.fetch = sink_fetch,
	.load = sink_load,
	.chunk_done = mysql_chunk_done,
	.has_rows = mysql_has_rows,
	.empty = mysql_empty,
	.loaded = sink_loaded,
	.table_state = mysql_table_state,
	.commit = sink_commit,
	.rollback = sink_rollback,
	.ddl = sink_ddl,
	.object = sink_object,
};
