package bot

import (
	"context"
	"errors"
	"slices"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// rerun returns a run that repeats an ended one: the jobs that again wants, and
// what depends on them. The others' results are kept. nil: there are no such
// jobs.
func (i *Intake) rerun(ctx context.Context, id string, again func(*flow.JobReport) bool) (*store.Run, error) {
	old, err := i.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	run := &store.Run{
		ID: flow.NewRunID(), Class: old.Class, Repo: old.Repo, RepoID: old.RepoID, Installation: old.Installation, SHA: old.SHA, Ref: old.Ref, Branch: old.Branch,
		Origin: old.Origin, Spec: old.Spec,
	}
	run.Origin.RerunOf, run.Spec.Kept = old.ID, nil
	report, err := i.Store.Report(ctx, id)
	if errors.Is(err, store.ErrNotFound) { // it ended before its first job
		if !again(&flow.JobReport{Conclusion: old.Conclusion}) {
			return nil, nil
		}
		return run, nil
	}
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(report.Jobs, func(j flow.JobReport) bool { return again(&j) }) {
		return nil, nil
	}
	plan, err := i.planOf(old)
	if err != nil {
		return nil, err
	}
	run.Spec.Kept = plan.Keep(report, again)
	return run, nil
}

// planOf plans a run as its work does; without roots those of the file.
func (i *Intake) planOf(run *store.Run) (*flow.Plan, error) {
	r := *run
	if len(r.Spec.Roots) == 0 {
		file, err := flow.Parse(r.Spec.ConfigPath, r.Spec.Config)
		if err != nil {
			return nil, err
		}
		plan, err := flow.NewPlan(file, flow.PlanOptions{Pools: i.Settings.pools(r.Repo, r.Origin.Fork)})
		if err != nil {
			return nil, err
		}
		r.Spec.Roots = rootsOf(plan)
	}
	return (&Runner{Store: i.Store, GitHub: i.GitHub, Settings: i.Settings, Logger: i.Logger}).newWork(&r).makePlan()
}

// mayRun is planOf for a run that is to be created: its hosts are those that it
// may use.
func (i *Intake) mayRun(run *store.Run) (*flow.Plan, error) {
	plan, err := i.planOf(run)
	if err == nil {
		err = trust.Hosts(i.Settings.Hosts, run.Repo, run.Origin.Fork).Check(plan)
	}
	return plan, err
}

func rootsOf(p *flow.Plan) []string {
	var names []string
	for _, inv := range p.Roots {
		names = append(names, inv.Project.Name)
	}
	return names
}

// view is a run as it stands, with its plan.
func (i *Intake) view(ctx context.Context, id string) (*flow.Run, *flow.Plan, error) {
	run, err := i.Store.Run(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	plan := &flow.Plan{}
	if len(run.Spec.Roots) > 0 {
		if plan, err = i.planOf(run); err != nil {
			return nil, nil, err
		}
	}
	report, err := i.Store.Report(ctx, id)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return report, plan, err
	}
	history, err := i.Store.History(ctx, id, plan)
	if err != nil {
		return nil, nil, err
	}
	t := checks.NewTracker(plan)
	t.Apply(history)
	now := t.Run()
	now.ID, now.Repo, now.SHA = run.ID, run.Repo, run.SHA
	if now.StartedAt.IsZero() {
		now.StartedAt = run.StartedAt
	}
	if run.State == store.Completed {
		now.Conclusion, now.CompletedAt = run.Conclusion, run.CompletedAt
	}
	return now, plan, nil
}

// await waits until a run has ended, or ctx is done.
func (i *Intake) await(ctx context.Context, run string) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed := i.Store.Subscribe(ctx, run)
	for {
		now, err := i.Store.Run(ctx, run)
		if err != nil || now.State == store.Completed {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// over reports whether a run has ended. GitHub may show that a moment before it
// is stored.
func (i *Intake) over(ctx context.Context, run string) (bool, error) {
	limit, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	i.await(limit, run)
	now, err := i.Store.Run(ctx, run)
	return err == nil && now.State == store.Completed, err
}
