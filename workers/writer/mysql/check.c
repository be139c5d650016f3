/* check.c - the precheck of a MySQL target (spec S8.1): each item with its cause and remedy. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mysql/quote.h"
#include "common/mysql/rights.h"
#include "workers/writer/mysql/sink.h"

#define PERMISSIONS "Destination database permissions"
#define CONFLICT "Schema name conflict"
#define MANY 20 /* nobody reads more of the same */
#define EXISTENCE "Database existence"
#define ROW_RIGHTS "SELECT,INSERT,UPDATE,DELETE"
#define DDL_RIGHTS \
	"CREATE,DROP,ALTER,INDEX,REFERENCES,CREATE VIEW,SHOW VIEW,CREATE ROUTINE,ALTER ROUTINE"

/* The target's database of an entry of `objects`; NULL: a pattern. */
static const char *
target_db(const struct mysql_sink *s, size_t i)
{
	const char *db = conf_strf(s->env.conf, "objects[%zu].database", i),
		   *table = conf_strf(s->env.conf, "objects[%zu].table", i);

	if (db == NULL || strpbrk(db, "*?") != NULL)
		return NULL;
	return table != NULL && strpbrk(table, "*?") == NULL
		       ? routes_table_db(s->env.routes, db, table)
		       : routes_target_db(s->env.routes, db);
}

static const char *
rights_wanted(const struct mysql_sink *s)
{
	return conf_is(s->env.conf, "triggers", "copy") ? ROW_RIGHTS "," DDL_RIGHTS ",TRIGGER"
							: ROW_RIGHTS "," DDL_RIGHTS;
}

/* The statements that an administrator runs where the account may not. */
static void
print_sql(struct mysql_sink *s, bool connected, struct checks *out)
{
	struct buf b, account;
	struct err ignored;

	buf_init(&b);
	buf_init(&account);
	if (!connected || rights_account(&s->main, &account, &ignored) != RC_OK) {
		buf_clear(&account);
		buf_printf(&account, "'%s'@'%%'", conf_str(s->env.conf, "target.user"));
	}
	buf_printf(&b, "-- at the target\nCREATE DATABASE IF NOT EXISTS %s;\n", s->state);
	for (size_t i = 0; i < sink_state_count(); i++) {
		sink_state_sql(s, i, &b);
		buf_puts(&b, ";\n");
	}
	buf_printf(&b, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s.* TO %s;\n", s->state,
		buf_text(&account));
	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++) {
		const char *db = target_db(s, i);

		buf_printf(&b, "GRANT %s ON ", rights_wanted(s));
		if (db != NULL)
			mysql_quote_name(&b, db);
		else
			buf_putc(&b, '*');
		buf_printf(&b, ".* TO %s;\n", buf_text(&account));
	}
	buf_release(&account);
	out->sql = (char *)b.data;
}

static void
lacks_right(
	const struct mysql_sink *s, struct checks *out, enum check_result result, const char *what)
{
	char *remedy = xasprintf(
		"let an administrator run what `syncline check --sql %s` prints", s->env.channel);

	checks_add(out, result, PERMISSIONS, remedy, "%s", what);
	free(remedy);
}

static bool
check_state(struct mysql_sink *s, struct checks *out)
{
	struct err e;

	if (client_run(&s->main, &e, "SELECT 1 FROM %s.checkpoint LIMIT 1", s->state) == RC_OK ||
		client_run(&s->main, &e, "CREATE DATABASE IF NOT EXISTS %s", s->state) == RC_OK)
		return true;
	err_context(&e, "the account may not make our own tables in %s", s->state);
	lacks_right(s, out, CHECK_FAIL, e.text);
	return false;
}

static bool
check_database(struct mysql_sink *s, const char *db, struct checks *out)
{
	struct buf missing;
	bool certain, good;
	struct err e;

	buf_init(&missing);
	if (rights_missing(&s->main, db, rights_wanted(s), &missing, &certain, &e) != RC_OK) {
		checks_add(out, CHECK_WARN, PERMISSIONS, "look at SHOW GRANTS yourself",
			"the account's rights cannot be told: %s", e.text);
		buf_release(&missing);
		return false;
	}
	good = missing.len == 0;
	if (!good) {
		char *what = xasprintf("the account lacks %s on %s at the %s%s", buf_text(&missing),
			db != NULL ? db : "*.*", s->main.name, certain ? "" : ", unless by a role");

		lacks_right(s, out, certain ? CHECK_FAIL : CHECK_WARN, what);
		free(what);
	}
	buf_release(&missing);
	return good;
}

