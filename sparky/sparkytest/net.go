package sparkytest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Dial opens a connection, as the field of that name of a HostConfig.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Serve serves h until the test ends and returns how it is reached: through
// memory, so that a host can be called anything and time can be virtual.
func Serve(t testing.TB, h http.Handler) Dial {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h} //nolint:gosec // no stranger reaches it
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return l.dial
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }

// Refuse is the Dial of a host on which nothing listens.
func Refuse(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("connection refused")
}
