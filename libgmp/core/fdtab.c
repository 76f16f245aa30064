/* SPDX-License-Identifier: MIT */
/*
 * fdtab.c - see fdtab.h
 */
#include "core/fdtab.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "base/sysio.h"

enum { PAGES = ((unsigned int)INT_MAX + 1) >> RT_FD_PAGE_SHIFT };

#define DIR_BYTES  (PAGES * sizeof(struct rt_fd *))
#define PAGE_BYTES (RT_FD_PAGE * sizeof(struct rt_fd))

/* ---- the table ---------------------------------------------------- */

/* Memory for *at, unless another has just made it. Untouched it costs nothing. */
static void *publish(void *slot, size_t bytes)
{
	void **at = slot, *mine, *theirs = NULL;

	mine = rt_map(bytes);
	if (!mine)
		return load_acq(at);
	if (__atomic_compare_exchange_n(at, &theirs, mine, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return mine;
	rt_unmap(mine, bytes);
	return theirs;
}

static void raise_top(struct rt_fdtab *t, uint32_t to)
{
	uint32_t top = load_rlx(&t->top);

	while (top < to && !cas_acqrel(&t->top, top, to))
		top = load_rlx(&t->top);
}

struct rt_fd *rt_fd_make(struct rt_fdtab *t, int fd)
{
	struct rt_fd **page = load_acq(&t->page), **at, *p;

	if (!page)
		page = publish(&t->page, DIR_BYTES);
	if (!page)
		return NULL;
	at = &page[(unsigned int)fd >> RT_FD_PAGE_SHIFT];
	p = load_acq(at);
	if (!p)
		p = publish(at, PAGE_BYTES);
	if (p)
		raise_top(t, (uint32_t)(at - page) + 1);
	return p ? &p[fd & (RT_FD_PAGE - 1)] : NULL;
}

void rt_fdtab_free(struct rt_fdtab *t)
{
	if (!t->page)
		return;
	for (unsigned int i = 0; i < t->top; i++)
		if (t->page[i])
			rt_unmap(t->page[i], PAGE_BYTES);
	rt_unmap(t->page, DIR_BYTES);
	*t = (struct rt_fdtab){ 0 };
}

/* ---- an entry ----------------------------------------------------- */

/* kTLS may end a read before the socket is empty, as may MPTCP. */
static uint8_t sock_flags(int fd)
{
	int family = rt_sock_opt(fd, SOL_SOCKET, SO_DOMAIN);

	if (family == AF_UNIX)
		return RT_FD_UNIX;
	if ((family == AF_INET || family == AF_INET6) &&
	    rt_sock_opt(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP && !rt_sock_has_ulp(fd))
		return RT_FD_TCP;
	return 0;
}

int rt_fd_ask(int fd, uint8_t *flags)
{
	int mode = rt_fd_mode(fd);

	*flags = 0;
	if (mode < 0)
		return mode;
	if (S_ISSOCK(mode)) {
		*flags = sock_flags(fd);
		return RT_FD_SOCKET;
	}
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode) ? RT_FD_FILE : RT_FD_OTHER;
}

void rt_fd_reset_locked(struct rt_fd *e, enum rt_fd_kind kind, uint8_t flags)
{
	store_rlx(&e->gen, e->gen + 1);
	store_rel(&e->seq, e->seq + 1);
	store_rlx(&e->empty, 0);
	store_rlx(&e->sticky, 0);
	store_rlx(&e->flags, flags);
	store_rlx(&e->kind, (uint8_t)kind);
}
