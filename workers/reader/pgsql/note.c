/* note.c - the lines that the source notes, taken apart; see note.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/pgsql/note.h"

#define FIELDS_MAX 16

struct line {
	char kind;
	char *fields[FIELDS_MAX]; /* NULL: NULL */
	int n;
};

/* ---- lines ---- */

static char
unescaped(char c)
{
	return (char)(c == 't' ? '\t' : c == 'n' ? '\n' : c);
}

/* Unescaped where it lies. */
static char *
take_field(char *p, bool *null)
{
	char *to = p, *from = p;

	*null = strcmp(p, "\\N") == 0;
	while (*from != '\0') {
		if (*from == '\\' && from[1] != '\0')
			*to++ = unescaped(*++from);
		else
			*to++ = *from;
		from++;
	}
	*to = '\0';
	return p;
}

static bool
take_line(char *text, struct line *l)
{
	char *p = strchr(text, '\t');

	*l = (struct line){.kind = *text};
	if (*text == '\0' || p != text + 1)
		return false;
	while (p != NULL) {
		char *field = p + 1;
		bool null;

		p = strchr(field, '\t');
		if (p != NULL)
			*p = '\0';
		if (l->n == FIELDS_MAX)
			return false;
		field = take_field(field, &null);
		l->fields[l->n++] = null ? NULL : field;
	}
	return true;
}

/* ---- changes ---- */

static const struct {
	char letter;
	enum note_kind kind;
	int fields;
	int again; /* the field that says so; 0: none */
} heads[] = {
	{'D', NOTE_DROPPED, 2, 0},
	{'R', NOTE_RENAMED, 5, 4},
	{'C', NOTE_CREATED, 3, 2},
	{'A', NOTE_CHANGED, 3, 2},
	{'K', NOTE_UNKEYED, 2, 0},
	{'E', NOTE_TRUNCATED, 2, 0},
	{'G', NOTE_GONE, 2, 0},
	{'P', NOTE_UNPUBLISHED, 3, 0},
	{'S', NOTE_SAID, 5, 0},
	{'T', NOTE_TRIGGER, 5, 0},
};

static const char part_letters[] = {
	[PGSQL_COLUMNS] = 'c', [PGSQL_INDEXES] = 'i', [PGSQL_FKS] = 'f'};

/* The rows of a change's table, gathered until it is whole. */
struct parts {
	PGresult *rows[PGSQL_PARTS];
};

static void
parts_release(struct parts *p)
{
	for (unsigned i = 0; i < PGSQL_PARTS; i++) {
		PQclear(p->rows[i]);
		p->rows[i] = NULL;
	}
}

static bool
is_true(const char *field)
{
	return field != NULL && *field == 't';
}

static bool
is_said(const struct noted *c)
{
	return c->kind == NOTE_SAID || c->kind == NOTE_TRIGGER;
}

static bool
add_head(struct note *n, const struct line *l)
{
	struct noted *c;
	size_t i = 0;

	while (i < COUNT_OF(heads) && heads[i].letter != l->kind)
		i++;
	if (i == COUNT_OF(heads) || l->n != heads[i].fields)
		return false;
	for (int k = 0; k < l->n; k++)
		if (l->fields[k] == NULL)
			return false;
	n->changes = xreallocarray(n->changes, (size_t)n->n + 1, sizeof *n->changes);
	c = &n->changes[n->n++];
	*c = (struct noted){.kind = heads[i].kind,
		.db = xstrdup(l->fields[0]),
		.name = xstrdup(l->fields[1]),
		.again = heads[i].again != 0 && is_true(l->fields[heads[i].again])};
	if (c->kind == NOTE_RENAMED) {
		c->to_db = xstrdup(l->fields[2]);
		c->to_name = xstrdup(l->fields[3]);
	}
	if (c->kind == NOTE_UNPUBLISHED)
		c->publication = xstrdup(l->fields[2]);
	if (is_said(c)) {
		c->to_db = xstrdup(l->fields[2]);
		c->ahead = is_true(l->fields[3]);
		c->sql = xstrdup(l->fields[4]);
	}
	return true;
}

