package trigger

import "github.com/cromt/cromt/flow"

// Action is what a newer run does to an older one that has not ended.
type Action string

// The actions.
const (
	CancelOlder Action = "cancel" // the older run is cancelled, and the newer one starts
	QueueBehind Action = "queue"  // the newer run waits until the older one has ended
	RunBeside   Action = "allow"  // both run
)

// Line is what a run of code is in a row with: newer commits of the same
// branch, or of the same pull request. A run can be of both. Zero for merge
// groups, schedules, comments, re-runs: they stand alone.
type Line struct {
	// Branch was pushed, and the push selected projects; "" otherwise.
	Branch string
	// Pull request whose event selected projects; 0 for none.
	Pull int
}

// Overlap decides what a newer run does to an older one of the same
// repository. f is the newer one's. Its overlap says so; without it an older
// run of a pull request alone is cancelled, and one that a push started, which
// may be half-way through a deployment, is waited for. Which run is newer is
// for the caller to know.
func Overlap(f *flow.File, newer, older Line) Action {
	sameBranch := newer.Branch != "" && newer.Branch == older.Branch
	samePull := newer.Pull != 0 && newer.Pull == older.Pull
	switch {
	case !sameBranch && !samePull:
		return RunBeside
	case f.Overlap.IsSet():
		return Action(f.Overlap.Value)
	case older.Branch != "":
		return QueueBehind
	}
	return CancelOlder
}
