package sparky

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cromt/cromt/flow"
)

// attempt is one attempt on its way through a host. One goroutine owns it.
type attempt struct {
	e     *Executor
	h     *host
	a     flow.Attempt
	mask  *flow.Mask
	log   *logSink
	hello *Hello // nil: a real Sparky
	feed  feed

	sent    time.Time // when the job was, or may have been, taken by the host
	running time.Time // when it was first seen running
	last    JobStatus // the newest
}

// Reasons for which an attempt is ended from this side.
var (
	errQueueTimeout = errors.New("queue timeout")
	errRunTimeout   = errors.New("run timeout")
)

// lostError says that how the job ended will not be known.
type lostError struct{ err error }

func (l *lostError) Error() string { return "lost: " + l.err.Error() }
func (l *lostError) Unwrap() error { return l.err }

func (t *attempt) run(ctx context.Context) (flow.Result, error) {
	if err := t.checkNames(); err != nil {
		return flow.Result{}, err
	}
	t.running = t.a.StartedAt
	hello, err := t.ask(ctx)
	if err != nil {
		return t.notDispatched(ctx, err)
	}
	t.setHello(hello)
	release, err := t.h.slot(ctx, hello)
	if err != nil {
		return t.notDispatched(ctx, err)
	}
	defer release()
	if err := t.place(ctx); err != nil {
		return t.conclude(ctx, err)
	}
	return t.conclude(ctx, t.follow(ctx))
}

// setHello chooses how the host is spoken to.
func (t *attempt) setHello(hello *Hello) {
	t.hello = hello
	if hello != nil {
		t.feed = &agentFeed{t: t, state: CodeQueued, offset: t.a.LogOffset, budget: pollBurst}
	} else {
		t.feed = newPlainFeed(t)
	}
}

// checkNames keeps names from the host that would break it.
func (t *attempt) checkNames() error {
	if err := t.h.client.checkNames("queue job", t.a.Job.Queue, t.a.JobID); err != nil {
		return refuse(err)
	}
	return nil
}

// ask greets the host. A resumed attempt may be there already, so that its
// host has as much time to answer as for a job that is known to run.
func (t *attempt) ask(ctx context.Context) (*Hello, error) {
	var failing time.Time
	for pause := retryPoll; ; pause = min(2*pause, maxPoll) {
		hello, err := t.h.ask(ctx)
		if err == nil || !t.a.Resumed || ctx.Err() != nil {
			return hello, err
		}
		if failing.IsZero() {
			failing = time.Now()
		}
		if time.Since(failing) >= LostAfter {
			return nil, &lostError{err}
		}
		if err := sleep(ctx, jitter(pause)); err != nil {
			return nil, err
		}
	}
}

// place brings the job to the host: a new one is prepared and posted, one
// that a process before this one may have posted is looked for first.
func (t *attempt) place(ctx context.Context) error {
	if t.a.Resumed {
		known, err := t.known(ctx)
		if known || err != nil {
			return err
		}
		if !t.a.StartedAt.IsZero() { // it must not run twice
			return &lostError{fmt.Errorf("%s does not know the job any more, which had started there", t.h.name())}
		}
	}
	req, err := t.prepare(ctx)
	if err != nil {
		return t.blame(notStarted(err))
	}
	return t.post(ctx, req)
}

// post sends the job until the host certainly has it, at most maxPosts times.
func (t *attempt) post(ctx context.Context, req QueueRequest) error {
	pause := postDelay
	for try := 1; ; try++ {
		t.sending(time.Now())
		err := t.queue(ctx, req)
		if err == nil {
			return nil
		}
		kind := KindOf(err)
		if kind == KindUnreachable || kind == KindUntrusted || kind == KindRefused {
			t.sent = time.Time{}
			return notStarted(err)
		}
		t.e.cfg.Logger.Warn("answer to the job in doubt, asking for its status", "job", t.a.Job.Key, "error", err)
		known, askErr := t.known(ctx)
		if known || askErr != nil {
			return askErr
		}
		t.sent = time.Time{}
		if try == maxPosts {
			return &startError{err: err}
		}
		if err := sleep(ctx, jitter(pause)); err != nil {
			return err
		}
		pause *= 2
	}
}

