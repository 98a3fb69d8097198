package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// rules watches the events of a run, in the order in which they were
// journalled, and says what must not be. It holds whatever the times are.
type rules struct {
	plan    *flow.Plan
	slots   map[string]int         // of the hosts of pools
	stopped func(t time.Time) bool // the run had been cancelled
	halt    flow.Conclusion        // of the run, if it was
	jobs    map[*flow.Job]*ruled
	wrong   []string
}

// ruled is what is known of a job.
type ruled struct {
	attempt       int
	runs          bool
	host          string
	result        *flow.Result // of the last attempt
	due           time.Time    // for the next one
	infra, budget int
	end           *flow.Result
}

func (r *rules) fail(ev *flow.Event, format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf("%s %s/%d: %s", ev.Kind, ev.Job.Key, ev.Attempt, fmt.Sprintf(format, args...)))
}

func (r *rules) watch(events []flow.Event) {
	r.jobs = map[*flow.Job]*ruled{}
	for _, j := range r.plan.Jobs {
		r.jobs[j] = &ruled{}
	}
	for i := range events {
		ev := &events[i]
		if ev.Job == nil {
			if i > 0 && events[i-1].Kind == flow.RunCompleted && (ev.Kind != flow.RunCompleted || ev.Conclusion != events[i-1].Conclusion) {
				r.wrong = append(r.wrong, "the run goes on after its end") // which is said again if nobody knows that it was said
			}
			continue
		}
		j := r.jobs[ev.Job]
		if j.end != nil {
			r.fail(ev, "after its end")
		}
		switch ev.Kind {
		case flow.JobQueued:
			r.queued(ev, j)
		case flow.JobStarted:
			if !j.runs || ev.Attempt != j.attempt {
				r.fail(ev, "does not run")
			}
		case flow.AttemptCompleted:
			r.completed(ev, j)
		case flow.JobCompleted:
			r.ended(ev, j)
		}
	}
}

// queued: what it needs has ended as it wants, and there is room.
func (r *rules) queued(ev *flow.Event, j *ruled) {
	switch {
	case j.runs:
		r.fail(ev, "the last attempt has not ended")
	case ev.Attempt != j.attempt+1:
		r.fail(ev, "follows %d", j.attempt)
	case j.attempt > 0 && j.due.IsZero():
		r.fail(ev, "the last attempt was the last")
	case ev.Time.Before(j.due):
		r.fail(ev, "%v early", j.due.Sub(ev.Time))
	}
	if r.stopped(ev.Time.Add(-1)) {
		r.fail(ev, "after the run was cancelled")
	}
	inv := ev.Job.Invocation
	for _, b := range inv.Before {
		if complete, passed := r.complete(b); !complete || !passed {
			r.fail(ev, "%s: complete %v, passed %v", b.Key, complete, passed)
		}
	}
	if inv.Parent != nil && !r.isDue(inv) {
		r.fail(ev, "%s has not ended so that it is due", inv.Parent.Key)
	}
	onHost := 1
	for o, rj := range r.jobs {
		if o == ev.Job || !rj.runs {
			continue
		}
		if sameLane(o, ev.Job) {
			r.fail(ev, "%s has the lane", o.Key)
		}
		if o.Pool != "" && rj.host == ev.Host {
			onHost++
		}
	}
	if ev.Job.Pool != "" && onHost > r.slots[ev.Host] {
		r.fail(ev, "%d jobs on %d slots of %s", onHost, r.slots[ev.Host], ev.Host)
	}
	j.attempt, j.runs, j.host, j.due = ev.Attempt, true, ev.Host, time.Time{}
}

// isDue: the invocation that it is an after of has ended as its when says.
func (r *rules) isDue(inv *flow.Invocation) bool {
	ended, passed := r.jobsEnded(inv.Parent)
	for _, e := range inv.Parent.After {
		if e.Invocation == inv {
			return ended && (e.When == flow.WhenAlways || (e.When == flow.WhenSuccess) == passed)
		}
	}
	return false
}

func (r *rules) jobsEnded(inv *flow.Invocation) (ended, passed bool) {
	passed = true
	for _, j := range inv.Jobs {
		end := r.jobs[j].end
		if end == nil {
			return false, false
		}
		passed = passed && end.Conclusion.Passed()
	}
	return true, passed
}

func (r *rules) complete(inv *flow.Invocation) (complete, passed bool) {
	complete, passed = r.jobsEnded(inv)
	for _, e := range inv.After {
		if complete && r.isDue(e.Invocation) {
			c, p := r.complete(e.Invocation)
			complete, passed = complete && c, passed && p
		}
	}
	return complete, passed
}

