/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * watch.bpf.c - at every switch: who holds a P of the watched session?
 *
 * Uses the maps of the programs it watches (bpf/session.h), which were attached
 * first: so their part of a switch is done when ours begins.
 *
 *  - An M that leaves its CPU because it blocked in goroutine code must not hold
 *    its P any more, if there is anything to run or a hint is set (kept). That is
 *    the backend's promise.
 *  - No M owns two Ps (twice), and no more Ps run than GOMAXPROCS (many). Each P's
 *    owner is one word, so this needs all words of one moment: they are read twice,
 *    and as an epoch grows with each owner, two equal readings are one.
 *  - For how long does an M run goroutine code without a P (over)? From the switch
 *    to it, if its P was gone then, while it is on a CPU: until it blocks, is seen
 *    with a P or inside the run time at a system call or a switch. SIGURG's handler
 *    makes one at the latest when it returns. That is an upper bound: the end of the
 *    system call that it had blocked in, and the handler itself, are part of it. It
 *    may run so for a while, see gmprt_abi.h; never for longer than a tick. What a
 *    virtual machine's host takes from that CPU meanwhile is not time that it runs:
 *    between two switches its run time is what the kernel counts for it.
 *
 * A switch to an M may go unseen (bpf/block.h says where). Then its interval begins
 * with the end of the system call it blocked in; after a page fault it has no begin.
 * Both are counted (unseen).
 */
#include "session.h"

#include "watch.h"

char LICENSE[] SEC("license") = "GPL";

/* That of a program that has loaded the programs for itself. */
enum { SESSION = 0 };

const volatile __u32 watch_procs;

struct watch_counts counts;

/* An M's, written on its thread or in the switch to or from it. */
struct watch_m {
	__u64 since_ns; /* it is on a CPU; 0: not */
	__u64 over_ns;  /* before that, without a P */
	__u32 over;     /* it had no P then */
	__u32 signals;  /* as the time without a P began: how many it had been sent, */
	__u32 unseen;   /* did we miss the switch? */
	__u32 unused;
	__u64 run_ns; /* its run time then */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WATCH_MAX_MS);
	__type(key, __u32);
	__type(value, struct watch_m);
} watch_ms SEC(".maps");

/* The M that each CPU runs, by number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WATCH_MAX_CPUS);
	__type(key, __u32);
	__type(value, __u32);
} watch_cpus SEC(".maps");

static __always_inline void add(__u64 *count)
{
	__sync_fetch_and_add(count, 1);
}

static __always_inline struct gmprt_task *watched(struct task_struct *task)
{
	struct gmprt_task *t = task_of(task);

	return t && t->session == SESSION && t->m < WATCH_MAX_MS ? t : NULL;
}

enum where {
	IN_RUNTIME,
	WITH_P,
	WITHOUT_P,
};

static __always_inline enum where where_is(struct gmprt_session *s, __u32 nr)
{
	struct gmprt_abi_m *m = m_slot(s, space_of(SESSION), nr);
	struct gmprt_abi_p *p;
	__u64 w;

	if (!m || READ_ONCE(m->state) != GMPRT_M_USER)
		return IN_RUNTIME;
	p = p_slot(s, space_of(SESSION), READ_ONCE(m->p));
	w = p ? READ_ONCE(p->word) : 0;
	return gmprt_abi_owner(w) == nr && (gmprt_abi_state(w) == GMPRT_P_RUNNING ||
					    gmprt_abi_state(w) == GMPRT_P_BLOCKED) ?
		       WITH_P :
		       WITHOUT_P;
}

/* Was M nr's P to be freed when it blocked? gmprt_abi.h, (g). */
static __always_inline bool is_to_be_freed(struct gmprt_session *s, __u32 nr)
{
	struct gmprt_abi_m *m = m_slot(s, space_of(SESSION), nr);
	struct gmprt_abi_p *p = m ? p_slot(s, space_of(SESSION), READ_ONCE(m->p)) : NULL;
	struct gmprt_abi_head *h = head_of(space_of(SESSION));

	return p && h &&
	       (READ_ONCE(h->hint) || READ_ONCE(p->hint) || READ_ONCE(p->next) ||
		READ_ONCE(p->head) != READ_ONCE(p->tail));
}

