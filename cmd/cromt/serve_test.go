//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onHosts is a flow that runs .tom/step.bash of a folder on both hosts.
func (s *appSite) onHosts(script, extra string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "work")
	if err := os.MkdirAll(filepath.Join(dir, ".tom"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.file("work/.tom/step.bash", script)
	return fmt.Sprintf("projects:\n  app:\n    path: %s\n    action: step\n    trigger: true\n    vars: {DIR: %s}\n    hosts:\n      - url: %s\n      - url: %s\n%s", dir, s.dir, s.hosts[0], s.hosts[1], extra)
}

func TestServePush(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	sha := strings.Repeat("a", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onHosts("echo run >> $DIR/log\necho hello\n", "")})
	k := s.concluded("cromt", sha)
	if k.Conclusion != "success" || !strings.Contains(k.Summary, "hostA") || !strings.HasPrefix(k.DetailsURL, "http://127.0.0.1:8080/runs/") {
		t.Errorf("%+v", k)
	}
	for _, host := range []string{"hostA", "hostB"} {
		if k := s.concluded("cromt / app@"+host, sha); k.Conclusion != "success" || !strings.Contains(k.Text, "hello") {
			t.Errorf("%+v", k)
		}
	}
	if log, err := os.ReadFile(filepath.Join(s.dir, "log")); err != nil || string(log) != "run\nrun\n" {
		t.Errorf("ran %q, %v", log, err)
	}
}

// A configuration that is wrong is a failing check with annotations on its
// lines; one that names a host that is not the App's as well.
func TestServeWrongConfiguration(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	for i, c := range []struct{ config, want string }{
		{"projects:\n  app:\n    pth: /x\n", `did you mean "path"`},
		{"projects:\n  app:\n    path: /x\n    trigger: true\n    url: http://169.254.169.254:4000\n", "is not one that octo/app may use"},
	} {
		sha := strings.Repeat(fmt.Sprint(i+1), 40)
		s.push(sha, map[string]string{"jobs.yaml": c.config})
		k := s.concluded("cromt", sha)
		if k.Conclusion != "failure" || len(k.Annotations) == 0 || !strings.Contains(fmt.Sprint(k.Annotations), c.want) {
			t.Errorf("%q: %+v", c.want, k)
		}
	}
}

// A commit for which nothing is to run has a check that says so: it may be
// required.
func TestServeNothingToRun(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	sha := strings.Repeat("b", 40)
	s.push(sha, map[string]string{"jobs.yaml": "projects:\n  app: {path: /x}\n"})
	if k := s.concluded("cromt", sha); k.Conclusion != "success" || k.Title != "nothing to run" || !strings.Contains(k.Summary, "it has no trigger") {
		t.Errorf("%+v", k)
	}
}

// A process that is killed leaves its run to the next one: nothing runs twice.
func TestServeKilled(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "")
	sha := strings.Repeat("c", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onHosts("echo run >> $DIR/log\nuntil test -e $DIR/gate; do sleep 0.05; done\n", "")})
	s.eventually("both jobs run", func() bool {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return string(log) == "run\nrun\n"
	})
	s.kill()
	s.start()
	s.file("gate", "")
	if k := s.concluded("cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); string(log) != "run\nrun\n" {
		t.Errorf("ran %q", log)
	}
}
