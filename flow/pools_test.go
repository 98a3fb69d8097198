package flow_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// pooled adds an invocation of so many workers on pool p.

func (s *sketch) pooled(name string, workers int, labels ...string) *flow.Invocation {
	inv := s.inv(name, workers)
	for i, j := range inv.Jobs {
		j.Host, j.Pool, j.PoolLabels = "", "p", labels
		j.Label = fmt.Sprint(i + 1)
		j.Key = name + "@" + j.Label
		j.Queue = name + "-" + j.Label
	}
	return inv
}

// pool returns Pools with the hosts of pool p: "h1:2:linux,gpu" has two slots

// and two labels.

func pool(t *testing.T, cfg flow.PoolsConfig, hosts ...string) *flow.Pools {
	t.Helper()
	p := flow.NewPools(cfg)
	t.Cleanup(p.Close)
	for _, h := range hosts {
		join(p, h)
	}
	return p
}

func join(p *flow.Pools, host string) int64 {
	name, rest, _ := strings.Cut(host, ":")
	slots, labels, _ := strings.Cut(rest, ":")
	m := flow.Member{URL: name, Slots: 1}
	if slots != "" {
		fmt.Sscan(slots, &m.Slots)
	}
	if labels != "" {
		m.Labels = strings.Split(labels, ",")
	}
	return p.Add("p", m)
}

// placed returns "key/number=host" of all attempts, sorted.

func placed(x *flowtest.Executor) string {
	var s []string
	for _, a := range x.All() {
		s = append(s, fmt.Sprintf("%s/%d=%s", a.Job.Key, a.Number, a.Host))
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

// counts returns how many attempts each host had, as "h1:2 h2:1".

func counts(x *flowtest.Executor) string {
	n := map[string]int{}
	for _, a := range x.All() {
		n[a.Host]++
	}
	var s []string
	for h, k := range n {
		s = append(s, fmt.Sprintf("%s:%d", h, k))
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func takes(d time.Duration) func(flow.Attempt) flowtest.Step {
	return func(flow.Attempt) flowtest.Step { return flowtest.Step{Run: d} }
}

var errDown = fmt.Errorf("connection refused: %w", flow.ErrNotStarted)

func TestPoolLeastLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 24)
		x := &flowtest.Executor{Script: takes(time.Minute)}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:1", "h2:2", "h3:5")}, s.roots("a"))
		check(t, "jobs by slots", counts(x), "h1:3 h2:6 h3:15")
		if d := r.CompletedAt.Sub(r.StartedAt); d != 3*time.Minute {
			t.Errorf("24 jobs of a minute on 8 slots took %v", d)
		}
		for host, most := range map[string]int{"h1": 1, "h2": 2, "h3": 5, "all": 8} {
			if x.Most(host) != most {
				t.Errorf("%s had %d jobs at once", host, x.Most(host))
			}
		}
		for i, j := range r.Jobs {
			if j.Host == "" || j.Pool != "p" || j.Attempts[0].Host != j.Host || j.Key != fmt.Sprintf("a@%d", i+1) {
				t.Errorf("report says %s on %q of %q, attempt on %q", j.Key, j.Host, j.Pool, j.Attempts[0].Host)
			}
		}
	})
}

func TestPoolHalfLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 4)
		x := &flowtest.Executor{Script: takes(time.Minute)}
		run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:1", "h2:2", "h3:5")}, s.roots("a"))
		check(t, "hosts", placed(x), "a@1/1=h1 a@2/1=h2 a@3/1=h3 a@4/1=h3")
	})
}

// Jobs that come one by one do not all go to the host that is listed first.

func TestPoolSpreadsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 4)
		for _, j := range s.byID["a"].Jobs {
			j.QueueID = "one"
		}
		x := &flowtest.Executor{Script: takes(time.Minute)}
		run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:4", "h2:4")}, s.roots("a"))
		check(t, "hosts", placed(x), "a@1/1=h1 a@2/1=h2 a@3/1=h1 a@4/1=h2")
		if x.Most("queue-id one") != 1 {
			t.Error("two jobs of a queue-id at once")
		}
	})
}

func TestPoolLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 3, "gpu", "linux")
		s.pooled("b", 2, "linux")
		s.pooled("c", 2)
		x := &flowtest.Executor{Script: takes(time.Minute)}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:1:linux", "h2:1:gpu,linux,big", "h3:1")}, s.roots("a", "b", "c"))
		for _, a := range x.All() {
			if strings.HasPrefix(a.Job.Key, "a") && a.Host != "h2" || strings.HasPrefix(a.Job.Key, "b") && a.Host == "h3" {
				t.Errorf("%s ran on %s", a.Job.Key, a.Host)
			}
		}
		check(t, "conclusion", string(r.Conclusion), "success")
		// What waits for one host does not hold up what could run on another.
		if d := r.CompletedAt.Sub(r.StartedAt); d != 3*time.Minute {
			t.Errorf("took %v", d)
		}
	})
}

func TestPoolWaitsAndTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 2).QueueTimeout = time.Hour
		s.pooled("b", 1, "none").QueueTimeout = 10 * time.Minute
		s.inv("next", 1, "b")
		rec := &flowtest.Reporter{}
		x := &flowtest.Executor{Script: takes(20 * time.Minute)}
		p := pool(t, flow.PoolsConfig{}, "h1")
		r := run(t, &flow.Engine{Executor: x, Pools: p, Reporters: []flow.Reporter{rec}}, s.roots("a", "next"))
		check(t, "ends", ends(r), "a@1=success/ a@2=success/ b@1=failure/infrastructure next=skipped/dependency")
		check(t, "error", r.Jobs[2].Error, "waited 10m0s for a host of pool p with none; see what runs there, or raise queue_timeout")
		check(t, "where", r.Jobs[2].Where(), "pool p")
		var told []string
		for _, ev := range rec.Events() {
			if ev.Job != nil && ev.Kind != flow.AttemptCompleted {
				told = append(told, fmt.Sprintf("%s:%s:%s", ev.Job.Key, ev.Kind, ev.Host))
			}
		}
		check(t, "events", strings.Join(told, " "), "a@1:job_queued:h1 a@2:job_waiting: b@1:job_waiting: a@1:job_started:h1 "+
			"b@1:job_completed: next@h1:job_completed: a@1:job_completed:h1 a@2:job_queued:h1 a@2:job_started:h1 a@2:job_completed:h1")
		for _, h := range p.Hosts() {
			if h.Used != 0 {
				t.Errorf("%s is left with %d jobs", h.URL, h.Used)
			}
		}
	})
}

// A host that joins while jobs wait gets them; an empty pool is waited for.

func TestPoolJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 2)
		p := pool(t, flow.PoolsConfig{})
		time.AfterFunc(time.Minute, func() { join(p, "h1") })
		time.AfterFunc(2*time.Minute, func() { join(p, "h1:2") })
		x := &flowtest.Executor{Script: takes(time.Hour)}
		r := run(t, &flow.Engine{Executor: x, Pools: p}, s.roots("a"))
		if a, b := r.Jobs[0].Attempts[0].QueuedAt.Sub(r.StartedAt), r.Jobs[1].Attempts[0].QueuedAt.Sub(r.StartedAt); a != time.Minute || b != 2*time.Minute {
			t.Errorf("placed after %v and %v", a, b)
		}
	})
}

// Without Pools of its own an Engine places on the hosts of the plan's pools.

func TestPoolOfThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 3)
		s.plan.Pools = []*flow.Pool{{Name: "p", Hosts: []flow.PoolHost{{URL: "h1", Slots: 2}, {URL: "h2", Slots: 1}}}}
		x := &flowtest.Executor{Script: takes(time.Minute)}
		run(t, &flow.Engine{Executor: x}, s.roots("a"))
		check(t, "hosts", counts(x), "h1:2 h2:1")
	})
}

// Of two runs that wait, the second one does not wait for all of the first.

func TestPoolFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, flow.PoolsConfig{}, "h1", "h2")
		x := &flowtest.Executor{Script: takes(time.Minute)}
		e := &flow.Engine{Executor: x, Pools: p}
		var wg sync.WaitGroup
		reports := make([]*flow.Run, 2)
		for i, jobs := range []int{40, 6} {
			s := newSketch()
			s.pooled(fmt.Sprint("r", i), jobs)
			plan := s.roots(fmt.Sprint("r", i))
			wg.Go(func() {
				var err error
				if reports[i], err = e.Run(t.Context(), flow.RunOptions{ID: fmt.Sprint("run", i), Plan: plan}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // the first one has its jobs waiting
			time.Sleep(time.Second)
		}
		wg.Wait()
		// Two slots, one for each run by turns: six jobs in seven minutes.
		if d := reports[1].CompletedAt.Sub(reports[1].StartedAt); d > 7*time.Minute {
			t.Errorf("the short run took %v beside the long one", d)
		}
		for i := 1; i < len(reports[0].Jobs); i++ {
			if reports[0].Jobs[i].Attempts[0].QueuedAt.Before(reports[0].Jobs[i-1].Attempts[0].QueuedAt) {
				t.Errorf("job %d of the first run was placed before the one that came before it", i+1)
			}
		}
	})
}

func TestPoolRetryOnAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 1)
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			if a.Host != "h3" {
				return flowtest.Step{Err: errDown}
			}
			return flowtest.Step{Run: time.Minute}
		}}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1:9", "h2:5", "h3")}, s.roots("a"))
		check(t, "hosts", placed(x), "a@1/1=h1 a@1/2=h2 a@1/3=h3")
		check(t, "report", r.Jobs[0].Host+" "+r.Jobs[0].Attempts[1].Host, "h3 h2")
	})
}

// The retry waits for another host rather than going back to a free one that

// has just failed.

func TestPoolRetryWaitsForAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 2)
		x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
			if a.Host == "h1" {
				return flowtest.Step{Err: errDown}
			}
			return flowtest.Step{Run: 10 * time.Minute}
		}}
		run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1", "h2")}, s.roots("a"))
		check(t, "hosts", placed(x), "a@1/1=h1 a@1/2=h2 a@2/1=h2")
	})
}

// A job that no host comes for does not keep the turn of its queue-id.

func TestPoolQueueID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 1, "none").QueueTimeout = time.Minute
		s.pooled("b", 1)
		for _, j := range s.plan.Jobs {
			j.QueueID = "q"
		}
		x := &flowtest.Executor{}
		r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, "h1")}, s.roots("a", "b"))
		check(t, "ends", ends(r), "a@1=failure/infrastructure b@1=success/")
	})
}

// A refusal is final where there is no other host, and else not.

func TestPoolRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := fmt.Errorf("%w: bad token: %w", flow.ErrRefused, flow.ErrNotStarted)
		for _, hosts := range [][]string{{"h1"}, {"h1", "h2"}} {
			s := newSketch()
			s.pooled("a", 1)
			x := &flowtest.Executor{Script: func(a flow.Attempt) flowtest.Step {
				if a.Host == "h1" {
					return flowtest.Step{Err: refused}
				}
				return flowtest.Step{}
			}}
			r := run(t, &flow.Engine{Executor: x, Pools: pool(t, flow.PoolsConfig{}, hosts...)}, s.roots("a"))
			want := map[int]string{1: "a@1=failure/infrastructure", 2: "a@1=success/"}[len(hosts)]
			check(t, "ends", ends(r), want)
			if len(x.All()) != len(hosts) {
				t.Errorf("attempts %s", placed(x))
			}
		}
	})
}

// A host that fails is taken out, asked with growing pauses, and put back.

// One failure between successes does not take a host out.

// What another host did wrong does not count against the one at hand.

// A host that answers, but runs nothing, gets jobs last and is not taken out:

// that may be the jobs' fault, and would be the same on all hosts.

// A run says at its start which hosts are out already.

// gone has two jobs on a host that leaves its pool, one of them running.

// What has just started goes on where it is.

// What a host does not confirm to have never started is not moved: it is lost.

func TestPoolCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 5)
		p := pool(t, flow.PoolsConfig{}, "h1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := (&flow.Engine{Executor: &flowtest.Executor{Script: takes(time.Hour)}, Pools: p}).Run(ctx, flow.RunOptions{ID: "r", Plan: s.roots("a")})
		if err != nil || r.Conclusion != flow.TimedOut || p.Hosts()[0].Used != 0 {
			t.Errorf("%v %v, host %+v", err, r.Conclusion, p.Hosts()[0])
		}
		// Nothing of it waits any more.
		s = newSketch()
		s.pooled("b", 1)
		x := &flowtest.Executor{Script: takes(time.Second)}
		run(t, &flow.Engine{Executor: x, Pools: p}, s.roots("b"))
		check(t, "next run", placed(x), "b@1/1=h1")
	})
}

func TestPoolQueueOfTimedOutProject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSketch()
		s.pooled("a", 3).Timeout = 90 * time.Second
		s.after("a", flow.WhenAlways, "clean")
		r := run(t, &flow.Engine{Executor: &flowtest.Executor{Script: takes(time.Minute)}, Pools: pool(t, flow.PoolsConfig{}, "h1")}, s.roots("a"))
		check(t, "ends", ends(r), "a@1=success/ a@2=timed_out/timeout a@3=timed_out/timeout clean=success/")
	})
}
