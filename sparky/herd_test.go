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

// herdHosts, as an environment variable with the first host's number, how many
// there are and how many all processes play, makes the test binary play hosts
// instead, so that their cost is not counted with the client's.
const herdHosts = "CROMT_TEST_HERD_HOSTS"

// herdWindow is the time in which the jobs of the herd end.
const herdWindow = 20 * time.Second

// herdHold is the time in which they are all posted, before the first ends.
func herdHold(hosts int) time.Duration {
	return 2*time.Second + time.Duration(hosts)*time.Millisecond
}

// herdShare is how many hosts one process plays: each has two descriptors, and
// a system may allow no more than 20,000.
const herdShare = 4000

func TestMain(m *testing.M) {
	var first, hosts, all int
	if _, err := fmt.Sscan(os.Getenv(herdHosts), &first, &hosts, &all); err == nil {
		playHerd(first, hosts, herdHold(all))
		return
	}
	os.Exit(m.Run())
}

// playHerd serves hosts, prints their addresses and ends with its stdin.
func playHerd(first, hosts int, hold time.Duration) {
	h := &herd{hold: hold, ends: map[string]time.Time{}}
	for i := first; i < first+hosts; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.1.%d.%d:0", i/250, 1+i%250))
		if err != nil {
			fmt.Println(err)
			return
		}
		go func() { _ = http.Serve(l, h) }() //nolint:gosec // loopback
		fmt.Println(l.Addr())
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// herd answers as our agent does, for jobs that do nothing and end some time
// after they were posted. The commit of an ended job is the time of its end.
type herd struct {
	hold time.Duration
	mu   sync.Mutex
	ends map[string]time.Time // by job-id
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
		h.ends[q.Config.JobID] = time.Now().Add(h.hold + rand.N(herdWindow))
		h.mu.Unlock()
		_ = json.NewEncoder(w).Encode(sparky.QueueAnswer{Project: q.Config.Project, JobID: q.Config.JobID})
	case strings.HasPrefix(r.URL.Path, "/status/"):
		h.mu.Lock()
		end := h.ends[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		h.mu.Unlock()
		js := sparky.JobStatus{State: sparky.CodeRunning, StartedAt: time.Now()}
		if r.URL.Query().Get("state") == "0" {
			seconds, _ := strconv.Atoi(r.URL.Query().Get("wait"))
			time.Sleep(min(time.Until(end), time.Duration(seconds)*time.Second))
		}
		if !time.Now().Before(end) {
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
	for first := 0; first < hosts; first += herdShare {
		urls = append(urls, startHerd(b, first, min(herdShare, hosts-first), hosts)...)
	}
	for b.Loop() {
		m := waitForHerd(b, urls)
		b.ReportMetric(m.share*100, "%core")
		b.ReportMetric(float64(m.memory)/float64(hosts), "KiB/host")
		b.ReportMetric(m.late(.5), "p50-ms")
		b.ReportMetric(m.late(.99), "p99-ms")
		b.ReportMetric(m.late(1), "max-ms")
	}
	if l, err := strconv.ParseFloat(strings.Fields(string(load) + " 0")[0], 64); err == nil {
		b.ReportMetric(l, "load")
	}
	b.ReportMetric(0, "ns/op")
}

// startHerd starts a process that plays hosts until the benchmark ends, and
// returns their URLs.
func startHerd(b *testing.B, first, hosts, all int) (urls []string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d", herdHosts, first, hosts, all))
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
	return urls
}

// herdMeasure is what a run on all hosts has cost. It is its flow's Reporter.
type herdMeasure struct {
	b      *testing.B
	left   int // jobs that have not started
	begun  time.Time
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

func waitForHerd(b *testing.B, urls []string) *herdMeasure {
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
	m := &herdMeasure{b: b, left: len(urls)}
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
