package bot

import (
	"context"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trigger"
	"github.com/cromt/cromt/flow"
)

// lineOf is what a run is in a row with. One that runs nothing stands alone.
func lineOf(r *store.Run, runs bool) trigger.Line {
	var l trigger.Line
	if r.Class != ClassCode || !runs {
		return l
	}
	if r.Origin.Event == "push" {
		l.Branch = r.Branch
	}
	l.Pull = int(r.Origin.PullNumber)
	return l
}

// overlap is what a newer run does to an older one.
func overlap(newer, older *store.Run) trigger.Action {
	file, err := flow.Parse(newer.Spec.ConfigPath, newer.Spec.Config)
	if err != nil || newer.SHA == older.SHA {
		return trigger.RunBeside // a wrong configuration says nothing about older runs
	}
	// Lists of runs have no Spec; one that runs nothing ends at once.
	return trigger.Overlap(file, lineOf(newer, len(newer.Spec.Roots) > 0), lineOf(older, true))
}

// overlapOf is what the configuration of a run asks for; "": nothing.
func overlapOf(r *store.Run) trigger.Action {
	file, err := flow.Parse(r.Spec.ConfigPath, r.Spec.Config)
	if err != nil {
		return ""
	}
	return trigger.Action(file.Overlap.Value)
}

// ahead returns the run that a run has to wait for: the newest of those before
// it that have not ended; nil when it may begin. It is decided each time that
// the run is looked at, from what the database has: the end of a run wakes
// those behind it in the same transaction.
func (r *Runner) ahead(ctx context.Context, run *store.Run) (*store.Run, error) {
	line := lineOf(run, len(run.Spec.Roots) > 0)
	if run.State != store.Queued || line == (trigger.Line{}) {
		return nil, nil
	}
	open, err := r.Store.Open(ctx, run.Repo, line.Branch, int64(line.Pull), run.Class)
	if err != nil {
		return nil, err
	}
	var last *store.Run
	for _, o := range open {
		if before(o, run) && o.State != store.Waiting && overlap(run, o) == trigger.QueueBehind {
			last = o
		}
	}
	return last, nil
}

// before reports whether a run was created before another one.
func before(a, b *store.Run) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.Before(b.CreatedAt)
	}
	return a.ID < b.ID
}

// wait shows that a run waits for another one. It is looked at again when that
// one ends.
func (w *work) wait(ctx context.Context, ahead *store.Run) (again time.Duration) {
	v := w.verdict("", "waits for run "+ahead.ID)
	v.Summary = "It begins when run `" + ahead.ID + "` of commit `" + ahead.SHA + "` has ended, because of `overlap: queue`, which is the default for pushes.\n"
	if url := w.Settings.runURL(ahead.ID); url != "" {
		v.Summary += "\n[The run that it waits for](" + url + ")\n"
	}
	v.Cancel = true
	limit, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	if err := w.repo.Checks().Post(limit, v); err != nil {
		if ctx.Err() == nil {
			w.log.Warn("check run not posted", "error", err)
		}
		if !checks.Refused(err) {
			return waitTime
		}
	}
	return waitInterval
}
