// SPDX-License-Identifier: GPL-2.0-only
/*
 * session.c - sessions: their memory, their limits, their end
 *
 * The memory is charged to the cgroup of who asks for it, as are the threads'. It is
 * mapped page by page at mmap: what a goroutine touches in each call is there from
 * the beginning. A mapping holds the file, hence the session.
 *
 * A session ends when the file is closed and no thread is registered. The last
 * reference may go where nothing may sleep, so the end is left to a work queue of
 * our own. Only there, as the very last, the module is let go; the module's exit
 * waits for that queue to be empty.
 *
 * Rejected: vmalloc_user() with remap_vmalloc_range() (its pages are nobody's, and a
 * user could fill the machine with them); pages that come with faults (one for
 * each P's first use, in the middle of a switch of goroutines).
 */
#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "session.h"

struct workqueue_struct *gmprt_wq;

static unsigned int max_sessions = 4096;
module_param(max_sessions, uint, 0644);
MODULE_PARM_DESC(max_sessions, "sessions at a time, of all users");

static unsigned int max_sessions_per_user = 256;
module_param(max_sessions_per_user, uint, 0644);
MODULE_PARM_DESC(max_sessions_per_user, "sessions at a time of a user without CAP_SYS_RESOURCE");

static unsigned int max_mb_per_user = 256;
module_param(max_mb_per_user, uint, 0644);
MODULE_PARM_DESC(max_mb_per_user, "megabytes of memory for these");

static DEFINE_MUTEX(lock);
static LIST_HEAD(all);  /* lock */
static u32 nr_all;      /* lock */
static u32 last_number; /* lock */

unsigned int gmprt_sessions_most(void)
{
	return READ_ONCE(max_sessions_per_user);
}

/* ---- waking ------------------------------------------------------- */

static void wake_now(struct irq_work *work)
{
	struct gmprt_session *s = container_of(work, struct gmprt_session, wake);

	wake_up_interruptible_poll(&s->wait, EPOLLIN | EPOLLRDNORM);
}

/* In a switch the run queue's lock is held, which waking needs. */
void gmprt_session_wake(struct gmprt_session *s)
{
	atomic_inc(&s->nr_wakes);
	irq_work_queue(&s->wake);
}

/* ---- memory ------------------------------------------------------- */

/* False: a size is out of its bounds. */
static bool shape(struct gmprt_session *s, const struct gmprt_kmod_create *c,
		  struct gmprt_abi_head *h)
{
	*h = (struct gmprt_abi_head){
		.magic = GMPRT_ABI_MAGIC,
		.version = GMPRT_ABI_VERSION,
		.features = GMPRT_FEATURES,
		.nr_ps = c->nr_ps,
		.nr_ms = c->nr_ms,
		.p_stride = c->p_stride,
	};
	if (!gmprt_abi_shape(h))
		return false;
	s->nr_ps = h->nr_ps;
	s->nr_ms = h->nr_ms;
	s->p_first = h->p_first;
	s->p_stride = h->p_stride;
	s->bytes = PAGE_ALIGN((size_t)h->nr_blocks * GMPRT_ABI_BLOCK);
	return true;
}

static void free_session(struct gmprt_session *s)
{
	if (s->mm)
		mmdrop(s->mm);
	bitmap_free(s->taken);
	vfree(s->head);
	kfree(s);
}

static int fill(struct gmprt_session *s, const struct gmprt_abi_head *h)
{
	s->head = __vmalloc(s->bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	s->taken = bitmap_zalloc(s->nr_ms, GFP_KERNEL_ACCOUNT);
	if (!s->head || !s->taken)
		return -ENOMEM;
	*s->head = *h;
	s->ms = (struct gmprt_abi_m *)((struct gmprt_abi_p *)s->head + h->m_first);
	s->mm = current->mm;
	mmgrab(s->mm);
	s->pid = task_tgid_nr(current);
	kref_init(&s->ref);
	init_waitqueue_head(&s->wait);
	init_waitqueue_head(&s->numbers);
	init_irq_work(&s->wake, wake_now);
	return 0;
}

int gmprt_session_map(struct gmprt_session *s, struct vm_area_struct *vma)
{
	unsigned long total = s->bytes >> PAGE_SHIFT, n = vma_pages(vma), first = vma->vm_pgoff;
	char *from = (char *)s->head + (first << PAGE_SHIFT);
	int r = 0;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (first >= total || n > total - first)
		return -EINVAL;
	vm_flags_mod(vma, VM_DONTCOPY | VM_DONTEXPAND, VM_MAYEXEC);
	for (unsigned long i = 0; !r && i < n; i++)
		r = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE,
				   vmalloc_to_page(from + i * PAGE_SIZE));
	return r;
}

/* ---- beginning and end -------------------------------------------- */

