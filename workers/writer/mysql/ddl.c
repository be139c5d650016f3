/*
 * ddl.c - initial objects and DDL at a MySQL target; see sink.h of the room.
 *
 * DDL commits by itself here, so the position cannot move in the same
 * transaction. A note bridges the gap: (1) the note - position, statement,
 * a hash of what the touched objects look like before - is committed; (2) the
 * statement runs; (3) one transaction moves the position, writes what our
 * tables say of the objects now, and clears the note.
 *
 * Found again after a crash, with the note of this very position:
 *
 *     objects look       statement                      then
 *     otherwise          -                              it has run: (3)
 *     as before          CREATE, DROP, RENAME, ...      it has not run: (2), (3)
 *     as before          has no visible effect (ALTER   run again: it is
 *                        to what is there, TRUNCATE)    harmless: (2), (3)
 *     as before          exchanges tables that look     by InnoDB's numbers of
 *                        alike (RENAME a circle,        them, which the hash then
 *                        EXCHANGE PARTITION)            has; unseen: a person's
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mysql/ddl.h"
#include "common/mysql/dialect.h"
#include "common/mysql/quote.h"
#include "ipc/proto.h"
#include "workers/writer/mysql/sink.h"

#define NO_SUCH_TABLE 1146
#define BAD_TABLE 1051
#define TABLE_EXISTS 1050
#define DUPLICATE_COLUMN 1060
#define DUPLICATE_INDEX 1061
#define CANNOT_DROP 1091
#define DATABASE_EXISTS 1007
#define ROUTINE_EXISTS 1304
#define TRIGGER_EXISTS 1359
#define NO_SUCH_TRIGGER 1360

/* ---- names ---- */

static const char *
map_db(void *routes, const char *db, const char *name)
{
	return name != NULL ? routes_table_db(routes, db, name) : routes_target_db(routes, db);
}

static const char *
map_name(void *routes, const char *db, const char *name)
{
	return routes_target_table(routes, db, name);
}

static const char *
map_column(void *routes, const char *db, const char *table, const char *column)
{
	return routes_column(routes, db, table, column);
}

static enum ddl_rewritten
rewrite(struct mysql_lane *l, const struct ddl *d, bool drop_definer, struct buf *out)
{
	struct ddl_mapper m = {.arg = (void *)l->sink->env.routes,
		.map_db = map_db,
		.map_name = map_name,
		.map_column = map_column,
		.drop_definer = drop_definer};

	enum ddl_rewritten result = ddl_rewrite(d, &m, out);

	if (result == DDL_REWRITTEN && d->verb == DDL_VERB_CREATE_TRIGGER)
		trigger_guard(d, out);
	return result;
}

static enum rc
cannot_rewrite(const struct ddl *d, struct err *e)
{
	err_set(e, RC_CONFIG, "`%.*s` needs a column that the channel drops",
		d->len < 200 ? (int)d->len : 200, d->sql);
	return err_remedy(e, "take the column out of drop_columns and reset the channel, or undo "
			     "the change at the source and reset the channel");
}

static void
parse(struct ddl *d, const struct event_ddl *ev)
{
	ddl_parse(d, ev->sql, strlen(ev->sql), session_has_mode(ev, "ANSI_QUOTES"),
		session_has_mode(ev, "NO_BACKSLASH_ESCAPES"), ev->db);
}

/* ---- sessions ---- */

static enum rc
use_db(struct mysql_lane *l, const char *db, struct err *e)
{
	struct buf b;
	enum rc rc;

	if (*db == '\0')
		return RC_OK;
	buf_init(&b);
	buf_puts(&b, "USE ");
	mysql_quote_name(&b, routes_target_db(l->sink->env.routes, db));
	rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	/* The database may be one that only the statement's names do without. */
	return rc == RC_CONFIG && e->code == 1049 ? RC_OK : rc;
}

static void
busy(struct mysql_lane *l, bool on)
{
	atomic_store(&l->sink->env.stats[STAT_BUSY_US], on ? now_us() : 0);
}

#define NEEDS_SUPER 1227

/* The statement in this server's words. */
static enum rc
execute(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e)
{
	struct buf engines, said;
	enum rc rc;

	buf_init(&engines);
	buf_init(&said);
	sink_engines(d, sql, &engines);
	rc = session_collations(l, ev, &engines, &said, e);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&said), said.len, e);
	buf_release(&engines);
	buf_release(&said);
	return rc;
}

