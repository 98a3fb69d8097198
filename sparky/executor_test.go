package sparky_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

const testHost = "http://worker:4000"

// bench is an Executor with hosts in memory.
type bench struct {
	*sparky.Executor
	hosts map[string]sparky.HostConfig
}

// newBench returns an Executor for the handlers, which are hosts by URL.
func newBench(t *testing.T, cfg sparky.ExecutorConfig, handlers map[string]http.Handler) *bench {
	b := &bench{hosts: map[string]sparky.HostConfig{}}
	for url, h := range handlers {
		b.hosts[url] = sparky.HostConfig{URL: url, Token: "t0ken-of-host", Dial: sparkytest.Serve(t, h)}
	}
	cfg.Host = func(url string) (sparky.HostConfig, error) {
		if c, ok := b.hosts[url]; ok {
			return c, nil
		}
		return sparky.HostConfig{}, errors.New("host " + url + " is not in the hosts file")
	}
	if cfg.Own == (sparky.OwnSource{}) {
		cfg.Own = sparky.OwnSource{URL: "https://example.org/repo.git", Commit: strings.Repeat("c", 40)}
	}
	b.Executor = sparky.NewExecutor(cfg)
	t.Cleanup(b.Close)
	return b
}

func newFake(t *testing.T) *sparkytest.Fake {
	f := sparkytest.NewFake(sparkytest.FakeConfig{Token: "t0ken-of-host"})
	t.Cleanup(f.Close)
	return f
}

func attempt(id string, actions ...string) flow.Attempt {
	return flow.Attempt{
		Run: "run1", Number: 1, JobID: id, Commit: strings.Repeat("c", 40),
		Job: &flow.Job{
			Key: "hello@worker", Host: testHost, Queue: "q-" + id,
			Work: &flow.Work{Actions: actions, Source: flow.Source{Kind: flow.SourceOwn}},
		},
		Timeout: time.Hour, QueueTimeout: time.Hour,
	}
}

// inBubble runs f with virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestExecPlain(t *testing.T) {
	tests := []struct {
		name       string
		actions    []string
		timeout    time.Duration
		conclusion flow.Conclusion
		cause      flow.Cause
		exit       int
		log, err   string
	}{
		{name: "success", actions: []string{"hello"}, conclusion: flow.Success, log: "Hello\n"},
		{name: "failure", actions: []string{"hello", "fail=7"}, conclusion: flow.Failure, cause: flow.CauseTask, exit: 7, log: "oops\n", err: "exit code 7"},
		{name: "timeout", actions: []string{"sleep=100"}, timeout: 20 * time.Second, conclusion: flow.TimedOut, cause: flow.CauseTimeout, exit: 124, err: "timed out after 20s"},
		{name: "ends early in the scenario", actions: []string{"die=3"}, conclusion: flow.Failure, cause: flow.CauseTask, exit: 3, err: "exit code 3"},
		{name: "long", actions: []string{"sleep=600"}, conclusion: flow.Success},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := newFake(t)
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
				a := attempt("j1", tt.actions...)
				if tt.timeout > 0 {
					a.Timeout = tt.timeout
				}
				started := 0
				a.Started = func(time.Time) { started++ }
				var log bytes.Buffer
				res, err := b.Exec(t.Context(), a, &log)
				if err != nil {
					t.Fatal(err)
				}
				if res.Conclusion != tt.conclusion || res.Cause != tt.cause || res.ExitCode != tt.exit || res.Error != tt.err {
					t.Errorf("got %s, %q, exit %d, %q; want %s, %q, exit %d, %q", res.Conclusion, res.Cause, res.ExitCode, res.Error, tt.conclusion, tt.cause, tt.exit, tt.err)
				}
				if !strings.Contains(log.String(), tt.log) || strings.Contains(log.String(), "meta:") || strings.Contains(log.String(), "\r") {
					t.Errorf("log %q", log.String())
				}
				if started != 1 {
					t.Errorf("Started was called %d times", started)
				}
				if res.Commit != a.Commit {
					t.Errorf("commit %q", res.Commit)
				}
			})
		})
	}
}

// TestExecPlainLateness checks the promise of the adaptive polling.
func TestExecPlainLateness(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		var polls int
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(fake, func(r *http.Request) sparkytest.Fault {
			if strings.HasPrefix(r.URL.Path, "/status/") {
				polls++
			}
			return sparkytest.NoFault
		})})
		a := attempt("j1", "sleep=100")
		a.Timeout = 0
		begun := time.Now()
		if res, err := b.Exec(t.Context(), a, nil); err != nil || res.Conclusion != flow.Success {
			t.Fatal(res, err)
		}
		// One scan, the start, the job itself, and what polling adds.
		if took := time.Since(begun); took < 102*time.Second || took > 109*time.Second {
			t.Errorf("a job of 100 s took %v", took)
		}
		if polls > 80 {
			t.Errorf("%d polls", polls)
		}
	})
}

