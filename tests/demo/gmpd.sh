#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The bpf backend for a user without rights: gmpctl, gmpd and a program of his.

# shellcheck disable=SC2317 # the functions are called by their claims, below
# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

gmpctl=$build/bin/gmpctl
gmpd=$build/bin/gmpd
pins=/sys/fs/bpf/gmprt-demo-$$
gmpd_pid='' run_pid=''
export GMPRT_GMPD=$dir/gmpd.sock GMPRT_UPCALL=bpf

cleanup() {
	[ -z "$gmpd_pid" ] || kill -9 "$gmpd_pid" 2>/dev/null
	[ ! -d "$pins" ] || "$gmpctl" unload --pins "$pins"
	cd /
	rm -rf "$dir" "$bin"
}
trap cleanup EXIT

lacks() {
	[ "$(id -u)" = 0 ] || { echo "not root"; return; }
	[ -x "$gmpd" ] || { echo "gmpctl and gmpd are not built (make tools)"; return; }
	command -v setpriv >/dev/null || { echo "there is no setpriv(1)"; return; }
	"$gmpctl" load --pins "$pins" 2>&1 && "$gmpctl" unload --pins "$pins"
}
why=$(lacks)

# Each claim has programs of its own loaded, and a daemon.
with_daemon() {
	[ -z "$why" ] || skip "$why"
	"$gmpctl" load --pins "$pins"
	start_gmpd
	trap 'status=$?; kill -9 $gmpd_pid $run_pid 2>/dev/null || :; "$gmpctl" unload --pins "$pins" 2>/dev/null || :; exit $status' EXIT
}
start_gmpd() {
	"$gmpd" --pins "$pins" --socket "$GMPRT_GMPD" --group nogroup &
	gmpd_pid=$!
	listens
}
# The kernel's flag of a socket that is listened to; a killed one's is gone.
listens() {
	until grep -q " 00010000 .* $GMPRT_GMPD\$" /proc/net/unix; do
		kill -0 "$gmpd_pid"
		sleep 0.02
	done
}
# Until it is gone it has the pins and the socket.
kill_gmpd() {
	kill -9 "$gmpd_pid"
	wait "$gmpd_pid" 2>/dev/null || :
}
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
# One that takes a while, in the background; returns once its session has an M.
starts() {
	truncate -s 600M big
	reference big >"$dir/want"
	as_nobody timeout 100 "$dirsum" big >"$dir/out" 2>"$dir/err" &
	run_pid=$!
	until grep -q '(dirsum) M ' "$pins/gmprt_ms"; do
		kill -0 "$run_pid"
		sleep 0.02
	done
}
# by BACKEND
ends_well() {
	wait "$run_pid"
	cmp "$dir/want" "$dir/out"
	matches "^backend +$1\$" "$dir/err"
	! grep gmprt: "$dir/err"
}

# As systemd does it: the socket is there, the daemon comes with who asks first.
activated() {
	[ -z "$why" ] || skip "$why"
	command -v systemd-socket-activate >/dev/null || skip "there is no systemd-socket-activate(1)"
	"$gmpctl" load --pins "$pins"
	systemd-socket-activate --seqpacket --listen "$GMPRT_GMPD" \
		"$gmpd" --pins "$pins" 2>"$dir/activate.err" &
	gmpd_pid=$!
	trap 'status=$?; kill -9 $gmpd_pid 2>/dev/null || :; rm -f "$GMPRT_GMPD"; "$gmpctl" unload --pins "$pins" || :; exit $status' EXIT
	listens
	chmod 666 "$GMPRT_GMPD"
	[ "$(cat "/proc/$gmpd_pid/comm")" != gmpd ]
	echo x >x
	as_nobody timeout 60 "$dirsum" x >"$dir/out" 2>"$dir/err"
	matches '^backend +bpf$' "$dir/err"
	[ "$(cat "/proc/$gmpd_pid/comm")" = gmpd ]
}
unprivileged() {
	with_daemon
	"$mktree" many many 1000
	reference many >"$dir/want"
	as_nobody timeout 60 "$dirsum" many >"$dir/out" 2>"$dir/err"
	cmp "$dir/want" "$dir/out"
	matches '^backend +bpf$' "$dir/err"
}
without() {
	[ -z "$why" ] || skip "$why"
	echo x >x
	as_nobody timeout 60 "$dirsum" x >"$dir/out" 2>"$dir/err"
	matches '^backend +sysmon$' "$dir/err"
	matches '^gmprt: upcalls by sysmon; bpf: no right .*gmpd is not running$' "$dir/err"
}
killed() {
	with_daemon
	starts
	kill_gmpd
	ends_well bpf
}
restarted() {
	with_daemon
	starts
	kill_gmpd
	start_gmpd
	"$gmpctl" status --pins "$pins" | grep -qx 'no sessions'
	ends_well sysmon
}
unloaded() {
	with_daemon
	starts
	"$gmpctl" unload --pins "$pins"
	ends_well sysmon
}
status() {
	with_daemon
	starts
	"$gmpctl" status --pins "$pins" >text
	matches '^bpf: loaded since 20[0-9-]+ [0-9:]+, pinned in ' text
	"$gmpctl" status --json --pins "$pins" >json
	matches '"uid":65534' json
	matches '"loaded":true' json
	matches '^ +1 +[0-9]+ +65534 ' text
	matches '^session 1 pid [0-9]+ tid [0-9]+ \(dirsum\) M ' "$pins/gmprt_ms"
	ends_well bpf
	until "$gmpctl" status --pins "$pins" | grep -qx 'no sessions'; do sleep 0.05; done
}
refuses() {
	local status=0
	"$@" >out 2>err || status=$?
	[ "$status" = 1 ]
	[ "$(wc -l <err)" = 1 ]
}
errors() {
	[ -z "$why" ] || skip "$why"
	refuses "$gmpctl" status --pins "$pins"
	matches "no programs are loaded: run 'gmpctl load'" err
	refuses "$gmpctl" unload --pins "$pins"
	matches ": nothing is loaded$" err
	refuses "$gmpctl" load --pins "$dir/t"
	matches "is no BPF file system: mount -t bpf " err
	"$gmpctl" load --pins "$pins"
	refuses "$gmpctl" load --pins "$pins"
	matches ": loaded already; 'gmpctl unload' " err
	"$gmpctl" unload --pins "$pins"
	[ ! -e "$pins" ]
	install -m 755 "$gmpctl" ./gmpctl
	refuses as_nobody ./gmpctl load
	matches "run as root$" err
}

claim "A user without rights has the bpf backend where gmpd runs" unprivileged
claim "Started by a socket, as systemd does it, it serves who asked first" activated
claim "Without gmpd he has sysmon, and one line that says why" without
claim "When gmpd is killed his program goes on" killed
claim "When gmpd is started again his program goes on by sysmon" restarted
claim "When the programs are unloaded his program goes on by sysmon" unloaded
claim "gmpctl status and the iterator show his session" status
claim "What gmpctl can't do it says in one line with the way out" errors
finish
