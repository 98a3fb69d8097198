package main_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// tally counts what the chaos has done, over several sites.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	times  map[string][]time.Duration
}

func (c *tally) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[what] += n
}

func (c *tally) took(what string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string][]time.Duration{}
	}
	c.times[what] = append(c.times[what], d)
}

func (c *tally) log(t *testing.T, began time.Time) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, all := range c.times {
		slices.Sort(all)
		at := func(p float64) time.Duration { return all[int(p*float64(len(all)-1))].Round(time.Millisecond) }
		t.Logf("%s: %d, median %v, p95 %v, p99 %v, longest %v", what, len(all), at(0.5), at(0.95), at(0.99), at(1))
	}
	t.Logf("%v in %v", c.counts, time.Since(began).Round(time.Second))
}

// TestChaosKillRun kills cromt run with -9 at random moments of random flows;
// with the same journal it goes on, and every job runs once and ends as it
// would have.
func TestChaosKillRun(t *testing.T) {
	t.Parallel()
	killSites(t, chaosCount(14, 1000), chaosCount(2, 6), 0, func(s *chaosSite, left *atomic.Int64, c *tally) func() *account {
		r := newRelay(s.t, s.addr)
		return func() *account { return s.killRuns(r, left, c) }
	})
}

// killSites has several sites, each with random numbers of its own from the
// first on, carry out one flow after the other until so many kills have been.
func killSites(t *testing.T, kills, sites int, first uint64, begin func(s *chaosSite, left *atomic.Int64, c *tally) (flow func() *account)) {
	t.Helper()
	seed, began := chaosSeed(t), time.Now()
	sparkytest.WatchCommandLines(t, chaosSecret)
	var c tally
	defer func() { c.log(t, began) }()
	var left atomic.Int64
	left.Store(int64(kills))
	t.Run("sites", func(t *testing.T) {
		for i := range sites {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				s := newChaosSite(t, rand.New(rand.NewPCG(seed, first+uint64(i))))
				s.startAgent()
				flow := begin(s, &left, &c)
				var done []*account
				for left.Load() > 0 && !t.Failed() {
					done = append(done, flow())
				}
				s.settle(done)
			})
		}
	})
}

// killRuns has one flow run, and kills it up to six times.
func (s *chaosSite) killRuns(r *relay, left *atomic.Int64, c *tally) *account {
	s.t.Helper()
	d := s.newRun("http://"+r.addr, 5, 30)
	for n := range 7 {
		r.arm()
		p := s.start(d)
		after := time.Duration(s.rng.IntN(500)) * time.Millisecond
		if s.rng.IntN(4) == 0 {
			after /= 8 // before it has begun
		}
		if n == 6 || left.Load() <= 0 {
			after = chaosRunLimit
		}
		killed := p.killAfter(after)
		if at := r.first(); n > 0 && !at.IsZero() {
			c.took("from the restart to the first request", at.Sub(r.armed))
		}
		if !killed {
			break
		}
		if after == chaosRunLimit {
			s.t.Errorf("%s hangs", d.dir)
			break
		}
		c.add("kills of cromt run", 1)
		left.Add(-1)
	}
	c.add("runs", 1)
	c.add("jobs", len(d.jobs))
	a := d.read(s.t)
	a.check(s.t)
	a.undisturbed(s.t)
	if a.report == nil {
		c.add("runs killed between their end and their report", 1)
	}
	d.noOrphans(s.t)
	return a
}

// settle ends the site: what has passed is on the agent's disk, and no secret is.
func (s *chaosSite) settle(done []*account) {
	s.t.Helper()
	s.killAgent()
	s.startAgent()
	for _, a := range done[max(0, len(done)-2):] { // older ones may be pruned
		a.journalled(s.t, s.url())
	}
	s.endAgent(syscall.SIGTERM)
	noSecret(s.t, s.dir)
}

