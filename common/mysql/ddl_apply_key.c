/* ddl_apply_key.c - see ddl_apply_key.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/ddl_apply_key.h"

#define SPATIAL_PREFIX 32u /* what the catalog says of them */

/* ---- names ---- */

static uint32_t
find_index(const struct table *t, const char *name)
{
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (strcasecmp(t->indexes[i].name, name) == 0)
			return i;
	return UINT32_MAX;
}

static uint32_t
find_fk(const struct table *t, const char *name)
{
	for (uint32_t i = 0; i < t->nfks; i++)
		if (strcasecmp(t->fks[i].name, name) == 0)
			return i;
	return UINT32_MAX;
}

/* An index without a name has that of its first column, or with _2, _3, .. behind. */
static char *
free_name(const struct table *t, const char *base)
{
	char *name = xstrdup(base);

	for (unsigned n = 2; strcasecmp(name, "PRIMARY") == 0 || find_index(t, name) != UINT32_MAX;
		n++) {
		free(name);
		name = xasprintf("%s_%u", base, n);
	}
	return name;
}

void
ddl_drop_index(struct table *t, uint32_t i)
{
	free(t->indexes[i].name);
	free(t->indexes[i].parts);
	t->nindexes--;
	memmove(&t->indexes[i], &t->indexes[i + 1], (t->nindexes - i) * sizeof *t->indexes);
}

static void
drop_fk(struct table *t, uint32_t i)
{
	struct foreign_key *fk = &t->fks[i];

	for (uint32_t k = 0; k < fk->ncolumns; k++)
		free(fk->ref_columns[k]);
	free(fk->ref_columns);
	free(fk->columns);
	free(fk->ref_db);
	free(fk->ref_table);
	free(fk->name);
	t->nfks--;
	memmove(fk, fk + 1, (t->nfks - i) * sizeof *t->fks);
}

/* ---- indexes of foreign keys ---- */

static bool
begins_with(const struct index *ix, const struct foreign_key *fk)
{
	if (ix->nparts < fk->ncolumns)
		return false;
	for (uint32_t k = 0; k < fk->ncolumns; k++)
		if (ix->parts[k].column != fk->columns[k] || ix->parts[k].prefix != 0)
			return false;
	return true;
}

/* A foreign key brings an index of its own where none begins with its columns. */
static void
add_child_index(struct table *t, const struct foreign_key *fk)
{
	struct index *ix;
	char *made;

	for (uint32_t i = 0; i < t->nindexes; i++)
		if (begins_with(&t->indexes[i], fk))
			return;
	made = free_name(
		t, strstr(fk->name, "_ibfk_") == NULL ? fk->name : t->columns[fk->columns[0]].name);
	ix = table_add_index(t, made, false, false);
	for (uint32_t k = 0; k < fk->ncolumns; k++)
		index_add_part(ix, fk->columns[k], 0);
	free(made);
}

/* The longer ones first: they serve the shorter ones. */
void
ddl_add_child_indexes(struct table *t, uint32_t first)
{
	uint32_t longest = 0;

	for (uint32_t i = first; i < t->nfks; i++)
		if (t->fks[i].ncolumns > longest)
			longest = t->fks[i].ncolumns;
	for (uint32_t n = longest; n != 0; n--)
		for (uint32_t i = first; i < t->nfks; i++)
			if (t->fks[i].ncolumns == n)
				add_child_index(t, &t->fks[i]);
}

/* An index that the server made for a foreign key goes when another one can serve it. */
static bool
may_replace(const struct table *t, const struct index *added)
{
	for (uint32_t f = 0; f < t->nfks; f++)
		for (uint32_t i = 0; i < t->nindexes; i++) {
			const struct index *ix = &t->indexes[i];

			if (ix != added && !ix->unique && ix->nparts == t->fks[f].ncolumns &&
				begins_with(ix, &t->fks[f]) && begins_with(added, &t->fks[f]))
				return true;
		}
	return false;
}

/* ---- ADD KEY ---- */

/* What stands before the columns. */
struct key_head {
	char *symbol; /* of CONSTRAINT */
	char *name;
	bool spatial;
	bool fulltext;
	bool if_not_exists;
};

