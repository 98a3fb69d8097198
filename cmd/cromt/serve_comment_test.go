//go:build unix

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cromt/cromt/bot/githubtest"
)

// chain is build on hostA, and test on hostB that takes what build made. test
// fails unless the file ok is there. Nothing of it runs by itself.
func chain(s *appSite) string {
	s.work(map[string]string{
		"build": "echo build >> " + s.dir + "/log; echo made > app.txt; echo GREETING=$GREETING\n",
		"test":  "echo test >> " + s.dir + "/log; cat .artifacts/app.txt; test -e " + s.dir + "/ok || { echo 'no @octo ```` here'; exit 3; }\n",
		"lint":  "echo lint >> " + s.dir + "/log\n",
	})
	return "projects:\n" +
		s.project("build", s.hosts[0], "    vars: {GREETING: hello}\n    artifacts: {out: [{file: app.txt, path: app.txt}]}\n") +
		s.project("test", s.hosts[1], "    before: [{name: build}]\n    artifacts: {in: [app.txt]}\n") +
		s.project("lint", s.hosts[0], "")
}

func TestServeCommentRun(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, chain)
	s.concluded("cromt", sha) // nothing to run: there are no triggers
	id := s.comment("please\n\n/cromt run build GREETING=\"good day\"\n")
	k := s.concluded("cromt / build@hostA", sha)
	if k.Conclusion != "success" || !strings.Contains(k.Text, "GREETING=good day") {
		t.Errorf("%+v", k)
	}
	s.reacted(1, id, "eyes rocket")
	s.settled()
	// The same comment once more, under another id of delivery.
	s.tellComment(id, said{by: "octo", body: "please\n\n/cromt run build GREETING=\"good day\"\n"})
	s.settled()
	if got := s.ran(); got != "build" {
		t.Errorf("ran %q", got)
	}
	// Without projects, the file's roots; a timeout is the whole run's.
	if err := os.WriteFile(filepath.Join(s.dir, "ok"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.comment("/CROMT status\n/cromt RUN --fail-fast --timeout 5m")
	s.concludedTimes(3, "cromt", sha)
	if got := s.ran(); got != "build build lint test" {
		t.Errorf("ran %q", got)
	}
	if n := len(s.repo.Comments(1)); n > 4 {
		t.Errorf("%d comments", n)
	}
}

// Commands that are none: nothing runs, and nobody is told anything.
func TestServeCommentIgnored(t *testing.T) {
	t.Parallel()
	s, _ := newPullSite(t, chain)
	for _, c := range []said{
		{body: "```\n/cromt run build\n```"},
		{body: "> /cromt run build"},
		{body: "/cromt run build", bot: true, by: "helper[bot]"},
		{body: "/cromt run build", action: "edited"},
		{body: "/cromt run build", issue: true},
		{body: "nothing\nof that kind /cromt run build"},
	} {
		id := s.say(c)
		s.settled()
		if got := s.reactions(1, id); got != "" {
			t.Errorf("%+v: %s", c, got)
		}
	}
	if got := s.ran(); got != "" {
		t.Errorf("ran %q", got)
	}
	for _, c := range s.repo.Comments(1) {
		if c.User == "cromt[bot]" {
			t.Errorf("said %q", c.Body)
		}
	}
}

// What is wrong is said in one reply, that is edited.
func TestServeCommentWrong(t *testing.T) {
	t.Parallel()
	s, _ := newPullSite(t, chain)
	for _, c := range []struct {
		by, body, react string
		want            []string
	}{
		{"octo", "/cromt rnu build", "confused", []string{"unknown verb", "did you mean run?"}},
		{"octo", "/cromt run biuld", "eyes confused", []string{"did you mean \"build\"?"}},
		{"octo", "/cromt run build GRETING=x", "eyes confused", []string{"did you mean \"GREETING\"?"}},
		{"stranger", "/cromt run build\n/cromt cancel", "confused", []string{"this needs write permission"}},
		{"octo", "/cromt retry", "eyes confused", []string{"nothing of it failed"}},
		{"octo", "/cromt ok " + strings.Repeat("e", 40), "eyes confused", []string{"not from a fork"}},
		{"octo", "/cromt logs biuld", "eyes confused", []string{"has not run here"}},
	} {
		id := s.say(said{by: c.by, body: c.body})
		body := s.reply(1, c.want...)
		s.reacted(1, id, c.react)
		if strings.Count(body, "😕") != 1 {
			t.Errorf("%s: %s", c.body, body)
		}
	}
	if got := s.ran(); got != "" {
		t.Errorf("ran %q", got)
	}
}

// retry runs what failed, and what was skipped for it, with what succeeded.
func TestServeCommentRetry(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, func(s *appSite) string {
		return chain(s) + s.project("deploy", s.hosts[0], "    before: [{name: test}]\n") + "    trigger: [pull_request]\n"
	})
	s.work(map[string]string{"deploy": "echo deploy >> " + s.dir + "/log\n"})
	if k := s.concluded("cromt", sha); k.Conclusion != "failure" {
		t.Fatalf("%+v", k)
	}
	s.comment("/cromt logs test")
	if body := s.reply(1, "failed in", "the whole log"); !strings.Contains(body, "`````\nmade\nno @octo ```` here\n`````") {
		t.Errorf("the log can end its block: %s", body)
	}
	s.comment("/cromt why deploy")
	s.reply(1, "`deploy@hostA` skipped: because test@&#8203;hostB failed")
	id := s.comment("/cromt retry biuld")
	s.reply(1, "did you mean \"build\"?", "has no project")
	s.reacted(1, id, "eyes confused")
	if err := os.WriteFile(filepath.Join(s.dir, "ok"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	id = s.comment("/cromt retry")
	k := s.concludedTimes(2, "cromt", sha)
	if k.Conclusion != "success" || !strings.Contains(k.Summary, "kept from run") {
		t.Errorf("%+v", k)
	}
	s.reacted(1, id, "eyes rocket")
	if got := s.ran(); got != "build deploy test test" {
		t.Errorf("ran %q", got)
	}
	if k := s.concludedTimes(2, "cromt / test@hostB", sha); k.Conclusion != "success" || !strings.Contains(k.Text, "made") {
		t.Errorf("%+v", k)
	}
	if n := len(s.checks("cromt / build@hostA", sha)); n != 1 {
		t.Errorf("what was kept has %d check runs", n)
	}
	s.comment("/cromt logs build")
	s.reply(1, "kept from run", "GREETING=hello")
}

// cancel says which hosts have confirmed it, and when there is nothing left.
func TestServeCommentCancel(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, func(s *appSite) string { return s.onPulls("echo run >> $DIR/log; sleep 300\n") })
	s.eventually("both jobs run", func() bool { return s.ran() == "run run" })
	s.comment("/cromt status")
	s.reply(1, "0 of 2 done", "running")
	s.comment("/cromt why app")
	s.reply(1, "`app@hostA`", "`app@hostB`", "is not known yet")
	s.comment("/cromt retry")
	s.reply(1, "has not ended")
	s.comment("/cromt cancel")
	s.reply(1, "cancelled by octo", "hostA confirmed it", "hostB confirmed it")
	if k := s.concluded("cromt", sha); k.Conclusion != "cancelled" {
		t.Errorf("%+v", k)
	}
	s.comment("/cromt cancel")
	s.reply(1, "There is nothing to cancel", "has ended")
}

func TestServeCommentShows(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, chain)
	s.concluded("cromt", sha)
	s.comment("/cromt help")
	s.reply(1, "/cromt run build WORKERS=4", "In answer to [this comment]", "this one comment, which shows the last answer")
	s.comment("/cromt plan test GREETING=x")
	s.reply(1, "stage 2", "job       test@hostB on "+s.hosts[1], "```mermaid", "GREETING=x", "It does not differ from the branch `main`")
	other := strings.Repeat("f", 40)
	s.movePull(1, other, map[string]string{"jobs.yaml": strings.Replace(chain(s), "GREETING: hello", "GREETING: bye", 1)})
	s.concluded("cromt", other)
	s.comment("/cromt plan build")
	s.reply(1, "What differs", "-    vars      GREETING=hello", "+    vars      GREETING=bye")
	s.comment("/cromt why")
	s.reply(1, "build: it has no trigger")
	if n := len(s.repo.Comments(1)); n != 5 {
		t.Errorf("%d comments", n)
	}
}

