/*
 * identity.c - whether the source is the server that the channel was begun with,
 * or has its history; see source.h of the room.
 *
 * An identity is "7581046733121433879:2:shop": the cluster's number, which stays
 * with its data, the timeline, which goes up with each promotion (and with each
 * recovery from an archive), and the database.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/pgsql/source.h"

/*
 * The first minor release of each old series whose decoding gives all transactions, and
 * whole. Those before lose one that has a subtransaction of row locks alone (9.4.9,
 * 9.5.4), changes of subtransactions that went to disk (9.4.10, 9.5.5), and what was
 * under way when a slot was made (9.4.12, 9.5.7, 9.6.3): nothing that a client could see.
 */
static const int whole[] = {90412, 90507, 90603};

static enum rc
check_version(const struct pgsql *c, struct err *e)
{
	int version = c->version, series = version / 100, minor = version % 100;

	if (version < 90400) {
		err_set(e, RC_CONFIG,
			"the source is PostgreSQL %d.%d, which is too old: it has no logical "
			"decoding",
			version / 10000, series % 100);
		return err_remedy(e, "upgrade the source to PostgreSQL 9.4 or later");
	}
	for (size_t i = 0; i < COUNT_OF(whole); i++)
		if (whole[i] / 100 == series && version < whole[i]) {
			err_set(e, RC_CONFIG,
				"the source is PostgreSQL %d.%d.%d, whose logical decoding loses "
				"transactions; it was mended in %d.%d.%d",
				series / 100, series % 100, minor, series / 100, series % 100,
				whole[i] % 100);
			return err_remedy(e,
				"install the newest PostgreSQL %d.%d at the source and restart it: "
				"its data stay as they are",
				series / 100, series % 100);
		}
	return RC_OK;
}

enum rc
pgsource_check_server(struct pgsql_source *s, struct err *e)
{
	char *greenplum = NULL;
	enum rc rc = pgsql_value(&s->main, &greenplum, e,
		"SELECT version() WHERE version() LIKE '%%" PGSQL_GREENPLUM "%%'");

	if (rc == RC_OK && greenplum != NULL) {
		err_set(e, RC_CONFIG,
			"the source is %.60s, which is a target alone: there is no log of its "
			"changes that could be read",
			greenplum);
		rc = err_remedy(e, "read from the server that feeds it: one source may have any "
				   "number of channels");
	} else if (rc == RC_OK) {
		rc = check_version(&s->main, e);
	}
	free(greenplum);
	return rc;
}

/* A standby has neither slots of its own nor a log that goes on: not until it is promoted. */
enum rc
pgsource_check_role(struct pgsql_source *s, struct err *e)
{
	char *standby = NULL;
	enum rc rc = pgsql_value(&s->main, &standby, e, "SELECT 1 WHERE pg_is_in_recovery()");

	if (rc == RC_OK && standby != NULL) {
		err_set(e, RC_RETRY, "the source is a standby: it is in recovery");
		rc = err_remedy(
			e, "promote it, or point the channel at the server that takes writes");
	}
	free(standby);
	return rc;
}

enum rc
pgsource_open(struct pgsql_source *s, struct err *e)
{
	enum rc rc = pgsql_open(&s->main, s->env.conf, "source", false, e);

	if (rc == RC_OK)
		rc = pgsource_check_server(s, e);
	return rc == RC_OK ? pgsource_check_role(s, e) : rc;
}

enum rc
pgsource_command(
	struct pgsql_source *s, PGresult **out, struct err *e, const char *text, int fields)
{
	PGresult *res = pgsql_ask(&s->log, text);
	enum rc rc = RC_OK;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		rc = pgsql_error(&s->log, res, e, "refused a replication command");
	else if (PQntuples(res) != 1 || PQnfields(res) < fields)
		rc = err_set(e, RC_DATA, "the source's answer to %s is not understood", text);
	if (rc == RC_OK)
		*out = res;
	else
		PQclear(res);
	return rc;
}

/* We may look away for long: a full ring, behind it a target that makes an index. Older servers let
 * nobody but their administrator set it. */
static enum rc
be_patient(struct pgsql_source *s, struct err *e)
{
	return s->main.version >= 120000 ? pgsql_exec(&s->log, "SET wal_sender_timeout = '1h'", e)
					 : RC_OK;
}

