/* SPDX-License-Identifier: MIT */
/*
 * schedtrace.c - the scheduler's state once a period, in Go's words
 *
 * GMPRT_DEBUG=schedtrace=1000 prints Go's SCHED line, with scheddetail=1 a line
 * for each P, M and G too, in Go's format with Go's numbers for states, so that
 * what reads Go's output reads ours. Where this run time has no such thing
 * (garbage collection, a world that stops) the field says 0.
 *
 * sysmon prints. It stops nobody: what it reads are words of different
 * moments, as in Go. M and G lines are read under RCU and from type-stable
 * memory, as dumps do (api/dump.c). Text goes out by write(2) in pieces; if
 * stderr is a pipe that nobody reads, sysmon waits there, and with it what it
 * watches: a price of asking for the trace.
 */
#include "sched/schedtrace.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/rcu.h"

/* Go's numbers. */
enum { P_IDLE = 0,
       P_RUNNING = 1,
       P_SYSCALL = 2,
       P_DEAD = 4 };
enum { G_RUNNABLE = 1,
       G_RUNNING = 2,
       G_SYSCALL = 3,
       G_WAITING = 4 };

struct text {
	size_t n;
	char buf[4096];
};

static void flush(struct text *t)
{
	ssize_t written = t->n ? write(STDERR_FILENO, t->buf, t->n) : 0;

	(void)written; /* nobody to tell */
	t->n = 0;
}

static void __printf(2, 3) put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (sizeof(t->buf) - t->n < 512)
		flush(t);
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->n, sizeof(t->buf) - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n;
}

/* A number, or Go's word for none. */
static void put_id(struct text *t, const char *field, bool have, uint64_t id)
{
	if (have)
		put(t, "%s%llu", field, (unsigned long long)id);
	else
		put(t, "%snil", field);
}

/* ---- Ps ----------------------------------------------------------- */

static int p_status(const struct rt_p *p)
{
	switch (rt_pword_state(load_rlx(&p->slot.word))) {
	case RT_P_RUNNING:
		return P_RUNNING;
	case RT_P_BLOCKED:
	case RT_P_FREED:
		return P_SYSCALL;
	case RT_P_IDLE:
		return P_IDLE;
	default:
		return P_DEAD;
	}
}

static void put_ps_short(struct text *t, struct rt_sched *s, uint32_t n)
{
	put(t, " [");
	for (uint32_t i = 0; i < n; i++)
		put(t, " %u", rt_runq_len(&s->ps[i].q));
	put(t, " ] schedticks=[ ");
	for (uint32_t i = 0; i < n; i++)
		put(t, "%llu ", (unsigned long long)load_rlx(&s->ps[i].slices));
	put(t, "]\n");
}

static __no_tsan __noinline void put_p(struct text *t, const struct rt_p *p)
{
	uint32_t m = rt_pword_owner(load_rlx(&p->slot.word));

	put(t, "  P%u: status=%d schedtick=%llu syscalltick=%llu", p->id, p_status(p),
	    (unsigned long long)load_rlx(&p->slices), (unsigned long long)load_rlx(&p->n.blocks));
	put_id(t, " m=", m != 0, m);
	put(t, " runqsize=%u gfreecnt=%u timerslen=%u\n", rt_runq_len(&p->q),
	    *(volatile const uint32_t *)&p->gs.nr_cur + *(volatile const uint32_t *)&p->gs.nr_other,
	    *(volatile const uint32_t *)&p->timers.nr);
}

/* ---- Ms and Gs ---------------------------------------------------- */

