//go:build unix

package agent_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/cromt/cromt/sparky/agent"
)

func TestToken(t *testing.T) {
	h := start(t, agent.Config{Token: "secret123"})
	spec := inDir(scenarios(t, "x", "env"), "x")
	id := h.queue("p", spec)
	if _, log := h.wait("p", id); strings.Contains(log, "secret123") {
		t.Errorf("the token is in the job's environment: %s", log)
	}
	routes := agent.Routes()
	if len(routes) < 35 {
		t.Fatalf("only %d routes: %v", len(routes), routes)
	}
	fill := strings.NewReplacer("/P", "/p", "/J", "/"+id, "/N", "/1", "/F", "/f")
	open := map[string]bool{"/healthz": true, "/login": true, "/default_login": true, "/logout": true, "/static/f": true}
	for _, r := range routes {
		if r[1] = fill.Replace("/" + r[1]); open[r[1]] {
			continue // they tell nothing
		}
		for _, token := range []string{"", "secret124", "secret1234", "Secret123"} {
			if code, body := h.do(r[0], r[1], "{}", "token", token); code != 403 || body != "bad token" {
				t.Errorf("%s %s with %q: %d %q", r[0], r[1], token, code, body)
			}
		}
		if code, body := h.do(r[0], r[1], "{}", "Cookie", "user=x; token=y; sparky_session=z", "token", ""); code != 403 {
			t.Errorf("%s %s with cookies: %d %q", r[0], r[1], code, body)
		}
		if code, body := h.do(r[0], r[1], "{}", "Authorization", "Bearer secret123", "token", ""); code != 403 {
			t.Errorf("%s %s with another header: %d %q", r[0], r[1], code, body)
		}
		code, body := h.do(r[0], r[1], "{}", "Accept", "text/html", "token", "")
		if code != 403 && (code != 303 || !strings.HasPrefix(body, "/login?next=")) {
			t.Errorf("%s %s of a browser: %d %q", r[0], r[1], code, body)
		}
	}
	if code, _ := h.do("GET", "/healthz", "", "token", ""); code != 200 {
		t.Errorf("healthz: %d", code)
	}
}

func TestBrowsersOnTheSameMachine(t *testing.T) {
	h := start(t, agent.Config{})
	port := h.url[strings.LastIndex(h.url, ":"):]
	for _, c := range []struct {
		header []string
		code   int
	}{
		{[]string{"Host", "localhost" + port}, 200},
		{[]string{"Host", "[::1]" + port}, 200},
		{[]string{"Host", "127.0.0.1"}, 200},
		{[]string{"Host", "evil.example" + port}, 403},
		{[]string{"Host", "127.0.0.1.evil.example"}, 403},
		{[]string{"Origin", "http://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", h.url}, 200},
	} {
		if code, body := h.do("GET", "/cromt", "", c.header...); code != c.code {
			t.Errorf("%q: %d %s, want %d", c.header, code, body, c.code)
		}
	}
	tok := start(t, agent.Config{Token: "x"})
	if code, _ := tok.do("GET", "/cromt", "", "Host", "any.example"); code != 200 {
		t.Errorf("with a token: %d", code)
	}
}

func TestServeNeedsToken(t *testing.T) {
	a, err := agent.Open(agent.Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Serve(context.Background(), foreignListener{ln}, a, nil); !errors.Is(err, agent.ErrNoToken) {
		t.Errorf("Serve: %v", err)
	}
}

type foreignListener struct{ net.Listener }

func (foreignListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 4000} }
