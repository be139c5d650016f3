/* conf_show.c - see conf_show.h. */
#include "common/compat.h"

#include <string.h>

#include "supervisor/conf_show.h"

#define COLUMN 48 /* where "# where" stands */

struct show {
	const struct conf *conf;
	const struct option *rows;
	struct buf *out;
};

static void
add_text(struct buf *b, const char *s)
{
	buf_putc(b, '"');
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else
			buf_putc(b, *s);
	}
	buf_putc(b, '"');
}

static void
add_list(const struct show *s, const char *path)
{
	size_t n = conf_count(s->conf, path);

	buf_putc(s->out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_puts(s->out, i != 0 ? ", " : "");
		add_text(s->out, conf_list(s->conf, path, i));
	}
	buf_putc(s->out, ']');
}

static void
add_pairs(const struct show *s, const char *path)
{
	size_t n = conf_count(s->conf, path);

	buf_putc(s->out, '(');
	for (size_t i = 0; i < n; i++) {
		const char *a, *b;

		conf_pair(s->conf, path, i, &a, &b);
		buf_puts(s->out, i != 0 ? ", (" : "(");
		add_text(s->out, a);
		buf_puts(s->out, ", ");
		add_text(s->out, b);
		buf_putc(s->out, ')');
	}
	buf_putc(s->out, ')');
}

static void
add_value(const struct show *s, const struct option *o, const char *path, const char *value)
{
	switch (o->type) {
	case OPTION_INT:
	case OPTION_BOOL:
		buf_puts(s->out, value);
		break;
	case OPTION_LIST:
		add_list(s, path);
		break;
	case OPTION_PAIRS:
		add_pairs(s, path);
		break;
	case OPTION_STRING:
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_ENUM:
	case OPTION_PATH:
	case OPTION_SECRET:
	case OPTION_GROUP:
	case OPTION_GROUPS:
	default:
		add_text(s->out, value);
		break;
	}
}

/* Rows of an end of another kind are noise; a group's defaults belong to no entry. */
static bool
is_shown(const struct show *s, const struct option *o, const char *where)
{
	const char *kind = NULL;

	if (strcmp(where, "default") != 0)
		return true;
	if (strncmp(o->path, "source.", 7) == 0)
		kind = conf_str(s->conf, "source.kind");
	else if (strncmp(o->path, "target.", 7) == 0)
		kind = conf_str(s->conf, "target.kind");
	else
		return strchr(o->path, '.') == NULL;
	return kind == NULL || o->kinds == NULL || option_word(o->kinds, kind);
}

static void
print_cb(void *arg, const char *path, const char *value, const char *where)
{
	const struct show *s = arg;
	const struct option *o = option_find(s->rows, path);
	size_t begin = s->out->len;

	if (!is_shown(s, o, where))
		return;
	buf_printf(s->out, "%s = ", path);
	add_value(s, o, path, value);
	do
		buf_putc(s->out, ' ');
	while (s->out->len - begin < COLUMN);
	buf_printf(s->out, "# %s\n", where);
}

void
conf_print_effective(const struct conf *c, const struct option *rows, struct buf *out)
{
	struct show s = {.conf = c, .rows = rows, .out = out};

	conf_each(c, print_cb, &s);
}
