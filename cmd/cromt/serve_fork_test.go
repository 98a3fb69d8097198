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

func sha(digit string) string { return strings.Repeat(digit, 40) }

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
	s := newForkSite(t, show)
	s.forkPull(forkNumber, sha("a"), theirs(s))
	ask := s.asking(sha("a"))
	if !strings.HasPrefix(ask.ExternalID, "approve/") || !strings.Contains(ask.Summary, "/cromt ok "+sha("a")) || s.ran() != "" {
		t.Errorf("%+v; ran %q", ask, s.ran())
	}
	for _, c := range []struct{ by, body, want string }{
		{"octo", "/cromt run", "the head of this fork is not approved"},
		{"octo", "/cromt ok " + sha("b"), "not the head of the pull request any more"},
		{"stranger", "/cromt ok " + sha("a"), "needs write permission"},
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
	id := s.say(said{pull: forkNumber, body: "/cromt ok " + sha("a")})
	k := s.concludedTimes(2, "cromt", sha("a"))
	if k.Conclusion != "success" || strings.HasPrefix(k.ExternalID, "approve/") || k.ID < ask.ID {
		t.Errorf("%+v", k)
	}
	s.reacted(forkNumber, id, "eyes rocket")
	if ask := s.checks("cromt", sha("a"))[0]; ask.Conclusion != "neutral" || ask.Title != "approved by octo" || len(ask.Actions) != 0 {
		t.Errorf("the check that asked: %+v", ask)
	}
	if k := s.concluded("cromt / show@hostF", sha("a")); !strings.Contains(k.Text, "TOKEN is []") {
		t.Errorf("%+v", k)
	}
	// Told of once more, it neither runs nor asks again.
	s.tellPull("synchronize", githubtest.Pull{Number: forkNumber, HeadSHA: sha("a"), HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: baseSHA, User: "stranger"})
	s.settled()
	if all := s.checks("cromt", sha("a")); len(all) != 2 || all[0].Conclusion != "neutral" {
		t.Errorf("%+v", all)
	}
	if got := s.ran(); got != "show" {
		t.Errorf("ran %q", got)
	}
	// A command that was written before the push is refused, a later one not.
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(-time.Hour)})
	s.reply(forkNumber, "was pushed to after this comment", sha("a"))
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(time.Hour)})
	if k := s.concluded("cromt / manual", sha("a")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.ran(); got != "show show" {
		t.Errorf("ran %q", got)
	}
}

// A new push takes an approval back, and it does not return with its commit.
func TestServeForkRevoked(t *testing.T) {
	s := newForkSite(t, show)
	s.forkPull(forkNumber, sha("a"), nil)
	old := s.asking(sha("a"))
	s.forkPull(forkNumber, sha("b"), nil)
	s.asking(sha("b"))
	// The older commit's run has ended, and its check says so.
	s.concludedTimes(2, "cromt", sha("a"))
	for _, k := range s.checks("cromt", sha("a")) {
		if k.Conclusion != "cancelled" || !strings.Contains(k.Title, "a newer commit") || len(k.Actions) != 0 {
			t.Errorf("%+v", k)
		}
	}
	s.click(old, "approve") // in a page that was not reloaded
	s.reply(forkNumber, "not the head of the pull request any more")
	s.say(said{pull: forkNumber, body: "/cromt ok " + sha("b")})
	if k := s.concludedTimes(2, "cromt", sha("b")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	s.forkPull(forkNumber, sha("c"), nil)
	s.asking(sha("c"))
	s.forkPull(forkNumber, sha("b"), nil)
	s.settled()
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(time.Hour)})
	s.reply(forkNumber, "the head of this fork is not approved")
	// Of a commit that nobody approved, the return asks again.
	s.forkPull(forkNumber, sha("a"), nil)
	again := s.asking(sha("a"))
	if again.ExternalID == old.ExternalID {
		t.Errorf("%+v", again)
	}
	s.click(again, "approve")
	if k := s.concludedTimes(4, "cromt", sha("a")); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.ran(); got != "show show" {
		t.Errorf("ran %q", got)
	}
}

// A host without forks: true runs none, and who closes a pull request takes
// back its question.
func TestServeForkHostsAndClose(t *testing.T) {
	s := newForkSite(t, func(s *appSite, _ string) string { return show(s, s.hosts[0]) })
	s.forkPull(forkNumber, sha("a"), nil)
	k := s.asking(sha("a"))
	s.clickBy("stranger", k, "approve", nil)
	s.reply(forkNumber, "needs write permission")
	s.click(k, "approve")
	if k := s.concludedTimes(2, "cromt", sha("a")); k.Conclusion != "failure" || !strings.Contains(jsonOf(k), "does not run code of forks") {
		t.Errorf("%+v", k)
	}
	s.forkPull(forkNumber, sha("b"), nil)
	s.asking(sha("b"))
	s.tellPull("closed", githubtest.Pull{Number: forkNumber, HeadSHA: sha("b"), HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: baseSHA, User: "stranger"})
	s.concludedTimes(2, "cromt", sha("b"))
	for _, k := range s.checks("cromt", sha("b")) {
		if k.Conclusion != "cancelled" || !strings.Contains(k.Title, "closed") {
			t.Errorf("%+v", k)
		}
	}
	if got := s.ran(); got != "" {
		t.Errorf("ran %q", got)
	}
}
