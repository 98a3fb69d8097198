package tunnel_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/tunnel"
)

// A wrong credential ends the agent: it does not storm the orchestrator.
func TestRefused(t *testing.T) {
	s := newReplica("r1", func() []string { return nil })
	srv := httptest.NewServer(s)
	defer srv.Close()
	c := newClient(srv.URL, http.NotFoundHandler())
	c.Credential = "bad"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Run(ctx); !errors.Is(err, tunnel.ErrRefused) || !strings.Contains(err.Error(), "unknown credential") {
		t.Errorf("Run: %v", err)
	}
	if s.dials != 1 {
		t.Errorf("%d dials", s.dials)
	}
}

// What answers and is no orchestrator does not end the agent: a proxy may say
// 401 while what is behind it restarts.
func TestNoOrchestrator(t *testing.T) {
	dials := make(chan struct{}, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		dials <- struct{}{}
	}))
	defer srv.Close()
	stop := startClient(t, newClient(srv.URL, http.NotFoundHandler()))
	<-dials
	<-dials
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// listen answers the first connections with bytes.
func listen(t *testing.T, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, answer)
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// Answers that no orchestrator gives are errors, and are not read without end.
func TestAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"garbage":         "SSH-2.0-OpenSSH\r\n",
		"endless header":  "HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", 1<<20),
		"many headers":    "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X: y\r\n", 1<<16) + "\r\n",
		"other protocol":  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nCromt-Replica: r1\r\n\r\n",
		"no replica":      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: cromt-agent/1\r\nConnection: Upgrade\r\n\r\n",
		"length with 101": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCromt-Replica: r1\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := tunnel.Connect(ctx, newClient(listen(t, answer), http.NotFoundHandler())); err == nil || ctx.Err() != nil {
				t.Errorf("connect: %v, %v", err, ctx.Err())
			}
		})
	}
}

// send sends bytes to an orchestrator and returns the status line of the answer.
func send(t *testing.T, url, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(c, text) }()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && line == "" {
		return "closed"
	}
	return strings.TrimSpace(line)
}

const good = "GET /agents/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nUpgrade: cromt-agent/1\r\n" +
	"Cromt-Pool: builders\r\nCromt-Name: vm-1\r\nCromt-Slots: 4\r\nCromt-Instance: i\r\n"

// Requests that are not what they look like, and those that are too large.
func TestRequests(t *testing.T) {
	s := newReplica("r1", func() []string { return nil })
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, c := range []struct{ name, request, want string }{
		{"no credential", "GET /agents/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\n", "401"},
		{"no upgrade", good + "\r\n", "426"},
		{"another upgrade", strings.Replace(good, "cromt-agent/1", "h2c", 1) + "Connection: Upgrade\r\n\r\n", "426"},
		{"HTTP/1.0", strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\n\r\n", "426"},
		{"a body", good + "Connection: Upgrade\r\nContent-Length: 5\r\n\r\nhello", "400"},
		{"a chunked body", good + "Connection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"two lengths", good + "Connection: Upgrade\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello", "400"},
		{"length and chunks", good + "Connection: Upgrade\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		{"two names", good + "Connection: Upgrade\r\nCromt-Name: vm-2\r\n\r\n", "400"},
		{"a name with a slash", strings.Replace(good, "vm-1", "../vm", 1) + "Connection: Upgrade\r\n\r\n", "400"},
		{"a header flood", good + "Connection: Upgrade\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", "431"},
		{"many labels", good + "Connection: Upgrade\r\nCromt-Labels: " + strings.Repeat("a,", 100) + "\r\n\r\n", "400"},
		{"no number", strings.Replace(good, "Slots: 4", "Slots: 1e9", 1) + "Connection: Upgrade\r\n\r\n", "400"},
		// A second request behind the first is nobody's answer.
		{"pipelined", good + "Connection: Upgrade\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "closed"},
	} {
		if got := send(t, srv.URL, c.request); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %s", c.name, got, c.want)
		}
	}
	if l := s.link("vm-1"); l != nil {
		t.Error("one of them is connected")
	}
}

// agentThat speaks after it was let in as it likes.
func agentThat(t *testing.T, url string, does func(net.Conn)) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, good+"Connection: Upgrade\r\n\r\n")
	buf := bufio.NewReader(c)
	resp, err := http.ReadResponse(buf, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	go does(bufferedConn{c, buf})
}

// bufferedConn goes on with what was read of a connection already.
type bufferedConn struct {
	net.Conn
	buf *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.buf.Read(p) }

// An agent that answers nonsense, nothing, or without end loses its
// connection, within DeadAfter, and does no other harm.
func TestHostileAgents(t *testing.T) {
	for name, does := range map[string]func(net.Conn){
		"garbage": func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("garbage", 1000)) },
		"HTTP/1":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") },
		"nothing": func(net.Conn) {},
		"drops": func(c net.Conn) {
			for {
				if _, err := c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}); err != nil { // SETTINGS without end
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newReplica("r1", func() []string { return nil })
			srv := httptest.NewServer(s)
			t.Cleanup(srv.Close)
			start := time.Now()
			agentThat(t, srv.URL, does)
			until(t, "the link has ended", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return len(s.ended) == 1
			})
			if took := time.Since(start); took > tunnel.DeadAfter+2*time.Second {
				t.Errorf("after %v", took)
			}
		})
	}
}

// An agent whose state is nonsense is not kept.
func TestHostileState(t *testing.T) {
	for _, state := range []string{`{"running":-1}`, `{"slots":100000}`, `[]`, `<html>`, strings.Repeat(" ", 1<<20)} {
		s := newReplica("r1", func() []string { return nil })
		srv := httptest.NewServer(s)
		agentThat(t, srv.URL, func(c net.Conn) {
			tunnel.ServeConn(c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, state) }))
		})
		until(t, "the link has ended", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.ended) == 1
		})
		if !strings.Contains(s.ended[0].Error(), "nonsense") {
			t.Errorf("%.20s: %v", state, s.ended[0])
		}
		srv.Close()
	}
}

func TestCheckURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://cromt.example.com": true, "https://cromt.example.com/": true, "http://127.0.0.1:8080": true, "http://localhost:8080": true,
		"http://cromt.example.com": false, "https://u:p@cromt.example.com": false, "https://x/path": false, "ftp://x": false, "cromt.example.com": false, "": false,
	} {
		if _, err := tunnel.CheckURL(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}
