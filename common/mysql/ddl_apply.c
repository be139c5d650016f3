/* ddl_apply.c - see ddl_apply.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/charset.h"
#include "common/mysql/ddl_apply_key.h"

/* Where REFERENCES in a column's definition makes a foreign key. */
#define MARIADB_INLINE_REFERENCES 100500u
#define MYSQL_INLINE_REFERENCES 90000u

/* A column on its way: its place in the list is its place in the table. */
struct slot {
	struct column column;
	uint32_t origin; /* its number before, UINT32_MAX for a new one */
	bool primary, unique, references;
	uint32_t clause; /* that defined it */
};

struct work {
	struct table *t; /* the copy that is changed */
	const struct table *old;
	const struct ddl *d;
	const struct ddl_env *env; /* with the table's own collation */
	struct slot *slots;
	size_t nslots, cap;
	const char *why;
};

/* ---- options ---- */

static const char *
engine_name(const char *word)
{
	static const char *const engines[] = {"InnoDB", "MyISAM", "MEMORY", "CSV", "ARCHIVE",
		"Aria", "BLACKHOLE", "FEDERATED", "NDBCLUSTER", "ROCKSDB", "TokuDB", "MRG_MyISAM",
		"SPIDER", "CONNECT", "SEQUENCE", "Columnstore"};

	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (strcasecmp(engines[i], word) == 0)
			return engines[i];
	return word;
}

static void
take_engine(struct work *w, struct parser *p)
{
	char *word;

	parser_accept(p, "=");
	word = p->tok.kind == TOK_STRING ? tok_name(&p->t, &p->tok) : ddl_take_name(p);
	if (word != NULL) {
		free(w->t->engine);
		w->t->engine = xstrdup(engine_name(word));
	}
	free(word);
}

static void
apply_options(struct work *w, const struct ddl_clause *c)
{
	const char *ignored = NULL;
	struct parser p;

	ddl_reparse(&p, w->d, c->start, c->end);
	while (!parser_end(&p)) {
		if (parser_accept(&p, "ENGINE") || parser_accept2(&p, "STORAGE", "ENGINE"))
			take_engine(w, &p);
		else if (parser_accept(&p, "COMMENT") || parser_accept(&p, "CONNECTION")) {
			parser_accept(&p, "=");
			parser_advance(&p);
		} else if (parser_is(&p, "VERSIONING"))
			w->why = "a system-versioned table";
		else if (!ddl_take_collation(&p, w->env, &ignored))
			parser_advance(&p);
		if (w->why != NULL)
			return;
	}
}

const char *
ddl_table_collation(const struct ddl *d, const struct ddl_env *env)
{
	const char *collation = env->collation;
	struct parser p;

	for (uint32_t i = 0; i < d->nclauses; i++) {
		const struct ddl_clause *c = &d->clauses[i];

		if (c->kind != CLAUSE_OPTIONS && c->kind != CLAUSE_CONVERT)
			continue;
		ddl_reparse(&p, d, c->start, c->end);
		while (!parser_end(&p)) {
			if (parser_accept(&p, "COMMENT")) {
				parser_accept(&p, "=");
				parser_advance(&p);
			} else if (!ddl_take_collation(&p, env, &collation)) {
				parser_advance(&p);
			}
		}
	}
	return collation;
}

/* ---- columns ---- */

static struct slot *
insert_slot(struct work *w, size_t at)
{
	grow(&w->slots, &w->cap, w->nslots + 1, sizeof *w->slots);
	memmove(&w->slots[at + 1], &w->slots[at], (w->nslots - at) * sizeof *w->slots);
	w->nslots++;
	w->slots[at] = (struct slot){.origin = UINT32_MAX};
	return &w->slots[at];
}

static void
take_columns(struct work *w)
{
	struct table *t = w->t;

	for (uint32_t i = 0; i < t->ncolumns; i++) {
		struct slot *s = insert_slot(w, w->nslots);

		s->column = t->columns[i];
		s->origin = i;
	}
	free(t->columns);
	t->columns = NULL;
	t->ncolumns = 0;
}

/* By the name that a column had before the statement. */
static struct slot *
find_origin(struct work *w, const char *name)
{
	for (size_t i = 0; i < w->nslots; i++)
		if (w->slots[i].origin != UINT32_MAX &&
			strcasecmp(w->old->columns[w->slots[i].origin].name, name) == 0)
			return &w->slots[i];
	return NULL;
}

