#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The models of the lock-free protocols, checked by spin. One test for each
# model, and one for each mutation: a model that does not fail when what it
# rests on is taken away proves nothing.
#
#   MODEL_BOUNDS=long	larger bounds (some minutes, 3 GB)
#   MODEL_JOBS=N	so many at a time; default 2

set -u
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
CC=${CC:-cc}
bounds=${MODEL_BOUNDS:-short}
jobs=${MODEL_JOBS:-2}

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
	holds forkq -DTASKS=3 each forked task is taken exactly once
	holds forkq -DOPS=1 each forked task is taken exactly once, the queue full
	long forkq -DTASKS=4,-DOPS=3,-DSTEALS=2 each forked task is taken exactly once
	holds wake - no wake-up is lost
	long wake - no wake-up is lost
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
	holds keeper - no timer is left without somebody who wakes for it
	long keeper - no timer is left without somebody who wakes for it
	holds task - a join returns once, after the task's end
	long task -DREUSE=6 a join returns once, after the task's end
	fails forkq -DNO_FENCE1,-DTASKS=3 the owner's fence
	fails forkq -DNO_FENCE2,-DTASKS=3 the thief's fence
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
	fails keeper -DNO_FENCE the fence of rt_keeper_check
	fails keeper -DRAISE sleeping no longer than first published
	fails keeper -DRUNNING_ONLY sysmon's look at the timers of idle Ps
	fails task -DEARLY_CAS leaving the stack before the task may find it
	fails task -DLATE_TOUCH the exchange as the task's last touch
	EOF
}

# One test, in a folder of its own; its TAP lines without number go to `tap`.
check() {
	kind=$1 model=$2 flags=$3 claim=$4 opt=-O0
	[ "$flags" = - ] && flags=''
	# For a few seconds' search optimizing costs more than it saves.
	[ "$bounds" = long ] && opt=-O2
	cp "$here"/*.h "$here/$model.pml" .
	flags=$(echo "$flags" | tr , ' ')
	# shellcheck disable=SC2086 # flags and CC are lists of words
	if spin -a $flags "$model.pml" >log 2>&1 &&
		$CC $opt -w -DSAFETY -DCOLLAPSE -o pan pan.c >>log 2>&1; then
		./pan -w22 -m100000 >>log 2>&1
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
total=$(wc -l <"$work/list")

# Lane l does tests l, l + jobs, l + 2 * jobs ...
lane() {
	i=0
	while read -r kind model flags claim; do
		i=$((i + 1))
		[ $((i % jobs)) -eq "$1" ] || continue
		mkdir "$work/$i"
		(cd "$work/$i" && check "$kind" "$model" "$flags" "$claim" >tap)
		rm -f "$work/$i/pan"
	done <"$work/list"
}

echo "1..$total"
l=0
while [ $l -lt "$jobs" ]; do
	lane $l &
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
