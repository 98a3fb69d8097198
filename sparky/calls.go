package sparky

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Hello asks what the host can do beyond Sparky's own protocol. A real Sparky
// does not know the question: then Hello returns nil without an error.
func (c *Client) Hello(ctx context.Context) (*Hello, error) {
	const op = "ask host"
	text, err := c.fetch(ctx, request{op: op, method: http.MethodGet, path: "/cromt", timeout: shortTimeout}, maxAnswer)
	if KindOf(err) == KindNotFound {
		return nil, nil //nolint:nilnil // documented: a Sparky without extensions
	}
	if err != nil {
		return nil, err
	}
	h := new(Hello)
	if err := json.Unmarshal(text, h); err != nil || h.Version < 1 {
		return nil, c.nonsense(op, "it is neither a Sparky nor a cromt agent: %s", plainLine(text))
	}
	return h, nil
}

// CheckToken asks a real Sparky whether it takes the token, without starting
// anything: it looks for the trigger of a job that there is not. A Sparky
// without a token takes every one.
func (c *Client) CheckToken(ctx context.Context) error {
	const op = "check token"
	_, err := c.fetch(ctx, request{op: op, method: http.MethodGet, path: "/trigger/cromt-check/no-job", timeout: shortTimeout}, maxAnswer)
	if KindOf(err) == KindNotFound {
		return nil
	}
	return err
}

// Queue sends the job. It succeeds only when the host repeats the names of
// the project and the job that it was sent.
func (c *Client) Queue(ctx context.Context, q QueueRequest) (QueueAnswer, error) {
	return c.QueueWait(ctx, q, 0)
}

// QueueWait is Queue and a first Wait in one request, for a host whose Hello
// has Posts. The answer's Status has the news; nil: there is none yet.
func (c *Client) QueueWait(ctx context.Context, q QueueRequest, wait time.Duration) (QueueAnswer, error) {
	const op = "queue job"
	if err := c.checkNames(op, q.Config.Project, q.Config.JobID); err != nil {
		return QueueAnswer{}, err
	}
	path, limit := "/queue", int64(maxAnswer)
	if wait > 0 {
		path += "?wait=" + strconv.Itoa(int(wait.Seconds()))
		limit += 2 * MaxLogChunk
	}
	a := QueueAnswer{Status: &JobStatus{State: unknownCode}}
	err := c.sendJSON(ctx, request{op: op, path: path, timeout: queueTimeout + wait}, q, &a, limit)
	switch {
	case err != nil:
		return QueueAnswer{}, err
	case a.Error != "":
		return QueueAnswer{}, &Error{Op: op, Host: c.base, Kind: KindServer, Status: http.StatusOK, Err: errors.New(plainLine([]byte(a.Error)))}
	case a.Project != q.Config.Project || a.JobID != q.Config.JobID:
		return QueueAnswer{}, c.nonsense(op, "it answered for job %q of project %q instead", plainLine([]byte(a.JobID)), plainLine([]byte(a.Project)))
	}
	if a.Status != nil && a.Status.State == unknownCode {
		a.Status = nil
	}
	if a.Status != nil {
		if err := c.checkStatus(op, a.Status, 0); err != nil {
			return QueueAnswer{}, err
		}
	}
	return a, nil
}

// Status returns the state of a job; KindNotFound when the host does not know it.
func (c *Client) Status(ctx context.Context, project, jobID string) (Code, error) {
	const op = "get status"
	path, err := c.jobPath(op, "/status/", project, jobID)
	if err != nil {
		return 0, err
	}
	text, err := c.fetch(ctx, request{op: op, method: http.MethodGet, path: path, timeout: shortTimeout}, maxCode)
	if err != nil {
		return 0, err
	}
	for _, code := range []Code{CodeQueued, CodeRunning, CodeOK, CodeFailed, CodeCancelled} {
		if string(text) == fmt.Sprint(int(code)) {
			return code, nil
		}
	}
	return 0, c.nonsense(op, "%q is not a status", plainLine(text))
}

