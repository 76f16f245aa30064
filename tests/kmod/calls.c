/* SPDX-License-Identifier: MIT */
/*
 * calls.c - proves: each call of /dev/gmprt does what gmprt_kmod.h says, and refuses
 * what it does not say with the error that it names
 */
#include <poll.h>
#include <sys/socket.h>

#include "kmod/kmod.h"

KMOD_TEST(a_question_is_answered_and_a_smaller_one_too)
{
	struct gmprt_kmod_query q = { .size = sizeof(q) };
	uint32_t old[5] = { 4 * sizeof(uint32_t), 0, 0, 0, 4711 };
	int fd = dev_open();

	ASSERT_EQ(ioctl(fd, GMPRT_KMOD_QUERY, &q), 0);
	ASSERT_EQ(q.version, GMPRT_ABI_VERSION);
	ASSERT_EQ(q.features, GMPRT_F_HOLD | GMPRT_F_WAKE);
	ASSERT_EQ(q.max_ps, GMPRT_ABI_MAX_PS);
	ASSERT_EQ(q.max_ms, GMPRT_ABI_MAX_MS);
	ASSERT_GT(q.max_sessions, 0);
	ASSERT_EQ(ioctl(fd, GMPRT_KMOD_QUERY, old), 0);
	ASSERT_EQ(old[3], GMPRT_F_HOLD | GMPRT_F_WAKE);
	ASSERT_EQ(old[4], 4711);
	close(fd);
}

KMOD_TEST(of_a_larger_struct_what_is_not_known_must_be_zero)
{
	struct {
		struct gmprt_kmod_query q;
		uint64_t more;
	} ask = { .q.size = sizeof(ask) };
	int fd = dev_open();

	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_QUERY, &ask)), 0);
	ask.q = (struct gmprt_kmod_query){ .size = sizeof(ask) };
	ask.more = 1;
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_QUERY, &ask)), -E2BIG);
	for (uint32_t size = 0; size < 8; size++) {
		ask.q.size = size;
		ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_QUERY, &ask)), -EINVAL);
	}
	ask.q.size = UINT32_MAX;
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_QUERY, &ask)), -EINVAL);
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_QUERY, NULL)), -EFAULT);
	close(fd);
}

KMOD_TEST(flags_versions_and_calls_that_there_are_not_are_refused)
{
	struct gmprt_kmod_query q = { .size = sizeof(q), .flags = 1 };
	struct gmprt_kmod_create c = { .size = sizeof(c),
				       .version = GMPRT_ABI_VERSION,
				       .nr_ps = 1,
				       .nr_ms = 2,
				       .p_stride = 1 };
	struct gmprt_kmod_m m = { .size = sizeof(m), .m = 1, .reserved = 1 };
	int fd = dev_open();

	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_QUERY, &q)), -EINVAL);
	c.flags = 1;
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_CREATE, &c)), -EINVAL);
	c.flags = 0;
	c.version++;
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_CREATE, &c)), -EINVAL);
	c.version--;
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_CREATE, &c)), 0);
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_REGISTER, &m)), -EINVAL);
	m.reserved = 0;
	m.flags = 1;
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_REGISTER, &m)), -EINVAL);
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_UNREGISTER, 1)), -EINVAL);
	ASSERT_EQ(told(ioctl(fd, GMPRT_KMOD_UNREGISTER, 0)), -EINVAL);
	ASSERT_EQ(told(ioctl(fd, _IO('G', 0xe4), 0)), -ENOTTY);
	close(fd);
}

KMOD_TEST(before_a_session_is_made_there_is_none)
{
	struct pollfd p = { .fd = dev_open(), .events = POLLIN };
	uint64_t n;

	ASSERT_EQ(dev_register(p.fd, 1), -ENXIO);
	ASSERT_EQ(dev_unregister(p.fd), -ENXIO);
	ASSERT_EQ(mmap(NULL, 4096, PROT_READ, MAP_SHARED, p.fd, 0), MAP_FAILED);
	ASSERT_EQ(errno, ENXIO);
	ASSERT_EQ(told(read(p.fd, &n, sizeof(n))), -ENXIO);
	ASSERT_EQ(poll(&p, 1, 0), 1);
	ASSERT_EQ(p.revents, POLLERR);
	close(p.fd);
}

