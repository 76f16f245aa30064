/* SPDX-License-Identifier: MIT */
/*
 * nap.c - what sysmon sleeps on
 *
 * A word that whoever wakes it changes, and a futex. With a backend in the kernel
 * there is one more who wakes: a P was freed that has work and nobody stands by
 * awake for it. That comes through the backend's ring buffer, which only epoll can
 * wait for; so then sysmon sleeps in epoll, and is woken by an eventfd.
 *
 *	who wakes			sysmon
 *	word + 1			in_epoll = 1
 *	smp_mb				smp_mb
 *	reads in_epoll: futex or fd	reads the word: not what it was? back
 *
 * Who wakes counts itself in `raisers` from before it reads in_epoll until it is done:
 * event_fd is closed, and its number another's, only when nobody is in there. Model:
 * tests/model/nap.pml.
 *
 * In deep sleep nothing runs, so nothing is freed: that is always the futex.
 *
 * None of this lies in rt_sched: signal handlers must reach sysmon when they can't
 * know whether that exists. There is one run at a time.
 */
#include "sched/nap.h"

#include <errno.h>

#include "base/sys.h"
#include "base/sysio.h"

static uint32_t nap_word, in_epoll;
static uint32_t raisers; /* about to raise event_fd: its number must not become another's */
static int epoll_fd = -1, event_fd = -1;

static bool epoll_set_up(int wake_fd)
{
	return rt_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, EPOLLIN, 0) == 0 &&
	       rt_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, EPOLLIN, 1) == 0;
}

void rt_nap_open(struct rt_sched *s)
{
	if (!rt_port_in_kernel(&s->port))
		return;
	epoll_fd = rt_epoll_create();
	event_fd = rt_eventfd_create();
	/* Else it looks now and then, as without a backend. */
	if (epoll_fd < 0 || event_fd < 0 || !epoll_set_up(s->port.up.wake_fd))
		rt_nap_close();
}

void rt_nap_close(void)
{
	unsigned int round = 0;

	while (load_seq(&raisers))
		rt_backoff(&round);
	if (epoll_fd >= 0)
		rt_sys_close(epoll_fd);
	if (event_fd >= 0)
		rt_sys_close(event_fd);
	epoll_fd = event_fd = -1;
}

void rt_nap_forked(void)
{
	in_epoll = raisers = 0;
	rt_nap_close();
}

uint32_t rt_nap_word(void)
{
	return load_acq(&nap_word);
}

bool rt_nap_deep(uint32_t word, int64_t until)
{
	return rt_futex_wait(&nap_word, word, until) != -ETIMEDOUT;
}

static bool nap_in_epoll(struct rt_sched *s, uint32_t word, int64_t until)
{
	struct epoll_event ev[2];
	bool freed = false;
	int n = 0;

	store_seq(&in_epoll, 1);
	smp_mb(); /* pairs with rt_sysmon_wake() */
	if (load_acq(&nap_word) == word)
		n = rt_epoll_wait(epoll_fd, ev, 2, until);
	store_seq(&in_epoll, 0);
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64) {
			rt_upcall_drain(&s->port.up);
			freed = true;
		} else {
			rt_eventfd_drain(event_fd);
		}
	}
	return freed;
}

bool rt_nap(struct rt_sched *s, uint32_t word, int64_t until)
{
	if (unlikely(epoll_fd >= 0))
		return nap_in_epoll(s, word, until);
	rt_futex_wait(&nap_word, word, until);
	return false;
}

void rt_sysmon_wake(void)
{
	fetch_add_seq(&nap_word, 1);
	fetch_add_seq(&raisers, 1);
	if (load_seq(&in_epoll))
		rt_eventfd_raise(event_fd);
	else
		rt_futex_wake(&nap_word, 1);
	fetch_add_seq(&raisers, -1);
}
