/*
 * err.h - what can go wrong, and what a program's exit says about it.
 *
 * A function that can fail returns enum rc and fills a struct err once, where
 * the fact is known: "cannot X Y: reason", and what to do about it. Callers
 * may put context in front (err_context); nobody logs and returns both.
 *
 * The code decides what happens next, everywhere:
 *   AGAIN     nothing wrong: a ring is full or nothing has come; wait.
 *   RETRY     the world may heal (a server is gone): end, back off, come back.
 *   CONFIG    a person must change a setting, a right, an object.
 *   DATA      a person must look at data: log and schema disagree, a value
 *             that cannot be carried.
 *   CONFLICT  the target's row is not what the source's change expects.
 *   FENCED    another gateway has taken the channel over; stay down.
 *   BUG       we are broken: an invariant of ours does not hold.
 *
 * Exit status is a contract between workers, supervisor and scripts; the
 * table is RC_LIST and nothing else. The tool `syncline` adds 1-4 (see
 * syncline(1)).
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/compat.h"

#include <stddef.h>

/*      symbol    name        exit  restart by the supervisor */
#define RC_LIST(X)                     \
	X(OK, "ok", 0, 0)              \
	X(AGAIN, "again", 70, 1)       \
	X(RETRY, "retry", 75, 1)       \
	X(CONFIG, "config", 78, 0)     \
	X(DATA, "data", 65, 0)         \
	X(CONFLICT, "conflict", 66, 0) \
	X(FENCED, "fenced", 67, 0)     \
	X(BUG, "bug", 70, 1)

enum rc {
#define X(symbol, name, exit, restart) RC_##symbol,
	RC_LIST(X)
#undef X
		RC_COUNT
};

/* One failure in words. Plain data; the texts are always terminated. */
struct err {
	enum rc rc;
	int code;	  /* the server's or system's own number, 0 if none */
	char text[1024];  /* what, where, why */
	char remedy[512]; /* what to do, may be empty */
};

/* Fills e (which may be NULL) and returns rc, so that callers can write `return err_set(...)`. */
enum rc err_set(struct err *e, enum rc rc, const char *fmt, ...) PRINTF(3, 4);

/* As err_set with RC_RETRY or the given rc and ": strerror(errno)" behind. */
enum rc err_errno(struct err *e, enum rc rc, const char *fmt, ...) PRINTF(3, 4);

/* Adds what to do about it. Returns e->rc. */
enum rc err_remedy(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* Puts "context: " in front of the text. Returns e->rc. */
enum rc err_context(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* The analyzer (make analyze) reads one file at a time: it is told what these return. */
#ifdef __clang_analyzer__
#define err_set(e, rc, ...) (err_set(e, rc, __VA_ARGS__), rc)
#define err_errno(e, rc, ...) (err_errno(e, rc, __VA_ARGS__), rc)
#define err_remedy(e, ...) (err_remedy(e, __VA_ARGS__), RC_BUG)
#define err_context(e, ...) (err_context(e, __VA_ARGS__), RC_BUG)
#endif

const char *rc_name(enum rc rc);
int rc_exit(enum rc rc);
/* Whether a worker that ended with this status is started again (policy reads nothing else). */
int exit_restarts(int status);
/* "conflict" for 66, "unknown" for what the table does not know. */
const char *exit_name(int status);
enum rc exit_rc(int status);

#endif
