/* ddl.c - see ddl.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "common/mysql/quote.h"
#include "common/mysql/token.h"

static const struct {
	const char *name;
	bool carried;
} classes[DDL_CLASS_COUNT] = {
#define X(symbol, name, carried) [DDL_CLASS_##symbol] = {name, carried},
	DDL_LIST(X)
#undef X
};

struct parser {
	struct tokens t;
	struct tok tok; /* the current one */
	struct ddl *d;
	const char *db;
};

const char *
ddl_class_name(enum ddl_class c)
{
	return c < DDL_CLASS_COUNT ? classes[c].name : "unknown";
}

bool
ddl_class_carried(enum ddl_class c)
{
	return c < DDL_CLASS_COUNT && classes[c].carried;
}

/* ---- helpers ---- */

static void
advance(struct parser *p)
{
	p->tok = tokens_next(&p->t);
}

static bool
is(const struct parser *p, const char *word)
{
	return tok_is(&p->t, &p->tok, word);
}

static bool
accept(struct parser *p, const char *word)
{
	if (!is(p, word))
		return false;
	advance(p);
	return true;
}

static bool
accept2(struct parser *p, const char *a, const char *b)
{
	struct parser saved = *p;

	if (accept(p, a) && accept(p, b))
		return true;
	*p = saved;
	return false;
}

static void
if_exists(struct parser *p)
{
	if (!accept(p, "IF"))
		return;
	if (accept(p, "NOT"))
		p->d->if_not_exists = true;
	else
		p->d->if_exists = true;
	accept(p, "EXISTS");
}

static struct ddl_name *
add_name(struct parser *p, enum ddl_role role)
{
	struct ddl *d = p->d;

	d->names = xreallocarray(d->names, d->nnames + 1, sizeof *d->names);
	d->names[d->nnames] = (struct ddl_name){.role = role};
	return &d->names[d->nnames++];
}

/* [db.]name; false if there is no name here. */
static bool
read_name(struct parser *p, enum ddl_role role)
{
	struct ddl_name *n;

	if (p->tok.kind != TOK_WORD && p->tok.kind != TOK_NAME && p->tok.kind != TOK_NUMBER)
		return false;
	n = add_name(p, role);
	n->start = p->tok.start;
	n->end = p->tok.end;
	n->name = tok_name(&p->t, &p->tok);
	advance(p);
	if (accept(p, ".")) {
		n->db = n->name;
		n->name = tok_name(&p->t, &p->tok);
		n->end = p->tok.end;
		advance(p);
	} else {
		n->db = p->db != NULL && *p->db != '\0' ? xstrdup(p->db) : NULL;
	}
	return true;
}

static void
read_database(struct parser *p)
{
	struct ddl_name *n;

	if (p->tok.kind != TOK_WORD && p->tok.kind != TOK_NAME)
		return;
	n = add_name(p, DDL_TARGET);
	n->start = p->tok.start;
	n->end = p->tok.end;
	n->db = tok_name(&p->t, &p->tok);
	advance(p);
}

static void
read_names(struct parser *p)
{
	do {
		if (!read_name(p, DDL_TARGET))
			return;
	} while (accept(p, ","));
}

/* The rest of a table definition: what it refers to. */
static void
read_references(struct parser *p)
{
	while (p->tok.kind != TOK_END) {
		if (accept(p, "REFERENCES"))
			read_name(p, DDL_REFERENCE);
		else
			advance(p);
	}
}

/* ---- statements ---- */

static void
create_table(struct parser *p)
{
	p->d->class = DDL_CLASS_CREATE_TABLE;
	if_exists(p);
	read_name(p, DDL_TARGET);
	if (accept(p, "LIKE") || accept2(p, "(", "LIKE")) {
		p->d->class = DDL_CLASS_CREATE_TABLE_LIKE;
		read_name(p, DDL_REFERENCE);
		return;
	}
	read_references(p);
}

