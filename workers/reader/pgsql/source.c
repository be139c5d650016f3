/* source.c - the PostgreSQL source engine: new slot and publication, first position; see
 * source.h. */
#include "common/compat.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "workers/reader/pgsql/note.h"

/* ---- positions ---- */

enum rc
pgsource_parse_position(const char *text, struct pgsql_position *out, struct err *e)
{
	uint32_t high, low;
	int n = 0;

	*out = (struct pgsql_position){0};
	if (sscanf(text, "%8" SCNx32 "/%8" SCNx32 "%n", &high, &low, &n) != 2 ||
		(text[n] != '\0' && sscanf(text + n, "+%" SCNu64 "%n", &out->changes, &n) != 1))
		return err_set(e, RC_CONFIG, "\"%s\" is not a position in a PostgreSQL log", text);
	out->lsn = (uint64_t)high << 32 | low;
	return RC_OK;
}

void
pgsource_print_position(struct pgsql_position p, struct buf *b)
{
	buf_printf(b, "%" PRIX32 "/%" PRIX32, (uint32_t)(p.lsn >> 32), (uint32_t)p.lsn);
	if (p.changes != 0)
		buf_printf(b, "+%" PRIu64, p.changes);
}

enum rc
pgsource_lsn(struct pgsql *c, const char *what, uint64_t *lsn, struct err *e)
{
	struct pgsql_position p = {0};
	char *text = NULL;
	enum rc rc = pgsql_value(c, &text, e, "SELECT %s", what);

	if (rc == RC_OK)
		rc = pgsource_parse_position(text != NULL ? text : "", &p, e);
	free(text);
	*lsn = p.lsn;
	return rc;
}

/* Before 9.6 by what any account may change: a transaction without a change is not decoded. */
enum rc
pgsource_nudge(struct pgsql *c, struct err *e)
{
	return pgsql_exec(c,
		c->version >= 90600 ? "SELECT pg_logical_emit_message(true, 'syncline', '')"
				    : "SELECT lo_unlink(lo_create(0))",
		e);
}

/* ---- life ---- */

/* "syncline_" and the channel's id, where that can be a slot's name; else with a hash behind. */
static void
make_name(const char *channel, char *name, size_t size)
{
	size_t n = (size_t)snprintf(name, size, "syncline_%s", channel);
	bool same = n < size;

	for (char *p = name; *p != '\0'; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_') {
			*p = '_';
			same = false;
		}
	if (same)
		return;
	if (n > size - 10)
		n = size - 10;
	snprintf(
		name + n, size - n, "_%08" PRIx32, (uint32_t)XXH3_64bits(channel, strlen(channel)));
}

static enum rc
pgsource_create(const struct source_env *env, struct source **out, struct err *e)
{
	struct pgsql_source *s = xcalloc(1, sizeof *s);

	(void)e;
	s->base.ops = source_find("postgresql");
	s->env = *env;
	pthread_mutex_init(&s->emitted_lock, NULL);
	make_name(env->channel, s->name, sizeof s->name);
	*out = &s->base;
	return RC_OK;
}

static void
pgsource_free(struct source *base)
{
	struct pgsql_source *s = (struct pgsql_source *)base;

	pgsql_close(&s->main);
	pgsql_close(&s->log);
	pgsource_let_go(s);
	free(s->held);
	table_list_release(&s->begun);
	pthread_mutex_destroy(&s->emitted_lock);
	free(s->emitted);
	free(s);
}

static void
pgsource_wake(struct source *base)
{
	((struct pgsql_source *)base)->woken = true;
}

bool
pgsource_selects(const struct pgsql_source *s, const struct table *t)
{
	return strcmp(t->db, conf_str(s->env.conf, "state_schema")) != 0 &&
	       routes_table(s->env.routes, t->db, t->name);
}

/* ---- slot and publication ---- */

#define HAS_IDENTITY(computed)                                                              \
	"(c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid " \
	"AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN "               \
	"i.indisreplident AND (i.indisprimary OR (SELECT count(*) FROM pg_index u WHERE "   \
	"u.indrelid = c.oid AND u.indisunique) = 1) ELSE false END" computed "))"

