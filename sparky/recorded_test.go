package sparky_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky"
)

// exchange is one request that a real Sparky was sent, and its answer.
type exchange struct {
	request *http.Request // its body is body
	body    string
	answer  string // as it was on the wire
}

// recorded reads testdata/recorded.txt.
func recorded(t *testing.T) (list []exchange) {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n")[1:] {
		var parts [2][]string
		for _, line := range strings.Split(block, "\n") {
			side, rest := strings.IndexByte("><", line[0]), strings.TrimPrefix(line[1:], " ")
			parts[side] = append(parts[side], rest)
		}
		var wire [2]string
		for side, lines := range parts {
			end := slices.Index(lines, "")
			body := strings.Join(lines[end+1:], "\n")
			if slices.Contains(lines[:end], "Transfer-encoding: chunked") {
				body = strings.ReplaceAll(body, "\n", "\r\n")
			}
			wire[side] = strings.Join(lines[:end], "\r\n") + "\r\n\r\n" + body
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire[0])))
		if err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		list = append(list, exchange{req, string(body), wire[1]})
	}
	return list
}

// replay answers one request after the other as it is recorded, and compares
// them: what the recorded one has, the client's has too.
func replay(t *testing.T, list []exchange) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for len(list) > 0 {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			for r := bufio.NewReader(conn); len(list) > 0; list = list[1:] { // connections are kept
				req, err := http.ReadRequest(r)
				if err != nil {
					break
				}
				compare(t, list[0], req)
				_, _ = io.WriteString(conn, list[0].answer)
			}
			_ = conn.Close()
		}
	}()
	return "http://" + ln.Addr().String()
}

func compare(t *testing.T, want exchange, got *http.Request) {
	t.Helper()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Error(err)
	}
	name := want.request.Method + " " + want.request.RequestURI
	if sent := got.Method + " " + got.RequestURI; sent != name {
		t.Errorf("%s was sent, %s is recorded", sent, name)
		return
	}
	for _, header := range []string{"Token", "Content-Type"} {
		if recorded := want.request.Header.Get(header); recorded != "" && got.Header.Get(header) != recorded {
			t.Errorf("%s: %s %q, recorded is %q", name, header, got.Header.Get(header), recorded)
		}
	}
	for _, c := range want.request.Cookies() { // of another login
		if sent, err := got.Cookie(c.Name); err != nil || sent.Value == "" {
			t.Errorf("%s: no cookie %s", name, c.Name)
		}
	}
	if got.Header.Get("Expect") != "" || got.ContentLength != int64(len(body)) {
		t.Errorf("%s: Expect %q, length %d of %d", name, got.Header.Get("Expect"), got.ContentLength, len(body))
	}
	var one, two any
	if json.Unmarshal([]byte(want.body), &one) == nil && json.Unmarshal(body, &two) == nil {
		if !reflect.DeepEqual(withoutNulls(one), withoutNulls(two)) {
			t.Errorf("%s: body\n%s\nrecorded is\n%s", name, body, want.body)
		}
	} else if want.request.Header.Get("Content-Type") != "application/x-www-form-urlencoded" && string(body) != want.body {
		t.Errorf("%s: body %q, recorded is %q", name, body, want.body)
	}
}

// withoutNulls leaves members of objects away that are null, which to a Sparky
// is the same as not being there.
func withoutNulls(v any) any {
	if m, ok := v.(map[string]any); ok {
		for k, v := range m {
			if v == nil {
				delete(m, k)
			} else {
				withoutNulls(v)
			}
		}
	}
	return v
}

// queueOf is the recorded request in this package's words.
func queueOf(t *testing.T, e exchange) sparky.QueueRequest {
	t.Helper()
	var q sparky.QueueRequest
	if err := json.Unmarshal([]byte(e.body), &q); err != nil {
		t.Fatal(err)
	}
	return q
}

func text(body io.ReadCloser, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return string(b), err
}