enum rc
pgsource_identify(struct source *base, char **id, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	PGresult *res;
	enum rc rc = pgsource_open(s, e);

	if (rc == RC_OK)
		rc = pgsql_open(&s->log, s->env.conf, "source", true, e);
	if (rc == RC_OK)
		rc = be_patient(s, e);
	if (rc == RC_OK)
		rc = pgsource_command(s, &res, e, "IDENTIFY_SYSTEM", 4);
	if (rc != RC_OK)
		return rc;
	*id = xasprintf(
		"%s:%s:%s", PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 3));
	s->cluster = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
	s->timeline = (uint32_t)strtoul(PQgetvalue(res, 0, 1), NULL, 10);
	PQclear(res);
	return RC_OK;
}

/* ---- another server, or another timeline of the same ---- */

/* "1\t0/5000148\tno recovery target specified": where each earlier timeline was left. */
static bool
find_end(const char *history, uint32_t timeline, struct pgsql_position *left)
{
	for (const char *line = history; *line != '\0';
		line += strcspn(line, "\n"), line += *line != '\0') {
		char lsn[24];
		uint32_t id;
		struct err ignored;

		if (sscanf(line, "%" SCNu32 " %23s", &id, lsn) == 2 && id == timeline &&
			pgsource_parse_position(lsn, left, &ignored) == RC_OK)
			return true;
	}
	return false;
}

static enum rc
check_timeline(struct pgsql_source *s, uint32_t ours, struct pgsql_position from, struct err *e)
{
	struct pgsql_position left;
	PGresult *res;
	char text[64];
	enum rc rc;

	snprintf(text, sizeof text, "TIMELINE_HISTORY %" PRIu32, s->timeline);
	if (s->timeline < ours)
		return err_set(e, RC_CONFIG,
			"the source is on timeline %" PRIu32 ", and the target has the log of its "
			"successor, timeline %" PRIu32,
			s->timeline, ours);
	if ((rc = pgsource_command(s, &res, e, text, 2)) != RC_OK)
		return rc;
	if (!find_end(PQgetvalue(res, 0, 1), ours, &left))
		err_set(e, RC_CONFIG,
			"the source is on timeline %" PRIu32 ", which does not come from timeline "
			"%" PRIu32 ", whose log the target has",
			s->timeline, ours);
	else if (from.lsn > left.lsn)
		err_set(e, RC_CONFIG,
			"the source left timeline %" PRIu32 " at %" PRIX32 "/%" PRIX32
			", before what the target has of it: changes that are at the target never "
			"came to this server",
			ours, (uint32_t)(left.lsn >> 32), (uint32_t)left.lsn);
	else
		e->rc = RC_OK;
	PQclear(res);
	return e->rc;
}

/* Another cluster has another history. A promoted standby has ours, up to where it was promoted. */
enum rc
pgsource_take_over(struct source *base, const char *position, char **here, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	const char *was = s->env.resume->source_id;
	struct pgsql_position from;
	uint32_t timeline = 0;
	uint64_t cluster = 0;
	char *same;
	bool ours;
	enum rc rc = pgsource_parse_position(position, &from, e);

	*here = NULL;
	if (rc != RC_OK)
		return rc;
	(void)sscanf(was, "%" SCNu64 ":%" SCNu32 ":", &cluster, &timeline);
	same = xasprintf("%" PRIu64 ":%" PRIu32 ":%s", cluster, timeline,
		conf_str(s->env.conf, "source.database"));
	ours = strcmp(same, was) == 0 && cluster == s->cluster;
	free(same);
	if (!ours) {
		err_set(e, RC_CONFIG,
			"the source is another cluster or database than the one whose log the "
			"target holds up to %s",
			position);
		return pgsource_start_over(s, e,
			"point the channel at the server it was begun with; or give that one up, "
			"and drop the channel's replication slot there");
	}
	rc = check_timeline(s, timeline, from, e);
	if (rc == RC_CONFIG)
		return pgsource_start_over(s, e,
			"see whether another server has them; a standby that "
			"synchronized_standby_slots names (PostgreSQL 17) has all that the target "
			"has");
	if (rc == RC_OK)
		rc = pgsource_check_slot(s, from, e);
	if (rc == RC_OK)
		*here = xstrdup(position);
	return rc;
}
