package flow_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

var (
	errToken = fmt.Errorf("%w: bad token: %w", flow.ErrRefused, flow.ErrNotStarted)
	hangs    = flowtest.Step{Run: 1000 * time.Hour}
)

// endCase is a run and how it ends: alone, and when its process is gone after
// any of its events.
type endCase struct {
	name     string
	plan     func() *flow.Plan
	steps    map[string]flowtest.Step
	failFast bool
	inTurn   bool
	want     string // ends, and the attempts: in the order in which they began, if they have their turns, else sorted
}

func TestEnds(t *testing.T) {
	for _, tt := range []endCase{
		{
			name: "what comes after is skipped, and so is what waits for both",
			plan: func() *flow.Plan {
				s := newSketch()
				s.inv("a", 1)
				s.inv("helper", 1)
				s.after("a", flow.WhenAlways, "clean").Before = []*flow.Invocation{s.byID["helper"]}
				s.inv("next", 1, "a")
				return s.roots("next")
			},
			steps: map[string]flowtest.Step{"helper@h1": {Run: time.Second, Result: fail}},
			want:  "a=success/ helper=failure/task clean=skipped/dependency next=skipped/dependency a/1 helper/1",
		},
		{
			name: "fail-fast although somebody has cancelled a sibling before",
			plan: func() *flow.Plan {
				s := newSketch()
				s.inv("a", 3).FailFast = true
				return s.roots("a")
			},
			steps: map[string]flowtest.Step{
				"a@h1": {Run: time.Second, Result: flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled}},
				"a@h2": {Run: time.Minute, Result: fail}, "a@h3": hangs,
			},
			want: "a=cancelled/cancelled a@h2=failure/task a@h3=cancelled/cancelled a/1 a@h2/1 a@h3/1",
		},
		{
			name: "fail-fast ends retries",
			plan: func() *flow.Plan {
				s := newSketch()
				a := s.inv("a", 2)
				a.FailFast, a.Retry.Limit = true, 1
				return s.roots("a")
			},
			steps: map[string]flowtest.Step{"a@h1": {Queue: time.Second, Err: errToken}, "a@h2": {Run: time.Minute, Result: fail, Deaf: true}},
			want:  "a=failure/infrastructure a@h2=failure/task a/1 a@h2/1",
		},
		{
			name: "fail-fast spares what failures start",
			plan: func() *flow.Plan {
				s := newSketch()
				s.inv("bad", 1)
				s.inv("good", 1)
				s.after("good", flow.WhenSuccess, "deploy")
				s.after("good", flow.WhenAlways, "clean")
				return s.roots("bad", "good")
			},
			steps:    map[string]flowtest.Step{"bad@h1": {Run: time.Second, Result: fail}, "good@h1": {Run: time.Minute, Deaf: true}},
			failFast: true,
			want:     "bad=failure/task good=success/ deploy=cancelled/cancelled clean=success/ bad/1 clean/1 good/1",
		},
		{
			name: "fail-fast spares nothing that the roots need",
			plan: func() *flow.Plan {
				s := newSketch()
				s.inv("bad", 1)
				s.inv("slow", 1)
				s.after("bad", flow.WhenFailure, "clean").Before = []*flow.Invocation{s.byID["slow"]}
				return s.roots("bad", "slow")
			},
			steps: map[string]flowtest.Step{
				"bad@h1":  {Run: time.Second, Result: fail},
				"slow@h1": {Run: time.Minute, Deaf: true, Result: flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure, Lost: true}},
			},
			failFast: true,
			want:     "bad=failure/task slow=cancelled/cancelled clean=skipped/dependency bad/1 slow/1",
		},
		{
			name: "what timed out before it started has used a retry",
			plan: func() *flow.Plan {
				s := newSketch()
				a := s.inv("a", 2)
				a.Timeout, a.Retry.Limit, a.Retry.On = time.Minute, 1, []string{"timed_out"}
				return s.roots("a")
			},
			steps: map[string]flowtest.Step{"a@h1": {Run: time.Second}, "a@h2/1": {Queue: time.Hour}, "a@h2/2": hangs},
			want:  "a=success/ a@h2=timed_out/timeout a/1 a@h2/1 a@h2/2",
		},
		{
			name: "a retry that is due has its turn by the order of the file",
			plan: func() *flow.Plan {
				s := newSketch()
				s.inv("first", 1).Retry.Limit = 1
				s.inv("second", 1)
				s.inv("third", 1)
				for _, j := range s.plan.Jobs {
					j.QueueID = "q"
				}
				return s.roots("first", "second", "third")
			},
			steps:  map[string]flowtest.Step{"first@h1/1": {Run: time.Second, Result: fail}, "second@h1": {Run: time.Minute}, "third@h1": {Run: time.Minute}},
			inTurn: true,
			want:   "first=success/ second=success/ third=success/ first/1 second/1 first/2 third/1",
		},
		{
			name: "a place that an attempt has is nobody else's",
			plan: func() *flow.Plan {
				s := newSketch()
				s.inv("c", 1)
				s.pooled("b", 1).Before = []*flow.Invocation{s.byID["c"]}
				s.pooled("a", 1)
				s.plan.Pools = []*flow.Pool{{Name: "p", Hosts: []flow.PoolHost{{URL: "http://p1", Slots: 1}}}}
				return s.roots("b", "a")
			},
			steps: map[string]flowtest.Step{"c@h1": {Run: time.Second}, "a@1": {Run: time.Minute}, "b@1": {Run: time.Minute}},
			want:  "c=success/ b@1=success/ a@1=success/ a@1/1 b@1/1 c/1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.test(t) })
		})
	}
}

