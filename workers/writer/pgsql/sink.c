/* sink.c - the PostgreSQL sink engine: our own tables at the target, taking a channel over; see
 * sink.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/pgsql/describe.h"
#include "ipc/proto.h"
#include "workers/writer/pgsql/sink.h"

/*
 * Everything that correctness needs is in these, written in the transactions
 * it belongs to. DDL is transactional here and needs no note.
 */
static const struct {
	const char *name;
	const char *columns;
} state_tables[] = {
	{"checkpoint",
		"channel text PRIMARY KEY, epoch bigint NOT NULL, turn bigint NOT NULL, "
		"incarnation integer NOT NULL DEFAULT 0, order_no bigint NOT NULL DEFAULT 0, "
		"applied text, resume_at text, commit_time_us bigint NOT NULL DEFAULT 0, "
		"source_id text, wish text NOT NULL DEFAULT 'running'"},
	{"table_state",
		"channel text NOT NULL, db text NOT NULL, name text NOT NULL, state text NOT NULL, "
		"inserted boolean NOT NULL DEFAULT false, definition bytea, later text[], "
		"PRIMARY KEY (channel, db, name)"},
	{"chunk", "channel text NOT NULL, db text NOT NULL, name text NOT NULL, "
		  "number bigint NOT NULL, lo bytea, hi bytea, is_last boolean NOT NULL, "
		  "rows_loaded bigint NOT NULL, PRIMARY KEY (channel, db, name, number)"},
};

size_t
pgsink_state_count(void)
{
	return COUNT_OF(state_tables);
}

void
pgsink_state_sql(const struct pgsql_sink *s, size_t i, struct buf *out)
{
	buf_printf(out, "CREATE TABLE IF NOT EXISTS %s.%s (%s)%s", s->state, state_tables[i].name,
		state_tables[i].columns,
		s->dialect->distributed ? " DISTRIBUTED BY (channel)" : "");
}

static enum rc
pgsink_create(const struct sink_env *env, struct sink **out, struct err *e)
{
	struct pgsql_sink *s = xcalloc(1, sizeof *s);
	struct buf b;

	(void)e;
	s->base.ops = sink_find("postgresql");
	s->env = *env;
	s->dialect = pgsink_dialect(env->conf);
	s->native = conf_is(env->conf, "source.kind", "postgresql");
	/* Where rows are mended each is to be refused by itself. */
	s->defers = s->native && s->dialect->foreign_keys &&
		    conf_is(env->conf, "conflict", "TaskFailed");
	buf_init(&b);
	pgsql_quote_name(&b, conf_str(env->conf, "state_schema"));
	s->state = (char *)b.data;
	s->lock = (uint32_t)XXH3_64bits(env->channel, strlen(env->channel));
	*out = &s->base;
	return RC_OK;
}

static void
pgsink_free(struct sink *base)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;

	if (s->main.conn != NULL)
		pgsink_move_sequences(s);
	pgsql_close(&s->main);
	for (size_t i = 0; i < s->nmade; i++)
		table_free(s->made[i]);
	free(s->made);
	free(s->state);
	free(s);
}

/* 'channel' as a literal, for the statements of this file. */
static char *
channel_literal(const struct pgsql_sink *s)
{
	struct buf b;

	buf_init(&b);
	pgsql_quote_text(&b, s->env.channel);
	return (char *)b.data;
}

