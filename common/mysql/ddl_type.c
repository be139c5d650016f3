/* ddl_type.c - type words, their numbers and labels; see ddl_type.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/charset.h"
#include "common/mysql/ddl_type.h"

/* Display width went from the catalog of MySQL (but tinyint(1) and zerofill). */
#define MYSQL_WITHOUT_WIDTH 80019u
#define MYSQL_WITH_GEOMCOLLECTION 80011u

static const struct {
	const char *word;
	struct ddl_type type;
} types[] = {
	{"TINYINT", {.family = FAMILY_INTEGER,
			    .type = TYPE_INTEGER,
			    .native = "tinyint",
			    .precision = 3,
			    .width = 4}},
	{"INT1", {.family = FAMILY_INTEGER,
			 .type = TYPE_INTEGER,
			 .native = "tinyint",
			 .precision = 3,
			 .width = 4}},
	{"BOOL", {.family = FAMILY_INTEGER,
			 .type = TYPE_INTEGER,
			 .native = "tinyint",
			 .precision = 3,
			 .width = 4,
			 .numbers = {1},
			 .count = 1}},
	{"BOOLEAN", {.family = FAMILY_INTEGER,
			    .type = TYPE_INTEGER,
			    .native = "tinyint",
			    .precision = 3,
			    .width = 4,
			    .numbers = {1},
			    .count = 1}},
	{"SMALLINT", {.family = FAMILY_INTEGER,
			     .type = TYPE_INTEGER,
			     .native = "smallint",
			     .precision = 5,
			     .width = 6}},
	{"INT2", {.family = FAMILY_INTEGER,
			 .type = TYPE_INTEGER,
			 .native = "smallint",
			 .precision = 5,
			 .width = 6}},
	{"MEDIUMINT", {.family = FAMILY_INTEGER,
			      .type = TYPE_INTEGER,
			      .native = "mediumint",
			      .precision = 7,
			      .width = 9}},
	{"MIDDLEINT", {.family = FAMILY_INTEGER,
			      .type = TYPE_INTEGER,
			      .native = "mediumint",
			      .precision = 7,
			      .width = 9}},
	{"INT3", {.family = FAMILY_INTEGER,
			 .type = TYPE_INTEGER,
			 .native = "mediumint",
			 .precision = 7,
			 .width = 9}},
	{"INT", {.family = FAMILY_INTEGER,
			.type = TYPE_INTEGER,
			.native = "int",
			.precision = 10,
			.width = 11}},
	{"INTEGER", {.family = FAMILY_INTEGER,
			    .type = TYPE_INTEGER,
			    .native = "int",
			    .precision = 10,
			    .width = 11}},
	{"INT4", {.family = FAMILY_INTEGER,
			 .type = TYPE_INTEGER,
			 .native = "int",
			 .precision = 10,
			 .width = 11}},
	{"BIGINT", {.family = FAMILY_INTEGER,
			   .type = TYPE_INTEGER,
			   .native = "bigint",
			   .precision = 19,
			   .width = 20}},
	{"INT8", {.family = FAMILY_INTEGER,
			 .type = TYPE_INTEGER,
			 .native = "bigint",
			 .precision = 19,
			 .width = 20}},
	{"SERIAL", {.family = FAMILY_INTEGER,
			   .type = TYPE_INTEGER,
			   .native = "bigint",
			   .precision = 19,
			   .width = 20,
			   .serial = true}},
	{"DECIMAL", {.family = FAMILY_DECIMAL, .type = TYPE_DECIMAL, .native = "decimal"}},
	{"DEC", {.family = FAMILY_DECIMAL, .type = TYPE_DECIMAL, .native = "decimal"}},
	{"NUMERIC", {.family = FAMILY_DECIMAL, .type = TYPE_DECIMAL, .native = "decimal"}},
	{"FIXED", {.family = FAMILY_DECIMAL, .type = TYPE_DECIMAL, .native = "decimal"}},
	{"FLOAT", {.family = FAMILY_FLOAT, .type = TYPE_FLOAT, .native = "float"}},
	{"FLOAT4", {.family = FAMILY_FLOAT, .type = TYPE_FLOAT, .native = "float"}},
	{"DOUBLE", {.family = FAMILY_DOUBLE, .type = TYPE_DOUBLE, .native = "double"}},
	{"FLOAT8", {.family = FAMILY_DOUBLE, .type = TYPE_DOUBLE, .native = "double"}},
	{"REAL", {.family = FAMILY_DOUBLE, .type = TYPE_DOUBLE, .native = "double"}},
	{"BIT", {.family = FAMILY_BIT, .type = TYPE_BIT, .native = "bit"}},
	{"CHAR", {.family = FAMILY_CHAR, .type = TYPE_TEXT, .native = "char"}},
	{"CHARACTER", {.family = FAMILY_CHAR, .type = TYPE_TEXT, .native = "char"}},
	{"NCHAR", {.family = FAMILY_CHAR, .type = TYPE_TEXT, .native = "char", .national = true}},
	{"VARCHAR", {.family = FAMILY_VARCHAR, .type = TYPE_TEXT, .native = "varchar"}},
	{"VARCHARACTER", {.family = FAMILY_VARCHAR, .type = TYPE_TEXT, .native = "varchar"}},
	{"NVARCHAR", {.family = FAMILY_VARCHAR,
			     .type = TYPE_TEXT,
			     .native = "varchar",
			     .national = true}},
	{"BINARY",
		{.family = FAMILY_CHAR, .type = TYPE_BINARY, .native = "binary", .binary = true}},
	{"VARBINARY", {.family = FAMILY_VARCHAR,
			      .type = TYPE_BINARY,
			      .native = "varbinary",
			      .binary = true}},
	{"TINYTEXT", {.family = FAMILY_TEXT, .type = TYPE_TEXT, .native = "tinytext", .width = 0}},
	{"TEXT", {.family = FAMILY_TEXT, .type = TYPE_TEXT, .native = "text", .width = 1}},
	{"MEDIUMTEXT",
		{.family = FAMILY_TEXT, .type = TYPE_TEXT, .native = "mediumtext", .width = 2}},
	{"LONGTEXT", {.family = FAMILY_TEXT, .type = TYPE_TEXT, .native = "longtext", .width = 3}},
	{"LONG", {.family = FAMILY_TEXT, .type = TYPE_TEXT, .native = "mediumtext", .width = 2}},
	{"TINYBLOB", {.family = FAMILY_TEXT,
			     .type = TYPE_BINARY,
			     .native = "tinyblob",
			     .width = 0,
			     .binary = true}},
	{"BLOB", {.family = FAMILY_TEXT,
			 .type = TYPE_BINARY,
			 .native = "blob",
			 .width = 1,
			 .binary = true}},
	{"MEDIUMBLOB", {.family = FAMILY_TEXT,
			       .type = TYPE_BINARY,
			       .native = "mediumblob",
			       .width = 2,
			       .binary = true}},
	{"LONGBLOB", {.family = FAMILY_TEXT,
			     .type = TYPE_BINARY,
			     .native = "longblob",
			     .width = 3,
			     .binary = true}},
	{"ENUM", {.family = FAMILY_ENUM, .type = TYPE_ENUM, .native = "enum"}},
	{"SET", {.family = FAMILY_SET, .type = TYPE_SET, .native = "set"}},
	{"DATE", {.family = FAMILY_PLAIN, .type = TYPE_DATE, .native = "date"}},
	{"TIME", {.family = FAMILY_TIME, .type = TYPE_TIME, .native = "time"}},
	{"DATETIME", {.family = FAMILY_TIME, .type = TYPE_DATETIME, .native = "datetime"}},
	{"TIMESTAMP", {.family = FAMILY_TIME, .type = TYPE_TIMESTAMP, .native = "timestamp"}},
	{"YEAR", {.family = FAMILY_YEAR, .type = TYPE_YEAR, .native = "year"}},
	{"JSON", {.family = FAMILY_JSON, .type = TYPE_JSON, .native = "json"}},
	{"GEOMETRY", {.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "geometry"}},
	{"POINT", {.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "point"}},
	{"LINESTRING", {.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "linestring"}},
	{"POLYGON", {.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "polygon"}},
	{"MULTIPOINT", {.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "multipoint"}},
	{"MULTILINESTRING",
		{.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "multilinestring"}},
	{"MULTIPOLYGON", {.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "multipolygon"}},
	{"GEOMETRYCOLLECTION",
		{.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "geometrycollection"}},
	{"GEOMCOLLECTION",
		{.family = FAMILY_PLAIN, .type = TYPE_GEOMETRY, .native = "geometrycollection"}},
	{"UUID", {.family = FAMILY_PLAIN, .type = TYPE_BINARY, .native = "uuid"}},
	{"INET4", {.family = FAMILY_PLAIN, .type = TYPE_BINARY, .native = "inet4"}},
	{"INET6", {.family = FAMILY_PLAIN, .type = TYPE_BINARY, .native = "inet6"}},
	{"VECTOR", {.family = FAMILY_PLAIN, .type = TYPE_BINARY, .native = "vector"}},
};

