/* conf_file.c - see conf_file.h. */
#include "common/compat.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/route.h"
#include "supervisor/conf_file.h"

#define MAX_FILE ((size_t)1 << 20)

/* What is known while one file is read. */
struct reading {
	const char *file;
	struct conf *conf;
	const struct option *rows;
	struct conf_notes *notes;
};

/* ---- notes ---- */

void
conf_notes_release(struct conf_notes *n)
{
	for (size_t i = 0; i < n->count; i++) {
		free(n->notes[i].file);
		free(n->notes[i].text);
	}
	free(n->notes);
	*n = (struct conf_notes){0};
}

void
conf_note_add(
	struct conf_notes *n, const char *file, unsigned line, bool warning, const char *fmt, ...)
{
	struct conf_note note = {.file = xstrdup(file), .line = line, .warning = warning};
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&note.text, fmt, ap) < 0)
		note.text = xstrdup("");
	va_end(ap);
	n->notes = xreallocarray(n->notes, n->count + 1, sizeof *n->notes);
	n->notes[n->count++] = note;
	n->errors += !warning;
}

void
conf_notes_print(const struct conf_notes *n, struct buf *out)
{
	for (size_t i = 0; i < n->count; i++)
		buf_printf(out, "%s:%u: %s: %s\n", n->notes[i].file, n->notes[i].line,
			n->notes[i].warning ? "warning" : "error", n->notes[i].text);
}

/* ---- before libconfig ---- */

static char *
slurp(const char *file, size_t *len, struct conf_notes *notes)
{
	FILE *f = fopen(file, "rbe");
	struct stat st;
	char *text;

	if (f == NULL || fstat(fileno(f), &st) != 0 || S_ISDIR(st.st_mode)) {
		conf_note_add(notes, file, 1, false, "cannot read the file: %s",
			f != NULL && S_ISDIR(st.st_mode) ? "it is a directory" : strerror(errno));
		if (f != NULL)
			fclose(f);
		return NULL;
	}
	if ((size_t)st.st_size > MAX_FILE) {
		conf_note_add(notes, file, 1, false,
			"the file has %lld bytes; a configuration has at most 1 MiB",
			(long long)st.st_size);
		fclose(f);
		return NULL;
	}
	text = xmalloc((size_t)st.st_size + 1);
	*len = fread(text, 1, (size_t)st.st_size, f);
	text[*len] = '\0';
	fclose(f);
	return text;
}

static void
check_number(const char *p, size_t n, const char *file, unsigned line, struct conf_notes *notes)
{
	char *rest;
	long long v;

	errno = 0;
	v = strtoll(p, &rest, 0);
	if (n > 1 && p[0] == '0' && isdigit((unsigned char)p[1]))
		conf_note_add(notes, file, line, false,
			"%.*s looks octal: write it without the leading zero, or as a text", (int)n,
			p);
	else if (errno != 0 || ((v > INT32_MAX || v < INT32_MIN) && *rest != 'L'))
		conf_note_add(notes, file, line, false,
			"%.*s is larger than 32 bits: write it with an L behind, or as a text",
			(int)n, p);
}

/* Numbers that some versions of libconfig silently cut; what is in texts and comments does not
 * count. */
static bool
scan(const char *text, size_t len, const char *file, struct conf_notes *notes)
{
	size_t before = notes->errors;
	unsigned line = 1;

	if (strlen(text) != len)
		conf_note_add(notes, file, 1, false, "the file has NUL bytes: it is not a text");
	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		conf_note_add(notes, file, 1, false,
			"the file begins with a byte order mark: save it without");
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n') {
			line++;
		} else if (*p == '#' || (p[0] == '/' && p[1] == '/')) {
			while (p[1] != '\0' && p[1] != '\n')
				p++;
		} else if (*p == '"') {
			for (p++; *p != '\0' && *p != '"'; p++) {
				line += *p == '\n';
				if (*p == '\\' && p[1] != '\0')
					p++;
			}
			if (*p == '\0')
				break;
		} else if (isdigit((unsigned char)*p) &&
			   (p == text || !(isalnum((unsigned char)p[-1]) ||
						 strchr("_.-*", p[-1]) != NULL))) {
			size_t n = strspn(p, "0123456789abcdefABCDEFxX");

			if (p[n] != '.')
				check_number(p, n, file, line, notes);
			p += n - 1;
		}
	}
	return notes->errors == before;
}

