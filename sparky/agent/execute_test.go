//go:build linux

package agent_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// git runs git in dir and returns what it prints.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// repository makes a repository with two commits on main, a branch and a tag.
func repository(t testing.TB) (dir string, commits []string) {
	t.Helper()
	dir = t.TempDir()
	git(t, dir, "init", "--quiet")
	for _, text := range []string{"one", "two"} {
		addScenarios(t, dir, "x", "echo this is "+text+"\n")
		addScenarios(t, filepath.Join(dir, "sub"), "x", "echo this is below "+text+"\n")
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "--quiet", "-m", text)
		commits = append(commits, git(t, dir, "rev-parse", "HEAD"))
		if text == "one" {
			git(t, dir, "tag", "-a", "v1", "-m", "v1")
			git(t, dir, "branch", "feature/old")
		}
	}
	return dir, commits
}

func inGit(src sparky.SpecSource, actions ...string) sparky.Spec {
	src.Kind = sparky.SpecGit
	return sparky.Spec{Cromt: sparky.SpecVersion, Source: src, Actions: actions}
}

func TestGit(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	dir, commits := repository(t)
	for _, c := range []struct {
		name   string
		src    sparky.SpecSource
		want   string // in the log
		commit string
		fails  string // in the error
	}{
		{"default branch", sparky.SpecSource{URL: dir}, "this is two\n", commits[1], ""},
		{"file URL", sparky.SpecSource{URL: "file://" + dir, Ref: "main"}, "this is two\n", commits[1], ""},
		{"branch", sparky.SpecSource{URL: dir, Ref: "feature/old"}, "this is one\n", commits[0], ""},
		{"tag", sparky.SpecSource{URL: dir, Ref: "v1"}, "this is one\n", commits[0], ""},
		{"commit", sparky.SpecSource{URL: dir, Ref: "main", Commit: commits[0]}, "this is one\n", commits[0], ""},
		{"commit as ref", sparky.SpecSource{URL: dir, Ref: commits[0]}, "this is one\n", commits[0], ""},
		{"short commit as ref", sparky.SpecSource{URL: dir, Ref: commits[0][:10]}, "this is one\n", commits[0], ""},
		{"folder", sparky.SpecSource{URL: dir, Dir: "sub"}, "this is below two\n", commits[1], ""},
		{"no folder", sparky.SpecSource{URL: dir, Dir: "none"}, "", commits[1], "folder none of the repository"},
		{"no branch", sparky.SpecSource{URL: dir, Ref: "none"}, "", "", "none: no branch, tag or commit"},
		{"no commit", sparky.SpecSource{URL: dir, Commit: strings.Repeat("0", 39) + "1"}, "", "", "no branch, tag or commit"},
		{"no repository", sparky.SpecSource{URL: dir + "x"}, "", "", "does not appear to be a git repository"},
		{"no host", sparky.SpecSource{URL: "http://127.0.0.1:1/x.git"}, "", "", "git fetch: "},
		{"ssh option", sparky.SpecSource{URL: "ssh://-oProxyCommand=touch%20" + root + "/canary/x"}, "", "", "git fetch: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, log := h.wait("p", h.queue("p", inGit(c.src, "x")))
			if c.fails != "" {
				if st.State != sparky.CodeFailed || st.Cause != flow.CauseInfrastructure || st.ExitCode == 0 || !strings.Contains(st.Error, c.fails) || !strings.Contains(log, "result=failed step=clone") {
					t.Errorf("%+v\n%s", st, log)
				}
				return
			}
			if st.State != sparky.CodeOK || st.Commit != c.commit || !strings.Contains(log, c.want) || !strings.Contains(log, "meta: commit="+c.commit+"\n") {
				t.Errorf("%+v\n%s", st, log)
			}
		})
	}
	for _, name := range []string{"canary"} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if left, err := os.ReadDir(filepath.Join(root, "work")); err != nil || len(left) > 1 {
		t.Errorf("folders left: %v %v", left, err)
	}
}

