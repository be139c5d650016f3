/* tables.c - see tables.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/pgsql/tables.h"

/* What the catalog says of a type and modifier; asked once. */
struct native_type {
	char *name; /* of a type without a number */
	uint32_t oid;
	int32_t modifier;
	char *native;
	char *base; /* typname without domains */
	int32_t base_modifier;
	struct native_type *next;
};

/* ---- relations ---- */

static void
relation_clear(struct relation *r)
{
	for (uint32_t i = 0; i < r->ncolumns; i++) {
		free((char *)r->columns[i].name);
		free((char *)r->columns[i].native);
	}
	free(r->columns);
	free(r->schema);
	free(r->name);
	free(r->map);
	r->map = NULL;
	r->feed = NULL;
}

static bool
is_rewrite(const char *name)
{
	static const char prefix[] = "pg_temp_";

	return strncmp(name, prefix, sizeof prefix - 1) == 0 &&
	       strspn(name + sizeof prefix - 1, "0123456789") == strlen(name) - (sizeof prefix - 1);
}

void
log_relations_take(struct log_relations *lr, const struct pgout_relation *from)
{
	struct relation *r = log_relations_find(lr, from->oid);

	if (r == NULL) {
		r = xcalloc(1, sizeof *r);
		r->next = lr->relations;
		lr->relations = r;
	} else {
		relation_clear(r);
	}
	r->oid = from->oid;
	r->schema = xstrdup(from->schema);
	r->name = xstrdup(from->name);
	r->identity = from->identity;
	r->ncolumns = from->ncolumns;
	r->columns = xcalloc(r->ncolumns, sizeof *r->columns);
	for (uint32_t i = 0; i < r->ncolumns; i++) {
		r->columns[i] = from->columns[i];
		r->columns[i].name = xstrdup(from->columns[i].name);
		if (from->columns[i].native != NULL)
			r->columns[i].native = xstrdup(from->columns[i].native);
	}
	/* Before 11 lines show how a table is rewritten: as a table of that name which fills. */
	if (r->ncolumns != 0 && r->columns[0].native != NULL && is_rewrite(r->name))
		r->selected = false;
	else if (strcmp(r->schema, conf_str(lr->s->env.conf, "state_schema")) == 0)
		r->notes = strcmp(r->name, "ddl") == 0;
	else
		r->selected = routes_table(lr->s->env.routes, r->schema, r->name);
	r->checked = false;
}

struct relation *
log_relations_find(const struct log_relations *lr, uint32_t oid)
{
	struct relation *r = lr->relations;

	while (r != NULL && r->oid != oid)
		r = r->next;
	return r;
}

/* ---- tables ---- */

static struct table **
find_table(const struct log_relations *lr, const char *schema, const char *name)
{
	for (size_t i = 0; i < lr->tables.count; i++)
		if (strcmp(lr->tables.tables[i]->name, name) == 0 &&
			strcmp(lr->tables.tables[i]->db, schema) == 0)
			return &lr->tables.tables[i];
	return NULL;
}

bool
log_relations_knows(const struct log_relations *lr, const char *db, const char *name)
{
	return find_table(lr, db, name) != NULL;
}

enum rc
log_relations_restore(struct log_relations *lr, struct err *e)
{
	const struct resume *resume = lr->s->env.resume;

	for (uint32_t i = 0; i < resume->ntables; i++) {
		const struct resume_table *r = &resume->tables[i];
		struct table *t;
		struct cursor c;
		enum rc rc;

		if (r->schema.len == 0 || *r->name == '\0')
			continue;
		cursor_init(&c, r->schema.data, r->schema.len);
		if ((rc = table_decode(&c, &t, e)) != RC_OK)
			return rc;
		table_list_add(&lr->tables, t);
	}
	for (size_t i = 0; i < lr->s->begun.count; i++) {
		const struct table *t = lr->s->begun.tables[i];

		if (find_table(lr, t->db, t->name) == NULL)
			table_list_add(&lr->tables, table_copy(t));
	}
	return RC_OK;
}

void
log_relations_release(struct log_relations *lr)
{
	while (lr->relations != NULL) {
		struct relation *r = lr->relations;

		lr->relations = r->next;
		relation_clear(r);
		free(r);
	}
	while (lr->types != NULL) {
		struct native_type *t = lr->types;

		lr->types = t->next;
		free(t->name);
		free(t->native);
		free(t->base);
		free(t);
	}
	table_list_release(&lr->tables);
}

/* ---- types ---- */

