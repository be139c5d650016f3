/*
 * fake_check.c - holds a fake sink's journal against the fake source's history.
 *
 *     fake_check CHANNEL.conf JOURNAL
 *
 * Reads the journal as the sink does and, after every commit, looks whether
 * the target is what it must be at that commit's position: a streaming table
 * exactly the source's, each loaded row of a loading table as the source has
 * it, every operation once, none while keys wait. Prints what it saw; exit 1 at the first mistake.
 */
#include "common/compat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "supervisor/conf_file.h"
#include "workers/reader/fake/model.h"

struct copy {
	struct fake_table *tables; /* as the target has them */
	bool *streaming;
	bool *unkeyed; /* has no keys: nothing but new rows may come */
	uint32_t n;
};

static struct model *model;
static struct copy target;
static uint64_t records, ops, loaded;

static NORETURN void
wrong(const char *what, const char *line)
{
	printf("WRONG at txn=%" PRIu64 " (record %" PRIu64 "): %s: %s\n", model->at, records, what,
		line);
	exit(1);
}

static void
add(struct fake_table *t, struct fake_row r)
{
	grow(&t->rows, &t->cap, (size_t)t->count + 1, sizeof *t->rows);
	t->rows[t->count++] = r;
}

static uint32_t
find(const struct fake_table *t, struct fake_row r, bool whole)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->rows[i].id == r.id && (!whole || t->rows[i].text == r.text))
			return i;
	return UINT32_MAX;
}

static void
put(struct fake_table *t, struct fake_row r, bool keep, const char *line)
{
	if (t->keyed && find(t, r, false) != UINT32_MAX) {
		if (!keep)
			wrong("the key exists", line);
		return;
	}
	add(t, r);
}

static void
take_change(char *line)
{
	char op[16], name[32], x[24], y[24];
	struct fake_row a, b;
	uint32_t i, k;
	int n = sscanf(
		line, "%15s %31s %" SCNd64 " %23s %" SCNd64 " %23s", op, name, &a.id, x, &b.id, y);
	struct fake_table *t;

	if (n < 4 || (i = model_find(model, name)) == UINT32_MAX)
		wrong("not understood", line);
	t = &target.tables[i];
	a.text = strtoull(x + 1, NULL, 10);
	if (n == 6)
		b.text = strtoull(y + 1, NULL, 10);
	if (target.unkeyed[i] && strcmp(op, "load") != 0)
		wrong("the table has no keys yet", line);
	if (strcmp(op, "load") == 0 || strcmp(op, "keep") == 0) {
		loaded++;
		put(t, a, *op == 'k', line);
		return;
	}
	ops++;
	if (strcmp(op, "insert") == 0) {
		put(t, a, false, line);
		return;
	}
	k = find(t, a, !t->keyed);
	if (k == UINT32_MAX) {
		if (target.streaming[i])
			wrong("no such row", line);
		if (n == 6 && a.id != b.id)
			put(t, b, false, line);
		return;
	}
	if (n == 6)
		t->rows[k] = b;
	else
		t->rows[k] = t->rows[--t->count];
}

static int
by_row(const void *x, const void *y)
{
	const struct fake_row *a = x, *b = y;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->text < b->text ? -1 : a->text > b->text;
}

static void
sort(struct fake_table *t)
{
	if (t->count != 0)
		qsort(t->rows, t->count, sizeof *t->rows, by_row);
}

/* Both sorted: the same, or every row of the target's among the source's. */
static void
compare(const struct fake_table *s, const struct fake_table *t, bool whole)
{
	uint32_t i = 0;

	if (whole && s->count != t->count) {
		printf("%s: source %u rows, target %u\n", s->name, s->count, t->count);
		wrong("another number of rows", s->name);
	}
	for (uint32_t k = 0; k < t->count; k++) {
		while (i < s->count && by_row(&s->rows[i], &t->rows[k]) < 0)
			i++;
		if (i == s->count || by_row(&s->rows[i], &t->rows[k]) != 0) {
			printf("%s: id %" PRId64 " v%" PRIu64 "\n", t->name, t->rows[k].id,
				t->rows[k].text);
			wrong("the target has a row that the source does not have at this position",
				s->name);
		}
		i++;
	}
}

static void
check_commit(uint64_t position, const char *line)
{
	struct model *now;

	if (position < model->at)
		wrong("the position goes back", line);
	while (model->at < position)
		model_step(model);
	/* A copy: the order of the model's rows is part of its history. */
	now = model_copy(model);
	for (uint32_t i = 0; i < model->ntables; i++) {
		sort(&now->tables[i]);
		sort(&target.tables[i]);
		compare(&now->tables[i], &target.tables[i], target.streaming[i]);
	}
	model_free(now);
}

static void
take_line(char *line)
{
	uint64_t turn, position;
	char db[32], name[32], state[32];

	if (sscanf(line, "commit %" SCNu64 " txn=%" SCNu64, &turn, &position) == 2) {
		check_commit(position, line);
	} else if (sscanf(line, "state %31s %31s %31s", db, name, state) == 3) {
		uint32_t i = model_find(model, name);

		if (i == UINT32_MAX)
			return;
		target.streaming[i] = strcmp(state, "streaming") == 0;
		if (target.streaming[i] && target.unkeyed[i])
			wrong("the table streams without its keys", line);
	} else if (sscanf(line, "unkeyed %31s", name) == 1 ||
		   sscanf(line, "keys %31s", name) == 1) {
		uint32_t i = model_find(model, name);

		if (i != UINT32_MAX)
			target.unkeyed[i] = *line == 'u';
	} else if (strncmp(line, "begin ", 6) != 0 && strncmp(line, "epoch", 5) != 0 &&
		   strncmp(line, "chunk ", 6) != 0 && strncmp(line, "wish ", 5) != 0) {
		take_change(line);
	} else if (strncmp(line, "begin ", 6) == 0) {
		records++;
	}
}

int
main(int argc, char **argv)
{
	struct conf_notes notes = {0};
	struct conf *conf;
	char *id, *line = NULL;
	size_t cap = 0;
	ssize_t n;
	FILE *f;

	if (argc != 3)
		return 2;
	conf_file_channel(argv[1], &conf, &id, &notes);
	f = fopen(argv[2], "re");
	if (conf == NULL || f == NULL) {
		fprintf(stderr, "cannot read %s or %s\n", argv[1], argv[2]);
		return 2;
	}
	model = model_new(conf);
	target.tables = xcalloc(model->ntables, sizeof *target.tables);
	target.streaming = xcalloc(model->ntables, sizeof *target.streaming);
	target.unkeyed = xcalloc(model->ntables, sizeof *target.unkeyed);
	for (uint32_t i = 0; i < model->ntables; i++) {
		target.tables[i].keyed = model->tables[i].keyed;
		memcpy(target.tables[i].name, model->tables[i].name, sizeof target.tables[i].name);
	}
	while ((n = getline(&line, &cap, f)) > 0) {
		line[n - 1] = line[n - 1] == '\n' ? '\0' : line[n - 1];
		take_line(line);
	}
	printf("ok txn=%" PRIu64 " records=%" PRIu64 " operations=%" PRIu64 " loaded=%" PRIu64 "\n",
		model->at, records, ops, loaded);
	return 0;
}
