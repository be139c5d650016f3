/* source.c - the list of source engines, and their catalog type. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/source.h"

#define SOURCE(ops) extern const struct source_ops ops;
#include "workers/reader/sources.def"
#undef SOURCE

static const struct source_ops *const engines[] = {
#define SOURCE(ops) &(ops),
#include "workers/reader/sources.def"
#undef SOURCE
};

const struct source_ops *
source_find(const char *kind)
{
	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (strcmp(engines[i]->kind, kind) == 0)
			return engines[i];
	return NULL;
}

void
catalog_init(struct catalog *c)
{
	*c = (struct catalog){0};
}

struct catalog_object *
catalog_add(struct catalog *c, enum object_kind kind, const char *db, const char *name)
{
	struct catalog_object *o;

	c->objects = xreallocarray(c->objects, c->count + 1, sizeof *c->objects);
	o = &c->objects[c->count++];
	*o = (struct catalog_object){.kind = kind, .db = xstrdup(db), .name = xstrdup(name)};
	return o;
}

void
catalog_remove_last(struct catalog *c)
{
	struct catalog_object *o = &c->objects[--c->count];

	free(o->db);
	free(o->name);
	free(o->sql);
	free(o->session);
	free(o->on);
	table_free(o->table);
}

void
catalog_release(struct catalog *c)
{
	while (c->count != 0)
		catalog_remove_last(c);
	free(c->objects);
	*c = (struct catalog){0};
}

enum rc
source_without_filters(struct source *s, const struct filter *f, struct err *e)
{
	err_set(e, RC_CONFIG, "where of %s.%s: a source of kind \"%s\" carries no filters",
		filter_table(f)->db, filter_table(f)->name, s->ops->kind);
	return err_remedy(e, "take `where` out of `objects`");
}

enum rc
source_compares_nothing(struct source *s, const struct column *c, const struct value *v,
	const char *literal, int *order, struct err *e)
{
	(void)v;
	(void)literal;
	(void)order;
	return err_set(e, RC_BUG, "a source of kind \"%s\" was asked to compare column \"%s\"",
		s->ops->kind, c->name);
}

bool
source_is_new(const struct source_env *env, const char *db, const char *name)
{
	const struct resume_table *t = resume_find(env->resume, db, name);

	return t == NULL || t->state == TABLE_WAITING;
}
