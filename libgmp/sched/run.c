/* SPDX-License-Identifier: MIT */
/*
 * run.c - start and end of the run time
 *
 * The caller of rt_run() serves as no M: it sleeps until the main goroutine
 * has ended. So it can return whatever the other Ms are doing.
 *
 * The end, in this order, and why:
 *  1. `stopping` is set, by the M that ran main: whoever looks for work finds
 *     the end instead.
 *  2. `rt_cur` becomes NULL and readers are waited for: no thread of the
 *     program's own brings new work.
 *  3. Every P's word is revoked, and all CPUs pass a barrier: an M in state
 *     USER will find, at its next entry, that it holds nothing.
 *  4. Sleeping Ms are woken to end; those in state RUNTIME are waited for (they
 *     are on the way to g0, or out of the run time).
 *  5. What is left is in goroutines' own code. They keep the scheduler alive
 *     by their references and end when they next enter. The caller goes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "sched/atfork.h"
#include "sched/nap.h"
#include "sched/preempt.h"
#include "sched/stats.h"
#include "sched/switch.h"

struct rt_sched *rt_cur;

struct rt_sched *rt_cur_get(void)
{
	struct rt_m *m = rt_m_self();
	struct rt_sched *s;

	/* An M has a reference; the run's own is dropped only after a grace
	 * period. (A thread's first time in RCU needs memory, and ends the
	 * process where there is none: not so on Ms.) */
	if (m) {
		if (load_acq(&rt_cur) != m->s)
			return NULL;
		fetch_add_seq(&m->s->refs, 1);
		return m->s;
	}
	rt_rcu_read_lock();
	s = load_acq(&rt_cur);
	if (s)
		fetch_add_seq(&s->refs, 1);
	rt_rcu_read_unlock();
	return s;
}

enum {
	PS_SHARED = 64,   /* Ps that a backend in the kernel knows, at least */
	FDS_ENOUGH = 256, /* below that a program is not given bpf unasked */
};

static uint32_t running; /* 1: a run is under way, or being set up */

/* ---- start -------------------------------------------------------- */

static bool port_open_as(struct rt_sched *s, enum rt_backend backend, uint32_t maxprocs)
{
	uint32_t nr_ps = 2 * maxprocs < PS_SHARED ? PS_SHARED : 2 * maxprocs;

	if (nr_ps > RT_MAXPROCS_LIMIT)
		nr_ps = RT_MAXPROCS_LIMIT;
	return rt_port_open(&s->port, backend, s->max_threads + 1, s->ps, sizeof(*s->ps),
			    nr_ps) == 0;
}

/* Programs of our own are 20 file descriptors, and a program with few of them did not
 * ask for these. */
static bool may_have_bpf(struct rt_sched *s, const struct rt_params *par)
{
	if (!par->upcall_auto || rt_fds_allowed() >= FDS_ENOUGH)
		return true;
	snprintf(s->port.up.why, sizeof(s->port.up.why),
		 "fewer than %d file descriptors: raise ulimit -n, or GMPRT_UPCALL=bpf",
		 FDS_ENOUGH);
	return false;
}

/* What is said of each backend in the kernel; of kmod only if that was asked for. */
struct whys {
	char kmod[sizeof(((struct rt_upcall *)0)->why)];
	char bpf[sizeof(((struct rt_upcall *)0)->why)];
};

/* One line, if it was asked for; or what was asked for is not had. */
static void tell(const struct rt_sched *s, const struct rt_params *par, const struct whys *why)
{
	const char *kmod = why->kmod[0] ? "; kmod: " : "";
	enum rt_backend got = s->port.backend;

	if (!par->upcall_tells && (par->upcall_auto || got == par->backend))
		return;
	if (got == RT_BACKEND_KMOD)
		rt_log("upcalls by kmod (session %u)", s->port.up.session);
	else if (got == RT_BACKEND_SYSMON)
		rt_log("upcalls by sysmon; bpf: %s%s%s", why->bpf, kmod, why->kmod);
	else if (s->port.up.from_daemon)
		rt_log("upcalls by bpf (gmpd's session %u)%s%s", s->port.up.session, kmod,
		       why->kmod);
	else
		rt_log("upcalls by bpf (own programs, %s)%s%s", why->bpf, kmod, why->kmod);
}