// relay passes connections on to an agent and knows when the first one came.
type relay struct {
	addr  string
	to    string
	armed time.Time
	mu    sync.Mutex
	at    time.Time
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String(), to: to}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			if r.at.IsZero() {
				r.at = time.Now()
			}
			r.mu.Unlock()
			wg.Go(func() { r.pass(conn) })
		}
	})
	return r
}

func (r *relay) pass(conn net.Conn) {
	defer conn.Close()
	host, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer host.Close()
	go func() {
		_, _ = io.Copy(host, conn)
		host.Close()
	}()
	_, _ = io.Copy(conn, host)
}

// arm begins to wait for a first connection.
func (r *relay) arm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed, r.at = time.Now(), time.Time{}
}

func (r *relay) first() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// TestChaosKillAgent kills cromt agent with -9 while random flows run on it:
// what was interrupted is lost, or run again where the flow says so, and
// nothing is left of it.
func TestChaosKillAgent(t *testing.T) {
	t.Parallel()
	killSites(t, chaosCount(8, 1000), chaosCount(2, 8), 100, func(s *chaosSite, left *atomic.Int64, c *tally) func() *account {
		return func() *account { return s.killAgents(left, c) }
	})
}

// killAgents has one flow run, and kills its agent up to six times.
func (s *chaosSite) killAgents(left *atomic.Int64, c *tally) *account {
	s.t.Helper()
	d := s.newRun(s.url(), 5, 30)
	p := s.start(d)
	for kills := 1 + s.rng.IntN(6); kills > 0 && left.Load() > 0; kills-- {
		if p.wait(time.Duration(s.rng.IntN(700)) * time.Millisecond) {
			break
		}
		s.killAgent()
		c.add("kills of cromt agent", 1)
		left.Add(-1)
		if s.rng.IntN(3) == 0 && p.wait(time.Duration(s.rng.IntN(400))*time.Millisecond) {
			break
		}
		began := time.Now()
		s.startAgent()
		c.took("from the agent's start to its being ready", time.Since(began))
	}
	s.mu.Lock()
	down := s.agent == nil
	s.mu.Unlock()
	if down {
		s.startAgent()
	}
	if !p.wait(chaosRunLimit) {
		s.t.Errorf("%s hangs", d.dir)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	c.add("runs", 1)
	a := d.read(s.t)
	a.check(s.t)
	a.disturbed(s.t, c)
	if a.report == nil {
		s.t.Errorf("%s: no report, exit code %d", d.dir, p.code())
	}
	d.noOrphans(s.t)
	return a
}

// disturbed checks that every job ended as it would have, or by
// infrastructure, or was skipped for that.
func (a *account) disturbed(t testing.TB, c *tally) {
	t.Helper()
	for i, end := range a.ends {
		j := &a.d.jobs[i]
		c.add("jobs", 1)
		c.add("attempts", len(a.queued[i]))
		blocked := slices.ContainsFunc(j.needs, func(n int) bool { return !a.ends[n].Passed() })
		switch {
		case blocked && (end == flow.Skipped || end == ""):
			c.add("skipped", 1)
		case blocked:
			t.Errorf("%s: p%d is %s and should have been skipped", a.d.dir, i, end)
		case end == j.ended() && (a.causes[i] == "" || a.causes[i] == flow.CauseTask):
			c.add("as it should", 1)
		case a.causes[i] == flow.CauseInfrastructure && (end == flow.Failure || end == flow.Neutral && j.ignore):
			c.add("ended by infrastructure", 1)
			if a.lost[i] {
				c.add("lost", 1)
			}
			if j.retry && a.lost[i] && len(a.queued[i]) < 20 {
				t.Errorf("%s: p%d was lost and not run again", a.d.dir, i)
			}
		default:
			t.Errorf("%s: p%d is %s (%s), want %s", a.d.dir, i, end, a.causes[i], j.ended())
		}
	}
}
