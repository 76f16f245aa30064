/* SPDX-License-Identifier: MIT */
/*
 * floor.c - what this machine's hardware and kernel charge, at the least
 *
 * No scheduler can be faster than what it is made of: a stack switch, an
 * atomic on a line it owns, a line fetched from another CPU, a futex. The
 * figures stand under the table of a benchmark run, because on a virtual
 * machine they change from day to day, and a result is explained when it is a
 * sum of these.
 *
 * Prints `floor NAME P=n VALUE UNIT remark` for each, P being the CPUs used.
 * Pins itself to the first CPU it may run on, and its second thread there or
 * on the next one; where there is only one CPU those lines say n/a.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static int cpu0 = -1, cpu1 = -1;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(const char *name, int cpus, double ns, const char *remark)
{
	printf("floor %s P=%d %.2f ns %s\n", name, cpus, ns, remark);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("floor: sched_setaffinity");
		exit(1);
	}
}

static void find_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set)) {
		perror("floor: sched_getaffinity");
		exit(1);
	}
	for (int i = 0; i < CPU_SETSIZE && cpu1 < 0; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		if (cpu0 < 0)
			cpu0 = i;
		else
			cpu1 = i;
	}
}

#define TIME(n, statement)                          \
	({                                          \
		double t_ = now_ns();               \
		for (long i_ = 0; i_ < (n); i_++) { \
			statement;                  \
		}                                   \
		(now_ns() - t_) / (double)(n);      \
	})

/* --------------------------------------------------------- stack switches */

#define STACK_BYTES 65536
static char stack[STACK_BYTES] __attribute__((aligned(64)));

#ifdef __x86_64__
/* sp, bp and pc, inline; the compiler saves what it needs across. */
struct context {
	void *sp, *bp, *pc;
};

static struct context here, there;

static inline __attribute__((always_inline)) void
switch_context(struct context *from, struct context *to)
{
	__asm__ volatile("lea	1f(%%rip), %%rax\n\t"
			 "mov	%%rsp, 0(%%rdi)\n\t"
			 "mov	%%rbp, 8(%%rdi)\n\t"
			 "mov	%%rax, 16(%%rdi)\n\t"
			 "mov	0(%%rsi), %%rsp\n\t"
			 "mov	8(%%rsi), %%rbp\n\t"
			 "jmp	*16(%%rsi)\n"
			 "1:"
			 : "+D"(from), "+S"(to)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15", "memory", "cc");
}

static void there_main(void)
{
	for (;;)
		switch_context(&there, &here);
}

static void floor_switch(void)
{
	there.sp = stack + STACK_BYTES - 64 - 8;
	there.pc = (void *)there_main;
	switch_context(&here, &there);
	report("switch", 1, TIME(5000000, switch_context(&here, &there)) / 2,
	       "sp, bp, pc saved, inline");
}

/* The six callee-saved registers, as a function: what most libraries do. */
void floor_swap(void **from, void *to);
__asm__(".text\n"
	".globl floor_swap\n"
	".type floor_swap, @function\n"
	"floor_swap:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	ret\n"
	".size floor_swap, . - floor_swap\n");

static void *swap_here, *swap_there;

static void swap_main(void)
{
	for (;;)
		floor_swap(&swap_there, swap_here);
}

static void floor_switch_abi(void)
{
	void **sp = (void **)(stack + STACK_BYTES - 64);

	*--sp = NULL; /* keeps the stack aligned as after a call */
	*--sp = (void *)swap_main;
	sp -= 6;
	memset(sp, 0, 6 * sizeof(*sp));
	swap_there = sp;
	report("switch-abi", 1, TIME(5000000, floor_swap(&swap_here, swap_there)) / 2,
	       "6 callee-saved registers, a call");
}
#endif

static ucontext_t uc_here, uc_there;

static void uc_main(void)
{
	for (;;)
		swapcontext(&uc_there, &uc_here);
}

static void floor_swapcontext(void)
{
	getcontext(&uc_there);
	uc_there.uc_stack.ss_sp = stack;
	uc_there.uc_stack.ss_size = sizeof(stack);
	makecontext(&uc_there, uc_main, 0);
	report("swapcontext", 1, TIME(300000, swapcontext(&uc_here, &uc_there)) / 2,
	       "libc's, two system calls");
}

/* ---------------------------------------------------------------- atomics */

static struct {
	uint64_t word __attribute__((aligned(64)));
} line;

static void floor_atomics(void)
{
	uint64_t *p = &line.word, expected;
	const long n = 10000000;

	report("load-store", 1,
	       TIME(n, __atomic_store_n(p, __atomic_load_n(p, __ATOMIC_ACQUIRE) + 1,
					__ATOMIC_RELEASE)),
	       "acquire and release, no atomic: for comparison");
	report("fetch-add", 1, TIME(n, __atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST)),
	       "own cache line");
	report("cas", 1,
	       TIME(n, expected = __atomic_load_n(p, __ATOMIC_RELAXED);
		    __atomic_compare_exchange_n(p, &expected, expected + 1, 0, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED)),
	       "own cache line, succeeds");
	report("exchange", 1, TIME(n, __atomic_exchange_n(p, 1, __ATOMIC_SEQ_CST)),
	       "own cache line");
	report("fence", 1,
	       TIME(n, __atomic_store_n(p, 1, __ATOMIC_RELAXED);
		    __atomic_thread_fence(__ATOMIC_SEQ_CST)),
	       "store, then a full fence");
}

