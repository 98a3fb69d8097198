package bot_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/bot/trust"
	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

const (
	testRepo = "octo/app"
	hostURL  = "http://hosta:4000"
)

// scene is a Runner, with a GitHub and a host in this process.
type scene struct {
	t       *testing.T
	gh      *githubtest.Server
	repo    *githubtest.Repo
	app     int64
	install int64
	work    string // folder of the scenarios ok and bad
	runner  *bot.Runner
	runs    int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	gh := githubtest.New(t)
	s := &scene{t: t, gh: gh, repo: gh.AddRepo(testRepo), work: t.TempDir()}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	s.must(err)
	s.app = gh.AddApp("cromt", &key.PublicKey)
	s.install = s.installed("octo", testRepo)
	app, err := githubapp.New(githubapp.Config{
		AppID: s.app, APIURL: gh.URL(), PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	})
	s.must(err)
	s.must(os.Mkdir(filepath.Join(s.work, ".tom"), 0o700))
	for name, text := range map[string]string{"ok": "echo fine", "bad": "echo 'broken: it'; exit 1"} {
		s.must(os.WriteFile(filepath.Join(s.work, ".tom", name+".bash"), []byte(text), 0o600))
	}
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "cromt.db"), store.Options{})
	s.must(err)
	hosts := agent.NewLocal(t.TempDir(), agent.Config{})
	t.Cleanup(func() {
		s.must(hosts.Close(context.Background()))
		s.must(db.Close())
	})
	sources, err := bot.NewSources(t.TempDir())
	s.must(err)
	s.runner = &bot.Runner{
		Store: db, GitHub: app, Metrics: bot.NewMetrics(nil), Sources: sources, Logger: slog.New(slog.DiscardHandler),
		Settings: &bot.Settings{
			ConfigPath: "jobs.yaml", PublicURL: "https://cromt.example.com", GitURL: "https://github.com",
			Hosts: []flow.HostEntry{{URL: hostURL, Name: "hostA", Repos: []string{"octo/*"}}},
			Host:  func(e flow.HostEntry) (sparky.HostConfig, error) { return hosts.Host(e.URL) },
		},
	}
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) installed(account, repo string) int64 {
	return s.gh.AddInstallation(s.app, account, []string{repo}, map[string]string{
		"checks": "write", "pull_requests": "write", "issues": "write", "contents": "read", "metadata": "read",
	})
}

// flow is a jobs.yaml of projects and the scenarios that they run.
func (s *scene) flow(projects ...string) []byte {
	var b strings.Builder
	b.WriteString("projects:\n")
	for _, p := range projects {
		name, action, _ := strings.Cut(p, "=")
		fmt.Fprintf(&b, "  %s: {path: %s, action: %s, url: %q}\n", name, s.work, action, hostURL)
	}
	return []byte(b.String())
}

// create stores a run at a commit.
func (s *scene) create(class, sha string, config []byte, roots ...string) *store.Run {
	s.t.Helper()
	s.repo.AddCommit(sha)
	s.runs++
	run := &store.Run{
		ID: flow.NewRunID(), Key: fmt.Sprint("test:", s.runs), Class: class, Repo: testRepo, Installation: s.install, SHA: sha, Branch: "main",
		Origin: store.Origin{Event: "push"}, Spec: store.Spec{ConfigPath: "jobs.yaml", Config: config, Roots: roots},
	}
	s.must(s.runner.Store.Tx(s.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.CreateRun(ctx, run)
		return err
	}))
	return run
}

// finish works a run to its end.
func (s *scene) finish(run *store.Run) {
	s.t.Helper()
	again, err := s.runner.Work(s.t.Context(), run.ID)
	if err != nil || again != 0 {
		s.t.Fatalf("run %s: again in %v, %v", run.ID, again, err)
	}
}

