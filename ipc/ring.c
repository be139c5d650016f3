/* ring.c - see ring.h. */
#include "common/compat.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "ipc/ring.h"

#define RING_MAGIC 0x676e6972u /* "ring" */
#define RING_VERSION 1u
#define RING_MIN ((size_t)64 * 1024)
#define RING_MAX ((size_t)1 << 30)
#define HEAD 8u /* u32 length, u32 zero: payloads start at multiples of 8 */
/*
 * Looks before a side goes to sleep: some microseconds, about what the sleep
 * and the bell cost together. A neighbour that is at work comes in less.
 */
#define SPINS 8
#define SPIN_RELAX 64 /* between two looks: a line looked at too often holds its writer up */
/* How far ahead the consumer asks for lines: where a frame begins is known late, by its head. */
#define PREFETCH 1024
#define ALIGNED(n) (((size_t)(n) + 7) & ~(size_t)7)

/*
 * One side's page; only that side writes it. The cursor and the flag are on
 * cache lines of their own.
 */
struct page {
	uint32_t magic;
	uint32_t version;
	uint64_t size;
	_Alignas(64) _Atomic uint64_t cursor;	/* published, or released */
	_Alignas(64) _Atomic uint32_t sleeping; /* this side waits for its bell */
};

struct ring {
	unsigned char *data; /* size bytes, mapped twice */
	struct page *mine;
	struct page *theirs;
	size_t size;
	enum ring_side side;
	struct ring_fds fds;
	uint64_t next;	     /* producer: end of committed frames; consumer: scanned */
	size_t reserved;     /* producer: bytes of the open reservation, head included */
	uint64_t their_seen; /* the other side's cursor as last read */
};

/* ---- making ---- */

static int
make_memfd(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) != 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
write_page(int fd, size_t size)
{
	struct page p = {.magic = RING_MAGIC, .version = RING_VERSION, .size = size};

	return pwrite(fd, &p, sizeof p, 0) == (ssize_t)sizeof p ? 0 : -1;
}

void
ring_fds_close(struct ring_fds *fds)
{
	for (int i = 0; i < RING_FD_COUNT; i++) {
		if (fds->fd[i] >= 0)
			close(fds->fd[i]);
		fds->fd[i] = -1;
	}
}

enum rc
ring_create(struct ring_fds *fds, size_t size, struct err *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	bool ok = true;

	for (int i = 0; i < RING_FD_COUNT; i++)
		fds->fd[i] = -1;
	if (size < RING_MIN || size > RING_MAX || (size & (size - 1)) != 0)
		return err_set(e, RC_CONFIG,
			"cannot make a ring of %zu bytes: the size must be a power of two from 64 "
			"KiB to 1 GiB",
			size);
	fds->fd[RING_FD_DATA] = make_memfd("syncline-ring", size);
	fds->fd[RING_FD_PRODUCER] = make_memfd("syncline-producer", page);
	fds->fd[RING_FD_CONSUMER] = make_memfd("syncline-consumer", page);
	fds->fd[RING_FD_DATA_BELL] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fds->fd[RING_FD_SPACE_BELL] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = 0; i < RING_FD_COUNT; i++)
		ok = ok && fds->fd[i] >= 0;
	if (ok && write_page(fds->fd[RING_FD_PRODUCER], size) == 0 &&
		write_page(fds->fd[RING_FD_CONSUMER], size) == 0)
		return RC_OK;
	err_errno(e, RC_RETRY, "cannot make a ring of %zu bytes", size);
	ring_fds_close(fds);
	return RC_RETRY;
}

/* ---- opening ---- */

static enum rc
check_fd(int fd, size_t want, size_t *size, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(fd, &st) != 0)
		return err_errno(e, RC_BUG, "descriptor %d is not part of a ring", fd);
	if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return err_set(e, RC_BUG, "descriptor %d of a ring is not sealed", fd);
	*size = (size_t)st.st_size;
	if (want != 0 && *size != want)
		return err_set(e, RC_BUG, "descriptor %d of a ring has %zu bytes, not %zu", fd,
			*size, want);
	return RC_OK;
}

