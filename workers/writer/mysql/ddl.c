/*
 * ddl.c - DDL at a MySQL target; see sink.h of the room.
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
#include "common/mysql/ddl.h"
#include "common/mysql/dialect.h"
#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

#define NO_SUCH_TABLE 1146
#define BAD_TABLE 1051
#define NO_SUCH_ROUTINE 1305
#define NO_SUCH_TRIGGER 1360

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
	       ((d->class == DDL_CLASS_DROP_FUNCTION || d->class == DDL_CLASS_DROP_PROCEDURE) &&
		       e->code == NO_SUCH_ROUTINE) ||
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

/* MySQL has no CREATE OR REPLACE TABLE. The old one goes before the note, which then tells whether
 * the new one is there. */
static enum rc
drop_replaced(struct mysql_lane *l, const struct ddl *d, struct err *e)
{
	struct buf b;
	enum rc rc;

	if (!d->or_replace || l->c.server.mariadb ||
		(d->class != DDL_CLASS_CREATE_TABLE && d->class != DDL_CLASS_CREATE_TABLE_LIKE) ||
		d->nnames == 0 || d->names[0].db == NULL)
		return RC_OK;
	buf_init(&b);
	add_object(l, &d->names[0], &b);
	rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 0");
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "DROP TABLE IF EXISTS %s", buf_text(&b));
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 1");
	buf_release(&b);
	return rc;
}

static enum rc
run_noted(struct mysql_lane *l, const struct step *s, char **skipped, struct err *e)
{
	struct note note;
	uint64_t now;
	enum rc rc = read_note(l, s->at, &note, e);

	if (rc == RC_OK && !note.found)
		rc = drop_replaced(l, s->d, e);
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
	rc = run_warned(l, s->ev, s->d, s->sql, e);
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
			run_remedy(e,
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

/* A statement finds its tables whole: it may be about an index that waits. */
static enum rc
make_later(struct mysql_lane *l, const struct ddl *d, struct err *e)
{
	enum rc rc = RC_OK;
	bool made;

	for (uint32_t i = 0; i < d->nnames && rc == RC_OK; i++)
		if (d->names[i].kind == DDL_TABLE && d->names[i].db != NULL &&
			d->names[i].name != NULL)
			rc = later_make(l, d->names[i].db, d->names[i].name, &made, e);
	return rc;
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
	run_parse(&d, ev);
	if (!ddl_class_carried(d.class) && d.class != DDL_CLASS_TRIGGER) {
		*skipped = xasprintf("%s is not carried", ddl_class_name(d.class));
		ddl_release(&d);
		return finish(l, &step, e);
	}
	if ((rc = make_later(l, &d, e)) != RC_OK) {
		ddl_release(&d);
		return rc;
	}
	buf_init(&sql);
	switch (run_rewrite(l, &d, false, &sql)) {
	case DDL_NOTHING:
		*skipped = xstrdup("it concerns columns that the channel drops, and nothing else");
		rc = finish(l, &step, e);
		break;
	case DDL_CANNOT:
		rc = run_cannot_rewrite(&d, e);
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

	run_parse(&d, ev);
	buf_init(&sql);
	if (run_rewrite(l, &d, false, &sql) == DDL_REWRITTEN)
		rc = run_warned(l, ev, &d, &sql, e);
	buf_release(&sql);
	ddl_release(&d);
	return rc;
}

/* Changes as statements: the last one takes the position along. */
static enum rc
run_foreign(struct mysql_lane *l, const struct event_ddl *ev, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	struct event_ddl own = {.db = "", .sql = "", .session = "", .session_charset = "utf8mb4"};
	struct step nothing = {.records = records, .nrecords = nrecords, .at = c};
	struct buf sql;
	enum rc rc = RC_OK;

	buf_init(&sql);
	for (uint32_t i = 0; i < ev->nchanges && rc == RC_OK; i++) {
		if (sql.len != 0)
			rc = run_unnoted(l, &own, e);
		buf_clear(&sql);
		if (rc == RC_OK)
			rc = foreign_change(l, &ev->changes[i], &sql, e);
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
