package console

import "time"

// The limits of this package, each with its reason.
const (
	// maxLine of what a job prints, in bytes: a longer line is cut into
	// several, so that a job without newlines does not fill memory.
	maxLine = 16 << 10
	// maxPrefix is the width up to which the names before the lines are
	// aligned: beyond it, alignment costs more room than it gives order.
	maxPrefix = 32
	// frameTime between two pictures of the live view: fast enough for the
	// eye, slow enough for a connection over a modem's heirs.
	frameTime = 100 * time.Millisecond
	// maxPending lines wait for the next picture; more are shown at once.
	maxPending = 500
	// minRows of a terminal for the live view's jobs, whatever it says.
	minRows = 3
	// maxDetails is how many failed jobs the end report tells in full: the
	// others are in the files of --report and --junit.
	maxDetails = 10
	// tailLines of a failed job's log in the end report.
	tailLines = 20
)
