/*
 * note.h - what the source itself notes of statements that change tables.
 *
 * Where the account is a superuser, an event trigger of ours writes a row into
 * `ddl` of the schema `state_schema` at the source, in the statement's own
 * transaction, and deletes it again: the table stays empty, the log has the row
 * at the statement's place, whatever the server's version and decoder. The row
 * says what tables have become, as the catalog had them at that moment.
 *
 * The text is lines of fields, coded as COPY does:
 *
 *     D db name                          dropped
 *     R db name to_db to_name again      renamed; its parts and words follow
 *     C db name again                    created; likewise
 *     A db name again                    changed; its parts and new columns follow
 *     G db name                          a partition and its rows are gone, which a PostgreSQL
 *                                        target says, too; its parts follow
 *     P db name publication              that tells nothing of it any more, or a part
 *     K db name                          has no replica identity, and is not published
 *     E db name                          emptied by TRUNCATE: of servers whose log does not say so
 *     S db name to_db ahead sql          a PostgreSQL target says the same: of a table, or, the
 *                                        name being '', of what is none and belongs to to_db now;
 *                                        ahead of changes of tables: what is dropped
 *     T (likewise)                       so can one that copies triggers
 *     c .. | i .. | f ..                 columns, indexes, foreign keys (describe.h)
 *     n column fill computed             what older rows have in a new column
 *     w sql                              makes the table as it is now at a PostgreSQL target
 */
#ifndef WORKERS_READER_PGSQL_NOTE_H
#define WORKERS_READER_PGSQL_NOTE_H

#include "common/compat.h"

#include "workers/reader/pgsql/source.h"

enum note_kind {
	NOTE_DROPPED,
	NOTE_RENAMED,
	NOTE_CREATED,
	NOTE_CHANGED,
	NOTE_UNKEYED,
	NOTE_TRUNCATED,
	NOTE_GONE,
	NOTE_UNPUBLISHED,
	NOTE_SAID,
	NOTE_TRIGGER,
	NOTE_KINDS
};

struct noted {
	enum note_kind kind;
	char *db;
	char *name;
	char *to_db;		     /* of RENAMED, SAID, TRIGGER */
	char *to_name;		     /* of RENAMED */
	char *publication;	     /* of UNPUBLISHED */
	bool again;		     /* it has rows that the log does not tell */
	char *sql;		     /* of SAID and TRIGGER; of RENAMED and CREATED, or NULL */
	bool ahead;		     /* of SAID and TRIGGER */
	struct table *table;	     /* as it is now; of RENAMED, CREATED, CHANGED and GONE */
	struct column_change *fills; /* `to` is the new column's name */
	uint32_t nfills;
};

struct note {
	struct noted *changes;
	uint32_t n;
};

/* note_release in any case. DATA: these are no such lines. */
enum rc note_parse(const char *text, size_t len, struct note *out, struct err *e) MUSTCHECK;
void note_release(struct note *n);

/*
 * Makes the trigger and what belongs to it, or again, if it is another program's
 * version; *there: it is at work now. Without the rights it is not, and that is
 * no failure.
 */
enum rc note_install(struct pgsql_source *s, bool *there, struct err *e) MUSTCHECK;
/* Lets the trigger publish new tables that the channel selects. */
enum rc note_selection(struct pgsql_source *s, struct err *e) MUSTCHECK;
/* The trigger, which other channels may need, stays. */
enum rc note_deselect(struct pgsql_source *s, struct err *e) MUSTCHECK;

/* Whether the row s of $S.selected takes a table of these names, and none of its channel excludes
 * it. */
#define SELECTS(db, name)                                                              \
	"(NOT s.exclude AND " db " LIKE s.db AND " name " LIKE s.tab AND NOT EXISTS "  \
	"(SELECT FROM $S.selected e WHERE e.channel = s.channel AND e.exclude AND " db \
	" LIKE e.db AND " name " LIKE e.tab))"

/* A text with words of two characters in it that stand for others. */
struct note_word {
	const char *name;
	const char *text;
};

void note_put(struct buf *b, const char *text, const struct note_word *words, size_t n);
/* note_parts.c: what it knows of objects, in the schema that is quoted, and a literal. */
void note_parts(struct buf *b, int version, const char *schema, const char *literal);

/* The triggers on tables, where there are any. */
#define TRUNCATE_TRIGGER "syncline_truncate"
/* note_truncate.c: what the installation has more, and what it does with each table that a
 * statement has made or changed, and each new partition; "" where that is in the log. */
const char *note_truncate_sql(const struct pgsql_source *s);
const char *note_truncate_new(const struct pgsql_source *s);
const char *note_truncate_partition(const struct pgsql_source *s);
/* The tables' triggers as the channels want them now; given_up: this one does not any more. RETRY:
 * a table is busy. */
enum rc note_truncates(struct pgsql_source *s, bool given_up, struct err *e) MUSTCHECK;

#endif
