# SPDX-License-Identifier: MIT
#
# upcall.awk - the table of tests/bench/upcall
#
#	awk -f samples.awk -f upcall.awk section=bars bars section=NAME NAME.txt ...
#
# Lines are as summary.awk's. A cell is section, benchmark and peer. Medians are over
# the repetitions, but .max is the largest of all. Costs take turns within a turn of
# the machine's speed, so what is compared there is the k-th sample of one way with
# the k-th of the other, and the median of that.

BEGIN {
	split("G1 G1r G2 G3 G3r G4 G5 G6 G7 G8 G9 G10", gaps, " ")
	split("pipe read|pipe read, after 20 ms|nanosleep 1 ms|nanosleep 5 ms|" \
	      "nanosleep 5 ms, after 20|nanosleep 50 ms|flock|fsync|getaddrinfo|futex|" \
	      "major page fault|userfaultfd", gap_names, "|")
	split("C1 C2 C3 C4 C5", costs, " ")
	split("getpid()|read() of a byte, /dev/zero|clock_gettime(), raw|computing, 1000 steps|" \
	      "switch, other processes", cost_names, "|")
}

/^[ \t]*$/ { next }

section == "bars" {
	if ($1 !~ /^#/) {
		bar[$1] = $3
		bar_ratio[$1] = $4
		bar_best[$1] = $6
	}
	next
}

/^# / {
	line = substr($0, 3)
	at = index(line, ": ")
	key = substr(line, 1, at - 1)
	if (!(key in head)) { # of several runs' the first one's
		order[++nr_head] = key
		head[key] = substr(line, at + 2)
	}
	next
}

$1 != "floor" {
	seen[section] = 1
	procs[section] = substr($3, 3)
	cell = section SUBSEP $2 SUBSEP $1
	if ($1 == "all")
		broken[++nr_broken] = section ": " $4 " " rest(5)
	else {
		known = cell in why
		read_sample(section SUBSEP $2, cell)
		if (cell in why && !known)
			why_of[++nr_why] = cell
	}
	if ($2 ~ /^W[.]us/)
		hist[++nr_hist] = $2
}

function largest(cell,   i, v) {
	for (i = 1; i <= n[cell]; i++)
		if (i == 1 || value[cell, i] > v)
			v = value[cell, i]
	return v
}

# Not short(): 10438 us are "10438", 0.09 "0.09".
function one(cell, max) {
	if (!n[cell])
		return cell in kind ? kind[cell] : "-"
	if (max)
		return short(largest(cell))
	sort_values(cell)
	return short(median(cell)) (nr_fail[cell] ? "!" : "")
}

function three(bench, peer,   c) {
	c = section SUBSEP bench
	return sprintf(" %8s %8s %8s |", one(c SUBSEP peer), one(c ".p99" SUBSEP peer),
		       one(c ".max" SUBSEP peer, 1))
}

function met(ok) {
	return ok ? "met" : "MISSED"
}

function gap_verdict(bench,   c) {
	c = section SUBSEP bench SUBSEP "bpf"
	if (section != "pinned" || !(bench in bar) || bar[bench] == "-")
		return ""
	return sprintf("at most %s us: %s", bar[bench],
		       n[c] ? met(median(c) <= bar[bench] + 0) : "not measured")
}

# By what Go blocks: the first words of its remark.
function go_call(bench,   s) {
	s = remark[section, bench, "go"]
	sub(/ blocked .*/, "", s)
	return s
}

function gap_table(title, peers,   i, k, p, np) {
	np = split(peers, p, " ")
	printf "\n%s\n%-25s", title, ""
	for (k = 1; k <= np; k++)
		printf " %-26s |", p[k]
	printf "\n%-25s", "us"
	for (k = 1; k <= np; k++)
		printf " %8s %8s %8s |", "p50", "p99", "max"
	print " Go by"
	for (i = 1; i in gaps; i++) {
		printf "%-25s", gap_names[i]
		for (k = 1; k <= np; k++)
			printf "%s", three(gaps[i], p[k])
		printf " %-21s %s\n", go_call(gaps[i]), gap_verdict(gaps[i])
	}
}

function b12_table(   i, p, np, c, go, thread, ours) {
	np = split("bpf sysmon go pthread", p, " ")
	printf "\n2. B12, 64 goroutines that nap 200 us in the kernel and compute, P=%s: rounds/s\n",
	       procs["b12"]
	for (i = 1; i <= np; i++) {
		c = "b12" SUBSEP "B12" SUBSEP p[i]
		printf "   %-14s %9s  %s\n", p[i], one(c), remark[c]
	}
	printf "   %-14s %9s  %s\n", "go", one("b12" SUBSEP "B12.raw" SUBSEP "go"),
	       "syscall.RawSyscall, which does not tell"
	ours = "b12" SUBSEP "B12" SUBSEP "bpf"
	go = "b12" SUBSEP "B12" SUBSEP "go"
	thread = "b12" SUBSEP "B12" SUBSEP "pthread"
	if (n[ours] && n[go])
		printf "   bpf / go %.2f, at least %s: %s\n", median(ours) / median(go),
		       bar_ratio["B12"], met(median(ours) / median(go) >= bar_ratio["B12"])
	if (n[ours] && n[thread])
		printf "   bpf / pthread %.2f, at least %s: %s\n",
		       median(ours) / median(thread), bar_best["B12"],
		       met(median(ours) / median(thread) >= bar_best["B12"])
}

