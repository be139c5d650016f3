/* conf_check.c - see conf_check.h. */
#include "common/compat.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "supervisor/conf_check.h"
#include "supervisor/conf_scan.h"

#define MAX_ID 64

static const char *const ends[] = {"source", "target"};

/* What a check looks at. */
struct look {
	const struct conf *conf;
	const struct option *rows;
	const char *file;
	struct conf_notes *notes;
};

unsigned
conf_line(const struct conf *c, const char *file, const char *path)
{
	const char *where = conf_where(c, path);
	size_t n = strlen(file);
	unsigned line = 0;

	if (strncmp(where, file, n) == 0 && where[n] == ':')
		line = (unsigned)strtoul(where + n + 1, NULL, 10);
	return line != 0 ? line : 1;
}

static unsigned
object_line(const struct conf *c, const char *file, size_t i)
{
	char path[64];

	snprintf(path, sizeof path, "objects[%zu].database", i);
	return conf_line(c, file, path);
}

/* ---- one channel ---- */

/* "mysql" for "source.host" where source.kind says so; what objects say is for the target; NULL:
 * the path is of no end. */
static const char *
kind_of(const struct conf *c, const char *path)
{
	if (strncmp(path, "objects[", 8) == 0)
		return conf_str(c, "target.kind");
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t n = strlen(ends[i]);

		if (strncmp(path, ends[i], n) == 0 && path[n] == '.')
			return conf_strf(c, "%s.kind", ends[i]);
	}
	return NULL;
}

static bool
knows(const struct option *o, const char *kind)
{
	return o->kinds == NULL || kind == NULL || option_word(o->kinds, kind);
}

static void
check_setting_cb(void *arg, const char *path, const char *value, const char *where)
{
	const struct look *l = arg;
	const struct option *o = option_find(l->rows, path);
	const char *kind = kind_of(l->conf, path);

	(void)value;
	if (strcmp(where, "default") == 0)
		return;
	if (!knows(o, kind))
		conf_note_add(l->notes, l->file, conf_line(l->conf, l->file, path), false,
			"\"%s\" means nothing for kind = \"%s\"", path, kind);
}

/* A trigger is text in its server's own language. */
static void
check_triggers(const struct conf *c, const char *file, struct conf_notes *notes)
{
	const char *from = conf_str(c, "source.kind"), *to = conf_str(c, "target.kind");

	if (conf_is(c, "triggers", "copy") && from != NULL && to != NULL &&
		(strcmp(from, to) != 0 ||
			(strcmp(to, "mysql") != 0 && strcmp(to, "postgresql") != 0)))
		conf_note_add(notes, file, conf_line(c, file, "triggers"), false,
			"triggers = \"copy\" is for one kind at both ends, \"mysql\" or "
			"\"postgresql\"");
}

/* Others have no snapshot that several connections share. */
static void
check_snapshot(const struct conf *c, const char *file, struct conf_notes *notes)
{
	const char *from = conf_str(c, "source.kind");

	if (conf_is(c, "snapshot", "held") && from != NULL && strcmp(from, "postgresql") != 0)
		conf_note_add(notes, file, conf_line(c, file, "snapshot"), false,
			"snapshot = \"held\" is for source.kind = \"postgresql\"");
}

/* ---- Greenplum (spec S6.2, S6.4, S6.10) ---- */

/* What PostgreSQL cannot carry there, and is not asked to by default. */
static const struct {
	const char *path, *word, *instead;
} beyond_greenplum[] = {
	{"initial", "schema", "initial = [\"data\"], and make the tables there by hand"},
	{"ddl", "carry",
		"ddl = \"exclude\", and run each statement there, too, before the source runs it"},
};

static bool
is_greenplum(const struct conf *c)
{
	return conf_is(c, "target.kind", "postgresql") && conf_is(c, "target.dialect", "greenplum");
}

static bool
is_from_postgresql(const struct conf *c)
{
	return conf_is(c, "source.kind", "postgresql");
}

/* New tables want a key and a distribution: each is named. */
static void
check_greenplum_objects(const struct conf *c, const char *file, struct conf_notes *notes)
{
	for (size_t i = 0; i < conf_count(c, "objects"); i++) {
		const char *table = conf_strf(c, "objects[%zu].table", i),
			   *exclude = conf_strf(c, "objects[%zu].exclude", i);

		if ((table == NULL || strpbrk(table, "*?") != NULL) &&
			(exclude == NULL || strcmp(exclude, "true") != 0))
			conf_note_add(notes, file, object_line(c, file, i), false,
				"objects[%zu]: a Greenplum target takes tables, each by its name: "
				"set table",
				i);
	}
}

