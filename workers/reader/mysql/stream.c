/* stream.c - the MySQL log thread: events become transactions of the feed. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "ipc/proto.h"
#include "workers/reader/mysql/stream.h"
#include "workers/reader/mysql/value.h"

/* How soon an idle log is known to be at its end. */
#define HEARTBEAT_NS 200000000u
/* A transaction this old at most when it is read: the log's end is as good as reached. */
#define CAUGHT_UP_S 1

/* ---- positions ---- */

/* Ours may be another one. */
static uint64_t
source_now_us(const struct stream *st)
{
	return now_us() + st->s->env.stats[STAT_CLOCK_OFFSET];
}

/*
 * MariaDB's log counts whole seconds: the commit was in that second and before
 * it was read, as late as can be. Else an idle pair would seem late by half a
 * second.
 */
static uint64_t
commit_time(const struct stream *st)
{
	uint64_t from = (uint64_t)st->time * 1000000, until = from + 999999, now;

	if (st->gtid.commit_us != 0 || st->time == 0)
		return st->gtid.commit_us;
	now = source_now_us(st);
	return now < from ? from : now < until ? now : until;
}

static void
fill_commit(struct stream *st, struct event_commit *c)
{
	buf_clear(&st->text);
	position_print(&st->at, &st->text);
	*c = (struct event_commit){
		.at = position_at(st->at.file, st->at.offset),
		.order = (st->begin.file & 0xfffff) << 32 | (st->begin.offset & 0xffffffff),
		.time_us = commit_time(st),
		.txid = st->txid,
		.origin = "",
		.applied = buf_text(&st->text),
		.resume = buf_text(&st->text),
	};
}

static void
set_stat(struct stream *st, enum statistic which, uint64_t v)
{
	atomic_store(&st->s->env.stats[which], v);
}

/* The transaction in hand is behind us. */
static void
move_position(struct stream *st)
{
	st->at.offset = st->position;
	if (st->has_gtid && !st->gtid.anonymous) {
		if (st->gtid.mariadb)
			gtid_add_mariadb(
				&st->at.gtids, st->gtid.domain, st->gtid.server, st->gtid.number);
		else
			gtid_add(&st->at.gtids, st->gtid.sid, st->gtid.number);
		st->at.has_gtids = true;
	}
}

static void
print_txid(struct stream *st)
{
	if (!st->has_gtid || st->gtid.anonymous)
		st->txid[0] = '\0';
	else if (st->gtid.mariadb)
		snprintf(st->txid, sizeof st->txid, "%u-%u-%" PRIu64, st->gtid.domain,
			st->gtid.server, st->gtid.number);
	else
		snprintf(st->txid, sizeof st->txid, "%s:%" PRIu64, st->gtid.sid, st->gtid.number);
}

enum rc
mysql_stream_begin(struct stream *st, struct err *e)
{
	enum rc rc;

	if (st->feeding)
		return RC_OK;
	rc = feed_begin(st->feed, st->begin, e);
	st->feeding = rc == RC_OK;
	return rc;
}

/* Of a log that never rests: close behind its end, by the source's clock, and behind where that was
 * when we began. */
static bool
is_caught_up(const struct stream *st)
{
	return st->time + CAUGHT_UP_S >= source_now_us(st) / 1000000 &&
	       logpos_cmp(position_at(st->at.file, st->at.offset), st->end) >= 0;
}

/* The transaction is whole. */
enum rc
mysql_stream_end(struct stream *st, struct err *e)
{
	struct event_commit c;
	enum rc rc = RC_OK;

	move_position(st);
	if (st->framing != SKIPPING) {
		print_txid(st);
		if ((rc = mysql_stream_begin(st, e)) != RC_OK)
			return rc;
		fill_commit(st, &c);
		st->feeding = false;
		rc = feed_commit(st->feed, &c, e);
		set_stat(st, STAT_CAUGHT_UP, is_caught_up(st));
	}
	st->framing = OUTSIDE;
	st->has_gtid = false;
	return rc;
}

/* A boundary without a transaction: the log's end, a new file. */
static enum rc
idle(struct stream *st, struct err *e)
{
	struct event_commit c;

	if (st->framing != OUTSIDE)
		return RC_OK;
	st->at.offset = st->position;
	fill_commit(st, &c);
	return feed_idle(st->feed, &c, e);
}

