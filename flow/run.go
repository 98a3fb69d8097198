package flow

import (
	"context"
	"errors"
	"io"
	"time"
)

// Status is the state of a job, run or attempt in the words of the Checks API.
type Status string

// The statuses.
const (
	StatusQueued     Status = "queued"
	StatusInProgress Status = "in_progress"
	StatusCompleted  Status = "completed"
)

// Conclusion is how a job, run or attempt ended, in the words of the Checks API.
type Conclusion string

// The conclusions.
const (
	Success   Conclusion = "success"
	Failure   Conclusion = "failure"
	Cancelled Conclusion = "cancelled"
	TimedOut  Conclusion = "timed_out"
	Skipped   Conclusion = "skipped"
	Neutral   Conclusion = "neutral"
)

// Passed reports whether those that depend on it may go on.
func (c Conclusion) Passed() bool { return c == Success || c == Neutral }

// Cause says why a job did not succeed.
type Cause string

// The causes. The empty Cause goes with success.
const (
	CauseTask           Cause = "task"           // the scenario exited non-zero
	CauseInfrastructure Cause = "infrastructure" // host, network or agent failed
	CauseTimeout        Cause = "timeout"        // its time was over
	CauseCancelled      Cause = "cancelled"      // somebody or something cancelled it
	CauseDependency     Cause = "dependency"     // what it waited for did not succeed
)

// Attempt is one execution of a job on a host.
type Attempt struct {
	Run     string // id of the run: [a-z0-9][a-z0-9-]{0,39}
	Job     *Job
	Host    string // URL of the host: the Job's, or where its pool has placed the attempt
	Number  int    // from 1
	JobID   string // unique over all hosts and runs: [a-z0-9][a-z0-9._-]{0,99}
	Resumed bool   // it may have been dispatched already by a process that is gone
	Commit  string // exact commit; "": the host resolves Source.Ref and its Result says to what
	Inputs  []InputFile
	// Of a Resumed attempt: when it was sent to its host, or at the earliest;
	// when it started, zero if that is not known; and where in the host's log
	// the Executor begins, as Marked was told.
	SentAt    time.Time
	StartedAt time.Time
	LogOffset int64
	// Timeout is how long it may run; 0 is without limit. The engine cancels
	// ctx when the project's time is over; a host uses this as its own guard.
	Timeout      time.Duration
	QueueTimeout time.Duration // how long it may wait on the host before it starts
	// Sent, when not nil, is called before the attempt is sent to its host,
	// and when it is found there.
	Sent func(time.Time)
	// Started, when not nil, is called once, when the host says that the
	// scenario has started.
	Started func(time.Time)
	// Marked, when not nil, is called by the goroutine that writes the log:
	// what it writes next can also be had by beginning at that offset of the
	// host's log. An Executor that never calls it always begins at 0.
	Marked func(offset int64)
	// Resolved, when not nil, is called when the host says which commit it
	// has checked out, as early as it does.
	Resolved func(commit string)
}

// InputFile is a file to place in the checkout before the scenario runs.
type InputFile struct {
	Path     string // below .artifacts: "file" or "label/file"
	Artifact Artifact
}

// Artifact is a file that an attempt produced.
type Artifact struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`

	// Where it can be had: the Sparky host, its project and its job.
	Host  string `json:"host,omitempty"`
	Queue string `json:"queue,omitempty"`
	JobID string `json:"job_id,omitempty"`
}

// Result is how an attempt ended.
type Result struct {
	Conclusion  Conclusion
	Cause       Cause
	Error       string // one line; "" for success
	ExitCode    int    // of the scenario; 0 when there is none
	Commit      string // exact commit that ran; "" when not known
	StartedAt   time.Time
	CompletedAt time.Time
	Artifacts   []Artifact
	Lost        bool // it had or may have started, and how it ended is not known
	NotStarted  bool // it failed, or was cancelled, when the scenario had certainly not started
	// Kept is the run that the result is of, when the job did not run in this
	// one; "" when it did. See [RunOptions.Kept].
	Kept string
}

// ErrNotStarted is wrapped by an Executor's error when the scenario has
// certainly not started, so that the attempt may be repeated.
var ErrNotStarted = errors.New("not started")

// ErrRefused is wrapped, with ErrNotStarted, by an Executor's error when
// trying again cannot help: a wrong token, a host that is not allowed.
var ErrRefused = errors.New("refused")

// ErrElsewhere is wrapped by an Executor's error when something else than the
// attempt's host has failed, so that it does not count against the host.
var ErrElsewhere = errors.New("failed elsewhere")

// Executor runs one attempt on its host, writing what the scenario prints,
// secrets masked, to the writer as it comes.
//
// A Result says how the attempt ended; an error says that this is not known,
// or, when it wraps [ErrNotStarted], that it never began. When ctx is done
// the remote job is cancelled; Exec then still takes up to its own bound to
// have that confirmed, and returns a Result with the conclusion Cancelled.
//
// When the cause of ctx, or of its [Teardown], is [ErrDetached], the remote
// job is left as it is: Exec returns within a second, with an error that wraps
// ErrDetached, and holds back what of the log may not be written as it is (the
// beginning of a secret). With Resumed, the next process attaches to the job.
// It writes the same log from its LogOffset on, byte for byte.
type Executor interface {
	Exec(ctx context.Context, a Attempt, log io.Writer) (Result, error)
}

// EventKind says what happened.
type EventKind string

// The kinds of events, in the order in which a run and a job go through them.
const (
	RunStarted       EventKind = "run_started"
	CommitResolved   EventKind = "commit_resolved"   // Source and Commit
	JobWaiting       EventKind = "job_waiting"       // it waits for a host of its pool
	JobQueued        EventKind = "job_queued"        // Attempt and JobID: it is about to be sent to its Host
	JobStarted       EventKind = "job_started"       // the host has started the attempt
	AttemptCompleted EventKind = "attempt_completed" // Result
	JobDetached      EventKind = "job_detached"      // Mark: a process has let go of the attempt, which goes on
	JobCompleted     EventKind = "job_completed"     // Result: the job's last word
	RunCompleted     EventKind = "run_completed"     // Conclusion
	Note             EventKind = "note"              // Message, for people
)

// Event is one thing that happened in a run.
type Event struct {
	Time       time.Time
	Kind       EventKind
	Run        string
	Job        *Job // nil for events of the run itself
	Attempt    int
	JobID      string
	Host       string // URL of the host that the attempt is on; "" where there is no attempt
	Result     *Result
	Log        string // AttemptCompleted: the log's last bytes, at most LogTailLimit
	Source     Source
	Commit     string
	Conclusion Conclusion
	Message    string
	RetryAt    time.Time // AttemptCompleted: when it is attempted again; zero: not
	Mark       *Mark     // JobDetached
}

// Where says for people where the event's job is: on a host, or a pool.
func (ev *Event) Where() string {
	if ev.Host == "" && ev.Job != nil {
		return ev.Job.Where()
	}
	return ev.Host
}

// Reporter is told what happens in a run. The events of one call belong
// together: a Reporter that stores them does so at once or not at all.
type Reporter interface {
	Report(ctx context.Context, events []Event) error
}
