/* dialect.c - the same statement in the words of the other family; see dialect.h. */
#include "common/compat.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/ddl.h"
#include "common/mysql/dialect.h"
#include "common/mysql/token.h"

/* What stands in the statement's last tokens, and what has been written of it. */
struct writer {
	const struct dialect *to;
	struct tokens t;
	struct tok last, before;
	struct ddl d;
	uint32_t column; /* of d's: those before it have been passed */
	size_t written;
	unsigned depth, turns;
	bool blob;		       /* the column in hand has a type without plain defaults */
	const struct address *address; /* it has this type, which the server does not know */
	bool alters; /* ALTER TABLE, CREATE INDEX, DROP INDEX: an IF of a clause is MariaDB's */
	bool changed, cannot;
	struct buf *out, *lost;
};

bool
dialect_error(int code)
{
	static const int codes[] = {
		1064, /* syntax */
		1090, /* a table without columns */
		1101, /* a default of a blob */
		1911, /* an option that is not known */
		1128, /* a parser of words that is not there */
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

/* The same for what the server has nothing like: what is named of it begins at `from`. */
static void
lose(struct writer *w, size_t start, size_t end, size_t from)
{
	replace(w, start, end, "");
	buf_puts(w->lost, w->lost->len != 0 ? ", " : "");
	buf_add(w->lost, w->t.sql + from, end - from);
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
	lose(w, listed ? w->last.start : name->start, value.end, name->start);
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

/* ---- addresses: bytes where the server does not know them ---- */

static bool
read_inet4(const char *text, unsigned char *out)
{
	return inet_pton(AF_INET, text, out) == 1;
}

static bool
read_inet6(const char *text, unsigned char *out)
{
	return inet_pton(AF_INET6, text, out) == 1;
}

static bool
read_uuid(const char *text, unsigned char *out)
{
	unsigned n = 0;

	for (; *text != '\0' && n < 32; text++) {
		const char *digits = "0123456789abcdef",
			   *digit = strchr(digits, tolower((unsigned char)*text));

		if (*text == '-')
			continue;
		if (digit == NULL)
			return false;
		out[n / 2] = (unsigned char)(out[n / 2] << 4 | (digit - digits));
		n++;
	}
	return n == 32 && *text == '\0';
}

static const struct address {
	const char *word, *instead;
	size_t bytes;
	bool (*read)(const char *text, unsigned char *out);
} addresses[] = {
	{"INET4", "BINARY(4)", 4, read_inet4},
	{"INET6", "BINARY(16)", 16, read_inet6},
	{"UUID", "BINARY(16)", 16, read_uuid},
};

/* A column's type is what follows its name. */
static bool
is_type(struct writer *w, const struct tok *k)
{
	while (w->column < w->d.ncolumns && (w->d.columns[w->column].role != COLUMN_DEFINED ||
						    w->d.columns[w->column].end < w->last.end))
		w->column++;
	return w->column < w->d.ncolumns && w->d.columns[w->column].end == w->last.end &&
	       k->start >= w->last.end;
}

static void
take_type(struct writer *w, const struct tok *k)
{
	w->address = NULL;
	for (size_t i = 0; i < COUNT_OF(addresses); i++)
		if (tok_is(&w->t, k, addresses[i].word)) {
			w->address = &addresses[i];
			replace(w, k->start, k->end, w->address->instead);
		}
}

/* What rows that are there get by it must be the same bytes: uuid() would give them others. */
static void
default_of_address(struct writer *w)
{
	struct tok value = tokens_next(&w->t), next = peek(w, 0);
	unsigned char bytes[16] = {0};
	struct buf b;
	char *text;

	if (tok_is(&w->t, &value, "NULL"))
		return;
	if (tok_is(&w->t, &value, "uuid") && tok_is(&w->t, &next, "(") && !w->alters) {
		size_t end = closing(w);

		replace(w, value.start, end, "(UUID_TO_BIN(UUID()))");
		w->t.at = end;
		return;
	}
	text = value.kind == TOK_STRING ? tok_name(&w->t, &value) : NULL;
	w->cannot = w->cannot || text == NULL || !w->address->read(text, bytes);
	buf_init(&b);
	buf_puts(&b, "x'");
	for (size_t i = 0; i < w->address->bytes; i++)
		buf_printf(&b, "%02x", bytes[i]);
	buf_putc(&b, '\'');
	replace(w, value.start, value.end, buf_text(&b));
	buf_release(&b);
	free(text);
}

/* ---- keys that the server cannot have ---- */

/* Whether a part of the key is an expression: a parenthesis within the list's; *end: the
 * definition's. */
static bool
has_expression(const struct writer *w, const struct tok *key, size_t *end)
{
	struct tokens ahead = w->t;
	unsigned depth = 0;
	bool starts = false, found = false;
	struct tok k;

	*end = key->end;
	while ((k = tokens_next(&ahead)).kind != TOK_END) {
		if (depth == 0 && (tok_is(&ahead, &k, ",") || tok_is(&ahead, &k, ")")))
			break;
		found = found || (starts && tok_is(&ahead, &k, "("));
		depth += tok_is(&ahead, &k, "(");
		depth -= tok_is(&ahead, &k, ")");
		starts = depth == 1 && (tok_is(&ahead, &k, "(") || tok_is(&ahead, &k, ","));
		*end = k.end;
	}
	return found;
}

/* A table does as well without an index, and without what its rows have been held to where they
 * come from. */
static bool
cut_key(struct writer *w, const struct tok *k)
{
	static const char *const keys[] = {"INDEX", "KEY", "UNIQUE", "VECTOR", NULL};
	size_t end;
	bool expression;

	if (w->depth != 1 || !tok_is(&w->t, &w->last, ",") || !is_one_of(&w->t, k, keys))
		return false;
	expression = has_expression(w, k, &end);
	if (!expression && !tok_is(&w->t, k, "VECTOR"))
		return false;
	lose(w, w->last.start, end, k->start);
	w->t.at = end;
	return true;
}

/* ---- comments that not every server runs ---- */

static bool
runs(const struct server *s, bool mariadbs, unsigned version)
{
	if (mariadbs)
		return s->mariadb && version <= s->version;
	if (s->mariadb && version >= 50700 && version <= 99999)
		return false;
	return version <= s->version;
}

#define MARIADB_WITH_INVISIBLE 100303u
#define MARIADB_WITH_IGNORED 100600u

static bool
has_ignored(const struct server *s)
{
	return s->mariadb && s->version >= MARIADB_WITH_IGNORED;
}

/* What this server would pass over says so aloud; an INVISIBLE it has in words of its own. */
static void
take_comment(struct writer *w, const struct tok *k)
{
	static const char *const indexes[] = {"INDEX", "KEY", NULL};
	const struct server *s = w->to->server;
	const char *sql = w->t.sql, *close = memmem(sql + k->start, w->t.len - k->start, "*/", 2);
	size_t start = k->start, end;

	while (start >= 2 && memcmp(sql + start, "/*", 2) != 0)
		start--;
	if (close == NULL ||
		runs(s, sql[start + 2] == 'M',
			(unsigned)strtoul(sql + start + 3 + (sql[start + 2] == 'M'), NULL, 10)))
		return;
	end = (size_t)(close - sql);
	if (tok_is(&w->t, k, "INVISIBLE") && s->mariadb && s->version >= MARIADB_WITH_INVISIBLE &&
		!is_one_of(&w->t, &w->before, indexes) && w->depth == 1 &&
		!tok_is(&w->t, &w->last, ")"))
		replace(w, start, end + 2, "INVISIBLE");
	else if (tok_is(&w->t, k, "INVISIBLE") && has_ignored(s))
		replace(w, start, end + 2, "IGNORED");
	else {
		while (end > k->start && sql[end - 1] == ' ')
			end--;
		lose(w, start, end, k->start);
		w->written = (size_t)(close - sql) + 2;
	}
	w->t.at = (size_t)(close - sql);
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

	if (is_type(w, k))
		take_type(w, k);
	if (tok_is(&w->t, k, ",") || tok_is(&w->t, k, ")"))
		w->address = NULL;
	if (tok_is(&w->t, k, ","))
		w->blob = false;
	else if (tok_is(&w->t, k, "DEFAULT") && w->address != NULL)
		default_of_address(w);
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
	else if (tok_is(&w->t, k, "REPLACE") && tok_is(&w->t, &w->last, "OR") && w->depth == 0)
		replace(w, w->last.start, k->end, ""); /* who runs it has dropped the table */
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
	static const char *const storage[] = {"STORAGE", "COLUMN_FORMAT", NULL};
	struct tok next = peek(w, 0);
	bool of_index = is_one_of(&w->t, &w->before, indexes);

	if (tok_is(&w->t, k, "SRID") && next.kind == TOK_NUMBER) {
		tokens_next(&w->t);
		lose(w, k->start, next.end, k->start);
	} else if (is_one_of(&w->t, k, storage)) {
		tokens_next(&w->t);
		lose(w, k->start, next.end, k->start);
	} else if (tok_is(&w->t, k, "WITH") && tok_is(&w->t, &next, "PARSER")) {
		struct tok name = peek(w, 1);

		tokens_next(&w->t);
		tokens_next(&w->t);
		lose(w, k->start, name.end, k->start);
	} else if (tok_is(&w->t, k, "INVISIBLE") && of_index) {
		replace(w, k->start, k->end, "IGNORED");
	} else if (tok_is(&w->t, k, "VISIBLE") && of_index) {
		replace(w, k->start, k->end, "NOT IGNORED");
	} else if (tok_is(&w->t, k, "IGNORED") && !has_ignored(w->to->server)) {
		bool not = tok_is(&w->t, &w->last, "NOT");

		lose(w, not ? w->last.start : k->start, k->end, k->start);
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

static void
begin(struct writer *w, const struct dialect *to, const struct buf *sql, struct buf *out,
	struct buf *lost)
{
	*w = (struct writer){.to = to, .out = out, .lost = lost};
	tokens_init(&w->t, buf_text(sql), sql->len, to->ansi_quotes, to->no_backslash);
}

static void
finish(struct writer *w)
{
	buf_add(w->out, w->t.sql + w->written, w->t.len - w->written);
}

void
dialect_comments(const struct dialect *to, const struct buf *sql, struct buf *out, struct buf *lost)
{
	struct writer w;
	struct tok k;

	begin(&w, to, sql, out, lost);
	while ((k = tokens_next(&w.t)).kind != TOK_END) {
		w.depth += tok_is(&w.t, &k, "(");
		w.depth -= w.depth != 0 && tok_is(&w.t, &k, ")");
		if (w.t.in_version && w.t.turns != w.turns)
			take_comment(&w, &k);
		w.turns = w.t.turns;
		w.before = w.last;
		w.last = k;
	}
	finish(&w);
}

bool
dialect_rewrite(const struct dialect *to, const struct buf *sql, struct buf *out, struct buf *lost)
{
	struct writer w;
	struct tok k;

	begin(&w, to, sql, out, lost);
	ddl_parse(&w.d, buf_text(sql), sql->len, to->ansi_quotes, to->no_backslash, NULL);
	w.alters = alters(&w);
	while ((k = tokens_next(&w.t)).kind != TOK_END) {
		w.depth += tok_is(&w.t, &k, "(");
		w.depth -= w.depth != 0 && tok_is(&w.t, &k, ")");
		if (cut_key(&w, &k))
			continue;
		if (to->server->mariadb)
			for_mariadb(&w, &k);
		else
			for_mysql(&w, &k);
		w.before = w.last;
		w.last = k;
	}
	finish(&w);
	ddl_release(&w.d);
	return w.changed && !w.cannot;
}
