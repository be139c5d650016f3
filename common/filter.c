/* filter.c - filters and rows; see filter.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/collation.h"
#include "common/filter.h"
#include "common/mem.h"

/* What every server compares exactly. */
#define DIGITS_MAX 65
#define DECIMALS_MAX 30

struct filter {
	struct filter_node *root;
	struct table *table;
};

/* Direct-mapped by a hash of the value; longer values are asked for each time. */
#define ANSWERS 256
#define ANSWER_LEN 64

struct filter_answers {
	struct answer {
		bool known;
		uint8_t len;
		unsigned char value[ANSWER_LEN];
		int order;
	} a[ANSWERS];
};

const char *
filter_op_text(enum filter_op op)
{
	static const char *const texts[] = {[FILTER_EQ] = "=",
		[FILTER_NE] = "<>",
		[FILTER_LT] = "<",
		[FILTER_LE] = "<=",
		[FILTER_GT] = ">",
		[FILTER_GE] = ">="};

	return texts[op];
}

/* ---- literals, in the form of the column's values ---- */

static const char no_number[] = "is compared with a number only: digits, at most 65, at most 30 "
				"of them behind the point";
static const char no_date[] = "is compared with a date only: '2020-08-01'";
static const char no_time[] = "is compared with a time only: '12:34:56', with as many digits "
			      "behind the second as the column has";
static const char no_datetime[] = "is compared with '2020-08-01' or '2020-08-01 12:34:56' only, "
				  "with as many digits behind the second as the column has";

static bool
is_number(const char *s)
{
	const char *digits = s + strspn(s, "+-");
	size_t whole = strspn(digits, "0123456789"), behind = 0;

	if (digits[whole] == '.')
		behind = strspn(digits + whole + 1, "0123456789");
	return whole + behind <= DIGITS_MAX && behind <= DECIMALS_MAX;
}

/* n digits as a number; -1: they are something else. */
static int
digits(const char *s, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + s[i] - '0';
	}
	return v;
}

static bool
is_date(const char *s)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y = digits(s, 4), m, d;
	bool leap;

	if (y < 1000 || s[4] != '-' || (m = digits(s + 5, 2)) < 1 || m > 12 || s[7] != '-')
		return false;
	d = digits(s + 8, 2);
	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return d >= 1 && d <= days[m - 1] + (m == 2 && leap);
}

/* ":MM:SS[.f]" with at most `scale` digits of f; what is missing of them is appended. */
static bool
is_clock(const char *s, uint32_t scale, struct buf *fraction)
{
	size_t n = 0;
	int m, sec;

	if (s[0] != ':' || (m = digits(s + 1, 2)) < 0 || m > 59 || s[3] != ':' ||
		(sec = digits(s + 4, 2)) < 0 || sec > 59)
		return false;
	if (s[6] == '.') {
		n = strspn(s + 7, "0123456789");
		if (n == 0 || n > scale || s[7 + n] != '\0')
			return false;
	} else if (s[6] != '\0') {
		return false;
	}
	if (n == 0 && scale != 0)
		buf_putc(fraction, '.');
	for (; n < scale; n++)
		buf_putc(fraction, '0');
	return true;
}

/* NULL, or why not; *out the literal as the column's values are written. */
static const char *
take_temporal(const struct column *c, const char *s, struct buf *out)
{
	const char *hours = *s == '-' ? s + 1 : s;
	size_t n = strspn(hours, "0123456789");
	int h;

	buf_puts(out, s);
	if (c->type == TYPE_DATE)
		return is_date(s) && s[10] == '\0' ? NULL : no_date;
	if (c->type == TYPE_TIME)
		return (n == 2 || n == 3) && digits(hours, n) <= 838 &&
				       is_clock(hours + n, c->scale, out)
			       ? NULL
			       : no_time;
	if (!is_date(s))
		return no_datetime;
	if (s[10] == '\0') {
		buf_puts(out, " 00:00:00");
		return is_clock(":00:00", c->scale, out) ? NULL : no_datetime;
	}
	h = s[10] == ' ' ? digits(s + 11, 2) : -1;
	return h >= 0 && h <= 23 && is_clock(s + 13, c->scale, out) ? NULL : no_datetime;
}

