#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The models of the lock-free protocols, checked by spin. One test for each
# model, and one for each mutation: a model that does not fail when what it
# rests on is taken away proves nothing.
#
#   MODELS=holds		without the mutations: what `make check` has time for
#   MODEL_BOUNDS=long	larger bounds (some minutes, 3 GB)
#   MODEL_JOBS=N	so many at a time; default: one a CPU, of long ones 2

set -u
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
CC=${CC:-cc}
bounds=${MODEL_BOUNDS:-short}
size='-w20 -m10000' # of the hash table (it grows) and of the search stack
jobs=${MODEL_JOBS:-$(nproc 2>/dev/null || echo 2)}
[ "$bounds" = long ] && jobs=${MODEL_JOBS:-2} size='-w24 -m100000'

case $bounds in
short | long) ;;
*) echo "models.sh: MODEL_BOUNDS=$bounds: give short or long" >&2; exit 2 ;;
esac
case $jobs in
*[!0-9]* | '' | 0) echo "models.sh: MODEL_JOBS=$jobs: give a number from 1 up" >&2; exit 2 ;;
esac

for tool in spin "${CC%% *}"; do
	command -v "$tool" >/dev/null || {
		echo "ok 1 the models # SKIP no $tool (make deps)"
		echo 1..1
		exit 0
	}
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

