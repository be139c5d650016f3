/* msg.c - see msg.h. */
#include "common/compat.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "ipc/msg.h"

#define HEAD 9u /* u32 length of the rest, u8 type, u32 generation */
#define READ_SIZE ((size_t)64 * 1024)

static const struct {
	const char *name;
	enum msg_direction from;
} types[MSG_COUNT] = {
#define X(symbol, name, direction) [MSG_##symbol] = {name, direction},
	MSG_LIST(X)
#undef X
};

enum stat_kind { COUNTER, GAUGE };

static const struct {
	const char *name;
	enum stat_kind kind;
} stats[STAT_COUNT] = {
#define X(symbol, name, who, kind) [STAT_##symbol] = {name, kind},
	STAT_LIST(X)
#undef X
};

const char *
msg_name(enum msg_type t)
{
	return t < MSG_COUNT ? types[t].name : "unknown";
}

const char *
stat_name(enum statistic s)
{
	return s < STAT_COUNT ? stats[s].name : "unknown";
}

bool
stat_is_gauge(enum statistic s)
{
	return s < STAT_COUNT && stats[s].kind == GAUGE;
}

void
msg_end_init(struct msg_end *m, int fd, enum msg_direction mine, uint32_t generation)
{
	*m = (struct msg_end){.fd = fd, .mine = mine, .generation = generation};
}

void
msg_end_release(struct msg_end *m)
{
	buf_release(&m->in);
	buf_release(&m->out);
}

void
msg_send(struct msg_end *m, enum msg_type type, const struct buf *body)
{
	struct err ignored;
	size_t n = body != NULL ? body->len : 0;

	if (n > PROTO_MAX_MESSAGE - HEAD)
		bug("a message \"%s\" of %zu bytes is too large", msg_name(type), n);
	buf_u32(&m->out, (uint32_t)(n + HEAD - 4));
	buf_u8(&m->out, (uint8_t)type);
	buf_u32(&m->out, m->generation);
	if (n != 0)
		buf_add(&m->out, body->data, n);
	/* What does not go now goes when the socket takes more; a lost peer is seen by receiving.
	 */
	(void)!msg_flush(m, &ignored);
}

/* Moves what is left to the front, but only when that costs less than was written. */
static void
forget_written(struct msg_end *m)
{
	size_t left = m->out.len - m->out_done;

	if (m->out_done < left)
		return;
	memmove(m->out.data, m->out.data + m->out_done, left);
	m->out.len = left;
	m->out_done = 0;
}

enum rc
msg_flush(struct msg_end *m, struct err *e)
{
	while (m->out_done < m->out.len) {
		ssize_t n = send(m->fd, m->out.data + m->out_done, m->out.len - m->out_done,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			forget_written(m);
			return RC_AGAIN;
		}
		if (n < 0)
			return err_errno(e, RC_RETRY, "cannot write to the control socket");
		m->out_done += (size_t)n;
	}
	buf_clear(&m->out);
	m->out_done = 0;
	return RC_OK;
}

/* Reads what there is; AGAIN when that is nothing. */
static enum rc
fill(struct msg_end *m, struct err *e)
{
	unsigned char *to;
	ssize_t n;

	if (m->in_done != 0) {
		memmove(m->in.data, m->in.data + m->in_done, m->in.len - m->in_done);
		m->in.len -= m->in_done;
		m->in_done = 0;
	}
	to = buf_reserve(&m->in, READ_SIZE);
	do {
		n = recv(m->fd, to, READ_SIZE, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return RC_AGAIN;
	if (n < 0)
		return err_errno(e, RC_RETRY, "cannot read from the control socket");
	if (n == 0)
		return err_set(e, RC_RETRY, "the control socket was closed");
	m->in.len += (size_t)n;
	return RC_OK;
}

/* The other side's words are checked before they mean anything. */
static enum rc
check(const struct msg_end *m, uint32_t type, uint32_t generation, struct err *e)
{
	if (type >= MSG_COUNT)
		return err_set(e, RC_BUG, "a control message has unknown type %u", type);
	if (types[type].from == m->mine)
		return err_set(e, RC_BUG, "a control message \"%s\" came from the wrong side",
			types[type].name);
	if (generation != m->generation)
		return err_set(e, RC_BUG, "a control message \"%s\" is of generation %u, not %u",
			types[type].name, generation, m->generation);
	return RC_OK;
}

enum rc
msg_receive(struct msg_end *m, struct msg *out, struct err *e)
{
	struct cursor c;
	uint32_t length, type, generation;
	enum rc rc;

	for (;;) {
		size_t left = m->in.len - m->in_done;
		const unsigned char *p = left != 0 ? m->in.data + m->in_done : NULL;

		length = left >= 4 ? get_u32(p) : 0;
		if (left >= 4 && (length < HEAD - 4 || length > PROTO_MAX_MESSAGE))
			return err_set(e, RC_BUG, "a control message claims %u bytes", length);
		if (left >= 4 && left - 4 >= length) {
			cursor_init(&c, p + 4, length);
			break;
		}
		if ((rc = fill(m, e)) != RC_OK)
			return rc;
	}
	type = cursor_u8(&c);
	generation = cursor_u32(&c);
	if ((rc = check(m, type, generation, e)) != RC_OK)
		return rc;
	m->in_done += 4 + (size_t)length;
	out->type = (enum msg_type)type;
	out->body = c;
	return RC_OK;
}