static const char *
take_label(const struct column *c, const struct filter_node *n, struct buf *out)
{
	if (n->op != FILTER_EQ && n->op != FILTER_NE)
		return "is an enum, which is compared by =, != and IN only";
	for (uint32_t i = 0; i < c->nlabels && *n->literal != '\0'; i++)
		if (strcmp(c->labels[i], n->literal) == 0) {
			buf_printf(out, "%u", i + 1);
			return NULL;
		}
	return "has no such label, letter by letter as its definition has them";
}

static const char *
take_year(const struct filter_node *n, struct buf *out)
{
	long y = strtol(n->literal, NULL, 10);

	buf_puts(out, n->literal);
	return strlen(n->literal) == 4 && y >= 1901 && y <= 2155
		       ? NULL
		       : "is a year, which is compared with 1901 to 2155 only";
}

static const char *
take_literal(const struct column *c, const struct filter_node *n, struct buf *out)
{
	switch (c->type) {
	case TYPE_INTEGER:
	case TYPE_DECIMAL:
		buf_puts(out, n->literal);
		return !n->quoted && is_number(n->literal) ? NULL : no_number;
	case TYPE_YEAR:
		return !n->quoted ? take_year(n, out) : no_number;
	case TYPE_DATE:
	case TYPE_TIME:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		return n->quoted	      ? take_temporal(c, n->literal, out)
		       : c->type == TYPE_DATE ? no_date
		       : c->type == TYPE_TIME ? no_time
					      : no_datetime;
	case TYPE_TEXT:
		buf_puts(out, n->literal);
		return n->quoted ? NULL : "is compared with a 'text' only";
	case TYPE_ENUM:
		return n->quoted ? take_label(c, n, out) : "is compared with a 'label' only";
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
		return "is approximate: what it is equal to differs from server to server";
	case TYPE_BINARY:
	case TYPE_BIT:
	case TYPE_SET:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		return "is of a type of which a filter can only ask IS NULL";
	}
}

/* ---- columns ---- */

/* Whether the action of a foreign key sets the column: that is in no log of some servers. */
static bool
is_set_by_key(const struct table *t, uint32_t column)
{
	for (uint32_t i = 0; i < t->nfks; i++)
		for (uint32_t k = 0; k < t->fks[i].ncolumns; k++)
			if (t->fks[i].columns[k] == column &&
				(t->fks[i].on_update != FK_NONE ||
					t->fks[i].on_delete == FK_SET_NULL ||
					t->fks[i].on_delete == FK_SET_DEFAULT))
				return true;
	return false;
}

static enum rc
cannot(const struct table *t, const struct filter_node *n, const char *why, struct err *e)
{
	err_set(e, RC_CONFIG, "where of %s.%s: column \"%s\" %s", t->db, t->name, n->name, why);
	return err_remedy(e, FILTER_REMEDY);
}

static enum rc
bind(struct filter_node *n, const struct table *t, struct err *e)
{
	const struct column *c;
	const char *why;
	struct buf b;

	for (uint32_t i = 0; i < n->nchildren; i++) {
		enum rc rc = bind(n->child[i], t, e);

		if (rc != RC_OK)
			return rc;
	}
	if (n->name == NULL)
		return RC_OK;
	n->column = table_column(t, n->name);
	if (n->column == UINT32_MAX)
		return cannot(t, n, "is not among the table's", e);
	c = &t->columns[n->column];
	if (c->generated)
		return cannot(t, n, "is computed by the server", e);
	if (is_set_by_key(t, n->column))
		return cannot(t, n,
			"is changed by a foreign key's action, which the log does not "
			"carry",
			e);
	if (n->kind == FILTER_IS_NULL) /* MySQL finds the date 0000-00-00 by it */
		return c->nullable ? RC_OK : cannot(t, n, "is NOT NULL", e);
	buf_init(&b);
	why = take_literal(c, n, &b);
	if (why == NULL) {
		free(n->literal);
		n->literal = xstrdup(buf_text(&b));
	}
	buf_release(&b);
	return why == NULL ? RC_OK : cannot(t, n, why, e);
}

