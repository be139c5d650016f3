/* loss.c - see loss.h. */
#include "common/compat.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "workers/writer/loss.h"

#define ALL UINT32_MAX
#define FLOAT_DIGITS 6u
#define DOUBLE_DIGITS 15u
#define MICROSECONDS 6u

static const struct {
	const char *word;
	const char *what;
} losses[LOSS_COUNT] = {
#define X(symbol, word, what) [LOSS_##symbol] = {word, what},
	LOSS_LIST(X)
#undef X
};

void
losses_init(struct losses *l, const struct conf *c)
{
	const char *source = conf_str(c, "source.kind"), *target = conf_str(c, "target.kind");

	*l = (struct losses){.foreign = strcmp(source, target) != 0,
		.to_mysql = strcmp(target, "mysql") == 0 && strcmp(source, "fake") != 0,
		.to_pgsql = strcmp(target, "postgresql") == 0 && strcmp(source, "fake") != 0};
	for (int i = 0; i < LOSS_COUNT; i++)
		l->accepted[i] = conf_has_word(c, "lossy", losses[i].word);
}

/* ---- columns ---- */

static bool
begins(const struct column *c, const char *with)
{
	return c->native != NULL && strncasecmp(c->native, with, strlen(with)) == 0;
}

static bool
has(const struct column *c, const char *word)
{
	return c->native != NULL && strcasestr(c->native, word) != NULL;
}

static bool
is_date(const struct column *c)
{
	return c->type == TYPE_DATE || c->type == TYPE_DATETIME || c->type == TYPE_TIMESTAMP;
}

static bool
is_temporal(const struct column *c)
{
	return is_date(c) || c->type == TYPE_TIME;
}

static bool
is_floating(const struct column *c)
{
	return c->type == TYPE_FLOAT || c->type == TYPE_DOUBLE;
}

static bool
is_number(const struct column *c)
{
	return c->type == TYPE_INTEGER || c->type == TYPE_DECIMAL || c->type == TYPE_YEAR ||
	       is_floating(c);
}

/* "interval(3)": 3. */
static uint32_t
modifier(const struct column *c)
{
	const char *at = strchr(c->native, '(');

	return at != NULL ? (uint32_t)(at[1] - '0') : MICROSECONDS;
}

/* Digits behind the point that it can have, of a number or of seconds. */
static uint32_t
digits_behind(const struct column *c)
{
	if (begins(c, "money"))
		return 2;
	if (begins(c, "interval"))
		return modifier(c);
	if (c->type == TYPE_DECIMAL || is_temporal(c))
		return c->scale;
	return c->type == TYPE_INTEGER || c->type == TYPE_YEAR ? 0 : ALL;
}

/* Digits in all that it can have; of what holds binary numbers, those that it surely keeps. */
static uint32_t
digits_in_all(const struct column *c)
{
	if (c->type == TYPE_INTEGER)
		return begins(c, "bool")    ? 1
		       : begins(c, "tiny")  ? 3
		       : begins(c, "small") ? 5
		       : begins(c, "big")   ? 20
					    : 10;
	if (c->type == TYPE_YEAR)
		return 4;
	if (c->type == TYPE_DECIMAL)
		return c->precision;
	return c->type == TYPE_FLOAT ? FLOAT_DIGITS : c->type == TYPE_DOUBLE ? DOUBLE_DIGITS : ALL;
}

static bool
loses_digits(const struct column *from, const struct column *to)
{
	if (is_temporal(from))
		return (is_temporal(to) || begins(to, "interval")) &&
		       digits_behind(from) > digits_behind(to);
	if (!is_number(from) && from->type != TYPE_TEXT)
		return false;
	if (is_floating(to))
		return digits_in_all(from) > digits_in_all(to);
	if (begins(to, "bool"))
		return !begins(from, "bool");
	return (is_number(to) || begins(to, "money")) && digits_behind(from) > digits_behind(to);
}

static bool
loses_time(const struct column *from, const struct column *to)
{
	if (from->type == TYPE_TEXT)
		return is_temporal(to) || (begins(to, "interval") && !begins(from, "interval"));
	return (from->type == TYPE_DATETIME || from->type == TYPE_TIMESTAMP) &&
	       (to->type == TYPE_DATE || to->type == TYPE_TIME);
}

/* Types of the source whose blanks and zero bytes at the end are part of their values. */
static bool
loses_padding(const struct column *from, const struct column *to)
{
	if (from->type == TYPE_BINARY)
		return begins(to, "binary(") &&
		       (begins(from, "varbinary") || begins(from, "bytea") || has(from, "blob"));
	return from->type == TYPE_TEXT && (begins(to, "char(") || begins(to, "character(")) &&
	       (begins(from, "varchar") || begins(from, "character varying") || has(from, "text"));
}

