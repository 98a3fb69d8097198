package agent

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// doomWith cancels the job if it runs, and reports whether it does. A queued
// one keeps the reason.
func (j *job) doomWith(cause error) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rec.State.Ended() {
		return false
	}
	if j.doom == nil {
		j.doom = cause
	}
	if j.cancel != nil {
		j.cancel(cause)
	}
	return j.rec.State == sparky.CodeRunning
}

// stop cancels a job: a running one is killed, a queued one ends at once.
func (a *Agent) stop(j *job, cause error) {
	if !j.doomWith(cause) {
		a.cancelQueued(j)
	}
}

// cancelQueued ends a job that has not started.
func (a *Agent) cancelQueued(j *job) {
	a.mu.Lock()
	q := a.queues[j.project]
	if a.closing || q == nil || !isReady(j) || !slices.Contains(q.waiting, j) {
		a.mu.Unlock() // it has just started or ended, or accept comes back to it
		return
	}
	a.drop(j)
	a.tasks.Add(1)
	a.mu.Unlock()
	defer a.tasks.Done()
	j.mu.Lock()
	cause := j.doom
	j.mu.Unlock()
	a.finish(j, cancelledResult(j, cause))
}

// cancelledResult is how a job ends whose context ended for that cause.
func cancelledResult(j *job, cause error) result {
	switch {
	case errors.Is(cause, errTimedOut):
		return result{State: sparky.CodeFailed, Cause: flow.CauseTimeout, Exit: exitTimeout,
			Error: fmt.Sprintf("timed out after %s", j.timeout)}
	case errors.Is(cause, errSilent):
		return result{State: sparky.CodeCancelled, Cause: flow.CauseCancelled, Exit: exitCancelled,
			Error: fmt.Sprintf("orchestrator silent for %s", j.lease)}
	case errors.As(cause, new(*quotaError)):
		return result{State: sparky.CodeFailed, Cause: flow.CauseTask, Exit: exitSetup, Error: cause.Error()}
	case errors.Is(cause, errDraining):
		return result{State: sparky.CodeFailed, Cause: causeInfrastructure, Error: "not started: " + errDraining.Error()}
	case errors.Is(cause, errStopping):
		return result{State: sparky.CodeFailed, Cause: causeInfrastructure, Lost: true,
			Error: "agent stopped while the job was running"}
	}
	return result{State: sparky.CodeCancelled, Cause: flow.CauseCancelled, Exit: exitCancelled, Error: "cancelled"}
}

// watchLease cancels the job when nobody has asked for it for as long as its
// lease says.
func (a *Agent) watchLease(j *job) {
	if j.lease <= 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rec.State.Ended() {
		return
	}
	j.seen = time.Now()
	j.leasing = time.AfterFunc(j.lease, func() { a.checkLease(j) })
}

func (a *Agent) checkLease(j *job) {
	if left := j.leaseLeft(); left > 0 {
		j.mu.Lock()
		if !j.rec.State.Ended() {
			j.leasing.Reset(left)
		}
		j.mu.Unlock()
		return
	}
	a.stop(j, errSilent)
}
