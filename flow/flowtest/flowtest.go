// Package flowtest has a scripted Executor and a recording Reporter, for
// tests of what uses package flow.
package flowtest

import (
	"context"
	"errors"
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
	Parts  int         // the log comes in so many parts, spread over Run; 0 is 1: all at the start
	Result flow.Result // zero: success
	Err    error
	Deaf   bool          // it does not obey a cancel
	Linger time.Duration // from a cancel to its end
}

// Executor plays scripts. The zero value has every attempt succeed at once.
// It stands for the hosts, too: an attempt that is let go of goes on, and is
// attached to when it comes again with Resumed.
type Executor struct {
	// Script says how an attempt goes; nil is the zero Step.
	Script func(a flow.Attempt) Step

	mu       sync.Mutex
	jobs     map[string]*job // by job-id
	attempts []flow.Attempt
	running  map[string]int
	most     map[string]int
}

// Exec implements flow.Executor.
func (e *Executor) Exec(ctx context.Context, a flow.Attempt, log io.Writer) (flow.Result, error) {
	if cause := context.Cause(ctx); errors.Is(cause, flow.ErrDetached) {
		return flow.Result{}, cause
	}
	j := e.job(a)
	if a.Sent != nil {
		a.Sent(j.sent)
	}
	if j.step.Deaf {
		ctx = flow.Teardown(ctx)
	}
	res, err := j.watch(ctx, a, &logReader{text: j.step.Log, at: a.LogOffset, to: log, marked: a.Marked})
	if errors.Is(err, flow.ErrDetached) {
		e.mu.Lock()
		j.left = true
		e.mu.Unlock()
	} else {
		e.end(a)
	}
	return res, err
}

// job returns the attempt's job on its host, a new one unless it is there.
func (e *Executor) job(a flow.Attempt) *job {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.jobs[a.JobID]
	switch {
	case j == nil || !a.Resumed || j.host != a.Host:
		j = &job{host: a.Host, sent: time.Now()}
		if e.Script != nil {
			j.step = e.Script(a)
		}
		if e.jobs == nil {
			e.jobs = make(map[string]*job)
		}
		e.jobs[a.JobID] = j
		e.attempts = append(e.attempts, a)
	case j.left:
		j.left = false
		return j // it has run all the time
	}
	e.begin(a)
	return j
}

// begin counts an attempt that runs. Called with mu held.
func (e *Executor) begin(a flow.Attempt) {
	if e.running == nil {
		e.running, e.most = make(map[string]int), make(map[string]int)
	}
	for _, k := range lanes(a) {
		e.running[k]++
		e.most[k] = max(e.most[k], e.running[k])
	}
}

func (e *Executor) end(a flow.Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range lanes(a) {
		e.running[k]--
	}
}

func lanes(a flow.Attempt) []string {
	j := a.Job
	ks := []string{"all", a.Host, a.Host + " " + j.Queue}
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

// Most returns how many attempts ran at once: of "all", of "HOST", of
// "HOST QUEUE" or of "queue-id ID".
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
