//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// site is what one test works on: a project folder on the host, an agent process, and a
// proxy before it that can be made to fail.
type site struct {
	t     *testing.T
	dir   string
	agent *exec.Cmd
	addr  string // of the agent
	proxy *httptest.Server
	fault atomic.Pointer[fault]
	posts atomic.Int32 // POST /queue that reached the agent
}

// fault answers a request instead of the agent, or lets it pass by returning false.
type fault func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) bool

func newSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, dir: t.TempDir()}
	s.startAgent("127.0.0.1:0")
	s.proxy = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.proxy.Close)
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	to := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: s.addr})
			p.Out.Host = s.addr
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	pass := func(w http.ResponseWriter) {
		if r.Method == http.MethodPost && r.URL.Path == "/queue" {
			s.posts.Add(1)
		}
		to.ServeHTTP(w, r)
	}
	if f := s.fault.Load(); f != nil && (*f)(w, r, pass) {
		return
	}
	pass(w)
}

func (s *site) setFault(f fault) { s.fault.Store(&f) }

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	conn.Close()
}

// startAgent starts the agent and waits until it says that it is ready.
func (s *site) startAgent(listen string) {
	s.t.Helper()
	var addr string
	s.agent, addr = startAgent(s.t, "cromt", listen, filepath.Join(s.dir, "agent"))
	if s.addr == "" { // it stays: the proxy reads it
		s.addr = addr
	}
}

// startAgent starts an agent in a process of its own and returns its address
// when it says that it is ready.
func startAgent(t testing.TB, binary, listen, root string) (agent *exec.Cmd, addr string) {
	t.Helper()
	agent = exec.Command(binary, "agent", "--listen", listen, "--root", root)
	stderr, err := agent.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "ready at http://"); ok {
			addr, _, _ = strings.Cut(rest, ",")
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return agent, addr
		}
	}
	t.Fatal("the agent is not ready")
	return nil, ""
}

func (s *site) kill() {
	_ = s.agent.Process.Kill()
	_ = s.agent.Wait()
}