// check is the check run of a run.
func (s *scene) check(run *store.Run) githubtest.CheckRun {
	s.t.Helper()
	var found []githubtest.CheckRun
	for _, k := range s.repo.CheckRuns() {
		if k.ExternalID == run.ID {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("check runs of %s: %+v", run.ID, found)
	}
	return found[0]
}

func commit(digit string) string { return strings.Repeat(digit, 40) }

// A run of one project shows the others as they are, and passes only if they
// have.
func TestAggregate(t *testing.T) {
	s := newScene(t)
	sha := commit("1")
	first := s.create(bot.ClassCode, sha, s.flow("a=ok", "b=bad"), "a", "b")
	s.finish(first)
	if k := s.check(first); k.Name != "cromt" || k.Conclusion != "failure" {
		t.Errorf("%+v", k)
	}
	partial := s.create(bot.ClassComment, sha, s.flow("a=ok", "b=bad"), "a")
	s.finish(partial)
	k := s.check(partial)
	if k.Name != "cromt" || k.Conclusion != "failure" || !strings.HasPrefix(k.Title, "1 failed, 1 succeeded") || !strings.Contains(k.Summary, "broken: it") {
		t.Errorf("one project again: %+v", k)
	}
	if link := "https://cromt.example.com/runs/" + first.ID + "/jobs/b@hostA"; !strings.Contains(k.Summary, link) {
		t.Errorf("no link %s: %s", link, k.Summary)
	}
	other := s.create(bot.ClassComment, sha, s.flow("a=ok", "b=bad", "c=bad"), "c")
	s.finish(other)
	if k := s.check(other); !strings.HasPrefix(k.Title, "2 failed, 1 succeeded") {
		t.Errorf("a project that no event selects: %+v", k)
	}
	repaired := s.create(bot.ClassComment, sha, s.flow("a=ok", "b=ok"), "b")
	s.finish(repaired)
	if k := s.check(repaired); k.Conclusion != "success" || !strings.HasPrefix(k.Title, "2 succeeded") {
		t.Errorf("the failed one again: %+v", k)
	}
	if k := s.check(first); k.Conclusion != "failure" {
		t.Errorf("the first check run was changed: %+v", k)
	}
}

// Without a code event at the commit a run is not what a branch's protection
// asks for.
func TestAggregateManual(t *testing.T) {
	s := newScene(t)
	manual := s.create(bot.ClassComment, commit("1"), s.flow("a=ok"), "a")
	s.finish(manual)
	if k := s.check(manual); k.Name != "cromt / manual" || k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	code := s.create(bot.ClassCode, commit("1"), s.flow("b=ok"), "b")
	s.finish(code)
	if k := s.check(code); k.Name != "cromt" || !strings.HasPrefix(k.Title, "1 succeeded") {
		t.Errorf("%+v", k)
	}
}

// What a code event selected and never began is no success; while it may
// still begin, there is no result.
func TestAggregateWithoutJobs(t *testing.T) {
	s := newScene(t)
	code := s.create(bot.ClassCode, commit("1"), s.flow("a=ok", "b=ok"), "a", "b")
	partial := s.create(bot.ClassComment, commit("1"), s.flow("a=ok", "b=ok"), "a")
	s.finish(partial)
	if k := s.check(partial); k.Status != "in_progress" || !strings.HasPrefix(k.Title, "1 of 2 done") {
		t.Errorf("%+v", k)
	}
	s.must(s.runner.Post(t.Context()))
	if k := s.check(partial); k.Status != "in_progress" || k.Updates != 1 {
		t.Errorf("posted again, with nothing new: %+v", k)
	}
	s.must(s.runner.Store.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Cancel(ctx, code.ID, "octo", "") }))
	s.finish(code) // and with it the other one
	for _, run := range []*store.Run{code, partial} {
		if k := s.check(run); k.Conclusion != "cancelled" {
			t.Errorf("%+v", k)
		}
	}
	open, err := s.runner.Store.Unposted(t.Context(), "", 10)
	if err != nil || len(open) != 0 {
		t.Errorf("not posted: %+v, %v", open, err)
	}
}

// A process that dies before GitHub is told leaves it to the next one.
func TestPostLater(t *testing.T) {
	s := newScene(t)
	run := s.create(bot.ClassCode, commit("1"), []byte("projects: {a: {pth: /x}}\n"), "a")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		if strings.Contains(r.URL.Path, "check-runs") {
			stop() // the end of the process, while it tells
			return &githubtest.Fault{Status: 502}
		}
		return nil
	})
	_, _ = s.runner.Work(ctx, run.ID)
	if now, err := s.runner.Store.Run(t.Context(), run.ID); err != nil || now.State != store.Completed || len(s.repo.CheckRuns()) != 0 {
		t.Fatalf("%+v %v %+v", now, err, s.repo.CheckRuns())
	}
	s.gh.Fault(nil)
	for range 2 {
		s.must(s.runner.Post(t.Context()))
	}
	if k := s.check(run); k.Conclusion != "failure" || len(k.Annotations) != 1 {
		t.Errorf("%+v", k)
	}
}

