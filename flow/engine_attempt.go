package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// jobState is a job in a run.
type jobState struct {
	*Job
	inv      *invState
	index    int // in the plan
	lane     *lane
	number   int // of the current or last attempt
	jobID    string
	infra    int                     // attempts that failed before they started
	retries  int                     // attempts that the project's retry has used
	resumed  bool                    // dispatched by a process that is gone
	retryAt  time.Time               // in a history: when it is attempted again
	timer    *time.Timer             // until the next attempt
	cancel   context.CancelCauseFunc // of the attempt that runs
	done     bool
	result   Result
	attempts []AttemptReport
}

// lane is what of a run happens one at a time: the jobs of one queue-id, or
// those of one queue on one host.
type lane struct {
	busy    bool
	waiting []*jobState // those that are ready
}

// next takes the waiting job that is listed first in the file.
func (l *lane) next() *jobState {
	if l.busy || len(l.waiting) == 0 {
		return nil
	}
	js := slices.MinFunc(l.waiting, inFileOrder)
	l.remove(js)
	l.busy = true
	return js
}

func (l *lane) remove(js *jobState) {
	if i := slices.Index(l.waiting, js); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

func inFileOrder(a, b *jobState) int {
	pa, pb := a.inv.Project.Pos, b.inv.Project.Pos
	if pa.Line != pb.Line {
		return pa.Line - pb.Line
	}
	if pa.Col != pb.Col {
		return pa.Col - pb.Col
	}
	return a.index - b.index
}

// ready has a job attempted as soon as its lane is free.
func (r *runner) ready(js *jobState) {
	if js.lane == nil {
		key := "host\x00" + js.Host + "\x00" + js.Queue
		if js.QueueID != "" {
			key = "queue-id\x00" + js.QueueID
		}
		js.lane = r.lanes[key]
		if js.lane == nil {
			js.lane = &lane{}
			r.lanes[key] = js.lane
		}
	}
	js.lane.waiting = append(js.lane.waiting, js)
	l := js.lane
	r.effects = append(r.effects, func() { r.drive(l) }) // once all that become ready together are known
}

// drive starts the next job of a lane, if the lane is free.
func (r *runner) drive(l *lane) {
	if js := l.next(); js != nil {
		r.begun(js)
	}
}

// free ends a job's turn in its lane.
func (r *runner) free(js *jobState) {
	l := js.lane
	l.busy = false
	r.effects = append(r.effects, func() { r.drive(l) })
}

// begun has its turn: it gets its commit, then its attempt. In between it
// counts as queued.
func (r *runner) begun(js *jobState) {
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
	resumed := js.resumed
	js.resumed = false
	if !resumed {
		js.number++
		js.jobID = attemptJobID(r.o.ID, js.Key, js.number)
		now := time.Now()
		js.attempts = append(js.attempts, AttemptReport{JobID: js.jobID, Status: StatusQueued, QueuedAt: now})
		r.emit(Event{Time: now, Kind: JobQueued, Job: js.Job, Attempt: js.number, JobID: js.jobID})
	}
	a := Attempt{
		Run: r.o.ID, Job: js.Job, Number: js.number, JobID: js.jobID, Resumed: resumed,
		Commit: commit, Inputs: inputs, Timeout: js.inv.Timeout, QueueTimeout: js.inv.QueueTimeout,
	}
	if js.Source.Kind == SourceOwn {
		a.Commit = r.o.SHA
	}
	r.effects = append(r.effects, func() { r.exec(js, a) })
}

// exec runs an attempt in a worker.
func (r *runner) exec(js *jobState, a Attempt) {
	if js.done { // cancelled between its decision and its dispatch
		r.free(js)
		r.scoutEnded(js)
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	js.cancel = cancel
	a.Started = func(at time.Time) { r.post(func() { r.attemptStarted(js, at) }) }
	a.Resolved = func(sha string) { r.post(func() { r.resolved(js.Source, sha) }) }
	tail := &tailWriter{limit: LogTailLimit}
	r.worker(func() func() {
		log := io.Writer(tail)
		if r.e.Output != nil {
			if w := r.e.Output(js.Job, a.Number); w != nil {
				log = io.MultiWriter(tail, w)
				if c, ok := w.(io.Closer); ok {
					defer c.Close()
				}
			}
		}
		res, err := r.e.Executor.Exec(ctx, a, log)
		cause := context.Cause(ctx)
		cancel(nil)
		return func() { r.attemptEnded(js, verdict(res, err, cause), tail.String(), errors.Is(err, ErrRefused)) }
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
	if cause != nil && (err != nil || res.Conclusion == Cancelled || res.Lost) {
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
	rep := &js.attempts[len(js.attempts)-1]
	if rep.Status == StatusQueued {
		rep.Status, rep.StartedAt = StatusInProgress, at
		r.emit(Event{Time: at, Kind: JobStarted, Job: js.Job, Attempt: js.number, JobID: js.jobID})
	}
	r.armTimeout(js.inv, time.Since(rep.StartedAt))
}

// armTimeout starts the clock of an invocation's jobs at the first start,
// which a resumed run finds in its history.
func (r *runner) armTimeout(is *invState, since time.Duration) {
	if is.timer != nil || is.Timeout <= 0 {
		return
	}
	is.timer = time.AfterFunc(is.Timeout-min(max(since, 0), is.Timeout), func() {
		r.post(func() {
			is.timer = nil // an attempt that is retried starts the clock anew
			r.timeout(is)
		})
	})
}

// timeout ends what runs of an invocation, and what never got its turn.
func (r *runner) timeout(is *invState) {
	if is.phase != phaseRunning {
		return
	}
	for _, js := range is.jobs {
		switch {
		case js.done:
		case js.cancel != nil:
			js.cancel(errTimeout)
		default:
			r.conclude(js, Result{Conclusion: TimedOut, Cause: CauseTimeout, Error: errTimeout.Error()})
		}
	}
}

// attemptEnded takes an attempt's result and decides whether the job is
// attempted again.
func (r *runner) attemptEnded(js *jobState, res Result, log string, refused bool) {
	js.cancel = nil
	rep := &js.attempts[len(js.attempts)-1]
	if rep.StartedAt.IsZero() || !res.StartedAt.IsZero() && res.StartedAt.Before(rep.StartedAt) {
		rep.StartedAt = res.StartedAt
	}
	rep.complete(&res, log)
	if res.Commit != "" && js.Source.Kind == SourceGit {
		r.resolved(js.Source, res.Commit)
	}
	r.scoutEnded(js)
	delay, again := r.retry(js, res, refused)
	ev := Event{Time: res.CompletedAt, Kind: AttemptCompleted, Job: js.Job, Attempt: js.number, JobID: js.jobID, Result: &res, Log: log}
	if again {
		ev.RetryAt = time.Now().Add(delay)
	}
	r.emit(ev)
	r.free(js)
	if again {
		r.again(js, delay)
		return
	}
	r.conclude(js, res)
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
	if r.stopped(js.inv) || refused || res.Conclusion == Cancelled {
		return 0, false
	}
	if res.Conclusion == Failure && res.Cause == CauseInfrastructure && res.NotStarted && js.infra < InfraRetries {
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
	if js.retries >= p.Limit || !slices.Contains(p.On, kind) {
		return 0, false
	}
	d := float64(p.Delay)
	for range js.retries {
		d = min(d*p.Backoff, float64(p.MaxDelay))
	}
	js.retries++
	return jitter(min(time.Duration(d), p.MaxDelay)), true
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
			k := slices.IndexFunc(fs.result.Artifacts, func(a Artifact) bool { return a.File == in.File })
			if k < 0 {
				if i == 0 {
					return nil, fmt.Errorf("artifact %s was not made by %s (%s)", in.File, from.Key, fs.result.Conclusion)
				}
				continue
			}
			a := fs.result.Artifacts[k]
			if i == 0 {
				files = append(files, InputFile{Path: in.File, Artifact: a})
			}
			files = append(files, InputFile{Path: from.Label + "/" + in.File, Artifact: a})
		}
	}
	return files, nil
}
