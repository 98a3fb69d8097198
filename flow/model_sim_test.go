package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// model is what a run should do by the rules of jobs.yaml: plain and slow, one
// instant after the other, and nothing of it is the engine's. Times count from
// the run's start.
type model struct {
	now      time.Duration
	plan     *flow.Plan
	step     func(j *flow.Job, attempt int) flowtest.Step
	learnt   func(j *flow.Job, attempt int, at time.Duration) time.Duration // when the engine has known of an end at that time
	again    func(j *flow.Job, attempt int) time.Duration                   // when the engine has attempted it again: its delays are random
	failFast bool
	cancelAt time.Duration   // below 0: it is not
	halt     flow.Conclusion // of that

	invs             []*modelInv
	jobs             []*modelJob   // in the plan's order
	halted, stopping bool          // the run was cancelled; or a failure has stopped it
	alarm            time.Duration // when the first project's time was over
	failures         []*modelJob   // that have not stopped anything yet
	wrong            string        // a delay that is not what the project asks for
}

type modelInv struct {
	*flow.Invocation
	jobs                   []*modelJob
	active, cleanup        bool
	begun, ended, complete bool
	failed, skipped        bool
	due                    []*modelInv
	deadline               time.Duration // 0: nothing has started
}

type modelJob struct {
	*flow.Job
	inv            *modelInv
	ready          bool          // wants its turn
	retryAt        time.Duration // 0: it does not wait for that
	runs           bool
	over           bool // is not attempted again, whatever comes
	done           bool
	infra, retries int
	start, end     time.Duration   // of the attempt that runs: as it will be
	told           bool            // that it has started
	cut            flow.Conclusion // why it was interrupted: TimedOut or Cancelled
	how            flowtest.Step
	conclusion     flow.Conclusion
	cause          flow.Cause
	attempts       []string
	queued         time.Duration
}

func newModel(p *flow.Plan) *model {
	m := &model{plan: p, cancelAt: -1}
	for _, inv := range p.Invocations {
		mi := &modelInv{Invocation: inv}
		for _, j := range inv.Jobs {
			mj := &modelJob{Job: j, inv: mi}
			mi.jobs, m.jobs = append(mi.jobs, mj), append(m.jobs, mj)
		}
		m.invs = append(m.invs, mi)
	}
	return m
}

func (m *model) inv(inv *flow.Invocation) *modelInv {
	return m.invs[slices.IndexFunc(m.invs, func(i *modelInv) bool { return i.Invocation == inv })]
}

// run goes from instant to instant until nothing is left to come.
func (m *model) run() {
	for _, root := range m.plan.Roots {
		m.activate(m.inv(root), false)
	}
	for {
		m.settle()
		next := time.Duration(-1)
		for _, at := range m.times() {
			if next < 0 || at < next {
				next = at
			}
		}
		left := slices.ContainsFunc(m.invs, func(i *modelInv) bool { return i.active && !i.complete })
		if !left || next < 0 {
			return
		}
		m.now = next
		m.happen()
	}
}

// times are those at which something will happen.
func (m *model) times() []time.Duration {
	var ts []time.Duration
	if m.cancelAt >= 0 && !m.halted {
		ts = append(ts, m.cancelAt)
	}
	for _, j := range m.jobs {
		if j.runs && !j.told && j.start < j.end {
			ts = append(ts, j.start)
		}
		if j.runs {
			ts = append(ts, j.end)
		}
		if !j.done && j.retryAt > 0 {
			ts = append(ts, j.retryAt)
		}
	}
	for _, i := range m.invs {
		if i.begun && !i.ended && i.deadline > 0 {
			ts = append(ts, i.deadline)
		}
	}
	return ts
}

func (m *model) activate(i *modelInv, cleanup bool) {
	if i.active {
		return
	}
	i.active, i.cleanup = true, cleanup
	for _, b := range i.Before {
		m.activate(m.inv(b), cleanup)
	}
}

