package bot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// forkEvent takes note of what is the head of a fork's pull request: approvals
// of other commits are over, and so are the runs that wait for one.
func (i *Intake) forkEvent(ctx context.Context, d *store.Delivery, pull *event.PullRequest) error {
	repo, number := d.Repo, int64(pull.Number)
	return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Pushed(ctx, repo, number, pull.HeadSHA, d.ReceivedAt); err != nil {
			return err
		}
		return endWaiting(ctx, tx, repo, number, pull.HeadSHA, "a newer commit")
	})
}

// endWaiting ends the runs of a pull request that wait for an approval, but
// for those of one commit.
func endWaiting(ctx context.Context, tx *store.Tx, repo string, pull int64, but, why string) error {
	waiting, err := tx.WaitingAt(ctx, repo, pull)
	if err != nil {
		return err
	}
	for _, r := range waiting {
		if r.SHA == but {
			continue
		}
		if err := tx.Cancel(ctx, r.ID, why, ""); err != nil {
			return err
		}
	}
	return nil
}

// closed ends what waits for an approval of a pull request that was closed.
func (i *Intake) closed(ctx context.Context, d *store.Delivery, pull *event.PullRequest) error {
	return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.ClosedPull(ctx, d.Repo, int64(pull.Number)); err != nil {
			return err
		}
		if err := endWaiting(ctx, tx, d.Repo, int64(pull.Number), "", "the pull request being closed"); err != nil {
			return err
		}
		return tx.Processed(ctx, d.ID)
	})
}

// tip is the commit at which a branch is now.
func tip(ctx context.Context, repo *githubapp.Repo, branch string) (string, error) {
	c, err := repo.Commit(ctx, "heads/"+branch)
	return c.SHA, err
}

