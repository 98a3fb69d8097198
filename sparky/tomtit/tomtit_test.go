//go:build unix

package tomtit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky/tomtit"
)

// archive is a txtar file: a comment and files.
type archive struct {
	comment string
	files   [][2]string
}

func (a *archive) file(name string) (string, bool) {
	for _, f := range a.files {
		if f[0] == name {
			return f[1], true
		}
	}
	return "", false
}

func parseArchive(text string) *archive {
	a := &archive{}
	to := &a.comment
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(line, " --\n") {
			a.files = append(a.files, [2]string{strings.TrimSuffix(name, " --\n")})
			to = &a.files[len(a.files)-1][1]
			continue
		}
		*to += line
	}
	return a
}

// baseEnv is what every test's scenario has.
func baseEnv(t *testing.T) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8", "TZ=UTC"}
}

// checkout writes the files of an archive, want aside.
func checkout(t *testing.T, a *archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.files {
		if f[0] == "want" || f[0] == "want-error" {
			continue
		}
		name := filepath.Join(dir, f[0])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f[1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var (
	clock = regexp.MustCompile(`\d\d:\d\d:\d\d`)
	owner = regexp.MustCompile(`(directory (?:owner|group)): <.*>`)
	mode  = regexp.MustCompile(`drwx[rwx-]{6}`)
	cache = regexp.MustCompile(`\$CACHE/task-(\d+)-\d+`)
)

// TestScenarios runs every archive of testdata. The comment has lines of
// "key: value" with action, options (split at spaces), env (several), exit;
// want is the output.
func TestScenarios(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runArchive(t, name) })
	}
}

func runArchive(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := parseArchive(string(b))
	dir := checkout(t, a)
	env, action, exit := baseEnv(t), "", 0
	var options []string
	for line := range strings.Lines(a.comment) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "action":
			action = value
		case "options":
			options = strings.Fields(value)
		case "env":
			s, err := strconv.Unquote(`"` + value + `"`)
			if err != nil {
				t.Fatal(err)
			}
			env = append(env, s)
		case "exit":
			exit, _ = strconv.Atoi(value)
		}
	}
	var out bytes.Buffer
	r := &tomtit.Runner{Dir: dir, Env: env, Out: &out, Cache: t.TempDir()}
	code, err := r.Run(t.Context(), action, options)
	got := strings.ReplaceAll(out.String(), dir, "$DIR")
	got = strings.ReplaceAll(got, r.Cache, "$CACHE")
	got = cache.ReplaceAllString(clock.ReplaceAllString(got, "HH:MM:SS"), "$$CACHE/$1")
	got = mode.ReplaceAllString(owner.ReplaceAllString(got, "$1: <NAME>"), "MODE")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := a.file("want")
	if os.Getenv("UPDATE") != "" && got != want {
		update(t, name, string(b), "-- want --\n", got)
		return
	}
	if got != want || code != exit {
		t.Errorf("exit code %d, want %d; output:\n%s\nwant:\n%s", code, exit, got, want)
	}
}

// TestRefused runs every archive of testdata/refused, of which the action is
// x: Check and Run must both fail with want-error, and nothing may have run.
func TestRefused(t *testing.T) {
	names, err := filepath.Glob("testdata/refused/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { refuse(t, name) })
	}
}

func refuse(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := parseArchive(string(b))
	var out bytes.Buffer
	r := &tomtit.Runner{Dir: checkout(t, a), Env: append(baseEnv(t), "X=1"), Out: &out, Cache: t.TempDir()}
	check := r.Check("x")
	code, err := r.Run(t.Context(), "x", nil)
	if check == nil || err == nil || code == 0 || out.Len() > 0 {
		t.Fatalf("not refused: Check: %v; Run: %d, %v; output:\n%s", check, code, err, out.String())
	}
	want, _ := a.file("want-error")
	if os.Getenv("UPDATE") != "" {
		update(t, name, string(b), "-- want-error --\n", err.Error()+"\n")
		return
	}
	if got := err.Error() + "\n"; got != want || check.Error()+"\n" != want {
		t.Errorf("error of Run:\n%sof Check:\n%v\nwant:\n%s", got, check, want)
	}
}

// update replaces the last file, which marker begins, when UPDATE is set.
func update(t *testing.T, name, text, marker, got string) {
	head, _, _ := strings.Cut(text, marker)
	if err := os.WriteFile(name, []byte(head+marker+got), 0o644); err != nil {
		t.Fatal(err)
	}
}
