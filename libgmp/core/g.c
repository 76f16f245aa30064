/* SPDX-License-Identifier: MIT */
/*
 * g.c - names of waits, and the claim
 */
#include "core/g.h"

#include "base/spin.h"

static const char *const names[RT_NR_REASONS] = {
	[RT_REASON_NONE] = "runnable",
	[RT_REASON_CHAN_SEND] = "chan send",
	[RT_REASON_CHAN_RECV] = "chan receive",
	[RT_REASON_CHAN_NIL_SEND] = "chan send (nil chan)",
	[RT_REASON_CHAN_NIL_RECV] = "chan receive (nil chan)",
	[RT_REASON_SELECT] = "select",
	[RT_REASON_SELECT_NONE] = "select (no cases)",
	[RT_REASON_MUTEX] = "mutex lock",
	[RT_REASON_SEM] = "semaphore wait",
	[RT_REASON_WG] = "wait group",
	[RT_REASON_JOIN] = "join",
	[RT_REASON_SLEEP] = "sleep",
	[RT_REASON_IO_READ] = "IO wait (read)",
	[RT_REASON_IO_WRITE] = "IO wait (write)",
	[RT_REASON_IO_POLL] = "IO wait (poll)",
	[RT_REASON_IO_CLOSE] = "close of a file in use",
};

const char *rt_reason_name(enum rt_reason r)
{
	return (unsigned int)r < RT_NR_REASONS ? names[r] : "?";
}

int rt_g_claim_try(struct rt_g *g)
{
	/* acquire: pairs with the switch's store of ARMED; what the G wrote
	 * before it left is visible to its waker. */
	uint32_t c = load_acq(&g->claim);

	if (c == RT_CLAIM_SETUP)
		return -1;
	return c == RT_CLAIM_ARMED && cas_acqrel(&g->claim, c, RT_CLAIM_CLAIMED);
}

bool rt_g_claim(struct rt_g *g)
{
	unsigned int round = 0;
	int won;

	while ((won = rt_g_claim_try(g)) < 0)
		rt_backoff(&round);
	return won;
}
