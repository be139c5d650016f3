/* schema.c - see schema.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/schema.h"

#define SCHEMA_VERSION 6
#define MAX_COLUMNS 65536u

struct table *
table_new(const char *db, const char *name)
{
	struct table *t = xcalloc(1, sizeof *t);

	t->db = xstrdup(db);
	t->name = xstrdup(name);
	return t;
}

static void
free_names(char **names, uint32_t n)
{
	for (uint32_t i = 0; names != NULL && i < n; i++)
		free(names[i]);
	free(names);
}

static void
column_release(struct column *c)
{
	free(c->name);
	free(c->native);
	free(c->charset);
	free(c->collation);
	free(c->preset);
	free(c->comment);
	free_names(c->labels, c->nlabels);
}

static void
fk_release(struct foreign_key *fk)
{
	free(fk->name);
	free(fk->columns);
	free(fk->ref_db);
	free(fk->ref_table);
	free(fk->clause);
	free_names(fk->ref_columns, fk->ncolumns);
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->ncolumns; i++)
		column_release(&t->columns[i]);
	for (uint32_t i = 0; i < t->nindexes; i++) {
		free(t->indexes[i].name);
		free(t->indexes[i].parts);
	}
	for (uint32_t i = 0; i < t->nfks; i++)
		fk_release(&t->fks[i]);
	free(t->columns);
	free(t->indexes);
	free(t->fks);
	free(t->db);
	free(t->name);
	free(t->engine);
	free(t->collation);
	free(t->comment);
	free(t->where);
	free(t);
}

void
table_list_add(struct table_list *l, struct table *t)
{
	grow(&l->tables, &l->cap, l->count + 1, sizeof(struct table *));
	l->tables[l->count++] = t;
}

struct table *
table_list_find(const struct table_list *l, size_t *hint, const char *db, const char *name)
{
	for (size_t n = 0; n < l->count; n++) {
		size_t i = (*hint + n) % l->count;

		if (strcmp(l->tables[i]->name, name) == 0 && strcmp(l->tables[i]->db, db) == 0) {
			*hint = i;
			return l->tables[i];
		}
	}
	return NULL;
}

void
table_list_release(struct table_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		table_free(l->tables[i]);
	free(l->tables);
	*l = (struct table_list){0};
}

struct table *
table_copy_whole(const struct table *t)
{
	struct table *copy;
	struct cursor c;
	struct buf b;

	buf_init(&b);
	table_encode(t, &b);
	cursor_init(&c, b.data, b.len);
	if (table_decode(&c, &copy, NULL) != RC_OK)
		copy = NULL;
	buf_release(&b);
	return copy;
}

struct table *
table_copy(const struct table *t)
{
	struct table *copy = table_copy_whole(t);

	if (copy == NULL)
		abort();
	return copy;
}

struct column *
table_add_column(struct table *t, const char *name, enum type type)
{
	struct column *c;

	t->columns = xreallocarray(t->columns, t->ncolumns + 1, sizeof *t->columns);
	c = &t->columns[t->ncolumns++];
	*c = (struct column){.name = xstrdup(name), .type = type};
	return c;
}

void
table_copy_column(struct table *t, const struct column *c)
{
	struct column *n = table_add_column(t, c->name, c->type);
	char *name = n->name;

	*n = *c;
	n->name = name;
	n->native = c->native != NULL ? xstrdup(c->native) : NULL;
	n->charset = c->charset != NULL ? xstrdup(c->charset) : NULL;
	n->collation = c->collation != NULL ? xstrdup(c->collation) : NULL;
	n->preset = c->preset != NULL ? xstrdup(c->preset) : NULL;
	n->comment = c->comment != NULL ? xstrdup(c->comment) : NULL;
	n->labels = c->nlabels != 0 ? xcalloc(c->nlabels, sizeof *n->labels) : NULL;
	for (uint32_t i = 0; i < c->nlabels; i++)
		n->labels[i] = xstrdup(c->labels[i]);
}

struct index *
table_add_index(struct table *t, const char *name, bool primary, bool unique)
{
	struct index *ix;

	t->indexes = xreallocarray(t->indexes, t->nindexes + 1, sizeof *t->indexes);
	ix = &t->indexes[t->nindexes++];
	*ix = (struct index){.name = xstrdup(name), .primary = primary, .unique = unique};
	return ix;
}

void
index_add_part(struct index *ix, uint32_t column, uint32_t prefix)
{
	ix->parts = xreallocarray(ix->parts, ix->nparts + 1, sizeof *ix->parts);
	ix->parts[ix->nparts++] = (struct index_part){column, prefix};
}

struct foreign_key *
table_add_fk(struct table *t, const char *name)
{
	t->fks = xreallocarray(t->fks, t->nfks + 1, sizeof *t->fks);
	t->fks[t->nfks] = (struct foreign_key){.name = xstrdup(name)};
	return &t->fks[t->nfks++];
}

/* place: column of the whole -> column of the part; UINT32_MAX: not there. */
static void
pick_index(struct table *to, const struct index *ix, const uint32_t *place)
{
	struct index *n;

	for (uint32_t i = 0; i < ix->nparts; i++)
		if (ix->parts[i].column == UINT32_MAX || place[ix->parts[i].column] == UINT32_MAX)
			return;
	n = table_add_index(to, ix->name, ix->primary, ix->unique);
	n->nulls_equal = ix->nulls_equal;
	n->deferral = ix->deferral;
	for (uint32_t i = 0; i < ix->nparts; i++)
		index_add_part(n, place[ix->parts[i].column], ix->parts[i].prefix);
}