// project writes a scenario and a jobs.yaml that runs it as job "a".
func (s *site) project(script, extra string) (conf string) {
	s.t.Helper()
	conf = filepath.Join(s.dir, "jobs.yaml")
	for path, text := range map[string]string{
		filepath.Join(s.dir, ".tom", "step.bash"): script,
		conf: fmt.Sprintf("projects:\n  a:\n    path: %s\n    action: step\n    url: %s\n    vars: {DIR: %s}\n%s", s.dir, s.proxy.URL, s.dir, extra),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return conf
}

func (s *site) fifo(name string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// runs is how often the scenario ran.
func (s *site) runs() int {
	data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return bytes.Count(data, []byte("\n"))
}

// command starts cromt run and returns how to wait for its end.
func (s *site) command(args ...string) (cmd *exec.Cmd, wait func() (code int, run flow.Run, out string)) {
	s.t.Helper()
	report := filepath.Join(s.t.TempDir(), "report.json")
	cmd = exec.Command("cromt", append([]string{"run", "--report", report}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, func() (int, flow.Run, string) {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			s.t.Fatal(err)
		}
		var run flow.Run
		data, err := os.ReadFile(report)
		if err == nil {
			err = json.Unmarshal(data, &run)
		}
		if err != nil {
			s.t.Fatalf("report: %v\n%s", err, out.String())
		}
		return cmd.ProcessState.ExitCode(), run, out.String()
	}
}

func (s *site) expect(wait func() (int, flow.Run, string), code, attempts int, conclusion flow.Conclusion, cause flow.Cause) {
	s.t.Helper()
	got, run, out := wait()
	j := run.Jobs[0]
	if got != code || len(j.Attempts) != attempts || j.Conclusion != conclusion || j.Cause != cause {
		s.t.Errorf("exit %d, %d attempts, %s/%s; want exit %d, %d attempts, %s/%s\n%s", got, len(j.Attempts), j.Conclusion, j.Cause, code, attempts, conclusion, cause, out)
	}
}

const once = "echo run >> $DIR/log\n"

func TestHostThatComesBackIsTriedAgain(t *testing.T) {
	s := newSite(t)
	addr := s.addr
	conf := s.project(once, "")
	s.kill()
	var first sync.Once
	down := make(chan struct{})
	s.setFault(func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
		first.Do(func() { close(down) })
		reset(w)
		return true
	})
	_, wait := s.command("--conf", conf)
	<-down
	s.startAgent(addr)
	s.setFault(func(http.ResponseWriter, *http.Request, func(http.ResponseWriter)) bool { return false })
	code, run, out := wait()
	if code != 0 || s.runs() != 1 || len(run.Jobs[0].Attempts) < 2 {
		t.Errorf("exit %d, %d runs, %d attempts\n%s", code, s.runs(), len(run.Jobs[0].Attempts), out)
	}
}

func TestDeadHostEndsWithInfrastructure(t *testing.T) {
	s := newSite(t)
	conf := s.project(once, "")
	s.proxy.Close()
	_, wait := s.command("--conf", conf)
	s.expect(wait, 3, 1+flow.InfraRetries, flow.Failure, flow.CauseInfrastructure)
}

func TestServerErrorsPass(t *testing.T) {
	s := newSite(t)
	conf := s.project(once, "")
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(3, 4))
	s.setFault(func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
		mu.Lock()
		defer mu.Unlock()
		if rng.IntN(10) < 7 {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	_, wait := s.command("--conf", conf)
	code, _, out := wait()
	if code != 0 || s.runs() != 1 {
		t.Errorf("exit %d, %d runs\n%s", code, s.runs(), out)
	}
}

// TestTakenPostIsNotRepeated breaks the connection after the agent has taken
// the job and before the client knows.
func TestTakenPostIsNotRepeated(t *testing.T) {
	s := newSite(t)
	conf := s.project(once, "")
	s.setFault(func(w http.ResponseWriter, r *http.Request, pass func(http.ResponseWriter)) bool {
		if r.Method != http.MethodPost {
			return false
		}
		pass(httptest.NewRecorder())
		reset(w)
		return true
	})
	_, wait := s.command("--conf", conf)
	s.expect(wait, 0, 1, flow.Success, "")
	if s.posts.Load() != 1 || s.runs() != 1 {
		t.Errorf("%d posts, %d runs", s.posts.Load(), s.runs())
	}
}

func TestUnknownAfterItRanIsLost(t *testing.T) {
	s := newSite(t)
	started := s.fifo("started")
	conf := s.project(once+"echo > $DIR/started; sleep 60\n", "    retry: 3\n")
	followed := make(chan struct{})
	var first sync.Once
	s.setFault(func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) bool {
		if strings.HasPrefix(r.URL.Path, "/status/") { // so that it knows of the start
			first.Do(func() { close(followed) })
		}
		return false
	})
	_, wait := s.command("--conf", conf)
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	<-followed
	s.setFault(func(w http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) bool {
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	s.proxy.CloseClientConnections()
	s.expect(wait, 3, 1, flow.Failure, flow.CauseInfrastructure)
	if s.runs() != 1 {
		t.Errorf("%d runs", s.runs())
	}
}

// TestAgentKilledDuringJob kills the agent with -9 while the job runs: the
// job is lost, and run again only where the file asks for it.
func TestAgentKilledDuringJob(t *testing.T) {
	for name, tt := range map[string]struct {
		retry                string
		code, attempts, runs int
		conclusion           flow.Conclusion
		cause                flow.Cause
	}{
		"by default":     {"    retry: 3\n", 3, 1, 1, flow.Failure, flow.CauseInfrastructure},
		"retry.on: lost": {"    retry: {limit: 1, delay: 1, on: [lost]}\n", 0, 2, 2, flow.Success, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			started := s.fifo("started")
			conf := s.project(once+"[ $(wc -l < $DIR/log) = 2 ] || { echo > $DIR/started; sleep 60; }\n", tt.retry)
			_, wait := s.command("--conf", conf)
			if _, err := os.ReadFile(started); err != nil {
				t.Fatal(err)
			}
			addr := s.addr
			s.kill()
			s.startAgent(addr)
			s.expect(wait, tt.code, tt.attempts, tt.conclusion, tt.cause)
			if s.runs() != tt.runs {
				t.Errorf("%d runs, want %d", s.runs(), tt.runs)
			}
		})
	}
}

// TestAgentWaitsForItsAddress: what a killed agent was about to start holds its
// address for a moment.
func TestAgentWaitsForItsAddress(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	time.AfterFunc(300*time.Millisecond, func() { ln.Close() })
	if _, got := startAgent(t, "cromt", addr, t.TempDir()); got != addr {
		t.Errorf("it listens at %s, want %s", got, addr)
	}
}

func TestInterruptCancelsRemoteJobs(t *testing.T) {
	s := newSite(t)
	started := s.fifo("started")
	conf := s.project(once+"trap 'echo ended >> $DIR/ended; exit 1' TERM; echo > $DIR/started; sleep 60 & wait\n", "")
	cmd, wait := s.command("--conf", conf)
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	s.expect(wait, 130, 1, flow.Cancelled, flow.CauseCancelled)
	if data, err := os.ReadFile(filepath.Join(s.dir, "ended")); err != nil || string(data) != "ended\n" {
		t.Errorf("the job was not ended: %q %v", data, err)
	}
}

func TestTwoRunsOfOneFileAtOnce(t *testing.T) {
	s := newSite(t)
	conf := s.project("echo begin >> $DIR/log; sleep 0.2; echo end >> $DIR/log\n", "")
	_, wait1 := s.command("--conf", conf)
	_, wait2 := s.command("--conf", conf)
	s.expect(wait1, 0, 1, flow.Success, "")
	s.expect(wait2, 0, 1, flow.Success, "")
	data, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	if string(data) != "begin\nend\nbegin\nend\n" {
		t.Errorf("jobs of one host entry ran at once: %q", data)
	}
}

// TestRunIsResumedFromItsJournal kills the orchestrator with -9 while its job
// runs; the same command goes on with the same job.
func TestRunIsResumedFromItsJournal(t *testing.T) {
	s := newSite(t)
	started, release := s.fifo("started"), s.fifo("release")
	conf := s.project(once+"echo > $DIR/started; cat $DIR/release\n", "")
	journal := filepath.Join(s.dir, "journal")
	cmd, _ := s.command("--conf", conf, "--journal", journal)
	if _, err := os.ReadFile(started); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_, wait := s.command("--conf", conf, "--journal", journal)
	if err := os.WriteFile(release, []byte("go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(wait, 0, 1, flow.Success, "")
	if s.runs() != 1 {
		t.Errorf("%d runs", s.runs())
	}
}

// TestLeaseIsSent: by it the agent ends a job whose orchestrator has gone.
func TestLeaseIsSent(t *testing.T) {
	s := newSite(t)
	conf := s.project(once, "")
	lease := make(chan int, 1)
	s.setFault(func(_ http.ResponseWriter, r *http.Request, _ func(http.ResponseWriter)) bool {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var q struct {
				Config struct {
					Lease int `json:"lease"`
				} `json:"sparrowdo-config"`
			}
			_ = json.Unmarshal(body, &q)
			lease <- q.Config.Lease
		}
		return false
	})
	_, wait := s.command("--conf", conf)
	s.expect(wait, 0, 1, flow.Success, "")
	if got := <-lease; got <= 0 || time.Duration(got)*time.Second > 10*time.Minute {
		t.Errorf("lease %d s", got)
	}
}
