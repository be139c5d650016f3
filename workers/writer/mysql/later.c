/*
 * later.c - indexes of a MySQL target that wait until their table is loaded; see sink.h of the
 * room.
 *
 * To keep an index up row by row costs a load a third of what it costs the
 * target in all. A large table that the load makes is therefore left with what
 * says which rows meet - its unique indexes - and with what foreign keys and
 * AUTO_INCREMENT need; its other indexes are made of all rows at once, before
 * it streams, or before a statement of the source's that names it.
 *
 * DDL commits by itself here. So our table `later_index` says which wait before
 * they are dropped, and until they are made: after a crash those that are there
 * are there, and the others are made.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mysql/quote.h"
#include "workers/writer/mysql/sink.h"

/* With fewer the statements cost more than they save. */
#define MANY_ROWS 50000u
/* Lines of SHOW CREATE TABLE. */
#define PLAIN_KEY "  KEY "
#define FOREIGN_KEY " FOREIGN KEY ("
#define COUNTED " AUTO_INCREMENT"

/* The name in backticks that begins here; its length with them, 0 if none does. */
static size_t
quoted_name(const char *p)
{
	size_t n = 1;

	if (*p != '`')
		return 0;
	for (;; n++) {
		if (p[n] == '\0' || p[n] == '\n')
			return 0;
		if (p[n] != '`')
			continue;
		if (p[n + 1] != '`')
			return n + 1;
		n++;
	}
}

static const char *
next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end != NULL ? end + 1 : NULL;
}

static size_t
line_length(const char *line)
{
	return strcspn(line, "\n");
}

/* Whether a foreign key of the table, or its counter, looks through an index that begins with this
 * column. */
static bool
is_needed(const char *create, const char *column, size_t n)
{
	for (const char *line = create; line != NULL; line = next_line(line)) {
		size_t len = line_length(line);
		const char *fk = memmem(line, len, FOREIGN_KEY, sizeof FOREIGN_KEY - 1);

		if (fk != NULL && strncmp(fk + sizeof FOREIGN_KEY - 1, column, n) == 0)
			return true;
		if (len > n + 2 && strncmp(line + 2, column, n) == 0 &&
			strncmp(line, "  ", 2) == 0 &&
			memmem(line, len, COUNTED, sizeof COUNTED - 1) != NULL)
			return true;
	}
	return false;
}

/* "`k` (`a`,`b`) ..." of a line that is a plain index; NULL for any other. */
static const char *
plain_index(const char *line)
{
	return strncmp(line, PLAIN_KEY, sizeof PLAIN_KEY - 1) == 0 ? line + sizeof PLAIN_KEY - 1
								   : NULL;
}

/* The indexes of the definition that can wait, a line each, as ADD wants them. */
static void
list_waiting(const char *create, struct buf *out)
{
	for (const char *line = create; line != NULL; line = next_line(line)) {
		const char *index = plain_index(line), *column;
		size_t len = line_length(line), n = index != NULL ? quoted_name(index) : 0;

		if (n == 0)
			continue;
		if (line[len - 1] == ',')
			len--;
		column = index + n + sizeof " (" - 1;
		if (*column == '`' && is_needed(create, column, quoted_name(column)))
			continue;
		buf_printf(out, "%.*s\n", (int)(len - (size_t)(index - line)), index);
	}
}

static enum rc
show_create(struct mysql_lane *l, const char *table, struct buf *out, struct err *e)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&l->c, &res, e, "SHOW CREATE TABLE %s", table);

	if (rc != RC_OK)
		return rc;
	row = mysql_fetch_row(res);
	if (row != NULL && mysql_num_fields(res) > 1 && row[1] != NULL)
		buf_puts(out, row[1]);
	mysql_free_result(res);
	return RC_OK;
}

/* WHERE of our row of a table, by its name at the source. */
static void
add_where(struct mysql_lane *l, struct buf *b, const char *db, const char *name)
{
	const char *const values[] = {l->sink->env.channel, db, name};

	buf_puts(b, " WHERE (channel, db, name) = (");
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		buf_puts(b, i != 0 ? ", " : "");
		client_quote(&l->c, b, values[i], strlen(values[i]));
	}
	buf_putc(b, ')');
}

static enum rc
note(struct mysql_lane *l, const char *db, const char *name, const struct buf *definitions,
	struct err *e)
{
	const char *const values[] = {l->sink->env.channel, db, name, buf_text(definitions)};
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b, "REPLACE INTO %s.later_index (channel, db, name, definitions) VALUES (",
		l->sink->state);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		buf_puts(&b, i != 0 ? ", " : "");
		client_quote(&l->c, &b, values[i], strlen(values[i]));
	}
	buf_putc(&b, ')');
	rc = lane_exec(l, &b, e);
	buf_release(&b);
	return rc;
}

enum rc
later_forget(struct mysql_lane *l, const char *db, const char *name, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b, "DELETE FROM %s.later_index", l->sink->state);
	add_where(l, &b, db, name);
	rc = lane_exec(l, &b, e);
	buf_release(&b);
	return rc;
}

