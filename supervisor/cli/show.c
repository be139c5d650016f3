/* show.c - what the tool prints for people. */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"

/* ---- values ---- */

const char *
json_text(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

double
json_number(json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

#define SAY_BUFFERS 16

static char *
say_buffer(size_t *size)
{
	static char buffers[SAY_BUFFERS][64];
	static unsigned next;

	*size = sizeof buffers[0];
	return buffers[next++ % SAY_BUFFERS];
}

const char *
say_count(double n)
{
	char digits[32];
	size_t size, len, used = 0;
	char *out = say_buffer(&size);

	snprintf(digits, sizeof digits, "%.0f", n);
	len = strlen(digits);
	for (size_t i = 0; i < len && used + 2 < size; i++) {
		if (i != 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
	return out;
}

const char *
say_bytes(double n)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	size_t size, u = 0;
	char *out = say_buffer(&size);

	while (n >= 1000 && u + 1 < COUNT_OF(units)) {
		n /= 1000;
		u++;
	}
	snprintf(out, size, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
	return out;
}

const char *
say_seconds(double s)
{
	size_t size;
	char *out = say_buffer(&size);
	uint64_t n = s > 0 ? (uint64_t)(s + 0.5) : 0;

	if (n >= 3600)
		snprintf(out, size, "%" PRIu64 ":%02u:%02u", n / 3600, (unsigned)(n / 60 % 60),
			(unsigned)(n % 60));
	else
		snprintf(out, size, "%u:%02u", (unsigned)(n / 60), (unsigned)(n % 60));
	return out;
}

const char *
say_delay(json_t *metrics)
{
	json_t *ms = json_object_get(metrics, "delay_ms");
	size_t size;
	char *out = say_buffer(&size);

	if (!json_is_integer(ms))
		snprintf(out, size, "unknown");
	else
		snprintf(out, size, "%s ms", say_count((double)json_integer_value(ms)));
	return out;
}

static const char *
say_time(json_t *t)
{
	size_t size;
	char *out = say_buffer(&size);
	time_t seconds = (time_t)json_number_value(t);
	struct tm tm;

	if (!json_is_number(t) || gmtime_r(&seconds, &tm) == NULL)
		return "-";
	strftime(out, size, "%Y-%m-%d %H:%M:%SZ", &tm);
	return out;
}

/* ---- errors ---- */

void
show_error(const char *text, const char *remedy)
{
	fprintf(stderr, "syncline: %s\n", text);
	if (remedy != NULL && *remedy != '\0')
		fprintf(stderr, "  what to do: %s\n", remedy);
}

int
show_err(const struct err *e)
{
	show_error(e->text, e->remedy);
	return rc_exit(e->rc);
}

void
show_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

/* ---- channels ---- */

static const char *
state_color(const char *state, const struct cli *c)
{
	if (!c->color)
		return "";
	if (strstr(state, "Failed") != NULL)
		return "\033[31m";
	return strcmp(state, "Synchronizing") == 0 ? "\033[32m" : "\033[33m";
}

static const char *
no_color(const struct cli *c)
{
	return c->color ? "\033[0m" : "";
}

void
show_list(json_t *channels, const struct cli *c)
{
	size_t i;
	json_t *ch;

	printf("%-20s %-35s %13s %9s %9s %13s %8s\n", "CHANNEL", "STATE", "TABLES", "TX/S", "MB/S",
		"DELAY", "RESTARTS");
	json_array_foreach(channels, i, ch)
	{
		json_t *m = json_object_get(ch, "metrics"), *p = json_object_get(ch, "progress");
		const char *state = json_text(ch, "state");
		char tables[48];

		snprintf(tables, sizeof tables, "%.0f/%.0f", json_number(p, "tables_streaming"),
			json_number(p, "tables"));
		printf("%-20s %s%-35s%s %13s %9.1f %9.2f %13s %8.0f\n", json_text(ch, "channel"),
			state_color(state, c), state, no_color(c), tables,
			json_number(m, "transactions_per_second"),
			json_number(m, "bandwidth_mb_per_second"), say_delay(m),
			json_number(json_object_get(ch, "restarts"), "count"));
	}
}

static void
show_cause(const char *label, json_t *cause)
{
	if (!json_is_object(cause))
		return;
	printf("  %-14s %s\n", label, json_text(cause, "text"));
	if (json_text(cause, "remedy")[0] != '\0')
		printf("  %-14s %s\n", "what to do", json_text(cause, "remedy"));
}

/* What a failed channel waits for when its cause is gone, unless the remedy ends with it. */
static void
show_way_on(json_t *ch)
{
	const char *remedy = json_text(json_object_get(ch, "cause"), "remedy");

	if (strstr(json_text(ch, "state"), "Failed") != NULL &&
		strstr(remedy, "syncline start") == NULL)
		printf("  %-14s syncline start %s\n", "then", json_text(ch, "channel"));
}

/* Of a failed precheck the first item is the reason; the others. */
static void
show_other_failures(json_t *ch)
{
	bool first = true;
	size_t i;
	json_t *item;

	if (strcmp(json_text(ch, "state"), "Precheck Failed") != 0)
		return;
	json_array_foreach(json_object_get(ch, "precheck"), i, item)
	{
		if (strcmp(json_text(item, "result"), "fail") != 0)
			continue;
		if (!first) {
			printf("  %-14s %s: %s\n", "also", json_text(item, "item"),
				json_text(item, "cause"));
			printf("  %-14s %s\n", "what to do", json_text(item, "remedy"));
		}
		first = false;
	}
}

/* A failure that is the reason stands there already. */
static void
show_restarts(json_t *ch)
{
	json_t *r = json_object_get(ch, "restarts"), *failure = json_object_get(r, "last_failure");

	printf("  %-14s %.0f", "restarts", json_number(r, "count"));
	if (json_is_number(json_object_get(r, "next")))
		printf(", failures in a row %.0f, next start at %s",
			json_number(r, "failures_in_a_row"), say_time(json_object_get(r, "next")));
	putchar('\n');
	if (strcmp(json_text(failure, "text"), json_text(json_object_get(ch, "cause"), "text")) !=
		0)
		show_cause("last failure", failure);
}

static void
show_tables(json_t *tables)
{
	size_t i;
	json_t *t;

	json_array_foreach(tables, i, t)
	{
		if (i == 0)
			printf("  %-40s %-12s %15s %15s %10s\n", "TABLE", "STATE", "ROWS",
				"EXPECTED", "BYTES");
		printf("  %s.%-*s %-12s %15s %15s %10s%s%s\n", json_text(t, "database"),
			(int)(39 - strlen(json_text(t, "database"))), json_text(t, "table"),
			json_text(t, "state"), say_count(json_number(t, "rows")),
			say_count(json_number(t, "rows_expected")),
			say_bytes(json_number(t, "bytes")),
			json_text(t, "reason")[0] != '\0' ? "  " : "", json_text(t, "reason"));
	}
}

static void
show_history(json_t *moves)
{
	size_t i;
	json_t *m;

	json_array_foreach(moves, i, m)
	{
		if (i == 0)
			printf("  latest moves\n");
		printf("    %s  %s%s%s%s%s\n", say_time(json_object_get(m, "time")),
			json_text(m, "what"), json_text(m, "to")[0] != '\0' ? " -> " : "",
			json_text(m, "to"), json_text(m, "text")[0] != '\0' ? ": " : "",
			json_text(m, "text"));
	}
}

void
show_status(json_t *ch, const struct cli *c)
{
	json_t *m = json_object_get(ch, "metrics"), *p = json_object_get(ch, "progress");
	const char *state = json_text(ch, "state");

	printf("%s  %s%s%s since %s\n", json_text(ch, "channel"), state_color(state, c), state,
		no_color(c), say_time(json_object_get(ch, "since")));
	show_cause("reason", json_object_get(ch, "cause"));
	show_other_failures(ch);
	show_way_on(ch);
	printf("  %-14s %s %s -> %s %s\n", "ends", json_text(ch, "source"),
		json_text(ch, "source_address"), json_text(ch, "target"),
		json_text(ch, "target_address"));
	printf("  %-14s %s\n", "file", json_text(ch, "file"));
	printf("  %-14s %s, generation %.0f, reader %.0f, writer %.0f\n", "activity",
		json_text(ch, "activity"), json_number(ch, "generation"),
		json_number(ch, "reader_pid"), json_number(ch, "writer_pid"));
	printf("  %-14s %s%s\n", "wish", json_text(ch, "wish"),
		json_is_true(json_object_get(ch, "wish_in_target")) ? ""
								    : ", not in the target yet");
	printf("  %-14s %s\n", "guarantee", json_text(ch, "guarantee"));
	show_restarts(ch);
	if (json_text(ch, "position")[0] != '\0')
		printf("  %-14s %s\n", "position", json_text(ch, "position"));
	printf("  %-14s %.1f tx/s, %.2f MB/s, delay %s, ring %.0f%% full\n", "now",
		json_number(m, "transactions_per_second"),
		json_number(m, "bandwidth_mb_per_second"), say_delay(m),
		json_number(m, "ring_fill") * 100);
	printf("  %-14s %.0f of %.0f tables stream, %s of %s rows, %s\n", "tables",
		json_number(p, "tables_streaming"), json_number(p, "tables"),
		say_count(json_number(p, "rows")), say_count(json_number(p, "rows_expected")),
		say_bytes(json_number(p, "bytes")));
	show_tables(json_object_get(ch, "table_list"));
	show_history(json_object_get(ch, "history"));
}

void
show_checks(json_t *items, const struct cli *c)
{
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item)
	{
		const char *result = json_text(item, "result");
		const char *color = !c->color			  ? ""
				    : strcmp(result, "pass") == 0 ? "\033[32m"
				    : strcmp(result, "warn") == 0 ? "\033[33m"
								  : "\033[31m";

		printf("%s%-5s%s %s\n", color, result, no_color(c), json_text(item, "item"));
		if (strcmp(result, "pass") == 0)
			continue;
		printf("      cause: %s\n", json_text(item, "cause"));
		if (json_text(item, "remedy")[0] != '\0')
			printf("      remedy: %s\n", json_text(item, "remedy"));
	}
}

/* ---- errors and metrics ---- */

static void
show_image(const char *label, json_t *conflict, const char *key)
{
	if (json_text(conflict, key)[0] != '\0')
		printf("    %-9s %s\n", label, json_text(conflict, key));
}

static void
show_conflict(json_t *x)
{
	printf("  %s  %s of %s.%s %s: %s, %s\n", say_time(json_object_get(x, "time")),
		json_text(x, "operation"), json_text(x, "database"), json_text(x, "table"),
		json_text(x, "key"), json_text(x, "kind"), json_text(x, "action"));
	show_image("before", x, "before");
	show_image("after", x, "after");
	show_image("target", x, "target");
	show_image("position", x, "position");
}

void
show_errors(json_t *channels)
{
	size_t i, k;
	json_t *ch, *x;

	json_array_foreach(channels, i, ch)
	{
		printf("%s  %s\n", json_text(ch, "channel"), json_text(ch, "state"));
		show_cause("reason", json_object_get(ch, "cause"));
		json_array_foreach(json_object_get(ch, "conflicts"), k, x) show_conflict(x);
		json_array_foreach(json_object_get(ch, "errors"), k, x) printf(
			"  %s  %s\n", say_time(json_object_get(x, "time")), json_text(x, "text"));
		if (json_array_size(json_object_get(ch, "conflicts")) +
				json_array_size(json_object_get(ch, "errors")) ==
			0)
			printf("  no conflict, no stop and no restart\n");
	}
}

void
show_metrics(json_t *samples)
{
	size_t i;
	json_t *x;

	printf("%-21s %10s %10s %15s\n", "TIME", "TX/S", "MB/S", "DELAY");
	json_array_foreach(samples, i, x) printf("%-21s %10.1f %10.3f %15s\n",
		say_time(json_object_get(x, "time")), json_number(x, "transactions_per_second"),
		json_number(x, "bandwidth_mb_per_second"), say_delay(x));
}