static void
take_key_type(struct parser *p, struct key_head *h)
{
	static const char *const words[] = {"ONLINE", "OFFLINE", "PRIMARY", "UNIQUE", "FULLTEXT",
		"SPATIAL", "VECTOR", "FOREIGN", "INDEX",
		"KEY"}; /* in the order that they come in */

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!parser_is(p, words[i]))
			continue;
		h->spatial = h->spatial || parser_is(p, "SPATIAL");
		h->fulltext = h->fulltext || parser_is(p, "FULLTEXT") || parser_is(p, "VECTOR");
		parser_advance(p);
	}
}

/* Up to the "(" of the columns. */
static void
take_head(struct parser *p, struct key_head *h)
{
	bool negated;

	*h = (struct key_head){0};
	parser_accept(p, "ADD");
	if (parser_accept(p, "CONSTRAINT") && !parser_is(p, "PRIMARY") && !parser_is(p, "UNIQUE") &&
		!parser_is(p, "FOREIGN"))
		h->symbol = ddl_take_name(p);
	take_key_type(p, h);
	h->if_not_exists = parser_if_exists(p, &negated);
	if (!parser_is(p, "(") && !parser_is(p, "USING") && !parser_is(p, "TYPE"))
		h->name = ddl_take_name(p);
	if (parser_accept(p, "ON")) { /* CREATE INDEX x ON t */
		free(ddl_take_name(p));
		if (parser_accept(p, "."))
			free(ddl_take_name(p));
	}
	while (!parser_end(p) && !parser_is(p, "(")) {
		if (parser_accept(p, "ON"))
			continue;
		parser_advance(p);
	}
}

static void
head_release(struct key_head *h)
{
	free(h->symbol);
	free(h->name);
}

static bool
is_blob(const struct column *c)
{
	size_t n = strlen(c->native);

	return n >= 4 &&
	       (strcmp(c->native + n - 4, "text") == 0 || strcmp(c->native + n - 4, "blob") == 0);
}

/* A prefix as long as the column is none. */
static uint32_t
prefix_of(const struct table *t, uint32_t column, uint32_t prefix, const struct key_head *h)
{
	const struct column *c = &t->columns[column];

	if (h->spatial)
		return SPATIAL_PREFIX;
	if (h->fulltext)
		return 0;
	return prefix == c->length && !is_blob(c) ? 0 : prefix;
}

static const char *
take_parts(struct parser *p, const struct table *t, struct index *ix, const struct key_head *h)
{
	if (!parser_accept(p, "("))
		return "an index without columns";
	do {
		uint32_t column = UINT32_MAX, prefix = 0;
		char *name;

		if (parser_is(p, "(")) {
			parser_skip_parens(p);
		} else {
			name = ddl_take_name(p);
			column = name != NULL ? table_column(t, name) : UINT32_MAX;
			free(name);
			if (column == UINT32_MAX)
				return "an index of a column that is not known";
			prefix = prefix_of(t, column, ddl_take_length(p), h);
		}
		index_add_part(ix, column, prefix);
		if (!parser_accept(p, "ASC"))
			parser_accept(p, "DESC");
	} while (parser_accept(p, ","));
	return parser_is(p, ")") ? NULL : "parts of an index that are not known";
}

static char *
key_name(const struct table *t, const struct ddl_clause *c, struct key_head *h,
	const struct index *ix)
{
	uint32_t first = ix->parts[0].column;

	if (c->primary)
		return xstrdup("PRIMARY");
	if (h->name != NULL)
		return xstrdup(h->name);
	if (h->symbol != NULL)
		return xstrdup(h->symbol);
	return free_name(t, first == UINT32_MAX ? "functional_index" : t->columns[first].name);
}

static const char *
place_key(struct table *t, const struct ddl_clause *c, struct key_head *h, struct index *ix)
{
	struct index *added;
	char *name = key_name(t, c, h, ix);
	const char *why = NULL;

	if (find_index(t, name) == UINT32_MAX) {
		added = table_add_index(t, name, c->primary, c->unique);
		added->parts = ix->parts;
		added->nparts = ix->nparts;
		ix->parts = NULL;
		if (may_replace(t, added))
			why = "an index that may replace one of a foreign key";
	} else if (!h->if_not_exists) {
		why = "an index whose name is taken";
	}
	free(name);
	return why;
}

