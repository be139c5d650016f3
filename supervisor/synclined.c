/*
 * synclined.c - the daemon: arguments, signals, and the order in which things
 * start and end. What it runs is gateway.h's.
 */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "supervisor/channel.h"
#include "supervisor/conf_file.h"
#include "supervisor/conf_show.h"
#include "supervisor/control.h"
#include "supervisor/gateway.h"
#include "supervisor/http.h"
#include "supervisor/logpipe.h"
#include "supervisor/notify.h"
#include "supervisor/reload.h"
#include "supervisor/runner.h"

#define DEFAULT_CONF "/etc/syncline/syncline.conf"
#define PID_FILE "synclined.pid"

struct daemon {
	const char *file;
	bool file_required; /* it was named */
	bool background;
	struct loop *loop;
	struct gateway *gateway;
	struct logpipe *log;
	struct control *control;
	struct http *http;
	struct timer *watchdog;
	char *pid_file;
	char *log_file;
	unsigned ends; /* how often we were asked to end */
};

static const char usage[] =
	"usage: synclined [-dtT] [-c FILE]\n"
	"  -c, --config FILE    configuration (" DEFAULT_CONF ")\n"
	"  -d, --daemonize      go to the background, write a pid file\n"
	"  -t, --test           check the configuration, print all mistakes, end\n"
	"  -T, --dump           print the effective configuration with its places, end\n"
	"      --dump-states    print the table of channel states, end\n"
	"  -V, --version        print the version, end\n"
	"  -h, --help           print this, end\n";

/* ---- -t and -T ---- */

/* NULL: there are errors, and they were printed. */
static struct conf *
read_all(const struct daemon *d, struct channel_confs *channels)
{
	struct conf_notes notes = {0};
	struct conf *conf = NULL;
	struct buf text;

	conf_file_daemon(d->file, d->file_required, &conf, &notes);
	if (conf != NULL)
		conf_file_channels(conf, d->file, channels, &notes);
	buf_init(&text);
	conf_notes_print(&notes, &text);
	fputs(buf_text(&text), stderr);
	buf_release(&text);
	if (notes.errors != 0) {
		conf_free(conf);
		conf = NULL;
	}
	conf_notes_release(&notes);
	return conf;
}

static void
print_effective(const char *file, const struct conf *conf, const struct channel_confs *channels)
{
	struct buf text;

	buf_init(&text);
	buf_printf(&text, "# synclined: %s\n", file);
	conf_print_effective(conf, daemon_options(), &text);
	for (size_t i = 0; i < channels->count; i++) {
		const struct channel_conf *c = &channels->channels[i];

		buf_printf(&text, "\n# channel %s: %s\n", c->id, c->file);
		conf_print_effective(c->conf, channel_options(), &text);
	}
	fputs(buf_text(&text), stdout);
	buf_release(&text);
}

static int
test_configuration(const struct daemon *d, bool dump)
{
	struct channel_confs channels = {0};
	struct conf *conf = read_all(d, &channels);
	int status = conf != NULL ? 0 : rc_exit(RC_CONFIG);

	if (conf != NULL && dump)
		print_effective(d->file, conf, &channels);
	else if (conf != NULL) {
		printf("%s: the configuration is good, %zu channel%s\n", d->file, channels.count,
			channels.count == 1 ? "" : "s");
	}
	channel_confs_release(&channels);
	conf_free(conf);
	return status;
}

/* ---- signals ---- */

static void
on_end(void *arg, int number)
{
	struct daemon *d = arg;
	bool now = number == SIGQUIT || d->ends++ > 0;

	log_info("signal %s: %s", strsignal(number),
		now ? "ending at the last commits" : "draining, then ending");
	notify_stopping();
	gateway_stop(d->gateway, now);
}

