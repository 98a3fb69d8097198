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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

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
