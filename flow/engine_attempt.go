package flow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// jobState is a job in a run. There is one for each job from the beginning of
// the run to its end, so that what few have is behind a pointer.
type jobState struct {
	*Job
	inv      *invState
	lane     *lane
	host     string // URL of that of the last attempt; of a job on no pool always its own
	jobID    string
	index    int32                   // in the plan
	number   int32                   // of the current or last attempt
	infra    int32                   // attempts that failed before they started
	retries  int32                   // attempts that the project's retry has used
	resumed  bool                    // dispatched by a process that is gone, and not attached to yet
	sending  bool                    // its attempt is decided, and about to be sent
	over     bool                    // it was cancelled: it is not attempted again, whatever comes
	done     bool                    // its report says how
	doom     error                   // why it is cancelled as soon as it is sent, or attached to
	sent     time.Time               // when the attempt was sent; zero: not yet
	timer    *time.Timer             // until the next attempt
	cancel   context.CancelCauseFunc // of the attempt that runs
	report   *JobReport              // its attempts and its end; report has the rest
	past     *past                   // nil: the history has nothing of the job
	place    *Placement              // of the attempt at hand; nil: it is on no pool
	order    *placeOrder             // waits for a host; nil: it does not
	*placing                         // nil: it is on no pool
}

// end is the job's last word.
func (js *jobState) end(res *Result) {
	js.done = true
	rep := js.report
	rep.Conclusion, rep.Cause, rep.Error, rep.SHA = res.Conclusion, res.Cause, res.Error, res.Commit
	rep.Artifacts, rep.Kept = res.Artifacts, res.Kept
}

// attempt is the current or last one.
func (js *jobState) attempt() *AttemptReport { return &js.report.Attempts[len(js.report.Attempts)-1] }

// past is what a history has told of a job.
type past struct {
	retryAt time.Time // when it is attempted again
	final   *Result   // of the last attempt, which decides
	ended   int       // the event
	mark    Mark      // how far the attempt has come
}

// history is what there is of it, to read.
func (js *jobState) history() past {
	if js.past == nil {
		return past{}
	}
	return *js.past
}

// remember is the job's past, to write.
func (js *jobState) remember() *past {
	if js.past == nil {
		js.past = &past{}
	}
	return js.past
}

// begun has its turn: it gets its commit, then its attempt. In between it
// counts as queued.
func (r *runner) begun(js *jobState) {
	if r.detached {
		return
	}
	if js.done { // cancelled while it waited
		r.free(js)
		return
	}
	if js.Source.Kind != SourceGit {
		r.dispatch(js, "")
		return
	}
	c := r.commit(js.Source)
	switch {
	case c.sha != "":
		r.dispatch(js, c.sha)
	case js.resumed:
		r.dispatch(js, "")
	case c.busy:
		c.waiting = append(c.waiting, js)
	case c.asked:
		c.busy, c.scout = true, js
		r.dispatch(js, "")
	default:
		c.waiting = append(c.waiting, js)
		r.resolve(js.Source, c)
	}
}

// dispatch begins an attempt: it is journalled first, then sent.
func (r *runner) dispatch(js *jobState, commit string) {
	inputs, err := r.inputs(js)
	if err != nil {
		r.free(js)
		r.scoutEnded(js)
		r.conclude(js, Result{Conclusion: Failure, Cause: CauseDependency, Error: err.Error()})
		return
	}
	if js.Pool != "" && js.place == nil && !r.seek(js, commit) {
		return
	}
	if js.sending = !js.resumed; js.sending {
		js.number++
		js.jobID = attemptJobID(r.o.ID, js.Key, int(js.number))
		now := time.Now()
		if js.sent = (time.Time{}); js.past != nil {
			js.past.mark = Mark{}
		}
		js.report.Attempts = append(js.report.Attempts, AttemptReport{JobID: js.jobID, Host: js.host, Status: StatusQueued, QueuedAt: now})
		r.emit(Event{Time: now, Kind: JobQueued, Job: js.Job, Attempt: int(js.number), JobID: js.jobID, Host: js.host})
	}
	a := &Attempt{
		Run: r.o.ID, Job: js.Job, Host: js.host, Number: int(js.number), JobID: js.jobID, Resumed: js.resumed,
		SentAt: js.history().mark.SentAt, StartedAt: js.attempt().StartedAt,
		Commit: commit, Inputs: inputs, Timeout: js.inv.Timeout, QueueTimeout: js.inv.QueueTimeout,
	}
	if js.Source.Kind == SourceOwn {
		a.Commit = r.o.SHA
	}
	r.effects = append(r.effects, func() { r.exec(js, a) })
}