/* By the name that it has now. */
static size_t
find_slot(const struct work *w, const char *name)
{
	for (size_t i = 0; i < w->nslots; i++)
		if (strcasecmp(w->slots[i].column.name, name) == 0)
			return i;
	return SIZE_MAX;
}

static const struct ddl_column *
column_of(const struct work *w, const struct ddl_clause *c, enum ddl_column_role role)
{
	for (uint32_t i = c->column; i < c->column + c->ncolumns; i++)
		if (w->d->columns[i].role == role)
			return &w->d->columns[i];
	return NULL;
}

/* IF [NOT] EXISTS stands before the column's name. */
static bool
is_optional(const struct work *w, const struct ddl_clause *c, const struct ddl_column *column)
{
	struct parser p;

	for (ddl_reparse(&p, w->d, c->start, column->start); !parser_end(&p); parser_advance(&p))
		if (parser_is(&p, "EXISTS"))
			return true;
	return false;
}

static void
fill_slot(struct slot *s, struct ddl_definition *def, uint32_t clause)
{
	ddl_column_release(&s->column);
	s->column = def->column;
	def->column = (struct column){0};
	s->primary = def->primary;
	s->unique = def->unique;
	s->references = def->references;
	s->clause = clause;
}

static void
define(struct work *w, struct ddl_definition *def, const struct ddl_column *name,
	const struct ddl_clause *c)
{
	ddl_define(def, w->d, name->start, c->end, w->env);
	if (def->why != NULL)
		w->why = def->why;
}

/* MODIFY and CHANGE without a place, RENAME COLUMN, DROP: where the column is. */
static void
change_in_place(struct work *w, uint32_t number)
{
	const struct ddl_clause *c = &w->d->clauses[number];
	const struct ddl_column *old = column_of(w, c, COLUMN_OLD);
	const struct ddl_column *new = column_of(w, c, COLUMN_DEFINED);
	struct slot *s = old != NULL ? find_origin(w, old->name) : NULL;
	struct ddl_definition def;

	if (s == NULL) {
		if (old == NULL || !is_optional(w, c, old))
			w->why = "a column that is not known";
		return;
	}
	if (c->kind == CLAUSE_DROP_COLUMN) {
		ddl_column_release(&s->column);
		w->nslots--;
		memmove(s, s + 1, (size_t)(&w->slots[w->nslots] - s) * sizeof *s);
	} else if (c->kind == CLAUSE_RENAME_COLUMN && new != NULL) {
		free(s->column.name);
		s->column.name = xstrdup(new->name);
	} else if (c->kind == CLAUSE_MODIFY || c->kind == CLAUSE_CHANGE) {
		define(w, &def, new != NULL ? new : old, c);
		fill_slot(s, &def, number);
		ddl_definition_release(&def);
	}
}

/* AFTER and FIRST, by the names of now. */
static void
move_slot(struct work *w, size_t from, const struct ddl_definition *def)
{
	struct slot moved = w->slots[from];
	size_t to = 0;

	if (!def->first && def->after == NULL)
		return;
	w->nslots--;
	memmove(&w->slots[from], &w->slots[from + 1], (w->nslots - from) * sizeof *w->slots);
	if (def->after != NULL) {
		to = find_slot(w, def->after);
		if (to == SIZE_MAX) {
			w->why = "AFTER a column that is not known";
			to = w->nslots - 1;
		}
		to++;
	}
	*insert_slot(w, to) = moved;
}

static void
add_column(struct work *w, uint32_t number)
{
	const struct ddl_clause *c = &w->d->clauses[number];
	const struct ddl_column *name = column_of(w, c, COLUMN_DEFINED);
	struct ddl_definition def;

	if (name == NULL) {
		w->why = "a column without a name";
		return;
	}
	define(w, &def, name, c);
	if (w->why == NULL && find_slot(w, name->name) != SIZE_MAX) {
		if (!is_optional(w, c, name) &&
			!(c->list != 0 && is_optional(w, &w->d->clauses[c->list - 1], name)))
			w->why = "a column that is there already";
	} else if (w->why == NULL) {
		fill_slot(insert_slot(w, w->nslots), &def, number);
		move_slot(w, w->nslots - 1, &def);
	}
	ddl_definition_release(&def);
}

