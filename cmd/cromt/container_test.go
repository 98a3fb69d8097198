//go:build linux

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky/sparkytest"
)

// The article's example of a job in a container, with the container's name and
// the host's address put in.
func TestArticleContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "cromt")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // a container has no libc of ours
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	name := sparkytest.Container(t, sparkytest.Image(t))
	work := filepath.Join(dir, "fastspec")
	write(t, filepath.Join(work, ".tom", "hello.raku"), "#!raku\ntask-run \"tasks/hello\", %(\n  worker => %*ENV<WORKER>\n);\n")
	write(t, filepath.Join(work, "tasks", "hello", "task.bash"), "echo \"Hello worker \" $(config worker)! on $(hostname)\n")
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "first"}} {
		if out, err := exec.Command("git", append([]string{"-C", work}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git: %v\n%s", err, out)
		}
	}
	_, addr := startAgent(t, binary, "127.0.0.1:0", filepath.Join(dir, "agent"))
	conf := filepath.Join(dir, "jobs.yaml")
	write(t, conf, `projects:
  job1:
    path: file://`+work+`
    action: hello
    sparrowdo:
      docker: `+name+`
      no_sudo: true
    vars:
      WORKER: A
    hosts:
      -
        url: http://`+addr+`
`)
	out, err := exec.Command(binary, "run", "--conf", conf).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Hello worker  A! on "+name) {
		t.Errorf("%v\n%s", err, out)
	}
}
