/*
 * published.c - the publication has every table that is carried, whole; see stream.h.
 *
 * Someone may take a table out of it, or let it tell a part alone: the log then
 * lacks changes, and says nothing of that. Where the source takes notes, the
 * statement is one, at its place in the log; elsewhere it is seen at the start and every
 * so often. The table is put back, and loads again. Put back by hand before it is seen, without a
 * note, it is not noticed.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "workers/reader/pgsql/stream.h"

static const char *
flags(int version)
{
	return version >= 130000 ? "p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate "
				   "AND p.pubviaroot"
	       : version >= 110000 ? "p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate"
				   : "p.pubinsert AND p.pubupdate AND p.pubdelete";
}

void
pgsource_put_published(struct buf *b, int version)
{
	buf_printf(b,
		"%s AND (p.puballtables%s OR EXISTS (SELECT FROM pg_publication_rel r WHERE "
		"r.prpubid = p.oid AND r.prrelid = c.oid%s))",
		flags(version),
		version >= 150000
			? " OR EXISTS (SELECT FROM pg_publication_namespace m WHERE m.pnpubid = "
			  "p.oid AND m.pnnspid = c.relnamespace)"
			: "",
		version >= 150000 ? " AND r.prqual IS NULL AND r.prattrs IS NULL" : "");
}

/* Tables that could be carried: schema, name, whether they have an identity and are published
 * whole. Those of a channel that has no publication are not asked for. */
static enum rc
ask(struct pgsql_source *s, const char *which, PGresult **res, struct err *e)
{
	bool lines = SPEAKS_LINES(&s->main);
	char *publication = xasprintf("pg_publication p ON p.pubname = '%s'", s->name);
	struct buf whole;
	enum rc rc;

	buf_init(&whole);
	if (lines)
		buf_puts(&whole, "true");
	else
		pgsource_put_published(&whole, s->main.version);
	rc = pgsql_query(&s->main, res, e,
		"SELECT * FROM (SELECT n.nspname, c.relname, %s AS identity, %s AS whole FROM "
		"pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN %s WHERE c.relkind "
		"IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> "
		"'information_schema'%s) t WHERE %s",
		pgsource_has_identity(s->main.version), buf_text(&whole),
		lines ? "(SELECT) p ON true" : publication,
		lines ? "" : " AND NOT c.relispartition", which);
	buf_release(&whole);
	free(publication);
	return rc;
}

static enum rc
ask_lost(struct pgsql_source *s, PGresult **res, struct err *e)
{
	return ask(s, "identity AND NOT whole", res, e);
}

/* No more than is needed: each of these statements is noted. */
static void
make_whole(const struct pgsql_source *s, struct buf *b, const char *table, const char *literal)
{
	int version = s->main.version;
	struct buf body, whole;

	buf_init(&body);
	buf_init(&whole);
	buf_printf(&whole,
		"EXISTS (SELECT FROM pg_publication p CROSS JOIN pg_class c WHERE p.pubname = '%s' "
		"AND c.oid = %s::regclass AND ",
		s->name, literal);
	pgsource_put_published(&whole, version);
	buf_putc(&whole, ')');
	buf_printf(&body,
		"BEGIN IF EXISTS (SELECT FROM pg_publication p WHERE p.pubname = '%s' AND NOT "
		"(%s)) THEN ALTER PUBLICATION %s SET (publish = 'insert, update, delete%s'%s); "
		"END IF; ",
		s->name, flags(version), s->name, version >= 110000 ? ", truncate" : "",
		version >= 130000 ? ", publish_via_partition_root = true" : "");
	buf_printf(&body,
		"IF NOT %s AND EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON "
		"p.oid = r.prpubid WHERE p.pubname = '%s' AND r.prrelid = %s::regclass) THEN ALTER "
		"PUBLICATION %s DROP TABLE %s; END IF; ",
		buf_text(&whole), s->name, literal, s->name, table);
	buf_printf(&body, "IF NOT %s THEN ALTER PUBLICATION %s ADD TABLE %s; END IF; END",
		buf_text(&whole), s->name, table);
	buf_puts(b, "DO ");
	pgsql_quote_text(b, buf_text(&body));
	buf_release(&body);
	buf_release(&whole);
}

