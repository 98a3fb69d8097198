package sparky

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errStalled ends a transfer in which nothing moves.
var errStalled = fmt.Errorf("no byte for %v", stallTimeout)

// PutFile keeps size bytes of r as the job's file name. The project and the
// job need not exist. It streams; it fails when r does or has fewer bytes.
func (c *Client) PutFile(ctx context.Context, project, jobID, name string, r io.Reader, size int64) error {
	const op = "put file"
	if err := c.checkFile(op, project, jobID, name); err != nil {
		return err
	}
	ctx, watch := watchStall(ctx)
	defer watch.stop()
	text, err := c.fetch(ctx, request{
		op:     op,
		method: http.MethodPut,
		path:   "/file/project/" + project + "/job/" + jobID + "/filename/" + name,
		body:   io.NopCloser(watch.reader(r)),
		size:   size,
		header: [2]string{"Content-Type", "application/octet-stream"},
	}, maxAnswer)
	if err != nil {
		return watch.explain(err)
	}
	var a pathAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		return c.nonsense(op, "the answer is not the expected JSON: %s", plainLine(text))
	}
	return a.check(c, op)
}

// GetFile returns the job's file name as a stream that the caller closes, and
// its size, -1 when the host does not say.
func (c *Client) GetFile(ctx context.Context, project, jobID, name string) (io.ReadCloser, int64, error) {
	const op = "get file"
	if err := c.checkFile(op, project, jobID, name); err != nil {
		return nil, 0, err
	}
	return c.stream(ctx, op, "/file/"+project+"/"+jobID+"/"+name, 0)
}

// Report returns what a job has printed so far, as a stream that the caller
// closes. A real Sparky answers KindServer for a moment after the job has started.
func (c *Client) Report(ctx context.Context, project, jobID string) (io.ReadCloser, error) {
	const op = "get report"
	path, err := c.jobPath(op, "/report/raw/", project, jobID)
	if err != nil {
		return nil, err
	}
	body, _, err := c.stream(ctx, op, path, reportTimeout)
	return body, err
}

// stream gets path and returns the body of a 200.
func (c *Client) stream(ctx context.Context, op, path string, timeout time.Duration) (io.ReadCloser, int64, error) {
	ctx, watch := watchStall(ctx)
	resp, done, err := c.do(ctx, request{op: op, method: http.MethodGet, path: path, timeout: timeout})
	if err != nil {
		watch.stop()
		return nil, 0, watch.explain(err)
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxQuoted*4)) // only to explain
		_ = resp.Body.Close()
		done()
		watch.stop()
		return nil, 0, statusError(op, c.base, resp.StatusCode, text)
	}
	return &streamed{Reader: watch.reader(resp.Body), body: resp.Body, client: c, op: op, watch: watch, done: done}, resp.ContentLength, nil
}

// streamed is the body of an answer; its errors are Errors.
type streamed struct {
	io.Reader
	body   io.Closer
	client *Client
	op     string
	watch  *stallWatch
	done   func()
}

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.watch.explain(transportError(s.op, s.client.base, true, err))
	}
	return n, err
}

func (s *streamed) Close() error {
	err := s.body.Close()
	s.done()
	s.watch.stop()
	return err
}

func (c *Client) checkFile(op, project, jobID, name string) error {
	if err := c.checkNames(op, project, jobID); err != nil {
		return err
	}
	if !FileName.MatchString(name) {
		return &Error{Op: op, Host: c.base, Kind: KindRefused, Err: fmt.Errorf("file name %q is not allowed", plainLine([]byte(name)))}
	}
	return nil
}

// stallWatch cancels a transfer when no byte has moved for stallTimeout.
type stallWatch struct {
	timer   *time.Timer
	cancel  context.CancelFunc
	stalled atomic.Bool
}

func watchStall(ctx context.Context) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancel(ctx)
	w := &stallWatch{cancel: cancel}
	w.timer = time.AfterFunc(stallTimeout, func() { w.stalled.Store(true); cancel() })
	return ctx, w
}

func (w *stallWatch) stop() { w.timer.Stop(); w.cancel() }

func (w *stallWatch) explain(err error) error {
	var e *Error
	if w.stalled.Load() && errors.As(err, &e) {
		e.Err = errStalled
	}
	return err
}

// reader returns r with every read counted as a sign of life.
func (w *stallWatch) reader(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if n > 0 {
			w.timer.Reset(stallTimeout)
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// copyReport writes what follows the first skip bytes of the job's report to
// w, and returns how many bytes of the report are consumed. A carriage return
// at its end is left for the next time: the line feed may follow. While the
// job waits there is no report, only a sentence that says so.
func (c *Client) copyReport(ctx context.Context, project, jobID string, skip int64, w io.Writer) (int64, error) {
	body, err := c.Report(ctx, project, jobID)
	if err != nil {
		return skip, err
	}
	defer body.Close()
	r := bufio.NewReader(io.LimitReader(body, MaxReport))
	if skip == 0 {
		if begin, _ := r.Peek(len(waitingReport) + 1); string(begin) == waitingReport {
			return 0, nil
		}
	}
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		if errors.Is(err, io.EOF) {
			return skip, nil // shorter than before: nothing new
		}
		return skip, err
	}
	out := &crHolder{w: w}
	_, err = io.Copy(out, r)
	return skip + out.n, err
}

// crHolder holds back carriage returns until something else than the end
// follows them.
type crHolder struct {
	w    io.Writer
	n    int64 // bytes written to w
	held int
}

func (h *crHolder) Write(p []byte) (int, error) {
	text := bytes.TrimRight(p, "\r")
	if len(text) == 0 {
		h.held += len(p)
		return len(p), nil
	}
	if h.held > 0 {
		text = append(bytes.Repeat([]byte("\r"), h.held), text...)
	}
	n, err := h.w.Write(text)
	h.n += int64(n)
	h.held = len(p) - len(bytes.TrimRight(p, "\r"))
	return len(p), err
}

// waitingReport is the report of a job that has not started.
const waitingReport = "build is queued, wait till it gets run\n"
