package checks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/cromt/cromt/flow"
)

// agenda is what there is to say, and when.
type agenda struct {
	starts []*check // jobs that have started
	ends   []*check // jobs that have ended
	extras []*check // have annotations left, once all else is said

	ended   bool      // the run has
	closing bool      // what is on the agenda is all there will be
	stopped bool      // GitHub refused
	left    bool      // another Reporter goes on
	changed bool      // something has, since the aggregate was posted
	posted  time.Time // when that was

	retryAt  time.Time // after a failure
	failures int       // in a row
	last     error     // of these
}

// step is the next request.
type step struct {
	check   *check
	urgency urgency
	cost    cost
	wait    time.Duration // before it is due
}

// work posts what is most urgent, until there is nothing left to say.
func (r *Reporter) work(ctx context.Context) {
	defer close(r.done)
	defer r.settleReserve(true)
	for ctx.Err() == nil {
		s, ok := r.next(time.Now())
		switch {
		case !ok && s.wait < 0:
			return
		case !ok || s.wait > 0:
			r.sleep(ctx, s.wait)
		case r.budget.acquire(ctx, s.urgency, s.cost, r.wake):
			err := r.post(ctx, s)
			r.budget.release(s.cost, err)
			r.settleReserve(false)
		}
	}
}

// sleep waits for an event, and no longer than d if that is not 0.
func (r *Reporter) sleep(ctx context.Context, d time.Duration) {
	var due <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-due:
	}
}

// settleReserve tells the budget what the run still needs.
func (r *Reporter) settleReserve(over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	if !over && !r.stopped {
		n = r.needed()
	}
	r.budget.reserve(n - r.reserved)
	r.reserved = n
}

// next decides on the next request. Without one it returns false, and a wait
// of -1 if there will never be one.
func (r *Reporter) next(now time.Time) (step, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.left {
		return step{wait: -1}, false
	}
	s, ok := r.pick(now)
	if !ok {
		if r.closing {
			s.wait = -1
		}
		return s, false
	}
	s.cost = costWrite
	switch {
	case s.check.look:
		s.cost = costRead
	case s.check.id == 0:
		s.cost = costCreate
	}
	s.wait = max(s.wait, r.retryAt.Sub(now))
	return s, true
}

// pick takes the most urgent thing to say: the run's last word, the jobs'
// last words, then what goes on, then what is left.
func (r *Reporter) pick(now time.Time) (step, bool) {
	switch {
	case r.ended && !r.aggr.settled():
		return step{check: r.aggr, urgency: urgencyFinal}, true
	case r.aggr.posted == "":
		return step{check: r.aggr, urgency: urgencyJob}, true
	}
	if c := r.nextEnd(); c != nil {
		return step{check: c, urgency: urgencyJob}, true
	}
	if r.ended {
		c := r.nextExtra()
		return step{check: c, urgency: urgencyProgress}, c != nil
	}
	if c := r.nextStart(); c != nil {
		return step{check: c, urgency: urgencyStart}, true
	}
	if r.changed && r.spare() > 0 {
		return step{check: r.aggr, urgency: urgencyProgress, wait: r.posted.Add(r.interval(now.Sub(r.began))).Sub(now)}, true
	}
	return step{}, false
}

// nextEnd is the first job that has ended and is not concluded.
func (r *Reporter) nextEnd() *check {
	for ; len(r.ends) > 0; r.ends = r.ends[1:] {
		c := r.ends[0]
		if c.posted == flow.StatusCompleted || c.dropped {
			continue
		}
		if c.id == 0 && !r.budget.ample() {
			r.drop(c, "some jobs have no check run of their own: most of GitHub's limit for an hour is used up")
			continue
		}
		return c
	}
	return nil
}

// nextStart is the first job that has started and not ended; those for which
// the budget is not ample are forgotten.
func (r *Reporter) nextStart() *check {
	for ; len(r.starts) > 0; r.starts = r.starts[1:] {
		c := r.starts[0]
		if c.posted == "" && !c.dropped && r.spare() > startFloor && r.budget.ample() {
			return c
		}
	}
	return nil
}

// nextExtra is a job whose annotations did not fit into one request.
func (r *Reporter) nextExtra() *check {
	for ; len(r.extras) > 0; r.extras = r.extras[1:] {
		c := r.extras[0]
		left := len(r.annotationsOf(c)) - c.sent
		switch {
		case left <= 0 || c.dropped || c.minimal:
		case r.spare() <= 0:
			r.note(fmt.Sprintf("%d annotations of %s are only in its log", left, c.job.Key))
		default:
			return c
		}
	}
	return nil
}

