/* route.c - see route.h. */
#include "common/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/filter.h"
#include "common/mem.h"
#include "common/route.h"

struct rule {
	char *db;
	char *table; /* NULL: the whole database */
	bool exclude;
	char *to_db;
	char *to_table;
	char **columns; /* pairs: name, new name */
	uint32_t ncolumns;
	char **drops;
	uint32_t ndrops;
	char *where; /* NULL: every row */
	char **lists[ROUTE_LISTS];
	uint32_t nlists[ROUTE_LISTS];
};

struct routes {
	struct rule *rules;
	uint32_t count;
	bool greenplum; /* the target */
};

static const char *const list_names[] = {
	[ROUTE_PRIMARY_KEY] = "primary_key",
	[ROUTE_DISTRIBUTED_BY] = "distributed_by",
};

/* Behind the character at s, of one or more bytes of UTF-8. */
static const char *
next_char(const char *s)
{
	for (s++; ((unsigned char)*s & 0xc0) == 0x80; s++)
		;
	return s;
}

/* Iterative, so that hostile patterns cost at most their length times the text's. */
bool
glob_match(const char *pattern, const char *s)
{
	const char *star = NULL, *back = NULL;

	while (*s != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			back = s;
		} else if (*pattern == '?') {
			pattern++;
			s = next_char(s);
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star != NULL) {
			pattern = star;
			s = back = next_char(back);
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool
is_pattern(const char *s)
{
	return s != NULL && strpbrk(s, "*?") != NULL;
}

static char *
copy(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

static bool
is_empty(const char *s)
{
	return s != NULL && *s == '\0';
}

static enum rc
check_names(const struct rule *r, size_t i, struct err *e)
{
	if (r->db == NULL || *r->db == '\0')
		return err_set(e, RC_CONFIG, "objects[%zu] names no database", i);
	if (is_empty(r->table) || is_empty(r->to_db) || is_empty(r->to_table))
		return err_set(e, RC_CONFIG,
			"objects[%zu]: a name is empty; leave the setting out instead", i);
	if (r->exclude && (r->to_db != NULL || r->to_table != NULL || r->ncolumns != 0 ||
				  r->ndrops != 0 || r->where != NULL))
		return err_set(e, RC_CONFIG,
			"objects[%zu]: what is excluded has no name, columns or rows at the target",
			i);
	if (r->to_table != NULL && (r->table == NULL || is_pattern(r->table)))
		return err_set(e, RC_CONFIG,
			"objects[%zu]: to_table wants one table, not a pattern or a whole database",
			i);
	if (r->to_db != NULL && is_pattern(r->db))
		return err_set(e, RC_CONFIG,
			"objects[%zu]: to_database wants one database, not a pattern", i);
	return RC_OK;
}

static bool
is_dropped(const struct rule *r, const char *column)
{
	for (uint32_t i = 0; i < r->ndrops; i++)
		if (strcmp(r->drops[i], column) == 0)
			return true;
	return false;
}

static enum rc
check_column(const struct rule *r, size_t i, uint32_t k, struct err *e)
{
	const char *name = r->columns[k * 2], *to = r->columns[k * 2 + 1];

	if (*name == '\0' || *to == '\0')
		return err_set(e, RC_CONFIG, "objects[%zu]: a column's name is empty", i);
	if (is_dropped(r, name))
		return err_set(e, RC_CONFIG,
			"objects[%zu]: the column \"%s\" is renamed and dropped", i, name);
	for (uint32_t n = 0; n < k; n++) {
		if (strcmp(r->columns[n * 2], name) == 0)
			return err_set(e, RC_CONFIG,
				"objects[%zu]: the column \"%s\" is renamed twice", i, name);
		if (strcmp(r->columns[n * 2 + 1], to) == 0)
			return err_set(e, RC_CONFIG,
				"objects[%zu]: two columns are renamed to \"%s\"", i, to);
	}
	return RC_OK;
}

static enum rc
check_where(const struct rule *r, size_t i, struct err *e)
{
	struct filter_node *root;
	enum rc rc = r->where != NULL ? filter_parse(r->where, &root, e) : RC_OK;

	if (r->where != NULL && rc == RC_OK)
		filter_node_free(root);
	return rc == RC_OK ? rc : err_context(e, "objects[%zu]", i);
}

static enum rc
check_rule(const struct rule *r, size_t i, struct err *e)
{
	enum rc rc = check_names(r, i, e);

	if (rc == RC_OK)
		rc = check_where(r, i, e);
	for (uint32_t k = 0; k < r->ncolumns && rc == RC_OK; k++)
		rc = check_column(r, i, k, e);
	return rc;
}

/* By database, then table, a whole database first. */
static int
compare_rules(const void *a, const void *b)
{
	const struct rule *x = *(const struct rule *const *)a, *y = *(const struct rule *const *)b;
	int d = strcmp(x->db, y->db);

	if (d == 0 && x->table != NULL && y->table != NULL)
		d = strcmp(x->table, y->table);
	else if (d == 0)
		d = (x->table != NULL) - (y->table != NULL);
	return d;
}

/* Each entry says something of its own, and one at least takes something in. */
static enum rc
check_rules(const struct routes *r, struct err *e)
{
	const struct rule **sorted = xcalloc(r->count, sizeof(struct rule *));
	enum rc rc = RC_OK;
	bool any = false;

	for (uint32_t i = 0; i < r->count; i++) {
		sorted[i] = &r->rules[i];
		any = any || !r->rules[i].exclude;
	}
	qsort(sorted, r->count, sizeof(struct rule *), compare_rules);
	for (uint32_t i = 1; i < r->count && rc == RC_OK; i++)
		if (compare_rules(&sorted[i - 1], &sorted[i]) == 0) {
			const struct rule *x = sorted[i - 1], *y = sorted[i];

			rc = err_set(e, RC_CONFIG,
				"objects[%zu] and objects[%zu] name the same: %s.%s",
				(size_t)((x < y ? x : y) - r->rules),
				(size_t)((x < y ? y : x) - r->rules), x->db,
				x->table != NULL ? x->table : "*");
		}
	if (rc == RC_OK && !any)
		rc = err_set(
			e, RC_CONFIG, "objects only excludes: there is nothing to synchronize");
	free(sorted);
	return rc;
}

static void
read_list(const struct conf *c, size_t i, const char *name, char ***out, uint32_t *nout)
{
	char path[64];
	size_t n;

	snprintf(path, sizeof path, "objects[%zu].%s", i, name);
	n = conf_count(c, path);
	*out = xcalloc(n, sizeof **out);
	for (size_t k = 0; k < n; k++)
		(*out)[(*nout)++] = xstrdup(conf_list(c, path, k));
}

static enum rc
read_rule(const struct conf *c, size_t i, struct rule *r, struct err *e)
{
	const char *exclude = conf_strf(c, "objects[%zu].exclude", i);
	char path[64];
	size_t n;

	r->db = copy(conf_strf(c, "objects[%zu].database", i));
	r->table = copy(conf_strf(c, "objects[%zu].table", i));
	r->where = copy(conf_strf(c, "objects[%zu].where", i));
	r->exclude = exclude != NULL && strcmp(exclude, "true") == 0;
	r->to_db = copy(conf_strf(c, "objects[%zu].to_database", i));
	r->to_table = copy(conf_strf(c, "objects[%zu].to_table", i));
	snprintf(path, sizeof path, "objects[%zu].columns", i);
	n = conf_count(c, path);
	r->columns = xcalloc(n * 2, sizeof *r->columns);
	for (size_t k = 0; k < n; k++) {
		const char *a, *b;

		conf_pair(c, path, k, &a, &b);
		r->columns[r->ncolumns * 2] = xstrdup(a);
		r->columns[r->ncolumns++ * 2 + 1] = xstrdup(b);
	}
	read_list(c, i, "drop_columns", &r->drops, &r->ndrops);
	for (size_t k = 0; k < ROUTE_LISTS; k++)
		read_list(c, i, list_names[k], &r->lists[k], &r->nlists[k]);
	return check_rule(r, i, e);
}

enum rc
routes_new(const struct conf *c, struct routes **out, struct err *e)
{
	struct routes *r = xcalloc(1, sizeof *r);
	size_t n = conf_count(c, "objects");
	enum rc rc = RC_OK;

	*out = NULL;
	r->greenplum = conf_is(c, "target.kind", "postgresql") &&
		       conf_is(c, "target.dialect", "greenplum");
	if (n == 0)
		rc = err_set(e, RC_CONFIG, "objects is empty: there is nothing to synchronize");
	r->rules = xcalloc(n, sizeof *r->rules);
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = read_rule(c, i, &r->rules[r->count++], e);
	if (rc == RC_OK)
		rc = check_rules(r, e);
	if (rc != RC_OK) {
		routes_free(r);
		return rc;
	}
	*out = r;
	return RC_OK;
}

static void
free_texts(char **texts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void
rule_release(struct rule *u)
{
	free(u->db);
	free(u->table);
	free(u->to_db);
	free(u->to_table);
	free(u->where);
	free_texts(u->columns, u->ncolumns * 2);
	free_texts(u->drops, u->ndrops);
	for (size_t k = 0; k < ROUTE_LISTS; k++)
		free_texts(u->lists[k], u->nlists[k]);
}

void
routes_free(struct routes *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->count; i++)
		rule_release(&r->rules[i]);
	free(r->rules);
	free(r);
}

void
routes_check(const struct conf *c, void (*cb)(void *arg, const char *text), void *arg)
{
	size_t n = conf_count(c, "objects");
	struct routes *r = NULL;
	struct err e = {0};
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		struct rule u = {0};

		if (read_rule(c, i, &u, &e) != RC_OK) {
			cb(arg, e.text);
			good = false;
		}
		rule_release(&u);
	}
	if (good && routes_new(c, &r, &e) != RC_OK)
		cb(arg, e.text);
	routes_free(r);
}

/* How exactly a rule names the table (NULL: the database as a whole); 0: not at all. */
static unsigned
rank(const struct rule *u, const char *db, const char *table)
{
	if (!glob_match(u->db, db))
		return 0;
	if (u->table == NULL)
		return is_pattern(u->db) ? 1 : 2;
	if (table == NULL || !glob_match(u->table, table))
		return 0;
	return (is_pattern(u->table) ? 3 : 5) + !is_pattern(u->db);
}

/* The most specific entry that takes the table in; NULL if none does or any leaves it out. */
static const struct rule *
rule_of(const struct routes *r, const char *db, const char *table)
{
	const struct rule *best = NULL;
	unsigned high = 0;

	for (uint32_t i = 0; i < r->count; i++) {
		unsigned k = rank(&r->rules[i], db, table);

		if (k != 0 && r->rules[i].exclude)
			return NULL;
		if (k > high) {
			high = k;
			best = &r->rules[i];
		}
	}
	return best;
}

bool
routes_table(const struct routes *r, const char *db, const char *table)
{
	return rule_of(r, db, table) != NULL;
}

bool
routes_database(const struct routes *r, const char *db)
{
	const struct rule *u = rule_of(r, db, NULL);

	return u != NULL && u->table == NULL;
}

bool
routes_touches(const struct routes *r, const char *db)
{
	bool any = false;

	for (uint32_t i = 0; i < r->count; i++) {
		const struct rule *u = &r->rules[i];

		if (!glob_match(u->db, db))
			continue;
		if (u->exclude && u->table == NULL)
			return false;
		any = any || !u->exclude;
	}
	return any;
}

const char *
routes_target_db(const struct routes *r, const char *db)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->rules[i].to_db != NULL && !r->rules[i].exclude &&
			r->rules[i].table == NULL && strcmp(r->rules[i].db, db) == 0)
			return r->rules[i].to_db;
	return db;
}

