//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// poolKeys are the configuration of a pool that hosts join.
const poolToken = "cromt-pool-IT5ASECRETTOEVERYBODYIT5ASECRETTOEVERYBODY"

// newPoolSite starts the App with a pool that hosts join, and without others.
func newPoolSite(t *testing.T, database string) *appSite {
	t.Helper()
	s := bareAppSite(t)
	s.repo = s.gh.AddRepo(actionRepo)
	s.install = s.installation(actionRepo)
	s.file("join.key", strings.Repeat("k", 40))
	s.file("token", poolToken)
	if database == "" {
		database = "sqlite:" + filepath.Join(s.dir, "cromt.db")
	}
	s.configure(database, "", `
pools:
  builders:
    register: true
    join_key_file: join.key
    join_token_sha256: ["`+sumOf(poolToken)+`"]
    repos: ["octo/*"]
`)
	s.start()
	return s
}

// poolAgent is a registered agent as a process of its own.
type poolAgent struct {
	*exec.Cmd
	t     *testing.T
	log   *syncBuffer
	ended chan error
}

// register starts an agent that registers. Its root outlives the process.
func (s *appSite) register(url, name string, args ...string) *poolAgent {
	s.t.Helper()
	return s.registerBy(cromtBinary(), url, name, args...)
}

