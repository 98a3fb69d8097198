package action

// The limits of this package, each with its reason.
const (
	// maxAnnotations of one level that GitHub shows of a step.
	maxAnnotations = 10
	// maxConcluded are the failed jobs that are named at the log's end, which
	// is to be seen without scrolling.
	maxConcluded = 20
	// SummaryLimit is how many bytes GITHUB_STEP_SUMMARY may have for a step: a
	// longer one is not shown at all. The newline after it counts.
	SummaryLimit = 1<<20 - 1
	// maxEvent is the size of an event file in bytes: webhooks have 25 MB.
	maxEvent = 26 << 20
	// maxInput of one input, in bytes: the environment of a process holds 128
	// KiB in one string on Linux.
	maxInput = 1 << 20
	// spoolMemory is how much of the log of a job that waits for its turn is
	// kept in memory, in bytes; the rest goes to a file.
	spoolMemory = 64 << 10
)
