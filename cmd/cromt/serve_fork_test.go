//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

const forkNumber = 3

// newForkSite is a site with a third host, which takes forks, and whose user
// octo may write. The flow on main is the given one, of the URL of that host.
func newForkSite(t *testing.T, flow func(s *appSite, host string) string) *appSite {
	t.Helper()
	_, host := startAgentProcess(t)
	secrets := t.TempDir()
	if err := os.MkdirAll(filepath.Join(secrets, "octo", "app"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secrets, "octo", "app", "TOKEN"), []byte("s3cret-value-of-the-repository\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newAppSite(t, fmt.Sprintf("  - url: %s\n    name: hostF\n    repos: [\"octo/*\"]\n    forks: true\nsecrets_dir: %s\n", host, secrets))
	s.repo.SetPermission("octo", "write")
	s.base(map[string]string{"jobs.yaml": flow(s, host)})
	return s
}

// show prints what a fork must not have.
func show(s *appSite, host string) string {
	s.work(map[string]string{"show": "echo show >> " + s.dir + "/log; echo \"TOKEN is [$TOKEN]\"\n"})
	return "projects:\n" + s.project("show", host, "    secrets: [TOKEN]\n    trigger: [pull_request]\n")
}

// theirs is a jobs.yaml of a fork's own, that must never be read.
func theirs(s *appSite) map[string]string {
	s.work(map[string]string{"theirs": "echo theirs >> " + s.dir + "/log\n"})
	return map[string]string{"jobs.yaml": "projects:\n" + s.project("theirs", s.hosts[0], "    trigger: [pull_request]\n")}
}

func commit40(digit string) string { return strings.Repeat(digit, 40) }

// asking waits for the check run that asks for an approval of a commit.
func (s *appSite) asking(sha string) githubtest.CheckRun {
	s.t.Helper()
	var k githubtest.CheckRun
	s.eventually("an approval is asked for", func() bool {
		all := s.checks("cromt", sha)
		if len(all) == 0 {
			return false
		}
		k = all[len(all)-1]
		return k.Conclusion == "action_required" && has(k, "approve")
	})
	s.settled()
	return k
}

// Nothing of a fork runs before somebody approves that very commit; then it
// runs by the base's file, without secrets.
func TestServeForkApproved(t *testing.T) {
	t.Parallel()
	s := newForkSite(t, show)
	s.forkPull(forkNumber, commit40("a"), theirs(s))
	ask := s.asking(commit40("a"))
	if !strings.HasPrefix(ask.ExternalID, "approve/") || !strings.Contains(ask.Summary, "/cromt ok "+commit40("a")) || s.ran() != "" {
		t.Errorf("%+v; ran %q", ask, s.ran())
	}
	for _, c := range []struct{ by, body, want string }{
		{"octo", "/cromt run", "the head of this fork is not approved"},
		{"octo", "/cromt ok " + commit40("b"), "not the head of the pull request any more"},
		{"stranger", "/cromt ok " + commit40("a"), "needs write permission"},
	} {
		id := s.say(said{pull: forkNumber, by: c.by, body: c.body})
		s.reply(forkNumber, c.want)
		if got := s.reactions(forkNumber, id); !strings.HasSuffix(got, "confused") {
			t.Errorf("%s: %s", c.body, got)
		}
	}
	if got := s.ran(); got != "" {
		t.Errorf("ran %q before it was approved", got)
	}
	id := s.say(said{pull: forkNumber, body: "/cromt ok " + commit40("a")})
	k := s.concludedTimes(2, "cromt", commit40("a"))
	if k.Conclusion != "success" || strings.HasPrefix(k.ExternalID, "approve/") || k.ID < ask.ID {
		t.Errorf("%+v", k)
	}
	s.reacted(forkNumber, id, "eyes rocket")
	if ask := s.checks("cromt", commit40("a"))[0]; ask.Conclusion != "neutral" || ask.Title != "approved by octo" || len(ask.Actions) != 0 {
		t.Errorf("the check that asked: %+v", ask)
	}
	if k := s.concluded("cromt / show@hostF", commit40("a")); !strings.Contains(k.Text, "TOKEN is []") {
		t.Errorf("%+v", k)
	}
	// Told of once more, it neither runs nor asks again.
	s.tellPull("synchronize", githubtest.Pull{Number: forkNumber, HeadSHA: commit40("a"), HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: baseSHA, User: "stranger"})
	s.settled()
	if all := s.checks("cromt", commit40("a")); len(all) != 2 || all[0].Conclusion != "neutral" {
		t.Errorf("%+v", all)
	}
	if got := s.ran(); got != "show" {
		t.Errorf("ran %q", got)
	}
	// A command that was written before the push is refused, a later one not.
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(-time.Hour)})
	s.reply(forkNumber, "was pushed to after this comment", commit40("a"))
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(time.Hour)})
	if k := s.concludedTimes(3, "cromt", commit40("a")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.ran(); got != "show show" {
		t.Errorf("ran %q", got)
	}
}

