package flow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("c", 1)
		s.inv("b", 3, "c")
		s.inv("a", 1, "b")
		x := &flowtest.Executor{Script: func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: time.Second} }}
		start := time.Now()
		r := run(t, &flow.Engine{Executor: x}, s.roots("a"))
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v: the hosts of one project run in parallel", d)
		}
		check(t, "conclusion", string(r.Conclusion), "success")
		got := x.Attempts()
		slices.Sort(got[1:4])
		check(t, "order", strings.Join(got, " "), "c@h1/1 b@h1/1 b@h2/1 b@h3/1 a@h1/1")
	})
}

func TestQueueIDIsOneAtATimeInFileOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		for i := range 12 {
			inv := s.inv(fmt.Sprintf("p%02d", i), 1)
			inv.Jobs[0].QueueID = "q"
		}
		names := slices.Sorted(maps.Keys(s.byID))
		slices.Reverse(names)
		x := &flowtest.Executor{Script: func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: time.Second} }}
		run(t, &flow.Engine{Executor: x}, s.roots(names...))
		if x.Most("queue-id q") != 1 || !slices.IsSorted(x.Attempts()) || len(x.Attempts()) != 12 {
			t.Errorf("most %d, order %v", x.Most("queue-id q"), x.Attempts())
		}
	})
}

func TestFailureSkipsDependentsAndRunsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("bad", 2)
		s.after("bad", flow.WhenSuccess, "onok")
		s.after("bad", flow.WhenFailure, "onfail")
		s.after("bad", flow.WhenAlways, "always")
		s.inv("next", 1, "bad")
		s.after("next", flow.WhenAlways, "nextalways")
		s.inv("last", 1, "next")
		x := &flowtest.Executor{Script: script(map[string]flowtest.Step{"bad@h2": {Run: time.Second, Result: fail}})}
		r := run(t, &flow.Engine{Executor: x}, s.roots("last"))
		check(t, "ends", ends(r), "bad=success/ bad@h2=failure/task onok=skipped/ onfail=success/ always=success/ next=skipped/dependency nextalways=success/ last=skipped/dependency")
		check(t, "conclusion", string(r.Conclusion), "failure")
		check(t, "why", r.Jobs[7].Error, "because bad@h2 failed")
	})
}

func TestNeutralCountsAsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("soft", 1).IgnoreErrors = true
		s.inv("next", 1, "soft")
		x := &flowtest.Executor{Script: script(map[string]flowtest.Step{"soft@h1": {Result: fail}})}
		r := run(t, &flow.Engine{Executor: x}, s.roots("next"))
		check(t, "ends", ends(r), "soft=neutral/task next=success/")
		check(t, "conclusion", string(r.Conclusion), "success")
	})
}

func TestRetry(t *testing.T) {
	notStarted := fmt.Errorf("connect: %w", flow.ErrNotStarted)
	refused := fmt.Errorf("%w: bad token: %w", flow.ErrRefused, flow.ErrNotStarted)
	lost := flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure, Lost: true, Error: "lost: agent restarted"}
	for _, tt := range []struct {
		name  string
		retry flow.Retry
		steps map[string]flowtest.Step
		want  string
		n     int
	}{
		{"task is not retried by default", flow.Retry{}, map[string]flowtest.Step{"a@h1": {Result: fail}}, "a=failure/task", 1},
		{"task passes on the third attempt", flow.Retry{Limit: 2, On: []string{"failure"}},
			map[string]flowtest.Step{"a@h1/1": {Result: fail}, "a@h1/2": {Result: fail}}, "a=success/", 3},
		{"task limit", flow.Retry{Limit: 2, On: []string{"failure"}}, map[string]flowtest.Step{"a@h1": {Result: fail}}, "a=failure/task", 3},
		{"not started comes back", flow.Retry{}, map[string]flowtest.Step{"a@h1/1": {Err: notStarted}, "a@h1/2": {Err: notStarted}}, "a=success/", 3},
		{"not started for good", flow.Retry{}, map[string]flowtest.Step{"a@h1": {Err: notStarted}}, "a=failure/infrastructure", 4},
		{"refused is final", flow.Retry{Limit: 5, On: []string{"lost", "failure"}}, map[string]flowtest.Step{"a@h1": {Err: refused}}, "a=failure/infrastructure", 1},
		{"unknown is lost, not repeated", flow.Retry{Limit: 3, On: []string{"failure"}}, map[string]flowtest.Step{"a@h1": {Err: errors.New("reset"), Run: 1}}, "a=failure/infrastructure", 1},
		{"lost is not repeated", flow.Retry{Limit: 3, On: []string{"failure"}}, map[string]flowtest.Step{"a@h1": {Result: lost}}, "a=failure/infrastructure", 1},
		{"lost is repeated when asked for", flow.Retry{Limit: 3, On: []string{"lost"}}, map[string]flowtest.Step{"a@h1/1": {Result: lost}}, "a=success/", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSketch()
				inv := s.inv("a", 1)
				tt.retry.Delay, tt.retry.Backoff, tt.retry.MaxDelay = 10*time.Second, 2, time.Minute
				inv.Retry = tt.retry
				x := &flowtest.Executor{Script: script(tt.steps)}
				r := run(t, &flow.Engine{Executor: x}, s.roots("a"))
				check(t, "ends", ends(r), tt.want)
				if len(r.Jobs[0].Attempts) != tt.n || len(x.Attempts()) != tt.n {
					t.Errorf("attempts: %d reported, %d executed, want %d", len(r.Jobs[0].Attempts), len(x.Attempts()), tt.n)
				}
				ids := map[string]bool{}
				for _, a := range r.Jobs[0].Attempts {
					ids[a.JobID] = true
				}
				if len(ids) != tt.n {
					t.Errorf("job-ids are reused: %v", ids)
				}
			})
		})
	}
}

