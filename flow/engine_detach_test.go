package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/flow/flowtest"
)

// world is what outlives the processes that work on a run: its hosts, its
// journal and its logs.
type world struct {
	plan    *flow.Plan
	hosts   *flowtest.Executor
	resolve func(context.Context, flow.Source) (string, error)
	pools   *flow.Pools // nil: each process has its own

	failFast bool

	mu      sync.Mutex
	history []flow.Event
	logs    map[string]*bytes.Buffer
}

func newWorld(plan *flow.Plan, script func(flow.Attempt) flowtest.Step) *world {
	return &world{plan: plan, hosts: &flowtest.Executor{Script: script}, logs: map[string]*bytes.Buffer{}}
}

// process works on the run until it is let go of or killed.
type process struct {
	*world
	gone  chan struct{} // closed when it is killed
	dead  bool
	ends  []context.CancelCauseFunc // of what it does on hosts
	cutAt int                       // it is killed when the journal has so many events; 0: not
}

func (w *world) process() *process { return &process{world: w, gone: make(chan struct{})} }

// run returns a nil report and error when the process was killed.
func (p *process) run(ctx context.Context) (*flow.Run, error) {
	e := &flow.Engine{Executor: p, Journal: p, Output: p.output, LogOffset: p.logOffset, Resolve: p.resolve, Pools: p.pools, FailFast: p.failFast}
	type outcome struct {
		run *flow.Run
		err error
	}
	ended := make(chan outcome, 1)
	o := flow.RunOptions{ID: "r1", Plan: p.plan, History: slices.Clone(p.history)}
	go func() {
		run, err := e.Run(ctx, o)
		ended <- outcome{run, err}
	}()
	select {
	case o := <-ended:
		if !p.dead {
			return o.run, o.err
		}
	case <-p.gone:
	}
	synctest.Wait() // what it was doing is broken off
	return nil, nil
}

// kill ends the process as kill -9 does. Called with mu held.
func (p *process) kill() {
	if !p.dead {
		p.dead = true
		close(p.gone)
		for _, end := range p.ends {
			end(flow.ErrDetached)
		}
	}
}

func (p *process) Report(_ context.Context, events []flow.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead && p.cutAt > 0 && len(p.history)+len(events) >= p.cutAt {
		p.history = append(p.history, events[:max(0, p.cutAt-len(p.history))]...)
		p.kill()
	}
	if p.dead {
		return errors.New("killed")
	}
	p.history = append(p.history, events...)
	return nil
}

func (p *process) Exec(ctx context.Context, a flow.Attempt, log io.Writer) (flow.Result, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	p.mu.Lock()
	dead := p.dead
	p.ends = append(p.ends, end)
	p.mu.Unlock()
	if dead {
		return flow.Result{}, flow.ErrDetached
	}
	return p.hosts.Exec(ctx, a, log)
}

func logName(j *flow.Job, attempt int) string { return fmt.Sprintf("%s/%d", j.Key, attempt) }

func (p *process) output(j *flow.Job, attempt int) io.Writer {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.logs[logName(j, attempt)]
	if b == nil {
		b = new(bytes.Buffer)
		p.logs[logName(j, attempt)] = b
	}
	return writerFunc(func(text []byte) (int, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dead {
			return 0, errors.New("killed")
		}
		return b.Write(text)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func (p *process) logOffset(j *flow.Job, attempt int) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.logs[logName(j, attempt)].Len())
}

// loseLogs takes away some of the ends of logs whose attempts go on: they were
// not on disk yet.
func (w *world) loseLogs(rnd *rand.Rand) {
	ended := map[string]bool{}
	for _, ev := range w.history {
		if ev.Kind == flow.AttemptCompleted {
			ended[logName(ev.Job, ev.Attempt)] = true
		}
	}
	for _, j := range w.plan.Jobs { // in order, for the seed's sake
		for n := 1; w.logs[logName(j, n)] != nil; n++ {
			if b := w.logs[logName(j, n)]; !ended[logName(j, n)] && rnd.IntN(3) == 0 {
				b.Truncate(b.Len() - rnd.IntN(b.Len()+1))
			}
		}
	}
}

// outcome is all that a run leaves, but for when. Of what was skipped the
// reason is left out: which of two failed first is a matter of time.
func (w *world) outcome(r *flow.Run) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Conclusion)
	for _, j := range r.Jobs {
		if j.Conclusion == flow.Skipped {
			j.Error = ""
		}
		fmt.Fprintln(&b, j.Key, j.Conclusion, j.Cause, j.Error, j.SHA)
		for i, a := range j.Attempts {
			log := "none"
			if l := w.logs[fmt.Sprintf("%s/%d", j.Key, i+1)]; l != nil {
				log = digest(l.String())
			}
			fmt.Fprintln(&b, "  ", a.JobID, a.Status, a.Conclusion, a.Cause, a.ExitCode, a.Error, "log", log, "tail", digest(a.Log))
		}
	}
	begun := w.hosts.Attempts()
	slices.Sort(begun)
	fmt.Fprintln(&b, "begun", begun)
	return b.String()
}

