package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Client keeps an agent connected to every replica of its orchestrator.
type Client struct {
	// URL of the orchestrator: https, or http to a loopback address.
	URL string
	// CA are certificates to trust besides the system's; nil: those alone.
	CA *x509.CertPool
	// Hello is what the agent says of itself. Connected is filled.
	Hello Hello
	// Credential is what it proves that with.
	Credential string
	// Handler answers what is asked.
	Handler http.Handler
	// Status is told to those who ask.
	Status *Status
	Logger *slog.Logger

	asked  activity
	untold atomic.Int64 // connections on which nobody has heard that the agent leaves
}

// ErrRefused says that the orchestrator does not let the agent in: another try
// with the same credential cannot help.
var ErrRefused = errors.New("the orchestrator refuses this agent")

// CheckURL says what is wrong with the URL of an orchestrator, and returns it
// without a slash at its end.
func CheckURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return "", errors.New("it must be an https URL, like https://cromt.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return "", errors.New("it must be a scheme and a host alone, like https://cromt.example.com")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", errors.New("it must be https: whoever is between could run commands on this host")
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Run keeps the agent connected until ctx is done, or the orchestrator refuses
// it: then the error is an ErrRefused. No connection is left when it returns.
func (c *Client) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &meeting{ends: map[string]*end{}, news: make(chan struct{}, 1)}
	defer m.serving.Wait()
	defer cancel()
	backoff := minBackoff
	for tries := 0; ; {
		err := c.dial(ctx, m)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrRefused):
			return err
		case err != nil && m.connected() == 0:
			c.Logger.Warn("not connected", "url", c.URL, "error", err)
			if !pause(ctx, jitter(backoff), nil) {
				return nil
			}
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		backoff = minBackoff
		if err != nil {
			c.Logger.Info("another replica is not met", "error", err)
		}
		// Others are looked for at once, a few times, and then now and then.
		if missing := m.missing(); missing > 0 && tries < meetTries*missing {
			tries++
			if !pause(ctx, jitter(meetPause), nil) {
				return nil
			}
			continue
		}
		tries = 0
		if !c.rest(ctx, m) {
			return nil
		}
	}
}

// rest waits until a replica is missing; false: ctx is done.
func (c *Client) rest(ctx context.Context, m *meeting) bool {
	for m.connected() > 0 {
		if !pause(ctx, jitter(recheck), m.news) {
			return false
		}
		if m.missing() > 0 {
			return true
		}
	}
	return pause(ctx, jitter(minBackoff), nil)
}

// pause waits for d, or for news; false: ctx is done.
func pause(ctx context.Context, d time.Duration, news <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-news:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// jitter returns d, more or less by half, so that those who lost their
// orchestrator together do not come back together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// meeting is which replicas there are, and which are met.
type meeting struct {
	serving sync.WaitGroup
	news    chan struct{} // capacity 1

	mu   sync.Mutex
	all  []string
	ends map[string]*end
}

func (m *meeting) connected() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ends)
}

// names returns the replicas that are met.
func (m *meeting) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.ends))
	for r := range m.ends {
		names = append(names, r)
	}
	slices.Sort(names)
	return names
}

// missing returns how many replicas are not met.
func (m *meeting) missing() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.all {
		if m.ends[r] == nil {
			n++
		}
	}
	return n
}

// heard takes note of which replicas there are.
func (m *meeting) heard(r Replicas) {
	m.mu.Lock()
	changed := !slices.Equal(m.all, r.All)
	m.all = r.All
	m.mu.Unlock()
	if changed {
		m.tell()
	}
}

