/* err.c - see err.h. */
#include "common/compat.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"

/* What the analyzer is told of these is not for the functions themselves. */
#undef err_set
#undef err_errno
#undef err_remedy
#undef err_context

static const struct {
	const char *name;
	int exit;
	int restart;
} rows[RC_COUNT] = {
#define X(symbol, name, exit, restart) [RC_##symbol] = {name, exit, restart},
	RC_LIST(X)
#undef X
};

static enum rc
fill(struct err *e, enum rc rc, int number, const char *fmt, va_list ap)
{
	size_t n;

	if (e == NULL)
		return rc;
	e->rc = rc;
	e->code = number;
	e->remedy[0] = '\0';
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	if (number != 0) {
		n = strlen(e->text);
		snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(number));
	}
	return rc;
}

enum rc
err_set(struct err *e, enum rc rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, rc, 0, fmt, ap);
	va_end(ap);
	return rc;
}

enum rc
err_errno(struct err *e, enum rc rc, const char *fmt, ...)
{
	va_list ap;
	int number = errno;

	va_start(ap, fmt);
	fill(e, rc, number, fmt, ap);
	va_end(ap);
	return rc;
}

enum rc
err_remedy(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return RC_BUG;
	va_start(ap, fmt);
	vsnprintf(e->remedy, sizeof e->remedy, fmt, ap);
	va_end(ap);
	return e->rc;
}

enum rc
err_context(struct err *e, const char *fmt, ...)
{
	char old[sizeof e->text];
	va_list ap;
	size_t n;

	if (e == NULL)
		return RC_BUG;
	memcpy(old, e->text, sizeof old);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %s", old);
	return e->rc;
}

const char *
rc_name(enum rc rc)
{
	return rc < RC_COUNT ? rows[rc].name : "unknown";
}

int
rc_exit(enum rc rc)
{
	return rc < RC_COUNT ? rows[rc].exit : 70;
}

/* AGAIN shares BUG's status (it must never end a program), so it is left out. */
enum rc
exit_rc(int status)
{
	for (enum rc rc = 0; rc < RC_COUNT; rc++)
		if (rows[rc].exit == status && rc != RC_AGAIN)
			return rc;
	return RC_BUG;
}

int
exit_restarts(int status)
{
	return rows[exit_rc(status)].restart;
}

const char *
exit_name(int status)
{
	enum rc rc = exit_rc(status);

	return rows[rc].exit == status ? rows[rc].name : "unknown";
}
