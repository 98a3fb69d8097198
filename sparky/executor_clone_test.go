package sparky_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
	"github.com/cromt/cromt/sparky/sparkytest"
)

const cloneToken = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"

// cloning is a host, and what it can clone from.
type cloning struct {
	host    sparky.HostConfig
	folders []string // everything that the host keeps
	look    string   // folder where the scenario look leaves what it sees
	server  *sparkytest.GitServer
	other   *sparkytest.GitServer // lets everybody in
	plain   string                // http URL of server
	head    string
	stop    func()
}

// newCloning makes the servers and the repositories; home is of git's user.
func newCloning(t *testing.T, home string) *cloning {
	t.Helper()
	dir := t.TempDir()
	work := filepath.Join(dir, "work")
	if err := os.MkdirAll(filepath.Join(work, ".tom"), 0o700); err != nil {
		t.Fatal(err)
	}
	look := `cp -r .git "$LOOK/dot-git"; env >"$LOOK/env"; echo cloned`
	if err := os.WriteFile(filepath.Join(work, ".tom", "look.bash"), []byte(look), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cloning{look: t.TempDir(), stop: func() {}}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main", "."}, {"add", "-A"}, {"commit", "--quiet", "-m", "one"},
		{"clone", "--quiet", "--bare", ".", filepath.Join(dir, "bare", "o", "private.git")}, {"rev-parse", "HEAD"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
		cmd.Dir = work
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		c.head = strings.TrimSpace(string(out))
	}
	bare := filepath.Join(dir, "bare")
	c.server = sparkytest.NewGitServer(t, bare, sparky.CloneCredential{Token: cloneToken}.Basic())
	c.other = sparkytest.NewGitServer(t, bare, "")
	c.server.Trust(t, home)
	plain := httptest.NewServer(c.server)
	t.Cleanup(plain.Close)
	c.plain = plain.URL
	return c
}

// cloningHosts are the two kinds of hosts.
var cloningHosts = map[string]func(*testing.T) *cloning{
	"agent": func(t *testing.T) *cloning {
		home, root := t.TempDir(), t.TempDir()
		t.Setenv("HOME", home)
		c := newCloning(t, home)
		a, stop := openAgent(t, root)
		c.host = sparky.HostConfig{URL: testHost, Token: "t0ken-of-host", Dial: sparkytest.Serve(t, a)}
		c.folders, c.stop = []string{root, home}, stop
		return c
	},
	"Sparky": func(t *testing.T) *cloning {
		h := newRealHost(t)
		c := newCloning(t, h.dir)
		c.host = sparky.HostConfig{URL: "http://127.0.0.1:" + h.port, Token: "t0ken-of-host", PublicPort: true}
		c.folders = []string{h.dir}
		return c
	},
}

// openAgent returns an agent with that root, and what closes it.
func openAgent(t *testing.T, root string) (*agent.Agent, func()) {
	t.Helper()
	a, err := agent.Open(agent.Config{Root: root, Token: "t0ken-of-host"})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	stop := func() {
		if closed {
			return
		}
		closed = true
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return a, stop
}

// exec runs an attempt that clones url and has the scenario look around.
func (c *cloning) exec(t *testing.T, id, url, token string) (flow.Result, string, error) {
	t.Helper()
	e := sparky.NewExecutor(sparky.ExecutorConfig{
		Host:       func(string) (sparky.HostConfig, error) { return c.host, nil },
		Clone:      []sparky.CloneCredential{{Prefix: c.server.URL, Token: token}, {Prefix: c.plain, Token: token}},
		CancelWait: time.Minute,
	})
	defer e.Close()
	a := attempt(id, "look")
	a.Job.Host, a.Commit = c.host.URL, c.head
	a.Job.Source = flow.Source{Kind: flow.SourceGit, URL: url}
	a.Job.Vars = []flow.Var{{Name: "LOOK", Value: c.look}}
	var log bytes.Buffer
	res, err := e.Exec(t.Context(), a, &log)
	text := log.String() + "\n" + res.Error
	if err != nil {
		text += "\n" + err.Error()
	}
	return res, text, err
}

// forms are what must not be found anywhere.
func forms(token string) []string {
	return []string{token, sparky.CloneCredential{Token: token}.Basic()}
}

// findIn returns the files below the folders that have one of the words.
func findIn(t *testing.T, folders []string, words ...string) (found []string) {
	t.Helper()
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // it has just been removed
			}
			data, err := os.ReadFile(path)
			for _, w := range words {
				if err == nil && bytes.Contains(data, []byte(w)) {
					found = append(found, path)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestExecClone(t *testing.T) {
	for name, open := range cloningHosts {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			private := c.server.URL + "/o/private.git"
			res, text, err := c.exec(t, "with", private, cloneToken)
			if err != nil || res.Conclusion != flow.Success || res.Commit != c.head || !strings.Contains(text, "cloned") {
				t.Fatalf("%+v, %v\n%s", res, err, text)
			}
			if shown := c.server.Shown(); !slices.Contains(shown, "Basic "+forms(cloneToken)[1]) {
				t.Errorf("the server was shown %q", shown)
			}
			env, err := os.ReadFile(filepath.Join(c.look, "env"))
			if err != nil || bytes.Contains(env, []byte("GIT_CONFIG_")) {
				t.Errorf("environment of the scenario: %v\n%s", err, env)
			}
			if _, err := os.Stat(filepath.Join(c.look, "dot-git", "config")); err != nil {
				t.Error(err) // there is something to search
			}

			res, text, err = c.exec(t, "without", private, "")
			if err != nil || res.Cause != flow.CauseInfrastructure || !res.NotStarted || !strings.Contains(text, "Authentication failed") {
				t.Errorf("without: %+v, %v\n%s", res, err, text)
			}
			const wrong = "ghs_wrong-0123456789abcdefghijklmnopqr"
			res, text, err = c.exec(t, "wrong", private, wrong)
			if err != nil || res.Cause != flow.CauseInfrastructure || !res.NotStarted || !strings.Contains(text, "you have shown ") || !strings.Contains(text, "it may have expired") {
				t.Errorf("wrong: %+v, %v\n%s", res, err, text)
			}
			if strings.Contains(text, wrong) || strings.Contains(text, forms(wrong)[1][20:40]) {
				t.Errorf("told what it was shown: %s", text)
			}

			c.stop()
			if argv := c.server.Argv(); len(argv) > 0 {
				t.Errorf("in the arguments of %q", argv)
			}
			if found := findIn(t, append(c.folders, c.look), append(forms(cloneToken), forms(wrong)...)...); len(found) > 0 {
				t.Errorf("left in %q", found)
			}
		})
	}
}

func TestExecCloneElsewhere(t *testing.T) {
	for name, open := range cloningHosts {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			c.server.Move("/o/moved.git", c.other.URL+"/o/private.git")
			res, text, err := c.exec(t, "moved", c.server.URL+"/o/moved.git", cloneToken)
			if err != nil || !res.NotStarted || !strings.Contains(text, "the repository has moved") {
				t.Errorf("a redirect: %+v, %v\n%s", res, err, text)
			}
			for _, shown := range c.other.Shown() {
				if shown != "" {
					t.Errorf("the other server was shown %q", shown)
				}
			}
			if shown := c.server.Shown(); !slices.Contains(shown, "Basic "+forms(cloneToken)[1]) {
				t.Errorf("the server that redirects was shown %q", shown)
			}
			for id, url := range map[string]string{"plain": c.plain + "/o/private.git", "other": c.other.URL + "/o/private.git"} {
				if res, text, err := c.exec(t, id, url, cloneToken); err != nil || res.Conclusion == flow.Success && id == "plain" {
					t.Errorf("%s: %+v, %v\n%s", id, res, err, text)
				}
			}
			for _, shown := range append(c.server.Shown(), c.other.Shown()...) {
				if strings.Contains(shown, forms(cloneToken)[1]) {
					t.Errorf("shown %q", shown)
				}
			}
		})
	}
}

