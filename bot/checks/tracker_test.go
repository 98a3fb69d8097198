package checks_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/bot/checks"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

const tracked = `
pools:
  p: {hosts: [{url: "https://h3:4000"}, {url: "https://h4:4000"}]}
projects:
  many: {path: ., action: test, pool: p, workers: 5}
  base: {path: "https://git.example/p.git", action: test, hosts: [{url: "https://h1:4000"}, {url: "https://h2:4000"}], retry: 1}
  top: {path: ., action: test, hosts: [{url: "https://h1:4000"}], before: [{name: base}]}
  other: {path: ., action: test, hosts: [{url: "https://h3:4000"}], after: [{name: mop, when: failure}, {name: shine, when: success}]}
  mop: {path: ., action: test, hosts: [{url: "https://h1:4000"}]}
  shine: {path: ., action: test, hosts: [{url: "https://h1:4000"}]}
`

// TestTrackerAgreesWithTheEngine in all that a report says of jobs.
func TestTrackerAgreesWithTheEngine(t *testing.T) {
	f, err := flow.Parse("jobs.yaml", []byte(tracked))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := flow.NewPlan(f, flow.PlanOptions{Repo: "https://git.example/app.git"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "https://h1:4000", "https://h2:4000", "https://h3:4000"} {
		t.Run("fails on "+bad, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := &flowtest.Reporter{}
				e := &flow.Engine{
					Reporters: []flow.Reporter{rec},
					Executor: &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
						s := flowtest.Step{Queue: time.Second, Run: time.Second, Log: "log of " + a.JobID}
						if a.Host == bad {
							s.Result = failed
						}
						if a.Job.Source.Kind == flow.SourceGit {
							s.Result.Commit = headSHA
						}
						return s
					}},
				}
				run, err := e.Run(context.Background(), flow.RunOptions{ID: "r1", Plan: plan, SHA: headSHA})
				if err != nil {
					t.Fatal(err)
				}
				tr := checks.NewTracker(plan)
				events := rec.Events()
				for i := range events {
					tr.Apply(events[i : i+1])
				}
				got := tr.Run()
				got.StartedAt, got.CompletedAt = run.StartedAt, run.CompletedAt
				if g, w := toJSON(t, got), toJSON(t, run); g != w {
					t.Errorf("tracked:\n%s\nthe engine's:\n%s", g, w)
				}
			})
		})
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTrackerSnapshots(t *testing.T) {
	plan := newPlan(t, 1)
	tr := checks.NewTracker(plan)
	job := plan.Jobs[0]
	var runs []*flow.Run
	res := flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure}
	for _, ev := range []flow.Event{
		{Kind: flow.RunStarted, Run: "r1", Commit: headSHA},
		{Kind: flow.JobQueued, Job: job, Attempt: 1, JobID: "a"},
		{Kind: flow.JobStarted, Job: job, Attempt: 1, JobID: "a"},
		{Kind: flow.AttemptCompleted, Job: job, Attempt: 1, JobID: "a", Result: &res, Log: "x"},
		{Kind: flow.Note, Message: "something"},
	} {
		tr.Apply([]flow.Event{ev})
		runs = append(runs, tr.Run())
	}
	want := []struct {
		job, attempt flow.Status
		notes        int
	}{
		{flow.StatusQueued, "", 0},
		{flow.StatusQueued, flow.StatusQueued, 0},
		{flow.StatusInProgress, flow.StatusInProgress, 0},
		{flow.StatusQueued, flow.StatusCompleted, 0},
		{flow.StatusQueued, flow.StatusCompleted, 1},
	}
	for i, w := range want {
		var attempt flow.Status
		if last := runs[i].Jobs[0].Last(); last != nil {
			attempt = last.Status
		}
		if j := runs[i].Jobs[0]; j.Status != w.job || attempt != w.attempt || len(runs[i].Notes) != w.notes {
			t.Errorf("snapshot %d: job %s, attempt %s, %d notes", i, j.Status, attempt, len(runs[i].Notes))
		}
	}
}