/* Asked first: an account may have the tables and no right to make them. */
static enum rc
make_tables(struct pgsql_sink *s, struct err *e)
{
	char *there = NULL;
	struct buf b, names;
	enum rc rc;

	buf_init(&b);
	buf_init(&names);
	pgsql_quote_text(&b, conf_str(s->env.conf, "state_schema"));
	for (size_t i = 0; i < COUNT_OF(state_tables); i++)
		buf_printf(&names, "%s'%s'", i == 0 ? "" : ", ", state_tables[i].name);
	rc = pgsql_value(&s->main, &there, e,
		"SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename IN "
		"(%s)",
		buf_text(&b), buf_text(&names));
	buf_release(&names);
	if (rc == RC_OK && there != NULL && strtoul(there, NULL, 10) == pgsink_state_count()) {
		free(there);
		buf_release(&b);
		return RC_OK;
	}
	free(there);
	if (rc == RC_OK)
		rc = pgsql_run(&s->main, e, "CREATE SCHEMA IF NOT EXISTS %s", s->state);
	for (size_t i = 0; i < pgsink_state_count() && rc == RC_OK; i++) {
		buf_clear(&b);
		pgsink_state_sql(s, i, &b);
		rc = pgsql_exec(&s->main, buf_text(&b), e);
	}
	buf_release(&b);
	if (rc == RC_CONFIG) {
		err_context(e, "cannot make our own tables in %s", s->state);
		err_remedy(e, "let an administrator run what `syncline check --sql` prints, or "
			      "grant CREATE on that database");
	}
	return rc;
}

/*
 * The newest gateway has the channel. The row's epoch is what fences an older
 * one: its next checkpoint matches no row. A transaction that has moved the
 * checkpoint holds the row's lock: we wait until it has committed or is gone.
 */
static enum rc
raise_epoch(struct pgsql_sink *s, const char *channel, struct err *e)
{
	char *epoch = NULL;
	enum rc rc = pgsql_value(&s->main, &epoch, e,
		"UPDATE %s.checkpoint SET epoch = epoch + 1 WHERE channel = %s RETURNING epoch",
		s->state, channel);

	if (rc == RC_OK && epoch == NULL)
		rc = pgsql_value(&s->main, &epoch, e,
			"INSERT INTO %s.checkpoint (channel, epoch, turn) VALUES (%s, 1, 0) "
			"RETURNING epoch",
			s->state, channel);
	if (rc != RC_OK && pgsql_is(&s->main, "23505"))
		rc = err_set(e, RC_RETRY, "another writer begins this channel at the moment");
	if (rc == RC_OK && epoch != NULL)
		s->epoch = strtoull(epoch, NULL, 10);
	free(epoch);
	return rc;
}

/* Their transactions go with them, and the locks that these hold. */
static enum rc
end_old_sessions(struct pgsql_sink *s, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT pid, pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
		"AND classid = %" PRIu32 " AND objsubid = 2 AND granted AND "
		"database = (SELECT oid FROM pg_database WHERE datname = current_database())",
		s->lock);

	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < PQntuples(res); i++)
		log_warn("ending session %s of an older writer of this channel at the target",
			PQgetvalue(res, i, 0));
	PQclear(res);
	return RC_OK;
}

static char *
dup_field(const PGresult *res, int row, int field)
{
	return PQgetisnull(res, row, field) ? NULL : xstrdup(PQgetvalue(res, row, field));
}

static enum rc
read_checkpoint(struct pgsql_sink *s, const char *channel, struct resume *out, uint64_t *turn,
	struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT turn, incarnation, applied, resume_at, source_id, wish FROM %s.checkpoint "
		"WHERE channel = %s",
		s->state, channel);

	if (rc != RC_OK)
		return rc;
	if (PQntuples(res) != 0) {
		*turn = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
		out->incarnation = (uint32_t)strtoul(PQgetvalue(res, 0, 1), NULL, 10);
		out->applied = dup_field(res, 0, 2);
		out->resume = dup_field(res, 0, 3);
		out->source_id = dup_field(res, 0, 4);
		out->wish = dup_field(res, 0, 5);
		out->fresh = out->applied == NULL;
	}
	PQclear(res);
	return RC_OK;
}

