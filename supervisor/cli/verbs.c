/* verbs.c - the commands that speak with the daemon. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/mem.h"
#include "supervisor/cli/cli.h"

#define WATCH_MS 250
#define LEAST_INTERVAL_MS 100

static json_t *
request(const char *verb, const struct cli *c)
{
	json_t *j = json_object();

	json_object_set_new(j, "verb", json_string(verb));
	if (c->narguments > 0)
		json_object_set_new(j, "channel", json_string(c->arguments[0]));
	if (c->narguments > 1)
		json_object_set_new(j, "table", json_string(c->arguments[1]));
	return j;
}

/* Asks once. On CLI_OK *reply is the caller's. */
static int
ask(const struct cli *c, json_t *what, json_t **reply)
{
	int status;
	struct client *cl = client_open(c, &status);

	if (cl == NULL) {
		json_decref(what);
		return status;
	}
	status = client_ask(cl, what, reply);
	client_close(cl);
	return status;
}

/* ---- looking ---- */

int
cli_list(const struct cli *c)
{
	json_t *reply;
	int status = ask(c, request("list", c), &reply);

	if (status != CLI_OK)
		return status;
	if (c->value[OPT_JSON] != NULL) {
		show_json(reply);
		return CLI_OK;
	}
	show_list(json_object_get(reply, "channels"), c);
	json_decref(reply);
	return CLI_OK;
}

int
cli_status(const struct cli *c)
{
	json_t *reply, *ch;
	size_t i;
	int status = ask(c, request("status", c), &reply);

	if (status != CLI_OK)
		return status;
	if (c->value[OPT_JSON] != NULL) {
		show_json(reply);
		return CLI_OK;
	}
	json_array_foreach(json_object_get(reply, "channels"), i, ch) show_status(ch, c);
	json_decref(reply);
	return CLI_OK;
}

int
cli_errors(const struct cli *c)
{
	const char *limit = c->value[OPT_LIMIT];
	json_t *reply, *what;
	int status;

	if (strspn(limit, "0123456789") != strlen(limit) || strlen(limit) > 6 ||
		strtoll(limit, NULL, 10) == 0) {
		show_error("--limit wants a number from 1 to 999999", NULL);
		return CLI_USAGE;
	}
	what = request("errors", c);
	json_object_set_new(what, "limit", json_integer(strtoll(limit, NULL, 10)));
	status = ask(c, what, &reply);
	if (status != CLI_OK)
		return status;
	if (c->value[OPT_JSON] != NULL) {
		show_json(reply);
		return CLI_OK;
	}
	show_errors(json_object_get(reply, "channels"));
	json_decref(reply);
	return CLI_OK;
}

int
cli_metrics(const struct cli *c)
{
	json_t *reply, *what;
	uint64_t since;
	int status;

	if (!cli_time(c->value[OPT_SINCE], &since)) {
		show_error("--since wants a time, such as 1h", NULL);
		return CLI_USAGE;
	}
	what = request("metrics", c);
	json_object_set_new(what, "since_ms", json_integer((json_int_t)since));
	status = ask(c, what, &reply);
	if (status != CLI_OK)
		return status;
	if (c->value[OPT_JSON] != NULL) {
		show_json(reply);
		return CLI_OK;
	}
	show_metrics(json_object_get(reply, "samples"));
	json_decref(reply);
	return CLI_OK;
}

/* ---- doing, and waiting for it ---- */

enum settled { NOT_YET, SETTLED, FAILED };

static bool
is_state(json_t *ch, const char *state)
{
	return strcmp(json_text(ch, "state"), state) == 0;
}

static enum settled
settled_start(json_t *ch)
{
	if (strstr(json_text(ch, "state"), "Failed") != NULL)
		return FAILED;
	return is_state(ch, "Synchronizing") && json_is_true(json_object_get(ch, "flowing"))
		       ? SETTLED
		       : NOT_YET;
}

