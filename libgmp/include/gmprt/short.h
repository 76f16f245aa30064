/* SPDX-License-Identifier: MIT */
/*
 * gmprt/short.h - short names, for programs that have no others of the kind
 *
 * Opt-in: include it instead of <gmprt.h> and write go(f, x), chan_send(c, &v),
 * chan_select_try(cases, n). Nothing here but names: the contracts are in
 * <gmprt.h>. select() itself and sleep() keep their libc meaning. They are
 * macros, for C: in C++ yield() would take std::this_thread::yield() for its own.
 */
#ifndef GMPRT_SHORT_H
#define GMPRT_SHORT_H

#include <gmprt.h>

typedef gmprt_chan chan;

#define go(fn, arg)            gmprt_go(fn, arg)
#define yield()                gmprt_yield()
#define goid()                 gmprt_id()
#define now_ns()               gmprt_now()
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

#define timer_make(ns)         gmprt_timer_make(ns)
#define timer_chan(t)          gmprt_timer_chan(t)
#define timer_stop(t)          gmprt_timer_stop(t)
#define timer_reset(t, ns)     gmprt_timer_reset(t, ns)
#define timer_free(t)          gmprt_timer_free(t)
#define ticker_make(ns)        gmprt_ticker_make(ns)
#define ticker_chan(t)         gmprt_ticker_chan(t)
#define ticker_stop(t)         gmprt_ticker_stop(t)
#define ticker_reset(t, ns)    gmprt_ticker_reset(t, ns)
#define ticker_free(t)         gmprt_ticker_free(t)

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

/* read(), write(), accept() and so on belong to POSIX. */
#define io_read(fd, b, n)                     gmprt_read(fd, b, n)
#define io_read_try(fd, b, n)                 gmprt_read_try(fd, b, n)
#define io_read_dl(fd, b, n, d)               gmprt_read_dl(fd, b, n, d)
#define io_write(fd, b, n)                    gmprt_write(fd, b, n)
#define io_write_try(fd, b, n)                gmprt_write_try(fd, b, n)
#define io_write_dl(fd, b, n, d)              gmprt_write_dl(fd, b, n, d)
#define io_write_all(fd, b, n)                gmprt_write_all(fd, b, n)
#define io_write_all_dl(fd, b, n, d)          gmprt_write_all_dl(fd, b, n, d)
#define io_readv(fd, v, n)                    gmprt_readv(fd, v, n)
#define io_readv_try(fd, v, n)                gmprt_readv_try(fd, v, n)
#define io_readv_dl(fd, v, n, d)              gmprt_readv_dl(fd, v, n, d)
#define io_writev(fd, v, n)                   gmprt_writev(fd, v, n)
#define io_writev_try(fd, v, n)               gmprt_writev_try(fd, v, n)
#define io_writev_dl(fd, v, n, d)             gmprt_writev_dl(fd, v, n, d)
#define io_recvfrom(fd, b, n, f, a, l)        gmprt_recvfrom(fd, b, n, f, a, l)
#define io_recvfrom_try(fd, b, n, f, a, l)    gmprt_recvfrom_try(fd, b, n, f, a, l)
#define io_recvfrom_dl(fd, b, n, f, a, l, d)  gmprt_recvfrom_dl(fd, b, n, f, a, l, d)
#define io_sendto(fd, b, n, f, a, l)          gmprt_sendto(fd, b, n, f, a, l)
#define io_sendto_try(fd, b, n, f, a, l)      gmprt_sendto_try(fd, b, n, f, a, l)
#define io_sendto_dl(fd, b, n, f, a, l, d)    gmprt_sendto_dl(fd, b, n, f, a, l, d)
#define io_recvmsg(fd, m, f)                  gmprt_recvmsg(fd, m, f)
#define io_recvmsg_try(fd, m, f)              gmprt_recvmsg_try(fd, m, f)
#define io_recvmsg_dl(fd, m, f, d)            gmprt_recvmsg_dl(fd, m, f, d)
#define io_sendmsg(fd, m, f)                  gmprt_sendmsg(fd, m, f)
#define io_sendmsg_try(fd, m, f)              gmprt_sendmsg_try(fd, m, f)
#define io_sendmsg_dl(fd, m, f, d)            gmprt_sendmsg_dl(fd, m, f, d)
#define io_accept(fd, a, l)                   gmprt_accept(fd, a, l)
#define io_accept_try(fd, a, l)               gmprt_accept_try(fd, a, l)
#define io_accept_dl(fd, a, l, d)             gmprt_accept_dl(fd, a, l, d)
#define io_connect(fd, a, l)                  gmprt_connect(fd, a, l)
#define io_connect_try(fd, a, l)              gmprt_connect_try(fd, a, l)
#define io_connect_dl(fd, a, l, d)            gmprt_connect_dl(fd, a, l, d)
#define io_poll(fd, e)                        gmprt_poll(fd, e)
#define io_poll_try(fd, e)                    gmprt_poll_try(fd, e)
#define io_poll_dl(fd, e, d)                  gmprt_poll_dl(fd, e, d)
#define io_close(fd)                          gmprt_close(fd)
#define listen_tcp(hp, backlog)               gmprt_listen_tcp(hp, backlog)
#define dial_tcp(hp)                          gmprt_dial_tcp(hp)
#define dial_tcp_dl(hp, d)                    gmprt_dial_tcp_dl(hp, d)

/* sem_wait(), sem_post() belong to POSIX. */
#define gsem_wait(s)           gmprt_sem_wait(s)
#define gsem_wait_try(s)       gmprt_sem_wait_try(s)
#define gsem_wait_dl(s, d)     gmprt_sem_wait_dl(s, d)
#define gsem_post(s)           gmprt_sem_post(s)

#endif /* GMPRT_SHORT_H */
