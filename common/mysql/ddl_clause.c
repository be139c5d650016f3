/* ddl_clause.c - clauses of table definitions: what they are, which columns they name. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "common/mysql/ddl_parser.h"

static uint32_t
open_clause(struct parser *p, enum ddl_clause_kind kind, uint32_t list)
{
	struct ddl *d = p->d;

	grow(&d->clauses, &d->clauses_cap, (size_t)d->nclauses + 1, sizeof *d->clauses);
	d->clauses[d->nclauses] = (struct ddl_clause){.kind = kind,
		.list = list,
		.start = p->tok.start,
		.turns = p->t.turns,
		.column = d->ncolumns};
	return d->nclauses++;
}

static void
close_clause(struct parser *p, uint32_t clause)
{
	struct ddl_clause *c = &p->d->clauses[clause];

	c->end = p->last_end > c->start ? p->last_end : c->start;
	c->end_turns = p->last_turns;
	c->ncolumns = p->d->ncolumns - c->column;
}

/* The current token names a column of names[table]. */
static struct ddl_column *
add_column(struct parser *p, enum ddl_column_role role, uint32_t table)
{
	struct ddl *d = p->d;

	grow(&d->columns, &d->columns_cap, (size_t)d->ncolumns + 1, sizeof *d->columns);
	d->columns[d->ncolumns] = (struct ddl_column){.role = role,
		.name = tok_name(&p->t, &p->tok),
		.start = p->tok.start,
		.end = p->tok.end,
		.from = p->tok.start,
		.to = p->tok.end,
		.table = table};
	return &d->columns[d->ncolumns++];
}

static bool
column(struct parser *p, enum ddl_column_role role)
{
	if (!parser_at_name(p))
		return false;
	add_column(p, role, 0);
	parser_advance(p);
	return true;
}

/* ---- expressions ---- */

/* `t`.a and `db`.t.a, where t is the table itself, must follow its new name. */
static void
qualifier(struct parser *p, const struct tok *parts, unsigned n)
{
	const struct ddl_name *target = &p->d->names[0];
	char *table = tok_name(&p->t, &parts[n - 2]);

	if (strcmp(table, target->name) == 0)
		parser_qualifier(p, n == 3 ? &parts[0] : NULL, &parts[n - 2]);
	free(table);
}

/* A word in an expression may be a column. */
static void
mention(struct parser *p)
{
	struct tok parts[3], next;
	struct ddl_column *c;
	bool quoted = p->tok.kind == TOK_NAME;
	unsigned n = parser_chain(p, parts);

	next = p->tok;
	if (parser_is(p, "(") || parts[n - 1].kind == TOK_NUMBER ||
		(!quoted && n == 1 && next.kind == TOK_STRING && next.start == parts[0].end))
		return; /* a function, a number, _utf8'text' */
	if (n > 1)
		qualifier(p, parts, n);
	p->tok = parts[n - 1];
	c = add_column(p, COLUMN_MENTIONED, 0);
	c->from = parts[0].start;
	p->tok = next;
}

/* At "(": all that its expression mentions; to behind the partner of it. */
static void
mentions_in_parens(struct parser *p)
{
	size_t depth = 0;
	bool variable = false, literal = false;

	do {
		enum tok_kind kind = p->tok.kind;

		if (parser_is(p, "("))
			depth++;
		else if (parser_is(p, ")"))
			depth--;
		/* @name is a variable; a word behind a literal is a unit, a charset, an operator */
		if (depth != 0 && !variable &&
			(kind == TOK_NAME || (kind == TOK_WORD && !literal))) {
			mention(p);
			literal = false;
			continue;
		}
		variable = parser_is(p, "@");
		literal = kind == TOK_NUMBER || kind == TOK_STRING;
		parser_advance(p);
	} while (depth != 0 && !parser_end(p));
}

/* ---- lists of columns ---- */

static bool
at_list_end(const struct parser *p)
{
	return parser_end(p) || parser_is(p, ",") || parser_is(p, ")");
}

