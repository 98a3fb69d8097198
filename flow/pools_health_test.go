package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

func TestPoolQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		healthy := func() bool { return time.Since(began) > 10*time.Minute }
		var probes []time.Duration
		var changes []flow.HostChange
		p := pool(t, flow.PoolsConfig{
			Probe: func(_ context.Context, url string) error {
				if url != "h1" {
					t.Errorf("%s is asked", url)
				}
				probes = append(probes, time.Since(began))
				if healthy() {
					return nil
				}
				return errors.New("no answer")
			},
			Changed: func(c flow.HostChange) { changes = append(changes, c) },
		}, "h1:8", "h2:1")
		s := newSketch()
		s.pooled("a", 40)
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			if a.Host == "h1" && !healthy() {
				return flowtest.Step{Err: errDown}
			}
			return flowtest.Step{Run: time.Minute}
		}}
		rec := &flowtest.Reporter{}
		time.AfterFunc(5*time.Minute, func() {
			q := p.Quarantined()
			if len(q) != 1 || q[0].URL != "h1" || !strings.Contains(q[0].Reason, "connection refused") || q[0].Used != 0 {
				t.Errorf("quarantined: %+v", q)
			}
		})
		r := run(t, &flow.Engine{Executor: x, Pools: p, Reporters: []flow.Reporter{rec}}, s.roots("a"))
		check(t, "conclusion", string(r.Conclusion), "success")
		for i := 1; i < len(probes); i++ {
			pause := min(flow.ProbeMin<<i, flow.ProbeMax)
			if d := probes[i] - probes[i-1]; d < pause*8/10 || d > pause*12/10 {
				t.Errorf("pause %d is %v, want about %v", i, d, pause)
			}
		}
		if len(probes) < 6 || len(changes) != 2 || !changes[0].Out || changes[1].Out || strings.Join(changes[0].Pools, " ") != "p" {
			t.Errorf("probes %v, changes %v", probes, changes)
		}
		const out = "host h1 was taken out of its pool after 3 infrastructure failures in a row, until it answers: connection refused: not started"
		check(t, "notes", strings.Join(r.Notes, "\n"), out+"\nhost h1 answers and is back in its pool")
		if len(p.Quarantined()) != 0 {
			t.Error("it is still out")
		}
		told := 0
		for _, ev := range rec.Events() {
			if ev.Kind == flow.Note && ev.Message == out {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		if n := strings.Count(counts(x), "h1"); n != 1 {
			t.Errorf("after its return it has had no job: %s", counts(x))
		}
	})
}

func TestPoolFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 20)
		n := 0
		x := &flowtest.Executor{Script: func(flow.Attempt) flowtest.Step {
			if n++; n%3 != 0 {
				return flowtest.Step{Err: errDown}
			}
			return flowtest.Step{Run: time.Second}
		}}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1")}, s.roots("a"))
		if len(r.Notes) > 0 {
			t.Error(r.Notes)
		}
	})
}

func TestPoolBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 8)
		x := &flowtest.Executor{Script: func(flow.Attempt) flowtest.Step {
			return flowtest.Step{Err: fmt.Errorf("artifact: %w: %w", flow.ErrElsewhere, flow.ErrNotStarted)}
		}}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:8")}, s.roots("a"))
		if len(r.Notes) > 0 || r.Jobs[0].Cause != flow.CauseInfrastructure {
			t.Error(r.Jobs[0].Cause, r.Notes)
		}
	})
}

func TestPoolDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 20)
		s.pooled("bad", 9)
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			if a.Host == "h1" || strings.HasPrefix(a.Job.Key, "bad") {
				return flowtest.Step{Run: time.Second, Result: flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure, NotStarted: true, Error: "step checkout failed"}}
			}
			return flowtest.Step{Run: time.Minute}
		}}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:4", "h2:4", "h3:40")}, s.roots("a", "bad"))
		if len(r.Notes) > 0 {
			t.Error(r.Notes)
		}
		for _, j := range r.Jobs {
			if strings.HasPrefix(j.Key, "a@") != (j.Conclusion == flow.Success) {
				t.Errorf("%s: %s on %s", j.Key, j.Conclusion, j.Host)
			}
		}
	})
}

func TestPoolNotesAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, flow.PoolsConfig{Probe: func(context.Context, string) error { return errDown }}, "h1:9")
		s := newSketch()
		s.pooled("a", 3)
		time.AfterFunc(3*time.Second, func() { join(p, "h2") })
		first := run(t, &flow.Engine{Executor: &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			if a.Host == "h1" {
				return flowtest.Step{Err: errDown}
			}
			return flowtest.Step{}
		}}, Pools: p}, s.roots("a"))
		second := run(t, &flow.Engine{Executor: &flowtest.Executor{}, Pools: p}, &s.plan)
		if len(second.Notes) != 1 || !slices.Equal(first.Notes, second.Notes) {
			t.Errorf("first %q, second %q", first.Notes, second.Notes)
		}
	})
}

