/*
 * os.c - an operating system in trouble, for tests: preloaded (LD_PRELOAD), it makes the
 * n-th call of a kind fail, and turns the wall clock.
 *
 * The test and all processes share one file, named by SYNCLINE_OS: a slot for
 * each kind, in the order of the list. t/lib/Syncline/OS.pm is the other side.
 */
#include "common/compat.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define KINDS(X)      \
	X(read)       \
	X(write)      \
	X(send)       \
	X(receive)    \
	X(sync)       \
	X(descriptor) \
	X(map)        \
	X(fork)       \
	X(clock)

enum kind {
#define X(name) KIND_##name,
	KINDS(X)
#undef X
		KIND_COUNT
};

/* 64 bytes, as the test writes them. */
struct slot {
	_Atomic uint64_t hits;
	_Atomic int64_t left;  /* 1 is the next call */
	_Atomic int64_t count; /* so many fail from then on; 0: not armed */
	_Atomic uint64_t failed;
	_Atomic int64_t turn_us; /* of `clock`: how far it is ahead */
	_Atomic int32_t error;
	char process[20]; /* in this one alone; empty: in any */
};

static struct slot *slots;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* By system calls: the functions are ours. */
static void
map_slots(void)
{
	const char *path = getenv("SYNCLINE_OS");
	long fd, p;

	if (path == NULL || (fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC)) < 0)
		return;
	p = syscall(SYS_mmap, NULL, KIND_COUNT * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED,
		fd, 0L);
	syscall(SYS_close, fd);
	if (p != -1)
		slots = (struct slot *)p;
}

static struct slot *
slot_of(enum kind k)
{
	pthread_once(&once, map_slots);
	return slots != NULL ? &slots[k] : NULL;
}

static bool
fails(enum kind k)
{
	struct slot *s = slot_of(k);
	int64_t left;

	if (s == NULL ||
		(s->process[0] != '\0' &&
			strncmp(s->process, program_invocation_short_name, sizeof s->process) != 0))
		return false;
	atomic_fetch_add(&s->hits, 1);
	left = atomic_fetch_sub(&s->left, 1);
	if (left > 1 || left <= 1 - atomic_load(&s->count))
		return false;
	atomic_fetch_add(&s->failed, 1);
	errno = atomic_load(&s->error);
	return true;
}

/* Disks fail and fill up: bells and pipes do not. */
static bool
fails_on_disk(enum kind k, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fails(k);
}

/* A connection that is broken for one is so for all. */
static bool
breaks(enum kind k, int fd)
{
	int error;

	if (!fails(k))
		return false;
	error = errno;
	if (error == EPIPE || error == ECONNRESET)
		(void)shutdown(fd, SHUT_RDWR);
	errno = error;
	return true;
}

/* The function that is meant. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))
#define WRAP_IF(failed, type, name, parameters, arguments) \
	type name parameters                               \
	{                                                  \
		static __typeof__(&name) real;             \
                                                           \
		if (real == NULL)                          \
			real = REAL(name);                 \
		return (failed) ? -1 : real arguments;     \
	}

#define WRAP(kind, type, name, parameters, arguments) \
	WRAP_IF(fails(KIND_##kind), type, name, parameters, arguments)
#define WRAP_FILE(kind, type, name, parameters, arguments) \
	WRAP_IF(fails_on_disk(KIND_##kind, fd), type, name, parameters, arguments)
#define WRAP_SOCKET(kind, type, name, parameters, arguments) \
	WRAP_IF(breaks(KIND_##kind, fd), type, name, parameters, arguments)

WRAP_FILE(read, ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
WRAP_FILE(read, ssize_t, pread64, (int fd, void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP_FILE(write, ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP_FILE(write, ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP_FILE(write, int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP_SOCKET(send, ssize_t, send, (int fd, const void *p, size_t n, int how), (fd, p, n, how))
WRAP_SOCKET(send, ssize_t, sendmsg, (int fd, const struct msghdr *m, int how), (fd, m, how))
WRAP_SOCKET(send, ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP_SOCKET(receive, ssize_t, recv, (int fd, void *p, size_t n, int how), (fd, p, n, how))
WRAP_SOCKET(receive, ssize_t, recvmsg, (int fd, struct msghdr *m, int how), (fd, m, how))
WRAP_SOCKET(receive, ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP_FILE(sync, int, fsync, (int fd), (fd))
WRAP_FILE(sync, int, fdatasync, (int fd), (fd))
WRAP(descriptor, int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(descriptor, int, socketpair, (int domain, int type, int protocol, int pair[2]),
	(domain, type, protocol, pair))
WRAP(descriptor, int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
	(fd, a, n, flags))
WRAP(descriptor, int, pipe2, (int pair[2], int flags), (pair, flags))
WRAP(descriptor, int, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(fork, pid_t, fork, (void), ())

int
open64(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	va_list ap;
	mode_t mode;

	if (real == NULL)
		real = REAL(open64);
	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fails(KIND_descriptor) ? -1 : real(path, flags, mode);
}

void *
mmap64(void *at, size_t n, int access, int flags, int fd, off64_t from)
{
	static __typeof__(&mmap64) real;

	if (real == NULL)
		real = REAL(mmap64);
	return fails(KIND_map) ? MAP_FAILED : real(at, n, access, flags, fd, from);
}

/* ---- the wall clock ---- */

static int64_t
turned_us(void)
{
	const struct slot *s = slot_of(KIND_clock);

	return s != NULL ? atomic_load(&s->turn_us) : 0;
}

int
clock_gettime(clockid_t which, struct timespec *t)
{
	long rc = syscall(SYS_clock_gettime, which, t);

	if (rc == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
		int64_t us = (int64_t)t->tv_sec * 1000000 + t->tv_nsec / 1000 + turned_us();

		t->tv_sec = us / 1000000;
		t->tv_nsec = us % 1000000 * 1000;
	}
	return (int)rc;
}

int
gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	*t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (out != NULL)
		*out = now.tv_sec;
	return now.tv_sec;
}
