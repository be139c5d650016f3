/* seam.c - see seam.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/mem.h"
#include "workers/reader/seam.h"

enum fate { FATE_UPDATED, FATE_DELETED, FATE_INSERTED };

struct entry {
	uint64_t hash;
	enum fate fate;
	unsigned char *key; /* NULL: an empty place */
	uint32_t key_len;
	unsigned char *bytes; /* of UPDATED: the values' bytes, one after the other */
	struct value *image;  /* ncols values that point into bytes */
	size_t size;
};

struct window {
	uint32_t *parts; /* key columns */
	uint32_t nparts;
	uint32_t ncols;
	struct entry *entries;
	size_t cap; /* a power of two */
	size_t count;
	size_t bytes;
	struct buf scratch;
};

struct window *
window_new(const struct index *key, uint32_t ncols)
{
	struct window *w = xcalloc(1, sizeof *w);

	w->nparts = key->nparts;
	w->parts = xcalloc(w->nparts, sizeof *w->parts);
	for (uint32_t i = 0; i < w->nparts; i++)
		w->parts[i] = key->parts[i].column;
	w->ncols = ncols;
	w->cap = 64;
	w->entries = xcalloc(w->cap, sizeof *w->entries);
	return w;
}

static void
drop_image(struct window *w, struct entry *en)
{
	w->bytes -= en->size;
	free(en->bytes);
	free(en->image);
	en->bytes = NULL;
	en->image = NULL;
	en->size = 0;
}

void
window_free(struct window *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < w->cap; i++) {
		free(w->entries[i].key);
		drop_image(w, &w->entries[i]);
	}
	free(w->entries);
	free(w->parts);
	buf_release(&w->scratch);
	free(w);
}

static bool
add_part(const struct row *row, uint32_t column, struct buf *out)
{
	const struct value *v = column < row->ncols ? &row->col[column] : NULL;

	if (v == NULL || v->kind != VALUE_BYTES)
		return false;
	buf_bytes(out, v->data, v->len);
	return true;
}

bool
key_bytes(const struct index *key, const struct row *row, struct buf *out)
{
	for (uint32_t i = 0; i < key->nparts; i++)
		if (!add_part(row, key->parts[i].column, out))
			return false;
	return true;
}

/* A key column that `row` did not carry is as in `older` (NULL: there is none). */
static bool
window_key_of(struct window *w, const struct row *row, const struct row *older)
{
	buf_clear(&w->scratch);
	for (uint32_t i = 0; i < w->nparts; i++)
		if (!add_part(row, w->parts[i], &w->scratch) &&
			(older == NULL || row->col[w->parts[i]].kind == VALUE_NULL ||
				!add_part(older, w->parts[i], &w->scratch)))
			return false;
	return true;
}

static bool
window_key(struct window *w, const struct row *row)
{
	return window_key_of(w, row, NULL);
}

/* The entry of the key in scratch, or the empty place where it belongs. */
static struct entry *
look_up(const struct window *w, uint64_t hash)
{
	size_t i = (size_t)hash & (w->cap - 1);

	while (w->entries[i].key != NULL &&
		(w->entries[i].hash != hash || w->entries[i].key_len != w->scratch.len ||
			memcmp(w->entries[i].key, w->scratch.data, w->scratch.len) != 0))
		i = (i + 1) & (w->cap - 1);
	return &w->entries[i];
}

static void
double_table(struct window *w)
{
	struct entry *old = w->entries;
	size_t n = w->cap;

	w->cap *= 2;
	w->entries = xcalloc(w->cap, sizeof *w->entries);
	for (size_t i = 0; i < n; i++) {
		size_t k;

		if (old[i].key == NULL)
			continue;
		for (k = (size_t)old[i].hash & (w->cap - 1); w->entries[k].key != NULL;
			k = (k + 1) & (w->cap - 1))
			;
		w->entries[k] = old[i];
	}
	free(old);
}

