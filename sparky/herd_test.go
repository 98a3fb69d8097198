//go:build unix

package sparky_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// herdHosts, as an environment variable with the first host's number and how
// many there are, makes the test binary play hosts instead, so that their cost
// is not counted with the client's.
const herdHosts = "CROMT_TEST_HERD_HOSTS"

// herdWindow is the time in which the jobs of the herd end, once all of them
// run.
const herdWindow = 20 * time.Second

// herdShare is how many hosts one process plays: each has two descriptors, and
// a system may allow no more than 20,000.
const herdShare = 4000

func TestMain(m *testing.M) {
	var first, hosts int
	if _, err := fmt.Sscan(os.Getenv(herdHosts), &first, &hosts); err == nil {
		playHerd(first, hosts)
		return
	}
	os.Exit(m.Run())
}

// playHerd serves hosts and prints their addresses. Each line of its stdin has
// the jobs that it has been given end from then on; it ends with its stdin.
func playHerd(first, hosts int) {
	h := &herd{jobs: map[string]*herdJob{}, release: make(chan struct{})}
	for i := first; i < first+hosts; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.1.%d.%d:0", i/250, 1+i%250))
		if err != nil {
			fmt.Println(err)
			return
		}
		go func() { _ = http.Serve(l, h) }() //nolint:gosec // loopback
		fmt.Println(l.Addr())
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		h.mu.Lock()
		for _, j := range h.jobs {
			if j.end.IsZero() {
				j.end = time.Now().Add(rand.N(herdWindow))
			}
		}
		close(h.release)
		h.release = make(chan struct{})
		h.mu.Unlock()
	}
}

// herd answers as our agent does, for jobs that do nothing and end when they
// are told to. The commit of an ended job is the time of its end.
type herd struct {
	mu      sync.Mutex
	jobs    map[string]*herdJob // by job-id
	release chan struct{}       // closed when they have got their ends
}

type herdJob struct{ end time.Time }

// wait is over when the job is, or after d.
func (h *herd) wait(id string, d time.Duration) (ended bool) {
	for over := time.Now().Add(d); ; {
		h.mu.Lock()
		j, release := h.jobs[id], h.release
		var end time.Time
		if j != nil {
			end = j.end
		}
		h.mu.Unlock()
		if !end.IsZero() {
			time.Sleep(min(time.Until(end), time.Until(over)))
			return !time.Now().Before(end)
		}
		select {
		case <-release:
		case <-time.After(time.Until(over)):
			return false
		}
	}
}

func (h *herd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/cromt":
		_ = json.NewEncoder(w).Encode(sparky.Hello{Agent: "test", Version: 1, MaxJobs: 4})
	case r.URL.Path == "/queue":
		var q sparky.QueueRequest
		_ = json.NewDecoder(r.Body).Decode(&q)
		h.mu.Lock()
		h.jobs[q.Config.JobID] = &herdJob{}
		h.mu.Unlock()
		_ = json.NewEncoder(w).Encode(sparky.QueueAnswer{Project: q.Config.Project, JobID: q.Config.JobID})
	case strings.HasPrefix(r.URL.Path, "/status/"):
		js := sparky.JobStatus{State: sparky.CodeRunning, StartedAt: time.Now()}
		seconds := 0
		if r.URL.Query().Get("state") == "0" {
			seconds, _ = strconv.Atoi(r.URL.Query().Get("wait"))
		}
		if h.wait(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], time.Duration(seconds)*time.Second) {
			now := time.Now()
			js.State, js.CompletedAt, js.Commit = sparky.CodeOK, now, strconv.FormatInt(now.UnixNano(), 10)
		}
		_ = json.NewEncoder(w).Encode(js)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// BenchmarkWaitHosts runs one job on each of so many hosts, as a flow's engine
// does: what share of a core it takes to wait for them, how much memory a host
// takes at most, from the first request to the last event, and how long after
// a host's answer the event of a job's end comes.
func BenchmarkWaitHosts(b *testing.B) {
	for _, hosts := range []int{10, 100, 1000, 10_000} {
		b.Run(strconv.Itoa(hosts), func(b *testing.B) { benchHerd(b, hosts) })
	}
}

