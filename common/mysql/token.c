/* token.c - see token.h. */
#include "common/compat.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/token.h"

/* Servers from this one on run it: older than all that we speak to. */
#define EVERY_SERVER 50504

static const struct {
	const char *name;
	enum tok_charset charset;
} charsets[] = {
	{"gbk", TOK_GBK},
	{"gb2312", TOK_GBK},
	{"big5", TOK_BIG5},
	{"sjis", TOK_SJIS},
	{"cp932", TOK_SJIS},
	{"gb18030", TOK_GB18030},
};

void
tokens_init(struct tokens *t, const char *sql, size_t len, bool ansi_quotes, bool no_backslash)
{
	*t = (struct tokens){
		.sql = sql, .len = len, .ansi_quotes = ansi_quotes, .no_backslash = no_backslash};
}

void
tokens_charset(struct tokens *t, const char *charset)
{
	t->charset = TOK_ASCII_SAFE;
	for (size_t i = 0; charset != NULL && i < COUNT_OF(charsets); i++)
		if (strcasecmp(charsets[i].name, charset) == 0)
			t->charset = charsets[i].charset;
}

static char
peek(const struct tokens *t, size_t ahead)
{
	return ahead < t->len - t->at ? t->sql[t->at + ahead] : '\0';
}

static bool
within(unsigned char c, unsigned char low, unsigned char high)
{
	return c >= low && c <= high;
}

static bool
is_lead(enum tok_charset set, unsigned char c)
{
	switch (set) {
	case TOK_GBK:
	case TOK_GB18030:
		return within(c, 0x81, 0xfe);
	case TOK_BIG5:
		return within(c, 0xa1, 0xf9);
	case TOK_SJIS:
		return within(c, 0x81, 0x9f) || within(c, 0xe0, 0xfc);
	case TOK_ASCII_SAFE:
		break;
	}
	return false;
}

static bool
is_trail(enum tok_charset set, unsigned char c)
{
	if (within(c, 0x40, 0x7e))
		return true;
	return set == TOK_BIG5 ? within(c, 0xa1, 0xfe) : within(c, 0x80, 0xfe);
}

size_t
tok_char_length(enum tok_charset set, const char *p, size_t left)
{
	const unsigned char *u = (const unsigned char *)p;

	if (set == TOK_ASCII_SAFE || left < 2 || !is_lead(set, u[0]))
		return 1;
	if (is_trail(set, u[1]))
		return 2;
	return set == TOK_GB18030 && left >= 4 && within(u[1], '0', '9') &&
			       within(u[2], 0x81, 0xfe) && within(u[3], '0', '9')
		       ? 4
		       : 1;
}

static void
skip_to(struct tokens *t, const char *end)
{
	const char *p = memmem(t->sql + t->at, t->len - t->at, end, strlen(end));

	t->at = p != NULL ? (size_t)(p - t->sql) + strlen(end) : t->len;
}

/*
 * A comment that counts as code: its opening and version number are passed
 * over, the rest is read.
 */
static void
open_version(struct tokens *t)
{
	uint32_t version = 0;
	bool mariadb = peek(t, 2) == 'M';
	int digits = 0;

	t->at += mariadb ? 4 : 3;
	for (; digits < 6 && isdigit((unsigned char)peek(t, 0)); digits++, t->at++)
		version = version * 10 + (uint32_t)(peek(t, 0) - '0');
	t->conditional = t->conditional || mariadb || version > EVERY_SERVER;
	t->in_version = true;
	t->turns++;
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
	} else if (c == '#' || (c == '-' && d == '-' &&
				       (t->at + 2 >= t->len || isspace((unsigned char)peek(t, 2)) ||
					       iscntrl((unsigned char)peek(t, 2))))) {
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
		t->turns++;
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
		size_t n = tok_char_length(t->charset, t->sql + t->at, t->len - t->at);
		char c = t->sql[t->at];

		t->at += n;
		if (n > 1)
			continue;
		if (c == '\\' && backslash && t->at < t->len)
			t->at++;
		else if (c == quote && peek(t, 0) == quote)
			t->at++;
		else if (c == quote)
			return;
	}
}

static enum tok_kind
read_word(struct tokens *t)
{
	bool digits = true;

	while (t->at < t->len && is_word_char(peek(t, 0))) {
		digits = digits && isdigit((unsigned char)peek(t, 0));
		t->at += tok_char_length(t->charset, t->sql + t->at, t->len - t->at);
	}
	return digits ? TOK_NUMBER : TOK_WORD;
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
		k.kind = read_word(t);
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

/* What a backslash before this character means; LIKE's \% and \_ keep theirs. */
static char
unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case 'b':
		return '\b';
	case '0':
		return '\0';
	case 'Z':
		return '\032';
	default:
		return c;
	}
}

static char *
unquote(const struct tokens *t, const char *p, const char *end, bool backslash)
{
	char *out = xmalloc((size_t)(end - p) + 1);
	char quote = *p++;
	size_t n = 0;

	while (p < end) {
		size_t length = tok_char_length(t->charset, p, (size_t)(end - p));

		if (length > 1) {
			memcpy(out + n, p, length);
			n += length;
			p += length;
		} else if (*p == '\\' && backslash && p + 1 < end) {
			if (p[1] == '%' || p[1] == '_')
				out[n++] = '\\';
			out[n++] = unescape(p[1]);
			p += 2;
		} else if (*p == quote && (p + 1 >= end || p[1] != quote)) {
			break;
		} else {
			out[n++] = *p;
			p += *p == quote ? 2 : 1;
		}
	}
	out[n] = '\0';
	return out;
}

char *
tok_name(const struct tokens *t, const struct tok *k)
{
	const char *p = t->sql + k->start, *end = t->sql + k->end;

	if (k->kind == TOK_NAME || k->kind == TOK_STRING)
		return unquote(t, p, end, k->kind == TOK_STRING && !t->no_backslash);
	return xstrndup(p, k->end - k->start);
}
