/* slot.c - the replication slot of a channel that goes on; see source.h of the room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "workers/reader/pgsql/source.h"

#define SLOT_TRIES 100

static enum rc
slot_gone(const struct pgsql_source *s, struct err *e)
{
	err_set(e, RC_CONFIG,
		"the replication slot %s is not there any more, and with it the changes since the "
		"target's position",
		s->name);
	return err_remedy(e,
		"find out who dropped it, or whether the source is a promoted standby that never "
		"had it; then run `syncline reset` for this channel, which loads everything again");
}

/* Ours by name, and a rival's no more: whoever starts last has the channel. */
enum rc
pgsource_free_slot(struct pgsql_source *s, struct err *e)
{
	for (unsigned i = 0; i < SLOT_TRIES; i++) {
		struct timespec pause = {.tv_nsec = 50000000};
		char *pid = NULL;
		enum rc rc = pgsql_value(&s->main, &pid, e,
			"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
			"slot_name = '%s' AND active",
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

enum rc
pgsource_check_slot(struct pgsql_source *s, struct pgsql_position from, struct err *e)
{
	struct pgsql_position confirmed = {0};
	PGresult *res;
	enum rc rc = pgsql_query(&s->main, &res, e,
		"SELECT confirmed_flush_lsn, %s FROM pg_replication_slots WHERE slot_name = '%s'",
		s->main.version >= 130000 ? "coalesce(wal_status, 'lost')" : "'reserved'", s->name);

	if (rc != RC_OK)
		return rc;
	if (PQntuples(res) == 0) {
		rc = slot_gone(s, e);
	} else if (strcmp(PQgetvalue(res, 0, 1), "lost") == 0) {
		err_set(e, RC_CONFIG,
			"the replication slot %s is lost: the source has removed log that it still "
			"needed (max_slot_wal_keep_size)",
			s->name);
		rc = err_remedy(e, "raise max_slot_wal_keep_size at the source; then run `syncline "
				   "reset` for this channel, which loads everything again");
	} else {
		rc = pgsource_parse_position(PQgetvalue(res, 0, 0), &confirmed, e);
	}
	if (rc == RC_OK && confirmed.lsn > from.lsn) {
		err_set(e, RC_CONFIG,
			"the replication slot %s stands at %s, behind what the target holds: "
			"changes in between are gone",
			s->name, PQgetvalue(res, 0, 0));
		rc = err_remedy(e, "a target that was set back to an earlier state cannot go on: "
				   "run `syncline reset` for this channel, which loads everything "
				   "again");
	}
	PQclear(res);
	return rc;
}
