/*
 * array.c - many rows as one execution; see sink.h of the room.
 *
 * Each parameter is an array of one column's values, which the statement takes
 * apart again. To the server that is a third less than an execution for each row.
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "workers/writer/pgsql/sink.h"

/* Fewer rows are not worth it, more gain nothing; and what a lane keeps for them is bounded. */
#define ARRAY_LEAST 4u
#define ARRAY_ROWS 128u
#define ARRAY_BYTES ((size_t)128 << 10)

static size_t
row_bytes(const struct row *r)
{
	size_t n = 0;

	for (uint32_t i = 0; i < r->ncols; i++)
		n += r->col[i].kind == VALUE_BYTES ? r->col[i].len : 0;
	return n;
}

/* How many of the rows go together. */
static uint32_t
slice(const struct change *const *changes, uint32_t n)
{
	size_t bytes = 0;
	uint32_t i = 0;

	do {
		bytes += row_bytes(&changes[i]->before) + row_bytes(&changes[i]->after);
	} while (++i < n && i < ARRAY_ROWS && bytes < ARRAY_BYTES);
	return i;
}

/* Whether it means the same within braces as it does alone. */
static bool
is_plain(const unsigned char *p, size_t n)
{
	if (n == 0 || (n == 4 && strncasecmp((const char *)p, "null", 4) == 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'z') &&
			!(p[i] >= 'A' && p[i] <= 'Z') && p[i] != '-' && p[i] != '.')
			return false;
	return true;
}

static void
add_element(struct buf *b, const unsigned char *p, size_t n)
{
	if (is_plain(p, n)) {
		buf_add(b, p, n);
		return;
	}
	buf_putc(b, '"');
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"' || p[i] == '\\')
			buf_putc(b, '\\');
		buf_putc(b, (char)p[i]);
	}
	buf_putc(b, '"');
}

/* Column i of the rows, of the images before or after. */
static enum rc
add_array(struct pgsql_lane *l, const struct target *t, const struct change *const *changes,
	uint32_t n, uint32_t i, bool before, struct err *e)
{
	enum rc rc = RC_OK;

	buf_putc(&l->text, '{');
	for (uint32_t k = 0; k < n && rc == RC_OK; k++) {
		const struct row *r = before ? &changes[k]->before : &changes[k]->after;

		if (k != 0)
			buf_putc(&l->text, ',');
		if (r->col[i].kind != VALUE_BYTES) {
			buf_puts(&l->text, "NULL");
			continue;
		}
		buf_clear(&l->scratch);
		rc = pgsink_render(l->transcoder, &t->source->columns[i],
			&t->table->columns[t->map[i]], &r->col[i], &l->scratch, e);
		if (rc == RC_OK)
			add_element(&l->text, l->scratch.data, l->scratch.len);
	}
	buf_add(&l->text, "}", 2);
	return rc;
}

static enum rc
run(struct pgsql_lane *l, const struct statement *s, const struct change *const *changes,
	uint32_t n, uint64_t *found, struct err *e)
{
	uint32_t nparams = s->nafter + s->nbefore;
	enum rc rc = RC_OK;

	grow(&l->at, &l->at_cap, (size_t)nparams + 1, sizeof *l->at);
	grow(&l->params, &l->params_cap, (size_t)nparams + 1, sizeof *l->params);
	buf_clear(&l->text);
	for (uint32_t k = 0; k < nparams && rc == RC_OK; k++) {
		bool before = k >= s->nafter;

		l->at[k] = l->text.len;
		rc = add_array(l, s->target, changes, n,
			before ? s->before[k - s->nafter] : s->after[k], before, e);
	}
	if (rc != RC_OK)
		return err_context(e, "%s.%s", s->target->db, s->target->name);
	for (uint32_t k = 0; k < nparams; k++)
		l->params[k] = (char *)l->text.data + l->at[k];
	return pgsink_ahead(l, s, found, e);
}

enum rc
pgsink_arrays(struct pgsql_lane *l, enum form form, const struct change *const *changes, uint32_t n,
	uint64_t *found, struct err *e)
{
	enum form many = form == FORM_UPDATE ? FORM_ARRAY_UPDATE : FORM_ARRAY_DELETE;
	struct statement *s;
	enum rc rc = RC_OK;

	for (uint32_t i = 0, k; i < n && rc == RC_OK; i += k) {
		k = slice(changes + i, n - i);
		if (k < ARRAY_LEAST || changes[i]->target->key == NULL) {
			rc = pgsink_each(l, form, changes + i, k, found, e);
			continue;
		}
		rc = pgsink_statement(l, many, changes[i], &s, e);
		if (rc == RC_OK)
			rc = !s->lacking ? run(l, s, changes + i, k, found, e)
					 : pgsink_each(l, form, changes + i, k, found, e);
	}
	return rc;
}
