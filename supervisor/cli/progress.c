/* progress.c - one line about one channel: redrawn on a terminal, said now and then elsewhere. */
#include "common/compat.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/loop.h"
#include "supervisor/cli/cli.h"

#define BAR_WIDTH 20
/* Where no terminal is: a line when something changes, at most this often. */
#define QUIET_US 5000000u

void
progress_init(struct progress *p, FILE *to)
{
	*p = (struct progress){.to = to, .terminal = isatty(fileno(to)) != 0};
}

void
progress_clear(struct progress *p)
{
	if (p->terminal && p->drawn)
		fputs("\r\033[K", p->to);
	fflush(p->to);
	p->drawn = false;
}

static void
draw_bar(char *out, size_t size, double part)
{
	int full = (int)(part * BAR_WIDTH + 0.5);
	char bar[BAR_WIDTH + 1];

	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < full ? '#' : '-';
	bar[BAR_WIDTH] = '\0';
	snprintf(out, size, "[%s] %3.0f%%", bar, part * 100);
}

static void
say_load(char *out, size_t size, json_t *channel)
{
	json_t *p = json_object_get(channel, "progress");
	double rows = json_number(p, "rows"), expected = json_number(p, "rows_expected");
	json_t *eta = json_object_get(p, "eta_seconds");
	char bar[64] = "";

	if (expected > 0)
		draw_bar(bar, sizeof bar, rows < expected ? rows / expected : 1);
	snprintf(out, size, "%s %.0f/%.0f tables, %s rows, %s, %s rows/s%s%s", bar,
		json_number(p, "tables_streaming"), json_number(p, "tables"), say_count(rows),
		say_bytes(json_number(p, "bytes")), say_count(json_number(p, "rows_per_second")),
		json_is_number(eta) ? ", ETA " : "",
		json_is_number(eta) ? say_seconds(json_number_value(eta)) : "");
}

static void
say_stream(char *out, size_t size, json_t *channel)
{
	json_t *m = json_object_get(channel, "metrics");

	snprintf(out, size, "%.1f tx/s, %.2f MB/s, delay %s%s",
		json_number(m, "transactions_per_second"),
		json_number(m, "bandwidth_mb_per_second"), say_delay(m),
		json_is_true(json_object_get(m, "caught_up")) ? ", caught up" : "");
}

static void
say_trouble(char *out, size_t size, json_t *channel)
{
	json_t *restarts = json_object_get(channel, "restarts");
	json_t *failure = json_object_get(restarts, "last_failure");

	if (json_is_object(failure))
		snprintf(out, size, "%s, after: %s", json_text(channel, "activity"),
			json_text(failure, "text"));
	else
		snprintf(out, size, "%s", json_text(channel, "activity"));
}

static void
compose(char *out, size_t size, json_t *channel)
{
	const char *state = json_text(channel, "state");
	char what[400];
	bool flowing = strcmp(json_text(channel, "activity"), "flowing") == 0;

	if (flowing && strcmp(state, "Synchronizing") == 0)
		say_stream(what, sizeof what, channel);
	else if (flowing && strcmp(state, "Performing Initial Synchronization") == 0) {
		say_load(what, sizeof what, channel);
		state = "loading"; /* the figures need the room of the long name */
	} else
		say_trouble(what, sizeof what, channel);
	snprintf(out, size, "%s: %s: %s", json_text(channel, "channel"), state, what);
}

static size_t
columns(FILE *to)
{
	struct winsize w;

	return ioctl(fileno(to), TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col - 1u : 79u;
}

void
progress_show(struct progress *p, json_t *channel)
{
	char line[sizeof p->last];
	uint64_t now = mono_us();

	compose(line, sizeof line, channel);
	if (p->terminal) {
		fprintf(p->to, "\r%.*s\033[K", (int)columns(p->to), line);
		p->drawn = true;
	} else if (strcmp(line, p->last) != 0 && (p->said_us == 0 || now - p->said_us > QUIET_US)) {
		fprintf(p->to, "%s\n", line);
		p->said_us = now;
		snprintf(p->last, sizeof p->last, "%s", line);
	}
	fflush(p->to);
}
