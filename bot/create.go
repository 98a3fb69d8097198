package bot

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

// errMoved says that other deliveries have changed what a decision was made on.
var errMoved = errors.New("other deliveries of the same branch come at the same time")

// create stores the run of a change, with what it does to others.
//
// A push and a pull request of one commit are one run of what both select. The
// event that comes second adds its projects to the run if that has not begun.
// If it has, its plan is pinned: what the second event selects, and no run of
// the commit has, is a second run. Both show the commit's aggregate. What a
// project of the second run depends on runs in it, too: its artifacts and its
// success are a run's own.
func (i *Intake) create(ctx context.Context, delivery int64, run *store.Run, c *change, log *slog.Logger) error {
	if len(run.Spec.Roots) > 0 {
		if err := i.returned(ctx, run); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		err := i.createOnce(ctx, delivery, run, c, log)
		if !errors.Is(err, errMoved) || try == createRetries {
			return err
		}
		// Is it still the newest, now that there is another one?
		outdated, err := i.outdated(ctx, c)
		if err != nil {
			return err
		}
		if outdated != "" && len(run.Spec.Roots) > 0 && overlapOf(run) != trigger.RunBeside {
			run.Spec.Roots, run.Origin.Reason = nil, outdated
		}
	}
}

func (i *Intake) createOnce(ctx context.Context, delivery int64, run *store.Run, c *change, log *slog.Logger) error {
	siblings, err := i.siblings(ctx, run)
	if err != nil {
		return err
	}
	r := *run
	if len(siblings) > 0 {
		r.Spec.Roots = i.missing(run, siblings)
		r.Key = trigger.MoreKey(run.Repo, run.SHA, trigger.Digest(run.Spec.Config), run.Origin.Event, int(run.Origin.PullNumber), c.Branch)
	}
	joins := func(s *store.Run) bool { return s.Key == run.Key && s.State == store.Waiting }
	asked := false
	if r.Origin.Fork && len(r.Spec.Roots) > 0 && !slices.ContainsFunc(siblings, joins) {
		if asked, err = i.ask(ctx, c.repo, &r); err != nil {
			return err
		}
	}
	return i.Store.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.At(ctx, run.Repo, run.SHA, run.Class)
		if err != nil {
			return err
		}
		if !sameRuns(siblings, ofKind(now, run)) {
			return errMoved
		}
		done, err := i.join(ctx, tx, run, siblings, len(r.Spec.Roots) == 0)
		if err != nil {
			return err
		}
		if done {
			return tx.Processed(ctx, delivery)
		}
		r.State = store.Queued
		if wait, err := unapproved(ctx, tx, &r); err != nil {
			return err
		} else if wait {
			r.State = store.Waiting
		}
		if err := i.insert(ctx, tx, &r, c, log); err != nil {
			return err
		}
		if asked { // the run's work concludes that check run
			if err := tx.SaveCheck(ctx, store.Check{Run: r.ID, ExternalID: approvalID(&r)}); err != nil {
				return err
			}
		}
		return tx.Processed(ctx, delivery)
	})
}

// siblings are the runs of the commit that the run shares its projects with.
func (i *Intake) siblings(ctx context.Context, run *store.Run) ([]*store.Run, error) {
	if run.Class != ClassCode {
		return nil, nil
	}
	runs, err := i.Store.At(ctx, run.Repo, run.SHA, run.Class)
	return ofKind(runs, run), err
}

// ofKind leaves out the runs of forks, which may do less, but of the same pull
// request, or of nobody else; and those that were overtaken by another commit.
func ofKind(runs []*store.Run, run *store.Run) []*store.Run {
	if run.Class != ClassCode {
		return nil
	}
	return slices.DeleteFunc(runs, func(r *store.Run) bool {
		return overtaken(r) || r.Origin.Fork != run.Origin.Fork || run.Origin.Fork && r.Origin.PullNumber != run.Origin.PullNumber
	})
}

// sameRuns reports whether nothing has been added to runs.
func sameRuns(a, b []*store.Run) bool {
	return slices.EqualFunc(a, b, func(a, b *store.Run) bool {
		return a.ID == b.ID && (a.State == store.Waiting) == (b.State == store.Waiting) && slices.Equal(a.Spec.Roots, b.Spec.Roots) && a.Origin.Event == b.Origin.Event && a.Origin.PullNumber == b.Origin.PullNumber
	})
}

