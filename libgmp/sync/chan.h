/* SPDX-License-Identifier: MIT */
/*
 * chan.h - what chan.c and select.c share
 */
#ifndef RT_SYNC_CHAN_H
#define RT_SYNC_CHAN_H

#include <string.h>

#include "sync/wait.h"

struct gmprt_chan {
	rt_spin lock;        /* guards all that is not constant */
	uint32_t elem_size;  /* constant */
	uint32_t cap;        /* constant */
	uint32_t len;        /* also read without the lock */
	uint32_t head;       /* index of the oldest element */
	bool closed;         /* to senders: a timer's is so from the start */
	bool timer;          /* constant: a timer's, see timer.c */
	uint32_t run;        /* rt_sched.run of who waited last */
	struct rt_waitq recvq, sendq;
	unsigned char buf[] __attribute__((aligned(16)));
};

static __always_inline_ void rt_elem_copy(const gmprt_chan *c, void *to, const void *from)
{
	/* Most elements are a word or a pointer. */
	if (likely(c->elem_size == 8))
		__builtin_memcpy(to, from, 8);
	else if (c->elem_size) /* of nothing, both may be NULL */
		memcpy(to, from, c->elem_size);
}

static __always_inline_ void *rt_chan_slot(gmprt_chan *c, uint32_t i)
{
	return c->buf + (size_t)i * c->elem_size;
}

static __always_inline_ uint32_t rt_chan_wrap(const gmprt_chan *c, uint32_t i)
{
	return i >= c->cap ? i - c->cap : i;
}

/* In place of a deadline: do not wait. */
#define RT_CHAN_TRY ((int64_t)-1)

/* What a try under the lock came to. */
enum rt_chan_did {
	RT_CHAN_DONE,    /* through the buffer */
	RT_CHAN_DIRECT,  /* with *peer, whom the caller readies after unlock */
	RT_CHAN_CLOSED,
	RT_CHAN_BLOCKS,
};

/* A timer's channel, empty and locked: true if its time has come; now it is in
 * the buffer. */
bool rt_timer_chan_poll_locked(gmprt_chan *c);

/* Goroutines of the run that is under way. */
bool rt_chan_has_waiters(gmprt_chan *c);

/* What a send is told that found RT_CHAN_CLOSED: -EPIPE; or it is misuse. */
int rt_chan_closed_to_send(gmprt_chan *c);

/* Under c->lock. put: though it is a timer's, never RT_CHAN_CLOSED. */
enum rt_chan_did rt_chan_put_locked(gmprt_chan *c, const void *elem, struct rt_g **peer);
enum rt_chan_did rt_chan_send_locked(gmprt_chan *c, const void *elem, struct rt_g **peer);
enum rt_chan_did rt_chan_recv_locked(gmprt_chan *c, void *elem, struct rt_g **peer);

#endif
