/*
 * token.h - MySQL SQL text as tokens.
 *
 * Comments are left out; what stands in a versioned comment (slash star
 * exclamation mark, or MariaDB's with an M before it) counts as code. Offsets
 * are bytes of the text. A text of any bytes gives tokens up to TOK_END; an
 * unclosed quote or comment ends at the end of the text. Linear, no memory of
 * its own but tok_name's result.
 */
#ifndef COMMON_MYSQL_TOKEN_H
#define COMMON_MYSQL_TOKEN_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>

enum tok_kind {
	TOK_WORD,   /* keyword or plain identifier */
	TOK_NAME,   /* `quoted` (or "quoted" under ANSI_QUOTES) identifier */
	TOK_STRING, /* 'text' or "text" */
	TOK_NUMBER, /* digits only; 1.5 is three tokens, 1e5 and 0xff are words */
	TOK_PUNCT,  /* one character */
	TOK_END
};

/* Character sets whose second bytes may look like a backslash or a backtick. */
enum tok_charset { TOK_ASCII_SAFE, TOK_GBK, TOK_BIG5, TOK_SJIS, TOK_GB18030 };

struct tok {
	enum tok_kind kind;
	size_t start;
	size_t end;
};

struct tokens {
	const char *sql;
	size_t len;
	size_t at;
	bool ansi_quotes;
	bool no_backslash;
	bool in_version;  /* inside of a versioned comment */
	bool conditional; /* a versioned comment was met that not every server runs */
	unsigned turns;	  /* versioned comments opened and closed so far */
	enum tok_charset charset;
};

void tokens_init(
	struct tokens *t, const char *sql, size_t len, bool ansi_quotes, bool no_backslash);
/* How the text's bytes make characters, by MySQL's name of the set; NULL and unknown: ASCII-safe.
 */
void tokens_charset(struct tokens *t, const char *charset);
/* Bytes of the character at p, 1 to left: a broken one is one byte. */
size_t tok_char_length(enum tok_charset set, const char *p, size_t left);
struct tok tokens_next(struct tokens *t);
/* Whether the token is this keyword (letters without case) or this one punctuation character. */
bool tok_is(const struct tokens *t, const struct tok *k, const char *word);
/*
 * The name that a WORD or NAME spells, the text that a STRING stands for:
 * unquoted, doubled quotes undone, and in strings the backslashes. In the
 * text's own character set; the caller's to free.
 */
char *tok_name(const struct tokens *t, const struct tok *k);

#endif
