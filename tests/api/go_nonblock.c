/* SPDX-License-Identifier: MIT */
/*
 * go_nonblock.c - re-expresses what Go's test/chan/nonblock.go shows:
 * operations that must not block, on unbuffered channels and on ones with room
 * for one, for elements of 1, 4, 8 bytes and a string: nothing is received
 * where nothing was sent, a waiting receiver is sent to, a waiting sender (or
 * what it left in the buffer) is received from, with the value intact.
 */
#include "lib/gtest.h"

struct element {
	size_t size;
	const char *to, *from; /* bytes that main sends and receives */
};

static const struct element elements[] = {
	{ 1, "\1", "\2" },
	{ 4, "abcd", "efgh" },
	{ 8, "12345678", "87654321" },
	{ 12, "hello", "hello again" },
};

struct side {
	const struct element *e;
	gmprt_chan *c, *done;
};

static void receiver(void *arg)
{
	struct side *s = arg;
	char v[16] = { 0 };

	G_OK(gmprt_chan_recv(s->c, v));
	G_EQ(0, memcmp(v, s->e->to, strlen(s->e->to)));
	G_OK(gmprt_chan_send(s->done, NULL));
}

static void sender(void *arg)
{
	struct side *s = arg;

	G_OK(gmprt_chan_send(s->c, s->e->from));
	G_OK(gmprt_chan_send(s->done, NULL));
}

static void check(const struct element *e, size_t room)
{
	struct side s = { e, g_chan(e->size, room), g_chan(0, 0) };
	char v[16] = { 0 }, to[16] = { 0 };

	memcpy(to, e->to, strlen(e->to));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(s.c, v));
	G_EQ(0, v[0]);

	g_go_named("receiver", receiver, &s);
	g_parked("receiver", 1);
	G_OK(gmprt_chan_send_try(s.c, to));
	G_OK(gmprt_chan_recv(s.done, NULL));

	g_go_named("sender", sender, &s);
	if (room) /* its value is in the buffer, it goes on by itself */
		G_OK(gmprt_chan_recv(s.done, NULL));
	else
		g_parked("sender", 1);
	G_OK(gmprt_chan_recv_try(s.c, v));
	G_EQ(0, memcmp(v, e->from, strlen(e->from)));
	if (!room)
		G_OK(gmprt_chan_recv(s.done, NULL));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(s.c, v));
}

G_TEST(nonblocking_operations_meet_partners_and_buffers_only)
{
	for (size_t room = 0; room < 2; room++)
		for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
			check(&elements[i], room);
}

TEST_HARNESS_MAIN
