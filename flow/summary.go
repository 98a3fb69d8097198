package flow

import (
	"fmt"
	"strings"
	"time"
)

// Counts is how many jobs of a run ended how.
type Counts struct {
	Total, Succeeded, Failed, Cancelled, Skipped, Neutral, Unfinished int
}

// Count returns how many jobs of the run ended how; those that timed out are
// among the failed.
func (r *Run) Count() Counts {
	c := Counts{Total: len(r.Jobs)}
	for i := range r.Jobs {
		switch r.Jobs[i].Conclusion {
		case Success:
			c.Succeeded++
		case Failure, TimedOut:
			c.Failed++
		case Cancelled:
			c.Cancelled++
		case Skipped:
			c.Skipped++
		case Neutral:
			c.Neutral++
		default:
			c.Unfinished++
		}
	}
	return c
}

// String returns the counts that are not zero: "2 succeeded, 1 failed".
func (c Counts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{
		{c.Succeeded, "succeeded"}, {c.Failed, "failed"}, {c.Cancelled, "cancelled"},
		{c.Skipped, "skipped"}, {c.Neutral, "neutral"}, {c.Unfinished, "not finished"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return "no jobs"
	}
	return strings.Join(parts, ", ")
}

// Last returns the job's last attempt, or nil when it had none.
func (j *JobReport) Last() *AttemptReport {
	if len(j.Attempts) == 0 {
		return nil
	}
	return &j.Attempts[len(j.Attempts)-1]
}

// Duration is how long the job took, from the start of its first attempt (or
// from its dispatch, where it did not start) to the end of its last one; 0
// when it had none.
func (j *JobReport) Duration() time.Duration {
	last := j.Last()
	if last == nil || last.CompletedAt.IsZero() {
		return 0
	}
	from := j.Attempts[0].StartedAt
	if from.IsZero() {
		from = j.Attempts[0].QueuedAt
	}
	if from.IsZero() || last.CompletedAt.Before(from) {
		return 0
	}
	return last.CompletedAt.Sub(from)
}

// Log returns the end of the log of the job's last attempt that has one.
func (j *JobReport) Log() string {
	for i := len(j.Attempts) - 1; i >= 0; i-- {
		if j.Attempts[i].Log != "" {
			return j.Attempts[i].Log
		}
	}
	return ""
}

// Reason says in one line why the job did not succeed: for one that was
// skipped, which job failed; "" for success.
func (r *Run) Reason(j *JobReport) string {
	switch {
	case j.Conclusion == Success:
		return ""
	case j.Conclusion == Skipped && j.Cause == CauseDependency:
		if b := r.blocker(j); b != nil {
			return fmt.Sprintf("because %s %s", b.Key, pastTense(b.Conclusion))
		}
	}
	if j.Error != "" {
		return PlainText(j.Error)
	}
	if a := j.Last(); a != nil && a.Error != "" {
		return PlainText(a.Error)
	}
	return string(j.Cause)
}

// blocker returns the job at the beginning of the chain of needs that made j
// be skipped.
func (r *Run) blocker(j *JobReport) *JobReport {
	byKey := make(map[string]*JobReport, len(r.Jobs))
	for i := range r.Jobs {
		byKey[r.Jobs[i].Key] = &r.Jobs[i]
	}
	seen := map[string]bool{j.Key: true}
	var found *JobReport
	for todo := j.Needs; len(todo) > 0; {
		var next []string
		for _, key := range todo {
			n := byKey[key]
			if n == nil || seen[key] {
				continue
			}
			seen[key] = true
			switch {
			case n.Conclusion.Passed():
			case n.Conclusion == Skipped:
				next = append(next, n.Needs...)
			case found == nil:
				found = n
			}
		}
		if found != nil {
			return found
		}
		todo = next
	}
	return nil
}

func pastTense(c Conclusion) string {
	switch c {
	case Failure:
		return "failed"
	case TimedOut:
		return "timed out"
	case Cancelled:
		return "was cancelled"
	}
	return "did not succeed"
}

// Tail returns the last n lines of a log, without the empty ones at its end.
func Tail(log string, n int) []string {
	log = strings.TrimRight(strings.ReplaceAll(log, "\r\n", "\n"), "\n \t\r")
	if log == "" || n <= 0 {
		return nil
	}
	lines := strings.Split(log, "\n")
	return lines[max(0, len(lines)-n):]
}
