/* SPDX-License-Identifier: MIT */
/*
 * unload.c - proves: the module can be unloaded and loaded at any moment at which
 * nobody uses it, and at no other
 *
 * The module's file is the one named by GMPRT_KO, or the one with which a guest has
 * begun; else these tests are skipped.
 */
#include <glob.h>

#include "kmod/kmod.h"

static const char *ko(void)
{
	static glob_t g;
	const char *named = getenv("GMPRT_KO");

	if (named)
		return named;
	return glob("/vm/modules/*gmprt.ko", 0, NULL, &g) == 0 ? g.gl_pathv[0] : NULL;
}

static int unload(void)
{
	return told(syscall(SYS_delete_module, "gmprt", O_NONBLOCK));
}

static void load(void)
{
	int fd = open(ko(), O_RDONLY | O_CLOEXEC);

	G_GE(fd, 0);
	G_OK(told(syscall(SYS_finit_module, fd, "", 0)));
	close(fd);
	UNTIL(access(GMPRT_KMOD_DEVICE, R_OK | W_OK) == 0);
}

KMOD_TEST(with_users_of_any_kind_it_stays)
{
	struct session s;
	int fd = dev_open();

	if (!ko())
		SKIP({ close(fd); return; }, "no file of the module: GMPRT_KO=");
	ASSERT_EQ(unload(), -EAGAIN);
	close(fd);
	session_begin(&s);
	ASSERT_EQ(close(s.fd), 0);
	ASSERT_EQ(unload(), -EAGAIN); /* mapped */
	ASSERT_EQ(munmap(s.head, s.bytes), 0);
	session_begin(&s);
	becomes(&s, 1, 0);
	fd = dup(s.fd);
	session_end(&s);
	ASSERT_EQ(unload(), -EAGAIN);
	ASSERT_EQ(dev_unregister(fd), 0);
	close(fd);
}

static void registered(int to)
{
	struct session s;

	session_begin(&s);
	becomes(&s, 1, 0);
	session_end(&s);
	tells(to);
	for (;;)
		pause();
}

KMOD_TEST(a_registered_thread_alone_keeps_it)
{
	int from;
	pid_t pid = child_that(registered, &from);

	hears(from);
	if (ko())
		ASSERT_EQ(unload(), -EAGAIN);
	ends_by_kill(pid);
	close(from);
}

static void *uses(void *session)
{
	struct session *s = session;

	becomes(s, 1, 0);
	g_nap(100000);
	return NULL;
}

/* A user that has only just gone: its thread is in its last switch, its session in
 * the work queue. */
static void use_once(int to)
{
	struct session s;
	pthread_t t;

	session_begin(&s);
	G_OK(pthread_create(&t, NULL, uses, &s));
	G_OK(pthread_join(t, NULL));
	tells(to);
}

KMOD_TEST_TIMEOUT(loaded_and_unloaded_two_hundred_times_beside_users, 400)
{
	long busy = 0;

	if (!ko())
		SKIP(return, "no file of the module: GMPRT_KO=");
	for (int i = 0; i < 200; i++) {
		int from, r;
		pid_t pid = child_that(use_once, &from);

		hears(from);
		close(from);
		for (r = -EAGAIN; r == -EAGAIN; busy++) {
			r = unload();
			if (r == -EAGAIN)
				g_nap(20000);
		}
		ASSERT_EQ(r, 0);
		ends_well(pid);
		ASSERT_NE(access(GMPRT_KMOD_DEVICE, F_OK), 0);
		load();
	}
	ASSERT_GT(busy, 200); /* it was refused at times */
}

TEST_HARNESS_MAIN