// registerBy is register with another program than cromt itself.
func (s *appSite) registerBy(program, url, name string, args ...string) *poolAgent {
	s.t.Helper()
	args = append([]string{"agent", "--register", url, "--pool", "builders", "--name", name, "--root", filepath.Join(s.dir, "agents", name), "-v"}, args...)
	a := &poolAgent{Cmd: exec.Command(program, args...), t: s.t.(*testing.T), log: &syncBuffer{}, ended: make(chan error, 1)}
	a.Stderr = a.log
	a.Env = append(os.Environ(), "HOME="+filepath.Join(s.dir, "home", name)) // by which jobs know where they are
	if err := os.MkdirAll(filepath.Join(s.dir, "home", name), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { a.ended <- a.Wait() }()
	s.t.Cleanup(func() {
		_ = a.Process.Kill()
		if s.t.Failed() {
			s.t.Logf("log of agent %s:\n%s", name, a.log)
		}
	})
	return a
}

// connected waits until the agent is connected.
func (s *appSite) connected(a *poolAgent) *poolAgent {
	s.t.Helper()
	s.eventually("the agent is connected", func() bool { return strings.Contains(a.log.String(), "msg=connected") })
	return a
}

// exit waits for the end of the process and returns its code.
func (a *poolAgent) exit() int {
	a.t.Helper()
	select {
	case err := <-a.ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return 0
	case <-time.After(time.Minute):
		a.t.Fatalf("the agent does not end:\n%s", a.log)
		return -1
	}
}

// onPool is a flow that runs .tom/step.bash of a folder on the pool. Its jobs
// append what they say to the file log.
func (s *appSite) onPool(script, extra string) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "work")
	if err := os.MkdirAll(filepath.Join(dir, ".tom"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.file("work/.tom/step.bash", script)
	return fmt.Sprintf("projects:\n  app:\n    path: %s\n    action: step\n    trigger: true\n    vars: {DIR: %s}\n    pool: builders\n%s", dir, s.dir, extra)
}

func (s *appSite) said() string {
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(log)
}

func (s *appSite) token(args ...string) string {
	s.t.Helper()
	out, err := exec.Command(cromtBinary(), append([]string{"token", "--config", filepath.Join(s.dir, "bot.yaml"), "--pool", "builders"}, args...)...).Output()
	if err != nil {
		s.t.Fatalf("token: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// A push's jobs run on hosts that have announced themselves, and that listen
// nowhere. A one-time token lets one host in, once; the host comes back without.
func TestServeRegister(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	s.file("once", s.token())
	url := "http://" + s.addr
	a := s.connected(s.register(url, "vm-1", "--join-token-file", filepath.Join(s.dir, "once"), "--labels", "linux,fast"))
	b := s.connected(s.register(url, "vm-2", "--join-token-file", filepath.Join(s.dir, "token"), "--labels", "linux"))
	for _, a := range []*poolAgent{a, b} {
		if l := listeningPorts(t, a.Process.Pid); len(l) > 0 {
			t.Errorf("the agent listens: %v", l)
		}
	}
	sha := strings.Repeat("a", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onPool("echo run >> $DIR/log\necho hello\n", "    labels: [linux]\n    workers: 6\n")})
	if k := s.concluded("cromt", sha); k.Conclusion != "success" || !strings.Contains(k.Summary, "2 hosts") {
		t.Errorf("%+v", k)
	}
	if got := s.said(); got != strings.Repeat("run\n", 6) {
		t.Errorf("ran %q", got)
	}
	sha = strings.Repeat("b", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onPool("echo only >> $DIR/log\n", "    labels: [fast]\n    workers: 3\n")})
	if k := s.concluded("cromt", sha); k.Conclusion != "success" || !strings.Contains(k.Summary, "1 host,") {
		t.Errorf("%+v", k)
	}
	if got := s.sql("SELECT group_concat(DISTINCT host) FROM jobs WHERE run = (SELECT id FROM runs WHERE sha LIKE 'bbbb%')"); got != "agent://vm-1.builders" {
		t.Errorf("ran on %s", got)
	}

	// The token is of no use to another one, and a wrong one never was.
	for name, token := range map[string]string{"vm-3": s.token("--ttl", "1ns"), "vm-4": "cromt-pool-wrong", "vm-5": readFileText(t, filepath.Join(s.dir, "once"))} {
		s.file("other", token)
		c := s.register(url, name, "--join-token-file", filepath.Join(s.dir, "other"))
		if code := c.exit(); code != exitInfra || !strings.Contains(c.log.String(), "the orchestrator refuses this agent") {
			t.Errorf("%s: exit %d\n%s", name, code, c.log)
		}
	}
	// The credential is the host's own, and nobody else can read it.
	file := filepath.Join(s.dir, "agents", "vm-1", "member.json")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	thief := filepath.Join(s.dir, "thief")
	if err := os.Mkdir(thief, 0o700); err != nil {
		t.Fatal(err)
	}
	s.file("thief/member.json", fmt.Sprintf(`{"url":%q,"pool":"builders","name":"vm-1","credential":"guessed","joined":true}`, url))
	if c := s.register(url, "vm-1", "--root", thief); c.exit() != exitInfra || !strings.Contains(c.log.String(), "the credential is not that of a member") {
		t.Errorf("a guessed credential:\n%s", c.log)
	}
	_ = a.Process.Kill()
	a.exit()
	s.connected(s.register(url, "vm-1", "--labels", "linux,fast"))
	if n := s.sql("SELECT count(*) FROM members WHERE pool = 'builders'"); n != "2" {
		t.Errorf("%s members", n)
	}
	if strings.Contains(s.sql("SELECT group_concat(credential) FROM members")+s.log.String(), strings.Split(readFileText(t, file), `"credential":"`)[1][:20]) {
		t.Error("the App keeps a credential")
	}
}

// An agent that is killed: what it ran is lost, or retried if the file says
// so; what waits for a place gets it elsewhere.
func TestServeRegisterKilled(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	url, token := "http://"+s.addr, filepath.Join(s.dir, "token")
	a := s.connected(s.register(url, "vm-1", "--join-token-file", token, "--max-jobs", "1"))
	// The first to run never ends on vm-1.
	script := "echo ${HOME##*/} >> $DIR/log\nif test ${HOME##*/} = vm-1; then sleep 600; fi\n"
	once := strings.Repeat("c", 40)
	s.push(once, map[string]string{"jobs.yaml": s.onPool(script, "    workers: 3\n")})
	s.eventually("one runs", func() bool { return s.said() == "vm-1\n" })
	_ = a.Process.Kill()
	a.exit()
	s.connected(s.register(url, "vm-2", "--join-token-file", token, "--max-jobs", "1"))
	k := s.concluded("cromt", once)
	if k.Conclusion != "failure" || !strings.Contains(k.Summary, "lost") {
		t.Errorf("%+v", k)
	}
	if got := s.said(); got != "vm-1\nvm-2\nvm-2\n" {
		t.Errorf("ran %q", got)
	}
	if got := s.sql("SELECT count(*) FROM jobs WHERE conclusion = 'success' AND host = 'agent://vm-2.builders'"); got != "2" {
		t.Errorf("%s succeeded", got)
	}
}

// As before, with retry.on: [lost].
func TestServeRegisterRetried(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	url, token := "http://"+s.addr, filepath.Join(s.dir, "token")
	a := s.connected(s.register(url, "vm-1", "--join-token-file", token, "--max-jobs", "1"))
	script := "echo ${HOME##*/} >> $DIR/log\nif test ${HOME##*/} = vm-1; then sleep 600; fi\n"
	sha := strings.Repeat("d", 40)
	s.push(sha, map[string]string{"jobs.yaml": s.onPool(script, "    retry: {limit: 1, on: [lost], delay: 100ms}\n")})
	s.eventually("it runs", func() bool { return s.said() == "vm-1\n" })
	s.connected(s.register(url, "vm-2", "--join-token-file", token, "--max-jobs", "1"))
	_ = a.Process.Kill()
	a.exit()
	if k := s.concluded("cromt", sha); k.Conclusion != "success" {
		t.Errorf("%+v", k)
	}
	if got := s.said(); got != "vm-1\nvm-2\n" {
		t.Errorf("ran %q", got)
	}
}

// TERM takes an agent out of its pool: its job goes on, what comes then runs
// elsewhere, and it ends by itself. Its metrics say what waits.
func TestServeRegisterDrain(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	if got := s.metric(`cromt_pool_waiting_jobs{pool="builders"}`); got != "0" { // from zero
		t.Errorf("waiting: %q", got)
	}
	url, token := "http://"+s.addr, filepath.Join(s.dir, "token")
	first := strings.Repeat("e", 40)
	s.push(first, map[string]string{"jobs.yaml": s.onPool("echo ${HOME##*/} >> $DIR/log\nuntil test -e $DIR/gate; do sleep 0.05; done\necho end >> $DIR/log\n", "")})
	s.eventually("it waits", func() bool { return s.metric(`cromt_pool_waiting_jobs{pool="builders"}`) == "1" })
	a := s.connected(s.register(url, "vm-1", "--join-token-file", token, "--max-jobs", "2"))
	s.eventually("it runs", func() bool { return s.said() == "vm-1\n" })
	if got := s.metric(`cromt_pool_slots{pool="builders",state="free"}`); got != "1" {
		t.Errorf("free: %q", got)
	}
	_ = a.Process.Signal(syscall.SIGTERM)
	s.eventually("it drains", func() bool { return strings.Contains(a.log.String(), "draining: 1 jobs go on") })
	s.eventually("the App knows", func() bool { return s.metric(`cromt_pool_slots{pool="builders",state="free"}`) == "0" })
	s.connected(s.register(url, "vm-2", "--join-token-file", token))
	second := strings.Repeat("f", 40)
	s.push(second, map[string]string{"jobs.yaml": "overlap: allow\n" + s.onPool("echo ${HOME##*/} >> $DIR/log\nuntil test -e $DIR/gate; do sleep 0.05; done\necho end >> $DIR/log\n", "")})
	s.eventually("the next one runs elsewhere", func() bool { return s.said() == "vm-1\nvm-2\n" })
	s.file("gate", "")
	for _, sha := range []string{first, second} {
		if k := s.concluded("cromt", sha); k.Conclusion != "success" {
			t.Errorf("%+v", k)
		}
	}
	if code := a.exit(); code != exitOK || !strings.Contains(a.log.String(), "cromt: drained") {
		t.Errorf("exit %d\n%s", code, a.log)
	}
	s.eventually("it is forgotten", func() bool { return s.sql("SELECT count(*) FROM members") == "1" })
}

// A second signal ends an agent at once.
func TestServeRegisterSecondSignal(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	a := s.connected(s.register("http://"+s.addr, "vm-1", "--join-token-file", filepath.Join(s.dir, "token")))
	s.push(strings.Repeat("1", 40), map[string]string{"jobs.yaml": s.onPool("echo ${HOME##*/} >> $DIR/log\nsleep 600\n", "")})
	s.eventually("it runs", func() bool { return s.said() == "vm-1\n" })
	_ = a.Process.Signal(syscall.SIGTERM)
	s.eventually("it drains", func() bool { return strings.Contains(a.log.String(), "draining: 1 jobs go on") })
	_ = a.Process.Signal(syscall.SIGTERM)
	a.exit()
	if k := s.concluded("cromt", strings.Repeat("1", 40)); k.Conclusion != "failure" || !strings.Contains(k.Summary, "lost") {
		t.Errorf("%+v", k)
	}
}

// A repository uses the pools that the configuration lists for it: neither
// others, nor hosts that its own file names, nor members by their address.
func TestServeRegisterTrust(t *testing.T) {
	t.Parallel()
	s := newPoolSite(t, "")
	for i, c := range []struct{ config, want string }{
		{"projects:\n  app: {path: /x, trigger: true, pool: others}\n", "others"},
		{"pools:\n  mine: {hosts: [{url: http://169.254.169.254:4000}]}\nprojects:\n  app: {path: /x, trigger: true, pool: mine}\n", "mine"},
		{"projects:\n  app: {path: /x, trigger: true, url: \"agent://vm-1.builders\"}\n", "agent://vm-1.builders"},
	} {
		sha := strings.Repeat(fmt.Sprint(i+1), 40)
		s.push(sha, map[string]string{"jobs.yaml": c.config})
		if k := s.concluded("cromt", sha); k.Conclusion != "failure" || !strings.Contains(fmt.Sprint(k.Annotations), c.want) {
			t.Errorf("%q: %+v", c.want, k)
		}
	}
}

// metric is a value that the App exports.
func (s *appSite) metric(name string) string {
	s.t.Helper()
	resp, err := http.Get("http://" + s.addr + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
