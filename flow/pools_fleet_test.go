package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// fleet are hosts that can be switched off.
type fleet struct {
	off map[string]chan struct{} // by host, closed when it is

	mu     sync.Mutex
	starts map[string]int // by job-id
	killed []string       // job-ids of what ran on a host when it was switched off
}

func newFleet(hosts int) *fleet {
	f := &fleet{off: map[string]chan struct{}{}, starts: map[string]int{}}
	for i := range hosts {
		f.off[fmt.Sprint("h", i)] = make(chan struct{})
	}
	return f
}

func (f *fleet) alive(host string) bool {
	select {
	case <-f.off[host]:
		return false
	default:
		return true
	}
}

func (f *fleet) probe(_ context.Context, host string) error {
	if !f.alive(host) {
		return errors.New("no answer")
	}
	return nil
}

// Exec takes a second to bring a job to its host, and half a minute to find
// out that a host is gone.
func (f *fleet) Exec(_ context.Context, a flow.Attempt, _ io.Writer) (flow.Result, error) {
	time.Sleep(time.Second)
	if !f.alive(a.Host) {
		return flow.Result{}, errDown
	}
	f.mu.Lock()
	f.starts[a.JobID]++
	f.mu.Unlock()
	a.Started(time.Now())
	select {
	case <-time.After(time.Minute + time.Duration(len(a.JobID)*7%60)*time.Second):
		return flow.Result{Conclusion: flow.Success}, nil
	case <-f.off[a.Host]:
		f.mu.Lock()
		f.killed = append(f.killed, a.JobID)
		f.mu.Unlock()
		time.Sleep(30 * time.Second)
		return flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure, Lost: true, Error: "lost: no answer"}, nil
	}
}

// TestPoolHostsKilled switches three of ten hosts off while 200 jobs run: what
// ran there is lost, and repeated only when that is asked for.
func TestPoolHostsKilled(t *testing.T) {
	for _, again := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(10)
			p := flow.NewPools(flow.PoolsConfig{Probe: f.probe})
			defer p.Close()
			for _, h := range slices.Sorted(maps.Keys(f.off)) {
				p.Add("p", flow.Member{URL: h, Slots: 4})
			}
			for i, h := range []string{"h2", "h5", "h9"} {
				time.AfterFunc(time.Duration(100+40*i)*time.Second+time.Millisecond, func() { close(f.off[h]) })
			}
			s := newSketch()
			inv := s.pooled("a", 200)
			if again {
				inv.Retry.Limit, inv.Retry.On = 1, []string{"lost"}
			}
			r := run(t, &flow.Engine{Executor: f, Pools: p}, s.roots("a"))
			if len(f.killed) != 12 {
				t.Fatalf("%d jobs ran on the hosts: the test says little", len(f.killed))
			}
			for id, n := range f.starts {
				if n != 1 {
					t.Errorf("%s ran %d times", id, n)
				}
			}
			var lost []string // as the report has them
			for _, j := range r.Jobs {
				ran := 0
				for _, a := range j.Attempts {
					ran += f.starts[a.JobID]
					if strings.HasPrefix(a.Error, "lost") {
						lost = append(lost, a.JobID)
					}
				}
				last := j.Last().JobID
				failed := j.Conclusion == flow.Failure && j.Cause == flow.CauseInfrastructure && slices.Contains(f.killed, last) && ran == 1
				passed := j.Conclusion == flow.Success && f.starts[last] == 1 && (ran == 1 || ran == 2 && again)
				if !passed && (again || !failed) {
					t.Errorf("%s: %s, ran %d times: %+v", j.Key, j.Conclusion, ran, j.Attempts)
				}
			}
			slices.Sort(lost)
			slices.Sort(f.killed)
			check(t, "lost", strings.Join(lost, " "), strings.Join(f.killed, " "))
			if q := p.Quarantined(); len(q) != 3 {
				t.Errorf("quarantined: %+v", q)
			}
		})
	}
}

