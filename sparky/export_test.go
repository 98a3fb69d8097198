package sparky

import (
	"context"
	"net"
	"strings"
)

// DialTCP is dialTCP.
func DialTCP(resolver *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	return dialTCP(resolver)
}

// Sparrowfile is the program that a real Sparky host runs for every job.
var Sparrowfile = sparrowfile

// ReadReport gives the parts to the reader of a real Sparky's report, and
// returns what goes to the log and what the status is.
func ReadReport(code Code, parts ...string) (string, JobStatus) {
	var b strings.Builder
	log := newLogSink(&b, nil)
	r := newReportReader(log)
	for _, p := range parts {
		_, _ = r.Write([]byte(p)) // it does not fail
	}
	r.complete()
	_ = log.flush() // a strings.Builder does not fail
	return b.String(), r.status(code)
}

// Login is the sign-in for a cancel.
func (c *Client) Login(ctx context.Context) (cookies string, err error) { return c.login(ctx) }

// CancelWith is a cancel with those cookies.
func (c *Client) CancelWith(ctx context.Context, project, jobID, cookies string) error {
	return c.cancel(ctx, project, jobID, cookies)
}

// Shared does something that has a number once.
type Shared struct{ s shared[int] }

// Do does it, unless it is done.
func (s *Shared) Do(ctx context.Context, f func(context.Context) (int, error)) (int, error) {
	return s.s.do(ctx, f)
}
