package sparky_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// scenarios are Bash scenarios for the agent.
var scenarios = map[string]string{
	"hello": `echo "Hello worker $WORKER"`,
	"fail":  "echo oops; exit 7",
	"sleep": "echo begin; exec sleep 60",
	"flood": `for i in $(seq 20000); do echo "line $i of a long log"; done`,
	"leak":  `echo "password: $PASSWORD"; printf %s "$PASSWORD" | base64`,
	"make":  `printf "made by $WORKER" >patch.sql; mkdir -p out; head -c 3000000 /dev/zero >out/big`,
	"use":   "cat .artifacts/patch.sql .artifacts/a/patch.sql; stat -c %s .artifacts/big",
}

func newAgent(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	cfg.Root, cfg.Token, cfg.Version = t.TempDir(), "t0ken-of-host", "test"
	a, err := agent.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

// dirAttempt is an attempt whose scenarios are in a folder of the host.
func dirAttempt(t *testing.T, id string, actions ...string) flow.Attempt {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".tom"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range scenarios {
		if err := os.WriteFile(filepath.Join(dir, ".tom", name+".bash"), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := attempt(id, actions...)
	a.Commit = ""
	a.Job.Source = flow.Source{Kind: flow.SourceDir, Dir: dir}
	a.Job.Vars = []flow.Var{{Name: "WORKER", Value: id}}
	return a
}

func TestExecAgent(t *testing.T) {
	tests := []struct {
		action     string
		timeout    time.Duration
		conclusion flow.Conclusion
		cause      flow.Cause
		exit       int
		log        string
	}{
		{action: "hello", conclusion: flow.Success, log: "Hello worker j1"},
		{action: "fail", conclusion: flow.Failure, cause: flow.CauseTask, exit: 7, log: "oops"},
		{action: "sleep", timeout: time.Second, conclusion: flow.TimedOut, cause: flow.CauseTimeout, exit: 124, log: "begin"},
		{action: "flood", conclusion: flow.Success, log: "line 20000 of a long log"},
		{action: "leak", conclusion: flow.Success, log: "password: ***"},
	}
	for _, tt := range tests {
		t.Run(tt.action, func(t *testing.T) {
			b := newBench(t, sparky.ExecutorConfig{Secrets: map[string]string{"PASSWORD": "correct horse"}}, map[string]http.Handler{testHost: newAgent(t, agent.Config{})})
			a := dirAttempt(t, "j1", tt.action)
			a.Job.Secrets = []string{"PASSWORD"}
			a.Timeout = tt.timeout
			var started atomic.Int32
			a.Started = func(time.Time) { started.Add(1) }
			var log bytes.Buffer
			res, err := b.Exec(t.Context(), a, &log)
			if err != nil || res.Conclusion != tt.conclusion || res.Cause != tt.cause || res.ExitCode != tt.exit {
				t.Errorf("%+v, %v", res, err)
			}
			if (res.Error == "") != (tt.conclusion == flow.Success) {
				t.Errorf("error %q", res.Error)
			}
			if !strings.Contains(log.String(), tt.log) || strings.Contains(log.String(), "correct") || strings.Contains(log.String(), "Y29ycmVjd") {
				t.Errorf("log %.300q", log.String())
			}
			if tt.action == "flood" && strings.Count(log.String(), " of a long log\n") != 20000 {
				t.Errorf("%d lines", strings.Count(log.String(), "\n"))
			}
			if started.Load() != 1 || res.StartedAt.IsZero() || res.CompletedAt.Before(res.StartedAt) {
				t.Errorf("Started called %d times, %v to %v", started.Load(), res.StartedAt, res.CompletedAt)
			}
		})
	}
}

// TestExecArtifacts passes files from one host to another, and by a third one.
func TestExecArtifacts(t *testing.T) {
	const hostA, hostB, storage = "http://a:4000", "http://b:4000", "http://storage:4000"
	for _, store := range []string{"", storage} {
		t.Run("storage="+store, func(t *testing.T) {
			b := newBench(t, sparky.ExecutorConfig{Storage: store}, map[string]http.Handler{
				hostA: newAgent(t, agent.Config{}), hostB: newAgent(t, agent.Config{}), storage: newAgent(t, agent.Config{}),
			})
			producer := dirAttempt(t, "maker", "make")
			producer.Job.Host = hostA
			producer.Job.Out = []flow.Output{{File: "patch.sql", Path: "patch.sql"}, {File: "big", Path: "out/big"}}
			res, err := b.Exec(t.Context(), producer, nil)
			if err != nil || res.Conclusion != flow.Success || len(res.Artifacts) != 2 {
				t.Fatalf("%+v, %v", res, err)
			}
			where := hostA
			if store != "" {
				where = store
			}
			patch, big := res.Artifacts[0], res.Artifacts[1]
			if want := fmt.Sprintf("%x", sha256.Sum256([]byte("made by maker"))); patch.SHA256 != want || patch.Host != where || patch.File != "patch.sql" {
				t.Errorf("artifact %+v", patch)
			}
			consumer := dirAttempt(t, "user", "use")
			consumer.Job.Host = hostB
			consumer.Inputs = []flow.InputFile{{Path: "patch.sql", Artifact: patch}, {Path: "a/patch.sql", Artifact: patch}, {Path: "big", Artifact: big}}
			var log bytes.Buffer
			res, err = b.Exec(t.Context(), consumer, &log)
			if err != nil || res.Conclusion != flow.Success || !strings.Contains(log.String(), "made by makermade by maker3000000") {
				t.Fatalf("%+v, %v, log %q", res, err, log.String())
			}
			forged := consumer
			forged.JobID, forged.Inputs = "user2", []flow.InputFile{{Path: "patch.sql", Artifact: patch}}
			forged.Inputs[0].Artifact.SHA256 = strings.Repeat("0", 64)
			if res, err := b.Exec(t.Context(), forged, nil); !errors.Is(err, flow.ErrNotStarted) || !strings.Contains(err.Error(), "sha256") {
				t.Errorf("an artifact with another sum: %+v, %v", res, err)
			}
			gone := consumer
			gone.JobID, gone.Inputs = "user3", []flow.InputFile{{Path: "x", Artifact: flow.Artifact{File: "x", Bytes: 1, Host: hostA, Queue: "q", JobID: "nosuch"}}}
			if res, err := b.Exec(t.Context(), gone, nil); !errors.Is(err, flow.ErrNotStarted) {
				t.Errorf("an artifact that is gone: %+v, %v", res, err)
			}
		})
	}
}

func TestExecMissingOutput(t *testing.T) {
	b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: newAgent(t, agent.Config{})})
	a := dirAttempt(t, "j1", "hello")
	a.Job.Out = []flow.Output{{File: "x", Path: "nosuch"}}
	res, err := b.Exec(t.Context(), a, nil)
	if err != nil || res.Conclusion != flow.Failure || !strings.Contains(res.Error, "nosuch") {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestExecArchive: the run's own repository is put to a host once.
func TestExecArchive(t *testing.T) {
	path, sum := sourceArchive(t)
	var puts atomic.Int32
	h := sparkytest.WithFaults(newAgent(t, agent.Config{}), func(r *http.Request) sparkytest.Fault {
		if r.Method == http.MethodPut {
			puts.Add(1)
		}
		return sparkytest.NoFault
	})
	b := newBench(t, sparky.ExecutorConfig{RunID: "run7", Own: sparky.OwnSource{Archive: path, ArchiveSHA256: sum}}, map[string]http.Handler{testHost: h})
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			a := attempt(fmt.Sprintf("j%d", i), "hello")
			a.Commit = ""
			var log bytes.Buffer
			if res, err := b.Exec(t.Context(), a, &log); err != nil || res.Conclusion != flow.Success || !strings.Contains(log.String(), "from the archive") {
				t.Errorf("%+v, %v, %q", res, err, log.String())
			}
		})
	}
	wg.Wait()
	if puts.Load() != 1 {
		t.Errorf("%d puts", puts.Load())
	}
}

