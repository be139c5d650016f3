/* exposition.c - see exposition.h. */
#include "common/compat.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "supervisor/exposition.h"
#include "supervisor/runner.h"

/* A value of one channel; NAN: nothing is known, no line. */
typedef double (*value_fn)(const struct runner *r, enum statistic s);

static double
counter(const struct runner *r, enum statistic s)
{
	return (double)metrics_get(&r->metrics, s);
}

static double
gauge(const struct runner *r, enum statistic s)
{
	return (double)r->metrics.now[s];
}

static double
seconds(const struct runner *r, enum statistic s)
{
	return r->metrics.now[s] != 0 ? (double)r->metrics.now[s] / 1e6 : NAN;
}

static double
backlog(const struct runner *r, enum statistic s)
{
	return r->metrics.now[s] != UINT64_MAX && r->flowing ? (double)r->metrics.now[s] : NAN;
}

static double
delay(const struct runner *r, enum statistic s)
{
	struct metrics_rates m = runner_rates(r);

	(void)s;
	return m.delay_ms >= 0 ? (double)m.delay_ms / 1e3 : NAN;
}

static double
bandwidth(const struct runner *r, enum statistic s)
{
	(void)s;
	return runner_rates(r).bandwidth * 1e6;
}

static double
tps(const struct runner *r, enum statistic s)
{
	(void)s;
	return runner_rates(r).tps;
}

static double
restarts(const struct runner *r, enum statistic s)
{
	(void)s;
	return (double)r->mirror.restarts;
}

static double
up(const struct runner *r, enum statistic s)
{
	(void)s;
	return r->flowing;
}

static double
fill_ratio(const struct runner *r, enum statistic s)
{
	uint64_t size = r->metrics.now[STAT_RING_SIZE];

	(void)s;
	return size != 0 ? (double)r->metrics.now[STAT_RING_FILL] / (double)size : NAN;
}

static const struct series {
	const char *name;
	const char *type;
	const char *label; /* a second label, name and value; rows of one name stand together */
	const char *help;
	value_fn value;
	enum statistic stat;
} rows[] = {
	{"syncline_channel_up", "gauge", NULL, "Whether the channel's stream is open.", up, 0},
	{"syncline_delay_seconds", "gauge", NULL,
		"Source clock now less commit time of the newest transaction applied.", delay, 0},
	{"syncline_bandwidth_bytes_per_second", "gauge", NULL,
		"Traffic between reader and writer over the last seconds.", bandwidth, 0},
	{"syncline_transactions_per_second", "gauge", NULL,
		"Source transactions applied over the last seconds.", tps, 0},
	{"syncline_source_read_bytes_total", "counter", NULL, "Log bytes read from the source.",
		counter, STAT_READ_BYTES},
	{"syncline_source_transactions_total", "counter", NULL,
		"Transactions read from the source.", counter, STAT_READ_TXNS},
	{"syncline_source_backlog_bytes", "gauge", NULL, "Log of the source not read yet.", backlog,
		STAT_READ_LAG},
	{"syncline_source_commit_timestamp_seconds", "gauge", NULL,
		"Commit time of the newest transaction read.", seconds, STAT_SOURCE_TIME},
	{"syncline_applied_commit_timestamp_seconds", "gauge", NULL,
		"Source commit time of the newest transaction applied.", seconds,
		STAT_APPLIED_TIME},
	{"syncline_applied_timestamp_seconds", "gauge", NULL,
		"When the newest transaction was applied.", seconds, STAT_APPLIED_AT},
	{"syncline_read_to_applied_seconds", "gauge", NULL,
		"Time of the newest group from read to committed.", seconds, STAT_READ_TO_APPLIED},
	{"syncline_ring_bytes_total", "counter", NULL, "Bytes from reader to writer.", counter,
		STAT_RING_BYTES},
	{"syncline_ring_fill_ratio", "gauge", NULL, "How full the stream's ring is.", fill_ratio,
		0},
	{"syncline_target_transactions_total", "counter", NULL, "Source transactions applied.",
		counter, STAT_APPLIED_TXNS},
	{"syncline_target_commits_total", "counter", NULL, "Transactions committed at the target.",
		counter, STAT_COMMITS},
	{"syncline_rows_total", "counter", "operation=\"insert\"", "Rows applied from the stream.",
		counter, STAT_INSERTS},
	{"syncline_rows_total", "counter", "operation=\"update\"", "", counter, STAT_UPDATES},
	{"syncline_rows_total", "counter", "operation=\"delete\"", "", counter, STAT_DELETES},
	{"syncline_ddl_total", "counter", NULL, "DDL statements applied.", counter, STAT_DDLS},
	{"syncline_load_rows_total", "counter", NULL, "Rows committed by initial loads.", counter,
		STAT_LOADED_ROWS},
	{"syncline_load_rows_expected", "gauge", NULL,
		"Rows of the initial load, as the source's catalog estimates.", gauge,
		STAT_LOAD_ROWS_EXPECTED},
	{"syncline_load_rows_kept_total", "counter", NULL,
		"Rows that loads found at the target and kept.", counter, STAT_IGNORED_ROWS},
	{"syncline_tables", "gauge", NULL, "Tables selected, less those in quarantine.", gauge,
		STAT_TABLES_TOTAL},
	{"syncline_tables_streaming", "gauge", NULL, "Tables whose changes flow.", gauge,
		STAT_TABLES_STREAMING},
	{"syncline_retries_total", "counter", NULL, "Groups run again at the target.", counter,
		STAT_RETRIES},
	{"syncline_conflicts_total", "counter", NULL,
		"Changes that the target's row did not expect.", counter, STAT_CONFLICTS},
	{"syncline_rows_unmatched_total", "counter", NULL,
		"Changes of rows that deselected changes (dml) never brought.", counter,
		STAT_UNMATCHED},
	{"syncline_changes_merged_total", "counter", NULL,
		"Changes that became part of another of their row (apply).", counter, STAT_MERGED},
	{"syncline_restarts_total", "counter", NULL, "Restarts of the channel's workers.", restarts,
		0},
};

