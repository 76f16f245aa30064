/* SPDX-License-Identifier: MIT */
/*
 * mktree - makes what the demo's tests need and a shell can't make, or not fast
 *
 *	mktree many DIR N       N small files, 1,000 in a directory
 *	mktree deep DIR LEVELS  directories in each other, a file at the bottom;
 *	                        prints its path, which may exceed PATH_MAX
 *	mktree socket PATH      a UNIX socket
 *	mktree churn DIR N LINK for ever: replaces DIR/0 to DIR/N-1 by FIFOs, links to
 *	                        LINK, nothing, shorter and longer files, and back;
 *	                        no file is ever empty; uses DIR/.. too
 *	mktree lease SECONDS READY FILE...
 *	                        opens of each FILE block until that time is over;
 *	                        makes the file READY when they do
 *	mktree rss FILE CMD...  runs CMD, writes its peak resident KiB to FILE
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static long number(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (end == s || *end || n < 0)
		errx(2, "'%s' is not a number", s);
	return n;
}

static void put(int dir, const char *name, const void *data, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n || close(fd))
		err(1, "%s", name);
}

static int enter(int dir, const char *name)
{
	int fd;

	if (mkdirat(dir, name, 0755) && errno != EEXIST)
		err(1, "mkdir %s", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", name);
	if (dir >= 0)
		close(dir);
	return fd;
}

static void many(const char *root, long n)
{
	int dir = -1;
	char buf[64];

	if (mkdir(root, 0755) && errno != EEXIST)
		err(1, "%s", root);
	for (long i = 0; i < n; i++) {
		if (i % 1000 == 0) {
			if (dir >= 0)
				close(dir);
			snprintf(buf, sizeof(buf), "%s/%03ld", root, i / 1000);
			dir = enter(AT_FDCWD, buf);
		}
		snprintf(buf, sizeof(buf), "%ld", i);
		put(dir, buf, buf, strlen(buf));
	}
}

static void deep(const char *root, long levels)
{
	int dir = enter(AT_FDCWD, root);
	char name[201];

	memset(name, 'd', 200);
	name[200] = '\0';
	printf("%s", root);
	while (levels--) {
		dir = enter(dir, name);
		printf("/%s", name);
	}
	put(dir, "bottom", "deep", 4);
	puts("/bottom");
}

static void make_socket(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		errx(2, "%s: too long for a socket", path);
	strcpy(a.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		err(1, "%s", path);
}

/* Whatever fails here fails because the last round has left something else. */
static void churn(const char *root, long n, const char *link)
{
	static char data[100000];
	char path[64];
	size_t size;

	if (chdir(root))
		err(1, "%s", root);
	for (unsigned long round = 0;; round++) {
		for (long i = 0; i < n; i++) {
			snprintf(path, sizeof(path), "%ld", i);
			if (round % 2) {
				size = 1 + (i + round) * 7919 % sizeof(data);
				put(AT_FDCWD, "../file", data, size);
				rename("../file", path);
				continue;
			}
			switch ((i + round / 2) % 4) {
			case 0:
				mkfifo("../fifo", 0644);
				rename("../fifo", path);
				break;
			case 1:
				(void)!symlink(link, "../link");
				rename("../link", path);
				break;
			case 2:
				unlink(path);
				break;
			case 3:
				(void)!truncate(path, 1 + round % 2048 * 64);
				break;
			}
		}
	}
}

static void lease(long seconds, const char *ready, char **files)
{
	signal(SIGIO, SIG_IGN); /* somebody wants in */
	for (; *files; files++) {
		int fd = open(*files, O_RDWR | O_CLOEXEC);

		if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK))
			err(1, "lease on %s", *files);
	}
	put(AT_FDCWD, ready, "", 0);
	sleep(seconds);
}

static int rss(const char *file, char **cmd)
{
	struct rusage ru;
	FILE *f;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		execvp(*cmd, cmd);
		err(127, "%s", *cmd);
	}
	while (wait4(pid, &status, 0, &ru) < 0)
		if (errno != EINTR)
			err(1, "wait4");
	f = fopen(file, "w");
	if (!f || fprintf(f, "%ld\n", ru.ru_maxrss) < 0 || fclose(f))
		err(1, "%s", file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "many") && argc == 4)
		many(argv[2], number(argv[3]));
	else if (!strcmp(what, "deep") && argc == 4)
		deep(argv[2], number(argv[3]));
	else if (!strcmp(what, "socket") && argc == 3)
		make_socket(argv[2]);
	else if (!strcmp(what, "churn") && argc == 5)
		churn(argv[2], number(argv[3]), argv[4]);
	else if (!strcmp(what, "lease") && argc > 4)
		lease(number(argv[2]), argv[3], argv + 4);
	else if (!strcmp(what, "rss") && argc > 3)
		return rss(argv[2], argv + 3);
	else
		errx(2, "see the top of tests/demo/mktree.c for its arguments");
	return 0;
}
