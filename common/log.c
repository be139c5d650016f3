/* log.c - see log.h. */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"

static struct {
	pthread_mutex_t lock;
	const char *program;
	char *channel;
	enum log_level level;
	bool json;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .program = "syncline", .level = LOG_LVL_INFO};

static const char *const level_names[LOG_LVL_COUNT] = {
#define X(symbol, name) [LOG_LVL_##symbol] = (name),
	LOG_LIST(X)
#undef X
};

void
log_init(const char *program, const char *channel)
{
	free(state.channel);
	state.program = program;
	state.channel = channel != NULL ? xstrdup(channel) : NULL;
}

void
log_set_level(enum log_level level)
{
	state.level = level;
}

bool
log_parse_level(const char *name, enum log_level *level)
{
	for (enum log_level l = 0; l < LOG_LVL_COUNT; l++)
		if (strcmp(level_names[l], name) == 0) {
			*level = l;
			return true;
		}
	return false;
}

void
log_set_json(bool json)
{
	state.json = json;
}

bool
log_is_json(void)
{
	return state.json;
}

static void
add_json_string(struct buf *b, const char *s)
{
	buf_putc(b, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20)
			buf_printf(b, "\\u%04x", c);
		else
			buf_putc(b, *s);
	}
	buf_putc(b, '"');
}

static void
add_time(struct buf *b)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static void
format_json(struct buf *b, enum log_level level, const char *text)
{
	buf_puts(b, "{\"time\":\"");
	add_time(b);
	buf_printf(b, "\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%d", level_names[level],
		state.program, (int)getpid());
	if (state.channel != NULL) {
		buf_puts(b, ",\"channel\":");
		add_json_string(b, state.channel);
	}
	buf_puts(b, ",\"text\":");
	add_json_string(b, text);
	buf_puts(b, "}\n");
}

/* Control characters in a text (an identifier may hold a newline) must not make a second line. */
static void
format_text(struct buf *b, enum log_level level, const char *text)
{
	size_t from;

	add_time(b);
	buf_printf(b, " %-5s %s[%d]", level_names[level], state.program, (int)getpid());
	if (state.channel != NULL)
		buf_printf(b, " %s", state.channel);
	buf_puts(b, ": ");
	from = b->len;
	buf_puts(b, text);
	for (size_t i = from; i < b->len; i++)
		if (b->data[i] < 0x20)
			b->data[i] = ' ';
	buf_putc(b, '\n');
}

static void
write_line(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	struct buf line;
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	buf_init(&line);
	if (s != NULL) {
		(state.json ? format_json : format_text)(&line, level, s);
		pthread_mutex_lock(&state.lock);
		/* A log that cannot be written has nowhere to complain. */
		if (write(STDERR_FILENO, line.data, line.len) < 0)
			errno = saved;
		pthread_mutex_unlock(&state.lock);
	}
	free(s);
	buf_release(&line);
	errno = saved;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level < state.level)
		return;
	va_start(ap, fmt);
	write_line(level, fmt, ap);
	va_end(ap);
}

/* Whatever the level. */
static void last_words(const char *fmt, ...) PRINTF(1, 2);

static void
last_words(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(LOG_LVL_ERROR, fmt, ap);
	va_end(ap);
}

#define ERR_LINE "%s%s%s class=%s"
#define ERR_WORDS(e) (e)->text, (e)->remedy[0] != '\0' ? "; " : "", (e)->remedy, rc_name((e)->rc)

void
log_err(enum log_level level, const struct err *e)
{
	log_line(level, ERR_LINE, ERR_WORDS(e));
}

void
fatal(const struct err *e)
{
	last_words(ERR_LINE, ERR_WORDS(e));
	exit(rc_exit(e->rc));
}

void
bug(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	last_words("bug: %s", s != NULL ? s : fmt);
	_exit(rc_exit(RC_BUG));
}
