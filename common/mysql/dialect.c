/* dialect.c - the same statement in the words of the other family; see dialect.h. */
#include "common/compat.h"

#include <string.h>

#include "common/mem.h"
#include "common/mysql/dialect.h"
#include "common/mysql/token.h"

/* What stands in the statement's last tokens, and what has been written of it. */
struct writer {
	struct tokens t;
	struct tok last, before;
	size_t written;
	unsigned depth;
	bool blob;   /* the column in hand has a type without plain defaults */
	bool alters; /* ALTER TABLE, CREATE INDEX, DROP INDEX: an IF of a clause is MariaDB's */
	bool changed;
	struct buf *out;
};

bool
dialect_error(int code)
{
	static const int codes[] = {
		1064, /* syntax */
		1101, /* a default of a blob */
		1911, /* an option that is not known */
	};

	for (size_t i = 0; i < COUNT_OF(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

static bool
is_one_of(const struct tokens *t, const struct tok *k, const char *const words[])
{
	for (; *words != NULL; words++)
		if (tok_is(t, k, *words))
			return true;
	return false;
}

/* [start, end) of the statement becomes `with`. */
static void
replace(struct writer *w, size_t start, size_t end, const char *with)
{
	buf_add(w->out, w->t.sql + w->written, start - w->written);
	buf_puts(w->out, with);
	w->written = end;
	w->changed = true;
}

static struct tok
peek(const struct writer *w, unsigned n)
{
	struct tokens ahead = w->t;
	struct tok k = tokens_next(&ahead);

	while (n-- != 0)
		k = tokens_next(&ahead);
	return k;
}

/* The end of the parenthesis that opens with the next token. */
static size_t
closing(const struct writer *w)
{
	struct tokens ahead = w->t;
	unsigned depth = 0;
	struct tok k;

	do {
		k = tokens_next(&ahead);
		depth += tok_is(&ahead, &k, "(");
		depth -= tok_is(&ahead, &k, ")");
	} while (depth != 0 && k.kind != TOK_END);
	return k.end;
}

/* name = value, both gone. */
static void
cut_option(struct writer *w, const struct tok *name)
{
	bool listed = tok_is(&w->t, &w->last, ",");
	struct tok value = peek(w, 1);

	tokens_next(&w->t);
	tokens_next(&w->t);
	replace(w, listed ? w->last.start : name->start, value.end, "");
}

static void
wrap_default(struct writer *w)
{
	static const char *const moments[] = {
		"CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP", NULL};
	struct tok value = peek(w, 0), next = peek(w, 1);
	size_t end = value.end;

	if (value.kind == TOK_WORD && tok_is(&w->t, &next, "(") &&
		!is_one_of(&w->t, &value, moments)) {
		tokens_next(&w->t);
		end = closing(w);
	} else if (!w->blob || (value.kind != TOK_STRING && value.kind != TOK_NUMBER)) {
		return;
	}
	replace(w, value.start, value.start, "(");
	replace(w, end, end, ")");
	while (w->t.at < end)
		tokens_next(&w->t);
}

/* A clause's own IF [NOT] EXISTS. */
static void
cut_if(struct writer *w, const struct tok *k)
{
	struct tok next = peek(w, 0);

	if (tok_is(&w->t, &next, "NOT")) {
		tokens_next(&w->t);
		next = peek(w, 0);
	}
	if (tok_is(&w->t, &next, "EXISTS")) {
		tokens_next(&w->t);
		replace(w, k->start, next.end, "");
	}
}

static void
for_mysql(struct writer *w, const struct tok *k)
{
	static const char *const blobs[] = {"TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT",
		"TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "JSON", "GEOMETRY", NULL};
	struct tok next = peek(w, 0);

	if (tok_is(&w->t, k, ","))
		w->blob = false;
	else if (is_one_of(&w->t, k, blobs))
		w->blob = true;
	else if (tok_is(&w->t, k, "DEFAULT"))
		wrap_default(w);
	else if (tok_is(&w->t, k, "PERSISTENT") && tok_is(&w->t, &w->last, ")"))
		replace(w, k->start, k->end, "STORED");
	else if (tok_is(&w->t, k, "IGNORED") && tok_is(&w->t, &w->last, "NOT"))
		replace(w, w->last.start, k->end, "VISIBLE");
	else if (tok_is(&w->t, k, "IGNORED"))
		replace(w, k->start, k->end, "INVISIBLE");
	else if (tok_is(&w->t, k, "NOWAIT") && w->depth == 0)
		replace(w, k->start, k->end, "");
	else if (tok_is(&w->t, k, "IF") && w->alters && w->depth == 0)
		cut_if(w, k);
	else if (k->kind == TOK_NAME && tok_is(&w->t, &next, "=") && w->depth == 0)
		cut_option(w, k); /* an engine's own, as SHOW CREATE quotes them */
}

static void
for_mariadb(struct writer *w, const struct tok *k)
{
	static const char *const options[] = {"COMPRESSION", "ENGINE_ATTRIBUTE",
		"SECONDARY_ENGINE_ATTRIBUTE", "AUTOEXTEND_SIZE", NULL};
	static const char *const indexes[] = {"INDEX", "KEY", NULL};
	struct tok next = peek(w, 0);
	bool of_index = is_one_of(&w->t, &w->before, indexes);

	if (tok_is(&w->t, k, "SRID") && next.kind == TOK_NUMBER) {
		tokens_next(&w->t);
		replace(w, k->start, next.end, "");
	} else if (tok_is(&w->t, k, "INVISIBLE") && of_index) {
		replace(w, k->start, k->end, "IGNORED");
	} else if (tok_is(&w->t, k, "VISIBLE") && of_index) {
		replace(w, k->start, k->end, "NOT IGNORED");
	} else if (is_one_of(&w->t, k, options) && tok_is(&w->t, &next, "=") && w->depth == 0) {
		cut_option(w, k);
	}
}

static bool
alters(const struct writer *w)
{
	struct tok first = peek(w, 0), second = peek(w, 1), third = peek(w, 2);

	return tok_is(&w->t, &first, "ALTER") || tok_is(&w->t, &second, "INDEX") ||
	       tok_is(&w->t, &third, "INDEX");
}

bool
dialect_rewrite(const struct buf *sql, bool to_mariadb, bool ansi_quotes, bool no_backslash,
	struct buf *out)
{
	struct writer w = {.out = out};
	struct tok k;

	tokens_init(&w.t, buf_text(sql), sql->len, ansi_quotes, no_backslash);
	w.alters = alters(&w);
	while ((k = tokens_next(&w.t)).kind != TOK_END) {
		w.depth += tok_is(&w.t, &k, "(");
		w.depth -= w.depth != 0 && tok_is(&w.t, &k, ")");
		if (to_mariadb)
			for_mariadb(&w, &k);
		else
			for_mysql(&w, &k);
		w.before = w.last;
		w.last = k;
	}
	buf_add(out, w.t.sql + w.written, w.t.len - w.written);
	return w.changed;
}
