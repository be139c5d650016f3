/* token.c - see token.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "common/mem.h"
#include "common/collation.h"
#include "workers/writer/token.h"

/* What a hash stands for, mixed into it so that an index never equals a table. */
enum space { SPACE_TABLE = 1, SPACE_KEYLESS, SPACE_INDEX, SPACE_VALUE, SPACE_CASCADE, SPACE_RING };

/* ---- lists ---- */

void
token_list_release(struct token_list *l)
{
	free(l->tokens);
	*l = (struct token_list){0};
}

void
token_add(struct token_list *l, uint64_t hash, enum token_mode mode)
{
	grow(&l->tokens, &l->cap, l->count + 1, sizeof *l->tokens);
	l->tokens[l->count++] = (struct token){hash, mode};
}

static int
by_hash(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

void
token_list_pack(struct token_list *l)
{
	size_t n = 0;

	if (l->count < 2)
		return;
	qsort(l->tokens, l->count, sizeof *l->tokens, by_hash);
	for (size_t i = 0; i < l->count; i++) {
		if (n != 0 && l->tokens[n - 1].hash == l->tokens[i].hash) {
			if (l->tokens[n - 1].mode != l->tokens[i].mode)
				l->tokens[n - 1].mode = TOKEN_W;
		} else {
			l->tokens[n++] = l->tokens[i];
		}
	}
	l->count = n;
}

/* ---- foreign keys between target tables ---- */

/*
 * Nodes are tables by name; each keeps a copy of its description. Two groupings:
 * `cascade` joins tables whose keys change rows elsewhere, `component` joins
 * tables through any key. Both are union-find over the few tables that have keys.
 */
struct fk_node {
	char *db;
	char *name;
	struct table *table; /* NULL: only referred to so far */
	bool referred;	     /* some table has a foreign key to it */
	size_t component;
	size_t cascade;
};

struct fk_world {
	struct fk_node *nodes;
	size_t count;
	size_t cap;
};

struct fk_world *
fk_world_new(void)
{
	return xcalloc(1, sizeof(struct fk_world));
}

void
fk_world_free(struct fk_world *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->count; i++) {
		free(w->nodes[i].db);
		free(w->nodes[i].name);
		table_free(w->nodes[i].table);
	}
	free(w->nodes);
	free(w);
}

static size_t
find_node(const struct fk_world *w, const char *db, const char *name)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->nodes[i].name, name) == 0 && strcmp(w->nodes[i].db, db) == 0)
			return i;
	return SIZE_MAX;
}

static size_t
node_of(struct fk_world *w, const char *db, const char *name)
{
	size_t i = find_node(w, db, name);

	if (i != SIZE_MAX)
		return i;
	grow(&w->nodes, &w->cap, w->count + 1, sizeof *w->nodes);
	w->nodes[w->count] = (struct fk_node){.db = xstrdup(db),
		.name = xstrdup(name),
		.component = w->count,
		.cascade = w->count};
	return w->count++;
}

static bool
cascades(const struct foreign_key *fk)
{
	return fk->on_delete != FK_NONE || fk->on_update != FK_NONE;
}

static void
merge(struct fk_world *w, size_t a, size_t b, bool cascade)
{
	size_t from = w->nodes[a].component, to = w->nodes[b].component;

	for (size_t i = 0; i < w->count; i++)
		if (w->nodes[i].component == from)
			w->nodes[i].component = to;
	if (!cascade)
		return;
	from = w->nodes[a].cascade;
	to = w->nodes[b].cascade;
	for (size_t i = 0; i < w->count; i++)
		if (w->nodes[i].cascade == from)
			w->nodes[i].cascade = to;
}

static void
regroup(struct fk_world *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->nodes[i].component = w->nodes[i].cascade = i;
	for (size_t i = 0; i < w->count; i++) {
		const struct table *t = w->nodes[i].table;

		for (uint32_t k = 0; t != NULL && k < t->nfks; k++)
			merge(w, i, find_node(w, t->fks[k].ref_db, t->fks[k].ref_table),
				cascades(&t->fks[k]));
	}
}