static bool
is_type(const struct native_type *t, const struct pgout_column *c)
{
	if (c->native != NULL)
		return t->name != NULL && strcmp(t->name, c->native) == 0;
	return t->name == NULL && t->oid == c->type && t->modifier == c->modifier;
}

static void
put_oid(struct buf *b, const struct pgout_column *c)
{
	if (c->native == NULL) {
		buf_printf(b, "%" PRIu32, c->type);
		return;
	}
	buf_puts(b, "to_regtype(");
	pgsql_quote_text(b, c->native);
	buf_putc(b, ')');
}

static enum rc
look_up_type(struct log_relations *lr, const struct pgout_column *c, const struct native_type **out,
	struct err *e)
{
	struct native_type *t;
	PGresult *res;
	struct buf b;
	enum rc rc;

	for (t = lr->types; t != NULL; t = t->next)
		if (is_type(t, c)) {
			*out = t;
			return RC_OK;
		}
	buf_init(&b);
	put_oid(&b, c);
	rc = pgsql_query(&lr->s->main, &res, e,
		"SELECT format_type(t.oid, %" PRId32 "), coalesce(b.typname, t.typname), "
		"CASE WHEN b.oid IS NULL THEN %" PRId32 " ELSE t.typtypmod END FROM pg_type t "
		"LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype WHERE t.oid = %s",
		c->modifier, c->modifier, buf_text(&b));
	buf_release(&b);
	if (rc != RC_OK)
		return rc;
	t = xcalloc(1, sizeof *t);
	t->name = c->native != NULL ? xstrdup(c->native) : NULL;
	t->oid = c->type;
	t->modifier = c->modifier;
	t->native = xstrdup(PQntuples(res) != 0 ? PQgetvalue(res, 0, 0) : "text");
	t->base = xstrdup(PQntuples(res) != 0 ? PQgetvalue(res, 0, 1) : "text");
	t->base_modifier =
		PQntuples(res) != 0 ? (int32_t)strtol(PQgetvalue(res, 0, 2), NULL, 10) : -1;
	t->next = lr->types;
	lr->types = t;
	*out = t;
	PQclear(res);
	return RC_OK;
}

/* "numeric(8,2)" is "numeric": a line does not tell modifiers. */
static bool
same_but_modifiers(const char *line, const char *native)
{
	const char *open = strchr(native, '('), *close = open != NULL ? strchr(open, ')') : NULL;
	size_t head;

	if (close == NULL || strchr(line, '(') != NULL)
		return strcmp(line, native) == 0;
	head = (size_t)(open - native);
	return strncmp(line, native, head) == 0 && strcmp(line + head, close + 1) == 0;
}

/* The catalog is younger than the log: a type of a schema may have another name there, or be gone.
 * Notes tell of that, and of columns with another type. */
static bool
same_type(const struct log_relations *lr, const struct pgout_column *c, const char *looked_up,
	const char *native)
{
	if (c->native != NULL)
		return same_but_modifiers(c->native, native);
	return strcmp(looked_up, native) == 0 || (lr->s->notes && strchr(native, '.') != NULL);
}

/* ---- relation against table ---- */

static bool
same_columns(const struct log_relations *lr, const struct relation *r, char *const *natives,
	const struct table *t)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		if (c->generated)
			continue;
		if (at >= r->ncolumns || strcmp(r->columns[at].name, c->name) != 0 ||
			!same_type(lr, &r->columns[at], natives[at], c->native))
			return false;
		at++;
	}
	return at == r->ncolumns;
}

static bool
is_key(const struct table *t, uint32_t column)
{
	const struct index *key = table_key(t);

	for (uint32_t i = 0; key != NULL && i < key->nparts; i++)
		if (key->parts[i].column == column)
			return true;
	return false;
}

/* A line does not tell keys. */
static void
make_map(struct relation *r, const struct table *t)
{
	free(r->map);
	r->map = xcalloc(r->ncolumns, sizeof *r->map);
	for (uint32_t i = 0; i < r->ncolumns; i++)
		r->map[i] = table_column(t, r->columns[i].name);
	for (uint32_t i = 0; i < r->ncolumns; i++)
		if (r->columns[i].native != NULL)
			r->columns[i].key = is_key(t, r->map[i]);
}

static enum rc
describe_now(struct log_relations *lr, const struct relation *r, struct table **out, struct err *e)
{
	struct table_list list = {0};
	enum rc rc = pgsql_describe(&lr->s->main, r->schema, r->name, &list, e);

	*out = NULL;
	if (rc == RC_OK && list.count == 1) {
		*out = list.tables[0];
		list.tables[0] = NULL;
	}
	table_list_release(&list);
	return rc;
}