// settle draws all conclusions of the instant, then gives lanes to who is
// listed first in the file of those that are ready.
func (m *model) settle() {
	for more := true; more; {
		more = m.fail()
		for _, i := range m.invs {
			more = m.advance(i) || more
		}
	}
	order := slices.Clone(m.jobs)
	slices.SortStableFunc(order, func(a, b *modelJob) int { return a.inv.Project.Pos.Line - b.inv.Project.Pos.Line })
	for _, j := range order {
		if j.ready && !slices.ContainsFunc(m.jobs, func(o *modelJob) bool { return o.runs && sameLane(o.Job, j.Job) }) {
			m.begin(j)
		}
	}
}

// fail has failures stop what they are to stop.
func (m *model) fail() bool {
	failures := m.failures
	m.failures = nil
	for _, j := range failures {
		if j.inv.FailFast {
			m.cancel(func(o *modelJob) bool { return o.inv == j.inv })
		}
		if m.failFast && !m.stopping && !m.halted {
			m.stopping = true
			m.cancel(func(o *modelJob) bool { return !o.inv.cleanup })
		}
	}
	return len(failures) > 0
}

// sameLane: the jobs of a queue-id go one at a time, and those of one queue on
// one host.
func sameLane(a, b *flow.Job) bool {
	if a.QueueID != "" || b.QueueID != "" {
		return a.QueueID == b.QueueID
	}
	return a == b || a.Pool == "" && b.Pool == "" && a.Host == b.Host && a.Queue == b.Queue
}

func (m *model) advance(i *modelInv) bool {
	switch {
	case i.active && !i.begun && m.allComplete(i.Before):
		i.begun = true
		for _, b := range i.Before {
			i.skipped = i.skipped || m.inv(b).failed || m.inv(b).skipped
		}
		for _, j := range i.jobs {
			switch {
			case i.skipped:
				m.conclude(j, flow.Skipped, flow.CauseDependency)
			case m.halted || m.stopping && !i.cleanup:
				m.conclude(j, flow.Cancelled, flow.CauseCancelled)
			default:
				j.ready = true
			}
		}
	case i.begun && !i.ended && !slices.ContainsFunc(i.jobs, func(j *modelJob) bool { return !j.done }):
		i.ended = true
		for _, e := range i.After {
			ok := !i.failed && !i.skipped
			if (e.When == flow.WhenAlways || (e.When == flow.WhenSuccess) == ok) && !m.halted {
				i.due = append(i.due, m.inv(e.Invocation))
				m.activate(m.inv(e.Invocation), i.cleanup || e.When != flow.WhenSuccess)
			}
		}
	case i.ended && !i.complete && !slices.ContainsFunc(i.due, func(a *modelInv) bool { return !a.complete }):
		i.complete = true
		for _, a := range i.due {
			i.failed = i.failed || a.failed || a.skipped
		}
	default:
		return false
	}
	return true
}

func (m *model) allComplete(invs []*flow.Invocation) bool {
	return !slices.ContainsFunc(invs, func(b *flow.Invocation) bool { return !m.inv(b).complete })
}

func (m *model) begin(j *modelJob) {
	j.ready, j.runs, j.told, j.cut = false, true, false, ""
	j.how = m.step(j.Job, len(j.attempts)+1)
	j.queued, j.start = m.now, m.now+j.how.Queue
	j.end = j.start + j.how.Run
}

// happen has all that is due at the instant happen.
func (m *model) happen() {
	for _, j := range m.jobs {
		if j.runs && !j.told && j.start == m.now && j.start < j.end {
			j.told = true
			if j.inv.deadline == 0 {
				j.inv.deadline = m.now + j.inv.Timeout
			}
		}
		if !j.done && j.retryAt == m.now && j.retryAt > 0 {
			j.ready, j.retryAt = true, 0
		}
	}
	for _, j := range m.jobs {
		if j.runs && j.end == m.now {
			m.ends(j)
		}
	}
	for _, i := range m.invs {
		if i.begun && !i.ended && i.deadline == m.now && i.deadline > 0 {
			i.deadline = 0 // the next start counts anew
			if m.alarm == 0 {
				m.alarm = m.now
			}
			for _, j := range i.jobs {
				m.interrupt(j, flow.TimedOut, flow.CauseTimeout)
			}
		}
	}
	if m.cancelAt == m.now {
		m.halted = true
		m.cancel(func(*modelJob) bool { return true })
	}
}

func (m *model) cancel(which func(*modelJob) bool) {
	for _, j := range m.jobs {
		if j.inv.begun && which(j) {
			j.over = true
			m.interrupt(j, flow.Cancelled, flow.CauseCancelled)
		}
	}
}

