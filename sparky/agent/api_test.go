//go:build unix

package agent_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/agent"
)

func TestRoutesOfUnknownThings(t *testing.T) {
	h := start(t, agent.Config{Name: "box", Version: "1.2.3", MaxJobs: 7})
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/status/p1/none", 404, ""},
		{"GET", "/report/raw/p1/none", 404, ""},
		{"GET", "/report_jid/p1/none", 404, ""},
		{"GET", "/report/p1/17", 404, ""},
		{"GET", "/report/p1/x", 404, ""},
		{"GET", "/trigger/p1/none", 404, ""},
		{"GET", "/file/p1/none/x", 404, ""},
		{"GET", "/file_view/p1/none/x", 404, ""},
		{"GET", "/stash/p1/none", 200, "{}"},
		{"POST", "/cancel/project/p1/none", 404, ""},
		{"GET", "/badge/p1", 303, "https://img.shields.io/static/v1?label=Sparky&message=Build+%7C+UNKOWN&color=gray"},
		{"GET", "/nothing", 404, ""},
		{"GET", "/status/p1/none/", 404, ""},
		{"GET", "/status//none", 404, ""},
		{"HEAD", "/status/p1/none", 405, ""},
		{"POST", "/status/p1/none", 405, ""},
		{"PUT", "/queue", 405, ""},
		{"GET", "/report/p1/17/live?offset=0", 404, ""},
		{"POST", "/report/p1/17/cancel", 404, ""},
		{"POST", "/report/p1/17/rebuild", 404, ""},
		{"GET", "/project/p1", 404, ""},
		{"POST", "/build/project/p1", 404, `{"project":"","job-id":"","error":"project p1: no such project folder"}`},
		{"POST", "/build-with-tags/project/p1", 404, `{"project":"","job-id":"","error":"project p1: no such project folder"}`},
		{"POST", "/build/project/p1/none", 404, ""},
		{"GET", "/build/project/p1", 303, "/project/p1"},
		{"GET", "/", 303, "/builds_latest"},
		{"GET", "/logout", 303, "/login"},
		{"GET", "/static/frame.html", 404, ""},
		{"GET", "/static/..%2Fagent.go", 400, `{"project":"","job-id":"","error":"filename: must match ^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}`},
		{"DELETE", "/file/p1/none/x", 405, ""},
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/cromt", 200, `{"agent":"1.2.3","version":1,"name":"box","max_jobs":7,"posts":true}`},
	} {
		body := ""
		if c.path == "/build-with-tags/project/p1" {
			body = "{}"
		}
		if code, body := h.do(c.method, c.path, body); code != c.code || body != c.body {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, code, body, c.code, c.body)
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	h := start(t, agent.Config{})
	good := inDir(scenarios(t, "x", ":"), "x")
	change := func(f func(*sparky.Spec)) string {
		s := good
		f(&s)
		return queueBody("p1", "m.1", s)
	}
	for _, c := range []struct{ name, body, want string }{
		{"empty", ``, "body: "},
		{"not JSON", `{`, "body: "},
		{"list", `[]`, "body: "},
		{"nothing", `{}`, "config: must be an object"},
		{"no trigger", `{"config":{"project":"p1","job-id":"m.1"}}`, "trigger: must be an object"},
		{"null trigger", `{"config":{"project":"p1","job-id":"m.1"},"trigger":null}`, "trigger: must be an object"},
		{"no project", `{"config":{"job-id":"m.1"},"trigger":{}}`, "config.project"},
		{"no job-id", `{"config":{"project":"p1"},"trigger":{}}`, "config.job-id"},
		{"tags", `{"config":{"project":"p1","job-id":"m.1","tags":"a=1"},"trigger":{}}`, "body: "},
		{"tag", `{"config":{"project":"p1","job-id":"m.1","tags":{"a":[1]}},"trigger":{}}`, "a list or map where text"},
		{"upper case job-id", queueBody("p1", "M.1", good), "config.job-id"},
		{"path as project", queueBody("../x", "m.1", good), "config.project"},
		{"newline", queueBody("p1\n", "m.1", good), "config.project"},
		{"long", queueBody(strings.Repeat("x", 101), "m.1", good), "config.project"},
		{"version", queueBody("p1", "m.1", map[string]any{"cromt": 9}), "version 9"},
		{"kind", queueBody("p1", "m.1", map[string]any{"cromt": 1}), "kind"},
		{"relative dir", change(func(s *sparky.Spec) { s.Source.Dir = "x" }), "must begin with /"},
		{"action", change(func(s *sparky.Spec) { s.Actions = []string{"../x"} }), "action"},
		{"action as option", change(func(s *sparky.Spec) { s.Actions = []string{"--x"} }), "action"},
		{"env name", change(func(s *sparky.Spec) { s.Env = env("A=B", "x") }), "env"},
		{"env function", change(func(s *sparky.Spec) { s.Env = env("BASH_FUNC_x%%", "x") }), "env"},
		{"env value", change(func(s *sparky.Spec) { s.Env = map[string]string{"A": "%"} }), "env: A"},
		{"env NUL", change(func(s *sparky.Spec) { s.Env = env("A", "a\x00b") }), "NUL"},
		{"input path", change(func(s *sparky.Spec) { s.In = []sparky.SpecInput{{Name: "a", Path: "../a"}} }), "in: path"},
		{"input depth", change(func(s *sparky.Spec) { s.In = []sparky.SpecInput{{Name: "a", Path: "a/b/c"}} }), "in: path"},
		{"output path", change(func(s *sparky.Spec) { s.Out = []sparky.SpecOutput{{File: "a", Path: "../a"}} }), "out: path"},
		{"output absolute", change(func(s *sparky.Spec) { s.Out = []sparky.SpecOutput{{File: "a", Path: "/etc/passwd"}} }), "out: path"},
		{"output name", change(func(s *sparky.Spec) { s.Out = []sparky.SpecOutput{{File: ".a", Path: "a"}} }), "out: file"},
		{"timeout", change(func(s *sparky.Spec) { s.Timeout = -1 }), "timeout"},
		{"helper", change(func(s *sparky.Spec) { s.Source = sparky.SpecSource{Kind: "git", URL: "ext::sh -c x"} }), "url"},
		{"option as url", change(func(s *sparky.Spec) { s.Source = sparky.SpecSource{Kind: "git", URL: "--upload-pack=x"} }), "url"},
		{"option as ref", change(func(s *sparky.Spec) { s.Source = sparky.SpecSource{Kind: "git", URL: "/x", Ref: "-x"} }), "ref"},
		{"refspec", change(func(s *sparky.Spec) { s.Source = sparky.SpecSource{Kind: "git", URL: "/x", Ref: "a:b"} }), "ref"},
		{"commit", change(func(s *sparky.Spec) { s.Source = sparky.SpecSource{Kind: "git", URL: "/x", Commit: "abc"} }), "commit"},
		{"git dir", change(func(s *sparky.Spec) { s.Source = sparky.SpecSource{Kind: "git", URL: "/x", Dir: "a/../../b"} }), "dir"},
		{"archive", change(func(s *sparky.Spec) {
			s.Source = sparky.SpecSource{Kind: "archive", Project: "p", JobID: "j", File: "f"}
		}), "sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := h.do("POST", "/queue", c.body)
			var answer sparky.QueueAnswer
			if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 400 || !strings.Contains(answer.Error, c.want) {
				t.Errorf("%d %s, want 400 with %q", code, body, c.want)
			}
		})
	}
	if code, body := h.do("POST", "/queue", queueBody("p1", "m.1", good), "Content-Type", "text/plain"); code != 400 {
		t.Errorf("text/plain: %d %s", code, body)
	}
	if code, body := h.do("POST", "/queue", `{"x":"`+strings.Repeat("x", sparky.MaxQueueBody)+`"}`); code != 413 {
		t.Errorf("too long: %d %s", code, body)
	}
	if code, _ := h.do("GET", "/status/p1/m.1?wait=x", ""); code != 400 {
		t.Errorf("wait=x: %d", code)
	}
	if code, _ := h.do("GET", "/status/p1/m.1", ""); code != 404 {
		t.Error("a refused job is known")
	}
}