/* An index of the catalog's whose columns the relation has. */
static void
take_index(struct table *to, const struct table *from, const struct index *ix)
{
	struct index *copy = table_add_index(to, ix->name, ix->primary, ix->unique);

	copy->nulls_equal = ix->nulls_equal;
	copy->deferral = ix->deferral;
	for (uint32_t p = 0; p < ix->nparts; p++)
		index_add_part(copy,
			ix->parts[p].column != UINT32_MAX
				? table_column(to, from->columns[ix->parts[p].column].name)
				: UINT32_MAX,
			ix->parts[p].prefix);
}

/* The relation's columns; what it does not tell is the catalog's, or as it was. */
static enum rc
table_of(struct log_relations *lr, const struct relation *r, const struct table *now,
	const struct table *was, struct table **out, struct err *e)
{
	struct table *t = table_new(r->schema, r->name);

	for (uint32_t i = 0; i < r->ncolumns; i++) {
		const struct pgout_column *from = &r->columns[i];
		const struct native_type *type;
		const struct column *like = NULL;
		struct column *c;
		enum rc rc = look_up_type(lr, from, &type, e);

		if (rc != RC_OK) {
			table_free(t);
			return rc;
		}
		if (now != NULL && table_column(now, from->name) != UINT32_MAX)
			like = &now->columns[table_column(now, from->name)];
		else if (was != NULL && table_column(was, from->name) != UINT32_MAX)
			like = &was->columns[table_column(was, from->name)];
		if (like != NULL && from->native != NULL &&
			same_but_modifiers(from->native, like->native)) {
			table_copy_column(t, like);
			continue;
		}
		c = table_add_column(t, from->name, TYPE_TEXT);
		c->number = like != NULL ? like->number : 0;
		c->native = xstrdup(type->native);
		c->nullable = like != NULL ? like->nullable : !from->key;
		c->auto_increment = like != NULL && like->auto_increment;
		c->collation =
			like != NULL && like->collation != NULL ? xstrdup(like->collation) : NULL;
		pgsql_column_type(c, type->base, type->base_modifier);
	}
	now = now != NULL ? now : was;
	for (uint32_t i = 0; now != NULL && i < now->nindexes; i++)
		take_index(t, now, &now->indexes[i]);
	*out = t;
	return RC_OK;
}

static enum rc
natives_of(struct log_relations *lr, const struct relation *r, char **natives, struct err *e)
{
	for (uint32_t i = 0; i < r->ncolumns; i++) {
		const struct native_type *type;
		enum rc rc = look_up_type(lr, &r->columns[i], &type, e);

		if (rc != RC_OK)
			return rc;
		natives[i] = type->native;
	}
	return RC_OK;
}

/* The catalog may be where the relation is: then its word is the whole truth, foreign keys and
 * generated columns too. */
static enum rc
become(struct log_relations *lr, const struct relation *r, char *const *natives,
	const struct table *was, struct table **now, struct err *e)
{
	struct table *catalog;
	enum rc rc = describe_now(lr, r, &catalog, e);

	if (rc != RC_OK)
		return rc;
	if (catalog != NULL && same_columns(lr, r, natives, catalog)) {
		*now = catalog;
		return RC_OK;
	}
	rc = table_of(lr, r, catalog, was, now, e);
	table_free(catalog);
	return rc;
}

enum rc
log_relations_meet(struct log_relations *lr, const struct relation *r, bool *known,
	struct table **now, struct err *e)
{
	char **natives;
	enum rc rc;

	*now = NULL;
	*known = find_table(lr, r->schema, r->name) != NULL;
	if (*known)
		return RC_OK;
	natives = xcalloc(r->ncolumns + 1, sizeof *natives);
	rc = natives_of(lr, r, natives, e);
	if (rc == RC_OK)
		rc = become(lr, r, natives, NULL, now, e);
	free(natives);
	return rc;
}

enum rc
log_relations_check(struct log_relations *lr, struct relation *r, bool *changed, struct table **now,
	struct err *e)
{
	struct table **known = find_table(lr, r->schema, r->name);
	char **natives = xcalloc(r->ncolumns + 1, sizeof *natives);
	enum rc rc = natives_of(lr, r, natives, e);

