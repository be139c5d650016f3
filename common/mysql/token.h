/*
 * token.h - MySQL SQL text as tokens.
 *
 * Comments are left out; what stands in a versioned comment (slash star
 * exclamation mark) counts as code. Offsets are bytes of the text. A text of any bytes gives
 * tokens up to TOK_END; an unclosed quote ends at the end of the text.
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
	TOK_NUMBER,
	TOK_PUNCT, /* one character */
	TOK_END
};

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
	bool in_version; /* inside of a versioned comment */
};

void tokens_init(
	struct tokens *t, const char *sql, size_t len, bool ansi_quotes, bool no_backslash);
struct tok tokens_next(struct tokens *t);
/* Whether the token is this keyword (letters without case) or this one punctuation character. */
bool tok_is(const struct tokens *t, const struct tok *k, const char *word);
/* The name that a WORD or NAME (or STRING, where a name is expected) spells: unquoted; the caller's
 * to free. */
char *tok_name(const struct tokens *t, const struct tok *k);

#endif