func benchHerd(b *testing.B, hosts int) {
	load, _ := os.ReadFile("/proc/loadavg")
	var urls []string
	var stdins []io.Writer
	for first := 0; first < hosts; first += herdShare {
		some, stdin := startHerd(b, first, min(herdShare, hosts-first))
		urls, stdins = append(urls, some...), append(stdins, stdin)
	}
	for b.Loop() {
		m := waitForHerd(b, urls, io.MultiWriter(stdins...))
		b.ReportMetric(m.share*100, "%core")
		b.ReportMetric(float64(m.memory)/float64(hosts), "KiB/host")
		b.ReportMetric(m.begun.Sub(m.asked).Seconds(), "s-to-start")
		b.ReportMetric(m.late(.5), "p50-ms")
		b.ReportMetric(m.late(.99), "p99-ms")
		b.ReportMetric(m.late(1), "max-ms")
	}
	if l, err := strconv.ParseFloat(strings.Fields(string(load) + " 0")[0], 64); err == nil {
		b.ReportMetric(l, "load")
	}
	b.ReportMetric(0, "ns/op")
}

// startHerd starts a process that plays hosts until the benchmark ends.
func startHerd(b *testing.B, first, hosts int) (urls []string, stdin io.WriteCloser) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", herdHosts, first, hosts))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(stdout); len(urls) < hosts && lines.Scan(); {
		urls = append(urls, "http://"+lines.Text())
	}
	if len(urls) < hosts {
		b.Fatalf("%d of %d hosts: %v", len(urls), hosts, urls[max(0, len(urls)-1):])
	}
	return urls, stdin
}

// herdMeasure is what a run on all hosts has cost. It is its flow's Reporter.
type herdMeasure struct {
	b      *testing.B
	end    io.Writer // has the jobs end
	left   int       // jobs that have not started
	asked  time.Time
	begun  time.Time // all of them
	cpu    time.Duration
	share  float64         // of a core
	memory int64           // KiB more than before, at most
	lates  []time.Duration // of each job's end, sorted
}

// Report implements flow.Reporter; its calls come one after the other.
func (m *herdMeasure) Report(_ context.Context, events []flow.Event) error {
	now := time.Now()
	for _, ev := range events {
		switch ev.Kind {
		case flow.JobStarted:
			if m.left--; m.left == 0 {
				m.begun, m.cpu = now, cpuTime(m.b)
				fmt.Fprintln(m.end)
			}
		case flow.AttemptCompleted:
			ended, err := strconv.ParseInt(ev.Result.Commit, 10, 64)
			if err != nil {
				m.b.Errorf("%s: %+v", ev.Job.Key, ev.Result)
			}
			m.lates = append(m.lates, time.Duration(now.UnixNano()-ended))
		}
	}
	return nil
}

// late is a percentile in milliseconds.
func (m *herdMeasure) late(p float64) float64 {
	return float64(m.lates[int(p*float64(len(m.lates)-1))].Microseconds()) / 1000
}

func waitForHerd(b *testing.B, urls []string, end io.Writer) *herdMeasure {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // as cromt run does
	plan := herdPlan(b, urls)
	debug.FreeOSMemory()
	// Has VmHWM begin anew.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
	before := statusKB(b, "VmRSS")
	e := sparky.NewExecutor(sparky.ExecutorConfig{Host: func(url string) (sparky.HostConfig, error) {
		return sparky.HostConfig{URL: url, Token: "0123456789abcdef0123456789abcdef"}, nil
	}})
	defer e.Close()
	m := &herdMeasure{b: b, end: end, left: len(urls), asked: time.Now()}
	engine := flow.Engine{Executor: e, Reporters: []flow.Reporter{m}}
	run, err := engine.Run(b.Context(), flow.RunOptions{ID: flow.NewRunID(), Plan: plan})
	if err != nil || run.Conclusion != flow.Success || len(m.lates) != len(urls) || m.left != 0 {
		b.Fatalf("%v, %v; %d of %d jobs ended, %d did not start", run.Conclusion, err, len(m.lates), len(urls), m.left)
	}
	m.share = float64(cpuTime(b)-m.cpu) / float64(time.Since(m.begun))
	m.memory = statusKB(b, "VmHWM") - before
	slices.Sort(m.lates)
	return m
}

// herdPlan has one job for each host.
func herdPlan(b *testing.B, urls []string) *flow.Plan {
	b.Helper()
	var y strings.Builder
	y.WriteString("projects:\n  p:\n    path: /\n    action: hello\n    hosts:\n")
	for _, url := range urls {
		fmt.Fprintf(&y, "      - url: %s\n", url)
	}
	f, err := flow.Parse("jobs.yaml", []byte(y.String()))
	if err != nil {
		b.Fatal(err)
	}
	plan, err := flow.NewPlan(f, flow.PlanOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// statusKB is what the system says of this process.
func statusKB(b *testing.B, key string) int64 {
	b.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n
		}
	}
	b.Fatalf("no %s", key)
	return 0
}
