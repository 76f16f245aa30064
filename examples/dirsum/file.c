/* SPDX-License-Identifier: MIT */
/*
 * file.c - a file's line of output, and how to open a path of any length
 *
 * The line is laid out when the file is found, with a gap for the digest, so
 * that each file costs one allocation. Its tail is the path, ready to open.
 *
 * Files are opened by path, not relative to a descriptor of their directory:
 * that would keep a directory open for as long as its slowest file takes. What
 * is longer than PATH_MAX is opened in hops, two descriptors at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dirsum.h"

/* For "DIR/NAME", or NAME alone if dir is NULL. */
struct file *file_new(const char *dir, const char *name)
{
	size_t dlen = dir ? strlen(dir) : 0, nlen = strlen(name);
	size_t slash = dlen && dir[dlen - 1] != '/';
	size_t len = NAME + dlen + slash + nlen;
	struct file *f = need(malloc(sizeof(*f) + len + 1));
	char *p = f->line;

	*f = (struct file){ .len = len };
	p = mempcpy(p + HEX, "  ", 2);
	if (dlen)
		p = mempcpy(p, dir, dlen);
	if (slash)
		*p++ = '/';
	memcpy(p, name, nlen + 1);
	return f;
}

/*
 * sha256sum keeps one line one line: it escapes backslash, newline and carriage
 * return in a name, and begins such a line with a backslash. Returns f, or its
 * replacement.
 */
struct file *file_escape(struct file *f)
{
	struct file *e;
	char *p;

	if (!strpbrk(f->line + NAME, "\\\n\r"))
		return f;
	e = need(malloc(sizeof(*e) + 1 + NAME + 2 * (f->len - NAME) + 1));
	*e = *f;
	p = e->line;
	*p++ = '\\';
	p = mempcpy(p, f->line, NAME);
	for (const char *s = f->line + NAME; *s; s++) {
		if (strchr("\\\n\r", *s))
			*p++ = '\\';
		if (*s == '\n')
			*p++ = 'n';
		else if (*s == '\r')
			*p++ = 'r';
		else
			*p++ = *s;
	}
	*p = '\0';
	e->len = p - e->line;
	free(f);
	return e;
}

/* Opens the directory in which *path goes on after at most PATH_MAX bytes. */
static noinline int hop(int dir, const char **path)
{
	const char *cut = memrchr(*path, '/', PATH_MAX - 1);
	char piece[PATH_MAX];
	int fd;

	if (!cut || cut == *path)
		return -ENAMETOOLONG;
	*(char *)mempcpy(piece, *path, cut - *path) = '\0';
	cut += strspn(cut, "/");
	*path = *cut ? cut : ".";
	fd = openat(dir, piece, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * open() for reading: a descriptor or -errno. The last part of the path is not
 * followed if it is a symbolic link, and if it is a FIFO nobody waits.
 */
noinline int path_open(const char *path, int flags)
{
	int dir = AT_FDCWD, fd;

	flags |= O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
	while (strnlen(path, PATH_MAX) == PATH_MAX) {
		fd = hop(dir, &path);
		if (dir >= 0)
			close(dir);
		if (fd < 0)
			return fd;
		dir = fd;
	}
	do {
		fd = openat(dir, path, flags);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		fd = -errno;
	if (dir >= 0)
		close(dir);
	return fd;
}
