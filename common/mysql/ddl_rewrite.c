/* ddl_rewrite.c - the same statement with other names, without dropped columns; see ddl.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl.h"

/* Replace [start, end) by what from..to of `text` holds. */
struct edit {
	size_t start, end;
	size_t from, to;
};

struct rewriter {
	const struct ddl *d;
	const struct ddl_mapper *m;
	struct edit *edits;
	size_t nedits, edits_cap;
	struct buf text;
	bool *dropped; /* for each of d->columns */
	bool *cut;     /* for each of d->clauses */
	bool cannot;
};

static void
add_edit(struct rewriter *r, size_t start, size_t end, size_t from)
{
	grow(&r->edits, &r->edits_cap, r->nedits + 1, sizeof *r->edits);
	r->edits[r->nedits++] =
		(struct edit){.start = start, .end = end, .from = from, .to = r->text.len};
}

static void
add_cut(struct rewriter *r, size_t start, size_t end)
{
	if (start < end)
		add_edit(r, start, end, r->text.len);
}

static int
compare(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end != y->end ? (x->end > y->end ? -1 : 1) : 0; /* the wider one first */
}

/* ---- names ---- */

/* As mysql_quote_name, in the text's character set: what looks like a backtick may be half a
 * character. */
static void
quote(struct rewriter *r, const char *name)
{
	size_t left = strlen(name);

	buf_putc(&r->text, '`');
	while (left != 0) {
		size_t n = tok_char_length(r->d->text.charset, name, left);

		if (*name == '`')
			buf_putc(&r->text, '`');
		buf_add(&r->text, name, n);
		name += n;
		left -= n;
	}
	buf_putc(&r->text, '`');
}

static void
map_database(struct rewriter *r, const struct ddl_name *n)
{
	quote(r, r->m->map_db(r->m->arg, n->db, NULL));
	if (n->start == n->end)
		buf_putc(&r->text, ' ');
}

static void
map_qualified(struct rewriter *r, const struct ddl_name *n, bool table)
{
	const char *name = n->name;

	if (n->db != NULL && !n->alone) {
		quote(r, r->m->map_db(r->m->arg, n->db, table ? n->name : NULL));
		buf_putc(&r->text, '.');
	}
	if (n->db != NULL && table)
		name = r->m->map_name(r->m->arg, n->db, n->name);
	quote(r, name);
}

static void
map_name(struct rewriter *r, const struct ddl_name *n)
{
	size_t from = r->text.len;

	if (n->name == NULL)
		map_database(r, n);
	else
		map_qualified(r, n, n->kind == DDL_TABLE || n->kind == DDL_VIEW);
	add_edit(r, n->start, n->end, from);
}

/* ---- columns ---- */

static const char *
map_column(const struct rewriter *r, const struct ddl_column *c)
{
	const struct ddl_name *t = &r->d->names[c->table];

	return t->db == NULL ? c->name : r->m->map_column(r->m->arg, t->db, t->name, c->name);
}

static bool
has_dropped(const struct rewriter *r, const struct ddl_clause *c, enum ddl_column_role role)
{
	for (uint32_t i = c->column; i < c->column + c->ncolumns; i++)
		if (r->dropped[i] && r->d->columns[i].role == role)
			return true;
	return false;
}

static bool
keeps(const struct rewriter *r, const struct ddl_clause *c, enum ddl_column_role role)
{
	for (uint32_t i = c->column; i < c->column + c->ncolumns; i++)
		if (!r->dropped[i] && r->d->columns[i].role == role)
			return true;
	return false;
}

