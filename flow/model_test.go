package flow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// schedule is a random run: its plan, how its attempts go, and what comes in
// between. All of it follows from the seed.
type schedule struct {
	dice
	plan     *flow.Plan
	exact    bool // no two things happen at once, and nothing but lanes makes jobs wait: the model knows all
	unit     time.Duration
	trouble  int // of 100 attempts
	failFast bool
	cancelAt time.Duration // below 0: not
	cause    error         // of the cancel
	kills    int           // as often its process is killed, after a few more events each
	gap      time.Duration // until another goes on
	hosts    map[string]int
	leaves   map[string]time.Duration // when hosts leave the pool

	begun []string // attempts that began more than once
}

const (
	modelJobs   = 30 // of a run
	modelWrongs = 20 // then it is enough
)

func newSchedule(seed uint64) *schedule {
	s := &schedule{dice: dice{seed: seed}, cancelAt: -1, hosts: map[string]int{}, leaves: map[string]time.Duration{}}
	rnd := s.rand("schedule")
	s.exact = rnd.IntN(3) > 0
	s.unit = time.Nanosecond
	if !s.exact && rnd.IntN(2) == 0 {
		s.unit = 20 * time.Second // so that much happens at the same instant
	}
	s.trouble = []int{0, 10, 30, 60}[rnd.IntN(4)]
	s.failFast = rnd.IntN(5) == 0
	if rnd.IntN(4) == 0 {
		s.cancelAt, s.cause = s.some(rnd, 30*time.Minute), context.Canceled
		if rnd.IntN(2) == 0 {
			s.cause = context.DeadlineExceeded
		}
	}
	if rnd.IntN(3) == 0 {
		s.kills = 1 + rnd.IntN(3)
		if !s.exact {
			s.gap = time.Duration(rnd.Int64N(int64(10 * time.Minute)))
		}
	}
	for n := range 1 + rnd.IntN(3) {
		url := fmt.Sprint("http://pool", n)
		s.hosts[url] = 1 + rnd.IntN(3)
		if s.exact {
			s.hosts[url] = modelJobs
		} else if rnd.IntN(3) == 0 {
			s.leaves[url] = s.some(rnd, 30*time.Minute)
		}
	}
	s.plan = s.draw(rnd)
	return s
}

// some is a random time, at least a unit.
func (s *schedule) some(rnd *rand.Rand, most time.Duration) time.Duration {
	return (1 + time.Duration(rnd.Int64N(int64(most/s.unit)))) * s.unit
}

// draw returns a random plan of at most modelJobs.
func (s *schedule) draw(rnd *rand.Rand) *flow.Plan {
	sk := newSketch()
	var names, roots, helpers []string
	lines := rnd.Perm(2 * modelJobs)
	add := func(name string, parent *flow.Invocation, before ...string) bool {
		hosts := 1 + rnd.IntN(4)
		if len(sk.plan.Jobs)+hosts > modelJobs {
			return false
		}
		inv := sk.inv(name, hosts, before...)
		if inv.Parent = parent; parent != nil {
			when := []flow.When{flow.WhenAlways, flow.WhenSuccess, flow.WhenFailure}[rnd.IntN(3)]
			parent.After = append(parent.After, flow.AfterEdge{Invocation: inv, When: when})
		}
		inv.Project.Pos.Line = 1 + lines[len(sk.byID)]
		s.settle(inv, rnd)
		return true
	}
	for n := 1 + rnd.IntN(12); n > 0; n-- {
		name := fmt.Sprint("p", len(sk.byID))
		switch kind := rnd.IntN(8); {
		case kind < 5 || len(names) == 0:
			var before []string
			for _, o := range names {
				if rnd.IntN(len(names)+1) < 2 {
					before = append(before, o)
				}
			}
			if add(name, nil, before...) {
				roots = slices.DeleteFunc(roots, func(r string) bool { return slices.Contains(before, r) })
				names, roots = append(names, name), append(roots, name)
			}
		case kind == 5: // needed only by what comes after something
			if add(name, nil) {
				helpers = append(helpers, name)
			}
		default:
			var before []string
			for _, o := range append(slices.Clone(helpers), names...) {
				if rnd.IntN(4) == 0 {
					before = append(before, o)
				}
			}
			parent := sk.plan.Invocations[rnd.IntN(len(sk.plan.Invocations))]
			if !reaches(sk, before, parent) {
				add(name, parent, before...)
			}
		}
	}
	pool := &flow.Pool{Name: "p"}
	sk.plan.Pools = []*flow.Pool{pool}
	if len(roots) == 0 {
		roots = names
	}
	return sk.roots(roots...)
}

// reaches reports whether the end of one of those waits for the invocation's
// end: then what is after the invocation cannot need it.
func reaches(sk *sketch, names []string, inv *flow.Invocation) bool {
	var starts, ends func(*flow.Invocation) bool
	starts = func(i *flow.Invocation) bool {
		return slices.ContainsFunc(i.Before, ends) || i.Parent != nil && starts(i.Parent)
	}
	ends = func(i *flow.Invocation) bool {
		return i == inv || starts(i) || slices.ContainsFunc(i.After, func(e flow.AfterEdge) bool { return ends(e.Invocation) })
	}
	return slices.ContainsFunc(names, func(n string) bool { return ends(sk.byID[n]) })
}

