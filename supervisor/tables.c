/* tables.c - see tables.h. */
#include "common/compat.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "supervisor/tables.h"

static int
compare(const struct report_table *a, const struct report_table *b)
{
	int d = strcmp(a->db, b->db);

	return d != 0 ? d : strcmp(a->name, b->name);
}

/* Where it is, or where it belongs. */
static size_t
place(const struct tables *t, const struct report_table *r, bool *found)
{
	size_t lo = 0, hi = t->count;

	*found = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = compare(&t->rows[mid].report, r);

		if (d == 0) {
			*found = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
same(const struct report_table *a, const struct report_table *b)
{
	bool reasons = a->reason == NULL || b->reason == NULL ? a->reason == b->reason
							      : strcmp(a->reason, b->reason) == 0;

	return reasons && a->state == b->state && a->chunks_done == b->chunks_done &&
	       a->rows_done == b->rows_done && a->rows_expected == b->rows_expected &&
	       a->bytes_done == b->bytes_done;
}

struct table_row *
tables_find(struct tables *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct report_table *r = &t->rows[i].report;
		size_t n = strlen(r->db);

		if (strncmp(name, r->db, n) == 0 && name[n] == '.' &&
			strcmp(name + n + 1, r->name) == 0)
			return &t->rows[i];
	}
	return NULL;
}

/* A reader that found the table loaded, or in quarantine, knows no more how much or why. */
static struct report_table
merge(const struct report_table *old, const struct report_table *now)
{
	struct report_table merged = *now;

	if (now->state == TABLE_STREAMING && now->rows_done < old->rows_done) {
		merged.chunks_done = old->chunks_done;
		merged.rows_done = old->rows_done;
		merged.bytes_done = old->bytes_done;
	}
	if (now->state == TABLE_QUARANTINED && old->state == now->state && now->reason == NULL &&
		old->reason != NULL)
		merged.reason = old->reason;
	return merged;
}

void
tables_put(struct tables *t, const struct report_table *r, bool dirty)
{
	struct report_table report, old = {0};
	struct table_row *row;
	bool found;
	size_t i = place(t, r, &found);

	if (found)
		t->rows[i].told = true;
	if (found && t->rows[i].report.state == TABLE_RELOAD &&
		(r->state == TABLE_STREAMING || r->state == TABLE_QUARANTINED))
		return;
	report = found ? merge(&t->rows[i].report, r) : *r;
	if (found && same(&t->rows[i].report, &report))
		return;
	if (!found) {
		grow(&t->rows, &t->cap, t->count + 1, sizeof *t->rows);
		memmove(t->rows + i + 1, t->rows + i, (t->count - i) * sizeof *t->rows);
		t->count++;
		t->rows[i] = (struct table_row){.told = true};
	}
	row = &t->rows[i];
	old = row->report;
	row->report = report;
	row->report.db = xstrdup(report.db);
	row->report.name = xstrdup(report.name);
	row->report.reason = report.reason != NULL ? xstrdup(report.reason) : NULL;
	row->dirty = dirty;
	report_table_release(&old);
}

void
tables_opening(struct tables *t)
{
	for (size_t i = 0; i < t->count; i++)
		t->rows[i].told = false;
}

void
tables_opened(struct tables *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct table_row *row = &t->rows[i];

		if (row->told || (row->report.state != TABLE_LOADING &&
					 row->report.state != TABLE_STREAMING))
			continue;
		row->report.state = TABLE_REMOVED;
		row->dirty = true;
	}
}

void
tables_clear(struct tables *t)
{
	for (size_t i = 0; i < t->count; i++)
		report_table_release(&t->rows[i].report);
	free(t->rows);
	*t = (struct tables){0};
}

struct tables_sum
tables_sum(const struct tables *t)
{
	struct tables_sum s = {0};

	for (size_t i = 0; i < t->count; i++) {
		const struct report_table *r = &t->rows[i].report;

		if (r->state == TABLE_REMOVED)
			continue;
		s.total++;
		s.streaming += r->state == TABLE_STREAMING;
		s.loading += r->state == TABLE_LOADING;
		s.quarantined += r->state == TABLE_QUARANTINED;
		s.reload += r->state == TABLE_RELOAD;
		s.rows_done += r->rows_done;
		s.rows_expected += r->rows_expected;
		s.bytes_done += r->bytes_done;
	}
	return s;
}