func (m *meeting) tell() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// dial makes one more connection, and serves it.
func (c *Client) dial(ctx context.Context, m *meeting) error {
	hello := c.Hello
	hello.Connected = m.names()
	conn, replicas, err := c.connect(ctx, &hello)
	if replicas.Self != "" {
		m.heard(replicas)
	}
	if err != nil || conn == nil {
		return err
	}
	e := &end{replica: replicas.Self, conn: conn}
	m.mu.Lock()
	old := m.ends[e.replica]
	m.ends[e.replica] = e
	m.mu.Unlock()
	if old != nil { // the replica has dropped it
		_ = old.conn.Close()
	}
	c.Logger.Info("connected", "url", c.URL, "replica", e.replica, "pool", hello.Pool, "name", hello.Name)
	m.serving.Go(func() {
		c.serveEnd(ctx, e, m.heard)
		m.mu.Lock()
		if m.ends[e.replica] == e {
			delete(m.ends, e.replica)
		}
		m.mu.Unlock()
		if ctx.Err() == nil {
			c.Logger.Warn("connection ended", "replica", e.replica)
		}
		m.tell()
	})
	return nil
}

// connect asks to be called. Without an error and a connection the replica
// that answers has one already.
func (c *Client) connect(ctx context.Context, hello *Hello) (*conn, Replicas, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := c.open(ctx)
	if err != nil {
		return nil, Replicas{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	conn, replicas, err := c.ask(ctx, raw, hello)
	if !stop() && err == nil && conn != nil {
		err, conn = ctx.Err(), nil
	}
	if err != nil || conn == nil {
		_ = raw.Close()
		return nil, replicas, err
	}
	_ = raw.SetDeadline(time.Time{})
	return conn, replicas, nil
}

// open dials, with TLS for https.
func (c *Client) open(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	address := net.JoinHostPort(u.Hostname(), port)
	dialer := &net.Dialer{}
	if u.Scheme == "http" {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: c.CA, NextProtos: []string{"http/1.1"}, // HTTP/2 has no Upgrade
	}}).DialContext(ctx, "tcp", address)
}

// ask sends the request and reads the answer's head, not a byte more.
func (c *Client) ask(ctx context.Context, raw net.Conn, hello *Hello) (*conn, Replicas, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+ConnectPath, nil)
	if err != nil {
		return nil, Replicas{}, err
	}
	hello.write(r.Header)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocol)
	r.Header.Set("Authorization", "Bearer "+c.Credential)
	r.Header.Set("User-Agent", "cromt")
	if err := r.Write(raw); err != nil {
		return nil, Replicas{}, fmt.Errorf("connect: %w", err)
	}
	limited := &io.LimitedReader{R: raw, N: maxAnswer}
	buf := bufio.NewReader(limited)
	resp, err := http.ReadResponse(buf, r) //nolint:bodyclose // it ends with the connection, which connect closes
	if err != nil {
		return nil, Replicas{}, fmt.Errorf("connect: the answer is not to be understood: %w", err)
	}
	replicas := readReplicas(resp.Header)
	switch {
	case replicas.Self == "":
		return nil, Replicas{}, fmt.Errorf("connect: %s answered %d, and is no cromt", c.URL, resp.StatusCode)
	case resp.StatusCode == http.StatusNoContent:
		return nil, replicas, nil
	case resp.StatusCode == http.StatusSwitchingProtocols && resp.Header.Get("Upgrade") == protocol:
		limited.N = math.MaxInt64
		return newConn(raw, buf), replicas, nil
	}
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // a part will do
	err = fmt.Errorf("connect: HTTP %d: %s", resp.StatusCode, printable(why))
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil, replicas, err
}

// printable is what a stranger said, in one line.
func printable(text []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return ' '
		}
		return r
	}, string(text)))
}

// Leave waits until what the orchestrator wanted last has been answered, says
// goodbye, and returns when it has been heard, or ctx is done. Run is to be
// ended after it.
func (c *Client) Leave(ctx context.Context) {
	for c.asked.quiet() < leaveQuiet {
		if !pause(ctx, max(leaveQuiet-c.asked.quiet(), leaveQuiet/10), nil) {
			return
		}
	}
	c.Status.Update(func(s *State) { s.Draining, s.Leaving = true, true })
	ctx, cancel := context.WithTimeout(ctx, leaveQuiet)
	defer cancel()
	for c.untold.Load() > 0 && pause(ctx, statePause/10, nil) {
	}
}
