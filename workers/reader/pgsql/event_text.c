/*
 * event_text.c - what test_decoding prints, decoded; see event.h.
 *
 *     BEGIN 693
 *     table public.data: INSERT: id[integer]:1 data[text]:'it''s'
 *     table public.data: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2 data[text]:null
 *     table public.data: DELETE: id[integer]:2
 *     COMMIT 693 (at 2016-01-01 00:00:00.5+00)
 *
 * Names are quoted where SQL wants it, so are the names of types.
 */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "workers/reader/pgsql/event.h"

#define EPOCH_2000 946684800

/* What is left of the text; bad: it was not as it should be. */
struct scan {
	const char *p, *end;
	struct arena *a;
	bool bad;
};

static bool
takes(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

static void
want(struct scan *s, const char *word)
{
	if (!takes(s, word))
		s->bad = true;
}

/* From an opening quote to behind the closing one; the text in between, doubled ones once. */
static char *
quoted(struct scan *s, char quote, uint32_t *len)
{
	char *out = arena_alloc(s->a, (size_t)(s->end - s->p) + 1), *to = out;

	s->p++;
	while (s->p < s->end) {
		if (*s->p == quote) {
			if (s->p + 1 == s->end || s->p[1] != quote)
				break;
			s->p++;
		}
		*to++ = *s->p++;
	}
	if (s->p == s->end)
		s->bad = true;
	else
		s->p++;
	*to = '\0';
	*len = (uint32_t)(to - out);
	return out;
}

/* A name, up to any of the stops. */
static const char *
name(struct scan *s, const char *stops)
{
	const char *from = s->p;
	uint32_t len;

	if (s->p < s->end && *s->p == '"')
		return quoted(s, '"', &len);
	while (s->p < s->end && strchr(stops, *s->p) == NULL)
		s->p++;
	if (s->p == from || s->p == s->end)
		s->bad = true;
	return arena_strndup(s->a, from, (size_t)(s->p - from));
}

/* Behind "[": up to the "]:" that ends it, outside of quotes. */
static const char *
type(struct scan *s)
{
	const char *from = s->p;
	bool in = false;

	for (; s->p + 1 < s->end; s->p++) {
		if (*s->p == '"')
			in = !in;
		if (!in && s->p[0] == ']' && s->p[1] == ':') {
			s->p += 2;
			return arena_strndup(s->a, from, (size_t)(s->p - 2 - from));
		}
	}
	s->bad = true;
	return "";
}

static void
set_text(struct pgout_value *v, const char *text, uint32_t len)
{
	*v = (struct pgout_value){.kind = PGOUT_TEXT, .text = text, .len = len};
}

static void
value(struct scan *s, struct pgout_value *v)
{
	const char *from;
	uint32_t len;

	if (s->p < s->end && *s->p == 'B' && s->end - s->p > 1 && s->p[1] == '\'')
		s->p++;
	if (s->p < s->end && *s->p == '\'') {
		const char *text = quoted(s, '\'', &len);

		set_text(v, text, len);
		return;
	}
	from = s->p;
	while (s->p < s->end && *s->p != ' ')
		s->p++;
	len = (uint32_t)(s->p - from);
	if (len == 4 && memcmp(from, "null", 4) == 0)
		v->kind = PGOUT_NULL;
	else if (len == 21 && memcmp(from, "unchanged-toast-datum", 21) == 0)
		v->kind = PGOUT_UNCHANGED;
	else if (len == 4 && memcmp(from, "true", 4) == 0)
		set_text(v, "t", 1); /* as the server prints it elsewhere */
	else if (len == 5 && memcmp(from, "false", 5) == 0)
		set_text(v, "f", 1);
	else
		set_text(v, from, len);
	s->bad = s->bad || len == 0;
}

/* Columns and values up to the end, or to " new-tuple:". */
static void
columns(struct scan *s, struct pgout_relation *r, struct pgout_tuple *t)
{
	size_t cap = 0, values_cap = 0;

	while (!s->bad && s->p < s->end) {
		struct pgout_column c = {.modifier = -1};
		struct pgout_value v = {.kind = PGOUT_NULL};

		want(s, " ");
		if (takes(s, "new-tuple:"))
			break;
		c.name = name(s, "[");
		want(s, "[");
		c.native = type(s);
		value(s, &v);
		if (r->ncolumns == cap) {
			cap = cap != 0 ? 2 * cap : 16;
			values_cap = cap;
			r->columns = memcpy(arena_alloc(s->a, cap * sizeof *r->columns),
				r->ncolumns != 0 ? r->columns : &c,
				r->ncolumns * sizeof *r->columns);
			t->values = memcpy(arena_alloc(s->a, values_cap * sizeof *t->values),
				t->n != 0 ? t->values : &v, t->n * sizeof *t->values);
		}
		r->columns[r->ncolumns++] = c;
		t->values[t->n++] = v;
	}
}

static uint32_t
find_column(const struct pgout_relation *r, const char *column)
{
	for (uint32_t i = 0; i < r->ncolumns; i++)
		if (strcmp(r->columns[i].name, column) == 0)
			return i;
	return UINT32_MAX;
}

/* The old tuple has what it has, and no NULLs: each value goes where its column is in the new one.
 */
static void
align(struct scan *s, const struct pgout_relation *old, const struct pgout_tuple *values,
	struct pgout_event *ev)
{
	ev->before.n = ev->relation.ncolumns;
	ev->before.values = arena_calloc(s->a, ev->before.n, sizeof *ev->before.values);
	for (uint32_t i = 0; i < ev->before.n; i++)
		ev->before.values[i].kind = PGOUT_ABSENT;
	for (uint32_t i = 0; i < old->ncolumns; i++) {
		uint32_t at = find_column(&ev->relation, old->columns[i].name);

		if (at == UINT32_MAX)
			s->bad = true;
		else
			ev->before.values[at] = values->values[i];
	}
}

static void
update(struct scan *s, struct pgout_event *ev)
{
	struct pgout_relation old = {0};
	struct pgout_tuple before = {0};

	ev->kind = PGOUT_UPDATE;
	if (takes(s, " old-key:")) {
		ev->old = PGOUT_OLD_ROW;
		columns(s, &old, &before);
	}
	columns(s, &ev->relation, &ev->after);
	if (ev->old != PGOUT_OLD_NONE)
		align(s, &old, &before, ev);
}

static void
row(struct scan *s, struct pgout_event *ev)
{
	ev->relation.schema = name(s, ".");
	want(s, ".");
	ev->relation.name = name(s, ":");
	want(s, ": ");
	if (takes(s, "INSERT:")) {
		ev->kind = PGOUT_INSERT;
		columns(s, &ev->relation, &ev->after);
	} else if (takes(s, "UPDATE:")) {
		update(s, ev);
	} else if (takes(s, "DELETE:")) {
		ev->kind = PGOUT_DELETE;
		ev->old = PGOUT_OLD_ROW;
		if (!takes(s, " (no-tuple-data)"))
			columns(s, &ev->relation, &ev->before);
	} else {
		s->bad = true;
	}
}

/* "2016-01-01 00:00:00.5+00", microseconds since 2000. */
static int64_t
commit_time(const char *text)
{
	struct tm t = {0};
	char fraction[8] = "000000";
	int n = 0;

	if (sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
		    &t.tm_min, &t.tm_sec, &n) != 6)
		return 0;
	t.tm_year -= 1900;
	t.tm_mon--;
	if (text[n] == '.')
		for (int i = 0; i < 6 && text[n + 1 + i] >= '0' && text[n + 1 + i] <= '9'; i++)
			fraction[i] = text[n + 1 + i];
	return ((int64_t)timegm(&t) - EPOCH_2000) * 1000000 + strtoll(fraction, NULL, 10);
}

enum rc
pgtext_decode(const char *p, size_t n, uint64_t lsn, struct arena *a, struct pgout_event *ev,
	struct err *e)
{
	struct scan s = {.p = p, .end = p + n, .a = a};

	*ev = (struct pgout_event){.kind = PGOUT_OTHER, .lsn = lsn};
	if (takes(&s, "table ")) {
		row(&s, ev);
	} else if (takes(&s, "BEGIN ")) {
		ev->kind = PGOUT_BEGIN;
		ev->xid = (uint32_t)strtoul(arena_strndup(a, s.p, (size_t)(s.end - s.p)), NULL, 10);
		s.bad = ev->xid == 0;
	} else if (takes(&s, "COMMIT")) {
		const char *text = arena_strndup(a, s.p, (size_t)(s.end - s.p)),
			   *at = strstr(text, "(at ");

		ev->kind = PGOUT_COMMIT;
		ev->time = at != NULL ? commit_time(at + 4) : 0;
	} else if (!takes(&s, "message:")) {
		s.bad = true;
	}
	return s.bad ? err_set(e, RC_DATA,
			       "the source's log has a line that is not test_decoding's")
		     : RC_OK;
}