/* A view or routine of another account: ours may not be allowed to make it so. */
static enum rc
run_as_ours(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d, struct err *e)
{
	struct buf sql;
	enum rc rc;

	buf_init(&sql);
	(void)rewrite(l, d, true, &sql); /* it went well before */
	log_warn("%s %s.%s becomes our account's, since that may not give it to another definer: "
		 "grant SET USER (MariaDB), SET_ANY_DEFINER or SET_USER_ID (MySQL) to keep it",
		ddl_class_name(d->class),
		d->nnames != 0 && d->names[0].db != NULL ? d->names[0].db : "",
		d->nnames != 0 && d->names[0].name != NULL ? d->names[0].name : "");
	rc = execute(l, ev, d, &sql, e);
	buf_release(&sql);
	return rc;
}

/* A statement that this server cannot read, in its own words. What an IF of a clause said stays the
 * first error: whether the statement may be left out is told by that. */
static enum rc
run_in_own_words(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e)
{
	struct err second;
	struct buf own;
	enum rc rc = e->rc;

	buf_init(&own);
	if (dialect_rewrite(sql, l->c.server.mariadb, session_has_mode(ev, "ANSI_QUOTES"),
		    session_has_mode(ev, "NO_BACKSLASH_ESCAPES"), &own)) {
		rc = execute(l, ev, d, &own, &second);
		if (rc == RC_OK)
			log_info("in this server's words: %.200s", buf_text(&own));
		else if (second.code != DUPLICATE_COLUMN && second.code != DUPLICATE_INDEX &&
			 second.code != CANNOT_DROP)
			*e = second;
	}
	buf_release(&own);
	return rc;
}

static enum rc
run_statement(struct mysql_lane *l, const struct event_ddl *ev, const struct ddl *d,
	const struct buf *sql, struct err *e)
{
	struct err failure = {0};
	enum rc rc = use_db(l, ev->db, e), back;

	if (rc == RC_OK)
		rc = session_enter(l, ev, e);
	if (rc == RC_OK) {
		busy(l, true);
		rc = execute(l, ev, d, sql, e);
		if (rc != RC_OK && e->code == NEEDS_SUPER && d->definer_end != 0)
			rc = run_as_ours(l, ev, d, e);
		if (rc == RC_DATA && dialect_error(e->code))
			rc = run_in_own_words(l, ev, d, sql, e);
		busy(l, false);
	}
	if (rc == RC_RETRY && e->code == 0)
		return rc;
	back = session_leave(l, &failure);
	if (rc == RC_OK && back != RC_OK)
		*e = failure;
	return rc != RC_OK ? rc : back;
}

/* ---- what objects look like ---- */

/* SHOW CREATE of an object, and in which field of its row the text is. */
static const struct {
	const char *what;
	unsigned field;
} shows[] = {
	[DDL_TABLE] = {"TABLE", 1},
	[DDL_VIEW] = {"TABLE", 1},
	[DDL_FUNCTION] = {"FUNCTION", 2},
	[DDL_PROCEDURE] = {"PROCEDURE", 2},
	[DDL_TRIGGER] = {"TRIGGER", 2},
	[DDL_DATABASE] = {"DATABASE", 1},
};

static void
add_object(struct mysql_lane *l, const struct ddl_name *n, struct buf *b)
{
	const struct routes *routes = l->sink->env.routes;

	if (n->kind == DDL_DATABASE)
		mysql_quote_name(b, routes_target_db(routes, n->db));
	else if (n->kind == DDL_TABLE || n->kind == DDL_VIEW)
		mysql_quote_table(b, routes_table_db(routes, n->db, n->name),
			routes_target_table(routes, n->db, n->name));
	else
		mysql_quote_table(b, routes_target_db(routes, n->db), n->name);
}