enum rc
filter_new(const char *text, const struct table *t, struct filter **out, struct err *e)
{
	struct filter_node *root;
	enum rc rc = filter_parse(text, &root, e);

	*out = NULL;
	if (rc == RC_OK)
		rc = bind(root, t, e);
	if (rc != RC_OK) {
		filter_node_free(root);
		return rc;
	}
	*out = xcalloc(1, sizeof **out);
	(*out)->root = root;
	(*out)->table = table_copy(t);
	return RC_OK;
}

void
filter_free(struct filter *f)
{
	if (f == NULL)
		return;
	filter_node_free(f->root);
	table_free(f->table);
	free(f);
}

const struct filter_node *
filter_root(const struct filter *f)
{
	return f->root;
}

const struct table *
filter_table(const struct filter *f)
{
	return f->table;
}

static bool
uses(const struct filter_node *n, uint32_t column)
{
	for (uint32_t i = 0; i < n->nchildren; i++)
		if (uses(n->child[i], column))
			return true;
	return n->name != NULL && n->column == column;
}

bool
filter_uses(const struct filter *f, uint32_t column)
{
	return uses(f->root, column);
}

/* ---- numbers ---- */

struct number {
	bool negative;
	const char *whole, *behind; /* without zeros that say nothing */
	size_t nwhole, nbehind;
};

static struct number
number_of(const char *s, size_t n)
{
	const char *end = s + n;
	struct number x = {.negative = n != 0 && *s == '-'};

	if (s < end && (*s == '-' || *s == '+'))
		s++;
	while (s < end && *s == '0')
		s++;
	for (x.whole = s; s < end && *s != '.'; s++)
		x.nwhole++;
	x.behind = s < end ? s + 1 : end;
	x.nbehind = (size_t)(end - x.behind);
	while (x.nbehind != 0 && x.behind[x.nbehind - 1] == '0')
		x.nbehind--;
	if (x.nwhole == 0 && x.nbehind == 0)
		x.negative = false;
	return x;
}

static int
compare_bytes(const void *a, size_t n, const void *b, size_t m)
{
	size_t less = n < m ? n : m;
	int d = less != 0 ? memcmp(a, b, less) : 0;

	return d != 0 ? d : (n > m) - (n < m);
}

static int
compare_numbers(const char *a, size_t n, const char *b, size_t m)
{
	struct number x = number_of(a, n), y = number_of(b, m);
	int d;

	if (x.negative != y.negative)
		return x.negative ? -1 : 1;
	d = (x.nwhole > y.nwhole) - (x.nwhole < y.nwhole);
	if (d == 0)
		d = compare_bytes(x.whole, x.nwhole, y.whole, y.nwhole);
	if (d == 0)
		d = compare_bytes(x.behind, x.nbehind, y.behind, y.nbehind);
	return x.negative ? -d : d;
}

static int
compare_integer(const struct column *c, const struct value *v, const char *literal)
{
	char text[32];
	int64_t i = value_i64(v);
	int n = snprintf(text, sizeof text, c->is_unsigned ? "%" PRIu64 : "%" PRId64, (uint64_t)i);

	return compare_numbers(text, (size_t)n, literal, strlen(literal));
}

/* Of "-838:59:59.999999" and the like, in units of its last digit. */
static int64_t
time_units(const char *s, size_t n)
{
	bool negative = n != 0 && *s == '-';
	int64_t v = 0, part = 0;

	for (size_t i = negative; i < n; i++) {
		if (s[i] == ':') {
			v = (v + part) * 60;
			part = 0;
		} else if (s[i] == '.') {
			v += part;
			for (i++; i < n; i++)
				v = v * 10 + (s[i] - '0');
			part = 0;
		} else {
			part = part * 10 + (s[i] - '0');
		}
	}
	v += part;
	return negative ? -v : v;
}

