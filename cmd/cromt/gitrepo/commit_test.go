package gitrepo_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
)

func find(t *testing.T, dir string) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.Find(t.Context(), dir)
	if err != nil || r == nil {
		t.Fatalf("find %s: %v, %v", dir, r, err)
	}
	return r
}

// A repository of another user is left alone, unless it is to be trusted.
func TestFindTrusted(t *testing.T) {
	dir := newRepo(t)
	head := git(t, dir, "rev-parse", "HEAD")
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1") // git's own way to test this
	if r, err := gitrepo.Find(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "dubious ownership") {
		t.Errorf("not trusted: %+v, %v", r, err)
	}
	r, err := gitrepo.FindTrusted(t.Context(), dir)
	if err != nil || r == nil || r.Head != head || !r.Has(t.Context(), head) {
		t.Fatalf("trusted: %+v, %v", r, err)
	}
	if _, err := r.PackCommit(t.Context(), head, filepath.Join(t.TempDir(), "a.tar.gz")); err != nil {
		t.Error(err)
	}
}

func TestPackCommit(t *testing.T) {
	dir := newRepo(t)
	// A checkout has all of these; an archive for a release would not.
	write(t, filepath.Join(dir, ".gitattributes"), "sub export-ignore\na.txt export-subst\n", 0o644)
	write(t, filepath.Join(dir, "a.txt"), "$Format:%H$\r\n", 0o644)
	write(t, filepath.Join(dir, "new\nline"), "\x00binary\n\n", 0o644)
	write(t, filepath.Join(dir, "empty"), "", 0o644)
	if err := os.Symlink("../outside", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	nested := filepath.Join(dir, "nested")
	write(t, filepath.Join(nested, "f"), "", 0o644)
	git(t, nested, "init", "-q")
	git(t, nested, "add", "-A")
	git(t, nested, "commit", "-q", "-m", "x")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "two")
	commit := git(t, dir, "rev-parse", "HEAD")
	write(t, filepath.Join(dir, "a.txt"), "changed", 0o644)
	write(t, filepath.Join(dir, "untracked"), "", 0o644)

	r := find(t, dir)
	out := t.TempDir()
	one, err := r.PackCommit(t.Context(), commit, filepath.Join(out, "1"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		".gitattributes 644 sub export-ignore\na.txt export-subst\n", ".gitignore 644 ignored\n", "a.txt 644 $Format:%H$\r\n", "empty 644 ",
		"link 777 ../outside", "new\nline 644 \x00binary\n\n", "sub/run.sh 755 #!/bin/sh",
	}
	if got := entries(t, one.Path); !slices.Equal(got, want) {
		t.Errorf("packed %q, want %q", got, want)
	}
	if len(one.Notes) != 1 || !strings.Contains(one.Notes[0], "nested is a repository of its own") {
		t.Errorf("notes %q", one.Notes)
	}
	two, err := r.PackCommit(t.Context(), commit, filepath.Join(out, "2"))
	if err != nil || two.SHA256 != one.SHA256 {
		t.Errorf("packed again %v, %v; first %s", two, err, one.SHA256)
	}
	if _, err := r.PackCommit(t.Context(), strings.Repeat("1", 40), filepath.Join(out, "3")); err == nil {
		t.Error("packed a commit that is not there")
	}
}

func TestFile(t *testing.T) {
	dir := newRepo(t)
	write(t, filepath.Join(dir, "-x*"), "odd", 0o644)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "two")
	commit := git(t, dir, "rev-parse", "HEAD")
	write(t, filepath.Join(dir, "a.txt"), "changed", 0o644)
	r := find(t, filepath.Join(dir, "sub"))
	for path, want := range map[string]string{"a.txt": "a", "sub/run.sh": "#!/bin/sh", "-x*": "odd"} {
		if data, err := r.File(t.Context(), commit, path); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	for _, path := range []string{"sub", "b.txt", "*.txt", "../a.txt"} {
		if data, err := r.File(t.Context(), commit, path); err == nil {
			t.Errorf("%s: %q", path, data)
		}
	}
	if _, err := r.File(t.Context(), commit, "b.txt"); !errors.Is(err, gitrepo.ErrNoFile) {
		t.Errorf("missing: %v", err)
	}
}

// A workflow's checkout has one commit; that of a pull request's head has to
// be fetched.
func TestFetch(t *testing.T) {
	origin := newRepo(t)
	git(t, origin, "checkout", "-q", "-b", "topic")
	write(t, filepath.Join(origin, "a.txt"), "topic", 0o644)
	git(t, origin, "commit", "-qam", "two")
	commit := git(t, origin, "rev-parse", "HEAD")
	git(t, origin, "checkout", "-q", "main")
	git(t, origin, "config", "uploadpack.allowReachableSHA1InWant", "true")
	url := "file://" + filepath.ToSlash(origin)
	dir := t.TempDir()
	git(t, dir, "clone", "-q", "--depth=1", "--single-branch", url, ".")
	r := find(t, dir)
	if r.Has(t.Context(), commit) || !r.Has(t.Context(), r.Head) {
		t.Fatal("the clone has another commit than it should")
	}
	if err := r.Fetch(t.Context(), url, strings.Repeat("1", 40), gitrepo.Auth{}); err == nil {
		t.Error("fetched what is not there")
	}
	if err := r.Fetch(t.Context(), url, commit, gitrepo.Auth{}); err != nil {
		t.Fatal(err)
	}
	if data, err := r.File(t.Context(), commit, "a.txt"); err != nil || string(data) != "topic" {
		t.Errorf("fetched %q, %v", data, err)
	}
	if head := git(t, dir, "rev-parse", "HEAD"); head != r.Head {
		t.Errorf("the checkout moved to %s", head)
	}
}
