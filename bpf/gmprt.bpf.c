/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gmprt.bpf.c - the programs: where they are attached, and what they call
 *
 *	gmprt_switch	the kernel switches from one thread to another
 *	gmprt_exit	a thread ends
 *	gmprt_exec	a process begins another program
 *	gmprt_call	run by a client: registers the calling thread
 *	gmprt_ms	an iterator: a line for each registered thread
 *
 *	compat.h	kernels' types and differences
 *	session.h	maps; from a thread to its slots
 *	alone.h		the P is somebody else's now
 *	block.h		the P is freed and taken back
 *	life.h		threads register and end
 *
 * The policy is user space's. The kernel's side frees the P of a registered M
 * that blocks in goroutine code and has something to run; who takes it, and
 * whether somebody stands by, is none of its business.
 *
 * Measured on Linux 6.18 in a virtual machine with 2 CPUs and retpolines, where a
 * switch by sched_yield() between two processes takes 1,410 ns:
 *   75 to 85 ns	more for each switch of unrelated threads with a program that
 *		only returns; 84 with gmprt_switch: the kernel's own cost of a
 *		tracepoint with a program
 *   0 ns	more for a system call of a registered thread that does not block
 *   1.9 us	from an M's call of read() on an empty pipe to a hot standby that
 *		has its P, on the same CPU (median of 3,000); 2.3 where each of
 *		these blocks ends with a SIGURG as well
 *
 * Rejected: tp_btf/sched_entry_tp, at the entry of schedule(), which newer kernels
 * have. It comes for each yield and for each M that then does not leave the CPU,
 * costs 10 to 40 ns more, and the standby has the P no earlier; the switch to an M
 * that comes back would have to be seen as well.
 */
#include "life.h"

char LICENSE[] SEC("license") = "GPL";

/* preempt: prev could go on. prev_state 0: it gave the CPU away. */
SEC("tp_btf/sched_switch")
int BPF_PROG(gmprt_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	struct gmprt_task *t = task_of(prev);

	if (t && !preempt && prev_state)
		blocked(t);
	else if (t && t->slept)
		runs_again(prev, t);
	else if (t && t->alone)
		pauses_alone(prev, t);
	t = task_of(next);
	if (t && t->slept)
		runs_again(next, t);
	else if (t && t->alone)
		resumes_alone(t);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(gmprt_exit, struct task_struct *task)
{
	ended(task, false);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(gmprt_exec, struct task_struct *task)
{
	ended(task, true);
	return 0;
}

SEC("syscall")
int gmprt_call(struct gmprt_abi_call *c)
{
	return call(c);
}

/* As far as they are known: a client may write anything. */
static const char p_names[8][8] = { "DEAD", "IDLE", "RUNNING", "BLOCKED",
				    "REVOKED", "FREED", "?", "?" };

static const char m_names[2][8] = { "RUNTIME", "USER" };

static __always_inline void show_p(struct seq_file *seq, const struct gmprt_session *s,
				   struct gmprt_space space, const struct gmprt_abi_m *m)
{
	__u32 nr = READ_ONCE(m->p);
	struct gmprt_abi_p *p = p_slot(s, space, nr);
	__u64 w;

	if (!p)
		return;
	w = READ_ONCE(p->word);
	BPF_SEQ_PRINTF(seq, " P %u %s owner %u epoch %u", nr, p_names[gmprt_abi_state(w) & 7],
		       gmprt_abi_owner(w), gmprt_abi_epoch(w));
}

SEC("iter/task")
int gmprt_ms(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct gmprt_task *t = task ? task_of(task) : NULL;
	struct gmprt_session *s = t ? session_of(t) : NULL;
	struct gmprt_space space = space_of(t ? t->session : 0);
	struct gmprt_abi_m *m = s ? m_slot(s, space, t->m) : NULL;
	struct gmprt_abi_head *h = m ? head_of(space) : NULL;

	if (!h || READ_ONCE(h->watcher) == t->m)
		return 0;
	BPF_SEQ_PRINTF(seq, "session %u pid %d tid %d (%s) M %u %s", t->session, task->tgid,
		       task->pid, task->comm, t->m,
		       m_names[READ_ONCE(m->state) == GMPRT_M_USER]);
	show_p(seq, s, space, m);
	BPF_SEQ_PRINTF(seq, " blocks %u freed %u reclaimed %u signals %u\n",
		       READ_ONCE(m->nr_blocks), READ_ONCE(m->nr_freed), READ_ONCE(m->nr_reclaimed),
		       READ_ONCE(m->nr_signals));
	return 0;
}
