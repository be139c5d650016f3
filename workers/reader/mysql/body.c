/*
 * body.c - bodies of triggers and routines; see source.h of the room.
 *
 * Heads of statements get the target's names, bodies stay as they are: what
 * names an object that the channel calls otherwise would do its work elsewhere.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/mysql/source.h"

bool
source_copies_triggers(const struct mysql_source *s)
{
	return conf_is(s->env.conf, "triggers", "copy");
}

static bool
is_renamed(const struct routes *r, const char *db, const char *table, const char *word)
{
	const char *column = routes_column(r, db, table, word);

	return strcmp(routes_target_db(r, word), word) != 0 ||
	       strcmp(routes_target_table(r, db, word), word) != 0 || column == NULL ||
	       strcmp(column, word) != 0;
}

/* As its table is called: OLD and NEW have its columns. */
static char *
trigger_names_renamed(const struct routes *r, const struct ddl *d, const struct ddl_name *on)
{
	const char *db = on->db, *table = on->name;
	struct tokens t = d->text;
	char *found = NULL;
	struct tok k;

	if (strcmp(routes_table_db(r, db, table), db) != 0)
		return xstrdup(db);
	t.at = 0;
	t.len = d->len;
	while (found == NULL && (k = tokens_next(&t)).kind != TOK_END) {
		char *word;

		if (k.kind != TOK_WORD && k.kind != TOK_NAME)
			continue;
		word = tok_name(&t, &k);
		if (is_renamed(r, db, table, word))
			found = word;
		else
			free(word);
	}
	return found;
}

/* A word of a routine's body: behind a database's name and a dot, or alone. */
static bool
leads_elsewhere(const struct routes *r, const char *own, const char *db, const char *word)
{
	const char *of = db != NULL ? db : own, *home = db != NULL ? db : routes_target_db(r, own);

	return strcmp(routes_target_table(r, of, word), word) != 0 ||
	       strcmp(routes_table_db(r, of, word), home) != 0;
}

static struct tok
peek(const struct tokens *t)
{
	struct tokens ahead = *t;

	return tokens_next(&ahead);
}

static char *
routine_names_renamed(const struct routes *r, const struct ddl *d)
{
	const char *own = d->names[0].db;
	struct tokens t = d->text;
	char *found = NULL, *db = NULL;
	struct tok k;

	t.at = d->names[0].end;
	t.len = d->len;
	while (found == NULL && (k = tokens_next(&t)).kind != TOK_END) {
		struct tok next = peek(&t);
		bool leads = tok_is(&t, &next, "."); /* to what is inside of it */
		char *word;

		if (k.kind != TOK_WORD && k.kind != TOK_NAME)
			continue;
		word = tok_name(&t, &k);
		if (leads_elsewhere(r, own, db, word) ||
			(leads && strcmp(routes_target_db(r, word), word) != 0))
			found = xstrdup(word);
		free(db);
		db = leads ? xstrdup(word) : NULL;
		free(word);
	}
	free(db);
	return found;
}

char *
ddl_names_renamed(const struct mysql_source *s, const struct ddl *d)
{
	if (d->nnames == 0 || d->names[0].db == NULL)
		return NULL;
	if (d->verb == DDL_VERB_CREATE_TRIGGER && d->nnames > 1 && d->names[1].db != NULL)
		return trigger_names_renamed(s->env.routes, d, &d->names[1]);
	if (d->verb == DDL_VERB_CREATE_FUNCTION || d->verb == DDL_VERB_CREATE_PROCEDURE)
		return routine_names_renamed(s->env.routes, d);
	return NULL;
}

char *
object_names_renamed(const struct mysql_source *s, const struct catalog_object *o)
{
	char *word;
	struct ddl d;

	ddl_parse(&d, o->sql, strlen(o->sql), strstr(o->session, "ANSI_QUOTES") != NULL,
		strstr(o->session, "NO_BACKSLASH_ESCAPES") != NULL, o->db);
	word = ddl_names_renamed(s, &d);
	ddl_release(&d);
	return word;
}