// once is a Fault for the first n requests that match.
func once(n int, prefix string, f sparkytest.Fault) func(*http.Request) sparkytest.Fault {
	var mu sync.Mutex
	return func(r *http.Request) sparkytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if n > 0 && strings.HasPrefix(r.Method+" "+r.URL.Path, prefix) {
			n--
			return f
		}
		return sparkytest.NoFault
	}
}

func TestExecPlainSurvives(t *testing.T) {
	const status, post = "GET /status/", "POST /queue"
	tests := []struct {
		name  string
		fault func(*http.Request) sparkytest.Fault
	}{
		{"post reset before it was taken", once(1, post, sparkytest.ResetBefore)},
		{"post reset after it was taken", once(1, post, sparkytest.ResetAfter)},
		{"post 500 before", once(2, post, sparkytest.Status500)},
		{"post 500 after", once(1, post, sparkytest.After500)},
		{"post error in a 200", once(2, post, sparkytest.ErrorIn200)},
		{"post hangs", once(1, post, sparkytest.Hang)},
		{"post answered with nonsense", once(1, post, sparkytest.Garbage)},
		{"post answer broken off", once(1, post, sparkytest.Truncated)},
		{"status 500", once(5, status, sparkytest.Status500)},
		{"status reset", once(5, status, sparkytest.ResetBefore)},
		{"status nonsense", once(3, status, sparkytest.Garbage)},
		{"status hangs", once(1, status, sparkytest.Hang)},
		{"one 404 of a proxy", once(1, status, sparkytest.NotFound)},
		{"report 500", once(9, "GET /report/", sparkytest.Status500)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := newFake(t)
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(fake, tt.fault)})
				a := attempt("j1", "sleep=20", "hello")
				var log bytes.Buffer
				res, err := b.Exec(t.Context(), a, &log)
				if err != nil || res.Conclusion != flow.Success {
					t.Fatalf("%+v, %v", res, err)
				}
				if n := fake.Runs(a.Job.Queue, a.JobID); n != 1 {
					t.Errorf("it ran %d times", n)
				}
				if strings.Count(log.String(), "Hello\n") != 1 {
					t.Errorf("log %q", log.String())
				}
			})
		})
	}
}

func TestExecPlainGivesUp(t *testing.T) {
	tests := []struct {
		name  string
		fault func(*http.Request) sparkytest.Fault
		lost  bool // else not started
		fixed bool // and refused
	}{
		{"404 after it was running", after(10, "GET /status/", sparkytest.NotFound), true, false},
		{"500 for ever", after(10, "GET /status/", sparkytest.Status500), true, false},
		{"nonsense for ever", after(10, "GET /status/", sparkytest.Garbage), true, false},
		{"no answer for ever", after(10, "GET /status/", sparkytest.Hang), true, false},
		{"post always 500", once(99, "POST /queue", sparkytest.Status500), false, false},
		{"post always an error in a 200", once(99, "POST /queue", sparkytest.ErrorIn200), false, false},
		{"post and status always 500", once(999, "", sparkytest.Status500), false, false},
		{"post in doubt, then silence", dark(), true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := newFake(t)
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(fake, tt.fault)})
				a := attempt("j1", "sleep=100")
				begun := time.Now()
				res, err := b.Exec(t.Context(), a, nil)
				switch {
				case tt.lost && (err != nil || !res.Lost || res.Conclusion != flow.Failure || res.Cause != flow.CauseInfrastructure || !strings.HasPrefix(res.Error, "lost: ")):
					t.Errorf("not lost: %+v, %v", res, err)
				case !tt.lost && (!errors.Is(err, flow.ErrNotStarted) || errors.Is(err, flow.ErrRefused) != tt.fixed):
					t.Errorf("not 'not started': %+v, %v", res, err)
				}
				if took := time.Since(begun); took > 2*time.Minute {
					t.Errorf("it took %v", took)
				}
				if !tt.lost && fake.Runs(a.Job.Queue, a.JobID) > 0 {
					t.Error("it has run")
				}
			})
		})
	}
}

// TestExecPlainNeverTwice: the job is over before the answer to its post is
// given up, so that posting it again would run it again.
func TestExecPlainNeverTwice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(fake, once(1, "POST /queue", sparkytest.HangAfter))})
		a := attempt("j1", "hello")
		res, err := b.Exec(t.Context(), a, nil)
		if err != nil || res.Conclusion != flow.Success {
			t.Errorf("%+v, %v", res, err)
		}
		if n := fake.Runs(a.Job.Queue, a.JobID); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}

// TestExecPlainLog: the report is fetched whole again and again, and each
// byte of it is in the log once.
func TestExecPlainLog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Run: func(j *sparkytest.FakeJob) int {
			for i := range 5 {
				j.Printf("line %d\r", i) // the other half of the line's end comes later
				j.Sleep(20 * time.Second)
				j.Printf("\n\x1b[35mcolour\x1b[0m %s", strings.Repeat("x", 40_000))
				j.Sleep(20 * time.Second)
				j.Printf("\r\n")
			}
			j.Printf("meta: cromt result=ok\r\n")
			return 0
		}})
		t.Cleanup(fake.Close)
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: fake})
		var log bytes.Buffer
		res, err := b.Exec(t.Context(), attempt("j1", "hello"), &log)
		if err != nil || res.Conclusion != flow.Success {
			t.Fatalf("%+v, %v", res, err)
		}
		var want strings.Builder
		for i := range 5 {
			fmt.Fprintf(&want, "line %d\n\x1b[35mcolour\x1b[0m %s\n", i, strings.Repeat("x", 40_000))
		}
		if log.String() != want.String() {
			t.Errorf("%d bytes of log, want %d; it begins %.100q", log.Len(), want.Len(), log.String())
		}
	})
}

