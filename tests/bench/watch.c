/* SPDX-License-Identifier: MIT */
/*
 * watch.c - runs a program and looks at its Ps at every switch
 *
 *	watch PROGRAM BENCH PROCS
 *
 * The program must load gmprt's BPF programs for itself (no gmpd): its maps are
 * found among its open files. As soon as its first M has registered,
 * watch.bpf.c is attached behind its programs, until the program ends.
 *
 * Prints `watch W.what P=n COUNT what remark`, or one line n/a with the reason;
 * watch.bpf.c says what each count means. Exit status: the program's.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi/gmprt_bpf.h"
#include "watch.h"

#include <watch.skel.h>

enum {
	PATIENCE_MS = 10000,
	LOOK_MS = 5,
};

static const char *procs;

static int not_available(const char *why)
{
	printf("watch W.switches P=%s n/a %s\n", procs, why);
	return 0;
}

/* ---- the program's maps ------------------------------------------- */

/* The id of the map that this fd of the process is; 0: it is none. */
static unsigned int map_id_of(const char *fdinfo)
{
	FILE *f = fopen(fdinfo, "re");
	unsigned int id = 0;
	char line[128];

	while (f && !id && fgets(line, sizeof(line), f))
		(void)!sscanf(line, "map_id: %u", &id);
	if (f)
		fclose(f);
	return id;
}

/* An fd of our own for the map of that name; -1: it is not that one. */
static int open_map(unsigned int id, const char *name)
{
	struct bpf_map_info info = { 0 };
	unsigned int len = sizeof(info);
	int fd = id ? bpf_map_get_fd_by_id(id) : -1;

	if (fd < 0)
		return -1;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && !strcmp(info.name, name))
		return fd;
	close(fd);
	return -1;
}

/* The program's map of this name; -1: it has none. */
static int map_of(pid_t pid, const char *name)
{
	char path[300];
	struct dirent *e;
	int fd = -1;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
	d = opendir(path);
	while (d && fd < 0 && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, e->d_name);
		fd = open_map(map_id_of(path), name);
	}
	if (d)
		closedir(d);
	return fd;
}

/* Has one of its Ms registered? Then all that it attaches is attached. */
static int begun(int sessions)
{
	struct gmprt_session s;
	unsigned int nr = 0;

	return bpf_map_lookup_elem(sessions, &nr, &s) == 0 && s.mm != 0;
}

static int await_session(pid_t child)
{
	struct timespec nap = { .tv_nsec = LOOK_MS * 1000000L };
	int fd = -1;

	for (int ms = 0; ms < PATIENCE_MS; ms += LOOK_MS) {
		if (fd < 0)
			fd = map_of(child, "gmprt_sessions");
		if (fd >= 0 && begun(fd))
			return fd;
		if (waitpid(child, NULL, WNOHANG | WNOWAIT) > 0)
			break;
		nanosleep(&nap, NULL);
	}
	return -1;
}

/* ---- attaching ----------------------------------------------------- */

static int reuse(struct bpf_map *map, int fd)
{
	return fd < 0 ? -ENOENT : bpf_map__reuse_fd(map, fd);
}

static struct watch_bpf *attach(pid_t child, int sessions)
{
	struct watch_bpf *b = watch_bpf__open();

	if (!b)
		return NULL;
	b->rodata->watch_procs = (unsigned int)atoi(procs);
	if (reuse(b->maps.gmprt_sessions, sessions) ||
	    reuse(b->maps.gmprt_space, map_of(child, "gmprt_space")) ||
	    reuse(b->maps.gmprt_tasks, map_of(child, "gmprt_tasks")) ||
	    watch_bpf__load(b) || watch_bpf__attach(b)) {
		watch_bpf__destroy(b);
		return NULL;
	}
	return b;
}

/* ---- printing ------------------------------------------------------ */

static void print(const char *what, unsigned long long n, const char *remark)
{
	printf("watch W.%s P=%s %llu count %s\n", what, procs, n, remark);
}

static void print_buckets(const struct watch_counts *c)
{
	char name[16], range[48];

	for (int i = 0; i < WATCH_BUCKETS; i++) {
		snprintf(name, sizeof(name), "us%d", i);
		if (i < 2)
			snprintf(range, sizeof(range), "%s", i ? "1 us" : "under 1 us");
		else
			snprintf(range, sizeof(range), "%d to %d us", 1 << (i - 1), (1 << i) - 1);
		print(name, c->over_us[i], range);
	}
}

static void print_counts(const struct watch_counts *c)
{
	char remark[96];

	print("switches", c->switches, "");
	print("blocks", c->blocks, "");
	print("kept", c->kept, "");
	snprintf(remark, sizeof(remark), "not compared: %llu that changed meanwhile",
		 (unsigned long long)c->torn);
	print("twice", c->twice, remark);
	snprintf(remark, sizeof(remark), "most at a time: %llu", (unsigned long long)c->most);
	print("many", c->many, remark);
	print("over", c->over, "");
	print_buckets(c);
	snprintf(remark, sizeof(remark), "switch unseen %llu, without SIGURG %llu, with %llu",
		 (unsigned long long)c->long_unseen, (unsigned long long)c->long_unasked,
		 (unsigned long long)c->long_asked);
	print("long", c->long_unseen + c->long_unasked + c->long_asked, remark);
	printf("watch W.longest P=%s %.1f us\n", procs, (double)c->longest_ns / 1e3);
	print("unseen", c->unseen, "");
}

/* ---- main() -------------------------------------------------------- */

static pid_t start(char **argv)
{
	pid_t child = fork();

	if (child)
		return child;
	dup2(2, 1); /* its own figure is not ours */
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static int end_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	struct watch_bpf *b;
	int sessions, rc;
	pid_t child;

	if (argc != 4) {
		fprintf(stderr, "usage: watch PROGRAM BENCH PROCS\n");
		return 2;
	}
	procs = argv[3];
	if (atoi(procs) < 1 || atoi(procs) > WATCH_MAX_PS)
		return not_available("1 to 16 Ps can be watched");
	child = start(argv + 1);
	if (child < 0)
		return not_available("can't fork");
	sessions = await_session(child);
	b = sessions < 0 ? NULL : attach(child, sessions);
	if (!b)
		kill(child, SIGKILL);
	rc = end_of(child);
	if (!b)
		return not_available(sessions < 0 ? "the bpf backend can't be had here" :
						    "the watching programs can't be loaded");
	print_counts(&b->bss->counts);
	watch_bpf__destroy(b);
	return rc;
}