static void
pick_fk(struct table *to, const struct foreign_key *fk, const uint32_t *place)
{
	struct foreign_key *n;

	for (uint32_t i = 0; i < fk->ncolumns; i++)
		if (place[fk->columns[i]] == UINT32_MAX)
			return;
	n = table_add_fk(to, fk->name);
	n->ref_db = xstrdup(fk->ref_db);
	n->ref_table = xstrdup(fk->ref_table);
	n->on_delete = fk->on_delete;
	n->on_update = fk->on_update;
	n->in_log = fk->in_log;
	n->clause = fk->clause != NULL ? xstrdup(fk->clause) : NULL;
	n->ncolumns = fk->ncolumns;
	n->columns = xcalloc(fk->ncolumns, sizeof *n->columns);
	n->ref_columns = xcalloc(fk->ncolumns, sizeof *n->ref_columns);
	for (uint32_t i = 0; i < fk->ncolumns; i++) {
		n->columns[i] = place[fk->columns[i]];
		n->ref_columns[i] = xstrdup(fk->ref_columns[i]);
	}
}

struct table *
table_pick(const struct table *t, const uint32_t *pick, uint32_t n)
{
	uint32_t *place = xcalloc(t->ncolumns, sizeof *place);
	struct table *part = table_new(t->db, t->name);

	memset(place, 0xff, t->ncolumns * sizeof *place);
	for (uint32_t i = 0; i < n; i++) {
		place[pick[i]] = i;
		table_copy_column(part, &t->columns[pick[i]]);
	}
	for (uint32_t i = 0; i < t->nindexes; i++)
		pick_index(part, &t->indexes[i], place);
	for (uint32_t i = 0; i < t->nfks; i++)
		pick_fk(part, &t->fks[i], place);
	part->comment = t->comment != NULL ? xstrdup(t->comment) : NULL;
	part->engine = t->engine != NULL ? xstrdup(t->engine) : NULL;
	part->rows = t->rows;
	part->bytes = t->bytes;
	free(place);
	return part;
}