func sourceArchive(t *testing.T) (path, sum string) {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	text := "echo from the archive\n"
	if err := w.WriteHeader(&tar.Header{Name: ".tom/hello.bash", Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text) // to memory
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "src.tar.gz")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("%x", sha256.Sum256(buf.Bytes()))
}

func TestExecAgentCancel(t *testing.T) {
	b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: newAgent(t, agent.Config{})})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := dirAttempt(t, "j1", "sleep")
	a.Started = func(time.Time) { cancel() }
	begun := time.Now()
	res, err := b.Exec(ctx, a, nil)
	if err != nil || res.Conclusion != flow.Cancelled || !strings.Contains(res.Error, "confirmed") || strings.Contains(res.Error, "not confirm") {
		t.Errorf("%+v, %v", res, err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestExecAgentQueueTimeout(t *testing.T) {
	b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: newAgent(t, agent.Config{})})
	first, second := dirAttempt(t, "j1", "sleep"), dirAttempt(t, "j2", "hello")
	second.Job.Queue, second.QueueTimeout = first.Job.Queue, time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started, done := make(chan struct{}), make(chan struct{})
	first.Started = func(time.Time) { close(started) }
	go func() {
		defer close(done)
		_, _ = b.Exec(ctx, first, nil) // cancelled below
	}()
	<-started
	res, err := b.Exec(t.Context(), second, nil)
	if !errors.Is(err, flow.ErrNotStarted) || errors.Is(err, flow.ErrRefused) || !strings.Contains(err.Error(), "waited 1s in the queue") {
		t.Errorf("%+v, %v", res, err)
	}
	cancel()
	<-done
}

