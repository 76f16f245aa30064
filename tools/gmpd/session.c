/* SPDX-License-Identifier: MIT */
/*
 * session.c - sessions in the kernel: made, ended, limited
 *
 * The order of making: the memory and the ring buffer are put into their tables,
 * then the programs' private copy with the key, then the client learns the key. Of
 * ending: the key first. So no program sees half a session.
 *
 * What a user has is limited by what the kernel still holds, not by what we still
 * count: a client may keep its descriptors, or map the memory, after its connection
 * is closed, or bind it to the program (BPF_PROG_BIND_MAP needs no right). So an
 * ended session keeps its number, and counts, until both its maps are gone; that is
 * looked up by their IDs when somebody asks.
 *
 * When the programs are unloaded and loaded again, what was made before is dead;
 * its clients go on by sysmon, and their numbers mean nothing in the new maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "abi/gmprt_abi.h"
#include "abi/gmprt_bpf.h"
#include "gmpd/gmpd.h"
#include "lib/pins.h"

enum {
	RING_BYTES = 65536,
	USERS = 4, /* whose whole share of memory there is */
};

enum state { FREE,
	     OPEN,
	     ENDED };

struct session {
	enum state state;
	uid_t uid;
	uint64_t bytes;
	uint32_t space_id, wake_id;
	uint32_t pins_id; /* of the maps it was made in */
};

static struct session sessions[GMPRT_SESSIONS];
static struct pins pins;
static int lock_fd = -1;

/* ---- the pins ------------------------------------------------------ */

/* Closing the folder gives the lock back. */
static bool lock_pins(const struct config *c)
{
	if (lock_fd >= 0)
		close(lock_fd);
	lock_fd = open(c->pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) == 0;
}

static void close_session(int sessions_fd, uint32_t nr)
{
	struct gmprt_session none = { 0 };

	bpf_map_update_elem(sessions_fd, &nr, &none, BPF_ANY);
	bpf_map_delete_elem(pins.spaces, &nr);
	bpf_map_delete_elem(pins.wakes, &nr);
}

static int adopt(const struct config *c, char *why, size_t size)
{
	int r;

	pins_close(&pins);
	r = pins_open(&pins, c->pins, why, size);
	if (r)
		return r;
	if (!lock_pins(c)) {
		snprintf(why, size, "another gmpd serves %s", c->pins);
		pins_close(&pins);
		return -EBUSY;
	}
	for (uint32_t nr = 1; nr < GMPRT_SESSIONS; nr++)
		close_session(pins.sessions, nr);
	return 0;
}

int session_start(const struct config *c)
{
	char why[300];
	int r;

	pins = (struct pins){ -1, -1, -1, -1, 0 };
	r = adopt(c, why, sizeof(why));
	if (r)
		complain("%s", why);
	return r == -EBUSY ? -1 : 0;
}

static int refresh(const struct config *c, char *why, size_t size)
{
	return pins_are(&pins, c->pins) ? 0 : adopt(c, why, size);
}

/* ---- limits -------------------------------------------------------- */

static bool map_lives(uint32_t id)
{
	int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return errno != ENOENT;
	close(fd);
	return true;
}

static void sweep(void)
{
	for (struct session *s = sessions + 1; s < sessions + GMPRT_SESSIONS; s++)
		if (s->state == ENDED && !map_lives(s->space_id) && !map_lives(s->wake_id))
			*s = (struct session){ 0 };
}

static int __attribute__((format(printf, 3, 4)))
refuse(struct gmprt_gmpd_answer *a, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->why, sizeof(a->why), fmt, ap);
	va_end(ap);
	a->error = error;
	return error;
}

static int within_limits(const struct config *c, uid_t uid, uint64_t bytes,
			 struct gmprt_gmpd_answer *a)
{
	uint64_t n = 0, all = bytes;

	for (const struct session *s = sessions; s < sessions + GMPRT_SESSIONS; s++) {
		if (s->state == FREE)
			continue;
		all += s->bytes;
		if (s->uid != uid)
			continue;
		n++;
		bytes += s->bytes;
	}
	if (n >= c->limits.sessions)
		return refuse(a, -EDQUOT, "user %u has %ju sessions, as many as are allowed", uid,
			      (uintmax_t)n);
	if (bytes > c->limits.bytes)
		return refuse(a, -EDQUOT, "user %u would have %ju bytes, %ju are allowed", uid,
			      (uintmax_t)bytes, (uintmax_t)c->limits.bytes);
	if (all > USERS * c->limits.bytes)
		return refuse(a, -EDQUOT, "all users would have %ju bytes, %ju are allowed",
			      (uintmax_t)all, (uintmax_t)(USERS * c->limits.bytes));
	return 0;
}

static uint32_t free_number(void)
{
	for (uint32_t nr = 1; nr < GMPRT_SESSIONS; nr++)
		if (sessions[nr].state == FREE)
			return nr;
	return NO_SESSION;
}

/* ---- making -------------------------------------------------------- */

