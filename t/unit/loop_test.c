/* loop_test.c - descriptors, timers, signals and deferred calls. */
#include "common/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/loop.h"

/* What the callbacks of one test share. */
struct scene {
	struct loop *loop;
	struct watch *watch;
	struct timer *timer;
	int count;
	int what;
	int fd[2];
};

static void
scene_open(struct scene *s)
{
	*s = (struct scene){.loop = loop_new()};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s->fd), 0);
}

static void
scene_close(struct scene *s)
{
	watch_free(s->watch);
	timer_free(s->timer);
	loop_free(s->loop);
	close(s->fd[0]);
	close(s->fd[1]);
}

static void
stop_cb(void *arg)
{
	struct scene *s = arg;

	loop_stop(s->loop);
}

static void
seen_cb(void *arg, int what)
{
	struct scene *s = arg;

	s->count++;
	s->what = what;
	loop_stop(s->loop);
}

static void
run_for(struct scene *s, uint64_t ms)
{
	struct timer *t = timer_new(s->loop, stop_cb, s);

	timer_once(t, ms);
	loop_run(s->loop);
	timer_free(t);
}

static void
a_watch_sees_what_it_is_set_to(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.watch = watch_new(s.loop, s.fd[0], LOOP_READ, seen_cb, &s);
	run_for(&s, 5);
	assert_int_equal(s.count, 0);
	assert_int_equal(write(s.fd[1], "x", 1), 1);
	run_for(&s, 1000);
	assert_int_equal(s.what, LOOP_READ);
	watch_set(s.watch, LOOP_READ | LOOP_WRITE);
	run_for(&s, 1000);
	assert_int_equal(s.what, LOOP_READ | LOOP_WRITE);
	watch_set(s.watch, LOOP_WRITE);
	run_for(&s, 1000);
	assert_int_equal(s.what, LOOP_WRITE);
	s.count = 0;
	watch_set(s.watch, 0);
	run_for(&s, 5);
	assert_int_equal(s.count, 0);
	watch_set(s.watch, LOOP_READ); /* what was missed is still there */
	run_for(&s, 1000);
	assert_int_equal(s.count, 1);
	scene_close(&s);
}

static void
free_watch_cb(void *arg, int what)
{
	struct scene *s = arg;

	(void)what;
	s->count++;
	watch_free(s->watch);
	s->watch = NULL;
}

static void
a_watch_may_be_freed_by_its_callback(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.watch = watch_new(s.loop, s.fd[0], LOOP_WRITE, free_watch_cb, &s);
	run_for(&s, 10);
	assert_int_equal(s.count, 1);
	watch_free(NULL);
	scene_close(&s);
}

static void
count_cb(void *arg)
{
	struct scene *s = arg;

	if (++s->count == 3)
		loop_stop(s->loop);
}

static void
timers_fire_once_or_ever(void **state)
{
	struct scene s;
	uint64_t start = mono_us();

	(void)state;
	scene_open(&s);
	s.timer = timer_new(s.loop, count_cb, &s);
	timer_every(s.timer, 10);
	loop_run(s.loop);
	assert_int_equal(s.count, 3);
	assert_true(mono_us() - start >= 29000);
	timer_once(s.timer, 1); /* takes its place */
	run_for(&s, 30);
	assert_int_equal(s.count, 4);
	timer_once(s.timer, 5);
	timer_clear(s.timer);
	run_for(&s, 20);
	assert_int_equal(s.count, 4);
	timer_free(NULL);
	scene_close(&s);
}

static void
free_timer_cb(void *arg)
{
	struct scene *s = arg;

	s->count++;
	timer_free(s->timer);
	s->timer = NULL;
}

static void
a_timer_may_be_freed_by_its_callback(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.timer = timer_new(s.loop, free_timer_cb, &s);
	timer_every(s.timer, 1);
	run_for(&s, 20);
	assert_int_equal(s.count, 1);
	scene_close(&s);
}

static void
signal_seen_cb(void *arg, int number)
{
	seen_cb(arg, number);
}

static void
signals_come_to_the_loop(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	loop_signal(s.loop, SIGUSR1, signal_seen_cb, &s);
	loop_signal(s.loop, SIGUSR2, signal_seen_cb, &s);
	raise(SIGUSR2);
	run_for(&s, 1000);
	assert_int_equal(s.what, SIGUSR2);
	raise(SIGUSR1);
	run_for(&s, 1000);
	assert_int_equal(s.what, SIGUSR1);
	assert_int_equal(s.count, 2);
	scene_close(&s);
}

static void
later_cb(void *arg)
{
	struct scene *s = arg;

	s->count = s->count * 10 + 2;
	loop_stop(s->loop);
}

static void
defer_cb(void *arg, int what)
{
	struct scene *s = arg;

	(void)what;
	watch_set(s->watch, 0);
	loop_defer(s->loop, later_cb, s);
	s->count = 1; /* before later_cb */
}

static void
count_again_cb(void *arg)
{
	struct scene *s = arg;

	if (++s->count < 5)
		loop_defer(s->loop, count_again_cb, s);
	else
		loop_stop(s->loop);
}

static void
deferred_calls_come_after(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.watch = watch_new(s.loop, s.fd[0], LOOP_WRITE, defer_cb, &s);
	run_for(&s, 1000);
	assert_int_equal(s.count, 12);
	s.count = 0;
	loop_defer(s.loop, count_again_cb, &s);
	run_for(&s, 1000);
	assert_int_equal(s.count, 5);
	loop_defer(s.loop, later_cb, &s); /* never called, and not leaked */
	assert_non_null(loop_base(s.loop));
	scene_close(&s);
	assert_int_equal(s.count, 5);
	loop_free(NULL);
}

static void
clocks_run(void **state)
{
	uint64_t wall = now_us(), mono = mono_us();

	(void)state;
	usleep(2000);
	assert_true(mono_us() >= mono + 2000);
	assert_true(wall > 1500000000000000u); /* after 2017 */
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watch_sees_what_it_is_set_to),
		cmocka_unit_test(a_watch_may_be_freed_by_its_callback),
		cmocka_unit_test(timers_fire_once_or_ever),
		cmocka_unit_test(a_timer_may_be_freed_by_its_callback),
		cmocka_unit_test(signals_come_to_the_loop),
		cmocka_unit_test(deferred_calls_come_after),
		cmocka_unit_test(clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