static bool
add_part(struct parts *p, unsigned part, const struct line *l)
{
	PGresult **res = &p->rows[part];
	int row;

	if (l->n != pgsql_part_fields(part))
		return false;
	if (*res == NULL) {
		PGresAttDesc attributes[FIELDS_MAX];

		memset(attributes, 0, sizeof attributes);
		for (int k = 0; k < l->n; k++)
			attributes[k].name = "";
		*res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
		if (*res == NULL || PQsetResultAttrs(*res, l->n, attributes) == 0)
			return false;
	}
	row = PQntuples(*res);
	for (int k = 0; k < l->n; k++)
		if (PQsetvalue(*res, row, k, l->fields[k],
			    l->fields[k] != NULL ? (int)strlen(l->fields[k]) : -1) == 0)
			return false;
	return true;
}

static bool
add_fill(struct noted *c, const struct line *l)
{
	if (l->n != 3 || l->fields[0] == NULL || l->fields[2] == NULL)
		return false;
	c->fills = xreallocarray(c->fills, (size_t)c->nfills + 1, sizeof *c->fills);
	c->fills[c->nfills++] = (struct column_change){.from = xstrdup(""),
		.to = xstrdup(l->fields[0]),
		.fill = l->fields[1] != NULL ? xstrdup(l->fields[1]) : NULL,
		.computed = is_true(l->fields[2])};
	return true;
}

static bool
add_words(struct noted *c, const struct line *l)
{
	if (l->n != 1 || l->fields[0] == NULL || c->sql != NULL)
		return false;
	c->sql = xstrdup(l->fields[0]);
	return true;
}

static void
make_table(struct noted *c, const struct parts *p)
{
	bool renamed = c->kind == NOTE_RENAMED;
	struct table_list list = {0};

	if (c->kind != NOTE_RENAMED && c->kind != NOTE_CREATED && c->kind != NOTE_CHANGED &&
		c->kind != NOTE_GONE)
		return;
	table_list_add(
		&list, table_new(renamed ? c->to_db : c->db, renamed ? c->to_name : c->name));
	for (unsigned i = 0; i < PGSQL_PARTS; i++)
		if (p->rows[i] != NULL)
			pgsql_part_take(i, p->rows[i], &list);
	c->table = list.tables[0];
	list.tables[0] = NULL;
	table_list_release(&list);
}

static bool
add_line(struct note *n, struct parts *p, const struct line *l)
{
	if (n->n != 0) {
		const char *at = memchr(part_letters, l->kind, sizeof part_letters);

		if (at != NULL)
			return add_part(p, (unsigned)(at - part_letters), l);
		if (l->kind == 'n')
			return add_fill(&n->changes[n->n - 1], l);
		if (l->kind == 'w')
			return add_words(&n->changes[n->n - 1], l);
		make_table(&n->changes[n->n - 1], p);
	}
	parts_release(p);
	return add_head(n, l);
}

enum rc
note_parse(const char *text, size_t len, struct note *out, struct err *e)
{
	char *copy = xstrndup(text, len), *p = copy;
	struct parts parts = {0};
	bool good = true;

	*out = (struct note){0};
	while (good && *p != '\0') {
		char *end = strchr(p, '\n');
		struct line l;

		good = end != NULL;
		if (!good)
			break;
		*end = '\0';
		good = take_line(p, &l) && add_line(out, &parts, &l);
		p = end + 1;
	}
	if (good && out->n != 0)
		make_table(&out->changes[out->n - 1], &parts);
	parts_release(&parts);
	free(copy);
	return good ? RC_OK
		    : err_set(e, RC_DATA,
			      "the source's note of a statement has a line that this program does "
			      "not know");
}

void
note_release(struct note *n)
{
	for (uint32_t i = 0; i < n->n; i++) {
		struct noted *c = &n->changes[i];

		free(c->db);
		free(c->name);
		free(c->to_db);
		free(c->to_name);
		free(c->publication);
		free(c->sql);
		table_free(c->table);
		for (uint32_t k = 0; k < c->nfills; k++) {
			free((char *)c->fills[k].from);
			free((char *)c->fills[k].to);
			free((char *)c->fills[k].fill);
		}
		free(c->fills);
	}
	free(n->changes);
	*n = (struct note){0};
}