/* As bpf/session.h declares them: another kind would not go into the table. */
static int make_maps(uint32_t nr_blocks, int *fds)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		    .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);

	fds[GMPRT_FD_SPACE] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "gmprt_space", sizeof(__u32),
					     GMPRT_ABI_BLOCK, nr_blocks, &opts);
	if (fds[GMPRT_FD_SPACE] < 0)
		return -errno;
	fds[GMPRT_FD_WAKE] =
		bpf_map_create(BPF_MAP_TYPE_RINGBUF, "gmprt_wake", 0, 0, RING_BYTES, NULL);
	return fds[GMPRT_FD_WAKE] < 0 ? -errno : 0;
}

static int put_maps(uint32_t nr, const int *fds)
{
	if (bpf_map_update_elem(pins.spaces, &nr, &fds[GMPRT_FD_SPACE], BPF_ANY) ||
	    bpf_map_update_elem(pins.wakes, &nr, &fds[GMPRT_FD_WAKE], BPF_ANY))
		return -errno;
	return 0;
}

static int put_key(uint32_t nr, const struct gmprt_abi_head *h, uid_t uid, pid_t pid,
		   struct gmprt_gmpd_answer *a)
{
	struct gmprt_session s = { .nr_ps = h->nr_ps,
				   .nr_ms = h->nr_ms,
				   .p_first = h->p_first,
				   .p_stride = h->p_stride,
				   .m_first = h->m_first,
				   .uid = uid,
				   .pid = (__u32)pid };

	if (getentropy(&s.key, sizeof(s.key)))
		return -errno;
	s.key |= 1; /* 0 is none */
	a->key = s.key;
	return bpf_map_update_elem(pins.sessions, &nr, &s, BPF_ANY) ? -errno : 0;
}

static void close_fds(int *fds)
{
	for (int i = GMPRT_FD_SPACE; i < GMPRT_NR_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int make(uint32_t nr, const struct gmprt_abi_head *h, uid_t uid, pid_t pid,
		struct gmprt_gmpd_answer *a, int *fds)
{
	int r = make_maps(h->nr_blocks, fds);

	if (!r)
		r = put_maps(nr, fds);
	if (!r)
		r = put_key(nr, h, uid, pid, a);
	if (!r)
		return 0;
	close_session(pins.sessions, nr);
	close_fds(fds);
	a->key = 0;
	return refuse(a, r, "can't make a session in the kernel: %s", strerror(-r));
}

static uint32_t features(void)
{
	static int hold = -1;

	if (hold < 0)
		hold = kernel_hold();
	return GMPRT_F_WAKE | (hold > 0 ? GMPRT_F_HOLD : 0);
}

static int check(const struct gmprt_gmpd_ask *q, struct gmprt_abi_head *h,
		 struct gmprt_gmpd_answer *a)
{
	if (q->magic != GMPRT_GMPD_MAGIC || q->version != GMPRT_ABI_VERSION)
		return refuse(a, -EPROTO, "version %u was asked for, this is version %u",
			      q->version, GMPRT_ABI_VERSION);
	h->nr_ps = q->nr_ps;
	h->nr_ms = q->nr_ms;
	h->p_stride = q->p_stride;
	if (gmprt_abi_shape(h))
		return 0;
	return refuse(a, -EINVAL, "%u Ps, %u Ms, stride %u: out of bounds", q->nr_ps, q->nr_ms,
		      q->p_stride);
}

uint32_t session_make(const struct config *c, uid_t uid, pid_t pid,
		      const struct gmprt_gmpd_ask *q, struct gmprt_gmpd_answer *a, int *fds)
{
	struct gmprt_abi_head h = { 0 };
	uint64_t bytes;
	uint32_t nr;

	if (check(q, &h, a))
		return NO_SESSION;
	a->error = refresh(c, a->why, sizeof(a->why));
	if (a->error)
		return NO_SESSION;
	sweep();
	bytes = (uint64_t)h.nr_blocks * GMPRT_ABI_BLOCK + RING_BYTES;
	if (within_limits(c, uid, bytes, a))
		return NO_SESSION;
	nr = free_number();
	if (!nr) {
		refuse(a, -EBUSY, "all %u sessions are in use", GMPRT_SESSIONS - 1);
		return NO_SESSION;
	}
	if (make(nr, &h, uid, pid, a, fds))
		return NO_SESSION;
	sessions[nr] = (struct session){ .state = OPEN,
					 .uid = uid,
					 .bytes = bytes,
					 .space_id = map_id(fds[GMPRT_FD_SPACE]),
					 .wake_id = map_id(fds[GMPRT_FD_WAKE]),
					 .pins_id = pins.id };
	fds[GMPRT_FD_CALL] = pins.call;
	a->session = nr;
	a->features = features();
	return nr;
}

void session_free(uint32_t nr)
{
	if (nr == NO_SESSION)
		return;
	if (sessions[nr].pins_id == pins.id)
		close_session(pins.sessions, nr);
	sessions[nr].state = ENDED;
}
