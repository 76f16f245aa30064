/* SPDX-License-Identifier: MIT */
/*
 * lock.pml - libgmp/sched/lock.c: a goroutine bound to its M
 *
 * Claim: the goroutine G runs on one M at a time, while it is bound on that M
 * only, and is never lost; a P has one holder, and is held or idle in the end;
 * a run that ends, ends: each M that is told finds out, none is touched once it
 * is freed, and G does not run any more.
 *
 * Covered: m_loop, run_work, rt_locked_start_g0 (gives its P up, looks whether
 * the run ends, writes next_work and next_p, then the notice, under the lock),
 * rt_locked_stop_g0, rt_m_wait_g0, rt_m_stop_g0, rt_p_handoff, rt_m_start with
 * rt_m_new or, from a bound M, need_m and rt_ms_make, rt_wake, give_up_p and
 * look_again; park, yield and brackets of a bound G (rt_park, yield_g0, lost_g0),
 * its unbinding, its end (g_end_g0, m_fini); retake by sysmon, rt_ready_foreign;
 * and the end of a run: stopping, revoke_all, wake_parked, only_stragglers,
 * rt_m_exit_now. The order under test is next_work and next_p before park. What
 * one side writes before a store that releases the other reads after a load that
 * acquires: no store buffers; pword.pml has those of the P's word.
 *
 * G is the only goroutine. Left out: spinning (wake.pml), timers and files
 * (keeper.pml), preemption (preempt.pml). A locked section is one step but for
 * that of rt_locked_start_g0; so is what only its own M sees.
 *
 * Bounds: two Ps, three Ms; M 0 begins with P 0 and G, bound to it; OPS times G
 * parks, yields or goes through brackets, then it ends; or it computes for ever.
 * END: the run may end at any time; without it G may be unbound at any time.
 *
 * Must fail: -DEARLY_NOTICE (park before next_work and next_p), -DLATE_NOTICE
 * (park after the unlock), -DNO_STOP_LOOK (rt_locked_start_g0 does not look at
 * stopping), -DKEEP_P (it does not release its P), -DANY_M (run_work runs G
 * wherever it is picked), -DDROP_P (rt_locked_stop_g0 sleeps on its P),
 * -DFORGET_HANDED (m_loop does not look at what lost_g0 has handed it),
 * -DWAKE_ONCE (the end wakes parked Ms once).
 */
#ifndef OPS
#define OPS 1
#endif

#ifndef END
#define END 1
#endif

#define NM     3
#define NOBODY 7

/* A P's word: owner, or + BLOCKED; the epoch adds nothing here. */
#define BLOCKED 10
#define IDLE    20
#define REVOKED 21

/* Where G is queued: in the ring of P 0 or 1, or */
#define GRQ     2
#define NOWHERE 3

byte word[2] = IDLE;
byte idle_ps = 2;  /* bit i: P i is on the idle list */
byte need_m;       /* the same, waits for a thread that sysmon makes */
bit slock, stopping, over, no_cur, sysmon_gone;
bit foreign_ref;

/* G */
byte ops = OPS, q = NOWHERE, lock_m;
bit parked, running = 1, ended;

/* Ms; user: the slot's state is USER */
byte mp[NM] = NOBODY, next_p[NM] = NOBODY;
bit lock_g[NM], handed[NM], next_work[NM], curg[NM], user[NM];
bit park[NM], idle[NM], exits[NM], listed[NM], freed[NM];

inline idle_get(p_)
{
	if
	:: idle_ps & 1 -> p_ = 0
	:: idle_ps & 2 -> p_ = 1
	fi;
	idle_ps = idle_ps & ~(1 << p_)
}

inline idle_put(p_)
{
	idle_ps = idle_ps | (1 << p_);
	p_ = NOBODY
}

