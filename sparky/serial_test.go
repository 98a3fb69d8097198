//go:build unix

package sparky_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cromt/cromt/sparky"
	"github.com/cromt/cromt/sparky/sparkytest"
)

// wireHost gives its answers one by one, as they are; a request that there is
// none for has its connection closed. An answer that ends with hangUp has it
// closed after it, without a word of that before.
type wireHost struct {
	answers []string

	mu     sync.Mutex
	seen   []string // "connection method path"
	dialed []*net.TCPConn
}

const (
	hangUp = "\x04"
	one    = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
	queued = "HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + `{"project":"p","job-id":"j"}`
)

// playWire has it listen, and returns its client.
func playWire(t *testing.T, answers ...string) (*wireHost, *sparky.Client) {
	t.Helper()
	h := &wireHost{answers: answers}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { h.serve(n, conn) })
		}
	})
	c, err := sparky.NewClient(sparky.HostConfig{URL: "http://" + l.Addr().String(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			h.mu.Lock()
			h.dialed = append(h.dialed, conn.(*net.TCPConn))
			h.mu.Unlock()
		}
		return conn, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		for _, conn := range h.dialed {
			_ = conn.Close()
		}
		serving.Wait()
	})
	return h, c
}

func (h *wireHost) serve(n int, conn net.Conn) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		h.mu.Lock()
		h.seen = append(h.seen, fmt.Sprint(n, " ", req.Method, " ", req.URL.Path))
		k := len(h.seen) - 1
		h.mu.Unlock()
		if k >= len(h.answers) {
			return
		}
		text, over := strings.CutSuffix(h.answers[k], hangUp)
		if _, err := io.WriteString(conn, text); err != nil || over {
			return
		}
	}
}

// saw checks what the host has been asked.
func (h *wireHost) saw(t *testing.T, want ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.seen, want) {
		t.Errorf("the host saw %q, want %q", h.seen, want)
	}
}

// ended waits until this side knows that the host has closed its nth connection.
func (h *wireHost) ended(t *testing.T, n int) {
	t.Helper()
	h.mu.Lock()
	raw, err := h.dialed[n-1].SyscallConn()
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var got int
		var errno error
		if err := raw.Control(func(fd uintptr) {
			got, _, errno = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}); err != nil || got == 0 && errno == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection is still open")
		}
	}
}

func askStatus(t *testing.T, c *sparky.Client) {
	t.Helper()
	if code, err := c.Status(t.Context(), "p", "j"); err != nil || code != 1 {
		t.Errorf("%d, %v", code, err)
	}
}

func post(t *testing.T, c *sparky.Client) error {
	_, err := c.Queue(t.Context(), sparky.QueueRequest{
		Config: sparky.QueueConfig{Project: "p", JobID: "j"}, Trigger: []byte("{}"), SparrowdoConfig: []byte("{}"),
	})
	return err
}

const (
	get1, get2   = "1 GET /status/p/j", "2 GET /status/p/j"
	post1, post2 = "1 POST /queue", "2 POST /queue"
)