// sending notes that the host may have the job from now on.
func (t *attempt) sending(at time.Time) {
	t.sent = at
	if t.a.Sent != nil {
		t.a.Sent(at)
	}
}

// queue posts the job once. It is not broken off at once when ctx is done: a
// job that the host has taken can be cancelled, a broken request leaves doubt.
//
// Our agent answers with the first news, for which it may wait as long as a
// cancelled post may last: most jobs need no other request.
func (t *attempt) queue(ctx context.Context, req QueueRequest) error {
	post, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		wait := cancelledPost
		if isLeft(ctx) {
			wait = leftPost
		}
		_ = sleep(post, wait)
		cancel()
	})
	defer stop()
	feed, ours := t.feed.(*agentFeed)
	if !ours || !t.hello.Posts || feed.offset > 0 {
		_, err := t.h.client.Queue(post, req)
		return err
	}
	answer, err := t.h.client.QueueWait(post, req, postWait)
	feed.first = answer.Status
	return err
}

// known asks whether the host has the job, which it may have. A real Sparky
// has to deny it twice. The error is a lostError when there is no answer.
func (t *attempt) known(ctx context.Context) (bool, error) {
	if t.sent.IsZero() && !t.a.SentAt.IsZero() {
		t.sending(t.a.SentAt)
	} else if t.sent.IsZero() {
		t.sending(time.Now())
	}
	denials := 1
	if t.hello == nil {
		denials = 2
	}
	var failing time.Time
	pause := retryPoll
	for denied := 0; ; {
		_, err := t.h.client.Status(ctx, t.a.Job.Queue, t.a.JobID)
		switch {
		case err == nil:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case KindOf(err) == KindNotFound:
			if denied++; denied >= denials {
				t.sent = time.Time{}
				return false, nil
			}
			failing, pause = time.Time{}, recheckAfter
		default:
			denied = 0
			if failing.IsZero() {
				failing = time.Now()
			}
			if time.Since(failing) >= LostAfter {
				return false, &lostError{err}
			}
			pause = min(2*pause, maxPoll)
		}
		if err := sleep(ctx, max(pause, jitter(pause))); err != nil {
			return false, err
		}
	}
}

// notDispatched concludes an attempt that this process has not sent.
func (t *attempt) notDispatched(ctx context.Context, err error) (flow.Result, error) {
	var lost *lostError
	switch {
	case ctx.Err() != nil && isLeft(ctx):
		return flow.Result{}, t.leave()
	case ctx.Err() != nil && t.a.Resumed:
		return t.conclude(ctx, ctx.Err())
	case ctx.Err() != nil:
		return t.unsent(), nil //nolint:nilerr // a cancelled attempt has a result
	case errors.As(err, &lost):
		return t.conclude(ctx, err)
	}
	return flow.Result{}, notStarted(err)
}

// conclude turns what ended the attempt into its result.
func (t *attempt) conclude(ctx context.Context, err error) (flow.Result, error) {
	var lost *lostError
	var start *startError
	switch {
	case err == nil:
		return t.keep(ctx, t.result())
	case isLeft(ctx):
		return flow.Result{}, t.leave()
	case ctx.Err() != nil:
		return t.cancelled(ctx)
	case errors.As(err, &start):
		return flow.Result{}, err
	case errors.Is(err, errQueueTimeout):
		return t.queueTimedOut(ctx)
	case errors.Is(err, errRunTimeout):
		return t.runTimedOut(ctx)
	case errors.As(err, &lost):
		res := infrastructure(err.Error())
		res.Lost, res.Commit = true, t.last.Commit
		res.StartedAt, res.CompletedAt = t.running, time.Now()
		return res, nil
	}
	return flow.Result{}, err
}

// cancelled ends the remote job, when there may be one, and says whether the
// host confirmed it.
func (t *attempt) cancelled(ctx context.Context) (flow.Result, error) {
	if t.sent.IsZero() && !t.a.Resumed {
		return t.unsent(), nil
	}
	text := "cancelled; " + t.h.name() + " confirmed it"
	err := t.stop(ctx)
	if err != nil {
		if isLeft(ctx) {
			return flow.Result{}, t.leave()
		}
		text = fmt.Sprintf("cancelled; %s did not confirm it, so it may still run: %v", t.h.name(), err)
	}
	res := cancelledResult(text)
	res.NotStarted = err == nil && t.neverStarted()
	res.ExitCode, res.Commit = t.last.ExitCode, t.last.Commit
	res.StartedAt = t.running
	return res, nil
}

