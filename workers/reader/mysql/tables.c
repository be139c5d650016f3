/* tables.c - the source's tables as of a place in its log; see tables.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/mem.h"
#include "common/mysql/describe.h"
#include "common/mysql/quote.h"
#include "workers/reader/mysql/tables.h"
#include "workers/reader/mysql/value.h"

/* A table of the source as the log has it at this place. */
struct log_table {
	struct table *schema;
	struct table *previous; /* before the last change, for columns that are gone since */
	struct feed_table *feed;
	struct log_table *next;
};

/* ---- life ---- */

enum rc
log_tables_open(struct log_tables *lt, struct err *e)
{
	struct client *c = &lt->s->main;
	char *timestamp = NULL;
	enum rc rc = client_value(c, &lt->engine, e, "SELECT @@default_storage_engine");

	if (rc == RC_OK &&
		(c->server.mariadb ? c->server.version >= 100108 : c->server.version >= 50606))
		rc = client_value(c, &timestamp, e, "SELECT @@explicit_defaults_for_timestamp");
	lt->env = (struct ddl_env){.mariadb = c->server.mariadb,
		.version = c->server.version,
		.engine = lt->engine,
		.explicit_timestamp = timestamp == NULL		    ? DDL_UNKNOWN
				      : strcmp(timestamp, "1") == 0 ? DDL_YES
								    : DDL_NO};
	free(timestamp);
	lt->logs_cascades = rc == RC_OK && mysql_logs_cascades(c);
	return rc;
}

void
log_tables_release(struct log_tables *lt)
{
	log_tables_forget_maps(lt);
	while (lt->tables != NULL) {
		struct log_table *t = lt->tables;

		lt->tables = t->next;
		table_free(t->schema);
		table_free(t->previous);
		free(t);
	}
	free(lt->maps);
	free(lt->engine);
}

const struct table *
log_table_schema(const struct log_table *t)
{
	return t->schema;
}

struct feed_table *
log_table_feed(const struct log_table *t)
{
	return t->feed;
}

/* ---- tables ---- */

static struct log_table *
find_table(struct log_tables *lt, const char *db, const char *name)
{
	for (struct log_table *t = lt->tables; t != NULL; t = t->next)
		if (strcmp(t->schema->name, name) == 0 && strcmp(t->schema->db, db) == 0)
			return t;
	return NULL;
}

void
log_tables_forget_maps(struct log_tables *lt)
{
	for (size_t i = 0; i < lt->nmaps; i++)
		binlog_table_free(lt->maps[i].map);
	lt->nmaps = 0;
}

static void
forget_map_of(struct log_tables *lt, const char *db, const char *name)
{
	for (size_t i = 0; i < lt->nmaps; i++)
		if (strcmp(lt->maps[i].map->name, name) == 0 &&
			strcmp(lt->maps[i].map->db, db) == 0) {
			binlog_table_free(lt->maps[i].map);
			lt->maps[i--] = lt->maps[--lt->nmaps];
		}
}

static void
set_schema(struct log_tables *lt, struct log_table *t, struct table *schema)
{
	table_free(t->previous);
	t->previous = t->schema;
	t->schema = schema;
	t->feed = feed_table(lt->feed, schema);
}

static struct log_table *
add_table(struct log_tables *lt, struct table *schema)
{
	struct log_table *t = xcalloc(1, sizeof *t);

	t->schema = schema;
	t->feed = feed_table(lt->feed, schema);
	t->next = lt->tables;
	lt->tables = t;
	return t;
}

enum rc
log_tables_restore(struct log_tables *lt, struct err *e)
{
	const struct resume *r = lt->s->env.resume;

	for (uint32_t i = 0; r != NULL && i < r->ntables; i++) {
		struct table *t;
		struct cursor c;
		enum rc rc;

		/* What loads again may be another table by now: the catalog tells. */
		if (r->tables[i].schema.len == 0 || *r->tables[i].name == '\0' ||
			r->tables[i].state == TABLE_RELOAD)
			continue;
		cursor_init(&c, r->tables[i].schema.data, r->tables[i].schema.len);
		if ((rc = table_decode(&c, &t, e)) != RC_OK)
			return rc;
		add_table(lt, t);
	}
	return RC_OK;
}

