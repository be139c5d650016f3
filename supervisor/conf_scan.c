/* conf_scan.c - see conf_scan.h. */
#include "common/compat.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "supervisor/conf_scan.h"

#define MAX_FILE ((size_t)1 << 20)
#define SHOWN 40 /* characters of a token that a note shows */

/* ---- the file ---- */

static char *
read_all(int fd, const char *file, size_t size, size_t *len, struct err *e)
{
	char *text = xmalloc(size + 1);
	ssize_t n;

	for (*len = 0; *len < size; *len += (size_t)n) {
		n = read(fd, text + *len, size - *len);
		if (n < 0) {
			err_errno(e, RC_CONFIG, "cannot read %s", file);
			free(text);
			return NULL;
		}
		if (n == 0)
			break;
	}
	text[*len] = '\0';
	return text;
}

char *
conf_slurp(const char *file, size_t *len, struct err *e)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		err_errno(e, RC_CONFIG, "cannot read %s", file);
	else if (S_ISDIR(st.st_mode))
		err_set(e, RC_CONFIG, "cannot read %s: it is a directory", file);
	else if (!S_ISREG(st.st_mode))
		err_set(e, RC_CONFIG, "cannot read %s: it is not a regular file", file);
	else if ((size_t)st.st_size > MAX_FILE)
		err_set(e, RC_CONFIG, "cannot read %s: it has %lld bytes, more than 1 MiB", file,
			(long long)st.st_size);
	else
		text = read_all(fd, file, (size_t)st.st_size, len, e);
	if (fd >= 0)
		close(fd);
	return text;
}

/* ---- the text ---- */

struct scan {
	const char *p;
	const char *file;
	unsigned line;
	char last; /* the last character that means something: neither blank nor comment */
	struct conf_notes *notes;
};

static bool
is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*';
}

static void
skip_line(struct scan *s)
{
	s->p += strcspn(s->p, "\n");
}

static void
skip_comment(struct scan *s)
{
	unsigned begin = s->line;

	for (s->p += 2; *s->p != '\0' && strncmp(s->p, "*/", 2) != 0; s->p++)
		s->line += *s->p == '\n';
	if (*s->p != '\0')
		s->p += 2;
	else
		conf_note_add(
			s->notes, s->file, begin, false, "the comment that begins here has no end");
}

static void
skip_text(struct scan *s)
{
	for (s->p++; *s->p != '\0' && *s->p != '"' && *s->p != '\n'; s->p++) {
		if (*s->p != '\\' || s->p[1] == '\0' || s->p[1] == '\n')
			continue;
		s->p++;
		if (strncmp(s->p, "x00", 3) == 0)
			conf_note_add(s->notes, s->file, s->line, false,
				"\\x00 in a text: a NUL would end it");
	}
	if (*s->p == '"')
		s->p++;
	else
		conf_note_add(s->notes, s->file, s->line, false,
			"a text is not closed on its line: a quote is missing");
}

static bool
is_integer(const char *digits, size_t n)
{
	bool hex = n > 2 && digits[0] == '0' && tolower((unsigned char)digits[1]) == 'x';
	size_t k = hex ? 2 + strspn(digits + 2, "0123456789abcdefABCDEF")
		       : strspn(digits, "0123456789");

	for (int i = 0; i < 2 && k < n && digits[k] == 'L'; i++)
		k++;
	return k >= n && !(hex && k == 2);
}

static void
check_integer(struct scan *s, size_t n)
{
	int shown = n < SHOWN ? (int)n : SHOWN;
	bool negative = s->last == '-';
	char *rest;
	long long v;

	errno = 0;
	v = strtoll(s->p, &rest, 0);
	if (n > 1 && s->p[0] == '0' && isdigit((unsigned char)s->p[1]))
		conf_note_add(s->notes, s->file, s->line, false,
			"%.*s looks octal: write it without the leading zero, or as a text", shown,
			s->p);
	else if (errno != 0)
		conf_note_add(s->notes, s->file, s->line, false, "%.*s is larger than 64 bits",
			shown, s->p);
	else if (v > (long long)INT32_MAX + negative && *rest != 'L')
		conf_note_add(s->notes, s->file, s->line, false,
			"%.*s is larger than 32 bits: write it with an L behind, or as a text",
			shown, s->p);
}

