/* xa.c - XA transactions of the log; see xa.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/mysql/xa.h"

/* Events of prepared branches that are kept in memory; of the others the place in the log is. */
#define KEPT_MAX ((size_t)4 << 20)

/* ---- identifiers ---- */

static bool
same_xid(const struct xid *a, const struct xid *b)
{
	return a->format == b->format && a->gtrid_len == b->gtrid_len &&
	       a->bqual_len == b->bqual_len &&
	       memcmp(a->data, b->data, (size_t)a->gtrid_len + a->bqual_len) == 0;
}

enum rc
xid_of_event(const struct binlog_event *ev, struct xid *id, bool *one_phase, struct err *e)
{
	const unsigned char *data;
	uint32_t gtrid, bqual;
	struct cursor c;

	*id = (struct xid){0};
	cursor_init(&c, ev->body, ev->body_len);
	*one_phase = cursor_u8(&c) != 0;
	id->format = cursor_u32(&c);
	gtrid = cursor_u32(&c);
	bqual = cursor_u32(&c);
	if (gtrid > 64 || bqual > 64 || (data = cursor_take(&c, gtrid + bqual)) == NULL)
		return err_set(e, RC_DATA, "an XA_PREPARE event in the log is damaged");
	id->gtrid_len = (uint8_t)gtrid;
	id->bqual_len = (uint8_t)bqual;
	memcpy(id->data, data, gtrid + bqual);
	return RC_OK;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* X'6162', */
static bool
read_hex(const char **p, const char *end, unsigned char *to, uint8_t *n)
{
	const char *s = *p;

	if (end - s < 2 || (s[0] != 'X' && s[0] != 'x') || s[1] != '\'')
		return false;
	for (s += 2, *n = 0; end - s >= 2 && *s != '\''; s += 2) {
		int hi = hex_digit(s[0]), lo = hex_digit(s[1]);

		if (hi < 0 || lo < 0 || *n == 64)
			return false;
		to[(*n)++] = (unsigned char)(hi << 4 | lo);
	}
	if (end - s < 2 || s[0] != '\'' || s[1] != ',')
		return false;
	*p = s + 2;
	return true;
}

enum rc
xid_of_statement(const char *sql, size_t len, struct xid *id, struct err *e)
{
	const char *p = memmem(sql, len, "X'", 2), *end = sql + len;
	uint64_t format = 0;
	bool ok;

	*id = (struct xid){0};
	ok = p != NULL && read_hex(&p, end, id->data, &id->gtrid_len) &&
	     read_hex(&p, end, id->data + id->gtrid_len, &id->bqual_len) && p != end;
	for (; ok && p != end && *p >= '0' && *p <= '9'; p++)
		format = format * 10 + (uint64_t)(*p - '0');
	id->format = (uint32_t)format;
	if (!ok)
		return err_set(e, RC_DATA,
			"the log has an XA statement that is not understood: %.*s",
			(int)(len < 400 ? len : 400), sql);
	return RC_OK;
}

void
xid_print(const struct xid *id, struct buf *b)
{
	buf_puts(b, "X'");
	for (unsigned i = 0; i < id->gtrid_len; i++)
		buf_printf(b, "%02x", id->data[i]);
	buf_puts(b, "',X'");
	for (unsigned i = 0; i < id->bqual_len; i++)
		buf_printf(b, "%02x", id->data[id->gtrid_len + i]);
	buf_printf(b, "',%" PRIu32, id->format);
}

/* ---- the list ---- */

void
xa_init(struct xa_log *x, struct mysql_source *s)
{
	*x = (struct xa_log){.s = s};
}

static void
drop_events(struct xa_log *x, struct xa_branch *b)
{
	x->kept -= b->events.len;
	buf_release(&b->events);
	buf_init(&b->events);
	b->whole = false;
}

static void
branch_free(struct xa_log *x, struct xa_branch *b)
{
	if (b == NULL)
		return;
	drop_events(x, b);
	free(b->file);
	free(b);
}

void
xa_release(struct xa_log *x)
{
	while (x->prepared != NULL) {
		struct xa_branch *b = x->prepared;

		x->prepared = b->next;
		branch_free(x, b);
	}
	branch_free(x, x->open);
	free(x->file);
	xa_init(x, x->s);
}

void
xa_at(struct xa_log *x, const char *file, uint64_t offset, bool skipped)
{
	if (skipped) {
		xa_release(x);
	} else if (x->file == NULL) {
		x->file = xstrdup(file);
		x->offset = offset;
	}
}

static struct xa_branch *
branch_new(const char *file, uint64_t offset)
{
	struct xa_branch *b = xcalloc(1, sizeof *b);

	b->file = xstrdup(file);
	b->offset = offset;
	buf_init(&b->events);
	return b;
}

void
xa_open(struct xa_log *x, const char *file, uint64_t offset)
{
	branch_free(x, x->open);
	x->open = branch_new(file, offset);
	x->open->whole = true;
}

void
xa_keep(struct xa_log *x, const struct binlog_event *ev)
{
	struct xa_branch *b = x->open;
	size_t n = 1 + 8 + ev->body_len;

	if (b == NULL || !b->whole)
		return;
	if (x->kept + n > KEPT_MAX) {
		drop_events(x, b);
		return;
	}
	x->kept += n;
	buf_u8(&b->events, ev->type);
	buf_u64(&b->events, ev->body_len);
	buf_add(&b->events, ev->body, ev->body_len);
}

static struct xa_branch *
find(const struct xa_branch *list, const struct xid *id)
{
	while (list != NULL && !same_xid(&list->id, id))
		list = list->next;
	return (struct xa_branch *)list;
}

static void
unlist(struct xa_log *x, struct xa_branch **list, const struct xid *id)
{
	for (struct xa_branch **p = list; *p != NULL; p = &(*p)->next)
		if (same_xid(&(*p)->id, id)) {
			struct xa_branch *b = *p;

			*p = b->next;
			branch_free(x, b);
			return;
		}
}

void
xa_forget(struct xa_log *x, const struct xid *id)
{
	unlist(x, &x->prepared, id);
}

struct xa_branch *
xa_prepared(struct xa_log *x, const struct xid *id)
{
	struct xa_branch *b = x->open;

	if (b == NULL)
		return NULL;
	xa_forget(x, id); /* of an earlier life of this id */
	b->id = *id;
	b->next = x->prepared;
	x->prepared = b;
	x->open = NULL;
	return b;
}

/* ---- the log once more ---- */

/* A second connection's way through the log. */
struct walk {
	struct binlog_format format;
	const char *file;
	binlog_event_cb cb;
	void *arg;
	bool over; /* the callback has what it wants */
};

static enum rc
start_walk(struct xa_log *x, struct client *c, const char *file, uint64_t offset, struct err *e)
{
	enum rc rc = client_open(c, x->s->env.conf, "source", SOURCE_SQL_MODE, e);

	if (rc != RC_OK)
		return rc;
	rc = mysql_prepare_dump(c, e);
	if (rc == RC_OK && offset > UINT32_MAX)
		rc = err_set(e, RC_CONFIG,
			"%s:%" PRIu64
			" is beyond 4 GiB: the server cannot send an XA transaction from there",
			file, offset);
	/* 0 is the id of those that only look: no replica is taken for them. */
	if (rc == RC_OK)
		rc = client_dump(c, 0, file, (uint32_t)offset, NULL, e);
	if (rc != RC_OK)
		client_close(c);
	return rc;
}

static enum rc
step(struct walk *w, const struct binlog_event *ev, struct err *e)
{
	char name[512];
	uint64_t offset;
	enum rc rc;

	if (ev->type == FORMAT_DESCRIPTION_EVENT)
		return binlog_format(ev, &w->format, e);
	if (ev->type == ROTATE_EVENT) {
		rc = binlog_rotate(ev, &offset, name, e);
		w->over |= rc == RC_OK && strcmp(name, w->file) != 0;
		return rc;
	}
	if (ev->type == TRANSACTION_PAYLOAD_EVENT)
		return binlog_payload(ev, w->cb, w->arg, e);
	return w->cb(w->arg, ev, e);
}

/* Until the callback has enough, or the file ends. */
static enum rc
walk(struct xa_log *x, struct walk *w, uint64_t offset, struct err *e)
{
	const struct mysql_source *s = x->s;
	struct client c;
	enum rc rc = start_walk(x, &c, w->file, offset, e);

	if (rc != RC_OK)
		return rc;
	while (rc == RC_OK && !w->over) {
		const unsigned char *p;
		struct binlog_event ev;
		size_t n;

		rc = client_dump_next(&c, &p, &n, e);
		if (s->woken || *s->env.stop) {
			rc = RC_AGAIN;
			break;
		}
		if (rc == RC_AGAIN) {
			rc = RC_OK;
			break;
		}
		if (rc == RC_OK)
			rc = binlog_split(&w->format, p, n, &ev, e);
		if (rc == RC_OK)
			rc = step(w, &ev, e);
	}
	client_close(&c);
	return rc;
}

static bool
is_content(uint8_t type)
{
	return type == TABLE_MAP_EVENT || binlog_is_rows(type);
}

struct replay {
	struct walk walk;
	binlog_event_cb cb;
	void *arg;
};

static enum rc
replay_event(void *arg, const struct binlog_event *ev, struct err *e)
{
	struct replay *r = arg;

	if (r->walk.over)
		return RC_OK;
	r->walk.over = ev->type == XA_PREPARE_EVENT;
	return is_content(ev->type) ? r->cb(r->arg, ev, e) : RC_OK;
}

static enum rc
replay_kept(const struct xa_branch *b, binlog_event_cb cb, void *arg, struct err *e)
{
	struct cursor c;
	enum rc rc = RC_OK;

	cursor_init(&c, b->events.data, b->events.len);
	while (rc == RC_OK && cursor_left(&c) != 0) {
		struct binlog_event ev = {.type = cursor_u8(&c)};

		ev.body_len = cursor_u64(&c);
		ev.body = cursor_take(&c, ev.body_len);
		rc = cb(arg, &ev, e);
	}
	return rc;
}

enum rc
xa_replay(struct xa_log *x, const struct xa_branch *b, binlog_event_cb cb, void *arg, struct err *e)
{
	struct replay r = {
		.walk = {.file = b->file, .cb = replay_event, .arg = &r}, .cb = cb, .arg = arg};
	enum rc rc;

	if (b->whole)
		return replay_kept(b, cb, arg, e);
	rc = walk(x, &r.walk, b->offset, e);
	if (rc == RC_OK && !r.walk.over)
		rc = err_set(e, RC_RETRY,
			"the source's log ended in an XA transaction at %s:%" PRIu64, b->file,
			b->offset);
	return rc;
}

/* ---- the log's past ---- */

struct search {
	struct walk walk;
	struct xa_log *x;
	uint64_t until; /* 0: the file's end */
	uint64_t begin; /* of the transaction in hand */
	struct xa_branch *found;
};

static enum rc
search_statement(struct search *s, const struct binlog_event *ev, struct err *e)
{
	struct binlog_query q;
	struct xid id;
	enum rc rc = binlog_query(ev, &q, e);

	if (rc != RC_OK)
		return rc;
	if ((q.len > 10 && memcmp(q.sql, "XA COMMIT ", 10) == 0) ||
		(q.len > 12 && memcmp(q.sql, "XA ROLLBACK ", 12) == 0)) {
		rc = xid_of_statement(q.sql, q.len, &id, e);
		if (rc == RC_OK)
			unlist(s->x, &s->found, &id);
	}
	free(q.inflated);
	return rc;
}

static enum rc
search_event(void *arg, const struct binlog_event *ev, struct err *e)
{
	struct search *s = arg;
	bool one_phase;
	struct xid id;
	enum rc rc;

	switch (ev->type) {
	case GTID_EVENT:
	case ANONYMOUS_GTID_EVENT:
	case GTID_TAGGED_EVENT:
	case MARIADB_GTID_EVENT:
		s->begin = ev->next_pos - ev->len;
		s->walk.over = s->until != 0 && s->begin >= s->until;
		return RC_OK;
	case QUERY_EVENT:
	case MARIADB_QUERY_COMPRESSED_EVENT:
		return search_statement(s, ev, e);
	case XA_PREPARE_EVENT:
		rc = xid_of_event(ev, &id, &one_phase, e);
		if (rc == RC_OK && !one_phase) {
			struct xa_branch *b = branch_new(s->walk.file, s->begin);

			unlist(s->x, &s->found, &id);
			b->id = id;
			b->next = s->found;
			s->found = b;
		}
		return rc;
	default:
		return RC_OK;
	}
}

/* What one file, or its part before what is known, leaves prepared. What is listed is newer. */
static enum rc
search_file(struct xa_log *x, const char *file, uint64_t until, struct err *e)
{
	struct search s = {
		.walk = {.file = file, .cb = search_event, .arg = &s}, .x = x, .until = until};
	enum rc rc = walk(x, &s.walk, 4, e);

	while (s.found != NULL) {
		struct xa_branch *b = s.found;

		s.found = b->next;
		if (rc != RC_OK || find(x->prepared, &b->id) != NULL) {
			branch_free(x, b);
		} else {
			b->next = x->prepared;
			x->prepared = b;
		}
	}
	return rc;
}

/* The log file before that one; *out NULL: there is none. */
static enum rc
file_before(struct xa_log *x, const char *file, char **out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&x->s->main, &res, e, "SHOW BINARY LOGS");

	*out = NULL;
	if (rc != RC_OK)
		return rc;
	while ((row = mysql_fetch_row(res)) != NULL && strcmp(row[0], file) != 0) {
		free(*out);
		*out = xstrdup(row[0]);
	}
	if (row == NULL) { /* the file itself is gone */
		free(*out);
		*out = NULL;
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
not_found(const struct xid *id, struct err *e)
{
	struct buf b;

	buf_init(&b);
	xid_print(id, &b);
	err_set(e, RC_DATA,
		"the log commits the XA transaction %s, which was prepared before the source's "
		"oldest "
		"log file",
		buf_text(&b));
	buf_release(&b);
	return err_remedy(e,
		"keep logs at the source longer than transactions stay prepared "
		"(binlog_expire_logs_seconds, expire_logs_days); then reset the channel, which "
		"loads everything again");
}

enum rc
xa_find(struct xa_log *x, const struct xid *id, struct xa_branch **out, struct err *e)
{
	enum rc rc = RC_OK;

	while ((*out = find(x->prepared, id)) == NULL && rc == RC_OK) {
		uint64_t until = x->offset;
		char *file = NULL;

		if (until > 4)
			file = xstrdup(x->file);
		else if ((rc = file_before(x, x->file, &file, e)) == RC_OK && file == NULL)
			rc = not_found(id, e);
		if (rc == RC_OK) {
			log_info("looking for a prepared XA transaction in %s", file);
			rc = search_file(x, file, strcmp(file, x->file) == 0 ? until : 0, e);
		}
		if (rc == RC_OK) {
			free(x->file);
			x->file = file;
			x->offset = 4;
		} else {
			free(file);
		}
	}
	return rc;
}
