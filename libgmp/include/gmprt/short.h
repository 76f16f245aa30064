/* SPDX-License-Identifier: MIT */
/*
 * gmprt/short.h - short names, for programs that have no others of the kind
 *
 * Opt-in: include it instead of <gmprt.h> and write go(f, x), chan_send(c, &v),
 * select_try(cases, n). Nothing here but names: the contracts are in
 * <gmprt.h>. select() itself and sleep() keep their libc meaning.
 */
#ifndef GMPRT_SHORT_H
#define GMPRT_SHORT_H

#include <gmprt.h>

typedef gmprt_chan chan;

#define go(fn, arg)            gmprt_go(fn, arg)
#define yield()                gmprt_yield()
#define goid()                 gmprt_id()
#define sleep_ns(ns)           gmprt_sleep(ns)
#define block_enter()          gmprt_block_enter()
#define block_exit()           gmprt_block_exit()

#define fork_task(t, fn, arg)  gmprt_fork(t, fn, arg)
#define join_task(t)           gmprt_join(t)

#define chan_make(size, cap)   gmprt_chan_make(size, cap)
#define chan_free(c)           gmprt_chan_free(c)
#define chan_send(c, e)        gmprt_chan_send(c, e)
#define chan_send_try(c, e)    gmprt_chan_send_try(c, e)
#define chan_send_dl(c, e, d)  gmprt_chan_send_dl(c, e, d)
#define chan_recv(c, e)        gmprt_chan_recv(c, e)
#define chan_recv_try(c, e)    gmprt_chan_recv_try(c, e)
#define chan_recv_dl(c, e, d)  gmprt_chan_recv_dl(c, e, d)
#define chan_close(c)          gmprt_chan_close(c)
#define chan_len(c)            gmprt_chan_len(c)
#define chan_cap(c)            gmprt_chan_cap(c)

#define chan_select(cs, n)       gmprt_select(cs, n)
#define chan_select_try(cs, n)   gmprt_select_try(cs, n)
#define chan_select_dl(cs, n, d) gmprt_select_dl(cs, n, d)

#define mutex_lock(m)          gmprt_mutex_lock(m)
#define mutex_lock_try(m)      gmprt_mutex_lock_try(m)
#define mutex_lock_dl(m, d)    gmprt_mutex_lock_dl(m, d)
#define mutex_unlock(m)        gmprt_mutex_unlock(m)

#define wg_add(w, n)           gmprt_wg_add(w, n)
#define wg_done(w)             gmprt_wg_done(w)
#define wg_wait(w)             gmprt_wg_wait(w)
#define wg_wait_try(w)         gmprt_wg_wait_try(w)
#define wg_wait_dl(w, d)       gmprt_wg_wait_dl(w, d)

#define once_do(o, fn, arg)    gmprt_once_do(o, fn, arg)

/* sem_wait(), sem_post() belong to POSIX. */
#define gsem_wait(s)           gmprt_sem_wait(s)
#define gsem_wait_try(s)       gmprt_sem_wait_try(s)
#define gsem_wait_dl(s, d)     gmprt_sem_wait_dl(s, d)
#define gsem_post(s)           gmprt_sem_post(s)

#endif /* GMPRT_SHORT_H */
