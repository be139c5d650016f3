/*
 * sink.c - the fake sink: a database that is one journal file.
 *
 * For the tests of processes, rings and kills, without a server. A group is one
 * record of text, appended by one write at its commit: `begin BYTES HASH`, then
 * the group's lines. What is not whole at the end of the file never happened.
 * Opening reads the journal from its start and so finds checkpoint, states and
 * chunks; who finds the file longer than it left it is fenced.
 *
 * t/tools/fake_check.c reads the same journal against the model of the fake
 * source, whose history is known.
 */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/mem.h"
#include "workers/writer/sink.h"

struct fake_sink {
	struct sink base;
	struct sink_env env;
	int fd;
	uint64_t size; /* of the journal, as we left it */
	uint64_t turn;
};

struct fake_lane {
	struct sink_lane base;
	struct buf group;
	size_t savepoint;
};

static struct fake_sink *
sink_of(const struct sink_lane *l)
{
	return (struct fake_sink *)l->sink;
}

static enum rc
fake_create(const struct sink_env *env, struct sink **out, struct err *e)
{
	struct fake_sink *s = xcalloc(1, sizeof *s);

	(void)e;
	s->base.ops = sink_find("fake");
	s->env = *env;
	s->fd = -1;
	*out = &s->base;
	return RC_OK;
}

