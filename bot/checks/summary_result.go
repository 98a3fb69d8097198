package checks

import (
	"fmt"
	"strings"
	"time"

	"github.com/cromt/cromt/flow"
)

// state is how a job is shown: a mark for the eye, and the same in a word for
// those who do not see it. The order is that of the rows: what has to be
// looked at first.
type state int

const (
	stateFailed state = iota
	stateTimedOut
	stateCancelled
	stateRunning
	stateQueued
	stateSkipped
	stateNeutral
	stateSucceeded
)

func (s state) word() string {
	return [...]string{"failed", "timed out", "cancelled", "running", "queued", "skipped", "failed, allowed", "succeeded"}[s]
}

func (s state) mark() string {
	return [...]string{"❌", "❌", "🚫", "⏳", "⚪", "⚪", "⚠️", "✅"}[s]
}

// failed reports whether it is a state that somebody has to do something about.
func (s state) failed() bool { return s == stateFailed || s == stateTimedOut }

// passed reports whether those that depend on it may go on.
func (s state) passed() bool { return s == stateSucceeded || s == stateNeutral }

func stateOf(status flow.Status, c flow.Conclusion) state {
	switch c {
	case flow.Success:
		return stateSucceeded
	case flow.Failure:
		return stateFailed
	case flow.TimedOut:
		return stateTimedOut
	case flow.Cancelled:
		return stateCancelled
	case flow.Skipped:
		return stateSkipped
	case flow.Neutral:
		return stateNeutral
	}
	if status == flow.StatusInProgress {
		return stateRunning
	}
	return stateQueued
}

func jobState(j *flow.JobReport) state { return stateOf(j.Status, j.Conclusion) }

// runState is that of the run; queued when it has not ended and nothing runs.
func runState(r *flow.Run) state {
	if r.Conclusion == "" {
		return stateRunning
	}
	return stateOf(flow.StatusCompleted, r.Conclusion)
}

// Title says in at most MaxTitle characters how a run ended, the worst first
// ("1 failed, 2 skipped, 3 succeeded in 2m 5s"), or how far it is ("2 of 5
// done, 1 failed").
func Title(r *flow.Run) string {
	c := r.Count()
	if c.Total == 0 {
		return "nothing to run"
	}
	if r.Conclusion == "" {
		title := fmt.Sprintf("%d of %d done", c.Total-c.Unfinished, c.Total)
		if c.Failed > 0 {
			title += fmt.Sprintf(", %d failed", c.Failed)
		}
		return title
	}
	title := counts(c)
	if d := duration(r.StartedAt, r.CompletedAt); d != "" {
		title += " in " + d
	}
	switch r.Conclusion {
	case flow.Cancelled:
		title = "cancelled: " + title
	case flow.TimedOut:
		title = "timed out: " + title
	}
	return clip(title, MaxTitle)
}

func counts(c flow.Counts) string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{
		{c.Failed, "failed"}, {c.Cancelled, "cancelled"}, {c.Unfinished, "not finished"},
		{c.Skipped, "skipped"}, {c.Neutral, "neutral"}, {c.Succeeded, "succeeded"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return strings.Join(parts, ", ")
}

// duration is "2m 5s" between two times, "" when one is missing.
func duration(from, to time.Time) string {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return ""
	}
	return readable(to.Sub(from))
}

// readable writes a duration in its two largest units.
func readable(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh %dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %dh", s/(24*3600), s/3600%24)
}

// began is when the first attempt started, or was sent to its host where it
// did not start; zero when there is none.
func began(j *flow.JobReport) time.Time {
	if len(j.Attempts) == 0 {
		return time.Time{}
	}
	if a := &j.Attempts[0]; !a.StartedAt.IsZero() {
		return a.StartedAt
	}
	return j.Attempts[0].QueuedAt
}

// took is how long a job has taken so far.
func took(v View, j *flow.JobReport) time.Duration {
	if from := began(j); jobState(j) == stateRunning && !from.IsZero() {
		return max(0, v.Now.Sub(from))
	}
	return j.Duration()
}

// why says in one line why a job did not succeed: for one that failed the
// line of its log that tells it, if there is one.
func why(r *flow.Run, j *flow.JobReport) string {
	switch s := jobState(j); {
	case s == stateSucceeded, s == stateRunning, s == stateQueued:
		return ""
	case s == stateSkipped && j.Error != "":
		// What the engine said: Reason builds an index of all jobs at each
		// call, which is too much for thousands of them.
		return oneLine(j.Error, maxReason)
	case (s == stateFailed || s == stateNeutral) && j.Cause == flow.CauseTask:
		if line, _ := flow.FirstFailure(j.Log()); line != "" {
			return oneLine(line, maxReason)
		}
	}
	return newsOf(jobState(j), oneLine(r.Reason(j), maxReason))
}

// newsOf is what a reason says beyond the state and the duration, which stand
// before it: of "timed out after 5m0s" nothing.
func newsOf(s state, reason string) string {
	rest, ok := strings.CutPrefix(reason, s.word())
	if !ok || rest != "" && !strings.ContainsAny(rest[:1], " ,;:") {
		return reason
	}
	if limit, ok := strings.CutPrefix(rest, " after "); ok && s == stateTimedOut {
		_, rest, _ = strings.Cut(limit, " ")
	}
	return strings.TrimLeft(rest, " ,;:")
}

// waits is what a queued job waits for: a job, and words about it.
type waits struct{ job, words string }

func (w waits) String() string { return w.job + w.words }

// markdown has the job's key as code.
func (w waits) markdown() string { return code(w.job) + plain(w.words) }

func waitsFor(v View, j *flow.JobReport) waits {
	needs := make(map[string]bool, len(j.Needs))
	for _, key := range j.Needs {
		needs[key] = true
	}
	var w waits
	more := 0
	for i := range v.Run.Jobs {
		n := &v.Run.Jobs[i]
		switch {
		case !needs[n.Key] || n.Conclusion != "":
		case w.job == "":
			w.job = oneLine(n.Key, maxName)
		default:
			more++
		}
	}
	last := j.Last()
	switch {
	case more > 0:
		w.words = fmt.Sprintf(" and %d more", more)
	case w.job != "":
	case last != nil && last.Conclusion != "":
		w.words = fmt.Sprintf("attempt %d", len(j.Attempts)+1)
	case last != nil && !last.QueuedAt.IsZero() && !v.Now.Before(last.QueuedAt):
		w.words = "its host since " + readable(v.Now.Sub(last.QueuedAt))
	default:
		w.words = "its host"
	}
	return w
}
