/* gtid.c - see gtid.h. */
#include "common/compat.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/gtid.h"

void
gtid_init(struct gtid_set *s, bool mariadb)
{
	*s = (struct gtid_set){.mariadb = mariadb};
}

void
gtid_release(struct gtid_set *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		free(s->sources[i].intervals);
	free(s->sources);
	*s = (struct gtid_set){.mariadb = s->mariadb};
}

static struct gtid_source *
find(const struct gtid_set *s, const char *sid, uint32_t domain)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->mariadb ? s->sources[i].domain == domain
			       : strcmp(s->sources[i].sid, sid) == 0)
			return &s->sources[i];
	return NULL;
}

static struct gtid_source *
find_or_add(struct gtid_set *s, const char *sid, uint32_t domain)
{
	struct gtid_source *g = find(s, sid, domain);

	if (g != NULL)
		return g;
	s->sources = xreallocarray(s->sources, s->count + 1, sizeof *s->sources);
	g = &s->sources[s->count++];
	*g = (struct gtid_source){.domain = domain};
	snprintf(g->sid, sizeof g->sid, "%s", sid);
	return g;
}

/* Merges [first, last] in. The usual case, the number after the last one, touches nothing else. */
static void
add_interval(struct gtid_source *g, uint64_t first, uint64_t last)
{
	uint32_t i = 0, k;

	if (g->count != 0 && g->intervals[g->count - 1].last + 1 == first) {
		g->intervals[g->count - 1].last = last;
		return;
	}
	while (i < g->count && g->intervals[i].last + 1 < first)
		i++;
	for (k = i; k < g->count && g->intervals[k].first <= last + 1; k++) {
		if (g->intervals[k].first < first)
			first = g->intervals[k].first;
		if (g->intervals[k].last > last)
			last = g->intervals[k].last;
	}
	if (k == i) {
		g->intervals = xreallocarray(g->intervals, g->count + 1, sizeof *g->intervals);
		memmove(g->intervals + i + 1, g->intervals + i,
			(g->count - i) * sizeof *g->intervals);
		g->count++;
	} else {
		memmove(g->intervals + i + 1, g->intervals + k,
			(g->count - k) * sizeof *g->intervals);
		g->count -= k - i - 1;
	}
	g->intervals[i] = (struct gtid_interval){first, last};
}

void
gtid_add(struct gtid_set *s, const char *sid, uint64_t number)
{
	add_interval(find_or_add(s, sid, 0), number, number);
}

void
gtid_add_mariadb(struct gtid_set *s, uint32_t domain, uint32_t server, uint64_t number)
{
	struct gtid_source *g = find_or_add(s, "", domain);

	g->server = server;
	if (g->count == 0) {
		g->intervals = xcalloc(1, sizeof *g->intervals);
		g->count = 1;
	}
	g->intervals[0] = (struct gtid_interval){1, number};
}

bool
gtid_has(const struct gtid_set *s, const char *sid, uint32_t domain, uint64_t number)
{
	const struct gtid_source *g = find(s, sid, domain);

	for (uint32_t i = 0; g != NULL && i < g->count; i++)
		if (number >= g->intervals[i].first && number <= g->intervals[i].last)
			return true;
	return false;
}

bool
gtid_within(const struct gtid_set *a, const struct gtid_set *b)
{
	for (uint32_t i = 0; i < a->count; i++) {
		const struct gtid_source *x = &a->sources[i], *y = find(b, x->sid, x->domain);

		for (uint32_t k = 0; k < x->count; k++) {
			bool inside = false;

			for (uint32_t m = 0; y != NULL && m < y->count; m++)
				inside = inside ||
					 (x->intervals[k].first >= y->intervals[m].first &&
						 x->intervals[k].last <= y->intervals[m].last);
			if (!inside)
				return false;
		}
	}
	return true;
}

static bool
read_number(const char **p, uint64_t *n)
{
	char *rest;

	if (!isdigit((unsigned char)**p))
		return false;
	errno = 0;
	*n = strtoull(*p, &rest, 10);
	*p = rest;
	return errno == 0;
}

static bool
parse_mariadb(struct gtid_set *s, const char **p)
{
	uint64_t domain, server, number;

	if (!read_number(p, &domain) || *(*p)++ != '-' || !read_number(p, &server) ||
		*(*p)++ != '-' || !read_number(p, &number))
		return false;
	gtid_add_mariadb(s, (uint32_t)domain, (uint32_t)server, number);
	return true;
}

