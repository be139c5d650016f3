/* option.c - the rows of settings: finding one, suggesting one, what a value may be; see conf.h. */
#include "common/compat.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/conf.h"

/* ---- rows ---- */

/* "objects[2].table" -> "objects.table" */
void
option_plain(const char *path, char *out, size_t size)
{
	size_t n = 0;
	bool inside = false;

	for (; *path != '\0' && n + 1 < size; path++) {
		if (*path == '[')
			inside = true;
		if (!inside)
			out[n++] = *path;
		if (*path == ']')
			inside = false;
	}
	out[n] = '\0';
}

const struct option *
option_find(const struct option *rows, const char *path)
{
	char plain[256] = "";

	option_plain(path, plain, sizeof plain);
	for (; rows->path != NULL; rows++)
		if (strcmp(rows->path, plain) == 0)
			return rows;
	return NULL;
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits from one name to the other: add, drop, change, swap neighbours; case does not count. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned rows[3][64] = {{0}}, *before = rows[0], *last = rows[1], *row = rows[2];
	size_t la = strlen(a), lb = strlen(b);

	if (la >= COUNT_OF(rows[0]) || lb >= COUNT_OF(rows[0]))
		return UINT_MAX;
	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned *spare = before;

		before = last;
		last = row;
		row = spare;
		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			int x = tolower((unsigned char)a[i - 1]),
			    y = tolower((unsigned char)b[j - 1]);

			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
				y == tolower((unsigned char)a[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return row[lb];
}

/* The name behind the last dot. */
static const char *
last_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL ? dot + 1 : path;
}

static bool
same_group(const char *a, const char *b)
{
	size_t n = (size_t)(last_name(a) - a);

	return n == (size_t)(last_name(b) - b) && strncmp(a, b, n) == 0;
}

/* "pass" for "password", "hostname" for "host". */
static bool
begins(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	n = n < m ? n : m;
	return n >= 3 && strncasecmp(a, b, n) == 0;
}

/* How far a row is from a path; UINT_MAX: no suggestion. */
static unsigned
strangeness(const char *path, const char *row)
{
	const char *a = last_name(path), *b = last_name(row);
	unsigned d = distance(a, b), limit = (unsigned)strlen(a) / 3;

	if (!same_group(path, row))
		return d == 0 ? 100 : UINT_MAX;
	if (d <= limit || d == 1)
		return d;
	return begins(a, b) ? 50 + d : UINT_MAX;
}

const char *
option_suggest(const struct option *rows, const char *path)
{
	const char *best = NULL;
	unsigned nearest = UINT_MAX;
	char plain[256] = "";

	option_plain(path, plain, sizeof plain);
	for (; rows->path != NULL; rows++) {
		unsigned d = strangeness(plain, rows->path);

		if (d < nearest) {
			nearest = d;
			best = rows->path;
		}
	}
	return best;
}

enum rc
option_unknown(const struct option *rows, const char *path, struct err *e)
{
	const char *near = option_suggest(rows, path);

	return err_set(e, RC_CONFIG, "unknown setting \"%s\"%s%s%s", path,
		near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
		near != NULL ? "\"?" : "");
}

/* ---- values ---- */

struct unit_name {
	const char *name;
	int64_t factor;
};

static const struct unit_name sizes[] = {
	{"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}};
static const struct unit_name durations[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};

static bool
parse_int(const char *s, int64_t *out)
{
	char *rest;

	if (!isdigit((unsigned char)s[*s == '-']))
		return false;
	errno = 0;
	*out = strtoll(s, &rest, 10);
	return errno == 0 && *rest == '\0';
}

static bool
parse_unit(const char *s, const struct unit_name *units, size_t n, int64_t *out)
{
	char *rest;
	long long v;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	v = strtoll(s, &rest, 10);
	if (errno != 0)
		return false;
	while (*rest == ' ')
		rest++;
	for (size_t i = 0; i < n; i++)
		if (strcmp(rest, units[i].name) == 0) {
			if (v > INT64_MAX / units[i].factor)
				return false;
			*out = v * units[i].factor;
			return true;
		}
	return false;
}

void
option_unit(enum option_type type, int64_t n, char *out, size_t size)
{
	const struct unit_name *units = type == OPTION_SIZE ? sizes : durations;
	size_t i = type == OPTION_SIZE ? COUNT_OF(sizes) : COUNT_OF(durations);

	while (i > 1 && (n == 0 || n % units[i - 1].factor != 0))
		i--;
	snprintf(out, size, "%" PRId64 "%s", n / units[i - 1].factor, units[i - 1].name);
}

bool
option_word(const char *words, const char *s)
{
	size_t n = strlen(s);

	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (len == n && strncmp(words, s, n) == 0)
			return true;
		words += len;
		words += strspn(words, " ");
	}
	return false;
}

/* The number behind a value of INT, SIZE, DURATION, BOOL. */
bool
option_number(const struct option *o, const char *s, int64_t *out)
{
	switch (o->type) {
	case OPTION_INT:
		return parse_int(s, out);
	case OPTION_SIZE:
		return parse_unit(s, sizes, COUNT_OF(sizes), out);
	case OPTION_DURATION:
		return parse_unit(s, durations, COUNT_OF(durations), out);
	case OPTION_BOOL:
		*out = strcmp(s, "true") == 0;
		return *out || strcmp(s, "false") == 0;
	case OPTION_STRING:
	case OPTION_ENUM:
	case OPTION_PATH:
	case OPTION_SECRET:
	case OPTION_LIST:
	case OPTION_GROUP:
	case OPTION_GROUPS:
	case OPTION_PAIRS:
	default:
		return false;
	}
}

static const char *
wanted(const struct option *o)
{
	switch (o->type) {
	case OPTION_INT:
		return "a whole number";
	case OPTION_SIZE:
		return "a size with its unit, such as \"64MiB\" (B, KiB, MiB, GiB)";
	case OPTION_DURATION:
		return "a time with its unit, such as \"30s\" (ms, s, min, h, d)";
	case OPTION_BOOL:
		return "true or false";
	case OPTION_ENUM:
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_SECRET:
	case OPTION_LIST:
	case OPTION_GROUP:
	case OPTION_GROUPS:
	case OPTION_PAIRS:
	default:
		return "a text";
	}
}

static bool
is_number(enum option_type t)
{
	return t == OPTION_INT || t == OPTION_SIZE || t == OPTION_DURATION || t == OPTION_BOOL;
}

static enum rc
out_of_bounds(const struct option *o, const char *path, const char *value, struct err *e)
{
	char min[32], max[32];

	if (o->type == OPTION_INT) {
		snprintf(min, sizeof min, "%" PRId64, o->min);
		snprintf(max, sizeof max, "%" PRId64, o->max);
	} else {
		option_unit(o->type, o->min, min, sizeof min);
		option_unit(o->type, o->max, max, sizeof max);
	}
	return err_set(e, RC_CONFIG, "%s = %s is out of bounds: %s to %s", path, value, min, max);
}

/* What is described, but not by this version. */
static enum rc
check_supported(const struct option *o, const char *path, const char *value, struct err *e)
{
	if (o->only == NULL || strcmp(o->only, value) == 0)
		return RC_OK;
	return err_set(e, RC_CONFIG, "%s = \"%s\" is not supported by this version, only \"%s\"",
		path, value, o->only);
}

enum rc
option_check(const struct option *o, const char *path, const char *value, struct err *e)
{
	int64_t n;

	if ((o->type == OPTION_ENUM || o->type == OPTION_LIST) && o->words != NULL &&
		!option_word(o->words, value))
		return err_set(
			e, RC_CONFIG, "%s = \"%s\" is not one of: %s", path, value, o->words);
	if (!is_number(o->type))
		return check_supported(o, path, value, e);
	if (!option_number(o, value, &n))
		return err_set(e, RC_CONFIG, "%s = \"%s\" is not %s", path, value, wanted(o));
	if (o->type != OPTION_BOOL && (n < o->min || n > o->max))
		return out_of_bounds(o, path, value, e);
	return check_supported(o, path, value, e);
}
