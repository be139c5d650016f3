/*
 * stream.c - the PostgreSQL log thread: messages become transactions of the
 * feed; see source.h of the room.
 *
 * Neither streaming nor two_phase: the server spills what is large, and hands
 * transactions over whole, at their COMMIT (or COMMIT PREPARED), in the order
 * of their commit records, without what a savepoint took back.
 *
 * The server is told what the target has committed for good, and nothing later.
 */
#include "common/compat.h"

#include <endian.h>
#include <inttypes.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "ipc/proto.h"
#include "workers/reader/pgsql/stream.h"
#include "workers/reader/pgsql/value.h"

#define WAIT_MS 50
#define GATHER_MS 10
#define WINDOW_BYTES (64 << 10)
#define NEAR_US 1000
/* How soon an idle log is known to be at its end. */
#define STATUS_US 200000u
#define CLOCK_US 10000000u
#define EPOCH_2000_US 946684800000000

static void
set_stat(struct stream *st, enum statistic which, uint64_t v)
{
	atomic_store(&st->s->env.stats[which], v);
}

/* ---- positions ---- */

static void
fill_commit(struct stream *st, struct event_commit *c)
{
	buf_clear(&st->text);
	pgsource_print_position(st->at, &st->text);
	*c = (struct event_commit){
		.at = {.offset = st->at.lsn},
		.order = st->commit_lsn & 0xfffffffffffff,
		.time_us = st->time_us,
		.txid = st->txid,
		.origin = "",
		.applied = buf_text(&st->text),
		.resume = buf_text(&st->text),
	};
}

enum rc
stream_begin(struct stream *st, struct err *e)
{
	enum rc rc;

	if (st->feeding)
		return RC_OK;
	rc = feed_begin(st->feed, (struct logpos){.offset = st->commit_lsn}, e);
	st->feeding = rc == RC_OK;
	st->rows = false;
	return rc;
}

enum rc
stream_commit(struct stream *st, struct err *e)
{
	struct event_commit c;

	fill_commit(st, &c);
	st->feeding = false;
	return feed_commit(st->feed, &c, e);
}

/* Snapshots that are to see them must see the transaction. */
enum rc
stream_cut(struct stream *st, uint64_t changes, struct err *e)
{
	/* The same wherever the stream began and whatever was said between: a target that ran a
	 * statement knows it again by this. */
	st->at = (struct pgsql_position){.lsn = st->commit_lsn, .changes = changes};
	pgsource_note_emitted(st->s, st->xid, st->at.lsn);
	return stream_commit(st, e);
}

/* ---- rows ---- */

static struct row
absent_row(struct stream *st, const struct relation *r)
{
	struct row row = {.ncols = r->table->ncolumns};

	row.col = arena_calloc(&st->message, row.ncols, sizeof *row.col);
	for (uint32_t i = 0; i < row.ncols; i++)
		row.col[i].kind = VALUE_ABSENT;
	return row;
}

/* What a line leaves out of a whole row is NULL; a table without a key has whole rows alone. */
static bool
has_more_than_key(const struct relation *r, const struct pgout_tuple *t)
{
	bool more = table_key(r->table) == NULL;

	for (uint32_t i = 0; i < t->n && i < r->ncolumns; i++)
		more = more || (t->values[i].kind != PGOUT_ABSENT && !r->columns[i].key);
	return more;
}

static enum rc
fill_row(struct stream *st, const struct relation *r, const struct pgout_tuple *t, bool keys_only,
	struct row *row, struct err *e)
{
	bool whole = has_more_than_key(r, t);

	*row = absent_row(st, r);
	if (t->n != r->ncolumns)
		return err_set(e, RC_DATA, "the log has a row of %s.%s with %u of %u columns",
			r->schema, r->name, t->n, r->ncolumns);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct pgout_value *from = &t->values[i];
		struct value *to = &row->col[r->map[i]];

