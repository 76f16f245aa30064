#!/bin/bash
# SPDX-License-Identifier: MIT
#
# echo and chat, talked to over TCP by bash itself.

# shellcheck disable=SC2317 # the functions are called by their claims, below
# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

# serve NAME: starts the example on a port of the kernel's choice, in $port.
serve() {
	: >said # it may take a while until the server's shell has
	"$build/examples/$1" 127.0.0.1:0 >said 2>err &
	server=$!
	for _ in $(seq 100); do
		port=$(sed -n 's/.*port //p' said)
		[ -n "$port" ] && return
		sleep 0.1
	done
	return 1
}

stop() {
	kill -0 "$server" # it lives still
	kill "$server"
	wait "$server" 2>/dev/null || :
}

line() {
	local got
	IFS= read -r -t 20 -u "$1" got
	printf '%s' "${got%$'\r'}"
}

echoes() {
	serve echo
	exec 5<>"/dev/tcp/127.0.0.1/$port" 6<>"/dev/tcp/127.0.0.1/$port"
	echo "one" >&5
	echo "two" >&6
	[ "$(line 6)" = two ]
	[ "$(line 5)" = one ]
	head -c 3000000 /usr/bin/env /bin/bash 2>/dev/null | head -c 1000000 >data
	(cat data >&5) &
	timeout 20 head -c "$(stat -c %s data)" <&5 | cmp - data
	exec 5>&- 6>&-
	stop
}

# 30 fds: the run time's own, the listener, some connections. The rest waits in
# the listener's queue until others leave; the server backs off and says so.
runs_out_of_fds() {
	local i fds=()
	: >said
	(ulimit -n 30 && exec "$build/examples/echo" 127.0.0.1:0 >said 2>err) &
	server=$!
	for _ in $(seq 100); do
		port=$(sed -n 's/.*port //p' said)
		[ -n "$port" ] && break
		sleep 0.1
	done
	for i in $(seq 40); do
		exec {fd}<>"/dev/tcp/127.0.0.1/$port"
		fds+=("$fd")
		echo "hello $i" >&"$fd"
	done
	[ "$(line "${fds[0]}")" = "hello 1" ]
	for _ in $(seq 100); do
		grep -q 'waiting for' err && break
		sleep 0.1
	done
	matches 'Too many open files; waiting for' err
	for i in $(seq 0 19); do
		fd=${fds[i]}
		exec {fd}>&-
	done
	[ "$(line "${fds[39]}")" = "hello 40" ]
	[ "$(wc -l <err)" -lt 40 ] # it did not spin
	for i in $(seq 20 39); do
		fd=${fds[i]}
		exec {fd}>&-
	done
	stop
}

chats() {
	serve chat
	exec 5<>"/dev/tcp/127.0.0.1/$port"
	[ "$(line 5)" = "* you are guest1; /nick NAME, /who, /quit" ]
	exec 6<>"/dev/tcp/127.0.0.1/$port"
	[ "$(line 6)" = "* you are guest2; /nick NAME, /who, /quit" ]
	[ "$(line 5)" = "* guest2 joined" ]
	printf '/nick bob\r\nhello\n/nick b b\n' >&6
	[ "$(line 5)" = "* guest2 is now bob" ]
	[ "$(line 5)" = "bob: hello" ]
	[ "$(line 6)" = "* guest2 is now bob" ]
	[ "$(line 6)" = "* a name is 31 letters and digits at most, and nobody else's" ]
	echo /quit >&6
	[ "$(line 5)" = "* bob left" ]
	exec 5>&- 6>&-
	stop
}

# One who never reads is thrown out and holds nobody up.
slow_readers() {
	serve chat
	exec 5<>"/dev/tcp/127.0.0.1/$port"
	line 5 >/dev/null
	exec 6<>"/dev/tcp/127.0.0.1/$port"
	line 6 >/dev/null
	line 5 >/dev/null
	# More than all buffers between 6 and 5 can hold.
	(timeout 30 head -c 10000000 /dev/zero | tr '\0' x | fold -w 400 >&6; printf '\n/who\n' >&6) &
	local who=0
	while IFS= read -r -t 30 -u 6 got; do
		case $got in
		"* guest1 left"*) who=1 ;;
		"* guest2"*) break ;;
		esac
	done
	[ "$who" = 1 ]
	exec 5>&- 6>&-
	stop
}

usage() {
	local status
	for e in echo chat; do
		status=0
		"$build/examples/$e" a b 2>err || status=$?
		[ "$status" = 2 ]
		matches "^usage: $e" err
		status=0
		"$build/examples/$e" 127.0.0.1:70000 2>err || status=$?
		[ "$status" = 1 ]
		matches "^$e: can't listen at 127.0.0.1:70000" err
	done
}

claim "echo sends back what each of two connections sent" echoes
claim "echo backs off when it is out of fds, and goes on when there are some" runs_out_of_fds
claim "chat passes lines and names on" chats
claim "chat throws out a guest who does not read" slow_readers
claim "echo and chat refuse what they can't use" usage
finish
