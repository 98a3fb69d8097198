package flowtest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cromt/cromt/flow"
)

// job is an attempt on its host. What becomes of it follows from three times
// and its step, whoever watches it.
type job struct {
	step      Step
	host      string
	sent      time.Time
	cancelled time.Time // zero: it is not
	left      bool      // it runs, and nobody watches it
}

func (j *job) start() time.Time { return j.sent.Add(j.step.Queue) }
func (j *job) end() time.Time   { return j.start().Add(j.step.Run) }

// printed is when the part of the log is there.
func (j *job) printed(part int) time.Time {
	return j.start().Add(j.step.Run * time.Duration(part) / time.Duration(j.parts()))
}

func (j *job) parts() int { return max(j.step.Parts, 1) }

// watch follows the job to its end.
func (j *job) watch(ctx context.Context, a flow.Attempt, log *logReader) (flow.Result, error) {
	s := j.step
	if !j.wait(ctx, j.start()) {
		return j.stop(ctx, a, log)
	}
	if s.Err != nil && s.Run == 0 {
		return flow.Result{}, s.Err
	}
	j.tellStart(a)
	for i := range j.parts() {
		if !j.wait(ctx, j.printed(i)) {
			return j.stop(ctx, a, log)
		}
		if err := log.until(len(s.Log) * (i + 1) / j.parts()); err != nil {
			return flow.Result{}, err
		}
	}
	if !j.wait(ctx, j.end()) {
		return j.stop(ctx, a, log)
	}
	if s.Err != nil {
		return flow.Result{}, s.Err
	}
	return j.result(a), nil
}

func (j *job) tellStart(a flow.Attempt) {
	if a.Started != nil {
		a.Started(j.start())
	}
	if j.step.Result.Commit != "" && a.Resolved != nil {
		a.Resolved(j.step.Result.Commit)
	}
}

func (j *job) result(a flow.Attempt) flow.Result {
	res := j.step.Result
	res.StartedAt, res.CompletedAt = j.start(), j.end()
	if res.Conclusion == "" {
		res.Conclusion = flow.Success
	}
	for _, out := range a.Job.Out {
		if res.Conclusion == flow.Success {
			res.Artifacts = append(res.Artifacts, flow.Artifact{File: out.File, Host: a.Host, JobID: a.JobID})
		}
	}
	return res
}

// wait waits until t. It returns false when ctx is done or the job cancelled
// before.
func (j *job) wait(ctx context.Context, t time.Time) bool {
	if !j.cancelled.IsZero() {
		return t.Before(j.cancelled)
	}
	return wait(ctx, time.Until(t))
}

// stop lets go of a job, or cancels it and follows it to its end.
func (j *job) stop(ctx context.Context, a flow.Attempt, log *logReader) (flow.Result, error) {
	if cause := context.Cause(ctx); errors.Is(cause, flow.ErrDetached) {
		return flow.Result{}, cause
	}
	if j.cancelled.IsZero() {
		j.cancelled = time.Now()
	}
	res := flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled, NotStarted: true}
	if j.start().Before(j.cancelled) {
		res.Error, res.StartedAt, res.NotStarted = "host confirmed", j.start(), false
		j.tellStart(a)
		n := 0
		for n < j.parts() && j.printed(n).Before(j.cancelled) {
			n++
		}
		if err := log.until(len(j.step.Log) * n / j.parts()); err != nil {
			return flow.Result{}, err
		}
	}
	res.CompletedAt = j.cancelled.Add(j.step.Linger)
	if ctx := flow.Teardown(ctx); !wait(ctx, time.Until(res.CompletedAt)) {
		return flow.Result{}, context.Cause(ctx)
	}
	return res, nil
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// logReader copies what is printed to an attempt's log.
type logReader struct {
	text   string
	at     int64
	to     io.Writer
	marked func(int64)
}

// until copies up to the offset.
func (l *logReader) until(offset int) error {
	if int64(offset) <= l.at {
		return nil
	}
	if _, err := io.WriteString(l.to, l.text[l.at:offset]); err != nil {
		return err
	}
	l.at = int64(offset)
	if l.marked != nil {
		l.marked(l.at)
	}
	return nil
}
