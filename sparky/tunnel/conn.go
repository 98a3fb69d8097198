package tunnel

import (
	"errors"
	"io"
	"net"
	"sync"
)

// conn is the connection under a tunnel, beginning with what was read of it
// already. It hides that there may be TLS below: HTTP/2 is agreed on without.
type conn struct {
	net.Conn
	read   io.Reader
	once   sync.Once
	closed chan struct{}
}

func newConn(c net.Conn, read io.Reader) *conn {
	return &conn{Conn: c, read: read, closed: make(chan struct{})}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) { return c.read.Read(p) }

// Close implements net.Conn; only the first call counts.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		close(c.closed)
	})
	return err
}

// oneListener hands out one connection, and ends with it.
type oneListener struct {
	conn  *conn
	mu    sync.Mutex
	given bool
}

// Accept implements net.Listener.
func (l *oneListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	given := l.given
	l.given = true
	l.mu.Unlock()
	if !given {
		return l.conn, nil
	}
	<-l.conn.closed
	return nil, errEnded
}

// Close implements net.Listener. It leaves the connection to its user.
func (l *oneListener) Close() error { return nil }

// Addr implements net.Listener.
func (l *oneListener) Addr() net.Addr { return l.conn.LocalAddr() }

var errEnded = errors.New("the connection has ended")