static int turn __attribute__((aligned(64)));

static inline void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

#define SPINS 1000000

static void spin_until(int want)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != want)
		relax();
}

static void *spin_fn(void *arg)
{
	(void)arg;
	pin(cpu1);
	for (long i = 0; i < SPINS; i++) {
		spin_until(1);
		__atomic_store_n(&turn, 0, __ATOMIC_RELEASE);
	}
	return NULL;
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, fn, arg);

	if (err) {
		fprintf(stderr, "floor: pthread_create: %s\n", strerror(err));
		exit(1);
	}
	return t;
}

static void floor_cache_line(void)
{
	pthread_t t;
	double ns;

	if (cpu1 < 0) {
		puts("floor cache-line P=2 n/a only one CPU");
		return;
	}
	turn = 0;
	t = start(spin_fn, NULL);
	__atomic_store_n(&turn, 1, __ATOMIC_RELEASE);
	spin_until(0);
	ns = TIME(SPINS - 1, __atomic_store_n(&turn, 1, __ATOMIC_RELEASE); spin_until(0));
	pthread_join(t, NULL);
	report("cache-line", 2, ns, "round trip of one line between two CPUs");
}

/* ------------------------------------------------------------- the kernel */

static long futex_rounds;

static void futex_wait_for(int want)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != want)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !want, NULL, NULL, 0);
}

static void futex_set(int value)
{
	__atomic_store_n(&turn, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_fn(void *arg)
{
	pin(*(int *)arg);
	for (long i = 0; i < futex_rounds; i++) {
		futex_wait_for(1);
		futex_set(0);
	}
	return NULL;
}

static void floor_futex(int cpus, int cpu, long rounds)
{
	pthread_t t;
	double ns;

	if (cpu < 0) {
		puts("floor futex P=2 n/a only one CPU");
		return;
	}
	turn = 0;
	futex_rounds = rounds;
	t = start(futex_fn, &cpu);
	ns = TIME(rounds, futex_set(1); futex_wait_for(0));
	pthread_join(t, NULL);
	report("futex", cpus, ns,
	       cpus == 1 ? "round trip on one CPU" : "round trip between two CPUs");
}

static void *nothing_fn(void *arg)
{
	return arg;
}

static void floor_kernel(void)
{
	const size_t bytes = 16 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *mem;

	report("syscall", 1, TIME(1000000, syscall(SYS_getppid)), "getppid");
	report("sched_yield", 1, TIME(300000, sched_yield()), "alone on the CPU");
	report("clock", 1, TIME(2000000, now_ns()), "clock_gettime(CLOCK_MONOTONIC)");
	report("thread", 1, TIME(5000, pthread_join(start(nothing_fn, NULL), NULL)),
	       "pthread_create and pthread_join");

	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (mem == MAP_FAILED) {
		perror("floor: mmap");
		exit(1);
	}
	madvise((void *)mem, bytes, MADV_NOHUGEPAGE);
	report("page", 1, TIME((long)(bytes / page), mem[(size_t)i_ * page] = 1),
	       "first touch of a page");
	munmap((void *)mem, bytes);
}

int main(void)
{
	find_cpus();
	pin(cpu0);
#ifdef __x86_64__
	floor_switch();
	floor_switch_abi();
#else
	puts("floor switch P=1 n/a only written for x86-64");
#endif
	floor_swapcontext();
	floor_atomics();
	floor_cache_line();
	floor_futex(1, cpu0, 100000);
	floor_futex(2, cpu1, 20000);
	floor_kernel();
	return 0;
}