func (c *endCase) test(t *testing.T) {
	whole := newWorld(c.plan(), script(c.steps))
	c.end(t, whole, "alone")
	for cut := 1; cut < len(whole.history); cut++ {
		w := newWorld(c.plan(), script(c.steps))
		w.failFast = c.failFast
		p := w.process()
		p.cutAt = cut
		if run, err := p.run(t.Context()); run != nil || err != nil {
			t.Fatalf("cut %d: %v, %v", cut, run, err)
		}
		c.end(t, w, fmt.Sprintf("cut %d after %s", cut, w.history[cut-1].Kind))
	}
}

// end goes on with the run to its end.
func (c *endCase) end(t *testing.T, w *world, what string) {
	t.Helper()
	w.failFast = c.failFast
	run, err := w.process().run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begun := w.hosts.Attempts()
	if !c.inTurn {
		slices.Sort(begun)
	}
	check(t, what, ends(run)+" "+strings.ReplaceAll(strings.Join(begun, " "), "@h1", ""), c.want)
	if n := w.hosts.Most("http://p1"); n > 1 {
		t.Errorf("%s: %d jobs on one slot", what, n)
	}
}

// TestCancelledBeforeItBegins: nothing is sent to a host.
func TestCancelledBeforeItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.inv("a", 1)
		s.inv("b", 1, "a")
		x := &flowtest.Executor{}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r, err := (&flow.Engine{Executor: x}).Run(ctx, flow.RunOptions{ID: "r1", Plan: s.roots("b")})
		if err != nil {
			t.Fatal(err)
		}
		check(t, "ends", ends(r), "a=cancelled/cancelled b=skipped/dependency")
		check(t, "conclusion", string(r.Conclusion), "cancelled")
		if len(x.Attempts()) != 0 || len(r.Jobs[0].Attempts) != 0 {
			t.Errorf("began %v", x.Attempts())
		}
	})
}

// TestCancelledBeforeItIsSent: an attempt that was decided at the instant at
// which its job is cancelled has an end, and is never sent.
func TestCancelledBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		build := s.inv("build", 1)
		build.IgnoreErrors = true
		use := s.inv("use", 2, "build")
		use.FailFast = true
		use.Jobs[1].In = []flow.Input{{File: "f", From: build.Jobs}}
		x := &flowtest.Executor{Script: script(map[string]flowtest.Step{"build@h1": {Result: fail}, "use@h1": hangs})}
		rec := &flowtest.Reporter{}
		r, err := (&flow.Engine{Executor: x, Journal: rec}).Run(t.Context(), flow.RunOptions{ID: "r1", Plan: s.roots("use")})
		if err != nil {
			t.Fatal(err)
		}
		check(t, "ends", ends(r), "build=neutral/task use=cancelled/cancelled use@h2=failure/dependency")
		check(t, "sent", strings.Join(x.Attempts(), " "), "build@h1/1")
		var kinds []string
		for _, ev := range rec.Events() {
			if ev.Job == use.Jobs[0] {
				kinds = append(kinds, string(ev.Kind))
			}
		}
		check(t, "events", strings.Join(kinds, " "), "job_queued attempt_completed job_completed")
		if a := r.Jobs[1].Attempts; len(a) != 1 || a[0].Status != flow.StatusCompleted || a[0].Conclusion != flow.Cancelled {
			t.Errorf("%+v", a)
		}
	})
}
