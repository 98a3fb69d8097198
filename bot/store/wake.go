package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
)

// waker tells this process's own workers of what it has queued, as soon as
// that is committed: without, they would find it when they look next. What
// other replicas queue they find by looking.
type waker struct{ deliver, work, leader chan struct{} }

func newWaker() *waker {
	return &waker{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)}
}

// wakeAll has everything looked at that a dead replica may have left: what it
// worked, and whether it led the queue.
func (w *waker) wakeAll() {
	wake(w.deliver)
	wake(w.work)
	wake(w.leader)
}

// wake has a queue looked at; one that is to be looked at already is not twice.
func wake(queue chan struct{}) {
	select {
	case queue <- struct{}{}:
	default:
	}
}

// wakeSnoozed has the queue looked at when work is due that was put off for
// less than a look's interval, until ctx is done.
func (q *Queue) wakeSnoozed(ctx context.Context) {
	events, cancel := q.client.Subscribe(river.EventKindJobSnoozed)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			if d := time.Until(e.Job.ScheduledAt); d < fetchPoll {
				time.AfterFunc(d, func() { wake(q.s.waker.work) })
			}
		}
	}
}

// wakingDriver is the driver of the client that works. It says that there are
// notifications, whatever the database has; who inserts uses the plain one, and
// sends none through it.
type wakingDriver struct {
	riverdriver.Driver[*sql.Tx]
	w *waker
}

// SupportsListener implements riverdriver.Driver.
func (wakingDriver) SupportsListener() bool { return true }

// SupportsListenNotify implements riverdriver.Driver.
func (wakingDriver) SupportsListenNotify() bool { return false }

// GetListener implements riverdriver.Driver.
func (d wakingDriver) GetListener(*riverdriver.GetListenenerParams) riverdriver.Listener {
	return &wakingListener{d.w}
}

// wakingListener has a waker's calls look like a database's.
type wakingListener struct{ w *waker }

func (*wakingListener) Close(context.Context) error            { return nil }
func (*wakingListener) Connect(context.Context) error          { return nil }
func (*wakingListener) Listen(context.Context, string) error   { return nil }
func (*wakingListener) Unlisten(context.Context, string) error { return nil }
func (*wakingListener) Ping(context.Context) error             { return nil }
func (*wakingListener) Schema() string                         { return "" }
func (*wakingListener) SetAfterConnectExec(string)             {}

// WaitForNotification implements riverdriver.Listener.
func (l *wakingListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	queue := deliverQueue
	select {
	case <-l.w.deliver:
	case <-l.w.work:
		queue = workQueue
	case <-l.w.leader: // as a leader says it that ends
		return &riverdriver.Notification{Topic: "river_leadership", Payload: `{"action":"resigned","leader_id":"dead"}`}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &riverdriver.Notification{Topic: "river_insert", Payload: `{"queue":"` + queue + `"}`}, nil
}