static struct entry *
entry_of(struct window *w)
{
	uint64_t hash = XXH3_64bits(w->scratch.data, w->scratch.len);
	struct entry *en = look_up(w, hash);

	if (en->key != NULL)
		return en;
	if (w->count * 2 >= w->cap) {
		double_table(w);
		en = look_up(w, hash);
	}
	en->hash = hash;
	en->key = xmemdup(w->scratch.data, w->scratch.len);
	en->key_len = (uint32_t)w->scratch.len;
	w->count++;
	w->bytes += sizeof *en * 2 + en->key_len;
	return en;
}

static bool
is_carried(const struct value *v)
{
	return v->kind != VALUE_ABSENT && v->kind != VALUE_UNCHANGED;
}

/* The newest value of each column that any image in the window carried. */
static void
keep_image(struct window *w, struct entry *en, const struct row *row)
{
	struct value *image = xcalloc(w->ncols, sizeof *image);
	unsigned char *bytes, *to;
	size_t size = 0;

	for (uint32_t i = 0; i < w->ncols; i++) {
		image[i] = row->col[i];
		if (!is_carried(&image[i]) && en->image != NULL)
			image[i] = en->image[i];
		if (image[i].kind == VALUE_BYTES)
			size += image[i].len;
	}
	bytes = to = xmalloc(size);
	for (uint32_t i = 0; i < w->ncols; i++) {
		if (image[i].kind != VALUE_BYTES)
			continue;
		if (image[i].len != 0)
			memcpy(to, image[i].data, image[i].len);
		image[i].data = to;
		to += image[i].len;
	}
	drop_image(w, en);
	en->bytes = bytes;
	en->image = image;
	en->size = size + w->ncols * sizeof *image;
	w->bytes += en->size;
}

static void
set_fate(struct window *w, const struct row *row, const struct row *older, enum fate fate)
{
	struct entry *en;

	if (!window_key_of(w, row, older))
		return;
	en = entry_of(w);
	en->fate = fate;
	drop_image(w, en);
}

static bool
same_key(const struct window *w, const struct row *before, const struct row *after)
{
	for (uint32_t i = 0; i < w->nparts; i++) {
		const struct value *a = &after->col[w->parts[i]];

		if (is_carried(a) && !value_equal(&before->col[w->parts[i]], a))
			return false;
	}
	return true;
}

void
window_note(struct window *w, enum event_kind op, const struct row *before, const struct row *after)
{
	if (op == EVENT_INSERT) {
		set_fate(w, after, NULL, FATE_INSERTED);
	} else if (op == EVENT_DELETE) {
		set_fate(w, before, NULL, FATE_DELETED);
	} else if (op == EVENT_UPDATE && !same_key(w, before, after)) {
		set_fate(w, before, NULL, FATE_DELETED);
		set_fate(w, after, before, FATE_INSERTED);
	} else if (op == EVENT_UPDATE && window_key(w, before)) {
		struct entry *en = entry_of(w);

		if (en->fate == FATE_UPDATED)
			keep_image(w, en, after);
	}
}

enum verdict
window_row(struct window *w, const struct row *row, struct row *patched)
{
	const struct entry *en;

	if (w->count == 0 || !window_key(w, row))
		return VERDICT_KEEP;
	en = look_up(w, XXH3_64bits(w->scratch.data, w->scratch.len));
	if (en->key == NULL)
		return VERDICT_KEEP;
	if (en->fate != FATE_UPDATED)
		return VERDICT_DROP;
	for (uint32_t i = 0; i < w->ncols; i++)
		patched->col[i] = is_carried(&en->image[i]) ? en->image[i] : row->col[i];
	patched->ncols = w->ncols;
	return VERDICT_PATCH;
}

size_t
window_bytes(const struct window *w)
{
	return w->bytes;
}

size_t
window_count(const struct window *w)
{
	return w->count;
}
