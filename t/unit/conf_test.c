/* conf_test.c - settings: rows, values, the trip to a worker; configuration files' secrets. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/mem.h"
#include "supervisor/conf_file.h"
#include "supervisor/conf_scan.h"
#include "supervisor/conf_show.h"

static void
set(struct conf *c, const char *path, const char *value)
{
	struct err e = {0};

	if (conf_set(c, path, value, "test:1", &e) != RC_OK)
		fail_msg("%s", e.text);
}

/* ---- rows ---- */

static void
check_row(const struct option *rows, const struct option *o)
{
	struct conf *c = conf_new(rows);
	struct err e = {0};

	assert_ptr_equal(option_find(rows, o->path), o); /* no path twice */
	assert_non_null(o->help);
	assert_int_equal(o->help[strlen(o->help) - 1], '.');
	assert_true(o->words != NULL || o->type != OPTION_ENUM);
	if (o->type == OPTION_INT || o->type == OPTION_SIZE || o->type == OPTION_DURATION)
		assert_true(o->min < o->max);
	if (o->preset != NULL && o->type != OPTION_LIST)
		assert_int_equal(conf_set(c, o->path, o->preset, "test", &e), RC_OK);
	if (o->preset != NULL && o->type == OPTION_LIST)
		for (size_t i = 0; i < conf_count(c, o->path); i++)
			assert_true(option_word(o->words, conf_list(c, o->path, i)));
	if (o->only != NULL)
		assert_string_equal(o->only, o->preset);
	assert_false(o->required && o->preset != NULL);
	conf_free(c);
}

static void
test_rows(void **unused)
{
	(void)unused;
	for (const struct option *o = channel_options(); o->path != NULL; o++)
		check_row(channel_options(), o);
	for (const struct option *o = daemon_options(); o->path != NULL; o++)
		check_row(daemon_options(), o);
}

static void
test_suggest(void **unused)
{
	static const struct {
		const char *path, *suggestion;
	} cases[] = {
		{"lane", "lanes"},
		{"LANES", "lanes"},
		{"rign_size", "ring_size"},
		{"chunk_row", "chunk_rows"},
		{"source.pasword", "source.password"},
		{"target.hostname", "target.host"},
		{"objects[17].tabel", "objects.table"},
		{"objects[17].to_db", NULL},
		{"host", "source.host"},
		{"target.lanes", "lanes"},
		{"colour", NULL},
		{"xx", NULL},
		{"", NULL},
	};

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *s = option_suggest(channel_options(), cases[i].path);

		if (cases[i].suggestion == NULL)
			assert_null(s);
		else
			assert_string_equal(s, cases[i].suggestion);
	}
}

static void
test_suggest_long(void **unused)
{
	char path[1024];

	(void)unused;
	memset(path, 'a', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	assert_null(option_suggest(channel_options(), path));
	assert_null(option_find(channel_options(), path));
}

static void
test_unit(void **unused)
{
	static const struct {
		enum option_type type;
		int64_t n;
		const char *text;
	} cases[] = {
		{OPTION_SIZE, 0, "0B"},
		{OPTION_SIZE, 1000, "1000B"},
		{OPTION_SIZE, 65536, "64KiB"},
		{OPTION_SIZE, 3LL << 29, "1536MiB"},
		{OPTION_SIZE, 1LL << 30, "1GiB"},
		{OPTION_DURATION, 10, "10ms"},
		{OPTION_DURATION, 90000, "90s"},
		{OPTION_DURATION, 3600000, "1h"},
		{OPTION_DURATION, 366LL * 86400000, "366d"},
	};
	char text[32];

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		option_unit(cases[i].type, cases[i].n, text, sizeof text);
		assert_string_equal(text, cases[i].text);
	}
}

/* ---- values ---- */

