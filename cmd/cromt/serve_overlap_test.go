//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

// gates are jobs that stop at a gate until the test opens it.
type gates struct {
	*appSite
	work string
	host int // on which projects run
}

// newGates starts the App. Job ID of .step begins with a line in the log, ends
// when open(ID) was called, and adds a line then.
func newGates(t *testing.T, extra string) *gates {
	t.Helper()
	g := &gates{appSite: newAppSite(t, extra)}
	g.work = filepath.Join(g.dir, "work")
	if err := os.MkdirAll(filepath.Join(g.work, ".tom"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.file("work/.tom/step.bash", "echo start $ID >> $DIR/log\nread line < $DIR/gate-$ID\necho end $ID >> $DIR/log\n")
	g.file("work/.tom/quick.bash", "echo quick $ID >> $DIR/log\n")
	g.file("work/.tom/fail.bash", "echo fail $ID >> $DIR/log\nexit 1\n")
	return g
}

// project is one of a jobs.yaml. more is in the map's flow style.
func (g *gates) project(name, action, id, more string) string {
	return fmt.Sprintf("  %s: {path: %s, action: %s, url: %q, vars: {DIR: %s, ID: %s}%s}\n", name, g.work, action, g.hosts[g.host], g.dir, id, more)
}

// flow is a jobs.yaml of one project that any change starts, and stops at the
// gate id.
func (g *gates) flow(id, top string) map[string]string {
	g.t.Helper()
	if err := syscall.Mkfifo(filepath.Join(g.dir, "gate-"+id), 0o600); err != nil {
		g.t.Fatal(err)
	}
	trigger := `, trigger: {push: {branches: ["**"]}, pull_request: {branches: ["**"]}}`
	return map[string]string{"jobs.yaml": top + "projects:\n" + g.project("app", "step", id, trigger)}
}

// open lets a job go on, whether it has come to its gate or not.
func (g *gates) open(id string) {
	g.t.Helper()
	f, err := os.OpenFile(filepath.Join(g.dir, "gate-"+id), os.O_RDWR, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString("go on\n"); err != nil {
		g.t.Fatal(err)
	}
}

// ran are the lines of the log.
func (g *gates) ran() string {
	log, _ := os.ReadFile(filepath.Join(g.dir, "log"))
	return strings.ReplaceAll(strings.TrimSpace(string(log)), "\n", ", ")
}

func (g *gates) untilRan(want string) {
	g.t.Helper()
	g.eventually(fmt.Sprintf("%q has run", want), func() bool { return g.ran() == want })
}

// shown waits until a check run is so, and returns it.
func (s *appSite) shown(name, sha string, is func(githubtest.CheckRun) bool) githubtest.CheckRun {
	s.t.Helper()
	var found githubtest.CheckRun
	s.eventually(name+" at "+sha[:6], func() bool {
		for _, k := range s.repo.CheckRuns() {
			if k.Name == name && k.HeadSHA == sha && is(k) {
				found = k
				return true
			}
		}
		return false
	})
	return found
}

// pull makes a commit the head of a pull request from a branch of the
// repository, and delivers that.
func (s *appSite) pull(action, sha, branch string, files map[string]string) {
	s.t.Helper()
	s.repo.AddPull(githubtest.Pull{Number: 3, Title: "Better", HeadSHA: sha, HeadRef: branch})
	for name, text := range files {
		s.repo.SetFile(sha, name, text)
	}
	repo := map[string]any{"id": 1, "name": "app", "full_name": actionRepo, "owner": map[string]any{"login": "octo", "id": 1}, "default_branch": "main"}
	code := s.deliver("pull_request", map[string]any{
		"action": action, "number": 3,
		"pull_request": map[string]any{
			"number": 3, "title": "Better", "state": "open", "updated_at": time.Now().Format(time.RFC3339Nano), // GitHub sends no two that are alike
			"user": map[string]any{"login": "octo", "id": 1, "type": "User"},
			"head": map[string]any{"sha": sha, "ref": branch, "repo": repo}, "base": map[string]any{"sha": strings.Repeat("0", 39) + "1", "ref": "main", "repo": repo},
		},
	})
	if code != http.StatusAccepted {
		s.t.Errorf("pull request: %d", code)
	}
}

// pushTo is push to a branch of what is there already.
func (s *appSite) pushTo(branch, sha, message string) {
	s.t.Helper()
	code := s.deliver("push", map[string]any{
		"ref": "refs/heads/" + branch, "before": strings.Repeat("0", 40), "after": sha, "created": true, "deleted": false, "forced": false,
		"head_commit": map[string]any{"id": sha, "message": message}, "commits": []any{}, "pusher": map[string]any{"name": "octo"},
	})
	if code != http.StatusAccepted {
		s.t.Errorf("push: %d", code)
	}
}

func sha(digit string) string { return strings.Repeat(digit, 40) }

// A push waits for the run of the one before it, says so, and begins as soon
// as that has ended; also when the App has been killed meanwhile.
func TestServeQueue(t *testing.T) {
	g := newGates(t, "")
	g.push(sha("1"), g.flow("one", ""))
	g.untilRan("start one")
	g.push(sha("2"), g.flow("two", ""))
	waiting := func(k githubtest.CheckRun) bool {
		return k.Status == "queued" && strings.HasPrefix(k.Title, "waits for run ")
	}
	k := g.shown("cromt", sha("2"), waiting)
	if !strings.Contains(k.Summary, sha("1")) || len(k.Actions) != 1 {
		t.Errorf("%+v", k)
	}
	g.push(sha("3"), g.flow("three", ""))
	if third := g.shown("cromt", sha("3"), waiting); third.Title != "waits for run "+k.ExternalID {
		t.Errorf("the third: %+v", third)
	}
	g.kill()
	g.start()
	for _, id := range []string{"three", "two", "one"} { // their order is not that of the gates
		g.open(id)
	}
	for i, id := range []string{"1", "2", "3"} {
		if k := g.concluded("cromt", sha(id)); k.Conclusion != "success" {
			t.Errorf("%d: %+v", i, k)
		}
	}
	if want := "start one, end one, start two, end two, start three, end three"; g.ran() != want {
		t.Errorf("ran %q", g.ran())
	}
	if k2 := g.concluded("cromt", sha("2")); k2.ID != k.ID {
		t.Errorf("it has another check run: %+v", k2)
	}
}

// A newer commit of a pull request cancels the run of the older one, also on
// its host.
func TestServeSynchronize(t *testing.T) {
	g := newGates(t, "")
	g.pull("opened", sha("1"), "feature", g.flow("one", ""))
	g.untilRan("start one")
	g.pull("synchronize", sha("2"), "feature", g.flow("two", ""))
	if k := g.concluded("cromt", sha("1")); k.Conclusion != "cancelled" {
		t.Errorf("%+v", k)
	}
	if k := g.concluded("cromt / app@hostA", sha("1")); k.Conclusion != "cancelled" || !strings.Contains(k.Summary+k.Text+k.Title, "confirmed") {
		t.Errorf("%+v", k)
	}
	g.open("one") // nobody is there any more
	g.open("two")
	if k := g.concluded("cromt", sha("2")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if want := "start one, start two, end two"; g.ran() != want {
		t.Errorf("ran %q", g.ran())
	}
}

// What the file says about overlaps goes before the defaults.
func TestServeOverlap(t *testing.T) {
	for _, c := range []struct{ top, first, log string }{
		{"overlap: allow\n", "success", "start one, start two, end two, end one"},
		{"overlap: cancel\n", "cancelled", "start one, start two, end two"},
	} {
		g := newGates(t, "")
		g.push(sha("1"), g.flow("one", c.top))
		g.untilRan("start one")
		g.host = 1 // a queue of a host runs one job at a time
		g.push(sha("2"), g.flow("two", c.top))
		g.untilRan("start one, start two")
		g.open("two")
		if k := g.concluded("cromt", sha("2")); k.Conclusion != "success" {
			t.Errorf("%s: %+v", c.top, k)
		}
		if c.first == "success" {
			g.open("one")
		}
		if k := g.concluded("cromt", sha("1")); k.Conclusion != c.first {
			t.Errorf("%s: %+v", c.top, k)
		}
		g.open("one") // of one that was cancelled nobody is there any more
		if g.ran() != c.log {
			t.Errorf("%s: ran %q", c.top, g.ran())
		}
	}
}

// A push that is delivered after a newer one runs nothing, and leaves the
// newer one's run alone.
func TestServeLatePush(t *testing.T) {
	g := newGates(t, "")
	late := g.flow("late", "overlap: cancel\n")
	g.repo.AddCommit(sha("1"))
	g.repo.SetFile(sha("1"), "jobs.yaml", late["jobs.yaml"])
	g.push(sha("2"), g.flow("new", "overlap: cancel\n"))
	g.untilRan("start new")
	g.pushTo("main", sha("1"), "one")
	if k := g.concluded("cromt", sha("1")); k.Conclusion != "success" || k.Title != "nothing to run" || !strings.Contains(k.Summary, "there is a newer commit") {
		t.Errorf("%+v", k)
	}
	g.open("new")
	if k := g.concluded("cromt", sha("2")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if g.ran() != "start new, end new" {
		t.Errorf("ran %q", g.ran())
	}
}