static void *
map_twice(int fd, size_t size, int prot)
{
	unsigned char *at = mmap(NULL, size * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	if (mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
		mmap(at + size, size, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		munmap(at, size * 2);
		return NULL;
	}
	return at;
}

static struct page *
map_page(int fd, bool writable)
{
	void *p = mmap(NULL, sizeof(struct page), writable ? PROT_READ | PROT_WRITE : PROT_READ,
		MAP_SHARED, fd, 0);

	return p != MAP_FAILED ? p : NULL;
}

static enum rc
map_all(struct ring *r, struct err *e)
{
	bool producer = r->side == RING_PRODUCER;

	r->data = map_twice(
		r->fds.fd[RING_FD_DATA], r->size, producer ? PROT_READ | PROT_WRITE : PROT_READ);
	r->mine = map_page(r->fds.fd[producer ? RING_FD_PRODUCER : RING_FD_CONSUMER], true);
	r->theirs = map_page(r->fds.fd[producer ? RING_FD_CONSUMER : RING_FD_PRODUCER], false);
	if (r->data == NULL || r->mine == NULL || r->theirs == NULL)
		return err_errno(e, RC_RETRY, "cannot map a ring of %zu bytes", r->size);
	for (int i = 0; i < 2; i++) {
		const struct page *p = i == 0 ? r->mine : r->theirs;

		if (p->magic != RING_MAGIC || p->version != RING_VERSION || p->size != r->size)
			return err_set(e, RC_CONFIG,
				"a ring has another version or size than this program knows");
	}
	return RC_OK;
}

static size_t
space(struct ring *r)
{
	uint64_t used;

	/*
	 * Acquire: partner of move_cursor in ring_release; what was read there is read before we
	 * overwrite it. Seq_cst: partner of the same when we look again before we sleep.
	 */
	r->their_seen = atomic_load_explicit(&r->theirs->cursor, memory_order_seq_cst);
	used = r->next - r->their_seen;
	/* A consumer that claims to have released what was never there gets no room. */
	return used > r->size ? 0 : r->size - (size_t)used;
}

enum rc
ring_open(struct ring **out, const struct ring_fds *fds, enum ring_side side, struct err *e)
{
	struct ring *r = xcalloc(1, sizeof *r);
	size_t page;
	enum rc rc;

	*out = NULL;
	r->fds = *fds;
	r->side = side;
	rc = check_fd(fds->fd[RING_FD_DATA], 0, &r->size, e);
	if (rc == RC_OK &&
		(r->size < RING_MIN || r->size > RING_MAX || (r->size & (r->size - 1)) != 0))
		rc = err_set(
			e, RC_BUG, "a ring has %zu bytes, which is not a size of one", r->size);
	if (rc == RC_OK)
		rc = check_fd(fds->fd[RING_FD_PRODUCER], 0, &page, e);
	if (rc == RC_OK)
		rc = check_fd(fds->fd[RING_FD_CONSUMER], page, &page, e);
	if (rc == RC_OK && page < sizeof(struct page))
		rc = err_set(e, RC_BUG, "a page of a ring is too small");
	if (rc == RC_OK)
		rc = map_all(r, e);
	if (rc != RC_OK) {
		ring_close(r);
		return rc;
	}
	r->next = atomic_load(&r->mine->cursor);
	r->their_seen = r->next; /* nothing is believed before ring_next or space has looked */
	if (side == RING_PRODUCER)
		(void)space(r);
	*out = r;
	return RC_OK;
}

void
ring_close(struct ring *r)
{
	if (r == NULL)
		return;
	if (r->data != NULL)
		munmap(r->data, r->size * 2);
	if (r->mine != NULL)
		munmap(r->mine, sizeof(struct page));
	if (r->theirs != NULL)
		munmap(r->theirs, sizeof(struct page));
	free(r);
}

size_t
ring_size(const struct ring *r)
{
	return r->size;
}

size_t
ring_max_frame(const struct ring *r)
{
	return r->size / 2 - HEAD;
}

uint64_t
ring_bytes(const struct ring *r)
{
	return atomic_load_explicit(
		&(r->side == RING_PRODUCER ? r->mine : r->theirs)->cursor, memory_order_relaxed);
}

size_t
ring_fill(const struct ring *r)
{
	uint64_t mine = atomic_load_explicit(&r->mine->cursor, memory_order_relaxed);
	uint64_t theirs = atomic_load_explicit(&r->theirs->cursor, memory_order_relaxed);
	uint64_t fill = r->side == RING_PRODUCER ? mine - theirs : theirs - mine;

	return fill > r->size ? r->size : (size_t)fill;
}

/* ---- waking and waiting ---- */

static void
ring_bell(int fd)
{
	uint64_t one = 1;

	/* A full counter has been rung already. */
	while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void
drain_bell(int fd)
{
	uint64_t n;

	while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
		;
}

/*
 * No wake-up is lost because four accesses are seq_cst, and so have one order
 * for both sides: here "store cursor, load flag", there "store flag, load
 * cursor" (set_sleeping, then space or has_data). Whichever store is second is
 * followed by a load that sees the first.
 */
static void
move_cursor(struct ring *r, uint64_t to, int bell)
{
	/* Includes the release that space and ring_next acquire. */
	atomic_store_explicit(&r->mine->cursor, to, memory_order_seq_cst);
	if (atomic_load_explicit(&r->theirs->sleeping, memory_order_seq_cst) != 0)
		ring_bell(bell);
}

static void
set_sleeping(struct ring *r)
{
	/* Partner: move_cursor's load. */
	atomic_store_explicit(&r->mine->sleeping, 1, memory_order_seq_cst);
}

static void
set_awake(struct ring *r)
{
	/* No order needed: a bell too many is drained at the next sleep. */
	atomic_store_explicit(&r->mine->sleeping, 0, memory_order_relaxed);
}

static void
relax(void)
{
	for (int i = 0; i < SPIN_RELAX; i++) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile("yield");
#endif
	}
}

static void
sleep_on(int bell, int timeout_ms)
{
	struct pollfd p = {.fd = bell, .events = POLLIN};

	if (poll(&p, 1, timeout_ms) > 0)
		drain_bell(bell);
}

/* ---- producer ---- */

/* Room by what was last seen of the consumer: mostly enough, and no cache line is fetched. */
static bool
room_seen(const struct ring *r, size_t need)
{
	uint64_t used = r->next - r->their_seen;

	return used <= r->size && need <= r->size - (size_t)used;
}

enum rc
ring_reserve(struct ring *r, size_t n, unsigned char **to)
{
	size_t need;

	if (n > ring_max_frame(r))
		return RC_BUG;
	need = HEAD + ALIGNED(n);
	if (!room_seen(r, need) && space(r) < need)
		return RC_AGAIN;
	r->reserved = need;
	*to = r->data + (r->next & (r->size - 1)) + HEAD;
	return RC_OK;
}

void
ring_commit(struct ring *r, size_t n)
{
	unsigned char *head = r->data + (r->next & (r->size - 1));
	uint32_t length[2] = {htole32((uint32_t)n), 0};

	if (n > r->reserved || HEAD + ALIGNED(n) > r->reserved)
		bug("a frame of %zu bytes is larger than its reservation of %zu", n, r->reserved);
	memcpy(head, length, sizeof length);
	r->next += HEAD + ALIGNED(n);
	r->reserved = 0;
}

void
ring_publish(struct ring *r)
{
	if (atomic_load_explicit(&r->mine->cursor, memory_order_relaxed) != r->next)
		move_cursor(r, r->next, r->fds.fd[RING_FD_DATA_BELL]);
}

void
ring_wait_space(struct ring *r, size_t n, int timeout_ms)
{
	/* An event that goes in fragments needs no more than a frame at a time. */
	size_t need = HEAD + ALIGNED(n < ring_max_frame(r) ? n : ring_max_frame(r));

	ring_publish(r);
	for (int i = 0; i < SPINS && timeout_ms != 0; i++) {
		if (space(r) >= need)
			return;
		relax();
	}
	set_sleeping(r);
	if (space(r) < need)
		sleep_on(r->fds.fd[RING_FD_SPACE_BELL], timeout_ms);
	set_awake(r);
}

/* ---- consumer ---- */

static uint32_t
load_length(const unsigned char *head)
{
	uint32_t length = *(const volatile uint32_t *)(const void *)head;

	return le32toh(length);
}

/* Looks what is published; a cursor that cannot be is not kept. */
static enum rc
look(struct ring *r, struct err *e)
{
	/* Acquire: partner of move_cursor in ring_publish. */
	uint64_t published = atomic_load_explicit(&r->theirs->cursor, memory_order_acquire);
	uint64_t held = r->next - atomic_load_explicit(&r->mine->cursor, memory_order_relaxed);

	if (published == r->next)
		return RC_AGAIN;
	/* What we hold and what is new are in the ring together. */
	if (published - r->next > r->size - held || ((published - r->next) & 7) != 0)
		return err_set(e, RC_BUG,
			"the producer's cursor of a ring is damaged: %llu published, %llu scanned",
			(unsigned long long)published, (unsigned long long)r->next);
	r->their_seen = published;
	return RC_OK;
}

enum rc
ring_next(struct ring *r, struct ring_frame *f, struct err *e)
{
	const unsigned char *head;
	uint64_t left;
	uint32_t length;
	enum rc rc;

	if (r->next == r->their_seen && (rc = look(r, e)) != RC_OK)
		return rc;
	left = r->their_seen - r->next; /* a multiple of 8 and not 0: look saw to it */
	head = r->data + (r->next & (r->size - 1));
	__builtin_prefetch(head + PREFETCH);
	/* Copied once, then checked: the producer could change it. */
	length = load_length(head);
	if (length > ring_max_frame(r) || HEAD + ALIGNED(length) > left)
		return err_set(e, RC_BUG, "a frame in a ring claims %u bytes where %llu are left",
			length, (unsigned long long)left);
	f->data = head + HEAD;
	f->len = length;
	r->next += HEAD + ALIGNED(length);
	f->end = r->next;
	return RC_OK;
}

void
ring_release(struct ring *r, uint64_t end)
{
	if (end <= ring_released(r))
		return;
	if (end > r->next)
		bug("a ring is released beyond what was scanned");
	move_cursor(r, end, r->fds.fd[RING_FD_SPACE_BELL]);
}

uint64_t
ring_released(const struct ring *r)
{
	return atomic_load_explicit(&r->mine->cursor, memory_order_relaxed);
}

static bool
has_data(const struct ring *r)
{
	/* Seq_cst: partner of move_cursor, the second look before a sleep. */
	return atomic_load_explicit(&r->theirs->cursor, memory_order_seq_cst) != r->next;
}

void
ring_wait_data(struct ring *r, int timeout_ms)
{
	for (int i = 0; i < SPINS && timeout_ms != 0; i++) {
		if (has_data(r))
			return;
		relax();
	}
	set_sleeping(r);
	if (!has_data(r))
		sleep_on(r->fds.fd[RING_FD_DATA_BELL], timeout_ms);
	set_awake(r);
}

void
ring_wake(struct ring *r)
{
	ring_bell(r->fds.fd[RING_FD_DATA_BELL]);
}

int
ring_data_bell(const struct ring *r)
{
	return r->fds.fd[RING_FD_DATA_BELL];
}

bool
ring_arm(struct ring *r)
{
	set_sleeping(r);
	if (!has_data(r))
		return true;
	set_awake(r);
	return false;
}

void
ring_disarm(struct ring *r)
{
	set_awake(r);
	drain_bell(r->fds.fd[RING_FD_DATA_BELL]);
}
