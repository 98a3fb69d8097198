package bot

import (
	"context"
	"slices"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// The names of the aggregate: only what a code event has set off may be what a
// branch's protection asks for.
const (
	codeCheck   = "cromt"
	manualCheck = "cromt / manual"
	// forkCheck is for the runs of a fork at a commit that the repository has
	// had runs of itself: anybody can open such a pull request, into a branch
	// whose configuration selects nothing, and GitHub goes by the newest check
	// run of a name.
	forkCheck = "cromt / fork"
)

// isCode reports whether a run answers a code event.
func isCode(r *store.Run) bool { return r.Class == ClassCode || r.Class == ClassMergeGroup }

// codeRuns are those that code events have started at the run's commit, of the
// same trust: what a fork's author may run says nothing about what others do.
func (r *Runner) codeRuns(ctx context.Context, run *store.Run) ([]*store.Run, error) {
	runs, err := r.Store.At(ctx, run.Repo, run.SHA, ClassCode, ClassMergeGroup)
	return slices.DeleteFunc(runs, func(c *store.Run) bool { return c.Origin.Fork != run.Origin.Fork }), err
}

// nameCheck decides under which name a run is shown.
func (w *work) nameCheck(ctx context.Context) (err error) {
	w.name, err = checkName(ctx, w.Store, w.run)
	return err
}

// checkName is the name of a run's aggregate. It is the same for ever: it
// depends on what was there before the run.
func checkName(ctx context.Context, s *store.Store, run *store.Run) (string, error) {
	if isCode(run) && !run.Origin.Fork {
		return codeCheck, nil
	}
	runs, err := s.At(ctx, run.Repo, run.SHA, ClassCode, ClassMergeGroup)
	if err != nil {
		return "", err
	}
	after := func(fork bool) bool {
		return slices.ContainsFunc(runs, func(c *store.Run) bool { return c.Origin.Fork == fork && before(c, run) })
	}
	switch {
	case run.Origin.Fork && after(false):
		return forkCheck, nil
	case isCode(run) || after(run.Origin.Fork):
		return codeCheck, nil
	}
	return manualCheck, nil
}

// others are the rows that the aggregate has beside those of the run's own
// jobs: the latest result of every other project that code events selected at
// the commit, whichever run it is of. So a run of one project does not hide
// that another one has failed.
func (r *Runner) others(ctx context.Context, run *store.Run, own func(project string) bool) ([]checks.Other, error) {
	code, err := r.codeRuns(ctx, run)
	if err != nil || !slices.ContainsFunc(code, func(c *store.Run) bool { return c.ID != run.ID }) {
		return nil, err
	}
	jobs, err := r.Store.Latest(ctx, run.Repo, run.SHA)
	if err != nil {
		return nil, err
	}
	selected := map[string]bool{} // by code events, and what that depends on
	for _, c := range code {
		for _, p := range c.Spec.Roots {
			selected[p] = true
		}
		of, err := r.Store.Jobs(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		for _, j := range of {
			selected[j.Project] = true
		}
	}
	var rows []checks.Other
	have := map[string]bool{}
	for i := range jobs {
		j := &jobs[i]
		have[j.Project] = true
		if j.Run == run.ID || !selected[j.Project] || own(j.Project) {
			continue
		}
		row, err := r.row(ctx, j)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	for _, c := range code {
		for _, p := range c.Spec.Roots {
			if c.ID != run.ID && !have[p] && !own(p) {
				have[p] = true
				rows = append(rows, r.withoutJobs(c, p))
			}
		}
	}
	return rows, nil
}

// row is a job of another run as a row.
func (r *Runner) row(ctx context.Context, j *store.Job) (checks.Other, error) {
	o := checks.Other{URL: r.Settings.jobURL(j.Run, j.Key), Job: flow.JobReport{
		Key: j.Key, Project: j.Project, Title: j.Title, Host: j.Host, Label: j.Label, Queue: j.Queue, SHA: j.SHA,
		Status: j.Status, Conclusion: j.Conclusion, Cause: j.Cause, Error: j.Error,
		Attempts: []flow.AttemptReport{}, Artifacts: []flow.Artifact{},
	}}
	if j.Attempts == 0 {
		return o, nil
	}
	if j.Conclusion.Passed() || j.Status != flow.StatusCompleted { // its log is not shown
		o.Job.Attempts = make([]flow.AttemptReport, j.Attempts)
		last := o.Job.Last()
		last.Status, last.Conclusion, last.QueuedAt, last.StartedAt, last.CompletedAt = j.Status, j.Conclusion, j.QueuedAt, j.StartedAt, j.CompletedAt
		return o, nil
	}
	attempts, err := r.Store.Attempts(ctx, j.Run, j.Key)
	for _, a := range attempts {
		o.Job.Attempts = append(o.Job.Attempts, a.AttemptReport)
	}
	return o, err
}

// withoutJobs is the row of a project whose run has none: it has not begun, or
// never did.
func (r *Runner) withoutJobs(c *store.Run, project string) checks.Other {
	o := checks.Other{URL: r.Settings.runURL(c.ID), Job: flow.JobReport{
		Key: project, Project: project, Status: flow.StatusQueued, Attempts: []flow.AttemptReport{}, Artifacts: []flow.Artifact{},
	}}
	switch j := &o.Job; c.State {
	case store.Completed:
		j.Status, j.Conclusion, j.Cause, j.Error = flow.StatusCompleted, c.Conclusion, flow.CauseCancelled, "run "+c.ID+" ended before it began"
		if c.Conclusion == flow.Failure {
			j.Cause = flow.CauseInfrastructure
		}
	case store.Waiting: // maybe for ever: a check run has to be concluded
		j.Status, j.Conclusion, j.Cause, j.Error = flow.StatusCompleted, flow.Cancelled, flow.CauseCancelled, "run "+c.ID+" waits for an approval"
	}
	return o
}

// otherRows are those of other runs in the aggregate.
func (w *work) otherRows(ctx context.Context) []checks.Other {
	if w.name == manualCheck {
		return nil
	}
	own := map[string]bool{}
	for _, j := range w.plan.Jobs {
		own[j.Invocation.Project.Name] = true
	}
	rows, err := w.others(ctx, w.run, func(project string) bool { return own[project] })
	if err == nil {
		return rows
	}
	// Not known is not passed: it is posted again when it is.
	w.log.Warn("other runs of the commit not known", "error", err)
	return []checks.Other{{Job: flow.JobReport{Key: "other runs", Project: "other runs", Status: flow.StatusQueued}}}
}
