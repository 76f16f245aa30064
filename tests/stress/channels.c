/* SPDX-License-Identifier: MIT */
/*
 * channels.c - proves under random load: every element sent is received
 * exactly once, and one sender's elements stay in order, over rings and
 * meshes of channels of random size and room
 */
#include <stdlib.h>

#include "lib/stress.h"

static gmprt_wg wg;

/* ---- a ring: tokens go round, each stage adds one ---- */

#define MOST_STAGES 64

struct stage {
	gmprt_chan *in, *out;
};

static void passes(void *arg)
{
	struct stage *s = arg;
	long v;

	while (gmprt_chan_recv(s->in, &v) == 0) {
		v++;
		G_OK(gmprt_chan_send(s->out, &v));
	}
	G_OK(gmprt_chan_close(s->out));
	gmprt_wg_done(&wg);
}

G_STRESS(a_ring_passes_every_token_through_every_stage)
{
	uint64_t rand = g_seed;
	int stages = 1 + (int)g_below(&rand, MOST_STAGES - 1);
	long rounds = 1 + g_below(&rand, 100), tokens = 1 + g_below(&rand, 8);
	struct stage s[MOST_STAGES];
	gmprt_chan *c[MOST_STAGES + 1];
	long v;

	for (int i = 0; i <= stages; i++)
		c[i] = gmprt_chan_make(sizeof(long), (size_t)g_below(&rand, 4));
	/* Room for all tokens in the last, or main would wait for itself. */
	gmprt_chan_free(c[stages]);
	c[stages] = gmprt_chan_make(sizeof(long), (size_t)tokens);
	gmprt_wg_add(&wg, stages);
	for (int i = 0; i < stages; i++) {
		s[i] = (struct stage){ c[i], c[i + 1] };
		g_go(passes, &s[i]);
	}
	for (long i = 0; i < tokens; i++) {
		v = i << 32;
		G_OK(gmprt_chan_send(c[0], &v));
	}
	for (long i = 0; i < rounds * tokens; i++) {
		G_OK(gmprt_chan_recv(c[stages], &v));
		/* In order: a ring has no overtaking. */
		G_EQ(i % tokens, v >> 32);
		G_EQ((i / tokens + 1) * stages, v & 0xffffffff);
		if (i < (rounds - 1) * tokens)
			G_OK(gmprt_chan_send(c[0], &v));
	}
	G_OK(gmprt_chan_close(c[0]));
	G_EQ(-EPIPE, gmprt_chan_recv(c[stages], &v));
	gmprt_wg_wait(&wg);
	for (int i = 0; i <= stages; i++)
		gmprt_chan_free(c[i]);
}

/* ---- a mesh: any sender to any receiver over any channel ---- */

#define MOST_SIDES 16
#define MOST_CHANS 8

struct element {
	uint32_t from, seq, check;
	char pad[44];
};

static gmprt_chan *mesh[MOST_CHANS];
static long chans, senders, per_sender, senders_left;
static unsigned char *seen; /* from * per_sender + seq: how often received */

static uint32_t checksum(const struct element *e)
{
	return e->from * 2654435761u ^ (e->seq + 1) * 40503u;
}

static void sends(void *n)
{
	uint64_t rand = g_seed + (uintptr_t)n;
	struct element e = { .from = (uint32_t)(uintptr_t)n };

	for (long i = 0; i < per_sender; i++) {
		gmprt_chan *c = mesh[g_below(&rand, chans)];

		e.seq = (uint32_t)i;
		e.check = checksum(&e);
		memset(e.pad, (char)i, sizeof(e.pad));
		switch (g_below(&rand, 4)) {
		case 0:
			while (gmprt_chan_send_try(c, &e) == -EAGAIN)
				gmprt_yield();
			break;
		case 1:
			while (gmprt_chan_send_dl(c, &e, g_now() + 20000) == -ETIMEDOUT)
				;
			break;
		default:
			G_OK(gmprt_chan_send(c, &e));
		}
	}
	if (__atomic_sub_fetch(&senders_left, 1, __ATOMIC_SEQ_CST) == 0)
		for (long i = 0; i < chans; i++)
			G_OK(gmprt_chan_close(mesh[i]));
	gmprt_wg_done(&wg);
}

static void received(const struct element *e, int64_t *last)
{
	G_TRUE(e->from < senders && e->seq < per_sender);
	G_EQ(checksum(e), e->check);
	for (size_t i = 0; i < sizeof(e->pad); i++)
		G_EQ((char)e->seq, e->pad[i]);
	/* One channel, one receiver: later elements of a sender come later. */
	G_GT(e->seq, last[e->from]);
	last[e->from] = e->seq;
	G_EQ(1, __atomic_add_fetch(&seen[e->from * per_sender + e->seq], 1, __ATOMIC_SEQ_CST));
}

static void receives(void *n)
{
	uint64_t rand = g_seed + 1000 + (uintptr_t)n;
	gmprt_chan *c = mesh[(uintptr_t)n % (uintptr_t)chans];
	int64_t last[MOST_SIDES];

	for (int i = 0; i < MOST_SIDES; i++)
		last[i] = -1;
	for (;;) {
		struct element e;
		int ret = g_below(&rand, 3) ? gmprt_chan_recv(c, &e) :
					      gmprt_chan_recv_dl(c, &e, g_now() + 20000);

		if (ret == -EPIPE)
			break;
		if (ret == 0)
			received(&e, last);
		else
			G_EQ(-ETIMEDOUT, ret);
	}
	gmprt_wg_done(&wg);
}

G_STRESS(a_mesh_loses_doubles_and_reorders_nothing)
{
	uint64_t rand = g_seed;
	long receivers;

	chans = 1 + g_below(&rand, MOST_CHANS);
	senders = 1 + g_below(&rand, MOST_SIDES);
	receivers = chans + g_below(&rand, MOST_SIDES);
	per_sender = G_LOOPS(1 + g_below(&rand, 2000));
	seen = calloc((size_t)(senders * per_sender), 1);
	g_store(&senders_left, senders);
	for (long i = 0; i < chans; i++)
		mesh[i] = gmprt_chan_make(sizeof(struct element), (size_t)g_below(&rand, 10));
	gmprt_wg_add(&wg, senders + receivers);
	for (intptr_t i = 0; i < receivers; i++)
		g_go(receives, (void *)i);
	for (intptr_t i = 0; i < senders; i++)
		g_go(sends, (void *)i);
	gmprt_wg_wait(&wg);
	for (long i = 0; i < senders * per_sender; i++)
		G_EQ(1, seen[i]);
	for (long i = 0; i < chans; i++)
		gmprt_chan_free(mesh[i]);
	free(seen);
}

TEST_HARNESS_MAIN
