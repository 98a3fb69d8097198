//go:build linux

package agent_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

func TestEnvironment(t *testing.T) {
	t.Setenv("CROMT_SECRET_X", "the agent's own")
	h := start(t, agent.Config{})
	dir := scenarios(t, "x", "env -0 >env.out; ls -A \"$TMPDIR\"; touch \"$TMPDIR/file\"\n", "nothing", "exit 0")
	all := make([]byte, 0, 255)
	for c := 1; c < 256; c++ {
		all = append(all, byte(c))
	}
	spec := inDir(dir, "x")
	spec.Env = env("ALL", string(all), "Q", "it's \"$(touch canary)\" `touch canary`; touch canary\n", "EMPTY", "", "LANG", "mine", "SPARKY_JOB_ID", "forged")
	id := h.queue("p", spec)
	if st, log := h.wait("p", id); st.State != sparky.CodeOK || log != "meta: step=tom-x\nmeta: result=ok\n" {
		t.Fatalf("%+v %s", st, log)
	}
	data, err := os.ReadFile(filepath.Join(dir, "env.out"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		name, value, _ := strings.Cut(v, "=")
		got[name] = value
	}
	for name, want := range map[string]string{"ALL": string(all), "Q": "it's \"$(touch canary)\" `touch canary`; touch canary\n", "EMPTY": "", "LANG": "mine",
		"SPARKY_JOB_ID": id, "SPARKY_PROJECT": "p", "TERM": "dumb", "PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME")} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !strings.HasPrefix(got["CROMT_JOB"], id+"@") {
		t.Errorf("CROMT_JOB is %q", got["CROMT_JOB"])
	}
	if _, ok := got["CROMT_SECRET_X"]; ok {
		t.Error("the agent's environment leaks")
	}
	if _, err := os.Stat(filepath.Join(dir, "canary")); err == nil {
		t.Error("a value was executed")
	}
	// The next job has an empty TMPDIR.
	if _, log := h.wait("p", h.queue("p", spec)); log != "meta: step=tom-x\nmeta: result=ok\n" {
		t.Errorf("%q", log)
	}
}

func TestSecrets(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	h := start(t, agent.Config{Root: root, MaxJobs: 1})
	dir := scenarios(t, "gate", gate, "x", "echo \"a $PASSWORD b\"; printf hunter; sleep 0.05; echo 2hunter2; exit 3\n")
	h.queue("p", named(dir, "first")) // so that the others wait, and are stored
	spec := inDir(dir, "x")
	spec.Env, spec.Secrets = env("PASSWORD", "hunter2hunter2"), []string{"PASSWORD"}
	id := h.queue("p", spec)
	spec.Source.Dir = "/hunter2hunter2"
	id2 := h.queue("p", spec)
	touch(t, filepath.Join(dir, "all.go"))
	st, log := h.wait("p", id)
	if want := "meta: step=tom-x\na *** b\n***\nmeta: result=failed step=tom-x exit=3\n"; log != want {
		t.Errorf("%+v %q", st, log)
	}
	if st, log := h.wait("p", id2); strings.Contains(st.Error+log, "hunter2") || !strings.Contains(st.Error, "***") {
		t.Errorf("%+v %q", st, log)
	}
	// Nothing of it stays on the disk.
	waitFor(t, func() bool {
		for _, name := range tree(t, root) {
			data, err := os.ReadFile(name)
			if err == nil && (bytes.Contains(data, []byte("hunter2")) || bytes.Contains(data, []byte("aHVudGVyMmh1bnRlcjI"))) {
				return false
			}
			if fi, err := os.Stat(name); err == nil && fi.Mode().Perm()&0o077 != 0 {
				t.Fatalf("%s has mode %s", name, fi.Mode())
			}
		}
		return true
	})
}

func TestArtifacts(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "x", "cat .artifacts/a .artifacts/hostA/a; mkdir -p out; printf made >out/made; mkfifo out/pipe; ln -sf made out/link\n")
	spec := inDir(dir, "x")
	spec.In = []sparky.SpecInput{{Name: "in1", Path: "a"}, {Name: "in2", Path: "hostA/a"}}
	spec.Out = []sparky.SpecOutput{{File: "m", Path: "./out/made"}}
	id := newID()
	for name, text := range map[string]string{"in1": "first\n", "in2": "second\n"} {
		h.do("PUT", "/file/project/p/job/"+id+"/filename/"+name, text)
	}
	h.do("POST", "/queue", queueBody("p", id, spec))
	st, log := h.wait("p", id)
	want := flow.Artifact{File: "m", SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("made"))), Bytes: 4}
	if st.State != sparky.CodeOK || len(st.Artifacts) != 1 || st.Artifacts[0] != want || !strings.Contains(log, "first\nsecond\n") || !strings.Contains(log, "meta: out=m bytes=4\n") {
		t.Errorf("%+v %s", st, log)
	}
	if code, body := h.do("GET", "/file/p/"+id+"/m", ""); code != 200 || body != "made" {
		t.Errorf("%d %q", code, body)
	}
	for path, message := range map[string]string{
		"none": `artifact "m": no file none`, "out": "is not a regular file", "out/pipe": "is not a regular file", "out/link": "is not a regular file",
	} {
		os.RemoveAll(filepath.Join(dir, "out"))
		spec := inDir(dir, "x")
		spec.Out = []sparky.SpecOutput{{File: "m", Path: path}}
		st, log := h.wait("p", h.queue("p", spec))
		if st.State != sparky.CodeFailed || st.Cause != flow.CauseTask || st.ExitCode == 0 || !strings.Contains(st.Error, message) || !strings.Contains(log, message) {
			t.Errorf("%s: %+v %s", path, st, log)
		}
	}
	spec.In = []sparky.SpecInput{{Name: "never", Path: "a"}}
	if st, _ := h.wait("p", h.queue("p", spec)); st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, "no file never") {
		t.Errorf("%+v", st)
	}
}
