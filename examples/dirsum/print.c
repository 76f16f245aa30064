/* SPDX-License-Identifier: MIT */
/*
 * print.c - the printer: collects the results, then sorts and prints them
 *
 * During the run it alone writes to stdout and stderr, so that lines don't mix
 * and complaints don't tear the progress line. The whole list is kept until the
 * end, since it is sorted by digest: about 150 bytes a file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dirsum.h"

enum { TICK_NS = 100000000 }; /* between two changes of the progress line */

struct printed printed;
gmprt_chan *results;

static struct file **files;
static size_t room; /* in files[] */
static int columns; /* of the progress line, 0: there is none */

/* For everybody: hands a complaint to the printer. */
void complain(const char *path, int err)
{
	struct file *f = file_new(NULL, path);

	f->err = err;
	gmprt_chan_send(results, &f);
}

static void progress_show(int64_t now)
{
	double mb = printed.bytes / 1e6, s = (now - opt.start_ns) / 1e9;
	struct winsize ws;
	char text[128];
	int len;

	len = snprintf(text, sizeof(text), "%zu of %lu files, %.1f MB, %.1f MB/s",
		       printed.nr_files, __atomic_load_n(&walked.nr_files, __ATOMIC_RELAXED),
		       mb, mb / s);
	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) && ws.ws_col && len >= ws.ws_col)
		len = ws.ws_col - 1;
	fprintf(stderr, "\r%-*.*s", columns, len, text);
	fflush(stderr);
	columns = len;
}

static void progress_clear(void)
{
	if (columns)
		fprintf(stderr, "\r%*s\r", columns, "");
	columns = 0;
}

/* One line, whatever bytes the name is made of. */
static void print_complaint(const struct file *f)
{
	progress_clear();
	fputs("dirsum: ", stderr);
	for (const unsigned char *s = (const void *)(f->line + NAME); *s; s++) {
		if (*s < ' ' || *s == 0x7f)
			fprintf(stderr, "\\%03o", *s);
		else
			putc(*s, stderr);
	}
	if (f->err == ERR_NOT_FILE)
		fputs(": neither a directory nor a regular file, left out\n", stderr);
	else if (f->err == ERR_SYMLINK)
		fputs(": symbolic link, left out; append a / to follow it\n", stderr);
	else
		fprintf(stderr, ": %s\n", strerror(f->err));
	fflush(stderr);
}

static void take(struct file *f)
{
	if (f->err) {
		print_complaint(f);
		free(f);
		printed.nr_failed++;
		return;
	}
	if (printed.nr_files == room) {
		room = room ? 2 * room : 1024;
		files = need(reallocarray(files, room, sizeof(*files)));
	}
	files[printed.nr_files++] = f;
	printed.bytes += f->bytes;
}

static void collect(void)
{
	int64_t tick = opt.progress ? opt.start_ns + TICK_NS : GMPRT_FOREVER;
	struct file *f;

	for (;;) {
		int r = gmprt_chan_recv_dl(results, &f, tick);

		if (r == -EPIPE)
			return;
		if (!r)
			take(f);
		else if (r != -ETIMEDOUT)
			die("no memory left to wait for a result");
		if (opt.progress) {
			int64_t now = now_ns();

			if (now < tick)
				continue;
			progress_show(now);
			tick = now + TICK_NS;
		}
	}
}

static int bytes_cmp(const char *a, size_t na, const char *b, size_t nb)
{
	int d = memcmp(a, b, na < nb ? na : nb);

	return d ? d : (na > nb) - (na < nb);
}

/* The order of `LC_ALL=C sort`; by name: of `LC_ALL=C sort -k2`. */
static int line_cmp(const void *pa, const void *pb)
{
	const struct file *a = *(struct file *const *)pa, *b = *(struct file *const *)pb;

	if (opt.by_name) {
		size_t da = HEX + (a->line[0] == '\\'), db = HEX + (b->line[0] == '\\');
		int d = bytes_cmp(a->line + da, a->len - da, b->line + db, b->len - db);

		if (d)
			return d;
	}
	return bytes_cmp(a->line, a->len, b->line, b->len);
}

/* Returns 0 or the errno of the write that failed. Frees the list. */
static noinline int print_lines(void)
{
	int err = 0;

	for (size_t i = 0; i < printed.nr_files; i++) {
		files[i]->line[files[i]->len] = '\n';
		if (!err && !fwrite(files[i]->line, files[i]->len + 1, 1, stdout))
			err = errno;
		free(files[i]);
	}
	free(files);
	if (!err && (fflush(stdout) || close(STDOUT_FILENO)))
		err = errno;
	return err;
}

void print(void *done)
{
	collect();
	if (printed.nr_files)
		qsort(files, printed.nr_files, sizeof(*files), line_cmp);
	printed.end_ns = now_ns();
	progress_clear();
	fflush(stderr);
	printed.write_err = print_lines();
	gmprt_wg_done(done);
}
