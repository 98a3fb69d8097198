package web

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// logMessage is what more of a log there is.
type logMessage struct {
	HTML template.HTML `json:"html"`
	Last int           `json:"last"` // number of its last line
}

// jobEvents is what changes of a job's page, and what its log gets.
func (p *pages) jobEvents(w http.ResponseWriter, r *http.Request, rd *reader) error {
	v, err := p.jobView(r, rd)
	if err != nil {
		return err
	}
	f := &follower{p: p, run: v.Run.ID, job: v.Job.Key, attempt: v.Attempt, fixed: r.FormValue("attempt") != "" && v.Attempt > 0}
	if err := f.begin(r); err != nil {
		return err
	}
	return p.streaming(w, r, rd, v.Run.ID, f.step)
}

// follower is where a reader of a log is.
type follower struct {
	p        *pages
	run, job string
	attempt  int
	fixed    bool  // to that attempt, though there be others
	after    int64 // offset
	line     int   // number of the next line
	state    string
	ended    time.Time // when the job was found to have ended; zero: it goes on
}

// begin reads where the page has ended, or where the last stream has.
func (f *follower) begin(r *http.Request) error {
	after, line := r.FormValue("after"), r.FormValue("line")
	if last := r.Header.Get("Last-Event-Id"); last != "" {
		after, line, _ = strings.Cut(last, ":")
	}
	var err error
	if f.after, err = strconv.ParseInt(after, 10, 64); err != nil && after != "" || f.after < 0 {
		return &problem{http.StatusBadRequest, "This is no place in a log.", ""}
	}
	if f.line, err = strconv.Atoi(line); err != nil || f.line < 1 {
		f.line = 1
	}
	return nil
}

// step sends what there is.
func (f *follower) step(ctx context.Context, s *stream, _ time.Time) (more bool, err error) {
	run, err := f.p.Store.Run(ctx, f.run)
	if err != nil {
		return false, err
	}
	selected := 0
	if f.fixed {
		selected = f.attempt
	}
	v, err := f.p.lookJob(ctx, run, f.job, selected)
	if err != nil {
		return false, err
	}
	if f.attempt == 0 {
		f.attempt, f.fixed = v.Attempt, v.Attempt > 0
	}
	// What was printed last is stored a moment after the end.
	if v.Live {
		f.ended = time.Time{}
	} else if f.ended.IsZero() {
		f.ended = time.Now()
	}
	more = v.Live || time.Since(f.ended) < endGrace
	m := message{}
	if f.attempt > 0 {
		if m.Log, err = f.read(ctx, !more); err != nil {
			return false, err
		}
	}
	head, err := f.p.jobHead(v)
	if err != nil {
		return false, err
	}
	m.Parts = s.changed(map[string]template.HTML{"job-head": head})
	if v.Job.State != f.state {
		m.Title = stateWord(v.Job.State) + ": " + v.Job.Key + " · " + v.Title + " · " + run.Repo
		if f.state != "" {
			m.Say = "Job: " + stateWord(v.Job.State)
		}
		f.state = v.Job.State
	}
	if m.Log == nil && len(m.Parts) == 0 && m.Title == "" {
		return more, nil
	}
	return more || m.Log != nil, s.send(fmt.Sprintf("%d:%d", f.after, f.line), m)
}

// read returns the complete lines that have come, nil for none; all says that
// no more will.
func (f *follower) read(ctx context.Context, all bool) (*logMessage, error) {
	got, err := f.p.Store.ReadLog(ctx, f.run, f.job, f.attempt, f.after, windowBytes)
	if err != nil {
		return nil, err
	}
	if got.Size-f.after > 4*windowBytes { // it comes faster than anybody reads
		return f.skip(ctx)
	}
	end := bytes.LastIndexByte(got.Data, '\n') + 1
	if end == 0 && (all || len(got.Data) == windowBytes) {
		end = len(got.Data)
	}
	if end == 0 {
		return nil, nil
	}
	text := got.Data[:end]
	m := &logMessage{HTML: logLines(f.line, text)}
	f.after, f.line = got.Offset+int64(end), f.line+bytes.Count(text, []byte{'\n'})
	m.Last = f.line - 1
	if text[end-1] != '\n' {
		m.Last++
	}
	return m, nil
}

// skip goes on at the end of the log.
func (f *follower) skip(ctx context.Context) (*logMessage, error) {
	l, err := f.p.openLog(ctx, f.run, f.job, f.attempt)
	if err != nil {
		return nil, err
	}
	win, err := l.tail(ctx, windowBytes)
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndexByte(win.text, '\n') + 1
	note := template.HTML("")
	if n := win.first - f.line; n > 0 {
		note = template.HTML(fmt.Sprintf(`<div class="skip"><a href="%s?attempt=%d&amp;from=%d">%s that came too fast to be shown</a></div>`+"\n", //nolint:gosec // a path of ours, and numbers
			template.HTMLEscapeString(jobURL(f.run, f.job)), f.attempt, f.line, count(n, "line")))
	}
	m := &logMessage{HTML: note}
	if i > 0 {
		m.HTML += logLines(win.first, win.text[:i])
	}
	f.after, f.line = win.next-int64(len(win.text)-i), win.first+win.lines
	m.Last = f.line - 1
	return m, nil
}
