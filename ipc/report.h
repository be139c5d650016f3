/*
 * report.h - the larger things that cross the control socket, with their coding.
 *
 * Decoders own what they return (release functions), check every length and
 * want nothing left over.
 */
#ifndef IPC_REPORT_H
#define IPC_REPORT_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/event.h"
#include "common/schema.h"

/* A table's progress. The reader says it when a table's state or load moves, at most ten times a
 * second. */
struct report_table {
	char *db;
	char *name;
	enum table_state state;
	uint32_t chunks_done;
	uint64_t rows_done;
	uint64_t rows_expected; /* the catalog's estimate */
	uint64_t bytes_done;
	char *reason; /* of a quarantine; else NULL */
};

/* A target row that is not what the source's change expects. Row texts are "col=value, ..." cut at
 * 1 KiB each. */
struct report_conflict {
	char *db;
	char *table;
	char *operation; /* insert, update, delete */
	char *kind;	 /* duplicate, missing, ... */
	char *key;	 /* "id=5" */
	char *before;	 /* of the source's change, or NULL */
	char *after;	 /* of the source's change, or NULL */
	char *target;	 /* the target's row, or NULL */
	char *action;	 /* failed, skipped, overwritten */
	char *position;
	uint64_t time_us;
};

/* One item of a precheck. */
enum check_result { CHECK_PASS, CHECK_WARN, CHECK_FAIL };

struct check_item {
	char *item; /* the name of spec S8.1, "Source database connectivity" */
	enum check_result result;
	char *cause; /* of WARN and FAIL */
	char *remedy;
};

/* What the reader's precheck finds selected: the writer's looks at its own end for the same. */
struct found_table {
	struct table *table; /* whole, as the source has it */
	const char *db;	     /* of it */
	const char *name;
	char *charsets; /* "utf8mb4,latin1": those of its columns */
	char *sql; /* its definition, in the session as of event_ddl; "": it is not made here */
	char *session;
};

struct found {
	struct found_table *tables;
	uint32_t count;
};

struct checks {
	struct check_item *items;
	uint32_t count;
	char *sql; /* what an administrator must run for us (check --sql); NULL: nothing */
	struct found found;
};

/* Takes copies. A table of which the account may not see all is left out. */
void found_add(struct found *f, const struct table *t, const char *charsets, const char *sql,
	const char *session);
void found_release(struct found *f);
void found_encode(const struct found *f, struct buf *b);
/* Reads on: what is damaged shows at the cursor's end. */
void found_decode(struct cursor *c, struct found *out);

void checks_init(struct checks *c);
void checks_release(struct checks *c);
void checks_pass(struct checks *c, const char *item);
/* An item that several looks make up: passes unless one of them has failed it. */
void checks_pass_rest(struct checks *c, const char *item);
void checks_add(struct checks *c, enum check_result r, const char *item, const char *remedy,
	const char *cause_fmt, ...) PRINTF(5, 6);
bool checks_failed(const struct checks *c);

/*
 * What the target holds of a channel: all that the reader needs to go on.
 * Filled by the sink's open, sent through the supervisor to the reader.
 */
struct resume_chunk {
	uint32_t number;
	bool last;
	struct buf lo, hi;
	uint64_t rows;
};

struct resume_table {
	char *db; /* source names */
	char *name;
	enum table_state state;
	bool inserted; /* the stream has inserted into it since its load began: chunks keep existing
			  rows */
	struct resume_chunk *chunks; /* the committed ones, by number */
	uint32_t nchunks;
	struct buf schema; /* table_encode's bytes as of the position; empty: not stored */
};

struct resume {
	bool fresh;    /* the target has nothing of this channel */
	char *applied; /* positions of the last commit */
	char *resume;
	uint32_t incarnation;
	char *source_id; /* identity of the source that these positions belong to */
	char *wish;	 /* the operator's: running, paused, completed */
	struct resume_table *tables;
	uint32_t ntables;
};

void resume_init(struct resume *r);
void resume_release(struct resume *r);
struct resume_table *resume_add_table(
	struct resume *r, const char *db, const char *name, enum table_state state);
struct resume_chunk *resume_add_chunk(struct resume_table *t, uint32_t number);
struct resume_table *resume_find(const struct resume *r, const char *db, const char *name);

void resume_encode(const struct resume *r, struct buf *b);
enum rc resume_decode(struct cursor *c, struct resume *out, struct err *e) MUSTCHECK;
void report_table_encode(const struct report_table *t, struct buf *b);
enum rc report_table_decode(struct cursor *c, struct report_table *out, struct err *e) MUSTCHECK;
void report_table_release(struct report_table *t);
void report_conflict_encode(const struct report_conflict *t, struct buf *b);
enum rc report_conflict_decode(
	struct cursor *c, struct report_conflict *out, struct err *e) MUSTCHECK;
void report_conflict_release(struct report_conflict *t);
void checks_encode(const struct checks *t, struct buf *b);
enum rc checks_decode(struct cursor *c, struct checks *out, struct err *e) MUSTCHECK;

#endif
