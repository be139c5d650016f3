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

/* A reader that found the table loaded knows no more how much that was. */
static bool
counts_anew(const struct report_table *old, const struct report_table *new)
{
	return new->state == TABLE_STREAMING &&new->rows_done < old->rows_done;
}

void
tables_put(struct tables *t, const struct report_table *r, bool dirty)
{
	bool found;
	size_t i = place(t, r, &found);
	struct report_table merged;
	struct table_row *row;

	if (found && counts_anew(&t->rows[i].report, r)) {
		merged = *r;
		merged.chunks_done = t->rows[i].report.chunks_done;
		merged.rows_done = t->rows[i].report.rows_done;
		merged.bytes_done = t->rows[i].report.bytes_done;
		r = &merged;
	}
	if (found && same(&t->rows[i].report, r))
		return;
	if (!found) {
		grow(&t->rows, &t->cap, t->count + 1, sizeof *t->rows);
		memmove(t->rows + i + 1, t->rows + i, (t->count - i) * sizeof *t->rows);
		t->count++;
	} else {
		report_table_release(&t->rows[i].report);
	}
	row = &t->rows[i];
	row->report = *r;
	row->report.db = xstrdup(r->db);
	row->report.name = xstrdup(r->name);
	row->report.reason = r->reason != NULL ? xstrdup(r->reason) : NULL;
	row->dirty = dirty;
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
		s.rows_done += r->rows_done;
		s.rows_expected += r->rows_expected;
		s.bytes_done += r->bytes_done;
	}
	return s;
}
