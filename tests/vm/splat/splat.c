/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * splat.c - a module that does to its kernel what the harness must notice
 *
 * `echo WORD >/sys/module/splat/parameters/now` does it: for tests/vm/selftest.sh.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static DEFINE_MUTEX(one);
static DEFINE_MUTEX(two);
static int *nowhere = (int *)16;

static void spin(void *unused)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static noinline void wait_for_ever(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

/* Two orders of two locks: nothing happens but that lockdep sees it. */
static void cross(void)
{
	mutex_lock(&one);
	mutex_lock(&two);
	mutex_unlock(&two);
	mutex_unlock(&one);
	mutex_lock(&two);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&two);
}

static void sleep_locked(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	msleep(1);
	spin_unlock(&lock);
}

static void use_freed(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	if (p)
		WRITE_ONCE(*p, 1);
}

static int now(const char *word, const struct kernel_param *kp)
{
	if (sysfs_streq(word, "warn"))
		WARN_ON_ONCE(1);
	else if (sysfs_streq(word, "oops"))
		WRITE_ONCE(*nowhere, 1);
	else if (sysfs_streq(word, "hang"))
		on_each_cpu(spin, NULL, 0);
	else if (sysfs_streq(word, "wait"))
		wait_for_ever();
	else if (sysfs_streq(word, "cross"))
		cross();
	else if (sysfs_streq(word, "sleep"))
		sleep_locked();
	else if (sysfs_streq(word, "freed"))
		use_freed();
	else if (sysfs_streq(word, "leak"))
		return kmalloc(64, GFP_KERNEL) ? 0 : -ENOMEM;
	else
		return -EINVAL;
	return 0;
}

static const struct kernel_param_ops ops = { .set = now };

module_param_cb(now, &ops, NULL, 0200);
MODULE_DESCRIPTION("Makes its kernel warn, oops, hang or leak, as asked");
MODULE_LICENSE("GPL");
