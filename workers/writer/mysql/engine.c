/* engine.c - options of tables, for InnoDB; see sink.h of the room. */
#include "common/compat.h"

#include <string.h>
#include <strings.h>

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
sink_engines(const struct ddl *d, const struct buf *sql, struct buf *out)
{
	struct place place = {0};
	struct tokens t;
	struct tok k;
	size_t at = 0;

	if (d->class != DDL_CLASS_CREATE_TABLE && d->class != DDL_CLASS_ALTER_TABLE) {
		buf_add(out, sql->data, sql->len);
		return;
	}
	tokens_init(&t, buf_text(sql), sql->len, d->text.ansi_quotes, d->text.no_backslash);
	while ((k = tokens_next(&t)).kind != TOK_END) {
		size_t end = k.end;
		const char *then =
			may_be_option(&t, &k, &place) ? table_option(&t, &k, &end) : NULL;

		if (then == NULL)
			continue;
		buf_add(out, sql->data + at, k.start - at);
		buf_puts(out, then);
		at = t.at = end;
	}
	buf_add(out, sql->data + at, sql->len - at);
}
