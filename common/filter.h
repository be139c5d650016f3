/*
 * filter.h - `where`: which rows of a table are carried (spec S4.6).
 *
 * A filter is written in a small language of our own, the part of SQL whose
 * result we can tell from a row in the log exactly as the server tells it:
 *
 *     condition  = condition OR condition | condition AND condition
 *                | NOT condition | ( condition )
 *                | column (= | != | <> | < | <= | > | >=) literal
 *                | column [NOT] IN ( literal, ... )
 *                | column [NOT] BETWEEN literal AND literal
 *                | column IS [NOT] NULL
 *     column     = name | `name` | "name"          of the source's table
 *     literal    = number | 'text', a quote in it doubled, nothing else special
 *
 *     columns of type                    literal
 *     integer, decimal, year             number (years 1901 to 2155)
 *     date, time, datetime, timestamp    '2020-08-01', '12:34:56', '2020-08-01 12:34:56';
 *                                        fractions as many digits as the column;
 *                                        a timestamp's are UTC
 *     text                               'text', compared under the column's collation
 *     enum                               'label', for equality
 *     any other                          only IS NULL
 *
 * NULL as in SQL: a comparison with it is neither true nor false, and a row is
 * carried if its condition is true. Refused, with the reason: columns that the
 * server computes, and those that a foreign key's action changes without the log.
 *
 * Text whose order we do not know by ourselves is asked of the source's server
 * (filter_compare_cb), a function of value and literal alone; answers are kept.
 * For the load engines render the tree (filter_root) in their server's SQL.
 *
 * A filter belongs to one thread: it remembers answers.
 */
#ifndef COMMON_FILTER_H
#define COMMON_FILTER_H

#include "common/compat.h"

#include <stdbool.h>

#include "common/err.h"
#include "common/schema.h"
#include "common/value.h"

/* IN and BETWEEN become OR and AND of comparisons. */
enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_IS_NULL, FILTER_COMPARE };
enum filter_op { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

struct filter_answers;

struct filter_node {
	enum filter_kind kind;
	struct filter_node **child; /* of AND and OR; NOT has one */
	uint32_t nchildren;
	char *name; /* of IS_NULL and COMPARE, as written */
	enum filter_op op;
	bool quoted;	 /* the literal is a text */
	char *literal;	 /* UTF-8; in a filter in the type's canonical form, an enum's its index */
	uint32_t column; /* in a filter: in the table */
	struct filter_answers *answers; /* what the server said of text */
};

const char *filter_op_text(enum filter_op op);

/* The tree of a text, its names not looked up. CONFIG says what stands where. */
enum rc filter_parse(const char *text, struct filter_node **out, struct err *e) MUSTCHECK;
void filter_node_free(struct filter_node *n);

struct filter;

#define FILTER_REMEDY \
	"correct `where` of this table in `objects`; syncline.conf(5) says what can stand in it"

/* For rows that have all of the table's columns. CONFIG: which column cannot be in it, and why. */
enum rc filter_new(
	const char *text, const struct table *t, struct filter **out, struct err *e) MUSTCHECK;
void filter_free(struct filter *f);
const struct filter_node *filter_root(const struct filter *f);
const struct table *filter_table(const struct filter *f);
bool filter_uses(const struct filter *f, uint32_t column);

/* <0, 0, >0 as the value stands to the literal under the column's collation. */
typedef enum rc (*filter_compare_cb)(void *arg, const struct column *c, const struct value *v,
	const char *literal, int *order, struct err *e);

/* Whether the row is carried. DATA: the image has not the value of a column that the filter needs.
 */
enum rc filter_holds(struct filter *f, const struct row *row, filter_compare_cb compare, void *arg,
	bool *holds, struct err *e) MUSTCHECK;

#endif
