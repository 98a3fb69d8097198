package trigger

import "strings"

// Truth is what GitHub says now of what an event was about. Deliveries come
// late, twice and out of order, so it is asked before a run starts.
type Truth struct {
	// Head is the commit at which the branch, tag or pull request is; "" when
	// it does not exist any more.
	Head string
	// Open is the pull request's; of no meaning for others.
	Open bool
}

// Outdated returns why an event of that name about the commit sha is not to
// be answered any more, "" when it is. The run is skipped with that reason.
func Outdated(name, sha string, now Truth) string {
	switch {
	case now.Head == "" && name == "pull_request":
		return "the pull request does not exist any more"
	case now.Head == "":
		return "the branch does not exist any more"
	case name == "pull_request" && !now.Open:
		return "the pull request is closed"
	case !strings.EqualFold(sha, now.Head):
		return "there is a newer commit"
	}
	return ""
}