/* What is asked for must hold, nothing may run any more, and the target must know. */
static enum settled
settled_rest(json_t *ch, const char *state)
{
	if (!is_state(ch, state))
		return FAILED;
	if (!json_is_true(json_object_get(ch, "idle")))
		return NOT_YET;
	return json_is_object(json_object_get(ch, "cause")) ? FAILED : SETTLED;
}

/* Every table streams again, or cannot. */
static enum settled
settled_resync(json_t *ch)
{
	json_t *p = json_object_get(ch, "progress");

	if (strstr(json_text(ch, "state"), "nchronizing") == NULL &&
		!is_state(ch, "Performing Initial Synchronization"))
		return FAILED;
	return json_number(p, "tables_reload") == 0 &&
			       json_number(p, "tables_streaming") +
					       json_number(p, "tables_quarantined") ==
				       json_number(p, "tables")
		       ? SETTLED
		       : NOT_YET;
}

static enum settled
settled(const char *verb, json_t *ch)
{
	if (strcmp(verb, "start") == 0)
		return settled_start(ch);
	if (strcmp(verb, "resync") == 0)
		return settled_resync(ch);
	return settled_rest(ch, strcmp(verb, "pause") == 0  ? "Paused"
				: strcmp(verb, "stop") == 0 ? "Completed"
							    : "Not Configured");
}

static int
report_failure(json_t *ch)
{
	json_t *cause = json_object_get(ch, "cause");
	char *text = xasprintf("channel \"%s\" is %s%s%s", json_text(ch, "channel"),
		json_text(ch, "state"), json_is_object(cause) ? ": " : "",
		json_text(cause, "text"));
	int status = (int)json_number(cause, "exit");

	show_error(text, json_text(cause, "remedy"));
	free(text);
	return status != 0 ? status : CLI_FAILED;
}

static int
wait_settled(struct client *cl, const struct cli *c, const char *verb, uint64_t timeout_ms,
	json_t *order_reply)
{
	uint64_t deadline = mono_us() + timeout_ms * 1000;
	json_t *what = request("watch", c), *reply, *ch;
	struct progress p;
	int status = -1;

	json_object_set_new(what, "interval_ms", json_integer(WATCH_MS));
	progress_init(&p, stderr);
	if (!client_send(cl, what))
		return CLI_NOT_RUNNING;
	while (status < 0) {
		uint64_t now = mono_us();
		bool timed_out = now >= deadline;

		reply = timed_out ? NULL
				  : client_receive(
					    cl, (int)((deadline - now) / 1000 + 1), &timed_out);
		ch = json_array_get(json_object_get(reply, "channels"), 0);
		if (timed_out)
			status = CLI_TIMED_OUT;
		else if (ch == NULL)
			status = CLI_NOT_RUNNING;
		else if (settled(verb, ch) == SETTLED) {
			status = CLI_OK;
			json_object_set(order_reply, "channel", ch);
		} else if (settled(verb, ch) == FAILED) {
			progress_clear(&p);
			status = report_failure(ch);
		} else
			progress_show(&p, ch);
		json_decref(reply);
	}
	progress_clear(&p);
	if (status == CLI_TIMED_OUT)
		show_error("it is not done yet", "look at it with `syncline status`");
	if (status == CLI_NOT_RUNNING)
		show_error("synclined went away", "see its log");
	return status;
}

static void
show_order(const struct cli *c, json_t *reply)
{
	json_t *ch = json_object_get(reply, "channel");

	if (c->value[OPT_JSON] != NULL)
		show_json(json_incref(reply));
	else
		printf("%s: %s\n", json_text(ch, "channel"), json_text(ch, "state"));
}

