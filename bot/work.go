package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
)

// Runner works runs: it plans a run from what was pinned when it was created,
// goes on where the last process has stopped, and lets go when it is told to.
type Runner struct {
	Store    *store.Store
	GitHub   *githubapp.App
	Settings *Settings
	Metrics  *Metrics
	Sources  *Sources
	Logger   *slog.Logger

	looked string // the run that Post has come to; "": it begins
}

// The causes for which a slice of a run's work ends before the run.
var (
	errSlice   = fmt.Errorf("the slice is over: %w", flow.ErrDetached)
	errStopped = fmt.Errorf("the program ends: %w", flow.ErrDetached)
	errFenced  = fmt.Errorf("another process works it: %w", flow.ErrDetached)
	errNoNotes = fmt.Errorf("the database does not take what has happened: %w", flow.ErrDetached)
)

// Work does one slice of a run; see [store.Workers].
func (r *Runner) Work(ctx context.Context, id string) (again time.Duration, err error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil || idle(run) {
		return 0, err
	}
	w := r.newWork(run)
	if err := w.nameCheck(ctx); err != nil {
		return 0, err
	}
	if run.CancelledBy == "" {
		ahead, err := r.ahead(ctx, run)
		if err != nil {
			return 0, err
		}
		if ahead != nil {
			return w.wait(ctx, ahead), nil
		}
	}
	if w.claim, err = r.Store.Claim(ctx, id); err != nil {
		return 0, err
	}
	defer func() {
		if rerr := w.claim.Release(context.WithoutCancel(ctx)); rerr != nil && err == nil {
			err = rerr
		}
	}()
	// Until now another event could add to what it runs.
	if w.run, err = r.Store.Run(ctx, id); err != nil || idle(w.run) {
		return 0, err
	}
	r.Metrics.working.Inc()
	defer r.Metrics.working.Dec()
	done, err := w.slice(ctx)
	if err != nil {
		return 0, w.unable(ctx, err)
	}
	if !done {
		return sliceGap, nil
	}
	return 0, w.postOthers(ctx)
}

// idle reports whether there is nothing to do for a run.
func idle(run *store.Run) bool {
	return run.State == store.Completed || run.State == store.Waiting && run.CancelledBy == ""
}

// work is a run in this process's hands.
type work struct {
	*Runner
	run   *store.Run
	claim *store.Claim
	log   *slog.Logger
	repo  *githubapp.Repo
	name  string // of the aggregate
	told  bool   // GitHub has the last word
	plan  *flow.Plan
	hosts trust.Resolver
	seen  visibility
}

func (r *Runner) newWork(run *store.Run) *work {
	return &work{
		Runner: r, run: run, log: r.Logger.With("run", run.ID, "repo", run.Repo), name: codeCheck,
		repo: r.GitHub.Repo(run.Installation, run.Repo), hosts: trust.Hosts(r.Settings.Hosts, run.Repo, run.Origin.Fork),
	}
}

// slice works the run until it is complete, or for sliceTime.
func (w *work) slice(ctx context.Context) (done bool, err error) {
	if err := w.settle(ctx); err != nil {
		return false, err
	}
	if w.run.CancelledBy != "" && w.run.State != store.InProgress {
		return true, w.cancelled(ctx)
	}
	if w.plan, err = w.makePlan(); err != nil {
		return true, w.refuse(ctx, err)
	}
	history, err := w.Store.History(ctx, w.run.ID, w.plan)
	if errors.Is(err, flow.ErrOtherPlan) {
		return true, w.abandon(ctx, err)
	}
	if err != nil {
		return false, err
	}
	if len(history) == 0 {
		if len(w.plan.Jobs) == 0 {
			return true, w.nothing(ctx)
		}
		// What has begun is not given up for it: the hosts are asked one by one.
		if err := w.hosts.Check(w.plan); err != nil {
			return true, w.refuse(ctx, err)
		}
	}
	executor, err := w.executor(ctx)
	if err != nil {
		return false, err
	}
	defer executor.Close()
	reporter, err := w.reporter(ctx)
	if err != nil {
		return false, err
	}
	defer w.leave(ctx, reporter)
	if err := reporter.Report(ctx, history); err != nil {
		return false, err
	}
	report, err := w.carryOut(ctx, executor, reporter, history)
	if errors.Is(err, flow.ErrDetached) && !errors.Is(err, errNoNotes) {
		return false, nil
	}
	if err != nil { // the queue tries again, later each time
		return false, err
	}
	return true, w.finish(ctx, reporter, report)
}

// carryOut has the engine work the run from where its history ends.
func (w *work) carryOut(ctx context.Context, executor flow.Executor, reporter *checks.Reporter, history []flow.Event) (*flow.Run, error) {
	logs := newLogs(ctx, w.Store, w.claim, w.log)
	defer logs.close()
	engine := &flow.Engine{
		Executor:  executor,
		Journal:   journal{w.claim.Journal(w.plan)},
		Reporters: []flow.Reporter{reporter, w.Metrics, w.Metrics.Waits()},
		Output: func(j *flow.Job, attempt int) io.Writer {
			return logs.writer(j, attempt, reporter.Output(j, attempt))
		},
		LogOffset: logs.offset,
		FailFast:  w.run.Spec.FailFast,
		Pools:     w.Settings.place(),
	}
	defer w.started(ctx)()
	runCtx, stop := w.context(ctx)
	defer stop()
	return engine.Run(runCtx, flow.RunOptions{ID: w.run.ID, Plan: w.plan, Repo: w.run.Repo, SHA: w.run.SHA, History: history, Kept: w.run.Spec.Kept})
}

