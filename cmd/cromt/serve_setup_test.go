//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cromt/cromt/bot/githubapp"
	"github.com/cromt/cromt/bot/githubtest"
)

// The App is made with the page, on a GitHub Enterprise server, the program
// ends, and what it has written is a configuration that --check looks at.
func TestServeSetup(t *testing.T) {
	t.Parallel()
	gh := githubtest.New(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "bot.yaml")
	args := []string{"serve", "--setup", "--config", file, "--listen", "127.0.0.1:0", "--public-url", "https://cromt.example.com", "--api-url", gh.URL() + "/api/v3"}
	cmd := exec.Command("cromt", args...)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var page string
	said := bufio.NewReader(stderr)
	for page == "" {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatal(err, line)
		}
		if at, ok := strings.CutPrefix(strings.TrimSpace(line), "cromt: open "); ok {
			page = at
		}
	}
	ask := func(r *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%d %s %v", r.StatusCode, body, err)
		}
		return string(body)
	}
	ask(http.Get(page))
	body := ask(http.PostForm(page, url.Values{"public_url": {"https://cromt.example.com"}, "name": {"cromt"}, "merge_queues": {"1"}}))
	state := regexp.MustCompile(`\?state=([A-Z0-9]+)"`).FindStringSubmatch(body)
	manifest := regexp.MustCompile(`name="manifest" value="([^"]*)"`).FindStringSubmatch(body)
	var m githubapp.Manifest
	if state == nil || manifest == nil || json.Unmarshal([]byte(html.UnescapeString(manifest[1])), &m) != nil {
		t.Fatal(body)
	}
	code, made := gh.MakeApp("cromt")
	gh.SetApp(made.ID, githubtest.AppSettings{Permissions: m.Permissions, Events: m.Events, HookURL: m.Hook.URL})
	ask(http.Get(m.RedirectURL + "?" + url.Values{"code": {code}, "state": {state[1]}}.Encode()))
	rest, _ := io.ReadAll(said)
	if err := cmd.Wait(); err != nil || !strings.Contains(string(rest), "install it: ") || strings.Contains(string(rest), made.ClientSecret) {
		t.Errorf("%v\n%s", err, rest)
	}
	out, err := exec.Command("cromt", "serve", "--config", file, "--check").Output()
	if err != nil || !strings.Contains(string(out), "installed nowhere") || !strings.Contains(string(out), "nothing is wrong") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command("cromt", args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "is there already") {
		t.Errorf("a second time: %v\n%s", err, out)
	}
}

// checked is what --check says of the site's configuration, and its exit code.
func (s *appSite) checked() (string, int) {
	s.t.Helper()
	cmd := exec.Command("cromt", "serve", "--config", filepath.Join(s.dir, "bot.yaml"), "--check")
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestServeCheck(t *testing.T) {
	t.Parallel()
	s := newAppSite(t, "") // which runs: to check is possible meanwhile
	required, _ := githubapp.Needed()
	set := githubtest.AppSettings{Permissions: required, Events: []string{"push", "pull_request", "issue_comment", "check_run", "check_suite", "merge_group"}, HookURL: "http://127.0.0.1:8080/webhook"}
	s.gh.SetApp(s.app, set)
	s.gh.SetEvents(s.install, set.Events...)
	out, code := s.checked()
	for _, want := range []string{"ok     database       it answers; its schema is", "ok     github app     cromt", "ok     webhook        http://127.0.0.1:8080/webhook",
		"ok     installation   octo: 1 of its repositories, 1 with a host", "ok     host           hostA, " + s.hosts[0] + ": cromt devel", "nothing is wrong"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if code != 0 || strings.Contains(out, "WRONG") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	s.kill()

	// Everything is wrong.
	other := s.gh.AddInstallation(s.app, "acme", nil, map[string]string{"checks": "read", "metadata": "read"})
	s.gh.SetEvents(other, "push")
	delete(required, "issues")
	set.Permissions, set.Events, set.HookURL = required, []string{"push"}, "https://elsewhere.example.com/webhook"
	s.gh.SetApp(s.app, set)
	s.file("right", "right")
	_, guarded := startAgentProcess(t, "--token-file", filepath.Join(s.dir, "right"))
	s.file("wrong", "wrong")
	config, err := os.ReadFile(filepath.Join(s.dir, "bot.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.file("bot.yaml", string(config)+fmt.Sprintf("  - url: http://127.0.0.1:1\n    name: gone\n    repos: [octo/app]\n  - url: %s\n    name: guarded\n    token_file: wrong\n    repos: [octo/app]\n", guarded))
	for _, name := range []string{"cromt.db-wal", "cromt.db-shm"} {
		_ = os.Remove(filepath.Join(s.dir, name))
	}
	s.file("cromt.db", "no database at all, but long enough to be taken for the header of one: it is not")
	out, code = s.checked()
	for _, want := range []string{
		"WRONG  database       database: ", "WRONG  permissions    the App lacks issues: write", "WRONG  events         the App is not told of check_run, check_suite, issue_comment, pull_request",
		"WRONG  webhook        it goes to https://elsewhere.example.com/webhook and not to http://127.0.0.1:8080/webhook",
		"WRONG  permissions    the installation of acme lacks checks: write, contents: read, issues: write, pull_requests: write",
		"WRONG  host           gone, http://127.0.0.1:1: ", "WRONG  host           guarded, " + guarded + ": it does not take the token (403)", "have acme accept it at",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	_, foreign := s.gh.MakeApp("foreign")
	s.file("app.pem", foreign.PEM)
	if out, code := s.checked(); code != 2 || !strings.Contains(out, "WRONG  github app") || !strings.Contains(out, "check the App's id and private key") {
		t.Errorf("another key: exit %d\n%s", code, out)
	}
}
