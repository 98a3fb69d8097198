//go:build unix

package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/agent"
)

// cpu returns the processor time used by this process and by its children.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkTrivialJob posts a job and waits for its end, over HTTP, client
// included; every project has one job at a time.
func BenchmarkTrivialJob(b *testing.B) {
	dir := scenarios(b, "x", ":\n")
	h := start(b, agent.Config{KeepBuilds: 10})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	spec := inDir(dir, "x")
	var polls atomic.Int64
	run := func(b *testing.B, project string) {
		id := newID()
		res, err := client.Post(h.url+"/queue", "application/json", strings.NewReader(queueBody(project, id, spec)))
		if err != nil {
			b.Fatal(err)
		}
		drain(res)
		req, err := http.NewRequest(http.MethodGet, h.url+"/status/"+project+"/"+id+"?wait=50&state=-2&offset=0", nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		for { // once, but on a busy machine
			polls.Add(1)
			if res, err = client.Do(req); err != nil {
				b.Fatal(err)
			}
			if body := drain(res); bytes.Contains(body, []byte(`"state":1`)) {
				return
			} else if !bytes.Contains(body, []byte(`"state":0`)) {
				b.Fatalf("status %s", body)
			}
			req.URL.RawQuery = "wait=50&state=0&offset=1000"
		}
	}
	spawn := func(b *testing.B) {
		cmd := exec.Command("bash", filepath.Join(dir, ".tom", "x.bash"))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
	measure := func(b *testing.B, f func()) {
		b.ReportAllocs()
		polls.Store(0)
		at := cpu(b)
		b.ResetTimer()
		f()
		b.ReportMetric(float64((cpu(b)-at).Microseconds())/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(polls.Load())/float64(b.N), "polls/op")
	}
	b.Run("spawn", func(b *testing.B) {
		measure(b, func() {
			for b.Loop() {
				spawn(b)
			}
		})
	})
	b.Run("serial", func(b *testing.B) {
		measure(b, func() {
			for b.Loop() {
				run(b, "bench")
			}
		})
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(4)
		measure(b, func() {
			var n laneNumber
			b.RunParallel(func(pb *testing.PB) {
				project := n.next()
				for pb.Next() {
					run(b, project)
				}
			})
		})
	})
	b.Run("spawnparallel", func(b *testing.B) {
		b.SetParallelism(4)
		measure(b, func() {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					spawn(b)
				}
			})
		})
	})
}

func drain(res *http.Response) []byte {
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return data
}

// laneNumber names a project of its own for every lane of a benchmark.
type laneNumber struct{}

func (laneNumber) next() string { return fmt.Sprintf("bench-%d", lastID.Add(1)) }