/* A bytea column. */
static enum rc
add_bytes(struct buf *b, const PGresult *res, int row, int field, struct err *e)
{
	unsigned char *bytes;
	size_t n;

	if (PQgetisnull(res, row, field))
		return RC_OK;
	bytes = PQunescapeBytea((unsigned char *)PQgetvalue(res, row, field), &n);
	if (bytes == NULL)
		return err_set(e, RC_RETRY, "cannot read bytes of our own: no memory");
	buf_add(b, bytes, n);
	PQfreemem(bytes);
	return RC_OK;
}

static enum rc
add_made(struct pgsql_sink *s, const struct buf *schema, struct err *e)
{
	struct table *t;
	struct cursor c;
	enum rc rc;

	cursor_init(&c, schema->data, schema->len);
	if ((rc = table_decode(&c, &t, e)) == RC_OK)
		pgsink_add_made(s, t);
	return rc;
}

static enum rc
read_tables(struct pgsql_sink *s, const char *channel, struct resume *out, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT db, name, state, inserted, definition FROM %s.table_state WHERE channel = "
		"%s ORDER BY db, name",
		s->state, channel);

	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < PQntuples(res) && rc == RC_OK; i++) {
		enum table_state state = table_state_by_name(PQgetvalue(res, i, 2));
		struct resume_table *t;

		if (state == TABLE_STATE_COUNT) {
			rc = err_set(e, RC_CONFIG,
				"%s.table_state has the state \"%s\", which this program does not "
				"know",
				s->state, PQgetvalue(res, i, 2));
			break;
		}
		t = resume_add_table(out, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1), state);
		t->inserted = *PQgetvalue(res, i, 3) == 't';
		rc = add_bytes(&t->schema, res, i, 4, e);
		if (rc == RC_OK && t->schema.len != 0 && *t->name != '\0')
			rc = add_made(s, &t->schema, e);
	}
	PQclear(res);
	return rc;
}

static enum rc
read_chunks(struct pgsql_sink *s, const char *channel, struct resume *out, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT db, name, number, lo, hi, is_last, rows_loaded FROM %s.chunk WHERE channel "
		"= %s ORDER BY db, name, number",
		s->state, channel);

	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < PQntuples(res) && rc == RC_OK; i++) {
		struct resume_table *t =
			resume_find(out, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));
		struct resume_chunk *k;

		if (t == NULL)
			continue;
		k = resume_add_chunk(t, (uint32_t)strtoul(PQgetvalue(res, i, 2), NULL, 10));
		rc = add_bytes(&k->lo, res, i, 3, e);
		if (rc == RC_OK)
			rc = add_bytes(&k->hi, res, i, 4, e);
		k->last = *PQgetvalue(res, i, 5) == 't';
		k->rows = strtoull(PQgetvalue(res, i, 6), NULL, 10);
	}
	PQclear(res);
	return rc;
}

