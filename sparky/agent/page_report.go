package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cromt/cromt/sparky"
)

// settings returns what is kept of the job's config.
func (r *record) settings() (cfg jobConfig) {
	_ = json.Unmarshal(r.Config, &cfg) // of a pruned build there is none
	return cfg
}

// look is find for people: it does not count as the orchestrator's.
func (a *Agent) look(ctx context.Context, project string, number string) (*job, *record, error) {
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, nil, nil
	}
	recs, err := a.store.list(ctx, `WHERE pruned = 0 AND project = ? AND seq = ?`, project, seq)
	if err != nil || len(recs) == 0 {
		return nil, nil, err
	}
	a.mu.Lock()
	j := a.jobs[recs[0].ID]
	a.mu.Unlock()
	if j == nil || !isReady(j) || j.notReady != nil {
		return nil, recs[0], nil
	}
	now := j.snapshot()
	return j, &now, nil
}

// lookPage is look that answers when there is no such build.
func (a *Agent) lookPage(w http.ResponseWriter, r *http.Request, n names) (*job, *record) {
	j, rec, err := a.look(r.Context(), n.project, n.file)
	if err != nil {
		a.fail(w, r, err)
		return nil, nil
	}
	if rec == nil {
		a.missing(w, r, "No such build", fmt.Sprintf("There is no build %s of project %s, or it has been removed to make room.", cut(n.file, 20), n.project))
	}
	return j, rec
}

// fileRow is a file of a job.
type fileRow struct {
	Name  string
	Bytes int64
}

// reportPage is the page of a build.
type reportPage struct {
	*record
	Config     jobConfig
	Log        template.HTML
	Cut        bool // the log is longer than Log
	Files      []fileRow
	Ended      bool
	CanRebuild bool
}

func (a *Agent) getReportPage(w http.ResponseWriter, r *http.Request, n names) {
	j, rec := a.lookPage(w, r, n)
	if rec == nil {
		return
	}
	from := max(0, rec.LogSize-sparky.MaxLogChunk)
	log, err := a.logChunk(j, rec, from, sparky.MaxLogChunk)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var convert ansiHTML
	p := reportPage{record: rec, Config: rec.settings(), Cut: from > 0, Ended: rec.State.Ended(),
		Log: template.HTML(convert.convert(log, rec.State.Ended()))} //nolint:gosec // convert escapes it
	// What the page does not show yet, because its end is missing, comes live.
	rec.LogSize = from + int64(len(log)) - int64(len(convert.pending))
	if p.Config.Folder && len(p.Config.Secret) == 0 {
		f, err := a.readFolder(rec.Project)
		p.CanRebuild = err == nil && f.Manual && !f.Disabled
	}
	files, err := a.files.names(rec.Project + "/" + rec.ID)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.fail(w, r, err)
		return
	}
	for _, f := range files {
		if sparky.FileName.MatchString(f.Name()) && len(p.Files) < maxList {
			p.Files = append(p.Files, fileRow{f.Name(), f.Size()})
		}
	}
	slices.SortFunc(p.Files, func(x, y fileRow) int { return strings.Compare(x.Name, y.Name) })
	f := frame{Title: fmt.Sprintf("%s #%d", rec.Project, rec.Seq), Section: "builds", Page: p}
	if !p.Ended {
		f.Refresh, f.Live = 5, true
	}
	a.render(w, r, http.StatusOK, "report", f)
}

// getLive sends the log of a build as it grows, as server-sent events of HTML
// in JSON, and ends with the event "end". The offset is in the query, and
// after a broken connection in the header.
func (a *Agent) getLive(w http.ResponseWriter, r *http.Request, n names) {
	j, rec, err := a.look(r.Context(), n.project, n.file)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if rec == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	text := r.URL.Query().Get("offset")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		text = last
	}
	offset, err := strconv.ParseInt(text, 10, 62)
	if err != nil || offset < 0 {
		writeError(w, http.StatusBadRequest, errors.New("offset: must be a number"))
		return
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		writeError(w, http.StatusServiceUnavailable, fmt.Errorf("%d live logs are being read already", maxStreams))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // for a proxy that knows it
	s := &stream{a: a, w: w, ctl: http.NewResponseController(w), j: j, rec: rec, offset: offset}
	s.run(r.Context())
}

// stream is somebody who reads a live log.
type stream struct {
	a       *Agent
	w       http.ResponseWriter
	ctl     *http.ResponseController
	j       *job // nil: it has ended
	rec     *record
	offset  int64
	convert ansiHTML
	state   sparky.Code
}

func (s *stream) run(ctx context.Context) {
	s.state = s.rec.State
	if s.send("state", stateWord(s.state)) != nil {
		return
	}
	for {
		var moved, grew <-chan struct{}
		if s.j != nil {
			var now record
			now, moved, grew = s.j.watch()
			s.rec = &now
		}
		more, err := s.news()
		if err != nil {
			return // the client has gone
		}
		switch {
		case more:
			continue
		case s.rec.State.Ended() || s.j == nil:
			_ = s.send("end", stateWord(s.rec.State)) // the client may have gone
			return
		}
		if s.wait(ctx, moved, grew) != nil {
			return
		}
	}
}

// news sends what is new, and reports whether there may be more at once.
func (s *stream) news() (more bool, err error) {
	if s.rec.State != s.state {
		s.state = s.rec.State
		if err := s.send("state", stateWord(s.state)); err != nil {
			return false, err
		}
	}
	chunk, err := s.a.logChunk(s.j, s.rec, s.offset, sparky.MaxLogChunk)
	if err != nil {
		return false, err
	}
	s.offset += int64(len(chunk))
	ended := s.rec.State.Ended() && s.offset >= s.rec.LogSize
	if len(chunk) == 0 && !ended {
		return false, nil
	}
	if text := s.convert.convert(chunk, ended); text != "" {
		return len(chunk) > 0, s.send("log", text)
	}
	return len(chunk) > 0, nil
}

// wait returns when there may be news: some at once are told together.
func (s *stream) wait(ctx context.Context, moved, grew <-chan struct{}) error {
	ping := time.NewTimer(streamPing)
	defer ping.Stop()
	for {
		select {
		case <-moved:
			return nil
		case <-grew:
			hold := time.NewTimer(coalesce)
			defer hold.Stop()
			select {
			case <-hold.C:
			case <-moved:
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		case <-ping.C:
			if err := s.write(": ping\n\n"); err != nil {
				return err
			}
			ping.Reset(streamPing)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *stream) send(event, text string) error {
	data, err := json.Marshal(text)
	if err != nil {
		return err
	}
	// What a client that comes again has seen ends before what is incomplete.
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", s.offset-int64(len(s.convert.pending)), event, data))
}

func (s *stream) write(text string) error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(stepTimeout)) // a recorder has none
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}