/* Whether a clause goes because of the columns that it names. */
static bool
goes(struct rewriter *r, const struct ddl_clause *c)
{
	bool defined = has_dropped(r, c, COLUMN_DEFINED), old = has_dropped(r, c, COLUMN_OLD);
	bool key = has_dropped(r, c, COLUMN_KEY), mentioned = has_dropped(r, c, COLUMN_MENTIONED);

	if (c->kind == CLAUSE_ADD_LIST) /* its columns are those of its parts */
		return false;
	switch (c->kind) {
	case CLAUSE_CHANGE:
	case CLAUSE_RENAME_COLUMN:
		if (defined != old)
			r->cannot = true; /* a column leaves or joins the selection */
		if (defined && old)
			return true;
		break;
	case CLAUSE_COLUMN:
	case CLAUSE_MODIFY:
	case CLAUSE_DROP_COLUMN:
	case CLAUSE_ALTER_COLUMN:
		if (defined || old)
			return true;
		break;
	case CLAUSE_KEY:
		if (c->primary && key) {
			r->cannot = true;
			return false;
		}
		/* What is left of a unique key is not unique. */
		return mentioned || (key && (c->unique || !keeps(r, c, COLUMN_KEY)));
	case CLAUSE_FOREIGN_KEY:
		return has_dropped(r, c, COLUMN_CHILD) || has_dropped(r, c, COLUMN_PARENT);
	case CLAUSE_CHECK:
		return mentioned;
	case CLAUSE_PERIOD:
	case CLAUSE_DROP_KEY:
	case CLAUSE_DROP_PRIMARY:
	case CLAUSE_DROP_FOREIGN_KEY:
	case CLAUSE_DROP_CONSTRAINT:
	case CLAUSE_RENAME_KEY:
	case CLAUSE_RENAME_TABLE:
	case CLAUSE_CONVERT:
	case CLAUSE_OPTIONS:
	case CLAUSE_PARTITION:
	case CLAUSE_ADD_LIST:
	case CLAUSE_MINOR:
	case CLAUSE_OTHER:
		break;
	}
	if (mentioned || key || has_dropped(r, c, COLUMN_PARENT))
		r->cannot = true;
	return false;
}

/* One of several things that commas separate. */
struct part {
	size_t start, end;
	unsigned turns, end_turns;
	bool cut;
};

/* Whether a cut between these two places takes half of a versioned comment. */
static bool
tears(unsigned a, unsigned b)
{
	return ((a | b) & 1) != 0 && a != b;
}

/* Cuts parts first..last with the commas that go with them; kept is the last one before them. */
static void
cut_run(struct rewriter *r, const struct part *parts, size_t n, size_t first, size_t last,
	size_t kept)
{
	size_t start = parts[first].start, end = parts[last].end;
	unsigned turns = parts[first].turns, end_turns = parts[last].end_turns;

	if (last + 1 < n) {
		end = parts[last + 1].start;
		end_turns = parts[last + 1].turns;
	} else if (kept != SIZE_MAX) {
		start = parts[kept].end;
		turns = parts[kept].end_turns;
	}
	r->cannot = r->cannot || tears(turns, end_turns);
	add_cut(r, start, end);
}

static void
cut_parts(struct rewriter *r, const struct part *parts, size_t n)
{
	size_t kept = SIZE_MAX;

	for (size_t i = 0; i < n; i++) {
		size_t last = i;

		if (!parts[i].cut) {
			kept = i;
			continue;
		}
		while (last + 1 < n && parts[last + 1].cut)
			last++;
		cut_run(r, parts, n, i, last, kept);
		i = last;
	}
}

static void
cut_key_parts(struct rewriter *r, const struct ddl_clause *c)
{
	struct part *parts = xcalloc(c->ncolumns, sizeof *parts);
	size_t n = 0;
	bool any = false;

	for (uint32_t i = c->column; i < c->column + c->ncolumns; i++) {
		const struct ddl_column *col = &r->d->columns[i];

		if (col->role == COLUMN_AFTER && r->dropped[i])
			add_cut(r, col->from, col->to);
		if (col->role != COLUMN_KEY)
			continue;
		parts[n++] =
			(struct part){.start = col->from, .end = col->to, .cut = r->dropped[i]};
		any = any || r->dropped[i];
	}
	if (any)
		cut_parts(r, parts, n);
	free(parts);
}

static bool
whole_list_cut(const struct rewriter *r, uint32_t list)
{
	bool any = false;

	for (uint32_t i = list; i < r->d->nclauses && r->d->clauses[i].list == list; i++) {
		any = true;
		if (!r->cut[i])
			return false;
	}
	return any;
}

/*
 * list 0: what commas separate in the statement itself: the elements of CREATE
 * TABLE (its options and partitions stand outside), the actions of ALTER TABLE.
 */
static void
cut_list(struct rewriter *r, uint32_t list)
{
	const struct ddl *d = r->d;
	struct part *parts = NULL;
	bool create = d->class == DDL_CLASS_CREATE_TABLE;
	size_t n = 0, cap = 0;

	for (uint32_t i = list; i < d->nclauses; i++) {
		const struct ddl_clause *c = &d->clauses[i];

		if (list != 0 && c->list != list)
			break;
		if (c->list != list ||
			(create && (c->kind == CLAUSE_OPTIONS || c->kind == CLAUSE_PARTITION)))
			continue;
		grow(&parts, &cap, n + 1, sizeof *parts);
		parts[n++] = (struct part){.start = c->start,
			.end = c->end,
			.turns = c->turns,
			.end_turns = c->end_turns,
			.cut = r->cut[i]};
	}
	cut_parts(r, parts, n);
	free(parts);
}

