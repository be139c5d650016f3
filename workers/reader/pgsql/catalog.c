/* catalog.c - the selected tables at the beginning of a channel; see source.h of the room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/pgsql/definitions.h"

enum rc
pgsource_pin(struct pgsql_source *s, struct pgsql *c, const struct table_list *list, struct err *e)
{
	enum rc rc = RC_OK;
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < list->count && rc == RC_OK; i++) {
		if (!pgsource_selects(s, list->tables[i]))
			continue;
		buf_clear(&b);
		pgsql_quote_table(&b, list->tables[i]->db, list->tables[i]->name);
		rc = pgsql_run(c, e, "LOCK TABLE %s IN ACCESS SHARE MODE", buf_text(&b));
	}
	buf_release(&b);
	return rc;
}

/* By the connection that has pinned them: another one would wait behind a statement that waits for
 * it. */
static enum rc
add_objects(struct pgsql_source *s, struct pgsql *c, struct table_list *list, struct catalog *out,
	struct err *e)
{
	for (size_t i = 0; i < list->count; i++)
		if (pgsource_selects(s, list->tables[i]))
			table_list_add(&s->begun, table_copy(list->tables[i]));
	if (!SPEAKS_LINES(&s->main))
		return definitions_read(s, c, list, out, e);
	/* The catalogs of before 10 tell of them otherwise: tables are made from their columns. */
	for (size_t i = 0; i < list->count; i++)
		if (pgsource_selects(s, list->tables[i])) {
			struct table *t = list->tables[i];

			catalog_add(out, OBJECT_TABLE, t->db, t->name)->table = t;
			list->tables[i] = NULL;
		}
	return RC_OK;
}

/* As the snapshot has them, whose transactions have pinned them. */
static enum rc
held_catalog(struct pgsql_source *s, struct catalog *out, struct logpos *high, struct err *e)
{
	struct table_list tables = {0};
	enum rc rc = pgsql_describe(&s->held[0], NULL, NULL, &tables, e);

	*high = s->held_at;
	if (rc == RC_OK)
		rc = add_objects(s, &s->held[0], &tables, out, e);
	table_list_release(&tables);
	return rc;
}

enum rc
pgsource_catalog(struct source *base, struct catalog *out, struct logpos *high, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	struct table_list names = {0}, tables = {0};
	struct err ignored;
	enum rc rc;

	if (s->base.held)
		return held_catalog(s, out, high, e);
	rc = pgsql_describe(&s->main, NULL, NULL, &names, e);
	*high = (struct logpos){0};
	if (rc == RC_OK)
		rc = pgsql_exec(&s->main, "BEGIN", e);
	if (rc == RC_OK)
		/* So that none is changed before the log's end has been read. */
		rc = pgsource_pin(s, &s->main, &names, e);
	if (rc == RC_OK)
		rc = pgsql_describe(&s->main, NULL, NULL, &tables, e);
	if (rc == RC_OK)
		rc = pgsource_lsn(&s->main, INSERT_LSN(&s->main), &high->offset, e);
	if (rc == RC_OK)
		rc = add_objects(s, &s->main, &tables, out, e);
	if (rc == RC_OK)
		rc = pgsql_exec(&s->main, "COMMIT", e);
	else if (s->main.conn != NULL && pgsql_exec(&s->main, "ROLLBACK", &ignored) != RC_OK)
		*s->main.state = '\0';
	if (rc == RC_OK)
		rc = pgsource_nudge(&s->main, e);
	/* A table was dropped while it was read: another look is due. */
	if (rc == RC_CONFIG && pgsql_is(&s->main, "42P01"))
		e->rc = rc = RC_RETRY;
	table_list_release(&names);
	table_list_release(&tables);
	return rc;
}
