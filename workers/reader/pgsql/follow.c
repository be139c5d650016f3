/*
 * follow.c - statements in the PostgreSQL log become changes of the feed's
 * tables: what the source has noted of them (note.h), TRUNCATE, and relations
 * that are not as their tables were.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/pgsql/definitions.h"
#include "workers/reader/pgsql/stream.h"

/* What becomes of tables, and what is said beside that. */
struct followed {
	const char *sql;
	const struct ddl_said *said;
	uint32_t nsaid;
	const struct ddl_change *changes;
	uint32_t n;
};

/* A transaction that has nothing yet. */
static enum rc
begin_anew(struct stream *st, struct err *e)
{
	enum rc rc = RC_OK;

	if (st->feeding && st->rows)
		rc = stream_cut(st, st->seen - 1, e);
	return rc == RC_OK ? stream_begin(st, e) : rc;
}

/* done: with it the change in hand is, too; else that is a row which follows. */
static enum rc
feed_change(struct stream *st, const struct followed *f, bool done, struct err *e)
{
	struct event_ddl ev = {.db = "",
		.sql = f->sql,
		.session = "",
		.session_charset = "utf8mb4",
		.said = f->said,
		.nsaid = f->nsaid};
	enum rc rc = begin_anew(st, e);

	if (rc == RC_OK)
		rc = feed_ddl(st->feed, &ev, f->changes, f->n);
	if (rc == RC_OK)
		rc = stream_cut(st, done ? st->seen : st->seen - 1, e);
	return rc == RC_OK ? stream_begin(st, e) : rc;
}

static enum rc
follow(struct stream *st, const struct relation *r, const struct table *now, struct err *e)
{
	struct ddl_change ch = {
		.effect = DDL_CHANGED, .db = r->schema, .name = r->name, .table = now};
	struct column_change *columns;
	enum rc rc = log_relations_columns(&st->relations, now, NULL, &columns, &ch.ncolumns, e);

	ch.columns = columns;
	if (rc == RC_OK)
		rc = feed_change(
			st, &(struct followed){.sql = "", .changes = &ch, .n = 1}, false, e);
	column_changes_free(columns, ch.ncolumns);
	if (rc != RC_OK)
		return rc;
	log_info("source table %s.%s has other columns from %s on", r->schema, r->name,
		buf_text(&st->text));
	log_relations_follow(&st->relations, now);
	return RC_OK;
}

/* A relation that is not as its table was: the feed hears of it before the row. */
enum rc
stream_check_relation(struct stream *st, struct relation *r, struct err *e)
{
	enum rc rc = RC_OK;

	while (rc == RC_OK && !r->checked) {
		struct table *now;
		bool changed;

		rc = log_relations_check(&st->relations, r, &changed, &now, e);
		if (rc == RC_OK && changed)
			rc = follow(st, r, now, e);
		table_free(now);
	}
	return rc;
}

enum rc
stream_truncate(struct stream *st, const struct pgout_event *ev, struct err *e)
{
	struct ddl_change *changes = xcalloc(ev->noids, sizeof *changes);
	uint32_t n = 0;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < ev->noids; i++) {
		const struct relation *r = log_relations_find(&st->relations, ev->oids[i]);

		if (r != NULL && r->selected)
			changes[n++] = (struct ddl_change){
				.effect = DDL_TRUNCATED, .db = r->schema, .name = r->name};
	}
	if (n != 0)
		rc = feed_change(
			st, &(struct followed){.sql = "", .changes = changes, .n = n}, true, e);
	free(changes);
	return rc;
}

/* ---- what the source has noted ---- */

/* What a note makes of the feed's tables: two changes for each of its own at most. */
struct following {
	struct ddl_change *changes;
	uint32_t n;
	struct column_change **columns; /* of each of the note's */
	uint32_t *ncolumns;
	bool *again;
};

static bool
selects(const struct stream *st, const char *db, const char *name)
{
	return routes_table(st->s->env.routes, db, name);
}

static void
follow_as(struct following *f, const struct ddl_change *ch)
{
	f->changes[f->n++] = *ch;
}

/* Where only a new load can bring what rows have, the target's make room for it first. */
static enum rc
changed(struct stream *st, const struct noted *c, struct following *f, uint32_t i, struct err *e)
{
	struct ddl_change ch = {
		.effect = DDL_CHANGED, .db = c->db, .name = c->name, .table = c->table};
	enum rc rc = log_relations_columns(
		&st->relations, c->table, c, &f->columns[i], &f->ncolumns[i], e);

	f->again[i] = c->again;
	for (uint32_t k = 0; k < f->ncolumns[i]; k++) {
		f->again[i] = f->again[i] || f->columns[i][k].computed;
		f->columns[i][k].computed = false;
	}
	if (f->again[i])
		follow_as(f, &(struct ddl_change){
				     .effect = DDL_TRUNCATED, .db = c->db, .name = c->name});
	ch.columns = f->columns[i];
	ch.ncolumns = f->ncolumns[i];
	follow_as(f, &ch);
	return rc;
}

