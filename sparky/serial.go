package sparky

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"time"
)

// serial is an http.RoundTripper for short requests. A run waits for thousands
// of hosts at once, and net/http.Transport keeps two goroutines and two buffers
// for each of its connections. Here the goroutine that asks writes the request
// and reads the answer, and there is no buffer while it waits.
//
// It speaks HTTP/1.1 and knows no proxies. Since it does not read before it has
// written, it is not for requests with a body of more than shortBody. As with
// net/http, a connection that was kept and breaks before the answer begins is
// replaced by a new one if the request may be repeated: a GET, or one of which
// nothing was sent.
type serial struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config

	mu   sync.Mutex
	idle map[origin][]*serialConn // the one used last at the end
}

// origin is what a connection is kept for: the scheme and host of a URL.
type origin struct{ scheme, host string }

// RoundTrip implements http.RoundTripper.
func (s *serial) RoundTrip(req *http.Request) (*http.Response, error) {
	if c := s.take(origin{req.URL.Scheme, req.URL.Host}); c != nil {
		resp, err := c.roundTrip(req)
		if err == nil || req.Context().Err() != nil || !c.repeatable(req) {
			return resp, err
		}
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.WithContext(req.Context()) // the caller's is not to be changed
			req.Body = body
		}
	}
	c, err := s.open(req.Context(), req.URL)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, broken(req.Context(), err)
	}
	return c.roundTrip(req)
}

// broken is the error of a connection: if ctx is done, that has broken it.
func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// open returns a new connection to the host of the URL.
func (s *serial) open(ctx context.Context, u *url.URL) (*serialConn, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	raw, err := s.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	c := &serialConn{Conn: raw, raw: raw, way: s, origin: origin{u.Scheme, u.Host}}
	if u.Scheme == "https" {
		config := s.tls.Clone()
		config.ServerName = u.Hostname()
		secure := tls.Client(raw, config)
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		c.Conn = secure
	}
	return c, nil
}

// take returns a connection that was kept and is still open, nil if there is none.
func (s *serial) take(o origin) *serialConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle[o]) > 0 {
		c := s.idle[o][len(s.idle[o])-1]
		s.remove(c)
		if quiet(c.raw) {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// keep keeps a connection for idleKept, unless there are enough.
func (s *serial) keep(c *serialConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle[c.origin]) >= maxIdle {
		_ = c.Close()
		return
	}
	if s.idle == nil {
		s.idle = map[origin][]*serialConn{}
	}
	s.idle[c.origin] = append(s.idle[c.origin], c)
	c.used, c.expire = true, time.AfterFunc(idleKept, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if slices.Contains(s.idle[c.origin], c) {
			s.remove(c)
			_ = c.Close()
		}
	})
}

// remove takes a connection from those that are kept. The caller holds the lock.
func (s *serial) remove(c *serialConn) {
	c.expire.Stop()
	c.expire = nil
	left := slices.DeleteFunc(s.idle[c.origin], func(other *serialConn) bool { return other == c })
	if s.idle[c.origin] = left; len(left) == 0 {
		delete(s.idle, c.origin)
	}
}

// CloseIdleConnections closes the connections that are not in use.
func (s *serial) CloseIdleConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conns := range s.idle {
		for _, c := range slices.Clone(conns) {
			s.remove(c)
			_ = c.Close()
		}
	}
}

// serialConn is a connection with at most one request on its way.
type serialConn struct {
	net.Conn          // with TLS, if the URL says so
	raw      net.Conn // without
	way      *serial
	origin   origin
	used     bool        // before this request
	expire   *time.Timer // while it is kept

	sent  int     // bytes of the request
	begun bool    // the answer
	limit int     // bytes of the answer that may still be read
	first [1]byte // of the answer
	ahead bool    // first is still to be read
}

// Close breaks the connection off: the last words of TLS, which nobody waits
// for, could take seconds.
func (c *serialConn) Close() error { return c.raw.Close() }

// Write implements io.Writer.
func (c *serialConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent += n
	return n, err
}

// Read implements io.Reader, for the answer.
func (c *serialConn) Read(p []byte) (n int, err error) {
	switch {
	case c.limit <= 0:
		return 0, fmt.Errorf("its header has more than %d bytes", maxHeader)
	case c.ahead && len(p) > 0:
		n, c.ahead = copy(p, c.first[:]), false
	default:
		n, err = c.Conn.Read(p[:min(len(p), c.limit)])
	}
	c.limit -= n
	return n, err
}

// repeatable reports whether a request that failed may be sent on a new connection.
func (c *serialConn) repeatable(req *http.Request) bool {
	return !c.begun && (c.sent == 0 || req.Method == http.MethodGet) && (req.Body == nil || req.GetBody != nil)
}

// The buffers of all serialConns, each lent while there is something for it.
var (
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, serialBuffer) }}
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, serialBuffer) }}
)

// roundTrip sends req and returns the answer. Its body gives the connection
// back when it has been read.
func (c *serialConn) roundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.Conn, Reused: c.used})
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	body := &serialBody{c: c, ctx: ctx, stop: stop, close: req.Close}
	resp, err := c.exchange(req, body)
	if err != nil {
		stop()
		_ = c.Close()
		return nil, broken(ctx, err)
	}
	return resp, nil
}

func (c *serialConn) exchange(req *http.Request, body *serialBody) (*http.Response, error) {
	c.sent, c.begun = 0, false
	w := writers.Get().(*bufio.Writer)
	w.Reset(c)
	err := req.Write(w)
	if err == nil {
		err = w.Flush()
	}
	w.Reset(nil)
	writers.Put(w)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c.Conn, c.first[:]); err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	c.begun, c.ahead, c.limit = true, true, maxHeader
	r := readers.Get().(*bufio.Reader)
	r.Reset(c)
	var resp *http.Response
	for resp == nil || resp.StatusCode < 200 {
		if resp, err = http.ReadResponse(r, req); err != nil {
			return nil, errors.New("answer: " + plainLine([]byte(err.Error()))) // which may quote it at length
		}
	}
	c.limit = math.MaxInt
	body.ReadCloser, body.r = resp.Body, r
	body.close = body.close || resp.Close
	if resp.Body == http.NoBody {
		body.end(true)
	} else {
		resp.Body = body
	}
	return resp, nil
}

// serialBody is the body of an answer. What is read to its end gives the
// connection back; what is closed before closes it.
type serialBody struct {
	io.ReadCloser
	c     *serialConn
	r     *bufio.Reader
	ctx   context.Context //nolint:containedctx // of the request, which the answer belongs to
	stop  func() bool     // has ctx no longer break the connection
	close bool            // it is not to be kept
	once  sync.Once
	err   error // that ended it: net/http's body says of half an answer once only that it is half
}

func (b *serialBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if n, err = b.ReadCloser.Read(p); err != nil {
		whole := errors.Is(err, io.EOF)
		if b.end(whole); !whole {
			err = broken(b.ctx, err)
		}
		b.err = err
	}
	return n, err
}

func (b *serialBody) Close() error {
	b.end(false)
	return nil
}

// end is called when nothing more is read.
func (b *serialBody) end(whole bool) {
	b.once.Do(func() {
		if !b.stop() || !whole || b.close || b.r.Buffered() > 0 {
			_ = b.c.Close()
		} else {
			b.c.way.keep(b.c)
		}
		if whole {
			b.r.Reset(nil)
			readers.Put(b.r)
		}
	})
}