func (s *schedule) settle(inv *flow.Invocation, rnd *rand.Rand) {
	inv.Timeout = 10 * time.Hour
	inv.QueueTimeout = time.Hour
	inv.IgnoreErrors = rnd.IntN(8) == 0
	inv.FailFast = rnd.IntN(4) == 0
	if rnd.IntN(3) == 0 {
		inv.Timeout = s.some(rnd, 10*time.Minute)
	}
	inv.Retry.On = nil
	for _, kind := range []string{"failure", "lost", "timed_out"} {
		if rnd.IntN(2) == 0 {
			inv.Retry.On = append(inv.Retry.On, kind)
		}
	}
	inv.Retry.Limit = rnd.IntN(4)
	inv.Retry.Delay = time.Second + s.some(rnd, 40*time.Second)
	pooled, queue := rnd.IntN(4) == 0, rnd.IntN(3)
	for _, j := range inv.Jobs {
		if pooled {
			j.Host, j.Pool = "", "p"
		}
		switch {
		case queue == 0 && rnd.IntN(2) == 0:
			j.QueueID = []string{"q1", "q2"}[rnd.IntN(2)]
		case queue == 1 && rnd.IntN(3) == 0:
			j.Host, j.Queue = "http://h1", "shared"
			if pooled {
				j.Host = ""
			}
		}
	}
}

// attempt says how an attempt goes.
func (s *schedule) attempt(j *flow.Job, number int) flowtest.Step {
	rnd := s.rand(logName(j, number))
	st := flowtest.Step{Queue: s.some(rnd, time.Minute), Run: s.some(rnd, 5*time.Minute), Linger: s.some(rnd, 40*time.Second), Deaf: rnd.IntN(8) == 0}
	always := s.rand(j.Key) // some jobs have the same trouble each time
	cursed := always.IntN(8) == 0 && always.IntN(100) < s.trouble
	if !cursed && rnd.IntN(100) >= s.trouble {
		return st
	}
	infra := flow.Result{Conclusion: flow.Failure, Cause: flow.CauseInfrastructure}
	kind := rnd.IntN(10)
	if cursed {
		kind = always.IntN(10)
	}
	if s.exact && j.Pool != "" && kind >= 4 { // hosts that fail are taken out: too much for the model
		kind -= 4
	}
	switch kind {
	case 0, 1, 2:
		st.Result = fail
	case 3: // it hangs
		st.Run, st.Deaf = 1<<20*time.Hour+s.some(rnd, time.Minute), false
	case 4:
		st.Result = flow.Result{Conclusion: flow.TimedOut, Cause: flow.CauseTimeout}
	case 5:
		st.Result = flow.Result{Conclusion: flow.Cancelled, Cause: flow.CauseCancelled} // by somebody on the host
	case 6:
		st.Err, st.Run = fmt.Errorf("dial: %w", flow.ErrNotStarted), 0
	case 7:
		st.Result = infra
		st.Result.Lost = rnd.IntN(2) == 0
	case 8:
		st.Err = errors.New("connection reset")
	case 9:
		st.Err, st.Run = fmt.Errorf("%w: bad token: %w", flow.ErrRefused, flow.ErrNotStarted), 0
	}
	return st
}

// halt is the conclusion of a run that is cancelled.
func (s *schedule) halt() flow.Conclusion {
	if errors.Is(s.cause, context.DeadlineExceeded) {
		return flow.TimedOut
	}
	return flow.Cancelled
}

// String shows the schedule to people.
func (s *schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "exact %v, unit %v, fail-fast %v, cancel at %v, kills %d, gap %v, hosts %v, leave %v\n", s.exact, s.unit, s.failFast, s.cancelAt, s.kills, s.gap, s.hosts, s.leaves)
	for _, inv := range s.plan.Invocations {
		var before, after []string
		for _, o := range inv.Before {
			before = append(before, o.Key)
		}
		for _, e := range inv.After {
			after = append(after, string(e.When)+":"+e.Invocation.Key)
		}
		fmt.Fprintf(&b, "%s line %d root %v before %v after %v timeout %v soft %v fail-fast %v retry %d %v %v\n", inv.Key, inv.Project.Pos.Line, slices.Contains(s.plan.Roots, inv), before, after,
			inv.Timeout, inv.IgnoreErrors, inv.FailFast, inv.Retry.Limit, inv.Retry.On, inv.Retry.Delay)
		for _, j := range inv.Jobs {
			fmt.Fprintf(&b, "  %s queue-id %q queue %s%s %q\n", j.Key, j.QueueID, j.Host, j.Pool, j.Queue)
			for n := 1; n <= 3; n++ {
				st := s.attempt(j, n)
				fmt.Fprintf(&b, "    %d: %v+%v linger %v deaf %v %s/%s lost %v not started %v %v\n", n, st.Queue, st.Run, st.Linger, st.Deaf, st.Result.Conclusion, st.Result.Cause, st.Result.Lost, st.Result.NotStarted, st.Err)
			}
		}
	}
	return b.String()
}