/* ---- settings ---- */

static const char *
where(const struct reading *r, const config_setting_t *s, char text[512])
{
	snprintf(text, 512, "%s:%u", r->file, config_setting_source_line(s));
	return text;
}

static void
take(struct reading *r, const config_setting_t *s, const char *path, const char *value)
{
	char place[512];
	struct err e;

	if (conf_set(r->conf, path, value, where(r, s, place), &e) != RC_OK)
		conf_note_add(
			r->notes, r->file, config_setting_source_line(s), false, "%s", e.text);
}

static const char *
type_word(enum option_type t)
{
	static const char *const words[] = {
		[OPTION_STRING] = "a text",
		[OPTION_INT] = "a whole number",
		[OPTION_BOOL] = "true or false",
		[OPTION_SIZE] = "a size with its unit, as a text: \"64MiB\"",
		[OPTION_DURATION] = "a time with its unit, as a text: \"30s\"",
		[OPTION_ENUM] = "a text",
		[OPTION_PATH] = "a text",
		[OPTION_SECRET] = "a text",
		[OPTION_LIST] = "a list of texts: [\"a\", \"b\"]",
		[OPTION_GROUP] = "a group: { ... }",
		[OPTION_GROUPS] = "a list of groups: ( { ... }, { ... } )",
		[OPTION_PAIRS] = "a list of pairs: ( (\"a\", \"b\"), ... )",
	};

	return words[t];
}

static bool
wants_text(enum option_type t)
{
	return t != OPTION_INT && t != OPTION_BOOL && t != OPTION_LIST && t != OPTION_GROUP &&
	       t != OPTION_GROUPS && t != OPTION_PAIRS;
}

static void
wrong_type(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	conf_note_add(r->notes, r->file, config_setting_source_line(s), false, "%s wants %s", path,
		type_word(o->type));
}

static void
take_scalar(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	char number[32];

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		if (!wants_text(o->type))
			break;
		take(r, s, path, config_setting_get_string(s));
		return;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		if (o->type != OPTION_INT)
			break;
		snprintf(number, sizeof number, "%lld", config_setting_get_int64(s));
		take(r, s, path, number);
		return;
	case CONFIG_TYPE_BOOL:
		if (o->type != OPTION_BOOL)
			break;
		take(r, s, path, config_setting_get_bool(s) ? "true" : "false");
		return;
	default:
		break;
	}
	wrong_type(r, s, path, o);
}

static void
take_list(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	char place[512];
	struct err e;

	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		wrong_type(r, s, path, o);
		return;
	}
	if (config_setting_length(s) == 0 &&
		conf_append(r->conf, path, NULL, NULL, where(r, s, place), &e) != RC_OK)
		conf_note_add(
			r->notes, r->file, config_setting_source_line(s), false, "%s", e.text);
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		const char *a = NULL, *b = NULL;

		if (o->type == OPTION_LIST) {
			a = config_setting_get_string(m);
		} else if (config_setting_length(m) == 2) {
			a = config_setting_get_string_elem(m, 0);
			b = config_setting_get_string_elem(m, 1);
		}
		if (a == NULL || (o->type == OPTION_PAIRS && b == NULL))
			wrong_type(r, m, path, o);
		else if (conf_append(r->conf, path, a, b, where(r, m, place), &e) != RC_OK)
			conf_note_add(r->notes, r->file, config_setting_source_line(m), false, "%s",
				e.text);
	}
}

