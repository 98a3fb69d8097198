package tomtit

import "time"

// The limits of this package, each with its reason.
const (
	// MaxScenario of a scenario, configuration or task file, in bytes: they are
	// written by hand, and are read into memory.
	MaxScenario = 1 << 20
	// MaxNesting of brackets in a scenario: the parser recurses.
	MaxNesting = 64
	// MaxValues is how many bytes all the values of a scenario may hold
	// together: it bounds "my $b = $a ~ $a" repeated.
	MaxValues = 64 << 20
	// MaxLine of a task's output, in bytes: a longer one is cut in pieces, so
	// that a task without newlines is not kept in memory.
	MaxLine = 64 << 10
	// MaxStderr of one task, in bytes: it is printed after the task has ended,
	// so it is kept in memory until then, the oldest dropped.
	MaxStderr = 4 << 20
	// MaxState of what a task leaves in its state or asks for in a hook, in
	// bytes: it is read into memory.
	MaxState = 16 << 20
	// MaxChecks is how many lines a task.check may have, each of which goes
	// through the output of its task.
	MaxChecks = 10_000
	// MaxPattern of a regex, in bytes: it is one line that somebody wrote.
	MaxPattern = 4 << 10
	// MaxProgram of a regex, in instructions of Go's regexp: a character of
	// text may take as many steps.
	MaxProgram = 5_000
	// MaxMatch is how many instructions a regex may take for one line, about
	// ten seconds: no deadline ends a match.
	MaxMatch = 1 << 31
	// MaxChecked of the output that checks look at, in bytes: they need all
	// of it at once.
	MaxChecked = 64 << 20
	// MaxListed scenarios are named when one is not found: a message is read.
	MaxListed = 100
	// MaxTaskDepth of hooks that run tasks that have hooks: a task that runs
	// itself would not end.
	MaxTaskDepth = 32

	// DefaultGrace is the time between TERM and KILL.
	DefaultGrace = 10 * time.Second
	// drainTime is how long output that is still in a pipe is read after every
	// process is gone: what holds the pipe then has escaped.
	drainTime = 500 * time.Millisecond
	// sweepTime bounds the search for processes that outlive a KILL: those
	// left sleep in the kernel, and waiting longer does not end them.
	sweepTime = 5 * time.Second
	// descriptorPatience is how long a look for processes waits for descriptors
	// in all: jobs that end give theirs back.
	descriptorPatience = 10 * time.Second
	// sweepPause between two looks at /proc while processes are ending.
	sweepPause = 20 * time.Millisecond
	// maxProbes is how many process ids are looked at one by one; reading all
	// of /proc is cheaper when more of them were given out.
	maxProbes = 1024
	// maxChase is how often it is looked whether processes were started during
	// the look before: on a busy machine others always are, and a process of the
	// job has to hide from every one of these looks.
	maxChase = 64
)
