#!/bin/bash
# SPDX-License-Identifier: MIT
#
# dirsum's standard output is that of find, sha256sum and sort, byte for byte.

# shellcheck disable=SC2317 # the functions are called by their claims, below
# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

# A system folder may change while we look; then nothing can be said.
steady() {
	reference "$1" | cmp -s - "$dir/want" || skip "$1 changes meanwhile"
	echo "the output differs from that of find, sha256sum and sort"
	return 1
}
system_tree() {
	local d=/usr/share/doc
	[ -d "$d" ] || d=/usr/share
	same "$d" || steady "$d"
}
default_tree() {
	[ -d /usr/share/doc ] || skip "there is no /usr/share/doc"
	reference /usr/share/doc >"$dir/want"
	{ run 0 && cmp "$dir/out" "$dir/want"; } || steady /usr/share/doc
}
odd_names() {
	local n
	# shellcheck disable=SC1003,SC2016 # names, not code
	for n in $'new\nline' $'\n' 'back\slash' '\' '\n' $'c\rr' $'tab\t' ' ' '  two  ' -q --help \
		'*' '?' $'\xff\xfe' $'\x80' $'\e[31m' 'ü' "'" '"' '%s' '$(id)' ... .hidden; do
		printf %s "$n" >"$n"
	done
	mkdir -- $'dir\nwith' 'dir\with' -j
	for n in 'in' $'i\nn' 'i\n'; do
		echo "$n" | tee $'dir\nwith'/"$n" dir\\with/"$n" >./-j/"$n"
	done
	same .
	[ "$(wc -l <"$dir/out")" = $((23 + 9)) ]
	sha256sum --quiet -c "$dir/out"
}
escaped_order() {
	# Lines that begin with a backslash sort between those with digits and letters.
	for i in $(seq 64); do echo "$i" | tee "$i" >"\\$i"; done
	same .
	reference_by_name . >"$dir/want"
	run 0 -q --by-name .
	cmp "$dir/out" "$dir/want"
}
by_name() {
	mkdir a a.b
	echo 1 | tee a/x a.b/x a/xx a/x.y >a0
	reference_by_name . . >"$dir/want"
	run 0 -q --by-name . .
	cmp "$dir/out" "$dir/want"
}
sizes() {
	local n
	for n in 0 1 63 64 65 4095 4096 65535 65536 65537 131071 131072 131073 1000003; do
		head -c "$n" /dev/urandom >"./$n"
	done
	same .
	[ "$(wc -l <"$dir/out")" = 14 ]
}
huge() {
	# Sparse. The digest of 4 GiB and 1 zero bytes is known, sha256sum needn't
	# compute it each time.
	truncate -s 300M a
	truncate -s 100M b
	same .
	truncate -s $(((4 << 30) + 1)) c 2>/dev/null || skip "no sparse files of 4 GiB here"
	LIMIT=300 run 0 c
	printf '%s  c\n' fbb82f7b353676bb562eb82157fcf0ea42c36492ca13ee56dbf82c08b6802c5c >"$dir/want"
	cmp "$dir/out" "$dir/want"
	matches '^bytes +4294967297$' "$dir/err"
}
empty() {
	mkdir -p a/b/c
	same .
	none "$dir/out"
}
links() {
	echo x >x
	ln x hard
	ln -s x soft
	ln -s nowhere dangling
	ln -s . loop
	ln -s .. up
	mkdir d
	ln -s ../d d/d
	same .
	[ "$(wc -l <"$dir/out")" = 2 ]
}
dir_forms() {
	local form
	mkdir -p a/b
	echo 1 >a/1
	echo 2 >a/b/2
	ln -s a l
	for form in a a/ a// ./a a/b/.. "$PWD/a" "$PWD/a/" . ./ .. a/1 ./a/1 l/ l/b; do
		same "$form"
	done
	same a a
	same a a/b a/1 a/
	cd a
	same .
}
special_files() {
	echo x >x
	mkfifo fifo
	"$mktree" socket socket
	mknod null c 1 3 2>/dev/null || :
	mknod full b 7 250 2>/dev/null || :
	same .
	[ "$(wc -l <"$dir/out")" = 1 ]
}
any_procs() {
	local j
	"$mktree" many many 3000
	reference many >"$dir/want"
	for j in 1 2 3 16; do
		run 0 -q -j "$j" many
		cmp "$dir/out" "$dir/want"
	done
}

claim "A system folder is summed as by sha256sum" system_tree
claim "Without a DIR it is /usr/share/doc" default_tree
claim "Names with newlines, backslashes, control and non-UTF-8 bytes are printed as by sha256sum" odd_names
claim "Escaped lines are sorted like any other" escaped_order
claim "--by-name sorts as sort -k2" by_name
claim "Sizes around the buffer's are read to the end" sizes
claim "Files of more than 4 GiB are summed" huge
claim "An empty tree gives no output" empty
claim "Symbolic links and loops of them are not followed, hard links are files" links
claim "DIR may be relative, absolute, end in slashes, be a file, stand twice" dir_forms
claim "FIFOs, sockets and devices are neither opened nor listed" special_files
claim "The output is the same for any number of Ps" any_procs
finish