static enum rc
hash_one(struct mysql_lane *l, const struct ddl_name *n, uint64_t *hash, struct err *e)
{
	struct buf b;
	MYSQL_RES *res;
	MYSQL_ROW row;
	unsigned field;
	enum rc rc;

	if (n->db == NULL || n->kind >= COUNT_OF(shows) || shows[n->kind].what == NULL)
		return RC_OK;
	buf_init(&b);
	add_object(l, n, &b);
	rc = client_query(&l->c, &res, e, "SHOW CREATE %s %s", shows[n->kind].what, buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK && rc != RC_RETRY) { /* it is not there, or is no table */
		*hash = XXH3_64bits_withSeed("", 0, *hash);
		return RC_OK;
	}
	if (rc != RC_OK)
		return rc;
	field = shows[n->kind].field;
	row = mysql_fetch_row(res);
	if (row != NULL && mysql_num_fields(res) > field && row[field] != NULL)
		*hash = XXH3_64bits_withSeed(row[field], mysql_fetch_lengths(res)[field], *hash);
	mysql_free_result(res);
	return RC_OK;
}

static bool
is_exchange(const struct ddl *d)
{
	for (uint32_t i = 0; i < d->nclauses && d->class == DDL_CLASS_ALTER_TABLE; i++)
		if (strncasecmp(d->sql + d->clauses[i].start, "EXCHANGE", 8) == 0)
			return true;
	return false;
}

static bool
names_twice(const struct ddl *d)
{
	for (uint32_t i = 0; i < d->nnames; i++)
		for (uint32_t k = i + 1; k < d->nnames; k++)
			if (d->names[i].db != NULL && d->names[k].db != NULL &&
				strcmp(d->names[i].name, d->names[k].name) == 0 &&
				strcmp(d->names[i].db, d->names[k].db) == 0)
				return true;
	return false;
}

/* Tables that look alike change places: only what the engine calls them tells whether they have. */
static bool
swaps(const struct ddl *d)
{
	return is_exchange(d) || (d->class == DDL_CLASS_RENAME_TABLE && names_twice(d));
}