static void
check_rights(struct mysql_sink *s, struct checks *out)
{
	bool good = check_state(s, out);

	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++)
		good = check_database(s, target_db(s, i), out) && good;
	if (good)
		checks_pass(out, PERMISSIONS);
}

/* ---- what the source selects, here ---- */

static bool
has_begun(struct mysql_sink *s)
{
	char *known = NULL;
	struct err ignored;
	struct buf b;
	bool begun;

	buf_init(&b);
	client_quote(&s->main, &b, s->env.channel, strlen(s->env.channel));
	begun = client_value(&s->main, &known, &ignored,
			"SELECT 1 FROM %s.checkpoint WHERE applied IS NOT NULL AND channel = %s",
			s->state, buf_text(&b)) == RC_OK &&
		known != NULL;
	buf_release(&b);
	free(known);
	return begun;
}

struct names {
	char **all; /* "db\ntable", sorted; also "db" of every database */
	size_t count;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
knows(const struct names *n, const char *name)
{
	return n->count != 0 && bsearch(&name, n->all, n->count, sizeof *n->all, by_text) != NULL;
}

static bool
knows_table(const struct names *n, const char *db, const char *table)
{
	char *name = xasprintf("%s\n%s", db, table);
	bool known = knows(n, name);

	free(name);
	return known;
}

static enum rc
read_names(struct mysql_sink *s, struct names *n, struct err *e, const char *query)
{
	MYSQL_RES *res;
	MYSQL_ROW row;
	enum rc rc = client_query(&s->main, &res, e, "%s", query);

	if (rc != RC_OK)
		return rc;
	n->all = xcalloc((size_t)mysql_num_rows(res) + 1, sizeof *n->all);
	while ((row = mysql_fetch_row(res)) != NULL)
		n->all[n->count++] = xstrdup(row[0]);
	mysql_free_result(res);
	qsort(n->all, n->count, sizeof *n->all, by_text);
	return RC_OK;
}

static void
names_release(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->all[i]);
	free(n->all);
}

static bool
is_empty(struct mysql_sink *s, const char *db, const char *table)
{
	char *row = NULL;
	struct err ignored;
	struct buf b;
	bool empty;

	buf_init(&b);
	mysql_quote_table(&b, db, table);
	empty = client_value(&s->main, &row, &ignored, "SELECT 1 FROM %s LIMIT 1", buf_text(&b)) ==
			RC_OK &&
		row == NULL;
	buf_release(&b);
	free(row);
	return empty;
}

static bool
check_existing(struct mysql_sink *s, const struct found_table *t, bool there, struct checks *out)
{
	const char *db = routes_table_db(s->env.routes, t->db, t->name),
		   *name = routes_target_table(s->env.routes, t->db, t->name);
	bool makes = conf_has_word(s->env.conf, "initial", "schema"),
	     intercepts = conf_is(s->env.conf, "existing", "intercept");

	if (makes && intercepts && there)
		checks_add(out, CHECK_FAIL, CONFLICT, SINK_INTERCEPT_REMEDY,
			"target table %s.%s exists already (source table %s.%s) at the %s", db,
			name, t->db, t->name, s->main.name);
	else if (!makes && !there)
		checks_add(out, CHECK_FAIL, CONFLICT, sink_create_remedy(s->env.conf),
			"target table %s.%s does not exist (source table %s.%s) at the %s", db,
			name, t->db, t->name, s->main.name);
	else if (!makes && intercepts && conf_has_word(s->env.conf, "initial", "data") &&
		 !is_empty(s, db, name))
		checks_add(out, CHECK_FAIL, CONFLICT,
			"empty it, or keep its rows: existing = \"ignore\"",
			"target table %s.%s has rows (source table %s.%s) at the %s", db, name,
			t->db, t->name, s->main.name);
	else
		return true;
	return false;
}

