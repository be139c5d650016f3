/*
 * options_doc.c - the option rows as documents.
 *
 *     options_doc rows                 one line a row, fields by tabs, for tests
 *     options_doc mdoc channel|daemon  the list in syncline.conf(5)
 */
#include "common/compat.h"

#include <stdio.h>
#include <string.h>

#include "common/conf.h"

static const char *
type_name(enum option_type t)
{
	static const char *const names[] = {
		[OPTION_STRING] = "text",
		[OPTION_INT] = "whole number",
		[OPTION_BOOL] = "true or false",
		[OPTION_SIZE] = "size",
		[OPTION_DURATION] = "time",
		[OPTION_ENUM] = "word",
		[OPTION_PATH] = "path",
		[OPTION_SECRET] = "secret",
		[OPTION_LIST] = "list of texts",
		[OPTION_GROUP] = "group",
		[OPTION_GROUPS] = "list of groups",
		[OPTION_PAIRS] = "list of pairs",
	};

	return names[t];
}

static const char *
reload_words(enum option_reload r)
{
	static const char *const words[] = {
		[RELOAD_LIVE] = "A reload applies it at once.",
		[RELOAD_CHANNEL] = "A reload restarts the channel's pair.",
		[RELOAD_DAEMON] = "Read when the daemon starts.",
		[RELOAD_NEVER] = "Cannot change once the channel has begun; reset it first.",
	};

	return words[r];
}

static bool
has_bounds(const struct option *o)
{
	return o->type == OPTION_INT || o->type == OPTION_SIZE || o->type == OPTION_DURATION;
}

static void
bound(const struct option *o, int64_t n, char *out, size_t size)
{
	if (o->type == OPTION_INT)
		snprintf(out, size, "%lld", (long long)n);
	else
		option_unit(o->type, n, out, size);
}

/* ---- rows ---- */

static void
print_rows(const char *set, const struct option *rows)
{
	for (const struct option *o = rows; o->path != NULL; o++)
		printf("%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%lld\t%lld\t%s\n", set, o->path,
			type_name(o->type), o->required, o->preset != NULL ? o->preset : "-",
			o->words != NULL ? o->words : "-", o->kinds != NULL ? o->kinds : "-",
			o->only != NULL ? o->only : "-", (long long)o->min, (long long)o->max,
			o->help);
}

/* ---- mdoc ---- */

static void
print_words(const char *words)
{
	for (const char *p = words; *p != '\0';) {
		size_t n = strcspn(p, " ");
		bool last = p[n] == '\0';

		printf(".Cm %.*s%s\n", (int)n, p, last ? " ." : " ,");
		p += n + !last;
	}
}

static void
print_facts(const struct option *o)
{
	char min[32], max[32];

	printf("Type: %s.\n", type_name(o->type));
	if (o->required)
		printf("Required.\n");
	if (o->words != NULL) {
		printf("Values:\n");
		print_words(o->words);
	}
	if (has_bounds(o)) {
		bound(o, o->min, min, sizeof min);
		bound(o, o->max, max, sizeof max);
		printf("From %s to %s.\n", min, max);
	}
	if (o->preset != NULL)
		printf("Default:\n.Ql %s .\n", o->preset);
	if (o->kinds != NULL)
		printf("For kind %s.\n", o->kinds);
	if (o->only != NULL)
		printf("This version supports only\n.Ql %s .\n", o->only);
	printf("%s\n", reload_words(o->reload));
}

static void
print_mdoc(const struct option *rows)
{
	printf(".Bl -tag -width Ds\n");
	for (const struct option *o = rows; o->path != NULL; o++) {
		printf(".It Ic %s\n%s\n.br\n", o->path, o->help);
		print_facts(o);
	}
	printf(".El\n");
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "rows") == 0) {
		print_rows("channel", channel_options());
		print_rows("daemon", daemon_options());
	} else if (argc == 3 && strcmp(argv[1], "mdoc") == 0) {
		print_mdoc(strcmp(argv[2], "daemon") == 0 ? daemon_options() : channel_options());
	} else {
		fprintf(stderr, "usage: options_doc rows | mdoc channel | mdoc daemon\n");
		return 2;
	}
	return 0;
}
