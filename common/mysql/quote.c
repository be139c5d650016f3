/* quote.c - see quote.h. */
#include "common/compat.h"

#include <string.h>

#include "common/mysql/quote.h"

void
mysql_quote_name(struct buf *b, const char *name)
{
	buf_putc(b, '`');
	for (; *name != '\0'; name++) {
		if (*name == '`')
			buf_putc(b, '`');
		buf_putc(b, *name);
	}
	buf_putc(b, '`');
}

void
mysql_quote_table(struct buf *b, const char *db, const char *name)
{
	mysql_quote_name(b, db);
	buf_putc(b, '.');
	mysql_quote_name(b, name);
}

void
mysql_quote_hex(struct buf *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = p;
	unsigned char *to;

	buf_puts(b, "x'");
	to = buf_reserve(b, n * 2);
	for (size_t i = 0; i < n; i++) {
		to[i * 2] = (unsigned char)digits[from[i] >> 4];
		to[i * 2 + 1] = (unsigned char)digits[from[i] & 15];
	}
	b->len += n * 2;
	buf_putc(b, '\'');
}