static int
compare_times(const struct value *v, const char *literal)
{
	int64_t a = time_units((const char *)v->data, v->len),
		b = time_units(literal, strlen(literal));

	return (a > b) - (a < b);
}

/* ---- text ---- */

static bool
is_printable(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

static bool
is_among(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s != NULL && strcmp(s, list[i]) == 0)
			return true;
	return false;
}

/* Whether the bytes of values can be compared with the literal's: the value's set is UTF-8, or both
 * are of ASCII in a set that has it. */
static bool
has_bytes_of(const struct column *c, bool ascii)
{
	static const char *const utf8[] = {"utf8mb4", "utf8mb3", "utf8"};
	static const char *const with_ascii[] = {"latin1", "latin2", "ascii", "cp1251", "koi8r"};

	return is_among(c->charset, utf8, COUNT_OF(utf8)) ||
	       (ascii && is_among(c->charset, with_ascii, COUNT_OF(with_ascii)));
}

static int
compare_padded(const unsigned char *a, size_t n, const unsigned char *b, size_t m)
{
	for (size_t i = 0; i < n || i < m; i++) {
		int x = i < n ? a[i] : ' ', y = i < m ? b[i] : ' ';

		if (x != y)
			return x - y;
	}
	return 0;
}

static unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

static int
differ_folded(const unsigned char *a, size_t n, const unsigned char *b, size_t m, bool spaces)
{
	while (!spaces && n != 0 && a[n - 1] == ' ')
		n--;
	while (!spaces && m != 0 && b[m - 1] == ' ')
		m--;
	if (n != m)
		return 1;
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return 1;
	return 0;
}

/* What we know by ourselves. *order of FILTER_EQ and NE tells equality alone. */
static bool
compare_here(const struct filter_node *n, const struct column *c, const struct value *v, int *order)
{
	const unsigned char *literal = (const unsigned char *)n->literal;
	size_t len = strlen(n->literal);
	bool ascii = is_printable(v->data, v->len) && is_printable(literal, len);
	bool equality = n->op == FILTER_EQ || n->op == FILTER_NE;

	if (c->collation == NULL || !has_bytes_of(c, ascii))
		return false;
	switch (collation_fold(c->collation)) {
	case FOLD_NONE:
		*order = collation_counts_spaces(c->collation)
				 ? compare_bytes(v->data, v->len, literal, len)
				 : compare_padded(v->data, v->len, literal, len);
		return true;
	case FOLD_CASE:
		if (!ascii || !equality)
			return false;
		*order = differ_folded(
			v->data, v->len, literal, len, collation_counts_spaces(c->collation));
		return true;
	case FOLD_UNKNOWN:
	default:
		return false;
	}
}

static enum rc
compare_text(struct filter_node *n, const struct column *c, const struct value *v,
	filter_compare_cb compare, void *arg, int *order, struct err *e)
{
	struct answer *a;
	enum rc rc;

	if (compare_here(n, c, v, order))
		return RC_OK;
	if (v->len > ANSWER_LEN)
		return compare(arg, c, v, n->literal, order, e);
	if (n->answers == NULL)
		n->answers = xcalloc(1, sizeof *n->answers);
	a = &n->answers->a[XXH3_64bits(v->data, v->len) % ANSWERS];
	if (!a->known || a->len != v->len || memcmp(a->value, v->data, v->len) != 0) {
		a->known = false;
		if ((rc = compare(arg, c, v, n->literal, &a->order, e)) != RC_OK)
			return rc;
		a->known = true;
		a->len = (uint8_t)v->len;
		memcpy(a->value, v->data, v->len);
	}
	*order = a->order;
	return RC_OK;
}

/* ---- truth ---- */

enum truth { NO, UNKNOWN, YES };

