package flow

import "time"

// The limits of this package, each with its reason.
const (
	// MaxFileSize of a jobs.yaml, in bytes: 10,000 projects are 2.6 MB.
	MaxFileSize = 4 << 20
	// MaxDepth of a YAML document: the format needs 6; deeper is an attack on recursion.
	MaxDepth = 64
	// MaxNodes of a YAML document, those behind aliases counted each time:
	// it bounds memory against alias bombs.
	MaxNodes = 200_000
	// MaxJobs of a plan: more are an expansion by mistake, and reports of
	// that size cannot be read.
	MaxJobs = 20_000
	// MaxProjectName is the longest name of a project, in bytes: names end up
	// in file names and check names.
	MaxProjectName = 100
	// LogTailLimit is how much of the end of an attempt's log an Event
	// carries, in bytes: enough for a stack trace, little enough for 20,000 jobs.
	LogTailLimit = 16 << 10
	// DefaultTimeout of a project's jobs together.
	DefaultTimeout = time.Hour
	// DefaultQueueTimeout of an attempt on its host.
	DefaultQueueTimeout = time.Hour
)

// The limits of reading a file.
const (
	// MaxSeparators are the line ends, commas and opening brackets of a YAML
	// file: they bound the nodes, and so the memory, before it is parsed.
	MaxSeparators = 300_000
	// MaxErrors are the problems listed of one file: nobody reads more.
	MaxErrors = 1000
	// MaxSuggestions are the names compared to find what the user may have
	// meant: more than any real file with some typos needs, and 0.1 s at most.
	MaxSuggestions = 200_000
	// MaxTimeout of a project, and of any other duration in a file.
	MaxTimeout = 30 * 24 * time.Hour
	// MaxRetries of a job: with more, the job is broken rather than unlucky.
	MaxRetries = 100
	// MaxBackoff is the largest factor from one delay to the next.
	MaxBackoff = 100
	// MaxSlots of a host: more jobs at once than any machine has use for.
	MaxSlots = 10_000
)
