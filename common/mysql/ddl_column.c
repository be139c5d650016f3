/* ddl_column.c - column definitions and their attributes; see ddl_type.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/mysql/charset.h"
#include "common/mysql/ddl_type.h"

/* Where utf8 is called utf8mb3. */
#define MYSQL_UTF8MB3 80028u
#define MYSQL_UTF8MB3_COLLATIONS 80030u
#define MARIADB_UTF8MB3 100600u
#define MYSQL_0900 80000u
/* Where a setting chooses the default collations of character sets. */
#define MARIADB_CHARSET_COLLATIONS 110200u

void
ddl_reparse(struct parser *p, const struct ddl *d, size_t start, size_t end)
{
	*p = (struct parser){.t = d->text};
	p->t.at = start;
	p->t.len = end;
	p->t.in_version = true; /* wherever it starts, the end of a comment is no operator */
	parser_advance(p);
}

char *
ddl_take_name(struct parser *p)
{
	char *name;

	if (!parser_at_name(p))
		return NULL;
	name = tok_name(&p->t, &p->tok);
	parser_advance(p);
	return name;
}

/* ---- character sets ---- */

static bool
says_utf8mb3(const struct ddl_env *env, bool collation)
{
	if (env->mariadb)
		return env->version >= MARIADB_UTF8MB3;
	return env->version >= (collation ? MYSQL_UTF8MB3_COLLATIONS : MYSQL_UTF8MB3);
}

/* The table has the names of today: older servers say utf8_bin for utf8mb3_bin. */
static const char *
as_server_says(const char *collation, const struct ddl_env *env)
{
	static const char *const old[] = {"utf8_general_ci", "utf8_bin", "utf8_unicode_ci",
		"utf8_general_mysql500_ci", "utf8_unicode_520_ci"};

	if (strncmp(collation, "utf8mb3", 7) != 0 || says_utf8mb3(env, true))
		return collation;
	for (size_t i = 0; i < COUNT_OF(old); i++)
		if (strcmp(collation + 7, old[i] + 4) == 0)
			return old[i];
	return NULL;
}

const char *
ddl_default_collation(const char *charset, const struct ddl_env *env)
{
	const struct charset *set = charset_find(charset);

	if (set == NULL || (env->mariadb && env->version >= MARIADB_CHARSET_COLLATIONS))
		return NULL;
	if (!env->mariadb && env->version >= MYSQL_0900 && strcmp(set->name, "utf8mb4") == 0)
		return "utf8mb4_0900_ai_ci";
	return as_server_says(set->collation, env);
}

static const char *
find_collation(const char *name, bool mariadb)
{
	char modern[64];

	if (strncasecmp(name, "utf8_", 5) == 0 && strlen(name) < sizeof modern - 4) {
		memcpy(modern, "utf8mb3", 7);
		memcpy(modern + 7, name + 4, strlen(name + 4) + 1);
		name = modern;
	}
	for (uint32_t id = 1; id < 2048; id++) {
		const char *known = collation_name(id, mariadb);

		if (known != NULL && strcasecmp(known, name) == 0)
			return known;
	}
	return NULL;
}

const char *
ddl_collation(const char *name, const struct ddl_env *env)
{
	const char *known = find_collation(name, env->mariadb);

	return known != NULL ? as_server_says(known, env) : NULL;
}

const char *
ddl_charset(const char *collation, const struct ddl_env *env)
{
	const struct charset *set = charset_of_collation(collation);

	if (set == NULL)
		return NULL;
	return strcmp(set->name, "utf8mb3") == 0 && !says_utf8mb3(env, false) ? "utf8" : set->name;
}

static bool
take_charset_word(struct parser *p)
{
	return parser_accept(p, "CHARSET") || parser_accept2(p, "CHARACTER", "SET") ||
	       parser_accept2(p, "CHAR", "SET");
}

bool
ddl_take_collation(struct parser *p, const struct ddl_env *env, const char **collation)
{
	struct parser saved = *p;
	bool charset;
	char *name;

	parser_accept(p, "DEFAULT");
	charset = take_charset_word(p);
	if (!charset && !parser_accept(p, "COLLATE")) {
		*p = saved;
		return false;
	}
	parser_accept(p, "=");
	name = p->tok.kind == TOK_STRING || parser_at_name(p) ? tok_name(&p->t, &p->tok) : NULL;
	parser_advance(p);
	if (name == NULL)
		*collation = NULL;
	else
		*collation = charset ? ddl_default_collation(name, env) : ddl_collation(name, env);
	free(name);
	return true;
}

/* ---- attributes ---- */

struct attributes {
	bool zerofill, binary;
	bool is_null, not_null;
	bool has_collation;
	const char *collation;
};