uint32_t
table_column(const struct table *t, const char *name)
{
	for (uint32_t i = 0; i < t->ncolumns; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return i;
	for (uint32_t i = 0; i < t->ncolumns; i++)
		if (strcasecmp(t->columns[i].name, name) == 0)
			return i;
	return UINT32_MAX;
}

static bool
identifies_rows(const struct table *t, const struct index *ix)
{
	if (!ix->unique || ix->deferral != DEFERRAL_NONE || ix->nparts == 0)
		return false;
	for (uint32_t i = 0; i < ix->nparts; i++) {
		const struct index_part *p = &ix->parts[i];

		if (p->prefix != 0 || p->column >= t->ncolumns || t->columns[p->column].nullable)
			return false;
	}
	return true;
}

const struct index *
table_key(const struct table *t)
{
	const struct index *found = NULL;

	for (uint32_t i = 0; i < t->nindexes; i++) {
		const struct index *ix = &t->indexes[i];

		if (!identifies_rows(t, ix))
			continue;
		if (ix->primary)
			return ix;
		if (found == NULL)
			found = ix;
	}
	return found;
}

enum column_flag {
	FLAG_UNSIGNED = 1,
	FLAG_NULLABLE = 2,
	FLAG_GENERATED = 4,
	FLAG_AUTO = 8,
	FLAG_NOW = 16
};
enum index_flag {
	FLAG_PRIMARY = 1,
	FLAG_UNIQUE = 2,
	FLAG_NULLS_EQUAL = 4,
	FLAG_DEFERRABLE = 8,
	FLAG_DEFERRED = 16
};

static void
encode_names(char *const *names, uint32_t n, struct buf *b)
{
	buf_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		buf_str(b, names[i]);
}

static void
encode_column(const struct column *c, struct buf *b)
{
	buf_str(b, c->name);
	buf_u8(b, (uint8_t)c->type);
	buf_u32(b, c->number);
	buf_str(b, c->native);
	buf_u8(b,
		(uint8_t)((c->is_unsigned ? FLAG_UNSIGNED : 0) | (c->nullable ? FLAG_NULLABLE : 0) |
			  (c->generated ? FLAG_GENERATED : 0) |
			  (c->auto_increment ? FLAG_AUTO : 0) | (c->preset_now ? FLAG_NOW : 0)));
	buf_u32(b, c->length);
	buf_u32(b, c->precision);
	buf_u32(b, c->scale);
	buf_str(b, c->charset);
	buf_str(b, c->collation);
	encode_names(c->labels, c->nlabels, b);
	buf_str(b, c->preset);
	buf_str(b, c->comment);
}

static void
encode_index(const struct index *ix, struct buf *b)
{
	buf_str(b, ix->name);
	buf_u8(b, (uint8_t)((ix->primary ? FLAG_PRIMARY : 0) | (ix->unique ? FLAG_UNIQUE : 0) |
			    (ix->nulls_equal ? FLAG_NULLS_EQUAL : 0) |
			    (ix->deferral != DEFERRAL_NONE ? FLAG_DEFERRABLE : 0) |
			    (ix->deferral == DEFERRAL_BEGINS ? FLAG_DEFERRED : 0)));
	buf_u32(b, ix->nparts);
	for (uint32_t i = 0; i < ix->nparts; i++) {
		buf_u32(b, ix->parts[i].column);
		buf_u32(b, ix->parts[i].prefix);
	}
}

static void
encode_fk(const struct foreign_key *fk, struct buf *b)
{
	buf_str(b, fk->name);
	buf_str(b, fk->ref_db);
	buf_str(b, fk->ref_table);
	buf_u8(b, (uint8_t)fk->on_delete);
	buf_u8(b, (uint8_t)fk->on_update);
	buf_u8(b, fk->in_log);
	buf_str(b, fk->clause);
	encode_names(fk->ref_columns, fk->ncolumns, b);
	for (uint32_t i = 0; i < fk->ncolumns; i++)
		buf_u32(b, fk->columns[i]);
}

void
table_encode(const struct table *t, struct buf *b)
{
	buf_u8(b, SCHEMA_VERSION);
	buf_str(b, t->db);
	buf_str(b, t->name);
	buf_str(b, t->engine);
	buf_str(b, t->collation);
	buf_str(b, t->comment);
	buf_str(b, t->where);
	buf_u64(b, t->rows);
	buf_u64(b, t->bytes);
	buf_u32(b, t->ncolumns);
	for (uint32_t i = 0; i < t->ncolumns; i++)
		encode_column(&t->columns[i], b);
	buf_u32(b, t->nindexes);
	for (uint32_t i = 0; i < t->nindexes; i++)
		encode_index(&t->indexes[i], b);
	buf_u32(b, t->nfks);
	for (uint32_t i = 0; i < t->nfks; i++)
		encode_fk(&t->fks[i], b);
}

/* A count of things of at least `size` bytes each: never more than the bytes that are left. */
static uint32_t
decode_count(struct cursor *c, size_t size)
{
	uint32_t n = cursor_u32(c);

	if (n > MAX_COLUMNS || n > cursor_left(c) / size) {
		c->bad = true;
		return 0;
	}
	return n;
}

static char **
decode_names(struct cursor *c, uint32_t *n)
{
	char **names;

	*n = decode_count(c, 4);
	names = *n != 0 ? xcalloc(*n, sizeof *names) : NULL;
	for (uint32_t i = 0; i < *n; i++)
		names[i] = cursor_strdup(c);
	return names;
}

/* A name that must be there. */
static char *
decode_name(struct cursor *c)
{
	char *s = cursor_strdup(c);

	if (s == NULL) {
		c->bad = true;
		s = xstrdup("");
	}
	return s;
}

static void
decode_column(struct cursor *c, struct table *t)
{
	struct column *col;
	char *name = decode_name(c);
	uint8_t type = cursor_u8(c), flags;

	if (type >= TYPE_COUNT)
		c->bad = true;
	col = table_add_column(t, name, c->bad ? TYPE_BINARY : (enum type)type);
	free(name);
	col->number = cursor_u32(c);
	col->native = cursor_strdup(c);
	flags = cursor_u8(c);
	col->is_unsigned = flags & FLAG_UNSIGNED;
	col->nullable = flags & FLAG_NULLABLE;
	col->generated = flags & FLAG_GENERATED;
	col->auto_increment = flags & FLAG_AUTO;
	col->length = cursor_u32(c);
	col->precision = cursor_u32(c);
	col->scale = cursor_u32(c);
	col->charset = cursor_strdup(c);
	col->collation = cursor_strdup(c);
	col->labels = decode_names(c, &col->nlabels);
	col->preset = cursor_strdup(c);
	col->comment = cursor_strdup(c);
	col->preset_now = flags & FLAG_NOW;
}

static void
decode_index(struct cursor *c, struct table *t)
{
	char *name = decode_name(c);
	uint8_t flags = cursor_u8(c);
	struct index *ix = table_add_index(t, name, flags & FLAG_PRIMARY, flags & FLAG_UNIQUE);
	uint32_t n = decode_count(c, 8);

	free(name);
	ix->nulls_equal = flags & FLAG_NULLS_EQUAL;
	ix->deferral = (flags & FLAG_DEFERRED) != 0	? DEFERRAL_BEGINS
		       : (flags & FLAG_DEFERRABLE) != 0 ? DEFERRAL_MAY
							: DEFERRAL_NONE;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t column = cursor_u32(c), prefix = cursor_u32(c);

		if (column != UINT32_MAX && column >= t->ncolumns)
			c->bad = true;
		index_add_part(ix, column, prefix);
	}
}

