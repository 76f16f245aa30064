/* SPDX-License-Identifier: MIT */
/*
 * gdeath.c - runs a function in a child process and says how it ended
 *
 * stderr goes to a memory file, not a pipe: a long dump can then not block
 * the child, and nobody needs to read meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/gcheck.h"

static void child(int fd, void (*fn)(void))
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	if (dup2(fd, STDERR_FILENO) < 0)
		_exit(120);
	alarm(G_TIMEOUT * G_SLOW / 2);
	fn();
	_exit(0);
}

void g_child(struct g_end *end, void (*fn)(void))
{
	int fd = memfd_create("stderr", MFD_CLOEXEC);
	int status;
	ssize_t n;
	pid_t pid;

	G_GE(fd, 0);
	fflush(NULL);
	pid = fork();
	G_GE(pid, 0);
	if (pid == 0)
		child(fd, fn);
	G_EQ(pid, waitpid(pid, &status, 0));
	end->exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	n = pread(fd, end->text, sizeof(end->text) - 1, 0);
	G_GE(n, 0);
	end->text[n] = '\0';
	close(fd);
}

static void (*child_body)(void);

static void run_body(void)
{
	g_run(g_procs, child_body);
}

void g_child_run(struct g_end *end, void (*fn)(void))
{
	child_body = fn;
	g_child(end, run_body);
}

#if defined(__SANITIZE_THREAD__)
/* TSan's own threads are known to the library. */
bool g_deadlocks_hide(void)
{
	return false;
}
#else
static void exits_with_the_number_of_threads(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Threads: %d", &n) == 1)
			break;
	_exit(n);
}

bool g_deadlocks_hide(void)
{
	struct g_end end;

	g_child(&end, exits_with_the_number_of_threads);
	return end.exit > 1;
}
#endif
