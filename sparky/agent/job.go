package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cromt/cromt/sparky"
)

// Why a job's context ends before the job does.
var (
	errCancelled = errors.New("cancelled")
	errSilent    = errors.New("orchestrator silent")
	errTimedOut  = errors.New("timed out")
	errStopping  = errors.New("agent stopped")
)

// job is a job that waits, runs or ended a moment ago.
type job struct {
	id, project string
	seq         int64
	ready       chan struct{} // closed when it is journalled, or could not be
	notReady    error         // why it could not be
	waited      bool          // it was queued before it ran
	log         *jobLog
	lease       time.Duration // 0: for ever
	timeout     time.Duration // of all actions; 0: none
	waits       bool          // it is a sparrowfile, which may wait for other jobs of this agent

	mu      sync.Mutex
	rec     record
	spec    *sparky.Spec            // nil: not a cromt job, or ended
	file    *sparrowJob             // of a job that is no cromt job; nil when it has ended
	cancel  context.CancelCauseFunc // of a running job
	doom    error                   // why it is to be cancelled
	seen    time.Time               // when it was last asked for
	waiters int
	leasing *time.Timer
	moved   chan struct{} // closed at the next change of state; nil: nobody waits
	grew    chan struct{} // closed when the log grows; nil: nobody waits
}

// newJob returns a job of that record. Its log goes to the file at path when
// it outgrows memory.
func newJob(rec record, spec *sparky.Spec, file *sparrowJob, path string) *job {
	j := &job{id: rec.ID, project: rec.Project, seq: rec.Seq, rec: rec, spec: spec, file: file, ready: make(chan struct{}), seen: time.Now(),
		waits: file != nil, timeout: sparrowTimeout}
	j.log = newJobLog(path, maxLogBytes, maxLogTail, j.tellGrown)
	if spec != nil {
		j.lease = time.Duration(spec.Lease) * time.Second
		j.timeout = time.Duration(spec.Timeout) * time.Second
	}
	return j
}

// touch notes that somebody asked for the job.
func (j *job) touch() {
	j.mu.Lock()
	j.seen = time.Now()
	j.mu.Unlock()
}

// leaseLeft returns how much of the lease is left.
func (j *job) leaseLeft() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waiters > 0 {
		return j.lease
	}
	return j.lease - time.Since(j.seen)
}

func (j *job) tellGrown() {
	j.mu.Lock()
	if j.grew != nil {
		close(j.grew)
		j.grew = nil
	}
	j.mu.Unlock()
}

// tellMoved wakes those that wait for a change of state. Called with mu held.
func (j *job) tellMoved() {
	if j.moved != nil {
		close(j.moved)
		j.moved = nil
	}
}

// snapshot returns the record as it is now.
func (j *job) snapshot() record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.current()
}

// current returns the record with the size of the log. Called with mu held.
func (j *job) current() record {
	rec := j.rec
	if !rec.State.Ended() {
		rec.LogSize = j.log.length()
	}
	return rec
}

// watch returns the record and channels that tell of the next changes.
func (j *job) watch() (rec record, moved, grew <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.moved == nil {
		j.moved = make(chan struct{})
	}
	if j.grew == nil {
		j.grew = make(chan struct{})
	}
	return j.current(), j.moved, j.grew
}

// await returns the record as soon as it has news for somebody who knows the
// state and offset bytes of the log, at the latest after wait. The end of the
// job and its return to a queue are told at once; a start and a longer log are
// held back for a moment, because more news is likely to follow.
func (j *job) await(ctx context.Context, state sparky.Code, offset int64, wait time.Duration) record {
	j.mu.Lock()
	rec := j.current()
	if wait <= 0 || rec.State.Ended() {
		j.seen = time.Now()
		j.mu.Unlock()
		return rec
	}
	j.waiters++
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		j.waiters--
		j.seen = time.Now()
		j.mu.Unlock()
	}()

	limit := time.NewTimer(wait)
	defer limit.Stop()
	held := false
	for {
		rec, moved, grew := j.watch()
		switch {
		case rec.State.Ended(), rec.State != state && rec.State != sparky.CodeRunning:
			return rec
		case !held && (rec.State != state || rec.LogSize > offset):
			held = true
			limit.Reset(min(coalesce, wait))
		}
		if held {
			grew = nil // it is told with the rest
		}
		select {
		case <-moved:
		case <-grew:
		case <-limit.C:
			return j.snapshot()
		case <-ctx.Done():
			return j.snapshot()
		}
	}
}
