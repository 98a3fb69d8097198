package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// badNet makes requests go wrong, the nth of a kind always in the same way,
// but never more than two of a job in a row: nothing may be lost then.
type badNet struct {
	seed   uint64
	share  uint64 // of a hundred requests
	faults []sparkytest.Fault
	c      *tally

	mu     sync.Mutex
	nth    map[string]int
	row    map[string]int
	faulty int
}

func newBadNet(seed uint64, c *tally, faults ...sparkytest.Fault) *badNet {
	return &badNet{seed: seed, share: 40, faults: faults, c: c, nth: map[string]int{}, row: map[string]int{}}
}

// everyFault are those after which the client can know what has happened; a
// 404 is a lie of which it cannot.
var everyFault = []sparkytest.Fault{
	sparkytest.ResetBefore, sparkytest.ResetAfter, sparkytest.Status500, sparkytest.After500, sparkytest.Garbage,
	sparkytest.Truncated, sparkytest.HalfClose, sparkytest.Trickle, sparkytest.Twice,
}

var jobIDInBody = regexp.MustCompile(`"job-id":"([^"]+)"`)

// between is h behind the network, as the run of that id reaches it.
func (b *badNet) between(run string, h http.Handler) http.Handler {
	return sparkytest.WithFaults(h, func(r *http.Request) sparkytest.Fault { return b.decide(run, r) })
}

func (b *badNet) decide(run string, r *http.Request) sparkytest.Fault {
	job := run + " " + filepath.Base(r.URL.Path)
	if r.URL.Path == "/queue" {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if m := jobIDInBody.FindSubmatch(body); m != nil {
			job = run + " " + string(m[1])
		}
	}
	kind := r.Method + " " + strings.SplitN(r.URL.Path, "/", 3)[1] + " " + job
	b.mu.Lock()
	defer b.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprint(h, b.seed, kind, b.nth[kind])
	b.nth[kind]++
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	if b.row[job] >= 2 || rng.Uint64N(100) >= b.share {
		b.row[job] = 0
		return sparkytest.NoFault
	}
	f := b.faults[rng.IntN(len(b.faults))]
	if (f == sparkytest.Garbage || f == sparkytest.ErrorIn200) && strings.HasPrefix(r.URL.Path, "/report/") {
		f = sparkytest.Truncated // any text is a report
	}
	b.row[job]++
	b.faulty++
	b.c.add(f.String(), 1)
	return f
}

func (b *badNet) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faulty
}

// engineRun carries out a flow in this process, as cromt run does.
func engineRun(t *testing.T, d *dag, id, scripts string, host sparky.HostConfig) *account {
	file, err := flow.Parse("jobs.yaml", []byte(d.yaml(scripts, host.URL)))
	if err != nil {
		t.Error(err)
		return nil
	}
	plan, err := flow.NewPlan(file, flow.PlanOptions{})
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		t.Error(err)
		return nil
	}
	journal, err := flow.OpenJournal(d.path("journal"))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer journal.Close()
	logs, err := os.Create(d.path("out"))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer logs.Close()
	x := sparky.NewExecutor(sparky.ExecutorConfig{
		Host: func(string) (sparky.HostConfig, error) { return host, nil }, Secrets: map[string]string{"TOKEN": chaosSecret}, RunID: id,
	})
	defer x.Close()
	e := &flow.Engine{Executor: x, Journal: journal, Output: func(*flow.Job, int) io.Writer { return logs }}
	run, err := e.Run(context.Background(), flow.RunOptions{ID: id, Plan: plan})
	if err != nil {
		t.Errorf("%s: %v", d.dir, err)
		return nil
	}
	data, err := json.Marshal(run)
	if err == nil {
		err = os.WriteFile(d.path("report.json"), data, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
	a := d.read(t)
	a.check(t)
	a.undisturbed(t)
	return a
}

// severalRuns has flows run, several at once, until there were enough faults.
func (b *badNet) severalRuns(t *testing.T, width, enough int, dir, scripts string, host func(run string) sparky.HostConfig) {
	var wg sync.WaitGroup
	for w := range width {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(b.seed, uint64(w)))
			for n := 0; b.count() < enough && !t.Failed(); n++ {
				id := fmt.Sprintf("w%d-%d", w, n)
				engineRun(t, newDAG(rng, filepath.Join(dir, id), 5, 30), id, scripts, host(id))
				b.c.add("runs", 1)
			}
		})
	}
	wg.Wait()
}

