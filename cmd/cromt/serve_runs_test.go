//go:build unix

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// A pull request adds its projects to the run of the push of its commit, as
// long as that has not begun; told once more, it adds nothing.
func TestServePullJoinsPush(t *testing.T) {
	g := newGates(t, "")
	first := g.flow("one", "")
	files := map[string]string{"jobs.yaml": "projects:\n" +
		g.project("pulled", "quick", "pulled", `, trigger: [pull_request]`) +
		g.project("pushed", "quick", "pushed", `, trigger: {push: {branches: ["**"]}}`)}
	for i, files := range []map[string]string{first, files} {
		sha := sha(fmt.Sprint(i + 1))
		g.repo.AddCommit(sha)
		g.repo.SetFile(sha, "jobs.yaml", files["jobs.yaml"])
		g.repo.SetBranch("feature", sha)
		g.pushTo("feature", sha, "words")
		if i == 0 {
			g.untilRan("start one")
		}
	}
	waiting := g.shown("cromt", sha("2"), func(k githubtest.CheckRun) bool { return k.Status == "queued" })
	for range 2 {
		g.pull("opened", sha("2"), "feature", files)
	}
	g.eventually("the deliveries are worked", func() bool {
		resp, err := http.Get("http://" + g.addr + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), "cromt_queue_depth 1\n") // the run that waits
	})
	g.open("one")
	if k := g.concluded("cromt", sha("2")); k.ID != waiting.ID || k.Conclusion != "success" || !strings.HasPrefix(k.Title, "2 succeeded") {
		t.Errorf("%+v", k)
	}
	if n := strings.Count(g.ran(), "quick"); n != 2 {
		t.Errorf("ran %q", g.ran())
	}
}

// A push and a pull request of one commit are one result over what both
// select, and nothing runs twice, also when the run of the push has begun.
func TestServePushAndPull(t *testing.T) {
	g := newGates(t, "")
	g.flow("one", "")
	files := map[string]string{"jobs.yaml": "projects:\n" +
		g.project("pushed", "step", "one", `, trigger: {push: {branches: ["**"]}}`) +
		g.project("both", "quick", "both", `, trigger: {push: {branches: ["**"]}, pull_request: {}}`) +
		g.project("pulled", "quick", "pulled", `, trigger: [pull_request]`)}
	g.repo.AddCommit(sha("1"))
	g.repo.SetFile(sha("1"), "jobs.yaml", files["jobs.yaml"])
	g.repo.SetBranch("feature", sha("1"))
	g.pushTo("feature", sha("1"), "one")
	g.eventually("the push's projects run", func() bool { return strings.Contains(g.ran(), "start one") && strings.Contains(g.ran(), "quick both") })
	g.pull("opened", sha("1"), "feature", files)
	// The newest check run waits for what the first run still does.
	open := g.shown("cromt", sha("1"), func(k githubtest.CheckRun) bool {
		return strings.Contains(k.Summary, "`pulled`") && strings.Contains(k.Summary, "`both`") && strings.HasPrefix(k.Title, "2 of 3 done")
	})
	if open.Status != "in_progress" {
		t.Errorf("%+v", open)
	}
	g.open("one")
	g.eventually("all are concluded", func() bool {
		n := 0
		for _, k := range g.repo.CheckRuns() {
			if k.Name == "cromt" && k.Conclusion == "success" && strings.HasPrefix(k.Title, "3 succeeded") {
				n++
			}
		}
		return n == 2
	})
	for _, line := range []string{"start one", "quick both", "quick pulled"} {
		if strings.Count(g.ran(), line) != 1 {
			t.Errorf("%s: ran %q", line, g.ran())
		}
	}
}

// The commit of a merge queue is concluded, with something to run or nothing.
func TestServeMergeGroup(t *testing.T) {
	g := newGates(t, "")
	for i, c := range []struct{ trigger, title string }{{`, trigger: [merge_group]`, "1 succeeded"}, {"", "nothing to run"}} {
		sha := sha(fmt.Sprint(i + 1))
		g.repo.AddCommit(sha)
		g.repo.SetFile(sha, "jobs.yaml", "projects:\n"+g.project("app", "quick", sha, c.trigger))
		code := g.deliver("merge_group", map[string]any{"action": "checks_requested", "merge_group": map[string]any{
			"head_sha": sha, "head_ref": "refs/heads/gh-readonly-queue/main/pr-3-" + sha, "base_sha": strings.Repeat("0", 39) + "1", "base_ref": "refs/heads/main",
		}})
		if code != http.StatusAccepted {
			t.Errorf("merge group: %d", code)
		}
		if k := g.concluded("cromt", sha); k.Conclusion != "success" || !strings.HasPrefix(k.Title, c.title) {
			t.Errorf("%+v", k)
		}
	}
}

// [skip ci] is a result, and a commit without a jobs.yaml is none.
func TestServeSkipped(t *testing.T) {
	g := newGates(t, "")
	g.repo.AddCommit(sha("1"))
	g.repo.SetBranch("main", sha("1"))
	g.pushTo("main", sha("1"), "no jobs.yaml")
	g.repo.AddCommit(sha("2"))
	g.repo.SetFile(sha("2"), "jobs.yaml", g.flow("never", "")["jobs.yaml"])
	g.repo.SetBranch("main", sha("2"))
	g.pushTo("main", sha("2"), "words [skip ci]")
	if k := g.concluded("cromt", sha("2")); k.Conclusion != "success" || k.Title != "nothing to run" || !strings.Contains(k.Summary, "[skip ci]") {
		t.Errorf("%+v", k)
	}
	if runs := g.repo.CheckRuns(); len(runs) != 1 || g.ran() != "" {
		t.Errorf("%+v, ran %q", runs, g.ran())
	}
}