enum rc
mysql_stream_commit_here(struct stream *st, struct err *e)
{
	struct event_commit c;

	print_txid(st);
	fill_commit(st, &c);
	st->feeding = false;
	return feed_commit(st->feed, &c, e);
}

/* ---- rows ---- */

static enum rc
take_table_map(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	struct binlog_table *m;
	enum rc rc = binlog_table_map(&st->format, ev, &m, e);

	if (rc != RC_OK)
		return rc;
	/* Tables are the feed's: they are looked at within its lock. */
	if (routes_table(st->s->env.routes, m->db, m->name) &&
		(rc = mysql_stream_begin(st, e)) != RC_OK) {
		binlog_table_free(m);
		return rc;
	}
	FAILPOINT(READER_TABLE_MAP);
	return log_tables_map(&st->tables, m, e);
}

static enum rc
feed_rows(struct stream *st, const struct log_map *m, const struct binlog_rows *r, struct err *e)
{
	static const enum event_kind kinds[] = {EVENT_INSERT, EVENT_UPDATE, EVENT_DELETE};
	const struct table *schema = log_table_schema(m->table);
	struct event_row row = {
		.fk_off = (r->flags & (ROWS_NO_FOREIGN_KEY_CHECKS | ROWS_SQL_FOREIGN_KEY)) != 0};
	struct cursor c;
	enum rc rc = RC_OK;

	cursor_init(&c, r->data, r->len);
	while (cursor_left(&c) != 0 && rc == RC_OK) {
		const unsigned char *at = c.p;

		arena_reset(&st->arena);
		if (r->kind != ROWS_WRITE)
			rc = binlog_row(m->map, schema, r->before, VALUE_ABSENT, &c, &st->arena,
				&row.before, e);
		if (rc == RC_OK && r->partial)
			rc = binlog_row_partial(m->map, schema, r->after, &row.before, &c,
				&st->arena, &row.after, e);
		else if (rc == RC_OK && r->kind != ROWS_DELETE)
			rc = binlog_row(m->map, schema, r->after,
				r->kind == ROWS_UPDATE ? VALUE_UNCHANGED : VALUE_ABSENT, &c,
				&st->arena, &row.after, e);
		if (rc == RC_OK)
			rc = feed_row(st->feed, log_table_feed(m->table), kinds[r->kind], &row, e);
		if (rc == RC_OK && c.p == at) /* images without columns would never end */
			rc = err_set(e, RC_DATA, "the log has rows of %s.%s without any column",
				m->map->db, m->map->name);
	}
	return rc == RC_DATA ? log_tables_quarantine(&st->tables, m->table, e) : rc;
}

static enum rc
take_rows(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	const struct log_map *m;
	struct binlog_rows r;
	enum rc rc;

	if (st->framing == SKIPPING)
		return RC_OK;
	if ((rc = binlog_rows(&st->format, ev, &r, e)) != RC_OK)
		return rc;
	m = log_tables_find(&st->tables, r.table_id);
	if (m == NULL && r.table_id != 0xffffff)
		rc = err_set(e, RC_DATA,
			"the log has rows of table number %" PRIu64 " that it has not described",
			r.table_id);
	if (rc == RC_OK && m != NULL && m->table != NULL &&
		feed_wants(st->feed, log_table_feed(m->table))) {
		if (r.ncolumns != m->map->ncolumns)
			rc = err_set(e, RC_DATA,
				"the log has rows of %s.%s with another number of columns",
				m->map->db, m->map->name);
		else if ((rc = mysql_stream_begin(st, e)) == RC_OK)
			rc = feed_rows(st, m, &r, e);
	}
	free(r.inflated);
	return rc;
}

/* ---- XA ---- */

/* A table or a row of a prepared transaction that is now committed. */
static enum rc
take_prepared(void *arg, const struct binlog_event *ev, struct err *e)
{
	return binlog_is_rows(ev->type) ? take_rows(arg, ev, e) : take_table_map(arg, ev, e);
}

