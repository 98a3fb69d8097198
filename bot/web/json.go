package web

import (
	"time"

	"github.com/cromt/cromt/bot/store"
	"github.com/cromt/cromt/flow"
)

// The JSON of the pages. Times that are not known are left out.

type runJSON struct {
	ID           string          `json:"id"`
	URL          string          `json:"url"` // of the page, without the host
	Repo         string          `json:"repo"`
	SHA          string          `json:"sha"`
	Ref          string          `json:"ref,omitempty"`
	Branch       string          `json:"branch,omitempty"`
	Class        string          `json:"class"`
	Event        string          `json:"event,omitempty"`
	PullNumber   int64           `json:"pull_number,omitempty"`
	Fork         bool            `json:"fork,omitempty"`
	Sender       string          `json:"sender,omitempty"`
	Title        string          `json:"title,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	RerunOf      string          `json:"rerun_of,omitempty"`
	State        store.State     `json:"state"`
	Conclusion   flow.Conclusion `json:"conclusion,omitempty"`
	CreatedAt    time.Time       `json:"created_at"`
	StartedAt    time.Time       `json:"started_at,omitzero"`
	CompletedAt  time.Time       `json:"completed_at,omitzero"`
	CancelledBy  string          `json:"cancelled_by,omitempty"`
	SupersededBy string          `json:"superseded_by,omitempty"`
}

func newRunJSON(r *store.Run) runJSON {
	o := &r.Origin
	return runJSON{
		ID: r.ID, URL: runURL(r.ID), Repo: r.Repo, SHA: r.SHA, Ref: r.Ref, Branch: r.Branch, Class: r.Class, Event: o.Event, PullNumber: o.PullNumber,
		Fork: o.Fork, Sender: o.Sender, Title: o.Title, Reason: o.Reason, RerunOf: o.RerunOf, State: r.State, Conclusion: r.Conclusion,
		CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, CompletedAt: r.CompletedAt, CancelledBy: r.CancelledBy, SupersededBy: r.SupersededBy,
	}
}

type countsJSON struct {
	Total      int `json:"total"`
	Succeeded  int `json:"succeeded"`
	Failed     int `json:"failed"`
	Cancelled  int `json:"cancelled"`
	Skipped    int `json:"skipped"`
	Neutral    int `json:"neutral"`
	Unfinished int `json:"unfinished"`
}

type listedJSON struct {
	runJSON
	Jobs countsJSON `json:"jobs"`
}

type runsJSON struct {
	Runs []listedJSON `json:"runs"`
	Next string       `json:"next,omitempty"` // the next page
}

func (v *runsView) json() runsJSON {
	out := runsJSON{Runs: []listedJSON{}, Next: v.Next}
	for i := range v.Rows {
		out.Runs = append(out.Runs, listedJSON{newRunJSON(&v.Rows[i].Run), countsJSON(v.Rows[i].Counts)})
	}
	return out
}

type jobJSON struct {
	Key         string          `json:"key"`
	URL         string          `json:"url"`
	Project     string          `json:"project"`
	Title       string          `json:"title,omitempty"`
	Host        string          `json:"host"`
	Label       string          `json:"label"`
	Status      flow.Status     `json:"status"`
	Conclusion  flow.Conclusion `json:"conclusion,omitempty"`
	Cause       flow.Cause      `json:"cause,omitempty"`
	Error       string          `json:"error,omitempty"`
	SHA         string          `json:"sha,omitempty"`
	Attempts    int             `json:"attempts"`
	QueuedAt    time.Time       `json:"queued_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	CompletedAt time.Time       `json:"completed_at,omitzero"`
}

func newJobJSON(j *store.Job) jobJSON {
	return jobJSON{
		Key: j.Key, URL: jobURL(j.Run, j.Key), Project: j.Project, Title: j.Title, Host: j.Host, Label: j.Label, Status: j.Status, Conclusion: j.Conclusion,
		Cause: j.Cause, Error: j.Error, SHA: j.SHA, Attempts: j.Attempts, QueuedAt: j.QueuedAt, StartedAt: j.StartedAt, CompletedAt: j.CompletedAt,
	}
}

type attemptJSON struct {
	Job         string          `json:"job,omitempty"`
	Number      int             `json:"number"`
	Status      flow.Status     `json:"status"`
	Conclusion  flow.Conclusion `json:"conclusion,omitempty"`
	Cause       flow.Cause      `json:"cause,omitempty"`
	Error       string          `json:"error,omitempty"`
	ExitCode    int             `json:"exit_code,omitempty"`
	LogURL      string          `json:"log_url"`
	QueuedAt    time.Time       `json:"queued_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	CompletedAt time.Time       `json:"completed_at,omitzero"`
}

type artifactJSON struct {
	Job    string `json:"job"`
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

type runPageJSON struct {
	runJSON
	Problem   string         `json:"problem,omitempty"` // why it has no plan
	Jobs      []jobJSON      `json:"jobs"`
	Attempts  []attemptJSON  `json:"attempts"`
	Artifacts []artifactJSON `json:"artifacts"`
}

type logJSON struct {
	From    int    `json:"from"`     // number of the first line of text
	Lines   int    `json:"lines"`    // in text
	Total   int    `json:"total"`    // lines of the whole log
	Bytes   int64  `json:"bytes"`    // of the whole log
	Text    string `json:"text"`     // as it was printed
	NextURL string `json:"next_url"` // what follows; "" nothing yet
}

type matchJSON struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

type jobPageJSON struct {
	Run      runJSON       `json:"run"`
	Job      jobJSON       `json:"job"`
	Attempt  int           `json:"attempt"` // whose log it is
	Attempts []attemptJSON `json:"attempts"`
	Log      *logJSON      `json:"log,omitempty"`
	Matches  []matchJSON   `json:"matches,omitempty"`
}

type hostJSON struct {
	URL       string    `json:"url"`
	Name      string    `json:"name,omitempty"`
	Health    string    `json:"health"` // ok, failing, unknown
	Version   string    `json:"version,omitempty"`
	Slots     int       `json:"slots,omitempty"`
	Running   int       `json:"running"`
	Queued    int       `json:"queued"`
	LatencyMS float64   `json:"latency_ms,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	Error     string    `json:"error,omitempty"`
	OKAt      time.Time `json:"ok_at,omitzero"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
}

type poolJSON struct {
	Pool    string    `json:"pool"`
	Name    string    `json:"name"`
	Health  string    `json:"health"` // well, draining, taken out, gone
	Labels  []string  `json:"labels,omitempty"`
	Slots   int       `json:"slots"`
	Used    int       `json:"used"`
	Version string    `json:"version,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	SeenAt  time.Time `json:"seen_at,omitzero"`
}

type heatJSON struct {
	Job       string `json:"job"`
	Host      string `json:"host"`
	Label     string `json:"label"`
	Successes int    `json:"successes"`
	Failures  int    `json:"failures"`
	Retried   int    `json:"retried"`
}