static bool
loses_writing(const struct losses *l, const struct column *from, const struct column *to)
{
	if (from->type != TYPE_JSON && from->type != TYPE_TEXT)
		return false;
	return l->to_pgsql ? begins(to, "jsonb") && !begins(from, "jsonb")
			   : l->foreign && begins(to, "json");
}

enum loss
loss_column(const struct losses *l, const struct column *from, const struct column *to)
{
	bool same = !l->foreign && from->native != NULL && to->native != NULL &&
		    strcasecmp(from->native, to->native) == 0;
	bool loses[LOSS_COUNT] = {
		[LOSS_DIGITS] = loses_digits(from, to),
		[LOSS_TIME] = loses_time(from, to),
		[LOSS_PADDING] = loses_padding(from, to),
		[LOSS_JSON] = loses_writing(l, from, to),
	};

	if (same || (!l->to_mysql && !l->to_pgsql))
		return LOSS_COUNT;
	for (int i = 0; i < LOSS_COUNT; i++)
		if (loses[i] && !l->accepted[i])
			return (enum loss)i;
	return LOSS_COUNT;
}

enum rc
loss_refuse(enum loss l, const struct table *source, const struct column *from,
	const struct column *to, struct err *e)
{
	err_set(e, RC_CONFIG,
		"column \"%s\" of %s.%s is %s, \"%s\" at the target %s: that can lose %s",
		from->name, source->db, source->name, from->native, to->name, to->native,
		losses[l].what);
	return err_remedy(e,
		"change the target's column to a type that holds all of it, put it into "
		"drop_columns, or accept that: lossy = [\"%s\"]",
		losses[l].word);
}

/* ---- values ---- */

static bool
may_be_none(const struct losses *l, const struct column *c)
{
	return l->foreign && l->to_mysql && l->accepted[LOSS_NAN] &&
	       (is_floating(c) || c->type == TYPE_DECIMAL || begins(c, "numeric"));
}

static bool
may_be_no_date(const struct losses *l, const struct column *c)
{
	return l->foreign && (l->to_mysql || l->to_pgsql) && l->accepted[LOSS_DATES] && is_date(c);
}

bool
loss_by_value(const struct losses *l, const struct column *from, const struct column *to)
{
	return (may_be_none(l, from) && is_number(to)) ||
	       (may_be_no_date(l, from) && is_temporal(to));
}

bool
loss_nullable(const struct losses *l, const struct column *from)
{
	return may_be_none(l, from) || may_be_no_date(l, from);
}

static bool
is_none(const struct column *c, const struct value *v)
{
	double d;
	float f;

	switch (type_layout(c->type)) {
	case LAYOUT_F64:
		memcpy(&d, v->data, sizeof d);
		return !isfinite(d);
	case LAYOUT_F32:
		memcpy(&f, v->data, sizeof f);
		return !isfinite(f);
	case LAYOUT_I64:
	case LAYOUT_TEXT:
	case LAYOUT_BYTES:
	default: /* "NaN", "-Infinity" */
		return memchr(v->data, 'N', v->len) != NULL || memchr(v->data, 'I', v->len) != NULL;
	}
}

static unsigned
number(const unsigned char *s, size_t n)
{
	unsigned u = 0;

	for (size_t i = 0; i < n; i++)
		u = u * 10 + (unsigned)(s[i] - '0');
	return u;
}

/* Which MySQL may hold and PostgreSQL does not: "0000-00-00", "2020-00-01", "2021-02-30". */
static bool
is_no_day(const struct value *v)
{
	static const unsigned days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned y, m, d;

	if (v->len < sizeof "2020-01-01" - 1)
		return true;
	y = number(v->data, 4);
	m = number(v->data + 5, 2);
	d = number(v->data + 8, 2);
	return y == 0 || m == 0 || m > 12 || d == 0 || d > days[m] ||
	       (m == 2 && d == 29 && (y % 4 != 0 || (y % 100 == 0 && y % 400 != 0)));
}

/* Which PostgreSQL may hold and MySQL does not: "infinity", "0044-03-15 BC", "10000-01-01". */
static bool
is_far(const struct value *v)
{
	return v->len < 5 || v->data[4] != '-' || v->data[v->len - 1] == 'C';
}

bool
loss_value(const struct losses *l, const struct column *from, const struct value *v)
{
	if (v->kind != VALUE_BYTES)
		return false;
	if (is_date(from))
		return l->to_mysql ? is_far(v) : is_no_day(v);
	return is_none(from, v);
}
