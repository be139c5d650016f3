/*
 * trigger.c - triggers at a MySQL target (triggers = "copy").
 *
 * What a trigger did at the source is in its log, row by row; here it must not
 * do it again, yet is to be there for the day when applications write to this
 * server. Servers have no switch for that, so its body goes under a condition
 * that our sessions do not meet (lane.c sets the variable).
 */
#include "common/compat.h"

#include <string.h>

#include "workers/writer/mysql/sink.h"

#define GUARD "IF @" TRIGGER_VARIABLE " IS NULL THEN"

/* Where the body begins: behind FOR EACH ROW and what orders triggers; the text's end if nowhere.
 */
static size_t
body_of(const struct ddl *d, const struct buf *sql)
{
	struct tokens t;
	struct tok k;

	tokens_init(
		&t, (const char *)sql->data, sql->len, d->text.ansi_quotes, d->text.no_backslash);
	do {
		k = tokens_next(&t);
	} while (k.kind != TOK_END && !(k.kind == TOK_WORD && tok_is(&t, &k, "EACH")));
	(void)tokens_next(&t); /* ROW */
	k = tokens_next(&t);
	if (k.kind == TOK_WORD && (tok_is(&t, &k, "FOLLOWS") || tok_is(&t, &k, "PRECEDES"))) {
		(void)tokens_next(&t);
		k = tokens_next(&t);
	}
	return k.kind != TOK_END ? k.start : sql->len;
}

void
trigger_guard(const struct ddl *d, struct buf *sql)
{
	size_t at = body_of(d, sql), end = sql->len;
	struct buf out;

	/* A target that is a source in its turn has done it. */
	if (at == sql->len ||
		(end - at >= strlen(GUARD) && memcmp(sql->data + at, GUARD, strlen(GUARD)) == 0))
		return;
	while (end > at && strchr("; \t\r\n", sql->data[end - 1]) != NULL)
		end--;
	buf_init(&out);
	buf_add(&out, sql->data, at);
	buf_puts(&out, GUARD "\n");
	buf_add(&out, sql->data + at, end - at);
	buf_puts(&out, "\n; END IF");
	buf_clear(sql);
	buf_add(sql, out.data, out.len);
	buf_release(&out);
}
