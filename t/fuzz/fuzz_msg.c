/*
 * fuzz_msg.c - hostile bytes as control messages, both ways, with the
 * decoders of their bodies.
 *
 *     clang ... -fsanitize=fuzzer,address,undefined; SEED_DIR=dir writes one
 *     file for each message there before the run.
 *
 * The first byte of an input says which end receives it.
 */
#include "common/compat.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/mem.h"
#include "ipc/msg.h"
#include "ipc/report.h"

#define GENERATION 1u
#define MOST ((size_t)60000) /* what a socket takes at once */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- seeds ---- */

static void
seed_resume(struct buf *b)
{
	struct resume r;
	struct resume_table *t;

	resume_init(&r);
	r.applied = xstrdup("binlog.000003:4711");
	t = resume_add_table(&r, "shop", "orders", TABLE_LOADING);
	buf_puts(&t->schema, "schema");
	buf_puts(&resume_add_chunk(t, 0)->hi, "5");
	resume_encode(&r, b);
	resume_release(&r);
}

static void
seed_checks(struct buf *b)
{
	struct checks c;

	checks_init(&c);
	checks_pass(&c, "Source database connectivity");
	checks_add(&c, CHECK_FAIL, "Permissions", "grant it", "no %s", "SELECT");
	checks_encode(&c, b);
	checks_release(&c);
}

static void
seed_conf(struct buf *b)
{
	struct conf *c = conf_new(channel_options());

	conf_encode(c, NULL, b);
	conf_free(c);
}

static void
seed_table(struct buf *b)
{
	char db[] = "shop", name[] = "orders";
	struct report_table t = {.db = db, .name = name, .state = TABLE_LOADING};

	report_table_encode(&t, b);
}

static void
seed_conflict(struct buf *b)
{
	char text[] = "id=5";
	struct report_conflict c = {
		.db = text, .table = text, .operation = text, .kind = text, .key = text};

	report_conflict_encode(&c, b);
}

static void
seed_body(enum msg_type type, struct buf *b)
{
	if (type == MSG_CONFIG)
		seed_conf(b);
	else if (type == MSG_START || type == MSG_OPENED)
		seed_resume(b);
	else if (type == MSG_CHECKED)
		seed_checks(b);
	else if (type == MSG_TABLE)
		seed_table(b);
	else if (type == MSG_CONFLICT)
		seed_conflict(b);
	else
		buf_str(b, "text");
}

static void
write_seed(const char *dir, enum msg_type type)
{
	struct buf body = {0}, b = {0};
	char *path = xasprintf("%s/%s", dir, msg_name(type));
	FILE *f = fopen(path, "wb");

	seed_body(type, &body);
	buf_u8(&b, type <= MSG_CLEAR ? FROM_WORKER : FROM_SUPERVISOR);
	buf_u32(&b, (uint32_t)(5 + body.len));
	buf_u8(&b, (uint8_t)type);
	buf_u32(&b, GENERATION);
	buf_add(&b, body.data, body.len);
	if (f == NULL || fwrite(b.data, 1, b.len, f) != b.len)
		perror(path);
	if (f != NULL)
		fclose(f);
	free(path);
	buf_release(&b);
	buf_release(&body);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("SEED_DIR");

	(void)argc;
	(void)argv;
	for (int i = 0; dir != NULL && i < MSG_COUNT; i++)
		write_seed(dir, (enum msg_type)i);
	return 0;
}

/* ---- the target ---- */

static void
decode_resume(struct cursor body)
{
	struct buf back = {0};
	struct resume r;
	struct err e;

	if (resume_decode(&body, &r, &e) != RC_OK)
		return;
	resume_encode(&r, &back);
	(void)resume_find(&r, "shop", "orders");
	resume_release(&r);
	buf_release(&back);
}

static void
decode_checks(struct cursor body)
{
	struct checks c;
	struct err e;

	if (checks_decode(&body, &c, &e) == RC_OK)
		(void)checks_failed(&c);
	checks_release(&c);
}

static void
decode_table(struct cursor body)
{
	struct report_table t;
	struct err e;

	if (report_table_decode(&body, &t, &e) == RC_OK && (t.db == NULL || t.name == NULL))
		abort();
	report_table_release(&t);
}

static void
decode_conflict(struct cursor body)
{
	struct report_conflict c;
	struct err e;

	if (report_conflict_decode(&body, &c, &e) == RC_OK && (c.db == NULL || c.table == NULL))
		abort();
	report_conflict_release(&c);
}

static void
decode_conf(struct cursor body)
{
	struct conf *c = NULL;
	struct err e;

	if (conf_decode(channel_options(), &body, &c, &e) == RC_OK)
		conf_free(c);
}

static void
decode(const struct msg *m)
{
	if (m->type == MSG_CONFIG)
		decode_conf(m->body);
	else if (m->type == MSG_START || m->type == MSG_OPENED)
		decode_resume(m->body);
	else if (m->type == MSG_CHECKED)
		decode_checks(m->body);
	else if (m->type == MSG_TABLE)
		decode_table(m->body);
	else if (m->type == MSG_CONFLICT)
		decode_conflict(m->body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msg_end end;
	struct msg m;
	struct err e;
	int fd[2];

	if (size < 1 || size > MOST)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) != 0)
		abort();
	if (write(fd[0], data + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	msg_end_init(&end, fd[1], data[0] % 2 ? FROM_WORKER : FROM_SUPERVISOR, GENERATION);
	while (msg_receive(&end, &m, &e) == RC_OK)
		decode(&m);
	msg_end_release(&end);
	close(fd[0]);
	close(fd[1]);
	return 0;
}