# holds|fails, model, flags, claim; `long` lines in place of `holds` ones.
# What takes longest comes first.
list() {
	cat <<-'EOF'
	holds wake - no wake-up is lost
	long wake - no wake-up is lost
	holds lock - a bound goroutine runs on its M, and both end with the run
	long lock -DOPS=2 a bound goroutine runs on its M, and both end with the run
	holds forkq - each forked task is taken exactly once
	long forkq -DOPS=3,-DSTEALS=2 each forked task is taken exactly once
	holds runq - each thing in a run queue is taken once, and after its stack was left
	long runq -DOPS=1 each thing in a run queue is taken once, and after its stack was left
	holds pword - a P has one owner, and none after the run
	long pword -DM2_DONE=0 a P has one owner, and none after the run
	holds preempt - a P taken from goroutine code is never lost nor used twice
	long preempt -DCALLS=3,-DTRIES=3 a P taken from goroutine code is never lost nor used twice
	holds claim - a select is woken exactly once and its memory left alone
	long claim -DROUNDS=3 a select is woken exactly once and its memory left alone
	holds mutex - one holder, no waiter forgotten, no touch after the last user
	long mutex -DLOCKS=3 one holder, no waiter forgotten, no touch after the last user
	holds sem - as many waits end well as units were posted
	long sem - as many waits end well as units were posted
	holds wg - a wait ends when the count was 0, and no touch after the last user
	long wg - a wait ends when the count was 0, and no touch after the last user
	holds keeper - no timer is left without somebody who wakes for it
	long keeper -DARMS=2,-DCANCELS=1 no timer is left without somebody who wakes for it
	holds keeper -DARMS=2,-DCANCELS=1,-DFOREIGN=0 nor when some are cancelled
	holds keeper -DMS=2,-DTICKS=1,-DWORK=1 nor as time passes
	long keeper -DMS=2,-DTICKS=2,-DWORK=1,-DARMS=2 nor as time passes
	holds keeper -DPOLLS=2,-DFOREIGN=0 nor when the keeper polls
	long keeper -DPOLLS=2,-DFOREIGN=0,-DTICKS=1 nor when the keeper polls
	holds upcall - a P that the kernel frees has one owner, and is never lost
	long upcall -DSTEPS=3 a P that the kernel frees has one owner, and is never lost
	holds upcall -DEND=1,-DSTEPS=1,-DTAKES=1 nor used after the run
	long upcall -DEND=1,-DTAKES=1 nor used after the run
	holds nap - sysmon is woken, in epoll or in the futex, and no closed fd is raised
	long nap -DSLEEPS=4 sysmon is woken, in epoll or in the futex, and no closed fd is raised
	holds alone - an M without its P in goroutine code is followed
	long alone -DBLOCKS=6 an M without its P in goroutine code is followed
	holds freed - work and a P freed without any find each other
	long freed - work and a P freed without any find each other
	holds lock -DEND=0,-DOPS=2 a bound goroutine runs on its M, and is unbound
	long lock -DEND=0,-DOPS=3 a bound goroutine runs on its M, and is unbound
	holds task - a join returns once, after the task's end
	long task -DREUSE=6 a join returns once, after the task's end
	fails forkq -DNO_FENCE1 the owner's fence
	fails forkq -DNO_FENCE2 the thief's fence
	fails forkq -DFULL_RING,-DTASKS=5,-DOPS=0 the free slot that a thief may still read
	fails wake -DNO_FENCE the producer's fence
	fails wake -DNO_LOOK the last spinner's second look
	fails wake -DLATE_UNCLAIM giving back the claim to spin under the lock
	fails runq -DEARLY_TAIL saving the context before the tail moves
	fails runq -DPLAIN_HEAD the owner's compare-and-swap on head
	fails pword -DNO_MEMBARRIER the membarrier
	fails pword -DREVOKE_ONCE revoking again what block_enter overwrote
	fails pword -DSAME_EPOCH another word when sysmon takes a P
	fails preempt -DNO_MEMBARRIER the membarrier
	fails preempt -DNO_LOOK sysmon's look at the state
	fails preempt -DRELEASE_ONCE a second try to release a marked P
	fails preempt -DNO_TAKE_BACK taking a mark back in the handler
	fails preempt -DNO_OURS noticing that sysmon took its mark back
	fails claim -DNO_SETUP the setup state of the claim
	fails claim -DUNLOCKED_LOOK the lock when a select leaves a queue
	fails claim -DEARLY_LETGO claiming before the timer is let go
	fails claim -DNO_CLAIM the claim
	fails mutex -DNO_PASS_ON passing on when a woken waiter gives up
	fails mutex -DKEEP_WOKEN giving up WOKEN when waiting again
	fails mutex -DLATE_TOUCH the release as the unlock's last touch
	fails sem -DNO_SETUP the setup state of the claim
	fails sem -DLATE_STORE the release before the wake-up
	fails sem -DKEEP_UNIT counting the unit of a waiter that had timed out
	fails wg -DLATE_STORE the store as the last touch
	fails wg -DNO_RECOUNT the second look at the count
	fails wg -DBLIND the look at the lock bit
	fails wg -DNO_SETUP the setup state of the claim
	fails keeper -DNO_FENCE1,-DFOREIGN=0 the fence of rt_keeper_check
	fails keeper -DNO_FENCE2,-DARMS=2,-DFOREIGN=0 the fence of keeper_begin_locked
	fails keeper -DNO_REPLACE replacing a keeper that wakes too late
	fails keeper -DRAISE,-DARMS=2,-DCANCELS=1,-DFOREIGN=0 sleeping no longer than shown
	fails keeper -DONE_LOOK,-DARMS=2,-DFOREIGN=0 a look after the time that stays
	fails keeper -DKEEP_ROLE,-DMS=2 giving up the role when taken off the list
	fails keeper -DANY_KEEPER a look at the timers when a P is given away
	fails keeper -DNO_KICK,-DPOLLS=1,-DFOREIGN=0 the kick for a keeper that polls
	fails keeper -DRUNNING_ONLY,-DMS=2,-DWORK=1,-DFOREIGN=0 sysmon's look at the timers of idle Ps
	fails lock -DEARLY_NOTICE the notice as the last thing written
	fails lock -DLATE_NOTICE the lock around the notice
	fails lock -DNO_STOP_LOOK the look whether the run ends
	fails lock -DKEEP_P releasing the P that is handed over
	fails lock -DANY_M the look whose goroutine it is
	fails lock -DDROP_P giving the P away before the wait
	fails lock -DFORGET_HANDED the look at what was handed
	fails lock -DWAKE_ONCE waking again who parked late
	fails nap -DNO_FENCE sysmon looks at the word without a barrier
	fails nap -DNO_LOOK sysmon does not look at the word
	fails nap -DNO_RAISERS who closes the eventfd does not wait for those who raise it
	fails freed -DNO_FENCE who makes work looks at freed without a barrier
	fails freed -DPLAIN_FREED the kernel says freed by a store
	fails freed -DNO_LOOK the kernel does not look at the work again
	fails freed -DCLEAR_ONLY who takes a freed P says nothing of others
	fails alone -DONLY_FREED only those are followed whose P was freed
	fails alone -DONLY_ITS_OWN only those that had it as they blocked
	fails alone -DNO_ASK sysmon does not look whether the M is awake
	fails upcall -DNO_STATE the kernel's look at the state
	fails upcall -DANY_STATE_14 the same when it gives a P back
	fails upcall -DANY_OWNER,-DSTEPS=3 its look at the owner
	fails upcall -DSTORE_12,-DEND=1,-DSTEPS=1,-DTAKES=1 the compare-and-swap of line 12
	fails upcall -DSTORE_14 the one of line 14
	fails upcall -DSTORE_15 the one of line 15
	fails upcall -DKEEP_AT_END freeing the P of a thread that ends
	fails upcall -DNO_LOOK an M's look at the word when it enters
	fails upcall -DNO_LIST giving on what sysmon took
	fails task -DEARLY_CAS leaving the stack before the task may find it
	fails task -DLATE_TOUCH the exchange as the task's last touch
	EOF
}

