/* child.c - see child.h. */
#include "common/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/mem.h"
#include "ipc/proto.h"
#include "ipc/ring.h"
#include "supervisor/child.h"

/* Above every number that proto.h gives away, so that dup2 below never runs over a source. */
#define PARKED_FD (PROTO_RING_FD + (1 + PROTO_MAX_LANES) * RING_FD_COUNT)
/* Workers go first when memory runs out; the supervisor starts them again. */
#define OOM_SCORE_ADJ "300"

struct child {
	pid_t pid;
	int pidfd;
	struct watch *watch;
	child_cb cb;
	void *arg;
};

/* What a worker may know of our environment. A trailing = ends an exact name; else it is a prefix.
 */
static const char *const environment[] = {
	"PATH=",
	"TZ=",
	"HOME=",
	"LANG=",
	"LC_",
	"CREDENTIALS_DIRECTORY=",
	"SYNCLINE_",
	"ASAN_OPTIONS=",
	"UBSAN_OPTIONS=",
	"LSAN_OPTIONS=",
	"TSAN_OPTIONS=",
};

static char **
clean_environment(void)
{
	char **out;
	size_t n = 0, count = 0;

	while (environ[count] != NULL)
		count++;
	out = xcalloc(count + 1, sizeof *out);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < COUNT_OF(environment); k++)
			if (strncmp(environ[i], environment[k], strlen(environment[k])) == 0) {
				out[n++] = environ[i];
				break;
			}
	return out;
}

/* ---- in the child, between fork and exec: only async-signal-safe calls ---- */

static void
prefer_for_oom(void)
{
	int fd;

	/* The file is root's while we are not dumpable, as the daemon is not. */
	prctl(PR_SET_DUMPABLE, 1);
	fd = open("/proc/self/oom_score_adj", O_WRONLY);
	prctl(PR_SET_DUMPABLE, 0);
	if (fd < 0)
		return;
	(void)!write(fd, OOM_SCORE_ADJ, sizeof OOM_SCORE_ADJ - 1);
	close(fd);
}

static bool
place_one(int from, int to)
{
	int parked = fcntl(from, F_DUPFD, PARKED_FD);

	return parked >= 0 && dup2(parked, to) == to && close(parked) == 0;
}

/* First everything is parked above the numbers in use, then each goes to its place. */
static bool
place_descriptors(const struct child_spec *s)
{
	int parked[PARKED_FD], control, log, null = open("/dev/null", O_RDWR);

	control = fcntl(s->control, F_DUPFD, PARKED_FD);
	log = fcntl(s->log, F_DUPFD, PARKED_FD);
	if (null < 0 || control < 0 || log < 0 || s->nrings > COUNT_OF(parked))
		return false;
	for (size_t i = 0; i < s->nrings; i++)
		if ((parked[i] = fcntl(s->rings[i], F_DUPFD, PARKED_FD)) < 0)
			return false;
	if (!place_one(null, 0) || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
		dup2(control, PROTO_CONTROL_FD) < 0)
		return false;
	for (size_t i = 0; i < s->nrings; i++)
		if (dup2(parked[i], PROTO_RING_FD + (int)i) < 0)
			return false;
	return syscall(SYS_close_range, PROTO_RING_FD + (unsigned)s->nrings, ~0U, 0) == 0;
}

static void
reset_signals(void)
{
	struct sigaction preset = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &preset, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

NORETURN static void
become_worker(const struct child_spec *s, pid_t parent, char *const argv[], char *const envp[])
{
	static const char none[] =
		"synclined: no descriptors for a worker: raise their limit (ulimit -n, "
		"LimitNOFILE=)\n",
			  lost[] = "synclined: cannot execute a worker program\n";

	reset_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0); /* it died before prctl */
	setpgid(0, 0);	  /* a terminal's ^C is the supervisor's to judge */
	prefer_for_oom();
	if (!place_descriptors(s)) {
		(void)!write(STDERR_FILENO, none, sizeof none - 1);
		_exit(rc_exit(RC_RETRY));
	}
	execve(s->program, argv, envp);
	(void)!write(STDERR_FILENO, lost, sizeof lost - 1);
	_exit(rc_exit(RC_CONFIG));
}

/* ---- in the supervisor ---- */

static void
child_release(struct child *c)
{
	watch_free(c->watch);
	close(c->pidfd);
	free(c);
}

/* Takes a wait status apart. */
static struct child_end
decode(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return (struct child_end){
			.signal = WTERMSIG(wait_status), .core = WCOREDUMP(wait_status) != 0};
	return (struct child_end){.status = WEXITSTATUS(wait_status)};
}

static void
on_exit_of_child(void *arg, int what)
{
	struct child *c = arg;
	child_cb cb = c->cb;
	void *cb_arg = c->arg;
	struct child_end end;
	int status;

	(void)what;
	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	end = decode(status);
	child_release(c);
	cb(cb_arg, &end);
}

static pid_t
spawn(const struct child_spec *s)
{
	char generation[16];
	char *argv[] = {(char *)s->program, (char *)s->channel, generation, NULL};
	char **envp = clean_environment();
	pid_t parent = getpid(), pid;

	snprintf(generation, sizeof generation, "%u", s->generation);
	pid = fork();
	if (pid == 0)
		become_worker(s, parent, argv, envp);
	free(envp);
	return pid;
}

enum rc
child_start(struct loop *l, const struct child_spec *spec, child_cb cb, void *arg,
	struct child **out, struct err *e)
{
	struct child *c;
	pid_t pid;
	int pidfd;

	if (access(spec->program, X_OK) != 0) {
		err_errno(e, RC_CONFIG, "cannot execute the worker %s", spec->program);
		return err_remedy(e, "install it there, or name its directory with libexec_dir, "
				     "--libexec or SYNCLINE_LIBEXEC");
	}
	FAILPOINT(SUPERVISOR_SPAWN);
	pid = spawn(spec);
	if (pid < 0)
		return err_errno(e, RC_RETRY, "cannot fork for %s", spec->program);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		err_errno(e, RC_RETRY, "cannot watch process %d", (int)pid);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return e->rc;
	}
	c = xcalloc(1, sizeof *c);
	*c = (struct child){.pid = pid, .pidfd = pidfd, .cb = cb, .arg = arg};
	c->watch = watch_new(l, pidfd, LOOP_READ, on_exit_of_child, c);
	FAILPOINT(SUPERVISOR_SPAWNED);
	*out = c;
	return RC_OK;
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

void
child_kill(struct child *c)
{
	kill(c->pid, SIGKILL);
}

void
child_free(struct child *c)
{
	if (c == NULL)
		return;
	kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child_release(c);
}

void
child_describe(const struct child_end *end, char *out, size_t size)
{
	if (end->signal != 0)
		snprintf(out, size, "was killed by signal %d (%s)%s", end->signal,
			strsignal(end->signal), end->core ? ", core dumped" : "");
	else
		snprintf(out, size, "exited with status %d (%s)", end->status,
			exit_name(end->status));
}