const char *
pgsource_has_identity(int version)
{
	return version >= 120000 ? HAS_IDENTITY(" AND NOT EXISTS (SELECT FROM pg_attribute g WHERE "
						"g.attrelid = c.oid AND g.attgenerated <> '' AND "
						"g.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))")
				 : HAS_IDENTITY("");
}

/* A table without an identity could not be changed any more once it is published. */
static enum rc
has_identity(struct pgsql_source *s, const struct table *t, struct err *e)
{
	char *none = NULL;
	struct buf b;
	enum rc rc;

	buf_init(&b);
	pgsql_quote_table(&b, t->db, t->name);
	rc = pgsql_value(&s->main, &none, e,
		"SELECT 1 FROM pg_class c WHERE oid = '%s'::regclass AND NOT %s", buf_text(&b),
		pgsource_has_identity(s->main.version));
	if (rc == RC_OK && none != NULL) {
		err_set(e, RC_CONFIG, "source table %s has " NO_IDENTITY, buf_text(&b));
		rc = err_remedy(e,
			"give it a primary key, or run ALTER TABLE %s REPLICA IDENTITY FULL",
			buf_text(&b));
	}
	free(none);
	buf_release(&b);
	return rc;
}

static enum rc
create_publication(struct pgsql_source *s, struct err *e)
{
	struct table_list list = {0};
	const char *comma = " FOR TABLE ";
	struct buf b;
	enum rc rc = pgsql_describe(&s->main, NULL, NULL, &list, e);

	buf_init(&b);
	buf_printf(&b, "CREATE PUBLICATION %s", s->name);
	for (size_t i = 0; i < list.count && rc == RC_OK; i++) {
		if (!pgsource_selects(s, list.tables[i]))
			continue;
		rc = has_identity(s, list.tables[i], e);
		buf_puts(&b, comma);
		pgsql_quote_table(&b, list.tables[i]->db, list.tables[i]->name);
		comma = ", ";
	}
	if (s->notes) {
		buf_puts(&b, comma);
		pgsql_quote_table(&b, conf_str(s->env.conf, "state_schema"), "ddl");
	}
	if (s->main.version >= 130000)
		buf_puts(&b, " WITH (publish_via_partition_root = true)");
	if (rc == RC_OK && !SPEAKS_LINES(&s->main)) {
		rc = pgsql_exec(&s->main, buf_text(&b), e);
		if (rc == RC_CONFIG)
			err_remedy(e, "let an administrator run what `syncline check --sql` "
				      "prints: a publication takes the owner of its tables");
	}
	buf_release(&b);
	table_list_release(&list);
	return rc;
}

/* Someone may have taken them away meanwhile, or the selection has changed. */
enum rc
pgsource_ready_notes(struct pgsql_source *s, struct err *e)
{
	const char *schema = conf_str(s->env.conf, "state_schema");
	char *published = NULL;
	struct buf b;
	enum rc rc = note_install(s, &s->notes, e);

	if (rc != RC_OK || !s->notes)
		return rc;
	rc = note_selection(s, e);
	if (rc != RC_OK || SPEAKS_LINES(&s->main))
		return rc;
	buf_init(&b);
	pgsql_quote_text(&b, schema);
	rc = pgsql_value(&s->main, &published, e,
		"SELECT 1 FROM pg_publication_tables WHERE pubname = '%s' AND schemaname = "
		"%s AND tablename = 'ddl'",
		s->name, buf_text(&b));
	buf_clear(&b);
	pgsql_quote_table(&b, schema, "ddl");
	if (rc == RC_OK && published == NULL)
		rc = pgsql_run(
			&s->main, e, "ALTER PUBLICATION %s ADD TABLE %s", s->name, buf_text(&b));
	free(published);
	buf_release(&b);
	return rc;
}

/* Standbys that synchronize slots have it, too: neither temporary nor two-phase. */
static enum rc
create_slot(struct pgsql_source *s, struct logpos *at, struct err *e)
{
	bool lines = SPEAKS_LINES(&s->main);
	char *sql = xasprintf("%s FROM pg_create_logical_replication_slot('%s', '%s'%s)",
		lines ? "xlog_position" : "lsn", s->name, lines ? "test_decoding" : "pgoutput",
		s->main.version >= 170000 ? ", false, false, true" : "");
	enum rc rc;

	*at = (struct logpos){0};
	rc = pgsource_lsn(&s->main, sql, &at->offset, e);
	free(sql);
	return rc;
}

