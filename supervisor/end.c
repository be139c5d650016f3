/* end.c - see end.h. */
#include "common/compat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "supervisor/end.h"

const char *
end_role_name(enum end_role role)
{
	return role == END_READER ? "reader" : "writer";
}

void
end_blame(struct worker_end *w, const struct err *e)
{
	if (w->failed)
		return;
	w->failed = true;
	w->failure = *e;
}

static void
blame_damage(struct worker_end *w, const struct err *why)
{
	struct err e;

	err_set(&e, RC_BUG, "the %s sent what cannot be: %s", end_role_name(w->role), why->text);
	err_remedy(&e, "are the worker programs of the same version as the supervisor?");
	end_blame(w, &e);
	end_kill(w);
}

static bool
take_report(struct worker_end *w, struct cursor *c)
{
	uint32_t n = cursor_u32(c);
	uint64_t stats[STAT_COUNT];

	if (n != STAT_COUNT)
		return false;
	for (uint32_t i = 0; i < n; i++)
		stats[i] = cursor_u64(c);
	if (!cursor_done(c))
		return false;
	memcpy(w->stats, stats, sizeof stats);
	w->ops->reported(w->arg, w);
	return true;
}

static bool
take_failed(struct worker_end *w, struct cursor *c)
{
	uint8_t rc = cursor_u8(c);
	uint32_t code = cursor_u32(c);
	char *text = cursor_strdup(c), *remedy = cursor_strdup(c);
	bool ok = cursor_done(c) && rc < RC_COUNT && rc != RC_OK && text != NULL;
	struct err e;

	if (ok) {
		err_set(&e, (enum rc)rc, "%s", text);
		e.code = (int)code;
		err_remedy(&e, "%s", remedy != NULL ? remedy : "");
		end_blame(w, &e);
	}
	free(text);
	free(remedy);
	return ok;
}

static bool
take(struct worker_end *w, struct msg *m)
{
	w->heard_us = mono_us();
	if (m->type == MSG_REPORT)
		return take_report(w, &m->body);
	if (m->type == MSG_FAILED)
		return take_failed(w, &m->body);
	return w->ops->message(w->arg, w, m);
}

static void
read_all(struct worker_end *w)
{
	struct err e = {0};
	struct msg m;
	enum rc rc;

	while ((rc = msg_receive(&w->msg, &m, &e)) == RC_OK)
		if (!take(w, &m)) {
			err_set(&e, RC_BUG, "a message \"%s\" that is damaged or out of place",
				msg_name(m.type));
			rc = RC_BUG;
			break;
		}
	if (rc == RC_BUG)
		blame_damage(w, &e);
	if (rc != RC_AGAIN)
		watch_set(w->watch, 0); /* closed or damaged: the process's end follows */
}

static void
on_control(void *arg, int what)
{
	struct worker_end *w = arg;
	struct err ignored;

	if ((what & LOOP_WRITE) && msg_flush(&w->msg, &ignored) != RC_AGAIN)
		watch_set(w->watch, LOOP_READ);
	if (what & LOOP_READ)
		read_all(w);
}

static void
on_gone(void *arg, const struct child_end *end)
{
	struct worker_end *w = arg;

	w->child = NULL; /* freed itself */
	read_all(w);	 /* its last words may still be in the socket */
	w->live = false;
	w->end = *end;
	w->ops->gone(w->arg, w);
}

static enum rc
start_child(struct worker_end *w, const struct end_spec *spec, int theirs, struct err *e)
{
	char *program = xasprintf("%s/syncline-%s", spec->libexec, end_role_name(w->role));
	struct child_spec c = {.program = program,
		.channel = spec->channel,
		.generation = spec->generation,
		.control = theirs,
		.rings = spec->rings,
		.nrings = spec->nrings,
		.log = spec->log};
	enum rc rc = child_start(w->loop, &c, on_gone, w, &w->child, e);

	free(program);
	return rc;
}

enum rc
end_start(struct worker_end *w, enum end_role role, struct loop *l, const struct end_spec *spec,
	const struct end_ops *ops, void *arg, struct err *e)
{
	int pair[2];
	enum rc rc;

	*w = (struct worker_end){.role = role, .loop = l, .ops = ops, .arg = arg, .control = -1};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return err_errno(e, RC_RETRY, "cannot make a control socket");
	rc = start_child(w, spec, pair[1], e);
	close(pair[1]);
	if (rc != RC_OK) {
		close(pair[0]);
		return rc;
	}
	w->live = true;
	w->control = pair[0];
	w->heard_us = mono_us();
	msg_end_init(&w->msg, w->control, FROM_SUPERVISOR, spec->generation);
	w->watch = watch_new(l, w->control, LOOP_READ, on_control, w);
	return RC_OK;
}

void
end_send(struct worker_end *w, enum msg_type type, const struct buf *body)
{
	if (!w->live)
		return;
	msg_send(&w->msg, type, body);
	if (w->msg.out.len != 0)
		watch_set(w->watch, LOOP_READ | LOOP_WRITE);
}

void
end_kill(struct worker_end *w)
{
	if (w->live && w->child != NULL)
		child_kill(w->child);
}

void
end_release(struct worker_end *w)
{
	child_free(w->child);
	watch_free(w->watch);
	if (w->control > 0)
		close(w->control);
	msg_end_release(&w->msg);
	*w = (struct worker_end){.control = -1};
}