static void
take_number(struct scan *s)
{
	size_t n = 0;
	bool hex = s->p[0] == '0' && tolower((unsigned char)s->p[1]) == 'x', real = false;

	for (; isalnum((unsigned char)s->p[n]) || strchr("_.+-", s->p[n]) != NULL; n++) {
		char c = s->p[n], before = n > 0 ? (char)tolower((unsigned char)s->p[n - 1]) : ' ';

		if (c == '\0' || ((c == '+' || c == '-') && (hex || before != 'e')))
			break;
		real = real || c == '.' || (!hex && tolower((unsigned char)c) == 'e');
	}
	if (is_integer(s->p, n))
		check_integer(s, n);
	else if (!real)
		conf_note_add(s->notes, s->file, s->line, false,
			"%.*s is not a number; a value with a unit is a text: \"30s\", \"64MiB\"",
			n < SHOWN ? (int)n : SHOWN, s->p);
	s->last = '0';
	s->p += n;
}

static void
take_mark(struct scan *s)
{
	if (*s->p == '@' && strncmp(s->p, "@include", 8) == 0)
		conf_note_add(s->notes, s->file, s->line, false,
			"@include is not read: one file is one channel; the daemon's \"channels\" "
			"names the files");
	if ((*s->p == ']' || *s->p == ')') && s->last == ',')
		conf_note_add(s->notes, s->file, s->line, false,
			"a comma stands before the closing bracket");
	s->last = *s->p++;
}

static void
take_one(struct scan *s)
{
	char c = *s->p;

	if (c == '\n') {
		s->line++;
		s->p++;
	} else if (isspace((unsigned char)c)) {
		s->p++;
	} else if (c == '#' || strncmp(s->p, "//", 2) == 0) {
		skip_line(s);
	} else if (strncmp(s->p, "/*", 2) == 0) {
		skip_comment(s);
	} else if (c == '"') {
		skip_text(s);
		s->last = '"';
	} else if (isdigit((unsigned char)c)) {
		take_number(s);
	} else if (is_name(c) && c != '-') {
		while (is_name(*s->p))
			s->p++;
		s->last = 'a';
	} else {
		take_mark(s);
	}
}

/* The length of the UTF-8 character at p, 1 to 4; 0: it is none. */
static size_t
utf8_length(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t n = 0;

	if (u[0] < 0x80)
		n = 1;
	else if (u[0] >= 0xc2 && u[0] < 0xf5)
		n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
		(u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return n;
}

/* Notes the first line that is not UTF-8: names and labels go to catalogs, logs and JSON. */
static void
check_utf8(const char *text, const char *file, struct conf_notes *notes)
{
	unsigned line = 1;
	size_t n;

	for (; *text != '\0'; text += n) {
		line += *text == '\n';
		n = utf8_length(text);
		if (n == 0) {
			conf_note_add(notes, file, line, false, "the text is not UTF-8");
			return;
		}
	}
}

static bool
is_text(const char *text, size_t len, const char *file, struct conf_notes *notes)
{
	size_t before = notes->errors;

	if (strlen(text) != len)
		conf_note_add(notes, file, 1, false, "the file has NUL bytes: it is not a text");
	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		conf_note_add(notes, file, 1, false,
			"the file begins with a byte order mark: save it without");
	check_utf8(text, file, notes);
	return notes->errors == before;
}

bool
conf_scan(const char *text, size_t len, const char *file, struct conf_notes *notes)
{
	struct scan s = {.p = text, .file = file, .line = 1, .last = ';', .notes = notes};
	bool include = false;

	if (!is_text(text, len, file, notes))
		return false;
	while (*s.p != '\0') {
		include = include || strncmp(s.p, "@include", 8) == 0;
		take_one(&s);
	}
	return !include;
}