// TestChaosNetworkAgent has the network between cromt run and our agent fail
// in every way: no job is lost, none runs twice.
func TestChaosNetworkAgent(t *testing.T) {
	t.Parallel()
	seed, began := chaosSeed(t), time.Now()
	var c tally
	defer func() { c.log(t, began) }()
	dir := t.TempDir()
	scripts, root := filepath.Join(dir, "scripts"), filepath.Join(dir, "agent")
	write(t, filepath.Join(scripts, ".tom", "step.bash"), dagStep)
	a, err := agent.Open(agent.Config{Root: root, MaxJobs: 16, Program: chaosBinary(t)})
	if err != nil {
		t.Fatal(err)
	}
	faults := everyFault
	if chaosFull() { // each takes as long as the client has patience, a minute at most
		faults = slices.Concat(faults, faults, []sparkytest.Fault{sparkytest.Hang, sparkytest.HangAfter})
	}
	b := newBadNet(seed, &c, faults...)
	b.severalRuns(t, chaosCount(4, 32), chaosCount(150, 5000), filepath.Join(dir, "runs"), scripts, func(run string) sparky.HostConfig {
		host := httptest.NewServer(b.between(run, a))
		t.Cleanup(host.Close)
		return sparky.HostConfig{URL: host.URL}
	})
	if err := a.Close(context.Background()); err != nil {
		t.Error(err)
	}
	noSecret(t, dir)
	c.add("faults", b.count())
}

// TestChaosNetworkSparky is the same with a host that has a real Sparky's
// manners: a job that is posted again after its end would run again. Its time
// is virtual, so that requests that hang are among the faults.
func TestChaosNetworkSparky(t *testing.T) {
	t.Parallel()
	seed, began := chaosSeed(t), time.Now()
	var c tally
	defer func() { c.log(t, began) }()
	dir := t.TempDir()
	faults := append(slices.Clone(everyFault), sparkytest.Hang, sparkytest.HangAfter, sparkytest.ErrorIn200)
	synctest.Test(t, func(t *testing.T) {
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Run: playStep})
		defer fake.Close()
		b := newBadNet(seed, &c, faults...)
		b.severalRuns(t, chaosCount(4, 16), chaosCount(500, 5000), dir, "/scripts", func(run string) sparky.HostConfig {
			return sparky.HostConfig{URL: "http://sparky.example:4000", Dial: sparkytest.Serve(t, b.between(run, fake))}
		})
		c.add("faults", b.count())
		time.Sleep(time.Minute) // until the host has noticed that nobody reads any more
	})
	noSecret(t, dir)
}

// playStep does what dagStep does, on a Fake.
func playStep(j *sparkytest.FakeJob) int {
	spec, err := j.Spec()
	if err != nil {
		return 1
	}
	get := func(name string) string {
		value, _ := base64.StdEncoding.DecodeString(spec.Env[name])
		return string(value)
	}
	note := func(format string, args ...any) {
		f, err := os.OpenFile(get("LEDGER"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintf(f, format, args...)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			panic(err)
		}
	}
	note("S %s %s\n", get("KEY"), j.ID)
	j.Printf("meta: cromt step=clone\r\n\r\nmeta: cromt step=scenario\r\nthe token is %s\r\n", get("TOKEN"))
	nap, _ := time.ParseDuration(get("NAP") + "s")
	j.Sleep(10 * nap)
	var code int
	_, _ = fmt.Sscan(get("CODE"), &code)
	note("E %s %s %d\n", get("KEY"), j.ID, code)
	result := "ok"
	if code != 0 {
		result = "failed"
	}
	j.Printf("\r\nmeta: cromt result=%s step=scenario exit=%d\r\n", result, code)
	return code
}
