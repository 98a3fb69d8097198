package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cromt/cromt/flow"
)

// told is what a page is told.
type told struct {
	id, kind string
	Title    string
	Parts    map[string]string
	Log      *struct {
		HTML string
		Last int
	}
	Say string
}

// events come from a stream until it ends.
type events chan told

func (e events) next(t testing.TB) told {
	t.Helper()
	select {
	case m, ok := <-e:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
	}
	return told{}
}

// until returns the first event for which f is true.
func (e events) until(t testing.TB, f func(told) bool) told {
	t.Helper()
	for {
		if m := e.next(t); f(m) {
			return m
		}
	}
}

// stream opens a stream, until the test ends.
func (s *site) stream(path string, headers ...string) (*http.Response, events) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	must(s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	c := *s.client
	c.Timeout = 0
	resp, err := c.Do(req)
	must(s.t, err)
	out, done := make(events, 1000), make(chan struct{})
	s.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		defer close(out)
		defer resp.Body.Close()
		var m told
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				m.id = value
			case "event":
				m.kind = value
			case "data":
				if json.Unmarshal([]byte(value), &m) != nil {
					m.kind = "nonsense " + value
				}
			case "":
				if m.Parts != nil || m.Log != nil || m.kind != "" || m.Title != "" {
					out <- m
				}
				m = told{}
			}
		}
	}()
	return resp, out
}

func TestRunEvents(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	resp, ev := s.stream("/runs/" + c.run.ID + "/events")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	first := ev.next(t)
	if len(first.Parts) != 6+10 || !strings.HasPrefix(first.Title, "Running: ") {
		t.Fatalf("at first %d parts, %q", len(first.Parts), first.Title)
	}
	c.end("test@hostA", 1, 66, taskFailure(1), "error: bad\n", false)
	m := ev.until(t, func(m told) bool { return strings.Contains(m.Parts["job-1"], "Failed") })
	for part, want := range map[string]string{"run-graph": "sign failure", "run-timeline": `rect class="failure"`, "run-failures": "error: bad", "run-head": "1 failed", "run-chips": "Failed"} {
		if !strings.Contains(m.Parts[part], want) {
			t.Errorf("%s: %q", part, m.Parts[part])
		}
	}
	if _, ok := m.Parts["job-0"]; ok || m.Title != "" {
		t.Error("what has not changed is told again")
	}
	c.finish(70, flow.Failure)
	m = ev.until(t, func(m told) bool { return m.Title != "" })
	if !strings.HasPrefix(m.Title, "Failed: ") || m.Say != "Run: Failed" {
		t.Errorf("at the end %q, %q", m.Title, m.Say)
	}
	ev.until(t, func(m told) bool { return m.kind == "end" })
	if m, more := <-ev; more {
		t.Errorf("after the end: %+v", m)
	}
}

func TestJobEvents(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	const key = "test@hostB"
	path := "/runs/" + c.run.ID + "/jobs/" + key
	c.print(key, 1, "one\ntwo\nthr")
	page := s.page(path)
	wants(t, page, "Running", "one two Follow")
	at := strings.Index(page, `data-events="`) + len(`data-events="`)
	source := strings.ReplaceAll(page[at:at+strings.IndexByte(page[at:], '"')], "&amp;", "&")
	if !strings.HasSuffix(source, "attempt=1&after=8&line=3") {
		t.Fatalf("events at %s", source)
	}
	_, ev := s.stream(source)
	if m := ev.next(t); m.Log != nil || !strings.Contains(m.Parts["job-head"], "Running") {
		t.Errorf("at first %+v", m)
	}
	c.print(key, 1, "ee\n\x1b[31mfour\x1b[0m\nfi")
	m := ev.until(t, func(m told) bool { return m.Log != nil })
	if m.Log.Last != 4 || !strings.Contains(m.Log.HTML, `id="L3"`) || !strings.Contains(m.Log.HTML, ">three<") || !strings.Contains(m.Log.HTML, `<span class="term-fg31">four</span>`) || m.id != "28:5" {
		t.Errorf("%+v %s", m.Log, m.id)
	}
	// A browser that was cut off goes on where it was.
	_, again := s.stream(source, "Last-Event-ID", m.id)
	c.print(key, 1, "ve\n")
	for _, ev := range []events{ev, again} {
		m := ev.until(t, func(m told) bool { return m.Log != nil })
		if m.Log.Last != 5 || strings.Count(m.Log.HTML, `class="l"`) != 1 || !strings.Contains(m.Log.HTML, ">five<") {
			t.Errorf("%+v", m.Log)
		}
	}
	// What is printed last, and stored after the end, is told; also without a
	// line end.
	c.end(key, 1, 66, flow.Result{}, "", false)
	ev.until(t, func(m told) bool { return m.Say == "Job: Succeeded" })
	c.print(key, 1, "six")
	if m := ev.until(t, func(m told) bool { return m.Log != nil }); !strings.Contains(m.Log.HTML, ">six<") || m.Log.Last != 6 {
		t.Errorf("%+v", m.Log)
	}
	ev.until(t, func(m told) bool { return m.kind == "end" })
	// A log that comes faster than it can be shown goes on at its end.
	c.print("test@hostA", 1, strings.Repeat("much\n", 400_000)+"the end\n")
	_, ev = s.stream("/runs/" + c.run.ID + "/jobs/test@hostA/events?attempt=1&after=0&line=1")
	m = ev.until(t, func(m told) bool { return m.Log != nil })
	if !strings.Contains(m.Log.HTML, "lines that came too fast to be shown") || !strings.Contains(m.Log.HTML, ">the end<") || m.Log.Last != 400_052 {
		t.Errorf("last %d: %.300s", m.Log.Last, m.Log.HTML)
	}
}

// Streams are bounded, and each gives its place back.
func TestStreamsAreBounded(t *testing.T) {
	s := newSite(t, false)
	c := s.running()
	path := "/runs/" + c.run.ID + "/events"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 24 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
		must(t, err)
		resp, err := s.client.Do(req)
		must(t, err)
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %d", i, resp.StatusCode)
		}
	}
	if resp, body := s.get(path); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(text(t, body), "Too many") {
		t.Errorf("one more: %d", resp.StatusCode)
	}
	cancel()
	for deadline := time.Now().Add(20 * time.Second); ; {
		ctx, stop := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
		must(t, err)
		resp, err := s.client.Do(req)
		must(t, err)
		status := resp.StatusCode
		stop()
		resp.Body.Close()
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no place is given back: %d", status)
		}
	}
}