static const struct {
	const char *text, *blob;
	uint32_t bytes;
} texts[] = {
	{"tinytext", "tinyblob", 255},
	{"text", "blob", 65535},
	{"mediumtext", "mediumblob", 16777215},
	{"longtext", "longblob", 4294967295u},
};

/* ---- reading ---- */

static uint32_t
take_number(struct parser *p)
{
	uint64_t v = 0;

	for (size_t i = p->tok.start; p->tok.kind == TOK_NUMBER && i < p->tok.end; i++) {
		v = v * 10 + (uint64_t)(p->t.sql[i] - '0');
		if (v > UINT32_MAX)
			v = UINT32_MAX;
	}
	parser_advance(p);
	return (uint32_t)v;
}

uint32_t
ddl_take_length(struct parser *p)
{
	uint32_t v;

	if (!parser_accept(p, "("))
		return 0;
	v = take_number(p);
	while (!parser_end(p) && !parser_accept(p, ")"))
		parser_advance(p);
	return v;
}

static void
take_numbers(struct parser *p, struct ddl_type *t)
{
	if (!parser_accept(p, "("))
		return;
	for (t->count = 0; t->count < 2 && p->tok.kind == TOK_NUMBER;) {
		t->numbers[t->count++] = take_number(p);
		parser_accept(p, ",");
	}
	while (!parser_end(p) && !parser_accept(p, ")"))
		parser_advance(p);
}