const char *
ddl_add_key(struct table *t, const struct ddl *d, const struct ddl_clause *c)
{
	struct index ix = {0};
	struct key_head h;
	struct parser p;
	const char *why;

	ddl_reparse(&p, d, c->start, c->end);
	take_head(&p, &h);
	h.if_not_exists = h.if_not_exists || d->if_not_exists;
	why = take_parts(&p, t, &ix, &h);
	if (why == NULL)
		why = place_key(t, c, &h, &ix);
	free(ix.parts);
	head_release(&h);
	return why;
}

const char *
ddl_add_inline_key(struct table *t, uint32_t column, bool primary)
{
	char *name = primary ? xstrdup("PRIMARY") : free_name(t, t->columns[column].name);
	bool taken = primary && find_index(t, name) != UINT32_MAX;

	if (!taken)
		index_add_part(table_add_index(t, name, primary, true), column, 0);
	free(name);
	return taken ? "a second primary key" : NULL;
}

/* ---- foreign keys ---- */

static enum fk_action
take_action(struct parser *p)
{
	if (parser_accept(p, "CASCADE"))
		return FK_CASCADE;
	if (parser_accept2(p, "SET", "NULL"))
		return FK_SET_NULL;
	if (parser_accept2(p, "SET", "DEFAULT"))
		return FK_SET_DEFAULT;
	return FK_NONE;
}

/* Behind REFERENCES. */
static void
take_actions(struct parser *p, struct foreign_key *fk)
{
	while (!parser_end(p)) {
		if (parser_accept2(p, "ON", "DELETE"))
			fk->on_delete = take_action(p);
		else if (parser_accept2(p, "ON", "UPDATE"))
			fk->on_update = take_action(p);
		else
			parser_advance(p);
	}
}

/* InnoDB numbers what has no name: t_ibfk_1, one above the highest. */
static char *
fk_name(const struct table *t)
{
	size_t n = strlen(t->name);
	unsigned long highest = 0;

	for (uint32_t i = 0; i < t->nfks; i++) {
		const char *name = t->fks[i].name;

		if (strncasecmp(name, t->name, n) == 0 && strncmp(name + n, "_ibfk_", 6) == 0) {
			unsigned long number = strtoul(name + n + 6, NULL, 10);

			highest = number > highest ? number : highest;
		}
	}
	return xasprintf("%s_ibfk_%lu", t->name, highest + 1);
}

static const char *
fill_fk(struct table *t, struct foreign_key *fk, const struct ddl *d, const struct ddl_clause *c,
	const char *only)
{
	uint32_t children = 0, parents = 0;

	fk->columns = xcalloc((size_t)c->ncolumns + 1, sizeof *fk->columns);
	fk->ref_columns = xcalloc((size_t)c->ncolumns + 1, sizeof *fk->ref_columns);
	if (only != NULL)
		fk->columns[children++] = table_column(t, only);
	for (uint32_t i = c->column; i < c->column + c->ncolumns; i++) {
		const struct ddl_column *col = &d->columns[i];

		if (col->role == COLUMN_PARENT) {
			const struct ddl_name *ref = &d->names[col->table];

			if (fk->ref_table == NULL) {
				fk->ref_db = xstrdup(ref->db != NULL ? ref->db : t->db);
				fk->ref_table = xstrdup(ref->name);
			}
			fk->ref_columns[parents++] = xstrdup(col->name);
		} else if (col->role == COLUMN_CHILD && only == NULL) {
			fk->columns[children++] = table_column(t, col->name);
		}
	}
	fk->ncolumns = parents;
	if (parents == 0 || parents != children)
		return "a foreign key that is not understood";
	for (uint32_t i = 0; i < children; i++)
		if (fk->columns[i] == UINT32_MAX)
			return "a foreign key of a column that is not known";
	return NULL;
}

/* `only`: the column in whose definition it stands. */
static const char *
add_fk(struct table *t, const struct ddl *d, const struct ddl_clause *c, const struct key_head *h,
	const char *only)
{
	char *name = h->symbol != NULL ? xstrdup(h->symbol) : fk_name(t);
	bool taken = find_fk(t, name) != UINT32_MAX;
	struct foreign_key *fk;
	struct parser p;
	const char *why;

	if (taken) {
		free(name);
		return h->if_not_exists ? NULL : "a foreign key whose name is taken";
	}
	fk = table_add_fk(t, name);
	free(name);
	why = fill_fk(t, fk, d, c, only);
	if (why != NULL)
		return why;
	ddl_reparse(&p, d, c->start, c->end);
	while (!parser_end(&p) && !parser_accept(&p, "REFERENCES"))
		parser_advance(&p);
	take_actions(&p, fk);
	return NULL;
}

