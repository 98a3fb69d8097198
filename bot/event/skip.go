package event

import (
	"slices"
	"strings"
)

// SkipCI says whether the message of the pushed head commit asks for nothing
// to run, as SkipsCI does. The payload of a pull request does not hold that
// message: fetch it and ask SkipsCI. All other events are never skipped.
func (e *Event) SkipCI() bool {
	return e.Push != nil && SkipsCI(e.Push.HeadMessage)
}

// SkipsCI says whether the message of a commit asks for nothing to run, by
// what GitHub documents for the push and pull_request events (not
// pull_request_target): one of five marks, in lower case, or skip-checks: true
// as its last trailer. GitHub wants two empty lines before the trailers; git
// makes one of them unless told otherwise, and one is enough here.
func SkipsCI(message string) bool {
	for _, mark := range []string{"[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"} {
		if strings.Contains(message, mark) {
			return true
		}
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(message, "\r\n", "\n"), " \t\n"), "\n")
	last := strings.TrimRight(lines[len(lines)-1], " \t")
	if last != "skip-checks: true" && last != "skip-checks:true" {
		return false
	}
	for _, line := range slices.Backward(lines) {
		if strings.TrimSpace(line) == "" {
			return true // above is the message, below only trailers
		}
		if key, _, ok := strings.Cut(line, ":"); !ok || strings.ContainsAny(key, " \t") {
			return false
		}
	}
	return false // the message has nothing but trailers
}