func gone(t *testing.T, queued flowtest.Step) (*flow.Run, *flowtest.Executor) {
	t.Helper()
	s := newSketch()
	s.pooled("a", 2).Timeout = 0
	p := pool(t, flow.PoolsConfig{})
	generation := join(p, "h1:2")
	time.AfterFunc(time.Minute, func() {
		p.Add("p", flow.Member{URL: "h2"})
		if p.Remove("p", "h1", generation+1) {
			t.Error("a generation that never was is removed")
		}
		if !p.Remove("p", "h1", generation) || p.Remove("p", "h1", generation) {
			t.Error("it is not removed once")
		}
	})
	x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
		switch {
		case a.Host == "h1" && a.Job.Label == "1":
			return flowtest.Step{Run: 10 * time.Minute, Result: flow.Result{
				Conclusion: flow.Failure, Cause: flow.CauseInfrastructure, Lost: true, Error: "lost: no answer",
			}}
		case a.Host == "h1":
			return queued
		}
		return flowtest.Step{Run: time.Minute}
	}}
	return run(t, &flow.Engine{Executor: x, Pools: p}, s.roots("a")), x
}

func TestPoolMovesQueuedLosesRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, x := gone(t, flowtest.Step{Queue: time.Hour, Linger: time.Second})
		check(t, "ends", ends(r), "a@1=failure/infrastructure a@2=success/")
		check(t, "hosts", placed(x), "a@1/1=h1 a@2/1=h1 a@2/2=h2")
		check(t, "lost", r.Jobs[0].Error, "lost: no answer")
		check(t, "moved", r.Jobs[1].Attempts[0].Error, "taken from host h1: it has left pool p")
	})
}

func TestPoolMovesNothingThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, x := gone(t, flowtest.Step{Queue: time.Minute - time.Nanosecond, Run: time.Hour})
		check(t, "ends", ends(r), "a@1=failure/infrastructure a@2=success/")
		check(t, "hosts", placed(x), "a@1/1=h1 a@2/1=h1")
	})
}

type executorFunc func(context.Context, flow.Attempt, io.Writer) (flow.Result, error)

func (f executorFunc) Exec(ctx context.Context, a flow.Attempt, log io.Writer) (flow.Result, error) {
	return f(ctx, a, log)
}

func TestPoolMovesNothingInDoubt(t *testing.T) {
	for _, on := range []string{"failure", "lost"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSketch()
			inv := s.pooled("a", 1)
			inv.Retry.Limit, inv.Retry.On = 1, []string{on}
			p := pool(t, flow.PoolsConfig{})
			generation := join(p, "h1")
			time.AfterFunc(time.Minute, func() {
				p.Remove("p", "h1", generation)
				join(p, "h2")
			})
			x := executorFunc(func(ctx context.Context, a flow.Attempt, _ io.Writer) (flow.Result, error) {
				if a.Host == "h2" {
					return flow.Result{Conclusion: flow.Success}, nil
				}
				<-ctx.Done()
				return flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled, Error: "not confirmed"}, nil
			})
			r := run(t, &flow.Engine{Executor: x, Pools: p}, s.roots("a"))
			check(t, "first attempt", r.Jobs[0].Attempts[0].Error, "lost: taken from host h1: it has left pool p; not confirmed")
			want := map[string]string{"failure": "a@1=failure/infrastructure", "lost": "a@1=success/"}[on]
			check(t, "ends", ends(r), want)
		})
	}
}

func TestPoolDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 7)
		p := pool(t, flow.PoolsConfig{}, "h1", "h2")
		time.AfterFunc(90*time.Second, func() { p.Drain("h1", true) })
		time.AfterFunc(210*time.Second, func() { p.Drain("h1", false) })
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			return flowtest.Step{Run: map[string]time.Duration{"h1": time.Minute, "h2": 61 * time.Second}[a.Host]}
		}}
		r := run(t, &flow.Engine{Executor: x, Pools: p}, s.roots("a"))
		// The drain of h1 lets its second job end, and gives it no third one until it is over.
		check(t, "hosts", placed(x), "a@1/1=h1 a@2/1=h2 a@3/1=h1 a@4/1=h2 a@5/1=h2 a@6/1=h2 a@7/1=h1")
		check(t, "conclusion", string(r.Conclusion), "success")
	})
}
