/* SPDX-License-Identifier: MIT */
/*
 * sum.c - one goroutine for each file: open, read, hash, send on
 *
 * Problem: each file is a plain loop over read(), any number of files may be
 * under way, and yet memory and descriptors stay bounded.
 *
 * Nobody tells the run time that open() and read() may block. The kernel does: while
 * the disk works, the P belongs to another goroutine. Where no backend in the kernel
 * is to be had, sysmon finds out after 10 ms (gmprt_block_enter() around each buffer
 * would help it).
 *
 * `slots` caps who reads at a time, and so descriptors, buffers, and threads
 * asleep in the kernel. Its size is what RLIMIT_NOFILE leaves. The others wait:
 * a goroutine that does costs a 4 KiB page of stack, and `ahead` caps these.
 *
 * Rejected: buffers on the goroutines' stacks (one that parks keeps its pages);
 * a fixed set of workers fed by a channel (what one writes where a goroutine is
 * expensive).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "dirsum.h"

enum {
	CHUNK = 64 << 10, /* bytes read at a time: still in L2 when hashed */
	TURN = 64,        /* chunks of one file before others get a turn */
	MAX_SLOTS = 256,  /* more readers only make a disk seek */
	SLOT_FDS = 2,     /* path_open(), open_leased() */
	SPARE_FDS = 48,   /* for the walker, the run time, libraries */
	AHEAD = 16384,    /* files found but not done */
};

/* What it takes to read a file; one goroutine uses it at a time. */
struct slot {
	struct slot *next;
	EVP_MD_CTX *ctx;
	unsigned char buf[CHUNK];
};

static gmprt_sem slots, ahead = GMPRT_SEM_INIT(AHEAD);
static gmprt_wg under_way;

static gmprt_mutex free_mutex;
static struct slot *free_slots; /* free_mutex; last in, first out: warm caches */

static EVP_MD *sha256;

/* Descriptors that are open now, as far as /proc tells. */
static int nr_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return 3;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3; /* ".", ".." and d itself */
}

void sum_init(void)
{
	struct rlimit lim;
	long n = MAX_SLOTS;

	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256)
		die("libcrypto has no SHA256");
	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < 1 << 20) {
		n = ((long)lim.rlim_cur - nr_open_fds() - SPARE_FDS) / SLOT_FDS;
		n = n < 1 ? 1 : n > MAX_SLOTS ? MAX_SLOTS : n;
	}
	slots = (gmprt_sem)GMPRT_SEM_INIT(n);
}

void sum_exit(void)
{
	struct slot *s;

	while ((s = free_slots)) {
		free_slots = s->next;
		EVP_MD_CTX_free(s->ctx);
		free(s);
	}
	EVP_MD_free(sha256);
}

static struct slot *slot_get(void)
{
	struct slot *s;

	gmprt_sem_wait(&slots);
	gmprt_mutex_lock(&free_mutex);
	s = free_slots;
	if (s)
		free_slots = s->next;
	gmprt_mutex_unlock(&free_mutex);
	if (!s) {
		s = need(malloc(sizeof(*s)));
		s->ctx = need(EVP_MD_CTX_new());
	}
	return s;
}

static void slot_put(struct slot *s)
{
	gmprt_mutex_lock(&free_mutex);
	s->next = free_slots;
	free_slots = s;
	gmprt_mutex_unlock(&free_mutex);
	gmprt_sem_post(&slots);
}

/* 0 or the reason, negative, why fd can't be hashed. */
static noinline int check_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ERR_NOT_FILE; /* was one when its directory was read */
	if (st.st_size > CHUNK)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

/*
 * Opens a file another process holds a lease on (fcntl(2), F_SETLEASE), and
 * waits until it is given up. By way of O_PATH, so that the file is known to
 * be one before anything waits.
 */
static noinline int open_leased(const char *path)
{
	int at = path_open(path, O_PATH), fd;
	char self[32];

	if (at < 0)
		return at;
	fd = check_file(at);
	if (!fd) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
		do {
			fd = open(self, O_RDONLY | O_CLOEXEC);
		} while (fd < 0 && errno == EINTR);
		if (fd < 0)
			fd = -errno;
	}
	close(at);
	return fd;
}

/* A descriptor or the reason, negative, why not. */
static noinline int open_file(const char *path)
{
	int fd = path_open(path, 0), err;

	if (fd == -EAGAIN)
		fd = open_leased(path);
	if (fd < 0)
		return fd;
	err = check_file(fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

/* A full buffer, or less at the file's end; or -errno. */
static noinline ssize_t read_chunk(int fd, unsigned char *buf)
{
	size_t have = 0;

	while (have < CHUNK) {
		ssize_t n = read(fd, buf + have, CHUNK - have);

		if (!n)
			break;
		if (n > 0)
			have += n;
		else if (errno != EINTR)
			return -errno;
	}
	return have;
}

/* The whole of it has been read. */
static void close_file(int fd)
{
	if (opt.forget)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

/* 0, or the reason why there is no digest. */
static int hash(struct file *f, struct slot *s, unsigned char *digest)
{
	int fd = -1, turn = 0;
	ssize_t n;

	if (!EVP_DigestInit_ex2(s->ctx, sha256, NULL))
		return ENOMEM;
	do {
		if (fd < 0)
			fd = open_file(f->line + NAME);
		n = fd < 0 ? fd : read_chunk(fd, s->buf);
		if (fd >= 0 && n < CHUNK)
			close_file(fd);
		if (n < 0)
			return -n;
		f->bytes += n;
		if (!EVP_DigestUpdate(s->ctx, s->buf, n))
			return ENOMEM;
		if (++turn % TURN == 0)
			gmprt_yield();
	} while (n == CHUNK);
	return EVP_DigestFinal_ex(s->ctx, digest, NULL) ? 0 : ENOMEM;
}

static void sum_file(void *arg)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[HEX / 2];
	struct file *f = arg;
	struct slot *s = slot_get();

	f->err = hash(f, s, digest);
	slot_put(s);
	if (!f->err) {
		for (int i = 0; i < HEX; i++)
			f->line[i] = digits[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
		f = file_escape(f);
	}
	gmprt_chan_send(results, &f);
	gmprt_sem_post(&ahead);
	gmprt_wg_done(&under_way);
}

/* Waits while too many files are under way, then starts one more. */
void sum_go(struct file *f)
{
	gmprt_sem_wait(&ahead);
	gmprt_wg_add(&under_way, 1);
	if (gmprt_go(sum_file, f))
		sum_file(f); /* no memory for a goroutine: then right here */
}

/* Until every file given to sum_go() has been sent to `results`. */
void sum_wait(void)
{
	gmprt_wg_wait(&under_way);
}
