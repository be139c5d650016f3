/*
 * statement.c - prepared statements of row changes; see sink.h of the room.
 *
 * Values are bound where they lie, in the ring. A DELETE names as many keys as
 * fit. With MariaDB and its Connector/C one execution of the others takes an
 * array of rows; elsewhere an INSERT has as many VALUES as fit and an UPDATE some
 * rows. (At a MariaDB, which has arrays, such an UPDATE would save the server
 * about what it costs us to bind.)
 */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "workers/writer/mysql/sink.h"

#define MAX_PARAMETERS 60000u
#define MAX_VALUES 256u
/* A row of an UPDATE is looked for among them one after the other. */
#define MAX_UPDATES 16u
/* Values of this size go by themselves, in pieces: neither the library nor the server's packet
 * needs room for all of one. */
#define LONG_VALUE ((size_t)1 << 20)
#define PIECE ((size_t)256 << 10)
#define UNKNOWN_ERROR 1105 /* what servers say of a long value that is longer than they allow */

/* ---- cache ---- */

static void
drop(struct statement *s)
{
	if (s->st != NULL)
		mysql_stmt_close(s->st);
	free(s->after);
	free(s->before);
	*s = (struct statement){0};
}

void
statements_drop(struct mysql_lane *l)
{
	for (size_t i = 0; i < STATEMENTS; i++)
		drop(&l->cache[i]);
}

/* How many of the waiting rows the text of a statement has. */
static uint32_t
rows_for(const struct mysql_lane *l, enum form form, const struct change *c, uint32_t waiting)
{
	bool by_key = form == FORM_UPDATE || form == FORM_DELETE;
	uint32_t n = form == FORM_UPDATE ? MAX_UPDATES : MAX_VALUES;
	uint32_t columns = c->target->source->ncolumns, width = columns * (by_key ? 3 : 1) + 1;

	if ((l->bulk && form != FORM_DELETE) || (by_key && c->target->key == NULL))
		return 1;
	/* It would be set while it is searched by; see list_after. */
	if (form == FORM_UPDATE && (c->shape & SHAPE_KEY_MOVES) != 0)
		return 1;
	while (n > 1 && (n > waiting || n * width > MAX_PARAMETERS))
		n /= 4;
	return n;
}