func digest(s string) string {
	h := fnv.New64a()
	io.WriteString(h, s)
	return fmt.Sprintf("%d:%x", len(s), h.Sum64())
}

// dice is a random run: its plan and how its attempts go.
type dice struct {
	seed  uint64
	exact bool // nothing is retried, so that no random delay matters
	hang  bool // some jobs never end
	git   map[string]bool
}

func (d *dice) rand(what string) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, what)
	return rand.New(rand.NewPCG(d.seed, h.Sum64()))
}

func (d *dice) plan() *flow.Plan {
	s, rnd := newSketch(), d.rand("plan")
	d.exact, d.git = rnd.IntN(3) == 0, map[string]bool{}
	d.hang = d.exact || rnd.IntN(2) == 0
	var names []string
	timeout := 4 * time.Hour // longer than all jobs in a row that do not hang
	for jobs := 0; jobs < 10 && rnd.IntN(8) > 0; {
		name, hosts := fmt.Sprintf("p%d", len(s.byID)), 1+rnd.IntN(3)
		var before []string
		for _, n := range names {
			if rnd.IntN(3) == 0 {
				before = append(before, n)
			}
		}
		d.settle(s.inv(name, hosts, before...), rnd, timeout)
		names, jobs, timeout = append(names, name), jobs+hosts, 2*timeout
		if rnd.IntN(3) == 0 {
			after := s.after(name, []flow.When{flow.WhenAlways, flow.WhenSuccess, flow.WhenFailure}[rnd.IntN(3)], name+"x")
			d.settle(after, rnd, timeout)
			jobs, timeout = jobs+1, 2*timeout
		}
	}
	p := &flow.Pool{Name: "p"} // with room for all, so that what hangs is in nobody's way
	for i := range 3 {
		p.Hosts = append(p.Hosts, flow.PoolHost{URL: fmt.Sprint("http://pool", i), Slots: 20})
	}
	s.plan.Pools = []*flow.Pool{p}
	return s.roots(names...)
}

// settle gives the invocation its settings. No sum of timeouts comes near
// another one, however long what is in between takes.
func (d *dice) settle(inv *flow.Invocation, rnd *rand.Rand, timeout time.Duration) {
	inv.Timeout = timeout
	pooled := rnd.IntN(3) == 0
	inv.IgnoreErrors = rnd.IntN(5) == 0
	inv.Retry.On = []string{"failure", "lost", "timed_out"}
	if d.exact {
		inv.FailFast = rnd.IntN(2) == 0
	} else {
		inv.Retry.Limit = rnd.IntN(3)
	}
	git := rnd.IntN(4) == 0
	for _, j := range inv.Jobs {
		if rnd.IntN(4) == 0 && (d.exact || !d.hang) { // else the random delays say who comes first
			j.QueueID = "q"
		}
		if pooled {
			j.Host, j.Pool = "", "p"
		}
		if git {
			j.Source = flow.Source{Kind: flow.SourceGit, URL: "https://forge.example/" + inv.Key + ".git", Ref: "main"}
		}
		d.git[j.Key] = git
	}
}

