package sparkytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
)

// JobKind is what a job of the conformance suite does.
type JobKind int

// The kinds of jobs.
const (
	Succeeds JobKind = iota // prints "conformance" and ends
	Fails                   // exits with 3
	Sleeps                  // takes two minutes, unless it is killed
)

// Target is a host to be tested.
type Target struct {
	Host sparky.HostConfig
	// Real: it is a real Sparky, without our extensions and without the
	// safety of our agent against names and bodies that break it.
	Real bool
	// Job returns the sparrowfile and the sparrowdo-config of a job.
	Job func(JobKind) (sparrowfile string, config any)
	// Project is one that the host has a folder of, with a sparky.yaml that says
	// allow_manual_run: true; "": starting it by hand is not tested.
	Project string
	// Login and Password sign in to the pages; "": not tested.
	Login, Password string
	// Patience is how long one job may take to get to its end; 0 is 30 s.
	Patience time.Duration
}

// SparkyJob is the Job of a real Sparky: a sparrowfile of its own.
func SparkyJob(k JobKind) (string, any) {
	switch k {
	case Fails:
		return `say "conformance"; exit 3;`, map[string]any{}
	case Sleeps:
		return `say "conformance"; $*OUT.flush; sleep 120;`, map[string]any{}
	}
	return `say "conformance";`, map[string]any{}
}

// DirectJob is the Job of our agent on another machine: a sparrowfile whose
// first line it runs, and which does the same in Raku.
func DirectJob(k JobKind) (string, any) {
	script := map[JobKind]string{Succeeds: "echo conformance", Fails: "echo conformance; exit 3", Sleeps: "echo conformance; exec sleep 120"}[k]
	line, err := sparky.Direct{Argv: []string{"bash", "-c", script}, Dir: "/"}.Line()
	if err != nil {
		panic(err) // the commands are those above
	}
	raku, config := SparkyJob(k)
	return line + raku, config
}

// Run tests what a client of a Sparky relies on, each point as a subtest.
func Run(t *testing.T, target Target) {
	if target.Patience == 0 {
		target.Patience = 30 * time.Second
	}
	client, err := sparky.NewClient(target.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	// The same connection settings, for requests that Client does not make.
	transport := &http.Transport{
		DialContext:     target.Host.Dial,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: target.Host.InsecureSkipVerify}, //nolint:gosec // as the Target says
	}
	t.Cleanup(transport.CloseIdleConnections)
	s := &suite{Target: target, client: client, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}, salt: strings.ToLower(rand.Text()[:8])}
	for _, test := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"Unknown", (*suite).unknown},
		{"Wire", (*suite).wire},
		{"Malformed", (*suite).malformed},
		{"Token", (*suite).token},
		{"Stash", (*suite).stash},
		{"Files", (*suite).files},
		{"Success", (*suite).success},
		{"Failure", (*suite).failure},
		{"OneAtATime", (*suite).oneAtATime},
		{"Parallel", (*suite).parallel},
		{"CancelRunning", (*suite).cancelRunning},
		{"CancelQueued", (*suite).cancelQueued},
		{"Inheritance", (*suite).inheritance},
		{"Pages", (*suite).pages},
		{"Login", (*suite).login},
		{"Build", (*suite).build},
		{"Extensions", (*suite).extensions},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(s, t) })
	}
}

type suite struct {
	Target
	client *sparky.Client
	http   *http.Client
	cookie string // of who has signed in; "": nobody
	salt   string // job-ids are unique on a host for ever
}

// id returns a name that no other run of the suite uses.
func (s *suite) id(name string) string { return "conf-" + name + "-" + s.salt }

func (s *suite) request(project, id string, k JobKind) sparky.QueueRequest {
	file, config := s.Job(k)
	data, err := json.Marshal(config)
	if err != nil {
		panic(err) // the Target's own data
	}
	repo := s.Host.SparrowRepo
	if repo == "" {
		repo = sparky.DefaultSparrowRepo
	}
	return sparky.QueueRequest{
		Config: sparky.QueueConfig{
			Project: project, JobID: id, Description: "conformance", Tags: map[string]string{"stage": "run"},
			Sparrowdo: map[string]any{"no_sudo": true, "no_index_update": true, "repo": repo},
		},
		Trigger: json.RawMessage("{}"), Sparrowfile: file, SparrowdoConfig: data,
	}
}

func (s *suite) queue(t *testing.T, project, id string, k JobKind) {
	t.Helper()
	if _, err := s.client.Queue(t.Context(), s.request(project, id, k)); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) status(t *testing.T, project, id string) sparky.Code {
	t.Helper()
	code, err := s.client.Status(t.Context(), project, id)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// until polls until the status is one of want, and returns it. A job that was
// queued is known from then on, and its states follow each other.
func (s *suite) until(t *testing.T, project, id string, want ...sparky.Code) sparky.Code {
	t.Helper()
	rank := map[sparky.Code]int{sparky.CodeQueued: 0, sparky.CodeRunning: 1, sparky.CodeOK: 2, sparky.CodeFailed: 2, sparky.CodeCancelled: 2}
	last := sparky.CodeQueued
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(s.Patience); time.Now().Before(end); <-tick.C {
		code := s.status(t, project, id)
		if rank[code] < rank[last] {
			t.Fatalf("state %d came after %d", code, last)
		}
		for _, w := range want {
			if code == w {
				return code
			}
		}
		if last = code; code.Ended() {
			t.Fatalf("the job ended with %d, want one of %v", code, want)
		}
	}
	t.Fatalf("the job is still %d after %v, want one of %v", last, s.Patience, want)
	return 0
}

func (s *suite) report(t *testing.T, project, id string) string {
	t.Helper()
	var text []byte
	var err error
	for range 20 { // a real Sparky answers 500 for a moment
		var body io.ReadCloser
		if body, err = s.client.Report(t.Context(), project, id); err == nil {
			text, err = io.ReadAll(body)
			_ = body.Close()
		}
		if sparky.KindOf(err) != sparky.KindServer {
			break
		}
		wait(t.Context(), 200*time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// answer is what a host said, with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request of its own. Headers are name, value, name, value; the
// token is sent unless one of them is Token.
func (s *suite) send(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.client.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		req.Body = http.NoBody
	}
	token := s.Host.Token
	for i := 0; i+1 < len(headers); i += 2 {
		switch headers[i] {
		case "Token":
			token = headers[i+1]
		case "Transfer-Encoding":
			req.ContentLength = -1
		default:
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	if token != "" {
		req.Header.Set("Token", token)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// refused says whether the answer is an error: a 4xx or 5xx, or, as Sparky
// likes it, a 200 with the key error.
func (a answer) refused() bool {
	var e struct{ Error string }
	return a.status >= 400 || a.status == 200 && json.Unmarshal([]byte(a.body), &e) == nil && e.Error != ""
}

func (a answer) String() string { return fmt.Sprintf("%d %q", a.status, a.body) }
