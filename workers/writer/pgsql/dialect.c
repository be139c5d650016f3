/*
 * dialect.c - relatives of PostgreSQL as targets; see sink.h of the room.
 *
 * Greenplum (and AnalyticDB PG): a table's rows lie on segments by some columns
 * of its primary key, and only indexes that have these can be unique. Foreign
 * keys are kept by nobody. 6 is PostgreSQL 9.4 and 7 is PostgreSQL 12, by which
 * statements go, as with any other server.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "workers/writer/pgsql/sink.h"

#define OLDEST 90400

static const struct pgsql_dialect dialects[] = {
	{.name = "postgresql", .foreign_keys = true},
	{.name = "greenplum", .product = PGSQL_GREENPLUM, .distributed = true, .staged = true},
};

const struct pgsql_dialect *
pgsink_dialect(const struct conf *c)
{
	for (size_t i = 0; i < COUNT_OF(dialects); i++)
		if (conf_is(c, "target.dialect", dialects[i].name))
			return &dialects[i];
	bug("a dialect without a row");
}

/* Which dialect the server's version() tells of. */
static const struct pgsql_dialect *
spoken(const char *version)
{
	for (size_t i = 0; i < COUNT_OF(dialects); i++)
		if (dialects[i].product != NULL && strstr(version, dialects[i].product) != NULL)
			return &dialects[i];
	return &dialects[0];
}

enum rc
pgsink_check_dialect(struct pgsql_sink *s, struct err *e)
{
	char *version = NULL;
	enum rc rc = pgsql_value(&s->main, &version, e, "SELECT version()");

	if (rc == RC_OK && spoken(version) != s->dialect) {
		err_set(e, RC_CONFIG, "the target is %.60s, and target.dialect is \"%s\"", version,
			s->dialect->name);
		rc = err_remedy(e, "set target.dialect = \"%s\"", spoken(version)->name);
	} else if (rc == RC_OK && s->main.version < OLDEST) {
		err_set(e, RC_CONFIG, "the target is PostgreSQL %d.%d, which is too old",
			s->main.version / 10000, s->main.version / 100 % 100);
		rc = err_remedy(e, "use PostgreSQL 9.4, Greenplum 6 or a later one as the target");
	}
	free(version);
	return rc;
}

/* ---- keys and distributions ---- */

static const struct index *
primary(const struct table *t)
{
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (t->indexes[i].primary)
			return &t->indexes[i];
	return NULL;
}

static bool
has_part(const struct index *ix, uint32_t column)
{
	for (uint32_t p = 0; p < ix->nparts; p++)
		if (ix->parts[p].column == column && ix->parts[p].prefix == 0)
			return true;
	return false;
}

static enum rc
no_key(const struct table *t, const char *why, struct err *e)
{
	err_set(e, RC_CONFIG, "source table %s.%s has no primary key for the target: %s", t->db,
		t->name, why);
	return err_remedy(e,
		"give it one at the source, or name its columns: primary_key in the table's entry "
		"of objects");
}

static enum rc
set_primary(const struct routes *r, struct table *t, struct err *e)
{
	const char *const *names;
	uint32_t n = routes_list(r, t->db, t->name, ROUTE_PRIMARY_KEY, &names);
	struct index *ix;

	if (n == 0)
		return primary(t) != NULL ? RC_OK
					  : no_key(t, "it has none whose columns are carried", e);
	for (uint32_t i = 0; i < t->nindexes; i++)
		if (t->indexes[i].primary)
			t->indexes[i].primary = t->indexes[i].unique = false;
	ix = table_add_index(t, "PRIMARY", true, true);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t c = table_column(t, names[i]);

		if (c == UINT32_MAX)
			return no_key(t, "primary_key names a column that is not carried", e);
		t->columns[c].nullable = false;
		index_add_part(ix, c, 0);
	}
	return RC_OK;
}

static enum rc
set_distribution(const struct routes *r, struct pgsql_shape *s, struct err *e)
{
	const struct table *t = s->table;
	const char *const *names;
	uint32_t n = routes_list(r, t->db, t->name, ROUTE_DISTRIBUTED_BY, &names);
	const struct index *key = primary(t);

	s->by = xcalloc(n + key->nparts, sizeof *s->by);
	for (uint32_t p = 0; n == 0 && p < key->nparts; p++)
		s->by[s->nby++] = key->parts[p].column;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t c = table_column(t, names[i]);

		if (c == UINT32_MAX || !has_part(key, c)) {
			err_set(e, RC_CONFIG,
				"distributed_by of %s.%s names \"%s\", which is no column of the "
				"target's primary key",
				t->db, t->name, names[i]);
			return err_remedy(e,
				"take columns of the primary key, or list it in primary_key, too");
		}
		s->by[s->nby++] = c;
	}
	return RC_OK;
}

/* Uniqueness is kept within a segment alone. */
static void
weaken_indexes(const struct pgsql_shape *s)
{
	for (uint32_t i = 0; i < s->table->nindexes; i++) {
		struct index *ix = &s->table->indexes[i];
		bool whole = true;

		for (uint32_t k = 0; k < s->nby; k++)
			whole = whole && has_part(ix, s->by[k]);
		if (!ix->unique || whole)
			continue;
		ix->unique = false;
		log_info("index %s of %s.%s is not unique at the target: it lacks a column by "
			 "which the table's rows are distributed",
			ix->name, s->table->db, s->table->name);
	}
}

/* What these did is not in MySQL's log (before 9.6): the target would have to do it again. */
enum rc
pgsink_check_cascades(const struct pgsql_sink *s, const struct table *t, struct err *e)
{
	for (uint32_t i = 0; i < t->nfks && !s->dialect->foreign_keys; i++) {
		const struct foreign_key *fk = &t->fks[i];

		if (fk->in_log || (fk->on_delete == FK_NONE && fk->on_update == FK_NONE))
			continue;
		err_set(e, RC_CONFIG,
			"foreign key %s of source table %s.%s has an action (CASCADE, SET NULL), "
			"and no %s runs any",
			fk->name, t->db, t->name, s->dialect->product);
		return err_remedy(e, "make it RESTRICT at the source, or leave the table out");
	}
	return RC_OK;
}

enum rc
pgsink_shape(
	const struct pgsql_sink *s, const struct table *t, struct pgsql_shape *out, struct err *e)
{
	enum rc rc;

	*out = (struct pgsql_shape){.table = table_copy(t)};
	if (!s->dialect->distributed)
		return RC_OK;
	rc = pgsink_check_cascades(s, t, e);
	if (rc == RC_OK)
		rc = set_primary(s->env.routes, out->table, e);
	if (rc == RC_OK)
		rc = set_distribution(s->env.routes, out, e);
	if (rc == RC_OK)
		weaken_indexes(out);
	return rc;
}

void
pgsink_shape_release(struct pgsql_shape *s)
{
	table_free(s->table);
	free(s->by);
}
