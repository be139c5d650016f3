/* store_private.h - the inside of the store, for store.c and store_history.c; the door to SQLite.
 */
#ifndef SUPERVISOR_STORE_PRIVATE_H
#define SUPERVISOR_STORE_PRIVATE_H

#include "common/compat.h"

#include <sqlite3.h>

#include "supervisor/store.h"

/* Every statement there is. */
#define STATEMENT_LIST(X)                                                                         \
	X(LOAD_CHANNEL, "SELECT state, wish, told, loaded, unchecked, since_us, cause_class,"     \
			" cause, remedy, position, position_us, generation, restarts"             \
			" FROM channels WHERE id = ?1")                                           \
	X(SAVE_CHANNEL, "INSERT INTO channels (id, state, wish, told, loaded, unchecked,"         \
			" since_us, cause_class, cause, remedy)"                                  \
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"                       \
			" ON CONFLICT (id) DO UPDATE SET state = ?2, wish = ?3, told = ?4,"       \
			" loaded = ?5, unchecked = ?6, since_us = ?7, cause_class = ?8,"          \
			" cause = ?9, remedy = ?10")                                              \
	X(SAVE_MIRROR, "UPDATE channels SET position = ?2, position_us = ?3, generation = ?4,"    \
		       " restarts = ?5 WHERE id = ?1")                                            \
	X(SAVE_TABLE, "INSERT OR REPLACE INTO tables (channel, db, name, state, chunks, rows,"    \
		      " expected, bytes, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")    \
	X(LOAD_TABLES, "SELECT db, name, state, chunks, rows, expected, bytes, reason"            \
		       " FROM tables WHERE channel = ?1 ORDER BY db, name")                       \
	X(ADD_MOVE, "INSERT INTO moves (channel, at_us, kind, from_state, to_state, text)"        \
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                           \
	X(LOAD_MOVES, "SELECT at_us, kind, from_state, to_state, text FROM moves"                 \
		      " WHERE channel = ?1 ORDER BY n DESC LIMIT ?2")                             \
	X(ADD_CONFLICT, "INSERT INTO conflicts (channel, at_us, db, tab, operation, kind, key,"   \
			" before, after, target, action, position)"                               \
			" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")            \
	X(LOAD_CONFLICTS, "SELECT at_us, db, tab, operation, kind, key, before, after, target,"   \
			  " action, position FROM conflicts WHERE channel = ?1"                   \
			  " ORDER BY n DESC LIMIT ?2")                                            \
	X(ADD_SAMPLE, "INSERT OR REPLACE INTO samples VALUES (?1, ?2, ?3, ?4, ?5)")               \
	X(LOAD_SAMPLES, "SELECT min(at_us), avg(bandwidth), avg(tps), max(delay_ms) FROM samples" \
			" WHERE channel = ?1 AND at_us >= ?2 GROUP BY at_us / ?3 ORDER BY 1")     \
	X(FORGET_CHANNEL, "DELETE FROM channels WHERE id = ?1")                                   \
	X(FORGET_TABLES, "DELETE FROM tables WHERE channel = ?1")                                 \
	X(FORGET_CONFLICTS, "DELETE FROM conflicts WHERE channel = ?1")                           \
	X(FORGET_SAMPLES, "DELETE FROM samples WHERE channel = ?1")                               \
	X(PRUNE_MOVES, "DELETE FROM moves WHERE at_us < ?1")                                      \
	X(PRUNE_SAMPLES, "DELETE FROM samples WHERE at_us < ?1")                                  \
	X(PRUNE_CONFLICTS, "DELETE FROM conflicts WHERE n IN (SELECT n FROM (SELECT n,"           \
			   " row_number() OVER (PARTITION BY channel ORDER BY n DESC) AS nth"     \
			   " FROM conflicts) WHERE nth > ?1)")                                    \
	X(BEGIN, "BEGIN IMMEDIATE")                                                               \
	X(COMMIT, "COMMIT")                                                                       \
	X(ROLLBACK, "ROLLBACK")

enum statement {
#define X(symbol, text) SQL_##symbol,
	STATEMENT_LIST(X)
#undef X
		STATEMENT_COUNT
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *prepared[STATEMENT_COUNT];
	char *path;
	int lock;
	bool is_new;
	bool gathering; /* between store_begin and store_commit */
	uint64_t complained_us;
};

/* By a format: s text or NULL, i int64_t, d double. False: see sqlite3_errmsg. */
bool store_run(struct store *s, enum statement which, const char *format, ...);
sqlite3_stmt *store_query(struct store *s, enum statement which, const char *format, ...);
bool store_next_row(sqlite3_stmt *q);
char *store_text(sqlite3_stmt *q, int column); /* borrowed until the next step */
uint64_t store_integer(sqlite3_stmt *q, int column);
/* Of mirrors and history: their loss is told, now and then, and not fatal. */
void store_complain(struct store *s, const char *what);

#endif