// TestExecClonePublicPort: a real Sparky is sent the credential only where
// that was allowed.
func TestExecClonePublicPort(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fake := newFake(t)
		b := newBench(t, sparky.ExecutorConfig{Clone: []sparky.CloneCredential{{Prefix: "https://example.org/", Token: cloneToken}}}, map[string]http.Handler{testHost: fake})
		own := attempt("own", "hello")
		_, err := b.Exec(t.Context(), own, nil)
		if !errors.Is(err, flow.ErrRefused) || !strings.Contains(err.Error(), "public_port: ok") || strings.Contains(err.Error(), cloneToken) || fake.Runs(own.Job.Queue, own.JobID) > 0 {
			t.Errorf("%v", err)
		}
		trusted := b.hosts[testHost]
		trusted.URL, trusted.PublicPort = "http://trusted:4000", true
		b.hosts[trusted.URL] = trusted
		boxed := attempt("boxed", "hello")
		boxed.Job.Host, boxed.Job.Sparrowdo = trusted.URL, map[string]any{"docker": "box"}
		if _, err := b.Exec(t.Context(), boxed, nil); !errors.Is(err, flow.ErrRefused) || !strings.Contains(err.Error(), "remove docker") {
			t.Errorf("in a container: %v", err)
		}
		foreign := attempt("foreign", "hello")
		foreign.Job.Source = flow.Source{Kind: flow.SourceGit, URL: "https://example.com/o/r"}
		if res, err := b.Exec(t.Context(), foreign, nil); err != nil || res.Conclusion != flow.Success {
			t.Errorf("a repository that the credential is not for: %+v, %v", res, err)
		}
	})
}