func TestTimeoutIsForAllJobsFromTheFirstStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		inv := s.inv("a", 3)
		inv.Timeout = time.Minute
		inv.Jobs[2].QueueID, inv.Jobs[1].QueueID = "q", "q"
		x := &flowtest.Executor{Script: script(map[string]flowtest.Step{
			"a@h1": {Queue: 30 * time.Second, Run: 10 * time.Second}, "a@h2": {Queue: 40 * time.Second, Run: time.Hour},
		})}
		start := time.Now()
		r := run(t, &flow.Engine{Executor: x}, s.roots("a"))
		check(t, "ends", ends(r), "a=success/ a@h2=timed_out/timeout a@h3=timed_out/timeout")
		if d := time.Since(start); d != 90*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 2)
		s.after("a", flow.WhenAlways, "clean")
		s.inv("b", 1, "a")
		x := &flowtest.Executor{Script: script(map[string]flowtest.Step{"a@h1": {Run: time.Hour}, "a@h2": {Run: 2 * time.Minute, Deaf: true}})}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		r, err := (&flow.Engine{Executor: x}).Run(ctx, flow.RunOptions{ID: "r1", Plan: s.roots("b")})
		if err != nil {
			t.Fatal(err)
		}
		check(t, "ends", ends(r), "a=cancelled/cancelled a@h2=success/ clean=skipped/ b=skipped/dependency")
		check(t, "conclusion", string(r.Conclusion), "cancelled")
		check(t, "confirmation", r.Jobs[0].Error, "the run was cancelled; host confirmed")
		if d := time.Since(start); d != 2*time.Minute {
			t.Errorf("took %v: Run returned while a job ran", d)
		}
	})
}

func TestFailFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, whole := range []bool{false, true} {
			s := newSketch()
			inv := s.inv("a", 3)
			inv.FailFast = !whole
			s.after("a", flow.WhenFailure, "clean")
			s.inv("other", 1)
			x := &flowtest.Executor{Script: script(map[string]flowtest.Step{
				"a@h1": {Run: time.Second, Result: fail}, "a@h2": {Run: time.Hour}, "a@h3": {Run: time.Hour}, "other@h1": {Run: time.Minute},
			})}
			r := run(t, &flow.Engine{Executor: x, FailFast: whole}, s.roots("a", "other"))
			want := "a=failure/task a@h2=cancelled/cancelled a@h3=cancelled/cancelled clean=success/ other=success/"
			if whole {
				want = strings.Replace(want, "other=success/", "other=cancelled/cancelled", 1)
			}
			check(t, "ends", ends(r), want)
			check(t, "conclusion", string(r.Conclusion), "failure")
		}
	})
}

const sha1, sha2 = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"

func TestEveryHostSeesOneCommit(t *testing.T) {
	for _, tt := range []struct {
		name    string
		resolve func(context.Context, flow.Source) (string, error)
		steps   map[string]flowtest.Step
		want    string // commit that each attempt was given
	}{
		{"resolved", func(context.Context, flow.Source) (string, error) { return sha2, nil }, nil, sha2 + " " + sha2 + " " + sha2},
		{"scout", nil, map[string]flowtest.Step{"a@h1": {Run: time.Second, Result: flow.Result{Commit: sha1}}}, " " + sha1 + " " + sha1},
		{"scout fails", func(context.Context, flow.Source) (string, error) { return "", errors.New("no route") },
			map[string]flowtest.Step{"a@h1": {Run: time.Second, Result: fail}, "a@h2": {Run: time.Second, Result: flow.Result{Commit: sha1}}}, "  " + sha1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSketch()
				inv := s.inv("a", 3)
				for _, j := range inv.Jobs {
					j.Source = flow.Source{Kind: flow.SourceGit, URL: "https://forge.example/x.git", Ref: "main"}
				}
				x := &flowtest.Executor{Script: script(tt.steps)}
				run(t, &flow.Engine{Executor: x, Resolve: tt.resolve}, s.roots("a"))
				var got []string
				for _, k := range []string{"a@h1/1", "a@h2/1", "a@h3/1"} {
					a, ok := x.Attempt(k)
					if !ok {
						t.Fatalf("%s did not run", k)
					}
					got = append(got, a.Commit)
				}
				check(t, "commits", strings.Join(got, " "), tt.want)
			})
		})
	}
}

func TestArtifactsReachConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		build := s.inv("build", 2)
		for _, j := range build.Jobs {
			j.Out = []flow.Output{{File: "f", Path: "out/f"}}
		}
		use := s.inv("use", 1, "build")
		use.Jobs[0].In = []flow.Input{{File: "f", From: build.Jobs}}
		x := &flowtest.Executor{}
		run(t, &flow.Engine{Executor: x}, s.roots("use"))
		a, _ := x.Attempt("use@h1/1")
		var got []string
		for _, f := range a.Inputs {
			got = append(got, f.Path+"<"+f.Artifact.Host)
		}
		check(t, "inputs", strings.Join(got, " "), "f<http://h1 h1/f<http://h1 h2/f<http://h2")

		build.IgnoreErrors = true
		x = &flowtest.Executor{Script: script(map[string]flowtest.Step{"build@h1": {Result: fail}})}
		r := run(t, &flow.Engine{Executor: x}, &s.plan)
		check(t, "ends", ends(r), "build=neutral/task build@h2=success/ use=failure/dependency")
	})
}