/* The catalog's word, as of now; *out NULL: there is no such table (any more). */
static enum rc
describe(struct log_tables *lt, const char *db, const char *name, struct table **out, struct err *e)
{
	struct table_list list = {0};
	enum rc rc = mysql_describe(&lt->s->main, db, name, &list, e);

	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_ASK, e);
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

/* Columns that a server adds for itself and no catalog shows: those of long unique keys (MariaDB)
 * and of keys over expressions (MySQL). */
static bool
is_hidden(const char *name)
{
	return strncmp(name, "DB_ROW_HASH_", 12) == 0 || strncmp(name, "!hidden!", 8) == 0;
}

/* What the log alone says of a column: enough to carry its bytes. */
static void
add_log_column(struct table *t, const struct binlog_table *m, uint32_t i)
{
	struct column *c = table_add_column(t, m->names[i], binlog_plain_type(&m->columns[i]));

	c->native = xstrdup("");
	c->nullable = true;
	c->generated = is_hidden(m->names[i]);
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
			table_copy_column(t, c);
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

enum rc
log_tables_quarantine(const struct log_tables *lt, struct log_table *t, struct err *e)
{
	char *why;

	if (e->rc != RC_DATA)
		return e->rc;
	why = xasprintf("%s; at %s:%" PRIu64 "; `syncline resync %s %s.%s` loads it again", e->text,
		lt->at->file, *lt->position, lt->s->env.channel, t->schema->db, t->schema->name);
	feed_quarantine(lt->feed, t->feed, why);
	free(why);
	*e = (struct err){0};
	return RC_OK;
}

/* Log and schema disagree: the catalog is asked, once. */
static enum rc
mend_schema(struct log_tables *lt, struct log_table *t, const struct binlog_table *m, struct err *e)
{
	struct table *now, *mended;
	enum rc rc = describe(lt, m->db, m->name, &now, e);

	if (rc != RC_OK)
		return rc;
	if (fits(m, now)) {
		set_schema(lt, t, now);
		return RC_OK;
	}
	if (fits(m, t->previous)) {
		table_free(now);
		set_schema(lt, t, table_copy(t->previous));
		return RC_OK;
	}
	mended = schema_by_names(m, now, t->schema);
	if (mended != NULL) {
		table_free(now);
		set_schema(lt, t, mended);
		return RC_OK;
	}
	err_set(e, RC_DATA,
		"the log has %u columns in %s.%s that are not those of its definition (%u "
		"columns); "
		"binlog_row_metadata=FULL at the source makes the log name its columns",
		m->ncolumns, m->db, m->name, now != NULL ? now->ncolumns : 0);
	table_free(now);
	return log_tables_quarantine(lt, t, e);
}

/*
 * What the log has rows of and the catalog does not list as a table: a sequence,
 * which is not carried (the precheck says so), or a table with history.
 * *other: it is such a thing.
 */
static enum rc
tell_kind(struct log_tables *lt, const struct binlog_table *m, bool *other, struct err *e)
{
	char *kind = NULL;
	struct buf db, name;
	enum rc rc;

	buf_init(&db);
	buf_init(&name);
	client_quote(&lt->s->main, &db, m->db, strlen(m->db));
	client_quote(&lt->s->main, &name, m->name, strlen(m->name));
	rc = client_value(&lt->s->main, &kind, e,
		"SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND "
		"TABLE_NAME = %s",
		buf_text(&db), buf_text(&name));
	*other = rc == RC_OK && kind != NULL && strcasecmp(kind, "BASE TABLE") != 0;
	if (*other && strcasecmp(kind, "SYSTEM VERSIONED") == 0) {
		err_set(e, RC_CONFIG, "%s.%s is a system-versioned table, which is not carried",
			m->db, m->name);
		rc = err_remedy(e,
			"leave it out: { database = \"%s\"; table = \"%s\"; exclude = true; }; or "
			"ALTER TABLE ... DROP SYSTEM VERSIONING at the source and reset the "
			"channel",
			m->db, m->name);
	}
	free(kind);
	buf_release(&db);
	buf_release(&name);
	return rc;
}

/* A table that no statement of this run has named: the catalog's word, else the log's. */
static enum rc
find_unseen(
	struct log_tables *lt, const struct binlog_table *m, struct log_table **out, struct err *e)
{
	struct table *schema;
	enum rc rc = describe(lt, m->db, m->name, &schema, e);
	bool other = false;

	*out = NULL;
	if (rc == RC_OK && schema == NULL)
		rc = tell_kind(lt, m, &other, e);
	if (rc != RC_OK || other)
		return rc;
	if (schema == NULL && feed_follows_new(lt->feed) &&
		(schema = schema_by_names(m, NULL, NULL)) == NULL) {
		err_set(e, RC_DATA,
			"the log has rows of %s.%s at %s:%" PRIu64
			", which the source does not have any more",
			m->db, m->name, lt->at->file, *lt->position);
		return err_remedy(e, "set binlog_row_metadata=FULL at the source, so that "
				     "the log names its columns, and reset the channel");
	}
	if (schema != NULL)
		*out = add_table(lt, schema);
	return RC_OK;
}

enum rc
log_tables_map(struct log_tables *lt, struct binlog_table *m, struct err *e)
{
	struct log_table *t = find_table(lt, m->db, m->name);
	enum rc rc = RC_OK;

	for (size_t i = 0; i < lt->nmaps; i++)
		if (lt->maps[i].map->id == m->id) {
			binlog_table_free(lt->maps[i].map);
			lt->maps[i] = lt->maps[--lt->nmaps];
			break;
		}
	grow(&lt->maps, &lt->maps_cap, lt->nmaps + 1, sizeof *lt->maps);
	if (t == NULL && routes_table(lt->s->env.routes, m->db, m->name))
		rc = find_unseen(lt, m, &t, e);
	if (rc == RC_OK && t != NULL && feed_wants(lt->feed, t->feed) && !fits(m, t->schema))
		rc = mend_schema(lt, t, m, e);
	lt->maps[lt->nmaps++] = (struct log_map){m, t};
	return rc;
}

const struct log_map *
log_tables_find(const struct log_tables *lt, uint64_t id)
{
	for (size_t i = 0; i < lt->nmaps; i++)
		if (lt->maps[i].map->id == id)
			return &lt->maps[i];
	return NULL;
}

/* ---- statements ---- */

/* The database's default now; *out NULL if it is gone. */
static enum rc
database_collation(struct log_tables *lt, const char *db, char **out, struct err *e)
{
	struct buf name;
	enum rc rc;

	buf_init(&name);
	client_quote(&lt->s->main, &name, db, strlen(db));
	rc = client_value(&lt->s->main, out, e,
		"SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE "
		"SCHEMA_NAME = %s",
		buf_text(&name));
	buf_release(&name);
	return rc;
}

/*
 * The table after the statement. By the text where that is certain, so that it
 * is the table of this place in the log; else by the catalog, as of now, which
 * later statements of the log may have changed again.
 */
static enum rc
table_after(struct log_tables *lt, const struct ddl *d, const struct ddl_name *name,
	struct table **out, struct err *e)
{
	struct log_table *known = find_table(lt, name->db, name->name);
	struct ddl_env env = lt->env;
	struct table *t = NULL;
	char *collation = NULL;
	const char *now, *why;
	enum rc rc = RC_OK;

	if (d->verb == DDL_VERB_CREATE_TABLE && !d->if_not_exists) {
		t = table_new(name->db, name->name);
		rc = database_collation(lt, name->db, &collation, e);
		env.collation = collation;
	} else if (known != NULL) {
		t = table_copy(known->schema);
		collation = t->collation != NULL ? xstrdup(t->collation) : NULL;
		env.collation = collation; /* outlives what the table has: that is made anew */
	}
	if (rc == RC_OK && t != NULL && ddl_apply(t, d, &env, &why) != DDL_UNSURE) {
		for (uint32_t i = 0; i < t->nfks; i++)
			t->fks[i].in_log = lt->logs_cascades;
		now = ddl_table_collation(d, &env);
		free(t->collation);
		t->collation = now != NULL ? xstrdup(now) : NULL;
		*out = t;
	} else {
		table_free(t);
		if (rc == RC_OK)
			rc = describe(lt, name->db, name->name, out, e);
	}
	free(collation);
	return rc;
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

bool
log_tables_idle(const struct log_tables *lt, const struct ddl *d)
{
	return d->if_not_exists && effect_of(d->class) == DDL_CREATED && d->nnames != 0 &&
	       d->names[0].db != NULL && feed_has(lt->feed, d->names[0].db, d->names[0].name);
}

static bool concerns_tables(enum ddl_class class)
{
	return class <= DDL_CLASS_DROP_INDEX;
}

static bool
is_selected(const struct log_tables *lt, const char *db, const char *name)
{
	return db != NULL && name != NULL && routes_table(lt->s->env.routes, db, name);
}

/* The new name of names[i]; NULL: it keeps its own. */
static const struct ddl_name *
new_name(const struct ddl *d, uint32_t i)
{
	return i + 1 < d->nnames && d->names[i + 1].role == DDL_RENAME_TO ? &d->names[i + 1] : NULL;
}

/* Whether names[i] takes a selected name from outside, and which. */
static bool
joins(const struct log_tables *lt, const struct ddl *d, uint32_t i, const char **db,
	const char **name)
{
	const struct ddl_name *n = &d->names[i], *to = new_name(d, i);

	if (n->role != DDL_TARGET || !concerns_tables(d->class) || d->temporary)
		return false;
	if (d->class == DDL_CLASS_CREATE_TABLE_LIKE) {
		*db = n->db;
		*name = n->name;
		return is_selected(lt, n->db, n->name) && d->nnames == 2 &&
		       !is_selected(lt, d->names[1].db, d->names[1].name);
	}
	if (to == NULL || is_selected(lt, n->db, n->name))
		return false;
	*db = to->db != NULL ? to->db : n->db;
	*name = to->name;
	return is_selected(lt, *db, *name);
}

bool
log_tables_joins(const struct log_tables *lt, const struct ddl *d)
{
	const char *db, *name;

	for (uint32_t i = 0; i < d->nnames; i++)
		if (joins(lt, d, i, &db, &name))
			return !log_tables_idle(lt, d);
	return false;
}

/* names[i] leaves the selection, and another table comes in under its name: at the target it stays
 * until that has loaded. */
static bool
is_replaced(const struct log_tables *lt, const struct ddl *d, uint32_t i)
{
	const struct ddl_name *n = &d->names[i], *to = new_name(d, i);
	const char *db, *name;

	if (to != NULL && is_selected(lt, to->db != NULL ? to->db : n->db, to->name))
		return false;
	for (uint32_t k = 0; k < d->nnames; k++)
		if (joins(lt, d, k, &db, &name) && strcmp(db, n->db) == 0 &&
			strcmp(name, n->name) == 0)
			return true;
	return false;
}

static void
add_pair(struct buf *sql, const struct ddl_name *from, const struct ddl_name *to)
{
	buf_puts(sql, sql->len == 0 ? "RENAME TABLE " : ", ");
	mysql_quote_table(sql, from->db, from->name);
	buf_puts(sql, " TO ");
	mysql_quote_table(sql, to->db != NULL ? to->db : from->db, to->name);
}

void
log_tables_rest(const struct log_tables *lt, const struct ddl *d, struct buf *sql)
{
	for (uint32_t i = 0; i < d->nnames; i++) {
		const struct ddl_name *n = &d->names[i], *to = new_name(d, i);

		if (to != NULL && n->role == DDL_TARGET && is_selected(lt, n->db, n->name) &&
			!is_replaced(lt, d, i))
			add_pair(sql, n, to);
	}
}

enum rc
log_tables_join(struct log_tables *lt, const struct ddl *d, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < d->nnames && rc == RC_OK; i++) {
		struct table *now = NULL;
		const char *db, *name;

		if (!joins(lt, d, i, &db, &name))
			continue;
		/* What is known of that name is of another table. */
		log_tables_follow(
			lt, &(struct ddl_change){.effect = DDL_DROPPED, .db = db, .name = name});
		if ((rc = describe(lt, db, name, &now, e)) == RC_OK)
			rc = feed_join(lt->feed, db, name, now);
		table_free(now);
	}
	return rc;
}

enum rc
log_tables_changes(struct log_tables *lt, const struct ddl *d, struct ddl_change *changes,
	uint32_t *n, struct err *e)
{
	enum rc rc = RC_OK;

	*n = 0;
	if (log_tables_idle(lt, d))
		return RC_OK;
	for (uint32_t i = 0; i < d->nnames && concerns_tables(d->class) && rc == RC_OK; i++) {
		const struct ddl_name *name = &d->names[i];
		const struct ddl_name *to = new_name(d, i);
		struct ddl_change *c = &changes[*n];
		struct table *now = NULL;

		if (name->role != DDL_TARGET || !is_selected(lt, name->db, name->name) ||
			is_replaced(lt, d, i))
			continue;
		*c = (struct ddl_change){
			.effect = effect_of(d->class), .db = name->db, .name = name->name};
		if (to != NULL) {
			c->effect = DDL_RENAMED;
			c->to_db = to->db != NULL ? to->db : name->db;
			c->to_name = to->name;
		} else if (c->effect == DDL_CREATED || c->effect == DDL_CHANGED) {
			rc = table_after(lt, d, name, &now, e);
		}
		c->table = now;
		if (c->effect == DDL_CHANGED)
			c->columns = ddl_column_changes(d, now, &c->ncolumns);
		(*n)++;
	}
	return rc;
}

void
log_changes_free(struct ddl_change *changes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < changes[i].ncolumns; k++) {
			free((char *)changes[i].columns[k].from);
			free((char *)changes[i].columns[k].fill);
		}
		free((struct column_change *)changes[i].columns);
		table_free((struct table *)changes[i].table);
	}
	free(changes);
}