// exec runs an attempt in a worker.
func (r *runner) exec(js *jobState, a *Attempt) {
	js.sending = false
	if cause := js.doom; cause != nil && !a.Resumed { // cancelled between its decision and its dispatch
		js.doom = nil
		r.attemptEnded(js, verdict(Result{}, ErrNotStarted, cause), "", errors.Join(ErrNotStarted, cause))
		return
	}
	ctx, cancel := context.WithCancelCause(r.base)
	js.cancel, js.resumed = cancel, false
	if js.doom != nil {
		cancel(js.doom)
		js.doom = nil
	}
	mark := js.history().mark
	a.Sent = func(at time.Time) { r.post(func() { js.sent = at }) }
	a.Started = func(at time.Time) { r.post(func() { r.attemptStarted(js, at) }) }
	a.Resolved = func(sha string) { r.post(func() { r.resolved(js.Source, sha) }) }
	r.worker(func() func() {
		log := r.e.openLog(a, mark)
		defer log.close()
		a.Marked = log.marked
		res, err := r.e.Executor.Exec(ctx, *a, log)
		cause := context.Cause(ctx)
		cancel(nil)
		return func() {
			if r.detached && isLeft(err, cause) {
				r.attemptLeft(js, log.mark())
				return
			}
			if cause == nil && a.Resumed && res.Conclusion == Cancelled && js.inv.overdue() {
				cause = errTimeout // for which the process before this one has cancelled it
				r.timeout(js.inv)
			}
			r.attemptEnded(js, verdict(res, err, cause), log.tail.String(), errors.Join(err, cause))
		}
	})
}

// verdict turns what an Executor returned into an attempt's result. cause is
// why the engine cancelled the attempt, nil when it did not.
func verdict(res Result, err, cause error) Result {
	if err != nil {
		res = Result{
			Conclusion: Failure, Cause: CauseInfrastructure, Error: err.Error(),
			Commit: res.Commit, StartedAt: res.StartedAt, CompletedAt: res.CompletedAt,
		}
		res.NotStarted = errors.Is(err, ErrNotStarted)
		if !res.NotStarted {
			res.Lost = true
			if !strings.HasPrefix(res.Error, "lost") {
				res.Error = "lost: " + res.Error
			}
		}
	}
	var moved *movedError
	if cause != nil && !errors.Is(cause, ErrDetached) && (err != nil || res.Conclusion == Cancelled || res.Lost) {
		if errors.As(cause, &moved) {
			return moved.verdict(res)
		}
		why := stopText(cause)
		res.Conclusion, res.Cause = Cancelled, CauseCancelled
		if errors.Is(cause, errTimeout) {
			res.Conclusion, res.Cause = TimedOut, CauseTimeout
		}
		if res.Error != "" {
			why += "; " + res.Error
		}
		res.Error = why
	}
	if res.CompletedAt.IsZero() {
		res.CompletedAt = time.Now()
	}
	return res
}

func (r *runner) attemptStarted(js *jobState, at time.Time) {
	if js.done || js.cancel == nil {
		return
	}
	rep := js.attempt()
	if rep.Status != StatusQueued {
		return // it is in the history
	}
	rep.Status, rep.StartedAt = StatusInProgress, at
	r.emit(Event{Time: at, Kind: JobStarted, Job: js.Job, Attempt: int(js.number), JobID: js.jobID, Host: js.host})
	if js.inv.clock.IsZero() {
		js.inv.clock = at
		r.armTimeout(js.inv)
	}
}

// armTimeout ends an invocation's jobs when their time is over, which counts
// from the first start, whichever process saw it.
func (r *runner) armTimeout(is *invState) {
	if is.Timeout <= 0 {
		return
	}
	left := is.Timeout - max(0, time.Since(is.clock))
	if left <= 0 {
		left = AttachGrace
	}
	is.timer = time.AfterFunc(left, func() {
		r.post(func() { r.timeout(is) })
	})
}