static enum rc
commit_prepared(struct stream *st, const struct xid *id, struct err *e)
{
	struct xa_branch *b;
	enum rc rc = xa_find(&st->xa, id, &b, e);

	if (rc == RC_OK)
		rc = xa_replay(&st->xa, b, take_prepared, st, e);
	if (rc != RC_OK)
		return rc;
	xa_forget(&st->xa, id);
	return mysql_stream_end(st, e);
}

static enum rc
take_xa_prepare(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	bool one_phase;
	struct xid id;
	enum rc rc = xid_of_event(ev, &id, &one_phase, e);

	if (rc != RC_OK || st->framing == SKIPPING)
		return rc == RC_OK ? mysql_stream_end(st, e) : rc;
	if (xa_prepared(&st->xa, &id) == NULL)
		return err_set(e, RC_DATA,
			"the log has the end of an XA transaction without its beginning at "
			"%s:%" PRIu64,
			st->at.file, st->position);
	st->framing = IN_TRANSACTION;
	return one_phase ? commit_prepared(st, &id, e) : mysql_stream_end(st, e);
}

static void
open_prepared(struct stream *st)
{
	st->framing = PREPARING;
	xa_open(&st->xa, st->at.file, st->begin.offset);
}

enum rc
mysql_stream_xa(struct stream *st, const struct binlog_query *q, const struct ddl *d, struct err *e)
{
	struct xid id;
	enum rc rc;

	if (d->verb != DDL_VERB_XA_COMMIT && d->verb != DDL_VERB_XA_ROLLBACK) {
		if (d->verb == DDL_VERB_XA_START && st->framing != SKIPPING)
			open_prepared(st);
		return RC_OK; /* XA END: XA_PREPARE follows */
	}
	if (st->framing == SKIPPING)
		return mysql_stream_end(st, e);
	if ((rc = xid_of_statement(q->sql, q->len, &id, e)) != RC_OK)
		return rc;
	if (d->verb == DDL_VERB_XA_COMMIT)
		return commit_prepared(st, &id, e);
	xa_forget(&st->xa, &id);
	return mysql_stream_end(st, e);
}

/* ---- measures ---- */

#define MEASURE_US 10000000u
#define MEASURE_EVENTS 1024u

/* The source's clock against ours, by the middle of a question's way there and back. */
static void
measure_clock(struct stream *st)
{
	struct client *c = &st->s->main;
	uint64_t asked = now_us(), answered;
	char *text = NULL;
	struct err e;

	if (client_value(c, &text, &e,
		    "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)") != RC_OK ||
		text == NULL)
		return;
	answered = now_us();
	set_stat(
		st, STAT_CLOCK_OFFSET, strtoull(text, NULL, 10) - (asked + (answered - asked) / 2));
	free(text);
}

/*
 * Bytes between here and the log's end. A server whose log is begun anew goes on
 * telling us that there is nothing new: only that the log ends before here gives
 * it away.
 */
static enum rc
measure_backlog(struct stream *st, struct err *e)
{
	struct logpos here = position_at(st->at.file, st->position);
	uint64_t bytes = 0;
	struct logpos last = {0};
	bool anew = false;
	MYSQL_RES *res;
	MYSQL_ROW row;
	struct err ignored;

	if (client_query(&st->s->main, &res, &ignored, "SHOW BINARY LOGS") != RC_OK)
		return RC_OK;
	while ((row = mysql_fetch_row(res)) != NULL) {
		uint64_t size = strtoull(row[1], NULL, 10);
		struct logpos end = position_at(row[0], size);

		if (end.file > here.file)
			bytes += size;
		else if (end.file == here.file && size > here.offset)
			bytes += size - here.offset;
		anew = anew || (end.file == here.file && size < here.offset);
		last = end;
	}
	mysql_free_result(res);
	anew = anew || logpos_cmp(last, st->seen) < 0;
	st->seen = last;
	if (anew || last.file < here.file)
		return mysql_log_begun_anew(st->s, &st->at, e);
	set_stat(st, STAT_READ_LAG, bytes);
	return RC_OK;
}

/* What cannot be measured stays as it was. */
static enum rc
measure(struct stream *st, struct err *e)
{
	uint64_t now = mono_us();

	if (st->measured_at != 0 && now < st->measured_at + MEASURE_US)
		return RC_OK;
	st->measured_at = now;
	measure_clock(st);
	return measure_backlog(st, e);
}

