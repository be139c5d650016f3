/* filter_parse.c - the text of a filter as a tree; see filter.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/filter.h"
#include "common/mem.h"

/* Brackets and NOTs within each other: more is nobody's filter. */
#define DEPTH_MAX 64

enum token_kind { T_END, T_WORD, T_NAME, T_NUMBER, T_TEXT, T_SIGN };

struct parser {
	const char *text;
	const char *at; /* behind the token */
	unsigned depth;
	enum token_kind kind;
	const char *start; /* of the token */
	char *value;	   /* of NAME and TEXT: without quotes; WORD, NUMBER, SIGN: as written */
	struct err *e;
};

static enum rc parse_or(struct parser *p, struct filter_node **out);

static enum rc
refuse(struct parser *p, const char *why)
{
	err_set(p->e, RC_CONFIG, "where = \"%s\": %s at \"%.40s\"", p->text, why,
		*p->start != '\0' ? p->start : "the end");
	return err_remedy(p->e,
		"write a condition as syncline.conf(5) has it: column, operator (=, !=, <, <=, >, "
		">=, IN, BETWEEN, IS NULL), literal, with AND, OR, NOT and brackets");
}

/* ---- tokens ---- */

static bool
starts_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
	       (unsigned char)c >= 0x80;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Up to the closing quote; a doubled one is one. False: there is none. */
static bool
take_quoted(struct parser *p)
{
	char quote = *p->at++, *to = p->value = xmalloc(strlen(p->at) + 1);

	for (; *p->at != '\0'; *to++ = *p->at++) {
		if (*p->at != quote)
			continue;
		if (p->at[1] != quote) {
			p->at++;
			*to = '\0';
			return true;
		}
		p->at++;
	}
	*to = '\0';
	return false;
}

/* Sign, digits, point: the exponent's e is not taken, so that it is refused as a word. */
static void
take_number(struct parser *p)
{
	if (*p->at == '-' || *p->at == '+')
		p->at++;
	while (is_digit(*p->at))
		p->at++;
	if (*p->at == '.')
		for (p->at++; is_digit(*p->at); p->at++)
			;
}

static void
take_sign(struct parser *p)
{
	static const char *const two[] = {"!=", "<>", "<=", ">="};

	for (size_t i = 0; i < COUNT_OF(two); i++)
		if (strncmp(p->at, two[i], 2) == 0) {
			p->at += 2;
			return;
		}
	p->at++;
}

static enum rc
next(struct parser *p)
{
	free(p->value);
	p->value = NULL;
	p->at += strspn(p->at, " \t\r\n");
	p->start = p->at;
	if (*p->at == '\0') {
		p->kind = T_END;
		return RC_OK;
	}
	if (*p->at == '\'' || *p->at == '`' || *p->at == '"') {
		p->kind = *p->at == '\'' ? T_TEXT : T_NAME;
		return take_quoted(p) ? RC_OK : refuse(p, "a quote is not closed");
	}
	if (starts_name(*p->at)) {
		p->kind = T_WORD;
		while (starts_name(*p->at) || is_digit(*p->at))
			p->at++;
	} else if (is_digit(p->at[strspn(p->at, "+-")]) && strspn(p->at, "+-") <= 1) {
		p->kind = T_NUMBER;
		take_number(p);
		if (starts_name(*p->at))
			return refuse(p, "a number is digits with at most one point");
	} else {
		p->kind = T_SIGN;
		take_sign(p);
	}
	p->value = xmemdup(p->start, (size_t)(p->at - p->start) + 1);
	p->value[p->at - p->start] = '\0';
	return RC_OK;
}

static bool
is_word(const struct parser *p, const char *word)
{
	return p->kind == T_WORD && strcasecmp(p->value, word) == 0;
}

static bool
is_sign(const struct parser *p, const char *sign)
{
	return p->kind == T_SIGN && strcmp(p->value, sign) == 0;
}

static bool
is_reserved(const struct parser *p)
{
	static const char *const words[] = {"AND", "OR", "NOT", "IN", "BETWEEN", "IS", "NULL",
		"LIKE", "WHERE", "TRUE", "FALSE", "EXISTS", "SELECT"};

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (is_word(p, words[i]))
			return true;
	return false;
}

