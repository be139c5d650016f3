/* commands.c - the tables of commands and options, and what derives from them. */
#include "common/compat.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"

#define O(symbol) (1u << OPT_##symbol)
#define EVERY (O(SOCKET) | O(JSON))
#define WAITING (EVERY | O(WAIT) | O(TIMEOUT))

static const struct command commands[] = {
	{"list", "", 0, 0, EVERY, "All channels, one a line.", cli_list},
	{"status", "[CHANNEL]", 0, 1, EVERY,
		"State, reason and remedy, restarts, progress of each table, latest moves.",
		cli_status},
	{"start", "CHANNEL", 1, 1, WAITING, "Start a channel, or start it again.", cli_start},
	{"resume", "CHANNEL", 1, 1, WAITING, "The same as start.", cli_start},
	{"pause", "CHANNEL", 1, 1, WAITING, "Rest until the next start; nothing is lost.",
		cli_pause},
	{"stop", "CHANNEL", 1, 1, WAITING, "End a channel for good: only reset follows.", cli_stop},
	{"reset", "CHANNEL", 1, 1, WAITING | O(YES),
		"Forget a channel's position and progress, here and at the target. Asks.",
		cli_reset},
	{"resync", "CHANNEL TABLE", 2, 2, WAITING,
		"Load one table again: its rows at the target go and come anew.", cli_resync},
	{"check", "FILE|CHANNEL", 1, 1, EVERY | O(SQL) | O(LIBEXEC),
		"Precheck both ends; a file needs no daemon.", cli_check},
	{"reload", "", 0, 0, EVERY | O(DRY_RUN), "Read the configuration again, all or nothing.",
		cli_reload},
	{"errors", "[CHANNEL]", 0, 1, EVERY | O(LIMIT),
		"Conflicts with key and images, and what stopped or restarted a channel.",
		cli_errors},
	{"top", "[CHANNEL]", 0, 1, EVERY | O(INTERVAL), "The list, again and again.", cli_top},
	{"metrics", "CHANNEL", 1, 1, EVERY | O(SINCE), "The trend of speed, bandwidth and delay.",
		cli_metrics},
	{"run", "FILE", 1, 1, O(STATE) | O(UNTIL) | O(START) | O(LIBEXEC) | O(VERBOSE),
		"One channel in the foreground, without a daemon.", cli_run},
};

static const struct {
	const char *name;
	const char *argument; /* NULL: a flag */
	const char *preset;
	const char *help;
} options[OPT_COUNT] = {
#define X(symbol, name, arg, preset, help) [OPT_##symbol] = {name, arg, preset, help},
	CLI_OPTION_LIST(X)
#undef X
};

static const char exits[] =
	"Exit status: 0 ok, 1 failed, 2 usage, 3 synclined is not running, 4 timed out;\n"
	"65 data, 66 conflict, 67 fenced, 70 defect, 75 try again, 78 configuration.\n";

bool
cli_time(const char *text, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"m", 60000}, {"h", 3600000},
		{"d", 86400000}};
	char *rest;
	unsigned long long n;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	n = strtoull(text, &rest, 10);
	for (size_t i = 0; i < COUNT_OF(units); i++)
		if (strcmp(rest, units[i].unit) == 0 && errno == 0 && n <= 36500) {
			*ms = n * units[i].ms;
			return true;
		}
	return false;
}

/* ---- help ---- */

static void
help_options(unsigned bits)
{
	for (enum cli_option o = 0; o < OPT_COUNT; o++) {
		char name[64];

		if (!(bits & (1u << o)))
			continue;
		snprintf(name, sizeof name, "--%s%s%s", options[o].name,
			options[o].argument != NULL ? " " : "",
			options[o].argument != NULL ? options[o].argument : "");
		printf("  %-18s %s%s%s%s\n", name, options[o].help,
			options[o].preset != NULL ? " Default: " : "",
			options[o].preset != NULL ? options[o].preset : "",
			options[o].preset != NULL ? "." : "");
	}
}

static int
help_all(void)
{
	printf("syncline - control synclined, or run one channel\n\n");
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		printf("  %-8s %-13s %s\n", commands[i].name, commands[i].arguments,
			commands[i].help);
	printf("\n`syncline help COMMAND` names a command's options.\n\n"
	       "  syncline run orders.conf --until caught-up\n"
	       "  syncline pause orders --wait\n"
	       "  syncline status orders --json\n\n%s",
		exits);
	return CLI_OK;
}