static void
test_values(void **unused)
{
	static const struct {
		const char *path, *value;
		bool good;
	} cases[] = {
		{"lanes", "1", true},
		{"lanes", "32", true},
		{"lanes", "33", false},
		{"lanes", "0", false},
		{"lanes", "-1", false},
		{"lanes", "", false},
		{"lanes", " 4", false},
		{"lanes", "+4", false},
		{"lanes", "4x", false},
		{"lanes", "99999999999999999999", false},
		{"chunk_bytes", "64KiB", true},
		{"chunk_bytes", "64 KiB", true},
		{"chunk_bytes", "1048576B", true},
		{"chunk_bytes", "1048576", false},
		{"chunk_bytes", "1kib", false},
		{"chunk_bytes", "-1MiB", false},
		{"chunk_bytes", "9223372036854775807GiB", false},
		{"source.read_timeout", "1min", true},
		{"source.read_timeout", "1d", true},
		{"source.read_timeout", "2d", false},
		{"source.read_timeout", "999ms", false},
		{"existing", "ignore", true},
		{"existing", "clear", true},
		{"existing", "", false},
		{"existing", "intercept ignore", false},
		{"objects[3].exclude", "true", true},
		{"objects[3].exclude", "yes", false},
		{"apply", "atomic", true},
		{"apply", "fastest", true},
		{"guarantee", "at-least-once", false},
		{"objects[0].where", "id > 1", true},
		{"objects", "x", false},
		{"source", "x", false},
		{"objects[0].columns", "x", false},
		{"nothing", "x", false},
		{"source.server_id", "4294967295", true},
	};

	(void)unused;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct conf *c = conf_new(channel_options());
		struct err e = {0};
		enum rc rc = conf_set(c, cases[i].path, cases[i].value, "test", &e);

		if (rc != (cases[i].good ? RC_OK : RC_CONFIG))
			fail_msg("%s = \"%s\": %s", cases[i].path, cases[i].value, e.text);
		assert_int_equal(conf_has(c, cases[i].path), cases[i].good);
		conf_free(c);
	}
}

static void
test_get(void **unused)
{
	struct conf *c = conf_new(channel_options());

	(void)unused;
	assert_int_equal(conf_int(c, "lanes"), 4);
	assert_string_equal(conf_where(c, "lanes"), "default");
	assert_false(conf_has(c, "lanes"));
	assert_null(conf_str(c, "source.user"));
	assert_int_equal(conf_size(c, "ring_size"), 16 << 20);
	assert_int_equal(conf_ms(c, "source.connect_timeout"), 10000);
	assert_false(conf_bool(c, "objects.exclude"));
	assert_true(conf_is(c, "conflict", "TaskFailed"));
	set(c, "lanes", "7");
	set(c, "lanes", "8");
	set(c, "objects[11].exclude", "true");
	set(c, "objects[11].table", "t");
	assert_int_equal(conf_int(c, "lanes"), 8);
	assert_string_equal(conf_where(c, "lanes"), "test:1");
	assert_true(conf_bool(c, "objects[11].exclude"));
	assert_false(conf_bool(c, "objects[10].exclude"));
	assert_int_equal(conf_count(c, "objects"), 12);
	assert_string_equal(conf_strf(c, "objects[%d].table", 11), "t");
	conf_free(c);
}

static void
test_lists(void **unused)
{
	struct conf *c = conf_new(channel_options());
	const char *a, *b;
	struct err e = {0};

	(void)unused;
	assert_int_equal(conf_count(c, "initial"), 2);
	assert_string_equal(conf_list(c, "initial", 1), "data");
	assert_null(conf_list(c, "initial", 2));
	assert_int_equal(conf_append(c, "initial", NULL, NULL, "test", &e), RC_OK);
	assert_int_equal(conf_count(c, "initial"), 0);
	assert_null(conf_list(c, "initial", 0));
	assert_int_equal(conf_append(c, "initial", "data", NULL, "test", &e), RC_OK);
	assert_int_equal(conf_append(c, "initial", "data", NULL, "test", &e), RC_CONFIG);
	assert_int_equal(conf_append(c, "initial", "rows", NULL, "test", &e), RC_CONFIG);
	assert_int_equal(conf_append(c, "initial", "schema", "x", "test", &e), RC_CONFIG);
	assert_int_equal(conf_append(c, "lanes", "4", NULL, "test", &e), RC_CONFIG);
	assert_int_equal(conf_append(c, "nothing", "4", NULL, "test", &e), RC_CONFIG);
	assert_int_equal(conf_count(c, "initial"), 1);
	assert_int_equal(conf_count(c, "objects[0].columns"), 0);
	assert_int_equal(conf_append(c, "objects[0].columns", "x", NULL, "test", &e), RC_CONFIG);
	assert_int_equal(conf_append(c, "objects[0].columns", "x", "y", "test", &e), RC_OK);
	assert_int_equal(conf_append(c, "objects[0].columns", "x", "z", "test", &e), RC_OK);
	assert_int_equal(conf_count(c, "objects[0].columns"), 2);
	conf_pair(c, "objects[0].columns", 1, &a, &b);
	assert_string_equal(b, "z");
	conf_pair(c, "objects[0].columns", 2, &a, &b);
	assert_null(a);
	conf_free(c);
}

