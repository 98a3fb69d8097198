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
	"github.com/cromt/cromt/sparky"
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
}

// The causes for which a slice of a run's work ends before the run.
var (
	errSlice   = fmt.Errorf("the slice is over: %w", flow.ErrDetached)
	errStopped = fmt.Errorf("the program ends: %w", flow.ErrDetached)
	errFenced  = fmt.Errorf("another process works it: %w", flow.ErrDetached)
)

// Work does one slice of a run; see [store.Workers].
func (r *Runner) Work(ctx context.Context, id string) (again time.Duration, err error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil || run.State == store.Completed || run.State == store.Waiting && run.CancelledBy == "" {
		return 0, err
	}
	claim, err := r.Store.Claim(ctx, id)
	if err != nil {
		return 0, err
	}
	w := &work{Runner: r, run: run, claim: claim, log: r.Logger.With("run", id, "repo", run.Repo)}
	defer func() {
		if rerr := claim.Release(context.WithoutCancel(ctx)); rerr != nil && err == nil {
			err = rerr
		}
	}()
	r.Metrics.working.Inc()
	defer r.Metrics.working.Dec()
	done, err := w.slice(ctx)
	if err != nil || done {
		return 0, err
	}
	return sliceGap, nil
}

// work is a run in this process's hands.
type work struct {
	*Runner
	run   *store.Run
	claim *store.Claim
	log   *slog.Logger
	repo  *githubapp.Repo
	plan  *flow.Plan
	hosts trust.Resolver
}

// slice works the run until it is complete, or for sliceTime.
func (w *work) slice(ctx context.Context) (done bool, err error) {
	w.repo = w.GitHub.Repo(w.run.Installation, w.run.Repo)
	if w.plan, err = w.makePlan(); err != nil {
		return true, w.refuse(ctx, err)
	}
	history, err := w.Store.History(ctx, w.run.ID, w.plan)
	if err != nil {
		return false, err
	}
	if w.run.CancelledBy != "" && len(history) == 0 {
		return true, w.cancelled(ctx)
	}
	if len(w.plan.Jobs) == 0 {
		return true, w.nothing(ctx)
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
	if err := reporter.Report(ctx, history); err != nil { // the engine tells of what is new alone
		reporter.Leave()
		return false, err
	}
	logs := newLogs(ctx, w.Store, w.claim, w.log)
	engine := &flow.Engine{
		Executor:  executor,
		Journal:   fenced{w.claim.Journal(w.plan)},
		Reporters: []flow.Reporter{reporter, w.Metrics},
		Output: func(j *flow.Job, attempt int) io.Writer {
			return logs.writer(j, attempt, reporter.Output(j, attempt))
		},
		LogOffset: logs.offset,
	}
	runCtx, stop := w.context(ctx)
	defer stop()
	report, err := engine.Run(runCtx, flow.RunOptions{ID: w.run.ID, Plan: w.plan, Repo: w.run.Repo, SHA: w.run.SHA, History: history})
	logs.close()
	if errors.Is(err, flow.ErrDetached) {
		reporter.Leave()
		w.keepChecks(ctx, reporter)
		return false, nil
	}
	if err != nil {
		reporter.Leave()
		return false, err
	}
	return true, w.finish(ctx, reporter, report)
}

// context is done when the run is to be cancelled, and when this process has
// to let go of it.
func (w *work) context(ctx context.Context) (context.Context, func()) {
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	watch, stop := context.WithCancel(run)
	changed := w.Store.Subscribe(watch, w.run.ID)
	timer := time.NewTimer(sliceTime)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		defer timer.Stop()
		for {
			select {
			case <-watch.Done():
				return
			case <-ctx.Done():
				cancel(errStopped)
				return
			case <-timer.C:
				cancel(errSlice)
				return
			case <-changed:
			}
			now, err := w.Store.Run(watch, w.run.ID)
			if err == nil && now.CancelledBy != "" {
				cancel(errors.New(cancelText(now)))
				return
			}
		}
	}()
	if w.run.CancelledBy != "" {
		cancel(errors.New(cancelText(w.run)))
	}
	return run, func() {
		stop()
		<-finished
		cancel(nil)
	}
}

