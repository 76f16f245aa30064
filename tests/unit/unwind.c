/* SPDX-License-Identifier: MIT */
/*
 * Stacks of parked contexts come out as text: names, lines and order; and
 * nothing that is on a stack, or happens to it meanwhile, does harm.
 *
 * What is unwound was parked by a switch of the test's own, which saves as
 * little as the goroutines': sp, fp and where to go on.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rand.h"
#include "base/sys.h"
#include "base/unwind.h"
#include "kselftest_harness.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#define STACK_BYTES (256 << 10)
/* The frame must be there after the call: no tail call. */
#define KEEP_FRAME() __asm__ volatile("")

/* ---- something to park --------------------------------------------- */

struct saved {
	uintptr_t sp, fp, pc;
};

struct fiber {
	struct saved own; /* first: a fiber that begins finds itself by it */
	struct saved back;
	char *stack;
	int depth;
	uint32_t seq;         /* even: parked */
	void *san, *san_back; /* what the thread sanitizer calls them */
};

#if defined(__x86_64__)
#define SWITCH(from, to)                                                                 \
	do {                                                                             \
		struct saved *from_ = (from), *to_ = (to);                               \
		__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"                             \
				 "movq %%rsp, 0(%%rdi)\n\t"                              \
				 "movq %%rbp, 8(%%rdi)\n\t"                              \
				 "movq %%rax, 16(%%rdi)\n\t"                             \
				 "movq 0(%%rsi), %%rsp\n\t"                              \
				 "movq 8(%%rsi), %%rbp\n\t"                              \
				 "jmpq *16(%%rsi)\n"                                     \
				 "1:"                                                    \
				 : "+D"(from_), "+S"(to_)                                \
				 :                                                       \
				 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", \
				   "r12", "r13", "r14", "r15", "memory", "cc");          \
	} while (0)