static __always_inline __u32 signals_of(struct gmprt_session *s, __u32 nr)
{
	struct gmprt_abi_m *m = m_slot(s, space_of(SESSION), nr);

	return m ? READ_ONCE(m->nr_signals) : 0;
}

static __always_inline void over_ends(struct gmprt_session *s, __u32 nr, struct watch_m *wm)
{
	__u64 us = wm->over_ns / 1000;
	__u32 bucket = 0;

	if (us >= WATCH_LONG_US && wm->unseen)
		add(&counts.long_unseen);
	else if (us >= WATCH_LONG_US && signals_of(s, nr) == wm->signals)
		add(&counts.long_unasked);
	else if (us >= WATCH_LONG_US)
		add(&counts.long_asked);

	for (int i = 0; i < WATCH_BUCKETS - 1 && us; i++, us >>= 1)
		bucket++;
	add(&counts.over);
	if (bucket < WATCH_BUCKETS)
		add(&counts.over_us[bucket]);
	if (wm->over_ns > counts.longest_ns)
		counts.longest_ns = wm->over_ns;
	wm->over = 0;
	wm->over_ns = 0;
}

/* On a CPU since wm->since_ns, without a P then; not for longer than for_ns. */
static __always_inline void over_goes_on(struct gmprt_session *s, __u32 nr, struct watch_m *wm,
					 __u64 for_ns, bool ends)
{
	__u64 now = bpf_ktime_get_ns(), all = now - wm->since_ns;

	wm->over_ns += all < for_ns ? all : for_ns;
	wm->since_ns = now;
	if (ends)
		over_ends(s, nr, wm);
}

static __always_inline void left(struct gmprt_session *s, __u32 nr, struct watch_m *wm,
				 __u64 run_ns, bool blocked)
{
	enum where where = where_is(s, nr);

	if (blocked && where != IN_RUNTIME) {
		add(&counts.blocks);
		if (where == WITH_P && is_to_be_freed(s, nr))
			add(&counts.kept);
	}
	if (!wm->since_ns)
		add(&counts.unseen);
	else if (wm->over)
		over_goes_on(s, nr, wm, run_ns - wm->run_ns, blocked || where != WITHOUT_P);
	wm->since_ns = 0;
}

static __always_inline void arrived(struct gmprt_session *s, __u32 nr, struct watch_m *wm,
				    __u64 run_ns, bool unseen)
{
	bool over = where_is(s, nr) == WITHOUT_P;

	if (wm->over && !over)
		over_ends(s, nr, wm);
	if (over && !wm->over) {
		wm->signals = signals_of(s, nr);
		wm->unseen = unseen;
	}
	wm->over = over;
	wm->since_ns = bpf_ktime_get_ns();
	wm->run_ns = run_ns;
}

/* ---- all words of one moment ---------------------------------------- */

/* bpf_loop(): the verifier looks at each body once, not at each way through all. */
struct words {
	__u64 w[WATCH_MAX_PS];
	__u32 changed; /* while they were read */
	__u32 running;
	__u32 holders;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct words);
} watch_words SEC(".maps");

struct look {
	struct gmprt_session *s;
	struct words *all;
};

static __u64 word_of(const struct look *l, __u32 i)
{
	struct gmprt_abi_p *p = p_slot(l->s, space_of(SESSION), i);

	return p ? READ_ONCE(p->word) : 0;
}

static long read_word(__u32 i, struct look *l)
{
	if (i < WATCH_MAX_PS)
		l->all->w[i] = word_of(l, i);
	return 0;
}

static long read_again(__u32 i, struct look *l)
{
	if (i < WATCH_MAX_PS && l->all->w[i] != word_of(l, i))
		l->all->changed = 1;
	return 0;
}

static bool runs(__u64 w)
{
	return gmprt_abi_state(w) == GMPRT_P_RUNNING;
}

