/* trigger.c - which triggers of a MySQL source can be copied; see source.h of the room. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/token.h"
#include "workers/reader/mysql/source.h"

bool
source_copies_triggers(const struct mysql_source *s)
{
	return conf_is(s->env.conf, "triggers", "copy");
}

static bool
is_renamed(const struct routes *r, const char *db, const char *table, const char *word)
{
	const char *column = routes_column(r, db, table, word);

	return strcmp(routes_target_db(r, word), word) != 0 ||
	       strcmp(routes_target_table(r, db, word), word) != 0 || column == NULL ||
	       strcmp(column, word) != 0;
}

char *
trigger_names_renamed(
	const struct mysql_source *s, const char *db, const char *table, const char *sql)
{
	const struct routes *r = s->env.routes;
	char *found = NULL;
	struct tokens t;
	struct tok k;

	if (strcmp(routes_table_db(r, db, table), db) != 0)
		return xstrdup(db);
	tokens_init(&t, sql, strlen(sql), false, false);
	while (found == NULL && (k = tokens_next(&t)).kind != TOK_END) {
		char *word;

		if (k.kind != TOK_WORD && k.kind != TOK_NAME)
			continue;
		word = tok_name(&t, &k);
		if (is_renamed(r, db, table, word))
			found = word;
		else
			free(word);
	}
	return found;
}
