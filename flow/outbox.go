package flow

import (
	"context"
	"fmt"
	"sync"
)

// outbox hands events to one Reporter in its own goroutine, so that a slow
// one holds up nobody. Its queue is bounded by the plan: a job has a handful
// of events.
type outbox struct {
	mu     sync.Mutex
	queue  []Event
	wake   chan struct{} // capacity 1
	done   chan struct{}
	closed bool
	err    error // of the first report that failed
	failed int
	cancel context.CancelFunc
}

func newOutbox(rep Reporter) *outbox {
	ctx, cancel := context.WithCancel(context.Background())
	b := &outbox{wake: make(chan struct{}, 1), done: make(chan struct{}), cancel: cancel}
	go b.run(ctx, rep)
	return b
}

func (b *outbox) add(events []Event) {
	b.mu.Lock()
	b.queue = append(b.queue, events...)
	b.mu.Unlock()
	b.signal()
}

func (b *outbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *outbox) run(ctx context.Context, rep Reporter) {
	defer close(b.done)
	for range b.wake {
		b.mu.Lock()
		events, closed := b.queue, b.closed
		b.queue = nil
		b.mu.Unlock()
		if len(events) > 0 {
			if err := rep.Report(ctx, events); err != nil {
				b.mu.Lock()
				b.failed++
				if b.err == nil {
					b.err = err
				}
				b.mu.Unlock()
			}
		}
		if closed {
			return
		}
	}
}

// close waits until the Reporter has taken everything, or ctx is done: then
// the Report at hand is cancelled and waited for.
func (b *outbox) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.signal()
	select {
	case <-b.done:
	case <-ctx.Done():
		b.cancel()
		<-b.done
	}
	b.cancel()
	if b.err != nil {
		return fmt.Errorf("%w (%d reports failed)", b.err, b.failed)
	}
	return nil
}