/*
 * A new channel: publication, then slot; the slot's consistent point has only
 * visible predecessors. What a start that did not get far has left is made anew.
 */
static enum rc
pgsource_tip(struct source *base, char **position, struct logpos *at, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	struct buf b;
	enum rc rc = pgsource_drop(s, e);

	if (rc == RC_OK)
		rc = note_install(s, &s->notes, e);
	if (rc == RC_OK && s->notes)
		rc = note_selection(s, e);
	if (rc == RC_OK)
		rc = create_publication(s, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_PUBLISHED, e);
	if (rc == RC_OK)
		rc = pgsource_wants_held(s) ? pgsource_hold(s, at, e) : create_slot(s, at, e);
	if (rc == RC_OK)
		rc = FAILPOINT_LOST(READER_SLOT, e);
	if (rc != RC_OK) {
		err_context(e, "cannot make the replication slot %s", s->name);
		if (rc == RC_CONFIG && *e->remedy == '\0')
			err_remedy(e,
				"set wal_level = logical and enough max_replication_slots and "
				"max_wal_senders at the source, and give the account the attribute "
				"REPLICATION");
		return rc;
	}
	buf_init(&b);
	pgsource_print_position((struct pgsql_position){.lsn = at->offset}, &b);
	*position = (char *)b.data;
	return RC_OK;
}

/* ---- what snapshots may not see yet ---- */

void
pgsource_note_emitted(struct pgsql_source *s, uint32_t xid, uint64_t lsn)
{
	pthread_mutex_lock(&s->emitted_lock);
	grow(&s->emitted, &s->emitted_cap, s->nemitted + 1, sizeof *s->emitted);
	s->emitted[s->nemitted++] = (struct emitted){.xid = xid, .lsn = lsn};
	pthread_mutex_unlock(&s->emitted_lock);
}

/* A snapshot's own numbers have 64 bits: the transaction's is the nearest that ends alike. */
static uint64_t
widen(uint32_t xid, uint64_t near)
{
	return near + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)near);
}

static bool
is_running(const char *list, uint64_t xid)
{
	while (*list != '\0') {
		char *end;

		if (strtoull(list, &end, 10) == xid)
			return true;
		list = *end == ',' ? end + 1 : "";
	}
	return false;
}

bool
pgsource_sees(struct pgsql_source *s, const char *snapshot, uint64_t lsn)
{
	uint64_t min = 0, max = 0;
	int running = 0;
	size_t kept = 0;
	bool all = true;

	if (sscanf(snapshot, "%" SCNu64 ":%" SCNu64 ":%n", &min, &max, &running) != 2 ||
		running == 0)
		return false;
	pthread_mutex_lock(&s->emitted_lock);
	for (size_t i = 0; i < s->nemitted; i++) {
		uint64_t xid = widen(s->emitted[i].xid, max);

		if (xid < min || (xid < max && !is_running(snapshot + running, xid)))
			continue; /* every later snapshot sees it, too */
		if (s->emitted[i].lsn <= lsn)
			all = false;
		s->emitted[kept++] = s->emitted[i];
	}
	s->nemitted = kept;
	pthread_mutex_unlock(&s->emitted_lock);
	return all;
}

const struct source_ops pgsql_source_ops = {
	.kind = "postgresql",
	.create = pgsource_create,
	.free = pgsource_free,
	.check = pgsource_check,
	.clear = pgsource_clear,
	.identify = pgsource_identify,
	.take_over = pgsource_take_over,
	.tip = pgsource_tip,
	.catalog = pgsource_catalog,
	.newcomers = pgsource_newcomers,
	.stream = pgsource_stream,
	.wake = pgsource_wake,
	.verify = source_without_filters,
	.compare = source_compares_nothing,
	.lane_open = pgsource_lane_open,
	.lane_close = pgsource_lane_close,
	.lane_bound = pgsource_lane_bound,
	.lane_snapshot = pgsource_lane_snapshot,
	.lane_read = pgsource_lane_read,
	.lane_end = pgsource_lane_end,
};