static void
test_many(void **unused)
{
	struct conf *c = conf_new(channel_options());
	char path[64], value[64];

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		snprintf(path, sizeof path, "objects[%d].table", i);
		snprintf(value, sizeof value, "t%d", i);
		set(c, path, value);
	}
	assert_int_equal(conf_count(c, "objects"), 20000);
	assert_string_equal(conf_str(c, "objects[12345].table"), "t12345");
	conf_free(c);
}

/* ---- the trip to a worker ---- */

static struct conf *
sample(void)
{
	struct conf *c = conf_new(channel_options());
	struct err e = {0};

	set(c, "source.kind", "mysql");
	set(c, "source.password", "from");
	set(c, "target.password", "to");
	set(c, "objects[0].database", "shop");
	assert_int_equal(conf_append(c, "initial", NULL, NULL, "a:1", &e), RC_OK);
	assert_int_equal(conf_append(c, "objects[0].drop_columns", "a", NULL, "a:1", &e), RC_OK);
	assert_int_equal(conf_append(c, "objects[0].drop_columns", "b", NULL, "a:1", &e), RC_OK);
	assert_int_equal(conf_append(c, "objects[0].columns", "c", "d", "a:1", &e), RC_OK);
	return c;
}

static struct conf *
trip(const struct conf *c, const char *drop)
{
	struct conf *out = NULL;
	struct err e = {0};
	struct cursor cur;
	struct buf b;

	buf_init(&b);
	conf_encode(c, drop, &b);
	cursor_init(&cur, b.data, b.len);
	if (conf_decode(channel_options(), &cur, &out, &e) != RC_OK)
		fail_msg("%s", e.text);
	buf_release(&b);
	return out;
}

static void
test_trip(void **unused)
{
	struct conf *c = sample(), *all = trip(c, NULL), *reader = trip(c, "target");

	(void)unused;
	assert_string_equal(conf_str(all, "source.password"), "from");
	assert_string_equal(conf_str(all, "target.password"), "to");
	assert_string_equal(conf_str(reader, "source.password"), "from");
	assert_null(conf_str(reader, "target.password"));
	assert_int_equal(conf_count(reader, "initial"), 0);
	assert_string_equal(conf_list(reader, "objects[0].drop_columns", 1), "b");
	assert_int_equal(conf_count(reader, "objects[0].columns"), 1);
	assert_string_equal(conf_where(reader, "objects[0].drop_columns"), "a:1");
	conf_free(c);
	conf_free(all);
	conf_free(reader);
}

/* Every message that is cut short, or has a byte changed, is refused or read, never misread. */
static void
test_trip_damage(void **unused)
{
	struct conf *c = sample(), *out;
	struct err e = {0};
	struct cursor cur;
	struct buf b;

	(void)unused;
	buf_init(&b);
	conf_encode(c, NULL, &b);
	for (size_t n = 0; n < b.len; n++) {
		cursor_init(&cur, b.data, n);
		assert_int_not_equal(conf_decode(channel_options(), &cur, &out, &e), RC_OK);
		assert_null(out);
	}
	for (size_t n = 0; n < b.len; n++) {
		b.data[n] ^= 0x41;
		cursor_init(&cur, b.data, b.len);
		if (conf_decode(channel_options(), &cur, &out, &e) == RC_OK)
			conf_free(out);
		b.data[n] ^= 0x41;
	}
	buf_release(&b);
	conf_free(c);
}

struct mask {
	size_t secrets, leaks;
};

static void
mask_cb(void *arg, const char *path, const char *value, const char *where)
{
	struct mask *m = arg;

	(void)where;
	m->secrets += strstr(path, ".password") != NULL;
	m->leaks += strcmp(value, "from") == 0 || strcmp(value, "to") == 0;
}

