package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// Post tells GitHub how runs have ended that it does not know of yet: it was
// down, or this process was. It is called every now and then.
//
// Each time it goes on behind those of the last time, and begins anew at the
// end: what cannot be posted for long does not keep others from their turn.
func (r *Runner) Post(ctx context.Context) error {
	open, err := r.Store.Unposted(ctx, r.looked, postBatch)
	if err != nil {
		return err
	}
	r.looked = ""
	if len(open) == postBatch {
		r.looked = open[len(open)-1].Run
	}
	var runs []string
	for _, c := range open {
		if c.ExternalID == lastWord && !slices.Contains(runs, c.Run) {
			runs = append(runs, c.Run)
		}
	}
	return r.postAll(ctx, runs)
}

// postAll posts the ends of runs, several at once: one that GitHub does not
// take does not hold up those of other installations.
func (r *Runner) postAll(ctx context.Context, runs []string) error {
	var (
		tasks sync.WaitGroup
		mu    sync.Mutex
		errs  []error
	)
	free := make(chan struct{}, posters)
	for _, id := range runs {
		free <- struct{}{}
		tasks.Go(func() {
			defer func() { <-free }()
			if err := r.post(ctx, id); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("run %s post: %w", id, err))
			}
		})
	}
	tasks.Wait()
	return errors.Join(errs...)
}

// postOthers posts the aggregates of runs of the same commit that have waited
// for this one's end.
func (w *work) postOthers(ctx context.Context) error {
	runs, err := w.Store.UnpostedAt(ctx, w.run.Repo, w.run.SHA)
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(runs, func(id string) bool { return id == w.run.ID })
	limit, cancel := lasting(ctx, postTime)
	defer cancel()
	if err := w.postAll(limit, runs); err != nil {
		w.log.Warn("other runs of the commit not posted", "error", err)
	}
	return nil
}

// post posts the end of a run, which it owns meanwhile.
func (r *Runner) post(ctx context.Context, id string) (err error) {
	claim, err := r.Store.Claim(ctx, id)
	for try := 0; errors.Is(err, store.ErrClaimed); try++ {
		if try == claimRetries || ctx.Err() != nil {
			return nil // its owner is at it
		}
		time.Sleep(claimPause) // or about to let go of it
		claim, err = r.Store.Claim(ctx, id)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, claim.Release(context.WithoutCancel(ctx))) }()
	run, err := r.Store.Run(ctx, id)
	if err != nil {
		return err
	}
	w := r.newWork(run)
	w.claim = claim
	if err := w.nameCheck(ctx); err != nil {
		return err
	}
	final, held, err := w.unposted(ctx)
	if err != nil || final == nil {
		return err
	}
	limit, cancel := lasting(ctx, choreTime)
	defer cancel()
	if time.Since(run.CompletedAt) > postAge {
		w.log.Error("check runs given up: GitHub has not taken them", "since", run.CompletedAt)
		return w.posted(ctx)
	}
	var v checks.Verdict
	if json.Unmarshal(final, &v) == nil {
		return w.tell(limit, v)
	}
	return w.postReport(limit, held)
}

// unposted returns what is to be posted of a run that has ended; nil: nothing.
func (w *work) unposted(ctx context.Context) (final []byte, held bool, err error) {
	known, err := w.Store.Checks(ctx, w.run.ID)
	for _, c := range known {
		switch {
		case c.ExternalID == lastWord && !c.Acked:
			final = c.Final
		case c.ExternalID == heldWord:
			held = true
		}
	}
	return final, held, err
}

// postReport posts the end of a run that had jobs. held says that all but the
// aggregate has been posted.
func (w *work) postReport(ctx context.Context, held bool) error {
	report, err := w.Store.Report(ctx, w.run.ID)
	if err != nil {
		return err
	}
	var list flow.ErrorList
	if w.plan, err = w.makePlan(); errors.As(err, &list) {
		return w.postWithoutPlan(ctx, report)
	}
	if err != nil {
		return err
	}
	history, err := w.Store.History(ctx, w.run.ID, w.plan)
	if errors.Is(err, flow.ErrOtherPlan) {
		return w.postWithoutPlan(ctx, report)
	}
	if err != nil || held && w.othersOpen(ctx) {
		return err
	}
	reporter, err := w.reporter(ctx)
	if err != nil {
		return err
	}
	logs := newLogs(ctx, w.Store, w.claim, w.log)
	defer logs.close()
	for _, j := range w.plan.Jobs {
		i := slices.IndexFunc(report.Jobs, func(r flow.JobReport) bool { return r.Key == j.Key })
		if i < 0 || len(report.Jobs[i].Attempts) == 0 {
			continue
		}
		if to := reporter.Output(j, len(report.Jobs[i].Attempts)); to != nil {
			logs.replay(j.Key, len(report.Jobs[i].Attempts), to)
		}
	}
	if err := reporter.Report(ctx, history); err != nil {
		return err
	}
	reporter.SetRun(report)
	return w.acknowledge(ctx, reporter)
}

// postWithoutPlan posts the end of a run whose plan cannot be had any more: the
// App's configuration has changed since. Of other runs of the commit only that
// they have not passed is shown.
func (w *work) postWithoutPlan(ctx context.Context, report *flow.Run) error {
	w.plan = &flow.Plan{}
	if w.name == manualCheck {
		return w.postEnd(ctx, report, nil)
	}
	others, err := w.others(ctx, w.run, func(project string) bool {
		return slices.ContainsFunc(report.Jobs, func(j flow.JobReport) bool { return j.Project == project })
	})
	if err != nil {
		return err
	}
	return w.postEnd(ctx, report, others)
}

func (w *work) postEnd(ctx context.Context, report *flow.Run, others []checks.Other) error {
	v := w.verdict(report.Conclusion, checks.Title(report))
	v.Summary = "The App's configuration has changed since: more than this cannot be shown here.\n"
	for _, o := range others {
		if report.Conclusion.Passed() && !o.Job.Conclusion.Passed() {
			v.Conclusion, v.Title = flow.Failure, "not all of the commit's other jobs have passed"
		}
	}
	return errors.Join(w.tellJobs(ctx, report), w.tell(ctx, v))
}