// TestConnectionsAreKept: one answer after the other over one connection,
// unless the host says or does what ends it.
func TestConnectionsAreKept(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n"
	for name, tt := range map[string]struct {
		first string
		kept  bool
	}{
		"with a length":             {one, true},
		"in chunks":                 {chunked, true},
		"with a trailer":            {strings.TrimSuffix(chunked, "\r\n") + "X-T: 1\r\n\r\n", true},
		"after early hints":         {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + one, true},
		"kept by HTTP/1.0":          {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1", true},
		"of HTTP/1.0":               {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1", false},
		"the last one":              {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1", false},
		"until the end":             {"HTTP/1.1 200 OK\r\n\r\n1" + hangUp, false},
		"and one that nobody asked": {one + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n-1", false},
	} {
		t.Run(name, func(t *testing.T) {
			h, c := playWire(t, tt.first, one)
			askStatus(t, c)
			askStatus(t, c)
			if tt.kept {
				h.saw(t, get1, get1)
			} else {
				h.saw(t, get1, get2)
			}
		})
	}
}

// TestEmptyAnswerKeepsConnection: there is no body whose end could be read.
func TestEmptyAnswerKeepsConnection(t *testing.T) {
	h, c := playWire(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", one)
	if hello, err := c.Hello(t.Context()); hello != nil || err != nil {
		t.Errorf("%v, %v", hello, err)
	}
	askStatus(t, c)
	h.saw(t, "1 GET /cromt", get1)
}

// TestKeptConnectionThatEnds: a job is never posted twice, and not at all on a
// connection of which it is known that it has ended.
func TestKeptConnectionThatEnds(t *testing.T) {
	t.Run("before the request", func(t *testing.T) {
		h, c := playWire(t, one+hangUp, queued+hangUp, one)
		askStatus(t, c)
		h.ended(t, 1)
		if err := post(t, c); err != nil {
			t.Error(err)
		}
		h.ended(t, 2)
		askStatus(t, c)
		h.saw(t, get1, post2, "3 GET /status/p/j")
	})
	t.Run("at a GET", func(t *testing.T) {
		h, c := playWire(t, one, hangUp, one)
		askStatus(t, c)
		askStatus(t, c)
		h.saw(t, get1, get1, get2)
	})
	t.Run("at each GET", func(t *testing.T) {
		h, c := playWire(t, one, hangUp, hangUp)
		askStatus(t, c)
		if _, err := c.Status(t.Context(), "p", "j"); sparky.KindOf(err) != sparky.KindAmbiguous {
			t.Error(err)
		}
		h.saw(t, get1, get1, get2)
	})
	t.Run("at a POST", func(t *testing.T) {
		h, c := playWire(t, queued, hangUp, queued)
		if err := post(t, c); err != nil {
			t.Error(err)
		}
		if err := post(t, c); sparky.KindOf(err) != sparky.KindAmbiguous {
			t.Error(err)
		}
		h.saw(t, post1, post1)
	})
	t.Run("in an answer", func(t *testing.T) {
		h, c := playWire(t, one, "HTTP/1.1 200"+hangUp, one)
		askStatus(t, c)
		if _, err := c.Status(t.Context(), "p", "j"); sparky.KindOf(err) != sparky.KindAmbiguous {
			t.Error(err)
		}
		h.saw(t, get1, get1)
	})
}

// TestRefusedOnWire: what is no answer is an error of few words, and one that
// is too long is not read to its end.
func TestRefusedOnWire(t *testing.T) {
	for name, answer := range map[string]string{
		"a header of a megabyte": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: 0123456789abcdef0123456789abcdef\r\n", 30_000) + "\r\n1",
		"a line of a megabyte":   strings.Repeat("x", 1<<20),
		"words, and no status":   strings.Repeat("x", 60_000) + "\r\n\r\n",
		"always to be continued": strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 50_000) + one,
		"another protocol":       "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n1" + hangUp,
		"two lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n11",
		"half a body":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1" + hangUp,
		"no chunk":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n1",
		"a line":                 "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			h, c := playWire(t, answer, one)
			if code, err := c.Status(t.Context(), "p", "j"); sparky.KindOf(err) != sparky.KindAmbiguous || len(err.Error()) > 1000 {
				t.Errorf("%d, %.2000v", code, err)
			}
			askStatus(t, c)
			h.saw(t, get1, get2)
		})
	}
}

// TestHalfAReport: whoever reads on after the error is not told that the report
// ends there.
func TestHalfAReport(t *testing.T) {
	_, c := playWire(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"+hangUp)
	body, err := c.Report(t.Context(), "p", "j")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	for range 2 {
		if _, err := io.ReadAll(body); sparky.KindOf(err) != sparky.KindAmbiguous {
			t.Error(err)
		}
	}
}

// TestWaitIsCancelled: whoever waits for an answer, or for the rest of it, is
// told why it was given up, and its connection is not used any more.
func TestWaitIsCancelled(t *testing.T) {
	why := errors.New("enough")
	for _, begun := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int32
			c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > 1 {
					_, _ = io.WriteString(w, "1")
					return
				}
				if begun {
					_, _ = io.WriteString(w, "{")
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}))
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(3*time.Second, func() { cancel(why) })
			start := time.Now()
			_, err := c.Wait(ctx, "p", "j", 0, 0, sparky.MaxWait)
			if !errors.Is(err, why) || sparky.KindOf(err) != sparky.KindAmbiguous || time.Since(start) != 3*time.Second {
				t.Errorf("begun %v: %v after %v", begun, err, time.Since(start))
			}
			if _, err := c.Wait(ctx, "p", "j", 0, 0, sparky.MaxWait); !errors.Is(err, why) {
				t.Errorf("a context that is done: %v", err)
			}
			askStatus(t, c)
		})
	}
}

// closing counts a connection as long as it is open.
type closing struct {
	net.Conn
	close func()
}

func (c closing) Close() error {
	c.close()
	return c.Conn.Close()
}

// TestConnectionsAreLetGo: no more than 16 are kept when nothing is asked, and
// for 90 s.
func TestConnectionsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := sparkytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second) // virtual
			_, _ = io.WriteString(w, "1")
		}))
		var open atomic.Int32
		c, err := sparky.NewClient(sparky.HostConfig{URL: testHost, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			open.Add(1)
			return closing{conn, sync.OnceFunc(func() { open.Add(-1) })}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		is := func(when string, want int32) {
			t.Helper()
			synctest.Wait()
			if n := open.Load(); n != want {
				t.Errorf("%s: %d connections, want %d", when, n, want)
			}
		}
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() { askStatus(t, c) })
		}
		is("asking", 20)
		asking.Wait()
		is("idle", 16)
		time.Sleep(88 * time.Second)
		askStatus(t, c)
		is("just before", 16)
		time.Sleep(2 * time.Second)
		is("later", 1)
		c.CloseIdle()
		is("closed", 0)
	})
}

// TestTLSConnectionIsKept: what TLS 1.3 says by itself after the handshake does
// not end a connection.
func TestTLSConnectionIsKept(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var conns atomic.Int32
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 1 {
				t.Errorf("the host is spoken to in %s", r.Proto)
			}
			_, _ = io.WriteString(w, "1")
		}))
		srv.EnableHTTP2 = true
		srv.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
		srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c, err := sparky.NewClient(sparky.HostConfig{URL: srv.URL, CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			askStatus(t, c)
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("TLS %x: %d connections", version, n)
		}
		c.CloseIdle()
	}
}