// archiveOf serves the repository's archive with the files.
func (s *appSite) archiveOf(files map[string]string) {
	s.t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: "octo-app-1/" + name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		s.t.Fatal(err)
	}
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(b.Bytes()) }))
	s.t.Cleanup(storage.Close)
	s.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		if strings.Contains(r.URL.Path, "/tarball/") {
			return &githubtest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {storage.URL}}}
		}
		return nil
	})
}

// Private code and secrets go to our agents, and not to a Sparky that shows
// its jobs' data to everybody, unless the operator has said so.
func TestServePrivate(t *testing.T) {
	var sparkies [2]string
	for i := range sparkies {
		fake := sparkytest.NewFake(sparkytest.FakeConfig{Scan: 10 * time.Millisecond, Start: 10 * time.Millisecond})
		t.Cleanup(fake.Close)
		server := httptest.NewServer(fake)
		t.Cleanup(server.Close)
		sparkies[i] = server.URL
	}
	dir := t.TempDir()
	s := newAppSite(t, fmt.Sprintf("  - {url: %s, name: stock, repos: [\"octo/*\"]}\n  - {url: %s, name: trusted, repos: [\"octo/*\"], public_port: ok}\nsecrets_dir: %s\n", sparkies[0], sparkies[1], dir))
	if err := os.MkdirAll(filepath.Join(dir, "octo", "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "octo", "app", "KEY"), []byte("a-secret-of-ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.repo.SetPrivate()
	s.archiveOf(map[string]string{".tom/look.bash": "echo $KEY of ours\n"})
	s.push(sha("1"), map[string]string{"jobs.yaml": fmt.Sprintf(`projects:
  code:
    action: look
    trigger: true
    hosts: [{url: %q}, {url: %q}]
  keys:
    path: /x
    secrets: [KEY]
    trigger: true
    hosts: [{url: %q}, {url: %q}]
`, s.hosts[0], sparkies[0], sparkies[0], sparkies[1])})
	if k := s.concluded("cromt", sha("1")); k.Conclusion != "failure" {
		t.Errorf("%+v", k)
	}
	for name, want := range map[string]string{
		"cromt / code@hostA": "of ours", "cromt / code@stock": "private code may not go to a Sparky",
		"cromt / keys@stock": "secrets may not go to a Sparky", "cromt / keys@trusted": "Hello",
	} {
		k := s.concluded(name, sha("1"))
		if !strings.Contains(k.Summary+k.Text, want) || (k.Conclusion == "success") == strings.Contains(name, "stock") {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if k := s.concluded("cromt / code@stock", sha("1")); strings.Contains(k.Summary+k.Text, "attempt 2") {
		t.Errorf("it was tried again: %+v", k)
	}
}

// A secret that there is not is a result, too.
func TestServeMissingSecret(t *testing.T) {
	g := newGates(t, "")
	g.push(sha("1"), map[string]string{"jobs.yaml": "projects:\n" + g.project("app", "quick", "one", ", trigger: true, secrets: [KEY]")})
	if k := g.concluded("cromt", sha("1")); k.Conclusion != "failure" || !strings.Contains(k.Summary, "secret KEY of octo/app") {
		t.Errorf("%+v", k)
	}
}

// A process that is told to end lets go of its runs, and cancels nothing.
func TestServeTerminated(t *testing.T) {
	g := newGates(t, "")
	g.push(sha("1"), g.flow("one", ""))
	g.untilRan("start one")
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := g.process.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if k := g.shown("cromt", sha("1"), func(githubtest.CheckRun) bool { return true }); k.Status != "in_progress" {
		t.Errorf("%+v", k)
	}
	g.open("one")
	g.start()
	if k := g.concluded("cromt", sha("1")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if g.ran() != "start one, end one" {
		t.Errorf("ran %q", g.ran())
	}
}

// How a run ended is told as soon as GitHub is back, by whichever process
// there is then.
func TestServeGitHubDown(t *testing.T) {
	g := newGates(t, "")
	var down atomic.Bool
	var refused atomic.Int32
	g.gh.Fault(func(*http.Request, int) *githubtest.Fault {
		if !down.Load() {
			return nil
		}
		refused.Add(1)
		return &githubtest.Fault{Status: http.StatusBadGateway}
	})
	g.push(sha("1"), g.flow("one", ""))
	g.untilRan("start one")
	g.shown("cromt / app@hostA", sha("1"), func(githubtest.CheckRun) bool { return true })
	down.Store(true)
	g.open("one")
	g.untilRan("start one, end one")
	g.eventually("it is told in vain", func() bool { return refused.Load() > 1 })
	g.kill()
	down.Store(false)
	g.start()
	began := time.Now()
	for _, name := range []string{"cromt", "cromt / app@hostA"} {
		if k := g.concluded(name, sha("1")); k.Conclusion != "success" {
			t.Errorf("%+v", k)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := len(g.repo.CheckRuns()); n != 2 {
		t.Errorf("%d check runs: %+v", n, g.repo.CheckRuns())
	}
}
