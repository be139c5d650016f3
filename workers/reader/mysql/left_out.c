/*
 * left_out.c - what selected databases and tables have that is not carried, most of it to a target
 * of another engine, named in the precheck; see source.h of the room.
 *
 * Each row asks for one kind of object: its database, the table that it belongs
 * to ('': none, it belongs to the database) and its name. Generated columns are
 * the target's to tell of, which may have them.
 */
#include "common/compat.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/mysql/describe.h"
#include "workers/reader/left_out.h"
#include "workers/reader/mysql/source.h"

/* To whom it is told: to all; to other engines; to these, where the source tells defaults as
 * expressions. */
enum when { ALL_TARGETS, OTHER_ENGINES, TOLD_EXPRESSIONS };

/* clang-format off */
static const struct kind {
	const char *what;
	enum selection by;
	enum when when;
	const char *remedy;
	const char *query;
} kinds[] = {
	{"constraints (CHECK)", BY_TABLE, OTHER_ENGINES, LEFT_OUT_ROWS_HAVE,
		"SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM "
		"information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'CHECK'"},
	{"defaults that are computed", BY_TABLE, OTHER_ENGINES, LEFT_OUT_ROWS_HAVE,
		"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE "
		"EXTRA LIKE '%DEFAULT_GENERATED%' AND LOWER(COLUMN_DEFAULT) NOT LIKE 'current_timestamp%'"},
	{"defaults that are computed", BY_TABLE, TOLD_EXPRESSIONS, LEFT_OUT_ROWS_HAVE,
		"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE "
		"COLUMN_DEFAULT NOT LIKE '''%' AND COLUMN_DEFAULT NOT REGEXP "
		"'^(NULL|[-+.0-9e]+|[bx]''.*''|current_timestamp[(0-6)]*)$'"},
	{"columns that each UPDATE sets (ON UPDATE)", BY_TABLE, OTHER_ENGINES, LEFT_OUT_ROWS_HAVE,
		"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE "
		"EXTRA LIKE '%on update%'"},
	{"indexes (FULLTEXT, SPATIAL, of expressions)", BY_TABLE, OTHER_ENGINES, LEFT_OUT_MAKE,
		"SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME FROM "
		"information_schema.STATISTICS WHERE INDEX_TYPE NOT IN ('BTREE', 'HASH') OR "
		"COLUMN_NAME IS NULL"},
	{"partitions", BY_TABLE, OTHER_ENGINES,
		"nothing need be done, the target's table has the rows of all; to have them there, "
		"make the table by hand before the channel starts, with existing = \"ignore\"",
		"SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME, PARTITION_METHOD FROM "
		"information_schema.PARTITIONS WHERE PARTITION_NAME IS NOT NULL"},
	{"triggers", BY_TABLE, OTHER_ENGINES, LEFT_OUT_EFFECTS,
		"SELECT TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME FROM "
		"information_schema.TRIGGERS"},
	{"events", BY_DATABASE, ALL_TARGETS, LEFT_OUT_EFFECTS,
		"SELECT EVENT_SCHEMA, '', EVENT_NAME FROM information_schema.EVENTS"},
	{"views", BY_DATABASE, OTHER_ENGINES, LEFT_OUT_MAKE,
		"SELECT TABLE_SCHEMA, '', TABLE_NAME FROM information_schema.VIEWS"},
	{"functions and procedures", BY_DATABASE, OTHER_ENGINES, LEFT_OUT_MAKE,
		"SELECT ROUTINE_SCHEMA, '', ROUTINE_NAME FROM information_schema.ROUTINES WHERE "
		"ROUTINE_TYPE IN ('FUNCTION', 'PROCEDURE')"},
};
/* clang-format on */

static enum rc
add(struct mysql_source *s, MYSQL_ROW row, void *names, struct err *e)
{
	(void)s;
	(void)e;
	left_out_add(names, row[0], row[1], row[2]);
	return RC_OK;
}

static enum rc
check_kind(
	struct mysql_source *s, const struct kind *k, bool *any, struct checks *out, struct err *e)
{
	struct left_out names;
	char *query = xasprintf("%s ORDER BY 1, 2, 3", k->query);
	enum rc rc;

	left_out_init(&names);
	rc = mysql_each_selected(s, k->by, query, add, &names, e);
	free(query);
	if (left_out_tell(&names, LEFT_OUT, k->what, k->remedy, out))
		*any = true;
	return rc;
}

enum rc
mysql_check_left_out(struct mysql_source *s, struct checks *out, struct err *e)
{
	bool other = !conf_is(s->env.conf, "target.kind", "mysql"),
	     expressions = mysql_tells_expressions(&s->main.server), any = false;
	enum rc rc = RC_OK;

	if (!conf_has_word(s->env.conf, "initial", "schema"))
		return RC_OK;
	for (size_t i = 0; i < COUNT_OF(kinds) && rc == RC_OK; i++) {
		enum when when = kinds[i].when;

		if (when == ALL_TARGETS || (other && (when == OTHER_ENGINES || expressions)))
			rc = check_kind(s, &kinds[i], &any, out, e);
	}
	if (rc == RC_OK && other && !any)
		checks_pass(out, LEFT_OUT);
	return rc;
}
