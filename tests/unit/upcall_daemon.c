/* SPDX-License-Identifier: MIT */
/*
 * gmpd and its clients: who gets what, what one client can do to another, and what
 * is left when either ends.
 */
#include "unit/upcall_daemon.h"

/* ---- as it should be ----------------------------------------------- */

static void opened_by_daemon(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_TRUE(opened_any(&shape));
	G_TRUE(u.from_daemon);
	G_GT(u.session, 0);
	never_idle();
}

DAEMON_TEST(an_m_of_its_session_that_blocks_loses_its_p)
{
	struct m m = { 0 };

	opened_by_daemon();
	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	m_wakes(&m);
	ASSERT_EQ(m.after, WORD1);
	ASSERT_EQ(m1->nr_reclaimed, 1);
	m_ends(&m);
}

DAEMON_TEST(what_was_taken_is_told_and_who_waits_is_woken)
{
	struct m m = { 0 };
	struct pollfd p = { .events = POLLIN };

	opened_by_daemon();
	p.fd = u.wake_fd;
	u.head->work = u.head->idle = p0->wake = 1;
	m_start(&m, blocks_in_read);
	ASSERT_EQ(poll(&p, 1, -1), 1);
	ASSERT_TRUE(cas_acqrel(&p0->word, FREED, TAKEN));
	m_wakes(&m);
	ASSERT_EQ(m.after, TAKEN);
	ASSERT_EQ(m.signals, u.head->features & GMPRT_F_HOLD ? 1 : 0);
	m_ends(&m);
}

/* In a child, which has no right but its group's. */
static void as_nobody(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_OK(setresgid(NOBODY, NOBODY, NOBODY));
	G_OK(setresuid(NOBODY, NOBODY, NOBODY));
	if (rt_upcall_open(&u, &shape))
		G_FAIL("%s", u.why);
	G_TRUE(u.from_daemon);
	slots();
	G_OK(rt_upcall_register(&u, 1));
	p0->hint = 1;
	store_rel(&p0->word, WORD1);
	g_nap(1000000);
	G_EQ(p0->nr_freed, 1);
	G_EQ(m1->nr_blocks, 1);
	rt_upcall_close(&u);
}

DAEMON_TEST(a_user_without_rights_has_the_same)
{
	static struct g_end end;

	g_child(&end, as_nobody);
	G_EXITS(&end, 0);
}

static void without_a_group(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_OK(setresgid(NOBODY - 1, NOBODY - 1, NOBODY - 1));
	G_OK(setresuid(NOBODY, NOBODY, NOBODY));
	G_LT(rt_upcall_open(&u, &shape), 0);
	fprintf(stderr, "%s\n", u.why);
}

DAEMON_TEST(who_is_not_in_the_group_is_told_so)
{
	static struct g_end end;

	g_child(&end, without_a_group);
	G_EXITS(&end, 0);
	G_SAYS(&end, "you are not in its group");
	G_SAYS(&end, "no right to load BPF programs");
}

static int listening(int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", sock_path);
	G_OK(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	G_OK(listen(fd, 5));
	return fd;
}

DAEMON_TEST(a_socket_that_it_is_given_is_served_and_stays)
{
	gmpd_kill();
	unlink(sock_path);
	given = listening(SOCK_SEQPACKET);
	gmpd_start("--socket", "/nowhere/sock");
	still_serves();
	ASSERT_EQ(kill(gmpd, SIGTERM), 0);
	ASSERT_EQ(waitpid(gmpd, NULL, 0), gmpd);
	gmpd = 0;
	ASSERT_EQ(access(sock_path, F_OK), 0);
}

DAEMON_TEST(a_socket_without_message_borders_is_refused)
{
	const char *const args[] = { "--pins", pins, NULL };
	int status;

	gmpd_kill();
	unlink(sock_path);
	given = listening(SOCK_STREAM);
	ASSERT_GT(waitpid(start("gmpd", args), &status, 0), 0);
	ASSERT_EQ(WEXITSTATUS(status), 1);
}

DAEMON_TEST(two_daemons_do_not_serve_the_same_pins)
{
	const char *const args[] = { "--pins", pins, "--socket", "/nowhere/sock", NULL };
	struct client k;
	int status;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_GT(waitpid(start("gmpd", args), &status, 0), 0);
	ASSERT_EQ(WEXITSTATUS(status), 1);
	ASSERT_EQ(registers(&k, 1), 0); /* it has ended nobody's session */
}

/* What fails with the daemon is tried by loading, which root may. */
DAEMON_TEST(whatever_fails_on_the_way_leaves_no_descriptor_open)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };
	int before = g_count_fds(), by_loading = 0;
	unsigned long n = 0, passed = 1;

	for (; passed > n; n++) {
		rt_fault_arm(n + 1);
		if (rt_upcall_open(&u, &shape) == 0) {
			by_loading += !u.from_daemon;
			rt_upcall_close(&u);
		}
		passed = rt_fault_arm(0);
		ASSERT_EQ(g_count_fds(), before);
	}
	ASSERT_EQ(by_loading, 3); /* connect, send, receive */
}