void
log_tables_follow(struct log_tables *lt, const struct ddl_change *c)
{
	struct log_table *t = find_table(lt, c->db, c->name);

	FAILPOINT(READER_FOLLOW);
	forget_map_of(lt, c->db, c->name);
	if ((c->effect == DDL_CREATED || c->effect == DDL_CHANGED) && c->table != NULL) {
		if (t != NULL)
			set_schema(lt, t, table_copy(c->table));
		else
			add_table(lt, table_copy(c->table));
	} else if (t != NULL && (c->effect == DDL_DROPPED || c->effect == DDL_RENAMED)) {
		struct table *moved = table_copy(t->schema);

		/* The name is free: whatever comes under it is another table. */
		for (struct log_table **p = &lt->tables; *p != NULL; p = &(*p)->next)
			if (*p == t) {
				*p = t->next;
				break;
			}
		table_free(t->schema);
		table_free(t->previous);
		free(t);
		if (c->effect == DDL_RENAMED &&
			routes_table(lt->s->env.routes, c->to_db, c->to_name)) {
			free(moved->db);
			free(moved->name);
			moved->db = xstrdup(c->to_db);
			moved->name = xstrdup(c->to_name);
			forget_map_of(lt, c->to_db, c->to_name);
			add_table(lt, moved);
		} else {
			table_free(moved);
		}
	}
}