/* The place of a MODIFY or CHANGE: its turn comes in the order of what is added. */
static void
place_changed(struct work *w, uint32_t number)
{
	const struct ddl_clause *c = &w->d->clauses[number];
	const struct ddl_column *name = column_of(w, c, COLUMN_DEFINED);
	struct ddl_definition def;
	size_t at;

	if (name == NULL)
		name = column_of(w, c, COLUMN_OLD);
	at = name != NULL ? find_slot(w, name->name) : SIZE_MAX;
	if (at == SIZE_MAX)
		return; /* IF EXISTS */
	define(w, &def, name, c);
	move_slot(w, at, &def);
	ddl_definition_release(&def);
}

static void
change_columns(struct work *w)
{
	const struct ddl *d = w->d;

	for (uint32_t i = 0; i < d->nclauses && w->why == NULL; i++) {
		enum ddl_clause_kind kind = d->clauses[i].kind;

		if (kind == CLAUSE_DROP_COLUMN || kind == CLAUSE_RENAME_COLUMN ||
			kind == CLAUSE_MODIFY || kind == CLAUSE_CHANGE)
			change_in_place(w, i);
	}
	for (uint32_t i = 0; i < d->nclauses && w->why == NULL; i++) {
		enum ddl_clause_kind kind = d->clauses[i].kind;

		if (kind == CLAUSE_COLUMN)
			add_column(w, i);
		else if (kind == CLAUSE_MODIFY || kind == CLAUSE_CHANGE)
			place_changed(w, i);
	}
}

/* ---- back into the table ---- */

static void
renumber(uint32_t *column, const uint32_t *numbers, uint32_t n)
{
	if (*column < n)
		*column = numbers[*column];
}

/* Parts of dropped columns go; an index without parts goes. */
static void
renumber_index(struct table *t, uint32_t i, const uint32_t *numbers, uint32_t n)
{
	struct index *ix = &t->indexes[i];
	uint32_t kept = 0;

	for (uint32_t k = 0; k < ix->nparts; k++) {
		bool expression = ix->parts[k].column == UINT32_MAX;

		renumber(&ix->parts[k].column, numbers, n);
		if (expression || ix->parts[k].column != UINT32_MAX)
			ix->parts[kept++] = ix->parts[k];
	}
	ix->nparts = kept;
	if (kept == 0)
		ddl_drop_index(t, i);
}

static void
put_columns(struct work *w)
{
	struct table *t = w->t;
	uint32_t n = w->old->ncolumns;
	uint32_t *numbers = xcalloc((size_t)n + 1, sizeof *numbers);

	for (uint32_t i = 0; i < n; i++)
		numbers[i] = UINT32_MAX;
	t->columns = xcalloc(w->nslots + 1, sizeof *t->columns);
	for (size_t i = 0; i < w->nslots; i++) {
		if (w->slots[i].origin != UINT32_MAX)
			numbers[w->slots[i].origin] = (uint32_t)i;
		t->columns[i] = w->slots[i].column;
		w->slots[i].column = (struct column){0};
	}
	t->ncolumns = (uint32_t)w->nslots;
	for (uint32_t i = t->nindexes; i-- > 0;)
		renumber_index(t, i, numbers, n);
	for (uint32_t i = 0; i < t->nfks; i++)
		for (uint32_t k = 0; k < t->fks[i].ncolumns; k++) {
			renumber(&t->fks[i].columns[k], numbers, n);
			if (t->fks[i].columns[k] == UINT32_MAX)
				w->why = "a foreign key of a column that goes";
		}
	free(numbers);
}

/* ---- keys ---- */

static bool
references_count(const struct ddl_env *env)
{
	return env->version >= (env->mariadb ? MARIADB_INLINE_REFERENCES : MYSQL_INLINE_REFERENCES);
}

static void
drop_keys(struct work *w)
{
	for (uint32_t i = 0; i < w->d->nclauses && w->why == NULL; i++) {
		const struct ddl_clause *c = &w->d->clauses[i];

		if (c->kind == CLAUSE_DROP_KEY || c->kind == CLAUSE_DROP_PRIMARY ||
			c->kind == CLAUSE_DROP_FOREIGN_KEY || c->kind == CLAUSE_DROP_CONSTRAINT ||
			c->kind == CLAUSE_RENAME_KEY)
			w->why = ddl_drop_key(w->t, w->d, c);
	}
}

