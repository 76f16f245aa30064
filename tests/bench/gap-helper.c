/* SPDX-License-Identifier: MIT */
/*
 * gap-helper.c - ends the blocks of G5, G7, G8 and G10 (blocks.h)
 *
 *	gap-helper flock FILE	holds the lock; asked by a byte on stdin it lets go
 *				after 1 ms, and takes it again after another byte
 *	gap-helper futex FILE	asked, it sets the file's first word to 1 after 1 ms
 *				and wakes who waits there
 *	gap-helper uffd		brings a page 1 ms after the fault; fd 3 is the userfaultfd,
 *				O_NONBLOCK: others can't be polled
 *	gap-helper dns		prints a UDP port; answers each question there after 5 ms,
 *				with 192.0.2.1
 *
 * A process of its own, so that it is the same for all peers, and none of its time
 * is theirs. If it is started on one CPU it leaves that to the peer and takes the
 * others. Ends when stdin does.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SOON_MS = 1,
       ANSWER_MS = 5 };

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void nap(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

static void leave_the_peers_cpu(void)
{
	cpu_set_t mine, others;

	if (sched_getaffinity(0, sizeof(mine), &mine) || CPU_COUNT(&mine) != 1)
		return;
	memset(&others, 0xff, sizeof(others));
	CPU_XOR(&others, &others, &mine);
	(void)!sched_setaffinity(0, sizeof(others), &others); /* fails: the only one */
}

static void await_byte(void)
{
	char c;

	if (read(0, &c, 1) != 1)
		exit(0);
}

static void tell(void)
{
	must(write(1, "", 1) == 1, "gap-helper: write");
}

static void do_flock(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	must(fd >= 0, path);
	for (;;) {
		must(flock(fd, LOCK_EX) == 0, "gap-helper: flock");
		tell();
		await_byte();
		nap(SOON_MS);
		flock(fd, LOCK_UN);
		await_byte();
	}
}

static void do_futex(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), *word;

	must(fd >= 0, path);
	word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(word != MAP_FAILED, "gap-helper: mmap");
	for (;;) {
		await_byte();
		nap(SOON_MS);
		__atomic_store_n(word, 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

/* Until fd is readable. */
static void await(int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };

	do {
		must(poll(p, 2, -1) > 0, "gap-helper: poll");
		if (p[1].revents)
			exit(0);
	} while (!p[0].revents);
}

static void do_uffd(void)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct uffd_msg m;

	for (;;) {
		struct uffdio_zeropage z = { .range.len = page };

		await(3);
		if (read(3, &m, sizeof(m)) != sizeof(m))
			continue; /* the fault has been taken back */
		if (m.event != UFFD_EVENT_PAGEFAULT)
			continue;
		nap(SOON_MS);
		z.range.start = m.arg.pagefault.address & ~(page - 1);
		must(ioctl(3, UFFDIO_ZEROPAGE, &z) == 0, "gap-helper: UFFDIO_ZEROPAGE");
	}
}

/* The question, and one A record for the name at offset 12. n: the answer's length. */
static size_t answer_to(unsigned char *m, size_t n)
{
	static const unsigned char record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0,
						0, 0, 0, 4, 192, 0, 2, 1 };

	m[2] |= 0x80; /* an answer */
	m[3] = 0x80;  /* no error */
	m[7] = 1;     /* of one record */
	m[10] = m[11] = 0;
	/* What follows the question (an OPT record) is not sent back. */
	for (size_t at = 12; at < n; at += m[at] + 1u)
		if (!m[at]) {
			n = at + 5;
			break;
		}
	memcpy(m + n, record, sizeof(record));
	return n + sizeof(record);
}

static void do_dns(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	unsigned char m[1024];

	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0, "gap-helper: bind");
	must(getsockname(fd, (struct sockaddr *)&a, &len) == 0, "gap-helper: getsockname");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		ssize_t n;

		await(fd);
		n = recvfrom(fd, m, 512, 0, (struct sockaddr *)&a, &len);
		if (n < 17)
			continue;
		nap(ANSWER_MS);
		sendto(fd, m, answer_to(m, (size_t)n), 0, (struct sockaddr *)&a, len);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";

	leave_the_peers_cpu();
	if (!strcmp(what, "flock"))
		do_flock(path);
	else if (!strcmp(what, "futex"))
		do_futex(path);
	else if (!strcmp(what, "uffd"))
		do_uffd();
	else if (!strcmp(what, "dns"))
		do_dns();
	fprintf(stderr, "usage: gap-helper flock|futex FILE, or uffd, or dns\n");
	return 2;
}
