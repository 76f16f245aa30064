#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The small examples do what their file's top says.

# shellcheck disable=SC2317 # the functions are called by their claims, below
# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

hello() {
	timeout 10 "$build/examples/hello" >out
	[ "$(tail -n 1 out)" = "nobody came for 100 ms" ]
	[ "$(sort out | head -n 2 | tr '\n' ,)" = "hello, Ken,hello, Rob," ]
	[ "$(wc -l <out)" = 3 ]
}
sieve() {
	timeout 30 "$build/examples/sieve" 1000 >out
	# factor(1) prints "7: 7" for a prime.
	seq 2 7919 | factor | awk 'NF == 2 { print $2 }' | cmp - out
	[ "$(timeout 10 "$build/examples/sieve" | wc -l)" = 100 ]
}
sieve_usage() {
	local n status
	for n in 0 -1 x '' 5x 100001; do
		status=0
		"$build/examples/sieve" "$n" >out 2>err || status=$?
		[ "$status" = 2 ]
		none out
		matches '^usage: sieve ' err
	done
}

ends_with() {
	local want=$1 status=0
	shift
	timeout 20 "$build/examples/supervise" "$@" >out 2>err || status=$?
	[ "$status" = "$want" ]
}
supervise() {
	ends_with 0 5 true
	ends_with 3 5 sh -c 'exit 3'
	ends_with 137 5 sh -c 'kill -9 $$'
	ends_with 127 5 no-such-command
	ends_with 137 0.2 sleep 60
	matches 'time is up' err
	ends_with 2 x true
}
supervise_signal() {
	local pid status=0
	timeout 20 "$build/examples/supervise" 60 sleep 50 2>err &
	pid=$!
	until pgrep -P "$(pgrep -P "$pid" supervise)" sleep >/dev/null 2>&1; do sleep 0.05; done
	kill -TERM "$(pgrep -P "$pid" supervise)"
	wait "$pid" || status=$?
	[ "$status" = 143 ]
}

claim "hello greets two and gives up on the third after 100 ms" hello
claim "sieve prints the first N primes, 100 by default" sieve
claim "sieve refuses what is not a number from 1 to 100000" sieve_usage
claim "supervise ends as its command does, or when the time is up" supervise
claim "supervise hands a signal on to its command" supervise_signal
finish