const char *
routes_table_db(const struct routes *r, const char *db, const char *table)
{
	const struct rule *u = rule_of(r, db, table);

	return u != NULL && u->to_db != NULL ? u->to_db : routes_target_db(r, db);
}

const char *
routes_target_table(const struct routes *r, const char *db, const char *table)
{
	const struct rule *u = rule_of(r, db, table);

	return u != NULL && u->to_table != NULL ? u->to_table : table;
}

const char *
routes_column(const struct routes *r, const char *db, const char *table, const char *column)
{
	const struct rule *u = rule_of(r, db, table);

	if (u != NULL && is_dropped(u, column))
		return NULL;
	for (uint32_t i = 0; u != NULL && i < u->ncolumns; i++)
		if (strcmp(u->columns[i * 2], column) == 0)
			return u->columns[i * 2 + 1];
	return column;
}

/* Spec S4.3, by the beginnings of native types; arrays by their end. */
bool
routes_lacks_type(const struct routes *r, const struct column *c)
{
	static const char *const types[] = {
		"uuid", "tsquery", "tsvector", "txid_snapshot", "bit", "geometry"};
	const char *name = c->native != NULL ? c->native : "";
	size_t schema = strcspn(name, ".("), n;

	if (!r->greenplum)
		return false;
	if (name[schema] == '.')
		name += schema + 1;
	n = strlen(name);
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (strncmp(name, types[i], strlen(types[i])) == 0)
			return true;
	return c->type == TYPE_BIT || c->type == TYPE_GEOMETRY ||
	       (n > 2 && strcmp(name + n - 2, "[]") == 0);
}

struct table *
routes_pick(const struct routes *r, const struct table *t, uint32_t *pick)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->ncolumns; i++) {
		const struct column *c = &t->columns[i];

		if (!c->generated && !routes_lacks_type(r, c) &&
			routes_column(r, t->db, t->name, c->name) != NULL)
			pick[n++] = i;
	}
	return table_pick(t, pick, n);
}

uint32_t
routes_list(const struct routes *r, const char *db, const char *table, enum route_list which,
	const char *const **names)
{
	const struct rule *u = rule_of(r, db, table);

	*names = u != NULL ? (const char *const *)u->lists[which] : NULL;
	return u != NULL ? u->nlists[which] : 0;
}

const char *
routes_where(const struct routes *r, const char *db, const char *table)
{
	const struct rule *u = rule_of(r, db, table);

	return u != NULL ? u->where : NULL;
}

bool
routes_where_any(const struct routes *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->rules[i].where != NULL)
			return true;
	return false;
}

bool
routes_rename(const struct routes *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->rules[i].to_db != NULL || r->rules[i].to_table != NULL ||
			r->rules[i].ncolumns != 0 || r->rules[i].ndrops != 0)
			return true;
	return false;
}