bool
fk_world_set(struct fk_world *w, const struct table *t)
{
	size_t i = node_of(w, t->db, t->name);

	table_free(w->nodes[i].table);
	w->nodes[i].table = table_copy(t);
	if (t->nfks == 0 && !w->nodes[i].referred)
		return false;
	for (uint32_t k = 0; k < t->nfks; k++)
		fk_world_refer(w, t->fks[k].ref_db, t->fks[k].ref_table);
	regroup(w);
	return true;
}

void
fk_world_refer(struct fk_world *w, const char *db, const char *name)
{
	size_t i = node_of(w, db, name); /* moves the nodes */

	w->nodes[i].referred = true;
}

/* ---- plans ---- */

/* A value list that is hashed: the columns of an index, or of a key into or from another table. */
struct key_plan {
	uint64_t seed;	   /* of the values' tokens */
	uint64_t index;	   /* the token of the whole index */
	uint64_t table;	   /* of a parent: its chunks come before what depends on them */
	uint32_t *columns; /* columns of the rows; UINT32_MAX: not carried */
	uint32_t *prefixes;
	uint32_t n;
	bool wild; /* equality is not one of bytes: the whole index */
	bool nulls_equal;
};

struct token_plan {
	uint64_t table;	  /* row changes R, chunks C */
	uint64_t keyless; /* INSERT R, UPDATE and DELETE W; 0: has a key */
	struct key_plan *uniques;
	uint32_t nuniques;
	uint32_t identity;	  /* the one of uniques that identifies a row; UINT32_MAX: none */
	struct key_plan *parents; /* foreign keys of this table */
	uint32_t nparents;
	uint64_t cascade;   /* component token, 0: none */
	bool cascades_down; /* children of this table change with it */
	uint64_t component;
	struct column *columns; /* types of the rows' columns, for normalising; names NULL */
	uint32_t ncolumns;
	struct column *target_columns; /* collation decides at the target */
};

static uint64_t
hash_name(enum space space, const char *db, const char *name, const char *what)
{
	uint64_t h = (uint64_t)space;

	h = XXH3_64bits_withSeed(db, strlen(db), h);
	h = XXH3_64bits_withSeed(name, strlen(name), h);
	return what != NULL ? XXH3_64bits_withSeed(what, strlen(what), h) : h;
}

static uint32_t
row_column(const uint32_t *map, uint32_t n, uint32_t target)
{
	for (uint32_t i = 0; i < n; i++)
		if (map[i] == target)
			return i;
	return UINT32_MAX;
}

/* Types whose equality at the target is not that of their normalised bytes. */
static bool
is_wild_type(const struct column *c)
{
	return c->type == TYPE_FLOAT || c->type == TYPE_DOUBLE || c->type == TYPE_JSON ||
	       c->type == TYPE_GEOMETRY || c->type == TYPE_TIME || c->type == TYPE_DATE;
}

static void
key_plan_init(struct key_plan *k, const struct table *t, const struct index *ix,
	const uint32_t *map, uint32_t nmap)
{
	k->seed = hash_name(SPACE_VALUE, t->db, t->name, ix->name);
	k->index = hash_name(SPACE_INDEX, t->db, t->name, ix->name);
	k->nulls_equal = ix->nulls_equal;
	k->n = ix->nparts;
	k->columns = xcalloc(k->n, sizeof *k->columns);
	k->prefixes = xcalloc(k->n, sizeof *k->prefixes);
	for (uint32_t i = 0; i < k->n; i++) {
		const struct index_part *p = &ix->parts[i];

		k->columns[i] =
			p->column != UINT32_MAX ? row_column(map, nmap, p->column) : UINT32_MAX;
		k->prefixes[i] = p->prefix;
		if (k->columns[i] == UINT32_MAX || is_wild_type(&t->columns[p->column]))
			k->wild = true;
	}
}

/* The unique index that has exactly these columns, in this order. */
static const struct index *
index_on(const struct table *t, char *const *names, uint32_t n)
{
	for (uint32_t i = 0; i < t->nindexes; i++) {
		const struct index *ix = &t->indexes[i];
		bool same = ix->unique && ix->nparts == n;

		for (uint32_t k = 0; same && k < n; k++)
			same = ix->parts[k].column != UINT32_MAX && ix->parts[k].prefix == 0 &&
			       strcasecmp(t->columns[ix->parts[k].column].name, names[k]) == 0;
		if (same)
			return ix;
	}
	return NULL;
}

