package sparky

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Kind says what an Error means for the request that failed.
type Kind int

// The kinds of Error.
const (
	// KindUnreachable: no connection, so nothing was sent.
	KindUnreachable Kind = iota + 1
	// KindUntrusted: the host's certificate was not accepted, or it does not
	// speak the scheme of its URL; nothing was sent.
	KindUntrusted
	// KindAmbiguous: it was sent, and there was no answer or one without sense.
	KindAmbiguous
	// KindRefused: the host understood and refused (4xx); repeating is useless.
	KindRefused
	// KindNotFound: 404.
	KindNotFound
	// KindServer: 5xx, 429, or an error inside a 200. The request may have had its effect.
	KindServer
)

// Error is a request to a host that failed. It never contains the token.
type Error struct {
	Op     string // what was asked for: "queue job", "get status"
	Host   string // URL of the host
	Kind   Kind
	Status int   // of HTTP; 0 without an answer
	Err    error // the cause
}

func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("%s on %s: HTTP %d: %v", e.Op, e.Host, e.Status, e.Err)
	}
	return fmt.Sprintf("%s on %s: %v", e.Op, e.Host, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the Kind of the first [Error] that err wraps, or 0.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// transportError explains why a request has no answer. connected says that
// there was a connection to send it on.
func transportError(op, host string, connected bool, err error) *Error {
	e := &Error{Op: op, Host: host, Kind: KindAmbiguous, Err: err}
	var ue *url.Error
	if errors.As(err, &ue) {
		e.Err = ue.Err // the URL is said already
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Err = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	if connected {
		return e
	}
	e.Kind = KindUnreachable
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &cert):
		e.Kind = KindUntrusted
		e.Err = fmt.Errorf("%w; give its CA or set insecure_skip_verify in the hosts file", cert.Err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Kind = KindUntrusted
		e.Err = errors.New("it does not speak TLS; write http:// in its URL")
	}
	return e
}

// statusError explains an answer whose status is not 200. body is its
// beginning.
func statusError(op, host string, status int, body []byte) *Error {
	e := &Error{Op: op, Host: host, Status: status, Kind: KindRefused}
	text := plainLine(body)
	switch {
	case status == 404:
		e.Kind = KindNotFound
		e.Err = errors.New("not found")
	case status >= 500 || status == 429:
		e.Kind = KindServer
		e.Err = errors.New("the host has a problem")
	case status == 401 || status == 403:
		e.Err = errors.New("the token is wrong or missing; set it with --host-token or in the hosts file")
	case status >= 300 && status < 400:
		e.Err = errors.New("the host redirects, which is not followed; give the URL that it leads to")
	case status < 300:
		e.Kind = KindAmbiguous
		e.Err = errors.New("unexpected status")
	default:
		e.Err = errors.New("refused")
	}
	if text != "" && text != "bad token" {
		e.Err = fmt.Errorf("%w: %s", e.Err, text)
	}
	return e
}

// plainLine makes one short printable line of what a host said.
func plainLine(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxQuoted {
		return string(r[:maxQuoted]) + "…"
	}
	return s
}
