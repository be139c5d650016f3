/* store.c - see store.h. */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "supervisor/store.h"
#include "supervisor/store_private.h"
#include "supervisor/store_schema.h"

/* The same complaint at most this often. */
#define COMPLAIN_US 60000000u

static const char *const statements[STATEMENT_COUNT] = {
#define X(symbol, text) [SQL_##symbol] = (text),
	STATEMENT_LIST(X)
#undef X
};

#define UNWRITABLE \
	"let the directory be writable for this user, or name another one (state_dir, --state)"

/* A person must see to what may not be written; a full disk and a lock may heal. */
static enum rc
sqlite_error(const struct store *s, const char *what, struct err *e)
{
	int code = s->db != NULL ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;
	bool refused = code == SQLITE_READONLY || code == SQLITE_CANTOPEN || code == SQLITE_PERM;

	err_set(e, refused ? RC_CONFIG : RC_RETRY, "cannot %s %s: %s", what, s->path,
		s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
	if (refused)
		return err_remedy(e, UNWRITABLE);
	if (code == SQLITE_FULL || code == SQLITE_IOERR)
		return err_remedy(e, "make room in its file system");
	return e->rc;
}

/* ---- statements ---- */

static sqlite3_stmt *
prepare(struct store *s, enum statement which)
{
	sqlite3_stmt **p = &s->prepared[which];

	if (*p == NULL && sqlite3_prepare_v3(s->db, statements[which], -1,
				  SQLITE_PREPARE_PERSISTENT, p, NULL) != SQLITE_OK)
		return NULL;
	sqlite3_reset(*p);
	sqlite3_clear_bindings(*p);
	return *p;
}

/* Binds by a format: s text or NULL, i int64, d double. */
static bool
bind(sqlite3_stmt *q, const char *format, va_list ap)
{
	int ok = SQLITE_OK;

	for (int i = 1; format[i - 1] != '\0' && ok == SQLITE_OK; i++)
		switch (format[i - 1]) {
		case 's':
			ok = sqlite3_bind_text(
				q, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
			break;
		case 'i':
			ok = sqlite3_bind_int64(q, i, va_arg(ap, int64_t));
			break;
		case 'd':
			ok = sqlite3_bind_double(q, i, va_arg(ap, double));
			break;
		default:
			bug("a statement of the store binds \"%s\"", format);
		}
	return ok == SQLITE_OK;
}

bool
store_run(struct store *s, enum statement which, const char *format, ...)
{
	sqlite3_stmt *q = prepare(s, which);
	va_list ap;
	bool ok;

	va_start(ap, format);
	ok = q != NULL && bind(q, format, ap);
	va_end(ap);
	ok = ok && sqlite3_step(q) == SQLITE_DONE;
	if (q != NULL)
		sqlite3_reset(q);
	return ok;
}

sqlite3_stmt *
store_query(struct store *s, enum statement which, const char *format, ...)
{
	sqlite3_stmt *q = prepare(s, which);
	va_list ap;
	bool ok;

	va_start(ap, format);
	ok = q != NULL && bind(q, format, ap);
	va_end(ap);
	return ok ? q : NULL;
}

bool
store_next_row(sqlite3_stmt *q)
{
	if (q != NULL && sqlite3_step(q) == SQLITE_ROW)
		return true;
	if (q != NULL)
		sqlite3_reset(q);
	return false;
}

/* Borrowed until the next step. */
char *
store_text(sqlite3_stmt *q, int column)
{
	return (char *)(uintptr_t)sqlite3_column_text(q, column);
}

uint64_t
store_integer(sqlite3_stmt *q, int column)
{
	return (uint64_t)sqlite3_column_int64(q, column);
}

/* Of mirrors and history: their loss is told, not fatal. */
void
store_complain(struct store *s, const char *what)
{
	struct err e;
	uint64_t now = mono_us();

	if (s->complained_us != 0 && now - s->complained_us < COMPLAIN_US)
		return;
	s->complained_us = now;
	sqlite_error(s, what, &e);
	log_err(LOG_LVL_WARN, &e);
}

/* ---- opening ---- */

static void
close_db(struct store *s)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(s->prepared[i]);
		s->prepared[i] = NULL;
	}
	sqlite3_close(s->db);
	s->db = NULL;
}

