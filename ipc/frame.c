/* frame.c - see frame.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "ipc/frame.h"

#define FRAME_HEAD 4u /* version, kind, flags, zero */
#define WAIT_MS 50
#define PIECE_OVERHEAD 16u /* of a fragment in the ring: the ring's head and ours, aligned */

/* ---- sizes ---- */

static size_t
size_str(const char *s)
{
	return 4 + strlen(s);
}

static size_t
size_row(const struct row *r)
{
	size_t n = 4 + (size_t)r->ncols * 4;

	for (uint32_t i = 0; i < r->ncols; i++)
		if (r->col[i].kind == VALUE_BYTES)
			n += r->col[i].len;
	return n;
}

static size_t
size_commit(const struct event_commit *c)
{
	return 8 * 5 + 4 + size_str(c->txid) + size_str(c->origin) + size_str(c->applied) +
	       size_str(c->resume);
}

static size_t
size_changes(const struct event_ddl *d)
{
	size_t n = 4;

	for (uint32_t i = 0; i < d->nchanges; i++) {
		const struct table_change *t = &d->changes[i];

		n += 1 + size_str(t->db) + size_str(t->name) + size_str(t->to_db) +
		     size_str(t->to_name) + 4 + t->before_len + 4 + t->after_len + 4;
		for (uint32_t k = 0; k < t->ncolumns; k++)
			n += size_str(t->columns[k].from) + size_str(t->columns[k].to) + 2 +
			     size_str(t->columns[k].fill != NULL ? t->columns[k].fill : "");
	}
	return n;
}

static size_t
size_said(const struct event_ddl *d)
{
	size_t n = 4;

	for (uint32_t i = 0; i < d->nsaid; i++)
		n += size_str(d->said[i].db) + size_str(d->said[i].sql) + 1;
	return n;
}

static size_t
size_ddl(const struct event_ddl *d)
{
	return size_str(d->db) + size_str(d->sql) + size_str(d->session) +
	       size_str(d->session_charset) + size_changes(d) + size_said(d);
}

size_t
frame_size(const struct event *ev)
{
	size_t n = FRAME_HEAD;

	switch (ev->kind) {
	case EVENT_SCHEMA:
		return n + 4 + 4 + ev->schema.len;
	case EVENT_INSERT:
	case EVENT_UPDATE:
	case EVENT_DELETE:
		return n + 4 + 1 + size_row(&ev->row.before) + size_row(&ev->row.after);
	case EVENT_DDL:
		return n + size_ddl(&ev->ddl);
	case EVENT_COMMIT:
	case EVENT_START:
	case EVENT_HEARTBEAT:
		return n + size_commit(&ev->commit);
	case EVENT_OBJECT:
		return n + 1 + 4 + size_str(ev->object.db) + size_str(ev->object.name) +
		       size_ddl(&ev->object.ddl);
	case EVENT_TABLE:
		return n + 4 + 1 + 4 + ev->table.schema_len;
	case EVENT_CHUNK:
	case EVENT_CHUNK_ROWS:
	case EVENT_CHUNK_END:
		return n + 4 + 4 + 4 + 1 + 4 + ev->chunk.lo_len + 4 + ev->chunk.hi_len + 8;
	case EVENT_BEGIN:
	case EVENT_COUNT:
	default:
		return n;
	}
}

/* ---- encoding: a pointer that moves; frame_size has made the room ---- */

/*
 * Where bytes go. A large event goes through windows of one piece each, so
 * that nobody needs room for all of it beside the ring.
 */
struct out {
	unsigned char *p;
	unsigned char *end;
	struct pieces *pieces; /* NULL: one frame */
};

/* Gives the full piece away, makes room for the next; false: it is not wanted any more. */
static bool next_piece(struct out *o);

static void
w_raw(struct out *o, const void *from, size_t n)
{
	const unsigned char *at = from;

	while (n > (size_t)(o->end - o->p)) {
		size_t fits = (size_t)(o->end - o->p);

		if (fits != 0) {
			memcpy(o->p, at, fits);
			o->p += fits;
			at += fits;
			n -= fits;
		}
		if (!next_piece(o))
			return;
	}
	if (n != 0) {
		memcpy(o->p, at, n);
		o->p += n;
	}
}

