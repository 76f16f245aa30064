# SPDX-License-Identifier: MIT
#
# samples.awk - what summary.awk and upcall.awk share: the lines of a measurement
# and their medians
#
# A cell is a string that names a figure; value[cell, 1] to value[cell, n[cell]] are
# its samples.

function rest(from,   i, s) {
	for (i = from; i <= NF; i++)
		s = s (i > from ? " " : "") $i
	return s
}

# The line's figure, or the reason that there is none.
function read_sample(row, cell) {
	if ($4 == "FAIL" || $4 == "n/a") {
		why[cell] = $4 ": " rest(5)
		kind[cell] = $4
		if ($4 == "FAIL")
			nr_fail[cell]++
		return
	}
	value[cell, ++n[cell]] = $4 + 0
	unit[row] = $5
	remark[cell] = rest(6)
}

function sort_values(cell,   i, j, v) {
	for (i = 2; i <= n[cell]; i++) {
		v = value[cell, i]
		for (j = i - 1; j > 0 && value[cell, j] > v; j--)
			value[cell, j + 1] = value[cell, j]
		value[cell, j + 1] = v
	}
}

function median(cell,   k) {
	k = n[cell]
	if (k % 2)
		return value[cell, (k + 1) / 2]
	return (value[cell, k / 2] + value[cell, k / 2 + 1]) / 2
}

function short(v) {
	return sprintf(v < 10 ? "%.2f" : v < 100 ? "%.1f" : "%.0f", v)
}
