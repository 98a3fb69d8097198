//go:build unix

package agent_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// host is an agent that listens on a port of its own.
type host struct {
	t     testing.TB
	a     *agent.Agent
	url   string
	token string
	stop  func()
	pid   int // of an agent in a process of its own
}

func start(t testing.TB, cfg agent.Config) *host {
	t.Helper()
	if cfg.Root == "" {
		cfg.Root = t.TempDir()
	}
	a, err := agent.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- agent.Serve(ctx, ln, a, nil) }()
	h := &host{t: t, a: a, url: "http://" + ln.Addr().String(), token: cfg.Token}
	var stopped bool
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := a.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(h.stop)
	return h
}

// do sends a request and returns the status and the body.
func (h *host) do(method, path string, body string, header ...string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if h.token != "" {
		req.Header.Set("token", h.token)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	if loc := res.Header.Get("Location"); loc != "" {
		return res.StatusCode, loc
	}
	return res.StatusCode, string(data)
}

var lastID atomic.Int64

func newID() string { return fmt.Sprintf("job.%d", lastID.Add(1)) }

// queueBody is the body of POST /queue for the spec.
func queueBody(project, id string, spec any) string {
	data, err := json.Marshal(map[string]any{
		"config":           map[string]any{"project": project, "job-id": id, "tags": map[string]any{}, "sparrowdo": map[string]any{"no_sudo": true}},
		"trigger":          map[string]any{},
		"sparrowfile":      "say 1",
		"sparrowdo-config": spec,
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// queue posts a job, which must be accepted.
func (h *host) queue(project string, spec sparky.Spec) (id string) {
	h.t.Helper()
	id = newID()
	if code, body := h.do("POST", "/queue", queueBody(project, id, spec)); code != 200 || strings.Contains(body, "error") {
		h.t.Fatalf("POST /queue: %d %s", code, body)
	}
	return id
}

// poll asks for the job's status once.
func (h *host) poll(project, id, query string) sparky.JobStatus {
	h.t.Helper()
	code, body := h.do("GET", "/status/"+project+"/"+id+query, "", "Accept", "application/json")
	if code != 200 {
		h.t.Fatalf("GET /status/%s/%s: %d %s", project, id, code, body)
	}
	var st sparky.JobStatus
	if err := json.Unmarshal([]byte(body), &st); err != nil {
		h.t.Fatalf("GET /status: %v in %s", err, body)
	}
	return st
}

// wait polls until the job has ended, and returns its whole log with it.
func (h *host) wait(project, id string) (sparky.JobStatus, string) {
	h.t.Helper()
	return h.until(project, id, func(st sparky.JobStatus, _ string) bool { return st.State.Ended() && st.Offset >= st.LogSize })
}

// until polls until ok, for a minute at most.
func (h *host) until(project, id string, ok func(sparky.JobStatus, string) bool) (sparky.JobStatus, string) {
	h.t.Helper()
	var log bytes.Buffer
	state, offset := sparky.CodeQueued, int64(0)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		st := h.poll(project, id, fmt.Sprintf("?wait=10&state=%d&offset=%d", state, offset))
		log.Write(st.Log)
		st.Log = nil
		state, offset = st.State, st.Offset
		if ok(st, log.String()) {
			return st, log.String()
		}
	}
	h.t.Fatalf("job %s: still in state %d with log %q", id, state, log.String())
	panic("unreachable")
}

// scenarios makes a folder with Bash scenarios, given as name, text pairs.
func scenarios(t testing.TB, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	addScenarios(t, dir, pairs...)
	return dir
}

func addScenarios(t testing.TB, dir string, pairs ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, ".tom"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, ".tom", pairs[i]+".bash"), []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// inDir is the spec of a job that runs actions in a folder.
func inDir(dir string, actions ...string) sparky.Spec {
	return sparky.Spec{Cromt: sparky.SpecVersion, Source: sparky.SpecSource{Kind: sparky.SpecDir, Dir: dir}, Actions: actions}
}

func env(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = base64.StdEncoding.EncodeToString([]byte(pairs[i+1]))
	}
	return m
}

func TestTrivialJob(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "hello", "echo hello $NAME in $SPARKY_PROJECT\n", "fail", "echo oops; exit 7\n")
	spec := inDir(dir, "hello")
	spec.Env = env("NAME", "a  b")
	id := h.queue("p1", spec)
	// One request tells it all: the state, the log and the result. On a busy
	// machine a second one is needed, a tenth of a second later.
	at := time.Now()
	st := h.poll("p1", id, "?wait=30&state=-2&offset=0")
	if st.State == sparky.CodeRunning && time.Since(at) > 100*time.Millisecond {
		h.until("p1", id, func(st sparky.JobStatus, _ string) bool { return st.State.Ended() })
		st = h.poll("p1", id, "?wait=30&state=-2&offset=0")
	}
	if st.State != sparky.CodeOK || !strings.Contains(string(st.Log), "hello a b in p1\n") || !strings.HasSuffix(string(st.Log), "meta: result=ok\n") {
		t.Errorf("status %+v, log %q", st, st.Log)
	}
	if st.QueuedAt.IsZero() || st.StartedAt.Before(st.QueuedAt) || st.CompletedAt.Before(st.StartedAt) || st.Offset != st.LogSize {
		t.Errorf("times or sizes of %+v", st)
	}
	id = h.queue("p1", inDir(dir, "hello", "fail", "hello"))
	st, log := h.wait("p1", id)
	want := "meta: step=tom-hello\nhello in p1\nmeta: step=tom-fail\noops\nmeta: result=failed step=tom-fail exit=7\n"
	if st.State != sparky.CodeFailed || st.Cause != "task" || st.ExitCode != 7 || st.Error == "" || log != want {
		t.Errorf("status %+v, log %q", st, log)
	}
	if code, body := h.do("GET", "/status/p1/"+id, ""); code != 200 || body != "-1" {
		t.Errorf("plain status: %d %q", code, body)
	}
	if code, body := h.do("GET", "/report/raw/p1/"+id, ""); code != 200 || body != log {
		t.Errorf("report: %d %q", code, body)
	}
}