		if (keys_only && !r->columns[i].key)
			continue;
		switch (from->kind) {
		case PGOUT_NULL:
			to->kind = VALUE_NULL;
			break;
		case PGOUT_UNCHANGED:
			to->kind = VALUE_UNCHANGED;
			break;
		case PGOUT_ABSENT:
			to->kind = whole ? VALUE_NULL : VALUE_ABSENT;
			break;
		case PGOUT_TEXT:
		default:
			pgsource_value(&r->table->columns[r->map[i]], from->text, from->len,
				&st->message, to);
		}
	}
	return RC_OK;
}

/* What one image does not carry and the other does: a key that did not change, a large value that
 * stands in the whole row before. */
static void
complete(const struct relation *r, struct row *before, struct row *after, bool has_before)
{
	for (uint32_t i = 0; i < r->ncolumns; i++) {
		uint32_t c = r->map[i];

		if (!has_before && r->columns[i].key)
			before->col[c] = after->col[c];
		if (after->col[c].kind == VALUE_UNCHANGED && before->col[c].kind == VALUE_BYTES)
			after->col[c] = before->col[c];
	}
}

static enum rc
feed_change_of_row(
	struct stream *st, const struct relation *r, const struct pgout_event *ev, struct err *e)
{
	struct event_row row = {.fk_off = true}; /* what cascades did is in the log */
	enum event_kind op = ev->kind == PGOUT_INSERT	? EVENT_INSERT
			     : ev->kind == PGOUT_UPDATE ? EVENT_UPDATE
							: EVENT_DELETE;
	enum rc rc = RC_OK;

	if (op != EVENT_INSERT && ev->old != PGOUT_OLD_NONE)
		rc = fill_row(st, r, &ev->before, ev->old == PGOUT_OLD_KEY, &row.before, e);
	else if (op == EVENT_UPDATE)
		row.before = absent_row(st, r);
	if (rc == RC_OK && op != EVENT_DELETE)
		rc = fill_row(st, r, &ev->after, false, &row.after, e);
	if (rc != RC_OK)
		return rc;
	if (op == EVENT_UPDATE)
		complete(r, &row.before, &row.after, ev->old != PGOUT_OLD_NONE);
	st->rows = true;
	return feed_row(st->feed, r->feed, op, &row, e);
}

static enum rc
take_row(struct stream *st, const struct pgout_event *ev, struct err *e)
{
	struct relation *r = log_relations_find(&st->relations, ev->oid);
	bool joins = false;
	enum rc rc;

	if (r == NULL)
		return err_set(e, RC_DATA,
			"the log has rows of relation %" PRIu32 " that it has not described",
			ev->oid);
	if (r->notes)
		return stream_note(st, r, ev, e);
	if (!r->selected)
		return RC_OK;
	st->selected = true;
	if ((rc = stream_begin(st, e)) != RC_OK)
		return rc;
	/* A table that waits for its load is looked at when its rows count. */
	if (r->feed != NULL && !feed_wants(st->feed, r->feed))
		return RC_OK;
	if (!r->checked && feed_follows_new(st->feed))
		if ((rc = stream_meet(st, r, &joins, e)) != RC_OK || joins)
			return rc;
	if ((rc = stream_check_relation(st, r, e)) != RC_OK)
		return rc;
	return feed_wants(st->feed, r->feed) ? feed_change_of_row(st, r, ev, e) : RC_OK;
}

/* ---- transactions ---- */

static enum rc
take_begin(struct stream *st, const struct pgout_event *ev)
{
	bool lines = SPEAKS_LINES(&st->s->main);

	/* A line does not tell where the commit is; but the server sends none of before. What lies
	 * between is counted from the position before it, which the feed has said by then. */
	st->commit_lsn = lines ? st->at.lsn : ev->lsn;
	st->time_us = lines ? now_us() : (uint64_t)(ev->time + EPOCH_2000_US);
	st->xid = ev->xid;
	st->seen = 0;
	st->selected = false;
	st->framing = !lines && ev->lsn < st->applied ? SKIPPING : IN_TRANSACTION;
	snprintf(st->txid, sizeof st->txid, "%" PRIu32, ev->xid);
	return RC_OK;
}