// TestExecCloneRestart: a job that waits with a credential is not on the
// agent's disk. When the agent restarts, the job ends so that it is sent again.
func TestExecCloneRestart(t *testing.T) {
	root, dir := t.TempDir(), dirAttempt(t, "first", "sleep")
	a, stop := openAgent(t, root)
	var current atomic.Pointer[agent.Agent]
	current.Store(a)
	polls, endPolls := context.WithCancel(t.Context()) // of the first agent
	b := newBench(t, sparky.ExecutorConfig{Clone: []sparky.CloneCredential{{Prefix: "https://example.org/", Token: cloneToken}}}, map[string]http.Handler{
		testHost: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if polls.Err() == nil {
				r = r.WithContext(polls)
			}
			current.Load().ServeHTTP(w, r)
		}),
	})
	started, firstEnded := make(chan struct{}), make(chan struct{})
	dir.Started = func(time.Time) { close(started) }
	go func() {
		defer close(firstEnded)
		_, _ = b.Exec(t.Context(), dir, nil) // lost with the agent
	}()
	<-started
	second := attempt("second", "hello")
	second.Job.Queue = dir.Job.Queue
	type ended struct {
		res flow.Result
		err error
	}
	end := make(chan ended, 1)
	go func() {
		res, err := b.Exec(t.Context(), second, nil)
		end <- ended{res, err}
	}()
	client, err := sparky.NewClient(b.hosts[testHost])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		code, err := client.Status(t.Context(), second.Job.Queue, second.JobID)
		if code == sparky.CodeQueued {
			break
		}
		if err != nil && sparky.KindOf(err) != sparky.KindNotFound {
			t.Fatal(err)
		}
		<-tick.C
	}
	if found := findIn(t, []string{root}, forms(cloneToken)...); len(found) > 0 {
		t.Errorf("on disk while it waits: %q", found)
	}
	stop()
	a, _ = openAgent(t, root)
	current.Store(a)
	endPolls()
	got := <-end
	if got.err != nil || !got.res.NotStarted || got.res.Lost || got.res.Cause != flow.CauseInfrastructure || !strings.Contains(got.res.Error, "agent restarted while the job was queued") {
		t.Errorf("%+v, %v", got.res, got.err)
	}
	<-firstEnded
}