/*
 * A step of the opening has failed. Only what the file itself holds is damage
 * (then OK with *damaged): a disk that is full or read only does a good store no
 * harm.
 */
static enum rc
judge(struct store *s, bool *damaged, struct err *e)
{
	int code = sqlite3_errcode(s->db) & 0xff;

	*damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
	return *damaged ? RC_OK : sqlite_error(s, "open the store", e);
}

static enum rc
read_version(struct store *s, int *version, bool *damaged, struct err *e)
{
	sqlite3_stmt *q = NULL;
	enum rc rc = RC_OK;

	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK ||
		sqlite3_step(q) != SQLITE_ROW)
		rc = judge(s, damaged, e);
	else
		*version = sqlite3_column_int(q, 0);
	sqlite3_finalize(q);
	return rc;
}

static enum rc
look_for_damage(struct store *s, bool *damaged, struct err *e)
{
	sqlite3_stmt *q = NULL;
	enum rc rc = RC_OK;

	if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL) != SQLITE_OK ||
		sqlite3_step(q) != SQLITE_ROW)
		rc = judge(s, damaged, e);
	else
		*damaged = strcmp(store_text(q, 0), "ok") != 0;
	sqlite3_finalize(q);
	return rc;
}

static enum rc
migrate(struct store *s, int from, struct err *e)
{
	for (int v = from; v < STORE_VERSION; v++) {
		char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
			store_step(v), v + 1);
		bool ok = sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK;

		free(sql);
		if (!ok)
			return sqlite_error(s, "bring to a newer version the store", e);
	}
	if (from != 0 && from != STORE_VERSION)
		log_info("the store %s was brought from version %d to %d", s->path, from,
			STORE_VERSION);
	return RC_OK;
}

/* OK with *damaged: the file is no store that can be used. */
static enum rc
open_db(struct store *s, bool *damaged, struct err *e)
{
	static const char settings[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
				       "PRAGMA busy_timeout = 2000;";
	int version = 0;
	enum rc rc;

	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
		SQLITE_OK)
		return sqlite_error(s, "open the store", e);
	if ((rc = read_version(s, &version, damaged, e)) != RC_OK || *damaged)
		return rc;
	if (version > STORE_VERSION) {
		err_set(e, RC_CONFIG,
			"the store %s has version %d; this program knows versions up to %d",
			s->path, version, STORE_VERSION);
		return err_remedy(e, "run the newer program that wrote it, or move the file away: "
				     "channels then go on from what their targets hold");
	}
	if ((rc = look_for_damage(s, damaged, e)) != RC_OK || *damaged)
		return rc;
	if (sqlite3_exec(s->db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return judge(s, damaged, e);
	return migrate(s, version, e);
}

static enum rc
move_aside(struct store *s, struct err *e)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char *aside =
		xasprintf("%s.damaged-%llu", s->path, (unsigned long long)(now_us() / 1000000));
	enum rc rc = RC_OK;

	for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
		char *from = xasprintf("%s%s", s->path, suffixes[i]);
		char *to = xasprintf("%s%s", aside, suffixes[i]);

		if (rename(from, to) != 0 && errno != ENOENT)
			rc = err_errno(e, RC_CONFIG, "cannot move the damaged store %s away", from);
		free(from);
		free(to);
	}
	if (rc == RC_OK)
		log_warn("the store %s was damaged; it was moved to %s, and a new one is made: "
			 "channels go on from what their targets hold, history is lost",
			s->path, aside);
	free(aside);
	return rc;
}