// TestHostileRepository has what a repository can do to those who clone it.
func TestHostileRepository(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
	t.Setenv("GIT_CONFIG_VALUE_0", "touch "+canary)
	h := start(t, agent.Config{})
	dir, _ := repository(t)
	files := map[string]string{
		".gitmodules":       "[submodule \"m\"]\n\tpath = m\n\turl = ext::sh -c touch% " + canary + "\n\tupdate = !touch " + canary + "\n",
		".gitattributes":    "* filter=evil\n",
		".tom/x.bash":       "cat .artifacts/in; ls\n",
		"hooks/post-update": "#!/bin/sh\ntouch " + canary + "\n",
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"stolen": secret, "up": filepath.Dir(secret), ".artifacts": filepath.Dir(secret)} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "-c", "core.fsmonitor=false", "add", "-A")
	git(t, dir, "-c", "core.fsmonitor=false", "commit", "--quiet", "-m", "evil")
	os.Remove(canary)

	for _, out := range []string{"stolen", "up/secret", ".git/../stolen"} {
		spec := inGit(sparky.SpecSource{URL: dir}, "x")
		spec.Out = []sparky.SpecOutput{{File: "o", Path: out}}
		st, log := h.wait("p", h.queue("p", spec))
		if st.State != sparky.CodeFailed || len(st.Artifacts) > 0 || !strings.Contains(log, "artifact") {
			t.Errorf("%s: %+v\n%s", out, st, log)
		}
	}
	spec := inGit(sparky.SpecSource{URL: dir}, "x")
	spec.In = []sparky.SpecInput{{Name: "in", Path: "secret"}}
	id := newID()
	h.do("PUT", "/file/project/p/job/"+id+"/filename/in", "overwritten")
	h.do("POST", "/queue", queueBody("p", id, spec))
	if st, log := h.wait("p", id); st.State != sparky.CodeFailed || st.Cause != flow.CauseInfrastructure {
		t.Errorf("input: %+v\n%s", st, log)
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "untouched" {
		t.Errorf("%q %v", data, err)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("the repository ran something")
	}
}

func TestFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	h := start(t, agent.Config{})
	addScenarios(t, filepath.Join(home, "proj"), "x", "pwd; touch made\n")
	st, log := h.wait("p", h.queue("p", inDir("~/proj", "x")))
	if st.State != sparky.CodeOK || !strings.Contains(log, home+"/proj\n") {
		t.Errorf("%+v %s", st, log)
	}
	if _, err := os.Stat(filepath.Join(home, "proj", "made")); err != nil {
		t.Error(err)
	}
	st, log = h.wait("p", h.queue("p", inDir("~/none", "x")))
	if st.State != sparky.CodeFailed || st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, "no such file") || !strings.Contains(log, "no such file") {
		t.Errorf("%+v %s", st, log)
	}
}

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

// entry is one entry of a test archive.
type entry struct {
	name, text string
	kind       byte
	link       string
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.text)), Mode: 0o755}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.kind, PAXRecords: map[string]string{"comment": "x"}}
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchive(t *testing.T) {
	h := start(t, agent.Config{})
	data := archive(t, entry{kind: tar.TypeXGlobalHeader}, entry{name: "./", kind: tar.TypeDir}, entry{name: "sub/.tom/x.bash", text: "./hello; cat link\n"},
		entry{name: "sub/hello", text: "#!/bin/sh\necho executable\n"}, entry{name: "sub/link", kind: tar.TypeSymlink, link: "../file"}, entry{name: "file", text: "linked\n"})
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	h.do("PUT", "/file/project/src/job/run1/filename/src.tar.gz", string(data))
	spec := sparky.Spec{Cromt: 1, Actions: []string{"x"}, Source: sparky.SpecSource{Kind: sparky.SpecArchive, Project: "src", JobID: "run1", File: "src.tar.gz", SHA256: sum, Dir: "sub", Commit: "abc"}}
	st, log := h.wait("p", h.queue("p", spec))
	if st.State != sparky.CodeOK || st.Commit != "abc" || !strings.Contains(log, "executable\nlinked\n") || !strings.Contains(log, "meta: commit=abc\n") {
		t.Errorf("%+v %s", st, log)
	}
	spec.Source.SHA256 = strings.Repeat("0", 64)
	if st, _ := h.wait("p", h.queue("p", spec)); st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, "sha256") {
		t.Errorf("wrong sum: %+v", st)
	}
	spec.Source.File = "none"
	if st, _ := h.wait("p", h.queue("p", spec)); st.Cause != flow.CauseInfrastructure || !strings.Contains(st.Error, "no file none") {
		t.Errorf("no file: %+v", st)
	}
}