/* uuid[:tag]:interval[:interval]... */
static bool
parse_mysql(struct gtid_set *s, const char **p)
{
	struct gtid_source *g;
	char sid[80];
	size_t n = strcspn(*p, ":,");

	if (n == 0 || n > 40)
		return false;
	snprintf(sid, sizeof sid, "%.*s", (int)n, *p);
	for (char *c = sid; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	*p += n;
	while (**p == ':') {
		uint64_t first, last;

		(*p)++;
		if (!isdigit((unsigned char)**p)) { /* a tag */
			size_t t = strcspn(*p, ":,"), at = n;

			if (t == 0 || t > 32)
				return false;
			snprintf(sid + at, sizeof sid - at, ":%.*s", (int)t, *p);
			*p += t;
			continue;
		}
		if (!read_number(p, &first))
			return false;
		last = first;
		if (**p == '-' && ((*p)++, !read_number(p, &last)))
			return false;
		if (last < first)
			return false;
		g = find_or_add(s, sid, 0);
		add_interval(g, first, last);
	}
	return true;
}

enum rc
gtid_parse(struct gtid_set *s, bool mariadb, const char *text, struct err *e)
{
	const char *p = text;

	gtid_init(s, mariadb);
	for (;;) {
		while (isspace((unsigned char)*p) || *p == ',')
			p++;
		if (*p == '\0')
			return RC_OK;
		if (!(mariadb ? parse_mariadb(s, &p) : parse_mysql(s, &p)) ||
			(*p != '\0' && *p != ',' && !isspace((unsigned char)*p))) {
			gtid_release(s);
			return err_set(e, RC_CONFIG, "\"%s\" is not a set of GTIDs", text);
		}
	}
}

void
gtid_print(const struct gtid_set *s, struct buf *b)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct gtid_source *g = &s->sources[i];

		if (i != 0)
			buf_putc(b, ',');
		if (s->mariadb) {
			buf_printf(b, "%u-%u-%" PRIu64, g->domain, g->server, g->intervals[0].last);
			continue;
		}
		buf_puts(b, g->sid);
		for (uint32_t k = 0; k < g->count; k++) {
			buf_printf(b, ":%" PRIu64, g->intervals[k].first);
			if (g->intervals[k].last != g->intervals[k].first)
				buf_printf(b, "-%" PRIu64, g->intervals[k].last);
		}
	}
}

static unsigned
hex(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10) & 15;
}

/* The tag of a uuid:tag; NULL: none. */
static const char *
tag_of(const struct gtid_source *g)
{
	return g->sid[0] != '\0' && g->sid[36] == ':' ? g->sid + 37 : NULL;
}

static bool
has_tags(const struct gtid_set *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (tag_of(&s->sources[i]) != NULL)
			return true;
	return false;
}

/* With tags (MySQL 8.3) the first and the last byte of the count are 1, and a tag stands behind
 * each uuid: twice its length in a byte, its letters. */
void
gtid_encode(const struct gtid_set *s, struct buf *b)
{
	bool tagged = has_tags(s);

	buf_u64(b, tagged ? (uint64_t)1 << 56 | (uint64_t)s->count << 8 | 1 : s->count);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct gtid_source *g = &s->sources[i];
		const char *p = g->sid;

		for (int k = 0; k < 16; k++) {
			while (*p == '-')
				p++;
			if (p[0] == '\0' || p[1] == '\0') {
				buf_u8(b, 0);
				continue;
			}
			buf_u8(b, (uint8_t)(hex(p[0]) << 4 | hex(p[1])));
			p += 2;
		}
		if (tagged) {
			const char *tag = tag_of(g) != NULL ? tag_of(g) : "";

			buf_u8(b, (uint8_t)(strlen(tag) << 1));
			buf_puts(b, tag);
		}
		buf_u64(b, g->count);
		for (uint32_t k = 0; k < g->count; k++) {
			buf_u64(b, g->intervals[k].first);
			buf_u64(b, g->intervals[k].last + 1);
		}
	}
}

void
gtid_uuid_text(const unsigned char uuid[16], char text[37])
{
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", uuid[i]);
	}
}