/* The one that was asked for, or the next one down: kmod, bpf, sysmon. */
static bool port_open(struct rt_sched *s, const struct rt_params *par)
{
	struct whys why = { "", "not asked for" };
	bool opened = false;

	if (par->backend == RT_BACKEND_KMOD) {
		opened = port_open_as(s, RT_BACKEND_KMOD, par->maxprocs);
		memcpy(why.kmod, s->port.up.why, sizeof(why.kmod));
	}
	if (!opened && par->backend != RT_BACKEND_SYSMON) {
		opened = may_have_bpf(s, par) && port_open_as(s, RT_BACKEND_BPF, par->maxprocs);
		memcpy(why.bpf, s->port.up.why, sizeof(why.bpf));
	}
	if (!opened)
		opened = port_open_as(s, RT_BACKEND_SYSMON, par->maxprocs);
	if (opened)
		tell(s, par, &why);
	s->port.tells = par->upcall_tells;
	return opened;
}

static struct rt_sched *sched_new(const struct rt_params *par)
{
	static uint32_t nr_runs;
	struct rt_sched *s = rt_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->run = ++nr_runs; /* one run at a time */
	rt_thread_mask_get(&s->sigmask);
	sigdelset(&s->sigmask, SIGURG);
	s->max_threads = par->max_threads;
	s->stack_class = par->stack_class;
	s->ps = rt_map(RT_MAXPROCS_LIMIT * sizeof(*s->ps));
	if (s->ps)
		rt_san_root(s->ps, RT_MAXPROCS_LIMIT * sizeof(*s->ps));
	s->free_mids = rt_map((s->max_threads + 1) * sizeof(*s->free_mids));
	if (!s->ps || !s->free_mids || !port_open(s, par)) {
		if (s->ps)
			rt_ps_unmap(s);
		if (s->free_mids)
			rt_unmap(s->free_mids, (s->max_threads + 1) * sizeof(*s->free_mids));
		rt_free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->dump_lock, NULL);
	CDS_INIT_LIST_HEAD(&s->all_ms);
	s->keeper_until_ns = RT_FOREVER;
	s->coarse_ns = s->start_ns = s->trace_next_ns = rt_now_ns();
	s->trace_ms = par->trace_ms;
	s->trace_detail = par->trace_detail;
	s->next_id = 2; /* main is 1 */
	s->refs = 1;
	rt_procs_set(s, par->maxprocs);
	s->procs_given = par->procs_given;
	return s;
}

static int spawn_main(struct rt_sched *s, void (*fn)(void *), void *arg)
{
	struct rt_worklist l = { 0 };
	struct rt_spawn *sp = rt_spawn_get_shared(&s->spawns);

	if (!sp)
		return -ENOMEM;
	sp->fn = fn;
	sp->arg = arg;
	sp->name = NULL;
	sp->class = s->stack_class;
	s->foreign_created = 1;
	store_rel(&sp->id, 1);
	rt_worklist_add(&l, rt_work_spawn(sp));
	rt_grq_put(s, &l);
	return 0;
}

/* No M could be had. False: nobody else has brought one, so the run is over, before main
 * has begun. It is marked so at once: sysmon, and who brings work now, must find it so. */
static bool others_go_on(struct rt_sched *s)
{
	bool are;

	rt_lock(s);
	are = s->nr_ms || s->stopping;
	store_rel(&s->stopping, !are || s->stopping);
	rt_unlock(s);
	return are;
}

static int start_threads(struct rt_sched *s)
{
	struct rt_p *p;
	int r;

	rt_nap_open(s);
	fetch_add_seq(&s->refs, 1);
	r = rt_thread_start(rt_sysmon, s, 0);
	if (r) {
		rt_sched_unref(s);
		store_seq(&s->sysmon_gone, 1);
		return r;
	}
	while (!load_acq(&s->started))
		rt_futex_wait(&s->started, 0, RT_FOREVER);
	rt_lock(s);
	p = rt_p_idle_get_locked(s);
	rt_unlock(s);
	/* A thread of the program's own may have brought work already, and so
	 * have put the P to work, or even the run to its end. */
	r = p ? rt_m_new(s, p, false) : 0;
	if (r && others_go_on(s)) {
		rt_m_refused(s, p, false, r);
		r = 0;
	}
	/* Only now may sysmon look: it would put Ps to work by itself, and a
	 * failure here must mean that main has not begun. */
	store_rel(&s->started, RT_SYSMON_LOOKS);
	rt_futex_wake(&s->started, 1);
	return r;
}

/* ---- end ---------------------------------------------------------- */

void rt_run_main_ended(struct rt_m *m)
{
	struct rt_sched *s = m->s;

	rt_lock(s);
	store_rel(&s->stopping, true);
	rt_unlock(s);
	store_rel(&s->done, 1);
	rt_futex_wake(&s->done, 1);
}

