//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The texts of the article that Cromtit was announced with, as printed: its
// files, and its jobs.yaml of each topic. Only the URLs in them are replaced.
const (
	articleScenario = `#!raku
task-run "tasks/hello", %(
  worker => %*ENV<WORKER>
);
`
	articleTask = `echo "Hello worker " $(config worker)!
`
	articleFlow = `projects:
  job1:
    path: https://github.com/melezhik/myjobs.git
    action: hello
    hosts:
      -
        url: https://hostA:4000
        vars:
          WORKER: A
      -
        url: https://hostB:4000
        vars:
          WORKER: B
      -
        url: https://hostC:4000
        vars:
          WORKER: C  
`
	articleDependencies = `projects:
  jobA:
    path: https://github.com/melezhik/application.git
    action: deploy
    hosts:
      -
        url: https://app:4000
    before:
       -
         name: jobB # app needs a database
  jobB:
    path: https://github.com/melezhik/database.git
    action: deploy
    hosts:
      -
        url: https://database:4000
    before:
       -
         name: jobC # database needs a network
  jobC:
    path: https://github.com/melezhik/network.git
    action: deploy
    hosts:
      -
        url: https://infra:4000
`
	articleCreate = `echo "Hello worker " $(config worker)!
mkdir -p out
touch out/patch.sql
`
	articleDeploy = `echo "Hello " $(config worker)
cat .artifacts/patch.sql
`
	articleArtifacts = `projects:
  jobA:
    path: https://github.com/melezhik/database
    action: deploy
    hosts:
      -
        url: https://database:4000
    artifacts:
       in:  
       - patch.sql
    before:
       -
         name: jobB # database needs a migration file
  jobB:
    path: https://github.com/melezhik/db-tools.git
    action: create
    hosts:
      -
        url: https://host1:4000
    artifacts:
       out:  
       -
         file: patch.sql
         path: out/patch.sql
  
`
)

var articleHosts = []string{"https://hostA:4000", "https://hostB:4000", "https://hostC:4000"}

// TestArticle follows the article's three steps.
func TestArticle(t *testing.T) {
	s := newArticleSite(t, articleHosts...)
	s.project("https://github.com/melezhik/myjobs.git", map[string]string{"hello": articleTask})
	s.apply(articleFlow)
	for how, b := range map[string]build{"form": s.start("job1"), "route": s.post("job1")} {
		text := s.ends(b, "1")
		for _, worker := range []string{"A", "B", "C"} {
			if n := strings.Count(text, ":: Hello worker  "+worker+"!\n"); n != 1 {
				t.Errorf("%s: worker %s said hello %d times\n%s", how, worker, n, text)
			}
		}
		if n := strings.Count(text, "[task run: task.bash - tasks/hello]\n"); n != 3 {
			t.Errorf("%s: %d tasks\n%s", how, n, text)
		}
	}
	for printed, host := range s.hosts {
		if got := s.remote(host); got != "OK" {
			t.Errorf("%s says %q", printed, got)
		}
	}
}