static void
log_lines(enum log_level level, struct buf *b)
{
	char *rest = (char *)b->data, *line;

	while (b->len != 0 && (line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			log_line(level, "reload: %s", line);
	buf_release(b);
}

static void
on_hup(void *arg, int number)
{
	struct daemon *d = arg;
	struct buf plan, problems;
	struct err e = {0};

	(void)number;
	if (d->gateway->stopping)
		return;
	buf_init(&plan);
	buf_init(&problems);
	notify_reloading();
	if (gateway_reload(d->gateway, d->file, d->file_required, false, &plan, &problems, &e) !=
		RC_OK)
		log_err(LOG_LVL_ERROR, &e);
	log_lines(LOG_LVL_ERROR, &problems);
	log_lines(LOG_LVL_INFO, &plan);
	notify_ready();
}

static void
on_usr1(void *arg, int number)
{
	struct daemon *d = arg;
	struct err e;

	(void)number;
	if (d->log_file == NULL)
		return;
	if (logpipe_to_file(d->log_file, &e) != RC_OK)
		log_err(LOG_LVL_ERROR, &e);
	else
		log_info("the log was opened again");
}

/* ---- the loop's own ---- */

static void
on_idle(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

static void
on_second(void *arg)
{
	const struct gateway *g = ((struct daemon *)arg)->gateway;
	size_t flowing = 0, failed = 0;
	int64_t worst = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct metrics_rates m = runner_rates(g->runners[i]);

		flowing += g->runners[i]->flowing;
		failed += g->runners[i]->channel.record.cause.rc != RC_OK;
		if (g->runners[i]->flowing && m.delay_ms > worst)
			worst = m.delay_ms;
	}
	notify_status("%zu channels, %zu flow, %zu need a person, longest delay %.1f s", g->count,
		flowing, failed, (double)worst / 1000);
}

/* The loop turns, so we live; a worker that hangs is replaced by its own heartbeat. */
static void
on_watchdog(void *arg)
{
	(void)arg;
	notify_alive();
}

/* ---- starting ---- */

/* The first process waits for a byte: the daemon is up, or its pipe closes: it is not. */
static int
go_to_background(void)
{
	int fds[2];
	char byte;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	switch (fork()) {
	case -1:
		return -1;
	case 0:
		close(fds[0]);
		setsid();
		return fds[1];
	default:
		close(fds[1]);
		while ((n = read(fds[0], &byte, 1)) < 0 && errno == EINTR)
			;
		_exit(n == 1 ? 0 : rc_exit(RC_CONFIG));
	}
}

/* Standard error stays where the log goes; without a log file there is nobody to read it. */
static void
leave_terminal(const struct daemon *d, int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)!write(ready, "", 1);
	close(ready);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (d->log_file == NULL)
		dup2(null, STDERR_FILENO);
	close(null);
}

static enum rc
write_pid_file(struct daemon *d, struct err *e)
{
	FILE *f;

	d->pid_file = xasprintf("%s/%s", conf_str(d->gateway->conf, "run_dir"), PID_FILE);
	f = fopen(d->pid_file, "we");
	if (f == NULL || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0)
		return err_errno(e, RC_CONFIG, "cannot write the pid file %s", d->pid_file);
	return RC_OK;
}

static enum rc
start_log(struct daemon *d, const struct conf *conf, struct err *e)
{
	enum log_level level;

	log_init("synclined", NULL);
	if (log_parse_level(conf_str(conf, "log_level"), &level))
		log_set_level(level);
	log_set_json(conf_is(conf, "log_format", "json"));
	if (conf_str(conf, "log_file") != NULL) {
		d->log_file = xstrdup(conf_str(conf, "log_file"));
		if (logpipe_to_file(d->log_file, e) != RC_OK)
			return e->rc;
	}
	return logpipe_new(d->loop, NULL, NULL, &d->log, e);
}

static enum rc
start_doors(struct daemon *d, struct err *e)
{
	const struct conf *conf = d->gateway->conf;
	struct control_spec spec = {
		.gateway = d->gateway, .conf_file = d->file, .conf_required = d->file_required};
	enum rc rc = control_new(&spec, &d->control, e);

	if (rc == RC_OK && strcmp(conf_str(conf, "metrics_listen"), "off") != 0)
		rc = http_new(d->gateway, conf_str(conf, "metrics_listen"), &d->http, e);
	if (rc == RC_OK && d->http != NULL)
		log_info("metrics on port %u", http_port(d->http));
	if (rc == RC_OK && d->background)
		rc = write_pid_file(d, e);
	return rc;
}

static void
watch_signals(struct daemon *d)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	loop_signal(d->loop, SIGTERM, on_end, d);
	loop_signal(d->loop, SIGINT, on_end, d);
	loop_signal(d->loop, SIGQUIT, on_end, d);
	loop_signal(d->loop, SIGHUP, on_hup, d);
	loop_signal(d->loop, SIGUSR1, on_usr1, d);
}

