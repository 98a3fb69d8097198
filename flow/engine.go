package flow

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// Engine carries out plans. Its fields are set before the first Run and not
// changed after; one Engine may carry out several runs at once.
type Engine struct {
	Executor Executor
	// Journal, when not nil, has each batch of events before any of its
	// effects begin; starts and ends of jobs without any come up to StartDelay
	// and EndDelay later, in fewer batches. When it fails the run is cancelled; when its error wraps
	// ErrDetached, the run is let go of: another process has taken it over.
	Journal Reporter
	// Reporters are told of events as they come, each at its own pace: a run
	// does not wait for them until its end, and then for ReporterDrain.
	Reporters []Reporter
	// Resolve looks up the commit that a SourceGit stands for. Nil, or an
	// error: the first job on a host finds out, and its siblings wait for it.
	Resolve func(ctx context.Context, s Source) (string, error)
	// Output is where an attempt's log goes while it is written. Nil: nowhere.
	// A Writer that is an io.Closer is closed when the attempt has ended.
	Output func(j *Job, attempt int) io.Writer
	// LogOffset says, of an attempt that is taken up again, how many bytes of
	// its log the Output of earlier processes has kept: the Writer is given
	// what follows them. It is called after Output. Nil: none.
	LogOffset func(j *Job, attempt int) int64
	// Pools places the jobs of pools; several Engines may share it. Nil: each
	// run has its own, of the hosts that its plan's pools have.
	Pools *Pools
	// FailFast cancels the rest of a run when its first job has failed, but
	// for the after invocations that failures are meant to start.
	FailFast bool
}

// RunOptions says what to run.
type RunOptions struct {
	ID          string // [a-z0-9][a-z0-9-]{0,39}, see NewRunID
	Plan        *Plan
	Repo        string  // the run's own repository, for the report
	SHA         string  // its commit
	WorkingTree bool    // it runs as it lies on disk
	History     []Event // what a process that is gone had journalled of this run
	// Kept are jobs that do not run: their results are those of an earlier run
	// of the same plan, and their artifacts go to those that need them. See
	// [Plan.Keep]. With a History they are in it.
	Kept []Kept
}

// NewRunID returns an id for a new run: the time, so that ids sort, and 48
// random bits.
func NewRunID() string {
	var b [6]byte
	rand.Read(b[:])
	return time.Now().UTC().Format("060102-150405-") + hex.EncodeToString(b[:])
}

// The reasons for which the engine cancels an attempt.
var (
	errTimeout  = errors.New("the project's time is over")
	errFailFast = errors.New("another job failed and fail-fast is on")
	errJournal  = errors.New("the journal cannot be written")
)

// Run carries out the plan and returns its report when nothing of it runs any
// more. When ctx is done, every remote job is cancelled first; the cause of a
// deadline makes the run timed_out, any other cancelled. The error is about
// the engine itself (the journal); jobs that fail are in the report.
//
// With the cause [ErrDetached], Run lets go of what runs instead, journals what
// is decided, and returns within a second, without a report and with an error
// that wraps ErrDetached. Run with the journal's events as History goes on.
func (e *Engine) Run(ctx context.Context, o RunOptions) (*Run, error) {
	r := newRunner(e, o)
	defer r.openPools()()
	r.restore(o.History)
	if len(o.History) == 0 {
		r.emit(Event{Kind: RunStarted, Time: r.started, Commit: o.SHA, Message: o.Plan.Digest()})
		r.keep(o.Kept)
	}
	r.noteQuarantined()
	for _, inv := range o.Plan.Roots {
		r.root(r.invs[inv])
	}
	for _, inv := range o.Plan.Roots {
		r.activate(r.invs[inv], false)
	}
	switch { // before anything begins
	case isDetached(ctx):
		r.detach()
	case ctx.Err() != nil:
		r.cancelRun(context.Cause(ctx))
	}
	r.flush()
	r.loop(ctx)
	if r.detached {
		return nil, r.leave()
	}
	r.takeInbox() // what came at the last moment
	report := r.report()
	r.emit(Event{Kind: RunCompleted, Time: report.CompletedAt, Conclusion: report.Conclusion})
	r.flush()
	notes := r.close(ReporterDrain)
	report.Notes = append(report.Notes, notes...)
	return report, r.err
}

