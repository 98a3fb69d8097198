//go:build linux

package agent_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

// TestBrokenUpload cuts a connection in the middle of a file.
func TestBrokenUpload(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PUT /file/project/p/job/f.1/filename/half HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nbegin")
	dir := filepath.Join(root, "files", "p", "f.1")
	waitFor(t, func() bool { e, _ := os.ReadDir(dir); return len(e) == 1 })
	conn.Close()
	waitFor(t, func() bool { e, _ := os.ReadDir(dir); return len(e) == 0 })
	if code, _ := h.do("GET", "/file/p/f.1/half", ""); code != 404 {
		t.Errorf("half a file: %d", code)
	}
}

// TestHostileNames tries to get out of the agent's folder by names.
func TestHostileNames(t *testing.T) {
	outer := t.TempDir()
	root := filepath.Join(outer, "root")
	h := start(t, agent.Config{Root: root})
	if err := os.WriteFile(filepath.Join(outer, "canary"), []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, outer)
	for _, name := range []string{
		"..%2fx", "..%2F..%2Fcanary", "%2e%2e", "%2e%2e%2f%2e%2e%2f%2e%2e%2fcanary", "..", ".", "%2Fetc%2Fpasswd", "%00", "a%00b", "a%0Ab", "-rf", "%2Drf",
		strings.Repeat("x", 300), ".git", "..%5Cx", "%E2%88%95etc", "%EF%BC%8Fetc", "a%20b", "a;b", "$(id)", "%60id%60", "x%27%20or%201=1%20--%20", "..%c0%afx", "%",
	} {
		for _, r := range []struct{ method, path string }{
			{"GET", "/file/p/j/" + name}, {"GET", "/file/" + name + "/j/x"}, {"GET", "/file/p/" + name + "/x"}, {"GET", "/file_view/p/j/" + name},
			{"PUT", "/file/project/p/job/j/filename/" + name}, {"PUT", "/file/project/" + name + "/job/j/filename/x"}, {"PUT", "/file/project/p/job/" + name + "/filename/x"},
			{"GET", "/status/p/" + name}, {"GET", "/status/" + name + "/j"}, {"GET", "/stash/p/" + name}, {"GET", "/report/raw/p/" + name},
			{"POST", "/cancel/project/p/" + name}, {"GET", "/trigger/p/" + name}, {"GET", "/badge/" + name}, {"GET", "/report/" + name + "/1"},
			{"GET", "/report/p/" + name}, {"GET", "/report/p/" + name + "/live"}, {"POST", "/report/p/" + name + "/cancel"}, {"GET", "/report_jid/p/" + name},
			{"GET", "/project/" + name}, {"GET", "/project/" + name + "/builds"}, {"POST", "/project/" + name + "/start"}, {"GET", "/build/project/" + name},
			{"POST", "/build/project/" + name}, {"POST", "/build/project/p/" + name}, {"POST", "/build-with-tags/project/" + name}, {"GET", "/static/" + name},
		} {
			code, body := h.raw(r.method, r.path)
			if code != 400 && code != 404 && code != 405 || strings.Contains(body, "canary") || strings.Contains(body, "root:") {
				t.Errorf("%s %s: %d %q", r.method, r.path, code, body)
			}
		}
	}
	if after := tree(t, outer); !slices.Equal(before, after) {
		t.Errorf("files before %q, after %q", before, after)
	}
}

// raw sends a request with the path as it is.
func (h *host) raw(method, path string) (int, string) {
	h.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil", method, path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// tree lists the files below dir.
func tree(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestFullDisk(t *testing.T) {
	h := start(t, agent.Config{})
	free := int64(agent.MinFreeDisk - 1)
	agent.SetFreeDisk(h.a, func() int64 { return free })
	spec := inDir(scenarios(t, "x", ":"), "x")
	for _, r := range [][2]string{{"POST", "/queue"}, {"PUT", "/file/project/p/job/j/filename/f"}, {"GET", "/healthz"}} {
		if code, body := h.do(r[0], r[1], queueBody("p", "d.1", spec)); code != 507 || !bytes.Contains([]byte(body), []byte("MiB free")) {
			t.Errorf("%s %s: %d %s", r[0], r[1], code, body)
		}
	}
	free = 1 << 40
	agent.SetFreeDisk(h.a, func() int64 { return free })
	if st, _ := h.wait("p", h.queue("p", spec)); st.State != sparky.CodeOK {
		t.Errorf("%+v", st)
	}
}

// TestSlowClients holds connections open with half a request each.
func TestSlowClients(t *testing.T) {
	h := start(t, agent.Config{})
	for range 100 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /queue HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{")
	}
	at := time.Now()
	if code, _ := h.do("GET", "/healthz", ""); code != 200 || time.Since(at) > 5*time.Second {
		t.Errorf("%d after %s", code, time.Since(at))
	}
}

// TestLargeForms: what people send has a limit, too.
func TestLargeForms(t *testing.T) {
	root := t.TempDir()
	h := start(t, agent.Config{Root: root})
	folder(t, root, "p", directLine(t, "/", "true"), "allow_manual_run: true\nvars: [{name: Text, type: textarea}]\n")
	long := strings.Repeat("x", 300<<10)
	for _, c := range []struct{ path, kind, body string }{
		{"/project/p/start", "application/x-www-form-urlencoded", "Text=" + long},
		{"/build-with-tags/project/p", "application/x-www-form-urlencoded", "tags=a%3D" + long},
		{"/build-with-tags/project/p", "application/json", `{"tags":"a=` + long + `"}`},
	} {
		if code, body := h.do("POST", c.path, c.body, "Content-Type", c.kind); code != 413 {
			t.Errorf("%s: %d %.200s", c.path, code, body)
		}
	}
	if code, body := h.do("POST", "/project/p/start", "Text="+long[:100<<10], "Content-Type", "application/x-www-form-urlencoded"); code != 400 || !strings.Contains(body, "longer than 65536 bytes") {
		t.Errorf("more than is kept with a build: %d %.200s", code, body)
	}
	if code, _ := h.do("POST", "/login", "password="+long, "Content-Type", "application/x-www-form-urlencoded"); code != 413 {
		t.Errorf("login: %d", code)
	}
	if code, body := h.do("POST", "/build-with-tags/project/p", `{"tags":5}`); code != 400 {
		t.Errorf("%d %s", code, body)
	}
	h.builds("p", 0)
}
