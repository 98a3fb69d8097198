package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/sparkytest"
)

// The chaos of cromt run and cromt agent. CROMT_CHAOS=full has it go on for as
// long as a release deserves; without, it is short and always the same.
// CROMT_TEST_SEED repeats what another time went wrong, CROMT_BINARY names the
// program instead of this test's own.
const (
	chaosSeedShort = 20240229
	chaosSecret    = "s3cr3t-of-the-chaos-Zq81" // must be seen nowhere
	chaosRunLimit  = 4 * time.Minute            // a run that takes longer hangs
)

func chaosFull() bool { return os.Getenv("CROMT_CHAOS") == "full" }

// chaosCount is how much of something there is.
func chaosCount(short, full int) int {
	if chaosFull() {
		return full
	}
	return short
}

// chaosSeed returns what the test's random numbers come from, and logs it.
func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	if chaosFull() {
		return sparkytest.Seed(t, uint64(time.Now().UnixNano()))
	}
	return sparkytest.Seed(t, chaosSeedShort)
}

// chaosBinary is the program: the one that CROMT_BINARY names, else this test.
func chaosBinary(t testing.TB) string {
	t.Helper()
	name := os.Getenv("CROMT_BINARY")
	if name == "" {
		name = "cromt"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// chaosSite is a folder with an agent and the runs that it is given.
type chaosSite struct {
	t       *testing.T
	rng     *rand.Rand
	dir     string
	binary  string
	scripts string // the folder with the step
	addr    string // of the agent, which keeps it
	runs    int
	wrap    []string // before the agent's command line
	clock   string   // the file by which the clock is set; "": it cannot be

	mu    sync.Mutex // of agent
	agent *exec.Cmd
	said  *os.File // what the agents have said
}

func newChaosSite(t *testing.T, rng *rand.Rand) *chaosSite {
	t.Helper()
	s := &chaosSite{t: t, rng: rng, dir: t.TempDir(), binary: chaosBinary(t)}
	s.scripts = filepath.Join(s.dir, "scripts")
	write(t, filepath.Join(s.scripts, ".tom", "step.bash"), dagStep)
	var err error
	if s.said, err = os.Create(filepath.Join(s.dir, "agent.log")); err != nil {
		t.Fatal(err)
	}
	s.addr = quietPort(t)
	t.Cleanup(func() {
		s.killAgent()
		s.said.Close()
	})
	return s
}

// quietPorts are those that no outgoing connection is given, so that an agent
// finds its own free when it comes back.
var quietPorts atomic.Int32

func quietPort(t testing.TB) string {
	t.Helper()
	for range 10_000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 18000+(int(quietPorts.Add(1))+os.Getpid()*37)%14000)
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// startAgent starts the agent and returns when it says that it is ready.
func (s *chaosSite) startAgent(args ...string) {
	s.t.Helper()
	line := slices.Concat(s.wrap, []string{s.binary, "agent", "--listen", s.addr, "--root", s.root()}, args)
	cmd := exec.Command(line[0], line[1:]...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.agent = cmd
	s.mu.Unlock()
	ready := make(chan bool, 1)
	go func() {
		defer close(ready)
		in := bufio.NewReader(io.TeeReader(stderr, s.said))
		for {
			line, err := in.ReadString('\n')
			if strings.Contains(line, "ready at ") {
				ready <- true
				_, _ = io.Copy(io.Discard, in)
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case ok := <-ready:
		if !ok {
			s.t.Fatalf("the agent did not start: %s", s.agentSaid())
		}
	case <-time.After(time.Minute):
		s.t.Fatalf("the agent is not ready: %s", s.agentSaid())
	}
}

func (s *chaosSite) root() string { return filepath.Join(s.dir, "agent") }

func (s *chaosSite) url() string { return "http://" + s.addr }

func (s *chaosSite) agentSaid() string {
	data, _ := os.ReadFile(filepath.Join(s.dir, "agent.log"))
	return string(data[max(0, len(data)-4096):])
}

// killAgent kills the agent with -9.
func (s *chaosSite) killAgent() { s.endAgent(syscall.SIGKILL) }

// endAgent has the agent end by a signal and waits for it.
func (s *chaosSite) endAgent(sig syscall.Signal) {
	s.mu.Lock()
	cmd := s.agent
	s.agent = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		s.t.Errorf("the agent does not end by %v: %s", sig, s.agentSaid())
		_ = cmd.Process.Kill()
		<-ended
	}
}

// newRun makes a flow and its folder.
func (s *chaosSite) newRun(url string, least, most int) *dag {
	s.t.Helper()
	s.runs++
	d := newDAG(s.rng, filepath.Join(s.dir, fmt.Sprintf("run%d", s.runs)), least, most)
	d.write(s.t, s.scripts, url)
	return d
}

// process is one cromt run.
type process struct {
	cmd   *exec.Cmd
	out   *os.File
	ended chan struct{}
}

// start starts cromt run of the flow; again, it goes on.
func (s *chaosSite) start(d *dag, args ...string) *process {
	s.t.Helper()
	out, err := os.OpenFile(d.path("out"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &process{out: out, ended: make(chan struct{})}
	line := slices.Concat([]string{s.binary, "run", "-v", "--conf", d.path("jobs.yaml"), "--journal", d.path("journal"), "--report", d.path("report.json")}, args)
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Env = append(os.Environ(), "HOME="+s.dir, "CROMT_SECRET_TOKEN="+chaosSecret, clockFile+"="+s.clock)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
		out.Close()
	}()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// wait waits for the end, at most for limit.
func (p *process) wait(limit time.Duration) (ended bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// killAfter kills it with -9 when it has not ended by itself before.
func (p *process) killAfter(d time.Duration) (killed bool) {
	if p.wait(d) {
		return false
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
}

func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }

// marked returns the processes with that variable in their environment.
func marked(variable string) (found []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err == nil && slices.ContainsFunc(bytes.Split(data, []byte{0}), func(v []byte) bool { return string(v) == variable }) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
			found = append(found, fmt.Sprintf("%s %q", filepath.Base(filepath.Dir(name)), line))
		}
	}
	return found
}
