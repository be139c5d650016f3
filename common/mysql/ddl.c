/* ddl.c - statements and the objects in their heads; see ddl.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "common/mysql/ddl_parser.h"

static const struct {
	const char *name;
	bool carried;
} classes[DDL_CLASS_COUNT] = {
#define X(symbol, name, carried) [DDL_CLASS_##symbol] = {name, carried},
	DDL_LIST(X)
#undef X
};

static const struct {
	const char *name;
	enum ddl_class class;
} verbs[DDL_VERB_COUNT] = {
#define X(symbol, class, name) [DDL_VERB_##symbol] = {name, DDL_CLASS_##class},
	DDL_VERB_LIST(X)
#undef X
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

const char *
ddl_verb_name(enum ddl_verb v)
{
	return v < DDL_VERB_COUNT ? verbs[v].name : "unknown";
}

/* ---- heads ---- */

static void
set_verb(struct parser *p, enum ddl_verb verb)
{
	p->d->verb = verb;
}

static void
if_exists(struct parser *p)
{
	bool negated;

	if (!parser_if_exists(p, &negated))
		return;
	if (negated)
		p->d->if_not_exists = true;
	else
		p->d->if_exists = true;
}

static void
names(struct parser *p, enum ddl_kind kind)
{
	do {
		if (parser_name(p, DDL_TARGET, kind) == NULL)
			return;
	} while (parser_accept(p, ","));
}

static void
skip_until(struct parser *p, const char *word)
{
	while (!parser_end(p) && !parser_is(p, word)) {
		if (parser_is(p, "("))
			parser_skip_parens(p);
		else
			parser_advance(p);
	}
}