/* ---- other events ---- */

static enum rc
take_gtid(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	enum rc rc = binlog_gtid(ev, &st->gtid, e);
	bool done;

	if (rc != RC_OK)
		return rc;
	st->has_gtid = true;
	st->time = ev->time;
	st->begin = position_at(st->at.file, st->position - ev->len);
	done = !st->gtid.anonymous &&
	       gtid_has(&st->applied, st->gtid.sid, st->gtid.domain, st->gtid.number);
	xa_at(&st->xa, st->at.file, st->begin.offset, done);
	if (done)
		st->framing = SKIPPING;
	else if (st->gtid.xa_prepared)
		open_prepared(st);
	else
		st->framing = st->gtid.mariadb && !st->gtid.standalone ? IN_TRANSACTION : OUTSIDE;
	return RC_OK;
}

static enum rc
take_rotate(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	uint64_t offset;
	char name[512];
	enum rc rc = binlog_rotate(ev, &offset, name, e);

	if (rc != RC_OK)
		return rc;
	if (strcmp(name, st->at.file) != 0) {
		log_tables_forget_maps(&st->tables);
		st->at.begun = 0;
	}
	snprintf(st->at.file, sizeof st->at.file, "%s", name);
	st->position = offset;
	return st->framing == OUTSIDE && offset > 4 ? idle(st, e) : RC_OK;
}

static enum rc take_event(struct stream *st, const struct binlog_event *ev, struct err *e);

static enum rc
take_inner(void *arg, const struct binlog_event *ev, struct err *e)
{
	return take_event(arg, ev, e);
}

static enum rc
take_event(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	if (st->framing == PREPARING && (binlog_is_rows(ev->type) || ev->type == TABLE_MAP_EVENT)) {
		xa_keep(&st->xa, ev);
		return RC_OK;
	}
	if (binlog_is_rows(ev->type))
		return take_rows(st, ev, e);
	switch (ev->type) {
	case TABLE_MAP_EVENT:
		return st->framing == SKIPPING ? RC_OK : take_table_map(st, ev, e);
	case QUERY_EVENT:
	case MARIADB_QUERY_COMPRESSED_EVENT:
		return mysql_stream_query(st, ev, e);
	case XID_EVENT:
		st->time = ev->time;
		return mysql_stream_end(st, e);
	case GTID_EVENT:
	case ANONYMOUS_GTID_EVENT:
	case GTID_TAGGED_EVENT:
	case MARIADB_GTID_EVENT:
		return take_gtid(st, ev, e);
	case ROTATE_EVENT:
		return take_rotate(st, ev, e);
	case FORMAT_DESCRIPTION_EVENT:
		log_tables_forget_maps(&st->tables);
		st->at.begun = ev->time;
		return binlog_format(ev, &st->format, e);
	case TRANSACTION_PAYLOAD_EVENT:
		return st->framing == SKIPPING ? mysql_stream_end(st, e)
					       : binlog_payload(ev, take_inner, st, e);
	case HEARTBEAT_EVENT:
	case HEARTBEAT_EVENT_V2:
		/* One also stands for what the server skips by our GTIDs, before it sends the rest.
		 */
		if (logpos_cmp(position_at(st->at.file, st->position), st->end) < 0 &&
			st->end.offset <= UINT32_MAX)
			return idle(st, e);
		if (measure(st, e) != RC_OK)
			return e->rc;
		set_stat(st, STAT_CAUGHT_UP, 1);
		set_stat(st, STAT_READ_LAG, 0);
		st->time = (uint32_t)(source_now_us(st) / 1000000);
		st->gtid.commit_us = 0;
		return idle(st, e);
	case PREVIOUS_GTIDS_EVENT:
	case MARIADB_GTID_LIST_EVENT:
	case MARIADB_CHECKPOINT_EVENT:
		return (ev->flags & BINLOG_ARTIFICIAL) == 0 && ev->next_pos != 0 ? idle(st, e)
										 : RC_OK;
	case STOP_EVENT:
	case IGNORABLE_EVENT:
	case ROWS_QUERY_EVENT:
	case MARIADB_ANNOTATE_ROWS_EVENT:
	case MARIADB_START_ENCRYPTION_EVENT:
	case TRANSACTION_CONTEXT_EVENT:
	case VIEW_CHANGE_EVENT:
		return RC_OK;
	case INCIDENT_EVENT:
		err_set(e, RC_DATA, "the source reports lost events in its log at %s:%" PRIu64,
			st->at.file, st->position);
		return err_remedy(e, "reset the channel and load again");
	case XA_PREPARE_EVENT:
		return take_xa_prepare(st, ev, e);
	default:
		if (ev->flags & BINLOG_IGNORABLE)
			return RC_OK;
		return err_set(e, RC_DATA,
			"the log has an event of type %u at %s:%" PRIu64 ", which is not known",
			ev->type, st->at.file, st->position);
	}
}

