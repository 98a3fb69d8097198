package flow

import (
	"fmt"
	"slices"
	"time"
)

// phase is how far an invocation has come.
type phase int

const (
	phaseWaiting  phase = iota // for its before
	phaseRunning               // its jobs are queued or run
	phaseEnded                 // its jobs have ended, its after may run
	phaseComplete              // its after have ended, too
)

// invState is an invocation in a run.
type invState struct {
	*Invocation
	jobs    []*jobState
	active  bool // something that runs leads to it
	rooted  bool // the roots need it, whatever else does
	cleanup bool // a failure may start it, or only what it may start leads to it: fail-fast spares it
	phase   phase
	waits   int         // before, then jobs, then after, that it still waits for
	waiting []*invState // those that wait for it to be complete
	failed  *jobState   // the first job that did not pass, of its own or its after
	skipped string      // why it was skipped; "" when it was not
	clock   time.Time   // the first start, from which its jobs' time counts; zero: none yet
	fired   time.Time   // in a history: when that time was over last
	timer   *time.Timer // ends its jobs when it is
}

// passed reports whether those that wait for it may start.
func (is *invState) passed() bool { return is.failed == nil && is.skipped == "" }

// root marks a root and what it needs. In a history what they lead to comes
// before some of them.
func (r *runner) root(is *invState) {
	if is.rooted {
		return
	}
	is.rooted = true
	for _, b := range is.Before {
		r.root(r.invs[b])
	}
}

// activate makes an invocation, and what it needs before, part of the run.
// An after invocation becomes active only when it is due, and so does what
// only it needs.
func (r *runner) activate(is *invState, cleanup bool) {
	if is.active {
		return
	}
	is.active, is.cleanup = true, cleanup && !is.rooted
	r.left++
	for _, b := range is.Before {
		bs := r.invs[b]
		r.activate(bs, cleanup)
		if bs.phase != phaseComplete {
			bs.waiting = append(bs.waiting, is)
			is.waits++
		}
	}
	if is.waits == 0 {
		r.begin(is)
	}
}

// begin queues the jobs of an invocation whose before are all complete.
func (r *runner) begin(is *invState) {
	for _, b := range is.Before {
		bs := r.invs[b]
		if bs.passed() {
			continue
		}
		is.skipped = bs.skipped
		if bs.failed != nil {
			is.skipped = fmt.Sprintf("because %s %s", bs.failed.Key, pastTense(bs.failed.report.Conclusion))
		}
		break
	}
	is.phase = phaseRunning
	is.waits = len(is.jobs)
	for _, js := range is.inHistory() {
		if js.done {
			r.jobEnded(js)
		} else {
			r.conclude(js, *js.past.final)
		}
	}
	for _, js := range is.jobs {
		switch {
		case js.done:
		case js.resumed: // whatever has become of the run: it is on its host
			r.ready(js)
		case is.skipped != "":
			r.conclude(js, Result{Conclusion: Skipped, Cause: CauseDependency, Error: is.skipped})
		case r.stopped(is):
			r.conclude(js, Result{Conclusion: Cancelled, Cause: CauseCancelled, Error: stopText(r.stop)})
		case js.history().retryAt.After(time.Now()):
			r.again(js, time.Until(js.past.retryAt))
		default:
			r.ready(js)
		}
	}
	if is.phase == phaseRunning && !is.clock.IsZero() {
		r.armTimeout(is)
	}
}

// inHistory returns the jobs whose end the history tells of, in its order: the
// first that failed is the reason for what follows.
func (is *invState) inHistory() []*jobState {
	var ended []*jobState
	for _, js := range is.jobs {
		if js.done || js.history().final != nil {
			ended = append(ended, js)
		}
	}
	slices.SortStableFunc(ended, func(a, b *jobState) int { return a.history().ended - b.history().ended })
	return ended
}

// stopped reports whether nothing new of the invocation may begin.
func (r *runner) stopped(is *invState) bool {
	return r.halted() || r.stop != nil && !is.cleanup
}

// conclude is a job's last word.
func (r *runner) conclude(js *jobState, res Result) {
	if js.inv.IgnoreErrors && (res.Conclusion == Failure || res.Conclusion == TimedOut) {
		res.Conclusion = Neutral
	}
	stopTimer(js.timer)
	if js.lane != nil {
		js.lane.remove(js)
	}
	js.end(&res)
	if r.stopSeeking(js) {
		r.free(js)
		r.scoutEnded(js)
	}
	ev := Event{Kind: JobCompleted, Job: js.Job, Attempt: int(js.number), Result: &res}
	if js.number > 0 {
		ev.Host = js.host
	}
	r.emit(ev)
	r.jobEnded(js)
}

// jobEnded counts a job that is done for its invocation.
func (r *runner) jobEnded(js *jobState) {
	is := js.inv
	c := js.report.Conclusion
	if !c.Passed() && c != Skipped {
		if is.failed == nil {
			is.failed = js
		}
		if c != Cancelled && js.report.Kept == "" { // what failed in another run stops nothing in this one
			r.failFast(is)
		}
	}
	is.waits--
	if is.waits == 0 {
		r.invEnded(is)
	}
}

// failFast cancels what a failure is to stop, before anything else begins.
func (r *runner) failFast(is *invState) {
	stop := func(which func(*jobState) bool) {
		r.effects = slices.Insert(r.effects, 0, func() { r.cancelJobs(errFailFast, which) })
	}
	if is.FailFast {
		stop(func(js *jobState) bool { return js.inv == is })
	}
	if r.e.FailFast && r.stop == nil {
		r.stop = errFailFast
		stop(func(js *jobState) bool { return !js.inv.cleanup })
	}
}

// invEnded starts the after invocations that the outcome asks for.
func (r *runner) invEnded(is *invState) {
	is.phase = phaseEnded
	stopTimer(is.timer)
	ok := is.passed()
	var due []AfterEdge
	for _, edge := range is.After {
		want := edge.When == WhenAlways || (edge.When == WhenFailure) != ok
		if want && !r.halted() {
			due = append(due, edge)
		}
	}
	is.waits = len(due)
	for _, edge := range due {
		as := r.invs[edge.Invocation]
		as.waiting = append(as.waiting, is)
	}
	if len(due) == 0 {
		r.complete(is)
		return
	}
	for _, edge := range due {
		r.activate(r.invs[edge.Invocation], is.cleanup || edge.When != WhenSuccess)
	}
}

// complete lets those that wait for the invocation go on.
func (r *runner) complete(is *invState) {
	is.phase = phaseComplete
	r.left--
	waiting := is.waiting
	is.waiting = nil
	for _, ws := range waiting {
		if ws.phase == phaseEnded && is.Parent == ws.Invocation && ws.passed() {
			ws.failed, ws.skipped = is.failed, is.skipped // an after that does not pass is in the way of what waits for both
		}
		ws.waits--
		if ws.waits > 0 {
			continue
		}
		if ws.phase == phaseEnded {
			r.complete(ws)
		} else {
			r.begin(ws)
		}
	}
}
