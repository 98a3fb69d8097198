package sparky_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
	"github.com/cromt/cromt/sparky"
)

// counted counts bytes, and keeps none.
type counted struct{ n int64 }

func (c *counted) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// flood writes text until the other end has had enough, 10 GB at most.
func flood(w io.Writer, text string) {
	for n := 0; n < 10<<30; {
		k, err := io.WriteString(w, text)
		if n += k; err != nil {
			return
		}
	}
}

// TestHostileHosts: whatever a host answers, the attempt ends, as a failure of
// the infrastructure, within its time and with a bounded log.
func TestHostileHosts(t *testing.T) {
	const drip = "a report byte by byte" // the state says success, and there is nothing against it
	megabyte := strings.Repeat("x", 1<<20)
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	code := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	var turns atomic.Int32
	for _, tt := range []struct {
		name, path string // requests of that prefix are answered by what it does
		does       http.HandlerFunc
	}{
		{"nonsense to everything", "", say("<html>welcome</html>")},
		{"nothing to everything", "", say("")},
		{"401 to everything", "", code(401)},
		{"500 to everything", "", code(500)},
		{"a redirect to itself", "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }},
		{"resets", "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"silence", "", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"10 GB to everything", "", func(w http.ResponseWriter, _ *http.Request) { flood(w, megabyte) }},
		{"endless headers", "", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 10_000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), megabyte[:100])
			}
		}},
		{"a false length", "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, "1")
		}},
		{"packed answers", "/status/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b")
		}},
		{"two states", "/status/", say("1\n1")},
		{"a state that there is not", "/status/", say("2")},
		{"a long state", "/status/", say(strings.Repeat("1", 1<<20))},
		{"a state as JSON", "/status/", say(`{"state":1}`)},
		{"a state byte by byte", "/status/", func(w http.ResponseWriter, r *http.Request) {
			for range 1000 {
				_, _ = io.WriteString(w, "1")
				w.(http.Flusher).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		}},
		{"a state that changes", "/status/", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, []string{"0", "-2", "x", "404"}[turns.Add(1)%4])
		}},
		{"a job that nobody knows", "/status/", code(404)},
		{"for ever queued", "/status/", say("-2")},
		{"for ever running", "/status/", say("0")},
		{"success without a report", "", func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/report") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = io.WriteString(w, "1")
		}},
		{"the report of another job", "/report", say("meta: begin other.1\nHello\nmeta: end other.1 0\n")},
		{"a report of 10 GB", "/report", func(w http.ResponseWriter, _ *http.Request) { flood(w, megabyte) }},
		{drip, "/report", func(w http.ResponseWriter, r *http.Request) {
			for {
				_, _ = io.WriteString(w, "y")
				w.(http.Flusher).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		}},
		{"half a report", "/report", say("meta: begin")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				fake := newFake(t)
				host := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, tt.path) {
						tt.does(w, r)
						return
					}
					fake.ServeHTTP(w, r)
				})
				b := newBench(t, sparky.ExecutorConfig{}, map[string]http.Handler{testHost: host})
				begun := time.Now()
				var log counted
				res, err := b.Exec(t.Context(), attempt("j1", "hello"), &log)
				infra := res.Conclusion == flow.Failure && res.Cause == flow.CauseInfrastructure || res.Conclusion == flow.TimedOut
				if err == nil && !infra && tt.name != drip || err != nil && !errors.Is(err, flow.ErrNotStarted) && res.Conclusion.Passed() {
					t.Errorf("%+v, %v", res, err)
				}
				if len(res.Error) > 4<<10 || err != nil && len(err.Error()) > 4<<10 || bytes.ContainsAny([]byte(res.Error), "\n\x00") {
					t.Errorf("an error of %d bytes: %.200q", len(res.Error), res.Error)
				}
				if took := time.Since(begun); took > 4*time.Hour {
					t.Errorf("took %v", took)
				}
				if log.n > sparky.MaxReport+1<<20 {
					t.Errorf("a log of %d bytes", log.n)
				}
			})
		})
	}
}