inline rt_p_acquire(p_)
{
	assert(p_ < 2 && mp[me] == NOBODY);
	assert(word[p_] == IDLE || word[p_] == REVOKED);
	mp[me] = p_;
	word[p_] = (word[p_] == IDLE -> me : REVOKED);
	p_ = NOBODY
}

/* Into p. */
inline rt_p_release()
{
	p = mp[me];
	mp[me] = NOBODY;
	word[p] = (word[p] == me -> IDLE : word[p])
}

inline start(x_)
{
	assert(!freed[x_]);
	idle[x_] = 0;
	next_p[x_] = p;
	park[x_] = 1
}

/* P p to a parked M; to a new one, of which a run that ends makes none; or, where
 * none may be cloned, it is left to sysmon. */
#define ANY_IDLE  (idle[0] || idle[1] || idle[2])
#define UNBORN(i) (!listed[i] && !freed[i])
inline rt_m_start(clone_)
{
	atomic {
		!slock && (ANY_IDLE || !(clone_) || stopping || UNBORN(1) || UNBORN(2)) ->
		if
		:: idle[0] -> start(0)
		:: idle[1] -> start(1)
		:: idle[2] -> start(2)
		:: !ANY_IDLE && !(clone_) -> need_m = need_m | (1 << p)
		:: !ANY_IDLE && (clone_) && stopping -> idle_ps = idle_ps | (1 << p)
		:: !ANY_IDLE && (clone_) && !stopping && UNBORN(1) -> listed[1] = 1; next_p[1] = p
		:: !ANY_IDLE && (clone_) && !stopping && !UNBORN(1) -> listed[2] = 1; next_p[2] = p
		fi;
		p = NOBODY
	}
}

inline rt_wake(clone_)
{
	atomic {
		!slock ->
		if
		:: !stopping && idle_ps -> idle_get(p)
		:: else -> p = NOBODY
		fi
	}
	if
	:: p != NOBODY -> rt_m_start(clone_)
	:: else
	fi
}

inline rt_p_handoff(clone_)
{
	atomic {
		!slock ->
		if
		:: stopping || q == p || q == GRQ
		:: else -> idle_put(p)
		fi
	}
	if
	:: p != NOBODY -> rt_m_start(clone_)
	:: else ->
		if
		:: q != NOWHERE -> rt_wake(clone_) /* rt_any_work() */
		:: else
		fi
	fi
}

/* G's stack is left, by rt_switch() to g0. */
inline leave_g()
{
	curg[me] = 0;
	running = 0
}

/* run_g() and rt_leave() */
inline run_g()
{
	assert(!running && !parked && !ended && !over);
	assert(lock_m == NOBODY || lock_m == me);
	assert(word[mp[me]] == me || stopping);
	curg[me] = 1;
	running = 1;
	user[me] = 1
}