// A run whose end GitHub does not know, and that cannot be planned any more
// since the App's configuration has changed, is concluded all the same.
func TestPostAfterChange(t *testing.T) {
	s := newScene(t)
	passed := s.create(bot.ClassCode, commit("1"), s.flow("a=ok"), "a")
	failed := s.create(bot.ClassCode, commit("2"), s.flow("a=bad"), "a")
	s.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		if strings.Contains(r.URL.Path, "check-runs") {
			return &githubtest.Fault{Status: 502}
		}
		return nil
	})
	for _, run := range []*store.Run{passed, failed} {
		ctx, stop := context.WithCancel(t.Context())
		end := make(chan struct{})
		go func() {
			defer close(end)
			_, _ = s.runner.Work(ctx, run.ID)
		}()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			now, err := s.runner.Store.Run(t.Context(), run.ID)
			s.must(err)
			if now.State == store.Completed {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("it does not end")
			}
		}
		stop() // the end of the process
		<-end
	}
	s.gh.Fault(nil)
	s.runner.Settings.Hosts[0].Name = "hostB"
	s.must(s.runner.Post(t.Context()))
	if k := s.check(passed); k.Conclusion != "success" || !strings.HasPrefix(k.Title, "1 succeeded") {
		t.Errorf("%+v", k)
	}
	if k := s.check(failed); k.Conclusion != "failure" {
		t.Errorf("%+v", k)
	}
}

// What waits for others, however much of it there is, does not keep from being
// posted what is behind it.
func TestPostInTurn(t *testing.T) {
	s := newScene(t)
	s.create(bot.ClassCode, commit("1"), s.flow("a=ok", "b=ok"), "a", "b") // it does not end
	ended := func(id, sha string, checks ...store.Check) *store.Run {
		t.Helper()
		run := &store.Run{
			ID: id, Key: id, Class: bot.ClassComment, Repo: testRepo, Installation: s.install, SHA: sha, Origin: store.Origin{Event: "issue_comment"},
			Spec: store.Spec{ConfigPath: "jobs.yaml", Config: s.flow("a=ok"), Roots: []string{"a"}},
		}
		s.must(s.runner.Store.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.CreateRun(ctx, run)
			return err
		}))
		claim, err := s.runner.Store.Claim(t.Context(), id)
		s.must(err)
		s.must(claim.Finish(t.Context(), &flow.Run{
			Schema: flow.ReportSchema, ID: id, Conclusion: flow.Success, CompletedAt: time.Now(),
			Jobs: []flow.JobReport{{Key: "a@hostA", Project: "a", Status: flow.StatusCompleted, Conclusion: flow.Success}},
		}, func(ctx context.Context, tx *store.Tx) error {
			for _, c := range checks {
				c.Run = id
				if err := tx.SaveCheck(ctx, c); err != nil {
					return err
				}
			}
			return nil
		}))
		s.must(claim.Release(t.Context()))
		return run
	}
	last := store.Check{ExternalID: "last word", Final: []byte("success")}
	for n := range 120 {
		ended(fmt.Sprintf("1-%03d", n), commit("1"), last, store.Check{ExternalID: "held", ID: 1})
	}
	s.repo.AddCommit(commit("2"))
	behind := ended("2-000", commit("2"), last)
	for range 2 {
		s.must(s.runner.Post(t.Context()))
	}
	if k := s.check(behind); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
}

// Which repositories a run's hosts get a token for, and for which code a host
// has to be trusted.
func TestCloneTokens(t *testing.T) {
	s := newScene(t)
	s.gh.AddRepo("octo/lib").SetPrivate()
	s.gh.AddRepo("other/open")
	s.installed("octo", "octo/lib")
	s.installed("other", "other/open")
	s.runner.Settings.Clone = []trust.CloneRule{{From: "octo/lib", To: testRepo}, {From: "other/open", To: "octo/*"}}
	s.repo.SetPrivate()
	for url, want := range map[string]bool{
		"https://github.com/octo/app": true, "https://github.com/Octo/lib.git": true, "https://github.com/other/open": false,
		"https://github.com/octo/third": false, "https://example.com/octo/app": false, "http://github.com/octo/app": false, "https://github.com/octo": false,
	} {
		c, err := s.runner.Credential(t.Context(), s.create(bot.ClassCode, commit("1"), s.flow("a=ok"), "a"), url)
		if err != nil || (c.Token != "") != want {
			t.Errorf("%s: token %t, %v", url, c.Token != "", err)
		}
		if _, plain := s.runner.Credential(t.Context(), fork(s.create(bot.ClassCode, commit("1"), s.flow("a=ok"), "a")), url); plain != nil {
			t.Errorf("%s of a fork: %v", url, plain)
		}
		if c, _ := s.runner.Credential(t.Context(), fork(s.create(bot.ClassCode, commit("1"), s.flow("a=ok"), "a")), url); c.Token != "" {
			t.Errorf("%s: a fork gets a token", url)
		}
	}
}

func fork(r *store.Run) *store.Run {
	r.Origin.Fork = true
	return r
}
