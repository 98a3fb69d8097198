//go:build unix

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shape is a DAG of trivial steps, as jobs.yaml and as batches for xargs.
type shape struct {
	name   string
	layers []int // steps of each layer; a layer waits for the one before
	width  int   // xargs -P
}

// BenchmarkWholeProcess runs the same bash commands with xargs and with cromt
// (orchestrator, HTTP, an agent in a process of its own, every transition on
// disk) in turn, checks that each step ran exactly once, and reports the
// medians of the pairwise ratios of wall and CPU time.
func BenchmarkWholeProcess(b *testing.B) {
	binary := benchBinary(b)
	for _, s := range []shape{
		{"one", []int{1}, 1},
		{"parallel100", []int{100}, 2},
		{"chain100", slices.Repeat([]int{1}, 100), 1},
		{"layers10x100", slices.Repeat([]int{100}, 10), 2},
		{"layers100x100", slices.Repeat([]int{100}, 100), 2},
	} {
		b.Run(s.name, func(b *testing.B) { s.bench(b, binary) })
	}
}

// benchBinary is the program to measure: CROMT_BINARY, else one that is built.
func benchBinary(b *testing.B) string {
	b.Helper()
	binary := os.Getenv("CROMT_BINARY")
	if binary == "" {
		binary = filepath.Join(b.TempDir(), "cromt")
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("build: %v\n%s", err, out)
		}
	}
	return binary
}

func (s shape) bench(b *testing.B, binary string) {
	dir := b.TempDir()
	log := filepath.Join(dir, "log")
	write(b, filepath.Join(dir, ".tom", "step.bash"), "echo $ID >> "+log+"\n")
	cmd, addr := startAgent(b, binary, "127.0.0.1:0", filepath.Join(dir, "agent"))
	agent, url := cmd.Process.Pid, "http://"+addr
	conf := filepath.Join(dir, "jobs.yaml")
	write(b, conf, s.yaml(dir, url))
	env := append(os.Environ(), "HOME="+dir, "SP6_LOG_NO_TIMESTAMPS=1")
	var wall, cpu []float64
	var rss int64
	for b.Loop() {
		fw, fc, _ := measure(b, 0, func(ctx context.Context) *exec.Cmd { return s.xargs(ctx, log) })
		s.verify(b, log)
		cw, cc, r := measure(b, agent, func(ctx context.Context) *exec.Cmd {
			c := exec.CommandContext(ctx, binary, "run", "--conf", conf, "--journal", filepath.Join(dir, "journal"+strconv.FormatInt(time.Now().UnixNano(), 36)))
			c.Env = env
			return c
		})
		s.verify(b, log)
		wall = append(wall, cw.Seconds()/fw.Seconds())
		cpu = append(cpu, cc.Seconds()/fc.Seconds())
		rss = max(rss, r)
	}
	b.ReportMetric(median(wall), "wall-ratio")
	b.ReportMetric(median(cpu), "cpu-ratio")
	b.ReportMetric(float64(rss)/1024, "MiB-orchestrator")
	b.ReportMetric(float64(statusKB(agent, "VmHWM"))/1024, "MiB-agent")
}

func (s shape) steps() int {
	n := 0
	for _, l := range s.layers {
		n += l
	}
	return n
}

func (s shape) yaml(dir, url string) string {
	var y strings.Builder
	fmt.Fprintln(&y, "projects:")
	id := 0
	for i, l := range s.layers {
		fmt.Fprintf(&y, "  layer%d:\n    path: %s\n    action: step\n    hosts:\n", i, dir)
		for range l {
			id++
			fmt.Fprintf(&y, "      - {url: %q, vars: {ID: %d}}\n", url, id)
		}
		if i > 0 {
			fmt.Fprintf(&y, "    before:\n      - name: layer%d\n", i-1)
		}
	}
	return y.String()
}