static enum rc
compare_value(struct filter_node *n, const struct column *c, const struct value *v,
	filter_compare_cb compare, void *arg, int *order, struct err *e)
{
	switch (c->type) {
	case TYPE_INTEGER:
	case TYPE_YEAR:
	case TYPE_ENUM:
		*order = compare_integer(c, v, n->literal);
		return RC_OK;
	case TYPE_DECIMAL:
		*order = compare_numbers(
			(const char *)v->data, v->len, n->literal, strlen(n->literal));
		return RC_OK;
	case TYPE_TIME:
		*order = compare_times(v, n->literal);
		return RC_OK;
	case TYPE_DATE:
	case TYPE_DATETIME:
	case TYPE_TIMESTAMP:
		*order = compare_bytes(v->data, v->len, n->literal, strlen(n->literal));
		return RC_OK;
	case TYPE_TEXT:
		return compare_text(n, c, v, compare, arg, order, e);
	case TYPE_FLOAT:
	case TYPE_DOUBLE:
	case TYPE_BINARY:
	case TYPE_BIT:
	case TYPE_SET:
	case TYPE_JSON:
	case TYPE_GEOMETRY:
	case TYPE_COUNT:
	default:
		return err_set(
			e, RC_BUG, "a filter compares a value of type %s", type_name(c->type));
	}
}

static bool
op_holds(enum filter_op op, int order)
{
	switch (op) {
	case FILTER_EQ:
		return order == 0;
	case FILTER_NE:
		return order != 0;
	case FILTER_LT:
		return order < 0;
	case FILTER_LE:
		return order <= 0;
	case FILTER_GT:
		return order > 0;
	case FILTER_GE:
	default:
		return order >= 0;
	}
}

struct asked {
	const struct table *table;
	const struct row *row;
	filter_compare_cb compare;
	void *arg;
};

static enum rc
leaf_truth(struct filter_node *n, const struct asked *q, enum truth *out, struct err *e)
{
	const struct value *v = &q->row->col[n->column];
	int order = 0;
	enum rc rc;

	if (v->kind != VALUE_NULL && v->kind != VALUE_BYTES) {
		err_set(e, RC_DATA,
			"the log has no value of column \"%s\", which `where` of %s.%s needs",
			n->name, q->table->db, q->table->name);
		return err_remedy(e, "set binlog_row_image=FULL at the source");
	}
	if (n->kind == FILTER_IS_NULL) {
		*out = v->kind == VALUE_NULL ? YES : NO;
		return RC_OK;
	}
	*out = UNKNOWN;
	if (v->kind == VALUE_NULL)
		return RC_OK;
	rc = compare_value(n, &q->table->columns[n->column], v, q->compare, q->arg, &order, e);
	*out = op_holds(n->op, order) ? YES : NO;
	return rc;
}

/* AND is the least, OR the greatest of its operands' truths. */
static enum rc
node_truth(struct filter_node *n, const struct asked *q, enum truth *out, struct err *e)
{
	enum rc rc = RC_OK;

	switch (n->kind) {
	case FILTER_NOT:
		rc = node_truth(n->child[0], q, out, e);
		if (rc == RC_OK)
			*out = YES - *out;
		return rc;
	case FILTER_AND:
	case FILTER_OR:
		*out = n->kind == FILTER_AND ? YES : NO;
		for (uint32_t i = 0; i < n->nchildren && rc == RC_OK; i++) {
			enum truth t;

			rc = node_truth(n->child[i], q, &t, e);
			if (rc == RC_OK && (n->kind == FILTER_AND ? t < *out : t > *out))
				*out = t;
		}
		return rc;
	case FILTER_IS_NULL:
	case FILTER_COMPARE:
	default:
		return leaf_truth(n, q, out, e);
	}
}

enum rc
filter_holds(struct filter *f, const struct row *row, filter_compare_cb compare, void *arg,
	bool *holds, struct err *e)
{
	struct asked q = {.table = f->table, .row = row, .compare = compare, .arg = arg};
	enum truth t = NO;
	enum rc rc;

	*holds = false;
	if (row->ncols != f->table->ncolumns)
		return err_set(e, RC_BUG, "a row of %s.%s has not the columns of its filter",
			f->table->db, f->table->name);
	rc = node_truth(f->root, &q, &t, e);
	*holds = rc == RC_OK && t == YES;
	return rc;
}