static enum rc
expect_sign(struct parser *p, const char *sign, const char *why)
{
	return is_sign(p, sign) ? next(p) : refuse(p, why);
}

/* ---- nodes ---- */

void
filter_node_free(struct filter_node *n)
{
	if (n == NULL)
		return;
	for (uint32_t i = 0; i < n->nchildren; i++)
		filter_node_free(n->child[i]);
	free(n->child);
	free(n->name);
	free(n->literal);
	free(n->answers);
	free(n);
}

static struct filter_node *
node_new(enum filter_kind kind)
{
	struct filter_node *n = xcalloc(1, sizeof *n);

	n->kind = kind;
	return n;
}

static void
add_child(struct filter_node *n, struct filter_node *child)
{
	n->child = xreallocarray(n->child, n->nchildren + 1, sizeof *n->child);
	n->child[n->nchildren++] = child;
}

static void
negate(struct filter_node **n)
{
	struct filter_node *not = node_new(FILTER_NOT);

	add_child(not, *n);
	*n = not ;
}

/* ---- grammar ---- */

static enum rc
take_literal(struct parser *p, struct filter_node *n)
{
	if (is_word(p, "NULL"))
		return refuse(p, "no comparison with NULL is ever true, write IS NULL");
	if (p->kind == T_NAME || (p->kind == T_WORD && !is_reserved(p)))
		return refuse(p, "a column is compared with a literal only, texts stand in 'single "
				 "quotes'");
	if (p->kind != T_NUMBER && p->kind != T_TEXT)
		return refuse(p, "a number or a 'text' is expected");
	n->quoted = p->kind == T_TEXT;
	n->literal = xstrdup(p->value);
	return next(p);
}

/* column op (the literal that stands here) */
static enum rc
take_comparison(struct parser *p, const char *name, enum filter_op op, struct filter_node **out)
{
	*out = node_new(FILTER_COMPARE);
	(*out)->name = xstrdup(name);
	(*out)->op = op;
	return take_literal(p, *out);
}

static enum rc
add_comparison(struct parser *p, struct filter_node *to, const char *name, enum filter_op op)
{
	struct filter_node *n;
	enum rc rc = take_comparison(p, name, op, &n);

	add_child(to, n);
	return rc;
}

static enum rc
parse_in(struct parser *p, const char *name, struct filter_node **out)
{
	enum rc rc = expect_sign(p, "(", "IN wants (literals)");

	*out = node_new(FILTER_OR);
	if (rc == RC_OK)
		rc = add_comparison(p, *out, name, FILTER_EQ);
	while (rc == RC_OK && is_sign(p, ",")) {
		rc = next(p);
		if (rc == RC_OK)
			rc = add_comparison(p, *out, name, FILTER_EQ);
	}
	return rc == RC_OK ? expect_sign(p, ")", "a comma or ) is expected") : rc;
}

static enum rc
parse_between(struct parser *p, const char *name, struct filter_node **out)
{
	enum rc rc;

	*out = node_new(FILTER_AND);
	rc = add_comparison(p, *out, name, FILTER_GE);
	if (rc == RC_OK)
		rc = is_word(p, "AND") ? next(p) : refuse(p, "BETWEEN wants AND");
	return rc == RC_OK ? add_comparison(p, *out, name, FILTER_LE) : rc;
}

static enum rc
parse_null(struct parser *p, const char *name, struct filter_node **out)
{
	bool not = is_word(p, "NOT");
	enum rc rc = not ? next(p) : RC_OK;

	*out = node_new(FILTER_IS_NULL);
	(*out)->name = xstrdup(name);
	if (not )
		negate(out);
	if (rc == RC_OK)
		rc = is_word(p, "NULL") ? next(p) : refuse(p, "IS wants NULL or NOT NULL");
	return rc;
}