/* False: a label in a form that we do not read (x'..'). Spaces at the end do not count. */
static bool
take_labels(struct parser *p, struct ddl_type *t)
{
	size_t cap = 0;

	if (!parser_accept(p, "("))
		return false;
	do {
		char *label;

		if (p->tok.kind != TOK_STRING)
			return false;
		label = tok_name(&p->t, &p->tok);
		for (size_t n = strlen(label); n != 0 && label[n - 1] == ' '; n--)
			label[n - 1] = '\0';
		grow(&t->labels, &cap, (size_t)t->nlabels + 1, sizeof *t->labels);
		t->labels[t->nlabels++] = label;
		parser_advance(p);
	} while (parser_accept(p, ","));
	return parser_accept(p, ")");
}

static bool
find_type(const struct parser *p, struct ddl_type *t)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (parser_is(p, types[i].word)) {
			*t = types[i].type;
			return true;
		}
	return false;
}

static void
make_blob(struct ddl_type *t)
{
	t->binary = true;
	t->type = TYPE_BINARY;
	t->native = t->family == FAMILY_CHAR	  ? "binary"
		    : t->family == FAMILY_VARCHAR ? "varbinary"
						  : texts[t->width].blob;
}

static void
make_varchar(struct ddl_type *t)
{
	t->family = FAMILY_VARCHAR;
	t->native = "varchar";
}

/* Types of two words: CHAR VARYING, LONG VARBINARY, DOUBLE PRECISION. */
static void
second_word(struct parser *p, struct ddl_type *t)
{
	bool is_long = t->family == FAMILY_TEXT && t->width == 2;

	if (t->family == FAMILY_DOUBLE)
		parser_accept(p, "PRECISION");
	else if (t->family == FAMILY_CHAR && !t->binary &&
		 (parser_accept(p, "VARYING") ||
			 (t->national && (parser_accept(p, "VARCHAR") ||
						 parser_accept(p, "VARCHARACTER")))))
		make_varchar(t);
	else if (is_long && parser_accept(p, "VARBINARY"))
		make_blob(t);
	else if (is_long && !parser_accept(p, "VARCHAR") && !parser_accept(p, "VARCHARACTER") &&
		 (parser_accept2(p, "CHAR", "VARYING") ||
			 parser_accept2(p, "CHARACTER", "VARYING")))
		return;
}

