/* dialect.c - the source's words in those of this server; see sink.h of the room. */
#include "common/compat.h"

#include <stdio.h>
#include <string.h>

#include "common/mysql/charset.h"
#include "workers/writer/mysql/sink.h"

/*
 * Options of tables that are not for InnoDB. What no InnoDB has gives its place
 * to an option that says nothing, so that commas stay right. A value NULL is any.
 */
static const struct {
	const char *option;
	const char *value;
	const char *then;
} options[] = {
	{"ENGINE", "MyISAM", "ENGINE=InnoDB"},
	{"ENGINE", "Aria", "ENGINE=InnoDB"},
	{"ENGINE", "MEMORY", "ENGINE=InnoDB"},
	{"ENGINE", "HEAP", "ENGINE=InnoDB"},
	{"ENGINE", "CSV", "ENGINE=InnoDB"},
	{"ENGINE", "ARCHIVE", "ENGINE=InnoDB"},
	{"ROW_FORMAT", "FIXED", "ROW_FORMAT=DYNAMIC"},
	{"ROW_FORMAT", "PAGE", "ROW_FORMAT=DYNAMIC"},
	{"PAGE_CHECKSUM", NULL, "CHECKSUM=0"},
	{"TRANSACTIONAL", NULL, "CHECKSUM=0"},
};

static bool
has_options(const struct ddl *d)
{
	return d != NULL &&
	       (d->class == DDL_CLASS_CREATE_TABLE || d->class == DDL_CLASS_ALTER_TABLE);
}

/* A value may be quoted. */
static bool
is_value(const struct tokens *t, const struct tok *k, const char *value)
{
	size_t quote = k->kind == TOK_STRING || k->kind == TOK_NAME;

	return value == NULL ||
	       (k->kind != TOK_PUNCT && strlen(value) == k->end - k->start - 2 * quote &&
		       strncasecmp(t->sql + k->start + quote, value, strlen(value)) == 0);
}

/* OPTION [=] VALUE at `option`; NULL: none that is for other engines. *end: behind it. */
static const char *
table_option(const struct tokens *t, const struct tok *option, size_t *end)
{
	struct tokens ahead = *t;
	struct tok k = tokens_next(&ahead);

	if (tok_is(&ahead, &k, "="))
		k = tokens_next(&ahead);
	for (size_t i = 0; k.kind != TOK_END && i < COUNT_OF(options); i++)
		if (tok_is(t, option, options[i].option) &&
			is_value(&ahead, &k, options[i].value)) {
			*end = k.end;
			return options[i].then;
		}
	return NULL;
}

/* A collation by its bare name or, in a session's settings, between quotes. */
static bool
collation(const struct server *server, const struct tokens *t, const struct tok *k, bool session,
	char out[64])
{
	size_t quote = k->kind == TOK_STRING;

	return (k->kind == TOK_WORD || (session && quote)) &&
	       collation_elsewhere(t->sql + k->start + quote, k->end - k->start - 2 * quote,
		       server->mariadb, server->version, out);
}

/* Options stand behind the columns' parentheses; those of partitions in parentheses again. */
struct place {
	size_t depth;
	bool partitions;
};

static bool
may_be_option(const struct tokens *t, const struct tok *k, struct place *p)
{
	if (tok_is(t, k, "("))
		p->depth++;
	else if (tok_is(t, k, ")") && p->depth != 0)
		p->depth--;
	else if (p->depth == 0 && tok_is(t, k, "PARTITION"))
		p->partitions = true;
	return k->kind == TOK_WORD && (p->depth == 0 || p->partitions);
}

void
sink_translate(const struct server *server, const char *sql, size_t len, const struct ddl *d,
	struct buf *out)
{
	struct place place = {0};
	struct tokens t;
	struct tok k;
	char name[64];
	size_t at = 0;

	tokens_init(
		&t, sql, len, d != NULL && d->text.ansi_quotes, d == NULL || d->text.no_backslash);
	while ((k = tokens_next(&t)).kind != TOK_END) {
		const char *then = NULL;
		size_t end = k.end;

		if (collation(server, &t, &k, d == NULL, name))
			then = name;
		else if (has_options(d) && may_be_option(&t, &k, &place))
			then = table_option(&t, &k, &end);
		if (then == NULL)
			continue;
		buf_add(out, sql + at, k.start - at);
		buf_printf(out, k.kind == TOK_STRING ? "'%s'" : "%s", then);
		at = t.at = end;
	}
	buf_add(out, sql + at, len - at);
}
