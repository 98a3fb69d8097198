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

// begun is a run that a process has begun and let go of; its one job goes on.
func (s *scene) begun() *store.Run {
	s.t.Helper()
	fetched := 0
	mark := filepath.Join(s.t.TempDir(), "begun")
	s.serveArchive(&fetched, ".tom/step.bash", "touch "+mark+"; exec sleep 60\n")
	run := s.create(bot.ClassCode, commit("1"), fmt.Appendf(nil, "projects:\n  a: {path: ., action: step, url: %q}\n", hostURL), "a")
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := s.runner.Work(ctx, run.ID)
		ended <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatal("it does not begin")
		}
	}
	stop() // the process ends
	s.must(<-ended)
	return run
}

// A run that was cancelled since the App was removed ends also in a process
// that cannot have its code any more.
func TestCancelledWithoutSource(t *testing.T) {
	s := newScene(t)
	run := s.begun()
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
// and its checks say so.
func TestChangedConfiguration(t *testing.T) {
	s := newScene(t)
	run := s.begun()
	s.runner.Settings.Hosts[0].Name = "hostB"
	s.finish(run)
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