static void
refuse_lists(const struct conf *c, const char *file, struct conf_notes *notes)
{
	static const char *const lists[] = {"primary_key", "distributed_by"};

	for (size_t i = 0; i < conf_count(c, "objects"); i++)
		for (size_t k = 0; k < COUNT_OF(lists); k++) {
			char path[64];

			snprintf(path, sizeof path, "objects[%zu].%s", i, lists[k]);
			if (conf_has(c, path) && conf_is(c, "target.kind", "postgresql"))
				conf_note_add(notes, file, conf_line(c, file, path), false,
					"%s is for target.dialect = \"greenplum\"", path);
		}
}

static bool
asks_for(const struct conf *c, const char *path, const char *word)
{
	return option_find(channel_options(), path)->type == OPTION_LIST
		       ? conf_has_word(c, path, word)
		       : conf_is(c, path, word);
}

static void
check_greenplum(const struct conf *c, const char *file, struct conf_notes *notes)
{
	if (!is_greenplum(c)) {
		refuse_lists(c, file, notes);
		return;
	}
	check_greenplum_objects(c, file, notes);
	for (size_t i = 0; i < COUNT_OF(beyond_greenplum) && is_from_postgresql(c); i++) {
		const char *path = beyond_greenplum[i].path;

		if (conf_has(c, path) && asks_for(c, path, beyond_greenplum[i].word))
			conf_note_add(notes, file, conf_line(c, file, path), false,
				"%s = \"%s\" is not for PostgreSQL to Greenplum: set %s", path,
				beyond_greenplum[i].word, beyond_greenplum[i].instead);
	}
}

/* Of what the file does not say. */
void
conf_settle(struct conf *c)
{
	struct err ignored;

	if (!is_greenplum(c) || !is_from_postgresql(c))
		return;
	if ((!conf_has(c, "initial") && conf_append(c, "initial", "data", NULL,
						"the pair's default", &ignored) != RC_OK) ||
		(!conf_has(c, "ddl") &&
			conf_set(c, "ddl", "exclude", "the pair's default", &ignored) != RC_OK))
		bug("a pair's default is no value of its setting");
}

static void
check_rings(const struct conf *c, const char *file, struct conf_notes *notes)
{
	static const char *const paths[] = {"ring_size", "load_ring_size"};

	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		uint64_t n = conf_size(c, paths[i]);

		if ((n & (n - 1)) != 0)
			conf_note_add(notes, file, conf_line(c, file, paths[i]), false,
				"%s must be a power of two: 1MiB, 2MiB, 4MiB, ...", paths[i]);
	}
}

/* A certificate of ours has a key, and the reverse. */
static void
check_tls(const struct conf *c, const char *end, const char *file, struct conf_notes *notes)
{
	const char *cert = conf_strf(c, "%s.tls_cert", end), *key = conf_strf(c, "%s.tls_key", end);
	char path[64];

	if ((cert == NULL) == (key == NULL))
		return;
	snprintf(path, sizeof path, "%s.%s", end, cert != NULL ? "tls_cert" : "tls_key");
	conf_note_add(notes, file, conf_line(c, file, path), false, "%s wants %s.%s beside it",
		path, end, cert != NULL ? "tls_key" : "tls_cert");
}

void
conf_check_channel(const struct conf *c, const char *file, struct conf_notes *notes)
{
	struct look l = {.conf = c, .rows = channel_options(), .file = file, .notes = notes};

	conf_each(c, check_setting_cb, &l);
	check_triggers(c, file, notes);
	check_snapshot(c, file, notes);
	check_greenplum(c, file, notes);
	check_rings(c, file, notes);
	for (size_t i = 0; i < COUNT_OF(ends); i++)
		check_tls(c, ends[i], file, notes);
}

void
conf_check_id(const char *id, const struct conf *c, const char *file, struct conf_notes *notes)
{
	bool good = isalnum((unsigned char)*id);

	for (const char *p = id; *p != '\0'; p++)
		good = good && (isalnum((unsigned char)*p) || strchr("._-", *p) != NULL);
	if (!good || strlen(id) > MAX_ID)
		conf_note_add(notes, file, conf_line(c, file, "id"), false,
			"the id \"%s\" wants 1 to %d letters, digits, \".\", \"_\" and \"-\", "
			"a letter or digit first%s",
			id, MAX_ID, conf_has(c, "id") ? "" : "; set id, or name the file so");
}

