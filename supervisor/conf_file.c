/* conf_file.c - see conf_file.h. */
#include "common/compat.h"

#include <errno.h>
#include <glob.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "supervisor/conf_file.h"
#include "supervisor/conf_scan.h"

/* What is known while one file is read. */
struct reading {
	const char *file;
	struct conf *conf;
	const struct option *rows;
	bool *failed; /* by row: it stands in the file and has an error */
	struct conf_notes *notes;
	size_t scan_begin, scan_end; /* the scan's among the notes */
};

static size_t
count_rows(const struct option *rows)
{
	size_t n = 0;

	while (rows[n].path != NULL)
		n++;
	return n;
}

static void
reading_init(
	struct reading *r, const char *file, const struct option *rows, struct conf_notes *notes)
{
	*r = (struct reading){.file = file, .rows = rows, .notes = notes};
	r->conf = conf_new(rows);
	r->failed = xcalloc(count_rows(rows), sizeof *r->failed);
}

/* Gives the settings away, or frees them if they have errors. */
static struct conf *
reading_end(struct reading *r, bool good)
{
	free(r->failed);
	if (good)
		return r->conf;
	conf_free(r->conf);
	return NULL;
}

/* ---- settings ---- */

/* One mistake is told once: what the scan has noted, libconfig's reading of it is not. */
static bool
is_told(const struct reading *r, unsigned line)
{
	for (size_t i = r->scan_begin; i < r->scan_end; i++)
		if (r->notes->notes[i].line == line)
			return true;
	return false;
}

/* An error at a setting; o is NULL if no row describes it. */
static void
refuse(struct reading *r, const config_setting_t *s, const struct option *o, const char *text)
{
	unsigned line = config_setting_source_line(s);

	if (o != NULL)
		r->failed[o - r->rows] = true;
	if (!is_told(r, line))
		conf_note_add(r->notes, r->file, line, false, "%s", text);
}

static const char *
where(const struct reading *r, const config_setting_t *s, char text[512])
{
	snprintf(text, 512, "%s:%u", r->file, config_setting_source_line(s));
	return text;
}

static const char *
type_words(enum option_type t)
{
	static const char *const words[] = {
		[OPTION_STRING] = "a text: \"...\"",
		[OPTION_INT] = "a whole number, without quotes",
		[OPTION_BOOL] = "true or false, without quotes",
		[OPTION_SIZE] = "a size with its unit, as a text: \"64MiB\"",
		[OPTION_DURATION] = "a time with its unit, as a text: \"30s\"",
		[OPTION_ENUM] = "a text: \"...\"",
		[OPTION_PATH] = "a path, as a text: \"...\"",
		[OPTION_SECRET] = "a text: \"...\"",
		[OPTION_LIST] = "a list of texts: [\"a\", \"b\"]",
		[OPTION_GROUP] = "a group: { ... }",
		[OPTION_GROUPS] = "a list of groups: ( { ... }, { ... } )",
		[OPTION_PAIRS] = "a list of pairs: ( (\"a\", \"b\"), ... )",
	};

	return words[t];
}

static void
wrong_type(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	char text[512];

	snprintf(text, sizeof text, "%s wants %s", path, type_words(o->type));
	refuse(r, s, o, text);
}

static bool
is_text(enum option_type t)
{
	return t != OPTION_INT && t != OPTION_BOOL && t != OPTION_LIST && t != OPTION_GROUP &&
	       t != OPTION_GROUPS && t != OPTION_PAIRS;
}

/* The text of a scalar whose type in the file is the row's; NULL if it is not. */
static const char *
scalar_text(const config_setting_t *s, enum option_type t, char number[32])
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		return is_text(t) ? config_setting_get_string(s) : NULL;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(number, 32, "%lld", config_setting_get_int64(s));
		return t == OPTION_INT ? number : NULL;
	case CONFIG_TYPE_BOOL:
		if (t != OPTION_BOOL)
			return NULL;
		return config_setting_get_bool(s) ? "true" : "false";
	default:
		return NULL;
	}
}

static void
take_scalar(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	char number[32], place[512];
	const char *text = scalar_text(s, o->type, number);
	struct err e;

	if (text == NULL)
		wrong_type(r, s, path, o);
	else if (conf_set(r->conf, path, text, where(r, s, place), &e) != RC_OK)
		refuse(r, s, o, e.text);
}

