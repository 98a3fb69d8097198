// Package flowtest has a scripted Executor and a recording Reporter, for
// tests of what uses package flow.
package flowtest

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cromt/cromt/flow"
)

// Step is how one attempt goes.
type Step struct {
	Queue  time.Duration // before it starts
	Run    time.Duration // from its start to its end
	Log    string
	Result flow.Result // zero: success
	Err    error
	Deaf   bool // it does not obey a cancel
}

// Executor plays scripts. The zero value has every attempt succeed at once.
type Executor struct {
	// Script says how an attempt goes; nil is the zero Step.
	Script func(a flow.Attempt) Step

	mu       sync.Mutex
	attempts []flow.Attempt
	running  map[string]int
	most     map[string]int
}

// Exec implements flow.Executor.
func (e *Executor) Exec(ctx context.Context, a flow.Attempt, log io.Writer) (flow.Result, error) {
	e.begin(a)
	defer e.end(a)
	var s Step
	if e.Script != nil {
		s = e.Script(a)
	}
	if s.Deaf {
		ctx = context.WithoutCancel(ctx)
	}
	if !wait(ctx, s.Queue) {
		return flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled}, nil
	}
	if s.Err != nil && s.Run == 0 {
		return flow.Result{}, s.Err
	}
	start := time.Now()
	if a.Started != nil {
		a.Started(start)
	}
	if s.Result.Commit != "" && a.Resolved != nil {
		a.Resolved(s.Result.Commit)
	}
	if _, err := io.WriteString(log, s.Log); err != nil {
		return flow.Result{}, err
	}
	res := s.Result
	res.StartedAt = start
	if !wait(ctx, s.Run) {
		return flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled, Error: "host confirmed", StartedAt: start, CompletedAt: time.Now()}, nil
	}
	if s.Err != nil {
		return flow.Result{}, s.Err
	}
	if res.Conclusion == "" {
		res.Conclusion = flow.Success
	}
	for _, out := range a.Job.Out {
		if res.Conclusion == flow.Success {
			res.Artifacts = append(res.Artifacts, flow.Artifact{File: out.File, Host: a.Job.Host, JobID: a.JobID})
		}
	}
	res.CompletedAt = time.Now()
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

func (e *Executor) begin(a flow.Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempts = append(e.attempts, a)
	if e.running == nil {
		e.running, e.most = make(map[string]int), make(map[string]int)
	}
	for _, k := range lanes(a.Job) {
		e.running[k]++
		e.most[k] = max(e.most[k], e.running[k])
	}
}

func (e *Executor) end(a flow.Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range lanes(a.Job) {
		e.running[k]--
	}
}

func lanes(j *flow.Job) []string {
	ks := []string{"all", j.Host + " " + j.Queue}
	if j.QueueID != "" {
		ks = append(ks, "queue-id "+j.QueueID)
	}
	return ks
}

// Attempts returns "key/number" of every attempt in the order of their begin.
func (e *Executor) Attempts() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var s []string
	for _, a := range e.attempts {
		s = append(s, fmt.Sprintf("%s/%d", a.Job.Key, a.Number))
	}
	return s
}

// All returns every attempt in the order of their begin.
func (e *Executor) All() []flow.Attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]flow.Attempt(nil), e.attempts...)
}

// Attempt returns the first attempt of that "key/number".
func (e *Executor) Attempt(name string) (flow.Attempt, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		if fmt.Sprintf("%s/%d", a.Job.Key, a.Number) == name {
			return a, true
		}
	}
	return flow.Attempt{}, false
}

// Most returns how many attempts ran at once: of "all", of "HOST QUEUE" or
// of "queue-id ID".
func (e *Executor) Most(lane string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.most[lane]
}

// Reporter records events.
type Reporter struct {
	mu      sync.Mutex
	events  []flow.Event
	batches int
	// Err, when not nil, decides the answer to a batch.
	Err func(events []flow.Event) error
}

// Report implements flow.Reporter.
func (r *Reporter) Report(_ context.Context, events []flow.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Err != nil {
		if err := r.Err(events); err != nil {
			return err
		}
	}
	r.batches++
	r.events = append(r.events, events...)
	return nil
}

// Events returns what was reported so far.
func (r *Reporter) Events() []flow.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]flow.Event(nil), r.events...)
}

// Batches returns how many reports there were.
func (r *Reporter) Batches() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batches
}
