/* stream.c - the MySQL log thread: events become transactions of the feed. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "ipc/proto.h"
#include "workers/reader/feed.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/source.h"
#include "workers/reader/mysql/value.h"

/* How soon an idle log is known to be at its end. */
#define HEARTBEAT_NS 200000000u
/* A transaction this old at most when it is read: the log's end is as good as reached. */
#define CAUGHT_UP_S 1

#define MODE_ANSI_QUOTES 0x4u
#define MODE_NO_BACKSLASH 0x100000u
#define NO_FOREIGN_KEY_CHECKS 0x4000000u
#define RELAXED_UNIQUE_CHECKS 0x8000000u

/* A table of the source as the log has it at this place. */
struct log_table {
	struct table *schema;
	struct table *previous; /* before the last change, for columns that are gone since */
	struct feed_table *feed;
	struct log_table *next;
};

/* What a TABLE_MAP's number stands for, until the log rotates. */
struct map_entry {
	struct binlog_table *map;
	struct log_table *table; /* NULL: not wanted */
};

/* Where in a transaction the log stands. */
enum framing { OUTSIDE, IN_TRANSACTION, SKIPPING };

struct stream {
	struct mysql_source *s;
	struct feed *feed;
	struct binlog_format format;
	struct mysql_position at; /* after the last transaction */
	struct gtid_set applied;  /* what is skipped */
	uint64_t position;	  /* end of the event in hand */
	enum framing framing;
	bool feeding;		 /* feed_begin was called */
	struct binlog_gtid gtid; /* of the transaction in hand */
	bool has_gtid;
	struct logpos begin; /* of its first event */
	uint32_t time;
	struct log_table *tables;
	struct map_entry *maps;
	size_t nmaps, maps_cap;
	struct arena arena; /* one rows event */
	struct buf text;    /* the position, printed */
	char txid[128];
	uint64_t skipped_ddl;
};

/* ---- positions ---- */

