/* SPDX-License-Identifier: MIT */
/*
 * dump.c - every goroutine as text
 *
 * Nobody is stopped. Gs and spawn descriptors are type-stable memory that can
 * be walked at any time (core/stack.h, core/spawn.h); Ms are an RCU list. A
 * parked goroutine's stack is copied and unwound from the copy; if it has
 * parked anew meanwhile, it is shown without a stack.
 *
 * The work is done by a thread of its own: unwinding takes 150 KiB of stack,
 * more than a goroutine may have left. If no thread can be had, the dump comes
 * without stacks.
 *
 * All text goes through one buffer and out by write(2) goroutine by
 * goroutine, so what was found is out even if the rest fails.
 */
#include <gmprt.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "base/unwind.h"
#include "sched/look.h"
#include "sched/sched.h"
#include "core/tls.h"

enum {
	FRAMES_MAX = 50,
	STACK_BYTES = 1 << 20,
};

struct dump {
	int fd;
	struct rt_sched *s;
	struct rt_unwind *unwind;
	struct rt_g *self; /* who asked for the dump, or NULL */
	struct rt_unwind_regs self_regs;
	uint64_t nr;
	size_t n;
	char buf[8192];
};

/* ---- text --------------------------------------------------------- */

static void flush(struct dump *d)
{
	for (size_t at = 0; at < d->n;) {
		ssize_t w = write(d->fd, d->buf + at, d->n - at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break; /* nobody reads it */
		at += (size_t)w;
	}
	d->n = 0;
}

static void put(void *arg, const char *text, size_t len)
{
	struct dump *d = arg;

	if (len > sizeof(d->buf) - d->n)
		flush(d);
	if (len > sizeof(d->buf))
		len = sizeof(d->buf);
	memcpy(d->buf + d->n, text, len);
	d->n += len;
}

static void __printf(2, 3) putf(struct dump *d, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(d, line, n < 0 ? 0 : (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* ---- goroutines --------------------------------------------------- */

/* The M that runs g, or NULL; it stays while gmprt_dump() is a reader. Not for
 * TSan: what liburcu publishes is hidden from it. */
static __no_tsan __noinline struct rt_m *running_on(struct rt_sched *s, struct rt_g *g)
{
	struct rt_m *m, *found = NULL;

	rt_rcu_read_lock();
	rt_san_acquire(&s->all_ms);
	cds_list_for_each_entry_rcu(m, &s->all_ms, all) if (load_rlx(&m->curg) == g)
		found = m;
	rt_rcu_read_unlock();
	return found;
}

static void put_head(struct dump *d, uint64_t id, const char *name, const char *state,
		     int64_t since)
{
	int64_t secs = since ? (rt_now_ns() - since) / RT_NS_PER_SEC : 0;

	d->nr++;
	putf(d, "goroutine %llu", (unsigned long long)id);
	if (*name)
		putf(d, " \"%s\"", name);
	if (secs >= 60)
		putf(d, " [%s, %lld minutes]:\n", state, (long long)(secs / 60));
	else if (secs > 0)
		putf(d, " [%s, %lld seconds]:\n", state, (long long)secs);
	else
		putf(d, " [%s]:\n", state);
}

/* What a G looked like at one moment. */
struct seen {
	struct rt_g *g;
	uint64_t id;
	uint32_t nr_parks;
	uint8_t reason, flags;
	int64_t since_ns;
	struct rt_unwind_regs regs;
	char name[RT_NAME_BYTES];
};

/*
 * Reads a G that others write. Words may be of different moments: what is made
 * of them is checked by still_parked() or is only shown. Not for TSan, which
 * would want the writers, all of them hot, to be told.
 */
static __no_tsan __noinline void see(struct rt_g *g, struct seen *k)
{
	const volatile struct rt_g *v = g;

	k->g = g;
	k->id = v->id;
	k->nr_parks = v->nr_parks;
	k->reason = v->reason;
	smp_mb(); /* the words that tell whether it moved before all others */
	k->flags = v->flags;
	k->since_ns = v->since_ns;
	k->regs = (struct rt_unwind_regs){
		.pc = (uintptr_t)v->ctx.pc,
		.sp = (uintptr_t)v->ctx.sp,
		.fp = (uintptr_t)v->ctx.fp,
		.stack_hi = (uintptr_t)g,
	};
	for (int i = 0; i < RT_NAME_BYTES; i++)
		k->name[i] = v->name[i];
	k->name[RT_NAME_BYTES - 1] = '\0';
}

/* Has g stayed where it was when `arg` was seen? */
static __no_tsan __noinline bool still_parked(void *arg)
{
	const struct seen *k = arg;
	const volatile struct rt_g *v = k->g;

	smp_mb(); /* the copy before, the words after */
	return v->id == k->id && v->nr_parks == k->nr_parks && v->reason == k->reason;
}

static void put_stack(struct dump *d, const struct rt_unwind_regs *regs, struct seen *parked)
{
	struct rt_unwind_sink sink = { put, d, FRAMES_MAX };

	if (!d->unwind)
		return;
	if (rt_unwind_stack(d->unwind, regs, parked ? still_parked : NULL, parked, &sink) < 0)
		putf(d, "\t(it moved meanwhile)\n");
}

/* A running goroutine that is being looked at. */
struct looked {
	struct rt_m *m;
	enum rt_looked how;
	struct rt_unwind_regs regs;
};

static bool look_away(void *arg)
{
	struct looked *l = arg;

	return rt_look_away(l->m, l->how, &l->regs);
}

static const char *doing(const struct seen *k, enum rt_looked how)
{
	if (k->flags & RT_G_BLOCKING)
		return "blocking call";
	return how == RT_LOOK_SLEEPS ? "system call" : "running";
}

/* k's goroutine is m's. */
static void put_running(struct dump *d, const struct seen *k, struct rt_m *m)
{
	struct rt_unwind_sink sink = { put, d, FRAMES_MAX };
	struct looked l = { .m = m };
	char state[64];
	int frames = 0;

	flush(d);
	l.how = d->unwind ? rt_look_at(m, &l.regs) : RT_LOOK_NOT;
	if (l.how == RT_LOOK_HELD)
		snprintf(state, sizeof(state), "runnable, preempted");
	else
		snprintf(state, sizeof(state), "%s on M%u", doing(k, l.how), m->id);
	put_head(d, k->id, k->name, state, 0);
	if (l.how != RT_LOOK_NOT)
		frames = rt_unwind_stack(d->unwind, &l.regs, look_away, &l, &sink);
	if (frames <= 0)
		putf(d, "\t(its stack is in use)\n");
}

static void put_g(struct rt_g *g, void *arg)
{
	struct dump *d = arg;
	struct rt_m *m;
	struct seen k;

	see(g, &k);
	if (k.id == 0)
		return;
	m = g == d->self ? NULL : running_on(d->s, g);
	if (g == d->self) {
		put_head(d, k.id, k.name, "running", 0);
		put_stack(d, &d->self_regs, NULL);
	} else if (m) {
		put_running(d, &k, m);
	} else {
		put_head(d, k.id, k.name, rt_reason_name(k.reason), k.reason ? k.since_ns : 0);
		put_stack(d, &k.regs, &k);
	}
	putf(d, "\n");
	flush(d);
}

static void put_spawn(struct rt_spawn *sp, void *arg)
{
	struct dump *d = arg;
	uint64_t id = load_acq(&sp->id);

	if (!id)
		return;
	put_head(d, id, "", "runnable, not begun", 0);
	putf(d, "\n");
}

static void put_all(struct dump *d)
{
	rt_stacks_each(&d->s->stacks, put_g, d);
	rt_spawn_each(&d->s->spawns, put_spawn, d);
	if (d->unwind && rt_unwind_note(d->unwind))
		putf(d, "(%s)\n", rt_unwind_note(d->unwind));
	flush(d);
}

/* ---- the thread --------------------------------------------------- */

static void *dump_thread(void *arg)
{
	struct dump *d = arg;

	d->unwind = rt_unwind_open(NULL);
	put_all(d);
	rt_unwind_close(d->unwind);
	return NULL;
}

/* By a thread with enough stack; else right here, without stacks. */
static void dump_by_thread(struct dump *d)
{
	pthread_attr_t attr;
	pthread_t t;
	int r;

	if (pthread_attr_init(&attr)) {
		put_all(d);
		return;
	}
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (r == 0)
		r = pthread_create(&t, &attr, dump_thread, d);
	pthread_attr_destroy(&attr);
	if (r) {
		put_all(d);
		return;
	}
	pthread_join(t, NULL);
}

/* Registers of this very place, for unwinding the caller. */
static __always_inline_ void regs_here(struct rt_unwind_regs *r)
{
#if defined(__x86_64__)
	__asm__ volatile("leaq	0f(%%rip), %0\n\tmovq	%%rsp, %1\n\tmovq	%%rbp, %2\n0:"
			 : "=&r"(r->pc), "=&r"(r->sp), "=&r"(r->fp));
#elif defined(__aarch64__)
	__asm__ volatile("adr	%0, 0f\n\tmov	%1, sp\n\tmov	%2, x29\n\tmov	%3, x30\n0:"
			 : "=&r"(r->pc), "=&r"(r->sp), "=&r"(r->fp), "=&r"(r->lr));
#endif
}

GMPRT_API __noinline void gmprt_dump(int fd)
{
	struct rt_m *m = rt_m_self();
	int saved = errno;
	struct dump *d;

	rt_rcu_read_lock();
	d = rt_zalloc(sizeof(*d));
	if (!d) {
		rt_rcu_read_unlock();
		return;
	}
	d->fd = fd;
	d->s = load_acq(&rt_cur);
	if (!d->s) {
		putf(d, "gmprt: no run is under way\n");
		flush(d);
	} else {
		if (m && m->curg && m->s == d->s) {
			d->self = m->curg;
			regs_here(&d->self_regs);
			d->self_regs.stack_hi = (uintptr_t)m->curg;
		}
		pthread_mutex_lock(&d->s->dump_lock);
		dump_by_thread(d);
		pthread_mutex_unlock(&d->s->dump_lock);
	}
	rt_free(d);
	rt_rcu_read_unlock();
	errno = saved;
}