// TestPoolResume cuts the journal of a run on a small pool after every event:
// what was sent is attached to where it is, and the others still get a host.
func TestPoolResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := func(a flow.Attempt) flowtest.Step {
			switch {
			case a.Job.Label == "3" && a.Number == 1:
				return flowtest.Step{Err: errDown}
			case a.Job.Label == "5":
				return flowtest.Step{Run: time.Second, Result: fail}
			}
			return flowtest.Step{Run: time.Second}
		}
		plan := func() *flow.Plan {
			s := newSketch()
			s.pooled("a", 6)
			s.after("a", flow.WhenFailure, "clean")
			s.plan.Pools = []*flow.Pool{{Name: "p", Hosts: []flow.PoolHost{{URL: "h1", Slots: 1}, {URL: "h2", Slots: 1}}}}
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
			_, history, err := j.History(p)
			if err != nil {
				t.Fatal(err)
			}
			hosts, waiting := map[string]string{}, map[string]bool{} // of what is sent; of what waits
			for _, ev := range all[:cut] {
				switch ev.Kind {
				case flow.JobWaiting:
					waiting[ev.Job.Key] = true
				case flow.JobQueued:
					hosts[ev.JobID], waiting[ev.Job.Key] = ev.Host, false
				case flow.AttemptCompleted:
					delete(hosts, ev.JobID)
				}
			}
			x, again := &flowtest.Executor{Script: steps}, &flowtest.Reporter{}
			r, err := (&flow.Engine{Executor: x, Journal: j, Reporters: []flow.Reporter{again}}).Run(t.Context(), flow.RunOptions{ID: "r1", Plan: p, History: history})
			if err != nil {
				t.Fatal(err)
			}
			check(t, fmt.Sprintf("cut %d after %s", cut, all[cut-1].Kind), ends(r), want)
			for _, a := range x.All() {
				if host, sent := hosts[a.JobID]; a.Resumed != sent || sent && host != a.Host {
					t.Errorf("cut %d: %s on %s, resumed %v; it was sent to %q", cut, a.JobID, a.Host, a.Resumed, host)
				}
				delete(hosts, a.JobID)
			}
			if len(hosts) > 0 {
				t.Errorf("cut %d: not attached to: %v", cut, hosts)
			}
			for _, ev := range again.Events() {
				switch {
				case ev.Kind == flow.JobQueued:
					waiting[ev.Job.Key] = false
				case ev.Kind == flow.JobWaiting && waiting[ev.Job.Key]:
					t.Errorf("cut %d: %s begins to wait once more", cut, ev.Job.Key)
				}
			}
			if x.Most("h1") > 1 || x.Most("h2") > 1 {
				t.Errorf("cut %d: more jobs than slots", cut)
			}
			j.Close()
		}
	})
}

// The time that a job may wait counts from when it began to, whichever
// process saw that.
func TestPoolWaitAcrossProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 1, "none").QueueTimeout = time.Hour
		w := newWorld(s.roots("a"), nil)
		w.pools = pool(t, flow.PoolsConfig{}, "h1")
		began := time.Now()
		for time.Since(began) < 50*time.Minute {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(25*time.Minute, func() { cancel(flow.ErrDetached) })
			if _, err := w.process().run(ctx); !errors.Is(err, flow.ErrDetached) {
				t.Fatal(err)
			}
		}
		r, err := w.process().run(t.Context())
		if err != nil || time.Since(began) != time.Hour || r.Jobs[0].Cause != flow.CauseInfrastructure {
			t.Errorf("%v, after %v: %+v", err, time.Since(began), r)
		}
	})
}

// While nobody works on a run, its jobs keep their places; but not for ever.
func TestPoolKeepsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 1)
		w := newWorld(s.roots("a"), takes(time.Hour))
		w.pools = pool(t, flow.PoolsConfig{}, "h1")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(flow.ErrDetached) })
		if _, err := w.process().run(ctx); !errors.Is(err, flow.ErrDetached) {
			t.Fatal(err)
		}
		used := func() int { return w.pools.Hosts()[0].Used }
		if used() != 1 {
			t.Error("the place is given away")
		}
		time.Sleep(flow.PlaceKept / 2)
		time.AfterFunc(time.Minute, func() {
			if used() != 1 {
				t.Errorf("with the run back, its host has %d jobs", used())
			}
		})
		if _, err := w.process().run(t.Context()); err != nil || used() != 0 {
			t.Errorf("%v, %d jobs left", err, used())
		}
		// Another one does not come back.
		w = newWorld(&s.plan, takes(time.Hour))
		w.pools = pool(t, flow.PoolsConfig{}, "h1")
		ctx, cancel = context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(flow.ErrDetached) })
		if _, err := w.process().run(ctx); !errors.Is(err, flow.ErrDetached) {
			t.Fatal(err)
		}
		time.Sleep(flow.PlaceKept + time.Second)
		if used() != 0 {
			t.Error("the place is kept for ever")
		}
	})
}
