package sparky_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
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

func TestSparrowfile(t *testing.T) {
	h := newRealHost(t)
	git := sparky.SpecSource{Kind: sparky.SpecGit, URL: "file://" + h.repo}
	at := func(commit, ref string) sparky.SpecSource { s := git; s.Commit, s.Ref = commit, ref; return s }
	missing := git
	missing.Dir = "nosuch"
	timeout, stubborn := spec(git, "sleep"), spec(git, "stubborn")
	timeout.Timeout, stubborn.Timeout = 1, 1
	noInput := spec(git, "hello")
	noInput.In = []sparky.SpecInput{{Name: "cromt-in-1", Path: "in.txt"}}
	noOutput, link := spec(git, "env-less"), spec(git, "make")
	noOutput.Out = []sparky.SpecOutput{{File: "x", Path: "nosuch"}}
	link.Out = []sparky.SpecOutput{{File: "x", Path: "out/link"}}
	tests := []struct {
		name string
		spec sparky.Spec
		exit int
		want []string
	}{
		{"default branch", spec(git, "hello"), 0, []string{"meta: cromt commit=" + h.head, "tom --no_index_update --verbose hello", "meta: cromt result=ok step=scenario exit=0"}},
		{"an older commit", spec(at(h.old, ""), "hello"), 0, []string{"meta: cromt commit=" + h.old, "result=ok"}},
		{"a branch", spec(at("", "main"), "hello"), 0, []string{"meta: cromt commit=" + h.head, "result=ok"}},
		{"a short commit", spec(at("", h.old[:8]), "hello"), 0, []string{"meta: cromt commit=" + h.old, "result=ok"}},
		{"an unknown commit", spec(at(strings.Repeat("d", 40), ""), "hello"), 128, []string{"result=infrastructure step=checkout exit=128"}},
		{"an unknown repository", spec(sparky.SpecSource{Kind: sparky.SpecGit, URL: "file:///nosuch"}, "hello"), 128, []string{"result=infrastructure step=clone exit=128"}},
		{"an option for a URL", spec(sparky.SpecSource{Kind: sparky.SpecGit, URL: "--upload-pack=touch " + h.dir + "/canary"}, "hello"), 128, []string{"result=infrastructure"}},
		{"no such folder", spec(missing, "hello"), 70, []string{"there is no directory", "result=infrastructure"}},
		{"a directory of the host", spec(sparky.SpecSource{Kind: sparky.SpecDir, Dir: "~/repo/sub"}, "hello"), 0, []string{"result=ok"}},
		{"failure", spec(git, "hello", "fail", "hello"), 7, []string{"oops", "result=failed step=scenario exit=7"}},
		{"timeout", timeout, 124, []string{"begin", "result=timeout step=scenario exit=124"}},
		{"one that ignores TERM", stubborn, 124, []string{"begin", "result=timeout step=scenario exit=124"}},
		{"stdin is empty", spec(git, "stdin"), 0, []string{"stdin at its end", "result=ok"}},
		{"no input", noInput, 70, []string{"input in.txt is not on the host", "result=infrastructure step=inputs exit=70"}},
		{"no output", noOutput, 66, []string{"artifact x: nosuch is not a regular file", "result=failed step=outputs exit=66"}},
		{"output out of the checkout", link, 66, []string{"result=failed step=outputs exit=66"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			report, exit, cwd := h.run(t, fmt.Sprintf("t%d", i), tt.spec)
			if exit != tt.exit {
				t.Errorf("exit code %d, want %d", exit, tt.exit)
			}
			for _, want := range tt.want {
				if !strings.Contains(report, want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, name := range []string{"cromt-work", "config.raku", "../config.raku"} {
				if _, err := os.Stat(filepath.Join(cwd, name)); err == nil {
					t.Errorf("%s is left behind", name)
				}
			}
			if t.Failed() {
				t.Logf("report:\n%s", report)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(h.dir, "canary")); err == nil {
		t.Error("a URL was taken for an option")
	}
	if got, err := os.ReadFile(filepath.Join(h.repo, "sub", "file.txt")); err != nil || string(got) != "two" {
		t.Errorf("the host's own directory: %q, %v", got, err)
	}
}

func TestSparrowfileData(t *testing.T) {
	h := newRealHost(t)
	value := "it's \"x\" $(id) `id` \\ ;&|\n\r\n\t é e\u0301 \xff\xfe \x01 ___comma___ ,=" + strings.Repeat("long ", 1000)
	s := spec(sparky.SpecSource{Kind: sparky.SpecGit, URL: "file://" + h.repo, Dir: "sub"}, "env", "make")
	s.Env = map[string]string{"X": base64.StdEncoding.EncodeToString([]byte(value)), "WORKER": base64.StdEncoding.EncodeToString([]byte("A"))}
	s.In = []sparky.SpecInput{{Name: "cromt-in-1", Path: "in.txt"}, {Name: "cromt-in-1", Path: "b/in.txt"}}
	s.Out = []sparky.SpecOutput{{File: "patch.sql", Path: "out/patch.sql"}}
	c, err := sparky.NewClient(sparky.HostConfig{URL: "http://127.0.0.1:" + h.port, Token: "t0ken-of-host"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	if err := c.PutFile(t.Context(), "p", "data", "cromt-in-1", strings.NewReader("<input>"), 7); err != nil {
		t.Fatal(err)
	}
	report, exit, _ := h.run(t, "data", s)
	sum := sha256.Sum256([]byte("made by A"))
	for _, want := range []string{"<input><input>", "/cromt-work/src/sub\n", fmt.Sprintf("meta: cromt out=patch.sql bytes=9 sha256=%x", sum)} {
		if exit != 0 || !strings.Contains(report, want) {
			t.Fatalf("exit code %d, %q is missing in\n%s", exit, want, report)
		}
	}
	if got, err := os.ReadFile(filepath.Join(h.dir, "x")); err != nil || string(got) != value {
		t.Errorf("the variable arrived as %q, %v", got, err)
	}
	env, err := os.ReadFile(filepath.Join(h.dir, "env"))
	if err != nil || bytes.Contains(env, []byte("SP6_")) || bytes.Contains(env, []byte("t0ken")) {
		t.Errorf("the scenario's environment has Sparky's own: %v", err)
	}
	if got := h.File("p", "data", "patch.sql"); string(got) != "made by A" {
		t.Errorf("output %q", got)
	}
}

// TestSparrowfileBare: a container has no more than Raku, git, bash, base64 and
// curl, and may not know its host by Docker's name. The report stays UTF-8,
// since a Sparky loses one that is not.
func TestSparrowfileBare(t *testing.T) {
	h := newRealHost(t)
	h.bare = filepath.Join(h.dir, "bare")
	if err := os.Mkdir(h.bare, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"raku", "git", "bash", "base64", "curl"} {
		path, err := exec.LookPath(tool)
		if err == nil {
			err = os.Symlink(path, filepath.Join(h.bare, tool))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(h.dir, "bin", "tom"), filepath.Join(h.bare, "tom")); err != nil {
		t.Fatal(err)
	}
	e := sparky.NewExecutor(sparky.ExecutorConfig{
		Host: func(url string) (sparky.HostConfig, error) {
			return sparky.HostConfig{URL: url, Token: "t0ken-of-host"}, nil
		},
		Own: sparky.OwnSource{URL: "file://" + h.repo, Commit: h.old},
	})
	t.Cleanup(e.Close)
	host := "http://127.0.0.1:" + h.port
	a := attempt("bare1", "bytes", "make", "leave")
	a.Job.Host, a.Commit = host, h.old
	a.Job.Vars = []flow.Var{{Name: "WORKER", Value: "it's\n\xff, é"}}
	a.Job.Out = []flow.Output{{File: "patch.sql", Path: "out/patch.sql"}}
	a.Job.Sparrowdo, h.worker = map[string]any{"docker": "alpine"}, "docker"
	made := "made by it's\n\xff, é"
	var log bytes.Buffer
	res, err := e.Exec(t.Context(), a, &log)
	if err != nil || res.Conclusion != flow.Success || res.Commit != h.old || len(res.Artifacts) != 1 || res.Artifacts[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(made))) {
		t.Fatalf("%+v, %v\n%s", res, err, log.String())
	}
	for _, want := range []string{"café \U0010FFFDxFF e", "\ncafé e\u0301 😀\nopen \U0010FFFDxE2\U0010FFFDx82tom", "tom --no_index_update leave\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log %q", want, log.String())
		}
	}
	if _, err := os.Stat(filepath.Join(h.dir, "cache", "bare1", ".sparrowdo", "cromt-work")); err == nil {
		t.Error("the checkout is left behind")
	}
	if got, err := os.ReadFile(filepath.Join(h.repo, "sub", "file.txt")); err != nil || string(got) != "two" {
		t.Errorf("behind a link: %q, %v", got, err)
	}
	pid, err := os.ReadFile(filepath.Join(h.dir, "left"))
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
	if err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("a process of the scenario is left behind: %s", stat)
	}
}

func TestSparrowfileArchive(t *testing.T) {
	h := newRealHost(t)
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "x.txt", Mode: 0o644, Size: 2}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("x\n")) // to memory
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := sparky.NewClient(sparky.HostConfig{URL: "http://127.0.0.1:" + h.port, Token: "t0ken-of-host"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	if err := c.PutFile(t.Context(), "cromt-src", "src-run1", "src.tar.gz", bytes.NewReader(archive.Bytes()), int64(archive.Len())); err != nil {
		t.Fatal(err)
	}
	src := sparky.SpecSource{Kind: sparky.SpecArchive, Project: "cromt-src", JobID: "src-run1", File: "src.tar.gz", SHA256: fmt.Sprintf("%x", sha256.Sum256(archive.Bytes()))}
	if report, exit, _ := h.run(t, "arch", spec(src, "hello")); exit != 0 || !strings.Contains(report, "result=ok") {
		t.Errorf("exit code %d\n%s", exit, report)
	}
	src.SHA256 = strings.Repeat("0", 64)
	if report, exit, _ := h.run(t, "arch2", spec(src, "hello")); exit != 70 || !strings.Contains(report, "result=infrastructure step=archive") {
		t.Errorf("with another sum: exit code %d\n%s", exit, report)
	}
}

func TestSparrowfileCancel(t *testing.T) {
	h := newRealHost(t)
	c, err := sparky.NewClient(sparky.HostConfig{URL: "http://127.0.0.1:" + h.port, Token: "t0ken-of-host"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	flag := map[string]bool{"cancel": true}
	if err := c.PutStash(t.Context(), "p", "before", flag); err != nil {
		t.Fatal(err)
	}
	src := sparky.SpecSource{Kind: sparky.SpecGit, URL: "file://" + h.repo}
	if report, exit, _ := h.run(t, "before", spec(src, "hello")); exit != 130 || strings.Contains(report, "tom ") {
		t.Errorf("cancelled before it began: exit code %d\n%s", exit, report)
	}
	config, err := json.Marshal(spec(src, "sleep"))
	if err != nil {
		t.Fatal(err)
	}
	var report bytes.Buffer
	var asked time.Time
	out := writerFunc(func(p []byte) (int, error) {
		report.Write(p)
		if asked.IsZero() && bytes.Contains(report.Bytes(), []byte("\nbegin\n")) { // the scenario's
			asked = time.Now()
			if err := c.PutStash(t.Context(), "p", "while", flag); err != nil {
				t.Error(err)
			}
		}
		return len(p), nil
	})
	exit, _ := h.start(t, "p", "while", sparky.Sparrowfile, config, out)
	if took := time.Since(asked); exit != 130 || !strings.Contains(report.String(), "result=cancelled step=scenario exit=130") || took > 50*time.Second {
		t.Errorf("exit code %d after %v\n%s", exit, took, report.String())
	}
}

// TestExecOnRealHost sends attempts to the host and has its program run them:
// all of this side's way, short of Sparky itself.
func TestExecOnRealHost(t *testing.T) {
	h := newRealHost(t)
	host := "http://127.0.0.1:" + h.port
	e := sparky.NewExecutor(sparky.ExecutorConfig{
		Host: func(url string) (sparky.HostConfig, error) {
			return sparky.HostConfig{URL: url, Token: "t0ken-of-host"}, nil
		},
		Own:        sparky.OwnSource{URL: "file://" + h.repo, Commit: h.old},
		Secrets:    map[string]string{"X": "a secret 007"},
		CancelWait: time.Minute, // a busy machine starts raku slowly
	})
	t.Cleanup(e.Close)
	make1, use := attempt("make1", "make"), attempt("use1", "env")
	for _, a := range []*flow.Attempt{&make1, &use} {
		a.Job.Host, a.Commit = host, h.old
		a.Job.Vars, a.Job.Secrets = []flow.Var{{Name: "WORKER", Value: "A"}}, []string{"X"}
	}
	make1.Job.Out = []flow.Output{{File: "patch.sql", Path: "out/patch.sql"}}
	res, err := e.Exec(t.Context(), make1, nil)
	if err != nil || res.Conclusion != flow.Success || len(res.Artifacts) != 1 || res.Artifacts[0].Bytes != 9 || res.Commit != h.old {
		t.Fatalf("%+v, %v", res, err)
	}
	use.Inputs = []flow.InputFile{{Path: "in.txt", Artifact: res.Artifacts[0]}, {Path: "b/in.txt", Artifact: res.Artifacts[0]}}
	var log bytes.Buffer
	res, err = e.Exec(t.Context(), use, &log)
	if err != nil || res.Conclusion != flow.Success || !strings.HasSuffix(log.String(), "/cromt-work/src\nmade by Amade by A\n") {
		t.Errorf("%+v, %v, log %q", res, err, log.String())
	}
	if got, err := os.ReadFile(filepath.Join(h.dir, "x")); err != nil || string(got) != "a secret 007" {
		t.Errorf("the secret arrived as %q, %v", got, err)
	}
	failing := attempt("fail1", "fail")
	failing.Job.Host, failing.Commit = host, strings.Repeat("d", 40)
	if res, err := e.Exec(t.Context(), failing, nil); err != nil || res.Cause != flow.CauseInfrastructure || !res.NotStarted || !strings.Contains(res.Error, "step checkout failed") {
		t.Errorf("a commit that is not there: %+v, %v", res, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	long := attempt("sleep1", "sleep")
	long.Job.Host, long.Commit = host, h.head
	sleeping := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("begin")) {
			cancel()
		}
		return len(p), nil
	})
	if res, err := e.Exec(ctx, long, sleeping); err != nil || res.Conclusion != flow.Cancelled || !strings.Contains(res.Error, "confirmed it") {
		t.Errorf("cancelled: %+v, %v", res, err)
	}
}
