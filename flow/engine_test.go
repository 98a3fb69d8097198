package flow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// sketch builds plans by hand: "name: hosts".
type sketch struct {
	plan flow.Plan
	byID map[string]*flow.Invocation
}

func newSketch() *sketch { return &sketch{byID: map[string]*flow.Invocation{}} }

func (s *sketch) inv(name string, hosts int, before ...string) *flow.Invocation {
	inv := &flow.Invocation{
		Key: name, Timeout: time.Hour, QueueTimeout: time.Hour,
		Project: &flow.Project{Name: name, Pos: flow.Pos{Line: len(s.byID) + 1, Col: 1}},
		Retry:   flow.Retry{Delay: 10 * time.Second, Backoff: 2, MaxDelay: time.Minute, On: []string{"failure"}},
	}
	for _, b := range before {
		inv.Before = append(inv.Before, s.byID[b])
	}
	for i := range hosts {
		label := fmt.Sprintf("h%d", i+1)
		inv.Jobs = append(inv.Jobs, &flow.Job{
			Key: name + "@" + label, Label: label, Invocation: inv, Host: "http://" + label, Queue: name + "-" + label,
			Work: &flow.Work{Source: flow.Source{Kind: flow.SourceDir, Dir: "/x"}},
		})
	}
	s.byID[name] = inv
	s.plan.Invocations = append(s.plan.Invocations, inv)
	s.plan.Jobs = append(s.plan.Jobs, inv.Jobs...)
	return inv
}

func (s *sketch) after(parent string, when flow.When, name string) *flow.Invocation {
	inv := s.inv(name, 1)
	inv.Parent = s.byID[parent]
	inv.Parent.After = append(inv.Parent.After, flow.AfterEdge{Invocation: inv, When: when})
	return inv
}

func (s *sketch) roots(names ...string) *flow.Plan {
	for _, n := range names {
		s.plan.Roots = append(s.plan.Roots, s.byID[n])
	}
	return &s.plan
}

func script(steps map[string]flowtest.Step) func(flow.Attempt) flowtest.Step {
	return func(a flow.Attempt) flowtest.Step {
		if st, ok := steps[fmt.Sprintf("%s/%d", a.Job.Key, a.Number)]; ok {
			return st
		}
		return steps[a.Job.Key]
	}
}

var fail = flow.Result{Conclusion: flow.Failure, Cause: flow.CauseTask, Error: "exit status 7", ExitCode: 7}

func run(t *testing.T, e *flow.Engine, p *flow.Plan) *flow.Run {
	t.Helper()
	r, err := e.Run(t.Context(), flow.RunOptions{ID: "r1", Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ends returns "key=conclusion/cause" of every job.
func ends(r *flow.Run) string {
	var s []string
	for _, j := range r.Jobs {
		s = append(s, fmt.Sprintf("%s=%s/%s", strings.TrimSuffix(j.Key, "@h1"), j.Conclusion, j.Cause))
	}
	return strings.Join(s, " ")
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got %s\nwant %s", what, got, want)
	}
}

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

func TestJournalComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		s.inv("b", 1, "a")
		j := &flowtest.Reporter{}
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			for _, ev := range j.Events() {
				if ev.Kind == flow.JobQueued && ev.JobID == a.JobID {
					return flowtest.Step{}
				}
			}
			t.Errorf("%s was sent before it was journalled", a.JobID)
			return flowtest.Step{}
		}}
		run(t, &flow.Engine{Executor: x, Journal: j}, s.roots("b"))
		if len(x.Attempts()) != 2 {
			t.Error(x.Attempts())
		}
	})
}

// Ends of jobs on which nothing waits share a batch of the journal, which is
// written soon after; the last of an invocation lets others begin.
func TestEndsShareBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 4)
		s.inv("b", 1, "a")
		start, batches := time.Now(), ""
		j := &flowtest.Reporter{Err: func(evs []flow.Event) error {
			n := map[flow.EventKind]int{}
			for _, ev := range evs {
				n[ev.Kind]++
			}
			batches += fmt.Sprintf("%v: %d queued, %d started, %d ended\n", time.Since(start), n[flow.JobQueued], n[flow.JobStarted], n[flow.JobCompleted])
			return nil
		}}
		runs := map[string]time.Duration{"a@h1": 100, "a@h2": 110, "a@h3": 500, "a@h4": 501, "b@h1": 0}
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			return flowtest.Step{Run: runs[a.Job.Key] * time.Millisecond}
		}}
		run(t, &flow.Engine{Executor: x, Journal: j}, s.roots("b"))
		check(t, "batches", batches, `0s: 0 queued, 0 started, 0 ended
0s: 4 queued, 0 started, 0 ended
120ms: 0 queued, 4 started, 2 ended
501ms: 0 queued, 0 started, 2 ended
501ms: 1 queued, 0 started, 0 ended
501ms: 0 queued, 1 started, 1 ended
`)
	})
}

func TestJournalThatFailsStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		s.inv("b", 1, "a")
		j := &flowtest.Reporter{Err: func(evs []flow.Event) error {
			if slices.ContainsFunc(evs, func(e flow.Event) bool { return e.Job != nil && e.Job.Key == "b@h1" }) {
				return errors.New("disk full")
			}
			return nil
		}}
		x := &flowtest.Executor{}
		r, err := (&flow.Engine{Executor: x, Journal: j}).Run(t.Context(), flow.RunOptions{ID: "r1", Plan: s.roots("b")})
		if err == nil || len(x.Attempts()) != 1 || r.Conclusion != flow.Cancelled {
			t.Errorf("err %v, attempts %v, conclusion %s", err, x.Attempts(), r.Conclusion)
		}
	})
}

func TestReporterDoesNotHoldUpTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		slow := reporterFunc(func(ctx context.Context, _ []flow.Event) error { <-ctx.Done(); return ctx.Err() })
		start := time.Now()
		r := run(t, &flow.Engine{Executor: &flowtest.Executor{}, Reporters: []flow.Reporter{slow}}, s.roots("a"))
		if d := time.Since(start); d != flow.ReporterDrain {
			t.Errorf("took %v", d)
		}
		if r.Conclusion != flow.Success || len(r.Notes) != 1 {
			t.Errorf("conclusion %s, notes %v", r.Conclusion, r.Notes)
		}
	})
}

type reporterFunc func(context.Context, []flow.Event) error

func (f reporterFunc) Report(ctx context.Context, evs []flow.Event) error { return f(ctx, evs) }

// TestResume cuts a run's journal after every event and lets another process
// go on from there: each time the run ends the same, nothing that had ended
// runs again, and what was sent is attached to under its own job-id.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := script(map[string]flowtest.Step{
			"c@h1/1": {Err: fmt.Errorf("x: %w", flow.ErrNotStarted)}, "b@h2/1": {Run: time.Second, Result: fail}, "a@h1": {Run: time.Second, Result: fail},
		})
		plan := func() *flow.Plan {
			s := newSketch()
			s.inv("c", 1)
			s.inv("b", 2, "c").Retry.Limit = 1
			s.inv("a", 1, "b")
			s.after("a", flow.WhenFailure, "clean")
			return s.roots("a")
		}
		rec := &flowtest.Reporter{}
		want := ends(run(t, &flow.Engine{Executor: &flowtest.Executor{Script: steps}, Journal: rec}, plan()))
		all := rec.Events()
		path := filepath.Join(t.TempDir(), "journal")
		for cut := 1; cut < len(all); cut++ {
			p := plan()
			j, err := flow.OpenJournal(fmt.Sprint(path, cut))
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Report(t.Context(), all[:cut]); err != nil {
				t.Fatal(err)
			}
			id, history, err := j.History(p)
			if err != nil || id != "r1" || len(history) != cut {
				t.Fatalf("cut %d: history %d of %q: %v", cut, len(history), id, err)
			}
			x := &flowtest.Executor{Script: steps}
			r, err := (&flow.Engine{Executor: x, Journal: j}).Run(t.Context(), flow.RunOptions{ID: id, Plan: p, History: history})
			if err != nil {
				t.Fatal(err)
			}
			check(t, fmt.Sprintf("cut %d after %s", cut, all[cut-1].Kind), ends(r), want)
			sent := map[string]bool{} // job-ids without a result in the history
			for _, ev := range all[:cut] {
				switch ev.Kind {
				case flow.JobQueued:
					sent[ev.JobID] = true
				case flow.AttemptCompleted:
					delete(sent, ev.JobID)
					if slices.Contains(x.Attempts(), fmt.Sprintf("%s/%d", ev.Job.Key, ev.Attempt)) {
						t.Errorf("cut %d: %s/%d ran again", cut, ev.Job.Key, ev.Attempt)
					}
				}
			}
			for _, a := range x.All() {
				if a.Resumed != sent[a.JobID] {
					t.Errorf("cut %d: %s: resumed %v, sent before %v", cut, a.JobID, a.Resumed, sent[a.JobID])
				}
				delete(sent, a.JobID)
			}
			if len(sent) > 0 {
				t.Errorf("cut %d: not attached to: %v", cut, sent)
			}
			if _, _, err := j.History(p); err == nil {
				t.Errorf("cut %d: a complete journal is resumed", cut)
			}
			j.Close()
		}
	})
}