KMOD_TEST(a_file_has_one_session)
{
	struct session s;

	session_begin(&s);
	ASSERT_EQ(dev_create(s.fd, 1, 2, NULL), -EBUSY);
	session_end(&s);
}

/* ---- mmap -------------------------------------------------------------- */

static int maps(const struct session *s, size_t bytes, int prot, int flags, off_t from)
{
	void *at = mmap(NULL, bytes, prot, flags, s->fd, from);

	if (at == MAP_FAILED)
		return -errno;
	munmap(at, bytes);
	return 0;
}

KMOD_TEST(only_the_sessions_memory_is_mapped_shared_and_never_executable)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct session s;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n;

	session_begin(&s);
	n = s.bytes;
	ASSERT_EQ(maps(&s, n, rw, MAP_SHARED, 0), 0);
	ASSERT_EQ(maps(&s, page, PROT_READ, MAP_SHARED, (off_t)(n - page)), 0);
	ASSERT_EQ(maps(&s, n + page, rw, MAP_SHARED, 0), -EINVAL);
	ASSERT_EQ(maps(&s, n, rw, MAP_SHARED, (off_t)page), -EINVAL);
	ASSERT_EQ(maps(&s, page, rw, MAP_SHARED, (off_t)n), -EINVAL);
	ASSERT_EQ(maps(&s, page, rw, MAP_SHARED, (off_t)1 << 62), -EINVAL);
	ASSERT_EQ(maps(&s, n, rw, MAP_PRIVATE, 0), -EINVAL);
	ASSERT_EQ(maps(&s, n, rw | PROT_EXEC, MAP_SHARED, 0), -EINVAL);
	ASSERT_EQ(told(mprotect(s.head, n, rw | PROT_EXEC)), -EACCES);
	ASSERT_EQ(mremap(s.head, n, n + page, MREMAP_MAYMOVE), MAP_FAILED);
	session_end(&s);
}

KMOD_TEST(memory_stays_until_it_is_unmapped)
{
	struct session s;

	session_begin(&s);
	ASSERT_EQ(close(s.fd), 0);
	ASSERT_EQ(s.head->magic, GMPRT_ABI_MAGIC);
	s.head->work = 1;
	ASSERT_EQ(munmap(s.head, s.bytes), 0);
}

/* ---- who else has the descriptor --------------------------------------- */

static struct session shared;

static void expect_refusal(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	G_EQ(-EPERM, dev_register(fd, 2));
	G_EQ(-EPERM, dev_unregister(fd));
	G_EQ(-EBUSY, dev_create(fd, 1, 2, NULL));
	G_TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	G_EQ(EPERM, errno);
	G_EQ(-EPERM, told(read(fd, &n, sizeof(n))));
	G_EQ(1, poll(&p, 1, 0));
	G_EQ(POLLERR, p.revents);
}

static void child_tries(int to)
{
	G_TRUE(!g_readable(shared.head));
	expect_refusal(shared.fd);
	tells(to);
}

KMOD_TEST(a_child_of_fork_has_no_memory_and_is_refused)
{
	pid_t pid;
	int from;

	session_begin(&shared);
	becomes(&shared, 1, 0);
	pid = child_that(child_tries, &from);
	hears(from);
	ends_well(pid);
	ASSERT_EQ(dev_unregister(shared.fd), 0);
	session_end(&shared);
	close(from);
}

static int line[2]; /* of sockets */

static void receives(int to)
{
	char c, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd;

	G_EQ(1, recvmsg(line[1], &m, 0));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	expect_refusal(fd);
	tells(to);
}