/* Clauses are told apart by the commas outside of parentheses. */
static void
alter_table(struct parser *p)
{
	unsigned depth = 0;
	bool clause = true;

	p->d->class = DDL_CLASS_ALTER_TABLE;
	if_exists(p);
	read_name(p, DDL_TARGET);
	while (p->tok.kind != TOK_END) {
		if (depth == 0 && clause && accept(p, "RENAME")) {
			if (!is(p, "COLUMN") && !is(p, "INDEX") && !is(p, "KEY")) {
				if (!accept(p, "TO"))
					accept(p, "AS");
				read_name(p, DDL_RENAME_TO);
			}
			clause = false;
			continue;
		}
		if (accept(p, "REFERENCES")) {
			read_name(p, DDL_REFERENCE);
			continue;
		}
		clause = depth == 0 && is(p, ",");
		if (is(p, "("))
			depth++;
		else if (is(p, ")") && depth != 0)
			depth--;
		advance(p);
	}
}

static void
rename_table(struct parser *p)
{
	p->d->class = DDL_CLASS_RENAME_TABLE;
	if_exists(p);
	do {
		if (!read_name(p, DDL_TARGET))
			return;
		while (p->tok.kind != TOK_END && !is(p, "TO")) /* MariaDB: WAIT n, NOWAIT */
			advance(p);
		if (!accept(p, "TO") || !read_name(p, DDL_RENAME_TO))
			return;
	} while (accept(p, ","));
}

static void
index_on(struct parser *p, enum ddl_class class)
{
	p->d->class = class;
	while (p->tok.kind != TOK_END && !is(p, "ON"))
		advance(p);
	if (accept(p, "ON"))
		read_name(p, DDL_TARGET);
}

/* DEFINER = user@host, ALGORITHM = x, SQL SECURITY x, AGGREGATE, ...: up to the word that says what
 * it is. */
static enum ddl_class
routine_class(
	struct parser *p, enum ddl_class view, enum ddl_class function, enum ddl_class procedure)
{
	while (p->tok.kind != TOK_END) {
		if (accept(p, "VIEW"))
			return view;
		if (accept(p, "FUNCTION"))
			return function;
		if (accept(p, "PROCEDURE"))
			return procedure;
		if (accept(p, "TRIGGER"))
			return DDL_CLASS_TRIGGER;
		if (is(p, "EVENT") || is(p, "USER") || is(p, "ROLE") || is(p, "SEQUENCE") ||
			is(p, "SERVER") || is(p, "AS"))
			break;
		advance(p);
	}
	return DDL_CLASS_OTHER;
}

static void
named(struct parser *p, enum ddl_class class)
{
	p->d->class = class;
	if (class == DDL_CLASS_OTHER)
		return;
	if_exists(p);
	if (class == DDL_CLASS_DROP_VIEW)
		read_names(p);
	else
		read_name(p, DDL_TARGET);
}

static void
database(struct parser *p, enum ddl_class class)
{
	p->d->class = class;
	if_exists(p);
	read_database(p);
}

static void
parse_create(struct parser *p)
{
	p->d->or_replace = accept2(p, "OR", "REPLACE");
	p->d->temporary = accept(p, "TEMPORARY");
	if (accept(p, "TABLE"))
		create_table(p);
	else if (accept(p, "DATABASE") || accept(p, "SCHEMA"))
		database(p, DDL_CLASS_CREATE_DATABASE);
	else if (is(p, "INDEX") || is(p, "UNIQUE") || is(p, "FULLTEXT") || is(p, "SPATIAL") ||
		 is(p, "ONLINE") || is(p, "OFFLINE"))
		index_on(p, DDL_CLASS_CREATE_INDEX);
	else
		named(p, routine_class(p, DDL_CLASS_CREATE_VIEW, DDL_CLASS_CREATE_FUNCTION,
				 DDL_CLASS_CREATE_PROCEDURE));
}

static void
parse_alter(struct parser *p)
{
	while (accept(p, "ONLINE") || accept(p, "OFFLINE") || accept(p, "IGNORE"))
		;
	if (accept(p, "TABLE"))
		alter_table(p);
	else if (accept(p, "DATABASE") || accept(p, "SCHEMA"))
		database(p, DDL_CLASS_ALTER_DATABASE);
	else
		named(p, routine_class(p, DDL_CLASS_ALTER_VIEW, DDL_CLASS_OTHER, DDL_CLASS_OTHER));
}

