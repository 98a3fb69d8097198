package sparky

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// feed brings the news of one job.
type feed interface {
	// next returns when there is news, or soon after the deadline (zero: as
	// late as it likes). What the job has printed meanwhile is in the log then.
	// With an ended state there is nothing left to fetch, unless more says so.
	next(ctx context.Context, deadline time.Time) (js JobStatus, more bool, err error)
	// early says of a job that failed by its host that its scenario had not
	// begun, so that it may be tried again.
	early() bool
	// hurry makes the next news come fast: the job is being cancelled.
	hurry()
}

// follow waits for the end of the job, which the host knows. It returns a
// lostError, errQueueTimeout, errRunTimeout or the error of ctx when there is
// none; t.last has what is known.
func (t *attempt) follow(ctx context.Context) error {
	var failing, ended time.Time
	pause, denied := retryPoll, false
	for {
		deadline, _ := t.deadline()
		js, more, err := t.feed.next(ctx, deadline)
		switch {
		case err == nil:
			t.saw(js)
			failing, pause, denied = time.Time{}, retryPoll, false
			if ended.IsZero() && t.last.State.Ended() {
				ended = time.Now()
			}
			if !ended.IsZero() && (!more || time.Since(ended) >= drainWait) {
				return nil
			}
			if err := t.overdue(); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case !ended.IsZero() && time.Since(ended) >= drainWait:
			return nil // its result is known, the rest of its log is not to be had
		case KindOf(err) == KindNotFound:
			if denied {
				return &lostError{fmt.Errorf("%s does not know the job any more: %w", t.h.name(), err)}
			}
			denied = true
			if err := sleep(ctx, recheckAfter); err != nil {
				return err
			}
			continue
		}
		// The window starts at the first failure, not at the start of the poll
		// that failed: a long poll is longer than the window.
		if failing.IsZero() {
			failing = time.Now()
			t.e.cfg.Logger.Warn("host does not answer, trying again", "job", t.a.Job.Key, "error", err)
		}
		if time.Since(failing) >= LostAfter {
			return &lostError{fmt.Errorf("%s has not answered for %v: %w", t.h.name(), LostAfter, err)}
		}
		if err := sleep(ctx, jitter(pause)); err != nil {
			return err
		}
		pause = min(2*pause, maxPoll)
	}
}

// saw takes note of what the host said. The first ended state stays.
func (t *attempt) saw(js JobStatus) {
	if t.last.State.Ended() {
		return
	}
	if js.Commit != "" && js.Commit != t.last.Commit && t.a.Resolved != nil {
		t.a.Resolved(js.Commit)
	}
	t.last = js
	started := js.State == CodeRunning || js.State.Ended() && (t.hello == nil || !js.StartedAt.IsZero())
	if started && t.running.IsZero() {
		t.running = time.Now()
		if !js.StartedAt.IsZero() && !js.CompletedAt.IsZero() {
			// Both at once: the difference is right even if the host's clock is not.
			t.running = t.running.Add(-max(0, js.CompletedAt.Sub(js.StartedAt)))
		}
		if t.a.Started != nil {
			t.a.Started(t.running)
		}
	}
}

// deadline is until when the job may stay in its state, and what it is when
// that is over; zero is for ever. A real Sparky leaves a job queued or running
// for ever when its runner is gone.
func (t *attempt) deadline() (time.Time, error) {
	switch {
	case t.last.State.Ended():
	case t.running.IsZero() && t.a.QueueTimeout > 0:
		return t.sent.Add(t.a.QueueTimeout), errQueueTimeout
	case !t.running.IsZero() && t.a.Timeout > 0:
		return t.running.Add(t.a.Timeout + runGrace), errRunTimeout
	}
	return time.Time{}, nil
}

// overdue says whether the deadline is over.
func (t *attempt) overdue() error {
	at, err := t.deadline()
	if err != nil && !time.Now().Before(at) {
		return err
	}
	return nil
}

// agentFeed asks our agent with long polls.
type agentFeed struct {
	t      *attempt
	state  Code
	offset int64
	first  *JobStatus // news that came with the answer to the post
	budget float64    // polls that may follow at once
	last   time.Time
	failed bool // the last poll
}

