//go:build linux

package agent_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// TestResultNotRecorded keeps the agent from writing results for a while: no
// job may be called passed before its result is on disk.
func TestResultNotRecorded(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	dir := scenarios(t, "x", "echo ran >>ran\n")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(root, "agent.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TRIGGER broken BEFORE UPDATE ON jobs WHEN NEW.state NOT IN (0, -2) BEGIN SELECT RAISE(ABORT, 'the disk is broken'); END`); err != nil {
		t.Fatal(err)
	}
	first, second := h.queue("p", inDir(dir, "x")), h.queue("p", inDir(dir, "x"))
	other := h.queue("q", inDir(dir, "x"))
	waitFor(t, func() bool { return len(lines(t, filepath.Join(dir, "ran"))) >= 2 })
	for id, project := range map[string]string{first: "p", second: "p", other: "q"} {
		if st := h.poll(project, id, "?wait=1&state=0&offset=1000"); st.State.Ended() {
			t.Errorf("%s: %+v, and nothing of it is on disk", id, st)
		}
	}
	if _, err := db.Exec(`DROP TRIGGER broken`); err != nil {
		t.Fatal(err)
	}
	for id, project := range map[string]string{first: "p", second: "p", other: "q"} {
		if st, _ := h.wait(project, id); st.State != sparky.CodeOK {
			t.Errorf("%s: %+v", id, st)
		}
	}
	if n := len(lines(t, filepath.Join(dir, "ran"))); n != 3 {
		t.Errorf("%d jobs ran", n)
	}
}

// TestJobNotRecorded is the same for new jobs: they are not run.
func TestJobNotRecorded(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	dir := scenarios(t, "x", "echo ran >>ran\n")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(root, "agent.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TRIGGER broken BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'the disk is broken'); END`); err != nil {
		t.Fatal(err)
	}
	body := queueBody("p", "again", inDir(dir, "x"))
	if code, answer := h.do("POST", "/queue", body); code != 500 || !strings.Contains(answer, "the disk is broken") {
		t.Errorf("%d %s", code, answer)
	}
	if code, _ := h.do("GET", "/status/p/again", ""); code != 404 {
		t.Errorf("status: %d", code)
	}
	if _, err := db.Exec(`DROP TRIGGER broken`); err != nil {
		t.Fatal(err)
	}
	if code, answer := h.do("POST", "/queue", body); code != 200 || strings.Contains(answer, "attached") {
		t.Errorf("again: %d %s", code, answer)
	}
	if st, _ := h.wait("p", "again"); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
	if n := len(lines(t, filepath.Join(dir, "ran"))); n != 1 {
		t.Errorf("%d jobs ran", n)
	}
}

// TestNoDescriptors: an action that cannot be started for want of a descriptor
// has not failed itself.
func TestNoDescriptors(t *testing.T) {
	h, _ := spawn(t, t.TempDir())
	dir := scenarios(t, "first", "echo up >first; until [ -e go ]; do sleep 0.02; done\n", "second", "true\n")
	spec := inDir(dir, "first")
	spec.Actions = append(spec.Actions, "second")
	id := h.queue("p", spec)
	waitFor(t, func() bool { return len(lines(t, filepath.Join(dir, "first"))) == 1 })
	client := &http.Client{} // whose one connection is there already when no other can be
	defer client.CloseIdleConnections()
	state := func() (st sparky.JobStatus) {
		req := request(t, "GET", h.url+"/status/p/"+id+"?wait=0&state=0&offset=1000000", "")
		req.Header.Set("Accept", "application/json")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(drain(res), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	state()
	limit := syscall.Rlimit{Cur: 4, Max: 1024}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(h.pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	touch(t, filepath.Join(dir, "go"))
	waitFor(t, func() bool { return state().State.Ended() })
	if st := state(); st.State != sparky.CodeFailed || st.Cause != "infrastructure" || !st.Lost {
		t.Errorf("%+v", st)
	}
}

func TestServeTLS(t *testing.T) {
	// A certificate for 127.0.0.1, made by the standard library's test server.
	model := httptest.NewUnstartedServer(nil)
	model.StartTLS()
	defer model.Close()
	roots := x509.NewCertPool()
	roots.AddCert(model.Certificate())

	a, err := agent.Open(agent.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- agent.Serve(ctx, ln, a, &tls.Config{Certificates: model.TLS.Certificates, MinVersion: tls.VersionTLS12})
	}()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	res, err := client.Get("https://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if body := drain(res); !bytes.Equal(body, []byte("ok\n")) {
		t.Errorf("%s", body)
	}
	client.CloseIdleConnections()
	cancel()
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Serve does not end")
	}
}

// TestShutdownEndsPolls stops a server while a client waits.
func TestShutdownEndsPolls(t *testing.T) {
	h := start(t, agent.Config{})
	dir := scenarios(t, "x", "sleep 600\n")
	id := h.queue("p", inDir(dir, "x"))
	h.until("p", id, func(st sparky.JobStatus, log string) bool { return strings.Contains(log, "tom-x") })
	answer := make(chan string, 1)
	sent := make(chan bool)
	go func() {
		req := request(t, "GET", h.url+"/status/p/"+id+"?wait=50&state=0", "")
		close(sent)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- string(drain(res))
	}()
	<-sent
	at := time.Now()
	h.stop()
	if took := time.Since(at); took > 15*time.Second {
		t.Errorf("took %s", took)
	}
	select {
	case <-answer:
	case <-time.After(10 * time.Second):
		t.Error("the poll goes on")
	}
}
