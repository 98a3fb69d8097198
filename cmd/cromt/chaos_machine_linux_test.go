package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// machineFault is something that a machine does to the agent, or to cromt run,
// while a flow runs.
type machineFault struct {
	name        string
	short, full int // how often
	harmless    bool
	longest     time.Duration // that it lasts
	prepare     func(s *chaosSite) (ok bool)
	inject      func(s *chaosSite, d *dag, p *process) (relieve func())
}

// TestChaosMachine has the disk full, processes stopped, descriptors run out,
// the clock set and the disk fail while random flows run: nothing passes that
// has not, and the agent works again as soon as the machine does.
func TestChaosMachine(t *testing.T) {
	t.Parallel()
	seed, began := chaosSeed(t), time.Now()
	sparkytest.WatchCommandLines(t, chaosSecret)
	var c tally
	defer func() { c.log(t, began) }()
	t.Run("faults", func(t *testing.T) {
		for i, f := range machineFaults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				n := chaosCount(f.short, f.full)
				if n == 0 {
					return
				}
				s := newChaosSite(t, rand.New(rand.NewPCG(seed, uint64(200+i))))
				write(t, filepath.Join(s.scripts, ".tom", "probe.bash"), "true\n")
				if f.prepare != nil && !f.prepare(s) {
					return
				}
				s.startAgent()
				for tries := 0; n > 0 && tries < 1000 && !t.Failed(); tries++ {
					if s.suffer(&f, &c) {
						n--
					}
				}
				s.endAgent(syscall.SIGTERM)
				noSecret(t, s.dir)
			})
		}
	})
}

var machineFaults = []machineFault{
	{name: "agent stopped", short: 1, full: 30, harmless: true, longest: 4 * time.Second, inject: func(s *chaosSite, _ *dag, _ *process) func() {
		return stopped(s.agent.Process)
	}},
	{name: "run stopped", short: 1, full: 30, harmless: true, longest: 4 * time.Second, inject: func(_ *chaosSite, _ *dag, p *process) func() {
		return stopped(p.cmd.Process)
	}},
	{name: "agent without descriptors", short: 1, full: 30, longest: 2 * time.Second, inject: func(s *chaosSite, _ *dag, _ *process) func() {
		return s.fewFiles(s.agent.Process.Pid)
	}},
	{name: "run without descriptors", short: 1, full: 20, longest: 2 * time.Second, inject: func(s *chaosSite, _ *dag, p *process) func() {
		return s.fewFiles(p.cmd.Process.Pid)
	}},
	{name: "agent's disk full", short: 1, full: 40, longest: 4 * time.Second, prepare: func(s *chaosSite) bool { return s.mount(s.root(), "300m") }, inject: (*chaosSite).fillAgent},
	{name: "run's disk full", short: 1, full: 20, longest: time.Second, inject: (*chaosSite).fillRun},
	{name: "agent's disk slow", full: 15, harmless: true, longest: 4 * time.Second, prepare: hasStrace, inject: func(s *chaosSite, _ *dag, _ *process) func() {
		return s.strace("delay_exit=400000")
	}},
	{name: "agent's disk failing", full: 15, longest: 4 * time.Second, prepare: hasStrace, inject: func(s *chaosSite, _ *dag, _ *process) func() {
		return s.strace("error=EIO")
	}},
	{name: "clock set", full: 20, harmless: true, longest: 2 * time.Second, prepare: (*chaosSite).ownClock, inject: (*chaosSite).setClock},
}

// suffer has a flow run with one such fault. It reports false when the flow had
// ended before.
func (s *chaosSite) suffer(f *machineFault, c *tally) bool {
	s.t.Helper()
	d := s.newRun(s.url(), 5, 25)
	p := s.start(d)
	ended := p.wait(time.Duration(s.rng.IntN(600)) * time.Millisecond)
	if ended {
		return false
	}
	relieve := f.inject(s, d, p)
	p.wait(f.longest/8 + time.Duration(s.rng.Int64N(int64(f.longest))))
	relieve()
	c.add(f.name, 1)
	at := time.Now()
	s.probe()
	c.took("until a job has run after: "+f.name, time.Since(at))
	for tries := 0; ; tries++ {
		if !p.wait(chaosRunLimit) {
			s.t.Errorf("%s hangs", d.dir)
			return true
		}
		if d.over() {
			break
		}
		if tries == 3 {
			s.t.Errorf("%s does not come to an end: %s", d.dir, tail(d.path("out")))
			return true
		}
		p = s.start(d) // its journal could not be written
	}
	a := d.read(s.t)
	a.check(s.t)
	switch {
	case f.harmless:
		a.undisturbed(s.t)
	case slices.Contains(a.ends, flow.Cancelled): // a run whose journal fails cancels what runs, for whoever goes on with it
	default:
		a.disturbed(s.t, c)
	}
	if p.code() == 0 && (a.report == nil || a.whole != flow.Success) {
		s.t.Errorf("%s: exit code 0, and the run is %s (report: %t)", d.dir, a.whole, a.report != nil)
	}
	d.noOrphans(s.t)
	return true
}