// runner is the state of one run. Its one goroutine, the caller of
// Engine.Run, owns all of it; workers and timers send functions to msgs.
type runner struct {
	e         *Engine
	o         RunOptions
	msgs      chan func()
	inbox     inbox
	closed    chan struct{} // closed when the loop has ended: late messages are dropped
	started   time.Time
	ended     time.Time // by the history, with the conclusion ending; zero: not yet
	ending    Conclusion
	invs      map[*Invocation]*invState
	jobs      map[*Job]*jobState
	reports   []JobReport // as the plan's jobs
	lanes     map[laneKey]*lane
	commits   map[Source]*commitState
	pools     *Pools // nil: the plan needs none
	poolNames []string
	left      int // invocations that are active and not complete
	flying    int // attempts and look-ups whose goroutines have not ended
	stop      error
	err       error
	detached  bool
	base      context.Context //nolint:containedctx // of every attempt: done when the run is let go of
	letGo     context.CancelCauseFunc
	events    []Event     // of the batch at hand
	unwritten []Event     // not in the journal yet: starts and ends of jobs
	untold    []Event     // reporters do not have them yet
	late      *time.Timer // until they are written; nil: it does not run
	lateIn    time.Duration
	effects   []func() // to begin once the batch is journalled
	outs      []*outbox
	notes     []string
}

func newRunner(e *Engine, o RunOptions) *runner {
	r := &runner{
		e: e, o: o,
		msgs:    make(chan func(), 256),
		inbox:   inbox{wake: make(chan struct{}, 1)},
		closed:  make(chan struct{}),
		started: time.Now(),
		invs:    make(map[*Invocation]*invState, len(o.Plan.Invocations)),
		jobs:    make(map[*Job]*jobState, len(o.Plan.Jobs)),
		lanes:   make(map[laneKey]*lane),
		commits: make(map[Source]*commitState),
		reports: make([]JobReport, len(o.Plan.Jobs)),
	}
	states := make([]jobState, len(o.Plan.Jobs))
	for i, j := range o.Plan.Jobs {
		js := &states[i]
		*js = jobState{Job: j, index: int32(i), host: j.Host, report: &r.reports[i]} //nolint:gosec // at most MaxJobs
		if j.Pool != "" {
			js.placing = &placing{}
		}
		r.jobs[j] = js
	}
	for _, inv := range o.Plan.Invocations {
		is := &invState{Invocation: inv, jobs: make([]*jobState, len(inv.Jobs))}
		r.invs[inv] = is
		for i, j := range inv.Jobs {
			is.jobs[i] = r.jobs[j]
			is.jobs[i].inv = is
		}
	}
	base, letGo := context.WithCancelCause(context.Background())
	r.base, r.letGo = context.WithValue(base, baseKey{}, base), letGo
	for _, rep := range e.Reporters {
		r.outs = append(r.outs, newOutbox(rep))
	}
	return r
}

// loop takes messages until every active invocation is complete and every
// worker has ended. Whatever has come meanwhile is handled as one batch, so
// that what it leads to shares one commit of the journal.
func (r *runner) loop(ctx context.Context) {
	done := ctx.Done()
	for r.left > 0 && !r.detached || r.flying > 0 {
		select {
		case f := <-r.msgs:
			f()
		case <-r.inbox.wake:
			r.takeInbox()
		case <-done:
			done = nil
			if isDetached(ctx) {
				r.detach()
			} else {
				r.cancelRun(context.Cause(ctx))
			}
		}
		for more := true; more; {
			select {
			case f := <-r.msgs:
				f()
			default:
				more = false
			}
		}
		r.flush()
	}
	close(r.closed)
	r.letGo(nil)
	r.stopTimers()
}

