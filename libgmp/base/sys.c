/* SPDX-License-Identifier: MIT */
/*
 * sys.c - see sys.h
 */
#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rcu.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* ---- fault sites -------------------------------------------------- */

static unsigned long fault_from;   /* number of the first that fails; 0: disarmed */
static unsigned long fault_count;  /* and how many do */
static unsigned long fault_passed; /* sites since the last arm */

unsigned long rt_fault_arm_for(unsigned long nth, unsigned long count)
{
	unsigned long passed;

	store_seq(&fault_from, 0);
	passed = __atomic_exchange_n(&fault_passed, 0, __ATOMIC_SEQ_CST);
	store_seq(&fault_count, count);
	store_seq(&fault_from, nth);
	return passed;
}

unsigned long rt_fault_arm(unsigned long nth)
{
	return rt_fault_arm_for(nth, 1);
}

bool rt_fault(void)
{
	unsigned long passed = fetch_add_rlx(&fault_passed, 1) + 1, from = load_acq(&fault_from);

	return unlikely(from) && passed >= from && passed - from < load_rlx(&fault_count);
}

/* ---- futex -------------------------------------------------------- */

int rt_futex_wait(uint32_t *word, uint32_t value, int64_t deadline_ns)
{
	struct timespec ts, *tsp = NULL;
	int saved = errno, r;

	if (deadline_ns != INT64_MAX) {
		int64_t d = deadline_ns > 0 ? deadline_ns : 0;

		ts.tv_sec = d / RT_NS_PER_SEC;
		ts.tv_nsec = d % RT_NS_PER_SEC;
		tsp = &ts;
	}
	/* WAIT_BITSET takes an absolute time; plain WAIT a relative one. */
	r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, tsp, NULL,
		    FUTEX_BITSET_MATCH_ANY) ?
		    -errno :
		    0;
	errno = saved;
	return r;
}

void rt_futex_wake(uint32_t *word, int n)
{
	int saved = errno;

	/* Can't fail on an address of ours. */
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
	errno = saved;
}

/* ---- memory ------------------------------------------------------- */

static size_t mapped_bytes;

size_t rt_mapped_bytes(void)
{
	return load_seq(&mapped_bytes);
}

void *rt_map(size_t bytes)
{
	int saved = errno;
	void *at = MAP_FAILED;

	if (!rt_fault())
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	errno = saved;
	if (at == MAP_FAILED)
		return NULL;
	fetch_add_seq(&mapped_bytes, bytes);
	return at;
}

void rt_unmap(void *at, size_t bytes)
{
	int saved = errno;

	munmap(at, bytes);
	fetch_add_seq(&mapped_bytes, -bytes);
	errno = saved;
}

static int guard_kind; /* 0: not known yet, 1: MADV_GUARD_INSTALL, 2: PROT_NONE */

/*
 * Does the advice guard? Asked once, by having the kernel touch the page: an
 * emulator may accept an advice it does not know (qemu-user does). The kind, or
 * 0: there is no page to ask with.
 */
static int guard_kind_find(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = rt_map(page);
	bool guards;

	if (!at)
		return 0;
	guards = madvise(at, page, MADV_GUARD_INSTALL) == 0 &&
		 madvise(at, page, MADV_POPULATE_READ) < 0 && errno == EFAULT;
	rt_unmap(at, page);
	return guards ? 1 : 2;
}

int rt_guard_install(void *at, size_t bytes)
{
	int saved = errno, r;

	if (rt_fault())
		return -ENOMEM;
	if (!load_rlx(&guard_kind))
		store_rlx(&guard_kind, guard_kind_find());
	switch (load_rlx(&guard_kind)) {
	case 1:
		r = madvise(at, bytes, MADV_GUARD_INSTALL) ? -errno : 0;
		break;
	case 2:
		r = mprotect(at, bytes, PROT_NONE) ? -errno : 0;
		break;
	default:
		r = -ENOMEM;
	}
	errno = saved;
	return r;
}

void rt_guard_use_mappings(void)
{
	store_rlx(&guard_kind, 2);
}

bool rt_guard_is_light(void)
{
	return load_rlx(&guard_kind) != 2;
}

void rt_map_discard(void *at, size_t bytes)
{
	int saved = errno;

	madvise(at, bytes, MADV_DONTNEED);
	errno = saved;
}

/*
 * malloc and a shift, not aligned_alloc: glibc's takes the slow way for every
 * alignment above 16 (150 ns against 15 for a channel). The word before the
 * block says where it began.
 */
void *rt_alloc(size_t bytes)
{
	int saved = errno;
	char *raw = NULL;
	void **at;

	if (bytes < SIZE_MAX / 2 && !rt_fault())
		/* cppcheck-suppress pointerSize */
		raw = malloc(bytes + RT_CACHELINE + sizeof(void *));
	errno = saved;
	if (!raw)
		return NULL;
	at = (void **)rt_align_up((uintptr_t)raw + sizeof(void *), RT_CACHELINE);
	at[-1] = raw;
	return at;
}

void *rt_zalloc(size_t bytes)
{
	void *at = rt_alloc(bytes);

	return at ? memset(at, 0, bytes) : NULL;
}

void rt_free(void *at)
{
	if (at)
		free(((void **)at)[-1]);
}

char rt_rcu_tag; /* rcu.h */

/* ---- threads ------------------------------------------------------ */