static void
w_u8(struct out *o, uint8_t v)
{
	w_raw(o, &v, 1);
}

static void
w_u32(struct out *o, uint32_t v)
{
	unsigned char bytes[4];

	put_u32(bytes, v);
	w_raw(o, bytes, sizeof bytes);
}

static void
w_u64(struct out *o, uint64_t v)
{
	unsigned char bytes[8];

	put_u64(bytes, v);
	w_raw(o, bytes, sizeof bytes);
}

static void
w_bytes(struct out *o, const void *from, size_t n)
{
	/* The three largest lengths are heads that mean something else. */
	if (n >= HEAD_UNCHANGED)
		bug("%zu bytes are too many for a frame's field", n);
	w_u32(o, (uint32_t)n);
	w_raw(o, from, n);
}

static void
w_str(struct out *o, const char *s)
{
	w_bytes(o, s, strlen(s));
}

static void
w_row(struct out *o, const struct row *r)
{
	w_u32(o, r->ncols);
	for (uint32_t i = 0; i < r->ncols; i++) {
		const struct value *v = &r->col[i];

		switch (v->kind) {
		case VALUE_NULL:
			w_u32(o, HEAD_NULL);
			break;
		case VALUE_ABSENT:
			w_u32(o, HEAD_ABSENT);
			break;
		case VALUE_UNCHANGED:
			w_u32(o, HEAD_UNCHANGED);
			break;
		case VALUE_BYTES:
		default:
			w_bytes(o, v->data, v->len);
			break;
		}
	}
}

static void
w_commit(struct out *o, const struct event_commit *c)
{
	w_u64(o, c->at.file);
	w_u64(o, c->at.offset);
	w_u64(o, c->order);
	w_u32(o, c->incarnation);
	w_u64(o, c->time_us);
	w_u64(o, c->read_us);
	w_str(o, c->txid);
	w_str(o, c->origin);
	w_str(o, c->applied);
	w_str(o, c->resume);
}

static void
w_changes(struct out *o, const struct event_ddl *d)
{
	w_u32(o, d->nchanges);
	for (uint32_t i = 0; i < d->nchanges; i++) {
		const struct table_change *t = &d->changes[i];

		w_u8(o, (uint8_t)t->effect);
		w_str(o, t->db);
		w_str(o, t->name);
		w_str(o, t->to_db);
		w_str(o, t->to_name);
		w_bytes(o, t->before, t->before_len);
		w_bytes(o, t->after, t->after_len);
		w_u32(o, t->ncolumns);
		for (uint32_t k = 0; k < t->ncolumns; k++) {
			const struct column_change *c = &t->columns[k];

			w_str(o, c->from);
			w_str(o, c->to);
			w_u8(o, c->fill != NULL);
			w_str(o, c->fill != NULL ? c->fill : "");
			w_u8(o, c->computed);
		}
	}
}

static void
w_ddl(struct out *o, const struct event_ddl *d)
{
	w_str(o, d->db);
	w_str(o, d->sql);
	w_str(o, d->session);
	w_str(o, d->session_charset);
	w_changes(o, d);
	w_u32(o, d->nsaid);
	for (uint32_t i = 0; i < d->nsaid; i++) {
		w_str(o, d->said[i].db);
		w_str(o, d->said[i].sql);
		w_u8(o, d->said[i].ahead);
	}
}

static void
w_chunk(struct out *o, const struct event_chunk *c)
{
	w_u32(o, c->table);
	w_u32(o, c->number);
	w_u32(o, c->ring);
	w_u8(o, c->last);
	w_bytes(o, c->lo, c->lo_len);
	w_bytes(o, c->hi, c->hi_len);
	w_u64(o, c->rows);
}