static enum rc
take_commit(struct stream *st, const struct pgout_event *ev, struct err *e)
{
	enum rc rc = RC_OK;

	if (st->framing == IN_TRANSACTION) {
		if ((rc = stream_begin(st, e)) != RC_OK)
			return rc;
		st->at = (struct pgsql_position){.lsn = ev->lsn};
		st->skip = 0;
		if (SPEAKS_LINES(&st->s->main)) {
			st->commit_lsn = ev->lsn;
			st->time_us = (uint64_t)(ev->time + EPOCH_2000_US);
		}
		if (st->selected)
			pgsource_note_emitted(st->s, st->xid, ev->lsn);
		rc = stream_commit(st, e);
	}
	st->framing = OUTSIDE;
	return rc;
}

/* Whether a change was part of what the target has. */
static bool
is_done(struct stream *st)
{
	return st->framing != IN_TRANSACTION || ++st->seen <= st->skip;
}

static enum rc
take_event(struct stream *st, const struct pgout_event *ev, struct err *e)
{
	switch (ev->kind) {
	case PGOUT_BEGIN:
		return take_begin(st, ev);
	case PGOUT_COMMIT:
		return take_commit(st, ev, e);
	case PGOUT_RELATION:
		log_relations_take(&st->relations, &ev->relation);
		FAILPOINT(READER_TABLE_MAP);
		return RC_OK;
	case PGOUT_TRUNCATE:
		return is_done(st) ? RC_OK : stream_truncate(st, ev, e);
	case PGOUT_INSERT:
	case PGOUT_UPDATE:
	case PGOUT_DELETE:
		return is_done(st) ? RC_OK : take_row(st, ev, e);
	case PGOUT_OTHER:
	default:
		return RC_OK;
	}
}

/* ---- the connection ---- */

static uint64_t
take_u64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

static void
add_u64(struct buf *b, uint64_t v)
{
	uint64_t big = htobe64(v);

	buf_add(b, &big, sizeof big);
}

/* What we have read, what the target has committed; and the wish to hear where the log stands. */
static enum rc
send_status(struct stream *st, struct err *e)
{
	struct buf b;
	int sent;

	if (!st->feeding)
		st->durable = feed_durable(st->feed).offset;
	buf_init(&b);
	buf_putc(&b, 'r');
	add_u64(&b, st->received);
	add_u64(&b, st->durable);
	add_u64(&b, st->durable);
	add_u64(&b, now_us() - (uint64_t)EPOCH_2000_US);
	buf_u8(&b, 1);
	sent = PQputCopyData(st->s->log.conn, (char *)b.data, (int)b.len);
	buf_release(&b);
	if (sent != 1 || PQflush(st->s->log.conn) < 0)
		return pgsql_error(&st->s->log, NULL, e, "ended the stream");
	return RC_OK;
}

