package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// clicked is a click on one of our check runs, or on GitHub's own button beside
// it, while it is worked.
type clicked struct {
	*Intake
	delivery *store.Delivery
	ev       *event.Event
	log      *slog.Logger
	repo     *githubapp.Repo
	button   string // as trust has it
	sha      string
	run      *store.Run // that the check run is of
	job      *store.Job // nil: the check run is the whole run's
	pull     checks.Pull
	subject  trust.Subject
	seen     time.Time // when GitHub said what pull is
}

// button works a click on a check run.
func (i *Intake) button(ctx context.Context, d *store.Delivery, ev *event.Event, log *slog.Logger) error {
	c := &clicked{Intake: i, delivery: d, ev: ev, seen: time.Now(), repo: i.GitHub.Repo(ev.Installation, ev.Repo.FullName)}
	if !c.read() {
		return i.processed(ctx, d.ID)
	}
	c.log = log.With("button", c.button, "sender", ev.Sender.Login)
	if err := c.find(ctx); err != nil {
		return err
	}
	if c.run == nil {
		c.log.Info("click ignored: there is no run of the check run", "sha", c.sha)
		return i.processed(ctx, d.ID)
	}
	if err := c.look(ctx); err != nil {
		return err
	}
	role, err := i.roleOf(ctx, c.repo, ev.Repo.FullName, ev.Sender.Login)
	if err != nil {
		return err
	}
	if d := trust.Button(c.button, role, c.subject, c.sha); !d.Allowed {
		return c.refuse(ctx, d.Why, d.Hint)
	}
	switch c.button {
	case trust.ButtonApprove:
		return c.approve(ctx)
	case trust.ButtonCancel:
		return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Cancel(ctx, c.run.ID, ev.Sender.Login, ""); err != nil {
				return err
			}
			return tx.Processed(ctx, d.ID)
		})
	}
	return c.again(ctx)
}

// read takes what kind of a click it is; false: none that is for us.
func (c *clicked) read() bool {
	var app int64
	switch {
	case c.ev.CheckSuite != nil && c.ev.Action == "rerequested":
		c.button, c.sha, app = trust.ButtonRerequest, c.ev.CheckSuite.HeadSHA, c.ev.CheckSuite.AppID
	case c.ev.CheckRun != nil && c.ev.Action == "rerequested":
		c.button, c.sha, app = trust.ButtonRerequest, c.ev.CheckRun.HeadSHA, c.ev.CheckRun.AppID
	case c.ev.CheckRun != nil && c.ev.Action == "requested_action":
		c.button, c.sha, app = c.ev.CheckRun.RequestedAction, c.ev.CheckRun.HeadSHA, c.ev.CheckRun.AppID
	}
	return app == c.GitHub.ID() && (c.button == trust.ButtonRerequest || isButton(c.button))
}

// find finds the run, and the job, of the check run: its external_id says it.
// Of a suite it is the newest run of code: of the repository's own, if it has
// any, whoever has the same commit in a fork.
func (c *clicked) find(ctx context.Context) error {
	page, err := c.Store.Runs(ctx, store.Filter{Repo: c.ev.Repo.FullName, SHA: c.sha, Limit: store.MaxPage})
	if err != nil {
		return err
	}
	id := ""
	if c.ev.CheckRun != nil {
		id = c.ev.CheckRun.ExternalID
	}
	for i := range page.Runs {
		r := &page.Runs[i].Run
		prefix, _, _ := strings.Cut(id, "/")
		switch {
		case c.ev.CheckSuite != nil:
			if isCode(r) && (c.run == nil || c.run.Origin.Fork && !r.Origin.Fork) {
				c.run = r
			}
		case id == r.ID:
			c.run = r
			return nil
		case strings.HasPrefix(id, approvalPrefix) && id == approvalID(r):
			c.run = r
			return nil
		case prefix == r.ID:
			c.run = r
			return c.findJob(ctx, id)
		}
	}
	if strings.HasPrefix(id, approvalPrefix) && time.Since(c.delivery.ReceivedAt) < approveGrace {
		return errors.New("the run that waits for the approval is not there yet")
	}
	return nil
}

// findJob finds the job of a check run, whatever attempt it was created in.
// One that the run does not have is no job's.
func (c *clicked) findJob(ctx context.Context, id string) error {
	jobs, err := c.Store.Jobs(ctx, c.run.ID)
	if err != nil {
		return err
	}
	for i := range jobs {
		for n := range jobs[i].Attempts + 1 {
			if checks.ExternalID(c.run.ID, jobs[i].Key, n) == id {
				c.job = &jobs[i]
				return nil
			}
		}
	}
	c.run = nil
	return nil
}

