/*
 * msg.h - typed messages over a control socket; see proto.h for what is said.
 *
 * A channel end buffers both ways and never blocks: msg_send appends and
 * writes what it can, msg_flush writes the rest when the socket is writable.
 * One thread per end.
 */
#ifndef IPC_MSG_H
#define IPC_MSG_H

#include "common/compat.h"

#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"
#include "ipc/proto.h"

struct msg_end {
	int fd;			 /* non-blocking; owned by the caller */
	enum msg_direction mine; /* what this end may send */
	uint32_t generation;
	struct buf in;
	size_t in_done;	 /* bytes of `in` already handed out */
	struct buf out;	 /* len 0: nothing waits to be written */
	size_t out_done; /* bytes of `out` already written */
};

struct msg {
	enum msg_type type;
	struct cursor body; /* borrowed until the next msg_receive */
};

const char *msg_name(enum msg_type t);
const char *stat_name(enum statistic s);
bool stat_is_gauge(enum statistic s);

void msg_end_init(struct msg_end *m, int fd, enum msg_direction mine, uint32_t generation);
void msg_end_release(struct msg_end *m);
void msg_send(struct msg_end *m, enum msg_type type, const struct buf *body); /* body may be NULL */
/* OK: all is written; AGAIN: call again when writable; RETRY: the other side is gone. */
enum rc msg_flush(struct msg_end *m, struct err *e) MUSTCHECK;
/* One message; AGAIN: none yet; RETRY: closed; BUG: damaged, unknown, wrong direction or
 * generation. */
enum rc msg_receive(struct msg_end *m, struct msg *out, struct err *e) MUSTCHECK;

#endif
