package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/cromt/cromt/sparky"
)

// ErrNoToken is returned by Serve for an address that others can reach.
var ErrNoToken = errors.New("a token is required to listen on an address that is not loopback; give --token-file, or listen on 127.0.0.1")

// Serve answers on the listener, with TLS when tlsCfg is not nil, until ctx is
// done, and then closes it. It refuses a listener that is not on a loopback
// address when the agent has neither a token nor users. It then also refuses
// requests whose Host is not a loopback name or that come from a web page.
func Serve(ctx context.Context, ln net.Listener, a *Agent, tlsCfg *tls.Config) error {
	if a.access.open && !isLoopback(ln.Addr()) {
		return errors.Join(ErrNoToken, ln.Close())
	}
	if a.access.open {
		return serve(ctx, ln, a, sameMachine(a), tlsCfg)
	}
	return serve(ctx, ln, a, a, tlsCfg)
}

// serve answers with the handler until ctx is done.
func serve(ctx context.Context, ln net.Listener, a *Agent, handler http.Handler, tlsCfg *tls.Config) error {
	// Long polls end when the server does.
	base, stop := context.WithCancel(ctx)
	defer stop()
	srv := &http.Server{
		Handler: handler, TLSConfig: tlsCfg, BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		// Longer answers get more time as they go.
		WriteTimeout: sparky.MaxWait + stepTimeout,
		ErrorLog:     slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() {
		if tlsCfg != nil {
			served <- srv.ServeTLS(ln, "", "")
		} else {
			served <- srv.Serve(ln)
		}
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer done()
	err := srv.Shutdown(grace)
	if err != nil {
		err = srv.Close()
	}
	<-served //nolint:errcheck // it is http.ErrServerClosed
	return err
}

func isLoopback(addr net.Addr) bool {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// sameMachine refuses what a web page of another origin can make a browser on
// this machine send: a name of the page's own that now resolves to loopback,
// and requests that carry the page's origin.
func sameMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocalName(r.Host) {
			writeError(w, http.StatusForbidden, errors.New("host: without a token this agent answers to loopback names only"))
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
				writeError(w, http.StatusForbidden, errors.New("origin: without a token this agent answers to no other web page"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isLocalName reports whether host[:port] is localhost or a loopback address.
func isLocalName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