static void
decode_fk(struct cursor *c, struct table *t)
{
	char *name = decode_name(c);
	struct foreign_key *fk = table_add_fk(t, name);
	uint8_t on_delete, on_update;

	free(name);
	fk->ref_db = decode_name(c);
	fk->ref_table = decode_name(c);
	on_delete = cursor_u8(c);
	on_update = cursor_u8(c);
	if (on_delete > FK_SET_DEFAULT || on_update > FK_SET_DEFAULT)
		c->bad = true;
	fk->on_delete = (enum fk_action)on_delete;
	fk->on_update = (enum fk_action)on_update;
	fk->in_log = cursor_u8(c) != 0;
	fk->clause = cursor_strdup(c);
	fk->ref_columns = decode_names(c, &fk->ncolumns);
	fk->columns = xcalloc(fk->ncolumns, sizeof *fk->columns);
	for (uint32_t i = 0; i < fk->ncolumns; i++) {
		fk->columns[i] = cursor_u32(c);
		if (fk->columns[i] >= t->ncolumns || fk->ref_columns[i] == NULL)
			c->bad = true;
	}
}

/* A channel's tables are kept at its target from one version of us to the next. */
static enum rc
other_version(unsigned version, struct err *e)
{
	err_set(e, RC_CONFIG,
		"a table's description was kept by another version of syncline (format %u; this "
		"one has %d)",
		version, SCHEMA_VERSION);
	return err_remedy(e, "go on with the version that the channel was begun with, or `syncline "
			     "reset` it, which loads everything again");
}

enum rc
table_decode(struct cursor *c, struct table **out, struct err *e)
{
	unsigned version = cursor_u8(c);
	struct table *t;
	uint32_t n;

	*out = NULL;
	if (cursor_ok(c) && version != SCHEMA_VERSION)
		return other_version(version, e);
	t = xcalloc(1, sizeof *t);
	t->db = decode_name(c);
	t->name = decode_name(c);
	t->engine = cursor_strdup(c);
	t->collation = cursor_strdup(c);
	t->comment = cursor_strdup(c);
	t->where = cursor_strdup(c);
	t->rows = cursor_u64(c);
	t->bytes = cursor_u64(c);
	n = decode_count(c, 30);
	for (uint32_t i = 0; i < n && cursor_ok(c); i++)
		decode_column(c, t);
	n = decode_count(c, 9);
	for (uint32_t i = 0; i < n && cursor_ok(c); i++)
		decode_index(c, t);
	n = decode_count(c, 18);
	for (uint32_t i = 0; i < n && cursor_ok(c); i++)
		decode_fk(c, t);
	if (!cursor_ok(c)) {
		table_free(t);
		return err_set(e, RC_BUG, "cannot decode a table schema: bytes are damaged");
	}
	*out = t;
	return RC_OK;
}