/* At "(": name [(prefix)] [ASC | DESC], or (expression), ... */
static void
columns(struct parser *p, enum ddl_column_role role, uint32_t table)
{
	if (!parser_accept(p, "("))
		return;
	while (!parser_end(p) && !parser_is(p, ")")) {
		uint32_t mine = UINT32_MAX;
		size_t from = p->tok.start;

		if (parser_at_name(p) && !parser_next_is(p, ".")) {
			mine = p->d->ncolumns;
			add_column(p, role, table);
			parser_advance(p);
		}
		while (!at_list_end(p)) {
			if (!parser_is(p, "("))
				parser_advance(p);
			else if (mine == UINT32_MAX)
				mentions_in_parens(p);
			else
				parser_skip_parens(p);
		}
		if (mine != UINT32_MAX) {
			p->d->columns[mine].from = from;
			p->d->columns[mine].to = p->last_end;
		}
		if (!parser_accept(p, ","))
			break;
	}
	parser_accept(p, ")");
}

static void
references(struct parser *p)
{
	uint32_t table = p->d->nnames;

	if (parser_name(p, DDL_REFERENCE, DDL_TABLE) != NULL && parser_is(p, "("))
		columns(p, COLUMN_PARENT, table);
}

static void
after(struct parser *p)
{
	size_t from = p->tok.start;

	parser_advance(p);
	if (!parser_at_name(p))
		return;
	add_column(p, COLUMN_AFTER, 0)->from = from;
	parser_advance(p);
}

/* The rest of a clause, up to the comma or parenthesis that ends it. */
static void
rest(struct parser *p)
{
	while (!at_list_end(p)) {
		if (parser_is(p, "("))
			mentions_in_parens(p);
		else if (parser_accept(p, "REFERENCES"))
			references(p);
		else if (parser_is(p, "AFTER"))
			after(p);
		else
			parser_advance(p);
	}
}

static void
rest_plain(struct parser *p)
{
	while (!at_list_end(p)) {
		if (parser_is(p, "("))
			parser_skip_parens(p);
		else
			parser_advance(p);
	}
}

/* ---- what is defined ---- */

/* Behind the words that say what it is: [name] [USING x] (columns) ... */
static void
key_columns(struct parser *p, enum ddl_column_role role)
{
	while (!at_list_end(p) && !parser_is(p, "("))
		parser_advance(p);
	columns(p, role, 0);
	rest(p);
}

static bool
at_key(const struct parser *p)
{
	return parser_is(p, "INDEX") || parser_is(p, "KEY") || parser_is(p, "UNIQUE") ||
	       parser_is(p, "FULLTEXT") || parser_is(p, "SPATIAL") || parser_is(p, "PRIMARY") ||
	       (parser_is(p, "VECTOR") && (parser_next_is(p, "INDEX") || parser_next_is(p, "KEY")));
}

/* An index, key or constraint; false if none begins here. */
static bool
constraint(struct parser *p, uint32_t clause)
{
	struct ddl_clause *c = &p->d->clauses[clause];

	if (parser_accept(p, "CONSTRAINT") && !parser_is(p, "PRIMARY") && !parser_is(p, "UNIQUE") &&
		!parser_is(p, "FOREIGN") && !parser_is(p, "CHECK"))
		parser_advance(p);
	if (at_key(p)) {
		c->kind = CLAUSE_KEY;
		c->primary = parser_is(p, "PRIMARY");
		c->unique = c->primary || parser_is(p, "UNIQUE");
		key_columns(p, COLUMN_KEY);
	} else if (parser_is(p, "FOREIGN")) {
		c->kind = CLAUSE_FOREIGN_KEY;
		key_columns(p, COLUMN_CHILD);
	} else if (parser_is(p, "CHECK")) {
		c->kind = CLAUSE_CHECK;
		rest(p);
	} else if (parser_is(p, "PERIOD") && parser_next_is(p, "FOR")) {
		c->kind = CLAUSE_PERIOD;
		key_columns(p, COLUMN_KEY);
	} else {
		return false;
	}
	return true;
}

static void
column_definition(struct parser *p, enum ddl_column_role role)
{
	if (column(p, role))
		rest(p);
	else
		rest_plain(p);
}

