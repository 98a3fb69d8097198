package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/event"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

// The classes of runs: those of one class supersede one another.
const (
	ClassCode       = "code"
	ClassMergeGroup = "merge_group"
	ClassComment    = "comment"
	ClassSchedule   = "schedule"
)

// Intake turns deliveries into runs.
type Intake struct {
	Store     *store.Store
	GitHub    *githubapp.App
	Settings  *Settings
	Installed *Installed
	Logger    *slog.Logger
}

// Deliver works a delivery; see [store.Workers]. What it writes, and that the
// delivery is done, is one transaction; what it tells GitHub before, it tells
// in a way that may be repeated.
func (i *Intake) Deliver(ctx context.Context, id int64) error {
	d, err := i.Store.Delivery(ctx, id)
	if err != nil {
		return err
	}
	ev, err := event.Parse(d.Event, d.Payload)
	if err != nil {
		return err // it was parsed before it was taken
	}
	log := i.Logger.With("delivery", d.GUID, "event", d.Event, "repo", ev.Repo.FullName)
	switch {
	case ev.Change != nil:
		if err := i.Installed.Changed(ctx, ev.Installation); err != nil {
			return err
		}
	case ev.Installation == 0 || ev.Repo.FullName == "":
	case ev.Comment != nil && ev.Name == "issue_comment":
		return i.comment(ctx, d.ID, &ev, log)
	case ev.CheckRun != nil:
		return i.button(ctx, d.ID, &ev, log)
	default:
		if change, ok := trigger.FromGitHub(&ev); ok {
			return i.code(ctx, d.ID, &ev, change, log)
		}
	}
	return i.processed(ctx, d.ID)
}

func (i *Intake) processed(ctx context.Context, delivery int64) error {
	return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Processed(ctx, delivery) })
}

// change is a change of code that may start a run.
type change struct {
	trigger.Event
	repo   *githubapp.Repo
	sha    string
	branch string // the head's
	ref    string
	pull   *event.PullRequest // nil: none
	config []byte
	line   trigger.Line
}

// code answers a push, a pull request or a merge group with one run, even if
// there is nothing to run: a required check has to be concluded.
func (i *Intake) code(ctx context.Context, delivery int64, ev *event.Event, te trigger.Event, log *slog.Logger) error {
	c := change{Event: te, repo: i.GitHub.Repo(ev.Installation, ev.Repo.FullName)}
	c.read(ev)
	if c.pull != nil {
		now, err := c.repo.Checks().PullRequest(ctx, ev.Repo.FullName, c.pull.Number)
		if err != nil {
			return err
		}
		if why := trigger.Outdated(c.Name, c.sha, trigger.Truth{Head: now.HeadSHA, Open: now.Open}); why != "" {
			log.Info("nothing done", "why", why)
			return i.processed(ctx, delivery)
		}
	}
	var err error
	c.config, err = c.repo.File(ctx, i.Settings.ConfigPath, c.configRef())
	if err := i.Installed.pushed(ctx, ev, c.config, err); err != nil {
		return err
	}
	if errors.Is(err, githubapp.ErrNotFound) {
		return i.processed(ctx, delivery)
	}
	if err != nil {
		return err
	}
	run, err := i.newRun(ctx, ev, &c)
	if err != nil {
		return err
	}
	return i.create(ctx, delivery, run, &c, log)
}

// read takes over what the kinds of events call differently.
func (c *change) read(ev *event.Event) {
	switch {
	case ev.Push != nil:
		c.sha, c.branch, c.ref = ev.Push.After, ev.Push.Branch, ev.Push.Ref
		c.line.Branch = c.branch
	case ev.PullRequest != nil:
		c.pull = ev.PullRequest
		c.sha, c.branch, c.ref = c.pull.HeadSHA, c.pull.HeadRef, fmt.Sprintf("refs/pull/%d/head", c.pull.Number)
		c.line.Pull = c.pull.Number
	case ev.MergeGroup != nil:
		c.sha, c.ref = ev.MergeGroup.HeadSHA, ev.MergeGroup.HeadRef
	}
}

// configRef is where the configuration is read: of a fork's pull request in
// the branch that it goes into, which its author cannot write to.
func (c *change) configRef() string {
	if c.fork() {
		return c.pull.BaseSHA
	}
	return c.sha
}

func (c *change) fork() bool { return c.pull != nil && c.pull.Fork }