#else
#define SWITCH(from, to)                                                                  \
	do {                                                                              \
		register struct saved *from_ __asm__("x0") = (from);                      \
		register struct saved *to_ __asm__("x1") = (to);                          \
		__asm__ volatile("adr x9, 1f\n\t"                                         \
				 "mov x10, sp\n\t"                                        \
				 "stp x10, x29, [x0]\n\t"                                 \
				 "str x9, [x0, #16]\n\t"                                  \
				 "ldp x10, x29, [x1]\n\t"                                 \
				 "ldr x9, [x1, #16]\n\t"                                  \
				 "mov sp, x10\n\t"                                        \
				 "br x9\n"                                                \
				 "1:"                                                     \
				 : "+r"(from_), "+r"(to_)                                 \
				 :                                                        \
				 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", \
				   "x11", "x12", "x13", "x14", "x15", "x16", "x17",       \
				   "x19", "x20", "x21", "x22", "x23", "x24", "x25",       \
				   "x26", "x27", "x28", "x30", "v8", "v9", "v10", "v11",  \
				   "v12", "v13", "v14", "v15", "memory", "cc");           \
	} while (0)
#endif

static int line_park, line_inlined, line_middle, line_worker;

static void __noinline park(struct fiber *f)
{
#if defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(f->san_back, 0);
#endif
	line_park = __LINE__ + 1;
	SWITCH(&f->own, &f->back);
	KEEP_FRAME();
}

static inline __attribute__((always_inline)) void inlined_step(struct fiber *f)
{
	line_inlined = __LINE__ + 1;
	park(f);
	KEEP_FRAME();
}

void __noinline middle_global(struct fiber *f);
void __noinline middle_global(struct fiber *f)
{
	line_middle = __LINE__ + 1;
	inlined_step(f);
	KEEP_FRAME();
}

static void __noinline worker(struct fiber *f)
{
	line_worker = __LINE__ + 1;
	middle_global(f);
	KEEP_FRAME();
}

static void __noinline deep(struct fiber *f, int depth)
{
	char frame[1000];

	__asm__ volatile(""
			 :
			 : "r"(frame)
			 : "memory");
	if (depth > 0)
		deep(f, depth - 1);
	else
		park(f);
	KEEP_FRAME();
}

__attribute__((used)) static void fiber_main(struct fiber *f)
{
	for (;;) {
		if (f->depth > 0)
			deep(f, f->depth);
		else
			worker(f);
	}
}

/* Nobody called it, and its unwind table says so. */
void fiber_root(void);
#if defined(__x86_64__)
__asm__(".text\n.type fiber_root, @function\nfiber_root:\n"
	".cfi_startproc\n.cfi_undefined rip\n"
	"movq %rsi, %rdi\ncall fiber_main\nud2\n"
	".cfi_endproc\n.size fiber_root, . - fiber_root\n");
#else
__asm__(".text\n.type fiber_root, %function\nfiber_root:\n"
	".cfi_startproc\n.cfi_undefined x30\n"
	"mov x0, x1\nbl fiber_main\nbrk #1\n"
	".cfi_endproc\n.size fiber_root, . - fiber_root\n");
#endif

static void fiber_make(struct fiber *f, int depth)
{
	memset(f, 0, sizeof(*f));
	f->depth = depth;
	f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (f->stack == MAP_FAILED)
		abort();
	f->own.sp = (uintptr_t)f->stack + STACK_BYTES;
	f->own.pc = (uintptr_t)fiber_root;
#if defined(__SANITIZE_THREAD__)
	f->san = __tsan_create_fiber(0);
#endif
}

static void __noinline fiber_run(struct fiber *f)
{
#if defined(__SANITIZE_THREAD__)
	f->san_back = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(f->san, 0);
#endif
	SWITCH(&f->back, &f->own);
}

/* Like a dump's: the fiber may be running, what is read a mixture. */
static struct rt_unwind_regs fiber_regs(const struct fiber *f)
{
	return (struct rt_unwind_regs){
		.pc = load_rlx(&f->own.pc),
		.sp = load_rlx(&f->own.sp),
		.fp = load_rlx(&f->own.fp),
		.stack_hi = (uintptr_t)f->stack + STACK_BYTES,
	};
}

/* ---- what comes out ------------------------------------------------ */

static char out[64 << 10];
static size_t out_len;

static void out_add(void *arg, const char *text, size_t len)
{
	(void)arg;
	if (out_len + len >= sizeof(out))
		abort();
	memcpy(out + out_len, text, len);
	out_len += len;
	out[out_len] = '\0';
}

static const struct rt_unwind_sink sink = { .text = out_add, .max_frames = 100 };

static int unwind(struct rt_unwind *u, const struct rt_unwind_regs *r)
{
	out_len = 0;
	out[0] = '\0';
	return rt_unwind_stack(u, r, NULL, NULL, &sink);
}

static bool says_no(void *arg)
{
	(void)arg;
	return false;
}

static bool first_is(const char *func)
{
	size_t n = strlen(func);

	return strncmp(out, func, n) == 0 && strncmp(out + n, "(...)\n", 6) == 0;
}

static char wanted[256];

/* Finds a text behind *at and moves *at behind it. */
static bool __printf(2, 3) next(const char **at, const char *fmt, ...)
{
	const char *hit;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(wanted, sizeof(wanted), fmt, ap);
	va_end(ap);
	hit = strstr(*at, wanted);
	if (hit)
		*at = hit + strlen(wanted);
	return hit != NULL;
}

#define EXPECT_NEXT(at, ...)                                                              \
	EXPECT_TRUE(next(&(at), __VA_ARGS__))                                             \
	{                                                                                 \
		TH_LOG("no \"%s\" after %d bytes of:\n%s", wanted, (int)((at)-out), out); \
	}

/* Names, lines and order of what fiber_make(f, 0) and fiber_run(f) park. */
static void expect_whole(struct __test_metadata *_metadata)
{
	const char *at = out;

	EXPECT_NEXT(at, "park(...)\n");
	EXPECT_NEXT(at, "unwind.c:%d +0x", line_park);
	EXPECT_NEXT(at, "\ninlined_step(...)\n");
	EXPECT_NEXT(at, "unwind.c:%d\n", line_inlined);
	EXPECT_NEXT(at, "middle_global(...)\n");
	EXPECT_NEXT(at, "unwind.c:%d +0x", line_middle);
	EXPECT_NEXT(at, "\nworker(...)\n");
	EXPECT_NEXT(at, "unwind.c:%d +0x", line_worker);
	EXPECT_NEXT(at, "\nfiber_main(...)\n");
	EXPECT_NEXT(at, "\nfiber_root(...)\n");
	EXPECT_EQ(NULL, strstr(out, "(no further"))
	{
		TH_LOG("not to the root:\n%s", out);
	}
}

TEST(a_parked_stack_is_named_from_the_innermost_function_to_the_root)
{
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	ASSERT_EQ(NULL, rt_unwind_note(u))
	{
		TH_LOG("%s", rt_unwind_note(u));
	}
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	for (int i = 0; i < 2; i++) { /* looked up, then remembered */
		EXPECT_EQ(5, unwind(u, &r));
		expect_whole(_metadata);
	}
	rt_unwind_close(u);
}

TEST(one_that_has_not_begun_stands_at_its_first_function)
{
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	r = fiber_regs(&f);
	EXPECT_EQ(1, unwind(u, &r));
	EXPECT_TRUE(first_is("fiber_root"));
	EXPECT_NE(NULL, strstr(out, " +0\n"))
	{
		TH_LOG("%s", out);
	}
	rt_unwind_close(u);
}

TEST(a_stack_that_moved_meanwhile_is_not_shown)
{
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	out_len = 0;
	EXPECT_EQ(-EAGAIN, rt_unwind_stack(u, &r, says_no, NULL, &sink));
	EXPECT_EQ(0, out_len);
	rt_unwind_close(u);
}

/* ---- one that never stands still ----------------------------------- */

struct mover {
	struct fiber f;
	uint32_t stop;
};

/* Shallow, deep, shallow, ... : the stack's words change at each turn. */
static void *mover_main(void *arg)
{
	struct mover *m = arg;

	for (unsigned int i = 0; !load_acq(&m->stop); i++) {
		fetch_add_seq(&m->f.seq, 1);
		smp_mb();
		m->f.depth = i & 1 ? 3 : 0;
		fiber_run(&m->f);
		fetch_add_seq(&m->f.seq, 1);
		for (int pause = 0; pause < (int)(i % 7) * 500; pause++)
			barrier();
	}
	return NULL;
}

struct glance {
	struct mover *m;
	uint32_t seq;
};

static bool has_stayed(void *arg)
{
	struct glance *g = arg;

	smp_mb(); /* pairs with the mover's */
	return load_acq(&g->m->f.seq) == g->seq;
}

TEST(what_is_shown_of_a_stack_that_keeps_moving_is_whole)
{
	static struct mover m;
	struct rt_unwind *u = rt_unwind_open(NULL);
	int shown[2] = { 0, 0 }, dropped = 0;
	int64_t end = rt_now_ns() + 10 * RT_NS_PER_SEC;
	struct glance g = { .m = &m };
	struct rt_unwind_regs r;
	pthread_t t;

	ASSERT_NE(NULL, u);
	fiber_make(&m.f, 0);
	ASSERT_EQ(0, pthread_create(&t, NULL, mover_main, &m));
	while ((dropped < 50 || shown[0] < 50 || shown[1] < 50) && rt_now_ns() < end) {
		g.seq = load_acq(&m.f.seq);
		if (g.seq & 1 || g.seq == 0)
			continue;
		r = fiber_regs(&m.f);
		out_len = 0;
		out[0] = '\0';
		if (rt_unwind_stack(u, &r, has_stayed, &g, &sink) < 0) {
			dropped++;
			ASSERT_EQ(0, out_len);
			continue;
		}
		ASSERT_TRUE(first_is("park"));
		ASSERT_NE(NULL, strstr(out, "\nfiber_root(...)\n"));
		ASSERT_EQ(NULL, strstr(out, "(no further"));
		shown[strstr(out, "\ndeep(...)\n") != NULL]++;
	}
	store_rel(&m.stop, 1);
	pthread_join(t, NULL);
	TH_LOG("shown %d shallow, %d deep; dropped %d", shown[0], shown[1], dropped);
	EXPECT_LT(0, shown[0]);
	EXPECT_LT(0, shown[1]);
	EXPECT_LT(0, dropped);
	rt_unwind_close(u);
}

/* ---- limits and garbage -------------------------------------------- */

TEST(a_stack_deeper_than_is_looked_at_says_so)
{
	struct rt_unwind_sink many = { .text = out_add, .max_frames = 1000 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 100);
	fiber_run(&f);
	r = fiber_regs(&f);
	EXPECT_LT(50, rt_unwind_stack(u, &r, NULL, NULL, &many));
	EXPECT_NE(NULL, strstr(out, "\n(no further: deeper than 64 KiB)\n"));
	rt_unwind_close(u);
}

TEST(max_frames_frames_are_shown_and_the_rest_is_mentioned)
{
	struct rt_unwind_sink few = { .text = out_add, .max_frames = 3 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 10);
	fiber_run(&f);
	r = fiber_regs(&f);
	EXPECT_EQ(3, rt_unwind_stack(u, &r, NULL, NULL, &few));
	EXPECT_NE(NULL, strstr(out, "deep(...)\n"));
	EXPECT_NE(NULL, strstr(out, "\n(more frames)\n"));
	rt_unwind_close(u);
}

static ssize_t nothing_there(void *arg, uintptr_t addr, void *buf, size_t len)
{
	(void)arg, (void)addr, (void)buf, (void)len;
	return -EFAULT;
}

TEST(without_its_stack_the_parked_function_is_still_named)
{
	struct rt_unwind_opts opts = { .read = nothing_there };
	struct rt_unwind *u = rt_unwind_open(&opts);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	EXPECT_LE(1, unwind(u, &r));
	EXPECT_TRUE(first_is("park"));
	EXPECT_NE(NULL, strstr(out, " can't be read)\n"))
	{
		TH_LOG("%s", out);
	}
	rt_unwind_close(u);
}

/* A word that is likely to lead somewhere bad. */
static uintptr_t bad_word(uint64_t *rng, uintptr_t stack)
{
	uintptr_t r = (uintptr_t)rt_rand(rng) << 32 | rt_rand(rng);

	switch (r % 8) {
	case 0:
		return stack + (r >> 8) % STACK_BYTES;
	case 1:
		return (stack + (r >> 8) % STACK_BYTES) & ~15UL;
	case 2:
		return (uintptr_t)fiber_main + (r >> 8) % 512;
	case 3:
		return (uintptr_t)qsort + (r >> 8) % 4096;
	case 4:
		return (uintptr_t)dlsym(RTLD_DEFAULT, "setjmp") + (r >> 8) % 400;
	case 5:
		return 0;
	case 6:
		return r >> (r & 63);
	default:
		return 0 - (r >> 40);
	}
}

static void throw_garbage(struct __test_metadata *_metadata, struct rt_unwind *u)
{
	uint64_t rng = 1;
	struct fiber f;

	fiber_make(&f, 0);
	for (int i = 0; i < 20000; i++) {
		uintptr_t stack = (uintptr_t)f.stack;
		struct rt_unwind_regs r = {
			.pc = bad_word(&rng, stack),
			.sp = bad_word(&rng, stack),
			.fp = bad_word(&rng, stack),
			.lr = bad_word(&rng, stack),
			.stack_hi = i % 16 ? stack + STACK_BYTES : bad_word(&rng, stack),
		};

		if (i % 4)
			r.sp = stack + STACK_BYTES - 8 * rt_rand_below(&rng, 512);
		for (int w = 0; i % 16 == 0 && w < 512; w++)
			((uintptr_t *)(stack + STACK_BYTES))[-1 - w] = bad_word(&rng, stack);
		ASSERT_LE(1, unwind(u, &r));
		ASSERT_NE(0, out_len);
	}
}

TEST(garbage_registers_on_a_garbage_stack_do_no_harm)
{
	struct rt_unwind *u = rt_unwind_open(NULL);

	ASSERT_NE(NULL, u);
	throw_garbage(_metadata, u);
	rt_unwind_close(u);
}

TEST(garbage_does_no_harm_without_libdw_either)
{
	struct rt_unwind_opts opts = { .no_libdw = true };
	struct rt_unwind *u = rt_unwind_open(&opts);

	ASSERT_NE(NULL, u);
	throw_garbage(_metadata, u);
	rt_unwind_close(u);
}

/* ---- without libdw ------------------------------------------------- */

TEST(without_libdw_frame_pointers_lead_to_exported_names_and_a_note_says_what_to_do)
{
	struct rt_unwind_opts opts = { .no_libdw = true };
	uintptr_t in_first = (uintptr_t)dlsym(RTLD_DEFAULT, "gnu_get_libc_version") + 4;
	uintptr_t in_second = (uintptr_t)dlsym(RTLD_DEFAULT, "hdestroy") + 4;
	/* two frames: each the caller's frame pointer, then the return address */
	uintptr_t stack[8] = { 0, 0, 0, in_second, 0, 0, 0, 0 };
	struct rt_unwind_regs r = {
		.pc = in_first,
		.sp = (uintptr_t)&stack[0],
		.fp = (uintptr_t)&stack[2],
		.stack_hi = (uintptr_t)&stack[8],
	};
	struct rt_unwind *u = rt_unwind_open(&opts);
	const char *at = out;

	ASSERT_NE(NULL, u);
	ASSERT_NE(NULL, rt_unwind_note(u));
	EXPECT_NE(NULL, strstr(rt_unwind_note(u), "apt install libdw1"));
	stack[2] = (uintptr_t)&stack[5];
	EXPECT_EQ(2, unwind(u, &r));
	EXPECT_NEXT(at, "gnu_get_libc_version(...)\n");
	EXPECT_NEXT(at, "libc.so");
	EXPECT_NEXT(at, " +0x4\n");
	EXPECT_NEXT(at, "hdestroy(...)\n");
	EXPECT_NEXT(at, " +0x4\n");
	rt_unwind_close(u);
}

/* ---- sessions ------------------------------------------------------ */

TEST(two_sessions_at_once_do_not_disturb_each_other_and_errno_is_kept)
{
	struct rt_unwind_opts plain = { .no_libdw = true };
	struct rt_unwind *u[3];
	struct rt_unwind_regs r;
	struct fiber f;

	errno = 4711;
	u[0] = rt_unwind_open(NULL);
	u[1] = rt_unwind_open(NULL);
	u[2] = rt_unwind_open(&plain);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	for (int i = 0; i < 3; i++) {
		ASSERT_NE(NULL, u[i]);
		EXPECT_LE(1, unwind(u[i], &r));
		if (i < 2)
			expect_whole(_metadata);
		rt_unwind_close(u[i]);
	}
	EXPECT_EQ(4711, errno);
}

TEST(whichever_call_fails_there_is_a_frame_or_no_session)
{
	struct rt_unwind_regs r;
	struct fiber f;

	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	for (unsigned long nth = 1; nth < 100; nth++) {
		struct rt_unwind *u;

		rt_fault_arm(nth);
		u = rt_unwind_open(NULL);
		if (u) {
			EXPECT_LE(1, unwind(u, &r));
			EXPECT_NE(0, out_len);
			EXPECT_LE(1, unwind(u, &r));
		}
		rt_unwind_close(u);
		if (rt_fault_arm(0) < nth) { /* none was left to fail */
			EXPECT_LT(5, nth);
			return;
		}
	}
	EXPECT_TRUE(false);
}

static ssize_t read_child(void *arg, uintptr_t addr, void *buf, size_t len)
{
	ssize_t n = pread(*(int *)arg, buf, len, (off_t)addr);

	return n < 0 ? -errno : n;
}

TEST(another_process_is_read_by_pid_or_by_the_callers_reader)
{
	struct rt_unwind_opts opts = { 0 };
	struct rt_unwind_regs r;
	struct fiber f;
	char path[64];
	int to_us[2], mem;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_us));
	fiber_make(&f, 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		fiber_run(&f); /* on the child's copy of the stack only */
		r = fiber_regs(&f);
		if (write(to_us[1], &r, sizeof(r)) == sizeof(r) &&
		    write(to_us[1], &line_park, sizeof(int)) == sizeof(int))
			pause();
		_exit(1);
	}
	ASSERT_EQ(sizeof(r), read(to_us[0], &r, sizeof(r)));
	ASSERT_EQ(sizeof(int), read(to_us[0], &line_park, sizeof(int)));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY);
	ASSERT_LE(0, mem);
	opts.pid = pid;
	for (int i = 0; i < 2; i++) {
		struct rt_unwind *u = rt_unwind_open(&opts);
		const char *at = out;

		ASSERT_NE(NULL, u);
		EXPECT_LE(4, unwind(u, &r));
		EXPECT_NEXT(at, "park(...)\n");
		EXPECT_NEXT(at, "unwind.c:%d +0x", line_park);
		EXPECT_NEXT(at, "middle_global(...)\n");
		EXPECT_NEXT(at, "fiber_main(...)\n");
		rt_unwind_close(u);
		opts.read = read_child;
		opts.read_arg = &mem;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- files --------------------------------------------------------- */

TEST(no_debug_info_server_is_asked)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct pollfd caller = { .events = POLLIN };
	uintptr_t words[16] = { 0 };
	struct rt_unwind_regs r = { .stack_hi = (uintptr_t)&words[16], .sp = (uintptr_t)words };
	char cache[] = "/tmp/gmprt-unwind.XXXXXX", url[64];
	socklen_t len = sizeof(addr);
	struct rt_unwind *u;

	caller.fd = socket(AF_INET, SOCK_STREAM, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ASSERT_EQ(0, bind(caller.fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, listen(caller.fd, 8));
	ASSERT_EQ(0, getsockname(caller.fd, (struct sockaddr *)&addr, &len));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(addr.sin_port));
	setenv("DEBUGINFOD_URLS", url, 1);
	setenv("DEBUGINFOD_TIMEOUT", "1", 1);
	ASSERT_NE(NULL, mkdtemp(cache)); /* without one it would not even try */
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
	u = rt_unwind_open(NULL);
	ASSERT_NE(NULL, u);
	ASSERT_EQ(NULL, rt_unwind_note(u));
	r.pc = (uintptr_t)dlsym(dlopen("libdw.so.1", RTLD_LAZY), "dwfl_version") + 4;
	EXPECT_LE(1, unwind(u, &r));
	EXPECT_TRUE(first_is("dwfl_version"));
	EXPECT_EQ(0, poll(&caller, 1, 0));
	EXPECT_EQ(0, rmdir(cache)); /* empty: nothing was begun */
	if (!strstr(out, " (0x"))
		SKIP(return, "debug information of libdw is installed: nobody would be asked");
	rt_unwind_close(u);
}

/* Runs instead of main() in the copy that the test below makes. */
static void __attribute__((constructor)) deleted_program(void)
{
	struct rt_unwind_regs r;
	struct rt_unwind *u;
	struct fiber f;

	if (!getenv("GMPRT_TEST_DELETED"))
		return;
	unlink(getenv("GMPRT_TEST_DELETED"));
	u = rt_unwind_open(NULL);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	unwind(u, &r);
	if (write(STDOUT_FILENO, out, out_len) < 0)
		_exit(1);
	_exit(0);
}

TEST(a_program_whose_file_was_deleted_is_still_named)
{
	char copy[] = "/tmp/gmprt-unwind.XXXXXX", line[256];
	int from_copy[2], fd = mkstemp(copy), self = open("/proc/self/exe", O_RDONLY), status;
	const char *at = out;
	ssize_t n;
	pid_t pid;

	ASSERT_LE(0, fd);
	while ((n = read(self, out, sizeof(out))) > 0)
		ASSERT_EQ(n, write(fd, out, (size_t)n));
	ASSERT_EQ(0, fchmod(fd, 0700));
	close(fd);
	ASSERT_EQ(0, pipe(from_copy));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		dup2(from_copy[1], STDOUT_FILENO);
		close(from_copy[0]);
		close(from_copy[1]);
		setenv("GMPRT_TEST_DELETED", copy, 1);
		execl(copy, copy, NULL);
		_exit(127);
	}
	close(from_copy[1]);
	for (out_len = 0; (n = read(from_copy[0], line, sizeof(line))) > 0;)
		out_add(NULL, line, (size_t)n);
	waitpid(pid, &status, 0);
	unlink(copy);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		SKIP(return, "a copy of this program can't be run here (an emulator?)");
	ASSERT_EQ(0, status);
	EXPECT_NEXT(at, "park(...)\n");
	EXPECT_NEXT(at, "unwind.c:");
	EXPECT_NEXT(at, "worker(...)\n");
	EXPECT_NEXT(at, "unwind.c:");
}

TEST_HARNESS_MAIN
