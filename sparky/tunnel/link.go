package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

// Link is the orchestrator's end of one agent's connection. As an
// http.RoundTripper it asks the agent, whatever the host of the URL is.
type Link struct {
	Hello Hello
	conn  *conn
	http  *http.ClientConn
	// turns bounds the requests at a time, see maxStreams.
	turns chan struct{}

	mu    sync.Mutex
	state State
	why   error
}

// Upgrading reports whether the request is one that Accept can take: else it
// answers what is wrong with it.
func Upgrading(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.ProtoMajor != 1 || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Upgrade") != protocol:
		w.Header().Set("Upgrade", protocol)
		http.Error(w, "this is for agents; is there a proxy between that does not pass Connection: Upgrade on?", http.StatusUpgradeRequired)
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		http.Error(w, "a body has no place here", http.StatusBadRequest)
	default:
		return true
	}
	return false
}

// Known answers that this replica is connected to the agent already.
func Known(w http.ResponseWriter, replicas Replicas) {
	replicas.write(w.Header())
	w.WriteHeader(http.StatusNoContent)
}

// Refuse answers that the agent is not let in, and why. retry says that it may
// come again, later.
func Refuse(w http.ResponseWriter, status int, replicas Replicas, why string) {
	replicas.write(w.Header())
	http.Error(w, why, status)
}

// Accept takes the connection over and turns it around. The caller has checked
// who it is. When it fails there is nothing left to answer on.
func Accept(w http.ResponseWriter, hello *Hello, replicas Replicas) (*Link, error) {
	raw, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("agent connection: %w", err)
	}
	if buf.Reader.Buffered() > 0 { // it may not speak before it is answered
		return nil, errors.Join(errors.New("agent connection: bytes after the request"), raw.Close())
	}
	_ = raw.SetDeadline(time.Now().Add(dialTimeout))
	head := http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocol}}
	replicas.write(head)
	answer := http.Response{StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, ProtoMinor: 1, Header: head}
	if err := answer.Write(raw); err != nil {
		return nil, errors.Join(fmt.Errorf("agent connection: %w", err), raw.Close())
	}
	_ = raw.SetDeadline(time.Time{})
	c := newConn(raw, raw)
	l := &Link{Hello: *hello, conn: c, turns: make(chan struct{}, maxStreams), state: State{Slots: hello.Slots}}
	if l.http, err = client(c); err != nil {
		return nil, errors.Join(fmt.Errorf("agent connection: %w", err), c.Close())
	}
	return l, nil
}

// client speaks HTTP/2 on the connection.
func client(c *conn) (*http.ClientConn, error) {
	t := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return c, nil },
		Protocols:              new(http.Protocols),
		HTTP2:                  &http.HTTP2Config{WriteByteTimeout: writeStall},
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	return t.NewClientConn(ctx, "http", "agent:80")
}

// RoundTrip implements http.RoundTripper.
func (l *Link) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.turn(r.Context()); err != nil {
		closeBody(r)
		return nil, err
	}
	// From here on the request may have arrived: those who trace it ask for that.
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: l.conn, Reused: true})
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "http", "agent", ""
	resp, err := l.http.RoundTrip(out)
	if err != nil {
		<-l.turns
		if why := l.Err(); why != nil {
			err = why
		}
		return nil, err
	}
	resp.Request = r
	resp.Body = &turnBody{ReadCloser: resp.Body, done: sync.OnceFunc(func() { <-l.turns })}
	return resp, nil
}

// turn waits until there is room for one more request.
func (l *Link) turn(ctx context.Context) error {
	select {
	case <-l.conn.closed:
		return l.Err()
	default:
	}
	select {
	case l.turns <- struct{}{}:
		return nil
	case <-l.conn.closed:
		return l.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// turnBody gives a turn back when the answer has been read.
type turnBody struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (b *turnBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

// State returns the newest state that the agent has told.
func (l *Link) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Done is closed when the connection has ended.
func (l *Link) Done() <-chan struct{} { return l.conn.closed }

// Err says why the connection has ended; nil while it has not.
func (l *Link) Err() error {
	select {
	case <-l.conn.closed:
	default:
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		return l.why
	}
	return errEnded
}

// Close ends the connection, for that reason.
func (l *Link) Close(why error) {
	l.mu.Lock()
	if l.why == nil {
		l.why = why
	}
	l.mu.Unlock()
	_ = l.http.Close()
	_ = l.conn.Close()
}

// Watch asks for the agent's state until the connection ends or ctx is done,
// and tells saw of each change. It returns why it has ended; the connection is
// closed then.
func (l *Link) Watch(ctx context.Context, replicas func() Replicas, saw func(State)) error {
	for serial := int64(0); ; {
		s, err := l.ask(ctx, replicas(), serial)
		if err != nil {
			l.Close(fmt.Errorf("agent %s: %w", l.Hello.Name, err))
			return l.Err()
		}
		l.mu.Lock()
		changed := serial == 0 || s.State != l.state
		l.state, serial = s.State, s.Serial
		l.mu.Unlock()
		if changed {
			saw(s.State)
		}
		select {
		case <-time.After(statePause):
		case <-l.conn.closed:
		case <-ctx.Done():
		}
	}
}

// ask asks for the state, a newer one than that of the serial number.
func (l *Link) ask(ctx context.Context, replicas Replicas, serial int64) (s stateAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, DeadAfter)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://agent%s?after=%d", statePath, serial), nil)
	if err != nil {
		return s, err
	}
	replicas.write(r.Header)
	// Its own way past the turns: a full tunnel is alive.
	resp, err := l.http.RoundTrip(r)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("silent for %v", DeadAfter)
		}
		return s, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxState))
	if err != nil {
		return s, err
	}
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("asked for its state it answered %d", resp.StatusCode)
	}
	if err := json.Unmarshal(body, &s); err != nil || s.Running < 0 || s.Queued < 0 || s.Slots < 0 || s.Slots > MaxSlots || s.Serial < 1 {
		return s, errors.New("asked for its state it answered nonsense")
	}
	return s, nil
}
