/*
 * session.c - a statement's session at the target: the source's own words, said
 * so that this server knows them; see sink.h of the room.
 *
 * Servers differ in collations: utf8_x is utf8mb3_x elsewhere, MySQL's 0900 and
 * MariaDB's uca1400 have only relatives there. An unknown collation becomes the
 * nearest one that the target has, which takes no more letters for equal (at
 * most trailing spaces), so that unique keys still hold; a warning says so.
 */
#include "common/compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/mysql/token.h"
#include "workers/writer/mysql/sink.h"

#define MAX_NAME 64u

/* ---- collations ---- */

static bool
knows(struct mysql_lane *l, const char *name, bool *known, struct err *e)
{
	enum rc rc = client_run(&l->c, e, "SELECT CONVERT('' USING %.*s) COLLATE %s",
		(int)strcspn(name, "_"), name, name);

	*known = rc == RC_OK;
	return rc != RC_RETRY;
}

/* What it tells apart, as MySQL's 0900 and MariaDB's uca1400 say it: "ai_ci", "as_cs"; NULL. */
static const char *
sensitivity(const char *name)
{
	const char *p = strstr(name, "_ai_");

	if (p == NULL)
		p = strstr(name, "_as_");
	return p != NULL ? p + 1 : NULL;
}

struct candidates {
	char names[8][MAX_NAME + 16];
	unsigned count;
};

static void PRINTF(2, 3) add(struct candidates *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (c->count < COUNT_OF(c->names))
		vsnprintf(c->names[c->count++], sizeof c->names[0], fmt, ap);
	va_end(ap);
}

/* What may stand for the collation, the nearest first. */
static void
list_candidates(struct candidates *c, const char *name)
{
	int cs = (int)strcspn(name, "_");
	const char *how = sensitivity(name), *nopad = strstr(name, "_nopad_");

	if (strncmp(name, "utf8mb3_", 8) == 0)
		add(c, "utf8%s", name + cs);
	else if (strncmp(name, "utf8_", 5) == 0)
		add(c, "utf8mb3%s", name + cs);
	if (how != NULL && strstr(name, "_0900_") != NULL)
		add(c, "%.*s_uca1400_nopad_%s", cs, name, how);
	else if (how != NULL)
		add(c, "%.*s_0900_%s", cs, name, how);
	if (nopad != NULL)
		add(c, "%.*s%s", (int)(nopad - name), name, nopad + 6);
	if (how != NULL ? strcmp(how, "ai_ci") == 0 : strstr(name, "_ci") != NULL) {
		add(c, "%.*s_unicode_520_nopad_ci", cs, name);
		add(c, "%.*s_unicode_520_ci", cs, name);
		add(c, "%.*s_unicode_ci", cs, name);
	} else {
		add(c, "%.*s_nopad_bin", cs, name);
		add(c, "%.*s_bin", cs, name);
	}
}

void
session_forget(struct mysql_lane *l)
{
	while (l->stand_ins != NULL) {
		struct stand_in *s = l->stand_ins;

		l->stand_ins = s->next;
		free(s->name);
		free(s->instead);
		free(s);
	}
}

static const char *
stand_in(const struct mysql_lane *l, const char *name)
{
	for (const struct stand_in *s = l->stand_ins; s != NULL; s = s->next)
		if (strcmp(s->name, name) == 0)
			return s->instead;
	return NULL;
}

bool
stand_in_differs(const struct stand_in *s)
{
	return strncmp(s->name, "utf8_", 5) != 0 && strncmp(s->name, "utf8mb3_", 8) != 0 &&
	       (strcmp(s->name, "utf8mb4_0900_bin") != 0 ||
		       strcmp(s->instead, "utf8mb4_nopad_bin") != 0);
}

static void
remember(struct mysql_lane *l, const char *name, const char *instead)
{
	struct stand_in *s = xcalloc(1, sizeof *s);

	*s = (struct stand_in){l->stand_ins, xstrdup(name), xstrdup(instead)};
	l->stand_ins = s;
	if (stand_in_differs(s))
		log_warn("the target does not know the collation %s: %s stands for it", name,
			instead);
}

static bool
is_plain(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
			    name[i]) == NULL)
			return false;
	return len != 0 && len <= MAX_NAME;
}

/* Appends the target's name for a collation; the same one where it has none like it. */
static enum rc
map_collation(struct mysql_lane *l, const char *text, size_t len, struct buf *out, struct err *e)
{
	char name[MAX_NAME + 16];
	struct candidates c = {0};
	bool known = false;

	if (!is_plain(text, len) || strchr("0123456789", text[0]) != NULL) {
		buf_add(out, text, len);
		return RC_OK;
	}
	/* MariaDB lets a statement leave its character set out. */
	snprintf(name, sizeof name, "%s%.*s",
		strncasecmp(text, "uca1400_", 8) == 0 ? "utf8mb4_" : "", (int)len, text);
	if (stand_in(l, name) != NULL) {
		buf_puts(out, stand_in(l, name));
		return RC_OK;
	}
	if (!knows(l, name, &known, e))
		return e->rc;
	if (known) {
		buf_add(out, text, len);
		return RC_OK;
	}
	list_candidates(&c, name);
	for (unsigned i = 0; i < c.count; i++) {
		if (!knows(l, c.names[i], &known, e))
			return e->rc;
		if (!known)
			continue;
		remember(l, name, c.names[i]);
		buf_puts(out, c.names[i]);
		return RC_OK;
	}
	buf_add(out, text, len);
	return RC_OK;
}