// returned gives the run of a pull request's head a key of its own, when the
// run of that key was cancelled for a commit that is not the head any more: the
// branch has come back to it.
func (i *Intake) returned(ctx context.Context, run *store.Run) error {
	for range maxReturns {
		old, err := i.Store.RunByKey(ctx, run.Key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !overtaken(old) {
			return nil
		}
		run.Key = trigger.RerunKey(old.ID, "returned")
	}
	return nil
}

// overtaken reports whether a run was cancelled since its commit was not the
// head any more.
func overtaken(r *store.Run) bool {
	return r.SupersededBy != "" || r.Origin.Fork && r.CancelledBy != "" && r.StartedAt.IsZero()
}

// ask shows that the code of a fork waits for somebody, before the run is
// there to be released: its own check run is then the newer one.
func (i *Intake) ask(ctx context.Context, repo *githubapp.Repo, run *store.Run) (asked bool, err error) {
	by, err := i.Store.Approved(ctx, run.Repo, run.Origin.PullNumber, run.SHA)
	if err != nil || by != "" {
		return false, err
	}
	switch old, err := i.Store.RunByKey(ctx, run.Key); {
	case err == nil && (old.State != store.Waiting || old.CancelledBy != ""):
		return false, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return false, err
	}
	at := *run
	at.CreatedAt = time.Now()
	name, err := checkName(ctx, i.Store, &at)
	if err != nil {
		return false, err
	}
	v := checks.Verdict{
		Repo: run.Repo, SHA: run.SHA, Name: name, ExternalID: approvalID(run), Conclusion: checks.ActionRequired,
		Title: "waits for an approval: the code is of a fork", Approve: true,
		Summary: fmt.Sprintf("Nothing of it runs before somebody with write access has looked at commit `%s`, and either clicks Approve or comments\n\n    /cromt ok %[1]s\n\nIt gets no secrets, and only hosts that take forks. A new push needs a new approval.\n", run.SHA),
	}
	one := &i.replies[run.Origin.PullNumber%int64(len(i.replies))] // two at once would both find none, and make two
	one.Lock()
	defer one.Unlock()
	return true, repo.Checks().Post(ctx, v)
}

// unapproved reports whether a new run has to wait, or must not be: its commit
// is of a fork, and not approved.
func unapproved(ctx context.Context, tx *store.Tx, run *store.Run) (bool, error) {
	if !run.Origin.Fork || len(run.Spec.Roots) == 0 {
		return false, nil
	}
	by, err := tx.Approved(ctx, run.Repo, run.Origin.PullNumber, run.SHA)
	return by == "", err
}

// approvalID is the external_id of the check that asks for an approval: the
// same however often the delivery is worked.
func approvalID(run *store.Run) string {
	return approvalPrefix + trigger.Digest([]byte(run.Key))[:32]
}

const approvalPrefix = "approve/"

// approve lets the runs of a commit go on that wait for it, and returns how
// many do. Not ok: another commit has become the head since it was looked at.
func approve(ctx context.Context, tx *store.Tx, a approval) (released int, ok bool, err error) {
	ok, err = tx.Approve(ctx, a.repo, a.pull, a.SHA, a.by, a.seen)
	if err != nil || !ok {
		return 0, ok, err
	}
	waiting, err := tx.WaitingAt(ctx, a.repo, a.pull)
	if err != nil {
		return 0, false, err
	}
	for _, r := range waiting {
		if r.SHA != a.SHA {
			continue
		}
		if err := tx.Release(ctx, r.ID); err != nil {
			return 0, false, err
		}
		released++
	}
	return released, true, nil
}

// settle concludes the check run that asked for an approval of the run, before
// the run's first job: after it was given, or was not waited for any more. The
// run's own check run is there first, so that nobody takes the older one for
// the result.
func (w *work) settle(ctx context.Context) error {
	if !w.run.Origin.Fork || !w.run.StartedAt.IsZero() {
		return nil
	}
	known, err := w.Store.Checks(ctx, w.run.ID)
	if err != nil {
		return err
	}
	id := approvalID(w.run)
	asked := false
	for _, c := range known {
		asked = asked || c.ExternalID == id
	}
	if !asked {
		return nil
	}
	asking := w.verdict(flow.Cancelled, cancelText(w.run))
	asking.Summary = "Nothing of it ran.\n"
	if w.run.CancelledBy == "" {
		by, err := w.Store.Approved(ctx, w.run.Repo, w.run.Origin.PullNumber, w.run.SHA)
		if err != nil {
			return err
		}
		if by == "" { // it was released, and another commit was pushed since
			by = "somebody"
		}
		asking = w.verdict(flow.Neutral, "approved by "+by)
		asking.Summary = "It runs: see the newer check run of this name.\n"
		started := w.verdict("", "approved by "+by)
		started.Summary = "It is about to run.\n"
		w.show(ctx, started)
	}
	asking.ExternalID = id
	w.show(ctx, asking)
	return nil
}

// show posts what a run can do without.
func (w *work) show(ctx context.Context, v checks.Verdict) {
	ctx, cancel := context.WithTimeout(ctx, replyTime)
	defer cancel()
	if err := w.repo.Checks().Post(ctx, v); err != nil {
		w.log.Warn("check run not posted", "external_id", v.ExternalID, "error", err)
	}
}

// approval is what somebody allows to run.
type approval struct {
	trust.Approval
	repo string
	pull int64
	by   string
	seen time.Time // when GitHub said that the commit is the head
}

// subjectOf is the commit of a pull request that somebody asks something of.
func (i *Intake) subjectOf(ctx context.Context, repo string, pull checks.Pull) (trust.Subject, error) {
	s := trust.Subject{Fork: pull.Fork || trust.NeedsApproval(pull.HeadRepo, repo), Head: pull.HeadSHA}
	if !s.Fork {
		return s, nil
	}
	by, err := i.Store.Approved(ctx, repo, int64(pull.Number), pull.HeadSHA)
	if err != nil {
		return s, err
	}
	if by != "" {
		s.Approval.SHA = pull.HeadSHA
	}
	s.Pushed, err = i.Store.PushedAt(ctx, repo, int64(pull.Number), pull.HeadSHA)
	return s, err
}

// roleOf is what somebody may do in the repository now.
func (i *Intake) roleOf(ctx context.Context, repo *githubapp.Repo, name, login string) (trust.Role, error) {
	permission, err := repo.Checks().Permission(ctx, name, login)
	if err != nil {
		return trust.RoleNone, err
	}
	return trust.RoleOf(permission, ""), nil
}