static enum rc
take_lock(struct store *s, const char *dir, struct err *e)
{
	char *path = xasprintf("%s/lock", dir);
	enum rc rc = RC_OK;

	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0) {
		rc = err_errno(e, RC_CONFIG, "cannot write into the state directory: %s", path);
		err_remedy(e, UNWRITABLE);
	} else if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
		rc = err_set(e, RC_CONFIG, "another supervisor uses the state directory %s", dir);
		err_remedy(e, "stop it, or name another directory (state_dir, --state)");
	}
	free(path);
	return rc;
}

static enum rc
open_all(struct store *s, const char *dir, struct err *e)
{
	bool damaged = false;
	enum rc rc;

	if (mkdir(dir, 0750) != 0 && errno != EEXIST) {
		err_errno(e, RC_CONFIG, "cannot make the state directory %s", dir);
		return err_remedy(e, UNWRITABLE);
	}
	if ((rc = take_lock(s, dir, e)) != RC_OK)
		return rc;
	s->is_new = access(s->path, F_OK) != 0;
	if ((rc = open_db(s, &damaged, e)) != RC_OK || !damaged)
		return rc;
	close_db(s);
	s->is_new = true;
	damaged = false;
	if ((rc = move_aside(s, e)) != RC_OK || (rc = open_db(s, &damaged, e)) != RC_OK)
		return rc;
	return damaged ? sqlite_error(s, "use the new store", e) : RC_OK;
}

enum rc
store_open(const char *dir, struct store **out, struct err *e)
{
	struct store *s = xcalloc(1, sizeof *s);
	enum rc rc;

	s->lock = -1;
	s->path = xasprintf("%s/%s", dir, STORE_FILE);
	rc = open_all(s, dir, e);
	if (rc != RC_OK) {
		store_close(s);
		return rc;
	}
	*out = s;
	return RC_OK;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	close_db(s);
	if (s->lock >= 0)
		close(s->lock);
	free(s->path);
	free(s);
}

bool
store_is_new(const struct store *s)
{
	return s->is_new;
}

bool
store_writable(struct store *s)
{
	return s->gathering || (store_run(s, SQL_BEGIN, "") && store_run(s, SQL_ROLLBACK, ""));
}

/* ---- channels ---- */

bool
store_load_channel(
	struct store *s, const char *id, struct channel_record *r, struct store_mirror *mirror)
{
	sqlite3_stmt *q = store_query(s, SQL_LOAD_CHANNEL, "s", id);

	*r = (struct channel_record){.state = CHANNEL_NOT_CONFIGURED, .wish = WISH_UNKNOWN};
	*mirror = (struct store_mirror){0};
	if (!store_next_row(q))
		return false;
	r->state = channel_state_by_name(store_text(q, 0));
	if (r->state == CHANNEL_STATE_COUNT)
		r->state = CHANNEL_NOT_CONFIGURED;
	r->wish = wish_by_name(store_text(q, 1));
	r->told = store_integer(q, 2) != 0;
	r->loaded = store_integer(q, 3) != 0;
	r->unchecked = store_integer(q, 4) != 0;
	r->since_us = store_integer(q, 5);
	for (enum rc rc = 0; rc < RC_COUNT; rc++)
		if (strcmp(rc_name(rc), store_text(q, 6)) == 0 && rc != RC_OK) {
			err_set(&r->cause, rc, "%s", store_text(q, 7));
			err_remedy(&r->cause, "%s", store_text(q, 8));
		}
	mirror->position = store_text(q, 9) != NULL ? xstrdup(store_text(q, 9)) : NULL;
	mirror->position_us = store_integer(q, 10);
	mirror->generation = (uint32_t)store_integer(q, 11);
	mirror->restarts = store_integer(q, 12);
	sqlite3_reset(q);
	return true;
}

