/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the walker: one goroutine that finds the files
 *
 * Depth first, with the directories still to be read on a stack, so that it
 * has one directory open however deep the tree is. It reads a batch of entries
 * inside the brackets and starts the batch's goroutines outside of them: where
 * it may have to wait for the hashing to catch up.
 *
 * As find(1) does, it follows no symbolic link, so that loops do not exist, and
 * takes regular files only. What can't be read is reported, then it goes on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dirsum.h"

enum {
	BATCH = 256, /* entries read between two looks at the rest of the world */
	SAMPLE = 64, /* files between two counts of the goroutines */
};

struct dir {
	struct dir *next;
	char path[];
};

struct walked walked;

static struct dir *to_read;

static void dir_push(const char *path)
{
	size_t size = strlen(path) + 1;
	struct dir *d = need(malloc(sizeof(*d) + size));

	memcpy(d->path, path, size);
	d->next = to_read;
	to_read = d;
}

/* The type of an entry, with an extra look where the file system doesn't say. */
static noinline int entry_type(DIR *d, const struct dirent *e, int *err)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (!fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
		return IFTODT(st.st_mode);
	*err = errno;
	return DT_REG;
}

/* Adds up to BATCH entries to *list. 1: there may be more; 0: the end; -errno. */
static noinline int dir_read(DIR *d, const char *path, struct file **list)
{
	for (int i = 0; i < BATCH; i++) {
		const struct dirent *e;
		struct file *f;
		int type, err = 0;

		errno = 0;
		e = readdir(d);
		if (!e)
			return -errno;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		type = entry_type(d, e, &err);
		if (type != DT_REG && type != DT_DIR)
			continue;
		f = file_new(path, e->d_name);
		if (type == DT_DIR) {
			dir_push(f->line + NAME);
			free(f);
			continue;
		}
		f->err = err;
		f->next = *list;
		*list = f;
	}
	return 1;
}

static noinline int dir_open(const char *path, DIR **d)
{
	int fd = path_open(path, O_DIRECTORY), err;

	if (fd < 0)
		return fd;
	*d = fdopendir(fd);
	if (*d)
		return 0;
	err = -errno;
	close(fd);
	return err;
}

static void found(struct file *f)
{
	unsigned long nr = walked.nr_files + 1;

	if (f->err) {
		gmprt_chan_send(results, &f);
		return;
	}
	sum_go(f);
	__atomic_store_n(&walked.nr_files, nr, __ATOMIC_RELAXED);
	if (nr % SAMPLE == 1) {
		long n = gmprt_num_goroutine();

		if (n > walked.peak_goroutines)
			walked.peak_goroutines = n;
	}
}

static void walk_dir(const char *path)
{
	DIR *d = NULL;
	int more;

	do {
		struct file *list = NULL, *f;

		more = d ? 0 : dir_open(path, &d);
		if (!more)
			more = dir_read(d, path, &list);
		if (d && more <= 0)
			closedir(d);
		while ((f = list)) {
			list = f->next;
			found(f);
		}
	} while (more > 0);
	if (more < 0)
		complain(path, -more);
}

static noinline int arg_type(const char *path, mode_t *mode)
{
	struct stat st;

	if (lstat(path, &st))
		return errno;
	*mode = st.st_mode;
	return 0;
}

static void walk_arg(const char *arg)
{
	mode_t mode = 0;
	struct dir *d;
	int err;

	err = arg_type(arg, &mode);
	if (err)
		complain(arg, err);
	else if (S_ISREG(mode))
		found(file_new(NULL, arg));
	else if (S_ISDIR(mode))
		dir_push(arg);
	else
		complain(arg, S_ISLNK(mode) ? ERR_SYMLINK : ERR_NOT_FILE);

	while ((d = to_read)) {
		to_read = d->next;
		walk_dir(d->path);
		free(d);
	}
}

void walk(void *done)
{
	for (char **arg = opt.dirs; *arg; arg++)
		walk_arg(*arg);
	sum_wait();
	gmprt_chan_close(results);
	gmprt_wg_done(done);
}