// xargs runs the steps layer by layer.
func (s shape) xargs(ctx context.Context, log string) *exec.Cmd {
	var script strings.Builder
	id := 1
	for _, l := range s.layers {
		fmt.Fprintf(&script, "seq %d %d | xargs -P%d -n1 bash -c 'echo $0 >> %s'\n", id, id+l-1, s.width, log)
		id += l
	}
	if l := s.layers; len(l) > 1 && l[0] == 1 { // a chain is one xargs
		script.Reset()
		fmt.Fprintf(&script, "seq 1 %d | xargs -P1 -n1 bash -c 'echo $0 >> %s'\n", len(l), log)
	}
	return exec.CommandContext(ctx, "bash", "-c", script.String())
}

// verify fails the benchmark unless every step ran exactly once since the last
// time, and no layer before the one above it.
func (s shape) verify(b *testing.B, log string) {
	b.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		b.Fatal(err)
	}
	os.Remove(log)
	if err := s.check(string(data)); err != nil {
		b.Fatal(err)
	}
}

// check is about the numbers of the steps in the order in which they ran.
func (s shape) check(log string) error {
	var ids []int
	for f := range strings.FieldsSeq(log) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return err
		}
		ids = append(ids, n)
	}
	if len(ids) != s.steps() {
		return fmt.Errorf("%d steps ran, want %d", len(ids), s.steps())
	}
	at := 0
	for _, l := range s.layers {
		layer := slices.Sorted(slices.Values(ids[at : at+l]))
		for i, id := range layer {
			if id != at+i+1 {
				return fmt.Errorf("step %d ran where step %d should have", id, at+i+1)
			}
		}
		at += l
	}
	return nil
}

// TestShapeCheck: what is measured is only what did all of the work, once and
// in order.
func TestShapeCheck(t *testing.T) {
	s := shape{"", []int{2, 1, 2}, 2}
	for log, want := range map[string]string{
		"1 2 3 4 5":   "",
		"2 1 3 5 4":   "",
		"1 2 3 4":     "4 steps ran, want 5",
		"1 2 3 4 5 5": "6 steps ran, want 5",
		"1 2 3 4 4":   "step 4 ran where step 5 should have",
		"1 3 2 4 5":   "step 3 ran where step 2 should have",
		"1 2 x 4 5":   `strconv.Atoi: parsing "x": invalid syntax`,
	} {
		got := ""
		if err := s.check(log); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}

// measure returns wall and CPU time of the command's whole tree, and the peak
// memory of its first process in KiB, which is asked for while it runs: what
// the system tells afterwards is at least the memory of this process. CPU of
// the agent, another process, is added.
func measure(b *testing.B, agent int, cmd func(context.Context) *exec.Cmd) (wall, cpu time.Duration, rss int64) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	before := treeCPU(b, agent)
	var out bytes.Buffer
	c := cmd(ctx)
	c.Stdout, c.Stderr = &out, &out
	start := time.Now()
	err := c.Start()
	if err == nil {
		peak, ended := make(chan int64), make(chan struct{})
		go func() { peak <- watchPeak(c.Process.Pid, ended) }()
		err = c.Wait()
		wall = time.Since(start)
		close(ended)
		rss = <-peak
	}
	if err != nil {
		b.Fatalf("%v: %v\n%.2000s", c.Args, err, out.String())
	}
	return wall, c.ProcessState.UserTime() + c.ProcessState.SystemTime() + treeCPU(b, agent) - before, rss
}

// watchPeak is the peak memory of a process in KiB, asked for until it has ended.
func watchPeak(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		peak = max(peak, statusKB(pid, "VmHWM"))
		select {
		case <-tick.C:
		case <-ended:
			return peak
		}
	}
}

// treeCPU is the CPU time of a process and its children that have ended.
func treeCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	if pid == 0 {
		return 0
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:]))
	var ticks int64
	for _, s := range f[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(s, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}

func statusKB(pid int, key string) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n
		}
	}
	return 0
}

// loadAverage is how many processes wanted to run in the last minute, 0 where
// the system does not tell.
func loadAverage() float64 {
	data, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(data), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}

func write(b testing.TB, path, text string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