	*changed = false;
	*now = NULL;
	if (rc == RC_OK && known == NULL) {
		struct table *t;

		rc = become(lr, r, natives, NULL, &t, e);
		if (rc == RC_OK) {
			table_list_add(&lr->tables, t);
			known = find_table(lr, r->schema, r->name);
		}
	}
	if (rc == RC_OK && !same_columns(lr, r, natives, *known)) {
		*changed = true;
		rc = become(lr, r, natives, *known, now, e);
	} else if (rc == RC_OK) {
		r->table = *known;
		r->feed = feed_table(lr->feed, *known);
		make_map(r, *known);
		r->checked = true;
	}
	free(natives);
	return rc;
}

/* ---- what became of the columns ---- */

static const struct column *
by_number(const struct table *t, const struct column *c)
{
	for (uint32_t i = 0; i < t->ncolumns && c->number != 0; i++)
		if (t->columns[i].number == c->number)
			return &t->columns[i];
	return NULL;
}

/*
 * What the rows that were there have in a new column: the constant that the
 * server keeps for them. One that it computed for each row is nowhere in the log.
 */
static enum rc
find_fill(struct log_relations *lr, const struct table *t, const struct column *c,
	struct column_change *out, struct err *e)
{
	PGresult *res;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_table(&b, t->db, t->name);
	rc = pgsql_query(&lr->s->main, &res, e,
		"SELECT %s, atthasdef %s FROM pg_attribute WHERE attrelid = to_regclass('%s') AND "
		"attnum = %" PRIu32,
		lr->s->main.version >= 110000
			? "CASE WHEN atthasmissing THEN (attmissingval::text::text[])[1] END"
			: "NULL::text",
		lr->s->main.version >= 100000 ? "OR attidentity <> ''" : "", buf_text(&b),
		c->number);
	buf_release(&b);
	if (rc != RC_OK)
		return rc;
	if (PQntuples(res) != 0 && !PQgetisnull(res, 0, 0))
		out->fill = xstrdup(PQgetvalue(res, 0, 0));
	out->computed = PQntuples(res) != 0 && out->fill == NULL && *PQgetvalue(res, 0, 1) == 't';
	PQclear(res);
	return RC_OK;
}

static void
noted_fill(const struct noted *noted, struct column_change *out)
{
	for (uint32_t i = 0; i < noted->nfills; i++)
		if (strcmp(noted->fills[i].to, out->to) == 0) {
			out->fill =
				noted->fills[i].fill != NULL ? xstrdup(noted->fills[i].fill) : NULL;
			out->computed = noted->fills[i].computed;
		}
}

enum rc
log_relations_columns(struct log_relations *lr, const struct table *now, const struct noted *noted,
	struct column_change **out, uint32_t *n, struct err *e)
{
	struct table **known = find_table(lr, now->db, now->name);
	struct column_change *changes = xcalloc(now->ncolumns, sizeof *changes);
	enum rc rc = RC_OK;

	*n = 0;
	*out = changes;
	for (uint32_t i = 0; known != NULL && i < now->ncolumns && rc == RC_OK; i++) {
		const struct column *c = &now->columns[i], *was = by_number(*known, c);

		if (was != NULL && strcmp(was->name, c->name) != 0) {
			changes[(*n)++] =
				(struct column_change){.from = xstrdup(was->name), .to = c->name};
		} else if (was == NULL && !c->generated &&
			   (c->number != 0 || table_column(*known, c->name) == UINT32_MAX)) {
			changes[*n] = (struct column_change){.from = xstrdup(""), .to = c->name};
			if (noted != NULL)
				noted_fill(noted, &changes[(*n)++]);
			else
				rc = find_fill(lr, now, c, &changes[(*n)++], e);
		}
	}
	return rc;
}

void
column_changes_free(struct column_change *changes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		free((char *)changes[i].from);
		free((char *)changes[i].fill);
	}
	free(changes);
}

/* Table and handle may be others from here on. */
static void
uncheck(struct log_relations *lr, const char *schema, const char *name)
{
	for (struct relation *r = lr->relations; r != NULL; r = r->next)
		if (strcmp(r->name, name) == 0 && strcmp(r->schema, schema) == 0) {
			r->checked = false;
			r->feed = NULL;
		}
}

void
log_relations_follow(struct log_relations *lr, const struct table *now)
{
	struct table **known = find_table(lr, now->db, now->name);

	FAILPOINT(READER_FOLLOW);
	uncheck(lr, now->db, now->name);
	if (known == NULL) {
		table_list_add(&lr->tables, table_copy(now));
		return;
	}
	table_free(*known);
	*known = table_copy(now);
}