# Long searches pay for an optimizer and need COLLAPSE, which saves memory. For
# a second's search gcc's translation took longer than the search itself: tcc, if
# it is there, needs a tenth of the time and makes code like gcc -O0.
compile() {
	if [ "$bounds" = long ]; then
		$CC -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
	else
		tcc -w -DSAFETY -o pan pan.c 2>/dev/null || $CC -O0 -w -DSAFETY -o pan pan.c
	fi
}

# One test, in a folder of its own; its TAP lines without number go to `tap`.
check() {
	kind=$1 model=$2 flags=$3 claim=$4
	[ "$flags" = - ] && flags=''
	cp "$here"/*.h "$here/$model.pml" .
	flags=$(echo "$flags" | tr , ' ')
	# shellcheck disable=SC2086 # flags and size are lists of words
	if spin -a $flags "$model.pml" >log 2>&1 && compile >>log 2>&1; then
		./pan $size >>log 2>&1
	fi
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' log)
	verdict=broken
	if ! grep -q 'search depth too small\|out of memory' log; then
		grep -q 'errors: 0$' log && verdict=holds
		grep -q '^pan:.*\(assertion violated\|invalid end state\)' log && verdict=fails
	fi
	[ "$kind" = fails ] && claim="without $claim it fails"
	if [ "$verdict" = "$kind" ]; then
		echo "ok $model: $claim"
	else
		if [ -f "$model.pml.trail" ]; then
			# shellcheck disable=SC2086
			spin -t -p $flags "$model.pml" 2>&1 | tail -n 60
		fi >>log
		sed 's/^/# /' log
		echo "not ok $model: $claim"
	fi
	echo "# ${states:-no} states"
}

if [ "$bounds" = long ]; then
	list | sed '/^holds/d; s/^long/holds/'
else
	list | sed '/^long/d'
fi >"$work/list"
[ "${MODELS:-all}" != holds ] || sed -i '/^fails/d' "$work/list"
total=$(wc -l <"$work/list")

# Each lane takes the next test that no other has taken.
lane() {
	i=0
	while read -r kind model flags claim; do
		i=$((i + 1))
		mkdir "$work/$i" 2>/dev/null || continue
		(cd "$work/$i" && check "$kind" "$model" "$flags" "$claim" >tap)
		rm -f "$work/$i/pan"
	done <"$work/list"
}

echo "1..$total"
l=0
while [ $l -lt "$jobs" ]; do
	lane &
	l=$((l + 1))
done
wait

failed=0
i=0
while [ $i -lt "$total" ]; do
	i=$((i + 1))
	sed "s/^ok /ok $i /; s/^not ok /not ok $i /" "$work/$i/tap"
	grep -q '^not ok' "$work/$i/tap" && failed=1
done
exit $failed
