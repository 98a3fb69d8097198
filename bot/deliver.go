package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

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

	replies [32]sync.Mutex // each of some pull requests
	pace    pace
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
	case ev.CheckRun != nil, ev.CheckSuite != nil:
		return i.button(ctx, d, &ev, log)
	case ev.PullRequest != nil && ev.Action == "closed":
		return i.closed(ctx, d, ev.PullRequest)
	default:
		if change, ok := trigger.FromGitHub(&ev); ok {
			return i.code(ctx, d, &ev, change, log)
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
	asked  time.Time // when GitHub was asked for the head
}

// outdated asks GitHub whether the change is still the newest of its branch or
// pull request: deliveries come late and out of order. It returns why not.
func (i *Intake) outdated(ctx context.Context, c *change) (string, error) {
	c.asked = time.Now()
	var now trigger.Truth
	switch {
	case c.pull != nil:
		pull, err := c.repo.Checks().PullRequest(ctx, c.repo.Name(), c.pull.Number)
		if err != nil {
			return "", err
		}
		now = trigger.Truth{Head: pull.HeadSHA, Open: pull.Open}
	case c.Name == "push" && c.branch != "":
		head, err := c.repo.Commit(ctx, "heads/"+c.branch)
		if err != nil && !errors.Is(err, githubapp.ErrNotFound) {
			return "", err
		}
		now.Head = head.SHA
	default:
		return "", nil
	}
	return trigger.Outdated(c.Name, c.sha, now), nil
}

// code answers a push, a pull request or a merge group with one run, even if
// there is nothing to run: a required check has to be concluded.
func (i *Intake) code(ctx context.Context, d *store.Delivery, ev *event.Event, te trigger.Event, log *slog.Logger) error {
	c := change{Event: te, repo: i.GitHub.Repo(ev.Installation, ev.Repo.FullName)}
	c.read(ev)
	why, err := i.outdated(ctx, &c)
	if err != nil {
		return err
	}
	if why != "" && c.pull != nil {
		log.Info("nothing done", "why", why) // its commits have been pushed, or are a fork's
		return i.late(ctx, d, &c)
	}
	if c.fork() {
		if err := i.forkEvent(ctx, d, c.pull); err != nil {
			return err
		}
	}
	ref, err := c.configRef(ctx)
	if err != nil {
		return err
	}
	c.config, err = c.repo.File(ctx, i.Settings.ConfigPath, ref)
	if err := i.Installed.pushed(ctx, ev, c.config, err); err != nil {
		return err
	}
	if errors.Is(err, githubapp.ErrNotFound) {
		return i.processed(ctx, d.ID)
	}
	if errors.Is(err, githubapp.ErrTooLarge) || errors.Is(err, githubapp.ErrNotFile) {
		return i.refuse(ctx, d.ID, ev, &c, err)
	}
	if err != nil {
		return err
	}
	run, err := i.newRun(ctx, ev, &c, why)
	if err != nil {
		return err
	}
	if c.queued() && len(run.Spec.Roots) == 0 {
		return i.processed(ctx, d.ID)
	}
	return i.create(ctx, d.ID, run, &c, log)
}

// late is the end of a delivery about a commit that is not the head. Of a
// fork it says that approvals which are older than it may be of code that was
// replaced in between.
func (i *Intake) late(ctx context.Context, d *store.Delivery, c *change) error {
	return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if c.fork() {
			if err := tx.Revoke(ctx, d.Repo, int64(c.pull.Number), c.sha, d.ReceivedAt); err != nil {
				return err
			}
		}
		return tx.Processed(ctx, d.ID)
	})
}

// refuse answers a change whose configuration cannot be read at all with a
// failing check. There is no run: nothing is there that it could be pinned to.
func (i *Intake) refuse(ctx context.Context, delivery int64, ev *event.Event, c *change, problem error) error {
	err := c.repo.Checks().Post(ctx, checks.Verdict{
		Repo: ev.Repo.FullName, SHA: c.sha, Name: "cromt", ExternalID: "config/" + c.sha, Conclusion: flow.Failure,
		Title: "nothing ran: " + i.Settings.ConfigPath + " cannot be read", Summary: block(problem.Error()),
	})
	if err != nil {
		return err
	}
	return i.processed(ctx, delivery)
}

// read takes over what the kinds of events call differently.
func (c *change) read(ev *event.Event) {
	switch {
	case ev.Push != nil:
		c.sha, c.branch, c.ref = ev.Push.After, ev.Push.Branch, ev.Push.Ref
	case ev.PullRequest != nil:
		c.pull = ev.PullRequest
		c.sha, c.branch, c.ref = c.pull.HeadSHA, c.pull.HeadRef, fmt.Sprintf("refs/pull/%d/head", c.pull.Number)
	case ev.MergeGroup != nil:
		c.sha, c.ref = ev.MergeGroup.HeadSHA, ev.MergeGroup.HeadRef
	}
}

// configRef is where the configuration is read: of a fork's pull request at
// the tip of the branch that it goes into, which its author cannot write to.
func (c *change) configRef(ctx context.Context) (string, error) {
	if c.fork() {
		return tip(ctx, c.repo, c.pull.BaseRef)
	}
	return c.sha, nil
}

// queued reports whether a merge queue has made the commit and pushed it. Its
// merge_group event is the one that a check answers: that the push selects
// nothing must not stand for the result, as it comes at the same moment.
func (c *change) queued() bool { return c.Name == "push" && strings.HasPrefix(c.branch, queueBranches) }

// queueBranches are those that merge queues make, and people cannot push to.
const queueBranches = "gh-readonly-queue/"

func (c *change) fork() bool { return c.pull != nil && c.pull.Fork }

// newRun decides what of the configuration runs. One that is wrong makes a run
// too: its check says what is wrong.
func (i *Intake) newRun(ctx context.Context, ev *event.Event, c *change, outdated string) (*store.Run, error) {
	run := &store.Run{
		ID: flow.NewRunID(), Key: trigger.CodeKey(ev.Repo.FullName, c.sha, trigger.Digest(c.config)), Class: ClassCode,
		Repo: ev.Repo.FullName, RepoID: ev.Repo.ID, Installation: ev.Installation, SHA: c.sha, Ref: c.ref, Branch: c.branch,
		Origin: store.Origin{Event: ev.Name, Sender: ev.Sender.Login, Fork: c.fork()},
		Spec:   store.Spec{ConfigPath: i.Settings.ConfigPath, Config: c.config},
	}
	if c.pull != nil {
		run.Origin.PullNumber, run.Origin.Title = int64(c.pull.Number), c.pull.Title
	}
	if c.fork() {
		run.Key = trigger.ForkKey(run.Repo, c.pull.Number, c.sha, trigger.Digest(c.config))
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
	case event.SkipsCI(message) && ev.MergeGroup == nil && !c.fork(): // a stranger does not get a green check for three words
		run.Origin.Reason = "the commit's message asks for it with [skip ci]"
	case outdated != "" && file.Overlap.Value != string(trigger.RunBeside): // where all run, their order is of no matter
		run.Origin.Reason = outdated
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