static int
help_command(const struct command *m)
{
	printf("syncline %s%s%s\n\n%s\n\n", m->name, *m->arguments != '\0' ? " " : "", m->arguments,
		m->help);
	help_options(m->options);
	printf("\n%s", exits);
	return CLI_OK;
}

/* For the test that holds the manual against these tables. */
static int
dump(void)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		printf("%s\t%s", commands[i].name, commands[i].arguments);
		for (enum cli_option o = 0; o < OPT_COUNT; o++)
			if (commands[i].options & (1u << o))
				printf("\t--%s", options[o].name);
		putchar('\n');
	}
	return CLI_OK;
}

/* ---- parsing ---- */

/* m: NULL where it is not known which command is meant. */
static int
usage(const struct command *m, const char *what, const char *word)
{
	fprintf(stderr, "syncline: %s%s%s%s\n", what, word != NULL ? " \"" : "",
		word != NULL ? word : "", word != NULL ? "\"" : "");
	if (m == NULL)
		fprintf(stderr, "  what to do: see `syncline help`\n");
	else
		fprintf(stderr,
			"  usage: syncline %s%s%s%s\n  what to do: see `syncline help %s`\n",
			m->name, m->options != 0 ? " [--OPTION ...]" : "",
			*m->arguments != '\0' ? " " : "", m->arguments, m->name);
	return CLI_USAGE;
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static enum cli_option
find_option(const char *word, const char **value)
{
	size_t n = strcspn(word, "=");

	*value = word[n] == '=' ? word + n + 1 : NULL;
	for (enum cli_option o = 0; o < OPT_COUNT; o++)
		if (strlen(options[o].name) == n && strncmp(options[o].name, word, n) == 0)
			return o;
	return OPT_COUNT;
}

/* One word that begins with --; takes the next for its value if it needs one. */
static int
parse_option(struct cli *c, const struct command *m, char **argv, int *i)
{
	const char *value;
	enum cli_option o = find_option(argv[*i] + 2, &value);

	if (o == OPT_COUNT || !(m->options & (1u << o)))
		return usage(m, "this command has no option", argv[*i]);
	if (options[o].argument == NULL) {
		if (value != NULL)
			return usage(m, "this option takes no value:", argv[*i]);
		value = "";
	} else if (value == NULL) {
		value = argv[*i + 1];
		if (value == NULL)
			return usage(m, "a value is missing after", argv[*i]);
		(*i)++;
	}
	c->value[o] = value;
	return CLI_OK;
}

static int
parse(struct cli *c, const struct command *m, char **argv)
{
	bool words_only = false;
	int status;

	for (enum cli_option o = 0; o < OPT_COUNT; o++)
		c->value[o] = options[o].preset;
	for (int i = 2; argv[i] != NULL; i++) {
		if (!words_only && strcmp(argv[i], "--") == 0) {
			words_only = true;
		} else if (!words_only && strncmp(argv[i], "--", 2) == 0) {
			if ((status = parse_option(c, m, argv, &i)) != CLI_OK)
				return status;
		} else if (!words_only && argv[i][0] == '-' && argv[i][1] != '\0') {
			return usage(m, "options begin with two dashes:", argv[i]);
		} else if (c->narguments >= m->most) {
			return usage(m, "one argument too many:", argv[i]);
		} else {
			c->arguments[c->narguments++] = argv[i];
		}
	}
	return c->narguments < m->least ? usage(m, "an argument is missing", NULL) : CLI_OK;
}

static bool
wants_help(char **argv)
{
	for (int i = 1; argv[i] != NULL && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int
command_main(int argc, char **argv)
{
	const char *no_color = getenv("NO_COLOR");
	struct cli c = {.terminal = isatty(STDOUT_FILENO) != 0};
	const struct command *m;
	int status;

	c.color = c.terminal && (no_color == NULL || *no_color == '\0');
	if (argc < 2)
		return usage(NULL, "a command is missing", NULL);
	if (strcmp(argv[1], "--version") == 0) {
		printf("syncline %s\n", SYNCLINE_VERSION);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--dump-commands") == 0)
		return dump();
	if (strcmp(argv[1], "help") == 0 && argc > 2 && argv[2][0] != '-') {
		m = find_command(argv[2]);
		return m != NULL ? help_command(m) : usage(NULL, "there is no command", argv[2]);
	}
	m = find_command(argv[1]);
	if (wants_help(argv) || strcmp(argv[1], "help") == 0)
		return m != NULL ? help_command(m) : help_all();
	if (m == NULL)
		return usage(NULL, "there is no command", argv[1]);
	status = parse(&c, m, argv);
	return status == CLI_OK ? m->run(&c) : status;
}