static enum rc
pgsink_open(struct sink *base, struct resume *out, uint64_t *turn, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	char *channel = channel_literal(s);
	enum rc rc = pgsql_open(&s->main, s->env.conf, "target", false, e);

	if (rc == RC_OK)
		rc = pgsink_check_dialect(s, e);
	if (rc == RC_OK)
		rc = make_tables(s, e);
	if (rc == RC_OK)
		rc = end_old_sessions(s, e);
	if (rc == RC_OK)
		rc = raise_epoch(s, channel, e);
	FAILPOINT(WRITER_EPOCH);
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
pgsink_wish(struct sink *base, const char *wish, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	char *channel = channel_literal(s);
	enum rc rc = pgsql_run(&s->main, e,
		"UPDATE %s.checkpoint SET wish = '%s' WHERE channel = %s AND epoch = %" PRIu64,
		s->state, wish, channel, s->epoch);

	free(channel);
	return rc;
}

/* On a connection of its own: any thread may ask. */
static enum rc
pgsink_confirm(struct sink *base, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	char *epoch = NULL, *channel;
	struct pgsql c;
	enum rc rc = pgsql_open(&c, s->env.conf, "target", false, e);

	if (rc != RC_OK)
		return rc;
	channel = channel_literal(s);
	rc = pgsql_value(&c, &epoch, e, "SELECT epoch FROM %s.checkpoint WHERE channel = %s",
		s->state, channel);
	if (rc == RC_OK && epoch != NULL && strtoull(epoch, NULL, 10) > s->epoch)
		rc = sink_fenced(&s->env, s->epoch, e);
	free(epoch);
	free(channel);
	pgsql_close(&c);
	return rc;
}

static enum rc
pgsink_clear(struct sink *base, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	char *channel = channel_literal(s);
	enum rc rc = pgsql_open(&s->main, s->env.conf, "target", false, e);

	if (rc == RC_OK)
		rc = make_tables(s, e);
	if (rc == RC_OK)
		rc = end_old_sessions(s, e);
	if (rc == RC_OK)
		rc = pgsql_run(&s->main, e, "BEGIN");
	for (size_t i = 0; i < COUNT_OF(state_tables) && rc == RC_OK; i++)
		rc = pgsql_run(&s->main, e, "DELETE FROM %s.%s WHERE channel = %s", s->state,
			state_tables[i].name, channel);
	if (rc == RC_OK)
		rc = pgsql_run(&s->main, e, "COMMIT");
	free(channel);
	return rc;
}

static enum rc
pgsink_describe(
	struct sink *base, const char *db, const char *name, struct table **out, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	struct table_list list = {0};
	enum rc rc = pgsql_describe(&s->main, db, name, &list, e);

	*out = NULL;
	if (rc == RC_OK && list.count == 1) {
		*out = list.tables[0];
		list.tables[0] = NULL;
	}
	table_list_release(&list);
	return rc;
}

static enum rc
pgsink_parents(struct sink *base, struct fk_world *world, struct err *e)
{
	struct pgsql_sink *s = (struct pgsql_sink *)base;
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT DISTINCT n.nspname, c.relname FROM pg_constraint o JOIN pg_class c ON "
		"c.oid = "
		"o.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE o.contype = 'f'");

	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < PQntuples(res); i++)
		fk_world_refer(world, PQgetvalue(res, i, 0), PQgetvalue(res, i, 1));
	PQclear(res);
	return RC_OK;
}

static void
pgsink_target_release(struct sink *s, struct target *t)
{
	(void)s;
	(void)t; /* statements are the lanes', dropped at each DDL and found by target and shape */
}

/* ---- rows of our own, in a lane's transaction ---- */

void
pgsink_add_key(const struct pgsql_lane *l, struct buf *b, const char *db, const char *name)
{
	pgsql_quote_text(b, l->sink->env.channel);
	buf_puts(b, ", ");
	pgsql_quote_text(b, db);
	buf_puts(b, ", ");
	pgsql_quote_text(b, name);
}

static enum rc
pgsink_chunk_done(
	struct sink_lane *base, const struct target *t, const struct event_chunk *c, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b,
		"INSERT INTO %s.chunk (channel, db, name, number, lo, hi, is_last, rows_loaded) "
		"VALUES (",
		l->sink->state);
	pgsink_add_key(l, &b, t->source_db, t->source_name);
	buf_printf(&b, ", %u, ", c->number);
	pgsql_quote_bytes(&b, c->lo, c->lo_len);
	buf_puts(&b, ", ");
	pgsql_quote_bytes(&b, c->hi, c->hi_len);
	buf_printf(&b, ", %s, %" PRIu64 ")", c->last ? "true" : "false", c->rows);
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

static enum rc
pgsink_has_rows(struct sink_lane *base, const struct target *t, bool *has, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	bool there = false;
	struct buf rows;
	enum rc rc = pgsink_is_there(l, t->db, t->name, &there, e);

	*has = false;
	buf_init(&rows);
	if (rc == RC_OK && there) {
		pgsink_quote_rows(l, &rows, t->db, t->name);
		rc = pgsql_exists(&l->c, has, e, "SELECT 1 FROM %s LIMIT 1", buf_text(&rows));
	}
	buf_release(&rows);
	return rc;
}