/* What DEFAULT and ON UPDATE have: a literal, a function, a parenthesis. */
static void
skip_value(struct parser *p)
{
	if (!parser_accept(p, "-"))
		parser_accept(p, "+");
	if (parser_is(p, "(")) {
		parser_skip_parens(p);
		return;
	}
	if (parser_accept2(p, "NEXT", "VALUE"))
		parser_accept(p, "FOR");
	parser_advance(p);
	while (p->tok.kind == TOK_STRING || p->tok.kind == TOK_NUMBER || parser_is(p, "(") ||
		parser_is(p, ".")) {
		if (parser_is(p, "("))
			parser_skip_parens(p);
		else if (parser_accept(p, "."))
			parser_advance(p);
		else
			parser_advance(p);
	}
}

/* Words with one value that the catalog's columns do not show. */
static bool
skip_described(struct parser *p)
{
	static const char *const words[] = {"COMMENT", "COLUMN_FORMAT", "STORAGE", "SRID",
		"REF_SYSTEM_ID", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"};

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (parser_accept(p, words[i])) {
			parser_accept(p, "=");
			parser_advance(p);
			return true;
		}
	return parser_accept(p, "VISIBLE") || parser_accept(p, "INVISIBLE");
}

static bool
take_key(struct parser *p, struct ddl_definition *def)
{
	if (parser_accept(p, "UNIQUE")) {
		def->unique = true;
		parser_accept(p, "KEY");
	} else if (parser_accept2(p, "PRIMARY", "KEY") || parser_accept(p, "KEY")) {
		def->primary = true;
	} else if (parser_is(p, "REFERENCES")) {
		def->references = true;
		while (!parser_end(p) && !parser_is(p, "FIRST") && !parser_is(p, "AFTER"))
			parser_advance(p);
	} else if (parser_accept(p, "CONSTRAINT")) {
		if (!parser_is(p, "CHECK"))
			parser_advance(p);
	} else if (parser_accept(p, "CHECK")) {
		if (parser_is(p, "("))
			parser_skip_parens(p);
		if (!parser_accept2(p, "NOT", "ENFORCED"))
			parser_accept(p, "ENFORCED");
	} else {
		return false;
	}
	return true;
}

static bool
take_place(struct parser *p, struct ddl_definition *def)
{
	if (parser_accept(p, "FIRST")) {
		def->first = true;
	} else if (parser_accept(p, "AFTER")) {
		free(def->after);
		def->after = ddl_take_name(p);
	} else {
		return false;
	}
	return true;
}

static bool
take_generated(struct parser *p, struct ddl_definition *def)
{
	if (parser_accept2(p, "GENERATED", "ALWAYS") && !parser_is(p, "AS"))
		return false;
	if (!parser_accept(p, "AS"))
		return false;
	if (!parser_is(p, "(")) { /* ROW START, ROW END */
		def->why = "a system-versioned table";
		return true;
	}
	parser_skip_parens(p);
	def->column.generated = true;
	if (!parser_accept(p, "VIRTUAL") && !parser_accept(p, "STORED"))
		parser_accept(p, "PERSISTENT");
	return true;
}

static bool
take_value(struct parser *p, struct ddl_definition *def, struct attributes *a)
{
	struct column *c = &def->column;

	if (parser_accept2(p, "SERIAL", "DEFAULT")) {
		parser_accept(p, "VALUE");
		c->auto_increment = a->not_null = def->unique = true;
	} else if (parser_accept2(p, "NOT", "NULL")) {
		a->not_null = true;
	} else if (parser_accept2(p, "NOT", "SECONDARY")) {
		;
	} else if (parser_accept(p, "NULL")) {
		a->is_null = true;
	} else if (parser_accept(p, "AUTO_INCREMENT")) {
		c->auto_increment = true;
	} else if (parser_accept(p, "DEFAULT") || parser_accept2(p, "ON", "UPDATE")) {
		skip_value(p);
	} else {
		return false;
	}
	return true;
}

static bool
take_character(struct parser *p, struct attributes *a, const struct ddl_env *env)
{
	bool ascii, second = a->has_collation && !parser_is(p, "COLLATE");

	ascii = parser_accept(p, "ASCII");
	if (ascii || parser_accept(p, "UNICODE"))
		a->collation = ddl_default_collation(ascii ? "latin1" : "ucs2", env);
	else if (!ddl_take_collation(p, env, &a->collation))
		return false;
	if (second) /* COLLATE x CHARACTER SET y: x counts */
		a->collation = NULL;
	a->has_collation = true;
	return true;
}

static bool
take_attribute(struct parser *p, struct ddl_definition *def, struct attributes *a,
	const struct ddl_env *env)
{
	if (parser_accept(p, "UNSIGNED"))
		def->column.is_unsigned = true;
	else if (parser_accept(p, "ZEROFILL"))
		def->column.is_unsigned = a->zerofill = true;
	else if (parser_accept(p, "BINARY"))
		a->binary = true;
	else if (!parser_accept(p, "SIGNED") && !take_value(p, def, a) &&
		 !take_character(p, a, env) && !take_key(p, def) && !take_place(p, def) &&
		 !take_generated(p, def) && !skip_described(p))
		return false;
	return true;
}

/* ---- the whole ---- */

static bool
has_charset(const struct ddl_type *t)
{
	return !t->binary && (t->family == FAMILY_CHAR || t->family == FAMILY_VARCHAR ||
				     t->family == FAMILY_TEXT || t->family == FAMILY_ENUM ||
				     t->family == FAMILY_SET);
}

static const char *
binary_collation(const char *collation, const struct ddl_env *env)
{
	char name[64];
	size_t n = collation != NULL ? strcspn(collation, "_") : 0;

	if (n == 0 || n + 5 > sizeof name)
		return NULL;
	memcpy(name, collation, n);
	memcpy(name + n, "_bin", 5);
	return ddl_collation(name, env);
}

/* CHARACTER SET binary makes bytes of it. */
static void
make_binary(struct ddl_type *t, struct ddl_definition *def)
{
	static const char *const blobs[] = {"tinyblob", "blob", "mediumblob", "longblob"};

	if (t->family == FAMILY_ENUM || t->family == FAMILY_SET)
		def->why = "labels of bytes";
	t->binary = true;
	t->type = TYPE_BINARY;
	t->native = t->family == FAMILY_CHAR	  ? "binary"
		    : t->family == FAMILY_VARCHAR ? "varbinary"
						  : blobs[t->width & 3];
}

static void
set_collation(struct ddl_type *t, struct ddl_definition *def, const struct attributes *a,
	const struct ddl_env *env)
{
	const char *collation = a->has_collation ? a->collation : env->collation;
	const char *charset;

	if (t->family == FAMILY_JSON && env->mariadb)
		collation = a->has_collation ? a->collation : "utf8mb4_bin";
	else if (!has_charset(t))
		return;
	if (t->national && !a->has_collation)
		collation = ddl_default_collation("utf8mb3", env);
	if (a->binary)
		collation = binary_collation(collation, env);
	charset = collation != NULL ? ddl_charset(collation, env) : NULL;
	if (charset == NULL) {
		def->why = "a collation that the statement does not tell";
	} else if (strcmp(charset, "binary") == 0) {
		make_binary(t, def);
	} else {
		def->column.charset = xstrdup(charset);
		def->column.collation = xstrdup(collation);
	}
}

static void
set_nullable(struct ddl_type *t, struct ddl_definition *def, const struct attributes *a,
	const struct ddl_env *env)
{
	struct column *c = &def->column;

	c->nullable = !a->not_null && !def->primary && !c->auto_increment && !t->serial;
	if (t->type != TYPE_TIMESTAMP || a->not_null || a->is_null || def->primary || c->generated)
		return;
	if (env->explicit_timestamp == DDL_UNKNOWN)
		def->why = "a TIMESTAMP that says neither NULL nor NOT NULL";
	else
		c->nullable = env->explicit_timestamp == DDL_YES;
}

static void
release_labels(struct ddl_type *t)
{
	for (uint32_t i = 0; i < t->nlabels; i++)
		free(t->labels[i]);
	free(t->labels);
}

void
ddl_define(struct ddl_definition *out, const struct ddl *d, size_t start, size_t end,
	const struct ddl_env *env)
{
	struct attributes a = {0};
	struct ddl_type t = {0};
	struct parser p;
	const char *why;

	*out = (struct ddl_definition){0};
	ddl_reparse(&p, d, start, end);
	out->column.name = ddl_take_name(&p);
	if (out->column.name == NULL || !ddl_take_type(&p, d, &t)) {
		out->why = "a type that is not known";
		release_labels(&t);
		return;
	}
	if (t.family == FAMILY_CHAR && !t.binary && parser_accept(&p, "BYTE"))
		make_binary(&t, out);
	while (!parser_end(&p) && take_attribute(&p, out, &a, env))
		;
	if (!parser_end(&p) && out->why == NULL)
		out->why = "an attribute of a column that is not known";
	if (t.serial)
		out->column.is_unsigned = out->column.auto_increment = out->unique = true;
	set_collation(&t, out, &a, env);
	set_nullable(&t, out, &a, env);
	why = ddl_finish_type(&t, a.zerofill, env, &out->column);
	if (out->why == NULL)
		out->why = why;
	release_labels(&t);
}

void
ddl_column_release(struct column *c)
{
	for (uint32_t i = 0; i < c->nlabels; i++)
		free(c->labels[i]);
	free(c->labels);
	free(c->name);
	free(c->native);
	free(c->charset);
	free(c->collation);
	*c = (struct column){0};
}

void
ddl_definition_release(struct ddl_definition *def)
{
	ddl_column_release(&def->column);
	free(def->after);
}