func cancelText(r *store.Run) string {
	if r.SupersededBy != "" {
		return "superseded by run " + r.SupersededBy
	}
	return "cancelled by " + r.CancelledBy
}

// fenced makes the journal of a run that somebody else has taken over let go
// of it rather than cancel it.
type fenced struct{ journal flow.Reporter }

func (f fenced) Report(ctx context.Context, events []flow.Event) error {
	err := f.journal.Report(ctx, events)
	if errors.Is(err, store.ErrFenced) {
		return fmt.Errorf("%w: %w", errFenced, err)
	}
	return err
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
	w.hosts = trust.Hosts(w.Settings.Hosts, w.run.Repo, w.run.Origin.Fork)
	plan, err := flow.NewPlan(file, flow.PlanOptions{
		Roots: spec.Roots, Vars: spec.Vars, Repo: w.Settings.cloneURL(w.run.Repo), Folder: folderOf(spec.ConfigPath),
		DefaultHost: w.Settings.DefaultHost, HostName: w.hostName, RequireHost: true,
	})
	if err != nil {
		return nil, err
	}
	if err := w.hosts.Check(plan); err != nil {
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

// executor is what runs the plan's jobs on the hosts of the configuration.
func (w *work) executor(ctx context.Context) (*sparky.Executor, error) {
	secrets, err := w.secrets()
	if err != nil {
		return nil, err
	}
	own := sparky.OwnSource{URL: w.Settings.cloneURL(w.run.Repo), Commit: w.run.SHA}
	if slices.ContainsFunc(w.plan.Jobs, func(j *flow.Job) bool { return j.Source.Kind == flow.SourceOwn }) {
		if own, err = w.Sources.Own(ctx, w.repo, w.Settings.cloneURL(w.run.Repo), w.run.SHA); err != nil {
			return nil, err
		}
	}
	return sparky.NewExecutor(sparky.ExecutorConfig{
		Host: w.host, Secrets: secrets, Own: own, Storage: w.plan.File.Storage.Value, RunID: w.run.ID, Logger: w.log,
	}), nil
}

// host is how a job's host is reached.
func (w *work) host(url string) (sparky.HostConfig, error) {
	e, err := w.hosts.Resolve(url, flow.Pos{})
	if err != nil {
		return sparky.HostConfig{}, err
	}
	return w.Settings.Host(e)
}

// secrets are the values that the plan's jobs ask for.
func (w *work) secrets() (map[string]string, error) {
	values := map[string]string{}
	for _, j := range w.plan.Jobs {
		for _, name := range j.Secrets {
			if values[name] != "" {
				continue
			}
			value, err := w.Settings.Secret(w.run.Repo, name)
			if err != nil {
				return nil, err
			}
			values[name] = value
		}
	}
	return values, nil
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
		Client: w.repo.Checks(), Repo: w.run.Repo, SHA: w.run.SHA, Name: checkName(w.run), Mode: checks.ModePerHost, Run: w.run.ID,
		RunURL: w.runURL(), JobURL: func(j *flow.Job) string { return w.Settings.jobURL(w.run.ID, j.Key) },
		Buttons: true, Known: ids, Scan: w.scan, Logger: w.log,
	}), nil
}

func (w *work) runURL() string { return w.Settings.runURL(w.run.ID) }

// checkName is the aggregate's: only what a code event has set off may be
// what a branch's protection asks for.
func checkName(r *store.Run) string {
	if r.Class == ClassCode || r.Class == ClassMergeGroup {
		return "cromt"
	}
	return "cromt / manual"
}

func (w *work) scan(j *flow.Job) *checks.ScanOptions {
	if j.Source.Kind != flow.SourceOwn {
		return nil
	}
	return &checks.ScanOptions{Dir: j.Source.Dir}
}

// keepChecks stores which check runs there are, for the process that goes on.
func (w *work) keepChecks(ctx context.Context, r *checks.Reporter) {
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
