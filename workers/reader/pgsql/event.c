/* event.c - see event.h. */
#include "common/compat.h"

#include <endian.h>
#include <string.h>

#include "common/buf.h"
#include "workers/reader/pgsql/event.h"

/* Numbers of the protocol are big-endian; the cursor's are not. */
static uint16_t
be16(struct cursor *c)
{
	return be16toh(htole16(cursor_u16(c)));
}

static uint32_t
be32(struct cursor *c)
{
	return be32toh(htole32(cursor_u32(c)));
}

static uint64_t
be64(struct cursor *c)
{
	return be64toh(htole64(cursor_u64(c)));
}

static const char *
text(struct cursor *c)
{
	const unsigned char *end = memchr(c->p, '\0', cursor_left(c));
	const char *s = (const char *)c->p;

	if (c->bad || end == NULL) {
		c->bad = true;
		return "";
	}
	cursor_take(c, (size_t)(end - c->p) + 1);
	return s;
}

static void
relation(struct cursor *c, struct arena *a, struct pgout_relation *r)
{
	r->oid = be32(c);
	r->schema = text(c);
	r->name = text(c);
	r->identity = (char)cursor_u8(c);
	r->ncolumns = be16(c);
	r->columns = arena_calloc(a, r->ncolumns, sizeof *r->columns);
	for (uint32_t i = 0; i < r->ncolumns && !c->bad; i++) {
		r->columns[i].key = (cursor_u8(c) & 1) != 0;
		r->columns[i].name = text(c);
		r->columns[i].type = be32(c);
		r->columns[i].modifier = (int32_t)be32(c);
	}
	if (*r->schema == '\0')
		r->schema = "pg_catalog";
}

static void
tuple(struct cursor *c, struct arena *a, struct pgout_tuple *t)
{
	t->n = be16(c);
	t->values = arena_calloc(a, t->n, sizeof *t->values);
	for (uint32_t i = 0; i < t->n && !c->bad; i++) {
		struct pgout_value *v = &t->values[i];

		switch (cursor_u8(c)) {
		case 'n':
			v->kind = PGOUT_NULL;
			break;
		case 'u':
			v->kind = PGOUT_UNCHANGED;
			break;
		case 't':
			v->kind = PGOUT_TEXT;
			v->len = be32(c);
			v->text = (const char *)cursor_take(c, v->len);
			break;
		default:
			c->bad = true;
		}
	}
}

static void
update(struct cursor *c, struct arena *a, struct pgout_event *ev)
{
	uint8_t what;

	ev->oid = be32(c);
	what = cursor_u8(c);
	if (what == 'K' || what == 'O') {
		ev->old = what == 'K' ? PGOUT_OLD_KEY : PGOUT_OLD_ROW;
		tuple(c, a, &ev->before);
		what = cursor_u8(c);
	}
	if (what != 'N')
		c->bad = true;
	tuple(c, a, &ev->after);
}

static void delete (struct cursor *c, struct arena *a, struct pgout_event *ev)
{
	uint8_t what;

	ev->oid = be32(c);
	what = cursor_u8(c);
	if (what != 'K' && what != 'O')
		c->bad = true;
	ev->old = what == 'K' ? PGOUT_OLD_KEY : PGOUT_OLD_ROW;
	tuple(c, a, &ev->before);
}

static void
truncate_list(struct cursor *c, struct arena *a, struct pgout_event *ev)
{
	ev->noids = be32(c);
	cursor_u8(c);
	if (c->bad || ev->noids > cursor_left(c) / 4) {
		c->bad = true;
		return;
	}
	ev->oids = arena_calloc(a, ev->noids, sizeof *ev->oids);
	for (uint32_t i = 0; i < ev->noids; i++)
		ev->oids[i] = be32(c);
}

enum rc
pgout_decode(
	const unsigned char *p, size_t n, struct arena *a, struct pgout_event *ev, struct err *e)
{
	struct cursor c;
	uint8_t type;

	*ev = (struct pgout_event){.kind = PGOUT_OTHER};
	cursor_init(&c, p, n);
	type = cursor_u8(&c);
	switch (type) {
	case 'B':
		ev->kind = PGOUT_BEGIN;
		ev->lsn = be64(&c);
		ev->time = (int64_t)be64(&c);
		ev->xid = be32(&c);
		break;
	case 'C':
		ev->kind = PGOUT_COMMIT;
		cursor_u8(&c);
		be64(&c);
		ev->lsn = be64(&c);
		ev->time = (int64_t)be64(&c);
		break;
	case 'R':
		ev->kind = PGOUT_RELATION;
		relation(&c, a, &ev->relation);
		break;
	case 'I':
		ev->kind = PGOUT_INSERT;
		ev->oid = be32(&c);
		if (cursor_u8(&c) != 'N')
			c.bad = true;
		tuple(&c, a, &ev->after);
		break;
	case 'U':
		ev->kind = PGOUT_UPDATE;
		update(&c, a, ev);
		break;
	case 'D':
		ev->kind = PGOUT_DELETE;
		delete (&c, a, ev);
		break;
	case 'T':
		ev->kind = PGOUT_TRUNCATE;
		truncate_list(&c, a, ev);
		break;
	case 'O':
	case 'Y':
	case 'M':
		return RC_OK;
	default:
		return err_set(e, RC_DATA,
			"the source's log has a message of type 0x%02x, which this program does "
			"not know",
			type);
	}
	if (!cursor_done(&c))
		return err_set(
			e, RC_DATA, "the source's log has a damaged message of type '%c'", type);
	return RC_OK;
}