// interrupt ends what runs, as soon as the host obeys; what does not run ends
// at once.
func (m *model) interrupt(j *modelJob, c flow.Conclusion, cause flow.Cause) {
	switch {
	case j.done:
	case !j.runs:
		m.conclude(j, c, cause)
	case j.cut == "":
		j.cut = c
		if !j.how.Deaf {
			j.how.Err, j.how.Result = nil, flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled}
			j.end = m.now + j.how.Linger
			if !j.told {
				j.start = j.end // never
			}
		}
	}
}

// ends says how the attempt has ended, and whether there is another.
func (m *model) ends(j *modelJob) {
	j.runs = false
	res := j.how.Result
	kind := "failure"
	switch {
	case errors.Is(j.how.Err, flow.ErrNotStarted):
		res, kind = flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure}, "not started"
	case j.how.Err != nil || res.Lost:
		res, kind = flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure}, "lost"
	case res.Conclusion == "":
		res.Conclusion = flow.Success
	}
	if j.cut != "" && (kind == "lost" || kind == "not started" || res.Conclusion == flow.Cancelled) {
		res.Conclusion, res.Cause = j.cut, flow.CauseCancelled
		if j.cut == flow.TimedOut {
			res.Cause = flow.CauseTimeout
		}
	}
	if res.Conclusion == flow.TimedOut && kind != "lost" { // it may run still
		kind = "timed_out"
	}
	end := m.learnt(j.Job, len(j.attempts)+1, m.now)
	j.attempts = append(j.attempts, fmt.Sprint(" ", j.queued, "-", end, res.Conclusion, "/", res.Cause))
	tired := j.over || m.halted || m.stopping && !j.inv.cleanup || res.Conclusion.Passed() || res.Conclusion == flow.Cancelled
	p, delay := j.inv.Retry, time.Duration(0)
	switch {
	case tired, errors.Is(j.how.Err, flow.ErrRefused):
	case kind == "not started" && j.infra < 3:
		delay = []time.Duration{2 * time.Second, 6 * time.Second, 18 * time.Second}[j.infra]
		j.infra++
	case j.retries < p.Limit && slices.Contains(p.On, kind) && (kind != "failure" || res.Cause == flow.CauseTask):
		delay = p.Delay
		for range j.retries {
			delay = min(time.Duration(float64(delay)*p.Backoff), p.MaxDelay)
		}
		j.retries++
	}
	if delay == 0 {
		m.conclude(j, res.Conclusion, res.Cause)
		return
	}
	j.retryAt = m.again(j.Job, len(j.attempts))
	if d := j.retryAt - end; d < delay*8/10-1 || d > delay*12/10+1 {
		m.wrong += fmt.Sprintf("%s/%d: attempted again after %v instead of %v\n", j.Key, len(j.attempts), d, delay)
		j.retryAt = end + delay
	}
}

func (m *model) conclude(j *modelJob, c flow.Conclusion, cause flow.Cause) {
	if j.inv.IgnoreErrors && (c == flow.Failure || c == flow.TimedOut) {
		c = flow.Neutral
	}
	j.done, j.ready, j.retryAt, j.conclusion, j.cause = true, false, 0, c, cause
	if c.Passed() || c == flow.Skipped {
		return
	}
	j.inv.failed = true
	if c == flow.Cancelled {
		return
	}
	m.failures = append(m.failures, j)
}

// outcome is the model's answer in the words of outcomeOf.
func (m *model) outcome() string {
	var b strings.Builder
	worst := flow.Success
	for _, c := range []flow.Conclusion{flow.Cancelled, flow.TimedOut, flow.Failure} {
		if slices.ContainsFunc(m.jobs, func(j *modelJob) bool { return j.conclusion == c }) {
			worst = c
		}
	}
	if m.halted {
		worst = m.halt
	}
	fmt.Fprintln(&b, worst, m.now)
	for _, j := range m.jobs {
		if !j.done {
			j.conclusion = flow.Skipped
		}
		fmt.Fprintln(&b, j.Key, j.conclusion, j.cause, strings.Join(j.attempts, ""))
	}
	return b.String() + m.wrong
}