/* InnoDB's numbers of a table and its partitions. AGAIN: they cannot be seen. */
static enum rc
hash_number(struct mysql_lane *l, const struct ddl_name *n, uint64_t *hash, struct err *e)
{
	const struct routes *routes = l->sink->env.routes;
	char *path, *numbers = NULL;
	enum rc rc;

	if (n->db == NULL || n->name == NULL)
		return RC_OK;
	path = xasprintf("%s/%s", routes_table_db(routes, n->db, n->name),
		routes_target_table(routes, n->db, n->name));
	/* Other characters are written there in a code of the server's own. */
	if (path[strspn(path,
		    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/")] != '\0') {
		free(path);
		return RC_AGAIN;
	}
	rc = client_value(&l->c, &numbers, e,
		"SELECT GROUP_CONCAT(TABLE_ID ORDER BY NAME) FROM information_schema.%s WHERE "
		"NAME = '%s' OR LEFT(NAME, %zu) = '%s#'",
		l->c.server.mariadb ? "INNODB_SYS_TABLES" : "INNODB_TABLES", path, strlen(path) + 1,
		path);
	if (rc == RC_OK && numbers != NULL)
		*hash = XXH3_64bits_withSeed(numbers, strlen(numbers), *hash);
	free(numbers);
	free(path);
	return rc == RC_OK || rc == RC_RETRY ? rc : RC_AGAIN;
}

/* Of objects before and after a statement. Lowest bit: it would tell whether a swap has run. */
#define HASH_TELLS 1u

static enum rc
hash_objects(struct mysql_lane *l, const struct ddl *d, uint64_t *hash, struct err *e)
{
	bool tells = true;
	enum rc rc = RC_OK;

	*hash = 1;
	for (uint32_t i = 0; i < d->nnames && rc == RC_OK; i++)
		if (d->names[i].role != DDL_REFERENCE)
			rc = hash_one(l, &d->names[i], hash, e);
	for (uint32_t i = 0; i < d->nnames && swaps(d) && tells && rc == RC_OK; i++) {
		rc = hash_number(l, &d->names[i], hash, e);
		tells = rc != RC_AGAIN;
	}
	*hash = tells ? *hash | HASH_TELLS : *hash & ~(uint64_t)HASH_TELLS;
	return rc == RC_AGAIN ? RC_OK : rc;
}

#define UNKNOWN_CHARSET 1115
#define UNKNOWN_COLLATION 1273

/* What a person can do about a statement that the target refused. */
static void
add_remedy(struct err *e, const char *otherwise)
{
	if (e->code == UNKNOWN_CHARSET || e->code == UNKNOWN_COLLATION)
		err_remedy(e, "this target has nothing like it: use a character set and collation "
			      "at the source that both servers have, then reset the channel");
	else
		err_remedy(e, "%s", otherwise);
}

/* ---- the note ---- */

/* A statement and what is written with it. */
struct step {
	const struct event_ddl *ev;
	const struct ddl *d;
	const struct buf *sql; /* as it runs at the target */
	const struct table_record *records;
	uint32_t nrecords;
	const struct checkpoint *at;
};

struct note {
	bool found;
	uint64_t before;
};

static void
add_text(struct mysql_lane *l, struct buf *b, const char *s)
{
	client_quote(&l->c, b, s, strlen(s));
}

static enum rc
read_note(struct mysql_lane *l, const struct checkpoint *c, struct note *n, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	struct buf b;
	enum rc rc;

	*n = (struct note){0};
	buf_init(&b);
	add_text(l, &b, l->sink->env.channel);
	rc = client_query(&l->c, &res, e,
		"SELECT applied, before_hash FROM %s.ddl_note WHERE channel = %s", l->sink->state,
		buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	if (row != NULL && strcmp(row[0], c->applied) == 0) {
		n->found = true;
		n->before = strtoull(row[1], NULL, 10);
	}
	mysql_free_result(res);
	return RC_OK;
}

static enum rc
write_note(struct mysql_lane *l, const struct event_ddl *ev, const struct checkpoint *c,
	uint64_t before, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b,
		"REPLACE INTO %s.ddl_note (channel, applied, statement, before_hash) VALUES (",
		l->sink->state);
	add_text(l, &b, l->sink->env.channel);
	buf_puts(&b, ", ");
	add_text(l, &b, c->applied);
	buf_puts(&b, ", ");
	add_text(l, &b, ev->sql);
	buf_printf(&b, ", %" PRIu64 ")", before);
	rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	return rc;
}

static enum rc
finish(struct mysql_lane *l, const struct step *s, struct err *e)
{
	struct buf b;
	enum rc rc = client_run(&l->c, e, "START TRANSACTION");

	buf_init(&b);
	buf_printf(&b, "DELETE FROM %s.ddl_note WHERE channel = ", l->sink->state);
	add_text(l, &b, l->sink->env.channel);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	for (uint32_t i = 0; i < s->nrecords && rc == RC_OK; i++)
		rc = l->sink->base.ops->table_state(&l->base, s->records[i].source_db,
			s->records[i].source_name, s->records[i].state, s->records[i].inserted,
			&s->records[i].schema, e);
	if (rc == RC_OK)
		rc = lane_move_checkpoint(l, s->at, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_DDL_FINISH, e);
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "COMMIT");
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_DDL_DONE, e);
	buf_release(&b);
	return rc;
}