/* From here on the log has all changes of the table. */
static enum rc
publish(struct pgsql_source *s, const char *db, const char *name, const char *why, struct err *e)
{
	struct buf table, literal, sql;
	enum rc rc;

	buf_init(&table);
	buf_init(&literal);
	buf_init(&sql);
	pgsql_quote_table(&table, db, name);
	pgsql_quote_text(&literal, buf_text(&table));
	make_whole(s, &sql, buf_text(&table), buf_text(&literal));
	rc = pgsql_exec(&s->main, buf_text(&sql), e);
	if (rc != RC_OK && rc != RC_RETRY) {
		err_context(e,
			"table %s %s, and cannot be put into the publication %s at the source",
			buf_text(&table), why, s->name);
		e->rc = RC_CONFIG;
		rc = err_remedy(e,
			"let an administrator run ALTER PUBLICATION %s ADD TABLE %s at the source, "
			"then `syncline resync` that table; or leave it out of the objects",
			s->name, buf_text(&table));
	}
	buf_release(&table);
	buf_release(&literal);
	buf_release(&sql);
	return rc;
}

static enum rc
put_back(struct pgsql_source *s, const char *db, const char *name, struct err *e)
{
	return publish(s, db, name,
		"was taken out of the publication, or is told of in part, so that the log lacks "
		"changes of it",
		e);
}

static bool
is_among(const PGresult *res, const char *db, const char *name)
{
	for (int i = 0; i < PQntuples(res); i++)
		if (strcmp(PQgetvalue(res, i, 0), db) == 0 &&
			strcmp(PQgetvalue(res, i, 1), name) == 0)
			return true;
	return false;
}

enum rc
pgsource_publish(struct pgsql_source *s, const char *db, const char *name, struct err *e)
{
	PGresult *res = NULL;
	enum rc rc = ask_lost(s, &res, e);

	log_warn(
		"source table %s.%s was taken out of the publication %s, or told of in part: it is "
		"put back, and loads again, since the log lacks what changed meanwhile",
		db, name, s->name);
	if (rc == RC_OK && is_among(res, db, name))
		rc = put_back(s, db, name, e);
	PQclear(res);
	return rc;
}

static enum rc
load_again(struct stream *st, const char *db, const char *name, struct err *e)
{
	enum rc rc = stream_begin(st, e);

	if (rc == RC_OK)
		rc = feed_load_again(st->feed, db, name);
	return rc == RC_OK ? stream_commit(st, e) : rc;
}

static bool
are_notes(const struct pgsql_source *s, const char *db, const char *name)
{
	return s->notes && strcmp(db, conf_str(s->env.conf, "state_schema")) == 0 &&
	       strcmp(name, "ddl") == 0;
}

enum rc
stream_check_published(struct stream *st, struct err *e)
{
	struct pgsql_source *s = st->s;
	PGresult *res = NULL;
	enum rc rc = ask_lost(s, &res, e);

	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++) {
		const char *db = PQgetvalue(res, i, 0), *name = PQgetvalue(res, i, 1);

		if (are_notes(s, db, name)) {
			log_warn("the source's notes (%s.ddl) were taken out of the publication "
				 "%s: what statements meanwhile made of tables and other objects "
				 "is not followed; they are put back",
				db, s->name);
			rc = put_back(s, db, name, e);
		} else if (routes_table(s->env.routes, db, name) &&
			   log_relations_knows(&st->relations, db, name)) {
			rc = pgsource_publish(s, db, name, e);
			if (rc == RC_OK)
				rc = load_again(st, db, name, e);
		}
	}
	PQclear(res);
	return rc;
}

enum rc
pgsource_newcomers(struct source *base, struct table_list *out, struct err *e)
{
	struct pgsql_source *s = (struct pgsql_source *)base;
	struct pgsql_position from;
	struct err ignored;
	PGresult *res = NULL;
	enum rc rc = pgsource_parse_position(s->env.resume->resume, &from, e);

	if (rc == RC_OK && pgsource_check_slot(s, from, &ignored) != RC_OK)
		return RC_OK; /* the stream will say so */
	if (rc == RC_OK)
		rc = pgsource_ready_notes(s, e); /* what is made from here on is a note */
	if (rc == RC_OK)
		rc = ask(s, "true", &res, e);
	for (int i = 0; rc == RC_OK && i < PQntuples(res); i++) {
		const char *db = PQgetvalue(res, i, 0), *name = PQgetvalue(res, i, 1);

		if (!routes_table(s->env.routes, db, name) || are_notes(s, db, name) ||
			!source_is_new(&s->env, db, name))
			continue;
		if (*PQgetvalue(res, i, 2) != 't') {
			log_warn("source table %s.%s is selected and new, and is not carried: it "
				 "has " NO_IDENTITY "; give it a primary key, or run ALTER TABLE "
				 ".. REPLICA IDENTITY FULL, "
				 "and start the channel again",
				db, name);
			continue;
		}
		if (*PQgetvalue(res, i, 3) != 't')
			rc = publish(s, db, name, "is selected and new", e);
		table_list_add(out, table_new(db, name));
	}
	PQclear(res);
	return rc;
}
