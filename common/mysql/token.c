/* token.c - see token.h. */
#include "common/compat.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/token.h"

void
tokens_init(struct tokens *t, const char *sql, size_t len, bool ansi_quotes, bool no_backslash)
{
	*t = (struct tokens){
		.sql = sql, .len = len, .ansi_quotes = ansi_quotes, .no_backslash = no_backslash};
}

static char
peek(const struct tokens *t, size_t ahead)
{
	return t->at + ahead < t->len ? t->sql[t->at + ahead] : '\0';
}

static void
skip_to(struct tokens *t, const char *end)
{
	const char *p = memmem(t->sql + t->at, t->len - t->at, end, strlen(end));

	t->at = p != NULL ? (size_t)(p - t->sql) + strlen(end) : t->len;
}

/* A comment that counts as code: its opening and version number are passed over, the rest is read.
 */
static void
open_version(struct tokens *t)
{
	t->at += peek(t, 2) == '!' ? 3 : 4;
	while (isdigit((unsigned char)peek(t, 0)))
		t->at++;
	t->in_version = true;
}

/* True if something was skipped. */
static bool
skip_one(struct tokens *t)
{
	char c = peek(t, 0), d = peek(t, 1);

	if (t->at >= t->len)
		return false;
	if (isspace((unsigned char)c)) {
		t->at++;
	} else if (c == '#' ||
		   (c == '-' && d == '-' &&
			   (t->at + 2 >= t->len || isspace((unsigned char)peek(t, 2))))) {
		skip_to(t, "\n");
	} else if (c == '/' && d == '*' &&
		   (peek(t, 2) == '!' || (peek(t, 2) == 'M' && peek(t, 3) == '!'))) {
		open_version(t);
	} else if (c == '/' && d == '*') {
		t->at += 2;
		skip_to(t, "*/");
	} else if (t->in_version && c == '*' && d == '/') {
		t->at += 2;
		t->in_version = false;
	} else {
		return false;
	}
	return true;
}

static bool
is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void
read_quoted(struct tokens *t, char quote, bool backslash)
{
	t->at++;
	while (t->at < t->len) {
		char c = t->sql[t->at++];

		if (c == '\\' && backslash && t->at < t->len)
			t->at++;
		else if (c == quote && peek(t, 0) == quote)
			t->at++;
		else if (c == quote)
			return;
	}
}

struct tok
tokens_next(struct tokens *t)
{
	struct tok k;
	char c;

	while (skip_one(t))
		;
	k = (struct tok){.kind = TOK_END, .start = t->at, .end = t->at};
	if (t->at >= t->len)
		return k;
	c = peek(t, 0);
	if (c == '`' || (c == '"' && t->ansi_quotes)) {
		k.kind = TOK_NAME;
		read_quoted(t, c, false);
	} else if (c == '\'' || c == '"') {
		k.kind = TOK_STRING;
		read_quoted(t, c, !t->no_backslash);
	} else if (is_word_char(c)) {
		bool digits = true;

		for (; t->at < t->len && is_word_char(peek(t, 0)); t->at++)
			digits = digits && isdigit((unsigned char)peek(t, 0));
		k.kind = digits ? TOK_NUMBER : TOK_WORD;
	} else {
		k.kind = TOK_PUNCT;
		t->at++;
	}
	k.end = t->at;
	return k;
}

bool
tok_is(const struct tokens *t, const struct tok *k, const char *word)
{
	size_t n = k->end - k->start;

	return (k->kind == TOK_WORD || k->kind == TOK_PUNCT) && strlen(word) == n &&
	       strncasecmp(t->sql + k->start, word, n) == 0;
}

char *
tok_name(const struct tokens *t, const struct tok *k)
{
	const char *p = t->sql + k->start, *end = t->sql + k->end;
	char *out = xmalloc(k->end - k->start + 1);
	size_t n = 0;
	char quote = *p;

	if (k->kind == TOK_WORD || k->kind == TOK_NUMBER || k->kind == TOK_PUNCT) {
		memcpy(out, p, (size_t)(end - p));
		out[end - p] = '\0';
		return out;
	}
	for (p++; p < end; p++) {
		if (*p == quote && (p + 1 >= end || *++p != quote))
			break;
		out[n++] = *p;
	}
	out[n] = '\0';
	return out;
}
