package tunnel

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Connect dials once.
func Connect(ctx context.Context, c *Client) error {
	conn, _, err := c.connect(ctx, &c.Hello)
	switch {
	case err != nil:
		return err
	case conn == nil:
		return errors.New("connected already")
	}
	return conn.Close()
}

// ServeConn answers on a connection with a handler of the test's own.
func ServeConn(c net.Conn, h http.Handler) {
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	_ = srv.Serve(&oneListener{conn: newConn(c, c)})
}
