/* SPDX-License-Identifier: MIT */
/*
 * dirsum - SHA-256 of every file below some directories, a goroutine each
 *
 * Problem: read a tree of any size as fast as disks and CPUs allow, with code
 * that reads like a loop over the files and calls nothing but libc's blocking
 * open(), read() and close(). Standard output is, byte for byte, that of
 *
 *	find DIR... -type f -print0 | xargs -0 -r sha256sum | LC_ALL=C sort
 *
 * except that sha256sum can't open a path longer than PATH_MAX.
 *
 *	walk.c --sum_go()--> a goroutine for each file --results--> print.c
 *	                     (sum.c)
 *
 * Files that can't be read cost one line on stderr each and an exit status of 1;
 * the others are done all the same. What was done is told in a table at the end.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dirsum.h"

enum {
	RESULTS = 256, /* buffered: the printer need not keep step */
	BY_NAME = 256, /* options without a letter */
	FORGET,
};

struct options opt;

/* Ends the process whatever goroutines are doing: the state is not ours alone. */
void die(const char *what)
{
	dprintf(STDERR_FILENO, "dirsum: %s\n", what);
	_exit(2);
}

void *need(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void print_table(void)
{
	struct gmprt_stats st = { .size = sizeof(st) };
	double s = (printed.end_ns - opt.start_ns) / 1e9;

	if (gmprt_stats_read(&st))
		die("the run time keeps no statistics");
	fprintf(stderr, "files       %zu", printed.nr_files);
	if (printed.nr_failed)
		fprintf(stderr, ", and %lu left out", printed.nr_failed);
	fprintf(stderr,
		"\n"
		"bytes       %" PRIu64 "\n"
		"seconds     %.3f\n"
		"MB/s        %.1f\n"
		"GOMAXPROCS  %d\n"
		"goroutines  %" PRIu64 ", at most %ld at a time\n"
		"Ms          at most %d at a time\n"
		"Ps          changed hands %" PRIu64 " times, idle %.3f ms while there was work\n"
		"backend     %s\n",
		printed.bytes, s, s > 0 ? printed.bytes / 1e6 / s : 0, st.maxprocs, st.nr_created,
		walked.peak_goroutines, st.nr_threads_peak, st.nr_handoffs,
		st.idle_with_work_ns / 1e6, gmprt_upcall_backend());
}

static void dirsum(void *unused)
{
	gmprt_wg done = { 0 };

	(void)unused;
	results = need(gmprt_chan_make(sizeof(struct file *), RESULTS));
	opt.start_ns = now_ns();
	gmprt_wg_add(&done, 2);
	if (gmprt_go(print, &done) || gmprt_go(walk, &done))
		die("out of memory");
	gmprt_wg_wait(&done);
	gmprt_chan_free(results);
	if (!opt.quiet)
		print_table();
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	char *end;
	long n;

	switch (key) {
	case 'j':
		n = strtol(arg, &end, 10);
		if (end == arg || *end || n < 1 || n > 1024)
			argp_error(state, "-j %s: not a number from 1 to 1024", arg);
		opt.procs = n;
		return 0;
	case 'q':
		opt.quiet = true;
		return 0;
	case BY_NAME:
		opt.by_name = true;
		return 0;
	case FORGET:
		opt.forget = true;
		return 0;
	case ARGP_KEY_ARGS:
		opt.dirs = state->argv + state->next;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option options[] = {
	{ "procs", 'j', "N", 0, "Use N Ps (default: GMPRT_MAXPROCS, GOMAXPROCS, all CPUs)", 0 },
	{ "quiet", 'q', NULL, 0, "No progress line, no table", 0 },
	{ "by-name", BY_NAME, NULL, 0, "Sort by name, not by digest", 0 },
	{ "forget", FORGET, NULL, 0, "Ask the kernel to keep no file in memory", 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[DIR...]",
	.doc = "Print the SHA-256 of every regular file below each DIR (default: "
	       "/usr/share/doc), as sha256sum does, sorted.\v"
	       "Exit status: 0 all is well; 1 something could not be read or written; "
	       "2 bad usage, or the run time could not start.",
};

int main(int argc, char **argv)
{
	static char *default_dirs[] = { "/usr/share/doc", NULL };
	struct gmprt_options run = { .size = sizeof(run) };
	void (*on_sigpipe)(int);
	int err;

	argp_err_exit_status = 2;
	opt.dirs = default_dirs;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	opt.progress = !opt.quiet && isatty(STDERR_FILENO);

	/* So that `dirsum | head` still shows the table; raised again below. */
	on_sigpipe = signal(SIGPIPE, SIG_IGN);

	sum_init();
	run.maxprocs = opt.procs;
	err = gmprt_run(&run, dirsum, NULL);
	if (err) {
		fprintf(stderr, "dirsum: gmprt can't start: %s\n", strerror(-err));
		return 2;
	}
	sum_exit();

	if (printed.write_err == EPIPE && on_sigpipe == SIG_DFL) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (printed.write_err)
		fprintf(stderr, "dirsum: standard output: %s\n", strerror(printed.write_err));
	return printed.write_err || printed.nr_failed;
}
