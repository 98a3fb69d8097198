package tunnel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/sparky/tunnel"
)

// replica is one orchestrator that takes agents.
type replica struct {
	name string
	all  func() []string

	mu    sync.Mutex
	links map[string]*tunnel.Link // by the agent's name
	dials int
	ended []error
	saw   []tunnel.State
}

func newReplica(name string, all func() []string) *replica {
	return &replica{name: name, all: all, links: map[string]*tunnel.Link{}}
}

func (s *replica) replicas() tunnel.Replicas { return tunnel.Replicas{Self: s.name, All: s.all()} }

func (s *replica) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.dials++
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer good" {
		tunnel.Refuse(w, http.StatusUnauthorized, s.replicas(), "unknown credential")
		return
	}
	if !tunnel.Upgrading(w, r) {
		return
	}
	h, err := tunnel.ReadHello(r)
	if err != nil {
		tunnel.Refuse(w, http.StatusBadRequest, s.replicas(), err.Error())
		return
	}
	if slices.Contains(h.Connected, s.name) {
		tunnel.Known(w, s.replicas())
		return
	}
	l, err := tunnel.Accept(w, h, s.replicas())
	if err != nil {
		return
	}
	s.mu.Lock()
	s.links[h.Name] = l
	s.mu.Unlock()
	err = l.Watch(context.Background(), s.replicas, func(st tunnel.State) {
		s.mu.Lock()
		s.saw = append(s.saw, st)
		s.mu.Unlock()
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, err)
	if s.links[h.Name] == l {
		delete(s.links, h.Name)
	}
}

func (s *replica) link(name string) *tunnel.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[name]
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// startClient runs an agent's side until the test ends.
func startClient(t *testing.T, c *tunnel.Client) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("Run does not end")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil && !errors.Is(err, tunnel.ErrRefused) {
			t.Error(err)
		}
	})
	return stop
}

func newClient(url string, h http.Handler) *tunnel.Client {
	return &tunnel.Client{
		URL: url, Hello: tunnel.Hello{Pool: "builders", Name: "vm-1", Labels: []string{"linux", "arm64"}, Slots: 4, Version: "1", Instance: "i1"},
		Credential: "good", Handler: h, Status: tunnel.NewStatus(tunnel.State{Slots: 4}), Logger: slog.New(slog.DiscardHandler),
	}
}

// one is an orchestrator with one replica, and an agent that is connected.
func one(t *testing.T, h http.Handler) (*replica, *tunnel.Client, *tunnel.Link, func() error) {
	t.Helper()
	s := newReplica("r1", func() []string { return []string{"r1"} })
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c := newClient(srv.URL, h)
	stop := startClient(t, c)
	until(t, "the agent is connected", func() bool { return s.link("vm-1") != nil })
	return s, c, s.link("vm-1"), stop
}

func get(t *testing.T, l http.RoundTripper, path string, body io.Reader) (*http.Response, error) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPut
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "agent://vm-1.builders"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return (&http.Client{Transport: l}).Do(r)
}

func TestHelloArrives(t *testing.T) {
	_, _, l, _ := one(t, http.NotFoundHandler())
	want := tunnel.Hello{Pool: "builders", Name: "vm-1", Labels: []string{"linux", "arm64"}, Slots: 4, Version: "1", Instance: "i1"}
	if fmt.Sprintf("%+v", l.Hello) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v, want %+v", l.Hello, want)
	}
}

// Long polls, many small requests and large files go side by side.
func TestManyAtOnce(t *testing.T) {
	const size = 24 << 20
	big := make([]byte, size)
	rand.Read(big)
	polled := make(chan struct{})
	release := make(chan struct{})
	var waiting atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /poll", func(http.ResponseWriter, *http.Request) {
		if waiting.Add(1) == 100 {
			close(polled)
		}
		<-release
	})
	mux.HandleFunc("PUT /file", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) })
	mux.HandleFunc("GET /echo", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.RawQuery) })
	_, _, l, _ := one(t, mux)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if resp, err := get(t, l, "/poll", nil); err != nil || resp.Body.Close() != nil {
				t.Error(err)
			}
		})
	}
	select {
	case <-polled: // all of them are there, and stay
	case <-time.After(20 * time.Second):
		t.Fatalf("%d polls arrived", waiting.Load())
	}
	var busy sync.WaitGroup
	for i := range 4 {
		busy.Go(func() {
			var body io.Reader
			if i%2 == 0 {
				body = bytes.NewReader(big)
			}
			resp, err := get(t, l, "/file", body)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			got := string(data)
			if i%2 == 1 {
				got = fmt.Sprintf("%x", sha256.Sum256(data))
			}
			if want := fmt.Sprintf("%x", sha256.Sum256(big)); err != nil || got != want {
				t.Errorf("file: %v, %.64s", err, got)
			}
		})
	}
	for i := range 200 {
		busy.Go(func() {
			resp, err := get(t, l, fmt.Sprintf("/echo?%d", i), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if data, err := io.ReadAll(resp.Body); err != nil || string(data) != fmt.Sprint(i) {
				t.Errorf("echo: %s, %v", data, err)
			}
		})
	}
	busy.Wait()
	close(release)
	wg.Wait()
}

