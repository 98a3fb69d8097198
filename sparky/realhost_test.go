package sparky_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// dslModule stands in for what sparrowdo loads before a sparrowfile: config(),
// tags(), and subs whose names a sparrowfile must not trip over.
const dslModule = `
unit module Sparrow6::DSL;
sub config is export { Rakudo::Internals::JSON.from-json(%*ENV<SP6_CONFIG>.IO.slurp) }
sub tags   is export { Rakudo::Internals::JSON.from-json('tags.json'.IO.slurp) }
sub bash(|) is export { die 'a plugin' }
sub directory(|) is export { die 'a plugin' }
sub git-scm(|) is export { die 'a plugin' }
sub meta(|) is export { die 'not ours' }
sub clone(|) is export { die 'not ours' }
`

// stubTom plays tom: its last word is the scenario.
const stubTom = `#!/bin/bash
PATH=$PATH:/usr/bin:/bin
echo "tom $*"
case "${@: -1}" in
  env) printf %s "$X" >"$OUT/x"; env >"$OUT/env"; pwd; cat .artifacts/in.txt .artifacts/b/in.txt;;
  make) mkdir -p out; printf 'made by %s' "$WORKER" >out/patch.sql; ln -s /etc/passwd out/link;;
  fail) echo oops; exit 7;;
  sleep) echo begin; sleep 60;;
  stubborn) trap "" TERM; echo begin; sleep 60;;
  bytes) printf 'caf\xc3'; sleep 0.2; printf '\xa9 \xff e\xcc\x81\n'; printf 'caf\xc3\xa9 e\xcc\x81 \xf0\x9f\x98\x80\n'; printf 'open \xe2\x82' >&2;;
  leave) sleep 60 & echo $! >"$OUT/left"; mkdir -p sub/locked; touch sub/locked/$'\xff'; ln -s "$OUT" sub/link; chmod 500 sub/locked;;
  stdin) cat; echo "stdin at its end";;
  look) cp -r .git "$LOOK/dot-git"; env >"$LOOK/env"; echo cloned;;
esac
`

// realHost is what a Sparky host has: the API, tom, git and raku.
type realHost struct {
	*sparkytest.Fake
	dir, repo, head, old string
	port                 string
	worker               string // what Sparky calls the place where jobs run
	bare                 string // PATH of a terminal to run on, instead of this process's
}

func newRealHost(t *testing.T) *realHost {
	t.Helper()
	for _, tool := range []string{"raku", "git", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is needed to run the program that is sent to real hosts: %v", tool, err)
		}
	}
	h := &realHost{dir: t.TempDir(), worker: "localhost"}
	h.Fake = sparkytest.NewFake(sparkytest.FakeConfig{Token: "t0ken-of-host", Scan: 50 * time.Millisecond, Start: 50 * time.Millisecond, Run: h.play(t)})
	t.Cleanup(h.Close)
	srv := httptest.NewServer(h.Fake)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.port = u.Port()
	h.write(t, "lib/Sparrow6/DSL.rakumod", dslModule, 0o600)
	h.write(t, "bin/tom", stubTom, 0o700)
	h.repo = filepath.Join(h.dir, "repo")
	h.write(t, "repo/sub/file.txt", "one", 0o600)
	h.git(t, "init", "--quiet", "--initial-branch=main")
	h.git(t, "add", "-A")
	h.git(t, "commit", "--quiet", "-m", "one")
	h.old = h.git(t, "rev-parse", "HEAD")
	h.write(t, "repo/sub/file.txt", "two", 0o600)
	h.git(t, "commit", "--quiet", "-am", "two")
	h.head = h.git(t, "rev-parse", "HEAD")
	return h
}

func (h *realHost) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(h.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (h *realHost) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", h.repo, "-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// run runs the program as sparrowdo would and returns its report and exit code.
func (h *realHost) run(t *testing.T, id string, spec sparky.Spec) (report string, exit int, cwd string) {
	t.Helper()
	config, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, cwd = h.start(t, "p", id, sparky.Sparrowfile, config, &out)
	return out.String(), exit, cwd
}

func (h *realHost) start(t *testing.T, project, id, program string, config []byte, out io.Writer) (exit int, cwd string) {
	t.Helper()
	cwd = filepath.Join(h.dir, "cache", id, ".sparrowdo")
	rel := "cache/" + id + "/.sparrowdo/"
	tags, err := json.Marshal(map[string]string{
		"SPARKY_PROJECT": project, "SPARKY_JOB_ID": id, "SPARKY_TCP_PORT": h.port, "SPARKY_WORKER": h.worker, "SPARKY_API_TOKEN": "t0ken-of-host",
	})
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, rel+"config.raku", string(config), 0o600) // JSON here, so that no Raku has to be written
	h.write(t, "cache/"+id+"/config.raku", string(config), 0o600)
	h.write(t, rel+"tags.json", string(tags), 0o600)
	h.write(t, rel+"sparrowfile", program, 0o600)
	cmd := exec.CommandContext(t.Context(), "raku", "-I", filepath.Join(h.dir, "lib"), "-MSparrow6::DSL", "sparrowfile")
	path := filepath.Join(h.dir, "bin") + ":" + os.Getenv("PATH")
	if h.bare != "" { // as sparky-runner does
		path = h.bare
		cmd = exec.CommandContext(t.Context(), "script", "-q", "-e", "-c", strings.Join(cmd.Args, " "), os.DevNull)
	}
	cmd.Dir = cwd
	cmd.Env = append(os.Environ(), "PATH="+path, "HOME="+h.dir, "OUT="+h.dir,
		"SP6_CONFIG=config.raku", "SP6_TAGS=SPARKY_API_TOKEN=t0ken-of-host")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 5 * time.Second
	_ = cmd.Run() // the exit code says it
	return cmd.ProcessState.ExitCode(), cwd
}

// play runs what was posted to the host, as its runner would.
func (h *realHost) play(t *testing.T) func(*sparkytest.FakeJob) int {
	return func(j *sparkytest.FakeJob) int {
		out := writerFunc(func(p []byte) (int, error) {
			j.Printf("%s", bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
			return len(p), nil
		})
		exit, _ := h.start(t, j.Project, j.ID, j.Request.Sparrowfile, j.Request.SparrowdoConfig, out)
		return exit
	}
}

func spec(src sparky.SpecSource, actions ...string) sparky.Spec {
	return sparky.Spec{Cromt: 1, Source: src, Actions: actions, Options: []string{"--verbose"}, Env: map[string]string{}}
}
