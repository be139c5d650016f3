/*
 * cli.h - the tool `syncline`: its commands, options and exit statuses.
 *
 * commands.c holds the one table of commands and the one of options: help,
 * parsing, dispatch and the manual's list derive from them.
 */
#ifndef SUPERVISOR_CLI_CLI_H
#define SUPERVISOR_CLI_CLI_H

#include "common/compat.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "ipc/report.h"

/* Beside the one table of common/err.h. */
enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOT_RUNNING = 3, CLI_TIMED_OUT = 4 };

/*	symbol	long name	its argument	default	help */
#define CLI_OPTION_LIST(X)                                                                    \
	X(SOCKET, "socket", "PATH", NULL, "Control socket of the daemon.")                    \
	X(JSON, "json", NULL, NULL, "Print JSON.")                                            \
	X(WAIT, "wait", NULL, NULL, "Return when it is done, not when it is accepted.")       \
	X(TIMEOUT, "timeout", "TIME", "1h", "How long to wait, such as 30s.")                 \
	X(YES, "yes", NULL, NULL, "Do not ask.")                                              \
	X(SQL, "sql", NULL, NULL, "Print what an administrator must run first.")              \
	X(DRY_RUN, "dry-run", NULL, NULL, "Say what would change, and change nothing.")       \
	X(SINCE, "since", "TIME", "1h", "How far back, such as 1h or 7d.")                    \
	X(INTERVAL, "interval", "TIME", "1s", "Time between two looks.")                      \
	X(LIMIT, "limit", "N", "20", "How many at most, the newest.")                         \
	X(STATE, "state", "DIR", NULL, "State directory; default: a temporary one, removed.") \
	X(UNTIL, "until", "WHEN", NULL, "End when \"loaded\" or \"caught-up\".")              \
	X(START, "start", NULL, NULL, "Start the channel even if it was paused.")             \
	X(LIBEXEC, "libexec", "DIR", NULL, "Directory of the worker programs.")               \
	X(VERBOSE, "verbose", NULL, NULL, "Log what happens, not only what is wrong.")

enum cli_option {
#define X(symbol, name, arg, preset, help) OPT_##symbol,
	CLI_OPTION_LIST(X)
#undef X
		OPT_COUNT
};

struct cli {
	const char *value[OPT_COUNT]; /* NULL: not given and no default; "" for a flag */
	const char *arguments[2];
	int narguments;
	bool terminal; /* standard output is one */
	bool color;
};

struct command {
	const char *name;
	const char *arguments; /* "CHANNEL", "[CHANNEL]" */
	int least, most;
	unsigned options; /* bits 1 << enum cli_option */
	const char *help;
	int (*run)(const struct cli *c);
};

/* Parses, dispatches; the exit status. */
int command_main(int argc, char **argv);
/* "30s" to milliseconds; false if it is none. */
bool cli_time(const char *text, uint64_t *ms);

/* ---- the commands ---- */
int cli_list(const struct cli *c);
int cli_status(const struct cli *c);
int cli_start(const struct cli *c);
int cli_pause(const struct cli *c);
int cli_stop(const struct cli *c);
int cli_reset(const struct cli *c);
int cli_resync(const struct cli *c);
int cli_check(const struct cli *c);
int cli_reload(const struct cli *c);
int cli_errors(const struct cli *c);
int cli_top(const struct cli *c);
int cli_metrics(const struct cli *c);
int cli_run(const struct cli *c);

/* ---- printing (show.c) ---- */
void show_error(const char *text, const char *remedy);
int show_err(const struct err *e); /* prints it; the exit status of its class */
void show_json(json_t *j);	   /* and gives the reference back */
void show_list(json_t *channels, const struct cli *c);
void show_status(json_t *channel, const struct cli *c);
void show_checks(json_t *items, const struct cli *c);
void show_errors(json_t *channels);
void show_metrics(json_t *samples);
const char *json_text(json_t *object, const char *key); /* "" if it is none */
double json_number(json_t *object, const char *key);
/* "1,234,567", "12.3 MB", "1:02:03"; in a ring of static buffers, good for one line. */
const char *say_count(double n);
const char *say_bytes(double n);
const char *say_seconds(double s);
const char *say_delay(json_t *metrics);

/* ---- progress (progress.c) ---- */
struct progress {
	FILE *to;
	bool terminal;
	bool drawn; /* a line stands on the terminal */
	char last[512];
	uint64_t said_us;
};
void progress_init(struct progress *p, FILE *to);
void progress_show(struct progress *p, json_t *channel);
/* Makes room for other output; the next progress_show draws again. */
void progress_clear(struct progress *p);

/* ---- the daemon (client.c) ---- */
struct client;
/* Prints why not; *status is then the exit status. */
struct client *client_open(const struct cli *c, int *status);
void client_close(struct client *cl);
/* Takes the request over. False: could not be sent. */
bool client_send(struct client *cl, json_t *request);
/* The next reply line, a new reference; NULL: none within timeout_ms (*timed_out) or the daemon is
 * gone. */
json_t *client_receive(struct client *cl, int timeout_ms, bool *timed_out);
/* Prints an error reply and gives it back; its exit status. */
int client_refused(json_t *reply);
/* Asks, prints an error reply. The reply's exit status; *reply is a new reference if it is OK. */
int client_ask(struct client *cl, json_t *request, json_t **reply);

#endif