static int
order(const struct cli *c, const char *verb)
{
	json_t *reply;
	uint64_t timeout;
	struct client *cl;
	int status;

	if (!cli_time(c->value[OPT_TIMEOUT], &timeout)) {
		show_error("--timeout wants a time, such as 30s", NULL);
		return CLI_USAGE;
	}
	if ((cl = client_open(c, &status)) == NULL)
		return status;
	status = client_ask(cl, request(verb, c), &reply);
	if (status == CLI_OK && c->value[OPT_WAIT] != NULL)
		status = wait_settled(cl, c, verb, timeout, reply);
	if (status == CLI_OK)
		show_order(c, reply);
	json_decref(reply);
	client_close(cl);
	return status;
}

int
cli_start(const struct cli *c)
{
	return order(c, "start");
}

int
cli_pause(const struct cli *c)
{
	return order(c, "pause");
}

int
cli_stop(const struct cli *c)
{
	return order(c, "stop");
}

int
cli_resync(const struct cli *c)
{
	return order(c, "resync");
}

/* The name is typed, so that a slip of the hand resets nothing. */
int
cli_reset(const struct cli *c)
{
	char line[256] = "";

	if (c->value[OPT_YES] == NULL) {
		fprintf(stderr,
			"Reset ends channel \"%s\" and forgets all of it: its position, its "
			"progress and its history, here and in our tables at the target. Rows "
			"that it has carried stay. The next start begins from nothing.\n"
			"Type the channel's name to go on: ",
			c->arguments[0]);
		if (fgets(line, sizeof line, stdin) == NULL) {
			fputc('\n', stderr);
			line[0] = '\0';
		}
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, c->arguments[0]) != 0) {
			show_error("nothing was done", NULL);
			return CLI_FAILED;
		}
	}
	return order(c, "reset");
}

int
cli_reload(const struct cli *c)
{
	json_t *reply, *what = request("reload", c), *line;
	size_t i;
	int status;

	json_object_set_new(what, "dry_run", json_boolean(c->value[OPT_DRY_RUN] != NULL));
	status = ask(c, what, &reply);
	if (status != CLI_OK)
		return status;
	if (c->value[OPT_JSON] != NULL) {
		show_json(reply);
		return CLI_OK;
	}
	json_array_foreach(json_object_get(reply, "problems"), i, line)
		fprintf(stderr, "%s\n", json_string_value(line));
	json_array_foreach(json_object_get(reply, "plan"), i, line)
		printf("%s\n", json_string_value(line));
	if (json_array_size(json_object_get(reply, "plan")) == 0)
		printf("nothing changes\n");
	json_decref(reply);
	return CLI_OK;
}

/* ---- top ---- */

static int
watch_all(struct client *cl, const struct cli *c, uint64_t interval)
{
	json_t *what = request("watch", c), *reply;
	bool timed_out;

	json_object_set_new(what, "interval_ms", json_integer((json_int_t)interval));
	if (!client_send(cl, what))
		return CLI_NOT_RUNNING;
	while ((reply = client_receive(cl, (int)interval + 30000, &timed_out)) != NULL) {
		if (!json_is_true(json_object_get(reply, "ok")))
			return client_refused(reply);
		if (c->value[OPT_JSON] != NULL) {
			json_dumpf(reply, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			if (c->terminal)
				fputs("\033[H\033[J", stdout);
			show_list(json_object_get(reply, "channels"), c);
		}
		json_decref(reply);
		if (fflush(stdout) != 0 || ferror(stdout))
			return CLI_OK;
	}
	show_error("synclined went away", "see its log");
	return CLI_NOT_RUNNING;
}

int
cli_top(const struct cli *c)
{
	uint64_t interval;
	struct client *cl;
	int status;

	if (!cli_time(c->value[OPT_INTERVAL], &interval) || interval < LEAST_INTERVAL_MS) {
		show_error("--interval wants a time of at least 100ms, such as 1s", NULL);
		return CLI_USAGE;
	}
	if ((cl = client_open(c, &status)) == NULL)
		return status;
	status = watch_all(cl, c, interval);
	client_close(cl);
	return status;
}