static void
test_mask(void **unused)
{
	struct conf *c = sample();
	struct mask m = {0};
	struct buf b;

	(void)unused;
	conf_each(c, mask_cb, &m);
	assert_int_equal(m.secrets, 2);
	assert_int_equal(m.leaks, 0);
	buf_init(&b);
	set(c, "name", "a\"b\n\\");
	conf_print_effective(c, channel_options(), &b);
	assert_non_null(strstr(buf_text(&b), "source.password = \"********\""));
	assert_non_null(strstr(buf_text(&b), "name = \"a\\\"b\\x0a\\\\\""));
	assert_null(strstr(buf_text(&b), "\"to\""));
	buf_release(&b);
	conf_free(c);
}

/* ---- files ---- */

struct place {
	char dir[64];
	char file[128];	  /* a channel */
	char secret[128]; /* its password_file */
};

static void
write_file(const char *file, const char *text, mode_t mode)
{
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(file, mode), 0);
}

static int
place_setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	snprintf(p->dir, sizeof p->dir, "/tmp/conf_test-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->file, sizeof p->file, "%s/orders.conf", p->dir);
	snprintf(p->secret, sizeof p->secret, "%s/secret", p->dir);
	*state = p;
	return 0;
}

static int
place_teardown(void **state)
{
	struct place *p = *state;

	unlink(p->file);
	unlink(p->secret);
	rmdir(p->dir);
	free(p);
	return 0;
}

/* A channel whose source has `more`. */
static void
write_channel(const struct place *p, const char *more, mode_t mode)
{
	char *text = xasprintf("source = { kind = \"mysql\"; user = \"u\";\n%s };\n"
			       "target = { kind = \"fake\"; file = \"/f\"; };\n"
			       "objects = ( { database = \"shop\"; } );\n",
		more);

	write_file(p->file, text, mode);
	free(text);
}

static struct conf *
read_channel(const struct place *p, struct conf_notes *notes)
{
	struct conf *c;
	char *id;

	*notes = (struct conf_notes){0};
	conf_file_channel(p->file, &c, &id, notes);
	if (c != NULL)
		assert_string_equal(id, "orders");
	free(id);
	return c;
}

static void
test_password_file(void **state)
{
	static const struct {
		const char *content, *password;
		mode_t mode;
		size_t warnings;
	} cases[] = {
		{"secret", "secret", 0600, 0},
		{"secret\n", "secret", 0600, 0},
		{"secret\r\n", "secret", 0400, 0},
		{" with blanks \n", " with blanks ", 0640, 0},
		{"secret\n", "secret", 0644, 1},
		{"secret\n\n", NULL, 0600, 0},
		{"", NULL, 0600, 0},
	};
	const struct place *p = *state;
	char *more = xasprintf("password_file = \"%s\";", p->secret);

	write_channel(p, more, 0644);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct conf_notes notes;
		struct conf *c;

		unlink(p->secret);
		write_file(p->secret, cases[i].content, cases[i].mode);
		c = read_channel(p, &notes);
		assert_int_equal(c != NULL, cases[i].password != NULL);
		assert_int_equal(notes.errors, cases[i].password == NULL);
		assert_int_equal(notes.count - notes.errors, cases[i].warnings);
		if (c != NULL)
			assert_string_equal(conf_str(c, "source.password"), cases[i].password);
		conf_free(c);
		conf_notes_release(&notes);
	}
	free(more);
}

static void
test_credential(void **state)
{
	const struct place *p = *state;
	struct conf_notes notes;
	struct conf *c;

	write_channel(p, "credential = \"secret\";", 0644);
	write_file(p->secret, "pw\n", 0400);
	setenv("CREDENTIALS_DIRECTORY", p->dir, 1);
	c = read_channel(p, &notes);
	assert_non_null(c);
	assert_string_equal(conf_str(c, "source.password"), "pw");
	conf_free(c);
	conf_notes_release(&notes);
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_null(read_channel(p, &notes));
	assert_int_equal(notes.errors, 1);
	conf_notes_release(&notes);
}

