package sparky

import (
	"encoding/json"
	"time"

	"github.com/cromt/cromt/flow"
)

// Code is the state of a job as GET /status gives it.
type Code int

// The states of a job.
const (
	CodeQueued    Code = -2
	CodeRunning   Code = 0
	CodeOK        Code = 1
	CodeFailed    Code = -1
	CodeCancelled Code = -11
)

// Ended reports whether the state is one of the last ones.
func (c Code) Ended() bool { return c == CodeOK || c == CodeFailed || c == CodeCancelled }

// QueueRequest is the body of POST /queue.
type QueueRequest struct {
	Config          QueueConfig     `json:"config"`
	Trigger         json.RawMessage `json:"trigger"` // an object; {} is enough
	Sparrowfile     string          `json:"sparrowfile"`
	SparrowdoConfig json.RawMessage `json:"sparrowdo-config"` // a Spec, or any JSON from other clients
}

// QueueConfig says where and how the job is queued.
type QueueConfig struct {
	Project     string            `json:"project"`
	JobID       string            `json:"job-id"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags"` // plain words only: they pass a shell
	Sparrowdo   map[string]any    `json:"sparrowdo"`
}

// QueueAnswer is the body of the answer to POST /queue. A real Sparky answers
// 200 with Error set when it fails.
type QueueAnswer struct {
	Project  string `json:"project"`
	JobID    string `json:"job-id"`
	Error    string `json:"error,omitempty"`
	Attached bool   `json:"attached,omitempty"` // our agent: the job was known already
	// Status is what our agent answers to POST /queue?wait=S: the job's news as
	// of GET /status with state=-2 and offset=0. Nil: nobody has asked for it.
	Status *JobStatus `json:"status,omitempty"`
}

// SpecVersion is the version of Spec that this package writes.
const SpecVersion = 1

// Spec is a cromt job as data.
type Spec struct {
	Cromt   int               `json:"cromt"` // SpecVersion; 0: not a cromt job
	Source  SpecSource        `json:"source"`
	Actions []string          `json:"action"`
	Options []string          `json:"options"`
	Env     map[string]string `json:"env"`               // name → base64 of the exact bytes
	Secrets []string          `json:"secrets,omitempty"` // names in Env whose values are masked in the log
	In      []SpecInput       `json:"in,omitempty"`
	Out     []SpecOutput      `json:"out,omitempty"`
	Timeout int               `json:"timeout"`         // seconds for all actions together; 0: none
	Lease   int               `json:"lease,omitempty"` // seconds that the orchestrator may be silent; 0: for ever

	// Of a job that a real Sparky runs in a container or on another machine:
	// the host's own URL as this side reaches it, and whether its certificate
	// is not verified.
	API      string `json:"api,omitempty"`
	Insecure bool   `json:"insecure,omitempty"`
}

// The kinds of SpecSource.
const (
	SpecGit     = "git"     // clone URL, check out Commit, else Ref
	SpecDir     = "dir"     // Dir on the host, ~ is the home directory
	SpecArchive = "archive" // a .tar.gz put to the host's own file API beforehand
)

// SpecSource says where the scenarios are.
type SpecSource struct {
	Kind   string `json:"kind"`
	URL    string `json:"url,omitempty"`
	Ref    string `json:"ref,omitempty"`
	Auth   string `json:"auth,omitempty"`   // of SpecGit, a secret: base64 of user:password for the server of URL, which is https
	Commit string `json:"commit,omitempty"` // of SpecArchive: for information
	Dir    string `json:"dir,omitempty"`    // of SpecDir; of the others: folder below the checkout's root where the scenarios are

	// Of SpecArchive: GET /file/Project/JobID/File on the host itself.
	Project string `json:"project,omitempty"`
	JobID   string `json:"job_id,omitempty"`
	File    string `json:"file,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
}

// SpecInput is a file that was put to the job's own files as Name before it
// was queued, to be placed at .artifacts/Path.
type SpecInput struct {
	Name string `json:"name"`
	Path string `json:"path"` // "file" or "label/file"
}

// SpecOutput is a regular file of the checkout to keep as File among the
// job's own files after all actions succeeded.
type SpecOutput struct {
	File string `json:"file"`
	Path string `json:"path"`
}

// Hello is the answer of our agent to GET /cromt; a real Sparky answers 404.
// It announces the extensions: long poll and JSON on /status, cancel by
// token, leases, archives.
type Hello struct {
	Agent   string `json:"agent"` // version of cromt
	Version int    `json:"version"`
	Name    string `json:"name"`
	MaxJobs int    `json:"max_jobs"` // how many it runs at once
	Queued  int    `json:"queued,omitempty"`
	Running int    `json:"running,omitempty"`
	Posts   bool   `json:"posts,omitempty"` // POST /queue knows wait
}

// JobStatus is the answer of our agent to
// GET /status/PROJECT/JOB-ID?wait=S&state=N&offset=N with Accept: application/json.
// It is given as soon as the state is no longer N or the log has more than
// offset bytes, at the latest after S seconds.
type JobStatus struct {
	State       Code            `json:"state"`
	QueuedAt    time.Time       `json:"queued_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	CompletedAt time.Time       `json:"completed_at,omitzero"`
	ExitCode    int             `json:"exit_code"`
	Cause       flow.Cause      `json:"cause,omitempty"`
	Lost        bool            `json:"lost,omitempty"`
	Error       string          `json:"error,omitempty"`
	Commit      string          `json:"commit,omitempty"`
	Artifacts   []flow.Artifact `json:"artifacts,omitempty"`
	Log         []byte          `json:"log,omitempty"` // from offset on, at most MaxLogChunk
	Offset      int64           `json:"offset"`        // of the byte after Log
	LogSize     int64           `json:"log_size"`
}
