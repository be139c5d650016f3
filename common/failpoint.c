/* failpoint.c - see failpoint.h. */
#include "common/compat.h"

#include "common/failpoint.h"

#ifdef SYNCLINE_FAILPOINTS

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/loop.h"

static const char *const names[FAILPOINT_COUNT] = {
#define X(symbol, name, process, phases) [FAILPOINT_##symbol] = (name),
#include "common/failpoints.def"
#undef X
};

static_assert(sizeof(struct failpoint_slot) == 64, "a slot is what the test writes");

static struct failpoint_slot *slots;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
map_slots(void)
{
	const char *path = getenv("SYNCLINE_FAILPOINTS");
	void *p;
	int fd;

	if (path == NULL || (fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
		return;
	p = mmap(NULL, FAILPOINT_COUNT * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		slots = p;
}

/* Whether this hit is the one that was armed: exactly one of all processes and threads. */
static bool
is_due(struct failpoint_slot *s)
{
	int64_t left = atomic_load(&s->left);

	while (left > 0)
		if (atomic_compare_exchange_weak(&s->left, &left, left - 1))
			return left == 1;
	return false;
}

static void
hold_up(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

bool
failpoint_reach(enum failpoint f)
{
	struct failpoint_slot *s;
	uint32_t action;

	pthread_once(&once, map_slots);
	if (slots == NULL)
		return false;
	s = &slots[f];
	atomic_fetch_add(&s->hits, 1);
	if (!is_due(s))
		return false;
	action = atomic_load(&s->action);
	atomic_store(&s->fired_us, now_us());
	atomic_fetch_add(&s->fired, 1);
	if (action == FAILPOINT_KILL)
		kill(getpid(), SIGKILL);
	if (action == FAILPOINT_DELAY)
		hold_up(atomic_load(&s->delay_ms));
	return action == FAILPOINT_LOSE;
}

enum rc
failpoint_lost(enum failpoint f, struct err *e)
{
	if (!failpoint_reach(f))
		return RC_OK;
	return err_set(e, RC_RETRY, "the server was lost at failpoint %s", names[f]);
}

#endif