// timeout ends what runs of an invocation, and what never got its turn.
func (r *runner) timeout(is *invState) {
	stopTimer(is.timer)
	if is.phase != phaseRunning || is.clock.IsZero() {
		return
	}
	if !is.overdue() { // the clock was set back, or has begun anew
		r.armTimeout(is)
		return
	}
	is.clock = time.Time{} // an attempt that is retried starts it anew
	for _, js := range is.jobs {
		if !js.done && !js.interrupt(errTimeout) {
			r.conclude(js, Result{Conclusion: TimedOut, Cause: CauseTimeout, Error: errTimeout.Error()})
		}
	}
}

// interrupt cancels what of a job is, or may be, on a host; false: nothing is.
func (js *jobState) interrupt(cause error) bool {
	switch {
	case js.cancel != nil:
		js.cancel(cause)
	case js.resumed || js.sending:
		if js.doom == nil {
			js.doom = cause
		}
	default:
		return false
	}
	return true
}

// attemptEnded takes an attempt's result and decides whether the job is
// attempted again. err is what the Executor or the engine ended it with.
func (r *runner) attemptEnded(js *jobState, res Result, log string, err error) {
	js.cancel = nil
	r.judgeHost(js, &res, err)
	rep := js.attempt()
	rep.complete(&res, log)
	if res.Commit != "" && js.Source.Kind == SourceGit {
		r.resolved(js.Source, res.Commit)
	}
	r.scoutEnded(js)
	delay, again := r.retry(js, res, errors.Is(err, ErrRefused) && !r.elsewhere(js))
	ev := Event{
		Time: res.CompletedAt, Kind: AttemptCompleted, Job: js.Job, Attempt: int(js.number), JobID: js.jobID, Host: js.host,
		Result: &res, Log: log,
	}
	if again {
		ev.RetryAt = time.Now().Add(delay)
	}
	r.emit(ev)
	if again {
		r.again(js, delay)
	} else {
		r.conclude(js, res)
	}
	r.free(js) // after fail-fast, which may cancel the next in its lane
}

// again makes a job ready after a delay.
func (r *runner) again(js *jobState, delay time.Duration) {
	js.timer = time.AfterFunc(delay, func() {
		r.post(func() {
			if !js.done {
				r.ready(js)
			}
		})
	})
}

// retry decides whether a job is attempted again, and after which delay. A
// scenario that has certainly not started is repeated by itself; all else as
// the project's retry says.
func (r *runner) retry(js *jobState, res Result, refused bool) (time.Duration, bool) {
	if js.over || r.stopped(js.inv) || refused || res.Conclusion == Cancelled {
		return 0, false
	}
	if res.unbegun() && js.infra < InfraRetries {
		d := InfraDelay
		for range js.infra {
			d *= InfraBackoff
		}
		js.infra++
		return jitter(d), true
	}
	p := js.inv.Retry
	kind := ""
	switch {
	case res.Lost:
		kind = "lost"
	case res.Conclusion == TimedOut:
		kind = "timed_out"
	case res.Conclusion == Failure && res.Cause == CauseTask:
		kind = "failure"
	}
	if int(js.retries) >= p.Limit || !slices.Contains(p.On, kind) {
		return 0, false
	}
	d := float64(p.Delay)
	for range js.retries {
		d = min(d*p.Backoff, float64(p.MaxDelay))
	}
	js.retries++
	return jitter(min(time.Duration(d), p.MaxDelay)), true
}

// unbegun reports whether a failure was not the scenario's, which has
// certainly not started.
func (r *Result) unbegun() bool {
	return r.Conclusion == Failure && r.Cause == CauseInfrastructure && r.NotStarted
}

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + RetryJitter*(2*rand.Float64()-1)))
}

// inputs finds the files that a job's ancestors have made for it.
func (r *runner) inputs(js *jobState) ([]InputFile, error) {
	var files []InputFile
	for _, in := range js.In {
		for i, from := range in.From {
			fs := r.jobs[from]
			k := slices.IndexFunc(fs.report.Artifacts, func(a Artifact) bool { return a.File == in.File })
			if k < 0 {
				if i == 0 {
					return nil, fmt.Errorf("artifact %s was not made by %s (%s)", in.File, from.Key, fs.report.Conclusion)
				}
				continue
			}
			a := fs.report.Artifacts[k]
			if i == 0 {
				files = append(files, InputFile{Path: in.File, Artifact: a})
			}
			files = append(files, InputFile{Path: from.Label + "/" + in.File, Artifact: a})
		}
	}
	return files, nil
}