// after lets n requests pass and then always fails.
func after(n int, prefix string, f sparkytest.Fault) func(*http.Request) sparkytest.Fault {
	pass := once(n, prefix, sparkytest.Hang)
	return func(r *http.Request) sparkytest.Fault {
		if !strings.HasPrefix(r.Method+" "+r.URL.Path, prefix) || pass(r) == sparkytest.Hang {
			return sparkytest.NoFault
		}
		return f
	}
}

// dark takes one job and then never answers again.
func dark() func(*http.Request) sparkytest.Fault {
	var mu sync.Mutex
	posted := false
	return func(r *http.Request) sparkytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/queue":
			posted = true
			return sparkytest.ResetAfter
		case posted:
			return sparkytest.ResetBefore
		}
		return sparkytest.NoFault
	}
}

func TestExecRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		b := newBench(t, sparky.ExecutorConfig{Secrets: map[string]string{}}, map[string]http.Handler{testHost: fake})
		c := b.hosts[testHost]
		c.Token = "another-token"
		b.hosts[testHost] = c

		noSecret := attempt("j2", "hello")
		noSecret.Job.Secrets = []string{"PASSWORD"}
		noHost := attempt("j3", "hello")
		noHost.Job.Host = "http://elsewhere:4000"
		badValue := attempt("j4", "hello")
		badValue.Job.Sparrowdo = map[string]any{"repo": "file:///x;echo INJECTED"}
		badName := attempt("J5", "hello")
		for _, a := range []flow.Attempt{attempt("j1", "hello"), noSecret, noHost, badValue, badName} {
			res, err := b.Exec(t.Context(), a, nil)
			if !errors.Is(err, flow.ErrNotStarted) || !errors.Is(err, flow.ErrRefused) {
				t.Errorf("%s: %+v, %v", a.JobID, res, err)
			} else if strings.Contains(err.Error(), "token-of") || strings.Contains(err.Error(), "another-token") {
				t.Errorf("the token is in %v", err)
			}
		}
	})
}

func TestExecUnreachable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := newBench(t, sparky.ExecutorConfig{}, nil)
		b.hosts[testHost] = sparky.HostConfig{URL: testHost, Dial: sparkytest.Refuse}
		_, err := b.Exec(t.Context(), attempt("j1", "hello"), nil)
		if !errors.Is(err, flow.ErrNotStarted) || errors.Is(err, flow.ErrRefused) {
			t.Errorf("%v", err)
		}
		resumed := attempt("j1", "hello")
		resumed.Resumed = true
		begun := time.Now()
		res, err := b.Exec(t.Context(), resumed, nil)
		if err != nil || !res.Lost {
			t.Errorf("a job that may have been sent: %+v, %v", res, err)
		}
		if took := time.Since(begun); took < sparky.LostAfter || took > sparky.LostAfter+10*time.Second {
			t.Errorf("it was given up after %v", took)
		}
	})
}

func TestExecResumed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		handlers := map[string]http.Handler{testHost: fake}
		a := attempt("j1", "sleep=60", "hello")
		// The process before this one has dispatched the job and is gone.
		c, err := sparky.NewClient(sparky.HostConfig{URL: testHost, Token: "t0ken-of-host", Dial: sparkytest.Serve(t, fake)})
		if err != nil {
			t.Fatal(err)
		}
		spec := `{"cromt":1,"source":{"kind":"git","url":"u","commit":"` + a.Commit + `"},"action":["sleep=60","hello"],"options":[],"env":{},"timeout":0}`
		_, err = c.Queue(t.Context(), sparky.QueueRequest{
			Config:  sparky.QueueConfig{Project: a.Job.Queue, JobID: a.JobID, Tags: map[string]string{}},
			Trigger: []byte("{}"), SparrowdoConfig: []byte(spec),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdle)
		time.Sleep(10 * time.Second) // virtual
		b := newBench(t, sparky.ExecutorConfig{}, handlers)
		a.Resumed = true
		var log bytes.Buffer
		res, err := b.Exec(t.Context(), a, &log)
		if err != nil || res.Conclusion != flow.Success || !strings.Contains(log.String(), "Hello") {
			t.Errorf("%+v, %v, log %q", res, err, log.String())
		}
		never := attempt("j2", "hello")
		never.Resumed = true
		if res, err := b.Exec(t.Context(), never, nil); err != nil || res.Conclusion != flow.Success {
			t.Errorf("one that was never sent: %+v, %v", res, err)
		}
		if n := fake.Runs(a.Job.Queue, "j1"); n != 1 {
			t.Errorf("it ran %d times", n)
		}
	})
}
