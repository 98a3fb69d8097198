package tomtit

import "time"

// The limits of the runner, each with its reason.
const (
	// DefaultGrace is the time between TERM and KILL.
	DefaultGrace = 10 * time.Second
	// DrainTime is how long the output of a process that has exited is waited
	// for, when another process holds it open.
	DrainTime = 500 * time.Millisecond
	// MaxLine is the longest line printed as one, in bytes: it bounds memory
	// against output without line ends.
	MaxLine = 64 << 10
	// MaxStderr is how much of a task's stderr is kept until its stdout has
	// ended, as tom prints it after.
	MaxStderr = 1 << 20
	// MaxScenario is the largest scenario or hook list, in bytes.
	MaxScenario = 1 << 20
	// MaxNesting of values and of tasks run by hooks: it bounds recursion.
	MaxNesting = 50
)