bool
session_has_mode(const struct event_ddl *ev, const char *mode)
{
	return strstr(ev->session, mode) != NULL;
}

enum rc
session_collations(struct mysql_lane *l, const struct event_ddl *ev, const struct buf *sql,
	struct buf *out, struct err *e)
{
	struct tokens t;
	struct tok k;
	bool after_collate = false;
	size_t done = 0;
	enum rc rc = RC_OK;

	tokens_init(&t, buf_text(sql), sql->len, session_has_mode(ev, "ANSI_QUOTES"),
		session_has_mode(ev, "NO_BACKSLASH_ESCAPES"));
	tokens_charset(&t, *ev->session_charset != '\0' ? ev->session_charset : NULL);
	while (rc == RC_OK && (k = tokens_next(&t)).kind != TOK_END) {
		if (after_collate && tok_is(&t, &k, "="))
			continue;
		if (after_collate && k.kind != TOK_PUNCT) {
			char *name = tok_name(&t, &k);

			buf_add(out, sql->data + done, k.start - done);
			rc = map_collation(l, name, strlen(name), out, e);
			free(name);
			done = k.end;
		}
		after_collate = tok_is(&t, &k, "COLLATE");
	}
	buf_add(out, sql->data + done, sql->len - done);
	return rc;
}

/* ---- settings ---- */

/* "a=1, b='x,y'": the next assignment; false: none left. */
static bool
next_assignment(
	const char **at, const char **name, size_t *name_len, const char **value, size_t *value_len)
{
	const char *p = *at + strspn(*at, ", ");
	bool quoted = false;

	if (*p == '\0')
		return false;
	*name = p;
	*name_len = strcspn(p, "=");
	p += *name_len + (p[*name_len] == '=');
	for (*value = p; *p != '\0' && (quoted || *p != ','); p++)
		quoted ^= *p == '\'';
	*value_len = (size_t)(p - *value);
	*at = p;
	return true;
}

static bool
named(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && memcmp(name, what, len) == 0;
}

/*
 * What utf8mb4 without a collation means: since MySQL 8.0 and MariaDB 11.5 not
 * what it meant. Older servers know one answer only.
 */
static enum rc
set_default_collation(struct mysql_lane *l, const char *value, size_t len, struct err *e)
{
	const struct server *s = &l->c.server;
	char *now = NULL;
	struct buf b;
	enum rc rc;

	if (s->mariadb ? s->version < 110201 : s->version < 80011)
		return RC_OK;
	buf_init(&b);
	rc = map_collation(l, value, len, &b, e);
	if (rc == RC_OK)
		rc = client_value(&l->c, &now, e, "SELECT COLLATION(CONVERT('' USING utf8mb4))");
	if (rc == RC_OK && (now == NULL || strcmp(now, buf_text(&b)) != 0))
		rc = client_run(&l->c, e,
			s->mariadb ? "SET SESSION character_set_collations = 'utf8mb4=%s'"
				   : "SET SESSION default_collation_for_utf8mb4 = %s",
			buf_text(&b));
	free(now);
	buf_release(&b);
	return rc;
}

static enum rc
set_one(struct mysql_lane *l, const char *name, size_t name_len, const char *value,
	size_t value_len, struct err *e)
{
	struct buf b;
	enum rc rc;

	if (named(name, name_len, "default_collation_for_utf8mb4"))
		return set_default_collation(l, value, value_len, e);
	buf_init(&b);
	buf_printf(&b, "SET %.*s=", (int)name_len, name);
	if (name_len > 10 && memcmp(name, "collation_", 10) == 0)
		rc = map_collation(l, value, value_len, &b, e);
	else
		rc = RC_OK, buf_add(&b, value, value_len);
	if (rc == RC_OK)
		rc = client_exec(&l->c, buf_text(&b), b.len, e);
	buf_release(&b);
	return rc;
}

/* A setting that only the source has is left out rather than the statement lost. */
enum rc
session_enter(struct mysql_lane *l, const struct event_ddl *ev, struct err *e)
{
	const char *at = ev->session, *name, *value;
	size_t name_len, value_len;
	enum rc rc = RC_OK;

	while (next_assignment(&at, &name, &name_len, &value, &value_len)) {
		if (set_one(l, name, name_len, value, value_len, e) == RC_OK)
			continue;
		if (e->rc == RC_RETRY)
			return RC_RETRY;
		log_warn("a setting of the source's session cannot be had at the target: %s",
			e->text);
	}
	if (*ev->session_charset != '\0')
		rc = client_run(&l->c, e, "SET NAMES %s", ev->session_charset);
	/* Foreign keys between tables that do not exist yet, or not any more in this order, are the
	 * source's business. */
	if (rc == RC_OK)
		rc = client_run(&l->c, e, "SET SESSION foreign_key_checks = 0");
	l->fk_off = true;
	return rc;
}

enum rc
session_leave(struct mysql_lane *l, struct err *e)
{
	l->fk_off = l->lenient = false;
	statements_drop(l);
	return client_run(&l->c, e,
		"SET time_zone = '+00:00', sql_mode = '%s', foreign_key_checks = 1, unique_checks "
		"= 1, collation_server = DEFAULT, timestamp = DEFAULT, NAMES binary",
		SINK_SQL_MODE);
}
