/* slot.c - the replication slot of a channel that goes on, and of one that is given up; see
 * source.h of the room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "workers/reader/pgsql/note.h"

#define SLOT_TRIES 100

enum rc
pgsource_start_over(const struct pgsql_source *s, struct err *e, const char *first)
{
	const char *id = s->env.channel;

	return err_remedy(e,
		"%s; then load everything again: `syncline reset %s`, drop the channel's tables at "
		"the target, `syncline start %s`",
		first, id, id);
}

static enum rc
slot_gone(const struct pgsql_source *s, struct err *e)
{
	err_set(e, RC_CONFIG,
		"the replication slot %s is not there, and with it the changes since the target's "
		"position are gone",
		s->name);
	return pgsource_start_over(s, e,
		"find out who dropped it, or whether the source is a promoted standby that never "
		"had it (PostgreSQL 17 has it on standbys with sync_replication_slots = on)");
}

/* reason: the server's word, where it has one; else there is one reason alone. */
static enum rc
slot_lost(const struct pgsql_source *s, const char *reason, struct err *e)
{
	bool removed = *reason == '\0' || strcmp(reason, "wal_removed") == 0;

	if (removed)
		err_set(e, RC_CONFIG,
			"the replication slot %s is lost: the source has removed log that it still "
			"needed (max_slot_wal_keep_size)",
			s->name);
	else
		err_set(e, RC_CONFIG, "the replication slot %s is lost: the source says %s",
			s->name, reason);
	return pgsource_start_over(s, e,
		removed ? "raise max_slot_wal_keep_size at the source, or see that the channel is "
			  "never down for so long"
			: "see what its documentation says of this invalidation_reason");
}

enum rc
pgsource_publication_gone(const struct pgsql_source *s, struct err *e)
{
	err_set(e, RC_CONFIG,
		"the publication %s was dropped at the source: changes since then cannot be read",
		s->name);
	return pgsource_start_over(s, e, "find out who dropped it, and see that it stays");
}

static enum rc
slot_ahead(const struct pgsql_source *s, const char *confirmed, struct err *e)
{
	err_set(e, RC_CONFIG,
		"the replication slot %s stands at %s, behind what the target holds: changes in "
		"between are gone",
		s->name, confirmed);
	return pgsource_start_over(s, e, "see who set the target back to an earlier state");
}

static enum rc
source_behind(const struct pgsql_source *s, uint64_t end, struct pgsql_position from, struct err *e)
{
	struct buf ends, held;

	buf_init(&ends);
	buf_init(&held);
	pgsource_print_position((struct pgsql_position){.lsn = end}, &ends);
	pgsource_print_position(from, &held);
	err_set(e, RC_CONFIG,
		"the source's log ends at %s, and the target holds it up to %s: the source was set "
		"back to an earlier state",
		buf_text(&ends), buf_text(&held));
	buf_release(&ends);
	buf_release(&held);
	return pgsource_start_over(s, e, "see which of the two servers is right");
}

/* Ours by name, and a rival's no more: whoever starts last has the channel. */
enum rc
pgsource_free_slot(struct pgsql_source *s, struct err *e)
{
	for (unsigned i = 0; i < SLOT_TRIES; i++) {
		struct timespec pause = {.tv_nsec = 50000000};
		char *pid = NULL;
		enum rc rc = pgsql_value(&s->main, &pid, e,
			"SELECT %s FROM pg_replication_slots WHERE slot_name = '%s' AND database = "
			"current_database() AND active",
			s->main.version >= 90500 ? "pg_terminate_backend(active_pid)" : "1",
			s->name);
		bool taken = pid != NULL;

		free(pid);
		if (rc != RC_OK || !taken)
			return rc;
		nanosleep(&pause, NULL);
		if (*s->env.stop || s->woken)
			return RC_AGAIN;
	}
	return err_set(
		e, RC_RETRY, "another connection still has the replication slot %s", s->name);
}

/* What a server of this version can tell of a slot. Before 9.6 it does not say what was confirmed,
 * which lies at or behind what it reads from. */
static enum rc
ask_slot(struct pgsql_source *s, PGresult **res, struct err *e)
{
	int version = s->main.version;

	return pgsql_query(&s->main, res, e,
		"SELECT %s, %s, %s, %s FROM pg_replication_slots WHERE slot_name = '%s' AND "
		"database = current_database()",
		version >= 90600 ? "confirmed_flush_lsn" : "restart_lsn",
		version >= 130000 ? "coalesce(wal_status, 'lost')" : "'reserved'",
		version >= 170000 ? "coalesce(invalidation_reason, '')" : "''",
		SPEAKS_LINES(&s->main) ? "true" : PUBLISHED, s->name);
}

enum rc
pgsource_check_slot(struct pgsql_source *s, struct pgsql_position from, struct err *e)
{
	struct pgsql_position confirmed = {0};
	uint64_t end;
	PGresult *res;
	enum rc rc = pgsource_lsn(&s->main, FLUSH_LSN(&s->main), &end, e);

	if (rc == RC_OK && from.lsn > end)
		return source_behind(s, end, from, e);
	if (rc == RC_OK)
		rc = ask_slot(s, &res, e);
	if (rc != RC_OK)
		return rc;
	if (PQntuples(res) == 0)
		rc = slot_gone(s, e);
	else if (strcmp(PQgetvalue(res, 0, 1), "lost") == 0)
		rc = slot_lost(s, PQgetvalue(res, 0, 2), e);
	else if (*PQgetvalue(res, 0, 3) != 't')
		rc = pgsource_publication_gone(s, e);
	else
		rc = pgsource_parse_position(PQgetvalue(res, 0, 0), &confirmed, e);
	if (rc == RC_OK && confirmed.lsn > from.lsn)
		rc = slot_ahead(s, PQgetvalue(res, 0, 0), e);
	PQclear(res);
	return rc;
}

/* ---- a channel that is given up ---- */

enum rc
pgsource_drop_slot(struct pgsql_source *s, struct err *e)
{
	return pgsql_run(&s->main, e,
		"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE "
		"slot_name = '%s' AND database = current_database()",
		s->name);
}

enum rc
pgsource_drop(struct pgsql_source *s, struct err *e)
{
	enum rc rc = pgsource_drop_slot(s, e);

	if (rc == RC_OK && !SPEAKS_LINES(&s->main))
		rc = pgsql_run(&s->main, e, "DROP PUBLICATION IF EXISTS %s", s->name);
	return rc;
}

enum rc
pgsource_clear(struct source *base, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	enum rc rc = pgsource_open(s, e);

	if (rc == RC_OK)
		rc = pgsource_free_slot(s, e);
	if (rc == RC_OK)
		rc = pgsource_drop(s, e);
	if (rc == RC_OK)
		rc = note_deselect(s, e);
	if (rc == RC_OK)
		rc = pgsource_end_beat(s, e);
	if (rc == RC_OK)
		log_info("the source keeps no log for this channel any more: slot and publication "
			 "%s are dropped",
			s->name);
	else
		err_context(e, "cannot drop slot and publication %s", s->name);
	return rc;
}