int rt_thread_start(void *(*fn)(void *), void *arg, size_t stack_bytes)
{
	pthread_attr_t attr;
	pthread_t t;
	int r;

	if (rt_fault())
		return -EAGAIN;
	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* EINVAL if below what this libc and its static TLS need: its own
	 * default then serves. */
	if (stack_bytes)
		pthread_attr_setstacksize(&attr, stack_bytes);
	r = pthread_create(&t, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -r;
}

void rt_thread_signal(int tid, int sig)
{
	int saved = errno;

	syscall(SYS_tgkill, getpid(), tid, sig);
	errno = saved;
}

void rt_thread_mask_get(sigset_t *mask)
{
	pthread_sigmask(SIG_SETMASK, NULL, mask);
}

void rt_thread_mask_set(const sigset_t *mask)
{
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void rt_thread_mask_all(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&set, faults[i]);
	rt_thread_mask_set(&set);
}

ssize_t rt_file_read(const char *path, void *buf, size_t size)
{
	int saved = errno, fd = -1;
	ssize_t n, r = -EMFILE;
	size_t len = 0;

	if (!rt_fault()) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : 0;
	}
	while (r == 0 && len < size) {
		n = read(fd, (char *)buf + len, size - len);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			r = -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	errno = saved;
	return r ? r : (ssize_t)len;
}

/* A file of /proc about a thread, as a string; "": it can't be had. */
static void thread_file(int tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	n = rt_file_read(path, text, size - 1);
	text[n > 0 ? n : 0] = '\0';
}

bool rt_thread_sleeps(int tid)
{
	char text[512], *state;

	thread_file(tid, "stat", text, sizeof(text));
	/* "pid (name) S ...", and the name may contain anything. */
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] && strchr("SDTtI", state[2]);
}

uint64_t rt_fds_allowed(void)
{
	struct rlimit r;

	/* can't fail: RLIMIT_NOFILE is everywhere */
	getrlimit(RLIMIT_NOFILE, &r);
	return r.rlim_cur;
}

uint64_t rt_thread_nr_sleeps(void)
{
	struct rusage used;

	/* can't fail: RUSAGE_THREAD is of Linux 2.6.26 */
	getrusage(RUSAGE_THREAD, &used);
	return (uint64_t)used.ru_nvcsw;
}

bool rt_thread_syscall(int tid, uintptr_t *sp, uintptr_t *pc)
{
	char text[256], *at;

	/* "running", or "nr arg1 ... arg6 sp pc", nr -1 outside of a call. */
	thread_file(tid, "syscall", text, sizeof(text));
	at = strrchr(text, ' ');
	if (!at || text[0] == '-')
		return false;
	*pc = strtoul(at, NULL, 16);
	*at = '\0';
	at = strrchr(text, ' ');
	if (!at)
		return false;
	*sp = strtoul(at, NULL, 16);
	return true;
}

/* Called for the program itself, then, as it returns 1, for no library. */
static int has_interpreter(struct dl_phdr_info *program, size_t size, void *found)
{
	(void)size;
	for (int i = 0; i < program->dlpi_phnum; i++)
		if (program->dlpi_phdr[i].p_type == PT_INTERP)
			*(bool *)found = true;
	return 1;
}

bool rt_program_is_static(void)
{
	bool dynamic = false;

	dl_iterate_phdr(has_interpreter, &dynamic);
	return !dynamic;
}

void rt_membarrier(void)
{
	static int registered;
	int saved = errno;

	if (!load_acq(&registered)) {
		if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0)
			store_rel(&registered, 1);
		else
			store_rel(&registered, 2);
	}
	if (registered == 1 &&
	    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) {
		errno = saved;
		return;
	}
	/* No membarrier(2) (gVisor, old qemu-user): store buffers drain in
	 * nanoseconds; a millisecond asleep is beyond doubt. */
	smp_mb();
	nanosleep(&(struct timespec){ .tv_nsec = RT_NS_PER_MS }, NULL);
	errno = saved;
}

#if RT_TSAN
/* TSan's own threads, one for each fork, block all signals. */
static int sanitizer_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (dir && (e = readdir(dir))) {
		char path[300], line[128];
		unsigned long long blocked = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
				break;
		if (f)
			fclose(f);
		n += (blocked & 0x7fff) == 0x7fff - (1 << (SIGKILL - 1)) ||
		     (blocked & 0x7fff) == 0x7fff;
	}
	if (dir)
		closedir(dir);
	return n;
}
#else
static int sanitizer_threads(void)
{
	return 0;
}
#endif

/* The number behind a key of /proc/self/status, or 0. Without stdio, which
 * allocates: memory may be what has run out. */
static int status_number(int fd, const char *key)
{
	size_t len = strlen(key), have = 0;
	char text[1024];
	ssize_t n;

	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		const char *at;

		have += (size_t)n;
		text[have] = '\0';
		at = strstr(text, key);
		if (at && strchr(at + len, '\n'))
			return atoi(at + len);
		if (have > sizeof(text) / 2) { /* lines may be long: keep the end */
			memmove(text, text + have - sizeof(text) / 4, sizeof(text) / 4);
			have = sizeof(text) / 4;
		}
	}
	return 0;
}

int rt_thread_count(void)
{
	int saved = errno, n = 0, fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = status_number(fd, "\nThreads:");
		close(fd);
	}
	n -= sanitizer_threads();
	errno = saved;
	return n;
}
