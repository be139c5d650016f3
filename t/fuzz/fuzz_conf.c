/*
 * fuzz_conf.c - hostile text as a channel's file and as the daemon's.
 *
 *     clang ... -fsanitize=fuzzer,address,undefined; seeds: t/data/conf
 *
 * What is accepted must survive the trip to a worker, unchanged, and have
 * routes; what is refused must say so. The file lies in memory (memfd).
 */
#include "common/compat.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/route.h"
#include "supervisor/conf_file.h"
#include "supervisor/conf_show.h"

#define MOST ((size_t)20000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the text before some syntax errors. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

static void
same_after_trip(const struct conf *c)
{
	struct conf *again = NULL;
	struct cursor cur;
	struct buf a, b;

	buf_init(&a);
	buf_init(&b);
	conf_encode(c, NULL, &a);
	cursor_init(&cur, a.data, a.len);
	if (conf_decode(channel_options(), &cur, &again, NULL) != RC_OK)
		abort();
	conf_encode(again, NULL, &b);
	if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
		abort();
	buf_clear(&a);
	conf_print_effective(again, channel_options(), &a);
	conf_free(again);
	buf_release(&a);
	buf_release(&b);
}

static void
as_channel(const char *file)
{
	struct conf_notes notes = {0};
	struct routes *r = NULL;
	struct conf *c;
	char *id;

	conf_file_channel(file, &c, &id, &notes);
	if ((c == NULL) != (notes.errors != 0))
		abort();
	if (c != NULL) {
		same_after_trip(c);
		if (routes_new(c, &r, NULL) != RC_OK)
			abort();
		routes_table(r, "shop", "orders");
		routes_free(r);
	}
	conf_free(c);
	free(id);
	conf_notes_release(&notes);
}

static void
as_daemon(const char *file)
{
	struct conf_notes notes = {0};
	struct conf *c;

	conf_file_daemon(file, true, &c, &notes);
	if ((c == NULL) != (notes.errors != 0))
		abort();
	conf_free(c);
	conf_notes_release(&notes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char file[64];

	if (fd < 0)
		fd = memfd_create("conf", MFD_CLOEXEC);
	if (size > MOST)
		return 0;
	if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
	as_channel(file);
	as_daemon(file);
	return 0;
}
