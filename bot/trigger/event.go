package trigger

import (
	"strings"

	"github.com/cromt/cromt/bot/event"
)

// Event is a change of code, as far as a trigger looks at it.
type Event struct {
	Name string // push, pull_request or merge_group
	// Branch was pushed, or is the one that a pull request or a merge group
	// goes into; "" for a tag.
	Branch string
	Tag    string // that was pushed
	// DefaultBranch is the repository's.
	DefaultBranch string
	// Repo is the URL of the repository, to tell its own path from others.
	Repo string
	// Paths are the changed files. PathsKnown says that none is missing:
	// without, filters of paths let the event through.
	Paths      []string
	PathsKnown bool
}

// FromGitHub returns the change of code in e. Not ok when there is none: for
// other events and actions, a deleted branch or tag, a closed pull request.
// Whether its commit asks for [skip ci] is for the caller to see. The changed
// files are known for some pushes alone; the others' are to be asked for, if
// WantsPaths.
func FromGitHub(e *event.Event) (ev Event, ok bool) {
	ev = Event{DefaultBranch: e.Repo.DefaultBranch, Repo: e.Repo.CloneURL}
	switch {
	case e.Push != nil && !e.Push.Deleted:
		ev.Name, ev.Branch, ev.Tag = "push", e.Push.Branch, e.Push.Tag
		ev.Paths, ev.PathsKnown = e.Push.Paths, !e.Push.Truncated && e.Push.Tag == ""
	case e.PullRequest != nil && e.PullRequest.State == "open" && (e.Action == "opened" || e.Action == "synchronize" || e.Action == "reopened"):
		ev.Name, ev.Branch = "pull_request", e.PullRequest.BaseRef
	case e.MergeGroup != nil && e.Action == "checks_requested":
		ev.Name, ev.Branch = "merge_group", strings.TrimPrefix(e.MergeGroup.BaseRef, "refs/heads/")
	default:
		return Event{}, false
	}
	return ev, true
}