// TestExecPostBringsNews: what the answer to the post tells of the job is not
// asked for again, and what it does not have is.
func TestExecPostBringsNews(t *testing.T) {
	whole, now := "Hello worker\n", time.Now()
	for part, want := range map[int]string{
		len(whole): "GET /cromt,POST /queue?wait=1,",
		5:          "GET /cromt,POST /queue?wait=1,GET /status/hello,state=0&offset=5,",
	} {
		asked := ""
		status := func(from, to int, state sparky.Code) *sparky.JobStatus {
			return &sparky.JobStatus{State: state, StartedAt: now, CompletedAt: now, Log: []byte(whole[from:to]), Offset: int64(to), LogSize: int64(to)}
		}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // one request after the other
			switch {
			case r.URL.Path == "/cromt":
				asked += "GET /cromt,"
				_ = json.NewEncoder(w).Encode(sparky.Hello{Agent: "test", Version: 1, MaxJobs: 4, Posts: true})
			case r.URL.Path == "/queue":
				asked += "POST " + r.URL.String() + ","
				answer := sparky.QueueAnswer{Project: "hello", JobID: "j1", Status: status(0, part, sparky.CodeRunning)}
				if part == len(whole) {
					answer.Status.State = sparky.CodeOK
				}
				_ = json.NewEncoder(w).Encode(answer)
			default:
				_, query, _ := strings.Cut(r.URL.RawQuery, "&")
				asked += "GET " + strings.TrimSuffix(r.URL.Path, "/j1") + "," + query + ","
				_ = json.NewEncoder(w).Encode(status(part, len(whole), sparky.CodeOK))
			}
		})
		b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: h})
		a := dirAttempt(t, "j1", "hello")
		a.Job.Queue = "hello"
		var log bytes.Buffer
		if res, err := b.Exec(t.Context(), a, &log); err != nil || res.Conclusion != flow.Success || log.String() != whole {
			t.Errorf("%+v, %v, log %q", res, err, log.String())
		}
		if asked != want {
			t.Errorf("asked %s, want %s", asked, want)
		}
	}
}

// TestExecAgentSurvives: each fault happens, and the job runs exactly once.
func TestExecAgentSurvives(t *testing.T) {
	const wait = "GET /status/"
	tests := []struct {
		name  string
		fault func(*http.Request) sparkytest.Fault
	}{
		{"post reset before", once(1, "POST /queue", sparkytest.ResetBefore)},
		{"post reset after", once(2, "POST /queue", sparkytest.ResetAfter)},
		{"post 500 after", once(1, "POST /queue", sparkytest.After500)},
		{"wait 500", once(3, wait, sparkytest.Status500)},
		{"wait reset", once(3, wait, sparkytest.ResetBefore)},
		{"wait broken off", once(3, wait, sparkytest.Truncated)},
		{"wait nonsense", once(3, wait, sparkytest.Garbage)},
		{"one 404", once(1, wait, sparkytest.NotFound)},
		{"hello reset", once(1, "GET /cromt", sparkytest.ResetBefore)}, // GET is repeated by net/http on a kept connection only
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: sparkytest.WithFaults(newAgent(t, agent.Config{}), tt.fault)})
			a := dirAttempt(t, "j1", "hello")
			marks := filepath.Join(a.Job.Source.Dir, "runs")
			if err := os.WriteFile(filepath.Join(a.Job.Source.Dir, ".tom", "hello.bash"), []byte("echo x >>runs; sleep 0.3; echo Hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			res, err := b.Exec(t.Context(), a, &log)
			if errors.Is(err, flow.ErrNotStarted) && !errors.Is(err, flow.ErrRefused) {
				res, err = b.Exec(t.Context(), a, &log) // as the engine does
			}
			if err != nil || res.Conclusion != flow.Success || strings.Count(log.String(), "Hello") != 1 {
				t.Errorf("%+v, %v, log %q", res, err, log.String())
			}
			if runs, err := os.ReadFile(marks); err != nil || string(runs) != "x\n" {
				t.Errorf("runs %q, %v", runs, err)
			}
		})
	}
}

