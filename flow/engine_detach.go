package flow

import (
	"context"
	"errors"
	"time"
)

// ErrDetached is the cause with which a run is let go of: its context is made
// by [context.WithCancelCause] and cancelled with it. Nothing is cancelled on
// the hosts; [Engine.Run] journals what is decided and returns an error that
// wraps ErrDetached, and the run is taken up again by giving what the journal
// has as RunOptions.History. It is also what an Executor returns for an
// attempt that it has let go of.
var ErrDetached = errors.New("run detached")

// Mark is how far an attempt has come that a process has let go of.
type Mark struct {
	// SentAt is when it was sent to its host.
	SentAt time.Time `json:"sent_at"`
	// LogOffset is a place in the host's log, LogBytes how much the part
	// before it has become in the attempt's log: the next process need not
	// read that part again. It lies more than LogTailLimit before the end of
	// what was read, because the end of the log is reported, too.
	LogOffset int64 `json:"log_offset,omitempty"`
	LogBytes  int64 `json:"log_bytes,omitempty"`
}

func (m Mark) equal(o Mark) bool {
	return m.SentAt.Equal(o.SentAt) && m.LogOffset == o.LogOffset && m.LogBytes == o.LogBytes
}

// baseKey finds the context in which a run's attempts are, whatever cancels
// them one by one.
type baseKey struct{}

// Teardown returns the context for what an Executor still has to do for an
// attempt whose ctx is done: it is not done when the attempt is cancelled, but
// when the whole run is let go of, with the cause ErrDetached. For other
// contexts it is [context.WithoutCancel].
func Teardown(ctx context.Context) context.Context {
	if base, ok := ctx.Value(baseKey{}).(context.Context); ok {
		return base
	}
	return context.WithoutCancel(ctx)
}

func isDetached(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrDetached) }

// detach lets go of everything that runs and lets nothing new begin. What
// ends at this moment is still decided and journalled.
func (r *runner) detach() {
	r.detached = true
	r.letGo(ErrDetached)
}

// isLeft reports whether an Executor has let go of an attempt. Any error but
// one that says that it never began leaves the answer to the next process.
func isLeft(err, cause error) bool {
	return errors.Is(err, ErrDetached) || err != nil && errors.Is(cause, ErrDetached) && !errors.Is(err, ErrNotStarted)
}

// attemptLeft notes how far an attempt has come that is left to its host.
func (r *runner) attemptLeft(js *jobState, mark Mark) {
	js.cancel = nil
	if js.place != nil {
		js.place.keep(js.jobID)
		js.place = nil
	}
	if js.sent.IsZero() {
		return // to be sent by the next process, as its JobQueued says
	}
	mark.SentAt = js.sent
	if !mark.equal(js.history().mark) {
		js.remember().mark = mark
		r.emit(Event{Kind: JobDetached, Job: js.Job, Attempt: int(js.number), JobID: js.jobID, Host: js.host, Mark: &mark})
	}
}

// overdue reports whether the time of an invocation's jobs was over before
// this process could see to it.
func (is *invState) overdue() bool {
	return is.Timeout > 0 && !is.clock.IsZero() && time.Since(is.clock) >= is.Timeout
}
