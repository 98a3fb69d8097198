//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/bot/githubtest"
)

const webhookSecret = "It's a Secret to Everybody"

// appSite is the App as a process of its own, with a GitHub and two hosts.
type appSite struct {
	t       testing.TB
	gh      *githubtest.Server
	repo    *githubtest.Repo
	dir     string
	hosts   []string // URLs of agents
	app     int64    // its id
	install int64
	log     *syncBuffer
	process *exec.Cmd
	addr    string
	guid    int
	told    bool // its log, after a failure
}

// newAppSite starts the App. extra is more of its configuration.
func newAppSite(t testing.TB, extra string) *appSite {
	t.Helper()
	return appSiteOn(t, "", extra)
}

// appSiteOn is newAppSite on a database; "": SQLite.
func appSiteOn(t testing.TB, database, extra string) *appSite {
	t.Helper()
	s := bareAppSite(t)
	s.repo = s.gh.AddRepo(actionRepo)
	s.install = s.installation(actionRepo)
	s.configure(cmp.Or(database, "sqlite:"+filepath.Join(s.dir, "cromt.db")), s.startHosts(), extra)
	s.start()
	return s
}

// startHosts starts two agents and returns their entries of the configuration.
func (s *appSite) startHosts() string {
	s.t.Helper()
	var hosts strings.Builder
	for _, name := range []string{"hostA", "hostB"} {
		_, url := startAgentProcess(s.t)
		s.hosts = append(s.hosts, url)
		fmt.Fprintf(&hosts, "  - url: %s\n    name: %s\n    repos: [\"octo/*\"]\n", url, name)
	}
	return hosts.String()
}

// bareAppSite is an App that GitHub knows, and no more.
func bareAppSite(t testing.TB) *appSite {
	t.Helper()
	gh := githubtest.New(t)
	s := &appSite{t: t, gh: gh, dir: t.TempDir(), log: &syncBuffer{}}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.app = gh.AddApp("cromt", &key.PublicKey)
	s.file("app.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	s.file("webhook", webhookSecret)
	return s
}

// installation is one of the App for one repository.
func (s *appSite) installation(repo string) int64 {
	return s.gh.AddInstallation(s.app, "octo", []string{repo}, map[string]string{
		"checks": "write", "pull_requests": "write", "issues": "write", "contents": "read", "metadata": "read",
	})
}

// configure writes the configuration; hosts is the list of that name, extra
// what follows it.
func (s *appSite) configure(database, hosts, extra string) {
	s.file("bot.yaml", fmt.Sprintf("listen: 127.0.0.1:0\npublic_url: http://127.0.0.1:8080\ngithub: {app_id: %d, private_key_file: app.pem, webhook_secret_file: webhook, api_url: %q}\ndatabase: %q\nhosts:\n%s%s",
		s.app, s.gh.URL(), database, hosts, extra))
}

func (s *appSite) file(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts the process and waits until it is ready.
func (s *appSite) start() {
	s.t.Helper()
	if err := s.tryStart(); err != nil {
		s.t.Fatal(err)
	}
}

// tryStart starts the process. The error says that it is not ready.
func (s *appSite) tryStart() error {
	p := exec.Command(cromtBinary(), "serve", "--config", filepath.Join(s.dir, "bot.yaml"), "--cache", filepath.Join(s.dir, "cache"))
	stderr, err := p.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	if s.process == nil {
		s.t.Cleanup(s.cleanUp)
	}
	s.process = p
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		fmt.Fprintln(s.log, lines.Text())
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" {
			s.addr = line.Address
			go func() { _, _ = io.Copy(s.log, stderr) }()
			return nil
		}
	}
	return fmt.Errorf("the App is not ready: %w\n%s", p.Wait(), s.log)
}

// cleanUp ends the process, and shows its log after a failure.
func (s *appSite) cleanUp() {
	s.kill()
	if s.t.Failed() && !s.told {
		s.told = true
		s.t.Logf("log of the App:\n%s", s.log)
	}
}

// kill ends the process as a crash does.
func (s *appSite) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// deliver sends a webhook; the repository, sender and installation are added.
func (s *appSite) deliver(event string, payload map[string]any) int {
	s.t.Helper()
	body := payloadOf(actionRepo, s.install, payload)
	s.guid++
	return s.post(event, fmt.Sprintf("%08d-cc78-11e3-81ab-4c9367dc0958", s.guid), body)
}

func (s *appSite) post(event, guid string, body []byte) int {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+s.addr+"/webhook", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	signLetter(r, letter{event: event, guid: guid, body: body})
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// push makes a commit that GitHub knows, with the files, and delivers its push.
func (s *appSite) push(sha string, files map[string]string) {
	s.t.Helper()
	s.repo.AddCommit(sha)
	for name, text := range files {
		s.repo.SetFile(sha, name, text)
	}
	s.repo.SetBranch("main", sha)
	code := s.deliver("push", map[string]any{
		"ref": "refs/heads/main", "before": strings.Repeat("0", 40), "after": sha, "created": true, "deleted": false, "forced": false,
		"head_commit": map[string]any{"id": sha, "message": "one"}, "commits": []any{}, "pusher": map[string]any{"name": "octo"},
	})
	if code != http.StatusAccepted {
		s.t.Errorf("push: %d", code)
	}
}

// eventually waits until the condition holds.
func (s *appSite) eventually(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%s: not within a minute; check runs: %+v", what, s.repo.CheckRuns())
		}
	}
}

// concluded waits until the check run of that name at a commit is completed.
func (s *appSite) concluded(name, sha string) githubtest.CheckRun {
	s.t.Helper()
	var found githubtest.CheckRun
	s.eventually(name+" is concluded", func() bool {
		for _, k := range s.repo.CheckRuns() {
			if k.Name == name && k.HeadSHA == sha && k.Status == "completed" {
				found = k
				return true
			}
		}
		return false
	})
	return found
}
