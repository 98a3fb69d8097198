//go:build unix

package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/store/storetest"
)

// cromtBinary is the program that is started: for benchmarks the one that is
// released, else this test binary in its place.
func cromtBinary() string {
	if name := os.Getenv("CROMT_BINARY"); name != "" {
		return name
	}
	return "cromt"
}

// ackBytes is the size of a delivery whose acknowledgement is measured: that
// of a pull request's.
const ackBytes = 30 << 10

// BenchmarkServeAck measures how long the App, a process of its own, takes to
// verify, deduplicate and durably store a delivery of 30 KiB: one after the
// other, and how many a second from 64 senders. Run it with -benchtime 2000x.
func BenchmarkServeAck(b *testing.B) {
	onDatabases(b, func(b *testing.B, database func() string) {
		b.Run("one", func(b *testing.B) { benchAck(b, database(), 1) })
		b.Run("senders64", func(b *testing.B) { benchAck(b, database(), 64) })
	})
}

// onDatabases runs a benchmark on SQLite and on a PostgreSQL of its own, which
// writes to the disk before it commits. database is a new one each time.
func onDatabases(b *testing.B, f func(b *testing.B, database func() string)) {
	b.Run("sqlite", func(b *testing.B) { f(b, func() string { return "" }) })
	b.Run("postgres", func(b *testing.B) {
		p, err := storetest.StartPostgres("fsync=on")
		if err != nil {
			b.Fatal(err)
		}
		defer p.Stop()
		n := 0
		f(b, func() string {
			n++
			name := "bench" + strconv.Itoa(n)
			if err := p.Exec("CREATE DATABASE " + name); err != nil {
				b.Fatal(err)
			}
			return p.Address(name)
		})
	})
}

// reportLoad reports how many processes wanted to run in the minute before.
func reportLoad(b *testing.B, before []byte) {
	first, _, _ := strings.Cut(string(before), " ")
	if load, err := strconv.ParseFloat(first, 64); err == nil {
		b.ReportMetric(load, "load")
	}
}

// readLoad is for reportLoad, empty where the system does not tell.
func readLoad() []byte {
	load, _ := os.ReadFile("/proc/loadavg")
	return load
}

func benchAck(b *testing.B, database string, senders int) {
	load := readLoad()
	s := appSiteOn(b, database, "")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	filler := strings.Repeat("lorem ipsum dolor sit amet ", ackBytes/27)
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	send := func() {
		n := int(next.Add(1))
		p := pullOf(actionRepo, 7, fmt.Sprintf("%040x", n), "branch", strings.Repeat("b", 40))
		p["action"] = "labeled"
		p["pull_request"].(map[string]any)["body"] = filler
		m := letter{event: "pull_request", guid: fmt.Sprintf("%08x-cc78-11e3-81ab-4c9367dc0958", n), body: payloadOf(actionRepo, s.install, p)}
		r, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/webhook", bytes.NewReader(m.body))
		if err != nil {
			b.Error(err)
			return
		}
		signLetter(r, m)
		start := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			b.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		d := time.Since(start)
		if resp.StatusCode != http.StatusAccepted {
			b.Errorf("answered %d", resp.StatusCode)
		}
		mu.Lock()
		took = append(took, d)
		mu.Unlock()
	}
	for range 2 * senders { // connections, and what is done once
		send()
	}
	took = nil
	b.ResetTimer()
	start, before := time.Now(), cpuOf(s.process.Process.Pid)
	var wg sync.WaitGroup
	left := atomic.Int64{}
	left.Store(int64(b.N))
	for range senders {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				send()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "acks/s")
	// With the work that the deliveries lead to, as far as it was done.
	b.ReportMetric(1000*(cpuOf(s.process.Process.Pid)-before).Seconds()/float64(b.N), "cpu-ms/ack")
	percentiles(b, took)
	reportLoad(b, load)
}

// cpuOf is the CPU time of a process, 0 where the system does not tell.
func cpuOf(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	var ticks int64
	for _, f := range strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:]))[11:13] { // utime, stime
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}

// percentiles reports the times that are looked at first.
func percentiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(p float64) float64 { return took[int(p*float64(len(took)-1))].Seconds() * 1000 }
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkServeStart measures the time from when a push is sent to the App to
// when the first line of its job runs on our agent, by the clock that all
// three processes share. Run it with -benchtime 50x.
func BenchmarkServeStart(b *testing.B) {
	onDatabases(b, func(b *testing.B, database func() string) { benchStart(b, database()) })
}

func benchStart(b *testing.B, database string) {
	load := readLoad()
	s := appSiteOn(b, database, "")
	s.gh.NoLimits()
	file := s.onHosts("echo $EPOCHREALTIME >> $DIR/log\n", "")
	log := filepath.Join(s.dir, "log")
	var took []time.Duration
	push := func(n int) time.Duration {
		sha := fmt.Sprintf("%040x", n+1)
		start := time.Now()
		s.push(sha, map[string]string{"jobs.yaml": file})
		s.concluded("cromt", sha)
		data, err := os.ReadFile(log)
		if err != nil {
			b.Fatal(err)
		}
		os.Remove(log)
		first, err := strconv.ParseFloat(strings.Fields(string(data))[0], 64)
		if err != nil {
			b.Fatal(err)
		}
		return time.Duration((first - float64(start.UnixNano())/1e9) * 1e9)
	}
	for n := 0; b.Loop(); n++ {
		if n%10 == 0 { // what an installation may write in a minute would be used up
			s.install = s.installation(actionRepo)
			push(n + 1<<20)
		}
		took = append(took, push(n))
	}
	percentiles(b, took)
	reportLoad(b, load)
}

// BenchmarkServeFailover measures the time from when one of two replicas is
// killed to when the other one has its run. Run it with -benchtime 10x.
func BenchmarkServeFailover(b *testing.B) {
	load := readLoad()
	p, err := storetest.StartPostgres()
	if err != nil {
		b.Fatal(err)
	}
	defer p.Stop()
	db, err := sql.Open("pgx", p.Address("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	owner := func(sha string) (id string) {
		if err := db.QueryRowContext(b.Context(), `SELECT coalesce(max(owner), '') FROM leases JOIN runs ON id = run WHERE sha = $1`, sha).Scan(&id); err != nil {
			b.Fatal(err)
		}
		return id
	}
	s := appSiteOn(b, p.Address("postgres"), "")
	defer func() { s.kill() }() // it is the last one
	file := s.onHosts("until test -e $DIR/gate; do sleep 0.05; done\n", "")
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		os.Remove(filepath.Join(s.dir, "gate"))
		sha := fmt.Sprintf("%040x", n+1)
		s.push(sha, map[string]string{"jobs.yaml": file})
		old := ""
		s.eventually("it is worked", func() bool { old = owner(sha); return old != "" })
		first := *s
		s.start()
		time.Sleep(5 * time.Second) // it has looked around
		first.kill()
		killed := time.Now()
		s.eventually("it is taken over", func() bool { now := owner(sha); return now != "" && now != old })
		took = append(took, time.Since(killed))
		s.file("gate", "")
		s.concluded("cromt", sha)
	}
	percentiles(b, took)
	reportLoad(b, load)
}
