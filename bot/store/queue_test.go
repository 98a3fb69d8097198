package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

func delivery(n int) store.Delivery {
	return store.Delivery{
		GUID: fmt.Sprintf("guid-%d", n), Event: "push", Repo: "octo/app", Installation: 7,
		Payload: []byte(fmt.Sprintf(`{"n":%d}`, n)), ReceivedAt: started,
	}
}

func start(t testing.TB, s *store.Store, w store.Workers) *store.Queue {
	t.Helper()
	if w.Deliver == nil {
		w.Deliver = func(context.Context, int64) error { return nil }
	}
	if w.Work == nil {
		w.Work = func(context.Context, string) (time.Duration, error) { return time.Hour, nil }
	}
	return value[*store.Queue](t)(s.Start(t.Context(), w))
}

func stop(t testing.TB, q *store.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	must(t, q.Stop(ctx))
}

// concludes works a run by concluding it, and tells of it.
func concludes(s *store.Store, done collector[string]) func(context.Context, string) (time.Duration, error) {
	return func(ctx context.Context, run string) (time.Duration, error) {
		c, err := s.Claim(ctx, run)
		if err != nil {
			return 0, err
		}
		if err := c.Conclude(ctx, flow.Success, nil); err != nil {
			return 0, err
		}
		done <- run
		return 0, nil
	}
}

func TestDeliveries(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		// Senders that all send everything: each is new once.
		var fresh atomic.Int64
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for n := range 50 {
					if isNew, err := s.Accept(t.Context(), delivery(n)); err != nil {
						t.Error(err)
					} else if isNew {
						fresh.Add(1)
					}
				}
			})
		}
		senders.Wait()
		if fresh.Load() != 50 {
			t.Errorf("%d were new", fresh.Load())
		}
		seen := make(collector[string], 100)
		q := start(t, s, store.Workers{Deliver: func(ctx context.Context, id int64) error {
			d, err := s.Delivery(ctx, id)
			if err != nil {
				return err
			}
			seen <- d.GUID + string(d.Payload)
			return nil
		}})
		var got []string
		for range 50 {
			got = append(got, seen.next(t))
		}
		stop(t, q)
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != 50 || !slices.Contains(got, `guid-1{"n":1}`) {
			t.Errorf("delivered %v", got)
		}
		d := value[*store.Delivery](t)(s.DeliveryByGUID(t.Context(), "guid-7"))
		if d.State != store.DeliveryProcessed || d.Event != "push" || !d.ReceivedAt.Equal(started) {
			t.Errorf("processed: %+v", d)
		}
		if isNew := value[bool](t)(s.Accept(t.Context(), delivery(7))); isNew {
			t.Error("a processed delivery is new again")
		}
	})
}

func TestDeliveryDigest(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		for n, want := range []bool{true, false} {
			d := delivery(n)
			d.Digest = "the same meaning"
			if isNew := value[bool](t)(s.Accept(t.Context(), d)); isNew != want {
				t.Errorf("delivery %d: new is %v", n, isNew)
			}
		}
	})
}

func TestDeliveryFails(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		tried := make(collector[int64], 100)
		var well atomic.Bool
		q := start(t, s, store.Workers{Deliver: func(_ context.Context, id int64) error {
			tried <- id
			if well.Load() {
				return nil
			}
			panic("broken")
		}})
		defer stop(t, q)
		value[bool](t)(s.Accept(t.Context(), delivery(1)))
		id := tried.next(t)
		tried.next(t) // by itself
		until(t, func() bool { return value[*store.Delivery](t)(s.Delivery(t.Context(), id)).Error == "panic: broken" })
		// It is given up: a redelivery has it tried once more.
		well.Store(true)
		until(t, func() bool { // the try before may have to be noted still
			must(t, s.GiveUp(t.Context(), id))
			return value[bool](t)(s.Accept(t.Context(), delivery(1)))
		})
		tried.next(t)
		until(t, func() bool {
			return value[*store.Delivery](t)(s.Delivery(t.Context(), id)).State == store.DeliveryProcessed
		})
	})
}

// until looks until something is so.
func until(t testing.TB, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never became so")
		}
	}
}