/* Backslash, quote and newline have a meaning in label values. */
static void
add_label_value(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '\n')
			buf_puts(b, "\\n");
		else if (*s == '"' || *s == '\\')
			buf_printf(b, "\\%c", *s);
		else
			buf_putc(b, *s);
}

static void
head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
write_row(const struct gateway *g, const struct series *row, struct buf *b)
{
	for (size_t i = 0; i < g->count; i++) {
		double v = row->value(g->runners[i], row->stat);

		if (isnan(v))
			continue;
		buf_printf(b, "%s{channel=\"", row->name);
		add_label_value(b, g->runners[i]->id);
		buf_printf(b, "\"%s%s} %.15g\n", row->label != NULL ? "," : "",
			row->label != NULL ? row->label : "", v);
	}
}

/* One line per state: the usual form of an enum. */
static void
write_states(const struct gateway *g, struct buf *b)
{
	head(b, "syncline_channel_state", "gauge", "1 for the state that the channel is in.");
	for (size_t i = 0; i < g->count; i++)
		for (enum channel_state s = 0; s < CHANNEL_STATE_COUNT; s++) {
			buf_puts(b, "syncline_channel_state{channel=\"");
			add_label_value(b, g->runners[i]->id);
			buf_printf(b, "\",state=\"%s\"} %d\n", channel_state_name(s),
				g->runners[i]->channel.record.state == s);
		}
}

void
exposition_write(const struct gateway *g, struct buf *b)
{
	head(b, "syncline_build_info", "gauge", "The version that runs.");
	buf_puts(b, "syncline_build_info{version=\"" SYNCLINE_VERSION "\"} 1\n");
	head(b, "syncline_start_timestamp_seconds", "gauge", "When the supervisor started.");
	buf_printf(b, "syncline_start_timestamp_seconds %.15g\n", (double)g->started_us / 1e6);
	head(b, "syncline_channels", "gauge", "Channels configured.");
	buf_printf(b, "syncline_channels %zu\n", g->count);
	write_states(g, b);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
			head(b, rows[i].name, rows[i].type, rows[i].help);
		write_row(g, &rows[i], b);
	}
}