// post sends a request: a look for the check run, or the check run itself.
func (r *Reporter) post(ctx context.Context, s step) error {
	k := r.build(ctx, s.check)
	var id int64
	var err error
	switch {
	case s.cost == costRead:
		return r.look(ctx, s.check, k)
	case s.cost == costCreate:
		err = timed(ctx, func(ctx context.Context) error {
			id, err = r.c.Client.createCheck(ctx, r.owner, r.repo, k)
			return err
		})
	default:
		id = s.check.id
		err = timed(ctx, func(ctx context.Context) error {
			return r.c.Client.updateCheck(ctx, r.owner, r.repo, id, k)
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spent++
	if err == nil && id == 0 {
		err = errUnknown
	}
	if err != nil {
		r.rejected(s, k, err)
		return err
	}
	r.failures, r.retryAt, r.last = 0, time.Time{}, nil
	s.check.id = id
	r.wrote(s.check, k)
	return nil
}

// wrote takes note of what GitHub now shows.
func (r *Reporter) wrote(c *check, k checkRun) {
	c.sent += len(k.annotations)
	c.held = k.held
	if c == r.aggr {
		r.posted = time.Now()
	} else if k.status == flow.StatusCompleted && c.posted != flow.StatusCompleted {
		r.concluded++
		r.extras = append(r.extras, c)
	}
	c.posted = k.status
}

// look finds out whether GitHub has a check run, and how many annotations.
func (r *Reporter) look(ctx context.Context, c *check, k checkRun) error {
	var runs []*github.CheckRun
	for page, more := 1, true; more; page++ {
		err := timed(ctx, func(ctx context.Context) (err error) {
			runs, more, err = r.c.Client.checkPage(ctx, r.owner, r.repo, k, page)
			return err
		})
		r.mu.Lock()
		switch {
		case err != nil:
			r.rejected(step{check: c, cost: costRead}, k, err)
			r.mu.Unlock()
			return err
		case r.adopt(c, runs, k):
			more = false
		}
		c.look = more
		r.mu.Unlock()
	}
	return nil
}

// adopt takes the check run that is c, if it is among those that GitHub has. k
// is what c is to say: what GitHub has of it already is not said again.
func (r *Reporter) adopt(c *check, runs []*github.CheckRun, k checkRun) bool {
	for _, run := range runs {
		if !r.ours(c, run.GetExternalID()) {
			continue
		}
		c.id, c.external = run.GetID(), run.GetExternalID()
		c.sent = run.GetOutput().GetAnnotationsCount()
		switch {
		case run.GetStatus() != string(flow.StatusCompleted):
		case k.status != flow.StatusCompleted:
			c.posted, c.held = k.status, k.held // it is not opened again: what is left is its last word
		case sameVerdict(run, k), c.job != nil && r.c.Known == nil:
			r.wrote(c, checkRun{status: flow.StatusCompleted})
		}
		return true
	}
	return false
}

// ours reports whether a check run with that external_id is c: an earlier
// process may have created it in an earlier attempt.
func (r *Reporter) ours(c *check, external string) bool {
	if external == c.external {
		return true
	}
	return c.job != nil && r.c.Known != nil && strings.HasPrefix(external, r.c.Run+"/"+c.job.Key+"/")
}

// rejected decides what becomes of a request that GitHub did not take.
func (r *Reporter) rejected(s step, k checkRun, err error) {
	c := s.check
	r.changed = true
	if r.last == nil || !errors.Is(err, context.Canceled) { // of two reasons, the one before the end of time
		r.last = err
	}
	r.log.Warn("check run not posted", "name", c.name, "error", err)
	limited, _ := limitOf(err, time.Now())
	switch {
	case limited: // the budget waits
	case !refusal(err):
		c.look = c.look || s.cost == costCreate || len(k.annotations) > 0 || k.status == flow.StatusCompleted
		most := maxRetryDelay
		if !r.ended {
			most = maxRunDelay
		}
		r.retryAt = time.Now().Add(backoff(r.failures, most))
		r.failures++
	case status(err) == http.StatusUnprocessableEntity && s.cost != costRead && !c.minimal:
		c.minimal = true
	case status(err) == http.StatusUnprocessableEntity && c.job != nil:
		r.drop(c, "check run "+c.name+" was not posted: "+explanation(err, needChecks))
	default:
		r.stop("check runs were not posted: " + explanation(err, needChecks))
	}
}

// drop gives a job's check run up, and says why once.
func (r *Reporter) drop(c *check, note string) {
	c.dropped = true
	r.concluded++
	r.note(note)
}

// stop ends all posting for a reason that will not go away.
func (r *Reporter) stop(note string) {
	r.stopped = true
	r.note(note)
}