// context is done when the run is to be cancelled, and when this process has
// to let go of it.
func (w *work) context(ctx context.Context) (context.Context, func()) {
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	watch, stop := context.WithCancel(run)
	changed := w.Store.Subscribe(watch, w.run.ID)
	timer := time.NewTimer(sliceTime)
	over := w.over()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		defer timer.Stop()
		for {
			// Also at first: it may have changed before anybody watched.
			now, err := w.Store.Run(watch, w.run.ID)
			if err == nil && now.CancelledBy != "" {
				cancel(errors.New(cancelText(now)))
				return
			}
			select {
			case <-watch.Done():
				return
			case <-ctx.Done():
				cancel(errStopped)
				return
			case <-timer.C:
				cancel(errSlice)
				return
			case <-over:
				cancel(context.DeadlineExceeded)
				return
			case <-changed:
			}
		}
	}()
	return run, func() {
		stop()
		<-finished
		cancel(nil)
	}
}

// over receives when the run's own time is over; nil: it has no limit.
func (w *work) over() <-chan time.Time {
	limit := w.run.Spec.Timeout
	if limit <= 0 {
		return nil
	}
	if !w.run.StartedAt.IsZero() {
		limit -= time.Since(w.run.StartedAt)
	}
	return time.After(limit)
}

func cancelText(r *store.Run) string {
	if r.SupersededBy != "" {
		return "superseded by run " + r.SupersededBy
	}
	return "cancelled by " + r.CancelledBy
}

// journal makes the engine let go of a run whose events cannot be stored, where
// it would cancel it: somebody else has taken it over, or the database is away
// and will be back, when the run goes on from what was stored last.
type journal struct{ store flow.Reporter }

func (j journal) Report(ctx context.Context, events []flow.Event) error {
	err := j.store.Report(ctx, events)
	switch {
	case errors.Is(err, store.ErrFenced):
		return fmt.Errorf("%w: %w", errFenced, err)
	case err != nil:
		return fmt.Errorf("%w: %w", errNoNotes, err)
	}
	return nil
}

// makePlan plans the run. What is wrong is an error with its place.
func (w *work) makePlan() (*flow.Plan, error) {
	spec := w.run.Spec
	file, err := flow.Parse(spec.ConfigPath, spec.Config)
	if err != nil {
		return nil, err
	}
	if len(spec.Roots) == 0 {
		return &flow.Plan{File: file}, nil
	}
	plan, err := flow.NewPlan(file, flow.PlanOptions{
		Roots: spec.Roots, Vars: spec.Vars, Repo: w.Settings.cloneURL(w.run.Repo), Folder: folderOf(spec.ConfigPath),
		DefaultHost: w.Settings.DefaultHost, HostName: w.hostName, RequireHost: true,
		Pools: w.Settings.pools(w.run.Repo, w.run.Origin.Fork), // the flow file's name hosts that nobody here has admitted
	})
	if err != nil {
		return nil, err
	}
	if !trust.Secrets(w.run.Origin.Fork).Allowed {
		for _, j := range plan.Jobs {
			j.Secrets = nil
		}
	}
	return plan, nil
}

func (w *work) hostName(url string) string {
	h, err := w.hosts.Resolve(url, flow.Pos{})
	if err != nil {
		return ""
	}
	return h.Name
}

// reporter shows the run as check runs.
func (w *work) reporter(ctx context.Context) (*checks.Reporter, error) {
	known, err := w.Store.Checks(ctx, w.run.ID)
	if err != nil {
		return nil, err
	}
	ids := map[string]int64{}
	for _, c := range known {
		if c.ID != 0 {
			ids[c.ExternalID] = c.ID
		}
	}
	return checks.NewReporter(w.plan, checks.Config{
		Client: w.repo.Checks(), Repo: w.run.Repo, SHA: w.run.SHA, Name: w.name, Mode: checks.ModePerHost, Run: w.run.ID,
		RunURL: w.runURL(), JobURL: func(j *flow.Job) string { return w.Settings.jobURL(w.run.ID, j.Key) },
		Buttons: true, Known: ids, Others: w.otherRows, Scan: w.scan, Logger: w.log,
	}), nil
}

func (w *work) runURL() string { return w.Settings.runURL(w.run.ID) }

func (w *work) scan(j *flow.Job) *checks.ScanOptions {
	if j.Source.Kind != flow.SourceOwn {
		return nil
	}
	return &checks.ScanOptions{Dir: j.Source.Dir}
}

// leave ends a reporter that is still there, and stores which check runs there
// are, for the process that goes on.
func (w *work) leave(ctx context.Context, r *checks.Reporter) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	r.Leave(limit)
	if w.told {
		return
	}
	err := w.claim.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		return saveChecks(ctx, tx, w.run.ID, r.Known())
	})
	if err != nil && !errors.Is(err, store.ErrFenced) {
		w.log.Warn("check runs not kept", "error", err) // they are looked for
	}
}

func saveChecks(ctx context.Context, tx *store.Tx, run string, known map[string]int64) error {
	for _, external := range slices.Sorted(maps.Keys(known)) {
		if err := tx.SaveCheck(ctx, store.Check{Run: run, ExternalID: external, ID: known[external]}); err != nil {
			return err
		}
	}
	return nil
}

// folderOf is the folder of the configuration below the repository's root.
func folderOf(configPath string) string {
	if dir := path.Dir(configPath); dir != "." {
		return dir
	}
	return ""
}
