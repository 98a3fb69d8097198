//go:build linux

package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