/* One member of a LIST, or of PAIRS; false: it is of another type. */
static bool
take_member(struct reading *r, const config_setting_t *m, const char *path, const struct option *o)
{
	const char *a = NULL, *b = NULL;
	char place[512];
	struct err e;

	if (o->type == OPTION_LIST) {
		a = config_setting_get_string(m);
	} else if (config_setting_length(m) == 2) {
		a = config_setting_get_string_elem(m, 0);
		b = config_setting_get_string_elem(m, 1);
	}
	if (a == NULL || (o->type == OPTION_PAIRS && b == NULL))
		return false;
	if (conf_append(r->conf, path, a, b, where(r, m, place), &e) != RC_OK)
		refuse(r, m, o, e.text);
	return true;
}

static void
take_list(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	int n = config_setting_length(s);
	char place[512];
	struct err e;

	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		wrong_type(r, s, path, o);
		return;
	}
	if (conf_append(r->conf, path, NULL, NULL, where(r, s, place), &e) != RC_OK)
		refuse(r, s, o, e.text);
	for (int i = 0; i < n; i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);

		if (!take_member(r, m, path, o)) {
			wrong_type(r, m, path, o);
			return;
		}
	}
}

static void take_group(struct reading *r, const config_setting_t *g, const char *prefix);

/* The rows of a group in a list that must stand there and do not. */
static void
check_members(struct reading *r, const config_setting_t *g, const char *prefix, const char *path)
{
	size_t n = strlen(path);

	for (const struct option *o = r->rows; o->path != NULL; o++) {
		char text[512];

		if (!o->required || strncmp(o->path, path, n) != 0 || o->path[n] != '.' ||
			config_setting_get_member(g, o->path + n + 1) != NULL)
			continue;
		snprintf(text, sizeof text, "%s has no \"%s\"", prefix, o->path + n + 1);
		refuse(r, g, o, text);
	}
}

static void
take_groups(struct reading *r, const config_setting_t *s, const char *path, const struct option *o)
{
	int n = config_setting_length(s);

	if (!config_setting_is_list(s)) {
		wrong_type(r, s, path, o);
		return;
	}
	if (n == 0 && o->required) {
		char text[512];

		snprintf(text, sizeof text, "%s is empty", path);
		refuse(r, s, o, text);
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *m = config_setting_get_elem(s, (unsigned)i);
		char prefix[300];

		snprintf(prefix, sizeof prefix, "%.240s[%d]", path, i);
		if (config_setting_is_group(m)) {
			take_group(r, m, prefix);
			check_members(r, m, prefix, path);
		} else {
			wrong_type(r, m, path, o);
			return;
		}
	}
}

static void
take_setting(struct reading *r, const config_setting_t *s, const char *path)
{
	const struct option *o = option_find(r->rows, path);
	struct err e;

	if (o == NULL) {
		option_unknown(r->rows, path, &e);
		refuse(r, s, NULL, e.text);
	} else if (o->type == OPTION_GROUP && config_setting_is_group(s)) {
		take_group(r, s, path);
	} else if (o->type == OPTION_GROUPS) {
		take_groups(r, s, path, o);
	} else if (o->type == OPTION_LIST || o->type == OPTION_PAIRS) {
		take_list(r, s, path, o);
	} else {
		take_scalar(r, s, path, o);
	}
}

/* Ends by the rows: they nest twice, and what they do not know is not gone into. */
static void
take_group(struct reading *r, const config_setting_t *g, const char *prefix)
{
	int n = config_setting_length(g);

	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(g, (unsigned)i);
		char path[256];

		snprintf(path, sizeof path, "%s%s%s", prefix, *prefix != '\0' ? "." : "",
			config_setting_name(s));
		take_setting(r, s, path);
	}
}

/* ---- a file ---- */

/* False after a syntax error; it is a consequence if the scan has found something. */
static bool
parse(struct reading *r, const char *text)
{
	config_t c;
	bool good;

	config_init(&c);
	good = config_read_string(&c, text) == CONFIG_TRUE;
	if (good)
		take_group(r, config_root_setting(&c), "");
	else if (r->scan_begin == r->scan_end)
		conf_note_add(r->notes, r->file, (unsigned)config_error_line(&c), false, "%s%s",
			config_error_text(&c),
			strcmp(config_error_text(&c), "syntax error") == 0
				? "; look for a missing `=`, quote or bracket here or on the line "
				  "before"
				: "");
	config_destroy(&c);
	return good;
}

/* False: the file could not be taken apart, so what is missing in it is not known. */
static bool
read_file(struct reading *r)
{
	struct err e = {0};
	size_t len;
	char *text = conf_slurp(r->file, &len, &e);
	bool good;

	if (text == NULL) {
		conf_note_add(r->notes, r->file, 1, false, "%s", e.text);
		return false;
	}
	r->scan_begin = r->notes->count;
	good = conf_scan(text, len, r->file, r->notes);
	r->scan_end = r->notes->count;
	good = good && parse(r, text);
	explicit_bzero(text, len);
	free(text);
	return good;
}

