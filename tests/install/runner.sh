#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The test runner loses nothing: whatever way a test program ends, it is
# counted as what it is, and the closing line is the sum.

. "$(dirname "$0")/tap.inc"

run=$src/tools/build/run-tests

# outcome BODY CLOSING-LINE [TEXT]: a test program with this body gives this sum
# and, if TEXT is given, a line in the lists with it.
outcome() {
	printf '#!/bin/sh\n%s\n' "$1" >"$work/prog.sh"
	chmod +x "$work/prog.sh"
	rc=0
	TMPDIR=$work "$run" -t 2 -l lab "$work/prog.sh" >"$work/said" 2>&1 || rc=$?
	cat "$work/said"
	same "$(tail -n 1 "$work/said")" "$2"
	case $2 in
	*", 0 failed"*) same "$rc" 0 ;;
	*) same "$rc" 1 ;;
	esac
	[ $# -lt 3 ] || grep -qF "$3" "$work/said"
}

# What is said between "ok 1" and "not ok 2" is of interest, what came before is not.
failures_only() {
	outcome 'echo 1..2; echo dull; echo ok 1 a; echo Expected 2; echo not ok 2 b; exit 1' \
		"1 passed, 1 failed, 0 skipped" "| Expected 2"
	! grep dull "$work/said"
}

ok='echo 1..1; echo "ok 1 it works"'

sum_of_two_runs() {
	printf '#!/bin/sh\necho 1..2; echo ok 1 a; echo ok 2 b\n' >"$work/one.sh"
	printf '#!/bin/sh\necho 1..1; echo "not ok 1 c"; exit 1\n' >"$work/two.sh"
	chmod +x "$work/one.sh" "$work/two.sh"
	: >"$work/results"
	export GMPRT_RESULTS="$work/results" TMPDIR="$work"
	"$run" "$work/one.sh"
	! "$run" -S "three: no tool" "$work/two.sh" || return 1
	! "$run" -s "$work/results" >"$work/said" || return 1
	cat "$work/said"
	same "$(tail -n 1 "$work/said")" "2 passed, 1 failed, 1 skipped"
	grep -q 'two.sh: c$' "$work/said"
	grep -q 'three: no tool' "$work/said"
}

not_executable() {
	outcome "$ok" "1 passed, 0 failed, 0 skipped"
	chmod -x "$work/prog.sh"
	! TMPDIR=$work "$run" "$work/prog.sh" >"$work/said" 2>&1 || return 1
	cat "$work/said"
	same "$(tail -n 1 "$work/said")" "0 passed, 1 failed, 0 skipped"
}

nothing_left_running() {
	outcome "$ok; sleep 86399.$$ & sleep 86399.$$" "1 passed, 1 failed, 0 skipped" "took longer than 2 s"
	! grep -l "86399.$$" /proc/[0-9]*/cmdline 2>/dev/null
}

t "a pass is a pass" outcome "$ok" "1 passed, 0 failed, 0 skipped"
t "a failed test is a failure with its name" outcome 'echo 1..1; echo "not ok 1 it works"; exit 1' \
	"0 passed, 1 failed, 0 skipped" "lab: "
t "of a log only what failed is shown" failures_only
t "a skip is listed with its reason" outcome 'echo 1..1; echo "ok 1 it works # SKIP no moon"' \
	"0 passed, 0 failed, 1 skipped" "it works: no moon"
t "a skip without a name gets that of its RUN line" outcome \
	'echo 1..1; echo "#  RUN           global.it_works ..."; echo "ok 1 # SKIP no moon"' \
	"0 passed, 0 failed, 1 skipped" "global.it_works: no moon"
t "a skipped program is one skip" outcome 'echo "1..0 # SKIP no moon"; exit 4' \
	"0 passed, 0 failed, 1 skipped" "no moon"
t "a known failure counts as skipped" outcome 'echo 1..1; echo "not ok 1 it works # TODO later"' \
	"0 passed, 0 failed, 1 skipped" "known failure: later"
t "a failure that calls itself skipped is a failure" outcome 'echo 1..1; echo "not ok 1 it works # SKIP x"' \
	"0 passed, 1 failed, 0 skipped"
t "a crash after all tests passed is a failure" outcome "$ok; kill -SEGV \$\$" \
	"1 passed, 1 failed, 0 skipped" "signal 11"
t "an exit status of 3 after all passed is a failure" outcome "$ok; exit 3" \
	"1 passed, 1 failed, 0 skipped" "exit status 3"
t "a program that stops half way is a failure" outcome 'echo 1..2; echo ok 1 a' \
	"1 passed, 1 failed, 0 skipped" "ran 1 of 2 planned"
t "a program that runs more than it planned is a failure" outcome 'echo 1..1; echo ok 1 a; echo ok 2 b' \
	"2 passed, 1 failed, 0 skipped" "planned 1"
t "silence is a failure" outcome 'exit 0' "0 passed, 1 failed, 0 skipped" "printed no test result"
t "a race reported by a passing program is a failure" outcome "$ok; echo 'WARNING: ThreadSanitizer: data race'" \
	"1 passed, 1 failed, 0 skipped" "data race"
t "a race is shown, whatever passed after it" outcome "echo '| WARNING: ThreadSanitizer: data race'; $ok" \
	"1 passed, 1 failed, 0 skipped" "| | WARNING"
t "a script that is not executable is a failure" not_executable
t "a hanging program is a failure and leaves nothing running" nothing_left_running
t "two runs are summed" sum_of_two_runs
finish