static void
fill_commit(struct stream *st, struct event_commit *c)
{
	buf_clear(&st->text);
	position_print(&st->at, &st->text);
	*c = (struct event_commit){
		.at = position_at(st->at.file, st->at.offset),
		.order = (st->begin.file & 0xfffff) << 32 | (st->begin.offset & 0xffffffff),
		.time_us =
			st->gtid.commit_us != 0 ? st->gtid.commit_us : (uint64_t)st->time * 1000000,
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

static enum rc
begin_feeding(struct stream *st)
{
	enum rc rc;

	if (st->feeding)
		return RC_OK;
	rc = feed_begin(st->feed, st->begin);
	st->feeding = rc == RC_OK;
	return rc;
}

/* The transaction is whole. */
static enum rc
end_transaction(struct stream *st, struct err *e)
{
	struct event_commit c;
	enum rc rc = RC_OK;

	move_position(st);
	if (st->framing != SKIPPING) {
		print_txid(st);
		if ((rc = begin_feeding(st)) != RC_OK)
			return rc;
		fill_commit(st, &c);
		st->feeding = false;
		rc = feed_commit(st->feed, &c, e);
		if (st->time + CAUGHT_UP_S >= (uint64_t)time(NULL))
			set_stat(st, STAT_CAUGHT_UP, 1);
		else
			set_stat(st, STAT_CAUGHT_UP, 0);
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

/* ---- tables ---- */

static struct log_table *
find_table(struct stream *st, const char *db, const char *name)
{
	for (struct log_table *t = st->tables; t != NULL; t = t->next)
		if (strcmp(t->schema->name, name) == 0 && strcmp(t->schema->db, db) == 0)
			return t;
	return NULL;
}

static void
forget_maps(struct stream *st)
{
	for (size_t i = 0; i < st->nmaps; i++)
		binlog_table_free(st->maps[i].map);
	st->nmaps = 0;
}

static void
forget_map_of(struct stream *st, const char *db, const char *name)
{
	for (size_t i = 0; i < st->nmaps; i++)
		if (strcmp(st->maps[i].map->name, name) == 0 &&
			strcmp(st->maps[i].map->db, db) == 0) {
			binlog_table_free(st->maps[i].map);
			st->maps[i--] = st->maps[--st->nmaps];
		}
}

static void
set_schema(struct stream *st, struct log_table *t, struct table *schema)
{
	table_free(t->previous);
	t->previous = t->schema;
	t->schema = schema;
	t->feed = feed_table(st->feed, schema);
}

static struct log_table *
add_table(struct stream *st, struct table *schema)
{
	struct log_table *t = xcalloc(1, sizeof *t);

	t->schema = schema;
	t->feed = feed_table(st->feed, schema);
	t->next = st->tables;
	st->tables = t;
	return t;
}

/* The catalog's word, as of now; *out NULL: there is no such table (any more). */
static enum rc
describe(struct stream *st, const char *db, const char *name, struct table **out, struct err *e)
{
	struct table_list list = {0};
	enum rc rc = mysql_describe(&st->s->main, db, name, &list, e);

	*out = NULL;
	if (rc == RC_OK && list.count == 1) {
		*out = list.tables[0];
		list.tables[0] = NULL;
	}
	table_list_release(&list);
	return rc;
}

static bool
fits(const struct binlog_table *m, const struct table *t)
{
	if (t == NULL || m->ncolumns != t->ncolumns)
		return false;
	for (uint32_t i = 0; i < m->ncolumns; i++) {
		if (!binlog_fits(&m->columns[i], &t->columns[i]))
			return false;
		if (m->names != NULL && strcmp(m->names[i], t->columns[i].name) != 0)
			return false;
		if (m->is_unsigned != NULL && t->columns[i].type == TYPE_INTEGER &&
			m->is_unsigned[i] != t->columns[i].is_unsigned)
			return false;
	}
	return true;
}

static void
copy_column(struct table *to, const struct column *c)
{
	struct column *n = table_add_column(to, c->name, c->type);
	char *name = n->name;

	*n = *c;
	n->name = name;
	n->native = c->native != NULL ? xstrdup(c->native) : NULL;
	n->charset = c->charset != NULL ? xstrdup(c->charset) : NULL;
	n->collation = c->collation != NULL ? xstrdup(c->collation) : NULL;
	n->labels = c->nlabels != 0 ? xcalloc(c->nlabels, sizeof *n->labels) : NULL;
	for (uint32_t i = 0; i < c->nlabels; i++)
		n->labels[i] = xstrdup(c->labels[i]);
}

static const struct column *
column_for(const struct binlog_table *m, uint32_t i, const struct table *t)
{
	uint32_t k = t != NULL ? table_column(t, m->names[i]) : UINT32_MAX;

	return k != UINT32_MAX && binlog_fits(&m->columns[i], &t->columns[k]) ? &t->columns[k]
									      : NULL;
}

static void
copy_indexes(struct table *to, const struct table *from)
{
	for (uint32_t i = 0; i < from->nindexes; i++) {
		const struct index *ix = &from->indexes[i];
		struct index *n;
		bool all = true;

		for (uint32_t p = 0; p < ix->nparts; p++)
			all = all && ix->parts[p].column != UINT32_MAX &&
			      table_column(to, from->columns[ix->parts[p].column].name) !=
				      UINT32_MAX;
		if (!all)
			continue;
		n = table_add_index(to, ix->name, ix->primary, ix->unique);
		for (uint32_t p = 0; p < ix->nparts; p++)
			index_add_part(n, table_column(to, from->columns[ix->parts[p].column].name),
				ix->parts[p].prefix);
	}
}

/* What the log alone says of a column: enough to carry its bytes. */
static void
add_log_column(struct table *t, const struct binlog_table *m, uint32_t i)
{
	struct column *c = table_add_column(t, m->names[i], binlog_plain_type(&m->columns[i]));

	c->native = xstrdup("");
	c->nullable = true;
	c->is_unsigned = m->is_unsigned != NULL && m->is_unsigned[i];
	if (c->type == TYPE_DECIMAL) {
		c->precision = m->columns[i].meta >> 8;
		c->scale = m->columns[i].meta & 0xff;
	}
}

/*
 * The log is behind the catalog by more than one change of the table, or the
 * table is gone since. With the columns' names in the log each is taken from
 * where it is known - the catalog, what we had before (either may be NULL) - or
 * from the log alone. What a key is, the target knows.
 */
static struct table *
schema_by_names(const struct binlog_table *m, const struct table *now, const struct table *then)
{
	const struct table *base = now != NULL ? now : then;
	struct table *t;

	if (m->names == NULL)
		return NULL;
	t = table_new(m->db, m->name);
	for (uint32_t i = 0; i < m->ncolumns; i++) {
		const struct column *c = column_for(m, i, now);

		if (c == NULL)
			c = column_for(m, i, then);
		if (c != NULL)
			copy_column(t, c);
		else
			add_log_column(t, m, i);
	}
	if (base == NULL)
		return t;
	t->engine = base->engine != NULL ? xstrdup(base->engine) : NULL;
	t->rows = base->rows;
	t->bytes = base->bytes;
	copy_indexes(t, base);
	return t;
}

/* Log and schema disagree: the catalog is asked, once. */
static enum rc
mend_schema(struct stream *st, struct log_table *t, const struct binlog_table *m, struct err *e)
{
	struct table *now, *mended;
	enum rc rc = describe(st, m->db, m->name, &now, e);

	if (rc != RC_OK)
		return rc;
	if (fits(m, now)) {
		set_schema(st, t, now);
		return RC_OK;
	}
	if (fits(m, t->previous)) {
		table_free(now);
		set_schema(st, t, table_copy(t->previous));
		return RC_OK;
	}
	mended = schema_by_names(m, now, t->schema);
	if (mended != NULL) {
		table_free(now);
		set_schema(st, t, mended);
		return RC_OK;
	}
	err_set(e, RC_DATA,
		"the log has %u columns in %s.%s that are not those of its definition (%u columns) "
		"at %s:%" PRIu64,
		m->ncolumns, m->db, m->name, now != NULL ? now->ncolumns : 0, st->at.file,
		st->position);
	table_free(now);
	return err_remedy(e, "set binlog_row_metadata=FULL at the source, so that the log names "
			     "its columns, and reset the channel");
}

static enum rc
take_table_map(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	struct binlog_table *m;
	struct log_table *t;
	enum rc rc = binlog_table_map(&st->format, ev, &m, e);

	if (rc != RC_OK)
		return rc;
	for (size_t i = 0; i < st->nmaps; i++)
		if (st->maps[i].map->id == m->id) {
			binlog_table_free(st->maps[i].map);
			st->maps[i] = st->maps[--st->nmaps];
			break;
		}
	/* Tables are the feed's: they are looked at within its lock. */
	if (routes_table(st->s->env.routes, m->db, m->name) && (rc = begin_feeding(st)) != RC_OK) {
		binlog_table_free(m);
		return rc;
	}
	t = find_table(st, m->db, m->name);
	if (t == NULL && routes_table(st->s->env.routes, m->db, m->name)) {
		struct table *schema;

		if ((rc = describe(st, m->db, m->name, &schema, e)) != RC_OK) {
			binlog_table_free(m);
			return rc;
		}
		if (schema == NULL && feed_follows_new(st->feed) &&
			(schema = schema_by_names(m, NULL, NULL)) == NULL) {
			err_set(e, RC_DATA,
				"the log has rows of %s.%s at %s:%" PRIu64
				", which the source does not have any more",
				m->db, m->name, st->at.file, st->position);
			binlog_table_free(m);
			return err_remedy(e, "set binlog_row_metadata=FULL at the source, so that "
					     "the log names its columns, and reset the channel");
		}
		if (schema != NULL)
			t = add_table(st, schema);
	}
	if (t != NULL && feed_wants(st->feed, t->feed) && !fits(m, t->schema))
		rc = mend_schema(st, t, m, e);
	grow(&st->maps, &st->maps_cap, st->nmaps + 1, sizeof *st->maps);
	st->maps[st->nmaps++] = (struct map_entry){m, t};
	return rc;
}

/* ---- rows ---- */

static enum rc
feed_rows(struct stream *st, const struct map_entry *m, const struct binlog_rows *r, struct err *e)
{
	static const enum event_kind kinds[] = {EVENT_INSERT, EVENT_UPDATE, EVENT_DELETE};
	const struct table *schema = m->table->schema;
	struct row before = {0}, after = {0};
	struct cursor c;
	enum rc rc = RC_OK;

	cursor_init(&c, r->data, r->len);
	while (cursor_left(&c) != 0 && rc == RC_OK) {
		const unsigned char *at = c.p;

		arena_reset(&st->arena);
		if (r->kind != ROWS_WRITE)
			rc = binlog_row(m->map, schema, r->before, &c, &st->arena, &before, e);
		if (rc == RC_OK && r->kind != ROWS_DELETE)
			rc = binlog_row(m->map, schema, r->after, &c, &st->arena, &after, e);
		if (rc == RC_OK)
			rc = feed_row(st->feed, m->table->feed, kinds[r->kind],
				r->kind != ROWS_WRITE ? &before : NULL,
				r->kind != ROWS_DELETE ? &after : NULL, e);
		if (rc == RC_OK && c.p == at) /* images without columns would never end */
			rc = err_set(e, RC_DATA, "the log has rows of %s.%s without any column",
				m->map->db, m->map->name);
	}
	return rc;
}

static enum rc
take_rows(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	const struct map_entry *m = NULL;
	struct binlog_rows r;
	enum rc rc;

	if (st->framing == SKIPPING)
		return RC_OK;
	if ((rc = binlog_rows(&st->format, ev, &r, e)) != RC_OK)
		return rc;
	for (size_t i = 0; i < st->nmaps && m == NULL; i++)
		if (st->maps[i].map->id == r.table_id)
			m = &st->maps[i];
	if (m == NULL && r.table_id != 0xffffff)
		rc = err_set(e, RC_DATA,
			"the log has rows of table number %" PRIu64 " that it has not described",
			r.table_id);
	if (rc == RC_OK && m != NULL && m->table != NULL && feed_wants(st->feed, m->table->feed)) {
		if (r.ncolumns != m->map->ncolumns)
			rc = err_set(e, RC_DATA,
				"the log has rows of %s.%s with another number of columns",
				m->map->db, m->map->name);
		else if ((rc = begin_feeding(st)) == RC_OK)
			rc = feed_rows(st, m, &r, e);
	}
	free(r.inflated);
	return rc;
}

/* ---- statements ---- */

static const struct {
	uint64_t bit;
	const char *name;
} modes[] = {
	{0x1, "REAL_AS_FLOAT"},
	{0x2, "PIPES_AS_CONCAT"},
	{0x4, "ANSI_QUOTES"},
	{0x8, "IGNORE_SPACE"},
	{0x40, "NO_UNSIGNED_SUBTRACTION"},
	{0x80, "NO_DIR_IN_CREATE"},
	{0x80000, "NO_AUTO_VALUE_ON_ZERO"},
	{0x100000, "NO_BACKSLASH_ESCAPES"},
	{0x200000, "STRICT_TRANS_TABLES"},
	{0x400000, "STRICT_ALL_TABLES"},
	{0x800000, "NO_ZERO_IN_DATE"},
	{0x1000000, "NO_ZERO_DATE"},
	{0x2000000, "ALLOW_INVALID_DATES"},
	{0x4000000, "ERROR_FOR_DIVISION_BY_ZERO"},
	{0x20000000, "HIGH_NOT_PRECEDENCE"},
	{0x40000000, "NO_ENGINE_SUBSTITUTION"},
};

static void
print_session(const struct binlog_query *q, struct buf *b)
{
	const char *comma = "";

	buf_puts(b, "sql_mode='");
	for (size_t i = 0; i < COUNT_OF(modes); i++)
		if (q->sql_mode & modes[i].bit) {
			buf_printf(b, "%s%s", comma, modes[i].name);
			comma = ",";
		}
	buf_puts(b, "'");
	buf_printf(b, ", foreign_key_checks=%d, unique_checks=%d",
		(q->flags2 & NO_FOREIGN_KEY_CHECKS) == 0, (q->flags2 & RELAXED_UNIQUE_CHECKS) == 0);
	if (q->client_collation != 0)
		buf_printf(b,
			", character_set_client=%u, collation_connection=%u, collation_server=%u",
			q->client_collation, q->connection_collation, q->server_collation);
	if (*q->time_zone != '\0' && strpbrk(q->time_zone, "'\\") == NULL &&
		strcmp(q->time_zone, "SYSTEM") != 0)
		buf_printf(b, ", time_zone='%s'", q->time_zone);
}

static bool
is_selected(const struct stream *st, const struct ddl_name *n, enum ddl_class class)
{
	if (n->db == NULL)
		return false;
	if (n->name == NULL || class == DDL_CLASS_CREATE_VIEW || class == DDL_CLASS_ALTER_VIEW ||
		class == DDL_CLASS_DROP_VIEW || class == DDL_CLASS_CREATE_FUNCTION ||
		class == DDL_CLASS_DROP_FUNCTION || class == DDL_CLASS_CREATE_PROCEDURE ||
		class == DDL_CLASS_DROP_PROCEDURE)
		return routes_database(st->s->env.routes, n->db);
	return routes_table(st->s->env.routes, n->db, n->name);
}

static bool
is_carried(struct stream *st, const struct ddl *d)
{
	bool selected = false;

	for (uint32_t i = 0; i < d->nnames; i++)
		if (d->names[i].role == DDL_TARGET && is_selected(st, &d->names[i], d->class))
			selected = true;
	if (!selected)
		return false;
	if (!ddl_class_carried(d->class)) {
		log_warn("a statement at the source is not carried: %s; position=%s:%" PRIu64
			 " total=%" PRIu64,
			ddl_class_name(d->class), st->at.file, st->position, ++st->skipped_ddl);
		return false;
	}
	return !d->temporary;
}

static enum ddl_effect effect_of(enum ddl_class class)
{
	switch ((int)class) {
	case DDL_CLASS_CREATE_TABLE:
	case DDL_CLASS_CREATE_TABLE_LIKE:
		return DDL_CREATED;
	case DDL_CLASS_DROP_TABLE:
		return DDL_DROPPED;
	case DDL_CLASS_TRUNCATE_TABLE:
		return DDL_TRUNCATED;
	case DDL_CLASS_RENAME_TABLE:
		return DDL_RENAMED;
	default:
		return DDL_CHANGED;
	}
}

static bool concerns_tables(enum ddl_class class)
{
	return class <= DDL_CLASS_DROP_INDEX;
}

/* The changes that the statement makes to tables, for the feed; the catalog says what became of
 * them. */
static enum rc
list_changes(struct stream *st, const struct ddl *d, struct ddl_change *changes, uint32_t *n,
	struct err *e)
{
	enum rc rc = RC_OK;

	*n = 0;
	for (uint32_t i = 0; i < d->nnames && concerns_tables(d->class) && rc == RC_OK; i++) {
		const struct ddl_name *name = &d->names[i];
		const struct ddl_name *to =
			i + 1 < d->nnames && d->names[i + 1].role == DDL_RENAME_TO
				? &d->names[i + 1]
				: NULL;
		struct ddl_change *c = &changes[*n];
		struct table *now = NULL;

		if (name->role != DDL_TARGET || name->db == NULL ||
			!routes_table(st->s->env.routes, name->db, name->name))
			continue;
		*c = (struct ddl_change){
			.effect = effect_of(d->class), .db = name->db, .name = name->name};
		if (to != NULL) {
			c->effect = DDL_RENAMED;
			c->to_db = to->db != NULL ? to->db : name->db;
			c->to_name = to->name;
		} else if (c->effect == DDL_CREATED || c->effect == DDL_CHANGED) {
			rc = describe(st, name->db, name->name, &now, e);
		}
		c->table = now;
		(*n)++;
	}
	return rc;
}

/* What the log thread itself knows of tables follows, too. */
static void
follow_change(struct stream *st, const struct ddl_change *c)
{
	struct log_table *t = find_table(st, c->db, c->name);

	forget_map_of(st, c->db, c->name);
	if ((c->effect == DDL_CREATED || c->effect == DDL_CHANGED) && c->table != NULL) {
		if (t != NULL)
			set_schema(st, t, table_copy(c->table));
		else
			add_table(st, table_copy(c->table));
	} else if (t != NULL && (c->effect == DDL_DROPPED || c->effect == DDL_RENAMED)) {
		struct table *moved = table_copy(t->schema);

		/* The name is free: whatever comes under it is another table. */
		for (struct log_table **p = &st->tables; *p != NULL; p = &(*p)->next)
			if (*p == t) {
				*p = t->next;
				break;
			}
		table_free(t->schema);
		table_free(t->previous);
		free(t);
		if (c->effect == DDL_RENAMED &&
			routes_table(st->s->env.routes, c->to_db, c->to_name)) {
			free(moved->db);
			free(moved->name);
			moved->db = xstrdup(c->to_db);
			moved->name = xstrdup(c->to_name);
			forget_map_of(st, c->to_db, c->to_name);
			add_table(st, moved);
		} else {
			table_free(moved);
		}
	}
}

static enum rc
feed_statement(struct stream *st, const struct binlog_query *q, const struct ddl *d, struct err *e)
{
	struct ddl_change *changes = xcalloc(d->nnames, sizeof *changes);
	char *sql = xstrndup(q->sql, q->len);
	struct buf session;
	uint32_t n = 0;
	enum rc rc;

	buf_init(&session);
	print_session(q, &session);
	rc = list_changes(st, d, changes, &n, e);
	if (rc == RC_OK)
		rc = begin_feeding(st);
	if (rc == RC_OK) {
		struct event_ddl ev = {.db = q->db,
			.sql = sql,
			.session = buf_text(&session),
			.session_charset = ""};

		rc = feed_ddl(st->feed, &ev, changes, n, e);
	}
	for (uint32_t i = 0; i < n && rc == RC_OK; i++)
		follow_change(st, &changes[i]);
	for (uint32_t i = 0; i < n; i++)
		table_free((struct table *)changes[i].table);
	free(changes);
	free(sql);
	buf_release(&session);
	return rc;
}

static bool
touches_selection(const struct stream *st, const char *db)
{
	return *db != '\0' && routes_touches(st->s->env.routes, db);
}

static enum rc
take_statement(struct stream *st, const struct binlog_query *q, const struct ddl *d, struct err *e)
{
	enum rc rc = RC_OK;

	switch ((int)d->class) {
	case DDL_CLASS_BEGIN:
		if (st->framing == OUTSIDE)
			st->framing = IN_TRANSACTION;
		return RC_OK;
	case DDL_CLASS_COMMIT:
	case DDL_CLASS_ROLLBACK: /* what a rolled-back transaction has in the log took effect:
				    tables without transactions */
		return end_transaction(st, e);
	case DDL_CLASS_SAVEPOINT:
		return RC_OK;
	case DDL_CLASS_XA:
		if (st->framing == SKIPPING)
			return strncasecmp(q->sql, "XA START", 8) == 0 ? RC_OK
								       : end_transaction(st, e);
		err_set(e, RC_DATA,
			"the log has an XA transaction at %s:%" PRIu64
			", which this version does not carry",
			st->at.file, st->position);
		return err_remedy(e,
			"end XA transactions at the source, then reset the channel and load again");
	case DDL_CLASS_DML:
		if (st->framing == SKIPPING || !touches_selection(st, q->db))
			return RC_OK;
		err_set(e, RC_DATA,
			"the log has a row change of database %s as a statement at %s:%" PRIu64,
			q->db, st->at.file, st->position);
		return err_remedy(e, "set binlog_format=ROW at the source for all sessions, then "
				     "reset the channel");
	default:
		break;
	}
	if (st->framing == SKIPPING)
		return st->has_gtid && st->gtid.mariadb && !st->gtid.standalone
			       ? RC_OK
			       : end_transaction(st, e);
	if (is_carried(st, d))
		rc = feed_statement(st, q, d, e);
	/* MariaDB's CREATE .. SELECT goes on with rows: its end is a COMMIT like any other. */
	if (rc == RC_OK && st->framing == IN_TRANSACTION)
		return RC_OK;
	return rc == RC_OK ? end_transaction(st, e) : rc;
}

static enum rc
take_query(struct stream *st, const struct binlog_event *ev, struct err *e)
{
	struct binlog_query q;
	struct ddl d;
	enum rc rc = binlog_query(ev, &q, e);

	if (rc != RC_OK)
		return rc;
	st->time = ev->time;
	ddl_parse(&d, q.sql, q.len, q.sql_mode & MODE_ANSI_QUOTES, q.sql_mode & MODE_NO_BACKSLASH,
		q.db);
	rc = take_statement(st, &q, &d, e);
	ddl_release(&d);
	free(q.inflated);
	return rc;
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
	if (st->gtid.xa_prepared && !done) {
		err_set(e, RC_DATA,
			"the log has an XA transaction at %s:%" PRIu64
			", which this version does not carry",
			st->at.file, st->position);
		return err_remedy(e,
			"end XA transactions at the source, then reset the channel and load again");
	}
	if (done)
		st->framing = SKIPPING;
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
	if (strcmp(name, st->at.file) != 0)
		forget_maps(st);
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
	if (binlog_is_rows(ev->type))
		return take_rows(st, ev, e);
	switch (ev->type) {
	case TABLE_MAP_EVENT:
		return st->framing == SKIPPING ? RC_OK : take_table_map(st, ev, e);
	case QUERY_EVENT:
	case MARIADB_QUERY_COMPRESSED_EVENT:
		return take_query(st, ev, e);
	case XID_EVENT:
		st->time = ev->time;
		return end_transaction(st, e);
	case GTID_EVENT:
	case ANONYMOUS_GTID_EVENT:
	case GTID_TAGGED_EVENT:
	case MARIADB_GTID_EVENT:
		return take_gtid(st, ev, e);
	case ROTATE_EVENT:
		return take_rotate(st, ev, e);
	case FORMAT_DESCRIPTION_EVENT:
		forget_maps(st);
		return binlog_format(ev, &st->format, e);
	case TRANSACTION_PAYLOAD_EVENT:
		return st->framing == SKIPPING ? end_transaction(st, e)
					       : binlog_payload(ev, take_inner, st, e);
	case HEARTBEAT_EVENT:
	case HEARTBEAT_EVENT_V2:
		set_stat(st, STAT_CAUGHT_UP, 1);
		st->time = (uint32_t)time(NULL);
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
		err_set(e, RC_DATA,
			"the log has an XA transaction at %s:%" PRIu64
			", which this version does not carry",
			st->at.file, st->position);
		return err_remedy(e,
			"end XA transactions at the source, then reset the channel and load again");
	case PARTIAL_UPDATE_ROWS_EVENT:
		err_set(e, RC_DATA, "the log has partial JSON updates at %s:%" PRIu64, st->at.file,
			st->position);
		return err_remedy(e, "set binlog_row_value_options='' at the source for all "
				     "sessions, then reset the channel");
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

static enum rc
prepare_session(struct client *c, struct err *e)
{
	enum rc rc = client_run(
		c, e, "SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'");

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
	enum rc rc = prepare_session(c, e);

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

/* The server will not send from there: what is wanted, what is there, what to do. */
static enum rc
explain_refusal(struct stream *st, struct err *e)
{
	char reason[sizeof e->text], *oldest = NULL;
	struct err ignored;

	if (e->code != BINLOG_FATAL)
		return e->rc;
	snprintf(reason, sizeof reason, "%s", e->text);
	buf_clear(&st->text);
	position_print(&st->at, &st->text);
	if (client_value(&st->s->main, &oldest, &ignored, "SHOW BINARY LOGS") != RC_OK)
		oldest = NULL;
	err_set(e, RC_CONFIG,
		"the source does not have the log any more from %s on (its oldest file: %s): %s",
		buf_text(&st->text), oldest != NULL ? oldest : "none", reason);
	free(oldest);
	return err_remedy(e,
		"keep logs longer at the source (binlog_expire_logs_seconds, expire_logs_days); "
		"then reset the channel, which loads everything again");
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
		if (s->woken || *s->env.stop)
			return RC_AGAIN;
		if (rc == RC_AGAIN)
			return err_set(e, RC_RETRY, "the source ended its log");
		if (rc != RC_OK)
			return explain_refusal(st, e);
		if ((rc = binlog_split(&st->format, p, n, &ev, e)) != RC_OK)
			return rc;
		atomic_fetch_add(&s->env.stats[STAT_READ_BYTES], n);
		if (ev.next_pos != 0 && ev.type != ROTATE_EVENT &&
			(ev.flags & BINLOG_ARTIFICIAL) == 0)
			st->position = ev.next_pos;
		else if (ev.type == HEARTBEAT_EVENT && ev.next_pos != 0)
			st->position = ev.next_pos;
		rc = take_event(st, &ev, e);
	}
	return rc;
}

/* The tables as of the position, from the target's keeping. */
static enum rc
restore_tables(struct stream *st, struct err *e)
{
	const struct resume *r = st->s->env.resume;

	for (uint32_t i = 0; r != NULL && i < r->ntables; i++) {
		struct table *t;
		struct cursor c;
		enum rc rc;

		if (r->tables[i].schema.len == 0 || *r->tables[i].name == '\0')
			continue;
		cursor_init(&c, r->tables[i].schema.data, r->tables[i].schema.len);
		if ((rc = table_decode(&c, &t, e)) != RC_OK)
			return rc;
		add_table(st, t);
	}
	return RC_OK;
}

static void
stream_release(struct stream *st)
{
	forget_maps(st);
	while (st->tables != NULL) {
		struct log_table *t = st->tables;

		st->tables = t->next;
		table_free(t->schema);
		table_free(t->previous);
		free(t);
	}
	free(st->maps);
	arena_release(&st->arena);
	buf_release(&st->text);
	position_release(&st->at);
	gtid_release(&st->applied);
}

static enum rc
open_log(struct mysql_source *s, struct err *e)
{
	struct client c;
	enum rc rc = client_open(&c, s->env.conf, "source", SOURCE_SQL_MODE, e);

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

	arena_init(&st.arena);
	gtid_init(&st.applied, s->main.server.mariadb);
	rc = position_parse(&st.at, s->main.server.mariadb, resume, e);
	if (rc == RC_OK)
		rc = position_parse(&done, s->main.server.mariadb, applied, e);
	if (rc == RC_OK) {
		st.applied = done.gtids;
		st.position = st.at.offset;
		rc = feed_begin(st.feed, (struct logpos){0});
	}
	if (rc == RC_OK) {
		rc = restore_tables(&st, e);
		feed_abandon(st.feed, NULL);
	}
	if (rc == RC_OK)
		rc = open_log(s, e);
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
