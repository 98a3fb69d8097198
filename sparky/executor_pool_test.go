package sparky_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// A job that is cancelled in its host's queue, or before it is sent, has
// certainly not started, and says so; one that runs does not.
func TestExecCancelledBeforeStart(t *testing.T) {
	b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: newAgent(t, agent.Config{})})
	first, second, third := dirAttempt(t, "j1", "sleep"), dirAttempt(t, "j2", "hello"), dirAttempt(t, "j3", "hello")
	second.Job.Queue = first.Job.Queue
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started, running := make(chan struct{}), make(chan flow.Result, 1)
	first.Started = func(time.Time) { close(started) }
	go func() {
		res, err := b.Exec(ctx, first, nil)
		if err != nil {
			t.Error(err)
		}
		running <- res
	}()
	<-started
	queued, unqueue := context.WithTimeout(t.Context(), time.Second) // it is in the queue long before
	defer unqueue()
	res, err := b.Exec(queued, second, nil)
	if err != nil || res.Conclusion != flow.Cancelled || !res.NotStarted || !res.StartedAt.IsZero() {
		t.Errorf("in the queue: %+v, %v", res, err)
	}
	res, err = b.Exec(queued, third, nil)
	if err != nil || res.Conclusion != flow.Cancelled || !res.NotStarted {
		t.Errorf("not sent: %+v, %v", res, err)
	}
	cancel()
	if res := <-running; res.Conclusion != flow.Cancelled || res.NotStarted {
		t.Errorf("running: %+v", res)
	}
}

// What the host of an artifact has failed at is not the fault of the host that
// needs it.
func TestExecBlame(t *testing.T) {
	const files, ill = "http://files.test:4000", "http://ill.test:4000"
	b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{
		testHost: newAgent(t, agent.Config{}), files: newAgent(t, agent.Config{}),
		ill: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "ill", http.StatusServiceUnavailable) }),
	})
	a := dirAttempt(t, "j1", "hello")
	a.Inputs = []flow.InputFile{{Path: "f", Artifact: flow.Artifact{File: "f", Bytes: 1, SHA256: "00", Host: files, Queue: "q", JobID: "x"}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := b.Exec(ctx, a, nil)
	if !errors.Is(err, flow.ErrNotStarted) || !errors.Is(err, flow.ErrElsewhere) {
		t.Errorf("artifact: %v", err)
	}
	gone := dirAttempt(t, "j2", "hello")
	gone.Host = ill
	if _, err := b.Exec(ctx, gone, nil); !errors.Is(err, flow.ErrNotStarted) || errors.Is(err, flow.ErrElsewhere) || errors.Is(err, flow.ErrRefused) {
		t.Errorf("host: %v", err)
	}
}

// Probe says whether a host answers.
func TestExecutorProbe(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: newFake(t)})
		if err := b.Probe(t.Context(), testHost); err != nil {
			t.Error(err)
		}
		if err := b.Probe(t.Context(), "http://files.test:4000"); err == nil {
			t.Error("a host that is not there answers")
		}
	})
}