// play has the engine carry out the schedule, and returns what was wrong.
func (s *schedule) play(t *testing.T) string {
	ids := map[string]bool{}
	var mu sync.Mutex
	w := newWorld(s.plan, func(a flow.Attempt) flowtest.Step {
		mu.Lock()
		defer mu.Unlock()
		if ids[a.JobID] {
			s.begun = append(s.begun, a.JobID)
		}
		ids[a.JobID] = true
		return s.attempt(a.Job, a.Number)
	})
	w.failFast = s.failFast
	start := time.Now()
	watchdog := time.AfterFunc(1<<21*time.Hour, func() { panic(fmt.Sprintf("CROMT_TEST_SEED=%d: the run does not end\n%s", s.seed, s)) })
	defer watchdog.Stop()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	if s.cancelAt >= 0 {
		defer time.AfterFunc(s.cancelAt, func() { cancel(s.cause) }).Stop()
	}
	run, kills, err := s.processes(ctx, w, start)
	if err != nil {
		return err.Error()
	}
	r := &rules{plan: s.plan, slots: s.hosts, halt: s.halt(), stopped: func(at time.Time) bool { return s.cancelAt >= 0 && at.Sub(start) >= s.cancelAt }}
	r.watch(w.history)
	wrong := r.check(run)
	if len(s.begun) > 0 {
		wrong += fmt.Sprint("\nrun more than once: ", s.begun)
	}
	if wrong == "" && s.exact {
		wrong = s.compare(w, run, kills)
	}
	return wrong
}

// processes work on the run one after the other to its end, and are killed
// when the schedule says so.
func (s *schedule) processes(ctx context.Context, w *world, start time.Time) (run *flow.Run, kills []time.Duration, err error) {
	rnd := s.rand("kills")
	for n := 0; ; n++ {
		p := w.process()
		if n < s.kills {
			p.cutAt = len(w.history) + 1 + rnd.IntN(len(s.plan.Jobs)*4)
		}
		pools := flow.NewPools(flow.PoolsConfig{})
		w.pools = pools
		var leave []*time.Timer
		for url, slots := range s.hosts {
			at, leaves := s.leaves[url]
			if leaves && time.Since(start) >= at {
				continue
			}
			generation := pools.Add("p", flow.Member{URL: url, Slots: slots})
			if leaves {
				leave = append(leave, time.AfterFunc(at-time.Since(start), func() { pools.Remove("p", url, generation) }))
			}
		}
		run, err := p.run(ctx)
		for _, timer := range leave {
			timer.Stop()
		}
		pools.Close()
		if run != nil || err != nil {
			return run, kills, err
		}
		kills = append(kills, time.Since(start))
		time.Sleep(s.gap)
	}
}

// TestModel carries out random runs and holds them against the rules and the
// reference model. CROMT_CHAOS_SCHEDULES says how many, CROMT_TEST_SEED which:
// that one is repeated, as the engine's random delays are not in the seed.
func TestModel(t *testing.T) {
	const perBubble, workers = 50, 2
	count := uint64(400)
	if text := os.Getenv("CROMT_CHAOS_SCHEDULES"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		count = n
	}
	seedOf := func(n uint64) uint64 { return n }
	if text := os.Getenv("CROMT_TEST_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		count, seedOf = 500, func(uint64) uint64 { return seed }
	}
	var next, played, exact atomic.Uint64
	var mu sync.Mutex
	var wrongs []string
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(wrongs) >= modelWrongs
	}
	next.Store(1)
	began := time.Now()
	for worker := range workers {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for {
				from := next.Add(perBubble) - perBubble
				if from > count || enough() {
					return
				}
				if from%50_000 == 1 && from > 1 {
					t.Logf("%d schedules in %v", from-1, time.Since(began).Round(time.Second))
				}
				synctest.Test(t, func(t *testing.T) {
					for n := from; n < min(from+perBubble, count+1); n++ {
						s := newSchedule(seedOf(n))
						played.Add(1)
						if s.exact {
							exact.Add(1)
						}
						if wrong := s.play(t); wrong != "" {
							mu.Lock()
							wrongs = append(wrongs, fmt.Sprintf("CROMT_TEST_SEED=%d: %s\n%s", s.seed, wrong, s))
							mu.Unlock()
						}
					}
				})
			}
		})
	}
	t.Cleanup(func() {
		for _, wrong := range wrongs {
			t.Error(wrong)
		}
		t.Logf("%d schedules, %d of them to the model's nanosecond, %d wrong, in %v", played.Load(), exact.Load(), len(wrongs), time.Since(began).Round(time.Second))
	})
}