/* ---- the dump ---- */

static uint32_t
server_id(const struct mysql_source *s)
{
	uint32_t hash = 2166136261u;

	if (conf_has(s->env.conf, "source.server_id"))
		return (uint32_t)conf_int(s->env.conf, "source.server_id");
	for (const char *p = s->env.channel; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return hash | 0x80000000u; /* away from the small numbers that people give to servers */
}

enum rc
mysql_prepare_dump(struct client *c, struct err *e)
{
	enum rc rc = client_run(
		c, e, "SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'");

	/* We may look away for long: a full ring, a prepared transaction that is looked for. */
	if (rc == RC_OK)
		rc = client_run(c, e, "SET net_write_timeout = 3600");
	if (rc == RC_OK)
		rc = client_run(c, e,
			"SET @master_heartbeat_period = %u, @source_heartbeat_period = %u",
			HEARTBEAT_NS, HEARTBEAT_NS);
	if (rc == RC_OK && c->server.mariadb)
		rc = client_run(c, e, "SET @mariadb_slave_capability = 4");
	return rc;
}

static enum rc
start_dump(struct stream *st, struct err *e)
{
	struct client *c = &st->s->log;
	uint32_t id = server_id(st->s);
	struct buf set;
	enum rc rc = mysql_prepare_dump(c, e);

	if (rc != RC_OK)
		return rc;
	buf_init(&set);
	if (st->s->use_gtid && st->at.has_gtids && c->server.mariadb) {
		gtid_print(&st->at.gtids, &set);
		rc = client_run(c, e,
			"SET @slave_connect_state = '%s', @slave_gtid_strict_mode = 0, "
			"@slave_gtid_ignore_duplicates = 0",
			buf_text(&set));
		if (rc == RC_OK)
			rc = client_dump(c, id, "", 4, NULL, e);
	} else if (st->s->use_gtid && st->at.has_gtids) {
		gtid_encode(&st->at.gtids, &set);
		rc = client_dump(c, id, "", 4, &set, e);
	} else if (st->at.offset > UINT32_MAX) {
		rc = err_set(e, RC_CONFIG,
			"the position %s:%" PRIu64
			" is beyond 4 GiB: the server cannot start there without GTIDs",
			st->at.file, st->at.offset);
	} else {
		rc = client_dump(c, id, st->at.file, (uint32_t)st->at.offset, NULL, e);
	}
	buf_release(&set);
	return rc;
}

#define BINLOG_FATAL 1236
#define SAME_SERVER_ID 4052 /* MariaDB; MySQL says it in the text of 1236 */

static enum rc
explain_rival(struct stream *st, struct err *e)
{
	err_set(e, RC_FENCED,
		"another gateway or replica has begun to read the source's log under our server id "
		"%u",
		server_id(st->s));
	return err_remedy(e,
		"run this channel on one gateway only; if the other one is a replica that has this "
		"id by chance, set source.server_id to a free number; then start the channel");
}

/* The server will not send from there. */
static enum rc
explain_refusal(struct stream *st, struct err *e)
{
	if (e->code == SAME_SERVER_ID ||
		(e->code == BINLOG_FATAL && strstr(e->text, "same server_uuid/server_id") != NULL))
		return explain_rival(st, e);
	return e->code == BINLOG_FATAL ? mysql_log_refused(st->s, &st->at, e) : e->rc;
}

static enum rc
run(struct stream *st, struct err *e)
{
	struct mysql_source *s = st->s;
	const unsigned char *p;
	struct binlog_event ev;
	size_t n;
	enum rc rc = RC_OK;

	while (rc == RC_OK) {
		rc = client_dump_next(&s->log, &p, &n, e);
		if (rc == RC_OK)
			rc = FAILPOINT_LOST(READER_EVENT, e);
		if (s->woken || *s->env.stop)
			return RC_AGAIN;
		if (rc == RC_AGAIN)
			return err_set(e, RC_RETRY, "the source ended its log");
		if (rc != RC_OK)
			return explain_refusal(st, e);
		if ((rc = binlog_split(&st->format, p, n, &ev, e)) != RC_OK)
			return rc;
		atomic_fetch_add(&s->env.stats[STAT_READ_BYTES], n);
		if (++st->events % MEASURE_EVENTS == 0 && measure(st, e) != RC_OK)
			return e->rc;
		if (ev.next_pos != 0 && ev.type != ROTATE_EVENT &&
			(ev.flags & BINLOG_ARTIFICIAL) == 0)
			st->position = ev.next_pos;
		else if (ev.type == HEARTBEAT_EVENT && ev.next_pos != 0)
			st->position = ev.next_pos;
		rc = take_event(st, &ev, e);
	}
	return rc;
}

static void
stream_release(struct stream *st)
{
	log_tables_release(&st->tables);
	xa_release(&st->xa);
	arena_release(&st->arena);
	buf_release(&st->text);
	position_release(&st->at);
	gtid_release(&st->applied);
}

static enum rc
open_log(struct stream *st, struct err *e)
{
	struct mysql_source *s = st->s;
	struct mysql_position end;
	struct client c;
	enum rc rc;

	position_init(&end, s->main.server.mariadb);
	rc = position_of_log_end(&s->main, &end, e);
	st->end = position_at(end.file, end.offset);
	position_release(&end);
	if (rc == RC_OK)
		rc = client_open(&c, s->env.conf, "source", SOURCE_SQL_MODE, e);
	if (rc != RC_OK)
		return rc;
	pthread_mutex_lock(&s->log_lock);
	s->log = c;
	pthread_mutex_unlock(&s->log_lock);
	return RC_OK;
}

enum rc
mysql_stream(struct source *base, const char *resume, const char *applied, struct err *e)
{
	struct mysql_source *s = (struct mysql_source *)base;
	struct stream st = {.s = s, .feed = s->env.feed};
	struct mysql_position done;
	enum rc rc;

	st.tables = (struct log_tables){
		.s = s, .feed = s->env.feed, .at = &st.at, .position = &st.position};
	xa_init(&st.xa, s);
	arena_init(&st.arena);
	gtid_init(&st.applied, s->main.server.mariadb);
	rc = position_parse(&st.at, s->main.server.mariadb, resume, e);
	if (rc == RC_OK)
		rc = log_tables_open(&st.tables, e);
	if (rc == RC_OK)
		rc = position_parse(&done, s->main.server.mariadb, applied, e);
	if (rc == RC_OK) {
		st.applied = done.gtids;
		st.position = st.at.offset;
		rc = feed_begin(st.feed, (struct logpos){0}, e);
	}
	if (rc == RC_OK) {
		rc = log_tables_restore(&st.tables, e);
		feed_abandon(st.feed, NULL);
		FAILPOINT(READER_RESTORED);
	}
	if (rc == RC_OK)
		rc = open_log(&st, e);
	if (rc == RC_OK) {
		set_stat(&st, STAT_READ_LAG, UINT64_MAX);
		rc = measure(&st, e);
	}
	if (rc == RC_OK)
		rc = mysql_log_is_same(s, &st.at, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_DUMP, e);
	if (rc == RC_OK)
		rc = start_dump(&st, e);
	if (rc == RC_OK)
		rc = idle(&st, e);
	if (rc == RC_OK)
		rc = run(&st, e);
	if (st.feeding)
		feed_abandon(st.feed, NULL);
	stream_release(&st);
	return rc;
}

void
mysql_wake(struct source *base)
{
	struct mysql_source *s = (struct mysql_source *)base;

	s->woken = true;
	pthread_mutex_lock(&s->log_lock);
	if (s->log.my != NULL)
		client_kick(&s->log);
	pthread_mutex_unlock(&s->log_lock);
}
