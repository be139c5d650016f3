/* loop.c - see loop.h. */
#include "common/compat.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"

struct signal_watch {
	struct event *event;
	signal_cb cb;
	void *arg;
	struct signal_watch *next;
};

struct deferred {
	deferred_cb cb;
	void *arg;
	struct deferred *next;
};

struct loop {
	struct event_base *base;
	struct signal_watch *signals;
	struct event *defer; /* made active when the list below is not empty */
	struct deferred *deferred, **deferred_end;
};

struct watch {
	struct loop *loop;
	struct event *event;
	int fd;
	int interest;
	watch_cb cb;
	void *arg;
};

struct timer {
	struct loop *loop;
	struct event *event;
	timer_cb cb;
	void *arg;
};

/* What a deferred call defers comes in the next turn. */
static void
on_deferred(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct deferred *d = l->deferred;

	(void)fd;
	(void)what;
	l->deferred = NULL;
	l->deferred_end = &l->deferred;
	while (d != NULL) {
		struct deferred *next = d->next;

		d->cb(d->arg);
		free(d);
		d = next;
	}
}

struct loop *
loop_new(void)
{
	struct event_config *c = event_config_new();
	struct loop *l = xcalloc(1, sizeof *l);

	if (c == NULL)
		bug("cannot configure the event loop");
	event_config_set_flag(c, EVENT_BASE_FLAG_PRECISE_TIMER);
	l->base = event_base_new_with_config(c);
	event_config_free(c);
	if (l->base == NULL)
		bug("cannot start the event loop");
	l->defer = event_new(l->base, -1, 0, on_deferred, l);
	if (l->defer == NULL)
		bug("cannot start the event loop");
	l->deferred_end = &l->deferred;
	return l;
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	while (l->signals != NULL) {
		struct signal_watch *s = l->signals;

		l->signals = s->next;
		event_free(s->event);
		free(s);
	}
	while (l->deferred != NULL) {
		struct deferred *d = l->deferred;

		l->deferred = d->next;
		free(d);
	}
	event_free(l->defer);
	event_base_free(l->base);
	free(l);
}

void
loop_run(struct loop *l)
{
	event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void
loop_stop(struct loop *l)
{
	event_base_loopbreak(l->base);
}

void
loop_defer(struct loop *l, deferred_cb cb, void *arg)
{
	struct deferred *d = xcalloc(1, sizeof *d);

	*d = (struct deferred){.cb = cb, .arg = arg};
	*l->deferred_end = d;
	l->deferred_end = &d->next;
	event_active(l->defer, 0, 0);
}

void *
loop_base(struct loop *l)
{
	return l->base;
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	w->cb(w->arg, (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

static short
flags(int interest)
{
	return (short)(EV_PERSIST | (interest & LOOP_READ ? EV_READ : 0) |
		       (interest & LOOP_WRITE ? EV_WRITE : 0));
}

struct watch *
watch_new(struct loop *l, int fd, int interest, watch_cb cb, void *arg)
{
	struct watch *w = xcalloc(1, sizeof *w);

	*w = (struct watch){.loop = l, .fd = fd, .interest = interest, .cb = cb, .arg = arg};
	w->event = event_new(l->base, fd, flags(interest), on_watch, w);
	if (w->event == NULL || (interest != 0 && event_add(w->event, NULL) != 0))
		bug("cannot watch descriptor %d", fd);
	return w;
}

void
watch_set(struct watch *w, int interest)
{
	if (interest == w->interest)
		return;
	w->interest = interest;
	event_del(w->event);
	event_assign(w->event, w->loop->base, w->fd, flags(interest), on_watch, w);
	if (interest != 0 && event_add(w->event, NULL) != 0)
		bug("cannot watch descriptor %d", w->fd);
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	event_free(w->event);
	free(w);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->cb(t->arg);
}

struct timer *
timer_new(struct loop *l, timer_cb cb, void *arg)
{
	struct timer *t = xcalloc(1, sizeof *t);

	*t = (struct timer){.loop = l, .cb = cb, .arg = arg};
	t->event = event_new(l->base, -1, 0, on_timer, t);
	if (t->event == NULL)
		bug("cannot make a timer");
	return t;
}

static void
set_timer(struct timer *t, uint64_t ms, short persist)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_del(t->event);
	event_assign(t->event, t->loop->base, -1, persist, on_timer, t);
	event_add(t->event, &tv);
}

void
timer_once(struct timer *t, uint64_t ms)
{
	set_timer(t, ms, 0);
}

void
timer_every(struct timer *t, uint64_t ms)
{
	set_timer(t, ms, EV_PERSIST);
}

void
timer_clear(struct timer *t)
{
	event_del(t->event);
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	event_free(t->event);
	free(t);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	struct signal_watch *s = arg;

	(void)what;
	s->cb(s->arg, (int)number);
}

void
loop_signal(struct loop *l, int number, signal_cb cb, void *arg)
{
	struct signal_watch *s = xcalloc(1, sizeof *s);

	*s = (struct signal_watch){.cb = cb, .arg = arg, .next = l->signals};
	s->event = evsignal_new(l->base, number, on_signal, s);
	if (s->event == NULL || event_add(s->event, NULL) != 0)
		bug("cannot watch signal %d", number);
	l->signals = s;
}

static uint64_t
clock_us(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t
now_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

uint64_t
mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}