bool
ddl_take_type(struct parser *p, const struct ddl *d, struct ddl_type *t)
{
	bool national = parser_accept(p, "NATIONAL");
	bool real = parser_is(p, "REAL");

	*t = (struct ddl_type){0};
	if (!find_type(p, t))
		return false;
	parser_advance(p);
	t->national = t->national || national;
	second_word(p, t);
	if (real && d->real_as_float)
		*t = (struct ddl_type){
			.family = FAMILY_FLOAT, .type = TYPE_FLOAT, .native = "float"};
	if (t->family == FAMILY_ENUM || t->family == FAMILY_SET)
		return take_labels(p, t);
	take_numbers(p, t);
	return true;
}

/* ---- what the catalog shows ---- */

static void
print_native(struct column *c, const char *text)
{
	free(c->native);
	c->native = xstrdup(text);
}

static void
finish_number(struct ddl_type *t, bool zerofill, const struct ddl_env *env, struct column *c)
{
	bool widthless = !env->mariadb && env->version >= MYSQL_WITHOUT_WIDTH;
	const char *sign = c->is_unsigned ? " unsigned" : "", *fill = zerofill ? " zerofill" : "";
	uint32_t width = t->count != 0 ? t->numbers[0] : t->width;

	if (t->family == FAMILY_DECIMAL) {
		c->precision = t->count != 0 && t->numbers[0] != 0 ? t->numbers[0] : 10;
		c->scale = t->count == 2 ? t->numbers[1] : 0;
		c->native = xasprintf("decimal(%u,%u)%s%s", c->precision, c->scale, sign, fill);
		return;
	}
	c->precision = t->precision;
	if (t->native[0] == 'b' && c->is_unsigned)
		c->precision = 20;
	if (t->count == 0 && c->is_unsigned && t->native[0] != 'b')
		width--;
	if (widthless && !zerofill && !(t->native[0] == 't' && width == 1))
		c->native = xasprintf("%s%s", t->native, sign);
	else
		c->native = xasprintf("%s(%u)%s%s", t->native, width, sign, fill);
}

static void
finish_float(struct ddl_type *t, bool zerofill, struct column *c)
{
	const char *sign = c->is_unsigned ? " unsigned" : "", *fill = zerofill ? " zerofill" : "";

	if (t->family == FAMILY_FLOAT && t->count == 1 && t->numbers[0] > 24) {
		t->family = FAMILY_DOUBLE;
		c->type = TYPE_DOUBLE;
		t->native = "double";
	}
	c->precision = t->family == FAMILY_FLOAT ? 12 : 22;
	if (t->count == 2) {
		c->precision = t->numbers[0];
		c->native = xasprintf(
			"%s(%u,%u)%s%s", t->native, t->numbers[0], t->numbers[1], sign, fill);
	} else {
		c->native = xasprintf("%s%s%s", t->native, sign, fill);
	}
}

/* TEXT(n) and BLOB(n) are the smallest that holds n characters. */
static const char *
finish_text(struct ddl_type *t, struct column *c)
{
	const struct charset *set = c->charset != NULL ? charset_find(c->charset) : NULL;
	uint64_t most = set != NULL ? set->max_bytes : 1, least = set != NULL ? set->min_bytes : 1;

	if (c->charset != NULL && set == NULL)
		return "a character set that is not known";
	if (t->count != 0 && t->numbers[0] != 0 && t->width == 1)
		for (t->width = 0; t->width < 3 && t->numbers[0] * most > texts[t->width].bytes;)
			t->width++;
	c->length = (uint32_t)(texts[t->width].bytes / least);
	print_native(c, t->binary ? texts[t->width].blob : texts[t->width].text);
	return NULL;
}