// unsent is the result of an attempt that was cancelled before it was sent.
func (t *attempt) unsent() flow.Result {
	res := cancelledResult("cancelled before it was sent to " + t.h.name())
	res.NotStarted = true
	return res
}

// neverStarted reports whether a job that has ended for its cancel certainly
// never started. A real Sparky may start a cancelled job for a moment when its
// turn comes.
func (t *attempt) neverStarted() bool {
	return t.hello != nil && t.last.StartedAt.IsZero() && t.running.IsZero()
}

func (t *attempt) queueTimedOut(ctx context.Context) (flow.Result, error) {
	text := fmt.Sprintf("waited %v in the queue of %s; see what runs there, or raise queue_timeout", t.a.QueueTimeout, t.h.name())
	if err := t.stop(ctx); err != nil {
		if isLeft(ctx) {
			return flow.Result{}, t.leave()
		}
		res := infrastructure(fmt.Sprintf("lost: %s; it did not confirm the cancel, so the job may still start: %v", text, err))
		res.Lost = true
		return res, nil
	}
	if t.neverStarted() {
		return flow.Result{}, &startError{err: errors.New(text)}
	}
	return infrastructure(text), nil
}

func (t *attempt) runTimedOut(ctx context.Context) (flow.Result, error) {
	text := fmt.Sprintf("%s has not ended it after its timeout of %v", t.h.name(), t.a.Timeout)
	if err := t.stop(ctx); err != nil {
		if isLeft(ctx) {
			return flow.Result{}, t.leave()
		}
		text = fmt.Sprintf("%s; it did not confirm the cancel, so it may still run: %v", text, err)
	}
	return flow.Result{
		Conclusion: flow.TimedOut, Cause: flow.CauseTimeout, Error: text,
		ExitCode: t.last.ExitCode, Commit: t.last.Commit, StartedAt: t.running, CompletedAt: time.Now(),
	}, nil
}

// stop cancels the remote job and follows it to its end, for CancelWait at
// most and whatever has become of ctx, unless the run is let go of. nil says
// that it has ended.
func (t *attempt) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(flow.Teardown(ctx), t.e.cfg.CancelWait)
	defer cancel()
	if t.feed == nil {
		hello, err := t.h.ask(ctx)
		if err != nil {
			return err
		}
		t.setHello(hello)
	}
	if err := t.sendCancel(ctx); err != nil {
		if KindOf(err) == KindNotFound {
			return nil // never taken, or gone
		}
		return err
	}
	t.a.QueueTimeout, t.a.Timeout = 0, 0 // they have no say any more
	t.feed.hurry()
	err := t.follow(ctx)
	switch {
	case KindOf(err) == KindNotFound:
		return nil
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("it has not ended within %v", t.e.cfg.CancelWait)
	}
	return err
}

// sendCancel repeats the cancel until the host takes it or ctx is done. That
// the host does not know the job counts when it says so twice: the request
// that brought it may still be on its way.
func (t *attempt) sendCancel(ctx context.Context) error {
	client, denied := t.h.client, false
	for pause := retryPoll; ; pause = min(2*pause, maxPoll) {
		send := client.CancelPlain
		if t.hello != nil {
			send = client.Cancel
		}
		err := send(ctx, t.a.Job.Queue, t.a.JobID)
		wait := jitter(pause)
		if KindOf(err) == KindNotFound {
			if denied {
				return err
			}
			denied, wait = true, recheckAfter
		}
		if err == nil || KindOf(err) == KindRefused {
			return err
		}
		t.e.cfg.Logger.Warn("cancel failed", "job", t.a.Job.Key, "error", err)
		if sleep(ctx, wait) != nil {
			return err
		}
	}
}

func cancelledResult(text string) flow.Result {
	return flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled, Error: text, CompletedAt: time.Now()}
}

func infrastructure(text string) flow.Result {
	return flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure, Error: text, CompletedAt: time.Now()}
}

// name is what people call the host.
func (h *host) name() string {
	if h.config.Name != "" {
		return h.config.Name
	}
	return h.client.URL()
}