/* ---- secrets ---- */

/* By all, or by a group that is not ours. */
static void
warn_readable(const char *secret, const char *file, unsigned line, struct conf_notes *notes)
{
	struct stat st;

	if (stat(secret, &st) == 0 &&
		((st.st_mode & S_IROTH) != 0 ||
			((st.st_mode & S_IRGRP) != 0 && st.st_gid != getegid())))
		conf_note_add(notes, file, line, true,
			"others can read the password in %s: chmod 600 %s", secret, secret);
}

/* Cuts one newline off the end; false if more than one line is left, or nothing. */
static bool
one_line(char *text, size_t len)
{
	if (strlen(text) != len)
		return false;
	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (len > 0 && text[len - 1] == '\r')
		text[--len] = '\0';
	return len > 0 && strpbrk(text, "\r\n") == NULL;
}

/* The file's secret becomes the end's password; `from` is the setting that named the file. */
static void
read_secret(struct conf *c, const char *end, const char *secret, const char *from, const char *file,
	struct conf_notes *notes)
{
	unsigned line = conf_line(c, file, from);
	struct err e = {0};
	char path[64];
	size_t len;
	char *text = conf_slurp(secret, &len, &e);

	snprintf(path, sizeof path, "%s.password", end);
	if (text == NULL)
		conf_note_add(notes, file, line, false, "%s: %s", from, e.text);
	else if (!one_line(text, len))
		conf_note_add(notes, file, line, false,
			"%s: %s must hold the password in one line and nothing else", from, secret);
	else if (conf_set(c, path, text, secret, &e) != RC_OK)
		conf_note_add(notes, file, line, false, "%s", e.text);
	else
		warn_readable(secret, file, line, notes);
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
}

static void
read_credential(struct conf *c, const char *end, const char *name, const char *file,
	struct conf_notes *notes)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[64], *secret;

	snprintf(path, sizeof path, "%s.credential", end);
	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL) {
		conf_note_add(notes, file, conf_line(c, file, path), false,
			"%s = \"%s\" is not the name of a credential", path, name);
	} else if (dir == NULL) {
		conf_note_add(notes, file, conf_line(c, file, path), false,
			"%s: there is no CREDENTIALS_DIRECTORY (systemd gives it by "
			"LoadCredential=)",
			path);
	} else {
		secret = xasprintf("%s/%s", dir, name);
		read_secret(c, end, secret, path, file, notes);
		free(secret);
	}
}

static void
take_password(struct conf *c, const char *end, const char *file, struct conf_notes *notes)
{
	const char *secret = conf_strf(c, "%s.password_file", end),
		   *credential = conf_strf(c, "%s.credential", end);
	char password[64], from[64];

	snprintf(password, sizeof password, "%s.password", end);
	snprintf(from, sizeof from, "%s.password_file", end);
	if (conf_has(c, password) + (secret != NULL) + (credential != NULL) > 1) {
		conf_note_add(notes, file, conf_line(c, file, end), false,
			"%s: give one of password, password_file and credential", end);
	} else if (conf_has(c, password)) {
		warn_readable(file, file, conf_line(c, file, password), notes);
	} else if (secret != NULL) {
		read_secret(c, end, secret, from, file, notes);
	} else if (credential != NULL) {
		read_credential(c, end, credential, file, notes);
	}
}

void
conf_check_secrets(struct conf *c, const char *file, struct conf_notes *notes)
{
	for (size_t i = 0; i < COUNT_OF(ends); i++)
		take_password(c, ends[i], file, notes);
}

/* ---- objects ---- */

static bool
is_pattern(const char *name)
{
	return strpbrk(name, "*?") != NULL;
}

/* One entry of objects with its names at the target; * where nothing is said. */
struct names {
	const char *db, *table;	      /* as the file has them */
	const char *to_db, *to_table; /* at the target */
	bool exclude;
};