// TestExecSlots: no more jobs are sent to a host than it may have.
func TestExecSlots(t *testing.T) {
	var posted, ended, most atomic.Int32
	h := sparkytest.WithFaults(newAgent(t, agent.Config{}), func(r *http.Request) sparkytest.Fault {
		if r.URL.Path == "/queue" {
			most.Store(max(most.Load(), posted.Add(1)-ended.Load()))
		}
		return sparkytest.NoFault
	})
	b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: h})
	c := b.hosts[testHost]
	c.Slots = 2
	b.hosts[testHost] = c
	var wg sync.WaitGroup
	for i := range 12 {
		a := dirAttempt(t, fmt.Sprintf("j%d", i), "hello")
		wg.Go(func() {
			// Counted before the slot is given back, so that the count is never too high.
			var first sync.Once
			w := writerFunc(func(p []byte) (int, error) { first.Do(func() { ended.Add(1) }); return len(p), nil })
			if res, err := b.Exec(t.Context(), a, w); err != nil || res.Conclusion != flow.Success {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 2 {
		t.Errorf("%d jobs at once", most.Load())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestExecLongPollWindow: a long poll is longer than a host may be silent. The
// time that this may take begins when a poll has failed, not when it began, and
// the polls after that are short.
func TestExecLongPollWindow(t *testing.T) {
	broken := func(*http.Request) sparkytest.Fault { return sparkytest.Status500 }
	tests := []struct {
		name  string
		polls []func(*http.Request) sparkytest.Fault
	}{
		{"breaks after 45 s, then fails for a while", []func(*http.Request) sparkytest.Fault{
			func(*http.Request) sparkytest.Fault {
				time.Sleep(45 * time.Second)
				return sparkytest.ResetAfter
			}, broken, broken, broken, broken,
		}},
		{"fails once, then hangs", []func(*http.Request) sparkytest.Fault{
			broken, func(*http.Request) sparkytest.Fault { return sparkytest.Hang },
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				begun, polls := time.Now(), 0
				h := sparkytest.WithFaults(longPolled(begun.Add(5*time.Minute)), func(r *http.Request) sparkytest.Fault {
					if !strings.HasPrefix(r.URL.Path, "/status/") {
						return sparkytest.NoFault
					}
					if polls++; polls < 2 || polls-2 >= len(tt.polls) {
						return sparkytest.NoFault
					}
					return tt.polls[polls-2](r)
				})
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: h})
				res, err := b.Exec(t.Context(), attempt("j1", "hello"), nil)
				if err != nil || res.Conclusion != flow.Success {
					t.Errorf("%+v, %v", res, err)
				}
				if most := 3 + len(tt.polls) + 8; polls > most { // long ones again
					t.Errorf("%d polls, want %d at most", polls, most)
				}
			})
		})
	}
}

// longPolled is an agent whose one job runs until end.
func longPolled(end time.Time) http.Handler {
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("GET /cromt", func(w http.ResponseWriter, _ *http.Request) {
		say(w, sparky.Hello{Agent: "test", Version: 1, MaxJobs: 4})
	})
	mux.HandleFunc("POST /queue", func(w http.ResponseWriter, r *http.Request) {
		var q sparky.QueueRequest
		_ = json.NewDecoder(r.Body).Decode(&q)
		say(w, sparky.QueueAnswer{Project: q.Config.Project, JobID: q.Config.JobID})
	})
	mux.HandleFunc("GET /status/{project}/{job}", func(w http.ResponseWriter, r *http.Request) {
		wait, _ := strconv.Atoi(r.FormValue("wait"))
		if r.FormValue("state") == strconv.Itoa(int(sparky.CodeRunning)) {
			ctx, cancel := context.WithTimeout(r.Context(), min(time.Duration(wait)*time.Second, time.Until(end)))
			<-ctx.Done()
			cancel()
		}
		js := sparky.JobStatus{State: sparky.CodeRunning, StartedAt: end.Add(-time.Minute)}
		if !time.Now().Before(end) {
			js.State, js.CompletedAt = sparky.CodeOK, end
		}
		say(w, js)
	})
	return mux
}