static __no_tsan __noinline void put_m(struct text *t, struct rt_m *m)
{
	volatile struct rt_m *v = m;
	struct rt_p *p = v->p;
	struct rt_g *g = load_rlx(&m->curg), *locked = v->lock_g;

	if (p && rt_pword_owner(load_rlx(&p->slot.word)) != m->id)
		p = NULL; /* it had that one, and waits for another */
	put(t, "  M%u:", m->id);
	put_id(t, " p=", p != NULL, p ? p->id : 0);
	put_id(t, " curg=", g != NULL, g ? load_rlx(&g->id) : 0);
	put(t, " mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=%s blocked=%s",
	    v->spinning ? "true" : "false", v->idle ? "true" : "false");
	put_id(t, " lockedg=", locked != NULL, locked ? load_rlx(&locked->id) : 0);
	put(t, "\n");
}

struct g_walk {
	struct text *t;
	struct rt_sched *s;
};

static __no_tsan __noinline struct rt_m *m_of(struct rt_sched *s, struct rt_g *g)
{
	struct rt_m *m;

	rt_san_acquire(&s->all_ms);
	cds_list_for_each_entry_rcu(m, &s->all_ms, all) if (load_rlx(&m->curg) == g) return m;
	return NULL;
}

static __no_tsan __noinline void put_g(struct rt_g *g, void *walk)
{
	struct g_walk *w = walk;
	struct rt_m *m = m_of(w->s, g), *locked = ((volatile struct rt_g *)g)->lock_m;
	uint8_t flags = ((volatile struct rt_g *)g)->flags, reason = load_rlx(&g->reason);
	int status = m ? (flags & RT_G_BLOCKING ? G_SYSCALL : G_RUNNING) :
			 (reason ? G_WAITING : G_RUNNABLE);

	if (flags & RT_G_HELD)
		status = G_RUNNABLE;
	put(w->t, "  G%llu: status=%d(%s)", (unsigned long long)load_rlx(&g->id), status,
	    reason ? rt_reason_name(reason) : "");
	put_id(w->t, " m=", m != NULL, m ? m->id : 0);
	put_id(w->t, " lockedm=", locked && (flags & RT_G_BOUND), locked ? locked->id : 0);
	put(w->t, "\n");
}

static void put_spawn(struct rt_spawn *sp, void *walk)
{
	struct g_walk *w = walk;
	uint64_t id = load_acq(&sp->id);

	if (id)
		put(w->t, "  G%llu: status=%d() m=nil lockedm=nil\n", (unsigned long long)id,
		    G_RUNNABLE);
}

static __no_tsan __noinline void put_detail(struct text *t, struct rt_sched *s, uint32_t n)
{
	struct g_walk w = { t, s };
	struct rt_m *m;

	put(t, " gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=false\n");
	for (uint32_t i = 0; i < n; i++)
		put_p(t, &s->ps[i]);
	rt_rcu_read_lock();
	rt_san_acquire(&s->all_ms);
	cds_list_for_each_entry_rcu(m, &s->all_ms, all)
		put_m(t, m);
	rt_stacks_each(&s->stacks, put_g, &w);
	rt_spawn_each(&s->spawns, put_spawn, &w);
	rt_rcu_read_unlock();
}

/* ---- the line ----------------------------------------------------- */

static __no_tsan __noinline void print(struct rt_sched *s, int64_t now)
{
	volatile struct rt_sched *v = s;
	uint32_t n = load_rlx(&s->maxprocs);
	struct text t = { 0 };

	put(&t, "SCHED %lldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u ",
	    (long long)((now - s->start_ns) / RT_NS_PER_MS), n, load_rlx(&s->nr_idle_ps),
	    v->nr_ms + 1, load_rlx(&s->nr_spinning)); /* sysmon is one, as in Go */
	put(&t, "needspinning=0 idlethreads=%u runqueue=%u", v->nr_idle_ms,
	    load_rlx(&s->grq_len));
	if (s->trace_detail)
		put_detail(&t, s, n);
	else
		put_ps_short(&t, s, n);
	flush(&t);
}

void rt_schedtrace(struct rt_sched *s, int64_t now)
{
	if (now < s->trace_next_ns)
		return;
	print(s, now);
	s->trace_next_ns = now + s->trace_ms * RT_NS_PER_MS;
}
