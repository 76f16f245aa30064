/* SPDX-License-Identifier: MIT */
/*
 * fdtab.h - what the run time knows of each file descriptor
 *
 * Problem: a call comes with a number. Behind it must be found, in a few ns:
 * what kind of thing it is (so that it is used without blocking the M), who
 * waits for it, and whether it is being closed.
 *
 * A table by number, in two levels: pages of it are made when a number in them
 * is first used, and entries are never freed before the run's end. So an entry
 * may be looked at by anyone at any time; whether it still means the same file
 * is a question of its own:
 *
 *  - `use` counts the calls under way that have the file's number in their
 *    hands. gmprt_close() marks the entry, wakes who waits, and closes the file
 *    when the count is 0: none of these calls meets a number that means
 *    another file meanwhile. A goroutine that waits is not under way, it holds
 *    no use: its waker gives it one.
 *  - Files that this library made (accepted, dialled, listened on) are `ours`:
 *    the header demands that they are closed by gmprt_close(), so their entry
 *    is right.
 *  - Of others it may be out of date: a library may have closed the file by
 *    close(2), and the number come back as something else. So nothing is
 *    built on an entry that isn't ours which the kernel does not confirm: a
 *    wait registers it anew (netpoll.c), a socket call to what is none any more
 *    says ENOTSOCK, other files are used in a way that doesn't block whatever
 *    they are (api/io.c).
 *
 * Who may touch what: `lock` guards all but `use`. `seq`, `empty`, `kind`,
 * `flags` and `sticky` are read without it, as hints or as netpoll.h says.
 */
#ifndef RT_CORE_FDTAB_H
#define RT_CORE_FDTAB_H

#include "base/spin.h"

struct rt_g;
struct rt_fdwait;

enum rt_fd_kind {
	RT_FD_UNKNOWN, /* not asked yet */
	RT_FD_FILE,    /* regular file, disk, what has no poll: never waits long */
	RT_FD_SOCKET,
	RT_FD_OTHER,   /* pipe, terminal, eventfd ... */
};

enum {
	RT_FD_OURS = 1,
	RT_FD_REGISTERED = 2, /* with epoll, as far as we know */
	RT_FD_TCP = 4,     /* a short read means that it was empty: TCP */
	RT_FD_UNIX = 8,
	RT_FD_NO_NOWAIT_IN = 16,  /* RWF_NOWAIT is not for it */
	RT_FD_NO_NOWAIT_OUT = 32,
};

#define RT_FD_CLOSING 0x80000000u /* in `use` */

struct rt_fd {
	rt_spin lock;
	uint32_t use;   /* atomic: calls under way | RT_FD_CLOSING */
	uint32_t seq;   /* edges so far */
	uint32_t empty; /* seq + 1 when a read last found it empty; any reader */
	uint32_t gen;   /* files so far */
	uint8_t kind;
	uint8_t flags;
	uint8_t sticky; /* an end, an error, urgent data: a try always pays */
	struct rt_fdwait *first, *last; /* who waits */
	struct rt_g *closer; /* waits until use is 0 */
} __cacheline;

struct rt_fdtab {
	struct rt_fd **page; /* of RT_FD_PAGE entries each; NULL: not made yet */
	uint32_t top;        /* none is made from here on */
};

enum {
	RT_FD_PAGE_SHIFT = 12,
	RT_FD_PAGE = 1 << RT_FD_PAGE_SHIFT,
};

void rt_fdtab_free(struct rt_fdtab *t);

/* The entry of fd >= 0, or NULL: out of memory; peek: or nobody used it yet. */
struct rt_fd *rt_fd_make(struct rt_fdtab *t, int fd);

static inline struct rt_fd *rt_fd_peek(struct rt_fdtab *t, int fd)
{
	struct rt_fd **page = load_acq(&t->page), *p; /* pairs with publish() */

	if (unlikely(!page))
		return NULL;
	p = load_acq(&page[(unsigned int)fd >> RT_FD_PAGE_SHIFT]);
	return likely(p) ? &p[fd & (RT_FD_PAGE - 1)] : NULL;
}

static inline struct rt_fd *rt_fd_find(struct rt_fdtab *t, int fd)
{
	struct rt_fd *e = rt_fd_peek(t, fd);

	return likely(e) ? e : rt_fd_make(t, fd);
}

/*
 * One more call under way; false: it is being closed. Either way the caller
 * gives it back by rt_fd_put(), and if that is true, wakes the closer.
 */
static inline bool rt_fd_get(struct rt_fd *e)
{
	/* acquire: pairs with the fetch-and of who closed the last file */
	return !(__atomic_fetch_add(&e->use, 1, __ATOMIC_ACQUIRE) & RT_FD_CLOSING);
}

static inline bool rt_fd_put(struct rt_fd *e)
{
	return unlikely(__atomic_sub_fetch(&e->use, 1, __ATOMIC_ACQ_REL) == RT_FD_CLOSING);
}

/* Asks the kernel what fd is. The flags it has come to *flags. -EBADF. */
int rt_fd_ask(int fd, uint8_t *flags);

/* The entry begins anew, for another file. The caller has seen to waiters and
 * registration. */
void rt_fd_reset_locked(struct rt_fd *e, enum rt_fd_kind kind, uint8_t flags);

#endif