func TestHostileArchives(t *testing.T) {
	outside := t.TempDir()
	for name, entries := range map[string][]entry{
		"parent":           {{name: "../evil", text: "x"}},
		"parent inside":    {{name: "a/../../evil", text: "x"}},
		"absolute":         {{name: outside + "/evil", text: "x"}},
		"symlink out":      {{name: "l", kind: tar.TypeSymlink, link: "../x"}},
		"symlink absolute": {{name: "l", kind: tar.TypeSymlink, link: outside}},
		"symlink chain":    {{name: "a/b/c", kind: tar.TypeSymlink, link: "../.."}, {name: "evil", kind: tar.TypeSymlink, link: "a/b/c/.."}},
		"write by chain":   {{name: "a/b/c", kind: tar.TypeSymlink, link: "../.."}, {name: "d", kind: tar.TypeSymlink, link: "a/b/c/.."}, {name: "d/evil", text: "x"}},
		"twice":            {{name: "a", text: "x"}, {name: "a", text: "y"}},
		"link then file":   {{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "a", text: "y"}},
		"hard link":        {{name: "a", kind: tar.TypeLink, link: "/etc/passwd"}},
		"device":           {{name: "a", kind: tar.TypeChar}},
		"pipe":             {{name: "a", kind: tar.TypeFifo}},
		"too many":         {{name: "1"}, {name: "2"}, {name: "3"}, {name: "4"}},
		"too large":        {{name: "1", text: strings.Repeat("x", 2000)}},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "a", "b")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := agent.Untar(bytes.NewReader(archive(t, entries...)), dir, 3, 1000); err == nil {
				t.Error("unpacked")
			}
			for _, path := range append(tree(t, parent), tree(t, outside)...) {
				if filepath.Base(path) == "evil" && !strings.HasPrefix(path, dir) {
					t.Errorf("wrote %s", path)
				}
			}
		})
	}
	if err := agent.Untar(strings.NewReader("not gzip"), t.TempDir(), 3, 1000); err == nil {
		t.Error("unpacked what is no archive")
	}
}

// stubborn is a scenario that ignores TERM, and leaves such a process in a
// session of its own as well.
const stubborn = `trap '' TERM
setsid bash -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 0.05; done' &
echo $$ >>pids
while :; do sleep 0.05; done
`

// alive returns those of the processes named in the file that are not gone.
func alive(t testing.TB, path string) (left []string) {
	t.Helper()
	for _, s := range lines(t, path) {
		pid, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil {
			left = append(left, s)
		}
	}
	return left
}

func TestKillTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("processes that leave their session are found on Linux only")
		return
	}
	t.Parallel()
	h := start(t, agent.Config{})
	for _, c := range []struct {
		name  string
		end   func(id string)
		spec  func(*sparky.Spec)
		state sparky.Code
		cause flow.Cause
		error string
	}{
		{"cancel", func(id string) { h.do("POST", "/cancel/project/cancel/"+id, "") }, func(*sparky.Spec) {}, sparky.CodeCancelled, flow.CauseCancelled, "cancelled"},
		{"timeout", func(string) {}, func(s *sparky.Spec) { s.Timeout = 1 }, sparky.CodeFailed, flow.CauseTimeout, "timed out after 1s"},
		{"lease", func(string) {}, func(s *sparky.Spec) { s.Lease = 1 }, sparky.CodeCancelled, flow.CauseCancelled, "orchestrator silent for 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := scenarios(t, "x", stubborn)
			pids := filepath.Join(dir, "pids")
			spec := inDir(dir, "x")
			c.spec(&spec)
			id := h.queue(c.name, spec)
			waitFor(t, func() bool { return len(lines(t, pids)) == 2 })
			at := time.Now()
			c.end(id)
			if c.name == "lease" { // be silent until it ended
				waitFor(t, func() bool { return len(alive(t, pids)) == 0 })
			}
			st, log := h.wait(c.name, id)
			if st.State != c.state || st.Cause != c.cause || st.Error != c.error || !strings.Contains(log, "meta: cancelled\n"+c.error) {
				t.Errorf("%+v %q", st, log)
			}
			if left := alive(t, pids); len(left) > 0 {
				t.Errorf("still there: %v", left)
			}
			if took := time.Since(at); took > sparky.KillGrace+10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// Agents that share a machine leave each other's jobs alone, also those of the
// same id.
func TestKillOwn(t *testing.T) {
	a, b := start(t, agent.Config{}), start(t, agent.Config{})
	dirs := [2]string{scenarios(t, "x", stubborn), scenarios(t, "x", stubborn)}
	id := newID()
	for i, h := range []*host{a, b} {
		if code, body := h.do("POST", "/queue", queueBody("p", id, inDir(dirs[i], "x"))); code != 200 {
			t.Fatal(body)
		}
		waitFor(t, func() bool { return len(lines(t, filepath.Join(dirs[i], "pids"))) == 2 })
	}
	a.do("POST", "/cancel/project/p/"+id, "")
	if st, log := a.wait("p", id); st.State != sparky.CodeCancelled || len(alive(t, filepath.Join(dirs[0], "pids"))) > 0 {
		t.Errorf("%+v %s", st, log)
	}
	if left := alive(t, filepath.Join(dirs[1], "pids")); len(left) != 2 {
		t.Errorf("the other agent's processes that are there: %v", left)
	}
	b.do("POST", "/cancel/project/p/"+id, "")
	b.wait("p", id)
}

func TestCancelQueued(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "gate", gate)
	first := h.queue("p", named(dir, "first"))
	second, third := h.queue("p", named(dir, "second")), h.queue("p", named(dir, "third"))
	if code, body := h.do("POST", "/cancel/project/p/"+second, ""); code != 200 || body != second+".terminate" {
		t.Errorf("%d %s", code, body)
	}
	if st := h.poll("p", second, ""); st.State != sparky.CodeCancelled || st.Cause != flow.CauseCancelled || !st.StartedAt.IsZero() {
		t.Errorf("%+v", st)
	}
	touch(t, filepath.Join(dir, "all.go"))
	for _, id := range []string{first, third} {
		if st, _ := h.wait("p", id); st.State != sparky.CodeOK {
			t.Errorf("%+v", st)
		}
	}
	// Of an ended job it changes nothing.
	h.do("POST", "/cancel/project/p/"+first, "")
	if st := h.poll("p", first, ""); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
	if got := strings.Join(lines(t, filepath.Join(dir, "order")), " "); strings.Contains(got, "second") {
		t.Errorf("it ran: %s", got)
	}
}

// TestLeaseIsKeptByPolling asks for a job more often than its lease.
func TestLeaseIsKeptByPolling(t *testing.T) {
	h := start(t, agent.Config{})
	spec := inDir(scenarios(t, "x", "sleep 2.5\n"), "x")
	spec.Lease = 1
	if st, _ := h.wait("p", h.queue("p", spec)); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
}

func TestLogFlood(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	const mb = 300
	dir := scenarios(t, "x", fmt.Sprintf("echo begin; yes | head -c %d; printf '\\xff\\x00'; echo; echo end; exit 5\n", mb<<20))
	id := h.queue("p", inDir(dir, "x"))
	var before, peak runtime.MemStats
	runtime.ReadMemStats(&before)
	h.until("p", id, func(st sparky.JobStatus, _ string) bool {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		if now.HeapInuse > peak.HeapInuse {
			peak = now
		}
		return st.State.Ended()
	})
	if grown := int64(peak.HeapInuse) - int64(before.HeapInuse); grown > 96<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	st := h.poll("p", id, "")
	if st.ExitCode != 5 || st.Cause != flow.CauseTask || st.LogSize > 17<<20 {
		t.Errorf("%+v", st)
	}
	_, log := h.do("GET", "/report/raw/p/"+id, "")
	if int64(len(log)) != st.LogSize || !strings.HasPrefix(log, "meta: step=tom-x\nbegin\ny\n") || !strings.HasSuffix(log, "\nend\nmeta: result=failed step=tom-x exit=5\n") ||
		!strings.Contains(log, " bytes are cut here: the log is longer than 16777216 bytes ---\n") {
		t.Errorf("%d bytes, %.100q … %.100q", len(log), log, log[max(0, len(log)-100):])
	}
	if fi, err := os.Stat(filepath.Join(root, "logs", id+".log")); err != nil || fi.Size() != st.LogSize {
		t.Errorf("%v %v", fi, err)
	}
}
