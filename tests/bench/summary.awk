# SPDX-License-Identifier: MIT
#
# summary.awk - from the lines of a run to a table (-v mode=table) or JSON
#
#	awk -v mode=table -f samples.awk -f summary.awk bars results.txt
#
# results.txt holds what ./run wrote: `# key: value` lines that describe the
# run, and one line for each measurement, `PEER BENCH P=n VALUE UNIT remark`,
# or FAIL or n/a and a reason in VALUE's place. A median is over the
# repetitions that gave a figure; the ratio is of medians. Lower is better,
# but for rates (a unit that ends in /s), whose bars are lower bounds. The first peer named is the one the
# ratios are about.

FNR == 1 { file++ }
/^[ \t]*$/ { next }

file == 1 {
	if ($1 !~ /^#/) {
		bar[$1, $2] = $3
		bar_ratio[$1, $2] = $4
		aim[$1, $2] = $5
		bar_best[$1, $2] = $6 == "" ? "-" : $6
	}
	next
}

/^# / {
	line = substr($0, 3)
	at = index(line, ": ")
	head_key[++nr_head] = substr(line, 1, at - 1)
	head_value[nr_head] = substr(line, at + 2)
	head[head_key[nr_head]] = head_value[nr_head]
	next
}

{
	peer = $1
	p = substr($3, 3)
	row = $2 SUBSEP p
	cell = row SUBSEP peer
	if (!(peer in peer_seen)) {
		peer_seen[peer] = 1
		if (peer != "floor")
			peers[++nr_peers] = peer
	}
	if (!((peer == "floor", row) in row_seen)) {
		row_seen[peer == "floor", row] = 1
		if (peer == "floor")
			floor_row[++nr_floor] = row
		else
			rows[++nr_rows] = row
	}
	read_sample(row, cell)
}

function shown(cell) {
	if (n[cell])
		return short(med[cell]) (nr_fail[cell] ? "!" : "")
	return cell in kind ? kind[cell] : "-"
}

# The best of the others, as an index into peers[]; 0: there is none.
function best_other(row,   i, best, sign) {
	sign = unit[row] ~ /\/s$/ ? -1 : 1
	for (i = 2; i <= nr_peers; i++)
		if (n[row, peers[i]] &&
		    (!best || sign * med[row, peers[i]] < sign * med[row, peers[best]]))
			best = i
	return best
}

function ratio(row, other) {
	if (other == "" || other == subject || !n[row, subject] || !n[row, other] ||
	    med[row, other] <= 0)
		return ""
	return med[row, subject] / med[row, other]
}

# Is v on the wrong side of a bar?
function misses(row, v, limit) {
	if (limit == "-")
		return 0
	return unit[row] ~ /\/s$/ ? v < limit + 0 : v > limit + 0
}

function verdict(row,   r, m, best) {
	if (!judged || !(row in bar) ||
	    (bar[row] == "-" && bar_ratio[row] == "-" && bar_best[row] == "-"))
		return "-"
	if (!n[row, subject])
		return "MISSED"
	m = med[row, subject]
	r = ratio(row, "go")
	best = best_other(row)
	if (bar_ratio[row] != "-" && r == "")
		return "no go"
	if (bar_best[row] != "-" && !best)
		return "no peer"
	if (misses(row, m, bar[row]) || misses(row, r, bar_ratio[row]) ||
	    (best && misses(row, ratio(row, peers[best]), bar_best[row])))
		return "MISSED"
	return "met"
}

function aim_shown(row) {
	if (!judged || !(row in aim) || aim[row] == "-")
		return "-"
	return aim[row] (n[row, subject] && med[row, subject] <= aim[row] + 0 ? " met" : "")
}

function two_digits(r) {
	return r == "" ? "-" : sprintf("%.2f", r)
}

function table(   i, j, k, row, c, best, w, s) {
	for (i = 1; i <= nr_head; i++)
		printf "%-9s %s\n", head_key[i], head_value[i]
	printf "\n%-7s %2s %-16s", "", "P", "unit"
	for (j = 1; j <= nr_peers; j++)
		printf " %9s", peers[j]
	printf "  %7s %7s %-8s %7s  %-7s %s\n", "/go", "/best", "best", "spread", "bar", "aim"
	for (i = 1; i <= nr_rows; i++) {
		row = rows[i]
		split(row, c, SUBSEP)
		printf "%-7s %2s %-16s", c[1], c[2], row in unit ? unit[row] : "-"
		for (j = 1; j <= nr_peers; j++)
			printf " %9s", shown(row SUBSEP peers[j])
		best = best_other(row)
		k = row SUBSEP subject
		s = n[k] > 1 ? sprintf("%.0f%%", 100 * (value[k, n[k]] - value[k, 1]) / med[k]) : "-"
		printf "  %7s %7s %-8s %7s  %-7s %s\n", two_digits(ratio(row, "go")),
			best ? two_digits(ratio(row, peers[best])) : "-",
			best ? peers[best] : "-", s, verdict(row), aim_shown(row)
	}
	printf "\nMedians. /go, /best: %s divided by Go and by the best of the other peers;", subject
	printf " spread: (max - min) / median of %s.\n", subject
	print_reasons()
	if (nr_floor)
		print "\nThe machine itself:"
	for (i = 1; i <= nr_floor; i++) {
		split(floor_row[i], c, SUBSEP)
		k = floor_row[i] SUBSEP "floor"
		printf "%-12s %2s %10s %-4s %s\n", c[1], c[2], shown(k), unit[floor_row[i]],
			n[k] ? remark[k] : why[k]
	}
}

