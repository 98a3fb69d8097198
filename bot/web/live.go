package web

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"html/template"
	"net/http"
	"sync"
	"time"
)

// streams bounds how many there are.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by reader
}

func newStreams() *streams { return &streams{of: map[string]int{}} }

// enter takes a place; leave gives it back.
func (s *streams) enter(reader string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.of[reader] >= maxReaderStreams {
		return nil, false
	}
	s.all++
	s.of[reader]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[reader]--; s.of[reader] == 0 {
			delete(s.of, reader)
		}
	}, true
}

// stream is a connection on which a page is told what has changed.
type stream struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	seed maphash.Seed
	sent map[string]uint64 // sums of the parts that the page has
}

// message is what a page is told: parts that take the place of the elements of
// their ids, and what more of a log there is.
type message struct {
	Title string                   `json:"title,omitempty"`
	Parts map[string]template.HTML `json:"parts,omitempty"`
	Log   *logMessage              `json:"log,omitempty"`
	Say   string                   `json:"say,omitempty"` // to those who do not see it
}

// streaming serves a stream: step is called whenever something may have
// changed, and says whether more is to come.
func (p *pages) streaming(w http.ResponseWriter, r *http.Request, rd *reader, run string, step func(ctx context.Context, s *stream, since time.Time) (more bool, err error)) error {
	leave, ok := p.streams.enter(rd.id)
	if !ok {
		w.Header().Set("Retry-After", "10")
		return &problem{http.StatusServiceUnavailable, "Too many pages are being watched.", "Close some, or reload this one now and then."}
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	changed := p.Store.Subscribe(ctx, run)
	s := &stream{w: w, out: http.NewResponseController(w), seed: maphash.MakeSeed(), sent: map[string]uint64{}}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for more
	w.WriteHeader(http.StatusOK)
	err := s.write("retry: 2000\n\n")
	tick := time.NewTicker(streamTick)
	defer tick.Stop()
	since := time.Now()
	for err == nil {
		begun := time.Now()
		var more bool
		if more, err = step(ctx, s, since); err != nil {
			break
		}
		if !more {
			_ = s.write("event: end\ndata: {}\n\n")
			return nil
		}
		// Of a large run a page is much work: it takes a quarter of the time.
		if !pause(ctx, max(streamPace, 3*time.Since(begun))) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			since = time.Now()
		case <-tick.C:
			since = time.Now().Add(-streamTick / 2) // others may have looked
			err = s.write(": still here\n\n")
		}
	}
	if ctx.Err() == nil {
		p.Logger.Debug("stream", "path", r.URL.Path, "error", err)
	}
	return nil // the browser opens it again
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *stream) write(text string) error {
	_ = s.out.SetWriteDeadline(time.Now().Add(writeTime)) // a test's recorder has none
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.out.Flush()
}

// send tells the page a message. id is where it goes on after a pause; "" for
// none.
func (s *stream) send(id string, m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("data: %s\n\n", data)
	if id != "" {
		text = "id: " + id + "\n" + text
	}
	return s.write(text)
}

// changed returns those parts that the page does not have yet.
func (s *stream) changed(parts map[string]template.HTML) map[string]template.HTML {
	out := map[string]template.HTML{}
	for id, html := range parts {
		sum := maphash.String(s.seed, string(html))
		if have, ok := s.sent[id]; !ok || have != sum {
			out[id], s.sent[id] = html, sum
		}
	}
	return out
}

// runEvents is what changes of a run's page.
func (p *pages) runEvents(w http.ResponseWriter, r *http.Request, rd *reader) error {
	run, err := p.visible(r, rd)
	if err != nil {
		return err
	}
	state := ""
	return p.streaming(w, r, rd, run.ID, func(ctx context.Context, s *stream, since time.Time) (bool, error) {
		now, err := p.snapshot(ctx, run.ID, since)
		if err != nil {
			return false, err
		}
		m := message{Parts: s.changed(now.Parts)}
		if now.View.State != state {
			m.Title = now.title
			if state != "" {
				m.Say = "Run: " + stateWord(now.View.State)
			}
			state = now.View.State
		}
		if len(m.Parts) == 0 && m.Title == "" {
			return !now.done, nil
		}
		return !now.done, s.send("", m)
	})
}