// TestArticleDependencies: jobA depends on jobB, which depends on jobC.
func TestArticleDependencies(t *testing.T) {
	s := newArticleSite(t, "https://app:4000", "https://database:4000", "https://infra:4000")
	order := filepath.Join(s.home, "order")
	for _, name := range []string{"application", "database", "network"} {
		s.project("https://github.com/melezhik/"+name+".git", map[string]string{
			"deploy": fmt.Sprintf("echo begin %s >>%s\nsleep 0.2\necho end %[1]s >>%[2]s\n", name, order),
		})
	}
	s.apply(articleDependencies)
	s.ends(s.start("jobA"), "1")
	got, err := os.ReadFile(order)
	if want := "begin network\nend network\nbegin database\nend database\nbegin application\nend application\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// TestArticleArtifacts: jobA is given the file that jobB has made.
func TestArticleArtifacts(t *testing.T) {
	s := newArticleSite(t, "https://database:4000", "https://host1:4000")
	s.project("https://github.com/melezhik/db-tools.git", map[string]string{"create": articleCreate})
	s.project("https://github.com/melezhik/database", map[string]string{"deploy": articleDeploy})
	s.apply(articleArtifacts)
	text := s.ends(s.start("jobA"), "1")
	made, used := strings.Index(text, "Hello worker  !"), strings.Index(text, "Hello \n")
	if made < 0 || used < made {
		t.Errorf("made at %d, used at %d\n%s", made, used, text)
	}

	// An empty file could be missing as well: what is in it arrives.
	create := filepath.Join("tasks", "create", "task.bash")
	write(t, filepath.Join(s.home, "db-tools", create), articleCreate+"echo 'ALTER TABLE a' >out/patch.sql\n")
	s.run("db-tools", "git", "commit", "-q", "-a", "-m", "second")
	s.run("db-tools", "git", "push", "-q", "origin", "main")
	if text := s.ends(s.start("jobA"), "1"); !strings.Contains(text, ":: ALTER TABLE a\n") {
		t.Errorf("the file's text is not in\n%s", text)
	}
}

// TestArticleCancel: the Cancel of the local Sparky's page reaches the hosts.
func TestArticleCancel(t *testing.T) {
	s := newArticleSite(t, articleHosts...)
	task, pids := s.waiting()
	s.project("https://github.com/melezhik/myjobs.git", map[string]string{"hello": task})
	s.apply(articleFlow)
	b := s.start("job1")
	s.until(b, "at work on all hosts", func() bool { return len(pids()) == 3 })
	_, page := s.browse(http.MethodGet, b.page)
	s.browse(http.MethodPost, s.local+s.find(cancelForm, page, 1))
	text := s.ends(b, "-11")
	if n := strings.Count(text, "* ✗ cancelled in "); n != 3 || strings.Count(text, "confirmed it") != 2*n || !strings.HasSuffix(text, "Terminated\n") {
		t.Errorf("%d hosts confirmed it\n%s", n, text)
	}
	s.cancelled(func() string { return text }, pids())
}

// TestArticleCancelOfRaku: a real Sparky has Raku run the sparrowfile under
// script, on a terminal. Its cancel sends TERM to all that it finds below, and
// the terminal hangs up when script ends.
func TestArticleCancelOfRaku(t *testing.T) {
	s := newArticleSite(t, articleHosts...)
	task, pids := s.waiting()
	s.project("https://github.com/melezhik/myjobs.git", map[string]string{"hello": task})
	s.apply(articleFlow)
	dir := filepath.Join(s.home, ".sparky", "projects", "job1")
	write(t, filepath.Join(s.home, "lib", "Sparrow6", "DSL.rakumod"), "unit module Sparrow6::DSL;\n")
	write(t, filepath.Join(s.home, "sparrowrun.sh"), "export SP6_FORMAT_COLOR=1\nraku -I ../../../lib -MSparrow6::DSL sparrowfile\nexit $?\n")
	report := filepath.Join(s.home, "report.txt")
	cmd := exec.Command("script", "-q", "-e", "-c", "bash "+filepath.Join(s.home, "sparrowrun.sh"), report)
	cmd.Dir, cmd.Env = dir, s.env()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	text := func() string {
		data, _ := os.ReadFile(report)
		return string(data)
	}
	await(t, "at work on all hosts", text, func() bool { return len(pids()) == 3 })
	below := descendants(t, cmd.Process.Pid)
	for _, pid := range below {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Errorf("TERM to %d: %v", pid, err)
		}
	}
	select {
	case <-ended: // the terminal is gone
	case <-time.After(30 * time.Second):
		t.Fatalf("script has not ended\n%s", text())
	}
	cromt := below[len(below)-1]
	for _, host := range s.hosts {
		await(t, "TERM on a host", text, func() bool {
			here := alive(cromt)
			there := s.remote(host) != "TERM"
			if there && !here {
				t.Fatalf("cromt has ended before its jobs\n%s", text())
			}
			return !there
		})
	}
	s.cancelled(text, pids())
	await(t, "ended", text, func() bool {
		for _, pid := range below {
			if alive(pid) {
				return false
			}
		}
		return true
	})
}