static enum rc
parse_compare(struct parser *p, const char *name, struct filter_node **out)
{
	static const struct {
		const char *sign;
		enum filter_op op;
	} signs[] = {{"=", FILTER_EQ}, {"!=", FILTER_NE}, {"<>", FILTER_NE}, {"<", FILTER_LT},
		{"<=", FILTER_LE}, {">", FILTER_GT}, {">=", FILTER_GE}};

	for (size_t i = 0; i < COUNT_OF(signs); i++)
		if (is_sign(p, signs[i].sign)) {
			enum rc rc = next(p);

			return rc == RC_OK ? take_comparison(p, name, signs[i].op, out) : rc;
		}
	if (is_sign(p, "."))
		return refuse(p, "columns of the table itself are named without it");
	if (is_sign(p, "("))
		return refuse(p, "functions cannot be carried exactly");
	return refuse(p, "none of the operators stands");
}

static enum rc
parse_predicate(struct parser *p, struct filter_node **out)
{
	bool not = false;
	char *name;
	enum rc rc;

	if (is_word(p, "WHERE"))
		return refuse(p, "the word WHERE is left out, but stands");
	if (p->kind != T_NAME && (p->kind != T_WORD || is_reserved(p)))
		return refuse(p, "a column is expected");
	name = xstrdup(p->value);
	rc = next(p);
	if (rc == RC_OK && is_word(p, "NOT")) {
		not = true;
		rc = next(p);
	}
	if (rc == RC_OK && is_word(p, "IN"))
		rc = (rc = next(p)) == RC_OK ? parse_in(p, name, out) : rc;
	else if (rc == RC_OK && is_word(p, "BETWEEN"))
		rc = (rc = next(p)) == RC_OK ? parse_between(p, name, out) : rc;
	else if (rc == RC_OK && not )
		rc = refuse(p, "IN or BETWEEN is expected");
	else if (rc == RC_OK && is_word(p, "IS"))
		rc = (rc = next(p)) == RC_OK ? parse_null(p, name, out) : rc;
	else if (rc == RC_OK)
		rc = parse_compare(p, name, out);
	if (not &&*out != NULL)
		negate(out);
	free(name);
	return rc;
}

static enum rc
parse_not(struct parser *p, struct filter_node **out)
{
	enum rc rc;

	if (++p->depth > DEPTH_MAX)
		return refuse(p, "too many brackets and NOTs stand within each other");
	if (is_word(p, "NOT")) {
		rc = next(p);
		if (rc == RC_OK)
			rc = parse_not(p, out);
		if (*out != NULL)
			negate(out);
	} else if (is_sign(p, "(")) {
		rc = next(p);
		if (rc == RC_OK)
			rc = parse_or(p, out);
		if (rc == RC_OK)
			rc = expect_sign(p, ")", "AND, OR or ) is expected");
	} else {
		rc = parse_predicate(p, out);
	}
	p->depth--;
	return rc;
}

/* Operands of one kind, with the word between them. */
static enum rc
parse_list(struct parser *p, enum filter_kind kind, const char *word,
	enum rc (*operand)(struct parser *p, struct filter_node **out), struct filter_node **out)
{
	enum rc rc;

	*out = node_new(kind);
	for (;;) {
		struct filter_node *n = NULL;

		rc = operand(p, &n);
		if (n != NULL)
			add_child(*out, n);
		if (rc != RC_OK || !is_word(p, word))
			return rc;
		if ((rc = next(p)) != RC_OK)
			return rc;
	}
}

static enum rc
parse_and(struct parser *p, struct filter_node **out)
{
	return parse_list(p, FILTER_AND, "AND", parse_not, out);
}

static enum rc
parse_or(struct parser *p, struct filter_node **out)
{
	return parse_list(p, FILTER_OR, "OR", parse_and, out);
}

enum rc
filter_parse(const char *text, struct filter_node **out, struct err *e)
{
	struct parser p = {.text = text, .at = text, .start = text, .e = e};
	enum rc rc = next(&p);

	*out = NULL;
	if (rc == RC_OK)
		rc = parse_or(&p, out);
	if (rc == RC_OK && p.kind != T_END)
		rc = refuse(&p, "AND, OR or the end is expected");
	free(p.value);
	if (rc != RC_OK) {
		filter_node_free(*out);
		*out = NULL;
	}
	return rc;
}