// over says whether the run's end is in its journal.
func (d *dag) over() bool {
	data, _ := os.ReadFile(d.path("journal"))
	return strings.Contains(string(data[max(0, len(data)-4096):]), `"kind":"`+string(flow.RunCompleted)+`"`)
}

func tail(path string) string {
	data, _ := os.ReadFile(path)
	return string(data[max(0, len(data)-2000):])
}

// probe has the agent run a job, as soon as it takes one that passes.
func (s *chaosSite) probe() {
	s.t.Helper()
	client, err := sparky.NewClient(sparky.HostConfig{URL: s.url()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.CloseIdle()
	var last error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s.runs++
		id := fmt.Sprintf("probe-%d", s.runs)
		if last = s.post(client, id); last != nil {
			continue
		}
		js, err := client.Wait(context.Background(), "probe", id, sparky.CodeQueued, 0, 10*time.Second)
		for err == nil && !js.State.Ended() {
			js, err = client.Wait(context.Background(), "probe", id, js.State, js.Offset, 10*time.Second)
		}
		if last = err; err == nil && js.State == sparky.CodeOK {
			return
		} else if err == nil {
			last = errors.New(js.Error)
		}
	}
	s.t.Errorf("a minute after the machine works again the agent does not: %v", last)
}

// post posts a job that does nothing.
func (s *chaosSite) post(client *sparky.Client, id string) error {
	spec, err := json.Marshal(sparky.Spec{
		Cromt: sparky.SpecVersion, Source: sparky.SpecSource{Kind: sparky.SpecDir, Dir: s.scripts}, Actions: []string{"probe"}, Timeout: 60,
	})
	if err != nil {
		return err
	}
	_, err = client.Queue(context.Background(), sparky.QueueRequest{
		Config: sparky.QueueConfig{Project: "probe", JobID: id}, Trigger: json.RawMessage("{}"), SparrowdoConfig: spec,
	})
	return err
}

func stopped(p *os.Process) func() {
	_ = p.Signal(syscall.SIGSTOP)
	return func() { _ = p.Signal(syscall.SIGCONT) }
}

// fewFiles takes from a process the right to open one more file.
func (s *chaosSite) fewFiles(pid int) func() {
	limits := func(n string) {
		out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), "--nofile="+n+":").CombinedOutput()
		if err != nil && !strings.Contains(string(out), "No such process") {
			s.t.Errorf("prlimit: %v %s", err, out)
		}
	}
	limits("4")
	return func() { limits("1024") }
}

// mount makes dir a small file system. Who may not do that does without.
func (s *chaosSite) mount(dir, size string) bool {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		s.t.Logf("no small disk is to be had here, so this is not tried: %v", err)
		return false
	}
	s.t.Cleanup(func() {
		s.killAgent()
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	return true
}

// fillAgent leaves the agent's disk without a byte, or with too few for work:
// what it is asked for then is refused, with the reason.
func (s *chaosSite) fillAgent(*dag, *process) func() {
	leave := int64(0)
	if s.rng.IntN(2) == 0 {
		leave = 64 << 20
	}
	fill := filepath.Join(s.root(), "fill")
	f, err := os.Create(fill)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.root(), &fs); err != nil {
		s.t.Fatal(err)
	}
	free := int64(fs.Bavail)*fs.Bsize - leave
	for ; free > 0 && syscall.Fallocate(int(f.Fd()), 0, 0, free) != nil; free -= 4096 { // others write, too
	}
	return func() {
		s.refused()
		os.Remove(fill)
	}
}

// refused checks that the agent takes no job and says why.
func (s *chaosSite) refused() {
	s.t.Helper()
	client, err := sparky.NewClient(sparky.HostConfig{URL: s.url()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.CloseIdle()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s.runs++
		err = s.post(client, fmt.Sprintf("refused-%d", s.runs))
		if err != nil && strings.Contains(err.Error(), "MiB free") {
			return
		}
	}
	s.t.Errorf("a full disk, and a job is not refused for it: %v", err)
}

// fillRun makes the files of cromt run end where they are.
func (s *chaosSite) fillRun(_ *dag, p *process) func() {
	limit := func(n string) {
		out, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.cmd.Process.Pid), "--fsize="+n+":").CombinedOutput()
		if err != nil && !strings.Contains(string(out), "No such process") {
			s.t.Errorf("prlimit: %v %s", err, out)
		}
	}
	limit("100")
	return func() { limit("unlimited") }
}

func hasStrace(s *chaosSite) bool {
	if _, err := exec.LookPath("strace"); err != nil {
		s.t.Log("without strace the disk cannot be made to fail, so this is not tried")
		return false
	}
	return true
}

// strace does to the agent what it can do with its disk flushes.
func (s *chaosSite) strace(what string) func() {
	cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:"+what, "-p", strconv.Itoa(s.agent.Process.Pid))
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); statusKB(s.agent.Process.Pid, "TracerPid") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("strace does not attach to the agent")
		}
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	}
}