static void
element(struct parser *p, uint32_t list)
{
	uint32_t clause = open_clause(p, CLAUSE_COLUMN, list);

	if (!constraint(p, clause))
		column_definition(p, COLUMN_DEFINED);
	close_clause(p, clause);
}

/* Behind "(". */
static void
elements(struct parser *p, uint32_t list)
{
	do
		element(p, list);
	while (parser_accept(p, ","));
	while (!parser_end(p) && !parser_is(p, ")"))
		parser_advance(p);
	parser_accept(p, ")");
}

/* ---- table options ---- */

static bool
at_partition_by(const struct parser *p)
{
	return parser_is(p, "PARTITION") && parser_next_is(p, "BY");
}

/* At PARTITION BY: the columns that decide are in the first parentheses, and behind SUBPARTITION
 * BY. */
static void
partition(struct parser *p)
{
	uint32_t clause = open_clause(p, CLAUSE_PARTITION, 0);
	bool deciding = true;

	while (!parser_end(p)) {
		if (parser_is(p, "(") && deciding) {
			mentions_in_parens(p);
			deciding = false;
		} else if (parser_is(p, "(")) {
			parser_skip_parens(p);
		} else if (parser_is(p, "SELECT") || parser_is(p, "AS")) {
			break;
		} else {
			deciding = deciding || parser_is(p, "SUBPARTITION");
			parser_advance(p);
		}
	}
	close_clause(p, clause);
}

/* MERGE tables: UNION = (a, b). */
static void
union_tables(struct parser *p)
{
	parser_advance(p);
	parser_accept(p, "=");
	if (!parser_accept(p, "("))
		return;
	while (parser_name(p, DDL_REFERENCE, DDL_TABLE) != NULL && parser_accept(p, ","))
		;
	parser_accept(p, ")");
}

static bool
at_query(const struct parser *p)
{
	return parser_is(p, "SELECT") || parser_is(p, "VALUES") || parser_is(p, "TABLE") ||
	       (parser_is(p, "WITH") && !parser_next_is(p, "SYSTEM")) ||
	       (parser_is(p, "(") && (parser_next_is(p, "SELECT") || parser_next_is(p, "(") ||
					     parser_next_is(p, "WITH"))) ||
	       parser_is(p, "AS");
}

/* What stands behind the list of columns, or instead of one. */
static void
options(struct parser *p)
{
	uint32_t clause = open_clause(p, CLAUSE_OPTIONS, 0);

	while (!parser_end(p) && !at_partition_by(p) && !at_query(p)) {
		if (parser_is(p, "UNION"))
			union_tables(p);
		else if (parser_is(p, "("))
			parser_skip_parens(p);
		else
			parser_advance(p);
	}
	close_clause(p, clause);
}

void
parse_definition(struct parser *p)
{
	if (parser_is(p, "(") && !at_query(p)) {
		parser_advance(p);
		elements(p, 0);
	}
	options(p);
	if (at_partition_by(p))
		partition(p);
	if (!at_query(p))
		return;
	p->d->verb = DDL_VERB_CREATE_TABLE_SELECT;
	parser_accept(p, "AS");
	parse_query(p);
}

/* ---- ALTER TABLE ---- */

static void
skip_if_exists(struct parser *p)
{
	bool negated;

	parser_if_exists(p, &negated);
}

static void
set_kind(struct parser *p, uint32_t clause, enum ddl_clause_kind kind)
{
	p->d->clauses[clause].kind = kind;
}

static void
add(struct parser *p, uint32_t clause)
{
	if (parser_is(p, "PARTITION") ||
		(parser_is(p, "SYSTEM") && parser_next_is(p, "VERSIONING"))) {
		set_kind(p, clause, parser_is(p, "PARTITION") ? CLAUSE_MINOR : CLAUSE_OTHER);
		rest_plain(p);
		return;
	}
	if (constraint(p, clause))
		return;
	parser_accept(p, "COLUMN");
	skip_if_exists(p);
	if (parser_accept(p, "(")) {
		set_kind(p, clause, CLAUSE_ADD_LIST);
		elements(p, clause + 1);
		rest_plain(p);
	} else {
		set_kind(p, clause, CLAUSE_COLUMN);
		column_definition(p, COLUMN_DEFINED);
	}
}