/* The source's clock against ours, by the middle of a question's way there and back. */
static void
measure_clock(struct stream *st)
{
	uint64_t asked = now_us(), answered;
	char *text = NULL;
	struct err ignored;

	if (pgsql_value(&st->s->main, &text, &ignored,
		    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint") != RC_OK ||
		text == NULL)
		return;
	answered = now_us();
	set_stat(
		st, STAT_CLOCK_OFFSET, strtoull(text, NULL, 10) - (asked + (answered - asked) / 2));
	free(text);
}

/* Where the log ends now, which transactions every snapshot sees from now on, and whether what we
 * read by is there. */
static enum rc
look_at_source(struct stream *st, struct err *e)
{
	struct pgsql_position end = {0};
	PGresult *res;
	enum rc rc = pgsql_query(&st->s->main, &res, e,
		"SELECT %s, %s, %s FROM (SELECT name '%s' AS slot_name) s", FLUSH_LSN(&st->s->main),
		SNAPSHOT_FUNCTION(&st->s->main), SPEAKS_LINES(&st->s->main) ? "true" : PUBLISHED,
		st->s->name);

	if (rc != RC_OK)
		return rc;
	rc = pgsource_parse_position(PQgetvalue(res, 0, 0), &end, e);
	/* From 18 on the server goes on without it, and sends nothing. */
	if (rc == RC_OK && *PQgetvalue(res, 0, 2) != 't')
		rc = pgsource_publication_gone(st->s, e);
	pgsource_sees(st->s, PQgetvalue(res, 0, 1), 0);
	PQclear(res);
	st->end = end.lsn;
	return rc;
}

/* The end that the log had a while ago has been read: then it is as good as reached. */
static enum rc
measure(struct stream *st, struct err *e)
{
	uint64_t now = mono_us();
	enum rc rc;

	if (now < st->status_at + STATUS_US)
		return RC_OK;
	st->status_at = now;
	set_stat(st, STAT_CAUGHT_UP, st->end != 0 && st->at.lsn >= st->end && st->values.len == 0);
	if ((rc = look_at_source(st, e)) != RC_OK)
		return rc;
	set_stat(st, STAT_READ_LAG, st->end > st->at.lsn ? st->end - st->at.lsn : 0);
	if (st->clock_at == 0 || now > st->clock_at + CLOCK_US) {
		st->clock_at = now;
		measure_clock(st);
	}
	if ((rc = stream_pulse(st, e)) != RC_OK)
		return rc;
	return send_status(st, e);
}

/* Everything that was committed before this place has been sent. What an earlier process read is
 * counted from where it began (take_begin), and so do we: the word counts when all that is past. */
static enum rc
take_keepalive(struct stream *st, uint64_t end, struct err *e)
{
	struct event_commit c;

	if (end < st->begun_at)
		return RC_OK;
	if (st->framing != OUTSIDE || end < st->at.lsn || end < st->applied || st->at.changes != 0)
		return RC_OK;
	st->at.lsn = end;
	st->commit_lsn = end;
	st->time_us = now_us();
	st->txid[0] = '\0';
	fill_commit(st, &c);
	return feed_idle(st->feed, &c, e);
}

static enum rc
decode(struct stream *st, const unsigned char *p, size_t n, struct pgout_event *ev, struct err *e)
{
	enum rc rc;

	if (!SPEAKS_LINES(&st->s->main))
		return pgout_decode(p + 25, n - 25, &st->message, ev, e);
	rc = pgtext_decode((const char *)p + 25, n - 25, take_u64(p + 1), &st->message, ev, e);
	if (rc == RC_OK && ev->relation.name != NULL)
		rc = log_relations_line(&st->relations, ev, &st->message, e);
	return rc;
}

static enum rc
take_message(struct stream *st, const unsigned char *p, size_t n, struct err *e)
{
	struct pgout_event ev;
	enum rc rc;

	if (n >= 25 && *p == 'w') {
		uint64_t end = take_u64(p + 9);

		if (end > st->received)
			st->received = end;
		st->sent_us = take_u64(p + 17) + EPOCH_2000_US;
		atomic_fetch_add(&st->s->env.stats[STAT_READ_BYTES], n);
		arena_reset(&st->message);
		rc = decode(st, p, n, &ev, e);
		return rc == RC_OK ? take_event(st, &ev, e) : rc;
	}
	if (n >= 18 && *p == 'k') {
		uint64_t end = take_u64(p + 1);

		if (end > st->received)
			st->received = end;
		rc = take_keepalive(st, end, e);
		return rc == RC_OK && p[17] == 1 ? send_status(st, e) : rc;
	}
	return err_set(
		e, RC_DATA, "the source's stream has a message of type 0x%02x", n != 0 ? *p : 0);
}

/*
 * The server sends each message by itself, which costs its kernel and ours a packet, and
 * what stands behind us a transaction. What waits for room in our window goes
 * together: the window of a near server is kept small (a far one needs a large one), and
 * where we are late anyway and have read all, we let it fill (wait_for_data).
 */
static void
narrow_window(const struct pgsql *c)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof info;
	int bytes = WINDOW_BYTES;

	if (getsockopt(PQsocket(c->conn), IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
		info.tcpi_min_rtt < NEAR_US)
		(void)setsockopt(PQsocket(c->conn), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static enum rc
wait_for_data(struct stream *st, struct err *e)
{
	enum rc rc = pgsql_wait(&st->s->log, POLLIN, 0, e);
	bool dry = rc == RC_AGAIN;

	/* It answers each of our questions where the log stands: silence is no idle log. */
	if (dry)
		rc = pgsql_wait(&st->s->log, POLLIN, WAIT_MS, e);
	if (rc != RC_OK && rc != RC_AGAIN)
		return rc;
	if (dry && st->sent_us > st->time_us + BEHIND_US)
		poll(NULL, 0, GATHER_MS);
	if (PQconsumeInput(st->s->log.conn) == 0)
		return pgsql_error(&st->s->log, NULL, e, "ended the stream");
	return RC_OK;
}

#define UNDEFINED_OBJECT "42704"
#define INTERNAL_ERROR "XX000"

/* COPY is over: the server says why. It reads the publication as it was at each change. */
static enum rc
stream_ended(struct stream *st, struct err *e)
{
	PGresult *res = pgsql_result(&st->s->log);
	enum rc rc = RC_OK;

	if (res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR)
		rc = pgsql_error(&st->s->log, res, e, "ended the stream");
	if (rc != RC_OK && pgsql_is(&st->s->log, UNDEFINED_OBJECT))
		rc = pgsource_publication_gone(st->s, e);
	if (rc != RC_OK && pgsql_is(&st->s->log, INTERNAL_ERROR))
		rc = err_remedy(e,
			"the server cannot read its own log at this place: a newer minor release "
			"of it may; if none can, `syncline reset %s` loads everything again",
			st->s->env.channel);
	PQclear(res);
	return rc != RC_OK ? rc : err_set(e, RC_RETRY, "the source ended the stream");
}

static enum rc
run(struct stream *st, struct err *e)
{
	struct pgsql_source *s = st->s;
	enum rc rc = RC_OK;

	while (rc == RC_OK) {
		char *p;
		int n = PQgetCopyData(s->log.conn, &p, 1);

		if (s->woken || *s->env.stop) {
			PQfreemem(n > 0 ? p : NULL);
			return RC_AGAIN;
		}
		if (n > 0) {
			rc = take_message(st, (unsigned char *)p, (size_t)n, e);
			if (rc == RC_OK)
				rc = FAILPOINT_LOST(READER_EVENT, e);
			PQfreemem(p);
		} else if (n == 0) {
			rc = wait_for_data(st, e);
		} else {
			rc = n == -1 ? stream_ended(st, e)
				     : pgsql_error(&s->log, NULL, e, "ended the stream");
		}
		if (rc == RC_OK)
			rc = measure(st, e);
	}
	return rc;
}

/* ---- opening ---- */

static enum rc
start_stream(struct stream *st, struct err *e)
{
	struct pgsql_source *s = st->s;
	struct pgsql_position from = {.lsn = st->at.lsn};
	enum rc rc = RC_OK;
	PGresult *res;
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "START_REPLICATION SLOT %s LOGICAL ", s->name);
	pgsource_print_position(from, &b);
	if (SPEAKS_LINES(&s->main))
		buf_puts(&b, " (\"include-timestamp\" 'on')");
	else
		buf_printf(&b, " (proto_version '1', publication_names '%s')", s->name);
	res = pgsql_ask(&s->log, buf_text(&b));
	if (PQresultStatus(res) != PGRES_COPY_BOTH)
		rc = pgsql_error(&s->log, res, e, "cannot stream its log");
	else
		narrow_window(&s->log);
	PQclear(res);
	buf_release(&b);
	return rc;
}

/*
 * What an earlier process has emitted may still be invisible, where a standby
 * withholds its word: then every transaction that runs now is taken for one of these. (Before 9.6
 * the server does not tell whether one does.)
 */
static enum rc
note_unacknowledged(struct stream *st, struct err *e)
{
	PGresult *res;
	enum rc rc = pgsql_query(&st->s->main, &res, e,
		"SELECT txid_snapshot_xip(txid_current_snapshot()) WHERE %s",
		st->s->main.version >= 90600
			? "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"
			: "true");

	if (rc != RC_OK)
		return rc;
	for (int i = 0; i < PQntuples(res); i++)
		pgsource_note_emitted(
			st->s, (uint32_t)strtoull(PQgetvalue(res, i, 0), NULL, 10), st->at.lsn);
	PQclear(res);
	return RC_OK;
}

#define HOLD_MS 20

/* snapshot = "held": nothing of the log goes in before all rows of the beginning have their places.
 */
static enum rc
await_load(struct stream *st, struct err *e)
{
	struct timespec pause = {.tv_nsec = HOLD_MS * 1000000};
	struct pgsql_source *s = st->s;
	struct event_commit c;
	bool ended = false;
	enum rc rc;

	st->time_us = now_us();
	fill_commit(st, &c);
	rc = feed_idle(st->feed, &c, e);
	while (rc == RC_OK && !ended) {
		if (s->woken || *s->env.stop)
			return RC_AGAIN;
		nanosleep(&pause, NULL);
		rc = feed_end_hold(st->feed, &ended);
	}
	s->base.held = false;
	pgsource_let_go(s);
	return rc;
}

static enum rc
begin_stream(struct stream *st, const char *resume, const char *applied, struct err *e)
{
	struct pgsql_source *s = st->s;
	struct pgsql_position done;
	enum rc rc = pgsource_parse_position(resume, &st->at, e);

	if (rc == RC_OK)
		rc = pgsource_parse_position(applied, &done, e);
	if (rc == RC_OK)
		rc = pgsource_free_slot(s, e);
	if (rc == RC_OK)
		rc = pgsource_check_slot(s, st->at, e);
	if (rc == RC_OK)
		rc = pgsource_ready_notes(s, e);
	if (rc == RC_OK)
		rc = log_relations_restore(&st->relations, e);
	FAILPOINT(READER_RESTORED);
	if (rc == RC_OK)
		rc = note_unacknowledged(st, e);
	if (rc == RC_OK && s->base.held)
		rc = await_load(st, e);
	if (rc == RC_OK && SPEAKS_LINES(&s->main))
		rc = pgsource_lsn(&s->main, FLUSH_LSN(&s->main), &st->begun_at, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_DUMP, e);
	if (rc == RC_OK)
		rc = start_stream(st, e);
	if (rc != RC_OK)
		return rc;
	st->applied = done.lsn;
	st->skip = done.changes;
	st->received = st->at.lsn;
	set_stat(st, STAT_READ_LAG, UINT64_MAX);
	return RC_OK;
}

enum rc
pgsource_stream(struct source *base, const char *resume, const char *applied, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	struct stream st = {.s = s, .feed = s->env.feed};
	enum rc rc;

	st.relations = (struct log_relations){.s = s, .feed = s->env.feed};
	arena_init(&st.message);
	rc = begin_stream(&st, resume, applied, e);
	if (s->notes)
		feed_keep_reloading(st.feed);
	if (rc == RC_OK)
		rc = run(&st, e);
	if (rc == RC_AGAIN)
		log_info("the source keeps all log from here on for the replication slot %s, until "
			 "the channel is started again, stopped for good or reset",
			s->name);
	if (st.feeding)
		feed_abandon(st.feed, NULL);
	log_relations_release(&st.relations);
	PQclear(st.sequences);
	buf_release(&st.values);
	arena_release(&st.message);
	buf_release(&st.text);
	return rc;
}
