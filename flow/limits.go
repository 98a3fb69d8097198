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

	// InfraRetries is how often an attempt whose scenario certainly did not
	// start is repeated, on top of the project's own retry: with the delays
	// below it outlasts the restart of an agent.
	InfraRetries = 3
	// InfraDelay before the first of these, InfraBackoff times longer before
	// each further one: 2 s, 6 s, 18 s.
	InfraDelay   = 2 * time.Second
	InfraBackoff = 3
	// RetryJitter spreads every delay by this share up and down, so that jobs
	// that failed together do not come back together.
	RetryJitter = 0.2
	// ResolveTimeout of one look-up of a branch's commit: beyond it the
	// first job on a host finds out.
	ResolveTimeout = 30 * time.Second
	// ReporterDrain is how long a run's end waits for its Reporters to take
	// the last events.
	ReporterDrain = 30 * time.Second
	// DetachDrain is the same for a run that is let go of: who lets go is in
	// a hurry, and the journal has it all.
	DetachDrain = 500 * time.Millisecond
	// StartDelay is how long the start of a job may wait for something else to
	// be journalled with: short jobs need no write of their own, and the time
	// of long ones counts from their start even after a crash.
	StartDelay = time.Second
	// EndDelay is the same for the end of a job on which nothing else waits: its
	// host tells it again after a crash, and who looks at the journal sees no
	// difference.
	EndDelay = 20 * time.Millisecond
	// AttachGrace is how long jobs whose time was over while no process
	// watched them may take to tell that they have ended in time.
	AttachGrace = 5 * time.Second
)

// The limits of placing jobs on pools.
const (
	// QuarantineAfter so many infrastructure failures in a row a host gets no
	// more jobs: one may be bad luck, and each costs a job an attempt.
	QuarantineAfter = 3
	// ProbeMin is the pause before a host that was taken out is asked whether
	// it answers, doubling up to ProbeMax: a restart takes seconds, and a host
	// that is off for a day is asked 720 times.
	ProbeMin = 5 * time.Second
	ProbeMax = 2 * time.Minute
	// ProbeTimeout of one such question.
	ProbeTimeout = 15 * time.Second
	// PlaceKept is how long the place of an attempt is kept that a run has let
	// go of, and that goes on: the process that takes the run up, mostly this
	// one, needs it again.
	PlaceKept = 2 * time.Minute
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
	// MaxPoolHosts of a pool in a file: placing a job looks at each of them.
	MaxPoolHosts = 10_000
	// MaxCombinations of a project's matrix: more are a product that nobody
	// has worked out. MaxMatrixEntries of its include, and of its exclude.
	MaxCombinations  = 1000
	MaxMatrixEntries = 1000
)

// The limits of planning.
const (
	// MaxPlanErrors are the problems listed of one plan: nobody reads more.
	MaxPlanErrors = 100
	// MaxNeeds are the entries of all different Needs of a plan together:
	// 32 MiB of memory, four times what 100 layers of 100 connected projects
	// have.
	MaxNeeds = 4 << 20
	// MaxMergedVars are the variables of jobs that have others than their
	// project: a thousand variables on ten thousand hosts would be 0.5 GB.
	MaxMergedVars = 500_000
	// MaxComparedHosts are the host entries looked at to find equal
	// invocations: ten for every job there may be.
	MaxComparedHosts = 10 * MaxJobs
)
