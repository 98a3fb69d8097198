//go:build unix

package main_test

import (
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

// peer is another program that runs DAGs. It is compared as installed: one
// that is not is left out.
type peer struct {
	name    string // of the program as well
	most    int    // steps of the largest shape that it runs within minutes
	rounds  int    // at most, of those that take minutes
	file    string
	text    func(s shape, log string) string
	command []string // followed by the file
}

// peers run at most two steps at once, as xargs does. Each step is one bash
// process; none of them keeps on disk what it has done.
var peers = []peer{
	{"make", 10_000, 5, "Makefile", shape.makefile, []string{"make", "-s", "-j2", "-f"}},
	{"ninja", 1000, 5, "build.ninja", shape.ninja, []string{"ninja", "--quiet", "-j2", "-f"}},
	{"rake", 1000, 5, "Rakefile", shape.rakefile, []string{"rake", "-m", "-j2", "-f"}},
	{"task", 1000, 5, "Taskfile.yml", shape.taskfile, []string{"task", "-C", "2", "--taskfile"}},
	{"act", 100, 2, "flow.yml", shape.workflow, []string{"act", "push", "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server",
		"--container-daemon-socket", "-", "--concurrent-jobs", "2", "--quiet", "--workflows"}},
}

// BenchmarkPeers runs the same bash commands with cromt and with other
// programs, each right after xargs, checks that each step ran exactly once,
// and reports for each the medians of its ratios of wall and CPU time to that
// xargs, and its peak memory. CROMT_BENCH_PEERS names those to run, separated
// by commas; without it, all that are installed.
func BenchmarkPeers(b *testing.B) {
	binary := benchBinary(b)
	for _, s := range []shape{
		{"one", []int{1}, 1},
		{"parallel100", []int{100}, 2},
		{"chain100", slices.Repeat([]int{1}, 100), 1},
		{"layers10x100", slices.Repeat([]int{100}, 10), 2},
		{"layers100x100", slices.Repeat([]int{100}, 100), 2},
	} {
		b.Run(s.name, func(b *testing.B) { s.compare(b, binary) })
	}
}

// contestant is a program in a comparison.
type contestant struct {
	name    string
	agent   int // process whose CPU time is its as well
	rounds  int
	command func(context.Context) *exec.Cmd

	wall, cpu []float64 // ratios to xargs
	rss       int64     // KiB
}

func (s shape) compare(b *testing.B, binary string) {
	dir := b.TempDir()
	log := filepath.Join(dir, "log")
	load := loadAverage()
	ours := s.cromt(b, binary, dir, log)
	all := []*contestant{ours}
	for _, p := range peers {
		if s.steps() <= p.most && p.wanted() {
			all = append(all, p.enter(b, s, dir, log))
		}
	}
	repeat := 1
	if s.steps() == 1 {
		repeat = 10 // the CPU time of an agent comes in hundredths of a second
	}
	timed := func(c *contestant) (wall, cpu time.Duration) {
		for range repeat {
			w, k, rss := measure(b, c.agent, c.command)
			s.verify(b, log)
			wall, cpu, c.rss = wall+w, cpu+k, max(c.rss, rss)
		}
		return wall, cpu
	}
	floor := &contestant{command: func(ctx context.Context) *exec.Cmd { return s.xargs(ctx, log) }}
	var floors []float64
	for round := 0; b.Loop(); round++ {
		for _, c := range all {
			if round >= c.rounds {
				continue
			}
			fw, fc := timed(floor)
			w, k := timed(c)
			floors = append(floors, fw.Seconds()*1000/float64(repeat))
			c.wall = append(c.wall, w.Seconds()/fw.Seconds())
			c.cpu = append(c.cpu, k.Seconds()/fc.Seconds())
		}
	}
	for _, c := range all {
		b.ReportMetric(median(c.wall), c.name+"/wall")
		b.ReportMetric(median(c.cpu), c.name+"/cpu")
		b.ReportMetric(float64(c.rss)/1024, c.name+"/MiB")
	}
	b.ReportMetric(float64(statusKB(ours.agent, "VmHWM"))/1024, "agent/MiB")
	b.ReportMetric(median(floors), "floor/ms")
	b.ReportMetric(load, "load")
	b.ReportMetric(0, "ns/op")
}

// cromt is our side: an orchestrator with its journal, and an agent in a
// process of its own.
func (s shape) cromt(b *testing.B, binary, dir, log string) *contestant {
	write(b, filepath.Join(dir, ".tom", "step.bash"), "echo $ID >> "+log+"\n")
	agent, addr := startAgent(b, binary, "127.0.0.1:0", filepath.Join(dir, "agent"))
	conf := filepath.Join(dir, "jobs.yaml")
	write(b, conf, s.yaml(dir, "http://"+addr))
	env := append(os.Environ(), "HOME="+dir, "SP6_LOG_NO_TIMESTAMPS=1")
	runs := 0
	return &contestant{name: "cromt", agent: agent.Process.Pid, rounds: 1 << 30, command: func(ctx context.Context) *exec.Cmd {
		runs++
		c := exec.CommandContext(ctx, binary, "run", "--conf", conf, "--journal", filepath.Join(dir, "journal"+strconv.Itoa(runs)))
		c.Env = env
		return c
	}}
}

// wanted reports whether the peer is installed and not left out.
func (p peer) wanted() bool {
	if only, ok := os.LookupEnv("CROMT_BENCH_PEERS"); ok && !slices.Contains(strings.Split(only, ","), p.name) {
		return false
	}
	_, err := exec.LookPath(p.name)
	return err == nil
}

// enter writes the shape as the peer reads it.
func (p peer) enter(b *testing.B, s shape, dir, log string) *contestant {
	home := filepath.Join(dir, p.name)
	file := filepath.Join(home, p.file)
	write(b, file, p.text(s, log))
	if p.name == "act" { // wants a repository with a commit
		git := exec.CommandContext(b.Context(), "sh", "-c", "git init -q -b main && git -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m all && git remote add origin https://github.com/octo/app.git")
		git.Dir = home
		if out, err := git.CombinedOutput(); err != nil {
			b.Fatalf("git: %v\n%s", err, out)
		}
	}
	env := append(os.Environ(), "HOME="+home, "DOCKER_HOST=unix:///nonexistent")
	return &contestant{name: p.name, rounds: p.rounds, command: func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, p.command[0], append(p.command[1:], file)...)
		c.Dir, c.Env = home, env
		return c
	}}
}