static const char *
finish_string(struct ddl_type *t, struct column *c)
{
	const struct charset *set = c->charset != NULL ? charset_find(c->charset) : NULL;

	if (t->family == FAMILY_TEXT)
		return finish_text(t, c);
	if (c->charset != NULL && set == NULL)
		return "a character set that is not known";
	c->length = t->count != 0 ? t->numbers[0] : 1;
	if (t->family == FAMILY_VARCHAR &&
		(uint64_t)c->length * (set != NULL ? set->max_bytes : 1) > 65535)
		return "a VARCHAR that may have become a TEXT";
	if (t->family == FAMILY_CHAR && c->length > 255)
		return "a CHAR that may have become a TEXT";
	c->native = xasprintf("%s(%u)", t->native, c->length);
	return NULL;
}

static uint32_t
characters(const char *s)
{
	uint32_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
finish_labels(struct ddl_type *t, struct column *c)
{
	struct buf b;

	buf_init(&b);
	buf_printf(&b, "%s(", t->native);
	c->length = t->family == FAMILY_SET && t->nlabels != 0 ? t->nlabels - 1 : 0;
	for (uint32_t i = 0; i < t->nlabels; i++) {
		uint32_t n = characters(t->labels[i]);

		if (t->family == FAMILY_SET)
			c->length += n;
		else if (n > c->length)
			c->length = n;
		buf_puts(&b, i != 0 ? ",'" : "'");
		for (const char *s = t->labels[i]; *s != '\0'; s++) {
			if (*s == '\'')
				buf_putc(&b, '\'');
			buf_putc(&b, *s);
		}
		buf_putc(&b, '\'');
	}
	buf_putc(&b, ')');
	c->native = xstrdup(buf_text(&b));
	buf_release(&b);
	c->labels = t->labels;
	c->nlabels = t->nlabels;
	t->labels = NULL;
	t->nlabels = 0;
}

static void
finish_plain(struct ddl_type *t, const struct ddl_env *env, struct column *c)
{
	if (strcmp(t->native, "geometrycollection") == 0 && !env->mariadb &&
		env->version >= MYSQL_WITH_GEOMCOLLECTION)
		print_native(c, "geomcollection");
	else if (t->count != 0)
		c->native = xasprintf("%s(%u)", t->native, t->numbers[0]);
	else
		print_native(c, t->native);
}

/* MariaDB's JSON is a text; its collation is set by the caller. */
static void
finish_json(const struct ddl_env *env, struct column *c)
{
	print_native(c, env->mariadb ? "longtext" : "json");
	c->type = env->mariadb ? TYPE_TEXT : TYPE_JSON;
	c->length = env->mariadb ? UINT32_MAX : 0;
}

const char *
ddl_finish_type(struct ddl_type *t, bool zerofill, const struct ddl_env *env, struct column *c)
{
	c->type = t->type;
	switch (t->family) {
	case FAMILY_INTEGER:
	case FAMILY_DECIMAL:
		finish_number(t, zerofill, env, c);
		break;
	case FAMILY_FLOAT:
	case FAMILY_DOUBLE:
		finish_float(t, zerofill, c);
		break;
	case FAMILY_BIT:
		c->length = c->precision = t->count != 0 ? t->numbers[0] : 1;
		c->native = xasprintf("bit(%u)", c->length);
		break;
	case FAMILY_CHAR:
	case FAMILY_VARCHAR:
	case FAMILY_TEXT:
		return finish_string(t, c);
	case FAMILY_ENUM:
	case FAMILY_SET:
		finish_labels(t, c);
		c->is_unsigned = t->family == FAMILY_SET;
		break;
	case FAMILY_TIME:
		c->scale = t->count != 0 ? t->numbers[0] : 0;
		c->native = c->scale != 0 ? xasprintf("%s(%u)", t->native, c->scale)
					  : xstrdup(t->native);
		break;
	case FAMILY_YEAR:
		c->is_unsigned = true;
		print_native(c,
			!env->mariadb && env->version >= MYSQL_WITHOUT_WIDTH ? "year" : "year(4)");
		break;
	case FAMILY_JSON:
		finish_json(env, c);
		break;
	case FAMILY_PLAIN:
		finish_plain(t, env, c);
		break;
	}
	return NULL;
}