// A job that waits for its turn is told its place, and when that may be.
func TestServeCommentWhyQueued(t *testing.T) {
	t.Parallel()
	var gate string
	s, sha := newPullSite(t, func(s *appSite) string {
		gate = filepath.Join(s.dir, "gate")
		s.work(map[string]string{"slow": "test ! -e " + gate + " || read line < " + gate + "\n", "next": "true\n"})
		return "projects:\n" + s.project("slow", s.hosts[0], "") + s.project("next", s.hosts[0], "    trigger: [pull_request]\n    before: [{name: slow}]\n")
	})
	s.concluded("cromt", sha)
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	s.comment("/cromt run next")
	s.eventually("slow runs", func() bool {
		all := s.checks("cromt / slow@hostA", sha)
		return len(all) == 2 && all[1].Status == "in_progress"
	})
	s.comment("/cromt why")
	s.reply(1, "`next@hostA` waiting for slow@&#8203;hostA; it")
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	s.concludedTimes(2, "cromt", sha)
}

// A newer commit of the pull request ends what its older one runs.
func TestServePullSuperseded(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, func(s *appSite) string { return s.onPulls("echo run >> $DIR/log; sleep 300\n") })
	s.eventually("both jobs run", func() bool { return s.ran() == "run run" })
	newer := strings.Repeat("f", 40)
	s.movePull(1, newer, map[string]string{"jobs.yaml": s.onPulls("echo newer >> $DIR/log\n")})
	if k := s.concluded("cromt", sha); k.Conclusion != "cancelled" || !strings.Contains(jsonOf(k), "superseded") {
		t.Errorf("%+v", k)
	}
	if k := s.concluded("cromt", newer); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	// The branch comes back to the commit whose run was cut off.
	s.file("work/.tom/step.bash", "echo again >> $DIR/log\n")
	s.movePull(1, sha, nil)
	if k := s.concludedTimes(2, "cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.ran(); got != "again again newer newer run run" {
		t.Errorf("ran %q", got)
	}
}

// The run's own timeout ends it.
func TestServeCommentTimeout(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, func(s *appSite) string {
		s.work(map[string]string{"slow": "echo slow >> " + s.dir + "/log; sleep 300\n"})
		return "projects:\n" + s.project("slow", s.hosts[0], "")
	})
	s.concluded("cromt", sha)
	s.comment("/cromt run --timeout 1500ms")
	if k := s.concludedTimes(2, "cromt", sha); k.Conclusion != "timed_out" {
		t.Errorf("%+v", k)
	}
}

// A GitHub that takes no reactions and no comments holds up no run.
func TestServeCommentNoReactions(t *testing.T) {
	t.Parallel()
	s, sha := newPullSite(t, chain)
	s.concluded("cromt", sha)
	s.gh.Fault(noComments)
	s.comment("/cromt run build\n/cromt rnu")
	if k := s.concludedTimes(2, "cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
}

// noComments answers all that is about comments as a GitHub that is down.
func noComments(r *http.Request, _ int) *githubtest.Fault {
	if strings.Contains(r.URL.Path, "/comments") {
		return &githubtest.Fault{Status: http.StatusBadGateway}
	}
	return nil
}