// newRun decides what of the configuration runs. One that is wrong makes a run
// too: its check says what is wrong.
func (i *Intake) newRun(ctx context.Context, ev *event.Event, c *change) (*store.Run, error) {
	run := &store.Run{
		ID: flow.NewRunID(), Key: trigger.CodeKey(ev.Repo.FullName, c.sha, trigger.Digest(c.config)), Class: ClassCode,
		Repo: ev.Repo.FullName, Installation: ev.Installation, SHA: c.sha, Ref: c.ref, Branch: c.branch,
		Origin: store.Origin{Event: ev.Name, Sender: ev.Sender.Login, Fork: c.fork()},
		Spec:   store.Spec{ConfigPath: i.Settings.ConfigPath, Config: c.config},
	}
	if c.pull != nil {
		run.Origin.PullNumber, run.Origin.Title = int64(c.pull.Number), c.pull.Title
	}
	if ev.MergeGroup != nil {
		run.Class, run.Key = ClassMergeGroup, trigger.MergeGroupKey(ev.Repo.FullName, c.sha)
	}
	message, err := i.message(ctx, ev, c)
	if err != nil {
		return nil, err
	}
	if run.Origin.Title == "" {
		run.Origin.Title, _, _ = strings.Cut(message, "\n")
	}
	file, err := flow.Parse(i.Settings.ConfigPath, c.config)
	switch {
	case err != nil:
		run.Origin.Reason = "the configuration is wrong"
	case event.SkipsCI(message) && ev.MergeGroup == nil:
		run.Origin.Reason = "the commit's message asks for it with [skip ci]"
	default:
		if err := i.changedFiles(ctx, ev, c, file); err != nil {
			return nil, err
		}
		sel := trigger.Select(file, c.Event)
		run.Spec.Roots, run.Origin.Reason = sel.Projects, reasons(file, sel)
	}
	return run, nil
}

// message is that of the head commit, which a pull request does not tell.
func (i *Intake) message(ctx context.Context, ev *event.Event, c *change) (string, error) {
	if ev.Push != nil {
		return ev.Push.HeadMessage, nil
	}
	commit, err := c.repo.Commit(ctx, c.sha)
	return commit.Message, err
}

// changedFiles asks for the changed files, if a trigger looks at them.
func (i *Intake) changedFiles(ctx context.Context, ev *event.Event, c *change, file *flow.File) (err error) {
	if c.PathsKnown || !trigger.WantsPaths(file, c.Name) {
		return nil
	}
	switch {
	case c.pull != nil:
		c.Paths, c.PathsKnown, err = c.repo.PullFiles(ctx, c.pull.Number)
	case ev.Push != nil && !ev.Push.Created:
		c.Paths, c.PathsKnown, err = c.repo.Compare(ctx, ev.Push.Before, ev.Push.After)
	case ev.MergeGroup != nil:
		c.Paths, c.PathsKnown, err = c.repo.Compare(ctx, ev.MergeGroup.BaseSHA, ev.MergeGroup.HeadSHA)
	}
	if errors.Is(err, githubapp.ErrNotFound) { // a forced push: what was before is gone
		c.PathsKnown, err = false, nil
	}
	return err
}

// reasons says of each project why it is not run.
func reasons(f *flow.File, sel trigger.Selection) string {
	var b strings.Builder
	for _, p := range f.Projects {
		if why := sel.Reasons[p.Name]; why != "" {
			fmt.Fprintf(&b, "%s: %s\n", p.Name, why)
		}
	}
	return b.String()
}

// create stores the run, with what it does to older ones.
func (i *Intake) create(ctx context.Context, delivery int64, run *store.Run, c *change, log *slog.Logger) error {
	if run.Origin.Fork && len(run.Spec.Roots) > 0 {
		run.State = store.Waiting
		if err := i.askApproval(ctx, run, c); err != nil {
			return err
		}
	}
	return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		made, created, err := tx.CreateRun(ctx, run)
		if err != nil {
			return err
		}
		if created {
			log.Info("run created", "run", made.ID, "sha", run.SHA, "projects", run.Spec.Roots)
			if err := i.supersede(ctx, tx, made, c); err != nil {
				return err
			}
		}
		return tx.Processed(ctx, delivery)
	})
}

// supersede cancels older runs of the same branch or pull request, if the
// configuration wants that.
func (i *Intake) supersede(ctx context.Context, tx *store.Tx, run *store.Run, c *change) error {
	file, err := flow.Parse(run.Spec.ConfigPath, run.Spec.Config)
	if err != nil || run.Class != ClassCode {
		return nil //nolint:nilerr // a wrong configuration says nothing about older runs
	}
	older, err := tx.Open(ctx, run.Repo, c.line.Branch, int64(c.line.Pull), run.Class)
	if err != nil {
		return err
	}
	for _, o := range older {
		if o.ID == run.ID || o.SHA == run.SHA {
			continue
		}
		line := trigger.Line{Pull: int(o.Origin.PullNumber)}
		if line.Pull == 0 {
			line.Branch = o.Branch
		}
		if trigger.Overlap(file, c.line, line) != trigger.CancelOlder {
			continue
		}
		if err := tx.Cancel(ctx, o.ID, "a newer commit", run.ID); err != nil {
			return err
		}
	}
	return nil
}

// askApproval shows that the code of a fork waits for somebody.
func (i *Intake) askApproval(ctx context.Context, run *store.Run, c *change) error {
	v := checks.Verdict{
		Repo: run.Repo, SHA: run.SHA, Name: checkName(run), ExternalID: approvalID(run), Conclusion: checks.ActionRequired,
		Title: "waits for an approval: the code is of a fork", Approve: true,
		Summary: fmt.Sprintf("Nothing of it runs before somebody with write access has looked at commit `%s`, and either clicks Approve or comments\n\n    /cromt ok %[1]s\n\nIt gets no secrets, and only hosts that take forks. A new push needs a new approval.\n", run.SHA),
	}
	return c.repo.Checks().Post(ctx, v)
}

// approvalID is the external_id of the check that asks for an approval: the
// same however often the delivery is worked.
func approvalID(run *store.Run) string { return "approve/" + trigger.Digest([]byte(run.Key))[:32] }
