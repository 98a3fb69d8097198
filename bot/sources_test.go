package bot_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/githubtest"
	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// serveArchive has GitHub answer every request for an archive, of one file, and
// counts them.
func (s *scene) serveArchive(count *int, name, text string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	s.must(w.WriteHeader(&tar.Header{Name: "octo-app-1/" + name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
	_, err := w.Write([]byte(text))
	s.must(err)
	s.must(w.Close())
	s.must(z.Close())
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b.Bytes()) }))
	s.t.Cleanup(storage.Close)
	s.gh.Fault(func(r *http.Request, _ int) *githubtest.Fault {
		if !strings.Contains(r.URL.Path, "/tarball/") {
			return nil
		}
		*count++
		return &githubtest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {storage.URL}}}
	})
}

// An archive is fetched once; one whose sum a crash has left incomplete is
// fetched anew.
func TestSources(t *testing.T) {
	s := newScene(t)
	fetched := 0
	s.serveArchive(&fetched, "file", "hi")
	dir := t.TempDir()
	sources, err := bot.NewSources(dir)
	s.must(err)
	sum := ""
	for n, want := range []int{1, 1, 2, 2} {
		if n == 2 {
			files, err := filepath.Glob(filepath.Join(dir, "*.sha256"))
			s.must(err)
			if len(files) != 1 {
				t.Fatal(files)
			}
			s.must(os.Truncate(files[0], 0))
		}
		own, err := sources.Own(t.Context(), s.runner.GitHub.Repo(s.install, testRepo), "https://github.com/"+testRepo, strings.Repeat("a", 40))
		s.must(err)
		if sum == "" {
			sum = own.ArchiveSHA256
		}
		if fetched != want || len(own.ArchiveSHA256) != 64 || own.ArchiveSHA256 != sum {
			t.Errorf("%d: fetched %d times, want %d; %+v", n, fetched, want, own)
		}
	}
}

// begun is a run that a process has begun and let go of; its one job goes on,
// until it is cancelled, when it makes a file.
func (s *scene) begun() (run *store.Run, ended string) {
	s.t.Helper()
	fetched := 0
	mark := filepath.Join(s.t.TempDir(), "begun")
	ended = mark + ".ended"
	s.serveArchive(&fetched, ".tom/step.bash", "trap 'touch "+ended+"; exit 1' TERM; touch "+mark+"; sleep 60 & wait\n")
	run = s.create(bot.ClassCode, commit("1"), fmt.Appendf(nil, "projects:\n  a: {path: ., action: step, url: %q}\n", hostURL), "a")
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	let := make(chan error, 1)
	go func() {
		_, err := s.runner.Work(ctx, run.ID)
		let <- err
	}()
	s.appears(mark)
	stop() // the process ends
	s.must(<-let)
	return run, ended
}

// appears waits for a file.
func (s *scene) appears(name string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s does not appear", filepath.Base(name))
		}
	}
}

// A run that was cancelled since the App was removed ends also in a process
// that cannot have its code any more.
func TestCancelledWithoutSource(t *testing.T) {
	s := newScene(t)
	run, _ := s.begun()
	s.must(s.runner.Store.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Cancel(ctx, run.ID, "octo", "") }))
	sources, err := bot.NewSources(t.TempDir())
	s.must(err)
	s.runner.Sources = sources
	s.gh.Fault(func(*http.Request, int) *githubtest.Fault {
		return &githubtest.Fault{Status: 404, Body: `{"message":"Not Found"}`}
	})
	s.finish(run)
	if now, err := s.runner.Store.Run(t.Context(), run.ID); err != nil || now.State != store.Completed || now.Conclusion != "cancelled" {
		t.Errorf("%+v, %v", now, err)
	}
}

// A run that has begun does not go on with another configuration of the App,
// and its checks say so. Its jobs are cancelled.
func TestChangedConfiguration(t *testing.T) {
	s := newScene(t)
	run, ended := s.begun()
	s.runner.Settings.Hosts[0].Name = "hostB"
	s.finish(run)
	s.appears(ended)
	if now, err := s.runner.Store.Run(t.Context(), run.ID); err != nil || now.State != store.Completed || now.Conclusion != "failure" {
		t.Errorf("%+v, %v", now, err)
	}
	if k := s.check(run); k.Conclusion != "failure" || !strings.Contains(k.Title, "configuration has changed") {
		t.Errorf("%+v", k)
	}
	for _, k := range s.repo.CheckRuns() {
		if k.Status != "completed" {
			t.Errorf("%+v", k)
		}
	}
}

// A run whose repository has lost its name to another one is given up: GitHub
// cannot be told how it has ended, however often that is tried.
func TestRunOfLostName(t *testing.T) {
	s := newScene(t)
	run := &store.Run{
		ID: flow.NewRunID(), Key: "lost", Class: bot.ClassCode, Repo: testRepo + " 11", RepoID: 11, Installation: s.install, SHA: commit("1"),
		Spec: store.Spec{ConfigPath: "jobs.yaml", Config: []byte("projects: {}\n"), Roots: []string{"a"}},
	}
	s.must(s.runner.Store.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := tx.CreateRun(ctx, run); err != nil {
			return err
		}
		return tx.Cancel(ctx, run.ID, "the App being removed from the repository", "")
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if again, err := s.runner.Work(ctx, run.ID); err != nil || again != 0 {
		t.Fatalf("again in %v, %v", again, err)
	}
	if left, err := s.runner.Store.Unposted(t.Context(), "", 10); err != nil || len(left) > 0 {
		t.Errorf("%+v, %v", left, err)
	}
}
