/* pair_message.c - what a pair's workers say, and what follows; see ipc/proto.h. */
#include "common/compat.h"

#include <stdlib.h>

#include "common/failpoint.h"
#include "common/mem.h"
#include "supervisor/pair.h"
#include "supervisor/pair_private.h"

static bool
all_ready(const struct pair *p)
{
	for (int i = 0; i < END_COUNT; i++)
		if (p->uses[i] && !p->ends[i].ready)
			return false;
	return true;
}

/* The writer's turn comes when the reader has said what it finds. */
static void
send_check(struct pair *p, enum end_role role)
{
	struct buf b;

	buf_init(&b);
	buf_u8(&b, p->spec.want_sql ? CHECK_SQL : 0);
	found_encode(&p->checks[END_READER].found, &b);
	end_send(&p->ends[role], MSG_CHECK, &b);
	buf_release(&b);
}

static void
enter_work(struct pair *p)
{
	pair_enter(p, PHASE_WORKING, p->spec.start_ms * 1000 * PAIR_WORK_FACTOR);
}

static bool
take_ready(struct pair *p, struct worker_end *w, struct msg *m)
{
	uint32_t version = cursor_u32(&m->body);

	if (w->ready || !cursor_done(&m->body) || version != PROTO_VERSION)
		return false;
	w->ready = true;
	FAILPOINT(SUPERVISOR_READY);
	pair_relevel(p, p->spec.level);
	if (!all_ready(p) || p->phase != PHASE_STARTING)
		return true;
	if (p->spec.kind == PAIR_RUN || p->spec.kind == PAIR_TELL) {
		p->phase = PHASE_OPENING_TARGET; /* within the time that is left of the start */
		end_send(&p->ends[END_WRITER], MSG_START, NULL);
		return true;
	}
	enter_work(p);
	if (p->spec.kind == PAIR_CHECK)
		send_check(p, END_READER);
	else
		end_send(&p->ends[END_WRITER], MSG_CLEAR, NULL);
	return true;
}

void
pair_send_wish(struct pair *p, const char *wish)
{
	struct buf b;

	FAILPOINT(SUPERVISOR_WISH);
	buf_init(&b);
	buf_str(&b, wish);
	end_send(&p->ends[END_WRITER], MSG_WISH, &b);
	buf_release(&b);
}

/* The target has done its part: what the source keeps goes last, since without it nothing goes on.
 */
static void
leave_source(struct pair *p)
{
	if (p->spec.leaves) {
		end_send(&p->ends[END_READER], MSG_CLEAR, NULL);
		return;
	}
	p->result.answered = true; /* unless a wish fails: messages are taken in order */
	pair_stop(p);
}

static void
target_opened(struct pair *p, struct resume *r)
{
	FAILPOINT(SUPERVISOR_OPENED);
	if (p->spec.kind == PAIR_TELL) {
		enter_work(p);
		pair_send_wish(p, p->wish);
		leave_source(p);
	} else if (p->spec.ops->opened(p->spec.arg, r)) {
		struct buf b;

		pair_enter(p, PHASE_OPENING_SOURCE, p->spec.start_ms * 1000 * PAIR_WORK_FACTOR);
		buf_init(&b);
		resume_encode(r, &b);
		end_send(&p->ends[END_READER], MSG_START, &b);
		buf_release(&b);
	} else {
		pair_stop(p);
	}
}

static bool
take_opened_writer(struct pair *p, struct msg *m)
{
	struct resume r;
	struct err e;

	if (p->phase != PHASE_OPENING_TARGET)
		return p->phase == PHASE_ENDING;
	if (resume_decode(&m->body, &r, &e) != RC_OK)
		return false;
	target_opened(p, &r);
	resume_release(&r);
	return true;
}

