package checks

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Limits of a Budget. Zero fields are WritesPerMinute and CreatesPerHour.
type Limits struct {
	WritesPerMinute int
	CreatesPerHour  int
}

// Budget is what may be written to GitHub with one token, or with those of
// one installation, in a while. All who write share it: their requests go out
// one at a time, the most urgent first, never more than the limits allow, and
// none while GitHub wants to be left alone.
type Budget struct {
	limits Limits

	mu       sync.Mutex
	writes   []time.Time // when those of the last minute ended, oldest first
	creates  []time.Time // and those of the last hour that created something
	until    time.Time   // GitHub wants no request before
	refused  int         // answers in a row that named a limit and no time
	busy     bool        // a request is out
	reserved int         // writes that runs still need for their ends
	waiting  []*turn
	seq      uint64
	timer    *time.Timer // for what only time changes
}

// NewBudget returns a budget that nothing has been spent of.
func NewBudget(l Limits) *Budget {
	if l.WritesPerMinute <= 0 {
		l.WritesPerMinute = WritesPerMinute
	}
	if l.CreatesPerHour <= 0 {
		l.CreatesPerHour = CreatesPerHour
	}
	return &Budget{limits: l}
}

// urgency of a request; lower is sooner.
type urgency int

const (
	urgencyFinal    urgency = iota // a run's last word
	urgencyJob                     // a job's last word, a run's first
	urgencyStart                   // a job has started
	urgencyProgress                // anything else
)

// cost is what a request takes of a budget.
type cost int

const (
	costRead cost = iota
	costWrite
	costCreate // a write that creates something
)

// turn is a request that waits to be sent.
type turn struct {
	urgency urgency
	cost    cost
	seq     uint64
	granted chan struct{}
}

// acquire waits until a request may be sent. It returns false, and nothing
// may be sent, when ctx is done or something is received from changed. After
// true, release must be called.
func (b *Budget) acquire(ctx context.Context, u urgency, c cost, changed <-chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	t := &turn{urgency: u, cost: c, granted: make(chan struct{})}
	b.mu.Lock()
	b.seq++
	t.seq = b.seq
	b.waiting = append(b.waiting, t)
	b.grant()
	b.mu.Unlock()
	select {
	case <-t.granted:
		return true
	case <-ctx.Done():
	case <-changed:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, t)
	if i < 0 {
		return true // its turn came in the same moment
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	return false
}

// release ends a request: what it took is counted from now, as GitHub may
// have seen it until now. err is its outcome.
func (b *Budget) release(c cost, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if c != costRead {
		b.writes = append(b.writes, now)
	}
	if c == costCreate {
		b.creates = append(b.creates, now)
	}
	if limited, wait := limitOf(err, now); limited {
		b.pause(now, wait)
	} else if err == nil {
		b.refused = 0
	}
	b.busy = false
	b.grant()
}

// pause lets no request out for as long as GitHub asks; wait is 0 when it
// does not say.
func (b *Budget) pause(now time.Time, wait time.Duration) {
	if wait <= 0 {
		wait = limitPause << min(b.refused, 10)
		b.refused++
		wait += rand.N(wait / 10)
	}
	until := now.Add(min(wait, maxPause) + rand.N(pauseJitter))
	if until.After(b.until) {
		b.until = until
	}
}

// reserve changes how many writes are kept back from progress for what runs
// still have to say at their ends.
func (b *Budget) reserve(change int) {
	if change == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved += change
	b.grant()
}

// ample reports whether jobs may be given check runs of their own: most of
// the hour's creates must be left.
func (b *Budget) ample() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(time.Now())
	return b.limits.CreatesPerHour-len(b.creates) > b.limits.CreatesPerHour/createShare
}

// forget drops what is out of the windows.
func (b *Budget) forget(now time.Time) {
	b.writes = after(b.writes, now.Add(-writeWindow))
	b.creates = after(b.creates, now.Add(-createWindow))
}

// after returns the times after t, which are at the end.
func after(times []time.Time, t time.Time) []time.Time {
	n := 0
	for n < len(times) && !times[n].After(t) {
		n++
	}
	return times[n:]
}

// grant gives the next request its turn, if there is one that may be sent;
// else it comes back when time has changed that.
func (b *Budget) grant() {
	if b.busy || len(b.waiting) == 0 {
		return
	}
	now := time.Now()
	b.forget(now)
	best := -1
	for i, t := range b.waiting {
		if b.room(t, now) && (best < 0 || t.before(b.waiting[best])) {
			best = i
		}
	}
	if best < 0 {
		b.later(now)
		return
	}
	t := b.waiting[best]
	b.waiting = slices.Delete(b.waiting, best, best+1)
	b.busy = true
	close(t.granted)
}

func (t *turn) before(o *turn) bool {
	if t.urgency != o.urgency {
		return t.urgency < o.urgency
	}
	return t.seq < o.seq
}

// room reports whether a request may be sent now.
func (b *Budget) room(t *turn, now time.Time) bool {
	if now.Before(b.until) {
		return false
	}
	if t.cost == costRead {
		return true
	}
	if t.cost == costCreate && len(b.creates) >= b.limits.CreatesPerHour {
		return false
	}
	limit := b.limits.WritesPerMinute
	if t.urgency >= urgencyStart {
		limit = max(limit-b.reserved, limit/progressShare)
	}
	return len(b.writes) < limit
}

// later looks again when the next thing happens that only time brings: the
// pause ends, or a write drops out of its window.
func (b *Budget) later(now time.Time) {
	at := b.until
	if !now.Before(at) {
		at = now.Add(createWindow)
		if len(b.writes) > 0 {
			at = earlier(at, b.writes[0].Add(writeWindow))
		}
		if len(b.creates) > 0 {
			at = earlier(at, b.creates[0].Add(createWindow))
		}
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.timer = time.AfterFunc(at.Sub(now), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.grant()
	})
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