func (r *runner) stopTimers() {
	stopTimer(r.late)
	for _, is := range r.invs {
		stopTimer(is.timer)
	}
	for _, js := range r.jobs {
		stopTimer(js.timer)
	}
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// post has f run on the run's goroutine; after the run's end it is dropped.
func (r *runner) post(f func()) {
	select {
	case r.msgs <- f:
	case <-r.closed:
	}
}

// worker runs f in a goroutine that the run waits for; what f returns is run
// on the run's goroutine.
func (r *runner) worker(f func() func()) {
	r.flying++
	go func() {
		then := f()
		r.post(func() { r.flying--; then() })
	}()
}

func (r *runner) emit(ev Event) {
	ev.Run = r.o.ID
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	r.events = append(r.events, ev)
}

// flush journals the batch of events, hands it to the reporters, and begins
// the effects that it decided on.
func (r *runner) flush() {
	for len(r.events) > 0 || len(r.effects) > 0 {
		events, effects := r.events, r.effects
		r.events, r.effects = nil, nil
		r.untold = append(r.untold, events...)
		if r.record(events, len(effects) > 0) {
			r.tell()
		}
		if r.detached {
			continue // the next process comes to the same effects
		}
		for _, f := range effects {
			f()
		}
	}
}

// tell hands on what the journal has. Nobody is told of what it does not take
// of a run that is let go of: the next process comes to the same.
func (r *runner) tell() {
	if !r.detached || r.err == nil {
		for _, b := range r.outs {
			b.add(r.untold)
		}
	}
	r.untold = nil
}

// record journals the batch. What decides nothing, and a resumed run is told
// again by the host, waits for the next batch: the start of a job StartDelay at
// most, its end EndDelay. That saves most short jobs a write to disk each. It
// reports whether the batch may be told: ends wait for the journal.
func (r *runner) record(events []Event, effects bool) bool {
	if r.e.Journal == nil {
		return true
	}
	r.unwritten = append(r.unwritten, events...)
	delay := StartDelay
	for i := range r.unwritten {
		switch r.unwritten[i].Kind {
		case JobStarted:
		case AttemptCompleted, JobCompleted:
			delay = EndDelay
		default:
			effects = true
		}
	}
	switch {
	case effects:
		r.write()
		return true
	case len(r.unwritten) > 0 && (r.late == nil || delay < r.lateIn):
		stopTimer(r.late)
		r.late, r.lateIn = time.AfterFunc(delay, func() {
			r.post(func() { r.write(); r.tell() })
		}), delay
	}
	return delay == StartDelay
}

// write journals what is not in the journal yet. When it cannot, the run is
// cancelled.
func (r *runner) write() {
	stopTimer(r.late)
	events := r.unwritten
	r.late, r.unwritten = nil, nil
	if len(events) == 0 || r.err != nil {
		return
	}
	if err := r.e.Journal.Report(context.Background(), events); err != nil {
		r.err = fmt.Errorf("run journal: %w", err)
		if errors.Is(err, ErrDetached) {
			r.detach()
			return
		}
		r.cancelRun(errJournal)
	}
}

// leave ends a run that is let go of, and returns what Run does.
func (r *runner) leave() error {
	r.write()
	r.tell()
	r.close(DetachDrain)
	if r.err != nil {
		return fmt.Errorf("%w: %w", ErrDetached, r.err)
	}
	return ErrDetached
}

func (r *runner) close(limit time.Duration) []string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var notes []string
	for _, b := range r.outs {
		if err := b.close(ctx); err != nil {
			notes = append(notes, "report incomplete: "+err.Error())
		}
	}
	return notes
}

// cancelRun ends everything that runs and lets nothing new begin.
func (r *runner) cancelRun(cause error) {
	if r.halted() || r.detached {
		return
	}
	r.stop = cause
	r.cancelJobs(cause, func(*jobState) bool { return true })
}

// halted reports whether the whole run is being ended, after invocations and all.
func (r *runner) halted() bool { return r.stop != nil && !errors.Is(r.stop, errFailFast) }

// cancelJobs cancels jobs of invocations that have begun. What is queued
// concludes at once, what runs does when its Executor returns; an invocation
// that still waits for its before finds out when it begins.
func (r *runner) cancelJobs(cause error, which func(*jobState) bool) {
	for _, inv := range r.o.Plan.Invocations {
		is := r.invs[inv]
		if is.phase != phaseRunning {
			continue
		}
		for _, js := range is.jobs {
			if js.done || !which(js) {
				continue
			}
			js.over = true
			if js.interrupt(cause) {
				continue
			}
			r.conclude(js, Result{Conclusion: Cancelled, Cause: CauseCancelled, Error: stopText(cause)})
		}
	}
}

// stopText says for people why something was cancelled.
func stopText(cause error) string {
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		return "the run's time is over"
	case cause == nil, errors.Is(cause, context.Canceled):
		return "the run was cancelled"
	}
	return cause.Error()
}