static bool
take_opened(struct pair *p, struct worker_end *w, struct msg *m)
{
	if (w->opened)
		return false;
	w->opened = true;
	if (w->role == END_WRITER)
		return take_opened_writer(p, m);
	if (p->phase == PHASE_OPENING_SOURCE) {
		p->flowing_us = mono_us();
		pair_enter(p, PHASE_FLOWING, 0);
		p->spec.ops->flowing(p->spec.arg);
		FAILPOINT(SUPERVISOR_FLOWING);
	}
	return true;
}

static bool
take_drained(struct pair *p, struct worker_end *w)
{
	if (w->role == END_READER && p->phase == PHASE_DRAINING_SOURCE) {
		p->phase = PHASE_DRAINING_TARGET;
		end_send(&p->ends[END_WRITER], MSG_DRAIN, NULL);
	} else if (w->role == END_WRITER && p->phase == PHASE_DRAINING_TARGET) {
		p->result.drained = true;
		FAILPOINT(SUPERVISOR_DRAINED);
		pair_stop(p);
	}
	return true;
}

static bool
take_checked(struct pair *p, struct worker_end *w, struct msg *m)
{
	struct err e;

	if (p->spec.kind != PAIR_CHECK || w->answered ||
		checks_decode(&m->body, &p->checks[w->role], &e) != RC_OK)
		return false;
	w->answered = true;
	if (w->role == END_READER)
		send_check(p, END_WRITER);
	p->result.answered = p->ends[END_READER].answered && p->ends[END_WRITER].answered;
	return true;
}

static bool
take_cleared(struct pair *p, struct worker_end *w)
{
	if (w->role == END_WRITER ? p->spec.kind != PAIR_CLEAR : !p->spec.leaves)
		return false;
	w->answered = true;
	if (w->role == END_WRITER) {
		leave_source(p);
	} else {
		p->result.answered = true;
		pair_stop(p);
	}
	return true;
}

static bool
take_table(struct pair *p, struct msg *m)
{
	struct report_table t;
	struct err e;

	if (report_table_decode(&m->body, &t, &e) != RC_OK)
		return false;
	FAILPOINT(SUPERVISOR_TABLE);
	p->spec.ops->table(p->spec.arg, &t);
	report_table_release(&t);
	return true;
}

static bool
take_conflict(struct pair *p, struct msg *m)
{
	struct report_conflict c;
	struct err e;

	if (report_conflict_decode(&m->body, &c, &e) != RC_OK)
		return false;
	p->spec.ops->conflict(p->spec.arg, &c);
	report_conflict_release(&c);
	return true;
}

static bool
take_position(struct pair *p, struct msg *m)
{
	char *applied = cursor_strdup(&m->body);
	uint64_t time_us = cursor_u64(&m->body);
	bool ok = cursor_done(&m->body) && applied != NULL;

	if (ok)
		p->spec.ops->position(p->spec.arg, applied, time_us);
	free(applied);
	return ok;
}

bool
pair_on_message(void *arg, struct worker_end *w, struct msg *m)
{
	struct pair *p = arg;

	switch (m->type) {
	case MSG_READY:
		return take_ready(p, w, m);
	case MSG_OPENED:
		return take_opened(p, w, m);
	case MSG_DRAINED:
		return take_drained(p, w);
	case MSG_CHECKED:
		return take_checked(p, w, m);
	case MSG_CLEARED:
		return take_cleared(p, w);
	case MSG_TABLE:
		return take_table(p, m);
	case MSG_CONFLICT:
		return take_conflict(p, m);
	case MSG_POSITION:
		return take_position(p, m);
	case MSG_CONFIG:
	case MSG_START:
	case MSG_DRAIN:
	case MSG_STOP:
	case MSG_CHECK:
	case MSG_RELEVEL:
	case MSG_WISH:
	case MSG_CLEAR:
	case MSG_WHOSE:
	case MSG_REPORT:
	case MSG_FAILED:
	case MSG_COUNT:
	default:
		return false;
	}
}

void
pair_on_reported(void *arg, struct worker_end *w)
{
	struct pair *p = arg;

	FAILPOINT(SUPERVISOR_REPORT);
	p->spec.ops->reported(p->spec.arg, w->role, w->stats);
}
