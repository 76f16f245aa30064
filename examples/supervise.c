/* SPDX-License-Identifier: MIT */
/*
 * supervise - runs a command with a time limit; SIGTERM and SIGINT end it early
 *
 *	supervise SECONDS COMMAND [ARG...]
 *
 * What it shows: signals, a child process, a timer and channels in one select.
 * Signals are blocked before the run begins, so that no thread takes them, and
 * come out of a signalfd; the child's end comes out of a pidfd. Both are waited
 * for by goroutines of their own, which hand on what they got.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmprt.h>

#define SECOND INT64_C(1000000000)

struct work {
	char **command;
	int64_t limit_ns;
	int signals; /* a signalfd */
	sigset_t blocked_before;
	int status; /* ours to end with */
};

static gmprt_chan *signals, *ended; /* of int: a signal's number; a wait status */

static void receives_signals(void *arg)
{
	struct signalfd_siginfo info;
	int fd = *(int *)arg, sig;

	while (gmprt_read(fd, &info, sizeof(info)) == sizeof(info)) {
		sig = (int)info.ssi_signo;
		if (gmprt_chan_send(signals, &sig))
			return; /* closed */
	}
}

static void waits_for_child(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;

	if (fd >= 0 && gmprt_poll(fd, POLLIN) > 0) {
		waitpid(pid, &status, 0); /* it has ended: returns at once */
	} else { /* a kernel without pidfds: then a thread waits */
		gmprt_block_enter();
		waitpid(pid, &status, 0);
		gmprt_block_exit();
	}
	if (fd >= 0)
		gmprt_close(fd);
	(void)!gmprt_chan_send(ended, &status);
}

static pid_t start(const struct work *w)
{
	pid_t pid = fork();

	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &w->blocked_before, NULL);
		execvp(w->command[0], w->command);
		fprintf(stderr, "supervise: %s: %s\n", w->command[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Until the child has ended; its wait status. */
static int supervise(pid_t pid, gmprt_timer *limit)
{
	int sig, status = 0;
	struct gmprt_case k[] = {
		{ GMPRT_RECV, ended, &status, 0 },
		{ GMPRT_RECV, signals, &sig, 0 },
		{ GMPRT_RECV, gmprt_timer_chan(limit), NULL, 0 },
	};

	for (;;) {
		switch (gmprt_select(k, 3)) {
		case 0:
			return status;
		case 1:
			fprintf(stderr, "supervise: %s\n", strsignal(sig));
			kill(pid, sig);
			break;
		case 2:
			fprintf(stderr, "supervise: time is up\n");
			kill(pid, SIGKILL);
			break;
		default:
			return 127 << 8; /* no memory */
		}
	}
}

static void run(void *arg)
{
	struct work *w = arg;
	gmprt_timer *limit;
	pid_t pid;

	signals = gmprt_chan_make(sizeof(int), 0);
	ended = gmprt_chan_make(sizeof(int), 1);
	limit = gmprt_timer_make(w->limit_ns);
	pid = signals && ended && limit ? start(w) : -1;
	if (pid < 0 || gmprt_go(receives_signals, &w->signals) || gmprt_go(waits_for_child, &pid)) {
		perror("supervise");
		return;
	}
	w->status = exit_status(supervise(pid, limit));
	gmprt_timer_free(limit);
}

int main(int argc, char **argv)
{
	struct work w = { .command = argv + 2, .status = 127 };
	char *end = NULL;
	double seconds = argc > 2 ? strtod(argv[1], &end) : 0;
	sigset_t set;
	int r;

	if (!end || *end || !(seconds > 0) || seconds > 1e9) {
		fprintf(stderr, "usage: supervise SECONDS COMMAND [ARG...]\n");
		return 2;
	}
	w.limit_ns = (int64_t)(seconds * (double)SECOND);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &w.blocked_before);
	w.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w.signals < 0) {
		perror("supervise: signalfd");
		return 1;
	}
	r = gmprt_run(NULL, run, &w);
	if (r) {
		fprintf(stderr, "supervise: %s\n", strerror(-r));
		return 1;
	}
	return w.status;
}
