//go:build unix

package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

// Whoever opens a pull request from a fork, at a commit that has failed here,
// does not get another result for it: not by a base that selects nothing, and
// not by a run that waits for an approval.
func TestServeForkShadowsNothing(t *testing.T) {
	t.Parallel()
	s := newForkSite(t, func(s *appSite, host string) string {
		s.work(map[string]string{"other": "echo other >> " + s.dir + "/log\n"})
		return "projects:\n" + s.project("other", host, "    trigger: {pull_request: {paths: [docs/**]}}\n")
	})
	sha := commit40("c")
	s.work(map[string]string{"bad": "exit 1\n"})
	s.movePull(1, sha, map[string]string{"jobs.yaml": "projects:\n" + s.project("bad", s.hosts[0], "    trigger: [pull_request]\n")})
	if k := s.concluded("cromt", sha); k.Conclusion != "failure" {
		t.Fatalf("%+v", k)
	}
	theirs := func(number int, file string) {
		s.pushPull("opened", githubtest.Pull{
			Number: number, Title: "From a stranger", HeadSHA: sha, HeadRef: "main", HeadRepo: "stranger/app", BaseSHA: baseSHA, User: "stranger", Files: []string{file},
		}, nil)
	}
	theirs(forkNumber, "readme.md")
	if k := s.concluded("cromt / fork", sha); k.Conclusion != "success" || k.Title != "nothing to run" {
		t.Errorf("%+v", k)
	}
	theirs(forkNumber+1, "docs/x.md")
	s.eventually("an approval is asked for", func() bool { return len(s.checks("cromt / fork", sha)) == 2 })
	s.say(said{pull: forkNumber + 1, body: "/cromt ok " + sha})
	if k := s.concludedTimes(3, "cromt / fork", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if all := s.checks("cromt", sha); len(all) != 1 || all[0].Conclusion != "failure" {
		t.Errorf("%+v", all)
	}
	// "Re-run all checks" is about the repository's own.
	s.deliver("check_suite", map[string]any{"action": "rerequested", "check_suite": map[string]any{"id": 5, "head_sha": sha, "app": map[string]any{"id": s.app}}})
	if k := s.concludedTimes(2, "cromt", sha); k.Conclusion != "failure" {
		t.Errorf("%+v", k)
	}
}

// A stranger's commit that asks not to be tested is not green for that.
func TestServeForkDoesNotSkip(t *testing.T) {
	t.Parallel()
	s := newForkSite(t, show)
	s.repo.SetMessage(commit40("a"), githubtest.Message{Text: "nothing to see [skip ci]"})
	s.forkPull(forkNumber, commit40("a"), nil)
	s.asking(commit40("a"))
}

// A merge queue pushes its branch at the moment at which it asks for checks.
// That the push selects nothing is not the answer.
func TestServeMergeQueuePush(t *testing.T) {
	g := newGates(t, "")
	sha, ref := sha("3"), "gh-readonly-queue/main/pr-3"
	g.repo.SetFile(sha, "jobs.yaml", "projects:\n"+g.project("app", "fail", "q", ", trigger: [push, merge_group]"))
	g.repo.SetBranch(ref, sha)
	code := g.deliver("merge_group", map[string]any{"action": "checks_requested", "merge_group": map[string]any{
		"head_sha": sha, "head_ref": "refs/heads/" + ref, "base_sha": strings.Repeat("0", 39) + "1", "base_ref": "refs/heads/main",
	}})
	if code != http.StatusAccepted {
		t.Errorf("merge group: %d", code)
	}
	if k := g.concluded("cromt", sha); k.Conclusion != "failure" {
		t.Errorf("%+v", k)
	}
	g.pushTo(ref, sha, "one")
	g.settled()
	g.push(strings.Repeat("4", 40), map[string]string{"jobs.yaml": "projects: {}\n"}) // worked after it
	g.concluded("cromt", strings.Repeat("4", 40))
	if all := g.checks("cromt", sha); len(all) != 1 || all[0].Conclusion != "failure" {
		t.Errorf("%+v", all)
	}
}

// hold has the next request with that part in its path wait: held is closed
// when it has come, and it goes on with goOn.
func (s *appSite) hold(part string) (held chan struct{}, goOn func()) {
	held, free := make(chan struct{}), make(chan struct{})
	first := true
	s.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		if !first || !strings.Contains(r.URL.Path, part) {
			return nil
		}
		first = false
		close(held)
		return &githubtest.Fault{Hold: free}
	})
	return held, sync.OnceFunc(func() { close(free) })
}

// What a push takes back is not started by what was decided a moment before:
// neither by a comment nor by a click.
func TestServeForkPushedMeanwhile(t *testing.T) {
	t.Parallel() // it takes as long as a request may
	s := newForkSite(t, show)
	s.forkPull(forkNumber, commit40("a"), nil)
	s.asking(commit40("a"))
	s.say(said{pull: forkNumber, body: "/cromt ok " + commit40("a")})
	s.concludedTimes(2, "cromt", commit40("a"))
	// The files at the base are read after the approval was looked at.
	held, goOn := s.hold("/git/trees/")
	defer goOn()
	s.say(said{pull: forkNumber, body: "/cromt run", at: time.Now().Add(time.Hour)})
	<-held
	s.forkPull(forkNumber, commit40("b"), nil)
	s.eventually("an approval is asked for", func() bool { return len(s.checks("cromt", commit40("b"))) > 0 })
	goOn()
	s.reply(forkNumber, "another commit was pushed meanwhile")
	s.say(said{pull: forkNumber, body: "/cromt ok " + commit40("b")})
	k := s.concludedTimes(2, "cromt", commit40("b"))
	if got := s.ran(); got != "show show" || k.Conclusion != "success" {
		t.Errorf("ran %q, %+v", got, k)
	}
}

// A configuration that is no file is a failing check, and is said to whoever
// asks for a run.
func TestServeLinkedConfiguration(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	s.repo.SetPermission("octo", "write")
	s.base(map[string]string{"jobs.yaml": "projects: {}\n"})
	s.repo.SetMode("jobs.yaml", "120000")
	s.movePull(1, commit40("e"), map[string]string{"jobs.yaml": "../elsewhere"})
	if k := s.concluded("cromt", commit40("e")); k.Conclusion != "failure" || !strings.Contains(k.Summary, "symbolic link") {
		t.Errorf("%+v", k)
	}
	for _, c := range []string{"/cromt run", "/cromt plan"} {
		s.reacted(1, s.comment(c), "eyes confused")
		s.reply(1, "symbolic link")
	}
}
