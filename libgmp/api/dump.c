/* SPDX-License-Identifier: MIT */
/*
 * dump.c - every goroutine as text
 *
 * Nobody is stopped. Gs and spawn descriptors are type-stable memory that can
 * be walked at any time (core/stack.h, core/spawn.h); Ms are an RCU list. A
 * parked goroutine's stack is copied and unwound from the copy; if it has
 * parked anew meanwhile, it is shown without a stack.
 *
 * The order is that of the numbers, so first comes main. For that all are
 * listed first, 16 bytes each. Where these can't be had, or more come meanwhile
 * than there is room for, they are shown in the order of their memory.
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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "base/unwind.h"
#include "sched/look.h"
#include "sched/sched.h"
#include "core/tls.h"

enum {
	FRAMES_MAX = 50,
	FRAMES_OUTER = 10, /* of a stack that is too deep, these too */
	STACK_BYTES = 1 << 20,
};

struct dump {
	int fd;
	void (*put)(struct dump *d); /* what to dump */
	struct rt_sched *s;
	struct rt_unwind *unwind;         /* NULL: stacks are left out */
	int no_thread;                    /* an errno: for this reason */
	struct rt_g *self;                /* who asked for the dump, or NULL */
	struct rt_unwind_regs self_regs;
	size_t n;
	char buf[8192];
};

/* One dump at a time, the run's dump_lock guards it. It is not malloc'ed: memory
 * may be what has run out. */
static struct dump the;

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

static void put_parked(struct dump *d, struct seen *k)
{
	struct rt_unwind_sink sink = { .text = put, .arg = d, .max_frames = FRAMES_MAX };

	if (d->unwind && rt_unwind_stack(d->unwind, &k->regs, still_parked, k, &sink) < 0)
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
	struct rt_unwind_sink sink = { .text = put, .arg = d, .max_frames = FRAMES_MAX };
	struct looked l = { .m = m };
	char state[64];
	int frames = 0;

	flush(d);
	l.how = d->unwind ? rt_look_at(m, &l.regs) : RT_LOOK_NOT;
	l.regs.interrupted = l.how == RT_LOOK_RUNS || l.how == RT_LOOK_HELD;
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

/* Of the one that waits for the dump: its stack stands still. */
static void put_self(struct dump *d)
{
	struct rt_unwind_sink sink = { put, d, FRAMES_MAX, FRAMES_OUTER };

	if (d->unwind)
		rt_unwind_stack(d->unwind, &d->self_regs, NULL, NULL, &sink);
}

/* id: the goroutine that is meant; 0: whoever is there now. */
static void put_g(struct dump *d, struct rt_g *g, uint64_t id)
{
	struct rt_m *m;
	struct seen k;

	see(g, &k);
	if (k.id == 0 || (id && k.id != id))
		return;
	m = g == d->self ? NULL : running_on(d->s, g);
	if (g == d->self) {
		put_head(d, k.id, k.name, "running", 0);
		put_self(d);
	} else if (m) {
		put_running(d, &k, m);
	} else {
		put_head(d, k.id, k.name, rt_reason_name(k.reason), k.reason ? k.since_ns : 0);
		put_parked(d, &k);
	}
	putf(d, "\n");
	flush(d);
}

static void put_spawn(struct dump *d, struct rt_spawn *sp, uint64_t id)
{
	uint64_t now = load_acq(&sp->id);

	if (id && now != id)
		put_head(d, id, "", "begun meanwhile", 0);
	else if (now)
		put_head(d, now, "", "runnable, not begun", 0);
	else
		return;
	putf(d, "\n");
	flush(d);
}

static void put_work(struct dump *d, rt_work w, uint64_t id)
{
	if (rt_work_is_spawn(w))
		put_spawn(d, rt_work_to_spawn(w), id);
	else
		put_g(d, rt_work_to_g(w), id);
}

/* ---- in order ----------------------------------------------------- */

struct item {
	uint64_t id;
	rt_work who;
};

struct list {
	struct item *at;
	size_t n, room; /* n > room: there were more */
};

/* Enough for most: a dump may be wanted because memory has run out. */
static struct item few[1024]; /* dump_lock */

static void list_add(struct list *l, uint64_t id, rt_work who)
{
	if (id && l->n < l->room)
		l->at[l->n] = (struct item){ id, who };
	l->n += id != 0;
}

static void list_g(struct rt_g *g, void *list)
{
	list_add(list, load_acq(&g->id), rt_work_g(g));
}

static void list_spawn(struct rt_spawn *sp, void *list)
{
	list_add(list, load_acq(&sp->id), rt_work_spawn(sp));
}

/* Those that have not begun first: one that begins meanwhile is listed twice,
 * not never. */
static void list_all(struct rt_sched *s, struct list *l)
{
	l->n = 0;
	rt_spawn_each(&s->spawns, list_spawn, l);
	rt_stacks_each(&s->stacks, list_g, l);
}

/* By number; of one that is there twice the one that has begun comes last. */
static int item_order(const void *x, const void *y)
{
	const struct item *a = x, *b = y;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (int)rt_work_is_spawn(b->who) - (int)rt_work_is_spawn(a->who);
}

static bool list_room(struct list *l, size_t n)
{
	l->room = n + n / 8 + 64;
	l->at = l->room > ARRAY_SIZE(few) ? rt_map(l->room * sizeof(*l->at)) : few;
	return l->at != NULL;
}

static void list_free(struct list *l)
{
	if (l->at != few)
		rt_unmap(l->at, l->room * sizeof(*l->at));
}

/* False: not listed, for want of memory or because too many came meanwhile. */
static bool list_make(struct rt_sched *s, struct list *l)
{
	*l = (struct list){ 0 };
	list_all(s, l); /* only counts */
	if (!list_room(l, l->n))
		return false;
	list_all(s, l);
	if (l->n > l->room) {
		list_free(l);
		return false;
	}
	qsort(l->at, l->n, sizeof(*l->at), item_order);
	return true;
}

static void put_list(struct dump *d, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (i + 1 == l->n || l->at[i].id != l->at[i + 1].id)
			put_work(d, l->at[i].who, l->at[i].id);
}

static void put_any_g(struct rt_g *g, void *dump)
{
	put_g(dump, g, 0);
}

static void put_any_spawn(struct rt_spawn *sp, void *dump)
{
	put_spawn(dump, sp, 0);
}

/* Why stacks are short or missing, if they are. */
static void put_note(struct dump *d)
{
	const char *note = d->unwind ? rt_unwind_note(d->unwind) : "no memory for stacks";

	if (d->no_thread)
		putf(d, "(no stacks: no thread to unwind them: %s)\n", strerror(d->no_thread));
	else if (note)
		putf(d, "(%s)\n", note);
}

static void put_all(struct dump *d)
{
	struct list l;

	if (list_make(d->s, &l)) {
		put_list(d, &l);
		list_free(&l);
	} else {
		rt_spawn_each(&d->s->spawns, put_any_spawn, d);
		rt_stacks_each(&d->s->stacks, put_any_g, d);
	}
	put_note(d);
	flush(d);
}

/* Line by line: there may be no time for all. */
static void put_line(void *arg, const char *text, size_t len)
{
	put(arg, text, len);
	flush(arg);
}

static void put_overflowed(struct dump *d)
{
	struct rt_unwind_sink sink = { put_line, d, FRAMES_MAX, FRAMES_OUTER };
	struct seen k;

	see(d->self, &k);
	putf(d, "\n");
	put_head(d, k.id, k.name, "running", 0);
	flush(d);
	if (d->unwind)
		rt_unwind_stack(d->unwind, &d->self_regs, NULL, NULL, &sink);
	put_note(d);
	flush(d);
}

/* ---- the thread --------------------------------------------------- */

static void *dump_thread(void *arg)
{
	struct dump *d = arg;

	d->unwind = rt_unwind_open(NULL);
	d->put(d);
	rt_unwind_close(d->unwind);
	return NULL;
}

static int thread_start(pthread_t *t, struct dump *d)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return r;
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (r == 0)
		r = pthread_create(t, &attr, dump_thread, d);
	pthread_attr_destroy(&attr);
	return r;
}

