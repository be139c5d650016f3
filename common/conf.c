/* conf.c - see conf.h. */
#include "common/compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/log.h"
#include "common/mem.h"

#define MASK "********"

/* One path that was set: one text, or the members of a LIST or PAIRS, one after the other. */
struct setting {
	char *path;
	char *where;
	char **values;
	uint32_t nvalues;
};

struct conf {
	const struct option *rows;
	struct setting *settings; /* in the order in which they were set */
	uint32_t count;
	uint32_t *slots; /* hash table: position in settings + 1; 0: free */
	uint32_t nslots; /* a power of two, at least twice count; 0 at first */
};

/* ---- the set ---- */

struct conf *
conf_new(const struct option *rows)
{
	struct conf *c = xcalloc(1, sizeof *c);

	c->rows = rows;
	return c;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->count; i++) {
		struct setting *s = &c->settings[i];

		for (uint32_t k = 0; k < s->nvalues; k++)
			free(s->values[k]);
		free(s->values);
		free(s->path);
		free(s->where);
	}
	free(c->slots);
	free(c->settings);
	free(c);
}

/* Where a path is, or would go, in the hash table. FNV-1a. */
static uint32_t
slot_of(const struct conf *c, const char *path)
{
	uint32_t h = 2166136261u;

	for (const char *p = path; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (h &= c->nslots - 1; c->slots[h] != 0; h = (h + 1) & (c->nslots - 1))
		if (strcmp(c->settings[c->slots[h] - 1].path, path) == 0)
			break;
	return h;
}

static struct setting *
find(const struct conf *c, const char *path)
{
	uint32_t at = c->nslots != 0 ? c->slots[slot_of(c, path)] : 0;

	return at != 0 ? &c->settings[at - 1] : NULL;
}

static void
more_slots(struct conf *c)
{
	c->nslots = c->nslots != 0 ? c->nslots * 2 : 64;
	free(c->slots);
	c->slots = xcalloc(c->nslots, sizeof *c->slots);
	for (uint32_t i = 0; i < c->count; i++)
		c->slots[slot_of(c, c->settings[i].path)] = i + 1;
}

static struct setting *
find_or_add(struct conf *c, const char *path, const char *where)
{
	struct setting *s = find(c, path);

	if (s == NULL) {
		c->settings = xreallocarray(c->settings, c->count + 1, sizeof *c->settings);
		s = &c->settings[c->count++];
		*s = (struct setting){.path = xstrdup(path), .where = xstrdup(where)};
		if (c->count * 2 > c->nslots)
			more_slots(c);
		else
			c->slots[slot_of(c, path)] = c->count;
	}
	return s;
}

static void
add_value(struct setting *s, const char *value)
{
	s->values = xreallocarray(s->values, s->nvalues + 1, sizeof *s->values);
	s->values[s->nvalues++] = xstrdup(value);
}

static enum rc
row_of(const struct conf *c, const char *path, const struct option **o, struct err *e)
{
	*o = option_find(c->rows, path);
	return *o != NULL ? RC_OK : option_unknown(c->rows, path, e);
}

enum rc
conf_set(struct conf *c, const char *path, const char *value, const char *where, struct err *e)
{
	const struct option *o;
	struct setting *s;
	enum rc rc = row_of(c, path, &o, e);

	if (rc != RC_OK)
		return rc;
	if (o->type == OPTION_GROUP || o->type == OPTION_GROUPS || o->type == OPTION_PAIRS)
		return err_set(e, RC_CONFIG, "%s is not one text", path);
	if ((rc = option_check(o, path, value, e)) != RC_OK)
		return rc;
	s = find_or_add(c, path, where);
	while (s->nvalues != 0)
		free(s->values[--s->nvalues]);
	free(s->where);
	s->where = xstrdup(where);
	add_value(s, value);
	return RC_OK;
}

static bool
has_word(const struct conf *c, const char *path, const char *word)
{
	const struct setting *s = find(c, path);

	for (uint32_t i = 0; s != NULL && i < s->nvalues; i++)
		if (strcmp(s->values[i], word) == 0)
			return true;
	return false;
}

enum rc
conf_append(struct conf *c, const char *path, const char *a, const char *b, const char *where,
	struct err *e)
{
	const struct option *o;
	struct setting *s;
	enum rc rc = row_of(c, path, &o, e);

	if (rc != RC_OK)
		return rc;
	if (o->type != OPTION_LIST && o->type != OPTION_PAIRS)
		return err_set(e, RC_CONFIG, "%s is not a list", path);
	if (a != NULL && (b == NULL) == (o->type == OPTION_PAIRS))
		return err_set(e, RC_CONFIG, "%s wants %s", path,
			o->type == OPTION_PAIRS ? "pairs of texts" : "texts");
	if (a != NULL && (rc = option_check(o, path, a, e)) != RC_OK)
		return rc;
	if (a != NULL && o->words != NULL && has_word(c, path, a))
		return err_set(e, RC_CONFIG, "%s has \"%s\" twice", path, a);
	s = find_or_add(c, path, where);
	if (a != NULL)
		add_value(s, a);
	if (b != NULL)
		add_value(s, b);
	return RC_OK;
}

bool
conf_has(const struct conf *c, const char *path)
{
	return find(c, path) != NULL;
}

const char *
conf_where(const struct conf *c, const char *path)
{
	const struct setting *s = find(c, path);

	return s != NULL ? s->where : "default";
}

const char *
conf_str(const struct conf *c, const char *path)
{
	const struct setting *s = find(c, path);
	const struct option *o;

	if (s != NULL && s->nvalues != 0)
		return s->values[0];
	o = option_find(c->rows, path);
	if (o == NULL)
		bug("a setting \"%s\" is asked for that no row describes", path);
	return o->preset;
}

static int64_t
get_number(const struct conf *c, const char *path, enum option_type type)
{
	const struct option *o = option_find(c->rows, path);
	const char *s = conf_str(c, path);
	int64_t n = 0;

	if (o == NULL || o->type != type)
		bug("the setting \"%s\" is asked for as what it is not", path);
	if (s != NULL && !option_number(o, s, &n))
		bug("the setting \"%s\" has a value that was never checked", path);
	return n;
}

int64_t
conf_int(const struct conf *c, const char *path)
{
	return get_number(c, path, OPTION_INT);
}

bool
conf_bool(const struct conf *c, const char *path)
{
	return get_number(c, path, OPTION_BOOL) != 0;
}

uint64_t
conf_size(const struct conf *c, const char *path)
{
	return (uint64_t)get_number(c, path, OPTION_SIZE);
}

uint64_t
conf_ms(const struct conf *c, const char *path)
{
	return (uint64_t)get_number(c, path, OPTION_DURATION);
}

bool
conf_is(const struct conf *c, const char *path, const char *word)
{
	const char *s = conf_str(c, path);

	return s != NULL && strcmp(s, word) == 0;
}

/* A LIST that is not set has the words of its default. */
static const char *
preset_word(const struct option *o, size_t i, size_t *len)
{
	const char *s = o->preset;

	for (; s != NULL && *s != '\0'; i--) {
		*len = strcspn(s, " ");
		if (i == 0)
			return s;
		s += *len;
		s += strspn(s, " ");
	}
	return NULL;
}

static size_t
count_groups(const struct conf *c, const char *path)
{
	size_t n = 0, len = strlen(path);

	for (uint32_t i = 0; i < c->count; i++) {
		const char *p = c->settings[i].path;

		if (strncmp(p, path, len) == 0 && p[len] == '[') {
			size_t at = strtoul(p + len + 1, NULL, 10) + 1;

			n = at > n ? at : n;
		}
	}
	return n;
}

size_t
conf_count(const struct conf *c, const char *path)
{
	const struct option *o = option_find(c->rows, path);
	const struct setting *s = find(c, path);
	size_t n = 0, len;

	if (o == NULL)
		bug("a setting \"%s\" is counted that no row describes", path);
	if (o->type == OPTION_GROUPS)
		return count_groups(c, path);
	if (s != NULL)
		return o->type == OPTION_PAIRS ? s->nvalues / 2 : s->nvalues;
	while (o->type == OPTION_LIST && preset_word(o, n, &len) != NULL)
		n++;
	return n;
}

const char *
conf_list(const struct conf *c, const char *path, size_t i)
{
	static _Thread_local char word[64];
	const struct setting *s = find(c, path);
	const struct option *o = option_find(c->rows, path);
	const char *p;
	size_t len;

	if (s != NULL)
		return i < s->nvalues ? s->values[i] : NULL;
	p = o != NULL ? preset_word(o, i, &len) : NULL;
	if (p == NULL)
		return NULL;
	snprintf(word, sizeof word, "%.*s", (int)len, p);
	return word;
}

bool
conf_has_word(const struct conf *c, const char *path, const char *word)
{
	for (size_t i = 0; i < conf_count(c, path); i++)
		if (strcmp(conf_list(c, path, i), word) == 0)
			return true;
	return false;
}

void
conf_pair(const struct conf *c, const char *path, size_t i, const char **a, const char **b)
{
	const struct setting *s = find(c, path);

	*a = *b = NULL;
	if (s != NULL && i * 2 + 1 < s->nvalues) {
		*a = s->values[i * 2];
		*b = s->values[i * 2 + 1];
	}
}

const char *
conf_strf(const struct conf *c, const char *fmt, ...)
{
	char path[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	return conf_str(c, path);
}

/* ---- the trip to a worker ---- */

static bool
is_secret(const struct conf *c, const char *path)
{
	const struct option *o = option_find(c->rows, path);

	return o != NULL && o->type == OPTION_SECRET;
}

static bool
stays(const struct conf *c, const char *path, const char *drop)
{
	size_t n = drop != NULL ? strlen(drop) : 0;

	return drop != NULL && strncmp(path, drop, n) == 0 && path[n] == '.' && is_secret(c, path);
}

void
conf_encode(const struct conf *c, const char *drop_secrets_of, struct buf *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->count; i++)
		n += !stays(c, c->settings[i].path, drop_secrets_of);
	buf_u32(b, n);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct setting *s = &c->settings[i];

		if (stays(c, s->path, drop_secrets_of))
			continue;
		buf_str(b, s->path);
		buf_str(b, s->where);
		buf_u32(b, s->nvalues);
		for (uint32_t k = 0; k < s->nvalues; k++)
			buf_str(b, s->values[k]);
	}
}