static void end(struct work_struct *work)
{
	struct gmprt_session *s = container_of(work, struct gmprt_session, end);

	mutex_lock(&lock);
	list_del(&s->all);
	nr_all--;
	mutex_unlock(&lock);
	irq_work_sync(&s->wake);
	free_session(s);
	module_put(THIS_MODULE);
}

static void release(struct kref *ref)
{
	queue_work(gmprt_wq, &container_of(ref, struct gmprt_session, ref)->end);
}

void gmprt_session_put(struct gmprt_session *s)
{
	kref_put(&s->ref, release);
}

/* 0 or -errno. */
static int may_begin_locked(const struct gmprt_session *s)
{
	unsigned long bytes = s->bytes;
	struct gmprt_session *other;
	unsigned int n = 0;

	if (nr_all >= READ_ONCE(max_sessions))
		return -ENFILE;
	if (capable(CAP_SYS_RESOURCE))
		return 0;
	list_for_each_entry(other, &all, all)
		if (uid_eq(other->uid, s->uid)) {
			bytes += other->bytes;
			n++;
		}
	if (n >= gmprt_sessions_most())
		return -EMFILE;
	return bytes >> 20 < READ_ONCE(max_mb_per_user) ? 0 : -EDQUOT;
}

/* Before memory is taken; others may begin meanwhile, so begin() asks again. */
static int may_begin(struct gmprt_session *s)
{
	int r;

	s->uid = current_uid();
	mutex_lock(&lock);
	r = may_begin_locked(s);
	mutex_unlock(&lock);
	return r;
}

/* 0 or -errno. */
static int begin(struct gmprt_session *s)
{
	int r;

	mutex_lock(&lock);
	r = may_begin_locked(s);
	if (!r) {
		s->number = ++last_number;
		s->head->session = s->number;
		INIT_WORK(&s->end, end);
		list_add_tail(&s->all, &all);
		nr_all++;
		__module_get(THIS_MODULE); /* can't fail: the open file has a reference */
	}
	mutex_unlock(&lock);
	return r;
}

struct gmprt_session *gmprt_session_new(const struct gmprt_kmod_create *c)
{
	struct gmprt_session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	struct gmprt_abi_head head;
	int r;

	if (!s)
		return ERR_PTR(-ENOMEM);
	r = shape(s, c, &head) ? may_begin(s) : -EINVAL;
	if (!r)
		r = fill(s, &head);
	if (!r)
		r = begin(s);
	if (!r)
		return s;
	free_session(s);
	return ERR_PTR(r);
}

int gmprt_sessions_init(void)
{
	gmprt_wq = alloc_workqueue("gmprt", WQ_UNBOUND, 0);
	return gmprt_wq ? 0 : -ENOMEM;
}

void gmprt_sessions_exit(void)
{
	destroy_workqueue(gmprt_wq);
}

/* ---- showing ------------------------------------------------------ */

/* As far as they are known: a client may write anything. */
static const char *p_name(u32 state)
{
	static const char *const names[] = { "DEAD", "IDLE", "RUNNING", "BLOCKED",
					     "REVOKED", "FREED" };

	return state < ARRAY_SIZE(names) ? names[state] : "?";
}

static void show_m(struct seq_file *seq, const struct gmprt_session *s, u32 nr)
{
	const struct gmprt_abi_m *m = &s->ms[nr];
	u32 p_nr = READ_ONCE(m->p);
	const struct gmprt_abi_p *p = gmprt_p(s, p_nr);

	seq_printf(seq, "session %u M %u %s", s->number, nr,
		   READ_ONCE(m->state) == GMPRT_M_USER ? "USER" : "RUNTIME");
	if (p) {
		u64 w = READ_ONCE(p->word);

		seq_printf(seq, " P %u %s owner %u epoch %u", p_nr, p_name(gmprt_abi_state(w)),
			   gmprt_abi_owner(w), gmprt_abi_epoch(w));
	}
	seq_printf(seq, " blocks %u freed %u reclaimed %u signals %u\n", READ_ONCE(m->nr_blocks),
		   READ_ONCE(m->nr_freed), READ_ONCE(m->nr_reclaimed), READ_ONCE(m->nr_signals));
}

static void show_session(struct seq_file *seq, const struct gmprt_session *s)
{
	unsigned int nr;

	seq_printf(seq, "session %u pid %d uid %u: %u Ps, %u Ms, %zu bytes, %d threads\n",
		   s->number, s->pid, from_kuid_munged(&init_user_ns, s->uid), s->nr_ps, s->nr_ms,
		   s->bytes, atomic_read(&s->nr_threads));
	for_each_set_bit(nr, s->taken, s->nr_ms)
		show_m(seq, s, nr);
}

void gmprt_sessions_show(struct seq_file *seq)
{
	struct gmprt_session *s;

	mutex_lock(&lock);
	list_for_each_entry(s, &all, all)
		show_session(seq, s);
	mutex_unlock(&lock);
}