/* self: the one whose regs these are, and who waits until this returns; or
 * NULL. By a thread with enough stack; else right here, without stacks. */
static void dump(int fd, void (*what)(struct dump *), struct rt_sched *s, struct rt_g *self,
		 const struct rt_unwind_regs *regs)
{
	pthread_t t;
	int r;

	pthread_mutex_lock(&s->dump_lock);
	the.n = 0; /* a child of fork() may find the rest of its parent's */
	the.fd = fd;
	the.put = what;
	the.s = s;
	the.unwind = NULL;
	the.self = self;
	the.self_regs = *regs;
	the.no_thread = 0;
	r = thread_start(&t, &the);
	if (r == 0) {
		pthread_join(t, NULL);
	} else {
		the.no_thread = r;
		what(&the);
	}
	pthread_mutex_unlock(&s->dump_lock);
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

/* The registers are those of the function it is inlined into. */
static __always_inline_ void dump_all(int fd)
{
	struct rt_m *m = rt_m_self();
	struct rt_unwind_regs regs = { 0 };
	struct rt_g *self = NULL;
	struct rt_sched *s;
	int saved = errno;

	rt_rcu_read_lock();
	s = load_acq(&rt_cur);
	if (s && m && m->s == s && m->curg) {
		self = m->curg;
		regs_here(&regs);
		regs.stack_hi = (uintptr_t)self;
	}
	if (s)
		dump(fd, put_all, s, self, &regs);
	else
		dprintf(fd, "gmprt: no run is under way\n");
	rt_rcu_read_unlock();
	errno = saved;
}

GMPRT_API __noinline void gmprt_dump(int fd)
{
	dump_all(fd);
}

__noinline void rt_dump_report(int fd)
{
	dump_all(fd);
}

void rt_dump_overflow(int fd, struct rt_sched *s, struct rt_g *g,
		      const struct rt_unwind_regs *regs)
{
	dump(fd, put_overflowed, s, g, regs);
}