// TestLenientQueue has what a Sparky accepts besides what we send.
func TestLenientQueue(t *testing.T) {
	h := start(t, agent.Config{})
	body := `{"config":{"project":5,"job-id":"l.1","description":"a \"b\" {die}","tags":{"n":3,"t":true,"z":null,"s":"a,b=c d"},
		"sparrowdo":{"no_sudo":true,"repo":"file:///r"},"parent-project":"x","unknown":[1]},
		"trigger":{"cwd":"/x"},"sparrowfile":"say 42","sparrowdo-config":{"worker":1}}`
	if code, answer := h.do("POST", "/queue", body, "Content-Type", "application/json; charset=utf-8"); code != 200 || answer != `{"project":"5","job-id":"l.1"}` {
		t.Fatalf("%d %s", code, answer)
	}
	st, log := h.wait("5", "l.1")
	if st.State != sparky.CodeFailed || st.Cause != "infrastructure" || !strings.Contains(log, "run by sparrowdo, and this host has none") {
		t.Errorf("%+v %q", st, log)
	}
	code, trigger := h.do("GET", "/trigger/5/l.1", "")
	for _, want := range []string{
		`{:cwd("`, `:description("a \x[22]b\x[22] \x[7B]die\x[7D]")`, `:localhost(Bool::True)`, `:no_sudo(Bool::True)`, `:repo("file:///r")`,
		`s=a___comma___b___eq___c___space___d`, `,n=3,`, `t=True`, `z=")`,
	} {
		if code != 200 || !strings.Contains(trigger, want) {
			t.Errorf("trigger %s: no %s", trigger, want)
		}
	}
	if code, body := h.do("GET", "/badge/5", ""); code != 303 || !strings.Contains(body, "FAIL&color=red") {
		t.Errorf("badge: %d %s", code, body)
	}
	code, page := h.do("GET", "/report_jid/5/l.1", "")
	if code != 303 {
		t.Fatalf("report_jid: %d", code)
	}
	if code, body := h.do("GET", page, ""); code != 200 || !strings.Contains(body, "run by sparrowdo, and this host has none") {
		t.Errorf("%s: %d %s", page, code, body)
	}
	for _, path := range []string{"/builds", "/builds_latest", "/project/5", "/project/5/builds"} {
		if code, body := h.do("GET", path, ""); code != 200 || !strings.Contains(body, `href="`+page+`">`) || !strings.Contains(body, `<span class="state failed">Failed</span>`) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestPagesAreEscaped(t *testing.T) {
	h := start(t, agent.Config{})
	id := h.queue("p", inDir(scenarios(t, "x", "echo '<script>alert(1)</script>'; printf '\\xff'\n"), "x"))
	h.wait("p", id)
	_, page := h.do("GET", "/report_jid/p/"+id, "")
	res, err := http.Get(h.url + page)
	if err != nil {
		t.Fatal(err)
	}
	body := string(drain(res))
	if strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s %v", body, res.Header)
	}
}

func TestStash(t *testing.T) {
	h := start(t, agent.Config{})
	code, body := h.do("POST", "/stash", `{"data": {"vars": {"W": 1e3, "e": "😀"}}, "config": {"job-id": "s.1", "project": "p"}}`)
	if code != 200 || !strings.HasPrefix(body, `{"path":"`) {
		t.Fatalf("%d %s", code, body)
	}
	if code, body := h.do("GET", "/stash/p/s.1", ""); code != 200 || body != `{"vars": {"W": 1e3, "e": "😀"}}` {
		t.Errorf("%d %s", code, body)
	}
	if code, body := h.do("GET", "/stash/q/s.1", ""); code != 200 || body != `{}` {
		t.Errorf("%d %s", code, body)
	}
	for _, bad := range []string{`{`, `{"config":{"project":"p","job-id":"s.1"},"data":[1]}`, `{"config":{"project":"../p","job-id":"s.1"},"data":{}}`} {
		if code, body := h.do("POST", "/stash", bad); code != 400 || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
}

func TestFiles(t *testing.T) {
	h := start(t, agent.Config{})
	big := strings.Repeat("0123456789abcdef", 1<<18)
	for name, text := range map[string]string{"a.txt": "hello", "empty": "", "big.bin": big} {
		code, body := h.do("PUT", "/file/project/p/job/f.1/filename/"+name, text)
		var answer struct{ Path, SHA256 string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 200 || !strings.HasSuffix(answer.Path, name) || len(answer.SHA256) != 64 {
			t.Fatalf("PUT %s: %d %s", name, code, body)
		}
		if code, body := h.do("GET", "/file/p/f.1/"+name, ""); code != 200 || body != text {
			t.Errorf("GET %s: %d, %d bytes", name, code, len(body))
		}
	}
	if code, body := h.do("PUT", "/file/project/p/job/f.1/filename/a.txt", "again"); code != 200 {
		t.Fatalf("PUT again: %d %s", code, body)
	}
	if code, body := h.do("GET", "/file_view/p/f.1/a.txt", ""); code != 200 || body != "again" {
		t.Errorf("file_view: %d %s", code, body)
	}
	// As the Raku client sends it: the header twice, and in pieces.
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /file/project/p/job/f.1/filename/art.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"+
		"Transfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("chunked: %v %v", res, err)
	}
	if code, body := h.do("GET", "/file/p/f.1/art.bin", ""); code != 200 || body != "abcdef" {
		t.Errorf("chunked: %d %s", code, body)
	}
}

// waitFor waits until ok, for at most half a minute.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("waited too long")
		}
	}
}