# Each reason once, with the cells it holds for.
function print_reasons(   i, j, k, c, text, order, cells, nr) {
	for (i = 1; i <= nr_rows; i++)
		for (j = 1; j <= nr_peers; j++) {
			k = rows[i] SUBSEP peers[j]
			if (!(k in why))
				continue
			split(rows[i], c, SUBSEP)
			text = peers[j] " " why[k]
			if (nr_fail[k] && n[k])
				text = text " (in " nr_fail[k] " of " nr_fail[k] + n[k] ")"
			if (!(text in cells))
				order[++nr] = text
			cells[text] = cells[text] " " c[1] "/P=" c[2]
		}
	for (i = 1; i <= nr; i++)
		printf "%s -%s\n", order[i], cells[order[i]]
	# What a parked goroutine costs beside resident memory.
	for (i = 1; i <= nr_rows; i++)
		for (j = 1; j <= nr_peers && rows[i] ~ /^B5/; j++)
			if (n[rows[i], peers[j]])
				printf "%s B5: %s\n", peers[j], remark[rows[i], peers[j]]
}

function quoted(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	gsub(/[\001-\037]/, " ", s)
	return "\"" s "\""
}

function number_or_null(v) {
	return v == "" ? "null" : sprintf("%.4f", v)
}

function json_cell(k,   i, s) {
	if (n[k]) {
		s = sprintf("\"median\": %.2f, \"min\": %.2f, \"max\": %.2f, \"samples\": [",
			    med[k], value[k, 1], value[k, n[k]])
		for (i = 1; i <= n[k]; i++)
			s = s (i > 1 ? ", " : "") sprintf("%.2f", value[k, i])
		s = s "], \"remark\": " quoted(remark[k])
	} else
		s = "\"median\": null"
	if (k in why)
		s = s sprintf(", \"failed\": %d, \"reason\": %s", nr_fail[k], quoted(why[k]))
	return "{ " s " }"
}

function json(   i, j, k, c, best, first) {
	print "{\n  \"run\": {"
	for (i = 1; i <= nr_head; i++)
		printf "    %s: %s%s\n", quoted(head_key[i]), quoted(head_value[i]), i < nr_head ? "," : ""
	print "  },\n  \"results\": ["
	for (i = 1; i <= nr_rows; i++) {
		split(rows[i], c, SUBSEP)
		printf "    { \"bench\": %s, \"P\": %d, \"unit\": %s,\n      \"peers\": {",
			quoted(c[1]), c[2], quoted(unit[rows[i]])
		first = 1
		for (j = 1; j <= nr_peers; j++) {
			k = rows[i] SUBSEP peers[j]
			if (!n[k] && !(k in why))
				continue
			printf "%s\n        %s: %s", first ? "" : ",", quoted(peers[j]), json_cell(k)
			first = 0
		}
		best = best_other(rows[i])
		printf " },\n      \"ratio_to_go\": %s, \"best_peer\": %s, \"ratio_to_best\": %s,",
			number_or_null(ratio(rows[i], "go")), best ? quoted(peers[best]) : "null",
			number_or_null(best ? ratio(rows[i], peers[best]) : "")
		printf " \"bar\": %s }%s\n", quoted(verdict(rows[i])), i < nr_rows ? "," : ""
	}
	print "  ],\n  \"floor\": ["
	for (i = 1; i <= nr_floor; i++) {
		split(floor_row[i], c, SUBSEP)
		k = floor_row[i] SUBSEP "floor"
		printf "    { \"name\": %s, \"cpus\": %d, \"unit\": %s, \"value\": %s }%s\n",
			quoted(c[1]), c[2], quoted(unit[floor_row[i]]),
			n[k] ? sprintf("%.2f", med[k]) : "null", i < nr_floor ? "," : ""
	}
	print "  ]\n}"
}

END {
	# "peers" in the header fixes the order, also of those that never ran.
	if (split(head["peers"], order, " ")) {
		nr_peers = 0
		for (i = 1; i in order; i++)
			peers[++nr_peers] = order[i]
	}
	subject = peers[1]
	judged = (subject == "gmprt" || subject == "bpf") && head["work"] == "full"
	for (i = 1; i <= nr_rows; i++)
		for (j = 1; j <= nr_peers; j++) {
			k = rows[i] SUBSEP peers[j]
			sort_values(k)
			if (n[k])
				med[k] = median(k)
		}
	for (i = 1; i <= nr_floor; i++) {
		k = floor_row[i] SUBSEP "floor"
		sort_values(k)
		if (n[k])
			med[k] = median(k)
	}
	if (mode == "json")
		json()
	else
		table()
}