static void
w_event(struct out *o, const struct event *ev)
{
	switch (ev->kind) {
	case EVENT_SCHEMA:
		w_u32(o, ev->schema.number);
		w_bytes(o, ev->schema.table, ev->schema.len);
		break;
	case EVENT_INSERT:
	case EVENT_UPDATE:
	case EVENT_DELETE:
		w_u32(o, ev->row.table);
		w_u8(o, ev->row.fk_off);
		w_row(o, &ev->row.before);
		w_row(o, &ev->row.after);
		break;
	case EVENT_DDL:
		w_ddl(o, &ev->ddl);
		break;
	case EVENT_COMMIT:
	case EVENT_START:
	case EVENT_HEARTBEAT:
		w_commit(o, &ev->commit);
		break;
	case EVENT_OBJECT:
		w_u8(o, (uint8_t)ev->object.kind);
		w_u32(o, ev->object.table);
		w_str(o, ev->object.db);
		w_str(o, ev->object.name);
		w_ddl(o, &ev->object.ddl);
		break;
	case EVENT_TABLE:
		w_u32(o, ev->table.table);
		w_u8(o, (uint8_t)ev->table.state);
		w_bytes(o, ev->table.schema, ev->table.schema_len);
		break;
	case EVENT_CHUNK:
	case EVENT_CHUNK_ROWS:
	case EVENT_CHUNK_END:
		w_chunk(o, &ev->chunk);
		break;
	case EVENT_BEGIN:
	case EVENT_COUNT:
	default:
		break;
	}
}

void
frame_encode(const struct event *ev, unsigned char *to)
{
	struct out o = {.p = to, .end = to + frame_size(ev)};

	w_u8(&o, FRAME_VERSION);
	w_u8(&o, (uint8_t)ev->kind);
	w_u8(&o, 0);
	w_u8(&o, 0);
	w_event(&o, ev);
}

/* ---- decoding ---- */

static const char *
r_str(struct cursor *c, struct arena *a)
{
	size_t n = cursor_u32(c);
	const unsigned char *p = cursor_take(c, n);

	if (p == NULL || memchr(p, '\0', n) != NULL) {
		c->bad = true;
		return "";
	}
	return arena_strndup(a, (const char *)p, n);
}

static bool
r_bool(struct cursor *c)
{
	uint8_t v = cursor_u8(c);

	if (v > 1)
		c->bad = true;
	return v == 1;
}

static void
r_range(struct cursor *c, const unsigned char **p, uint32_t *n)
{
	uint32_t len = cursor_u32(c);

	*p = cursor_take(c, len);
	*n = *p != NULL ? len : 0;
}

static void
r_row(struct cursor *c, struct arena *a, struct row *r)
{
	r->ncols = cursor_u32(c);
	if (c->bad || r->ncols > cursor_left(c) / 4) {
		c->bad = true;
		r->ncols = 0;
	}
	r->col = arena_alloc(a, r->ncols * sizeof *r->col);
	for (uint32_t i = 0; i < r->ncols; i++) {
		struct value *v = &r->col[i];
		uint32_t head = cursor_u32(c);

		*v = (struct value){.kind = VALUE_BYTES};
		if (head == HEAD_NULL) {
			v->kind = VALUE_NULL;
		} else if (head == HEAD_ABSENT) {
			v->kind = VALUE_ABSENT;
		} else if (head == HEAD_UNCHANGED) {
			v->kind = VALUE_UNCHANGED;
		} else {
			v->len = head;
			v->data = cursor_take(c, head);
		}
	}
}

static void
r_commit(struct cursor *c, struct arena *a, struct event_commit *m)
{
	m->at.file = cursor_u64(c);
	m->at.offset = cursor_u64(c);
	m->order = cursor_u64(c);
	m->incarnation = cursor_u32(c);
	m->time_us = cursor_u64(c);
	m->read_us = cursor_u64(c);
	m->txid = r_str(c, a);
	m->origin = r_str(c, a);
	m->applied = r_str(c, a);
	m->resume = r_str(c, a);
}

/* A count of things of at least `size` bytes each. */
static uint32_t
r_count(struct cursor *c, size_t size)
{
	uint32_t n = cursor_u32(c);

	if (c->bad || n > cursor_left(c) / size) {
		c->bad = true;
		return 0;
	}
	return n;
}

