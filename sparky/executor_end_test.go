package sparky_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

func TestExecCancel(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		fault func(*http.Request) sparkytest.Fault
		text  string
		runs  int
	}{
		{"running", 30 * time.Second, nil, "confirmed it", 1},
		{"queued", 500 * time.Millisecond, nil, "confirmed it", 1}, // until its turn comes; the flag stops it there
		{"cookies refused", 30 * time.Second, once(99, "POST /cancel", sparkytest.Status500), "confirmed it", 1},
		{"stash broken", 30 * time.Second, once(99, "POST /stash", sparkytest.Status500), "confirmed it", 1},
		{"host gone", 30 * time.Second, after(0, "POST /", sparkytest.Hang), "did not confirm", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := newFake(t)
				fault := tt.fault
				if fault == nil {
					fault = func(*http.Request) sparkytest.Fault { return sparkytest.NoFault }
				}
				posted := false
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(fake, func(r *http.Request) sparkytest.Fault {
					if r.URL.Path == "/queue" && !posted {
						posted = true
						return sparkytest.NoFault
					}
					return fault(r)
				})})
				ctx, cancel := context.WithTimeout(t.Context(), tt.after)
				defer cancel()
				begun := time.Now()
				a := attempt("j1", "sleep=1000")
				res, err := b.Exec(ctx, a, nil)
				if err != nil || res.Conclusion != flow.Cancelled || res.Cause != flow.CauseCancelled || !strings.Contains(res.Error, tt.text) {
					t.Errorf("%+v, %v", res, err)
				}
				if took := time.Since(begun) - tt.after; took > sparky.DefaultCancelWait+time.Second {
					t.Errorf("it took %v after the cancel", took)
				}
				if n := fake.Runs(a.Job.Queue, a.JobID); n != tt.runs {
					t.Errorf("it ran %d times", n)
				}
			})
		})
	}
}

func TestExecCancelBeforeItIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a := attempt("j1", "hello")
		res, err := b.Exec(ctx, a, nil)
		if err != nil || res.Conclusion != flow.Cancelled {
			t.Errorf("%+v, %v", res, err)
		}
		time.Sleep(time.Minute) // virtual: nothing comes of it later either
		if fake.Runs(a.Job.Queue, a.JobID) != 0 {
			t.Error("it has run")
		}
	})
}

func TestExecQueueTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		first, second := attempt("j1", "sleep=100"), attempt("j2", "hello")
		second.Job.Queue = first.Job.Queue
		second.QueueTimeout = 20 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			if res, err := b.Exec(t.Context(), first, nil); err != nil || res.Conclusion != flow.Success {
				t.Errorf("first: %+v, %v", res, err)
			}
		})
		time.Sleep(10 * time.Second) // virtual
		res, err := b.Exec(t.Context(), second, nil)
		if err != nil || res.Conclusion != flow.Failure || res.Cause != flow.CauseInfrastructure || !strings.Contains(res.Error, "waited 20s in the queue") {
			t.Errorf("second: %+v, %v", res, err)
		}
		wg.Wait()
	})
}

func TestExecRunnerThatNeverEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		stuck := func(j *sparkytest.FakeJob) int { // its runner was killed: 0 for ever
			for j.Sleep(time.Hour) {
			}
			return 1
		}
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Run: stuck})
		t.Cleanup(fake.Close)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		a := attempt("j1", "hello")
		a.Timeout = time.Minute
		res, err := b.Exec(t.Context(), a, nil)
		if err != nil || res.Conclusion != flow.TimedOut || res.Cause != flow.CauseTimeout {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestExecFalseSuccess(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Run: func(j *sparkytest.FakeJob) int {
			j.Printf("sh: syntax error\n") // the command line was cut off, and Sparky says 1
			return 0
		}})
		t.Cleanup(fake.Close)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		res, err := b.Exec(t.Context(), attempt("j1", "hello"), nil)
		if err != nil || res.Conclusion != flow.Failure || res.Cause != flow.CauseInfrastructure {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// TestExecCancelWhileItIsSent: the request that brings the job is not broken
// off, so that the host's answer leaves no doubt.
func TestExecCancelWhileItIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answered := false
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fake.ServeHTTP(w, r)
			if r.URL.Path == "/queue" {
				cancel()
				time.Sleep(time.Second) // virtual
				answered = r.Context().Err() == nil
			}
		})})
		res, err := b.Exec(ctx, attempt("j1", "sleep=1000"), nil)
		if err != nil || res.Conclusion != flow.Cancelled || !strings.Contains(res.Error, "confirmed it") {
			t.Errorf("%+v, %v", res, err)
		}
		if !answered {
			t.Error("the request was broken off")
		}
	})
}
