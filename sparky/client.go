package sparky

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// Client speaks to one host. It is safe for several goroutines. Every method
// has a time-out of its own besides ctx, and returns an [*Error] when the
// host does not do what it is asked for.
type Client struct {
	base  string // URL without trailing slash
	token string
	way
}

// way leads to a host. Redirects, which would carry the token elsewhere, are
// not followed.
type way struct {
	short http.RoundTripper // for all but files
	files http.RoundTripper // reads the answer while it sends
}

// NewClient returns a Client for the host. It opens no connection; errors are
// those of the configuration.
func NewClient(c HostConfig) (*Client, error) { return newClient(c, newWay) }

// newClient has the way to a host that has no Transport made by a function.
func newClient(c HostConfig, wayFor func(HostConfig) (way, error)) (*Client, error) {
	base := strings.TrimRight(c.URL, "/")
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && (u.Scheme != AgentScheme || c.Transport == nil) {
		return nil, fmt.Errorf("host URL %q: not of the form http://host:port or https://host:port", redactURL(c.URL))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("host URL %q: user, query and fragment are not allowed; a token goes into the hosts file", redactURL(c.URL))
	}
	for _, r := range c.Token {
		if r < ' ' || r > '~' {
			return nil, fmt.Errorf("host %s: its token has a character that a header cannot have; is there a line break at its end?", base)
		}
	}
	w := way{c.Transport, c.Transport}
	if c.Transport == nil {
		if w, err = wayFor(c); err != nil {
			return nil, fmt.Errorf("host %s: %w", base, err)
		}
	}
	if strings.ContainsFunc(u.Hostname(), func(r rune) bool { return r > unicode.MaxASCII }) {
		w.short = w.files // which knows how such a name is looked up
	}
	return &Client{base: base, token: c.Token, way: w}, nil
}

// ways are shared by the hosts that are reached in the same way: each has a
// cost of its own, which thousands of hosts would have thousands of times.
type ways struct{ verified, unverified way }

// of returns the host's way, its own where it differs from the others'.
func (w *ways) of(c HostConfig) (_ way, err error) {
	if c.Dial != nil || len(c.CA) > 0 {
		return newWay(c)
	}
	shared := &w.verified
	if c.InsecureSkipVerify {
		shared = &w.unverified
	}
	if shared.short == nil {
		*shared, err = newWay(c)
	}
	return *shared, err
}

// newWay reaches the host at its URL.
func newWay(c HostConfig) (way, error) {
	tlsConfig, err := tlsConfig(c)
	if err != nil {
		return way{}, err
	}
	dial := c.Dial
	if dial == nil {
		dial = dialTCP(nil)
	}
	return way{&serial{dial: dial, tls: tlsConfig}, &http.Transport{
		// No proxy: hosts are inside a network, and a proxy would see the token.
		DialContext:            dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        filesKept,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}}, nil
}

// redactURL returns s without what may be a password.
func redactURL(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	} else {
		scheme += "://"
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = "…" + rest[i:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	return scheme + rest
}

func tlsConfig(c HostConfig) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify} //nolint:gosec // chosen by the user for this host
	if len(c.CA) == 0 {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(c.CA) {
		return nil, errors.New("its CA holds no PEM certificate")
	}
	t.RootCAs = pool
	return t, nil
}

// URL returns the host's URL without trailing slash.
func (c *Client) URL() string { return c.base }

// CloseIdle closes the connections that are not in use.
// Those of other hosts of an Executor may be among them.
func (c *Client) CloseIdle() {
	for _, t := range []http.RoundTripper{c.short, c.files} {
		if t, ok := t.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// request is one exchange with the host.
type request struct {
	op      string // for errors
	method  string
	path    string
	body    io.Reader // sent with size bytes
	size    int64
	file    bool          // it brings or gets one
	header  [2]string     // one more: name and value
	timeout time.Duration // 0: the body's stall limit alone
}

// do sends r and returns the answer, whatever its status. The caller reads
// the body up to a limit and closes it, then calls done.
func (c *Client) do(ctx context.Context, r request) (resp *http.Response, done func(), err error) {
	if r.timeout > 0 {
		ctx, done = context.WithTimeout(ctx, r.timeout)
	} else {
		ctx, done = context.WithCancel(ctx)
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, r.body)
	if err != nil {
		done()
		return nil, nil, &Error{Op: r.op, Host: c.base, Kind: KindUnreachable, Err: errors.New("malformed URL")}
	}
	if r.body != nil {
		req.ContentLength = r.size
		if r.size == 0 {
			req.Body = http.NoBody
		}
	}
	if c.token != "" {
		req.Header.Set("Token", c.token)
	}
	req.Header.Set("User-Agent", "cromt")
	if name, value := r.header[0], r.header[1]; name != "" {
		req.Header.Set(name, value)
	}
	over := c.short
	if r.file || r.size > shortBody {
		over = c.files
	}
	resp, err = over.RoundTrip(req)
	if err != nil {
		done()
		return nil, nil, transportError(r.op, c.base, connected.Load(), err)
	}
	return resp, done, nil
}

// fetch sends r and returns the body of a 200, at most limit bytes.
func (c *Client) fetch(ctx context.Context, r request, limit int64) ([]byte, error) {
	resp, done, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer done()
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, statusError(r.op, c.base, resp.StatusCode, body[:min(len(body), maxQuoted*4)])
	case err != nil:
		return nil, transportError(r.op, c.base, true, err)
	case int64(len(body)) > limit:
		return nil, c.nonsense(r.op, "the answer is larger than %d bytes", limit)
	}
	return body, nil
}

// nonsense is the error for an answer that the protocol does not have.
func (c *Client) nonsense(op, format string, args ...any) *Error {
	return &Error{Op: op, Host: c.base, Kind: KindAmbiguous, Status: http.StatusOK, Err: fmt.Errorf(format, args...)}
}

// sendJSON posts v and decodes the answer, of at most limit bytes, into answer.
func (c *Client) sendJSON(ctx context.Context, r request, v, answer any, limit int64) error {
	body, err := json.Marshal(v)
	if err != nil {
		return &Error{Op: r.op, Host: c.base, Kind: KindRefused, Err: err}
	}
	r.method, r.body, r.size = http.MethodPost, bytes.NewReader(body), int64(len(body))
	r.header = [2]string{"Content-Type", "application/json"}
	text, err := c.fetch(ctx, r, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return c.nonsense(r.op, "the answer is not the expected JSON: %s", plainLine(text))
	}
	return nil
}