func (d *dice) step(a flow.Attempt) flowtest.Step {
	rnd := d.rand(logName(a.Job, a.Number))
	some := func(most time.Duration) time.Duration { return 1 + time.Duration(rnd.Int64N(int64(most))) }
	st := flowtest.Step{Queue: some(time.Minute), Run: some(5 * time.Minute), Parts: 1 + rnd.IntN(5), Linger: some(20 * time.Second), Deaf: rnd.IntN(8) == 0}
	if d.git[a.Job.Key] {
		st.Result.Commit = sha1
	}
	var log strings.Builder
	for n := rnd.IntN(6); n > 0; n-- {
		log.WriteString(strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(7_000)))
		fmt.Fprintf(&log, "\n%d", rnd.Uint64())
	}
	st.Log = log.String()
	switch n := rnd.IntN(20); {
	case n < 4:
		st.Result.Conclusion, st.Result.Cause, st.Result.Error, st.Result.ExitCode = flow.Failure, flow.CauseTask, "exit status 7", 7
	case n < 5:
		st.Result.Conclusion, st.Result.Cause, st.Result.Lost = flow.Failure, flow.CauseInfrastructure, true
	case n < 7 && !d.exact:
		st.Err, st.Run = fmt.Errorf("dial: %w", flow.ErrNotStarted), 0
	case n < 9 && d.hang:
		st.Run, st.Deaf = 1<<20*time.Hour+time.Minute, false // until its time is over
	}
	return st
}

// TestSlices: a run that is let go of, or whose process is killed, again and
// again ends as one that nothing disturbs.
func TestSlices(t *testing.T) {
	const seeds, shards = 300, 4
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < seeds; seed += shards {
				synctest.Test(t, func(t *testing.T) { testSlices(t, seed) })
			}
		})
	}
}

func testSlices(t *testing.T, seed uint64) {
	d := &dice{seed: seed}
	calm := newWorld(d.plan(), d.step)
	run, err := calm.process().run(t.Context())
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	want, took := calm.outcome(run), run.CompletedAt.Sub(run.StartedAt)
	w, rnd := newWorld(d.plan(), d.step), d.rand("slices")
	kills := rnd.IntN(2) == 0
	if !kills { // the pools outlive the slices of their runs
		w.pools = flow.NewPools(flow.PoolsConfig{})
		defer w.pools.Close()
		w.pools.Define(w.plan.Pools)
		defer w.checkPools(t)
	}
	run = slice(t, w, rnd, kills)
	if got := w.outcome(run); got != want {
		t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
	}
	if again := run.CompletedAt.Sub(run.StartedAt); d.exact && !kills && again != took {
		t.Errorf("seed %d: took %v instead of %v", seed, again, took)
	}
	if n := w.hosts.Most("queue-id q"); n > 1 && !kills {
		t.Errorf("seed %d: %d jobs of a queue-id at once", seed, n)
	}
}

// checkPools: in the end no job has a place.
func (w *world) checkPools(t *testing.T) {
	for _, h := range w.pools.Hosts() {
		if h.Used != 0 {
			t.Errorf("%s is left with %d jobs", h.URL, h.Used)
		}
	}
}

// slice works on the run in slices of random length to its end.
func slice(t *testing.T, w *world, rnd *rand.Rand, kills bool) *flow.Run {
	t.Helper()
	most := time.Second
	for {
		p := w.process()
		ctx, cancel := context.WithCancelCause(t.Context())
		most *= 2
		end := time.Now().Add(time.Duration(rnd.Int64N(int64(most))))
		if kills && rnd.IntN(2) == 0 {
			p.cutAt = len(w.history) + 1 + rnd.IntN(6)
		}
		timer := time.AfterFunc(time.Until(end), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if kills {
				p.kill()
			} else {
				cancel(flow.ErrDetached)
			}
		})
		run, err := p.run(ctx)
		timer.Stop()
		if run != nil {
			return run
		}
		if kills {
			w.loseLogs(rnd)
			continue
		}
		if !errors.Is(err, flow.ErrDetached) || time.Since(end) > 0 {
			t.Fatalf("%v, %v after it was let go of", err, time.Since(end))
		}
		if last := w.history[len(w.history)-1]; last.Kind == flow.RunCompleted {
			t.Fatal("a run that was let go of is complete")
		}
	}
}
