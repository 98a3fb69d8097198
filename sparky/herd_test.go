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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// herdHosts, as an environment variable, makes the test binary play so many
// hosts instead, so that their cost is not counted with the client's.
const herdHosts = "CROMT_TEST_HERD_HOSTS"

// herdWindow is the time in which the jobs of the herd end.
const herdWindow = 20 * time.Second

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(herdHosts)); err == nil {
		playHerd(n)
		return
	}
	os.Exit(m.Run())
}

// playHerd serves n hosts, prints their addresses and ends with its stdin.
func playHerd(n int) {
	h := &herd{ends: map[string]time.Time{}}
	for i := range n {
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
		h.ends[q.Config.JobID] = time.Now().Add(herdWindow/4 + rand.N(herdWindow))
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

// BenchmarkWait1000Hosts waits for one job on each of 1,000 hosts: what share
// of a core that takes, and how late the news of their ends are.
func BenchmarkWait1000Hosts(b *testing.B) {
	const hosts = 1000
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), herdHosts+"="+strconv.Itoa(hosts))
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
	defer func() { _ = stdin.Close(); _ = cmd.Wait() }()
	var urls []string
	for lines := bufio.NewScanner(stdout); len(urls) < hosts && lines.Scan(); {
		urls = append(urls, "http://"+lines.Text())
	}
	if len(urls) < hosts {
		b.Fatalf("%d hosts: %v", len(urls), urls)
	}
	for b.Loop() {
		late, share := waitForHerd(b, urls)
		b.ReportMetric(share*100, "%core")
		b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-ms")
	}
}

func waitForHerd(b *testing.B, urls []string) (late []time.Duration, share float64) {
	e := sparky.NewExecutor(sparky.ExecutorConfig{Host: func(url string) (sparky.HostConfig, error) { return sparky.HostConfig{URL: url}, nil }})
	defer e.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var left atomic.Int32
	left.Store(int32(len(urls)))
	all := make(chan struct{})
	for i, url := range urls {
		wg.Go(func() {
			a := attempt(fmt.Sprintf("herd-%d-%d", i, rand.Uint32()), "hello")
			a.Job.Host, a.Job.Source = url, flow.Source{Kind: flow.SourceDir, Dir: "/"}
			a.Started = func(time.Time) {
				if left.Add(-1) == 0 {
					close(all)
				}
			}
			res, err := e.Exec(context.WithoutCancel(b.Context()), a, nil)
			now := time.Now().UnixNano()
			if err != nil || res.Conclusion != flow.Success {
				b.Errorf("%+v, %v", res, err)
				return
			}
			ended, err := strconv.ParseInt(res.Commit, 10, 64)
			if err != nil {
				b.Error(err)
				return
			}
			mu.Lock()
			late = append(late, time.Duration(now-ended))
			mu.Unlock()
		})
	}
	<-all
	begun, cpu := time.Now(), cpuTime(b)
	wg.Wait()
	share = float64(cpuTime(b)-cpu) / float64(time.Since(begun))
	if len(late) == 0 {
		b.Fatal("no news")
	}
	slices.Sort(late)
	return late, share
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
