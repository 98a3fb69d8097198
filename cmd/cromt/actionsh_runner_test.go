//go:build unix

package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// standIn is a program for the script to become: it says what it was given.
const standIn = `#!/usr/bin/env bash
echo "stand-in: $*"
env -0 >"$SEEN"
`

// builtStandIn is the same, as the source of an action.
const builtStandIn = `package main

import ("fmt"; "os"; "strings")

var version string

func main() { fmt.Println("built "+version+":", strings.Join(os.Args[1:], " ")) }
`

// shell is one checkout of the action, and the runner that it is used on. Its
// paths have spaces.
type shell struct {
	t    *testing.T
	root string            // the checkout
	env  map[string]string // the runner's; nothing else is passed on
}

// standardLibrary has what stand-ins are made of built once, as the script
// builds: they are built side by side, and each would build it.
var standardLibrary = sync.OnceValues(func() ([]byte, error) {
	cmd := exec.Command("go", "build", "fmt", "os", "strings")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-trimpath")
	return cmd.CombinedOutput()
})

// newShell makes a checkout that is no release, whose source is a stand-in.
func newShell(t *testing.T) *shell {
	t.Helper()
	t.Parallel()
	if out, err := standardLibrary(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	base := filepath.Join(t.TempDir(), "on a runner")
	s := &shell{t: t, root: filepath.Join(base, "the action")}
	script, err := os.ReadFile("../../.github/action/cromt.sh")
	if err != nil {
		t.Fatal(err)
	}
	s.write(".github/action/cromt.sh", string(script))
	s.write("go.mod", "module standin\n\ngo 1.24\n")
	s.write("cmd/cromt/main.go", builtStandIn)
	s.env = map[string]string{
		"PATH":              os.Getenv("PATH"),
		"HOME":              os.Getenv("HOME"),
		"RUNNER_OS":         "Linux",
		"RUNNER_ARCH":       "X64",
		"RUNNER_TOOL_CACHE": filepath.Join(base, "tool cache"),
		"RUNNER_TEMP":       filepath.Join(base, "temp"),
		"GITHUB_SERVER_URL": "http://127.0.0.1:1", // nobody listens there
		"SEEN":              filepath.Join(base, "seen"),
		"TMPDIR":            t.TempDir(),
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		if v := os.Getenv(name); v != "" {
			s.env[name] = v
		}
	}
	return s
}

func (s *shell) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// release makes the checkout that of v1.2.3, whose assets all have the content.
func (s *shell) release(content string) {
	var sums strings.Builder
	for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64.exe", "windows-arm64.exe"} {
		sums.WriteString(sha256hex(content) + "  cromt-" + platform + "\n")
	}
	s.write(".github/action/version", "v1.2.3\n")
	s.write(".github/action/checksums.txt", sums.String())
}

func sha256hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// withoutGo leaves on the PATH what every runner has.
func (s *shell) withoutGo() {
	s.t.Helper()
	bin := s.t.TempDir()
	for _, tool := range strings.Fields("awk bash cat chmod curl cut dirname env find mkdir mktemp mv rm sha256sum sort tr uname xargs") {
		path, err := exec.LookPath(tool)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.env["PATH"] = bin
}

func (s *shell) command() *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), "bash", filepath.Join(s.root, ".github/action/cromt.sh"))
	cmd.Dir = s.root
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		if s.env[name] != "" {
			cmd.Env = append(cmd.Env, name+"="+s.env[name])
		}
	}
	return cmd
}

// run returns what the script and the program wrote, and the exit code.
func (s *shell) run() (string, int) {
	s.t.Helper()
	cmd := s.command()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// wants runs the script, which must end with the code and say the texts.
func (s *shell) wants(code int, texts ...string) {
	s.t.Helper()
	out, got := s.run()
	if got != code {
		s.t.Fatalf("exit %d, want %d:\n%s", got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("says nothing of %q:\n%s", text, out)
		}
	}
}

// cached lists the files of the tool cache.
func (s *shell) cached() []string {
	var names []string
	root := s.env["RUNNER_TOOL_CACHE"]
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (!d.IsDir() || strings.HasPrefix(d.Name(), "new.")) {
			rel, _ := filepath.Rel(root, path)
			names = append(names, rel)
		}
		return nil
	})
	return names
}

// assets is a release server; it answers every path alike.
type assets struct {
	mu    sync.Mutex
	paths []string
}

func (s *shell) serve(answer http.HandlerFunc) *assets {
	a := &assets{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.paths = append(a.paths, r.URL.Path)
		a.mu.Unlock()
		answer(w, r)
	}))
	s.t.Cleanup(srv.Close)
	s.env["GITHUB_SERVER_URL"] = srv.URL
	return a
}

func (a *assets) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.paths)
}

func file(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte(content))
	}
}