static void revoke_all(struct rt_sched *s)
{
	uint32_t n = load_acq(&s->nr_ps);

	for (uint32_t i = 0; i < n; i++) {
		struct rt_p *p = &s->ps[i];
		uint64_t w = load_rlx(&p->slot.word);

		while (!cas_seq(&p->slot.word, w,
				rt_pword(rt_pword_epoch(w) + 1, 0, RT_P_REVOKED)))
			w = load_rlx(&p->slot.word);
		fetch_or_seq(&p->attention, RT_ATT_STOP);
	}
	rt_membarrier(); /* pairs with the store-load in rt_enter() */
}

static bool all_revoked(struct rt_sched *s)
{
	uint32_t n = load_acq(&s->nr_ps);

	for (uint32_t i = 0; i < n; i++)
		if (rt_pword_state(load_acq(&s->ps[i].slot.word)) != RT_P_REVOKED)
			return false;
	return true;
}

static void wake_parked(struct rt_sched *s)
{
	struct rt_m *m;

	rt_lock(s);
	rt_idle_ms_clear_locked(s); /* they will be gone soon */
	cds_list_for_each_entry(m, &s->all_ms, all) {
		if (load_rlx(&m->curg) == NULL) {
			store_rel(&m->exits, true);
			rt_m_notice_locked(m);
			rt_m_wake(m);
		}
	}
	rt_unlock(s);
}

/*
 * Are all Ms that are left in goroutines' own code? Those that are ending but
 * have not let go of the scheduler yet are off the list and hold a reference,
 * as does a thread of the program's own that is just waking someone.
 */
static bool only_stragglers(struct rt_sched *s)
{
	struct rt_m *m;
	bool only;

	rt_lock(s);
	only = load_acq(&s->refs) == 1 + s->nr_ms;
	cds_list_for_each_entry(m, &s->all_ms, all)
		/* pairs with store_rel in rt_leave() */
		only &= load_acq(&m->slot->state) == RT_M_USER;
	rt_unlock(s);
	return only;
}

static void sched_stop(struct rt_sched *s)
{
	unsigned int round = 0;

	rt_lock(s);
	store_rel(&s->stopping, true);
	rt_unlock(s);
	store_rel(&rt_cur, NULL);
	rt_preempt_release_all(s); /* one of them may be a reader */
	rt_rcu_wait();
	revoke_all(s);
	rt_sysmon_wake();
	while (!load_acq(&s->sysmon_gone))
		rt_futex_wait(&s->sysmon_gone, 0, RT_FOREVER);
	rt_nap_close();
	do {
		rt_backoff(&round);
		wake_parked(s);
		rt_preempt_release_all(s);
		rt_netpoll_kick(&s->np);
		/* One that was just storing BLOCKED has overwritten it. */
		if (!all_revoked(s))
			revoke_all(s);
	} while (!only_stragglers(s) || !all_revoked(s));
	/* Nobody looks at a heap any more, and none of the program's timers may
	 * know one that is gone. */
	for (uint32_t i = 0; i < s->nr_ps; i++)
		rt_timers_free(&s->ps[i].timers);
	/* Its fds are used in state RUNTIME, or with a reference, only. */
	rt_netpoll_close(&s->np);
}

/* ---- both --------------------------------------------------------- */

bool rt_run_is_under_way(void)
{
	return load_acq(&running);
}

void (*rt_forked_hook)(void);

/* Its memory stays; what it has of the kernel's goes. */
static void leave_behind(struct rt_sched *s)
{
	rt_san_leak(s);
	rt_netpoll_close(&s->np);
}

void rt_run_forked(struct rt_m *m)
{
	struct rt_sched *s = load_rlx(&rt_cur);

	if (s)
		leave_behind(s);
	if (m && m->s != s) /* its run had ended, it did not know yet */
		leave_behind(m->s);
	rt_sysmon_forked();
	rt_nap_forked();
	if (rt_forked_hook)
		rt_forked_hook();
	store_rlx(&rt_cur, NULL);
	store_rlx(&running, 0);
}

int rt_run(const struct rt_params *par, void (*fn)(void *), void *arg)
{
	struct rt_sched *s;
	int r;

	if (rt_m_self())
		return -EPERM;
	if (!cas_seq(&running, 0, 1))
		return -EBUSY;
	r = rt_atfork_install();
	s = r ? NULL : sched_new(par);
	if (r == 0)
		r = s ? spawn_main(s, fn, arg) : -ENOMEM;
	if (r == 0) {
		store_rel(&rt_cur, s);
		r = start_threads(s);
		while (r == 0 && !load_acq(&s->done))
			rt_futex_wait(&s->done, 0, RT_FOREVER);
		sched_stop(s);
		rt_stats_keep(s);
	}
	if (s)
		rt_sched_unref(s);
	store_seq(&running, 0);
	return r;
}
