#!/bin/bash
# SPDX-License-Identifier: MIT
#
# How dirsum behaves towards its user: terminal, pipes, options, Ctrl-C.

# shellcheck disable=SC2317 # the functions are called by their claims, below
# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

table() {
	echo x >x
	run 0 .
	reference . | cmp - "$dir/out"
	cut -c1-12 "$dir/err" | sed 's/ *$//' >keys
	printf '%s\n' files bytes seconds MB/s GOMAXPROCS goroutines Ms Ps backend | cmp - keys
	matches '^files +1$' "$dir/err"
	matches '^bytes +2$' "$dir/err"
	matches '^goroutines +[0-9]+, at most [1-9]' "$dir/err"
	matches '^backend +(sysmon|bpf|kmod|scx)$' "$dir/err"
	run 0 -j 3 .
	matches '^GOMAXPROCS +3$' "$dir/err"
	"$mktree" many many 1000
	run 0 many
	[ "$(awk '/^goroutines/ { print $2 + 0 }' "$dir/err")" -ge 1000 ]
}
quiet() {
	echo x >x
	run 0 -q .
	none "$dir/err"
	run 1 --quiet . nowhere
	says "dirsum: nowhere: No such file or directory" 1
}
progress() {
	mkdir d
	truncate -s 400M d/big
	reference d >"$dir/want"
	on_terminal "'$dirsum' d >$PWD/out" </dev/null >shown
	cmp out "$dir/want"
	matches '[0-9]+ of [0-9]+ files, [0-9.]+ MB, [0-9.]+ MB/s' shown
	on_terminal "'$dirsum' -q d >$PWD/out" </dev/null >shown
	none shown
	run 0 d
	! grep -q $'\r' "$dir/err"
}
narrow() {
	truncate -s 400M big
	on_terminal "stty cols 20; '$dirsum' . >$PWD/out" </dev/null >shown
	tr '\r' '\n' <shown | grep ' of ' >lines
	[ "$(wc -L <lines)" -le 19 ]
}
interrupt() {
	local start=$SECONDS
	truncate -s 2T big || skip "no sparse files of 2 TiB here"
	(sleep 0.5; printf '\003'; sleep 0.5) |
		on_terminal "trap : INT; stty -g >$PWD/a; '$dirsum' .; echo \$? >$PWD/status; stty -g >$PWD/b" >shown || :
	[ $((SECONDS - start)) -lt 10 ]
	[ "$(cat status)" = 130 ]
	[ -s a ]
	cmp a b
	! grep -q $'\e' shown
}
terminate() {
	truncate -s 2T big || skip "no sparse files of 2 TiB here"
	local status=0
	timeout -k 10 0.5 "$dirsum" -q big || status=$?
	[ "$status" = 124 ]
}
head_of() {
	"$mktree" many many 5000
	reference many | head -n 1 >"$dir/want"
	{ "$dirsum" many 2>"$dir/err" || echo $? >status; } | head -n 1 | cmp - "$dir/want"
	[ "$(cat status)" = 141 ]
	matches '^files +5000$' "$dir/err"
}
pipe_ignored() {
	"$mktree" many many 5000
	trap '' PIPE
	{ "$dirsum" -q many 2>"$dir/err" || echo $? >status; } | head -n 1 >/dev/null
	[ "$(cat status)" = 1 ]
	says "dirsum: standard output: Broken pipe" 1
}
full() {
	[ -c /dev/full ] || skip "there is no /dev/full"
	echo x >x
	local status=0
	"$dirsum" -q . >/dev/full 2>"$dir/err" || status=$?
	[ "$status" = 1 ]
	says "dirsum: standard output: No space left on device" 1
}
closed() {
	echo x >x
	local status=0
	"$dirsum" -q . >&- 2>"$dir/err" || status=$?
	[ "$status" = 1 ]
	says "dirsum: standard output: Bad file descriptor" 1
	run 0 -q . 2>&-
}
usage() {
	local n
	for n in 0 -1 1025 x '' 2x 99999999999999999999; do
		run 2 -j "$n" .
		none "$dir/out"
		matches "^dirsum: -j $n: not a number from 1 to 1024$" "$dir/err"
	done
	run 2 --nonsense
	matches "^.*dirsum: unrecognized option '--nonsense'$" "$dir/err"
	run 0 --help
	matches '^Usage: dirsum ' "$dir/out"
	echo x >-x
	same -- -x 2>/dev/null || { run 0 -q -- -x; matches '^[0-9a-f]{64}  -x$' "$dir/out"; }
}

claim "A table at the end tells on stderr what was done" table
claim "-q leaves out everything but complaints" quiet
claim "A progress line is shown on a terminal only" progress
claim "The progress line fits a narrow terminal" narrow
claim "Ctrl-C ends it at once and leaves the terminal as it was" interrupt
claim "SIGTERM ends it at once" terminate
claim "dirsum | head shows the table and ends by SIGPIPE" head_of
claim "With SIGPIPE ignored a broken pipe is an error" pipe_ignored
claim "A full disk under stdout is an error" full
claim "A closed stdout is an error" closed
claim "Bad options are refused with one line that names them" usage
finish