static struct names
names_of(const struct conf *c, const struct routes *r, size_t i)
{
	const char *exclude = conf_strf(c, "objects[%zu].exclude", i);
	struct names n = {.db = conf_strf(c, "objects[%zu].database", i),
		.table = conf_strf(c, "objects[%zu].table", i),
		.exclude = exclude != NULL && strcmp(exclude, "true") == 0};

	if (n.table == NULL)
		n.table = "*";
	n.to_db = conf_strf(c, "objects[%zu].to_database", i);
	if (n.to_db == NULL)
		n.to_db = routes_target_db(r, n.db);
	n.to_table = conf_strf(c, "objects[%zu].to_table", i);
	if (n.to_table == NULL)
		n.to_table = n.table;
	return n;
}

static bool
is_exact(const struct names *n)
{
	return !is_pattern(n->to_db) && !is_pattern(n->to_table);
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* One server by its settings: two names for it look like two. */
static bool
same_server(const struct conf *a, const char *end_a, const struct conf *b, const char *end_b)
{
	const char *x = conf_strf(a, "%s.socket", end_a), *y = conf_strf(b, "%s.socket", end_b);

	if (!same(conf_strf(a, "%s.kind", end_a), conf_strf(b, "%s.kind", end_b)) ||
		same(conf_strf(a, "%s.kind", end_a), "fake"))
		return false;
	if (x != NULL || y != NULL)
		return same(x, y);
	return strcasecmp(conf_strf(a, "%s.host", end_a), conf_strf(b, "%s.host", end_b)) == 0 &&
	       same(conf_strf(a, "%s.port", end_a), conf_strf(b, "%s.port", end_b));
}

static void
check_names(
	const struct conf *c, const struct routes *r, const char *file, struct conf_notes *notes)
{
	const char *state = conf_str(c, "state_schema");
	bool onto_itself = same_server(c, "source", c, "target");
	size_t count = conf_count(c, "objects");

	for (size_t i = 0; i < count; i++) {
		struct names n = names_of(c, r, i);

		if (n.exclude)
			continue;
		if (same(n.db, state) || same(n.to_db, state))
			conf_note_add(notes, file, object_line(c, file, i), false,
				"objects[%zu]: the database \"%s\" holds our own tables and is "
				"never synchronized; state_schema names another",
				i, state);
		if (onto_itself && same(n.db, n.to_db) && same(n.table, n.to_table))
			conf_note_add(notes, file, object_line(c, file, i), false,
				"objects[%zu]: source and target are one server: %s.%s would be "
				"written onto itself",
				i, n.db, n.table);
	}
}

static void
route_error_cb(void *arg, const char *text)
{
	const struct look *l = arg;
	size_t i = 0;

	if (strncmp(text, "objects[", 8) == 0)
		i = strtoul(text + 8, NULL, 10);
	conf_note_add(l->notes, l->file, object_line(l->conf, l->file, i), false, "%s", text);
}

void
conf_check_objects(const struct conf *c, const char *file, struct conf_notes *notes)
{
	struct look l = {.conf = c, .file = file, .notes = notes};
	struct routes *r;

	routes_check(c, route_error_cb, &l);
	if (routes_new(c, &r, NULL) != RC_OK)
		return;
	check_names(c, r, file, notes);
	routes_free(r);
}

/* ---- two channels ---- */

/* Whether two names, each of which may be a pattern, have a name in common: as far as is plain. */
static bool
meet(const char *a, const char *b)
{
	if (is_pattern(a) && is_pattern(b))
		return strcmp(a, b) == 0 || strcmp(a, "*") == 0 || strcmp(b, "*") == 0;
	return is_pattern(b) ? glob_match(b, a) : glob_match(a, b);
}

/* Whether a channel with these routes writes this very table by its entry n. */
static bool
writes(const struct routes *r, const struct names *n, const char *db, const char *table)
{
	const char *from_db = is_pattern(n->db) ? db : n->db;
	const char *from = is_pattern(n->table) ? table : n->table;

	return routes_table(r, from_db, from) && same(routes_table_db(r, from_db, from), db) &&
	       same(routes_target_table(r, from_db, from), table);
}

static bool
excludes(const struct conf *c)
{
	size_t count = conf_count(c, "objects");

	for (size_t i = 0; i < count; i++)
		if (same(conf_strf(c, "objects[%zu].exclude", i), "true"))
			return true;
	return false;
}

/* Patterns against patterns cannot be decided where something is left out. */
static bool
overlap(const struct names *x, const struct routes *rx, const struct names *y,
	const struct routes *ry, bool undecided)
{
	if (x->exclude || y->exclude || !meet(x->to_db, y->to_db) ||
		!meet(x->to_table, y->to_table))
		return false;
	if (is_exact(x))
		return writes(rx, x, x->to_db, x->to_table) && writes(ry, y, x->to_db, x->to_table);
	if (is_exact(y))
		return writes(ry, y, y->to_db, y->to_table) && writes(rx, x, y->to_db, y->to_table);
	return !undecided;
}

static void
check_tables(const struct channel_conf *a, const struct routes *ra, const struct channel_conf *b,
	const struct routes *rb, struct conf_notes *notes)
{
	bool undecided = excludes(a->conf) || excludes(b->conf);
	size_t na = conf_count(a->conf, "objects"), nb = conf_count(b->conf, "objects");

	for (size_t i = 0; i < na; i++) {
		struct names x = names_of(a->conf, ra, i);

		for (size_t k = 0; k < nb; k++) {
			struct names y = names_of(b->conf, rb, k);

			if (!overlap(&x, ra, &y, rb, undecided))
				continue;
			conf_note_add(notes, b->file, object_line(b->conf, b->file, k), false,
				"objects[%zu] writes target tables that %s:%u writes, too: map one "
				"of them to another name, set existing = \"ignore\" in both, or "
				"take "
				"away the file of one that is Completed",
				k, a->file, object_line(a->conf, a->file, i));
			return;
		}
	}
}

void
conf_check_pair(
	const struct channel_conf *a, const struct channel_conf *b, struct conf_notes *notes)
{
	struct routes *ra = NULL, *rb = NULL;

	if (strcmp(a->id, b->id) == 0)
		conf_note_add(notes, b->file, conf_line(b->conf, b->file, "id"), false,
			"the id \"%s\" is taken by %s already: set another id", b->id, a->file);
	if (!same_server(a->conf, "target", b->conf, "target"))
		return;
	if (conf_is(a->conf, "existing", "ignore") && conf_is(b->conf, "existing", "ignore"))
		return;
	if (routes_new(a->conf, &ra, NULL) == RC_OK && routes_new(b->conf, &rb, NULL) == RC_OK)
		check_tables(a, ra, b, rb, notes);
	routes_free(ra);
	routes_free(rb);
}

/* ---- the daemon ---- */

static void
check_path_cb(void *arg, const char *path, const char *value, const char *where)
{
	const struct look *l = arg;

	if (option_find(l->rows, path)->type == OPTION_PATH && *value != '/')
		conf_note_add(l->notes, l->file, conf_line(l->conf, l->file, path), false,
			"%s = \"%s\" wants a path that begins with /", path, value);
	(void)where;
}

static bool
is_mode(const char *s)
{
	return strlen(s) == 4 && *s == '0' && strspn(s, "01234567") == 4;
}

/* "off", "127.0.0.1:9187", "[::1]:9187" */
static bool
is_listen(const char *s)
{
	const char *colon = strrchr(s, ':');
	size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
	unsigned long port;

	if (strcmp(s, "off") == 0)
		return true;
	if (colon == NULL || colon == s || digits == 0 || digits > 5 || colon[1 + digits] != '\0')
		return false;
	port = strtoul(colon + 1, NULL, 10);
	return port >= 1 && port <= 65535 &&
	       (*s != '[') == (memchr(s, ':', (size_t)(colon - s)) == NULL);
}

void
conf_check_daemon(const struct conf *c, const char *file, struct conf_notes *notes)
{
	struct look l = {.conf = c, .rows = daemon_options(), .file = file, .notes = notes};

	conf_each(c, check_path_cb, &l);
	if (!is_mode(conf_str(c, "socket_mode")))
		conf_note_add(notes, file, conf_line(c, file, "socket_mode"), false,
			"socket_mode = \"%s\" wants four octal digits: \"0660\"",
			conf_str(c, "socket_mode"));
	if (!is_listen(conf_str(c, "metrics_listen")))
		conf_note_add(notes, file, conf_line(c, file, "metrics_listen"), false,
			"metrics_listen = \"%s\" wants ADDRESS:PORT or \"off\"",
			conf_str(c, "metrics_listen"));
	if (conf_ms(c, "restart_delay_min") > conf_ms(c, "restart_delay_max"))
		conf_note_add(notes, file, conf_line(c, file, "restart_delay_min"), false,
			"restart_delay_min is longer than restart_delay_max");
}