static enum rc
pgsink_empty_target(struct sink_lane *base, const struct target *t, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;

	return pgsink_empty(l, t->db, t->name, e);
}

/* Changed, or made: the channel's only writer is the one who looks. */
static void
upsert_state(const struct pgsql_lane *l, struct buf *b, const char *db, const char *name,
	enum table_state state, bool inserted, const struct buf *schema)
{
	const char *word = table_state_name(state), *yes = inserted ? "true" : "false",
		   *ours = l->sink->state;
	struct buf key, definition;

	buf_init(&key);
	buf_init(&definition);
	pgsink_add_key(l, &key, db, name);
	if (schema != NULL)
		pgsql_quote_bytes(&definition, schema->data, schema->len);
	else
		buf_puts(&definition, "definition");
	buf_printf(b,
		"UPDATE %s.table_state SET state = '%s', inserted = %s, definition = %s WHERE "
		"(channel, db, name) = (%s); ",
		ours, word, yes, buf_text(&definition), buf_text(&key));
	buf_printf(b,
		"INSERT INTO %s.table_state (channel, db, name, state, inserted, definition) "
		"SELECT %s, '%s', %s, %s WHERE NOT EXISTS (SELECT FROM %s.table_state WHERE "
		"(channel, db, name) = (%s))",
		ours, buf_text(&key), word, yes, schema != NULL ? buf_text(&definition) : "NULL",
		ours, buf_text(&key));
	buf_release(&key);
	buf_release(&definition);
}

static void
delete_of_table(const struct pgsql_lane *l, struct buf *b, const char *from, const char *db,
	const char *name)
{
	buf_printf(b, "DELETE FROM %s.%s WHERE (channel, db, name) = (", l->sink->state, from);
	pgsink_add_key(l, b, db, name);
	buf_putc(b, ')');
}

static enum rc
pgsink_table_state(struct sink_lane *base, const char *db, const char *name, enum table_state state,
	bool inserted, const struct buf *schema, struct err *e)
{
	struct pgsql_lane *l = (struct pgsql_lane *)base;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	if (state == TABLE_REMOVED)
		delete_of_table(l, &b, "table_state", db, name);
	else
		upsert_state(l, &b, db, name, state, inserted, schema);
	if (!table_state_has_chunks(state)) {
		buf_puts(&b, "; ");
		delete_of_table(l, &b, "chunk", db, name);
	}
	rc = pgsink_exec(l, buf_text(&b), e);
	buf_release(&b);
	return rc;
}

const struct sink_ops pgsql_sink_ops = {
	.kind = "postgresql",
	.late_share = 2,
	.load_rows =
		32768, /* a COPY costs the server as much as a thousand rows, whatever it brings */
	.create = pgsink_create,
	.free = pgsink_free,
	.check = pgsink_check,
	.open = pgsink_open,
	.wish = pgsink_wish,
	.confirm = pgsink_confirm,
	.clear = pgsink_clear,
	.describe = pgsink_describe,
	.parents = pgsink_parents,
	.target_release = pgsink_target_release,
	.lane_open = pgsink_lane_open,
	.lane_close = pgsink_lane_close,
	.begin = pgsink_begin,
	.batch = pgsink_batch,
	.answers = pgsink_answers,
	.savepoint = pgsink_savepoint,
	.rollback_to_savepoint = pgsink_rollback_to_savepoint,
	.row = pgsink_row,
	.fetch = pgsink_fetch,
	.load = pgsink_load,
	.chunk_done = pgsink_chunk_done,
	.has_rows = pgsink_has_rows,
	.empty = pgsink_empty_target,
	.loading = pgsink_loading,
	.keys = pgsink_keys,
	.loaded = pgsink_loaded,
	.table_state = pgsink_table_state,
	.commit = pgsink_commit,
	.rollback = pgsink_rollback,
	.ddl = pgsink_ddl,
	.object = pgsink_object,
};