static void
drop(struct parser *p, uint32_t clause)
{
	static const struct {
		const char *word;
		enum ddl_clause_kind kind;
	} kinds[] = {
		{"PRIMARY", CLAUSE_DROP_PRIMARY},
		{"INDEX", CLAUSE_DROP_KEY},
		{"KEY", CLAUSE_DROP_KEY},
		{"FOREIGN", CLAUSE_DROP_FOREIGN_KEY},
		{"CONSTRAINT", CLAUSE_DROP_CONSTRAINT},
		{"CHECK", CLAUSE_MINOR},
		{"PARTITION", CLAUSE_MINOR},
	};

	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (parser_is(p, kinds[i].word)) {
			set_kind(p, clause, kinds[i].kind);
			rest_plain(p);
			return;
		}
	if ((parser_is(p, "SYSTEM") && parser_next_is(p, "VERSIONING")) ||
		(parser_is(p, "PERIOD") && parser_next_is(p, "FOR"))) {
		rest_plain(p);
		return;
	}
	set_kind(p, clause, CLAUSE_DROP_COLUMN);
	parser_accept(p, "COLUMN");
	skip_if_exists(p);
	column(p, COLUMN_OLD);
	rest_plain(p);
}

static void
modify(struct parser *p, uint32_t clause)
{
	set_kind(p, clause, CLAUSE_MODIFY);
	parser_accept(p, "COLUMN");
	skip_if_exists(p);
	column_definition(p, COLUMN_OLD);
}

static void
change(struct parser *p, uint32_t clause)
{
	set_kind(p, clause, CLAUSE_CHANGE);
	parser_accept(p, "COLUMN");
	skip_if_exists(p);
	column(p, COLUMN_OLD);
	column_definition(p, COLUMN_DEFINED);
}

static void
alter(struct parser *p, uint32_t clause)
{
	if (parser_is(p, "INDEX") || parser_is(p, "KEY") || parser_is(p, "CHECK") ||
		parser_is(p, "CONSTRAINT")) {
		set_kind(p, clause, CLAUSE_MINOR);
		rest_plain(p);
		return;
	}
	set_kind(p, clause, CLAUSE_ALTER_COLUMN);
	parser_accept(p, "COLUMN");
	skip_if_exists(p);
	column_definition(p, COLUMN_OLD);
}

/* The reader wants it right behind the table's own name: see DDL_RENAME_TO. */
static void
rename_table(struct parser *p)
{
	struct ddl_name to, *n;

	if (!parser_accept(p, "TO") && !parser_accept(p, "AS"))
		parser_accept(p, "=");
	n = parser_name(p, DDL_RENAME_TO, DDL_TABLE);
	if (n == NULL || p->d->names[1].role == DDL_RENAME_TO)
		return;
	to = *n;
	memmove(&p->d->names[2], &p->d->names[1], (p->d->nnames - 2) * sizeof to);
	p->d->names[1] = to;
	for (uint32_t i = 0; i < p->d->ncolumns; i++)
		if (p->d->columns[i].table != 0)
			p->d->columns[i].table++;
}

static void
rename(struct parser *p, uint32_t clause)
{
	if (parser_accept(p, "COLUMN")) {
		set_kind(p, clause, CLAUSE_RENAME_COLUMN);
		skip_if_exists(p);
		column(p, COLUMN_OLD);
		parser_accept(p, "TO");
		column(p, COLUMN_DEFINED);
	} else if (parser_is(p, "INDEX") || parser_is(p, "KEY")) {
		set_kind(p, clause, CLAUSE_RENAME_KEY);
	} else {
		set_kind(p, clause, CLAUSE_RENAME_TABLE);
		rename_table(p);
	}
	rest_plain(p);
}

/* Words at the head of clauses that change no column, no key and no option. */
static bool
at_minor(const struct parser *p)
{
	static const char *const words[] = {"ALGORITHM", "LOCK", "FORCE", "ENABLE", "DISABLE",
		"ORDER", "WITH", "WITHOUT", "WAIT", "NOWAIT", "IMPORT", "DISCARD", "ANALYZE",
		"OPTIMIZE", "CHECK", "REPAIR", "REBUILD", "SECONDARY_LOAD", "SECONDARY_UNLOAD"};

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (parser_is(p, words[i]))
			return true;
	return false;
}