// A change of state is told at once, and not only with the next heartbeat.
func TestState(t *testing.T) {
	s, c, l, _ := one(t, http.NotFoundHandler())
	until(t, "the first state is told", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.saw) == 1
	})
	start := time.Now()
	c.Status.Update(func(st *tunnel.State) { st.Running, st.Draining = 3, true })
	until(t, "the change is told", func() bool { return l.State() == tunnel.State{Running: 3, Slots: 4, Draining: true} })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("told after %v", took)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := (tunnel.State{Slots: 4}); s.saw[0] != want {
		t.Errorf("saw %+v first, want %+v", s.saw[0], want)
	}
}

// An agent that leaves lets what was asked last be answered, and says goodbye.
func TestLeave(t *testing.T) {
	s, c, l, stop := one(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "last") }))
	resp, err := get(t, l, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	c.Leave(t.Context())
	if err := stop(); err != nil {
		t.Error(err)
	}
	until(t, "the link has ended", func() bool { return s.link("vm-1") == nil })
	if st := l.State(); !st.Leaving {
		t.Errorf("%+v", st)
	}
}

// A connection that breaks is replaced; requests on the broken one fail.
func TestReconnect(t *testing.T) {
	arrived := make(chan struct{})
	s, _, l, _ := one(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	failed := make(chan error, 1)
	go func() {
		_, err := get(t, l, "/", nil)
		failed <- err
	}()
	<-arrived
	l.Close(errors.New("pulled"))
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "pulled") {
		t.Errorf("request: %v", err)
	}
	until(t, "the agent is back", func() bool { n := s.link("vm-1"); return n != nil && n != l })
	if _, err := get(t, l, "/", nil); err == nil {
		t.Error("a link that has ended answers")
	}
}

// cable is a proxy whose connections can be frozen: both sides stay open, and
// nothing passes any more.
type cable struct {
	net.Listener
	frozen atomic.Bool
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: ln}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			a, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
				go func() {
					buf := make([]byte, 32<<10)
					for {
						n, err := way[0].Read(buf)
						if err != nil {
							if !c.frozen.Load() {
								way[1].Close()
							}
							return
						}
						if !c.frozen.Load() {
							if _, err := way[1].Write(buf[:n]); err != nil {
								return
							}
						}
					}
				}()
			}
		}
	}()
	return c
}

// Both sides notice a peer that has gone without a word.
func TestDeadPeer(t *testing.T) {
	t.Parallel()
	s := newReplica("r1", func() []string { return []string{"r1"} })
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	wire := newCable(t, strings.TrimPrefix(srv.URL, "http://"))
	c := newClient("http://"+wire.Addr().String(), http.NotFoundHandler())
	var log bytes.Buffer
	var mu sync.Mutex
	c.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))
	startClient(t, c)
	until(t, "the agent is connected", func() bool { return s.link("vm-1") != nil })
	l := s.link("vm-1")
	start := time.Now()
	wire.frozen.Store(true)
	<-l.Done()
	if took := time.Since(start); took > tunnel.DeadAfter+3*time.Second || !strings.Contains(l.Err().Error(), "silent") {
		t.Errorf("noticed after %v: %v", took, l.Err())
	}
	until(t, "the agent notices", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(log.String(), "the orchestrator is silent")
	})
	wire.frozen.Store(false)
	until(t, "the agent is back", func() bool { n := s.link("vm-1"); return n != nil && n != l })
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// An agent meets all replicas behind an address that spreads connections,
// one that is added later included, and none twice.
func TestReplicas(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	names := []string{"r0", "r1", "r2"}
	all := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}
	replicas := make([]*replica, 4)
	for i := range replicas {
		replicas[i] = newReplica(fmt.Sprintf("r%d", i), all)
	}
	var turn atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		replicas[int(turn.Add(1))%len(all())].ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	startClient(t, newClient(srv.URL, http.NotFoundHandler()))
	until(t, "three are met", func() bool {
		return replicas[0].link("vm-1") != nil && replicas[1].link("vm-1") != nil && replicas[2].link("vm-1") != nil
	})
	first := replicas[0].link("vm-1")
	mu.Lock()
	names = append(names, "r3")
	mu.Unlock()
	until(t, "the fourth is met", func() bool { return replicas[3].link("vm-1") != nil })
	if replicas[0].link("vm-1") != first {
		t.Error("a replica was connected to twice")
	}
}
