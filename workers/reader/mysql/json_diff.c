/*
 * json_diff.c - partial updates of JSON, applied to the text of the value before.
 *
 * A diff is an operation, a path and, but for REMOVE, a binary value (MySQL:
 * Json_diff, binlog_row_value_options=PARTIAL_JSON). The text is our own
 * (json.c): members stand in the server's order, which is by length, then bytes.
 * A path's member is quoted by the server as in a text, unless it is a plain word.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "workers/reader/mysql/event.h"
#include "workers/reader/mysql/value.h"

enum { OP_REPLACE, OP_INSERT, OP_REMOVE };

struct text {
	const char *p;
	size_t n;
};

/* One step of a path: .member, [3], [last-3]. */
struct leg {
	bool member;
	bool from_last;
	size_t index;
	struct text name; /* as between the quotes of a text */
};

/* A place in the text: [start, end) is a value; of a member, [key, start) is its name. */
struct place {
	size_t start, end;
	struct text name;
};

/* ---- the text ---- */

static bool
is_same(const struct text *a, const struct text *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

static size_t
skip_string(const struct text *t, size_t i)
{
	for (i++; i < t->n && t->p[i] != '"'; i++)
		if (t->p[i] == '\\')
			i++;
	return i < t->n ? i + 1 : t->n;
}

static size_t
skip_value(const struct text *t, size_t i)
{
	size_t depth = 0;

	while (i < t->n) {
		char c = t->p[i];

		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			return i;
		if (c == '"') {
			i = skip_string(t, i);
		} else {
			depth += c == '{' || c == '[';
			depth -= c == '}' || c == ']';
			i++;
		}
		if (depth == 0 && (c == '"' || c == '}' || c == ']'))
			return i;
	}
	return i;
}

static size_t
skip_spaces(const struct text *t, size_t i)
{
	while (i < t->n && t->p[i] == ' ')
		i++;
	return i;
}

/*
 * The element behind *i in the container that begins at `open`; *i starts as
 * open + 1. False: there is none.
 */
static bool
next_element(const struct text *t, size_t open, size_t *i, struct place *out)
{
	size_t at = skip_spaces(t, *i);

	if (at < t->n && t->p[at] == ',')
		at = skip_spaces(t, at + 1);
	if (at >= t->n || t->p[at] == '}' || t->p[at] == ']')
		return false;
	*out = (struct place){0};
	if (t->p[open] == '{') {
		size_t end = skip_string(t, at);

		if (t->p[at] != '"' || end < at + 2)
			return false;
		out->name = (struct text){t->p + at + 1, end - at - 2};
		at = skip_spaces(t, end);
		if (at >= t->n || t->p[at] != ':')
			return false;
		at = skip_spaces(t, at + 1);
	}
	out->start = at;
	out->end = *i = skip_value(t, at);
	return out->end > out->start;
}

static bool
is_container(const struct text *t, size_t at)
{
	return at < t->n && (t->p[at] == '{' || t->p[at] == '[');
}

static size_t
count_elements(const struct text *t, size_t open)
{
	size_t i = open + 1, n = 0;
	struct place e;

	while (next_element(t, open, &i, &e))
		n++;
	return n;
}

/* ---- paths ---- */

static bool
read_index(struct text *path, struct leg *leg)
{
	bool last = path->n >= 4 && memcmp(path->p, "last", 4) == 0, digits = false;

	leg->from_last = last;
	if (last) {
		path->p += 4;
		path->n -= 4;
	}
	if (last && path->n != 0 && *path->p == '-') {
		path->p++;
		path->n--;
		last = false; /* a number follows */
	}
	for (; path->n != 0 && *path->p >= '0' && *path->p <= '9'; path->p++, path->n--) {
		leg->index = leg->index * 10 + (size_t)(*path->p - '0');
		digits = true;
		if (leg->index > UINT32_MAX)
			return false;
	}
	if (last == digits || path->n == 0 || *path->p != ']')
		return false;
	path->p++;
	path->n--;
	return true;
}

static bool
read_leg(struct text *path, struct leg *leg)
{
	char kind = *path->p++;
	size_t n = 0;

	path->n--;
	*leg = (struct leg){.member = kind == '.'};
	if (kind == '[')
		return read_index(path, leg);
	if (kind != '.' || path->n == 0)
		return false;
	if (*path->p == '"') {
		n = skip_string(path, 0);
		if (n < 2 || path->p[n - 1] != '"')
			return false;
		leg->name = (struct text){path->p + 1, n - 2};
	} else {
		while (n < path->n && path->p[n] != '.' && path->p[n] != '[')
			n++;
		leg->name = (struct text){path->p, n};
	}
	path->p += n;
	path->n -= n;
	return true;
}

/* False: there is no such element. What is no array is one of itself. */
static bool
step(const struct text *t, const struct leg *leg, struct place *at)
{
	size_t open = at->start, i = open + 1, k = 0, want = leg->index;
	bool array = open < t->n && t->p[open] == '[';
	struct place e;

	if (leg->member && (open >= t->n || t->p[open] != '{'))
		return false;
	if (!leg->member && !array)
		return want == 0;
	if (leg->from_last) {
		size_t n = count_elements(t, open);

		if (want >= n)
			return false;
		want = n - 1 - want;
	}
	while (next_element(t, open, &i, &e))
		if (leg->member ? is_same(&e.name, &leg->name) : k++ == want) {
			*at = e;
			return true;
		}
	return false;
}

/* The place of the path, or with *last of its parent: then the last leg goes there. */
static bool
seek(const struct text *t, struct text path, struct leg *last, struct place *at)
{
	struct leg leg;

	*at = (struct place){.start = 0, .end = t->n};
	if (path.n == 0 || *path.p != '$')
		return false;
	path.p++;
	path.n--;
	if (last != NULL && path.n == 0)
		return false;
	while (path.n != 0) {
		if (!read_leg(&path, &leg))
			return false;
		if (last != NULL && path.n == 0) {
			*last = leg;
			return true;
		}
		if (!step(t, &leg, at))
			return false;
	}
	return true;
}

/* ---- operations ---- */

static void
splice(const struct text *t, size_t from, size_t to, const struct buf *with, struct buf *out)
{
	buf_add(out, t->p, from);
	buf_add(out, with->data, with->len);
	buf_add(out, t->p + to, t->n - to);
}

/* The bytes that a name stands for, for their order. */
static size_t
plain_name(const struct text *name, unsigned char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < name->n; i++) {
		char c = name->p[i];

		if (c == '\\' && i + 1 < name->n) {
			static const char escapes[] = "b\bf\fn\nr\rt\t";
			const char *found;

			c = name->p[++i];
			found = strchr(escapes, c);
			if (c == 'u' && name->n - i > 4) {
				char hex[5] = {name->p[i + 1], name->p[i + 2], name->p[i + 3],
					name->p[i + 4], '\0'};

				c = (char)strtoul(hex, NULL, 16);
				i += 4;
			} else if (found != NULL && c != '\0' && (found - escapes) % 2 == 0) {
				c = found[1];
			}
		}
		to[n++] = (unsigned char)c;
	}
	return n;
}