func (f *agentFeed) next(ctx context.Context, deadline time.Time) (JobStatus, bool, error) {
	if js := f.first; js != nil {
		f.first = nil
		return f.took(*js)
	}
	now := time.Now()
	if !f.last.IsZero() {
		f.budget = min(pollBurst, f.budget+float64(now.Sub(f.last))/float64(pollPause))
	}
	f.last = now
	if f.budget--; f.budget < 0 {
		if err := sleep(ctx, pollPause); err != nil {
			return JobStatus{}, false, err
		}
	}
	// Spread over time, so that a thousand polls that started together do not
	// end together.
	wait := MaxWait - rand.N(MaxWait/5)
	if lease := f.t.e.cfg.Lease; lease > 0 {
		wait = min(wait, lease/2)
	}
	if !deadline.IsZero() {
		wait = min(wait, time.Until(deadline).Truncate(time.Second)+time.Second)
	}
	if f.failed {
		wait = 0 // a long one that hangs, too, is noticed when the host counts as lost
	}
	js, err := f.t.h.client.Wait(ctx, f.t.a.Job.Queue, f.t.a.JobID, f.state, f.offset, max(wait, time.Second))
	if f.failed = err != nil; f.failed {
		return JobStatus{}, false, err
	}
	return f.took(js)
}

// took takes over what the host said.
func (f *agentFeed) took(js JobStatus) (JobStatus, bool, error) {
	if len(js.Log) > 0 {
		f.t.log.write(js.Log)
	}
	f.state, f.offset = js.State, max(f.offset, js.Offset)
	f.t.marked(f.offset)
	return js, f.offset < js.LogSize, nil
}

func (f *agentFeed) hurry() {}

// early: our agent gives that cause only to what fails before the first
// action, or to what is lost.
func (f *agentFeed) early() bool { return !f.t.last.Lost }

// plainFeed polls a real Sparky.
type plainFeed struct {
	t        *attempt
	report   *reportReader
	since    time.Time // of the job, or of its cancel
	offset   int64     // of the report that is in the log
	fetched  time.Time // when the report was fetched last
	fetching time.Duration
}

func newPlainFeed(t *attempt) *plainFeed {
	return &plainFeed{t: t, report: newReportReader(t.log), since: time.Now()}
}

func (f *plainFeed) hurry() { f.since = time.Now() }

func (f *plainFeed) early() bool { return f.report.early() }

func (f *plainFeed) next(ctx context.Context, deadline time.Time) (JobStatus, bool, error) {
	pause := jitter(min(max(time.Since(f.since)/10, minPoll), maxPoll))
	if !deadline.IsZero() {
		pause = max(0, min(pause, time.Until(deadline)))
	}
	if err := sleep(ctx, pause); err != nil {
		return JobStatus{}, false, err
	}
	code, err := f.t.h.client.Status(ctx, f.t.a.Job.Queue, f.t.a.JobID)
	if err != nil {
		return JobStatus{}, false, err
	}
	switch {
	case code.Ended():
		if err := f.finish(ctx); err != nil {
			return JobStatus{}, false, err
		}
	case code == CodeRunning && time.Since(f.fetched) >= reportShare*f.fetching:
		// The host has just answered: that its report is not to be had, which
		// takes a minute to notice, is no sign that it is dead.
		if err := f.fetch(ctx); err != nil && ctx.Err() != nil {
			return JobStatus{}, false, ctx.Err()
		}
	}
	return f.report.status(code), false, nil
}

// fetch brings what is new of the report into the log.
func (f *plainFeed) fetch(ctx context.Context) error {
	start := time.Now()
	n, err := f.t.h.client.copyReport(ctx, f.t.a.Job.Queue, f.t.a.JobID, f.offset, f.report)
	f.offset, f.fetched, f.fetching = n, time.Now(), time.Since(start)
	return err
}

// finish brings the end of the report. A report that is not to be had (one
// byte that is not UTF-8 makes Sparky answer 500 for ever) does not take the
// job's state away.
func (f *plainFeed) finish(ctx context.Context) error {
	deadline := time.Now().Add(reportWait)
	for {
		err := f.fetch(ctx)
		if err == nil {
			f.report.complete()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !time.Now().Before(deadline) {
			f.report.missing(err)
			return nil
		}
		if err := sleep(ctx, jitter(recheckAfter)); err != nil {
			return err
		}
	}
}

// jitter returns d give or take pollJitter.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - pollJitter + 2*pollJitter*rand.Float64()))
}

// sleep waits for d, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