// completed: another attempt is what the project asks for.
func (r *rules) completed(ev *flow.Event, j *ruled) {
	if !j.runs || ev.Attempt != j.attempt {
		r.fail(ev, "does not run")
	}
	j.runs, j.result, j.due = false, ev.Result, ev.RetryAt
	if ev.RetryAt.IsZero() {
		return
	}
	res, p, kind := ev.Result, ev.Job.Invocation.Retry, ""
	switch {
	case res.Lost:
		kind = "lost"
	case res.Conclusion == flow.TimedOut:
		kind = "timed_out"
	case res.Cause == flow.CauseTask:
		kind = "failure"
	}
	switch {
	case res.Conclusion.Passed(), res.Conclusion == flow.Cancelled:
		r.fail(ev, "a %s attempt is repeated", res.Conclusion)
	case kind == "" && res.NotStarted && j.infra < 3:
		j.infra++
	case slices.Contains(p.On, kind) && j.budget < p.Limit:
		j.budget++
	default:
		r.fail(ev, "repeated after %d and %d repetitions: %q %+v", j.infra, j.budget, kind, res)
	}
}

// ended: its end is that of its last attempt, or there is a reason for it.
func (r *rules) ended(ev *flow.Event, j *ruled) {
	res, inv := ev.Result, ev.Job.Invocation
	j.end = res
	if j.runs {
		r.fail(ev, "an attempt runs")
	}
	c := res.Conclusion
	if c == flow.Neutral {
		if !inv.IgnoreErrors {
			r.fail(ev, "neutral")
		}
		c = flow.Failure
	} else if inv.IgnoreErrors && (c == flow.Failure || c == flow.TimedOut) {
		r.fail(ev, "errors are not ignored")
	}
	switch {
	case j.attempt > 0 && j.due.IsZero() && j.result != nil: // decided by the attempt
		if j.result.Conclusion != c && (c != flow.Failure || j.result.Conclusion != flow.TimedOut) {
			r.fail(ev, "%s, but its last attempt %s", c, j.result.Conclusion)
		}
	case c == flow.Success:
		r.fail(ev, "success of nothing")
	case c == flow.Skipped && j.attempt > 0:
		r.fail(ev, "skipped, yet it ran")
	case c == flow.Skipped && !r.stopped(ev.Time):
		for _, b := range inv.Before {
			if complete, passed := r.complete(b); complete && !passed {
				return
			}
		}
		r.fail(ev, "skipped for nothing")
	}
}

// check looks at the whole run when it is over.
func (r *rules) check(run *flow.Run) string {
	worst := flow.Success
	for i, j := range r.plan.Jobs {
		rep, st := run.Jobs[i], r.jobs[j]
		c := flow.Skipped // it was not due
		if st.end != nil {
			c = st.end.Conclusion
		}
		if rep.Conclusion != c || rep.Status != flow.StatusCompleted {
			r.wrong = append(r.wrong, fmt.Sprintf("%s is reported as %s, and was %s", j.Key, rep.Conclusion, c))
		}
		if st.runs || len(rep.Attempts) != st.attempt {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: %d attempts reported, %d in the journal, one runs: %v", j.Key, len(rep.Attempts), st.attempt, st.runs))
		}
		for _, a := range rep.Attempts {
			if a.Status != flow.StatusCompleted {
				r.wrong = append(r.wrong, j.Key+" has an attempt without end")
			}
		}
		rank := []flow.Conclusion{flow.Success, flow.Cancelled, flow.TimedOut, flow.Failure}
		if slices.Index(rank, c) > slices.Index(rank, worst) {
			worst = c
		}
	}
	for _, inv := range r.plan.Invocations { // what was begun is complete
		if ended, _ := r.jobsEnded(inv); !ended && slices.ContainsFunc(inv.Jobs, func(j *flow.Job) bool { return r.jobs[j].end != nil }) {
			r.wrong = append(r.wrong, inv.Key+" is half done")
		}
		if inv.Parent == nil || r.stopped(run.CompletedAt) {
			continue
		}
		if ended, _ := r.jobsEnded(inv); ended != r.isDue(inv) {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: due %v, ended %v", inv.Key, !ended, ended))
		}
	}
	if r.stopped(run.CompletedAt.Add(-1)) || r.stopped(run.CompletedAt) && run.Conclusion == r.halt {
		worst = r.halt // both is right when it ended at that very instant
	}
	if run.Conclusion != worst {
		r.wrong = append(r.wrong, fmt.Sprintf("the run is %s and not %s", run.Conclusion, worst))
	}
	return strings.Join(r.wrong, "\n")
}