proctype m(byte me)
{
	byte p = NOBODY, to = NOBODY;

	if
	:: me == 0 -> goto user_code
	:: else
	fi;
end_unborn:
	atomic { listed[me] -> rt_p_acquire(next_p[me]) }

loop:	atomic { /* m_loop() */
		if
		:: exits[me] -> goto fini
		:: else
		fi;
		if
#ifdef FORGET_HANDED
		:: lock_g[me] -> handed[me] = 0
#else
		:: lock_g[me] && !handed[me]
#endif
		:: else ->
			if
			:: mp[me] != NOBODY -> goto find
			:: else -> goto stop
			fi
		fi;
		/* rt_locked_stop_g0() */
		if
#ifdef DROP_P
		:: mp[me] != NOBODY -> mp[me] = NOBODY; goto wait
#endif
		:: mp[me] != NOBODY -> rt_p_release()
		:: else -> goto wait
		fi
	}
	rt_p_handoff(!lock_g[me] && !exits[me]);
wait:	skip;
end_waits:
	atomic { /* rt_m_wait_g0() */
		park[me] -> park[me] = 0;
		if
		:: exits[me] -> goto fini
		:: else
		fi;
		rt_p_acquire(next_p[me]);
		assert(next_work[me]);
		next_work[me] = 0;
		handed[me] = 1;
		goto loop
	}

stop:	atomic { /* rt_m_stop_g0() */
		!slock ->
		if
		:: stopping || exits[me] -> goto fini
		:: else -> idle[me] = 1
		fi
	}
end_asleep:
	atomic {
		park[me] -> park[me] = 0;
		if
		:: exits[me] -> goto fini
		:: else -> rt_p_acquire(next_p[me])
		fi
	}

find:	atomic { /* rt_find_g0() */
		if
		:: stopping -> goto fini
		:: !stopping && handed[me] -> handed[me] = 0
		:: !stopping && !handed[me] && q != NOWHERE -> q = NOWHERE /* its own, global, stolen */
		:: else -> goto gives_up
		fi;
		/* run_work() */
		if
#ifdef ANY_M
		:: run_g(); goto user_code
#else
		:: lock_m == NOBODY || lock_m == me -> run_g(); goto user_code
		:: else
#endif
		fi;
		/* rt_locked_start_g0() */
		to = lock_m;
#ifdef KEEP_P
		p = mp[me]
#else
		rt_p_release()
#endif
	}
	atomic {
		!slock ->
		if
#ifdef NO_STOP_LOOK
		:: slock = 1
#else
		:: stopping -> p = NOBODY; to = NOBODY; goto loop
		:: else -> slock = 1
#endif
		fi
	}
	assert(!freed[to]);
#ifdef EARLY_NOTICE
	park[to] = 1;
#endif
	d_step { next_work[to] = 1; next_p[to] = p; p = NOBODY }
#ifdef LATE_NOTICE
	slock = 0;
	assert(!freed[to]);
#endif
	atomic { park[to] = 1; slock = 0; to = NOBODY; goto loop }

gives_up:
	atomic { /* give_up_p() */
		!slock ->
		if
		:: stopping || q == GRQ -> goto find
		:: else -> rt_p_release(); idle_put(p)
		fi
	}
	if
	:: q == NOWHERE -> goto stop
	:: q != NOWHERE -> /* look_again() */
		atomic {
			!slock ->
			if
			:: !stopping && idle_ps -> idle_get(p); rt_p_acquire(p); goto find
			:: else -> goto stop
			fi
		}
	fi;

user_code:
	if
	:: skip
	:: goto computes
	fi;
	atomic { /* rt_enter() */
		user[me] = 0;
		if
		:: word[mp[me]] != me -> goto exit_now
		:: else
		fi
	}
	atomic {
		if
		:: !END && lock_m != NOBODY -> /* rt_g_unlock_m() */
			lock_m = NOBODY; lock_g[me] = 0; user[me] = 1; goto user_code
		:: ops -> /* rt_park() */
			ops--; leave_g(); parked = 1; goto loop
		:: ops && lock_m == me -> /* yield_g0() */
			ops--; leave_g(); q = mp[me]; goto loop
		:: ops -> /* rt_block_enter() */
			ops--; word[mp[me]] = me + BLOCKED; user[me] = 1
		:: !ops -> /* g_end_g0() */
			leave_g(); ended = 1;
			if
			:: lock_m != NOBODY -> lock_g[me] = 0; exits[me] = 1
			:: else
			fi;
			goto loop
		fi
	}
	atomic { /* rt_block_exit() */
		user[me] = 0;
		if
		:: word[mp[me]] == me + BLOCKED -> word[mp[me]] = me; user[me] = 1; goto user_code
		:: else
		fi;
		if
		:: stopping -> goto exit_now
		:: else
		fi;
		leave_g(); /* lost_g0() */
		mp[me] = NOBODY
	}
	atomic {
		!slock ->
		if
		:: !stopping && idle_ps -> idle_get(p); rt_p_acquire(p); handed[me] = 1
		:: else -> q = GRQ
		fi;
		goto loop
	}

exit_now: /* rt_m_exit_now() */
	atomic { assert(stopping); leave_g(); exits[me] = 1; mp[me] = NOBODY }

fini:	atomic { /* m_fini() */
		if
		:: mp[me] == NOBODY -> goto unlist
		:: else -> rt_p_release()
		fi;
		if
		:: stopping -> p = NOBODY; goto unlist
		:: else
		fi
	}
	rt_p_handoff(!lock_g[me] && !exits[me]);
unlist:	atomic { !slock -> listed[me] = 0; freed[me] = 1 }
computes:
	skip
}