/* Whether the target is told in the source's own words what becomes of the table. */
static bool
says_words(const struct stream *st, const struct table *t)
{
	return conf_is(st->s->env.conf, "target.kind", "postgresql") &&
	       definitions_are_whole(st->s, t);
}

/* Rows that are gone without a word in the log. */
static void
gone(const struct stream *st, const struct noted *c, struct following *f, uint32_t i)
{
	f->again[i] = !says_words(st, c->table);
	if (f->again[i])
		follow_as(f, &(struct ddl_change){
				     .effect = DDL_TRUNCATED, .db = c->db, .name = c->name});
}

/* A table that has a selected name from here on. */
static void
created(const struct noted *c, struct following *f, uint32_t i)
{
	follow_as(f, &(struct ddl_change){.effect = DDL_CREATED,
			     .db = c->table->db,
			     .name = c->table->name,
			     .table = c->table});
	f->again[i] = c->again;
}

static void
left_out(const struct noted *c)
{
	log_warn("new source table %s.%s has no replica identity and is left out until it has: "
		 "give it a primary key, or run ALTER TABLE .. REPLICA IDENTITY FULL",
		c->db, c->name);
}

static enum rc
find_following(
	struct stream *st, const struct noted *c, struct following *f, uint32_t i, struct err *e)
{
	bool was = selects(st, c->db, c->name);
	struct ddl_change ch = {.db = c->db, .name = c->name};

	switch (c->kind) {
	case NOTE_CHANGED:
		return was ? changed(st, c, f, i, e) : RC_OK;
	case NOTE_CREATED:
		if (was)
			created(c, f, i);
		return RC_OK;
	case NOTE_RENAMED:
		ch.effect = DDL_RENAMED;
		ch.to_db = c->to_db;
		ch.to_name = c->to_name;
		if (was)
			follow_as(f, &ch);
		else if (selects(st, c->to_db, c->to_name))
			created(c, f, i);
		return RC_OK;
	case NOTE_DROPPED:
		ch.effect = DDL_DROPPED;
		if (was)
			follow_as(f, &ch);
		return RC_OK;
	case NOTE_TRUNCATED:
		ch.effect = DDL_TRUNCATED;
		if (was)
			follow_as(f, &ch);
		return RC_OK;
	case NOTE_GONE:
		if (was)
			gone(st, c, f, i);
		return RC_OK;
	case NOTE_UNKEYED:
		if (was)
			left_out(c);
		return RC_OK;
	case NOTE_UNPUBLISHED:
		f->again[i] = was && strcmp(c->publication, st->s->name) == 0;
		return f->again[i] ? pgsource_publish(st->s, c->db, c->name, e) : RC_OK;
	case NOTE_SAID:
	case NOTE_TRIGGER:
	case NOTE_KINDS:
	default:
		return RC_OK;
	}
}

/* The table is new to the target. */
static bool
is_to_make(const struct stream *st, const struct noted *c)
{
	if (c->sql == NULL || (c->kind != NOTE_CREATED && c->kind != NOTE_RENAMED))
		return false;
	return selects(st, c->table->db, c->table->name) && says_words(st, c->table) &&
	       (c->kind == NOTE_CREATED || !selects(st, c->db, c->name));
}

/* What leaves the selection stays at the target as it is. */
static bool
is_to_say(const struct stream *st, const struct noted *c)
{
	const struct routes *r = st->s->env.routes;

	if (c->kind != NOTE_SAID && !(c->kind == NOTE_TRIGGER && pgsource_copies_triggers(st->s)))
		return false;
	if (*c->name != '\0')
		return selects(st, c->db, c->name);
	if (routes_database(r, c->db) && !routes_database(r, c->to_db))
		log_warn("`%.200s` takes it out of the selection: the target's stays as it is",
			c->sql);
	return routes_database(r, c->db) && routes_database(r, c->to_db);
}

/* What a target of our own kind is to say, too; room for as many as the note has. */
static uint32_t
gather_said(const struct stream *st, const struct note *n, struct ddl_said *out)
{
	uint32_t count = 0;

	if (!conf_is(st->s->env.conf, "target.kind", "postgresql"))
		return 0;
	for (uint32_t i = 0; i < n->n; i++) {
		const struct noted *c = &n->changes[i];

		if (is_to_make(st, c))
			out[count++] =
				(struct ddl_said){.db = c->table->db, .sql = c->sql, .ahead = true};
		else if (is_to_say(st, c))
			out[count++] = (struct ddl_said){.db = *c->name != '\0' ? "" : c->to_db,
				.sql = c->sql,
				.ahead = c->ahead};
	}
	return count;
}

