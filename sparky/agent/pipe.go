package agent

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeListener accepts connections that never leave the process.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := newPipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the other end of the next connection.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; connections live on.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns an address in memory.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "memory" }
func (pipeAddr) String() string  { return "memory" }

// pipeConn is one end of a buffered connection: a writer waits only while the
// other end is pipeBuffer bytes behind.
type pipeConn struct{ in, out *pipeHalf }

func newPipe() (a, b net.Conn) {
	one, two := newPipeHalf(), newPipeHalf()
	return &pipeConn{one, two}, &pipeConn{two, one}
}

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions; what was written before can still be read.
func (c *pipeConn) Close() error {
	c.out.close(false)
	c.in.close(true)
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr  { return pipeAddr{} }
func (c *pipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	c.out.writeBy.set(c.out, t)
	return nil
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.writeBy.set(c.out, t)
	return nil
}

// pipeHalf is one direction.
type pipeHalf struct {
	mu      sync.Mutex
	change  sync.Cond
	buf     []byte
	ended   bool // nothing more is written
	unread  bool // nothing more is read
	readBy  pipeDeadline
	writeBy pipeDeadline
}

func newPipeHalf() *pipeHalf {
	h := &pipeHalf{}
	h.change.L = &h.mu
	return h
}

// pipeDeadline wakes the waiting side when it is over.
type pipeDeadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *pipeDeadline) set(h *pipeHalf, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
	}
	if left := time.Until(t); !t.IsZero() && left > 0 {
		if d.timer == nil {
			d.timer = time.AfterFunc(left, h.wake)
		} else {
			d.timer.Reset(left)
		}
	}
	h.change.Broadcast()
}

func (d *pipeDeadline) over() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (h *pipeHalf) wake() {
	h.mu.Lock()
	h.change.Broadcast()
	h.mu.Unlock()
}

func (h *pipeHalf) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.unread:
			return 0, net.ErrClosed
		case h.readBy.over():
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0 || len(p) == 0:
			n := copy(p, h.buf)
			h.buf = h.buf[:copy(h.buf, h.buf[n:])]
			h.change.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.change.Wait()
	}
}

func (h *pipeHalf) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		switch {
		case h.ended:
			return n, net.ErrClosed
		case h.unread:
			return n, io.ErrClosedPipe
		case h.writeBy.over():
			return n, os.ErrDeadlineExceeded
		}
		if m := min(pipeBuffer-len(h.buf), len(p)); m > 0 {
			h.buf = append(h.buf, p[:m]...)
			p, n = p[m:], n+m
			h.change.Broadcast()
			continue
		}
		h.change.Wait()
	}
	return n, nil
}

func (h *pipeHalf) close(reader bool) {
	h.mu.Lock()
	if reader {
		h.unread, h.buf = true, nil
	} else {
		h.ended = true
	}
	for _, d := range []*pipeDeadline{&h.readBy, &h.writeBy} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
	h.change.Broadcast()
	h.mu.Unlock()
}
