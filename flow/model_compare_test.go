package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// compare holds the run against the model's.
func (s *schedule) compare(w *world, run *flow.Run, kills []time.Duration) string {
	m := newModel(s.plan)
	m.step, m.failFast, m.cancelAt = s.attempt, s.failFast, s.cancelAt
	m.halt = s.halt()
	again := map[string]time.Duration{}
	for _, ev := range w.history {
		if ev.Kind == flow.AttemptCompleted && !ev.RetryAt.IsZero() {
			again[logName(ev.Job, ev.Attempt)] = ev.RetryAt.Sub(run.StartedAt)
		}
	}
	m.again = func(j *flow.Job, n int) time.Duration { return again[logName(j, n)] }
	// An end may be held back; a process that is killed before it has written it
	// leaves it to the next one, which is there at once.
	m.learnt = func(j *flow.Job, n int, at time.Duration) time.Duration {
		for i := range run.Jobs {
			if r := &run.Jobs[i]; r.Key == j.Key && n <= len(r.Attempts) {
				end := r.Attempts[n-1].CompletedAt.Sub(run.StartedAt)
				if at < end && end <= at+flow.EndDelay && slices.Contains(kills, end) {
					return end
				}
			}
		}
		return at
	}
	m.run()
	if n := len(kills); n > 0 && (m.alarm > 0 && kills[n-1] >= m.alarm || s.cancelAt >= 0 && kills[n-1] >= s.cancelAt) {
		return "" // which came first is not in the journal, and the next process grants AttachGrace
	}
	var wrong []string
	got, want := strings.Split(outcomeOf(run), "\n"), strings.Split(m.outcome(), "\n")
	for i := range max(len(got), len(want)) {
		if g, w := line(got, i), line(want, i); g != w {
			wrong = append(wrong, "the run:   "+g, "the model: "+w)
		}
	}
	return strings.Join(wrong, "\n")
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// outcomeOf is how a run has gone.
func outcomeOf(r *flow.Run) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Conclusion, r.CompletedAt.Sub(r.StartedAt))
	for _, j := range r.Jobs {
		fmt.Fprint(&b, j.Key, " ", j.Conclusion, " ", j.Cause, " ")
		for _, a := range j.Attempts {
			fmt.Fprint(&b, " ", a.QueuedAt.Sub(r.StartedAt), "-", a.CompletedAt.Sub(r.StartedAt), a.Conclusion, "/", a.Cause)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}
