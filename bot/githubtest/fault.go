package githubtest

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Fault is what goes wrong with one request.
type Fault struct {
	// Status is answered instead of what would have been, with Body, and
	// nothing takes effect. 0: the request is served. Such an answer is not
	// checked against the description, but a Retry-After in it is in force.
	Status int
	Body   string
	// Header is added to the answer, whichever it is.
	Header http.Header
	// Delay is how long the request takes to arrive. When its sender gives up
	// before that, it has no effect.
	Delay time.Duration
	// Hold, if not nil, is closed when the request may arrive.
	Hold <-chan struct{}
	// DropBefore and DropAfter end the connection without an answer: before
	// the request took effect, or after.
	DropBefore, DropAfter bool
	// Garbage answers with something that is not JSON, after the request took
	// effect.
	Garbage bool
	// Truncated ends the connection in the middle of the answer's body, after
	// the request took effect.
	Truncated bool
}

// garbage is what a proxy between us and GitHub may answer.
const garbage = "<html><body>Unicorn!</body>"

// errDropped is how a dropped connection looks to whoever waits for an answer.
var errDropped = errors.New("connection closed by the server")

// Fault sets what decides on faults: f gets each request and its number, from
// 1, and is called for one request at a time. Nil, or a nil result: no fault.
func (s *Server) Fault(f func(r *http.Request, n int) *Fault) {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.fault = f
}

func (s *Server) faultOf(r *http.Request, n int) Fault {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	if s.fault == nil {
		return Fault{}
	}
	if f := s.fault(r, n); f != nil {
		return *f
	}
	return Fault{}
}

// wait lasts for as long as the fault says, or until the request's sender is
// gone.
func (f Fault) wait(ctx context.Context) error {
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
		}
	}
	return wait(ctx, f.Delay)
}

// wait lasts for d, or until the request's sender is gone.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