static void
add_target(const struct mysql_lane *l, struct buf *b, const char *db, const char *name)
{
	const struct routes *routes = l->sink->env.routes;

	mysql_quote_table(
		b, routes_table_db(routes, db, name), routes_target_table(routes, db, name));
}

/* One by one: an index that a child looks through, say, stays. */
static enum rc
drop_all(struct mysql_lane *l, const char *table, const char *definitions, struct err *e)
{
	enum rc rc = lane_fk(l, false, e);

	for (const char *line = definitions; line != NULL && *line != '\0' && rc == RC_OK;
		line = next_line(line)) {
		rc = client_run(&l->c, e, "ALTER TABLE %s DROP KEY %.*s", table,
			(int)quoted_name(line), line);
		if (rc != RC_RETRY)
			rc = RC_OK;
	}
	return rc;
}

enum rc
later_put_off(
	struct mysql_lane *l, const struct event_object *o, const struct table *t, struct err *e)
{
	struct buf table, create, definitions;
	enum rc rc;

	if (t == NULL || t->rows < MANY_ROWS || table_key(t) == NULL)
		return RC_OK;
	buf_init(&table);
	buf_init(&create);
	buf_init(&definitions);
	add_target(l, &table, o->db, o->name);
	rc = show_create(l, buf_text(&table), &create, e);
	if (rc == RC_OK)
		list_waiting(buf_text(&create), &definitions);
	if (rc == RC_OK && definitions.len != 0)
		rc = note(l, o->db, o->name, &definitions, e);
	if (rc == RC_OK && definitions.len != 0)
		rc = drop_all(l, buf_text(&table), buf_text(&definitions), e);
	buf_release(&table);
	buf_release(&create);
	buf_release(&definitions);
	return rc;
}

static bool
has_index(const char *create, const char *name, size_t n)
{
	for (const char *line = create; line != NULL; line = next_line(line)) {
		const char *index = plain_index(line);

		if (index != NULL && strncmp(index, name, n) == 0)
			return true;
	}
	return false;
}

/* Those of the noted ones that are not there. */
static enum rc
make(struct mysql_lane *l, const char *db, const char *name, const char *definitions, struct err *e)
{
	struct buf table, create, sql;
	enum rc rc;

	buf_init(&table);
	buf_init(&create);
	buf_init(&sql);
	add_target(l, &table, db, name);
	rc = show_create(l, buf_text(&table), &create, e);
	for (const char *line = definitions; line != NULL && *line != '\0'; line = next_line(line))
		if (!has_index(buf_text(&create), line, quoted_name(line)))
			buf_printf(&sql, "%sADD KEY %.*s", sql.len != 0 ? ", " : "",
				(int)line_length(line), line);
	run_busy(l, true);
	if (rc == RC_OK && sql.len != 0)
		rc = client_run(&l->c, e, "ALTER TABLE %s %s", buf_text(&table), buf_text(&sql));
	run_busy(l, false);
	if (rc != RC_OK)
		err_context(e, "making the indexes of %s, which have waited for its load",
			buf_text(&table));
	buf_release(&table);
	buf_release(&create);
	buf_release(&sql);
	return rc;
}

enum rc
later_make(struct mysql_lane *l, const char *db, const char *name, bool *made, struct err *e)
{
	char *definitions = NULL;
	struct buf where;
	enum rc rc;

	buf_init(&where);
	add_where(l, &where, db, name);
	rc = client_value(&l->c, &definitions, e, "SELECT definitions FROM %s.later_index%s",
		l->sink->state, buf_text(&where));
	buf_release(&where);
	*made = definitions != NULL;
	if (rc == RC_OK && *made)
		rc = make(l, db, name, definitions, e);
	if (rc == RC_OK && *made)
		rc = later_forget(l, db, name, e);
	free(definitions);
	return rc;
}

/* Whether the parent has an index now that begins with the column that a foreign key names. */
static enum rc
can_refer(struct mysql_lane *l, const struct foreign_key *fk, bool *can, struct err *e)
{
	return lane_has(l, HAS_INDEX_ON, fk->ref_db, fk->ref_table,
		routes_column(l->sink->env.routes, fk->ref_db, fk->ref_table, fk->ref_columns[0]),
		can, e);
}

enum rc
later_make_parents(struct mysql_lane *l, const struct table *t, struct err *e)
{
	enum rc rc = RC_OK;

	for (uint32_t i = 0; t != NULL && i < t->nfks && rc == RC_OK; i++) {
		bool can = true, made;

		if (t->fks[i].ncolumns != 0)
			rc = can_refer(l, &t->fks[i], &can, e);
		if (rc == RC_OK && !can)
			rc = later_make(l, t->fks[i].ref_db, t->fks[i].ref_table, &made, e);
	}
	return rc;
}

enum rc
sink_loaded(struct sink_lane *base, const struct target *t, struct err *e)
{
	struct mysql_lane *l = (struct mysql_lane *)base;
	bool made;
	enum rc rc = later_make(l, t->source_db, t->source_name, &made, e);

	/* The transaction has gone with it. */
	return rc == RC_OK && made ? sink_begin(base, e) : rc;
}