/* Checks a setting that came as a message as if it had come from a file. */
static enum rc
check_decoded(const struct option *o, const struct setting *s, struct err *e)
{
	bool list = o->type == OPTION_LIST || o->type == OPTION_PAIRS;

	if (o->type == OPTION_GROUP || o->type == OPTION_GROUPS || (!list && s->nvalues != 1) ||
		(o->type == OPTION_PAIRS && s->nvalues % 2 != 0))
		return err_set(e, RC_BUG, "the configuration message has %u values for \"%s\"",
			s->nvalues, s->path);
	for (uint32_t k = 0; k < s->nvalues; k++) {
		enum rc rc = option_check(o, s->path, s->values[k], e);

		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

static void
decode_values(struct setting *s, struct cursor *cur)
{
	uint32_t n = cursor_u32(cur);

	for (uint32_t k = 0; k < n && cursor_ok(cur); k++) {
		char *v = cursor_strdup(cur);

		add_value(s, v != NULL ? v : "");
		free(v);
	}
}

static enum rc
decode_setting(struct conf *c, struct cursor *cur, struct err *e)
{
	char *path = cursor_strdup(cur), *where = cursor_strdup(cur);
	const struct option *o = path != NULL ? option_find(c->rows, path) : NULL;
	enum rc rc = RC_OK;

	if (path == NULL || where == NULL || find(c, path) != NULL)
		rc = err_set(e, RC_BUG, "the configuration message is damaged");
	else if (o == NULL)
		rc = err_set(e, RC_CONFIG,
			"the configuration message has a setting \"%s\" that this program does not "
			"know",
			path);
	if (rc == RC_OK) {
		struct setting *s = find_or_add(c, path, where);

		decode_values(s, cur);
		if (cursor_ok(cur))
			rc = check_decoded(o, s, e);
	}
	free(path);
	free(where);
	return rc;
}

enum rc
conf_decode(const struct option *rows, struct cursor *cur, struct conf **out, struct err *e)
{
	struct conf *c = conf_new(rows);
	uint32_t n = cursor_u32(cur);
	enum rc rc = RC_OK;

	*out = NULL;
	for (uint32_t i = 0; i < n && rc == RC_OK && cursor_ok(cur); i++)
		rc = decode_setting(c, cur, e);
	if (rc == RC_OK && !cursor_done(cur))
		rc = err_set(e, RC_BUG, "the configuration message is damaged");
	if (rc != RC_OK) {
		conf_free(c);
		return rc;
	}
	*out = c;
	return RC_OK;
}

static char *
show(const struct setting *s)
{
	struct buf b;

	buf_init(&b);
	for (uint32_t k = 0; k < s->nvalues; k++)
		buf_printf(&b, "%s%s", k != 0 ? ", " : "", s->values[k]);
	buf_puts(&b, "");
	return (char *)b.data;
}

void
conf_each(const struct conf *c,
	void (*cb)(void *arg, const char *path, const char *value, const char *where), void *arg)
{
	for (const struct option *o = c->rows; o->path != NULL; o++) {
		bool set = false;
		char plain[256];

		for (uint32_t i = 0; i < c->count; i++) {
			const struct setting *s = &c->settings[i];
			char *value;

			option_plain(s->path, plain, sizeof plain);
			if (strcmp(plain, o->path) != 0)
				continue;
			set = true;
			value = show(s);
			cb(arg, s->path, o->type == OPTION_SECRET ? MASK : value, s->where);
			free(value);
		}
		if (!set && o->preset != NULL)
			cb(arg, o->path, o->preset, "default");
	}
}
