package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cromt/cromt/sparky"
)

func (a *Agent) postQueue(w http.ResponseWriter, r *http.Request, _ names) {
	q, err := statusQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	data, ok := a.readJSON(w, r, sparky.MaxQueueBody)
	if !ok {
		return
	}
	req, err := decodeQueue(data)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	if a.isDisabled(req.project) { // a Sparky would take it and never run it
		a.fail(w, r, fmt.Errorf("project %s: %w", req.project, errDisabled))
		return
	}
	if err := a.disk.check(0); err != nil {
		a.fail(w, r, err)
		return
	}
	attached, err := a.accept(r.Context(), req)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer := sparky.QueueAnswer{Project: req.project, JobID: req.id, Attached: attached}
	if q.wait > 0 {
		if answer.Status, err = a.news(r.Context(), names{project: req.project, job: req.id}, q.wait); err != nil {
			a.fail(w, r, err)
			return
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

// news returns what is new of a job that was posted a moment ago.
func (a *Agent) news(ctx context.Context, n names, wait time.Duration) (*sparky.JobStatus, error) {
	j, rec, err := a.find(ctx, n)
	switch {
	case err != nil:
		return nil, err
	case j != nil:
		now := j.await(ctx, sparky.CodeQueued, 0, wait)
		rec = &now
	case rec == nil:
		return nil, errNotNew
	}
	return a.jobStatus(j, rec, 0)
}

// find returns the job while it is in memory, else its record; neither when
// it is not known.
func (a *Agent) find(ctx context.Context, n names) (*job, *record, error) {
	a.mu.Lock()
	j := a.jobs[n.job]
	a.mu.Unlock()
	if j != nil {
		select {
		case <-j.ready:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		if j.notReady == nil {
			if j.project != n.project {
				return nil, nil, nil
			}
			j.touch()
			return j, nil, nil
		}
	}
	rec, err := a.store.load(ctx, n.job)
	if err != nil || rec == nil || rec.Project != n.project {
		return nil, nil, err
	}
	return nil, rec, nil
}

// known answers 404 for a job that is not known, and returns the record of
// one that is.
func (a *Agent) known(w http.ResponseWriter, r *http.Request, n names) (*job, *record) {
	j, rec, err := a.find(r.Context(), n)
	if err != nil {
		a.fail(w, r, err)
		return nil, nil
	}
	if j == nil && rec == nil {
		w.WriteHeader(http.StatusNotFound)
		return nil, nil
	}
	if rec == nil {
		now := j.snapshot()
		rec = &now
	}
	return j, rec
}

func (a *Agent) getStatus(w http.ResponseWriter, r *http.Request, n names) {
	q, err := statusQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	j, rec := a.known(w, r, n)
	if rec == nil {
		return
	}
	asJSON := strings.Contains(r.Header.Get("Accept"), "application/json")
	if j != nil {
		if !asJSON {
			q.offset = 1 << 62 // news of the log is of no use
		}
		now := j.await(r.Context(), q.state, q.offset, q.wait)
		rec = &now
		if !asJSON {
			q.offset = 0
		}
	}
	if !asJSON {
		writeText(w, http.StatusOK, strconv.Itoa(int(rec.State)))
		return
	}
	st, err := a.jobStatus(j, rec, q.offset)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, st)
}

type poll struct {
	wait   time.Duration
	state  sparky.Code
	offset int64
}

// statusQuery reads wait, state and offset. Other keys are ignored.
func statusQuery(raw string) (q poll, err error) {
	if raw == "" {
		return q, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, errors.New("query: not URL-encoded")
	}
	read := func(key string) (n int64) {
		if s := values.Get(key); s != "" && err == nil {
			if n, err = strconv.ParseInt(s, 10, 62); err != nil {
				err = fmt.Errorf("%s: must be a number", key)
			}
		}
		return n
	}
	wait := read("wait")
	q.state, q.offset = sparky.Code(read("state")), read("offset")
	if err == nil && (wait < 0 || q.offset < 0) {
		err = errors.New("wait and offset: must not be negative")
	}
	q.wait = min(time.Duration(min(wait, 3600))*time.Second, sparky.MaxWait)
	return q, err
}

// jobStatus makes the answer, with a part of the log. A log that is not
// complete in it is complete in the answers to the next offsets.
func (a *Agent) jobStatus(j *job, rec *record, offset int64) (*sparky.JobStatus, error) {
	chunk, err := a.logChunk(j, rec, offset, sparky.MaxLogChunk)
	if err != nil {
		return nil, err
	}
	return &sparky.JobStatus{
		State: rec.State, QueuedAt: rec.Queued, StartedAt: rec.Started, CompletedAt: rec.Ended, ExitCode: rec.Exit, Cause: rec.Cause,
		Lost: rec.Lost, Error: rec.Error, Commit: rec.Commit, Artifacts: rec.Artifacts,
		Log: chunk, Offset: min(offset, rec.LogSize) + int64(len(chunk)), LogSize: rec.LogSize,
	}, nil
}

// logChunk returns up to n bytes of the log from the offset on. A log that
// has been removed is empty.
func (a *Agent) logChunk(j *job, rec *record, offset, n int64) ([]byte, error) {
	n = min(n, rec.LogSize-offset)
	switch {
	case n <= 0:
		return nil, nil
	case rec.Log != nil:
		return rec.Log[offset : offset+n], nil
	case j != nil:
		return j.log.readAt(offset, n)
	}
	chunk, err := readLogFile(a.logPath(rec.ID), offset, n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return chunk, err
}

func (a *Agent) getReport(w http.ResponseWriter, r *http.Request, n names) {
	q, err := statusQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	j, rec := a.known(w, r, n)
	switch {
	case rec == nil:
		return
	case rec.Pruned:
		w.WriteHeader(http.StatusNotFound)
		return
	case rec.State == sparky.CodeQueued:
		writeText(w, http.StatusOK, "build is queued, wait till it gets run\n")
		return
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.Header().Set("Content-Length", strconv.FormatInt(max(0, rec.LogSize-q.offset), 10))
	out := &slowWriter{w: w, ctl: http.NewResponseController(w)}
	for at := q.offset; at < rec.LogSize; {
		chunk, err := a.logChunk(j, rec, at, transferStep)
		if err != nil || len(chunk) == 0 {
			a.log.Error("report", "job", n.job, "error", err)
			return // shorter than announced: the client sees that it is broken
		}
		if _, err := out.Write(chunk); err != nil {
			return // the client has gone
		}
		at += int64(len(chunk))
	}
}

// slowWriter gives every part of a long answer its own time.
type slowWriter struct {
	w   io.Writer
	ctl *http.ResponseController
	n   int64
}

func (s *slowWriter) Write(p []byte) (int, error) {
	if s.n <= 0 {
		s.n = transferStep
		_ = s.ctl.SetWriteDeadline(time.Now().Add(stepTimeout)) // a recorder has none
	}
	s.n -= int64(len(p))
	return s.w.Write(p)
}

func (a *Agent) postCancel(w http.ResponseWriter, r *http.Request, n names) {
	j, rec := a.known(w, r, n)
	if rec == nil {
		return
	}
	if j != nil {
		a.stop(j, errCancelled)
	}
	writeText(w, http.StatusOK, n.job+".terminate")
}

func (a *Agent) putFile(w http.ResponseWriter, r *http.Request, n names) {
	if r.ContentLength > sparky.MaxFileBody {
		a.fail(w, r, fmt.Errorf("%w: %d bytes, at most %d", errTooLarge, r.ContentLength, int64(sparky.MaxFileBody)))
		return
	}
	if err := a.disk.check(max(0, r.ContentLength)); err != nil {
		a.fail(w, r, err)
		return
	}
	ctl := http.NewResponseController(w)
	body := &slowReader{r: r.Body, ctl: ctl}
	kept, err := a.files.put(n.project, n.job, n.file, body, sparky.MaxFileBody)
	if body.err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("body: %w", body.err))
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	_ = ctl.SetReadDeadline(time.Time{}) // as before; a recorder has none
	writeJSON(w, http.StatusOK, struct {
		Path   string `json:"path"`
		SHA256 string `json:"sha256"`
		Bytes  int64  `json:"bytes"`
	}{filepath.Join(a.files.path, n.project, n.job, n.file), kept.SHA256, kept.Bytes})
}

// slowReader gives every part of a long body its own time.
type slowReader struct {
	r   io.Reader
	ctl *http.ResponseController
	n   int64
	err error // other than the end
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.n <= 0 {
		s.n = transferStep
		_ = s.ctl.SetReadDeadline(time.Now().Add(stepTimeout)) // a recorder has none
	}
	n, err := s.r.Read(p)
	s.n -= int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (a *Agent) getFile(w http.ResponseWriter, r *http.Request, n names) {
	a.sendFile(w, r, n, "application/octet-stream")
}

func (a *Agent) viewFile(w http.ResponseWriter, r *http.Request, n names) {
	a.sendFile(w, r, n, "text/plain")
}

func (a *Agent) sendFile(w http.ResponseWriter, r *http.Request, n names, kind string) {
	f, err := a.files.open(n.project, n.job, n.file)
	if errors.Is(err, fs.ErrNotExist) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		a.fail(w, r, errors.Join(fs.ErrInvalid, err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.FormatInt(fi.Size(), 10))
	_, _ = io.Copy(&slowWriter{w: w, ctl: http.NewResponseController(w)}, f) // the client sees that it is short
}

func (a *Agent) postStash(w http.ResponseWriter, r *http.Request, _ names) {
	data, ok := a.readJSON(w, r, maxStash)
	if !ok {
		return
	}
	var body struct {
		Config struct {
			Project scalar `json:"project"`
			JobID   scalar `json:"job-id"`
		} `json:"config"`
		Data json.RawMessage `json:"data"`
	}
	err := json.Unmarshal(data, &body)
	project, id := string(body.Config.Project), string(body.Config.JobID)
	if err == nil {
		err = checkNames(project, id)
	}
	if err == nil && !bytes.HasPrefix(body.Data, []byte("{")) {
		err = errors.New("data: must be an object")
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	if err := a.store.write(func(s *statements) error { return run(s.stash, project, id, []byte(body.Data)) }); err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"path": filepath.Join(a.cfg.Root, "stash", project, id)})
}

func (a *Agent) getStash(w http.ResponseWriter, r *http.Request, n names) {
	data, err := a.store.stash(r.Context(), n.project, n.job)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if data == nil {
		data = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(data) // the client has gone
}

func (a *Agent) getHello(w http.ResponseWriter, _ *http.Request, _ names) {
	a.mu.Lock()
	queued, running := a.waiting, a.running
	a.mu.Unlock()
	writeJSON(w, http.StatusOK, sparky.Hello{
		Agent: a.cfg.Version, Version: sparky.SpecVersion, Name: a.cfg.Name, MaxJobs: a.cfg.MaxJobs, Queued: queued, Running: running, Posts: true,
	})
}

func (a *Agent) getHealth(w http.ResponseWriter, r *http.Request, _ names) {
	if _, err := os.Stat(a.store.path); err != nil {
		a.fail(w, r, err)
		return
	}
	if err := a.disk.check(0); err != nil {
		a.fail(w, r, err)
		return
	}
	writeText(w, http.StatusOK, "ok\n")
}