// missing are the projects that the run selects and none of its siblings has,
// as a root or in the same way as what a root depends on.
func (i *Intake) missing(run *store.Run, siblings []*store.Run) []string {
	var have []string
	for _, s := range siblings {
		have = append(have, s.Spec.Roots...)
	}
	file, err := flow.Parse(run.Spec.ConfigPath, run.Spec.Config)
	size := func(roots []string) int {
		if err != nil || len(roots) == 0 {
			return 0
		}
		plan, err := flow.NewPlan(file, flow.PlanOptions{
			Roots: roots, Repo: i.Settings.cloneURL(run.Repo), Folder: folderOf(run.Spec.ConfigPath), DefaultHost: i.Settings.DefaultHost,
			Pools: i.Settings.pools(run.Repo, run.Origin.Fork),
		})
		if err != nil {
			return 0
		}
		return len(plan.Jobs)
	}
	known := size(have)
	return slices.DeleteFunc(slices.Clone(run.Spec.Roots), func(p string) bool {
		if slices.Contains(have, p) {
			return true
		}
		return known > 0 && size(append(slices.Clone(have), p)) == known
	})
}

// join has a run of the same commit answer the event, too. Not done: there has
// to be another run.
func (i *Intake) join(ctx context.Context, tx *store.Tx, run *store.Run, siblings []*store.Run, nothingMissing bool) (done bool, err error) {
	for _, s := range siblings {
		o := joined(s, run)
		if s.Key == run.Key && !nothingMissing {
			roots := inOrder(run, append(slices.Clone(s.Spec.Roots), run.Spec.Roots...))
			ok, err := tx.Join(ctx, s.ID, o, roots)
			if err != nil || ok {
				return ok, err
			}
		}
		if o.Event != s.Origin.Event || o.PullNumber != s.Origin.PullNumber {
			if err := tx.SetLine(ctx, s.ID, o.Event, o.PullNumber); err != nil {
				return false, err
			}
		}
	}
	return len(siblings) > 0 && nothingMissing, nil
}

// joined is where a run comes from that answers another event as well. What a
// push has selected counts as pushed, whatever else has selected it: see
// trigger.Line.
func joined(s, run *store.Run) store.Origin {
	o, n := s.Origin, run.Origin
	switch {
	case len(run.Spec.Roots) == 0:
		return o
	case len(s.Spec.Roots) == 0 || n.Event == "push":
		o.Event, o.Reason = n.Event, n.Reason
	}
	if o.PullNumber == 0 {
		o.PullNumber = n.PullNumber
	}
	if n.PullNumber != 0 && n.Title != "" {
		o.Title = n.Title
	}
	return o
}

// inOrder are the projects in the order of the configuration, each once.
func inOrder(run *store.Run, projects []string) []string {
	file, err := flow.Parse(run.Spec.ConfigPath, run.Spec.Config)
	if err != nil {
		return run.Spec.Roots
	}
	var list []string
	for _, p := range file.Projects {
		if slices.Contains(projects, p.Name) {
			list = append(list, p.Name)
		}
	}
	return list
}

// insert stores a new run, and cancels the older ones that it takes the place
// of.
func (i *Intake) insert(ctx context.Context, tx *store.Tx, run *store.Run, c *change, log *slog.Logger) error {
	// The database's order of runs is the order in which they were pushed.
	run.CreatedAt = time.Now()
	older, err := i.older(ctx, tx, run)
	if err != nil {
		return err
	}
	for _, o := range older {
		if o.CreatedAt.After(c.asked) && o.SHA != run.SHA {
			return errMoved // GitHub was asked before that one was pushed, maybe
		}
	}
	made, created, err := tx.CreateRun(ctx, run)
	if err != nil || !created {
		return err
	}
	log.Info("run created", "run", made.ID, "sha", run.SHA, "projects", run.Spec.Roots)
	for _, o := range older {
		if action := overlap(run, o); action == trigger.CancelOlder || action == trigger.QueueBehind && o.State == store.Waiting {
			if err := tx.Cancel(ctx, o.ID, "a newer commit", run.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// older are the runs that are in a row with a new one.
func (i *Intake) older(ctx context.Context, tx *store.Tx, run *store.Run) ([]*store.Run, error) {
	line := lineOf(run, len(run.Spec.Roots) > 0)
	if line == (trigger.Line{}) {
		return nil, nil
	}
	return tx.Open(ctx, run.Repo, line.Branch, int64(line.Pull), run.Class)
}