/* ALTER DATABASE without a name means the default one. */
static bool
at_option(const struct parser *p)
{
	static const char *const options[] = {
		"DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "ENCRYPTION", "READ", "COMMENT"};

	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (parser_is(p, options[i]))
			return true;
	return false;
}

static void
database(struct parser *p, enum ddl_verb verb)
{
	struct ddl_name n = {.role = DDL_TARGET, .kind = DDL_DATABASE};

	set_verb(p, verb);
	if_exists(p);
	n.start = n.name_start = n.end = p->tok.start;
	if (verb == DDL_VERB_ALTER_DATABASE && at_option(p)) {
		if (p->db == NULL || *p->db == '\0')
			return;
		n.db = xstrdup(p->db);
	} else if (parser_at_name(p)) {
		n.end = p->tok.end;
		n.db = tok_name(&p->t, &p->tok);
	} else {
		return;
	}
	parser_add_name(p->d, &n);
}

static void
create_table(struct parser *p)
{
	struct parser saved;

	set_verb(p, DDL_VERB_CREATE_TABLE);
	if_exists(p);
	if (parser_name(p, DDL_TARGET, DDL_TABLE) == NULL)
		return;
	saved = *p;
	if (parser_accept(p, "LIKE") || parser_accept2(p, "(", "LIKE")) {
		set_verb(p, DDL_VERB_CREATE_TABLE_LIKE);
		parser_name(p, DDL_REFERENCE, DDL_TABLE);
		return;
	}
	*p = saved;
	parse_definition(p);
}

static void
alter_table(struct parser *p)
{
	set_verb(p, DDL_VERB_ALTER_TABLE);
	if_exists(p);
	if (parser_name(p, DDL_TARGET, DDL_TABLE) != NULL)
		parse_actions(p);
}

static void
rename_table(struct parser *p)
{
	set_verb(p, DDL_VERB_RENAME_TABLE);
	if_exists(p);
	do {
		if (parser_name(p, DDL_TARGET, DDL_TABLE) == NULL)
			return;
		skip_until(p, "TO"); /* MariaDB: WAIT n, NOWAIT */
		if (!parser_accept(p, "TO") || parser_name(p, DDL_RENAME_TO, DDL_TABLE) == NULL)
			return;
	} while (parser_accept(p, ","));
}

static void
view(struct parser *p, enum ddl_verb verb)
{
	set_verb(p, verb);
	if_exists(p);
	if (verb == DDL_VERB_DROP_VIEW) {
		names(p, DDL_VIEW);
		return;
	}
	if (parser_name(p, DDL_TARGET, DDL_VIEW) == NULL)
		return;
	skip_until(p, "AS");
	if (parser_accept(p, "AS"))
		parse_query(p);
}

static void
trigger(struct parser *p, enum ddl_verb verb)
{
	set_verb(p, verb);
	if_exists(p);
	if (parser_name(p, DDL_TARGET, DDL_TRIGGER) == NULL || verb != DDL_VERB_CREATE_TRIGGER)
		return;
	skip_until(p, "ON");
	if (parser_accept(p, "ON"))
		parser_name(p, DDL_REFERENCE, DDL_TABLE);
}

/* ---- CREATE, ALTER, DROP of what has a word before it ---- */

enum action { CREATE, ALTER, DROP, ACTIONS };

static const struct {
	const char *word;
	enum ddl_verb verb[ACTIONS];
	enum ddl_kind kind;
	bool unnamed; /* we do not look for a name */
} objects[] = {
	{"VIEW", {DDL_VERB_CREATE_VIEW, DDL_VERB_ALTER_VIEW, DDL_VERB_DROP_VIEW}, DDL_VIEW, false},
	{"FUNCTION", {DDL_VERB_CREATE_FUNCTION, DDL_VERB_ALTER_FUNCTION, DDL_VERB_DROP_FUNCTION},
		DDL_FUNCTION, false},
	{"PROCEDURE",
		{DDL_VERB_CREATE_PROCEDURE, DDL_VERB_ALTER_PROCEDURE, DDL_VERB_DROP_PROCEDURE},
		DDL_PROCEDURE, false},
	{"TRIGGER", {DDL_VERB_CREATE_TRIGGER, DDL_VERB_OTHER, DDL_VERB_DROP_TRIGGER}, DDL_TRIGGER,
		false},
	{"EVENT", {DDL_VERB_CREATE_EVENT, DDL_VERB_ALTER_EVENT, DDL_VERB_DROP_EVENT}, DDL_EVENT,
		false},
	{"SEQUENCE", {DDL_VERB_CREATE_SEQUENCE, DDL_VERB_ALTER_SEQUENCE, DDL_VERB_DROP_SEQUENCE},
		DDL_SEQUENCE, false},
	{"PACKAGE", {DDL_VERB_CREATE_PACKAGE, DDL_VERB_OTHER, DDL_VERB_DROP_PACKAGE}, DDL_PACKAGE,
		false},
	{"USER", {DDL_VERB_USER, DDL_VERB_USER, DDL_VERB_USER}, DDL_TABLE, true},
	{"ROLE", {DDL_VERB_USER, DDL_VERB_USER, DDL_VERB_USER}, DDL_TABLE, true},
	{"SERVER", {DDL_VERB_SERVER, DDL_VERB_SERVER, DDL_VERB_SERVER}, DDL_TABLE, true},
	{"TABLESPACE", {DDL_VERB_TABLESPACE, DDL_VERB_TABLESPACE, DDL_VERB_TABLESPACE}, DDL_TABLE,
		true},
	{"LOGFILE", {DDL_VERB_TABLESPACE, DDL_VERB_TABLESPACE, DDL_VERB_TABLESPACE}, DDL_TABLE,
		true},
};

/* DEFINER = user@host: the user may be any word, so it is passed over as a whole. */
static bool
skip_definer(struct parser *p)
{
	size_t start = p->tok.start;

	if (!parser_accept2(p, "DEFINER", "="))
		return false;
	parser_advance(p);
	if (parser_accept(p, "@"))
		parser_advance(p);
	else if (parser_is(p, "("))
		parser_skip_parens(p);
	p->d->definer = start;
	p->d->definer_end = p->last_end;
	return true;
}

static void
drop_or_alter_simple(struct parser *p, enum ddl_verb verb, enum ddl_kind kind)
{
	set_verb(p, verb);
	if (kind == DDL_PACKAGE)
		parser_accept(p, "BODY");
	if_exists(p);
	if (verb == DDL_VERB_DROP_SEQUENCE)
		names(p, kind);
	else
		parser_name(p, DDL_TARGET, kind);
}

/* ALGORITHM = x, SQL SECURITY x, AGGREGATE, UNDO, ...: up to the word that says what it is. */
static void
object(struct parser *p, enum action action)
{
	while (!parser_end(p) && !parser_is(p, "AS") && !parser_is(p, "(")) {
		if (skip_definer(p))
			continue;
		for (size_t i = 0; i < COUNT_OF(objects); i++) {
			enum ddl_verb verb = objects[i].verb[action];

			if (!parser_is(p, objects[i].word))
				continue;
			parser_advance(p);
			if (objects[i].unnamed)
				set_verb(p, verb);
			else if (objects[i].kind == DDL_VIEW)
				view(p, verb);
			else if (objects[i].kind == DDL_TRIGGER)
				trigger(p, verb);
			else
				drop_or_alter_simple(p, verb, objects[i].kind);
			return;
		}
		parser_advance(p);
	}
}

static void
skip_ways(struct parser *p)
{
	while (parser_accept(p, "ONLINE") || parser_accept(p, "OFFLINE") ||
		parser_accept(p, "IGNORE"))
		;
}

static void
parse_create(struct parser *p)
{
	static const char *const index[] = {
		"INDEX", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE"};

	p->d->or_replace = parser_accept2(p, "OR", "REPLACE");
	p->d->temporary = parser_accept(p, "TEMPORARY");
	if (parser_accept(p, "TABLE")) {
		create_table(p);
		return;
	}
	if (parser_accept(p, "DATABASE") || parser_accept(p, "SCHEMA")) {
		database(p, DDL_VERB_CREATE_DATABASE);
		return;
	}
	for (size_t i = 0; i < COUNT_OF(index); i++)
		if (parser_is(p, index[i]) && !parser_next_is(p, "REFERENCE")) {
			set_verb(p, DDL_VERB_CREATE_INDEX);
			parse_index(p);
			return;
		}
	object(p, CREATE);
}

static void
parse_alter(struct parser *p)
{
	skip_ways(p);
	if (parser_accept(p, "TABLE"))
		alter_table(p);
	else if (parser_accept(p, "DATABASE") || parser_accept(p, "SCHEMA"))
		database(p, DDL_VERB_ALTER_DATABASE);
	else
		object(p, ALTER);
}

static void
parse_drop(struct parser *p)
{
	p->d->temporary = parser_accept(p, "TEMPORARY");
	skip_ways(p);
	if (parser_accept(p, "TABLE") || parser_accept(p, "TABLES")) {
		set_verb(p, DDL_VERB_DROP_TABLE);
		if_exists(p);
		names(p, DDL_TABLE);
	} else if (parser_accept(p, "DATABASE") || parser_accept(p, "SCHEMA")) {
		database(p, DDL_VERB_DROP_DATABASE);
	} else if (parser_accept(p, "INDEX")) {
		set_verb(p, DDL_VERB_DROP_INDEX);
		parse_drop_index(p);
	} else if (parser_is(p, "PREPARE")) {
		return;
	} else {
		object(p, DROP);
	}
}

/* ---- the rest ---- */

static void
maintain(struct parser *p, enum ddl_verb verb)
{
	set_verb(p, verb);
	while (parser_accept(p, "LOCAL") || parser_accept(p, "NO_WRITE_TO_BINLOG"))
		;
	if (parser_accept(p, "TABLE") || parser_accept(p, "TABLES"))
		names(p, DDL_TABLE);
}

/*	first word	second, or NULL	verb */
static const struct {
	const char *word;
	const char *second;
	enum ddl_verb verb;
} words[] = {
	{"BEGIN", NULL, DDL_VERB_BEGIN},
	{"START", "TRANSACTION", DDL_VERB_BEGIN},
	{"COMMIT", NULL, DDL_VERB_COMMIT},
	{"SAVEPOINT", NULL, DDL_VERB_SAVEPOINT},
	{"RELEASE", NULL, DDL_VERB_RELEASE_SAVEPOINT},
	{"XA", "START", DDL_VERB_XA_START},
	{"XA", "BEGIN", DDL_VERB_XA_START},
	{"XA", "END", DDL_VERB_XA_END},
	{"XA", "PREPARE", DDL_VERB_XA_PREPARE},
	{"XA", "COMMIT", DDL_VERB_XA_COMMIT},
	{"XA", "ROLLBACK", DDL_VERB_XA_ROLLBACK},
	{"XA", NULL, DDL_VERB_XA_RECOVER},
	{"RENAME", "USER", DDL_VERB_USER},
	{"GRANT", NULL, DDL_VERB_GRANT},
	{"REVOKE", NULL, DDL_VERB_REVOKE},
	{"SET", "PASSWORD", DDL_VERB_USER},
	{"SET", "DEFAULT", DDL_VERB_USER},
	{"SET", NULL, DDL_VERB_SET},
	{"FLUSH", NULL, DDL_VERB_FLUSH},
	{"INSERT", NULL, DDL_VERB_INSERT},
	{"UPDATE", NULL, DDL_VERB_UPDATE},
	{"DELETE", NULL, DDL_VERB_DELETE},
	{"REPLACE", NULL, DDL_VERB_REPLACE},
	{"LOAD", NULL, DDL_VERB_LOAD},
};

/*
 * ROLLBACK [WORK] TO x is a savepoint's; ROLLBACK itself may come with WORK,
 * AND CHAIN and the like.
 */
static void
rollback(struct parser *p)
{
	parser_accept(p, "WORK");
	set_verb(p, parser_is(p, "TO") ? DDL_VERB_ROLLBACK_TO : DDL_VERB_ROLLBACK);
}

static void
parse_plain(struct parser *p)
{
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (parser_is(p, words[i].word) &&
			(words[i].second == NULL || parser_next_is(p, words[i].second))) {
			set_verb(p, words[i].verb);
			return;
		}
}

static void
parse(struct parser *p)
{
	if (parser_accept2(p, "SET", "STATEMENT")) { /* MariaDB: SET STATEMENT x = 1 FOR .. */
		skip_until(p, "FOR");
		parser_accept(p, "FOR");
	}
	if (parser_accept(p, "CREATE")) {
		parse_create(p);
	} else if (parser_accept(p, "ALTER")) {
		parse_alter(p);
	} else if (parser_accept(p, "DROP")) {
		parse_drop(p);
	} else if (parser_accept(p, "TRUNCATE")) {
		set_verb(p, DDL_VERB_TRUNCATE_TABLE);
		parser_accept(p, "TABLE");
		parser_name(p, DDL_TARGET, DDL_TABLE);
	} else if (parser_accept2(p, "RENAME", "TABLE") || parser_accept2(p, "RENAME", "TABLES")) {
		rename_table(p);
	} else if (parser_accept(p, "ROLLBACK")) {
		rollback(p);
	} else if (parser_accept(p, "ANALYZE")) {
		maintain(p, DDL_VERB_ANALYZE);
	} else if (parser_accept(p, "OPTIMIZE")) {
		maintain(p, DDL_VERB_OPTIMIZE);
	} else if (parser_accept(p, "REPAIR")) {
		maintain(p, DDL_VERB_REPAIR);
	} else if (parser_accept(p, "CHECK")) {
		maintain(p, DDL_VERB_CHECK);
	} else {
		parse_plain(p);
	}
}

void
ddl_parse_text(struct ddl *d, const struct ddl_text *text)
{
	struct parser p = {.d = d, .db = text->default_db};

	*d = (struct ddl){.sql = text->sql,
		.len = text->len,
		.verb = DDL_VERB_OTHER,
		.real_as_float = (text->sql_mode & DDL_MODE_REAL_AS_FLOAT) != 0};
	tokens_init(&p.t, text->sql, text->len, (text->sql_mode & DDL_MODE_ANSI_QUOTES) != 0,
		(text->sql_mode & DDL_MODE_NO_BACKSLASH) != 0);
	tokens_charset(&p.t, text->charset);
	d->text = p.t;
	parser_advance(&p);
	parse(&p);
	d->class = verbs[d->verb].class;
	d->conditional = p.t.conditional;
}

void
ddl_parse(struct ddl *d, const char *sql, size_t len, bool ansi_quotes, bool no_backslash,
	const char *default_db)
{
	struct ddl_text text = {.sql = sql,
		.len = len,
		.sql_mode = (ansi_quotes ? DDL_MODE_ANSI_QUOTES : 0) |
			    (no_backslash ? DDL_MODE_NO_BACKSLASH : 0),
		.default_db = default_db};

	ddl_parse_text(d, &text);
}

void
ddl_release(struct ddl *d)
{
	for (uint32_t i = 0; i < d->nnames; i++) {
		free(d->names[i].db);
		free(d->names[i].name);
	}
	for (uint32_t i = 0; i < d->ncolumns; i++)
		free(d->columns[i].name);
	free(d->names);
	free(d->clauses);
	free(d->columns);
	*d = (struct ddl){0};
}
