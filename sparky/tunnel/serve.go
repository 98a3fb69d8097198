package tunnel

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Status holds an agent's state for those who ask. It is safe for several
// goroutines.
type Status struct {
	mu      sync.Mutex
	state   State
	serial  int64         // of state
	changed chan struct{} // closed at the next change
}

// NewStatus returns a Status that has that state.
func NewStatus(s State) *Status { return &Status{state: s, serial: 1, changed: make(chan struct{})} }

// Update changes the state, and tells those who wait when it is another one.
func (s *Status) Update(change func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state
	change(&s.state)
	if s.state != before {
		s.serial++
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// get returns the state, and a channel that is closed when it changes.
func (s *Status) get() (stateAnswer, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stateAnswer{s.state, s.serial}, s.changed
}

// end is the agent's end of one connection.
type end struct {
	replica string
	conn    *conn
	heard   *time.Timer // fires when the other side has been silent for DeadAfter
	told    atomic.Bool // that the agent leaves
}

// serveEnd answers on the connection until it ends. heard is told of the
// replicas with every heartbeat.
func (c *Client) serveEnd(ctx context.Context, e *end, heard func(Replicas)) {
	c.untold.Add(1)
	defer c.goodbye(e)
	e.heard = time.AfterFunc(DeadAfter, func() {
		c.Logger.Warn("connection lost: the orchestrator is silent", "replica", e.replica)
		_ = e.conn.Close()
	})
	defer e.heard.Stop()
	stop := context.AfterFunc(ctx, func() { _ = e.conn.Close() })
	defer stop()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == statePath {
				e.heard.Reset(DeadAfter)
				heard(readReplicas(r.Header))
				c.answerState(ctx, e, w, r)
				return
			}
			c.asked.begin()
			defer c.asked.end()
			c.Handler.ServeHTTP(w, r)
		}),
		Protocols: new(http.Protocols), MaxHeaderBytes: maxHeader, WriteTimeout: answerTime,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams + 10, WriteByteTimeout: writeStall},
		ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetUnencryptedHTTP2(true)
	_ = srv.Serve(&oneListener{conn: e.conn}) // it ends as the connection does
	_ = srv.Close()
}

// answerState tells the state, when it has changed or stateWait is over.
func (c *Client) answerState(ctx context.Context, e *end, w http.ResponseWriter, r *http.Request) {
	s, changed := c.Status.get()
	if r.URL.RawQuery == "after="+strconv.FormatInt(s.Serial, 10) {
		timer := time.NewTimer(stateWait)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		case <-r.Context().Done():
		case <-ctx.Done():
		}
		s, _ = c.Status.get()
	}
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(s)
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	if err == nil && s.Leaving {
		c.goodbye(e)
	}
}

// goodbye notes that nobody at the connection is left to be told that the
// agent leaves.
func (c *Client) goodbye(e *end) {
	if !e.told.Swap(true) {
		c.untold.Add(-1)
	}
}

// activity counts the requests at hand, and since when there are none.
type activity struct {
	now  atomic.Int64
	last atomic.Int64 // Unix nanoseconds of the last one's end
}

func (a *activity) begin() { a.now.Add(1) }

func (a *activity) end() {
	a.last.Store(time.Now().UnixNano())
	a.now.Add(-1)
}

// quiet returns for how long nothing has been asked.
func (a *activity) quiet() time.Duration {
	if a.now.Load() > 0 {
		return 0
	}
	return time.Since(time.Unix(0, a.last.Load()))
}