DAEMON_TEST(signals_while_it_is_asked_do_no_harm)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	alarms_every(100);
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(rt_upcall_open(&u, &shape), 0);
		if (!u.from_daemon)
			G_FAIL("%s", u.why);
		rt_upcall_close(&u);
	}
	alarms_every(0);
}

/* ---- one client and another ---------------------------------------- */

DAEMON_TEST(another_sessions_key_opens_nothing)
{
	struct client a, b;

	ASSERT_EQ(client_asks(&a, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(client_asks(&b, NR_PS, NR_MS, 1), 0);
	ASSERT_NE(a.a.session, b.a.session);
	ASSERT_NE(a.a.key, b.a.key);
	ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, b.a.session, 1, a.a.key), -EPERM);
	ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, a.a.session, 1, b.a.key), -EPERM);
	ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, 0, 1, 0), -EPERM);
	for (uint32_t nr = 0; nr < 70; nr++)
		if (nr != a.a.session && nr != b.a.session)
			ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, nr, 1, a.a.key), -EPERM);
	ASSERT_EQ(registers(&a, 1), 0);
	ASSERT_EQ(calls(&b, GMPRT_OP_UNREGISTER, b.a.session, 0, b.a.key), -EINVAL);
	ASSERT_EQ(unregisters(&a), 0);
}

DAEMON_TEST(a_number_beyond_this_session_is_refused_though_another_has_it)
{
	struct client small, large;

	ASSERT_EQ(client_asks(&small, 1, 4, 1), 0);
	ASSERT_EQ(client_asks(&large, 8, 100, 1), 0);
	ASSERT_EQ(registers(&small, 4), -ERANGE);
	ASSERT_EQ(registers(&small, 99), -ERANGE);
	ASSERT_EQ(registers(&small, 0), -ERANGE);
	ASSERT_EQ(registers(&large, 99), 0);
}

/* Each block of both begins with a word that M 1 could lose. */
DAEMON_TEST(no_p_of_another_session_is_ever_freed)
{
	struct client a, b;
	struct gmprt_abi_p *at_a, *at_b;
	struct gmprt_abi_m *m;

	ASSERT_EQ(client_asks(&a, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(client_asks(&b, 8, 100, 1), 0);
	at_a = memory_of(&a);
	at_b = memory_of(&b);
	for (uint32_t i = 0; i < b.shape.nr_blocks; i++) {
		at_b[i].word = WORD1;
		at_b[i].hint = 1;
	}
	for (uint32_t i = 1; i <= NR_PS; i++)
		at_a[i].hint = 1;
	m = (struct gmprt_abi_m *)(at_a + a.shape.m_first) + 1;
	ASSERT_EQ(registers(&a, 1), 0);
	for (uint32_t p = 0; p < 200; p++) {
		store_rlx(&m->p, p);
		if (p < NR_PS)
			store_rel(&at_a[1 + p].word, WORD1);
		g_nap(50000);
	}
	ASSERT_EQ(m->nr_blocks, NR_PS);
	for (uint32_t i = 0; i < b.shape.nr_blocks; i++) {
		ASSERT_EQ(at_b[i].word, WORD1);
		ASSERT_EQ(at_b[i].nr_freed, 0);
	}
}

/* ---- ends ---------------------------------------------------------- */

DAEMON_TEST(a_session_ends_with_its_connection)
{
	struct client k;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(registers(&k, 1), 0);
	close(k.sock);
	UNTIL(registers(&k, 2) == -EPERM);
	still_serves();
}

DAEMON_TEST(a_thread_goes_from_session_to_session)
{
	for (int i = 0; i < 100; i++) {
		struct client k;

		while (client_asks(&k, NR_PS, NR_MS, 1) == -EDQUOT)
			client_ends(&k); /* those before are not quite gone */
		ASSERT_EQ(k.a.error, 0);
		while (registers(&k, 1) == -EBUSY)
			g_nap(100000);
		client_ends(&k);
	}
	still_serves();
}

static void dies_with_a_session(void)
{
	struct client k;

	client_gets(&k);
	raise(SIGKILL);
}

DAEMON_TEST(sigkill_gives_the_session_back)
{
	static struct g_end end;

	for (int i = 0; i < 40; i++) { /* more than a user may have */
		g_child(&end, dies_with_a_session);
		G_SIGNALED(&end, SIGKILL);
	}
	still_serves();
}

DAEMON_TEST(the_session_outlives_the_daemon_but_not_the_next_one)
{
	struct client k;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	gmpd_kill();
	ASSERT_EQ(registers(&k, 1), 0);
	ASSERT_EQ(unregisters(&k), 0);
	gmpd_start(NULL, NULL);
	ASSERT_EQ(registers(&k, 1), -EPERM);
	still_serves();
}

DAEMON_TEST(programs_loaded_anew_are_found)
{
	struct client k, other;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(gmpctl("unload"), 0);
	ASSERT_EQ(client_asks(&other, NR_PS, NR_MS, 1), -ENOENT);
	G_TRUE(strstr(other.a.why, "run 'gmpctl load'"));
	ASSERT_EQ(gmpctl("load"), 0);
	still_serves();
	client_ends(&k); /* of programs that are gone: hurts no one */
	still_serves();
}

TEST_HARNESS_MAIN