static void
r_change(struct cursor *c, struct arena *a, struct table_change *t)
{
	struct column_change *columns;
	uint8_t effect = cursor_u8(c);

	if (effect >= DDL_EFFECT_COUNT)
		c->bad = true;
	t->effect = (enum ddl_effect)effect;
	t->db = r_str(c, a);
	t->name = r_str(c, a);
	t->to_db = r_str(c, a);
	t->to_name = r_str(c, a);
	r_range(c, &t->before, &t->before_len);
	r_range(c, &t->after, &t->after_len);
	t->ncolumns = r_count(c, 14);
	columns = arena_calloc(a, t->ncolumns, sizeof *columns);
	for (uint32_t k = 0; k < t->ncolumns; k++) {
		bool filled;

		columns[k].from = r_str(c, a);
		columns[k].to = r_str(c, a);
		filled = r_bool(c);
		columns[k].fill = r_str(c, a);
		if (!filled) {
			if (columns[k].fill != NULL && *columns[k].fill != '\0')
				c->bad = true;
			columns[k].fill = NULL;
		}
		columns[k].computed = r_bool(c);
	}
	t->columns = columns;
}

static void
r_ddl(struct cursor *c, struct arena *a, struct event_ddl *d)
{
	struct table_change *changes;
	struct ddl_said *said;

	d->db = r_str(c, a);
	d->sql = r_str(c, a);
	d->session = r_str(c, a);
	d->session_charset = r_str(c, a);
	d->nchanges = r_count(c, 29);
	changes = arena_calloc(a, d->nchanges, sizeof *changes);
	for (uint32_t i = 0; i < d->nchanges; i++)
		r_change(c, a, &changes[i]);
	d->changes = changes;
	d->nsaid = r_count(c, 9);
	said = arena_calloc(a, d->nsaid, sizeof *said);
	for (uint32_t i = 0; i < d->nsaid; i++) {
		said[i].db = r_str(c, a);
		said[i].sql = r_str(c, a);
		said[i].ahead = r_bool(c);
	}
	d->said = said;
}

static void
r_chunk(struct cursor *c, struct event_chunk *k)
{
	k->table = cursor_u32(c);
	k->number = cursor_u32(c);
	k->ring = cursor_u32(c);
	k->last = r_bool(c);
	r_range(c, &k->lo, &k->lo_len);
	r_range(c, &k->hi, &k->hi_len);
	k->rows = cursor_u64(c);
}

static void
r_object(struct cursor *c, struct arena *a, struct event_object *o)
{
	uint8_t kind = cursor_u8(c);

	if (kind >= OBJECT_COUNT)
		c->bad = true;
	o->kind = (enum object_kind)kind;
	o->table = cursor_u32(c);
	o->db = r_str(c, a);
	o->name = r_str(c, a);
	r_ddl(c, a, &o->ddl);
}

static void
r_table(struct cursor *c, struct event_table *t)
{
	uint8_t state;

	t->table = cursor_u32(c);
	state = cursor_u8(c);
	if (state >= TABLE_STATE_COUNT)
		c->bad = true;
	t->state = (enum table_state)state;
	r_range(c, &t->schema, &t->schema_len);
}

static void
r_event(struct cursor *c, struct arena *a, struct event *ev)
{
	switch (ev->kind) {
	case EVENT_SCHEMA:
		ev->schema.number = cursor_u32(c);
		r_range(c, &ev->schema.table, &ev->schema.len);
		break;
	case EVENT_INSERT:
	case EVENT_UPDATE:
	case EVENT_DELETE:
		ev->row.table = cursor_u32(c);
		ev->row.fk_off = r_bool(c);
		r_row(c, a, &ev->row.before);
		r_row(c, a, &ev->row.after);
		break;
	case EVENT_DDL:
		r_ddl(c, a, &ev->ddl);
		break;
	case EVENT_COMMIT:
	case EVENT_START:
	case EVENT_HEARTBEAT:
		r_commit(c, a, &ev->commit);
		break;
	case EVENT_OBJECT:
		r_object(c, a, &ev->object);
		break;
	case EVENT_TABLE:
		r_table(c, &ev->table);
		break;
	case EVENT_CHUNK:
	case EVENT_CHUNK_ROWS:
	case EVENT_CHUNK_END:
		r_chunk(c, &ev->chunk);
		break;
	case EVENT_BEGIN:
	case EVENT_COUNT:
	default:
		break;
	}
}

