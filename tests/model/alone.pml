/* SPDX-License-Identifier: MIT */
/*
 * alone.pml - an M that is in goroutine code without its P is always followed
 *
 * Claim: whenever the M is on a CPU in state USER, and its P is not its own, then
 * either the kernel's side knows (alone: it will be stopped), or sysmon has asked it
 * to stop, or sysmon is about to.
 *
 * Covered: blocked() and runs_again() of bpf/block.h with lines 10, 8, 12 to 15 of
 * abi/gmprt_abi.h: a P that is kept at a block and taken by sysmon later; one that is
 * freed and taken by a standby; and that the M wakes, and sleeps again, anywhere in
 * between. take() of sched/preempt.c, which asks who is awake once it has the P.
 *
 * Bounds: one M, three blocks, each kept or freed; sysmon and a standby, who try for
 * ever. All changes of a word are locked instructions, and what the kernel's side
 * does of the M's own is done on its thread: sequential consistency will do.
 *
 * Must fail: -DONLY_FREED (the kernel's side follows those only whose P it freed),
 * -DONLY_ITS_OWN (those only that had their P as they blocked), -DNO_ASK (sysmon does
 * not look whether the M is awake).
 */
#ifndef BLOCKS
#define BLOCKS 3
#endif

mtype = { RUNNING, BLOCKED, FREED, OTHERS };

mtype word = RUNNING; /* of the P that was the M's; OTHERS: another epoch */
bool sleeps;          /* the M, as /proc tells */
bool slept, alone;    /* the kernel's, of the M */
bool asked;           /* SIGURG */
bool taking;          /* sysmon has it and has not looked yet */

#define OWN (word == RUNNING || word == BLOCKED || word == FREED)

inline may_run()
{
	assert(OWN || alone || asked || taking)
}

/* Its thread, in goroutine code; a switch away and a switch back are the kernel's. */
active proctype m()
{
	mtype w;
	byte n;

	do
	:: n < BLOCKS ->
		n++;
		may_run();
		/* blocked(): reads the word, may turn it, and notes the block */
		w = word;
		if
		:: w == RUNNING ->
			if
			:: atomic { word == w -> word = FREED } /* something to run */
			:: word != w
			:: skip /* kept */
			fi
		:: else
		fi;
#if defined(ONLY_FREED)
		slept = (word == FREED || alone);
#elif defined(ONLY_ITS_OWN)
		slept = (w == RUNNING || w == FREED || alone);
#else
		slept = true;
#endif
		alone = false;
		sleeps = true;
		/* anything, for any time */
		sleeps = false;
		/* runs_again() */
		if
		:: slept ->
			slept = false;
			if
			:: atomic { word == FREED -> word = RUNNING }
			:: word == RUNNING || word == BLOCKED
			:: word == OTHERS -> alone = true
			fi
		:: else
		fi;
		may_run()
	:: else -> break
	od
}

/* take(): line 10, the barrier, line 8, and is it awake? */
active proctype sysmon()
{
end:
	do
	:: sleeps && word == RUNNING ->
		if
		:: atomic { word == RUNNING -> word = BLOCKED }
			/* the M is in state USER here: it never enters the run time */
			atomic { word == BLOCKED -> word = OTHERS; taking = true };
#ifndef NO_ASK
			if
			:: !sleeps -> asked = true
			:: sleeps
			fi;
#endif
			taking = false
		:: word != RUNNING
		fi
	od
}

/* Line 13. */
active proctype standby()
{
end:
	do
	:: atomic { word == FREED -> word = OTHERS }
	od
}
