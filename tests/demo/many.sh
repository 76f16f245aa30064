#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A tree of 200,000 files with 256 file descriptors. The bound on memory is what
# sum.c promises: 16,384 goroutines of a page each, 256 buffers of 64 KiB, and the
# list of lines; without it, as many stacks as files could be 800 MB.

# shellcheck disable=SC2317 # the functions are called by their claims, below

# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

many() {
	[ "$room" = yes ] || skip "less than 1.5 GB or 250,000 inodes left in ${TMPDIR:-/tmp}"
	"$mktree" many many 200000
	reference many >"$dir/want"
	[ "$(wc -l <"$dir/want")" = 200000 ]
	ulimit -n 256
	timeout -k 5 300 "$mktree" rss "$dir/rss" "$dirsum" many >"$dir/out" 2>"$dir/err"
	cmp "$dir/out" "$dir/want"
	matches '^files +200000$' "$dir/err"
	[ "$(cat "$dir/rss")" -lt 200000 ] || { echo "peak of $(cat "$dir/rss") KiB"; return 1; }
	echo "$(cat "$dir/rss") KiB at most, $(awk '/^seconds/ { print $2 }' "$dir/err") s"
}

claim "200,000 files are summed with 256 descriptors and less than 200 MB" many
finish