// each calls f for every step with its number, its layer, and the numbers of
// the first and the last step of the layer before, 0 without one.
func (s shape) each(f func(id, layer, first, last int)) {
	id, first, last := 1, 0, 0
	for i, l := range s.layers {
		for n := range l {
			f(id+n, i, first, last)
		}
		first, last = id, id+l-1
		id += l
	}
}

// names are prefix with each number of a layer, joined by sep.
func names(prefix, sep string, first, last int) string {
	var all []string
	for id := first; id <= last; id++ {
		all = append(all, prefix+strconv.Itoa(id))
	}
	return strings.Join(all, sep)
}

// perLayer calls f for every layer with the numbers of its first and last step.
func (s shape) perLayer(f func(layer, first, last int)) {
	id := 1
	for i, l := range s.layers {
		f(i, id, id+l-1)
		id += l
	}
}

func (s shape) makefile(log string) string {
	var y strings.Builder
	fmt.Fprintf(&y, "SHELL = bash\n.PHONY: all\nall: l%d\n", len(s.layers)-1)
	s.perLayer(func(layer, first, last int) {
		steps := names("s", " ", first, last)
		fmt.Fprintf(&y, ".PHONY: l%d %s\nl%d: %s\n", layer, steps, layer, steps)
	})
	s.each(func(id, layer, first, _ int) {
		if first > 0 {
			fmt.Fprintf(&y, "s%d: l%d\n", id, layer-1)
		}
		fmt.Fprintf(&y, "s%d:\n\techo %d >> %s\n", id, id, log)
	})
	return y.String()
}

func (s shape) ninja(log string) string {
	var y strings.Builder
	fmt.Fprintf(&y, "rule step\n  command = exec bash -c 'echo $n >> %s'\n", log)
	s.each(func(id, layer, first, _ int) {
		after := ""
		if first > 0 {
			after = fmt.Sprintf(" l%d", layer-1)
		}
		fmt.Fprintf(&y, "build s%d: step%s\n  n = %d\n", id, after, id)
	})
	s.perLayer(func(layer, first, last int) {
		fmt.Fprintf(&y, "build l%d: phony %s\n", layer, names("s", " ", first, last))
	})
	fmt.Fprintf(&y, "default l%d\n", len(s.layers)-1)
	return y.String()
}

func (s shape) rakefile(log string) string {
	var y strings.Builder
	s.each(func(id, layer, first, _ int) {
		after := ""
		if first > 0 {
			after = fmt.Sprintf(" => :l%d", layer-1)
		}
		fmt.Fprintf(&y, "multitask :s%d%s do system('bash', '-c', 'echo %d >> %s') or abort end\n", id, after, id, log)
	})
	s.perLayer(func(layer, first, last int) {
		fmt.Fprintf(&y, "multitask :l%d => [%s]\n", layer, names(":s", ", ", first, last))
	})
	fmt.Fprintf(&y, "task :default => :l%d\n", len(s.layers)-1)
	return y.String()
}

func (s shape) taskfile(log string) string {
	var y strings.Builder
	fmt.Fprintf(&y, "version: '3'\nrun: once\nsilent: true\ntasks:\n  default: {deps: [l%d]}\n", len(s.layers)-1)
	s.perLayer(func(layer, first, last int) {
		fmt.Fprintf(&y, "  l%d: {deps: [%s]}\n", layer, names("s", ", ", first, last))
	})
	s.each(func(id, layer, first, _ int) {
		after := ""
		if first > 0 {
			after = fmt.Sprintf("deps: [l%d], ", layer-1)
		}
		fmt.Fprintf(&y, "  s%d: {%scmds: [\"bash -c 'echo %d >> %s'\"]}\n", id, after, id, log)
	})
	return y.String()
}

// workflow has one job for each step, which needs all of the layer before.
func (s shape) workflow(log string) string {
	var y strings.Builder
	y.WriteString("on: push\njobs:\n")
	s.each(func(id, _, first, last int) {
		fmt.Fprintf(&y, "  s%d:\n    runs-on: ubuntu-latest\n", id)
		if first > 0 {
			fmt.Fprintf(&y, "    needs: [%s]\n", names("s", ", ", first, last))
		}
		fmt.Fprintf(&y, "    steps:\n      - {run: 'echo %d >> %s', shell: bash}\n", id, log)
	})
	return y.String()
}
