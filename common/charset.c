/* charset.c - see charset.h. */
#include "common/compat.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "common/charset.h"
#include "common/mem.h"

/* Names that iconv has for them; a set that has its own name there is not listed. */
static const struct {
	const char *name;
	const char *iconv;
} names[] = {
	{"armscii8", "ARMSCII-8"},
	{"ascii", "UTF-8"},
	{"dec8", "DEC-MCS"},
	{"eucjpms", "EUC-JP-MS"},
	{"euckr", "EUC-KR"},
	{"gb2312", "EUC-CN"},
	{"geostd8", "GEORGIAN-PS"},
	{"greek", "ISO-8859-7"},
	{"hebrew", "ISO-8859-8"},
	{"hp8", "HP-ROMAN8"},
	{"koi8r", "KOI8-R"},
	{"koi8u", "KOI8-U"},
	{"latin1", "CP1252"},
	{"latin2", "ISO-8859-2"},
	{"latin5", "ISO-8859-9"},
	{"latin7", "ISO-8859-13"},
	{"macce", "MAC-CENTRALEUROPE"},
	{"macroman", "MACINTOSH"},
	{"sjis", "CP932"},
	{"swe7", "SEN_850200_C"},
	{"tis620", "TIS-620"},
	{"ucs2", "UCS-2BE"},
	{"ujis", "EUC-JP"},
	{"utf16", "UTF-16BE"},
	{"utf16le", "UTF-16LE"},
	{"utf32", "UTF-32BE"},
	{"utf8", "UTF-8"},
	{"utf8mb3", "UTF-8"},
	{"utf8mb4", "UTF-8"},
};

struct set {
	char *name;
	bool same; /* UTF-8 already */
	bool latin1;
	iconv_t cd;
	struct set *next;
};

struct transcoder {
	struct set *sets;
};

struct transcoder *
transcoder_new(void)
{
	return xcalloc(1, sizeof(struct transcoder));
}

void
transcoder_free(struct transcoder *t)
{
	if (t == NULL)
		return;
	while (t->sets != NULL) {
		struct set *s = t->sets;

		t->sets = s->next;
		if (!s->same)
			iconv_close(s->cd);
		free(s->name);
		free(s);
	}
	free(t);
}

static struct set *
find(struct transcoder *t, const char *charset)
{
	const char *name = charset;
	struct set *s;

	for (s = t->sets; s != NULL; s = s->next)
		if (strcmp(s->name, charset) == 0)
			return s;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(names[i].name, charset) == 0)
			name = names[i].iconv;
	s = xcalloc(1, sizeof *s);
	s->same = strcmp(name, "UTF-8") == 0;
	s->latin1 = strcmp(charset, "latin1") == 0;
	s->cd = s->same ? (iconv_t)-1 : iconv_open("UTF-8", name);
	if (!s->same && s->cd == (iconv_t)-1) {
		free(s);
		return NULL;
	}
	s->name = xstrdup(charset);
	s->next = t->sets;
	t->sets = s;
	return s;
}

/* MySQL's latin1 is cp1252, whose five holes stand for themselves. */
static void
put_hole(struct buf *out, unsigned char c)
{
	buf_u8(out, (uint8_t)(0xc0 | c >> 6));
	buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
}

static enum rc
convert(const struct set *s, const void *p, size_t n, struct buf *out, struct err *e)
{
	char *from = (char *)p;
	size_t left = n;

	iconv(s->cd, NULL, NULL, NULL, NULL);
	while (left != 0) {
		size_t room = left * 4 + 16, space = room;
		char *to = (char *)buf_reserve(out, room);
		size_t done = iconv(s->cd, &from, &left, &to, &space);

		out->len += room - space;
		if (done != (size_t)-1 || errno == E2BIG)
			continue;
		if (!s->latin1)
			return err_set(e, RC_DATA,
				"a value is not text of its character set %s (at byte %zu)",
				s->name, n - left);
		put_hole(out, (unsigned char)*from);
		from++;
		left--;
	}
	buf_add(out, "", 0);
	return RC_OK;
}

enum rc
transcoder_utf8(struct transcoder *t, const char *charset, const void *p, size_t n, struct buf *out,
	struct err *e)
{
	const struct set *s = find(t, charset);

	if (s == NULL)
		return err_set(e, RC_CONFIG,
			"the character set %s cannot be converted to UTF-8 here", charset);
	if (s->same) {
		buf_add(out, p, n);
		return RC_OK;
	}
	return convert(s, p, n, out, e);
}