static void
add_inline_keys(struct work *w, uint32_t clause)
{
	for (size_t i = 0; i < w->nslots && w->why == NULL; i++) {
		const struct slot *s = &w->slots[i];

		if (s->clause != clause || (!s->primary && !s->unique && !s->references))
			continue;
		if (s->primary)
			w->why = ddl_add_inline_key(w->t, (uint32_t)i, true);
		if (s->unique && w->why == NULL)
			w->why = ddl_add_inline_key(w->t, (uint32_t)i, false);
		if (s->references && references_count(w->env) && w->why == NULL)
			w->why = ddl_add_inline_fk(
				w->t, w->d, &w->d->clauses[clause], w->t->columns[i].name);
	}
}

/* Foreign keys last: which index they need depends on the others. */
static void
add_keys(struct work *w)
{
	const struct ddl *d = w->d;
	uint32_t fks = w->t->nfks;

	for (uint32_t i = 0; i < d->nclauses && w->why == NULL; i++) {
		enum ddl_clause_kind kind = d->clauses[i].kind;

		if (kind == CLAUSE_KEY)
			w->why = ddl_add_key(w->t, d, &d->clauses[i]);
		else if (kind == CLAUSE_COLUMN || kind == CLAUSE_MODIFY || kind == CLAUSE_CHANGE)
			add_inline_keys(w, i);
	}
	for (uint32_t i = 0; i < d->nclauses && w->why == NULL; i++)
		if (d->clauses[i].kind == CLAUSE_FOREIGN_KEY)
			w->why = ddl_add_fk(w->t, d, &d->clauses[i], w->env->mariadb);
	if (w->why == NULL)
		ddl_add_child_indexes(w->t, fks);
}

/* ---- the table itself ---- */

/* A wider set may turn a TEXT into a MEDIUMTEXT, a VARCHAR into a TEXT. */
static void
convert_column(struct work *w, struct column *c, const char *collation)
{
	const struct charset *from = charset_find(c->charset);
	const struct charset *to = charset_of_collation(collation);
	const char *charset = ddl_charset(collation, w->env);
	bool wider = from == NULL || to == NULL || to->max_bytes > from->max_bytes ||
		     to->min_bytes != from->min_bytes;

	if (charset == NULL || to == NULL || strcmp(to->name, "binary") == 0) {
		w->why = "CONVERT TO a character set that is not known";
		return;
	}
	if (wider && c->type == TYPE_TEXT &&
		(c->length > 65535 / to->max_bytes || strstr(c->native, "text") != NULL)) {
		w->why = "a column that CONVERT may have widened";
		return;
	}
	free(c->charset);
	free(c->collation);
	c->charset = xstrdup(charset);
	c->collation = xstrdup(collation);
}

static void
convert(struct work *w, const struct ddl_clause *c)
{
	const char *collation = NULL;
	struct parser p;

	for (ddl_reparse(&p, w->d, c->start, c->end); !parser_end(&p);)
		if (!ddl_take_collation(&p, w->env, &collation))
			parser_advance(&p);
	if (collation == NULL) {
		w->why = "CONVERT TO a character set whose collation is not known";
		return;
	}
	for (uint32_t i = 0; i < w->t->ncolumns && w->why == NULL; i++)
		if (w->t->columns[i].charset != NULL)
			convert_column(w, &w->t->columns[i], collation);
}

static void
rename_to(struct table *t, const struct ddl_name *to)
{
	free(t->name);
	t->name = xstrdup(to->name);
	if (to->db != NULL) {
		free(t->db);
		t->db = xstrdup(to->db);
	}
}

static void
apply_rest(struct work *w)
{
	for (uint32_t i = 0; i < w->d->nclauses && w->why == NULL; i++) {
		const struct ddl_clause *c = &w->d->clauses[i];

		if (c->kind == CLAUSE_OPTIONS)
			apply_options(w, c);
		else if (c->kind == CLAUSE_CONVERT)
			convert(w, c);
		else if (c->kind == CLAUSE_RENAME_TABLE && w->d->nnames > 1)
			rename_to(w->t, &w->d->names[1]);
		else if (c->kind == CLAUSE_OTHER)
			w->why = "a clause that is not known";
		else if (c->kind == CLAUSE_PERIOD)
			w->why = "a table with periods";
	}
}