static bool
save_record(struct store *s, const char *id, const struct channel_record *r)
{
	return store_run(s, SQL_SAVE_CHANNEL, "sssiiiisss", id, channel_state_name(r->state),
		wish_name(r->wish), (int64_t)r->told, (int64_t)r->loaded, (int64_t)r->unchecked,
		(int64_t)r->since_us, rc_name(r->cause.rc), r->cause.text, r->cause.remedy);
}

enum rc
store_save_channel(struct store *s, const char *id, const struct channel_record *r,
	const char *event, const char *from, struct err *e)
{
	bool own = !s->gathering;
	bool ok;

	FAILPOINT(STORE_MOVE);
	ok = !own || store_run(s, SQL_BEGIN, "");

	ok = ok && save_record(s, id, r) &&
	     store_run(s, SQL_ADD_MOVE, "sissss", id, (int64_t)now_us(), event, from,
		     channel_state_name(r->state), r->cause.rc != RC_OK ? r->cause.text : NULL);
	if (ok && own)
		ok = store_run(s, SQL_COMMIT, "");
	FAILPOINT(STORE_MOVED);
	if (ok)
		return RC_OK;
	sqlite_error(s, "write the state of a channel to", e);
	if (own)
		(void)store_run(s, SQL_ROLLBACK, "");
	return RC_RETRY;
}

enum rc
store_touch_channel(struct store *s, const char *id, const struct channel_record *r, struct err *e)
{
	return save_record(s, id, r) ? RC_OK : sqlite_error(s, "write a channel to", e);
}

void
store_forget_channel(struct store *s, const char *id)
{
	if (!store_run(s, SQL_FORGET_CHANNEL, "s", id) ||
		!store_run(s, SQL_FORGET_TABLES, "s", id) ||
		!store_run(s, SQL_FORGET_CONFLICTS, "s", id) ||
		!store_run(s, SQL_FORGET_SAMPLES, "s", id))
		store_complain(s, "clear a channel in");
}

/* ---- mirrors ---- */

void
store_begin(struct store *s)
{
	if (!s->gathering)
		s->gathering = store_run(s, SQL_BEGIN, "");
	if (!s->gathering)
		store_complain(s, "write to");
}

void
store_commit(struct store *s)
{
	if (!s->gathering)
		return;
	s->gathering = false;
	FAILPOINT(STORE_MIRROR);
	if (!store_run(s, SQL_COMMIT, "")) {
		store_complain(s, "write to");
		(void)store_run(s, SQL_ROLLBACK, "");
	}
	FAILPOINT(STORE_MIRRORED);
}

void
store_save_mirror(struct store *s, const char *id, const struct store_mirror *m)
{
	if (!store_run(s, SQL_SAVE_MIRROR, "ssiii", id, m->position, (int64_t)m->position_us,
		    (int64_t)m->generation, (int64_t)m->restarts))
		store_complain(s, "write to");
}

void
store_save_table(struct store *s, const char *id, const struct report_table *t)
{
	if (!store_run(s, SQL_SAVE_TABLE, "ssssiiiis", id, t->db, t->name,
		    table_state_name(t->state), (int64_t)t->chunks_done, (int64_t)t->rows_done,
		    (int64_t)t->rows_expected, (int64_t)t->bytes_done, t->reason))
		store_complain(s, "write to");
}

void
store_load_tables(struct store *s, const char *id,
	void (*cb)(void *arg, const struct report_table *t), void *arg)
{
	sqlite3_stmt *q = store_query(s, SQL_LOAD_TABLES, "s", id);

	while (store_next_row(q)) {
		struct report_table t = {.db = store_text(q, 0),
			.name = store_text(q, 1),
			.state = table_state_by_name(store_text(q, 2)),
			.chunks_done = (uint32_t)store_integer(q, 3),
			.rows_done = store_integer(q, 4),
			.rows_expected = store_integer(q, 5),
			.bytes_done = store_integer(q, 6),
			.reason = store_text(q, 7)};

		if (t.state != TABLE_STATE_COUNT)
			cb(arg, &t);
	}
}