/* rt_ready_foreign(), by whoever wakes G */
proctype foreign()
{
	byte p = NOBODY;

end_waits:
	do
	:: atomic {
			parked && !slock && !no_cur -> parked = 0; foreign_ref = 1; q = GRQ /* rt_grq_put() */
		}
		rt_wake(0);
		foreign_ref = 0
	od
}

/* retake() */
#define IN_BRACKETS(i) (word[i] >= BLOCKED && word[i] < IDLE)

proctype sysmon()
{
	byte p = NOBODY;

end_waits:
	do
	:: stopping -> break
	:: atomic {
			!slock && !stopping && (IN_BRACKETS(0) || IN_BRACKETS(1)) ->
			if
			:: IN_BRACKETS(0) -> p = 0
			:: IN_BRACKETS(1) -> p = 1
			fi;
			word[p] = IDLE
		}
		rt_p_handoff(1)
	:: atomic { /* rt_ms_make() */
			!slock && need_m ->
			if
			:: need_m & 1 -> p = 0
			:: need_m & 2 -> p = 1
			fi;
			need_m = need_m & ~(1 << p)
		}
		rt_m_start(1)
	od;
	sysmon_gone = 1
}

#define TOLD(i)  (!listed[i] || curg[i] || exits[i])
#define QUIET(i) (!listed[i] || user[i])

inline tell(i_)
{
	if
	:: !TOLD(i_) -> exits[i_] = 1; park[i_] = 1
	:: else
	fi
}

inline wake_parked()
{
	atomic {
		!slock ->
		idle[0] = 0;
		idle[1] = 0;
		idle[2] = 0;
		tell(0);
		tell(1);
		tell(2)
	}
}

#define ALL_REVOKED (word[0] == REVOKED && word[1] == REVOKED)

/* rt_run_main_ended(), sched_stop(), or the run goes on */
proctype ender()
{
	if
	:: atomic { !slock -> stopping = 1 }
	:: goto out
	fi;
	no_cur = 1;
	d_step { word[0] = REVOKED; word[1] = REVOKED }
	sysmon_gone;
#ifdef WAKE_ONCE
	wake_parked();
#endif
	do
#ifndef WAKE_ONCE
	:: !(TOLD(0) && TOLD(1) && TOLD(2)) -> wake_parked()
#endif
	:: d_step { !ALL_REVOKED -> word[0] = REVOKED; word[1] = REVOKED }
	:: atomic {
			!slock && QUIET(0) && QUIET(1) && QUIET(2) && !foreign_ref && ALL_REVOKED ->
			over = 1;
			break
		}
	od;
out:	skip
}

#define ACCOUNTED(p) (word[p] == IDLE -> (idle_ps & (1 << p)) : (running && mp[word[p]] == p))

init {
	atomic {
		word[0] = 0;
		mp[0] = 0;
		listed[0] = 1;
		lock_g[0] = 1;
		curg[0] = 1;
		user[0] = 1;
		run m(0);
		run m(1);
		run m(2);
		run foreign();
		run sysmon();
#if END
		run ender()
#endif
	}
	timeout ->
	assert(!stopping || over);
	assert(stopping || (q == NOWHERE && (running || ended || parked)));
	assert(stopping || ACCOUNTED(0));
	assert(stopping || ACCOUNTED(1))
}