static void
work_release(struct work *w)
{
	for (size_t i = 0; i < w->nslots; i++)
		ddl_column_release(&w->slots[i].column);
	free(w->slots);
	table_free(w->t);
}

static bool
same(const struct table *a, const struct table *b)
{
	struct buf x, y;
	bool equal;

	buf_init(&x);
	buf_init(&y);
	table_encode(a, &x);
	table_encode(b, &y);
	equal = x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
	buf_release(&x);
	buf_release(&y);
	return equal;
}

static enum ddl_apply_result
change_table(struct table *t, const struct ddl *d, const struct ddl_env *env, const char **why)
{
	struct ddl_env own = *env;
	struct work w = {.t = table_copy(t), .old = t, .d = d, .env = &own};
	enum ddl_apply_result result = DDL_UNSURE;

	/* ADD COLUMN beside CHARACTER SET: the new default counts for it. */
	own.collation = ddl_table_collation(d, env);
	if (d->verb == DDL_VERB_CREATE_TABLE && w.t->engine == NULL && env->engine != NULL)
		w.t->engine = xstrdup(env->engine);
	take_columns(&w);
	change_columns(&w);
	put_columns(&w);
	drop_keys(&w);
	if (w.why == NULL)
		add_keys(&w);
	apply_rest(&w);
	if (w.why == NULL && w.t->ncolumns == 0)
		w.why = "a table without columns";
	if (w.t->nfks > t->nfks && (w.t->engine == NULL || strcmp(w.t->engine, "InnoDB") != 0))
		w.why = "foreign keys of an engine that may not have them";
	if (w.why == NULL) {
		struct table swap = *t;

		ddl_settle_keys(w.t);
		result = same(t, w.t) ? DDL_NO_EFFECT : DDL_APPLIED;
		*t = *w.t;
		*w.t = swap;
	}
	*why = w.why;
	work_release(&w);
	return result;
}

static bool
is_table(const struct table *t, const struct ddl_name *n)
{
	return strcmp(t->name, n->name) == 0 && (n->db == NULL || strcmp(t->db, n->db) == 0);
}

/* RENAME TABLE a TO b, b TO c: from left to right. */
static enum ddl_apply_result
rename_table(struct table *t, const struct ddl *d)
{
	bool renamed = false;

	for (uint32_t i = 0; i + 1 < d->nnames; i++)
		if (d->names[i].role == DDL_TARGET && d->names[i + 1].role == DDL_RENAME_TO &&
			is_table(t, &d->names[i])) {
			rename_to(t, &d->names[i + 1]);
			renamed = true;
		}
	return renamed ? DDL_APPLIED : DDL_NO_EFFECT;
}

enum ddl_apply_result
ddl_apply(struct table *t, const struct ddl *d, const struct ddl_env *env, const char **why)
{
	*why = NULL;
	if (d->verb == DDL_VERB_RENAME_TABLE)
		return rename_table(t, d);
	if (d->verb == DDL_VERB_TRUNCATE_TABLE || d->verb == DDL_VERB_ANALYZE ||
		d->verb == DDL_VERB_OPTIMIZE || d->verb == DDL_VERB_REPAIR ||
		d->verb == DDL_VERB_CHECK)
		return DDL_NO_EFFECT;
	if (d->conditional)
		*why = "a versioned comment";
	else if (d->verb != DDL_VERB_CREATE_TABLE && d->verb != DDL_VERB_ALTER_TABLE &&
		 d->verb != DDL_VERB_CREATE_INDEX && d->verb != DDL_VERB_DROP_INDEX)
		*why = "a statement that is not applied";
	else if (d->verb == DDL_VERB_CREATE_TABLE && t->ncolumns != 0 && d->if_not_exists)
		return DDL_NO_EFFECT;
	else if ((d->verb == DDL_VERB_CREATE_TABLE) != (t->ncolumns == 0))
		*why = "a table that is there already, or not yet";
	return *why != NULL ? DDL_UNSURE : change_table(t, d, env, why);
}
