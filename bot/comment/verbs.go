package comment

import (
	"fmt"
	"strings"
)

// What the arguments of a verb are.
const (
	argName   = iota // a project, or a host
	argCommit        // a whole SHA
)

type verb struct {
	name        string
	args        int
	least, most int // arguments; most is -1 for any number
	vars, flags bool
	example     string
	does        string
}

func verbs() []verb {
	const sha = "1d4e1c5f7a6b0c9d8e2f3a4b5c6d7e8f90a1b2c3"
	return []verb{
		{name: "run", most: -1, vars: true, flags: true, example: `/cromt run build WORKERS=4 NOTE="two words" --fail-fast --timeout 30m`, does: "runs these projects, or the whole file"},
		{name: "retry", most: -1, flags: true, example: "/cromt retry", does: "runs again what failed, or was skipped for it, in the last run"},
		{name: "cancel", example: "/cromt cancel", does: "stops the run"},
		{name: "ok", args: argCommit, least: 1, most: 1, example: "/cromt ok " + sha, does: "lets this commit of a fork run"},
		{name: "plan", most: -1, vars: true, example: "/cromt plan build", does: "shows what would run, where, and what that changes"},
		{name: "status", example: "/cromt status", does: "shows the run"},
		{name: "why", most: -1, example: "/cromt why deploy", does: "says why a project waits or was skipped"},
		{name: "logs", least: 1, most: 2, example: "/cromt logs build hostA", does: "shows the end of a project's log, on one host"},
		{name: "help", example: "/cromt help", does: "shows this"},
	}
}

// Help returns all verbs with an example of each, in Markdown. No line of it
// is a command.
func Help() string {
	var b strings.Builder
	b.WriteString("A command begins a line of a comment:\n\n")
	for _, v := range verbs() {
		fmt.Fprintf(&b, "- `%s` %s\n", v.example, v.does)
	}
	return b.String()
}

// didYouMean suggests the verb that is closest to word, or names all.
func didYouMean(word string) string {
	best, bestAt := "", 3
	var names []string
	for _, v := range verbs() {
		if d := distance(word, v.name); d < bestAt && d < len(v.name) {
			best, bestAt = v.name, d
		}
		names = append(names, v.name)
	}
	if best == "" {
		return "verbs are " + strings.Join(names, ", ")
	}
	return "did you mean " + best + "?"
}

// distance is the number of single-byte edits from a to b; words that are
// longer than any verb and two more are not looked at.
func distance(a, b string) int {
	if len(a) > 8 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0] // of the column before
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			above, row[j+1] = row[j+1], min(above+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
