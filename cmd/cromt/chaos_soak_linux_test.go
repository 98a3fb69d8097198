package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
)

// soakSample is how large the agent was at one moment.
type soakSample struct {
	rss, threads, files int64 // KiB, and counts
	disk                int64 // bytes of its database
	jobs                int64 // that had ended
}

// soakRow is what a job may leave in the database for ever, in bytes: its id,
// which must stay known.
const soakRow = 512

// TestChaosSoakAgent has one agent serve runs of three jobs for as long as
// CROMT_CHAOS_SOAK says, and looks whether it grows.
func TestChaosSoakAgent(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("CROMT_CHAOS_SOAK"))
	if err != nil {
		t.Log("CROMT_CHAOS_SOAK=60m has an agent serve runs for an hour")
		return
	}
	seed, began := chaosSeed(t), time.Now()
	s := newChaosSite(t, rand.New(rand.NewPCG(seed, 300)))
	s.startAgent()
	var jobs atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(301+w)))
			for n := 0; !stop.Load() && !t.Failed(); n++ {
				id := fmt.Sprintf("w%d-%d", w, n)
				d := newDAG(rng, filepath.Join(s.dir, "runs", id), 3, 3)
				engineRun(t, d, id, s.scripts, sparky.HostConfig{URL: s.url()})
				jobs.Add(3)
				os.RemoveAll(d.dir)
			}
		})
	}
	every := min(time.Minute, length/20)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var samples []soakSample
	for time.Since(began) < length && !t.Failed() {
		<-tick.C
		one := s.sample()
		one.jobs = jobs.Load()
		samples = append(samples, one)
		t.Logf("%v: %+v", time.Since(began).Round(time.Second), one)
	}
	stop.Store(true)
	wg.Wait()
	compareDeciles(t, samples)
}

// sample measures the agent.
func (s *chaosSite) sample() soakSample {
	pid := s.agent.Process.Pid
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	one := soakSample{rss: statusKB(pid, "VmRSS"), threads: statusKB(pid, "Threads"), files: int64(len(fds))}
	for _, name := range []string{"agent.db"} {
		if fi, err := os.Stat(filepath.Join(s.root(), name)); err == nil {
			one.disk += fi.Size()
		}
	}
	return one
}

// compareDeciles holds the last tenth of the samples against the second.
func compareDeciles(t *testing.T, samples []soakSample) {
	t.Helper()
	tenth := len(samples) / 10
	if tenth == 0 {
		t.Fatalf("%d samples are too few", len(samples))
	}
	early, late := samples[tenth:2*tenth], samples[len(samples)-tenth:]
	mean := func(of []soakSample, what func(soakSample) int64) float64 {
		sum := int64(0)
		for _, s := range of {
			sum += what(s)
		}
		return float64(sum) / float64(len(of))
	}
	for name, what := range map[string]func(soakSample) int64{
		"RSS in KiB":  func(s soakSample) int64 { return s.rss },
		"threads":     func(s soakSample) int64 { return s.threads },
		"descriptors": func(s soakSample) int64 { return s.files },
	} {
		a, b := mean(early, what), mean(late, what)
		t.Logf("%s: %.0f, then %.0f (%+.1f %%)", name, a, b, 100*(b/a-1))
		if b > 1.1*a && b > a+4 { // of a dozen descriptors one more is no trend
			t.Errorf("%s grows: %.0f, then %.0f", name, a, b)
		}
	}
	disk := func(s soakSample) int64 { return s.disk }
	done := func(s soakSample) int64 { return s.jobs }
	perJob := (mean(late, disk) - mean(early, disk)) / max(1, mean(late, done)-mean(early, done))
	t.Logf("database: %.0f bytes, then %.0f: %.0f for each job", mean(early, disk), mean(late, disk), perJob)
	if perJob > soakRow {
		t.Errorf("the database keeps %.0f bytes of each job", perJob)
	}
}
