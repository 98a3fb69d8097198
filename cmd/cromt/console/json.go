package console

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/cromt/cromt/flow"
)

// Event is one line of --log-format json. Event is run_started,
// commit_resolved, job_queued, job_started, log, attempt_completed,
// job_completed, run_completed or note. Fields that an event does not have
// are left out.
type Event struct {
	Time       time.Time       `json:"time"`
	Event      string          `json:"event"`
	Run        string          `json:"run,omitempty"`
	Job        string          `json:"job,omitempty"`     // key: project@label
	Project    string          `json:"project,omitempty"` // of the job
	Host       string          `json:"host,omitempty"`    // URL
	Label      string          `json:"label,omitempty"`   // name of the host
	Attempt    int             `json:"attempt,omitempty"` // from 1
	JobID      string          `json:"job_id,omitempty"`  // on the host
	Line       *string         `json:"line,omitempty"`    // of log: one line without colours and newline
	Conclusion flow.Conclusion `json:"conclusion,omitempty"`
	Cause      flow.Cause      `json:"cause,omitempty"`
	ExitCode   int             `json:"exit_code,omitempty"`
	Error      string          `json:"error,omitempty"`
	StartedAt  time.Time       `json:"started_at,omitzero"`   // of attempt_completed, job_completed
	EndedAt    time.Time       `json:"completed_at,omitzero"` // likewise
	RetryAt    time.Time       `json:"retry_at,omitzero"`     // of attempt_completed that is attempted again
	Artifacts  []flow.Artifact `json:"artifacts,omitempty"`
	Source     string          `json:"source,omitempty"` // of commit_resolved
	Commit     string          `json:"commit,omitempty"`
	Message    string          `json:"message,omitempty"` // of note
}

// jsonView writes an Event a line.
type jsonView struct {
	enc *json.Encoder
	err io.Writer
	run string
}

func newJSONView(out, err io.Writer) *jsonView {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &jsonView{enc: enc, err: err}
}

func (v *jsonView) Event(ev *flow.Event) {
	v.run = ev.Run
	e := Event{Time: ev.Time, Event: string(ev.Kind), Run: ev.Run, Attempt: ev.Attempt, JobID: ev.JobID, Commit: ev.Commit, Conclusion: ev.Conclusion, RetryAt: ev.RetryAt}
	e.setJob(ev.Job)
	if ev.Host != "" {
		e.Host = ev.Host
	}
	if ev.Kind == flow.Note {
		e.Message = oneLine(ev.Message)
	}
	if ev.Kind == flow.CommitResolved {
		e.Source = ev.Source.String()
	}
	if r := ev.Result; r != nil {
		e.Conclusion, e.Cause, e.ExitCode, e.Error = r.Conclusion, r.Cause, r.ExitCode, oneLine(r.Error)
		e.StartedAt, e.EndedAt, e.Commit, e.Artifacts = r.StartedAt, r.CompletedAt, r.Commit, r.Artifacts
	}
	v.write(&e)
}

func (e *Event) setJob(j *flow.Job) {
	if j == nil {
		return
	}
	e.Job, e.Host, e.Label = j.Key, j.Host, j.Label
	if j.Invocation != nil && j.Invocation.Project != nil {
		e.Project = j.Invocation.Project.Name
	}
}

func (v *jsonView) Output(j *flow.Job, attempt int, lines []string) {
	now := time.Now()
	for _, line := range lines {
		line = flow.PlainText(line)
		e := Event{Time: now, Event: "log", Run: v.run, Attempt: attempt, Line: &line}
		e.setJob(j)
		v.write(&e)
	}
}

// write loses what cannot be written: a closed pipe does not end a run.
func (v *jsonView) write(e *Event) { _ = v.enc.Encode(e) }

func (v *jsonView) Message(line string) { fmt.Fprintln(v.err, line) }

func (v *jsonView) Close() {}
