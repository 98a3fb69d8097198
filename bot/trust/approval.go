package trust

import "strings"

// Approval lets one commit of a fork run. The App keeps at most one of each
// pull request, and forgets it at every push: pushing an approved commit again
// after another one does not bring the approval back.
type Approval struct {
	SHA string // full, lower case; "" is no approval
}

// NeedsApproval reports whether a commit may run only with an Approval: every
// one of a fork, whoever wrote it. The head of a pull request whose repository
// is gone counts as a fork's.
func NeedsApproval(headRepo, repo string) bool {
	return repo == "" || !strings.EqualFold(headRepo, repo)
}

// Approve decides about the approval of sha, by someone who may (see Command
// and Button), and returns it. It must be the whole SHA, of what is the head
// now: who approves an older one has not seen what would run.
func Approve(sha string, s Subject) (Approval, Decision) {
	switch d := s.approvable(); {
	case !d.Allowed:
		return Approval{}, d
	case !isSHA(sha):
		return Approval{}, no("an approval names a commit by its full SHA", approveHint(s.Head))
	case !sameSHA(sha, s.Head):
		return Approval{}, no("this commit is not the head of the pull request any more", approveHint(s.Head))
	}
	return Approval{SHA: strings.ToLower(sha)}, yes()
}

// covers reports whether the approval is of that commit.
func (a Approval) covers(head string) bool { return sameSHA(a.SHA, head) }

// AfterPush returns what is left of an approval when the pull request has a
// new head: of another commit, nothing.
func (a Approval) AfterPush(head string) Approval {
	if a.covers(head) { // the same delivery once more
		return a
	}
	return Approval{}
}

// isSHA reports whether s is a full id of a commit, of SHA-1 or SHA-256.
func isSHA(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdefABCDEF") == "" && strings.Trim(s, "0") != ""
}

func sameSHA(a, b string) bool { return isSHA(a) && isSHA(b) && strings.EqualFold(a, b) }