static void sends(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec v = { (char[]){ 'x' }, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	G_EQ(1, sendmsg(line[0], &m, 0));
}

KMOD_TEST(who_was_sent_the_descriptor_is_refused)
{
	pid_t pid;
	int from;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, line), 0);
	pid = child_that(receives, &from);
	session_begin(&shared); /* after the fork: it is not inherited */
	sends(shared.fd);
	hears(from);
	ends_well(pid);
	session_end(&shared);
	close(from);
}

/* ---- limits ------------------------------------------------------------- */

static void set_parameter(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/gmprt/parameters/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	G_GE(fd, 0);
	G_EQ((ssize_t)strlen(value), write(fd, value, strlen(value)));
	G_OK(close(fd));
}

static void makes_three(int to)
{
	int fd[4];

	for (int i = 0; i < 4; i++)
		fd[i] = dev_open();
	G_OK(setresgid(65534, 65534, 65534));
	G_OK(setresuid(65534, 65534, 65534));
	for (int i = 0; i < 3; i++)
		G_OK(dev_create(fd[i], 1, 2, NULL));
	G_EQ(-EMFILE, dev_create(fd[3], 1, 2, NULL));
	close(fd[0]);
	UNTIL(dev_create(fd[3], 1, 2, NULL) == 0);
	tells(to);
}

KMOD_TEST(a_user_has_so_many_sessions)
{
	pid_t pid;
	int from;

	set_parameter("max_sessions_per_user", "3");
	pid = child_that(makes_three, &from);
	hears(from);
	ends_well(pid);
	set_parameter("max_sessions_per_user", "256");
	close(from);
}

static void takes_too_much(int to)
{
	int small = dev_open(), large = dev_open();

	G_OK(setresgid(65534, 65534, 65534));
	G_OK(setresuid(65534, 65534, 65534));
	G_EQ(-EDQUOT, dev_create(large, 1, GMPRT_ABI_MAX_MS, NULL)); /* 640 KB and a bit */
	G_EQ(-EDQUOT, dev_create(large, GMPRT_ABI_MAX_PS, GMPRT_ABI_MAX_MS, NULL));
	G_EQ(-EDQUOT, dev_create(small, 1, 2, NULL));
	tells(to);
}

static void takes_what_there_is(int to)
{
	int fd[4];

	for (int i = 0; i < 4; i++)
		fd[i] = dev_open();
	G_OK(setresgid(65534, 65534, 65534));
	G_OK(setresuid(65534, 65534, 65534));
	G_OK(dev_create(fd[0], 1, GMPRT_ABI_MAX_MS, NULL));
	G_OK(dev_create(fd[1], 1, GMPRT_ABI_MAX_MS, NULL));
	G_OK(dev_create(fd[2], 1, GMPRT_ABI_MAX_MS, NULL));
	G_EQ(-EDQUOT, dev_create(fd[3], 1, GMPRT_ABI_MAX_MS, NULL));
	tells(to);
}

KMOD_TEST(a_user_has_so_much_memory)
{
	int from;
	pid_t pid;

	set_parameter("max_mb_per_user", "0");
	pid = child_that(takes_too_much, &from);
	hears(from);
	ends_well(pid);
	close(from);
	set_parameter("max_mb_per_user", "2");
	pid = child_that(takes_what_there_is, &from);
	hears(from);
	ends_well(pid);
	set_parameter("max_mb_per_user", "256");
	close(from);
}

KMOD_TEST(all_users_together_have_so_many)
{
	struct session s;
	int fd = dev_open();

	set_parameter("max_sessions", "1");
	session_begin(&s);
	ASSERT_EQ(dev_create(fd, 1, 2, NULL), -ENFILE);
	set_parameter("max_sessions", "4096");
	ASSERT_EQ(dev_create(fd, 1, 2, NULL), 0);
	close(fd);
	session_end(&s);
}

KMOD_TEST(the_device_is_not_for_all)
{
	struct stat st;

	ASSERT_EQ(stat(GMPRT_KMOD_DEVICE, &st), 0);
	ASSERT_EQ(st.st_mode & 07777, 0660);
}

TEST_HARNESS_MAIN