/* i counts pairs; the diagonal counts what runs. */
static long compare_pair(__u32 i, struct look *l)
{
	__u32 a = i / WATCH_MAX_PS % WATCH_MAX_PS, b = i % WATCH_MAX_PS;
	__u64 wa = l->all->w[a], wb = l->all->w[b];

	if (a == b)
		l->all->running += runs(wa);
	else if (a < b && runs(wa) && runs(wb) && gmprt_abi_owner(wa) == gmprt_abi_owner(wb))
		add(&counts.twice);
	return 0;
}

/* Ms on CPUs that are in goroutine code with a P, now. */
static long count_holder(__u32 cpu, struct look *l)
{
	__u32 *nr = bpf_map_lookup_elem(&watch_cpus, &cpu), m = nr ? READ_ONCE(*nr) : 0;

	if (m && where_is(l->s, m) == WITH_P)
		l->all->holders++;
	return 0;
}

static __always_inline void look_at_all(struct gmprt_session *s)
{
	__u32 zero = 0;
	struct look l = { .s = s, .all = bpf_map_lookup_elem(&watch_words, &zero) };

	if (!l.all)
		return;
	l.all->changed = l.all->running = l.all->holders = 0;
	bpf_loop(WATCH_MAX_PS, read_word, &l, 0);
	bpf_loop(WATCH_MAX_PS, read_again, &l, 0);
	bpf_loop(WATCH_MAX_CPUS, count_holder, &l, 0);
	if (l.all->holders > counts.most)
		counts.most = l.all->holders;
	if (l.all->changed) {
		add(&counts.torn);
		return;
	}
	bpf_loop(WATCH_MAX_PS * WATCH_MAX_PS, compare_pair, &l, 0);
	if (l.all->running > watch_procs)
		add(&counts.many);
}

/* ---- the programs ------------------------------------------------------ */

static __always_inline void this_cpu_runs(__u32 m)
{
	__u32 cpu = bpf_get_smp_processor_id(), *nr = bpf_map_lookup_elem(&watch_cpus, &cpu);

	if (nr)
		*nr = m;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(watch_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	struct gmprt_task *from = watched(prev), *to = watched(next);
	struct gmprt_session *s = from ? session_of(from) : to ? session_of(to) :
								 NULL;
	struct watch_m *wm;
	__u32 nr;

	if (!s)
		return 0;
	add(&counts.switches);
	if (from) {
		nr = from->m;
		wm = bpf_map_lookup_elem(&watch_ms, &nr);
		if (wm)
			left(s, nr, wm, prev->se.sum_exec_runtime, !preempt && prev_state);
	}
	nr = to ? to->m : 0;
	this_cpu_runs(nr);
	if (to) {
		wm = bpf_map_lookup_elem(&watch_ms, &nr);
		if (wm)
			arrived(s, nr, wm, next->se.sum_exec_runtime, false);
	}
	look_at_all(s);
	return 0;
}

/* The session, and *wm, of the thread that makes a system call; or NULL. */
static __always_inline struct gmprt_session *caller(__u32 *nr, struct watch_m **wm)
{
	struct gmprt_task *t = watched(bpf_get_current_task_btf());
	struct gmprt_session *s = t ? session_of(t) : NULL;

	if (!s)
		return NULL;
	*nr = t->m;
	*wm = bpf_map_lookup_elem(&watch_ms, nr);
	return *wm ? s : NULL;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(watch_call)
{
	struct watch_m *wm = NULL;
	__u32 nr = 0;
	struct gmprt_session *s = caller(&nr, &wm);

	if (s && wm && wm->over && wm->since_ns && where_is(s, nr) != WITHOUT_P)
		over_goes_on(s, nr, wm, ~0ULL, true);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(watch_return)
{
	struct watch_m *wm = NULL;
	__u32 nr = 0;
	struct gmprt_session *s = caller(&nr, &wm);

	if (!s || !wm || wm->since_ns)
		return 0;
	add(&counts.unseen);
	this_cpu_runs(nr);
	arrived(s, nr, wm, bpf_get_current_task_btf()->se.sum_exec_runtime, true);
	return 0;
}