static void take_group(struct reading *r, const config_setting_t *g, const char *prefix);

static void
take_groups(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	if (!config_setting_is_list(s)) {
		wrong_type(r, s, path, o);
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		char prefix[300];

		snprintf(prefix, sizeof prefix, "%.240s[%d]", path, i);
		if (config_setting_is_group(m))
			take_group(r, m, prefix);
		else
			wrong_type(r, m, path, o);
	}
}

static void
take_setting(struct reading *r, const config_setting_t *s, const char *path)
{
	const struct option *o = option_find(r->rows, path);

	if (o == NULL) {
		const char *near = option_suggest(r->rows, path);

		conf_note_add(r->notes, r->file, config_setting_source_line(s), false,
			"unknown setting \"%s\"%s%s%s", path,
			near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
			near != NULL ? "\"?" : "");
		return;
	}
	if (o->type == OPTION_GROUP && config_setting_is_group(s))
		take_group(r, s, path);
	else if (o->type == OPTION_GROUPS)
		take_groups(r, s, path, o);
	else if (o->type == OPTION_LIST || o->type == OPTION_PAIRS)
		take_list(r, s, path, o);
	else
		take_scalar(r, s, path, o);
}

static void
take_group(struct reading *r, const config_setting_t *g, const char *prefix)
{
	for (int i = 0; i < config_setting_length(g); i++) {
		const config_setting_t *s = config_setting_get_elem(g, (unsigned)i);
		char path[256];

		snprintf(path, sizeof path, "%s%s%s", prefix, *prefix != '\0' ? "." : "",
			config_setting_name(s));
		take_setting(r, s, path);
	}
}

/* ---- what must hold over the whole ---- */

static bool
knows(const char *kinds, const char *kind)
{
	size_t n = strlen(kind);

	for (const char *p = kinds; p != NULL && (p = strstr(p, kind)) != NULL; p += n)
		if ((p == kinds || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' '))
			return true;
	return kinds == NULL;
}

static void
check_required(struct reading *r)
{
	for (const struct option *o = r->rows; o->path != NULL; o++) {
		const char *dot = strchr(o->path, '.');

		if (!o->required || o->type == OPTION_GROUP)
			continue;
		if (strncmp(o->path, "objects.", 8) == 0) {
			for (size_t i = 0; i < conf_count(r->conf, "objects"); i++)
				if (conf_strf(r->conf, "objects[%zu]%s", i, dot) == NULL)
					conf_note_add(r->notes, r->file, 1, false,
						"objects[%zu] has no \"%s\"", i, dot + 1);
		} else if (o->type == OPTION_GROUPS ? conf_count(r->conf, o->path) == 0
						    : conf_str(r->conf, o->path) == NULL) {
			conf_note_add(r->notes, r->file, 1, false, "\"%s\" is missing", o->path);
		}
	}
}

/* A setting that the endpoint's kind does not know. */
static void
check_kind(void *arg, const char *path, const char *value, const char *place)
{
	struct reading *r = arg;
	const struct option *o = option_find(r->rows, path);
	bool source = strncmp(path, "source.", 7) == 0, target = strncmp(path, "target.", 7) == 0;
	const char *kind =
		source || target ? conf_str(r->conf, source ? "source.kind" : "target.kind") : NULL;

	(void)value;
	if (kind != NULL && strcmp(place, "default") != 0 && !knows(o->kinds, kind)) {
		const char *colon = strrchr(place, ':');

		conf_note_add(r->notes, r->file,
			colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : 1, false,
			"\"%s\" means nothing for kind = \"%s\"", path, kind);
	}
}

static bool
is_power_of_two(uint64_t n)
{
	return (n & (n - 1)) == 0;
}