static void
parse_drop(struct parser *p)
{
	p->d->temporary = accept(p, "TEMPORARY");
	while (accept(p, "ONLINE") || accept(p, "OFFLINE"))
		;
	if (accept(p, "TABLE") || accept(p, "TABLES")) {
		p->d->class = DDL_CLASS_DROP_TABLE;
		if_exists(p);
		read_names(p);
	} else if (accept(p, "DATABASE") || accept(p, "SCHEMA")) {
		database(p, DDL_CLASS_DROP_DATABASE);
	} else if (is(p, "INDEX")) {
		index_on(p, DDL_CLASS_DROP_INDEX);
	} else {
		named(p, routine_class(p, DDL_CLASS_DROP_VIEW, DDL_CLASS_DROP_FUNCTION,
				 DDL_CLASS_DROP_PROCEDURE));
	}
}

static void
parse_truncate(struct parser *p)
{
	p->d->class = DDL_CLASS_TRUNCATE_TABLE;
	accept(p, "TABLE");
	read_name(p, DDL_TARGET);
}

static const struct {
	const char *word;
	enum ddl_class class;
} words[] = {
	{"BEGIN", DDL_CLASS_BEGIN},
	{"START", DDL_CLASS_BEGIN},
	{"COMMIT", DDL_CLASS_COMMIT},
	{"SAVEPOINT", DDL_CLASS_SAVEPOINT},
	{"RELEASE", DDL_CLASS_SAVEPOINT},
	{"XA", DDL_CLASS_XA},
	{"INSERT", DDL_CLASS_DML},
	{"UPDATE", DDL_CLASS_DML},
	{"DELETE", DDL_CLASS_DML},
	{"REPLACE", DDL_CLASS_DML},
	{"LOAD", DDL_CLASS_DML},
};

static void
parse(struct parser *p)
{
	if (accept(p, "CREATE")) {
		parse_create(p);
	} else if (accept(p, "ALTER")) {
		parse_alter(p);
	} else if (accept(p, "DROP")) {
		parse_drop(p);
	} else if (accept(p, "TRUNCATE")) {
		parse_truncate(p);
	} else if (accept2(p, "RENAME", "TABLE") || accept2(p, "RENAME", "TABLES")) {
		rename_table(p);
	} else if (accept(p, "ROLLBACK")) {
		p->d->class = is(p, "TO") ? DDL_CLASS_SAVEPOINT : DDL_CLASS_ROLLBACK;
	} else {
		for (size_t i = 0; i < COUNT_OF(words); i++)
			if (is(p, words[i].word))
				p->d->class = words[i].class;
	}
}

void
ddl_parse(struct ddl *d, const char *sql, size_t len, bool ansi_quotes, bool no_backslash,
	const char *default_db)
{
	struct parser p = {.d = d, .db = default_db};

	*d = (struct ddl){.class = DDL_CLASS_OTHER, .sql = sql, .len = len};
	tokens_init(&p.t, sql, len, ansi_quotes, no_backslash);
	advance(&p);
	parse(&p);
}

void
ddl_release(struct ddl *d)
{
	for (uint32_t i = 0; i < d->nnames; i++) {
		free(d->names[i].db);
		free(d->names[i].name);
	}
	free(d->names);
	*d = (struct ddl){0};
}

static void
add_mapped(const struct ddl_name *n, const struct ddl_mapper *m, struct buf *out)
{
	if (n->name == NULL) {
		mysql_quote_name(out, m->map_db(m->arg, n->db, NULL));
		return;
	}
	if (n->db != NULL) {
		mysql_quote_name(out, m->map_db(m->arg, n->db, n->name));
		buf_putc(out, '.');
		mysql_quote_name(out, m->map_name(m->arg, n->db, n->name));
	} else {
		mysql_quote_name(out, n->name);
	}
}

void
ddl_rewrite(const struct ddl *d, const struct ddl_mapper *m, struct buf *out)
{
	size_t at = 0;

	for (uint32_t i = 0; i < d->nnames; i++) {
		buf_add(out, d->sql + at, d->names[i].start - at);
		add_mapped(&d->names[i], m, out);
		at = d->names[i].end;
	}
	buf_add(out, d->sql + at, d->len - at);
}