// Wait asks our agent for news of a job: a state other than state, or log
// beyond offset bytes. It is answered after wait at the latest.
func (c *Client) Wait(ctx context.Context, project, jobID string, state Code, offset int64, wait time.Duration) (JobStatus, error) {
	const op = "wait for job"
	path, err := c.jobPath(op, "/status/", project, jobID)
	if err != nil {
		return JobStatus{}, err
	}
	text, err := c.fetch(ctx, request{
		op:      op,
		method:  http.MethodGet,
		path:    fmt.Sprintf("%s?wait=%d&state=%d&offset=%d", path, int(wait.Seconds()), int(state), offset),
		header:  [2]string{"Accept", "application/json"},
		timeout: wait + waitSlack,
	}, maxAnswer+2*MaxLogChunk)
	if err != nil {
		return JobStatus{}, err
	}
	js := JobStatus{State: unknownCode}
	if err := json.Unmarshal(text, &js); err != nil {
		return JobStatus{}, c.nonsense(op, "the answer is not the expected JSON: %s", plainLine(text))
	}
	if err := c.checkStatus(op, &js, offset); err != nil {
		return JobStatus{}, err
	}
	return js, nil
}

// unknownCode is no state of the protocol: a missing one must not read as 0.
const unknownCode Code = -128

// checkStatus checks an answer to the question for what follows the offset.
func (c *Client) checkStatus(op string, js *JobStatus, offset int64) error {
	switch {
	case !js.State.Ended() && js.State != CodeQueued && js.State != CodeRunning:
		return c.nonsense(op, "%d is not a status", int(js.State))
	case len(js.Log) > 0 && js.Offset < offset+int64(len(js.Log)), js.LogSize < js.Offset:
		return c.nonsense(op, "log offset %d with %d of %d bytes asked for from %d", js.Offset, len(js.Log), js.LogSize, offset)
	}
	return nil
}

// PutStash replaces the stash of a job, which must be a JSON object. The
// stash of a real Sparky is readable without a token.
func (c *Client) PutStash(ctx context.Context, project, jobID string, data any) error {
	const op = "put stash"
	if err := c.checkNames(op, project, jobID); err != nil {
		return err
	}
	type config struct {
		Project string `json:"project"`
		JobID   string `json:"job-id"`
	}
	var a pathAnswer
	err := c.sendJSON(ctx, request{op: op, path: "/stash", timeout: shortTimeout}, struct {
		Config config `json:"config"`
		Data   any    `json:"data"`
	}{config{project, jobID}, data}, &a, maxAnswer)
	if err != nil {
		return err
	}
	return a.check(c, op)
}

// GetStash decodes the stash of a job into v. Without a stash that is {}.
func (c *Client) GetStash(ctx context.Context, project, jobID string, v any) error {
	const op = "get stash"
	path, err := c.jobPath(op, "/stash/", project, jobID)
	if err != nil {
		return err
	}
	text, err := c.fetch(ctx, request{op: op, method: http.MethodGet, path: path, timeout: shortTimeout}, maxStashed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return c.nonsense(op, "the answer is not the expected JSON: %s", plainLine(text))
	}
	return nil
}

// pathAnswer is the answer to POST /stash and PUT /file.
type pathAnswer struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

func (a pathAnswer) check(c *Client, op string) error {
	switch {
	case a.Error != "":
		return &Error{Op: op, Host: c.base, Kind: KindServer, Status: http.StatusOK, Err: errors.New(plainLine([]byte(a.Error)))}
	case a.Path == "":
		return c.nonsense(op, "the answer names no path")
	}
	return nil
}

// jobPath returns the path of a job's resource.
func (c *Client) jobPath(op, prefix, project, jobID string) (string, error) {
	if err := c.checkNames(op, project, jobID); err != nil {
		return "", err
	}
	return prefix + project + "/" + jobID, nil
}

// checkNames keeps names from a host that it would handle wrongly.
func (c *Client) checkNames(op, project, jobID string) error {
	var bad string
	switch {
	case !ProjectName.MatchString(project):
		bad = "project name " + plainLine([]byte(project))
	case !JobID.MatchString(jobID):
		bad = "job-id " + plainLine([]byte(jobID))
	default:
		return nil
	}
	return &Error{Op: op, Host: c.base, Kind: KindRefused, Err: fmt.Errorf("%s is not allowed", bad)}
}
