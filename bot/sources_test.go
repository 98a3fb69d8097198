package bot_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot"
	"github.com/cromt/cromt/bot/githubtest"
)

// serveArchive has GitHub answer every request for an archive, and counts them.
func (s *scene) serveArchive(count *int) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	s.must(w.WriteHeader(&tar.Header{Name: "octo-app-1/file", Mode: 0o644, Size: 2, Typeflag: tar.TypeReg}))
	_, err := w.Write([]byte("hi"))
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
	s.serveArchive(&fetched)
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
