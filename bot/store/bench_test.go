package store_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/store/storetest"
	"github.com/cromt/cromt/flow"
)

// benchEach runs a benchmark on both databases, which write to the disk before
// they commit, with so many writers that each wait for their own commits. done
// is how many writes the store has in the end.
func benchEach(b *testing.B, f func(b *testing.B, s *store.Store, writers int) (write func(writer, n int) error, done func() int)) {
	durable, err := storetest.StartPostgres("fsync=on")
	if err != nil {
		b.Fatal(err)
	}
	defer durable.Stop()
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, writers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/writers%d", kind, writers), func(b *testing.B) {
				at := durable.Address("postgres")
				if kind == "sqlite" {
					at = address(b, kind)
				}
				s, err := store.Open(b.Context(), at, store.Options{})
				must(b, err)
				defer func() { must(b, s.Close()) }()
				load := loadAverage()
				write, done := f(b, s, writers)
				b.ResetTimer()
				start := time.Now()
				inTurns(b, writers, write)
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "writes/s")
				if n := done(); n != b.N {
					b.Fatalf("the store has %d writes of %d", n, b.N)
				}
				b.ReportMetric(load, "load")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// inTurns has the writers write b.N times together.
func inTurns(b *testing.B, writers int, write func(writer, n int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; next.Add(1) <= int64(b.N); n++ {
				if err := write(w, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func loadAverage() float64 {
	data, _ := os.ReadFile("/proc/loadavg") // not on every system
	first, _, _ := strings.Cut(string(data), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}

// BenchmarkAccept stores and queues deliveries of 30 KiB, each durable before
// the next of its writer. Run it with -benchtime 2000x.
func BenchmarkAccept(b *testing.B) {
	payload := []byte(strings.Repeat(`{"lorem": "ipsum dolor sit amet"}, `, 30<<10/35))
	benchEach(b, func(b *testing.B, s *store.Store, _ int) (func(int, int) error, func() int) {
		id := flow.NewRunID()
		queued := func() int {
			stats, err := s.Stats(b.Context())
			must(b, err)
			return stats.Deliveries[store.DeliveryQueued]
		}
		before := queued()
		write := func(w, n int) error {
			_, err := s.Accept(b.Context(), store.Delivery{
				GUID: fmt.Sprintf("%s-%d-%d", id, w, n), Event: "push", Repo: "octo/app", Payload: payload, ReceivedAt: time.Now(),
			})
			return err
		}
		return write, func() int { return queued() - before }
	})
}

// BenchmarkTransitions journals the events of runs, one for each writer: of
// one job, which is queued, starts, fails and is attempted again. Each event
// is durable before the next of its run. Run it with -benchtime 2000x.
func BenchmarkTransitions(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store, writers int) (func(int, int) error, func() int) {
		id, p := flow.NewRunID(), plan(1)
		journals := make([]flow.Reporter, writers)
		for w := range journals {
			run := aRun(w)
			run.ID, run.Key = fmt.Sprintf("%s-%d", id, w), fmt.Sprintf("code/octo/app/%s-%d", id, w)
			create(b, s, run)
			journals[w] = claim(b, s, run.ID).Journal(p)
			must(b, journals[w].Report(b.Context(), []flow.Event{{Kind: flow.RunStarted, Time: time.Now(), Run: run.ID, Message: p.Digest()}}))
		}
		result := &flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "exit 1", ExitCode: 1}
		write := func(w, n int) error {
			ev := flow.Event{
				Time: time.Now(), Run: fmt.Sprintf("%s-%d", id, w), Job: p.Jobs[0], Host: p.Jobs[0].Host,
				Attempt: n/3 + 1, JobID: fmt.Sprintf("%s-%d-%d", id, w, n/3),
			}
			switch n % 3 {
			case 0:
				ev.Kind = flow.JobQueued
			case 1:
				ev.Kind = flow.JobStarted
			case 2:
				ev.Kind, ev.Result, ev.RetryAt = flow.AttemptCompleted, result, time.Now()
			}
			return journals[w].Report(b.Context(), []flow.Event{ev})
		}
		return write, func() (n int) {
			for w := range writers {
				events, err := s.History(context.Background(), fmt.Sprintf("%s-%d", id, w), p)
				must(b, err)
				n += len(events) - 1
			}
			return n
		}
	})
}
