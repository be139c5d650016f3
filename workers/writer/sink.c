/* sink.c - the list of sink engines, and what they all say alike. */
#include "common/compat.h"

#include <inttypes.h>
#include <string.h>

#include "workers/writer/sink.h"

#define SINK(ops) extern const struct sink_ops ops;
#include "workers/writer/sinks.def"
#undef SINK

static const struct sink_ops *const engines[] = {
#define SINK(ops) &(ops),
#include "workers/writer/sinks.def"
#undef SINK
};

const struct sink_ops *
sink_find(const char *kind)
{
	for (size_t i = 0; i < COUNT_OF(engines); i++)
		if (strcmp(engines[i]->kind, kind) == 0)
			return engines[i];
	return NULL;
}

#define MANY 20 /* nobody reads more of the same */

/* One that the source computes is computed at the target, or is not there: its values are nowhere
 * in the log. */
static bool
check_generated(const struct sink_env *env, const struct table *source, const struct column *c,
	bool here, struct checks *out)
{
	if (here || !env->losses.foreign)
		return true;
	checks_add(out, CHECK_WARN, SINK_TYPES,
		"make it at the target by hand, as a generated column, if it is wanted there",
		"column \"%s\" of %s.%s is generated and is left out", c->name, source->db,
		source->name);
	return false;
}

static bool
check_loss(const struct sink_env *env, const struct table *source, const struct column *from,
	const struct column *to, struct checks *out)
{
	enum loss l = loss_column(&env->losses, from, to);
	struct err e;

	if (l == LOSS_COUNT)
		return true;
	(void)loss_refuse(l, source, from, to, &e);
	checks_add(out, CHECK_FAIL, SINK_TYPES, e.remedy, "%s", e.text);
	return false;
}

/* here: NULL: it is to be made. Returns how many have been named. */
static uint32_t
check_columns(const struct sink_env *env, const struct table *source, const struct table *here,
	struct checks *out)
{
	uint32_t named = 0;

	for (uint32_t i = 0; i < source->ncolumns; i++) {
		const struct column *from = &source->columns[i];
		const char *name = routes_column(env->routes, source->db, source->name, from->name);
		uint32_t to = name != NULL && here != NULL ? table_column(here, name) : UINT32_MAX;

		if (name != NULL && from->generated)
			named += !check_generated(env, source, from, to != UINT32_MAX, out);
		else if (to != UINT32_MAX)
			named += !check_loss(env, source, from, &here->columns[to], out);
	}
	return named;
}

void
sink_check_columns(struct sink *s, const struct sink_env *env, const struct found_table *t,
	bool there, uint32_t *named, struct checks *out)
{
	struct table *here = NULL;
	struct err ignored;

	if (*named >= MANY)
		return;
	if (!there ||
		s->ops->describe(s, routes_table_db(env->routes, t->db, t->name),
			routes_target_table(env->routes, t->db, t->name), &here, &ignored) == RC_OK)
		*named += check_columns(env, t->table, here, out);
	table_free(here);
}

enum rc
sink_fenced(const struct sink_env *env, uint64_t epoch, struct err *e)
{
	err_set(e, RC_FENCED,
		"another gateway has taken over the channel \"%s\": the target's checkpoint is not "
		"ours any more (epoch %" PRIu64 ")",
		env->channel, epoch);
	return err_remedy(e, "let one gateway run the channel; stop this one's daemon or remove "
			     "the channel's file here");
}

enum rc
sink_intercept(const struct event_object *o, const char *db, const char *name, struct err *e)
{
	err_set(e, RC_CONFIG, "target table %s.%s exists already (source table %s.%s)", db, name,
		o->db, o->name);
	return err_remedy(e, SINK_INTERCEPT_REMEDY);
}

enum rc
sink_shared(const struct event_object *o, const char *db, const char *name, struct err *e)
{
	err_set(e, RC_CONFIG,
		"source table %s.%s is to load again, and rows of target table %s.%s may be "
		"others': existing is \"ignore\"",
		o->db, o->name, db, name);
	return err_remedy(e, "if all rows of that table may go, set existing = \"intercept\" and "
			     "start the channel; it can be set back when the table is loaded");
}

enum existing
sink_existing(const struct conf *c)
{
	if (conf_is(c, "existing", "ignore"))
		return EXISTING_IGNORE;
	return conf_is(c, "existing", "clear") ? EXISTING_CLEAR : EXISTING_INTERCEPT;
}

const char *
sink_create_remedy(const struct conf *c)
{
	return conf_is(c, "ddl", "exclude")
		       ? "create it at the target with the source's columns and keys, for ddl is "
			 "\"exclude\""
		       : "create it at the target with the source's columns and keys, for "
			 "`initial` "
			 "does not name \"schema\"";
}
