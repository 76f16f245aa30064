// SPDX-License-Identifier: GPL-2.0-only
/*
 * device.c - /dev/gmprt: the calls of abi/gmprt_kmod.h
 *
 * An open file is a session, made by its first GMPRT_KMOD_CREATE and from then on the
 * file's. All else is refused to who is not of the process that made it: a child of
 * fork(), or who was sent the descriptor.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "device.h"
#include "session.h"
#include "thread.h"

/* Its session, for a thread of its process. */
static struct gmprt_session *session_of(struct file *file)
{
	/* pairs with create()'s cmpxchg: it is whole */
	struct gmprt_session *s = smp_load_acquire(&file->private_data);

	if (!s)
		return ERR_PTR(-ENXIO);
	return s->mm == current->mm ? s : ERR_PTR(-EPERM);
}

/* ---- ioctl --------------------------------------------------------- */

/* A struct that begins with its size, of any version. */
static int get_arg(void *arg, size_t size, const void __user *from)
{
	u32 given;

	if (get_user(given, (const u32 __user *)from))
		return -EFAULT;
	if (given < 2 * sizeof(u32) || given > PAGE_SIZE)
		return -EINVAL;
	return copy_struct_from_user(arg, size, from, given);
}

/* Back, as much of it as they know: given is arg's `size`. */
static int put_arg(void __user *to, const void *arg, size_t size, u32 given)
{
	return copy_to_user(to, arg, min_t(size_t, size, given)) ? -EFAULT : 0;
}

static int query(void __user *arg)
{
	struct gmprt_kmod_query q;
	int r = get_arg(&q, sizeof(q), arg);

	if (r)
		return r;
	if (q.flags)
		return -EINVAL;
	q.version = GMPRT_ABI_VERSION;
	q.features = GMPRT_FEATURES;
	q.max_ps = GMPRT_ABI_MAX_PS;
	q.max_ms = GMPRT_ABI_MAX_MS;
	q.max_stride = GMPRT_ABI_MAX_STRIDE;
	q.max_sessions = gmprt_sessions_most();
	return put_arg(arg, &q, sizeof(q), q.size);
}

static int create(struct file *file, void __user *arg)
{
	struct gmprt_kmod_create c;
	struct gmprt_session *s;
	int r = get_arg(&c, sizeof(c), arg);

	if (r)
		return r;
	if (c.flags || c.version != GMPRT_ABI_VERSION)
		return -EINVAL;
	if (READ_ONCE(file->private_data))
		return -EBUSY;
	s = gmprt_session_new(&c);
	if (IS_ERR(s))
		return PTR_ERR(s);
	c.session = s->number;
	c.features = GMPRT_FEATURES;
	c.bytes = s->bytes;
	r = put_arg(arg, &c, sizeof(c), c.size);
	/* Another thread may have been faster. */
	if (!r && cmpxchg(&file->private_data, NULL, s))
		r = -EBUSY;
	if (r)
		gmprt_session_put(s);
	return r;
}

static int register_m(struct gmprt_session *s, void __user *arg)
{
	struct gmprt_kmod_m m;
	int r = get_arg(&m, sizeof(m), arg);

	if (r)
		return r;
	if (m.flags || m.reserved)
		return -EINVAL;
	return gmprt_thread_register(s, m.m);
}

static long gmprt_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct gmprt_session *s;

	if (cmd == GMPRT_KMOD_QUERY)
		return query(user);
	if (cmd == GMPRT_KMOD_CREATE)
		return create(file, user);
	if (cmd != GMPRT_KMOD_REGISTER && cmd != GMPRT_KMOD_UNREGISTER)
		return -ENOTTY;
	s = session_of(file);
	if (IS_ERR(s))
		return PTR_ERR(s);
	if (cmd == GMPRT_KMOD_REGISTER)
		return register_m(s, user);
	return arg ? -EINVAL : gmprt_thread_unregister(s);
}

/* ---- the others ---------------------------------------------------- */

static int gmprt_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gmprt_session *s = session_of(file);

	return IS_ERR(s) ? PTR_ERR(s) : gmprt_session_map(s, vma);
}

static __poll_t gmprt_poll(struct file *file, poll_table *table)
{
	struct gmprt_session *s = session_of(file);

	if (IS_ERR(s))
		return EPOLLERR;
	poll_wait(file, &s->wait, table);
	return atomic_read(&s->nr_wakes) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* As an eventfd: how often, since the last time. */
static ssize_t gmprt_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	struct gmprt_session *s = session_of(file);
	u64 n;
	int r;

	if (IS_ERR(s))
		return PTR_ERR(s);
	if (size < sizeof(n))
		return -EINVAL;
	for (;;) {
		n = (u32)atomic_xchg(&s->nr_wakes, 0);
		if (n)
			return copy_to_user(to, &n, sizeof(n)) ? -EFAULT : sizeof(n);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		r = wait_event_interruptible(s->wait, atomic_read(&s->nr_wakes));
		if (r)
			return r;
	}
}

static int gmprt_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL; /* it was the device */
	return stream_open(inode, file);
}

static int gmprt_flush(struct file *file, fl_owner_t id)
{
	gmprt_thread_closes();
	return 0;
}

static int gmprt_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		gmprt_session_put(file->private_data);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = gmprt_open,
	.flush = gmprt_flush,
	.release = gmprt_release,
	.unlocked_ioctl = gmprt_ioctl,
	.mmap = gmprt_mmap,
	.poll = gmprt_poll,
	.read = gmprt_read,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gmprt",
	.fops = &fops,
	.mode = 0660,
};

int gmprt_device_init(void)
{
	return misc_register(&device);
}

void gmprt_device_exit(void)
{
	misc_deregister(&device);
}