/*
 * A child's value must hash as the parent's index does: the same index, columns of one
 * type and collation. Anything else: the child depends on the parent's table as a whole.
 */
static void
parent_plan_init(struct key_plan *k, const struct table *child, const struct foreign_key *fk,
	const struct table *parent, const uint32_t *map, uint32_t nmap)
{
	const struct index *ix =
		parent != NULL ? index_on(parent, fk->ref_columns, fk->ncolumns) : NULL;

	k->table = hash_name(SPACE_TABLE, fk->ref_db, fk->ref_table, NULL);
	k->seed = hash_name(SPACE_VALUE, fk->ref_db, fk->ref_table, ix != NULL ? ix->name : "");
	k->index = ix != NULL ? hash_name(SPACE_INDEX, fk->ref_db, fk->ref_table, ix->name)
			      : hash_name(SPACE_TABLE, fk->ref_db, fk->ref_table, NULL);
	k->n = fk->ncolumns;
	k->columns = xcalloc(k->n, sizeof *k->columns);
	k->prefixes = xcalloc(k->n, sizeof *k->prefixes);
	k->wild = ix == NULL;
	for (uint32_t i = 0; i < k->n; i++) {
		const struct column *c = &child->columns[fk->columns[i]];

		k->columns[i] = row_column(map, nmap, fk->columns[i]);
		if (k->columns[i] == UINT32_MAX || is_wild_type(c))
			k->wild = true;
		if (ix != NULL) {
			const struct column *p = &parent->columns[ix->parts[i].column];

			if (p->type != c->type || (p->collation != NULL && c->collation != NULL &&
							  strcmp(p->collation, c->collation) != 0))
				k->wild = true;
		}
	}
}

static const struct table *
described(const struct fk_world *w, const char *db, const char *name)
{
	size_t i = find_node(w, db, name);

	return i != SIZE_MAX ? w->nodes[i].table : NULL;
}

static bool
has_cascading_child(const struct fk_world *w, const struct table *t)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct table *child = w->nodes[i].table;

		for (uint32_t k = 0; child != NULL && k < child->nfks; k++)
			if (cascades(&child->fks[k]) &&
				strcmp(child->fks[k].ref_table, t->name) == 0 &&
				strcmp(child->fks[k].ref_db, t->db) == 0)
				return true;
	}
	return false;
}

static void
copy_types(struct token_plan *p, const struct table *source, const struct table *target,
	const uint32_t *map)
{
	p->ncolumns = source->ncolumns;
	p->columns = xcalloc(p->ncolumns, sizeof *p->columns);
	p->target_columns = xcalloc(p->ncolumns, sizeof *p->target_columns);
	for (uint32_t i = 0; i < p->ncolumns; i++) {
		const struct column *s = &source->columns[i];
		const struct column *t = map[i] != UINT32_MAX ? &target->columns[map[i]] : s;

		p->columns[i] = (struct column){.type = s->type,
			.charset = s->charset != NULL ? xstrdup(s->charset) : NULL};
		p->target_columns[i] = (struct column){.type = t->type,
			.collation = t->collation != NULL ? xstrdup(t->collation) : NULL};
	}
}

struct token_plan *
token_plan_new(const struct table *target, const struct table *source, const uint32_t *map,
	const struct fk_world *world)
{
	struct token_plan *p = xcalloc(1, sizeof *p);
	size_t node = find_node(world, target->db, target->name);

	p->table = hash_name(SPACE_TABLE, target->db, target->name, NULL);
	if (table_key(target) == NULL)
		p->keyless = hash_name(SPACE_KEYLESS, target->db, target->name, NULL);
	copy_types(p, source, target, map);
	p->uniques = xcalloc(target->nindexes, sizeof *p->uniques);
	p->identity = UINT32_MAX;
	for (uint32_t i = 0; i < target->nindexes; i++) {
		if (!target->indexes[i].unique)
			continue;
		if (&target->indexes[i] == table_key(target))
			p->identity = p->nuniques;
		key_plan_init(&p->uniques[p->nuniques++], target, &target->indexes[i], map,
			source->ncolumns);
	}
	p->parents = xcalloc(target->nfks, sizeof *p->parents);
	for (uint32_t i = 0; i < target->nfks; i++) {
		const struct foreign_key *fk = &target->fks[i];

		parent_plan_init(&p->parents[p->nparents++], target, fk,
			described(world, fk->ref_db, fk->ref_table), map, source->ncolumns);
	}
	if (node != SIZE_MAX && (target->nfks != 0 || world->nodes[node].referred)) {
		const struct fk_node *n = &world->nodes[node];
		const struct fk_node *root = &world->nodes[n->cascade];

		p->component = n->component + 1;
		p->cascade = hash_name(SPACE_CASCADE, root->db, root->name, NULL);
		p->cascades_down = has_cascading_child(world, target);
	}
	return p;
}

