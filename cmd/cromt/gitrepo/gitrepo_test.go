package gitrepo_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/cmd/cromt/gitrepo"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// newRepo makes a repository with one commit and the origin given.
func newRepo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", "-b", "main")
	write(t, filepath.Join(dir, "a.txt"), "a", 0o644)
	write(t, filepath.Join(dir, "sub", "run.sh"), "#!/bin/sh", 0o755)
	write(t, filepath.Join(dir, ".gitignore"), "ignored\n", 0o644)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "one")
	return dir
}

func TestFind(t *testing.T) {
	dir := newRepo(t)
	git(t, dir, "remote", "add", "origin", "https://me:token@example.com/a/b.git")
	r, err := gitrepo.Find(t.Context(), filepath.Join(dir, "sub"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Folder != "sub" || r.Head != git(t, dir, "rev-parse", "HEAD") || r.Origin != "https://example.com/a/b.git" {
		t.Errorf("%+v", r)
	}
	// A hook runs with these; they are of another repository.
	t.Setenv("GIT_DIR", t.TempDir())
	if r, err = gitrepo.Find(t.Context(), dir); err != nil || r == nil || r.Folder != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = gitrepo.Find(t.Context(), t.TempDir()); err != nil || r != nil {
		t.Errorf("outside: %+v, %v", r, err)
	}
}

func TestOriginAsURL(t *testing.T) {
	dir := newRepo(t)
	git(t, dir, "remote", "add", "origin", "x")
	for remote, want := range map[string]string{
		"git@example.com:a/b.git":       "git@example.com:a/b.git",
		"ssh://git@example.com/a/b.git": "ssh://git@example.com/a/b.git",
		"/srv/git/b.git":                "file:///srv/git/b.git",
		"../b.git":                      "file://" + filepath.Join(filepath.Dir(dir), "b.git"),
		"file:///srv/git/b.git":         "file:///srv/git/b.git",
	} {
		git(t, dir, "remote", "set-url", "origin", remote)
		r, err := gitrepo.Find(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Origin != want {
			t.Errorf("origin %s is %s, want %s", remote, r.Origin, want)
		}
	}
}

func TestResolve(t *testing.T) {
	dir := newRepo(t)
	one := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "tag", "-a", "-m", "annotated", "v1")
	git(t, dir, "tag", "light")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	two := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "branch", "light") // a branch goes before a tag of its name
	git(t, dir, "branch", "other/main", one)
	url := "file://" + dir
	for ref, want := range map[string]string{
		"": two, "main": two, "other/main": one, "v1": one, "light": two, "refs/tags/light": one, "refs/tags/v1": one,
		strings.ToUpper(one): one, "0123456789012345678901234567890123456789": "0123456789012345678901234567890123456789",
	} {
		if got, err := gitrepo.Resolve(t.Context(), url, ref); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", ref, got, err, want)
		}
	}
	for _, ref := range []string{"nosuch", "mai", "--upload-pack=touch x", "*"} {
		if got, err := gitrepo.Resolve(t.Context(), url, ref); err == nil {
			t.Errorf("%q: %s", ref, got)
		}
	}
}

// A URL is data: it must not make git run a command.
func TestResolveHostile(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	t.Setenv("GIT_ALLOW_PROTOCOL", "")
	os.Unsetenv("GIT_ALLOW_PROTOCOL")
	for _, url := range []string{"ext::touch " + mark, "--upload-pack=touch " + mark, "ssh://-oProxyCommand=touch%20" + mark + "/x"} {
		if got, err := gitrepo.Resolve(t.Context(), url, "main"); err == nil {
			t.Errorf("%s: %s", url, got)
		}
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s ran a command", url)
		}
	}
}

func TestOnOrigin(t *testing.T) {
	dir, origin := newRepo(t), t.TempDir()
	git(t, origin, "init", "-q", "--bare")
	git(t, dir, "remote", "add", "origin", origin)
	r, err := gitrepo.Find(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want bool) {
		t.Helper()
		if got, err := r.OnOrigin(t.Context(), r.Head); err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	check(false)
	git(t, dir, "push", "-q", origin, "main") // no remote-tracking branch knows of it
	check(true)
	git(t, dir, "push", "-q", "origin", "main")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	git(t, dir, "push", "-q", "origin", "main")
	check(true) // no longer a tip
	if r.Dirty(t.Context()) {
		t.Error("dirty")
	}
	write(t, filepath.Join(dir, "new"), "", 0o644)
	if !r.Dirty(t.Context()) {
		t.Error("not dirty")
	}
}

// entries are what an archive holds, a line each.
func entries(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %o %s%s", h.Name, h.Mode, data, h.Linkname))
	}
}

func TestPack(t *testing.T) {
	dir := newRepo(t)
	write(t, filepath.Join(dir, "ignored"), "x", 0o644)
	write(t, filepath.Join(dir, "new\nline"), "new", 0o644)
	write(t, filepath.Join(dir, "a.txt"), "changed", 0o600)
	if err := os.Symlink("../outside", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, ".gitignore")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".git", "info", "exclude"), "ignored\n", 0o644)
	nested := filepath.Join(dir, "nested")
	write(t, filepath.Join(nested, "f"), "", 0o644)
	git(t, nested, "init", "-q")
	git(t, nested, "add", "-A")
	git(t, nested, "commit", "-q", "-m", "x")
	r, err := gitrepo.Find(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	one, err := r.Pack(t.Context(), filepath.Join(out, "1"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a.txt 644 changed", "link 777 ../outside", "new\nline 644 new", "sub/run.sh 755 #!/bin/sh"}
	if got := entries(t, one.Path); !slices.Equal(got, want) {
		t.Errorf("packed %q, want %q", got, want)
	}
	if len(one.Notes) != 1 || !strings.Contains(one.Notes[0], "nested is a repository of its own") {
		t.Errorf("notes %q", one.Notes)
	}
	two, err := r.Pack(t.Context(), filepath.Join(out, "2"))
	if err != nil || two.SHA256 != one.SHA256 {
		t.Errorf("packed again %s, %v; first %s", two.SHA256, err, one.SHA256)
	}
}

func TestPackFolder(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "x", "y"), "z", 0o644)
	a, err := gitrepo.PackFolder(t.Context(), dir, filepath.Join(out, "1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := entries(t, a.Path); !slices.Equal(got, []string{"x/y 644 z"}) {
		t.Errorf("packed %q", got)
	}
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(65 << 20); err != nil {
		t.Fatal(err)
	}
	if _, err = gitrepo.PackFolder(t.Context(), dir, filepath.Join(out, "2")); err == nil || !strings.Contains(err.Error(), "run git init there") {
		t.Errorf("too large: %v", err)
	}
}