/* A DROP of what is not there, by the target's own state: nothing is lost by going on. */
static bool
is_harmless(const struct ddl *d, const struct err *e)
{
	return ((d->class == DDL_CLASS_DROP_TABLE || d->class == DDL_CLASS_DROP_VIEW) &&
		       (e->code == BAD_TABLE || e->code == NO_SUCH_TABLE)) ||
	       (d->verb == DDL_VERB_DROP_TRIGGER && e->code == NO_SUCH_TRIGGER);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_columns(const struct table *a, const struct table *b)
{
	if (a->ncolumns != b->ncolumns)
		return false;
	for (uint32_t i = 0; i < a->ncolumns; i++) {
		const struct column *x = &a->columns[i], *y = &b->columns[i];

		if (strcmp(x->name, y->name) != 0 || !same_text(x->native, y->native) ||
			!same_text(x->collation, y->collation) || x->nullable != y->nullable)
			return false;
	}
	return true;
}

static bool
keeps_columns(const struct table_change *ch)
{
	struct table *before = NULL, *after = NULL;
	struct cursor b, a;
	struct err ignored;
	bool same;

	if (ch->effect != DDL_CHANGED || ch->before_len == 0 || ch->after_len == 0)
		return false;
	cursor_init(&b, ch->before, ch->before_len);
	cursor_init(&a, ch->after, ch->after_len);
	same = table_decode(&b, &before, &ignored) == RC_OK &&
	       table_decode(&a, &after, &ignored) == RC_OK && same_columns(before, after);
	table_free(before);
	table_free(after);
	return same;
}

/*
 * A statement that this server has no words for, and that changes no column: an
 * index over an expression, versioning, a comment. Rows go on without it; there
 * is nothing that a person could make right.
 */
static bool
can_go_without(const struct event_ddl *ev, const struct ddl *d, const struct err *e)
{
	if (!dialect_error(e->code))
		return false;
	for (uint32_t i = 0; i < ev->nchanges; i++)
		if (!keeps_columns(&ev->changes[i]))
			return false;
	return ev->nchanges != 0 || d->class == DDL_CLASS_ALTER_DATABASE;
}

static enum rc
cannot_tell(struct mysql_lane *l, const struct buf *sql, const struct checkpoint *c, struct err *e)
{
	err_set(e, RC_CONFIG,
		"the writer ended while `%.200s` ran at the target (source position %s), and the "
		"tables it exchanges look alike: whether it has run cannot be told",
		buf_text(sql), c->applied);
	return err_remedy(e,
		"look at the tables: if it has run, make them as they were before it; then DELETE "
		"FROM %s.ddl_note WHERE channel = '%s' and `syncline start`; grant PROCESS to the "
		"account at the target, and this can be told",
		l->sink->state, l->sink->env.channel);
}

static enum rc
run_noted(struct mysql_lane *l, const struct step *s, char **skipped, struct err *e)
{
	struct note note;
	uint64_t now;
	enum rc rc = read_note(l, s->at, &note, e);

	if (rc == RC_OK)
		rc = hash_objects(l, s->d, &now, e);
	if (rc != RC_OK)
		return rc;
	if (note.found && swaps(s->d) && ((note.before & now) & HASH_TELLS) == 0)
		return cannot_tell(l, s->sql, s->at, e);
	if (note.found && note.before != now) {
		log_info("a DDL statement had run before the crash; position=%s", s->at->applied);
		return finish(l, s, e);
	}
	FAILPOINT(WRITER_DDL);
	if (!note.found && (rc = write_note(l, s->ev, s->at, now, e)) != RC_OK)
		return rc;
	if ((rc = FAILPOINT_LOST(WRITER_DDL_NOTED, e)) != RC_OK)
		return rc;
	rc = run_statement(l, s->ev, s->d, s->sql, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(WRITER_DDL_RUN, e);
	if (rc == RC_DATA && (is_harmless(s->d, e) || can_go_without(s->ev, s->d, e))) {
		*skipped = xasprintf("%s", e->text);
		rc = RC_OK;
	}
	if (rc != RC_OK) {
		err_context(e, "cannot run `%.200s` at the target (source position %s)",
			buf_text(s->sql), s->at->applied);
		if (rc != RC_RETRY)
			add_remedy(e,
				dialect_error(e->code)
					? "this server cannot have that: undo it at the source, "
					  "and "
					  "reset the channel; or leave the table out of `objects`"
					: "make the target's object what the source's was before "
					  "the statement, then `syncline start`");
		return rc;
	}
	return finish(l, s, e);
}

static enum rc
run_native(struct mysql_lane *l, const struct event_ddl *ev, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	struct ddl d;
	struct buf sql;
	struct step step = {ev, &d, &sql, records, nrecords, c};
	enum rc rc;

	*skipped = NULL;
	parse(&d, ev);
	if (!ddl_class_carried(d.class) && d.class != DDL_CLASS_TRIGGER) {
		*skipped = xasprintf("%s is not carried", ddl_class_name(d.class));
		ddl_release(&d);
		return finish(l, &step, e);
	}
	buf_init(&sql);
	switch (rewrite(l, &d, false, &sql)) {
	case DDL_NOTHING:
		*skipped = xstrdup("it concerns columns that the channel drops, and nothing else");
		rc = finish(l, &step, e);
		break;
	case DDL_CANNOT:
		rc = cannot_rewrite(&d, e);
		break;
	case DDL_REWRITTEN:
	default:
		rc = run_noted(l, &step, skipped, e);
	}
	buf_release(&sql);
	ddl_release(&d);
	return rc;
}

/* One of several: emptied tables, which may be emptied again. */
static enum rc
run_unnoted(struct mysql_lane *l, const struct event_ddl *ev, struct err *e)
{
	struct buf sql;
	struct ddl d;
	enum rc rc = RC_OK;

	parse(&d, ev);
	buf_init(&sql);
	if (rewrite(l, &d, false, &sql) == DDL_REWRITTEN)
		rc = run_statement(l, ev, &d, &sql, e);
	buf_release(&sql);
	ddl_release(&d);
	return rc;
}

/* Changes as statements: the last one takes the position along. */
static enum rc
run_foreign(struct mysql_lane *l, const struct event_ddl *ev, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	struct event_ddl own = {.db = "", .session = "", .session_charset = "utf8mb4"};
	struct step nothing = {.records = records, .nrecords = nrecords, .at = c};
	struct buf sql;
	enum rc rc = RC_OK;

	buf_init(&sql);
	for (uint32_t i = 0; i < ev->nchanges && rc == RC_OK; i++) {
		if (sql.len != 0)
			rc = run_unnoted(l, &own, e);
		buf_clear(&sql);
		if (rc == RC_OK)
			rc = foreign_change(&l->c, &ev->changes[i], &sql, e);
		own.sql = buf_text(&sql);
	}
	if (rc == RC_OK)
		rc = sql.len != 0 ? run_native(l, &own, records, nrecords, c, skipped, e)
				  : finish(l, &nothing, e);
	buf_release(&sql);
	return rc;
}

enum rc
sink_ddl(struct sink_lane *base, const struct event_ddl *ev, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;

	*skipped = NULL;
	return l->sink->foreign ? run_foreign(l, ev, records, nrecords, c, skipped, e)
				: run_native(l, ev, records, nrecords, c, skipped, e);
}

/* ---- initial objects ---- */

static enum rc
create_database(struct mysql_lane *l, const struct event_ddl *ev, const char *db, struct err *e)
{
	struct err failure;
	struct buf b;
	enum rc rc = session_enter(l, ev, e), back;

	if (rc != RC_OK)
		return rc;
	buf_init(&b);
	buf_puts(&b, "CREATE DATABASE IF NOT EXISTS ");
	mysql_quote_name(&b, db);
	rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	if (rc == RC_RETRY)
		return rc;
	if (rc != RC_OK)
		err_remedy(e,
			"create the database \"%s\" at the target by hand, or grant CREATE on it",
			db);
	back = session_leave(l, &failure);
	if (rc == RC_OK && back != RC_OK)
		*e = failure;
	return rc != RC_OK ? rc : back;
}

/* SHOW CREATE names an object without its database: the session's is the mapped one. What its
 * tables get where they say nothing is as at the source. */
static enum rc
make_database(struct mysql_lane *l, const struct event_ddl *ev, const char *db, struct err *e)
{
	char *there = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	add_text(l, &b, db);
	rc = client_value(&l->c, &there, e,
		"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", buf_text(&b));
	buf_release(&b);
	if (rc == RC_OK && there == NULL)
		rc = create_database(l, ev, db, e);
	free(there);
	return rc;
}

/* The state that our own row says this table has; it is ours then. TABLE_STATE_COUNT: it is not. */
static enum rc
our_state(struct mysql_lane *l, const struct event_object *o, enum table_state *out, struct err *e)
{
	char *state = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	add_text(l, &b, l->sink->env.channel);
	buf_puts(&b, " AND db = ");
	add_text(l, &b, o->db);
	buf_puts(&b, " AND name = ");
	add_text(l, &b, o->name);
	rc = client_value(&l->c, &state, e, "SELECT state FROM %s.table_state WHERE channel = %s",
		l->sink->state, buf_text(&b));
	*out = state != NULL ? table_state_by_name(state) : TABLE_STATE_COUNT;
	free(state);
	buf_release(&b);
	return rc;
}

/* Noted before it is made: a crash in between leaves a note, and then whatever has that name is
 * ours. */
static enum rc
note_table(struct mysql_lane *l, const struct event_object *o, struct err *e)
{
	enum rc rc = l->sink->base.ops->table_state(
		&l->base, o->db, o->name, TABLE_WAITING, false, NULL, e);

	if (rc == RC_OK)
		rc = client_run(&l->c, e, "COMMIT");
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_OBJECT_NOTED, e) : rc;
}

static enum rc
exists(struct mysql_lane *l, const char *db, const char *name, bool *there, struct err *e)
{
	char *n = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	add_text(l, &b, db);
	buf_puts(&b, " AND TABLE_NAME = ");
	add_text(l, &b, name);
	rc = client_value(&l->c, &n, e,
		"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
		buf_text(&b));
	*there = n != NULL && strcmp(n, "0") != 0;
	free(n);
	buf_release(&b);
	return rc;
}

/*
 * A table that loads again: what it has goes. Where definitions are ours it is
 * made anew, for the statements since may be missing in it; else it is emptied.
 */
static enum rc
clear_table(struct mysql_lane *l, const char *db, const char *name, bool anew, bool *make,
	struct err *e)
{
	struct buf b;
	enum rc rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 0");

	buf_init(&b);
	buf_puts(&b, anew ? "DROP TABLE " : "TRUNCATE TABLE ");
	mysql_quote_table(&b, db, name);
	busy(l, true);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 1");
	busy(l, false);
	*make = anew;
	buf_release(&b);
	return rc;
}

static enum rc
make_table(struct mysql_lane *l, const struct event_object *o, const char *db, const char *name,
	enum existing existing, bool *make, struct err *e)
{
	enum table_state state = TABLE_STATE_COUNT;
	bool there = false, ours;
	enum rc rc = exists(l, db, name, &there, e);

	*make = !there;
	if (rc == RC_OK)
		rc = our_state(l, o, &state, e);
	ours = state != TABLE_STATE_COUNT;
	if (rc == RC_OK && there && state == TABLE_RELOAD && existing == EXISTING_IGNORE)
		return sink_shared(o, db, name, e);
	if (rc == RC_OK && there && state == TABLE_RELOAD)
		return clear_table(l, db, name,
			conf_has_word(l->sink->env.conf, "initial", "schema"), make, e);
	if (rc == RC_OK && there && !ours && existing == EXISTING_INTERCEPT)
		return sink_intercept(o, db, name, e);
	return rc == RC_OK && !ours ? note_table(l, o, e) : rc;
}

static enum rc
create_object(struct mysql_lane *l, const struct event_object *o, const struct table *table,
	struct err *e)
{
	struct event_ddl ev = o->ddl;
	struct buf sql, own;
	struct ddl d;
	enum rc rc;

	buf_init(&own);
	if (l->sink->foreign) {
		foreign_create(table, &own);
		ev.sql = buf_text(&own);
	}
	parse(&d, &ev);
	buf_init(&sql);
	rc = rewrite(l, &d, false, &sql) == DDL_REWRITTEN ? RC_OK : cannot_rewrite(&d, e);
	if (rc == RC_OK)
		rc = run_statement(l, &ev, &d, &sql, e);
	ddl_release(&d);
	/* Made before a crash, or kept by existing = "ignore". */
	if (rc == RC_DATA && (e->code == TABLE_EXISTS || e->code == ROUTINE_EXISTS ||
				     e->code == DATABASE_EXISTS || e->code == TRIGGER_EXISTS))
		rc = RC_OK;
	if (rc != RC_OK)
		err_context(e, "cannot create %s %s%s%s at the target", object_name(o->kind), o->db,
			*o->name != '\0' ? "." : "", o->name);
	if (rc == RC_DATA)
		add_remedy(e, "make the object at the target by hand as this server can have it, "
			      "set existing = \"ignore\", then `syncline start`");
	buf_release(&sql);
	buf_release(&own);
	return rc;
}

enum rc
sink_object(struct sink_lane *base, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	const struct routes *routes = l->sink->env.routes;
	const char *db = o->kind == OBJECT_TABLE ? routes_table_db(routes, o->db, o->name)
						 : routes_target_db(routes, o->db);
	bool make = true;
	enum rc rc = FAILPOINT_LOST(WRITER_OBJECT, e);

	if (l->sink->foreign && table == NULL) {
		log_warn("%s %s.%s is left out: it is written in the source's own language",
			object_name(o->kind), o->db, o->name);
		return rc;
	}
	if (rc == RC_OK && o->kind != OBJECT_DATABASE)
		rc = make_database(l, &o->ddl, db, e);
	if (rc == RC_OK && o->kind == OBJECT_TABLE)
		rc = make_table(
			l, o, db, routes_target_table(routes, o->db, o->name), existing, &make, e);
	if (rc == RC_OK && make)
		rc = create_object(l, o, table, e);
	return rc == RC_OK ? FAILPOINT_LOST(WRITER_OBJECT_MADE, e) : rc;
}