static void
choose(struct rewriter *r)
{
	const struct ddl *d = r->d;

	for (uint32_t i = 0; i < d->ncolumns; i++)
		r->dropped[i] = map_column(r, &d->columns[i]) == NULL;
	for (uint32_t i = 0; i < d->nclauses; i++)
		r->cut[i] = goes(r, &d->clauses[i]);
	for (uint32_t i = 0; i < d->nclauses; i++)
		if (d->clauses[i].kind == CLAUSE_ADD_LIST)
			r->cut[i] = whole_list_cut(r, i + 1);
}

static bool
is_cut(const struct rewriter *r, uint32_t clause)
{
	uint32_t list = r->d->clauses[clause].list;

	return r->cut[clause] || (list != 0 && r->cut[list - 1]);
}

/* Whether anything of a statement about columns is left to do. */
static bool
does_something(const struct rewriter *r)
{
	const struct ddl *d = r->d;
	bool any = false;

	for (uint32_t i = 0; i < d->nclauses; i++) {
		any = any || is_cut(r, i);
		if (!is_cut(r, i) && d->clauses[i].kind != CLAUSE_MINOR &&
			(d->class != DDL_CLASS_CREATE_TABLE || d->clauses[i].kind == CLAUSE_COLUMN))
			return true;
	}
	return !any;
}

static void
map_clause(struct rewriter *r, const struct ddl_clause *c)
{
	for (uint32_t i = c->column; i < c->column + c->ncolumns; i++) {
		const struct ddl_column *col = &r->d->columns[i];
		const char *to = r->dropped[i] ? NULL : map_column(r, col);
		size_t from = r->text.len;

		if (to == NULL || strcmp(to, col->name) == 0)
			continue;
		quote(r, to);
		add_edit(r, col->start, col->end, from);
	}
}

static enum ddl_rewritten
map_columns(struct rewriter *r)
{
	const struct ddl *d = r->d;

	choose(r);
	if (!does_something(r))
		return d->class == DDL_CLASS_CREATE_TABLE ? DDL_CANNOT : DDL_NOTHING;
	for (uint32_t i = 0; i < d->nclauses; i++) {
		if (d->clauses[i].kind == CLAUSE_ADD_LIST)
			continue; /* its columns are those of its parts */
		if (!is_cut(r, i)) {
			map_clause(r, &d->clauses[i]);
			cut_key_parts(r, &d->clauses[i]);
		}
	}
	cut_list(r, 0);
	for (uint32_t i = 0; i < d->nclauses; i++)
		if (d->clauses[i].kind == CLAUSE_ADD_LIST && !r->cut[i])
			cut_list(r, i + 1);
	return r->cannot ? DDL_CANNOT : DDL_REWRITTEN;
}

/* ---- */

static void
render(struct rewriter *r, struct buf *out)
{
	const struct ddl *d = r->d;
	size_t at = 0;

	if (r->nedits != 0)
		qsort(r->edits, r->nedits, sizeof *r->edits, compare);
	for (size_t i = 0; i < r->nedits; i++) {
		const struct edit *e = &r->edits[i];

		if (e->start < at) /* within what is cut */
			continue;
		buf_add(out, d->sql + at, e->start - at);
		buf_add(out, r->text.data + e->from, e->to - e->from);
		at = e->end;
	}
	buf_add(out, d->sql + at, d->len - at);
}

enum ddl_rewritten
ddl_rewrite(const struct ddl *d, const struct ddl_mapper *m, struct buf *out)
{
	struct rewriter r = {.d = d, .m = m};
	enum ddl_rewritten result = DDL_REWRITTEN;

	buf_init(&r.text);
	r.dropped = xcalloc((size_t)d->ncolumns + 1, sizeof *r.dropped);
	r.cut = xcalloc((size_t)d->nclauses + 1, sizeof *r.cut);
	for (uint32_t i = 0; i < d->nnames; i++)
		map_name(&r, &d->names[i]);
	if (m->drop_definer)
		add_cut(&r, d->definer, d->definer_end);
	if (m->map_column != NULL && d->nnames != 0 && d->nclauses != 0)
		result = map_columns(&r);
	if (result == DDL_REWRITTEN)
		render(&r, out);
	free(r.edits);
	free(r.dropped);
	free(r.cut);
	buf_release(&r.text);
	return result;
}