/* Copies the head, then checks the copy: the bytes may lie in the ring. */
static enum rc
check_head(const unsigned char *p, size_t n, unsigned char head[FRAME_HEAD], struct err *e)
{
	if (n < FRAME_HEAD)
		return err_set(e, RC_BUG, "a frame of %zu bytes has no head", n);
	memcpy(head, p, FRAME_HEAD);
	if (head[0] != FRAME_VERSION || head[1] >= EVENT_COUNT)
		return err_set(e, RC_CONFIG,
			"a frame has version %u and kind %u: reader and writer are of different "
			"age",
			head[0], head[1]);
	if ((head[2] & ~(FRAME_MORE | FRAME_CONT)) != 0 || head[3] != 0)
		return err_set(e, RC_BUG, "the head of a frame is damaged");
	return RC_OK;
}

enum rc
frame_decode(const unsigned char *p, size_t n, struct arena *a, struct event *ev, struct err *e)
{
	unsigned char head[FRAME_HEAD];
	struct cursor c;
	enum rc rc = check_head(p, n, head, e);

	*ev = (struct event){.kind = EVENT_COUNT};
	if (rc != RC_OK)
		return rc;
	if (head[2] != 0)
		return err_set(e, RC_BUG, "a part of a large event was taken for the whole");
	*ev = (struct event){.kind = (enum event_kind)head[1]};
	cursor_init(&c, p + FRAME_HEAD, n - FRAME_HEAD);
	r_event(&c, a, ev);
	if (!cursor_done(&c))
		return err_set(
			e, RC_BUG, "a %s frame of %zu bytes is damaged", event_name(ev->kind), n);
	return RC_OK;
}

/* ---- rings ---- */

static void
set_head(unsigned char *p, enum event_kind kind, uint8_t flags)
{
	p[0] = FRAME_VERSION;
	p[1] = (unsigned char)kind;
	p[2] = flags;
	p[3] = 0;
}

/* Body bytes of a fragment: a quarter of the ring, so that both sides can work at once. */
static size_t
piece_size(const struct ring *r)
{
	return ring_max_frame(r) / 2;
}

/* Room for one piece. Only before the first may the ring be said to be full. */
static enum rc
reserve_piece(struct ring *r, size_t n, bool first, const atomic_bool *stop, unsigned char **to)
{
	enum rc rc;

	while ((rc = ring_reserve(r, n, to)) == RC_AGAIN && !first && !*stop)
		ring_wait_space(r, n, WAIT_MS);
	return rc;
}

/* A large event on its way: its body goes in pieces, each behind a head of its own. */
struct pieces {
	struct ring *ring;
	const atomic_bool *stop;
	enum event_kind kind;
	size_t left; /* of the body, from the piece that is being filled on */
	size_t size; /* of that piece */
	bool first;
	enum rc rc;
};

static bool
open_piece(struct out *o)
{
	struct pieces *s = o->pieces;
	unsigned char *to;

	s->size = s->left < piece_size(s->ring) ? s->left : piece_size(s->ring);
	s->rc = reserve_piece(s->ring, FRAME_HEAD + s->size, s->first, s->stop, &to);
	o->p = o->end = NULL;
	if (s->rc != RC_OK)
		return false;
	set_head(to, s->kind,
		(uint8_t)((s->left > s->size ? FRAME_MORE : 0) | (s->first ? 0 : FRAME_CONT)));
	o->p = to + FRAME_HEAD;
	o->end = o->p + s->size;
	return true;
}

static void
close_piece(struct pieces *s)
{
	ring_commit(s->ring, FRAME_HEAD + s->size);
	s->left -= s->size;
	s->first = false;
}

static bool
next_piece(struct out *o)
{
	if (o->pieces == NULL)
		bug("an event is larger than was said");
	if (o->pieces->rc != RC_OK)
		return false;
	close_piece(o->pieces);
	return open_piece(o);
}