void
log_relations_forget(struct log_relations *lr, const char *schema, const char *name)
{
	struct table **known = find_table(lr, schema, name);

	uncheck(lr, schema, name);
	if (known == NULL)
		return;
	table_free(*known);
	*known = lr->tables.tables[--lr->tables.count];
}

/* ---- lines ---- */

static struct relation *
find_named(const struct log_relations *lr, const char *schema, const char *name)
{
	struct relation *r = lr->relations;

	while (r != NULL && (strcmp(r->name, name) != 0 || strcmp(r->schema, schema) != 0))
		r = r->next;
	return r;
}

static bool
is_same(const struct relation *r, const struct pgout_relation *line)
{
	if (r->ncolumns != line->ncolumns)
		return false;
	for (uint32_t i = 0; i < r->ncolumns; i++)
		if (strcmp(r->columns[i].name, line->columns[i].name) != 0 ||
			strcmp(r->columns[i].native, line->columns[i].native) != 0)
			return false;
	return true;
}

static char *
without_modifiers(const char *native, struct arena *a)
{
	const char *open = strchr(native, '('), *close = open != NULL ? strchr(open, ')') : NULL;
	char *text = arena_strndup(a, native, strlen(native));

	if (close != NULL)
		memmove(text + (open - native), close + 1, strlen(close + 1) + 1);
	return text;
}

/* The first row of a table is one that went, of which the line has the key alone. */
static enum rc
relation_of_table(
	struct log_relations *lr, struct pgout_relation *line, struct arena *a, struct err *e)
{
	struct table **known = find_table(lr, line->schema, line->name), *asked = NULL;
	struct relation named = {.schema = (char *)line->schema, .name = (char *)line->name};
	const struct table *t;
	enum rc rc = known == NULL ? describe_now(lr, &named, &asked, e) : RC_OK;

	t = known != NULL ? *known : asked;
	if (rc == RC_OK && t != NULL) {
		line->ncolumns = 0;
		line->columns = arena_calloc(a, t->ncolumns, sizeof *line->columns);
		for (uint32_t i = 0; i < t->ncolumns; i++)
			if (!t->columns[i].generated)
				line->columns[line->ncolumns++] = (struct pgout_column){
					.name = arena_strndup(
						a, t->columns[i].name, strlen(t->columns[i].name)),
					.native = without_modifiers(t->columns[i].native, a),
					.modifier = -1};
	}
	table_free(asked);
	return rc;
}

/* The values of the line's columns, each where the relation has it. */
static enum rc
reshape(const struct relation *r, const struct pgout_relation *line, struct pgout_tuple *t,
	struct arena *a, struct err *e)
{
	struct pgout_value *values = arena_calloc(a, r->ncolumns, sizeof *values);

	for (uint32_t i = 0; i < r->ncolumns; i++)
		values[i].kind = PGOUT_ABSENT;
	for (uint32_t k = 0; k < t->n; k++) {
		uint32_t i = 0;

		while (i < r->ncolumns && strcmp(r->columns[i].name, line->columns[k].name) != 0)
			i++;
		if (i == r->ncolumns)
			return err_set(e, RC_DATA,
				"the log has a row of %s.%s with a column \"%s\" that the table "
				"does not have",
				r->schema, r->name, line->columns[k].name);
		values[i] = t->values[k];
	}
	*t = (struct pgout_tuple){.values = values, .n = r->ncolumns};
	return RC_OK;
}

enum rc
log_relations_line(struct log_relations *lr, struct pgout_event *ev, struct arena *a, struct err *e)
{
	struct pgout_relation line = ev->relation;
	struct relation *r = find_named(lr, line.schema, line.name);
	bool part = ev->kind == PGOUT_DELETE;
	enum rc rc = RC_OK;

	/* A note may have changed the table since its last whole line. */
	bool stale = part && (r == NULL || (r->selected && !r->checked));

	if (stale && routes_table(lr->s->env.routes, line.schema, line.name))
		rc = relation_of_table(lr, &ev->relation, a, e);
	if (rc == RC_OK && (stale || r == NULL || (!part && !is_same(r, &line)))) {
		ev->relation.oid = r != NULL ? r->oid : ++lr->lines;
		log_relations_take(lr, &ev->relation);
		r = find_named(lr, line.schema, line.name);
	}
	if (rc != RC_OK)
		return rc;
	ev->oid = r->oid;
	return part && r->selected ? reshape(r, &line, &ev->before, a, e) : RC_OK;
}