/* Whether the row, or the group that it stands in, is there and has an error. */
static bool
has_failed(const struct reading *r, const struct option *o)
{
	for (const struct option *g = r->rows; g->path != NULL; g++) {
		size_t n = strlen(g->path);

		if (r->failed[g - r->rows] && strncmp(g->path, o->path, n) == 0 &&
			(o->path[n] == '.' || o->path[n] == '\0'))
			return true;
	}
	return false;
}

static bool
is_missing(const struct reading *r, const struct option *o)
{
	const char *kind = NULL;

	if (!o->required || has_failed(r, o) || strncmp(o->path, "objects.", 8) == 0)
		return false;
	if (o->type == OPTION_GROUP ||
		(o->type == OPTION_GROUPS && conf_count(r->conf, o->path) != 0))
		return false;
	if (o->kinds != NULL && strncmp(o->path, "source.", 7) == 0)
		kind = conf_str(r->conf, "source.kind");
	else if (o->kinds != NULL)
		kind = conf_str(r->conf, "target.kind");
	if (o->kinds != NULL && (kind == NULL || !option_word(o->kinds, kind)))
		return false;
	return o->type == OPTION_GROUPS || conf_str(r->conf, o->path) == NULL;
}

static void
check_required(struct reading *r)
{
	for (const struct option *o = r->rows; o->path != NULL; o++)
		if (is_missing(r, o))
			conf_note_add(r->notes, r->file, 1, false, "\"%s\" is missing", o->path);
}

static bool
objects_good(const struct reading *r)
{
	for (const struct option *o = r->rows; o->path != NULL; o++)
		if (strncmp(o->path, "objects", 7) == 0 && r->failed[o - r->rows])
			return false;
	return conf_count(r->conf, "objects") != 0;
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
	size_t before = notes->errors;
	struct reading r;
	const char *own;

	reading_init(&r, file, channel_options(), notes);
	if (read_file(&r)) {
		check_required(&r);
		conf_check_channel(r.conf, file, notes);
		conf_settle(r.conf);
		conf_check_secrets(r.conf, file, notes);
		if (objects_good(&r))
			conf_check_objects(r.conf, file, notes);
	}
	own = conf_str(r.conf, "id");
	*id = own != NULL ? xstrdup(own) : base_name(file);
	conf_check_id(*id, r.conf, file, notes);
	*out = reading_end(&r, notes->errors == before);
	if (*out == NULL) {
		free(*id);
		*id = NULL;
	}
}

/* ---- many files ---- */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
add_file(const char *file, struct channel_confs *out, struct conf_notes *notes)
{
	struct channel_conf c = {0};

	conf_file_channel(file, &c.conf, &c.id, notes);
	if (c.conf == NULL)
		return;
	c.file = xstrdup(file);
	for (size_t i = 0; i < out->count; i++)
		conf_check_pair(&out->channels[i], &c, notes);
	out->channels = xreallocarray(out->channels, out->count + 1, sizeof *out->channels);
	out->channels[out->count++] = c;
}

void
conf_file_channels(const struct conf *daemon, const char *file, struct channel_confs *out,
	struct conf_notes *notes)
{
	const char *pattern = conf_str(daemon, "channels");
	glob_t g = {0};
	int status = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &g);

	*out = (struct channel_confs){0};
	if (status != 0 && status != GLOB_NOMATCH)
		conf_note_add(notes, file, conf_line(daemon, file, "channels"), false,
			"cannot list channels = \"%s\"%s: %s; create the directory, or set "
			"\"channels\" to where the channel files are",
			pattern, conf_has(daemon, "channels") ? "" : " (the default)",
			status == GLOB_NOSPACE ? "out of memory" : strerror(errno));
	if (status == 0)
		qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, compare_names);
	for (size_t i = 0; status == 0 && i < g.gl_pathc; i++)
		add_file(g.gl_pathv[i], out, notes);
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

/* ---- the daemon ---- */

void
conf_file_daemon(const char *file, bool required, struct conf **out, struct conf_notes *notes)
{
	size_t before = notes->errors;
	struct reading r;

	reading_init(&r, file, daemon_options(), notes);
	if (required || access(file, F_OK) == 0)
		read_file(&r);
	conf_check_daemon(r.conf, file, notes);
	*out = reading_end(&r, notes->errors == before);
}