func TestWork(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		slices := make(collector[string], 100)
		var failed atomic.Bool
		q := start(t, s, store.Workers{Work: func(ctx context.Context, run string) (time.Duration, error) {
			slices <- run
			if failed.CompareAndSwap(false, true) {
				return 0, errors.New("hiccup")
			}
			r, err := s.Run(ctx, run)
			if err != nil || r.CancelledBy == "" {
				return time.Hour, err
			}
			return concludes(s, slices)(ctx, run)
		}})
		defer stop(t, q)
		create(t, s, aRun(1))
		slices.next(t) // fails
		slices.next(t) // snoozes
		// A cancel does not wait for the hour to be over, nor may it get lost
		// when the slice has not ended yet.
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Cancel(ctx, "run-10001", "octocat", "") }))
		until(t, func() bool { return value[*store.Run](t)(s.Run(t.Context(), "run-10001")).State == store.Completed })
	})
}

// Work that the queue takes for running, and that nobody works, is taken up
// again; what a worker has in hand is not.
func TestReclaim(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		works := make(collector[string], 100)
		held := make(chan struct{})
		q := start(t, s, store.Workers{Work: func(_ context.Context, run string) (time.Duration, error) {
			works <- run
			if run == "run-10002" {
				<-held
			}
			return time.Hour, nil
		}})
		defer stop(t, q)
		defer close(held)
		create(t, s, aRun(1))
		works.next(t)
		until(t, func() bool { return value[int64](t)(s.LoseEnd(t.Context())) == 1 })
		create(t, s, aRun(2))
		if got := works.next(t); got != "run-10002" {
			t.Fatalf("%s was taken up again at once", got)
		}
		for range 2 { // the second time it has been in hand for longer than the first
			if got := works.next(t); got != "run-10001" {
				t.Errorf("%s was taken up again", got)
			}
			until(t, func() bool { return value[int64](t)(s.LoseEnd(t.Context())) == 1 })
		}
	})
}

func TestWaitingRun(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		done := make(collector[string], 100)
		q := start(t, s, store.Workers{Work: concludes(s, done)})
		defer stop(t, q)
		waiting, cancelled := aRun(1), aRun(2)
		waiting.State, cancelled.State = store.Waiting, store.Waiting
		create(t, s, waiting)
		create(t, s, cancelled)
		create(t, s, aRun(3))
		if run := done.next(t); run != "run-10003" {
			t.Errorf("worked %s first", run)
		}
		for range 2 { // the second has nothing to release
			must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Release(ctx, waiting.ID) }))
		}
		if run := done.next(t); run != waiting.ID {
			t.Errorf("worked %s second", run)
		}
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Cancel(ctx, cancelled.ID, "octocat", "") }))
		if run := done.next(t); run != cancelled.ID {
			t.Errorf("worked %s last", run)
		}
	})
}

// A run that becomes due while the work that left it ends is worked again.
func TestDueWhileEnding(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		run := aRun(1)
		run.State = store.Waiting
		done := make(collector[string], 10)
		first := true
		q := start(t, s, store.Workers{Work: func(ctx context.Context, id string) (time.Duration, error) {
			if first {
				first = false
				done <- id
				return 0, nil // with the run still queued, as if it were not
			}
			return concludes(s, done)(ctx, id)
		}})
		defer stop(t, q)
		create(t, s, run)
		must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Release(ctx, run.ID) }))
		done.next(t)
		done.next(t)
	})
}

func TestStopWaits(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		begun, ended := make(collector[string], 10), make(chan error, 10)
		goOn := make(chan struct{})
		q := start(t, s, store.Workers{Work: func(ctx context.Context, run string) (time.Duration, error) {
			begun <- run
			<-goOn
			ended <- ctx.Err()
			return time.Hour, nil
		}})
		create(t, s, aRun(1))
		begun.next(t)
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop(t, q) }()
		select {
		case <-stopped:
			t.Error("stopped with work at hand")
		case <-time.After(50 * time.Millisecond):
		}
		close(goOn)
		<-stopped
		if err := <-ended; err != nil {
			t.Errorf("the work was cancelled: %v", err)
		}
	})
}

func TestSubscribe(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		s := open(t, address)
		other := s
		if address[0] == 'p' {
			other = open(t, address)
		}
		create(t, s, aRun(1))
		create(t, s, aRun(2))
		mine, theirs := s.Subscribe(t.Context(), "run-10001"), other.Subscribe(t.Context(), "run-10001")
		c := claim(t, s, "run-10001")
		for i := range 3 {
			must(t, c.AppendLog(t.Context(), "j", 1, int64(i), []byte("x")))
			collector[struct{}](toBidi(mine)).next(t)
			collector[struct{}](toBidi(theirs)).next(t)
		}
	})
}

// toBidi makes a collector of a channel that is only received from.
func toBidi(in <-chan struct{}) chan struct{} {
	out := make(chan struct{}, 1)
	go func() { out <- <-in }()
	return out
}
