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
catalog_release(struct catalog *c)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct catalog_object *o = &c->objects[i];

		free(o->db);
		free(o->name);
		free(o->sql);
		free(o->session);
		table_free(o->table);
	}
	free(c->objects);
	*c = (struct catalog){0};
}
