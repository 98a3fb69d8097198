package trust

import "time"

// Subject is the commit that a command or a button is about, as GitHub tells
// it at that moment, not as an earlier event did.
type Subject struct {
	Fork bool // the head of the pull request is not of this repository, or gone
	// Head is the full SHA of the pull request's head.
	Head string
	// Approval is the one that the App keeps of the pull request, zero for none.
	Approval Approval
	// Pushed is when Head was pushed; zero when that is not known.
	Pushed time.Time
}

// Approved reports whether Head may run: of a fork, only with an approval of
// this very commit.
func (s Subject) Approved() bool { return !s.Fork || s.Approval.covers(s.Head) }

// The buttons of a check run, and GitHub's own, as Button takes them.
const (
	ButtonApprove     = "approve"
	ButtonCancel      = "cancel"
	ButtonRerunFailed = "rerun_failed"
	ButtonRerunAll    = "rerun_all"
	ButtonRerequest   = "rerequest" // GitHub's own "Re-run"
)

// Command decides about a command of a comment, of someone with that role,
// written at the time of written. All need write permission. Those that run
// code of a fork also need an approval of its head, and that this was not
// pushed after they were written: the author has not seen it.
//
// For ok, it decides only who may say it; the rest is for Approve.
func Command(verb string, role Role, s Subject, written time.Time) Decision {
	switch verb {
	case "run", "retry":
		if d := needsWrite(role); !d.Allowed {
			return d
		}
		return s.runs(written)
	case "ok":
		if d := needsWrite(role); !d.Allowed {
			return d
		}
		return s.approvable()
	case "cancel", "plan", "status", "why", "logs", "help":
		return needsWrite(role)
	}
	return no("there is no such command", "write /cromt help")
}

// Button decides about a click on a check run of the commit sha, by someone
// with that role. The role is to be asked for anew at each click.
func Button(button string, role Role, s Subject, sha string) Decision {
	switch button {
	case ButtonCancel:
		return needsWrite(role)
	case ButtonApprove:
		if d := needsWrite(role); !d.Allowed {
			return d
		}
		_, d := Approve(sha, s)
		return d
	case ButtonRerunFailed, ButtonRerunAll, ButtonRerequest:
		if d := needsWrite(role); !d.Allowed {
			return d
		}
		if s.Fork && !sameSHA(sha, s.Head) {
			return no("this commit is not the head of the pull request any more", "use the check of the newest commit")
		}
		return s.approved()
	}
	return no("there is no such button", "")
}

func needsWrite(role Role) Decision {
	if !role.canWrite() {
		return no("this needs write permission in the repository", "ask someone who has it")
	}
	return yes()
}

func (s Subject) approvable() Decision {
	if !s.Fork {
		return no("the pull request is not from a fork, so there is nothing to approve", "it runs without")
	}
	return yes()
}

func (s Subject) approved() Decision {
	if !s.Approved() {
		return no("the head of this fork is not approved", approveHint(s.Head))
	}
	return yes()
}

// runs decides whether a command written then may run the head.
func (s Subject) runs(written time.Time) Decision {
	if d := s.approved(); !d.Allowed || !s.Fork {
		return d
	}
	if s.Pushed.IsZero() || written.IsZero() || !s.Pushed.Before(written) {
		return no("the fork was pushed to after this comment, or at an unknown time", "look at "+s.Head+" and ask again")
	}
	return yes()
}

func approveHint(head string) string {
	if !isSHA(head) {
		return "look at its newest commit and write /cromt ok with its full SHA"
	}
	return "look at it and write /cromt ok " + head
}
