package checks

import (
	"time"

	"github.com/cromt/cromt/flow"
)

// View is a run as it is shown at a moment: complete, or still going on.
type View struct {
	// Run is the run; jobs that have not ended are queued or in progress.
	Run *flow.Run
	// Plan is what the graph is drawn from. Nil: no graph.
	Plan *flow.Plan
	// Now is the time at which durations of what still runs are taken.
	Now time.Time
	// RunURL is a page about the run, JobURL one about a job by its key.
	// Empty and nil: no links.
	RunURL string
	JobURL func(key string) string
	// Notes are for people, shown below the result: what could not be posted,
	// what was degraded. Plain text.
	Notes []string
	// Annotations are those found in the logs, by the job's key.
	Annotations map[string][]Annotation
}

// Level is how bad an annotation is, in the words of the Checks API.
type Level string

// The levels.
const (
	LevelNotice  Level = "notice"
	LevelWarning Level = "warning"
	LevelFailure Level = "failure"
)

// Annotation is a message about a place in the repository.
type Annotation struct {
	Path      string // slash-separated, below the repository's root
	StartLine int    // from 1
	EndLine   int    // StartLine or later
	// StartColumn and EndColumn are from 1 and only for annotations of one
	// line; 0 when not known.
	StartColumn, EndColumn int
	Level                  Level
	Title                  string // "" when there is none; at most 255 bytes
	Message                string // plain text; at most 64 KiB
}
