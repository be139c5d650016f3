/*
 * loop.h - the event loop: descriptors, timers, signals. The door to libevent.
 *
 * One loop per thread that runs one. Callbacks run on that thread, one at a
 * time, and must not block. A watch or timer may be freed in its own callback.
 * Timers are on the monotonic clock.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/compat.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct watch;
struct timer;

enum interest { LOOP_READ = 1, LOOP_WRITE = 2 };

/* what: LOOP_READ | LOOP_WRITE, as it became ready. */
typedef void (*watch_cb)(void *arg, int what);
typedef void (*timer_cb)(void *arg);
typedef void (*signal_cb)(void *arg, int number);
typedef void (*deferred_cb)(void *arg);

struct loop *loop_new(void);
void loop_free(struct loop *l);
/* Until loop_stop. */
void loop_run(struct loop *l);
/* Of the loop's own thread, or of a signal callback. */
void loop_stop(struct loop *l);

/* The descriptor stays the caller's and is closed after watch_free. */
struct watch *watch_new(struct loop *l, int fd, int interest, watch_cb cb, void *arg);
void watch_set(struct watch *w, int interest); /* 0: rest */
void watch_free(struct watch *w);

struct timer *timer_new(struct loop *l, timer_cb cb, void *arg);
void timer_once(struct timer *t, uint64_t ms);
void timer_every(struct timer *t, uint64_t ms);
void timer_clear(struct timer *t);
void timer_free(struct timer *t);

/*
 * Calls cb once, after the callback that runs now has returned: to free what
 * is in use further up. Of the loop's own thread. Calls that are still to be
 * made when the loop is freed are dropped.
 */
void loop_defer(struct loop *l, deferred_cb cb, void *arg);

/* For the life of the loop. */
void loop_signal(struct loop *l, int number, signal_cb cb, void *arg);

/* What the HTTP server of the supervisor hangs on: struct event_base *. */
void *loop_base(struct loop *l);

/* Wall clock, microseconds since 1970 UTC; and the monotonic one. */
uint64_t now_us(void);
uint64_t mono_us(void);

#endif