const char *
ddl_add_fk(struct table *t, const struct ddl *d, const struct ddl_clause *c, bool mariadb)
{
	struct key_head h;
	struct parser p;
	const char *why;

	ddl_reparse(&p, d, c->start, c->end);
	take_head(&p, &h);
	if (h.symbol == NULL && h.name != NULL && mariadb) { /* there it names both */
		h.symbol = h.name;
		h.name = NULL;
	}
	why = h.name != NULL && h.symbol == NULL ? "the index of a foreign key"
						 : add_fk(t, d, c, &h, NULL);
	head_release(&h);
	return why;
}

const char *
ddl_add_inline_fk(
	struct table *t, const struct ddl *d, const struct ddl_clause *c, const char *column)
{
	struct key_head h = {0};

	return add_fk(t, d, c, &h, column);
}

/* ---- DROP, RENAME ---- */

static const char *
drop_named(struct table *t, enum ddl_clause_kind kind, const char *name, bool if_exists)
{
	uint32_t index = find_index(t, name), fk = find_fk(t, name);

	if (fk != UINT32_MAX && kind != CLAUSE_DROP_KEY)
		drop_fk(t, fk);
	else if (index != UINT32_MAX && kind != CLAUSE_DROP_FOREIGN_KEY)
		ddl_drop_index(t, index);
	else if (!if_exists && kind != CLAUSE_DROP_CONSTRAINT) /* else it is a CHECK */
		return "an index or foreign key that is not known";
	return NULL;
}

static const char *
rename_key(struct table *t, struct parser *p)
{
	char *from, *to;
	const char *why = "an index that is not known";
	bool negated;

	parser_advance(p); /* INDEX */
	parser_if_exists(p, &negated);
	from = ddl_take_name(p);
	parser_accept(p, "TO");
	to = ddl_take_name(p);
	if (from != NULL && to != NULL && find_index(t, from) != UINT32_MAX) {
		struct index *ix = &t->indexes[find_index(t, from)];

		free(ix->name);
		ix->name = to;
		to = NULL;
		why = NULL;
	}
	free(from);
	free(to);
	return why;
}

const char *
ddl_drop_key(struct table *t, const struct ddl *d, const struct ddl_clause *c)
{
	struct parser p;
	const char *why;
	bool negated, if_exists;
	char *name;

	ddl_reparse(&p, d, c->start, c->end);
	if (c->kind == CLAUSE_RENAME_KEY) {
		parser_advance(&p);
		return rename_key(t, &p);
	}
	if (c->kind == CLAUSE_DROP_PRIMARY)
		return drop_named(t, CLAUSE_DROP_KEY, "PRIMARY", false);
	parser_accept(&p, "DROP");
	parser_accept(&p, "FOREIGN");
	if (!parser_accept(&p, "INDEX") && !parser_accept(&p, "KEY"))
		parser_accept(&p, "CONSTRAINT");
	if_exists = parser_if_exists(&p, &negated) || d->if_exists;
	name = ddl_take_name(&p);
	why = name != NULL ? drop_named(t, c->kind, name, if_exists) : "an index without a name";
	free(name);
	return why;
}

/* ---- order ---- */

static int
compare_indexes(const void *a, const void *b)
{
	const struct index *x = a, *y = b;

	if (x->primary != y->primary)
		return x->primary ? -1 : 1;
	return strcasecmp(x->name, y->name);
}

static int
compare_fks(const void *a, const void *b)
{
	const struct foreign_key *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

void
ddl_settle_keys(struct table *t)
{
	if (t->nindexes != 0)
		qsort(t->indexes, t->nindexes, sizeof *t->indexes, compare_indexes);
	if (t->nfks != 0)
		qsort(t->fks, t->nfks, sizeof *t->fks, compare_fks);
	if (t->nindexes == 0 || !t->indexes[0].primary)
		return;
	for (uint32_t i = 0; i < t->indexes[0].nparts; i++)
		if (t->indexes[0].parts[i].column < t->ncolumns)
			t->columns[t->indexes[0].parts[i].column].nullable = false;
}