// A new push takes an approval back, and it does not return with its commit.
func TestServeForkRevoked(t *testing.T) {
	t.Parallel()
	s := newForkSite(t, show)
	s.forkPull(forkNumber, commit40("a"), nil)
	old := s.asking(commit40("a"))
	s.forkPull(forkNumber, commit40("b"), nil)
	s.asking(commit40("b"))
	// The older commit's run has ended, and its check says so.
	s.concludedTimes(2, "cromt", commit40("a"))
	for _, k := range s.checks("cromt", commit40("a")) {
		if k.Conclusion != "cancelled" || !strings.Contains(k.Title, "a newer commit") || len(k.Actions) != 0 {
			t.Errorf("%+v", k)
		}
	}
	s.click(old, "approve") // in a page that was not reloaded
	s.reply(forkNumber, "not the head of the pull request any more")
	s.say(said{pull: forkNumber, body: "/cromt ok " + commit40("b")})
	if k := s.concludedTimes(2, "cromt", commit40("b")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	s.forkPull(forkNumber, commit40("c"), nil)
	s.asking(commit40("c"))
	s.forkPull(forkNumber, commit40("b"), nil)
	s.settled()
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(time.Hour)})
	s.reply(forkNumber, "the head of this fork is not approved")
	// Of a commit that nobody approved, the return asks again.
	s.forkPull(forkNumber, commit40("a"), nil)
	again := s.asking(commit40("a"))
	if again.ExternalID == old.ExternalID {
		t.Errorf("%+v", again)
	}
	s.click(again, "approve")
	if k := s.concludedTimes(4, "cromt", commit40("a")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.ran(); got != "show show" {
		t.Errorf("ran %q", got)
	}
}

// A host without forks: true runs none, and who closes a pull request takes
// back its question.
func TestServeForkHostsAndClose(t *testing.T) {
	t.Parallel()
	s := newForkSite(t, func(s *appSite, _ string) string { return show(s, s.hosts[0]) })
	s.forkPull(forkNumber, commit40("a"), nil)
	k := s.asking(commit40("a"))
	s.clickBy("stranger", k, "approve", nil)
	s.reply(forkNumber, "needs write permission")
	s.click(k, "approve")
	if k := s.concludedTimes(2, "cromt", commit40("a")); k.Conclusion != "failure" || !strings.Contains(jsonOf(k), "does not run code of forks") {
		t.Errorf("%+v", k)
	}
	s.forkPull(forkNumber, commit40("b"), nil)
	s.asking(commit40("b"))
	s.tellPull("closed", githubtest.Pull{Number: forkNumber, HeadSHA: commit40("b"), HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: baseSHA, User: "stranger"})
	s.concludedTimes(2, "cromt", commit40("b"))
	for _, k := range s.checks("cromt", commit40("b")) {
		if k.Conclusion != "cancelled" || !strings.Contains(k.Title, "closed") {
			t.Errorf("%+v", k)
		}
	}
	if got := s.ran(); got != "" {
		t.Errorf("ran %q", got)
	}
}