static void
start_channels(struct daemon *d, struct channel_confs *channels)
{
	for (size_t i = 0; i < channels->count; i++) {
		struct channel_conf *c = &channels->channels[i];

		gateway_add(d->gateway, c->id, c->file, c->conf);
		c->conf = NULL;
	}
	for (size_t i = 0; i < d->gateway->count; i++)
		runner_begin(d->gateway->runners[i]);
}

static void
start_watchdog(struct daemon *d)
{
	uint64_t every = notify_watchdog_ms();

	if (every == 0)
		return;
	d->watchdog = timer_new(d->loop, on_watchdog, d);
	timer_every(d->watchdog, every);
}

static void
close_all(struct daemon *d)
{
	timer_free(d->watchdog);
	http_free(d->http);
	control_free(d->control);
	gateway_free(d->gateway);
	logpipe_free(d->log);
	loop_free(d->loop);
	if (d->pid_file != NULL)
		unlink(d->pid_file);
	free(d->pid_file);
	free(d->log_file);
}

/* conf is taken over when the gateway has it. */
static enum rc
start_all(struct daemon *d, struct conf *conf, struct channel_confs *channels, struct err *e)
{
	enum rc rc = start_log(d, conf, e);

	if (rc == RC_OK)
		rc = gateway_new(d->loop, conf, NULL, logpipe_fd(d->log), &d->gateway, e);
	if (rc != RC_OK) {
		conf_free(conf);
		return rc;
	}
	d->gateway->arg = d;
	d->gateway->on_idle = on_idle;
	d->gateway->on_second = on_second;
	if ((rc = start_doors(d, e)) != RC_OK)
		return rc;
	watch_signals(d);
	start_watchdog(d);
	log_info("synclined %s starts, channels: %zu, workers in %s", SYNCLINE_VERSION,
		channels->count, d->gateway->libexec);
	start_channels(d, channels);
	return RC_OK;
}

/* Channels take a handful each; a shell's lower limit is meant for programs that use select(). */
static void
raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

static int
run(struct daemon *d)
{
	struct channel_confs channels = {0};
	struct conf *conf = read_all(d, &channels);
	struct err e;
	enum rc rc = RC_CONFIG;
	int ready = -1;

	if (conf == NULL) {
		channel_confs_release(&channels);
		return rc_exit(RC_CONFIG);
	}
	if (d->background && (ready = go_to_background()) < 0) {
		err_errno(&e, RC_RETRY, "cannot go to the background");
		fatal(&e);
	}
	umask(0027);
	prctl(PR_SET_DUMPABLE, 0); /* credentials pass through our memory */
	raise_limit();
	d->loop = loop_new();
	if ((rc = start_all(d, conf, &channels, &e)) == RC_OK) {
		if (ready >= 0)
			leave_terminal(d, ready);
		notify_ready();
		loop_run(d->loop);
		log_info("synclined ends");
	} else {
		log_err(LOG_LVL_ERROR, &e);
	}
	channel_confs_release(&channels);
	close_all(d);
	return rc_exit(rc);
}

/* getopt_long's "struct option" is also the name of our rows of settings: so by hand. */
static bool
is_option(const char *word, const char *brief, const char *full)
{
	return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

int
main(int argc, char **argv)
{
	struct daemon d = {.file = DEFAULT_CONF};
	bool test = false, dump = false;

	for (int i = 1; i < argc; i++) {
		if (is_option(argv[i], "-c", "--config") && i + 1 < argc) {
			d.file = argv[++i];
			d.file_required = true;
		} else if (is_option(argv[i], "-d", "--daemonize")) {
			d.background = true;
		} else if (is_option(argv[i], "-t", "--test")) {
			test = true;
		} else if (is_option(argv[i], "-T", "--dump")) {
			dump = true;
		} else if (strcmp(argv[i], "--dump-states") == 0) {
			channel_dump(stdout);
			return 0;
		} else if (is_option(argv[i], "-V", "--version")) {
			printf("synclined %s\n", SYNCLINE_VERSION);
			return 0;
		} else if (is_option(argv[i], "-h", "--help")) {
			fputs(usage, stdout);
			return 0;
		} else {
			fprintf(stderr, "synclined: \"%s\" is not understood\n%s", argv[i], usage);
			return rc_exit(RC_CONFIG);
		}
	}
	return test || dump ? test_configuration(&d, dump) : run(&d);
}