// look asks GitHub what a fork's pull request is now.
func (c *clicked) look(ctx context.Context) (err error) {
	c.subject = trust.Subject{Fork: c.run.Origin.Fork, Head: c.run.SHA}
	if !c.run.Origin.Fork {
		return nil
	}
	if c.pull, err = c.repo.Checks().PullRequest(ctx, c.run.Repo, int(c.run.Origin.PullNumber)); err != nil {
		return err
	}
	c.subject, err = c.subjectOf(ctx, c.run.Repo, c.pull)
	c.subject.Fork = true // whatever has become of its repository
	return err
}

// refuse says on the pull request why nothing is done.
func (c *clicked) refuse(ctx context.Context, why, hint string) error {
	c.log.Info("click refused", "run", c.run.ID, "why", why)
	if pull := int(c.run.Origin.PullNumber); pull != 0 {
		text := fmt.Sprintf("The click of %s on the check of %s was refused: %s", checks.Code(c.ev.Sender.Login), checks.Code(c.sha), checks.Text(why))
		if hint != "" {
			text += "; " + checks.Text(hint)
		}
		if err := c.reply(ctx, c.repo, pull, text+"\n", c.log); err != nil {
			return err
		}
	}
	return c.processed(ctx, c.delivery.ID)
}

// approve releases the run of this commit of a fork.
func (c *clicked) approve(ctx context.Context) error {
	if !c.pull.Open {
		return c.refuse(ctx, "the pull request is closed", "")
	}
	allowed, _ := trust.Approve(c.sha, c.subject) // Button has decided
	approved := false
	err := c.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		var released int
		released, approved, err = approve(ctx, tx, approval{
			Approval: allowed, repo: c.run.Repo, pull: c.run.Origin.PullNumber, by: c.ev.Sender.Login, seen: c.seen,
		})
		if err != nil || !approved {
			return err
		}
		c.log.Info("approved", "sha", allowed.SHA, "runs", released)
		return tx.Processed(ctx, c.delivery.ID)
	})
	if err == nil && !approved {
		return c.refuse(ctx, errOvertaken.msg, errOvertaken.hint)
	}
	return err
}

// again runs what the button says once more, in a run of its own.
func (c *clicked) again(ctx context.Context) error {
	key := c.key()
	if _, err := c.Store.RunByKey(ctx, key); !errors.Is(err, store.ErrNotFound) {
		if err != nil {
			return err
		}
		return c.processed(ctx, c.delivery.ID) // the same click, delivered twice
	}
	if over, err := c.over(ctx, c.run.ID); err != nil {
		return err
	} else if !over {
		return c.refuse(ctx, "run "+c.run.ID+" has not ended", "wait for it, or cancel it")
	}
	run, err := c.rerun(ctx, c.run.ID, c.wants)
	if list := (flow.ErrorList)(nil); errors.As(err, &list) {
		return c.refuse(ctx, firstLine(list), "")
	}
	if err != nil {
		return err
	}
	if run == nil {
		return c.refuse(ctx, "nothing failed in run "+c.run.ID, "use Re-run all")
	}
	run.Key, run.Origin.Event, run.Origin.Sender = key, c.ev.Name, c.ev.Sender.Login
	revoked := false
	err = c.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if revoked, err = unapproved(ctx, tx, run); revoked || err != nil {
			return err
		}
		made, created, err := tx.CreateRun(ctx, run)
		if err != nil {
			return err
		}
		if created {
			c.log.Info("run created", "run", made.ID, "rerun_of", run.Origin.RerunOf, "kept", len(run.Spec.Kept))
		}
		return tx.Processed(ctx, c.delivery.ID)
	})
	if err == nil && revoked {
		return c.refuse(ctx, errOvertaken.msg, errOvertaken.hint)
	}
	return err
}

// wants reports whether a job is to run again.
func (c *clicked) wants(j *flow.JobReport) bool {
	switch {
	case c.job != nil:
		return j.Project == c.job.Project
	case c.button == trust.ButtonRerunFailed:
		return j.Troubled()
	}
	return true
}

// key is of the run that the click asks for. The buttons of a check run are
// gone after a click. A suite stays what it is: there its payload, which is
// signed, tells one click from the next.
func (c *clicked) key() string {
	if c.ev.CheckSuite != nil {
		return trigger.RerunKey("suite", strconv.FormatInt(c.ev.CheckSuite.ID, 10)+" "+trigger.Digest(c.delivery.Payload))
	}
	return trigger.RerunKey(c.run.ID, strconv.FormatInt(c.ev.CheckRun.ID, 10)+" "+c.button)
}

// isButton reports whether it is one of ours.
func isButton(name string) bool {
	return slices.Contains([]string{checks.ActionApprove, checks.ActionCancel, checks.ActionRerunFailed, checks.ActionRerunAll}, name)
}
