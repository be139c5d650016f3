/*
 * names.c - statements of a PostgreSQL source with the target's names; see sink.h of the room.
 *
 * The source's server has composed them: every object but a column is named
 * with its schema, as schema.name, or in a literal that becomes a regclass, by
 * a cast or by to_regclass. A schema alone stands behind SCHEMA.
 * What stands in a routine's body is text, and stays.
 */
#include "common/compat.h"

#include <ctype.h>
#include <string.h>

#include "workers/writer/pgsql/sink.h"

static bool
begins_name(char c)
{
	return isalpha((unsigned char)c) || c == '_' || c == '"' || (c & 0x80) != 0;
}

/* Behind the name at p, which it appends without its quotes. */
static const char *
read_name(const char *p, struct buf *name)
{
	if (*p != '"') {
		const char *from = p;

		while (begins_name(*p) || isdigit((unsigned char)*p) || *p == '$')
			p++;
		buf_add(name, from, (size_t)(p - from));
		return p;
	}
	for (p++; *p != '\0'; p++) {
		if (*p == '"' && *++p != '"')
			return p;
		buf_putc(name, *p);
	}
	return p;
}

/* Behind the text in quotes at p; a backslash takes the next character along in E'..'. */
static const char *
skip_literal(const char *p, bool escapes)
{
	for (p++; *p != '\0'; p++) {
		if (escapes && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '\'' && *++p != '\'')
			return p;
	}
	return p;
}

/* Behind $tag$ .. $tag$; p + 1 where there is no such thing. */
static const char *
skip_dollars(const char *p)
{
	size_t n = strcspn(p + 1, "$ \t\n'\"();,") + 2;
	const char *end = p + n;

	if (p[n - 1] != '$' || isdigit((unsigned char)p[1]))
		return p + 1;
	while ((end = strchr(end, '$')) != NULL && strncmp(end, p, n) != 0)
		end++;
	return end != NULL ? end + n : p + strlen(p);
}

/* Behind a comment; p where there is none. */
static const char *
skip_comment(const char *p)
{
	const char *end;

	if (p[0] == '-' && p[1] == '-')
		return p + strcspn(p, "\n");
	if (p[0] != '/' || p[1] != '*')
		return p;
	end = strstr(p + 2, "*/");
	return end != NULL ? end + 2 : p + strlen(p);
}

/* a.b, by its target's names; what is no such pair is as it was. Returns what stands behind. */
static const char *
put_name(const struct routes *r, const char *p, struct buf *out)
{
	struct buf schema, name;
	const char *end;

	buf_init(&schema);
	buf_init(&name);
	end = read_name(p, &schema);
	if (*end != '.' || !begins_name(end[1])) {
		buf_add(out, p, (size_t)(end - p));
	} else {
		end = read_name(end + 1, &name);
		if (routes_touches(r, buf_text(&schema)))
			pgsql_quote_table(out,
				routes_table_db(r, buf_text(&schema), buf_text(&name)),
				routes_target_table(r, buf_text(&schema), buf_text(&name)));
		else
			buf_add(out, p, (size_t)(end - p));
	}
	buf_release(&schema);
	buf_release(&name);
	while (*end == '.' && begins_name(end[1])) { /* a column */
		buf_putc(out, '.');
		buf_clear(&name);
		p = end + 1;
		end = read_name(p, &name);
		buf_add(out, p, (size_t)(end - p));
		buf_release(&name);
	}
	return end;
}

/* Behind SCHEMA and, where there is one, the schema's name. */
static const char *
put_schema(const struct routes *r, const char *p, struct buf *out)
{
	static const char unless_there[] = " IF NOT EXISTS";
	const char *from = p;
	struct buf name;

	p += sizeof "SCHEMA" - 1;
	if (strncmp(p, unless_there, sizeof unless_there - 1) == 0)
		p += sizeof unless_there - 1;
	if (*p != ' ' || !begins_name(p[1])) {
		buf_add(out, from, (size_t)(p - from));
		return p;
	}
	buf_add(out, from, (size_t)(++p - from));
	buf_init(&name);
	p = read_name(p, &name);
	pgsql_quote_name(out, routes_touches(r, buf_text(&name))
				      ? routes_target_db(r, buf_text(&name))
				      : buf_text(&name));
	buf_release(&name);
	return p;
}

static bool
is_behind(const char *p, const char *sql, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(p - sql) >= n && memcmp(p - n, word, n) == 0;
}

/* 'a.b'::regclass is a name, too. */
static const char *
put_literal(const struct routes *r, const char *sql, const char *p, struct buf *out)
{
	bool escapes = is_behind(p, sql, "E") || is_behind(p, sql, "e");
	static const char cast[] = "::regclass";
	const char *end = skip_literal(p, escapes);
	struct buf name, mapped;
	size_t n = (size_t)(end - p);

	if ((strncmp(end, cast, sizeof cast - 1) != 0 && !is_behind(p, sql, "to_regclass(")) ||
		n < 2) {
		buf_add(out, p, n);
		return end;
	}
	buf_init(&name);
	buf_init(&mapped);
	for (const char *c = p + 1; c < end - 1; c++)
		if (*c != '\'' || c[1] != '\'')
			buf_putc(&name, *c);
	put_name(r, buf_text(&name), &mapped);
	pgsql_quote_text(out, buf_text(&mapped));
	buf_release(&name);
	buf_release(&mapped);
	return end;
}

void
pgsink_map_names(const struct routes *r, const char *sql, struct buf *out)
{
	if (!routes_rename(r)) {
		buf_puts(out, sql);
		return;
	}
	for (const char *p = sql; *p != '\0';) {
		const char *end = skip_comment(p);

		if (end == p && *p == '$')
			end = skip_dollars(p);
		if (end != p) {
			buf_add(out, p, (size_t)(end - p));
			p = end;
		} else if (*p == '\'') {
			p = put_literal(r, sql, p, out);
		} else if (strncmp(p, "SCHEMA ", sizeof "SCHEMA " - 1) == 0) {
			p = put_schema(r, p, out);
		} else if (begins_name(*p)) {
			p = put_name(r, p, out);
		} else if (isdigit((unsigned char)*p)) { /* 1.5 is no name, nor is 1e5 */
			size_t n = strspn(p, "0123456789.eE");

			buf_add(out, p, n);
			p += n;
		} else {
			buf_putc(out, *p++);
		}
	}
}