static struct statement *
find_or_evict(struct mysql_lane *l, const struct statement *want)
{
	struct statement *oldest = &l->cache[0];

	for (size_t i = 0; i < STATEMENTS; i++) {
		struct statement *s = &l->cache[i];

		if (s->st != NULL && s->target == want->target && s->form == want->form &&
			s->shape == want->shape && s->rows == want->rows)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	drop(oldest);
	return oldest;
}

enum rc
statement_get(struct mysql_lane *l, enum form form, const struct change *c, uint32_t rows,
	struct statement **out, struct err *e)
{
	struct statement want = {.target = c->target, .form = form, .shape = c->shape, .rows = 1};
	struct statement *s;
	struct buf b;

	want.rows = rows_for(l, form, c, rows);
	s = find_or_evict(l, &want);
	s->used = ++l->clock;
	*out = s;
	if (s->st != NULL)
		return RC_OK;
	*s = want;
	s->used = l->clock;
	buf_init(&b);
	statement_write(s, c, &b);
	s->st = mysql_stmt_init(l->c.my);
	if (s->st == NULL || mysql_stmt_prepare(s->st, buf_text(&b), b.len) != 0) {
		enum rc rc = lane_failed(l, s->st, e, "cannot prepare a row change");

		err_context(e, "%s.%s", c->target->db, c->target->name);
		drop(s);
		buf_release(&b);
		return rc;
	}
	buf_release(&b);
	return RC_OK;
}

/* ---- binding ---- */

static enum enum_field_types
buffer_type(const struct column *c)
{
	switch (type_layout(c->type)) {
	case LAYOUT_I64:
		return MYSQL_TYPE_LONGLONG;
	case LAYOUT_F32:
		return MYSQL_TYPE_FLOAT;
	case LAYOUT_F64:
		return MYSQL_TYPE_DOUBLE;
	case LAYOUT_TEXT:
	case LAYOUT_BYTES:
	default:
		return MYSQL_TYPE_BLOB;
	}
}

static void
bind_one(MYSQL_BIND *b, const struct column *c, const struct value *v, unsigned long *len)
{
	b->is_unsigned = statement_unsigned(c);
	if (v->kind != VALUE_BYTES) {
		b->buffer_type = MYSQL_TYPE_NULL;
		return;
	}
	*len = v->len;
	b->buffer_type = buffer_type(c);
	b->buffer = (void *)v->data;
	b->buffer_length = v->len;
	b->length = len;
}

/* Parameters in the order of a statement's text. */
struct binding {
	const struct statement *s;
	MYSQL_BIND *b;
	unsigned long *len;
	size_t n;
};

static void
bind_after(struct binding *to, const struct change *c, uint32_t k)
{
	uint32_t i = to->s->after[k];

	bind_one(&to->b[to->n], &to->s->target->source->columns[i], &c->after.col[i],
		&to->len[to->n]);
	to->n++;
}

static void
bind_match(struct binding *to, const struct change *c)
{
	for (uint32_t k = 0; k < to->s->nbefore; k++, to->n++)
		bind_one(&to->b[to->n], &to->s->target->source->columns[to->s->before[k]],
			&c->before.col[to->s->before[k]], &to->len[to->n]);
}

/* As update_many_text has them. */
static void
bind_updates(struct binding *to, const struct change *const *changes)
{
	const struct statement *s = to->s;

	for (uint32_t r = 0; r < s->rows; r++)
		bind_match(to, changes[r]);
	for (uint32_t k = 0; k < s->nafter; k++)
		for (uint32_t r = 0; r < s->rows; r++)
			bind_after(to, changes[r], k);
	for (uint32_t r = 0; r < s->rows; r++)
		bind_match(to, changes[r]);
}

static MYSQL_BIND *
bind_rows(struct mysql_lane *l, const struct statement *s, const struct change *const *changes)
{
	size_t most = (size_t)s->rows * (s->nafter + 2 * (size_t)s->nbefore) + 1;
	struct binding to = {.s = s,
		.b = arena_calloc(&l->arena, most, sizeof *to.b),
		.len = arena_calloc(&l->arena, most, sizeof *to.len)};

	if (s->form == FORM_UPDATE && s->rows > 1) {
		bind_updates(&to, changes);
		return to.b;
	}
	for (uint32_t r = 0; r < s->rows; r++) {
		for (uint32_t k = 0; k < s->nafter; k++)
			bind_after(&to, changes[r], k);
		bind_match(&to, changes[r]);
	}
	return to.b;
}

#ifdef MARIADB_BASE_VERSION

/* One parameter, all rows: fixed-width values in an array of their own, others as pointers to where
 * they lie. */
static void
bind_array(struct mysql_lane *l, MYSQL_BIND *b, const struct column *c,
	const struct change *const *changes, uint32_t n, uint32_t column, bool after)
{
	enum value_layout layout = type_layout(c->type);
	size_t width = layout == LAYOUT_F32 ? 4 : 8;
	bool fixed = layout != LAYOUT_TEXT && layout != LAYOUT_BYTES;
	unsigned char *values = fixed ? arena_alloc(&l->arena, n * width) : NULL;
	const void **pointers = fixed ? NULL : arena_alloc(&l->arena, n * sizeof(void *));
	unsigned long *lengths = arena_alloc(&l->arena, n * sizeof *lengths);
	char *indicator = arena_alloc(&l->arena, n);

	for (uint32_t r = 0; r < n; r++) {
		const struct value *v =
			&(after ? &changes[r]->after : &changes[r]->before)->col[column];

		indicator[r] = v->kind == VALUE_BYTES ? STMT_INDICATOR_NONE : STMT_INDICATOR_NULL;
		lengths[r] = v->kind == VALUE_BYTES ? v->len : 0;
		if (fixed)
			memcpy(values + r * width,
				v->kind == VALUE_BYTES && v->len == width
					? v->data
					: (const unsigned char *)"\0\0\0\0\0\0\0",
				width);
		else
			pointers[r] = v->kind == VALUE_BYTES ? (const void *)v->data : "";
	}
	b->buffer_type = buffer_type(c);
	b->is_unsigned = statement_unsigned(c);
	b->buffer = fixed ? (void *)values : (void *)pointers;
	b->length = lengths;
	b->u.indicator = indicator;
}

static enum rc
run_bulk(struct mysql_lane *l, struct statement *s, const struct change *const *changes, uint32_t n,
	uint64_t *found, struct err *e)
{
	const struct table *source = s->target->source;
	MYSQL_BIND *b = arena_calloc(&l->arena, s->nafter + s->nbefore + 1, sizeof *b);
	unsigned size = n;

	for (uint32_t k = 0; k < s->nafter; k++)
		bind_array(l, &b[k], &source->columns[s->after[k]], changes, n, s->after[k], true);
	for (uint32_t k = 0; k < s->nbefore; k++)
		bind_array(l, &b[s->nafter + k], &source->columns[s->before[k]], changes, n,
			s->before[k], false);
	if (mysql_stmt_attr_set(s->st, STMT_ATTR_ARRAY_SIZE, &size) != 0 ||
		mysql_stmt_bind_param(s->st, b) != 0 || mysql_stmt_execute(s->st) != 0)
		return lane_failed(l, s->st, e, "refused row changes");
	*found += mysql_stmt_affected_rows(s->st);
	return RC_OK;
}

#else

static enum rc
run_bulk(struct mysql_lane *l, struct statement *s, const struct change *const *changes, uint32_t n,
	uint64_t *found, struct err *e)
{
	(void)l;
	(void)s;
	(void)changes;
	(void)n;
	(void)found;
	return err_set(e, RC_BUG, "this client library has no array binding");
}

#endif

/* ---- long values ---- */

static bool
row_has_long(const struct row *r)
{
	for (uint32_t i = 0; i < r->ncols; i++)
		if (r->col[i].kind == VALUE_BYTES && r->col[i].len >= LONG_VALUE)
			return true;
	return false;
}

bool
statement_alone(const struct change *c)
{
	return row_has_long(&c->before) || row_has_long(&c->after);
}

static enum rc
send_long(struct mysql_lane *l, struct statement *s, const MYSQL_BIND *b, struct err *e)
{
	for (uint32_t i = 0; i < s->rows * (s->nafter + s->nbefore); i++) {
		const char *data = b[i].buffer;
		unsigned long left = b[i].buffer_type == MYSQL_TYPE_BLOB ? *b[i].length : 0;

		if (left < LONG_VALUE)
			continue;
		while (left != 0) {
			unsigned long n = left < PIECE ? left : PIECE;

			if (mysql_stmt_send_long_data(s->st, i, data, n) != 0)
				return lane_failed(l, s->st, e, "broke off a long value");
			data += n;
			left -= n;
		}
	}
	return RC_OK;
}

static enum rc
execute_failed(struct mysql_lane *l, struct statement *s, bool has_long, struct err *e)
{
	enum rc rc = lane_failed(l, s->st, e, "refused a row change");

	if (has_long && e->code == UNKNOWN_ERROR)
		return err_remedy(e, "set max_allowed_packet at the target as high as at the "
				     "source, then start the channel again");
	return rc;
}

enum rc
statement_run(struct mysql_lane *l, struct statement *s, const struct change *const *changes,
	uint32_t n, uint64_t *found, struct err *e)
{
	bool has_long;
	MYSQL_BIND *b;
	enum rc rc;

	arena_reset(&l->arena);
	if (n != s->rows)
		return run_bulk(l, s, changes, n, found, e);
#ifdef MARIADB_BASE_VERSION
	if (l->bulk) {
		unsigned zero = 0;

		mysql_stmt_attr_set(s->st, STMT_ATTR_ARRAY_SIZE, &zero);
	}
#endif
	b = bind_rows(l, s, changes);
	if (mysql_stmt_bind_param(s->st, b) != 0)
		return lane_failed(l, s->st, e, "refused a row change");
	has_long = n == 1 && statement_alone(changes[0]);
	if (has_long && (rc = send_long(l, s, b, e)) != RC_OK)
		return rc;
	if (mysql_stmt_execute(s->st) != 0)
		return execute_failed(l, s, has_long, e);
	*found += mysql_stmt_affected_rows(s->st);
	return RC_OK;
}
