package flow

import "time"

// ReportSchema is the version of the JSON that a Run is written as.
const ReportSchema = 1

// Run is a run as it is reported: the JSON of cromt run --report.
type Run struct {
	Schema      int         `json:"schema"`
	ID          string      `json:"id"`
	Conclusion  Conclusion  `json:"conclusion"`
	StartedAt   time.Time   `json:"started_at"`
	CompletedAt time.Time   `json:"completed_at"`
	Repo        string      `json:"repo"`
	SHA         string      `json:"sha"`
	WorkingTree bool        `json:"working_tree,omitempty"` // the own repository ran as it lay on disk
	Roots       []string    `json:"roots"`
	Jobs        []JobReport `json:"jobs"`
	Notes       []string    `json:"notes,omitempty"`
}

// JobReport is one job of a Run.
type JobReport struct {
	Key        string          `json:"key"`
	Project    string          `json:"project"`
	Title      string          `json:"title"`
	Host       string          `json:"host"`           // of a job on a pool that of its last attempt; "" when it had none
	Pool       string          `json:"pool,omitempty"` // on which it was placed
	Label      string          `json:"label"`
	Queue      string          `json:"queue"`
	Needs      []string        `json:"needs"`
	Status     Status          `json:"status"`
	Conclusion Conclusion      `json:"conclusion"`
	Cause      Cause           `json:"cause"`
	Error      string          `json:"error,omitempty"`
	SHA        string          `json:"sha"`
	Attempts   []AttemptReport `json:"attempts"`
	Artifacts  []Artifact      `json:"artifacts"`
	Kept       string          `json:"kept,omitempty"` // the run that this result is of, when it is not this one
}

// Where says for people where the job ran or is to run: on a host, or a pool.
func (j *JobReport) Where() string { return where(j.Host, j.Pool) }

// AttemptReport is one attempt of a JobReport. Log is the end of what it
// printed, at most LogTailLimit bytes.
type AttemptReport struct {
	JobID       string     `json:"job_id"`
	Host        string     `json:"host"`
	Status      Status     `json:"status"`
	Conclusion  Conclusion `json:"conclusion"`
	Cause       Cause      `json:"cause,omitempty"`
	ExitCode    int        `json:"exit_code"`
	QueuedAt    time.Time  `json:"queued_at,omitzero"`
	StartedAt   time.Time  `json:"started_at,omitzero"`
	CompletedAt time.Time  `json:"completed_at,omitzero"`
	Error       string     `json:"error"`
	Log         string     `json:"log"`
}