static void
key_plans_free(struct key_plan *k, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		free(k[i].columns);
		free(k[i].prefixes);
	}
	free(k);
}

void
token_plan_free(struct token_plan *p)
{
	if (p == NULL)
		return;
	key_plans_free(p->uniques, p->nuniques);
	key_plans_free(p->parents, p->nparents);
	for (uint32_t i = 0; i < p->ncolumns; i++) {
		free(p->columns[i].charset);
		free(p->target_columns[i].collation);
	}
	free(p->columns);
	free(p->target_columns);
	free(p);
}

/* ---- values ---- */

enum kind_of_value { KIND_HASHED, KIND_NULL, KIND_WILD };

/* Each part is hashed with what came before as its seed. */
static void
chain(uint64_t *h, const void *p, size_t n)
{
	*h = XXH3_64bits_withSeed(p, n, *h);
}

static bool
is_printable(const unsigned char *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

/* Text under its target collation: printable ASCII, folded, without trailing spaces, cut to
 * the prefix. */
static enum kind_of_value
hash_text(uint64_t *h, const char *collation, const struct value *v, uint32_t prefix)
{
	enum fold fold = collation_fold(collation);
	unsigned char folded[256];
	uint32_t n = v->len;

	if (fold == FOLD_UNKNOWN || !is_printable(v->data, n))
		return KIND_WILD;
	if (prefix != 0 && n > prefix)
		n = prefix;
	while (n != 0 && v->data[n - 1] == ' ')
		n--;
	if (fold == FOLD_NONE) {
		chain(h, v->data, n);
		return KIND_HASHED;
	}
	for (uint32_t at = 0; at < n; at += sizeof folded) {
		uint32_t part = n - at < sizeof folded ? n - at : sizeof folded;

		for (uint32_t i = 0; i < part; i++) {
			unsigned char c = v->data[at + i];

			folded[i] = c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
		}
		chain(h, folded, part);
	}
	return KIND_HASHED;
}

/* "-0.50" and "-0.5" are one number: no sign of zero, no trailing zeros. */
static void
hash_decimal(uint64_t *h, const struct value *v)
{
	const char *p = (const char *)v->data;
	uint32_t n = v->len;
	bool zero = true;

	if (memchr(p, '.', n) != NULL)
		while (n != 0 && (p[n - 1] == '0' || p[n - 1] == '.'))
			if (p[--n] == '.')
				break;
	for (uint32_t i = 0; i < n; i++)
		if (p[i] >= '1' && p[i] <= '9')
			zero = false;
	if (zero)
		chain(h, "0", 1);
	else
		chain(h, p, n);
}

static enum kind_of_value
hash_value(uint64_t *h, const struct token_plan *p, uint32_t column, uint32_t prefix,
	const struct value *v)
{
	uint32_t n = v->len;

	if (v->kind == VALUE_NULL)
		return KIND_NULL;
	if (v->kind != VALUE_BYTES)
		return KIND_WILD;
	switch (p->columns[column].type) {
	case TYPE_TEXT:
		if (p->target_columns[column].type == TYPE_TEXT)
			return hash_text(h, p->target_columns[column].collation, v, prefix);
		return KIND_WILD;
	case TYPE_DECIMAL:
		hash_decimal(h, v);
		break;
	case TYPE_BINARY:
		n = prefix != 0 && n > prefix ? prefix : n;
		/* BINARY(n) is padded with zeros or not; equality at the target ignores
		 * neither: cutting is coarser. */
		while (n != 0 && v->data[n - 1] == 0)
			n--;
		chain(h, v->data, n);
		break;
	case TYPE_INTEGER:
	case TYPE_YEAR:
	case TYPE_ENUM:
	case TYPE_SET:
	case TYPE_BIT:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		chain(h, v->data, n);
		break;
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		return KIND_WILD;
	}
	return KIND_HASHED;
}

static enum kind_of_value
hash_key(const struct token_plan *p, const struct key_plan *k, const struct row *r, uint64_t *hash)
{
	enum kind_of_value kind = KIND_HASHED;

	if (k->wild)
		return KIND_WILD;
	*hash = k->seed;
	for (uint32_t i = 0; i < k->n; i++) {
		enum kind_of_value one =
			hash_value(hash, p, k->columns[i], k->prefixes[i], &r->col[k->columns[i]]);
		unsigned char separator = 0;

		if (one == KIND_NULL && !k->nulls_equal)
			return KIND_NULL;
		if (one == KIND_NULL)
			separator = 1;
		if (one == KIND_WILD)
			kind = KIND_WILD;
		chain(hash, &separator, 1);
	}
	return kind;
}

/* R on the index for all who name a value of it, so that a wild value's W waits for them.
 */
static void
add_key(const struct token_plan *p, const struct key_plan *k, const struct row *r,
	enum token_mode mode, struct token_list *out)
{
	uint64_t hash;

	switch (hash_key(p, k, r, &hash)) {
	case KIND_NULL:
		break;
	case KIND_WILD:
		token_add(out, k->index, TOKEN_W);
		break;
	case KIND_HASHED:
	default:
		token_add(out, k->index, TOKEN_R);
		token_add(out, hash, mode);
		break;
	}
}

static bool
key_changes(const struct key_plan *k, const struct row *before, const struct row *after)
{
	for (uint32_t i = 0; i < k->n; i++) {
		uint32_t c = k->columns[i];

		if (c == UINT32_MAX || after->col[c].kind == VALUE_ABSENT ||
			before->col[c].kind == VALUE_ABSENT)
			return true;
		if (after->col[c].kind != VALUE_UNCHANGED &&
			!value_equal(&before->col[c], &after->col[c]))
			return true;
	}
	return false;
}

/* Old and new value of a unique index, if inserted, deleted or changed; the row's identity
 * always.
 */
static void
add_unique(const struct token_plan *p, const struct key_plan *k, bool identity,
	const struct row *before, const struct row *after, struct token_list *out)
{
	bool both = before != NULL && after != NULL;
	bool changes = !both || key_changes(k, before, after);

	if (!changes && !identity)
		return;
	if (before != NULL)
		add_key(p, k, before, TOKEN_W, out);
	if (after != NULL && changes)
		add_key(p, k, after, TOKEN_W, out);
}

void
token_row(const struct token_plan *p, enum event_kind op, const struct row *before,
	const struct row *after, struct token_list *out)
{
	const struct row *b = op != EVENT_INSERT ? before : NULL,
			 *a = op != EVENT_DELETE ? after : NULL;
	bool key_moved = op == EVENT_DELETE;

	token_add(out, p->table, TOKEN_R);
	if (p->keyless != 0)
		token_add(out, p->keyless, op == EVENT_INSERT ? TOKEN_R : TOKEN_W);
	for (uint32_t i = 0; i < p->nuniques; i++) {
		add_unique(p, &p->uniques[i], i == p->identity, b, a, out);
		if (op == EVENT_UPDATE && key_changes(&p->uniques[i], before, after))
			key_moved = true;
	}
	for (uint32_t i = 0; i < p->nparents; i++) {
		token_add(out, p->parents[i].table, TOKEN_R);
		if (a != NULL)
			add_key(p, &p->parents[i], a, TOKEN_R, out);
		if (b != NULL)
			add_key(p, &p->parents[i], b, TOKEN_R, out);
	}
	if (p->cascade != 0)
		token_add(out, p->cascade, p->cascades_down && key_moved ? TOKEN_W : TOKEN_R);
}

void
token_chunk(const struct token_plan *p, struct token_list *out)
{
	token_add(out, p->table, TOKEN_C);
	if (p->cascade != 0)
		token_add(out, p->cascade, TOKEN_R);
}

void
token_ring(uint32_t ring, struct token_list *out)
{
	token_add(out, XXH3_64bits_withSeed(&ring, sizeof ring, SPACE_RING), TOKEN_W);
}

uint64_t
token_component(const struct token_plan *p)
{
	return p->component;
}
