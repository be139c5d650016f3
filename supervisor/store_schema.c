/* store_schema.c - see store_schema.h. */
#include "common/compat.h"

#include <assert.h>
#include <stddef.h>

#include "supervisor/store_schema.h"

static const char *const steps[] = {
	[0] = "CREATE TABLE channels ("
	      " id TEXT PRIMARY KEY, state TEXT NOT NULL, wish TEXT NOT NULL,"
	      " told INTEGER NOT NULL, loaded INTEGER NOT NULL, unchecked INTEGER NOT NULL,"
	      " since_us INTEGER NOT NULL, cause_class TEXT NOT NULL DEFAULT 'ok',"
	      " cause TEXT NOT NULL DEFAULT '', remedy TEXT NOT NULL DEFAULT '',"
	      " position TEXT, position_us INTEGER NOT NULL DEFAULT 0,"
	      " generation INTEGER NOT NULL DEFAULT 0, restarts INTEGER NOT NULL DEFAULT 0);"
	      "CREATE TABLE tables ("
	      " channel TEXT NOT NULL, db TEXT NOT NULL, name TEXT NOT NULL,"
	      " state TEXT NOT NULL, chunks INTEGER NOT NULL, rows INTEGER NOT NULL,"
	      " expected INTEGER NOT NULL, bytes INTEGER NOT NULL, reason TEXT,"
	      " PRIMARY KEY (channel, db, name));"
	      "CREATE TABLE moves ("
	      " n INTEGER PRIMARY KEY, channel TEXT NOT NULL, at_us INTEGER NOT NULL,"
	      " kind TEXT NOT NULL, from_state TEXT, to_state TEXT, text TEXT);"
	      "CREATE INDEX moves_channel ON moves (channel, n);"
	      "CREATE TABLE conflicts ("
	      " n INTEGER PRIMARY KEY, channel TEXT NOT NULL, at_us INTEGER NOT NULL,"
	      " db TEXT, tab TEXT, operation TEXT, kind TEXT, key TEXT, before TEXT,"
	      " after TEXT, target TEXT, action TEXT, position TEXT);"
	      "CREATE INDEX conflicts_channel ON conflicts (channel, n);",
	[1] = "CREATE TABLE samples ("
	      " channel TEXT NOT NULL, at_us INTEGER NOT NULL, bandwidth REAL NOT NULL,"
	      " tps REAL NOT NULL, delay_ms INTEGER NOT NULL,"
	      " PRIMARY KEY (channel, at_us)) WITHOUT ROWID;",
};

static_assert(sizeof steps / sizeof steps[0] == STORE_VERSION, "a step for each version");

const char *
store_step(int from)
{
	return from >= 0 && from < STORE_VERSION ? steps[from] : NULL;
}