static void
check_rings(struct reading *r)
{
	static const char *const paths[] = {"ring_size", "load_ring_size"};

	for (size_t i = 0; i < COUNT_OF(paths); i++)
		if (!is_power_of_two(conf_size(r->conf, paths[i])))
			conf_note_add(r->notes, r->file, 1, false,
				"%s must be a power of two: 1MiB, 2MiB, 4MiB, ...", paths[i]);
}

/* ---- secrets ---- */

static void
warn_readable(struct reading *r, const char *file, unsigned line)
{
	struct stat st;

	if (stat(file, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
		conf_note_add(r->notes, r->file, line, true,
			"others can read the password in %s: chmod 600 %s", file, file);
}

static void
read_secret(struct reading *r, const char *path, const char *file)
{
	struct conf_notes problems = {0};
	size_t len;
	char *text = slurp(file, &len, &problems);
	struct err e;

	if (text == NULL) {
		conf_note_add(r->notes, r->file, 1, false, "%s: cannot read %s: %s", path, file,
			strerror(errno));
	} else {
		text[strcspn(text, "\r\n")] = '\0';
		if (conf_set(r->conf, path, text, file, &e) != RC_OK)
			conf_note_add(r->notes, r->file, 1, false, "%s", e.text);
		explicit_bzero(text, len);
	}
	free(text);
	conf_notes_release(&problems);
}

static void
take_password(struct reading *r, const char *end)
{
	char path[64], file[512];
	const char *from = conf_strf(r->conf, "%s.password_file", end),
		   *credential = conf_strf(r->conf, "%s.credential", end);
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	snprintf(path, sizeof path, "%s.password", end);
	if ((conf_has(r->conf, path) != 0) + (from != NULL) + (credential != NULL) > 1)
		conf_note_add(r->notes, r->file, 1, false,
			"%s: give one of password, password_file and credential", end);
	else if (conf_has(r->conf, path))
		warn_readable(r, r->file, 1);
	if (from != NULL) {
		read_secret(r, path, from);
		warn_readable(r, from, 1);
	} else if (credential != NULL && dir == NULL) {
		conf_note_add(r->notes, r->file, 1, false,
			"%s.credential: there is no CREDENTIALS_DIRECTORY (systemd gives it by "
			"LoadCredential=)",
			end);
	} else if (credential != NULL) {
		snprintf(file, sizeof file, "%s/%s", dir, credential);
		read_secret(r, path, file);
	}
}

/* ---- files ---- */

static void
read_file(struct reading *r)
{
	config_t c;
	size_t len;
	char *text = slurp(r->file, &len, r->notes);

	if (text == NULL)
		return;
	config_init(&c);
	if (scan(text, len, r->file, r->notes)) {
		if (config_read_string(&c, text) == CONFIG_TRUE)
			take_group(r, config_root_setting(&c), "");
		else
			conf_note_add(r->notes, r->file, (unsigned)config_error_line(&c), false,
				"%s; look for a missing `;`, quote or bracket here or on the line "
				"before",
				config_error_text(&c));
	}
	config_destroy(&c);
	explicit_bzero(text, len);
	free(text);
}

static char *
base_name(const char *file)
{
	const char *slash = strrchr(file, '/'), *name = slash != NULL ? slash + 1 : file,
		   *dot = strrchr(name, '.');

	return xstrndup(name, dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name));
}

void
conf_file_channel(const char *file, struct conf **out, char **id, struct conf_notes *notes)
{
	struct reading r = {.file = file,
		.conf = conf_new(channel_options()),
		.rows = channel_options(),
		.notes = notes};
	size_t before = notes->errors;
	struct routes *routes;
	struct err e;

	*out = NULL;
	*id = NULL;
	read_file(&r);
	if (notes->errors == before) {
		check_required(&r);
		conf_each(r.conf, check_kind, &r);
		check_rings(&r);
		take_password(&r, "source");
		take_password(&r, "target");
	}
	if (notes->errors == before) {
		if (routes_new(r.conf, &routes, &e) != RC_OK)
			conf_note_add(notes, file, 1, false, "%s", e.text);
		else
			routes_free(routes);
	}
	if (notes->errors != before) {
		conf_free(r.conf);
		return;
	}
	*id = conf_str(r.conf, "id") != NULL ? xstrdup(conf_str(r.conf, "id")) : base_name(file);
	*out = r.conf;
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* One server by its settings: two names for it look like two. */
static bool
same_target(const struct conf *a, const struct conf *b)
{
	return same(conf_str(a, "target.host"), conf_str(b, "target.host")) &&
	       conf_int(a, "target.port") == conf_int(b, "target.port") &&
	       same(conf_str(a, "target.socket"), conf_str(b, "target.socket"));
}

static const char *
target_name(const struct conf *c, size_t i, const char *to, const char *from)
{
	const char *name = conf_strf(c, "objects[%zu].%s", i, to);

	return name != NULL ? name : conf_strf(c, "objects[%zu].%s", i, from);
}

static bool
overlap(const struct conf *a, size_t i, const struct conf *b, size_t k)
{
	const char *x = target_name(a, i, "to_table", "table"),
		   *y = target_name(b, k, "to_table", "table");
	const char *ex = conf_strf(a, "objects[%zu].exclude", i),
		   *ey = conf_strf(b, "objects[%zu].exclude", k);

	if (same(ex, "true") || same(ey, "true"))
		return false;
	return same(target_name(a, i, "to_database", "database"),
		       target_name(b, k, "to_database", "database")) &&
	       (x == NULL || y == NULL || same(x, y));
}

static void
check_pair(const struct channel_conf *a, const struct channel_conf *b, struct conf_notes *notes)
{
	if (strcmp(a->id, b->id) == 0)
		conf_note_add(notes, b->file, 1, false,
			"the id \"%s\" is taken by %s already: set another id", b->id, a->file);
	if (!same_target(a->conf, b->conf) || conf_is(a->conf, "target.kind", "fake"))
		return;
	if (conf_is(a->conf, "existing", "ignore") && conf_is(b->conf, "existing", "ignore"))
		return;
	for (size_t i = 0; i < conf_count(a->conf, "objects"); i++)
		for (size_t k = 0; k < conf_count(b->conf, "objects"); k++)
			if (overlap(a->conf, i, b->conf, k)) {
				conf_note_add(notes, b->file, 1, false,
					"objects[%zu] writes the same target tables as %s: map one "
					"of them to another name, or set existing = "
					"\"ignore\" in both",
					k, a->file);
				return;
			}
}

void
conf_file_channels(const char *pattern, struct channel_confs *out, struct conf_notes *notes)
{
	glob_t g = {0};

	*out = (struct channel_confs){0};
	if (glob(pattern, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++) {
			struct channel_conf c = {0};

			conf_file_channel(g.gl_pathv[i], &c.conf, &c.id, notes);
			if (c.conf == NULL)
				continue;
			c.file = xstrdup(g.gl_pathv[i]);
			for (size_t k = 0; k < out->count; k++)
				check_pair(&out->channels[k], &c, notes);
			out->channels =
				xreallocarray(out->channels, out->count + 1, sizeof *out->channels);
			out->channels[out->count++] = c;
		}
	globfree(&g);
}

void
channel_confs_release(struct channel_confs *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->channels[i].id);
		free(c->channels[i].file);
		conf_free(c->channels[i].conf);
	}
	free(c->channels);
	*c = (struct channel_confs){0};
}

void
conf_file_daemon(const char *file, bool required, struct conf **out, struct conf_notes *notes)
{
	struct reading r = {.file = file,
		.conf = conf_new(daemon_options()),
		.rows = daemon_options(),
		.notes = notes};
	size_t before = notes->errors;
	struct stat st;

	if (required || stat(file, &st) == 0)
		read_file(&r);
	if (notes->errors != before) {
		conf_free(r.conf);
		r.conf = NULL;
	}
	*out = r.conf;
}