static void
test_inline_password(void **state)
{
	static const struct {
		mode_t mode;
		size_t warnings;
	} cases[] = {{0600, 0}, {0640, 0}, {0644, 1}, {0604, 1}};
	const struct place *p = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct conf_notes notes;
		struct conf *c;

		write_channel(p, "password = \"x\";", cases[i].mode);
		c = read_channel(p, &notes);
		assert_non_null(c);
		assert_int_equal(notes.count, cases[i].warnings);
		if (notes.count != 0)
			assert_int_equal(notes.notes[0].line, 2);
		conf_free(c);
		conf_notes_release(&notes);
	}
}

static void
refused(const char *file, const char *why)
{
	struct err e = {0};
	size_t len;
	char *text = conf_slurp(file, &len, &e);

	assert_null(text);
	if (strstr(e.text, why) == NULL)
		fail_msg("%s: %s", file, e.text);
}

static void
test_slurp(void **state)
{
	const struct place *p = *state;
	int fd;

	refused(p->dir, "directory");
	refused(p->file, "No such file");
	assert_int_equal(mkfifo(p->secret, 0600), 0);
	refused(p->secret, "not a regular file");
	fd = open(p->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	close(fd);
	refused(p->file, "more than 1 MiB");
}

/* All or nothing over a folder; in byte order. */
static void
test_channels(void **state)
{
	const struct place *p = *state;
	struct channel_confs all;
	struct conf_notes notes = {0};
	struct conf *daemon = conf_new(daemon_options());
	struct err e = {0};
	char *pattern = xasprintf("%s/*.conf", p->dir), *other = xasprintf("%s/Z.conf", p->dir);

	assert_int_equal(conf_set(daemon, "channels", pattern, "/s.conf:7", &e), RC_OK);
	conf_file_channels(daemon, "/s.conf", &all, &notes);
	assert_int_equal(all.count + notes.count, 0);
	write_channel(p, "", 0600);
	write_file(other,
		"source = { kind = \"fake\"; }; target = { kind = \"fake\"; file = \"/g\"; };"
		"objects = ( { database = \"*\"; } );",
		0600);
	conf_file_channels(daemon, "/s.conf", &all, &notes);
	assert_int_equal(notes.count, 0);
	assert_int_equal(all.count, 2);
	assert_string_equal(all.channels[0].id, "Z");
	assert_string_equal(all.channels[1].id, "orders");
	channel_confs_release(&all);
	write_file(other, "id = \"orders\"; lanes = 0;", 0600);
	conf_file_channels(daemon, "/s.conf", &all, &notes);
	assert_int_equal(all.count, 1);
	assert_int_equal(notes.errors, 4);
	channel_confs_release(&all);
	conf_notes_release(&notes);
	unlink(other);

	assert_int_equal(conf_set(daemon, "channels", "/nowhere/*.conf", "/s.conf:7", &e), RC_OK);
	conf_file_channels(daemon, "/s.conf", &all, &notes);
	assert_int_equal(notes.errors, 1);
	assert_int_equal(notes.notes[0].line, 7);
	assert_non_null(strstr(notes.notes[0].text, "create the directory"));
	conf_notes_release(&notes);
	conf_free(daemon);
	free(pattern);
	free(other);
}

static void
test_daemon(void **state)
{
	const struct place *p = *state;
	struct conf_notes notes = {0};
	struct conf *c;

	conf_file_daemon(p->file, true, &c, &notes);
	assert_null(c);
	assert_int_equal(notes.errors, 1);
	conf_notes_release(&notes);
	conf_file_daemon(p->file, false, &c, &notes);
	assert_non_null(c);
	assert_int_equal(notes.count, 0);
	assert_string_equal(conf_str(c, "state_dir"), "/var/lib/syncline");
	conf_free(c);
	write_file(p->file, "history = \"1d\"; log_format = \"json\";", 0600);
	conf_file_daemon(p->file, true, &c, &notes);
	assert_non_null(c);
	assert_int_equal(conf_ms(c, "history"), 86400000);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_suggest_long),
		cmocka_unit_test(test_unit),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_trip),
		cmocka_unit_test(test_trip_damage),
		cmocka_unit_test(test_mask),
		cmocka_unit_test_setup_teardown(test_password_file, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_credential, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_inline_password, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_slurp, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_channels, place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_daemon, place_setup, place_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