static enum rc
put_fragments(struct ring *r, const struct event *ev, size_t size, const atomic_bool *stop)
{
	struct pieces s = {.ring = r,
		.stop = stop,
		.kind = ev->kind,
		.left = size - FRAME_HEAD,
		.first = true};
	struct out o = {.pieces = &s};

	if (!open_piece(&o))
		return s.rc;
	w_event(&o, ev);
	if (s.rc == RC_OK)
		close_piece(&s);
	return s.rc;
}

enum rc
frame_put(struct ring *r, const struct event *ev, const atomic_bool *stop)
{
	size_t size = frame_size(ev);
	unsigned char *to;
	enum rc rc;

	if (size > ring_max_frame(r))
		return put_fragments(r, ev, size, stop);
	if ((rc = ring_reserve(r, size, &to)) != RC_OK)
		return rc;
	frame_encode(ev, to);
	ring_commit(r, size);
	return RC_OK;
}

void
frame_reader_init(struct frame_reader *fr, struct ring *ring)
{
	*fr = (struct frame_reader){.ring = ring, .scanned = ring_released(ring)};
}

void
frame_reader_release(struct frame_reader *fr)
{
	free(fr->joined);
	*fr = (struct frame_reader){0};
}

static enum rc
join(struct frame_reader *fr, const struct ring_frame *f, const unsigned char *head,
	struct frame_raw *raw, struct err *e)
{
	bool cont = head[2] & FRAME_CONT, more = head[2] & FRAME_MORE;
	size_t n = f->len - FRAME_HEAD;

	if (cont != fr->joining || (cont && fr->joined[1] != head[1]))
		return err_set(e, RC_BUG, "fragments of a large event are out of order");
	if (fr->joined_len > UINT32_MAX - FRAME_HEAD - n)
		return err_set(e, RC_BUG, "fragments of a large event never end");
	grow(&fr->joined, &fr->joined_cap, fr->joined_len + FRAME_HEAD + n, 1);
	if (!cont) {
		set_head(fr->joined, (enum event_kind)head[1], 0);
		fr->joined_len = FRAME_HEAD;
	}
	memcpy(fr->joined + fr->joined_len, f->data + FRAME_HEAD, n);
	fr->joined_len += n;
	fr->joining = more;
	if (more)
		return RC_AGAIN;
	*raw = (struct frame_raw){.data = fr->joined,
		.len = fr->joined_len,
		.owned = true,
		.end = f->end,
		.kind = (enum event_kind)head[1]};
	fr->joined = NULL;
	fr->joined_len = fr->joined_cap = 0;
	return RC_OK;
}

/*
 * The pieces have been copied, but a ring is released in order: they go as
 * soon as the caller has given back all before the first. An event larger than
 * the ring would wait for itself otherwise.
 */
static void
give_back_pieces(struct frame_reader *fr)
{
	if (ring_released(fr->ring) >= fr->joined_from)
		ring_release(fr->ring, fr->scanned);
}

enum rc
frame_next(struct frame_reader *fr, struct frame_raw *raw, struct err *e)
{
	unsigned char head[FRAME_HEAD];
	struct ring_frame f;
	enum rc rc;

	while ((rc = ring_next(fr->ring, &f, e)) == RC_OK) {
		if (!fr->joining)
			fr->joined_from = fr->scanned;
		fr->scanned = f.end;
		if ((rc = check_head(f.data, f.len, head, e)) != RC_OK)
			return rc;
		if (!fr->joining && head[2] == 0) {
			*raw = (struct frame_raw){.data = f.data,
				.len = f.len,
				.end = f.end,
				.kind = (enum event_kind)head[1]};
			return RC_OK;
		}
		if ((rc = join(fr, &f, head, raw, e)) != RC_AGAIN)
			return rc;
	}
	if (rc == RC_AGAIN && fr->joining)
		give_back_pieces(fr);
	return rc;
}

bool
frame_stalled(const struct frame_reader *fr)
{
	size_t size = ring_size(fr->ring);

	return fr->joining && ring_released(fr->ring) < fr->joined_from &&
	       ring_fill(fr->ring) > size - piece_size(fr->ring) - PIECE_OVERHEAD;
}
