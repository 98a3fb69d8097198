package githubtest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Request is one that reached the server, or would have but for a fault.
type Request struct {
	Time   time.Time // when it was sent
	Method string
	Path   string
	Query  url.Values
	Body   string
	Status int    // of the answer; 0 where the connection was dropped
	Token  string // the secret that it carried, "" without any
}

// Requests are all requests so far, in the order in which they came.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.requests))
	for i, r := range s.requests {
		out[i] = *r
	}
	return out
}

// WriteCount is how many requests so far count as content-creating: each POST,
// PATCH and PUT, refused ones too.
func (s *Server) WriteCount() int {
	return len(s.writeTimes())
}

// Writes is the largest number of content-creating requests in any stretch of
// time that is shorter than window.
func (s *Server) Writes(window time.Duration) int {
	times := s.writeTimes()
	most, first := 0, 0
	for last, t := range times {
		for !times[first].After(t.Add(-window)) {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func (s *Server) writeTimes() []time.Time {
	var times []time.Time
	for _, r := range s.Requests() {
		if isContent(r.Method) {
			times = append(times, r.Time)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// Violation is something that a right program, or a right fake, would not have done.
type Violation struct {
	Method, Path string
	Problem      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s %s: %s", v.Method, v.Path, v.Problem)
}

// Violations returns the violations so far and takes them: those that nobody
// has taken fail the test when it ends.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.violations
	s.violations = nil
	return v
}

// Banned reports whether a request was sent while a Retry-After or a rate
// limit's reset was in force, for which GitHub may ban an integration. Each
// such request is a violation as well.
func (s *Server) Banned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.banned
}

// violate records what was wrong with a request. The caller holds the lock.
func (s *Server) violate(r *Request, problems ...string) {
	for _, p := range problems {
		s.violations = append(s.violations, Violation{r.Method, r.Path, strings.TrimSpace(p)})
	}
}
