package bot

// difference returns the lines that differ between two texts, as diff(1)
// writes them, with the line above and the line below each. No lines: they are
// equal; nil: they are too long to be compared.
func difference(from, to []string) []string {
	head := 0
	for head < len(from) && head < len(to) && from[head] == to[head] {
		head++
	}
	tail := 0
	for tail < len(from)-head && tail < len(to)-head && from[len(from)-1-tail] == to[len(to)-1-tail] {
		tail++
	}
	a, b := from[head:len(from)-tail], to[head:len(to)-tail]
	if len(a)*len(b) > maxDifference || len(a)+len(b) > maxDifference {
		return nil
	}
	lines := []string{}
	if len(a)+len(b) == 0 {
		return lines
	}
	if head > 0 {
		lines = append(lines, " "+from[head-1])
	}
	lines = append(lines, edits(a, b)...)
	if tail > 0 {
		lines = append(lines, " "+from[len(from)-tail])
	}
	return lines
}

// edits is the shortest way from a to b.
func edits(a, b []string) []string {
	// common[i][j] is the length of what a[i:] and b[j:] have in common.
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var lines []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "-"+a[i])
			i++
		default:
			lines = append(lines, "+"+b[j])
			j++
		}
	}
	return around(lines)
}

// around leaves out the equal lines that are not beside one that differs.
func around(lines []string) []string {
	differs := func(i int) bool { return i >= 0 && i < len(lines) && lines[i][0] != ' ' }
	var out []string
	gap := false
	for i, l := range lines {
		if !differs(i-1) && !differs(i) && !differs(i+1) {
			gap = true
			continue
		}
		if gap && len(out) > 0 {
			out = append(out, " …")
		}
		gap = false
		out = append(out, l)
	}
	return out
}
