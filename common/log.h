/*
 * log.h - one line per fact.
 *
 * A line has a level, the program, the channel, a text and key=value fields
 * that the caller writes into the text. It goes to standard error, as text or
 * JSON lines; supervisor/logpipe.h says where that leads. Row data and
 * credentials are never logged above debug; passwords never.
 *
 * Thread-safe; a line is one write(2). errno is kept.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/compat.h"
#include "common/err.h"

#include <stdbool.h>

/* WARN is for what a person may have to act on. */
#define LOG_LIST(X)       \
	X(DEBUG, "debug") \
	X(INFO, "info")   \
	X(WARN, "warn")   \
	X(ERROR, "error")

enum log_level {
#define X(symbol, name) LOG_LVL_##symbol,
	LOG_LIST(X)
#undef X
		LOG_LVL_COUNT
};

/* Names the process in each line: "synclined", "reader", "writer"; channel may be NULL. */
void log_init(const char *program, const char *channel);
/* LOG_LVL_COUNT: nothing but what ends the program (fatal, bug). */
void log_set_level(enum log_level level);
/* False (and no change) for a name that LOG_LIST does not have. */
bool log_parse_level(const char *name, enum log_level *level);
void log_set_json(bool json);
bool log_is_json(void);

void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_debug(...) log_line(LOG_LVL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LVL_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LVL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LVL_ERROR, __VA_ARGS__)
/* The error's text, remedy and code as one line. */
void log_err(enum log_level level, const struct err *e);

/* fatal: the world is broken, ends with the error's status. bug: we are, ends with 70. */
NORETURN void fatal(const struct err *e);
NORETURN void bug(const char *fmt, ...) PRINTF(1, 2);

#endif
