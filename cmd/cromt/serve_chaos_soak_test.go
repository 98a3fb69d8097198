//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// soakRepos are enough that none of them needs more than its hour of GitHub's
// limits, with a push every other second.
const soakRepos = 40

// soakCaches is what the caches of SQLite's connections hold, in bytes, once
// the database is that large: memory may grow by as much until then.
const soakCaches = 8 << 20

// soakGarbage is by how much two looks at a heap of some 8 MB differ, in bytes,
// with what has been collected by then.
const soakGarbage = 2 << 20

// TestChaosSoak has the App answer pushes for as long as CROMT_CHAOS_SOAK says:
// what it takes of the machine must not grow but for the database. The ordinary
// tests have a few seconds of it, which show that it can be measured.
func TestChaosSoak(t *testing.T) {
	length, measured := 3*time.Second, false
	if text := os.Getenv("CROMT_CHAOS_SOAK"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		length, measured = d, true
	}
	pushes := max(1, int(length/(2*time.Second))/soakRepos) * soakRepos
	c := newChaos(t, chaosPlan{
		replicas: 1, repos: soakRepos, commits: pushes / soakRepos, chained: true, letters: pushes,
		senders: 1, pace: length / time.Duration(pushes), faults: 100, hostFaults: 100, limit: length + 10*time.Minute,
	})
	ctx, stop := context.WithCancel(t.Context())
	var samples []soakSample
	var sampler sync.WaitGroup
	sampler.Go(func() { samples = c.sample(ctx, length/60) })
	c.deliver()
	stop()
	sampler.Wait()
	c.check()
	if len(samples) < 20 {
		t.Fatalf("%d samples of %s", len(samples), length)
	}
	tenth := len(samples) / 10
	begin, end := leastOf(samples[tenth:2*tenth]), leastOf(samples[len(samples)-tenth:])
	for name, more := range map[string]float64{
		"process_resident_memory_bytes": soakCaches, "go_memstats_heap_inuse_bytes": soakGarbage, "process_open_fds": 0, "go_goroutines": 0,
	} {
		t.Logf("%s: %.0f in the second tenth of the time, %.0f in the last", name, begin[name], end[name])
		if measured && end[name] > 1.1*begin[name]+more {
			t.Errorf("%s has grown from %.0f to %.0f", name, begin[name], end[name])
		}
	}
	first, last := samples[0], samples[len(samples)-1]
	runs := last["runs"] - first["runs"]
	t.Logf("database: %.0f bytes at the end, %.0f bytes a run (of %.0f)", last["database"], (last["database"]-first["database"])/max(1, runs), runs)
}

// soakSample is what is measured at one time, by its name.
type soakSample map[string]float64

// sample measures at each interval until ctx is done.
func (c *chaos) sample(ctx context.Context, interval time.Duration) (all []soakSample) {
	for n := 0; c.sleep(ctx, interval); n++ {
		s, err := c.measure()
		if err != nil {
			c.t.Error(err)
			continue
		}
		all = append(all, s)
		if n%10 == 0 {
			c.t.Logf("%v", s)
		}
	}
	return all
}

func (c *chaos) measure() (soakSample, error) {
	addr := "http://" + c.address(0)
	if _, err := getText(addr + "/"); err != nil { // somebody looks
		return nil, err
	}
	text, err := getText(addr + "/metrics")
	if err != nil {
		return nil, err
	}
	s := soakSample{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		base, _, _ := strings.Cut(name, "{")
		switch base {
		case "process_resident_memory_bytes", "process_open_fds", "go_goroutines", "cromt_runs_total", "go_memstats_heap_inuse_bytes":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("metric %s: %w", name, err)
			}
			if base == "cromt_runs_total" {
				base = "runs"
			}
			s[base] += v
		}
	}
	files, _ := filepath.Glob(filepath.Join(c.dir, "cromt.db*"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && !strings.HasSuffix(f, ".lock") {
			s["database"] += float64(info.Size())
		}
	}
	return s, nil
}

// leastOf is the least of what was measured: what a process has when little is
// going on, and what it leaks.
func leastOf(samples []soakSample) soakSample {
	least := soakSample{}
	for s := range slices.Values(samples) {
		for name, v := range s {
			if have, ok := least[name]; !ok || v < have {
				least[name] = v
			}
		}
	}
	return least
}