static void
fake_free(struct sink *base)
{
	struct fake_sink *s = (struct fake_sink *)base;

	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static enum rc
fake_check(struct sink *s, bool want_sql, struct checks *out, struct err *e)
{
	(void)s;
	(void)want_sql;
	(void)e;
	checks_pass(out, "Destination database connectivity");
	return RC_OK;
}

/* ---- the journal ---- */

static void
set_text(char **to, const char *from)
{
	free(*to);
	*to = xstrdup(from);
}

static struct resume_table *
table_of(struct resume *r, const char *db, const char *name)
{
	struct resume_table *t = resume_find(r, db, name);

	return t != NULL ? t : resume_add_table(r, db, name, TABLE_WAITING);
}

static void
add_hex(struct buf *b, const char *hex)
{
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		buf_u8(b, (uint8_t)byte);
}

/* "-" stands for an empty word. */
static const char *
word(const char *s)
{
	return strcmp(s, "-") == 0 ? "" : s;
}

static void
read_state_line(char *line, struct resume *out)
{
	char *f[8] = {0};
	struct resume_table *t;
	int n = 0;

	for (char *p = strtok_r(line, " ", &line); p != NULL && n < 8;
		p = strtok_r(NULL, " ", &line))
		f[n++] = p;
	if (n == 6 && strcmp(f[0], "state") == 0) {
		t = table_of(out, word(f[1]), word(f[2]));
		t->state = table_state_by_name(f[3]);
		t->inserted = *f[4] == '1';
		if (strcmp(f[5], "-") != 0) {
			buf_clear(&t->schema);
			add_hex(&t->schema, f[5]);
		}
		if (!table_state_has_chunks(t->state))
			t->nchunks = 0;
	} else if (n == 8 && strcmp(f[0], "chunk") == 0) {
		struct resume_chunk *k;

		t = table_of(out, word(f[1]), word(f[2]));
		k = resume_add_chunk(t, (uint32_t)strtoul(f[3], NULL, 10));
		k->last = *f[4] == '1';
		add_hex(&k->lo, word(f[5]));
		add_hex(&k->hi, word(f[6]));
		k->rows = strtoull(f[7], NULL, 10);
	} else if (n == 4 && strcmp(f[0], "commit") == 0) {
		out->fresh = false;
		set_text(&out->applied, f[2]);
		set_text(&out->resume, f[2]);
		if (strcmp(f[3], "-") != 0)
			set_text(&out->source_id, f[3]);
	} else if (n == 2 && strcmp(f[0], "wish") == 0) {
		set_text(&out->wish, f[1]);
	}
}

static int
by_number(const void *a, const void *b)
{
	const struct resume_chunk *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* The record at p: its length with the head, 0 if it is not whole. */
static size_t
whole_record(const char *p, size_t n, const char **body, size_t *len)
{
	uint64_t hash;
	int head = 0;

	if (sscanf(p, "begin %zu %" SCNx64 "%n", len, &hash, &head) != 2 || p[head] != '\n' ||
		*len > n - (size_t)head - 1)
		return 0;
	*body = p + head + 1;
	return XXH3_64bits(*body, *len) == hash ? (size_t)head + 1 + *len : 0;
}

static void
read_record(const char *body, size_t len, struct resume *out, uint64_t *turn)
{
	const char *end = body + len;

	while (body < end) {
		const char *nl = memchr(body, '\n', (size_t)(end - body));
		char *line = xstrndup(body, (size_t)((nl != NULL ? nl : end) - body));

		if (strncmp(line, "commit ", 7) == 0)
			*turn = strtoull(line + 7, NULL, 10);
		read_state_line(line, out);
		free(line);
		body = nl != NULL ? nl + 1 : end;
	}
}

static enum rc
read_journal(struct fake_sink *s, struct resume *out, uint64_t *turn, struct err *e)
{
	struct stat st;
	char *text;
	size_t at = 0, n, len;
	const char *body;

	if (fstat(s->fd, &st) != 0)
		return err_errno(e, RC_RETRY, "cannot look at the journal");
	text = xmalloc((size_t)st.st_size + 1);
	if (pread(s->fd, text, (size_t)st.st_size, 0) != st.st_size) {
		free(text);
		return err_errno(e, RC_RETRY, "cannot read the journal");
	}
	text[st.st_size] = '\0';
	while ((n = whole_record(text + at, (size_t)st.st_size - at, &body, &len)) != 0) {
		read_record(body, len, out, turn);
		at += n;
	}
	free(text);
	for (uint32_t i = 0; i < out->ntables; i++)
		if (out->tables[i].nchunks != 0)
			qsort(out->tables[i].chunks, out->tables[i].nchunks,
				sizeof *out->tables[i].chunks, by_number);
	s->size = at;
	return ftruncate(s->fd, (off_t)at) == 0 ? RC_OK
						: err_errno(e, RC_RETRY, "cannot cut the journal");
}

static enum rc
append(struct fake_sink *s, const struct buf *body, struct err *e)
{
	struct stat st;
	struct buf b;
	ssize_t n;

	if (fstat(s->fd, &st) != 0)
		return err_errno(e, RC_RETRY, "cannot look at the journal");
	if ((uint64_t)st.st_size != s->size)
		return err_set(e, RC_FENCED, "another writer has written to the journal");
	buf_init(&b);
	buf_printf(&b, "begin %zu %" PRIx64 "\n", body->len,
		(uint64_t)XXH3_64bits(body->data, body->len));
	buf_add(&b, body->data, body->len);
	n = pwrite(s->fd, b.data, b.len, (off_t)s->size);
	if (n == (ssize_t)b.len)
		s->size += b.len;
	buf_release(&b);
	return n >= 0 ? RC_OK : err_errno(e, RC_RETRY, "cannot write the journal");
}

static enum rc
fake_open(struct sink *base, struct resume *out, uint64_t *turn, struct err *e)
{
	struct fake_sink *s = (struct fake_sink *)base;
	const char *file = conf_str(s->env.conf, "target.file");
	struct buf epoch;
	enum rc rc;

	if (file == NULL)
		return err_set(e, RC_CONFIG, "target.file is missing");
	s->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return err_errno(e, RC_CONFIG, "cannot open %s", file);
	if ((rc = read_journal(s, out, turn, e)) != RC_OK)
		return rc;
	buf_init(&epoch);
	buf_puts(&epoch, "epoch\n"); /* whoever had it before finds the file longer */
	rc = append(s, &epoch, e);
	buf_release(&epoch);
	return rc;
}

/* Its connection is a file: never lost. */
static enum rc
fake_confirm(struct sink *base, struct err *e)
{
	(void)base;
	(void)e;
	return RC_OK;
}

static enum rc
fake_wish(struct sink *base, const char *wish, struct err *e)
{
	struct buf b;
	enum rc rc;

	buf_init(&b);
	buf_printf(&b, "wish %s\n", wish);
	rc = append((struct fake_sink *)base, &b, e);
	buf_release(&b);
	return rc;
}

static enum rc
fake_clear(struct sink *base, struct err *e)
{
	struct fake_sink *s = (struct fake_sink *)base;
	const char *file = conf_str(s->env.conf, "target.file");

	if (unlink(file) != 0 && errno != ENOENT)
		return err_errno(e, RC_RETRY, "cannot remove %s", file);
	return RC_OK;
}

/* A table at the target looks as the source's; the sink has no types of its own. */
static enum rc
fake_describe(struct sink *s, const char *db, const char *name, struct table **out, struct err *e)
{
	struct table *t = table_new(db, name);
	struct column *c = table_add_column(t, "id", TYPE_INTEGER);

	(void)s;
	(void)e;
	c->native = xstrdup("bigint");
	c = table_add_column(t, "val", TYPE_TEXT);
	c->native = xstrdup("varchar(24)");
	c->charset = xstrdup("utf8mb4");
	c->collation = xstrdup("utf8mb4_bin");
	if (strcmp(name, "nokey") != 0)
		index_add_part(table_add_index(t, "PRIMARY", true, true), 0, 0);
	*out = t;
	return RC_OK;
}

/* Its tables have no foreign keys. */
static enum rc
fake_parents(struct sink *s, struct fk_world *world, struct err *e)
{
	(void)s;
	(void)world;
	(void)e;
	return RC_OK;
}

static void
fake_target_release(struct sink *s, struct target *t)
{
	(void)s;
	(void)t;
}

/* ---- lanes ---- */

static enum rc
fake_lane_open(struct sink *s, unsigned number, struct sink_lane **out, struct err *e)
{
	struct fake_lane *l = xcalloc(1, sizeof *l);

	(void)e;
	l->base = (struct sink_lane){.sink = s, .number = number};
	*out = &l->base;
	return RC_OK;
}

static void
fake_lane_close(struct sink_lane *base)
{
	buf_release(&((struct fake_lane *)base)->group);
	free(base);
}

static enum rc
fake_group_clear(struct sink_lane *base, struct err *e)
{
	(void)e;
	buf_clear(&((struct fake_lane *)base)->group);
	return RC_OK;
}

static enum rc
fake_savepoint(struct sink_lane *base, struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;

	(void)e;
	l->savepoint = l->group.len;
	return RC_OK;
}

static enum rc
fake_rollback_to_savepoint(struct sink_lane *base, struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;

	(void)e;
	l->group.len = l->savepoint;
	return RC_OK;
}

static void
add_row(struct buf *b, const struct row *r)
{
	buf_printf(b, " %" PRId64 " %.*s", value_i64(&r->col[0]), (int)r->col[1].len,
		(const char *)r->col[1].data);
}

static void
add_change(struct buf *b, const char *what, const struct change *c)
{
	buf_printf(b, "%s %s", what, c->target->name);
	if (c->before.ncols != 0)
		add_row(b, &c->before);
	if (c->after.ncols != 0)
		add_row(b, &c->after);
	buf_putc(b, '\n');
}

static enum rc
fake_batch(struct sink_lane *base, struct batch *b, struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;

	(void)e;
	for (uint32_t i = 0; i < b->count; i++)
		add_change(&l->group, event_name(b->op), b->changes[i]);
	b->matched = b->count;
	return RC_OK;
}

static enum rc
fake_row(struct sink_lane *base, const struct change *c, enum row_mode mode, bool fk_checks,
	struct outcome *out, struct err *e)
{
	(void)mode;
	(void)fk_checks;
	(void)e;
	add_change(&((struct fake_lane *)base)->group, event_name(c->op), c);
	out->kind = OUTCOME_DONE;
	return RC_OK;
}

static enum rc
fake_fetch(struct sink_lane *l, const struct change *c, char **text, struct err *e)
{
	(void)l;
	(void)c;
	(void)e;
	*text = NULL;
	return RC_OK;
}

static enum rc
fake_load(struct sink_lane *base, struct target *t, struct change *const *rows, uint32_t count,
	bool keep, uint64_t *kept, struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;

	(void)t;
	(void)e;
	for (uint32_t i = 0; i < count; i++)
		add_change(&l->group, keep ? "keep" : "load", rows[i]);
	*kept = 0;
	return RC_OK;
}

static void
put_hex(struct buf *b, const unsigned char *p, uint32_t n)
{
	if (n == 0)
		buf_putc(b, '-');
	for (uint32_t i = 0; i < n; i++)
		buf_printf(b, "%02x", p[i]);
}

static const char *
unword(const char *s)
{
	return *s != '\0' ? s : "-";
}

static enum rc
fake_chunk_done(
	struct sink_lane *base, const struct target *t, const struct event_chunk *c, struct err *e)
{
	struct buf *b = &((struct fake_lane *)base)->group;

	(void)e;
	buf_printf(b, "chunk %s %s %u %d ", unword(t->source_db), unword(t->source_name), c->number,
		c->last);
	put_hex(b, c->lo, c->lo_len);
	buf_putc(b, ' ');
	put_hex(b, c->hi, c->hi_len);
	buf_printf(b, " %" PRIu64 "\n", c->rows);
	return RC_OK;
}

/* Whoever reads the journal sees whether a change came between. */
static enum rc
fake_loading(struct sink_lane *base, const struct target *t, bool *unkeyed, struct err *e)
{
	(void)e;
	buf_printf(&((struct fake_lane *)base)->group, "unkeyed %s\n", t->source_name);
	*unkeyed = true;
	return RC_OK;
}

static enum rc
fake_keys(struct sink_lane *base, const char *db, const char *name, struct err *e)
{
	(void)db;
	(void)e;
	buf_printf(&((struct fake_lane *)base)->group, "keys %s\n", unword(name));
	return RC_OK;
}

static enum rc
fake_loaded(struct sink_lane *base, const struct target *t, struct err *e)
{
	return fake_keys(base, t->source_db, t->source_name, e);
}

static enum rc
fake_table_state(struct sink_lane *base, const char *db, const char *name, enum table_state state,
	bool inserted, const struct buf *schema, struct err *e)
{
	struct buf *b = &((struct fake_lane *)base)->group;

	(void)e;
	buf_printf(b, "state %s %s %s %d ", unword(db), unword(name), table_state_name(state),
		inserted);
	put_hex(b, schema != NULL ? schema->data : NULL,
		schema != NULL ? (uint32_t)schema->len : 0);
	buf_putc(b, '\n');
	return RC_OK;
}

static enum rc
fake_begin(struct sink_lane *base, struct err *e)
{
	return fake_group_clear(base, e);
}

static enum rc
fake_commit(struct sink_lane *base, const struct checkpoint *c, struct err *e)
{
	struct fake_lane *l = (struct fake_lane *)base;

	buf_printf(&l->group, "commit %" PRIu64 " %s %s\n", c->turn, c->applied,
		c->source_id != NULL ? c->source_id : "-");
	return append(sink_of(base), &l->group, e);
}

static enum rc
fake_rollback(struct sink_lane *base, struct err *e)
{
	return fake_group_clear(base, e);
}

static enum rc
fake_ddl(struct sink_lane *base, const struct event_ddl *d, const struct table_record *records,
	uint32_t nrecords, const struct checkpoint *c, char **skipped, struct err *e)
{
	enum rc rc = fake_begin(base, e);

	(void)d;
	*skipped = NULL;
	for (uint32_t i = 0; i < nrecords && rc == RC_OK; i++)
		rc = fake_table_state(base, records[i].source_db, records[i].source_name,
			records[i].state, records[i].inserted, &records[i].schema, e);
	return rc == RC_OK ? fake_commit(base, c, e) : rc;
}

static enum rc
fake_object(struct sink_lane *l, const struct event_object *o, const struct table *table,
	enum existing existing, struct err *e)
{
	(void)l;
	(void)o;
	(void)table;
	(void)existing;
	(void)e;
	return RC_OK;
}

/* Its database is the channel's own. */
static enum rc
fake_has_rows(struct sink_lane *l, const struct target *t, bool *has, struct err *e)
{
	(void)l;
	(void)t;
	(void)e;
	*has = false;
	return RC_OK;
}

static enum rc
fake_empty(struct sink_lane *l, const struct target *t, struct err *e)
{
	(void)l;
	(void)t;
	(void)e;
	return RC_OK;
}

const struct sink_ops fake_sink_ops = {
	.kind = "fake",
	.late_share = 2,
	.load_rows = 1000,
	.create = fake_create,
	.free = fake_free,
	.check = fake_check,
	.open = fake_open,
	.wish = fake_wish,
	.confirm = fake_confirm,
	.clear = fake_clear,
	.describe = fake_describe,
	.parents = fake_parents,
	.target_release = fake_target_release,
	.lane_open = fake_lane_open,
	.lane_close = fake_lane_close,
	.begin = fake_begin,
	.batch = fake_batch,
	.savepoint = fake_savepoint,
	.rollback_to_savepoint = fake_rollback_to_savepoint,
	.row = fake_row,
	.fetch = fake_fetch,
	.load = fake_load,
	.chunk_done = fake_chunk_done,
	.has_rows = fake_has_rows,
	.empty = fake_empty,
	.loading = fake_loading,
	.keys = fake_keys,
	.loaded = fake_loaded,
	.table_state = fake_table_state,
	.commit = fake_commit,
	.rollback = fake_rollback,
	.ddl = fake_ddl,
	.object = fake_object,
};