// recordedSteps are the calls that make the recorded exchanges, in their order.
func recordedSteps(t *testing.T) []recordedStep {
	ctx := t.Context()
	queue := func(c *sparky.Client, e exchange) (string, error) {
		a, err := c.Queue(ctx, queueOf(t, e))
		return a.Project + " " + a.JobID, err
	}
	status := func(c *sparky.Client, _ exchange) (string, error) {
		code, err := c.Status(ctx, "p1", "raw.1")
		return fmt.Sprint(int(code)), err
	}
	report := func(project, id string) func(*sparky.Client, exchange) (string, error) {
		return func(c *sparky.Client, _ exchange) (string, error) { return text(c.Report(ctx, project, id)) }
	}
	stash := func(project, id string, data any) func(*sparky.Client, exchange) (string, error) {
		return func(c *sparky.Client, _ exchange) (string, error) { return "", c.PutStash(ctx, project, id, data) }
	}
	put := func(project, id, name, content string) func(*sparky.Client, exchange) (string, error) {
		return func(c *sparky.Client, _ exchange) (string, error) {
			return "", c.PutFile(ctx, project, id, name, strings.NewReader(content), int64(len(content)))
		}
	}
	get := func(project, id, name string) func(*sparky.Client, exchange) (string, error) {
		return func(c *sparky.Client, _ exchange) (string, error) {
			body, _, err := c.GetFile(ctx, project, id, name)
			return text(body, err)
		}
	}
	cancel := func(project, id, cookies string) func(*sparky.Client, exchange) (string, error) {
		return func(c *sparky.Client, _ exchange) (string, error) { return "", c.CancelWith(ctx, project, id, cookies) }
	}
	vars := map[string]any{"vars": map[string]any{"WORKER": 1, "q": "it's \"x\"\nline2 é"}, "list": []any{1, nil, true, 1.5}}
	short := map[string]any{"vars": map[string]any{"A": "1"}}
	return []recordedStep{
		{"unknown status", status, "", sparky.KindNotFound},
		{"unknown report", report("p1", "raw.1"), "", sparky.KindNotFound},
		{"no stash", func(c *sparky.Client, _ exchange) (string, error) {
			var got map[string]any
			err := c.GetStash(ctx, "p1", "raw.1", &got)
			return fmt.Sprint(got), err
		}, "map[]", 0},
		{"queue", queue, "p1 raw.1", 0},
		{"queued", status, "-2", 0},
		{"report of a queued job", report("p1", "raw.1"), "build is queued, wait till it gets run\n", 0},
		{"stash", stash("p1", "raw.1", vars), "", 0},
		{"stash again", func(c *sparky.Client, _ exchange) (string, error) {
			var got map[string]any
			err := c.GetStash(ctx, "p1", "raw.1", &got)
			return fmt.Sprint(got), err
		}, fmt.Sprint(vars), 0},
		{"put", put("p1", "raw.1", "t.txt", "héllo\n"), "", 0},
		{"get", get("p1", "raw.1", "t.txt"), "héllo\n", 0},
		{"get what is not there", get("p1", "raw.1", "none"), "", sparky.KindNotFound},
		{"ended", status, "1", 0},
		{"report", report("p1", "raw.1"), "42\nrun\n", 0},
		{"error in a 200", queue, "", sparky.KindServer},
		{"no token", queue, "", sparky.KindRefused},
		{"wrong token", queue, "", sparky.KindRefused},
		{"token", queue, "tok tok.1", 0},
		{"stash with the token", stash("tok", "tok.1", short), "", 0},
		{"stash without", stash("tok", "tok.1", short), "", sparky.KindRefused},
		{"put without the token", put("tok", "tok.1", "f.bin", "abc"), "", sparky.KindRefused},
		{"put with the token", put("tok", "tok.1", "f.bin", "abc"), "", 0},
		{"get without the token", get("tok", "tok.1", "f.bin"), "abc", 0},
		{"cancel with the token", cancel("tok", "tok.1", ""), "", sparky.KindRefused},
		{"login", func(c *sparky.Client, _ exchange) (string, error) { return c.Login(ctx) }, "user=admin; token=RmAV04wR", 0},
		{"cancel in a project that never ran", cancel("ui1", "nosuch", "user=admin; token=RmAV04wR"), "", sparky.KindServer},
		{"report with a masked token", func(c *sparky.Client, _ exchange) (string, error) {
			got, err := text(c.Report(ctx, "tok", "tok.1"))
			line, _, _ := strings.Cut(strings.TrimPrefix(got, "\x1b[35m22:02:12\x1b[0m :: [repository] - index updated from file:///home/sparky/repo/api/v1/index\n"), "\n")
			return line, err
		}, `{:SPARKY_API_TOKEN("*******"), :SPARKY_HOST("127.0.0.1"), :SPARKY_JOB_ID("tok.1"), :SPARKY_PROJECT("tok"), :SPARKY_TCP_PORT("4000"), :SPARKY_WORKER("localhost"), :stage("run")}`, 0},
	}
}

// recordedStep is a call, and what it makes of the recorded answer.
type recordedStep struct {
	name string
	call func(*sparky.Client, exchange) (string, error)
	want string
	kind sparky.Kind // 0: no error
}

// TestRecorded pins the wire format: each call of the client sends what was
// recorded on the socket of a real Sparky, and understands what that answered.
func TestRecorded(t *testing.T) {
	list, steps := recorded(t), recordedSteps(t)
	if len(list) != len(steps) {
		t.Fatalf("%d exchanges are recorded, there are %d steps", len(list), len(steps))
	}
	url := replay(t, list)
	for i, step := range steps {
		c, err := sparky.NewClient(sparky.HostConfig{URL: url, Token: list[i].request.Header.Get("Token")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := step.call(c, list[i])
		if kind := sparky.KindOf(err); kind != step.kind || kind == 0 && (err != nil || got != step.want) {
			t.Errorf("%s: %q, %v; want %q, kind %d", step.name, got, err, step.want, step.kind)
		}
		c.CloseIdle()
	}
}
