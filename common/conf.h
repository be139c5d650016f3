/*
 * conf.h - settings: one list of option rows, one immutable set of values.
 *
 * A setting has a path: "lanes", "source.host", "objects[2].to_table"; rows in
 * options.c describe each path (list indexes left out: "objects.to_table"):
 * type, bounds, unit, default, whether a reload applies it live, whether it is
 * a secret, which kinds of endpoint know it, and help. The sample
 * configuration, the manual page, -T and the unknown-key suggestions all
 * derive from these rows.
 *
 * Values are kept as text, checked once when set; getters of the wrong type
 * are a bug(). Reading never fails: a required setting that is missing is
 * found by the check, before anybody reads.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/compat.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum option_type {
	OPTION_STRING,
	OPTION_INT,
	OPTION_BOOL,
	OPTION_SIZE,	 /* "64MiB": bytes */
	OPTION_DURATION, /* "30s", "200ms": milliseconds */
	OPTION_ENUM,	 /* one of the words in `words` */
	OPTION_PATH,
	OPTION_SECRET, /* a string that is never shown */
	OPTION_LIST,   /* an array of strings */
	OPTION_GROUP,  /* { ... }: has rows below it */
	OPTION_GROUPS, /* ( { ... }, { ... } ) */
	OPTION_PAIRS   /* ( ("a", "b"), ... ) */
};

enum option_reload { RELOAD_LIVE, RELOAD_CHANNEL, RELOAD_DAEMON, RELOAD_NEVER };

struct option {
	const char *path;
	enum option_type type;
	const char *preset; /* default as text; NULL: none */
	bool required;
	int64_t min, max;  /* of INT, SIZE, DURATION */
	const char *words; /* of ENUM: "atomic fastest" */
	const char *kinds; /* endpoint kinds that know it: "mysql postgresql"; NULL: all */
	const char *only;  /* the one value this version supports; NULL: all */
	enum option_reload reload;
	const char *help; /* one sentence */
};

/* Rows of a channel's file, and of the daemon's own file. Terminated by a NULL path. */
const struct option *channel_options(void);
const struct option *daemon_options(void);
/* The path without list indexes: "objects[2].table" becomes "objects.table". */
void option_plain(const char *path, char *out, size_t size);
/* The row for a path with or without list indexes; NULL if there is none. */
const struct option *option_find(const struct option *rows, const char *path);
/* The nearest known path in the same group, or the same name in another group, for "did you mean";
 * NULL if none is near. */
const char *option_suggest(const struct option *rows, const char *path);
/* 'unknown setting "lane"; did you mean "lanes"?' Returns RC_CONFIG. */
enum rc option_unknown(const struct option *rows, const char *path, struct err *e);
/* Whether one of the words between blanks is s: option.words, option.kinds. */
bool option_word(const char *words, const char *s);
/* Whether the text may be a value of the row, or a member of its list; path is what e names. */
enum rc option_check(
	const struct option *o, const char *path, const char *value, struct err *e) MUSTCHECK;
/* The number behind a text for INT, SIZE (bytes), DURATION (ms), BOOL; false: it is none. */
bool option_number(const struct option *o, const char *text, int64_t *out);
/* The number of an option of SIZE or DURATION as a person writes it: "64MiB", "90s". */
void option_unit(enum option_type type, int64_t n, char *out, size_t size);

struct conf;

struct conf *conf_new(const struct option *rows);
void conf_free(struct conf *c);
/* Checks type, bounds and words. Where: "file:line" or "default" or "command line". */
enum rc conf_set(struct conf *c, const char *path, const char *value, const char *where,
	struct err *e) MUSTCHECK;
/* Appends to a LIST (one string) or PAIRS (two); a NULL: the list is set and empty. A word of a
 * LIST with `words` stands there once. */
enum rc conf_append(struct conf *c, const char *path, const char *a, const char *b,
	const char *where, struct err *e) MUSTCHECK;

bool conf_has(const struct conf *c, const char *path); /* set, not defaulted */
const char *conf_where(const struct conf *c, const char *path);
const char *conf_str(const struct conf *c, const char *path); /* NULL: unset and no default */
int64_t conf_int(const struct conf *c, const char *path);
bool conf_bool(const struct conf *c, const char *path);
uint64_t conf_size(const struct conf *c, const char *path);
uint64_t conf_ms(const struct conf *c, const char *path);
bool conf_is(const struct conf *c, const char *path, const char *word);	      /* of ENUM */
bool conf_has_word(const struct conf *c, const char *path, const char *word); /* of LIST */
/* Entries of GROUPS, LIST, PAIRS. */
size_t conf_count(const struct conf *c, const char *path);
/* A word of a default is valid until the thread's next call. */
const char *conf_list(const struct conf *c, const char *path, size_t i);
void conf_pair(const struct conf *c, const char *path, size_t i, const char **a, const char **b);
/* The same for a formatted path: conf_strf(c, "objects[%zu].table", i). */
const char *conf_strf(const struct conf *c, const char *fmt, ...) PRINTF(2, 3);

/*
 * For the trip to a worker: drop_secrets_of is "source" or "target", the end
 * whose secrets do not go along; NULL keeps all.
 */
void conf_encode(const struct conf *c, const char *drop_secrets_of, struct buf *b);
enum rc conf_decode(
	const struct option *rows, struct cursor *cur, struct conf **out, struct err *e) MUSTCHECK;
/* Calls back for each effective setting in row order, secrets masked: -T, reload's diff. */
void conf_each(const struct conf *c,
	void (*cb)(void *arg, const char *path, const char *value, const char *where), void *arg);

#endif