# The median of way - plain (or of way / plain), turn by turn; "" if there is none.
# The samples of both are still in the order they came in.
function compare(bench, way, as_ratio,   a, b, c, i) {
	a = "costs" SUBSEP bench SUBSEP way
	b = "costs" SUBSEP bench SUBSEP "plain"
	c = "compared" SUBSEP bench SUBSEP way
	n[c] = n[a] < n[b] ? n[a] : n[b]
	for (i = 1; i <= n[c]; i++)
		value[c, i] = as_ratio ? value[a, i] / value[b, i] : value[a, i] - value[b, i]
	if (!n[c])
		return ""
	sort_values(c)
	return median(c)
}

function change(bench, way,   r) {
	r = compare(bench, way, 1)
	return r == "" ? "-" : sprintf("%+.2f %%", 100 * (r - 1))
}

function cost_verdict(bench,   r) {
	r = bench == "C5" ? compare(bench, "attached", 0) : compare(bench, "bpf", 1)
	if (r == "")
		return "not measured"
	if (bench == "C5")
		return sprintf("%+.0f ns, at most %s: %s", r, bar[bench], met(r <= bar[bench] + 0))
	return sprintf("at most %+.1f %%: %s", 100 * (bar_ratio[bench] - 1),
		       met(r <= bar_ratio[bench] + 0))
}

function cost_table(   i, k, w, c) {
	split("plain attached sysmon bpf", w, " ")
	print "\n3. Costs, ns: a C thread; the same with the programs attached; a goroutine by" \
	      " sysmon, by bpf. Turn by turn against plain:"
	printf "%-28s %9s %9s %9s %9s  %10s %10s %10s\n", "", w[1], w[2], w[3], w[4], w[2], w[3],
	       w[4]
	for (i = 1; i in costs; i++) {
		for (k = 2; k <= 4; k++)
			w["+", k] = change(costs[i], w[k])
		c = cost_verdict(costs[i])
		printf "%-28s", cost_names[i]
		for (k = 1; k <= 4; k++)
			printf " %9s", one("costs" SUBSEP costs[i] SUBSEP w[k])
		printf "  %10s %10s %10s  %s\n", w["+", 2], w["+", 3], w["+", 4], c
	}
}

function watched(bench) {
	return "watched" SUBSEP "W." bench SUBSEP "watch"
}

function watched_line(bench, what,   c) {
	c = watched(bench)
	if (n[c])
		printf "   %-66s %10d  %s\n", what, value[c, 1], remark[c]
	return n[c] && value[c, 1] > 0
}

function watched_table(   i, k, bad) {
	printf "\n4. Watched at every switch, load W1, P=%s\n", procs["watched"]
	watched_line("switches", "switches from or to a registered M")
	watched_line("blocks", "blocks in goroutine code")
	bad += watched_line("kept", "M was off the CPU, blocked in goroutine code, and kept its P")
	bad += watched_line("twice", "two Ps belonged to one M")
	bad += watched_line("many", "more Ms than Ps ran goroutine code with a P")
	k = watched("blocks")
	if (n[k])
		print "   violations: " (bad ? "MISSED, see above" : \
			value[k, 1] < 1000 ? "not measured, too few blocks" : "none, met")
	watched_line("over", "an M ran goroutine code without a P: so many times")
	for (i = 1; i <= nr_hist; i++) {
		k = watched(substr(hist[i], 3))
		if (value[k, 1] > 0)
			printf "      %-20s %10d\n", remark[k], value[k, 1]
	}
	watched_line("long", "of these 1 ms and more")
	k = watched("longest")
	if (n[k])
		printf "   the longest %.0f us, at most a tick, 10,000: %s\n", value[k, 1],
		       met(value[k, 1] <= 10000)
	watched_line("unseen", "switches to an M that no tracer was shown")
}

# Each reason once, with what it holds for.
function reasons(   i, part, text, of, list, nr) {
	for (i = 1; i <= nr_broken; i++)
		print broken[i]
	for (i = 1; i <= nr_why; i++) {
		split(why_of[i], part, SUBSEP)
		text = part[3] " " why[why_of[i]]
		if (!(text in of))
			list[++nr] = text
		of[text] = of[text] " " part[1] "/" part[2]
	}
	for (i = 1; i <= nr; i++)
		print list[i] " -" of[list[i]]
}

END {
	for (i = 1; i <= nr_head; i++)
		if (order[i] !~ /^(peers|work|skynet|pinning|bpf|sysmon)$/)
			printf "%-9s %s\n", order[i], head[order[i]]
	section = "pinned"
	if (seen[section])
		gap_table("1. The gap until another goroutine runs, P=1, all on one CPU " \
			  "(pthread: a thread each, for scale)", "bpf sysmon go pthread")
	section = "free"
	if (seen[section])
		gap_table("   The same on any CPU", "bpf sysmon go")
	if (seen["b12"])
		b12_table()
	if (seen["costs"])
		cost_table()
	if (seen["watched"])
		watched_table()
	print ""
	reasons()
}
