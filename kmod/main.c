// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - gmprt.ko: the kernel's side of the gmprt run time
 *
 * At the moment a registered thread blocks, the right to run goroutines that it had
 * (its P, a word in shared memory) is made free for another thread. The contract is
 * abi/gmprt_abi.h; the calls are abi/gmprt_kmod.h.
 *
 *	device.c	/dev/gmprt
 *	session.c	a process, and the memory that it shares
 *	thread.c	registered threads, from beginning to end
 *	block.c		what is done in a switch
 *	debug.c		debugfs; gmprt_trace.h has the trace events
 *	compat.h	kernels' differences
 *
 * The policy is user space's. The kernel's side never runs its code, follows none of
 * its pointers, and believes no number that it reads there.
 *
 * Exit. The module has no users now: no file is open, no session is left, hence no
 * thread is registered. What may still run are the last instructions of functions
 * that have given a reference back: of a work item, for which destroying the queue
 * waits; of a callback on a task's way to user mode, for which gmprt_threads_exit()
 * does. So first nobody can come any more (the device), then those two.
 */
#include <linux/module.h>
#include <linux/preempt.h>

#include "debug.h"
#include "device.h"
#include "session.h"
#include "thread.h"

static int __init gmprt_init(void)
{
	int r = gmprt_sessions_init();

	if (r)
		return r;
	preempt_notifier_inc(); /* without it no notifier of ours is called */
	gmprt_debug_init();
	r = gmprt_device_init();
	if (r)
		goto err_debug;
	return 0;

err_debug:
	gmprt_debug_exit();
	preempt_notifier_dec();
	gmprt_sessions_exit();
	return r;
}

static void __exit gmprt_exit(void)
{
	gmprt_device_exit();
	gmprt_debug_exit();
	gmprt_sessions_exit();
	gmprt_threads_exit();
	preempt_notifier_dec();
}

module_init(gmprt_init);
module_exit(gmprt_exit);

MODULE_DESCRIPTION("upcalls for gmprt: a blocked thread's P is made free");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