/* A database that is missing will be made, if the account may. */
static bool
check_existence(struct mysql_sink *s, const char *db, struct checks *out)
{
	struct buf missing;
	struct err ignored;
	bool certain, can;
	char *remedy;

	buf_init(&missing);
	can = rights_missing(&s->main, db, "CREATE", &missing, &certain, &ignored) != RC_OK ||
	      missing.len == 0 || !certain;
	buf_release(&missing);
	if (can)
		return true;
	remedy = xasprintf("at the target, as an administrator: CREATE DATABASE `%s`; or grant the "
			   "account CREATE on it",
		db);
	checks_add(out, CHECK_FAIL, EXISTENCE, remedy,
		"the database %s is not at the %s, and the account may not create it", db,
		s->main.name);
	free(remedy);
	return false;
}

static bool
check_charsets(struct mysql_sink *s, const struct found_table *t, const struct names *sets,
	struct checks *out)
{
	bool good = true;
	char *list = xstrdup(t->charsets), *rest = list, *set;

	while ((set = strsep(&rest, ",")) != NULL) {
		char *remedy;

		if (*set == '\0' || knows(sets, set))
			continue;
		remedy = xasprintf("at the source: ALTER TABLE %s.%s CONVERT TO CHARACTER SET "
				   "utf8mb4; or leave the table out",
			t->db, t->name);
		checks_add(out, CHECK_FAIL, "Character set", remedy,
			"source table %s.%s has the character set %s, which the %s does not know",
			t->db, t->name, set, s->main.name);
		free(remedy);
		good = false;
	}
	free(list);
	return good;
}

static enum rc
check_found(struct mysql_sink *s, struct checks *out, struct err *e)
{
	const struct found *f = s->env.found;
	struct names tables = {0}, databases = {0}, sets = {0};
	bool exist = true, known = true, begun = has_begun(s);
	uint32_t conflicts = 0;
	enum rc rc = read_names(s, &tables, e,
		"SELECT CONCAT(TABLE_SCHEMA, '\n', TABLE_NAME) FROM information_schema.TABLES");

	if (rc == RC_OK)
		rc = read_names(
			s, &databases, e, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA");
	if (rc == RC_OK)
		rc = read_names(s, &sets, e,
			"SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS");
	for (uint32_t i = 0; i < f->count && rc == RC_OK; i++) {
		const struct found_table *t = &f->tables[i];
		const char *db = routes_table_db(s->env.routes, t->db, t->name);
		bool same = i > 0 && strcmp(f->tables[i - 1].db, t->db) == 0;

		if (!same && !knows(&databases, db))
			exist = check_existence(s, db, out) && exist;
		if (!begun && conflicts < MANY)
			conflicts += !check_existing(s, t,
				knows_table(&tables, db,
					routes_target_table(s->env.routes, t->db, t->name)),
				out);
		known = check_charsets(s, t, &sets, out) && known;
	}
	if (rc == RC_OK && exist)
		checks_pass(out, EXISTENCE);
	if (rc == RC_OK)
		checks_pass_rest(out, CONFLICT);
	if (rc == RC_OK && known)
		checks_pass(out, "Character set");
	names_release(&tables);
	names_release(&databases);
	names_release(&sets);
	return rc;
}

enum rc
sink_check(struct sink *base, bool want_sql, struct checks *out, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	struct err failure;

	if (client_open(&s->main, s->env.conf, "target", SINK_SQL_MODE, &failure) != RC_OK) {
		checks_add(out, CHECK_FAIL,
			client_is_old_password(failure.code) ? "Format of MySQL database password"
							     : "Destination database connectivity",
			failure.remedy, "%s", failure.text);
		if (want_sql)
			print_sql(s, false, out);
		return RC_OK;
	}
	if (want_sql)
		print_sql(s, true, out);
	checks_pass(out, "Destination database connectivity");
	check_rights(s, out);
	return s->env.found->count != 0 ? check_found(s, out, e) : RC_OK;
}