static const struct {
	const char *word;
	void (*parse_cb)(struct parser *p, uint32_t clause);
} actions[] = {
	{"ADD", add},
	{"DROP", drop},
	{"MODIFY", modify},
	{"CHANGE", change},
	{"ALTER", alter},
	{"RENAME", rename},
};

/* ENGINE = x, COMMENT = 'x', ..., several of them without commas between; up to PARTITION BY. */
static void
option_clause(struct parser *p, uint32_t clause)
{
	static const char *const partition_words[] = {
		"REMOVE", "COALESCE", "REORGANIZE", "TRUNCATE", "EXCHANGE", "PARTITION", "CONVERT"};

	set_kind(p, clause, CLAUSE_OPTIONS);
	for (size_t i = 0; i < COUNT_OF(partition_words); i++)
		if (parser_is(p, partition_words[i]))
			set_kind(p, clause, parser_is(p, "CONVERT") ? CLAUSE_OTHER : CLAUSE_MINOR);
	if (parser_accept2(p, "CONVERT", "TO"))
		set_kind(p, clause, CLAUSE_CONVERT);
	while (!at_list_end(p) && !at_partition_by(p)) {
		if (parser_accept2(p, "WITH", "TABLE") || parser_accept2(p, "TABLE", "IF"))
			parser_name(p, DDL_REFERENCE, DDL_TABLE); /* EXCHANGE PARTITION */
		else if (parser_is(p, "UNION"))
			union_tables(p);
		else if (parser_is(p, "("))
			parser_skip_parens(p);
		else
			parser_advance(p);
	}
}

static void
action(struct parser *p)
{
	uint32_t clause = open_clause(p, CLAUSE_OTHER, 0);

	for (size_t i = 0; i < COUNT_OF(actions); i++)
		if (parser_accept(p, actions[i].word)) {
			actions[i].parse_cb(p, clause);
			close_clause(p, clause);
			return;
		}
	if (at_minor(p)) {
		set_kind(p, clause, CLAUSE_MINOR);
		rest_plain(p);
	} else {
		option_clause(p, clause);
	}
	close_clause(p, clause);
}

void
parse_actions(struct parser *p)
{
	while (!parser_end(p)) {
		if (at_partition_by(p)) {
			partition(p);
			continue;
		}
		action(p);
		if (parser_is(p, ")")) /* nothing that we know */
			parser_advance(p);
		parser_accept(p, ",");
	}
}

/* ---- CREATE INDEX, DROP INDEX ---- */

static void
skip_to_on(struct parser *p)
{
	while (!parser_end(p) && !parser_is(p, "ON"))
		parser_advance(p);
	parser_accept(p, "ON");
}

void
parse_index(struct parser *p)
{
	uint32_t clause = open_clause(p, CLAUSE_KEY, 0);
	struct parser head = *p;
	bool negated;

	while (parser_accept(&head, "ONLINE") || parser_accept(&head, "OFFLINE"))
		;
	p->d->clauses[clause].unique = parser_is(&head, "UNIQUE");
	while (!parser_end(&head) && !parser_accept(&head, "INDEX"))
		parser_advance(&head);
	if (parser_if_exists(&head, &negated) && negated)
		p->d->if_not_exists = true;
	skip_to_on(p);
	if (parser_name(p, DDL_TARGET, DDL_TABLE) == NULL)
		return;
	key_columns(p, COLUMN_KEY);
	close_clause(p, clause);
}

void
parse_drop_index(struct parser *p)
{
	uint32_t clause = open_clause(p, CLAUSE_DROP_KEY, 0);
	struct parser head = *p;
	bool negated;

	if (parser_if_exists(&head, &negated) && !negated)
		p->d->if_exists = true;
	skip_to_on(p);
	close_clause(p, clause);
	parser_name(p, DDL_TARGET, DDL_TABLE);
}
