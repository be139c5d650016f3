/* check.c - the precheck of a MySQL target (spec S8.1): each item with its cause and remedy. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"
#include "common/mysql/dialect.h"
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
	buf_printf(&b,
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES ON %s.* TO "
		"%s;\n",
		s->state, buf_text(&account));
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
lacks_right(const struct mysql_sink *s, struct checks *out, enum check_result result,
	const char *item, const char *what)
{
	char *remedy = xasprintf(
		"let an administrator run what `syncline check --sql %s` prints", s->env.channel);

	checks_add(out, result, item, remedy, "%s", what);
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
	lacks_right(s, out, CHECK_FAIL, PERMISSIONS, e.text);
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

		lacks_right(s, out, certain ? CHECK_FAIL : CHECK_WARN, PERMISSIONS, what);
		free(what);
	}
	buf_release(&missing);
	return good;
}

/* Whether our own tables can be made. */
static bool
check_rights(struct mysql_sink *s, struct checks *out)
{
	bool ours = check_state(s, out), good = ours;

	for (size_t i = 0; i < conf_count(s->env.conf, "objects"); i++)
		good = check_database(s, target_db(s, i), out) && good;
	if (good)
		checks_pass(out, PERMISSIONS);
	return ours;
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

/* ---- whether this server can have the tables: each is tried ---- */

#define DEFINITIONS "Table definitions"
#define TRIALS "syncline.trial" /* one at a time: names of constraints are a database's */

static bool
may_not(const struct err *e)
{
	static const int codes[] = {1044, 1142, 1370};

	for (size_t i = 0; i < COUNT_OF(codes); i++)
		if (e->code == codes[i])
			return true;
	return false;
}

/* The line of the definition that the server stumbled over, which it tells by its number. */
static void
add_line(const struct err *e, const struct buf *sql, struct buf *out)
{
	const char *at = strstr(e->text, "at line "), *line = buf_text(sql);
	unsigned long n = at != NULL ? strtoul(at + strlen("at line "), NULL, 10) : 0;
	size_t end;

	for (; n > 1 && line != NULL; n--)
		if ((line = strchr(line, '\n')) != NULL)
			line++;
	if (at == NULL || line == NULL || n == 0 || *line == ')')
		return;
	line += strspn(line, " ");
	end = strcspn(line, "\n");
	buf_printf(out, " (%.*s)", (int)(end - (end != 0 && line[end - 1] == ',')), line);
}

static void
report_refused(
	const struct found_table *t, const struct buf *sql, const struct err *e, struct checks *out)
{
	struct buf line;
	char *remedy = xasprintf("leave it out: { database = \"%s\"; table = \"%s\"; exclude = "
				 "true; }; or create it at "
				 "the target as that can have it, and set existing = \"ignore\"",
		t->db, t->name);

	buf_init(&line);
	add_line(e, sql, &line);
	checks_add(out, CHECK_FAIL, DEFINITIONS,
		e->remedy[0] != '\0' && !dialect_error(e->code) ? e->remedy : remedy,
		"source table %s.%s cannot be had at the target%s: %s", t->db, t->name,
		buf_text(&line), e->text);
	buf_release(&line);
	free(remedy);
}

/* *refused: what it was, unless it is the account that may not. */
static enum rc
try_table(struct mysql_sink *s, struct mysql_lane *l, const struct found_table *t, bool *refused,
	struct checks *out, struct err *e)
{
	struct buf sql, lost;
	enum rc rc;

	buf_init(&sql);
	buf_init(&lost);
	rc = sink_try_table(l, t, &sql, &lost, e);
	*refused = rc != RC_OK && rc != RC_RETRY && !may_not(e);
	if (*refused) {
		report_refused(t, &sql, e, out);
		rc = RC_OK;
	} else if (rc == RC_OK && lost.len != 0) {
		checks_add(out, CHECK_WARN, DEFINITIONS,
			"nothing need be done: rows go on without it",
			"the %s has nothing like it, and source table %s.%s goes without: %s",
			s->main.name, t->db, t->name, buf_text(&lost));
	}
	buf_release(&sql);
	buf_release(&lost);
	return rc;
}

/* Tables that are alike but for their names are tried once. */
static uint64_t
likeness(const struct found_table *t)
{
	const char *columns = strchr(t->sql, '(');

	return XXH3_64bits_withSeed(columns != NULL ? columns : "",
		columns != NULL ? strlen(columns) : 0, XXH3_64bits(t->session, strlen(t->session)));
}

static bool
is_new(uint64_t *seen, uint32_t *nseen, uint64_t hash)
{
	for (uint32_t i = 0; i < *nseen; i++)
		if (seen[i] == hash)
			return false;
	seen[(*nseen)++] = hash;
	return true;
}

static void
report_stand_ins(const struct mysql_sink *s, const struct mysql_lane *l, struct checks *out)
{
	for (const struct stand_in *c = l->stand_ins; c != NULL; c = c->next)
		if (stand_in_differs(c))
			checks_add(out, CHECK_WARN, "Collation",
				"nothing need be done: it takes no more letters for equal, at "
				"most trailing spaces",
				"the %s does not know the collation %s: %s stands for it",
				s->main.name, c->name, c->instead);
}

static enum rc
cannot_try(const struct mysql_sink *s, const struct err *e, struct checks *out)
{
	char *what = xasprintf("whether the %s can have the source's tables cannot be tried: %s",
		s->main.name, e->text);

	lacks_right(s, out, CHECK_WARN, DEFINITIONS, what);
	free(what);
	return RC_OK;
}

static enum rc
try_tables(struct mysql_sink *s, const struct found_table *const *tables, uint32_t n,
	struct checks *out, struct err *e)
{
	uint64_t *seen = xcalloc((size_t)n + 1, sizeof *seen);
	uint32_t nseen = 0, refusals = 0;
	struct mysql_lane *l = NULL;
	char *got = NULL;
	bool refused;
	enum rc rc = lane_open(s, &l, e);

	if (rc == RC_OK)
		rc = client_value(&l->c, &got, e, "SELECT GET_LOCK('" TRIALS "', 60)");
	for (uint32_t i = 0; i < n && rc == RC_OK && refusals < MANY; i++)
		if (is_new(seen, &nseen, likeness(tables[i]))) {
			rc = try_table(s, l, tables[i], &refused, out, e);
			refusals += refused;
		}
	if (rc == RC_OK) {
		report_stand_ins(s, l, out);
		checks_pass_rest(out, DEFINITIONS);
	} else if (rc != RC_RETRY) {
		rc = cannot_try(s, e, out);
	}
	free(got);
	free(seen);
	if (l != NULL)
		sink_lane_close(&l->base);
	return rc;
}

/* What this server has, for the looks at what the source selects. */
struct here {
	struct names tables, databases, sets;
	bool begun; /* the channel has been: what is there is its own */
	bool exist, known;
	uint32_t conflicts;
	uint32_t losing; /* columns */
	const struct found_table **to_make;
	uint32_t nto_make;
};

static void
check_one(struct mysql_sink *s, struct here *h, uint32_t i, struct checks *out)
{
	const struct found_table *t = &s->env.found->tables[i];
	const char *db = routes_table_db(s->env.routes, t->db, t->name);
	bool same = i > 0 && strcmp(s->env.found->tables[i - 1].db, t->db) == 0;
	bool there =
		knows_table(&h->tables, db, routes_target_table(s->env.routes, t->db, t->name));

	if (!same && !knows(&h->databases, db))
		h->exist = check_existence(s, db, out) && h->exist;
	if (!h->begun)
		sink_check_columns(&s->base, &s->env, t, there, &h->losing, out);
	if (!h->begun && h->conflicts < MANY)
		h->conflicts += !check_existing(s, t, there, out);
	if (!check_charsets(s, t, &h->sets, out))
		h->known = false;
	else if (!h->begun && !there && *t->sql != '\0')
		h->to_make[h->nto_make++] = t;
}

static enum rc
look(struct mysql_sink *s, struct here *h, struct err *e)
{
	enum rc rc;

	h->begun = has_begun(s);
	h->to_make = xcalloc((size_t)s->env.found->count + 1, sizeof *h->to_make);
	rc = read_names(s, &h->tables, e,
		"SELECT CONCAT(TABLE_SCHEMA, '\n', TABLE_NAME) FROM information_schema.TABLES");
	if (rc == RC_OK)
		rc = read_names(
			s, &h->databases, e, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA");
	if (rc == RC_OK)
		rc = read_names(s, &h->sets, e,
			"SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS");
	return rc;
}

static enum rc
check_found(struct mysql_sink *s, bool can_try, struct checks *out, struct err *e)
{
	struct here h = {.exist = true, .known = true};
	enum rc rc = look(s, &h, e);

	for (uint32_t i = 0; i < s->env.found->count && rc == RC_OK; i++)
		check_one(s, &h, i, out);
	if (rc == RC_OK && h.exist)
		checks_pass(out, EXISTENCE);
	if (rc == RC_OK)
		checks_pass_rest(out, CONFLICT);
	if (rc == RC_OK && h.known)
		checks_pass(out, "Character set");
	if (rc == RC_OK && can_try && h.nto_make != 0)
		rc = try_tables(s, h.to_make, h.nto_make, out, e);
	if (rc == RC_OK)
		checks_pass_rest(out, SINK_TYPES);
	names_release(&h.tables);
	names_release(&h.databases);
	names_release(&h.sets);
	free(h.to_make);
	return rc;
}

enum rc
sink_check(struct sink *base, bool want_sql, struct checks *out, struct err *e)
{
	struct mysql_sink *s = (struct mysql_sink *)base;
	struct err failure;
	bool ours;

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
	ours = check_rights(s, out);
	return s->env.found->count != 0 ? check_found(s, ours, out, e) : RC_OK;
}
