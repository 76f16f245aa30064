# SPDX-License-Identifier: MIT
#
# demo.bash - what the tests of the demo share; sourced, not run
#
# Gives $dirsum, $mktree, a folder $dir for what is compared (removed at the end)
# and the functions below. A test is a function that runs in an empty folder and
# in which each command must succeed; `claim` says what it proves and runs it.
# $room is yes where 200,000 files have room.

[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # was started as `sh FILE`

set -u
export LC_ALL=C
src=$(cd "${BASH_SOURCE[0]%/*}" && pwd) || exit 1
build=${BUILD:-${O_ABS:-build}}
case $build in /*) ;; *) build=${src%/tests/demo}/$build ;; esac

bail() { echo "Bail out! $*"; exit 1; }

bin=$(mktemp -d "${TMPDIR:-/tmp}/dirsum-bin.XXXXXX") || bail "no temporary folder"
dir=$bin
trap 'cd /; rm -rf "$dir" "$bin"' EXIT
trap 'exit 1' INT TERM HUP

# For data, where it has room, a memory file system: quick, and holes cost nothing.
roomy() {
	[ -w "$1" ] && [ "$(df --output=iavail "$1" | tail -n 1)" -gt 250000 ] &&
		[ "$(df --output=avail "$1" | tail -n 1)" -gt 1500000 ]
}
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && roomy /dev/shm; then
	TMPDIR=/dev/shm
fi
room=no
roomy "${TMPDIR:-/tmp}" && room=yes
dir=$(mktemp -d "${TMPDIR:-/tmp}/dirsum.XXXXXX") || bail "no temporary folder"
mkdir "$dir/t" || bail "$dir: not writable"
chmod 755 "$bin" "$dir" "$dir/t"

# Copies, since nobody must be able to run them wherever the build folder is.
install -m 755 "$build/examples/dirsum" "$bin/" || bail "run 'make examples' first"
dirsum=$bin/dirsum
mktree=$bin/mktree
${CC:-cc} -O1 -D_GNU_SOURCE -o "$mktree" "$src/mktree.c" || bail "mktree.c does not compile"
cd "$dir/t" || bail "$dir/t: no access"

# What the output must be, by default and with --by-name.
reference() { find "$@" -type f -print0 | xargs -0 -r sha256sum | sort; }
reference_by_name() { find "$@" -type f -print0 | xargs -0 -r sha256sum | sort -k2; }

# run STATUS ARG...: dirsum's exit status is STATUS, soon enough. Leaves out, err.
run() {
	local want=$1 got=0
	shift
	timeout -k 5 "${LIMIT:-60}" "$dirsum" "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
	[ "$got" != "$want" ] || return 0
	echo "dirsum $*: exit status $got, not $want"
	head -n 5 "$dir/err"
	return 1
}

# same ARG...: all is well and the output is the reference's.
same() {
	reference "$@" >"$dir/want"
	run 0 -q "$@" && cmp "$dir/out" "$dir/want" && none "$dir/err"
}

# lists STATUS ARG...: as `same`, where something could not be read.
lists() {
	local status=$1
	shift
	reference "$@" >"$dir/want" 2>/dev/null
	run "$status" -q "$@" && cmp "$dir/out" "$dir/want"
}

# on_terminal COMMAND: runs it on a terminal of its own, which it prints.
on_terminal() {
	command -v script >/dev/null || skip "there is no script(1) to make a terminal"
	timeout -k 5 60 script -qefc "$1" /dev/null
}

none() { [ ! -s "$1" ] || { echo "$1 is not empty:"; head -n 5 "$1"; return 1; }; }

# says TEXT N: stderr has N lines, the first of them TEXT.
says() {
	local first
	first=$(head -n 1 "$dir/err")
	[ "$first" != "$1" ] || [ "$(wc -l <"$dir/err")" != "$2" ] || return 0
	echo "expected $2 lines and first: $1"
	head -n 5 "$dir/err"
	return 1
}

# matches PATTERN FILE
matches() { grep -Eq -- "$1" "$2" || { echo "no '$1' in $2:"; head -n 12 "$2"; return 1; }; }

nr=0 failed=0

# claim TEXT FUNCTION: runs it in an empty folder, in a shell of its own.
claim() {
	local log status
	nr=$((nr + 1))
	mkdir "$dir/t/$nr" && chmod 777 "$dir/t/$nr"
	log=$(
		set -eE
		trap 'status=$?; echo "line $LINENO: failed: $BASH_COMMAND"; exit $status' ERR
		cd "$dir/t/$nr"
		"$2" 2>&1
	)
	status=$?
	if [ $status = 0 ]; then
		echo "ok $nr - $1${log:+ # ${log##*$'\n'}}"
	elif [ $status = 77 ]; then
		echo "ok $nr - $1 # SKIP ${log##*$'\n'}"
	else
		echo "not ok $nr - $1"
		failed=1
		[ -z "$log" ] || printf '%s\n' "$log" | sed 's/^/# /'
	fi
	rm -rf "${dir:?}/t/$nr"
}

# Inside a test: it can't be done here, and why.
skip() { echo "$*"; exit 77; }

finish() { echo "1..$nr"; exit $failed; }