static bool
stands_before(const struct text *a, const struct text *b)
{
	unsigned char *x = xmalloc(a->n + 1), *y = xmalloc(b->n + 1);
	size_t m = plain_name(a, x), n = plain_name(b, y);
	bool before = m != n ? m < n : memcmp(x, y, m) < 0;

	free(x);
	free(y);
	return before;
}

/* Where in its container the new element goes: before the first that stands behind it. */
static bool
insert(const struct text *t, const struct leg *leg, const struct place *parent,
	const struct buf *value, struct buf *out)
{
	size_t open = parent->start, i = open + 1, k = 0, at = open + 1, want = leg->index;
	bool first = true, found = false;
	struct place e;
	struct buf with;

	if (!is_container(t, open) || leg->member != (t->p[open] == '{'))
		return false;
	if (leg->from_last) {
		size_t n = count_elements(t, open);

		want = want < n ? n - 1 - want : 0;
	}
	while (!found && next_element(t, open, &i, &e)) {
		if (leg->member && is_same(&e.name, &leg->name))
			return false; /* it is there */
		found = leg->member ? stands_before(&leg->name, &e.name) : k++ == want;
		if (found)
			at = leg->member ? (size_t)(e.name.p - 1 - t->p) : e.start;
		else
			at = e.end;
		first = false;
	}
	buf_init(&with);
	if (!first && !found)
		buf_puts(&with, ", ");
	if (leg->member) {
		buf_putc(&with, '"');
		buf_add(&with, leg->name.p, leg->name.n);
		buf_puts(&with, "\": ");
	}
	buf_add(&with, value->data, value->len);
	if (found)
		buf_puts(&with, ", ");
	splice(t, at, at, &with, out);
	buf_release(&with);
	return true;
}

/* With the comma that follows, else the one before. */
static bool
cut(const struct text *t, const struct place *e, struct buf *out)
{
	static const struct buf nothing;
	size_t from = e->name.p != NULL ? (size_t)(e->name.p - 1 - t->p) : e->start,
	       to = skip_spaces(t, e->end);

	if (from == 0) /* the document itself */
		return false;
	if (to < t->n && t->p[to] == ',') {
		to = skip_spaces(t, to + 1);
	} else {
		to = e->end;
		while (from > 0 && t->p[from - 1] == ' ')
			from--;
		from -= from > 0 && t->p[from - 1] == ',';
	}
	splice(t, from, to, &nothing, out);
	return true;
}

static bool
apply(const struct text *t, uint8_t op, const struct text *path, const struct buf *value,
	struct buf *out)
{
	struct place at;
	struct leg last;

	switch (op) {
	case OP_REPLACE:
		if (!seek(t, *path, NULL, &at))
			return false;
		splice(t, at.start, at.end, value, out);
		return true;
	case OP_INSERT:
		return seek(t, *path, &last, &at) && insert(t, &last, &at, value, out);
	case OP_REMOVE:
		return seek(t, *path, NULL, &at) && cut(t, &at, out);
	default:
		return false;
	}
}

bool
mysql_json_apply(const unsigned char *before, size_t n, const unsigned char *diffs, size_t len,
	struct buf *out)
{
	struct buf now, next, value;
	struct cursor c;
	bool ok = true;

	buf_init(&now);
	buf_init(&next);
	buf_init(&value);
	buf_add(&now, before, n);
	cursor_init(&c, diffs, len);
	while (ok && cursor_left(&c) != 0) {
		uint8_t op = cursor_u8(&c);
		size_t path_len = cursor_lenenc(&c), value_len = 0;
		const unsigned char *path = cursor_take(&c, path_len), *binary = NULL;
		struct text t = {(const char *)now.data, now.len};
		struct buf swap;

		buf_clear(&value);
		buf_clear(&next);
		if (op != OP_REMOVE) {
			value_len = cursor_lenenc(&c);
			binary = cursor_take(&c, value_len);
		}
		ok = path != NULL && (op == OP_REMOVE || binary != NULL) &&
		     (op == OP_REMOVE || mysql_json_text(binary, value_len, &value)) &&
		     apply(&t, op, &(struct text){(const char *)path, path_len}, &value, &next);
		swap = now;
		now = next;
		next = swap;
	}
	if (ok)
		buf_add(out, now.data, now.len);
	buf_release(&now);
	buf_release(&next);
	buf_release(&value);
	return ok;
}