static void
note_relations(struct stream *st, const struct noted *c)
{
	if (c->kind == NOTE_DROPPED || c->kind == NOTE_RENAMED)
		log_relations_forget(&st->relations, c->db, c->name);
	if (c->table != NULL && selects(st, c->table->db, c->table->name))
		log_relations_follow(&st->relations, c->table);
}

/* All of a statement at once. Tables are to load again before the note is done with: a restart in
 * between takes it once more, which changes nothing a second time. */
static enum rc
follow_note(struct stream *st, const struct note *n, const char *sql, struct following *f,
	struct err *e)
{
	struct ddl_said *said = xcalloc(n->n, sizeof *said);
	uint32_t nsaid = gather_said(st, n, said);
	bool again = false;
	enum rc rc = RC_OK;

	for (uint32_t i = 0; i < n->n && rc == RC_OK; i++) {
		rc = find_following(st, &n->changes[i], f, i, e);
		again = again || f->again[i];
	}
	/* At once, or a restart in between would rename a table twice. */
	if (rc == RC_OK && (f->n != 0 || nsaid != 0))
		rc = feed_change(st,
			&(struct followed){.sql = sql,
				.said = said,
				.nsaid = nsaid,
				.changes = f->changes,
				.n = f->n},
			!again, e);
	else if (rc == RC_OK && again)
		rc = begin_anew(st, e);
	free(said);
	for (uint32_t i = 0; i < n->n && rc == RC_OK; i++) {
		const struct noted *c = &n->changes[i];

		note_relations(st, c);
		if (f->again[i])
			rc = c->table != NULL
				     ? feed_load_again(st->feed, c->table->db, c->table->name)
				     : feed_load_again(st->feed, c->db, c->name);
	}
	st->rows = st->rows || again;
	return rc;
}

static enum rc
feed_note(struct stream *st, const struct note *n, const char *sql, struct err *e)
{
	struct following f = {.changes = xcalloc((size_t)n->n * 2, sizeof *f.changes),
		.columns = xcalloc(n->n, sizeof *f.columns),
		.ncolumns = xcalloc(n->n, sizeof *f.ncolumns),
		.again = xcalloc(n->n, sizeof *f.again)};
	enum rc rc = follow_note(st, n, sql, &f, e);

	for (uint32_t i = 0; i < n->n; i++)
		column_changes_free(f.columns[i], f.ncolumns[i]);
	free(f.changes);
	free(f.columns);
	free(f.ncolumns);
	free(f.again);
	return rc;
}

static const struct pgout_value *
value_of(const struct relation *r, const struct pgout_tuple *t, const char *name)
{
	for (uint32_t i = 0; i < r->ncolumns && i < t->n; i++)
		if (strcmp(r->columns[i].name, name) == 0 && t->values[i].kind == PGOUT_TEXT)
			return &t->values[i];
	return NULL;
}

enum rc
stream_note(
	struct stream *st, const struct relation *r, const struct pgout_event *ev, struct err *e)
{
	const struct pgout_value *changes = value_of(r, &ev->after, "changes"),
				 *query = value_of(r, &ev->after, "query");
	struct note n;
	enum rc rc;

	if (ev->kind != PGOUT_INSERT)
		return RC_OK;
	if (changes == NULL || query == NULL)
		return err_set(e, RC_DATA, "the source's note of a statement lacks its text");
	rc = note_parse(changes->text, changes->len, &n, e);
	if (rc == RC_OK) {
		char *sql = arena_strndup(&st->message, query->text, query->len);

		st->selected = true;
		rc = feed_note(st, &n, sql, e);
	}
	note_release(&n);
	return rc;
}

enum rc
stream_meet(struct stream *st, const struct relation *r, bool *joins, struct err *e)
{
	struct ddl_change ch = {.effect = DDL_CREATED, .db = r->schema, .name = r->name};
	struct table *now = NULL;
	bool known;
	enum rc rc = log_relations_meet(&st->relations, r, &known, &now, e);

	*joins = rc == RC_OK && !known;
	ch.table = now;
	if (*joins && !(SPEAKS_LINES(&st->s->main) && st->s->notes)) {
		rc = feed_change(
			st, &(struct followed){.sql = "", .changes = &ch, .n = 1}, false, e);
		if (rc == RC_OK)
			rc = feed_load_again(st->feed, r->schema, r->name);
		st->rows = true;
		log_relations_follow(&st->relations, now);
	}
	table_free(now);
	return rc;
}
