/*
 * held.c - snapshot = "held": all tables of the beginning in one snapshot, the one
 * of the slot's consistent point; see source.h of the room.
 *
 * Each lane has a transaction of its own in that snapshot, with all tables locked
 * against DDL, made before the first row is read: a lane that came later would
 * wait behind a statement that waits for the others. A statement that changed a table
 * between the point and the locks is found by comparing the catalog as the snapshot
 * sees it with that of now; then all begins again.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/pgsql/source.h"

#define HOLD_TRIES 20
#define LOCK_WAIT_MS 2000

bool
pgsource_wants_held(const struct pgsql_source *s)
{
	return conf_is(s->env.conf, "snapshot", "held") &&
	       conf_has_word(s->env.conf, "initial", "data");
}

void
pgsource_let_go(struct pgsql_source *s)
{
	for (unsigned i = atomic_exchange(&s->taken, s->nheld); i < s->nheld; i++)
		pgsql_close(&s->held[i]);
}

bool
pgsource_take_held(struct pgsql_source *s, struct pgsql *out)
{
	unsigned i = atomic_load(&s->taken);

	while (i < s->nheld)
		if (atomic_compare_exchange_weak(&s->taken, &i, i + 1)) {
			*out = s->held[i];
			s->held[i].conn = NULL;
			return true;
		}
	return false;
}

/* The slot by a command of replication: it alone says what its consistent point looks like. */
static enum rc
create_slot(struct pgsql_source *s, struct logpos *at, char **snapshot, struct err *e)
{
	const char *how = s->main.version >= 170000   ? "(SNAPSHOT 'export', FAILOVER true)"
			  : s->main.version >= 100000 ? "EXPORT_SNAPSHOT"
						      : "";
	struct pgsql_position p = {0};
	char *text = xasprintf("CREATE_REPLICATION_SLOT %s LOGICAL %s %s", s->name,
		SPEAKS_LINES(&s->main) ? "test_decoding" : "pgoutput", how);
	PGresult *res;
	enum rc rc = pgsource_command(s, &res, e, text, 3);

	free(text);
	if (rc != RC_OK)
		return rc;
	rc = pgsource_parse_position(PQgetvalue(res, 0, 1), &p, e);
	*at = (struct logpos){.offset = p.lsn};
	*snapshot = xstrdup(PQgetvalue(res, 0, 2));
	PQclear(res);
	return rc;
}

/* Idle for as long as other lanes take. */
static enum rc
join_snapshot(struct pgsql_source *s, struct pgsql *c, const char *snapshot,
	const struct table_list *tables, struct err *e)
{
	enum rc rc = pgsql_open(c, s->env.conf, "source", false, e);

	if (rc == RC_OK)
		rc = pgsql_run(c, e,
			"SET lock_timeout = %d; BEGIN ISOLATION LEVEL REPEATABLE READ READ "
			"ONLY; SET TRANSACTION SNAPSHOT '%s'",
			LOCK_WAIT_MS, snapshot);
	return rc == RC_OK ? pgsource_pin(s, c, tables, e) : rc;
}

/* What of tables a statement can change. */
static enum rc
fingerprint(struct pgsql *c, char **print, struct err *e)
{
	return pgsql_value(c, print, e,
		"SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT concat_ws(':', c.oid, "
		"c.xmin, c.relname, c.relfilenode) AS x FROM pg_class c JOIN pg_namespace n ON "
		"n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' "
		"UNION ALL SELECT concat_ws('.', a.attrelid, a.attnum, a.xmin) FROM pg_attribute "
		"a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = "
		"c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_') x");
}

static enum rc
is_still(struct pgsql_source *s, bool *still, struct err *e)
{
	char *then = NULL, *now = NULL;
	enum rc rc = fingerprint(&s->held[0], &then, e);

	if (rc == RC_OK)
		rc = fingerprint(&s->main, &now, e);
	*still = rc == RC_OK && then != NULL && now != NULL && strcmp(then, now) == 0;
	free(then);
	free(now);
	return rc;
}

#define UNDEFINED_TABLE "42P01"

/* OK without *done: once more. */
static enum rc
try_to_hold(struct pgsql_source *s, struct logpos *at, bool *done, struct err *e)
{
	struct table_list tables = {0};
	char *snapshot = NULL;
	enum rc rc = create_slot(s, at, &snapshot, e);

	if (rc == RC_OK)
		rc = pgsql_describe(&s->main, NULL, NULL, &tables, e);
	for (unsigned i = 0; i < s->nheld && rc == RC_OK; i++) {
		rc = join_snapshot(s, &s->held[i], snapshot, &tables, e);
		if (rc != RC_OK && (pgsql_is_deadlock(&s->held[i]) ||
					   pgsql_is(&s->held[i], UNDEFINED_TABLE))) {
			rc = RC_AGAIN;
		}
	}
	if (rc == RC_OK)
		rc = is_still(s, done, e);
	table_list_release(&tables);
	free(snapshot);
	return rc == RC_AGAIN ? RC_OK : rc;
}

enum rc
pgsource_hold(struct pgsql_source *s, struct logpos *at, struct err *e)
{
	struct timespec pause = {.tv_nsec = 200000000};
	bool done = false;
	enum rc rc = RC_OK;

	s->nheld = (unsigned)conf_int(s->env.conf, "lanes");
	s->held = xcalloc(s->nheld, sizeof *s->held);
	for (unsigned i = 0; i < HOLD_TRIES && rc == RC_OK && !done; i++) {
		if (i != 0) {
			pgsource_let_go(s);
			rc = pgsource_drop_slot(s, e);
			nanosleep(&pause, NULL);
		}
		if (*s->env.stop || s->woken)
			return RC_AGAIN;
		atomic_store(&s->taken, 0);
		if (rc == RC_OK)
			rc = try_to_hold(s, at, &done, e);
	}
	if (rc == RC_OK && !done) {
		err_set(e, RC_RETRY,
			"tables of the source are changed or locked again and again while a "
			"snapshot of all of them is taken");
		return err_remedy(e, "wait until nobody changes tables, or set snapshot = "
				     "\"chunks\"");
	}
	if (rc != RC_OK)
		return rc;
	s->base.held = true;
	s->held_at = *at;
	log_info("the source holds one snapshot of all tables until they are loaded: nothing that "
		 "is deleted since can be vacuumed, and statements that change tables wait");
	return RC_OK;
}
