package store_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

var started = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// aRun is a run like any other.
func aRun(n int) *store.Run {
	return &store.Run{
		ID: "run-" + strconv.Itoa(10000+n), Key: "code/octo/app/" + strconv.Itoa(n), Class: "code",
		Repo: "octo/app", Installation: 7, SHA: "abc" + strconv.Itoa(n), Ref: "refs/heads/main", Branch: "main",
		Origin: store.Origin{Event: "push", Sender: "octocat", Title: "Fix <it>", Reason: "push to main"},
		Spec: store.Spec{
			ConfigPath: "jobs.yaml", Config: []byte("projects:\n"), Roots: []string{"build"}, Vars: map[string]string{"A": "b c"},
		},
		CreatedAt: started.Add(time.Duration(n) * time.Second),
	}
}

func create(t testing.TB, s *store.Store, r *store.Run) (run *store.Run, created bool) {
	t.Helper()
	must(t, s.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		run, created, err = tx.CreateRun(ctx, r)
		return err
	}))
	return run, created
}

// plan is one of n hosts.
func plan(n int) *flow.Plan {
	inv := &flow.Invocation{Key: "build", Timeout: time.Hour, QueueTimeout: time.Hour, Project: &flow.Project{Name: "build"}, Retry: flow.Retry{Limit: 1, On: []string{"failure"}, Delay: time.Millisecond, Backoff: 1, MaxDelay: time.Millisecond}}
	for i := range n {
		label := "h" + strconv.Itoa(i+1)
		inv.Jobs = append(inv.Jobs, &flow.Job{
			Key: "build@" + label, Label: label, Invocation: inv, Host: "http://" + label, Queue: "build-" + label, Title: "Build",
			Work: &flow.Work{Source: flow.Source{Kind: flow.SourceDir, Dir: "/x"}},
		})
	}
	return &flow.Plan{Roots: []*flow.Invocation{inv}, Invocations: []*flow.Invocation{inv}, Jobs: inv.Jobs}
}

// collector takes values from workers to the test.
type collector[T any] chan T

func (c collector[T]) next(t testing.TB) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}
